//! What `github-stomp` promises.
#![expect(
    clippy::unwrap_used,
    reason = "what a test's helper cannot do fails the test"
)]

mod hooks;
mod settings;
mod signature;
mod translate;

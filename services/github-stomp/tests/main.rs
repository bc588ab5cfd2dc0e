//! What `github-stomp` promises.
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test"
)]

mod github;
mod hooks;
mod killed;
mod settings;
mod signature;

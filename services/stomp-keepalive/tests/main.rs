//! What `stomp-keepalive` promises.
#![expect(
    clippy::unwrap_used,
    reason = "what a test's helper cannot do fails the test"
)]

mod on_the_bus;
mod process;
mod rounds;
mod settings;

//! What `stomp-keepalive` promises.
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test"
)]

mod on_the_bus;
mod paces;
mod process;
mod rounds;
mod settings;
mod wire;

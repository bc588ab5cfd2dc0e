//! What `github-stomp` promises.
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test"
)]

mod bodies;
mod deliveries;
mod fold;
mod forged;
mod forges;
mod github;
mod hooks;
mod hostile;
mod hub;
mod kept;
mod killed;
mod oracle;
mod settings;
mod signature;
mod slow;
mod sources;
mod strangers;
mod sweep;

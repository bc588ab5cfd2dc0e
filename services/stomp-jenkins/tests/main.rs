//! What `stomp-jenkins` promises.
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test"
)]

mod follow;
mod plan;
mod rig;
mod settings;
mod story;
mod troubles;

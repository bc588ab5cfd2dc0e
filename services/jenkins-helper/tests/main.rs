//! What `jenkins-helper` promises.
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test"
)]

mod build_step;
mod notice;
mod receiving;
mod settings;
mod telling;

//! What `jenkins-helper` promises.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test; the built program is run as a build runs it"
)]

mod build_step;
mod notice;
mod receiving;
mod settings;
mod telling;

//! What running a program promises, with real programs.

#![expect(
    clippy::disallowed_methods,
    reason = "files and runs of a test are its own"
)]

mod background;
mod beside;
mod callers_group;
mod into_file;
mod pipe;
mod program;
mod run;
mod watch;

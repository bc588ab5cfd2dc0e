//! This process as another program.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::unix::process::CommandExt,
    process::Command,
};

/// Goes on as another program, in the same process: returns only if that fails.
#[must_use]
pub fn go_on_as(name: &OsStr, args: &[OsString]) -> io::Error {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that starts programs"
    )]
    let mut command = Command::new(name);
    command.args(args).exec()
}

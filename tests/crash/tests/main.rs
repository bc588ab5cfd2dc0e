//! Every crash of an agent, one after the other; see the crate's README.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the real disk beside the seam, and start the processes that are killed"
)]
#![expect(
    clippy::print_stderr,
    reason = "how many points there were belongs to what a test says"
)]

mod crashes;
mod host;
mod oracle;
mod scene;
mod simulated;

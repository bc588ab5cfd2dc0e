//! What the agent promises: decisions as tables, the journal, the disk, and the whole agent on a real bus.
#![expect(
    clippy::disallowed_methods,
    reason = "tests look at the real disk beside the seam, and play the part of other programs"
)]

mod agent;
mod checks;
mod decisions;
mod disk;
mod failing;
mod journal;
mod laying_out;
mod manifest;
mod redact;
mod releases;
mod resuming;
mod rig;
mod runner;
mod scripts;
mod settings;
mod telling;

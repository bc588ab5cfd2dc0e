//! The messages, one file each. Each has a golden file in `tests/golden/` and a row in `docs/bus.md`.
//!
//! Hints ("look again at this"): [`Pushed`], [`SvnCommitted`], [`Fetched`], [`CiStarted`], [`CiSucceeded`], [`CiFailed`], [`CiAsked`], [`CiAnswered`],
//! [`PackagesUpdated`], [`PackagesRefreshed`], [`Present`]. Orders and their answers: [`Ordered`],
//! [`Reported`], [`ScriptOutput`]. About the bus itself: [`Beat`], [`Line`], [`DeadLetter`].

mod beat;
mod built;
mod dead_letter;
mod fetched;
mod frame;
mod line;
mod ordered;
mod packages_refreshed;
mod packages_updated;
mod present;
mod pushed;
mod reported;
mod script_output;
mod svn_committed;
mod verdicts;

pub use beat::Beat;
pub use built::{BuildResult, Built, CiFailed, CiStarted, CiSucceeded};
pub use dead_letter::DeadLetter;
pub use fetched::{Fetched, RefTip};
pub use line::{Level, Line, RECORD_BYTES, Said};
pub use ordered::{Ordered, Phase, Signature, Signed};
pub use packages_refreshed::{Candidate, PackagesRefreshed};
pub use packages_updated::{PackageUpdate, PackagesUpdated};
pub use present::{Held, PREPARED, Prepared, Present, ProjectState};
pub use pushed::{Commit, Pushed};
pub use reported::{JournalHead, Reported, Running, State, Step, StepReport, StepState};
pub use script_output::ScriptOutput;
pub use svn_committed::{ChangedPath, PathChange, SvnCommitted};
pub use verdicts::{CiAnswered, CiAsked, CommitVerdict, Verdict};

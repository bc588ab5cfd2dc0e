//! The messages, one file each. Each has a golden file in `tests/golden/` and a row in `docs/bus.md`.
//!
//! Hints ("look again at this"): [`Pushed`], [`Fetched`], [`Present`]. Orders and their answers: [`Ordered`],
//! [`Reported`], [`ScriptOutput`]. About the bus itself: [`Beat`], [`Line`], [`DeadLetter`].

mod beat;
mod dead_letter;
mod fetched;
mod line;
mod ordered;
mod present;
mod pushed;
mod reported;
mod script_output;

pub use beat::Beat;
pub use dead_letter::DeadLetter;
pub use fetched::{Fetched, RefTip};
pub use line::Line;
pub use ordered::{Ordered, Phase, Signature, Signed};
pub use present::{Present, ProjectState};
pub use pushed::{Commit, Pushed};
pub use reported::{Reported, Running, State, Step, StepReport, StepState};
pub use script_output::ScriptOutput;

//! A disk that is simulated change by change, to know what of it would be there after a power loss.
//!
//! It keeps no more promises than POSIX does: the bytes of a file last once the file is flushed; a name in a folder lasts
//! once that folder is flushed (a rename, in one piece); `syncfs` flushes all. What is not flushed may have come to the
//! disk, or not, or in part, and one without the other: [`Loss`] says what of it did.

mod chance;
mod image;
mod tree;

pub use image::{Image, Thing};
pub use tree::{Loss, Sim};

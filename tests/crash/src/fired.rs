//! The note that a kill has happened: the last thing that the killed process writes.

use std::{fs, path::Path};

/// The note.
#[derive(Debug, Clone, Copy)]
pub struct Fired;

impl Fired {
    const FILE: &str = "fired";

    /// Leaves it.
    ///
    /// # Panics
    /// The disk is full.
    pub fn leave(host: &Path) {
        fs::write(host.join(Self::FILE), "").expect("the note is written");
    }

    /// True if it is there.
    #[must_use]
    pub fn is_there(host: &Path) -> bool {
        host.join(Self::FILE).exists()
    }
}

//! Whether a project's history is as it was written: `deploy-agent verify`. Pure.
//!
//! The chain of hashes shows any entry that was edited, removed, doubled or put elsewhere, and so does the sum of each. Whoever writes all
//! of it anew, or cuts its end off, makes a chain that is whole again: that is found by a [`JournalHead`] from elsewhere, such as the one in
//! the host's last report, which the orchestrator keeps.

use events::message::JournalHead;

use crate::journal::{Damage, End, replay};

/// A history that is as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Where it ends.
    pub head: JournalHead,
    /// How many bytes of a line come after it that was being written when the host went down: nothing was done on it.
    pub torn: usize,
}

/// Why a history is not to be believed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// It is not whole in itself.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// Its last line is whole, but for its sum.
    #[error(
        "the last line of the journal, of {bytes} bytes after entry {entries}, has a wrong sum: it was edited, or torn by a \
         power loss; nothing is done on it"
    )]
    Unsure {
        /// How many entries are before it.
        entries: u64,
        /// Its length.
        bytes: usize,
    },
    /// It was longer.
    #[error(
        "the end of the journal is missing: it has {has} entries, and had {} when {} was told",
        told.entries,
        told
    )]
    Cut {
        /// What was told.
        told: JournalHead,
        /// How many there are.
        has: u64,
    },
    /// All of it was written anew, at least from some entry on.
    #[error(
        "the journal was written anew: its entry {} has the hash {found}, and had {} when it was told",
        told.entries,
        told.hash
    )]
    Rewritten {
        /// What was told.
        told: JournalHead,
        /// The hash of that entry now.
        found: String,
    },
}

/// Verifies the bytes of a journal, and that it still has the end which was told.
///
/// # Errors
/// The first [`Finding`].
pub fn verify(journal: &[u8], told: Option<&JournalHead>) -> Result<Whole, Finding> {
    let replayed = replay(journal)?;
    let head = replayed.end.journal_head();
    let whole = Whole {
        head,
        torn: replayed.torn,
    };
    if let Some(told) = told {
        still_there(journal, &whole, told)?;
    }
    // A tear seldom leaves the line feed.
    if whole.torn > 0 && journal.ends_with(b"\n") {
        return Err(Finding::Unsure {
            entries: whole.head.entries,
            bytes: whole.torn,
        });
    }
    Ok(whole)
}

fn still_there(journal: &[u8], whole: &Whole, told: &JournalHead) -> Result<(), Finding> {
    if told.entries > whole.head.entries {
        return Err(Finding::Cut {
            told: told.clone(),
            has: whole.head.entries,
        });
    }
    let mut end = End::default();
    let lines = journal.split_inclusive(|byte| *byte == b'\n');
    for line in lines.take(usize::try_from(told.entries).unwrap_or(usize::MAX)) {
        end = end.after(line);
    }
    let then = end.journal_head();
    if then != *told {
        return Err(Finding::Rewritten {
            told: told.clone(),
            found: then.hash.to_string(),
        });
    }
    Ok(())
}

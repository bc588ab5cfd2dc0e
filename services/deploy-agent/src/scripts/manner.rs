//! How a script differs from the usual: what a table says, and what two of them come to.

use serde::Deserialize;

use super::{Argument, Source};

/// What a table `[script.SCRIPT]` says, of the host or of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptTable {
    /// Its file in the folder of scripts.
    pub file: Option<String>,
    /// What it is started with.
    pub args: Option<Vec<Argument>>,
    /// Where it is from.
    pub from: Option<Source>,
    /// True if a release without it is not taken.
    pub required: Option<bool>,
    /// How long one run may take.
    pub limit_s: Option<u64>,
    /// True if it may be run again when nobody knows how far it came.
    pub rerunnable: Option<bool>,
    /// True if it is not run again for a revision once it was done.
    pub once: Option<bool>,
    /// True if it runs as root.
    pub root: Option<bool>,
}

impl ScriptTable {
    /// This above the other, key by key. Of a script that is the host's, a revision says nothing: neither its file nor its arguments.
    #[must_use]
    pub fn above(&self, below: &Self) -> Self {
        let over = self.clone();
        if over.from == Some(Source::Host) {
            return over;
        }
        let under = below.clone();
        Self {
            file: over.file.or(under.file),
            args: over.args.or(under.args),
            from: over.from.or(under.from),
            required: over.required.or(under.required),
            limit_s: over.limit_s.or(under.limit_s),
            rerunnable: over.rerunnable.or(under.rerunnable),
            once: over.once.or(under.once),
            root: over.root.or(under.root),
        }
    }

    /// What it comes to.
    #[must_use]
    pub fn manner(self) -> Manner {
        Manner {
            file: self.file,
            args: self.args.unwrap_or_default(),
            from: self.from.unwrap_or_default(),
            required: self.required.unwrap_or_default(),
            limit_s: self.limit_s,
            rerunnable: self.rerunnable.unwrap_or_default(),
            once: self.once.unwrap_or_default(),
            root: self.root.unwrap_or_default(),
        }
    }
}

/// How a script differs from the usual.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manner {
    /// Its file in the folder of scripts; default: its name.
    pub file: Option<String>,
    /// What it is started with.
    pub args: Vec<Argument>,
    /// Where it is from.
    pub from: Source,
    /// True if a release without it is not taken.
    pub required: bool,
    /// How long one run may take; default: as the project's other scripts.
    pub limit_s: Option<u64>,
    /// True if it may be run again when nobody knows how far it came.
    pub rerunnable: bool,
    /// True if it is not run again for a revision once it was done.
    pub once: bool,
    /// True if it runs as root, not as the release's owner: only one that is from the host.
    pub root: bool,
}

//! One delivery as bytes: a line of JSON, then so much of the body as is kept, then the end of the line. Pure.

use events::{CommitId, RefName, RepoName, message::Pushed};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::fold::Told;

/// How long a head may be.
pub const HEAD_BYTES: usize = 64 * 1024;

/// The source of what no forge brought; no source of the settings can have this name.
pub const SWEEP: &str = "(sweep)";

/// How many refs of one delivery are noted.
const REFS: usize = 50;

/// Characters of what was said.
const SAID: usize = 300;

/// What is known of a delivery. Never a secret, a signature or a header that may hold one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Ours.
    pub id: Uuid,
    /// When its head was there.
    pub time: Timestamp,
    /// The source as the path named it, or [`SWEEP`].
    pub source: String,
    /// The forge's number for it.
    #[serde(default)]
    pub delivery: String,
    /// What happened, as the forge calls it.
    #[serde(default)]
    pub event: String,
    /// The status of the answer; 0 where nobody was there to be answered.
    pub answer: u16,
    /// Of which delivery it is a replay, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<Uuid>,
    /// What became of it as a whole.
    pub outcome: Outcome,
    /// What the answer said.
    pub said: String,
    /// What became of each push in it, the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub became: Vec<Became>,
    /// The size of the body, out of its form.
    pub body_bytes: usize,
    /// How much of it is kept: all or nothing.
    pub kept_bytes: usize,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// A push in it is on its way.
    Announced,
    /// Nothing but what was announced before.
    Folded,
    /// Told to people only.
    Feed,
    /// Good, and nothing for anybody.
    Ignored,
    /// Not let in, or not understood.
    Refused,
    /// Good, but there was no room for it or no disk.
    NotTaken,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Announced,
        Self::Folded,
        Self::Feed,
        Self::Ignored,
        Self::Refused,
        Self::NotTaken,
    ];

    /// Of pushes together.
    #[must_use]
    pub fn of(became: &[Became]) -> Self {
        let mut each = became.iter().map(|push| push.outcome);
        match each.any(|outcome| outcome == Self::Announced) {
            true => Self::Announced,
            false => Self::Folded,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Folded => "folded",
            Self::Feed => "feed",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::NotTaken => "not-taken",
        }
    }
}

/// A push of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Became {
    /// Announced now, or before.
    pub outcome: Outcome,
    /// The message's id on the bus.
    pub id: Uuid,
    /// Which repository.
    pub repository: RepoName,
    /// Which ref.
    #[serde(rename = "ref")]
    pub name: RefName,
    /// What it named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CommitId>,
    /// What it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CommitId>,
    /// The commit of an annotated tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
}

impl Became {
    /// A push and what became of it.
    #[must_use]
    pub fn of(pushed: &Pushed, outcome: Outcome, id: Uuid) -> Self {
        Self {
            outcome,
            id,
            repository: pushed.repository.clone(),
            name: pushed.name.clone(),
            before: pushed.before.clone(),
            after: pushed.after.clone(),
            commit: pushed.commit.clone(),
        }
    }

    /// The push, as far as it is remembered.
    #[must_use]
    pub fn pushed(&self) -> Pushed {
        let (repository, name) = (self.repository.clone(), self.name.clone());
        Pushed::of(repository, name, self.before.clone(), self.after.clone())
            .leading_to(self.commit.clone())
    }
}

impl Delivery {
    /// Who told it.
    #[must_use]
    pub fn told(&self) -> Told {
        match self.source == SWEEP {
            true => Told::Sweep,
            false => Told::Hook,
        }
    }

    /// Short enough to be kept.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.became.truncate(REFS);
        if self.said.chars().count() > SAID {
            self.said = self.said.chars().take(SAID).chain(['…']).collect();
        }
        self
    }

    /// Its line.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a delivery holds only JSON values");
        line.push(b'\n');
        line
    }

    /// How many bytes it takes up with its body.
    pub(super) fn bytes(&self, head: usize) -> u64 {
        // The end of the line behind the body. What a broken file says is far off ends its reading.
        (head as u64 + 1).saturating_add(self.kept_bytes as u64)
    }

    /// The delivery that begins here, and the length of its head; none where there is none, or half of one.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let end = bytes.iter().position(|&byte| byte == b'\n')?;
        let delivery = serde_json::from_slice(&bytes[..end]).ok()?;
        Some((delivery, end + 1))
    }
}

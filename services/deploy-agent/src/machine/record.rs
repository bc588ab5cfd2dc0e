//! What the journal says: each record is a fact that the state is folded from.

use events::{
    CommitId, TagName,
    message::{self, Phase, Step},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::scripts::Plan;

/// One fact, and since when it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When it was written.
    pub at: Timestamp,
    /// The fact.
    pub what: What,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// An order was verified and will be carried out; `task` holds all that this needs.
    Accepted {
        /// The order.
        order: Asked,
        /// What it comes to on this host.
        task: Task,
    },
    /// An authentic order was not accepted. Kept, so that it gets the same answer when it comes again.
    Refused {
        /// The order.
        order: Asked,
        /// Why.
        reason: String,
    },
    /// An authentic order came before its time, or in a freeze. Kept as one that was refused, but it raises no mark: its
    /// epoch and sequence may be of another time.
    Untimely {
        /// The order.
        order: Asked,
        /// Why it was refused.
        reason: String,
    },
    /// A step is about to act.
    Began {
        /// The order's id.
        order: Uuid,
        /// Which step.
        step: Step,
        /// Which try of it, from 1 on.
        attempt: u32,
    },
    /// A step has acted.
    Ended {
        /// The order's id.
        order: Uuid,
        /// Which step.
        step: Step,
        /// Which try of it.
        attempt: u32,
        /// How it went.
        outcome: Outcome,
    },
    /// Nothing more happens for this order.
    Finished {
        /// The order's id.
        order: Uuid,
        /// Its final state.
        state: message::State,
    },
    /// The final report of an order was confirmed by the broker.
    Told {
        /// The order's id.
        order: Uuid,
    },
    /// Releases that are no longer there.
    Pruned {
        /// Their names.
        releases: Vec<String>,
    },
    /// Somebody else changed what `live` leads to, to another release of this journal.
    Seen {
        /// The name of the release that is live now.
        live: String,
    },
}

/// What an order asks for: the verified parts that the agent needs later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The order's id.
    pub order: Uuid,
    /// The deploy it belongs to.
    pub deploy: Uuid,
    /// What to do.
    pub phase: Phase,
    /// For a rollback: true if it takes back its own deploy, false if a person asked for the release before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
    /// For a rollback that a person asked for: the deploy that was under way then, and that alone is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Uuid>,
    /// Which commit; a rollback to the release before has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The tag by which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
    /// The branch by which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<TagName>,
    /// The wave, from 1 on.
    pub wave: u32,
    /// The orchestrator that signed it; none in journals of before this was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signer: String,
    /// The orchestrator's count; only larger ones are taken from then on.
    pub sequence: u64,
    /// The orchestrator's lease; smaller ones are refused from then on.
    pub epoch: u64,
    /// Digest of the grant.
    pub grant: String,
    /// Who signed the grant.
    pub by: Vec<String>,
    /// What they went past by breaking the glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_glass: Option<String>,
    /// The deploys whose broken end here it clears.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clears: Vec<Uuid>,
    /// Set where a person at the host asked for it, without a signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_host: Option<AtHost>,
    /// What has broken here later than this, whoever signed the grant cannot have seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_until: Option<Timestamp>,
    /// Until when what cannot be done yet is tried again.
    pub expires: Timestamp,
}

/// A person at the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtHost {
    /// As the kernel says.
    pub uid: u32,
    /// The login of that number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Who they say they were before they became this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Asked {
    /// For a rollback that is about one deploy: that deploy.
    #[must_use]
    pub fn undone(&self) -> Option<Uuid> {
        self.undoes.or(self.undo.then_some(self.deploy))
    }
}

/// What an accepted order comes to on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Lay a release out.
    Prepare {
        /// Its name.
        release: String,
        /// True if it is there already, whole.
        ready: bool,
    },
    /// Make a release live.
    Activate {
        /// Its name.
        release: String,
        /// True if the release has a `refresh` script, which replaces stop and start.
        refresh: bool,
    },
    /// Go back.
    Rollback {
        /// The release to go back to; `None`: nothing was live before.
        to: Option<String>,
        /// The release that is left, and marked bad if `to` is reached.
        leaves: Option<String>,
    },
    /// End what is under way for the same deploy.
    Abort,
    /// Take deploys again.
    Clear,
    /// The same was ordered before, under another id: it is not done again, the answer is how that ended.
    Same {
        /// The order that is or was carried out.
        order: Uuid,
    },
}

/// How one try of a step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The exit code, if a script ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// How long it took.
    pub duration_ms: u64,
    /// What failed, or the last line of output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// True if its own tries are used up, so that no other one is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// The scripts that the release has, found after it was laid out and after its build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<Plan>,
}

/// The most characters of a detail: what a program or a server says may be long, and a report has to go out.
const DETAIL_CHARS: usize = 400;

/// A text with no more characters than a detail has; a longer one ends in `…`.
#[must_use]
pub fn cut(mut text: String) -> String {
    if text.chars().nth(DETAIL_CHARS).is_some() {
        let end = text.char_indices().nth(DETAIL_CHARS - 1);
        text.truncate(end.map_or(0, |(end, _)| end));
        text.push('…');
    }
    text
}

impl Outcome {
    /// An outcome without a script behind it. A long detail is cut.
    #[must_use]
    pub fn of(end: End, detail: Option<String>) -> Self {
        Self {
            end,
            exit: None,
            duration_ms: 0,
            detail: detail.map(cut),
            settled: false,
            scripts: None,
        }
    }

    /// The same, with how long it took.
    #[must_use]
    pub fn took(mut self, duration_ms: u64) -> Self {
        self.duration_ms = duration_ms;
        self
    }
}

/// How a try of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Done.
    Ok,
    /// There was nothing to do.
    Skipped,
    /// Failed.
    Failed,
    /// Ended at its limit of time.
    TimedOut,
    /// The host or its agent went down in the middle, and nobody knows how far it came.
    Interrupted,
    /// Ended because an abort or a rollback asked for it.
    Ended,
    /// What it needs is not there yet; it touched nothing.
    NotYet,
}

impl End {
    /// True for what lets the next step begin.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Ok | Self::Skipped)
    }
}

//! The words in which a build is followed: stages, questions, answers, what is told.

use std::time::Duration;

use events::{
    CommitId,
    message::{BuildResult, CiFailed, CiStarted, CiSucceeded},
};
use jenkins::{Build, Found, Item, Trouble};
use serde::{Deserialize, Serialize};

/// Where a build stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Stage {
    /// To be triggered.
    Wanted,
    /// A trigger left; whether it arrived is not known. Written before each trigger, so also after a crash.
    Triggered,
    /// In Jenkins' queue.
    Queued {
        /// The item.
        item: u64,
    },
    /// The queue item or the build is not known any more.
    Lost {
        /// The item, if that is what it was.
        item: Option<u64>,
    },
    /// It is this build.
    Building {
        /// Its number.
        number: u64,
    },
    /// There is nothing more to do.
    Ended {
        /// How it ended.
        how: End,
    },
}

impl Stage {
    /// The word for the feed.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Wanted | Self::Triggered => "wanted",
            Self::Queued { .. } => "requested",
            Self::Lost { .. } => "lost",
            Self::Building { .. } => "started",
            Self::Ended { how } => match how {
                End::Good => "succeeded",
                End::Bad(_) => "failed",
                End::Cancelled => "cancelled",
                End::Other(_) => "not-built",
                End::GivenUp(_) => "given-up",
            },
        }
    }

    /// True while Jenkins is not known to have it.
    #[must_use]
    pub fn is_before_queue(&self) -> bool {
        matches!(self, Self::Wanted | Self::Triggered)
    }

    /// True if it has come further, or has to begin anew; a trigger that has to be sent again is no news.
    #[must_use]
    pub fn is_news_after(&self, before: &Self) -> bool {
        self != before && !(self.is_before_queue() && before.is_before_queue())
    }

    /// The build's number, while it runs.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self {
            Self::Building { number } => Some(*number),
            _ => None,
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The commit is good.
    Good,
    /// The commit is not.
    Bad(BuildResult),
    /// Somebody took it out of the queue.
    Cancelled,
    /// Jenkins built another commit, so it says nothing of this one.
    Other(CommitId),
    /// It was given up, for this reason.
    GivenUp(String),
}

impl End {
    /// True if the same commit need not be built again.
    #[must_use]
    pub fn is_verdict(&self) -> bool {
        use BuildResult::{Failure, Unstable};
        matches!(self, Self::Good | Self::Bad(Failure | Unstable))
    }
}

/// What to ask next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Write [`Stage::Triggered`], then trigger.
    Trigger,
    /// Find it by its id or, if known, its queue item.
    Find(Option<u64>),
    /// Look at the queue item.
    Item(u64),
    /// Look at the build.
    Build(u64),
}

/// What Jenkins said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// To [`Ask::Trigger`].
    Item(u64),
    /// To [`Ask::Find`].
    Found(Option<Found>),
    /// To [`Ask::Item`].
    Queue(Item),
    /// To [`Ask::Build`].
    Build(Build),
    /// To [`Ask::Trigger`].
    NotTriggered(Trouble),
    /// To the others.
    Trouble(Trouble),
}

/// What the bus is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tell {
    /// It began.
    Started(CiStarted),
    /// It is good.
    Succeeded(CiSucceeded),
    /// It is not.
    Failed(CiFailed),
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once.
    Now,
    /// After the usual pause.
    Soon,
    /// After a pause that grows while the trouble lasts, at least this long.
    Later(Duration),
    /// Never.
    Never,
}

/// What an answer led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Told in this order, before the new stage is written.
    pub tell: Vec<Tell>,
    /// A line for people, and whether it is an alarm.
    pub line: Option<(String, bool)>,
    /// When to ask again.
    pub next: Next,
}

impl Step {
    pub(super) fn quiet(next: Next) -> Self {
        Self {
            tell: Vec::new(),
            line: None,
            next,
        }
    }
}

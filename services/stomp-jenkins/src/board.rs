//! Which builds there are: under way, waiting for their turn, ended.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::follow::{Followed, Stage};

/// What is known of a build that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing, or it ended without a verdict.
    New,
    /// It is under way or waits.
    UnderWay,
    /// It has its verdict.
    Verdict,
}

/// All builds. What is on it is in the book too.
#[derive(Debug)]
pub(crate) struct Board {
    builds: Mutex<Builds>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Builds {
    waiting: VecDeque<Followed>,
    /// Waiting or followed.
    under_way: BTreeSet<String>,
    /// When each ended, and whether with a verdict.
    ended: BTreeMap<String, (Timestamp, bool)>,
}

impl Board {
    /// With what the book has, oldest first.
    pub(crate) fn new(known: Vec<Followed>) -> Self {
        let board = Self {
            builds: Mutex::default(),
            arrived: Notify::new(),
        };
        for followed in known {
            match followed.stage {
                Stage::Ended { .. } => board.ended(&followed),
                _ => board.add(followed),
            }
        }
        board
    }

    fn builds(&self) -> MutexGuard<'_, Builds> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn known(&self, id: &str) -> Known {
        let builds = self.builds();
        match builds.ended.get(id) {
            _ if builds.under_way.contains(id) => Known::UnderWay,
            Some((_, true)) => Known::Verdict,
            _ => Known::New,
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.builds().waiting.len()
    }

    pub(crate) fn add(&self, followed: Followed) {
        let mut builds = self.builds();
        builds.ended.remove(&followed.wanted.id);
        builds.under_way.insert(followed.wanted.id.clone());
        builds.waiting.push_back(followed);
        drop(builds);
        self.arrived.notify_one();
    }

    /// The next one whose turn it is.
    pub(crate) fn take(&self) -> Option<Followed> {
        self.builds().waiting.pop_front()
    }

    /// Returns after something was added.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    pub(crate) fn ended(&self, followed: &Followed) {
        if let Stage::Ended { how } = &followed.stage {
            let mut builds = self.builds();
            let id = followed.wanted.id.clone();
            builds.under_way.remove(&id);
            builds.ended.insert(id, (followed.since, how.is_verdict()));
        }
    }

    /// Forgets those that ended before `until`; says which.
    pub(crate) fn forget(&self, until: Timestamp) -> Vec<String> {
        let mut builds = self.builds();
        let old = |(id, (at, _)): (&String, &(Timestamp, bool))| (*at < until).then(|| id.clone());
        let old: Vec<String> = builds.ended.iter().filter_map(old).collect();
        for id in &old {
            builds.ended.remove(id);
        }
        old
    }

    /// For `systemctl status`.
    pub(crate) fn line(&self) -> String {
        let builds = self.builds();
        let waiting = builds.waiting.len();
        let followed = builds.under_way.len() - waiting;
        format!("follows {followed} builds, {waiting} wait for their turn")
    }
}

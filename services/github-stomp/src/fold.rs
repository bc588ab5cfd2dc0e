//! The same push told twice is announced once. Pure.
//!
//! Two hooks on one repository, a forge that tries again, Gitea with a new number for each attempt: what they tell is the
//! same repository, ref, before and after. A push is folded only if it is the newest one of its ref, and only for a while:
//! after A to B and B to A, A to B is news again.

use std::collections::{BTreeMap, HashMap};

use events::{CommitId, RefName, RepoName, message::Pushed};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How many refs are remembered; those whose last push is longest ago are forgotten first.
pub const REFS: usize = 10_000;

/// What was announced last, ref by ref.
#[derive(Debug)]
pub struct Fold {
    window: SignedDuration,
    most: usize,
    refs: HashMap<Key, Newest>,
    /// Which ref's turn it was, oldest first.
    order: BTreeMap<u64, Key>,
    turns: u64,
}

type Key = (RepoName, RefName);

/// Who tells of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// A forge's hook.
    Hook,
    /// The sweep, which knows the tips and not what led to them.
    Sweep,
}

#[derive(Debug)]
struct Newest {
    turn: u64,
    before: Option<CommitId>,
    after: Option<CommitId>,
    /// Where that leads, if it is an annotated tag.
    commit: Option<CommitId>,
    told: Told,
    at: Timestamp,
    /// The envelope's id, once it is safe.
    id: Option<Uuid>,
}

/// What to do with a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is news: announce it, then settle the ticket.
    Announce(Ticket),
    /// It was announced under this id.
    Known(Uuid),
    /// Somebody is announcing the same right now: ask again when that is settled.
    UnderWay,
}

/// A push that is being announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    key: Key,
    turn: u64,
}

/// What a ref named when it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// A commit or an annotated tag; none when it was deleted.
    pub after: Option<CommitId>,
    /// When that was.
    pub at: Timestamp,
}

impl Fold {
    /// Folds within `window` of an announcement, and remembers [`REFS`] refs.
    #[must_use]
    pub fn new(window: SignedDuration) -> Self {
        Self::with_room(window, REFS)
    }

    /// Remembers so many refs.
    #[must_use]
    pub fn with_room(window: SignedDuration, most: usize) -> Self {
        Self {
            window,
            most,
            refs: HashMap::new(),
            order: BTreeMap::new(),
            turns: 0,
        }
    }

    /// Whether a push is news.
    pub fn judge(&mut self, pushed: &Pushed, told: Told, now: Timestamp) -> Verdict {
        let key = (pushed.repository.clone(), pushed.name.clone());
        if let Some(newest) = self.refs.get(&key)
            && newest.tells(pushed)
        {
            match newest.id {
                None => return Verdict::UnderWay,
                // However the clock was set meanwhile.
                Some(id) if newest.at.duration_until(now).abs() <= self.window => {
                    return Verdict::Known(id);
                }
                Some(_) => {}
            }
        }
        Verdict::Announce(self.begin(key, pushed, told, now))
    }

    /// True while the same is being announced.
    #[must_use]
    pub fn is_under_way(&self, pushed: &Pushed) -> bool {
        let key = (pushed.repository.clone(), pushed.name.clone());
        let newest = self.refs.get(&key);
        newest.is_some_and(|newest| newest.id.is_none() && newest.tells(pushed))
    }

    /// It is safe under this id.
    pub fn announced(&mut self, ticket: &Ticket, id: Uuid) {
        if let Some(newest) = self.refs.get_mut(&ticket.key)
            && newest.turn == ticket.turn
        {
            newest.id = Some(id);
        }
    }

    /// It was not taken, or nobody knows: who tells it again is announced.
    pub fn failed(&mut self, ticket: &Ticket) {
        if self.refs.get(&ticket.key).map(|newest| newest.turn) == Some(ticket.turn) {
            self.refs.remove(&ticket.key);
            self.order.remove(&ticket.turn);
        }
    }

    /// What an earlier process announced; oldest first.
    pub fn remember(&mut self, pushed: &Pushed, told: Told, at: Timestamp, id: Uuid) {
        let key = (pushed.repository.clone(), pushed.name.clone());
        let ticket = self.begin(key, pushed, told, at);
        self.announced(&ticket, id);
    }

    /// What was heard last of the refs of a repository.
    #[must_use]
    pub fn heard_of(&self, repository: &RepoName) -> BTreeMap<RefName, Heard> {
        // What is still under way may fail, and is then told by nobody.
        let told = |newest: &Newest| newest.id.is_some();
        let refs = self.refs.iter();
        let of = refs.filter(|((of, _), newest)| of == repository && told(newest));
        of.map(|((_, name), newest)| {
            let heard = Heard {
                after: newest.after.clone(),
                at: newest.at,
            };
            (name.clone(), heard)
        })
        .collect()
    }

    fn begin(&mut self, key: Key, pushed: &Pushed, told: Told, at: Timestamp) -> Ticket {
        self.turns += 1;
        let turn = self.turns;
        let newest = Newest {
            turn,
            before: pushed.before.clone(),
            after: pushed.after.clone(),
            commit: pushed.commit.clone(),
            told,
            at,
            id: None,
        };
        if let Some(older) = self.refs.insert(key.clone(), newest) {
            self.order.remove(&older.turn);
        }
        self.order.insert(turn, key.clone());
        while self.order.len() > self.most
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.refs.remove(&oldest);
        }
        Ticket { key, turn }
    }
}

impl Newest {
    fn tells(&self, pushed: &Pushed) -> bool {
        let same = self.before == pushed.before && self.after == pushed.after;
        // The sweep may have seen several pushes as one; where it led is what was announced. Some hooks name the commit of
        // an annotated tag.
        let swept = self.told == Told::Sweep
            && (self.after == pushed.after || self.commit.is_some() && self.commit == pushed.after);
        same || swept
    }
}

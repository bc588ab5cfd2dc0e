//! What CI has found, as the orchestrator says it: asked for, or said unasked.
//!
//! Nothing of it outlasts the connection: what was said while the bus was away was not heard, so it is asked again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{Bus, Handler, causes};
use events::{
    CommitId, Envelope, HostName, RepoName,
    message::{CiAnswered, CiAsked, Verdict},
};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{gate::Verdicts, settings::Repository};

/// Verdicts that are remembered of each repository: more than one question has.
const REMEMBERED: usize = 2 * CiAsked::MOST;

/// Asks, and remembers what was said.
#[derive(Debug)]
pub(crate) struct Asking {
    host: HostName,
    bus: Bus,
    limit: Duration,
    said: Mutex<Said>,
    /// Counts the answers.
    answers: watch::Sender<u64>,
}

#[derive(Debug)]
struct Said {
    connected: watch::Receiver<bool>,
    by_repository: BTreeMap<RepoName, Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// With the number of the answer that said it.
    verdicts: BTreeMap<CommitId, (Verdict, u64)>,
    /// The oldest first.
    order: VecDeque<CommitId>,
}

impl Remembered {
    fn note(&mut self, commit: CommitId, verdict: Verdict, answer: u64) {
        if self
            .verdicts
            .insert(commit.clone(), (verdict, answer))
            .is_some()
        {
            self.order.retain(|known| *known != commit);
        }
        self.order.push_back(commit);
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

impl Asking {
    pub(crate) fn new(host: HostName, bus: Bus, limit: Duration) -> Self {
        let said = Said {
            connected: bus.connected(),
            by_repository: BTreeMap::new(),
        };
        Self {
            host,
            bus,
            limit,
            said: Mutex::new(said),
            answers: watch::channel(0).0,
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Each change is whole, whoever panicked after it.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.connected.has_changed().unwrap_or(true) {
            said.connected.mark_unchanged();
            said.by_repository.clear();
        }
        said
    }

    /// Takes an answer in. True if a commit is good by it.
    fn heard(&self, repository: &RepoName, answer: CiAnswered) -> bool {
        let good = |verdict: &Verdict| *verdict == Verdict::Good;
        let news = answer.verdicts.iter().any(|it| good(&it.verdict));
        let mut said = self.said();
        let number = *self.answers.borrow() + 1;
        let remembered = said.by_repository.entry(repository.clone()).or_default();
        for it in answer.verdicts.into_iter().take(CiAsked::MOST) {
            remembered.note(it.commit, it.verdict, number);
        }
        drop(said);
        self.answers.send_replace(number);
        news
    }

    /// What was said of a repository's commits.
    pub(crate) fn known(&self, repository: &RepoName) -> Verdicts {
        self.since(repository, 0)
    }

    fn since(&self, repository: &RepoName, answer: u64) -> Verdicts {
        let said = self.said();
        let known = said.by_repository.get(repository).into_iter();
        let known = known.flat_map(|remembered| &remembered.verdicts);
        let known = known.filter(|(_, (_, number))| *number > answer);
        known
            .map(|(commit, (verdict, _))| (commit.clone(), *verdict))
            .collect()
    }

    /// Asks what CI has found of these commits, as many at a time as a message holds.
    ///
    /// # Errors
    /// One sentence: the bus is away, or nobody answered within the limit.
    pub(crate) async fn ask(
        &self,
        repository: &RepoName,
        commits: &[CommitId],
    ) -> Result<Verdicts, String> {
        let mut verdicts = Verdicts::new();
        for some in commits.chunks(CiAsked::MOST) {
            verdicts.extend(self.ask_some(repository, some).await?);
        }
        Ok(verdicts)
    }

    async fn ask_some(
        &self,
        repository: &RepoName,
        commits: &[CommitId],
    ) -> Result<Verdicts, String> {
        let cannot = |why: String| {
            let count = commits.len();
            format!(
                "it is not known what CI found of {count} new commits, so nothing new is taken: {why}"
            )
        };
        if !*self.bus.connected().borrow() {
            return Err(cannot("the bus is away".to_owned()));
        }
        let mut answers = self.answers.subscribe();
        let before = *answers.borrow_and_update();
        let asked = CiAsked {
            host: self.host.clone(),
            repository: repository.clone(),
            commits: commits.to_vec(),
        };
        let published = self.bus.publish(&asked).await;
        published.map_err(|error| cannot(causes(&error)))?;
        let answered = async {
            loop {
                let verdicts = self.since(repository, before);
                if commits.iter().all(|commit| verdicts.contains_key(commit)) {
                    return verdicts;
                }
                if answers.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        let limit = self.limit.as_secs();
        timeout(self.limit, answered).await.map_err(|_| {
            cannot(format!(
                "nobody answered within {limit} s; deploy-orchestrator does"
            ))
        })
    }
}

/// Hears what the orchestrator says, and marks the mirrors for which a commit was found good.
#[derive(Debug)]
pub(crate) struct Answers<'a> {
    pub(crate) asking: &'a Asking,
    pub(crate) repositories: BTreeMap<RepoName, Repository>,
    pub(crate) marks: mpsc::Sender<RepoName>,
}

impl Answers<'_> {
    /// The gated repository of this name or alias.
    fn gated(&self, name: &RepoName) -> Option<RepoName> {
        let mut gated = self.repositories.iter().filter(|(_, it)| it.gate.is_some());
        let called = |(own, it): &(&RepoName, &Repository)| {
            *own == name || it.aliases.iter().any(|alias| alias == name.as_str())
        };
        gated.find(called).map(|(own, _)| own.clone())
    }
}

impl Handler for Answers<'_> {
    async fn handle(&mut self, envelope: &Envelope) -> chassis::Verdict {
        let answer: CiAnswered = match envelope.open() {
            Ok(answer) => answer,
            Err(error) => return error.into(),
        };
        if let Some(repository) = self.gated(&answer.repository)
            && self.asking.heard(&repository, answer)
        {
            tracing::debug!(id = %envelope.id, %repository, "marked: CI found a commit good");
            // An error means that the service stops; the next start asks.
            let _stopping = self.marks.send(repository).await;
        }
        chassis::Verdict::Done
    }
}

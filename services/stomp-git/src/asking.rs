//! What CI has found, as the orchestrator says it: asked for, or said unasked.
//!
//! Nothing of it outlasts the connection: what was said while the bus was away was not heard, so it is asked again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{Bus, Handler, causes};
use events::{
    CommitId, Envelope, HostName, RepoName,
    message::{CiAnswered, CiAsked, CommitVerdict, Verdict},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use crate::{gate::Verdicts, settings::Repository};

/// Verdicts that are remembered of each repository: more than one question has.
const REMEMBERED: usize = 2 * CiAsked::MOST;

/// What was said is believed for so long, and then asked again: a word that took it back may have been lost.
const BELIEVED: Duration = Duration::from_secs(300);

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
    /// Counts the connections.
    connection: u64,
    by_repository: BTreeMap<RepoName, Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    verdicts: BTreeMap<CommitId, Word>,
    /// The oldest first.
    order: VecDeque<CommitId>,
    /// What a look that is under way asks for.
    asked: BTreeSet<CommitId>,
}

#[derive(Debug, Clone, Copy)]
struct Word {
    verdict: Verdict,
    /// The number of the answer that said it.
    answer: u64,
    at: Instant,
}

impl Remembered {
    /// Takes an answer in. True if a commit is good by it that was not known as such, and that no look waits for.
    fn heard(&mut self, verdicts: Vec<CommitVerdict>, answer: u64, now: Instant) -> bool {
        let mut news = false;
        for CommitVerdict { commit, verdict } in verdicts.into_iter().take(CiAsked::MOST) {
            let known = self.verdicts.get(&commit);
            let known = known.is_some_and(|word| word.verdict == Verdict::Good && word.counts(now));
            news |= verdict == Verdict::Good && !known && !self.asked.contains(&commit);
            let at = now;
            self.note(
                commit,
                Word {
                    verdict,
                    answer,
                    at,
                },
            );
        }
        news
    }

    fn note(&mut self, commit: CommitId, word: Word) {
        if self.verdicts.insert(commit.clone(), word).is_some() {
            self.order.retain(|known| *known != commit);
        }
        self.order.push_back(commit);
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }

    /// What was said after this answer, and not too long ago.
    fn since(&self, answer: u64, now: Instant) -> Verdicts {
        let known = self.verdicts.iter();
        let known = known.filter(|(_, word)| word.answer > answer && word.counts(now));
        known
            .map(|(commit, word)| (commit.clone(), word.verdict))
            .collect()
    }
}

impl Word {
    fn counts(&self, now: Instant) -> bool {
        now.duration_since(self.at) < BELIEVED
    }
}

impl Said {
    fn of(&mut self, repository: &RepoName) -> &mut Remembered {
        self.by_repository.entry(repository.clone()).or_default()
    }
}

impl Asking {
    pub(crate) fn new(host: HostName, bus: Bus, limit: Duration) -> Self {
        let said = Said {
            connected: bus.connected(),
            connection: 0,
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
            said.connection += 1;
            said.by_repository.clear();
        }
        said
    }

    /// Takes an answer in. True if the mirror is to be looked at for that.
    fn heard(&self, repository: &RepoName, answer: CiAnswered) -> bool {
        let number = *self.answers.borrow() + 1;
        let mut said = self.said();
        let news = said
            .of(repository)
            .heard(answer.verdicts, number, Instant::now());
        drop(said);
        self.answers.send_replace(number);
        news
    }

    fn since(&self, repository: &RepoName, answer: u64) -> Verdicts {
        self.said().of(repository).since(answer, Instant::now())
    }

    /// What CI has found of a repository's commits: what is remembered, what is asked for after that, and, most of all, what
    /// was heard while that was asked.
    ///
    /// # Errors
    /// One sentence: the bus is or was away, or nobody answered within the limit.
    pub(crate) async fn verdicts(
        &self,
        repository: &RepoName,
        questions: impl FnOnce(&Verdicts) -> Vec<CommitId>,
    ) -> Result<Verdicts, String> {
        let (connection, known) = {
            let mut said = self.said();
            let known = said.of(repository).since(0, Instant::now());
            (said.connection, known)
        };
        let commits = questions(&known);
        if commits.is_empty() {
            return Ok(known);
        }
        self.said().of(repository).asked = commits.iter().cloned().collect();
        let answered = self.ask(repository, &commits).await;
        let mut said = self.said();
        let same = said.connection == connection;
        let remembered = said.of(repository);
        remembered.asked.clear();
        let meanwhile = remembered.since(0, Instant::now());
        drop(said);
        let answered = answered?;
        if !same {
            return Err(unknown(commits.len(), "the bus was away meanwhile"));
        }
        let mut verdicts = known;
        verdicts.extend(answered);
        verdicts.extend(meanwhile);
        Ok(verdicts)
    }

    /// As many at a time as a message holds.
    async fn ask(&self, repository: &RepoName, commits: &[CommitId]) -> Result<Verdicts, String> {
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
        let cannot = |why: &str| unknown(commits.len(), why);
        if !*self.bus.connected().borrow() {
            return Err(cannot("the bus is away"));
        }
        let mut answers = self.answers.subscribe();
        let before = *answers.borrow_and_update();
        let asked = CiAsked {
            host: self.host.clone(),
            repository: repository.clone(),
            commits: commits.to_vec(),
        };
        let published = self.bus.publish(&asked).await;
        published.map_err(|error| cannot(&causes(&error)))?;
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
            cannot(&format!(
                "nobody answered within {limit} s; deploy-orchestrator does"
            ))
        })
    }
}

fn unknown(count: usize, why: &str) -> String {
    format!("it is not known what CI found of {count} new commits, so nothing new is taken: {why}")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn said(commit: &CommitId, verdict: Verdict) -> Vec<CommitVerdict> {
        let commit = commit.clone();
        vec![CommitVerdict { commit, verdict }]
    }

    #[test]
    fn a_verdict_is_believed_for_a_while_and_news_once() {
        let commit: CommitId = "1".repeat(40).parse().unwrap();
        let other: CommitId = "2".repeat(40).parse().unwrap();
        let (began, mut told) = (Instant::now(), Remembered::default());
        let good = Verdicts::from([(commit.clone(), Verdict::Good)]);
        assert!(told.heard(said(&commit, Verdict::Good), 1, began));
        assert!(!told.heard(said(&commit, Verdict::Good), 2, began), "known");
        assert_eq!(told.since(1, began), good);
        assert_eq!(told.since(2, began), Verdicts::new());
        let late = began + BELIEVED;
        assert_eq!(told.since(0, late - Duration::from_millis(1)), good);
        assert_eq!(told.since(0, late), Verdicts::new());
        assert!(told.heard(said(&commit, Verdict::Good), 3, late));
        assert!(!told.heard(said(&commit, Verdict::Bad), 4, late));
        assert!(told.heard(said(&commit, Verdict::Good), 5, late), "again");
        told.asked.insert(other.clone());
        let news = told.heard(said(&other, Verdict::Good), 6, late);
        assert!(!news, "a look has it");
        told.asked.clear();
        assert_eq!(told.since(5, late).len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes() {
        let id = |n: usize| -> CommitId { format!("{:040x}", n + 1).parse().unwrap() };
        let (now, mut told) = (Instant::now(), Remembered::default());
        for n in 0..=REMEMBERED {
            told.heard(said(&id(n), Verdict::Good), 1, now);
        }
        let known = told.since(0, now);
        assert_eq!((known.len(), told.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!known.contains_key(&id(0)) && known.contains_key(&id(1)));
    }
}

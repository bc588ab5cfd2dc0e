//! What CI says, and who asks for it.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{Delivery, Failure};
use events::{
    CommitId, RepoName,
    message::{Built, CiAnswered, CiAsked, CiFailed, CiSucceeded, CommitVerdict, Verdict},
};
use jiff::Timestamp;

use super::{Orchestrator, heard::open};
use crate::{ci::Said, deploy::About, told};

/// Commits by repository.
pub(super) type Commits = BTreeMap<RepoName, BTreeSet<CommitId>>;

impl Orchestrator {
    /// Results of builds: kept, then told to who waits for them, then acknowledged.
    pub(super) async fn verdicts(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        let mut taken = Vec::new();
        let mut found = Commits::new();
        for delivery in batch {
            let ended = open(&delivery, |envelope| {
                if envelope.is::<CiFailed>() {
                    let failed = envelope.open::<CiFailed>()?;
                    return Ok((failed.build, Said::Failed(failed.result)));
                }
                let succeeded = envelope.open::<CiSucceeded>()?;
                Ok((succeeded.build, Said::Succeeded))
            });
            match ended {
                Ok(((build, said), sent)) => {
                    if let Some(repository) = self.heard_of_build(&build, said, sent) {
                        found.entry(repository).or_default().insert(build.commit);
                    }
                    taken.push(delivery);
                }
                Err(cause) => self.put_aside(delivery, cause),
            }
        }
        self.forget_builds();
        self.commit().await?;
        // A result that comes again, since it was not acknowledged, is told again.
        let mut answers = self.answers(found);
        for answer in &mut answers {
            let decided = |it: &CommitVerdict| matches!(it.verdict, Verdict::Good | Verdict::Bad);
            answer.verdicts.retain(decided);
        }
        answers.retain(|answer| !answer.verdicts.is_empty());
        self.sender.answer(answers, taken);
        self.bump();
        Ok(())
    }

    /// Takes in what CI said. The repository by its own name; `None` if there is no room for one more.
    pub(super) fn heard_of_build(
        &mut self,
        build: &Built,
        said: Said,
        sent: Timestamp,
    ) -> Option<RepoName> {
        let settings = &self.parts.settings;
        let repository = settings.repository(&build.repository).clone();
        let named = settings
            .projects
            .values()
            .map(|project| &project.repository);
        let named = named.chain(settings.repositories.keys()).collect();
        let ci = &mut self.known.ci;
        if !ci.has_room_for(&repository, &named) {
            tracing::warn!(%repository, "CI builds too many repositories that no settings name; one more is not taken down");
            return None;
        }
        let at = sent.min(self.parts.world.clock.now());
        let jobs = settings.ci_jobs(&repository);
        if ci.heard(&repository, build, said, at, jobs)
            && let Some(commit) = ci.commit(&repository, &build.commit)
        {
            let kept = (repository.clone(), build.commit.clone(), commit.clone());
            let forgotten = &mut self.changes.ci_forgotten;
            forgotten.retain(|(of, id)| (of, id) != (&repository, &build.commit));
            self.changes.ci.push(kept);
        }
        Some(repository)
    }

    /// Keeps what CI said bounded.
    pub(super) fn forget_builds(&mut self) {
        let keep = self.parts.settings.ci_keep();
        let gone = self.known.ci.forget(self.now(), keep);
        self.changes.ci_forgotten.extend(gone);
    }

    /// Notes who asks; all who ask at once for the same get one answer.
    pub(super) fn asked_for_verdicts(asked: CiAsked, of: &mut Commits) {
        let commits = of.entry(asked.repository).or_default();
        commits.extend(asked.commits.into_iter().take(CiAsked::MOST));
    }

    /// What CI has found of these, in messages that fit.
    pub(super) fn answers(&self, of: Commits) -> Vec<CiAnswered> {
        let settings = &self.parts.settings;
        let mut answers = Vec::new();
        for (repository, commits) in of {
            let own = settings.repository(&repository);
            let jobs = settings.ci_jobs(own);
            let verdict = |commit: CommitId| CommitVerdict {
                verdict: self.known.ci.verdict(own, &commit, jobs),
                commit,
            };
            let verdicts: Vec<CommitVerdict> = commits.into_iter().map(verdict).collect();
            answers.extend(verdicts.chunks(CiAsked::MOST).map(|verdicts| CiAnswered {
                repository: repository.clone(),
                verdicts: verdicts.to_vec(),
            }));
        }
        answers
    }

    /// A deploy that goes past CI is said out loud when it begins, with its reason.
    pub(super) fn say_untested(&mut self, about: &About) {
        if !about.untested {
            return;
        }
        self.say_of(about, told::untested(about));
    }

    /// So is one for which the glass was broken.
    pub(super) fn say_broken_glass(&mut self, about: &About) {
        if let Some(past) = &about.broke_glass {
            self.say_of(about, told::broke_glass(about, past));
        }
    }

    fn say_of(&mut self, about: &About, said: events::message::Said) {
        tracing::warn!(deploy = %about.id, project = %about.project, "{}", said.text());
        let line = said.text().to_owned();
        self.changes.lines.push((about.id, self.now(), line));
        self.said.push(said);
    }
}

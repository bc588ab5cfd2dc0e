//! What the API shows of what CI said.

use std::collections::BTreeSet;

use events::{CommitId, JobName, ProjectName, RefKind, RepoName, message::Verdict};

use super::Scene;
use crate::{
    api::{CiJob, CiView},
    ci::Job,
    refused::{Kind, Refused},
    settings::Project,
    texts,
};

/// The fewest digits of a commit id that are taken.
const PREFIX: usize = 7;
/// Commits that one answer lists.
const LISTED: usize = 100;

impl Scene<'_> {
    /// What CI has found of a commit; `None` where it said nothing and nobody asks for it.
    pub(super) fn verdict(&self, project: &Project, commit: &CommitId) -> Option<Verdict> {
        let jobs = self.settings.ci_jobs(&project.repository);
        let verdict = self.known.ci.verdict(&project.repository, commit, jobs);
        (project.requires_ci || verdict != Verdict::Unknown).then_some(verdict)
    }

    /// What CI has said of a repository (by one of its names, or a project's), the newest first, or of one revision: a tag,
    /// a branch, a commit id or the beginning of one.
    ///
    /// # Errors
    /// When the repository is unknown, or the revision.
    pub fn ci(
        &self,
        name: &RepoName,
        revision: Option<&str>,
        limit: usize,
    ) -> Result<Vec<CiView>, Refused> {
        let repository = self.ci_repository(name)?;
        let jobs = self.settings.ci_jobs(&repository);
        if let Some(revision) = revision {
            let commits = self.ci_commits(&repository, revision);
            if commits.is_empty() {
                let error = format!(
                    "{revision:?} is neither a tag or branch that a host has, nor a commit of {repository} that CI has spoken of"
                );
                let next = format!("deploykit ci {repository}");
                return Err(Refused::new(Kind::Unknown, error).next(next));
            }
            let views = commits.iter();
            return Ok(views
                .map(|id| self.ci_view(&repository, id, jobs))
                .collect());
        }
        let newest = self.known.ci.newest(&repository, limit.min(LISTED));
        let views = newest.into_iter();
        Ok(views
            .map(|(id, _)| self.ci_view(&repository, id, jobs))
            .collect())
    }

    fn ci_repository(&self, name: &RepoName) -> Result<RepoName, Refused> {
        let settings = self.settings;
        let own = settings.repository(name);
        let named = settings
            .projects
            .values()
            .any(|project| project.repository == *own);
        let spoken_of = !self.known.ci.newest(own, 1).is_empty();
        if named || spoken_of || settings.repositories.contains_key(own) {
            return Ok(own.clone());
        }
        let project = name.as_str().parse::<ProjectName>().ok();
        let project = project.and_then(|project| settings.projects.get(&project));
        project
            .map(|project| project.repository.clone())
            .ok_or_else(|| {
                let error = format!(
                    "no repository or project is called {:?} here",
                    name.as_str()
                );
                let known: BTreeSet<_> = { settings.projects.values() }
                    .map(|project| &project.repository)
                    .chain(settings.repositories.keys())
                    .collect();
                Refused::new(Kind::Unknown, error).exists(known)
            })
    }

    fn ci_commits(&self, repository: &RepoName, revision: &str) -> BTreeSet<CommitId> {
        let tips =
            { self.known.refs.get(repository).into_iter().flatten() }.flat_map(|(_, tips)| tips);
        let named = tips.filter(|tip| match tip.name.kind() {
            RefKind::Tag(name) | RefKind::Branch(name) => name == revision,
            RefKind::Other(_) => false,
        });
        let named: BTreeSet<CommitId> = named.map(|tip| tip.commit.clone()).collect();
        if !named.is_empty() {
            return named;
        }
        let id = revision.to_lowercase();
        if let Ok(whole) = id.parse() {
            return BTreeSet::from([whole]);
        }
        if id.len() < PREFIX {
            return named;
        }
        let found = self.known.ci.beginning(repository, &id);
        found.take(LISTED).cloned().collect()
    }

    fn ci_view(&self, repository: &RepoName, id: &CommitId, jobs: &BTreeSet<JobName>) -> CiView {
        let commit = self.known.ci.commit(repository, id);
        let verdict = self.known.ci.verdict(repository, id, jobs);
        let tips =
            { self.known.refs.get(repository).into_iter().flatten() }.flat_map(|(_, tips)| tips);
        let names = tips.filter(|tip| tip.commit == *id);
        let names: BTreeSet<&str> = names
            .filter_map(|tip| match tip.name.kind() {
                RefKind::Tag(name) | RefKind::Branch(name) => Some(name),
                RefKind::Other(_) => None,
            })
            .collect();
        let said = commit.into_iter().flat_map(|commit| &commit.jobs);
        CiView {
            repository: repository.clone(),
            commit: id.clone(),
            verdict,
            why: (verdict != Verdict::Good).then(|| texts::ci::not_good(id, commit, jobs)),
            names: names.into_iter().map(str::to_owned).collect(),
            heard: commit.map(|commit| commit.heard),
            jobs: said
                .map(|(name, job)| job_view(name, job, jobs.is_empty() || jobs.contains(name)))
                .collect(),
        }
    }
}

fn job_view(name: &JobName, job: &Job, counts: bool) -> CiJob {
    let ended = job.result.as_ref();
    CiJob {
        job: name.clone(),
        counts,
        number: ended.map_or(job.number, |ended| ended.number),
        ended: ended.is_some(),
        failed: ended.and_then(|ended| ended.failed),
        at: ended.map_or(job.at, |ended| ended.at),
        url: ended.map_or(&job.url, |ended| &ended.url).clone(),
    }
}

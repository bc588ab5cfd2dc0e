//! Where no agent is running: the same project, opened here, under the lock of its journal.

use std::path::Path;

use chassis::{Failure, causes};
use events::{
    HostName, ProjectName,
    message::{Ordered, Phase, Reported},
};
use tokio_util::sync::CancellationToken;
use world::{World, own_uid};

use super::{Answer, Entry, Note, Request, Standing, Status, socket::unknown, who};
use crate::{
    journal,
    layout::Layout,
    machine::{State, report::Whose},
    opening::Shared,
    project::{Alone, Project, Unusable, history, standing},
    settings::Settings,
    trust::Trust,
};

/// What it takes.
#[derive(Debug)]
pub struct Here<'a> {
    /// This host.
    pub host: &'a HostName,
    /// The agent's settings.
    pub settings: &'a Settings,
    /// The outside.
    pub world: &'a World,
    /// Who asks.
    pub uid: u32,
}

impl Here<'_> {
    /// Does what is asked for, telling each report.
    ///
    /// # Errors
    /// Settings that cannot be used; an agent that is running after all.
    pub async fn answer(
        &self,
        request: Request,
        each: impl FnMut(&Reported),
    ) -> Result<Answer, Failure> {
        let refused = |reason| Ok(Answer::Refused { reason });
        match request {
            Request::Status { project } => match self.status(project.as_ref()).await {
                Ok(status) => Ok(Answer::Status(status)),
                Err(reason) => refused(reason),
            },
            Request::History { project, limit } => match self.history(&project, limit).await {
                Ok(entries) => Ok(Answer::History { entries }),
                Err(reason) => refused(reason),
            },
            Request::Rollback { project, note } => {
                let what = self.person(Phase::Rollback, note).await;
                self.carry_out(&project, what, each).await
            }
            Request::Clear { project, note } => {
                let what = self.person(Phase::Clear, note).await;
                self.carry_out(&project, what, each).await
            }
            Request::Apply { ordered } => match self.believed(&ordered).await {
                Ok(what) => self.carry_out(&ordered.project, what, each).await,
                Err(reason) => refused(reason),
            },
        }
    }

    async fn person(&self, phase: Phase, note: Note) -> Alone {
        let who = who::at_host(self.world, self.uid, note).await;
        Alone::Do(phase, Box::new(who))
    }

    async fn believed(&self, ordered: &Ordered) -> Result<Alone, String> {
        let trust = Trust::of(self.settings);
        let admitted = trust.believe(self.world, ordered, self.host).await?;
        Ok(Alone::Order(Box::new(admitted)))
    }

    async fn carry_out(
        &self,
        project: &ProjectName,
        what: Alone,
        each: impl FnMut(&Reported),
    ) -> Result<Answer, Failure> {
        let Some(own) = self.settings.projects.get(project) else {
            let reason = unknown(project, self.settings.projects.keys());
            return Ok(Answer::Refused { reason });
        };
        let stop = CancellationToken::new();
        let (shared, _said) =
            Shared::of(self.world, self.settings, self.host.clone(), &stop).await?;
        let open = shared.open(self.world, self.settings, project, own);
        let opened = match Project::open(open).await {
            Ok((opened, _mail)) => opened,
            Err(Unusable::InUse(reason)) => {
                let path = self.settings.control();
                return Err(anyhow::anyhow!(
                    "{reason}, and no agent answers on {}: is another agent running with other settings?",
                    path.display()
                )
                .into());
            }
            Err(Unusable::Stuck(reason)) => return Ok(Answer::Refused { reason }),
        };
        Ok(match opened.carry_out(what, each).await {
            Ok(report) => Answer::Report {
                report: Box::new(report),
            },
            Err(reason) => Answer::Refused { reason },
        })
    }

    async fn status(&self, only: Option<&ProjectName>) -> Result<Status, String> {
        let mut projects = Vec::new();
        if let Some(only) = only {
            self.known(only)?;
        }
        for (name, own) in &self.settings.projects {
            if only.is_some_and(|only| only != name) {
                continue;
            }
            let environment = own.environment.clone();
            projects.push(match self.state(name).await {
                Ok((state, whose)) => standing(&state, &whose, environment),
                Err(reason) => Standing::stuck(name, environment, reason),
            });
        }
        Ok(Status {
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running: false,
            connected: false,
            projects,
        })
    }

    async fn history(&self, project: &ProjectName, most: usize) -> Result<Vec<Entry>, String> {
        self.known(project)?;
        let (state, whose) = self.state(project).await?;
        Ok(history(&state, &whose, most))
    }

    pub(super) fn known(&self, project: &ProjectName) -> Result<(), String> {
        match self.settings.projects.contains_key(project) {
            true => Ok(()),
            false => Err(unknown(project, self.settings.projects.keys())),
        }
    }

    async fn state(&self, project: &ProjectName) -> Result<(State, Whose), String> {
        let bytes = self.journal(project).await?;
        let replayed = journal::replay(&bytes).map_err(|damage| causes(&damage))?;
        let whose = Whose {
            host: self.host.clone(),
            project: project.clone(),
        };
        Ok((State::replay(&replayed.records), whose))
    }

    /// Reading takes no lock: a journal only grows. One that is not there is empty.
    pub(super) async fn journal(&self, project: &ProjectName) -> Result<Vec<u8>, String> {
        let path = Layout::new(&self.settings.base, project).journal();
        let file = path.clone();
        let read = self.world.on_disk(move |disk| match disk.read(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        });
        read.await
            .map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Whose the folder is, where that is another user: files that this one makes there the agent could not use.
#[must_use]
pub fn owner(base: &Path, world: &World) -> Option<(u32, u32)> {
    let stamp = world.disk.stamp(base).ok()??;
    (stamp.owner.0 != own_uid()).then_some(stamp.owner)
}

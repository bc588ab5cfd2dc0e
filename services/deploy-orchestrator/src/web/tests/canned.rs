//! An orchestrator that answers from values, and notes what it was asked to do.

use std::sync::{Arc, Mutex};

use super::values::{at, id};
use crate::{
    api::{
        Action, DeployView, HostView, OutputView, Plan, PlanRequest, ProjectHost, Status, TagView,
    },
    app::{Answer, App, Control, Request},
    refused::{Kind, Refused},
};

/// What the orchestrator knows, and what it was asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Canned {
    pub(crate) status: Status,
    pub(crate) hosts: Vec<HostView>,
    pub(crate) tags: Vec<TagView>,
    pub(crate) deploys: Vec<DeployView>,
    pub(crate) output: Vec<OutputView>,
    pub(crate) started: Vec<Plan>,
    pub(crate) controlled: Vec<(String, Control)>,
}

/// The handle, with what is behind it.
pub(crate) fn app(canned: Canned) -> (App, Arc<Mutex<Canned>>, tokio::sync::watch::Sender<u64>) {
    let (app, mut asked, changed) = App::new();
    let canned = Arc::new(Mutex::new(canned));
    let behind = Arc::clone(&canned);
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        while let Some(request) = asked.recv().await {
            behind.lock().unwrap().answer(request);
        }
    });
    (app, canned, changed)
}

impl Canned {
    fn answer(&mut self, request: Request) {
        // Nobody may wait any more: a page that was closed.
        match request {
            Request::Status(to) => drop(to.send(Ok(self.status.clone()))),
            Request::Hosts(to) => drop(to.send(Ok(self.hosts.clone()))),
            Request::Tags(_, to) => drop(to.send(Ok(self.tags.clone()))),
            Request::Plan(request, to) => drop(to.send(self.plan(&request))),
            Request::DeployFromPage(plan, to) => {
                self.started.push(*plan);
                drop(to.send(Ok(self.deploys[0].clone())));
            }
            Request::List(project, limit, to) => {
                let wanted = |d: &&DeployView| project.as_ref().is_none_or(|p| *p == d.project);
                let found = self.deploys.iter().filter(wanted).take(limit).cloned();
                drop(to.send(Ok(found.collect())));
            }
            Request::Show(id, to) => drop(to.send(self.show(&id))),
            Request::Output(_, host, step, to) => {
                let wanted = |piece: &&OutputView| {
                    host.as_ref().is_none_or(|host| *host == piece.host)
                        && step.is_none_or(|step| step == piece.step)
                };
                let found = self.output.iter().filter(wanted).cloned();
                drop(to.send(Ok(found.collect())));
            }
            Request::Control(id, control, to) => {
                self.controlled.push((id.clone(), control));
                drop(to.send(self.show(&id)));
            }
            other => panic!("no page asks {other:?}"),
        }
    }

    fn show(&self, id: &str) -> Answer<DeployView> {
        let mut found = self
            .deploys
            .iter()
            .filter(|deploy| deploy.id.to_string().starts_with(id));
        let unknown = || Refused::new(Kind::Unknown, format!("there is no deploy {id:?}"));
        found
            .next()
            .cloned()
            .ok_or_else(|| unknown().next("deploykit history"))
    }

    fn plan(&self, request: &PlanRequest) -> Answer<Plan> {
        let project = self
            .status
            .projects
            .iter()
            .find(|p| p.project == request.project)
            .unwrap();
        let tag = self
            .tags
            .iter()
            .find(|tag| Some(tag.tag.as_str()) == request.revision.as_deref());
        if request.action == Action::Deploy && tag.is_none() {
            let error = format!(
                "no server has the tag {:?}",
                request.revision.as_deref().unwrap()
            );
            return Err(Refused::new(Kind::Unknown, error)
                .exists(self.tags.iter().map(|tag| &tag.tag))
                .next("choose one of them"));
        }
        let on = request.on.clone().unwrap();
        let wanted = |host: &&ProjectHost| on.iter().any(|name| *name == host.host.as_str());
        let now: Vec<ProjectHost> = project.hosts.iter().filter(wanted).cloned().collect();
        let targets: Vec<_> = now.iter().map(|host| host.host.clone()).collect();
        let (canary, rest) = targets.split_at(1);
        Ok(Plan {
            grant: orders::Grant {
                id: id(99),
                project: request.project.clone(),
                environment: project.environment.clone(),
                action: request.action.into(),
                commit: tag.map(|tag| tag.commit.clone()),
                tag: tag.map(|tag| tag.tag.clone()),
                branch: None,
                targets: String::new(),
                clears: Vec::new(),
                reason: request.reason.clone(),
                not_before: at(0),
                expires: at(3600),
            },
            untested: request.untested,
            waves: [canary.to_vec(), rest.to_vec()]
                .into_iter()
                .filter(|w| !w.is_empty())
                .collect(),
            targets,
            now,
            warnings: tag
                .filter(|tag| !tag.missing.is_empty())
                .map_or_else(Vec::new, |tag| {
                    vec![format!(
                        "web3 has not fetched {} yet; the deploy waits for it",
                        tag.tag
                    )]
                }),
        })
    }
}

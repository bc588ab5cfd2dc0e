//! Requests of people, from the API and the page.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chassis::Failure;
use events::{HostName, ProjectName};
use orders::{Grant, Standing};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Orchestrator;
use crate::{
    api::{
        Action, DeployRequest, DeployState, DeployView, HostView, Plan, PlanRequest, Status,
        TagView,
    },
    app::{Answer, Control, Request},
    deploy::{About, Deploy},
    plan::{self, Context},
    refused::{Kind, Refused},
    rollout::{Input, Rollout, Spec},
    texts, told, waves,
};

/// Who asks may have gone; then nobody needs the answer.
fn reply<T>(to: oneshot::Sender<T>, answer: T) {
    let _gone = to.send(answer);
}

impl Orchestrator {
    pub(super) async fn answer(&mut self, request: Request) -> Result<(), Failure> {
        match request {
            Request::Status(to) => reply(to, Ok(self.status())),
            Request::Hosts(to) => reply(to, Ok(self.scene().hosts())),
            Request::Admit(host, to) => reply(to, self.admit(host).await?),
            Request::Looked(host, to) => reply(to, self.looked(host).await?),
            Request::Ci(repository, revision, limit, to) => {
                reply(to, self.scene().ci(&repository, revision.as_deref(), limit))
            }
            Request::Tags(project, to) => reply(to, self.tags(&project)),
            Request::Plan(request, to) => reply(to, self.plan(&request)),
            Request::Deploy(request, to) => reply(to, self.deploy(request).await?),
            Request::DeployFromPage(plan, to) => reply(to, self.deploy_from_page(*plan).await?),
            Request::List(project, limit, to) => {
                let deploys = self
                    .parts
                    .store
                    .deploys(project, limit)
                    .await
                    .context("cannot read the history")?;
                reply(to, Ok(deploys.iter().map(texts::view).collect()));
            }
            Request::Show(id, to) => {
                reply(to, self.find(&id).await?.map(|deploy| texts::view(&deploy)))
            }
            Request::Output(id, host, step, to) => {
                self.commit().await?;
                let answer = match self.find(&id).await? {
                    Err(refused) => Err(refused),
                    Ok(deploy) => {
                        let output = self.parts.store.output(deploy.about.id, host, step).await;
                        Ok(output.context("cannot read output")?)
                    }
                };
                reply(to, answer);
            }
            Request::Lines(id, to) => {
                let answer = match self.find(&id).await? {
                    Err(refused) => Err(refused),
                    Ok(deploy) => Ok(self
                        .parts
                        .store
                        .lines(deploy.about.id)
                        .await
                        .context("cannot read lines")?),
                };
                reply(to, answer);
            }
            Request::Control(id, control, to) => reply(to, self.control(&id, control).await?),
        }
        Ok(())
    }

    fn status(&self) -> Status {
        let running: Vec<DeployView> = self.running.values().map(texts::view).collect();
        self.scene().status(&running)
    }

    fn tags(&self, project: &ProjectName) -> Answer<Vec<TagView>> {
        let project = plan::find_project(&self.parts.settings, project)?;
        Ok(self.scene().tags(project))
    }

    async fn admit(&mut self, host: HostName) -> Result<Answer<HostView>, Failure> {
        let Some(known) = self.known.hosts.get_mut(&host) else {
            if self.parts.settings.names(&host) {
                return Ok(Ok(self.scene().host(&host)));
            }
            let error = format!("nothing was ever heard of {host}: start its agent first");
            return Ok(Err(
                Refused::new(Kind::Unknown, error).exists(self.known.hosts.keys())
            ));
        };
        known.admitted = true;
        tracing::info!(%host, "admitted");
        self.said.push(told::admitted(&host));
        self.met.insert(host.clone());
        self.commit().await?;
        self.bump();
        Ok(Ok(self.scene().host(&host)))
    }

    /// What was wrong with the journals of a host was looked at. It admits nobody.
    async fn looked(&mut self, host: HostName) -> Result<Answer<HostView>, Failure> {
        let Some(known) = self.known.hosts.get_mut(&host) else {
            let error = format!("nothing was ever heard of {host}");
            return Ok(Err(
                Refused::new(Kind::Unknown, error).exists(self.known.hosts.keys())
            ));
        };
        known.looked_at();
        tracing::info!(%host, "its journals were looked at");
        self.met.insert(host.clone());
        self.commit().await?;
        self.bump();
        Ok(Ok(self.scene().host(&host)))
    }

    fn plan(&self, request: &PlanRequest) -> Answer<Plan> {
        plan::plan(
            request,
            &self.context(&self.deploys(), self.parts.world.new_id()),
        )
    }

    fn context<'a>(&'a self, running: &'a [&'a Deploy], new_id: Uuid) -> Context<'a> {
        Context {
            scene: self.scene(),
            running,
            new_id,
        }
    }

    async fn deploy_from_page(&mut self, plan: Plan) -> Result<Answer<DeployView>, Failure> {
        match self.parts.trust.sign_for_page(&plan.grant) {
            Err(refused) => Ok(Err(refused)),
            Ok(grant) => {
                self.deploy(DeployRequest {
                    grant,
                    targets: plan.targets,
                    untested: plan.untested,
                })
                .await
            }
        }
    }

    async fn deploy(&mut self, request: DeployRequest) -> Result<Answer<DeployView>, Failure> {
        let rules = match self.parts.trust.rules().await {
            Ok(rules) => rules,
            Err(error) => return Ok(Err(Refused::new(Kind::Trouble, error))),
        };
        let (verified, standing) = match rules.allow(&request.grant, self.now()) {
            Ok(allowed) => allowed,
            Err(refused) => return Ok(Err(refused)),
        };
        let grant = verified.document;
        let known = self
            .parts
            .store
            .find(&grant.id.to_string())
            .await
            .context("cannot look a grant up")?;
        if let Some(known) = known.first() {
            // The same request again, since its answer was lost.
            return Ok(if known.about.digest == verified.digest {
                Ok(texts::view(self.running.get(&grant.id).unwrap_or(known)))
            } else {
                Err(Refused::new(
                    Kind::Busy,
                    format!("another grant with the id {} was used already", grant.id),
                ))
            });
        }
        let mut targets = request.targets;
        targets.sort_unstable();
        targets.dedup();
        let untested = request.untested;
        let running = self.deploys();
        let context = self.context(&running, grant.id);
        if let Err(refused) = plan::check(&grant, &targets, untested, &context) {
            return Ok(Err(refused));
        }
        let mut about = self.about(grant, standing, targets, request.grant, verified.digest);
        about.0.untested = untested && about.0.action == Action::Deploy;
        self.begin(about).await.map(Ok)
    }

    fn about(
        &self,
        grant: Grant,
        Standing {
            by, broke_glass, ..
        }: Standing,
        targets: Vec<HostName>,
        signed: events::message::Signed,
        digest: String,
    ) -> (About, Grant) {
        let about = About {
            id: grant.id,
            project: grant.project.clone(),
            environment: grant.environment.clone(),
            action: grant.action.into(),
            commit: grant.commit.clone(),
            tag: grant.tag.clone(),
            undoes: None,
            reason: grant.reason.clone(),
            untested: false,
            broke_glass,
            by,
            created: self.now(),
            targets,
            grant: signed,
            digest,
        };
        (about, grant)
    }

    async fn begin(&mut self, (mut about, grant): (About, Grant)) -> Result<DeployView, Failure> {
        let settings = &self.parts.settings;
        let project = settings
            .projects
            .get(&about.project)
            .context("a checked project is gone")?;
        let sizes = match about.action {
            Action::Deploy => &project.waves,
            Action::Rollback | Action::Clear => &project.rollback_waves,
        };
        let live =
            |host: &HostName| Some((host.clone(), self.known.live(host, &about.project)?.clone()));
        let before: BTreeMap<_, _> = about.targets.iter().filter_map(live).collect();
        let undone = plan::undo::undone(&about.project, &self.deploys())
            .filter(|_| about.action == Action::Rollback);
        let left = undone.map(|undone| plan::undo::left(&about.targets, undone));
        let left = left.unwrap_or_default();
        let undone = undone.map(|undone| undone.about.id);
        about.undoes = undone;
        let rollout = Rollout::new(Spec {
            deploy: about.id,
            action: about.action,
            policy: settings.rules(project, self.now(), grant.expires),
            waves: waves::split(&about.targets, sizes, &project.canary),
            before,
            left: left.clone(),
        });
        if let Some(undone) = undone {
            // A rollback does not wait for a deploy that is under way.
            let hosts = about
                .targets
                .iter()
                .filter(|host| !left.contains_key(*host));
            let hosts = hosts.cloned().collect();
            self.feed(
                undone,
                Input::TakenOver {
                    by: about.id,
                    hosts,
                },
            );
        }
        let id = about.id;
        tracing::info!(deploy = %id, project = %about.project, by = about.by.join(", "), hosts = about.targets.len(), "{} begins", about.title());
        self.say_untested(&about);
        self.say_broken_glass(&about);
        let deploy = Deploy { about, rollout };
        self.said.push(told::asked(&deploy));
        self.changes.deploys.push(deploy.clone());
        self.running.insert(id, deploy);
        self.feed(id, Input::Begin);
        let view = self
            .running
            .get(&id)
            .map(texts::view)
            .context("a deploy that began is gone")?;
        self.commit().await?;
        Ok(view)
    }

    /// The only deploy whose id begins or ends so.
    async fn find(&self, id: &str) -> Result<Answer<Deploy>, Failure> {
        if let Ok(whole) = id.parse::<Uuid>()
            && let Some(deploy) = self.running.get(&whole)
        {
            return Ok(Ok(deploy.clone()));
        }
        let found = self
            .parts
            .store
            .find(id)
            .await
            .context("cannot look a deploy up")?;
        let mut found = found.into_iter();
        Ok(match (found.next(), found.next()) {
            (Some(only), None) => Ok(self.running.get(&only.about.id).cloned().unwrap_or(only)),
            (None, _) => {
                let shown: String = id.chars().take(80).collect();
                let error = format!("there is no deploy {shown:?}");
                Err(Refused::new(Kind::Unknown, error).next("deploykit history"))
            }
            (Some(first), Some(second)) => {
                let all = [first, second]
                    .into_iter()
                    .chain(found)
                    .map(|deploy| deploy.about.id);
                let error = format!("{id:?} is the beginning or end of more than one deploy id");
                Err(Refused::new(Kind::NotUnderstood, error).exists(all))
            }
        })
    }

    async fn control(&mut self, id: &str, control: Control) -> Result<Answer<DeployView>, Failure> {
        let deploy = match self.find(id).await? {
            Ok(deploy) => deploy,
            Err(refused) => return Ok(Err(refused)),
        };
        let id = deploy.about.id;
        if !self.running.contains_key(&id) {
            let state = texts::state(&deploy.rollout);
            let word = texts::state_word(state);
            let error = format!("{} has ended: it {word}", deploy.about.title());
            // Only what went live can be taken back.
            let next = match state {
                DeployState::Succeeded => format!("deploykit rollback {}", deploy.about.project),
                _ => format!("deploykit show {id}"),
            };
            return Ok(Err(Refused::new(Kind::Impossible, error).next(next)));
        }
        self.feed(
            id,
            match control {
                Control::Abort => Input::Abort,
                Control::Pause => Input::Pause,
                Control::Resume => Input::Resume,
            },
        );
        let view = self
            .running
            .get(&id)
            .map(texts::view)
            .context("a deploy under way is gone")?;
        self.commit().await?;
        Ok(Ok(view))
    }
}

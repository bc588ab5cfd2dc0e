//! The commands that ask a running orchestrator: `deploy`, `rollback`, `clear`, `status`, `hosts`, `tags`, `show`, `logs`,
//! `history`, `abort`, `pause`, `resume`.

mod ci;
mod clear;
mod consented;
mod hosts;

use deploy_orchestrator::api::{
    Action, ApiError, DeployRequest, DeployState, DeployView, OutputView, Plan, PlanRequest,
    Status, TagView,
};
use events::{HostName, ProjectName};
use serde::{Serialize, de::DeserializeOwned};
use world::World;

use std::path::Path;

use crate::{
    cli::{Ask, Control, Deploy, History, Logs, Rollback, Show, Status as StatusArgs, Tags},
    client::Client,
    failure::Failure,
    home::Home,
    own_name,
    screen::{self, DIM, Progress, complain, paint, say, say_all, say_json},
    trust, words,
};

/// A running orchestrator, and this person's key.
#[derive(Debug)]
pub struct Session<'a> {
    home: Home,
    client: Client,
    world: &'a World,
    /// How this program was started, for the commands that it proposes.
    typed: String,
}

impl<'a> Session<'a> {
    /// A session with the orchestrator that `home` names; `at` is the folder that it was found by. Nothing is sent yet.
    ///
    /// # Errors
    /// See [`Client::new`].
    pub fn new(home: Home, at: Option<&Path>, world: &'a World) -> Result<Self, Failure> {
        let client = Client::new(&home)?;
        let typed = own_name(at);
        Ok(Self {
            home,
            client,
            world,
            typed,
        })
    }

    /// `deploykit deploy`
    ///
    /// # Errors
    /// When it is refused, or fails.
    pub async fn deploy(&self, args: &Deploy) -> Result<(), Failure> {
        let request = PlanRequest {
            project: args.project.clone(),
            action: Action::Deploy,
            revision: Some(args.revision.clone()),
            on: targets(&args.ask),
            untested: args.untested,
            clear: args.clear,
            reason: args.ask.reason.clone(),
        };
        self.carry_out(&request, &args.ask).await
    }

    /// `deploykit rollback`
    ///
    /// # Errors
    /// When it is refused, or fails.
    pub async fn rollback(&self, args: &Rollback) -> Result<(), Failure> {
        let request = PlanRequest {
            project: args.project.clone(),
            action: Action::Rollback,
            revision: None,
            on: targets(&args.ask),
            untested: false,
            clear: false,
            reason: args.ask.reason.clone(),
        };
        self.carry_out(&request, &args.ask).await
    }

    async fn carry_out(&self, request: &PlanRequest, ask: &Ask) -> Result<(), Failure> {
        let plan = self.plan(request).await?;
        if ask.dry_run {
            show(ask.json, &plan, words::plan);
            return Ok(());
        }
        let mut progress = if ask.json {
            Progress::quiet()
        } else {
            say_all(words::plan(&plan));
            Progress::new("  ")
        };
        let ended = self
            .submit(request, &plan, ask, |view| progress.show(view))
            .await;
        progress.finish();
        let view = ended?;
        if ask.json {
            say_json(&view);
        } else {
            self.tell_outcome(&view);
        }
        if view.state == DeployState::Succeeded {
            Ok(())
        } else {
            Err(Failure::Told)
        }
    }

    /// Asks what a deploy would do.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn plan(&self, request: &PlanRequest) -> Result<Plan, Failure> {
        self.client.post("/api/v1/plans", request).await
    }

    /// Asks for anything else.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.client.get(path).await
    }

    /// Signs the grant of a plan, hands it in and follows the deploy to its end.
    ///
    /// # Errors
    /// When the grant is not what was asked for, the key cannot be used, or the orchestrator refuses or is lost.
    pub async fn submit(
        &self,
        request: &PlanRequest,
        plan: &Plan,
        ask: &Ask,
        each: impl FnMut(&DeployView),
    ) -> Result<DeployView, Failure> {
        self.consent(request, plan, ask)?;
        let key_file = ask.key.as_ref().unwrap_or(&self.home.key_file);
        let key = trust::read_key(key_file, &*self.world.disk)?;
        let grant =
            orders::sign(&plan.grant, &key).map_err(|error| Failure::Failed(error.to_string()))?;
        let request = DeployRequest {
            grant,
            targets: plan.targets.clone(),
            untested: request.untested,
        };
        let view: DeployView = self.client.post("/api/v1/deploys", &request).await?;
        self.client.watch(&view.id.to_string(), each).await
    }

    /// `deploykit status`
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn status(&self, args: &StatusArgs) -> Result<(), Failure> {
        let mut status: Status = self.client.get("/api/v1/status").await?;
        if let Some(wanted) = &args.project {
            known_project(wanted, &status)?;
            status.projects.retain(|project| project.project == *wanted);
        }
        show(args.json, &status, words::status);
        Ok(())
    }

    /// `deploykit tags`
    ///
    /// # Errors
    /// When the project is unknown.
    pub async fn tags(&self, args: &Tags) -> Result<(), Failure> {
        let tags: Vec<TagView> = self
            .client
            .get(&format!("/api/v1/projects/{}/tags", args.project))
            .await?;
        show(args.json, &tags, |tags| words::tags(tags));
        Ok(())
    }

    /// `deploykit show`
    ///
    /// # Errors
    /// When the deploy is unknown.
    pub async fn show(&self, args: &Show) -> Result<(), Failure> {
        let view = self.deploy_view(&args.id).await?;
        if args.json {
            say_json(&view);
            return Ok(());
        }
        say(format!(
            "{}  asked for by {} at {}",
            view.id,
            view.by.join(", "),
            words::when(view.created)
        ));
        self.tell_outcome(&view);
        for host in view
            .waves
            .iter()
            .flat_map(|wave| &wave.hosts)
            .filter(|host| !host.steps.is_empty())
        {
            say(paint(DIM, words::steps(host)));
        }
        Ok(())
    }

    /// `deploykit logs`
    ///
    /// # Errors
    /// When the deploy is unknown.
    pub async fn logs(&self, args: &Logs) -> Result<(), Failure> {
        let view = self.deploy_view(&args.id).await?;
        if let Some(host) = &args.host {
            known_host(host, &view)?;
        }
        let mut query = Vec::new();
        query.extend(args.host.as_ref().map(|host| format!("host={host}")));
        query.extend(args.step.map(|step| format!("step={step}")));
        let path = format!("/api/v1/deploys/{}/output?{}", view.id, query.join("&"));
        let pieces: Vec<OutputView> = self.client.get(&path).await?;
        show(args.json, &pieces, |pieces| words::output(pieces));
        Ok(())
    }

    /// `deploykit history`
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn history(&self, args: &History) -> Result<(), Failure> {
        if let Some(wanted) = &args.project {
            known_project(wanted, &self.client.get("/api/v1/status").await?)?;
        }
        let project = args
            .project
            .as_ref()
            .map_or(String::new(), |project| format!("&project={project}"));
        let deploys: Vec<DeployView> = self
            .client
            .get(&format!("/api/v1/deploys?limit={}{project}", args.limit))
            .await?;
        show(args.json, &deploys, |deploys| words::history(deploys));
        Ok(())
    }

    /// `deploykit abort`, `pause` and `resume`
    ///
    /// # Errors
    /// When the deploy is unknown or has ended.
    pub async fn control(&self, verb: &str, args: &Control) -> Result<(), Failure> {
        let id = checked_id(&args.id)?;
        let view: DeployView = self
            .client
            .post(&format!("/api/v1/deploys/{id}/{verb}"), &())
            .await?;
        show(args.json, &view, |view| words::outcome(view, &self.typed));
        Ok(())
    }

    /// Says how a deploy ended: bad news on the first line in red.
    pub fn tell_outcome(&self, view: &DeployView) {
        let mut lines = words::outcome(view, &self.typed).into_iter();
        let style = if view.state == DeployState::Succeeded {
            screen::GOOD
        } else {
            screen::BAD
        };
        if let Some(first) = lines.next() {
            say(paint(style, first));
        }
        say_all(lines);
    }

    async fn deploy_view(&self, id: &str) -> Result<DeployView, Failure> {
        self.client
            .get(&format!("/api/v1/deploys/{}", checked_id(id)?))
            .await
    }
}

fn known_project(wanted: &ProjectName, status: &Status) -> Result<(), Failure> {
    if status.projects.iter().any(|known| known.project == *wanted) {
        return Ok(());
    }
    let names = status
        .projects
        .iter()
        .map(|known| known.project.to_string());
    Err(Failure::Refused(ApiError {
        error: format!("no project is called {wanted}"),
        exists: names.collect(),
        next: None,
    }))
}

fn known_host(wanted: &HostName, view: &DeployView) -> Result<(), Failure> {
    let hosts = || view.waves.iter().flat_map(|wave| &wave.hosts);
    if hosts().any(|known| known.host == *wanted) {
        return Ok(());
    }
    Err(Failure::Refused(ApiError {
        error: format!("{wanted} is not a target of this deploy"),
        exists: hosts().map(|known| known.host.to_string()).collect(),
        next: None,
    }))
}

/// A deploy's id is put into a path: only what an id may hold.
fn checked_id(id: &str) -> Result<&str, Failure> {
    let inner = |c: char| c.is_ascii_hexdigit() || c == '-';
    if !id.is_empty() && id.len() <= 36 && id.chars().all(inner) {
        return Ok(id);
    }
    Err(Failure::Refused(ApiError {
        error: format!("{id:?} is not the id of a deploy, nor a part of one"),
        exists: Vec::new(),
        next: Some("deploykit history".to_owned()),
    }))
}

fn targets(ask: &Ask) -> Option<Vec<String>> {
    (!ask.on.is_empty()).then(|| ask.on.clone())
}

fn show<T: Serialize + ?Sized>(json: bool, value: &T, words: impl FnOnce(&T) -> Vec<String>) {
    if json {
        say_json(&value);
    } else {
        say_all(words(value));
    }
}

/// Prints why a command ended without doing what was asked. `typed` begins the commands that it proposes.
pub fn tell_failure(failure: &Failure, typed: &str, json: bool) {
    match failure {
        Failure::Told => {}
        Failure::Refused(error) if json => say_json(error),
        failure if json => say_json(&ApiError {
            error: failure.to_string(),
            exists: Vec::new(),
            next: None,
        }),
        Failure::Refused(error) => {
            let next = error.next.as_ref().map(|next| words::typed_as(next, typed));
            complain(Failure::Refused(ApiError {
                next,
                ..error.clone()
            }));
        }
        failure => complain(failure),
    }
}

//! The routes: ask the orchestrator, make a view of its answer.

use axum::{
    Form,
    extract::{OriginalUri, Path, Query, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use events::{HostName, ProjectName, message::Step};
use futures_util::{StreamExt, stream};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value},
};

use super::{
    Answer, Problem, Site,
    form::{self, Fields},
    live, view,
};
use crate::{
    api::{DeployView, ProjectView},
    app::{App, Control},
    refused::{Kind, Refused},
};

/// Deploys on one page of the history.
const HISTORY: usize = 100;
/// Deploys on the page of a project.
const RECENT: usize = 8;
/// Failed steps whose output is shown without asking.
const OUTPUTS_AT_ONCE: usize = 3;

type Posted = Result<Form<Fields>, FormRejection>;

/// `GET /`
pub(super) async fn home(State(site): State<Site>) -> Answer<Response> {
    let status = site.app.status().await?;
    Ok(view::html(&view::home::page(&status)).into_response())
}

/// `GET /live`
pub(super) async fn home_live(State(site): State<Site>) -> Answer<Response> {
    let statuses = site.app.watch_status();
    let events = statuses.map(|status| live::change(&view::html(&view::home::live(&status)).0));
    Ok(live::follow(&site.seats, events)?)
}

/// `GET /projects/{project}`
pub(super) async fn project(
    State(site): State<Site>,
    Path(name): Path<String>,
) -> Answer<Response> {
    let project = find_project(&site.app, project_name(&name)?).await?;
    let name = &project.project;
    let tags = site.app.tags(name.clone()).await?;
    let recent = site.app.list(Some(name.clone()), RECENT).await?;
    Ok(view::html(&view::project::page(&project, &tags, &recent)).into_response())
}

/// `GET /projects/{project}/plan`: a confirm page that is loaded again has lost its form.
pub(super) async fn back_to_project(Path(name): Path<String>) -> Answer<Redirect> {
    let name = project_name(&name)?;
    Ok(Redirect::to(&format!("/projects/{name}")))
}

/// `POST /projects/{project}/plan`: what would happen; nothing is touched.
pub(super) async fn plan(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted,
) -> Answer<Response> {
    let request = form::request(project_name(&name)?, &fields(posted)?)?;
    let plan = site.app.plan(request.clone()).await?;
    Ok(view::html(&view::confirm::page(&plan, &request, false)).into_response())
}

/// `POST /projects/{project}/deploys`: does it, if the plan is still the one that was shown.
pub(super) async fn deploy(
    State(site): State<Site>,
    Path(name): Path<String>,
    posted: Posted,
) -> Answer<Response> {
    let fields = fields(posted)?;
    let request = form::request(project_name(&name)?, &fields)?;
    let plan = site.app.plan(request.clone()).await?;
    if form::seen(&fields) != Some(view::confirm::seen(&plan).as_str()) {
        let page = view::html(&view::confirm::page(&plan, &request, true));
        return Ok((StatusCode::CONFLICT, page).into_response());
    }
    let deploy = site.app.deploy_from_page(plan).await?;
    Ok(to_deploy(&deploy).into_response())
}

/// `GET /deploys/{id}`
pub(super) async fn show(State(site): State<Site>, Path(id): Path<String>) -> Answer<Response> {
    let deploy = site.app.show(&id).await?;
    let outputs = outputs(&site.app, &deploy).await;
    Ok(view::html(&view::deploy::page(&deploy, &outputs)).into_response())
}

/// `GET /deploys/{id}/live`
pub(super) async fn show_live(
    State(site): State<Site>,
    Path(id): Path<String>,
) -> Answer<Response> {
    let deploys = site.app.watch_deploy(&id).await?;
    let app = site.app.clone();
    let events = deploys.then(move |deploy| {
        let app = app.clone();
        async move {
            let outputs = outputs(&app, &deploy).await;
            let shown = live::change(&view::html(&view::deploy::live(&deploy, &outputs)).0);
            let end = deploy.state.is_final().then(live::end);
            stream::iter([Some(shown), end].into_iter().flatten())
        }
    });
    Ok(live::follow(&site.seats, events.flatten())?)
}

/// `GET /deploys/{id}/output?host=&step=`
pub(super) async fn output(
    State(site): State<Site>,
    Path(id): Path<String>,
    Query(fields): Query<Fields>,
) -> Answer<Response> {
    let deploy = site.app.show(&id).await?;
    let id = deploy.id.to_string();
    let wrong = |error: &dyn std::fmt::Display| {
        Refused::new(Kind::NotUnderstood, error).next(format!("choose a step on /deploys/{id}"))
    };
    let one = |name: &str| {
        let found = fields.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let host: HostName = one("host").parse().map_err(|error| wrong(&error))?;
    let step = Step::deserialize(one("step").into_deserializer())
        .map_err(|error: value::Error| wrong(&error))?;
    let pieces = site.app.output(&id, Some(host.clone()), Some(step)).await?;
    Ok(view::html(&view::output::page(&deploy, &host, step, &pieces)).into_response())
}

/// `POST /deploys/{id}/pause`, `…/resume`, `…/abort`
pub(super) async fn control(
    State(site): State<Site>,
    Path((id, word)): Path<(String, String)>,
) -> Answer<Redirect> {
    let control = match word.as_str() {
        "pause" => Control::Pause,
        "resume" => Control::Resume,
        "abort" => Control::Abort,
        _ => {
            let error = format!("{word:?} is nothing that can be done with a deploy");
            let refused = Refused::new(Kind::Unknown, error).exists(["pause", "resume", "abort"]);
            return Err(refused.next("use the buttons on the deploy's page").into());
        }
    };
    let deploy = site.app.control(&id, control).await?;
    Ok(to_deploy(&deploy))
}

/// `GET /hosts`
pub(super) async fn hosts(State(site): State<Site>) -> Answer<Response> {
    let hosts = site.app.hosts().await?;
    Ok(view::html(&view::hosts::page(&hosts)).into_response())
}

/// `GET /history?project=`
pub(super) async fn history(
    State(site): State<Site>,
    Query(fields): Query<Fields>,
) -> Answer<Response> {
    let given = fields
        .iter()
        .find(|(key, value)| key == "project" && !value.is_empty());
    let project = given.map(|(_, name)| project_name(name)).transpose()?;
    let deploys = site.app.list(project.clone(), HISTORY).await?;
    let page = view::history::page(project.as_ref(), &deploys, HISTORY);
    Ok(view::html(&page).into_response())
}

/// Any other address.
pub(super) async fn no_such_page(OriginalUri(uri): OriginalUri) -> Problem {
    Refused::new(Kind::Unknown, format!("there is no page {:?}", uri.path()))
        .exists(["/", "/hosts", "/history"])
        .next("begin at /, what runs where")
        .into()
}

fn to_deploy(deploy: &DeployView) -> Redirect {
    Redirect::to(&format!("/deploys/{}", deploy.id))
}

fn fields(posted: Posted) -> Result<Fields, Refused> {
    posted.map(|Form(fields)| fields).map_err(|rejection| {
        Refused::new(Kind::NotUnderstood, rejection.body_text())
            .next("send the form of the page, as a browser does")
    })
}

fn project_name(text: &str) -> Result<ProjectName, Refused> {
    text.parse().map_err(|error: events::NameError| {
        Refused::new(Kind::NotUnderstood, error).next("choose one of the projects on /")
    })
}

async fn find_project(app: &App, name: ProjectName) -> Result<ProjectView, Refused> {
    let projects = app.status().await?.projects;
    let names: Vec<ProjectName> = projects.iter().map(|view| view.project.clone()).collect();
    let found = projects.into_iter().find(|view| view.project == name);
    found.ok_or_else(|| {
        Refused::new(
            Kind::Unknown,
            format!("there is no project {:?}", name.as_str()),
        )
        .exists(names)
        .next("choose one of the projects on /")
    })
}

/// What the first failed steps said: the page shows it without being asked. Without it the page is still worth showing.
async fn outputs(app: &App, deploy: &DeployView) -> view::deploy::Outputs {
    let mut outputs = view::deploy::Outputs::new();
    for (host, step) in view::deploy::failed_steps(deploy, OUTPUTS_AT_ONCE) {
        let key = (host.to_string(), step.to_string());
        if let Ok(output) = app
            .output(&deploy.id.to_string(), Some(host), Some(step))
            .await
        {
            outputs.insert(key, output);
        }
    }
    outputs
}

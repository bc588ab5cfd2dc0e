//! The one handle to the orchestrator, for the API and for the page.
//!
//! Everything is asked of one task, so that what two people do at once has an order.

use std::{sync::Arc, time::Duration};

use events::{HostName, ProjectName, RepoName, message::Step};
use futures_util::{Stream, stream};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    api::{
        CiView, DeployRequest, DeployView, HostView, LineView, OutputView, Plan, PlanRequest,
        Status, TagView,
    },
    refused::{Kind, Refused},
};

/// An answer to a request.
pub type Answer<T> = Result<T, Refused>;

/// What a person does to a deploy that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// End it; what changed is put back.
    Abort,
    /// No further wave starts.
    Pause,
    /// Go on.
    Resume,
}

/// A question to the orchestrator's task, with where its answer goes.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the method of App of the same name")]
pub enum Request {
    Status(oneshot::Sender<Answer<Status>>),
    Hosts(oneshot::Sender<Answer<Vec<HostView>>>),
    Admit(HostName, oneshot::Sender<Answer<HostView>>),
    Looked(HostName, oneshot::Sender<Answer<HostView>>),
    Ci(
        RepoName,
        Option<String>,
        usize,
        oneshot::Sender<Answer<Vec<CiView>>>,
    ),
    Tags(ProjectName, oneshot::Sender<Answer<Vec<TagView>>>),
    Plan(PlanRequest, oneshot::Sender<Answer<Plan>>),
    Deploy(DeployRequest, oneshot::Sender<Answer<DeployView>>),
    DeployFromPage(Box<Plan>, oneshot::Sender<Answer<DeployView>>),
    List(
        Option<ProjectName>,
        usize,
        oneshot::Sender<Answer<Vec<DeployView>>>,
    ),
    Show(String, oneshot::Sender<Answer<DeployView>>),
    Output(
        String,
        Option<HostName>,
        Option<Step>,
        oneshot::Sender<Answer<Vec<OutputView>>>,
    ),
    Lines(String, oneshot::Sender<Answer<Vec<LineView>>>),
    Control(String, Control, oneshot::Sender<Answer<DeployView>>),
}

/// Asks the orchestrator. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App {
    requests: mpsc::Sender<Request>,
    /// Counts up with everything that a view can show.
    version: watch::Receiver<u64>,
}

/// The least time between two events of one watch, so that a burst of reports is one event.
const COALESCE: Duration = Duration::from_millis(50);

impl App {
    /// A handle and the ends that the orchestrator's task keeps.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Request>, watch::Sender<u64>) {
        let (requests, asked) = mpsc::channel(64);
        let (changed, version) = watch::channel(0);
        (Self { requests, version }, asked, changed)
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<Answer<T>>) -> Request) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let gone = || Refused::new(Kind::Trouble, "the orchestrator is stopping");
        self.requests.send(make(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// What runs where.
    ///
    /// # Errors
    /// Only when the orchestrator is stopping.
    pub async fn status(&self) -> Answer<Status> {
        self.ask(Request::Status).await
    }

    /// All hosts, named in the settings or heard.
    ///
    /// # Errors
    /// Only when the orchestrator is stopping.
    pub async fn hosts(&self) -> Answer<Vec<HostView>> {
        self.ask(Request::Hosts).await
    }

    /// Lets a host take part.
    ///
    /// # Errors
    /// When nothing was ever heard of it.
    pub async fn admit(&self, host: HostName) -> Answer<HostView> {
        self.ask(|answer| Request::Admit(host, answer)).await
    }

    /// Says that what was wrong with the journals of a host was looked at.
    ///
    /// # Errors
    /// When nothing was ever heard of it.
    pub async fn looked(&self, host: HostName) -> Answer<HostView> {
        self.ask(|answer| Request::Looked(host, answer)).await
    }

    /// What can be deployed, newest first.
    ///
    /// # Errors
    /// For an unknown project.
    pub async fn tags(&self, project: ProjectName) -> Answer<Vec<TagView>> {
        self.ask(|answer| Request::Tags(project, answer)).await
    }

    /// What CI has said of a repository, the newest first, or of one revision of it.
    ///
    /// # Errors
    /// For an unknown repository or revision.
    pub async fn ci(
        &self,
        repository: RepoName,
        revision: Option<String>,
        limit: usize,
    ) -> Answer<Vec<CiView>> {
        self.ask(|answer| Request::Ci(repository, revision, limit, answer))
            .await
    }

    /// What a deploy would do, with the grant to sign. Nothing is touched.
    ///
    /// # Errors
    /// For unknown names, a project that is busy, or what cannot be done.
    pub async fn plan(&self, request: PlanRequest) -> Answer<Plan> {
        self.ask(|answer| Request::Plan(request, answer)).await
    }

    /// Starts a deploy under a signed grant. The same grant again gives the same deploy.
    ///
    /// # Errors
    /// When the grant does not allow it, or when a plan would be refused.
    pub async fn deploy(&self, request: DeployRequest) -> Answer<DeployView> {
        self.ask(|answer| Request::Deploy(request, answer)).await
    }

    /// Signs a plan with the page's own key, and starts it.
    ///
    /// # Errors
    /// As [`App::deploy`]; and when the page has no key.
    pub async fn deploy_from_page(&self, plan: Plan) -> Answer<DeployView> {
        self.ask(|answer| Request::DeployFromPage(Box::new(plan), answer))
            .await
    }

    /// Deploys, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        project: Option<ProjectName>,
        limit: usize,
    ) -> Answer<Vec<DeployView>> {
        self.ask(|answer| Request::List(project, limit, answer))
            .await
    }

    /// One deploy, by its id or a beginning or end of it that only it has.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub async fn show(&self, id: &str) -> Answer<DeployView> {
        self.ask(|answer| Request::Show(id.to_owned(), answer))
            .await
    }

    /// What the scripts of a deploy wrote, by host, step and offset.
    ///
    /// # Errors
    /// As [`App::show`].
    pub async fn output(
        &self,
        id: &str,
        host: Option<HostName>,
        step: Option<Step>,
    ) -> Answer<Vec<OutputView>> {
        self.ask(|answer| Request::Output(id.to_owned(), host, step, answer))
            .await
    }

    /// What happened in a deploy, one line each, in order.
    ///
    /// # Errors
    /// As [`App::show`].
    pub async fn lines(&self, id: &str) -> Answer<Vec<LineView>> {
        self.ask(|answer| Request::Lines(id.to_owned(), answer))
            .await
    }

    /// Aborts, pauses or resumes a deploy.
    ///
    /// # Errors
    /// As [`App::show`]; and when it has ended.
    pub async fn control(&self, id: &str, control: Control) -> Answer<DeployView> {
        self.ask(|answer| Request::Control(id.to_owned(), control, answer))
            .await
    }

    /// A number that counts up with everything that a view can show; for a reader that asks again by itself.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// The newest [`Status`], at once and after each change. Changes that come quickly are one event.
    pub fn watch_status(&self) -> impl Stream<Item = Arc<Status>> + Send + use<> {
        let start = Watch::new(self.clone());
        stream::unfold(
            (start, None::<Arc<Status>>),
            |(mut watch, last)| async move {
                loop {
                    watch.turn().await?;
                    let status = watch.app.status().await.ok()?;
                    // The time in it is not a change.
                    if last
                        .as_ref()
                        .is_none_or(|last| last.projects != status.projects)
                    {
                        let status = Arc::new(status);
                        return Some((Arc::clone(&status), (watch, Some(status))));
                    }
                }
            },
        )
    }

    /// The newest view of one deploy, at once and after each change; ends after the last one.
    ///
    /// # Errors
    /// As [`App::show`].
    pub async fn watch_deploy(
        &self,
        id: &str,
    ) -> Answer<impl Stream<Item = Arc<DeployView>> + Send + use<>> {
        let id = self.show(id).await?.id.to_string();
        let start = (Watch::new(self.clone()), id, None::<Arc<DeployView>>);
        Ok(stream::unfold(start, |(mut watch, id, last)| async move {
            if last.as_ref().is_some_and(|last| last.state.is_final()) {
                return None;
            }
            loop {
                watch.turn().await?;
                let view = watch.app.show(&id).await.ok()?;
                if last.as_deref() != Some(&view) {
                    let view = Arc::new(view);
                    return Some((Arc::clone(&view), (watch, id, Some(view))));
                }
            }
        }))
    }
}

/// Waits for changes; the first turn comes at once.
#[derive(Debug)]
struct Watch {
    app: App,
    begun: bool,
}

impl Watch {
    fn new(app: App) -> Self {
        Self { app, begun: false }
    }

    /// `None` when the orchestrator has gone.
    async fn turn(&mut self) -> Option<()> {
        if self.begun {
            tokio::time::sleep(COALESCE).await;
            self.app.version.changed().await.ok()?;
        } else {
            self.begun = true;
            self.app.version.mark_unchanged();
        }
        Some(())
    }
}

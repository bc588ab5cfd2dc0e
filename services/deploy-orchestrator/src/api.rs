//! What the orchestrator's HTTP API takes and gives, as JSON. The command line and the web page use nothing else.
//!
//! Served on a unix socket (the command line) and, for reading and for the page's own forms, on loopback TCP.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /api/v1/status` | | [`Status`] |
//! | `GET /api/v1/hosts` | | `[HostView]` |
//! | `POST /api/v1/hosts/{host}/admit` | | [`HostView`] |
//! | `POST /api/v1/hosts/{host}/looked` | | [`HostView`]; somebody has looked at what was wrong with its journals |
//! | `GET /api/v1/projects/{project}/tags` | | `[TagView]` |
//! | `GET /api/v1/ci/{repository}?revision=&limit=` | | `[CiView]`, what CI said last first; also by a project's name |
//! | `POST /api/v1/plans` | [`PlanRequest`] | [`Plan`] with the grant to sign |
//! | `POST /api/v1/deploys` | [`DeployRequest`] | [`DeployView`] |
//! | `GET /api/v1/deploys?project=&limit=` | | `[DeployView]`, newest first |
//! | `GET /api/v1/deploys/{id}` | | [`DeployView`]; `{id}` may be a unique beginning or end of it |
//! | `POST /api/v1/deploys/{id}/abort`, `…/pause`, `…/resume` | | [`DeployView`] |
//! | `GET /api/v1/deploys/{id}/watch` | | server-sent events `deploy`, each a [`DeployView`]; ends after the last one |
//! | `GET /api/v1/deploys/{id}/output?host=&step=` | | `[OutputView]` |
//! | `GET /api/v1/deploys/{id}/lines` | | `[LineView]`, what happened, in order |
//! | `GET /api/v1/watch` | | server-sent events `status`, each a [`Status`] |
//!
//! An error is [`ApiError`] with status 400 (not understood), 403 (not allowed), 404 (unknown), 409 (busy) or 422 (cannot be done).

mod asked;

pub use asked::{Action, DeployRequest, Plan, PlanRequest};

use events::{
    CommitId, EnvironmentName, Facts, GroupName, HostName, JobName, PageUrl, ProjectName, RepoName,
    TagName,
    message::{BuildResult, Held, Prepared, Running, Step, StepReport, Verdict},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What runs where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When this was true.
    pub time: Timestamp,
    /// Each project with its hosts.
    pub projects: Vec<ProjectView>,
}

/// One project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectView {
    /// Its name.
    pub project: ProjectName,
    /// Where it is deployed.
    pub environment: EnvironmentName,
    /// The repository that it comes from.
    pub repository: RepoName,
    /// True if only commits that CI has found good are deployed.
    #[serde(default)]
    pub requires_ci: bool,
    /// Its hosts, in the order of their names.
    pub hosts: Vec<ProjectHost>,
    /// The deploy that is under way.
    pub deploy: Option<DeployView>,
}

/// One project on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectHost {
    /// The host.
    pub host: HostName,
    /// True if its agent was heard within the presence limit.
    pub present: bool,
    /// When its agent was last heard.
    pub seen: Option<Timestamp>,
    /// What is live.
    pub live: Option<Running>,
    /// What a rollback would make live.
    pub previous: Option<Running>,
    /// Why it cannot go on without a person.
    pub stuck: Option<String>,
    /// The deploy that left it broken, where that is why: it takes deploys again once that is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Uuid>,
    /// A rollback that a person made at the host: nothing moves it on but a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// A host, for `deploykit hosts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// Its name.
    pub host: HostName,
    /// False for a host that is heard but that nobody admitted; it gets nothing.
    pub admitted: bool,
    /// True if its agent was heard within the presence limit.
    pub present: bool,
    /// When its agent was last heard.
    pub seen: Option<Timestamp>,
    /// The agent's version.
    pub version: Option<String>,
    /// Its groups, from the settings here and from the agent.
    pub groups: Vec<GroupName>,
    /// The projects that its agent knows, with what is live.
    pub projects: Vec<HostProject>,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// How far its clock is ahead of the orchestrator's, less what its messages take; negative: behind, or they take so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// What is wrong, such as two agents under one name.
    pub trouble: Option<String>,
    /// Where its journals ended on the last days, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<HeadView>,
}

/// Where a project's journal ended on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadView {
    /// The project.
    pub project: ProjectName,
    /// When that was heard.
    pub heard: Timestamp,
    /// Its end then: entries and hash, as `deploy-agent verify --head` takes it.
    pub head: String,
}

/// A project that a host's agent knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostProject {
    /// The project.
    pub project: ProjectName,
    /// What is live.
    pub live: Option<Running>,
    /// Releases that lie there complete beside it, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<Prepared>,
    /// Where its journal ended when it last reported: for `deploy-agent verify --head`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<String>,
}

/// A tag that can be deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TagView {
    /// The tag.
    pub tag: TagName,
    /// The commit it leads to.
    pub commit: CommitId,
    /// When that commit was made.
    pub committed: Timestamp,
    /// Hosts that have it.
    pub on: Vec<HostName>,
    /// Hosts of the project that do not have it (yet).
    pub missing: Vec<HostName>,
    /// Set if hosts disagree about the commit: the tag was moved.
    pub moved: bool,
    /// What CI has found; absent where CI said nothing and the project does not ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ci: Option<Verdict>,
}

/// What CI has said of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CiView {
    /// Which repository, by its own name here.
    pub repository: RepoName,
    /// Which commit.
    pub commit: CommitId,
    /// What follows for it.
    pub verdict: Verdict,
    /// Why it is not good, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Tags and branches that lead to it on some host.
    pub names: Vec<String>,
    /// When CI last said something of it.
    pub heard: Option<Timestamp>,
    /// Each job, with its newest result.
    pub jobs: Vec<CiJob>,
}

/// What a job has said of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CiJob {
    /// Which.
    pub job: JobName,
    /// False if the settings name other jobs.
    pub counts: bool,
    /// The build of its newest result; without one, the newest that began.
    pub number: u64,
    /// True if there is a result.
    pub ended: bool,
    /// How it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<BuildResult>,
    /// When that was said.
    pub at: Timestamp,
    /// Where people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<PageUrl>,
}

/// A deploy, whole: what the history keeps and what `show` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployView {
    /// Its id.
    pub id: Uuid,
    /// Which project.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// What was asked for.
    pub action: Action,
    /// The commit; absent for a rollback, where each host has its own.
    pub commit: Option<CommitId>,
    /// The tag it was asked for by.
    pub tag: Option<TagName>,
    /// Where it stands.
    pub state: DeployState,
    /// Why it stands there, in one line: `wave 1 of 2: web1 failed its check`.
    pub reason: Option<String>,
    /// Set if it went past CI: the reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untested: Option<String>,
    /// Set if the glass was broken for it: what was gone past, such as a freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_glass: Option<String>,
    /// Who signed the grant.
    pub by: Vec<String>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Its waves in order.
    pub waves: Vec<WaveView>,
    /// Commands that make sense next, as a person would type them.
    pub next: Vec<String>,
}

/// Where a deploy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeployState {
    /// Hosts are preparing; nothing live is touched yet.
    Preparing,
    /// Waves are under way.
    Activating,
    /// Paused by a person.
    Paused,
    /// A wave failed; what had changed is being put back.
    PuttingBack,
    /// All targets (but a few unreachable ones, named) run what was asked for.
    Succeeded,
    /// It stopped; hosts are on what they had, or say what they are on.
    Failed,
    /// Ended by a person.
    Aborted,
}

impl DeployState {
    /// True if nothing more happens.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted)
    }
}

/// One wave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaveView {
    /// From 1 on.
    pub number: u32,
    /// Its hosts.
    pub hosts: Vec<HostProgress>,
}

/// One host in a deploy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostProgress {
    /// The host.
    pub host: HostName,
    /// Where it stands.
    pub state: HostState,
    /// What failed or what it waits for: `check: exit 1, 3 tries: GET /health 500 "no such table"`.
    pub detail: Option<String>,
    /// What was live before this deploy.
    pub before: Option<Running>,
    /// What is live now.
    pub now: Option<Running>,
    /// The steps so far.
    pub steps: Vec<StepReport>,
    /// When its first order of this deploy was sent.
    pub started: Option<Timestamp>,
    /// When the order to activate (or to go back) was sent.
    pub activated_at: Option<Timestamp>,
    /// When it was reported live.
    pub live_at: Option<Timestamp>,
    /// When its last report came.
    pub updated: Option<Timestamp>,
    /// Seconds from the failure until it was back on what it had.
    pub back_after_s: Option<f64>,
}

/// Where a host stands in a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// Nothing was sent to it that touches anything live.
    Untouched,
    /// Laying the release out.
    Preparing,
    /// Has the release, proven by its receipt.
    Prepared,
    /// Its turn has come: scripts and switch are under way.
    Activating,
    /// Runs what was asked for.
    Live,
    /// It failed and is back on what it had.
    PutBack,
    /// It is being put back because other hosts failed.
    PuttingBack,
    /// It failed before anything live was touched.
    Failed,
    /// It failed, and putting it back failed too: a person is needed.
    Broken,
    /// Its agent did not answer within the limit.
    Unreachable,
    /// It refused the order.
    Refused,
    /// It was broken, and takes deploys again.
    Cleared,
}

/// A piece of a script's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputView {
    /// The host.
    pub host: HostName,
    /// The step.
    pub step: Step,
    /// Where `text` begins in the whole output, in bytes.
    pub offset: u64,
    /// The output.
    pub text: String,
    /// True if the host has more of it than was sent.
    pub cut: bool,
}

/// Something that happened in a deploy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineView {
    /// When.
    pub time: Timestamp,
    /// What, in one line: `shop v2 is under way: wave 1 of 2: waiting for web1`.
    pub line: String,
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// One sentence with the input and the cause.
    pub error: String,
    /// What exists in place of what was asked for: the known tags, hosts, projects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exists: Vec<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

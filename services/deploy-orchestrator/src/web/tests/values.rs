//! Two projects, a deploy under way, one that failed, one that succeeded.

use events::message::{Running, Step, StepReport, StepState};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::canned::Canned;
use crate::api::{
    Action, DeployState, DeployView, HostProgress, HostProject, HostState, HostView, OutputView,
    ProjectHost, ProjectView, Status, TagView, WaveView,
};

/// Seconds after a fixed beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-21T06:50:00Z".parse().unwrap();
    begin + SignedDuration::from_secs(seconds)
}

/// An id with its time.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x019a_a5f1_2000_7000_8000_0000_0000_0000 + (number << 80) + number)
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// A release of a tag; its commit is made of the tag's last digit.
pub(crate) fn release(tag: &str, since: i64) -> Running {
    let digit = tag.chars().last().unwrap();
    Running {
        release: format!("20261121-0650-{tag}"),
        revision: name(&format!("{digit}c0ffee{digit}").repeat(5)),
        tag: Some(name(tag)),
        since: at(since),
    }
}

fn on(host: &str, live: Option<Running>, previous: Option<Running>) -> ProjectHost {
    ProjectHost {
        host: name(host),
        present: true,
        seen: Some(at(690)),
        live,
        previous,
        stuck: None,
        broken: None,
        held: None,
    }
}

fn tag(tag: &str, committed: i64, missing: &[&str]) -> TagView {
    TagView {
        tag: name(tag),
        commit: release(tag, 0).revision,
        committed: at(committed),
        on: vec![name("web1"), name("web2")],
        missing: missing.iter().map(|host| name(host)).collect(),
        ci: None,
        moved: false,
    }
}

fn step(step: Step, state: StepState, duration_ms: u64) -> StepReport {
    StepReport {
        step,
        state,
        exit: None,
        tries: 1,
        duration_ms,
        detail: None,
    }
}

fn prepared() -> Vec<StepReport> {
    vec![
        step(Step::Objects, StepState::Ok, 4),
        step(Step::Layout, StepState::Ok, 112),
        step(Step::Shared, StepState::Skipped, 0),
        step(Step::Build, StepState::Ok, 2310),
    ]
}

fn progress(
    host: &str,
    state: HostState,
    before: &str,
    now: &str,
    steps: Vec<StepReport>,
) -> HostProgress {
    HostProgress {
        host: name(host),
        state,
        detail: None,
        before: Some(release(before, 0)),
        now: Some(release(now, 300)),
        steps,
        started: Some(at(600)),
        activated_at: None,
        live_at: None,
        updated: Some(at(604)),
        back_after_s: None,
    }
}

fn deploy(
    number: u128,
    tag: &str,
    state: DeployState,
    waves: Vec<Vec<HostProgress>>,
) -> DeployView {
    let release = release(tag, 0);
    DeployView {
        id: id(number),
        project: name("shop"),
        environment: name("demo"),
        action: Action::Deploy,
        commit: Some(release.revision),
        tag: release.tag,
        state,
        reason: None,
        untested: None,
        broke_glass: None,
        by: vec!["ada@example.org".to_owned()],
        created: at(600),
        ended: state.is_final().then(|| at(609)),
        waves: (1..)
            .zip(waves)
            .map(|(number, hosts)| WaveView { number, hosts })
            .collect(),
        next: Vec::new(),
    }
}

/// v3 failed its check on the canary.
pub(crate) fn failed() -> DeployView {
    let mut steps = prepared();
    let mut check = step(Step::Check, StepState::Failed, 3050);
    (check.exit, check.tries) = (Some(1), 3);
    check.detail = Some("GET /health 500 \"no such table\"".to_owned());
    steps.extend([
        step(Step::Stop, StepState::Ok, 210),
        step(Step::Switch, StepState::Ok, 1),
        step(Step::Start, StepState::Ok, 420),
        check,
        step(Step::SwitchBack, StepState::Ok, 1),
        step(Step::BackStart, StepState::Ok, 400),
        step(Step::BackCheck, StepState::Ok, 60),
    ]);
    let mut canary = progress("web1", HostState::PutBack, "v2", "v2", steps);
    canary.detail = Some("check: exit 1, 3 tries: GET /health 500 \"no such table\"".to_owned());
    canary.back_after_s = Some(2.0);
    let rest =
        ["web2", "web3"].map(|host| progress(host, HostState::Untouched, "v2", "v2", prepared()));
    let mut deploy = deploy(
        3,
        "v3",
        DeployState::Failed,
        vec![vec![canary], rest.to_vec()],
    );
    deploy.reason =
        Some("wave 1 of 2: web1 failed its check; the other hosts were not touched".to_owned());
    deploy.next = vec![
        "deploykit logs 019aa5f1-2003 --host web1 --step check".to_owned(),
        "deploykit deploy shop v2".to_owned(),
    ];
    deploy
}

/// v4 is under way: the canary is live, the rest is at it.
pub(crate) fn under_way() -> DeployView {
    let mut done = prepared();
    done.extend([
        step(Step::Switch, StepState::Ok, 1),
        step(Step::Refresh, StepState::Ok, 310),
        step(Step::Check, StepState::Ok, 45),
    ]);
    let mut busy = prepared();
    busy.extend([
        step(Step::Switch, StepState::Ok, 1),
        step(Step::Refresh, StepState::Running, 0),
    ]);
    let mut waiting = progress("web3", HostState::Unreachable, "v2", "v2", Vec::new());
    waiting.detail =
        Some("its agent has not answered for 30 s; left behind, it converges later".to_owned());
    let waves = vec![
        vec![progress("web1", HostState::Live, "v2", "v4", done)],
        vec![
            progress("web2", HostState::Activating, "v2", "v2", busy),
            waiting,
        ],
    ];
    let mut deploy = deploy(4, "v4", DeployState::Activating, waves);
    deploy.reason = Some("wave 2 of 2: web2 is at refresh".to_owned());
    deploy
}

fn succeeded() -> DeployView {
    let all = ["web1", "web2", "web3"]
        .map(|host| progress(host, HostState::Live, "v1", "v2", prepared()));
    deploy(
        2,
        "v2",
        DeployState::Succeeded,
        vec![all[..1].to_vec(), all[1..].to_vec()],
    )
}

fn host(host: &str, live: Option<Running>) -> HostView {
    HostView {
        host: name(host),
        admitted: true,
        present: true,
        seen: Some(at(690)),
        version: Some("0.1.0".to_owned()),
        groups: vec![name("web")],
        projects: vec![HostProject {
            project: name("shop"),
            live,
            prepared: Vec::new(),
            journal: None,
        }],
        facts: events::Facts::default(),
        clock_offset_ms: None,
        trouble: None,
        heads: Vec::new(),
    }
}

fn output(step: Step, offset: u64, text: &str) -> OutputView {
    OutputView {
        host: name("web1"),
        step,
        offset,
        text: text.to_owned(),
        cut: false,
    }
}

/// All of it.
pub(crate) fn canned() -> Canned {
    let (v1, v2) = (release("v1", 0), release("v2", 300));
    let shop = ["web1", "web2", "web3"].map(|host| on(host, Some(v2.clone()), Some(v1.clone())));
    let mut away = on("db2", Some(release("2026.10.9", -90000)), None);
    (away.present, away.seen) = (false, Some(at(-4000)));
    let mut stuck = on("db3", Some(release("2026.11.0", -86000)), None);
    stuck.stuck = Some("the journal is damaged at line 41".to_owned());
    let billing = vec![
        on("db1", Some(release("2026.11.0", -86000)), None),
        away,
        stuck,
        on("db4", None, None),
    ];
    let project = |project: &str, hosts: Vec<ProjectHost>, deploy| ProjectView {
        project: name(project),
        environment: name(if deploy { "demo" } else { "prod" }),
        repository: name(project),
        requires_ci: false,
        hosts,
        deploy: deploy.then(under_way),
    };
    let mut new = host("web4", None);
    (new.admitted, new.version) = (false, Some("0.2.0".to_owned()));
    let mut double = host("web3", Some(v2.clone()));
    double.trouble = Some("two agents answer under this name".to_owned());
    let mut silent = host("web2", Some(v2.clone()));
    (silent.present, silent.seen) = (false, Some(at(10)));
    Canned {
        status: Status {
            time: at(700),
            projects: vec![
                project("billing", billing, false),
                project("shop", shop.to_vec(), true),
            ],
        },
        hosts: vec![host("web1", Some(v2)), silent, double, new],
        tags: vec![
            tag("v4", 590, &["web3"]),
            tag("v3", 500, &[]),
            tag("v2", 300, &[]),
            tag("v1", 0, &[]),
        ],
        deploys: vec![under_way(), failed(), succeeded()],
        output: vec![
            output(Step::Check, 0, "trying http://127.0.0.1:8001/health\n"),
            output(
                Step::Check,
                1036,
                "500 Internal Server Error\nsqlite: no such table: orders\n",
            ),
        ],
        started: Vec::new(),
        controlled: Vec::new(),
    }
}

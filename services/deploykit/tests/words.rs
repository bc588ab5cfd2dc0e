//! The words of the command line, compared whole.

use deploy_orchestrator::api::{
    Action, DeployState, DeployView, HostProgress, HostState, TagView, WaveView,
};
use deploykit::words;
use events::message::{Running, Step, StepReport, StepState};
use jiff::Timestamp;

fn running(tag: &str) -> Running {
    Running {
        release: format!("20261121T030000Z-{tag}"),
        revision: "0123456789012345678901234567890123456789".parse().unwrap(),
        tag: Some(tag.parse().unwrap()),
        since: Timestamp::UNIX_EPOCH,
    }
}

pub(crate) fn host(name: &str, state: HostState) -> HostProgress {
    HostProgress {
        host: name.parse().unwrap(),
        state,
        detail: None,
        before: Some(running("v2")),
        now: Some(running("v2")),
        steps: Vec::new(),
        started: None,
        activated_at: None,
        live_at: None,
        updated: None,
        back_after_s: None,
    }
}

pub(crate) fn deploy(state: DeployState, waves: Vec<Vec<HostProgress>>) -> DeployView {
    let waves = waves
        .into_iter()
        .zip(1..)
        .map(|(hosts, number)| WaveView { number, hosts });
    DeployView {
        untested: None,
        broke_glass: None,
        id: "01939a5c-7d3e-7000-8000-0123456789ab".parse().unwrap(),
        project: "shop".parse().unwrap(),
        environment: "prod".parse().unwrap(),
        action: Action::Deploy,
        commit: Some("0123456789012345678901234567890123456789".parse().unwrap()),
        tag: Some("v3".parse().unwrap()),
        state,
        reason: None,
        by: vec!["ann@example.org".to_owned()],
        created: Timestamp::UNIX_EPOCH,
        ended: None,
        waves: waves.collect(),
        next: Vec::new(),
    }
}

#[test]
fn a_bad_deploy_says_what_a_person_needs_at_night() {
    let mut canary = host("web1", HostState::PutBack);
    canary.detail = Some("check: exit 1, 3 tries: GET /health 500 \"no such table\"".to_owned());
    canary.back_after_s = Some(2.0);
    let others = vec![
        host("web2", HostState::Untouched),
        host("web3", HostState::Untouched),
    ];
    let mut view = deploy(DeployState::Failed, vec![vec![canary], others]);
    view.reason = Some("wave 1 of 2: web1 failed".to_owned());
    view.next = vec![
        "deploykit logs 456789ab --host web1".to_owned(),
        "deploykit deploy shop v2".to_owned(),
    ];
    assert_eq!(
        words::outcome(&view, "bin/deploykit"),
        [
            "shop v3 failed: wave 1 of 2: web1 failed",
            "  web1        check: exit 1, 3 tries: GET /health 500 \"no such table\"; back on v2 after 2.0 s",
            "  web2, web3  untouched (v2)",
            "next: bin/deploykit logs 456789ab --host web1",
            "      bin/deploykit deploy shop v2",
        ]
    );
}

#[test]
fn each_state_of_a_host_has_words() {
    let with = |state, detail: Option<&str>| {
        let mut progress = host("web1", state);
        progress.detail = detail.map(str::to_owned);
        words::host(&progress)
    };
    assert_eq!(with(HostState::Live, None), "live on v2");
    assert_eq!(with(HostState::Prepared, None), "prepared, still on v2");
    assert_eq!(
        with(HostState::Failed, Some("objects: no such commit")),
        "objects: no such commit; nothing live was touched (v2)"
    );
    assert_eq!(
        with(HostState::Broken, Some("back-start: exit 1")),
        "BROKEN, needs a person: back-start: exit 1"
    );
    assert_eq!(
        with(HostState::Unreachable, None),
        "unreachable: its agent did not answer"
    );
    assert_eq!(with(HostState::Refused, Some("busy")), "refused: busy");
    assert_eq!(
        with(HostState::Cleared, None),
        "cleared (v2); it takes deploys again"
    );
}

#[test]
fn steps_are_told_with_what_went_wrong() {
    let step = |step, state, tries| StepReport {
        step,
        state,
        exit: None,
        tries,
        duration_ms: 7,
        detail: None,
    };
    let mut progress = host("web1", HostState::PutBack);
    progress.steps = vec![
        step(Step::Layout, StepState::Ok, 1),
        step(Step::Build, StepState::Skipped, 1),
        step(Step::Check, StepState::Failed, 3),
    ];
    assert_eq!(
        words::steps(&progress),
        "  web1  layout 7 ms, check failed (3 tries)"
    );
}

#[test]
fn tags_that_not_every_target_has_are_marked() {
    let tag = |name: &str, missing: &[&str], moved| TagView {
        tag: name.parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
        committed: Timestamp::UNIX_EPOCH,
        on: Vec::new(),
        missing: missing.iter().map(|host| host.parse().unwrap()).collect(),
        ci: None,
        moved,
    };
    assert_eq!(
        words::tags(&[
            tag("v10", &["web2", "web3"], false),
            tag("v9", &[], false),
            tag("v8", &[], true)
        ]),
        [
            "v10  0123456789  1970-01-01 00:00:00Z  * not on web2, web3",
            "v9   0123456789  1970-01-01 00:00:00Z",
            "v8   0123456789  1970-01-01 00:00:00Z  ! moved: hosts disagree about its commit",
        ]
    );
}

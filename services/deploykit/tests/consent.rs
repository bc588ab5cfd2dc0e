//! What a person's key signs: each way in which a grant can say more than was asked for is tried once.

use deploy_orchestrator::api::{Action, Plan, PlanRequest};
use deploykit::{consent::agrees, home::Home};
use events::HostName;
use jiff::{SignedDuration, Timestamp};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn hosts(names: &[&str]) -> Vec<HostName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn request() -> PlanRequest {
    PlanRequest {
        project: "shop".parse().unwrap(),
        action: Action::Deploy,
        revision: Some("v2".to_owned()),
        on: None,
        untested: false,
        clear: false,
        reason: Some("basket".to_owned()),
    }
}

fn plan() -> Plan {
    let targets = hosts(&["web1", "web2"]);
    Plan {
        untested: false,
        grant: orders::Grant {
            id: "01939a5c-7d3e-7000-8000-0123456789ab".parse().unwrap(),
            project: "shop".parse().unwrap(),
            environment: "prod".parse().unwrap(),
            action: orders::Action::Deploy,
            commit: Some(COMMIT.parse().unwrap()),
            tag: Some("v2".parse().unwrap()),
            branch: None,
            targets: orders::targets_digest(&targets),
            clears: Vec::new(),
            reason: Some("basket".to_owned()),
            not_before: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(4),
        },
        targets,
        waves: Vec::new(),
        now: Vec::new(),
        warnings: Vec::new(),
    }
}

/// What the person's own settings know.
fn home() -> Home {
    let own = "socket = \"/s\"\nkey_file = \"/k\"\n[environments]\nshop = \"prod\"\n[groups]\nown = [\"web1\", \"web2\"]";
    toml::from_str(own).unwrap()
}

fn asked(request: &PlanRequest, plan: &Plan) -> Result<Option<String>, String> {
    agrees(request, plan, &home(), Timestamp::UNIX_EPOCH)
}

/// That it is signed without a question.
fn check(request: &PlanRequest, plan: &Plan) -> Result<(), String> {
    match asked(request, plan)? {
        None => Ok(()),
        Some(question) => Err(question),
    }
}

/// The plan with one change must not be signed for what was asked.
fn refused(request: &PlanRequest, change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = plan();
    change(&mut plan);
    check(request, &plan).unwrap_err()
}

fn retarget(plan: &mut Plan, names: &[&str]) {
    plan.targets = hosts(names);
    plan.grant.targets = orders::targets_digest(&plan.targets);
}

#[test]
fn what_was_asked_for_is_signed() {
    assert_eq!(check(&request(), &plan()), Ok(()));
}

#[test]
fn another_project_action_tag_reason_or_time_is_not() {
    let asked = request();
    refused(&asked, |plan| plan.grant.project = "toys".parse().unwrap());
    refused(&asked, |plan| plan.grant.action = orders::Action::Rollback);
    refused(&asked, |plan| plan.grant.tag = Some("v3".parse().unwrap()));
    refused(&asked, |plan| plan.grant.commit = None);
    refused(&asked, |plan| plan.grant.reason = None);
    refused(&asked, |plan| {
        plan.grant.expires += SignedDuration::from_hours(240)
    });
    refused(&asked, |plan| {
        plan.grant.not_before += SignedDuration::from_hours(1)
    });
}

#[test]
fn targets_that_are_not_the_ones_shown_are_not() {
    refused(&request(), |plan| plan.targets = hosts(&["web1"]));
}

/// What was typed, the targets of the answer, and what comes of it: signed, refused, or asked.
#[test]
fn a_host_that_was_not_named_comes_from_a_group_that_the_person_knows() {
    const ASKED: &str = "?";
    for (action, on, targets, expected) in [
        (Action::Deploy, "web1 web2", "web1 web2", ""),
        (
            Action::Deploy,
            "web1 web2",
            "db1 web1 web2",
            "it names db1 too",
        ),
        (Action::Deploy, "web1 web2", "web1", "it leaves out web2"),
        (Action::Deploy, "own", "web1 web2", ""),
        (Action::Deploy, "own", "web1", ""),
        (Action::Deploy, "own", "db1 web1", "it names db1 too"),
        (Action::Deploy, "own db1", "db1 web1", ""),
        // A host that the orchestrator takes for a group; only the person knows that it is none.
        (Action::Deploy, "web1", "db1", ASKED),
        (Action::Deploy, "web", "web1 web2", ASKED),
        (Action::Deploy, "own web", "db1 web1", ASKED),
        (Action::Rollback, "web1", "db1", ASKED),
        (Action::Clear, "web1 web2", "web2", ""),
        (Action::Clear, "web1 web2", "db1", ASKED),
        (Action::Clear, "own", "db1", "it names db1 too"),
    ] {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect();
        let mut asking = PlanRequest {
            action,
            on: Some(names(on)),
            ..request()
        };
        let mut plan = plan();
        plan.grant.action = action.into();
        if action != Action::Deploy {
            (plan.grant.tag, plan.grant.commit) = (None, None);
            asking.revision = None;
        }
        retarget(&mut plan, &targets.split(' ').collect::<Vec<_>>());
        let found = match asked(&asking, &plan) {
            Ok(None) => String::new(),
            Ok(Some(_)) => ASKED.to_owned(),
            Err(why) => why,
        };
        assert_eq!(found, expected, "{action:?} {on}: {targets}");
    }
    let asking = PlanRequest {
        on: Some(vec!["web".to_owned()]),
        ..request()
    };
    assert_eq!(
        asked(&asking, &plan()).unwrap().unwrap(),
        "Is web a group, and does it mean web1, web2?"
    );
}

#[test]
fn an_environment_that_is_not_the_one_of_the_settings_is_not() {
    let why = refused(&request(), |plan| {
        plan.grant.environment = "dev".parse().unwrap();
    });
    assert_eq!(why, "it is for the environment dev");
}

/// What was typed, the tag, the branch and the commit of the answer, and whether that is signed.
#[test]
fn what_was_typed_is_a_tag_a_branch_or_a_commit_and_the_answer_says_which() {
    const DIGITS: &str = "9999999999999999999999999999999999999999";
    for (typed, tag, branch, signed) in [
        ("v2", Some("v2"), None, true),
        ("refs/tags/v2", Some("v2"), None, true),
        ("refs/heads/v2", Some("v2"), None, false),
        ("v2", Some("v3"), None, false),
        ("main", None, Some("main"), true),
        ("refs/heads/main", None, Some("main"), true),
        ("refs/tags/main", None, Some("main"), false),
        ("main", None, Some("evil"), false),
        // Each host looks whether there is such a branch, and whether the commit is on it.
        ("v2", None, Some("v2"), true),
        ("v2", Some("v2"), Some("v2"), false),
        ("v2", None, None, false),
        ("main", None, None, false),
        ("012345", None, None, false),
        ("0123456", None, None, true),
        ("0123456789ABCDEF", None, None, true),
        (COMMIT, None, None, true),
        ("abcdef0", None, None, false),
        ("20261121", Some("20261121"), None, true),
        ("20261121", None, None, false),
        (DIGITS, Some(DIGITS), None, false),
        (DIGITS, None, Some(DIGITS), false),
        (COMMIT, Some(COMMIT), None, true),
    ] {
        let asked = PlanRequest {
            revision: Some(typed.to_owned()),
            ..request()
        };
        let mut answer = plan();
        answer.grant.tag = tag.map(|tag| tag.parse().unwrap());
        answer.grant.branch = branch.map(|branch| branch.parse().unwrap());
        let found = check(&asked, &answer);
        assert_eq!(
            found.is_ok(),
            signed,
            "{typed} {tag:?} {branch:?}: {found:?}"
        );
    }
}

#[test]
fn a_refused_answer_says_what_it_means() {
    let asked = request();
    let why = refused(&asked, |plan| {
        plan.grant.tag = None;
        plan.grant.branch = Some("evil".parse().unwrap());
    });
    assert_eq!(
        why,
        "\"v2\" was asked for, it is for branch evil at 0123456789"
    );
}

#[test]
fn a_rollback_names_no_revision() {
    let asked = PlanRequest {
        action: Action::Rollback,
        revision: None,
        ..request()
    };
    let mut rollback = plan();
    rollback.grant.action = orders::Action::Rollback;
    rollback.grant.tag = None;
    assert!(check(&asked, &rollback).is_err(), "a commit is named");
    rollback.grant.commit = None;
    assert_eq!(check(&asked, &rollback), Ok(()));
}

#[test]
fn broken_hosts_are_cleared_only_where_that_was_typed() {
    let clears = |plan: &mut Plan| plan.grant.clears = vec![plan.grant.id];
    assert_eq!(
        refused(&request(), clears),
        "it clears broken hosts, and --clear was not typed"
    );
    let asked = PlanRequest {
        clear: true,
        ..request()
    };
    let mut plan = plan();
    clears(&mut plan);
    assert_eq!(check(&asked, &plan), Ok(()));
}

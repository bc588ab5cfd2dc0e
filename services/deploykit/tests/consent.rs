//! What a person's key signs: each way in which a grant can say more than was asked for is tried once.

use deploy_orchestrator::api::{Action, Plan, PlanRequest};
use deploykit::consent::agrees;
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

fn check(request: &PlanRequest, plan: &Plan) -> Result<(), String> {
    agrees(request, plan, Timestamp::UNIX_EPOCH)
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

#[test]
fn a_host_beside_the_named_ones_is_not() {
    let on = |names: &[&str]| PlanRequest {
        on: Some(names.iter().map(|&name| name.to_owned()).collect()),
        ..request()
    };
    assert_eq!(check(&on(&["web1", "web2"]), &plan()), Ok(()));
    assert_eq!(
        check(&on(&["web"]), &plan()),
        Ok(()),
        "a group may hold any hosts"
    );
    let why = refused(&on(&["web1", "web2"]), |plan| {
        retarget(plan, &["web1", "web2", "db1"])
    });
    assert_eq!(why, "it names db1 too");
}

#[test]
fn a_commit_begins_as_it_was_typed() {
    let asked = |revision: &str| PlanRequest {
        revision: Some(revision.to_owned()),
        ..request()
    };
    let mut by_commit = plan();
    by_commit.grant.tag = None;
    assert_eq!(check(&asked("0123456"), &by_commit), Ok(()));
    assert_eq!(
        check(&asked("main"), &by_commit),
        Ok(()),
        "a branch leads where it leads; it is shown"
    );
    assert!(check(&asked("abcdef0"), &by_commit).is_err());
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

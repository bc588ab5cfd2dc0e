//! Broken hosts: what is planned for them, and how a clearing goes.

use deploy_orchestrator::{
    api::{Action, DeployState, HostState, PlanRequest},
    refused::Kind,
};
use events::message::{Held, Phase, State};
use uuid::Uuid;

use crate::{
    plan::{deploy, fleet, on, rollback},
    support::{Story, at, host, hosts, rules},
};

const BAD: Uuid = Uuid::from_u128(0xbad);

fn clear() -> PlanRequest {
    PlanRequest {
        action: Action::Clear,
        ..rollback()
    }
}

#[test]
fn a_deploy_to_a_broken_host_is_refused_with_what_to_type() {
    let mut fleet = fleet();
    fleet.breaks("web2", BAD);
    let refused = fleet.plan(&on(deploy("v2"), &["web1", "web2"]));
    let refused = refused.expect_err("web2 is broken");
    assert_eq!(refused.kind, Kind::Impossible);
    assert_eq!(
        refused.body.error,
        "web2 is broken and takes no deploy until a person says so: start: exit 1"
    );
    assert_eq!(
        refused.body.next.as_deref(),
        Some(
            "look at it; then deploykit deploy shop v2 --on web1 --on web2 --clear, or deploykit rollback shop"
        )
    );
    fleet
        .plan(&on(deploy("v2"), &["web1"]))
        .expect("others are not held up");
    let back = fleet.plan(&rollback()).expect("a rollback is always taken");
    assert_eq!(back.targets, hosts("web1 web2 web3"));
    assert!(back.grant.clears.is_empty());
}

#[test]
fn a_deploy_that_clears_names_what_was_seen() {
    let mut fleet = fleet();
    fleet.breaks("web2", BAD);
    let asked = PlanRequest {
        clear: true,
        ..deploy("v2")
    };
    let plan = fleet.plan(&asked).expect("it clears");
    assert_eq!(plan.grant.clears, [BAD]);
    assert!(
        plan.warnings
            .contains(&"clears web2, broken: start: exit 1".to_owned()),
        "{:?}",
        plan.warnings
    );
    fleet
        .check(&plan.grant, &plan.targets, 20)
        .expect("as it was planned");
    fleet.breaks("web3", Uuid::from_u128(0xbad2));
    let refused = fleet.check(&plan.grant, &plan.targets, 20);
    assert_eq!(
        refused.expect_err("nobody has seen web3").body.error,
        "web3 has broken since, which the grant does not clear"
    );
}

#[test]
fn a_clearing_is_for_the_broken_ones_among_those_that_are_named() {
    let mut fleet = fleet();
    let refused = fleet.plan(&clear()).expect_err("none is broken");
    assert_eq!(
        refused.body.error,
        "nothing to clear: shop is neither broken nor held on web1, web2, web3, as far as is known"
    );
    fleet.breaks("web2", BAD);
    fleet.breaks("web3", BAD);
    let plan = fleet.plan(&clear()).expect("two are");
    assert_eq!(plan.targets, hosts("web2 web3"));
    assert_eq!(plan.grant.clears, [BAD]);
    assert_eq!(plan.waves.len(), 1, "all at once");
    let plan = fleet.plan(&on(clear(), &["web1", "web3"])).expect("one is");
    assert_eq!(plan.targets, hosts("web3"));
    fleet
        .check(&plan.grant, &plan.targets, 20)
        .expect("as it was planned");
}

#[test]
fn a_clearing_goes_to_all_at_once_and_needs_no_preparation() {
    let mut story = Story::of(Action::Clear, "web1 web2", rules());
    assert_eq!(story.begin(), "web1 clear, web2 clear");
    assert_eq!(story.accepts("web1", Phase::Clear), "");
    assert_eq!(story.report("web1", Phase::Clear, State::Cleared, "v1"), "");
    assert_eq!(
        story.report("web2", Phase::Clear, State::Cleared, "v1"),
        "ended"
    );
    assert_eq!(story.state(), DeployState::Succeeded);
    assert_eq!(story.rollout.hosts[&host("web1")].state, HostState::Cleared);
}

#[test]
fn a_host_that_refuses_to_be_cleared_is_named_and_puts_no_other_back() {
    let mut story = Story::of(Action::Clear, "web1 web2", rules());
    story.begin();
    story.report("web1", Phase::Clear, State::Cleared, "v1");
    let reason = "broken since".to_owned();
    let refused = State::Refused { reason };
    assert_eq!(story.report("web2", Phase::Clear, refused, "v1"), "ended");
    assert_eq!(story.state(), DeployState::Failed);
    assert_eq!(story.reason(), "wave 1 of 1: web2 refused the order");
    let view = deploy_orchestrator::texts::view(&story.deploy_v2());
    assert_eq!(view.next, ["deploykit clear shop --on web2"]);
}

#[test]
fn a_hold_is_shown_and_ends_with_a_deploy_or_a_clearing() {
    let mut fleet = fleet();
    let deploy_at_host = Uuid::from_u128(0x401d);
    fleet.held = Some(Held {
        deploy: deploy_at_host,
        by: "ann (uid 1000) at web3".to_owned(),
        reason: Some("checkout".to_owned()),
        since: at(0),
    });
    fleet.present("web3", true);
    let why = "held since 2027-01-15 08:00:00Z, rolled back by ann (uid 1000) at web3: checkout";
    let plan = fleet.plan(&deploy("v2")).expect("a hold refuses nothing");
    assert!(plan.grant.clears.is_empty(), "the deploy itself ends it");
    assert_eq!(plan.warnings, [format!("ends the hold of web3, {why}")]);
    let plan = fleet.plan(&clear()).expect("there is one");
    assert_eq!(plan.targets, hosts("web3"));
    assert_eq!(plan.grant.clears, [deploy_at_host]);
    assert_eq!(plan.warnings, [format!("clears web3, {why}")]);
    let shown = fleet.shown("web3");
    assert_eq!(shown.held, fleet.held, "status shows it");
}

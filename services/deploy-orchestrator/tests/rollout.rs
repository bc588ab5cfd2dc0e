//! A rollout as stories: what is said and done, in words.

use std::collections::BTreeSet;

use deploy_orchestrator::{
    api::{Action, DeployState, HostState},
    plan::undo::is_activated,
    rollout::{Input, Issued, OnFailure},
    waves::Size,
};
use events::message::{Phase, State};
use uuid::Uuid;

use crate::support::{Story, at, host, hosts, order_id, rules, running};

#[test]
fn all_prepare_then_the_canary_then_the_rest() {
    let mut story = Story::deploy("web1 | web2 web3");
    assert_eq!(story.begin(), "web1 prepare, web2 prepare, web3 prepare");
    assert_eq!(story.accepts("web1", Phase::Prepare), "");
    assert_eq!(story.prepared("web1"), "");
    assert_eq!(story.prepared("web3"), "");
    assert_eq!(
        story.reason(),
        "2 of 3 hosts are prepared; waiting for web2 (its agent has not answered yet)"
    );
    assert_eq!(story.prepared("web2"), "web1 activate");
    assert_eq!(story.state(), DeployState::Activating);
    assert_eq!(story.live("web1"), "web2 activate, web3 activate");
    assert_eq!(story.live("web3"), "");
    assert_eq!(
        story.reason(),
        "wave 2 of 2: waiting for web2 (its agent has not answered yet)"
    );
    assert_eq!(story.live("web2"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
    assert_eq!(story.reason(), "");
}

#[test]
fn a_canary_that_fails_leaves_the_others_untouched() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    assert_eq!(story.fails_check("web1"), "ended");
    assert_eq!(story.state(), DeployState::Failed);
    assert_eq!(story.reason(), "wave 1 of 2: web1 failed its check");
    let states: Vec<_> = story
        .rollout
        .hosts
        .values()
        .map(|record| record.state)
        .collect();
    assert_eq!(
        states,
        [HostState::PutBack, HostState::Prepared, HostState::Prepared]
    );
    let web1 = &story.rollout.hosts[&host("web1")];
    assert_eq!(web1.back_after_s, Some(2.0));
    assert_eq!(
        web1.detail.as_deref(),
        Some("check: exit 1, 3 tries: GET /health 500 \"no such table\"")
    );
}

#[test]
fn a_failing_wave_puts_back_what_it_and_the_waves_before_changed_and_no_other() {
    let mut story = Story::deploy("web1 | web2 web3 | web4");
    story.begin();
    story.all_prepared("web1 web2 web3 web4");
    story.live("web1");
    story.accepts("web2", Phase::Activate);
    assert_eq!(story.fails_check("web3"), "web2 abort, web1 rollback");
    assert_eq!(story.state(), DeployState::PuttingBack);
    assert_eq!(
        story.reason(),
        "wave 2 of 3: web3 failed its check; putting back web1, web2"
    );
    // The abort came too late for web2.
    assert_eq!(story.live("web2"), "web2 rollback");
    assert_eq!(story.report("web2", Phase::Abort, State::Live, "v2"), "");
    story.now = at(4);
    assert_eq!(story.report("web2", Phase::Rollback, State::Live, "v1"), "");
    assert_eq!(
        story.report("web1", Phase::Rollback, State::Live, "v1"),
        "ended"
    );
    let states: Vec<_> = story
        .rollout
        .hosts
        .values()
        .map(|record| record.state)
        .collect();
    assert_eq!(
        states,
        [
            HostState::PutBack,
            HostState::PutBack,
            HostState::PutBack,
            HostState::Prepared
        ]
    );
    assert_eq!(story.rollout.hosts[&host("web2")].back_after_s, Some(4.0));
}

#[test]
fn with_on_failure_stop_changed_hosts_stay_for_somebody_to_look_at() {
    let policy = deploy_orchestrator::rollout::Policy {
        on_failure: OnFailure::Stop,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2 web3 | web4", policy);
    story.begin();
    story.all_prepared("web1 web2 web3 web4");
    story.live("web1");
    assert_eq!(story.fails_check("web3"), "");
    assert_eq!(
        story.reason(),
        "wave 2 of 3: web3 failed its check; waiting for web2"
    );
    assert_eq!(story.live("web2"), "ended");
    let reason = "wave 2 of 3: web3 failed its check; web1, web2 kept the new release (on_failure = \"stop\")";
    assert_eq!(story.reason(), reason);
}

#[test]
fn a_host_that_cannot_prepare_stops_it_before_anything_is_touched() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.prepared("web1");
    story.accepts("web3", Phase::Prepare);
    let reason = "layout: no room on the disk".to_owned();
    assert_eq!(
        story.report("web2", Phase::Prepare, State::Failed { reason }, "v1"),
        "web3 abort"
    );
    assert_eq!(
        story.report("web3", Phase::Abort, State::Aborted, "v1"),
        "ended"
    );
    assert_eq!(
        story.reason(),
        "web2 cannot prepare; nothing live was touched"
    );
    assert_eq!(
        story.rollout.hosts[&host("web3")].state,
        HostState::Untouched
    );
}

#[test]
fn an_order_is_sent_again_until_it_is_accepted() {
    let mut story = Story::deploy("web1");
    story.begin();
    assert_eq!(story.after(4), "");
    assert_eq!(story.after(1), "web1 prepare");
    assert_eq!(story.after(5), "web1 prepare");
    story.accepts("web1", Phase::Prepare);
    assert_eq!(story.after(50), "");
}

#[test]
fn a_few_unreachable_hosts_are_left_behind_and_named() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.all_prepared("web1 web2");
    assert_eq!(story.after(60), "web1 activate");
    story.live("web1");
    assert_eq!(story.live("web2"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
    assert_eq!(story.reason(), "left behind, unreachable: web3");
}

#[test]
fn more_unreachable_hosts_than_allowed_stop_it_before_anything_is_touched() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.prepared("web1");
    assert_eq!(story.after(60), "ended");
    assert_eq!(
        story.reason(),
        "web2, web3 unreachable, at most 1 may be; nothing live was touched"
    );
}

#[test]
fn one_host_that_is_unreachable_is_no_success() {
    let mut story = Story::deploy("web1");
    story.begin();
    assert_eq!(story.after(60), "ended");
    assert_eq!(story.state(), DeployState::Failed);
    assert_eq!(story.reason(), "web1 unreachable; nothing live was touched");
}

#[test]
fn a_host_of_the_next_wave_stands_in_for_a_canary_that_does_not_answer() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.after(55);
    // It is told to abort, in case it reads the order yet; and web2 proves the release alone.
    assert_eq!(story.after(5), "web1 abort, web2 activate");
    assert_eq!(story.live("web2"), "web3 activate");
    assert_eq!(story.live("web3"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
}

#[test]
fn a_canary_that_was_unreachable_while_preparing_does_not_leave_its_wave_unproven() {
    let mut story = Story::deploy("web1 | web2 web3 | web4");
    story.begin();
    story.all_prepared("web2 web3 web4");
    // Wave 1 has nobody to prove anything, so wave 2 is the first, and it is the size that was asked for.
    assert_eq!(story.after(60), "web2 activate, web3 activate");
}

#[test]
fn the_next_wave_waits_for_the_bake_time() {
    let policy = deploy_orchestrator::rollout::Policy {
        bake_s: 30,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2", policy);
    story.begin();
    story.all_prepared("web1 web2");
    assert_eq!(story.live("web1"), "");
    assert_eq!(
        story.reason(),
        "wave 1 of 2 is good; the next one starts at 08:00:30Z"
    );
    assert_eq!(story.rollout.next_wake(), Some(at(30)));
    assert_eq!(story.after(29), "");
    assert_eq!(story.after(1), "web2 activate");
    assert_eq!(story.live("web2"), "ended");
}

#[test]
fn a_host_that_comes_back_while_its_wave_bakes_is_waited_for() {
    let policy = deploy_orchestrator::rollout::Policy {
        bake_s: 30,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 web2 | web3", policy);
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.live("web1");
    assert_eq!(story.after(60), "web2 abort");
    assert_eq!(story.accepts("web2", Phase::Activate), "");
    assert_eq!(story.after(30), "web2 abort");
    assert!(story.rollout.next_wake() > Some(story.now));
    assert_eq!(story.live("web2"), "web3 activate");
}

#[test]
fn a_pause_holds_the_next_wave_and_nothing_else() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    assert_eq!(story.feed(Input::Pause), "");
    assert_eq!(
        story.reason(),
        "paused; wave 1 of 2 is still under way on web1"
    );
    assert_eq!(story.after(5), "web1 activate");
    assert_eq!(story.live("web1"), "");
    assert_eq!(story.state(), DeployState::Paused);
    assert_eq!(story.reason(), "paused after wave 1 of 2");
    assert_eq!(story.after(1000), "");
    assert_eq!(story.feed(Input::Resume), "web2 activate");
}

#[test]
fn a_failure_while_paused_is_put_back_all_the_same() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.live("web1");
    story.feed(Input::Pause);
    story.live("web2");
    assert_eq!(story.fails_check("web3"), "web1 rollback, web2 rollback");
}

#[test]
fn an_abort_puts_back_what_changed() {
    let mut story = Story::deploy("web1 | web2 | web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.live("web1");
    story.accepts("web2", Phase::Activate);
    assert_eq!(story.feed(Input::Abort), "web2 abort, web1 rollback");
    story.report(
        "web2",
        Phase::Activate,
        State::PutBack {
            reason: "aborted".to_owned(),
        },
        "v1",
    );
    story.report(
        "web2",
        Phase::Abort,
        State::PutBack {
            reason: "aborted".to_owned(),
        },
        "v1",
    );
    assert_eq!(
        story.report("web1", Phase::Rollback, State::Live, "v1"),
        "ended"
    );
    assert_eq!(story.state(), DeployState::Aborted);
    assert_eq!(story.reason(), "aborted by a person");
}

#[test]
fn an_abort_while_preparing_waits_for_no_host_that_never_answered() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    assert_eq!(story.feed(Input::Abort), "web1 abort, web2 abort, ended");
}

#[test]
fn a_redeploy_of_what_is_live_has_nothing_to_put_back() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    // web1 ran this release before.
    story.report("web1", Phase::Activate, State::Live, "v1");
    assert_eq!(story.fails_check("web2"), "ended");
}

#[test]
fn a_failure_within_the_budget_does_not_stop_it() {
    let policy = deploy_orchestrator::rollout::Policy {
        failure_budget: 1,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 web2 | web3", policy);
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.fails_check("web1");
    assert_eq!(story.live("web2"), "web3 activate");
    assert_eq!(story.live("web3"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
    assert_eq!(
        story.reason(),
        "within the failure budget: web1 failed its check"
    );
}

#[test]
fn a_budget_does_not_let_a_wave_pass_that_no_host_came_through() {
    let policy = deploy_orchestrator::rollout::Policy {
        failure_budget: 1,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2 web3", policy);
    story.begin();
    story.all_prepared("web1 web2 web3");
    assert_eq!(story.fails_check("web1"), "ended");
    assert_eq!(
        story.reason(),
        "wave 1 of 2: no host came to run it, so nothing shows that it is good"
    );
}

#[test]
fn a_host_that_accepted_and_fell_silent_is_a_failure() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    story.accepts("web1", Phase::Activate);
    assert_eq!(story.after(3600), "web1 abort");
    assert_eq!(
        story.reason(),
        "wave 1 of 2: web1 accepted the order and was not heard again; putting back web1"
    );
    // It comes back, and ends what it was at.
    assert_eq!(
        story.report(
            "web1",
            Phase::Abort,
            State::PutBack {
                reason: "aborted".to_owned()
            },
            "v1"
        ),
        "ended"
    );
    assert_eq!(story.rollout.hosts[&host("web1")].state, HostState::PutBack);
}

#[test]
fn a_host_that_cannot_be_put_back_needs_a_person() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    story.live("web1");
    story.fails_check("web2");
    let reason = "back-start: exit 1".to_owned();
    assert_eq!(
        story.report("web1", Phase::Rollback, State::Broken { reason }, "v2"),
        "ended"
    );
    let web1 = &story.rollout.hosts[&host("web1")];
    assert_eq!(web1.state, HostState::Broken);
    assert_eq!(
        web1.detail.as_deref(),
        Some("cannot be put back: back-start: exit 1")
    );
}

#[test]
fn a_rollback_prepares_nothing_and_goes_to_all_at_once() {
    let mut story = Story::rollback("web1 web2 web3");
    assert_eq!(story.begin(), "web1 rollback, web2 rollback, web3 rollback");
    story.report("web1", Phase::Rollback, State::Live, "v0");
    let reason = "back-check: exit 1".to_owned();
    story.report("web2", Phase::Rollback, State::PutBack { reason }, "v1");
    // Nothing of a rollback is ever undone.
    assert_eq!(
        story.report("web3", Phase::Rollback, State::Live, "v0"),
        "ended"
    );
    assert_eq!(story.state(), DeployState::Failed);
}

#[test]
fn a_rollback_goes_on_where_it_can_and_names_whom_it_did_not_reach() {
    let mut story = Story::rollback("web1 web2 web3");
    story.begin();
    story.report("web1", Phase::Rollback, State::Live, "v0");
    assert_eq!(story.after(60), "ended");
    assert_eq!(story.state(), DeployState::Failed);
    assert_eq!(
        story.reason(),
        "wave 1 of 1: web2, web3 unreachable, at most 1 may be"
    );
}

#[test]
fn a_rollback_takes_its_hosts_over_from_a_deploy_and_the_others_are_put_back() {
    let mut story = Story::deploy("web1 web2 | web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.live("web1");
    story.live("web2");
    story.accepts("web3", Phase::Activate);
    let by = Uuid::from_u128(0xabcd);
    let hosts = BTreeSet::from([host("web1"), host("web3")]);
    assert_eq!(story.feed(Input::TakenOver { by, hosts }), "web2 rollback");
    assert_eq!(
        story.report("web2", Phase::Rollback, State::Live, "v1"),
        "ended"
    );
    assert_eq!(story.state(), DeployState::Aborted);
    assert_eq!(
        story.reason(),
        "the rollback 0000abcd took over; web1 had it before"
    );
}

#[test]
fn after_the_bus_was_away_limits_begin_anew_and_orders_are_sent_again() {
    let mut story = Story::deploy("web1 web2");
    story.begin();
    story.accepts("web1", Phase::Prepare);
    story.now = at(3000);
    assert_eq!(story.feed(Input::Back), "web2 prepare");
    assert_eq!(story.after(59), "web2 prepare");
    assert_eq!(story.prepared("web2"), "");
    assert_eq!(story.after(800), "");
    assert_eq!(story.prepared("web1"), "web1 activate, web2 activate");
}

#[test]
fn no_wave_starts_under_a_grant_that_has_run_out() {
    let policy = deploy_orchestrator::rollout::Policy {
        no_wave_after: at(100),
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2", policy);
    story.begin();
    story.all_prepared("web1 web2");
    story.feed(Input::Pause);
    story.live("web1");
    story.now = at(200);
    assert_eq!(story.feed(Input::Resume), "web1 rollback");
    story.report("web1", Phase::Rollback, State::Live, "v1");
    assert_eq!(
        story.reason(),
        "wave 2 of 2 was not started: the grant has run out, ask for the deploy again"
    );
}

#[test]
fn doubled_and_late_reports_change_nothing() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    let prepared = story.rollout.clone();
    story.all_prepared("web1 web2");
    story.live("web1");
    let before = story.rollout.clone();
    let old = prepared.hosts[&host("web1")]
        .heard
        .get(&Phase::Prepare)
        .copied();
    assert_eq!(old, None);
    // A report of the phase before, and one of another deploy.
    assert_eq!(
        story.report(
            "web1",
            Phase::Prepare,
            State::Failed {
                reason: "late".to_owned()
            },
            "v1"
        ),
        ""
    );
    let mut other = Story::deploy("web1");
    other.rollout.deploy = Uuid::from_u128(8);
    other.begin();
    assert_eq!(other.prepared("web1"), "");
    assert_eq!(story.rollout, before);
}

#[test]
fn a_host_that_was_given_up_may_join_before_its_wave() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.all_prepared("web1 web2");
    story.after(60);
    story.accepts("web3", Phase::Prepare);
    story.prepared("web3");
    assert_eq!(story.live("web1"), "web2 activate, web3 activate");
}

#[test]
fn an_explicit_zero_tolerates_no_unreachable_host() {
    let policy = deploy_orchestrator::rollout::Policy {
        max_unreachable: Size::Count(0),
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2 web3", policy);
    story.begin();
    story.all_prepared("web1 web2");
    assert_eq!(story.after(60), "ended");
    assert_eq!(story.state(), DeployState::Failed);
}

fn refused() -> State {
    State::Refused {
        reason: "it expired at 08:01:00Z".to_owned(),
    }
}

#[test]
fn a_host_that_was_left_behind_and_refuses_the_expired_order_later_is_no_failure() {
    let mut story = Story::deploy("web1 | web2 web3 | web4");
    story.begin();
    story.all_prepared("web1 web2 web3 web4");
    story.live("web1");
    story.live("web2");
    assert_eq!(story.after(60), "web3 abort, web4 activate");
    assert_eq!(story.report("web3", Phase::Activate, refused(), "v1"), "");
    assert_eq!(
        story.rollout.hosts[&host("web3")].state,
        HostState::Unreachable
    );
    story.report("web3", Phase::Abort, State::Aborted, "v1");
    assert_eq!(story.live("web4"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
    story.report("web3", Phase::Activate, refused(), "v1");
    assert_eq!(story.reason(), "left behind, unreachable: web3");
}

#[test]
fn the_refusal_of_an_expired_order_does_not_end_the_one_that_followed_it() {
    let mut story = Story::deploy("web1");
    story.begin();
    story.prepared("web1");
    story.now = at(100);
    // The bus was away for longer than the order was valid: it is made anew.
    assert_eq!(story.feed(Input::Back), "web1 activate");
    let steps = Vec::new();
    assert_eq!(
        story.report_of("web1", Phase::Activate, 0, refused(), "v1", steps),
        ""
    );
    assert_eq!(
        story.rollout.hosts[&host("web1")].state,
        HostState::Activating
    );
    assert_eq!(story.accepts("web1", Phase::Activate), "");
    assert_eq!(story.live("web1"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
}

#[test]
fn an_order_that_expired_while_it_was_awaited_is_sent_anew() {
    let mut story = Story::deploy("web1");
    story.begin();
    story.prepared("web1");
    story.now = at(58);
    assert_eq!(story.feed(Input::Back), "web1 activate");
    story.now = at(61);
    assert_eq!(story.report("web1", Phase::Activate, refused(), "v1"), "");
    assert_eq!(story.after(3), "web1 activate");
    assert_eq!(story.live("web1"), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
}

#[test]
fn reports_of_the_newest_order_count_even_if_the_clock_stepped_back() {
    let mut story = Story::deploy("web1");
    story.begin();
    story.prepared("web1");
    story.accepts("web1", Phase::Activate);
    let (newer, older) = (order_id(Phase::Activate, 1), order_id(Phase::Activate, 0));
    assert!(newer < older);
    let issued = Issued {
        order: newer,
        expires: at(200),
    };
    story.rollout.issued(&host("web1"), Phase::Activate, issued);
    assert_eq!(story.live("web1"), "ended");
    let ended = story.rollout.clone();
    let reason = "late".to_owned();
    let late = State::Failed { reason };
    story.report_of("web1", Phase::Activate, 0, late, "v1", Vec::new());
    assert_eq!(story.rollout, ended);
}

#[test]
fn reports_on_orders_that_were_never_issued_count_for_nothing() {
    let mut story = Story::deploy("web1");
    story.begin();
    let release = running("v2").release;
    let prepared = State::Prepared { release };
    assert_eq!(
        story.report_of("web1", Phase::Prepare, 9, prepared, "v1", Vec::new()),
        ""
    );
    assert_eq!(
        story.rollout.hosts[&host("web1")].state,
        HostState::Preparing
    );
}

#[test]
fn hosts_that_a_rollback_leaves_get_no_order_and_are_named() {
    let left = |names: &str| {
        let why = |name| {
            (
                name,
                "left on what it has: v2 was not activated here".to_owned(),
            )
        };
        hosts(names).into_iter().map(why).collect()
    };
    let mut story = Story::of(Action::Rollback, "web1 | web2 web3", rules());
    story.leave(left("web1 web3"));
    assert_eq!(story.begin(), "web2 rollback");
    assert_eq!(
        story.report("web2", Phase::Rollback, State::Live, "v1"),
        "ended"
    );
    assert_eq!(story.state(), DeployState::Succeeded);
    assert_eq!(story.reason(), "left on what they had: web1, web3");

    let mut story = Story::rollback("web1 web2");
    story.leave(left("web1 web2"));
    assert_eq!(story.begin(), "ended");
    assert_eq!(story.state(), DeployState::Succeeded);
}

#[test]
fn a_deploy_is_activated_where_it_is_live_or_may_become_so() {
    let mut story = Story::of(
        Action::Deploy,
        "web1 web2 web3 web4 | web5",
        deploy_orchestrator::rollout::Policy {
            failure_budget: 1,
            ..rules()
        },
    );
    story.begin();
    story.all_prepared("web1 web2 web3 web4 web5");
    story.live("web1");
    story.fails_check("web2");
    story.accepts("web3", Phase::Activate);
    // It runs what it ran before.
    story.report("web4", Phase::Activate, State::Live, "v1");
    let activated = story.rollout.which(is_activated);
    assert_eq!(activated, hosts("web1 web3"));
    // While it is put back, that is left to the deploy itself.
    assert_eq!(story.feed(Input::Abort), "web3 abort, web1 rollback");
    let activated = story.rollout.which(is_activated);
    assert_eq!(activated, hosts("web3"));
}

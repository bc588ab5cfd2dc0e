//! What a person is told to type next.

use deploy_orchestrator::{
    api::{Action, DeployView, HostState},
    rollout::{Input, Policy},
    texts,
    waves::Size,
};
use events::message::{Phase, State};

use crate::support::{Story, rules};

fn view(story: &Story) -> DeployView {
    texts::view(&story.deploy_v2())
}

fn next(story: &Story) -> Vec<String> {
    view(story).next
}

#[test]
fn while_it_goes_on_it_can_be_shown_and_aborted_and_a_paused_one_resumed() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    assert_eq!(
        next(&story),
        ["deploykit show 456789ab", "deploykit abort 456789ab"]
    );
    story.feed(Input::Pause);
    assert_eq!(
        next(&story),
        ["deploykit resume 456789ab", "deploykit abort 456789ab"]
    );
}

#[test]
fn after_a_success_those_left_behind_come_first_then_the_way_back() {
    let mut story = Story::deploy("web1 | web2 web3");
    story.begin();
    story.all_prepared("web1 web2");
    story.after(60);
    story.live("web1");
    story.live("web2");
    assert_eq!(
        next(&story),
        [
            "deploykit deploy shop v2 --on web3",
            "deploykit rollback shop"
        ]
    );
}

#[test]
fn a_fleet_that_is_not_on_one_release_is_told_how_to_get_there() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    story.live("web1");
    story.fails_check("web2");
    let reason = "back-start: exit 1".to_owned();
    story.report("web1", Phase::Rollback, State::Broken { reason }, "v2");
    assert_eq!(
        next(&story),
        [
            "deploykit logs 456789ab --host web2",
            "deploykit deploy shop v1 --on web1"
        ]
    );
}

#[test]
fn hosts_that_do_not_answer_are_looked_at_and_can_be_left_out() {
    let policy = Policy {
        max_unreachable: Size::Count(0),
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2", policy);
    story.begin();
    story.prepared("web1");
    story.after(60);
    assert_eq!(
        next(&story),
        ["deploykit hosts", "deploykit deploy shop v2 --on web1"]
    );
}

#[test]
fn a_rollback_that_did_not_reach_all_is_asked_for_again_on_the_others() {
    let mut story = Story::rollback("web1 web2 web3");
    story.begin();
    story.report("web1", Phase::Rollback, State::Live, "v0");
    story.after(60);
    assert_eq!(
        next(&story),
        [
            "deploykit hosts",
            "deploykit rollback shop --on web2 --on web3"
        ]
    );
}

#[test]
fn when_it_is_over_a_release_that_only_lies_prepared_counts_as_untouched() {
    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    assert_eq!(view(&story).waves[1].hosts[0].state, HostState::Prepared);
    story.fails_check("web1");
    assert_eq!(view(&story).waves[1].hosts[0].state, HostState::Untouched);
}

#[test]
fn many_names_are_counted() {
    let hosts = crate::support::hosts("a b c d e f g");
    assert_eq!(texts::names(&hosts[..5]), "a, b, c, d, e");
    assert_eq!(texts::names(&hosts), "a, b, c, d, e and 2 more");
}

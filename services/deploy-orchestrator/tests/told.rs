//! What the feed is told of a deploy, as a story.

use deploy_orchestrator::{
    api::Action,
    rollout::{Input, OnFailure, Policy},
    told::{Stood, admitted, asked, went_on},
};
use events::message::{Level, Line, Phase, Said, State};

use crate::support::{Story, host, rules};

fn line(said: Said) -> Line {
    said.line(
        "deploy-orchestrator".parse().expect("a service"),
        &host("hub1"),
    )
}

/// What is told of what happens: `level event: text`.
fn told(story: &mut Story, happens: impl FnOnce(&mut Story)) -> Vec<String> {
    let stood = Stood::of(&story.rollout);
    happens(story);
    let said = went_on(stood, &story.deploy_v2());
    let word = |said: Said| {
        let line = line(said);
        let (level, event) = (line.level().word(), line.event().unwrap_or_default());
        format!("{level} {event}: {}", line.line)
    };
    said.into_iter().map(word).collect()
}

#[test]
fn a_deploy_is_told_from_the_wish_to_its_end() {
    let mut story = Story::deploy("web1 | web2 web3");
    let deploy = story.deploy_v2();
    let first = line(asked(&deploy));
    assert_eq!(
        first.line.as_str(),
        "hub1: shop v2 asked for by ann, 3 hosts in 2 waves"
    );
    assert_eq!(first.record["hosts_total"], 3);
    assert_eq!(first.record["project"], "shop");
    assert!(told(&mut story, |it| drop(it.begin())).is_empty());
    assert!(told(&mut story, |it| drop(it.accepts("web1", Phase::Prepare))).is_empty());
    assert_eq!(
        told(&mut story, |it| drop(it.all_prepared("web1 web2 web3"))),
        ["info wave-begun: hub1: shop v2 wave 1 of 2 begins on web1"]
    );
    assert_eq!(
        told(&mut story, |it| drop(it.live("web1"))),
        [
            "info wave-good: hub1: shop v2 wave 1 of 2 is good",
            "info wave-begun: hub1: shop v2 wave 2 of 2 begins on web2, web3"
        ]
    );
    assert!(told(&mut story, |it| drop(it.live("web3"))).is_empty());
    assert_eq!(
        told(&mut story, |it| drop(it.live("web2"))),
        ["info succeeded: hub1: shop v2 succeeded"]
    );
}

#[test]
fn a_wave_that_bakes_says_when_the_next_one_starts_and_is_good_once() {
    let policy = Policy {
        bake_s: 600,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1 | web2", policy);
    story.begin();
    story.all_prepared("web1 web2");
    assert_eq!(
        told(&mut story, |it| drop(it.live("web1"))),
        ["info wave-good: hub1: shop v2 wave 1 of 2 is good; the next one starts at 08:10:00Z"]
    );
    assert_eq!(
        told(&mut story, |it| drop(it.feed(Input::Pause))),
        ["info paused: hub1: shop v2 is paused"]
    );
    assert_eq!(
        told(&mut story, |it| drop(it.feed(Input::Resume))),
        ["info resumed: hub1: shop v2 goes on"]
    );
    story.now = crate::support::at(601);
    assert_eq!(
        told(&mut story, |it| drop(it.feed(Input::Tick))),
        ["info wave-begun: hub1: shop v2 wave 2 of 2 begins on web2"]
    );
}

#[test]
fn a_failure_is_a_problem_and_an_abort_is_not() {
    let mut story = Story::deploy("web1 | web2 | web3");
    story.begin();
    story.all_prepared("web1 web2 web3");
    story.live("web1");
    assert_eq!(
        told(&mut story, |it| drop(it.fails_check("web2"))),
        [
            "problem putting-back: hub1: shop v2 is being put back: wave 2 of 3: web2 failed its check; putting back web1"
        ]
    );
    let back = |it: &mut Story| drop(it.report("web1", Phase::Rollback, State::Live, "v1"));
    assert_eq!(
        told(&mut story, back),
        ["problem failed: hub1: shop v2 failed: wave 2 of 3: web2 failed its check"]
    );

    let mut story = Story::deploy("web1 | web2");
    story.begin();
    story.all_prepared("web1 web2");
    let aborted = told(&mut story, |it| drop(it.feed(Input::Abort)));
    let expected = "info putting-back: hub1: shop v2 is being put back: aborted by a person; putting back web1";
    assert_eq!(aborted, [expected]);
}

#[test]
fn a_host_that_needs_a_person_is_an_alarm() {
    let policy = Policy {
        on_failure: OnFailure::Stop,
        ..rules()
    };
    let mut story = Story::of(Action::Deploy, "web1", policy);
    story.begin();
    story.all_prepared("web1");
    let broken = State::Broken {
        reason: "start: exit 1".to_owned(),
    };
    let told = told(&mut story, |it| {
        drop(it.report("web1", Phase::Activate, broken, "v2"));
    });
    let last = told.last().expect("its end");
    assert!(
        last.starts_with("alarm failed: hub1: shop v2 failed"),
        "{told:?}"
    );
}

#[test]
fn a_rollback_and_an_admission_have_their_own_words() {
    let mut story = Story::of(Action::Rollback, "web1 web2", rules());
    assert_eq!(
        told(&mut story, |it| drop(it.begin())),
        ["info wave-begun: hub1: rollback of shop wave 1 of 1 begins on web1, web2"]
    );
    let back = |it: &mut Story, host| drop(it.report(host, Phase::Rollback, State::Live, "v1"));
    back(&mut story, "web1");
    assert_eq!(
        told(&mut story, |it| back(it, "web2")),
        ["info rolled-back: hub1: rollback of shop succeeded"]
    );
    let admitted = line(admitted(&host("web9")));
    assert_eq!(admitted.line.as_str(), "hub1: web9 is admitted");
    assert_eq!(
        (admitted.level(), admitted.event()),
        (Level::Info, Some("admitted"))
    );
}

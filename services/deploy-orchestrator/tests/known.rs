//! What hints and reports make known.

use deploy_orchestrator::{Settings, known::Known, views::Scene};
use events::message::{JournalHead, Phase, Present, ProjectState, Reported, State};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::support::{DEPLOY, at, host, running};

const LIMIT: SignedDuration = SignedDuration::from_secs(90);

fn present(instance: u128, live: &str) -> Present {
    Present {
        host: host("web1"),
        instance: Uuid::from_u128(instance),
        version: "0.1.0".to_owned(),
        groups: Vec::new(),
        facts: events::Facts::default(),
        projects: vec![ProjectState {
            project: "shop".parse().expect("a project"),
            live: Some(running(live)),
            previous: None,
            busy: None,
            stuck: None,
            broken: None,
            held: None,
            prepared: Vec::new(),
        }],
    }
}

fn live(known: &Known) -> String {
    let project = "shop".parse().expect("a project");
    known
        .live(&host("web1"), &project)
        .map_or("nothing", |running| running.label())
        .to_owned()
}

#[test]
fn an_agent_that_was_not_heard_within_the_limit_is_away() {
    let mut known = Known::default();
    assert!(!known.is_present(&host("web1"), at(0), LIMIT));
    known.present(present(1, "v1"), at(0), at(0), LIMIT);
    assert!(known.is_present(&host("web1"), at(89), LIMIT));
    assert_eq!(known.next_silence(at(5), LIMIT), Some(at(90)));
    assert!(!known.is_present(&host("web1"), at(90), LIMIT));
    assert_eq!(known.next_silence(at(90), LIMIT), None);
}

#[test]
fn what_was_said_earlier_does_not_undo_what_was_said_later() {
    let mut known = Known::default();
    let report = Reported {
        host: host("web1"),
        project: "shop".parse().expect("a project"),
        order: Uuid::from_u128(1),
        deploy: DEPLOY,
        phase: Phase::Activate,
        number: 3,
        state: State::Live,
        steps: Vec::new(),
        live: Some(running("v2")),
        previous: Some(running("v1")),
        broke_glass: None,
        head: None,
    };
    known.reported(&report, at(10), at(11));
    assert!(known.hosts.is_empty(), "a report makes no host known");
    known.present(present(1, "v1"), at(8), at(8), LIMIT);
    known.reported(&report, at(10), at(11));
    // A hint that was sent before the report and came after it.
    known.present(present(1, "v1"), at(9), at(12), LIMIT);
    assert_eq!(live(&known), "v2");
    known.present(present(1, "v3"), at(20), at(21), LIMIT);
    assert_eq!(live(&known), "v3");
}

#[test]
fn a_clock_that_was_ahead_does_not_freeze_what_is_known() {
    let mut known = Known::default();
    known.present(present(1, "v1"), at(86_400), at(10), LIMIT);
    known.present(present(1, "v2"), at(40), at(40), LIMIT);
    assert_eq!(live(&known), "v2");
}

#[test]
fn two_agents_that_take_turns_under_one_name_are_noticed_and_a_restart_is_not() {
    let settings = Settings::default();
    let trouble = |known: &Known, now| {
        Scene {
            settings: &settings,
            known,
            now: at(now),
        }
        .host(&host("web1"))
        .trouble
    };
    let mut known = Known::default();
    known.present(present(1, "v1"), at(0), at(0), LIMIT);
    known.present(present(2, "v1"), at(30), at(30), LIMIT);
    known.present(present(2, "v1"), at(60), at(60), LIMIT);
    assert_eq!(trouble(&known, 60), None, "it was restarted");
    known.present(present(1, "v1"), at(70), at(70), LIMIT);
    let said = trouble(&known, 70).expect("the first one is still there");
    assert!(said.starts_with("two agents run under this name"), "{said}");
    assert_eq!(trouble(&known, 170), None, "it is over");
}

#[test]
fn hosts_that_nobody_admitted_are_bounded_and_forgotten_after_a_week() {
    let admitted = host("web1");
    let settings = Settings {
        admitted: [admitted.clone()].into(),
        ..Settings::default()
    };
    let mut known = Known::default();
    let meet = |known: &mut Known, name: &str, now| {
        let host = host(name);
        let room = known.has_room_for(&host, &settings);
        if room {
            let present = Present {
                host,
                ..present(1, "v1")
            };
            known.present(present, at(now), at(now), LIMIT);
        }
        room
    };
    for n in 0..500 {
        assert!(meet(&mut known, &format!("new{n}"), 0));
    }
    assert!(!meet(&mut known, "new500", 0), "that is one too many");
    assert!(meet(&mut known, "new7", 60), "this one is known");
    assert!(
        meet(&mut known, "web1", 0),
        "this one is named in the settings"
    );
    const WEEK: i64 = 7 * 24 * 3600;
    assert!(known.forget(at(WEEK - 1), &settings).is_empty());
    assert_eq!(known.forget(at(WEEK), &settings).len(), 499);
    let left: Vec<_> = known.hosts.keys().cloned().collect();
    assert_eq!(left, [host("new7"), admitted]);
    assert!(meet(&mut known, "new500", WEEK));
}

/// Each report with when it was sent, its entries and the first digit of its hash, and whether something is wrong.
#[test]
fn a_journal_that_went_back_is_noticed_and_a_late_report_is_not_taken_for_that() {
    let mut known = Known::default();
    known.present(present(1, "v1"), at(0), at(0), LIMIT);
    let mut hear = |sent, entries, digit: &str| {
        let report = Reported {
            host: host("web1"),
            project: "shop".parse().expect("a project"),
            order: Uuid::from_u128(1),
            deploy: DEPLOY,
            phase: Phase::Activate,
            number: 3,
            state: State::Live,
            steps: Vec::new(),
            live: None,
            previous: None,
            broke_glass: None,
            head: Some(JournalHead {
                entries,
                hash: digit.repeat(64).parse().expect("a hash"),
            }),
        };
        known.reported(&report, at(sent), at(sent));
        let found = known.journal(&report, at(sent), at(sent));
        let settings = Settings::default();
        let scene = Scene {
            settings: &settings,
            known: &known,
            now: at(sent),
        };
        let shown = scene.host(&host("web1")).trouble;
        (found, shown)
    };
    for (sent, entries, digit, wrong, shown) in [
        (10, 100, "a", None, false),
        (11, 120, "b", None, false),
        // The first one again, as after a lost acknowledgement, and another that was overtaken.
        (10, 100, "a", None, false),
        (10, 110, "c", None, false),
        (12, 120, "b", None, false),
        (
            13,
            119,
            "d",
            Some("went back from 120 entries to 119"),
            true,
        ),
        // Said once, shown until somebody has looked.
        (14, 121, "e", None, true),
        (
            14,
            121,
            "f",
            Some("was written anew: its entry 121 is another one"),
            true,
        ),
    ] {
        let found = hear(sent, entries, digit);
        match (&found.0, wrong) {
            (None, None) => {}
            (Some(said), Some(wrong)) if said.contains(wrong) => {}
            _ => panic!("{sent} {entries} {digit}: {found:?}"),
        }
        assert_eq!(found.1.is_some(), shown, "{sent} {entries}");
    }
}

#[test]
fn a_clock_that_is_off_is_told_from_messages_that_were_late() {
    let limit = SignedDuration::from_secs(90);
    let mut known = Known::default();
    let mut seen = |sent: i64, now: i64| {
        known.present(present(1, "v1"), at(sent), at(now), limit);
        let host = &known.hosts[&host("web1")];
        (host.clock_offset_ms(), host.trouble(at(now), limit))
    };
    assert_eq!(seen(0, 1), (Some(-1000), None));
    assert_eq!(seen(10, 52), (Some(-1000), None), "one was late");
    let ahead = "its clock is 60 s ahead of this host's".to_owned();
    assert_eq!(seen(120, 60), (Some(60_000), Some(ahead)));
    // It was put right: the old ones are forgotten.
    for time in 0..8 {
        seen(200 + time, 200 + time);
    }
    assert_eq!(seen(300, 300), (Some(0), None));
    for time in 0..8 {
        seen(400 + time, 430 + time);
    }
    let behind = "its clock is 30 s behind this host's, or its messages take so long".to_owned();
    assert_eq!(seen(500, 530), (Some(-30_000), Some(behind)));
}

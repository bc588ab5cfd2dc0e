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
        unbelieved: None,
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

/// A report of shop on `name`, whose journal ended so.
fn ending(name: &str, entries: u64, digit: &str) -> Reported {
    Reported {
        host: host(name),
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
        unbelieved: None,
    }
}

/// web1 is admitted, and shop is deployed.
fn with_web1() -> (Known, Settings) {
    let mut known = Known::default();
    known.present(present(1, "v1"), at(0), at(0), LIMIT);
    let settings = crate::plan::fleet().settings;
    (known, settings)
}

fn trouble(known: &Known, settings: &Settings, now: i64) -> Option<String> {
    let scene = Scene {
        settings,
        known,
        now: at(now),
    };
    scene.host(&host("web1")).trouble
}

/// When it was sent and heard, its entries and the first digit of its hash, what is said, and whether anything is shown.
type Heard<'a> = (i64, i64, u64, &'a str, Option<&'a str>, bool);

fn hear_all(all: &[Heard<'_>]) {
    let (mut known, settings) = with_web1();
    for (sent, heard, entries, digit, wrong, shown) in all {
        let report = ending("web1", *entries, digit);
        known.reported(&report, at(*sent), at(*heard));
        let found = known.journal(&report, at(*sent), at(*heard), &settings);
        match (&found, wrong) {
            (None, None) => {}
            (Some(said), Some(wrong)) if said.contains(wrong) => {}
            _ => panic!("{sent} {entries} {digit}: {found:?}"),
        }
        let trouble = trouble(&known, &settings, *heard);
        assert_eq!(trouble.is_some(), *shown, "{sent} {entries}");
    }
}

#[test]
fn a_journal_that_went_back_is_noticed_and_a_late_report_is_not_taken_for_that() {
    hear_all(&[
        (10, 10, 100, "a", None, false),
        (11, 11, 120, "b", None, false),
        // The first one again, as after a lost acknowledgement, and another that was overtaken.
        (10, 12, 100, "a", None, false),
        (10, 12, 110, "c", None, false),
        (12, 12, 120, "b", None, false),
        (
            13,
            13,
            119,
            "d",
            Some("went back from 120 entries to 119"),
            true,
        ),
        // Said once, shown until somebody has looked.
        (14, 14, 121, "e", None, true),
        (
            14,
            14,
            121,
            "f",
            Some("was written anew: its entry 121 is another one"),
            true,
        ),
    ]);
}

#[test]
fn a_host_whose_clock_is_ahead_is_not_accused_when_reports_come_again() {
    hear_all(&[
        (3600, 10, 8, "a", None, false),
        (3601, 11, 10, "b", None, false),
        // The orchestrator was killed before it acknowledged them.
        (3600, 20, 8, "a", None, false),
        (3601, 21, 10, "b", None, false),
        // The clock was put right; a longer journal is the newer.
        (30, 30, 12, "c", None, false),
        (
            31,
            31,
            11,
            "d",
            Some("went back from 12 entries to 11"),
            true,
        ),
    ]);
    // Who says a time of next year hides nothing for longer than a day.
    const DAY: i64 = 24 * 3600;
    hear_all(&[
        (365 * DAY, 10, 8, "a", None, false),
        (
            10 + DAY + 1,
            10 + DAY + 1,
            7,
            "b",
            Some("went back from 8 entries to 7"),
            true,
        ),
    ]);
}

#[test]
fn ends_of_earlier_days_are_kept_and_nothing_that_comes_later_takes_their_place() {
    const DAY: i64 = 24 * 3600;
    let (mut known, settings) = with_web1();
    let mut hear = |when, entries, digit| {
        let report = ending("web1", entries, digit);
        let found = known.journal(&report, at(when), at(when), &settings);
        let heads = known.hosts[&host("web1")].heads();
        let heads = heads.into_iter().map(|view| {
            let (entries, hash) = view.head.split_once(':').expect("two parts");
            format!("{entries}{}", &hash[..1])
        });
        (found, heads.collect::<Vec<_>>().join(" "))
    };
    assert_eq!(hear(10, 100, "a").1, "100a");
    assert_eq!(hear(20, 101, "b").1, "101b 100a");
    // Written anew from some entry on, and one entry longer: nothing here shows that, but the end before it does.
    assert_eq!(hear(30, 102, "c"), (None, "102c 100a".to_owned()));
    assert_eq!(hear(30 + DAY, 103, "d").1, "103d 100a");
    assert_eq!(hear(40 + DAY, 104, "e").1, "104e 103d 100a");
    let (found, heads) = hear(50 + DAY, 103, "f");
    let found = found.expect("an older end is another one");
    assert!(found.contains("its entry 103 is another one"), "{found}");
    assert!(found.contains("--head 103:dddd"), "{found}");
    assert_eq!(heads, "103f 104e 103d 100a");
    for day in 2..60 {
        hear(day * DAY, 200 + day as u64, "0");
    }
    let (_, heads) = hear(61 * DAY, 300, "1");
    assert_eq!(heads.split(' ').count(), 31);
}

#[test]
fn ends_are_kept_of_admitted_hosts_and_known_projects_as_long_as_the_host_is() {
    let (mut known, settings) = with_web1();
    let stranger = Present {
        host: host("web9"),
        ..present(9, "v1")
    };
    known.present(stranger, at(0), at(0), LIMIT);
    let elsewhere = Reported {
        project: "toys".parse().expect("a project"),
        ..ending("web1", 8, "a")
    };
    for report in [
        ending("web9", 8, "a"),
        ending("web9", 7, "b"),
        elsewhere,
        ending("web1", 8, "a"),
    ] {
        assert_eq!(known.journal(&report, at(5), at(5), &settings), None);
    }
    assert!(known.hosts[&host("web9")].journals.is_empty());
    assert_eq!(known.hosts[&host("web1")].journals.len(), 1);
    // Its presence leaves the project out.
    let silent = Present {
        projects: Vec::new(),
        ..present(1, "v1")
    };
    known.present(silent, at(6), at(6), LIMIT);
    let found = known.journal(&ending("web1", 7, "b"), at(7), at(7), &settings);
    assert!(found.is_some(), "what was kept is forgotten");
    let shown = trouble(&known, &settings, 8).expect("it is shown");
    assert!(shown.ends_with("`deploykit hosts looked web1`"), "{shown}");
    known
        .hosts
        .get_mut(&host("web1"))
        .expect("web1")
        .looked_at();
    assert_eq!(trouble(&known, &settings, 8), None);
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

//! When nothing new goes live, by people's clocks; and the key that goes past it.

use events::message::{Ordered, Phase};
use jiff::{SignedDuration, Timestamp};
use orders::{Admitted, Grant, Keyring, Marks, Policy, Refusal};

use crate::given::{
    ann, bo, grant, host, keyring, orchestrator, ordered, rollback_grant, time, to,
};

fn freeze(from: &str, to: &str, zone: &str) -> Policy {
    let text = format!(
        "orchestrators = []\n[[freeze]]\nproject = 'shop'\nenvironment = '*'\nfrom = '{from}'\nto = '{to}'\n\
         time_zone = '{zone}'\nreason = 'weekend'\n"
    );
    Policy::parse(&text).expect("a policy")
}

fn name<T: std::str::FromStr<Err = events::NameError>>(text: &str) -> T {
    text.parse().expect("a name")
}

fn holds(policy: &Policy, at: &str) -> Option<String> {
    let (project, environment) = (name("shop"), name("prod"));
    let frozen = policy.freeze[0].holds(&project, &environment, time(at));
    frozen.map(|frozen| frozen.to_string())
}

const BERLIN: &str = "Europe/Berlin";
const NEW_YORK: &str = "America/New_York";

/// The first moment at which it holds, and the first at which it does so no longer. Berlin's clocks jump on 2026-03-29 from 02:00 to
/// 03:00 (01:00Z) and go back on 2026-10-25 from 03:00 to 02:00 (01:00Z); Lord Howe's by half an hour; in Samoa 2011-12-30 never was.
const WINDOWS: [(&str, &str, &str, &str, &str); 19] = [
    (
        "2026-12-20 18:00",
        "2027-01-04 08:00",
        BERLIN,
        "2026-12-20T17:00:00Z",
        "2027-01-04T07:00:00Z",
    ),
    (
        "2026-12-20 18:00",
        "2027-01-04 08:00",
        "UTC",
        "2026-12-20T18:00:00Z",
        "2027-01-04T08:00:00Z",
    ),
    (
        "Fri 16:00",
        "Mon 08:00",
        BERLIN,
        "2026-11-20T15:00:00Z",
        "2026-11-23T07:00:00Z",
    ),
    // Over both changes of the clocks: 61 hours by the wall are 60 and 62.
    (
        "Fri 16:00",
        "Mon 05:00",
        BERLIN,
        "2026-03-27T15:00:00Z",
        "2026-03-30T03:00:00Z",
    ),
    (
        "Fri 16:00",
        "Mon 05:00",
        BERLIN,
        "2026-10-23T14:00:00Z",
        "2026-10-26T04:00:00Z",
    ),
    // A time that is skipped is the moment of the jump.
    (
        "2026-03-29 02:30",
        "2026-03-29 12:00",
        BERLIN,
        "2026-03-29T01:00:00Z",
        "2026-03-29T10:00:00Z",
    ),
    (
        "2026-03-28 12:00",
        "2026-03-29 02:30",
        BERLIN,
        "2026-03-28T11:00:00Z",
        "2026-03-29T01:00:00Z",
    ),
    (
        "Sun 02:30",
        "Sun 12:00",
        BERLIN,
        "2026-03-29T01:00:00Z",
        "2026-03-29T10:00:00Z",
    ),
    (
        "Sat 12:00",
        "Sun 02:30",
        NEW_YORK,
        "2026-03-07T17:00:00Z",
        "2026-03-08T07:00:00Z",
    ),
    // One that comes twice is the first for the beginning and the second for the end.
    (
        "2026-10-25 02:30",
        "2026-10-25 12:00",
        BERLIN,
        "2026-10-25T00:30:00Z",
        "2026-10-25T11:00:00Z",
    ),
    (
        "2026-10-24 12:00",
        "2026-10-25 02:30",
        BERLIN,
        "2026-10-24T10:00:00Z",
        "2026-10-25T01:30:00Z",
    ),
    (
        "Sun 02:15",
        "Sun 02:45",
        BERLIN,
        "2026-10-25T00:15:00Z",
        "2026-10-25T01:45:00Z",
    ),
    (
        "Sun 01:30",
        "Sun 01:45",
        NEW_YORK,
        "2026-11-01T05:30:00Z",
        "2026-11-01T06:45:00Z",
    ),
    (
        "2026-10-04 02:10",
        "2026-10-04 03:00",
        "Australia/Lord_Howe",
        "2026-10-03T15:30:00Z",
        "2026-10-03T16:00:00Z",
    ),
    (
        "2011-12-30 08:00",
        "2012-01-01 00:00",
        "Pacific/Apia",
        "2011-12-30T10:00:00Z",
        "2011-12-31T10:00:00Z",
    ),
    (
        "2011-12-29 08:00",
        "2011-12-30 12:00",
        "Pacific/Apia",
        "2011-12-29T18:00:00Z",
        "2011-12-30T10:00:00Z",
    ),
    // The same day of the week: a few hours, or all of the week but a few.
    (
        "Wed 09:00",
        "Wed 17:00",
        "UTC",
        "2026-11-18T09:00:00Z",
        "2026-11-18T17:00:00Z",
    ),
    (
        "Wed 17:00",
        "Wed 09:00",
        "UTC",
        "2026-11-18T17:00:00Z",
        "2026-11-25T09:00:00Z",
    ),
    (
        "Sun 23:00",
        "Mon 01:00",
        "Pacific/Kiritimati",
        "2026-11-22T09:00:00Z",
        "2026-11-22T11:00:00Z",
    ),
];

#[test]
fn a_freeze_begins_and_ends_as_the_clocks_on_the_wall_show_it() {
    for (from, to, zone, begins, ends) in WINDOWS {
        let policy = freeze(from, to, zone);
        let second = SignedDuration::from_secs(1);
        let text = |at: Timestamp| at.to_string();
        let (begins, ends) = (time(begins), time(ends));
        for (at, expected) in [
            (begins - second, false),
            (begins, true),
            (begins + SignedDuration::from_secs(600), true),
            (ends - second, true),
            (ends, false),
        ] {
            let found = holds(&policy, &text(at));
            assert_eq!(
                found.is_some(),
                expected,
                "{from} to {to} {zone}: {at}: {found:?}"
            );
        }
    }
}

/// Any hour of two years, against the clock on the wall: the definition, without the moments at which that is ambiguous.
#[test]
fn a_weekly_freeze_holds_whenever_the_wall_says_so() {
    use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday};
    let zone = jiff::tz::TimeZone::get(BERLIN).expect("a zone");
    let policy = freeze("Fri 16:00", "Mon 08:00", BERLIN);
    let mut at = time("2025-12-31T23:00:00Z");
    for _ in 0..2 * 365 * 24 {
        let wall = zone.to_datetime(at);
        let expected = match wall.weekday() {
            Friday => wall.hour() >= 16,
            Saturday | Sunday => true,
            Monday => wall.hour() < 8,
            _ => false,
        };
        let found = holds(&policy, &at.to_string());
        assert_eq!(found.is_some(), expected, "{at}");
        at += SignedDuration::from_hours(1);
    }
}

#[test]
fn who_is_held_up_hears_until_when_and_why() {
    let policy = freeze("Fri 16:00", "Mon 08:00", BERLIN);
    assert_eq!(
        holds(&policy, "2026-11-21T12:00:00Z").as_deref(),
        Some("frozen until 2026-11-23 08:00 Europe/Berlin: weekend")
    );
    let (blog, prod) = (name("blog"), name("prod"));
    assert_eq!(
        policy.freeze[0].holds(&blog, &prod, time("2026-11-21T12:00:00Z")),
        None
    );
}

#[test]
fn a_freeze_that_makes_no_sense_is_refused_with_its_cause() {
    for (from, to, zone, reason, cause) in [
        (
            "2026-12-20 18:00",
            "2026-12-20 18:00",
            "UTC",
            "x",
            "not after its beginning",
        ),
        (
            "Fri 16:00",
            "2026-12-20 18:00",
            "UTC",
            "x",
            "both dates, or both days",
        ),
        ("Fri 16:00", "Fri 16:00", "UTC", "x", "ends when it begins"),
        ("Fri 16:00", "Mon 08:00", "UTC", " ", "needs a reason"),
        (
            "Fri 16:00",
            "Mon 08:00",
            "Europe/Berln",
            "x",
            "\"Europe/Berln\" is not a time zone of the tz database",
        ),
        ("Fri 16:00", "Mon 08:00", "", "x", "is not a time zone"),
        (
            "Friday 16:00",
            "Mon 08:00",
            "UTC",
            "x",
            "\"Friday 16:00\" is not a time of a freeze",
        ),
        (
            "Fri 25:00",
            "Mon 08:00",
            "UTC",
            "x",
            "is not a time of a freeze",
        ),
        (
            "Fri 16",
            "Mon 08:00",
            "UTC",
            "x",
            "is not a time of a freeze",
        ),
        (
            "2026-02-30 16:00",
            "2026-03-01 08:00",
            "UTC",
            "x",
            "is not a time of a freeze",
        ),
        ("16:00", "17:00", "UTC", "x", "is not a time of a freeze"),
    ] {
        let text = format!(
            "orchestrators = []\n[[freeze]]\nproject = '*'\nenvironment = '*'\nfrom = '{from}'\nto = '{to}'\n\
             time_zone = '{zone}'\nreason = '{reason}'\n"
        );
        let error = Policy::parse(&text).expect_err(cause);
        let mut said = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            said.push_str(&source.to_string());
        }
        assert!(said.contains(cause), "{from} {to} {zone}: {said}");
    }
}

const RULES: &str = r#"
orchestrators = ["orchestrator"]
[[allow]]
project = "shop"
environment = "prod"
principals = ["ann@example.org"]
[[allow]]
project = "shop"
environment = "prod"
principals = ["bo@example.org"]
break_glass = true
[[freeze]]
project = "shop"
environment = "prod"
from = "2026-11-21 13:00"
to = "2026-11-22 00:00"
time_zone = "UTC"
reason = "fair"
"#;

fn admit(ordered: &Ordered, at: Timestamp) -> Result<Admitted, Refusal> {
    let policy = Policy::parse(RULES).expect("a policy");
    let keyring: Keyring = keyring();
    let skew = SignedDuration::ZERO;
    orders::admit(
        ordered,
        &host("web1"),
        &keyring,
        &policy,
        Marks::default(),
        at,
        skew,
    )
}

/// Of ann's grant unless `bo` signs, given at that time.
fn at(at: Timestamp, grant: &Grant, by_bo: bool, phase: Phase) -> Ordered {
    let grant = Grant {
        expires: at + SignedDuration::from_hours(1),
        ..grant.clone()
    };
    let key = if by_bo { bo() } else { ann() };
    let signed = orders::sign(&grant, &key).expect("signed");
    let mut ordered = crate::given::ordered_under(signed, |order| {
        order.phase = phase;
        if !matches!(phase, Phase::Prepare | Phase::Activate) {
            to(phase)(order);
        }
        order.issued = at;
        order.expires = at + SignedDuration::from_mins(5);
    });
    ordered.phase = phase;
    ordered
}

#[test]
fn a_freeze_holds_up_what_is_new_and_nothing_that_takes_back() {
    let free = time("2026-11-21T12:59:59Z");
    let frozen = time("2026-11-21T13:00:00Z");
    for (grant, phase, held_up) in [
        (grant(), Phase::Prepare, true),
        (grant(), Phase::Activate, true),
        (grant(), Phase::Rollback, false),
        (grant(), Phase::Abort, false),
        (rollback_grant(), Phase::Rollback, false),
        (rollback_grant(), Phase::Abort, false),
    ] {
        let before = admit(&at(free, &grant, false, phase), free).expect("nothing is frozen yet");
        assert_eq!(before.broke_glass, None);
        let found = admit(&at(frozen, &grant, false, phase), frozen);
        match (&found, held_up) {
            (Ok(_), false) => {}
            (Err(Refusal::Frozen(why)), true) => {
                assert_eq!(why.to_string(), "frozen until 2026-11-22 00:00 UTC: fair");
            }
            _ => panic!("{} {phase}: {found:?}", grant.action),
        }
    }
}

#[test]
fn the_glass_is_broken_with_a_reason_and_never_in_silence() {
    let free = time("2026-11-21T12:30:00Z");
    let frozen = time("2026-11-21T13:30:00Z");
    let past = |grant: &Grant, now| {
        let found = admit(&at(now, grant, true, Phase::Activate), now);
        found.map(|admitted| (admitted.by, admitted.broke_glass))
    };
    let (by, broke) = past(&grant(), frozen).expect("bo may break it");
    assert_eq!(by, ["bo@example.org"]);
    let broke = broke.expect("it is said");
    assert!(
        broke.starts_with("frozen until 2026-11-22 00:00 UTC: fair; to deploy shop in prod needs "),
        "{broke}"
    );
    // No freeze, but bo is nobody who deploys: that is gone past, and said too.
    let (_, broke) = past(&grant(), free).expect("bo may break it");
    assert_eq!(
        broke.as_deref(),
        Some("to deploy shop in prod needs ann@example.org; signed by bo@example.org")
    );
    for now in [free, frozen] {
        let silent = Grant {
            reason: Some(" ".to_owned()),
            ..grant()
        };
        let error = past(&silent, now).expect_err("it gives no reason");
        assert!(error.to_string().contains("only with a reason"), "{error}");
    }
    // Beside an ordinary signature the glass stays whole, if nothing is frozen.
    let mut both = orders::sign(&grant(), &ann()).expect("signed");
    orders::add_signature::<Grant>(&mut both, &bo()).expect("signed");
    let now = time("2026-11-21T12:00:00Z");
    let found = admit(&crate::given::ordered_under(both, |_| {}), now).expect("admitted");
    assert_eq!(
        (found.by, found.broke_glass),
        (vec!["ann@example.org".to_owned()], None)
    );
}

#[test]
fn the_key_that_breaks_the_glass_signs_no_order() {
    let mut forged = ordered(&grant(), |_| {});
    forged.order = orders::sign(&crate::given::order(&forged.grant), &bo()).expect("signed");
    let now = time("2026-11-21T12:00:00Z");
    assert!(matches!(admit(&forged, now), Err(Refusal::Order(_))));
    forged.order =
        orders::sign(&crate::given::order(&forged.grant), &orchestrator()).expect("signed");
    assert!(admit(&forged, now).is_ok());
}

//! What an agent takes, and each reason for which it does not.

use events::message::Phase;
use jiff::{SignedDuration, ToSpan};
use orders::{Grant, Marks, Refusal, VerifyError, targets_digest};
use proptest::prelude::*;
use uuid::Uuid;

use crate::given::{
    admit, admit_at, ann, bo, grant, host, keyring, now, orchestrator, order, ordered,
    ordered_under, policy, rollback_grant, targets, time, to,
};

#[test]
fn an_order_under_its_grant_is_taken() {
    let admitted = admit(&ordered(&grant(), |_| {})).expect("admitted");
    assert_eq!(admitted.by, ["ann@example.org"]);
    assert_eq!(admitted.grant, grant());
    assert_eq!(admitted.order.phase, Phase::Prepare);
}

/// Phase by action: what may be ordered under what.
#[test]
fn what_each_grant_allows() {
    for (grant, phase, allowed) in [
        (grant(), Phase::Prepare, true),
        (grant(), Phase::Activate, true),
        (grant(), Phase::Rollback, true),
        (grant(), Phase::Abort, true),
        (rollback_grant(), Phase::Prepare, false),
        (rollback_grant(), Phase::Activate, false),
        (rollback_grant(), Phase::Rollback, true),
        (rollback_grant(), Phase::Abort, true),
    ] {
        let ordered = ordered(&grant, |order| {
            order.phase = phase;
            if matches!(phase, Phase::Rollback | Phase::Abort) {
                to(phase)(order);
            }
        });
        let admitted = admit(&ordered);
        assert_eq!(
            admitted.is_ok(),
            allowed,
            "{} {phase}: {admitted:?}",
            grant.action
        );
    }
}

#[test]
fn putting_back_may_name_the_commit_of_its_deploy() {
    let admitted = admit(&ordered(&grant(), |order| order.phase = Phase::Rollback));
    assert!(admitted.expect("admitted").undoes());
}

#[test]
fn a_rollback_that_was_asked_for_does_not_count_as_undoing() {
    let admitted = admit(&ordered(&rollback_grant(), to(Phase::Rollback)));
    assert!(!admitted.expect("admitted").undoes());
}

#[test]
fn an_order_for_another_host_is_refused() {
    let refusal = admit(&ordered(&grant(), |order| order.host = host("web2")));
    let refusal = refusal.expect_err("it is for web2");
    assert!(matches!(refusal, Refusal::Host { .. }), "{refusal:?}");
    assert_eq!(refusal.to_string(), "the order is for web2, this is web1");
}

#[test]
fn an_order_signed_by_somebody_else_is_refused() {
    // By a key that signs grants: rightly signed, but not allowed in the namespace.
    let mut wrong = ordered(&grant(), |_| {});
    wrong.order = orders::sign(&order(&wrong.grant), &ann()).expect("signed");
    let refusal = admit(&wrong).expect_err("ann is no orchestrator");
    let Refusal::Order(VerifyError::NotTrusted { reasons }) = &refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(reasons.len(), 1);
    assert!(
        refusal.explain().contains("signs for grant@deploykit only"),
        "{}",
        refusal.explain()
    );
}

#[test]
fn a_person_who_may_sign_orders_but_is_no_orchestrator_is_refused() {
    let keyring = orders::Keyring::parse(&format!("ann@example.org {}\n", ann().public_line()))
        .expect("a keyring");
    let mut wrong = ordered(&grant(), |_| {});
    wrong.order = orders::sign(&order(&wrong.grant), &ann()).expect("signed");
    let skew = SignedDuration::ZERO;
    let refusal = orders::admit(
        &wrong,
        &host("web1"),
        &keyring,
        &policy(),
        Marks::default(),
        now(),
        skew,
    );
    let refusal = refusal.expect_err("not an orchestrator").to_string();
    assert_eq!(
        refusal,
        "the order is signed by ann@example.org, but the policy takes orders from orchestrator"
    );
}

#[test]
fn a_grant_signed_by_the_orchestrator_is_refused() {
    let grant = orders::sign(&grant(), &orchestrator()).expect("signed");
    let refusal = admit(&ordered_under(grant, |_| {}));
    assert!(
        matches!(refusal, Err(Refusal::Grant(VerifyError::NotTrusted { .. }))),
        "{refusal:?}"
    );
}

#[test]
fn a_grant_without_the_needed_signatures_says_who_signed_and_who_is_needed() {
    let two = orders::Policy::parse(
        r#"
        orchestrators = ["orchestrator"]
        [[allow]]
        project = "shop"
        environment = "prod"
        principals = ["ann@example.org", "bo@example.org"]
        signatures = 2
        "#,
    )
    .expect("a policy");
    let admit = |ordered: &events::message::Ordered| {
        let skew = SignedDuration::ZERO;
        orders::admit(
            ordered,
            &host("web1"),
            &keyring(),
            &two,
            Marks::default(),
            now(),
            skew,
        )
    };
    let refusal = admit(&ordered(&grant(), |_| {})).expect_err("one is missing");
    assert_eq!(
        refusal.to_string(),
        "to deploy shop in prod needs 2 of ann@example.org, bo@example.org; signed by ann@example.org"
    );
    let mut both = orders::sign(&grant(), &ann()).expect("signed");
    orders::add_signature::<Grant>(&mut both, &bo()).expect("signed");
    let admitted = admit(&ordered_under(both, |_| {})).expect("both signed");
    assert_eq!(admitted.by, ["ann@example.org", "bo@example.org"]);
    admit(&ordered(&rollback_grant(), to(Phase::Rollback)))
        .expect("approval does not hold up a rollback");
}

#[test]
fn an_order_under_another_grant_is_refused() {
    let mut swapped = ordered(&grant(), |_| {});
    let other = Grant {
        reason: None,
        ..grant()
    };
    swapped.grant = orders::sign(&other, &ann()).expect("signed");
    let refusal = admit(&swapped);
    assert!(
        matches!(refusal, Err(Refusal::GrantDigest { .. })),
        "{refusal:?}"
    );
}

#[test]
fn an_order_that_goes_beyond_its_grant_is_refused() {
    type Change = fn(&mut orders::Order);
    let changes: [(&str, Change); 8] = [
        ("deploy", |order| order.deploy = Uuid::from_u128(1)),
        ("project", |order| {
            order.project = "blog".parse().expect("a project")
        }),
        ("environment", |order| {
            order.environment = "dev".parse().expect("an environment")
        }),
        ("commit", |order| {
            order.commit = Some("a".repeat(40).parse().expect("a commit"));
        }),
        ("commit", |order| {
            order.phase = Phase::Rollback;
            order.commit = Some("a".repeat(40).parse().expect("a commit"));
        }),
        ("tag", |order| {
            order.tag = Some("v3".parse().expect("a tag"))
        }),
        ("tag", |order| order.tag = None),
        ("tag", |order| {
            order.phase = Phase::Abort;
            order.tag = Some("v3".parse().expect("a tag"));
        }),
    ];
    for (field, change) in changes {
        let refusal = admit(&ordered(&grant(), change));
        assert!(
            matches!(refusal, Err(Refusal::Beyond { what, .. }) if what == field),
            "{field}: {refusal:?}"
        );
    }
}

#[test]
fn a_changed_list_of_targets_is_refused() {
    let mut more = ordered(&grant(), |_| {});
    more.targets.push(host("db1"));
    let refusal = admit(&more);
    assert!(
        matches!(refusal, Err(Refusal::Targets { .. })),
        "{refusal:?}"
    );
}

#[test]
fn a_host_that_the_grant_does_not_name_refuses() {
    let others = vec![host("web2"), host("web3.example.org")];
    let narrow = Grant {
        targets: targets_digest(&others),
        ..grant()
    };
    let mut ordered = ordered(&narrow, |_| {});
    ordered.targets = others;
    let refusal = admit(&ordered).expect_err("web1 is not named");
    assert_eq!(
        refusal.to_string(),
        "web1 is not among the 2 targets of the grant"
    );
}

#[test]
fn the_outside_of_the_message_must_say_what_the_inside_says() {
    let good = ordered(&grant(), |_| {});
    let mut host_differs = good.clone();
    host_differs.host = host("web2");
    let mut project_differs = good.clone();
    project_differs.project = "blog".parse().expect("a project");
    let mut phase_differs = good;
    phase_differs.phase = Phase::Activate;
    for (what, ordered) in [
        ("host", host_differs),
        ("project", project_differs),
        ("phase", phase_differs),
    ] {
        let refusal = admit(&ordered);
        assert!(
            matches!(refusal, Err(Refusal::Routing { what: found, .. }) if found == what),
            "{what}: {refusal:?}"
        );
    }
}

/// The order is valid from 11:59:30 to 12:10:00, its grant from 11:59:00 to 13:00:00, the skew is 30 s.
#[test]
fn an_order_is_taken_within_its_time_and_the_allowed_difference_of_clocks() {
    let ordered = ordered(&grant(), |_| {});
    for (at, taken) in [
        ("2026-11-21T11:58:59Z", false),
        ("2026-11-21T11:59:00Z", true),
        ("2026-11-21T12:10:30Z", true),
        ("2026-11-21T12:10:31Z", false),
    ] {
        let admitted = admit_at(&ordered, Marks::default(), time(at));
        assert_eq!(admitted.is_ok(), taken, "{at}: {admitted:?}");
    }
}

#[test]
fn a_wrong_clock_is_named_with_both_times_and_the_difference() {
    let ordered = ordered(&grant(), |_| {});
    let early = admit_at(&ordered, Marks::default(), time("2026-11-21T11:49:30Z"));
    assert_eq!(
        early.expect_err("too early").to_string(),
        "the order is valid from 2026-11-21T11:59:30Z on, but here it is 2026-11-21T11:49:30Z: \
         600 s too early, 30 s are allowed; compare the clocks"
    );
    let late = admit_at(&ordered, Marks::default(), time("2026-11-21T12:11:00Z"));
    assert_eq!(
        late.expect_err("too late").to_string(),
        "the order expired at 2026-11-21T12:10:00Z, and here it is 2026-11-21T12:11:00Z: \
         60 s too late, 30 s are allowed; ask for it again, or compare the clocks"
    );
}

#[test]
fn the_end_of_the_grant_stops_what_makes_live_and_not_what_takes_back() {
    let end = grant().expires;
    let later = end.checked_add(1.hour()).expect("a time");
    let late = |grant: &Grant, phase: Phase| {
        let ordered = ordered(grant, |order| {
            order.phase = phase;
            if matches!(phase, Phase::Rollback | Phase::Abort) {
                to(phase)(order);
            }
            order.issued = later;
            order.expires = later.checked_add(5.minutes()).expect("a time");
        });
        admit_at(&ordered, Marks::default(), later)
    };
    for phase in [Phase::Prepare, Phase::Activate] {
        let refusal = late(&grant(), phase);
        assert!(
            matches!(refusal, Err(Refusal::Expired { what: "grant", .. })),
            "{phase}: {refusal:?}"
        );
    }
    late(&grant(), Phase::Rollback).expect("a host can be put back");
    late(&grant(), Phase::Abort).expect("a deploy can be aborted");
    let refusal = late(&rollback_grant(), Phase::Rollback);
    assert!(
        matches!(refusal, Err(Refusal::Expired { .. })),
        "{refusal:?}"
    );
}

#[test]
fn a_grant_is_not_used_before_its_time() {
    let early = Grant {
        not_before: time("2026-11-21T12:30:00Z"),
        ..grant()
    };
    let refusal = admit(&ordered(&early, |_| {}));
    assert!(
        matches!(
            refusal,
            Err(Refusal::NotYetValid {
                what: "grant",
                ahead: 1800,
                ..
            })
        ),
        "{refusal:?}"
    );
}

/// The order has sequence 7 and epoch 3.
#[test]
fn what_was_seen_is_not_taken_again() {
    let ordered = ordered(&grant(), |_| {});
    for (sequence, epoch, expected) in [
        (0, 0, "taken"),
        (6, 3, "taken"),
        (7, 3, "repeated"),
        (8, 3, "repeated"),
        (6, 4, "stale"),
        (7, 4, "stale"),
    ] {
        let found = match admit_at(&ordered, Marks { sequence, epoch }, now()) {
            Ok(_) => "taken",
            Err(Refusal::Repeated { .. }) => "repeated",
            Err(Refusal::StaleEpoch { .. }) => "stale",
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "sequence {sequence}, epoch {epoch}");
    }
}

#[test]
fn once_taken_an_order_is_not_taken_again() {
    let ordered = ordered(&grant(), |_| {});
    let admitted = admit(&ordered).expect("admitted");
    let marks = Marks {
        sequence: 2,
        epoch: 9,
    }
    .raised_by(&admitted.order);
    assert_eq!(
        marks,
        Marks {
            sequence: 7,
            epoch: 9
        }
    );
    let marks = Marks::default().raised_by(&admitted.order);
    let again = admit_at(&ordered, marks, now());
    assert!(matches!(again, Err(Refusal::Repeated { .. })), "{again:?}");
}

#[test]
fn a_known_order_is_still_recognised_when_it_comes_late() {
    let ordered = ordered(&grant(), |_| {});
    let later = time("2026-11-22T12:00:00Z");
    let known = orders::authentic(&ordered, &host("web1"), &keyring(), &policy(), later);
    let known = known.expect("its signatures are still good");
    let timely = known.timely(Marks::default(), later, SignedDuration::ZERO);
    assert!(matches!(timely, Err(Refusal::Expired { .. })), "{timely:?}");
}

proptest! {
    #[test]
    fn the_digest_of_targets_does_not_depend_on_their_order(shuffled in Just(targets()).prop_shuffle(), extra in 0..3_usize) {
        let mut twice = shuffled.clone();
        twice.push(shuffled[extra].clone());
        prop_assert_eq!(targets_digest(&twice), targets_digest(&targets()));
        prop_assert_ne!(targets_digest(&shuffled[..2]), targets_digest(&targets()));
    }
}

#[test]
fn the_digest_of_targets_can_be_made_with_a_shell() {
    // printf 'web1\nweb2\nweb3.example.org\n' | sha256sum
    assert_eq!(
        targets_digest(&targets()),
        "sha256:1b6dd1a0d39ff95d90cb807c9603de45f18963728a55007991d7f68eadfe7b72"
    );
}

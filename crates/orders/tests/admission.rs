//! What an agent takes, and each reason for which it does not.

use events::message::Phase;
use jiff::SignedDuration;
use orders::{Action, Grant, Marks, Refusal, VerifyError, targets_digest};
use proptest::prelude::*;
use uuid::Uuid;

use crate::given::{
    admit, ann, bo, grant, host, keyring, now, orchestrator, order, ordered, ordered_under, policy,
    rollback_grant, targets, to,
};

#[test]
fn an_order_under_its_grant_is_taken() {
    let admitted = admit(&ordered(&grant(), |_| {})).expect("admitted");
    assert_eq!(admitted.by, ["ann@example.org"]);
    assert_eq!(admitted.grant, grant());
    assert_eq!(admitted.order.phase, Phase::Prepare);
}

#[test]
fn the_order_in_the_golden_file_is_one_that_an_agent_takes() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../events/tests/golden/deploy.order.v1.json"
    );
    let text = std::fs::read(path).expect("the golden file");
    let envelope = events::Envelope::parse(&text).expect("an envelope");
    let golden: events::message::Ordered = envelope.open().expect("an order");
    assert_eq!(admit(&golden).expect("admitted").grant, grant());
    assert_eq!(
        golden,
        ordered(&grant(), |_| {}),
        "Ed25519 has no randomness"
    );
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

fn clearing() -> Grant {
    Grant {
        action: Action::Clear,
        clears: vec![Uuid::from_u128(9)],
        ..rollback_grant()
    }
}

#[test]
fn a_grant_to_clear_clears_and_does_nothing_else() {
    let admitted = admit(&ordered(&clearing(), to(Phase::Clear))).expect("it clears");
    assert_eq!(admitted.grant.clears, [Uuid::from_u128(9)]);
    assert!(!admitted.undoes());
    for (grant, phase) in [
        (clearing(), Phase::Rollback),
        (rollback_grant(), Phase::Clear),
        (grant(), Phase::Clear),
    ] {
        let refusal = admit(&ordered(&grant, to(phase)));
        assert!(
            matches!(refusal, Err(Refusal::Beyond { what: "phase", .. })),
            "{:?} {phase}: {refusal:?}",
            grant.action
        );
    }
}

#[test]
fn a_grant_says_what_it_clears_and_only_where_that_makes_sense() {
    let many = (0..=256).map(Uuid::from_u128).collect();
    let wrong = [
        Grant {
            clears: Vec::new(),
            ..clearing()
        },
        Grant {
            commit: grant().commit,
            ..clearing()
        },
        Grant {
            clears: clearing().clears,
            ..rollback_grant()
        },
        Grant {
            clears: many,
            ..grant()
        },
    ];
    for grant in wrong {
        let signed = orders::sign(&grant, &ann());
        assert!(signed.is_err(), "{grant:?}");
    }
    let clears = clearing().clears;
    orders::sign(&Grant { clears, ..grant() }, &ann()).expect("a deploy may clear");
}

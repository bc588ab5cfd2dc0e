//! Keys and what makes them count.

use events::HostName;
use orders::{Action, Grant, Key, targets_digest};
use testkit::Trust;
use world::World;

fn grant() -> Grant {
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let web1: HostName = "web1".parse().unwrap();
    Grant {
        id: World::real().new_id(),
        project: "shop".parse().unwrap(),
        environment: "prod".parse().unwrap(),
        action: Action::Rollback,
        commit: None,
        tag: None,
        branch: None,
        targets: targets_digest(&[web1]),
        clears: Vec::new(),
        reason: None,
        not_before: now,
        expires: now + jiff::SignedDuration::from_mins(5),
    }
}

fn stands(trust: &Trust, key: &Key) -> bool {
    let grant = grant();
    let now = grant.not_before;
    let signed = orders::sign(&grant, key).unwrap();
    let verified = trust.keyring().verify::<Grant>(&signed, now);
    verified.is_ok_and(|grant| trust.policy().standing(&grant, now).is_ok())
}

#[test]
fn the_operator_may_ask_and_nobody_else() {
    let trust = Trust::default();
    assert!(stands(&trust, &trust.operator));
    assert!(!stands(&trust, &trust.orchestrator));
    assert!(!stands(&trust, &trust.stranger));
}

#[test]
fn a_key_counts_for_its_own_kind_of_document_only() {
    let trust = Trust::default();
    let signed = orders::sign(&grant(), &trust.orchestrator).unwrap();
    let now = grant().not_before;
    assert!(trust.keyring().verify::<Grant>(&signed, now).is_err());
    let lines = trust.allowed_signers();
    assert!(
        lines.contains("orchestrator namespaces=\"order@deploykit\" ssh-ed25519 "),
        "{lines}"
    );
    assert!(
        lines.contains("ann@example.org namespaces=\"grant@deploykit\" ssh-ed25519 "),
        "{lines}"
    );
}

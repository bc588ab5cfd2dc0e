//! What the tests begin with: keys, a keyring, a policy, and a grant and an order that fit together.

use events::{
    HostName,
    message::{Ordered, Phase, Signed},
};
use jiff::{SignedDuration, Timestamp};
use orders::{Action, Admitted, Grant, Key, Keyring, Marks, Order, Policy, Refusal};
use uuid::Uuid;

pub(crate) const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

/// The time at which everything below is valid.
pub(crate) fn now() -> Timestamp {
    time("2026-11-21T12:00:00Z")
}

pub(crate) fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

pub(crate) fn ann() -> Key {
    Key::generate(&[1; 32], "ann@example.org")
}

pub(crate) fn bo() -> Key {
    Key::generate(&[2; 32], "bo@example.org")
}

pub(crate) fn orchestrator() -> Key {
    Key::generate(&[3; 32], "orchestrator")
}

pub(crate) fn stranger() -> Key {
    Key::generate(&[9; 32], "stranger")
}

pub(crate) fn keyring() -> Keyring {
    Keyring::parse(&keyring_text()).expect("a keyring")
}

/// An `allowed_signers` file.
pub(crate) fn keyring_text() -> String {
    let lines = [
        ann().allowed_signer("ann@example.org", &["grant@deploykit"]),
        bo().allowed_signer("bo@example.org", &["grant@deploykit"]),
        orchestrator().allowed_signer("orchestrator", &["order@deploykit"]),
    ];
    lines.join("\n")
}

pub(crate) fn policy() -> Policy {
    Policy::parse(
        r#"
        orchestrators = ["orchestrator"]
        [[allow]]
        project = "shop"
        environment = "prod"
        principals = ["ann@example.org", "bo@example.org"]
        "#,
    )
    .expect("a policy")
}

pub(crate) fn targets() -> Vec<HostName> {
    vec![host("web1"), host("web2"), host("web3.example.org")]
}

pub(crate) fn grant() -> Grant {
    Grant {
        id: Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0001),
        project: "shop".parse().expect("a project"),
        environment: "prod".parse().expect("an environment"),
        action: Action::Deploy,
        commit: Some(COMMIT.parse().expect("a commit")),
        tag: Some("v2".parse().expect("a tag")),
        branch: None,
        targets: orders::targets_digest(&targets()),
        clears: Vec::new(),
        reason: Some("ticket 42".to_owned()),
        not_before: time("2026-11-21T11:59:00Z"),
        expires: time("2026-11-21T13:00:00Z"),
    }
}

pub(crate) fn rollback_grant() -> Grant {
    Grant {
        action: Action::Rollback,
        commit: None,
        tag: None,
        ..grant()
    }
}

/// An order of web1 to prepare, under `grant`.
pub(crate) fn order(grant: &Signed) -> Order {
    Order {
        id: Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0002),
        deploy: self::grant().id,
        host: host("web1"),
        project: "shop".parse().expect("a project"),
        environment: "prod".parse().expect("an environment"),
        phase: Phase::Prepare,
        commit: Some(COMMIT.parse().expect("a commit")),
        tag: Some("v2".parse().expect("a tag")),
        undoes: None,
        wave: 1,
        sequence: 7,
        epoch: 3,
        grant: orders::payload_digest::<Grant>(grant).expect("a grant in its envelope"),
        issued: time("2026-11-21T11:59:30Z"),
        expires: time("2026-11-21T12:10:00Z"),
    }
}

/// Signs both and puts them on their way, after `change` had its way with the order.
pub(crate) fn ordered(grant: &Grant, change: impl FnOnce(&mut Order)) -> Ordered {
    let grant = orders::sign(grant, &ann()).expect("a grant is signed");
    ordered_under(grant, change)
}

pub(crate) fn ordered_under(grant: Signed, change: impl FnOnce(&mut Order)) -> Ordered {
    let mut order = order(&grant);
    change(&mut order);
    Ordered {
        host: order.host.clone(),
        project: order.project.clone(),
        phase: order.phase,
        order: orders::sign(&order, &orchestrator()).expect("an order is signed"),
        grant,
        targets: targets(),
    }
}

/// Makes an order one that takes back what its deploy did.
pub(crate) fn to(phase: Phase) -> impl FnOnce(&mut Order) {
    move |order| {
        order.phase = phase;
        order.commit = None;
        order.tag = None;
    }
}

/// What the agent of web1 says to it, at the usual time, having seen nothing yet.
pub(crate) fn admit(ordered: &Ordered) -> Result<Admitted, Refusal> {
    admit_at(ordered, Marks::default(), now())
}

pub(crate) fn admit_at(
    ordered: &Ordered,
    marks: Marks,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    let skew = SignedDuration::from_secs(30);
    orders::admit(
        ordered,
        &host("web1"),
        &keyring(),
        &policy(),
        marks,
        now,
        skew,
    )
}

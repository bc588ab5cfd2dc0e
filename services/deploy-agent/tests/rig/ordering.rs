//! Orders as the orchestrator makes them, and their answers.

use events::{
    CommitId, HostName, TagName, Topic,
    message::{Ordered, Phase, Reported, Signed, State},
};
use jiff::{SignedDuration, Timestamp};
use orders::{Action, Document, Grant, Key, Order, targets_digest};
use uuid::Uuid;

use super::Rig;

impl Rig {
    fn sign<D: Document>(document: &D, key: &Key) -> Signed {
        orders::sign(document, key).expect("signed")
    }

    /// A grant to deploy a commit, or to roll back.
    pub(crate) fn grant(&self, version: Option<(&str, &CommitId)>) -> Grant {
        let now = self.world.clock.now();
        Grant {
            id: self.world.new_id(),
            project: "shop".parse().expect("a project"),
            environment: "prod".parse().expect("an environment"),
            action: if version.is_some() {
                Action::Deploy
            } else {
                Action::Rollback
            },
            commit: version.map(|(_, commit)| commit.clone()),
            tag: version.map(|(tag, _)| tag.parse::<TagName>().expect("a tag")),
            branch: None,
            targets: targets_digest(&targets()),
            clears: Vec::new(),
            reason: None,
            not_before: now,
            expires: now + SignedDuration::from_mins(5),
        }
    }

    /// An order under a grant, not yet on its way.
    pub(crate) fn order(&mut self, grant: &Grant, phase: Phase) -> Ordered {
        self.order_to("web1", grant, phase)
    }

    /// The same for some host.
    pub(crate) fn order_to(&mut self, host: &str, grant: &Grant, phase: Phase) -> Ordered {
        let now = self.world.clock.now();
        self.order_made(host, grant, phase, now)
    }

    /// The same, made at that time.
    pub(crate) fn order_made(
        &mut self,
        host: &str,
        grant: &Grant,
        phase: Phase,
        now: Timestamp,
    ) -> Ordered {
        let signed_grant = Self::sign(grant, &self.alice);
        self.sequence += 1;
        let host: HostName = host.parse().expect("a host");
        let order = Order {
            id: self.world.new_id(),
            deploy: grant.id,
            host: host.clone(),
            project: grant.project.clone(),
            environment: grant.environment.clone(),
            phase,
            commit: grant.commit.clone(),
            tag: grant.tag.clone(),
            undoes: None,
            wave: 1,
            sequence: self.sequence,
            epoch: 1,
            grant: orders::payload_digest::<Grant>(&signed_grant).expect("a digest"),
            issued: now,
            expires: now + SignedDuration::from_mins(5),
        };
        Ordered {
            host,
            project: grant.project.clone(),
            phase,
            order: Self::sign(&order, &self.orchestrator),
            grant: signed_grant,
            targets: targets(),
        }
    }

    /// An order as it is on the bus.
    pub(crate) fn sealed(&self, ordered: &Ordered) -> Vec<u8> {
        self.bus.seal(ordered).expect("sealed").to_bytes()
    }

    /// Sends an order to the agent, whomever it is for.
    pub(crate) async fn send(&self, ordered: &Ordered) {
        let topic = Topic::DeployOrders("web1".parse().expect("a host"));
        let envelope = self.bus.seal(ordered).expect("sealed");
        let sent = self.bus.publish_envelope(&topic, true, &envelope).await;
        sent.expect("published");
    }

    /// Brings any bytes to the agent, where its orders come.
    pub(crate) async fn bring(&self, bytes: Vec<u8>) {
        let topic = Topic::DeployOrders("web1".parse().expect("a host"));
        let destination = self.bus.names().destination(&topic);
        let sent = self.bus.publish_raw(&destination, true, bytes.into());
        sent.await.expect("the broker takes it");
    }

    /// The final report of an order.
    pub(crate) async fn answer(&mut self, order: Uuid) -> Reported {
        self.wait("a final report", |rig| {
            let of_it = |report: &&Reported| report.order == order && report.state.is_final();
            rig.seen.iter().find(of_it).cloned()
        })
        .await
    }

    /// All reports of an order so far.
    pub(crate) fn reports(&self, order: Uuid) -> Vec<&Reported> {
        self.seen
            .iter()
            .filter(|report| report.order == order)
            .collect()
    }

    /// Sends an order and waits for its end.
    pub(crate) async fn carry_out(&mut self, grant: &Grant, phase: Phase) -> Reported {
        let ordered = self.order(grant, phase);
        self.send(&ordered).await;
        self.answer(id_of(&ordered)).await
    }

    /// Prepares and activates.
    pub(crate) async fn deploy(&mut self, tag: &str, commit: &CommitId) -> Reported {
        let grant = self.grant(Some((tag, commit)));
        let prepared = self.carry_out(&grant, Phase::Prepare).await;
        assert!(
            matches!(prepared.state, State::Prepared { .. }),
            "{prepared:#?}"
        );
        self.carry_out(&grant, Phase::Activate).await
    }
}

fn targets() -> Vec<HostName> {
    ["web1", "web2"]
        .map(|host| host.parse().expect("a host"))
        .to_vec()
}

/// The id of an order on its way.
pub(crate) fn id_of(ordered: &Ordered) -> Uuid {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let payload = BASE64_STANDARD
        .decode(&ordered.order.payload)
        .expect("base64");
    let order: Order = serde_json::from_slice(&payload).expect("an order");
    order.id
}

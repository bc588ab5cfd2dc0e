//! Orders: made and signed once, and sent as they were stored.

use events::{
    HostName,
    message::{Ordered, Phase},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::Orchestrator;
use crate::{deploy::Deploy, rollout::after, store::StoredOrder};

impl Orchestrator {
    /// The order that was stored, if it has not expired, or a new one.
    pub(super) fn order(&mut self, now: Timestamp, deploy: Uuid, host: &HostName, phase: Phase) {
        let key = (deploy, host.clone(), phase);
        if let Some(stored) = self.orders.get(&key).filter(|stored| stored.expires > now) {
            self.outgoing.push(stored.clone());
            return;
        }
        match self.new_order(now, deploy, host, phase) {
            Ok(stored) => {
                if let Some(Deploy { rollout, .. }) = self.running.get_mut(&deploy) {
                    rollout.issued(host, phase, stored.issued());
                }
                self.changes.orders.push(stored.clone());
                self.changes.sequence = Some(self.sequence);
                self.outgoing.push(stored.clone());
                self.orders.insert(key, stored);
            }
            Err(error) => {
                tracing::error!(%deploy, %host, %phase, error = chassis::causes(&error), "cannot sign an order");
            }
        }
    }

    fn new_order(
        &mut self,
        now: Timestamp,
        deploy: Uuid,
        host: &HostName,
        phase: Phase,
    ) -> Result<StoredOrder, orders::SignError> {
        let Some(Deploy { about, rollout }) = self.running.get(&deploy) else {
            return Err(orders::SignError::Content(
                "its deploy is not under way".to_owned(),
            ));
        };
        let rules = &rollout.policy;
        let valid_s = match phase {
            // Waiting for the commit counts into it, and it touches nothing live, however late it comes.
            Phase::Prepare => rules.prepare_limit_s.max(rules.reach_limit_s),
            // Whoever is given up as unreachable must not begin after that.
            Phase::Activate | Phase::Rollback | Phase::Abort | Phase::Clear => rules.reach_limit_s,
        };
        self.sequence += 1;
        let order = orders::Order {
            id: self.parts.world.new_id(),
            deploy,
            host: host.clone(),
            project: about.project.clone(),
            environment: about.environment.clone(),
            phase,
            commit: about.commit.clone(),
            tag: about.tag.clone(),
            undoes: about.undoes.filter(|_| phase == Phase::Rollback),
            wave: rollout.wave_of(host).unwrap_or(1),
            sequence: self.sequence,
            epoch: self.epoch,
            grant: about.digest.clone(),
            issued: now,
            expires: after(now, valid_s),
        };
        Ok(StoredOrder {
            id: order.id,
            deploy,
            expires: order.expires,
            ordered: Ordered {
                host: host.clone(),
                project: about.project.clone(),
                phase,
                order: self.parts.trust.sign_order(&order)?,
                grant: about.grant.clone(),
                targets: about.targets.clone(),
            },
        })
    }
}

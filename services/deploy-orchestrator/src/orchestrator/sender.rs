//! Publishing, beside the loop: a broker that is away holds up nothing.

use std::{collections::HashSet, time::Duration};

use chassis::{Bus, causes};
use tokio::{task::JoinSet, time::timeout};
use uuid::Uuid;

use crate::{deploy::Deploy, store::StoredOrder, texts};

#[derive(Debug)]
pub(super) struct Sender {
    bus: Bus,
    tasks: JoinSet<Option<Uuid>>,
    /// Orders that are being published; sending them again meanwhile would only double them.
    under_way: HashSet<Uuid>,
}

impl Sender {
    pub(super) fn new(bus: Bus) -> Self {
        Self {
            bus,
            tasks: JoinSet::new(),
            under_way: HashSet::new(),
        }
    }

    /// Publishes an order. What fails is logged; the rollout asks for it again.
    pub(super) fn send(&mut self, order: StoredOrder) {
        if !self.under_way.insert(order.id) {
            return;
        }
        let bus = self.bus.clone();
        self.tasks.spawn(async move {
            let StoredOrder { id, deploy, ordered, .. } = order;
            let (host, phase) = (&ordered.host, ordered.phase);
            match bus.publish(&ordered).await {
                Ok(_) => tracing::debug!(%deploy, %host, %phase, order = %id, "order sent"),
                Err(error) => {
                    tracing::warn!(%deploy, %host, %phase, order = %id, error = causes(&error), "order not sent yet");
                }
            }
            Some(id)
        });
    }

    /// Puts a line about a deploy on the bus.
    pub(super) fn line(&mut self, line: String, deploy: &Deploy) {
        let bus = self.bus.clone();
        let record = serde_json::json!({
            "deploy": deploy.about.id,
            "project": deploy.about.project,
            "environment": deploy.about.environment,
            "state": texts::state(&deploy.rollout),
            "tag": deploy.about.tag,
            "commit": deploy.about.commit,
            "by": deploy.about.by,
        });
        self.tasks.spawn(async move {
            bus.line(line, record).await;
            None
        });
    }

    /// Returns when something was published, or was not; never when nothing is under way.
    pub(super) async fn sent(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(Some(order))) => {
                self.under_way.remove(&order);
            }
            Some(Ok(None)) => {}
            Some(Err(error)) => tracing::error!(%error, "the publishing of a message failed"),
            None => std::future::pending().await,
        }
    }

    /// Lets what is under way end. What does not is stored and is sent again after the next start.
    pub(super) async fn finish(mut self, grace: Duration) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(grace, all).await.is_err() {
            tracing::warn!(
                "orders that the broker has not confirmed are sent again after the next start"
            );
        }
    }
}

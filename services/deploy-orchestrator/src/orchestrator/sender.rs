//! Publishing, beside the loop: a broker that is away holds up nothing.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use chassis::{Bus, Delivery, causes};
use events::{HostName, message::CiAnswered};
use tokio::{
    sync::Semaphore,
    task::{self, JoinSet},
    time::timeout,
};

use crate::store::StoredOrder;

#[derive(Debug)]
pub(super) struct Sender {
    bus: Bus,
    tasks: JoinSet<()>,
    /// Whose order a task publishes.
    publishing: HashMap<task::Id, HostName>,
    /// By host: the order that is being published, and those behind it. One that overtook another would be carried out
    /// without it.
    queues: HashMap<HostName, VecDeque<StoredOrder>>,
    /// Room for messages that are being put aside.
    aside: Arc<Semaphore>,
}

/// The broker keeps an order so much longer than it is good for, because its clock may be ahead of this one.
const KEPT_LONGER: Duration = Duration::from_secs(3600);

/// Messages that are put aside at the same time; while the broker is away each waits for it.
const MOST_ASIDE: usize = 64;

impl Sender {
    pub(super) fn new(bus: Bus) -> Self {
        Self {
            bus,
            tasks: JoinSet::new(),
            publishing: HashMap::new(),
            queues: HashMap::new(),
            aside: Arc::new(Semaphore::new(MOST_ASIDE)),
        }
    }

    /// Publishes an order. What fails is logged; the rollout asks for it again.
    pub(super) fn send(&mut self, order: StoredOrder) {
        let queue = self.queues.entry(order.ordered.host.clone()).or_default();
        // Sending it again meanwhile would only double it.
        if queue.iter().any(|waiting| waiting.id == order.id) {
            return;
        }
        queue.push_back(order.clone());
        if queue.len() == 1 {
            self.publish(order);
        }
    }

    fn publish(&mut self, order: StoredOrder) {
        let bus = self.bus.clone();
        let whose = order.ordered.host.clone();
        let task = self.tasks.spawn(async move {
            let StoredOrder { id, deploy, expires, ordered } = order;
            let (host, phase) = (&ordered.host, ordered.phase);
            let until = expires.saturating_add(KEPT_LONGER).unwrap_or(expires);
            match bus.publish_until(&ordered, until).await {
                Ok(_) => tracing::debug!(%deploy, %host, %phase, order = %id, "order sent"),
                Err(error) => {
                    tracing::warn!(%deploy, %host, %phase, order = %id, error = causes(&error), "order not sent yet");
                }
            }
        });
        self.publishing.insert(task.id(), whose);
    }

    /// Publishes what CI has found, then acknowledges what led to it. An answer that is not heard is asked for again.
    pub(super) fn answer(&mut self, answers: Vec<CiAnswered>, led_to_it: Vec<Delivery>) {
        if answers.is_empty() && led_to_it.is_empty() {
            return;
        }
        let bus = self.bus.clone();
        self.tasks.spawn(async move {
            for answer in answers {
                if let Err(error) = bus.publish(&answer).await {
                    let (repository, error) = (&answer.repository, causes(&error));
                    tracing::warn!(%repository, error, "what CI found was not told");
                }
            }
            for delivery in led_to_it {
                delivery.ack().await;
            }
        });
    }

    /// Publishes what cannot be used as a dead letter. What finds no room stays unacknowledged, and so comes again.
    pub(super) fn put_aside(&mut self, delivery: Delivery, cause: String) {
        let Ok(room) = Arc::clone(&self.aside).try_acquire_owned() else {
            return tracing::warn!("too much is put aside at once; the broker brings it again");
        };
        let bus = self.bus.clone();
        self.tasks.spawn(async move {
            if let Err(error) = delivery.put_aside(&bus, &cause).await {
                let error = causes(&error);
                tracing::warn!(error, "not put aside; the broker brings it again");
            }
            drop(room);
        });
    }

    /// Returns when something was published, or was not; never when nothing is under way.
    pub(super) async fn sent(&mut self) {
        let task = match self.tasks.join_next_with_id().await {
            Some(Ok((task, ()))) => task,
            Some(Err(error)) => {
                tracing::error!(%error, "the publishing of a message failed");
                error.id()
            }
            None => std::future::pending().await,
        };
        if let Some(host) = self.publishing.remove(&task) {
            self.next(&host);
        }
    }

    /// The order of this host that was being published is done with.
    fn next(&mut self, host: &HostName) {
        let Some(queue) = self.queues.get_mut(host) else {
            return;
        };
        queue.pop_front();
        match queue.front().cloned() {
            Some(order) => self.publish(order),
            None => {
                self.queues.remove(host);
            }
        }
    }

    /// Lets what is under way end. What does not is stored and is sent again after the next start.
    pub(super) async fn finish(mut self, grace: Duration) {
        let all = async {
            while !self.tasks.is_empty() {
                self.sent().await;
            }
        };
        if timeout(grace, all).await.is_err() {
            tracing::warn!(
                "orders that the broker has not confirmed are sent again after the next start"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use events::{
        Topic,
        message::{Ordered, Phase, Signed},
    };
    use testkit::{Member, TestBroker};
    use uuid::Uuid;

    use super::*;

    fn order(host: &str, id: u128, phase: Phase) -> StoredOrder {
        let signed = || Signed {
            payload_type: "x".to_owned(),
            payload: "e30=".to_owned(),
            signatures: Vec::new(),
        };
        let host: HostName = host.parse().expect("a host name");
        StoredOrder {
            id: Uuid::from_u128(id),
            deploy: Uuid::from_u128(1),
            expires: jiff::Timestamp::MAX,
            ordered: Ordered {
                targets: vec![host.clone()],
                host,
                project: "shop".parse().expect("a project"),
                phase,
                order: signed(),
                grant: signed(),
            },
        }
    }

    #[tokio::test]
    async fn orders_of_one_host_are_published_one_after_the_other() {
        let mut broker = TestBroker::start().await;
        let member = Member::connect("deploy-orchestrator", broker.common("hub1")).await;
        let web1 = "web1".parse().expect("a host name");
        let mut ear = member.listen(Topic::DeployOrders(web1)).await;
        let mut sender = Sender::new(member.bus.clone());
        let phases = [Phase::Prepare, Phase::Activate, Phase::Rollback];
        for (phase, id) in phases.into_iter().zip(10..) {
            sender.send(order("web1", id, phase));
            sender.send(order("web1", id, phase));
        }
        sender.send(order("web2", 20, Phase::Prepare));
        assert_eq!(sender.tasks.len(), 2, "one for each host");
        for done in 0..4 {
            assert!(sender.tasks.len() <= 2, "after {done}");
            sender.sent().await;
        }
        assert!(sender.tasks.is_empty() && sender.queues.is_empty());
        for phase in phases {
            let heard: Ordered = ear.hear(|_| true).await;
            assert_eq!(heard.phase, phase);
        }
        broker.stop().await;
    }
}

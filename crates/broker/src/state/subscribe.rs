//! SUBSCRIBE and UNSUBSCRIBE: who holds which queue.

use std::sync::{Arc, atomic::Ordering};

use bytes::BytesMut;
use stomp::{Command, Frame};

use super::{
    Refusal, State,
    queue::{AckMode, Consumer, Queue, QueueId},
};
use crate::{
    link::ConnectionId,
    store::{Change, Durable},
    topic::Pattern,
};

/// The name of a durable subscription, however the brokers call it.
fn durable_name(frame: &Frame) -> Option<&str> {
    let asked = frame.header("durable") == Some("true");
    let name = ["activemq.subscriptionName", "durable-subscription-name"];
    name.iter()
        .find_map(|header| frame.header(header))
        .or_else(|| frame.header("x-queue-name").filter(|_| asked))
        .or_else(|| frame.header("id").filter(|_| asked))
}

/// A header as it is written, with its line end.
fn header_line(name: &str, value: &str) -> Arc<[u8]> {
    let mut encoded = BytesMut::new();
    let frame = Frame::new(Command::Message).with(name, value);
    stomp::encode(&frame, &mut encoded).expect("a text that was decoded can be encoded");
    let command = Command::Message.name().len() + 1;
    let end = encoded.len() - "\n\0".len();
    Arc::from(&encoded[command..end])
}

impl State {
    pub(super) fn subscribe(&mut self, id: ConnectionId, frame: &Frame) -> Result<(), Refusal> {
        let subscription = frame.header("id").ok_or("SUBSCRIBE needs an id")?;
        let destination = frame
            .header("destination")
            .ok_or("SUBSCRIBE needs a destination")?;
        let pattern = Pattern::parse(destination).map_err(|error| error.to_string())?;
        let ack = match frame.header("ack").unwrap_or("auto") {
            "auto" => AckMode::Auto,
            "client" => AckMode::Client,
            "client-individual" => AckMode::Individual,
            other => return Err(Refusal(format!("there is no ack mode {other:?}"))),
        };
        let prefetch = self.prefetch(frame)?;
        let connection = &self.connections[&id];
        if connection.subscriptions.contains_key(subscription) {
            return Err(Refusal(format!(
                "subscription {subscription:?} is there already"
            )));
        }
        if connection.subscriptions.len() >= self.limits.subscriptions {
            let limit = self.limits.subscriptions;
            return Err(Refusal(format!(
                "more than {limit} subscriptions on one connection"
            )));
        }
        let queue = match durable_name(frame) {
            Some(name) => self.take_durable(id, name, destination, pattern)?,
            None => self.new_queue(Queue::new(pattern, None)),
        };
        let consumer = Consumer {
            connection: id,
            subscription: header_line("subscription", subscription),
            ack,
            prefetch,
            in_flight: 0,
            held_bytes: 0,
        };
        self.queue(queue).consumer = Some(consumer);
        let connection = self.connections.get_mut(&id).expect("it sent this frame");
        connection
            .subscriptions
            .insert(subscription.to_owned(), queue);
        self.ready.insert(queue);
        Ok(())
    }

    fn prefetch(&self, frame: &Frame) -> Result<usize, Refusal> {
        let asked = frame
            .header("prefetch-count")
            .or_else(|| frame.header("activemq.prefetchSize"));
        let asked = match asked {
            None => self.limits.prefetch,
            Some(text) => text
                .parse()
                .map_err(|_| Refusal(format!("prefetch {text:?} is no number")))?,
        };
        Ok(asked.clamp(1, self.limits.most_prefetch) as usize)
    }

    fn queue(&mut self, id: QueueId) -> &mut Queue {
        self.queues
            .get_mut(&id)
            .expect("a queue lives as long as its subscription")
    }

    fn new_queue(&mut self, queue: Queue) -> QueueId {
        let id = self.next_queue;
        self.next_queue += 1;
        self.add_queue(id, queue);
        id
    }

    /// Finds or makes the queue of a durable subscription, and sees to it that nobody else holds it.
    fn take_durable(
        &mut self,
        by: ConnectionId,
        name: &str,
        destination: &str,
        pattern: Pattern,
    ) -> Result<QueueId, Refusal> {
        let client_id = self.connections[&by].link.client_id.clone();
        let durable = Durable {
            client_id,
            name: name.to_owned(),
            destination: destination.to_owned(),
            used_s: self.now_s(),
        };
        let key = (durable.client_id.clone(), durable.name.clone());
        let Some(&queue) = self.durable.get(&key) else {
            if self.durable.len() >= self.limits.durable_subscriptions {
                let limit = self.limits.durable_subscriptions;
                return Err(Refusal(format!("more than {limit} durable subscriptions")));
            }
            let queue = self.new_queue(Queue::new(pattern, Some(durable.clone())));
            self.change(Change::Keep { queue, durable });
            return Ok(queue);
        };
        if let Some(holder) = &self.queues[&queue].consumer {
            let holder = holder.connection;
            let holds = &self.connections[&holder].link;
            if holder == by || !holds.is_silent() {
                let client_id = &durable.client_id;
                return Err(Refusal(format!(
                    "durable subscription {name:?} of client {client_id:?} is already connected"
                )));
            }
            tracing::warn!(
                subscription = name,
                connection = holder,
                "its silent holder is cut"
            );
            holds.cut.cancel();
            let offered = holds.offered.load(Ordering::SeqCst);
            self.forget(holder, offered);
        }
        // With another destination it goes on collecting under that one; what it has, it keeps.
        self.change(Change::Keep {
            queue,
            durable: durable.clone(),
        });
        let mut moved = self.unlist(queue).expect("it was just found");
        moved.pattern = pattern;
        moved.durable = Some(durable);
        self.add_queue(queue, moved);
        Ok(queue)
    }

    pub(super) fn unsubscribe(&mut self, id: ConnectionId, frame: &Frame) -> Result<(), Refusal> {
        let subscription = frame
            .header("id")
            .or_else(|| durable_name(frame))
            .ok_or("UNSUBSCRIBE needs an id")?;
        let connection = self.connections.get_mut(&id).expect("it sent this frame");
        let client_id = connection.link.client_id.clone();
        let held = connection.subscriptions.remove(subscription);
        if let Some(queue) = held {
            // What was handed over may still be written.
            self.detach(id, queue, u64::MAX);
        }
        let Some(name) = durable_name(frame) else {
            return match held {
                Some(_) => Ok(()),
                None => Err(Refusal(format!(
                    "there is no subscription {subscription:?}"
                ))),
            };
        };
        let queue = self.durable.get(&(client_id, name.to_owned())).copied();
        match queue {
            None => Err(Refusal(format!(
                "there is no durable subscription {name:?}"
            ))),
            Some(queue) if self.queues[&queue].consumer.is_some() => {
                Err(Refusal(format!("durable subscription {name:?} is in use")))
            }
            Some(queue) => {
                self.remove_queue(queue);
                Ok(())
            }
        }
    }

    /// A subscriber is gone: what it did not acknowledge goes back, and a queue that is not durable goes too.
    /// The subscriber may have seen the deliveries up to `seen`.
    pub(super) fn detach(&mut self, id: ConnectionId, queue: QueueId, seen: u64) {
        self.settle_written(id);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let taken = connection
            .in_flight
            .extract_if(.., |_, in_flight| in_flight.queue == queue);
        let taken: Vec<_> = taken.collect();
        let now_s = self.now_s();
        let Some(entry) = self.queues.get_mut(&queue) else {
            return;
        };
        entry.consumer = None;
        let Some(durable) = &mut entry.durable else {
            return self.remove_queue(queue);
        };
        // Nobody knows when it goes out now.
        for waiting in entry.entries.iter_mut().filter(|entry| entry.on_disk) {
            waiting.message = None;
        }
        durable.used_s = now_s;
        let durable = durable.clone();
        self.change(Change::Keep { queue, durable });
        for (ordinal, in_flight) in taken.into_iter().rev() {
            let mut returned = in_flight.entry;
            if ordinal <= seen {
                returned.redelivered = true;
            } else if returned.on_disk && !returned.redelivered {
                self.change(Change::Mark {
                    queue,
                    sequence: returned.sequence,
                    redelivered: false,
                });
            }
            self.queue(queue).put_back(returned);
        }
    }

    /// Notes that the held durable subscriptions are in use, and removes those that nobody used for too long.
    pub(crate) fn drop_unused(&mut self) {
        let now_s = self.now_s();
        let unused_s = i64::try_from(self.limits.unused.as_secs()).unwrap_or(i64::MAX);
        let mut abandoned = Vec::new();
        let mut used = Vec::new();
        for (&id, queue) in &mut self.queues {
            let Some(durable) = &mut queue.durable else {
                continue;
            };
            if queue.consumer.is_some() {
                durable.used_s = now_s;
                used.push((id, durable.clone()));
            } else if now_s.saturating_sub(durable.used_s) > unused_s {
                tracing::warn!(
                    subscription = durable.name,
                    messages = queue.entries.len(),
                    "unused for too long, removed"
                );
                abandoned.push(id);
            }
        }
        for (queue, durable) in used {
            self.change(Change::Keep { queue, durable });
        }
        for id in abandoned {
            self.remove_queue(id);
        }
    }
}

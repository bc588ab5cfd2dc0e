//! Messages that nobody wants any more after a time.

use super::State;

impl State {
    /// Throws away the messages that expired while they waited.
    pub(crate) fn drop_expired(&mut self) {
        let now_ms = self.now_ms;
        let mut expired = Vec::new();
        for (&id, queue) in &mut self.queues {
            let entries = queue.take_expired(now_ms);
            if !entries.is_empty() {
                let (subscription, messages) = (queue.name(), entries.len());
                tracing::info!(subscription, messages, "expired, dropped");
                expired.push((id, entries));
            }
        }
        for (id, entries) in expired {
            for entry in entries {
                self.settle(id, &entry);
            }
        }
    }
}

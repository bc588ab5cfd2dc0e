//! Who at the host waits for the end of an order.

use events::message::Reported;
use tokio::sync::watch;
use uuid::Uuid;

/// The newest report of an order; none until the first.
pub type Seen = watch::Receiver<Option<Reported>>;

/// Those who wait. A report holds the whole state of its order, so only the newest is kept for them.
#[derive(Debug, Default)]
pub(super) struct Watchers(Vec<(Uuid, watch::Sender<Option<Reported>>)>);

impl Watchers {
    /// Sees the reports of an order from now on.
    pub(super) fn watch(&mut self, order: Uuid) -> Seen {
        let (to, seen) = watch::channel(None);
        self.0.push((order, to));
        seen
    }

    pub(super) fn tell(&mut self, report: &Reported) {
        self.0.retain(|(order, to)| {
            if *order != report.order {
                return !to.is_closed();
            }
            to.send_replace(Some(report.clone()));
            !to.is_closed() && !report.state.is_final()
        });
    }
}

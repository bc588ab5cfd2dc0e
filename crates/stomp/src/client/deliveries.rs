//! What a subscription brings.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::book::Book;
use crate::frame::{Frame, Headers};

/// The deliveries of one subscription. Dropping them cancels the subscription; a durable one goes on collecting.
#[derive(Debug)]
pub struct Deliveries {
    id: String,
    queue: mpsc::UnboundedReceiver<Delivery>,
    book: Arc<Book>,
    /// Whether the broker is told when this is dropped.
    tell: bool,
}

impl Deliveries {
    pub(super) fn new(
        id: String,
        queue: mpsc::UnboundedReceiver<Delivery>,
        book: Arc<Book>,
    ) -> Self {
        Self {
            id,
            queue,
            book,
            tell: true,
        }
    }

    /// The next one; `None` once the connection has ended. Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.queue.recv().await
    }

    /// Closes without telling the broker, for the caller that tells it itself.
    pub(super) fn into_id(mut self) -> String {
        self.tell = false;
        self.id.clone()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.book.close_subscription(&self.id, self.tell);
    }
}

/// A message that was delivered. Until it is acknowledged it stays the broker's.
#[derive(Debug)]
pub struct Delivery {
    /// Where it was published.
    pub destination: String,
    /// All its headers.
    pub headers: Headers,
    /// The text.
    pub body: Bytes,
    /// The frame was over this limit: its text and most of its headers are not here.
    pub over: Option<String>,
    acknowledged: AtomicBool,
    unacknowledged: Arc<AtomicUsize>,
    connection: Weak<Book>,
}

impl Delivery {
    pub(super) fn new(
        message: Frame,
        over: Option<String>,
        unacknowledged: Arc<AtomicUsize>,
        connection: Weak<Book>,
    ) -> Self {
        Self {
            destination: message.header("destination").unwrap_or_default().to_owned(),
            headers: message.headers,
            body: message.body,
            over,
            acknowledged: AtomicBool::new(false),
            unacknowledged,
            connection,
        }
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// True when the broker says that it was delivered before. Not every broker does.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.header("redelivered") == Some("true")
    }

    pub(super) fn came_over(&self, connection: &Arc<Book>) -> bool {
        std::ptr::eq(self.connection.as_ptr(), Arc::as_ptr(connection))
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The `ack` header as it was received, the first time.
    pub(super) fn acknowledge(&self) -> Option<&str> {
        if self.acknowledged.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.unacknowledged.fetch_sub(1, Ordering::Relaxed);
        self.header("ack")
    }
}

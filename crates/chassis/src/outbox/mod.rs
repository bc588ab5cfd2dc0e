//! The outbox: messages that are safe on disk and wait for the broker, in a folder with a bound.
//!
//! [`Outbox::append`] is answered once the message lasts; [`Keeper::run`] writes and delivers. A hook, which is a process
//! of its own and quick, calls [`drop_off()`] on the same folder or one of its own.
//!
//! A file holds one message or more, one line of JSON each, and is named `<microseconds>-<id of the first>.json`, or
//! `….x<count>.json` if it holds several: the order of the names is the order of delivery. A file counts from its rename on; a
//! crash before that leaves a `.….new`, which is never read and is removed when an outbox is opened an hour later. A
//! file goes once the broker has confirmed all its messages; after a crash before that they go out again under the same
//! ids, and readers fold them.
//!
//! Read: this file (what a service calls), `file` (names and lines; no I/O), `stock` (what is known to be there), `writer`
//! (many callers, one file), `deliver` (file after file to the broker), `watch` (what other processes left; warnings).

mod deliver;
mod drop_off;
mod file;
mod levels;
mod settings;
mod stock;
mod watch;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use events::Payload;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::{Bus, PublishError};
use stock::Stock;
use writer::Request;

pub use drop_off::drop_off;
pub use file::Waiting;
pub use settings::OutboxSettings;

/// Callers whose messages are gathered while a file is written; further ones wait for their turn.
const CALLERS: usize = 1024;

/// How much an outbox holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes of all messages together.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        OutboxSettings::default().limits()
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is no more room: the broker is away for long, or `[outbox]` is too small.
    #[error("the outbox {} is full: {messages} messages, {bytes} bytes", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// How many it holds.
        messages: usize,
        /// Their size.
        bytes: u64,
    },
    /// The disk does not do it.
    #[error("cannot use the outbox {}", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// The system's.
        source: Arc<io::Error>,
    },
    /// The message itself cannot be sent, ever.
    #[error("it cannot be sent: {0}")]
    Unsendable(String),
    /// The service stops, and takes no more.
    #[error("the service stops")]
    Stopped,
}

/// What appends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Outbox {
    bus: Bus,
    stock: Arc<Stock>,
    requests: mpsc::Sender<Request>,
}

/// What writes and delivers; whoever opened the outbox runs it and waits for it.
#[derive(Debug)]
pub struct Keeper {
    bus: Bus,
    world: World,
    stock: Arc<Stock>,
    requests: mpsc::Receiver<Request>,
    warn_age: jiff::SignedDuration,
    /// Told when the deliverer should look at the stock.
    look: Notify,
}

impl Outbox {
    /// Opens the folder of the settings, or else this one, and makes it where it is missing.
    ///
    /// # Errors
    /// `Disk`.
    pub async fn open(
        bus: &Bus,
        world: &World,
        settings: &OutboxSettings,
        folder: impl AsRef<Path>,
    ) -> Result<(Self, Keeper), AppendError> {
        let folder = settings.folder_or(folder);
        let stock = Arc::new(Stock::new(folder.clone(), settings.limits()));
        let (made, now_s) = (folder, world.clock.now().as_second());
        let files = world.on_disk(move |disk| {
            disk.create_folders(&made, 0o750)?;
            let entries = disk.list(&made)?;
            file::remove_unfinished(disk, &entries, now_s)?;
            Ok((drop_off::take_refused(disk, &entries), entries))
        });
        let (refused, files) = files.await.map_err(|error| stock.disk_error(error))?;
        stock.hooks_refused(refused);
        stock.found(&files, &stock.mark());
        levels::add(bus.metrics(), &stock, world);
        let (sender, requests) = mpsc::channel(CALLERS);
        let outbox = Self {
            bus: bus.clone(),
            stock: Arc::clone(&stock),
            requests: sender,
        };
        let keeper = Keeper {
            bus: bus.clone(),
            world: world.clone(),
            stock,
            requests,
            warn_age: settings.warn_age(),
            look: Notify::new(),
        };
        Ok((outbox, keeper))
    }

    /// Takes a message under a new id; once it is `Ok` the message lasts, and goes out after those that were taken before
    /// it. Many callers share one file and one flush. Needs the [`Keeper`] to run.
    ///
    /// A caller that gives up meanwhile does not take the message back.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append<P: Payload>(&self, payload: &P) -> Result<Uuid, AppendError> {
        let sealed = self.seal(payload)?;
        let id = sealed.envelope.id;
        self.append_waiting(&sealed).await?;
        Ok(id)
    }

    /// Takes several messages like [`Outbox::append`], all or none: they are in one file.
    ///
    /// # Errors
    /// See [`AppendError`]; none was taken then.
    pub async fn append_all<P: Payload>(&self, payloads: &[P]) -> Result<Vec<Uuid>, AppendError> {
        let mut ids = Vec::with_capacity(payloads.len());
        let mut lines = Vec::new();
        for payload in payloads {
            let sealed = self.seal(payload)?;
            ids.push(sealed.envelope.id);
            lines.extend(file::line(&sealed));
        }
        if let Some(&first) = ids.first() {
            self.append_lines(first, ids.len(), lines).await?;
        }
        Ok(ids)
    }

    /// Takes a message that was sealed before, like [`Outbox::append`].
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append_waiting(&self, message: &Waiting) -> Result<(), AppendError> {
        let line = file::line(message);
        self.append_lines(message.envelope.id, 1, line).await
    }

    fn seal<P: Payload>(&self, payload: &P) -> Result<Waiting, AppendError> {
        let sealed = self.bus.seal(payload).map_err(|error| match error {
            PublishError::Unsendable(why) => AppendError::Unsendable(why),
            other => AppendError::Unsendable(other.to_string()),
        });
        Ok(Waiting::of(payload, sealed?))
    }

    async fn append_lines(
        &self,
        first: Uuid,
        messages: usize,
        lines: Vec<u8>,
    ) -> Result<(), AppendError> {
        let room = self.stock.reserve(messages, lines.len() as u64)?;
        let (done, outcome) = oneshot::channel();
        let request = Request {
            first,
            messages,
            lines,
            room,
            done,
        };
        let taken = self.requests.send(request).await;
        taken.map_err(|_| AppendError::Stopped)?;
        outcome.await.unwrap_or(Err(AppendError::Stopped))
    }

    /// True when there is no room for another message, be it the smallest.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stock.is_full()
    }

    /// How many messages wait, and how large they are together.
    #[must_use]
    pub fn holds(&self) -> (usize, u64) {
        self.stock.holds()
    }
}

impl Keeper {
    /// Writes what is appended and delivers it, in order, until the stop; then writes what was handed in before it, and
    /// gives what is on its way 2 s to be confirmed. What other processes leave in the folder is found within a second.
    ///
    /// A message that can never be sent is put aside as a file that ends in `.bad`, and logged; the others of its file go
    /// out. One whose time to live was over before it could be sent is dropped, and counted. A file that cannot be read or removed is logged and tried again.
    pub async fn run(self, stop: &CancellationToken) {
        let Self {
            bus,
            world,
            stock,
            requests,
            warn_age,
            look,
        } = self;
        tokio::join!(
            writer::run(requests, &stock, &world, &look, stop),
            deliver::run(&bus, &stock, &world, &look, stop),
            watch::run(&stock, &world, &look, warn_age, stop),
        );
    }
}

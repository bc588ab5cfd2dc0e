//! File after file to the broker.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use world::World;

use super::{
    Waiting,
    file::{self, MODE},
    stock::Stock,
};
use crate::{Bus, PublishError, bus::InOrder, causes};

/// Messages that are on their way at once.
const WINDOW: usize = 64;

/// When a file that could not be read or removed is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// How long after a stop receipts are still waited for. What is not confirmed then goes out again after the next start.
const LAST_RECEIPTS: Duration = Duration::from_secs(2);

/// A message of a file: which line it is.
#[derive(Debug)]
struct Place {
    file: String,
    line: usize,
}

/// A file of which messages are on their way.
#[derive(Debug)]
struct Open {
    /// How many of its messages are not settled.
    left: usize,
    /// True when it must stay, and be read again later.
    stays: bool,
    settled: Settled,
}

/// The lines of a file that need nothing more: confirmed, or put aside.
#[derive(Debug, Default)]
struct Settled {
    /// The size of the file, to know a file that a person has changed since.
    bytes: usize,
    lines: BTreeSet<usize>,
}

struct Deliverer<'a> {
    stock: &'a Stock,
    world: &'a World,
    queue: InOrder<Place>,
    /// What was read and has no room in the queue yet.
    read: VecDeque<(Place, Waiting)>,
    open: BTreeMap<String, Open>,
    /// Files that are open, or are left for later.
    taken: BTreeSet<String>,
    /// Files that were delivered whole and not removed yet.
    delivered: BTreeSet<String>,
    /// What is settled of files that stay, because a line that can never be sent could not be put aside.
    staying: BTreeMap<String, Settled>,
    /// Files that could not be read, each logged once.
    unreadable: BTreeSet<String>,
    again: Option<Instant>,
    /// Says it when the next message has expired.
    tell_expired: bool,
}

/// Delivers what is there and what comes, until the stop.
pub(super) async fn run(
    bus: &Bus,
    stock: &Stock,
    world: &World,
    look: &Notify,
    stop: &CancellationToken,
) {
    let mut deliverer = Deliverer {
        stock,
        world,
        queue: bus.in_order(WINDOW),
        read: VecDeque::new(),
        open: BTreeMap::new(),
        taken: BTreeSet::new(),
        delivered: BTreeSet::new(),
        staying: BTreeMap::new(),
        unreadable: BTreeSet::new(),
        again: None,
        tell_expired: true,
    };
    while !stop.is_cancelled() {
        deliverer.fill(stop).await;
        let again = async {
            match deliverer.again {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            (place, outcome) = deliverer.queue.settled() => deliverer.settle(place, outcome).await,
            () = again => deliverer.try_again().await,
            () = look.notified(), if deliverer.queue.has_room() => {}
        }
    }
    let last = async {
        while !deliverer.queue.is_empty() {
            let (place, outcome) = deliverer.queue.settled().await;
            deliverer.settle(place, outcome).await;
        }
    };
    let _goes_out_again = timeout(LAST_RECEIPTS, last).await;
}

impl Open {
    /// A line needs nothing more, or keeps its file.
    fn note(&mut self, line: usize, settled: bool) {
        match settled {
            true => {
                self.settled.lines.insert(line);
            }
            false => self.stays = true,
        }
    }
}

impl Deliverer<'_> {
    /// Puts messages into the queue while it has room, file after file.
    async fn fill(&mut self, stop: &CancellationToken) {
        while self.queue.has_room() && !stop.is_cancelled() {
            if let Some((place, message)) = self.read.pop_front() {
                self.queue.push(place, &message);
                continue;
            }
            let Some(name) = self.stock.first_but(&self.taken) else {
                return;
            };
            self.open(name).await;
        }
    }

    /// Reads a file.
    async fn open(&mut self, name: String) {
        let path = self.stock.path(&name);
        self.taken.insert(name.clone());
        let read = self.world.on_disk(move |disk| file::read(disk, &path));
        let bytes = match read.await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.forget(&name);
                return;
            }
            // A hook of another user, say: it waits for a person, the others do not.
            Err(error) => {
                if self.unreadable.insert(name.clone()) {
                    let file = self.stock.path(&name);
                    tracing::error!(file = %file.display(), %error, "waits in the outbox until it can be read");
                }
                self.later();
                return;
            }
        };
        self.unreadable.remove(&name);
        let new = Settled {
            bytes: bytes.len(),
            lines: BTreeSet::new(),
        };
        let before = self.staying.remove(&name);
        let mut open = Open {
            left: 0,
            stays: false,
            settled: before
                .filter(|before| before.bytes == new.bytes)
                .unwrap_or(new),
        };
        let lines = file::lines(&bytes).count();
        for (line, text) in file::lines(&bytes) {
            if open.settled.lines.contains(&line) {
                continue;
            }
            match serde_json::from_slice::<Waiting>(text) {
                Ok(message) => {
                    open.left += 1;
                    let file = name.clone();
                    self.read.push_back((Place { file, line }, message));
                }
                Err(error) => {
                    let aside = self.put_aside(&name, line, text, &causes(&error)).await;
                    open.note(line, aside);
                }
            }
        }
        if lines == 0 {
            open.stays |= !self.put_aside(&name, 1, b"", "it holds no message").await;
        }
        let done = open.left == 0;
        self.open.insert(name.clone(), open);
        if done {
            self.close(name).await;
        }
    }

    async fn settle(&mut self, place: Place, outcome: Result<(), PublishError>) {
        let Place { file, line } = place;
        let settled = match outcome {
            Ok(()) => {
                self.tell_expired = true;
                true
            }
            Err(error @ PublishError::Unsendable(_)) => {
                self.put_aside_line(&file, line, &causes(&error)).await
            }
            Err(PublishError::Expired) => {
                self.expired();
                true
            }
            // The service stops: the file stays for the next start.
            Err(_) => return,
        };
        let Some(open) = self.open.get_mut(&file) else {
            return;
        };
        open.note(line, settled);
        open.left -= 1;
        if open.left == 0 {
            self.close(file).await;
        }
    }

    /// A message is dropped, which is said at the first of several.
    fn expired(&mut self) {
        self.stock.counts.expired.inc();
        if std::mem::replace(&mut self.tell_expired, false) {
            let folder = self.stock.folder().display();
            tracing::warn!(%folder, "messages waited for longer than their time to live and are dropped; outbox_expired counts them");
        }
    }

    /// Everything in a file is settled: it goes, or is read again later.
    async fn close(&mut self, name: String) {
        match self.open.remove(&name) {
            Some(open) if open.stays => {
                self.staying.insert(name, open.settled);
                self.later();
            }
            _ => self.remove(name).await,
        }
    }

    async fn remove(&mut self, name: String) {
        let path = self.stock.path(&name);
        match self
            .world
            .on_disk(move |disk| disk.remove_file(&path))
            .await
        {
            Ok(()) => self.forget(&name),
            Err(error) => {
                let file = self.stock.path(&name);
                if self.delivered.insert(name) {
                    tracing::error!(file = %file.display(), %error, "was delivered and cannot be removed; tries go on");
                }
                self.later();
            }
        }
    }

    fn forget(&mut self, name: &str) {
        self.stock.removed(name);
        self.taken.remove(name);
        self.delivered.remove(name);
        self.staying.remove(name);
    }

    fn later(&mut self) {
        self.again.get_or_insert(Instant::now() + AGAIN);
    }

    /// Removes what was delivered, and takes up again what could not be read.
    async fn try_again(&mut self) {
        self.again = None;
        for name in self.delivered.clone() {
            self.remove(name).await;
        }
        let (open, delivered) = (&self.open, &self.delivered);
        self.taken
            .retain(|name| open.contains_key(name) || delivered.contains(name));
        self.unreadable.retain(|name| self.stock.has(name));
        self.staying.retain(|name, _| self.stock.has(name));
    }

    async fn put_aside_line(&self, name: &str, line: usize, cause: &str) -> bool {
        let path = self.stock.path(name);
        let read = self
            .world
            .on_disk(move |disk| file::read(disk, &path))
            .await;
        let bytes = read.unwrap_or_default();
        let found = file::lines(&bytes).find(|(number, _)| *number == line);
        match found {
            Some((_, text)) => self.put_aside(name, line, text, cause).await,
            None => false,
        }
    }

    /// Keeps a message that can never be sent in a file of its own, for a person; false if that fails.
    async fn put_aside(&self, name: &str, line: usize, text: &[u8], cause: &str) -> bool {
        let aside = match file::messages(name) {
            1 => format!("{name}.bad"),
            _ => format!("{name}.{line}.bad"),
        };
        let (path, bytes) = (self.stock.path(&aside), text.to_owned());
        let file = path.display().to_string();
        let written = self
            .world
            .on_disk(move |disk| disk.replace(&path, &bytes, MODE))
            .await;
        match &written {
            Ok(()) => {
                self.stock.counts.put_aside.inc();
                tracing::error!(file, cause, "put aside: it can never be sent");
            }
            Err(error) => {
                tracing::error!(file, cause, %error, "it can never be sent, and cannot be put aside");
            }
        }
        written.is_ok()
    }
}

#![doc = include_str!("../README.md")]

mod clock;
mod disk;
pub mod net;
mod roots;
mod user;

use std::{fmt, io, sync::Arc};

use command::Processes;
use uuid::Uuid;

pub use clock::{Clock, Entropy, SystemClock, SystemEntropy};
pub use command::Boxed;
pub use disk::{Disk, Entry, Kind, Lock, LogFile, RealDisk, Space, Stamp};
pub use net::{Listener, Net, RealNet, Stream};
pub use roots::{NotRoots, only_roots};
pub use user::{User, UserError, UserName, own_uid};

/// The outside, as one value that every service is given.
#[derive(Clone)]
pub struct World {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Byte streams.
    pub net: Arc<dyn Net>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Programs.
    pub processes: Arc<dyn Processes>,
    inline: bool,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    /// The operating system.
    #[must_use]
    pub fn real() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            net: Arc::new(RealNet),
            disk: Arc::new(RealDisk),
            processes: Arc::new(command::Real),
            inline: false,
        }
    }

    /// The same world with disk work done inline, for tests with a paused clock and for simulation.
    #[must_use]
    pub fn with_inline_disk(mut self) -> Self {
        self.inline = true;
        self
    }

    /// A new id: UUIDv7, so that ids sort by time.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        let millis = u64::try_from(self.clock.now().as_millisecond()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// Does disk work where it does not hold up anything else.
    ///
    /// # Errors
    /// What the work returns, or that its thread panicked.
    pub async fn on_disk<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Disk) -> io::Result<T> + Send + 'static,
    {
        if self.inline {
            return work(&*self.disk);
        }
        let disk = Arc::clone(&self.disk);
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the seam that puts disk work on a thread"
        )]
        let thread = tokio::task::spawn_blocking(move || work(&*disk));
        thread.await.map_err(io::Error::other)?
    }
}

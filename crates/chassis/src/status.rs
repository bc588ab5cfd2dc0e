//! What a service says about itself to systemd.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Longer than any process lives.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// Readiness and one line of status, for `systemctl status`. Cheap to clone; says nothing where no systemd listens.
#[derive(Debug, Clone)]
pub struct Status {
    systemd: bool,
    said: Arc<watch::Sender<Said>>,
}

/// What was said last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// True once the service is ready.
    pub ready: bool,
    /// The line of status.
    pub text: String,
}

impl Status {
    /// Tells systemd (where `NOTIFY_SOCKET` is set).
    #[must_use]
    pub fn systemd() -> Self {
        Self {
            systemd: true,
            said: Arc::default(),
        }
    }

    /// Tells nobody but [`Status::said`]: for several services in one process.
    #[must_use]
    pub fn silent() -> Self {
        Self {
            systemd: false,
            said: Arc::default(),
        }
    }

    /// The service does its work from now on. Call it once; more often does no harm.
    pub fn ready(&self) {
        self.said.send_modify(|said| said.ready = true);
        self.tell(NotifyState::Ready);
    }

    /// One line on what it does now: `3 mirrors, last fetch 12:30`.
    pub fn says(&self, text: impl Into<String>) {
        let text = text.into().replace(['\n', '\r'], " ");
        self.tell(NotifyState::Status(&text));
        self.said.send_modify(|said| said.text = text);
    }

    /// What was said last, and each change of it.
    #[must_use]
    pub fn said(&self) -> watch::Receiver<Said> {
        self.said.subscribe()
    }

    /// Announces the stop when it comes and feeds systemd's watchdog where one is set. Never ends by itself.
    ///
    /// Polled by the same task as the service's own loop, so a loop that blocks is noticed.
    pub(crate) async fn watch(&self, stop: CancellationToken) {
        let every = sd_notify::watchdog_enabled().map_or(FOREVER, |limit| limit / 2);
        let mut alive = tokio::time::interval(every.max(Duration::from_millis(100)));
        let mut announced = false;
        loop {
            tokio::select! {
                _ = alive.tick() => self.tell(NotifyState::Watchdog),
                () = stop.cancelled(), if !announced => {
                    announced = true;
                    self.tell(NotifyState::Stopping);
                }
            }
        }
    }

    fn tell(&self, state: NotifyState<'_>) {
        if self.systemd
            && let Err(error) = sd_notify::notify(&[state])
        {
            tracing::debug!(%error, "systemd does not listen");
        }
    }
}

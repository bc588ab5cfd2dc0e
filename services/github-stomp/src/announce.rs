//! Pushes on their way to the bus, whoever tells of them: folded, then safe in the outbox, then told to the feed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    Bus, causes,
    outbox::{AppendError, Outbox},
};
use events::message::Pushed;
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;
use world::World;

use crate::{
    deliveries::{Became, Outcome},
    fold::{Fold, Ticket, Told, Verdict},
    forge::News,
    measured::Measured,
};

/// What announces. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    bus: Bus,
    outbox: Outbox,
    world: World,
    fold: Arc<Mutex<Fold>>,
    /// Changes when an announcement is settled.
    settled: watch::Sender<()>,
    answer_within: Duration,
    measured: Measured,
}

/// Who tells of something, for logs and the feed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct From<'a> {
    pub(crate) told: Told,
    pub(crate) source: &'a str,
    /// The forge's number.
    pub(crate) delivery: &'a str,
}

/// Why nothing was announced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    /// It can never be sent.
    #[error("{0}")]
    Never(String),
    /// There is no room or no disk now.
    #[error("not taken: {0}")]
    Now(String),
}

/// Announcements under way; what was not settled when it is dropped has failed.
struct UnderWay<'a> {
    announcer: &'a Announcer,
    tickets: Vec<Ticket>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut fold = self.announcer.fold();
        for ticket in &self.tickets {
            fold.failed(ticket);
        }
        drop(fold);
        self.announcer.settled.send_replace(());
    }
}

impl Announcer {
    /// Announces over the outbox.
    pub(crate) fn new(
        bus: &Bus,
        outbox: Outbox,
        world: &World,
        fold: Fold,
        answer_within: Duration,
        measured: Measured,
    ) -> Self {
        Self {
            bus: bus.clone(),
            outbox,
            world: world.clone(),
            fold: Arc::new(Mutex::new(fold)),
            settled: watch::Sender::new(()),
            answer_within,
            measured,
        }
    }

    pub(crate) fn fold(&self) -> MutexGuard<'_, Fold> {
        // Nothing is left half changed by a panic.
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Takes the pushes of a delivery, all or none; once it is `Ok` all that are news are safe on disk.
    pub(crate) async fn announce(
        &self,
        from: From<'_>,
        pushes: Vec<Pushed>,
    ) -> Result<Vec<Became>, NotTaken> {
        self.within(self.folded(from, pushes)).await
    }

    /// The same without a look at what was announced before, because a person wants it.
    pub(crate) async fn announce_again(
        &self,
        from: From<'_>,
        pushes: Vec<Pushed>,
    ) -> Result<Vec<Became>, NotTaken> {
        self.within(self.append(from, pushes)).await
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, AppendError>>,
    ) -> Result<T, NotTaken> {
        match timeout(self.answer_within, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error @ AppendError::Unsendable(_))) => Err(NotTaken::Never(causes(&error))),
            Ok(Err(error)) => Err(NotTaken::Now(causes(&error))),
            Err(_) => {
                let limit_s = self.answer_within.as_secs();
                let why = format!("the disk did not take it within {limit_s} s, answer_within_s");
                Err(NotTaken::Now(why))
            }
        }
    }

    async fn folded(
        &self,
        from: From<'_>,
        pushes: Vec<Pushed>,
    ) -> Result<Vec<Became>, AppendError> {
        let mut settled = self.settled.subscribe();
        // Two at once tell the same: the second waits for what becomes of the first.
        loop {
            settled.mark_unchanged();
            if !pushes.iter().any(|push| self.fold().is_under_way(push)) {
                break;
            }
            if settled.changed().await.is_err() {
                return Err(AppendError::Stopped);
            }
        }
        let mut under_way = UnderWay {
            announcer: self,
            tickets: Vec::new(),
        };
        let (mut news, mut became) = (Vec::new(), Vec::new());
        let now = self.world.clock.now();
        for pushed in pushes {
            let verdict = self.fold().judge(&pushed, from.told, now);
            match verdict {
                Verdict::Announce(ticket) => {
                    under_way.tickets.push(ticket);
                    news.push(pushed);
                }
                Verdict::Known(id) => {
                    self.measured.folded.inc();
                    let (source, delivery) = (from.source, from.delivery);
                    let (repository, name) = (&pushed.repository, &pushed.name);
                    tracing::info!(source, delivery, %repository, r#ref = %name, %id, "was announced already");
                    became.push(Became::of(&pushed, Outcome::Folded, id));
                }
                // The delivery itself says it twice.
                Verdict::UnderWay => {}
            }
        }
        let announced = self.append(from, news).await?;
        {
            let mut fold = self.fold();
            for (ticket, push) in under_way.tickets.drain(..).zip(&announced) {
                fold.announced(&ticket, push.id);
            }
        }
        became.extend(announced);
        Ok(became)
    }

    async fn append(
        &self,
        from: From<'_>,
        pushes: Vec<Pushed>,
    ) -> Result<Vec<Became>, AppendError> {
        let ids = self.outbox.append_all(&pushes).await?;
        let became = |(pushed, id): (&Pushed, &Uuid)| {
            self.tell(from, news(pushed, id, from.told));
            Became::of(pushed, Outcome::Announced, *id)
        };
        Ok(pushes.iter().zip(&ids).map(became).collect())
    }

    /// Puts a line on the feed and in the log.
    pub(crate) fn tell(&self, from: From<'_>, news: News) {
        let From {
            source, delivery, ..
        } = from;
        tracing::info!(source, delivery, "{}", news.text());
        self.bus
            .say(news.with("source", source).with("delivery", delivery));
    }
}

/// `acme/shop refs/heads/main 737d38c599..fd489864e7, 1 commit by ann`
fn news(pushed: &Pushed, id: &Uuid, told: Told) -> News {
    let moved = match (&pushed.before, &pushed.after) {
        (Some(before), Some(after)) => format!("{}..{}", before.short(), after.short()),
        (None, Some(after)) => format!("new at {}", after.short()),
        (Some(before), None) => format!("deleted, was {}", before.short()),
        (None, None) => "deleted".to_owned(),
    };
    let commits = match pushed.commits_total {
        0 => String::new(),
        1 => ", 1 commit".to_owned(),
        many => format!(", {many} commits"),
    };
    let by = pushed
        .pusher
        .as_deref()
        .map_or_else(String::new, |by| format!(" by {by}"));
    let found = match told {
        Told::Hook => "",
        Told::Sweep => ", found by the sweep: its hook did not come",
    };
    let Pushed {
        repository, name, ..
    } = pushed;
    News::new(
        "pushed",
        format!("{repository} {name} {moved}{commits}{by}{found}"),
    )
    .with("id", id)
    .with("repository", repository)
    .with("ref", name)
    .with("before", &pushed.before)
    .with("after", &pushed.after)
    .with("commit", &pushed.commit)
    .with("pusher", &pushed.pusher)
    .with("commits", pushed.commits_total)
    .with("swept", (told == Told::Sweep).then_some(true))
}

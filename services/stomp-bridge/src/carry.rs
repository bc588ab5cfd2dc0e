//! Hearing on one side, saying on the other; what is said is confirmed before what was heard is acknowledged.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chassis::{Bus, Delivery, Handler, Inbox, PublishError, Start, Verdict, causes};
use events::{
    Envelope, ParseError, Payload, Topic,
    message::{Level, Said},
};
use tokio::time::{Instant, sleep};

use crate::{
    memory::{Memory, Told},
    plan::{self, ForOld, FromOld, Kind},
    settings::{Settings, Topics},
    text::Wrong,
};

/// The header by which a bridge knows what a bridge said to older daemons.
pub const MARK: &str = "deploykit-bridge";

/// How the source of an envelope begins that a bridge has made.
pub const SOURCE: &str = "/deploykit/stomp-bridge/";

/// The least wait before something is tried again that no broker has confirmed.
const AGAIN: Duration = Duration::from_secs(5);

/// What is on its way at a stop has so long to be confirmed; else it is carried after the next start.
const GRACE: Duration = Duration::from_secs(2);

/// What became of something that is to be carried.
enum Outcome {
    /// The other side has it.
    Done,
    /// The service stops first.
    Stopped,
    /// It can never be said, for this reason.
    Never(String),
}

/// Both directions share what they remember.
pub(crate) struct Bridge<'a> {
    start: &'a Start<Settings>,
    memory: Mutex<Memory>,
    since: Instant,
}

impl<'a> Bridge<'a> {
    pub(crate) fn new(start: &'a Start<Settings>) -> Self {
        Self {
            start,
            memory: Mutex::default(),
            since: Instant::now(),
        }
    }

    fn remembered<T>(&self, look: impl FnOnce(&mut Memory, Duration) -> T) -> T {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut memory, self.since.elapsed())
    }

    /// Has it said on the other side, unless that knows it: a bridge said it here, or it was carried lately.
    async fn carry<F, Fut>(&self, way: &str, told: &Told, bridged: bool, say: F) -> Outcome
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), PublishError>>,
    {
        let known = self.remembered(|memory, now| {
            let known = bridged || memory.knows(told, now);
            // Before it is said: it may come back before it is confirmed.
            memory.note(told, now);
            known
        });
        if known {
            return Outcome::Done;
        }
        let outcome = self.until_confirmed(&told.about, say).await;
        if matches!(outcome, Outcome::Done) {
            self.remembered(|memory, now| memory.note(told, now));
            let text = format!("{} carried {way} older daemons", told.about);
            tracing::debug!("{text}");
            let said = Said::new("carried", text).with("about", &told.about);
            self.start.bus.say(said.with("way", way));
        }
        outcome
    }

    async fn until_confirmed<F, Fut>(&self, about: &str, say: F) -> Outcome
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), PublishError>>,
    {
        let stop = &self.start.stop;
        let mut failures = 0;
        loop {
            let stopped = async {
                stop.cancelled().await;
                sleep(GRACE).await;
            };
            let error = tokio::select! {
                biased;
                said = say() => match said {
                    Ok(()) => break,
                    Err(error @ PublishError::Unsendable(_)) => return Outcome::Never(causes(&error)),
                    Err(error) => error,
                },
                () = stopped => return Outcome::Stopped,
            };
            failures += 1;
            if failures == 1 {
                let cause = causes(&error);
                tracing::warn!(about, cause, "cannot be carried yet; it is tried again");
                let text = format!("{about} cannot be carried yet: {cause}");
                let said = Said::new("problem", text).level(Level::Problem);
                self.start
                    .bus
                    .say(said.with("about", about).with("cause", cause));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Outcome::Stopped,
                () = sleep(AGAIN.max(error.least_wait())) => {}
            }
        }
        if failures > 0 {
            let text = format!("{about} could be carried after {failures} failures");
            tracing::info!("{text}");
            let said = Said::new("again", text).level(Level::Over);
            self.start
                .bus
                .say(said.with("about", about).with("failures", failures));
        }
        Outcome::Done
    }

    /// Hears an older topic until the stop.
    pub(crate) async fn hear_old(&self, kind: Kind, mut inbox: Inbox) {
        loop {
            let delivery = tokio::select! {
                biased;
                () = self.start.stop.cancelled() => break,
                delivery = inbox.next() => delivery,
            };
            let Some(delivery) = delivery else { break };
            match self.say_ours(kind, &delivery).await {
                Outcome::Done => delivery.ack().await,
                Outcome::Stopped => break,
                Outcome::Never(cause) => self.put_aside(&delivery, &cause).await,
            }
        }
        inbox.close().await;
    }

    /// Says an older message on our side.
    async fn say_ours(&self, kind: Kind, delivery: &Delivery) -> Outcome {
        if let Err(error @ ParseError::NotRead(_)) = delivery.envelope() {
            return Outcome::Never(causes(error));
        }
        let subject = delivery.header("subject").unwrap_or_default();
        let read = plan::from_old(kind, subject, delivery.body(), &self.start.settings);
        let ours = match read {
            Ok(Some(ours)) => ours,
            Ok(None) => return Outcome::Done,
            Err(Wrong::NotCarried(why)) => {
                tracing::info!(destination = delivery.destination(), why, "passed over");
                return Outcome::Done;
            }
            Err(wrong) => return Outcome::Never(causes(&wrong)),
        };
        let bus = &self.start.bus;
        // One id for all tries, so that readers fold what arrives twice.
        let (topic, envelope) = match sealed(&ours, bus) {
            Ok(sealed) => sealed,
            Err(error) => return Outcome::Never(causes(&error)),
        };
        let bridged = delivery.header(MARK).is_some();
        let say = || bus.publish_envelope(&topic, true, &envelope);
        self.carry("from", &ours.told(), bridged, say).await
    }

    async fn put_aside(&self, delivery: &Delivery, cause: &str) {
        let destination = delivery.destination();
        let letter = || delivery.put_aside(&self.start.bus, cause);
        let about = format!("a dead letter from {destination}");
        match self.until_confirmed(&about, letter).await {
            Outcome::Done => tracing::warn!(destination, cause, "put aside as a dead letter"),
            Outcome::Stopped => {}
            Outcome::Never(error) => {
                tracing::error!(destination, cause, error, "cannot be put aside");
            }
        }
    }
}

fn sealed(ours: &FromOld, bus: &Bus) -> Result<(Topic, Envelope), PublishError> {
    fn of<P: Payload>(payload: &P, bus: &Bus) -> Result<(Topic, Envelope), PublishError> {
        Ok((payload.topic(), bus.seal(payload)?))
    }
    match ours {
        FromOld::Push(it) => of(it, bus),
        FromOld::Revision(it) => of(it, bus),
        FromOld::Good(it) => of(it, bus),
        FromOld::Bad(it) => of(it, bus),
        FromOld::Package(it) => of(it, bus),
    }
}

/// Hears one of our topics.
pub(crate) struct ToOld<'a>(pub(crate) &'a Bridge<'a>);

impl Handler for ToOld<'_> {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let Self(bridge) = self;
        let Start {
            host,
            settings,
            bus,
            ..
        } = bridge.start;
        let texts = match plan::for_old(envelope, settings) {
            Ok(texts) => texts,
            Err(error) => return error.into(),
        };
        let bridged = envelope.source.starts_with(SOURCE);
        let mark = host.to_string();
        for ForOld { topic, told, text } in texts {
            let destination = Topics::destination(topic);
            let headers = [("subject", text.subject.as_str()), (MARK, mark.as_str())];
            let say = || bus.publish_text(&destination, &headers, text.body.clone());
            match bridge.carry("to", &told, bridged, say).await {
                Outcome::Done => {}
                Outcome::Stopped => return Verdict::Again("the service stops".to_owned()),
                Outcome::Never(cause) => return Verdict::Poison(cause),
            }
        }
        Verdict::Done
    }
}

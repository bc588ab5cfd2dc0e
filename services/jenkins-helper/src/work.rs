//! Asking Jenkins about notifications, one after the other, and telling the bus what it says.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{Failure, Start, causes, outbox::Outbox};
use events::{
    JobName,
    message::{Level, Said},
};
use jenkins::{Jenkins, Kind};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use world::World;

use crate::{
    Settings,
    book::{Book, Kept},
    judge::{Known, judge},
    notice::Notice,
    settings::Receiver,
    told::Told,
};

type Key = (JobName, u64);

/// What waits, and when each is due.
#[derive(Debug)]
struct Due {
    kept: Kept,
    at: Instant,
    pause: Duration,
}

/// Where notifications are taken in. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Desk(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: World,
    book: Book,
    waiting: usize,
    first: Duration,
    due: Mutex<BTreeMap<Key, Due>>,
    /// Held while the file of a notification and its place in `due` change, so that one that comes in is not taken for the one that is done.
    turn: tokio::sync::Mutex<()>,
    arrived: Notify,
}

/// Why a notification was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    Full,
    Disk(io::Error),
}

impl Desk {
    fn due(&self) -> MutexGuard<'_, BTreeMap<Key, Due>> {
        self.0.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It lasts from then on. Several about one build are one.
    pub(crate) async fn take(&self, notice: Notice) -> Result<(), Refused> {
        let key = (notice.job.clone(), notice.number);
        let _turn = self.0.turn.lock().await;
        let mut kept = Kept {
            notice,
            since: self.0.world.clock.now(),
            told_start: false,
        };
        {
            let due = self.due();
            match due.get(&key) {
                Some(known) => {
                    kept.since = known.kept.since;
                    kept.told_start = known.kept.told_start;
                    kept.notice.ended |= known.kept.notice.ended;
                }
                None if due.len() >= self.0.waiting => return Err(Refused::Full),
                None => {}
            }
        }
        let written = self.0.book.write(&self.0.world, &kept).await;
        written.map_err(Refused::Disk)?;
        self.put(key, kept, Instant::now(), self.0.first);
        Ok(())
    }

    fn put(&self, key: Key, kept: Kept, at: Instant, pause: Duration) {
        self.due().insert(key, Due { kept, at, pause });
        self.0.arrived.notify_one();
    }

    /// The next one that is due, or when it will be.
    fn next(&self) -> Result<(Key, Kept, Duration), Option<Instant>> {
        let due = self.due();
        let Some((key, first)) = due.iter().min_by_key(|(_, due)| due.at) else {
            return Err(None);
        };
        if first.at > Instant::now() {
            return Err(Some(first.at));
        }
        Ok((key.clone(), first.kept.clone(), first.pause))
    }
}

pub(crate) struct Work<'a> {
    start: &'a Start<Settings>,
    receiver: &'a Receiver,
    outbox: &'a Outbox,
    jenkins: Jenkins,
    desk: Desk,
}

/// What becomes of a notification.
enum After {
    Done,
    Again,
}

impl<'a> Work<'a> {
    pub(crate) async fn new(
        start: &'a Start<Settings>,
        receiver: &'a Receiver,
        outbox: &'a Outbox,
    ) -> Result<Self, Failure> {
        let jenkins = Jenkins::new(receiver.jenkins.clone(), start.world.clone());
        let jenkins = jenkins.map_err(|wrong| Failure::Settings(format!("receiver.{wrong}")))?;
        let (book, kept) = Book::open(&start.world, &receiver.state).await?;
        let first = Duration::from_millis(receiver.poll_first_ms);
        let desk = Desk(Arc::new(Shared {
            world: start.world.clone(),
            book,
            waiting: receiver.waiting,
            first,
            due: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            arrived: Notify::new(),
        }));
        // While nobody asked, nothing was late.
        let since = start.world.clock.now();
        for kept in kept {
            let kept = Kept { since, ..kept };
            let key = (kept.notice.job.clone(), kept.notice.number);
            desk.put(key, kept, Instant::now(), first);
        }
        Ok(Self {
            start,
            receiver,
            outbox,
            jenkins,
            desk,
        })
    }

    pub(crate) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Until the stop. One question at a time: a build is told of by two or three notifications, and answers are quick.
    pub(crate) async fn run(&self) {
        let stop = &self.start.stop;
        loop {
            let (key, kept, pause) = match self.desk.next() {
                Ok(next) => next,
                Err(at) => {
                    let due = async {
                        match at {
                            Some(at) => sleep_until(at).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return,
                        () = due => {}
                        () = self.desk.0.arrived.notified() => {}
                    }
                    continue;
                }
            };
            let mut after = kept.clone();
            let outcome = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = self.look(&mut after) => outcome,
            };
            self.settle(key, &kept, after, pause, &outcome).await;
        }
    }

    async fn settle(&self, key: Key, before: &Kept, after: Kept, pause: Duration, outcome: &After) {
        let world = &self.start.world;
        let longest = Duration::from_millis(self.receiver.poll_longest_ms);
        let _turn = self.desk.0.turn.lock().await;
        // What came in meanwhile about the same build is looked at all the same.
        let newer = self
            .desk
            .due()
            .get(&key)
            .is_some_and(|due| due.kept != *before);
        let written = match outcome {
            After::Done if !newer => self.desk.0.book.remove(world, &after.notice).await,
            After::Again if after != *before && !newer => {
                self.desk.0.book.write(world, &after).await
            }
            After::Done | After::Again => Ok(()),
        };
        if let Err(error) = written {
            tracing::error!(%error, "cannot write to the state folder; tried again");
            self.desk
                .put(key, before.clone(), Instant::now() + longest, longest);
            return;
        }
        let mut due = self.desk.due();
        match (due.get_mut(&key), outcome) {
            (Some(_), After::Done) if !newer => {
                due.remove(&key);
            }
            (Some(entry), After::Again) => {
                entry.kept.told_start |= after.told_start;
                entry.at = Instant::now() + pause;
                entry.pause = pause.mul_f64(1.5).min(longest);
            }
            (Some(entry), After::Done) => entry.kept.told_start |= after.told_start,
            (None, _) => {}
        }
    }

    /// Asks Jenkins, and tells what it says.
    async fn look(&self, kept: &mut Kept) -> After {
        let Notice { job, number, ended } = kept.notice.clone();
        let now = self.start.world.clock.now();
        let limit = Duration::from_secs(self.receiver.ask_limit_s);
        let late = now > kept.since && now.duration_since(kept.since).unsigned_abs() > limit;
        let build = match self.jenkins.build(&job, number).await {
            Ok(build) => build,
            Err(trouble) if trouble.kind() == Kind::Passing && !late => return After::Again,
            Err(trouble) => {
                if trouble.kind() == Kind::Person && !late && trouble != jenkins::Trouble::Missing {
                    tracing::warn!(%job, number, %trouble, "Jenkins cannot be asked about a notification; tried again");
                    return After::Again;
                }
                self.alarm(&job, number, &format!("was not told: Jenkins {trouble}"));
                return After::Done;
            }
        };
        match judge(&job, &build, &self.start.settings) {
            Known::Nothing(_) if build.outcome.is_none() && !late => After::Again,
            Known::Nothing(why) => {
                self.alarm(&job, number, &format!("was not told: {why}"));
                After::Done
            }
            Known::Runs(started) => {
                if !kept.told_start && self.tell(&started).await {
                    kept.told_start = true;
                }
                // A notification that it ended comes of itself; one that came too early is believed once it is true.
                match (kept.told_start, ended) {
                    (true, true) if late => {
                        let text = "was said to have ended, but still runs (receiver.ask_limit_s): its verdict is not told";
                        self.alarm(&job, number, text);
                        After::Done
                    }
                    (true, false) => After::Done,
                    _ => After::Again,
                }
            }
            Known::Ended(verdict) => {
                if self.tell(&verdict).await {
                    After::Done
                } else {
                    After::Again
                }
            }
        }
    }

    /// False if it is not safe on disk.
    async fn tell(&self, told: &Told) -> bool {
        let safe = match told {
            Told::Started(it) => self.outbox.append(it).await,
            Told::Succeeded(it) => self.outbox.append(it).await,
            Told::Failed(it) => self.outbox.append(it).await,
        };
        if let Err(error) = safe {
            tracing::error!(
                error = causes(&error),
                "a build's message waits for the outbox"
            );
            return false;
        }
        let line = told.line();
        tracing::info!("{line}");
        self.start.bus.say(told.said());
        true
    }

    fn alarm(&self, job: &JobName, number: u64, text: &str) {
        let line = format!("{job} {number} {text}");
        tracing::error!("{line}");
        let said = Said::new("not-told", line).level(Level::Alarm);
        let said = said.with("job", job).with("number", number);
        self.start.bus.say(said);
    }
}

//! Following builds: asks Jenkins what [`crate::follow`] wants to know, tells the bus, writes down.

use std::time::Duration;

use chassis::{Start, causes, outbox::Outbox};
use events::message::{Level, Said};
use futures_util::{StreamExt, stream::FuturesUnordered};
use jenkins::Jenkins;
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior, interval_at, sleep},
};

use crate::{
    Settings,
    board::Board,
    book::{Book, remembered_since},
    follow::{self, Ask, End, Followed, Next, Stage, Tell},
    plan::ID,
};

/// How often ends that are older than is remembered are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

pub(crate) struct Work<'a> {
    pub(crate) start: &'a Start<Settings>,
    pub(crate) jenkins: &'a Jenkins,
    pub(crate) book: &'a Book,
    pub(crate) board: &'a Board,
    pub(crate) outbox: &'a Outbox,
}

/// The pause between two questions; longer each time.
struct Pace {
    next: Duration,
    longest: Duration,
}

impl Pace {
    fn new(settings: &Settings) -> Self {
        let longest = Duration::from_millis(settings.poll_longest_ms);
        let first = Duration::from_millis(settings.poll_first_ms);
        Self {
            next: first.min(longest),
            longest,
        }
    }

    /// At least half of it, the rest by chance, so that many builds do not ask all at once.
    fn pause(&mut self, chance: u8) -> Duration {
        let pause = self.next.mul_f64(0.5 + f64::from(chance) / 510.0);
        self.next = self.next.mul_f64(1.5).min(self.longest);
        pause
    }
}

/// Waits; false at the stop.
pub(crate) async fn paused(start: &Start<Settings>, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = start.stop.cancelled() => false,
        () = sleep(pause) => true,
    }
}

impl Work<'_> {
    /// Follows builds, so many at once, until the stop. Where each stands is on disk.
    pub(crate) async fn run(&self) {
        let Start {
            settings,
            stop,
            status,
            ..
        } = self.start;
        let requests = Semaphore::new(settings.requests_at_once);
        let mut followed = FuturesUnordered::new();
        // Made once: however often something else happens, its time comes.
        let mut old = interval_at(Instant::now() + FORGET_EVERY, FORGET_EVERY);
        old.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            while followed.len() < settings.at_once
                && let Some(next) = self.board.take()
            {
                followed.push(self.follow(next, &requests));
            }
            tokio::select! {
                biased;
                Some(end) = followed.next() => {
                    self.board.ended(&end);
                    status.says(self.board.line());
                }
                () = stop.cancelled() => break,
                () = self.board.arrived() => {}
                _ = old.tick() => self.forget().await,
            }
        }
        while followed.next().await.is_some() {}
    }

    async fn forget(&self) {
        let world = &self.start.world;
        let until = remembered_since(world.clock.now(), self.start.settings.remembered());
        for id in self.board.forget(until) {
            if let Err(error) = self.book.remove(world, &id).await {
                tracing::warn!(id, %error, "an old build cannot be removed; at the next start again");
            }
        }
    }

    /// Until its end, or the stop. A request is cut off by the stop: what it may have done is found out at the next start.
    async fn follow(&self, mut followed: Followed, requests: &Semaphore) -> Followed {
        let Start {
            settings,
            world,
            stop,
            ..
        } = self.start;
        let limits = settings.limits();
        let mut pace = Pace::new(settings);
        if followed.stage.is_before_queue() {
            // The wait for its turn, or for this service, is no time in which Jenkins did not take it.
            followed.since = world.clock.now();
        }
        while let Some(ask) = followed.ask() {
            let stage = followed.stage.clone();
            if ask == Ask::Trigger {
                followed = followed.triggering();
                if !self.write(&followed).await {
                    return followed;
                }
            }
            let said = tokio::select! {
                biased;
                () = stop.cancelled() => return followed,
                said = self.ask(&followed, ask, requests) => said,
            };
            let before = followed.clone();
            let step = followed.hear(said, world.clock.now(), &limits);
            if !self.tell(&step.tell).await {
                followed = before;
                if !self.pause(pace.pause(self.chance())).await {
                    return followed;
                }
                continue;
            }
            if followed != before && !self.write(&followed).await {
                return followed;
            }
            if let Some((text, alarm)) = &step.line {
                self.say(&followed, text, *alarm);
            }
            if followed.stage.is_news_after(&stage) {
                pace = Pace::new(settings);
            }
            let pause = match step.next {
                Next::Now | Next::Never => continue,
                Next::Soon => pace.pause(self.chance()),
                Next::Later(least) => pace.pause(self.chance()).max(least),
            };
            if !self.pause(pause).await {
                return followed;
            }
        }
        followed
    }

    async fn ask(&self, followed: &Followed, ask: Ask, requests: &Semaphore) -> follow::Said {
        let _turn = requests.acquire().await;
        let (jenkins, wanted) = (self.jenkins, &followed.wanted);
        let job = &wanted.job;
        match ask {
            Ask::Trigger => {
                let parameters: Vec<_> = wanted.parameters.clone().into_iter().collect();
                match jenkins.trigger(job, &parameters).await {
                    Ok(item) => follow::Said::Item(item),
                    Err(trouble) => follow::Said::NotTriggered(trouble),
                }
            }
            Ask::Find(item) => {
                let found = jenkins.find(job, (ID, followed.mark()), item).await;
                found.map_or_else(follow::Said::Trouble, follow::Said::Found)
            }
            Ask::Item(item) => {
                let item = jenkins.item(item).await;
                item.map_or_else(follow::Said::Trouble, follow::Said::Queue)
            }
            Ask::Build(number) => {
                let build = jenkins.build(job, number).await;
                build.map_or_else(follow::Said::Trouble, follow::Said::Build)
            }
        }
    }

    /// False if one of them is not safe on disk; then all are told again, as the same events (`dedupkey`).
    async fn tell(&self, all: &[Tell]) -> bool {
        for tell in all {
            let safe = match tell {
                Tell::Started(it) => self.outbox.append(it).await,
                Tell::Succeeded(it) => self.outbox.append(it).await,
                Tell::Failed(it) => self.outbox.append(it).await,
            };
            if let Err(error) = safe {
                if !self.start.stop.is_cancelled() {
                    tracing::error!(
                        error = causes(&error),
                        "a build's message waits for the outbox"
                    );
                }
                return false;
            }
        }
        true
    }

    /// Tries until it is written; false at the stop.
    async fn write(&self, followed: &Followed) -> bool {
        let world = &self.start.world;
        let longest = Duration::from_millis(self.start.settings.poll_longest_ms);
        while let Err(error) = self.book.write(world, followed).await {
            tracing::error!(id = followed.wanted.id, %error, "cannot write to the state folder; tried again");
            if !self.pause(longest).await {
                return false;
            }
        }
        true
    }

    fn say(&self, followed: &Followed, text: &str, alarm: bool) {
        let wanted = &followed.wanted;
        let (repository, name, commit, job) = (
            &wanted.repository,
            &wanted.name,
            &wanted.commit,
            &wanted.job,
        );
        let line = format!("{repository} {name} {}: {job} {text}", commit.short());
        if alarm {
            tracing::error!(id = wanted.id, %commit, "{line}");
        } else {
            tracing::info!(id = wanted.id, %commit, "{line}");
        }
        let level = match followed.stage {
            _ if alarm => Level::Alarm,
            Stage::Ended { how: End::Bad(_) } => Level::Problem,
            _ => Level::Info,
        };
        let said = Said::new(followed.stage.word(), line)
            .level(level)
            .with("repository", repository)
            .with("ref", name)
            .with("commit", commit)
            .with("job", job)
            .with("project", &wanted.project)
            .with("number", followed.stage.number())
            .with("build", &wanted.id);
        self.start.bus.say(said);
    }

    async fn pause(&self, pause: Duration) -> bool {
        paused(self.start, pause).await
    }

    fn chance(&self) -> u8 {
        let mut byte = [0];
        self.start.world.entropy.fill(&mut byte);
        byte[0]
    }
}

#[cfg(test)]
mod tests;

//! Chosen lines of the feed, posted to chats.
//!
//! A relay works through the feed at its own pace, in a task of its own: what waits for a chat is in the feed, so nothing
//! else waits, and nothing fills memory. What comes while a post waits is folded into the next one. A post is sent at least
//! once: the place in the feed is noted when the chat has confirmed, so a crash in between posts it again.
//!
//! Read: `settings`, `post` (what is posted; pure), `pace` (when, and what an answer means; pure), `hook` (the posting).

mod hook;
mod measured;
mod pace;
mod post;
mod settings;

use std::time::Duration;

use chassis::causes;
use hyper::header::RETRY_AFTER;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use world::World;

pub use measured::Measured;
pub use pace::{Next, Outcome, Pace, outcome, why};
pub use post::Post;
pub use settings::{Form, RelaySettings};

use crate::feed::{Feed, FeedError, Wanted};
use hook::Hook;

/// How long a line waits for others that are to be posted with it.
const GATHER: Duration = Duration::from_secs(1);
/// The wait after the feed could not be read.
const FEED_AGAIN: Duration = Duration::from_secs(30);
/// Lines that are looked at together.
const CHUNK: usize = 500;

/// One relay.
#[derive(Debug)]
pub(crate) struct Relay {
    name: String,
    settings: RelaySettings,
    wanted: Wanted,
    hook: Hook,
    feed: Feed,
    world: World,
    measured: Measured,
}

impl Relay {
    /// Reads its files.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub(crate) fn new(
        name: &str,
        settings: &RelaySettings,
        feed: &Feed,
        world: &World,
        measured: &Measured,
    ) -> Result<Self, String> {
        measured.show(name);
        Ok(Self {
            name: name.to_owned(),
            wanted: settings.wanted(),
            hook: Hook::read(name, settings, world)?,
            settings: settings.clone(),
            feed: feed.clone(),
            world: world.clone(),
            measured: measured.clone(),
        })
    }

    /// Posts until the stop. A post that is on its way then may arrive, and comes again after the next start.
    pub(crate) async fn run(self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        loop {
            match self.go_on().await {
                Ok(()) => return,
                Err(error) => {
                    let error = causes(&error);
                    tracing::error!(
                        relay = self.name,
                        error,
                        "a relay cannot read the feed; tried again"
                    );
                    sleep(FEED_AGAIN).await;
                }
            }
        }
    }

    fn place(&self) -> String {
        format!("relay.{}", self.name)
    }

    async fn go_on(&self) -> Result<(), FeedError> {
        let mut changes = self.feed.changes();
        let mut position = match self.feed.position(&self.place()).await? {
            Some(position) => position,
            None => {
                // A new relay does not begin with what is long past.
                let newest = *changes.borrow();
                self.feed.set_position(&self.place(), newest).await?;
                newest
            }
        };
        let mut unnoted = false;
        let mut not_before = Instant::now();
        let mut pace = Pace::default();
        let mut told = None;
        loop {
            if changes.wait_for(|newest| *newest > position).await.is_err() {
                return Ok(());
            }
            sleep_until(not_before.max(Instant::now() + GATHER)).await;
            let (post, upto) = self.gather(position).await?;
            if post.is_empty() {
                position = upto;
                self.note(position, &mut unnoted).await;
                continue;
            }
            self.measured.waiting(&self.name, post.count());
            let (outcome, why) = self.post(&post).await;
            let least = Duration::from_secs(60) / self.settings.per_minute;
            let next = pace.next(outcome, least);
            self.tell(&mut told, outcome, next, why);
            match next {
                Next::On(pause) => {
                    self.measured.posted(&self.name, &post);
                    position = upto;
                    not_before = Instant::now() + pause;
                }
                Next::GiveUp(pause) => {
                    let lost = post.count() + post.forgotten;
                    self.measured.given_up(&self.name, lost);
                    position = upto;
                    not_before = Instant::now() + pause;
                }
                Next::Again(pause) => {
                    not_before = Instant::now() + pause;
                    continue;
                }
            }
            self.measured.waiting(&self.name, 0);
            self.note(position, &mut unnoted).await;
        }
    }

    /// Notes its place in the feed, also past lines that nobody wants: after a restart the feed may have forgotten them. It is known in
    /// memory too, so that a disk that fails does not post the same again; that it fails is said once.
    async fn note(&self, position: u64, unnoted: &mut bool) {
        let relay = &self.name;
        match self.feed.set_position(&self.place(), position).await {
            Ok(()) if std::mem::take(unnoted) => {
                tracing::info!(relay, "its place is noted again");
            }
            Ok(()) => {}
            Err(error) => {
                let error = causes(&error);
                if std::mem::replace(unnoted, true) {
                    return tracing::debug!(relay, error, "its place is still not noted");
                }
                tracing::error!(
                    relay,
                    error,
                    "its place is not noted; after a restart lines may be posted twice"
                );
            }
        }
    }

    /// All that waits, as one post, and up to which line that is.
    async fn gather(&self, position: u64) -> Result<(Post, u64), FeedError> {
        let mut post = Post {
            forgotten: self.feed.forgotten_after(position).await?,
            ..Post::default()
        };
        let mut seen = position;
        loop {
            let view = self.feed.after(&self.wanted, seen, CHUNK).await?;
            let more = view.lines.len() == CHUNK;
            seen = view.newest;
            for line in view.lines {
                post.add(line, self.settings.lines_per_post);
            }
            if !more {
                return Ok((post, seen));
            }
        }
    }

    async fn post(&self, post: &Post) -> (Outcome, Option<String>) {
        let body = post.body(self.settings.form, &self.name);
        match self.hook.post(&self.world, body).await {
            Ok(answer) => {
                let after = answer.headers.get(RETRY_AFTER);
                let after = after.and_then(|it| it.to_str().ok());
                let outcome = outcome(answer.status, after);
                let why =
                    (outcome != Outcome::Taken).then(|| format!("it answers {}", answer.status));
                (outcome, why)
            }
            Err(failed) => (Outcome::Later(None), Some(why(&failed))),
        }
    }

    /// Trouble is said when it begins, when it is another one, and when it is over.
    fn tell(&self, told: &mut Option<String>, outcome: Outcome, next: Next, why: Option<String>) {
        let relay = &self.name;
        let Some(why) = why else {
            if told.take().is_some() {
                tracing::info!(relay, "its chat takes lines again");
            }
            return;
        };
        if told.as_ref() == Some(&why) && !matches!(next, Next::GiveUp(_)) {
            return tracing::debug!(relay, why, "not posted yet");
        }
        match (outcome, next) {
            (_, Next::GiveUp(_)) => {
                tracing::error!(
                    relay,
                    why,
                    "lines are given up: the chat does not take them"
                );
            }
            (Outcome::Gone(_), _) => {
                tracing::error!(
                    relay,
                    why,
                    "the webhook is not there or not allowed: mend its url_file and start again; lines wait"
                );
            }
            _ => tracing::warn!(relay, why, "not posted yet; tried again, and lines wait"),
        }
        *told = Some(why);
    }
}

//! A build from the wish to its end: what to ask Jenkins next, and what its answer means. No I/O: a fold over answers, with
//! the time as an argument. What is written to disk is [`Followed`], after each change and before the next request.

mod words;

use std::time::Duration;

use events::message::{BuildResult, Built, CiFailed, CiStarted, CiSucceeded};
use jenkins::{Build, Found, Item, Kind, Trouble};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use words::{Ask, End, Next, Said, Stage, Step, Tell};

use crate::{
    plan::{ID, Wanted},
    settings::Limits,
};

/// The longest pause before a look at what Jenkins names and does not have.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// A build and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// What is built.
    pub wanted: Wanted,
    /// Where it stands.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
    /// How often it vanished and was triggered again.
    #[serde(default)]
    pub again: u32,
    /// Since when Jenkins names it when it is looked for, but does not have it when it is asked for.
    #[serde(default)]
    pub gone_since: Option<Timestamp>,
    /// The bus knows that it began.
    #[serde(default)]
    pub told_start: bool,
    /// A person was told that something has to be mended.
    #[serde(default)]
    pub alarmed: bool,
}

impl Followed {
    /// A new one. A commit that is announced again has a new mark, so that the build of its last round is not taken for this one.
    #[must_use]
    pub fn new(mut wanted: Wanted, now: Timestamp) -> Self {
        let mark = format!("{}-{}", wanted.id, now.as_millisecond());
        wanted.parameters.insert(ID.to_owned(), mark);
        Self {
            wanted,
            stage: Stage::Wanted,
            since: now,
            again: 0,
            gone_since: None,
            told_start: false,
            alarmed: false,
        }
    }

    /// By which it is found among Jenkins' builds.
    #[must_use]
    pub fn mark(&self) -> &str {
        let mark = self.wanted.parameters.get(ID);
        mark.unwrap_or(&self.wanted.id)
    }

    /// What to ask next; none at its end.
    #[must_use]
    pub fn ask(&self) -> Option<Ask> {
        match self.stage {
            Stage::Wanted => Some(Ask::Trigger),
            Stage::Triggered => Some(Ask::Find(None)),
            Stage::Queued { item } => Some(Ask::Item(item)),
            Stage::Lost { item } => Some(Ask::Find(item)),
            Stage::Building { number } => Some(Ask::Build(number)),
            Stage::Ended { .. } => None,
        }
    }

    /// To be written before a trigger leaves: whatever happens then, it is looked for first.
    #[must_use]
    pub fn triggering(&self) -> Self {
        Self {
            stage: Stage::Triggered,
            ..self.clone()
        }
    }

    /// Takes in an answer to what [`Followed::ask`] asked.
    pub fn hear(&mut self, said: Said, now: Timestamp, limits: &Limits) -> Step {
        if matches!(said, Said::Queue(_) | Said::Build(_)) {
            self.gone_since = None;
        }
        let step = match said {
            Said::NotTriggered(trouble) => {
                if !trouble.may_have_arrived() {
                    self.stage = Stage::Wanted;
                }
                return self.trouble(&trouble, now, limits);
            }
            Said::Trouble(trouble) => return self.trouble(&trouble, now, limits),
            Said::Found(Some(found)) => self.found(found, now, limits),
            Said::Found(None) if self.stage == Stage::Triggered => {
                // The trigger did not arrive; its limit goes on, and so does what a person was told.
                self.stage = Stage::Wanted;
                return Step::quiet(Next::Now);
            }
            Said::Found(None) => self.not_found(now, limits),
            Said::Item(item) => self.queued(item, now),
            Said::Queue(Item::Started(number)) => self.building(number, now),
            Said::Queue(Item::Cancelled) => self.end(
                End::Cancelled,
                "was taken out of Jenkins' queue".to_owned(),
                true,
                now,
            ),
            Said::Queue(Item::Waiting { why, stuck }) => self.waiting(&why, stuck, now, limits),
            Said::Build(build) => return self.built(&build, now, limits),
        };
        if !matches!(step.line, Some((_, true))) {
            self.alarmed = false;
        }
        step
    }

    fn queued(&mut self, item: u64, now: Timestamp) -> Step {
        self.go(Stage::Queued { item }, now);
        let text = format!("is in Jenkins' queue as item {item}");
        Step {
            line: Some((text, false)),
            ..Step::quiet(Next::Soon)
        }
    }

    fn building(&mut self, number: u64, now: Timestamp) -> Step {
        self.go(Stage::Building { number }, now);
        Step::quiet(Next::Now)
    }

    /// It may be named only: Jenkins lists a build whose page is gone, and an item that has left. Each look that finds it so comes as
    /// late again as all before it, until the limit.
    fn found(&mut self, found: Found, now: Timestamp, limits: &Limits) -> Step {
        let gone = self.gone_since.map(|since| passed(since, now));
        if gone.is_some_and(|gone| gone > limits.queue) {
            let text = "was given up: Jenkins names it, but does not have it (queue_limit_s)";
            return self.give_up(text.to_owned(), now);
        }
        let step = match found {
            Found::Item(item) => self.queued(item, now),
            Found::Build(number) => self.building(number, now),
        };
        match gone {
            Some(gone) => Step::quiet(Next::Later(gone.min(LONGEST_LOOK))),
            None => step,
        }
    }

    fn waiting(&mut self, why: &str, stuck: bool, now: Timestamp, limits: &Limits) -> Step {
        if self.over(limits.queue, now) {
            let text = format!("waited too long in Jenkins' queue (queue_limit_s): {why}");
            return self.give_up(text, now);
        }
        if stuck && !self.alarmed {
            self.alarmed = true;
            return Step {
                line: Some((format!("is stuck in Jenkins' queue: {why}"), true)),
                ..Step::quiet(Next::Soon)
            };
        }
        Step::quiet(Next::Soon)
    }

    /// Neither in the queue nor among the newest builds.
    fn not_found(&mut self, now: Timestamp, limits: &Limits) -> Step {
        if self.again >= limits.again {
            let text = format!("vanished from Jenkins {} times (again)", self.again + 1);
            return self.give_up(text, now);
        }
        self.again += 1;
        self.gone_since = None;
        self.told_start = false;
        self.go(Stage::Wanted, now);
        Step {
            line: Some((
                "vanished from Jenkins and is triggered again".to_owned(),
                false,
            )),
            ..Step::quiet(Next::Now)
        }
    }

    fn trouble(&mut self, trouble: &Trouble, now: Timestamp, limits: &Limits) -> Step {
        let (limit, key) = match self.stage {
            Stage::Wanted | Stage::Triggered => (limits.trigger, "trigger_limit_s"),
            Stage::Queued { .. } | Stage::Lost { .. } => (limits.queue, "queue_limit_s"),
            Stage::Building { .. } | Stage::Ended { .. } => (limits.build, "build_limit_s"),
        };
        match (&self.stage, trouble) {
            // What is gone is looked for, with the time for that; a job that is gone shows in that.
            (Stage::Queued { item }, Trouble::Missing) => {
                return self.lost(Some(*item), now);
            }
            (Stage::Building { .. }, Trouble::Missing) => return self.lost(None, now),
            _ => {}
        }
        if trouble.kind() == Kind::Final {
            return self.give_up(format!("was given up: Jenkins {trouble}"), now);
        }
        if self.over(limit, now) {
            return self.give_up(format!("was given up ({key}): Jenkins {trouble}"), now);
        }
        let mut step = Step::quiet(Next::Later(trouble.wait().unwrap_or_default()));
        if trouble.kind() == Kind::Person && !self.alarmed {
            self.alarmed = true;
            step.line = Some((format!("waits for a person: Jenkins {trouble}"), true));
        }
        step
    }

    fn lost(&mut self, item: Option<u64>, now: Timestamp) -> Step {
        self.gone_since.get_or_insert(now);
        self.go(Stage::Lost { item }, now);
        Step::quiet(Next::Now)
    }

    fn built(&mut self, build: &Build, now: Timestamp, limits: &Limits) -> Step {
        self.alarmed = false;
        let wanted = &self.wanted;
        let took = build.parameters.get("DEPLOYKIT_COMMIT").map(String::as_str);
        let ours = build.commits.contains(&wanted.commit)
            || (build.commits.is_empty() && took == Some(wanted.commit.as_str()));
        let number = build.number;
        let mut step = Step::quiet(Next::Soon);
        if ours && !self.told_start {
            let build = self.named(build);
            step.tell.push(Tell::Started(CiStarted { build }));
            self.told_start = true;
            step.line = Some((format!("began as {number}"), false));
        }
        let Some(outcome) = build.outcome else {
            if self.over(limits.build, now) {
                let text = format!(
                    "runs too long in Jenkins, as {} (build_limit_s)",
                    build.number
                );
                return self.give_up(text, now);
            }
            return step;
        };
        if !ours {
            return self.other(build, now);
        }
        let named = self.named(build);
        let (how, text) = match outcome.verdict(self.wanted.unstable_is_good) {
            Ok(()) => {
                step.tell
                    .push(Tell::Succeeded(CiSucceeded { build: named }));
                (End::Good, format!("succeeded as {number}"))
            }
            Err(result) => {
                step.tell.push(Tell::Failed(CiFailed {
                    build: named,
                    result,
                }));
                (
                    End::Bad(result),
                    format!("failed as {number}: {}", word(result)),
                )
            }
        };
        let end = self.end(how, text, false, now);
        Step {
            tell: step.tell,
            ..end
        }
    }

    /// A verdict is only about what Jenkins says it built.
    fn other(&mut self, build: &Build, now: Timestamp) -> Step {
        let number = build.number;
        match build.commits.first() {
            Some(commit) => {
                let text = format!(
                    "was not built: build {number} checked out {}",
                    commit.short()
                );
                self.end(End::Other(commit.clone()), text, true, now)
            }
            None => {
                let text = format!(
                    "has no verdict: build {number} neither checked out a commit nor took DEPLOYKIT_COMMIT"
                );
                self.give_up(text, now)
            }
        }
    }

    fn named(&self, build: &Build) -> Built {
        let Wanted {
            repository,
            name,
            commit,
            project,
            job,
            ..
        } = self.wanted.clone();
        Built {
            repository,
            name: Some(name),
            commit,
            project,
            job,
            number: build.number,
            url: build.url.clone(),
        }
    }

    fn give_up(&mut self, text: String, now: Timestamp) -> Step {
        self.end(End::GivenUp(text.clone()), text, true, now)
    }

    fn end(&mut self, how: End, text: String, alarm: bool, now: Timestamp) -> Step {
        self.go(Stage::Ended { how }, now);
        Step {
            line: Some((text, alarm)),
            ..Step::quiet(Next::Never)
        }
    }

    fn go(&mut self, stage: Stage, now: Timestamp) {
        self.stage = stage;
        self.since = now;
    }

    fn over(&self, limit: Duration, now: Timestamp) -> bool {
        passed(self.since, now) > limit
    }
}

/// A clock that was set back makes no time pass.
fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

fn word(result: BuildResult) -> &'static str {
    match result {
        BuildResult::Unstable => "unstable",
        BuildResult::Failure => "failure",
        BuildResult::NotBuilt => "not built",
        BuildResult::Aborted => "aborted",
    }
}

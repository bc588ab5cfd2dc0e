//! What a person at the host asks of a project.

use events::message::{Phase, Reported};
use orders::Admitted;
use tokio::sync::oneshot;

use super::{Project, Seen, Stopped};
use crate::{
    local::{Entry, Standing},
    machine::{
        State, What,
        here::asked_here,
        record::AtHost,
        report::{Whose, presence, report},
    },
};

/// A question or a request, with where its answer goes.
#[derive(Debug)]
pub enum Ask {
    /// How it stands.
    Standing(oneshot::Sender<Standing>),
    /// Its newest orders, newest first; at most so many.
    History(usize, oneshot::Sender<Vec<Entry>>),
    /// To roll back, or to clear.
    Do(Phase, Box<AtHost>, oneshot::Sender<Result<Seen, String>>),
    /// A believed order that did not come by the bus.
    Order(Box<Admitted>, oneshot::Sender<Result<Seen, String>>),
}

impl Project {
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<(), Stopped> {
        // Whoever asked may have gone; then nobody needs the answer.
        match ask {
            Ask::Standing(to) => drop(to.send(self.standing())),
            Ask::History(most, to) => drop(to.send(history(&self.state, &self.whose, most))),
            Ask::Do(phase, who, to) => drop(to.send(self.begin_here(phase, *who).await?)),
            Ask::Order(admitted, to) => drop(to.send(Ok(self.order_here(&admitted).await?))),
        }
        self.end_if_cut();
        Ok(())
    }

    fn standing(&self) -> Standing {
        let environment = self.site.settings.environment.clone();
        standing(&self.state, &self.whose, environment)
    }

    /// Writes down what a person at the host asks for, as an order of its own.
    pub(super) async fn begin_here(
        &mut self,
        phase: Phase,
        who: AtHost,
    ) -> Result<Result<Seen, String>, Stopped> {
        let (id, now) = (self.site.world.new_id(), self.site.world.clock.now());
        let asked = asked_here(&self.state, phase, who, id, &self.whose.host, now);
        let task = match self.task_for(&asked).await? {
            Ok(task) => task,
            Err(reason) => return Ok(Err(reason)),
        };
        let seen = self.watchers.watch(id);
        tracing::warn!(project = %self.whose.project, %phase, by = asked.by.join(", "), "asked for at the host");
        let what = What::Accepted { order: asked, task };
        self.record(what).await?;
        Ok(Ok(seen))
    }

    pub(super) async fn order_here(&mut self, admitted: &Admitted) -> Result<Seen, Stopped> {
        let seen = self.watchers.watch(admitted.order.id);
        self.order(admitted).await?;
        Ok(seen)
    }

    /// Has one thing done to its end, where no agent is running. What that agent left is finished or undone before it.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn carry_out(
        mut self,
        what: Alone,
        mut each: impl FnMut(&Reported),
    ) -> Result<Reported, String> {
        let ended = "it was stopped; the agent goes on with it when it is started";
        let stopped = |Stopped| ended.to_owned();
        let mut seen = match what {
            Alone::Do(phase, who) => self.begin_here(phase, *who).await.map_err(stopped)??,
            Alone::Order(admitted) => self.order_here(&admitted).await.map_err(stopped)?,
        };
        loop {
            let report = seen.borrow_and_update().clone();
            if let Some(report) = report {
                each(&report);
                if report.state.is_final() {
                    return Ok(report);
                }
            }
            while !seen.has_changed().unwrap_or(true) {
                self.next().await.map_err(stopped)?;
            }
        }
    }
}

/// What is done where no agent is running.
#[derive(Debug)]
pub enum Alone {
    /// To roll back, or to clear.
    Do(Phase, Box<AtHost>),
    /// A believed order.
    Order(Box<Admitted>),
}

/// How a project stands.
#[must_use]
pub fn standing(state: &State, whose: &Whose, environment: events::EnvironmentName) -> Standing {
    let doing = state.current().map(|job| entry(state, whose, job));
    Standing {
        environment,
        state: presence(state, &whose.project),
        doing,
    }
}

/// The newest orders, newest first.
#[must_use]
pub fn history(state: &State, whose: &Whose, most: usize) -> Vec<Entry> {
    let newest = state.orders.iter().rev().take(most);
    newest.map(|known| entry(state, whose, known)).collect()
}

fn entry(state: &State, whose: &Whose, known: &crate::machine::Known) -> Entry {
    Entry {
        since: known.since,
        tag: known.asked.tag.clone(),
        commit: known.asked.commit.clone(),
        by: known.asked.by.clone(),
        reason: known
            .asked
            .at_host
            .as_ref()
            .and_then(|who| who.reason.clone()),
        report: report(state, known, whose),
    }
}

//! Messages from the bus: reports, hints, output.

use chassis::{Delivery, Failure, causes};
use events::{
    Envelope, OpenError,
    message::{CiAsked, CiStarted, Fetched, Present, Reported, ScriptOutput},
};

use super::{Orchestrator, verdicts::Commits};
use crate::{ci::Said, rollout::Input, told};
use anyhow::Context as _;

impl Orchestrator {
    /// Reports change rollouts: all of a batch is stored, then acknowledged.
    pub(super) async fn reports(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        let mut taken = Vec::new();
        for delivery in batch {
            match open(&delivery, |envelope| envelope.open::<Reported>()) {
                Ok((report, sent)) => {
                    self.report(report, sent).await?;
                    taken.push(delivery);
                }
                Err(cause) => self.put_aside(delivery, cause),
            }
        }
        self.commit().await?;
        for delivery in taken {
            delivery.ack().await;
        }
        Ok(())
    }

    async fn report(&mut self, report: Reported, sent: jiff::Timestamp) -> Result<(), Failure> {
        let now = self.now();
        let expected = self
            .running
            .get(&report.deploy)
            .map(|deploy| deploy.rollout.hosts.contains_key(&report.host));
        if expected == Some(false) {
            tracing::warn!(deploy = %report.deploy, host = %report.host, "a host reports on a deploy that it is no target of");
            return Ok(());
        }
        if let Some(copy) = &report.unbelieved
            && !self.was_sent(&report, copy)
        {
            tracing::warn!(host = %report.host, order = %report.order, "a host does not believe a copy of an order that was not sent from here");
            self.said.push(told::forged(&report));
            return Ok(());
        }
        self.known.reported(&report, sent, now);
        let settings = &self.parts.settings;
        if let Some(trouble) = self.known.journal(&report, sent, now, settings) {
            tracing::error!(host = %report.host, project = %report.project, "{trouble}");
            self.said.push(told::journal(&report, &trouble));
        }
        self.met.insert(report.host.clone());
        if expected.is_some() {
            self.feed(report.deploy, Input::Report(Box::new(report)));
            return Ok(());
        }
        // The end of it is past, but what a host says late is still the truth about that host.
        let mut unsaved = self.changes.rollouts.iter_mut();
        if let Some(rollout) = unsaved.find(|rollout| rollout.deploy == report.deploy) {
            rollout.step(now, Input::Report(Box::new(report)));
            return Ok(());
        }
        let id = report.deploy.to_string();
        let found = self
            .parts
            .store
            .find(&id)
            .await
            .context("cannot look a deploy up")?;
        if let Some(mut deploy) = found.into_iter().next()
            && !deploy
                .rollout
                .step(now, Input::Report(Box::new(report)))
                .is_empty()
        {
            self.changes.rollouts.push(deploy.rollout);
        }
        Ok(())
    }

    /// True if the message that the host does not believe is the one that was sent, whole, and no forged copy.
    fn was_sent(&self, report: &Reported, copy: &str) -> bool {
        let key = (report.deploy, report.host.clone(), report.phase);
        self.orders.get(&key).is_some_and(|stored| {
            stored.id == report.order && orders::copy_digest(&stored.ordered) == *copy
        })
    }

    /// Hints change what is known; they may wait a moment for being stored.
    pub(super) async fn hints(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        let mut asked = Commits::new();
        for delivery in batch {
            match hint(&delivery) {
                Ok((Hint::Present(present), sent)) => {
                    let (now, limit) = (self.now(), self.scene().limit());
                    if self.known.has_room_for(&present.host, &self.parts.settings) {
                        self.met.insert(present.host.clone());
                        self.known.present(present, sent, now, limit);
                    } else {
                        tracing::warn!(host = %present.host, "too many hosts that nobody admitted; one more is not taken down");
                    }
                    delivery.ack().await;
                }
                Ok((Hint::Fetched(mut fetched), _)) => {
                    fetched.repository =
                        self.parts.settings.repository(&fetched.repository).clone();
                    self.changes.refs.push(fetched.clone());
                    self.known.fetched(fetched, &self.parts.settings);
                    delivery.ack().await;
                }
                Ok((Hint::Started(started), sent)) => {
                    self.heard_of_build(&started.build, Said::Started, sent);
                    self.forget_builds();
                    delivery.ack().await;
                }
                Ok((Hint::Asked(question), _)) => {
                    Self::asked_for_verdicts(question, &mut asked);
                    delivery.ack().await;
                }
                Err(cause) => self.put_aside(delivery, cause),
            }
        }
        let answers = self.answers(asked);
        self.sender.answer(answers, Vec::new());
        self.flush_soon();
        self.bump();
        Ok(())
    }

    pub(super) async fn output_pieces(&mut self, batch: Vec<Delivery>) -> Result<(), Failure> {
        for delivery in batch {
            match open(&delivery, |envelope| envelope.open::<ScriptOutput>()) {
                Ok((piece, _)) => {
                    self.changes.output.push(piece);
                    delivery.ack().await;
                }
                Err(cause) => self.put_aside(delivery, cause),
            }
        }
        self.flush_soon();
        Ok(())
    }

    pub(super) fn put_aside(&mut self, delivery: Delivery, cause: String) {
        tracing::warn!(
            from = delivery.destination(),
            cause,
            "a message that cannot be used is put aside"
        );
        self.sender.put_aside(delivery, cause);
    }
}

enum Hint {
    Present(Present),
    Fetched(Fetched),
    Started(CiStarted),
    Asked(CiAsked),
}

fn hint(delivery: &Delivery) -> Result<(Hint, jiff::Timestamp), String> {
    open(delivery, |envelope| {
        if envelope.is::<Fetched>() {
            envelope.open().map(Hint::Fetched)
        } else if envelope.is::<CiStarted>() {
            envelope.open().map(Hint::Started)
        } else if envelope.is::<CiAsked>() {
            envelope.open().map(Hint::Asked)
        } else {
            envelope.open().map(Hint::Present)
        }
    })
}

pub(super) fn open<T>(
    delivery: &Delivery,
    open: impl Fn(&Envelope) -> Result<T, OpenError>,
) -> Result<(T, jiff::Timestamp), String> {
    let envelope = delivery.envelope().map_err(|error| causes(error))?;
    let payload = open(envelope).map_err(|error| causes(&error))?;
    Ok((payload, envelope.time))
}

//! What a project hears: orders, and that its reports were confirmed.

use events::message::{Phase, Reported, State as Stands};
use jiff::SignedDuration;
use orders::{Action, Admitted, Refusal};
use uuid::Uuid;

use super::{Claimed, Mail, Project, Stopped};
use crate::{
    layout::Layout,
    machine::{Asked, Ground, Task, What, accept, report::Whose},
};

impl Project {
    pub(super) async fn hear(&mut self, mail: Mail) -> Result<(), Stopped> {
        match mail {
            Mail::Order(admitted, settled) => {
                self.order(&admitted).await?;
                // The delivery is gone if nobody waits: the broker brings it again, and it is known then.
                let _gone = settled.send(());
                self.end_if_cut();
                Ok(())
            }
            Mail::Unbelieved(claimed, settled) => {
                // An order that is known has its answer; nobody can change that by a forged copy.
                if self.state.known(claimed.order).is_none() {
                    let Claimed {
                        order,
                        deploy,
                        phase,
                        reason,
                        copy,
                    } = *claimed;
                    self.answer(order, deploy, phase, reason, Some(copy));
                }
                let _gone = settled.send(());
                Ok(())
            }
            Mail::Asked(ask) => self.ask(*ask).await,
            Mail::Told(order) => match self.state.known(order) {
                Some(known) if known.verdict.is_some() && !known.told => {
                    self.record(What::Told { order }).await
                }
                _ => Ok(()),
            },
        }
    }

    /// Refuses without a trace in the journal.
    fn answer(
        &mut self,
        order: Uuid,
        deploy: Uuid,
        phase: Phase,
        reason: String,
        unbelieved: Option<String>,
    ) {
        let refused = refused(&self.whose, order, deploy, phase, reason);
        let live = self.state.live.clone();
        let previous = self.state.previous().cloned();
        let report = Reported {
            head: Some(self.journal.head()),
            unbelieved,
            live,
            previous,
            ..refused
        };
        self.say(report);
    }

    pub(super) async fn order(&mut self, admitted: &Admitted) -> Result<(), Stopped> {
        let asked = asked(admitted, self.skew);
        if self.state.known(asked.order).is_some() {
            self.tell(asked.order);
            return Ok(());
        }
        let (here, found) = (&self.site.settings.environment, &admitted.order.environment);
        if here != found {
            let reason = format!("this host is {here}, the order is for {found}");
            self.answer(asked.order, asked.deploy, asked.phase, reason, None);
            return Ok(());
        }
        let marks = self.state.marks(&admitted.signer);
        let now = self.site.world.clock.now();
        match admitted.timely(marks, now, self.skew) {
            Ok(()) => {}
            // Would be taken if it came again later, so it must be known then.
            Err(
                refusal @ (Refusal::NotYetValid { .. }
                | Refusal::ClockSkew { .. }
                | Refusal::BeyondTime { .. }
                | Refusal::Frozen(_)),
            ) => {
                let reason = refusal.to_string();
                return self
                    .record(What::Untimely {
                        order: asked,
                        reason,
                    })
                    .await;
            }
            Err(refusal) => {
                let reason = refusal.to_string();
                self.answer(asked.order, asked.deploy, asked.phase, reason, None);
                return Ok(());
            }
        }
        let what = match self.task_for(&asked).await? {
            Ok(task) => What::Accepted { order: asked, task },
            Err(reason) => What::Refused {
                order: asked,
                reason,
            },
        };
        self.record(what).await
    }

    /// What it comes to here, or why not.
    pub(super) async fn task_for(
        &mut self,
        asked: &Asked,
    ) -> Result<Result<Task, String>, Stopped> {
        if self.state.queue.is_empty()
            && let Err(reason) = self.see_live().await?
        {
            return Ok(Err(reason));
        }
        let (layout, scripts) = (self.site.layout.clone(), self.site.scripts.clone());
        let (plans, settings) = (self.state.plans.clone(), self.site.settings.clone());
        let ground = self
            .site
            .world
            .on_disk(move |disk| scripts.ground(disk, &layout, &settings, &plans))
            .await;
        let ground: Ground = match ground {
            Ok(ground) => ground,
            Err(error) => return Ok(Err(format!("the releases cannot be read: {error}"))),
        };
        let now = self.site.world.clock.now();
        Ok(accept(&self.state, asked, &ground, &self.whose, now))
    }

    /// Notices that somebody changed `live` by hand. A change to a known release is taken as it is.
    async fn see_live(&mut self) -> Result<Result<(), String>, Stopped> {
        let layout: Layout = self.site.layout.clone();
        let found = match self.site.world.on_disk(move |disk| layout.live(disk)).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let known = self.state.live.as_ref().map(|live| live.release.clone());
        if found == known {
            return Ok(Ok(()));
        }
        let text = |release: Option<&String>| release.map_or("nothing", String::as_str).to_owned();
        let project = self.whose.project.as_str();
        let (is, was) = (text(found.as_ref()), text(known.as_ref()));
        tracing::warn!(project, is, was, "somebody else changed what is live");
        match found.filter(|found| self.state.releases.contains_key(found)) {
            Some(live) => self.record(What::Seen { live }).await.map(Ok),
            None => {
                let live = self.site.layout.folder().join("live");
                let live = live.display();
                let mend = match known {
                    Some(known) => format!("ln -sfn releases/{known} {live}"),
                    None => format!("rm {live}"),
                };
                Ok(Err(format!(
                    "live leads to {is}, the journal says {was}: put it right with {mend}"
                )))
            }
        }
    }
}

/// The parts of a believed order that are kept.
fn asked(admitted: &Admitted, skew: SignedDuration) -> Asked {
    let (order, grant) = (&admitted.order, &admitted.grant);
    Asked {
        order: order.id,
        deploy: order.deploy,
        phase: order.phase,
        undo: order.phase == Phase::Rollback && grant.action == Action::Deploy,
        undoes: admitted
            .undone()
            .filter(|_| grant.action == Action::Rollback),
        commit: order.commit.clone().or_else(|| grant.commit.clone()),
        tag: order.tag.clone().or_else(|| grant.tag.clone()),
        branch: grant.branch.clone(),
        wave: order.wave,
        signer: admitted.signer.clone(),
        sequence: order.sequence,
        epoch: order.epoch,
        grant: order.grant.clone(),
        by: admitted.by.clone(),
        broke_glass: admitted.broke_glass.clone(),
        clears: grant.clears.clone(),
        at_host: None,
        seen_until: grant.not_before.checked_add(skew).ok(),
        expires: order.expires,
    }
}

/// A refusal of an order of which nothing is kept.
#[must_use]
pub fn refused(whose: &Whose, order: Uuid, deploy: Uuid, phase: Phase, reason: String) -> Reported {
    Reported {
        host: whose.host.clone(),
        project: whose.project.clone(),
        order,
        deploy,
        phase,
        number: 1,
        state: Stands::Refused { reason },
        steps: Vec::new(),
        live: None,
        previous: None,
        broke_glass: None,
        head: None,
        unbelieved: None,
    }
}

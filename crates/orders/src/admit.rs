//! Everything an agent checks before it believes an order.

use events::{
    HostName,
    message::{Ordered, Phase},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Action, Frozen, Grant, Keyring, Order, Policy, Refusal, Standing, Verified, targets_digest,
};

/// The highest sequence that a host has accepted of one orchestrator for a project, and the highest epoch that it has accepted of any.
/// Kept durably, before an order is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Marks {
    /// Of orders.
    pub sequence: u64,
    /// Of the orchestrator's lease.
    pub epoch: u64,
}

impl Marks {
    /// The marks once `order` is accepted.
    #[must_use]
    pub fn raised_by(self, order: &Order) -> Self {
        Self {
            sequence: self.sequence.max(order.sequence),
            epoch: self.epoch.max(order.epoch),
        }
    }
}

/// An order that an agent may carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// What to do.
    pub order: Order,
    /// What allows it.
    pub grant: Grant,
    /// Who stands behind the grant.
    pub by: Vec<String>,
    /// What they went past by breaking the glass.
    pub broke_glass: Option<String>,
    /// The freeze that holds now for what its grant allows.
    pub frozen: Option<Frozen>,
    /// The orchestrator that signed the order: the marks are those of its orders.
    pub signer: String,
}

/// Believes an order, or says why not: [`authentic`], then [`Admitted::timely`].
///
/// An agent that must answer a known order again calls the two itself and looks the order up between them.
///
/// # Errors
/// See [`Refusal`].
pub fn admit(
    ordered: &Ordered,
    host: &HostName,
    keyring: &Keyring,
    policy: &Policy,
    marks: Marks,
    now: Timestamp,
    skew: SignedDuration,
) -> Result<Admitted, Refusal> {
    let admitted = authentic(ordered, host, keyring, policy, now)?;
    admitted.timely(marks, now, skew)?;
    Ok(admitted)
}

/// Checks everything that stays true however late or often the order comes: signatures, people, host, content.
///
/// # Errors
/// See [`Refusal`].
pub fn authentic(
    ordered: &Ordered,
    host: &HostName,
    keyring: &Keyring,
    policy: &Policy,
    now: Timestamp,
) -> Result<Admitted, Refusal> {
    let order: Verified<Order> = keyring
        .verify(&ordered.order, now)
        .map_err(Refusal::Order)?;
    let Some(signer) = policy.orchestrator(&order.keys).map(str::to_owned) else {
        return Err(Refusal::NotAnOrchestrator {
            signed: order.signers,
            orchestrators: policy.orchestrators.clone(),
        });
    };
    let order = order.document;
    if order.host != *host {
        return Err(Refusal::Host {
            found: order.host,
            here: host.clone(),
        });
    }
    routed_as_signed(ordered, &order)?;
    let grant: Verified<Grant> = keyring
        .verify(&ordered.grant, now)
        .map_err(Refusal::Grant)?;
    if order.grant != grant.digest {
        return Err(Refusal::GrantDigest {
            named: order.grant,
            found: grant.digest,
        });
    }
    within(&order, &grant.document)?;
    let found = targets_digest(&ordered.targets);
    if found != grant.document.targets {
        return Err(Refusal::Targets {
            granted: grant.document.targets,
            found,
        });
    }
    if !ordered.targets.contains(host) {
        return Err(Refusal::NotATarget {
            host: host.clone(),
            count: ordered.targets.len(),
        });
    }
    let Standing {
        by,
        broke_glass,
        frozen,
    } = policy.standing(&grant, now)?;
    Ok(Admitted {
        order,
        grant: grant.document,
        by,
        broke_glass,
        frozen,
        signer,
    })
}

impl Admitted {
    /// Checks what depends on when the order comes and on what came before it.
    ///
    /// The grant's end bounds what it makes live, not what undoes that: a host is put back, and a deploy aborted, however
    /// long the rollout took.
    ///
    /// # Errors
    /// [`Refusal::ClockSkew`], [`Refusal::NotYetValid`], [`Refusal::Expired`], [`Refusal::Frozen`], [`Refusal::BeyondTime`],
    /// [`Refusal::StaleEpoch`], [`Refusal::Repeated`].
    pub fn timely(
        &self,
        marks: Marks,
        now: Timestamp,
        skew: SignedDuration,
    ) -> Result<(), Refusal> {
        let Self { order, grant, .. } = self;
        begun("order", order.issued, now, skew).map_err(|refusal| match refusal {
            Refusal::NotYetValid {
                from, ahead, skew, ..
            } => Refusal::ClockSkew {
                signer: self.signer.clone(),
                made: from,
                now,
                ahead,
                skew,
            },
            other => other,
        })?;
        not_over("order", order.expires, now, skew)?;
        begun("grant", grant.not_before, now, skew)?;
        if !self.undoes() {
            not_over("grant", grant.expires, now, skew)?;
        }
        if let Some(frozen) = self.frozen.clone().filter(|_| self.makes_live()) {
            return Err(Refusal::Frozen(frozen));
        }
        let latest = latest(now, skew);
        not_beyond("epoch", order.epoch, latest.as_second(), now)?;
        not_beyond("sequence", order.sequence, latest.as_millisecond(), now)?;
        if order.epoch < marks.epoch {
            return Err(Refusal::StaleEpoch {
                epoch: order.epoch,
                mark: marks.epoch,
            });
        }
        if order.sequence <= marks.sequence {
            return Err(Refusal::Repeated {
                sequence: order.sequence,
                mark: marks.sequence,
            });
        }
        Ok(())
    }

    fn makes_live(&self) -> bool {
        matches!(self.order.phase, Phase::Prepare | Phase::Activate)
    }

    /// The deploy that a rollback takes back, and nothing else: that of its own grant, or the one that was under way when it
    /// was asked for. `None` for one to the release before, and for all that is no rollback.
    #[must_use]
    pub fn undone(&self) -> Option<Uuid> {
        match (self.order.phase, self.grant.action) {
            (Phase::Rollback, Action::Deploy) => Some(self.order.deploy),
            (Phase::Rollback, Action::Rollback) => self.order.undoes,
            _ => None,
        }
    }

    /// True if the order takes back what its own deploy did: an abort, or a rollback under a grant to deploy. A rollback of
    /// that kind goes back only from the commit of the grant.
    #[must_use]
    pub fn undoes(&self) -> bool {
        match self.order.phase {
            Phase::Abort => true,
            Phase::Rollback => self.grant.action == Action::Deploy,
            Phase::Prepare | Phase::Activate | Phase::Clear => false,
        }
    }
}

fn begun(
    what: &'static str,
    from: Timestamp,
    now: Timestamp,
    skew: SignedDuration,
) -> Result<(), Refusal> {
    let ahead = now.duration_until(from);
    if ahead <= skew {
        return Ok(());
    }
    Err(Refusal::NotYetValid {
        what,
        from,
        now,
        ahead: ahead.as_secs(),
        skew: skew.as_secs(),
    })
}

fn not_over(
    what: &'static str,
    at: Timestamp,
    now: Timestamp,
    skew: SignedDuration,
) -> Result<(), Refusal> {
    let late = at.duration_until(now);
    if late <= skew {
        return Ok(());
    }
    Err(Refusal::Expired {
        what,
        at,
        now,
        late: late.as_secs(),
        skew: skew.as_secs(),
    })
}

/// Orders that are made, and starts, faster than the clock counts: one a millisecond, one a second.
const AHEAD: SignedDuration = SignedDuration::from_mins(1);

fn latest(now: Timestamp, skew: SignedDuration) -> Timestamp {
    let ahead = skew.saturating_add(AHEAD);
    now.saturating_add(ahead).unwrap_or(Timestamp::MAX)
}

/// Both counts begin at the time. Whoever could raise a mark far above it would lock the rightful orchestrator out for as long.
fn not_beyond(what: &'static str, found: u64, most: i64, now: Timestamp) -> Result<(), Refusal> {
    let most = u64::try_from(most).unwrap_or_default();
    if found <= most {
        return Ok(());
    }
    Err(Refusal::BeyondTime {
        what,
        found,
        most,
        now,
    })
}

/// People and tools read the outside of the message; it may not say something else than the inside.
fn routed_as_signed(ordered: &Ordered, order: &Order) -> Result<(), Refusal> {
    let differs = |what, outside: &dyn ToString, inside: &dyn ToString| {
        let (outside, inside) = (outside.to_string(), inside.to_string());
        if outside == inside {
            return Ok(());
        }
        Err(Refusal::Routing {
            what,
            outside,
            inside,
        })
    };
    differs("host", &ordered.host, &order.host)?;
    differs("project", &ordered.project, &order.project)?;
    differs("phase", &ordered.phase, &order.phase)
}

/// The order says nothing that its grant does not say.
fn within(order: &Order, grant: &Grant) -> Result<(), Refusal> {
    let beyond = |what, order: String, grant: String| Err(Refusal::Beyond { what, order, grant });
    let makes_live = matches!(order.phase, Phase::Prepare | Phase::Activate);

    if order.deploy != grant.id {
        return beyond("deploy", order.deploy.to_string(), grant.id.to_string());
    }
    if order.project != grant.project {
        let (order, grant) = (&order.project, &grant.project);
        return beyond("project", order.to_string(), grant.to_string());
    }
    if order.environment != grant.environment {
        let (order, grant) = (&order.environment, &grant.environment);
        return beyond("environment", order.to_string(), grant.to_string());
    }
    if let Some(undoes) = order
        .undoes
        .filter(|undoes| grant.action == Action::Deploy && *undoes != grant.id)
    {
        return beyond("undoes", undoes.to_string(), grant.id.to_string());
    }
    let granted = match order.phase {
        Phase::Prepare | Phase::Activate => grant.action == Action::Deploy,
        Phase::Clear => grant.action == Action::Clear,
        Phase::Rollback => grant.action != Action::Clear,
        Phase::Abort => true,
    };
    if !granted {
        return beyond("phase", order.phase.to_string(), grant.action.to_string());
    }
    if (makes_live || order.commit.is_some()) && order.commit != grant.commit {
        return beyond("commit", or_none(&order.commit), or_none(&grant.commit));
    }
    if (makes_live || order.tag.is_some()) && order.tag != grant.tag {
        return beyond("tag", or_none(&order.tag), or_none(&grant.tag));
    }
    Ok(())
}

fn or_none<T: ToString>(value: &Option<T>) -> String {
    value
        .as_ref()
        .map_or_else(|| "none".to_owned(), ToString::to_string)
}

//! Why an agent does not believe an order: one variant per thing somebody would do differently.

use events::HostName;
use jiff::Timestamp;

use crate::{Frozen, NotAllowed, VerifyError};

/// Why an order is refused. Nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The order is not to be believed.
    #[error("the order is not to be believed")]
    Order(#[source] VerifyError),
    /// The grant is not to be believed.
    #[error("the grant is not to be believed")]
    Grant(#[source] VerifyError),
    /// Rightly signed, but not by an orchestrator.
    #[error("the order is signed by {}, but the policy takes orders from {}", signed.join(" and "), orchestrators.join(", "))]
    NotAnOrchestrator {
        /// Who signed.
        signed: Vec<String>,
        /// Who may.
        orchestrators: Vec<String>,
    },
    /// The wrong people, or too few of them.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Nothing new goes live now. Taken if it is ordered anew after the end; a rollback is taken now.
    #[error(transparent)]
    Frozen(#[from] Frozen),
    /// For another host: misrouted, or replayed by somebody.
    #[error("the order is for {found}, this is {here}")]
    Host {
        /// Whom it is for.
        found: HostName,
        /// Who reads it.
        here: HostName,
    },
    /// The readable part of the message does not say what the signed part says.
    #[error("the message says {what} {outside}, but the signed order says {inside}")]
    Routing {
        /// What differs.
        what: &'static str,
        /// What the message says.
        outside: String,
        /// What is signed.
        inside: String,
    },
    /// The order was made for another grant.
    #[error("the order acts under the grant {named}, but the one that came with it is {found}")]
    GrantDigest {
        /// The digest in the order.
        named: String,
        /// The digest of what came.
        found: String,
    },
    /// The order goes beyond the grant.
    #[error("the order says {what} {order}, but the grant says {grant}")]
    Beyond {
        /// What differs.
        what: &'static str,
        /// What the order says.
        order: String,
        /// What the grant says.
        grant: String,
    },
    /// The list of hosts was changed.
    #[error("the list of targets has the digest {found}, but the grant was signed for {granted}")]
    Targets {
        /// The digest in the grant.
        granted: String,
        /// The digest of what came.
        found: String,
    },
    /// The grant does not speak of this host.
    #[error("{host} is not among the {count} targets of the grant")]
    NotATarget {
        /// Who reads it.
        host: HostName,
        /// How many targets there are.
        count: usize,
    },
    /// The clock here and the one of whoever signed differ by more than the settings allow.
    #[error(
        "clock skew: the order was made at {made} by the clock of {signer}, and here it is {now}: {ahead} s apart, \
         clock_skew_s allows {skew} s; put the clocks right"
    )]
    ClockSkew {
        /// The orchestrator that signed.
        signer: String,
        /// When, by its clock.
        made: Timestamp,
        /// The time here.
        now: Timestamp,
        /// Seconds between the two.
        ahead: i64,
        /// Seconds of difference that the settings allow.
        skew: i64,
    },
    /// Too early, or the clocks differ.
    #[error(
        "the {what} is valid from {from} on, but here it is {now}: {ahead} s too early, {skew} s are allowed; compare \
         the clocks"
    )]
    NotYetValid {
        /// Order or grant.
        what: &'static str,
        /// From when on.
        from: Timestamp,
        /// The time here.
        now: Timestamp,
        /// Seconds between the two.
        ahead: i64,
        /// Seconds of difference that the settings allow.
        skew: i64,
    },
    /// Too late, or the clocks differ.
    #[error(
        "the {what} expired at {at}, and here it is {now}: {late} s too late, {skew} s of clock skew are allowed; ask for it again, \
         or compare the clocks"
    )]
    Expired {
        /// Order or grant.
        what: &'static str,
        /// When.
        at: Timestamp,
        /// The time here.
        now: Timestamp,
        /// Seconds between the two.
        late: i64,
        /// Seconds of difference that the settings allow.
        skew: i64,
    },
    /// The orchestrator counts from the time on, and this is far above it: it would lock out whoever counts rightly.
    #[error(
        "the order has the {what} {found}, but here it is {now}, and {most} is the most that is taken: compare the clocks; an \
         orchestrator that counted ahead is taken again once the time has come there"
    )]
    BeyondTime {
        /// Epoch (of seconds) or sequence (of milliseconds).
        what: &'static str,
        /// The order's.
        found: u64,
        /// The most that is taken now.
        most: u64,
        /// The time here.
        now: Timestamp,
    },
    /// Repeated or overtaken: this host has accepted an order as new as this or newer.
    #[error("the order has the sequence {sequence}, but this host has accepted {mark} already")]
    Repeated {
        /// The order's.
        sequence: u64,
        /// The host's.
        mark: u64,
    },
    /// An orchestrator whose lease has gone to another one.
    #[error("the order has the epoch {epoch}, but an orchestrator of epoch {mark} has taken over")]
    StaleEpoch {
        /// The order's.
        epoch: u64,
        /// The host's.
        mark: u64,
    },
}

impl Refusal {
    /// The reason with all its causes in one line, for a report.
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

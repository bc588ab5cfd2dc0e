//! What a person at the host asks for: an order that nobody signed, because who may write this journal could do it by hand.

use events::{HostName, message::Phase};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    record::{Asked, AtHost},
    state::State,
};

/// How long what was asked for may wait; nothing that can be asked for at the host does.
const EXPIRES: SignedDuration = SignedDuration::from_hours(1);

/// A rollback or a clearing, as it goes into the journal. It moves no mark: orders from the bus count as before.
#[must_use]
pub fn asked_here(
    state: &State,
    phase: Phase,
    who: AtHost,
    id: Uuid,
    host: &HostName,
    now: Timestamp,
) -> Asked {
    Asked {
        order: id,
        deploy: id,
        phase,
        undo: false,
        undoes: None,
        commit: None,
        tag: None,
        branch: None,
        wave: 1,
        signer: String::new(),
        sequence: 0,
        epoch: state.epoch,
        grant: String::new(),
        by: vec![who.name(host)],
        // A person who is there clears what is there.
        clears: state.clearable(),
        broke_glass: None,
        at_host: Some(who),
        seen_until: None,
        expires: now.checked_add(EXPIRES).unwrap_or(now),
    }
}

impl AtHost {
    /// `ann (uid 1000) at web1`
    #[must_use]
    pub fn name(&self, host: &HostName) -> String {
        let login = self.login.as_deref().unwrap_or("somebody");
        let says = self.says.as_ref();
        let says = says.map_or(String::new(), |says| format!(", for {says}"));
        format!("{login} (uid {}{says}) at {host}", self.uid)
    }
}

//! Who stands behind a grant, and whether the glass was broken for it.

use jiff::Timestamp;

use crate::{Action, Frozen, Grant, NotAllowed, Policy, Verified};

/// Who stands behind a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who signed for it.
    pub by: Vec<String>,
    /// What was gone past by breaking the glass: a freeze, or the signatures of others. Whoever reads of the deploy reads this.
    pub broke_glass: Option<String>,
    /// The freeze that holds it up: nothing is made live under it before its end.
    pub frozen: Option<Frozen>,
}

impl Policy {
    /// Who stands behind a grant at this moment.
    ///
    /// An ordinary rule comes first. A rule with `break_glass` is looked at only where those do not suffice, or a freeze holds.
    ///
    /// # Errors
    /// [`NotAllowed`], which names who signed and who is needed.
    pub fn standing(
        &self,
        grant: &Verified<Grant>,
        now: Timestamp,
    ) -> Result<Standing, NotAllowed> {
        let Grant {
            project,
            environment,
            action,
            ..
        } = &grant.document;
        let freezes = self.freeze.iter();
        let frozen = freezes
            .filter(|_| *action == Action::Deploy)
            .find_map(|freeze| freeze.holds(project, environment, now));
        let ordinary = self.signed_for(grant, false);
        let past = match (&ordinary, &frozen) {
            (Ok(by), None) => {
                return Ok(Standing {
                    by: by.clone(),
                    broke_glass: None,
                    frozen: None,
                });
            }
            (Ok(_), Some(frozen)) => frozen.to_string(),
            (Err(missing), None) => missing.to_string(),
            (Err(missing), Some(frozen)) => format!("{frozen}; {missing}"),
        };
        match (self.signed_for(grant, true), ordinary) {
            (Ok(by), _) if grant.document.is_reasoned() => Ok(Standing {
                by,
                broke_glass: Some(past),
                frozen: None,
            }),
            (Ok(by), Err(_)) => Err(NotAllowed::NoReason { by }),
            (_, Ok(by)) => Ok(Standing {
                by,
                broke_glass: None,
                frozen,
            }),
            (Err(_), Err(missing)) => Err(missing),
        }
    }
}

//! Who may stand behind what. Shipped to each host by configuration management, never by the bus.

use std::str::FromStr;

use events::{EnvironmentName, ProjectName};
use serde::{Deserialize, Deserializer, de::Error};

use crate::{Action, Freeze, Grant, NotAllowed, Signer, Verified};

/// What a host accepts. Without an `[[allow]]` that fits, nothing.
///
/// ```toml
/// orchestrators = ["orchestrator"]      # principals whose orders are taken
///
/// [[allow]]
/// project = "shop"                      # or "*"
/// environment = "prod"                  # or "*"
/// principals = ["ann@example.org", "bo@example.org"]
/// signatures = 2                        # of different ones; 1 if left out. A rollback needs one.
///
/// [[allow]]                             # the web page's own key suffices here
/// project = "*"
/// environment = "dev"
/// principals = ["web"]
/// actions = ["deploy", "rollback"]      # and "clear", also for a deploy that clears broken hosts; all if left out
///
/// [[allow]]                             # a key in a safe: goes past freezes and missing signatures, and everybody hears of it
/// project = "*"
/// environment = "prod"
/// principals = ["emergency"]
/// break_glass = true
///
/// [[freeze]]                            # nothing new goes live; rollbacks, aborts and clearings do
/// project = "*"
/// environment = "prod"
/// from = "Fri 16:00"                    # each week; or once: "2026-12-20 18:00"
/// to = "Mon 08:00"
/// time_zone = "Europe/Berlin"
/// reason = "nobody is here at the weekend"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Principals that may sign orders.
    pub orchestrators: Vec<String>,
    /// Who may sign grants; any one that is fulfilled is enough.
    #[serde(default)]
    pub allow: Vec<Allow>,
    /// When nothing new goes live.
    #[serde(default)]
    pub freeze: Vec<Freeze>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// For which project.
    pub project: Only<ProjectName>,
    /// For which environment.
    pub environment: Only<EnvironmentName>,
    /// Who, exactly; patterns have their place in `allowed_signers`.
    pub principals: Vec<String>,
    /// How many different ones of them must sign. A rollback or a clearing always needs just one.
    #[serde(default = "one")]
    pub signatures: usize,
    /// What they may ask for.
    #[serde(default = "all_actions")]
    pub actions: Vec<Action>,
    /// Goes past freezes and past the signatures that other rules ask for; needs a reason, and is said wherever the deploy is.
    #[serde(default)]
    pub break_glass: bool,
}

/// One name, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Only<T> {
    /// `*`
    Any,
    /// That one.
    One(T),
}

impl<'de, T: FromStr<Err: std::fmt::Display>> Deserialize<'de> for Only<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "*" {
            return Ok(Self::Any);
        }
        text.parse().map(Self::One).map_err(D::Error::custom)
    }
}

impl<T: PartialEq> Only<T> {
    pub(crate) fn fits(&self, name: &T) -> bool {
        match self {
            Self::Any => true,
            Self::One(only) => only == name,
        }
    }
}

fn one() -> usize {
    1
}

fn all_actions() -> Vec<Action> {
    vec![Action::Deploy, Action::Rollback, Action::Clear]
}

/// Why a text is not a policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not TOML, an unknown or missing key; the source says where.
    #[error("the policy is not understood")]
    Toml(#[from] toml::de::Error),
    /// A rule that nobody could fulfil, or that everybody would.
    #[error("the policy makes no sense: {0}")]
    Nonsense(String),
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// See [`PolicyError`]; for wrong keys the source names line and column.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self = toml::from_str(text)?;
        for (index, allow) in policy.allow.iter().enumerate() {
            allow.check().map_err(|problem| {
                PolicyError::Nonsense(format!("[[allow]] {}: {problem}", index + 1))
            })?;
        }
        for (index, freeze) in policy.freeze.iter().enumerate() {
            freeze.check().map_err(|problem| {
                PolicyError::Nonsense(format!("[[freeze]] {}: {problem}", index + 1))
            })?;
        }
        Ok(policy)
    }

    /// Who signed for a grant, by the rules that break the glass or by the others.
    pub(crate) fn signed_for(
        &self,
        grant: &Verified<Grant>,
        break_glass: bool,
    ) -> Result<Vec<String>, NotAllowed> {
        let Grant {
            action,
            project,
            environment,
            ..
        } = &grant.document;
        let mut needed = Vec::new();
        for allow in self
            .allow
            .iter()
            .filter(|allow| allow.break_glass == break_glass && allow.is_about(&grant.document))
        {
            let by = allow.signed_by(&grant.keys);
            let count = allow.needed(*action);
            if by.len() >= count {
                return Ok(by);
            }
            needed.push(match &allow.principals[..] {
                [only] => only.clone(),
                many => format!("{count} of {}", many.join(", ")),
            });
        }
        let (mut action, project, environment) = (*action, project.clone(), environment.clone());
        if needed.is_empty() {
            let but_for_clearing = |allow: &Allow| {
                allow.break_glass == break_glass && allow.is_about_but_for_clearing(&grant.document)
            };
            if self.allow.iter().any(but_for_clearing) {
                action = Action::Clear;
            }
            return Err(NotAllowed::NoRule {
                action,
                project,
                environment,
            });
        }
        Err(NotAllowed::NotEnough {
            action,
            project,
            environment,
            signed: grant.signers.clone(),
            needed,
        })
    }

    /// The orchestrator that signed, if one did.
    #[must_use]
    pub fn orchestrator(&self, keys: &[Signer]) -> Option<&str> {
        let signed = |name: &&String| keys.iter().any(|key| key.is(name));
        self.orchestrators.iter().find(signed).map(String::as_str)
    }
}

impl Allow {
    fn check(&self) -> Result<(), String> {
        let mut different: Vec<&String> = self.principals.iter().collect();
        different.sort_unstable();
        different.dedup();
        if different.len() != self.principals.len() {
            return Err("a principal is named twice".to_owned());
        }
        if self.signatures == 0 || self.signatures > different.len() {
            return Err(format!(
                "signatures = {}, but it names {} principals",
                self.signatures,
                different.len()
            ));
        }
        if let Some(pattern) = self.principals.iter().find(|p| p.contains(['*', '?', ','])) {
            return Err(format!(
                "{pattern:?} is not one principal; name each, patterns belong in allowed_signers"
            ));
        }
        Ok(())
    }

    fn is_about(&self, grant: &Grant) -> bool {
        let clears = !grant.clears.is_empty();
        self.is_about_but_for_clearing(grant) && (!clears || self.actions.contains(&Action::Clear))
    }

    fn is_about_but_for_clearing(&self, grant: &Grant) -> bool {
        self.project.fits(&grant.project)
            && self.environment.fits(&grant.environment)
            && self.actions.contains(&grant.action)
    }

    /// Approval by several never stands in the way of a rollback.
    fn needed(&self, action: Action) -> usize {
        match action {
            Action::Deploy => self.signatures,
            Action::Rollback | Action::Clear => 1,
        }
    }

    /// The most principals that the keys can stand for at once: a key counts for one of its principals only, and a
    /// principal with several keys counts once.
    fn signed_by(&self, keys: &[Signer]) -> Vec<String> {
        let mut key_of: Vec<Option<usize>> = vec![None; self.principals.len()];
        for key in 0..keys.len() {
            let mut tried = vec![false; self.principals.len()];
            self.place(key, keys, &mut key_of, &mut tried);
        }
        let signed = self.principals.iter().zip(key_of);
        signed
            .filter(|(_, key)| key.is_some())
            .map(|(principal, _)| principal.clone())
            .collect()
    }

    /// Finds a principal for a key, where needed by moving a key placed before to another of its principals.
    fn place(
        &self,
        key: usize,
        keys: &[Signer],
        key_of: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for at in 0..self.principals.len() {
            if tried[at] || !keys[key].is(&self.principals[at]) {
                continue;
            }
            tried[at] = true;
            let free = match key_of[at] {
                None => true,
                Some(other) => self.place(other, keys, key_of, tried),
            };
            if free {
                key_of[at] = Some(key);
                return true;
            }
        }
        false
    }
}

impl FromStr for Policy {
    type Err = PolicyError;
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        Self::parse(text)
    }
}

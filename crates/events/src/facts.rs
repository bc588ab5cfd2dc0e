//! Facts: what a host says of itself. Flat and bounded, so that they fit into each of its messages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// More facts than this no host has.
pub const MOST: usize = 64;
/// A name is not longer.
pub const NAME_CHARACTERS: usize = 64;
/// A text is not longer.
pub const TEXT_CHARACTERS: usize = 200;

/// The facts of a host, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>")]
pub struct Facts(BTreeMap<String, Fact>);

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// True or false.
    Flag(bool),
    /// A number, as it was written.
    Number(serde_json::Number),
    /// One line.
    Text(String),
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Why something is no facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// Too many.
    #[error("{0} facts, at most {MOST} are said: name those that you want")]
    TooMany(usize),
    /// Not a name.
    #[error(
        "{0:?} is no name of a fact: a-z 0-9 _ . - and at most {NAME_CHARACTERS} characters, a letter first"
    )]
    Name(String),
    /// An object or a list.
    #[error("the fact {0} is an object or a list, and facts are flat: name the ones in it")]
    NotFlat(String),
    /// A text that is too long, or of more than one line.
    #[error("the fact {0} is longer than {TEXT_CHARACTERS} characters, or than a line")]
    Text(String),
}

impl Facts {
    /// The facts, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Fact)> {
        self.0.iter().map(|(name, fact)| (name.as_str(), fact))
    }

    /// A fact.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.0.get(name)
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and those of the others whose names are not among them.
    ///
    /// # Errors
    /// [`FactsError::TooMany`].
    pub fn over(&self, others: &Self) -> Result<Self, FactsError> {
        let mut all = others.0.clone();
        all.extend(self.0.clone());
        match all.len() {
            count if count > MOST => Err(FactsError::TooMany(count)),
            _ => Ok(Self(all)),
        }
    }
}

impl TryFrom<BTreeMap<String, Value>> for Facts {
    type Error = FactsError;

    /// A null is no fact: what gives it does not know.
    fn try_from(values: BTreeMap<String, Value>) -> Result<Self, FactsError> {
        if values.len() > MOST {
            return Err(FactsError::TooMany(values.len()));
        }
        let facts = values.into_iter().filter(|(_, value)| !value.is_null());
        facts.map(fact).collect::<Result<_, _>>().map(Self)
    }
}

fn fact((name, value): (String, Value)) -> Result<(String, Fact), FactsError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    let first = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !first || name.len() > NAME_CHARACTERS || !name.chars().all(plain) {
        let shown = name.chars().take(NAME_CHARACTERS).collect();
        return Err(FactsError::Name(shown));
    }
    let fact = match value {
        Value::Bool(flag) => Fact::Flag(flag),
        Value::Number(number) => Fact::Number(number),
        Value::String(text) => {
            let short = text.chars().count() <= TEXT_CHARACTERS;
            if !short || text.chars().any(char::is_control) {
                return Err(FactsError::Text(name));
            }
            Fact::Text(text)
        }
        Value::Null | Value::Array(_) | Value::Object(_) => return Err(FactsError::NotFlat(name)),
    };
    Ok((name, fact))
}

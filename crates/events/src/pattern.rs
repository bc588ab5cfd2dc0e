//! Patterns of names: `*` and `?`, as in `ssh_config(5)`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::NameError;

/// Names that look alike: `*` is any text, `/` included, and `?` any byte. It says nothing about whether a name is a good one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if the whole text looks so.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.0, text)
    }
}

impl FromStr for Pattern {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let good = !text.is_empty() && text.len() <= 300 && !text.chars().any(char::is_control);
        if good {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError {
            kind: "pattern",
            input: text.chars().take(80).collect(),
            rule: "it has 1 to 300 bytes without control characters",
        })
    }
}

impl TryFrom<String> for Pattern {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// `*` stands for any text, `?` for any byte. Takes time in proportion to both lengths multiplied, never more.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                // Go back to the last star and let it stand for one byte more.
                let Some((star_at, from)) = star else {
                    return false;
                };
                star = Some((star_at, from + 1));
                p = star_at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

//! Pattern lists as in `ssh_config(5)`: comma-separated, `*` and `?`, `!` to exclude.

use std::fmt;

use events::pattern::matches;

/// A list such as `ann@example.org,*@ops.example.org,!eve@ops.example.org`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternList(String);

impl PatternList {
    /// `None` for an empty list or one with an empty part.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let whole = text
            .split(',')
            .all(|part| !part.trim_start_matches('!').is_empty());
        whole.then(|| Self(text.to_owned()))
    }

    /// The list as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True if a part matches `text` and no part with `!` does.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut found = false;
        for part in self.0.split(',') {
            match part.strip_prefix('!') {
                Some(excluded) if matches(excluded, text) => return false,
                Some(_) => {}
                None => found |= matches(part, text),
            }
        }
        found
    }
}

impl fmt::Display for PatternList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

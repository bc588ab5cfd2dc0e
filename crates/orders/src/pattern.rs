//! Pattern lists as in `ssh_config(5)`: comma-separated, `*` and `?`, `!` to exclude.

use std::fmt;

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
                Some(excluded) if matches(excluded.as_bytes(), text.as_bytes()) => return false,
                Some(_) => {}
                None => found |= matches(part.as_bytes(), text.as_bytes()),
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

/// `*` stands for any text, `?` for any byte. Takes time in proportion to both lengths multiplied, never more.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
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

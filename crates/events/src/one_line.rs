//! A text for people as one line, whatever it was made from.

use std::{borrow::Cow, fmt, ops::Deref};

use serde::{Deserialize, Serialize};

/// The most characters of a line; a longer one ends in `…`.
pub const LINE_CHARS: usize = 400;

/// One line: no control characters, nothing that turns the direction of writing, no blanks at its ends or in rows, at
/// most [`LINE_CHARS`] characters, and no passwords of addresses. What it is made from, a message of others
/// too, is brought into that shape.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct OneLine(String);

impl OneLine {
    /// Brings any text into the shape.
    #[must_use]
    pub fn new(text: &str) -> Self {
        // Longer ones are cut anyway, but not so that half a secret is left.
        let text = without_secrets(text);
        let mut line = String::with_capacity(text.len().min(LINE_CHARS));
        let mut chars = 0;
        let mut words = text.split(|c: char| c.is_whitespace() || is_unseen(c));
        for word in words.by_ref().filter(|word| !word.is_empty()) {
            if chars > 0 {
                line.push(' ');
                chars += 1;
            }
            line.push_str(word);
            chars += word.chars().count();
            if chars > LINE_CHARS {
                let end = line.char_indices().nth(LINE_CHARS - 1);
                line.truncate(end.map_or(line.len(), |(end, _)| end));
                line.push('…');
                break;
            }
        }
        Self(line)
    }

    /// The line as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters, and those by which a text shows otherwise than it reads.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The text with the user part of addresses (`https://ann:pass@host`) and values after `token=` and the like hidden.
pub(crate) fn without_secrets(text: &str) -> String {
    named_values_hidden(&users_hidden(text))
}

fn users_hidden(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end =
            |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>');
        let authority = &after[..after.find(end).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) => {
                shown.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

const NAMED: [&str; 6] = [
    "token=",
    "secret=",
    "password=",
    "passcode=",
    "passwd=",
    "api_key=",
];

fn named_values_hidden(text: &str) -> String {
    // Same length, so that places in one are places in the other.
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(value) = NAMED
        .iter()
        .filter_map(|name| Some(lower[from..].find(name)? + from + name.len()))
        .min()
    {
        let end = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | ',' | ';' | ')');
        let length = text[value..].find(end).unwrap_or(text.len() - value);
        shown.push_str(&text[from..value]);
        if length > 0 {
            shown.push_str("***");
        }
        from = value + length;
    }
    shown.push_str(&text[from..]);
    shown
}

impl From<String> for OneLine {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<OneLine> for String {
    fn from(line: OneLine) -> Self {
        line.0
    }
}

impl Deref for OneLine {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

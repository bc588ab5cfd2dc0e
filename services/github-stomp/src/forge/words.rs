//! Words of people and of headers: short, on one line, and nothing in them that moves a cursor.

use std::fmt;

use axum::http::HeaderMap;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// Characters of a title.
const TITLE: usize = 200;
/// Characters of a person's name, a branch or a tag.
const NAME: usize = 100;
/// Characters of a header.
const HEADER: usize = 80;

/// The first line of a message, or a title.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Title(pub(super) String);

/// What a person, a branch or a tag is called, for people to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Called(pub(super) String);

impl<'de> Deserialize<'de> for Title {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Cut(TITLE)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Called {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Cut(NAME)).map(Self)
    }
}

/// Cuts a text while it is read, so that a long one is never held.
struct Cut(usize);

impl Visitor<'_> for Cut {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(one_line(text, self.0))
    }
}

/// The first line, short and without control characters or marks that turn the direction of writing.
pub(super) fn one_line(text: &str, characters: usize) -> String {
    let text = text.lines().next().unwrap_or_default();
    let visible = |c: char| if c.is_control() || turns(c) { ' ' } else { c };
    text.chars().map(visible).take(characters).collect()
}

/// Marks by which a text can look like another one.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A header, for logs and answers: short and visible; empty if it is not there.
pub(super) fn header(headers: &HeaderMap, name: &str) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let visible = |c: &char| c.is_ascii_graphic() || *c == ' ';
    let text = value.unwrap_or_default().trim();
    text.chars().filter(visible).take(HEADER).collect()
}

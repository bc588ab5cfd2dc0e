//! A message in the plain-text form: lines `key: value` in a fixed order, then text for people; and the header `subject`. No I/O.
//!
//! Its readers take every line of the body that looks like a field of theirs, wherever it stands. So what people wrote is
//! written without colons, in one line; and of what comes only the first lines are read, each where it has to be.

use std::str::FromStr;

use events::NameError;

/// A message in the plain-text form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The header `subject`.
    pub subject: String,
    /// The body.
    pub body: String,
}

/// Why a text is not carried.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Not UTF-8 at its beginning.
    #[error("its first lines are no text")]
    NoText,
    /// A line is not where it has to be.
    #[error("line {line} does not begin with {wanted:?}")]
    Line {
        /// From 1.
        line: usize,
        /// What it has to begin with.
        wanted: &'static str,
    },
    /// The subject is not as it has to be.
    #[error("its subject is not {wanted:?}")]
    Subject {
        /// As it has to be.
        wanted: &'static str,
    },
    /// A value is no name of its kind.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A revision of Subversion is a number.
    #[error("the revision {0:?} is no number")]
    Revision(String),
    /// It is well-formed, and there is nothing to say for this reason.
    #[error("{0}")]
    NotCarried(String),
}

/// What is read of a body at most.
const READ_BYTES: usize = 16 * 1024;

/// The most that is taken of what people wrote in one line, characters.
const LONGEST: usize = 200;

/// A lone line end, by which older daemons keep their connections.
#[must_use]
pub fn is_line_end(body: &[u8]) -> bool {
    matches!(body, b"\n" | b"\r\n" | b"")
}

/// The beginning of a body, as long as it is text.
pub(crate) fn head(body: &[u8]) -> Result<&str, Wrong> {
    let head = &body[..body.len().min(READ_BYTES)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => return Ok(text),
        Err(error) => error.valid_up_to(),
    };
    match std::str::from_utf8(&head[..valid]) {
        Ok(text) if !text.is_empty() => Ok(text),
        _ => Err(Wrong::NoText),
    }
}

/// The value of a line that has to begin so.
pub(crate) fn value<'a>(
    text: &'a str,
    line: usize,
    wanted: &'static str,
) -> Result<&'a str, Wrong> {
    let found = text.split('\n').nth(line - 1);
    let value = found.and_then(|it| it.strip_prefix(wanted));
    value.map(str::trim).ok_or(Wrong::Line { line, wanted })
}

/// A value as a checked name.
pub(crate) fn name<T: FromStr<Err = NameError>>(text: &str) -> Result<T, Wrong> {
    Ok(text.parse()?)
}

/// What people wrote, in one line of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{2028}' | '\u{2029}' => ' ',
        c if c.is_control() => ' ',
        c => c,
    };
    let line: String = text.chars().map(plain).take(LONGEST).collect();
    line.trim().to_owned()
}

/// The same without a colon, so that nobody can take it for a field, however they read.
pub(crate) fn no_field(text: &str) -> String {
    one_line(text).replace(':', ";")
}

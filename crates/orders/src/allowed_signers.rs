//! Reading an `allowed_signers` file, as `ssh-keygen(1)` describes it.
//!
//! A line is `principals [options] key-type key [comment]`. Two differences to OpenSSH, both said aloud: lines with
//! `cert-authority` are refused, and a time without `Z` is read as UTC.

use std::str::FromStr;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use ssh_key::PublicKey;

use crate::{Keyring, keyring::Line, pattern::PatternList};

/// Why a line of an `allowed_signers` file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed_signers line {line}: {problem}")]
pub struct AllowedSignersError {
    /// From 1 on.
    pub line: usize,
    /// What is wrong, and what to write in its place.
    pub problem: String,
}

#[derive(Default)]
struct Options {
    namespaces: Option<PatternList>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

impl Keyring {
    /// Reads the text of an `allowed_signers` file. An empty one is fine: it lets nobody sign.
    ///
    /// # Errors
    /// The first line that is not understood. A file is used whole or not at all.
    pub fn parse(text: &str) -> Result<Self, AllowedSignersError> {
        let mut keyring = Self::default();
        for (index, text) in text.lines().enumerate() {
            let number = index + 1;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let mut notes = Vec::new();
            let line = line(number, text, &mut notes).map_err(|problem| AllowedSignersError {
                line: number,
                problem,
            })?;
            keyring.lines.extend(line);
            keyring.notes.extend(
                notes
                    .iter()
                    .map(|note| format!("allowed_signers line {number}: {note}")),
            );
        }
        Ok(keyring)
    }
}

impl FromStr for Keyring {
    type Err = AllowedSignersError;
    fn from_str(text: &str) -> Result<Self, AllowedSignersError> {
        Self::parse(text)
    }
}

fn line(number: usize, text: &str, notes: &mut Vec<String>) -> Result<Option<Line>, String> {
    let (principals, rest) = word(text)?;
    let principals = principals.replace('"', "");
    let principals = PatternList::parse(&principals)
        .ok_or_else(|| format!("{principals:?} is not a comma-separated list of principals"))?;
    let (second, after) = word(rest)?;
    let (options, rest) = if second.is_empty() || is_key_type(second) {
        (Options::default(), rest)
    } else {
        (options(second, notes)?, after)
    };
    let (kind, rest) = word(rest)?;
    let (key, _comment) = word(rest)?;
    if !is_key_type(kind) || key.is_empty() {
        return Err(
            "a key is missing: principals [options] ssh-ed25519 AAAA… [comment]".to_owned(),
        );
    }
    if kind != "ssh-ed25519" {
        notes.push(format!(
            "skipped, since keys of type {kind} are not used here (only ssh-ed25519 is)"
        ));
        return Ok(None);
    }
    let key = PublicKey::from_openssh(&format!("{kind} {key}"))
        .map_err(|error| format!("the key of {principals} is damaged: {error}"))?;
    Ok(Some(Line {
        number,
        principals,
        namespaces: options.namespaces,
        valid_after: options.valid_after,
        valid_before: options.valid_before,
        key,
    }))
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|beginning| word.starts_with(beginning))
}

/// The first word and what follows; blanks inside double quotes do not end it.
fn word(text: &str) -> Result<(&str, &str), String> {
    let text = text.trim_start();
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((&text[..at], &text[at..])),
            _ => {}
        }
    }
    if quoted {
        return Err("a \" is not closed".to_owned());
    }
    Ok((text, ""))
}

fn options(text: &str, notes: &mut Vec<String>) -> Result<Options, String> {
    let mut options = Options::default();
    for option in split_options(text) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        match name.to_ascii_lowercase().as_str() {
            "namespaces" => once(&mut options.namespaces, name, namespaces(value)?)?,
            "valid-after" => once(&mut options.valid_after, name, time(name, value, notes)?)?,
            "valid-before" => once(&mut options.valid_before, name, time(name, value, notes)?)?,
            "cert-authority" => {
                return Err(
                    "cert-authority is not supported: list the keys of the signers themselves"
                        .to_owned(),
                );
            }
            _ => {
                return Err(format!(
                    "{name:?} is neither a key type nor an option (namespaces, valid-after, valid-before)"
                ));
            }
        }
    }
    if let (Some(after), Some(before)) = (options.valid_after, options.valid_before)
        && after >= before
    {
        return Err(format!(
            "valid-after {after} is not before valid-before {before}"
        ));
    }
    Ok(options)
}

/// Splits at the commas that are outside of quotes.
fn split_options(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

fn namespaces(value: &str) -> Result<PatternList, String> {
    PatternList::parse(value)
        .ok_or_else(|| format!("{value:?} is not a comma-separated list of namespaces"))
}

fn time(name: &str, value: &str, notes: &mut Vec<String>) -> Result<Timestamp, String> {
    let wrong = || {
        format!("{name}={value:?} is not a time: write YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ")
    };
    let digits = value.strip_suffix(['Z', 'z']).unwrap_or(value);
    if digits.len() == value.len() {
        notes.push(format!(
            "{name}={value} has no Z at its end; it is read as UTC"
        ));
    }
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let part = |from: usize, to: usize| -> i16 {
        let digits = digits.get(from..to).unwrap_or("0");
        digits.parse().expect("at most four digits")
    };
    let small = |from: usize| i8::try_from(part(from, from + 2)).expect("two digits");
    let (hour, minute, second) = (small(8), small(10), small(12));
    DateTime::new(part(0, 4), small(4), small(6), hour, minute, second, 0)
        .and_then(|time| TimeZone::UTC.to_timestamp(time))
        .map_err(|_| wrong())
}

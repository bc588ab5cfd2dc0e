//! Targets split into waves. Pure.

use std::{fmt, str::FromStr};

use events::HostName;
use serde::{Deserialize, Serialize};

/// A number of hosts, or a share of all targets: `1`, `25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub enum Size {
    /// So many hosts.
    Count(u32),
    /// So many of a hundred.
    Percent(u32),
}

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a number of hosts: write a count such as \"2\" or a share such as \"25%\", at most \"100%\""
)]
pub struct SizeError(String);

/// A size as it may stand in a file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u32),
    Text(String),
}

impl TryFrom<Written> for Size {
    type Error = SizeError;
    fn try_from(written: Written) -> Result<Self, SizeError> {
        match written {
            Written::Number(count) => Ok(Self::Count(count)),
            Written::Text(text) => text.parse(),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

impl FromStr for Size {
    type Err = SizeError;
    fn from_str(text: &str) -> Result<Self, SizeError> {
        let wrong = || SizeError(text.chars().take(40).collect());
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| wrong());
        match text.strip_suffix('%') {
            Some(digits) => match number(digits)? {
                percent @ 0..=100 => Ok(Self::Percent(percent)),
                _ => Err(wrong()),
            },
            None => number(text).map(Self::Count),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Size {
    /// How many of `all` hosts make a wave of this size: a share is rounded up, and a wave has one host at least.
    #[must_use]
    pub fn wave_of(self, all: usize) -> usize {
        let hosts = match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (all * percent as usize).div_ceil(100),
        };
        hosts.max(1)
    }

    /// How many of `all` hosts may be missing: a share is rounded down, but is one host at least unless it is `0%`.
    #[must_use]
    pub fn tolerated_of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(0) => 0,
            Self::Percent(percent) => (all * percent as usize / 100).max(1),
        }
    }
}

/// One host first, then all others.
#[must_use]
pub fn canary_then_all() -> Vec<Size> {
    vec![Size::Count(1), Size::Percent(100)]
}

/// Splits `targets` into waves of `sizes`; the last size is repeated until every host is in a wave.
///
/// Hosts named in `canary` come first, in that order; the others follow by name. No wave is empty.
#[must_use]
pub fn split(targets: &[HostName], sizes: &[Size], canary: &[HostName]) -> Vec<Vec<HostName>> {
    let mut ordered = targets.to_vec();
    let place = |host: &HostName| canary.iter().position(|first| first == host);
    ordered.sort_by(|a, b| {
        let key = |host| place(host).unwrap_or(canary.len());
        key(a).cmp(&key(b)).then_with(|| a.cmp(b))
    });
    ordered.dedup();
    let all = ordered.len();
    let mut rest = ordered.as_slice();
    let mut waves = Vec::new();
    let mut size = Size::Percent(100);
    let mut sizes = sizes.iter();
    while !rest.is_empty() {
        size = sizes.next().copied().unwrap_or(size);
        let (wave, after) = rest.split_at(size.wave_of(all).min(rest.len()));
        waves.push(wave.to_vec());
        rest = after;
    }
    waves
}

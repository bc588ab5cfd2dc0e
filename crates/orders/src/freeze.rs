//! Times in which nothing new goes live: `[[freeze]]` in the policy.

use std::{fmt, str::FromStr};

use events::{EnvironmentName, ProjectName};
use jiff::{
    Timestamp,
    civil::{DateTime, Time, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};
use serde::{Deserialize, Deserializer, de::Error};

use crate::policy::Only;

/// A time in which no host takes an order to prepare or to activate, unless the glass is broken. A rollback, an abort and a clearing
/// are never held up.
///
/// Of a time that the clocks skip, the moment of the jump counts; of one that comes twice, the first for `from`, the second for `to`. So a
/// freeze is never shorter than it reads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Of which project.
    pub project: Only<ProjectName>,
    /// Where.
    pub environment: Only<EnvironmentName>,
    /// From when on.
    pub from: Edge,
    /// Until when.
    pub to: Edge,
    /// Where people's clocks show these times: `Europe/Berlin`.
    pub time_zone: Zone,
    /// Why, for whoever is held up.
    pub reason: String,
}

/// One end of a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// Once: `2026-12-20 18:00`.
    Once(DateTime),
    /// Each week: `Fri 16:00`.
    Weekly(Weekday, Time),
}

/// A time zone by its name in the tz database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

/// A freeze that holds, and until when.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("frozen until {until} {zone}: {reason}")]
pub struct Frozen {
    /// Its end, as a clock there shows it.
    pub until: String,
    /// Where that clock is.
    pub zone: String,
    /// Why.
    pub reason: String,
}

const DAYS: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

impl FromStr for Edge {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{text:?} is not a time of a freeze: write \"2026-12-20 18:00\", or \"Fri 18:00\" for each week"
            )
        };
        let (day, time) = text.split_once(' ').ok_or_else(wrong)?;
        let whole = time.len() == 5 && time.is_char_boundary(2) && &time[2..3] == ":";
        let time: Time = time.parse().ok().filter(|_| whole).ok_or_else(wrong)?;
        if let Some((_, weekday)) = DAYS.iter().find(|(name, _)| *name == day) {
            return Ok(Self::Weekly(*weekday, time));
        }
        let date: jiff::civil::Date = day.parse().map_err(|_| wrong())?;
        Ok(Self::Once(date.to_datetime(time)))
    }
}

impl<'de> Deserialize<'de> for Edge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let unknown = |_| {
            D::Error::custom(format!(
                "{name:?} is not a time zone of the tz database: write for example \"Europe/Berlin\" or \"UTC\""
            ))
        };
        let zone = TimeZone::get(&name).map_err(unknown)?;
        Ok(Self { name, zone })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Zone {
    /// The first moment at which a clock there shows this time, or the jump over it.
    fn first(&self, time: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(time);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => self.jump(time),
            _ => ambiguous.earlier().ok(),
        }
    }

    /// The last one.
    fn last(&self, time: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(time);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { .. } => self.jump(time),
            _ => ambiguous.later().ok(),
        }
    }

    fn jump(&self, skipped: DateTime) -> Option<Timestamp> {
        let after = self.zone.to_ambiguous_timestamp(skipped).later().ok()?;
        let transition = self.zone.preceding(after).next()?;
        Some(transition.timestamp())
    }
}

impl Freeze {
    /// What is wrong with it, beyond its types.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (self.from, self.to) {
            (Edge::Once(from), Edge::Once(to)) if from >= to => Err(format!(
                "it ends at {to}, which is not after its beginning at {from}"
            )),
            (Edge::Once(_), Edge::Weekly(..)) | (Edge::Weekly(..), Edge::Once(_)) => {
                Err("from and to are both dates, or both days of the week".to_owned())
            }
            (Edge::Weekly(..), Edge::Weekly(..)) if self.from == self.to => {
                Err("it ends when it begins: for always, leave the [[allow]] out".to_owned())
            }
            _ if self.reason.trim().is_empty() => {
                Err("it needs a reason, for whoever is held up".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether it holds at this moment.
    #[must_use]
    pub fn holds(
        &self,
        project: &ProjectName,
        environment: &EnvironmentName,
        now: Timestamp,
    ) -> Option<Frozen> {
        if !self.project.fits(project) || !self.environment.fits(environment) {
            return None;
        }
        let until = match (self.from, self.to) {
            (Edge::Once(from), Edge::Once(to)) => self.within(from, to, now)?,
            (Edge::Weekly(day, from), Edge::Weekly(to_day, to)) => {
                // The last one that began may be of a week ago; a clock that jumps may be a day off.
                let today = self.time_zone.zone.to_datetime(now).date();
                let begins = (-8..=1).filter_map(|days| {
                    let date = today.checked_add(jiff::Span::new().days(days)).ok()?;
                    (date.weekday() == day).then_some(date)
                });
                let mut windows = begins.filter_map(|date| {
                    let days = day.until(to_day);
                    let days = if days == 0 && to <= from { 7 } else { days };
                    let ends = date.checked_add(jiff::Span::new().days(days)).ok()?;
                    Some((date.to_datetime(from), ends.to_datetime(to)))
                });
                windows.find_map(|(from, to)| self.within(from, to, now))?
            }
            _ => return None,
        };
        Some(Frozen {
            until: until.strftime("%Y-%m-%d %H:%M").to_string(),
            zone: self.time_zone.name.clone(),
            reason: self.reason.clone(),
        })
    }

    /// The end, if `now` is between. An end that cannot be told freezes: there is none such between the years -9999 and 9999.
    fn within(&self, from: DateTime, to: DateTime, now: Timestamp) -> Option<DateTime> {
        let begun = self.time_zone.first(from).is_none_or(|from| from <= now);
        let over = self.time_zone.last(to).is_some_and(|to| to <= now);
        (begun && !over).then_some(to)
    }
}

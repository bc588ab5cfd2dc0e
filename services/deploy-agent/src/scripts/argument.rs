//! An argument of a script, with places for what is known when it runs.

use serde::Deserialize;

/// What a place can stand for: a variable of the script's environment, without `DEPLOYKIT_` and in lower case.
const PLACES: [&str; 13] = [
    "project",
    "environment",
    "host",
    "deploy",
    "order",
    "wave",
    "step",
    "revision",
    "tag",
    "release",
    "previous_revision",
    "base",
    "shared",
];

/// One argument: `-t`, `{tag}`, `--release={release}`. A brace itself is doubled.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Argument(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(&'static str),
}

/// Braces that stand for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}: between {{ and }} stands one of {all}; a brace itself is doubled", all = PLACES.join(", "))]
pub struct UnknownPlace(String);

impl TryFrom<String> for Argument {
    type Error = UnknownPlace;

    fn try_from(whole: String) -> Result<Self, UnknownPlace> {
        let unknown = || UnknownPlace(whole.clone());
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = whole.as_str();
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = after
                .split_once('}')
                .filter(|_| brace == "{")
                .ok_or_else(unknown)?;
            let place = PLACES.into_iter().find(|place| *place == name);
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Place(place.ok_or_else(unknown)?));
            rest = after;
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }
}

impl Argument {
    /// The argument with what `value` gives for each place. A release that was asked for without a tag has its revision there.
    #[must_use]
    pub fn fill(&self, value: impl Fn(&str) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Place("tag") => Some(value("tag"))
                .filter(|tag| !tag.is_empty())
                .unwrap_or_else(|| value("revision")),
            Part::Place(place) => value(place),
        };
        self.0.iter().map(part).collect()
    }
}

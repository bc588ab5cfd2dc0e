//! Bodies as JSON, without keeping what nobody asks for: one of 25 MB may have millions of values.

use std::{fmt, str};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::Refusal;

/// The body as text that is JSON from its first character to its last.
pub(super) fn text(body: &[u8]) -> Result<&str, Refusal> {
    let text = str::from_utf8(body).map_err(Refusal::NotText)?;
    serde_json::from_str::<Anything>(text).map_err(Refusal::NotJson)?;
    Ok(text)
}

/// Such an event out of text that is JSON.
pub(super) fn event<'a, T: Deserialize<'a>>(
    text: &'a str,
    event: &'static str,
) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|source| Refusal::Shape { event, source })
}

/// Any value, looked at and not kept. `IgnoredAny` would pass numbers, escapes and depths that are no JSON elsewhere.
struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Anything {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

//! Bodies as JSON, without keeping what nobody asks for: one of 25 MB may have millions of values.

use std::{fmt, marker::PhantomData, str};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use super::Refusal;

/// Characters of each end of what is wrong.
const END: usize = 120;

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
    let read = serde_json::from_str::<Object<T>>(text);
    read.map(|Object(read)| read).map_err(|error| {
        let why = ends(&error.to_string());
        Refusal::Shape { event, why }
    })
}

/// A text without its middle where it is long.
fn ends(text: &str) -> String {
    let length = text.chars().count();
    if length <= 2 * END {
        return text.to_owned();
    }
    let first = text.chars().take(END);
    let last = text.chars().skip(length - END);
    first.chain(" … ".chars()).chain(last).collect()
}

/// A struct out of an object; serde alone takes a list of its fields too.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = deserializer.deserialize_map(Fields(PhantomData));
        read.map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A list that ends early: more than `MOST` of its items are refused.
#[derive(Debug)]
pub(super) struct Few<T, const MOST: usize>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self(Vec::new()))
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Few<T, MOST> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(item) = list.next_element()? {
            if self.0.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            self.0.push(item);
        }
        Ok(self)
    }
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

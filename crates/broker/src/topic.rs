//! Topic names and patterns, in the part that all brokers understand.

/// Why a destination is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DestinationError {
    #[error("{0:?} is no /topic/ destination; this broker has topics only")]
    NotATopic(String),
    #[error("{0:?} is no topic name: words of letters, digits, _ and - with dots between")]
    Name(String),
    #[error("{0:?} is no topic pattern: * stands for one word, # or > at the end for all below")]
    Pattern(String),
}

fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn below_topic(destination: &str) -> Result<&str, DestinationError> {
    destination
        .strip_prefix("/topic/")
        .ok_or_else(|| DestinationError::NotATopic(destination.to_owned()))
}

/// The name in a destination that is published to.
pub(crate) fn name(destination: &str) -> Result<&str, DestinationError> {
    let name = below_topic(destination)?;
    if name.split('.').all(is_word) {
        Ok(name)
    } else {
        Err(DestinationError::Name(destination.to_owned()))
    }
}

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// One topic.
    Exact(String),
    /// Words, `*` for any one; with `below`, any further words or none.
    Words { words: Vec<String>, below: bool },
}

impl Pattern {
    pub(crate) fn parse(destination: &str) -> Result<Self, DestinationError> {
        let name = below_topic(destination)?;
        let mut words: Vec<&str> = name.split('.').collect();
        let below = matches!(words.last(), Some(&("#" | ">")));
        if below {
            words.pop();
        }
        if !words.iter().all(|word| is_word(word) || *word == "*") {
            return Err(DestinationError::Pattern(destination.to_owned()));
        }
        if !below && !words.contains(&"*") {
            return Ok(Self::Exact(name.to_owned()));
        }
        let words = words.into_iter().map(str::to_owned).collect();
        Ok(Self::Words { words, below })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Words { words, below } => {
                let mut rest = name.split('.');
                let fits = words
                    .iter()
                    .all(|word| rest.next().is_some_and(|own| word == "*" || word == own));
                fits && (*below || rest.next().is_none())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(&format!("/topic/{pattern}"))
            .unwrap()
            .matches(name)
    }

    #[test]
    fn a_star_is_one_word_and_a_hash_is_all_below() {
        let table = [
            ("a.b.c", "a.b.c", true),
            ("a.b.c", "a.b", false),
            ("a.b", "a.b.c", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.b.b.c", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.#", "a", true),
            ("a.#", "a.b.c", true),
            ("a.>", "a.b.c", true),
            ("a.#", "ab.c", false),
            ("*.b.#", "a.b", true),
            ("*.b.#", "a.c.b", false),
            ("#", "a.b", true),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn names_that_are_not_the_same_on_all_brokers_are_refused() {
        for bad in ["/queue/a", "a", "/topic", "/topic/"] {
            assert!(name(bad).is_err(), "{bad}");
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        for bad in [
            "/topic/a/b",
            "/topic/a..b",
            "/topic/a b",
            "/topic/a.*",
            "/topic/a.#",
            "/topic/ä",
        ] {
            assert!(name(bad).is_err(), "{bad}");
        }
        for bad in ["/topic/a.#.b", "/topic/a*", "/topic/>.a", "/topic/a..*"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}

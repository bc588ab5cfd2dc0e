//! A message that cannot be used, as a message that can.
//!
//! All bounds are in bytes of JSON, escapes included. Together they are 8 kB less than a frame, which is more than the
//! envelope needs.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use events::message::DeadLetter;

/// How much of the body is kept. As base64 this is 85 kB.
const BODY_BYTES: usize = 64 * 1000;

/// How large a body may be as text; else it goes as base64.
const BODY_JSON_BYTES: usize = 86 * 1000;

/// How much of the reason is kept.
const CAUSE_BYTES: usize = 8 * 1000;

/// How many headers are kept; how much of the names and values, of each and in all.
const HEADERS: usize = 64;
const HEADER_BYTES: usize = 1000;
const HEADERS_BYTES: usize = 26 * 1000;

/// How much of the destination is kept. It is told twice.
const DESTINATION_BYTES: usize = 1000;

/// The dead letter of a message. Always fits a frame.
pub(super) fn write<'a>(
    service: &str,
    cause: &str,
    destination: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
) -> DeadLetter {
    let kept = &body[..body.len().min(BODY_BYTES)];
    let text = whole_characters(kept).filter(|text| json_bytes(text) <= BODY_JSON_BYTES);
    let (kept, base64) = match text {
        Some(text) => (text.to_owned(), false),
        None => (BASE64_STANDARD.encode(kept), true),
    };
    DeadLetter {
        service: service.to_owned(),
        cause: cut(cause, CAUSE_BYTES).to_owned(),
        destination: cut(destination, DESTINATION_BYTES).to_owned(),
        headers: kept_headers(headers),
        body: kept,
        base64,
        body_bytes: body.len(),
    }
}

/// Of a header that is there twice, the first one counts.
fn kept_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut room = HEADERS_BYTES;
    for (name, value) in headers.take(HEADERS) {
        let (name, value) = (cut(name, HEADER_BYTES), cut(value, HEADER_BYTES));
        // Quotes, colon and comma.
        let bytes = json_bytes(name) + json_bytes(value) + 6;
        if bytes <= room && !kept.contains_key(name) {
            room -= bytes;
            kept.insert(name.to_owned(), value.to_owned());
        }
    }
    kept
}

/// As much of the beginning as takes up so many bytes in JSON.
fn cut(text: &str, bytes: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        used += char_bytes(c);
        (used > bytes).then_some(at)
    });
    &text[..end.unwrap_or(text.len())]
}

/// How many bytes a text takes up between its quotes.
fn json_bytes(text: &str) -> usize {
    text.chars().map(char_bytes).sum()
}

fn char_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    }
}

/// The text without a character that the cut split; `None` if it is no text.
fn whole_characters(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use events::{Envelope, MAX_FRAME_BYTES};
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    /// Texts that grow in JSON or in UTF-8, of any length.
    fn text(longest: usize) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("\u{1}".to_owned()),
            Just("\"".to_owned()),
            Just("\u{1f980}".to_owned()),
            Just("ü\n".to_owned()),
            "\\PC{1,8}",
        ];
        (piece, 0..longest).prop_map(|(piece, times)| piece.repeat(times))
    }

    fn sealed(letter: &DeadLetter) -> Vec<u8> {
        let source = "/deploykit/deploy-orchestrator/a.host.with.a.long.name.example.org";
        let sealed = Envelope::seal(Uuid::max(), source, Timestamp::MAX, letter);
        sealed.expect("it fits a frame").to_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_letter_always_fits_a_frame_and_comes_back(
            cause in text(20_000),
            destination in text(20_000),
            headers in prop::collection::vec((text(3_000), text(3_000)), 0..100),
            body in prop_oneof![text(200_000).prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..200_000)],
        ) {
            let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let letter = write("deploy-orchestrator", &cause, &destination, pairs, &body);
            let bytes = sealed(&letter);
            prop_assert!(bytes.len() <= MAX_FRAME_BYTES);
            let again: DeadLetter = Envelope::parse(&bytes).unwrap().open().unwrap();
            prop_assert_eq!(&again, &letter);
            prop_assert!(cause.starts_with(&letter.cause));
            prop_assert_eq!(letter.body_bytes, body.len());
            let kept = match letter.base64 {
                true => BASE64_STANDARD.decode(&letter.body).unwrap(),
                false => letter.body.into_bytes(),
            };
            prop_assert!(body.starts_with(&kept));
            prop_assert!(kept.len() + 3 >= body.len().min(BODY_BYTES));
        }
    }

    #[test]
    fn the_first_of_two_headers_counts() {
        let headers = [("a", "1"), ("a", "2"), ("b", "3")];
        let letter = write("x", "y", "z", headers.into_iter(), b"");
        assert_eq!(letter.headers["a"], "1");
        assert_eq!(letter.headers["b"], "3");
    }

    #[test]
    fn the_bounds_together_leave_room_for_the_envelope() {
        let all = CAUSE_BYTES + BODY_JSON_BYTES + HEADERS_BYTES + 2 * DESTINATION_BYTES;
        assert!(all + 8 * 1000 <= MAX_FRAME_BYTES, "{all}");
    }
}

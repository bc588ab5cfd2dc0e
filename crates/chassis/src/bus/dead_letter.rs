//! A message that cannot be used, as a message that can.

use base64::{Engine, prelude::BASE64_STANDARD};
use events::message::DeadLetter;

/// How much of the body is kept. As base64 this is 86 kB, within a frame.
const BODY_BYTES: usize = 64 * 1000;

/// How many headers are kept, and how much of each: 16 kB together.
const HEADERS: usize = 32;
const HEADER_CHARACTERS: usize = 256;

/// The dead letter of a message. Always fits a frame.
pub(super) fn write(service: &str, cause: &str, message: &stomp::Delivery) -> DeadLetter {
    let cut = |text: &str| text.chars().take(HEADER_CHARACTERS).collect::<String>();
    let headers = message
        .headers
        .iter()
        .take(HEADERS)
        .map(|(name, value)| (cut(name), cut(value)))
        .collect();
    let kept = &message.body[..message.body.len().min(BODY_BYTES)];
    let (body, base64) = match whole_characters(kept).filter(|text| !grows(text)) {
        Some(text) => (text.to_owned(), false),
        None => (BASE64_STANDARD.encode(kept), true),
    };
    DeadLetter {
        service: service.to_owned(),
        cause: cause.chars().take(2000).collect(),
        destination: cut(&message.destination),
        headers,
        body,
        base64,
        body_bytes: message.body.len(),
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

/// True for a text that JSON's escapes make larger than base64 would.
fn grows(text: &str) -> bool {
    let escapes = |c: char| {
        if c < ' ' {
            5
        } else {
            usize::from(matches!(c, '"' | '\\'))
        }
    };
    text.chars().map(escapes).sum::<usize>() > BODY_BYTES / 3
}

//! A page for a request that was not done: what was wrong, what exists, what to do next.

use askama::Template;
use axum::{http::StatusCode, response::Html};

use super::html;
use crate::refused::{Kind, Refused};

#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct Page<'a> {
    title: &'static str,
    status: u16,
    error: &'a str,
    exists: &'a [String],
    next: Vec<Word<'a>>,
}

/// A word of what to do next; the address of a page is a link.
#[derive(Debug)]
struct Word<'a> {
    text: &'a str,
    link: bool,
}

fn word(text: &str) -> Word<'_> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '/' | '-');
    let link = text.starts_with('/') && !text.starts_with("//") && text.chars().all(inner);
    Word { text, link }
}

/// The page, with its status.
pub(crate) fn page(refused: &Refused) -> (StatusCode, Html<String>) {
    let view = Page {
        title: match refused.kind {
            Kind::NotUnderstood => "Not understood",
            Kind::NotAllowed => "Not allowed",
            Kind::Unknown => "Not known",
            Kind::Busy => "Busy",
            Kind::Impossible => "Cannot be done",
            Kind::Trouble => "The orchestrator is in trouble",
        },
        status: refused.kind.status(),
        error: &refused.body.error,
        exists: &refused.body.exists,
        next: refused
            .body
            .next
            .iter()
            .flat_map(|next| next.split(' '))
            .map(word)
            .collect(),
    };
    let status = StatusCode::from_u16(view.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, html(&view))
}

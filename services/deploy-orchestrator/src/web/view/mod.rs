//! What each page shows: values of the API in, words out. No I/O and no clock, so a test compares them directly.
//!
//! Each module has the view of one page, `of(…)` that makes it, and its template in `templates/`.

pub(crate) mod confirm;
pub(crate) mod deploy;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod history;
pub(crate) mod home;
pub(crate) mod hosts;
pub(crate) mod output;
pub(crate) mod project;
pub(crate) mod words;

use askama::Template;
use axum::response::Html;

/// A view as HTML.
pub(crate) fn html(view: &impl Template) -> Html<String> {
    Html(
        view.render()
            .expect("writing to a string does not fail, and no template returns an error"),
    )
}

//! What the words of the bus promise.

#![expect(
    clippy::disallowed_methods,
    reason = "golden files and the page are read where they lie"
)]

mod cut;
mod envelope;
mod facts;
mod fetched;
mod golden;
mod lines;
mod names;
mod pattern;
mod pushed;
mod topics;

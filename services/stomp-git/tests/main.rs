//! The set of marks as a table, and the service with a real broker and real git.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make origins by hand, and end at the first surprise"
)]

mod service;
mod work;

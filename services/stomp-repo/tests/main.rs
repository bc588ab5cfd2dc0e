//! The decisions as tables, the root part and the service with the real apt, a real signed repository and a real broker.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests prepare files by hand, and end at the first surprise"
)]

mod allowed;
mod plan;
mod root_part;
mod service;
mod work;

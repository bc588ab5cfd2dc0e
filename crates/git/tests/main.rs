//! Real git in temporary folders. `TEST_GIT` names another git than the one on `PATH`.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make origins, locks and silent servers by hand, and end at the first surprise"
)]

mod exact;
mod export;
mod fetch;
mod hooks;
mod hostile;
mod laying;
mod limits;
mod origin;
mod place;
mod served;
mod tips;

//! What the chassis promises to the services that stand on it.
#![expect(
    clippy::disallowed_methods,
    reason = "tests set files up and run a broker's side of the wire"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that cannot be done fails the test"
)]

mod bus;
mod composing;
mod counted;
mod fail_over;
mod faulty;
mod feed;
mod http;
mod limits;
mod log;
mod metrics;
mod outbox;
mod outbox_levels;
mod peer;
mod run_loop;
mod settings;
mod tls;

//! The orchestrator's promises, by part.
#![expect(
    clippy::disallowed_methods,
    reason = "tests read and write files and know the time themselves"
)]

mod api;
mod ci;
mod clear;
mod feed;
mod fleet;
mod gate;
mod glass;
mod known;
mod plan;
mod properties;
mod relay;
mod rollout;
mod select;
mod settings;
mod store;
mod support;
mod texts;
mod told;
mod watch;
mod waves;

#![doc = include_str!("../README.md")]

pub mod api;
pub mod app;
pub mod ci;
pub mod deploy;
pub mod feed;
pub mod http;
pub mod known;
mod orchestrator;
pub mod plan;
pub mod refused;
pub mod relay;
pub mod rollout;
pub mod select;
mod serve;
pub mod settings;
pub mod store;
pub mod texts;
pub mod told;
pub mod trust;
pub mod views;
pub mod waves;
pub mod web;

pub use serve::serve;
pub use settings::{Project, Settings};

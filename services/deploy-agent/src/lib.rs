#![doc = include_str!("../README.md")]

mod agent;
pub mod checks;
pub mod facts;
pub mod in_use;
pub mod journal;
pub mod layout;
pub mod leftover;
pub mod local;
pub mod machine;
pub mod manifest;
mod opening;
pub mod project;
pub mod redact;
pub mod run_folder;
mod runner;
pub mod script;
pub mod scripts;
pub mod settings;
pub mod steps;
pub mod tell;
pub mod trust;
pub mod verify;

pub use agent::serve;
pub use runner::{enter, step};
pub use settings::Settings;

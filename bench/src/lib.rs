#![doc = include_str!("../README.md")]
#![expect(
    clippy::disallowed_methods,
    reason = "this measures the machine itself: its clock, its processes, its files"
)]

pub mod broker;
pub mod cpu;
pub mod family;
pub mod machine;
pub mod run;

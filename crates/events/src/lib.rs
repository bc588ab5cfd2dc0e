#![doc = include_str!("../README.md")]

pub mod envelope;
pub mod message;
pub mod name;
pub mod topic;

pub use envelope::{Envelope, MAX_FRAME_BYTES, OpenError, ParseError, Payload, SealError};
pub use name::{
    CommitId, EnvironmentName, GroupName, HostName, NameError, ProjectName, RefKind, RefName,
    RepoName, TagName,
};
pub use topic::{Names, Topic};

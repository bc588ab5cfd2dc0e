#![doc = include_str!("../README.md")]

pub mod envelope;
pub mod facts;
pub mod message;
pub mod name;
pub mod one_line;
pub mod pattern;
pub mod topic;

pub use envelope::{Envelope, MAX_FRAME_BYTES, OpenError, ParseError, Payload, SealError};
pub use facts::{Fact, Facts, FactsError};
pub use name::{
    AptSource, Architecture, CommitId, ComponentName, EnvironmentName, GroupName, HostName,
    JobName, JournalHash, NameError, PackageName, PackageVersion, PageUrl, ProjectName, RefKind,
    RefName, RepoName, ServiceName, SuiteName, SvnPath, TagName,
};
pub use one_line::OneLine;
pub use pattern::Pattern;
pub use topic::{Names, Topic};

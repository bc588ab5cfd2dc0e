//! What the bus is told of a build.

use chassis::outbox::Waiting;
use events::{
    HostName, SealError,
    message::{CiFailed, CiStarted, CiSucceeded},
};
use world::World;

/// One of the three messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It began.
    Started(CiStarted),
    /// It is good.
    Succeeded(CiSucceeded),
    /// It is not.
    Failed(CiFailed),
}

impl Told {
    /// As it waits in a spool; `service` is who tells it.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn sealed(
        &self,
        service: &str,
        host: &HostName,
        world: &World,
    ) -> Result<Waiting, SealError> {
        let source = format!("/deploykit/{service}/{host}");
        match self {
            Self::Started(it) => Waiting::seal(it, &source, world),
            Self::Succeeded(it) => Waiting::seal(it, &source, world),
            Self::Failed(it) => Waiting::seal(it, &source, world),
        }
    }

    /// `shop 1f0c1e9d5b: backend/shop 42 succeeded`
    #[must_use]
    pub fn line(&self) -> String {
        let (build, word) = match self {
            Self::Started(it) => (&it.build, "started"),
            Self::Succeeded(it) => (&it.build, "succeeded"),
            Self::Failed(it) => (&it.build, "failed"),
        };
        let (repository, commit) = (&build.repository, build.commit.short());
        format!(
            "{repository} {commit}: {} {} {word}",
            build.job, build.number
        )
    }
}

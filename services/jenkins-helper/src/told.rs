//! What the bus is told of a build.

use chassis::outbox::Waiting;
use events::{
    HostName, SealError,
    message::{Built, CiFailed, CiStarted, CiSucceeded, Level, Said},
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
        let (build, word) = self.parts();
        let (repository, commit) = (&build.repository, build.commit.short());
        format!(
            "{repository} {commit}: {} {} {word}",
            build.job, build.number
        )
    }

    fn parts(&self) -> (&Built, &'static str) {
        match self {
            Self::Started(it) => (&it.build, "started"),
            Self::Succeeded(it) => (&it.build, "succeeded"),
            Self::Failed(it) => (&it.build, "failed"),
        }
    }

    /// For the feed.
    #[must_use]
    pub fn said(&self) -> Said {
        let (build, word) = self.parts();
        let (level, result) = match self {
            Self::Failed(it) => (Level::Problem, Some(it.result)),
            _ => (Level::Info, None),
        };
        Said::new(word, self.line())
            .level(level)
            .with("repository", &build.repository)
            .with("ref", &build.name)
            .with("commit", &build.commit)
            .with("project", &build.project)
            .with("job", &build.job)
            .with("number", build.number)
            .with("url", &build.url)
            .with("result", result)
    }
}

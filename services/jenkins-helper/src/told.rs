//! What the bus is told of a build.

use chassis::outbox::Waiting;
use events::{
    Envelope, HostName, Payload,
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
    /// As it waits in a spool.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn sealed(&self, host: &HostName, world: &World) -> anyhow::Result<Waiting> {
        match self {
            Self::Started(it) => sealed(it, host, world),
            Self::Succeeded(it) => sealed(it, host, world),
            Self::Failed(it) => sealed(it, host, world),
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

fn sealed<P: Payload>(payload: &P, host: &HostName, world: &World) -> anyhow::Result<Waiting> {
    let source = format!("/deploykit/jenkins-helper/{host}");
    let envelope = Envelope::seal(world.new_id(), &source, world.clock.now(), payload)?;
    Ok(Waiting {
        topic: payload.topic(),
        persistent: P::PERSISTENT,
        envelope,
    })
}

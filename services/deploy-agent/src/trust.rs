//! Whom this host believes: two files that configuration management ships, read again for each order.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use events::{HostName, message::Ordered};
use orders::{Admitted, Keyring, Policy};
use tokio::time::sleep;
use world::World;

use crate::settings::Settings;

/// How often files that cannot be read are tried: they may be just being written.
const TRIES: u32 = 10;
/// How long to wait before the next try.
const AGAIN: Duration = Duration::from_secs(1);

/// Where the two files are.
#[derive(Debug, Clone)]
pub struct Trust {
    /// `allowed_signers`, in OpenSSH's format.
    pub allowed_signers: PathBuf,
    /// Who may ask for what.
    pub policy: PathBuf,
}

impl Trust {
    /// The files that the settings name.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            allowed_signers: settings.allowed_signers.clone(),
            policy: settings.policy.clone(),
        }
    }

    /// Reads both files.
    ///
    /// # Errors
    /// One sentence that names the file. Nothing is believed then.
    pub async fn read(&self, world: &World) -> Result<(Keyring, Policy), String> {
        let signers = text(world, &self.allowed_signers).await?;
        let keyring =
            Keyring::parse(&signers).map_err(|error| wrong(&self.allowed_signers, &error))?;
        let policy = text(world, &self.policy).await?;
        let policy = Policy::parse(&policy).map_err(|error| wrong(&self.policy, &error))?;
        Ok((keyring, policy))
    }

    /// Believes an order, or says why not. Whether it comes in time and in order, its project says.
    ///
    /// While the files cannot be read it waits, a few seconds at most: that says nothing about the order.
    ///
    /// # Errors
    /// One sentence.
    pub async fn believe(
        &self,
        world: &World,
        ordered: &Ordered,
        host: &HostName,
    ) -> Result<Admitted, String> {
        let (keyring, policy) = self.read_in_the_end(world).await?;
        let now = world.clock.now();
        orders::authentic(ordered, host, &keyring, &policy, now)
            .map_err(|refusal| chassis::causes(&refusal))
    }

    async fn read_in_the_end(&self, world: &World) -> Result<(Keyring, Policy), String> {
        for _ in 1..TRIES {
            match self.read(world).await {
                Ok(read) => return Ok(read),
                Err(why) => tracing::warn!(why, "cannot tell yet whom to believe, an order waits"),
            }
            sleep(AGAIN).await;
        }
        self.read(world).await
    }
}

async fn text(world: &World, path: &Path) -> Result<String, String> {
    let file = path.to_owned();
    let bytes = world.on_disk(move |disk| disk.read(&file)).await;
    let bytes = bytes.map_err(|error| wrong(path, &error))?;
    String::from_utf8(bytes).map_err(|error| wrong(path, &error))
}

fn wrong(path: &Path, error: &(dyn std::error::Error + 'static)) -> String {
    format!("{}: {}", path.display(), chassis::causes(error))
}

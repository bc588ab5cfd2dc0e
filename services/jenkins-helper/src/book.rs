//! Notifications that are not told yet: one file per build.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use chassis::Failure;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use world::World;

use crate::notice::Notice;

/// Permissions of a file.
const MODE: u32 = 0o640;

/// A notification as it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) notice: Notice,
    pub(crate) since: Timestamp,
    /// The bus knows that it began.
    #[serde(default)]
    pub(crate) told_start: bool,
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Book(PathBuf);

impl Book {
    pub(crate) async fn open(world: &World, state: &Path) -> Result<(Self, Vec<Kept>), Failure> {
        let folder = state.join("notices");
        let made = folder.clone();
        let read = world.on_disk(move |disk| {
            disk.create_folders(&made, 0o750)?;
            let mut all = Vec::new();
            for entry in disk.list(&made)? {
                if entry.path.extension().is_none_or(|it| it != "json") {
                    continue;
                }
                match serde_json::from_slice::<Kept>(&disk.read(&entry.path)?) {
                    Ok(kept) => all.push(kept),
                    Err(error) => {
                        tracing::error!(file = %entry.path.display(), %error, "put aside as .bad: it is no notification");
                        disk.rename(&entry.path, &entry.path.with_extension("json.bad"))?;
                    }
                }
            }
            Ok(all)
        });
        let all = read
            .await
            .with_context(|| format!("cannot use the state folder {}", state.display()))?;
        Ok((Self(folder), all))
    }

    pub(crate) async fn write(&self, world: &World, kept: &Kept) -> io::Result<()> {
        let file = self.file(&kept.notice);
        let bytes = serde_json::to_vec(kept)?;
        let written = world.on_disk(move |disk| disk.replace(&file, &bytes, MODE));
        written.await
    }

    pub(crate) async fn remove(&self, world: &World, notice: &Notice) -> io::Result<()> {
        let file = self.file(notice);
        world.on_disk(move |disk| disk.remove_file(&file)).await
    }

    fn file(&self, notice: &Notice) -> PathBuf {
        let Notice { job, number, .. } = notice;
        let name = hex::encode(&Sha256::digest(job.as_str())[..12]);
        self.0.join(format!("{name}-{number}.json"))
    }
}

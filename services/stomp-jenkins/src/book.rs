//! The state folder: one file per build, replaced whole at each change. A process that is killed goes on from these.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use chassis::Failure;
use jiff::{SignedDuration, Timestamp};
use world::{Lock, World};

use crate::follow::{Followed, Stage};

/// Permissions of a file.
const MODE: u32 = 0o640;

/// The state folder, which is this process's own while this lives.
#[derive(Debug)]
pub(crate) struct Book {
    folder: PathBuf,
    _own: Box<dyn Lock>,
}

impl Book {
    pub(crate) async fn open(world: &World, state: &Path) -> Result<Self, Failure> {
        let folder = state.join("builds");
        let (made, lock) = (folder.clone(), state.join("lock"));
        let opened = world.on_disk(move |disk| {
            disk.create_folders(&made, 0o750)?;
            disk.lock(&lock)
        });
        let own = opened
            .await
            .with_context(|| format!("cannot use the state folder {}", state.display()))?;
        match own {
            Some(own) => Ok(Self { folder, _own: own }),
            None => Err(anyhow::anyhow!(
                "another stomp-jenkins uses the state folder {}: give each its own `state`",
                state.display()
            )
            .into()),
        }
    }

    /// Everything in it, oldest first, without what ended longer ago than is remembered. What cannot be read is put aside.
    pub(crate) async fn read(
        &self,
        world: &World,
        remembered: Duration,
    ) -> Result<Vec<Followed>, Failure> {
        let folder = self.folder.clone();
        let until = remembered_since(world.clock.now(), remembered);
        let read = world.on_disk(move |disk| {
            let mut all = Vec::new();
            for entry in disk.list(&folder)? {
                if entry.path.extension().is_none_or(|it| it != "json") {
                    continue;
                }
                let bytes = disk.read(&entry.path)?;
                match serde_json::from_slice::<Followed>(&bytes) {
                    Ok(it) if matches!(it.stage, Stage::Ended { .. }) && it.since < until => {
                        disk.remove_file(&entry.path)?;
                    }
                    Ok(it) => all.push(it),
                    Err(error) => {
                        tracing::error!(file = %entry.path.display(), %error, "put aside as .bad: it is no build");
                        disk.rename(&entry.path, &entry.path.with_extension("json.bad"))?;
                    }
                }
            }
            all.sort_by_key(|it| it.since);
            Ok(all)
        });
        let read = read.await;
        Ok(read.with_context(|| format!("cannot read {}", self.folder.display()))?)
    }

    /// It lasts from then on.
    pub(crate) async fn write(&self, world: &World, followed: &Followed) -> io::Result<()> {
        let file = self.file(&followed.wanted.id);
        let mut bytes = serde_json::to_vec_pretty(followed)?;
        bytes.push(b'\n');
        let written = world.on_disk(move |disk| disk.replace(&file, &bytes, MODE));
        written.await
    }

    pub(crate) async fn remove(&self, world: &World, id: &str) -> io::Result<()> {
        let file = self.file(id);
        world.on_disk(move |disk| disk.remove_file(&file)).await
    }

    /// An id is hexadecimal digits.
    fn file(&self, id: &str) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

/// The moment before which an end is forgotten.
pub(crate) fn remembered_since(now: Timestamp, remembered: Duration) -> Timestamp {
    let remembered = SignedDuration::try_from(remembered).unwrap_or(SignedDuration::MAX);
    now.checked_sub(remembered).unwrap_or(Timestamp::MIN)
}

//! The steps that make a release: laid out beside the others, checked, flushed, named; then what is shared is linked in.

use std::{io, path::Path};

use events::CommitId;
use git::{GitError, Mirror, Tree};
use tokio_util::sync::CancellationToken;
use world::Disk;

use super::{Done, Site, Trouble, Work, mirror, needed, until};
use crate::manifest::{self, Manifest, Terms};

fn of_git(error: GitError) -> Trouble {
    match &error {
        GitError::Disk { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
            Trouble::NotYet(chassis::causes(&error))
        }
        _ => Trouble::Failed(chassis::causes(&error)),
    }
}

/// What does not become whole is removed at once: it may be what fills the disk.
pub(super) async fn lay_out(site: &Site, work: &Work, end: &CancellationToken) -> Done {
    let done = make_release(site, work, end).await;
    if let (Err(_), Some(release)) = (&done, &work.release) {
        let partial = site.layout.partial(release);
        let removed = site
            .world
            .on_disk(move |disk| disk.remove_tree(&partial))
            .await;
        if let Err(error) = removed {
            // Pruning tries again.
            tracing::warn!(release, %error, "a half-made release is not removed yet");
        }
    }
    done
}

async fn make_release(site: &Site, work: &Work, end: &CancellationToken) -> Done {
    let commit = needed(&work.asked.commit, "commit to prepare")?;
    let name = needed(&work.release, "release to make")?.clone();
    let layout = site.layout.clone();
    let (release, partial) = (layout.release(&name), layout.partial(&name));
    let clear = {
        let partial = partial.clone();
        move |disk: &dyn Disk| {
            let there = disk.look(&release)?.is_some();
            if !there {
                disk.remove_tree(&partial)?;
            }
            Ok(there)
        }
    };
    if site.world.on_disk(clear).await? {
        return Ok(None);
    }
    let mirror = mirror(site);
    let planned = until(end, async {
        let tree = mirror.tree(commit).await.map_err(of_git)?;
        let said = said_by(&mirror, &tree).await?;
        Ok((tree, said))
    });
    let (_tree, said) = planned.await?;
    let scripts = site.scripts.under(&terms(site, commit, &said)?);
    let export = async { mirror.export(commit, &partial).await.map_err(of_git) };
    let exported = until(end, export).await?;
    let complete = move |disk: &dyn Disk| {
        let found = scripts.find(disk, &partial, false);
        if found.is_ok() {
            disk.replace(&layout.manifest(&name), &said, 0o644)?;
            layout.complete(disk, &name)?;
        }
        Ok(found)
    };
    let found = site.world.on_disk(complete).await?;
    found.map_err(Trouble::Failed)?;
    Ok(Some(format!(
        "{} files, {} bytes",
        exported.files, exported.bytes
    )))
}

/// What is in the `deploy.toml` of a tree; nothing without one.
async fn said_by(mirror: &Mirror, tree: &Tree) -> Result<Vec<u8>, Trouble> {
    match tree.at(Path::new(manifest::FILE)) {
        Some(file) => mirror
            .read(file, manifest::MOST_BYTES)
            .await
            .map_err(of_git),
        None => Ok(Vec::new()),
    }
}

fn terms(site: &Site, commit: &CommitId, said: &[u8]) -> Result<Terms, Trouble> {
    let name = format!("{} of {}", manifest::FILE, commit.short());
    let terms = Manifest::parse(said, &name).and_then(|manifest| {
        Terms::of(&site.settings, &manifest).map_err(|wrong| format!("{name}: {wrong}"))
    });
    terms.map_err(Trouble::Failed)
}

/// Links in what outlives the release.
pub(super) async fn share(site: &Site, work: &Work) -> Done {
    let release = needed(&work.release, "release to link in")?.clone();
    let (layout, host) = (site.layout.clone(), site.settings.clone());
    let link = move |disk: &dyn Disk| {
        let terms = match Terms::of_release(disk, &layout, &host, &release)? {
            Ok(terms) => terms,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut links = terms.shared.iter();
        Ok(links.try_for_each(|path| layout.share(disk, &release, path)))
    };
    site.world.on_disk(link).await?.map_err(Trouble::Failed)?;
    Ok(None)
}

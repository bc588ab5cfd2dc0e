//! The steps that make a release: laid out beside the others, checked, flushed, named; then what is shared is linked in.

use std::{io, path::PathBuf, time::Duration};

use events::CommitId;
use git::{Exported, GitError, Laid, Laying, Mirror, Tree};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use world::{Disk, User};

use super::{Done, Site, Trouble, Work, mirror, needed, until};
use crate::{
    layout::Owner,
    manifest::{self, Manifest, Terms},
};

/// The clock of a file system is the kernel's coarse one, which moves on every 1 to 10 ms.
const TICK: Duration = Duration::from_millis(12);

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
    let said = until(end, said_by(&mirror, commit)).await?;
    let terms = terms(site, commit, &said)?;
    let limited = site.git.clone().with_limits(git::Limits {
        export_bytes: terms.release_mb.saturating_mul(1 << 20),
        export_files: terms.release_files,
        ..site.git.limits()
    });
    let mirror = Mirror::at(mirror.folder(), &limited);
    let tree = until(end, async { mirror.tree(commit).await.map_err(of_git) }).await?;
    room(site, &tree).await?;
    let laying = Laying {
        owner: owner(site, &terms).await?,
        hard_links: terms.hard_links,
        earlier: earlier(site).await?,
    };
    let lay_out = async {
        let laid_out = mirror.lay_out(commit, tree, &partial, laying);
        laid_out.await.map_err(of_git)
    };
    let laid_out = until(end, lay_out).await?;
    keep(site, &name, laid_out.laid).await?;
    let scripts = site.scripts.under(&terms);
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
    let Exported { files, bytes } = laid_out.exported;
    let same = match laid_out.taken_over {
        0 => String::new(),
        same => format!(", {same} files as before"),
    };
    Ok(Some(format!("{files} files, {bytes} bytes{same}")))
}

/// There is room for a tree, and something to spare. The reason stays the same while it is waited for.
async fn room(site: &Site, tree: &Tree) -> Result<(), Trouble> {
    let folder = site.layout.releases();
    let space = site.world.on_disk(move |disk| disk.space(&folder)).await?;
    let host = &site.settings;
    let bytes = tree.disk_bytes();
    let (spare_mb, spare_files) = (host.spare_mb, host.spare_files);
    let spare_bytes = spare_mb.saturating_mul(1 << 20);
    let disk = site.layout.releases();
    let disk = disk.display();
    if space.free_bytes < bytes.saturating_add(spare_bytes) {
        let mb = bytes.div_ceil(1 << 20);
        return Err(Trouble::NotYet(format!(
            "the disk of {disk} is short: {mb} MB are needed beside the {spare_mb} MB that stay free"
        )));
    }
    let files = tree.files();
    if space.free_files < files.saturating_add(spare_files) {
        return Err(Trouble::NotYet(format!(
            "the disk of {disk} is short of inodes: {files} are needed beside the {spare_files} that stay free"
        )));
    }
    Ok(())
}

/// Whose the release will be, if not this process's.
async fn owner(site: &Site, terms: &Terms) -> Result<Option<Owner>, Trouble> {
    let Some(name) = &terms.owner else {
        return Ok(None);
    };
    let user = User::find(&site.world, name).await;
    let user = user.map_err(|error| Trouble::Failed(chassis::causes(&error)))?;
    if user.is_another() && !rustix::process::geteuid().is_root() {
        return Err(Trouble::Failed(format!(
            "owner: only root can give files to {name}: start deploy-agent as root, or as {name}"
        )));
    }
    Ok(user.is_another().then(|| (user.uid(), user.gid())))
}

/// The newest release of which it is known what was laid out.
async fn earlier(site: &Site) -> Result<Option<(PathBuf, Laid)>, Trouble> {
    let layout = site.layout.clone();
    let find = move |disk: &dyn Disk| {
        for release in layout.complete_releases(disk)?.into_iter().rev() {
            let known = match disk.read(&layout.laid(&release)) {
                Ok(known) => known,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // What is not understood, another build's say, is as good as not there.
            if let Ok(laid) = serde_json::from_slice(&known) {
                return Ok(Some((layout.release(&release), laid)));
            }
        }
        Ok(None)
    };
    Ok(site.world.on_disk(find).await?)
}

/// Keeps what was laid out, for the next release. Whatever is touched from then on has a later time than what was laid out.
async fn keep(site: &Site, release: &str, laid: Option<Laid>) -> Result<(), Trouble> {
    let Some(laid) = laid else {
        return Ok(());
    };
    let path = site.layout.laid(release);
    let write = move |disk: &dyn Disk| {
        let known = serde_json::to_vec(&laid)?;
        disk.remove_file(&path)?;
        disk.create_from(&path, &mut known.as_slice(), 0o640)?;
        let kept = disk.stamp(&path)?;
        Ok(kept.is_some_and(|kept| kept.changed_ns > laid.newest_ns()))
    };
    if !site.world.on_disk(write).await? {
        sleep(TICK).await;
    }
    Ok(())
}

/// What is in the `deploy.toml` of a commit; nothing without one. It is read first: it says how large the rest may be.
async fn said_by(mirror: &Mirror, commit: &CommitId) -> Result<Vec<u8>, Trouble> {
    let file = mirror.at_root(commit, manifest::FILE).await;
    match file.map_err(of_git)? {
        Some(file) => mirror
            .read(&file, manifest::MOST_BYTES)
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
    let (layout, host, name) = (site.layout.clone(), site.settings.clone(), release.clone());
    let terms = move |disk: &dyn Disk| Terms::of_release(disk, &layout, &host, &name);
    let terms = site.world.on_disk(terms).await?.map_err(Trouble::Failed)?;
    let (layout, owner) = (site.layout.clone(), owner(site, &terms).await?);
    let link = move |disk: &dyn Disk| {
        if let Some(already) = layout.handed_over(disk, &release)? {
            // A crash came behind it: all else was done, and is not looked at again in a folder that is somebody else's.
            return layout.hand_over(disk, &release, already).map(Ok);
        }
        let mut links = terms.shared.iter();
        let shared = links.try_for_each(|path| layout.share(disk, &release, path, owner));
        if let (Ok(()), Some(owner)) = (&shared, owner) {
            layout.hand_over(disk, &release, owner)?;
        }
        Ok(shared)
    };
    site.world.on_disk(link).await?.map_err(Trouble::Failed)?;
    Ok(None)
}

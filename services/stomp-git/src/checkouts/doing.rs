//! Doing it: whole trees beside, links switched by rename, old trees removed later.
//!
//! Killed anywhere: a half tree is named `.partial` or `.gone` and goes at the next look; a whole one without its link is
//! taken up again; a link leads to the old tree or to the new one, both whole.

use std::io;

use events::{CommitId, RepoName};
use git::{GitError, Mirror};
use serde::{Deserialize, Serialize};
use world::{Disk, Kind, Lock, World};

use super::{
    Checkouts, Fate, Ground, Link, Move, Place, Tree, fates, ground::name_of, moves, wish,
};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckedOut {
    /// Folders that are not as they were.
    pub switched: Vec<Switched>,
    /// What could not be done.
    pub troubles: Vec<Trouble>,
}

/// A folder that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switched {
    /// Its name.
    pub name: String,
    /// The commit it had; `None` for a new one.
    pub before: Option<CommitId>,
    /// The commit it has; `None` for one that is gone.
    pub after: Option<CommitId>,
}

/// What could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What, and what to do about it.
    pub text: String,
    /// True if a second try may help; else a person has to.
    pub passes: bool,
}

impl CheckedOut {
    fn only(text: String, passes: bool) -> Self {
        let troubles = vec![Trouble { text, passes }];
        Self {
            switched: Vec::new(),
            troubles,
        }
    }

    fn trouble(&mut self, text: String, passes: bool) {
        self.troubles.push(Trouble { text, passes });
    }
}

/// Brings the folders of a repository to what its mirror has.
pub async fn check_out(
    mirror: &Mirror,
    world: &World,
    repository: &RepoName,
    wanted: &Checkouts,
) -> CheckedOut {
    let place = &wanted.place;
    let refs = match mirror.refs().await {
        Ok(refs) => refs,
        Err(error) => return CheckedOut::only(chassis::causes(&error), true),
    };
    let (at, owner) = (place.clone(), format!("{repository}\n"));
    let ready = world
        .on_disk(move |disk| make_ready(disk, &at, &owner))
        .await;
    let (_held, ground) = match ready {
        Ok(Ok(Some(ready))) => ready,
        Ok(Ok(None)) => {
            let text = format!("{} is in use by another stomp-git", place.store().display());
            return CheckedOut::only(text, true);
        }
        Ok(Err(foreign)) => return CheckedOut::only(foreign, false),
        Err(error) => {
            let text = format!("cannot use {}: {error}", place.links().display());
            return CheckedOut::only(text, true);
        }
    };
    let wish = wish(&wanted.what, place, &refs, &ground.names());
    let mut done = CheckedOut::default();
    for text in &wish.troubles {
        done.trouble(text.clone(), false);
    }
    for step in moves(&wish, &ground) {
        go(mirror, world, place, &ground, step, &mut done).await;
    }
    let now_s = world.clock.now().as_second();
    let (at, keep_s) = (place.clone(), wanted.keep_s);
    let tidied = world.on_disk(move |disk| tidy(disk, &at, now_s, keep_s));
    if let Err(error) = tidied.await {
        let trees = place.trees();
        done.trouble(
            format!(
                "old trees in {} cannot be removed: {error}",
                trees.display()
            ),
            true,
        );
    }
    done
}

/// The lock, and what is there; `Ok(None)` while somebody else has the lock.
type Ready = Option<(Box<dyn Lock>, Ground)>;

/// Makes the place, where missing, and removes what a crash left half made. A store that names another repository, or
/// was not made here, is refused.
fn make_ready(disk: &dyn Disk, place: &Place, owner: &str) -> io::Result<Result<Ready, String>> {
    let store = place.store();
    if disk.look(&store)?.is_none() {
        disk.create_folders(&store, 0o755)?;
        disk.sync_folder(place.links())?;
    }
    match disk.look(&place.owner())? {
        Some(_) => {
            let found = String::from_utf8_lossy(&disk.read(&place.owner())?).into_owned();
            if found != owner {
                let (store, found) = (store.display(), found.trim_end());
                return Ok(Err(format!(
                    "{store} is for {found:?}: give this repository a folder of its own, or remove that one"
                )));
            }
        }
        None if disk.look(&place.trees())?.is_some() => {
            let store = store.display();
            return Ok(Err(format!(
                "{store} was not made by stomp-git, since it names no owner: move it away"
            )));
        }
        None => disk.replace(&place.owner(), owner.as_bytes(), 0o644)?,
    }
    let Some(held) = disk.lock(&place.lock())? else {
        return Ok(Ok(None));
    };
    disk.create_folders(&place.trees(), 0o755)?;
    let folders = disk.list(&place.trees())?.into_iter();
    for folder in folders.filter(|entry| entry.kind == Kind::Folder) {
        let mut left = false;
        for entry in disk.list(&folder.path)? {
            let name = name_of(&entry.path);
            let half = name.ends_with(".partial") || name.ends_with(".gone");
            if half && entry.kind == Kind::Folder {
                disk.remove_tree(&entry.path)?;
            } else {
                left = true;
            }
        }
        if !left {
            disk.remove_tree(&folder.path)?;
        }
    }
    disk.remove_file(&place.next_link())?;
    Ok(Ok(Some((held, Ground::read(disk, place)?))))
}

async fn go(
    mirror: &Mirror,
    world: &World,
    place: &Place,
    ground: &Ground,
    step: Move,
    done: &mut CheckedOut,
) {
    let before = |name: &String| match ground.links.get(name) {
        Some(Link::Ours(commit)) => Some(commit.clone()),
        Some(Link::Foreign) | None => None,
    };
    match step {
        Move::Lead { name, to, laid_out } => {
            if !laid_out && let Err(error) = lay_out(mirror, world, place, &name, &to).await {
                let passes = !matches!(error, GitError::Refused { .. });
                let link = place.link(&name);
                let why = chassis::causes(&error);
                let text = format!(
                    "{} stays as it is, without {}: {why}",
                    link.display(),
                    to.short()
                );
                done.trouble(text, passes);
                return;
            }
            let (at, folder, commit) = (place.clone(), name.clone(), to.clone());
            let led = world.on_disk(move |disk| lead(disk, &at, &folder, &commit));
            match led.await {
                Ok(()) => done.switched.push(Switched {
                    before: before(&name),
                    name,
                    after: Some(to),
                }),
                Err(error) => {
                    let link = place.link(&name);
                    done.trouble(
                        format!("{} cannot be switched: {error}", link.display()),
                        true,
                    );
                }
            }
        }
        Move::TakeAway { name } => {
            let (at, folder) = (place.clone(), name.clone());
            match world
                .on_disk(move |disk| take_away(disk, &at, &folder))
                .await
            {
                Ok(()) => done.switched.push(Switched {
                    before: before(&name),
                    name,
                    after: None,
                }),
                Err(error) => {
                    let link = place.link(&name);
                    done.trouble(
                        format!("{} cannot be removed: {error}", link.display()),
                        true,
                    );
                }
            }
        }
        Move::Leave { name } => {
            let link = place.link(&name);
            let text = format!(
                "{} was not made by stomp-git and stays: move it away",
                link.display()
            );
            done.trouble(text, false);
        }
    }
}

/// A whole tree under its name: laid out beside, flushed, renamed.
async fn lay_out(
    mirror: &Mirror,
    world: &World,
    place: &Place,
    name: &str,
    commit: &CommitId,
) -> Result<(), GitError> {
    let (folder, tree) = (place.trees_of(name), place.tree(name, commit));
    let partial = place.beside(name, commit, "partial");
    let disk = |source| GitError::Disk {
        path: folder.clone(),
        source,
    };
    let made = folder.clone();
    let made = world.on_disk(move |disk| disk.create_folders(&made, 0o755));
    made.await.map_err(disk)?;
    mirror.export(commit, &partial).await?;
    let above = folder.clone();
    let whole = world.on_disk(move |disk| {
        disk.sync_all(&partial)?;
        disk.rename(&partial, &tree)?;
        disk.sync_folder(&above)
    });
    whole.await.map_err(disk)
}

fn lead(disk: &dyn Disk, place: &Place, name: &str, commit: &CommitId) -> io::Result<()> {
    disk.remove_file(&place.beside(name, commit, "old"))?;
    let next = place.next_link();
    disk.remove_file(&next)?;
    disk.symlink(&place.target(name, commit), &next)?;
    disk.rename(&next, &place.link(name))?;
    disk.sync_folder(place.links())
}

fn take_away(disk: &dyn Disk, place: &Place, name: &str) -> io::Result<()> {
    disk.remove_file(&place.link(name))?;
    disk.sync_folder(place.links())
}

fn tidy(disk: &dyn Disk, place: &Place, now_s: i64, keep_s: u64) -> io::Result<()> {
    let ground = Ground::read(disk, place)?;
    let note = |tree: &Tree| place.beside(&tree.name, &tree.commit, "old");
    for fate in fates(&ground, now_s, keep_s) {
        match fate {
            Fate::Unmark(tree) => disk.remove_file(&note(&tree))?,
            Fate::Mark(tree) => disk.replace(&note(&tree), now_s.to_string().as_bytes(), 0o644)?,
            Fate::Remove(tree) => {
                let gone = place.beside(&tree.name, &tree.commit, "gone");
                disk.rename(&place.tree(&tree.name, &tree.commit), &gone)?;
                disk.remove_tree(&gone)?;
                disk.remove_file(&note(&tree))?;
            }
        }
    }
    Ok(())
}

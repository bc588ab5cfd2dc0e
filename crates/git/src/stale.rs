//! What a killed git leaves behind, which would stop every later fetch or fill the disk.

use std::{
    io,
    path::{Path, PathBuf},
};

use world::{Disk, Entry, Kind};

use crate::users;

/// Seconds since its last write after which a leftover may be taken for one, if nobody uses the mirror.
const SETTLED_S: i64 = 10;

/// Removes lock files and half packs that are nobody's: last written `stale_s` ago, or [`SETTLED_S`] ago when no process
/// is in the mirror. Only for the holder of the mirror's lock. Says how many went.
pub(crate) fn sweep(disk: &dyn Disk, mirror: &Path, now_s: i64, stale_s: i64) -> io::Result<usize> {
    let settled: Vec<Left> = left(disk, mirror)?
        .into_iter()
        .filter(|left| left.age_s(now_s) > SETTLED_S.min(stale_s))
        .collect();
    if settled.is_empty() {
        return Ok(0);
    }
    let abandoned = !users::any(disk, mirror);
    let mut swept = 0;
    for left in settled {
        if abandoned || left.age_s(now_s) > stale_s {
            disk.remove_file(&left.path)?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// A file that a git makes for a while.
struct Left {
    path: PathBuf,
    modified_s: i64,
}

impl Left {
    fn age_s(&self, now_s: i64) -> i64 {
        now_s.saturating_sub(self.modified_s)
    }
}

fn left(disk: &dyn Disk, mirror: &Path) -> io::Result<Vec<Left>> {
    let mut found = Vec::new();
    let mut look = |folder: &Path, deep: bool, left: fn(&str) -> bool| {
        look_through(disk, folder, deep, left, &mut found)
    };
    look(mirror, false, is_lock)?;
    look(&mirror.join("refs"), true, is_lock)?;
    look(&mirror.join("objects/info"), true, is_half)?;
    look(&mirror.join("objects/pack"), false, is_half)?;
    Ok(found)
}

fn is_lock(name: &str) -> bool {
    // No ref can end so: git forbids it.
    name.ends_with(".lock")
}

fn is_half(name: &str) -> bool {
    is_lock(name) || name.starts_with("tmp_") || name.starts_with(".tmp-")
}

fn look_through(
    disk: &dyn Disk,
    folder: &Path,
    deep: bool,
    left: fn(&str) -> bool,
    found: &mut Vec<Left>,
) -> io::Result<()> {
    let entries = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for Entry {
        path,
        kind,
        modified_s,
        ..
    } in entries
    {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match kind {
            Kind::Folder if deep => look_through(disk, &path, deep, left, found)?,
            Kind::File if left(&name) => found.push(Left { path, modified_s }),
            Kind::File | Kind::Folder | Kind::Link | Kind::Other => {}
        }
    }
    Ok(())
}

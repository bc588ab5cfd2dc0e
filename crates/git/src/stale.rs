//! What a killed git leaves behind, which would stop every later fetch or fill the disk.

use std::{io, path::Path};

use world::{Disk, Entry, Kind};

/// Removes lock files and half packs last written before `before_s` (seconds since 1970). Only for the holder of the
/// mirror's lock. Says how many went.
pub(crate) fn sweep(disk: &dyn Disk, mirror: &Path, before_s: i64) -> io::Result<usize> {
    let mut swept = 0;
    let mut look = |folder: &Path, deep: bool, left: fn(&str) -> bool| {
        sweep_folder(disk, folder, deep, before_s, left, &mut swept)
    };
    look(mirror, false, is_lock)?;
    look(&mirror.join("refs"), true, is_lock)?;
    look(&mirror.join("objects/info"), false, is_lock)?;
    look(&mirror.join("objects/pack"), false, |name| {
        name.starts_with("tmp_") || is_lock(name)
    })?;
    Ok(swept)
}

fn is_lock(name: &str) -> bool {
    // No ref can end so: git forbids it.
    name.ends_with(".lock")
}

fn sweep_folder(
    disk: &dyn Disk,
    folder: &Path,
    deep: bool,
    before_s: i64,
    left: fn(&str) -> bool,
    swept: &mut usize,
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
            Kind::Folder if deep => sweep_folder(disk, &path, deep, before_s, left, swept)?,
            Kind::File if modified_s < before_s && left(&name) => {
                disk.remove_file(&path)?;
                *swept += 1;
            }
            Kind::File | Kind::Folder | Kind::Link | Kind::Other => {}
        }
    }
    Ok(())
}

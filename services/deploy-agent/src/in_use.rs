//! Which releases a process still uses: it is in one, runs from one, has a file of one open or mapped, or was started with one's name.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

use memchr::memmem;
use world::Disk;

/// Those of these releases that a process uses. An agent that is not root sees only the processes of its own user.
///
/// # Errors
/// The system's: then nothing is known.
pub fn in_use(disk: &dyn Disk, releases: &[String]) -> io::Result<BTreeSet<String>> {
    let mut used = BTreeSet::new();
    for process in disk.list(Path::new("/proc"))? {
        let name = process.path.file_name().unwrap_or_default();
        let others = name.as_bytes().iter().all(u8::is_ascii_digit)
            && name != OsStr::new(&std::process::id().to_string());
        if others {
            let unknown = releases.iter().filter(|release| !used.contains(*release));
            let found: Vec<String> = unknown
                .filter(|release| uses(disk, &process.path, release))
                .cloned()
                .collect();
            used.extend(found);
        }
    }
    Ok(used)
}

fn uses(disk: &dyn Disk, process: &Path, release: &str) -> bool {
    // What cannot be read is another user's, or has just ended.
    let leads = |link: &Path| {
        let target = disk.read_link(link).ok().flatten().unwrap_or_default();
        let in_release = |part| part == Component::Normal(OsStr::new(release));
        target.components().any(in_release)
    };
    let names = |file: &str| {
        let text = disk.read(&process.join(file)).unwrap_or_default();
        memmem::find(&text, release.as_bytes()).is_some()
    };
    let open = || {
        let files = disk.list(&process.join("fd")).unwrap_or_default();
        files.iter().any(|file| leads(&file.path))
    };
    ["cwd", "exe", "root"]
        .iter()
        .any(|link| leads(&process.join(link)))
        || names("cmdline")
        || names("maps")
        || open()
}

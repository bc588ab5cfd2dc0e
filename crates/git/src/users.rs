//! Whether any process works in a mirror: a git can outlive the service that started it and was killed.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use world::Disk;

/// True if a process of this user names the mirror in its arguments or its environment, is in it, or has a file of it
/// open; and where that cannot be known. Another user's git, a person's say, is not seen: its locks last for moments.
pub(crate) fn any(disk: &dyn Disk, mirror: &Path) -> bool {
    let Ok(processes) = disk.list(Path::new("/proc")) else {
        return true;
    };
    let own = std::process::id().to_string();
    processes.iter().any(|process| {
        let name = process.path.file_name().unwrap_or_default();
        let is_process = name.as_bytes().iter().all(u8::is_ascii_digit);
        is_process && name != OsStr::new(&own) && works_in(disk, &process.path, mirror)
    })
}

fn works_in(disk: &dyn Disk, process: &Path, mirror: &Path) -> bool {
    // What cannot be read belongs to somebody else, or has just ended.
    let names = |file: &str| {
        let text = disk.read(&process.join(file)).unwrap_or_default();
        let name = mirror.as_os_str().as_bytes();
        text.windows(name.len()).any(|part| part == name)
    };
    let leads = |link: &Path| {
        let target = disk.read_link(link).ok().flatten();
        target.is_some_and(|target| target.starts_with(mirror))
    };
    let open = || {
        let files = disk.list(&process.join("fd")).unwrap_or_default();
        files.iter().any(|file| leads(&file.path))
    };
    names("cmdline") || names("environ") || leads(&process.join("cwd")) || open()
}

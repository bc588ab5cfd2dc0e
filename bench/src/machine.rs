//! On what a figure was taken.

use std::{env, fmt, fs, path::Path, thread};

/// The machine, as far as it explains a figure.
#[derive(Debug)]
pub struct Machine {
    processor: String,
    cores: usize,
    memory: String,
    system: String,
    kernel: String,
    scratch: String,
    load: String,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn this() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let first = |text: &str| text.split_whitespace().next().unwrap_or("?").to_owned();
        let memory = value(&read("/proc/meminfo"), "MemTotal", ':');
        Self {
            processor: value(&read("/proc/cpuinfo"), "model name", ':'),
            cores: thread::available_parallelism().map_or(0, usize::from),
            memory: first(&memory)
                .parse()
                .map_or(memory, |kib: f64| format!("{:.1} GB", kib * 1024.0 / 1e9)),
            system: value(&read("/etc/os-release"), "PRETTY_NAME", '=').replace('"', ""),
            kernel: first(&read("/proc/sys/kernel/osrelease")),
            scratch: file_system(&read("/proc/mounts"), &env::temp_dir()),
            load: first(&read("/proc/loadavg")),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} cores, {}; {}, Linux {}; temporary files on {}; load before {}",
            self.processor,
            self.cores,
            self.memory,
            self.system,
            self.kernel,
            self.scratch,
            self.load
        )
    }
}

/// What stands after `key` in a file of `key: value` lines.
fn value(text: &str, key: &str, separator: char) -> String {
    let mut pairs = text.lines().filter_map(|line| line.split_once(separator));
    let found = pairs.find(|(name, _)| name.trim() == key);
    found.map_or("?", |(_, value)| value.trim()).to_owned()
}

/// The type of the file system that holds `folder`: that of the longest mount point above it.
fn file_system(mounts: &str, folder: &Path) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = mounts.filter(|(point, _)| folder.starts_with(point));
    let nearest = above.max_by_key(|(point, _)| point.len());
    nearest.map_or("?", |(_, kind)| kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_its_memory_and_kernel() {
        let this = Machine::this();
        assert!(this.memory.ends_with(" GB"), "{this}");
        assert!(this.cores > 0 && this.kernel.contains('.'), "{this}");
    }

    #[test]
    fn a_value_is_found_by_its_whole_key() {
        let text = "MemTotalX: 1 kB\nMemTotal:   8 kB\n";
        assert_eq!(value(text, "MemTotal", ':'), "8 kB");
        assert_eq!(value(text, "Mem", ':'), "?");
    }

    #[test]
    fn the_nearest_mount_point_counts() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\ntmpfs /tmpx ramfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/tmp/x")), "tmpfs");
        assert_eq!(file_system(mounts, Path::new("/srv")), "ext4");
    }
}

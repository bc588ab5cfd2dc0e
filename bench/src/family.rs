//! A process and everything it ever started, found again by parent, and their memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// A process, told from a later one with the same number by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    number: u32,
    started: u64,
}

/// One line of the process table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    process: Process,
    name: String,
    parent: u32,
}

/// The processes seen so far that descend from one; a child whose parent is gone stays in it.
#[derive(Debug)]
pub struct Family {
    ancestor: u32,
    members: BTreeSet<Process>,
}

/// Memory by program name: how many processes, how many bytes of PSS together.
pub type Memory = BTreeMap<String, (usize, u64)>;

/// All of it.
#[must_use]
pub fn total(memory: &Memory) -> u64 {
    memory.values().map(|(_, bytes)| bytes).sum()
}

impl Family {
    /// The family of a running process.
    #[must_use]
    pub fn of(ancestor: u32) -> Self {
        Self {
            ancestor,
            members: BTreeSet::new(),
        }
    }

    /// Looks at all processes now; what the living members use.
    pub fn sample(&mut self) -> Memory {
        let mut memory = Memory::new();
        for row in self.living(table()) {
            let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", row.process.number));
            let bytes = rollup.ok().and_then(|text| pss(&text)).unwrap_or(0);
            let sum = memory.entry(row.name).or_insert((0, 0));
            *sum = (sum.0 + 1, sum.1 + bytes);
        }
        memory
    }

    /// Takes in new children and gives the rows of those alive.
    fn living(&mut self, table: Vec<Row>) -> Vec<Row> {
        loop {
            let alive = |number: u32| {
                let mut known = self.members.iter();
                known.any(|it| it.number == number && table.iter().any(|row| row.process == *it))
            };
            let new: Vec<Process> = table
                .iter()
                .filter(|row| row.process.number == self.ancestor || alive(row.parent))
                .map(|row| row.process)
                .filter(|process| !self.members.contains(process))
                .collect();
            if new.is_empty() {
                break;
            }
            self.members.extend(new);
        }
        let mut rows = table;
        rows.retain(|row| self.members.contains(&row.process));
        rows
    }
}

fn table() -> Vec<Row> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = entries.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| row(&stat)).collect()
}

/// `/proc/PID/stat`; the name is in brackets and may hold anything, so the rest is read from the last bracket. Zombies,
/// which have no memory and wait only for their parent, do not count.
fn row(stat: &str) -> Option<Row> {
    let (number, rest) = stat.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Numbered as in proc(5), where the field after the name is the third.
    let field = |n: usize| fields.get(n - 3).copied();
    if field(3) == Some("Z") {
        return None;
    }
    Some(Row {
        process: Process {
            number: number.parse().ok()?,
            started: field(22)?.parse().ok()?,
        },
        name: name.to_owned(),
        parent: field(4)?.parse().ok()?,
    })
}

/// The proportional set size in `/proc/PID/smaps_rollup`, in bytes.
fn pss(rollup: &str) -> Option<u64> {
    let mut lines = rollup.lines();
    let kib = lines.find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = kib.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(number: u32, parent: u32, started: u64) -> Row {
        Row {
            process: Process { number, started },
            name: "x".to_owned(),
            parent,
        }
    }

    fn numbers(rows: &[Row]) -> Vec<u32> {
        rows.iter().map(|row| row.process.number).collect()
    }

    #[test]
    fn a_row_is_read_whatever_the_name_holds() {
        let rest = "S 7 1 1 0 -1 4194560 5 0 0 0 1 2 0 0 20 0 1 0 4711 1000 10";
        let row = row(&format!("42 (a) (b c) {rest}")).unwrap();
        assert_eq!(row.name, "a) (b c");
        assert_eq!(
            (row.process.number, row.parent, row.process.started),
            (42, 7, 4711)
        );
    }

    #[test]
    fn memory_is_read_from_the_rollup() {
        let rollup =
            "0-f ---p 0 00:00 0 [rollup]\nRss:   1624 kB\nPss:    309 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(pss(rollup), Some(309 * 1024));
        assert_eq!(pss(""), None);
    }

    #[test]
    fn grandchildren_belong_and_strangers_do_not() {
        let mut family = Family::of(10);
        let table = vec![
            process(12, 11, 3),
            process(10, 1, 1),
            process(11, 10, 2),
            process(13, 1, 1),
        ];
        assert_eq!(numbers(&family.living(table)), [12, 10, 11]);
    }

    #[test]
    fn a_child_whose_parent_is_gone_stays_and_its_children_join() {
        let mut family = Family::of(10);
        family.living(vec![process(10, 1, 1), process(11, 10, 2)]);
        let later = vec![process(11, 1, 2), process(12, 11, 5)];
        assert_eq!(numbers(&family.living(later)), [11, 12]);
    }

    #[test]
    fn a_number_used_again_is_another_process() {
        let mut family = Family::of(10);
        family.living(vec![process(10, 1, 1), process(11, 10, 2)]);
        let later = vec![process(10, 1, 1), process(11, 1, 9), process(12, 11, 9)];
        assert_eq!(numbers(&family.living(later)), [10]);
    }

    #[test]
    fn this_process_uses_memory() {
        let mut family = Family::of(std::process::id());
        assert!(total(&family.sample()) > 100_000);
    }
}

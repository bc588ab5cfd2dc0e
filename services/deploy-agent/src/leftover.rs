//! The process group of a script, known before the script's first instruction, and ended where its runner is gone.

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::{Instant, sleep};
use world::{Disk, World};

/// How often it is looked whether a group is gone.
const LOOK: Duration = Duration::from_millis(50);
/// How long killed processes may take to go.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A process group, as it cannot be taken for another one with the same id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id: that of its leader.
    id: i32,
    /// When its leader started, in ticks since the system did.
    since: u64,
    /// The session that it is in: no process changes that within its group.
    session: i32,
    /// The start of the system, and the list of processes, in which these numbers mean something.
    boot: String,
}

/// What the system says of a process.
#[derive(Debug)]
struct Process {
    ended: bool,
    group: i32,
    session: i32,
    since: u64,
}

impl Process {
    /// From the text of `/proc/PID/stat`. The name in it may hold anything.
    fn of(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        Some(Self {
            ended: matches!(*fields.first()?, "Z" | "X"),
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            since: fields.get(19)?.parse().ok()?,
        })
    }

    /// `None` where it is gone, or not for this user to see.
    fn at(disk: &dyn Disk, folder: &Path) -> Option<Self> {
        let stat = disk.read(&folder.join("stat")).ok()?;
        Self::of(&String::from_utf8_lossy(&stat))
    }
}

impl Group {
    /// That of this process, which leads it.
    ///
    /// # Errors
    /// The system's, or that it leads none.
    pub fn own(disk: &dyn Disk) -> io::Result<Self> {
        let id = i32::try_from(std::process::id()).map_err(io::Error::other)?;
        let own = Process::at(disk, Path::new("/proc/self"));
        let own = own.ok_or_else(|| io::Error::other("/proc/self/stat says nothing"))?;
        if own.group != id {
            return Err(io::Error::other("it leads no process group"));
        }
        Ok(Self {
            id,
            since: own.since,
            session: own.session,
            boot: boot(disk)?,
        })
    }

    /// As a text of one line.
    pub(crate) fn to_text(&self) -> String {
        let Self {
            id,
            since,
            session,
            boot,
        } = self;
        format!("{id} {since} {session} {boot}")
    }

    /// From such a text; `None` for any other.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let group = Self {
            id: words.next()?.parse().ok().filter(|id| *id > 1)?,
            since: words.next()?.parse().ok()?,
            session: words.next()?.parse().ok()?,
            boot: words.next()?.to_owned(),
        };
        words.next().is_none().then_some(group)
    }

    /// True while a process of it runs. Once none does, its id may be another group's.
    ///
    /// # Errors
    /// The system's: then nothing is known.
    pub fn lives(&self, disk: &dyn Disk) -> io::Result<bool> {
        if boot(disk)? != self.boot {
            return Ok(false);
        }
        let proc = Path::new("/proc");
        // As long as the group has a process, no other one is given its leader's id.
        let leader = Process::at(disk, &proc.join(self.id.to_string()));
        if leader.is_some_and(|leader| leader.since != self.since) {
            return Ok(false);
        }
        let is_process = |name: &OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
        let of_it = |process: Process| {
            let same = process.group == self.id && process.session == self.session;
            same && process.since >= self.since && !process.ended
        };
        let mut processes = disk.list(proc)?.into_iter();
        Ok(processes.any(|entry| {
            entry.path.file_name().is_some_and(is_process)
                && Process::at(disk, &entry.path).is_some_and(of_it)
        }))
    }

    /// Ends what is left of it: TERM, and KILL after the grace.
    ///
    /// # Errors
    /// The system's, or that it does not end.
    pub async fn end(&self, world: &World, grace: Duration) -> io::Result<()> {
        for (signal, limit) in [(Signal::TERM, grace), (Signal::KILL, KILL_LIMIT)] {
            if !self.lives(&*world.disk)? {
                return Ok(());
            }
            let id = Pid::from_raw(self.id).ok_or(io::ErrorKind::InvalidInput)?;
            match kill_process_group(id, signal) {
                Err(rustix::io::Errno::SRCH) => return Ok(()),
                sent => sent?,
            }
            let until = Instant::now() + limit;
            while self.lives(&*world.disk)? && Instant::now() < until {
                sleep(LOOK).await;
            }
        }
        match self.lives(&*world.disk)? {
            false => Ok(()),
            true => Err(io::Error::other("it was killed and does not go")),
        }
    }
}

/// This start of the system, and the list of processes that this one is in: a container started anew counts from 1 again.
fn boot(disk: &dyn Disk) -> io::Result<String> {
    let boot = disk.read(Path::new("/proc/sys/kernel/random/boot_id"))?;
    let boot = String::from_utf8_lossy(&boot).trim().to_owned();
    let list: PathBuf = disk
        .read_link(Path::new("/proc/self/ns/pid"))?
        .unwrap_or_default();
    Ok(format!("{boot}/{}", list.display()))
}

#[cfg(test)]
mod tests {
    use world::RealDisk;

    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "4711 (a) Z 1) S 1 4700 4600 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11";
        let process = Process::of(stat).unwrap();
        assert_eq!(
            (process.group, process.session, process.since),
            (4700, 4600, 987_654)
        );
        assert!(!process.ended);
        assert!(Process::of("4711 (a) Z").is_none());
    }

    #[test]
    fn a_group_is_not_another_one_with_its_id() {
        let disk = &RealDisk;
        let own = Process::at(disk, Path::new("/proc/self")).unwrap();
        let leader = Process::at(disk, &Path::new("/proc").join(own.group.to_string()));
        let group = Group {
            id: own.group,
            since: leader.map_or(own.since, |leader| leader.since),
            session: own.session,
            boot: boot(disk).unwrap(),
        };
        assert!(group.lives(disk).unwrap());
        assert_eq!(Group::of_text(&group.to_text()), Some(group.clone()));
        let others = [
            Group {
                since: group.since + 1_000_000_000,
                ..group.clone()
            },
            Group {
                session: group.session + 1,
                ..group.clone()
            },
            Group {
                boot: "another".to_owned(),
                ..group.clone()
            },
        ];
        for other in others {
            assert!(!other.lives(disk).unwrap(), "{other:?}");
        }
        for text in ["", "nobody", "1 2 3 x", "5 2 3", "5 2 3 x y", "-5 2 3 x"] {
            assert_eq!(Group::of_text(text), None, "{text}");
        }
    }
}

//! A started program's process group, until its leader is reaped.

use std::{io, os::fd::OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use tokio::{io::unix::AsyncFd, process::Child};

/// In which process group a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// One of its own.
    Own,
    /// That of the caller.
    Callers,
}

/// The group of a child that leads one, or the child alone. Dropping it kills whoever is left in it.
///
/// The leader's end is seen without reaping it: as long as it is a zombie, its id cannot be somebody else's, and the group
/// can be signalled. So [`Group::kill_rest`] or [`Group::leave`] comes before `Child::wait`.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Option<Pid>,
    place: Place,
    pidfd: AsyncFd<OwnedFd>,
}

impl Group {
    pub(crate) fn of(child: &Child, place: Place) -> io::Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let pidfd = pidfd_open(leader, PidfdFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "an OwnedFd keeps its descriptor, which is all that the unsafe successor asks its caller to promise"
        )]
        let pidfd = AsyncFd::new(pidfd)?;
        Ok(Self {
            leader: Some(leader),
            place,
            pidfd,
        })
    }

    /// Waits until the leader has ended; it still has to be reaped.
    pub(crate) async fn leader_ended(&self) -> io::Result<()> {
        self.pidfd.readable().await.map(drop)
    }

    /// Tells the leader only.
    pub(crate) fn signal_leader(&self, signal: Signal) {
        if let Some(pid) = self.leader {
            // An error means that it is gone, which is what was wanted.
            let _gone = kill_process(pid, signal);
        }
    }

    /// Tells every process of the group; in the caller's group only the program itself.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(pid) = self.leader {
            let _gone = match self.place {
                Place::Own => kill_process_group(pid, signal),
                Place::Callers => kill_process(pid, signal),
            };
        }
    }

    /// Kills who is left and lets go of the id: from now on the leader may be reaped.
    pub(crate) fn kill_rest(&mut self) {
        self.signal(Signal::KILL);
        self.leave();
    }

    /// Lets who is left go on, and lets go of the id.
    pub(crate) fn leave(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill_rest();
    }
}

//! What follows from what is known: waves, stops, the end.

use events::{HostName, message::Phase};
use jiff::Timestamp;

use super::{HostRecord, OnFailure, Outcome, Output, Rollout, Stage, Stopped, after};
use crate::api::{Action, HostState};

impl Rollout {
    /// Goes on until something must be waited for.
    pub(super) fn advance(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        loop {
            let before = (self.stage, out.len());
            match self.stage {
                Stage::New | Stage::Ended(_) => {}
                Stage::Preparing => self.after_preparing(now, out),
                Stage::Wave(index) => self.after_wave(now, index, out),
                Stage::Baking { wave, until } => self.after_bake(now, wave, until, out),
                Stage::Stopping => self.end_if_quiet(),
                Stage::PuttingBack => {
                    self.put_back_changed(now, out);
                    self.end_if_quiet();
                }
            }
            if before == (self.stage, out.len()) {
                return;
            }
        }
    }

    fn after_preparing(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let cannot = self.which(HostRecord::failed);
        if !cannot.is_empty() {
            return self.stop(now, Stopped::CannotPrepare { hosts: cannot }, out);
        }
        if let Some(stopped) = self.too_many_unreachable(None) {
            return self.stop(now, stopped, out);
        }
        let settled =
            |host: &HostRecord| matches!(host.state, HostState::Prepared | HostState::Unreachable);
        if !self.hosts.values().all(settled) {
            return;
        }
        match self.next_wave(None) {
            // All hosts are unreachable, and still that is within what is allowed: one host of one.
            None => self.stop(now, self.all_unreachable(), out),
            Some(_) if self.paused => {}
            Some(first) => self.start_wave(now, first, out),
        }
    }

    fn all_unreachable(&self) -> Stopped {
        Stopped::Unreachable {
            wave: None,
            hosts: self.which(|host| host.state == HostState::Unreachable),
            allowed: 0,
        }
    }

    fn too_many_unreachable(&self, wave: Option<usize>) -> Option<Stopped> {
        let hosts = self.which(|host| host.state == HostState::Unreachable && !host.lost);
        let allowed = self.allowed_unreachable();
        (hosts.len() > allowed).then_some(Stopped::Unreachable {
            wave,
            hosts,
            allowed,
        })
    }

    fn too_many_failures(&self, wave: usize) -> Option<Stopped> {
        let hosts = self.which(HostRecord::failed);
        (hosts.len() > self.policy.failure_budget as usize)
            .then_some(Stopped::Failures { wave, hosts })
    }

    /// Why nothing further may start, seen in wave `index`.
    fn forbids(&self, index: usize) -> Option<Stopped> {
        let unreachable = || match self.action {
            Action::Deploy => self.too_many_unreachable(Some(index)),
            // A rollback goes on where it can; the ones that it did not reach are counted at its end.
            Action::Rollback | Action::Clear => None,
        };
        self.too_many_failures(index).or_else(unreachable)
    }

    fn after_wave(&mut self, now: Timestamp, index: usize, out: &mut Vec<Output>) {
        if let Some(stopped) = self.forbids(index) {
            return self.stop(now, stopped, out);
        }
        let records = || {
            self.waves[index]
                .iter()
                .filter_map(|host| self.hosts.get(host))
        };
        if self.is_under_way(index) {
            return;
        }
        let proven = records().any(HostRecord::good);
        let failed = records().any(HostRecord::failed);
        let next = self.next_wave(Some(index));
        match next {
            None => self.finish(now, index, out),
            Some(_) if failed && !proven && self.action == Action::Deploy => {
                self.stop(now, Stopped::Unproven { wave: index }, out);
            }
            Some(_) if self.paused => {}
            // All of this wave are unreachable: one of the next proves the release in their place.
            Some(next) if !proven && self.action == Action::Deploy => {
                self.stand_in(now, index, next, out)
            }
            Some(next) if self.policy.bake_s == 0 => self.start_wave(now, next, out),
            Some(_) => {
                let until = after(now, self.policy.bake_s);
                self.stage = Stage::Baking { wave: index, until };
            }
        }
    }

    fn after_bake(&mut self, now: Timestamp, wave: usize, until: Timestamp, out: &mut Vec<Output>) {
        if let Some(stopped) = self.forbids(wave) {
            return self.stop(now, stopped, out);
        }
        if now < until || self.paused || self.is_under_way(wave) {
            return;
        }
        match self.next_wave(Some(wave)) {
            Some(next) => self.start_wave(now, next, out),
            None => self.finish(now, wave, out),
        }
    }

    /// True while a host of this wave or one before it is at it; one that was given up may have come back.
    pub(super) fn is_under_way(&self, wave: usize) -> bool {
        let so_far = self.waves.iter().take(wave + 1).flatten();
        so_far
            .filter_map(|host| self.hosts.get(host))
            .any(|host| host.order.is_some())
    }

    /// The next wave that has a host to activate.
    pub(super) fn next_wave(&self, after: Option<usize>) -> Option<usize> {
        let first = after.map_or(0, |index| index + 1);
        (first..self.waves.len())
            .find(|&index| self.waves[index].iter().any(|host| self.is_ready(host)))
    }

    fn is_ready(&self, host: &HostName) -> bool {
        let ready = match self.action {
            Action::Deploy => HostState::Prepared,
            Action::Rollback | Action::Clear => HostState::Untouched,
        };
        self.hosts
            .get(host)
            .is_some_and(|record| record.state == ready)
    }

    pub(super) fn start_wave(&mut self, now: Timestamp, index: usize, out: &mut Vec<Output>) {
        if now > self.policy.no_wave_after {
            return self.stop(now, Stopped::GrantRunsOut { wave: index }, out);
        }
        self.stage = Stage::Wave(index);
        let ready: Vec<_> = self.waves[index]
            .iter()
            .filter(|host| self.is_ready(host))
            .cloned()
            .collect();
        for host in ready {
            self.activate(now, &host, out);
        }
    }

    fn stand_in(&mut self, now: Timestamp, index: usize, next: usize, out: &mut Vec<Output>) {
        let Some(place) = self.waves[next].iter().position(|host| self.is_ready(host)) else {
            return;
        };
        let host = self.waves[next].remove(place);
        self.waves[index].push(host.clone());
        self.waves.retain(|wave| !wave.is_empty());
        self.activate(now, &host, out);
    }

    fn activate(&mut self, now: Timestamp, host: &HostName, out: &mut Vec<Output>) {
        let phase = match self.action {
            Action::Deploy => Phase::Activate,
            Action::Rollback => Phase::Rollback,
            Action::Clear => Phase::Clear,
        };
        self.order(now, host, phase, HostState::Activating, out);
    }

    /// All waves are through.
    fn finish(&mut self, now: Timestamp, index: usize, out: &mut Vec<Output>) {
        let unreachable = self.too_many_unreachable(Some(index));
        if let Some(stopped) = unreachable {
            return self.stop(now, stopped, out);
        }
        if self.which(HostRecord::good).is_empty() {
            return self.stop(now, Stopped::Unproven { wave: index }, out);
        }
        self.stage = Stage::Ended(Outcome::Succeeded);
    }

    /// Stops: nothing further starts, what is under way is ended, and what changed goes back if the policy says so.
    pub(super) fn stop(&mut self, now: Timestamp, why: Stopped, out: &mut Vec<Output>) {
        if self.stage == Stage::PuttingBack {
            return;
        }
        let ended_from_outside = matches!(why, Stopped::ByPerson | Stopped::ByRollback { .. });
        let restore = ended_from_outside || self.policy.on_failure == OnFailure::Restore;
        if self.stopped.is_none() {
            self.stopped = Some(why);
            self.stopped_at = Some(now);
        }
        self.stage = match self.action {
            Action::Deploy if restore => Stage::PuttingBack,
            Action::Deploy | Action::Rollback | Action::Clear => Stage::Stopping,
        };
        for host in self.which(|host| (host.order.is_some() || host.lost) && !host.taken_over) {
            self.abort(now, &host, out);
        }
    }

    fn abort(&mut self, now: Timestamp, host: &HostName, out: &mut Vec<Output>) {
        let restore = self.stage == Stage::PuttingBack;
        let Some(record) = self.hosts.get_mut(host) else {
            return;
        };
        let preparing = record
            .order
            .as_ref()
            .filter(|order| order.phase == Phase::Prepare);
        let never_accepted = preparing.is_some_and(|order| order.accepted.is_none());
        if preparing.is_none() && !restore {
            return; // It finishes by itself.
        }
        if record.abort.is_some() {
            return;
        }
        let state = record.state;
        self.order(now, host, Phase::Abort, state, out);
        if never_accepted && let Some(record) = self.hosts.get_mut(host) {
            // Nothing of it needs waiting for: what it may do yet touches nothing live.
            record.order = None;
            record.abort = None;
            record.state = HostState::Untouched;
        }
    }

    fn put_back_changed(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        let back = |host: &HostRecord| {
            host.state == HostState::Live
                && host.order.is_none()
                && host.changed()
                && !host.taken_over
        };
        for host in self.which(back) {
            self.order(now, &host, Phase::Rollback, HostState::PuttingBack, out);
        }
    }

    fn end_if_quiet(&mut self) {
        if self
            .hosts
            .values()
            .any(|host| host.orders().next().is_some())
        {
            return;
        }
        self.stage = Stage::Ended(match self.stopped {
            Some(Stopped::ByPerson | Stopped::ByRollback { .. }) => Outcome::Aborted,
            _ => Outcome::Failed,
        });
    }
}

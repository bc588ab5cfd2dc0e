//! Where the journals of hosts ended when they last said so: one that went back was changed on its host. Pure.

use events::{
    HostName, ProjectName,
    message::{JournalHead, Reported},
};
use jiff::{SignedDuration, Timestamp, tz::Offset};
use serde::{Deserialize, Serialize};

use super::{HostKnown, Known};
use crate::{api::HeadView, settings::Settings};

/// Ends that are kept of each journal, one a day.
const MOST_OLDER: usize = 30;
/// A host's clock may be ahead by so much. Whoever says more holds nothing up for longer than this.
const AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Where a journal ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// By the host's clock.
    pub at: Timestamp,
    /// By the clock here.
    #[serde(default)]
    pub heard: Timestamp,
    /// Its end then.
    pub head: JournalHead,
    /// Ends of days before, the oldest first. A journal that was written anew and is longer than the last end is found by these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<Older>,
    /// What was wrong with it when a person should last have looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Where a journal ended once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Older {
    /// When that was heard, by the clock here.
    pub heard: Timestamp,
    /// Its end then.
    pub head: JournalHead,
}

impl Known {
    /// Takes in where the journal of a report ended; what is wrong with that, if it is found now. Of hosts that nobody admitted, and
    /// of projects that nobody named, nothing is taken in: anybody on the bus can make those up.
    ///
    /// A report that was overtaken by another one is no sign of anything: its message is older.
    pub fn journal(
        &mut self,
        report: &Reported,
        sent: Timestamp,
        now: Timestamp,
        settings: &Settings,
    ) -> Option<String> {
        let (host, project) = (&report.host, &report.project);
        if !self.is_admitted(host, settings) || !settings.projects.contains_key(project) {
            return None;
        }
        let head = report.head.clone()?;
        // Not by the time here, as elsewhere: what is heard again must not count as newer than it was.
        let at = sent.min(now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX));
        let journals = &mut self.hosts.get_mut(host)?.journals;
        let Some(before) = journals.get_mut(project) else {
            let ended = Ended {
                at,
                heard: now,
                head,
                older: Vec::new(),
                trouble: None,
            };
            journals.insert(project.clone(), ended);
            return None;
        };
        let found = wrong(host, project, before, &head, at);
        // A journal only grows, so a longer one is the newer, whatever the host's clock says.
        let newer = head.entries > before.head.entries
            || (head.entries == before.head.entries && at >= before.at);
        if found.is_some() || newer {
            before.keep(found.is_some());
            (before.at, before.heard, before.head) = (at, now, head);
            // The first one names the end to verify by.
            before.trouble = before.trouble.take().or_else(|| found.clone());
        }
        found
    }
}

impl Ended {
    /// Keeps the end that another one takes the place of, if it is the first of its day or the last before something was wrong. Nothing
    /// that comes later takes its place.
    fn keep(&mut self, wrong: bool) {
        let day = |at: Timestamp| Offset::UTC.to_datetime(at).date();
        let last = self.older.last().map(|older| day(older.heard));
        let evidence = wrong && self.trouble.is_none();
        if !evidence && last == Some(day(self.heard)) {
            return;
        }
        self.older.push(Older {
            heard: self.heard,
            head: self.head.clone(),
        });
        if self.older.len() > MOST_OLDER {
            self.older.remove(0);
        }
    }
}

fn wrong(
    host: &HostName,
    project: &ProjectName,
    before: &Ended,
    head: &JournalHead,
    at: Timestamp,
) -> Option<String> {
    let was = &before.head;
    let older = before.older.iter().map(|older| &older.head);
    let mut kept = older.chain([was]);
    let another = |kept: &&JournalHead| kept.entries == head.entries && kept.hash != head.hash;
    let (how, was) = if let Some(kept) = kept.find(another) {
        let how = format!(
            "was written anew: its entry {} is another one",
            head.entries
        );
        (how, kept)
    } else if head.entries < was.entries && at > before.at {
        let how = format!("went back from {} entries to {}", was.entries, head.entries);
        (how, was)
    } else {
        return None;
    };
    Some(format!(
        "the journal of {project} on {host} {how}; unless somebody restored that host, its history was changed: \
         `deploy-agent verify {project} --head {was}` there, then `deploykit hosts looked {host}`"
    ))
}

impl HostKnown {
    /// What was wrong with its journals, until a person says that it was looked at.
    pub(super) fn journal_troubles(&self) -> impl Iterator<Item = &str> {
        let journals = self.journals.values();
        journals.filter_map(|ended| ended.trouble.as_deref())
    }

    /// Where its journals ended on the last days, the newest first.
    #[must_use]
    pub fn heads(&self) -> Vec<HeadView> {
        let of = |(project, ended): (&ProjectName, &Ended)| {
            let newest = (ended.heard, ended.head.clone());
            let older = ended.older.iter().rev();
            let older = older.map(|older| (older.heard, older.head.clone()));
            let view = |(heard, head): (Timestamp, JournalHead)| HeadView {
                project: project.clone(),
                heard,
                head: head.to_string(),
            };
            let all = std::iter::once(newest).chain(older);
            all.map(view).collect::<Vec<_>>()
        };
        self.journals.iter().flat_map(of).collect()
    }

    /// A person has looked at it.
    pub fn looked_at(&mut self) {
        for ended in self.journals.values_mut() {
            ended.trouble = None;
        }
    }
}

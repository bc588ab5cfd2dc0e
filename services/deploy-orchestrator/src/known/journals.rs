//! Where the journals of hosts ended when they last said so: one that went back was changed on its host. Pure.

use events::{
    HostName, ProjectName,
    message::{JournalHead, Reported},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{HostKnown, Known};

/// Where a journal ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// By the host's clock.
    pub at: Timestamp,
    /// Its end then.
    pub head: JournalHead,
    /// What was wrong with it when a person should last have looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Known {
    /// Takes in where the journal of a report ended; what is wrong with that, if it is found now.
    ///
    /// A report that was overtaken by another one is no sign of anything: its message is older.
    pub fn journal(
        &mut self,
        report: &Reported,
        sent: Timestamp,
        now: Timestamp,
    ) -> Option<String> {
        let head = report.head.clone()?;
        let at = super::believable(sent, now);
        let known = self.hosts.get_mut(&report.host)?;
        let (host, project) = (&report.host, &report.project);
        let HostKnown {
            journals, projects, ..
        } = known;
        journals.retain(|project, _| projects.contains_key(project));
        let Some(before) = journals.get_mut(project) else {
            let trouble = None;
            let ended = Ended { at, head, trouble };
            journals.insert(project.clone(), ended);
            return None;
        };
        let found = wrong(host, project, before, &head, at);
        if found.is_some() || (at >= before.at && head.entries >= before.head.entries) {
            let trouble = found.clone().or_else(|| before.trouble.take());
            *before = Ended { at, head, trouble };
        }
        found
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
    let how = if head.entries == was.entries && head.hash != was.hash {
        format!(
            "was written anew: its entry {} is another one",
            head.entries
        )
    } else if head.entries < was.entries && at > before.at {
        format!("went back from {} entries to {}", was.entries, head.entries)
    } else {
        return None;
    };
    Some(format!(
        "the journal of {project} on {host} {how}; unless somebody restored that host, its history was changed: \
         `deploy-agent verify {project} --head {was}` there, then `deploykit hosts admit {host}`"
    ))
}

impl HostKnown {
    /// What was wrong with its journals, until a person admits it again.
    pub(super) fn journal_troubles(&self) -> impl Iterator<Item = &str> {
        let journals = self.journals.values();
        journals.filter_map(|ended| ended.trouble.as_deref())
    }

    /// A person has looked at it.
    pub fn looked_at(&mut self) {
        for ended in self.journals.values_mut() {
            ended.trouble = None;
        }
    }
}

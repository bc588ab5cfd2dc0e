//! The refs of a mirror, and what is different between two looks at them.

use std::collections::BTreeMap;

use events::{CommitId, RefKind, RefName, message::RefTip};
use serde::{Deserialize, Serialize};

use crate::{
    GitError, Mirror, Tips, answer,
    answer::{Leads, Row},
    program,
};

/// One ref that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which ref.
    pub name: RefName,
    /// Where it led; `None` for a new one.
    pub before: Option<CommitId>,
    /// Where it leads; `None` for one that is gone.
    pub after: Option<CommitId>,
}

/// A tag that was made to lead somewhere else after it was published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedTag {
    /// Which tag.
    pub name: RefName,
    /// Where it leads here, and so what it was when it came.
    pub here: CommitId,
    /// Where it leads at the origin, as git names that object.
    pub there: String,
}

/// The refs of a mirror, as read in one go.
#[derive(Debug, Default)]
pub(crate) struct Refs {
    pub(crate) tips: Vec<RefTip>,
    /// The object each name has: for an annotated tag that is not its commit.
    pub(crate) objects: BTreeMap<RefName, String>,
    pub(crate) unusable: Vec<String>,
}

impl Mirror {
    /// All branches and tags, or those below `patterns`.
    pub(crate) async fn read_refs(&self, patterns: &[&str]) -> Result<Refs, GitError> {
        const ALL: [&str; 2] = ["refs/heads", "refs/tags"];
        let patterns = if patterns.is_empty() { &ALL } else { patterns };
        let program = program::refs(self.git(), self.folder(), patterns);
        let output = self.git().must(&program, self.git().limits.read).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rows = answer::refs(&text).ok_or_else(|| GitError::answer(&program, &text))?;
        let mut refs = Refs::default();
        for Row {
            name,
            object,
            leads,
        } in rows
        {
            let Some(name) = answer::ref_name(&name) else {
                refs.unusable.push(name);
                continue;
            };
            let leads = match leads {
                Leads::Commit { id, committed_s } => Some((id, committed_s)),
                Leads::Tag => self.peel(&object).await?,
                Leads::Other => None,
            };
            refs.objects.insert(name.clone(), object);
            refs.tips.extend(leads.map(|(commit, committed_s)| RefTip {
                name,
                commit,
                committed_s,
            }));
        }
        answer::sort(&mut refs.tips);
        Ok(refs)
    }

    async fn peel(&self, object: &str) -> Result<Option<(CommitId, i64)>, GitError> {
        let program = program::peel(self.git(), self.folder(), object);
        let output = self.git().run(&program, self.git().limits.read).await?;
        // A tag of a tag of a tree ends here.
        Ok(answer::peeled(&String::from_utf8_lossy(&output.stdout)))
    }
}

pub(crate) fn changes(before: &[RefTip], after: &[RefTip]) -> Vec<Change> {
    let mut names: BTreeMap<&RefName, (Option<&CommitId>, Option<&CommitId>)> = BTreeMap::new();
    for tip in before {
        names.entry(&tip.name).or_default().0 = Some(&tip.commit);
    }
    for tip in after {
        names.entry(&tip.name).or_default().1 = Some(&tip.commit);
    }
    let different = names
        .into_iter()
        .filter(|(_, (before, after))| before != after);
    different
        .map(|(name, (before, after))| Change {
            name: name.clone(),
            before: before.cloned(),
            after: after.cloned(),
        })
        .collect()
}

/// Tags that lead somewhere else at the origin than here.
pub(crate) fn moved(here: &Refs, there: &Tips) -> Vec<MovedTag> {
    let there = there.by_name();
    let moved = here.tips.iter().filter_map(|tip| {
        let object = here.objects.get(&tip.name)?;
        let tag = there.get(&tip.name)?;
        let differs = matches!(tip.name.kind(), RefKind::Tag(_)) && object != tag.object.as_str();
        differs.then(|| MovedTag {
            name: tip.name.clone(),
            here: tip.commit.clone(),
            there: tag.commit.to_string(),
        })
    });
    moved.collect()
}

//! What a gated mirror may take: what the origin has, held against what CI has found. Pure.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    CommitId, RefKind, RefName,
    message::{RefTip, Verdict},
};
use git::Tips;
use serde::{Deserialize, Serialize};

/// What CI has found of commits.
pub type Verdicts = BTreeMap<CommitId, Verdict>;

/// What is to come, and what is not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Refs that lead to a good commit at the origin, and elsewhere or nowhere here.
    pub admitted: BTreeSet<RefName>,
    /// The other ones that are not as at the origin.
    pub waiting: Vec<Waits>,
}

/// A ref that stays as it is here, because the commit that it leads to at the origin is not known to be good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Which.
    pub name: RefName,
    /// What it would lead to.
    pub commit: CommitId,
    /// What CI has found of that.
    pub verdict: Verdict,
}

impl Waits {
    /// Why, in words.
    #[must_use]
    pub fn why(&self) -> &'static str {
        match self.verdict {
            Verdict::Bad => "CI found it bad",
            Verdict::Building => "CI is not done with it",
            Verdict::Unknown | Verdict::Good => "CI has not said that it is good",
        }
    }
}

/// Commits to ask for, each once: those that refs lead to at the origin and not here, unless they are known to be good.
#[must_use]
pub fn questions(there: &Tips, here: &[RefTip], known: &Verdicts) -> Vec<CommitId> {
    let open = differing(there, here).map(|(_, commit)| commit);
    let open = open.filter(|commit| known.get(*commit) != Some(&Verdict::Good));
    let open: BTreeSet<&CommitId> = open.collect();
    open.into_iter().cloned().collect()
}

/// What a mirror takes of what is there.
#[must_use]
pub fn plan(there: &Tips, here: &[RefTip], verdicts: &Verdicts) -> Plan {
    let mut plan = Plan::default();
    for (name, commit) in differing(there, here) {
        let verdict = verdicts.get(commit).copied().unwrap_or(Verdict::Unknown);
        if verdict == Verdict::Good {
            plan.admitted.insert(name.clone());
        } else {
            plan.waiting.push(Waits {
                name: name.clone(),
                commit: commit.clone(),
                verdict,
            });
        }
    }
    plan
}

/// What could come. A tag that was moved is never followed, whatever CI found; git says which they are.
fn differing<'a>(
    there: &'a Tips,
    here: &'a [RefTip],
) -> impl Iterator<Item = (&'a RefName, &'a CommitId)> {
    let here: BTreeMap<&RefName, &CommitId> =
        here.iter().map(|tip| (&tip.name, &tip.commit)).collect();
    let tips = there.tips.iter().map(|tip| (&tip.name, &tip.commit));
    tips.filter(move |(name, commit)| match here.get(name) {
        Some(known) => known != commit && !matches!(name.kind(), RefKind::Tag(_)),
        None => true,
    })
}

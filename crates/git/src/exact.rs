//! A mirror that is gated: nothing comes in but what its keeper admits, ref by ref, commit by commit.
//!
//! An ordinary fetch brings whatever the origin has at that moment. Here objects are asked for by their ids, with no ref
//! and no tag that follows along, and the refs are set afterwards: what the origin has meanwhile does not matter.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use command::Program;
use events::{CommitId, RefName};

use crate::{
    Ensured, Fetched, GitError, Mirror, MovedTag, Origin, Tip, Tips, program,
    program::RefUpdate,
    refs::{Refs, changes, moved},
};

impl Mirror {
    /// Makes it if it is missing, with nothing in it, and marks it as gated: from then on [`Mirror::fetch`] refuses, whoever
    /// calls it. `like` is any commit of the origin, for the kind of its ids.
    ///
    /// # Errors
    /// Any of [`GitError`]; nothing half is left at the folder.
    pub async fn ensure_gated(
        &self,
        origin: &Origin,
        like: &CommitId,
    ) -> Result<Ensured, GitError> {
        let gated = |beside: &Path| {
            let mut steps = self.empty(origin, like, beside);
            steps.push(program::set_gate(self.git(), beside, true));
            steps
        };
        self.ensure_as(origin, Some(true), gated).await
    }

    /// Makes it if it is missing, with nothing in it; gated or not, it stays so.
    ///
    /// # Errors
    /// Any of [`GitError`]; nothing half is left at the folder.
    pub async fn ensure_empty(
        &self,
        origin: &Origin,
        like: &CommitId,
    ) -> Result<Ensured, GitError> {
        let empty = |beside: &Path| self.empty(origin, like, beside);
        self.ensure_as(origin, None, empty).await
    }

    fn empty(&self, origin: &Origin, like: &CommitId, beside: &Path) -> Vec<Program> {
        vec![
            program::init(self.git(), like, beside),
            program::set_origin(self.git(), beside, origin),
        ]
    }

    /// True if it takes only what its keeper admits.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn gated(&self) -> Result<bool, GitError> {
        self.must_exist().await?;
        Ok(self.settings().await?.gated)
    }

    /// Brings the admitted refs to exactly what `there` says of them, and nothing else, whatever the origin has by now.
    /// What is not in `there` goes here too. What is not admitted stays as it is here. A tag that has moved there stays and
    /// is reported, as by [`Mirror::fetch`].
    ///
    /// # Errors
    /// Any of [`GitError`]; then no ref has been set. [`GitError::Failed`] when the origin no longer gives one of these commits: one
    /// that speaks protocol 2 gives what it still has, an older one only the tips of its refs. [`GitError::Untrue`] when an
    /// annotated tag does not lead where the origin said.
    pub async fn fetch_exactly(
        &self,
        there: &Tips,
        admitted: &BTreeSet<RefName>,
    ) -> Result<Fetched, GitError> {
        self.must_exist().await?;
        let _held = self.lock().await?;
        self.sweep().await?;
        let before = self.read_refs(&[]).await?;
        let Plan { gone, set, moved } = plan(&before, there, admitted);
        let objects: BTreeSet<&str> = set.iter().filter_map(RefUpdate::after).collect();
        self.bring(&objects).await?;
        self.check(there, &objects).await?;
        // By themselves: a branch `a/b` has no place while there is still a branch `a`.
        self.update(&gone).await?;
        self.update(&set).await?;
        let after = self.read_refs(&[]).await?;
        Ok(Fetched {
            changed: changes(&before.tips, &after.tips),
            moved_tags: moved,
            unusable: there.unusable.clone(),
        })
    }

    /// Brings this commit, with no ref, and nothing else. For who may not decide what the mirror takes, and was told by
    /// somebody who may.
    ///
    /// # Errors
    /// As [`Mirror::fetch_exactly`].
    pub async fn fetch_commit(&self, commit: &CommitId) -> Result<(), GitError> {
        self.must_exist().await?;
        let _held = self.lock().await?;
        self.sweep().await?;
        self.bring(&BTreeSet::from([commit.as_str()])).await
    }

    /// Only for the holder of the lock.
    async fn bring(&self, objects: &BTreeSet<&str>) -> Result<(), GitError> {
        if objects.is_empty() {
            // Git would take that for everything.
            return Ok(());
        }
        let transport = self.origin().await?.transport();
        let objects = objects.iter().copied();
        let program = program::fetch_objects(self.git(), self.folder(), transport, objects);
        self.git().must(&program, self.git().limits.fetch).await?;
        Ok(())
    }

    /// What was admitted is the commit that the origin said a tag leads to. These objects must lead there indeed.
    async fn check(&self, there: &Tips, objects: &BTreeSet<&str>) -> Result<(), GitError> {
        let followed = |tip: &&Tip| tip.object != tip.commit;
        let asked = there.tips.iter().filter(followed);
        let asked = asked.filter(|tip| objects.contains(tip.object.as_str()));
        let asked: Vec<&Tip> = asked.collect();
        if asked.is_empty() {
            return Ok(());
        }
        let objects = asked.iter().map(|tip| tip.object.as_str());
        let program = program::commits_behind(self.git(), self.folder(), objects);
        let output = self.git().must(&program, self.git().limits.read).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if text.lines().count() != asked.len() {
            return Err(GitError::answer(&program, &text));
        }
        let mut pairs = asked.iter().zip(text.lines());
        match pairs.find(|(tip, leads)| tip.commit.as_str() != *leads) {
            None => Ok(()),
            Some((tip, _)) => Err(GitError::Untrue {
                name: tip.name.clone(),
                said: tip.commit.clone(),
            }),
        }
    }

    async fn update(&self, updates: &[RefUpdate<'_>]) -> Result<(), GitError> {
        if updates.is_empty() {
            return Ok(());
        }
        let program = program::update_refs(self.git(), self.folder(), updates);
        self.git().must(&program, self.git().limits.read).await?;
        Ok(())
    }
}

struct Plan<'a> {
    gone: Vec<RefUpdate<'a>>,
    set: Vec<RefUpdate<'a>>,
    moved: Vec<MovedTag>,
}

fn plan<'a>(here: &'a Refs, there: &'a Tips, admitted: &BTreeSet<RefName>) -> Plan<'a> {
    let moved = moved(here, there);
    let stays: BTreeSet<&RefName> = moved.iter().map(|tag| &tag.name).collect();
    let at_origin: BTreeMap<_, _> = there.by_name();
    let gone = here.objects.iter();
    let gone = gone.filter(|(name, _)| !at_origin.contains_key(name));
    let gone = gone.map(|(name, before)| RefUpdate::Gone { name, before });
    let set = there.tips.iter();
    let set = set.filter(|tip| admitted.contains(&tip.name) && !stays.contains(&tip.name));
    let set = set.filter_map(|tip| {
        let before = here.objects.get(&tip.name).map(String::as_str);
        (before != Some(tip.object.as_str())).then_some(RefUpdate::Set {
            name: &tip.name,
            before,
            after: tip.object.as_str(),
        })
    });
    let (gone, set) = (gone.collect(), set.collect());
    Plan { gone, set, moved }
}

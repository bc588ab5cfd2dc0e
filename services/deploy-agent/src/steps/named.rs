//! Whether the name in the grant leads to the commit in the grant. Whoever signed it typed the name; what it leads to, an
//! orchestrator said, and is not believed.

use events::{CommitId, RefName, TagName};
use git::{Git, Mirror};

use super::Trouble;
use crate::machine::Asked;

/// What a grant calls the commit.
#[derive(Debug, Clone, Copy)]
enum Name<'a> {
    Tag(&'a TagName),
    Branch(&'a TagName),
}

impl Name<'_> {
    fn of(asked: &Asked) -> Option<Name<'_>> {
        let branch = asked.branch.as_ref().map(Name::Branch);
        asked.tag.as_ref().map(Name::Tag).or(branch)
    }

    fn reference(self) -> RefName {
        match self {
            Self::Tag(name) => RefName::tag(name),
            Self::Branch(name) => RefName::branch(name),
        }
    }

    fn differs(self, leads: &CommitId, commit: &CommitId) -> String {
        let (leads, short) = (leads.short(), commit.short());
        match self {
            Self::Tag(tag) => {
                format!("tag {tag} leads to {leads} here, the order says {short}: was it moved?")
            }
            Self::Branch(branch) => format!(
                "branch {branch} leads to {leads} here, and the commit of the order, {short}, is not on it: was it rewritten?"
            ),
        }
    }
}

/// Why the name does not lead to the commit in the mirror; `None` too if the mirror does not have it: see [`unknown`].
pub(super) async fn moved(mirror: &Mirror, asked: &Asked) -> Result<Option<String>, Trouble> {
    let (Some(name), Some(commit)) = (Name::of(asked), &asked.commit) else {
        return Ok(None);
    };
    let not_yet = |error| Trouble::NotYet(chassis::causes(&error));
    let Some(leads) = mirror.resolve(&name.reference()).await.map_err(not_yet)? else {
        return Ok(None);
    };
    let on_it = leads_to(mirror, name, &leads, commit).await?;
    Ok((on_it == Some(false)).then(|| name.differs(&leads, commit)))
}

/// Whether a name that leads there covers the commit; `None` if that takes a commit that is not in the mirror.
async fn leads_to(
    mirror: &Mirror,
    name: Name<'_>,
    leads: &CommitId,
    commit: &CommitId,
) -> Result<Option<bool>, Trouble> {
    let not_yet = |error| Trouble::NotYet(chassis::causes(&error));
    if leads == commit {
        return Ok(Some(true));
    }
    match name {
        Name::Tag(_) => Ok(Some(false)),
        Name::Branch(_) => {
            for needed in [leads, commit] {
                if !mirror.has(needed).await.map_err(not_yet)? {
                    return Ok(None);
                }
            }
            let on_it = mirror.is_ancestor(commit, leads).await.map_err(not_yet)?;
            Ok(Some(on_it))
        }
    }
}

/// Asks the origin, if the mirror does not have the name: one that is kept by nobody, or a gate that holds it back. Gives why
/// the name does not lead to the commit there.
pub(super) async fn unknown(
    mirror: &Mirror,
    git: &Git,
    asked: &Asked,
) -> Result<Option<String>, Trouble> {
    let (Some(name), Some(commit)) = (Name::of(asked), &asked.commit) else {
        return Ok(None);
    };
    let not_yet = |error| Trouble::NotYet(chassis::causes(&error));
    let reference = name.reference();
    if mirror.resolve(&reference).await.map_err(not_yet)?.is_some() {
        return Ok(None);
    }
    let origin = mirror.origin().await.map_err(not_yet)?;
    let there = git.tips(&origin).await.map_err(not_yet)?;
    let Some(tip) = there.tips.iter().find(|tip| tip.name == reference) else {
        let short = commit.short();
        return Ok(Some(format!(
            "there is no {reference} in the mirror, nor at its origin: the order gives {short} a name that it does not have"
        )));
    };
    Ok(match leads_to(mirror, name, &tip.commit, commit).await? {
        Some(true) => None,
        Some(false) => Some(name.differs(&tip.commit, commit)),
        None => Some(format!(
            "{reference} leads to {} at the origin, which is not in the mirror, so it is not known here whether {} is on \
             it: ask for the commit by its id",
            tip.commit.short(),
            commit.short()
        )),
    })
}

//! Which commit a name means, by what the hosts' mirrors hold.

use std::collections::{BTreeMap, BTreeSet};

use events::{CommitId, HostName, RefKind, TagName, message::RefTip};

use crate::{
    known::Known,
    refused::{Kind, Refused},
    settings::Project,
    texts::names,
};

/// What a revision was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) commit: CommitId,
    pub(super) tag: Option<TagName>,
    pub(super) branch: Option<TagName>,
    pub(super) warnings: Vec<String>,
}

/// The fewest digits of a commit id that are taken.
const PREFIX: usize = 7;
/// How many names an error lists.
const LISTED: usize = 20;

struct Refs<'a> {
    tips: Vec<(&'a HostName, &'a RefTip)>,
}

impl<'a> Refs<'a> {
    fn of(project: &Project, known: &'a Known, hosts: &BTreeSet<HostName>) -> Self {
        let held = known.refs.get(&project.repository).into_iter().flatten();
        let ours = held.filter(|(host, _)| hosts.contains(*host));
        let tips = ours.flat_map(|(host, tips)| tips.iter().map(move |tip| (host, tip)));
        Self {
            tips: tips.collect(),
        }
    }

    /// Where hosts have a tag or branch, newest commit first.
    fn named(&self, wanted: RefKind<'_>) -> Vec<(&'a HostName, &'a RefTip)> {
        let same = |(_, tip): &&(&HostName, &RefTip)| tip.name.kind() == wanted;
        let mut found: Vec<_> = self.tips.iter().filter(same).copied().collect();
        found.sort_by_key(|(_, tip)| std::cmp::Reverse(tip.committed_s));
        found
    }

    fn commits(&self, prefix: &str) -> BTreeSet<&'a CommitId> {
        let commits = self.tips.iter().map(|(_, tip)| &tip.commit);
        commits
            .filter(|commit| commit.as_str().starts_with(prefix))
            .collect()
    }

    /// Tags, newest first, then branches.
    fn names(&self) -> Vec<String> {
        let mut tips: Vec<&RefTip> = self.tips.iter().map(|(_, tip)| *tip).collect();
        tips.sort_by_key(|tip| std::cmp::Reverse(tip.committed_s));
        let tags = tips.iter().filter_map(|tip| match tip.name.kind() {
            RefKind::Tag(name) => Some(name),
            RefKind::Branch(_) | RefKind::Other(_) => None,
        });
        let branches = tips.iter().filter_map(|tip| match tip.name.kind() {
            RefKind::Branch(name) => Some(name),
            RefKind::Tag(_) | RefKind::Other(_) => None,
        });
        let mut seen = BTreeSet::new();
        let all = tags.chain(branches).filter(|name| seen.insert(*name));
        all.take(LISTED).map(str::to_owned).collect()
    }
}

/// The commit that `revision` means: a tag, a branch, or a commit id or a beginning of it that only one has.
pub(super) fn find(
    revision: &str,
    project: &Project,
    known: &Known,
    hosts: &BTreeSet<HostName>,
    targets: &[HostName],
) -> Result<Found, Refused> {
    let (tags, branches, name) = match (
        revision.strip_prefix("refs/tags/"),
        revision.strip_prefix("refs/heads/"),
    ) {
        (Some(tag), _) => (true, false, tag),
        (None, Some(branch)) => (false, true, branch),
        (None, None) => (true, true, revision),
    };
    let name: TagName = name
        .parse()
        .map_err(|error: events::NameError| Refused::new(Kind::NotUnderstood, error))?;
    let refs = Refs::of(project, known, hosts);
    let named = |wanted: bool, kind| if wanted { refs.named(kind) } else { Vec::new() };
    let tag = named(tags, RefKind::Tag(name.as_str()));
    let branch = named(branches, RefKind::Branch(name.as_str()));
    match (tag.first(), branch.first()) {
        (Some((_, tag)), Some((_, branch))) if tag.commit != branch.commit => {
            let error = format!(
                "{revision:?} is both a tag ({}) and a branch ({})",
                tag.commit.short(),
                branch.commit.short()
            );
            let next = format!("name refs/tags/{name}, refs/heads/{name} or the commit by its id");
            Err(Refused::new(Kind::Impossible, error).next(next))
        }
        (Some((_, newest)), _) => {
            one_commit(&name, &tag)?;
            let warnings = not_everywhere(&tag, targets, &newest.commit, revision);
            Ok(Found {
                commit: newest.commit.clone(),
                tag: Some(name),
                branch: None,
                warnings,
            })
        }
        (None, Some((_, newest))) => {
            let warnings = not_everywhere(&branch, targets, &newest.commit, revision);
            Ok(Found {
                commit: newest.commit.clone(),
                tag: None,
                branch: Some(name),
                warnings,
            })
        }
        (None, None) => by_id(revision, project, &refs),
    }
}

fn by_id(revision: &str, project: &Project, refs: &Refs<'_>) -> Result<Found, Refused> {
    let hex = revision.len() >= PREFIX && revision.chars().all(|c| c.is_ascii_hexdigit());
    let id = revision.to_lowercase();
    let commits = if hex {
        refs.commits(&id)
    } else {
        BTreeSet::new()
    };
    let mut commits = commits.into_iter();
    match (commits.next(), commits.next()) {
        (Some(only), None) => Ok(Found { commit: only.clone(), tag: None, branch: None, warnings: Vec::new() }),
        (Some(first), Some(second)) => {
            let error = format!("{revision:?} is the beginning of more than one commit id");
            let exists = [first, second].into_iter().chain(commits).take(LISTED);
            Err(Refused::new(Kind::Impossible, error).exists(exists))
        }
        (None, _) => match id.parse::<CommitId>() {
            // Within a branch, perhaps: the hosts' mirrors will say.
            Ok(commit) => Ok(Found {
                commit,
                tag: None,
                branch: None,
                warnings: vec!["no tag or branch leads to this commit; a host that does not have it stops the deploy before anything is touched".to_owned()],
            }),
            Err(_) => {
                let error = format!("{revision:?} is neither a tag, a branch nor a commit of {} that a host has", project.repository);
                Err(Refused::new(Kind::Unknown, error).exists(refs.names()))
            }
        },
    }
}

fn one_commit(tag: &TagName, found: &[(&HostName, &RefTip)]) -> Result<(), Refused> {
    let mut by_commit: BTreeMap<&CommitId, Vec<HostName>> = BTreeMap::new();
    for (host, tip) in found {
        by_commit
            .entry(&tip.commit)
            .or_default()
            .push((*host).clone());
    }
    if by_commit.len() < 2 {
        return Ok(());
    }
    let sides = by_commit
        .iter()
        .map(|(commit, hosts)| format!("{} on {}", commit.short(), names(hosts)));
    let sides: Vec<String> = sides.collect();
    let error = format!("tag {tag} was moved: it is {}", sides.join(", "));
    Err(Refused::new(Kind::Impossible, error).next("name the commit by its id, or make a new tag"))
}

/// Whether a tag still leads to the commit of a grant, everywhere.
pub(super) fn still(
    tag: &TagName,
    commit: &CommitId,
    project: &Project,
    known: &Known,
    hosts: &BTreeSet<HostName>,
) -> Result<(), Refused> {
    let refs = Refs::of(project, known, hosts);
    let found = refs.named(RefKind::Tag(tag.as_str()));
    one_commit(tag, &found)?;
    match found.first() {
        Some((_, tip)) if tip.commit != *commit => {
            let error = format!(
                "tag {tag} was moved since the grant was signed: it was {}, it is {}",
                commit.short(),
                tip.commit.short()
            );
            Err(Refused::new(Kind::Impossible, error).next("ask for a new plan and sign that"))
        }
        _ => Ok(()),
    }
}

fn not_everywhere(
    found: &[(&HostName, &RefTip)],
    targets: &[HostName],
    commit: &CommitId,
    revision: &str,
) -> Vec<String> {
    let has = |host: &HostName| {
        found
            .iter()
            .any(|(on, tip)| *on == host && tip.commit == *commit)
    };
    let missing: Vec<HostName> = targets.iter().filter(|host| !has(host)).cloned().collect();
    if missing.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "{revision} has not reached {} yet; they fetch it while they prepare",
        names(&missing)
    )]
}

//! What a person's key may sign: only what the person asked for. Pure.
//!
//! The plan comes from the orchestrator, which is not trusted with this: a grant that says more than was typed is not signed.

use std::collections::BTreeSet;

use deploy_orchestrator::api::{Action, Plan, PlanRequest};
use events::{CommitId, HostName};
use jiff::{SignedDuration, Timestamp};

use crate::home::Home;

/// The longest that a grant may be good for.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// How far the orchestrator's clock may be off.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Whether the plan's grant says what was asked for, and no more. `home` is what the person's own settings know. Where that is not
/// enough, gives the question that the person has to say yes to first.
///
/// # Errors
/// What it says otherwise.
pub fn agrees(
    request: &PlanRequest,
    plan: &Plan,
    home: &Home,
    now: Timestamp,
) -> Result<Option<String>, String> {
    let grant = &plan.grant;
    if grant.project != request.project {
        return Err(format!("it is for the project {}", grant.project));
    }
    let environment = home.environments.get(&request.project);
    if environment.is_some_and(|known| *known != grant.environment) {
        return Err(format!("it is for the environment {}", grant.environment));
    }
    let action = Action::from(grant.action);
    if action != request.action {
        return Err(format!("it is a {action:?}"));
    }
    if grant.reason != request.reason {
        return Err("it gives another reason".to_owned());
    }
    if grant.targets != orders::targets_digest(&plan.targets) {
        return Err("its targets are not the ones that are shown".to_owned());
    }
    if !(grant.clears.is_empty() || request.clear || request.action == Action::Clear) {
        return Err("it clears broken hosts, and --clear was not typed".to_owned());
    }
    revision(request, plan)?;
    let question = targets(request, &plan.targets, home)?;
    if grant.expires > now + LONGEST + SKEW || grant.not_before > now + SKEW {
        return Err(format!(
            "it is good from {} to {}",
            grant.not_before, grant.expires
        ));
    }
    Ok(question)
}

/// The tag or branch is named as it was typed, a commit begins as it was typed. That the name leads to the commit, each host
/// finds out in its own mirror.
fn revision(request: &PlanRequest, plan: &Plan) -> Result<(), String> {
    let grant = &plan.grant;
    let asked = request.revision.as_deref();
    match (asked, &grant.tag, &grant.branch, &grant.commit) {
        (None, None, None, None) => Ok(()),
        (Some(asked), tag, branch, Some(commit)) => {
            let begins = is_beginning(asked, commit);
            let named = match (tag, branch) {
                (Some(tag), None) => {
                    asked == tag.as_str() || asked.strip_prefix(TAGS) == Some(tag.as_str())
                }
                (None, Some(branch)) => {
                    asked == branch.as_str() || asked.strip_prefix(HEADS) == Some(branch.as_str())
                }
                (None, None) => begins,
                (Some(_), Some(_)) => false,
            };
            // Of digits alone a tag may be made, such as 20261121; a whole id means the commit, whatever is called so.
            if named && (begins || asked.parse::<CommitId>().is_err()) {
                return Ok(());
            }
            Err(format!(
                "{asked:?} was asked for, it is for {}",
                meant(plan)
            ))
        }
        _ => Err(format!("it is for {}", meant(plan))),
    }
}

const TAGS: &str = "refs/tags/";
const HEADS: &str = "refs/heads/";

fn is_beginning(asked: &str, commit: &CommitId) -> bool {
    let hex = asked.len() >= 7 && asked.chars().all(|c| c.is_ascii_hexdigit());
    hex && commit.as_str().starts_with(&asked.to_lowercase())
}

/// `tag v2 at 0123456`, `branch main at 0123456`, `commit 0123456`.
fn meant(plan: &Plan) -> String {
    let grant = &plan.grant;
    let names = [("tag", &grant.tag), ("branch", &grant.branch)].into_iter();
    let names = names.filter_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
    let names: Vec<String> = names.collect();
    match (&grant.commit, names.is_empty()) {
        (None, true) => "no commit".to_owned(),
        (None, false) => names.join(" and "),
        (Some(commit), true) => format!("commit {}", commit.short()),
        (Some(commit), false) => format!("{} at {}", names.join(" and "), commit.short()),
    }
}

/// A host that was not named may only come from a group. What hosts a group has, the person's settings say, or else the person.
fn targets(
    request: &PlanRequest,
    targets: &[HostName],
    home: &Home,
) -> Result<Option<String>, String> {
    let Some(on) = &request.on else {
        return Ok(None);
    };
    let own = |name: &String| home.groups.iter().find(|(group, _)| group.as_str() == name);
    let own_hosts = on.iter().filter_map(own).flat_map(|(_, hosts)| hosts);
    let own_hosts: BTreeSet<&HostName> = own_hosts.collect();
    let is_typed = |target: &HostName| on.iter().any(|name| name == target.as_str());
    let others = targets
        .iter()
        .filter(|target| !is_typed(target) && !own_hosts.contains(target));
    let others: Vec<&str> = others.map(HostName::as_str).collect();
    let is_target = |name: &String| targets.iter().any(|target| target.as_str() == name);
    let unknown = on
        .iter()
        .filter(|name| !is_target(name) && own(name).is_none());
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    match (others.as_slice(), unknown.as_slice()) {
        ([], []) => Ok(None),
        // Of the named hosts those are left out where there is nothing to clear.
        ([], _) if request.action == Action::Clear => Ok(None),
        ([], [name, ..]) => Err(format!("it leaves out {name}")),
        ([other, ..], []) => Err(format!("it names {other} too")),
        (others, unknown) => Ok(Some(format!(
            "Is {} a group, and does it mean {}?",
            unknown.join(" or "),
            others.join(", ")
        ))),
    }
}

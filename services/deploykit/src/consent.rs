//! What a person's key may sign: only what the person asked for. Pure.
//!
//! The plan comes from the orchestrator, which is not trusted with this: a grant that says more than was typed is not signed.

use deploy_orchestrator::api::{Action, Plan, PlanRequest};
use events::{CommitId, HostName};
use jiff::{SignedDuration, Timestamp};

/// The longest that a grant may be good for.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);
/// How far the orchestrator's clock may be off.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// True only if the plan's grant says what was asked for, and no more.
///
/// # Errors
/// What it says otherwise.
pub fn agrees(request: &PlanRequest, plan: &Plan, now: Timestamp) -> Result<(), String> {
    let grant = &plan.grant;
    if grant.project != request.project {
        return Err(format!("it is for the project {}", grant.project));
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
    targets(request.on.as_deref(), &plan.targets)?;
    if grant.expires > now + LONGEST + SKEW || grant.not_before > now + SKEW {
        return Err(format!(
            "it is good from {} to {}",
            grant.not_before, grant.expires
        ));
    }
    Ok(())
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

/// A host that was not named may only come from a group: if all that was typed are hosts, they are all.
fn targets(on: Option<&[String]>, targets: &[HostName]) -> Result<(), String> {
    let Some(on) = on else {
        return Ok(());
    };
    let is_target = |name: &String| targets.iter().any(|target| target.as_str() == name);
    if !on.iter().all(is_target) {
        return Ok(());
    }
    match targets
        .iter()
        .find(|target| !on.iter().any(|name| name == target.as_str()))
    {
        Some(other) => Err(format!("it names {other} too")),
        None => Ok(()),
    }
}

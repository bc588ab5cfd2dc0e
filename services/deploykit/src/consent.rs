//! What a person's key may sign: only what the person asked for. Pure.
//!
//! The plan comes from the orchestrator, which is not trusted with this: a grant that says more than was typed is not signed.

use deploy_orchestrator::api::{Action, Plan, PlanRequest};
use events::HostName;
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

/// A tag is named as it was typed; a commit begins as it was typed; what a branch leads to is shown, not known here.
fn revision(request: &PlanRequest, plan: &Plan) -> Result<(), String> {
    let asked = request.revision.as_deref();
    match (asked, &plan.grant.tag, &plan.grant.commit) {
        (None, None, None) => Ok(()),
        (Some(asked), Some(tag), Some(_)) if tag.as_str() == asked => Ok(()),
        (Some(asked), None, Some(commit)) => {
            let hex = asked.len() >= 7 && asked.chars().all(|c| c.is_ascii_hexdigit());
            if hex && !commit.as_str().starts_with(&asked.to_lowercase()) {
                return Err(format!("it is for the commit {commit}"));
            }
            Ok(())
        }
        (_, tag, commit) => Err(format!("it is for the tag {tag:?}, commit {commit:?}")),
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

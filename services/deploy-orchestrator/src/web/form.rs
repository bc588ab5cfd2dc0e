//! The two forms of a project, read strictly: no server checked is an error, never all of them.

use events::ProjectName;

use crate::{
    api::{Action, PlanRequest},
    refused::{Kind, Refused},
};

/// A form as browsers send it: pairs, a name as often as boxes are checked.
pub(crate) type Fields = Vec<(String, String)>;

/// The longest reason that is kept.
const REASON_CHARACTERS: usize = 400;

/// What is asked for.
pub(crate) fn request(project: ProjectName, fields: &Fields) -> Result<PlanRequest, Refused> {
    let wrong = |error: &str| {
        Refused::new(Kind::NotUnderstood, error).next(format!("choose on /projects/{project}"))
    };
    let one = |name: &str| {
        let mut values = fields.iter().filter(|(key, _)| key == name);
        values
            .next()
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    };
    let action = match one("action") {
        Some("deploy") => Action::Deploy,
        Some("rollback") => Action::Rollback,
        other => {
            let error = format!(
                "{:?} is neither deploy nor rollback",
                other.unwrap_or_default()
            );
            return Err(wrong(&error));
        }
    };
    let revision = match (action, one("revision")) {
        (Action::Rollback | Action::Clear, _) => None,
        (Action::Deploy, Some(revision)) => Some(revision.to_owned()),
        (Action::Deploy, None) => {
            return Err(wrong("no tag is chosen, so there is nothing to deploy"));
        }
    };
    let on = fields.iter().filter(|(key, _)| key == "on");
    let on: Vec<String> = on.map(|(_, host)| host.clone()).collect();
    if on.is_empty() {
        return Err(wrong("no server is checked; that never means all of them"));
    }
    let reason = one("reason").map(|reason| reason.chars().take(REASON_CHARACTERS).collect());
    Ok(PlanRequest {
        project,
        action,
        revision,
        on: Some(on),
        untested: one("untested").is_some(),
        clear: false,
        reason,
    })
}

/// The digest of the plan that the person said yes to.
pub(crate) fn seen(fields: &Fields) -> Option<&str> {
    fields
        .iter()
        .find(|(key, _)| key == "seen")
        .map(|(_, value)| value.as_str())
}

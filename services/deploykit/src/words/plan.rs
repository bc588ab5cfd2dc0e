//! What a person reads before the key signs.

use deploy_orchestrator::api::Plan;

use super::{label, plural};

/// What a deploy would do.
#[must_use]
pub fn plan(plan: &Plan) -> Vec<String> {
    let what = match (plan.grant.action, &plan.grant.tag, &plan.grant.commit) {
        (orders::Action::Rollback, _, _) => format!("rollback of {}", plan.grant.project),
        (orders::Action::Clear, _, _) => format!("clearing of {}", plan.grant.project),
        (orders::Action::Deploy, Some(tag), Some(commit)) => {
            format!("{} {tag} ({})", plan.grant.project, commit.short())
        }
        (orders::Action::Deploy, None, Some(commit)) => match &plan.grant.branch {
            Some(branch) => format!(
                "{} {} (branch {branch})",
                plan.grant.project,
                commit.short()
            ),
            None => format!("{} {}", plan.grant.project, commit.short()),
        },
        (orders::Action::Deploy, ..) => plan.grant.project.to_string(),
    };
    let count = plan.targets.len();
    let mut lines = vec![format!(
        "{what} on {count} {} of {}",
        plural(count, "host"),
        plan.grant.environment
    )];
    for (index, wave) in plan.waves.iter().enumerate() {
        let hosts: Vec<String> = wave
            .iter()
            .map(|name| {
                let known = plan.now.iter().find(|known| known.host == *name);
                format!(
                    "{name} ({})",
                    label(known.and_then(|known| known.live.as_ref()))
                )
            })
            .collect();
        lines.push(format!("  wave {}  {}", index + 1, hosts.join(", ")));
    }
    lines.extend(
        plan.warnings
            .iter()
            .map(|warning| format!("  note: {warning}")),
    );
    lines
}

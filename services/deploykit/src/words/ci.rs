//! What CI has found, in words. Pure.

use deploy_orchestrator::{
    api::{CiJob, CiView},
    texts,
};
use events::message::Verdict;

use super::when;
use crate::table::Table;

/// A verdict in one word.
#[must_use]
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Bad => "bad",
        Verdict::Building => "building",
        Verdict::Unknown => "unknown",
    }
}

/// A verdict beside a tag.
#[must_use]
pub fn in_a_list(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "CI: good",
        Verdict::Bad => "CI: bad",
        Verdict::Building => "CI: not done",
        Verdict::Unknown => "CI: unknown",
    }
}

/// Commits with what CI has found of them. `whole`: with a line for each job.
#[must_use]
pub fn commits(views: &[CiView], whole: bool) -> Vec<String> {
    if views.is_empty() {
        return vec!["CI has said nothing yet".to_owned()];
    }
    if whole {
        return views.iter().flat_map(one).collect();
    }
    let mut table = Table::new();
    for view in views {
        table.row([
            view.commit.short().to_owned(),
            verdict(view.verdict).to_owned(),
            view.heard.map_or_else(String::new, when),
            view.names.join(", "),
            view.why.clone().unwrap_or_default(),
        ]);
    }
    table.lines()
}

fn one(view: &CiView) -> Vec<String> {
    let names = match &view.names[..] {
        [] => String::new(),
        names => format!(" ({})", names.join(", ")),
    };
    let why = view
        .why
        .as_ref()
        .map_or_else(String::new, |why| format!(": {why}"));
    let id = view.commit.short();
    let mut lines = vec![format!("{id}{names} is {}{why}", verdict(view.verdict))];
    let mut table = Table::new();
    for job in &view.jobs {
        table.row([
            format!("  {} #{}", job.job, job.number),
            result(job).to_owned(),
            when(job.at),
            job.url
                .as_ref()
                .map_or_else(String::new, ToString::to_string),
            if job.counts { "" } else { "does not count" }.to_owned(),
        ]);
    }
    lines.extend(table.lines());
    lines
}

fn result(job: &CiJob) -> &'static str {
    match (job.ended, job.failed) {
        (false, _) => "has not ended",
        (true, None) => "succeeded",
        (true, Some(failed)) => texts::ci::result(failed),
    }
}

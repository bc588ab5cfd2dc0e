//! The servers: which agents are heard, what they run, who is new.

use askama::Template;

use super::words::{self, Version, When};
use crate::api::{HostProject, HostView};

#[derive(Debug, Template)]
#[template(path = "hosts.html")]
pub(crate) struct Page {
    summary: String,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: String,
    admitted: bool,
    present: bool,
    seen: Option<When>,
    agent: Option<String>,
    groups: String,
    projects: Vec<(String, Option<Version>)>,
    trouble: Option<String>,
}

pub(crate) fn page(hosts: &[HostView]) -> Page {
    Page {
        summary: summary(hosts),
        rows: hosts.iter().map(row).collect(),
    }
}

fn summary(hosts: &[HostView]) -> String {
    let heard = hosts.iter().filter(|host| host.present).count();
    let new = hosts.iter().filter(|host| !host.admitted).count();
    let mut text = format!("{}, {heard} heard", words::count(hosts.len(), "server"));
    if new > 0 {
        text.push_str(&format!(", {new} new (admit them, or they get nothing)"));
    }
    text
}

fn row(host: &HostView) -> Row {
    let groups: Vec<&str> = host.groups.iter().map(AsRef::as_ref).collect();
    let project =
        |HostProject {
             project: name,
             live,
             ..
         }: &HostProject| { (name.to_string(), words::version(live.as_ref())) };
    Row {
        name: host.host.to_string(),
        admitted: host.admitted,
        present: host.present,
        seen: host.seen.map(When::from),
        agent: host.version.clone(),
        groups: groups.join(", "),
        projects: host.projects.iter().map(project).collect(),
        trouble: host.trouble.clone(),
    }
}

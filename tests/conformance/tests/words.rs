//! The table of docs/bus.md: who says and hears what.

use std::collections::BTreeSet;

use events::{HostName, Topic};

const PAGE: &str = include_str!("../../../docs/bus.md");

/// A row: a topic, who speaks on it and who listens.
#[derive(Debug)]
pub(crate) struct Row {
    /// As it stands there, with HOST or COMPONENT.
    pub(crate) topic: String,
    pub(crate) said_by: BTreeSet<String>,
    pub(crate) heard_by: BTreeSet<String>,
    pub(crate) durable: bool,
    pub(crate) persistent: bool,
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let table = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| topic |"));
    let lines: Vec<Vec<&str>> = table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let mut rows: Vec<Row> = lines
        .iter()
        .map(|cells| {
            let said_by = services(cells[1]);
            let heard_by = if cells[2].starts_with("itself") {
                said_by.clone()
            } else {
                services(cells[2])
            };
            Row {
                topic: cells[0].trim_matches('`').to_owned(),
                said_by,
                heard_by,
                durable: cells[4].contains("durable"),
                persistent: cells[5] == "yes",
            }
        })
        .collect();
    let consume: BTreeSet<String> = rows.iter().flat_map(|row| row.heard_by.clone()).collect();
    let said = rows.iter().flat_map(|row| row.said_by.clone());
    let every: BTreeSet<String> = said.chain(consume.clone()).collect();
    for (row, cells) in rows.iter_mut().zip(&lines) {
        match cells[1] {
            "every service" => row.said_by = every.clone(),
            "every service that consumes" => row.said_by = consume.clone(),
            _ => {}
        }
    }
    rows
}

/// The services that a cell names: the last word of each piece of code.
fn services(cell: &str) -> BTreeSet<String> {
    let code = cell.split('`').skip(1).step_by(2);
    code.filter_map(|code| code.split(' ').next_back())
        .map(str::to_owned)
        .collect()
}

impl Row {
    /// The topic for this host and component.
    pub(crate) fn topic(&self, host: &HostName, component: &str) -> Topic {
        let component = component.to_owned();
        match self.topic.as_str() {
            "git.commits" => Topic::GitCommits,
            "git.fetched" => Topic::GitFetched,
            "agents.presence" => Topic::AgentsPresence,
            "deploy.orders.HOST" => Topic::DeployOrders(host.clone()),
            "deploy.reports" => Topic::DeployReports,
            "deploy.output" => Topic::DeployOutput,
            "keepalive" => Topic::Keepalive,
            "events.COMPONENT" => Topic::Events(component),
            "dead.COMPONENT" => Topic::Dead(component),
            other => panic!("docs/bus.md has a topic {other} that this suite does not know"),
        }
    }
}

#[test]
fn the_page_is_read_as_it_is_meant() {
    let rows = rows();
    assert_eq!(rows.len(), Topic::STEMS.len());
    let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    let told: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "{}: {} > {}",
                row.topic,
                names(&row.said_by),
                names(&row.heard_by)
            )
        })
        .collect();
    let all = "announce deploy-agent deploy-orchestrator github-stomp stomp-git stomp-keepalive";
    assert_eq!(
        told,
        [
            "git.commits: announce github-stomp > stomp-git",
            "git.fetched: stomp-git > deploy-orchestrator",
            "agents.presence: deploy-agent > deploy-orchestrator",
            "deploy.orders.HOST: deploy-orchestrator > deploy-agent",
            "deploy.reports: deploy-agent > deploy-orchestrator",
            "deploy.output: deploy-agent > deploy-orchestrator",
            "keepalive: stomp-keepalive > stomp-keepalive",
            &format!("events.COMPONENT: {all} > "),
            "dead.COMPONENT: deploy-agent deploy-orchestrator stomp-git stomp-keepalive > ",
        ]
    );
}

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
    /// Those of `heard_by` for whom the broker keeps it while they are away.
    pub(crate) durably: BTreeSet<String>,
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
            let durably = if cells[4].contains("durable") {
                heard_by.clone()
            } else {
                let marked = cells[2].split(", ").filter(|it| it.ends_with(" (durably)"));
                marked.flat_map(services).collect()
            };
            Row {
                topic: cells[0].trim_matches('`').to_owned(),
                said_by,
                heard_by,
                durably,
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
            "deploy.orders.HOST" => Topic::DeployOrders(host.clone()),
            "events.COMPONENT" => Topic::Events(component),
            "dead.COMPONENT" => Topic::Dead(component),
            plain => {
                let word = serde_json::Value::String(plain.replace('.', "-"));
                let topic = serde_json::from_value(word);
                topic.unwrap_or_else(|_| panic!("docs/bus.md has {plain}, which is no topic"))
            }
        }
    }
}

#[test]
fn the_page_is_read_as_it_is_meant() {
    let rows = rows();
    assert_eq!(rows.len(), Topic::STEMS.len());
    let row = |topic: &str| rows.iter().find(|row| row.topic == topic).expect(topic);
    let of = |names: &[&str]| {
        names
            .iter()
            .map(|it| (*it).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        row("git.commits").said_by,
        of(&["github-stomp", "announce", "stomp-bridge"])
    );
    assert!(row("git.commits").heard_by.contains("stomp-git"));
    assert_eq!(
        row("git.commits").durably,
        of(&["stomp-jenkins", "stomp-bridge"])
    );
    let orders = row("deploy.orders.HOST");
    assert_eq!(orders.said_by, of(&["deploy-orchestrator"]));
    assert_eq!(orders.heard_by, of(&["deploy-agent"]));
    assert!(orders.durably == orders.heard_by && orders.persistent);
    assert_eq!(row("keepalive").heard_by, of(&["stomp-keepalive"]));
    assert!(!row("keepalive").persistent && row("keepalive").durably.is_empty());
    assert!(row("events.COMPONENT").said_by.contains("github-stomp"));
    assert_eq!(
        row("events.COMPONENT").heard_by,
        of(&["deploy-orchestrator"])
    );
    assert!(!row("dead.COMPONENT").said_by.contains("github-stomp"));
    assert!(row("dead.COMPONENT").said_by.contains("stomp-git"));
}

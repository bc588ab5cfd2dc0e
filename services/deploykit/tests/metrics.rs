//! docs/metrics.md against what the code exposes.

use std::collections::BTreeSet;

use chassis::{
    Bus, BusSettings,
    outbox::{Outbox, OutboxSettings},
};
use world::World;

/// Name, kind, labels.
type Row = (String, String, BTreeSet<String>);

fn documented() -> BTreeSet<Row> {
    let page = include_str!("../../../docs/metrics.md");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `deploykit_"));
    rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, _, said, _] = cells[..] else {
            panic!("a row has five cells: {line}");
        };
        assert!(!said.is_empty(), "{line}");
        let plain = |text: &str| text.trim().trim_matches('`').to_owned();
        let labels = labels.split(',').map(plain).filter(|it| !it.is_empty());
        (plain(name), kind.to_owned(), labels.collect())
    })
    .collect()
}

fn exposed(text: &str) -> BTreeSet<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for line in text.lines() {
        if let Some(found) = line.strip_prefix("# TYPE ") {
            let (name, kind) = found.split_once(' ').unwrap();
            let end = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let row = (format!("{name}{end}"), kind.to_owned(), BTreeSet::new());
            rows.push(row);
        } else if !line.starts_with('#') {
            // Samples follow the line of their family.
            let (_, labels) = line.split_once(['{', ' ']).unwrap();
            let row = rows
                .last_mut()
                .unwrap_or_else(|| panic!("a sample without its family: {line}"));
            let Some((labels, _)) = labels.split_once('}') else {
                continue;
            };
            let names = labels
                .split("\",")
                .filter_map(|label| label.split_once('='));
            // `le` is the histogram's own.
            row.2.extend(
                names
                    .map(|(name, _)| name.to_owned())
                    .filter(|name| name != "le"),
            );
        }
    }
    rows.into_iter().collect()
}

#[tokio::test]
async fn the_page_names_what_is_exposed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::real();
    let host = "hub1".parse().unwrap();
    let (bus, _connection) =
        Bus::new("tester", &host, BusSettings::default(), world.clone()).unwrap();
    let settings = OutboxSettings::default();
    let _outbox = Outbox::open(&bus, &world, &settings, folder.path())
        .await
        .unwrap();
    let room = github_stomp::body::Room::new(1 << 20);
    let _hooks = github_stomp::measured::Measured::new(bus.metrics(), &room, ["github"]);
    let _keepalive = stomp_keepalive::measured::Measured::new(bus.metrics());
    let _mirrors = stomp_git::measured::Measured::new(bus.metrics());
    std::sync::Arc::new(deploy_agent::tell::Reports::default()).measure(bus.metrics());
    deploy_orchestrator::relay::Measured::new(bus.metrics()).show("ops");
    let (exposed, documented) = (exposed(&bus.metrics().text()), documented());
    assert!(exposed.len() > 10);
    let missing: Vec<_> = exposed.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&exposed).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not on the page: {missing:#?}\nonly on the page: {gone:#?}"
    );
}

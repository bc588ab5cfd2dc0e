//! What must hold after each crash.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

use deploy_agent::{
    journal,
    machine::{End, Record, What},
};
use events::message::{Phase, Reported, State};

use crate::{
    host::{Heard, Host},
    scene::{Scene, Sent, Site},
};

/// What was done to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nothing.
    None,
    /// Its agent was killed; scripts lived on.
    Agent,
    /// Something was killed that may have been running a script.
    Script,
}

/// What is wrong on a host whose agent has just been killed: nothing but `live` counts then.
pub(crate) fn crashed(host: &Host) -> Vec<String> {
    let live = host.shop("live");
    match fs::read_link(&live) {
        Err(_) => Vec::new(),
        Ok(target) => match fs::read_to_string(live.join("name")) {
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("live leads to {}: {error}", target.display())],
        },
    }
}

/// All that is wrong when everything is quiet again.
pub(crate) fn judge(
    site: &Site,
    scene: Scene,
    orders: &[Sent],
    host: &Host,
    heard: &Heard,
    cause: Cause,
) -> Vec<String> {
    let mut wrong = heard.wrong.clone();
    let (live, complaint) = live(site, host);
    wrong.extend(complaint);
    wrong.extend(orders.iter().flat_map(|order| one_answer(order, heard)));
    let records = records(host);
    let interrupted = records.iter().any(|record| {
        matches!(&record.what, What::Ended { outcome, .. } if outcome.end == End::Interrupted)
    });
    if interrupted && cause != Cause::Script {
        wrong.push("a script counts as interrupted which nobody interrupted".to_owned());
    }
    wrong.extend(ledger(host, orders, interrupted));
    let state = host.state().unwrap_or_default();
    let says = state.live.as_ref().and_then(|live| live.tag.as_ref());
    if says.map(ToString::to_string).as_deref() != live.as_deref() {
        wrong.push(format!(
            "the journal says that {says:?} is live, it is {live:?}"
        ));
    }
    if let Some(last) = last(orders, heard)
        && last.live.as_ref().and_then(|live| live.tag.as_ref()) != says
    {
        wrong.push(format!(
            "{live:?} is live, the last report says {:?}",
            last.live
        ));
    }
    let stuck = state.stuck.is_some();
    if stuck && !interrupted {
        wrong.push(format!("it needs a person: {:?}", state.stuck));
    }
    if !interrupted && live.as_deref() != scene.ends_on() {
        wrong.push(format!("{live:?} is live, not {:?}", scene.ends_on()));
    }
    wrong.extend(truth(scene, orders, heard));
    wrong
}

/// The tag of what is live, and what is wrong with it.
fn live(site: &Site, host: &Host) -> (Option<String>, Vec<String>) {
    let live = host.shop("live");
    if fs::symlink_metadata(&live).is_err() {
        return (None, Vec::new());
    }
    let Ok(tag) = fs::read_to_string(live.join("name")) else {
        return (None, vec!["live leads to no release".to_owned()]);
    };
    let tag = tag.trim().to_owned();
    let Some(tree) = site.trees.get(tag.as_str()) else {
        return (None, vec![format!("live is {tag:?}, which is no version")]);
    };
    let mut expected = tree.clone();
    expected.insert("built".to_owned(), "built\n".to_owned());
    let mut found = BTreeMap::new();
    let mut wrong = Vec::new();
    read_tree(&live, &live, &mut found, &mut wrong);
    for (path, text) in &expected {
        match found.remove(path) {
            None => wrong.push(format!("{tag}: {path} is missing")),
            Some(is) if is != *text => wrong.push(format!("{tag}: {path} is {is:?}")),
            Some(_) => {}
        }
    }
    wrong.extend(
        found
            .keys()
            .map(|path| format!("{tag}: {path} is too much")),
    );
    match fs::read_link(live.join("log")) {
        Ok(target) if target == Path::new("../../shared/log") && live.join("log").is_dir() => {}
        other => wrong.push(format!("{tag}: log leads to {other:?}")),
    }
    (Some(tag), wrong)
}

fn read_tree(
    root: &Path,
    folder: &Path,
    found: &mut BTreeMap<String, String>,
    wrong: &mut Vec<String>,
) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let below = path
            .strip_prefix(root)
            .expect("below")
            .to_string_lossy()
            .into_owned();
        let meta = fs::symlink_metadata(&path).expect("it is there");
        if meta.is_dir() {
            read_tree(root, &path, found, wrong);
        } else if meta.is_file() {
            let runs = below.starts_with(".deploy/");
            if runs != (meta.permissions().mode() & 0o111 != 0) {
                wrong.push(format!(
                    "{below} has the mode {:o}",
                    meta.permissions().mode()
                ));
            }
            found.insert(below, fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

fn records(host: &Host) -> Vec<Record> {
    let bytes = fs::read(host.shop("journal/journal.jsonl")).unwrap_or_default();
    journal::replay(&bytes).map_or_else(|_| Vec::new(), |replayed| replayed.records)
}

/// However often it was reported, an order ended one way.
fn one_answer(order: &Sent, heard: &Heard) -> Vec<String> {
    let of_it = |report: &&Reported| report.order == order.id && report.state.is_final();
    let ends = heard.reports.iter().filter(of_it);
    // Where the journal ended is said once, by the agent that wrote it.
    let ends = ends.map(|report| Reported {
        head: None,
        ..report.clone()
    });
    let mut ends: Vec<Reported> = ends.collect();
    ends.dedup();
    match ends.len() {
        1 => Vec::new(),
        0 => vec![format!("{} has no final report", order.ordered.phase)],
        _ => vec![format!(
            "{} ended in several ways: {ends:#?}",
            order.ordered.phase
        )],
    }
}

fn last<'a>(orders: &[Sent], heard: &'a Heard) -> Option<&'a Reported> {
    let order = orders.last()?.id;
    let of_it = |report: &&Reported| report.order == order && report.state.is_final();
    heard.reports.iter().find(of_it)
}

/// No script began twice, and what is reported as done was done to its end.
fn ledger(host: &Host, orders: &[Sent], interrupted: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(&host.ledger()).into_owned();
    let mut began: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut ended: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["begin", order, step] => *began.entry((order, step)).or_default() += 1,
            ["end", order, step] => *ended.entry((order, step)).or_default() += 1,
            _ => {}
        }
    }
    let twice = began.iter().filter(|(_, count)| **count > 1);
    let mut wrong: Vec<String> = twice
        .map(|((order, step), count)| format!("{step} of {order} began {count} times"))
        .collect();
    // Only a check is tried again, and here one try is all.
    let known = |order: &str| orders.iter().any(|sent| sent.id.to_string() == order);
    for (order, step) in began.keys() {
        if known(order)
            && !ended.contains_key(&(*order, *step))
            && !interrupted
            && *step != "check"
            && *step != "start"
        {
            wrong.push(format!(
                "{step} of {order} began, did not end, and nobody says so"
            ));
        }
    }
    wrong
}

/// Each end that is reported is one that the scene can come to.
fn truth(scene: Scene, orders: &[Sent], heard: &Heard) -> Vec<String> {
    let before = scene.before().last().copied();
    // Where a deploy has ended otherwise before the rollback came, that leaves what was live before.
    let mut undone = false;
    let mut wrong = Vec::new();
    for order in orders {
        let of_it = |report: &&Reported| report.order == order.id && report.state.is_final();
        let Some(report) = heard.reports.iter().find(of_it) else {
            continue;
        };
        let live = report.live.as_ref().and_then(|live| live.tag.as_ref());
        let live = live.map(ToString::to_string);
        let may_be: &[Option<&str>] = match (&report.state, order.ordered.phase) {
            (State::Live, Phase::Rollback) if undone => &[scene.ends_on(), Some("v0")],
            (State::Live, _) => &[scene.ends_on()],
            (State::Broken { .. }, _) => &[None, before, scene.deploys(), scene.ends_on()],
            (State::Refused { reason }, _) if !reason.contains("not prepared here") => &[],
            _ => &[before],
        };
        undone |= matches!(
            report.state,
            State::PutBack { .. }
                | State::Failed { .. }
                | State::Refused { .. }
                | State::Broken { .. }
        );
        if !may_be.contains(&live.as_deref()) {
            let (phase, state) = (report.phase, &report.state);
            wrong.push(format!("{phase} is {state:?} with {live:?} live"));
        }
    }
    wrong
}

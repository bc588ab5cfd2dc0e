//! `deploykit webhooks`: what forges sent to `github-stomp`, and what became of it.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use github_stomp::{
    deliveries::{Became, Delivery, Outcome},
    local::Replayed,
    settings::{DATA, socket},
};
use world::World;

use crate::{
    cli::{Act, Webhooks},
    client::{Asked, Client},
    failure::Failure,
    home::Folders,
    layout::webhooks_data,
    screen::{say, say_all, say_json},
    table::Table,
    words,
};

const GITHUB_STOMP: Asked = Asked {
    who: "github-stomp",
    next: "is the service running, and are you root or its user?",
};

/// Asks, and prints the answer.
///
/// # Errors
/// When it does not answer, or what was asked for is not there or was not taken.
pub async fn run(
    args: &Webhooks,
    at: Option<&Path>,
    folders: &Folders,
    world: &World,
) -> Result<(), Failure> {
    let socket = args
        .socket
        .clone()
        .unwrap_or_else(|| find(at, folders, world));
    let client = Client::of(GITHUB_STOMP, &socket)?;
    let deliveries = "/api/v1/deliveries";
    match &args.act {
        Act::List {
            most,
            source,
            outcome,
            json,
        } => {
            let mut path = format!("{deliveries}?most={most}");
            for (key, value) in [("source", source), ("outcome", outcome)] {
                if let Some(value) = value {
                    path = format!("{path}&{key}={}", escaped(value));
                }
            }
            let found: Vec<Delivery> = client.get(&path).await?;
            match json {
                true => say_json(&found),
                false => say_all(list(&found)),
            }
        }
        Act::Show { id, body: true, .. } => {
            let body = client.bytes(&format!("{deliveries}/{id}/body")).await?;
            std::io::stdout().write_all(&body)?;
        }
        Act::Show { id, json, .. } => {
            let found: Delivery = client.get(&format!("{deliveries}/{id}")).await?;
            match json {
                true => say_json(&found),
                false => say_all(one(&found)),
            }
        }
        Act::Replay { id, json } => {
            let path = format!("{deliveries}/{id}/replay");
            let replayed: Replayed = client.post(&path, &()).await?;
            match json {
                true => say_json(&replayed),
                false => say(&replayed.said),
            }
            if matches!(replayed.outcome, Outcome::Refused | Outcome::NotTaken) {
                return Err(Failure::Told);
            }
        }
    }
    Ok(())
}

/// The socket of the pipeline that `at` names, of the service, or of this user's `up`.
fn find(at: Option<&Path>, folders: &Folders, world: &World) -> PathBuf {
    if let Some(data) = at {
        return socket(&webhooks_data(data));
    }
    let (service, own) = (
        socket(Path::new(DATA)),
        socket(&webhooks_data(&folders.data)),
    );
    // Who may not look into the service's folder is told so when it is asked.
    let nothing = |path: &Path| matches!(world.disk.look(path), Ok(None));
    match nothing(&service) && !nothing(&own) {
        true => own,
        false => service,
    }
}

/// A value of a query: what is no letter or digit is escaped.
fn escaped(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(byte).collect()
}

/// A table of deliveries.
#[must_use]
pub fn list(found: &[Delivery]) -> Vec<String> {
    if found.is_empty() {
        return vec!["no delivery is kept".to_owned()];
    }
    let mut table = Table::new();
    table.row(["TIME", "ID", "SOURCE", "EVENT", "ANSWER", "OUTCOME", "WHAT"].map(str::to_owned));
    for delivery in found {
        table.row([
            words::when(delivery.time),
            delivery.id.to_string(),
            delivery.source.clone(),
            delivery.event.clone(),
            answer(delivery),
            outcome(delivery),
            what(delivery),
        ]);
    }
    table.lines()
}

fn answer(delivery: &Delivery) -> String {
    match delivery.answer {
        0 => "-".to_owned(),
        status => status.to_string(),
    }
}

fn outcome(delivery: &Delivery) -> String {
    let word = delivery.outcome.word();
    match delivery.replay_of {
        Some(_) => format!("{word} (replay)"),
        None => word.to_owned(),
    }
}

/// Its first push, or what was said.
fn what(delivery: &Delivery) -> String {
    match delivery.became.as_slice() {
        [] => delivery.said.clone(),
        [one] => push(one),
        [first, more @ ..] => format!("{} and {} more", push(first), more.len()),
    }
}

fn push(push: &Became) -> String {
    let side = |side: &Option<events::CommitId>| {
        side.as_ref()
            .map_or_else(|| "-".to_owned(), |id| id.short().to_owned())
    };
    let (before, after) = (side(&push.before), side(&push.after));
    format!("{} {} {before}..{after}", push.repository, push.name)
}

/// A delivery, whole.
#[must_use]
pub fn one(delivery: &Delivery) -> Vec<String> {
    let mut table = Table::new();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            table.row([name.to_owned(), value]);
        }
    };
    row("id", delivery.id.to_string());
    row("time", delivery.time.to_string());
    row("source", delivery.source.clone());
    row("event", delivery.event.clone());
    row("forge's id", delivery.delivery.clone());
    let of = delivery.replay_of.map(|of| of.to_string());
    row("replay of", of.unwrap_or_default());
    row("answer", answer(delivery));
    row("outcome", delivery.outcome.word().to_owned());
    row("said", delivery.said.clone());
    for became in &delivery.became {
        let (word, id) = (became.outcome.word(), became.id);
        row(word, format!("{} as {id}", push(became)));
    }
    let (bytes, kept) = (delivery.body_bytes, delivery.kept_bytes);
    let kept = match kept {
        0 if bytes == 0 => String::new(),
        0 => format!("{bytes} bytes, not kept"),
        _ => format!("{bytes} bytes, kept"),
    };
    row("body", kept);
    table.lines()
}

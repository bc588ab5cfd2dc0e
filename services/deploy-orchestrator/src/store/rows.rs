//! Rows in, rows out.

use events::{
    HostName, ProjectName, RepoName,
    message::{Ordered, RefTip, ScriptOutput, Step},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Changes, Loaded, Result, StoreError, StoredOrder, ci};
use crate::{
    api::{LineView, OutputView},
    deploy::Deploy,
    known::Known,
    rollout::Rollout,
    texts,
};

/// Output that is kept of one step on one host, in bytes. The host itself has all of it.
const MOST_OUTPUT: i64 = 1 << 20;
/// Deploys whose output is kept.
const OUTPUT_OF: u32 = 200;

pub(super) fn json<T: Serialize>(value: &T, what: &'static str) -> Result<String> {
    serde_json::to_string(value).map_err(|source| StoreError::Row { what, source })
}

pub(super) fn parse<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|source| StoreError::Row { what, source })
}

/// A word of an enum as serde writes it, without quotes.
fn word<T: Serialize>(value: &T, what: &'static str) -> Result<String> {
    Ok(json(value, what)?.trim_matches('"').to_owned())
}

pub(super) fn unword<T: DeserializeOwned>(word: &str, what: &'static str) -> Result<T> {
    parse(&format!("\"{word}\""), what)
}

pub(super) fn load(connection: &mut Connection, now: Timestamp) -> Result<Loaded> {
    let transaction = connection.transaction()?;
    let at_least = |time: i64| u64::try_from(time).unwrap_or_default();
    let epoch = (counter(&transaction, "epoch")? + 1).max(at_least(now.as_second()));
    set_counter(&transaction, "epoch", epoch)?;
    let sequence = counter(&transaction, "sequence")?.max(at_least(now.as_millisecond()));
    let running = several(&transaction, "running = 1 ORDER BY id", [])?;
    let loaded = Loaded {
        known: known(&transaction)?,
        orders: orders(&transaction, &running)?,
        running,
        sequence,
        epoch,
    };
    transaction.commit()?;
    Ok(loaded)
}

fn counter(connection: &Connection, name: &str) -> Result<u64> {
    let mut statement = connection.prepare("SELECT value FROM counters WHERE name = ?")?;
    let value: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
    Ok(value.map_or(0, i64::cast_unsigned))
}

fn set_counter(connection: &Connection, name: &str, value: u64) -> Result<()> {
    let mut statement =
        connection.prepare("INSERT OR REPLACE INTO counters (name, value) VALUES (?, ?)")?;
    statement.execute(params![name, value.cast_signed()])?;
    Ok(())
}

fn known(connection: &Connection) -> Result<Known> {
    let mut known = Known {
        ci: ci::load(connection)?,
        ..Known::default()
    };
    let mut statement = connection.prepare("SELECT host, known FROM hosts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let host: HostName = unword(&row.get::<_, String>(0)?, "host name")?;
        known
            .hosts
            .insert(host, parse(&row.get::<_, String>(1)?, "host")?);
    }
    let mut statement = connection.prepare("SELECT repository, host, refs FROM refs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let repository: RepoName = unword(&row.get::<_, String>(0)?, "repository name")?;
        let host: HostName = unword(&row.get::<_, String>(1)?, "host name")?;
        let refs: Vec<RefTip> = parse(&row.get::<_, String>(2)?, "list of refs")?;
        known.refs.entry(repository).or_default().insert(host, refs);
    }
    Ok(known)
}

fn orders(connection: &Connection, running: &[Deploy]) -> Result<Vec<StoredOrder>> {
    let mut statement = connection
        .prepare("SELECT id, host, phase, signed, expires FROM orders WHERE deploy = ?")?;
    let mut orders = Vec::new();
    for Deploy { about, .. } in running {
        let mut rows = statement.query([about.id.to_string()])?;
        while let Some(row) = rows.next()? {
            orders.push(StoredOrder {
                id: unword(&row.get::<_, String>(0)?, "order id")?,
                deploy: about.id,
                ordered: Ordered {
                    host: unword(&row.get::<_, String>(1)?, "host name")?,
                    project: about.project.clone(),
                    phase: unword(&row.get::<_, String>(2)?, "phase")?,
                    order: parse(&row.get::<_, String>(3)?, "order")?,
                    grant: about.grant.clone(),
                    targets: about.targets.clone(),
                },
                expires: unword(&row.get::<_, String>(4)?, "time")?,
            });
        }
    }
    Ok(orders)
}

/// The condition is our own text, never a person's.
fn several(
    connection: &Connection,
    condition: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Deploy>> {
    let mut statement = connection.prepare(&format!(
        "SELECT about, rollout FROM deploys WHERE {condition}"
    ))?;
    let mut rows = statement.query(params)?;
    let mut deploys = Vec::new();
    while let Some(row) = rows.next()? {
        deploys.push(deploy(row)?);
    }
    Ok(deploys)
}

fn deploy(row: &Row<'_>) -> Result<Deploy> {
    Ok(Deploy {
        about: parse(&row.get::<_, String>(0)?, "deploy")?,
        rollout: parse(&row.get::<_, String>(1)?, "rollout")?,
    })
}

pub(super) fn deploys(
    connection: &Connection,
    project: Option<&ProjectName>,
    limit: usize,
) -> Result<Vec<Deploy>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    match project {
        Some(project) => several(
            connection,
            "project = ? ORDER BY id DESC LIMIT ?",
            params![project.as_str(), limit],
        ),
        None => several(connection, "true ORDER BY id DESC LIMIT ?", [limit]),
    }
}

pub(super) fn find(connection: &Connection, id: &str) -> Result<Vec<Deploy>> {
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        return Ok(Vec::new());
    }
    if let Ok(whole) = id.parse::<Uuid>() {
        return several(connection, "id = ?", [whole.to_string()]);
    }
    let id = id.to_lowercase();
    several(
        connection,
        "id LIKE ? OR id LIKE ? ORDER BY id DESC LIMIT 10",
        [format!("{id}%"), format!("%{id}")],
    )
}

pub(super) fn lines(connection: &Connection, deploy: Uuid) -> Result<Vec<LineView>> {
    let mut statement =
        connection.prepare("SELECT time, line FROM lines WHERE deploy = ? ORDER BY number")?;
    let mut rows = statement.query([deploy.to_string()])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        lines.push(LineView {
            time: unword(&row.get::<_, String>(0)?, "time")?,
            line: row.get(1)?,
        });
    }
    Ok(lines)
}

pub(super) fn output(
    connection: &Connection,
    deploy: Uuid,
    host: Option<&HostName>,
    step: Option<Step>,
) -> Result<Vec<OutputView>> {
    let mut statement = connection.prepare(
        "SELECT host, step, place, text, cut FROM output
         WHERE deploy = ?1 AND (?2 IS NULL OR host = ?2) AND (?3 IS NULL OR step = ?3)
         ORDER BY host, rowid",
    )?;
    let step = step.map(|step| step.to_string());
    let mut rows = statement.query(params![
        deploy.to_string(),
        host.map(HostName::as_str),
        step
    ])?;
    let mut pieces = Vec::new();
    while let Some(row) = rows.next()? {
        pieces.push(OutputView {
            host: unword(&row.get::<_, String>(0)?, "host name")?,
            step: unword(&row.get::<_, String>(1)?, "step")?,
            offset: row.get::<_, i64>(2)?.cast_unsigned(),
            text: row.get(3)?,
            cut: row.get(4)?,
        });
    }
    pieces.sort_by(|a, b| (&a.host, a.step, a.offset).cmp(&(&b.host, b.step, b.offset)));
    Ok(pieces)
}

pub(super) fn save(connection: &mut Connection, changes: &Changes, keep: usize) -> Result<()> {
    let transaction = connection.transaction()?;
    for deploy in &changes.deploys {
        insert(&transaction, deploy, keep)?;
    }
    for order in &changes.orders {
        insert_order(&transaction, order)?;
    }
    for rollout in &changes.rollouts {
        update(&transaction, rollout)?;
    }
    if let Some(sequence) = changes.sequence {
        set_counter(&transaction, "sequence", sequence)?;
    }
    for (deploy, time, line) in &changes.lines {
        let mut statement =
            transaction.prepare("INSERT INTO lines (deploy, time, line) VALUES (?, ?, ?)")?;
        statement.execute(params![deploy.to_string(), time.to_string(), line])?;
    }
    for (host, known) in &changes.hosts {
        let mut statement =
            transaction.prepare("INSERT OR REPLACE INTO hosts (host, known) VALUES (?, ?)")?;
        statement.execute(params![host.as_str(), json(known, "host")?])?;
    }
    for host in &changes.forgotten {
        transaction.execute("DELETE FROM hosts WHERE host = ?", [host.as_str()])?;
        transaction.execute("DELETE FROM refs WHERE host = ?", [host.as_str()])?;
    }
    for fetched in &changes.refs {
        let mut statement = transaction
            .prepare("INSERT OR REPLACE INTO refs (repository, host, refs) VALUES (?, ?, ?)")?;
        let refs = json(&fetched.refs, "list of refs")?;
        statement.execute(params![
            fetched.repository.as_str(),
            fetched.host.as_str(),
            refs
        ])?;
    }
    ci::save(&transaction, changes)?;
    for piece in &changes.output {
        insert_output(&transaction, piece)?;
    }
    transaction.commit()?;
    Ok(())
}

fn insert(transaction: &Transaction<'_>, deploy: &Deploy, keep: usize) -> Result<()> {
    let Deploy { about, rollout } = deploy;
    let mut statement = transaction.prepare(
        "INSERT INTO deploys (id, project, state, running, created, about, rollout) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        about.id.to_string(),
        about.project.as_str(),
        word(&texts::state(rollout), "state")?,
        !rollout.is_ended(),
        about.created.to_string(),
        json(about, "deploy")?,
        json(rollout, "rollout")?,
    ])?;
    transaction.execute(
        "DELETE FROM output WHERE deploy NOT IN (SELECT id FROM deploys ORDER BY id DESC LIMIT ?)",
        [OUTPUT_OF],
    )?;
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    transaction.execute(
        "DELETE FROM deploys WHERE project = ?1 AND running = 0
         AND id NOT IN (SELECT id FROM deploys WHERE project = ?1 ORDER BY id DESC LIMIT ?2)",
        params![about.project.as_str(), keep],
    )?;
    Ok(())
}

fn update(transaction: &Transaction<'_>, rollout: &Rollout) -> Result<()> {
    let mut statement = transaction
        .prepare("UPDATE deploys SET state = ?, running = ?, rollout = ? WHERE id = ?")?;
    statement.execute(params![
        word(&texts::state(rollout), "state")?,
        !rollout.is_ended(),
        json(rollout, "rollout")?,
        rollout.deploy.to_string(),
    ])?;
    if rollout.is_ended() {
        // Nothing of it is sent again.
        let deploy = rollout.deploy.to_string();
        transaction.execute("DELETE FROM orders WHERE deploy = ?", [deploy])?;
    }
    Ok(())
}

fn insert_order(transaction: &Transaction<'_>, order: &StoredOrder) -> Result<()> {
    let mut statement = transaction.prepare(
        "INSERT OR REPLACE INTO orders (deploy, host, phase, id, signed, expires) VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        order.deploy.to_string(),
        order.ordered.host.as_str(),
        order.ordered.phase.to_string(),
        order.id.to_string(),
        json(&order.ordered.order, "order")?,
        order.expires.to_string(),
    ])?;
    Ok(())
}

/// Keeps a piece, if its deploy is known and there is room.
fn insert_output(transaction: &Transaction<'_>, piece: &ScriptOutput) -> Result<()> {
    let place = i64::try_from(piece.offset).unwrap_or(i64::MAX);
    let room = place < MOST_OUTPUT;
    let mut statement = transaction.prepare(
        "INSERT OR REPLACE INTO output (deploy, host, step, place, text, cut)
         SELECT id, ?2, ?3, ?4, ?5, ?6 FROM deploys WHERE id = ?1",
    )?;
    let (place, text) = if room {
        (place, piece.text.as_str())
    } else {
        (MOST_OUTPUT, "")
    };
    statement.execute(params![
        piece.deploy.to_string(),
        piece.host.as_str(),
        piece.step.to_string(),
        place,
        text,
        piece.cut || !room,
    ])?;
    Ok(())
}

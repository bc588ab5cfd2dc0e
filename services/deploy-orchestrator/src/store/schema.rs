//! The tables, and how older ones become them.

use std::path::Path;

use rusqlite::Connection;

use super::{Result, StoreError};

/// Each brings the database one version further; `user_version` counts how many were done. Never edit one that was
/// shipped: add another.
const MIGRATIONS: [&str; 3] = ["
    CREATE TABLE deploys (
        id       TEXT PRIMARY KEY,             -- UUIDv7, so that ids sort by time
        project  TEXT NOT NULL,
        state    TEXT NOT NULL,                -- a word of DeployState, for people
        running  INTEGER NOT NULL,             -- 1 until it has ended
        created  TEXT NOT NULL,
        about    TEXT NOT NULL,                -- JSON of deploy::About, with the grant as signed
        rollout  TEXT NOT NULL                 -- JSON of rollout::Rollout
    ) STRICT;
    CREATE INDEX deploys_by_project ON deploys (project, id);
    CREATE INDEX deploys_running ON deploys (running) WHERE running = 1;
    CREATE TABLE orders (
        deploy   TEXT NOT NULL REFERENCES deploys (id) ON DELETE CASCADE,
        host     TEXT NOT NULL,
        phase    TEXT NOT NULL,
        id       TEXT NOT NULL,
        ordered  TEXT NOT NULL,                -- JSON of events::message::Ordered, as it is published
        expires  TEXT NOT NULL,
        PRIMARY KEY (deploy, host, phase)
    ) STRICT;
    CREATE TABLE lines (
        number   INTEGER PRIMARY KEY,
        deploy   TEXT NOT NULL REFERENCES deploys (id) ON DELETE CASCADE,
        time     TEXT NOT NULL,
        line     TEXT NOT NULL
    ) STRICT;
    CREATE INDEX lines_by_deploy ON lines (deploy, number);
    CREATE TABLE output (
        deploy   TEXT NOT NULL REFERENCES deploys (id) ON DELETE CASCADE,
        host     TEXT NOT NULL,
        step     TEXT NOT NULL,
        place    INTEGER NOT NULL,             -- where the text begins in the whole output, in bytes
        text     TEXT NOT NULL,
        cut      INTEGER NOT NULL,
        PRIMARY KEY (deploy, host, step, place)
    ) STRICT;
    CREATE TABLE hosts (
        host     TEXT PRIMARY KEY,
        known    TEXT NOT NULL                 -- JSON of known::HostKnown
    ) STRICT;
    CREATE TABLE refs (
        repository TEXT NOT NULL,
        host     TEXT NOT NULL,
        refs     TEXT NOT NULL,                -- JSON list of events::message::RefTip
        PRIMARY KEY (repository, host)
    ) STRICT;
    CREATE TABLE counters (
        name     TEXT PRIMARY KEY,             -- epoch, sequence
        value    INTEGER NOT NULL
    ) STRICT;
", "
    ALTER TABLE orders RENAME TO whole_orders;
    CREATE TABLE orders (
        deploy   TEXT NOT NULL REFERENCES deploys (id) ON DELETE CASCADE,
        host     TEXT NOT NULL,
        phase    TEXT NOT NULL,
        id       TEXT NOT NULL,
        signed   TEXT NOT NULL,                -- JSON of events::message::Signed; the grant and the targets are the deploy's
        expires  TEXT NOT NULL,
        PRIMARY KEY (deploy, host, phase)
    ) STRICT;
    INSERT INTO orders
        SELECT deploy, host, phase, id, json_extract(ordered, '$.order'), expires FROM whole_orders
        WHERE deploy IN (SELECT id FROM deploys WHERE running = 1);
    DROP TABLE whole_orders;
", "
    CREATE TABLE ci (
        repository TEXT NOT NULL,
        revision TEXT NOT NULL,                -- the commit id
        said     TEXT NOT NULL,                -- JSON of ci::Commit
        PRIMARY KEY (repository, revision)
    ) STRICT;
"];

pub(super) fn migrate(connection: &mut Connection, file: &Path) -> Result<()> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if !(0..=known).contains(&found) {
        let file = file.to_owned();
        return Err(StoreError::Newer { file, found, known });
    }
    for (migration, version) in MIGRATIONS
        .iter()
        .zip(1_i64..)
        .skip(usize::try_from(found).unwrap_or_default())
    {
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

//! What CI has said of commits, in rows.

use events::{CommitId, RepoName};
use rusqlite::{Connection, Transaction, params};

use super::{Changes, Result, rows};
use crate::ci::Ci;

pub(super) fn load(connection: &Connection) -> Result<Ci> {
    let mut ci = Ci::default();
    let mut statement = connection.prepare("SELECT repository, revision, said FROM ci")?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let repository: RepoName = rows::unword(&row.get::<_, String>(0)?, "repository name")?;
        let id: CommitId = rows::unword(&row.get::<_, String>(1)?, "commit id")?;
        let commit = rows::parse(&row.get::<_, String>(2)?, "verdict of CI")?;
        ci.put(repository, id, commit);
    }
    Ok(ci)
}

pub(super) fn save(transaction: &Transaction<'_>, changes: &Changes) -> Result<()> {
    for (repository, id, commit) in &changes.ci {
        let mut statement = transaction
            .prepare("INSERT OR REPLACE INTO ci (repository, revision, said) VALUES (?, ?, ?)")?;
        let said = rows::json(commit, "verdict of CI")?;
        statement.execute(params![repository.as_str(), id.as_str(), said])?;
    }
    for (repository, id) in &changes.ci_forgotten {
        let mut statement =
            transaction.prepare("DELETE FROM ci WHERE repository = ? AND revision = ?")?;
        statement.execute(params![repository.as_str(), id.as_str()])?;
    }
    Ok(())
}

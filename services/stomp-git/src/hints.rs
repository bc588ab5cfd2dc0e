//! Pushes as the bus brings them, turned into marks.

use std::collections::BTreeMap;

use chassis::{Handler, Verdict};
use events::{Envelope, RepoName, message::Pushed};
use tokio::sync::mpsc;

use crate::{
    plan::{Plan, plan},
    settings::Repository,
};

/// Marks the mirror that a push is about. That is all the work of a hint: the fetch is done by [`crate::run`].
#[derive(Debug)]
pub(crate) struct Hints {
    repositories: BTreeMap<RepoName, Repository>,
    marks: mpsc::Sender<RepoName>,
}

impl Hints {
    pub(crate) fn new(
        repositories: BTreeMap<RepoName, Repository>,
        marks: mpsc::Sender<RepoName>,
    ) -> Self {
        Self {
            repositories,
            marks,
        }
    }
}

impl Handler for Hints {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let pushed: Pushed = match envelope.open() {
            Ok(pushed) => pushed,
            Err(error) => return error.into(),
        };
        match plan(&pushed, &self.repositories) {
            Plan::Skip(why) => tracing::debug!(id = %envelope.id, "skipped: {why}"),
            Plan::Fetch(repository) => {
                tracing::debug!(id = %envelope.id, %repository, name = %pushed.name, "marked");
                // An error means that the service stops; the next start looks at everything.
                let _stopping = self.marks.send(repository).await;
            }
        }
        Verdict::Done
    }
}

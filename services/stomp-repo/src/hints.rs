//! Updated packages as the bus brings them, turned into marks.

use std::collections::BTreeMap;

use chassis::{Handler, Verdict};
use events::{AptSource, Envelope, message::PackagesUpdated};
use tokio::sync::mpsc;

use crate::{
    plan::{AptName, Architectures, Skip, Want, plan},
    settings::Source,
    work::Reason,
};

/// What is wanted of a source, and why it is looked at.
pub(crate) type Mark = (AptSource, Reason, BTreeMap<AptName, Want>);

/// Marks the sources that a message is about. The refresh is done by [`crate::run`].
#[derive(Debug)]
pub(crate) struct Hints {
    sources: BTreeMap<AptSource, Source>,
    architectures: Architectures,
    marks: mpsc::Sender<Mark>,
}

impl Hints {
    pub(crate) fn new(
        sources: BTreeMap<AptSource, Source>,
        architectures: Architectures,
        marks: mpsc::Sender<Mark>,
    ) -> Self {
        Self {
            sources,
            architectures,
            marks,
        }
    }
}

impl Handler for Hints {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let updated: PackagesUpdated = match envelope.open() {
            Ok(updated) => updated,
            Err(error) => return error.into(),
        };
        let plan = plan(&updated, &self.sources, &self.architectures);
        let is_version = |skip: &&Skip| matches!(skip, Skip::Version { .. });
        let wrong = plan.skipped.iter().filter(is_version).count();
        if let Some(first) = plan.skipped.iter().find(is_version) {
            tracing::warn!(id = %envelope.id, repository = %updated.repository, wrong, "skipped: {first}");
        }
        for why in plan.skipped.iter().filter(|skip| !is_version(skip)) {
            tracing::debug!(id = %envelope.id, "skipped: {why}");
        }
        for (source, wants) in plan.wants {
            tracing::debug!(id = %envelope.id, %source, packages = wants.len(), "marked");
            let cut = plan.sweeps.contains(&source);
            let reason = if cut { Reason::Sweep } else { Reason::Hint };
            // An error means that the service stops; the next start looks at everything.
            let _stopping = self.marks.send((source, reason, wants)).await;
        }
        Verdict::Done
    }
}

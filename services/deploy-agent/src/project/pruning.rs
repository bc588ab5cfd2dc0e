//! Old releases go, unless a process still uses them.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;
use world::Disk;

use super::{JOURNAL_AGAIN, Project, Stopped};
use crate::{in_use::in_use, machine::What};

/// How long to wait before a release that was in use is looked at again: what used it may have been about to end.
const SOON_AGAIN: Duration = Duration::from_secs(1);
/// And from then on.
const IN_USE_AGAIN: Duration = Duration::from_secs(60);

/// Old releases that a process used when it was looked at.
#[derive(Debug)]
pub(super) struct Spared {
    releases: BTreeSet<String>,
    until: Instant,
}

impl Project {
    pub(super) async fn prune(&mut self, mut releases: Vec<String>) -> Result<(), Stopped> {
        if let Some(spared) = &self.spared {
            let left = spared.until.saturating_duration_since(Instant::now());
            let known = |release| spared.releases.contains(release);
            if !left.is_zero() && releases.iter().all(known) {
                return self.hear_for(left).await;
            }
        }
        let (layout, names) = (self.site.layout.clone(), releases.clone());
        let retire = move |disk: &dyn Disk| {
            let used = in_use(disk, &names)?;
            let mut unused = names.iter().filter(|name| !used.contains(*name));
            unused.try_for_each(|name| layout.retire(disk, name))?;
            Ok(used)
        };
        let used = match self.site.world.on_disk(retire).await {
            Ok(used) => used,
            Err(error) => {
                self.complain("old releases cannot be removed", &error);
                return self.hear_for(JOURNAL_AGAIN).await;
            }
        };
        self.spare(&used);
        releases.retain(|release| !used.contains(release));
        if releases.is_empty() {
            return Ok(());
        }
        self.record(What::Pruned { releases }).await?;
        let layout = self.site.layout.clone();
        let orders = self.state.orders.iter();
        let known: Vec<String> = orders.map(|known| known.asked.order.to_string()).collect();
        let sweep = move |disk: &dyn Disk| {
            layout.sweep(disk, |name| {
                known.iter().any(|order| name.starts_with(order))
            })
        };
        if let Err(error) = self.site.world.on_disk(sweep).await {
            self.complain("what is left of old releases cannot be removed", &error);
        }
        Ok(())
    }

    fn spare(&mut self, used: &BTreeSet<String>) {
        let project = self.whose.project.as_str();
        let before = self.spared.take().map(|spared| spared.releases);
        let before = before.unwrap_or_default();
        for release in used.difference(&before) {
            tracing::info!(
                project,
                release,
                "an old release is kept: a process uses it"
            );
        }
        let again = match *used == before {
            true => IN_USE_AGAIN,
            false => SOON_AGAIN,
        };
        self.spared = (!used.is_empty()).then(|| Spared {
            releases: used.clone(),
            until: Instant::now() + again,
        });
    }
}

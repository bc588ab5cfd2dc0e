//! The links that are derived, for people.

use super::Project;

impl Project {
    /// `previous` and `next` are for people; the journal does not depend on them.
    pub(super) async fn derive_links(&self) {
        let layout = self.site.layout.clone();
        let previous = self.state.previous().map(|past| past.release.clone());
        let live = self.state.live.as_ref().map(|live| live.release.clone());
        let next = self.state.newest.clone().filter(|newest| {
            Some(newest) != live.as_ref()
                && !self
                    .state
                    .history
                    .iter()
                    .any(|past| past.release == *newest)
                && !self.state.bad.contains(newest)
        });
        let derive = move |disk: &dyn world::Disk| {
            layout.derive(disk, "previous", previous.as_deref())?;
            layout.derive(disk, "next", next.as_deref())
        };
        if let Err(error) = self.site.world.on_disk(derive).await {
            let project = self.whose.project.as_str();
            tracing::warn!(project, %error, "the links previous and next are not right");
        }
    }
}

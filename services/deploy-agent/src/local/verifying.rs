//! `deploy-agent verify`: whether the histories on this host are as they were written.

use events::{ProjectName, message::JournalHead};

use super::{Verified, alone::Here};
use crate::verify::verify;

impl Here<'_> {
    /// Looks at one project, or at all. Reading takes no lock: a journal only grows.
    ///
    /// # Errors
    /// An unknown project, or a journal that cannot be read.
    pub(super) async fn verify(
        &self,
        only: Option<&ProjectName>,
        told: Option<&JournalHead>,
    ) -> Result<Vec<Verified>, String> {
        let mut looked = Vec::new();
        if let Some(only) = only {
            self.known(only)?;
        }
        for project in self.settings.projects.keys() {
            if only.is_some_and(|only| only != project) {
                continue;
            }
            let bytes = self.journal(project).await?;
            let (head, finding) = match verify(&bytes, told) {
                Ok(whole) => (Some(whole.head), None),
                Err(finding) => (None, Some(finding.to_string())),
            };
            looked.push(Verified {
                project: project.clone(),
                head,
                finding,
            });
        }
        Ok(looked)
    }
}

//! `deploykit clear`

use deploy_orchestrator::api::{Action, PlanRequest};

use super::{Session, targets};
use crate::{cli::Clear, failure::Failure};

impl Session<'_> {
    /// `deploykit clear`
    ///
    /// # Errors
    /// When it is refused, or fails.
    pub async fn clear(&self, args: &Clear) -> Result<(), Failure> {
        let request = PlanRequest {
            project: args.project.clone(),
            action: Action::Clear,
            revision: None,
            on: targets(&args.ask),
            untested: false,
            clear: true,
            reason: args.ask.reason.clone(),
        };
        self.carry_out(&request, &args.ask).await
    }
}

//! What a build says of itself.

use chassis::outbox::Waiting;
use events::{
    NameError, SealError,
    message::{BuildResult, Built, CiFailed, CiStarted, CiSucceeded},
};

use super::Sealer;
use crate::cli::{BuildSays, Ended};

/// Why a build is not announced.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// One of its names is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It does not fit into a message.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The message for a build that began or ended.
///
/// # Errors
/// See [`BuildError`].
pub fn built(says: &BuildSays, sealer: &Sealer<'_>) -> Result<Waiting, BuildError> {
    let (build, ended) = match says {
        BuildSays::Started { build } => (build, None),
        BuildSays::Succeeded { build } => (build, Some(None)),
        BuildSays::Failed { build, result } => (build, Some(Some(result))),
    };
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let build = Built {
        repository: build.repository.parse()?,
        name: given(&build.name).map(|text| text.parse()).transpose()?,
        commit: build.commit.parse()?,
        project: given(&build.project).map(|text| text.parse()).transpose()?,
        job: build.job.parse()?,
        number: build.number,
        url: given(&build.url).map(|text| text.parse()).transpose()?,
    };
    Ok(match ended {
        None => sealer.seal(&CiStarted { build })?,
        Some(None) => sealer.seal(&CiSucceeded { build })?,
        Some(Some(result)) => {
            let result = match result {
                Ended::Failure => BuildResult::Failure,
                Ended::Unstable => BuildResult::Unstable,
                Ended::NotBuilt => BuildResult::NotBuilt,
                Ended::Aborted => BuildResult::Aborted,
            };
            sealer.seal(&CiFailed { build, result })?
        }
    })
}

//! Asking a Jenkins.

use std::fmt;

use events::JobName;
use hyper::header::{CONTENT_TYPE, LOCATION};
use world::World;

use crate::{
    Access, Build, Found, Item, Trouble,
    answers::{self, BUILD_TREE, ITEM_TREE, QUEUE_TREE, SEARCHED},
    ask::{Asker, refused},
    encode::{form, job_path},
    exchange::Answer,
};

/// A Jenkins. Every method bounds its own time by the limits of its [`Access`].
pub struct Jenkins(Asker);

impl fmt::Debug for Jenkins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jenkins").field(&self.0.address()).finish()
    }
}

impl Jenkins {
    /// Takes up the settings and looks at the files that they name; asks nothing yet.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub fn new(access: Access, world: World) -> Result<Self, String> {
        Asker::new(access, world).map(Self)
    }

    /// Triggers a job and says which queue item that is. A job without parameters is triggered without. Identical triggers
    /// that still wait are one queue item to Jenkins.
    ///
    /// # Errors
    /// See [`Trouble`]; with [`Trouble::may_have_arrived`], look with [`Jenkins::find`] before triggering again.
    pub async fn trigger(
        &self,
        job: &JobName,
        parameters: &[(String, String)],
    ) -> Result<u64, Trouble> {
        let path = job_path(job);
        let fields = parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let with = format!("{path}/buildWithParameters?delay=0sec");
        let answer = self.0.post(&with, form(fields)).await?;
        if matches!(answer.status, 400 | 500) && self.takes_no_parameters(job).await? {
            let without = format!("{path}/build?delay=0sec");
            return queued(&self.0.post(&without, String::new()).await?);
        }
        queued(&answer)
    }

    async fn takes_no_parameters(&self, job: &JobName) -> Result<bool, Trouble> {
        let path = format!(
            "{}/api/json?tree=property[parameterDefinitions[name]]",
            job_path(job)
        );
        let answer = self.0.get(&path).await?;
        let job: serde_json::Value = parsed(&answer, |body| serde_json::from_slice(body))?;
        let properties = job.get("property").and_then(|it| it.as_array());
        let defines = |property: &serde_json::Value| {
            let definitions = property.get("parameterDefinitions");
            definitions.is_some_and(|it| it.as_array().is_some_and(|it| !it.is_empty()))
        };
        Ok(!properties.is_some_and(|all| all.iter().any(defines)))
    }

    /// A queue item; about 5 minutes after it left the queue it is [`Trouble::Missing`].
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn item(&self, item: u64) -> Result<Item, Trouble> {
        let path = format!("/queue/item/{item}/api/json?tree={ITEM_TREE}");
        parsed(&self.0.get(&path).await?, answers::item)
    }

    /// A build.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn build(&self, job: &JobName, number: u64) -> Result<Build, Trouble> {
        let path = format!("{}/{number}/api/json?tree={BUILD_TREE}", job_path(job));
        parsed(&self.0.get(&path).await?, answers::build)
    }

    /// Looks in the queue and among the job's newest builds for what was triggered with this value of this parameter or,
    /// if the number is known, was this queue item. Of several builds it is the newest.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub async fn find(
        &self,
        job: &JobName,
        (parameter, value): (&str, &str),
        item: Option<u64>,
    ) -> Result<Option<Found>, Trouble> {
        let path = format!("/queue/api/json?tree={QUEUE_TREE}");
        let queue = parsed(&self.0.get(&path).await?, answers::queue)?;
        let ours =
            |it: &&answers::Queued| it.parameters.get(parameter).is_some_and(|it| it == value);
        if let Some(queued) = queue.iter().find(ours) {
            return Ok(Some(Found::Item(queued.item)));
        }
        let path = format!(
            "{}/api/json?tree=builds[{BUILD_TREE}]{{0,{SEARCHED}}}",
            job_path(job)
        );
        let builds = parsed(&self.0.get(&path).await?, answers::builds)?;
        let ours = |build: &&Build| match build.parameters.get(parameter) {
            Some(its) => its == value,
            // The number alone counts only where the job does not take the parameter.
            None => item.is_some() && build.queue_item == item,
        };
        let newest = builds.iter().filter(ours).map(|build| build.number).max();
        Ok(newest.map(Found::Build))
    }
}

/// The queue item of a trigger's answer.
fn queued(answer: &Answer) -> Result<u64, Trouble> {
    let location = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok());
    let item = location.and_then(answers::queue_item);
    match (answer.status, item) {
        (201 | 302 | 303, Some(item)) => Ok(item),
        (status @ 200..=399, _) => Err(Trouble::NotQueued(status)),
        _ => Err(refused(answer)),
    }
}

/// Reads an answer that should be JSON.
fn parsed<T>(
    answer: &Answer,
    read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<T, Trouble> {
    if answer.status != 200 {
        return Err(refused(answer));
    }
    let kind = answer
        .headers
        .get(CONTENT_TYPE)
        .and_then(|it| it.to_str().ok());
    let kind = kind.unwrap_or("no content type");
    if !kind.starts_with("application/json") {
        let word = |c: &char| c.is_ascii_alphanumeric() || " /;=-+.".contains(*c);
        return Err(Trouble::NotJson(
            kind.chars().filter(word).take(60).collect(),
        ));
    }
    read(&answer.body)
        .map_err(|error| Trouble::NotJson(format!("JSON that is not right ({error})")))
}

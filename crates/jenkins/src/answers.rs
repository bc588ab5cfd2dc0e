//! What Jenkins says, as checked types. Pure.
//!
//! Unknown fields are ignored, a field that is not as expected counts as absent where the rest can be used without it:
//! `actions` holds whatever the plugins of a site put there.

use std::collections::BTreeMap;

use events::{CommitId, PageUrl, message::BuildResult};
use serde::Deserialize;
use serde_json::Value;

/// How many of a job's newest builds are searched.
pub const SEARCHED: usize = 50;

/// Characters of a reason that are kept.
const WHY: usize = 200;

/// A queue item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// It waits, for this reason; `stuck` if Jenkins thinks it will wait for ever.
    Waiting {
        /// As Jenkins words it, one line.
        why: String,
        /// No executor can take it.
        stuck: bool,
    },
    /// It has become this build.
    Started(u64),
    /// Somebody took it out of the queue.
    Cancelled,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `SUCCESS`
    Success,
    /// `UNSTABLE`
    Unstable,
    /// `FAILURE`, and any word that we do not know.
    Failure,
    /// `NOT_BUILT`
    NotBuilt,
    /// `ABORTED`
    Aborted,
}

impl Outcome {
    /// What it says of the commit.
    ///
    /// # Errors
    /// That the commit is not good.
    pub fn verdict(self, unstable_is_good: bool) -> Result<(), BuildResult> {
        match self {
            Self::Success => Ok(()),
            Self::Unstable if unstable_is_good => Ok(()),
            Self::Unstable => Err(BuildResult::Unstable),
            Self::Failure => Err(BuildResult::Failure),
            Self::NotBuilt => Err(BuildResult::NotBuilt),
            Self::Aborted => Err(BuildResult::Aborted),
        }
    }
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Its number within the job.
    pub number: u64,
    /// How it ended; none while it runs.
    pub outcome: Option<Outcome>,
    /// Where people see it.
    pub url: Option<PageUrl>,
    /// The queue item that it was.
    pub queue_item: Option<u64>,
    /// When it was scheduled, milliseconds since 1970, by Jenkins' clock.
    pub scheduled_ms: i64,
    /// The parameters that the job took. Secret ones have no value here and are left out.
    pub parameters: BTreeMap<String, String>,
    /// The commits that its git plugin checked out.
    pub commits: Vec<CommitId>,
}

/// An item of the whole queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its number.
    pub item: u64,
    /// The parameters that the job took.
    pub parameters: BTreeMap<String, String>,
}

/// Where something that was triggered is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// In the queue, as this item.
    Item(u64),
    /// It is this build.
    Build(u64),
}

/// What `tree=` asks of a build.
pub(crate) const BUILD_TREE: &str = "number,building,result,url,queueId,timestamp,\
    actions[parameters[name,value],lastBuiltRevision[SHA1]]";

/// What `tree=` asks of a queue item.
pub(crate) const ITEM_TREE: &str = "cancelled,why,stuck,executable[number]";

/// What `tree=` asks of the queue.
pub(crate) const QUEUE_TREE: &str = "items[id,actions[parameters[name,value]]]";

#[derive(Deserialize)]
struct RawItem {
    cancelled: Option<bool>,
    why: Option<String>,
    stuck: Option<bool>,
    executable: Option<RawExecutable>,
}

#[derive(Deserialize)]
struct RawExecutable {
    number: Option<u64>,
}

#[derive(Deserialize)]
struct RawBuild {
    number: u64,
    #[serde(default)]
    building: bool,
    result: Option<String>,
    url: Option<String>,
    #[serde(rename = "queueId")]
    queue_id: Option<i64>,
    #[serde(default)]
    timestamp: i64,
    #[serde(default)]
    actions: Vec<Value>,
}

#[derive(Deserialize)]
struct RawBuilds {
    builds: Vec<RawBuild>,
}

#[derive(Deserialize)]
struct RawQueue {
    items: Vec<RawQueued>,
}

#[derive(Deserialize)]
struct RawQueued {
    id: u64,
    #[serde(default)]
    actions: Vec<Value>,
}

/// Reads `queue/item/N/api/json`.
///
/// # Errors
/// What is not as expected.
pub fn item(body: &[u8]) -> Result<Item, serde_json::Error> {
    let raw: RawItem = serde_json::from_slice(body)?;
    if let Some(number) = raw.executable.and_then(|it| it.number) {
        return Ok(Item::Started(number));
    }
    if raw.cancelled == Some(true) {
        return Ok(Item::Cancelled);
    }
    let why = raw.why.unwrap_or_default();
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    Ok(Item::Waiting {
        why: why.chars().map(visible).take(WHY).collect(),
        stuck: raw.stuck == Some(true),
    })
}

/// Reads `job/NAME/N/api/json`.
///
/// # Errors
/// What is not as expected.
pub fn build(body: &[u8]) -> Result<Build, serde_json::Error> {
    serde_json::from_slice(body).map(read_build)
}

/// Reads the newest builds of `job/NAME/api/json`.
///
/// # Errors
/// What is not as expected.
pub fn builds(body: &[u8]) -> Result<Vec<Build>, serde_json::Error> {
    let raw: RawBuilds = serde_json::from_slice(body)?;
    Ok(raw.builds.into_iter().map(read_build).collect())
}

/// Reads `queue/api/json`.
///
/// # Errors
/// What is not as expected.
pub fn queue(body: &[u8]) -> Result<Vec<Queued>, serde_json::Error> {
    let raw: RawQueue = serde_json::from_slice(body)?;
    let queued = |raw: RawQueued| Queued {
        item: raw.id,
        parameters: parameters(&raw.actions),
    };
    Ok(raw.items.into_iter().map(queued).collect())
}

/// The number of the queue item in a `Location`, whatever address a proxy has put before it.
#[must_use]
pub fn queue_item(location: &str) -> Option<u64> {
    let (_, rest) = location.rsplit_once("/queue/item/")?;
    rest.trim_end_matches('/').parse().ok()
}

fn read_build(raw: RawBuild) -> Build {
    let ended = raw.result.filter(|_| !raw.building);
    Build {
        number: raw.number,
        outcome: ended.map(|word| match word.as_str() {
            "SUCCESS" => Outcome::Success,
            "UNSTABLE" => Outcome::Unstable,
            "NOT_BUILT" => Outcome::NotBuilt,
            "ABORTED" => Outcome::Aborted,
            _ => Outcome::Failure,
        }),
        url: raw.url.and_then(|text| text.parse().ok()),
        queue_item: raw.queue_id.and_then(|id| u64::try_from(id).ok()),
        scheduled_ms: raw.timestamp,
        parameters: parameters(&raw.actions),
        commits: commits(&raw.actions),
    }
}

fn parameters(actions: &[Value]) -> BTreeMap<String, String> {
    let lists = actions
        .iter()
        .filter_map(|it| it.get("parameters")?.as_array());
    let pair = |parameter: &Value| {
        let name = parameter.get("name")?.as_str()?.to_owned();
        let value = match parameter.get("value")? {
            Value::String(text) => text.clone(),
            value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
            _ => return None,
        };
        Some((name, value))
    };
    lists.flatten().filter_map(pair).collect()
}

fn commits(actions: &[Value]) -> Vec<CommitId> {
    let built = |action: &Value| {
        let text = action.get("lastBuiltRevision")?.get("SHA1")?.as_str()?;
        text.parse().ok()
    };
    actions.iter().filter_map(built).collect()
}

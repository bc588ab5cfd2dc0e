//! What a message says, as variables of a command, and whether it is wanted. No I/O.

use std::str::FromStr;

use events::{
    CommitId, ComponentName, Envelope, HostName, JobName, NameError, PackageName, PackageVersion,
    PageUrl, Pattern, ProjectName, RefName, RepoName, SuiteName, Topic,
};
use serde_json::Value;

use crate::cli;

/// The longest type of a message.
const TYPE_BYTES: usize = 100;

/// What a field's value must be; the text of it then.
type Check = fn(&Value) -> Result<String, String>;

/// Fields of messages, by their place in `data`, with the variable that each becomes.
const FIELDS: [(&str, &str, Check); 17] = [
    ("repository", "REPOSITORY", name::<RepoName>),
    ("ref", "REF", name::<RefName>),
    ("commit", "COMMIT", name::<CommitId>),
    ("after", "COMMIT", name::<CommitId>),
    ("before", "BEFORE", name::<CommitId>),
    ("revision", "REVISION", number_or_commit),
    ("host", "HOST", name::<HostName>),
    ("project", "PROJECT", name::<ProjectName>),
    ("job", "JOB", name::<JobName>),
    ("number", "NUMBER", number),
    ("result", "RESULT", word),
    ("url", "URL", name::<PageUrl>),
    ("suite", "SUITE", name::<SuiteName>),
    ("component", "COMPONENT", name::<ComponentName>),
    ("phase", "PHASE", word),
    ("verdict", "RESULT", word),
    ("state/is", "STATE", word),
];

/// Why a message cannot be given to a command.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Its type is no name of a type.
    #[error("its type is not a word such as deploykit.git.pushed.v1")]
    Type,
    /// A field is not what it should be.
    #[error("its {field}: {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        why: String,
    },
}

/// What a message says, in checked texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said(Vec<(&'static str, String)>);

impl Said {
    /// Reads it; `topic` is where it came from.
    ///
    /// # Errors
    /// See [`Wrong`].
    pub fn read(topic: &Topic, envelope: &Envelope) -> Result<Self, Wrong> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if envelope.kind.len() > TYPE_BYTES || !envelope.kind.chars().all(inner) {
            return Err(Wrong::Type);
        }
        let mut said = vec![
            ("TOPIC", topic.dotted()),
            ("TYPE", envelope.kind.clone()),
            ("ID", envelope.id.to_string()),
            ("TIME", envelope.time.to_string()),
        ];
        for (field, variable, check) in FIELDS {
            // What is an object or a list is for standard input.
            let Some(value) = field_of(&envelope.data, field).filter(|it| is_plain(it)) else {
                continue;
            };
            let text = check(value).map_err(|why| Wrong::Field { field, why })?;
            // The first field of a variable wins: a tag's commit before the tag itself.
            if said.iter().all(|(known, _)| *known != variable) {
                said.push((variable, text));
            }
        }
        said.extend(one_package(&envelope.data)?);
        Ok(Self(said))
    }

    /// What it says of this, if anything.
    #[must_use]
    pub fn get(&self, variable: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| *name == variable);
        found.map(|(_, text)| text.as_str())
    }

    /// The variables, without `DEPLOYKIT_`.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, text)| (*name, text.as_str()))
    }

    /// `ci.succeeded shop refs/heads/main 1f0c1e9d5b`
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.get("TOPIC").unwrap_or_default().to_owned();
        for variable in ["HOST", "REPOSITORY", "REF", "COMMIT"] {
            if let Some(text) = self.get(variable) {
                let shown = if variable == "COMMIT" { 10 } else { text.len() };
                line = format!("{line} {}", &text[..shown]);
            }
        }
        line
    }
}

/// True if the message is one that was asked for: each kind of filter that was given has one that fits.
#[must_use]
pub fn is_wanted(said: &Said, args: &cli::On) -> bool {
    let fits = |patterns: &[Pattern], variable: &str| {
        let text = said.get(variable);
        patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|it| it.matches(text)))
    };
    fits(&args.repositories, "REPOSITORY")
        && fits(&args.refs, "REF")
        && fits(&args.hosts, "HOST")
        && fits(&args.projects, "PROJECT")
}

fn field_of<'a>(data: &'a Value, field: &str) -> Option<&'a Value> {
    data.pointer(&format!("/{field}"))
}

fn is_plain(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::Number(_))
}

fn name<T: FromStr<Err = NameError> + AsRef<str>>(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or("it is no text")?;
    let name: T = text.parse().map_err(|wrong: NameError| wrong.to_string())?;
    Ok(name.as_ref().to_owned())
}

fn number(value: &Value) -> Result<String, String> {
    let number = value.as_u64().ok_or("it is no number")?;
    Ok(number.to_string())
}

fn number_or_commit(value: &Value) -> Result<String, String> {
    number(value).or_else(|_| name::<CommitId>(value))
}

fn word(value: &Value) -> Result<String, String> {
    let text = value.as_str().unwrap_or_default();
    let inner = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_word = (1..=40).contains(&text.len()) && text.chars().all(inner);
    is_word
        .then(|| text.to_owned())
        .ok_or_else(|| "it is no word".to_owned())
}

/// Where it is about one package, which and which version of it.
fn one_package(data: &Value) -> Result<Vec<(&'static str, String)>, Wrong> {
    let packages = data.get("packages").and_then(Value::as_array);
    let total = data.get("packages_total").and_then(Value::as_u64);
    let (Some([one]), 0 | 1) = (packages.map(Vec::as_slice), total.unwrap_or_default()) else {
        return Ok(Vec::new());
    };
    let mut said = Vec::new();
    let fields: [(&'static str, &'static str, Check); 2] = [
        ("name", "PACKAGE", name::<PackageName>),
        ("version", "VERSION", name::<PackageVersion>),
    ];
    for (field, variable, check) in fields {
        if let Some(value) = one.get(field) {
            let text = check(value).map_err(|why| Wrong::Field { field, why })?;
            said.push((variable, text));
        }
    }
    Ok(said)
}

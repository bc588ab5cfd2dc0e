//! Texts in, settings out, or the file, line and key that is wrong. No I/O.

use std::collections::BTreeMap;

use config::{Config, File, FileFormat};
use serde::{Deserialize, de::DeserializeOwned};
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue, Deserializer},
};

use super::{Common, Settings};

/// The keys of a file that are [`Common`]; the others are the service's own.
const COMMON: [&str; 4] = ["host", "log", "bus", "metrics"];

/// Why settings are wrong: one sentence that names the file, the line and the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(pub String);

/// One file's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The file's name, for errors.
    pub file: String,
    /// What is in it.
    pub text: String,
}

/// Reads one text as a whole settings file; `file` is for the error only.
///
/// # Errors
/// Names file, line and key.
pub fn parse<S: Settings>(text: &str, file: &str) -> Result<(Common, S), SettingsError> {
    let layer = Layer {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    together(&[layer], "", &BTreeMap::new())
}

/// Reads one text that is no settings file of a service, as exactly: `file` is for the error only.
///
/// # Errors
/// Names file, line and key.
pub fn exactly<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, SettingsError> {
    let layer = Layer {
        file: file.to_owned(),
        text: text.to_owned(),
    };
    let root = DeTable::parse(text).map_err(|error| refused(&layer, None, &error))?;
    let all = root.get_ref().clone();
    T::deserialize(Deserializer::from(root)).map_err(|error| refused(&layer, Some(&all), &error))
}

/// A shipped file with every commented key (`#key = value`, `#[section]`) switched on, for a test that all of them parse.
///
/// Prose has a space after its `#`, a commented key has none.
#[must_use]
pub fn switched_on(shipped: &str) -> String {
    let mut text = String::new();
    for line in shipped.lines() {
        let key = line.strip_prefix('#').filter(|rest| {
            let first = rest.chars().next();
            first.is_some_and(|c| c.is_ascii_lowercase() || matches!(c, '[' | '"'))
        });
        text.push_str(key.unwrap_or(line));
        text.push('\n');
    }
    text
}

/// Lays the files over each other, and the variables `<prefix>SECTION__KEY` of the environment over them.
///
/// Each layer is read alone first, with its lines, so that a wrong key is named where it stands; only then are all
/// taken together. A key that one layer lacks may stand in another.
///
/// # Errors
/// Names the file, line and key, or the variable.
pub fn together<S: Settings>(
    files: &[Layer],
    prefix: &str,
    environment: &BTreeMap<String, String>,
) -> Result<(Common, S), SettingsError> {
    let mut builder = Config::builder();
    for layer in files {
        alone::<S>(layer)?;
        builder = builder.add_source(File::from_str(&layer.text, FileFormat::Toml));
    }
    for (name, text) in environment {
        let Some(key) = name.strip_prefix(prefix) else {
            continue;
        };
        if prefix.is_empty() || key.is_empty() {
            continue;
        }
        let table = variable::<S>(name, key, text)?;
        builder = builder.add_source(File::from_str(&table.to_string(), FileFormat::Toml));
    }
    let whole: Table = builder
        .build()
        .and_then(Config::try_deserialize)
        .map_err(|error| SettingsError(error.to_string()))?;
    let (common, own) = split(whole);
    let common = read::<Common>(common).map_err(|wrong| whole_error(files, &wrong))?;
    let own = read::<S>(own).map_err(|wrong| whole_error(files, &wrong))?;
    common
        .check()
        .and_then(|()| own.check())
        .map_err(|wrong| whole_error(files, &wrong))?;
    Ok((common, own))
}

fn split(whole: Table) -> (Table, Table) {
    whole
        .into_iter()
        .partition(|(key, _)| COMMON.contains(&key.as_str()))
}

fn read<T: DeserializeOwned>(table: Table) -> Result<T, String> {
    T::deserialize(Value::Table(table)).map_err(|error| error.to_string().trim().replace('\n', " "))
}

fn whole_error(files: &[Layer], wrong: &str) -> SettingsError {
    let names: Vec<&str> = files.iter().map(|layer| layer.file.as_str()).collect();
    SettingsError(match names.as_slice() {
        [] => format!("settings (no file was found): {wrong}"),
        names => format!("{}: {wrong}", names.join(" + ")),
    })
}

fn is_missing(message: &str) -> bool {
    message.starts_with("missing field")
}

/// What is wrong with a text, by its file, line and key.
fn refused(layer: &Layer, root: Option<&DeTable<'_>>, error: &toml::de::Error) -> SettingsError {
    let start = error.span().map_or(0, |span| span.start);
    let before = &layer.text[..start.min(layer.text.len())];
    let line = 1 + before.matches('\n').count();
    let key = root.and_then(|root| key_at(root, start));
    let key = key.map_or_else(String::new, |key| format!("key `{key}`: "));
    let message = error.message().trim().replace('\n', " ");
    SettingsError(format!("{}:{line}: {key}{message}", layer.file))
}

/// Reads one file alone. Missing keys are no error here.
fn alone<S: Settings>(layer: &Layer) -> Result<(), SettingsError> {
    let root = DeTable::parse(&layer.text).map_err(|error| refused(layer, None, &error))?;
    let span = root.span();
    let all = root.into_inner();
    let (common, own): (Vec<_>, Vec<_>) = all
        .clone()
        .into_iter()
        .partition(|(key, _)| COMMON.contains(&key.get_ref().as_ref()));
    let part = |entries: Vec<_>| {
        Deserializer::from(Spanned::new(span.clone(), DeTable::from_iter(entries)))
    };
    let results = [
        Common::deserialize(part(common)).err(),
        S::deserialize(part(own)).err(),
    ];
    match results
        .iter()
        .flatten()
        .find(|error| !is_missing(error.message()))
    {
        Some(error) => Err(refused(layer, Some(&all), error)),
        None => Ok(()),
    }
}

/// The dotted key that stands at a place of the text, or whose value does.
fn key_at(table: &DeTable<'_>, place: usize) -> Option<String> {
    for (key, value) in table {
        let below = match value.get_ref() {
            DeValue::Table(table) => key_at(table, place),
            _ => None,
        };
        if let Some(below) = below {
            return Some(format!("{}.{below}", key.get_ref()));
        }
        if key.span().contains(&place) || value.span().contains(&place) {
            return Some(key.get_ref().to_string());
        }
    }
    None
}

/// A variable of the environment as a table. Its text is a TOML value where that fits, else a string.
fn variable<S: Settings>(name: &str, key: &str, text: &str) -> Result<Table, SettingsError> {
    let nested = |value: Value| {
        let lower = key.to_lowercase();
        let mut parts = lower.split("__").collect::<Vec<_>>().into_iter().rev();
        let last = parts.next().unwrap_or_default().to_owned();
        let innermost = Table::from_iter([(last, value)]);
        parts.fold(innermost, |table, part| {
            Table::from_iter([(part.to_owned(), Value::Table(table))])
        })
    };
    let as_text = nested(Value::String(text.to_owned()));
    let as_value = format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .map(nested);
    let fits = |table: &Table| {
        let (common, own) = split(table.clone());
        let wrong = [read::<Common>(common).err(), read::<S>(own).err()];
        match wrong.into_iter().flatten().find(|wrong| !is_missing(wrong)) {
            Some(wrong) => Err(SettingsError(format!(
                "environment variable {name}: {wrong}"
            ))),
            None => Ok(()),
        }
    };
    let Some(as_value) = as_value else {
        return fits(&as_text).map(|()| as_text);
    };
    match fits(&as_value) {
        Ok(()) => Ok(as_value),
        Err(wrong) => fits(&as_text).map(|()| as_text).map_err(|_| wrong),
    }
}

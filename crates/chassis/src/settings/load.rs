//! Finding the files of a service.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use world::{Disk, Kind};

use super::{Common, Layer, Settings, SettingsError, together};

/// Where settings are kept.
const FOLDER: &str = "/etc/deploykit";

/// Reads a service's settings: `config` if named (it must exist then), else `/etc/deploykit/<service>.toml` (which may be
/// missing); then `*.toml` in the folder of the same name that ends in `.d`; then the environment.
///
/// # Errors
/// Names the file, line and key, or the file that cannot be read.
pub fn load<S: Settings>(
    disk: &dyn Disk,
    service: &str,
    config: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Result<(Common, S), SettingsError> {
    let file = config.map_or_else(
        || Path::new(FOLDER).join(format!("{service}.toml")),
        Path::to_owned,
    );
    let mut layers = Vec::new();
    match text(disk, &file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && config.is_none() => {}
        Err(error) => return Err(unreadable(&file, &error)),
        Ok(text) => layers.push(layer(&file, text)),
    }
    for file in drop_ins(disk, &file.with_extension("d"))? {
        let text = text(disk, &file).map_err(|error| unreadable(&file, &error))?;
        layers.push(layer(&file, text));
    }
    together(&layers, &prefix(service), environment)
}

/// `DEPLOYKIT_STOMP_GIT__`
fn prefix(service: &str) -> String {
    format!("DEPLOYKIT_{}__", service.replace('-', "_").to_uppercase())
}

fn text(disk: &dyn Disk, file: &Path) -> io::Result<String> {
    let bytes = disk.read(file)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))
}

fn layer(file: &Path, text: String) -> Layer {
    let file = file.display().to_string();
    Layer { file, text }
}

fn unreadable(file: &Path, error: &io::Error) -> SettingsError {
    SettingsError(format!("cannot read settings {}: {error}", file.display()))
}

fn drop_ins(disk: &dyn Disk, folder: &Path) -> Result<Vec<PathBuf>, SettingsError> {
    let entries = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(folder, &error)),
        Ok(entries) => entries,
    };
    let is_settings = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".toml") && !name.starts_with('.')
    };
    Ok(entries
        .into_iter()
        .filter(|entry| entry.kind != Kind::Folder && is_settings(&entry.path))
        .map(|entry| entry.path)
        .collect())
}

//! Where `deploykit on` finds its settings, and its command.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chassis::{Common, settings};
use serde::{Deserialize, Serialize};
use world::Disk;

use crate::{failure::Failure, home::Folders};

/// The settings file's name.
const FILE: &str = "on.toml";

/// Who may run it, whoever it is.
const MAY_RUN: u32 = 0o111;

/// The keys of `on.toml` beside those of all services: none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnSettings {}

impl chassis::Settings for OnSettings {
    const SHIPPED: &'static str = include_str!("../../dist/on.toml");
}

/// Finds and reads the settings.
///
/// # Errors
/// When there are none, or they are wrong; both say what to do.
pub fn settings(
    config: Option<&Path>,
    at: Option<&Path>,
    folders: &Folders,
    disk: &dyn Disk,
    environment: &BTreeMap<String, String>,
) -> Result<Common, Failure> {
    let below = |folder: &Path| folder.join("etc").join(FILE);
    let candidates: Vec<PathBuf> = match (config, at) {
        (Some(config), _) => vec![config.to_owned()],
        (None, Some(folder)) => vec![below(folder)],
        (None, None) => vec![
            Path::new("/etc/deploykit").join(FILE),
            folders.config.join(FILE),
            below(&folders.data),
        ],
    };
    let mut found = None;
    for path in &candidates {
        if disk.look(path)?.is_some() {
            found = Some(path);
            break;
        }
    }
    let Some(path) = found else {
        let looked: Vec<String> = candidates
            .iter()
            .map(|it| it.display().to_string())
            .collect();
        return Err(Failure::Settings(format!(
            "no bus is known here (looked for {}): write one of these with a [bus] section, name one with --config, or the folder of a running `deploykit up` with --at",
            looked.join(", ")
        )));
    };
    let loaded = settings::load::<OnSettings>(disk, "on", Some(path), environment);
    let (common, OnSettings {}) = loaded.map_err(|wrong| Failure::Settings(wrong.to_string()))?;
    Ok(common)
}

/// Says whether a command is there, so that it is known before the first message comes.
///
/// # Errors
/// Where it was looked for.
pub fn command(name: &str, path: &str, disk: &dyn Disk) -> Result<(), Failure> {
    let runs = |path: &Path| matches!(disk.look(path), Ok(Some(it)) if it.kind != world::Kind::Folder && (it.kind == world::Kind::Link || it.mode & MAY_RUN != 0));
    let found = match name.contains('/') {
        true => runs(Path::new(name)),
        false => path
            .split(':')
            .any(|folder| runs(&Path::new(folder).join(name))),
    };
    if found {
        return Ok(());
    }
    let place = if name.contains('/') {
        "there"
    } else {
        "on PATH"
    };
    Err(Failure::Settings(format!(
        "{name:?} is no command that can be run: there is none {place}, or it is not executable"
    )))
}

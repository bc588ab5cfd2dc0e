//! The arguments that every service has.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::Service;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Args {
    /// A settings file in place of the one in `/etc/deploykit`.
    pub(crate) config: Option<PathBuf>,
    /// Only read the settings.
    pub(crate) check: bool,
}

/// Reads the arguments.
///
/// # Errors
/// What clap prints: help and version are among these.
pub(crate) fn parse(
    service: Service,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Args, clap::Error> {
    let matches: ArgMatches = command(service).try_get_matches_from(arguments)?;
    Ok(Args {
        config: matches.get_one("config").cloned(),
        check: matches.get_flag("check"),
    })
}

fn command(service: Service) -> Command {
    let Service {
        name,
        version,
        about,
    } = service;
    let variable = name.replace('-', "_").to_uppercase();
    Command::new(name)
        .version(version)
        .about(about)
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help(format!("Settings file [default: /etc/deploykit/{name}.toml]")),
        )
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Read the settings, say what is wrong with them, and exit (78 if something is)"),
        )
        .after_help(format!(
            "Settings: defaults, then the file, then *.toml in the folder of the same name ending in .d,\n\
             then the environment (DEPLOYKIT_{variable}__BUS__LOGIN=…).\n\n\
             Example:\n  {name} --config ./{name}.toml --check && {name} --config ./{name}.toml"
        ))
}

//! What may be asked for. The shipped file `dist/stomp-git.toml` shows every key.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use events::{RefName, RepoName};
use git::{Limits, Origin};
use serde::Deserialize;

/// The service's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Mirrors are at `<base>/mirrors/<repository>.git`.
    #[serde(default = "base")]
    pub base: PathBuf,
    /// The folder whose `.ssh`, `.netrc` and `.gitconfig` are used to fetch. Default: the home of the service's user.
    pub home: Option<PathBuf>,
    /// Everything is fetched this often even if nobody pushed, give or take a quarter, seconds.
    #[serde(default = "sweep_s")]
    pub sweep_s: u64,
    /// A fetch or clone is ended after this, seconds.
    #[serde(default = "fetch_limit_s")]
    pub fetch_limit_s: u64,
    /// How many repositories are fetched at once.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// What is mirrored here, by its name on the bus.
    #[serde(default)]
    pub repositories: BTreeMap<RepoName, Repository>,
}

/// One repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Where it is fetched from.
    pub origin: Origin,
    /// Other names that hooks and forges give it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The refs whose pushes are followed at once; the mirror has all of them, the others when something else is fetched.
    #[serde(default = "everything")]
    pub follow: Vec<Follow>,
}

/// A full ref, or all that begin with what is before a `*` at the end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Follow(String);

impl Follow {
    /// True if this ref is meant.
    #[must_use]
    pub fn matches(&self, name: &RefName) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.as_str().starts_with(beginning),
            None => name.as_str() == self.0,
        }
    }
}

impl TryFrom<String> for Follow {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let beginning = text.strip_suffix('*').unwrap_or(&text);
        let full = beginning.starts_with("refs/") && !beginning.contains('*');
        if full && (text.ends_with('*') || text.parse::<RefName>().is_ok()) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is not a ref to follow: write refs/heads/main, refs/tags/*, or refs/heads/release-*"
        ))
    }
}

fn base() -> PathBuf {
    PathBuf::from("/var/lib/deploykit")
}

fn sweep_s() -> u64 {
    300
}

fn fetch_limit_s() -> u64 {
    600
}

fn parallel() -> usize {
    2
}

fn everything() -> Vec<Follow> {
    vec![Follow("refs/*".to_owned())]
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/stomp-git.toml");

    fn check(&self) -> Result<(), String> {
        if !self.base.is_absolute() {
            return Err("base must be an absolute path".to_owned());
        }
        if !(5..=86_400).contains(&self.sweep_s) {
            return Err("sweep_s must be 5 to 86400".to_owned());
        }
        if !(1..=86_400).contains(&self.fetch_limit_s) {
            return Err("fetch_limit_s must be 1 to 86400".to_owned());
        }
        if !(1..=32).contains(&self.parallel) {
            return Err("parallel must be 1 to 32".to_owned());
        }
        let mut names: BTreeSet<&str> = self.repositories.keys().map(RepoName::as_str).collect();
        for (name, repository) in &self.repositories {
            for alias in &repository.aliases {
                if alias != name.as_str() && !names.insert(alias) {
                    return Err(format!(
                        "repositories.{name}.aliases: {alias:?} is taken by another repository"
                    ));
                }
            }
        }
        Ok(())
    }
}

impl Settings {
    /// What bounds git.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let fetch = Duration::from_secs(self.fetch_limit_s);
        let default = Limits::default();
        Limits {
            fetch,
            lock: fetch,
            // Whatever a fetch left that is older than two of them is nobody's.
            stale: default.stale.max(2 * fetch),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::{
        Settings as _,
        settings::{parse, switched_on},
    };

    use super::*;

    #[test]
    fn the_shipped_file_parses_as_it_is() {
        let (_, settings) = parse::<Settings>(Settings::SHIPPED, "stomp-git.toml").unwrap();
        assert!(settings.repositories.is_empty());
    }

    #[test]
    fn the_shipped_file_parses_with_every_key_switched_on_and_shows_the_defaults() {
        let text = switched_on(Settings::SHIPPED);
        let (_, all) = parse::<Settings>(&text, "stomp-git.toml").unwrap();
        let (_, defaults) = parse::<Settings>("", "empty").unwrap();
        let shown = |settings: &Settings| {
            let Settings {
                base,
                sweep_s,
                fetch_limit_s,
                parallel,
                ..
            } = settings.clone();
            (base, sweep_s, fetch_limit_s, parallel)
        };
        assert_eq!(shown(&all), shown(&defaults));
        assert!(all.home.is_some());
        let repository = all.repositories.values().next().unwrap();
        assert!(!repository.aliases.is_empty() && !repository.follow.is_empty());
    }

    #[test]
    fn wrong_settings_name_the_key_and_the_rule() {
        let table = [
            ("base = \"mirrors\"", "base must be an absolute path"),
            ("sweep_s = 0", "sweep_s must be 5 to 86400"),
            ("fetch_limit_s = 0", "fetch_limit_s must be 1 to 86400"),
            ("parallel = 0", "parallel must be 1 to 32"),
            ("sweeps = 1", "sweeps"),
            (
                "[repositories.shop]\norigin = \"git://h/shop\"",
                "begins with https://",
            ),
            (
                "[repositories.shop]\norigin = \"https://u:p@h/shop\"",
                "may not hold a password",
            ),
            (
                "[repositories.shop]\norigin = \"/srv/shop\"\nfollow = [\"main\"]",
                "write refs/heads/main",
            ),
            (
                "[repositories.\"../x\"]\norigin = \"/srv/shop\"",
                "no part may begin with .",
            ),
            (
                "[repositories.a]\norigin = \"/a\"\naliases = [\"x\"]\n[repositories.b]\norigin = \"/b\"\naliases = [\"x\"]",
                "repositories.b.aliases: \"x\" is taken",
            ),
            (
                "[repositories.a]\norigin = \"/a\"\naliases = [\"b\"]\n[repositories.b]\norigin = \"/b\"",
                "repositories.a.aliases: \"b\" is taken",
            ),
        ];
        for (text, expected) in table {
            let error = parse::<Settings>(text, "x.toml").unwrap_err().to_string();
            assert!(
                error.contains("x.toml") && error.contains(expected),
                "{text}: {error}"
            );
            assert!(!error.contains("u:p@"), "{error}");
        }
    }
}

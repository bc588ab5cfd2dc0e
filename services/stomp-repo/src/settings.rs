//! What may be asked for. The shipped file `dist/stomp-repo.toml` shows every key.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use events::{AptSource, Architecture, PackageName, RepoName, SuiteName};
use serde::Deserialize;

use crate::work::Pace;

/// The service's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The socket of the root part, `stomp-repo refresh`.
    pub socket: PathBuf,
    /// The file that `APT_CONFIG` names for apt, where its root is not this system's.
    pub apt_config: Option<PathBuf>,
    /// Every source is refreshed this often even if nothing was announced, give or take a quarter, seconds.
    pub sweep_s: u64,
    /// A refresh is held back for a random part of this, so that many hosts do not ask the mirror at once, seconds.
    pub splay_s: u64,
    /// The wait after a first failure, or for a mirror that lags; it doubles to five minutes, seconds.
    pub retry_s: u64,
    /// How often a mirror is asked again for a version that it does not have yet.
    pub lag_tries: u32,
    /// The root part must have answered by then, seconds.
    pub refresh_limit_s: u64,
    /// The files of `sources.list.d` that are refreshed, and what is of interest in them.
    pub sources: BTreeMap<AptSource, Source>,
}

/// One source of apt.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The apt repositories that it is a source for, or a mirror of, by their names on the bus.
    pub repositories: Vec<RepoName>,
    /// The suites that matter, as the repository announces them. Default: all.
    #[serde(default)]
    pub suites: Vec<SuiteName>,
    /// The architectures that matter. Default: those of this host's apt.
    #[serde(default)]
    pub architectures: Vec<Architecture>,
    /// Packages that matter when they are installed. Default: all.
    #[serde(default = "everything")]
    pub packages: Vec<PackagePattern>,
    /// Packages that matter already before they are installed.
    #[serde(default)]
    pub upcoming: Vec<PackagePattern>,
}

/// A package's name, or a pattern in which each `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PackagePattern(String);

impl PackagePattern {
    /// True if this package is meant.
    #[must_use]
    pub fn matches(&self, name: &PackageName) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == name.as_str();
        };
        let Some(mut name) = name.as_str().strip_prefix(first) else {
            return false;
        };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            match name.find(part) {
                Some(at) => name = &name[at + part.len()..],
                None => return false,
            }
        }
        name.ends_with(last)
    }

    /// The one package that it names, if it is no pattern.
    #[must_use]
    pub fn name(&self) -> Option<PackageName> {
        self.0.parse().ok()
    }
}

impl TryFrom<String> for PackagePattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let letter = |c: char| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '*')
        };
        if text.contains('*') && text.len() <= 200 && text.chars().all(letter) {
            return Ok(Self(text));
        }
        match text.parse::<PackageName>() {
            Ok(name) => Ok(Self(name.into())),
            Err(error) => Err(format!("{error}, nor a pattern of one, such as shop-*")),
        }
    }
}

fn everything() -> Vec<PackagePattern> {
    vec![PackagePattern("*".to_owned())]
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/stomp-repo-refresh.sock"),
            apt_config: None,
            sweep_s: 3600,
            splay_s: 30,
            retry_s: 10,
            lag_tries: 8,
            refresh_limit_s: 200,
            sources: BTreeMap::new(),
        }
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/stomp-repo.toml");

    fn check(&self) -> Result<(), String> {
        let absolute = [Some(&self.socket), self.apt_config.as_ref()];
        if absolute
            .into_iter()
            .flatten()
            .any(|path| !path.is_absolute())
        {
            return Err("socket and apt_config must be absolute paths".to_owned());
        }
        if !(60..=86_400).contains(&self.sweep_s) {
            return Err("sweep_s must be 60 to 86400".to_owned());
        }
        if self.splay_s > 3600 {
            return Err("splay_s must be 0 to 3600".to_owned());
        }
        if !(1..=300).contains(&self.retry_s) {
            return Err("retry_s must be 1 to 300".to_owned());
        }
        if self.lag_tries > 100 {
            return Err("lag_tries must be 0 to 100".to_owned());
        }
        if !(1..=3600).contains(&self.refresh_limit_s) {
            return Err("refresh_limit_s must be 1 to 3600".to_owned());
        }
        for (name, source) in &self.sources {
            if source.repositories.is_empty() {
                return Err(format!(
                    "sources.{:?}.repositories must name the apt repositories that it is a source for",
                    name.as_str()
                ));
            }
        }
        Ok(())
    }
}

impl Settings {
    /// How long the root part may take.
    #[must_use]
    pub fn refresh_limit(&self) -> Duration {
        Duration::from_secs(self.refresh_limit_s)
    }

    /// How often, how long, how many times.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            sweep: Duration::from_secs(self.sweep_s),
            splay: Duration::from_secs(self.splay_s),
            retry: Duration::from_secs(self.retry_s),
            lag_tries: self.lag_tries,
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
    fn the_shipped_file_is_the_defaults() {
        let (common, own) = parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
        assert_eq!((common, own), Default::default());
    }

    #[test]
    fn every_commented_key_can_be_switched_on_and_shows_the_default() {
        let (_, all) = parse::<Settings>(&switched_on(Settings::SHIPPED), "shipped").unwrap();
        let (name, source) = all.sources.iter().next().unwrap();
        assert_eq!(name.as_str(), "acme.sources");
        assert!(!source.suites.is_empty() && !source.architectures.is_empty());
        assert!(!source.packages.is_empty() && !source.upcoming.is_empty());
        assert!(all.apt_config.is_some());
        let without = Settings {
            sources: BTreeMap::new(),
            apt_config: None,
            ..all
        };
        assert_eq!(without, Settings::default());
    }

    #[test]
    fn wrong_settings_name_the_key_and_the_rule() {
        let source = |text: &str| format!("[sources.\"acme.sources\"]\n{text}");
        let table = [
            (
                "socket = \"x\"".to_owned(),
                "socket and apt_config must be absolute",
            ),
            ("sweep_s = 5".to_owned(), "sweep_s must be 60 to 86400"),
            ("splay_s = 4000".to_owned(), "splay_s must be 0 to 3600"),
            ("retry_s = 0".to_owned(), "retry_s must be 1 to 300"),
            ("lag_tries = 101".to_owned(), "lag_tries must be 0 to 100"),
            (
                "refresh_limit_s = 0".to_owned(),
                "refresh_limit_s must be 1 to 3600",
            ),
            (source("repositories = []"), "repositories must name"),
            (
                source("repositories = [\"acme\"]\npackages = [\"Shop\"]"),
                "nor a pattern of one",
            ),
            (
                source("repositories = [\"acme\"]\npackages = [\"shop*;id\"]"),
                "nor a pattern of one",
            ),
            (
                source("repositories = [\"acme\"]\nsuites = [\"../x\"]"),
                "is not a suite name",
            ),
            (
                "[sources.\"../acme.list\"]\nrepositories = [\"a\"]".to_owned(),
                "is not a file of sources.list.d",
            ),
        ];
        for (text, expected) in table {
            let error = parse::<Settings>(&text, "x.toml").unwrap_err().to_string();
            assert!(
                error.contains("x.toml") && error.contains(expected),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        let table = [
            ("*", "shop", true),
            ("shop", "shop", true),
            ("shop", "shop-api", false),
            ("shop*", "shop", true),
            ("shop-*", "shop-api", true),
            ("shop-*", "shop", false),
            ("*-api", "shop-api", true),
            ("*-api", "shop-api2", false),
            ("a*a", "a+", false),
            ("aa*aa", "aaa", false),
            ("lib*-*-dev", "libx-y-dev", true),
            ("lib*-*-dev", "libx-dev", false),
            ("s*p*", "shop-1.2", true),
        ];
        for (pattern, name, expected) in table {
            let pattern = PackagePattern::try_from(pattern.to_owned()).unwrap();
            assert_eq!(
                pattern.matches(&name.parse().unwrap()),
                expected,
                "{pattern:?} {name}"
            );
        }
    }
}

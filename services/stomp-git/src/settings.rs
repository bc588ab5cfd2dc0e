//! What may be asked for. The shipped file `dist/stomp-git.toml` shows every key.

mod repository;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use events::RepoName;
use git::Limits;
use serde::Deserialize;
use world::{UserName, World};

pub use repository::{Follow, Gate, Mode, Repository};

use crate::work::Pace;

/// The service's settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Mirrors are at `<base>/mirrors/<repository>.git`.
    #[serde(default = "base")]
    pub base: PathBuf,
    /// The folder whose `.netrc` and `.gitconfig` are used to fetch. Default: the home of the user that fetches.
    pub home: Option<PathBuf>,
    /// Everything is fetched this often even if nobody pushed, give or take a quarter, seconds.
    #[serde(default = "sweep_s")]
    pub sweep_s: u64,
    /// A look at the start or after a push begins at a random moment within this, milliseconds.
    #[serde(default = "splay_ms")]
    pub splay_ms: u64,
    /// A tree that no folder leads to any more is removed after this, seconds.
    #[serde(default = "keep_s")]
    pub keep_s: u64,
    /// How often a mirror is packed, seconds.
    #[serde(default = "maintain_s")]
    pub maintain_s: u64,
    /// A fetch or clone is ended after this, seconds.
    #[serde(default = "fetch_limit_s")]
    pub fetch_limit_s: u64,
    /// An answer to what CI has found is waited for so long, seconds.
    #[serde(default = "answer_limit_s")]
    pub answer_limit_s: u64,
    /// How many repositories are fetched at once.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// What is mirrored here, by its name on the bus.
    #[serde(default)]
    pub repositories: BTreeMap<RepoName, Repository>,
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

fn answer_limit_s() -> u64 {
    10
}

fn parallel() -> usize {
    2
}

fn splay_ms() -> u64 {
    500
}

fn keep_s() -> u64 {
    300
}

fn maintain_s() -> u64 {
    86_400
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
        if self.splay_ms > 600_000 {
            return Err("splay_ms must be 0 to 600000".to_owned());
        }
        if !(1..=604_800).contains(&self.keep_s) {
            return Err("keep_s must be 1 to 604800".to_owned());
        }
        if !(60..=2_592_000).contains(&self.maintain_s) {
            return Err("maintain_s must be 60 to 2592000".to_owned());
        }
        if !(1..=86_400).contains(&self.fetch_limit_s) {
            return Err("fetch_limit_s must be 1 to 86400".to_owned());
        }
        if !(1..=600).contains(&self.answer_limit_s) {
            return Err("answer_limit_s must be 1 to 600".to_owned());
        }
        if !(1..=32).contains(&self.parallel) {
            return Err("parallel must be 1 to 32".to_owned());
        }
        let mut names: BTreeSet<&str> = self.repositories.keys().map(RepoName::as_str).collect();
        for (name, repository) in &self.repositories {
            let checked = repository.check();
            checked.map_err(|wrong| format!("repositories.{name}.{wrong}"))?;
            for alias in &repository.aliases {
                if alias != name.as_str() && !names.insert(alias) {
                    return Err(format!(
                        "repositories.{name}.aliases: {alias:?} is taken by another repository"
                    ));
                }
            }
        }
        self.check_folders()
    }

    fn check_here(&self, world: &World) -> Result<(), String> {
        let own = rustix::process::geteuid().as_raw();
        if own == 0 {
            return Ok(());
        }
        let users = world.disk.read(Path::new("/etc/passwd"));
        let users = String::from_utf8_lossy(&users.unwrap_or_default()).into_owned();
        for (name, repository) in &self.repositories {
            if let Some(user) = &repository.user
                && !is_user(&users, user, own)
            {
                return Err(format!(
                    "repositories.{name}.user is {user:?}, and only root may be another user: start stomp-git as root or as \
                     {user}, or leave `user` out and let this user have the folder"
                ));
            }
        }
        Ok(())
    }
}

/// True if a line of the system's list of users gives this name this number.
fn is_user(users: &str, user: &UserName, uid: u32) -> bool {
    users.lines().any(|line| {
        let mut fields = line.split(':');
        fields.next() == Some(user.as_str()) && fields.nth(1) == Some(&uid.to_string())
    })
}

impl Settings {
    /// No folder is, or is in, that of another repository.
    fn check_folders(&self) -> Result<(), String> {
        let folders: Vec<_> = self
            .repositories
            .iter()
            .filter_map(|(name, repository)| Some((name, repository.folder.as_deref()?)))
            .collect();
        for (at, (name, folder)) in folders.iter().enumerate() {
            for (other, beside) in &folders[..at] {
                if folder.starts_with(beside) || beside.starts_with(folder) {
                    return Err(format!(
                        "repositories.{name}.folder: {} and {} of {other} are in each other: each repository has a folder of \
                         its own",
                        folder.display(),
                        beside.display()
                    ));
                }
            }
        }
        Ok(())
    }

    /// How often, and how spread.
    #[must_use]
    pub fn pace(&self) -> Pace {
        Pace {
            parallel: self.parallel,
            sweep: Duration::from_secs(self.sweep_s),
            splay: Duration::from_millis(self.splay_ms),
            back: Duration::from_secs(10),
        }
    }

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
    use crate::checkouts::{Checkouts, What};

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
        let shown = |settings: &Settings| Settings {
            home: None,
            repositories: BTreeMap::new(),
            ..settings.clone()
        };
        assert_eq!(shown(&all), shown(&defaults));
        assert!(all.home.is_some());
        let named = |name: &str| &all.repositories[&name.parse::<RepoName>().unwrap()];
        let shop = named("shop");
        assert!(!shop.aliases.is_empty() && !shop.follow.is_empty() && shop.key_file.is_some());
        assert_eq!(shop.mode, Mode::Mirror);
        assert_eq!(shop.gate, Some(Gate::Ci));
        assert_eq!(named("site").mode, Mode::Branch);
        let control = Checkouts::of(named("control"), 1).unwrap();
        let What::Branches { at_most, .. } = control.what else {
            panic!("{control:?}")
        };
        let unset = Repository {
            at_most: None,
            ..named("control").clone()
        };
        assert_eq!(
            Checkouts::of(&unset, 1).unwrap().what,
            What::Branches {
                at_most,
                follow: unset.follow,
            }
        );
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
            ("splay_ms = 600001", "splay_ms must be 0 to 600000"),
            ("keep_s = 0", "keep_s must be 1 to"),
            ("answer_limit_s = 0", "answer_limit_s must be 1 to 600"),
            ("maintain_s = 59", "maintain_s must be 60 to"),
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

    #[test]
    fn wrong_settings_of_a_repository_name_it_with_the_key_and_the_rule() {
        let table = [
            ("mode = \"trusting\"", "unknown variant `trusting`"),
            ("mode = \"branches\"", "a.folder is missing"),
            ("folder = \"x.git\"", "a.folder must be an absolute path"),
            ("folder = \"/srv/www\"", "a.folder must end in .git"),
            (
                "mode = \"branch\"\nfolder = \"/srv/x\"",
                "a.branch is missing",
            ),
            (
                "mode = \"branch\"\nfolder = \"/srv/x\"\nbranch = \"a b\"",
                "a.branch: ",
            ),
            (
                "mode = \"branch\"\nfolder = \"/\"\nbranch = \"main\"",
                "a.folder must have a name",
            ),
            ("branch = \"main\"", "a.branch is for mode"),
            ("gate = \"green\"", "unknown variant `green`"),
            ("at_most = 5", "a.at_most is for mode"),
            (
                "mode = \"tags\"\nfolder = \"/srv/x\"\nat_most = 0",
                "a.at_most must be 1 to 1000",
            ),
            ("user = \"a b\"", "is not the name of a user"),
            ("user = \"-x\"", "is not the name of a user"),
            ("key_file = \"/a b\"", "a.key_file"),
            (
                "known_hosts_file = \"known\"",
                "a.key_file, known_hosts_file",
            ),
            (
                "folder = \"/srv/a.git\"\n[repositories.b]\norigin = \"/b\"\nmode = \"tags\"\nfolder = \"/srv\"",
                "are in each other",
            ),
        ];
        for (text, expected) in table {
            let text = format!("[repositories.a]\norigin = \"/a\"\n{text}");
            let error = parse::<Settings>(&text, "x.toml").unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn another_user_is_refused_where_this_is_not_root() {
        let users = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n";
        let user = |name: &str| UserName::try_from(name.to_owned()).unwrap();
        assert!(is_user(users, &user("www-data"), 33));
        assert!(!is_user(users, &user("www-data"), 1000));
        assert!(!is_user(users, &user("nobody"), 33));
    }
}

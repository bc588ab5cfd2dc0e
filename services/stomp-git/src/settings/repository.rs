//! One repository, as the settings name it.

use std::{fmt, path::PathBuf};

use events::RefName;
use git::{Origin, SshFiles};
use serde::{Deserialize, Serialize};
use world::UserName;

/// What is kept of a repository on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A bare mirror and nothing else.
    #[default]
    Mirror,
    /// A mirror, and one branch as files.
    Branch,
    /// A mirror, and each branch as files in a folder of its own.
    Branches,
    /// A mirror, and each of the newest tags as files in a folder of its own.
    Tags,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mirror => "mirror",
            Self::Branch => "branch",
            Self::Branches => "branches",
            Self::Tags => "tags",
        })
    }
}

/// What a commit must have before it comes here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// CI has found it good.
    Ci,
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
    /// Of these, branches or tags become folders.
    #[serde(default = "everything")]
    pub follow: Vec<Follow>,
    /// What a commit must have before it comes here; nothing, where there is none.
    pub gate: Option<Gate>,
    /// What is kept of it.
    #[serde(default)]
    pub mode: Mode,
    /// The branch, where one is checked out.
    pub branch: Option<String>,
    /// Where the mirror is; with checkouts, where those are.
    pub folder: Option<PathBuf>,
    /// How many folders there may be.
    pub at_most: Option<usize>,
    /// Whose files they are, where stomp-git runs as root.
    pub user: Option<UserName>,
    /// The ssh key for this origin.
    pub key_file: Option<PathBuf>,
    /// The host keys for this origin.
    pub known_hosts_file: Option<PathBuf>,
}

impl Repository {
    /// What no type can say.
    ///
    /// # Errors
    /// One sentence that begins with the key.
    pub fn check(&self) -> Result<(), String> {
        let (mode, folder) = (self.mode, &self.folder);
        if folder.as_ref().is_some_and(|folder| !folder.is_absolute()) {
            return Err("folder must be an absolute path".to_owned());
        }
        match (mode, folder) {
            (Mode::Mirror, Some(folder)) if folder.extension().is_none_or(|end| end != "git") => {
                return Err(
                    "folder must end in .git, since mode = \"mirror\" puts a bare mirror there"
                        .to_owned(),
                );
            }
            (Mode::Branch, Some(folder)) if folder.file_name().is_none() => {
                return Err("folder must have a name".to_owned());
            }
            (Mode::Mirror, _) | (_, Some(_)) => {}
            (_, None) => {
                return Err(format!(
                    "folder is missing: mode = \"{mode}\" needs the place of its files"
                ));
            }
        }
        self.branch_ref()?;
        match (mode, self.at_most) {
            (Mode::Mirror | Mode::Branch, Some(_)) => {
                return Err("at_most is for mode = \"branches\" and \"tags\"".to_owned());
            }
            (_, Some(most)) if !(1..=1000).contains(&most) => {
                return Err("at_most must be 1 to 1000".to_owned());
            }
            _ => {}
        }
        self.ssh_files().map(drop)
    }

    /// The branch that is checked out, where one is.
    ///
    /// # Errors
    /// One sentence: it is missing, no branch, or not of this mode.
    pub fn branch_ref(&self) -> Result<Option<RefName>, String> {
        match (self.mode, &self.branch) {
            (Mode::Branch, None) => Err(
                "branch is missing: mode = \"branch\" needs to know which, such as branch = \"main\""
                    .to_owned(),
            ),
            (Mode::Branch, Some(branch)) => {
                let name = format!("refs/heads/{branch}").parse::<RefName>();
                name.map(Some).map_err(|error| format!("branch: {error}"))
            }
            (_, Some(_)) => Err("branch is for mode = \"branch\"".to_owned()),
            (_, None) => Ok(None),
        }
    }

    /// What ssh uses.
    ///
    /// # Errors
    /// One sentence.
    pub fn ssh_files(&self) -> Result<SshFiles, String> {
        SshFiles::new(self.key_file.as_ref(), self.known_hosts_file.as_ref())
            .map_err(|wrong| format!("key_file, known_hosts_file: {wrong}"))
    }
}

/// A full ref, or all that begin with what is before a `*` at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

fn everything() -> Vec<Follow> {
    vec![Follow("refs/*".to_owned())]
}

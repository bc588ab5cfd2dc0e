//! What an origin has, asked without a mirror.

use std::collections::BTreeMap;

use command::Program;
use events::{CommitId, RefName};
use serde::{Deserialize, Serialize};

use crate::{Git, GitError, OUTPUT_BYTES, Origin, answer, program};

/// A branch or tag of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Which.
    pub name: RefName,
    /// Where it leads; annotated tags are followed.
    pub commit: CommitId,
    /// The object that it names, as a hook tells it: for an annotated tag that is the tag, not its commit.
    pub object: CommitId,
}

impl Tip {
    /// True if this is its commit, or the tag object that leads there.
    #[must_use]
    pub fn is_at(&self, object: &CommitId) -> bool {
        self.commit == *object || self.object == *object
    }
}

/// All branches and tags of an origin at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tips {
    /// Those with names that can be used here, by name.
    pub tips: Vec<Tip>,
    /// Refs with names that are refused here (see [`RefName`]), as git lists them.
    pub unusable: Vec<String>,
}

impl Tip {
    /// A ref that names its commit itself, as a branch does.
    #[must_use]
    pub fn of(name: RefName, commit: CommitId) -> Self {
        Self {
            name,
            object: commit.clone(),
            commit,
        }
    }
}

impl Tips {
    /// The lines of `ls-remote`; `None` when they are not that.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut tips = Self::default();
        for (name, found) in answer::remote_refs(text)? {
            let Some(name) = answer::ref_name(&name) else {
                tips.unusable.push(name);
                continue;
            };
            let commit = found.peeled.as_ref().unwrap_or(&found.object);
            tips.tips.push(Tip {
                name,
                commit: commit.parse().ok()?,
                object: found.object.parse().ok()?,
            });
        }
        Some(tips)
    }

    /// Each by its name.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<&RefName, &Tip> {
        self.tips.iter().map(|tip| (&tip.name, tip)).collect()
    }
}

impl Git {
    /// Asks an origin for its branches and tags, unattended as a fetch is. Nothing is fetched.
    ///
    /// # Errors
    /// [`GitError::Run`] at [`crate::Limits::ask`]; [`GitError::TooMuch`] when it answers 64 MiB or more; any other of [`GitError`].
    pub async fn tips(&self, origin: &Origin) -> Result<Tips, GitError> {
        self.read_tips(&program::tips(self, origin)).await
    }

    pub(crate) async fn read_tips(&self, program: &Program) -> Result<Tips, GitError> {
        let output = self.run(program, self.limits.ask).await?;
        if !output.success() {
            return Err(GitError::failed(program, &output));
        }
        // What is kept is as much as fits.
        if output.stdout.len() >= OUTPUT_BYTES {
            return Err(GitError::TooMuch {
                program: program.to_string(),
                most_bytes: OUTPUT_BYTES,
            });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Tips::read(&text).ok_or_else(|| GitError::answer(program, &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn an_annotated_tag_is_followed_and_a_name_that_is_refused_is_set_aside() {
        let text = format!(
            "{ONE}\trefs/heads/main\n{ONE}\trefs/heads/a;b\n{TWO}\trefs/tags/v1\n{ONE}\trefs/tags/v1^{{}}\n"
        );
        let tips = Tips::read(&text).unwrap();
        let found: Vec<_> = tips
            .tips
            .iter()
            .map(|tip| (tip.name.as_str(), tip.commit.as_str(), tip.object.as_str()))
            .collect();
        assert_eq!(
            found,
            [("refs/heads/main", ONE, ONE), ("refs/tags/v1", ONE, TWO)]
        );
        assert_eq!(tips.unusable, ["refs/heads/a;b"]);
    }

    #[test]
    fn a_line_that_is_no_ref_is_not_understood_rather_than_left_out() {
        for text in [
            "warning".to_owned(),
            format!("{ONE} refs/heads/main"),
            "123\trefs/heads/main".to_owned(),
            format!("{ONE}\trefs/tags/v1^{{}}"),
        ] {
            assert_eq!(Tips::read(&text), None, "{text}");
        }
    }
}

//! The files by which ssh proves who it is and whom it talks to.

use std::path::Path;

/// A key and host keys of a mirror's own, in place of those in a home folder. Their paths are such that a shell takes
/// them as they are, since git gives its ssh line to one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SshFiles {
    key: Option<String>,
    known_hosts: Option<String>,
}

impl SshFiles {
    /// Either, both or none.
    ///
    /// # Errors
    /// A path that is not absolute, or has other characters than letters, digits and `/ . _ - + @`.
    pub fn new<P: AsRef<Path>>(key: Option<P>, known_hosts: Option<P>) -> Result<Self, String> {
        let checked = |path: Option<P>| path.map(|path| plain(path.as_ref())).transpose();
        Ok(Self {
            key: checked(key)?,
            known_hosts: checked(known_hosts)?,
        })
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub(crate) fn known_hosts(&self) -> Option<&str> {
        self.known_hosts.as_deref()
    }
}

fn plain(path: &Path) -> Result<String, String> {
    let fits = |text: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@".contains(c);
        text.starts_with('/') && text.chars().all(plain)
    };
    let text = path.to_str().filter(fits);
    text.map(str::to_owned).ok_or_else(|| {
        format!("{path:?} is not an absolute path of letters, digits and / . _ - + @, which ssh's line needs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_shell_would_read_otherwise_is_refused() {
        for path in [
            "keys/shop",
            "/keys/a b",
            "/keys/$(id)",
            "/keys/%h",
            "/keys/'",
            "",
        ] {
            let refused = SshFiles::new(Some(path), None).unwrap_err();
            assert!(refused.contains("absolute path"), "{refused}");
            assert!(SshFiles::new(None, Some(path)).is_err(), "{path}");
        }
        assert!(SshFiles::new(Some("/etc/deploykit/keys/shop-1.2"), None).is_ok());
    }
}

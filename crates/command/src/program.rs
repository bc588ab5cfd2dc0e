//! A program and its arguments, before anything runs.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// What is run: built like a command, compared like a value.
///
/// The environment is exactly what [`Program::env`] gave it, plus `PATH` and `LC_ALL=C.UTF-8` where not given.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    pub(crate) name: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) stdin: Vec<u8>,
}

impl Program {
    /// A program by name (found on `PATH`) or by absolute path.
    #[must_use]
    pub fn new(name: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            args: Vec::new(),
            folder: None,
            env: BTreeMap::new(),
            stdin: Vec::new(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same, started by another program: that is given the name and the arguments behind these words.
    #[must_use]
    pub fn behind<T: Into<String>>(mut self, first: T, rest: impl IntoIterator<Item = T>) -> Self {
        let name = std::mem::replace(&mut self.name, PathBuf::from(first.into()));
        let args = std::mem::take(&mut self.args);
        self.args(rest).arg(name.display().to_string()).args(args)
    }

    /// Its arguments, in order.
    #[must_use]
    pub fn arguments(&self) -> &[String] {
        &self.args
    }

    /// Runs in this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Feeds these bytes to its standard input; default: nothing.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }
}

/// The line a person would type; words with anything unusual in quotes. For logs and tests, never run.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.display())?;
        for arg in &self.args {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=+@,^{}".contains(c);
            if !arg.is_empty() && arg.chars().all(plain) {
                write!(f, " {arg}")?;
            } else {
                write!(f, " {arg:?}")?;
            }
        }
        Ok(())
    }
}

/// As it shows, and what it is given by name only: values of variables and input may be secrets.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("line", &self.to_string())
            .field("folder", &self.folder)
            .field("env", &self.env.keys())
            .field("stdin_bytes", &self.stdin.len())
            .finish()
    }
}

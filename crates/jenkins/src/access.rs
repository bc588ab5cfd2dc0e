//! Where a Jenkins is, and who we are there: the section `[jenkins]` of a service's settings.

use std::{path::PathBuf, time::Duration};

use exchange::Address;
use serde::Deserialize;

/// The longest that a limit may be, seconds.
const LONGEST_LIMIT_S: u64 = 600;

/// The section `[jenkins]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Its address, with the path that it lies under: `https://ci.example.org/jenkins/`.
    pub url: String,
    /// Who we are there.
    pub user: String,
    /// File with the API token (or password) of that user; read for each request, so a changed one is taken up.
    pub token_file: PathBuf,
    /// The authorities that may have signed its certificate, PEM; only these then. Default: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// One attempt to connect, TCP and TLS, seconds.
    #[serde(default = "connect_limit_s")]
    pub connect_limit_s: u64,
    /// From the connection to the end of the answer, seconds.
    #[serde(default = "request_limit_s")]
    pub request_limit_s: u64,
}

fn connect_limit_s() -> u64 {
    10
}

fn request_limit_s() -> u64 {
    30
}

impl Access {
    /// What no type can say about these keys; names the key.
    ///
    /// # Errors
    /// One sentence.
    pub fn check(&self) -> Result<(), String> {
        Base::parse(&self.url)?;
        let portable = |c: char| !c.is_control() && c != ':';
        if self.user.is_empty() || !self.user.chars().all(portable) {
            return Err("jenkins.user must be a name without : and control characters".to_owned());
        }
        let limits = [
            ("connect_limit_s", self.connect_limit_s),
            ("request_limit_s", self.request_limit_s),
        ];
        for (key, value) in limits {
            if !(1..=LONGEST_LIMIT_S).contains(&value) {
                return Err(format!(
                    "jenkins.{key} is {value}: it must be 1 to {LONGEST_LIMIT_S}"
                ));
            }
        }
        if self.ca_file.is_some() && !self.url.starts_with("https:") {
            return Err(
                "jenkins.ca_file is set, but jenkins.url is not https: change one of them"
                    .to_owned(),
            );
        }
        Ok(())
    }

    pub(crate) fn connect_limit(&self) -> Duration {
        Duration::from_secs(self.connect_limit_s)
    }

    pub(crate) fn request_limit(&self) -> Duration {
        Duration::from_secs(self.request_limit_s)
    }
}

/// Where a Jenkins lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) address: Address,
    /// Empty, or with a slash at its start and none at its end.
    pub(crate) path: String,
}

impl Base {
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("jenkins.url {why}, such as https://ci.example.org/");
        // The text itself is not repeated: somebody may have put a password into it.
        if url.contains('@') {
            return Err(wrong(
                "must have no login: it goes into jenkins.user and jenkins.token_file",
            ));
        }
        if url.contains(['?', '#']) {
            return Err(wrong("must have no ? and no #"));
        }
        let address = Address::parse(url).map_err(|why| wrong(&why.to_string()))?;
        let path = address.target.trim_end_matches('/').to_owned();
        Ok(Self { address, path })
    }
}

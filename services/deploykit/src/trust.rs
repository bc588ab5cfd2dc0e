//! Keys, who may sign with them, and the policy: what `setup`, `up` and `demo` make, once.
//!
//! In a folder: `allowed_signers`, `policy.toml`, and in `keys/` (for its owner only) the OpenSSH private keys `operator`,
//! `orchestrator` and `web`, and the secrets `github` and `broker`. What exists is kept.

use std::path::{Path, PathBuf};

use orders::{Document, Key};
use world::{Disk, World};

use crate::failure::Failure;

/// The files of a trust folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The folder.
    pub folder: PathBuf,
    /// The person's key: a new one in the folder, or their own.
    pub operator_key: PathBuf,
}

/// A file and whether it is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The file.
    pub path: PathBuf,
    /// What it is.
    pub what: &'static str,
    /// False if it was there already.
    pub new: bool,
}

impl Trust {
    /// The trust folder `folder`, with the person's own key if `own_key` names one.
    #[must_use]
    pub fn at(folder: &Path, own_key: Option<&Path>) -> Self {
        let operator_key = own_key.map_or_else(|| folder.join("keys/operator"), Path::to_owned);
        Self {
            folder: folder.to_owned(),
            operator_key,
        }
    }

    /// The orchestrator's key.
    #[must_use]
    pub fn orchestrator_key(&self) -> PathBuf {
        self.folder.join("keys/orchestrator")
    }

    /// The web page's key.
    #[must_use]
    pub fn web_key(&self) -> PathBuf {
        self.folder.join("keys/web")
    }

    /// Who may sign what, as `ssh-keygen -Y verify` reads it.
    #[must_use]
    pub fn allowed_signers(&self) -> PathBuf {
        self.folder.join("allowed_signers")
    }

    /// Who may deploy what.
    #[must_use]
    pub fn policy(&self) -> PathBuf {
        self.folder.join("policy.toml")
    }

    /// The secret shared with the forge.
    #[must_use]
    pub fn webhook_secret(&self) -> PathBuf {
        self.folder.join("keys/github")
    }

    /// The passcode of the embedded broker.
    #[must_use]
    pub fn broker_passcode(&self) -> PathBuf {
        self.folder.join("keys/broker")
    }

    /// Makes what is missing. `person` is the principal of the operator's key; `page` lets the web page deploy too.
    ///
    /// # Errors
    /// When a file cannot be written, or a key that exists cannot be used.
    pub fn ensure(&self, person: &str, page: bool, world: &World) -> Result<Vec<Made>, Failure> {
        let disk = &*world.disk;
        disk.create_folders(&self.folder, 0o755)?;
        disk.create_folders(&self.folder.join("keys"), 0o700)?;
        let mut made = vec![
            self.ensure_key(
                &self.operator_key,
                person,
                "your key: it signs what you deploy",
                world,
            )?,
            self.ensure_key(
                &self.orchestrator_key(),
                "orchestrator",
                "the orchestrator's key: it signs orders",
                world,
            )?,
            self.ensure_key(&self.web_key(), "web", "the web page's key", world)?,
        ];
        let signers = self.signers(person, disk)?;
        made.push(keep_or_write(
            &self.allowed_signers(),
            &signers,
            0o644,
            "who may sign what",
            disk,
        )?);
        let policy = policy_text(person, page);
        made.push(keep_or_write(
            &self.policy(),
            &policy,
            0o644,
            "who may deploy what",
            disk,
        )?);
        made.push(keep_or_write(
            &self.webhook_secret(),
            &secret(world),
            0o600,
            "the secret to enter at the forge",
            disk,
        )?);
        made.push(keep_or_write(
            &self.broker_passcode(),
            &secret(world),
            0o600,
            "the broker's passcode",
            disk,
        )?);
        Ok(made)
    }

    fn ensure_key(
        &self,
        path: &Path,
        principal: &str,
        what: &'static str,
        world: &World,
    ) -> Result<Made, Failure> {
        let disk = &*world.disk;
        let path_owned = path.to_owned();
        if disk.look(path)?.is_some() {
            read_key(path, disk)?;
            return Ok(Made {
                path: path_owned,
                what,
                new: false,
            });
        }
        let mut seed = [0; 32];
        world.entropy.fill(&mut seed);
        let key = Key::generate(&seed, principal);
        disk.create(path, key.to_openssh().as_bytes(), 0o600)?;
        disk.replace(
            &path.with_extension("pub"),
            format!("{}\n", key.public_line()).as_bytes(),
            0o644,
        )?;
        Ok(Made {
            path: path_owned,
            what,
            new: true,
        })
    }

    fn signers(&self, person: &str, disk: &dyn Disk) -> Result<String, Failure> {
        let line = |principal: &str, namespace: &str, path: &Path| -> Result<String, Failure> {
            Ok(format!(
                "{}\n",
                read_key(path, disk)?.allowed_signer(principal, &[namespace])
            ))
        };
        Ok([
            "# Who may sign what: principals, namespaces, key. See ssh-keygen(1), ALLOWED SIGNERS.\n".to_owned(),
            line(person, orders::Grant::NAMESPACE, &self.operator_key)?,
            line("web", orders::Grant::NAMESPACE, &self.web_key())?,
            line("orchestrator", orders::Order::NAMESPACE, &self.orchestrator_key())?,
        ]
        .concat())
    }
}

/// Reads an OpenSSH private key.
///
/// # Errors
/// When it is missing, encrypted, or not Ed25519; says which and what to do.
pub fn read_key(path: &Path, disk: &dyn Disk) -> Result<Key, Failure> {
    let settings = |why: String| {
        Failure::Settings(format!("the key {} cannot be used: {why}", path.display()))
    };
    let bytes = disk
        .read(path)
        .map_err(|error| settings(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| settings("it is not text".to_owned()))?;
    Key::parse(&text).map_err(|error| settings(error.to_string()))
}

/// Writes a file unless there is one.
///
/// # Errors
/// The disk's.
pub fn keep_or_write(
    path: &Path,
    text: &str,
    mode: u32,
    what: &'static str,
    disk: &dyn Disk,
) -> Result<Made, Failure> {
    let new = disk.look(path)?.is_none();
    if new {
        disk.create(path, text.as_bytes(), mode)?;
    }
    Ok(Made {
        path: path.to_owned(),
        what,
        new,
    })
}

/// 32 random bytes in hex, with a line end.
fn secret(world: &World) -> String {
    let mut bytes = [0; 32];
    world.entropy.fill(&mut bytes);
    format!("{}\n", hex::encode(bytes))
}

fn policy_text(person: &str, page: bool) -> String {
    let principals = if page {
        format!(
            "# \"web\": the page signs with a key of its own, for whoever reaches it; it listens on loopback only.\nprincipals = [{person:?}, \"web\"]"
        )
    } else {
        format!(
            "# Add \"web\" to let the web page deploy: it has no login, so for whoever reaches it on the orchestrator's host.\nprincipals = [{person:?}]"
        )
    };
    format!(
        "# Who may deploy what. Agents and the orchestrator refuse everything that is not allowed here.\n\
         orchestrators = [\"orchestrator\"]\n\n\
         [[allow]]\n\
         project = \"*\"\n\
         environment = \"*\"\n\
         {principals}\n\
         signatures = 1\n"
    )
}

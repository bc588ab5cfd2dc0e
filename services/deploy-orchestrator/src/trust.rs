//! Keys, and whose signatures count.

use std::{path::Path, sync::Arc};

use chassis::{Failure, causes};
use events::message::Signed;
use jiff::Timestamp;
use orders::{Grant, Key, Keyring, Policy, Standing, Verified, VerifyError};
use world::World;

use crate::{
    refused::{Kind, Refused},
    settings::Settings,
};

/// The keys of this orchestrator, and where the rules are.
#[derive(Debug, Clone)]
pub struct Trust {
    settings: Arc<Settings>,
    world: World,
    orchestrator: Arc<Key>,
    web: Option<Arc<Key>>,
}

/// Whose signatures count, as the files say at this moment.
#[derive(Debug, Clone)]
pub struct Rules {
    keyring: Keyring,
    policy: Policy,
}

impl Trust {
    /// Reads the keys, and the rules once, so that what is wrong with them is known at the start.
    ///
    /// # Errors
    /// Names the setting, the file and the cause.
    pub async fn load(settings: Arc<Settings>, world: &World) -> Result<Self, Failure> {
        let orchestrator = key(
            world,
            "orchestrator_key_file",
            &settings.orchestrator_key_file,
        )
        .await?;
        let web = match &settings.web_key_file {
            Some(file) => Some(Arc::new(key(world, "web_key_file", file).await?)),
            None => None,
        };
        let trust = Self {
            settings,
            world: world.clone(),
            orchestrator: Arc::new(orchestrator),
            web,
        };
        let rules = trust.rules().await.map_err(Failure::Settings)?;
        for note in rules.keyring.notes() {
            tracing::warn!(file = %trust.settings.allowed_signers.display(), note, "allowed_signers");
        }
        Ok(trust)
    }

    /// The rules as the files have them now: a change counts from the next deploy on, without a restart.
    ///
    /// # Errors
    /// Names the setting, the file and the cause.
    pub async fn rules(&self) -> Result<Rules, String> {
        let signers = text(
            &self.world,
            "allowed_signers",
            &self.settings.allowed_signers,
        )
        .await?;
        let policy = text(&self.world, "policy", &self.settings.policy).await?;
        let wrong = |key: &str, file: &Path, error: &(dyn std::error::Error + 'static)| {
            format!("{key} {}: {}", file.display(), causes(error))
        };
        Ok(Rules {
            keyring: Keyring::parse(&signers).map_err(|error| {
                wrong("allowed_signers", &self.settings.allowed_signers, &error)
            })?,
            policy: Policy::parse(&policy)
                .map_err(|error| wrong("policy", &self.settings.policy, &error))?,
        })
    }

    /// Signs an order.
    ///
    /// # Errors
    /// When the order makes no sense or the key fails.
    pub fn sign_order(&self, order: &orders::Order) -> Result<Signed, orders::SignError> {
        orders::sign(order, &self.orchestrator)
    }

    /// Signs what was asked for on the page.
    ///
    /// # Errors
    /// When the page has no key.
    pub fn sign_for_page(&self, grant: &Grant) -> Result<Signed, Refused> {
        let Some(key) = &self.web else {
            let error = "the page has no key of its own here, so it cannot ask for deploys";
            return Err(Refused::new(Kind::NotAllowed, error)
                .next("use `deploykit deploy`, or set web_key_file"));
        };
        orders::sign(grant, key).map_err(|error| Refused::new(Kind::Trouble, causes(&error)))
    }
}

impl Rules {
    /// A grant whose signatures suffice, and who stands behind it.
    ///
    /// # Errors
    /// 400 for what is no grant, 403 with who is needed.
    pub fn allow(
        &self,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<(Verified<Grant>, Standing), Refused> {
        let verified: Verified<Grant> = self.keyring.verify(signed, now).map_err(|error| {
            let kind = match &error {
                VerifyError::Envelope(_)
                | VerifyError::NotASignature { .. }
                | VerifyError::Content(..)
                | VerifyError::Nonsense(_) => Kind::NotUnderstood,
                _ => Kind::NotAllowed,
            };
            Refused::new(
                kind,
                format!("the grant is not accepted: {}", causes(&error)),
            )
        })?;
        let standing = self
            .policy
            .standing(&verified, now)
            .map_err(|error| Refused::new(Kind::NotAllowed, error))?;
        if let Some(frozen) = &standing.frozen {
            let Grant {
                project,
                environment,
                ..
            } = &verified.document;
            let error = format!("{project} in {environment} is {frozen}");
            return Err(Refused::new(Kind::NotAllowed, error).next(
                "wait for the end of the freeze, or sign with a key that may break the glass, and --reason TEXT; a \
                 rollback is not held up",
            ));
        }
        Ok((verified, standing))
    }
}

async fn text(world: &World, setting: &str, file: &Path) -> Result<String, String> {
    let path = file.to_owned();
    let read = world.on_disk(move |disk| disk.read(&path)).await;
    let cannot = |cause: String| format!("{setting}: cannot read {}: {cause}", file.display());
    let bytes = read.map_err(|error| cannot(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| cannot("it is not text".to_owned()))
}

async fn key(world: &World, setting: &str, file: &Path) -> Result<Key, Failure> {
    let text = text(world, setting, file)
        .await
        .map_err(Failure::Settings)?;
    Key::parse(&text).map_err(|error| {
        Failure::Settings(format!("{setting}: {}: {}", file.display(), causes(&error)))
    })
}

//! TLS to a broker: what its files say, and the handshake.
//!
//! It goes over any byte stream, so a simulated network can have it too. What its errors mean is in `told`.

mod told;

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    pki_types::{
        PrivateKeyDer, ServerName,
        pem::{Error as PemError, PemObject},
    },
};
use tokio_rustls::TlsConnector;
use world::{Clock, Disk, Stream};

pub(super) use told::told;

use crate::{BusSettings, settings::host};

/// What a handshake needs. It has no `Debug`, for there is a key in it.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    /// As in `bus.tls_server_name`; else the host of the broker's address.
    server_name: Option<String>,
}

impl Tls {
    /// Reads the files that the settings name; `None` without `bus.tls`. The error is one sentence that names the file.
    pub(super) fn read(
        settings: &BusSettings,
        disk: &dyn Disk,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, String> {
        if !settings.tls {
            return Ok(None);
        }
        let roots = match &settings.tls_ca_file {
            Some(file) => tls::roots_of_file("bus.tls_ca_file", file, disk)?,
            None => tls::roots_of_system().map_err(|why| told::no_authorities(why.as_deref()))?,
        };
        let builder = tls::client(roots, clock).map_err(|error| format!("bus.tls: {error}"))?;
        let identity = (&settings.tls_certificate_file, &settings.tls_key_file);
        let config = match identity {
            (Some(certificate), Some(key)) => {
                let chain = tls::certificates("bus.tls_certificate_file", certificate, disk)?;
                builder
                    .with_client_auth_cert(chain, private_key(key, disk)?)
                    .map_err(|error| told::unfit_key(&error, certificate, key))?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Some(Self {
            config: Arc::new(config),
            server_name: settings.tls_server_name.clone(),
        }))
    }

    /// Shakes hands. The caller bounds the time. The error is a sentence with the next step.
    pub(super) async fn over(
        &self,
        stream: Box<dyn Stream>,
        broker: &str,
        settings: &BusSettings,
    ) -> Result<Box<dyn Stream>, String> {
        let name = self.server_name.as_deref().unwrap_or_else(|| host(broker));
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("{name:?} is no name that a certificate can be for"))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                Err(told(&error, settings).unwrap_or_else(|| told::broken_handshake(&error)))
            }
        }
    }
}

fn private_key(file: &Path, disk: &dyn Disk) -> Result<PrivateKeyDer<'static>, String> {
    let name = "bus.tls_key_file";
    let text = tls::read(name, file, disk)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let encrypted = text.windows(9).any(|window| window == b"ENCRYPTED");
        // What the parser says may quote the file.
        let why = match error {
            _ if encrypted => "the key is encrypted; write it without a passphrase, readable by this service only",
            PemError::NoItemsFound => {
                "it holds no key; expected is PEM with BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY or BEGIN RSA PRIVATE KEY"
            }
            _ => "it is no PEM: a line is missing or changed",
        };
        tls::unusable(name, file, why)
    })
}

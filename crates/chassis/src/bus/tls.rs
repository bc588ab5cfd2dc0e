//! TLS to a broker: what its files say, and the handshake.
//!
//! It goes over any byte stream, so a simulated network can have it too. What its errors mean is in `told`.

mod told;

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{Error as PemError, PemObject},
    },
    time_provider::TimeProvider,
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

/// The world's clock, by which certificates expire.
#[derive(Debug)]
struct Now(Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
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
            Some(file) => roots_of_file(file, disk)?,
            None => roots_of_system()?,
        };
        let now = Arc::new(Now(Arc::clone(clock)));
        let builder = ClientConfig::builder_with_details(ring::default_provider().into(), now)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("bus.tls: {error}"))?
            .with_root_certificates(roots);
        let identity = (&settings.tls_certificate_file, &settings.tls_key_file);
        let config = match identity {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate, "bus.tls_certificate_file", disk)?;
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

fn roots_of_file(file: &Path, disk: &dyn Disk) -> Result<RootCertStore, String> {
    let key = "bus.tls_ca_file";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, key, disk)? {
        roots
            .add(certificate)
            .map_err(|error| told::unusable(key, file, &error.to_string()))?;
    }
    Ok(roots)
}

/// The authorities of this system; those that cannot be read are left out, as other programs do.
fn roots_of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(ToString::to_string);
        return Err(format!(
            "bus.tls: this system has no certificates of authorities ({}): install ca-certificates, or set bus.tls_ca_file",
            why.as_deref().unwrap_or("none was found")
        ));
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
fn certificates(
    file: &Path,
    key: &str,
    disk: &dyn Disk,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file, key, disk)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(told::unusable(
            key,
            file,
            "it holds no certificate; expected is PEM with BEGIN CERTIFICATE",
        )),
        Err(error) => Err(told::unusable(key, file, &error.to_string())),
    }
}

fn private_key(file: &Path, disk: &dyn Disk) -> Result<PrivateKeyDer<'static>, String> {
    let name = "bus.tls_key_file";
    let text = read(file, name, disk)?;
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
        told::unusable(name, file, why)
    })
}

fn read(file: &Path, key: &str, disk: &dyn Disk) -> Result<Vec<u8>, String> {
    disk.read(file)
        .map_err(|error| told::unusable(key, file, &error.to_string()))
}

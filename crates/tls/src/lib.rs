#![doc = include_str!("../README.md")]

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, ConfigBuilder, Error, RootCertStore,
    client::WantsClientCert,
    crypto::ring,
    pki_types::{
        CertificateDer, UnixTime,
        pem::{Error as PemError, PemObject},
    },
    time_provider::TimeProvider,
};
use world::{Clock, Disk};

/// The world's clock, by which certificates expire.
#[derive(Debug)]
struct Now(Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// TLS 1.2 and 1.3 for a client that believes these authorities; whether it has a certificate itself is still to be said.
///
/// # Errors
/// The provider's; not known to happen.
pub fn client(
    roots: RootCertStore,
    clock: &Arc<dyn Clock>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let now = Arc::new(Now(Arc::clone(clock)));
    let builder = ClientConfig::builder_with_details(ring::default_provider().into(), now)
        .with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots))
}

/// The authorities of a PEM file, at least one; `key` is that of the settings.
///
/// # Errors
/// One sentence that begins with the key and the file.
pub fn roots_of_file(key: &str, file: &Path, disk: &dyn Disk) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, file, disk)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(key, file, &error.to_string()))?;
    }
    Ok(roots)
}

/// The authorities of this system; those that cannot be read are left out, as other programs do.
///
/// # Errors
/// There is none: why, if that is known.
pub fn roots_of_system() -> Result<RootCertStore, Option<String>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(found.errors.first().map(ToString::to_string));
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// One sentence that begins with the key and the file.
pub fn certificates(
    key: &str,
    file: &Path,
    disk: &dyn Disk,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(key, file, disk)?;
    let found: Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(
            key,
            file,
            "it holds no certificate; expected is PEM with BEGIN CERTIFICATE",
        )),
        Err(error) => Err(unusable(key, file, &error.to_string())),
    }
}

/// A file that the settings name.
///
/// # Errors
/// One sentence that begins with the key and the file.
pub fn read(key: &str, file: &Path, disk: &dyn Disk) -> Result<Vec<u8>, String> {
    disk.read(file)
        .map_err(|error| unusable(key, file, &error.to_string()))
}

/// The sentence for a file of the settings that cannot be used.
#[must_use]
pub fn unusable(key: &str, file: &Path, why: &str) -> String {
    format!("{key} {}: {why}", file.display())
}

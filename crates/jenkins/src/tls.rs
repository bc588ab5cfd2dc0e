//! TLS to a Jenkins: its authorities, and the handshake.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use tokio_rustls::TlsConnector;
use world::{Clock, Disk, Stream, World};

use crate::Trouble;

/// The world's clock, by which certificates expire.
#[derive(Debug)]
struct Now(Arc<dyn Clock>);

impl TimeProvider for Now {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// Reads the authorities; the error is a sentence that names the file.
pub(crate) fn read(ca_file: Option<&Path>, world: &World) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca_file {
        Some(file) => roots_of_file(file, &*world.disk)?,
        None => roots_of_system()?,
    };
    let now = Arc::new(Now(Arc::clone(&world.clock)));
    let builder = ClientConfig::builder_with_details(ring::default_provider().into(), now)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("jenkins.url: {error}"))?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Shakes hands. The caller bounds the time.
pub(crate) async fn over(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Trouble> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Trouble::Own(format!(
            "jenkins.url has {host:?}, which no certificate can be for"
        ))
    })?;
    let connector = TlsConnector::from(Arc::clone(config));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        // A certificate that is not good stays so until a person does something; so says its text.
        Err(error) => Err(Trouble::Unreachable(format!("TLS: {error}"))),
    }
}

fn roots_of_file(file: &Path, disk: &dyn Disk) -> Result<RootCertStore, String> {
    let wrong = |why: String| format!("jenkins.ca_file {}: {why}", file.display());
    let text = disk.read(file).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|it| roots.add(it).map_err(|error| error.to_string()));
        added.map_err(wrong)?;
    }
    if roots.is_empty() {
        return Err(wrong(
            "it holds no certificate; expected is PEM with BEGIN CERTIFICATE".to_owned(),
        ));
    }
    Ok(roots)
}

/// Those that cannot be read are left out, as other programs do.
fn roots_of_system() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _unreadable) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(
            "jenkins.url is https, but this system has no certificates of authorities: install ca-certificates, or set jenkins.ca_file"
                .to_owned(),
        );
    }
    Ok(roots)
}

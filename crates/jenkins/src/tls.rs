//! TLS to a Jenkins: its authorities, and the handshake.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use world::{Stream, World};

use crate::Trouble;

const NO_AUTHORITIES: &str = "jenkins.url is https, but this system has no certificates of authorities: install ca-certificates, or set jenkins.ca_file";

/// Reads the authorities; the error is a sentence that names the file.
pub(crate) fn read(ca_file: Option<&Path>, world: &World) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca_file {
        Some(file) => tls::roots_of_file("jenkins.ca_file", file, &*world.disk)?,
        None => tls::roots_of_system().map_err(|_| NO_AUTHORITIES)?,
    };
    let builder =
        tls::client(roots, &world.clock).map_err(|error| format!("jenkins.url: {error}"))?;
    let config = builder.with_no_client_auth();
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

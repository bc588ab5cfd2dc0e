//! TLS to a Jenkins: its authorities.

use std::{path::Path, sync::Arc};

use rustls::ClientConfig;
use world::World;

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

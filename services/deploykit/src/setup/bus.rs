//! `[bus]` of each service, as `setup` writes it.

use std::path::{Path, PathBuf, absolute};

use world::World;

use crate::{cli, failure::Failure, trust::Trust};

/// How the services of an installation reach their broker.
#[derive(Debug)]
pub(super) struct Bus {
    pub(super) broker: String,
    tls: bool,
    ca: Option<PathBuf>,
    /// The folder of the services' certificates.
    certificates: Option<PathBuf>,
    server_name: Option<String>,
}

impl Bus {
    /// As typed. What can be wrong with it is known before anything is written.
    pub(super) fn of(args: &cli::Setup, world: &World) -> Result<Self, Failure> {
        let cli::SetupTls {
            tls,
            tls_ca,
            tls_certificates,
            tls_server_name,
        } = &args.tls;
        let tls = *tls || tls_ca.is_some();
        let more = [
            ("--tls-certificates", tls_certificates.is_some()),
            ("--tls-server-name", tls_server_name.is_some()),
        ];
        if let Some((option, _)) = more.iter().find(|(_, given)| *given && !tls) {
            return Err(Failure::Settings(format!(
                "{option} is for TLS: add --tls-ca FILE, or --tls for the authorities of the system"
            )));
        }
        let absolutely = |path: &Option<PathBuf>| path.as_ref().map(absolute).transpose();
        let ca = absolutely(tls_ca)?;
        if let Some(ca) = &ca {
            tls::roots_of_file("--tls-ca", ca, &*world.disk).map_err(Failure::Settings)?;
        }
        Ok(Self {
            broker: args.broker.clone(),
            tls,
            ca,
            certificates: absolutely(tls_certificates)?,
            server_name: tls_server_name.clone(),
        })
    }

    /// `[bus]` of this service.
    pub(super) fn section(&self, service: &str, trust: &Trust) -> String {
        let mut lines = vec![format!("brokers = [{}]", quote(&self.broker))];
        if self.certificates.is_none() {
            lines.push("login = \"deploykit\"".to_owned());
            lines.push(format!(
                "passcode_file = {}",
                path(&trust.broker_passcode())
            ));
        }
        if self.tls {
            lines.push("tls = true".to_owned());
        }
        let file = |key: &str, file: &Path| format!("{key} = {}", path(file));
        lines.extend(self.ca.as_deref().map(|ca| file("tls_ca_file", ca)));
        if let Some(folder) = &self.certificates {
            let named = |end| folder.join(format!("{service}.{end}"));
            lines.push(file("tls_certificate_file", &named("pem")));
            lines.push(file("tls_key_file", &named("key")));
        }
        let name = self.server_name.as_deref();
        lines.extend(name.map(|name| format!("tls_server_name = {}", quote(name))));
        format!("\n[bus]\n{}\n", lines.join("\n"))
    }
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A path as TOML.
pub(super) fn path(path: &Path) -> String {
    quote(&path.display().to_string())
}

//! The webhook of a chat: its address is a secret, and every post is bounded.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use exchange::{Address, Answer, Failed, Limits, NoAddress, Peer, exchange};
use http_body_util::Full;
use hyper::{Method, Request, header};
use rustls::ClientConfig;
use world::{Disk, World};

use super::RelaySettings;

/// TCP and TLS to the chat.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// From a post to the end of its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// The longest answer that is read; chats say `ok`.
const ANSWER_BYTES: usize = 64 * 1024;

/// Where to post.
pub(super) struct Hook {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Hook {
    /// Reads the address and the authorities.
    ///
    /// # Errors
    /// One sentence that names the key and the file, and holds nothing of what is in it.
    pub(super) fn read(
        name: &str,
        settings: &RelaySettings,
        world: &World,
    ) -> Result<Self, String> {
        let file = &settings.url_file;
        let key = format!("relay.{name}.url_file");
        let wrong = |why: &str| format!("{key} {}: {why}", file.display());
        let text = read(file, &*world.disk).map_err(|error| wrong(&error))?;
        let address = Address::parse(text.trim()).map_err(|why| {
            wrong(match why {
                NoAddress::Host => "its address has no host",
                NoAddress::Login => "its address has a login, which no chat has",
                NoAddress::Scheme => "its address must begin with https:// or http://",
                _ => "it holds no address such as https://chat.example.org/hooks/…",
            })
        })?;
        if !address.tls && !crate::http::is_loopback(&address.authority) {
            tracing::warn!(
                relay = name,
                "its webhook is http: who listens on the way can post there, too"
            );
        }
        let tls = address.tls.then(|| authorities(name, settings, world));
        Ok(Self {
            tls: tls.transpose()?,
            address,
        })
    }

    /// Posts a body.
    ///
    /// # Errors
    /// See [`Failed`].
    pub(super) async fn post(&self, world: &World, body: Vec<u8>) -> Result<Answer, Failed> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.address.target.as_str())
            .header(header::HOST, self.address.authority.as_str())
            .header(
                header::USER_AGENT,
                concat!("deploykit/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Full::new(Bytes::from(body)));
        let request = request.map_err(|_| Failed::Host)?;
        let peer = Peer {
            address: &self.address.connect_to(),
            host: &self.address.host,
            tls: self.tls.as_ref(),
        };
        let limits = Limits {
            connect: CONNECT_LIMIT,
            answer: ANSWER_LIMIT,
            bytes: ANSWER_BYTES,
        };
        exchange(world, peer, limits, request).await
    }
}

fn read(file: &Path, disk: &dyn Disk) -> Result<String, String> {
    let bytes = disk.read(file).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())
}

fn authorities(
    name: &str,
    settings: &RelaySettings,
    world: &World,
) -> Result<Arc<ClientConfig>, String> {
    let roots = match &settings.ca_file {
        Some(file) => tls::roots_of_file(&format!("relay.{name}.ca_file"), file, &*world.disk)?,
        None => tls::roots_of_system().map_err(|_| {
            format!("relay.{name}: this system has no certificates of authorities: install ca-certificates, or set ca_file")
        })?,
    };
    let builder =
        tls::client(roots, &world.clock).map_err(|error| format!("relay.{name}: {error}"))?;
    Ok(Arc::new(builder.with_no_client_auth()))
}

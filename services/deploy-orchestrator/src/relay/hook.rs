//! The webhook of a chat: its address is a secret, and every post is bounded.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use exchange::{Answer, Failed, Limits, Peer, exchange};
use http_body_util::Full;
use hyper::{Method, Request, Uri, header};
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
    address: String,
    host: String,
    authority: String,
    path: String,
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
        let uri: Uri = text
            .trim()
            .parse()
            .map_err(|_| wrong("it holds no address such as https://chat.example.org/hooks/…"))?;
        let authority = uri.authority().filter(|it| !it.host().is_empty());
        let authority = authority.ok_or_else(|| wrong("its address has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("its address has a login, which no chat has"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("its address must begin with https:// or http://")),
        };
        if !is_tls && !crate::http::is_loopback(authority.as_str()) {
            tracing::warn!(
                relay = name,
                "its webhook is http: who listens on the way can post there, too"
            );
        }
        let port = authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        let tls = is_tls.then(|| authorities(name, settings, world));
        Ok(Self {
            address: format!("{}:{port}", authority.host()),
            host,
            authority: authority.to_string(),
            path: uri
                .path_and_query()
                .map_or("/", |it| it.as_str())
                .to_owned(),
            tls: tls.transpose()?,
        })
    }

    /// Posts a body.
    ///
    /// # Errors
    /// See [`Failed`].
    pub(super) async fn post(&self, world: &World, body: Vec<u8>) -> Result<Answer, Failed> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.path.as_str())
            .header(header::HOST, self.authority.as_str())
            .header(
                header::USER_AGENT,
                concat!("deploykit/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Full::new(Bytes::from(body)));
        let request = request.map_err(|_| Failed::Host)?;
        let peer = Peer {
            address: &self.address,
            host: &self.host,
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

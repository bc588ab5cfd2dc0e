//! One request and its answer: the limits of [`Access`], and each failure as a [`Trouble`].

use std::sync::Arc;

pub(crate) use ::exchange::Answer;
use ::exchange::{Failed, Limits, Peer};
use bytes::Bytes;
use http_body_util::Full;
use hyper::http::request;
use rustls::ClientConfig;
use world::World;

use crate::{Access, Trouble, access::Base};

/// The longest answer that is read. Fifty builds with their parameters take some 50 kB.
const ANSWER_BYTES: usize = 4 << 20;

/// Connects, sends, and reads the whole answer, each within its limit.
pub(crate) async fn exchange(
    world: &World,
    access: &Access,
    base: &Base,
    config: Option<&Arc<ClientConfig>>,
    request: request::Builder,
    body: Bytes,
) -> Result<Answer, Trouble> {
    let request = request
        .body(Full::new(body))
        .map_err(|error| Trouble::Own(format!("jenkins: the request cannot be made: {error}")))?;
    let address = base.address.connect_to();
    let peer = Peer {
        address: &address,
        host: &base.address.host,
        tls: config,
    };
    let limits = Limits {
        connect: access.connect_limit(),
        answer: access.request_limit(),
        bytes: ANSWER_BYTES,
    };
    let answer = ::exchange::exchange(world, peer, limits, request).await;
    answer.map_err(|failed| match failed {
        // A certificate that is not good stays so until a person does something; so says its text.
        Failed::NotConnected(why) if why.starts_with("TLS: ") => Trouble::Unreachable(why),
        Failed::NotConnected(why) => Trouble::Unreachable(format!("{address}: {why}")),
        Failed::ConnectLate(_) => Trouble::Unreachable(format!("{failed} (connect_limit_s)")),
        Failed::Late(_) => Trouble::Broken(format!("{failed} (request_limit_s)")),
        Failed::TooLong => Trouble::TooLong,
        Failed::Host => Trouble::Own(format!(
            "jenkins.url has {:?}, which no certificate can be for",
            base.address.host
        )),
        other => Trouble::Broken(other.to_string()),
    })
}

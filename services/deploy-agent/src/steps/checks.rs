//! The checks that need no script.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use exchange::{Address, Limits, Peer};
use http_body_util::Full;
use hyper::{Request, header};
use rustls::ClientConfig;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use world::World;

use super::{Site, scripts::named};
use crate::{
    checks::{Asks, Check},
    machine::{End, Outcome},
};

/// The longest answer that is looked at.
const ANSWER_BYTES: usize = 1 << 20;

/// Tries each check until it is good. `env` is what a script would be given.
///
/// # Errors
/// How the step ends, if one is not good; no further try of it is made.
pub(super) async fn run(
    site: &Site,
    checks: &[Check],
    env: &BTreeMap<String, String>,
    end: &CancellationToken,
) -> Result<(), Outcome> {
    for check in checks {
        let tried = tokio::select! {
            tried = until_good(&site.world, check, env) => tried,
            () = end.cancelled() => return Err(Outcome::of(End::Ended, None)),
        };
        tried.map_err(|why| Outcome {
            settled: true,
            ..Outcome::of(End::Failed, Some(site.redactor.clean(&why)))
        })?;
    }
    Ok(())
}

async fn until_good(
    world: &World,
    check: &Check,
    env: &BTreeMap<String, String>,
) -> Result<(), String> {
    let (asks, began, mut tried) = (check.asks()?, Instant::now(), 0);
    loop {
        tried += 1;
        let limit = check.limit(began.elapsed());
        let asked = timeout(limit, ask(world, check, &asks, env, limit)).await;
        let Err(why) = asked.unwrap_or_else(|_| Err(format!("nothing within {limit:.1?}"))) else {
            return Ok(());
        };
        let after = began.elapsed();
        let what = check.http.as_ref().or(check.tcp.as_ref());
        let what = what.map_or("", String::as_str);
        if check.gives_up(tried, after) {
            let tries = if tried == 1 { "try" } else { "tries" };
            return Err(format!("{what}: {why} ({tried} {tries} in {after:.0?})"));
        }
        tracing::debug!(what, why, tried, "not good yet");
        sleep(check.pause()).await;
    }
}

async fn ask(
    world: &World,
    check: &Check,
    asks: &Asks,
    env: &BTreeMap<String, String>,
    limit: Duration,
) -> Result<(), String> {
    match asks {
        Asks::Tcp(place) => {
            let connected = world.net.connect(place).await;
            connected.map(drop).map_err(|error| error.to_string())
        }
        Asks::Http(address) => {
            let answer = get(world, check, address, limit).await?;
            check.judge(&answer, |text| text.fill(|place| named(env, place)))
        }
    }
}

async fn get(
    world: &World,
    check: &Check,
    address: &Address,
    limit: Duration,
) -> Result<exchange::Answer, String> {
    let tls = match address.tls {
        true => Some(authorities(world, check).await?),
        false => None,
    };
    let request = Request::builder()
        .uri(address.target.as_str())
        .header(header::HOST, address.authority.as_str())
        .header(
            header::USER_AGENT,
            concat!("deploykit/", env!("CARGO_PKG_VERSION")),
        )
        .body(Full::new(Bytes::new()));
    let request = request.map_err(|error| error.to_string())?;
    let usual = address.connect_to();
    let peer = Peer {
        address: check.connect.as_ref().unwrap_or(&usual),
        host: &address.host,
        tls: tls.as_ref(),
    };
    let limits = Limits {
        connect: limit,
        answer: limit,
        bytes: ANSWER_BYTES,
    };
    let answer = exchange::exchange(world, peer, limits, request).await;
    answer.map_err(|failed| failed.to_string())
}

async fn authorities(world: &World, check: &Check) -> Result<Arc<ClientConfig>, String> {
    let (file, clock) = (check.ca_file.clone(), Arc::clone(&world.clock));
    let read = world.on_disk(move |disk| {
        let roots = match &file {
            Some(file) => tls::roots_of_file("check.ca_file", file, disk),
            None => tls::roots_of_system().map_err(|_| {
                "this system has no certificates of authorities: install ca-certificates, or set check.ca_file".to_owned()
            }),
        };
        Ok(roots.and_then(|roots| {
            let builder = tls::client(roots, &clock).map_err(|error| error.to_string())?;
            Ok(Arc::new(builder.with_no_client_auth()))
        }))
    });
    read.await.map_err(|error| error.to_string())?
}

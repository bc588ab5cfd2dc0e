//! One attempt at one broker: TCP, TLS, STOMP's handshake, each within its limit and named when it fails.

use std::{io, net::IpAddr, time::Duration};

use stomp::{Client, Connect, ConnectError, Driver, Ended, Limits, Secret};
use tokio::time::{Instant, timeout_at};
use world::{Disk, Stream, World};

use super::{
    passcode::passcode,
    tls::{Tls, told},
};
use crate::{BusSettings, causes, settings::host};

/// What the files of the settings say, at the time they were read.
pub(super) struct Files {
    passcode: Option<Secret>,
    tls: Option<Tls>,
}

impl Files {
    /// Reads them. The error is one sentence that names the file.
    pub(super) fn read(
        settings: &BusSettings,
        disk: &dyn Disk,
        world: &World,
    ) -> Result<Self, String> {
        let passcode = settings
            .passcode_file
            .as_deref()
            .map(|file| passcode(file, disk))
            .transpose()
            .map_err(|why| format!("bus.passcode_file {why}"))?;
        Ok(Self {
            passcode,
            tls: Tls::read(settings, disk, &world.clock)?,
        })
    }
}

/// A connection that has shaken hands, and what is to be polled for it to live.
pub(super) type Made = (Client, Driver<Box<dyn Stream>>);

/// One attempt, with the files as they are now. The error is a sentence.
pub(super) async fn attempt(
    settings: &BusSettings,
    broker: &str,
    client_id: &str,
    world: &World,
) -> Result<Made, String> {
    let (for_disk, for_clock) = (settings.clone(), world.clone());
    let files = world
        .on_disk(move |disk| Ok(Files::read(&for_disk, disk, &for_clock)))
        .await
        .map_err(|error| error.to_string())??;
    let stream = stream(settings, broker, files.tls.as_ref(), world).await?;
    let handshake = Duration::from_secs(settings.handshake_limit_s);
    let connect = Connect {
        host: settings.virtual_host.clone(),
        login: settings.login.clone(),
        passcode: files.passcode,
        client_id: client_id.to_owned(),
        heart_beat: Duration::from_secs(settings.heart_beat_s),
        dialect: settings.dialect,
        limits: Limits {
            handshake,
            write: Duration::from_secs(settings.write_limit_s),
            receipt: Duration::from_secs(settings.receipt_limit_s),
            ..Limits::default()
        },
    };
    stomp::connect(stream, connect)
        .await
        .map_err(|error| refused(&error, settings))
}

/// Whether a broker lets in who has these settings: connects, shakes hands and hangs up. Gives the broker as it calls itself.
///
/// # Errors
/// One sentence: what failed, with the setting that it depends on.
pub async fn reach(
    settings: &BusSettings,
    broker: &str,
    client_id: &str,
    world: &World,
) -> Result<String, String> {
    let (client, _driver) = attempt(settings, broker, client_id, world).await?;
    Ok(client.server().to_owned())
}

/// The byte stream to a broker, within `bus.connect_limit_s`.
async fn stream(
    settings: &BusSettings,
    broker: &str,
    tls: Option<&Tls>,
    world: &World,
) -> Result<Box<dyn Stream>, String> {
    let limit = settings.connect_limit_s;
    let deadline = Instant::now() + Duration::from_secs(limit);
    let stream = timeout_at(deadline, world.net.connect(broker))
        .await
        .map_err(|_| format!("no TCP connection within {limit} s (bus.connect_limit_s)"))?
        .map_err(|error: io::Error| error.to_string())?;
    let Some(tls) = tls else {
        if !is_loopback(host(broker)) {
            tracing::warn!(
                broker,
                "the connection to the bus is not encrypted: who sits between reads the passcode and all messages; set bus.tls"
            );
        }
        return Ok(stream);
    };
    timeout_at(deadline, tls.over(stream, broker, settings))
        .await
        .map_err(|_| {
            format!("no end of the TLS handshake within {limit} s (bus.connect_limit_s)")
        })?
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Why the handshake failed, with the setting that it depends on.
fn refused(error: &ConnectError, settings: &BusSettings) -> String {
    let no_certificate = settings.tls && settings.tls_certificate_file.is_none();
    let hint = match error {
        ConnectError::Timeout(_) => " (bus.handshake_limit_s)",
        ConnectError::Io(error) => match told(error, settings) {
            Some(told) => return told,
            None if no_certificate => {
                "; does it want a client certificate (bus.tls_certificate_file)?"
            }
            None => "",
        },
        ConnectError::Closed if no_certificate => {
            "; does it want a client certificate (bus.tls_certificate_file)?"
        }
        ConnectError::Closed | ConnectError::Protocol(_) if !settings.tls => {
            "; is this its port for TLS (bus.tls)?"
        }
        _ => "",
    };
    format!("{}{hint}", causes(error))
}

/// Why a connection ended, with the limit that it depends on.
pub(super) fn ended(ended: &Ended, settings: &BusSettings) -> String {
    let limit = match ended {
        Ended::Stuck(_) => " (bus.write_limit_s)",
        Ended::NoReceipt(_) => " (bus.receipt_limit_s)",
        Ended::Silent(_) => " (three times bus.heart_beat_s)",
        Ended::Io(error) => match told(error, settings) {
            Some(told) => return told,
            None => "",
        },
        _ => "",
    };
    format!("{}{limit}", causes(ended))
}

//! A broker that is not the demo's own: told by the command line, looked at first, left as it was found.

use std::{path::Path, time::Duration};

use chassis::{BusSettings, Settings, bus};
use events::Topic;
use serde::Deserialize;
use world::World;

use crate::{
    cli,
    failure::Failure,
    screen::{DIM, paint, say},
};

/// All durable subscriptions must be removed within this time. One whose holder has just ended is in use for a moment.
const REMOVE_LIMIT: Duration = Duration::from_secs(30);
/// How often it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Settings with nothing but what every service has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BusOnly {}

impl Settings for BusOnly {
    const SHIPPED: &'static str = "";
}

/// The settings of the bus that the command line names; `None` is the demo's own broker. Topics and subscriptions have a
/// prefix of this demo's own, `deploykit-demo-` and `id`, so that it disturbs nobody.
///
/// # Errors
/// When the file cannot be read, or something is not as it must be.
pub(super) fn settings(
    args: &cli::Demo,
    id: &str,
    world: &World,
) -> Result<Option<BusSettings>, Failure> {
    let mut bus = match (&args.broker, &args.bus_settings) {
        (None, None) => return Ok(None),
        (Some(broker), _) => told(args, broker),
        (None, Some(file)) => read(file, world)?,
    };
    bus.topics.prefix = format!("{}-demo-{id}", bus.topics.prefix);
    // A topic under another name would be the site's own one.
    bus.topics.rename.clear();
    for file in [
        &mut bus.passcode_file,
        &mut bus.tls_ca_file,
        &mut bus.tls_certificate_file,
        &mut bus.tls_key_file,
    ] {
        *file = file.as_ref().map(std::path::absolute).transpose()?;
    }
    Ok(Some(bus))
}

fn told(args: &cli::Demo, broker: &str) -> BusSettings {
    BusSettings {
        brokers: vec![broker.to_owned()],
        login: args.login.clone(),
        passcode_file: args.passcode_file.clone(),
        ..BusSettings::default()
    }
}

fn read(file: &Path, world: &World) -> Result<BusSettings, Failure> {
    let name = file.display().to_string();
    let bytes = world.disk.read(file);
    let bytes =
        bytes.map_err(|error| Failure::Settings(format!("--bus-settings {name}: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    match chassis::settings::parse::<BusOnly>(&text, &name) {
        Ok((common, BusOnly {})) => Ok(common.bus),
        Err(error) => Err(Failure::Settings(format!(
            "{error}; the file of --bus-settings has [bus] and nothing else"
        ))),
    }
}

/// Logs in at the first broker that answers, and says which one it is.
///
/// # Errors
/// Why none did, and what to do: 78 when a broker said no, 69 when nobody answered.
pub(super) async fn look(bus: &BusSettings, world: &World) -> Result<String, Failure> {
    let client_id = format!("{}.deploykit", bus.topics.prefix);
    let mut refused = false;
    let mut reasons = Vec::new();
    for broker in &bus.brokers {
        match bus::reach(bus, broker, &client_id, world).await {
            Ok(server) => return Ok(format!("{broker} ({server})")),
            Err(why) => {
                refused |= why.starts_with("the broker refused") || why.starts_with("bus.");
                reasons.push(format!("{broker}: {why}"));
            }
        }
    }
    let why = reasons.join("; ");
    Err(if refused {
        Failure::Settings(format!(
            "no broker lets the demo in: {why}\n  next: mend --login and --passcode-file (or the file of --bus-settings); docs/brokers.md says what the login needs"
        ))
    } else {
        Failure::Unavailable(format!(
            "no broker answers: {why}\n  next: see that it runs, and that this is its port for STOMP (61613 by default; RabbitMQ needs its plugin rabbitmq_stomp)"
        ))
    })
}

/// Removes the durable subscriptions with what is kept for them, from each broker that answers.
///
/// # Errors
/// Which ones are still there, and why.
pub(super) async fn leave(
    bus: &BusSettings,
    durable: &[(Topic, String)],
    world: &World,
) -> Result<(), Failure> {
    say(paint(DIM, "removing its subscriptions from the broker …"));
    let mut left: Vec<(&str, &Topic, &str)> = Vec::new();
    for broker in &bus.brokers {
        let each = durable.iter();
        left.extend(each.map(|(topic, name)| (broker.as_str(), topic, name.as_str())));
    }
    let mut reasons = Vec::new();
    let removing = async {
        loop {
            reasons.clear();
            let mut again = Vec::new();
            for (broker, topic, name) in std::mem::take(&mut left) {
                if let Err(why) = bus::forget(bus, broker, topic, name, world).await {
                    reasons.push(format!("{name} at {broker}: {why}"));
                    again.push((broker, topic, name));
                }
            }
            left = again;
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    };
    if tokio::time::timeout(REMOVE_LIMIT, removing).await.is_ok() {
        return Ok(());
    }
    Err(Failure::Failed(format!(
        "durable subscriptions of the demo are left at the broker ({})\n  next: remove them there, or let RabbitMQ and the embedded broker do so after 7 days unused",
        reasons.join("; ")
    )))
}

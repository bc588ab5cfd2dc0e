//! The embedded broker as a process of its own: `conformance ADDRESS DATA LOGIN PASSCODE [BYTES OF DISK]`.

use anyhow::{Context, bail};
use broker::{Broker, Limits, Settings, User};
use stomp::Secret;
use tokio_util::sync::CancellationToken;
use world::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, data, login, passcode, room @ ..] = &args[..] else {
        bail!("usage: conformance ADDRESS DATA LOGIN PASSCODE [BYTES OF DISK]");
    };
    let mut limits = Limits::default();
    if let Some(bytes) = room.first() {
        limits.disk_bytes = bytes.parse().context("bytes of disk")?;
    }
    let settings = Settings {
        data: Some(data.into()),
        users: vec![User {
            login: login.clone(),
            passcode: Secret::new(passcode),
        }],
        limits,
    };
    let world = World::real();
    let broker = Broker::open(settings, &world).await?;
    let listener = world.net.listen(address).await.context(address.clone())?;
    // Ended by a signal only.
    Ok(broker.run(listener, CancellationToken::new()).await?)
}

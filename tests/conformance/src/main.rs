//! The embedded broker as a process of its own: `conformance ADDRESS DATA LOGIN PASSCODE`.

use anyhow::{Context, bail};
use broker::{Broker, Settings, User};
use stomp::Secret;
use tokio_util::sync::CancellationToken;
use world::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, data, login, passcode] = &args[..] else {
        bail!("usage: conformance ADDRESS DATA LOGIN PASSCODE");
    };
    let settings = Settings {
        data: Some(data.into()),
        users: vec![User {
            login: login.clone(),
            passcode: Secret::new(passcode),
        }],
        ..Settings::default()
    };
    let world = World::real();
    let broker = Broker::open(settings, &world).await?;
    let listener = world.net.listen(address).await.context(address.clone())?;
    // Ended by a signal only.
    Ok(broker.run(listener, CancellationToken::new()).await?)
}

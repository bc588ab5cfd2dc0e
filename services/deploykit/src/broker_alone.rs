//! `deploykit broker`: the embedded broker alone.

use broker::Broker;
use stomp::Secret;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    cli,
    demo::interrupted,
    failure::Failure,
    pipeline::in_use,
    screen::{complain, say},
};

/// Runs the broker until it is told to stop.
///
/// # Errors
/// When the address or the folder is in use, or the default login would be reachable from outside.
pub async fn run(args: &cli::Broker, world: &World) -> Result<(), Failure> {
    let passcode = passcode(args, world)?;
    let listener = world.net.listen(&args.listen).await;
    let listener = listener.map_err(|error| {
        Failure::Failed(format!(
            "cannot listen on {}: {}",
            args.listen,
            in_use(&error)
        ))
    })?;
    let address = listener.local_address()?;
    if !address.ip().is_loopback() {
        if args.passcode_file.is_none() {
            return Err(Failure::Settings(format!(
                "{address} can be reached from outside: give --login and --passcode-file"
            )));
        }
        complain("the embedded broker has no TLS: over a network, take RabbitMQ or ActiveMQ");
    }
    let users = vec![broker::User {
        login: args.login.clone(),
        passcode: Secret::new(passcode),
    }];
    let settings = broker::Settings {
        data: args.data.clone(),
        users,
        ..broker::Settings::default()
    };
    let broker = Broker::open(settings, world)
        .await
        .map_err(|error| Failure::Failed(chassis::causes(&error)))?;
    say(format!("the broker listens on {address}; Ctrl-C stops it"));
    let stop = CancellationToken::new();
    let run = broker.run(listener, stop.clone());
    tokio::pin!(run);
    let ended = tokio::select! {
        ended = &mut run => ended,
        () = interrupted() => {
            stop.cancel();
            run.await
        }
    };
    ended.map_err(|error| Failure::Failed(chassis::causes(&error)))
}

fn passcode(args: &cli::Broker, world: &World) -> Result<String, Failure> {
    let Some(path) = &args.passcode_file else {
        return Ok("guest".to_owned());
    };
    let wrong = |why: String| {
        Failure::Settings(format!(
            "the passcode file {} cannot be used: {why}",
            path.display()
        ))
    };
    let bytes = world
        .disk
        .read(path)
        .map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if text.is_empty() {
        Err(wrong("it is empty".to_owned()))
    } else {
        Ok(text)
    }
}

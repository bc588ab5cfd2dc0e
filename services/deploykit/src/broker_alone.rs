//! `deploykit broker`: the embedded broker alone.

use std::{net::SocketAddr, path::Path};

use broker::{Broker, User};
use chassis::bus::passcode;
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
    let users = users(args, world)?;
    let listener = world.net.listen(&args.listen).await;
    let listener = listener.map_err(|error| {
        Failure::Failed(format!(
            "cannot listen on {}: {}",
            args.listen,
            in_use(&error)
        ))
    })?;
    let address = listener.local_address()?;
    may_listen(address, args, &users).map_err(Failure::Settings)?;
    if !address.ip().is_loopback() {
        complain("the embedded broker has no TLS: over a network, take RabbitMQ or ActiveMQ");
    }
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

/// Whether it may listen there, for these users; else what to do.
fn may_listen(address: SocketAddr, args: &cli::Broker, users: &[User]) -> Result<(), String> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if !args.allow_outside {
        return Err(format!(
            "{address} can be reached from other machines, and the embedded broker has no TLS: listen on 127.0.0.1, take \
             RabbitMQ or ActiveMQ, or say --allow-outside"
        ));
    }
    if users.iter().any(|user| user.login == "guest") {
        return Err(format!(
            "{address} can be reached from other machines, and guest is for loopback only: give --login and --passcode-file"
        ));
    }
    Ok(())
}

/// Who may connect; guest/guest where nobody is named.
fn users(args: &cli::Broker, world: &World) -> Result<Vec<User>, Failure> {
    let mut users = Vec::new();
    if let Some(path) = &args.passcode_file {
        users.push(user(&args.login, path, world)?);
    }
    for named in &args.users {
        let (login, path) = named
            .split_once('=')
            .filter(|(login, path)| !login.is_empty() && !path.is_empty())
            .ok_or_else(|| Failure::Settings(format!("--user {named:?} is not LOGIN=FILE")))?;
        users.push(user(login, Path::new(path), world)?);
    }
    if users.is_empty() {
        return Ok(broker::Settings::default().users);
    }
    Ok(users)
}

fn user(login: &str, path: &Path, world: &World) -> Result<User, Failure> {
    let passcode = passcode(path, &*world.disk)
        .map_err(|why| Failure::Settings(format!("the passcode cannot be read: {why}")))?;
    Ok(User {
        login: login.to_owned(),
        passcode,
    })
}

//! Many callers, one file, one flush.

use std::mem;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use super::{
    AppendError, CALLERS,
    file::{FILE_BYTES, MODE},
    stock::{Room, Stock},
};

/// Messages whose caller waits until they last; they are in one file.
#[derive(Debug)]
pub(super) struct Request {
    /// The id of the first one.
    pub(super) first: Uuid,
    pub(super) messages: usize,
    pub(super) lines: Vec<u8>,
    /// Kept for them until they are written or refused.
    pub(super) room: Room,
    pub(super) done: oneshot::Sender<Result<(), AppendError>>,
}

/// Writes what comes until the stop, then what came before it.
pub(super) async fn run(
    mut requests: mpsc::Receiver<Request>,
    stock: &Stock,
    world: &World,
    look: &Notify,
    stop: &CancellationToken,
) {
    let mut gathered = Vec::new();
    loop {
        // What comes while a file is written is in the next one.
        tokio::select! {
            biased;
            () = stop.cancelled(), if !requests.is_closed() => requests.close(),
            count = requests.recv_many(&mut gathered, CALLERS) => {
                if count == 0 {
                    return;
                }
                for file in files(mem::take(&mut gathered)) {
                    write(file, stock, world).await;
                    look.notify_one();
                }
            }
        }
    }
}

/// Cuts what was gathered into files of a good size, in order.
fn files(requests: Vec<Request>) -> Vec<Vec<Request>> {
    let mut files: Vec<Vec<Request>> = Vec::new();
    let mut size = 0;
    for request in requests {
        size += request.lines.len();
        match files.last_mut() {
            Some(file) if size <= FILE_BYTES => file.push(request),
            _ => {
                size = request.lines.len();
                files.push(vec![request]);
            }
        }
    }
    files
}

async fn write(requests: Vec<Request>, stock: &Stock, world: &World) {
    let Some(first) = requests.first() else {
        return;
    };
    let now_us = world.clock.now().as_microsecond();
    let messages = requests.iter().map(|request| request.messages).sum();
    let name = stock.next_name(now_us, first.first, messages);
    let lines = requests.iter().flat_map(|request| &request.lines);
    let bytes: Vec<u8> = lines.copied().collect();
    let size = bytes.len() as u64;
    let path = stock.path(&name);
    let written = world.on_disk(move |disk| {
        disk.replace(&path, &bytes, MODE).inspect_err(|_| {
            // It may have been renamed and not flushed: its callers are told that it is not taken, so it goes.
            let _stays = disk.remove_file(&path);
        })
    });
    let (mut rooms, callers): (Vec<Room>, Vec<_>) = requests
        .into_iter()
        .map(|request| (request.room, request.done))
        .unzip();
    let outcome = match written.await {
        Ok(()) => {
            stock.written(&name, size, &mut rooms);
            Ok(())
        }
        Err(error) => {
            stock.not_written(messages, &error);
            Err(stock.disk_error(error))
        }
    };
    for caller in callers {
        let _gave_up = caller.send(outcome.clone());
    }
}

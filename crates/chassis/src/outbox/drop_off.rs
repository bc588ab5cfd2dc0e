//! What a hook leaves in the folder of an outbox.

use std::{path::Path, sync::Arc};

use world::World;

use super::{
    AppendError, Limits, Waiting,
    file::{self, FILE_BYTES, MODE},
    stock::Stock,
};

/// Leaves messages in a folder (made where it is missing) for the process that keeps it; they last from then on, in their
/// order. For a hook: synchronous and quick, with one listing of the folder and one flushed file, or one for each MiB.
///
/// # Errors
/// `Full` or `Disk`; those of a push of many MiB that came before are left then.
pub fn drop_off(
    world: &World,
    folder: &Path,
    limits: Limits,
    messages: &[Waiting],
) -> Result<(), AppendError> {
    let stock = Arc::new(Stock::new(folder.to_owned(), limits));
    let disk = &*world.disk;
    let listed = disk.list(folder).or_else(|_| {
        disk.create_folders(folder, 0o750)?;
        disk.list(folder)
    });
    let entries = listed.map_err(|error| stock.disk_error(error))?;
    stock.found(&entries, &stock.mark());
    let mut left = messages;
    while let Some(first) = left.first() {
        let mut bytes = Vec::new();
        let mut count = 0;
        for Waiting {
            topic,
            persistent,
            envelope,
        } in left
        {
            let line = file::line(topic, *persistent, envelope);
            if count > 0 && bytes.len() + line.len() > FILE_BYTES {
                break;
            }
            bytes.extend(line);
            count += 1;
        }
        let room = stock.reserve(count, bytes.len() as u64)?;
        let now_us = world.clock.now().as_microsecond();
        let name = stock.next_name(now_us, first.envelope.id, count);
        disk.replace(&stock.path(&name), &bytes, MODE)
            .map_err(|error| stock.disk_error(error))?;
        stock.written(&name, bytes.len() as u64, &mut [room]);
        left = &left[count..];
    }
    Ok(())
}

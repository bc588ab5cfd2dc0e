//! What a hook leaves in the folder of an outbox.

use std::{path::Path, sync::Arc};

use world::{Disk, Entry, Kind, World};

use super::{
    AppendError, Limits, Waiting,
    file::{self, FILE_BYTES, MODE},
    stock::Stock,
};

/// In the folder: a byte for each message of a hook that was refused, until what delivers the folder has counted it.
const REFUSED: &str = ".refused";

/// So many are noted at most. Hooks of several users may write it.
const REFUSED_MOST: u64 = 64 << 10;
const REFUSED_MODE: u32 = 0o660;

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
        for message in left {
            let line = file::line(message);
            if count > 0 && bytes.len() + line.len() > FILE_BYTES {
                break;
            }
            bytes.extend(line);
            count += 1;
        }
        let room = stock
            .reserve(count, bytes.len() as u64)
            .inspect_err(|_| note_refused(disk, folder, left.len()))?;
        let now_us = world.clock.now().as_microsecond();
        let name = stock.next_name(now_us, first.envelope.id, count);
        disk.replace(&stock.path(&name), &bytes, MODE)
            .map_err(|error| stock.disk_error(error))?;
        stock.written(&name, bytes.len() as u64, &mut [room]);
        left = &left[count..];
    }
    Ok(())
}

/// Tells what delivers the folder how many were refused. Best effort: the hook has said it too.
fn note_refused(disk: &dyn Disk, folder: &Path, messages: usize) {
    let path = folder.join(REFUSED);
    let there = disk.look(&path).ok().flatten();
    // Others may write here: a link would lead elsewhere.
    if there.as_ref().is_some_and(|it| it.kind != Kind::File) {
        return;
    }
    let noted = there.as_ref().map_or(0, |it| it.bytes);
    let new = (messages as u64).min(REFUSED_MOST.saturating_sub(noted));
    let _not_counted = disk.append(&path, &vec![b'.'; usize::try_from(new).unwrap_or_default()]);
    if there.is_none() {
        let _of_one_user = disk.set_mode(&path, REFUSED_MODE);
    }
}

/// Takes the note out of a folder of which this is a listing: how many were refused since the last time.
pub(super) fn take_refused(disk: &dyn Disk, entries: &[Entry]) -> u64 {
    let note = entries.iter().find(|it| it.path.ends_with(REFUSED));
    // What cannot be removed would be counted again and again.
    match note {
        Some(note) if disk.remove_file(&note.path).is_ok() => note.bytes.min(REFUSED_MOST),
        _ => 0,
    }
}

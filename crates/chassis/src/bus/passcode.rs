//! A passcode from its file.

use std::path::Path;

use stomp::Secret;
use world::Disk;

/// Reads a passcode. Line ends after it are not part of it; all else is, blanks too.
///
/// # Errors
/// One sentence that names the file: it cannot be read, is not UTF-8, or is empty.
pub fn passcode(file: &Path, disk: &dyn Disk) -> Result<Secret, String> {
    let wrong = |why: &str| format!("{}: {why}", file.display());
    let bytes = disk.read(file).map_err(|error| wrong(&error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    Ok(Secret::new(text))
}

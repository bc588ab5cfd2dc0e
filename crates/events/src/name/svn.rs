//! Names around Subversion.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{NameError, refuse};

name! {
    /// A path in a Subversion repository, from its root: `shop/trunk/Grüße.txt`. A folder ends in `/`, as svnlook writes it.
    SvnPath, svn_path
}

fn svn_path(text: &str) -> Result<String, NameError> {
    const KIND: &str = "Subversion path";
    if text.is_empty() || text.len() > 1000 {
        return refuse(KIND, text, "it has 1 to 1000 bytes");
    }
    // Directions of text and the like would show something else than what is there.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.chars().any(hidden) || text.contains('\\') {
        return refuse(KIND, text, "it has no control characters and no \\");
    }
    let inner = text.strip_suffix('/').unwrap_or(text);
    if inner
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        return refuse(
            KIND,
            text,
            "no part may be empty, . or .., nor the first be /",
        );
    }
    Ok(text.to_owned())
}

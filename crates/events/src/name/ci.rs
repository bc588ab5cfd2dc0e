//! Names that CI gives: jobs, and where to see a build.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{NameError, refuse};

name! {
    /// A job by its full name, folders first: `shop`, `backend/shop`, `backend/shop/feature%2Flogin`.
    JobName, job
}
name! {
    /// A page for people: `https://ci.example.org/job/shop/42/`. Only `http` and `https`, so that it may become a link; no
    /// login in it.
    PageUrl, page
}

impl JobName {
    /// The parts: folders, then the job itself.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// Stricter than Jenkins' own rule (`Jenkins.checkGoodName`): no character that a shell gives a meaning.
fn job(text: &str) -> Result<String, NameError> {
    const KIND: &str = "job name";
    if text.is_empty() || text.len() > 300 {
        return refuse(KIND, text, "it has 1 to 300 bytes");
    }
    let inner = |c: char| c.is_alphanumeric() || " ._-+%(),=~@#".contains(c);
    for part in text.split('/') {
        if part.is_empty() || !part.chars().all(inner) {
            return refuse(
                KIND,
                text,
                "use letters, digits, spaces and . _ - + % ( ) , = ~ @ #, in parts with / between",
            );
        }
        if part.starts_with(['.', '-', ' ']) || part.ends_with(['.', ' ']) {
            return refuse(
                KIND,
                text,
                "no part may begin with ., - or a space, nor end with . or a space",
            );
        }
    }
    Ok(text.to_owned())
}

fn page(text: &str) -> Result<String, NameError> {
    const KIND: &str = "page address";
    let Some(rest) = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return refuse(KIND, text, "it begins with https:// or http://");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || host.contains('@') {
        return refuse(KIND, text, "it has a host, and no login before it");
    }
    let inner = |c: char| c.is_ascii_graphic() && !"\"'<>\\^`{|}".contains(c);
    if text.len() > 2000 || !text.chars().all(inner) {
        return refuse(
            KIND,
            text,
            "it has at most 2000 characters, all of them ones that an address may have unescaped",
        );
    }
    Ok(text.to_owned())
}

//! Names around Debian packages.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{NameError, refuse};

name! {
    /// A Debian package, binary or source, by the rules of Debian's policy: `shop`, `libstdc++6`.
    PackageName, package
}
name! {
    /// A package's version, as far as its characters go: `1.4.4`, `1:2.0~rc1-3+b1`. How two of them compare is for `debversion`.
    PackageVersion, version
}
name! {
    /// A suite or codename of an apt repository: `bookworm`, `stable-updates`, `stable/updates`.
    SuiteName, suite
}
name! {
    /// A component of a suite: `main`, `non-free-firmware`.
    ComponentName, component
}
name! {
    /// What a package is built for: `amd64`, `all`.
    Architecture, architecture
}
name! {
    /// A file of apt's `sources.list.d`, by the rule that apt has for their names: `acme.sources`, `acme.list`.
    AptSource, apt_source
}

fn package(text: &str) -> Result<String, NameError> {
    const KIND: &str = "package name";
    let inner =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
    if !(2..=200).contains(&text.len()) || !text.chars().all(inner) {
        return refuse(KIND, text, "use a-z, 0-9, +, - and ., 2 to 200 characters");
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return refuse(KIND, text, "it begins with a letter or digit");
    }
    Ok(text.to_owned())
}

fn version(text: &str) -> Result<String, NameError> {
    const KIND: &str = "package version";
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | ':');
    if !(1..=200).contains(&text.len()) || !text.chars().all(inner) {
        return refuse(
            KIND,
            text,
            "use letters, digits and . + - ~ :, 1 to 200 characters",
        );
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return refuse(KIND, text, "it begins with a letter or digit");
    }
    Ok(text.to_owned())
}

fn suite(text: &str) -> Result<String, NameError> {
    path("suite name", text)
}

fn component(text: &str) -> Result<String, NameError> {
    path("component name", text)
}

fn path(kind: &'static str, text: &str) -> Result<String, NameError> {
    if text.is_empty() || text.len() > 100 {
        return refuse(kind, text, "it has 1 to 100 characters");
    }
    for part in text.split('/') {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if part.is_empty() || part.starts_with(['.', '-']) || !part.chars().all(inner) {
            return refuse(
                kind,
                text,
                "use letters, digits, ., _ and -, in parts with / between that do not begin with . or -",
            );
        }
    }
    Ok(text.to_owned())
}

fn architecture(text: &str) -> Result<String, NameError> {
    super::word("architecture", text)
}

fn apt_source(text: &str) -> Result<String, NameError> {
    const KIND: &str = "file of sources.list.d";
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.len() > 100 || text.starts_with(['.', '-']) || !text.chars().all(inner) {
        return refuse(
            KIND,
            text,
            "use letters, digits, ., _ and -, at most 100 characters, not first . or -",
        );
    }
    let ending = |ending| {
        text.strip_suffix(ending)
            .is_some_and(|name| !name.is_empty())
    };
    if !ending(".sources") && !ending(".list") {
        return refuse(KIND, text, "it ends in .sources or .list");
    }
    Ok(text.to_owned())
}

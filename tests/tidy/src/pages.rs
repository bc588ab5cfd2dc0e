//! What holds for pages: links lead somewhere, the changelog is open for the next change.

use std::collections::BTreeSet;

use crate::File;

/// Relative links of a page that lead nowhere, given every file of the tree.
#[must_use]
pub fn dead_links(page: &File, tree: &[File]) -> Vec<String> {
    let mut paths: BTreeSet<&str> = BTreeSet::new();
    for file in tree {
        paths.insert(&file.path);
        paths.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    let mut complaints = Vec::new();
    for (n, target) in links(&page.text) {
        let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
        let path = if path.is_empty() {
            page.path.clone()
        } else {
            resolved(&page.path, path)
        };
        if !paths.contains(path.as_str()) {
            complaints.push(format!("{}:{n}: {target} does not exist", page.path));
            continue;
        }
        let linked = tree.iter().find(|file| file.path == path);
        let headings = linked.map(|file| headings(&file.text)).unwrap_or_default();
        if !anchor.is_empty() && path.ends_with(".md") && !headings.contains(anchor) {
            complaints.push(format!(
                "{}:{n}: {path} has no heading #{anchor}",
                page.path
            ));
        }
    }
    complaints
}

/// Targets of `[text](target)` outside code, with their lines; not those of other sites or of rustdoc.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (n, line) in prose(text) {
        let outside_code: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for after in outside_code.split("](").skip(1) {
            let target = after.split([')', ' ']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !target.contains("::") {
                links.push((n, target.to_owned()));
            }
        }
    }
    links
}

/// The lines outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    let numbered = text.lines().enumerate().map(|(n, line)| (n + 1, line));
    numbered.filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_block ^= fence;
        !in_block && !fence
    })
}

/// The anchors of a page, made from its headings as the usual forges do.
fn headings(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    headings
        .map(|(_, line)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// `target` as seen from `page`, from the root of the tree.
fn resolved(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => page.split('/').collect(),
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The changelog's first section is the one for the next change.
#[must_use]
pub fn changelog(file: &File) -> Option<String> {
    let first = file.text.lines().find(|line| line.starts_with("## "));
    (first != Some("## Unreleased"))
        .then(|| format!("{}: its first section must be `## Unreleased`", file.path))
}

//! Each rule on bad input, and then on the whole work tree.

mod files;
mod layers;
mod manifests;
mod names;
mod pages;
mod settings;
mod threats;
mod tree;

/// No complaint, or all of them at once, one a line.
#[track_caller]
fn none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

//! docs/orders.md: its bytes are those that the code makes, and the real ssh-keygen takes them.

use std::{collections::BTreeMap, fs};

use orders::{Document, Grant, Order};

use crate::{
    given::{ann, grant, keyring_text, orchestrator, order},
    openssh::{Folder, text},
};

/// The page's blocks by their names: each is fenced as `text NAME`.
fn blocks() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/orders.md");
    let page = fs::read_to_string(page).expect("the page");
    let mut blocks = BTreeMap::new();
    let mut parts = page.split("\n```text ");
    let _before = parts.next();
    for part in parts {
        let (name, rest) = part.split_once('\n').expect("a name");
        let (block, _) = rest.split_once("```").expect("an end");
        blocks.insert(name.to_owned(), block.to_owned());
    }
    blocks
}

fn bytes<D: Document>(signed: &events::message::Signed) -> String {
    let bytes = orders::to_be_signed::<D>(signed).expect("bytes");
    String::from_utf8(bytes).expect("JSON is text")
}

#[test]
fn the_page_shows_the_exact_bytes() {
    let grant = orders::sign(&grant(), &ann()).expect("signed");
    let order = orders::sign(&order(&grant), &orchestrator()).expect("signed");
    let json = |signed| serde_json::to_string(signed).expect("JSON");
    let made = [
        ("allowed_signers", keyring_text()),
        ("grant.bytes", bytes::<Grant>(&grant)),
        ("grant.json", json(&grant)),
        ("grant.sig", orders::armored(&grant.signatures[0])),
        ("order.bytes", bytes::<Order>(&order)),
        ("order.json", json(&order)),
        ("order.sig", orders::armored(&order.signatures[0])),
    ];
    let blocks = blocks();
    for (name, made) in &made {
        let shown = blocks.get(*name).map(|shown| shown.trim_end_matches('\n'));
        assert_eq!(shown, Some(made.trim_end_matches('\n')), "{name}");
    }
    assert_eq!(blocks.len(), made.len(), "nothing else is shown as exact");
}

#[test]
fn ssh_keygen_takes_what_the_page_shows() {
    let folder = Folder::new();
    for (name, block) in blocks() {
        // What is signed has no line feed at its end, the other files have one.
        let block = match name.ends_with(".bytes") {
            true => block.trim_end_matches('\n'),
            false => &block,
        };
        folder.file(&name, block);
    }
    for (what, who, namespace, good) in [
        ("grant", "ann@example.org", Grant::NAMESPACE, true),
        ("order", "orchestrator", Order::NAMESPACE, true),
        ("grant", "bo@example.org", Grant::NAMESPACE, false),
        ("grant", "ann@example.org", Order::NAMESPACE, false),
    ] {
        let signature = format!("{what}.sig");
        let args = [
            "-Y",
            "verify",
            "-f",
            "allowed_signers",
            "-I",
            who,
            "-n",
            namespace,
            "-s",
            &signature,
        ];
        let bytes = folder.read(&format!("{what}.bytes"));
        let output = folder.ssh_keygen(&args, bytes.as_bytes());
        assert_eq!(
            output.status.success(),
            good,
            "{what} {who}: {}",
            text(&output)
        );
    }
}

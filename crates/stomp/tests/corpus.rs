//! The corpus of the fuzz target, file by file and damaged in many ways, without a fuzzer.

use std::{fs, path::Path};

use crate::any_bytes::hold;

/// Damaged copies of each file.
const DAMAGED: usize = 40;

/// What a parser of STOMP may stumble over.
const WORDS: [&[u8]; 16] = [
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b":",
    b"\\",
    b"\\c",
    b"\\t",
    b"\n\n",
    b"content-length:",
    b"content-length:3\n",
    b"-1",
    b"5368709120",
    b"SEND\n",
    b"CONNECTED\n",
    b"\xff",
];

/// The same numbers in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap_or_default()
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/codec");
    #[expect(clippy::disallowed_methods, reason = "files of this package")]
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|entry| entry.expect("it can be listed").path())
        .map(|path| {
            (
                path.display().to_string(),
                fs::read(&path).expect("it can be read"),
            )
        })
        .collect();
    files.sort();
    files
}

fn damage(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    let length = numbers.below(bytes.len() + 1 - at);
    match numbers.below(6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
        1 => drop(bytes.drain(at..at + length)),
        2 => {
            let copy = bytes[at..at + length].to_vec();
            bytes.splice(at..at, copy);
        }
        3 => {
            let from = numbers.below(other.len() + 1);
            bytes.splice(at..at + length, other[from..].iter().copied());
        }
        4 => bytes.truncate(at),
        _ => {
            let word = WORDS[numbers.below(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
    }
}

#[test]
fn the_corpus_holds_what_brokers_say_and_more() {
    let files = corpus();
    for start in ["rabbitmq-", "activemq-", "hostile-"] {
        let count = files
            .iter()
            .filter(|(name, _)| name.contains(start))
            .count();
        assert!(count >= 10, "{count} of {start}");
    }
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(
        files.len() < 200 && bytes < 300_000,
        "{} files, {bytes} bytes",
        files.len()
    );
}

#[test]
fn the_corpus_holds() {
    for (_, bytes) in corpus() {
        hold(&bytes);
    }
}

#[test]
fn the_corpus_holds_however_it_is_damaged() {
    let files = corpus();
    let mut numbers = Numbers(0x5354_4f4d_5031_3200);
    for (_, whole) in &files {
        for _ in 0..DAMAGED {
            let mut bytes = whole.clone();
            for _ in 0..=numbers.below(4) {
                let (_, other) = &files[numbers.below(files.len())];
                damage(&mut bytes, other, &mut numbers);
            }
            bytes.truncate(8 * 1024);
            hold(&bytes);
        }
    }
}

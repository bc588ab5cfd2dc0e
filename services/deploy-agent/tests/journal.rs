//! Which damage of a journal is forgiven, and which stops the project.

use deploy_agent::{
    journal::{Damage, End, Journal, OpenError, replay},
    machine::{Record, What},
    verify::verify,
};
use uuid::Uuid;
use world::{Disk, RealDisk};

fn records(count: u128) -> Vec<Record> {
    let told = |number| Record {
        at: "2025-03-01T12:00:00Z".parse().expect("a time"),
        what: What::Told {
            order: Uuid::from_u128(number),
        },
    };
    (0..count).map(told).collect()
}

fn lines(records: &[Record]) -> Vec<Vec<u8>> {
    let mut end = End::default();
    let mut lines = Vec::new();
    for record in records {
        let line = end.line(record);
        end = end.after(&line);
        lines.push(line);
    }
    lines
}

/// What a journal of three lines says after a change to its bytes: `3 records`, `2 records, 12 bytes torn`, or the damage.
fn check(change: impl FnOnce(&mut Vec<Vec<u8>>), expected: &str) {
    let mut lines = lines(&records(3));
    change(&mut lines);
    let bytes = lines.concat();
    let found = match replay(&bytes) {
        Ok(replayed) if replayed.torn == 0 => format!("{} records", replayed.records.len()),
        Ok(replayed) => {
            assert_eq!(replayed.end.bytes as usize + replayed.torn, bytes.len());
            format!("{} records and a torn line", replayed.records.len())
        }
        Err(damage) => damage.to_string(),
    };
    assert_eq!(found, expected);
}

#[test]
fn a_line_is_what_the_readme_says() {
    let line = String::from_utf8(lines(&records(1)).remove(0)).expect("JSON is text");
    assert_eq!(
        line,
        "{\"v\":1,\"seq\":1,\"prev\":\"0000000000000000000000000000000000000000000000000000000000000000\",\
         \"record\":{\"at\":\"2025-03-01T12:00:00Z\",\"what\":{\"told\":{\"order\":\"00000000-0000-0000-0000-000000000000\"}}},\
         \"crc\":\"780ccdf2\"}\n"
    );
}

#[test]
fn a_torn_last_line_is_dropped_and_other_damage_is_named() {
    check(|_| {}, "3 records");
    check(Vec::clear, "0 records");
    check(|lines| drop(lines.pop()), "2 records");
    for cut in [1, 2, 30] {
        check(
            |lines| {
                let keep = lines[2].len() - cut;
                lines[2].truncate(keep);
            },
            "2 records and a torn line",
        );
    }
    check(|lines| lines[2].fill(0), "2 records and a torn line");
    check(
        |lines| {
            let end = lines[2].len() - 1;
            lines[2][..end].fill(0);
        },
        "2 records and a torn line",
    );
    check(
        |lines| lines[0][40] ^= 1,
        "line 1 of the journal is damaged: its sum is wrong",
    );
    check(
        |lines| lines[1] = b"\n".to_vec(),
        "line 2 of the journal is damaged: too short",
    );
    check(
        |lines| drop(lines.remove(1)),
        "line 2 of the journal does not follow the line before it",
    );
    check(
        |lines| lines.swap(1, 2),
        "line 2 of the journal does not follow the line before it",
    );
    check(
        |lines| {
            let again = lines[0].clone();
            lines.insert(1, again);
        },
        "line 2 of the journal does not follow the line before it",
    );
}

#[test]
fn an_edited_entry_is_found_even_with_its_sum_made_right() {
    check(
        |lines| {
            let mut end = End::default();
            end = end.after(&lines[0]);
            let mut other = records(9).remove(8);
            other.at = "2025-03-02T12:00:00Z".parse().expect("a time");
            lines[1] = end.line(&other);
        },
        "line 3 of the journal does not follow the line before it",
    );
}

#[test]
fn what_another_build_wrote_stops_the_project_even_as_the_last_line() {
    let resum = |line: &mut Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(line.clone())
            .expect("JSON is text")
            .replace(from, to);
        let (sealed, _) = text.split_once(",\"crc\"").expect("it has a sum");
        let crc = crc32fast::hash(sealed.as_bytes());
        *line = format!("{sealed},\"crc\":\"{crc:08x}\"}}\n").into_bytes();
    };
    check(
        |lines| resum(&mut lines[2], "\"v\":1", "\"v\":2"),
        "line 3 of the journal was written by another build of deploy-agent: version 2, this build reads 1",
    );
    let mut lines = lines(&records(3));
    resum(&mut lines[2], "told", "sung");
    let damage = replay(&lines.concat()).expect_err("nobody knows what sung means");
    assert!(
        matches!(damage, Damage::Foreign { line: 3, .. }),
        "{damage}"
    );
}

#[test]
fn a_journal_on_disk_goes_on_after_a_torn_line_and_has_one_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop/journal/journal.jsonl");
    let disk = RealDisk;
    let (mut journal, found) = Journal::open(&disk, &path).expect("a new journal");
    assert!(found.is_empty());
    for record in records(2) {
        let entry = journal.next(&record);
        entry.write(&disk).expect("written");
        journal.written(entry);
    }
    assert!(matches!(
        Journal::open(&disk, &path),
        Err(OpenError::InUse { .. })
    ));
    // A try that failed half way is cut off by the next one.
    disk.append(&path, b"{\"v\":1,\"se").expect("appended");
    let entry = journal.next(&records(3)[2]);
    entry.write(&disk).expect("written");
    journal.written(entry);
    drop(journal);
    disk.append(&path, b"{\"v\":1,\"se").expect("appended");
    let (journal, found) = Journal::open(&disk, &path).expect("the torn line is dropped");
    assert_eq!(found, records(3));
    let entry = journal.next(&records(4)[3]);
    entry.write(&disk).expect("written");
    drop((journal, entry));
    let (_, found) = Journal::open(&disk, &path).expect("whole again");
    assert_eq!(found, records(4));
}

/// A journal of three entries of which an end was told, after a change to its lines.
fn verified(told: usize, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> String {
    let mut lines = lines(&records(3));
    let mut end = End::default();
    for line in &lines[..told] {
        end = end.after(line);
    }
    change(&mut lines);
    match verify(&lines.concat(), Some(&end.journal_head())) {
        Ok(whole) => format!("{} entries, {} bytes torn", whole.head.entries, whole.torn),
        Err(finding) => finding.to_string(),
    }
}

/// As somebody would who knows the format: all sums and all hashes right.
fn written_anew(lines: &mut Vec<Vec<u8>>, count: usize) {
    *lines = self::lines(&records(9)[5..5 + count]);
}

#[test]
fn verify_finds_any_change_up_to_the_end_that_was_told() {
    for told in 0..=3 {
        assert_eq!(verified(told, |_| {}), "3 entries, 0 bytes torn", "{told}");
    }
    let longer = |lines: &mut Vec<Vec<u8>>| *lines = self::lines(&records(5));
    assert_eq!(verified(3, longer), "5 entries, 0 bytes torn");
    let cut = |lines: &mut Vec<Vec<u8>>| drop(lines.pop());
    assert_eq!(
        verified(2, cut),
        "2 entries, 0 bytes torn",
        "nobody was told of the third"
    );
    let found = verified(3, cut);
    assert!(
        found.starts_with("the end of the journal is missing: it has 2 entries, and had 3 when "),
        "{found}"
    );
    assert!(verified(3, Vec::clear).contains("it has 0 entries"));
    let torn = |lines: &mut Vec<Vec<u8>>| lines[2].truncate(9);
    assert_eq!(verified(2, torn), "2 entries, 9 bytes torn");
    assert!(verified(3, torn).contains("it has 2 entries"));
    let edited = |lines: &mut Vec<Vec<u8>>| lines[2][40] ^= 1;
    for told in 0..=2 {
        let found = verified(told, edited);
        assert!(found.contains("after entry 2, has a wrong sum"), "{found}");
    }
    // The last entry edited, so that it looks torn; each entry edited, removed, put elsewhere, doubled.
    assert!(verified(3, |lines| lines[2][40] ^= 1).contains("it has 2 entries"));
    for at in 0..2 {
        let found = verified(0, |lines| lines[at][40] ^= 1);
        assert!(found.contains("its sum is wrong"), "{found}");
        for change in [
            |lines: &mut Vec<Vec<u8>>, at: usize| drop(lines.remove(at)),
            |lines: &mut Vec<Vec<u8>>, at: usize| lines.swap(at, at + 1),
            |lines: &mut Vec<Vec<u8>>, at: usize| lines.insert(at, lines[at].clone()),
        ] {
            let found = verified(0, |lines| change(lines, at));
            assert!(
                found.contains("does not follow the line before it"),
                "{found}"
            );
        }
    }
    // All of it made right again: only the end that was told gives it away.
    assert_eq!(
        verified(0, |lines| written_anew(lines, 3)),
        "3 entries, 0 bytes torn"
    );
    for (told, count) in [(1, 3), (2, 3), (3, 3), (3, 4)] {
        let found = verified(told, |lines| written_anew(lines, count));
        assert!(
            found.starts_with("the journal was written anew: its entry "),
            "{found}"
        );
    }
    assert!(verified(3, |lines| written_anew(lines, 2)).contains("it has 2 entries"));
}

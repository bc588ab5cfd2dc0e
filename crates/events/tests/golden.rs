//! A promise to strangers: one golden file per message, read, written and compared byte for byte; and the page that
//! describes them names exactly those.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use events::{
    Envelope, Payload, Topic,
    message::{
        Beat, CiAnswered, CiAsked, CiFailed, CiStarted, CiSucceeded, DeadLetter, Fetched, Line,
        Ordered, PackagesRefreshed, PackagesUpdated, Present, Pushed, Reported, ScriptOutput,
        SvnCommitted,
    },
};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each file's name without `.json`, and its text.
fn golden_files() -> BTreeMap<String, String> {
    let entries = fs::read_dir(here("tests/golden")).expect("the folder is there");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let name = name.strip_suffix(".json").expect("only .json files");
            (name.to_owned(), read(&path))
        })
        .collect()
}

fn parsed(text: &str) -> Envelope {
    Envelope::parse(text.as_bytes()).expect("a golden file is an envelope")
}

/// Reads a message as its type and writes it again from that.
fn again<P: Payload>(envelope: &Envelope) -> (Envelope, Facts) {
    let payload: P = envelope.open().expect("the payload of its type");
    let mut sealed = Envelope::seal(envelope.id, &envelope.source, envelope.time, &payload)
        .expect("it can be written");
    sealed.traceparent.clone_from(&envelope.traceparent);
    let facts = Facts {
        topic: payload.topic(),
        persistent: P::PERSISTENT,
        kept: match P::TIME_TO_LIVE.map(|life| life.as_secs() / 60) {
            None if P::TYPE == Ordered::TYPE => "1 h longer than the order".to_owned(),
            None => "until read".to_owned(),
            Some(minutes) if minutes % 60 == 0 => format!("{} h", minutes / 60),
            Some(minutes) => format!("{minutes} min"),
        },
    };
    (sealed, facts)
}

/// What the page says about a message.
struct Facts {
    topic: Topic,
    persistent: bool,
    kept: String,
}

/// Every message by its type. One that is missing here is found by `every_type_in_the_sources_has_its_golden_file`.
fn written_again(envelope: &Envelope) -> (Envelope, Facts) {
    let write = match envelope.kind.as_str() {
        Pushed::TYPE => again::<Pushed>,
        Fetched::TYPE => again::<Fetched>,
        SvnCommitted::TYPE => again::<SvnCommitted>,
        PackagesUpdated::TYPE => again::<PackagesUpdated>,
        PackagesRefreshed::TYPE => again::<PackagesRefreshed>,
        CiStarted::TYPE => again::<CiStarted>,
        CiSucceeded::TYPE => again::<CiSucceeded>,
        CiFailed::TYPE => again::<CiFailed>,
        CiAsked::TYPE => again::<CiAsked>,
        CiAnswered::TYPE => again::<CiAnswered>,
        Present::TYPE => again::<Present>,
        Ordered::TYPE => again::<Ordered>,
        Reported::TYPE => again::<Reported>,
        ScriptOutput::TYPE => again::<ScriptOutput>,
        Beat::TYPE => again::<Beat>,
        Line::TYPE => again::<Line>,
        DeadLetter::TYPE => again::<DeadLetter>,
        other => panic!("no message has the type {other}"),
    };
    write(envelope)
}

#[test]
fn each_message_is_read_and_written_byte_for_byte() {
    for (name, text) in golden_files() {
        let (sealed, _) = written_again(&parsed(&text));
        let written = serde_json::to_string_pretty(&sealed).expect("JSON") + "\n";
        assert_eq!(written, text, "{name}");
        assert_eq!(
            parsed(&String::from_utf8(sealed.to_bytes()).expect("UTF-8")),
            sealed
        );
    }
}

#[test]
fn each_file_has_the_name_of_its_type() {
    for (name, text) in golden_files() {
        assert_eq!(format!("deploykit.{name}"), parsed(&text).kind);
    }
}

#[test]
fn every_type_in_the_sources_has_its_golden_file() {
    let mut in_sources = BTreeSet::new();
    for entry in fs::read_dir(here("src/message")).expect("the folder is there") {
        let text = read(&entry.expect("an entry").path());
        in_sources.extend(
            text.split("const TYPE: &'static str = \"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap_or_default().to_owned()),
        );
    }
    let golden: BTreeSet<String> = golden_files()
        .keys()
        .map(|name| format!("deploykit.{name}"))
        .collect();
    assert_eq!(golden, in_sources);
}

/// The cells of the table of topics in `docs/bus.md`, without backticks.
fn rows() -> Vec<Vec<String>> {
    let page = read(&here("../../docs/bus.md"));
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim_matches('|').split('|');
        inner
            .map(|cell| cell.replace('`', "").trim().to_owned())
            .collect()
    };
    let table = page
        .lines()
        .skip_while(|line| !line.starts_with("| topic "));
    table
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

/// Topic, speaker, listener, type, kind, persistent, kept, golden file.
#[test]
fn every_row_of_the_page_is_a_golden_file_and_the_other_way_round() {
    let mut files = golden_files();
    let mut stems: BTreeSet<&str> = Topic::STEMS.into();
    for row in rows() {
        let [topic, _, _, kind, _, persistent, kept, file] = &row[..] else {
            panic!("{row:?} has not eight cells");
        };
        let name = file.strip_suffix(".json").unwrap_or_default();
        let Some(text) = files.remove(name) else {
            panic!("docs/bus.md names {file}, which is not there (or is named twice)");
        };
        let envelope = parsed(&text);
        let (_, facts) = written_again(&envelope);
        assert_eq!(*kind, envelope.kind);
        assert_eq!(persistent == "yes", facts.persistent, "{kind}: persistent");
        assert_eq!(*kept, facts.kept, "{kind}: kept");
        let stem = facts.topic.stem();
        let rest = topic.strip_prefix(stem).unwrap_or("another topic");
        assert!(
            matches!(rest, "" | ".HOST" | ".COMPONENT"),
            "{kind} is on {stem}, not {topic}"
        );
        assert_eq!(rest.is_empty(), facts.topic.dotted() == stem, "{topic}");
        assert!(stems.remove(stem), "{stem} has two rows");
    }
    assert!(files.is_empty(), "docs/bus.md lacks {:?}", files.keys());
    assert!(stems.is_empty(), "docs/bus.md lacks {stems:?}");
}

#[test]
fn the_page_describes_every_field_of_every_message() {
    let page = read(&here("../../docs/bus.md"));
    for (name, text) in golden_files() {
        let envelope = parsed(&text);
        let heading = format!("### `{}`", envelope.kind);
        let Some((_, section)) = page.split_once(&heading) else {
            panic!("docs/bus.md has no section {heading}");
        };
        let section = section.split("\n## ").next().unwrap_or_default();
        let section = section.split("\n### ").next().unwrap_or_default();
        let fields = envelope.data.as_object().expect("an object").keys();
        for field in fields {
            assert!(
                section.contains(&format!("`{field}`")),
                "{name}: {field} is not described"
            );
        }
    }
}

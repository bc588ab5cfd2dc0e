//! Bodies that were truncated, changed and made hostile: refused, or read exactly as the second reader reads them.

use events::{Topic, message::Pushed};
use github_stomp::forge::{Kind, read};
use serde_json::{Value, json};
use testkit::{Member, TestBroker};

use crate::{
    bodies::{BODIES, Body, repositories},
    forged,
    oracle::{expected, told},
    sources::{NEW, Sources, now_s},
};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below this number (splitmix64).
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let number = z ^ (z >> 31);
        usize::try_from(number % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// What hostile people put into a text; some of it is harmless in one place and not in another.
const TEXTS: &[&str] = &[
    "",
    "x",
    "main",
    "refs/heads/main",
    "refs/heads/feature/é",
    "refs/tags/v2",
    "refs/tags/",
    "refs/heads/; rm -rf /",
    "refs/heads/$(id)",
    "refs/heads/-x",
    "refs/heads/a..b",
    "refs/heads/.hidden",
    "refs/heads/x.lock",
    "refs/heads/@{upstream}",
    "refs/../../etc/passwd",
    "../../etc/passwd",
    "..",
    "acme/../shop",
    "acme/other",
    "acme/shop.git",
    "mike/diaspora",
    "~ann/notes",
    "/etc/passwd",
    "--upload-pack=touch /tmp/x",
    "a\nrepo: other",
    "Mend it\r\nrepo: other\r\nrefname: refs/heads/other",
    "\u{0}",
    "\u{1b}[2J",
    "\u{202e}gnp.exe",
    "\u{2028}second line",
    "\u{feff}main",
    "ｍａｉｎ",
    "🚪🚪",
    "HEAD",
    "0000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "000000000000000000000000000000000000000",
    "abcdefabcdefabcdefabcdefabcdefabcdefabcd",
    "ABCDEFABCDEFABCDEFABCDEFABCDEFABCDEFABCD",
    "abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd",
    "opened",
    "closed",
    "merge",
    "branch",
    "tag",
    "push",
];

/// What stands in the text for JSON that no value can hold.
const MARK: &str = "%%mark%%";

fn deep(open: &str, close: &str) -> String {
    format!("{}0{}", open.repeat(500), close.repeat(500))
}

/// All places in a value, as pointers; the root is not one of them.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut inside = |key: &str, value: &Value| {
        let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        places(value, &place, all);
        all.push(place);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| inside(key, value)),
        Value::Array(list) => {
            let numbered = list.iter().enumerate();
            numbered.for_each(|(index, value)| inside(&index.to_string(), value));
        }
        _ => {}
    }
}

/// Changes one place of a value.
fn change(value: &mut Value, dice: &mut Dice) {
    let mut all = Vec::new();
    places(value, "", &mut all);
    if all.is_empty() {
        return;
    }
    let place = dice.one_of(&all).clone();
    let other = value.pointer(&all[dice.below(all.len())]).cloned().unwrap();
    let (parent, key) = place.rsplit_once('/').unwrap();
    let long = "é".repeat(3000);
    let new = match dice.below(12) {
        0 => {
            match value.pointer_mut(parent).unwrap() {
                Value::Object(map) => drop(map.remove(key)),
                Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                _ => {}
            }
            return;
        }
        1 => Value::Null,
        2 => dice
            .one_of(&[
                json!(true),
                json!(0),
                json!(-1),
                json!(1.5),
                json!(u64::MAX),
                json!(1e300),
            ])
            .clone(),
        3 => dice
            .one_of(&[json!([]), json!({}), json!([[]]), json!([null])])
            .clone(),
        4 => other,
        5 => json!(MARK),
        6 => json!(long),
        7 => {
            let here = value.pointer_mut(&place).unwrap();
            let item = here.as_array().and_then(|list| list.first().cloned());
            match (here, item) {
                (Value::Array(list), Some(item)) => list.extend(vec![item; 25]),
                (here, _) => *here = json!([here.clone()]),
            }
            return;
        }
        8 => match value.pointer(&place).unwrap() {
            Value::String(text) => json!(format!("{text}{}", dice.one_of(TEXTS))),
            _ => json!("x"),
        },
        _ => json!(dice.one_of(TEXTS)),
    };
    *value.pointer_mut(&place).unwrap() = new;
}

/// A body after some changes of its values and perhaps of its bytes; and whether it may say a thing twice.
fn mutant(text: &str, dice: &mut Dice) -> (Vec<u8>, bool) {
    let mut value: Value = serde_json::from_str(text).unwrap();
    for _ in 0..=dice.below(2) {
        change(&mut value, dice);
    }
    let mark = match dice.below(8) {
        0 => deep("[", "]"),
        1 => deep("{\"a\":", "}"),
        2 => "1e999".to_owned(),
        3 => "9".repeat(400),
        4 => "-0".to_owned(),
        5 => "\"\\ud800\"".to_owned(),
        6 => "NaN".to_owned(),
        _ => "\"\\u0000\"".to_owned(),
    };
    let mut text = value.to_string().replace(&format!("\"{MARK}\""), &mark);
    let twice = dice.below(10) == 0;
    if twice {
        let keys: Vec<usize> = text.match_indices("{\"").map(|(at, _)| at + 1).collect();
        if !keys.is_empty() {
            let at = *dice.one_of(&keys);
            let key = *dice.one_of(&[
                "ref",
                "full_name",
                "id",
                "name",
                "action",
                "new",
                "hash",
                "x",
            ]);
            text.insert_str(at, &format!("\"{key}\":{},", json!(dice.one_of(TEXTS))));
        }
    }
    let mut bytes = text.into_bytes();
    if dice.below(4) == 0 {
        for _ in 0..=dice.below(3) {
            let (at, byte) = (
                dice.below(bytes.len()),
                u8::try_from(dice.below(256)).unwrap(),
            );
            match dice.below(3) {
                0 => bytes[at] ^= 1 << dice.below(8),
                1 => bytes[at] = byte,
                _ => bytes.insert(at, byte),
            }
        }
    }
    (bytes, twice)
}

/// A body of this kind after changes, the first reader's answer being the second's; what it was.
fn judge(body: &Body, bytes: &[u8], twice: bool) -> bool {
    let said = read(body.kind, body.event, bytes, repositories());
    let said = said.as_ref().ok().map(told);
    let right = expected(body.kind, body.event, bytes);
    // What is told twice is refused where it is of use, and not otherwise.
    if said != right && !(twice && said.is_none()) {
        panic!(
            "{}: the service says {said:#?}, and it should be {right:#?}, of\n{}",
            body.name,
            String::from_utf8_lossy(bytes)
        );
    }
    said.is_some()
}

/// Thousands of bodies of this kind of forge.
fn hunt(kinds: &[Kind], seed: u64) {
    let mut dice = Dice::new(seed);
    let (mut read, mut refused) = (0, 0);
    for body in BODIES.iter().filter(|body| kinds.contains(&body.kind)) {
        assert!(judge(body, body.text.as_bytes(), false), "{}", body.name);
        for _ in 0..MUTANTS {
            let (bytes, twice) = mutant(body.text, &mut dice);
            match judge(body, &bytes, twice) {
                true => read += 1,
                false => refused += 1,
            }
        }
    }
    // Else this would judge nothing.
    let least = (read + refused) / 20;
    assert!(
        read > least && refused > least,
        "{read} were read, {refused} refused"
    );
}

/// How many are made of each body.
const MUTANTS: usize = 250;

#[test]
fn changed_bodies_of_github_are_read_rightly_or_refused() {
    hunt(&[Kind::Github], 1);
}

#[test]
fn changed_bodies_of_gitlab_are_read_rightly_or_refused() {
    hunt(&[Kind::Gitlab], 2);
}

#[test]
fn changed_bodies_of_gitea_and_forgejo_are_read_rightly_or_refused() {
    hunt(&[Kind::Gitea, Kind::Forgejo], 3);
}

#[test]
fn changed_bodies_of_bitbucket_are_read_rightly_or_refused() {
    hunt(&[Kind::Bitbucket, Kind::BitbucketServer], 4);
}

#[test]
fn every_hostile_text_in_every_place_is_read_rightly_or_refused() {
    for body in BODIES {
        // A place that nobody reads is as good as any other of these.
        let value: Value = serde_json::from_str(body.text).unwrap();
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let read_from = |place: &&String| {
            let last = place.rsplit('/').next().unwrap();
            KEYS.contains(&last)
        };
        for (number, place) in all.iter().filter(read_from).enumerate() {
            // A different tenth of them at each place.
            for text in TEXTS.iter().skip(number % 10).step_by(10) {
                let mut value = value.clone();
                *value.pointer_mut(place).unwrap() = json!(text);
                judge(body, value.to_string().as_bytes(), false);
            }
        }
    }
}

/// The keys of what is read.
const KEYS: &[&str] = &[
    "ref",
    "before",
    "after",
    "full_name",
    "path_with_namespace",
    "slug",
    "key",
    "id",
    "hash",
    "fromHash",
    "toHash",
    "checkout_sha",
    "name",
    "type",
    "message",
    "tag_name",
    "tag",
    "title",
    "displayId",
    "login",
    "user_username",
    "nickname",
    "raw",
    "source_branch",
    "target_branch",
    "action",
    "object_kind",
    "ref_type",
    "href",
    "clone_url",
];

#[test]
fn a_truncated_body_says_nothing() {
    for body in BODIES {
        let bytes = body.text.trim_end().as_bytes();
        // All places at the end, where most is there, and many before.
        let many = (0..bytes.len()).step_by(bytes.len() / 100 + 1);
        for length in many.chain(bytes.len().saturating_sub(100)..bytes.len()) {
            let said = read(body.kind, body.event, &bytes[..length], repositories());
            assert!(
                said.is_err(),
                "{} cut to {length} bytes: {said:?}",
                body.name
            );
        }
    }
}

#[test]
fn what_is_no_json_says_nothing_to_anybody() {
    let deep = [deep("[", "]"), deep("{\"a\":", "}")];
    let mut texts: Vec<&[u8]> = vec![
        b"",
        b" ",
        b"\0",
        b"{",
        b"}",
        b"[]]",
        b"{}{}",
        b"nul",
        b"payload=%7B%7D",
        b"<html>",
        b"'x'",
        b"1e999",
        b"\"\\ud800\"",
        b"{\"a\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":1,}",
        b"// x\n{}",
    ];
    texts.extend(deep.iter().map(String::as_bytes));
    for body in BODIES {
        for text in &texts {
            let said = read(body.kind, body.event, text, repositories());
            assert!(
                said.is_err(),
                "{} of {}: {said:?}",
                body.name,
                String::from_utf8_lossy(text)
            );
        }
    }
}

#[tokio::test]
async fn hostile_bodies_that_are_signed_are_answered_with_4xx_or_are_exactly_what_is_on_the_bus() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let sources = Sources::start(broker.common("hub1")).await;
    let mut dice = Dice::new(5);
    let (mut pushes, mut refused) = (Vec::new(), 0);
    for body in BODIES {
        let whole = body.text.trim_end().as_bytes();
        let cut = [0, dice.below(whole.len()), whole.len() - 1];
        let cut = cut.map(|length| (whole[..length].to_vec(), false));
        let mutants: Vec<_> = (0..12).map(|_| mutant(body.text, &mut dice)).collect();
        for (bytes, twice) in mutants.into_iter().chain(cut) {
            let headers = forged::headers(body.kind, body.event, NEW, &bytes, now_s());
            let (status, text) = sources.post(body.kind, &headers, &bytes).await;
            match expected(body.kind, body.event, &bytes) {
                Some(right) if status == 202 => {
                    pushes.extend(right.as_array().cloned().unwrap_or_default());
                }
                right => {
                    assert!(status.is_client_error(), "{}: {status} {text}", body.name);
                    assert!(right.is_none() || twice, "{}: {status} {text}", body.name);
                    assert!(!text.contains('\u{1b}') && text.len() < 1000, "{text:?}");
                    refused += 1;
                }
            }
        }
    }
    assert!(
        pushes.len() > 100 && refused > 100,
        "{}, {refused}",
        pushes.len()
    );
    // The same push twice is one event.
    let key = |push: &Value| ["repository", "ref", "before", "after"].map(|key| push[key].clone());
    let fold = |pushes: Vec<Value>| {
        let mut keys = Vec::new();
        let mut is_new = |push: &Value| {
            let new = !keys.contains(&key(push));
            keys.push(key(push));
            new
        };
        pushes
            .into_iter()
            .filter(|push| is_new(push))
            .collect::<Vec<Value>>()
    };
    let expected = fold(pushes);
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        let pushed = commits.hear(|_: &Pushed| true).await;
        heard.push(json!(pushed));
        heard = fold(heard);
    }
    assert_eq!(heard, expected);
    sources.running.stop().await.unwrap();
}

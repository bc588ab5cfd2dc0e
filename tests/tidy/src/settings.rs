//! Shipped settings show every key; the optional ones are commented out as `#key = value`, prose as `# prose`.

use chassis::settings::switched_on;

use crate::File;

/// What is wrong with a shipped settings file, as it is and with every optional key switched on.
///
/// Whether the service takes these keys is its own test; here it is TOML, and no key escapes that test.
#[must_use]
pub fn complaints(file: &File) -> Vec<String> {
    let as_shipped = ("as shipped", file.text.clone());
    let all_on = (
        "with every commented key switched on",
        switched_on(&file.text),
    );
    let mut complaints = Vec::new();
    for (how, text) in [as_shipped, all_on] {
        if let Err(error) = toml::from_str::<toml::Table>(&text) {
            complaints.push(format!("{} is not TOML {how}: {error}", file.path));
        }
    }
    for (n, line) in file.numbered() {
        if line
            .strip_prefix("# ")
            .is_some_and(|rest| is_key(rest) || is_table(rest))
        {
            complaints.push(format!(
                "{}:{n}: a commented key has no space after its #, so that it is tried",
                file.path
            ));
        }
    }
    complaints
}

/// `key = …`, `a.b = …`, `"web/shop" = …`.
fn is_key(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| is_name(key))
}

/// `[table]`, `[[list]]`.
fn is_table(line: &str) -> bool {
    let inner = line
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| is_name(inner.trim_start_matches('[').trim_end_matches(']')))
}

fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let quoted = part.len() > 2 && part.starts_with('"') && part.ends_with('"');
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        quoted || (!part.is_empty() && part.chars().all(bare))
    };
    text.split('.').all(part)
}

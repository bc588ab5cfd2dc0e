//! What may not leave the host: known secrets, cut out of what is said about a script.

/// The shortest text that is taken for a secret; shorter ones would black out everything.
const SHORTEST: usize = 6;

/// What stands in place of a secret.
const MARK: &str = "[secret]";

/// Cuts known secrets out of text.
#[derive(Clone, Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor of {} secrets", self.secrets.len())
    }
}

impl Redactor {
    /// Takes each line of each text as a secret; of `NAME=value` the value. Lines under 6 characters are left out.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let lines = texts.into_iter().flat_map(str::lines).map(str::trim);
        let values = lines.map(|line| match line.split_once('=') {
            Some((name, value)) if is_name(name) => value.trim_matches(['"', '\'']),
            _ => line,
        });
        let mut secrets: Vec<String> = values
            .filter(|secret| secret.len() >= SHORTEST)
            .map(str::to_owned)
            .collect();
        // The longest first, so that no rest of one stays when another is a part of it.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// The text without the secrets.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            if clean.contains(secret.as_str()) {
                clean = clean.replace(secret.as_str(), MARK);
            }
        }
        clean
    }
}

fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(inner)
}

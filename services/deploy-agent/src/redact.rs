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

    /// The length of the longest secret.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.secrets.first().map_or(0, String::len)
    }

    /// Where bytes that go on can be cut, at most at `at`: no secret begins before it and ends after it, or could with
    /// what follows.
    #[must_use]
    pub fn cut_before(&self, bytes: &[u8], at: usize) -> usize {
        let mut cut = at.min(bytes.len());
        // Each that is cut moves the cut to its beginning, where it may meet another one.
        while let Some((begin, _)) = self.across(bytes, cut) {
            cut = begin;
        }
        cut
    }

    /// The same for what comes after the cut: no earlier than `at`.
    #[must_use]
    pub fn cut_after(&self, bytes: &[u8], at: usize) -> usize {
        let mut cut = at.min(bytes.len());
        while let Some((_, end)) = self.across(bytes, cut) {
            cut = end.min(bytes.len());
            if cut == bytes.len() {
                break;
            }
        }
        cut
    }

    /// A secret that is on both sides of a cut: whole, or as far as the bytes go. Gives where it begins and ends.
    fn across(&self, bytes: &[u8], cut: usize) -> Option<(usize, usize)> {
        let first = cut.saturating_sub(self.longest().saturating_sub(1));
        (first..cut).find_map(|begin| {
            let rest = &bytes[begin..];
            let here = |secret: &&String| {
                let secret = secret.as_bytes();
                begin + secret.len() > cut && (rest.starts_with(secret) || secret.starts_with(rest))
            };
            let secret = self.secrets.iter().find(here)?;
            Some((begin, begin + secret.len()))
        })
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

//! Files of `docs/brokers`, as a site copies them, with other ports, folders and passwords.

use crate::Folder;

/// The host that the files are written for; the file or the lines of another one are made from its.
pub(crate) const HOST: &str = "web1_example_org";

/// The second server of the tests: `web2.example.org`.
pub(crate) const OTHER_HOST: &str = "web2_example_org";

/// What a test must not keep: the addresses, folders and passwords of a real installation.
const TO_REPLACE: [&str; 5] = [
    ":61613",
    ":61614",
    "/etc/rabbitmq/",
    "/etc/activemq/tls",
    "CHANGE-ME",
];

/// A file of `docs/brokers`.
#[derive(Debug)]
pub(crate) struct Documented {
    /// Its path below `docs/brokers`.
    path: &'static str,
    text: String,
}

/// A documented file and its text: `documented!("rabbitmq/rabbitmq.conf")`.
macro_rules! documented {
    ($path:literal) => {
        $crate::documented::Documented::new(
            $path,
            include_str!(concat!("../../../docs/brokers/", $path)),
        )
    };
}
pub(crate) use documented;

impl Documented {
    pub(crate) fn new(path: &'static str, text: &str) -> Self {
        let text = text.to_owned();
        Self { path, text }
    }

    /// Another text in the place of one that is there.
    pub(crate) fn with(mut self, there: &str, instead: &str) -> Self {
        assert!(
            self.text.contains(there),
            "docs/brokers/{} has no {there:?} any more, which the tests replace",
            self.path
        );
        self.text = self.text.replace(there, instead);
        self
    }

    /// The file of another server.
    pub(crate) fn for_the_other_host(self) -> Self {
        self.with(HOST, OTHER_HOST)
    }

    /// The lines of another server after those of the first.
    pub(crate) fn with_lines_of_the_other_host(self) -> Self {
        self.with_lines_of(|line| line.contains(HOST))
    }

    fn with_lines_of(mut self, the_first: impl Fn(&str) -> bool) -> Self {
        let mut text = String::new();
        let mut added = 0;
        for line in self.text.lines() {
            text.push_str(&format!("{line}\n"));
            if the_first(line) {
                added += 1;
                text.push_str(&format!("{}\n", line.replace(HOST, OTHER_HOST)));
            }
        }
        assert!(added > 0, "docs/brokers/{} names no server", self.path);
        self.text = text;
        self
    }

    /// The same for groups: a group that names the first server once more, and the other members behind the first ones.
    pub(crate) fn with_members_of_the_other_host(mut self) -> Self {
        let mut text = String::new();
        for line in self.text.lines() {
            match line.split_once('=') {
                Some((group, members)) if members.contains(HOST) && !group.contains(HOST) => {
                    let others = members.replace(HOST, OTHER_HOST);
                    text.push_str(&format!("{group}={members},{others}\n"));
                }
                _ => text.push_str(&format!("{line}\n")),
            }
        }
        assert!(
            text.len() > self.text.len(),
            "docs/brokers/{} has no members",
            self.path
        );
        self.text = text;
        self.with_lines_of(|line| {
            line.split('=')
                .next()
                .is_some_and(|group| group.contains(HOST))
        })
    }

    /// Writes it where the broker reads it.
    pub(crate) fn write(self, folder: &Folder, path: &str) {
        for text in TO_REPLACE {
            let comment = |line: &str| {
                ["#", "//", "<!--"]
                    .iter()
                    .any(|mark| line.trim_start().starts_with(mark))
            };
            let left = self
                .text
                .lines()
                .find(|line| line.contains(text) && !comment(line));
            assert!(
                left.is_none(),
                "docs/brokers/{}: a test cannot have {left:?}",
                self.path
            );
        }
        folder.write(path, &self.text);
    }
}

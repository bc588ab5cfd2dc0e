//! Which messages were in hand when a process ended, and how often. Text in, text out; no I/O.
//!
//! A file of lines, each one word and an id: `given` to the service, `back` without an acknowledgement, `done`; and
//! `crashed ID TIMES`. What is `given` and neither `back` nor `done` was in hand at the end.

use std::{collections::BTreeMap, fmt::Write};

use uuid::Uuid;

/// How many messages are remembered that were in hand at a crash and did not come again; the oldest ids go first.
const REMEMBERED: usize = 1024;

/// What the lines of a file add up to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger(BTreeMap<Uuid, Entry>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Entry {
    crashes: u32,
    in_hand: bool,
}

/// Something that happens to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The service gets it.
    Given,
    /// The service has let go of it; the broker still has it.
    Back,
    /// It is acknowledged.
    Done,
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Back => "back",
            Self::Done => "done",
        }
    }
}

impl Ledger {
    /// Reads a file's text. A line that is torn or strange says nothing.
    pub(super) fn read(text: &[u8]) -> Self {
        let mut ledger = Self::default();
        // What is after the last line end was not written to its end.
        let whole = text.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        for line in String::from_utf8_lossy(&text[..whole]).lines() {
            let mut words = line.split(' ');
            let (word, id) = (words.next(), words.next().and_then(|id| id.parse().ok()));
            let Some(id) = id else { continue };
            match (word, words.next().map(str::parse), words.next()) {
                (Some("given"), None, _) => ledger.note(id, Event::Given),
                (Some("back"), None, _) => ledger.note(id, Event::Back),
                (Some("done"), None, _) => ledger.note(id, Event::Done),
                (Some("crashed"), Some(Ok(crashes)), None) => {
                    let in_hand = false;
                    ledger.0.insert(id, Entry { crashes, in_hand });
                }
                _ => {}
            }
        }
        ledger
    }

    /// The process that wrote it has ended without a goodbye: what it had in hand has crashed it once more.
    pub(super) fn crashed(&mut self) {
        for entry in self.0.values_mut().filter(|entry| entry.in_hand) {
            entry.crashes = entry.crashes.saturating_add(1);
            entry.in_hand = false;
        }
        while self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
    }

    /// How often the service has crashed with it in hand.
    pub(super) fn crashes(&self, id: Uuid) -> u32 {
        self.0.get(&id).map_or(0, |entry| entry.crashes)
    }

    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.0.contains_key(&id)
    }

    pub(super) fn is_in_hand(&self, id: Uuid) -> bool {
        self.0.get(&id).is_some_and(|entry| entry.in_hand)
    }

    /// False if the event says what is known already.
    pub(super) fn is_changed_by(&self, id: Uuid, event: Event) -> bool {
        match event {
            Event::Given => !self.is_in_hand(id),
            Event::Back | Event::Done => self.knows(id),
        }
    }

    pub(super) fn note(&mut self, id: Uuid, event: Event) {
        match event {
            Event::Given => self.0.entry(id).or_default().in_hand = true,
            Event::Done => {
                self.0.remove(&id);
            }
            Event::Back => match self.0.get_mut(&id) {
                Some(entry) if entry.crashes > 0 => entry.in_hand = false,
                _ => {
                    self.0.remove(&id);
                }
            },
        }
    }

    /// The shortest text that reads as this.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (id, Entry { crashes, in_hand }) in &self.0 {
            if *crashes > 0 {
                let _never_fails = writeln!(text, "crashed {id} {crashes}");
            }
            if *in_hand {
                text += &line(*id, Event::Given);
            }
        }
        text
    }

    /// Everything that is in hand.
    pub(super) fn in_hand(&self) -> Vec<Uuid> {
        let in_hand = self.0.iter().filter(|(_, entry)| entry.in_hand);
        in_hand.map(|(id, _)| *id).collect()
    }
}

/// The line that says it.
pub(super) fn line(id: Uuid, event: Event) -> String {
    format!("{} {id}\n", event.word())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    #[test]
    fn what_was_given_and_not_settled_has_crashed_once_more() {
        let mut text = String::from("crashed 00000000-0000-0000-0000-000000000004 6\n");
        for (number, event) in [
            (1, Event::Given),
            (2, Event::Given),
            (2, Event::Done),
            (3, Event::Given),
            (3, Event::Back),
            (4, Event::Given),
            (5, Event::Given),
            (5, Event::Given),
        ] {
            text += &line(id(number), event);
        }
        let mut ledger = Ledger::read(text.as_bytes());
        assert_eq!(ledger.in_hand(), [id(1), id(4), id(5)]);
        ledger.crashed();
        let crashes = [1, 2, 3, 4, 5, 6].map(|number| ledger.crashes(id(number)));
        assert_eq!(crashes, [1, 0, 0, 7, 1, 0]);
        // Back keeps what is known of it, done does not.
        ledger.note(id(4), Event::Given);
        ledger.note(id(4), Event::Back);
        ledger.note(id(1), Event::Done);
        assert_eq!((ledger.crashes(id(4)), ledger.crashes(id(1))), (7, 0));
        // Only what was in hand counts at the next crash.
        ledger.crashed();
        assert_eq!(ledger.crashes(id(4)), 7);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut ledger = Ledger::default();
        for number in 0..=REMEMBERED as u128 {
            ledger.note(id(number), Event::Given);
        }
        ledger.crashed();
        assert_eq!(ledger.crashes(id(0)), 0);
        assert_eq!(ledger.crashes(id(REMEMBERED as u128)), 1);
    }

    fn events() -> impl Strategy<Value = Vec<(u128, Event)>> {
        let event = prop_oneof![Just(Event::Given), Just(Event::Back), Just(Event::Done)];
        prop::collection::vec((0..5_u128, event), 0..40)
    }

    proptest! {
        #[test]
        fn a_file_reads_as_what_was_written_wherever_it_is_torn(events in events(), cut in 0..50_usize, crash: bool) {
            let mut ledger = Ledger::default();
            let mut text = String::new();
            for (number, event) in &events {
                ledger.note(id(*number), *event);
                text += &line(id(*number), *event);
            }
            prop_assert_eq!(&Ledger::read(text.as_bytes()), &ledger);
            // Torn anywhere, it reads as the lines before.
            let torn = &text[..text.len().saturating_sub(cut)];
            let lines = torn.matches('\n').count();
            let mut before = Ledger::default();
            for (number, event) in &events[..lines] {
                before.note(id(*number), *event);
            }
            prop_assert_eq!(&Ledger::read(torn.as_bytes()), &before);
            // Compacted, it says the same.
            if crash {
                ledger.crashed();
            }
            prop_assert_eq!(&Ledger::read(ledger.text().as_bytes()), &ledger);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Ledger::read(&bytes);
        }
    }
}

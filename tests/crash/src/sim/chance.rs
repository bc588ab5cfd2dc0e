//! Chance that is the same in each run.

/// xorshift64.
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() & 64 == 0
    }

    /// What lasted of a file, with a part of what was added to it since, or zeros in the place of that.
    pub(super) fn torn(&mut self, kept: &[u8], bytes: &[u8]) -> Vec<u8> {
        let Some(added) = bytes.strip_prefix(kept) else {
            return if self.coin() { kept } else { bytes }.to_vec();
        };
        let most = added.len() as u64 + 1;
        let length = usize::try_from(self.next() % most).expect("it is small");
        let mut torn = kept.to_vec();
        match self.coin() {
            true => torn.extend_from_slice(&added[..length]),
            false => torn.extend(std::iter::repeat_n(0, length)),
        }
        torn
    }
}

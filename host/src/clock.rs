//! The only reader of time and randomness.
//!
//! Everything else takes a [`Clock`], so a test can stand in front of it: a virtual clock moves only when told to,
//! and its randomness repeats from a seed.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// Time that never runs backwards, and randomness.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    /// The latest instant ever handed out or read from the store. A system clock that is set back does not bring
    /// expired approvals to life again.
    floor: AtomicI64,
    /// Since when the floor has stood, by a clock nobody sets: time goes on from there while the system's is behind.
    since: Mutex<Option<Instant>>,
}

#[derive(Debug)]
enum Source {
    System,
    Virtual { now: AtomicI64, random: Mutex<Stream> },
}

impl Clock {
    /// The machine's clock and the operating system's randomness.
    pub fn system() -> Clock {
        Clock { source: Source::System, floor: AtomicI64::new(0), since: Mutex::default() }
    }

    /// A clock that stands at `now` until [`advance`](Clock::advance) moves it, with randomness derived from `seed`.
    pub fn virtual_at(now: Millis, seed: u64) -> Clock {
        let random = Mutex::new(Stream::new(Sha256::digest(seed.to_be_bytes()).into()));
        let source = Source::Virtual { now: AtomicI64::new(now), random };
        Clock { source, floor: AtomicI64::new(0), since: Mutex::default() }
    }

    /// The present instant, never earlier than any instant seen before.
    pub fn now(&self) -> Millis {
        let now = match &self.source {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
            Source::System => self.forwards(Timestamp::now().as_millisecond(), Instant::now()),
            Source::Virtual { now, .. } => now.load(Ordering::SeqCst),
        };
        self.floor.fetch_max(now, Ordering::SeqCst).max(now)
    }

    /// The system's time, or, where that is behind what has been seen, so much later than that as has passed since: a clock that
    /// was once far ahead does not stop expiries and retries for years.
    fn forwards(&self, system: Millis, tick: Instant) -> Millis {
        let mut since = self.since.lock().expect("no holder panics");
        let floor = self.floor.load(Ordering::SeqCst);
        if system >= floor {
            *since = None;
            return system;
        }
        let passed = tick.saturating_duration_since(since.replace(tick).unwrap_or(tick));
        // Whole milliseconds only: what is left over counts next time.
        let whole = passed.as_millis() as Millis;
        *since = Some(tick - (passed - Duration::from_millis(whole as u64)));
        floor + whole
    }

    /// Tells the clock of an instant found in the store: it will not run below it.
    pub fn raise(&self, seen: Millis) {
        self.floor.fetch_max(seen, Ordering::SeqCst);
    }

    /// Moves a virtual clock by `by` milliseconds, back as well as forth. A system clock does not move.
    pub fn advance(&self, by: Millis) {
        if let Source::Virtual { now, .. } = &self.source {
            now.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// Bytes nobody can guess; on a virtual clock, bytes that repeat from the seed.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.source {
            Source::System => getrandom::fill(&mut bytes).expect("the operating system has randomness"),
            Source::Virtual { random, .. } => random.lock().expect("no holder panics").fill(&mut bytes),
        }
        bytes
    }

    /// A fresh identifier: `prefix`, then 26 characters that sort by time of creation.
    pub fn id(&self, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let now = self.now().max(0) as u128;
        let mut wide = [0; 16];
        wide[6..].copy_from_slice(&self.random::<10>());
        let number = (now & 0xffff_ffff_ffff) << 80 | u128::from_be_bytes(wide);
        let text = (0..26).rev().map(|place| ALPHABET[(number >> (5 * place) & 31) as usize] as char);
        prefix.chars().chain(text).collect()
    }
}

/// A stream of bytes that follows from its seed alone, on every machine and in every version.
///
/// SHA-256 in counter mode: neither fast nor meant to be. It feeds what guests see as randomness, which must
/// repeat when a run is replayed by a later build.
#[derive(Debug, Clone)]
pub struct Stream {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Stream {
    /// Starts the stream of `seed`.
    pub fn new(seed: [u8; 32]) -> Stream {
        Stream { seed, counter: 0, block: [0; 32], used: 32 }
    }

    /// Fills `bytes` with the next bytes of the stream.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.block.len() {
                let block = Sha256::new().chain_update(self.seed).chain_update(self.counter.to_be_bytes());
                self.block = block.finalize().into();
                self.counter += 1;
                self.used = 0;
            }
            *byte = self.block[self.used];
            self.used += 1;
        }
    }

    /// The next eight bytes as a number.
    pub fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

/// RFC 3339 in UTC, with milliseconds where there are any.
pub fn rfc3339(at: Millis) -> String {
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX).to_string()
}

/// Reads RFC 3339, or a plain date, which means 00:00 UTC of that day. Nothing else, though the library would: what an
/// agent may write is what the contract says.
pub fn parse(text: &str) -> Option<Millis> {
    let shape: String =
        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c.to_ascii_uppercase() }).collect();
    let time = shape.strip_prefix("0000-00-00")?;
    if time.is_empty() {
        let at = text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        return Some(at.timestamp().as_millisecond());
    }
    let zone = time.strip_prefix("T00:00:00").or_else(|| time.strip_prefix(" 00:00:00"))?;
    let zone = match zone.strip_prefix('.') {
        Some(fraction) if fraction.starts_with('0') => fraction.trim_start_matches('0'),
        Some(_) => return None,
        None => zone,
    };
    matches!(zone, "Z" | "+00:00" | "-00:00")
        .then(|| text.parse::<Timestamp>().ok())?
        .map(|at| at.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_never_runs_backwards() {
        let clock = Clock::virtual_at(1_000, 0);
        assert_eq!(clock.now(), 1_000);
        clock.advance(-500);
        assert_eq!(clock.now(), 1_000);
        clock.raise(5_000);
        assert_eq!(clock.now(), 5_000);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant to count from")]
    fn time_goes_on_from_where_it_was_while_the_machine_is_behind() {
        let clock = Clock::system();
        clock.raise(10_000);
        let start = Instant::now();
        let at = |system, micros| {
            let now = clock.forwards(system, start + Duration::from_micros(micros));
            clock.raise(now);
            now
        };
        assert_eq!(at(500, 0), 10_000);
        assert_eq!(at(500, 1_500), 10_001);
        assert_eq!(at(400, 2_000), 10_002);
        assert_eq!(at(400, 5_002_000), 15_002);
        // The machine has caught up, and falls behind again.
        assert_eq!(at(20_000, 5_003_000), 20_000);
        assert_eq!(at(1, 5_004_000), 20_000);
        assert_eq!(at(1, 5_005_000), 20_001);
    }

    #[test]
    fn ids_sort_by_time_and_repeat_from_the_seed() {
        let (a, b) = (Clock::virtual_at(1, 7), Clock::virtual_at(1, 7));
        let first = a.id("int_");
        assert_eq!(first, b.id("int_"));
        assert_eq!(first.len(), 30);
        a.advance(1);
        assert!(a.id("int_") > first);
    }

    #[test]
    fn dates_are_midnight_utc_and_instants_are_rfc_3339() {
        assert_eq!(parse("1970-01-02"), Some(86_400_000));
        assert_eq!(parse("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse("1970-01-01t00:00:00.5z"), Some(500));
        assert_eq!(parse("1970-01-01 00:00:00Z"), Some(0));
        for bad in [
            "",
            "yesterday",
            "1970-1-2",
            "1970-01-01T00:00:00",
            "2024-13-01",
            "19700102",
            "1970-01-01T00:00Z",
            "19700101T000000Z",
            "1970-01-01T00:00:00+00",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-01-01T00:00:00.Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(rfc3339(1), "1970-01-01T00:00:00.001Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    }
}

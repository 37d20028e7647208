//! The only reader of time and randomness.
//!
//! Everything else takes a [`Clock`], so a test can stand in front of it: a virtual clock moves only when told to,
//! and its randomness repeats from a seed.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Milliseconds since 1970-01-01 UTC.
pub type Millis = i64;

/// No clock that goes right is before this: 2026-01-01.
pub const BUILT_MS: Millis = 1_767_225_600_000;
/// How far the host's time may be ahead of the machine's clock: 5 minutes. Where it is further ahead, one of the two was set wrong, and
/// the host's time is set back, together with everything that ends; see [`Clock::ahead`].
pub const AHEAD_MS_MAX: Millis = 5 * 60 * 1000;

/// Time that does not run backwards by itself, and randomness.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    reached: Mutex<Reached>,
}

/// How late it has been.
#[derive(Debug, Default)]
struct Reached {
    /// The latest instant ever handed out or read from the store. A system clock that is set back does not bring
    /// expired approvals to life again.
    floor: Millis,
    /// Since when the floor has stood, by a clock nobody sets: time goes on from there while the system's is behind.
    since: Option<Instant>,
}

#[derive(Debug)]
enum Source {
    System,
    Virtual { now: AtomicI64, random: Mutex<Stream> },
}

impl Clock {
    /// The machine's clock and the operating system's randomness.
    pub fn system() -> Clock {
        Clock { source: Source::System, reached: Mutex::default() }
    }

    /// A clock that stands at `now` until [`advance`](Clock::advance) moves it, with randomness derived from `seed`.
    pub fn virtual_at(now: Millis, seed: u64) -> Clock {
        let random = Mutex::new(Stream::new(Sha256::digest(seed.to_be_bytes()).into()));
        let source = Source::Virtual { now: AtomicI64::new(now), random };
        Clock { source, reached: Mutex::default() }
    }

    fn reached(&self) -> MutexGuard<'_, Reached> {
        self.reached.lock().expect("no holder panics")
    }

    /// What the machine says.
    fn machine(&self) -> Millis {
        match &self.source {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the time")]
            Source::System => Timestamp::now().as_millisecond(),
            Source::Virtual { now, .. } => now.load(Ordering::SeqCst),
        }
    }

    /// The present instant, never earlier than any instant seen before, unless [`set_back`](Clock::set_back).
    pub fn now(&self) -> Millis {
        let machine = self.machine();
        let mut reached = self.reached();
        if let Source::System = self.source {
            #[expect(clippy::disallowed_methods, reason = "a clock nobody sets")]
            reached.go_on(machine, Instant::now());
        }
        reached.floor = reached.floor.max(machine);
        reached.floor
    }

    /// Tells the clock of an instant found in the store: it will not run below it.
    pub fn raise(&self, seen: Millis) {
        let mut reached = self.reached();
        reached.floor = reached.floor.max(seen);
    }

    /// The host's time and the machine's, where the first is further ahead than clocks drift. Either the machine's clock was wrong
    /// when the host saw the later time, or it is wrong now; nobody can tell, so what ends must be moved before the host's time is set
    /// back, and by as much. A machine whose clock is before this program was written does not know the time, and is not followed.
    pub fn ahead(&self) -> Option<(Millis, Millis)> {
        self.ahead_of(Millis::MIN)
    }

    /// The same where something has seen `latest`, an instant that is not this clock's.
    pub fn ahead_of(&self, latest: Millis) -> Option<(Millis, Millis)> {
        let (now, machine) = (self.now().max(latest), self.machine());
        (machine >= BUILT_MS && now > machine + AHEAD_MS_MAX).then_some((now, machine))
    }

    /// Goes on from `to`, once everything that ends has been moved.
    pub fn set_back(&self, to: Millis) {
        *self.reached() = Reached { floor: to, since: None };
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

impl Reached {
    /// Where the system's time is behind what has been seen, moves that on by as much as has passed since: a clock that was once ahead
    /// does not stop expiries and retries.
    fn go_on(&mut self, system: Millis, tick: Instant) {
        if system >= self.floor {
            self.since = None;
            return;
        }
        let passed = tick.saturating_duration_since(self.since.replace(tick).unwrap_or(tick));
        // Whole milliseconds only: what is left over counts next time.
        let whole = passed.as_millis() as Millis;
        self.since = Some(tick - (passed - Duration::from_millis(whole as u64)));
        self.floor += whole;
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

/// RFC 3339 in UTC, always with three decimals of a second: as text, times sort as they follow one another.
pub fn rfc3339(at: Millis) -> String {
    format!("{:.3}", Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX))
}

/// The same without zeros at the end of the second, as older versions have written it: what they have hashed, or shown to a run that is
/// repeated, stays as it was.
pub fn rfc3339_trimmed(at: Millis) -> String {
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
        let mut reached = Reached { floor: 10_000, since: None };
        let start = Instant::now();
        let mut at = |system: Millis, micros| {
            reached.go_on(system, start + Duration::from_micros(micros));
            reached.floor = reached.floor.max(system);
            reached.floor
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
    fn a_time_that_is_years_ahead_of_a_machine_that_may_be_right_is_noticed_and_can_be_set_back() {
        let today = BUILT_MS + 1_000_000_000;
        let years = 14 * 365 * 24 * 60 * 60 * 1000;
        let clock = Clock::virtual_at(today, 0);
        for drift in [0, 1, AHEAD_MS_MAX] {
            clock.raise(today + drift);
            assert_eq!(clock.ahead(), None, "{drift}");
        }
        clock.raise(today + years);
        assert_eq!(clock.ahead(), Some((today + years, today)));
        assert_eq!(clock.now(), today + years, "not by itself");
        clock.set_back(today);
        assert_eq!((clock.now(), clock.ahead()), (today, None));
        // A machine that has lost the time: its clock begins at 1970.
        let lost = Clock::virtual_at(5_000, 0);
        lost.raise(today);
        assert_eq!((lost.ahead(), lost.now()), (None, today));
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
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(20), "1970-01-01T00:00:00.020Z");
        assert_eq!(
            [rfc3339_trimmed(0), rfc3339_trimmed(20)],
            ["1970-01-01T00:00:00Z", "1970-01-01T00:00:00.02Z"]
        );
        for at in [0, 1, 20, 999, 25_000, BUILT_MS] {
            assert_eq!([parse(&rfc3339(at)), parse(&rfc3339_trimmed(at))], [Some(at); 2]);
        }
    }
}

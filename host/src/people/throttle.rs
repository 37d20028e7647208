//! How often one may try: signing in, and asking at all. Pure, and bounded in memory: what was not heard of for longest leaves first.

use crate::clock::Millis;
use crate::digest::{Digest, Encoder};
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::IpAddr;

/// How many failures in a row cost nothing.
pub const FREE_TRIES_MAX: u32 = 5;
/// The longest wait before another try, in seconds: 15 minutes.
pub const WAIT_SECONDS_MAX: u64 = 15 * 60;
/// How many addresses, and how many names, a [`Throttle`] remembers.
pub const THROTTLED_MAX: usize = 10_000;
/// How many keys a [`Budget`] remembers. One that has left begins anew, with all it may spend.
pub const BUDGETS_MAX: usize = 10_000;

/// For how long a name's failures are remembered while nobody tries: a day. Waiting them out gains less than trying on.
const NAME_MS: Millis = 24 * 60 * 60 * 1000;
/// For how long an address's are, which may belong to many: an hour.
const ADDRESS_MS: Millis = 60 * 60 * 1000;

/// Sign-ins, by where they come from and by whose they are.
#[derive(Debug)]
pub struct Throttle {
    addresses: Recent<IpAddr, Failures>,
    /// By digest: what is typed into the field of a name may be a password.
    names: Recent<Digest, Failures>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_ms: Millis,
}

impl Failures {
    /// From when on one may try again.
    fn until(self) -> Millis {
        match self.count.checked_sub(FREE_TRIES_MAX) {
            None => Millis::MIN,
            Some(beyond) => {
                let seconds = 1u64.checked_shl(beyond).unwrap_or(WAIT_SECONDS_MAX).min(WAIT_SECONDS_MAX);
                self.last_ms.saturating_add(1000 * seconds as Millis)
            }
        }
    }

    fn failed(&mut self, now: Millis) {
        // Enough for the longest wait, and never too many.
        self.count = (self.count + 1).min(FREE_TRIES_MAX + u64::BITS);
        self.last_ms = now;
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { addresses: Recent::new(THROTTLED_MAX), names: Recent::new(THROTTLED_MAX) }
    }
}

impl Throttle {
    /// Begins a try, which counts as failed until [`Throttle::succeeded`] says otherwise: tries made side by side are counted one by
    /// one. What comes in is hostile, and kept as an address and a digest.
    ///
    /// # Errors
    ///
    /// The seconds to wait before the next try. A try that has to wait is not counted.
    pub fn begin(&mut self, from: IpAddr, tenant: &str, name: &str, now: Millis) -> Result<(), u64> {
        let (from, whose) = (place(from), whose(tenant, name));
        let known = |failures: Option<&Failures>, kept_ms: Millis| {
            failures.copied().filter(|known| now < known.last_ms.saturating_add(kept_ms)).unwrap_or_default()
        };
        let mut address = known(self.addresses.get(&from), ADDRESS_MS);
        let mut person = known(self.names.get(&whose), NAME_MS);
        let until = address.until().max(person.until());
        if now < until {
            return Err(seconds(until - now));
        }
        address.failed(now);
        person.failed(now);
        self.addresses.put(from, address);
        self.names.put(whose, person);
        Ok(())
    }

    /// The try was none: the name begins anew, and the address gets this try back.
    pub fn succeeded(&mut self, from: IpAddr, tenant: &str, name: &str) {
        self.names.remove(&whose(tenant, name));
        if let Some(address) = self.addresses.get_mut(&place(from)) {
            address.count = address.count.saturating_sub(1);
        }
    }
}

/// What counts as one address: whoever has one of IPv6 has its whole network of 64 bits.
fn place(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address => address,
    }
}

fn whose(tenant: &str, name: &str) -> Digest {
    let mut out = Encoder::new("countersign/sign-in/v1");
    out.text(tenant).text(name);
    Digest::of(&out.0)
}

/// Whole seconds that are not shorter.
fn seconds(ms: Millis) -> u64 {
    ms.max(0).unsigned_abs().div_ceil(1000)
}

/// So many requests a minute for each key. What was saved up can be spent at once, and comes back evenly.
#[derive(Debug)]
pub struct Budget<K> {
    per_minute: u32,
    spent: Recent<K, Spent>,
}

/// What was left at some time, in parts of a request: [`MINUTE_MS`] of them make one, so that a millisecond brings whole ones.
#[derive(Clone, Copy, Debug)]
struct Spent {
    left: u64,
    at_ms: Millis,
}

const MINUTE_MS: u64 = 60 * 1000;

/// What a key has left, as `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset` and `Retry-After` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests a minute.
    pub limit: u32,
    /// Requests that can follow at once.
    pub remaining: u32,
    /// Seconds until all of them can.
    pub reset: u64,
    /// Seconds until the next one can, where this one could not be had.
    pub retry_after: Option<u64>,
}

impl<K: Clone + Eq + Hash> Budget<K> {
    /// Allows `per_minute` requests, at least one.
    pub fn new(per_minute: u32) -> Budget<K> {
        Budget { per_minute: per_minute.max(1), spent: Recent::new(BUDGETS_MAX) }
    }

    /// Takes one request, if there is one.
    pub fn take(&mut self, key: K, now: Millis) -> Left {
        let rate = u64::from(self.per_minute);
        let full = rate * MINUTE_MS;
        let mut left = match self.spent.get(&key) {
            Some(spent) => {
                let passed = now.saturating_sub(spent.at_ms).max(0).unsigned_abs();
                spent.left.saturating_add(passed.saturating_mul(rate)).min(full)
            }
            None => full,
        };
        let retry_after = match left.checked_sub(MINUTE_MS) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some((MINUTE_MS - left).div_ceil(rate).div_ceil(1000)),
        };
        self.spent.put(key, Spent { left, at_ms: now });
        Left {
            limit: self.per_minute,
            remaining: u32::try_from(left / MINUTE_MS).unwrap_or(self.per_minute),
            reset: (full - left).div_ceil(rate).div_ceil(1000),
            retry_after,
        }
    }
}

/// The values put last, so many at most.
#[derive(Debug)]
struct Recent<K, V> {
    max: usize,
    values: HashMap<K, (u64, V)>,
    /// The keys, by when they were put.
    order: BTreeMap<u64, K>,
    puts: u64,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    fn new(max: usize) -> Recent<K, V> {
        Recent { max, values: HashMap::new(), order: BTreeMap::new(), puts: 0 }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.values.get_mut(key).map(|(_, value)| value)
    }

    fn put(&mut self, key: K, value: V) {
        self.puts += 1;
        if let Some((before, _)) = self.values.insert(key.clone(), (self.puts, value)) {
            self.order.remove(&before);
        }
        self.order.insert(self.puts, key);
        if self.values.len() > self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.values.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some((put, _)) = self.values.remove(key) {
            self.order.remove(&put);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn there(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn after_five_failures_in_a_row_each_further_try_waits_twice_as_long_up_to_fifteen_minutes() {
        let (mut throttle, mut now) = (Throttle::default(), 1_000_000);
        for _ in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(HERE, "main", "ann", now), Ok(()));
        }
        for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
            // Trying too early neither helps nor makes it longer.
            assert_eq!(throttle.begin(HERE, "main", "ann", now), Err(wait));
            now += 1000 * wait as Millis - 1;
            assert_eq!(throttle.begin(HERE, "main", "ann", now), Err(1));
            now += 1;
            assert_eq!(throttle.begin(HERE, "main", "ann", now), Ok(()));
        }
    }

    #[test]
    fn a_name_waits_wherever_it_is_tried_from_and_an_address_whoever_it_tries() {
        let mut throttle = Throttle::default();
        for number in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(there(number), "main", "ann", 0), Ok(()));
            assert_eq!(throttle.begin(HERE, "main", &format!("p{number}"), 0), Ok(()));
        }
        assert_eq!(throttle.begin(there(99), "main", "ann", 0), Err(1));
        assert_eq!(throttle.begin(HERE, "main", "p99", 0), Err(1));
        assert_eq!(throttle.begin(there(99), "main", "p99", 0), Ok(()));
        assert_eq!(throttle.begin(there(98), "other", "ann", 0), Ok(()));
        assert_eq!(throttle.begin(there(97), "mai", "nann", 0), Ok(()));
    }

    #[test]
    fn success_begins_the_name_anew_and_not_the_address() {
        let mut throttle = Throttle::default();
        for number in 0..FREE_TRIES_MAX - 1 {
            assert_eq!(throttle.begin(HERE, "main", "ann", 0), Ok(()), "{number}");
        }
        assert_eq!(throttle.begin(HERE, "main", "ann", 0), Ok(()));
        throttle.succeeded(HERE, "main", "ann");
        for number in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(there(number), "main", "ann", 0), Ok(()));
        }
        // Four failures and the try that was none: one is left.
        assert_eq!(throttle.begin(HERE, "main", "bob", 0), Ok(()));
        assert_eq!(throttle.begin(HERE, "main", "bob", 0), Err(1));
    }

    #[test]
    fn a_name_is_forgotten_after_a_quiet_day_and_an_address_after_a_quiet_hour() {
        let mut throttle = Throttle::default();
        let mut tries =
            |now| (0..).take_while(|_| throttle.begin(HERE, "main", "ann", now).is_ok()).count() as u32;
        assert_eq!(tries(0), FREE_TRIES_MAX);
        assert_eq!(tries(ADDRESS_MS), 1);
        // The address is new, the name is not.
        assert_eq!(tries(ADDRESS_MS + NAME_MS - 1), 1);
        assert_eq!(tries(ADDRESS_MS + 2 * NAME_MS - 1), FREE_TRIES_MAX);
    }

    #[test]
    fn all_addresses_of_one_network_are_one() {
        let mut throttle = Throttle::default();
        for number in 0..FREE_TRIES_MAX {
            let from = format!("2001:db8:1:2:{number}::1").parse().unwrap();
            assert_eq!(throttle.begin(from, "main", &format!("p{number}"), 0), Ok(()));
        }
        assert_eq!(throttle.begin("2001:db8:1:2:ffff::".parse().unwrap(), "main", "ann", 0), Err(1));
        assert_eq!(throttle.begin("2001:db8:1:3::1".parse().unwrap(), "main", "ann", 0), Ok(()));
        for number in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(HERE, "main", &format!("q{number}"), 0), Ok(()));
        }
        assert_eq!(throttle.begin("::ffff:192.0.2.1".parse().unwrap(), "main", "bob", 0), Err(1));
    }

    #[test]
    fn what_was_not_heard_of_for_longest_leaves_first_and_memory_stays_bounded() {
        let mut throttle = Throttle::default();
        let all = THROTTLED_MAX as u32;
        for _ in 0..FREE_TRIES_MAX {
            throttle.begin(there(0), "main", "0", 0).unwrap();
            throttle.begin(there(1), "main", "1", 0).unwrap();
        }
        assert_eq!(throttle.begin(there(0), "main", "0", 0), Err(1));
        for number in 2..all + 1 {
            throttle.begin(there(number), "main", &number.to_string(), 0).unwrap();
        }
        // One more than there is room for: the first has left, the second has not.
        assert_eq!(throttle.begin(there(1), "main", "1", 0), Err(1));
        assert_eq!(throttle.begin(there(0), "main", "0", 0), Ok(()));
        for number in 0..2 * all {
            let _ = throttle.begin(there(number), "main", &number.to_string(), 0);
        }
        for (values, order) in [
            (throttle.addresses.values.len(), throttle.addresses.order.len()),
            (throttle.names.values.len(), throttle.names.order.len()),
        ] {
            assert_eq!((values, order), (THROTTLED_MAX, THROTTLED_MAX));
        }
    }

    #[test]
    fn a_budget_is_spent_at_once_and_comes_back_evenly() {
        let mut budget = Budget::new(60);
        for spent in 1..=60 {
            let left = Left { limit: 60, remaining: 60 - spent, reset: spent.into(), retry_after: None };
            assert_eq!(budget.take("ann", 0), left);
        }
        let none = Left { limit: 60, remaining: 0, reset: 60, retry_after: Some(1) };
        assert_eq!(budget.take("ann", 0), none);
        assert_eq!(budget.take("ann", 999), none);
        assert_eq!(budget.take("bob", 999).remaining, 59);
        assert_eq!(budget.take("ann", 1000), Left { retry_after: None, ..none });
        assert_eq!(budget.take("ann", 1000), none);
        // An hour saves up no more than a minute.
        assert_eq!(budget.take("ann", 3_600_000).remaining, 59);
    }

    #[test]
    fn a_budget_says_how_long_the_next_request_takes_to_come() {
        let mut budget = Budget::new(2);
        assert_eq!(budget.take((), 0).retry_after, None);
        assert_eq!(budget.take((), 0).retry_after, None);
        assert_eq!(budget.take((), 0).retry_after, Some(30));
        assert_eq!(budget.take((), 29_999).retry_after, Some(1));
        assert_eq!(budget.take((), 30_000).retry_after, None);
        let mut least = Budget::new(0);
        assert_eq!((least.take((), 0).limit, least.take((), 0).retry_after), (1, Some(60)));
    }

    #[test]
    fn a_budget_remembers_so_many_keys() {
        let mut budget = Budget::new(1);
        for key in 0..2 * BUDGETS_MAX {
            budget.take(key, 0);
        }
        assert_eq!((budget.spent.values.len(), budget.spent.order.len()), (BUDGETS_MAX, BUDGETS_MAX));
        assert!(budget.take(BUDGETS_MAX, 0).retry_after.is_some());
        assert!(budget.take(0, 0).retry_after.is_none());
    }

    proptest! {
        /// However one times them: a name is tried five times, and from then on each try waits for the one before.
        #[test]
        fn tries_of_one_name_lie_as_far_apart_as_they_must(steps in prop::collection::vec((0..2_000_000i64, 0..50u32), 1..200)) {
            let (mut throttle, mut now, mut tried) = (Throttle::default(), 0, Vec::new());
            for (step, from) in steps {
                now += step;
                if throttle.begin(there(from), "main", "ann", now).is_ok() {
                    tried.push(now);
                }
            }
            for (number, pair) in tried.windows(2).enumerate().skip(FREE_TRIES_MAX as usize - 1) {
                let seconds = 2i64.pow((number as u32 + 1 - FREE_TRIES_MAX).min(10)).min(900);
                prop_assert!(pair[1] - pair[0] >= 1000 * seconds, "try {} after {} ms", number + 2, pair[1] - pair[0]);
            }
        }

        /// No stretch of time holds more requests than were saved up and have come back in it, and one who keeps to what they
        /// are told is never turned away.
        #[test]
        fn a_budget_gives_what_it_says_and_no_more(per_minute in 1..2_000u32, steps in prop::collection::vec(0..3_000i64, 1..300)) {
            let (mut budget, mut now, mut taken) = (Budget::new(per_minute), 0, Vec::new());
            for step in steps {
                now += step;
                let left = budget.take((), now);
                prop_assert!(left.remaining <= per_minute && left.reset <= 60);
                match left.retry_after {
                    None => taken.push(now),
                    Some(seconds) => {
                        now += 1000 * seconds as Millis;
                        prop_assert_eq!(budget.take((), now).retry_after, None);
                        taken.push(now);
                    }
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, until) in taken.iter().enumerate().skip(first) {
                    let count = (last - first + 1) as i64 * 60_000;
                    prop_assert!(count <= i64::from(per_minute) * (60_000 + until - from));
                }
            }
        }
    }
}

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
/// How many tries at one name may come in an hour from places nobody of that name has signed in from: all strangers together.
pub const STRANGERS_PER_HOUR_MAX: u32 = 300;
/// How many addresses, names, and browsers or addresses of people a [`Throttle`] remembers of each.
pub const THROTTLED_MAX: usize = 10_000;
/// How many keys a [`Budget`] remembers. One that has left begins anew, with all it may spend.
pub const BUDGETS_MAX: usize = 10_000;

/// For how long failures are remembered while nobody tries from there: an hour. Many may share an address.
const PLACE_MS: Millis = 60 * 60 * 1000;

/// Sign-ins. Strangers are slowed by where they come from, and all together at each name; who shows that they have signed in before
/// is slowed by their own failures alone. So no stranger can make somebody wait who comes with a browser they know, or from an address
/// they have signed in from since this process began.
#[derive(Debug)]
pub struct Throttle {
    addresses: Recent<IpAddr, Failures>,
    /// By digest of what a browser shows that has signed in before, for this name.
    browsers: Recent<Digest, Failures>,
    /// Where people have signed in from: addresses and names.
    known: Recent<(IpAddr, Digest), ()>,
    /// Strangers at one name. By digest: what is typed into the field of a name may be a password.
    names: Budget<Digest>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last_ms: Millis,
}

impl Failures {
    /// What is known of somebody, as far as it is still remembered.
    fn remembered(known: Option<&Failures>, now: Millis) -> Failures {
        known.copied().filter(|known| now < known.last_ms.saturating_add(PLACE_MS)).unwrap_or_default()
    }

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

    /// The same with one failure more, unless that has to wait: then the seconds to wait.
    fn and_one(self, now: Millis) -> Result<Failures, u64> {
        if now < self.until() {
            return Err(seconds(self.until() - now));
        }
        // Enough for the longest wait, and never too many.
        Ok(Failures { count: (self.count + 1).min(FREE_TRIES_MAX + u64::BITS), last_ms: now })
    }
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle {
            addresses: Recent::new(THROTTLED_MAX),
            browsers: Recent::new(THROTTLED_MAX),
            known: Recent::new(THROTTLED_MAX),
            names: Budget::an_hour(STRANGERS_PER_HOUR_MAX),
        }
    }
}

/// Who tries to sign in, and from where. All of it but the address is hostile.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// The address the tries come from.
    pub from: IpAddr,
    /// What a browser shows that has signed in as this very person, and nobody else can; somebody has looked that it is theirs.
    pub browser: Option<Digest>,
    /// The tenant the name belongs to.
    pub tenant: &'a str,
    /// The name that was typed.
    pub name: &'a str,
}

impl Throttle {
    /// Begins a try, which counts as failed until [`Throttle::succeeded`] says otherwise: tries made side by side are counted one by
    /// one.
    ///
    /// # Errors
    ///
    /// The seconds to wait before the next try. A try that has to wait is not counted.
    pub fn begin(&mut self, tried: Tried<'_>, now: Millis) -> Result<(), u64> {
        if let Some(browser) = tried.browser {
            let failures = Failures::remembered(self.browsers.get(&browser), now).and_one(now)?;
            self.browsers.put(browser, failures);
            return Ok(());
        }
        let (from, whose) = (place(tried.from), whose(tried.tenant, tried.name));
        let failures = Failures::remembered(self.addresses.get(&from), now).and_one(now)?;
        if self.known.get(&(from, whose)).is_none()
            && let Some(wait) = self.names.take(whose, now).retry_after
        {
            return Err(wait);
        }
        self.addresses.put(from, failures);
        Ok(())
    }

    /// The try was none: the browser begins anew, or the address gets this try back; and the address is one they sign in from.
    pub fn succeeded(&mut self, tried: Tried<'_>) {
        let (from, whose) = (place(tried.from), whose(tried.tenant, tried.name));
        match tried.browser {
            Some(browser) => self.browsers.remove(&browser),
            None => {
                if let Some(address) = self.addresses.get_mut(&from) {
                    address.count = address.count.saturating_sub(1);
                }
            }
        }
        self.known.put((from, whose), ());
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

/// So many requests a minute, or an hour, for each key. What was saved up can be spent at once, and comes back evenly.
#[derive(Debug)]
pub struct Budget<K> {
    most: u32,
    /// In how many milliseconds they come back.
    within: u64,
    spent: Recent<K, Spent>,
}

/// What was left at some time, in parts of a request: as many as the budget has milliseconds make one, so that a millisecond brings
/// whole ones.
#[derive(Clone, Copy, Debug)]
struct Spent {
    left: u64,
    at_ms: Millis,
}

const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a key has left, as `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset` and `Retry-After` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Requests a minute, or an hour.
    pub limit: u32,
    /// Requests that can follow at once.
    pub remaining: u32,
    /// Seconds until all of them can.
    pub reset: u64,
    /// Seconds until the next one can, where this one could not be had.
    pub retry_after: Option<u64>,
}

impl<K: Clone + Eq + Hash> Budget<K> {
    /// Allows `most` requests a minute, at least one.
    pub fn new(most: u32) -> Budget<K> {
        Budget { most: most.max(1), within: MINUTE_MS, spent: Recent::new(BUDGETS_MAX) }
    }

    /// Allows `most` requests an hour, at least one.
    pub fn an_hour(most: u32) -> Budget<K> {
        Budget { within: HOUR_MS, ..Budget::new(most) }
    }

    /// Takes one request, if there is one.
    pub fn take(&mut self, key: K, now: Millis) -> Left {
        let (rate, one) = (u64::from(self.most), self.within);
        let full = rate * one;
        let mut left = match self.spent.get(&key) {
            Some(spent) => {
                let passed = now.saturating_sub(spent.at_ms).max(0).unsigned_abs();
                spent.left.saturating_add(passed.saturating_mul(rate)).min(full)
            }
            None => full,
        };
        let retry_after = match left.checked_sub(one) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some((one - left).div_ceil(rate).div_ceil(1000)),
        };
        self.spent.put(key, Spent { left, at_ms: now });
        Left {
            limit: self.most,
            remaining: u32::try_from(left / one).unwrap_or(self.most),
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

    fn strange(from: IpAddr, name: &str) -> Tried<'_> {
        Tried { from, browser: None, tenant: "main", name }
    }

    fn with(browser: u8, from: IpAddr, name: &str) -> Tried<'_> {
        Tried { browser: Some(Digest([browser; 32])), ..strange(from, name) }
    }

    #[test]
    fn after_five_failures_in_a_row_each_further_try_waits_twice_as_long_up_to_fifteen_minutes() {
        for tried in [strange(HERE, "ann"), with(1, HERE, "ann")] {
            let (mut throttle, mut now) = (Throttle::default(), 1_000_000);
            for _ in 0..FREE_TRIES_MAX {
                assert_eq!(throttle.begin(tried, now), Ok(()));
            }
            for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
                // Trying too early neither helps nor makes it longer.
                assert_eq!(throttle.begin(tried, now), Err(wait));
                now += 1000 * wait as Millis - 1;
                assert_eq!(throttle.begin(tried, now), Err(1));
                now += 1;
                assert_eq!(throttle.begin(tried, now), Ok(()));
            }
        }
    }

    #[test]
    fn an_address_waits_whoever_it_tries_and_a_name_does_not_wait_for_what_came_from_elsewhere() {
        let mut throttle = Throttle::default();
        for number in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(strange(there(1), "ann"), 0), Ok(()));
            assert_eq!(throttle.begin(strange(HERE, &format!("p{number}")), 0), Ok(()));
        }
        assert_eq!(throttle.begin(strange(there(1), "ann"), 0), Err(1));
        assert_eq!(throttle.begin(strange(HERE, "p99"), 0), Err(1));
        assert_eq!(throttle.begin(strange(there(2), "ann"), 0), Ok(()));
    }

    #[test]
    fn strangers_have_so_many_tries_an_hour_at_a_name_and_do_not_keep_its_owner_out() {
        let mut throttle = Throttle::default();
        // Ann has been here, and has a browser she knows.
        throttle.begin(strange(HERE, "ann"), 0).unwrap();
        throttle.succeeded(strange(HERE, "ann"));
        let left = STRANGERS_PER_HOUR_MAX - 1;
        for number in 0..left {
            assert_eq!(throttle.begin(strange(there(number), "ann"), 0), Ok(()), "{number}");
        }
        let next = Err(HOUR_MS / 1000 / u64::from(STRANGERS_PER_HOUR_MAX));
        assert_eq!(throttle.begin(strange(there(left), "ann"), 0), next);
        // Another tenant's, and another name, are other people's.
        assert_eq!(throttle.begin(Tried { tenant: "other", ..strange(there(left), "ann") }, 0), Ok(()));
        assert_eq!(throttle.begin(Tried { tenant: "mai", ..strange(there(left), "nann") }, 0), Ok(()));
        for _ in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(with(1, there(left), "ann"), 0), Ok(()));
            assert_eq!(throttle.begin(strange(HERE, "ann"), 0), Ok(()));
        }
        // Of a stranger who has found out which browser or address that is no more is borne than of any other.
        assert_eq!(throttle.begin(with(1, HERE, "ann"), 0), Err(1));
        assert_eq!(throttle.begin(strange(HERE, "ann"), 0), Err(1));
    }

    #[test]
    fn a_known_browser_is_not_kept_out_by_who_shares_its_address() {
        let mut throttle = Throttle::default();
        while throttle.begin(strange(HERE, "ann"), 0).is_ok() {}
        assert_eq!(throttle.begin(with(1, HERE, "ann"), 0), Ok(()));
    }

    #[test]
    fn success_gives_back_its_own_try_and_no_other() {
        let mut throttle = Throttle::default();
        for _ in 0..FREE_TRIES_MAX {
            throttle.begin(strange(HERE, "ann"), 0).unwrap();
            throttle.begin(with(1, HERE, "ann"), 0).unwrap();
        }
        throttle.succeeded(strange(HERE, "ann"));
        assert_eq!(throttle.begin(strange(HERE, "bob"), 0), Ok(()));
        assert_eq!(throttle.begin(strange(HERE, "bob"), 0), Err(1));
        assert_eq!(throttle.begin(with(1, HERE, "ann"), 0), Err(1));
        throttle.succeeded(with(1, HERE, "ann"));
        assert_eq!(throttle.begin(with(1, HERE, "ann"), 0), Ok(()));
    }

    #[test]
    fn a_place_is_forgotten_after_a_quiet_hour() {
        for tried in [strange(HERE, "ann"), with(1, HERE, "ann")] {
            let mut throttle = Throttle::default();
            let mut tries = |now| (0..).take_while(|_| throttle.begin(tried, now).is_ok()).count() as u32;
            assert_eq!(tries(0), FREE_TRIES_MAX);
            assert_eq!(tries(PLACE_MS - 1), 1);
            assert_eq!(tries(2 * PLACE_MS - 1), FREE_TRIES_MAX);
        }
    }

    #[test]
    fn all_addresses_of_one_network_are_one() {
        let mut throttle = Throttle::default();
        for number in 0..FREE_TRIES_MAX {
            let from = format!("2001:db8:1:2:{number}::1").parse().unwrap();
            assert_eq!(throttle.begin(strange(from, &format!("p{number}")), 0), Ok(()));
        }
        assert_eq!(throttle.begin(strange("2001:db8:1:2:ffff::".parse().unwrap(), "ann"), 0), Err(1));
        assert_eq!(throttle.begin(strange("2001:db8:1:3::1".parse().unwrap(), "ann"), 0), Ok(()));
        for number in 0..FREE_TRIES_MAX {
            assert_eq!(throttle.begin(strange(HERE, &format!("q{number}")), 0), Ok(()));
        }
        assert_eq!(throttle.begin(strange("::ffff:192.0.2.1".parse().unwrap(), "bob"), 0), Err(1));
    }

    #[test]
    fn what_was_not_heard_of_for_longest_leaves_first_and_memory_stays_bounded() {
        let mut throttle = Throttle::default();
        let all = THROTTLED_MAX as u32;
        for _ in 0..FREE_TRIES_MAX {
            throttle.begin(strange(there(0), "0"), 0).unwrap();
            throttle.begin(strange(there(1), "1"), 0).unwrap();
        }
        assert_eq!(throttle.begin(strange(there(0), "0"), 0), Err(1));
        for number in 2..all + 1 {
            throttle.begin(strange(there(number), &number.to_string()), 0).unwrap();
        }
        // One more than there is room for: the first has left, the second has not.
        assert_eq!(throttle.begin(strange(there(1), "1"), 0), Err(1));
        assert_eq!(throttle.begin(strange(there(0), "0"), 0), Ok(()));
        for number in 0..2 * all {
            let name = number.to_string();
            let _ = throttle.begin(strange(there(number), &name), 0);
            let browser = Digest::of(name.as_bytes());
            let known = Tried { browser: Some(browser), ..strange(there(number), &name) };
            throttle.succeeded(known);
            let _ = throttle.begin(known, 0);
        }
        for (values, order) in [
            (throttle.addresses.values.len(), throttle.addresses.order.len()),
            (throttle.browsers.values.len(), throttle.browsers.order.len()),
            (throttle.known.values.len(), throttle.known.order.len()),
            (throttle.names.spent.values.len(), throttle.names.spent.order.len()),
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
        /// However one times them: from one address it is tried five times, and from then on each try waits for the one before.
        #[test]
        fn tries_from_one_address_lie_as_far_apart_as_they_must(steps in prop::collection::vec((0..2_000_000i64, 0..50u32), 1..200)) {
            let (mut throttle, mut now, mut tried) = (Throttle::default(), 0, Vec::new());
            for (step, name) in steps {
                now += step;
                if throttle.begin(strange(HERE, &name.to_string()), now).is_ok() {
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

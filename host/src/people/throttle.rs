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

//! A mailbox that fails when it is told to, and a way out on which messages fare as they are told to, so that authors see how their
//! agents meet it.

use crate::approval::outbox::Outcome;
use crate::authority::Permit;
use crate::tools::messages::{Delivering, Failed, Listing, Mailbox, Parcel, Query, Transport};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stands before a mailbox. Fails as many calls as it was told to, and passes the others on.
pub struct Rehearsal<M> {
    mailbox: M,
    failures: AtomicUsize,
}

impl<M> Rehearsal<M> {
    /// Passes every call on to `mailbox`.
    pub fn before(mailbox: M) -> Rehearsal<M> {
        Rehearsal { mailbox, failures: AtomicUsize::new(0) }
    }

    /// Fails so many of the next calls.
    pub fn fail(&self, calls: usize) {
        self.failures.store(calls, Ordering::Relaxed);
    }

    /// How many of them have not failed yet.
    pub fn left(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }
}

impl<M: Mailbox> Mailbox for Rehearsal<M> {
    fn list<'a>(&'a self, permit: Permit, tenant: &'a str, user: &'a str, query: Query) -> Listing<'a> {
        let left = |failures: usize| failures.checked_sub(1);
        if self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
            let error = anyhow::anyhow!("as rehearsed");
            return Box::pin(std::future::ready(Err(Failed::Outside(error))));
        }
        self.mailbox.list(permit, tenant, user, query)
    }
}

/// A way out on which attempts end as they were told to, one after another; after the last of them, every message is taken.
pub struct Rehearsed(Mutex<VecDeque<Outcome>>);

impl Rehearsed {
    /// Ends attempts so.
    pub fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Rehearsed {
        Rehearsed(Mutex::new(outcomes.into_iter().collect()))
    }
}

impl Transport for Rehearsed {
    fn deliver<'a>(&'a self, _: &'a Parcel) -> Delivering<'a> {
        let told = self.0.lock().expect("no holder panics").pop_front();
        let outcome = told.unwrap_or_else(|| Outcome::Sent { said: "taken, as rehearsed".into() });
        Box::pin(std::future::ready(outcome))
    }
}

//! A mailbox that fails when it is told to, so that authors see how their agents meet it.

use crate::authority::Permit;
use crate::tools::messages::{Failed, Listing, Mailbox, Query};
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

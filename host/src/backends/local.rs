//! The embedded mailbox: mail lies in the store, and leaves by becoming a sent row of it.

use crate::approval::outbox::Outcome;
use crate::authority::Permit;
use crate::store::Store;
use crate::tools::messages::{Delivering, Failed, Listing, Mailbox, Parcel, Query, Transport};
use std::sync::Arc;

/// The embedded mailbox of every user.
pub struct Local(pub Arc<Store>);

impl Mailbox for Local {
    fn list<'a>(&'a self, permit: Permit, tenant: &'a str, user: &'a str, query: Query) -> Listing<'a> {
        // A local read takes microseconds; handing it to another thread would take longer.
        let found = self.0.mail(tenant, user, permit.scope(), &query);
        let found = found.map_err(|error| Failed::Fault(error.into()));
        Box::pin(std::future::ready(found))
    }
}

/// Stands where a user has no way out, for a message that was queued while they had one: it goes nowhere, and waits for the way to come back.
/// That it lies in the embedded mailbox is not that it has left.
pub struct Nowhere {
    /// Whose.
    pub user: String,
}

impl Transport for Nowhere {
    fn deliver<'a>(&'a self, _: &'a Parcel) -> Delivering<'a> {
        let why = format!(
            "{} has no way out for mail here: write `users.{}.send` in the configuration, or name the file that has it",
            self.user, self.user
        );
        Box::pin(std::future::ready(Outcome::NotSent { why, again: true, rejected: Vec::new() }))
    }
}

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

/// For a message that was queued while another way out was configured: its row is its place among the sent ones.
impl Transport for Local {
    fn deliver<'a>(&'a self, _: &'a Parcel) -> Delivering<'a> {
        Box::pin(std::future::ready(Outcome::Sent { said: "the embedded mailbox has it".into() }))
    }
}

//! The embedded mailbox: mail lies in the store, and leaves by becoming a sent row of it.

use crate::authority::Permit;
use crate::store::Store;
use crate::tools::messages::{Failed, Listing, Mailbox, Query};
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

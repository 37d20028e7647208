//! The messages room: list mail, and send what a person has signed.

mod host;
mod mailbox;
pub mod rules;
mod transport;

pub(crate) use host::message_of;
pub use mailbox::{Failed, Listing, Mail, Mailbox, Query};
pub use transport::{Delivering, Parcel, Transport};

use super::{HasTools, Identity, Room, bindings};
use crate::approval::{Approval, Policy};
use crate::authority::{Authority, Call, Capability, Kind};
use crate::journal::Journal;
use wasmtime::component::{HasData, Linker};

/// `messages.list`
pub const LIST: Call =
    Call { name: "messages.list", kind: Kind::Read, capability: Some(Capability::MessagesRead) };
/// `messages.send`
pub const SEND: Call =
    Call { name: "messages.send", kind: Kind::Guarded, capability: Some(Capability::MessagesSend) };

pub(super) const ROOM: Room = Room { import: "countersign:messages/messages", calls: &[LIST, SEND] };

/// All that this room can reach while it answers one call.
pub struct View<'a> {
    authority: &'a Authority,
    identity: &'a Identity,
    journal: &'a mut Journal,
    approvals: &'a mut Vec<Approval>,
    policy: &'a Policy,
    leaves_at_once: bool,
    mailbox: &'a dyn Mailbox,
}

struct Messages;

impl HasData for Messages {
    type Data<'a> = View<'a>;
}

pub(super) fn link<T: HasTools>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    fn view<T: HasTools>(data: &mut T) -> View<'_> {
        let tools = data.tools();
        View {
            authority: &tools.authority,
            identity: &tools.identity,
            journal: &mut tools.journal,
            approvals: &mut tools.approvals,
            policy: &tools.policy,
            leaves_at_once: tools.leaves_at_once,
            mailbox: &*tools.mailbox,
        }
    }
    bindings::types::add_to_linker::<T, Messages>(linker, view)?;
    bindings::messages::messages::add_to_linker::<T, Messages>(linker, view)
}

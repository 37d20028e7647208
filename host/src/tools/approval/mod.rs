//! The approval room: ask a person, and wait as long as it takes.

mod host;

use super::{HasTools, Room, bindings};
use crate::approval::Approval;
use crate::authority::{Call, Kind};
use crate::journal::Journal;
use wasmtime::component::{HasData, Linker};

/// `approval.request`
pub const REQUEST: Call = Call { name: "approval.request", kind: Kind::Read, capability: None };
/// `approval.result`
pub const RESULT: Call = Call { name: "approval.result", kind: Kind::Read, capability: None };

pub(super) const ROOM: Room = Room { import: "countersign:approval/approval", calls: &[REQUEST, RESULT] };

/// All that this room can reach while it answers one call.
pub struct View<'a> {
    journal: &'a mut Journal,
    approvals: &'a [Approval],
}

struct Approvals;

impl HasData for Approvals {
    type Data<'a> = View<'a>;
}

pub(super) fn link<T: HasTools>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    fn view<T: HasTools>(data: &mut T) -> View<'_> {
        let tools = data.tools();
        View { journal: &mut tools.journal, approvals: &tools.approvals }
    }
    bindings::approval::approval::add_to_linker::<T, Approvals>(linker, view)
}

pub use host::{answer, too_many};

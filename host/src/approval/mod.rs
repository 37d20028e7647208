//! A person's answer about one action.
//!
//! `action` is the canonical form of what would leave; everything that is shown, signed, stored or sent comes from it.
//! `binding` fixes, when the agent asks, what the answer will be about, and judges every later send by that alone.
//! `decision` is the life of an approval, `outbox` that of the message it armed: pure machines, applied by the store
//! in one transaction. `body` reads what an agent wrote, makes what leaves of it and draws it; `letter` renders the action to the
//! bytes of a mail.

pub mod action;
pub mod binding;
pub mod body;
pub mod context;
pub mod decision;
pub mod four_eyes;
pub mod gist;
pub mod letter;
pub mod link;
pub mod linked;
pub mod names;
pub mod notices;
pub mod outbox;
pub mod policy;
pub mod repeats;
pub mod words;

pub use crate::address;
pub use action::{Action, BodyKind, Version};
pub use binding::Binding;
pub use policy::{PENDING_MS, Policy};
pub use words::Words;

use crate::clock::Millis;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// How many approvals of one agent may wait for the same person, where the operator does not say.
pub const PENDING_PER_AGENT: u32 = 20;
/// The most the operator can say.
pub const PENDING_PER_AGENT_MAX: u16 = 1_000;
/// How often the same message may be asked about without a yes, within [`REPEATS_MS`].
pub const REPEATS_MAX: u32 = 3;
/// How long asks for the same message are counted: 30 days.
pub const REPEATS_MS: Millis = 30 * 24 * 60 * 60 * 1000;
/// How long a message that was declined is not asked about again: 24 hours.
pub const DECLINED_MS: Millis = 24 * 60 * 60 * 1000;
/// How many approvals one run may ask for.
pub const ASKS_PER_RUN_MAX: usize = 64;

/// One approval as its run and its judge see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// `appr_…`
    pub id: String,
    /// Where it is in its life.
    pub state: decision::State,
    /// What the person answered, if they have. It stays, whatever becomes of the approval afterwards.
    pub verdict: Option<Verdict>,
    /// What the answer is about.
    pub binding: Binding,
    /// The digest the person decides on.
    pub digest: Digest,
    /// What the agent would send; `None` while only the question is known. A send is compared with it.
    pub action: Option<Action>,
    /// What leaves in its place, where a person has changed it.
    pub edited: Option<Action>,
    /// What the agent said.
    pub words: Words,
    /// When the agent asked.
    pub asked_ms: Millis,
    /// From when on it can neither be decided nor used.
    pub expires_ms: Millis,
    /// Whether the operator allows less now than when it was asked or answered: then it lets nothing leave.
    pub outdated: bool,
}

impl Approval {
    /// Whether it was asked by an earlier version and its body has no one drawing, so that nobody can sign what its reader sees.
    /// Where a person has said yes already, it leaves as it was signed.
    pub fn has_to_be_asked_again(&self) -> bool {
        self.state == decision::State::Pending
            && self.leaving().is_some_and(|action| !action.has_one_drawing())
    }

    /// What leaves if the answer is yes.
    pub fn leaving(&self) -> Option<&Action> {
        self.edited.as_ref().or(self.action.as_ref())
    }
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let exactly this leave.
    Approve,
    /// Let nothing leave.
    Decline,
}

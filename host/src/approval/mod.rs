//! A person's answer about one action.
//!
//! `action` is the canonical form of what would leave; everything that is shown, signed, stored or sent comes from it.
//! `binding` fixes, when the agent asks, what the answer will be about, and judges every later send by that alone.
//! `decision` is the life of an approval, `outbox` that of the message it armed: pure machines, applied by the store
//! in one transaction. `letter` renders the action to the bytes of a mail.

pub mod action;
pub mod address;
pub mod binding;
pub mod decision;
pub mod letter;
pub mod outbox;
pub mod words;

pub use action::{Action, BodyKind};
pub use binding::Binding;
pub use words::Words;

use crate::clock::Millis;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// How long an approval may stay undecided, and an approved message unused: 72 hours.
pub const PENDING_MS: Millis = 72 * 60 * 60 * 1000;
/// How many approvals of one agent may be pending.
pub const PENDING_PER_AGENT_MAX: u32 = 20;
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
    /// What leaves if the answer is yes; `None` while only the question is known.
    pub action: Option<Action>,
    /// What the agent said.
    pub words: Words,
    /// When the agent asked.
    pub asked_ms: Millis,
    /// From when on it can neither be decided nor used.
    pub expires_ms: Millis,
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let exactly this leave.
    Approve,
    /// Let nothing leave.
    Decline,
}

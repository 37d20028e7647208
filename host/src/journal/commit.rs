//! What becomes durable together.

use super::Entry;
use crate::approval::repeats::Repeat;
use crate::approval::{Action, Binding, Words};
use crate::clock::Millis;
use crate::digest::Digest;
use crate::intent::{Reason, Status};
use std::future::Future;
use std::pin::Pin;

/// One transaction of one run: the answers since the last one, and what they did.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The run's intent.
    pub intent: String,
    /// The generation the run believes to own; the commit is void if it has moved on.
    pub generation: u64,
    /// Number of the first of `entries`.
    pub first: usize,
    /// Answers that are not durable yet.
    pub entries: Vec<Entry>,
    /// When.
    pub at_ms: Millis,
    /// What happens with them.
    pub change: Change,
}

/// What happens to the rest of the world when a commit lands.
#[derive(Clone, Debug)]
pub enum Change {
    /// A signed message leaves.
    Release {
        /// The approval that armed it.
        approval: String,
        /// Its name in the mailbox.
        message: String,
    },
    /// A signed message is about to be handed over, and the run is put down until it has been.
    Send {
        /// The approval that armed it.
        approval: String,
        /// Its name.
        message: String,
        /// The arguments of the send that waits, as recorded.
        request: String,
        /// What it answers if the message leaves.
        answer: String,
        /// For how long it is offered to a server that does not take it for now.
        retry_ms: Millis,
        /// What the run has printed so far.
        log: String,
        /// Fuel used since the run began.
        fuel: u64,
    },
    /// A signed message will not leave: the agent did something else.
    Disarm {
        /// The approval that armed it.
        approval: String,
    },
    /// The run is put down until a person has decided; or first, where they are asked enough already, until they may be asked.
    Ask {
        /// The approval to decide.
        approval: Box<NewApproval>,
        /// What the branch read after the ask: on yes the run's journal, on no deleted.
        suffix: Vec<Entry>,
        /// The hold that is used up by a parked send.
        uses: Option<String>,
        /// How many approvals of the agent may wait for the same person, this one included.
        pending_max: u32,
        /// What the run has printed so far.
        log: String,
        /// Fuel used since the run began.
        fuel: u64,
    },
    /// The run ends.
    End {
        /// How.
        status: Status,
        /// Its card.
        card: Option<serde_json::Value>,
        /// Why it was stopped.
        reason: Option<Reason>,
        /// What it printed.
        log: String,
        /// Fuel used since it began.
        fuel: u64,
    },
}

/// An approval about to be asked.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// `appr_…`
    pub id: String,
    /// What the answer will be about.
    pub binding: Binding,
    /// What the person decides on.
    pub digest: Digest,
    /// What leaves on yes.
    pub action: Option<Action>,
    /// Names what leaves by what is seen of it: [`drawn`](crate::approval::repeats::drawn). Whoever asks works it out, not the one thread
    /// that writes for all.
    pub drawn: Option<Digest>,
    /// What the agent said.
    pub words: Words,
    /// The call that waits for the answer; `None` for a parked send, which is judged again instead.
    pub ask: Option<Ask>,
    /// When the agent asked.
    pub asked_ms: Millis,
    /// From when on nobody can decide.
    pub expires_ms: Millis,
    /// What the operator allows, by its number in the store.
    pub policy: i64,
}

/// A call of `approval.request`, and what it will answer. All answers are known when it is made: they say nothing of
/// when or by whom it was decided.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its arguments, as recorded.
    pub request: String,
    /// What the guest hears on yes.
    pub yes: String,
    /// What the guest hears on no.
    pub no: String,
    /// What the guest hears when nobody decided in time.
    pub expired: String,
}

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is on disk. The run owns this generation now.
    Durable(u64),
    /// Nothing was written: the message is no longer armed. Somebody revoked, expired or cancelled it meanwhile.
    Withdrawn,
    /// The ask was not: it stands in line, and the run is put down with all that was answered before.
    InLine,
    /// Nothing was written: people are spared this ask.
    Spared(Repeat),
    /// Nothing was written: the run belongs to somebody else.
    Lost,
}

/// Where commits go. The store is the one that keeps them.
pub trait Ledger: Send + Sync {
    /// Writes all of `commit` or nothing. When this returns `Durable`, it survives losing power.
    fn commit(&self, commit: Commit) -> Pin<Box<dyn Future<Output = anyhow::Result<Committed>> + Send + '_>>;
}

//! Three ways a call can end without a value, and only one of them is the agent's business.

use crate::approval::{Action, Words};
use crate::refusals::{Code, Refusal};
use std::fmt;

/// Why a call has no value.
#[derive(Debug)]
pub enum ToolError {
    /// The agent is told, and may go on.
    Refused(Refusal),
    /// The segment ends here.
    Stop(Stop),
    /// The host failed. The agent is stopped and learns nothing.
    Fault(anyhow::Error),
}

/// Why a segment ends inside a call. It unwinds the guest; nothing is recorded for the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The agent asks a person.
    Ask(Box<Words>),
    /// An approved hold has come to its send: a person must see the whole message.
    Park {
        /// What would leave.
        action: Box<Action>,
        /// The approval that is used up.
        hold: String,
    },
    /// A signed message is to be handed over to a server.
    Send {
        /// The approval that covers it.
        approval: String,
        /// Its name.
        message: String,
        /// What the send answers if it leaves.
        answer: String,
    },
    /// A branch has come to its guarded call.
    Found(Box<Action>),
    /// A branch has come to a guarded call that would be refused whatever a person says.
    Barred(Refusal),
    /// The agent contradicted its record.
    Diverged {
        /// Number of the call, from 0.
        call: usize,
        /// What is recorded.
        expected: String,
        /// What the agent did.
        got: String,
    },
    /// A limit of the journal was reached.
    Limit(Code),
    /// A replay has come to the end of its record and makes another call.
    Beyond {
        /// Which call.
        call: String,
        /// Its arguments.
        request: String,
    },
    /// Somebody else changed the run, by cancelling it.
    Lost,
    /// A rehearsed crash.
    Crashed,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Ask(_) | Stop::Park { .. } => write!(f, "waiting for a person"),
            Stop::Send { .. } => write!(f, "waiting for a message to be handed over"),
            Stop::Found(_) | Stop::Barred(_) => write!(f, "look-ahead has seen enough"),
            Stop::Diverged { call, expected, got } => {
                write!(f, "call {call}: the journal has {expected}, the agent did {got}")
            }
            Stop::Limit(code) => write!(f, "{code}"),
            Stop::Beyond { call, .. } => write!(f, "the agent goes on with {call}, where its record ends"),
            Stop::Lost => write!(f, "the run was cancelled"),
            Stop::Crashed => write!(f, "the run crashed, as rehearsed"),
        }
    }
}

impl std::error::Error for Stop {}

/// A failure of the host on its way through the guest's stack.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Fault(pub anyhow::Error);

impl From<Refusal> for ToolError {
    fn from(refusal: Refusal) -> ToolError {
        ToolError::Refused(refusal)
    }
}

impl From<Stop> for ToolError {
    fn from(stop: Stop) -> ToolError {
        ToolError::Stop(stop)
    }
}

impl From<anyhow::Error> for ToolError {
    fn from(error: anyhow::Error) -> ToolError {
        ToolError::Fault(error)
    }
}

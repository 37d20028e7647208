//! What a mail back end must do. Back ends live outside the room.

use crate::authority::Permit;
use crate::clock::Millis;
use crate::journal::ToolError;
use crate::refusals::{Code, Refusal};
use std::future::Future;
use std::pin::Pin;

/// Which messages to list; bounds have been checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only from this address, compared without regard to case.
    pub from: Option<String>,
    /// Only later than this.
    pub after_ms: Option<Millis>,
    /// Only those behind the message of this id, in the order of the list.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// An incoming message as a back end gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// `msg_…`
    pub id: String,
    /// Address of the sender: one that is valid, or nothing.
    pub from: String,
    /// Addresses of the To headers.
    pub to: Vec<String>,
    /// Decoded subject.
    pub subject: String,
    /// What a person would read of it, as text, cut to its limit.
    pub body: String,
    /// Whether `body` was cut.
    pub truncated: bool,
    /// The Date header where it can be true, or else the time of receipt.
    pub timestamp_ms: Millis,
    /// Whether nobody has read it.
    pub unread: bool,
    /// A JSON object with `messageId`, `inReplyTo`, `thread`, `cc`, `replyTo`, `names` and `attachments` where known.
    pub extras: Option<String>,
}

/// Why a back end has no answer.
#[derive(Debug)]
pub enum Failed {
    /// What it reaches out to did not answer. The agent is told so, and may go on.
    Outside(anyhow::Error),
    /// The host failed, and the agent learns nothing.
    Fault(anyhow::Error),
}

impl From<Failed> for ToolError {
    fn from(failed: Failed) -> ToolError {
        match failed {
            Failed::Outside(error) => {
                tracing::warn!(blame = "operator", "the mailbox cannot be reached: {error:#}");
                let message = "An external call failed: the mailbox cannot be reached.";
                Refusal::new(Code::NetworkError, message).into()
            }
            Failed::Fault(error) => ToolError::Fault(error),
        }
    }
}

/// What a back end promises for one call.
pub type Listing<'a> = Pin<Box<dyn Future<Output = Result<Vec<Mail>, Failed>> + Send + 'a>>;

/// A place where mail is. The local one comes with the host; servers follow.
pub trait Mailbox: Send + Sync {
    /// Lists incoming messages of `user`, newest first, confined to the permit's scope. Does not mark them as read.
    fn list<'a>(&'a self, permit: Permit, tenant: &'a str, user: &'a str, query: Query) -> Listing<'a>;
}

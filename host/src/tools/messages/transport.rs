//! What takes a signed message away. Transports live outside the room.

use crate::approval::outbox::Outcome;
use std::future::Future;
use std::pin::Pin;

/// A signed message, ready to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The account it leaves from, also the sender of the envelope.
    pub from: String,
    /// Everybody it goes to, the hidden ones too, each once.
    pub recipients: Vec<String>,
    /// The bytes that were signed, RFC 5322. Nothing is added to them and nothing taken away.
    pub bytes: Vec<u8>,
}

/// What a transport promises for one message.
pub type Delivering<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// A way out for mail: a submission server, a command.
pub trait Transport: Send + Sync {
    /// Hands one message over, once. It keeps its own time, and never takes longer than that.
    ///
    /// `NotSent` means that certainly nobody has got it or will get it. Whatever lies behind the last byte is `Sent` or
    /// `Uncertain`, unless the other side has clearly refused it, for its one recipient.
    fn deliver<'a>(&'a self, parcel: &'a Parcel) -> Delivering<'a>;
}

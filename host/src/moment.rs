//! Named moments of the host, at any of which a test can have the process die: what it leaves behind must be good to go on from.
//!
//! `COUNTERSIGN_DIE_AT=decided` ends the process as SIGKILL would when it first comes there, `decided:3` the third time. Whoever can
//! set that could as well kill the process; without it, a moment costs a comparison.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

macro_rules! moments {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A moment at which a process can die.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Moment {
            $($(#[$doc])* $variant,)*
        }

        impl Moment {
            /// Every moment there is.
            pub const ALL: &[Moment] = &[$(Moment::$variant,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Moment::$variant => $name,)* }
            }
        }
    };
}

moments! {
    /// An intent is about to be written.
    Submitting = "submitting",
    /// It is on disk, and nothing of it has run.
    Submitted = "submitted",
    /// A run is locked, and nothing of it has been read.
    Locked = "locked",
    /// It is about to be driven.
    Driving = "driving",
    /// The agent has asked; look-ahead is about to begin.
    LookingAhead = "looking-ahead",
    /// Look-ahead knows the message.
    LookedAhead = "looked-ahead",
    /// The ask is about to be written.
    Asking = "asking",
    /// It is on disk.
    Asked = "asked",
    /// People are about to be told.
    Notifying = "notifying",
    /// They have been told.
    Notified = "notified",
    /// A decision is about to be written.
    Deciding = "deciding",
    /// It is on disk, with the armed message; the run has not been picked up.
    Decided = "decided",
    /// What is over is about to be expired.
    Expiring = "expiring",
    /// It is; the run has not been picked up.
    Expired = "expired",
    /// A message is about to leave into the embedded mailbox.
    Releasing = "releasing",
    /// It has left; the agent has not heard.
    Released = "released",
    /// A run is about to be put down for its message, whose first attempt begins with that.
    Sending = "sending",
    /// A further attempt is about to be written.
    Attempting = "attempting",
    /// That an attempt begins is on disk, and nothing has been said to the server.
    Attempted = "attempted",
    /// The server has everything but the last byte.
    AlmostHandedOver = "almost-handed-over",
    /// The server has everything; its answer has not been read.
    HandedOver = "handed-over",
    /// The answer is known, and not on disk.
    Answered = "answered",
    /// It is on disk; the run has not been picked up.
    Delivered = "delivered",
    /// What a dead process left is about to be written.
    Losing = "losing",
    /// It is on disk.
    Lost = "lost",
    /// The end of a run is about to be written.
    Ending = "ending",
    /// It is on disk.
    Ended = "ended",
    /// A batch of writes has begun.
    BatchBegun = "batch-begun",
    /// All of it has been written, and not committed.
    BatchWritten = "batch-written",
    /// It is committed; nobody has heard.
    BatchCommitted = "batch-committed",
    /// The file of a sent message is about to be written.
    LetterWriting = "letter-writing",
    /// It is written under its temporary name.
    LetterWritten = "letter-written",
    /// It has its name.
    LetterNamed = "letter-named",
}

/// When to die, read once.
static DEATH: LazyLock<Option<(Moment, u32)>> = LazyLock::new(|| {
    let wanted = std::env::var("COUNTERSIGN_DIE_AT").ok()?;
    let (name, time) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    let moment = Moment::ALL.iter().find(|moment| moment.name() == name)?;
    Some((*moment, time.parse().ok()?))
});

static TIMES: AtomicU32 = AtomicU32::new(0);

/// Says that this moment has come.
pub fn reach(moment: Moment) {
    if let Some((last, time)) = &*DEATH
        && *last == moment
        && TIMES.fetch_add(1, Ordering::Relaxed) + 1 == *time
    {
        // Not an abort, which may leave what is in memory lying about as a file.
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

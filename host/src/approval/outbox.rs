//! The life of a message that was signed: a pure machine.

use serde::{Deserialize, Serialize};

/// Where a signed message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Signed; it leaves when its run sends exactly it.
    Armed,
    /// Has left.
    Sent,
    /// Will never leave.
    Cancelled,
}

impl State {
    /// The state as written in the store.
    pub fn name(self) -> &'static str {
        match self {
            State::Armed => "armed",
            State::Sent => "sent",
            State::Cancelled => "cancelled",
        }
    }
}

/// Something that happens to a signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its run sends exactly it.
    Release,
    /// Its approval ends in any other way.
    Cancel,
}

/// The next state; `None` where the event cannot happen.
///
/// The embedded mailbox delivers inside the releasing transaction, so a release there is a delivery. A back end that
/// talks to a server will put its own states between the two.
pub fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Armed, Event::Release) => Some(State::Sent),
        (State::Armed, Event::Cancel) => Some(State::Cancelled),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_leaves_once_or_never() {
        assert_eq!(next(State::Armed, Event::Release), Some(State::Sent));
        assert_eq!(next(State::Armed, Event::Cancel), Some(State::Cancelled));
        for state in [State::Sent, State::Cancelled] {
            assert_eq!(next(state, Event::Release), None);
            assert_eq!(next(state, Event::Cancel), None);
        }
    }
}

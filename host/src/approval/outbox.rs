//! The life of a message that was signed: a pure machine.
//!
//! Sending has three outcomes: sent, not sent, and uncertain, where the answer was lost. What is uncertain may have
//! happened, so it is never tried again by itself: a person finds out, and says so.

use super::binding::required;
use crate::clock::Millis;
use crate::refusals::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How often a message is offered to a mail server at most.
pub const ATTEMPTS_MAX: u32 = 5;
/// How long the first attempt that failed is waited for before the next; every further wait is four times as long.
pub const BACKOFF_MS: Millis = 1_000;
/// How the outcome of a message begins that was about to leave when a backup was taken; the time of the backup follows.
pub const RESTORED: &str = "restored from a backup of";

/// Where a signed message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Signed; it leaves when its run sends exactly it.
    Armed,
    /// Its run has sent it; it waits for its turn.
    Queued,
    /// It is being handed over. Whoever finds it so after a crash cannot know how far that came.
    Attempting,
    /// Has left.
    Sent,
    /// Has not left and will not.
    NotSent,
    /// It may have left: the answer was lost.
    Uncertain,
    /// Will never leave.
    Cancelled,
}

impl State {
    /// The state as written in the store and in scripts.
    pub fn name(self) -> &'static str {
        match self {
            State::Armed => "armed",
            State::Queued => "queued",
            State::Attempting => "attempting",
            State::Sent => "sent",
            State::NotSent => "not_sent",
            State::Uncertain => "uncertain",
            State::Cancelled => "cancelled",
        }
    }
}

/// What came of handing a message over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It was taken.
    Sent {
        /// What the server said. Hostile.
        said: String,
    },
    /// It was certainly not taken.
    NotSent {
        /// Why, for the operator. May quote the server: hostile.
        why: String,
        /// Whether it may be offered again: nothing of it was taken, and the reason may pass.
        again: bool,
        /// The recipients that were refused, where the server named them.
        rejected: Vec<Rejected>,
    },
    /// Whether it was taken is not known.
    Uncertain {
        /// Why, for the operator. May quote the server: hostile.
        why: String,
    },
}

/// A recipient a server refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rejected {
    /// The address.
    pub address: String,
    /// What the server said. Hostile.
    pub why: String,
}

/// What a person found out about a message that is uncertain, or wants done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It has arrived.
    Sent,
    /// It has not arrived, and shall not.
    NotSent,
    /// Offer the same bytes once more, at the risk that they arrive twice.
    Resend,
}

/// Something that happens to a signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Its run sends exactly it, and delivering it is part of the same transaction: the embedded mailbox.
    Deliver,
    /// Its run sends exactly it, and a server is to be talked to.
    Queue,
    /// Its approval ends in any other way, or its run is cancelled.
    Cancel,
    /// It is about to be handed over.
    Attempt,
    /// An attempt has ended.
    Attempted(&'a Outcome),
    /// Whoever attempted has died.
    Lost,
    /// It lies in a backup that was put back: what has become of it since the backup was taken is not in there.
    Restored,
    /// A person says what is to become of it.
    Resolve(Resolution),
}

/// What the store does in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tells the run what came of its send, if it waits for that, and lets it go on.
    Answer,
    /// The next attempt is due then.
    Due(Millis),
    /// The attempt under way is the last: [`ATTEMPTS_MAX`] are counted as made.
    Last,
}

/// The facts about a signed message a transition needs.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Where it is.
    pub state: State,
    /// How often it has been attempted since a person last asked for it.
    pub attempts: u32,
    /// From when on the next attempt may be made.
    pub due_ms: Millis,
    /// Whether a person has had it offered again after it may have left: then it may have left for good.
    pub resent: bool,
}

/// The next state, and what must happen with it; `None` where the event cannot happen.
pub fn next(facts: Facts, event: Event<'_>, now: Millis) -> Option<(State, Vec<Effect>)> {
    use State::*;
    let Facts { state, attempts, due_ms, resent } = facts;
    // What may have left before may have left still, whatever becomes of offering it again.
    let not_left = |state| if resent { Uncertain } else { state };
    let quiet = |state| Some((state, vec![]));
    let answered = |state| Some((state, vec![Effect::Answer]));
    match (state, event) {
        (Armed, Event::Deliver) => quiet(Sent),
        (Armed, Event::Queue) => Some((Queued, vec![Effect::Due(now)])),
        (Armed, Event::Cancel) => quiet(Cancelled),
        // Between attempts nothing of it has been taken.
        (Queued, Event::Cancel) => answered(not_left(Cancelled)),
        // What is being handed over cannot be called back, but if it is not taken it is not offered again.
        (Attempting, Event::Cancel) => Some((Attempting, vec![Effect::Last])),

        (Queued, Event::Attempt) if now >= due_ms => quiet(Attempting),
        (Attempting, Event::Attempted(Outcome::Sent { .. })) => answered(Sent),
        (Attempting, Event::Attempted(Outcome::NotSent { again: true, .. })) if attempts < ATTEMPTS_MAX => {
            Some((Queued, vec![Effect::Due(now + backoff(attempts))]))
        }
        (Attempting, Event::Attempted(Outcome::NotSent { .. })) => answered(not_left(NotSent)),
        (Attempting, Event::Attempted(Outcome::Uncertain { .. }) | Event::Lost) => answered(Uncertain),
        // No send waits for what is armed: its run hears of it when it sends.
        (Armed, Event::Restored) => quiet(Uncertain),
        (Queued | Attempting, Event::Restored) => answered(Uncertain),

        (Uncertain, Event::Resolve(Resolution::Sent)) => quiet(Sent),
        (Uncertain, Event::Resolve(Resolution::NotSent)) => quiet(NotSent),
        // They have found out before it was offered again.
        (Queued, Event::Resolve(Resolution::Sent)) if resent => quiet(Sent),
        (Queued, Event::Resolve(Resolution::NotSent)) if resent => quiet(NotSent),
        (Uncertain, Event::Resolve(Resolution::Resend)) => Some((Queued, vec![Effect::Due(now)])),
        _ => None,
    }
}

/// What the run hears of a message that has not left, or may not have. Why is the operator's business.
pub fn refusal(approval: &str, state: State, outcome: Option<&Outcome>) -> Refusal {
    let network = |what: &str, details| {
        Refusal::new(Code::NetworkError, format!("An external call failed: {what}.")).with(details)
    };
    match (state, outcome) {
        (State::Cancelled, _) => required("withdrawn", &[], Some(approval)),
        (State::NotSent, Some(Outcome::NotSent { rejected, .. })) if !rejected.is_empty() => {
            let rejected: Vec<_> = rejected.iter().map(|rejected| &rejected.address).collect();
            let what = "the mail server refused recipients, and the message was sent to nobody";
            network(what, json!({ "outcome": "not_sent", "rejected": rejected }))
        }
        (State::NotSent, _) => network("the message was not sent", json!({ "outcome": "not_sent" })),
        _ => network("the message may have been sent", json!({ "outcome": "uncertain" })),
    }
}

/// How long to wait after so many attempts.
fn backoff(attempts: u32) -> Millis {
    BACKOFF_MS << (2 * attempts.saturating_sub(1).min(ATTEMPTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Armed,
        State::Queued,
        State::Attempting,
        State::Sent,
        State::NotSent,
        State::Uncertain,
        State::Cancelled,
    ];

    fn facts(state: State) -> Facts {
        Facts { state, attempts: 1, due_ms: 0, resent: false }
    }

    fn outcomes() -> [Outcome; 4] {
        let not_sent = |again| Outcome::NotSent { why: String::new(), again, rejected: vec![] };
        [
            Outcome::Sent { said: String::new() },
            not_sent(true),
            not_sent(false),
            Outcome::Uncertain { why: String::new() },
        ]
    }

    #[test]
    fn nothing_leaves_a_final_state() {
        let outcomes = outcomes();
        let resolutions = [Resolution::Sent, Resolution::NotSent, Resolution::Resend].map(Event::Resolve);
        let attempted = outcomes.iter().map(Event::Attempted);
        let others =
            [Event::Deliver, Event::Queue, Event::Cancel, Event::Attempt, Event::Lost, Event::Restored];
        for event in attempted.chain(resolutions).chain(others) {
            for state in [State::Sent, State::NotSent, State::Cancelled] {
                assert_eq!(next(facts(state), event, 1_000_000), None, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn what_is_uncertain_is_never_tried_again_by_itself() {
        let outcomes = outcomes();
        for event in outcomes.iter().map(Event::Attempted).chain([Event::Attempt, Event::Lost, Event::Queue])
        {
            assert_eq!(next(facts(State::Uncertain), event, 1_000_000), None, "{event:?}");
        }
        let (state, _) = next(facts(State::Uncertain), Event::Resolve(Resolution::Resend), 0).unwrap();
        assert_eq!(state, State::Queued);
    }

    #[test]
    fn only_what_was_certainly_not_taken_is_offered_again_and_not_for_ever() {
        let [_, again, never, _] = outcomes();
        let attempting = |attempts| Facts { attempts, ..facts(State::Attempting) };
        for attempts in 1..ATTEMPTS_MAX {
            let (state, effects) = next(attempting(attempts), Event::Attempted(&again), 10).unwrap();
            let wait = BACKOFF_MS * 4_i64.pow(attempts - 1);
            assert_eq!((state, effects), (State::Queued, vec![Effect::Due(10 + wait)]));
        }
        let (state, effects) = next(attempting(ATTEMPTS_MAX), Event::Attempted(&again), 10).unwrap();
        assert_eq!((state, effects), (State::NotSent, vec![Effect::Answer]));
        assert_eq!(next(attempting(1), Event::Attempted(&never), 10).unwrap().0, State::NotSent);
    }

    #[test]
    fn what_may_have_left_may_have_left_still_whatever_becomes_of_offering_it_again() {
        let [_, again, never, _] = outcomes();
        let resent = |state| Facts { resent: true, attempts: ATTEMPTS_MAX, ..facts(state) };
        for outcome in [&again, &never] {
            let (state, _) = next(resent(State::Attempting), Event::Attempted(outcome), 0).unwrap();
            assert_eq!(state, State::Uncertain);
        }
        assert_eq!(next(resent(State::Queued), Event::Cancel, 0).unwrap().0, State::Uncertain);
        for (resolution, state) in [(Resolution::Sent, State::Sent), (Resolution::NotSent, State::NotSent)] {
            assert_eq!(next(resent(State::Queued), Event::Resolve(resolution), 0).unwrap().0, state);
            assert_eq!(next(facts(State::Queued), Event::Resolve(resolution), 0), None);
        }
    }

    #[test]
    fn an_attempt_waits_until_it_is_due_and_belongs_to_one() {
        let queued = Facts { due_ms: 5, ..facts(State::Queued) };
        assert_eq!(next(queued, Event::Attempt, 4), None);
        assert_eq!(next(queued, Event::Attempt, 5).unwrap().0, State::Attempting);
        for state in STATES.into_iter().filter(|state| *state != State::Queued) {
            assert_eq!(next(facts(state), Event::Attempt, 5), None);
        }
    }

    #[test]
    fn what_is_on_its_way_cannot_be_called_back_and_what_is_not_can() {
        for state in STATES {
            let after = next(facts(state), Event::Cancel, 0);
            match state {
                State::Armed | State::Queued => assert_eq!(after.unwrap().0, State::Cancelled),
                State::Attempting => assert_eq!(after, Some((State::Attempting, vec![Effect::Last]))),
                _ => assert_eq!(after, None, "{state:?}"),
            }
        }
    }

    #[test]
    fn a_death_while_attempting_leaves_it_uncertain() {
        let (state, effects) = next(facts(State::Attempting), Event::Lost, 0).unwrap();
        assert_eq!((state, effects), (State::Uncertain, vec![Effect::Answer]));
    }

    #[test]
    fn what_was_about_to_leave_when_a_backup_was_taken_is_uncertain_in_it() {
        for state in STATES {
            let after = next(facts(state), Event::Restored, 0);
            match state {
                State::Armed => assert_eq!(after, Some((State::Uncertain, vec![]))),
                State::Queued | State::Attempting => {
                    assert_eq!(after, Some((State::Uncertain, vec![Effect::Answer])));
                }
                _ => assert_eq!(after, None, "{state:?}"),
            }
        }
    }
}

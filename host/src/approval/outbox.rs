//! The life of a message that was signed: a pure machine.
//!
//! Sending has three outcomes: sent, not sent, and uncertain, where the answer was lost. What is uncertain may have
//! happened, so it is never tried again by itself: a person finds out, and says so.

use super::binding::required;
use crate::clock::Millis;
use crate::refusals::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long is waited after the first, second, ... attempt that failed for now; behind the last of them always so long.
///
/// RFC 5321, 4.5.4.1 wants few attempts in the first hour and then one in an hour or more, and half an hour between two where nothing
/// is known of the server. This server is the operator's own: it is busy or restarting rather than gone, or it wants to see the message
/// twice, so that the first waits are shorter.
pub const WAITS_MS: [Millis; 8] =
    [SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR];
/// How long before its end the last attempt is made.
pub const LAST_MS: Millis = MINUTE;
/// How long a message is offered where the operator does not say.
pub const RETRY_MS: Millis = 24 * HOUR;
/// The longest the operator can say: five days, as RFC 5321, 4.5.4.1 has it.
pub const RETRY_MS_MAX: Millis = 120 * HOUR;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

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
    /// Lies in the embedded mailbox, as its user has no way out for mail: nobody has got it.
    Kept,
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
            State::Kept => "kept",
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
    /// Offer the same bytes once more, now. Where they may have left before, they may arrive twice.
    Resend,
}

/// Something that happens to a signed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Its run sends exactly it, and delivering it is part of the same transaction: the embedded mailbox.
    Deliver,
    /// Its run sends exactly it, and a server is to be talked to, again and again until then.
    Queue {
        /// When it is given up.
        until_ms: Millis,
    },
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
    Resolve {
        /// What they found out, or want.
        resolution: Resolution,
        /// When it is given up, if they want it offered again.
        until_ms: Millis,
    },
}

/// What the store does in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tells the run what came of its send, if it waits for that, and lets it go on.
    Answer,
    /// The next attempt is due then.
    Due(Millis),
    /// From then on it is not offered again.
    Until(Millis),
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
    /// From when on it is given up: an attempt that fails then is the last. Where nobody was there to make one, one is made all the same.
    pub until_ms: Millis,
    /// Whether it may have left before a person spoke about it: then it may have left for good, whatever becomes of offering it again.
    pub resent: bool,
}

impl Facts {
    /// Whether it may have left, as far as the next [`resent`](Facts::resent) is concerned: no person can prove that it has not.
    pub fn may_have_left(self, event: Event<'_>) -> bool {
        self.resent || self.state == State::Uncertain && matches!(event, Event::Resolve { .. })
    }

    /// When the next attempt is due after one that failed for now, if there is to be one.
    fn retry(self, now: Millis) -> Option<Millis> {
        let wait = WAITS_MS[(self.attempts.saturating_sub(1) as usize).min(WAITS_MS.len() - 1)];
        // The last attempt is made shortly before the end, however far behind the wait would go.
        Some((now + wait).min(self.until_ms - LAST_MS)).filter(|due_ms| *due_ms >= now + WAITS_MS[0])
    }
}

/// The next state, and what must happen with it; `None` where the event cannot happen.
pub fn next(facts: Facts, event: Event<'_>, now: Millis) -> Option<(State, Vec<Effect>)> {
    use State::*;
    let Facts { state, due_ms, resent, .. } = facts;
    // What may have left before may have left still, whatever becomes of offering it again.
    let not_left = |state| if resent { Uncertain } else { state };
    let quiet = |state| Some((state, vec![]));
    let answered = |state| Some((state, vec![Effect::Answer]));
    let offered = |until_ms| Some((Queued, vec![Effect::Due(now), Effect::Until(until_ms)]));
    match (state, event) {
        (Armed, Event::Deliver) => quiet(Kept),
        (Armed, Event::Queue { until_ms }) => offered(until_ms),
        (Armed, Event::Cancel) => quiet(Cancelled),
        // Between attempts nothing of it has been taken.
        (Queued, Event::Cancel) => answered(not_left(Cancelled)),
        // What is being handed over cannot be called back, but if it is not taken it is not offered again.
        (Attempting, Event::Cancel) => Some((Attempting, vec![Effect::Until(now)])),

        (Queued, Event::Attempt) if now >= due_ms => quiet(Attempting),
        (Attempting, Event::Attempted(Outcome::Sent { .. })) => answered(Sent),
        (Attempting, Event::Attempted(Outcome::NotSent { again, .. })) => {
            match facts.retry(now).filter(|_| *again) {
                Some(due_ms) => Some((Queued, vec![Effect::Due(due_ms)])),
                None => answered(not_left(NotSent)),
            }
        }
        (Attempting, Event::Attempted(Outcome::Uncertain { .. }) | Event::Lost) => answered(Uncertain),
        // No send waits for what is armed: its run hears of it when it sends.
        (Armed, Event::Restored) => quiet(Uncertain),
        (Queued | Attempting, Event::Restored) => answered(Uncertain),

        (_, Event::Resolve { resolution, until_ms }) => match (state, resolution) {
            (Uncertain, Resolution::Sent) => quiet(Sent),
            (Uncertain, Resolution::NotSent) => quiet(NotSent),
            // They have found out before it was offered again.
            (Queued, Resolution::Sent) if resent => quiet(Sent),
            (Queued, Resolution::NotSent) if resent => quiet(NotSent),
            // What waits is offered now; what was given up begins anew, unless a person has said that it shall not.
            (Uncertain | Queued, Resolution::Resend) => offered(until_ms),
            (NotSent, Resolution::Resend) if !resent => offered(until_ms),
            _ => None,
        },
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

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 8] = [
        State::Armed,
        State::Queued,
        State::Attempting,
        State::Sent,
        State::Kept,
        State::NotSent,
        State::Uncertain,
        State::Cancelled,
    ];

    fn facts(state: State) -> Facts {
        Facts { state, attempts: 1, due_ms: 0, until_ms: RETRY_MS, resent: false }
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

    fn resolve(resolution: Resolution) -> Event<'static> {
        Event::Resolve { resolution, until_ms: 5_000_000 }
    }

    #[test]
    fn nothing_leaves_a_final_state_but_what_a_person_has_offered_again() {
        let outcomes = outcomes();
        let resolutions = [Resolution::Sent, Resolution::NotSent, Resolution::Resend].map(resolve);
        let attempted = outcomes.iter().map(Event::Attempted);
        let others = [
            Event::Deliver,
            Event::Queue { until_ms: 2_000_000 },
            Event::Cancel,
            Event::Attempt,
            Event::Lost,
            Event::Restored,
        ];
        for event in attempted.chain(resolutions).chain(others) {
            for state in [State::Sent, State::Kept, State::NotSent, State::Cancelled] {
                let after = next(facts(state), event, 1_000_000);
                match (state, event) {
                    (State::NotSent, Event::Resolve { resolution: Resolution::Resend, .. }) => {
                        let effects = vec![Effect::Due(1_000_000), Effect::Until(5_000_000)];
                        assert_eq!(after, Some((State::Queued, effects)));
                    }
                    _ => assert_eq!(after, None, "{state:?} {event:?}"),
                }
            }
        }
    }

    #[test]
    fn what_is_uncertain_is_never_tried_again_by_itself() {
        let outcomes = outcomes();
        let others = [Event::Attempt, Event::Lost, Event::Queue { until_ms: 2_000_000 }];
        for event in outcomes.iter().map(Event::Attempted).chain(others) {
            assert_eq!(next(facts(State::Uncertain), event, 1_000_000), None, "{event:?}");
        }
        let (state, _) = next(facts(State::Uncertain), resolve(Resolution::Resend), 0).unwrap();
        assert_eq!(state, State::Queued);
    }

    /// When a message is offered that is refused for now each time, from when it is queued at 0.
    fn attempts(until_ms: Millis) -> Vec<Millis> {
        let [_, again, ..] = outcomes();
        let (mut now, mut made) = (0, Vec::new());
        loop {
            made.push(now);
            let attempting =
                Facts { attempts: made.len() as u32, until_ms, due_ms: now, ..facts(State::Attempting) };
            match next(attempting, Event::Attempted(&again), now).unwrap() {
                (State::Queued, effects) => match effects[..] {
                    [Effect::Due(due_ms)] => now = due_ms,
                    _ => panic!("{effects:?}"),
                },
                ended => {
                    assert_eq!(ended, (State::NotSent, vec![Effect::Answer]));
                    return made;
                }
            }
        }
    }

    #[test]
    fn what_was_certainly_not_taken_is_offered_again_for_hours_and_not_for_ever() {
        let [_, _, never, _] = outcomes();
        assert_eq!(next(facts(State::Attempting), Event::Attempted(&never), 10).unwrap().0, State::NotSent);
        for hours in [1, 4, 24, 120] {
            let made = attempts(hours * HOUR);
            assert_eq!(*made.last().unwrap(), hours * HOUR - LAST_MS, "the last attempt stands at the end");
            let gaps: Vec<_> = made.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(gaps.iter().all(|gap| (SECOND..=HOUR).contains(gap)), "{gaps:?}");
            let first_hour = made.iter().filter(|at| **at < HOUR).count();
            assert!(first_hour <= WAITS_MS.len(), "few attempts in the first hour: {first_hour}");
            assert!(made.len() <= WAITS_MS.len() + hours as usize);
        }
        // Too short for a second attempt.
        for until_ms in [0, SECOND, LAST_MS] {
            assert_eq!(attempts(until_ms), [0]);
        }
    }

    #[test]
    fn what_was_cancelled_while_it_was_handed_over_is_not_offered_again() {
        let [_, again, ..] = outcomes();
        let cancelled = next(facts(State::Attempting), Event::Cancel, 10).unwrap();
        assert_eq!(cancelled, (State::Attempting, vec![Effect::Until(10)]));
        let given_up = Facts { until_ms: 10, ..facts(State::Attempting) };
        assert_eq!(next(given_up, Event::Attempted(&again), 11).unwrap().0, State::NotSent);
    }

    #[test]
    fn what_may_have_left_may_have_left_still_whatever_becomes_of_offering_it_again() {
        let [_, again, never, _] = outcomes();
        let resent = |state| Facts { resent: true, until_ms: 0, ..facts(state) };
        for outcome in [&again, &never] {
            let (state, _) = next(resent(State::Attempting), Event::Attempted(outcome), 0).unwrap();
            assert_eq!(state, State::Uncertain);
        }
        assert_eq!(next(resent(State::Queued), Event::Cancel, 0).unwrap().0, State::Uncertain);
        for (resolution, state) in [(Resolution::Sent, State::Sent), (Resolution::NotSent, State::NotSent)] {
            assert_eq!(next(resent(State::Queued), resolve(resolution), 0).unwrap().0, state);
            assert_eq!(next(facts(State::Queued), resolve(resolution), 0), None);
        }
    }

    #[test]
    fn what_a_person_says_was_lost_may_still_have_left() {
        for resolution in [Resolution::Sent, Resolution::NotSent, Resolution::Resend] {
            assert!(facts(State::Uncertain).may_have_left(resolve(resolution)));
            assert!(!facts(State::NotSent).may_have_left(resolve(resolution)));
            assert!(!facts(State::Queued).may_have_left(resolve(resolution)));
        }
        assert!(!facts(State::Uncertain).may_have_left(Event::Attempt));
        // And what they said stands.
        let said = Facts { resent: true, ..facts(State::NotSent) };
        assert_eq!(next(said, resolve(Resolution::Resend), 0), None);
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
                State::Attempting => assert_eq!(after, Some((State::Attempting, vec![Effect::Until(0)]))),
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

//! The life of an approval: a pure machine.

use super::{Binding, Verdict};
use crate::clock::Millis;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// Where an approval is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A person is asked.
    Pending,
    /// A person agreed, and it can be used once.
    Approved,
    /// A person agreed, and it has been used.
    Used,
    /// A person did not agree.
    Declined,
    /// Nobody decided in time, or nobody used it in time.
    Expired,
    /// Its run was cancelled, its capability revoked, or its message never came.
    Cancelled,
    /// The person took their yes back before it was used.
    Revoked,
}

impl State {
    /// The state as written in the store and in scripts.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Used => "used",
            State::Declined => "declined",
            State::Expired => "expired",
            State::Cancelled => "cancelled",
            State::Revoked => "revoked",
        }
    }
}

/// Something that happens to an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A person decides on the digest they were shown.
    Decide {
        /// Yes or no.
        verdict: Verdict,
        /// What was shown.
        shown: Digest,
    },
    /// A person changes the message they were shown. It is shown again under a new digest, and decided as changed.
    Edit {
        /// What was shown.
        shown: Digest,
    },
    /// A person takes their yes back.
    Revoke,
    /// Time passes.
    Expire,
    /// Its message leaves, or its hold parks a send.
    Use,
    /// Its run ends or is cancelled, or its capability is revoked.
    Cancel,
}

/// What the store does in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Puts the exact bytes into the outbox.
    Arm,
    /// Cancels the armed bytes.
    Disarm,
    /// Makes the branch's answers the run's journal.
    KeepSuffix,
    /// Deletes the branch's answers, and answers the ask with no.
    DropSuffix,
    /// Lets the run go on.
    Wake,
    /// Binds the answer to the message as changed.
    Rebind,
}

/// Why an event does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The approval is no longer pending.
    AlreadyDecided,
    /// What was shown is not what the approval is bound to.
    Stale,
    /// Its time is over: expire it first.
    Expired,
    /// Nothing of the kind can happen in this state.
    NotPossible,
}

/// The facts about an approval a transition needs.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Where it is.
    pub state: State,
    /// What it is about.
    pub binding: Binding,
    /// What must have been shown.
    pub digest: Digest,
    /// Whether it was asked by a parked send rather than by `approval.request`.
    pub parked: bool,
    /// Its end.
    pub expires_ms: Millis,
}

/// The next state, and what must happen with it.
pub fn next(facts: Facts, event: Event, now: Millis) -> Result<(State, Vec<Effect>), Refused> {
    use Effect::*;
    let over = now >= facts.expires_ms;
    // A parked send is asked again when its run goes on: there is no ask to answer and no suffix.
    let answer = |effect| (!facts.parked).then_some(effect);
    let has_action = matches!(facts.binding, Binding::Exact | Binding::Declared);
    match (facts.state, event) {
        (State::Pending, Event::Decide { .. }) if over => Err(Refused::Expired),
        (State::Pending, Event::Decide { shown, .. }) if shown != facts.digest => Err(Refused::Stale),
        (State::Pending, Event::Decide { verdict: Verdict::Approve, .. }) => {
            let arm = has_action.then_some(Arm);
            let effects = arm.into_iter().chain(answer(KeepSuffix)).chain([Wake]);
            Ok((State::Approved, effects.collect()))
        }
        (State::Pending, Event::Decide { verdict: Verdict::Decline, .. }) => {
            Ok((State::Declined, answer(DropSuffix).into_iter().chain([Wake]).collect()))
        }
        (_, Event::Decide { .. }) => Err(Refused::AlreadyDecided),

        (State::Pending, Event::Edit { .. }) if over => Err(Refused::Expired),
        (State::Pending, Event::Edit { shown }) if shown != facts.digest => Err(Refused::Stale),
        (State::Pending, Event::Edit { .. }) if has_action => Ok((State::Pending, vec![Rebind])),
        (State::Pending, Event::Edit { .. }) => Err(Refused::NotPossible),
        (_, Event::Edit { .. }) => Err(Refused::AlreadyDecided),

        (State::Approved, Event::Revoke) if has_action => Ok((State::Revoked, vec![Disarm])),
        (State::Approved, Event::Revoke) if facts.binding == Binding::Hold => Ok((State::Revoked, vec![])),

        (State::Pending, Event::Expire) if over => {
            Ok((State::Expired, answer(DropSuffix).into_iter().chain([Wake]).collect()))
        }
        (State::Approved, Event::Expire) if over => Ok((State::Expired, vec![Disarm])),

        (State::Approved, Event::Use) if !over => Ok((State::Used, vec![])),

        (State::Pending, Event::Cancel) => Ok((State::Cancelled, vec![])),
        (State::Approved, Event::Cancel) if has_action => Ok((State::Cancelled, vec![Disarm])),

        _ => Err(Refused::NotPossible),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Pending,
        State::Approved,
        State::Used,
        State::Declined,
        State::Expired,
        State::Cancelled,
        State::Revoked,
    ];
    const SHOWN: Digest = Digest([1; 32]);

    fn facts(state: State, binding: Binding) -> Facts {
        Facts { state, binding, digest: SHOWN, parked: false, expires_ms: 100 }
    }

    fn decide(verdict: Verdict) -> Event {
        Event::Decide { verdict, shown: SHOWN }
    }

    #[test]
    fn approving_arms_and_wakes_in_one_step() {
        let (state, effects) =
            next(facts(State::Pending, Binding::Exact), decide(Verdict::Approve), 0).unwrap();
        assert_eq!((state, effects), (State::Approved, vec![Effect::Arm, Effect::KeepSuffix, Effect::Wake]));
    }

    #[test]
    fn declining_never_arms() {
        for binding in [Binding::Exact, Binding::Declared, Binding::Hold, Binding::Question] {
            let (state, effects) = next(facts(State::Pending, binding), decide(Verdict::Decline), 0).unwrap();
            assert_eq!((state, effects), (State::Declined, vec![Effect::DropSuffix, Effect::Wake]));
        }
    }

    #[test]
    fn a_hold_or_a_question_arms_nothing() {
        for binding in [Binding::Hold, Binding::Question] {
            let (_, effects) = next(facts(State::Pending, binding), decide(Verdict::Approve), 0).unwrap();
            assert!(!effects.contains(&Effect::Arm));
        }
    }

    #[test]
    fn only_a_pending_approval_can_be_decided_and_only_once() {
        for state in STATES.into_iter().filter(|state| *state != State::Pending) {
            for verdict in [Verdict::Approve, Verdict::Decline] {
                let refused = next(facts(state, Binding::Exact), decide(verdict), 0).unwrap_err();
                assert_eq!(refused, Refused::AlreadyDecided);
            }
        }
    }

    #[test]
    fn a_stale_digest_decides_nothing() {
        let event = Event::Decide { verdict: Verdict::Approve, shown: Digest([2; 32]) };
        assert_eq!(next(facts(State::Pending, Binding::Exact), event, 0), Err(Refused::Stale));
    }

    #[test]
    fn after_its_end_an_approval_can_only_expire() {
        let pending = facts(State::Pending, Binding::Exact);
        assert_eq!(next(pending, decide(Verdict::Approve), 100), Err(Refused::Expired));
        assert_eq!(next(pending, Event::Expire, 99), Err(Refused::NotPossible));
        assert_eq!(next(pending, Event::Expire, 100).unwrap().0, State::Expired);
        let approved = facts(State::Approved, Binding::Exact);
        assert_eq!(next(approved, Event::Use, 100), Err(Refused::NotPossible));
        assert_eq!(next(approved, Event::Expire, 100), Ok((State::Expired, vec![Effect::Disarm])));
    }

    #[test]
    fn an_approval_is_used_once() {
        let (state, _) = next(facts(State::Approved, Binding::Exact), Event::Use, 0).unwrap();
        assert_eq!(next(facts(state, Binding::Exact), Event::Use, 0), Err(Refused::NotPossible));
    }

    #[test]
    fn nothing_leaves_a_final_state() {
        for state in [State::Used, State::Declined, State::Expired, State::Cancelled, State::Revoked] {
            for event in [Event::Expire, Event::Use, Event::Cancel, Event::Revoke] {
                assert_eq!(next(facts(state, Binding::Exact), event, 1_000), Err(Refused::NotPossible));
            }
        }
    }

    #[test]
    fn an_edit_is_of_what_was_shown_and_decides_nothing() {
        let pending = facts(State::Pending, Binding::Exact);
        let edit = Event::Edit { shown: SHOWN };
        assert_eq!(next(pending, edit, 0), Ok((State::Pending, vec![Effect::Rebind])));
        assert_eq!(next(pending, Event::Edit { shown: Digest([2; 32]) }, 0), Err(Refused::Stale));
        assert_eq!(next(pending, edit, 100), Err(Refused::Expired));
        for binding in [Binding::Hold, Binding::Question] {
            assert_eq!(next(facts(State::Pending, binding), edit, 0), Err(Refused::NotPossible));
        }
        for state in STATES.into_iter().filter(|state| *state != State::Pending) {
            assert_eq!(next(facts(state, Binding::Exact), edit, 0), Err(Refused::AlreadyDecided));
        }
    }

    #[test]
    fn a_yes_can_be_taken_back_until_it_is_used() {
        let revoked = next(facts(State::Approved, Binding::Exact), Event::Revoke, 0);
        assert_eq!(revoked, Ok((State::Revoked, vec![Effect::Disarm])));
        assert_eq!(
            next(facts(State::Approved, Binding::Hold), Event::Revoke, 0),
            Ok((State::Revoked, vec![]))
        );
        for state in STATES.into_iter().filter(|state| *state != State::Approved) {
            assert_eq!(next(facts(state, Binding::Exact), Event::Revoke, 0), Err(Refused::NotPossible));
        }
    }
}

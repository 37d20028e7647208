//! What is asked of an agent, and the life of its run: a pure machine.

pub mod numbers;

use crate::approval::outbox;
use crate::clock::Millis;
use crate::digest::Digest;
use crate::refusals::Code;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest parameters, in bytes of JSON text.
pub const PARAMETERS_BYTES_MAX: usize = 64 * 1024;
/// The longest text a user may type, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Where an intent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its run executes, or can be picked up.
    Running,
    /// Its run is put down until a person has decided.
    Waiting,
    /// Its run is put down until a message it sent has been handed over.
    Sending,
    /// Its run is put down until it may ask: as many approvals of its agent wait for the same person as may.
    Blocked,
    /// The agent answered.
    Done,
    /// The run was stopped: a crash, a limit, a divergence.
    Stopped,
    /// A person cancelled it.
    Cancelled,
}

impl Status {
    /// The status as written in the store and in scripts.
    pub fn name(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Waiting => "waiting",
            Status::Sending => "sending",
            Status::Blocked => "blocked",
            Status::Done => "done",
            Status::Stopped => "stopped",
            Status::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can happen to it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Done | Status::Stopped | Status::Cancelled)
    }
}

/// Something that happens to an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its run asks a person.
    Ask,
    /// Its run sends a message by a server.
    Send,
    /// Its run would ask a person who is asked enough already.
    LineUp,
    /// The person has decided, or the time to decide is over, or the message has been handed over, or it may ask.
    Wake,
    /// Its run ends in this status.
    End(Status),
    /// A person cancels it.
    Cancel,
}

/// The next status; `None` where the event cannot happen.
pub fn next(status: Status, event: Event) -> Option<Status> {
    match (status, event) {
        (Status::Running, Event::Ask) => Some(Status::Waiting),
        (Status::Running, Event::Send) => Some(Status::Sending),
        (Status::Running, Event::LineUp) => Some(Status::Blocked),
        (Status::Waiting | Status::Sending | Status::Blocked, Event::Wake) => Some(Status::Running),
        (Status::Running, Event::End(end @ (Status::Done | Status::Stopped))) => Some(end),
        (Status::Running | Status::Waiting | Status::Sending | Status::Blocked, Event::Cancel) => {
            Some(Status::Cancelled)
        }
        _ => None,
    }
}

/// What is asked of an agent, and the facts its run is replayed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// `int_…`
    pub id: String,
    /// Whose host.
    pub tenant: String,
    /// On whose behalf.
    pub user: String,
    /// The agent's id.
    pub agent: String,
    /// SHA-256 of the component the run started with. A newer build never takes over.
    pub digest: Digest,
    /// What is asked.
    pub action: String,
    /// With what.
    pub parameters: Map<String, Value>,
    /// What the user typed.
    pub text: Option<String>,
    /// Which attempt this is. A retry is an intent of its own, so today it is always 1.
    pub run: u32,
    /// Everything the guest sees as random follows from it.
    pub seed: [u8; 32],
    /// When it was submitted; the guest's clock starts here.
    pub submitted_ms: Millis,
    /// Where it is.
    pub status: Status,
    /// Counts commits. Whoever holds an older number has lost the run.
    pub generation: u64,
    /// Fuel used up to where it was put down.
    pub fuel: u64,
    /// The agent's answer.
    pub card: Option<Value>,
    /// Why it was stopped.
    pub reason: Option<Reason>,
    /// What the agent printed.
    pub log: String,
    /// The intent this one repeats.
    pub retry_of: Option<String>,
    /// A message of it that has not left, or may not have: `not_sent` before `uncertain`.
    pub undelivered: Option<outbox::State>,
    /// Its last change.
    pub updated_ms: Millis,
    /// Whether its guest sees `now` without zeros at the end of the second: a run of an older version has seen it so, and is repeated.
    pub trimmed_now: bool,
}

/// In what an intent has failed that has ended, however it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    /// The run was stopped.
    Stopped,
    /// The agent answered with an error card, or threw an error it did not catch.
    ErrorCard,
    /// A message of it has not left.
    NotSent,
    /// Nobody knows whether a message of it has left.
    Uncertain,
}

/// How an intent is shown that ended `done` and has failed all the same. Nothing is stored under this name.
pub const FAILED: &str = "failed";

impl Intent {
    /// In what it has failed. What an agent says of its own run does not make a message delivered.
    pub fn failed(&self) -> Option<Failed> {
        let is_error = self.card.as_ref().is_some_and(|card| card["type"] == "error");
        match (self.status, self.undelivered) {
            (Status::Stopped, _) => Some(Failed::Stopped),
            (Status::Done, _) if is_error => Some(Failed::ErrorCard),
            (Status::Done, Some(outbox::State::NotSent)) => Some(Failed::NotSent),
            (Status::Done, Some(_)) => Some(Failed::Uncertain),
            _ => None,
        }
    }
}

/// The word people and counters are given for a status.
pub fn shown(status: Status, failed: Option<Failed>) -> &'static str {
    match (status, failed) {
        (Status::Done, Some(_)) => FAILED,
        _ => status.name(),
    }
}

/// Why a run was stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// One of the codes for operators.
    pub code: Code,
    /// What happened.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 7] = [
        Status::Running,
        Status::Waiting,
        Status::Sending,
        Status::Blocked,
        Status::Done,
        Status::Stopped,
        Status::Cancelled,
    ];

    #[test]
    fn nothing_happens_to_an_intent_that_has_ended() {
        for status in ALL.into_iter().filter(|status| status.is_final()) {
            for event in
                [Event::Ask, Event::Send, Event::LineUp, Event::Wake, Event::End(Status::Done), Event::Cancel]
            {
                assert_eq!(next(status, event), None);
            }
        }
    }

    #[test]
    fn an_intent_put_down_goes_on_or_is_cancelled_but_never_ends_by_itself() {
        for put_down in [Status::Waiting, Status::Sending, Status::Blocked] {
            assert_eq!(next(put_down, Event::Wake), Some(Status::Running));
            assert_eq!(next(put_down, Event::Cancel), Some(Status::Cancelled));
            assert_eq!(next(put_down, Event::End(Status::Done)), None);
        }
    }

    #[test]
    fn a_run_ends_done_or_stopped_and_nothing_else() {
        for status in ALL {
            let ends = next(Status::Running, Event::End(status)).is_some();
            assert_eq!(ends, matches!(status, Status::Done | Status::Stopped));
        }
    }
}

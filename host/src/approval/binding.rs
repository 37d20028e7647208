//! What an approval is about, fixed when the agent asks, and what it lets through later.

use super::{Action, Approval, Words, decision::State};
use crate::clock::Millis;
use crate::digest::{Digest, Encoder};
use crate::refusals::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What an approval is about. An approval has one binding for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// The action look-ahead found: the very message that would leave.
    Exact,
    /// The message the agent spelled out in `details`.
    Declared,
    /// No message is known yet: a yes lets the run go on, and its send asks again with the whole message.
    Hold,
    /// Look-ahead saw the run end without a guarded call: a yes authorises nothing.
    Question,
}

/// What look-ahead found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The run's next guarded call.
    Action(Box<Action>),
    /// The run ends without one.
    Nothing,
    /// It could not be known: another ask came first, or the branch was stopped.
    Unknown,
}

/// Fixes the binding of an ask. `declared` is the message of the agent's own account, where it spelled one out that
/// could be sent; `earlier` are the run's approvals so far.
pub fn bind(found: Found, declared: Option<Action>, earlier: &[Approval]) -> (Binding, Option<Action>) {
    // An earlier approval that nobody has used may be the one this ask would be bound to. Binding both to the same message
    // would ask a person to sign twice what they mean once.
    let declared = declared.filter(|action| !earlier.iter().any(|approval| could_cover(approval, action)));
    match found {
        Found::Action(action) if !earlier.iter().any(|approval| could_cover(approval, &action)) => {
            (Binding::Exact, Some(*action))
        }
        Found::Nothing => (Binding::Question, None),
        Found::Action(_) | Found::Unknown => match declared {
            Some(action) => (Binding::Declared, Some(action)),
            None => (Binding::Hold, None),
        },
    }
}

fn could_cover(approval: &Approval, action: &Action) -> bool {
    approval.state == State::Approved
        && !approval.outdated
        && match approval.binding {
            Binding::Exact | Binding::Declared => covers(approval, action),
            Binding::Hold => true,
            Binding::Question => false,
        }
}

/// Whether this is the agent's own message, whatever a person made of it. One that was asked in an older version is compared as
/// it would be asked today.
fn covers(approval: &Approval, action: &Action) -> bool {
    approval.action.as_ref().is_some_and(|asked| asked.is_same(action))
}

/// The digest of an ask that has no action: of the question itself, and of whose it is.
pub fn question_digest(identity: &Action, words: &Words) -> Digest {
    let details = serde_json::to_string(&words.details).expect("JSON serializes");
    let mut out = Encoder::new("countersign/question/v1");
    out.text(&identity.tenant).text(&identity.user).text(&identity.intent).number(identity.run);
    out.bytes(&identity.agent.0);
    out.text(&words.action).text(&words.title).text(&words.description).text(&details);
    Digest::of(&out.0)
}

/// What becomes of one send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It leaves, using up this approval.
    Release {
        /// The approval that covers exactly it.
        approval: String,
    },
    /// It waits for a person to see the whole message, using up this hold.
    Park {
        /// The hold that let the run come this far.
        hold: String,
    },
    /// It does not leave.
    Refuse {
        /// What the agent hears.
        refusal: Refusal,
        /// The approved message that is cancelled, because the agent asked for one thing and did another.
        cancel: Option<String>,
    },
}

/// Judges a send by the approvals of its run. Capability, addresses and scope have been checked before.
pub fn judge(approvals: &[Approval], action: &Action, now: Millis) -> Judgement {
    let covers = |approval: &&Approval| {
        matches!(approval.binding, Binding::Exact | Binding::Declared) && covers(approval, action)
    };
    let usable = |approval: &&Approval| {
        approval.state == State::Approved && now < approval.expires_ms && !approval.outdated
    };

    if let Some(approval) = approvals.iter().find(|approval| covers(approval) && usable(approval)) {
        return Judgement::Release { approval: approval.id.clone() };
    }
    if let Some(declined) = approvals.iter().find(|a| covers(a) && a.state == State::Declined) {
        let refusal = Refusal::new(Code::ApprovalDenied, "The user declined to send this message.")
            .with(json!({ "approvalId": declined.id }));
        return Judgement::Refuse { refusal, cancel: None };
    }
    if let Some(hold) = approvals.iter().find(|a| a.binding == Binding::Hold && usable(a)) {
        return Judgement::Park { hold: hold.id.clone() };
    }
    let (reason, approval) = match approvals.iter().rev().find(covers) {
        Some(approval) => (spent_reason(approval, now), Some(approval)),
        None => match approvals.iter().rev().find(|a| a.action.is_some() && usable(a)) {
            Some(approval) => ("differs", Some(approval)),
            None => match approvals.iter().rev().find(|a| a.binding != Binding::Question) {
                Some(approval) => (spent_reason(approval, now), Some(approval)),
                None => ("not_asked", None),
            },
        },
    };
    let fields = match (reason, approval) {
        ("differs", Some(Approval { action: Some(approved), .. })) => approved.differs(action),
        _ => Vec::new(),
    };
    // What lets nothing leave any more is disarmed, so that it can be asked about again.
    let cancel =
        approval.filter(|_| matches!(reason, "differs" | "policy")).map(|approval| approval.id.clone());
    Judgement::Refuse { refusal: required(reason, &fields, approval.map(|a| a.id.as_str())), cancel }
}

fn spent_reason(approval: &Approval, now: Millis) -> &'static str {
    match approval.state {
        State::Used => "used",
        State::Expired => "expired",
        State::Declined => "declined",
        State::Cancelled | State::Revoked => "withdrawn",
        State::Approved | State::Pending if approval.outdated => "policy",
        State::Approved | State::Pending if now >= approval.expires_ms => "expired",
        State::Approved | State::Pending => "withdrawn",
    }
}

/// `APPROVAL_REQUIRED` with its reason.
pub fn required(reason: &str, fields: &[&str], approval: Option<&str>) -> Refusal {
    let mut message = "Must call approval.request() before messages.send().".to_owned();
    message += &match reason {
        "differs" => {
            format!(
                " The message differs from the approved one in: {}. It can be asked again.",
                fields.join(", ")
            )
        }
        "used" => " The approval has been used.".to_owned(),
        "expired" => " The approval has expired.".to_owned(),
        "declined" => " The user declined.".to_owned(),
        "withdrawn" => " The approval has been withdrawn.".to_owned(),
        "policy" => " The operator allows less since it was approved. It can be asked again.".to_owned(),
        _ => String::new(),
    };
    let mut details = json!({ "reason": reason });
    if !fields.is_empty() {
        details["fields"] = json!(fields);
    }
    if let Some(id) = approval {
        details["approvalId"] = json!(id);
    }
    Refusal::new(Code::ApprovalRequired, message).with(details)
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::sample;
    use super::*;

    fn approval(id: &str, state: State, binding: Binding, action: Option<Action>) -> Approval {
        let words = Words::new("send_message".into(), "t".into(), "d".into(), None).unwrap();
        let digest = action.as_ref().map_or_else(|| question_digest(&sample(), &words), Action::digest);
        Approval {
            id: id.into(),
            state,
            verdict: None,
            binding,
            digest,
            action,
            edited: None,
            words,
            asked_ms: 0,
            expires_ms: 1_000,
            outdated: false,
        }
    }

    fn other() -> Action {
        Action { body: "something else".into(), ..sample() }
    }

    fn reason(judgement: Judgement) -> String {
        let Judgement::Refuse { refusal, .. } = judgement else { panic!("{judgement:?}") };
        assert_eq!(refusal.code, Code::ApprovalRequired);
        refusal.details.unwrap()["reason"].as_str().unwrap().to_owned()
    }

    #[test]
    fn an_approved_message_leaves() {
        let approvals = [approval("appr_1", State::Approved, Binding::Exact, Some(sample()))];
        assert_eq!(judge(&approvals, &sample(), 0), Judgement::Release { approval: "appr_1".into() });
    }

    #[test]
    fn nothing_leaves_unasked_used_expired_or_withdrawn() {
        assert_eq!(reason(judge(&[], &sample(), 0)), "not_asked");
        let exact = |state| [approval("appr_1", state, Binding::Exact, Some(sample()))];
        assert_eq!(reason(judge(&exact(State::Used), &sample(), 0)), "used");
        assert_eq!(reason(judge(&exact(State::Expired), &sample(), 0)), "expired");
        assert_eq!(reason(judge(&exact(State::Approved), &sample(), 1_000)), "expired");
        assert_eq!(reason(judge(&exact(State::Cancelled), &sample(), 0)), "withdrawn");
        let question = [approval("appr_1", State::Approved, Binding::Question, None)];
        assert_eq!(reason(judge(&question, &sample(), 0)), "not_asked");
    }

    #[test]
    fn a_changed_message_is_refused_naming_the_fields_and_cancels_the_armed_one() {
        let approvals = [approval("appr_1", State::Approved, Binding::Exact, Some(sample()))];
        let Judgement::Refuse { refusal, cancel } = judge(&approvals, &other(), 0) else { panic!() };
        assert_eq!(cancel.as_deref(), Some("appr_1"));
        assert_eq!(refusal.details.unwrap()["fields"], json!(["body"]));
    }

    #[test]
    fn a_declined_message_is_denied_and_another_one_needs_asking() {
        let approvals = [approval("appr_1", State::Declined, Binding::Exact, Some(sample()))];
        let Judgement::Refuse { refusal, .. } = judge(&approvals, &sample(), 0) else { panic!() };
        assert_eq!(refusal.code, Code::ApprovalDenied);
        assert_eq!(reason(judge(&approvals, &other(), 0)), "declined");
    }

    #[test]
    fn a_hold_parks_whatever_comes() {
        let approvals = [approval("appr_1", State::Approved, Binding::Hold, None)];
        assert_eq!(judge(&approvals, &other(), 0), Judgement::Park { hold: "appr_1".into() });
        assert_eq!(reason(judge(&approvals, &other(), 1_000)), "expired");
    }

    #[test]
    fn the_ask_fixes_exact_then_declared_then_hold() {
        let found = || Found::Action(Box::new(sample()));
        assert_eq!(bind(found(), Some(other()), &[]), (Binding::Exact, Some(sample())));
        assert_eq!(bind(Found::Unknown, Some(other()), &[]), (Binding::Declared, Some(other())));
        assert_eq!(bind(Found::Unknown, None, &[]), (Binding::Hold, None));
        assert_eq!(bind(Found::Nothing, Some(other()), &[]), (Binding::Question, None));
    }

    #[test]
    fn an_ask_is_not_bound_to_what_an_earlier_approval_covers() {
        let same = [approval("appr_1", State::Approved, Binding::Exact, Some(sample()))];
        let hold = [approval("appr_1", State::Approved, Binding::Hold, None)];
        let different = [approval("appr_1", State::Approved, Binding::Exact, Some(other()))];
        let used = [approval("appr_1", State::Used, Binding::Exact, Some(sample()))];
        let found = || Found::Action(Box::new(sample()));
        assert_eq!(bind(found(), None, &same).0, Binding::Hold);
        assert_eq!(bind(Found::Unknown, Some(sample()), &same).0, Binding::Hold);
        assert_eq!(bind(found(), None, &hold).0, Binding::Hold);
        assert_eq!(bind(found(), None, &different).0, Binding::Exact);
        assert_eq!(bind(found(), None, &used).0, Binding::Exact);
    }
}

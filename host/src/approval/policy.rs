//! What the operator allows, beside what agents are granted and people sign. Pure.

use super::body::{Rendered, direction};
use super::four_eyes::FourEyes;
use super::{Action, Binding, BodyKind};
use crate::address::{self, Fault};
use crate::authority::Pattern;
use crate::clock::Millis;
use crate::printable::short;
use crate::refusals::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long an approval may stay undecided, and an approved message unused, where the operator does not say: 72 hours.
pub const PENDING_MS: Millis = 72 * HOUR_MS;
/// The longest an operator can allow: 30 days.
pub const PENDING_MS_MAX: Millis = 30 * 24 * HOUR_MS;
/// The longest under the strict policy: 24 hours.
pub const STRICT_PENDING_MS_MAX: Millis = 24 * HOUR_MS;

/// An hour, in milliseconds.
pub const HOUR_MS: Millis = 60 * 60 * 1000;

/// What the operator allows. Judged when an agent asks, when a person decides and when a message leaves, each time as it stands then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Policy {
    /// Whether a person may be asked about a message that is not known yet.
    pub hold: bool,
    /// Whether a body may be HTML.
    pub html: bool,
    /// Whether a subject or a line of a body may mix directions of writing, so that its order depends on who reads it.
    pub mixed_directions: bool,
    /// Whom mail may go to; `None` is anybody, an empty list nobody.
    pub recipients: Option<Vec<Pattern>>,
    /// How long an approval may stay undecided, and then unused.
    pub pending_ms: Millis,
    /// Where a second person signs. Judged when a person decides, and only then: what has been decided stays so.
    #[serde(default, skip_serializing_if = "FourEyes::is_off")]
    pub four_eyes: FourEyes,
}

/// A policy as it lies on disk.
#[derive(Deserialize)]
struct Written {
    hold: bool,
    html: bool,
    /// Policies were kept without it. What strict ones forbade then is what they forbid now: nobody's yes is taken back by that.
    mixed_directions: Option<bool>,
    recipients: Option<Vec<Pattern>>,
    pending_ms: Millis,
    #[serde(default)]
    four_eyes: FourEyes,
}

impl From<Written> for Policy {
    fn from(written: Written) -> Policy {
        let Written { hold, html, mixed_directions, recipients, pending_ms, four_eyes } = written;
        let mixed_directions = mixed_directions.unwrap_or(html);
        Policy { hold, html, mixed_directions, recipients, pending_ms, four_eyes }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            hold: true,
            html: true,
            mixed_directions: true,
            recipients: None,
            pending_ms: PENDING_MS,
            four_eyes: FourEyes::default(),
        }
    }
}

impl Policy {
    /// Judges a message.
    ///
    /// # Errors
    ///
    /// `INVALID_RECIPIENT` for what is no address to send to, by the rules of this release: a message that was asked about or
    /// signed under older ones does not leave either. `INVALID_PARAMETER` for HTML that is not allowed, `SCOPE_VIOLATION`
    /// naming every recipient that is not.
    pub fn admit(&self, action: &Action) -> Result<(), Refusal> {
        are_addresses(action)?;
        if action.body_kind == BodyKind::Html && !self.html {
            return Err(Refusal::parameter("bodyKind", "must be `text`: the operator allows no HTML"));
        }
        if !self.mixed_directions {
            one_direction(action)?;
        }
        let Some(allowed) = &self.recipients else { return Ok(()) };
        let is_allowed = |address: &&str| allowed.iter().any(|pattern| pattern.covers(address));
        let outside: Vec<_> = action.recipients().filter(|address| !is_allowed(address)).collect();
        match outside.is_empty() {
            true => Ok(()),
            false => {
                let message = format!("The operator allows no mail to: {}.", outside.join(", "));
                Err(Refusal::new(Code::ScopeViolation, message)
                    .with(json!({ "capability": action.capability, "outside": outside })))
            }
        }
    }

    /// Judges what an ask would be about.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` where nobody may be asked about a message that is not known.
    pub fn admit_binding(&self, binding: Binding) -> Result<(), Refusal> {
        match binding == Binding::Hold && !self.hold {
            true => Err(Refusal::parameter(
                "details",
                "must carry `to`, `subject` and the whole `body`: the operator allows no approval of a message that is not known",
            )),
            false => Ok(()),
        }
    }

    /// Whether this policy forbids any message that `before` allowed to leave.
    pub fn is_stricter_than(&self, before: &Policy) -> bool {
        let fewer_recipients = match (&self.recipients, &before.recipients) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(now), Some(before)) => before.iter().any(|pattern| !now.contains(pattern)),
        };
        let forbids = |now: bool, before: bool| before && !now;
        forbids(self.hold, before.hold)
            || forbids(self.html, before.html)
            || forbids(self.mixed_directions, before.mixed_directions)
            || fewer_recipients
            || self.pending_ms < before.pending_ms
    }
}

/// Refuses a message one of whose recipients is no address a message may go to, naming every such recipient.
///
/// # Errors
///
/// `INVALID_RECIPIENT`; the details give field, address and reason of each.
pub fn are_addresses(message: &Action) -> Result<(), Refusal> {
    let fields = [("to", &message.to), ("cc", &message.cc), ("bcc", &message.bcc)];
    let all = fields.iter().flat_map(|(field, list)| list.iter().map(move |address| (field, address)));
    let bad: Vec<_> = all.filter_map(|(field, text)| Some((field, text, address::fault(text)?))).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let mut message = "One or more email addresses are invalid.".to_owned();
    if let Some((_, text, fault)) = bad.iter().find(|(_, _, fault)| *fault != Fault::Grammar) {
        message += &format!(" `{}`: {fault}", short(text, ADDRESS_CHARS_MAX));
    }
    let listed = |(field, text, fault): &(_, &String, Fault)| {
        let address = &text[..text.floor_char_boundary(ADDRESS_CHARS_MAX)];
        json!({ "field": field, "address": address, "reason": fault.to_string() })
    };
    let recipients: Vec<_> = bad.iter().map(listed).collect();
    Err(Refusal::new(Code::InvalidRecipient, message).with(json!({ "recipients": recipients })))
}

/// How much of a bad address is quoted: enough to recognise it. It is hostile, and goes into journals and pages.
const ADDRESS_CHARS_MAX: usize = 120;

fn one_direction(action: &Action) -> Result<(), Refusal> {
    let mixed = match direction::is_mixed(&action.subject) {
        true => Some("subject"),
        false => (!Rendered::of(action).mixed.is_empty()).then_some("body"),
    };
    let what = "must not mix letters from the right with letters from the left or digits in one line: the operator allows no line \
                whose order depends on its reader. Give each its own line";
    mixed.map_or(Ok(()), |field| Err(Refusal::parameter(field, what)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::action::tests::sample;
    use proptest::prelude::*;

    fn patterns(texts: &[&str]) -> Option<Vec<Pattern>> {
        Some(texts.iter().map(|text| Pattern::new(*text)).collect())
    }

    fn to(recipients: &[&str]) -> Action {
        Action { to: recipients.iter().map(|text| (*text).to_owned()).collect(), ..sample() }
    }

    /// Every policy over three patterns and two durations.
    fn all() -> Vec<Policy> {
        let mut lists = vec![None];
        for chosen in 0..8 {
            let pool = ["*@x.com", "a@x.com", "*"].iter().enumerate();
            let list: Vec<_> =
                pool.filter(|(place, _)| chosen >> place & 1 == 1).map(|(_, text)| *text).collect();
            lists.push(patterns(&list));
        }
        let mut policies = Vec::new();
        for recipients in lists {
            for bits in 0..16 {
                policies.push(Policy {
                    hold: bits & 1 == 1,
                    html: bits & 2 == 2,
                    mixed_directions: bits & 8 == 8,
                    recipients: recipients.clone(),
                    pending_ms: if bits & 4 == 4 { PENDING_MS } else { HOUR_MS },
                    four_eyes: FourEyes::default(),
                });
            }
        }
        policies
    }

    /// Nothing that was allowed is forbidden now.
    fn keeps(now: &Policy, before: &Policy) -> bool {
        !now.is_stricter_than(before)
    }

    #[test]
    fn no_list_allows_anybody_and_an_empty_list_nobody() {
        let anybody = Policy::default();
        assert_eq!(anybody.admit(&to(&["a@x.com", "b@y.com"])), Ok(()));
        let nobody = Policy { recipients: patterns(&[]), ..Policy::default() };
        assert_eq!(nobody.admit(&to(&["a@x.com"])).unwrap_err().code, Code::ScopeViolation);
    }

    #[test]
    fn a_refusal_names_every_recipient_outside_the_hidden_ones_too() {
        let policy = Policy { recipients: patterns(&["*@x.com", "boss@y.com"]), ..Policy::default() };
        assert_eq!(policy.admit(&to(&["A@X.com", "boss@y.com"])), Ok(()));
        let mut action = to(&["a@x.com", "a@y.com"]);
        action.bcc = vec!["b@y.com".to_owned()];
        let refusal = policy.admit(&action).unwrap_err();
        assert_eq!(refusal.details.unwrap()["outside"], json!(["a@y.com", "b@y.com"]));
    }

    #[test]
    fn a_route_is_no_recipient_whatever_the_operator_allows() {
        for recipients in [
            None,
            patterns(&["*@company.com"]),
            patterns(&["*"]),
            patterns(&["thief%evil.example@company.com"]),
        ] {
            let policy = Policy { recipients, ..Policy::default() };
            let mut action = to(&["a@company.com", "thief%evil.example@company.com"]);
            action.bcc = vec!["evil.example!thief@company.com".into()];
            let refusal = policy.admit(&action).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidRecipient);
            assert_eq!(
                refusal.message,
                "One or more email addresses are invalid. `thief%evil.example@company.com`: Mail servers read `%` as a route to \
                 another domain: write the address of the one it is meant for."
            );
            assert_eq!(refusal.details.unwrap()["recipients"][1]["field"], "bcc");
        }
    }

    #[test]
    fn html_and_messages_that_are_not_known_can_be_forbidden() {
        let policy = Policy { html: false, hold: false, ..Policy::default() };
        let html = Action { body_kind: BodyKind::Html, ..sample() };
        assert_eq!(policy.admit(&html).unwrap_err().code, Code::InvalidParameter);
        assert_eq!(Policy::default().admit(&html), Ok(()));
        for binding in [Binding::Exact, Binding::Declared, Binding::Question, Binding::Hold] {
            assert_eq!(policy.admit_binding(binding).is_err(), binding == Binding::Hold, "{binding:?}");
            assert_eq!(Policy::default().admit_binding(binding), Ok(()));
        }
    }

    #[test]
    fn lines_whose_order_depends_on_the_reader_can_be_forbidden() {
        let policy = Policy { mixed_directions: false, ..Policy::default() };
        let told = |action: Action| {
            policy.admit(&action).map_err(|refusal| refusal.details.unwrap()["parameter"].clone())
        };
        assert_eq!(
            told(Action { subject: "Account 1111 \u{5d0} 3704".into(), ..sample() }),
            Err("subject".into())
        );
        assert_eq!(told(Action { body: "a\nIBAN DE89 \u{627} 3704".into(), ..sample() }), Err("body".into()));
        assert_eq!(
            told(Action { body: "\u{5e9}\u{5dc}\u{5d5}\u{5dd}!\nHello 5".into(), ..sample() }),
            Ok(())
        );
    }

    #[test]
    fn a_policy_that_was_kept_before_it_spoke_of_directions_is_no_stricter_than_it_was() {
        let kept = |html: bool| -> Policy {
            serde_json::from_str(&format!(
                r#"{{"hold":true,"html":{html},"recipients":null,"pending_ms":1}}"#
            ))
            .unwrap()
        };
        assert!(kept(true).mixed_directions && !kept(false).mixed_directions);
        let written = serde_json::to_string(&Policy { mixed_directions: true, ..kept(false) }).unwrap();
        assert!(serde_json::from_str::<Policy>(&written).unwrap().mixed_directions);
    }

    #[test]
    fn no_policy_is_stricter_than_itself() {
        for policy in all() {
            assert!(!policy.is_stricter_than(&policy), "{policy:?}");
        }
    }

    /// Being stricter as such does not carry over: each of two changes may take away what the other gives back. That nothing
    /// is taken away does, and so does being stricter in some ways and looser in none.
    #[test]
    fn taking_nothing_away_carries_over_from_change_to_change() {
        let all = all();
        let kept: Vec<Vec<bool>> =
            all.iter().map(|now| all.iter().map(|before| keeps(now, before)).collect()).collect();
        let places = 0..all.len();
        for a in places.clone() {
            for b in places.clone().filter(|b| kept[*b][a]) {
                for c in places.clone().filter(|c| kept[*c][b]) {
                    assert!(kept[c][a], "{:?} then {:?} then {:?}", all[a], all[b], all[c]);
                    // Where either step gave something, both together did.
                    let gave = |now: usize, before: usize| !kept[before][now];
                    assert!(gave(c, a) || !gave(b, a) && !gave(c, b));
                }
            }
        }
    }

    #[test]
    fn each_setting_alone_makes_a_policy_stricter() {
        let before = Policy { recipients: patterns(&["*@x.com", "a@y.com"]), ..Policy::default() };
        let stricter = [
            Policy { hold: false, ..before.clone() },
            Policy { html: false, ..before.clone() },
            Policy { mixed_directions: false, ..before.clone() },
            Policy { recipients: patterns(&["*@x.com"]), ..before.clone() },
            Policy { recipients: patterns(&[]), ..before.clone() },
            Policy { pending_ms: before.pending_ms - 1, ..before.clone() },
        ];
        for now in stricter {
            assert!(now.is_stricter_than(&before) && !before.is_stricter_than(&now), "{now:?}");
        }
        let anybody = Policy::default();
        assert!(before.is_stricter_than(&anybody) && !anybody.is_stricter_than(&before));
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let pattern = "[ab*]{0,2}@?[ab*]{0,2}".prop_map(Pattern::new);
        let recipients = prop::option::of(prop::collection::vec(pattern, 0..6));
        (any::<[bool; 3]>(), recipients, 1..=PENDING_MS_MAX).prop_map(
            |([hold, html, mixed_directions], recipients, pending_ms)| Policy {
                hold,
                html,
                mixed_directions,
                recipients,
                pending_ms,
                ..Policy::default()
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_allowed_stays_allowed_unless_the_policy_became_stricter(
            before in any_policy(),
            other in any_policy(),
            loosen in any::<bool>(),
            recipients in prop::collection::vec("[ab]{1,2}@[ab]{1,2}", 1..4),
            is_html in any::<bool>(),
        ) {
            // Two policies at random are rarely comparable, so half of the time one that gives more is made of them.
            let now = match loosen {
                false => other,
                true => Policy {
                    hold: before.hold || other.hold,
                    html: before.html || other.html,
                    mixed_directions: before.mixed_directions || other.mixed_directions,
                    recipients: match (&before.recipients, other.recipients) {
                        (Some(old), Some(more)) => Some(more.into_iter().chain(old.clone()).collect()),
                        _ => None,
                    },
                    pending_ms: before.pending_ms.max(other.pending_ms),
                    four_eyes: FourEyes::default(),
                },
            };
            prop_assert!(!loosen || keeps(&now, &before));
            if keeps(&now, &before) {
                let body_kind = if is_html { BodyKind::Html } else { BodyKind::Text };
                let action = Action { to: recipients, body_kind, ..sample() };
                prop_assert!(before.admit(&action).is_err() || now.admit(&action).is_ok());
                for binding in [Binding::Exact, Binding::Declared, Binding::Question, Binding::Hold] {
                    prop_assert!(before.admit_binding(binding).is_err() || now.admit_binding(binding).is_ok());
                }
                prop_assert!(now.pending_ms >= before.pending_ms);
            }
        }
    }
}

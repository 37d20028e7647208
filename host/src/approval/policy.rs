//! What the operator allows, beside what agents are granted and people sign. Pure.

use super::{Action, Binding, BodyKind};
use crate::authority::Pattern;
use crate::clock::Millis;
use crate::refusals::{Code, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How long an approval may stay undecided, and an approved message unused, where the operator does not say: 72 hours.
pub const PENDING_MS: Millis = 72 * HOUR_MS;
/// The longest an operator can allow: 30 days.
pub const PENDING_MS_MAX: Millis = 30 * 24 * HOUR_MS;
/// The longest under the strict policy: 24 hours.
pub const STRICT_PENDING_MS_MAX: Millis = 24 * HOUR_MS;

const HOUR_MS: Millis = 60 * 60 * 1000;

/// What the operator allows. Judged when an agent asks, when a person decides and when a message leaves, each time as it stands then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether a person may be asked about a message that is not known yet.
    pub hold: bool,
    /// Whether a body may be HTML.
    pub html: bool,
    /// Whom mail may go to; `None` is anybody, an empty list nobody.
    pub recipients: Option<Vec<Pattern>>,
    /// How long an approval may stay undecided, and then unused.
    pub pending_ms: Millis,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { hold: true, html: true, recipients: None, pending_ms: PENDING_MS }
    }
}

impl Policy {
    /// Judges a message.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for HTML that is not allowed, `SCOPE_VIOLATION` naming every recipient that is not.
    pub fn admit(&self, action: &Action) -> Result<(), Refusal> {
        if action.body_kind == BodyKind::Html && !self.html {
            return Err(Refusal::parameter("bodyKind", "must be `text`: the operator allows no HTML"));
        }
        let Some(allowed) = &self.recipients else { return Ok(()) };
        let is_allowed = |address: &&str| allowed.iter().any(|pattern| pattern.matches(address));
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

    /// Whether this policy forbids anything that `before` allowed.
    pub fn is_stricter_than(&self, before: &Policy) -> bool {
        let fewer_recipients = match (&self.recipients, &before.recipients) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(now), Some(before)) => before.iter().any(|pattern| !now.contains(pattern)),
        };
        let forbids = |now: bool, before: bool| before && !now;
        forbids(self.hold, before.hold)
            || forbids(self.html, before.html)
            || fewer_recipients
            || self.pending_ms < before.pending_ms
    }
}

//! The guest's side of the counter.

use super::{REQUEST, RESULT, View};
use crate::approval::{ASKS_PER_RUN_MAX, Approval, PENDING_MS, Words, decision::State};
use crate::clock::{Millis, rfc3339};
use crate::journal::{Live, Stop, ToolError};
use crate::refusals::{Code, Refusal};
use crate::tools::bindings::approval::approval::{Answer, Ask, Host};
use crate::tools::{into_guest, types};
use serde_json::json;

impl types::Host for View<'_> {
    fn convert_tool_error(&mut self, error: ToolError) -> wasmtime::Result<types::ToolError> {
        into_guest(error)
    }
}

impl Host for View<'_> {
    async fn request(&mut self, request: Ask) -> Result<Answer, ToolError> {
        // Never answered here: the decision puts the answer into the journal, and the run is picked up behind it.
        let asks = self.journal.count(&REQUEST);
        let live = async {
            let Ask { action, title, description, details } = request.clone();
            let words = Words::new(action, title, description, details.as_deref())?;
            if asks >= ASKS_PER_RUN_MAX {
                return Err(too_many(ASKS_PER_RUN_MAX, "in one run").into());
            }
            Err::<Live<Answer>, _>(Stop::Ask(Box::new(words)).into())
        };
        self.journal.answer(&REQUEST, &request, live).await
    }

    async fn result(&mut self, approval_id: String) -> Result<Option<Answer>, ToolError> {
        let View { journal, approvals } = self;
        let live = async {
            // Only this run's approvals are here, so a guessed id of another run looks like one that does not exist.
            let approval = approvals.iter().find(|approval| approval.id == approval_id).ok_or_else(|| {
                Refusal::new(Code::ResourceNotFound, "No such approval in this run.")
                    .with(json!({ "parameter": "approvalId" }))
            })?;
            Ok(Live::answer(
                verdict(approval).map(|approved| answer(&approval.id, approved, approval.asked_ms)),
            ))
        };
        journal.answer(&RESULT, &approval_id, live).await
    }
}

/// Whether the person agreed; `None` while they have not said.
fn verdict(approval: &Approval) -> Option<bool> {
    match approval.state {
        State::Pending => None,
        State::Approved | State::Used => Some(true),
        State::Declined | State::Expired | State::Cancelled => Some(false),
    }
}

/// What an ask hears when too many are about.
pub fn too_many(limit: usize, what: &str) -> Refusal {
    Refusal::new(Code::RateLimitExceeded, format!("Too many approvals: {limit} {what}."))
        .with(json!({ "limit": limit, "remaining": 0, "reset": PENDING_MS / 1000 }))
}

/// What the guest hears of a decision. Its time is that of the ask, so that the answer known ahead is the answer.
pub fn answer(id: &str, approved: bool, asked: Millis) -> Answer {
    Answer { approved, approval_id: id.to_owned(), timestamp: rfc3339(asked), extras: None }
}

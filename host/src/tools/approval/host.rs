//! The guest's side of the counter.

use super::{REQUEST, RESULT, View};
use crate::approval::{ASKS_PER_RUN_MAX, Verdict, Words, decision::State};
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
        let too_often = self.journal.has_answered(&REQUEST, ASKS_PER_RUN_MAX);
        let live = async {
            let Ask { action, title, description, details } = request.clone();
            let words = Words::new(action, title, description, details.as_deref())?;
            if too_often {
                return Err(too_many(ASKS_PER_RUN_MAX, "in one run", None).into());
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
            let decided = approval.state != State::Pending;
            Ok(Live::answer(decided.then(|| answer(&approval.id, approval.verdict, approval.asked_ms))))
        };
        journal.answer(&RESULT, &approval_id, live).await
    }
}

/// What an ask hears when too many are about.
///
/// `reset_ms` is when there will be room again at the latest; within one run there never is.
pub fn too_many(limit: usize, what: &str, reset_ms: Option<Millis>) -> Refusal {
    Refusal::new(Code::RateLimitExceeded, format!("Too many approvals: {limit} {what}."))
        .with(json!({ "limit": limit, "remaining": 0, "reset": reset_ms.map(|ms| ms / 1000) }))
}

/// What the guest hears of a decision; without a verdict, that nobody decided in time. Its time is that of the ask, so that the answer
/// known ahead is the answer.
pub fn answer(id: &str, verdict: Option<Verdict>, asked: Millis) -> Answer {
    let expired = || json!({ "reason": "expired" }).to_string();
    Answer {
        approved: verdict == Some(Verdict::Approve),
        approval_id: id.to_owned(),
        timestamp: rfc3339(asked),
        extras: verdict.is_none().then(expired),
    }
}

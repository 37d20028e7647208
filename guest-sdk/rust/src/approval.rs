//! Ask a person before acting.

use crate::bindings::countersign::approval::approval as raw;
use crate::{Error, Value, json_member};

/// The tool for approvals. It needs no capability.
#[derive(Clone, Copy, Debug)]
pub struct Approval(());

impl Approval {
    pub(crate) fn new() -> Approval {
        Approval(())
    }

    /// Waits until a person has decided, which may take days and outlive the process.
    ///
    /// The person is shown the guarded call the agent makes next, and it alone is approved; the request is quoted beside
    /// it as the agent's words. So ask right before the call, with all it needs at hand.
    ///
    /// Errors: those of the guarded call that would follow, where it is certain to be refused whatever a person says:
    /// `CAPABILITY_DENIED`, `INVALID_RECIPIENT`, `SCOPE_VIOLATION`, `INVALID_PARAMETER`, the last also where `details` is too
    /// large or too deep; `RATE_LIMIT_EXCEEDED` where the same message has been asked about too often. So one `match` stands
    /// around both the ask and the call. A person who declines is an answer, not an error.
    pub fn request(&self, request: Request) -> Result<Answer, Error> {
        let answer = raw::request(&raw::Ask {
            action: request.action,
            title: request.title,
            description: request.description,
            details: request.details.map(|details| details.to_string()),
        })?;
        Ok(answer.into())
    }

    /// Looks up an approval this run asked for. `None` while it is pending.
    ///
    /// Errors: `RESOURCE_NOT_FOUND` where this run asked for no such approval.
    pub fn result(&self, approval_id: &str) -> Result<Option<Answer>, Error> {
        Ok(raw::result(approval_id)?.map(Answer::from))
    }
}

/// What the agent tells the person.
///
/// ```
/// use countersign_sdk::{Request, json};
///
/// let request = Request::new("send_message", "Send the report")
///     .description("Sends the quarterly report to the team.")
///     .details(json!({ "to": ["team@company.com"], "subject": "Report" }));
/// assert_eq!(request.action, "send_message");
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The kind of action, such as `send_message`.
    pub action: String,
    /// One line, of which at most 120 characters are shown.
    pub title: String,
    /// Why, of which at most 500 characters are shown.
    pub description: String,
    /// A JSON object saying what will be done: at most 64 KiB and 32 levels.
    pub details: Option<Value>,
}

impl Request {
    /// A request with an empty description and no details.
    pub fn new(action: impl Into<String>, title: impl Into<String>) -> Request {
        Request { action: action.into(), title: title.into(), ..Request::default() }
    }

    /// Sets the description, of which at most 500 characters are shown.
    pub fn description(self, description: impl Into<String>) -> Request {
        Request { description: description.into(), ..self }
    }

    /// Sets the details, a JSON object of at most 64 KiB and 32 levels.
    pub fn details(self, details: Value) -> Request {
        Request { details: Some(details), ..self }
    }
}

/// What the person answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Whether the person agreed. False too where nobody answered in time.
    pub approved: bool,
    /// Names this approval, `appr_…`.
    pub approval_id: String,
    /// When it was asked, so that the answer is known before it is given; RFC 3339.
    pub timestamp: String,
    /// A JSON object for whatever the answer gains later; `null` where there is nothing.
    pub extras: Value,
}

impl From<raw::Answer> for Answer {
    fn from(answer: raw::Answer) -> Answer {
        Answer {
            approved: answer.approved,
            approval_id: answer.approval_id,
            timestamp: answer.timestamp,
            extras: json_member(answer.extras),
        }
    }
}

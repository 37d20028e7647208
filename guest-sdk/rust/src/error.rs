//! Why a call was refused, or why an agent gave up.

use crate::{Value, bindings, json_member};
use std::fmt;

/// Every code a tool may answer with. `countersign explain CODE` shows the page of each.
///
/// The list may grow, so treat a code that is not here like [`INTERNAL_ERROR`](codes::INTERNAL_ERROR).
pub mod codes {
    /// The user has not granted the capability.
    pub const CAPABILITY_DENIED: &str = "CAPABILITY_DENIED";
    /// A guarded call without an approval that covers exactly it.
    pub const APPROVAL_REQUIRED: &str = "APPROVAL_REQUIRED";
    /// The person declined the action this call would take.
    pub const APPROVAL_DENIED: &str = "APPROVAL_DENIED";
    /// One or more addresses are invalid; the details list them.
    pub const INVALID_RECIPIENT: &str = "INVALID_RECIPIENT";
    /// A parameter is missing or malformed; the details name it.
    pub const INVALID_PARAMETER: &str = "INVALID_PARAMETER";
    /// The start lies after the end.
    pub const INVALID_DATE_RANGE: &str = "INVALID_DATE_RANGE";
    /// The resource lies outside the manifest's scopes.
    pub const SCOPE_VIOLATION: &str = "SCOPE_VIOLATION";
    /// No file has this path.
    pub const FILE_NOT_FOUND: &str = "FILE_NOT_FOUND";
    /// No such message, approval or other thing.
    pub const RESOURCE_NOT_FOUND: &str = "RESOURCE_NOT_FOUND";
    /// The user's storage is full.
    pub const STORAGE_QUOTA_EXCEEDED: &str = "STORAGE_QUOTA_EXCEEDED";
    /// An external call failed; the details say `"outcome": "uncertain"` where it may have happened all the same.
    pub const NETWORK_ERROR: &str = "NETWORK_ERROR";
    /// Too many requests; the details carry `limit`, `remaining` and `reset` in seconds.
    pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";
    /// The operation took too long.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// Anything unexpected.
    pub const INTERNAL_ERROR: &str = "INTERNAL_ERROR";
}

/// Why a call was refused; or, returned by an agent, why it gave up.
///
/// ```
/// use countersign_sdk::{Error, codes, json};
///
/// let error = Error::new(codes::INVALID_PARAMETER, "Parameter `week` must be 1 to 53.")
///     .details(json!({ "parameter": "week" }));
/// assert_eq!(error.code, codes::INVALID_PARAMETER);
/// assert_eq!(error.to_string(), "INVALID_PARAMETER: Parameter `week` must be 1 to 53.");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// One of [`codes`]; an agent's own errors may use others.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// A JSON object: the bad addresses, the parameter at fault, the cure.
    pub details: Option<Value>,
}

impl Error {
    /// An error without details.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Error {
        Error { code: code.into(), message: message.into(), details: None }
    }

    /// Adds the details, a JSON object.
    pub fn details(self, details: Value) -> Error {
        Error { details: Some(details), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<bindings::ToolError> for Error {
    fn from(error: bindings::ToolError) -> Error {
        let details = error.details.map(|details| json_member(Some(details)));
        Error { code: error.code, message: error.message, details }
    }
}

impl From<Error> for bindings::ToolError {
    fn from(error: Error) -> bindings::ToolError {
        let details = error.details.map(|details| details.to_string());
        bindings::ToolError { code: error.code, message: error.message, details }
    }
}

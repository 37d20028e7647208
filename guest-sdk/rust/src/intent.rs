//! What is asked, and under which circumstances.

use crate::{Error, Value, bindings, codes, json, json_member};
use serde::de::DeserializeOwned;

/// What is asked of the agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// One of the actions the manifest lists, such as `send_report`; any action where the manifest lists none.
    pub action: String,
    /// A JSON object that satisfied the manifest's schema for this action.
    pub parameters: Value,
}

impl Intent {
    /// Reads one parameter as a type of your choice. One that is absent reads as `null`, so ask for an `Option` where a
    /// parameter may be missing.
    ///
    /// Errors: `INVALID_PARAMETER`, naming the parameter, where it is missing or of another type.
    ///
    /// ```
    /// use countersign_sdk::{Intent, codes, json};
    ///
    /// let intent = Intent { action: "digest".into(), parameters: json!({ "limit": 20 }) };
    /// assert_eq!(intent.parameter::<u32>("limit")?, 20);
    /// assert_eq!(intent.parameter::<Option<String>>("from")?, None);
    ///
    /// let error = intent.parameter::<String>("from").unwrap_err();
    /// assert_eq!(error.code, codes::INVALID_PARAMETER);
    /// assert_eq!(error.message, "Parameter `from` is missing.");
    /// # Ok::<(), countersign_sdk::Error>(())
    /// ```
    pub fn parameter<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        let value = self.parameters.get(name);
        T::deserialize(value.unwrap_or(&Value::Null)).map_err(|error| {
            let problem = value.map_or("is missing".to_owned(), |_| format!("cannot be read: {error}"));
            Error::new(codes::INVALID_PARAMETER, format!("Parameter `{name}` {problem}."))
                .details(json!({ "parameter": name }))
        })
    }

    /// The error for an action the agent does not know: the last arm of a `match` on `action`.
    pub fn unknown_action(&self) -> Error {
        Error::new(codes::INVALID_PARAMETER, format!("This agent has no action `{}`.", self.action))
            .details(json!({ "parameter": "action" }))
    }
}

impl TryFrom<bindings::Intent> for Intent {
    type Error = Error;

    fn try_from(intent: bindings::Intent) -> Result<Intent, Error> {
        let parameters = serde_json::from_str(&intent.parameters).map_err(|error| {
            Error::new(codes::INTERNAL_ERROR, format!("The host's parameters are no JSON: {error}."))
        })?;
        Ok(Intent { action: intent.action, parameters })
    }
}

/// Circumstances of the intent. All times are those of the run's record, so they repeat when it is replayed.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// What the user typed, where there was text.
    pub text: Option<String>,
    /// The user on whose behalf the agent acts.
    pub user_id: String,
    /// When the intent was submitted: milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: i64,
    /// The same instant as RFC 3339 text in UTC.
    pub now: String,
    /// A JSON object for whatever the context gains later; `null` where there is nothing.
    pub extras: Value,
}

impl From<bindings::Context> for Context {
    fn from(context: bindings::Context) -> Context {
        Context {
            text: context.text,
            user_id: context.user_id,
            // The contract promises a whole number, which is a float only because JavaScript has nothing else.
            timestamp_ms: context.timestamp as i64,
            now: context.now,
            extras: json_member(context.extras),
        }
    }
}

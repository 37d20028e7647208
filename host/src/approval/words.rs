//! What an agent says when it asks. It is shown as the agent's words and decides nothing.

use crate::refusals::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The longest `action`, in bytes.
pub const ACTION_BYTES_MAX: usize = 64;
/// The longest `title`, in bytes.
pub const TITLE_BYTES_MAX: usize = 1024;
/// The longest `description`, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 8 * 1024;
/// The longest `details`, in bytes of JSON text.
pub const DETAILS_BYTES_MAX: usize = 64 * 1024;
/// How deep arrays and objects in `details` may nest.
pub const DETAILS_DEPTH_MAX: usize = 32;

/// The agent's account of what it is about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Words {
    /// The kind of action, such as `send_message`.
    pub action: String,
    /// One line.
    pub title: String,
    /// A few lines.
    pub description: String,
    /// What will be done.
    pub details: Map<String, Value>,
}

impl Words {
    /// Bounds and reads what a guest handed over.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER`, naming the field and its limit.
    pub fn new(
        action: String,
        title: String,
        description: String,
        details: Option<&str>,
    ) -> Result<Words, Refusal> {
        let required = [("action", &action, ACTION_BYTES_MAX), ("title", &title, TITLE_BYTES_MAX)];
        for (field, text, bytes_max) in required {
            if text.is_empty() {
                return Err(Refusal::parameter(field, "is required"));
            }
            check_length(field, text, bytes_max)?;
        }
        check_length("description", &description, DESCRIPTION_BYTES_MAX)?;
        let details = details.unwrap_or("{}");
        check_length("details", details, DETAILS_BYTES_MAX)?;
        if depth(details) > DETAILS_DEPTH_MAX {
            return Err(Refusal::parameter(
                "details",
                format!("may nest at most {DETAILS_DEPTH_MAX} levels deep"),
            ));
        }
        let details = serde_json::from_str(details)
            .map_err(|error| Refusal::parameter("details", format!("must be a JSON object: {error}")))?;
        Ok(Words { action, title, description, details })
    }

    /// The message the agent spelled out in `details`: recipients, subject and the whole body, where it did.
    pub fn declared(&self) -> Option<Declared> {
        let text = |field: &str| Some(self.details.get(field)?.as_str()?.to_owned());
        let list = |field: &str| match self.details.get(field) {
            None => Some(Vec::new()),
            Some(value) => value.as_array()?.iter().map(|item| Some(item.as_str()?.to_owned())).collect(),
        };
        Some(Declared {
            to: list("to").filter(|to: &Vec<String>| !to.is_empty())?,
            cc: list("cc")?,
            bcc: list("bcc")?,
            subject: text("subject")?,
            body: text("body")?,
            body_kind: match self.details.get("bodyKind") {
                None => None,
                Some(kind) => Some(kind.as_str()?.to_owned()),
            },
        })
    }
}

/// A message spelled out in `details`.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields of a message, as in the contract")]
pub struct Declared {
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub subject: String,
    pub body: String,
    pub body_kind: Option<String>,
}

fn check_length(field: &str, text: &str, bytes_max: usize) -> Result<(), Refusal> {
    match text.len() > bytes_max {
        true => Err(Refusal::parameter(field, format!("is longer than {bytes_max} bytes"))),
        false => Ok(()),
    }
}

/// How deep arrays and objects nest, counted without recursion: the text is hostile and may be nothing but brackets.
pub fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(details: &str) -> Result<Words, Refusal> {
        Words::new("send_message".into(), "Title".into(), "".into(), Some(details))
    }

    #[test]
    fn details_are_an_object_within_depth_and_size() {
        assert!(words("{}").is_ok());
        for bad in ["[]", "1", "", "{", "null"] {
            assert_eq!(words(bad).unwrap_err().details.unwrap()["parameter"], "details", "{bad}");
        }
        let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(words(&nested(DETAILS_DEPTH_MAX - 1)).is_ok());
        assert!(words(&nested(DETAILS_DEPTH_MAX)).is_err());
        assert!(words(&nested(20_000)).is_err());
        assert!(words(&format!("{{\"a\":\"{}\"}}", "x".repeat(DETAILS_BYTES_MAX))).is_err());
        assert!(words("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}").is_ok());
    }

    #[test]
    fn action_and_title_are_required() {
        assert!(Words::new("".into(), "t".into(), "d".into(), None).is_err());
        assert!(Words::new("a".into(), "".into(), "d".into(), None).is_err());
        assert!(Words::new("a".into(), "t".into(), "".into(), None).is_ok());
    }

    #[test]
    fn a_message_is_declared_only_when_the_whole_body_is_there() {
        assert!(words(r#"{"to":["a@b"],"subject":"s","preview":"p"}"#).unwrap().declared().is_none());
        let declared = words(r#"{"to":["a@b"],"subject":"s","body":"b"}"#).unwrap().declared().unwrap();
        assert_eq!((declared.to, declared.cc, declared.body.as_str()), (vec!["a@b".to_owned()], vec![], "b"));
        assert!(words(r#"{"to":[],"subject":"s","body":"b"}"#).unwrap().declared().is_none());
        assert!(words(r#"{"to":["a@b"],"cc":"x@y","subject":"s","body":"b"}"#).unwrap().declared().is_none());
    }
}

//! One answered call.

use crate::clock::Millis;
use crate::refusals::Refusal;

/// One answered call. Its number is its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which call, `messages.list`.
    pub call: String,
    /// Its arguments, as JSON text. A replay must repeat them byte for byte.
    pub request: String,
    /// What the guest heard.
    pub answer: Answer,
    /// When it heard it. The run's clock stands here until the next answer.
    pub at_ms: Millis,
}

/// What a guest heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A value, as JSON text.
    Value(String),
    /// A refusal. It is recorded like any answer, so a replay never judges again.
    Refused(Refusal),
}

impl Entry {
    /// How much of the journal it takes.
    pub fn bytes(&self) -> usize {
        let answer = match &self.answer {
            Answer::Value(json) => json.len(),
            Answer::Refused(Refusal { message, details, .. }) => {
                message.len() + details.as_ref().map_or(0, |details| details.to_string().len())
            }
        };
        self.call.len() + self.request.len() + answer
    }
}

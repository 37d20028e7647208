//! Does what its parameters say, step by step, and answers with a transcript.
//!
//! The action is `script`; its parameters are `{"steps": [STEP…], "card": CARD?}`. A step is
//! `{"call": NAME, "with": {…}?, "when": "approved" | "declined"?, "full": bool?, "times": number?}`:
//!
//! | call | with | transcript |
//! |---|---|---|
//! | `messages.list` | `from`, `after`, `limit` | array of `id from subject`; with `full`, of messages, long bodies cut |
//! | `messages.send` | `to`, `cc`, `bcc`, `subject`, `body`, `bodyKind`; `$lines` in `body` are the lines so far | `{id, timestamp}`, and `extras` where there are any |
//! | `approval.request` | `action`, `title`, `description`, `details` | `{approved, approvalId, timestamp, extras}` |
//! | `approval.result` | `approvalId`, where `$last` is that of the last answer | the same, or null |
//! | `log` | `text` | null |
//! | `clock` | | `{now, elapsed}` in ms: since 1970, and since the script began |
//! | `random` | | a number |
//! | `sleep` | `ms` | null |
//! | `loop` | `n`: how many turns to burn | null |
//! | `fail` | `code`, `message`, `details` | none: the script ends with this error |
//! | `trap` | | none: the run ends |
//!
//! A step with `when` is left out, line and all, unless the last answer says so. Every other step adds a line, as often
//! as `times` says: `CALL -> ok JSON` or `CALL -> CODE MESSAGE DETAILS`. The answer is the card given, written
//! `{type, title, …}`, or none where it is given as null, or a `result` titled `transcript` with the lines as its body.
//!
//! The raw bindings are used, and nothing is checked, so that bad values reach the host: a missing string is empty, a
//! missing list has no members, a limit is cut to 32 bits, and `details` given as a string cross as that very string.
//! A long string is written `{"repeat": "x", "times": 1000}`.

use countersign_sdk::bindings::countersign::{approval::approval, messages::messages};
use countersign_sdk::bindings::{self, Card, Context, Guest, Intent, ToolError};
use countersign_sdk::{Value, codes, json, serde_json};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant, SystemTime};

struct Script {
    began: Instant,
    last: Option<approval::Answer>,
    lines: Vec<String>,
}

bindings::export!(Script with_types_in bindings);

impl Guest for Script {
    fn handle_intent(intent: Intent, _context: Context) -> Result<Option<Card>, ToolError> {
        if intent.action != "script" {
            return Err(invalid("action", &intent.action));
        }
        let parameters: Value = serde_json::from_str(&intent.parameters)
            .map_err(|error| invalid("parameters", &error.to_string()))?;
        let mut script = Script { began: Instant::now(), last: None, lines: Vec::new() };
        for step in parameters["steps"].as_array().into_iter().flatten() {
            let (call, with) = (text(step, "call"), &step["with"]);
            if !script.is_due(step) {
                continue;
            }
            if call == "fail" {
                return Err(ToolError {
                    code: text(with, "code"),
                    message: text(with, "message"),
                    details: details(with),
                });
            }
            for _ in 0..step["times"].as_u64().unwrap_or(1) {
                let answer = script.perform(&call, with, step["full"] == true);
                script.lines.push(match answer {
                    Ok(answer) => format!("{call} -> ok {answer}"),
                    Err(ToolError { code, message, details }) => {
                        format!("{call} -> {code} {message} {}", details.as_deref().unwrap_or("null"))
                    }
                });
            }
        }
        Ok(match parameters.get("card") {
            Some(Value::Null) => None,
            Some(card) => Some(given(card)),
            None => Some(given(&json!({ "type": "result", "title": "transcript", "body": script.told() }))),
        })
    }
}

impl Script {
    /// Whether the last answer is the one the step wants, if it wants one.
    fn is_due(&self, step: &Value) -> bool {
        match step.get("when") {
            Some(when) => self.last.as_ref().is_some_and(|last| when == word(last.approved)),
            None => true,
        }
    }

    /// The lines so far.
    fn told(&self) -> String {
        self.lines.join("\n")
    }

    fn perform(&mut self, call: &str, with: &Value, full: bool) -> Result<Value, ToolError> {
        match call {
            "messages.list" => {
                let listed = messages::list(&messages::Filter {
                    from: maybe(with, "from"),
                    after: maybe(with, "after"),
                    limit: with["limit"].as_i64().map(|limit| limit as i32),
                })?;
                Ok(listed.iter().map(if full { whole } else { brief }).collect())
            }
            "messages.send" => {
                let sent = messages::send(&messages::Outgoing {
                    to: texts(with, "to"),
                    cc: texts(with, "cc"),
                    bcc: texts(with, "bcc"),
                    subject: text(with, "subject"),
                    body: text(with, "body").replace("$lines", &self.told()),
                    body_kind: maybe(with, "bodyKind"),
                })?;
                let mut heard = json!({ "id": sent.id, "timestamp": sent.timestamp });
                if let Some(extras) = sent.extras {
                    heard["extras"] = serde_json::from_str(&extras).unwrap_or_default();
                }
                Ok(heard)
            }
            "approval.request" => {
                let answer = approval::request(&approval::Ask {
                    action: text(with, "action"),
                    title: text(with, "title"),
                    description: text(with, "description"),
                    details: details(with),
                })?;
                Ok(self.heard(answer))
            }
            "approval.result" => {
                let id = match (text(with, "approvalId"), &self.last) {
                    (id, Some(last)) if id == "$last" => last.approval_id.clone(),
                    (id, _) => id,
                };
                Ok(approval::result(&id)?.map(|answer| self.heard(answer)).into())
            }
            "log" => {
                println!("{}", text(with, "text"));
                Ok(Value::Null)
            }
            "clock" => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Ok(
                    json!({ "now": now.as_millis() as u64, "elapsed": self.began.elapsed().as_millis() as u64 }),
                )
            }
            "random" => Ok(RandomState::new().build_hasher().finish().into()),
            "sleep" => {
                std::thread::sleep(Duration::from_millis(with["ms"].as_u64().unwrap_or(0)));
                Ok(Value::Null)
            }
            "loop" => {
                for turn in 0..with["n"].as_u64().unwrap_or(0) {
                    std::hint::black_box(turn);
                }
                Ok(Value::Null)
            }
            "trap" => std::process::abort(),
            _ => Err(invalid("call", call)),
        }
    }

    /// Remembers an answer for `when` and `$last`.
    fn heard(&mut self, answer: approval::Answer) -> Value {
        let shown = json!({
            "approved": answer.approved,
            "approvalId": answer.approval_id,
            "timestamp": answer.timestamp,
            "extras": json_member(answer.extras.as_deref()),
        });
        self.last = Some(answer);
        shown
    }
}

fn word(approved: bool) -> &'static str {
    if approved { "approved" } else { "declined" }
}

fn brief(message: &messages::Message) -> Value {
    format!("{} {} {}", message.id, message.from, message.subject).into()
}

fn whole(message: &messages::Message) -> Value {
    let (length, start) = (message.body.len(), message.body.chars().take(20).collect::<String>());
    let body = if length > 1000 { format!("{start}… {length} bytes") } else { message.body.clone() };
    json!({
        "id": message.id,
        "from": message.from,
        "to": message.to,
        "subject": message.subject,
        "body": body,
        "truncated": message.truncated,
        "timestamp": message.timestamp,
        "unread": message.unread,
        "extras": json_member(message.extras.as_deref()),
    })
}

/// The card as given, whatever its kind and fields.
fn given(card: &Value) -> Card {
    let mut content = card.as_object().cloned().unwrap_or_default();
    content.retain(|name, _| name != "type" && name != "title");
    let content = (!content.is_empty()).then(|| Value::Object(content).to_string());
    Card { kind: text(card, "type"), title: text(card, "title"), content }
}

fn text(with: &Value, name: &str) -> String {
    maybe(with, name).unwrap_or_default()
}

fn maybe(with: &Value, name: &str) -> Option<String> {
    let value = &with[name];
    match (value["repeat"].as_str(), value["times"].as_u64()) {
        (Some(piece), Some(times)) => Some(piece.repeat(times as usize)),
        _ => value.as_str().map(str::to_owned),
    }
}

fn texts(with: &Value, name: &str) -> Vec<String> {
    with[name]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one.as_str().unwrap_or_default().to_owned())
        .collect()
}

fn details(with: &Value) -> Option<String> {
    let details = with.get("details")?;
    Some(maybe(with, "details").unwrap_or_else(|| details.to_string()))
}

fn json_member(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}

fn invalid(parameter: &str, given: &str) -> ToolError {
    ToolError {
        code: codes::INVALID_PARAMETER.to_owned(),
        message: format!("The script cannot use {parameter} `{given}`."),
        details: Some(json!({ "parameter": parameter }).to_string()),
    }
}

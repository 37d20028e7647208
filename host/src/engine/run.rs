//! One segment of one run, live or as a branch: a fresh instance, from the first instruction to wherever it ends.

use super::limits::{self, Exceeded, Limiter};
use super::wasi::{self, Log};
use super::{Compiled, Engine};
use crate::approval::Approval;
use crate::authority::Authority;
use crate::clock::{Clock, Millis, Stream, rfc3339};
use crate::intent::Intent;
use crate::journal::{Entry, Fault, Journal, Ledger, Mode, Owner, Record, RunClock, Stop};
use crate::refusals::{Code, Refusal};
use crate::tools::messages::Mailbox;
use crate::tools::{HasTools, Identity, Tools, types};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap};
use wasmtime_wasi::{I32Exit, WasiCtx};

/// Everything one segment owns. It is gone when the segment ends: nothing of a guest outlives it but its journal.
pub struct Run {
    pub(super) tools: Tools,
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) time: RunClock,
    pub(super) start: Millis,
    pub(super) random: Stream,
    limiter: Limiter,
}

impl HasTools for Run {
    fn tools(&mut self) -> &mut Tools {
        &mut self.tools
    }
}

/// How a segment ends.
#[derive(Debug)]
pub enum End {
    /// The agent answered.
    Card(Value),
    /// The agent is done and shows nothing.
    Nothing,
    /// It was stopped in a call: it asks, parks, was seen to send, or contradicted its record.
    Stop(Stop),
    /// It crashed or met a limit.
    Broken(Code, String),
}

/// A segment about to run.
pub(super) struct Segment<'a> {
    pub compiled: &'a Compiled,
    pub intent: &'a Intent,
    pub identity: Identity,
    pub authority: Authority,
    pub mailbox: Arc<dyn Mailbox>,
    pub clock: Arc<Clock>,
    pub ledger: Arc<dyn Ledger>,
    pub entries: Vec<Entry>,
    pub durable: usize,
    pub generation: u64,
    pub approvals: Vec<Approval>,
    pub mode: Mode,
    pub fuel: u64,
    pub deadline: Instant,
    pub crash_after: Option<usize>,
}

/// What is left of a segment.
pub(super) struct Outcome {
    pub end: End,
    pub record: Record,
    pub approvals: Vec<Approval>,
    pub log: String,
    pub fuel: u64,
}

impl Engine {
    /// Executes a segment. Nothing a guest does makes this fail: an error is the host's.
    pub(super) async fn execute(&self, segment: Segment<'_>) -> anyhow::Result<Outcome> {
        let Segment { compiled, intent, .. } = segment;
        let _slot = self.slots.acquire().await?;
        let log = Log::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCES_MAX);
        let time = RunClock::new(intent.submitted_ms);
        let owner = Owner { intent: intent.id.clone(), generation: segment.generation };
        let journal = Journal::new(
            segment.entries,
            segment.durable,
            segment.mode,
            time.clone(),
            segment.clock,
            segment.ledger,
            owner,
        )
        .crash_after(segment.crash_after);
        let run = Run {
            tools: Tools {
                authority: segment.authority,
                identity: segment.identity,
                journal,
                approvals: segment.approvals,
                mailbox: segment.mailbox,
            },
            wasi: wasi::context(&log),
            table,
            time,
            start: intent.submitted_ms,
            random: Stream::new(intent.seed),
            limiter: Limiter::default(),
        };
        let mut store = Store::new(&self.wasmtime, run);
        configure(&mut store, segment.fuel)?;

        let call = async {
            let agent = compiled.pre.instantiate_async(&mut store).await?;
            let (intent, context) = arguments(intent);
            agent.call_handle_intent(&mut store, &intent, &context).await
        };
        let answered = match tokio::time::timeout_at(segment.deadline, call).await {
            Ok(answered) => answered,
            Err(_) => Err(OutOfTime.into()),
        };
        let fuel = segment.fuel - store.get_fuel()?;
        let end = match answered {
            Ok(Ok(None)) => End::Nothing,
            Ok(Ok(Some(answer))) => card(answer, &log),
            Ok(Err(error)) => End::Card(error_card(error)),
            Err(error) => stopped(error, &log)?,
        };
        let Run { tools, .. } = store.into_data();
        // A run that ends, in whatever way, before it has repeated its whole record contradicts it.
        let end = match (tools.journal.unreached(), end) {
            (Some(diverged), End::Card(_) | End::Nothing | End::Broken(Code::Trapped, _)) => {
                End::Stop(diverged)
            }
            (_, end) => end,
        };
        Ok(Outcome {
            end,
            record: tools.journal.into_record(),
            approvals: tools.approvals,
            log: log.text(),
            fuel,
        })
    }
}

/// Sets every limit of the store. A test reads them back.
fn configure(store: &mut Store<Run>, fuel: u64) -> wasmtime::Result<()> {
    store.limiter(|run| &mut run.limiter);
    store.set_fuel(fuel)?;
    store.set_hostcall_fuel(limits::CALL_BYTES_MAX);
    store.set_max_component_handles(limits::HANDLES_MAX);
    store.set_epoch_deadline(1);
    store.epoch_deadline_async_yield_and_update(1);
    Ok(())
}

fn arguments(intent: &Intent) -> (types::Intent, types::Context) {
    let parameters = serde_json::to_string(&intent.parameters).expect("JSON serializes");
    let context = types::Context {
        text: intent.text.clone(),
        user_id: intent.user.clone(),
        timestamp: intent.submitted_ms as f64,
        now: rfc3339(intent.submitted_ms),
        extras: None,
    };
    (types::Intent { action: intent.action.clone(), parameters }, context)
}

#[derive(Debug, thiserror::Error)]
#[error("out of time")]
struct OutOfTime;

/// Why the guest was unwound. An error is a fault of the host.
fn stopped(error: wasmtime::Error, log: &Log) -> anyhow::Result<End> {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Ok(End::Stop(stop.clone()));
    }
    if error.downcast_ref::<OutOfTime>().is_some() {
        return Ok(broken(Code::OutOfTime, "the agent and its calls took longer than a segment may"));
    }
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Ok(broken(Code::OutOfMemory, exceeded.to_string()));
    }
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        return Ok(broken(Code::Exited, format!("the agent called exit({status})")));
    }
    let end = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => broken(Code::OutOfFuel, "the agent computed more than a segment may"),
        Some(Trap::StackOverflow) => broken(Code::StackOverflow, "the agent recursed too deep"),
        Some(trap) => broken(Code::Trapped, format!("the agent crashed: {trap}")),
        // What is neither a trap nor one of ours was raised by a room, and is a fault; or by the component boundary,
        // and is the guest's: bytes too many, text that is no text, memory that is not its own.
        None if error.is::<Fault>() => return Err(error.into()),
        None => {
            let text = format!("{error:#}");
            match text.contains("fuel allocated for hostcalls has been exhausted") {
                true => broken(Code::CallTooLarge, "the agent handed over more bytes than a call may carry"),
                false => broken(Code::Trapped, format!("the agent broke the component boundary: {text}")),
            }
        }
    };
    if let End::Broken(Code::Trapped | Code::StackOverflow, _) = &end {
        log.note(&format!("{error:?}"));
    }
    Ok(end)
}

fn broken(code: Code, message: impl Into<String>) -> End {
    End::Broken(code, message.into())
}

/// The fields a card may have beside `type` and `title`.
const CARD_FIELDS: &[&str] = &[
    "description",
    "body",
    "actions",
    "items",
    "footer",
    "progress",
    "status",
    "details",
    "approveLabel",
    "denyLabel",
    "code",
];
const CARD_KINDS: &[&str] = &["result", "error", "summary", "list", "suggestion", "progress", "approval"];

/// Turns what the guest returned into a card. Unknown fields are dropped, with a line in the log.
fn card(answer: types::Card, log: &Log) -> End {
    let invalid = |what: String| broken(Code::InvalidCard, what);
    let types::Card { kind, title, content } = answer;
    let bytes = kind.len() + title.len() + content.as_ref().map_or(0, String::len);
    if bytes > limits::CARD_BYTES_MAX {
        return invalid(format!("the card has {bytes} bytes; {} is the limit", limits::CARD_BYTES_MAX));
    }
    if !CARD_KINDS.contains(&kind.as_str()) {
        return invalid(format!("`{kind}` is not a kind of card; there are {}", CARD_KINDS.join(", ")));
    }
    let content = content.as_deref().unwrap_or("{}");
    if crate::approval::words::depth(content) > crate::approval::words::DETAILS_DEPTH_MAX {
        return invalid("the card nests too deep".into());
    }
    let content: Map<String, Value> = match serde_json::from_str(content) {
        Ok(content) => content,
        Err(error) => return invalid(format!("the card's content is not a JSON object: {error}")),
    };
    let mut card = Map::from_iter([("type".into(), json!(kind)), ("title".into(), json!(title))]);
    for (field, value) in content {
        match CARD_FIELDS.contains(&field.as_str()) {
            true => drop(card.insert(field, value)),
            false => log.note(&format!("dropped the unknown field `{field}` of the card")),
        }
    }
    End::Card(Value::Object(card))
}

/// The card of an error the agent did not catch. Code and message are the guest's and hence hostile.
fn error_card(error: types::ToolError) -> Value {
    json!({ "type": "error", "title": error.code, "description": error.message, "code": error.code })
}

/// The refusal an ask hears when too many are about.
pub(super) fn too_many_asks(limit: usize, what: &str) -> Refusal {
    Refusal::new(Code::RateLimitExceeded, format!("Too many approvals: {limit} {what}."))
        .with(json!({ "limit": limit, "remaining": 0, "reset": crate::approval::PENDING_MS / 1000 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, content: Option<&str>) -> (End, String) {
        let log = Log::default();
        let answer =
            types::Card { kind: kind.into(), title: "T".into(), content: content.map(str::to_owned) };
        (card(answer, &log), log.text())
    }

    #[test]
    fn unknown_fields_of_a_card_are_dropped_and_logged() {
        let (end, log) = parse("result", Some(r#"{"description":"d","evil":1}"#));
        let End::Card(card) = end else { panic!("{end:?}") };
        assert_eq!(card, json!({"type":"result","title":"T","description":"d"}));
        assert!(log.contains("`evil`"));
    }

    #[test]
    fn what_is_no_card_is_refused() {
        let deep = format!("{{\"items\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let long = format!("{{\"body\":\"{}\"}}", "x".repeat(limits::CARD_BYTES_MAX));
        for (kind, content) in [
            ("nonsense", "{}"),
            ("result", "[]"),
            ("result", "x"),
            ("result", deep.as_str()),
            ("result", long.as_str()),
        ] {
            assert!(matches!(parse(kind, Some(content)).0, End::Broken(Code::InvalidCard, _)), "{kind}");
        }
    }
}

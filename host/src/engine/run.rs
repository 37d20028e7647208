//! One segment of one run, live or as a branch: a fresh instance, from the first instruction to wherever it ends.

use super::limits::{self, Exceeded, Limiter};
use super::wasi::{self, Log};
use super::{Compiled, Engine};
use crate::approval::{Approval, Policy};
use crate::authority::Authority;
use crate::clock::{Clock, Millis, Stream, rfc3339, rfc3339_trimmed};
use crate::intent::Intent;
use crate::journal::{Entry, Fault, Journal, Ledger, Mode, Owner, Record, RunClock, Stop};
use crate::refusals::Code;
use crate::tools::messages::Mailbox;
use crate::tools::{HasTools, Identity, Tools, types};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, WasiCtx};

/// Everything one segment owns. It is gone when the segment ends: nothing of a guest outlives it but its journal.
pub struct Run {
    pub(super) tools: Tools,
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) time: RunClock,
    pub(super) start: Millis,
    pub(super) random: Stream,
    pub(super) log: Log,
    /// What the component carries for its interpreter, until that has asked for it.
    pub(super) program: Option<Arc<[u8]>>,
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
    pub intent: &'a Intent,
    pub identity: Identity,
    pub authority: Authority,
    pub policy: Arc<Policy>,
    pub leaves_at_once: bool,
    pub mailbox: Arc<dyn Mailbox>,
    pub clock: Arc<Clock>,
    pub ledger: Arc<dyn Ledger>,
    pub entries: Vec<Entry>,
    pub durable: usize,
    pub generation: u64,
    pub approvals: Vec<Approval>,
    pub mode: Mode,
    pub fuel: u64,
    pub wall: Duration,
    pub crash_after: Option<usize>,
}

/// What is left of a segment.
pub(super) struct Outcome {
    pub end: End,
    pub record: Record,
    pub approvals: Vec<Approval>,
    pub log: String,
    pub fuel: u64,
    pub memory_bytes: usize,
    pub took: Duration,
}

impl Engine {
    /// Executes a segment. Nothing a guest does makes this fail: an error is the host's.
    pub(super) async fn execute(&self, compiled: &Compiled, segment: Segment<'_>) -> anyhow::Result<Outcome> {
        let Segment { intent, fuel: budget, wall, mode, .. } = segment;
        let _slot = self.slots.acquire().await?;
        // Counted from here: waiting for a slot is nothing the agent did.
        let start = Instant::now();
        let log = Log::default();
        let mut store = self.store(segment, compiled.program.clone(), start + wall, &log)?;
        let call = async {
            let agent = compiled.pre.instantiate_async(&mut store).await?;
            let (intent, context) = arguments(intent);
            agent.call_handle_intent(&mut store, &intent, &context).await
        };
        let answered = call.await;
        let fuel = budget - store.get_fuel()?;
        let end = match answered {
            Ok(Ok(None)) => End::Nothing,
            Ok(Ok(Some(answer))) => card(answer, &log),
            Ok(Err(error)) => End::Card(error_card(error)),
            Err(error) => stopped(error, &log)?,
        };
        let Run { tools, limiter, .. } = store.into_data();
        // A run that ends by itself before it has repeated its whole record contradicts it.
        let end = match (tools.journal.unreached(), end) {
            (_, end @ End::Stop(_)) => end,
            // Live, the machine may have been slower, or the budget smaller, than when the record was made.
            (_, end @ End::Broken(Code::OutOfFuel | Code::OutOfTime, _)) if mode != Mode::Replay => end,
            (Some(diverged), _) => End::Stop(diverged),
            (None, end) => end,
        };
        Ok(Outcome {
            end,
            record: tools.journal.into_record(),
            approvals: tools.approvals,
            log: log.text(),
            fuel,
            memory_bytes: limiter.memory_bytes(),
            took: start.elapsed(),
        })
    }

    /// A store with everything the segment owns and every limit set. A test reads them back.
    fn store(
        &self,
        segment: Segment<'_>,
        program: Arc<[u8]>,
        deadline: Instant,
        log: &Log,
    ) -> wasmtime::Result<Store<Run>> {
        let Segment { intent, fuel, .. } = segment;
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
        .deadline(deadline)
        .crash_after(segment.crash_after);
        let run = Run {
            tools: Tools {
                authority: segment.authority,
                identity: segment.identity,
                policy: segment.policy,
                leaves_at_once: segment.leaves_at_once,
                journal,
                approvals: segment.approvals,
                mailbox: segment.mailbox,
            },
            wasi: wasi::context(log),
            table,
            time,
            start: intent.submitted_ms,
            random: Stream::new(intent.seed),
            log: log.clone(),
            program: Some(program),
            limiter: Limiter::default(),
        };
        let mut store = Store::new(&self.wasmtime, run);
        store.limiter(|run| &mut run.limiter);
        store.set_fuel(fuel)?;
        store.set_hostcall_fuel(limits::CALL_BYTES_MAX);
        store.set_max_component_handles(limits::HANDLES_MAX);
        store.set_epoch_deadline(1);
        // The wall is looked at where the guest computes and where a back end answers, and never around a commit: a write
        // on its way must not be forgotten.
        store.epoch_deadline_callback(move |_| match Instant::now() >= deadline {
            true => Err(Stop::Limit(Code::OutOfTime).into()),
            false => Ok(UpdateDeadline::Yield(1)),
        });
        Ok(store)
    }
}

fn arguments(intent: &Intent) -> (types::Intent, types::Context) {
    let parameters = serde_json::to_string(&intent.parameters).expect("JSON serializes");
    let context = types::Context {
        text: intent.text.clone(),
        user_id: intent.user.clone(),
        timestamp: intent.submitted_ms as f64,
        now: match intent.trimmed_now {
            true => rfc3339_trimmed(intent.submitted_ms),
            false => rfc3339(intent.submitted_ms),
        },
        extras: None,
    };
    (types::Intent { action: intent.action.clone(), parameters }, context)
}

/// Why the guest was unwound. An error is a fault of the host.
fn stopped(error: wasmtime::Error, log: &Log) -> anyhow::Result<End> {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return Ok(End::Stop(stop.clone()));
    }
    // Neither is the agent's: a room failed, or the machine has no room for one more instance.
    if error.is::<Fault>() || error.is::<PoolConcurrencyLimitError>() {
        return Err(error.downcast::<Fault>().map_or_else(anyhow::Error::from, |fault| fault.0));
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
        // What is neither a trap nor one of ours was raised by the component boundary, and is the guest's: bytes too many,
        // text that is no text, memory that is not its own.
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
        let kind = crate::printable::short(&kind, 40);
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

/// The card of an error the agent did not catch. Code and message are the guest's: they are cut, and hostile.
fn error_card(error: types::ToolError) -> Value {
    let clip = |text: &str, bytes_max| text[..text.floor_char_boundary(bytes_max)].to_owned();
    let (code, message) = (clip(&error.code, 64), clip(&error.message, 8 * 1024));
    json!({ "type": "error", "title": code, "description": message, "code": code })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_set_in_the_engine() {
        use wasmtime::ResourceLimiter as _;
        let engine = Engine::new(None, limits::Limits::default()).unwrap();
        let kept = Arc::new(crate::store::Store::in_memory().unwrap());
        let digest = crate::digest::Digest::of(b"");
        let intent = Intent {
            id: "int_1".into(),
            tenant: "main".into(),
            user: "local".into(),
            agent: "com.x".into(),
            digest,
            action: "go".into(),
            parameters: Map::new(),
            text: None,
            run: 1,
            seed: [0; 32],
            submitted_ms: 0,
            status: crate::intent::Status::Running,
            generation: 0,
            fuel: 0,
            card: None,
            reason: None,
            log: String::new(),
            retry_of: None,
            undelivered: None,
            trimmed_now: false,
            updated_ms: 0,
        };
        let segment = Segment {
            intent: &intent,
            identity: Identity {
                tenant: "main".into(),
                user: "local".into(),
                intent: "int_1".into(),
                run: 1,
                agent: digest,
                from: "a@b".into(),
            },
            authority: Authority::default(),
            policy: Arc::default(),
            leaves_at_once: true,
            mailbox: Arc::new(crate::backends::local::Local(kept.clone())),
            clock: Arc::new(Clock::virtual_at(0, 0)),
            ledger: kept,
            entries: vec![],
            durable: 0,
            generation: 0,
            approvals: vec![],
            mode: Mode::Live,
            fuel: 77,
            wall: Duration::from_secs(1),
            crash_after: None,
        };
        let mut store = engine.store(segment, Arc::default(), Instant::now(), &Log::default()).unwrap();
        assert_eq!(store.get_fuel().unwrap(), 77);
        assert_eq!(store.hostcall_fuel(), limits::CALL_BYTES_MAX);
        assert_eq!(store.max_component_handles(), limits::HANDLES_MAX);
        assert_eq!(store.data().table.max_capacity(), limits::RESOURCES_MAX);
        let limiter = &mut store.data_mut().limiter;
        assert_eq!(limiter.instances(), limits::INSTANCES_MAX);
        assert_eq!(limiter.tables(), limits::TABLES_MAX);
        assert_eq!(limiter.memories(), limits::MEMORIES_MAX);
        assert!(limiter.memory_growing(0, limits::MEMORY_BYTES_MAX, None).unwrap());
        assert!(limiter.memory_growing(0, 1, None).is_err());
        assert!(limiter.table_growing(0, limits::TABLE_ELEMENTS_MAX, None).unwrap());
        assert!(limiter.table_growing(0, limits::TABLE_ELEMENTS_MAX + 1, None).is_err());
    }

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

//! Agents that mean harm. Each ends in a verdict of its own, nothing leaves that nobody signed, and the host goes on.

use crate::support::{Cli, guest, workspace};
use countersign::approval::decision::State;
use countersign::approval::{ASKS_PER_RUN_MAX, Action, Binding, PENDING_PER_AGENT, Verdict, letter};
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::{CARD_BYTES_MAX, LOG_BYTES_MAX, Limits, SEGMENTS_MAX};
use countersign::host::{Host, Install, Options, View};
use countersign::intent::Status;
use countersign::refusals::{Code, Error};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const USER: &str = "local";
const HONEST: &str = "com.example.agent.send-report";
const MISBEHAVING: &str = "test.agent.misbehaving";
const SCRIPT: &str = "test.agent.script";
const HAND_WRITTEN: &str = "test.agent.hand-written";

/// Fuel enough for everything honest, and burned in the blink of an eye.
const LITTLE_FUEL: u64 = 20_000_000;
/// Fuel that does not run out before some other limit is met.
const MUCH_FUEL: u64 = 2_000_000_000;
const ENDLESS_FUEL: u64 = 1 << 50;

/// A host with the agents of this file, on a clock that stands still.
struct Desk {
    host: Host,
    _data: tempfile::TempDir,
}

impl Desk {
    async fn open(fuel_max: u64, wall_max: Duration) -> Desk {
        let data = tempfile::tempdir().unwrap();
        let host = Host::open(Options {
            data: data.path().join("data"),
            config: Config::default(),
            clock: Arc::new(Clock::virtual_at(1_772_000_000_000, 1)),
            cache: Some(workspace().join("target/test-cache/countersign")),
            limits: Limits { fuel_max, wall_max },
            in_memory: true,
        })
        .unwrap();
        let desk = Desk { host, _data: data };
        for (package, grants) in [
            ("send-report", vec![Capability::MessagesSend]),
            ("guest-misbehaving", vec![Capability::MessagesRead, Capability::MessagesSend]),
            ("guest-script", vec![Capability::MessagesRead, Capability::MessagesSend]),
        ] {
            let bytes = std::fs::read(guest(package)).unwrap();
            let how = Install { grants, ..Install::default() };
            desk.host.install(USER, bytes, how, "a test").await.unwrap();
        }
        desk
    }

    async fn with_fuel(fuel_max: u64) -> Desk {
        Desk::open(fuel_max, Duration::from_secs(60)).await
    }

    /// Installs a component under the id of all hand-written ones; or gives the code and the text of the refusal.
    async fn install(&self, component: Vec<u8>) -> Result<(), (Code, String)> {
        let manifest = json!({
            "id": HAND_WRITTEN, "name": "By hand", "version": "1.0.0", "description": "", "capabilities": []
        });
        let how = Install { manifest: Some(manifest.to_string()), ..Install::default() };
        match self.host.install(USER, component, how, "a test").await {
            Ok(_) => Ok(()),
            Err(Error::Refused(problem)) => Err((problem.code, problem.message)),
            Err(Error::Fault(fault)) => panic!("the host failed: {fault:#}"),
        }
    }

    async fn run(&self, agent: &str, action: &str, parameters: Value) -> View {
        let Value::Object(parameters) = parameters else { panic!("{parameters}") };
        self.host.submit(USER, agent, action, parameters, None).await.unwrap()
    }

    async fn misbehave(&self, action: &str) -> View {
        self.run(MISBEHAVING, action, json!({})).await
    }

    async fn script(&self, steps: Value) -> View {
        self.run(SCRIPT, "script", json!({ "steps": steps })).await
    }

    /// Decides what the run waits for.
    async fn decide(&self, view: &View, verdict: Verdict) {
        let asked = &view.pending().expect("it waits").approval;
        self.host.decide(USER, &asked.id, verdict, asked.digest, "a person", None).await.unwrap();
    }

    async fn resume(&self, view: &View) -> View {
        self.host.resume(USER, &view.intent.id).await.unwrap()
    }

    async fn approve(&self, view: &View) -> View {
        self.decide(view, Verdict::Approve).await;
        self.resume(view).await
    }

    async fn decline(&self, view: &View) -> View {
        self.decide(view, Verdict::Decline).await;
        self.resume(view).await
    }

    /// What the approval the run waited for has become.
    fn state(&self, waited: &View) -> State {
        let id = &waited.pending().expect("it waited").approval.id;
        self.host.approval(USER, id).unwrap().approval.state
    }

    /// What has left, newest first, as it reads in the very bytes that left.
    fn sent(&self) -> Vec<Action> {
        let sent = self.host.sent(USER).unwrap();
        sent.iter().map(|sent| letter::parse(&sent.bytes, &sent.action).unwrap()).collect()
    }

    /// An honest agent still gets from its intent to its end.
    async fn goes_on(&self) {
        let before = self.sent().len();
        let asked = self.run(HONEST, "send_report", json!({})).await;
        let done = self.approve(&asked).await;
        assert_eq!(done.intent.status, Status::Done, "{:?}", done.intent.reason);
        assert_eq!(self.sent().len(), before + 1);
    }
}

/// How a run stands: the code it was stopped with, the body of its card, or the name of its status.
fn verdict(view: &View) -> String {
    match (&view.intent.reason, &view.intent.card) {
        (Some(reason), _) => reason.code.to_string(),
        (None, Some(card)) => card["body"].as_str().unwrap_or_default().to_owned(),
        (None, None) => view.intent.status.name().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_misbehaviour_ends_in_its_verdict_and_the_host_goes_on() {
    let endless = [
        ("loop", "OUT_OF_FUEL"),
        ("log_flood", "OUT_OF_FUEL"),
        ("sleep_forever", "OUT_OF_FUEL"),
        ("call_storm", "TOO_MANY_CALLS"),
        ("recurse", "STACK_OVERFLOW"),
    ];
    let greedy = [
        ("grow", "OUT_OF_MEMORY"),
        ("giant_string", "CALL_TOO_LARGE"),
        ("giant_list", "CALL_TOO_LARGE"),
        ("big_card", "CALL_TOO_LARGE"),
        ("long_card", "INVALID_CARD"),
        ("bad_card", "INVALID_CARD"),
        ("card_not_json", "INVALID_CARD"),
        ("trap", "TRAPPED"),
        ("exit", "EXITED"),
    ];
    let in_vain = [
        ("deep_details", r#"INVALID_PARAMETER {"parameter":"details"}"#),
        ("sleep_once", "awake"),
        ("leak_env", r#"{"args":0,"vars":0}"#),
        ("unknown_fields", "known"),
    ];
    for (fuel, rows) in [(LITTLE_FUEL, &endless[..]), (MUCH_FUEL, &greedy), (MUCH_FUEL, &in_vain)] {
        let desk = Desk::with_fuel(fuel).await;
        for (action, expected) in rows {
            assert_eq!(verdict(&desk.misbehave(action).await), *expected, "{action}");
            desk.goes_on().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_keeps_no_field_that_no_card_has() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let done = desk.misbehave("unknown_fields").await;
    let card = json!({ "type": "result", "title": "unknown_fields", "body": "known" });
    assert_eq!(done.intent.card, Some(card));
    assert!(done.intent.log.contains("`evil`"), "{}", done.intent.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_a_sentence_however_much_the_agent_says() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let card = json!({ "type": "x".repeat(50_000), "title": "" });
    let stopped = desk.run(SCRIPT, "script", json!({ "card": card })).await;
    assert_eq!(verdict(&stopped), "INVALID_CARD");
    let length = stopped.intent.reason.unwrap().message.len();
    assert!(length < 1000, "the reason has {length} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_ever_is_refused_and_then_stopped() {
    let desk = Desk::open(LITTLE_FUEL, Duration::from_secs(10)).await;
    let mut run = desk.misbehave("ask_storm").await;
    let mut asked = 0;
    while run.intent.status == Status::Waiting {
        run = desk.decline(&run).await;
        asked += 1;
    }
    assert_eq!(asked, ASKS_PER_RUN_MAX);
    let verdict = verdict(&run);
    assert!(["TOO_MANY_CALLS", "OUT_OF_FUEL"].contains(&verdict.as_str()), "{verdict}");
    let journal = desk.host.journal(USER, &run.intent.id).unwrap();
    let last = format!("{:?}", journal.last().unwrap().answer);
    assert!(last.contains("RateLimitExceeded"), "{last}");
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_an_agent_whose_questions_pile_up_stand_in_line() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let ask = json!([{ "call": "approval.request", "with": { "action": "a", "title": "t" } }]);
    let mut asked = Vec::new();
    for _ in 0..PENDING_PER_AGENT {
        let run = desk.script(ask.clone()).await;
        assert_eq!(run.intent.status, Status::Waiting);
        asked.push(run);
    }
    let mut line = Vec::new();
    for _ in 0..3 {
        let run = desk.script(ask.clone()).await;
        assert_eq!(
            (run.intent.status, run.intent.card.as_ref(), run.approvals.len()),
            (Status::Blocked, None, 0)
        );
        line.push(run.intent.id);
    }
    let status = |id: &str| desk.host.show(USER, id).unwrap().intent.status;
    let next =
        async || desk.host.due().await.unwrap().into_iter().map(|place| place.intent).collect::<Vec<_>>();
    assert!(next().await.is_empty(), "there is no room");
    // A place is free: it is that of who has waited longest, and nobody who comes now takes it.
    desk.decline(&asked.pop().unwrap()).await;
    let late = desk.script(ask.clone()).await;
    assert_eq!(late.intent.status, Status::Blocked);
    assert_eq!(next().await, line[..1]);
    assert!(next().await.is_empty(), "its place is kept for it");
    assert_eq!(desk.host.resume(USER, &line[0]).await.unwrap().intent.status, Status::Waiting);
    // Whoever is cancelled leaves the line, and a cancelled ask leaves a place.
    desk.host.cancel(USER, &line[1]).await.unwrap();
    desk.host.cancel(USER, &asked.pop().unwrap().intent.id).await.unwrap();
    desk.host.settle().await.unwrap();
    assert_eq!(status(&line[2]), Status::Waiting, "every door picks it up");
    assert_eq!(status(&late.intent.id), Status::Blocked);
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_flood_keeps_what_fits_and_counts_the_rest() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let log = desk.misbehave("log_flood").await.intent.log;
    let (kept, rest) = log.split_at(LOG_BYTES_MAX);
    assert!(kept.lines().all(|line| line.bytes().all(|byte| byte == b'x')));
    let dropped = rest.strip_prefix("\n[countersign] ").unwrap();
    let dropped = dropped.strip_suffix(" bytes more were printed and dropped\n").unwrap();
    assert!(dropped.parse::<u64>().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sleeping_moves_the_clock_of_the_run_and_nothing_else() {
    const DAYS_100: i64 = 100 * 24 * 3600 * 1000;
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let sleep = json!({ "call": "sleep", "with": { "ms": DAYS_100 } });
    let told = desk.script(json!([sleep, { "call": "clock" }])).await;
    let elapsed = format!("\"elapsed\":{DAYS_100}");
    assert!(verdict(&told).contains(&elapsed), "{}", verdict(&told));

    let mail = json!({ "to": ["team@example.com"], "subject": "Late", "body": "After a long sleep." });
    let asked = desk
        .script(json!([
            { "call": "approval.request", "with": { "action": "send_message", "title": "t", "details": mail } },
            sleep,
            { "call": "messages.send", "with": mail },
        ]))
        .await;
    let done = desk.approve(&asked).await;
    assert!(verdict(&done).contains("messages.send -> ok"), "an expiry was slept over: {}", verdict(&done));
}

#[tokio::test(flavor = "multi_thread")]
async fn computing_takes_no_time_that_an_agent_could_measure() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let turns = json!({ "call": "loop", "with": { "n": 500_000 } });
    let told = verdict(&desk.script(json!([{ "call": "clock" }, turns, { "call": "clock" }])).await);
    let [before, _, after] = told.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(before, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ids_of_another_run_are_as_good_as_invented_ones() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let ask = json!([{ "call": "approval.request", "with": { "action": "a", "title": "t" } }]);
    let other = desk.script(ask).await;
    let look_up = |id: &str| json!([{ "call": "approval.result", "with": { "approvalId": id } }]);
    let real = verdict(&desk.script(look_up(&other.pending().unwrap().approval.id)).await);
    let invented = verdict(&desk.script(look_up("appr_00000000000000000000000000")).await);
    assert!(real.contains("RESOURCE_NOT_FOUND"), "{real}");
    assert_eq!(real, invented);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_breaks_after_the_approval_sends_nothing_and_is_disarmed() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let mail = json!({ "to": ["team@example.com"], "subject": "s", "body": "b" });
    let burn = json!([
        { "call": "approval.request", "with": { "action": "send_message", "title": "t", "details": mail } },
        { "call": "loop", "with": { "n": 1_000_000_000_000_u64 } },
        { "call": "messages.send", "with": mail },
    ]);
    for (asked, expected) in
        [(desk.misbehave("trap_after_approval").await, "TRAPPED"), (desk.script(burn).await, "OUT_OF_FUEL")]
    {
        assert_eq!(asked.pending().unwrap().approval.binding, Binding::Declared);
        assert_eq!(verdict(&desk.approve(&asked).await), expected);
        assert_eq!(desk.state(&asked), State::Cancelled);
        assert_eq!(desk.resume(&asked).await.intent.status, Status::Stopped);
        assert_eq!(desk.sent(), []);
    }
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_is_what_was_shown_though_it_holds_a_random_number_and_the_time() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    for action in ["differ_by_random", "differ_by_time"] {
        let asked = desk.misbehave(action).await;
        let shown = asked.pending().unwrap().approval.clone();
        assert_eq!(shown.binding, Binding::Exact);
        desk.host.clock().advance(3 * 3600 * 1000);
        let done = desk.approve(&asked).await;
        assert!(verdict(&done).starts_with("sent msg_"), "{action}: {}", verdict(&done));
        assert_eq!(desk.sent()[0].digest(), shown.digest, "{action}");
        assert_eq!(desk.sent()[0], shown.action.unwrap(), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_approval_lets_one_message_out() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let asked = desk.misbehave("send_twice").await;
    let told = verdict(&desk.approve(&asked).await);
    let (first, second) = told.split_once('\n').unwrap();
    assert!(first.starts_with("sent msg_"), "{first}");
    assert!(second.starts_with(r#"APPROVAL_REQUIRED {"reason":"used""#), "{second}");
    assert_eq!(desk.sent().len(), 1);
}

const FIELDS: [&str; 5] = ["to", "cc", "bcc", "subject", "body"];

fn other(field: &str, hide: bool) -> Value {
    json!({ "change": field, "hide": hide })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_shown_the_message_that_would_leave_and_not_the_one_the_agent_tells_of() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let told = desk.run(MISBEHAVING, "send_other", json!({})).await;
    let told = told.pending().unwrap().approval.action.clone().unwrap();
    for field in FIELDS {
        let asked = desk.run(MISBEHAVING, "send_other", other(field, false)).await;
        let shown = asked.pending().unwrap().approval.clone();
        assert_eq!(shown.binding, Binding::Exact);
        let mut differs = told.differs(shown.action.as_ref().unwrap());
        differs.retain(|field| FIELDS.contains(field));
        assert_eq!(differs, [field]);
        assert_eq!(verdict(&desk.decline(&asked).await), "declined");
        assert_eq!(desk.sent(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ask_in_between_shows_what_the_first_could_not() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    for field in FIELDS {
        let first = desk.run(MISBEHAVING, "send_other", other(field, true)).await;
        assert_eq!(first.pending().unwrap().approval.binding, Binding::Declared);
        let second = desk.approve(&first).await;
        let shown = &second.pending().unwrap().approval;
        assert_eq!((shown.binding, shown.digest), (Binding::Exact, shown.action.as_ref().unwrap().digest()));
        let told = verdict(&desk.decline(&second).await);
        assert!(told.starts_with("APPROVAL_DENIED"), "{field}: {told}");
        assert_eq!(desk.state(&first), State::Cancelled, "{field}");
        assert_eq!(desk.sent(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_other_than_the_approved_one_is_refused_naming_the_field_and_disarms_it() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    for field in FIELDS {
        let first = desk.run(MISBEHAVING, "send_other", other(field, true)).await;
        desk.decline(&desk.approve(&first).await).await;
        // Of what was just declined nobody is asked again, so that nobody is shown this message.
        let asked = desk.run(MISBEHAVING, "send_other", other(field, true)).await;
        let told = verdict(&desk.approve(&asked).await);
        let expected = format!(r#"APPROVAL_REQUIRED {{"reason":"differs","fields":["{field}"],"#);
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(desk.state(&asked), State::Cancelled, "{field}");
        assert_eq!(desk.sent(), []);
    }
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_stopped_and_the_host_goes_on() {
    let desk = Desk::open(ENDLESS_FUEL, Duration::from_secs(1)).await;
    let start = Core { fields: "(func $start (loop (br 0))) (start $start)", ..HARMLESS };
    desk.install(start.component()).await.unwrap();
    for (agent, action) in [(MISBEHAVING, "loop"), (HAND_WRITTEN, "start")] {
        assert_eq!(verdict(&desk.run(agent, action, json!({})).await), "OUT_OF_TIME", "{action}");
        desk.goes_on().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_never_end_do_not_keep_others_waiting() {
    let desk = Arc::new(Desk::open(ENDLESS_FUEL, Duration::from_secs(3600)).await);
    let spawn = |desk: &Arc<Desk>| {
        let desk = desk.clone();
        tokio::spawn(async move { drop(desk.misbehave("loop").await) })
    };
    let endless: Vec<_> = (0..8).map(|_| spawn(&desk)).collect();
    let live = || {
        let intents = desk
            .host
            .intents(USER, countersign::store::Only::default(), countersign::store::Page::default())
            .unwrap();
        intents.iter().filter(|intent| desk.host.show(USER, &intent.id).unwrap().live).count()
    };
    while live() < endless.len() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let honest = desk.clone();
    tokio::spawn(async move { honest.goes_on().await }).await.unwrap();
    for run in endless {
        assert!(!run.is_finished());
        run.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_agents_as_may_run_at_once_can_each_hold_all_that_one_may_hold() {
    let desk = Arc::new(Desk::with_fuel(15 * LITTLE_FUEL).await);
    let greedy = format!(
        "(core module $both (memory 1) (table 1 funcref)) (core module $table (table 1 funcref)) {} {}",
        "(core instance (instantiate $both))".repeat(7),
        "(core instance (instantiate $table))".repeat(24),
    );
    desk.install(Core { more: &greedy, handle: ENDLESS, ..HARMLESS }.component()).await.unwrap();
    let runs: Vec<_> = (0..SEGMENTS_MAX)
        .map(|_| {
            let desk = desk.clone();
            tokio::spawn(async move { verdict(&desk.run(HAND_WRITTEN, "any", json!({})).await) })
        })
        .collect();
    let mut verdicts = Vec::new();
    for run in runs {
        verdicts.push(run.await.unwrap());
    }
    verdicts.retain(|verdict| verdict != "OUT_OF_FUEL");
    assert!(verdicts.is_empty(), "{verdicts:?}");
    desk.goes_on().await;
}

/// A component that fits the world, of which a row of a table changes one part.
#[derive(Clone, Copy)]
pub struct Core<'a> {
    /// Fields of the component.
    pub more: &'a str,
    /// The memory and what belongs to it.
    pub memory: &'a str,
    /// Body of the allocator the host calls with `$align` and `$size`.
    pub realloc: &'a str,
    /// Fields of the module that has the functions.
    pub fields: &'a str,
    /// Body of `handle-intent`: leaves the address of the answer.
    pub handle: &'a str,
    /// Body of what the host calls when it has read the answer.
    pub post: &'a str,
}

/// Answers every intent with `none`.
pub const HARMLESS: Core = Core {
    more: "",
    memory: r#"(memory (export "memory") 1)"#,
    realloc: "(global.get $next) (global.set $next (i32.add (global.get $next) (local.get $size)))",
    fields: "",
    handle: "(i32.const 0)",
    post: "",
};
const ENDLESS: &str = "(loop (br 0)) (unreachable)";

impl Core<'_> {
    pub fn component(self) -> Vec<u8> {
        let Core { more, memory, realloc, fields, handle, post } = self;
        let text = format!(
            r#"(component
  (import "countersign:types/types@0.1.0" (instance $types
    (type $error (record (field "code" string) (field "message" string) (field "details" (option string))))
    (export "tool-error" (type (eq $error)))
    (type $intent (record (field "action" string) (field "parameters" string)))
    (export "intent" (type (eq $intent)))
    (type $context (record (field "text" (option string)) (field "user-id" string) (field "timestamp" f64)
                           (field "now" string) (field "extras" (option string))))
    (export "context" (type (eq $context)))
    (type $card (record (field "kind" string) (field "title" string) (field "content" (option string))))
    (export "card" (type (eq $card)))))
  (alias export $types "tool-error" (type $error))
  (alias export $types "intent" (type $intent))
  (alias export $types "context" (type $context))
  (alias export $types "card" (type $card))
  (import "countersign:approval/approval@0.1.0" (instance $approval
    (alias outer 1 $error (type $outer))
    (export "tool-error" (type $error (eq $outer)))
    (type $record (record (field "approved" bool) (field "approval-id" string) (field "timestamp" string)
                          (field "extras" (option string))))
    (export "answer" (type $answer (eq $record)))
    (export "result" (func (param "approval-id" string) (result (result (option $answer) (error $error)))))))
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-u64" (func (result u64)))
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (core func $number (canon lower (func $random "get-random-u64")))
  (core func $timer (canon lower (func $clock "subscribe-duration")))
  (core instance $free (export "number" (func $number)))
  (core module $libc
    (import "host" "number" (func $number (result i64)))
    (global $next (mut i32) (i32.const 1024))
    {memory}
    (func (export "realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32) {realloc}))
  (core instance $libc (instantiate $libc (with "host" (instance $free))))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $result (canon lower (func $approval "result") (memory $memory) (realloc $realloc)))
  (core func $bytes (canon lower (func $random "get-random-bytes") (memory $memory) (realloc $realloc)))
  (core instance $host
    (export "number" (func $number)) (export "timer" (func $timer))
    (export "result" (func $result)) (export "bytes" (func $bytes)))
  (core module $main
    (import "libc" "memory" (memory 0))
    (import "host" "number" (func $number (result i64)))
    (import "host" "timer" (func $timer (param i64) (result i32)))
    (import "host" "result" (func $result (param i32 i32 i32)))
    (import "host" "bytes" (func $bytes (param i64 i32)))
    (func $answer (param $tag i32) (param $at i32) (param $length i32) (result i32)
      (i32.store (i32.const 4) (local.get $tag))
      (i32.store (i32.const 8) (local.get $at))
      (i32.store (i32.const 12) (local.get $length))
      (i32.const 0))
    {fields}
    (func (export "handle") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 f64 i32 i32 i32 i32 i32) (result i32)
      {handle})
    (func (export "post") (param i32) {post}))
  {more}
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "host" (instance $host))))
  (func (export "handle-intent")
    (param "intent" $intent) (param "context" $context) (result (result (option $card) (error $error)))
    (canon lift (core func $main "handle") (memory $memory) (realloc $realloc)
                (post-return (core func $main "post")))))"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_written_by_hand_ends_in_its_verdict_wherever_it_breaks() {
    let rows = [
        ("nothing is wrong", HARMLESS, "done"),
        // It never ends.
        ("a loop", Core { handle: ENDLESS, ..HARMLESS }, "OUT_OF_FUEL"),
        (
            "a loop at the start",
            Core { fields: "(func $start (loop (br 0))) (start $start)", ..HARMLESS },
            "OUT_OF_FUEL",
        ),
        ("a loop while its arguments are written", Core { realloc: ENDLESS, ..HARMLESS }, "OUT_OF_FUEL"),
        ("a loop after the answer", Core { post: "(loop (br 0))", ..HARMLESS }, "OUT_OF_FUEL"),
        (
            "filling memory for ever",
            Core {
                memory: r#"(memory (export "memory") 2048)"#,
                handle: "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x8000000)) (br 0)) (unreachable)",
                ..HARMLESS
            },
            "OUT_OF_FUEL",
        ),
        (
            "copying memory for ever",
            Core {
                memory: r#"(memory (export "memory") 2048)"#,
                handle: "(loop (memory.copy (i32.const 0) (i32.const 1) (i32.const 0x7000000)) (br 0)) (unreachable)",
                ..HARMLESS
            },
            "OUT_OF_FUEL",
        ),
        (
            "growing by nothing for ever",
            Core { handle: "(loop (drop (memory.grow (i32.const 0))) (br 0)) (unreachable)", ..HARMLESS },
            "OUT_OF_FUEL",
        ),
        (
            "two functions that call each other through a table",
            Core {
                fields: "(type $f (func)) (table funcref (elem $a $b))
                         (func $a (call_indirect (type $f) (i32.const 1)))
                         (func $b (call_indirect (type $f) (i32.const 0)))",
                handle: "(call $a) (i32.const 0)",
                ..HARMLESS
            },
            "STACK_OVERFLOW",
        ),
        // It takes more than there is.
        (
            "all the memory there is",
            Core { memory: r#"(memory (export "memory") 2048)"#, ..HARMLESS },
            "done",
        ),
        (
            "one page after the other",
            Core {
                handle: "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)",
                ..HARMLESS
            },
            "OUT_OF_MEMORY",
        ),
        (
            "four gigabytes at once",
            Core { handle: "(drop (memory.grow (i32.const 65535))) (i32.const 0)", ..HARMLESS },
            "OUT_OF_MEMORY",
        ),
        (
            "memories that are too much together",
            Core {
                more: "(core module $big (memory 1024))
                       (core instance (instantiate $big)) (core instance (instantiate $big))",
                ..HARMLESS
            },
            "OUT_OF_MEMORY",
        ),
        (
            "a table that grows",
            Core {
                fields: "(table $table 0 funcref)",
                handle: "(drop (table.grow $table (ref.null func) (i32.const 1000000))) (i32.const 0)",
                ..HARMLESS
            },
            "OUT_OF_MEMORY",
        ),
        (
            "a million timers",
            Core { handle: "(loop (drop (call $timer (i64.const 1))) (br 0)) (unreachable)", ..HARMLESS },
            "TRAPPED",
        ),
        (
            "a terabyte of random bytes",
            Core {
                handle: "(call $bytes (i64.const 1000000000000) (i32.const 0)) (i32.const 0)",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        (
            "calls that fill its record",
            Core {
                memory: r#"(memory (export "memory") 64)"#,
                handle: "(loop (call $result (i32.const 0x100000) (i32.const 1500000) (i32.const 0)) (br 0))
                         (unreachable)",
                ..HARMLESS
            },
            "JOURNAL_FULL",
        ),
        // It hands over what is none of its memory, or no value.
        ("an answer behind its memory", Core { handle: "(i32.const 65536)", ..HARMLESS }, "TRAPPED"),
        ("an answer around the end of addresses", Core { handle: "(i32.const -4)", ..HARMLESS }, "TRAPPED"),
        ("an answer between words", Core { handle: "(i32.const 2)", ..HARMLESS }, "TRAPPED"),
        (
            "an answer that is neither ok nor an error",
            Core { handle: "(i32.store (i32.const 0) (i32.const 2)) (i32.const 0)", ..HARMLESS },
            "TRAPPED",
        ),
        (
            "a card that is neither there nor not",
            Core { handle: "(call $answer (i32.const 2) (i32.const 0) (i32.const 0))", ..HARMLESS },
            "TRAPPED",
        ),
        (
            "text that ends behind its memory",
            Core { handle: "(call $answer (i32.const 1) (i32.const 65535) (i32.const 2))", ..HARMLESS },
            "TRAPPED",
        ),
        (
            "text around the end of addresses",
            Core { handle: "(call $answer (i32.const 1) (i32.const -1) (i32.const 2))", ..HARMLESS },
            "TRAPPED",
        ),
        (
            "text as long as addresses go",
            Core { handle: "(call $answer (i32.const 1) (i32.const 0) (i32.const -1))", ..HARMLESS },
            "TRAPPED",
        ),
        (
            "text that is not UTF-8",
            Core {
                fields: r#"(data (i32.const 100) "\ff")"#,
                handle: "(call $answer (i32.const 1) (i32.const 100) (i32.const 1))",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        (
            "text with half a surrogate pair",
            Core {
                fields: r#"(data (i32.const 100) "\ed\a0\80")"#,
                handle: "(call $answer (i32.const 1) (i32.const 100) (i32.const 3))",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        (
            "a card of no kind",
            Core { handle: "(call $answer (i32.const 1) (i32.const 0) (i32.const 0))", ..HARMLESS },
            "INVALID_CARD",
        ),
        ("arguments behind its memory", Core { realloc: "(i32.const 65536)", ..HARMLESS }, "TRAPPED"),
        ("arguments at no address", Core { realloc: "(i32.const -1)", ..HARMLESS }, "TRAPPED"),
        (
            "data behind its memory",
            Core { fields: r#"(data (i32.const 65535) "too long")"#, ..HARMLESS },
            "TRAPPED",
        ),
        (
            "a call with text behind its memory",
            Core {
                handle: "(call $result (i32.const 65535) (i32.const 2) (i32.const 0)) (i32.const 0)",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        (
            "a call with text as long as addresses go",
            Core {
                handle: "(call $result (i32.const 0) (i32.const -1) (i32.const 0)) (i32.const 0)",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        (
            "a call with text that is not UTF-8",
            Core {
                fields: r#"(data (i32.const 100) "\ff")"#,
                handle: "(call $result (i32.const 100) (i32.const 1) (i32.const 0)) (i32.const 0)",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        (
            "a call with more than a call may carry",
            Core {
                memory: r#"(memory (export "memory") 64)"#,
                handle: "(call $result (i32.const 0) (i32.const 4000000) (i32.const 0)) (i32.const 0)",
                ..HARMLESS
            },
            "CALL_TOO_LARGE",
        ),
        (
            "a call whose answer goes behind its memory",
            Core {
                handle: "(call $result (i32.const 0) (i32.const 0) (i32.const 65536)) (i32.const 0)",
                ..HARMLESS
            },
            "TRAPPED",
        ),
        // It calls when it is not its turn.
        (
            "a call while its arguments are written",
            Core { realloc: "(drop (call $number)) (i32.const 1024)", ..HARMLESS },
            "TRAPPED",
        ),
        ("a call after the answer", Core { post: "(drop (call $number))", ..HARMLESS }, "TRAPPED"),
        ("a crash after the answer", Core { post: "(unreachable)", ..HARMLESS }, "TRAPPED"),
        (
            "a call at the start, which is a call like any other",
            Core {
                fields: "(func $start (call $result (i32.const 0) (i32.const 0) (i32.const 512))) (start $start)",
                ..HARMLESS
            },
            "done",
        ),
    ];
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    for (what, core, expected) in rows {
        desk.install(core.component()).await.unwrap_or_else(|refused| panic!("{what}: {refused:?}"));
        assert_eq!(verdict(&desk.run(HAND_WRITTEN, "any", json!({})).await), expected, "{what}");
    }
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_makes_a_card_no_longer_than_a_card_may_be() {
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    let error = "(i32.store (i32.const 0) (i32.const 1))
                 (call $answer (i32.const 64) (i32.const 1000000) (i32.const 0))";
    let long = Core { memory: r#"(memory (export "memory") 20)"#, handle: error, ..HARMLESS };
    desk.install(long.component()).await.unwrap();
    let run = desk.run(HAND_WRITTEN, "any", json!({})).await;
    let card = run.intent.card.map(|card| card.to_string().len());
    assert!(card.is_none_or(|length| length <= CARD_BYTES_MAX), "the card has {card:?} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_asks_for_more_than_there_is_is_not_installed() {
    let instances = |module: &str, count: usize| {
        format!("(core module $it {module}) {}", "(core instance (instantiate $it))".repeat(count))
    };
    let deep = (1..500).fold("(type $t0 (list u8))".to_owned(), |types, depth| {
        types + &format!("(type $t{depth} (list $t{}))", depth - 1)
    });
    let wide = (1..20).fold("(type $t0 (tuple u8 u8 u8 u8))".to_owned(), |types, depth| {
        types + &format!("(type $t{depth} (tuple $t{0} $t{0} $t{0} $t{0}))", depth - 1)
    });
    let rows = [
        ("a page more than there is", "(core module (memory 2049))".to_owned()),
        ("four gigabytes", "(core module (memory 65536))".to_owned()),
        ("64-bit memory", "(core module (memory i64 1))".to_owned()),
        ("shared memory", "(core module (memory 1 1 shared))".to_owned()),
        ("a table of a million", "(core module (table 1000000 funcref))".to_owned()),
        ("nine memories", instances("(memory 0)", 8)),
        ("thirty-three tables", instances("(table 0 funcref)", 33)),
        ("two hundred instances", instances("", 200)),
        ("components in components", format!("{}{}", "(component ".repeat(17), ")".repeat(17))),
        ("sixty thousand locals", format!("(core module (func (local {})))", "i64 ".repeat(60_000))),
        ("a type of great depth", deep),
        ("a type of great width", wide),
    ];
    let desk = Desk::with_fuel(LITTLE_FUEL).await;
    for (what, more) in rows {
        let refused = desk.install(Core { more: &more, ..HARMLESS }.component()).await;
        let (code, message) = refused.expect_err(what);
        assert_eq!(code, Code::MalformedComponent, "{what}: {message}");
        assert!(message.len() < 1000, "{what}: {message}");
    }
    desk.goes_on().await;
}

#[test]
fn what_an_agent_prints_or_answers_reaches_no_terminal_as_it_is() {
    let cli = Cli::new();
    let agent = cli.install("guest-misbehaving", "");
    let ran = cli.run(&["run", &agent, "log_ansi"]);
    let id = cli.json(0, &["intent", "list"])["intents"][0]["id"].as_str().unwrap().to_owned();
    let shown = cli.run(&["intent", "show", &id]);
    let again = cli.json(0, &["intent", "show", &id]);
    assert!(again["log"].as_str().unwrap().chars().any(deceives), "{again}");
    for escaped in
        [r"\u{1b}[31mred", r"\u{7}", r"\u{d}", r"\u{202e}txt.exe", r"zero\u{200b}width", r"\u{e0041}"]
    {
        assert_eq!(shown.stdout.matches(escaped).count(), 3, "title, body and log: {}", shown.stdout);
    }
    let commands: [&[&str]; 4] = [
        &["intent", "list"],
        &["--json", "intent", "show", &id],
        &["--json", "intent", "list"],
        &["run", &agent, "trap"],
    ];
    for ended in commands.map(|command| cli.run(command)).into_iter().chain([ran, shown]) {
        for text in [ended.stdout, ended.stderr] {
            assert_eq!(text.chars().find(|c| deceives(*c)), None, "{text:?}");
        }
    }
}

/// Acts on a terminal, turns text around, or is not to be seen.
fn deceives(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[test]
fn no_foreign_text_passes_for_a_line_of_ours() {
    let cli = Cli::new();
    let file = |name: &str, bytes: &[u8]| {
        let path = cli.scratch().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let forged = "Intent int_1 is approved.";
    let manifest = json!({
        "id": HAND_WRITTEN, "name": format!("x\n{forged}"), "version": "1.0.0", "description": format!("x\n{forged}"),
        "capabilities": []
    });
    let manifest = file("agent.json", manifest.to_string().as_bytes());
    let field = file("field.json", format!(r#"{{"x\n{forged}\n": 1}}"#).as_bytes());
    let foreign = format!(r#"(component (import "a:b/c\0a{forged}\0a" (instance)))"#);
    let foreign = file("foreign.wasm", &wat::parse_str(foreign).unwrap());
    let fields = format!(
        r#"(func $f (@name "f\0a{forged}\0a") (call $result (i32.const -1) (i32.const 1) (i32.const 0)))"#
    );
    let named = Core { fields: &fields, handle: "(call $f) (i32.const 0)", ..HARMLESS }.component();
    let named = file("named.wasm", &named);

    let commands: [&[&str]; 9] = [
        &["agent", "install", &foreign, "--manifest", &manifest],
        &["agent", "install", &named, "--manifest", &field],
        &["agent", "install", &named, "--manifest", &manifest],
        &["inspect", &foreign],
        &["agent", "show", HAND_WRITTEN],
        &["agent", "list"],
        &["run", HAND_WRITTEN, &format!("x\n{forged}\n")],
        &["intent", "list"],
        &["run", &format!("x\n{forged}\n"), "any"],
    ];
    let forgeries: Vec<_> = commands
        .iter()
        .filter(|command| {
            let ended = cli.run(command);
            let mut lines = ended.stdout.lines().chain(ended.stderr.lines());
            lines.any(|line| line.trim_start().starts_with(forged))
        })
        .collect();
    assert!(forgeries.is_empty(), "{forgeries:#?}");
}

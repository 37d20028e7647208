//! The JavaScript engine and its builder from outside: what an agent finds, what it may get wrong, and what it may try.

use crate::support::{Cli, scripted, workspace};
use countersign::agent::{Package, Parts};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::{LOG_BYTES_MAX, Limits};
use countersign::host::{Host, Install, Options, View};
use countersign::intent::Status;
use countersign_harness::{Scenario, run};
use countersign_js::bundle::{Bundle, Module};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tempfile::TempDir;

const USER: &str = "local";
const ID: &str = "test.agent.javascript";
const BOTH: &[&str] = &["messages.read", "messages.send"];
/// How many programs with flipped bits are run.
const FLIPPED: usize = 300;
/// Fuel enough for everything honest here.
const FUEL: u64 = 1_000_000_000;

// ---- Agents -------------------------------------------------------------------------------------------------------------

/// A folder with these files in it.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn manifest(capabilities: &[&str]) -> String {
    let text = json!({
        "id": ID, "name": "In JavaScript", "version": "1.0.0", "description": "", "capabilities": capabilities
    });
    text.to_string()
}

/// The component of these files, the first of which is the entry.
fn project(files: &[(&str, &str)], capabilities: &[&str]) -> Vec<u8> {
    let folder = folder(files);
    scripted(&folder.path().join(files[0].0), Some(&manifest(capabilities)))
}

/// The component of an agent in one file.
fn agent(source: &str) -> Vec<u8> {
    project(&[("agent.js", source)], BOTH)
}

/// An agent that does what its parameters say: most of what is shown here needs no agent of its own. What the code gives is
/// the body of the card, or the card.
static EVALUATOR: LazyLock<Vec<u8>> = LazyLock::new(|| {
    agent(
        r#"
        const AsyncFunction = (async () => {}).constructor;
        export async function handleIntent({ intent, context, tools }) {
          const evaluated = new AsyncFunction("intent", "context", "tools", intent.parameters.code);
          const value = await evaluated(intent, context, tools);
          if (typeof value === "object" && value !== null && "type" in value) return value;
          return { type: "result", title: "value", body: typeof value === "string" ? value : JSON.stringify(value) };
        }"#,
    )
});

// ---- Runs ---------------------------------------------------------------------------------------------------------------

/// What came of a run.
#[derive(Debug)]
struct Ran {
    transcript: String,
}

impl Ran {
    /// Runs a component. The harness replays the run, and fails if it diverges.
    fn of(component: &[u8], given: &Value) -> Ran {
        let declared = Package::read(component.to_vec()).unwrap().manifest(None).unwrap().capabilities;
        let mut scenario = json!({
            "about": "x", "action": "go", "fuelMax": FUEL, "unknownFields": true,
            "grants": declared.iter().map(|capability| capability.name()).collect::<Vec<_>>(),
            "mail": [{ "from": "boss@company.com", "subject": "Report?", "body": "Well?" }],
        });
        for (name, value) in given.as_object().unwrap() {
            scenario[name] = value.clone();
        }
        let scenario: Scenario = serde_json::from_value(scenario).unwrap();
        let transcript =
            run(&scenario, component.to_vec()).unwrap_or_else(|error| panic!("{given}: {error:#}"));
        Ran { transcript }
    }

    fn once(component: &[u8], action: &str) -> Ran {
        Ran::of(component, &json!({ "action": action }))
    }

    fn code(code: &str) -> Ran {
        Ran::of(&EVALUATOR, &json!({ "parameters": { "code": code } }))
    }

    /// The card the run ended with.
    fn card(&self) -> Value {
        let cards: Vec<_> = self.transcript.lines().filter_map(|line| line.strip_prefix("  card ")).collect();
        assert_eq!(cards.len(), 1, "{}", self.transcript);
        serde_json::from_str(cards[0]).unwrap()
    }

    fn field(&self, name: &str) -> String {
        let card = self.card();
        card[name].as_str().unwrap_or_else(|| panic!("{card}")).to_owned()
    }

    /// What the code gave that was evaluated.
    fn value(&self) -> Value {
        assert_eq!(self.field("type"), "result", "{}", self.transcript);
        serde_json::from_str(&self.field("body")).unwrap()
    }

    /// The error the agent did not catch.
    fn error(&self) -> (String, String) {
        assert_eq!(self.field("type"), "error", "{}", self.transcript);
        (self.field("code"), self.field("description"))
    }

    /// The code the run was stopped with.
    fn stopped(&self) -> &str {
        let mut lines = self.transcript.lines().skip_while(|line| *line != "stopped");
        assert!(lines.next().is_some(), "{}", self.transcript);
        lines.next().unwrap().split_whitespace().next().unwrap()
    }

    fn log(&self) -> &str {
        let log = self.transcript.split_once("\nlog\n").map_or("", |(_, log)| log);
        log.strip_suffix("replay same\n").unwrap_or(log)
    }

    fn has(&self, line: &str) -> bool {
        self.transcript.lines().any(|found| found == line)
    }
}

/// How the run of a piece of code ends: its card, or the code it was stopped with.
fn verdict(code: &str) -> String {
    let ran = Ran::code(code);
    match ran.has("stopped") {
        true => ran.stopped().to_owned(),
        false => ran.card()["body"].as_str().map_or_else(|| ran.card().to_string(), str::to_owned),
    }
}

// ---- What an agent finds ------------------------------------------------------------------------------------------------

#[test]
fn plain_objects_come_in_and_plain_objects_go_out() {
    let code = r#"
        const { params, userId, timestamp, now, text } = context;
        const mail = await tools.messages.list();
        const plain = (it) => Object.getPrototypeOf(it) === Object.prototype;
        return {
          same: intent.parameters === params, plain: [intent, context, params, mail[0]].every(plain) && Array.isArray(mail),
          action: intent.action, nested: params.nested, userId, timestamp, now, text, mail,
        };"#;
    let parameters =
        json!({ "code": code, "nested": { "list": [1, 2.5, null, true, "é\u{1f600}"], "__proto__": 1 } });
    let given = json!({ "action": "look", "parameters": parameters, "text": "what I typed" });
    let mail = json!([{
        "id": "msg_1", "from": "boss@company.com", "to": ["local@localhost"], "subject": "Report?", "body": "Well?",
        "timestamp": "+0 s", "unread": true,
    }]);
    let ran = Ran::of(&EVALUATOR, &given);
    let mut value = ran.value();
    value["mail"][0]["timestamp"] = json!("+0 s");
    assert_eq!(
        value,
        json!({
            "same": true, "plain": true, "action": "look", "nested": parameters["nested"], "userId": "local",
            "timestamp": 1_736_164_800_000_u64, "now": "2025-01-06T12:00:00.000Z", "text": "what I typed", "mail": mail,
        })
    );
    assert_eq!(
        Ran::code("return Object.keys(context)").value(),
        json!(["params", "userId", "timestamp", "now"])
    );
}

#[test]
fn a_handler_takes_one_object_or_in_the_older_form_an_action_a_context_and_tools() {
    let object = r#"{ type: "result", title: `${arguments.length} ${arguments[0].intent.action} ${arguments[0].context.userId}` }"#;
    let older = r#"{ type: "result", title: `${arguments.length} ${arguments[0]} ${arguments[1].userId}` }"#;
    for (source, title) in [
        (
            format!(
                "export async function handleIntent({{ intent, context, tools }}) {{ return {object}; }}"
            ),
            "1 go local",
        ),
        (format!("export function handleIntent() {{ return {object}; }}"), "1 go local"),
        (format!("export default function () {{ return {object}; }}"), "1 go local"),
        (format!("export default {{ handleIntent() {{ return {object}; }} }}"), "1 go local"),
        (
            format!("export async function handleIntent(intent, context, tools) {{ return {older}; }}"),
            "3 go local",
        ),
        (format!("export function handleIntent(intent, context) {{ return {older}; }}"), "3 go local"),
        (
            format!("export const intents = ['go']; export function handleIntent() {{ return {older}; }}"),
            "3 go local",
        ),
        (
            format!("export default async function (intent, context, tools) {{ return {older}; }}"),
            "3 go local",
        ),
    ] {
        assert_eq!(Ran::once(&agent(&source), "go").field("title"), title, "{source}");
    }
}

#[test]
fn a_handler_that_is_a_method_is_called_as_one() {
    let source = "export default new (class { title = 'mine'; handleIntent() { return { type: 'result', title: this.title }; } })();";
    assert_eq!(Ran::once(&agent(source), "go").field("title"), "mine");
}

#[test]
fn an_agent_that_exports_no_handler_says_so() {
    for source in ["export const handleIntent = {};", "export default 5;"] {
        let (code, description) = Ran::once(&agent(source), "go").error();
        assert_eq!(
            (&*code, &*description),
            ("TypeError", "the agent exports no function handleIntent"),
            "{source}"
        );
    }
}

#[test]
fn nothing_returned_is_done_without_a_card() {
    for source in [
        "export function handleIntent() {}",
        "export async function handleIntent() { return null; }",
        "export const handleIntent = () => undefined;",
    ] {
        let ran = Ran::once(&agent(source), "go");
        assert!(ran.has("done") && ran.has("  no card"), "{source}: {}", ran.transcript);
    }
}

#[test]
fn what_is_returned_and_no_card_is_an_error_that_says_what_a_card_is() {
    for (value, expected) in [
        (r#"{ type: "result" }"#, "a card has a title; this one's is undefined"),
        (r#"{ type: "result", title: 5 }"#, "a card has a title; this one's is 5"),
        (r#"{ type: undefined, title: "t" }"#, "a card's type is one of result, error, summary"),
        (r#"{ type: "reslut", title: "t" }"#, r#"this one's is "reslut""#),
        (r#"{ type: "result", title: "t", body: 5n }"#, "BigInt"),
        (
            r#"(() => { const card = { type: "result", title: "t" }; return card.details = card; })()"#,
            "circular",
        ),
        (r#"{ get type() { throw new TypeError("looked at"); } }"#, "looked at"),
    ] {
        let (code, description) = Ran::code(&format!("return {value};")).error();
        assert!(code == "TypeError" && description.contains(expected), "{value}: {code} {description}");
    }
    for value in ["\"done\"", "5", "true", "[]", "() => {}", "Symbol('x')", "5n"] {
        let ran = Ran::once(&agent(&format!("export const handleIntent = () => {value};")), "go");
        assert!(ran.error().1.ends_with("; it returns a card, or nothing"), "{value}: {}", ran.transcript);
    }
}

#[test]
fn fields_no_card_has_are_dropped_with_a_line_in_the_log() {
    let ran = Ran::code(
        r#"return { type: "result", title: "t", body: "b", evil: 1, actions: undefined, [Symbol("s")]: 1, toString() {} };"#,
    );
    assert_eq!(ran.card(), json!({ "type": "result", "title": "t", "body": "b" }));
    assert_eq!(ran.log(), "  [countersign] dropped the unknown field `evil` of the card\n");
}

#[test]
fn the_runs_clock_and_seed_are_all_the_time_and_chance_there_is() {
    let source = r#"
        const drawn = () => ({
          time: [Date.now(), new Date().toISOString(), Date(), performance.now(), performance.timeOrigin, new Date().getTimezoneOffset()],
          chance: [Math.random(), Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(8))]],
        });
        const early = drawn();
        export async function handleIntent() {
          const late = drawn();
          await new Promise((resolve) => setTimeout(resolve, 1500));
          const later = drawn();
          return { type: "result", title: "drawn", body: JSON.stringify([early, late, later]) };
        }"#;
    let component = agent(source);
    let of = |seed: u64| Ran::of(&component, &json!({ "seed": seed })).value();
    let first = of(1);
    assert_eq!(first, of(1));
    let other = of(2);
    let instant = |after: u64| {
        let (now, iso) =
            (1_736_164_800_000 + after, ["2025-01-06T12:00:00.000Z", "2025-01-06T12:00:01.500Z"]);
        let text = ["Mon Jan 06 2025 12:00:00 GMT+0000", "Mon Jan 06 2025 12:00:01 GMT+0000"];
        let at = usize::from(after > 0);
        json!([now, iso[at], text[at], after, 1_736_164_800_000_u64, 0])
    };
    let mut seen = Vec::new();
    for (moment, time) in [(0, instant(0)), (1, instant(0)), (2, instant(1500))] {
        assert_eq!((&first[moment]["time"], &other[moment]["time"]), (&time, &time));
        for drawn in 0..4 {
            seen.extend([
                first[moment]["chance"][drawn].to_string(),
                other[moment]["chance"][drawn].to_string(),
            ]);
        }
    }
    let drawn = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), drawn, "something was drawn twice: {seen:?}");
}

#[test]
fn what_leaves_is_what_was_shown_though_it_is_made_of_time_and_chance() {
    let code = r#"
        const { approved } = await tools.approval.request({ action: "send_message", title: "t", description: "d" });
        await new Promise((resolve) => setTimeout(resolve, 10));
        const body = [approved, Math.random(), crypto.randomUUID(), Date.now() - context.timestamp].join(" ");
        await tools.messages.send({ to: ["team@company.com"], subject: "Chance", body });"#;
    let steps = json!([{ "advance": "5m" }, "restart", "approve"]);
    let ran = Ran::of(&EVALUATOR, &json!({ "parameters": { "code": code }, "steps": steps, "seed": 7 }));
    let shown = ran.transcript.lines().find_map(|line| line.strip_prefix("    body ")).unwrap();
    assert!(shown.starts_with("true 0.") && shown.ends_with(" 10"), "{shown}");
    let sent = format!(" to team@company.com: Chance: {shown}");
    assert!(
        ran.has("sent 1") && ran.transcript.lines().any(|line| line.ends_with(&sent)),
        "{}",
        ran.transcript
    );
}

#[test]
fn timers_fire_in_the_order_of_their_times_and_nobody_waits() {
    let code = r#"
        const fired = [];
        const began = performance.now();
        const at = (name) => fired.push(`${name} ${performance.now() - began}`);
        setTimeout(at, 86_400_000, "tomorrow");
        setTimeout(() => at("second of ten"), 10);
        setTimeout(at, 10, "third of ten");
        setTimeout(at, 0, "at once");
        setTimeout(at, -5, "negative");
        setTimeout(at, NaN, "no number");
        setTimeout(() => {
          at("outer");
          setTimeout(at, 0, "inner");
          queueMicrotask(() => at("before inner"));
        }, 7);
        const every = setInterval(() => { at("every three"); if (performance.now() - began > 8) clearInterval(every); }, 3);
        const never = setTimeout(at, 1, "never");
        clearTimeout(never);
        clearTimeout(undefined);
        clearTimeout(12345);
        clearInterval({});
        queueMicrotask(() => at("microtask"));
        await new Promise((resolve) => setTimeout(resolve, 86_400_001));
        return [...fired, Date.now() - context.timestamp];"#;
    let expected = json!([
        "microtask 0",
        "at once 0",
        "negative 0",
        "no number 0",
        "every three 3",
        "every three 6",
        "outer 7",
        "before inner 7",
        "inner 7",
        "every three 9",
        "second of ten 10",
        "third of ten 10",
        "tomorrow 86400000",
        86_400_001
    ]);
    assert_eq!(Ran::code(code).value(), expected);
    for (code, told) in
        [("setTimeout('1', 1)", "a timer takes a function"), ("setTimeout(() => {}, Symbol())", "symbol")]
    {
        assert!(Ran::code(code).error().1.contains(told), "{code}");
    }
}

#[test]
fn a_timer_that_throws_is_in_the_log_and_the_others_fire() {
    let ran = Ran::code(
        r#"
        setTimeout(() => { throw new RangeError("thrown"); }, 1);
        setTimeout(async () => { throw new RangeError("rejected"); }, 2);
        const every = setInterval(() => { clearInterval(every); throw "a string"; }, 3);
        await new Promise((resolve) => setTimeout(resolve, 4));
        return "went on";"#,
    );
    assert_eq!(ran.field("body"), "went on");
    for line in [
        "  error: Uncaught in a timer: RangeError: thrown",
        "  error: Unhandled rejection: RangeError: rejected",
        "  error: Uncaught in a timer: a string",
    ] {
        assert!(ran.has(line), "{line}: {}", ran.log());
    }
}

#[test]
fn ten_thousand_timers_fire() {
    let code = "let fired = 0;
        await new Promise((done) => { for (let i = 0; i < 10_000; i++) setTimeout(() => { if (++fired === 10_000) done(); }, i % 100); });
        return fired;";
    let default = Limits::default().fuel_max;
    let ran = Ran::of(&EVALUATOR, &json!({ "parameters": { "code": code }, "fuelMax": default }));
    assert_eq!(ran.value(), json!(10_000));
}

#[test]
fn awaits_are_as_many_as_an_agent_likes() {
    let ran = Ran::code(
        r#"
        let sum = 0;
        for (let i = 0; i < 10_000; i++) sum += await i;
        for await (const one of (async function* () { yield 1; yield Promise.resolve(2); })()) sum += one;
        sum += (await Promise.all(Array.from({ length: 1000 }, async (_, i) => i))).length;
        for (let i = 0; i < 1000; i++) await new Promise((resolve) => setTimeout(resolve, 1));
        return [sum, performance.now()];"#,
    );
    assert_eq!(ran.value(), json!([49_995_000 + 3 + 1000, 1000]));
}

#[test]
fn a_module_may_wait_before_it_is_complete() {
    let files = [
        (
            "agent.js",
            "import { data } from './data.js'; const own = await data.later(); export const handleIntent = () => ({ type: 'result', title: own + data.now });",
        ),
        (
            "data.js",
            "await new Promise((resolve) => setTimeout(resolve, 50)); export const data = { now: Date.now() % 1000, later: async () => 'later ' };",
        ),
    ];
    assert_eq!(Ran::once(&project(&files, &[]), "go").field("title"), "later 50");
}

#[test]
fn what_this_host_does_not_have_is_denied() {
    let ran = Ran::code(
        r#"
        const told = [];
        const missing = {
          calendar: ["listEvents", "createEvent"], contacts: ["search"], storage: ["read", "write", "list"], network: ["fetch"],
        };
        for (const [tool, calls] of Object.entries(missing)) {
          for (const call of calls) await tools[tool][call]({}).catch((error) => told.push(error));
        }
        await fetch("https://example.com/").catch((error) => told.push(error));
        if (!told.every((error) => error instanceof ToolError && error.code === "CAPABILITY_DENIED")) throw told;
        return told.map((error) => [error.message, error.details.capability]);"#,
    );
    let denied = |capability: &str| {
        json!([format!("User has not granted {capability} capability to this agent."), capability])
    };
    let expected = [
        "calendar.read",
        "calendar.write",
        "contacts.read",
        "storage.read",
        "storage.write",
        "storage.read",
        "network.fetch",
        "network.fetch",
    ];
    assert_eq!(ran.value(), Value::from(expected.map(denied).to_vec()));
    let absent = "return ['Intl', 'WebAssembly', 'Atomics', 'Worker', 'XMLHttpRequest', 'process', 'require', 'std', 'os', 'Deno']
        .filter((name) => name in globalThis)";
    assert_eq!(Ran::code(absent).value(), json!([]));
}

#[test]
fn a_call_the_manifest_does_not_declare_is_denied_and_not_even_imported() {
    let source = r#"export async function handleIntent({ tools }) {
        const calls = {
          list: () => tools.messages.list(),
          send: () => tools.messages.send({ to: ["team@company.com"], subject: "s", body: "b" }),
          result: () => tools.approval.result("appr_x"),
        };
        const told = [];
        for (const [name, call] of Object.entries(calls)) told.push(`${name} ${await call().then(() => "ok", (e) => e.code)}`);
        return { type: "result", title: told.join(", ") };
    }"#;
    let always = [("approval", "request"), ("approval", "result")];
    for (capabilities, messages, title) in [
        (&[][..], &[][..], "list CAPABILITY_DENIED, send CAPABILITY_DENIED, result RESOURCE_NOT_FOUND"),
        (&["messages.read"], &["list"], "list ok, send CAPABILITY_DENIED, result RESOURCE_NOT_FOUND"),
        (
            &["messages.send"],
            &["send"],
            "list CAPABILITY_DENIED, send APPROVAL_REQUIRED, result RESOURCE_NOT_FOUND",
        ),
        (BOTH, &["list", "send"], "list ok, send APPROVAL_REQUIRED, result RESOURCE_NOT_FOUND"),
    ] {
        let component = project(&[("agent.js", source)], capabilities);
        assert_eq!(Ran::once(&component, "go").field("title"), title, "{capabilities:?}");
        let package = Package::read(component).unwrap();
        let mut tools: Vec<(&str, &str)> = Vec::new();
        for (interface, function) in package.functions.iter().flatten() {
            let interface = interface.strip_prefix("countersign:").unwrap_or_else(|| panic!("{interface}"));
            let tool = interface.split('/').next().unwrap();
            if tool != "interpreter" {
                tools.push((tool, function));
            }
        }
        let mut expected: Vec<_> =
            messages.iter().map(|function| ("messages", *function)).chain(always).collect();
        tools.sort_unstable();
        expected.sort_unstable();
        assert_eq!(tools, expected, "{capabilities:?}");
        let interfaces = ["messages", "approval", "types", "interpreter"]
            .map(|name| format!("countersign:{name}/{name}@"));
        let known = |import: &String| interfaces.iter().any(|known| import.starts_with(known.as_str()));
        assert!(package.imports.iter().all(known), "{:?}", package.imports);
        let messages_imported = package.imports.iter().any(|import| import.contains("messages"));
        assert_eq!(messages_imported, !messages.is_empty(), "{:?}", package.imports);
    }
}

// ---- What an agent may get wrong ----------------------------------------------------------------------------------------

#[test]
fn wrong_arguments_are_refused_naming_the_parameter() {
    let code = r#"
        const hostile = new Proxy({}, { get() { throw new Error("looked at"); } });
        const circle = {}; circle.circle = circle;
        let deep = {}; for (let i = 0; i < 1000; i++) deep = { deep };
        const nothing = [undefined, null];
        const texts = [5, NaN, true, {}, [], ["x"], () => "x", Symbol("x"), 5n, new String("x"), Object.create(null), hostile];
        const lists = ["a@b.example", 5, {}, { length: 1, 0: "a@b.example" }, [5], [null], ["a@b.example", undefined],
          [["a@b.example"]], new Set(["a@b.example"]), hostile];
        const numbers = [0, -1, 101, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32 + 5, 2 ** 53, 1e308, "5", "", true, {}, [], [5], () => 5];
        const objects = [5, "x", [], true, Symbol("x"), 5n, () => {}];
        const details = ["{}", 5, [], true, circle, { a: 5n }, { toJSON: () => undefined }, { toJSON: () => [1] },
          { toJSON() { throw new Error("written"); } }, deep, { a: "x".repeat(70_000) }];
        const message = { to: ["team@company.com"], subject: "s", body: "b" };
        const ask = { action: "a", title: "t", description: "d" };
        const { messages, approval } = tools;
        const rows = [
          [messages.list, "filter", (filter) => filter, objects],
          [messages.list, "from", (from) => ({ from }), texts],
          [messages.list, "after", (after) => ({ after }), [...texts, "yesterday", "2025-13-01"]],
          [messages.list, "limit", (limit) => ({ limit }), numbers],
          [messages.send, "message", (message) => message, [...objects, ...nothing]],
          [messages.send, "to", (to) => ({ ...message, to }), [...lists, ...nothing, []]],
          [messages.send, "cc", (cc) => ({ ...message, cc }), lists],
          [messages.send, "bcc", (bcc) => ({ ...message, bcc }), lists],
          [messages.send, "subject", (subject) => ({ ...message, subject }), [...texts, ...nothing]],
          [messages.send, "body", (body) => ({ ...message, body }), [...texts, ...nothing]],
          [messages.send, "bodyKind", (bodyKind) => ({ ...message, bodyKind }), [...texts, "markdown"]],
          [approval.request, "request", (request) => request, [...objects, ...nothing]],
          [approval.request, "action", (action) => ({ ...ask, action }), [...texts, ...nothing]],
          [approval.request, "title", (title) => ({ ...ask, title }), [...texts, ...nothing]],
          [approval.request, "description", (description) => ({ ...ask, description }), [...texts, ...nothing]],
          [approval.request, "details", (details) => ({ ...ask, details }), details],
          [approval.result, "approvalId", (approvalId) => approvalId, [...texts, ...nothing]],
        ];
        const wrong = [];
        let tried = 0;
        for (const [call, parameter, argument, values] of rows) {
          for (const [at, value] of values.entries()) {
            tried++;
            const told = await call(argument(value)).then(() => "accepted", (error) =>
              `${error.name} ${error.code} ${error.details?.parameter} ${error.message}`);
            if (!told.startsWith(`ToolError INVALID_PARAMETER ${parameter} `)) wrong.push(`${parameter}[${at}]: ${told}`);
          }
        }
        return { tried, wrong };"#;
    assert_eq!(Ran::code(code).value(), json!({ "tried": 210, "wrong": [] }));
}

#[test]
fn numbers_that_are_none_and_lists_with_holes_are_refused_naming_the_parameter() {
    for (call, parameter) in [
        ("tools.messages.list({ limit: 5n })", "limit"),
        ("tools.messages.list({ limit: Symbol() })", "limit"),
        ("tools.messages.list({ limit: Object.create(null) })", "limit"),
        ("tools.messages.send({ to: Array(2), subject: 's', body: 'b' })", "to"),
        ("tools.messages.send({ to: ['a@b.example', , 'c@d.example'], subject: 's', body: 'b' })", "to"),
        (
            "tools.approval.request({ action: 'a', title: 't', description: 'd', details: { toJSON() { throw null; } } })",
            "details",
        ),
    ] {
        let code =
            format!("return {call}.catch((error) => `${{error.code}} ${{error.details?.parameter}}`);");
        assert_eq!(verdict(&code), format!("INVALID_PARAMETER {parameter}"), "{call}");
    }
}

#[test]
fn an_argument_that_throws_when_it_is_looked_at_throws_its_own_error() {
    let ran = Ran::code(
        r#"
        const { messages, approval } = tools;
        const mine = new Error("mine");
        const thrower = new Proxy([], { get() { throw mine; } });
        const told = [];
        for (const call of [
          () => messages.list({ get from() { throw mine; } }),
          () => messages.list(new Proxy({}, { get() { throw mine; } })),
          () => messages.send({ get to() { throw mine; } }),
          () => messages.send({ to: thrower, subject: "s", body: "b" }),
          () => approval.request({ action: "a", title: "t", description: "d", get details() { throw mine; } }),
        ]) told.push(await call().then(() => "accepted", (error) => error === mine));
        const { proxy, revoke } = Proxy.revocable({}, {});
        revoke();
        told.push(await messages.list(proxy).catch((error) => error.name));
        return told;"#,
    );
    assert_eq!(ran.value(), json!([true, true, true, true, true, "TypeError"]));
    assert!(ran.transcript.contains("\ncalls\nsent 0\n"), "{}", ran.transcript);
}

#[test]
fn half_a_character_reaches_nobody() {
    let ran = Ran::code(
        r#"
        await tools.messages.list({ from: "\ud83d@company.com" }).catch(() => {});
        await tools.approval.result("appr_\udc00").catch(() => {});
        console.log("half \ud83d", "\udc00 other");
        throw { code: "HALF\ud83d", message: "\udc00half" };"#,
    );
    assert_eq!(ran.error(), ("HALF\u{fffd}".into(), "\u{fffd}half".into()));
    for text in ["\"from\":\"\u{fffd}@company.com\"", "\"appr_\u{fffd}\"", "  half \u{fffd} \u{fffd} other\n"]
    {
        assert!(ran.transcript.contains(text), "{text}: {}", ran.transcript);
    }
}

#[test]
fn half_a_character_in_a_card_or_in_details_does_not_cost_the_run() {
    // A preview cut in the middle of an emoji.
    let card = r"return { type: 'result', title: 't', body: 'Well \ud83c\udf89'.slice(0, 6), details: { '\ud83d': ['\udc00'] } };";
    let expected = json!({ "type": "result", "title": "t", "body": "Well \u{fffd}", "details": { "\u{fffd}": ["\u{fffd}"] } });
    assert_eq!(Ran::code(card).card(), expected);
    // What looks like one and is none stays: a backslash and letters.
    let literal = r#"const s = ['\\ud83d', '\\\ud83d', '\\\\ud83d', '\ud83d\udc00', '"\udc00"']; return { type: 'result', title: 't', details: { s } };"#;
    let expected = json!([r"\ud83d", "\\\u{fffd}", r"\\ud83d", "\u{1f400}", "\"\u{fffd}\""]);
    assert_eq!(Ran::code(literal).card()["details"]["s"], expected);
    let details = r"await tools.approval.request({ action: 'a', title: 't', description: 'd', details: { a: '\ud83d' } });";
    assert!(Ran::code(details).has("waiting"), "{}", Ran::code(details).transcript);
}

#[test]
fn a_mail_full_of_backslashes_is_shown_like_any_other() {
    // As much of a mail's body as an agent gets, and words that look like half a character.
    let mail = json!([{ "from": "a@b.example", "body": "\\", "times": 16_000, "subject": r"\ud83d" }]);
    let code = r"const [{ subject, body }] = await tools.messages.list(); return body + subject;";
    let default = Limits::default().fuel_max;
    let ran =
        Ran::of(&EVALUATOR, &json!({ "mail": mail, "parameters": { "code": code }, "fuelMax": default }));
    assert_eq!(ran.field("body").len(), 16_000 + r"\ud83d".len());
}

/// Where a text begins in a source: line and column, both from 1, the column in UTF-16 units as editors count.
fn place(source: &str, text: &str) -> String {
    let at = source.find(text).unwrap_or_else(|| panic!("{text}"));
    let line = source[..at].matches('\n').count() + 1;
    let column = source[..at].rsplit('\n').next().unwrap().encode_utf16().count() + 1;
    format!("{line}:{column}")
}

const IN_JAVASCRIPT: &str = r#"import { deep } from "./lib/deep.js";
import { typed } from "./typed.ts";
const actions = {
  async thrown() { throw new Error("thrown"); },
  async missing() { return absent + 1; },
  async later() { await null; throw new Error("later"); },
  async called() { [1].map(() => { throw new Error("called"); }); },
  async made() { class Thing { constructor() { throw new Error("made"); } } new Thing(); },
  async native() { return new Array(-1); },
  async read() { const nothing = undefined; return nothing.read; },
  async imported() { deep(); },
  async typed() { typed({}); },
};
export async function handleIntent({ intent }) { await actions[intent.action](); }
"#;
const IMPORTED: &str = "\n\nexport function deep() {\n    throw new Error(\"deep\");\n}\n";
const TYPED: &str = r#"type Thing = { name?: string; nested: Map<string, Array<number>> };
export function typed<T extends Thing>(
  it: T,
): never {
  const known: Partial<Record<keyof T, string>> = {}; throw new Error(("typed" as string)!);
}
"#;

#[test]
fn an_error_names_its_place_in_the_authors_source() {
    let files = [("agent.js", IN_JAVASCRIPT), ("lib/deep.js", IMPORTED), ("typed.ts", TYPED)];
    let component = project(&files, &[]);
    for (action, code, message, file, source, text) in [
        ("thrown", "Error", "thrown", "agent.js", IN_JAVASCRIPT, "Error(\"thrown"),
        ("missing", "ReferenceError", "absent is not defined", "agent.js", IN_JAVASCRIPT, "absent"),
        ("later", "Error", "later", "agent.js", IN_JAVASCRIPT, "Error(\"later"),
        ("called", "Error", "called", "agent.js", IN_JAVASCRIPT, "Error(\"called"),
        ("made", "Error", "made", "agent.js", IN_JAVASCRIPT, "Error(\"made"),
        ("native", "RangeError", "invalid array length", "agent.js", IN_JAVASCRIPT, "Array(-1)"),
        (
            "read",
            "TypeError",
            "cannot read property 'read' of undefined",
            "agent.js",
            IN_JAVASCRIPT,
            "nothing.read",
        ),
        ("imported", "Error", "deep", "lib/deep.js", IMPORTED, "Error(\"deep"),
        ("typed", "Error", "typed", "typed.ts", TYPED, "Error((\"typed"),
    ] {
        let ran = Ran::once(&component, action);
        let expected = format!("{message} ({file}:{})", place(source, text));
        assert_eq!(ran.error(), (code.to_owned(), expected), "{action}");
        // The way there is in the log, and only through the author's files.
        assert!(
            ran.log().starts_with(&format!("  error: Uncaught {code}: {message}\n      at ")),
            "{}",
            ran.log()
        );
        assert!(ran.log().contains("(agent.js:") && !ran.log().contains("countersign:"), "{}", ran.log());
    }
}

#[test]
fn text_that_is_no_json_is_told_with_the_place_that_parsed_it() {
    let source = "export function handleIntent() { return JSON.parse('{'); }";
    let (code, description) = Ran::once(&agent(source), "go").error();
    assert!(code == "SyntaxError" && description.contains("(agent.js:1:"), "{description}");
}

#[test]
fn a_file_with_a_space_in_its_name_is_named_whole() {
    let files = [
        ("agent.js", "export * from './my own.js';"),
        ("my own.js", "export function handleIntent() { throw new Error('e'); }"),
    ];
    let (_, description) = Ran::once(&project(&files, &[]), "go").error();
    assert!(description.starts_with("e (my own.js:1:"), "{description}");
}

#[test]
fn an_error_with_a_code_becomes_that_code() {
    for (thrown, code, description) in [
        ("Object.assign(new Error('told'), { code: 'MINE' })", "MINE", "told"),
        ("new ToolError('MINE', 'told', { a: 1 })", "MINE", "told"),
        ("{ code: 'MINE', message: 'told' }", "MINE", "told"),
        ("{ code: 'MINE' }", "MINE", ""),
        (
            "await tools.messages.list({ limit: 0 })",
            "INVALID_PARAMETER",
            "Parameter `limit` must be from 1 to 100.",
        ),
    ] {
        let ran = Ran::code(&format!("throw {thrown};"));
        assert_eq!(ran.error(), (code.to_owned(), description.to_owned()), "{thrown}");
    }
}

#[test]
fn details_that_are_no_json_do_not_cost_an_error_its_code() {
    for details in
        ["(() => { const circle = {}; return circle.circle = circle; })()", "5n", "{ get a() { throw 1; } }"]
    {
        let code = format!("throw Object.assign(new Error('told'), {{ code: 'MINE', details: {details} }});");
        assert_eq!(Ran::code(&code).error(), ("MINE".into(), "told".into()), "{details}");
    }
}

#[test]
fn whatever_is_thrown_is_told() {
    for (thrown, code, description) in [
        ("'a string'", "Error", "a string"),
        ("undefined", "Error", "undefined"),
        ("null", "Error", "null"),
        ("5", "Error", "5"),
        ("5n", "Error", "5n"),
        ("Symbol('s')", "Error", "Symbol(s)"),
        ("{ a: [1, { b: new Map([[1, 2]]) }] }", "Error", "{ a: [1, { b: Map { 1 => 2 } }] }"),
        ("Object.create(null)", "Error", "{}"),
        ("() => {}", "Error", "[function anonymous]"),
    ] {
        assert_eq!(
            Ran::code(&format!("throw {thrown};")).error(),
            (code.into(), description.into()),
            "{thrown}"
        );
    }
    for (thrown, code) in [
        ("new DOMException('m', 'AbortError')", "AbortError"),
        ("new AggregateError([], 'm')", "AggregateError"),
    ] {
        let (told, description) = Ran::code(&format!("throw {thrown};")).error();
        assert!(told == code && description.starts_with("m ("), "{told} {description}");
    }
    let (code, description) =
        Ran::code("throw { code: 'x'.repeat(1000), message: 'y'.repeat(100_000) };").error();
    assert_eq!((code.len(), description.len()), (64, 8192));
}

#[test]
fn an_error_that_cannot_be_described_is_an_error() {
    for thrown in [
        "new Proxy({}, { get() { throw 1; } })",
        "new Proxy(new Error(), { getPrototypeOf() { throw 1; } })",
        "Object.assign(new Error('m'), { name: Symbol('n') })",
        "Object.defineProperty(new Error('m'), 'stack', { get() { throw 1; } })",
        "{ code: 'A', message: Object.create(null) }",
        "{ get code() { throw 1; } }",
    ] {
        let (_, description) = Ran::code(&format!("throw {thrown};")).error();
        // What the engine is made of is none of the author's business.
        assert!(!description.contains("countersign:"), "{thrown}: {description}");
    }
}

#[test]
fn a_rejected_promise_nobody_looks_at_is_in_the_log() {
    let ran = Ran::code(
        r#"
        Promise.reject(new RangeError("unseen"));
        const late = Promise.reject(new RangeError("looked at late"));
        await null;
        await late.catch(() => {});
        return 1;"#,
    );
    assert_eq!(ran.value(), json!(1));
    assert!(
        ran.log().starts_with("  error: Unhandled rejection: RangeError: unseen\n      at "),
        "{}",
        ran.log()
    );
    assert!(!ran.log().contains("looked at late"), "{}", ran.log());
}

#[test]
fn a_microtask_that_throws_is_in_the_log() {
    let ran = Ran::code("queueMicrotask(() => { throw new RangeError('lost'); }); await null; return 1;");
    assert!(ran.log().contains("RangeError: lost"), "{}", ran.transcript);
}

#[test]
fn what_cannot_be_shown_in_the_log_does_not_cost_the_answer() {
    for code in [
        "Promise.reject({ get a() { throw new Error('looked at'); } }); return 'well';",
        "setTimeout(() => { throw { get a() { throw 1; } }; }, 1); await new Promise((resolve) => setTimeout(resolve, 2)); return 'well';",
    ] {
        assert_eq!(verdict(code), "well", "{code}");
    }
}

#[test]
fn a_promise_that_nothing_settles_ends_the_run_with_an_error() {
    let (code, description) = Ran::code("await new Promise(() => {});").error();
    let told = "handleIntent waits for a promise that nothing will settle.";
    assert_eq!((&*code, &*description), ("INTERNAL_ERROR", told));
    let waiting = agent("await new Promise(() => {}); export const handleIntent = () => {};");
    assert_eq!(Ran::once(&waiting, "go").error().0, "INTERNAL_ERROR");
}

#[test]
fn a_module_that_fails_before_the_handler_is_told_with_its_place() {
    let files = [
        ("agent.js", "import './broken.js'; export const handleIntent = () => {};"),
        ("broken.js", "\nnull.x;"),
    ];
    let (code, description) = Ran::once(&project(&files, &[]), "go").error();
    assert_eq!(code, "TypeError");
    assert!(description.contains("(broken.js:2:"), "{description}");
    let files = [
        ("agent.js", "import { absent } from './lib.js'; export const handleIntent = () => absent;"),
        ("lib.js", "export * from './more.js';"),
        ("more.js", ""),
    ];
    let (code, description) = Ran::once(&project(&files, &[]), "go").error();
    assert_eq!((&*code, &*description), ("SyntaxError", "Could not find export 'absent' in module 'lib.js'"));
}

/// Builds a project with the real binary, and expects to be refused.
fn refused(files: &[(&str, &str)]) -> String {
    let (cli, folder) = (Cli::new(), folder(files));
    write(folder.path(), "agent.json", &manifest(&[]));
    let ended = cli.run(&["build", folder.path().to_str().unwrap()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (6, ""), "{ended:#?}");
    assert!(ended.stderr.contains("[BUILD_FAILED]"), "{ended:#?}");
    assert!(!folder.path().join("build").exists());
    ended.stderr
}

#[test]
fn what_does_not_parse_is_refused_when_it_is_built_naming_file_line_and_column() {
    let told = refused(&[("agent.js", "const é = '日本'; // 😀\nexport let ok = 1;\n  let é2 = ;\n")]);
    assert!(
        told.starts_with("agent.js:3:12: Unexpected token\n3 |   let é2 = ;\n  |            ^\n"),
        "{told}"
    );
    for (file, text, place) in [
        ("lib/typed.ts", "let a: number = ;", "lib/typed.ts:1:17: "),
        ("lib/data.json", "{\n  \"a\": }", "lib/data.json:2:8: not JSON"),
        ("lib/enum.ts", "\nenum Colour { Red }", "lib/enum.ts:2:1: "),
        // The engine finds these, and not the parser that reads the types.
        ("lib/super.js", "\nfunction f() { super.x; }", "lib/super.js:2:"),
        ("lib/with.js", "\n  with (Math) {}", "lib/with.js:2:3"),
        ("lib/twice.js", "let a;\nlet a;", "lib/twice.js:2:"),
    ] {
        let entry = format!("import './{file}'; export const handleIntent = () => {{}};");
        let told = refused(&[("agent.js", &entry), (file, text)]);
        assert!(told.contains(place), "{told}");
    }
}

#[test]
fn a_regular_expression_that_does_not_parse_is_refused_naming_its_place() {
    let told = refused(&[("agent.js", "export const handleIntent = () => {};\nconst broken = /(/;")]);
    assert!(told.contains("agent.js:2:"), "{told}");
}

#[test]
fn what_cannot_be_imported_is_refused_when_it_is_built() {
    for (source, place, told) in [
        ("\nimport './absent.js';", "agent.js:2:8: ", "`./absent.js` cannot be found"),
        ("import fs from 'node:fs';", "agent.js:1:16: ", "agents have no files and no network; use tools"),
        ("import 'fs';", "agent.js:1:8: ", "agents have no files and no network; use tools"),
        ("import 'left-pad';", "agent.js:1:8: ", "install the package"),
        ("import 'https://esm.sh/nanoid';", "agent.js:1:8: ", "nothing is fetched"),
        ("import '../secret.js';", "agent.js:1:8: ", "lies outside of the folder of agent.json"),
        (
            "const x = await import('../secret.js');",
            "agent.js:1:24: ",
            "lies outside of the folder of agent.json",
        ),
        (
            "import 'common';",
            "node_modules/common/index.js: ",
            "bundle first, e.g. `esbuild agent.js --bundle --format=esm",
        ),
    ] {
        let (cli, folder) = (Cli::new(), TempDir::new().unwrap());
        write(folder.path(), "secret.js", "export default 1;");
        write(folder.path(), "agent/agent.json", &manifest(&[]));
        write(folder.path(), "agent/agent.js", source);
        write(folder.path(), "agent/node_modules/common/index.js", "module.exports = require('./x');");
        let ended = cli.run(&["build", folder.path().join("agent").to_str().unwrap()]);
        assert_eq!(ended.code, 6, "{source}: {ended:#?}");
        assert!(ended.stderr.starts_with(place) && ended.stderr.contains(told), "{source}: {}", ended.stderr);
    }
}

// ---- Modules ------------------------------------------------------------------------------------------------------------

/// The modules of an agent that uses every way there is to import.
const MODULES: &[(&str, &str)] = &[
    (
        "agent.ts",
        r#"
        import type { Input } from "@countersign/sdk";
        import { even } from "./even.js";
        import * as everything from "./lib/index.ts";
        import plain from "./data.json";
        import attributed from "./data.json" with { type: "json" };
        import packaged, { type Shape } from "packaged";
        import { sub } from "packaged/sub";
        import scoped from "@scope/old";
        export async function handleIntent({ intent }: Input) {
          const shape: Shape = { a: 1 };
          const lazy = await import("./lazy.js");
          const again = await import("./lazy.js");
          const json = await import("./data.json");
          const body = [even(10), Object.keys(everything), plain.name, plain === attributed, json.default === plain,
            packaged, sub, scoped, lazy.default, lazy === again, shape, intent.action];
          return { type: "result", title: "modules", body: JSON.stringify(body) };
        }"#,
    ),
    (
        "even.ts",
        "import { odd } from './odd'; export const even = (n: number): boolean => n === 0 || odd(n - 1);",
    ),
    (
        "odd.ts",
        "import { even } from './even'; export function odd(n: number): boolean { return n !== 0 && even(n - 1); }",
    ),
    (
        "lib/index.ts",
        "export * from './a.mjs'; export { default as b } from './b'; export type { T } from './b'; import '../agent.ts';",
    ),
    ("lib/a.mjs", "export const a = 1;"),
    ("lib/b.mts", "export type T = string; export default 2 satisfies number;"),
    ("data.json", "\u{feff}{ \"name\": \"d\u{e4}ta\", \"__proto__\": { \"x\": 1 } }"),
    (
        "lazy.js",
        "export default 'lazy'; globalThis.lazies = (globalThis.lazies ?? 0) + 1; if (lazies > 1) throw 'twice';",
    ),
    (
        "node_modules/packaged/package.json",
        r#"{ "name": "packaged", "type": "module", "exports": {
            ".": { "types": "./types.d.ts", "require": "./common.cjs", "import": "./main.js" }, "./sub": { "countersign": "./ours.js", "default": "./sub.js" } } }"#,
    ),
    ("node_modules/packaged/main.js", "export { default } from './inner.js';"),
    ("node_modules/packaged/inner.js", "export default 'packaged';"),
    ("node_modules/packaged/ours.js", "export const sub = 'ours';"),
    ("node_modules/packaged/sub.js", "export const sub = 'theirs';"),
    ("node_modules/@scope/old/package.json", r#"{ "main": "./common.cjs", "module": "./module.js" }"#),
    ("node_modules/@scope/old/module.js", "export default 'scoped';"),
];

#[test]
fn modules_are_found_as_authors_know_it() {
    let value = Ran::once(&project(MODULES, &[]), "go").value();
    let expected = json!([
        true, ["a", "b"], "d\u{e4}ta", true, true, "packaged", "ours", "scoped", "lazy", true, { "a": 1 }, "go"
    ]);
    assert_eq!(value, expected);
}

#[test]
fn the_same_sources_give_the_same_bytes_wherever_they_lie() {
    let (here, there) = (folder(MODULES), TempDir::new().unwrap());
    let deep = there.path().join("an other/place");
    // Written in another order, so that no order of a folder's entries matters.
    for (name, text) in MODULES.iter().rev() {
        write(&deep, name, text);
    }
    let built = |folder: &Path| scripted(&folder.join("agent.ts"), Some(&manifest(BOTH)));
    let first = built(here.path());
    assert!(first == built(&deep) && first == built(here.path()));
    write(&deep, "lib/a.mjs", "export const a = 2;");
    assert!(first != built(&deep));
}

#[test]
fn modules_may_import_each_other_five_hundred_deep() {
    let names: Vec<_> = (0..=500).map(|number| format!("m{number}.js")).collect();
    let text = |number: usize| {
        format!("import {{ v as next }} from './m{}.js'; export const v = next + 1;", number + 1)
    };
    let mut texts: Vec<_> = (0..500).map(text).collect();
    texts.push("export const v = 0;".into());
    let mut files = vec![(
        "agent.js",
        "import { v } from './m0.js'; export const handleIntent = () => ({ type: 'result', title: `${v}` });",
    )];
    files.extend(names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)));
    assert_eq!(Ran::once(&project(&files, &[]), "go").field("title"), "500");
}

#[test]
fn what_runs_nested_so_deep_builds_nested_so_deep() {
    let nested = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(Ran::code(&format!("return {nested}.length;")).value(), json!(1));
    let folder =
        folder(&[("agent.js", &format!("export const nested = {nested}; export default () => nested;"))]);
    countersign_js::build(&folder.path().join("agent.js"), &[]).unwrap();
}

#[test]
fn a_module_that_is_not_named_when_it_is_built_cannot_be_imported() {
    for specifier in ["'./lazy' + '.js'", "'agent.js'", "'countersign'", "'node:fs'", "''", "'/etc/passwd'"] {
        let (code, description) = Ran::code(&format!("await import({specifier});")).error();
        assert_eq!(code, "ReferenceError", "{specifier}: {description}");
        assert!(description.starts_with("Error resolving module"), "{description}");
    }
}

#[test]
fn packages_from_a_registry_work_as_they_are_and_bundled() {
    const SOURCE: &str = r#"
        import { nanoid } from "nanoid/non-secure";
        import { z } from "zod";
        const Parameters = z.object({ to: z.email(), count: z.number().int() });
        export async function handleIntent({ intent }) {
          const parsed = Parameters.safeParse(intent.parameters);
          return { type: "result", title: String(parsed.success), body: nanoid() };
        }"#;
    if std::env::var_os("COUNTERSIGN_NPM").is_none() {
        eprintln!("SKIPPED: COUNTERSIGN_NPM is not set, so no package is installed");
        return;
    }
    // This one's usual form is for Node; a bundler takes the other.
    let whole = SOURCE.replace("nanoid/non-secure", "nanoid");
    let package = ("package.json", "{ \"private\": true, \"type\": \"module\" }");
    let folder = folder(&[("agent.js", SOURCE), ("whole.js", &whole), package]);
    let npm = |arguments: &[&str]| {
        let mut npm = Command::new("npm");
        npm.args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        npm.status().is_ok_and(|status| status.success())
    };
    if !npm(&["install", "--no-audit", "--no-fund", "nanoid@5", "zod@4", "esbuild"]) {
        eprintln!("SKIPPED: npm cannot install packages on this machine");
        return;
    }
    assert!(npm(&["exec", "--", "esbuild", "whole.js", "--bundle", "--format=esm", "--outfile=bundled.js"]));
    for entry in ["agent.js", "bundled.js"] {
        let component = scripted(&folder.path().join(entry), Some(&manifest(&[])));
        for (parameters, title) in
            [(json!({ "to": "boss@company.com", "count": 1 }), "true"), (json!({ "to": "boss" }), "false")]
        {
            let ran = Ran::of(&component, &json!({ "parameters": parameters }));
            assert_eq!((ran.field("title").as_str(), ran.field("body").len()), (title, 21), "{entry}");
        }
    }
}

// ---- What an agent may try ----------------------------------------------------------------------------------------------

#[test]
fn an_agent_that_never_ends_is_stopped() {
    for code in [
        "for (;;);",
        "const again = () => Promise.resolve().then(again); await again();",
        "const again = () => queueMicrotask(again); again(); await new Promise(() => {});",
        "setInterval(() => {}, 1); await new Promise(() => {});",
        "setInterval(() => {}, 2 ** 31 - 1); await new Promise(() => {});",
        "const again = () => setTimeout(again, 2 ** 31 - 1); again(); await new Promise(() => {});",
        "setTimeout(() => { for (;;); }, 1); await new Promise(() => {});",
        "for (;;) await new Promise((resolve) => setTimeout(resolve, 1000));",
        "return /^(a+)+$/.test('a'.repeat(40) + 'b');",
        "return (function* () { for (;;) yield; })().toArray();",
        "for (;;) { try { null.x; } catch {} }",
        "for (;;) { try { for (;;) throw 1; } finally { continue; } }",
        "return { type: 'result', title: 't', details: { toJSON() { for (;;); } } };",
        "throw { get code() { for (;;); } };",
        "Promise.reject({ get a() { for (;;); } }); return 1;",
        "Object.prototype.then = function (resolve) { resolve({}); }; return {};",
    ] {
        assert_eq!(verdict(code), "OUT_OF_FUEL", "{code}");
    }
}

#[test]
fn an_agent_that_wants_all_memory_is_stopped() {
    for code in [
        "const kept = []; for (;;) kept.push(new Uint8Array(1 << 20));",
        "return 'x'.repeat(150 * 1024 * 1024).length;",
        "return new ArrayBuffer(1 << 30).byteLength;",
        "const resizable = new ArrayBuffer(0, { maxByteLength: 1 << 30 }); resizable.resize(1 << 30);",
        "let call = () => 1; for (;;) call = call.bind(null, new Uint8Array(100_000));",
    ] {
        assert_eq!(verdict(code), "OUT_OF_MEMORY", "{code}");
    }
    assert_eq!(
        verdict("let text = 'x'; try { for (;;) text += text; } catch (error) { return error.message; }"),
        "string too long"
    );
    assert_eq!(
        verdict("try { return new ArrayBuffer(2 ** 50); } catch (error) { return error.name; }"),
        "RangeError"
    );
}

#[test]
fn a_thousand_frames_are_no_recursion_too_deep() {
    for code in [
        "const count = (n) => n === 0 ? 0 : 1 + count(n - 1); return count(1000);",
        "class Count { constructor(n) { this.n = n === 0 ? 0 : 1 + new Count(n - 1).n; } } return new Count(1000).n;",
        "let nested = 0; for (let i = 0; i < 1000; i++) nested = [nested]; return JSON.parse(JSON.stringify(nested)).flat(Infinity)[0] + 1000;",
    ] {
        assert_eq!(verdict(code), "1000", "{code}");
    }
}

#[test]
fn a_thousand_asynchronous_frames_and_callbacks_are_no_recursion_too_deep() {
    for code in [
        "const count = async (n) => n === 0 ? 0 : 1 + await count(n - 1); return await count(1000);",
        "const count = (n) => n === 0 ? 0 : 1 + [n - 1].map(count)[0]; return count(1000);",
        "function* count(n) { yield n; if (n > 0) yield* count(n - 1); } return [...count(1000)][0];",
    ] {
        assert_eq!(verdict(code), "1000", "{code}");
    }
}

#[test]
fn recursion_without_end_is_a_range_error_whatever_recurses() {
    for recursion in [
        "const f = () => f() + 1; f();",
        "const f = async () => { await f(); }; await f();",
        "class A { constructor() { new A(); } } new A();",
        "const o = { get a() { return this.a; } }; o.a;",
        "const o = { toString() { return `${this}`; } }; `${o}`;",
        "const f = () => [2, 1].sort(f); f();",
        "const f = () => [1].map(f); f();",
        "const f = () => 'a'.replace(/a/, f); f();",
        "const f = () => JSON.parse('[1]', f); f();",
        "const f = () => Reflect.apply(f, null, []); f();",
        "const f = () => eval('f()'); f();",
        "function* f() { yield* f(); } [...f()];",
        "const p = new Proxy({}, { get: (it, name, self) => self.x }); p.x;",
        "let o = {}; for (let i = 0; i < 50_000; i++) o = new Proxy(o, {}); o.x;",
        "let a = []; for (let i = 0; i < 50_000; i++) a = [a]; String(a);",
        "let a = []; for (let i = 0; i < 50_000; i++) a = [a]; a.flat(Infinity);",
        "let a = []; for (let i = 0; i < 50_000; i++) a = [a]; structuredClone(a);",
        "JSON.parse('['.repeat(100_000));",
        "eval('('.repeat(100_000));",
        "eval('[' .repeat(100_000));",
        "eval('a => '.repeat(100_000));",
        "eval('!'.repeat(100_001) + '1');",
    ] {
        let code = format!("try {{ {recursion} }} catch (error) {{ return error.name; }} return 'ended';");
        assert_eq!(verdict(&code), "RangeError", "{recursion}");
    }
}

#[test]
fn what_is_far_too_large_is_refused_or_stops_the_run() {
    for (code, expected) in [
        ("return { type: 'result', title: 't', body: 'x'.repeat(300_000) };", "INVALID_CARD"),
        ("return { type: 'result', title: 't'.repeat(300_000) };", "INVALID_CARD"),
        ("return { type: 'result', title: 't', body: 'x'.repeat(3 << 20) };", "CALL_TOO_LARGE"),
        (
            "let deep = {}; for (let i = 0; i < 100; i++) deep = { deep }; return { type: 'result', title: 't', details: deep };",
            "INVALID_CARD",
        ),
        (
            "await tools.messages.send({ to: ['a@b.example'], subject: 's', body: 'x'.repeat(3 << 20) });",
            "CALL_TOO_LARGE",
        ),
        ("await tools.messages.list({ from: 'x'.repeat(3 << 20) });", "CALL_TOO_LARGE"),
        (
            "return tools.messages.send({ to: ['a@b.example'], subject: 's', body: 'x'.repeat(3 << 19) }).catch((error) => error.code);",
            "INVALID_PARAMETER",
        ),
        (
            "return tools.messages.send({ to: Array(101).fill('a@b.example'), subject: 's', body: 'x' }).catch((error) => error.code);",
            "INVALID_PARAMETER",
        ),
        ("try { Math.max(...Array(500_000).fill(1)); } catch (error) { return error.name; }", "RangeError"),
        (
            "try { crypto.getRandomValues(new Uint8Array(65_537)); } catch (error) { return error.name; }",
            "QuotaExceededError",
        ),
        ("return String(crypto.getRandomValues(new Uint8Array(65_536)).length);", "65536"),
    ] {
        assert_eq!(verdict(code), expected, "{code}");
    }
    // As large as parameters get.
    let given = json!({ "parameters": { "code": "return params => params, context.params.long.length;", "long": "x".repeat(65_000) } });
    assert_eq!(Ran::of(&EVALUATOR, &given).value(), json!(65_000));
}

#[test]
fn a_line_longer_than_the_log_does_not_stop_the_run() {
    let ran = Ran::code("console.log('x'.repeat(3 << 20)); return 'well';");
    assert_eq!(
        ran.transcript.lines().nth(1),
        Some("done"),
        "{}",
        ran.transcript.chars().take(200).collect::<String>()
    );
}

#[test]
fn prototypes_that_were_tampered_with_harm_nobody_but_the_agent() {
    // Whatever the answer is: the harness would fail if the host did, or if the replay diverged.
    for tampering in [
        "Object.prototype.then = (resolve) => resolve(5);",
        "Object.prototype.then = () => {};",
        "Object.prototype.code = 'EVIL';",
        "Object.prototype.code = 5;",
        "Object.prototype.refused = 'EVIL';",
        "Object.defineProperty(Object.prototype, 'id', { set() { throw new Error('set'); } });",
        "Object.defineProperty(Array.prototype, '0', { set() { throw new Error('set'); } });",
        "Array.prototype.map = () => [Symbol()];",
        "Array.prototype.filter = function () { return this; };",
        "Array.prototype.reduce = () => ({ at: NaN, id: 1, every: null });",
        "Array.prototype[Symbol.iterator] = function* () { throw new Error('iterated'); };",
        "JSON.stringify = () => 5;",
        "JSON.stringify = () => '{\"title\":\"forged\",\"type\":\"approval\"}';",
        "JSON.parse = () => { throw new Error('parsed'); };",
        "Promise.prototype.then = () => {};",
        "Promise = undefined;",
        "globalThis.Error = undefined;",
        "globalThis.Error = function () {};",
        "String.prototype.toWellFormed = () => '\\ud800';",
        "String.prototype.toWellFormed = () => Symbol();",
        "Map.prototype.set = () => { throw new Error('set'); };",
        "globalThis.console = null;",
        "console.error = () => { throw new Error('logged'); };",
        "Error.prepareStackTrace = () => { throw new Error('prepared'); };",
        "for (const name of Object.getOwnPropertyNames(globalThis)) try { delete globalThis[name]; } catch {}",
        "for (const it of [Object, Array, String, Promise, Function, Map]) Object.freeze(it.prototype); Object.freeze(globalThis);",
    ] {
        let code = format!(
            "{tampering}
            const listed = await tools.messages.list({{ limit: 1 }});
            const ended = await tools.messages.send({{ to: ['thief@evil.example'], subject: 's', body: 'b' }}).catch((error) => error.code);
            try {{ null.x; }} catch (error) {{ console?.error(error); }}
            return {{ type: 'result', title: 'ended', body: String(listed?.length) + ended }};"
        );
        let ran = Ran::code(&code);
        assert!(ran.has("done") || ran.has("stopped"), "{tampering}: {}", ran.transcript);
        assert!(ran.has("sent 0"), "{tampering}: {}", ran.transcript);
        // The host's own words cannot be put into a card that says something else.
        if ran.has("done") {
            assert_ne!(ran.field("type"), "approval", "{tampering}: {}", ran.transcript);
        }
    }
}

#[test]
fn a_message_leaves_once_however_often_and_wherever_the_run_is_killed() {
    let component = agent(
        r#"export async function handleIntent({ tools }) {
          const mail = await tools.messages.list({ limit: 5 });
          const { approved } = await tools.approval.request({ action: "send_message", title: "t", description: "d" });
          if (!approved) return;
          const { id } = await tools.messages.send({ to: [mail[0].from], subject: "Re", body: `${Math.random()}` });
          const after = await tools.messages.list({ limit: 5 });
          return { type: "result", title: "Sent", body: `${id.startsWith("msg_")} ${after.length}` };
        }"#,
    );
    // Before the ask there is one call to be killed at, or none; after it, what was answered before comes once more.
    for first in 0..=1 {
        for second in 0..=3 {
            let steps = json!(["restart", { "crashAfter": second }, "approve", "restart", "restart"]);
            let ran = Ran::of(&component, &json!({ "crashAfter": first, "steps": steps }));
            let states = ["running", "waiting", "done"]
                .map(|state| ran.transcript.lines().filter(|line| *line == state).count());
            assert_eq!(states, [2, 1, 2], "{first} {second}: {}", ran.transcript);
            assert!(ran.has("sent 1"), "{first} {second}: {}", ran.transcript);
            let card = r#"  card {"type":"result","title":"Sent","body":"true 1"}"#;
            assert!(ran.has(card), "{first} {second}: {}", ran.transcript);
        }
    }
}

// ---- Programs nobody built ----------------------------------------------------------------------------------------------

/// One host for many agents.
struct Desk {
    host: Host,
    _data: TempDir,
}

impl Desk {
    fn open() -> Desk {
        let data = TempDir::new().unwrap();
        let host = Host::open(Options {
            data: data.path().join("data"),
            config: Config::default(),
            clock: Arc::new(Clock::virtual_at(1_772_000_000_000, 1)),
            cache: Some(workspace().join("target/test-cache/countersign")),
            limits: Limits { fuel_max: 200_000_000, wall_max: Duration::from_secs(60) },
            in_memory: true,
        });
        Desk { host: host.unwrap(), _data: data }
    }

    /// Installs a component, asks it, and replays what came of it.
    async fn run(&self, component: Vec<u8>, code: &str) -> View {
        self.host.install(USER, component, Install::default(), "a test").await.unwrap();
        let Value::Object(parameters) = json!({ "code": code }) else { unreachable!() };
        let view = self.host.submit(USER, ID, "go", parameters, None).await.unwrap();
        let replay = self.host.replay(USER, &view.intent.id, None).await.unwrap();
        assert_eq!(replay.differs, None, "{:?}", view.intent);
        view
    }

    async fn goes_on(&self) {
        let view = self.run(EVALUATOR.clone(), "return 'well';").await;
        assert_eq!(view.intent.card.unwrap()["body"], "well");
    }
}

/// How it ended: the code of the error card, or the code the run was stopped with.
fn told(view: &View) -> String {
    match (&view.intent.reason, &view.intent.card) {
        (Some(reason), _) => reason.code.to_string(),
        (None, Some(card)) => card["code"].as_str().unwrap_or("a card").to_owned(),
        (None, None) => view.intent.status.name().to_owned(),
    }
}

/// The same component with another program in it.
fn with_program(component: &[u8], program: &[u8], capabilities: &[&str]) -> Vec<u8> {
    fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
        let mut length = bytes.len();
        while length > 0x7f {
            out.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(bytes);
    }
    let mut component = Parts::of(component).code;
    let mut content = Vec::new();
    sized(&mut content, countersign_js::PROGRAM_SECTION.as_bytes());
    content.extend(program);
    component.push(0);
    sized(&mut component, &content);
    Package::read(component).unwrap().pack(&manifest(capabilities)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_none_ends_in_an_error() {
    let desk = Desk::open();
    let whole = Parts::of(&EVALUATOR).program;
    let mut longer = whole.clone();
    longer.push(0);
    let mut programs = vec![
        Vec::new(),
        b"garbage".to_vec(),
        vec![0; 10 << 20],
        vec![0xff; 10 << 20],
        b"countersign-js 1\n".to_vec(),
        [&b"countersign-js 1\n"[..], &[0xff; 64]].concat(),
        longer,
    ];
    programs.extend((1..20).map(|part| whole[..whole.len() * part / 20].to_vec()));
    for (at, program) in programs.iter().enumerate() {
        let view = desk.run(with_program(&EVALUATOR, program, BOTH), "return 1;").await;
        assert_eq!(told(&view), "INTERNAL_ERROR", "{at}: {:?}", view.intent);
        let description = view.intent.card.unwrap()["description"].to_string();
        assert!(description.contains("carries no program for this interpreter"), "{at}: {description}");
    }
    let none = Package::read(Parts::of(&EVALUATOR).code).unwrap().pack(&manifest(BOTH)).unwrap();
    assert_eq!(told(&desk.run(none, "return 1;").await), "INTERNAL_ERROR");
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_fit_together_ends_in_an_error() {
    let desk = Desk::open();
    let whole = Bundle::decode(&Parts::of(&EVALUATOR).program).unwrap();
    let with = |change: fn(&mut Bundle)| {
        let mut bundle = whole.clone();
        change(&mut bundle);
        with_program(&EVALUATOR, &bundle.encode(), BOTH)
    };
    for (component, expected) in [
        (with(|_| {}), "a card"),
        (with(|bundle| bundle.modules.clear()), "INTERNAL_ERROR"),
        (with(|bundle| bundle.modules[0].code.clear()), "SyntaxError"),
        (
            with(|bundle| bundle.modules[0].code = b"export const handleIntent = () => {};".to_vec()),
            "SyntaxError",
        ),
        (with(|bundle| bundle.modules[0].name = "\0\u{202e}/../../etc/passwd".repeat(1000)), "a card"),
        (with(|bundle| bundle.modules[0].imports = vec![("x".into(), "y".into()); 10_000]), "a card"),
        (with(|bundle| bundle.modules.extend(vec![Module::default(); 10_000])), "a card"),
        (with(|bundle| bundle.calls.clear()), "a card"),
        (with(|bundle| bundle.calls = vec!["evil".into(); 10_000]), "a card"),
    ] {
        let view = desk.run(component, "return 1;").await;
        assert_eq!(told(&view), expected, "{:?}", view.intent.card);
    }
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_claims_calls_its_component_does_not_import_gets_nothing() {
    let desk = Desk::open();
    let source = "export const handleIntent = ({ tools }) => tools.messages.send({ to: ['a@b.example'], subject: 's', body: 'b' });";
    let component = project(&[("agent.js", source)], &["messages.read"]);
    assert_eq!(told(&desk.run(component.clone(), "").await), "CAPABILITY_DENIED");
    let mut bundle = Bundle::decode(&Parts::of(&component).program).unwrap();
    bundle.calls.push("messages.send".into());
    let view = desk.run(with_program(&component, &bundle.encode(), &["messages.read"]), "").await;
    assert_eq!(told(&view), "TRAPPED", "{:?}", view.intent.card);
    assert!(desk.host.sent(USER).unwrap().is_empty());
    desk.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_flood_keeps_what_fits() {
    let desk = Desk::open();
    for (code, expected) in [
        ("for (;;) console.log('x'.repeat(1000));", "OUT_OF_FUEL"),
        ("for (let i = 0; i < 300; i++) console.log('x'.repeat(1000)); return 1;", "a card"),
        ("console.log('x'.repeat(1 << 20)); return 1;", "a card"),
    ] {
        let view = desk.run(EVALUATOR.clone(), code).await;
        assert_eq!(told(&view), expected, "{code}");
        let (kept, dropped) = view.intent.log.split_at(LOG_BYTES_MAX);
        assert!(kept.contains('x') && dropped.ends_with("were printed and dropped\n"), "{code}: {dropped}");
        assert!(dropped.len() < 200, "{code}: {dropped}");
    }
    desk.goes_on().await;
}

/// Numbers that look like chance and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytecode_with_flipped_bits_harms_nobody_but_its_run() {
    let (desk, mut random) = (Desk::open(), Random(1));
    let whole = Bundle::decode(&Parts::of(&EVALUATOR).program).unwrap();
    let mut ends = std::collections::BTreeMap::new();
    for _ in 0..FLIPPED {
        let mut bundle = whole.clone();
        // This checksum is none, and is not compared: an attacker would write the right one.
        let code = &mut bundle.modules[0].code;
        code[1..5].fill(0xff);
        for _ in 0..=random.below(3) {
            let at = 5 + random.below(code.len() - 5);
            code[at] ^= 1 << random.below(8);
        }
        let program = bundle.encode();
        let view = desk.run(with_program(&EVALUATOR, &program, BOTH), "return 1;").await;
        assert!([Status::Done, Status::Stopped].contains(&view.intent.status), "{:?}", view.intent);
        *ends.entry(told(&view)).or_insert(0) += 1;
    }
    // Most flips are read past, so that broken bytecode is executed and not only refused.
    assert!(ends.len() > 3 && ends["a card"] < FLIPPED, "{ends:?}");
    desk.goes_on().await;
}

#[test]
fn lines_are_right_and_columns_count_bytes_where_characters_are_wide() {
    let script = "const é = '日本'; export function handleIntent() { throw new Error('wide'); }";
    let typed = "const é: '日本' = '日本' as '日本'; export function handleIntent(): never { throw new Error('wide'); }";
    let told = |file, source| Ran::once(&project(&[(file, source)], &[]), "go").error().1;
    let bytes = 1 + script.find("Error(").unwrap();
    assert_eq!(told("agent.js", script), format!("wide (agent.js:1:{bytes})"));
    // What is erased is as many spaces as it had characters.
    assert!(told("agent.ts", typed).starts_with("wide (agent.ts:1:"));
}

#[test]
fn json_may_be_imported_again_with_its_type() {
    let source = r#"
        import data from "./data.json" with { type: "json" };
        export async function handleIntent() {
          const again = await import("./data.json", { with: { type: "json" } });
          return { type: "result", title: String(JSON.stringify(again.default) === JSON.stringify(data)) };
        }"#;
    let files = [("agent.js", source), ("data.json", "{}")];
    let ran = Ran::once(&project(&files, &[]), "go");
    assert_eq!(ran.field("title"), "true", "{}", ran.transcript);
}

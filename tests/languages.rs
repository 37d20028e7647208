//! One contract, whatever an agent is written in: the same agent in Rust and in JavaScript writes the same transcripts, and
//! runs of both are replayed without divergence.

use crate::support::{Cli, guest, scripted, workspace};
use countersign_harness::{Scenario, Step, Went, cases, run, suite};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Scenarios in which the two differ, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "approval/details-no-object",
        "the adapter refuses `details` that are no object before the host hears of them",
    ),
    ("approval/details-too-large", "they are text that is no JSON, which JavaScript cannot hand over"),
    ("approval/trap-before-send", "JavaScript cannot trap, so the run ends otherwise"),
    ("cards/unknown-kind", "the adapter throws a TypeError instead of answering with such a card"),
];

/// The guest in JavaScript a group of scenarios runs against, as `scenarios.rs` has it for Rust.
fn twin(group: &str) -> Option<&'static str> {
    match group {
        "send-report" => Some("send-report-js"),
        "inbox-digest" => Some("inbox-digest-js"),
        // It shows that components built long ago still run, in whatever language.
        "frozen" => None,
        "manifest" | "scopes" => Some("guest-script-bare-js"),
        _ => Some("guest-script-js"),
    }
}

#[test]
fn the_same_agent_in_rust_and_in_javascript_writes_the_same_transcript() {
    let (mut components, mut twins) = (BTreeMap::new(), Vec::new());
    for case in cases(&workspace().join("tests/scenarios")).unwrap() {
        let (group, _) = case.name.split_once('/').unwrap();
        if let Some(name) = twin(group) {
            components.entry(name).or_insert_with(|| std::fs::read(guest(name)).unwrap());
            twins.push((case, name));
        }
    }
    let differences = on_every_core(&twins, |(case, name)| {
        let expected = std::fs::read_to_string(case.folder.join("expected.txt")).unwrap();
        let happened = run(&Scenario::load(&case.folder).unwrap(), components[name].clone());
        happened.map(|happened| differ(&expected, &happened))
    });
    let (mut wrong, mut alike, mut apart) = (Vec::new(), 0, 0);
    for ((case, _), difference) in twins.iter().zip(differences) {
        match (difference, EXCEPTIONS.iter().find(|(name, _)| *name == case.name)) {
            (Ok(None), None) => alike += 1,
            (Ok(Some(_)), Some(_)) => apart += 1,
            (Ok(None), Some((name, why))) => wrong.push(format!("{name} is an exception no more: {why}")),
            (Ok(Some(difference)), None) => wrong.push(format!("{}: {difference}", case.name)),
            (Err(error), _) => wrong.push(format!("{}: {error:#}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(apart, EXCEPTIONS.len(), "an exception names a scenario that is not there");
    assert!(alike >= 180, "only {alike} scenarios are the same");
}

/// The first line in which two transcripts differ, if there is one.
fn differ(expected: &str, happened: &str) -> Option<String> {
    let (mut expected, mut happened) = (expected.lines(), happened.lines());
    loop {
        return match (expected.next(), happened.next()) {
            (None, None) => None,
            (Some(a), Some(b)) if same(a, b) => continue,
            (a, b) => Some(format!("\n-{}\n+{}", a.unwrap_or_default(), b.unwrap_or_default())),
        };
    }
}

/// Whether two lines are the same but for numbers that `random` gave, which are others in each language, and shorter, so that
/// a long line is cut elsewhere.
fn same(a: &str, b: &str) -> bool {
    const DRAWN: &str = "random -> ok ";
    let undrawn = |line: &str| {
        let mut pieces = line.split(DRAWN);
        let first = pieces.next().unwrap_or_default().to_owned();
        pieces.fold(first, |line, rest| line + DRAWN + rest.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    if !a.contains(DRAWN) {
        return a == b;
    }
    let (a, b) = (undrawn(a), undrawn(b));
    match (a.strip_suffix('…'), b.strip_suffix('…')) {
        (None, None) => a == b,
        (Some(a), None) => b.starts_with(a),
        (None, Some(b)) => a.starts_with(b),
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
    }
}

#[test]
fn transcripts_that_differ_are_told_apart() {
    for (a, b) in [
        ("random -> ok 12\\nx", "random -> ok 3456\\nx"),
        ("random -> ok 12\\nwhole…", "random -> ok 3456\\nwho…"),
        ("random -> ok 12\\nwhole", "random -> ok 3456\\nwho…"),
        ("random -> ok 1234…", "random -> ok 12\\nwho"),
    ] {
        assert_eq!(differ(a, b), None, "{a:?} {b:?}");
    }
    for (a, b) in [
        ("random -> ok 12\\nx", "random -> ok 12\\ny"),
        ("random -> ok 12", "random -> INTERNAL_ERROR"),
        ("clock -> ok 12", "clock -> ok 13"),
        ("random -> ok 12\\nwhole…", "random -> ok 12\\nwho"),
        ("whole…", "who…"),
        ("a\nb", "a"),
        ("a", "a\nb"),
    ] {
        assert!(differ(a, b).is_some(), "{a:?} {b:?}");
    }
}

/// Does `work` on all items, some at a time, and gives what came of each in their order.
fn on_every_core<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return };
                    let outcome = work(item);
                    done.lock().unwrap().push((at, outcome));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

// ---- Seeded runs --------------------------------------------------------------------------------------------------------

/// `COUNTERSIGN_SEEDED_RUNS=N` sets how many; the first has the seed `COUNTERSIGN_SEED`, or 0.
#[test]
fn a_thousand_seeded_runs_in_each_language_replay_without_divergence_and_say_the_same() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |number| number.parse().expect("a number"))
    };
    let (first, runs) = (number("COUNTERSIGN_SEED", 0), number("COUNTERSIGN_SEEDED_RUNS", 1000));
    let [rust, javascript] =
        ["guest-script", "guest-script-js"].map(|name| std::fs::read(guest(name)).unwrap());
    let seeds: Vec<u64> = (0..runs).map(|number| first.wrapping_add(number)).collect();
    let outcomes = on_every_core(&seeds, |&seed| {
        let _told = Told(seed);
        let scenario = drawn(seed);
        let in_rust = play(&scenario, &rust).map_err(|error| format!("in Rust: {error:#}"))?;
        let in_javascript =
            play(&scenario, &javascript).map_err(|error| format!("in JavaScript: {error:#}"))?;
        match differ(&in_rust, &in_javascript) {
            Some(difference) => Err(difference),
            None => Ok(in_javascript),
        }
    });
    let (mut wrong, mut transcripts) = (Vec::new(), Vec::new());
    for (seed, outcome) in seeds.iter().zip(outcomes) {
        match outcome {
            Ok(transcript) => transcripts.push(transcript),
            Err(why) => wrong.push(format!("COUNTERSIGN_SEED={seed} COUNTERSIGN_SEEDED_RUNS=1: {why}")),
        }
    }
    assert!(wrong.is_empty(), "{} runs of {runs}\n{}", wrong.len(), wrong[..wrong.len().min(3)].join("\n"));
    // What happened in how many runs: as much of everything as makes the above worth something.
    for (what, share, sign) in SIGNS {
        let happened = transcripts.iter().filter(|transcript| transcript.lines().any(sign)).count() as u64;
        eprintln!("{what}: {happened} of {runs}");
        // Few runs need not show everything.
        assert!(runs < 1000 || happened >= runs * share / 100, "{what} in {happened} of {runs} runs");
    }
}

/// What may happen in a run, in how many of a hundred it does at least, and how the line looks that says so.
type Sign = (&'static str, u64, fn(&str) -> bool);

/// What makes runs worth replaying.
const SIGNS: &[Sign] = &[
    ("replayed", 100, |line| line == "replay same"),
    ("sent", 10, |line| line.starts_with("sent ") && line != "sent 0"),
    ("waited", 25, |line| line == "waiting"),
    ("heard a no", 8, |line| line.starts_with(r#"    -> {"approved":false"#)),
    ("expired", 3, |line| line.contains(r#"\"reason\":\"expired\""#)),
    ("refused a call", 20, |line| {
        line.starts_with("    -> ") && line[7..].starts_with(|c: char| c.is_ascii_uppercase())
    }),
    ("was not asked for", 4, |line| line.contains("-> APPROVAL_REQUIRED")),
    ("reached no mailbox", 1, |line| line.contains("-> NETWORK_ERROR")),
    ("crashed", 5, |line| line == "running"),
    ("was opened again", 10, |line| line == "restart"),
    ("held", 5, |line| line.starts_with("  appr_") && line.ends_with(" hold")),
    ("was cancelled", 1, |line| line == "cancelled"),
    ("drew a number", 5, |line| line.contains("random -> ok ")),
    ("looked at the clock", 5, |line| line.contains("clock -> ok ")),
];

/// Says which seed it was, should the host panic.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("COUNTERSIGN_SEED={} COUNTERSIGN_SEEDED_RUNS=1", self.0);
        }
    }
}

/// Runs a scenario. One in which nobody was asked is run without its decisions.
fn play(scenario: &Scenario, component: &[u8]) -> anyhow::Result<String> {
    match run(scenario, component.to_vec()) {
        Err(error) if error.to_string() == "there is nothing to decide" => {
            let mut undecided = scenario.clone();
            for step in &mut undecided.steps {
                if matches!(step, Step::Decide { .. }) {
                    *step = Step::Resume;
                }
            }
            run(&undecided, component.to_vec())
        }
        other => other,
    }
}

/// The scenario of a seed.
fn drawn(seed: u64) -> Scenario {
    let mut random = Random(seed);
    let script: Vec<Value> = (0..=random.below(4)).flat_map(|_| random.part()).collect();
    let mut scenario = json!({
        "about": "A drawn one.",
        "seed": seed,
        "mail": (0..random.below(4)).map(|_| random.mail()).collect::<Vec<_>>(),
        "grants": match random.below(8) {
            0 => json!([]),
            1 => json!(["messages.read"]),
            2 => json!(["messages.send"]),
            _ => json!(["messages.read", "messages.send"]),
        },
        "action": "script",
        "parameters": { "steps": script },
        "steps": (0..=random.below(7)).map(|_| random.step()).collect::<Vec<_>>(),
    });
    if random.below(4) == 0 {
        scenario["crashAfter"] = random.below(5).into();
    }
    if random.below(4) == 0 {
        scenario["backendErrors"] = (1 + random.below(2)).into();
    }
    if random.below(4) == 0 {
        scenario["parameters"]["card"] =
            random.one(&[json!(null), json!({"type": "summary", "title": "Done", "items": []})]);
    }
    serde_json::from_value(scenario).unwrap()
}

/// Numbers drawn from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// An object with some of these members, each with one of its values.
    fn some(&mut self, members: &[(&str, &[Value])]) -> Value {
        let mut object = json!({});
        for (name, values) in members {
            if self.below(3) == 0 {
                object[*name] = self.one(values);
            }
        }
        object
    }

    /// A few steps of a script.
    fn part(&mut self) -> Vec<Value> {
        match self.below(18) {
            0 => vec![json!({"call": "clock"})],
            1 => vec![json!({"call": "random", "times": 1 + self.below(2)})],
            2 => {
                vec![json!({"call": "sleep", "with": {"ms": self.below(100_000)}}), json!({"call": "clock"})]
            }
            3 => vec![
                json!({"call": "log", "with": {"text": self.one(&["Grüße", "a\nb", "", "\u{0}\u{1b}[2J 🎉"])}}),
            ],
            4 | 5 => {
                let with = self.some(&[
                    ("from", &[json!("ann@x.com"), json!("BOB@X.com"), json!("nobody@x.com"), json!("ann")]),
                    ("after", &[json!("2025-01-03"), json!("2025-01-03T11:00:00+02:00"), json!("yesterday")]),
                    ("limit", &[json!(1), json!(2), json!(100), json!(0), json!(101), json!(-1)]),
                ]);
                vec![json!({"call": "messages.list", "with": with, "full": self.below(2) == 0})]
            }
            6 => {
                let id = self.one(&["$last", "$last", "appr_00000000000000000000000000", ""]);
                vec![json!({"call": "approval.result", "with": {"approvalId": id}})]
            }
            7 => vec![json!({"call": "messages.send", "with": self.message()})],
            8 if self.below(3) == 0 => {
                let code = self.one(&["RESOURCE_NOT_FOUND", "MY_OWN"]);
                vec![
                    json!({"call": "fail", "with": {"code": code, "message": "No.", "details": {"b": 1, "a": [true]}}}),
                ]
            }
            _ => self.ask(),
        }
    }

    /// An ask, and what follows it: its message, another, the same twice, nothing; at once or after another ask.
    fn ask(&mut self) -> Vec<Value> {
        let message = self.message();
        let mut ask = json!({"action": "send_message", "title": "Send it", "description": "To the team"});
        match self.below(5) {
            0 => ask["details"] = message.clone(),
            1 => ask["details"] = json!({"preview": "All…", "a": [1, {"c": null, "b": -2}]}),
            2 if self.below(4) == 0 => ask["title"] = "".into(),
            _ => {}
        }
        let mut part = vec![json!({"call": "approval.request", "with": ask})];
        if self.below(4) == 0 {
            let wait = json!({"action": "wait", "title": "Wait?", "description": "Before sending"});
            part.push(json!({"call": "approval.request", "with": wait}));
        }
        let send = match self.below(6) {
            0 => json!({"call": "messages.send", "with": self.message()}),
            1 => json!({"call": "messages.send", "with": message, "times": 2}),
            2 => json!({"call": "messages.send", "with": message, "when": "declined"}),
            3 | 4 => json!({"call": "messages.send", "with": message, "when": "approved"}),
            _ => return part,
        };
        if self.below(3) == 0 {
            part.push(self.one(&[
                json!({"call": "messages.list"}),
                json!({"call": "random"}),
                json!({"call": "clock"}),
            ]));
        }
        part.push(send);
        part
    }

    /// A message, one in six with something wrong.
    fn message(&mut self) -> Value {
        let mut message = self.some(&[
            ("cc", &[json!(["boss@company.com"]), json!([])]),
            ("bcc", &[json!(["audit@company.com"])]),
            ("bodyKind", &[json!("text")]),
        ]);
        message["to"] = self.one(&[json!(["team@company.com"]), json!(["team@company.com", "ann@x.com"])]);
        message["subject"] = self.one(&["Report", "Grüße 🎉", ""]).into();
        message["body"] = self.one(&["All is well.", "$lines", "<p>All is <em>well</em></p>", ""]).into();
        if self.below(6) == 0 {
            let (member, wrong) = self.one(&[
                ("to", json!(["team"])),
                ("to", json!([])),
                ("cc", json!(["Boss <boss@company.com>"])),
                ("subject", json!("Re:\r\nBcc: eve@evil.com")),
                ("body", json!("<!doctype html><p class=\"x\">All is well</p>")),
                ("bodyKind", json!("markdown")),
            ]);
            message[member] = wrong;
        }
        message
    }

    fn mail(&mut self) -> Value {
        let day = 1 + self.below(5);
        json!({
            "from": self.one(&["ann@x.com", "Bob@x.com"]),
            "subject": self.one(&["Lunch", "Grüße", ""]),
            "body": self.one(&["Well?", "", "Grüße 🎉 "]),
            "times": self.one(&[1, 1, 3000]),
            "date": format!("{day:02} Jan 2025 09:00:00 +0000"),
            "read": self.below(2) == 0,
        })
    }

    /// Something that happens after the intent has been submitted.
    fn step(&mut self) -> Value {
        match self.below(24) {
            0..=8 => json!("approve"),
            9..=10 => json!("decline"),
            11 => json!("approve, no resume"),
            12 => json!("decline, no resume"),
            13 => json!("approve stale"),
            14 => self.one(&[json!({"advance": "5m"}), json!({"advance": "73h"}), json!({"advance": "-1h"})]),
            15 => json!("expire"),
            16 | 17 => json!({"crashAfter": self.below(5)}),
            18 | 19 => json!("restart"),
            20 => json!({"mail": [self.mail()]}),
            21 => {
                let capability = self.one(&["messages.read", "messages.send"]);
                self.one(&[json!({"grant": [capability]}), json!({"revoke": [capability]})])
            }
            22 => json!({"backendError": 1 + self.below(2)}),
            _ if self.below(3) == 0 => json!("cancel"),
            _ => json!("resume"),
        }
    }
}

#[test]
fn a_run_follows_its_record_in_the_other_language_and_not_on_another_agent() {
    let cli = Cli::new();
    let [rust, javascript] = ["guest-script", "guest-script-js"].map(guest);
    let script = json!({"steps": [
        {"call": "sleep", "with": {"ms": 5}}, {"call": "clock"}, {"call": "messages.list"}, {"call": "log", "with": {"text": "x"}},
        {"call": "approval.request", "with": {"action": "send_message", "title": "Send it", "details": {"b": 1, "a": 2}}},
        {"call": "messages.send", "with": {"to": ["team@company.com"], "subject": "Report", "body": "$lines"}},
    ]});
    for (recorded, other) in [(&rust, &javascript), (&javascript, &rust)] {
        let file = recorded.to_str().unwrap();
        let grants = ["--grant", "messages.read,messages.send"];
        let installed = cli.json(0, &[&["agent", "install", file], &grants[..]].concat());
        let agent = installed["id"].as_str().unwrap();
        let waiting = cli.json(3, &["run", agent, "script", "--params", &script.to_string()]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (id, digest) = (text(&waiting["approval"]["id"]), text(&waiting["approval"]["digest"]));
        let done = cli.json(0, &["approval", "approve", &id, "--digest", &digest]);
        let intent = text(&done["intent"]);
        assert_eq!(cli.json(0, &["replay", &intent])["follows"], true);
        assert_eq!(cli.json(0, &["replay", &intent, "--agent", other.to_str().unwrap()])["follows"], true);
        let stranger = guest("send-report-js");
        let differs = cli.json(4, &["replay", &intent, "--agent", stranger.to_str().unwrap()]);
        assert_eq!(differs["follows"], false);
    }
}

// ---- The published example ----------------------------------------------------------------------------------------------

/// The example of the published contract, which is not ours to copy. Where it is not at hand there is nothing to test.
fn published() -> Option<PathBuf> {
    let path = std::env::var_os("COUNTERSIGN_CONTRACT_EXAMPLE")
        .map_or_else(|| workspace().join("../shared/reference/contract-example.js"), PathBuf::from);
    if !path.is_file() {
        eprintln!("SKIPPED: {} is not there; COUNTERSIGN_CONTRACT_EXAMPLE may name it", path.display());
        return None;
    }
    Some(path)
}

fn manifest() -> String {
    std::fs::read_to_string(workspace().join("tests/scenarios-js/contract-example/agent.json")).unwrap()
}

#[test]
fn the_published_example_does_what_the_contract_says() {
    let Some(example) = published() else { return };
    let cases = cases(&workspace().join("tests/scenarios-js")).unwrap();
    assert!(cases.len() >= 7, "{cases:?}");
    let bless = std::env::var_os("BLESS").is_some();
    let outcomes = suite(&cases, &scripted(&example, Some(&manifest())), bless, |_| {});
    let failed: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome.went {
            Went::Failed(why) => Some(format!("{}: {why}", outcome.name)),
            Went::Passed | Went::Written => None,
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// The published example with pieces of it replaced, and what comes of running it.
fn variant(example: &str, changes: &[(&str, &str)], steps: &Value) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut text = example.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "the example has no `{old}`");
        text = text.replace(old, new);
    }
    let entry = folder.path().join("agent.js");
    std::fs::write(&entry, text).unwrap();
    let scenario = json!({
        "about": "A variant.", "grants": ["messages.send"], "action": "send_report", "steps": steps,
    });
    let scenario: Scenario = serde_json::from_value(scenario).unwrap();
    run(&scenario, scripted(&entry, Some(&manifest()))).unwrap()
}

#[test]
fn variants_of_the_published_example_are_refused_as_the_contract_says() {
    let Some(example) = published() else { return };
    let example = std::fs::read_to_string(example).unwrap();
    let send = &example[example.find("await tools.messages.send(").unwrap()..];
    let send = &send[..send.find(';').unwrap() + 1];
    let failed = |why: &str| {
        format!("\n  card {{\"type\":\"error\",\"title\":\"Failed to send message\",\"description\":\"{why}")
    };
    let required = failed("Must call approval.request() before messages.send().");

    // A send that is certain to be refused is refused at the ask, which the example does not catch.
    let invalid = variant(&example, &[("team@company.com", "team")], &json!([]));
    for part in [
        "\n  card {",
        r#""title":"INVALID_RECIPIENT""#,
        "One or more email addresses are invalid.",
        "\nsent 0\n",
    ] {
        assert!(invalid.contains(part) && !invalid.contains("waiting"), "{invalid}");
    }

    // Behind another send it is refused where it stands, and caught.
    let bad = send.replace("team@company.com", "team");
    let second = variant(&example, &[(send, &format!("{send}\n{bad}"))], &json!(["approve"]));
    assert!(second.contains(&failed("One or more email addresses are invalid.")), "{second}");
    assert!(second.contains(r#"{"recipients":[{"field":"to","address":"team","reason":"#), "{second}");
    assert!(second.contains("\nsent 1\n"), "{second}");

    // One approval, one message.
    let twice = variant(&example, &[(send, &format!("{send}\n{send}"))], &json!(["approve"]));
    assert!(twice.contains(&required) && twice.contains(r#"{"reason":"used"#), "{twice}");
    assert!(twice.contains("\nsent 1\n"), "{twice}");

    // Nobody was asked.
    let unasked =
        variant(&example, &[("await tools.approval.request(", "({ approved: true });\n(")], &json!([]));
    assert!(unasked.contains(&required) && unasked.contains(r#"{"reason":"not_asked"}"#), "{unasked}");
    assert!(unasked.contains("\nsent 0\n"), "{unasked}");

    // Behind a second question look-ahead sees no send, so the details are what is approved; and another message is sent.
    let body = "Attached is the quarterly report for review.";
    let changed = variant(
        &example,
        &[
            (r#"preview: "Attached is the quarterly report...""#, &format!("body: \"{body}\"")),
            (
                "try {",
                r#"const wait = await tools.approval.request({ action: "wait", title: "Wait?", description: "" });
                   if (wait.approved) return;
                   try {"#,
            ),
            (send, &send.replace(body, "Attached is another report.")),
        ],
        &json!(["approve", "decline"]),
    );
    assert!(changed.contains(" declared\n") && changed.contains(&required), "{changed}");
    assert!(changed.contains(r#""differs""#) && changed.contains("\nsent 0\n"), "{changed}");
}

#[test]
fn the_older_positional_form_of_the_published_example_does_the_same() {
    let Some(example) = published() else { return };
    let text = std::fs::read_to_string(&example).unwrap();
    let older = variant(
        &text,
        &[
            ("({ intent, context, tools })", "(intent, context, tools)"),
            ("intent.action", "intent"),
            ("export async", "export const intents = [\"send_report\"];\nexport async"),
        ],
        &json!(["approve"]),
    );
    let approved = workspace().join("tests/scenarios-js/contract-example/approved/expected.txt");
    assert_eq!(older, std::fs::read_to_string(approved).unwrap());
}

#[test]
fn the_published_example_is_built_installed_asked_and_approved_by_processes_of_their_own() {
    let Some(example) = published() else { return };
    let cli = Cli::new();
    let project = cli.scratch().join("project");
    std::fs::create_dir_all(&project).unwrap();
    std::fs::copy(example, project.join("agent.js")).unwrap();
    std::fs::write(project.join("agent.json"), manifest()).unwrap();
    cli.json(0, &["build", project.to_str().unwrap()]);
    let file = project.join("build/agent.wasm");
    let install = ["agent", "install", file.to_str().unwrap(), "--grant", "messages.send"];
    let agent = cli.json(0, &install)["id"].as_str().unwrap().to_owned();
    let waiting = cli.json(3, &["run", &agent, "send_report"]);
    let approval = &waiting["approval"];
    assert_eq!(approval["binding"], "exact");
    assert_eq!(approval["action"]["body"], "Attached is the quarterly report for review.");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"], json!([]));
    let (id, digest) = (approval["id"].as_str().unwrap(), approval["digest"].as_str().unwrap());
    let done = cli.json(0, &["approval", "approve", id, "--digest", digest]);
    assert_eq!((&done["status"], &done["card"]["title"]), (&json!("done"), &json!("✅ Message sent")));
    let sent = cli.json(0, &["mailbox", "sent"]);
    assert_eq!(sent["messages"].as_array().unwrap().len(), 1);
    assert_eq!(sent["messages"][0]["digest"], digest);

    // The run follows its record; with another body in the agent it no longer does.
    let intent = done["intent"].as_str().unwrap();
    assert_eq!(cli.json(0, &["replay", intent])["follows"], true);
    let text = std::fs::read_to_string(project.join("agent.js")).unwrap();
    std::fs::write(project.join("agent.js"), text.replace("report for review", "report to review")).unwrap();
    cli.json(0, &["build", project.to_str().unwrap()]);
    let replayed = cli.json(4, &["replay", intent, "--agent", file.to_str().unwrap()]);
    assert_eq!(replayed["follows"], false, "{replayed:#}");
}

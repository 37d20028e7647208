//! What the host costs, each figure beside a floor measured in the same run.
//!
//! `cargo bench` prints criterion's account of each, and a table of medians, 99th percentiles and ratios at the end. These are
//! reports, not gates: machines are noisy, and only the ratios carry over from one to another.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the time"
)]

#[path = "../../tests/support/guests.rs"]
mod support;

use countersign::agent::Package;
use countersign::approval::Verdict;
use countersign::authority::{Authority, Capability};
use countersign::backends::local::Local;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::digest::Digest;
use countersign::engine::{Driven, Engine, Pickup, Ports, limits::Limits};
use countersign::host::{Host, Install, Options};
use countersign::intent::{Intent, Status};
use countersign::journal::{Commit, Committed, Ledger};
use countersign::store::{NewMail, Store};
use countersign::tools::messages::{Mail, Query};
use criterion::Criterion;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Samples of one benchmark, for the table.
#[derive(Default)]
struct Table(BTreeMap<&'static str, Vec<Duration>>);

impl Table {
    /// Measures `once` with criterion, and keeps every sample.
    fn measure(&mut self, criterion: &mut Criterion, name: &'static str, mut once: impl FnMut() -> Duration) {
        let samples = self.0.entry(name).or_default();
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations).map(|_| once()).inspect(|sample| samples.push(*sample)).sum()
            });
        });
    }

    fn percentile(&self, name: &str, percent: usize) -> f64 {
        let mut samples = self.0[name].clone();
        // The first tenth warms caches up.
        samples.drain(..samples.len() / 10);
        samples.sort();
        samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1e6
    }

    fn print(&self, rows: &[(&str, Option<&str>, &str)]) {
        println!("\n{:<44} {:>11} {:>11} {:>8}  beside", "", "median us", "p99 us", "ratio");
        for (name, floor, goal) in rows {
            // A filter on the command line leaves some out.
            if ![Some(*name), *floor]
                .iter()
                .flatten()
                .all(|name| self.0.get(name).is_some_and(|s| s.len() > 10))
            {
                continue;
            }
            let (median, p99) = (self.percentile(name, 50), self.percentile(name, 99));
            let ratio = floor.map(|floor| format!("{:.2}", median / self.percentile(floor, 50)));
            println!(
                "{name:<44} {median:>11.1} {p99:>11.1} {:>8}  {} {goal}",
                ratio.unwrap_or_default(),
                floor.unwrap_or_default()
            );
        }
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// Takes every commit and keeps none: the engine alone.
struct Nowhere;

impl Ledger for Nowhere {
    fn commit(&self, commit: Commit) -> Pin<Box<dyn Future<Output = anyhow::Result<Committed>> + Send + '_>> {
        Box::pin(std::future::ready(Ok(Committed::Durable(commit.generation + 1))))
    }
}

/// wasmtime and nothing else, tuned as the host tunes it: the floor of the engine.
mod raw {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "countersign:agent/agent",
        exports: { default: async },
    });
    use self::countersign::{approval::approval, messages::messages, types::types};
    use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
    use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
    use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

    pub struct State(WasiCtx, ResourceTable);

    impl WasiView for State {
        fn ctx(&mut self) -> WasiCtxView<'_> {
            WasiCtxView { ctx: &mut self.0, table: &mut self.1 }
        }
    }

    impl types::Host for State {}

    /// The floor is measured on an intent that calls no tool.
    impl messages::Host for State {
        fn list(&mut self, _: messages::Filter) -> Result<Vec<messages::Message>, types::ToolError> {
            unreachable!()
        }

        fn send(&mut self, _: messages::Outgoing) -> Result<messages::Sent, types::ToolError> {
            unreachable!()
        }
    }

    impl approval::Host for State {
        fn request(&mut self, _: approval::Ask) -> Result<approval::Answer, types::ToolError> {
            unreachable!()
        }

        fn result(&mut self, _: String) -> Result<Option<approval::Answer>, types::ToolError> {
            unreachable!()
        }
    }

    pub struct Floor {
        engine: Engine,
        pre: AgentPre<State>,
    }

    impl Floor {
        pub fn new(bytes: &[u8]) -> Floor {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_component_instances(8).total_core_instances(800).total_memories(32).total_tables(64);
            pool.total_stacks(8).max_memory_size(128 << 20).table_elements(40_000);
            if PoolingAllocationConfig::is_pagemap_scan_available() {
                pool.pagemap_scan(Enabled::Yes)
                    .linear_memory_keep_resident(1 << 20)
                    .table_keep_resident(1 << 20);
                pool.async_stack_keep_resident(1 << 20);
            }
            let mut config = Config::new();
            config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
            config.consume_fuel(true).epoch_interruption(true).concurrency_support(false);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
            let engine = Engine::new(&config).unwrap();
            let component = Component::from_binary(&engine, bytes).unwrap();
            let mut linker = Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
            Agent::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).unwrap();
            let pre = AgentPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
            Floor { engine, pre }
        }

        pub async fn run(&self, action: &str, parameters: &str) {
            let mut store = Store::new(&self.engine, State(WasiCtx::builder().build(), ResourceTable::new()));
            store.set_fuel(u64::MAX).unwrap();
            store.set_epoch_deadline(u64::MAX / 2);
            let agent = self.pre.instantiate_async(&mut store).await.unwrap();
            let intent = Intent { action: action.into(), parameters: parameters.into() };
            let now = "2025-01-06T12:00:00Z".into();
            let context = Context { text: None, user_id: "local".into(), timestamp: 0.0, now, extras: None };
            agent.call_handle_intent(&mut store, &intent, &context).await.unwrap().unwrap();
        }
    }
}

fn parameters(steps: Value) -> Map<String, Value> {
    Map::from_iter([("steps".to_owned(), steps)])
}

fn ask() -> Value {
    json!({"call": "approval.request", "with": {"action": "send_message", "title": "T", "description": "d"}})
}

fn send() -> Value {
    json!({"call": "messages.send", "with": {"to": ["team@company.com"], "subject": "s", "body": "b"}})
}

fn intent(package: &Package, parameters: Map<String, Value>) -> Intent {
    Intent {
        id: "int_bench".into(),
        tenant: "main".into(),
        user: "local".into(),
        agent: "test.agent.script".into(),
        digest: package.digest,
        action: "script".into(),
        parameters,
        text: None,
        run: 1,
        seed: [0; 32],
        submitted_ms: 0,
        status: Status::Running,
        generation: 0,
        fuel: 0,
        card: None,
        reason: None,
        log: String::new(),
        retry_of: None,
        undelivered: None,
        trimmed_now: false,
        updated_ms: 0,
    }
}

fn host(data: &Path) -> Host {
    Host::open(Options {
        data: data.to_owned(),
        config: Config::default(),
        clock: Arc::new(Clock::system()),
        cache: Some(support::workspace().join("target/test-cache/countersign")),
        limits: Limits::default(),
        in_memory: false,
    })
    .unwrap()
}

fn mails(count: usize, body_bytes: usize) -> Vec<NewMail> {
    let mail = |n: usize| Mail {
        id: format!("msg_{n:026}"),
        from: format!("sender{}@example.com", n % 100),
        to: vec!["local@localhost".into()],
        subject: format!("Message number {n}"),
        body: "x".repeat(body_bytes),
        truncated: false,
        timestamp_ms: n as i64 * 60_000,
        unread: true,
        extras: None,
    };
    (0..count)
        .map(|n| NewMail {
            identity: Digest::of(&n.to_be_bytes()),
            older_identity: Digest::of(&n.to_be_bytes()),
            is_marked: false,
            mail: mail(n),
            source: n.to_string().into_bytes(),
        })
        .collect()
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let criterion = &mut criterion;
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir_in(support::workspace().join("target")).unwrap();
    let mut table = Table::default();
    let bytes = std::fs::read(support::guest("guest-script")).unwrap();
    let package = Package::read(bytes.clone()).unwrap();

    engine_alone(&mut table, criterion, &runtime, &package);
    durable(&mut table, criterion, &runtime, folder.path(), &bytes);
    listing(&mut table, criterion, &runtime, folder.path());
    resuming(&mut table, criterion, &runtime, folder.path(), &bytes);
    languages(&mut table, criterion, &runtime, folder.path());
    criterion.final_summary();

    table.print(&[
        ("raw wasmtime", None, ""),
        ("engine, trivial intent", Some("raw wasmtime"), "(goal 1.5)"),
        ("engine, ask with look-ahead", Some("engine, trivial intent"), "(two segments)"),
        ("one raw commit", None, ""),
        ("durable trivial intent", Some("one raw commit"), "(two commits)"),
        ("ask, durable", Some("one raw commit"), "(two commits)"),
        ("decide and send, durable", Some("one raw commit"), "(three commits)"),
        ("raw SQL, 20 of 100,000", None, ""),
        ("messages.list, 20 of 100,000", Some("raw SQL, 20 of 100,000"), "(goal 2)"),
        ("resume at 3 calls", None, ""),
        ("resume at 30 calls", Some("resume at 3 calls"), ""),
        ("resume at 300 calls", Some("resume at 3 calls"), ""),
        ("Rust, trivial intent", None, ""),
        ("JavaScript, trivial intent", Some("Rust, trivial intent"), "(goal: 300 us more)"),
        ("Rust, ask with look-ahead", None, ""),
        ("JavaScript, ask with look-ahead", Some("Rust, ask with look-ahead"), "(two segments)"),
        ("Rust, resume at 3 calls", None, ""),
        ("JavaScript, resume at 3 calls", Some("Rust, resume at 3 calls"), ""),
        ("Rust, install", None, "(compiled anew)"),
        ("JavaScript, install", Some("Rust, install"), "(compiled anew; goal: 3 s)"),
        ("JavaScript, install another", Some("Rust, install"), "(that declares the same tools)"),
    ]);
}

/// The same agent in each language: what it weighs, what installing it takes, and what a run costs.
fn languages(table: &mut Table, criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    struct Names {
        trivial: &'static str,
        ask: &'static str,
        resume: &'static str,
        install: &'static str,
    }
    let rust = Names {
        trivial: "Rust, trivial intent",
        ask: "Rust, ask with look-ahead",
        resume: "Rust, resume at 3 calls",
        install: "Rust, install",
    };
    let javascript = Names {
        trivial: "JavaScript, trivial intent",
        ask: "JavaScript, ask with look-ahead",
        resume: "JavaScript, resume at 3 calls",
        install: "JavaScript, install",
    };
    for (guest, names) in [("guest-script", rust), ("guest-script-js", javascript)] {
        let package = Package::read(std::fs::read(support::guest(guest)).unwrap()).unwrap();
        println!("{guest}: {} bytes", package.bytes.len());
        drive(table, criterion, runtime, &package, names.trivial, json!([]), Driven::Ended);
        drive(table, criterion, runtime, &package, names.ask, json!([ask(), send()]), Driven::Waiting);
        table.measure(criterion, names.install, || {
            let engine = Engine::new(None, Limits::default()).unwrap();
            timed(|| engine.check(&package).unwrap())
        });
        let host = host(&folder.join(guest));
        let grants = vec![Capability::MessagesRead, Capability::MessagesSend];
        let install = Install { grants, ..Install::default() };
        let agent = runtime.block_on(host.install("local", package.bytes, install, "bench")).unwrap().0;
        let steps = vec![json!({"call": "messages.list"}), json!({"call": "messages.list"}), ask(), send()];
        let agent = agent.installed.manifest.id;
        let submitted = host.submit("local", &agent, "script", parameters(Value::Array(steps)), None);
        let waiting = runtime.block_on(submitted).unwrap();
        assert_eq!(waiting.intent.status, Status::Waiting);
        table.measure(criterion, names.resume, || {
            timed(|| runtime.block_on(host.replay("local", &waiting.intent.id, None)).unwrap())
        });
    }
    let known = Package::read(std::fs::read(support::guest("guest-script-js")).unwrap()).unwrap();
    let other = Package::read(std::fs::read(support::guest("guest-script-bare-js")).unwrap()).unwrap();
    table.measure(criterion, "JavaScript, install another", || {
        let engine = Engine::new(None, Limits::default()).unwrap();
        engine.check(&known).unwrap();
        timed(|| engine.check(&other).unwrap())
    });
}

fn engine_alone(table: &mut Table, criterion: &mut Criterion, runtime: &Runtime, package: &Package) {
    let floor = raw::Floor::new(&package.bytes);
    table.measure(criterion, "raw wasmtime", || {
        timed(|| runtime.block_on(floor.run("script", "{\"steps\":[]}")))
    });

    drive(table, criterion, runtime, package, "engine, trivial intent", json!([]), Driven::Ended);
    let steps = json!([ask(), send()]);
    drive(table, criterion, runtime, package, "engine, ask with look-ahead", steps, Driven::Waiting);
}

/// Measures a run of the scripted agent on the engine alone.
fn drive(
    table: &mut Table,
    criterion: &mut Criterion,
    runtime: &Runtime,
    package: &Package,
    name: &'static str,
    steps: Value,
    expected: Driven,
) {
    let engine = Engine::new(None, Limits::default()).unwrap();
    let compiled = engine.load(package.digest, || Ok(package.bytes.clone())).unwrap();
    let mailbox = Arc::new(Local(Arc::new(Store::in_memory().unwrap())));
    let ports = Ports {
        clock: Arc::new(Clock::system()),
        ledger: Arc::new(Nowhere),
        mailbox,
        meters: Arc::default(),
        crash_after: None,
    };
    let intent = intent(package, parameters(steps));
    table.measure(criterion, name, || {
        let grants = BTreeSet::from([Capability::MessagesSend]);
        let pickup = Pickup {
            policy: (1, Arc::default()),
            leaves_at_once: true,
            retry_ms: 0,
            pending_max: 20,
            intent: intent.clone(),
            entries: vec![],
            approvals: vec![],
            authority: Authority::new("test.agent.script".into(), grants, BTreeMap::new()),
            from: "local@localhost".into(),
        };
        timed(|| {
            let driven = runtime.block_on(engine.drive(&compiled, pickup, &ports)).unwrap();
            assert_eq!(driven, expected);
        })
    });
}

fn durable(table: &mut Table, criterion: &mut Criterion, runtime: &Runtime, folder: &Path, bytes: &[u8]) {
    let db = rusqlite::Connection::open(folder.join("floor.db")).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch("CREATE TABLE entry (body BLOB)").unwrap();
    let row = vec![7u8; 512];
    table.measure(criterion, "one raw commit", || {
        timed(|| db.prepare_cached("INSERT INTO entry VALUES (?1)").unwrap().execute([&row]).unwrap())
    });

    let host = host(&folder.join("durable"));
    let install = || Install { grants: vec![Capability::MessagesSend], ..Install::default() };
    let agent = runtime.block_on(host.install("local", bytes.to_vec(), install(), "bench")).unwrap().0;
    let agent = agent.installed.manifest.id;
    let submit = |steps: Value| {
        runtime.block_on(host.submit("local", &agent, "script", parameters(steps), None)).unwrap()
    };
    table.measure(criterion, "durable trivial intent", || timed(|| submit(json!([]))));
    table.measure(criterion, "ask, durable", || {
        let mut view = None;
        let taken = timed(|| view = Some(submit(json!([ask(), send()]))));
        // One agent may have twenty approvals pending; what is measured is the asking.
        runtime.block_on(host.cancel("local", &view.unwrap().intent.id)).unwrap();
        taken
    });
    table.measure(criterion, "decide and send, durable", || {
        let view = submit(json!([ask(), send()]));
        let pending = view.pending().unwrap();
        timed(|| {
            runtime.block_on(async {
                let (id, shown) = (&pending.approval.id, pending.approval.digest);
                host.decide("local", id, Verdict::Approve, shown, "bench", None).await.unwrap();
                let view = host.resume("local", &view.intent.id).await.unwrap();
                assert_eq!(view.intent.status, Status::Done);
            })
        })
    });
}

fn listing(table: &mut Table, criterion: &mut Criterion, runtime: &Runtime, folder: &Path) {
    let path = folder.join("mail.db");
    let store = Store::open(&path).unwrap();
    for chunk in mails(100_000, 2048).chunks(5_000) {
        runtime.block_on(store.add_mail("main", "local", chunk.to_vec())).unwrap();
    }
    let db = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT id, sender, recipients, subject, body, truncated, timestamp_ms, unread, extras FROM mail \
               WHERE tenant = 'main' AND user = 'local' ORDER BY timestamp_ms DESC, seq DESC LIMIT 20";
    table.measure(criterion, "raw SQL, 20 of 100,000", || {
        timed(|| {
            let mut statement = db.prepare_cached(sql).unwrap();
            let rows = statement.query_map([], |row| {
                let text = |column| row.get::<_, String>(column);
                let flags = (row.get::<_, bool>(5)?, row.get::<_, i64>(6)?, row.get::<_, bool>(7)?);
                Ok((
                    text(0)?,
                    text(1)?,
                    text(2)?,
                    text(3)?,
                    text(4)?,
                    flags,
                    row.get::<_, Option<String>>(8)?,
                ))
            });
            rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
        })
    });
    let query = Query { limit: 20, ..Query::default() };
    table.measure(criterion, "messages.list, 20 of 100,000", || {
        timed(|| {
            let found = store.mail("main", "local", None, &query).unwrap();
            assert_eq!(found.len(), 20);
            found
        })
    });
}

fn resuming(table: &mut Table, criterion: &mut Criterion, runtime: &Runtime, folder: &Path, bytes: &[u8]) {
    let host = host(&folder.join("resuming"));
    let mbox: String = (0..20)
        .map(|n| {
            format!("From a@b Mon Jan  6 09:00:00 2025\nFrom: a@b\nSubject: {n}\n\n{}\n\n", "x".repeat(2048))
        })
        .collect();
    let path = folder.join("mail.mbox");
    std::fs::write(&path, mbox).unwrap();
    runtime.block_on(host.import("local", &path, |_, _| {})).unwrap();
    let grants = vec![Capability::MessagesRead, Capability::MessagesSend];
    let install = Install { grants, ..Install::default() };
    let agent = runtime.block_on(host.install("local", bytes.to_vec(), install, "bench")).unwrap().0;
    let agent = agent.installed.manifest.id;
    for (calls, name) in [(3, "resume at 3 calls"), (30, "resume at 30 calls"), (300, "resume at 300 calls")]
    {
        let mut steps = vec![json!({"call": "messages.list"}); calls];
        steps.extend([ask(), send()]);
        let submitted = host.submit("local", &agent, "script", parameters(Value::Array(steps)), None);
        let view = runtime.block_on(submitted).unwrap();
        assert_eq!(view.intent.status, Status::Waiting);
        // What a resume does before it goes on: load the journal, start a fresh instance, answer every call from the record.
        table.measure(criterion, name, || {
            timed(|| runtime.block_on(host.replay("local", &view.intent.id, None)).unwrap())
        });
    }
}

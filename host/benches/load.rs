//! What the host carries: many intents at once, many that wait, each figure beside a floor measured in the same run.
//!
//! `cargo bench -p countersign --bench load` prints one table. `-- --waiting 10000` sets how many intents wait in the last part. These are
//! reports, not gates: machines are noisy, and only the ratios carry over from one to another.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the time"
)]

#[path = "../../tests/support/guests.rs"]
mod support;

use countersign::agent::{Manifest, Package};
use countersign::approval::{Policy, Verdict};
use countersign::authority::{Authority, Capability};
use countersign::backends::local::Local;
use countersign::backends::rehearsal::Rehearsed;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::{Driven, Engine, Pickup, Ports, limits::Limits};
use countersign::host::{Host, Install, Options, View};
use countersign::intent::Status;
use countersign::store::{NewIntent, Store};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// How many intents run at once.
const CONCURRENT: usize = 64;
/// How many approvals of one agent may be pending.
const PER_AGENT: usize = 20;
/// How many intents are started, and resumed.
const STARTED: usize = 2_000;
/// How many calls each of the runs makes whose entries are counted.
const CALLS: usize = 300;

fn main() {
    let waiting = std::env::args().skip_while(|argument| argument != "--waiting").nth(1);
    let waiting = waiting.map_or(100_000, |number| number.parse().unwrap());
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir_in(support::workspace().join("target")).unwrap();
    println!("{:<52} {:>14}  beside", "", "");
    let floor = floor(folder.path());
    row("one raw commit of one row, one after another", format!("{floor:.0} /s"), "");
    latency(&runtime, folder.path());
    concurrent(&runtime, folder.path());
    entries(&runtime, folder.path(), floor);
    pending(&runtime, folder.path(), waiting);
}

fn row(name: &str, figure: String, beside: &str) {
    println!("{name:<52} {figure:>14}  {beside}");
}

/// Commits of one row each that reach the disk, per second.
fn floor(folder: &Path) -> f64 {
    let db = rusqlite::Connection::open(folder.join("floor.db")).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch("CREATE TABLE entry (body BLOB)").unwrap();
    let body = vec![7u8; 512];
    let commit = || db.prepare_cached("INSERT INTO entry VALUES (?1)").unwrap().execute([&body]).unwrap();
    let (start, mut commits) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        commit();
        commits += 1;
    }
    f64::from(commits) / start.elapsed().as_secs_f64()
}

fn open(data: PathBuf) -> Host {
    Host::open(Options {
        data,
        config: Config::default(),
        clock: Arc::new(Clock::system()),
        cache: Some(support::workspace().join("target/test-cache/countersign")),
        limits: Limits::default(),
        in_memory: false,
    })
    .unwrap()
}

fn manifest(number: usize) -> String {
    let (id, capabilities) = (format!("bench.agent.n{number}"), ["messages.read", "messages.send"]);
    json!({"id": id, "name": "Bench", "version": "1.0.0", "description": "d", "capabilities": capabilities})
        .to_string()
}

/// Installs so many agents of one component, each under its own id.
fn install(runtime: &Runtime, host: &Host, agents: usize) -> Vec<String> {
    let bytes = std::fs::read(support::guest("guest-script-bare")).unwrap();
    let install = |number| {
        let grants = vec![Capability::MessagesRead, Capability::MessagesSend];
        let how = Install { manifest: Some(manifest(number)), grants, ..Install::default() };
        let installed = runtime.block_on(host.install("local", bytes.clone(), how, "bench"));
        installed.unwrap().0.installed.manifest.id
    };
    (0..agents).map(install).collect()
}

/// Asks, and sends what was approved. Every intent is about a message of its own.
fn report(number: usize) -> Map<String, Value> {
    let ask = json!({"action": "send_message", "title": "Report", "description": "The report."});
    let message =
        json!({"to": ["team@company.com"], "subject": format!("Number {number}"), "body": "All is well."});
    let steps =
        json!([{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}]);
    Map::from_iter([("steps".to_owned(), steps)])
}

async fn decide(host: &Host, view: &View) {
    let pending = &view.pending().unwrap().approval;
    let (id, shown) = (pending.id.clone(), pending.digest);
    host.decide("local", &id, Verdict::Approve, shown, "bench", None).await.unwrap();
}

/// One decision after another, into the embedded mailbox and by a transport that takes everything at once.
fn latency(runtime: &Runtime, folder: &Path) {
    for (name, by_transport) in [("the embedded mailbox", false), ("a transport", true)] {
        let mut host = open(folder.join(format!("latency-{by_transport}")));
        if by_transport {
            host.rehearse_transport(Arc::new(Rehearsed::new([])));
        }
        let agent = &install(runtime, &host, 1)[0];
        let mut took = Vec::new();
        let mut commits = BTreeSet::new();
        for number in 0..300 {
            let submitted = host.submit("local", agent, "script", report(number), None);
            let view = runtime.block_on(submitted).unwrap();
            let before = host.commits();
            let start = Instant::now();
            runtime.block_on(async {
                decide(&host, &view).await;
                let done = host.resume("local", &view.intent.id).await.unwrap();
                assert_eq!(done.intent.status, Status::Done);
            });
            took.push(start.elapsed());
            commits.insert(host.commits() - before);
        }
        took.sort();
        let ms = |at: usize| took[at].as_secs_f64() * 1e3;
        row(
            &format!("yes, sent by {name}, finished"),
            format!("{:.2} ms", ms(150)),
            &format!("p99 {:.2} ms; commits: {commits:?}, the decision's own among them", ms(296)),
        );
    }
}

/// Runs `work` for every item, so many at once, and gives how many end in a second.
fn at_once<T: Send + 'static, F>(runtime: &Runtime, items: Vec<T>, work: impl Fn(T) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONCURRENT));
    let count = items.len();
    let start = Instant::now();
    runtime.block_on(async {
        let mut tasks = Vec::with_capacity(count);
        for item in items {
            let slot = slots.clone().acquire_owned().await.unwrap();
            let doing = work(item);
            tasks.push(tokio::spawn(async move {
                doing.await;
                drop(slot);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    count as f64 / start.elapsed().as_secs_f64()
}

fn concurrent(runtime: &Runtime, folder: &Path) {
    let host = Arc::new(open(folder.join("concurrent")));
    let agents = install(runtime, &host, STARTED / PER_AGENT);
    let views = Arc::new(std::sync::Mutex::new(Vec::new()));
    let before = host.commits();
    let rate = at_once(runtime, (0..STARTED).collect(), |number| {
        let (host, views, agent) = (host.clone(), views.clone(), agents[number / PER_AGENT].clone());
        async move {
            let view = host.submit("local", &agent, "script", report(number), None).await.unwrap();
            assert_eq!(view.intent.status, Status::Waiting);
            views.lock().unwrap().push(view);
        }
    });
    let commits = (host.commits() - before) as f64 / STARTED as f64;
    row(
        &format!("start to waiting, {CONCURRENT} at once"),
        format!("{rate:.0} /s"),
        &format!("goal 1,920; {commits:.2} commits each"),
    );
    let views = std::mem::take(&mut *views.lock().unwrap());
    runtime.block_on(async {
        for view in &views {
            decide(&host, view).await;
        }
    });
    let before = host.commits();
    let rate = at_once(runtime, views, |view| {
        let host = host.clone();
        async move {
            let done = host.resume("local", &view.intent.id).await.unwrap();
            assert_eq!(done.intent.status, Status::Done);
        }
    });
    let commits = (host.commits() - before) as f64 / STARTED as f64;
    row(
        &format!("resume to sent and done, {CONCURRENT} at once"),
        format!("{rate:.0} /s"),
        &format!("goal 1,855; {commits:.2} commits each"),
    );
}

/// Answers on disk per second: runs that make many calls, so many at once.
fn entries(runtime: &Runtime, folder: &Path, floor: f64) {
    let host = Arc::new(open(folder.join("entries")));
    let agent = install(runtime, &host, 1).remove(0);
    let list = json!({"call": "messages.list"});
    // Answered from what the run has in memory.
    let look_up = json!({"call": "approval.result", "with": {"approvalId": "appr_1"}});
    for (name, call) in [("reads of the mailbox", list), ("look-ups of approvals", look_up)] {
        let steps = vec![call; CALLS];
        let rate = at_once(runtime, vec![(); 400], |()| {
            let (host, agent) = (host.clone(), agent.clone());
            let parameters = Map::from_iter([("steps".to_owned(), Value::Array(steps.clone()))]);
            async move {
                let done = host.submit("local", &agent, "script", parameters, None).await.unwrap();
                assert_eq!(done.intent.status, Status::Done);
            }
        });
        let rate = rate * CALLS as f64;
        row(
            &format!("durable entries, {CALLS} {name} a run"),
            format!("{rate:.0} /s"),
            &format!("{:.1} times the raw commit (goal 15)", rate / floor),
        );
    }
}

/// So many intents that wait, driven by the real engine into the real store.
fn pending(runtime: &Runtime, folder: &Path, waiting: usize) {
    let data = folder.join("pending");
    drop(open(data.clone()));
    let path = data.join("countersign.db");
    let store = Arc::new(Store::open(&path).unwrap());
    let engine = Arc::new(Engine::new(None, Limits::default()).unwrap());
    let bytes = std::fs::read(support::guest("guest-script-bare")).unwrap();
    let package = Package::read(bytes).unwrap();
    let package = Package::read(package.pack(&manifest(0)).unwrap()).unwrap();
    let digest = package.digest;
    let bytes = package.bytes.clone();
    let compiled = engine.load(digest, || Ok(bytes)).unwrap();
    let clock = Arc::new(Clock::system());
    let mailbox = Arc::new(Local(store.clone()));
    let ports = Ports {
        clock: clock.clone(),
        ledger: store.clone(),
        mailbox,
        meters: Arc::default(),
        crash_after: None,
    };
    let policy = Arc::new(Policy::default());
    let policy_id = store.enforce("main", &policy, clock.now()).unwrap();
    // One component under many ids: only twenty approvals of one agent may be pending.
    for number in 0..waiting.div_ceil(PER_AGENT) {
        let package = Package::read(package.bytes.clone()).unwrap();
        let manifest = Manifest::parse(&manifest(number)).unwrap();
        runtime.block_on(store.install("main", package, &manifest, false, clock.now(), "bench")).unwrap();
    }
    let disk = || -> u64 {
        // Its log may be long from what was before, and is emptied first.
        let db = rusqlite::Connection::open(&path).unwrap();
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(db);
        std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let (disk_before, memory_before) = (disk(), resident());
    let rate = at_once(runtime, (0..waiting).collect(), |number| {
        let (store, engine, compiled) = (store.clone(), engine.clone(), compiled.clone());
        let (ports, policy) = (ports.clone(), policy.clone());
        let agent = format!("bench.agent.n{}", number / PER_AGENT);
        async move {
            let new = NewIntent {
                id: ports.clock.id("int_"),
                tenant: "main".into(),
                user: "local".into(),
                agent: agent.clone(),
                digest,
                action: "script".into(),
                parameters: report(number),
                text: None,
                seed: ports.clock.random(),
                submitted_ms: ports.clock.now(),
                retry_of: None,
                by: "bench".into(),
                key: None,
            };
            let id = new.id.clone();
            store.submit(new).await.unwrap();
            let (_, intent) = store.intent("local", &id).unwrap();
            let grants = BTreeSet::from([Capability::MessagesSend]);
            let pickup = Pickup {
                intent,
                entries: vec![],
                approvals: vec![],
                authority: Authority::new(agent, grants, BTreeMap::new()),
                from: "local@localhost".into(),
                policy: (policy_id, policy),
                leaves_at_once: true,
                retry_ms: 0,
                pending_max: 20,
            };
            assert_eq!(engine.drive(&compiled, pickup, &ports).await.unwrap(), Driven::Waiting);
        }
    });
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / waiting as f64 / 1024.0;
    let (disk_after, memory_after) = (disk(), resident());
    row(&format!("{waiting} intents put down"), format!("{rate:.0} /s"), "");
    row("disk for each that waits", format!("{:.2} KiB", each(disk_before, disk_after)), "goal 8");
    row("memory for each that waits", format!("{:.2} KiB", each(memory_before, memory_after)), "goal 2");
    drop((ports, engine, compiled));
    drop(store);
    let start = Instant::now();
    let host = open(data);
    runtime.block_on(host.settle()).unwrap();
    let ready = start.elapsed();
    let empty = {
        let start = Instant::now();
        let host = open(folder.join("empty"));
        runtime.block_on(host.settle()).unwrap();
        start.elapsed()
    };
    row(
        &format!("restart to ready, {waiting} waiting"),
        format!("{:.1} ms", ready.as_secs_f64() * 1e3),
        &format!("goal 1,000; with none waiting {:.1} ms", empty.as_secs_f64() * 1e3),
    );
    let start = Instant::now();
    let pending = host.approvals("local", true, countersign::store::Page::default()).unwrap();
    row(
        &format!("list of the latest {} that wait", pending.len()),
        format!("{:.1} ms", start.elapsed().as_secs_f64() * 1e3),
        "",
    );
}

/// Memory of this process that is in use, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

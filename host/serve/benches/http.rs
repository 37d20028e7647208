//! What the server carries, each figure beside a floor measured in the same run: durable intents over HTTP, and the inbox of somebody
//! with many approvals.
//!
//! `cargo bench -p countersign-serve --bench http` prints one table; `-- --seconds N` sets how long each load lasts, `--waiting N` how
//! many approvals wait in the end. The load comes from `wrk`. These are reports, not gates: machines are noisy, the load shares the
//! processors with the server, and only the ratios carry over from one machine to another.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark reads the time"
)]

#[path = "../../../tests/support/guests.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod support;

use axum::routing::post;
use axum::{Json, Router};
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::{Config, Serve};
use countersign::engine::limits::Limits;
use countersign::host::{self, Host, Install};
use countersign::intent::Status;
use countersign::people::{Owner, Person};
use countersign_serve::{Options, Server};
use serde_json::{Map, Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

/// How many connections ask at a time.
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// Each has so many requests a minute; together they do not run out.
const TOKENS: usize = 32;
/// How many approvals of one agent may be pending.
const PER_AGENT: usize = 20;
/// How often a page is looked at.
const LOOKS: usize = 300;
const PASSWORD: &str = "one of a benchmark, and of nobody";

fn main() {
    let option = |name: &str, otherwise: usize| {
        let given = std::env::args().skip_while(|argument| argument != name).nth(1);
        given.map_or(otherwise, |number| number.parse().unwrap())
    };
    let (seconds, waiting) = (option("--seconds", 4), option("--waiting", 10_000));
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir_in(support::workspace().join("target")).unwrap();
    row("", "", "p50 ms", "p99 ms", "beside");
    load(&runtime, folder.path(), seconds);
    inbox(&runtime, folder.path(), waiting);
}

fn row(name: &str, figure: &str, p50: &str, p99: &str, beside: &str) {
    println!("{name:<48} {figure:>12} {p50:>9} {p99:>9}  {beside}");
}

/// Appends to a file that reach the disk, one after another, per second.
fn floor(folder: &Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("floor")).unwrap();
    let (start, mut commits) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        commits += 1;
    }
    f64::from(commits) / start.elapsed().as_secs_f64()
}

/// A server on a data folder of its own, and the one person who signs in at it.
struct Served {
    address: SocketAddr,
    host: Arc<Host>,
    person: Person,
    cookie: String,
}

impl Served {
    fn start(runtime: &Runtime, data: &Path) -> Served {
        let serve = Serve {
            listen: "127.0.0.1:0".parse().unwrap(),
            requests_per_minute: countersign::config::REQUESTS_PER_MINUTE_MAX,
            ..Serve::default()
        };
        let host = host::Options {
            data: data.into(),
            config: Config { serve, ..Config::default() },
            clock: Arc::new(Clock::system()),
            cache: Some(support::workspace().join("target/test-cache/countersign")),
            limits: Limits::default(),
            in_memory: false,
        };
        let server =
            Server::bind(Options { host, reload: Box::new(|| Ok(Config::default())), say: Box::new(|_| {}) });
        let server = server.unwrap();
        let (address, host) = (server.address(), server.app().host().clone());
        let signed = runtime.block_on(async {
            let link = host.first_link("owner").await.unwrap().unwrap();
            host.join(None, link.text(), PASSWORD).await.unwrap()
        });
        runtime.spawn(server.run(std::future::pending()));
        let cookie = format!("countersign={}", signed.secret.text());
        Served { address, host, person: signed.person, cookie }
    }

    fn owner(&self) -> Owner<'_> {
        self.person.owner()
    }

    fn tokens(&self, runtime: &Runtime) -> Vec<String> {
        let make = |_| {
            runtime.block_on(self.host.make_token(&self.person, "bench", Some(self.person.roles.clone()), 1))
        };
        (0..TOKENS).map(make).map(|made| made.unwrap().token.text()).collect()
    }

    /// Installs so many agents of one component, each under its own id.
    fn install(&self, runtime: &Runtime, agents: usize) -> Vec<String> {
        let bytes = std::fs::read(support::guest("guest-script-bare")).unwrap();
        let install = |number| {
            let manifest = json!({"id": format!("bench.agent.n{number}"), "name": "Bench", "version": "1.0.0",
                "description": "d", "capabilities": ["messages.send"]});
            let grants = vec![Capability::MessagesSend];
            let how = Install { manifest: Some(manifest.to_string()), grants, ..Install::default() };
            let installed = runtime.block_on(self.host.install(self.owner(), bytes.clone(), how, "bench"));
            installed.unwrap().0.installed.manifest.id
        };
        (0..agents).map(install).collect()
    }
}

/// What `wrk` found.
struct Found {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Found {
    fn show(&self, name: &str, beside: &str) {
        let [p50, p99] = [self.p50_ms, self.p99_ms].map(|ms| format!("{ms:.2}"));
        row(name, &format!("{:.0} /s", self.rate), &p50, &p99, beside);
    }
}

/// Posts `body` as fast as it is answered, from so many connections. Every answer must be a success.
fn wrk(folder: &Path, url: &str, body: &str, tokens: &[String], connections: usize, seconds: usize) -> Found {
    let tokens: Vec<_> = tokens.iter().map(|token| format!("{token:?}")).collect();
    let script = format!(
        r#"
local tokens, requests, count = {{ {tokens} }}, {{}}, 0
function init()
  for place, token in ipairs(tokens) do
    local headers = {{ ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. token }}
    requests[place] = wrk.format("POST", nil, headers, [==[{body}]==])
  end
end
function request()
  count = count + 1
  return requests[count % #tokens + 1]
end
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("FOUND %f %f %f %f\n", summary.requests * 1e6 / summary.duration,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, failed))
end
"#,
        tokens = tokens.join(", ")
    );
    let file = folder.join("load.lua");
    std::fs::write(&file, script).unwrap();
    let threads = connections.min(2).to_string();
    let output = Command::new("wrk")
        .args(["--threads", &threads, "--connections", &connections.to_string(), "--timeout", "30s"])
        .args(["--duration", &format!("{seconds}s"), "--script"])
        .arg(&file)
        .arg(url)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("FOUND "));
    let line = line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    let found: Vec<f64> = line.split(' ').map(|number| number.parse().unwrap()).collect();
    assert_eq!(found[3], 0.0, "some requests failed: {text}");
    Found { rate: found[0], p50_ms: found[1], p99_ms: found[2] }
}

/// The bare handler: a document in, a document out, nothing kept.
fn bare(runtime: &Runtime) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |Json(asked): Json<Value>| async move { Json(json!({"agent": asked["agent"]})) };
    let router = Router::new().route("/v1/intents", post(answer));
    runtime.spawn(async move {
        axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
    });
    address
}

fn load(runtime: &Runtime, folder: &Path, seconds: usize) {
    if Command::new("wrk").arg("-v").output().is_err() {
        return println!("SKIPPED: the Debian package wrk is missing");
    }
    let served = Served::start(runtime, &folder.join("load"));
    let (agent, tokens) = (served.install(runtime, 1).remove(0), served.tokens(runtime));
    let body = json!({"agent": agent, "action": "script", "parameters": {"steps": []}}).to_string();
    let bare = format!("http://{}/v1/intents", bare(runtime));
    let intents = format!("http://{}/v1/intents?wait=30", served.address);
    // The answer tells of a run that has ended, or the figures would be of something else.
    let (status, answer) = Client::new(served.address).ask(&format!(
        "POST /v1/intents?wait=30 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        served.address,
        tokens[0],
        body.len()
    ));
    assert_eq!((status, answer.contains("\"done\"")), (201, true), "{answer}");
    let floor = floor(folder);
    row("one append that reaches the disk, one by one", &format!("{floor:.0} /s"), "", "", "");
    for connections in CONNECTIONS {
        let name = |what: &str| format!("{what}, {connections} at once");
        let plain = wrk(folder, &bare, &body, &tokens, connections, seconds);
        plain.show(&name("a bare axum handler"), "quiet machine: 61,000 at 64");
        let (before, start) = (served.host.commits(), Instant::now());
        let durable = wrk(folder, &intents, &body, &tokens, connections, seconds);
        let commits = (served.host.commits() - before) as f64 / start.elapsed().as_secs_f64();
        let (of_bare, of_floor) = (durable.rate / plain.rate, commits / floor);
        let beside = format!(
            "{of_bare:.3} of bare (goal 0.093); {commits:.0} commits/s, {of_floor:.2} of the appends; {:.2} commits each",
            commits / durable.rate
        );
        durable.show(&name("durable intents over HTTP"), &beside);
    }
    let rate = direct(runtime, &served, &agent, seconds);
    row("the same without HTTP, 64 at once", &format!("{rate:.0} /s"), "", "", "");
}

/// The same intents, given to the host by hand.
fn direct(runtime: &Runtime, served: &Served, agent: &str, seconds: usize) -> f64 {
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds as u64);
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (host, agent, person) = (served.host.clone(), agent.to_owned(), served.person.clone());
            runtime.spawn(async move {
                let mut count = 0;
                while Instant::now() < until {
                    let parameters = Map::from_iter([("steps".to_owned(), json!([]))]);
                    let done = host.submit(person.owner(), &agent, "script", parameters, None).await.unwrap();
                    assert_eq!(done.intent.status, Status::Done);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let count: u32 = tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).sum();
    f64::from(count) / start.elapsed().as_secs_f64()
}

/// One connection that is kept, and what is asked on it.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    /// Gives the status and the body, whose length must be told.
    fn ask(&mut self, request: &str) -> (u16, String) {
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

/// The inbox of somebody for whom few wait, and of somebody for whom many do.
fn inbox(runtime: &Runtime, folder: &Path, waiting: usize) {
    let served = Served::start(runtime, &folder.join("inbox"));
    let agents = served.install(runtime, waiting.div_ceil(PER_AGENT));
    let mut before = None;
    let mut asked = 0;
    for waiting in [100.min(waiting), waiting] {
        ask(runtime, &served, &agents, asked..waiting);
        asked = waiting;
        let newest = served.host.approvals(served.owner(), true, Default::default()).unwrap();
        let one = format!("/approvals/{}", newest[newest.len() / 2].approval.id);
        for (name, path) in [("the inbox", "/approvals"), ("one approval", &one)] {
            let (p50, p95) = looks(&served, path);
            let beside = match (name, before) {
                ("the inbox", None) => {
                    before = Some(p95);
                    "p95 in place of p99".to_owned()
                }
                ("the inbox", Some(before)) => {
                    format!("p95; goal 200 ms; {:.2} times that of fewer", p95 / before)
                }
                _ => "p95".to_owned(),
            };
            let [p50, p95] = [p50, p95].map(|ms| format!("{ms:.2}"));
            row(&format!("{name}, {waiting} pending"), "", &p50, &p95, &beside);
        }
        let start = Instant::now();
        let text = served.host.metrics().unwrap();
        assert!(text.contains(&format!("countersign_approvals_pending {waiting}\n")));
        let ms = start.elapsed().as_secs_f64() * 1e3;
        row(&format!("the counters, {waiting} pending"), "", &format!("{ms:.2}"), "", "");
    }
}

/// Has agents ask, each about a message of its own.
fn ask(runtime: &Runtime, served: &Served, agents: &[String], numbers: std::ops::Range<usize>) {
    let slots = Arc::new(Semaphore::new(64));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for number in numbers {
            let slot = slots.clone().acquire_owned().await.unwrap();
            let (host, person) = (served.host.clone(), served.person.clone());
            let agent = agents[number / PER_AGENT].clone();
            tasks.push(tokio::spawn(async move {
                let ask = json!({"action": "send_message", "title": "Report", "description": "The report."});
                let message = json!({"to": ["team@company.com"], "subject": format!("Number {number}"), "body": "All is well."});
                let steps = json!([{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}]);
                let parameters = Map::from_iter([("steps".to_owned(), steps)]);
                let view = host.submit(person.owner(), &agent, "script", parameters, None).await.unwrap();
                assert_eq!(view.intent.status, Status::Waiting);
                drop(slot);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// The median and the 95th percentile of looking at a page, in milliseconds.
fn looks(served: &Served, path: &str) -> (f64, f64) {
    let mut client = Client::new(served.address);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n", served.address, served.cookie);
    let mut took = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let start = Instant::now();
        let (status, page) = client.ask(&request);
        took.push(start.elapsed().as_secs_f64() * 1e3);
        assert_eq!(status, 200, "{page}");
    }
    took.sort_by(f64::total_cmp);
    (took[LOOKS / 2], took[LOOKS * 95 / 100])
}

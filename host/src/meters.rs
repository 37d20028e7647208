//! What the host counts, for whoever watches it, in the text format of Prometheus, which everything that reads metrics reads.
//!
//! Counters begin at nothing when the host is opened. What has not ended is read from the store when somebody asks. No label takes a
//! value from outside: each is one of a closed list, so that nobody can make the text grow.

use crate::approval::Verdict;
use crate::approval::outbox::State;
use crate::clock::Millis;
use crate::engine::Driven;
use crate::intent::{self, Intent, Status};
use crate::journal::{Answer, Change, Commit, Committed, Ledger};
use crate::refusals::{Audience, Code};
use crate::store::Counts;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// What the text is, for the door that hands it out.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Name and value of a label.
type Label = (&'static str, &'static str);
type Counters<const LABELS: usize> = Family<[Label; LABELS], Counter>;
type Gauges = Family<[Label; 1], Gauge>;
type Histograms = Family<[Label; 1], Histogram, fn() -> Histogram>;

/// The counters of one host.
pub struct Meters {
    registry: Registry,
    decisions: Counters<1>,
    sends: Counters<1>,
    refusals: Counters<2>,
    ended: Counters<2>,
    syncs: Counter,
    runs: Histograms,
    resumes: Histogram,
    commits: Histogram,
    fuel: Histogram,
    memory: Histogram,
    intents: Gauges,
    pending: Gauge,
    oldest: Gauge<f64, AtomicU64>,
    outbox: Gauges,
    turns: Gauges,
}

/// What is read when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// What the store holds that has not ended.
    pub counts: Counts,
    /// Transactions committed since the host was opened.
    pub syncs: u64,
    /// Runs whose turn it is.
    pub running: usize,
    /// Runs that wait for their turn.
    pub waiting: usize,
    /// When.
    pub now: Millis,
}

/// From a quarter of a millisecond to half a minute.
const COMMIT_SECONDS: [f64; 14] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// As far as a segment may take.
const RUN_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0];
/// A mail server may be out of reach for hours.
const RESUME_SECONDS: [f64; 14] =
    [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0, 600.0, 3600.0];
/// As far as `fuel_max`.
const FUEL: [f64; 7] = [1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
/// A page of WebAssembly, to [`MEMORY_BYTES_MAX`](crate::engine::limits::MEMORY_BYTES_MAX).
const MEMORY_BYTES: [f64; 7] =
    [65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0, 16_777_216.0, 67_108_864.0, 134_217_728.0];

impl Default for Meters {
    fn default() -> Meters {
        let mut meters = Meters {
            registry: Registry::with_prefix("countersign"),
            decisions: Family::default(),
            sends: Family::default(),
            refusals: Family::default(),
            ended: Family::default(),
            syncs: Counter::default(),
            runs: Family::new_with_constructor(|| Histogram::new(RUN_SECONDS)),
            resumes: Histogram::new(RESUME_SECONDS),
            commits: Histogram::new(COMMIT_SECONDS),
            fuel: Histogram::new(FUEL),
            memory: Histogram::new(MEMORY_BYTES),
            intents: Family::default(),
            pending: Gauge::default(),
            oldest: Gauge::default(),
            outbox: Family::default(),
            turns: Family::default(),
        };
        meters.register();
        meters.begin();
        meters
    }
}

impl Meters {
    /// Names everything. The library adds the unit, and `_total` to counters.
    fn register(&mut self) {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let to = &mut self.registry;
        to.register("build", "The Countersign that runs", version);
        to.register("decisions", "Decisions of people, by verdict", self.decisions.clone());
        to.register(
            "sends",
            "Messages that have left, and attempts that came to nothing, by outcome",
            self.sends.clone(),
        );
        to.register(
            "refusals",
            "Refusals heard by agents in live calls, and by people at a door, by code",
            self.refusals.clone(),
        );
        to.register(
            "runs_ended",
            "Runs that have ended, by status, and by code where they were stopped; failed are those that ended with an error card, or \
             with a message that has not left or may not have",
            self.ended.clone(),
        );
        to.register("database_commits", "Transactions that have reached the disk", self.syncs.clone());
        to.register_with_unit(
            "run",
            "From picking a run up to putting it down, by what became of it",
            Unit::Seconds,
            self.runs.clone(),
        );
        to.register_with_unit(
            "resume",
            "From a decision to the end of the run it woke, or to its next question",
            Unit::Seconds,
            self.resumes.clone(),
        );
        to.register_with_unit(
            "commit",
            "How long a run waits for a commit to reach the disk",
            Unit::Seconds,
            self.commits.clone(),
        );
        to.register("segment_fuel", "Fuel of a segment, look-ahead included", self.fuel.clone());
        to.register_with_unit(
            "segment_memory",
            "Memory of a segment when it ended",
            Unit::Bytes,
            self.memory.clone(),
        );
        to.register("intents", "Intents that have not ended, by status", self.intents.clone());
        to.register("approvals_pending", "Approvals that wait for a person", self.pending.clone());
        to.register_with_unit(
            "approvals_pending_oldest_age",
            "Age of the oldest approval that waits for a person; 0 where none does",
            Unit::Seconds,
            self.oldest.clone(),
        );
        to.register("outbox_messages", "Messages on their way or uncertain, by state", self.outbox.clone());
        to.register("run_turns", "Runs whose turn it is, and runs that wait for theirs", self.turns.clone());
    }

    /// Begins every counter at nothing: what has not happened yet is told apart from what is not counted.
    fn begin(&self) {
        for verdict in [Verdict::Approve, Verdict::Decline] {
            drop(self.decisions.get_or_create(&[("verdict", name(verdict))]));
        }
        for state in [State::Sent, State::Kept, State::NotSent, State::Uncertain] {
            drop(self.sends.get_or_create(&[("outcome", state.name())]));
        }
        for code in Code::ALL {
            match code.audience() {
                Audience::Agent => drop(self.refusals.get_or_create(&refusal("agent", *code))),
                Audience::Operator => {
                    drop(self.ended.get_or_create(&end(Status::Stopped.name(), Some(*code))))
                }
                Audience::Person => drop(self.refusals.get_or_create(&refusal("person", *code))),
            }
        }
        for to in ["waiting", "blocked", "sending", "ended", "lost"] {
            drop(self.runs.get_or_create(&[("to", to)]));
        }
        for shown in [Status::Done.name(), intent::FAILED, Status::Cancelled.name()] {
            drop(self.ended.get_or_create(&end(shown, None)));
        }
    }

    /// Somebody has decided.
    pub fn decided(&self, verdict: Verdict) {
        self.decisions.get_or_create(&[("verdict", name(verdict))]).inc();
    }

    /// An attempt to hand a message over has ended. One that is queued again has not been sent.
    pub fn attempted(&self, state: State) {
        let outcome = match state {
            State::Sent | State::Kept | State::Uncertain => state,
            _ => State::NotSent,
        };
        self.sends.get_or_create(&[("outcome", outcome.name())]).inc();
    }

    /// A door has said no to somebody.
    pub fn refused(&self, code: Code) {
        self.refusals.get_or_create(&refusal("person", code)).inc();
    }

    /// A person has cancelled an intent.
    pub fn cancelled(&self) {
        self.ended.get_or_create(&end(Status::Cancelled.name(), None)).inc();
    }

    /// A run has ended so.
    pub fn ended(&self, intent: &Intent) {
        let shown = intent::shown(intent.status, intent.failed());
        let code = intent.reason.as_ref().map(|reason| reason.code);
        self.ended.get_or_create(&end(shown, code)).inc();
    }

    /// A run that was picked up at `since` has been put down. `decided_ago` is how long ago the answer it had waited for was given.
    pub fn drove(&self, since: Instant, driven: &Driven, decided_ago: Option<Millis>) {
        let to = match driven {
            Driven::Waiting => "waiting",
            Driven::Blocked => "blocked",
            Driven::Sending { .. } => "sending",
            Driven::Ended => "ended",
            // Of a crash nobody hears.
            Driven::Lost | Driven::Crashed => "lost",
        };
        self.runs.get_or_create(&[("to", to)]).observe(since.elapsed().as_secs_f64());
        if let (Driven::Waiting | Driven::Ended, Some(ago)) = (driven, decided_ago) {
            self.resumes.observe(ago.max(0) as f64 / 1e3);
        }
    }

    /// A segment has ended, live or as a branch.
    pub fn segment(&self, fuel: u64, memory_bytes: usize) {
        self.fuel.observe(fuel as f64);
        self.memory.observe(memory_bytes as f64);
    }

    fn committed(&self, landed: &Landed, took: Duration) {
        self.commits.observe(took.as_secs_f64());
        for code in &landed.refused {
            self.refusals.get_or_create(&refusal("agent", *code)).inc();
        }
        if landed.is_released {
            self.attempted(State::Kept);
        }
    }

    /// Everything, as text of [`CONTENT_TYPE`].
    pub fn text(&self, reading: &Reading) -> Result<String, fmt::Error> {
        let Reading { counts, syncs, running, waiting, now } = reading;
        self.syncs.inner().store(*syncs, Ordering::Relaxed);
        let set = |gauges: &Gauges, label: &'static str, values: &[(&'static str, usize)]| {
            for (value, number) in values {
                gauges.get_or_create(&[(label, *value)]).set(*number as i64);
            }
        };
        let open = [
            (Status::Running, counts.running),
            (Status::Waiting, counts.waiting),
            (Status::Sending, counts.sending),
            (Status::Blocked, counts.blocked),
        ];
        set(&self.intents, "status", &open.map(|(status, number)| (status.name(), number as usize)));
        self.pending.set(counts.waiting.into());
        self.oldest.set(counts.oldest_ms.map_or(0, |asked_ms| (now - asked_ms).max(0)) as f64 / 1e3);
        let on_the_way = [
            (State::Queued, counts.queued),
            (State::Attempting, counts.attempting),
            (State::Uncertain, counts.uncertain),
        ];
        set(&self.outbox, "state", &on_the_way.map(|(state, number)| (state.name(), number as usize)));
        set(&self.turns, "state", &[("running", *running), ("waiting", *waiting)]);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(classic(&text))
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

/// The text of OpenMetrics, which is what the library writes, in the older format: samples are the same in both; there, a counter is
/// called what its samples are called, information is a gauge, and units and the end are not told.
fn classic(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut called = BTreeMap::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        called.insert(
            name,
            match kind {
                "counter" => (format!("{name}_total"), kind),
                "info" => (format!("{name}_info"), "gauge"),
                _ => (name.to_owned(), kind),
            },
        );
    }
    for line in text.lines() {
        let told = line.strip_prefix("# ").and_then(|rest| rest.split_once(' '));
        let (word, rest) = match told {
            // `# EOF` has no second word.
            None if line.starts_with('#') => continue,
            None => {
                out.push_str(line);
                out.push('\n');
                continue;
            }
            Some(told) => told,
        };
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let Some((name, kind)) = called.get(name) else { continue };
        match word {
            "HELP" => out += &format!("# HELP {name} {rest}\n"),
            "TYPE" => out += &format!("# TYPE {name} {kind}\n"),
            _ => {}
        }
    }
    out
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approve",
        Verdict::Decline => "decline",
    }
}

fn refusal(to: &'static str, code: Code) -> [Label; 2] {
    [("to", to), ("code", code.name())]
}

/// An empty label is none.
fn end(shown: &'static str, code: Option<Code>) -> [Label; 2] {
    [("status", shown), ("code", code.map_or("", Code::name))]
}

/// What a commit makes true, as far as it is counted.
struct Landed {
    refused: Vec<Code>,
    is_released: bool,
}

impl Landed {
    fn of(commit: &Commit) -> Landed {
        let refused = commit.entries.iter().filter_map(|entry| match &entry.answer {
            Answer::Refused(refusal) => Some(refusal.code),
            Answer::Value(_) => None,
        });
        let is_released = matches!(commit.change, Change::Release { .. });
        Landed { refused: refused.collect(), is_released }
    }
}

/// A ledger, counted: what a run has come to is counted once, where it becomes durable.
pub struct Counted {
    /// Where commits go.
    pub ledger: Arc<dyn Ledger>,
    /// What counts them.
    pub meters: Arc<Meters>,
}

impl Ledger for Counted {
    fn commit(&self, commit: Commit) -> Pin<Box<dyn Future<Output = anyhow::Result<Committed>> + Send + '_>> {
        Box::pin(async move {
            let (landed, start) = (Landed::of(&commit), Instant::now());
            let committed = self.ledger.commit(commit).await?;
            if let Committed::Durable(_) = committed {
                self.meters.committed(&landed, start.elapsed());
            }
            Ok(committed)
        })
    }
}

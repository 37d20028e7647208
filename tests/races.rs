//! Many hands on one approval: whatever comes first is what happened, and everybody else is told so.
//!
//! Who does what, and when, is drawn from a seed that every test prints; `COUNTERSIGN_SEED=N` draws the same again. Who wins is up to
//! the machine, and nothing here depends on it: the audit says who was first, and all else must agree with it.
//! `COUNTERSIGN_RACES=N` sets how many races are run on the store.

use crate::support::{guest, workspace};
use countersign::agent::Package;
use countersign::approval::decision::State;
use countersign::approval::outbox::{self, Outcome};
use countersign::approval::{Action, Binding, BodyKind, PENDING_MS, Policy, Verdict, Version, Words, letter};
use countersign::audit;
use countersign::authority::Capability;
use countersign::clock::{Clock, Millis};
use countersign::config::Config;
use countersign::digest::Digest;
use countersign::engine::limits::Limits;
use countersign::host::{Edit, Host, Install, Options, TENANT, View};
use countersign::intent::Status;
use countersign::journal::{Answer, Ask, Change, Commit, Committed, Entry, Ledger as _, NewApproval};
use countersign::people::Scope;
use countersign::refusals::{Code, Error, Result};
use countersign::store::{Audited, Decision, NewIntent, Page, Sent, Store};
use countersign::tools::messages::{Delivering, Parcel, Transport};
use serde_json::{Map, Value, json};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::sync::Barrier;

const SCRIPT: &str = "test.agent.script";
/// How many uses of one approval each of the two processes tries at once.
const USES: usize = 500;
/// How many times each of them picks the run up meanwhile, where it does.
const PICKUPS: usize = 4;
/// How many races are run on the store where nobody says.
const RACES: usize = 10_000;
/// How many are run by two hosts on one data folder, with a real agent.
const RACES_OF_HOSTS: usize = 250;

// ---- The accounts --------------------------------------------------------------------------------------------------------

/// Holds what has left against the audit: every message was signed once, as exactly what it is, and used its approval up once; and
/// the audit tells of no other. Gives the number of messages.
pub fn account(sent: &[Sent], entries: &[audit::Entry], audited: &Audited) -> usize {
    assert_eq!((&audited.broken, &audited.strays[..]), (&None, &[][..]));
    assert_eq!(audited.entries, entries.len() as u64);
    let fates = fates(entries);
    for sent in sent {
        let fate = &fates[&sent.approval];
        let (verdict, digest, _) = fate.decided.as_ref().unwrap();
        assert_eq!((*verdict, *digest), (Verdict::Approve, sent.action.digest()));
        assert_eq!(fate.delivered, Some(Digest::of(&sent.bytes)));
        assert_eq!(letter::parse(&sent.bytes, &sent.action).as_ref(), Some(&sent.action));
    }
    let left: BTreeSet<_> = sent.iter().map(|sent| &sent.approval).collect();
    assert_eq!(left.len(), sent.len(), "two messages left for one approval");
    let delivered = fates.iter().filter(|(_, fate)| fate.delivered.is_some());
    assert_eq!(delivered.map(|(approval, _)| approval).collect::<BTreeSet<_>>(), left);
    sent.len()
}

/// What the audit tells of one approval.
#[derive(Debug)]
struct Fate {
    state: State,
    /// What was decided, of what, and by whom.
    decided: Option<(Verdict, Digest, String)>,
    edits: usize,
    /// The bytes that left.
    delivered: Option<Digest>,
    /// Whether nobody knows if they have.
    uncertain: bool,
    /// The place of its use in the chain.
    used_at: Option<u64>,
}

impl Default for Fate {
    fn default() -> Fate {
        Fate {
            state: State::Pending,
            decided: None,
            edits: 0,
            delivered: None,
            uncertain: false,
            used_at: None,
        }
    }
}

/// The life of every approval, as the audit tells it. A life nobody can lead ends the test.
fn fates(entries: &[audit::Entry]) -> BTreeMap<String, Fate> {
    let mut fates = BTreeMap::<String, Fate>::new();
    for entry in entries {
        let body: Value = serde_json::from_str(&entry.body).unwrap();
        let Some(approval) = body["approval"].as_str() else { continue };
        let fate = fates.entry(approval.to_owned()).or_default();
        let digest = |field: &str| serde_json::from_value::<Digest>(body[field].clone()).unwrap();
        fate.state = match (fate.state, entry.kind.as_str()) {
            (State::Pending, "decide") => {
                let verdict = serde_json::from_value(body["verdict"].clone()).unwrap();
                fate.decided = Some((verdict, digest("digest"), body["by"].as_str().unwrap().to_owned()));
                if verdict == Verdict::Approve { State::Approved } else { State::Declined }
            }
            (State::Pending, "edit") => {
                fate.edits += 1;
                State::Pending
            }
            (State::Pending | State::Approved, "expire") => State::Expired,
            (State::Pending | State::Approved, "cancel") => State::Cancelled,
            (State::Approved, "revoke") => State::Revoked,
            (State::Approved, "use") => {
                fate.used_at = Some(entry.seq);
                State::Used
            }
            (State::Used, "attempt") if fate.delivered.is_none() && !fate.uncertain => State::Used,
            (State::Used, "deliver") if fate.delivered.is_none() => {
                // Where it is uncertain a person has it offered again, and nobody else.
                fate.uncertain = body["state"] == "uncertain";
                let is_out = matches!(body["state"].as_str(), Some("sent" | "kept"));
                fate.delivered = is_out.then(|| digest("bytes"));
                assert!(fate.uncertain || fate.delivered.is_some(), "{body}");
                State::Used
            }
            (State::Used, "resolve") if fate.uncertain => {
                fate.uncertain = false;
                State::Used
            }
            (state, kind) => panic!("{approval} is {} and then: {kind}", state.name()),
        };
    }
    fates
}

/// Numbers drawn from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = match std::env::var("COUNTERSIGN_SEED") {
            Ok(seed) => seed.parse().expect("the seed is a number"),
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        eprintln!("COUNTERSIGN_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    /// Puts a list into another order.
    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}

fn message(number: usize) -> Value {
    json!({ "to": ["team@example.com"], "subject": format!("Report {number}"), "body": "All is well." })
}

/// The parameters of a script that asks and sends.
fn ask_and_send(number: usize) -> Map<String, Value> {
    let ask = json!({ "action": "send_message", "title": "Send", "details": message(number) });
    let steps = json!([
        { "call": "approval.request", "with": ask },
        { "call": "messages.send", "with": message(number) },
    ]);
    Map::from_iter([("steps".to_owned(), steps)])
}

fn open_host(data: &Path, clock: Arc<Clock>) -> Host {
    Host::open(Options {
        data: data.to_owned(),
        config: Config::default(),
        clock,
        cache: Some(workspace().join("target/test-cache/countersign")),
        limits: Limits::default(),
        in_memory: false,
    })
    .unwrap()
}

fn entries(host: &Host) -> Vec<audit::Entry> {
    let mut entries = Vec::new();
    host.each_audit_entry("main", |_, entry| {
        entries.push(entry);
        Ok(())
    })
    .unwrap();
    entries
}

// ---- One approval, used by two processes a thousand times ----------------------------------------------------------------

/// Where the messages go that leave by a server: every one adds a line to a file.
struct Counted(PathBuf);

impl Transport for Counted {
    fn deliver<'a>(&'a self, parcel: &'a Parcel) -> Delivering<'a> {
        Box::pin(async move {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.0).unwrap();
            file.write_all(format!("{}\n", Digest::of(&parcel.bytes)).as_bytes()).unwrap();
            Outcome::Sent { said: "taken".into() }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_approval_used_a_thousand_times_at_once_by_two_processes_lets_one_message_out() {
    for (way, pickups) in [("release", 0), ("release", PICKUPS), ("send", 0), ("send", PICKUPS)] {
        let folder = tempfile::tempdir().unwrap();
        let (data, taken) = (folder.path().join("data"), folder.path().join("taken"));
        let clock = Arc::new(Clock::system());
        let mut host = open_host(&data, clock.clone());
        if way == "send" {
            host.rehearse_transport(Arc::new(Counted(taken.clone())));
        }
        let bytes = std::fs::read(guest("guest-script")).unwrap();
        let how = Install { grants: vec![Capability::MessagesSend], ..Install::default() };
        host.install("local", bytes, how, "a test").await.unwrap();
        // The first run shows what the record of such a send looks like; the uses of the second one's approval forge it.
        let mut asked = Vec::new();
        for _ in 0..2 {
            let view = host.submit("local", SCRIPT, "script", ask_and_send(1), None).await.unwrap();
            let approval = view.pending().unwrap().approval.clone();
            host.decide("local", &approval.id, Verdict::Approve, approval.digest, "a person", None)
                .await
                .unwrap();
            if asked.is_empty() {
                host.resume("local", &view.intent.id).await.unwrap();
            }
            asked.push((view.intent.id, approval.id));
        }
        let [(model, first), (intent, approval)] = asked.try_into().unwrap();
        let model = host.journal("local", &model).unwrap().pop().unwrap();
        let Answer::Value(answer) = &model.answer else { panic!("{model:?}") };
        let (first, second) = (first.replace("appr_", "msg_"), approval.replace("appr_", "msg_"));
        let answer = answer.replace(&first, &second);
        let job = json!({
            "data": data, "taken": taken, "way": way, "pickups": pickups, "intent": intent, "approval": approval, "message": second,
            "request": model.request, "answer": answer,
        });

        let mut children: Vec<_> = (0..2).map(|_| Process::start(&job)).collect();
        children.iter_mut().for_each(Process::ready);
        children.iter_mut().for_each(Process::go);
        let durable: usize = children.into_iter().map(Process::durable).sum();
        // Where the run is picked up as well, its own send may have been the first.
        let expected = if pickups == 0 { 1..=1 } else { 0..=1 };
        assert!(expected.contains(&durable), "{durable} uses of one approval were committed");

        let ended = host.resume("local", &intent).await.unwrap();
        assert_eq!(ended.intent.status, Status::Done, "{:?}", ended.intent.reason);
        assert_eq!(ended.approvals[0].approval.state, State::Used);
        // An attempt that was begun and not made is the same as one whose process has died: nobody makes it but a person.
        if host.outgoing("local", &approval).unwrap().state == outbox::State::Uncertain {
            host.resolve("local", &approval, outbox::Resolution::Resend, "a person").await.unwrap();
        }
        let (sent, entries) = (host.sent("local").unwrap(), entries(&host));
        assert_eq!(account(&sent, &entries, &host.audit("main", None).unwrap()), 2);
        assert_eq!(sent.iter().filter(|sent| sent.approval == approval).count(), 1);
        let told = |kind: &str| {
            let of = format!("\"{approval}\"");
            entries.iter().filter(|entry| entry.kind == kind && entry.body.contains(&of)).count()
        };
        assert_eq!((told("decide"), told("use")), (1, 1));
        assert_eq!(told("deliver"), 1 + told("resolve"));
        let handed_over = std::fs::read_to_string(&taken).unwrap_or_default().lines().count();
        let attempts = if way == "send" { told("deliver") } else { 0 };
        assert_eq!((handed_over, told("attempt")), (if way == "send" { 2 } else { 0 }, attempts));
        eprintln!(
            "{way}: {} uses at once in two processes, {durable} of them committed, {} pickups",
            2 * USES,
            2 * pickups
        );
    }
}

/// Another process, which is this very program.
struct Process {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn start(job: &Value) -> Process {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "races::one_of_two_processes", "--ignored", "--nocapture"])
            .env("COUNTERSIGN_TEST_JOB", job.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Process { child, output }
    }

    /// What it says behind `word`.
    fn says(&mut self, word: &str) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            // The harness may have begun the line.
            if let Some((_, said)) = line.split_once(word) {
                return said.trim().to_owned();
            }
            line.clear();
        }
        panic!("it ended without saying {word}")
    }

    fn ready(&mut self) {
        self.says("READY");
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// How many of its own uses were committed.
    fn durable(mut self) -> usize {
        let durable = self.says("DURABLE").parse().unwrap();
        assert!(self.child.wait().unwrap().success());
        durable
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of another test, which starts it in a process of its own"]
#[allow(clippy::print_stdout, reason = "it is heard by the test that started it")]
async fn one_of_two_processes() {
    let Ok(job) = std::env::var("COUNTERSIGN_TEST_JOB") else {
        eprintln!("SKIPPED: nobody has said what is to be done");
        return;
    };
    let job: Value = serde_json::from_str(&job).unwrap();
    let text = |name: &str| job[name].as_str().unwrap().to_owned();
    let (data, is_send) = (PathBuf::from(text("data")), job["way"] == "send");
    let clock = Arc::new(Clock::system());
    let mut host = open_host(&data, clock.clone());
    if is_send {
        host.rehearse_transport(Arc::new(Counted(text("taken").into())));
    }
    let (host, store) = (Arc::new(host), Arc::new(Store::open(&data.join("countersign.db")).unwrap()));
    let id = text("intent");
    let mine = move |store: &Store| {
        let (seq, intent) = store.intent("local", &id).unwrap();
        (intent.id, intent.generation, store.journal(seq).unwrap().len())
    };
    let known = mine(&store);
    // All believe to own the run, and none has asked for its lock.
    let commit = |(intent, generation, first): (String, u64, usize)| {
        let (approval, message, at_ms) = (text("approval"), text("message"), clock.now());
        let (request, answer) = (text("request"), text("answer"));
        let (entries, change) = match is_send {
            true => {
                let (log, fuel) = (String::new(), 1);
                (
                    Vec::new(),
                    Change::Send { approval, message, request, answer, retry_ms: 3_600_000, log, fuel },
                )
            }
            false => {
                let (call, answer) = ("messages.send".into(), Answer::Value(answer));
                (vec![Entry { call, request, answer, at_ms }], Change::Release { approval, message })
            }
        };
        Commit { intent, generation, first, entries, at_ms, change }
    };
    let times = job["pickups"].as_u64().unwrap() as usize;
    let barrier = Arc::new(Barrier::new(USES + times));
    println!("\nREADY");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let (mut uses, mut pickups) = (Vec::new(), Vec::new());
    for number in 0..USES {
        let (store, barrier, mut commit) = (store.clone(), barrier.clone(), commit(known.clone()));
        let mine = mine.clone();
        uses.push(tokio::spawn(async move {
            barrier.wait().await;
            // Every other one looks who owns the run now: what stops it is that the approval has been used.
            if number.is_multiple_of(2) {
                (commit.intent, commit.generation, commit.first) = mine(&store);
            }
            store.commit(commit).await.unwrap()
        }));
    }
    for _ in 0..times {
        let (host, barrier, id) = (host.clone(), barrier.clone(), known.0.clone());
        pickups.push(tokio::spawn(async move {
            barrier.wait().await;
            host.resume("local", &id).await.unwrap()
        }));
    }
    let (mut durable, mut lost, mut withdrawn) = (0, 0, 0);
    for tried in uses {
        let committed = tried.await.unwrap();
        match committed {
            Committed::Durable(_) => durable += 1,
            Committed::Lost => lost += 1,
            Committed::Withdrawn => withdrawn += 1,
            Committed::InLine | Committed::Spared(_) => panic!("a use was taken as an ask is: {committed:?}"),
        }
    }
    for pickup in pickups {
        assert_eq!(pickup.await.unwrap().intent.status, Status::Done);
    }
    eprintln!("{durable} committed, {lost} had lost the run, {withdrawn} found the approval used");
    println!("\nDURABLE {durable}");
}

// ---- Races on the store --------------------------------------------------------------------------------------------------

/// What one hand does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Approve,
    Decline,
    /// Changes the message that was shown first.
    Edit,
    /// Says yes to the message as changed.
    ApproveEdited,
    Expire,
    Cancel,
    TakeBack,
    /// Takes the right to send away.
    Deny,
    /// The run sends.
    Use,
}

impl Op {
    fn verdict(self) -> Option<Verdict> {
        match self {
            Op::Approve | Op::ApproveEdited => Some(Verdict::Approve),
            Op::Decline => Some(Verdict::Decline),
            _ => None,
        }
    }
}

/// What one hand did, when it thought it was, under which name, and what it was told.
struct Tried {
    op: Op,
    now: Millis,
    by: String,
    told: std::result::Result<(), (Code, String)>,
}

fn told<T>(result: Result<T>) -> std::result::Result<(), (Code, String)> {
    match result {
        Ok(_) => Ok(()),
        Err(Error::Refused(problem)) => Err((problem.code, problem.message)),
        Err(Error::Fault(fault)) => panic!("the host failed: {fault:#}"),
    }
}

/// One approval and everybody's hands on it.
struct Race {
    user: String,
    intent: String,
    approval: String,
    /// What the agent would send, and what a person would make of it.
    own: Action,
    edited: Action,
    expires_ms: Millis,
}

/// A store with one agent, whose runs nobody drives: what they would do is done in their name.
struct Field {
    store: Arc<Store>,
    agent: Digest,
    policy: i64,
    at_ms: Millis,
}

impl Field {
    async fn open() -> Field {
        let store = Arc::new(Store::in_memory().unwrap());
        let package = Package::read(std::fs::read(guest("guest-script")).unwrap()).unwrap();
        let (agent, manifest) = (package.digest, package.manifest(None).unwrap());
        let at_ms = 1_772_000_000_000;
        store.install(TENANT, package, &manifest, false, at_ms, "a test").await.unwrap();
        let policy = store.enforce(TENANT, &Policy::default(), at_ms).unwrap();
        Field { store, agent, policy, at_ms }
    }

    /// An intent of a user of its own that waits for an answer.
    async fn ask(&mut self, number: usize) -> Race {
        // All that was asked before is over by now.
        self.at_ms += 2 * PENDING_MS;
        let (user, intent, id) =
            (format!("user-{number}"), format!("int_{number}"), format!("appr_{number}"));
        let new = NewIntent {
            id: intent.clone(),
            tenant: TENANT.into(),
            user: user.clone(),
            agent: SCRIPT.into(),
            digest: self.agent,
            action: "script".into(),
            parameters: Map::new(),
            text: None,
            seed: [0; 32],
            submitted_ms: self.at_ms,
            retry_of: None,
            by: "a test".into(),
            key: None,
        };
        self.store.submit(new).await.unwrap();
        let own = Action {
            version: Version::V2,
            capability: Capability::MessagesSend,
            tenant: TENANT.into(),
            user: user.clone(),
            intent: intent.clone(),
            run: 1,
            agent: self.agent,
            from: "me@example.com".into(),
            to: vec!["team@example.com".into()],
            cc: vec![],
            bcc: vec![],
            subject: format!("Report {number}"),
            body_kind: BodyKind::Text,
            body: "All is well.".into(),
        };
        let edited = Action { subject: format!("Edited {number}"), ..own.clone() };
        let expires_ms = self.at_ms + PENDING_MS;
        let heard = |what: &str| json!({ "heard": what }).to_string();
        let ask = Ask {
            request: json!({ "asked": number }).to_string(),
            yes: heard("yes"),
            no: heard("no"),
            expired: heard("expired"),
        };
        let approval = NewApproval {
            id: id.clone(),
            binding: Binding::Exact,
            digest: own.digest(),
            drawn: Some(countersign::approval::repeats::drawn(&own)),
            action: Some(own.clone()),
            words: Words::new("send_message".into(), "Send".into(), String::new(), None).unwrap(),
            ask: Some(ask),
            asked_ms: self.at_ms,
            expires_ms,
            policy: self.policy,
        };
        let change = Change::Ask {
            approval: Box::new(approval),
            suffix: Vec::new(),
            uses: None,
            pending_max: u32::MAX,
            log: String::new(),
            fuel: 1,
        };
        let (seq, submitted) = self.store.intent(&user, &intent).unwrap();
        let commit = Commit {
            intent: intent.clone(),
            generation: submitted.generation,
            first: self.store.journal(seq).unwrap().len(),
            entries: Vec::new(),
            at_ms: self.at_ms,
            change,
        };
        let asked = self.store.commit(commit).await.unwrap();
        assert!(matches!(asked, Committed::Durable(_)), "{asked:?}");
        Race { user, intent, approval: id, own, edited, expires_ms }
    }
}

/// Does one thing to an approval, at `now`, as `by`.
async fn lay_hand(store: &Store, policy: i64, race: &Race, op: Op, now: Millis, by: String) -> Tried {
    let key = (Scope::from(&race.user), race.approval.as_str());
    let (own, edited) = (race.own.digest(), race.edited.digest());
    let told = match op {
        Op::Approve | Op::Decline | Op::ApproveEdited => {
            let shown = if op == Op::ApproveEdited { edited } else { own };
            let verdict = op.verdict().unwrap();
            let decision = Decision { verdict, at_ms: now, by: by.clone(), note: None };
            told(store.decide(key, decision, shown, policy).await)
        }
        Op::Edit => {
            let changed = (Some(race.edited.clone()), edited);
            told(store.edit(key, changed, own, &by, now).await)
        }
        Op::Expire => told(store.expire(now).await),
        Op::Cancel => told(store.cancel((&race.user).into(), &race.intent, now).await),
        Op::TakeBack => told(store.revoke_approval(key, &by, now).await),
        Op::Deny => {
            let agent = (TENANT, race.user.as_str(), SCRIPT);
            told(store.revoke(agent, &[Capability::MessagesSend], now, &by).await)
        }
        Op::Use => {
            use_up(store, race, now).await;
            Ok(())
        }
    };
    Tried { op, now, by, told }
}

/// The run sends, if it is there to send.
async fn use_up(store: &Store, race: &Race, now: Millis) {
    let (seq, intent) = store.intent(&race.user, &race.intent).unwrap();
    if intent.status != Status::Running {
        return;
    }
    let (approval, message) = (race.approval.clone(), race.approval.replace("appr_", "msg_"));
    let commit = Commit {
        intent: intent.id,
        generation: intent.generation,
        first: store.journal(seq).unwrap().len(),
        entries: Vec::new(),
        at_ms: now,
        change: Change::Release { approval, message },
    };
    let committed = store.commit(commit).await.unwrap();
    assert!(!matches!(committed, Committed::InLine | Committed::Spared(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_all_who_lay_hands_on_an_approval_the_first_decides_and_the_others_hear_who() {
    let races: usize = std::env::var("COUNTERSIGN_RACES").map_or(RACES, |races| races.parse().unwrap());
    let (mut random, mut field) = (Random::new(), Field::open().await);
    let mut run = Vec::with_capacity(races);
    for number in 1..=races {
        let race = Arc::new(field.ask(number).await);
        let (store, policy) = (field.store.clone(), field.policy);
        let (before, edge) = (race.expires_ms - 1, race.expires_ms);
        let mut tried = Vec::new();
        // Half of the races are about an answer, and half about a yes that was given.
        let mut ops = if random.below(2) == 0 {
            let mut ops = vec![
                Op::Approve,
                Op::Decline,
                Op::Edit,
                Op::ApproveEdited,
                Op::Expire,
                Op::Cancel,
                Op::TakeBack,
                Op::Use,
            ];
            random.shuffle(&mut ops[2..]);
            ops
        } else {
            tried.push(lay_hand(&store, policy, &race, Op::Approve, before, "the first".into()).await);
            let mut ops = vec![
                Op::Use,
                Op::Use,
                Op::TakeBack,
                Op::Expire,
                Op::Cancel,
                Op::Deny,
                Op::Approve,
                Op::Decline,
                Op::Edit,
            ];
            random.shuffle(&mut ops[2..]);
            ops
        };
        ops.truncate(3 + random.below(4));
        random.shuffle(&mut ops);
        let barrier = Arc::new(Barrier::new(ops.len()));
        let hands: Vec<_> = ops
            .into_iter()
            .enumerate()
            .map(|(place, op)| {
                // Some look at their clock a moment before the end, and some at the end.
                let now = if random.below(4) == 0 { edge } else { before };
                let (store, race, barrier) = (store.clone(), race.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    lay_hand(&store, policy, &race, op, now, format!("hand {place}")).await
                })
            })
            .collect();
        for hand in hands {
            tried.push(hand.await.unwrap());
        }
        // The run goes on; then the time is over.
        use_up(&store, &race, before).await;
        store.expire(edge).await.unwrap();
        run.push((race, tried));
    }

    let mut entries = Vec::new();
    let each = field.store.each_audit_entry("main", |_, entry| {
        entries.push(entry);
        Ok(())
    });
    each.unwrap();
    let (fates, denials) = (fates(&entries), denials(&entries));
    let (mut sent, mut ends) = (Vec::new(), BTreeMap::<_, usize>::new());
    for (race, tried) in &run {
        let (user, fate) = (&race.user, &fates[&race.approval]);
        let left = field.store.sent(TENANT, user, None, 10).unwrap();
        let stored = field.store.approval(user, &race.approval).unwrap();
        assert_eq!(stored.approval.state, fate.state);
        assert_eq!(stored.decided.map(|decided| decided.by), fate.decided.clone().map(|decided| decided.2));
        // Whatever an approval armed, it armed once.
        let armed = field.store.outbox(user.into(), false, Page::default()).unwrap().len();
        let approved = fate.decided.as_ref().is_some_and(|decided| decided.0 == Verdict::Approve);
        assert_eq!(armed, usize::from(approved));
        check(race, tried, fate, left.first().map(|sent| &sent.action));
        allowed(fate, denials.get(user));
        *ends.entry(fate.state.name()).or_default() += 1;
        sent.extend(left);
    }
    let sent = account(&sent, &entries, &field.store.audit("main", None).unwrap());
    let hands: usize = run.iter().map(|(_, tried)| tried.len()).sum();
    eprintln!("{races} races of {hands} hands on the store, no agent driven: {ends:?}, {sent} messages left");
}

/// Whether everybody was told what the audit tells.
fn check(race: &Race, tried: &[Tried], fate: &Fate, left: Option<&Action>) {
    let did = |wanted: &dyn Fn(Op) -> bool| {
        tried.iter().filter(|tried| wanted(tried.op) && tried.told.is_ok()).count()
    };
    let decided = did(&|op| op.verdict().is_some());
    assert_eq!(decided, usize::from(fate.decided.is_some()), "{fate:?}");
    assert_eq!(did(&|op| op == Op::Edit), fate.edits, "{fate:?}");
    assert_eq!(did(&|op| op == Op::TakeBack), usize::from(fate.state == State::Revoked), "{fate:?}");
    assert!(fate.state != State::Pending && fate.state != State::Approved, "{fate:?}");
    if fate.decided.is_none() {
        assert!(matches!(fate.state, State::Expired | State::Cancelled), "{fate:?}");
    }
    let leaving = if fate.edits > 0 { &race.edited } else { &race.own };
    if let Some((_, digest, by)) = &fate.decided {
        assert_eq!(*digest, leaving.digest());
        let winner = tried.iter().find(|tried| tried.op.verdict().is_some() && tried.told.is_ok()).unwrap();
        assert_eq!(winner.by, *by);
    }
    let expected = (fate.state == State::Used).then_some(leaving);
    assert_eq!((left, fate.delivered.is_some()), (expected, expected.is_some()), "{fate:?}");
    let denied = did(&|op| op == Op::Deny) > 0;
    for tried in tried {
        heard_who(race, tried, fate, denied);
    }
}

/// Whether whoever came too late was told so, and by whom.
fn heard_who(race: &Race, tried: &Tried, fate: &Fate, denied: bool) {
    let Err((code, message)) = &tried.told else { return };
    let named = |verb: &str| message.contains(&format!("{} was {verb} by ", race.approval));
    let is = |state: State| message.ends_with(&format!("is {}", state.name()));
    let true_to_the_audit = match (tried.op, code) {
        (Op::Cancel, Code::AlreadyEnded) => true,
        (Op::Approve | Op::Decline | Op::Edit, Code::StaleDigest) => fate.edits > 0,
        // Nothing had been edited when this hand came.
        (Op::ApproveEdited, Code::StaleDigest) => true,
        (Op::TakeBack, Code::AlreadyDecided) => {
            message.contains("nothing to take back")
                || message.contains("has been used") && fate.state == State::Used
                || is(fate.state)
        }
        (Op::Approve | Op::ApproveEdited | Op::Decline | Op::Edit, Code::AlreadyDecided) => {
            match &fate.decided {
                // The first decision is named, whatever has become of it since.
                Some((verdict, _, by)) if named("approved") || named("declined") => {
                    let verb = if *verdict == Verdict::Approve { "approved" } else { "declined" };
                    named(verb) && message.contains(&format!(" by {by} at "))
                }
                _ if message.contains("the time to decide") => tried.now >= race.expires_ms,
                _ => fate.decided.is_none() && is(fate.state),
            }
        }
        // A yes to what may not leave any more is no decision: its right was taken away, or its time is over.
        (Op::Approve | Op::ApproveEdited, Code::CapabilityDenied) => denied,
        (Op::Approve | Op::ApproveEdited, Code::PolicyForbids) => tried.now >= race.expires_ms,
        _ => false,
    };
    assert!(true_to_the_audit, "{:?} as {} was told {code}: {message}; {fate:?}", tried.op, tried.by);
}

// ---- Races of two hosts --------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_on_one_folder_agree_on_who_was_first_and_the_agent_does_as_they_say() {
    let mut random = Random::new();
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Clock::virtual_at(1_772_000_000_000, 1));
    let hosts = [(); 2].map(|()| Arc::new(open_host(&folder.path().join("data"), clock.clone())));
    let bytes = std::fs::read(guest("guest-script")).unwrap();
    hosts[0].install("local", bytes, Install::default(), "a test").await.unwrap();
    let mut run = Vec::new();
    for number in 1..=RACES_OF_HOSTS {
        let user = format!("user-{number}");
        hosts[0].grant(&user, SCRIPT, &[Capability::MessagesSend], "a test").await.unwrap();
        let view = hosts[0].submit(&user, SCRIPT, "script", ask_and_send(number), None).await.unwrap();
        let asked = view.pending().unwrap().approval.clone();
        let own = asked.action.clone().unwrap();
        let edited = Action { subject: format!("Edited {number}"), ..own.clone() };
        let (intent, approval) = (view.intent.id, asked.id);
        let race = Arc::new(Race { user, intent, approval, own, edited, expires_ms: asked.expires_ms });
        let mut ops = vec![
            Op::Approve,
            Op::Decline,
            Op::Edit,
            Op::ApproveEdited,
            Op::Expire,
            Op::Cancel,
            Op::TakeBack,
            Op::Deny,
            Op::Use,
        ];
        random.shuffle(&mut ops[1..]);
        ops.truncate(3 + random.below(3));
        random.shuffle(&mut ops);
        // A moment before the end; whoever expires it lets that moment pass.
        clock.advance(race.expires_ms - 1 - clock.now());
        let barrier = Arc::new(Barrier::new(ops.len()));
        let hands: Vec<_> = ops
            .into_iter()
            .enumerate()
            .map(|(place, op)| {
                let (host, race, clock) = (hosts[place % 2].clone(), race.clone(), clock.clone());
                let barrier = barrier.clone();
                tokio::spawn(async move {
                    barrier.wait().await;
                    lay_hand_on_host(&host, &clock, &race, op, format!("hand {place}")).await
                })
            })
            .collect();
        let mut tried = Vec::new();
        for hand in hands {
            tried.push(hand.await.unwrap());
        }
        clock.advance(2);
        hosts[1].settle().await.unwrap();
        let view = hosts[1].resume(&race.user, &race.intent).await.unwrap();
        run.push((race, tried, view));
    }

    let entries = entries(&hosts[1]);
    let (fates, denials) = (fates(&entries), denials(&entries));
    let (mut sent, mut ends) = (Vec::new(), BTreeMap::<_, usize>::new());
    for (race, tried, view) in &run {
        let (user, fate) = (&race.user, &fates[&race.approval]);
        let left = hosts[0].sent(user).unwrap();
        let stored = hosts[0].approval(user, &race.approval).unwrap();
        assert_eq!(stored.approval.state, fate.state);
        check(race, tried, fate, left.first().map(|sent| &sent.action));
        allowed(fate, denials.get(user));
        assert_eq!(sent_for(view), left.len(), "{:?}", view.intent);
        *ends.entry(fate.state.name()).or_default() += 1;
        sent.extend(left);
    }
    let sent = account(&sent, &entries, &hosts[0].audit("main", None).unwrap());
    eprintln!(
        "{RACES_OF_HOSTS} races of two hosts on one folder, with as many agents driven: {ends:?}, {sent} messages left"
    );
}

/// What was used was used while the agent was allowed to send.
fn allowed(fate: &Fate, denied: Option<&u64>) {
    if let (Some(used), Some(denied)) = (fate.used_at, denied) {
        assert!(used < *denied, "it was used at {used}, and the right to send taken away at {denied}");
    }
}

/// Where in the chain each user took the right to send away.
fn denials(entries: &[audit::Entry]) -> BTreeMap<String, u64> {
    let denied = entries.iter().filter(|entry| entry.kind == "deny").map(|entry| {
        let body: Value = serde_json::from_str(&entry.body).unwrap();
        (body["user"].as_str().unwrap().to_owned(), entry.seq)
    });
    denied.collect()
}

/// How many messages the approvals of an intent let out, as its record has them.
fn sent_for(view: &View) -> usize {
    let used = view.approvals.iter().filter(|stored| stored.approval.state == State::Used).count();
    assert!(view.intent.status.is_final());
    if let (Status::Done, Some(card)) = (view.intent.status, &view.intent.card) {
        let heard = card["body"].as_str().unwrap_or_default().contains("messages.send -> ok");
        assert_eq!(heard, used == 1, "{card}");
    }
    used
}

/// As [`lay_hand`], by the doors' own way in: whoever answers picks the run up as well.
async fn lay_hand_on_host(host: &Host, clock: &Clock, race: &Race, op: Op, by: String) -> Tried {
    let (user, id) = (race.user.as_str(), race.approval.as_str());
    let (own, edited) = (race.own.digest(), race.edited.digest());
    let told = match op {
        Op::Approve | Op::Decline | Op::ApproveEdited => {
            let shown = if op == Op::ApproveEdited { edited } else { own };
            let decided = host.decide(user, id, op.verdict().unwrap(), shown, &by, None).await;
            if decided.is_ok() {
                host.resume(user, &race.intent).await.unwrap();
            }
            told(decided)
        }
        Op::Edit => {
            let edit = Edit { subject: Some(race.edited.subject.clone()), ..Edit::default() };
            told(host.edit(user, id, edit, Some(own), &by).await)
        }
        Op::Expire => {
            clock.advance(1);
            told(host.settle().await)
        }
        Op::Cancel => told(host.cancel(user, &race.intent).await),
        Op::TakeBack => told(host.take_back(user, id, &by).await),
        Op::Deny => told(host.revoke(user, SCRIPT, &[Capability::MessagesSend], &by).await),
        Op::Use => told(host.resume(user, &race.intent).await),
    };
    Tried { op, now: clock.now(), by, told }
}

//! What has been acknowledged stands, and nothing leaves twice: whichever named moment a process dies at, whatever kills it, and
//! however the disk fails.
//!
//! `tests/moments.txt` is the committed picture of where a process can die and what comes of it; `BLESS=1` draws it anew.

use crate::crash::{Random, rounds, run_for, seed, timed};
use crate::support::{Cli, Ended, workspace};
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Options};
use countersign::moment::Moment;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// No intent here needs more to come to its end.
const PASSES_MAX: u32 = 12;
/// A moment that comes more often than this in one command is an endless loop.
const TIMES_MAX: u32 = 30;
/// How many rounds of killing share a data folder.
const ROUNDS_PER_FOLDER: u64 = 50;

// Deaths at named moments

/// A case: what has happened, and the command that dies.
struct Case {
    name: &'static str,
    /// The command that dies.
    dies: Dies,
    ways: &'static [Way],
    fate: Fate,
}

/// What is tried, after everything before it has gone well.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Dies {
    /// The run that asks.
    Run,
    /// The approval, which leaves the run where it is.
    Approve,
    /// The declining, which picks the run up.
    Decline,
    /// Whatever comes first after the time of an approval is over.
    Expire,
    /// The pickup of an approved run.
    Send,
    /// `outbox resolve --resend`, of a message that is uncertain.
    Resend,
    /// Whatever comes first after the process that handed a message over has died.
    Settle,
}

const CASES: &[Case] = &[
    Case { name: "ask", dies: Dies::Run, ways: Way::ALL, fate: Fate::Taken },
    Case { name: "approve", dies: Dies::Approve, ways: Way::ALL, fate: Fate::Taken },
    Case { name: "decline", dies: Dies::Decline, ways: Way::ALL, fate: Fate::Taken },
    Case { name: "expire", dies: Dies::Expire, ways: Way::ALL, fate: Fate::Taken },
    Case { name: "send", dies: Dies::Send, ways: Way::ALL, fate: Fate::Taken },
    Case { name: "refused", dies: Dies::Send, ways: &[Way::Command], fate: Fate::Refused },
    Case { name: "no answer", dies: Dies::Send, ways: &[Way::Command], fate: Fate::Lost },
    Case { name: "resend", dies: Dies::Resend, ways: &[Way::Command], fate: Fate::Taken },
    Case { name: "settle", dies: Dies::Settle, ways: &[Way::Command], fate: Fate::Taken },
];

#[test]
fn whichever_moment_a_process_dies_at_nothing_is_lost_and_nothing_leaves_twice() {
    let columns: Vec<_> =
        CASES.iter().flat_map(|case| case.ways.iter().map(move |way| (case, *way))).collect();
    let next = AtomicUsize::new(0);
    let mut drawn: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    thread::scope(|scope| {
        let work = || {
            let mut drawn = Vec::new();
            while let number = next.fetch_add(1, Ordering::Relaxed)
                && let Some((case, way)) = columns.get(number)
            {
                drawn.push((number, column(case, *way)));
            }
            drawn
        };
        // Two at a time, each on a data folder of its own.
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().for_each(|thread| drawn.extend(thread.join().unwrap()));
    });

    let mut picture = String::from(
        "Where a process dies, and what comes of its message, one letter for each time it comes there in that command:\n\
         s sent once, n not sent and reported, u uncertain and reported, d nothing was to leave, 0 it was never asked for.\n\n",
    );
    picture += &format!("{:<20}", "");
    for (case, _) in &columns {
        picture += &format!("{:<10}", case.name);
    }
    picture += &format!("\n{:<20}", "");
    for (_, way) in &columns {
        picture += &format!("{:<10}", way.name());
    }
    picture = picture.trim_end().to_owned() + "\n";
    for (row, moment) in Moment::ALL.iter().enumerate() {
        picture += &format!("{:<20}", moment.name());
        for column in drawn.values() {
            picture += &format!("{:<10}", column[row]);
        }
        picture = picture.trim_end().to_owned() + "\n";
        let is_reached = drawn.values().any(|column| column[row] != "-");
        assert!(is_reached, "no case reaches {}:\n{picture}", moment.name());
    }
    let path = workspace().join("tests/moments.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &picture).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), picture, "BLESS=1 draws the picture anew");
}

/// One case at every moment, each as often as it comes.
fn column(case: &Case, way: Way) -> Vec<String> {
    let mut post = Post::new(way);
    let mut cells = Vec::new();
    for moment in Moment::ALL {
        let mut cell = String::new();
        for time in 1.. {
            assert!(time < TIMES_MAX, "{} comes for ever", moment.name());
            let at = format!("{}:{time}", moment.name());
            match post.die(case, &at) {
                Some(end) => cell.push(end.letter()),
                None => break,
            }
        }
        cells.push(if cell.is_empty() { "-".into() } else { cell });
    }
    post.close();
    cells
}

impl Post {
    /// One case with a death at one moment, to its end. `None` where it never comes there.
    fn die(&mut self, case: &Case, at: &str) -> Option<End> {
        let context = format!("{} by {}, dead at {at}", case.name, self.way.name());
        let parameters = self.message(case.fate);
        let run = ["run", &self.agent, "script", "--params", &parameters];
        let before = self.intents();
        let (asked, died) = if case.dies == Dies::Run {
            let died = self.dies_at(at, &run).is_none();
            let mut new: Vec<_> = self.intents().difference(&before).cloned().collect();
            assert!(new.len() <= 1 && (died || new.len() == 1), "{context}: {new:?}");
            let Some(id) = new.pop() else { return Some(End::Nothing) };
            (id, died)
        } else {
            let ran = self.cli.json(3, &run);
            let (id, approval) = (name(&ran["intent"]), name(&ran["approval"]["id"]));
            let digest = name(&ran["approval"]["digest"]);
            let approve = ["approval", "approve", &approval, "--digest", &digest, "--no-resume"];
            let resume = ["intent", "resume", &id];
            if matches!(case.dies, Dies::Send | Dies::Resend | Dies::Settle) {
                self.cli.json(0, &approve);
            }
            let died = match case.dies {
                Dies::Run => unreachable!("that was above"),
                Dies::Approve => self.dies_at(at, &approve).is_none(),
                Dies::Decline => self.dies_at(at, &["approval", "decline", &approval]).is_none(),
                Dies::Expire => !self.expire(Some(at), &ran["approval"]["expires"]),
                Dies::Send => self.dies_at(at, &resume).is_none(),
                Dies::Resend => {
                    assert!(self.dies_at("attempted", &resume).is_none(), "{context}");
                    self.cli.json(0, &["intent", "list"]);
                    self.dies_at(at, &["outbox", "resolve", &approval, "--resend"]).is_none()
                }
                Dies::Settle => {
                    assert!(self.dies_at("attempted", &resume).is_none(), "{context}");
                    self.dies_at(at, &["intent", "list"]).is_none()
                }
            };
            (id, died)
        };
        if !died {
            // It goes on as it would have; other tests look at that.
            self.cli.run(&["intent", "cancel", &asked]);
            return None;
        }
        // What a person knows, and does: looks, and says again what was not acknowledged.
        self.cli.json(0, &["intent", "list"]);
        let mut decided = matches!(case.dies, Dies::Send | Dies::Resend | Dies::Settle);
        for pass in 0.. {
            assert!(pass < PASSES_MAX, "{context}: it does not come to an end");
            let shown = self.cli.json(0, &["intent", "show", &asked]);
            let approval = &shown["approvals"][0];
            let is_decided = approval["state"] != "pending" && approval.is_object();
            assert!(is_decided || !decided, "{context}: a decision is lost: {shown:#}");
            assert_eq!(
                is_decided && approval["state"] != "expired",
                approval["decided"].is_object(),
                "{context}: half a decision: {shown:#}"
            );
            decided = is_decided;
            let id = approval["id"].as_str().unwrap_or_default();
            match (shown["status"].as_str().unwrap(), case.dies) {
                ("waiting", Dies::Decline) => drop(self.cli.run(&["approval", "decline", id, "--no-resume"])),
                ("waiting", Dies::Expire) => drop(self.expire(None, &approval["expires"])),
                ("waiting", _) => {
                    let digest = name(&approval["digest"]);
                    self.cli.json(0, &["approval", "approve", id, "--digest", &digest, "--no-resume"]);
                }
                ("running", _) => drop(self.cli.run(&["intent", "resume", &asked])),
                ("sending", _) => drop(self.cli.run(&["outbox", "deliver"])),
                _ => break,
            }
        }
        // What a person has had offered again waits for its turn, and its run has ended long ago.
        self.cli.run(&["outbox", "deliver"]);
        let end = self.ended(&asked, case.dies == Dies::Resend);
        let expected: &[End] = match (case.dies, case.fate, self.way) {
            (Dies::Decline | Dies::Expire, ..) => &[End::Declined],
            (Dies::Settle, ..) => &[End::Uncertain],
            (_, _, Way::Embedded) => &[End::Sent],
            // Nobody had begun to hand it over.
            (Dies::Run | Dies::Approve, Fate::Taken, _) => &[End::Sent],
            (_, Fate::Taken, _) => &[End::Sent, End::Uncertain],
            (_, Fate::Refused, _) => &[End::NotSent, End::Uncertain],
            (_, Fate::Lost | Fate::Failed, _) => &[End::Uncertain],
        };
        assert!(expected.contains(&end), "{context}: {end:?}");
        self.cli.json(0, &["audit", "verify"]);
        Some(end)
    }

    /// Runs a command that dies at a moment. Nothing where it did.
    fn dies_at(&self, at: &str, arguments: &[&str]) -> Option<Ended> {
        let mut command = self.cli.command(&[&["--json"], arguments].concat());
        let ended = finish(command.env("COUNTERSIGN_DIE_AT", at))?;
        assert!(matches!(ended.code, 0 | 3 | 5), "{arguments:?}: {ended:#?}");
        Some(ended)
    }

    /// Settles what is due after an instant, in a process whose clock says so. False where that has died.
    fn expire(&self, at: Option<&str>, expires: &Value) -> bool {
        let expires: jiff::Timestamp = expires.as_str().unwrap().parse().unwrap();
        let mut command = again("a_process_that_settles_at_another_time");
        command
            .env(FOLDER, self.cli.data())
            .env("COUNTERSIGN_TEST_NOW", expires.as_millisecond().to_string());
        at.map(|at| command.env("COUNTERSIGN_DIE_AT", at));
        match finish(&mut command) {
            Some(ended) => {
                assert_eq!(ended.code, 0, "{ended:#?}");
                true
            }
            None => false,
        }
    }
}

/// The data folder of a test that runs in a process of its own.
const FOLDER: &str = "COUNTERSIGN_TEST_FOLDER";

#[test]
#[ignore = "is started by another test, in a process of its own"]
fn a_process_that_settles_at_another_time() {
    let Some(data) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let now = std::env::var("COUNTERSIGN_TEST_NOW").unwrap().parse::<i64>().unwrap() + 1;
    let host = open(&data, Clock::virtual_at(now, now as u64));
    runtime().block_on(host.settle()).unwrap();
}

fn open(data: &Path, clock: Clock) -> Host {
    let config = data.join("config.toml");
    let config = if config.exists() { Config::load(&config).unwrap() } else { Config::default() };
    let cache = workspace().join("target/test-cache/countersign");
    Host::open(Options {
        data: data.to_owned(),
        config,
        clock: Arc::new(clock),
        cache: Some(cache),
        limits: Limits::default(),
        in_memory: false,
    })
    .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// This very program, running one of its ignored tests.
fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.arg(format!("faults::{test}")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end. Nothing where it died at its moment.
fn finish(command: &mut Command) -> Option<Ended> {
    let output = command.output().unwrap();
    let signal = output.status.signal();
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!ended.stderr.contains("panicked"), "{ended:#?}");
    assert!(matches!(signal, None | Some(9)), "signal {signal:?}: {ended:#?}");
    signal.is_none().then_some(ended)
}

// A data folder whose mail can be counted

/// By which way mail leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Embedded,
    Command,
}

impl Way {
    const ALL: &[Way] = &[Way::Embedded, Way::Command];

    fn name(self) -> &'static str {
        match self {
            Way::Embedded => "embedded",
            Way::Command => "command",
        }
    }
}

/// What the program that takes mail does with a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Takes it, and says so.
    Taken,
    /// Does not take it, and says so.
    Refused,
    /// Takes it, and dies before it can say so.
    Lost,
    /// Takes it, and fails.
    Failed,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Sent,
    NotSent,
    Uncertain,
    /// It was declined, or the time for it was over.
    Declined,
    /// There is no intent.
    Nothing,
}

impl End {
    fn letter(self) -> char {
        match self {
            End::Sent => 's',
            End::NotSent => 'n',
            End::Uncertain => 'u',
            End::Declined => 'd',
            End::Nothing => '0',
        }
    }
}

/// Takes a message as `sendmail` does. What it takes lies in the sink under its Message-ID and a number, so that what comes
/// twice lies there twice. The subject says what it does then.
const TAKE: &str = r#"#!/bin/sh
set -eu
# Whoever takes this lock alone knows that none of these is at work any more.
exec 9<"$0"
flock -s 9
letter=$(mktemp "$1/new.XXXXXX")
cat >"$letter"
id=$(sed -n 's/^Message-ID: <\(.*\)>$/\1/p; /^$/q' "$letter")
subject=$(sed -n 's/^Subject: //p; /^$/q' "$letter")
case $subject in
Refused*)
    rm "$letter"
    echo "not today"
    exit 65
    ;;
esac
for n in 1 2 3 4 5 6 7 8 9; do
    if ln "$letter" "$1/$id.$n" 2>/dev/null; then break; fi
done
rm "$letter"
case $subject in
Lost*) kill -9 $$ ;;
Failed*) exit 1 ;;
esac
"#;

/// A data folder whose mail can be counted.
struct Post {
    cli: Cli,
    agent: String,
    way: Way,
    /// How many messages there have been: each is another.
    messages: u64,
}

impl Post {
    fn new(way: Way) -> Post {
        let cli = Cli::new();
        let (take, sink) = (cli.scratch().join("take"), cli.scratch().join("sink"));
        if way == Way::Command {
            std::fs::write(&take, TAKE).unwrap();
            std::fs::create_dir(&sink).unwrap();
            std::fs::DirBuilder::new().mode(0o700).create(cli.data()).unwrap();
            let command = json!(["/bin/sh", take, sink]);
            let config = format!(
                "[users.local]\naddress = \"ada@example.test\"\n\
                 [users.local.send]\nby = \"command\"\ncommand = {command}\ntimeout_seconds = 60\n"
            );
            std::fs::write(cli.data().join("config.toml"), config).unwrap();
        }
        let agent = cli.install("guest-script", "messages.read,messages.send");
        Post { cli, agent, way, messages: 0 }
    }

    /// The parameters of an intent that asks for one more message.
    fn message(&mut self, fate: Fate) -> String {
        self.messages += 1;
        let with = json!({
            "to": ["team@company.com"],
            "subject": format!("{fate:?} {}", self.messages),
            "body": format!("Message {}, whole.", self.messages),
        });
        let ask = json!({ "action": "send_message", "title": "May I?", "description": "Please look." });
        let steps = json!([
            { "call": "approval.request", "with": ask },
            { "call": "messages.send", "with": with, "when": "approved" },
        ]);
        json!({ "steps": steps }).to_string()
    }

    fn intents(&self) -> BTreeSet<String> {
        let listed = self.cli.json(0, &["intent", "list"]);
        listed["intents"].as_array().unwrap().iter().map(|row| name(&row["id"])).collect()
    }

    /// What became of the message of an intent that has ended. What the person, the agent and the mailbox are told is the same.
    fn ended(&self, intent: &str, resent: bool) -> End {
        let shown = self.cli.json(0, &["intent", "show", intent]);
        assert_eq!(shown["status"], "done", "{shown:#}");
        let approvals = shown["approvals"].as_array().unwrap();
        assert_eq!(approvals.len(), 1, "{shown:#}");
        let timeline = shown["timeline"].as_array().unwrap();
        let asks: Vec<_> = timeline.iter().filter(|entry| entry["call"] == "approval.request").collect();
        let sends: Vec<_> = timeline.iter().filter(|entry| entry["call"] == "messages.send").collect();
        let approved = approvals[0]["decided"]["verdict"] == "approve";
        assert_eq!(asks.len(), 1, "{shown:#}");
        assert_eq!(asks[0]["answer"]["approved"].as_bool().unwrap_or_default(), approved, "{shown:#}");
        assert_eq!(sends.len(), usize::from(approved), "{shown:#}");
        let heard = sends.first().map(|send| (send["refused"].as_str(), send["details"]["outcome"].as_str()));

        let listed = self.cli.json(0, &["outbox", "list", "--open"]);
        let is = |row: &&Value| row["id"] == approvals[0]["id"];
        let open = listed["messages"].as_array().unwrap().iter().find(is).cloned();
        let row = match (&open, approved) {
            (Some(row), _) => row.clone(),
            (None, true) => self.cli.json(0, &["outbox", "show", &name(&approvals[0]["id"])]),
            (None, false) => Value::Null,
        };
        let copies = self.copies(&row["messageId"]);
        let context = format!("{shown:#} {row:#} {copies:?}");
        // The end of the body is the end of the message, but for the line break it is given and takes back.
        let is_whole = |copy: &String| {
            copy.trim_end().trim_end_matches('=').ends_with(row["action"]["body"].as_str().unwrap())
        };
        let (end, copies_max) = match row["state"].as_str() {
            None | Some("cancelled") => {
                assert_eq!(heard, None, "{context}");
                (End::Declined, 0)
            }
            Some("sent" | "kept") => {
                // The agent heard of the first attempt.
                assert!(resent || heard == Some((None, None)), "{context}");
                assert_eq!(copies.len(), 1, "{context}");
                (End::Sent, 1)
            }
            Some("not_sent") => {
                assert_eq!(heard.and_then(|heard| heard.1), Some("not_sent"), "{context}");
                (End::NotSent, 0)
            }
            Some("uncertain") => {
                assert_eq!(heard.and_then(|heard| heard.1), Some("uncertain"), "{context}");
                (End::Uncertain, 1)
            }
            _ => panic!("on its way after the end: {context}"),
        };
        assert!(copies.len() <= copies_max, "{context}");
        assert!(copies.iter().all(is_whole), "half a message: {context}");
        assert_eq!(open.is_some(), end == End::Uncertain, "{context}");
        end
    }

    /// How often a message has arrived, and as what.
    fn copies(&self, message_id: &Value) -> Vec<String> {
        let Some(id) = message_id.as_str() else { return Vec::new() };
        if self.way == Way::Embedded {
            let sent = self.cli.json(0, &["mailbox", "sent"]);
            let sent = sent["messages"].as_array().unwrap().clone();
            let its = sent.iter().filter(|message| message["messageId"] == id);
            let file = |message: &Value| self.cli.data().join(message["file"].as_str().unwrap());
            return its.map(|message| std::fs::read_to_string(file(message)).unwrap()).collect();
        }
        // One that has outlived its host may still be at work.
        let lock = File::open(self.cli.scratch().join("take")).unwrap();
        lock.lock().unwrap();
        let path = |n| self.cli.scratch().join("sink").join(format!("{id}.{n}"));
        (1..).map_while(|n| std::fs::read_to_string(path(n)).ok()).collect()
    }

    /// At the very end: nothing is stuck, no message came from nowhere, and no decision was recorded twice.
    fn close(&self) {
        let listed = self.cli.json(0, &["intent", "list"]);
        for row in listed["intents"].as_array().unwrap() {
            assert!(matches!(row["status"].as_str().unwrap(), "done" | "cancelled"), "{row:#}");
        }
        self.cli.json(0, &["audit", "verify"]);
        let mut decided: HashSet<String> = HashSet::new();
        let mut attempted: HashSet<String> = HashSet::new();
        for line in self.cli.run(&["audit", "export"]).stdout.lines() {
            let entry: Value = line.parse().unwrap();
            let approval = || name(&entry["body"]["approval"]);
            match entry["kind"].as_str().unwrap() {
                "decide" => assert!(decided.insert(approval()), "decided twice: {line}"),
                "attempt" => assert!(attempted.insert(approval()), "attempted twice: {line}"),
                // A person has it offered again.
                "resolve" => assert!(attempted.remove(&approval()), "{line}"),
                _ => {}
            }
        }
        if self.way == Way::Command {
            for file in std::fs::read_dir(self.cli.scratch().join("sink")).unwrap() {
                let file = file.unwrap().file_name().into_string().unwrap();
                assert!(file.ends_with(".1") || file.starts_with("new."), "it has left twice: {file}");
            }
        }
    }
}

// Disturbances without a name

/// A person at a data folder whose commands are disturbed, and what they know.
struct Person {
    post: Post,
    random: Random,
    /// What a command acknowledged by ending well: the intents that were run, the verdict by approval.
    run: HashSet<String>,
    said: HashMap<String, &'static str>,
    /// What was tried, whatever came of it.
    tried: HashMap<String, Vec<&'static str>>,
    /// Intents that have ended, with what became of them.
    checked: HashMap<String, End>,
    /// How many commands were disturbed, and how many of those were not acknowledged.
    disturbed: u64,
    failed: u64,
}

/// Runs a command under a disturbance. Nothing where it was not acknowledged.
type Disturb<'a> = dyn FnMut(&mut Person, &[&str]) -> Option<Ended> + 'a;

impl Person {
    fn new(way: Way, seed: u64) -> Person {
        Person {
            post: Post::new(way),
            random: Random::new(seed),
            run: HashSet::new(),
            said: HashMap::new(),
            tried: HashMap::new(),
            checked: HashMap::new(),
            disturbed: 0,
            failed: 0,
        }
    }

    /// One or two intents, from their start to their end. After some passes, nothing is disturbed any more.
    fn round(&mut self, disturb: &mut Disturb<'_>) {
        for _ in 0..1 + self.random.below(2) {
            let fates = [Fate::Taken, Fate::Taken, Fate::Refused, Fate::Lost, Fate::Failed];
            let fate = fates[self.random.below(fates.len() as u64) as usize];
            let parameters = self.post.message(fate);
            let agent = self.post.agent.clone();
            if let Some(ran) =
                self.attempt(disturb, false, &["run", &agent, "script", "--params", &parameters])
            {
                assert_eq!(ran.code, 3, "{ran:#?}");
                self.run.insert(name(&ran.json()["intent"]));
            }
        }
        for pass in 0.. {
            assert!(pass < PASSES_MAX, "an intent does not come to an end");
            let listed = self.post.cli.json(0, &["intent", "list"]);
            let rows = listed["intents"].as_array().unwrap();
            let known: HashSet<_> = rows.iter().map(|row| name(&row["id"])).collect();
            assert!(self.run.is_subset(&known), "an acknowledged run is lost: {listed:#}");
            let open: Vec<_> = rows.iter().filter(|row| row["status"] != "done").collect();
            for row in &open {
                self.move_on(disturb, pass >= 4, &name(&row["id"]));
            }
            if open.is_empty() {
                known.iter().for_each(|id| self.check(id));
                break;
            }
        }
        self.post.cli.json(0, &["audit", "verify"]);
    }

    fn move_on(&mut self, disturb: &mut Disturb<'_>, calm: bool, id: &str) {
        let shown = self.post.cli.json(0, &["intent", "show", id]);
        match shown["status"].as_str().unwrap() {
            "waiting" => {}
            "sending" => return drop(self.attempt(disturb, calm, &["outbox", "deliver"])),
            "running" => return drop(self.attempt(disturb, calm, &["intent", "resume", id])),
            // By settling, meanwhile.
            "done" => return,
            other => panic!("{other}: {shown:#}"),
        }
        let approval = &shown["approvals"][0];
        let (approval, digest) = (name(&approval["id"]), name(&approval["digest"]));
        let (verdict, mut arguments) = match self.random.below(5) {
            0 => ("decline", vec!["approval", "decline", &approval]),
            _ => ("approve", vec!["approval", "approve", &approval, "--digest", &digest]),
        };
        if self.random.below(3) == 0 {
            arguments.push("--no-resume");
        }
        self.tried.entry(approval.clone()).or_default().push(verdict);
        if self.attempt(disturb, calm, &arguments).is_some() {
            self.said.insert(approval, verdict);
        }
    }

    fn attempt(&mut self, disturb: &mut Disturb<'_>, calm: bool, arguments: &[&str]) -> Option<Ended> {
        let ended = if calm {
            Some(self.post.cli.run(&[&["--json"], arguments].concat()))
        } else {
            self.disturbed += 1;
            let ended = disturb(self, arguments);
            self.failed += u64::from(ended.is_none());
            ended
        };
        if let Some(ended) = &ended {
            assert!(matches!(ended.code, 0 | 3 | 5), "{arguments:?}: {ended:#?}");
        }
        ended
    }

    fn check(&mut self, id: &str) {
        if self.checked.contains_key(id) {
            return;
        }
        let end = self.post.ended(id, false);
        let shown = self.post.cli.json(0, &["intent", "show", id]);
        let approval = &shown["approvals"][0];
        let (approval, verdict) = (name(&approval["id"]), name(&approval["decided"]["verdict"]));
        assert!(
            self.said.get(&approval).is_none_or(|said| *said == verdict),
            "a decision is lost: {shown:#}"
        );
        assert!(self.tried[&approval].contains(&&*verdict), "nobody said that: {shown:#}");
        self.checked.insert(id.into(), end);
    }

    fn close(self) {
        self.post.close();
        let mut ends: BTreeMap<char, u64> = BTreeMap::new();
        self.checked.values().for_each(|end| *ends.entry(end.letter()).or_default() += 1);
        eprintln!("{} commands disturbed, {} not acknowledged; {ends:?}", self.disturbed, self.failed);
        assert!(self.failed > 0, "nothing was disturbed");
    }
}

#[test]
fn whatever_is_killed_whenever_no_message_is_handed_over_twice() {
    let (seed, next) = (seed(), AtomicUsize::new(0));
    // Lists show 1000 rows: not too many rounds share a data folder.
    let folders = rounds().div_ceil(2).div_ceil(ROUNDS_PER_FOLDER);
    let work = || {
        while let folder = next.fetch_add(1, Ordering::Relaxed) as u64
            && folder < folders
        {
            let mut person = Person::new(Way::Command, seed.wrapping_add(folder));
            let mut usual = Duration::from_millis(50);
            for _ in 0..ROUNDS_PER_FOLDER {
                person.round(&mut |person, arguments| {
                    let life = (person.random.below(3) > 0).then(|| person.random.part_of(usual));
                    let (ended, took) = timed(|| run_for(&person.post.cli, arguments, life));
                    if life.is_none() {
                        usual = (usual * 7 + took) / 8;
                    }
                    ended
                });
            }
            person.close();
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
}

/// How a command ended on a machine that fails it. It may fail, saying why, and never breaks.
fn failing(mut command: Command, why: &[&str]) -> Option<Ended> {
    let ended = finish(&mut command).expect("it does not die");
    match ended.code {
        0 | 3 | 5 => Some(ended),
        1 | 6 => {
            let said = ended.stdout.clone() + &ended.stderr;
            assert!(why.iter().any(|why| said.contains(why)), "that says nothing: {ended:#?}");
            None
        }
        _ => panic!("{ended:#?}"),
    }
}

/// The same command behind a program that starts it.
fn behind(starter: &[&str], command: &Command) -> Command {
    let mut started = Command::new(starter[0]);
    started.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => started.env(variable, value),
            None => started.env_remove(variable),
        };
    }
    started.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    started
}

/// What is said where there is no room.
const FULL: &[&str] = &["No space left", "disk is full", "is full:", "File too large", "disk I/O error"];

#[test]
fn on_a_full_disk_commands_fail_and_say_so_and_nothing_is_lost() {
    let disk = tempfile::tempdir().unwrap();
    let mount = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs -o size=4m none \"$0\" && exec \"$@\""];
    let disk = disk.path().to_str().unwrap();
    let probe = Command::new(mount[0]).args(&mount[1..]).args([disk, "true"]).output();
    match probe {
        Ok(output) if output.status.success() => {}
        why => return eprintln!("SKIPPED: needs a disk that can be filled: {why:?}"),
    }
    let mut child = behind(&[&mount[..], &[disk]].concat(), &again("a_person_on_a_full_disk"));
    let ended = finish(child.env("TMPDIR", disk).env(FOLDER, disk)).expect("it does not die");
    eprint!("{}", ended.stderr);
    assert_eq!(ended.code, 0, "{ended:#?}");
}

#[test]
#[ignore = "is started by another test, on a disk of its own"]
fn a_person_on_a_full_disk() {
    let Some(disk) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    for way in Way::ALL {
        let mut person = Person::new(*way, seed());
        let filler = disk.join("filler");
        for _ in 0..rounds().div_ceil(10) {
            person.round(&mut |person, arguments| {
                let mut file = File::create(&filler).unwrap();
                while file.write_all(&[1; 4096]).is_ok() {}
                // Some room is left, or none.
                let length = file.metadata().unwrap().len();
                file.set_len(length - length.min(4096 * person.random.below(48))).unwrap();
                let command = person.post.cli.command(&[&["--json"], arguments].concat());
                let ended = failing(command, FULL);
                std::fs::remove_file(&filler).unwrap();
                ended
            });
        }
        person.close();
    }
}

#[test]
fn where_no_file_may_grow_commands_fail_and_say_so_and_nothing_is_lost() {
    let mut person = Person::new(Way::Command, seed());
    for _ in 0..rounds().div_ceil(10) {
        person.round(&mut |person, arguments| {
            let data = person.post.cli.data();
            let length = |file| std::fs::metadata(data.join(file)).map_or(0, |file| file.len());
            let longest = length("countersign.db").max(length("countersign.db-wal"));
            // In blocks of 512 bytes: some writes go through, or none.
            let blocks = person.random.below(longest / 512 + 128).to_string();
            let starter = ["sh", "-c", "ulimit -f \"$0\" && trap '' XFSZ && exec \"$@\"", &blocks];
            let command = person.post.cli.command(&[&["--json"], arguments].concat());
            failing(behind(&starter, &command), FULL)
        });
    }
    person.close();
}

/// Which calls to the system fail: those by which SQLite works. It calls `fsync`, `pwrite64` and `pread64`; `write` and `read` are
/// the pipes by which the threads of a process wake each other, which do not fail as disks do.
const CALLS: &[&str] = &[
    "posix/io/sync/fsync",
    "posix/io/rw/pwrite",
    "posix/io/rw/pwrite/reduce",
    "posix/io/rw/pread",
    "posix/io/rw/ftruncate",
    "posix/io/oc/open",
    "posix/io/dir/unlink",
];

fn is_there(program: &str) -> bool {
    let probe = Command::new(program).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if probe.is_err() {
        eprintln!("SKIPPED: needs {program}: fiu-utils");
    }
    probe.is_ok()
}

#[test]
fn whatever_call_to_the_system_fails_nothing_is_lost() {
    if !is_there("fiu-run") {
        return;
    }
    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for way in Way::ALL {
        let mut person = Person::new(*way, seed());
        for _ in 0..rounds().div_ceil(5) {
            person.round(&mut |person, arguments| {
                let call = CALLS[person.random.below(CALLS.len() as u64) as usize];
                let probability = ["0.01", "0.1", "1"][person.random.below(3) as usize];
                let what = format!("enable_random name={call},probability={probability}");
                let command = person.post.cli.command(&[&["--json"], arguments].concat());
                let starter = ["timeout", "-s", "KILL", "120", "fiu-run", "-x", "-f", "", "-c", &what];
                let ended = failing(behind(&starter, &command), &["error"]);
                let (commands, failed) = kinds.entry(call).or_default();
                (*commands, *failed) = (*commands + 1, *failed + u64::from(ended.is_none()));
                ended
            });
        }
        person.close();
    }
    eprintln!("commands and failures by call: {kinds:?}");
}

#[test]
fn after_a_failed_sync_a_process_writes_nothing_more_though_the_disk_is_well_again() {
    if !is_there("fiu-run") {
        return;
    }
    let post = Post::new(Way::Embedded);
    let control = post.cli.scratch().join("control");
    let control = control.to_str().unwrap();
    let mut child = behind(&["fiu-run", "-x", "-f", control], &again("a_host_whose_disk_fails_once"));
    let mut child =
        child.env(FOLDER, post.cli.data()).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut orders = child.stdin.take().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut hear = |what: &str| loop {
        let line = said.next().unwrap_or_else(|| panic!("it ended without {what:?}"));
        if let Some((_, rest)) = line.split_once("HEARD ") {
            assert!(rest.contains(what), "{line}");
            break rest.replace(what, "").trim().to_owned();
        }
    };
    let pid = hear("ready");
    let disk = |command: &str| {
        let done = Command::new("fiu-ctrl").args(["-f", control, "-c", command, &pid]).status();
        assert!(done.unwrap().success(), "{command}");
    };
    let mut write = || orders.write_all(b"write\n").unwrap();
    write();
    hear("written");
    // EIO.
    disk("enable name=posix/io/sync/fsync,failinfo=5");
    write();
    hear("the commit failed");
    disk("disable name=posix/io/sync/fsync");
    write();
    hear("the store has stopped after a failed commit");
    drop(orders);
    assert!(child.wait().unwrap().success());

    // The next process goes on from what is on disk.
    let exported = post.cli.run(&["audit", "export"]).stdout;
    let taken = exported.lines().filter(|line| line.contains("\"kind\":\"deny\"")).count();
    assert!(
        (1..=2).contains(&taken),
        "one was acknowledged, one may be there, and one was refused: {exported}"
    );
    post.cli.json(0, &["agent", "grant", &post.agent, "messages.read"]);
    post.cli.json(0, &["audit", "verify"]);
}

#[test]
#[ignore = "is started by another test, on a disk that fails"]
fn a_host_whose_disk_fails_once() {
    let Some(data) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let host = open(&data, Clock::system());
    let agents = host.agents("local").unwrap();
    let agent = &agents[0].installed.manifest.id;
    eprintln!("HEARD ready {}", std::process::id());
    for _ in std::io::stdin().lines() {
        let revoked = host.revoke("local", agent, &[Capability::MessagesRead], "test");
        match runtime().block_on(revoked) {
            Ok(_) => eprintln!("HEARD written"),
            Err(error) => eprintln!("HEARD {error:?}"),
        }
    }
}

fn name(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value:#}")).to_owned()
}

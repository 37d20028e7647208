//! A run survives the death of its process at any moment, and two processes on one data folder do no harm.
//!
//! Which command is killed, and after how long, is drawn from a seed that every test prints; `COUNTERSIGN_SEED=N` draws
//! the same again. What a process had reached by then is up to the machine, and nothing here depends on it: every
//! moment must do. `COUNTERSIGN_CRASH_ROUNDS=N` sets how long it is tried.

use crate::support::{Cli, Ended};
use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How many rounds share a data folder, so that the store grows. Lists show 1000 rows, and a round makes up to six.
const ROUNDS_PER_FOLDER: u64 = 100;
/// After so many passes over its open intents, a round ends undisturbed.
const DISTURBED_PASSES: u32 = 4;
/// No script here needs more passes than this.
const PASSES_MAX: u32 = 20;
/// Turns of a loop that take the agent some tens of milliseconds, so that others can come in between.
const TURNS: u64 = 3_000_000;
/// The calls a journal holds.
const JOURNALED: [&str; 3] = ["messages.list", "messages.send", "approval.request"];

#[test]
fn whatever_is_killed_whenever_every_run_ends_and_exactly_what_was_approved_has_left_once() {
    let seed = seed();
    let folders = rounds().div_ceil(ROUNDS_PER_FOLDER);
    let next = AtomicU64::new(0);
    // Two at a time, each on a data folder of its own.
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let folder = next.fetch_add(1, Ordering::Relaxed);
                    if folder >= folders {
                        break;
                    }
                    let mut rig = Rig::new(seed.wrapping_add(folder));
                    let left = rounds() - folder * ROUNDS_PER_FOLDER;
                    (0..left.min(ROUNDS_PER_FOLDER)).for_each(|_| rig.round());
                    rig.close();
                }
            });
        }
    });
}

#[test]
fn of_two_approvals_at_once_one_decides_the_other_hears_so_and_one_message_leaves() {
    let Race { cli, mut random, agents } = Race::new();
    for _ in 0..races() {
        let asked = agents.ask(&cli, &mut random);
        let (a, b) = at_once(&mut random, || asked.approve(&cli, &[]), || asked.approve(&cli, &[]));
        let (won, lost) = if a.code == 6 { (b, a) } else { (a, b) };
        assert_eq!((won.code, lost.code), (0, 6), "{won:#?} {lost:#?}");
        assert_refused(&lost, "ALREADY_DECIDED", "was approved by");
        asked.assert_decided(&cli, "approve");
    }
}

#[test]
fn of_an_approval_and_a_decline_at_once_the_first_decides_and_the_other_hears_which() {
    let Race { cli, mut random, agents } = Race::new();
    for _ in 0..races() {
        let asked = agents.ask(&cli, &mut random);
        let (approved, declined) =
            at_once(&mut random, || asked.approve(&cli, &[]), || asked.decline(&cli, &[]));
        if declined.code == 6 {
            assert_eq!(approved.code, 0, "{approved:#?} {declined:#?}");
            assert_refused(&declined, "ALREADY_DECIDED", "was approved by");
            asked.assert_decided(&cli, "approve");
        } else {
            // The card of one agent calls that an error, the other's does not.
            assert!(matches!(declined.code, 0 | 5), "{declined:#?}");
            assert_refused(&approved, "ALREADY_DECIDED", "was declined by");
            asked.assert_decided(&cli, "decline");
        }
    }
}

#[test]
fn of_an_approval_and_a_cancellation_at_once_nothing_leaves_after_the_cancellation() {
    let Race { cli, mut random, agents } = Race::new();
    for _ in 0..races() {
        let asked = agents.ask(&cli, &mut random);
        let cancel = || {
            let cancelled = cli.run(&["--json", "intent", "cancel", &asked.intent]);
            (cancelled, sent_of(&cli, &asked.intent).len())
        };
        let (approved, (cancelled, had_left)) = at_once(&mut random, || asked.approve(&cli, &[]), cancel);
        let shown = cli.json(0, &["intent", "show", &asked.intent]);
        let approval = &shown["approvals"][0];
        let left = sent_of(&cli, &asked.intent).len();
        let said = (&approval["state"], &approval["decided"]["verdict"], &approval["used"]);
        match (approved.code, cancelled.code) {
            // All was over before the cancellation.
            (0, 6) => {
                assert_refused(&cancelled, "ALREADY_ENDED", "done");
                asked.assert_decided(&cli, "approve");
                continue;
            }
            // The cancellation came while the approved run was on its way, before its message left or after.
            (4, 0) if left == 1 => assert_eq!(said, (&json!("approved"), &json!("approve"), &json!(true))),
            (4, 0) => assert_eq!(said, (&json!("cancelled"), &json!("approve"), &json!(false))),
            // The cancellation came first.
            (6, 0) => {
                assert_refused(&approved, "ALREADY_DECIDED", "is cancelled");
                assert_eq!(said, (&json!("cancelled"), &Value::Null, &json!(false)));
                assert_eq!(left, 0);
            }
            _ => panic!("{approved:#?} {cancelled:#?}"),
        }
        assert_eq!(shown["status"], "cancelled");
        assert_eq!(left, had_left, "a message left after its intent was cancelled: {shown:#}");
        assert_eq!(left, calls(&shown, "messages.send"), "{shown:#}");
    }
}

#[test]
fn two_pickups_of_one_run_at_once_drive_it_once() {
    let Race { cli, mut random, agents } = Race::new();
    for _ in 0..races() {
        let asked = agents.ask(&cli, &mut random);
        let approved = asked.approve(&cli, &["--no-resume"]);
        assert_eq!((approved.code, &approved.json()["status"]), (0, &json!("running")), "{approved:#?}");
        let (a, b) = at_once(&mut random, || asked.resume(&cli), || asked.resume(&cli));
        for ended in [a, b] {
            assert_eq!((ended.code, &ended.json()["status"]), (0, &json!("done")), "{ended:#?}");
        }
        asked.assert_decided(&cli, "approve");
    }
}

#[test]
fn a_run_whose_process_is_killed_goes_on_in_the_one_that_waits_to_pick_it_up_and_asks_once() {
    let Race { cli, mut random, agents } = Race::new();
    let parameters = |number| json!({ "steps": slow(number) }).to_string();
    let whole = usual(&cli, &["run", &agents.script, "script", "--params", &parameters(0)]);
    let mut known: HashSet<String> = ids(&cli).into_iter().collect();
    for round in 1..=races() {
        let parameters = parameters(round);
        let run = ["run", &agents.script, "script", "--params", &parameters];
        let life = random.part_of(whole);
        let over = AtomicBool::new(false);
        let (ran, picked_up) = at_once(
            &mut random,
            || {
                let ran = run_for(&cli, &run, Some(life));
                over.store(true, Ordering::SeqCst);
                ran
            },
            || loop {
                let is_over = over.load(Ordering::SeqCst);
                if let Some(id) = ids(&cli).into_iter().find(|id| !known.contains(id)) {
                    let resumed = cli.run(&["--json", "intent", "resume", &id]);
                    break Some((id, resumed));
                }
                if is_over {
                    break None;
                }
            },
        );
        let Some((id, resumed)) = picked_up else {
            assert!(ran.is_none(), "a run that was acknowledged is not there: {ran:#?}");
            continue;
        };
        // Whichever of the two got it there, it waits, and asks once.
        assert!(ran.is_none_or(|ran| ran.code == 3));
        assert_eq!((resumed.code, &resumed.json()["status"]), (3, &json!("waiting")), "{resumed:#?}");
        let shown = cli.json(0, &["intent", "show", &id]);
        assert_eq!(shown["approvals"].as_array().unwrap().len(), 1, "{shown:#}");

        // The same once more: the deciding process is killed while another wants to pick the run up.
        let asked = Asked::of(&resumed.json());
        let life = random.part_of(whole);
        let arguments = ["approval", "approve", &asked.approval, "--digest", &asked.digest];
        let (approved, _) =
            at_once(&mut random, || run_for(&cli, &arguments, Some(life)), || asked.resume(&cli));
        match (approved, asked.approve(&cli, &[])) {
            (Some(first), again) => {
                assert_eq!(first.code, 0, "{first:#?}");
                assert_refused(&again, "ALREADY_DECIDED", "was approved by");
            }
            (None, again) if again.code == 6 => assert_refused(&again, "ALREADY_DECIDED", "was approved by"),
            (None, again) => assert_eq!(again.code, 0, "{again:#?}"),
        }
        assert_eq!(asked.resume(&cli).code, 0);
        asked.assert_decided(&cli, "approve");
        known.insert(id);
    }
}

#[test]
fn of_two_approvals_at_once_one_may_be_killed_and_still_one_message_leaves() {
    let Race { cli, mut random, agents } = Race::new();
    let asked = agents.ask(&cli, &mut random);
    let whole = usual(&cli, &["approval", "approve", &asked.approval, "--digest", &asked.digest]);
    for _ in 0..races() {
        let asked = agents.ask(&cli, &mut random);
        let life = random.part_of(whole);
        let arguments = ["approval", "approve", &asked.approval, "--digest", &asked.digest];
        let (victim, survivor) =
            at_once(&mut random, || run_for(&cli, &arguments, Some(life)), || asked.approve(&cli, &[]));
        match survivor.code {
            0 => assert!(victim.is_none_or(|victim| victim.code == 6)),
            _ => assert_refused(&survivor, "ALREADY_DECIDED", "was approved by"),
        }
        assert_eq!(asked.resume(&cli).code, 0);
        asked.assert_decided(&cli, "approve");
    }
}

#[test]
fn a_new_data_folder_stands_the_race_and_the_death_of_its_first_commands() {
    let mut random = Random::new(seed());
    let agent = crate::support::guest("send-report");
    let install = ["agent", "install", agent.to_str().unwrap(), "--grant", "messages.send"];
    let whole = usual(&Cli::new(), &install);
    for round in 0..races() {
        let cli = Cli::new();
        let life = (round % 2 == 0).then(|| random.part_of(whole));
        let (a, b) = at_once(&mut random, || run_for(&cli, &install, life), || run_for(&cli, &install, None));
        for ended in [a, b].into_iter().flatten() {
            assert_eq!(ended.code, 0, "{ended:#?}");
        }
        let agents = cli.json(0, &["agent", "list"]);
        assert_eq!(agents["agents"].as_array().unwrap().len(), 1, "{agents:#}");
        assert_eq!(agents["agents"][0]["granted"], json!(["messages.send"]), "{agents:#}");

        // And with nobody else there: what the dead one began, the next one ends.
        let cli = Cli::new();
        run_for(&cli, &install, Some(random.part_of(whole)));
        let agent = cli.install("send-report", "messages.send");
        cli.json(3, &["run", &agent, "send_report"]);
    }
}

#[test]
fn a_deleted_letter_is_written_again_by_the_next_command() {
    let cli = Cli::new();
    let agents = Agents::install(&cli);
    let asked = agents.report(&cli);
    assert_eq!(asked.approve(&cli, &[]).code, 0);
    let letter = cli.data().join(sent_of(&cli, &asked.intent)[0]["file"].as_str().unwrap());
    let written = std::fs::read(&letter).unwrap();
    for next in [["mailbox", "sent"], ["intent", "list"]] {
        std::fs::remove_file(&letter).unwrap();
        cli.json(0, &next);
        assert_eq!(std::fs::read(&letter).unwrap(), written, "after {next:?}");
    }
}

// The rig: one data folder whose commands are killed, and what its person knows.

struct Rig {
    cli: Cli,
    random: Random,
    agents: Agents,
    /// How long a command takes that is left alone. Measured all the time, as other tests may be running.
    usual: Duration,
    /// How many messages have come in, and how many scripts were started.
    mails: u64,
    scripts: u64,
    /// What a process acknowledged by ending by itself: the verdict by approval; by intent, that it was run or cancelled.
    acknowledged: HashMap<String, &'static str>,
    /// What was tried, whatever came of it: the verdicts by approval; by intent, cancelling it.
    tried: HashMap<String, Vec<&'static str>>,
    /// The timeline of each intent as it was last seen.
    seen: HashMap<String, Vec<Value>>,
    /// How many messages had left for an intent when its cancellation was acknowledged.
    left: HashMap<String, usize>,
    /// Intents that have ended and were looked at, with how many messages left.
    checked: HashMap<String, usize>,
    /// What was killed last, by intent, and what was found afterwards, counted.
    killed: HashMap<String, &'static str>,
    found: BTreeMap<String, u64>,
}

impl Rig {
    fn new(seed: u64) -> Rig {
        let cli = Cli::new();
        let agents = Agents::install(&cli);
        let usual = usual(&cli, &["run", &agents.report, "send_report"]);
        let mut rig = Rig {
            cli,
            random: Random::new(seed),
            agents,
            usual,
            mails: 0,
            scripts: 0,
            acknowledged: HashMap::new(),
            tried: HashMap::new(),
            seen: HashMap::new(),
            left: HashMap::new(),
            checked: HashMap::new(),
            killed: HashMap::new(),
            found: BTreeMap::new(),
        };
        (0..4).for_each(|_| rig.mail_comes());
        rig
    }

    /// One or two intents, from their start to their end.
    fn round(&mut self) {
        for _ in 0..1 + self.random.below(2) {
            self.start();
        }
        for pass in 0.. {
            assert!(pass < PASSES_MAX, "an intent does not come to an end");
            let open = self.open();
            if open.is_empty() {
                break;
            }
            for id in open {
                self.move_on(&id, pass >= DISTURBED_PASSES);
            }
        }
        self.check();
    }

    fn start(&mut self) {
        self.scripts += 1;
        let steps = match self.random.below(4) {
            0 => quick_message(self.scripts),
            1 => one_message(self.scripts),
            2 => two_messages(self.scripts),
            _ => held_message(self.scripts),
        };
        let parameters = json!({ "steps": steps }).to_string();
        let agent = self.agents.script.clone();
        match self.attempt(false, &["run", &agent, "script", "--params", &parameters]) {
            None => *self.found.entry("run killed".into()).or_default() += 1,
            Some(ran) => {
                assert_eq!(ran.code, 3, "{ran:#?}");
                self.acknowledged.insert(ran.json()["intent"].as_str().unwrap().into(), "run");
            }
        }
    }

    /// The intents that have not ended. None of those that were acknowledged is missing.
    fn open(&mut self) -> Vec<String> {
        let listed = self.cli.json(0, &["intent", "list"]);
        let intents: Vec<_> =
            listed["intents"].as_array().unwrap().iter().map(|row| (name(&row["id"]), row)).collect();
        for (id, row) in &intents {
            if !self.acknowledged.contains_key(id)
                && !self.seen.contains_key(id)
                && !self.checked.contains_key(id)
            {
                self.killed.entry(id.clone()).or_insert("run");
            }
            self.note(id, &row["status"]);
        }
        let known = self.acknowledged.keys().filter(|id| id.starts_with("int_"));
        for id in known {
            assert!(intents.iter().any(|(listed, _)| listed == id), "{id} was acknowledged and is lost");
        }
        let is_open = |row: &Value| matches!(row["status"].as_str().unwrap(), "running" | "waiting");
        intents.into_iter().filter(|(_, row)| is_open(row)).map(|(id, _)| id).collect()
    }

    /// Does whatever an open intent needs, and may be killed over it.
    fn move_on(&mut self, id: &str, calm: bool) {
        let shown = self.cli.json(0, &["intent", "show", id]);
        self.remember(id, &shown);
        if self.random.below(20) == 0 {
            return self.cancel(id, calm);
        }
        if self.random.below(4) == 0 {
            // What comes in while a run is put down is none of its answers before the next live call.
            self.mail_comes();
        }
        if shown["status"] == "waiting" {
            let pending = pending(&shown);
            return self.decide(id, &pending, calm);
        }
        match self.attempt(calm, &["intent", "resume", id]) {
            None => drop(self.killed.insert(id.into(), "resume")),
            Some(ended) => assert!(matches!(ended.code, 0 | 3 | 5), "{ended:#?}"),
        }
    }

    fn decide(&mut self, id: &str, approval: &Value, calm: bool) {
        let (approval, digest) = (name(&approval["id"]), name(&approval["digest"]));
        let (verdict, mut arguments) = match self.random.below(10) {
            0..7 => ("approve", vec!["approval", "approve", &approval, "--digest", &digest]),
            _ => ("decline", vec!["approval", "decline", &approval]),
        };
        if self.random.below(4) == 0 {
            arguments.push("--no-resume");
        }
        self.tried.entry(approval.clone()).or_default().push(verdict);
        let is_decided = |ended: &Ended| matches!(ended.code, 0 | 3 | 5);
        match self.attempt(calm, &arguments) {
            Some(ended) => assert!(is_decided(&ended), "{ended:#?}"),
            None => {
                self.killed.insert(id.into(), verdict);
                if self.random.below(2) == 0 {
                    return;
                }
                // Whoever does not know whether it went through may say it again.
                let again = self.cli.run(&[&["--json"], &arguments[..]].concat());
                if !is_decided(&again) {
                    assert_refused(&again, "ALREADY_DECIDED", &format!("was {verdict}d by"));
                }
            }
        }
        self.acknowledged.insert(approval, verdict);
    }

    fn cancel(&mut self, id: &str, calm: bool) {
        self.tried.entry(id.into()).or_default().push("cancel");
        match self.attempt(calm, &["intent", "cancel", id]) {
            None => drop(self.killed.insert(id.into(), "cancel")),
            Some(ended) => {
                assert_eq!(ended.code, 0, "{ended:#?}");
                self.acknowledged.insert(id.into(), "cancel");
                self.left.insert(id.into(), sent_of(&self.cli, id).len());
            }
        }
    }

    fn mail_comes(&mut self) {
        self.mails += 1;
        let number = self.mails;
        let time = format!("{:02}:{:02}:{:02}", number / 3600, number / 60 % 60, number % 60);
        let mail = format!(
            "From boss@company.com Mon Jan  6 00:00:00 2025\nFrom: Robin Boss <boss@company.com>\n\
             To: local@localhost\nSubject: Mail {number}\nDate: Mon, 06 Jan 2025 {time} +0000\n\
             Message-ID: <{number}@company.com>\n\nMail {number}.\n"
        );
        let path = self.cli.scratch().join("mail.mbox");
        std::fs::write(&path, mail).unwrap();
        let import = ["mailbox", "import", path.to_str().unwrap()];
        let imported = match self.attempt(false, &import) {
            Some(ended) => ended.json(),
            None => self.cli.json(0, &import),
        };
        assert_eq!(
            imported["added"].as_u64().unwrap() + imported["known"].as_u64().unwrap(),
            1,
            "{imported:#}"
        );
    }

    /// Runs a command, and kills it two times out of three unless `calm`. Gives nothing where it was killed in time.
    fn attempt(&mut self, calm: bool, arguments: &[&str]) -> Option<Ended> {
        let life = (!calm && self.random.below(3) > 0).then(|| self.random.part_of(self.usual));
        let (ended, took) = timed(|| run_for(&self.cli, arguments, life));
        if life.is_none() {
            self.usual = (self.usual * 7 + took) / 8;
        }
        ended
    }

    /// What was seen of a timeline is still there, and unchanged.
    fn remember(&mut self, id: &str, shown: &Value) {
        self.note(id, &shown["status"]);
        let timeline = shown["timeline"].as_array().unwrap();
        let before = self.seen.insert(id.into(), timeline.clone()).unwrap_or_default();
        assert!(timeline.starts_with(&before), "{id} had {before:#?} and has {timeline:#?}");
    }

    fn note(&mut self, id: &str, status: &Value) {
        if let Some(verb) = self.killed.remove(id) {
            *self.found.entry(format!("{verb} killed, then {}", status.as_str().unwrap())).or_default() += 1;
        }
    }

    /// Everything has ended, as it should have.
    fn check(&mut self) {
        let listed = self.cli.json(0, &["intent", "list"]);
        let sent = self.cli.json(0, &["mailbox", "sent"])["messages"].as_array().unwrap().clone();
        for unique in ["id", "messageId", "approval", "file"] {
            let values: HashSet<_> = sent.iter().map(|message| name(&message[unique])).collect();
            assert_eq!(values.len(), sent.len(), "two messages have one {unique}: {sent:#?}");
        }
        for row in listed["intents"].as_array().unwrap() {
            let id = name(&row["id"]);
            assert!(matches!(row["status"].as_str().unwrap(), "done" | "cancelled"), "{row:#}");
            let messages: Vec<_> = sent.iter().filter(|message| message["intent"] == row["id"]).collect();
            match self.checked.get(&id) {
                Some(left) => assert_eq!(messages.len(), *left, "a message left {id} after its end"),
                None => self.check_intent(&id, &messages),
            }
        }
        assert_eq!(
            self.checked.values().sum::<usize>(),
            sent.len(),
            "a message left from nowhere: {sent:#?}"
        );
    }

    fn check_intent(&mut self, id: &str, messages: &[&Value]) {
        let shown = self.cli.json(0, &["intent", "show", id]);
        self.remember(id, &shown);
        let is_done = shown["status"] == "done";
        if is_done {
            assert_whole(&shown);
        }
        let cancelled = self.tried.get(id).is_some_and(|tried| tried.contains(&"cancel"));
        assert!(is_done || cancelled, "nobody cancelled that: {shown:#}");
        let lost = is_done && self.acknowledged.get(id) == Some(&"cancel");
        assert!(!lost, "an acknowledged cancellation is lost: {shown:#}");
        let mut left = 0;
        for approval in shown["approvals"].as_array().unwrap() {
            let verdict = approval["decided"]["verdict"].as_str();
            let decided = name(&approval["id"]);
            if let Some(said) = self.acknowledged.get(&decided) {
                assert_eq!(verdict, Some(*said), "an acknowledged decision is lost: {approval:#}");
            }
            let tried = self.tried.get(&decided).map_or(&[][..], Vec::as_slice);
            assert!(verdict.is_none_or(|verdict| tried.contains(&verdict)), "nobody said that: {approval:#}");
            // A run that was not cancelled sends whatever was approved; one that was may have sent it before.
            let approved = approval["action"].is_object() && verdict == Some("approve");
            let leaves = if is_done { approved } else { approved && approval["used"] == true };
            if approval["action"].is_object() {
                assert_eq!(approval["used"], leaves, "{shown:#}");
            }
            let its: Vec<_> =
                messages.iter().filter(|message| message["approval"] == approval["id"]).collect();
            assert_eq!(its.len(), usize::from(leaves), "{approval:#} {its:#?}");
            for message in its {
                assert_eq!(message["digest"], approval["digest"]);
                for field in ["from", "to", "cc", "bcc", "subject", "body"] {
                    assert_eq!(message[field], approval["action"][field]);
                }
                let letter = self.cli.data().join(message["file"].as_str().unwrap());
                let letter = std::fs::read_to_string(letter).unwrap();
                assert!(letter.contains(message["body"].as_str().unwrap()), "{letter}");
            }
            left += usize::from(leaves);
        }
        assert_eq!(messages.len(), left, "{messages:#?}");
        if let Some(had_left) = self.left.get(id) {
            assert_eq!(left, *had_left, "a message left after its intent was cancelled: {shown:#}");
        }
        self.checked.insert(id.into(), left);
    }

    /// What is left at the very end.
    fn close(self) {
        let files = std::fs::read_dir(self.cli.data().join("sent")).unwrap();
        let letters = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let letters = letters.filter(|file| file.ends_with(".eml")).count();
        assert_eq!(letters, self.checked.values().sum::<usize>(), "a letter that nobody sent");
        // Where the machine has SQLite's own shell, let it look too.
        let database = self.cli.data().join("countersign.db");
        if let Ok(output) = Command::new("sqlite3").arg(database).arg("PRAGMA integrity_check").output() {
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok", "{output:?}");
        }
        eprintln!("{} intents, {letters} messages; {:?}", self.checked.len(), self.found);
    }
}

/// The record of an intent that is done holds the calls its agent makes, given the answers, and no others; the agent
/// heard just these answers; and each ask was answered as was decided.
fn assert_whole(shown: &Value) {
    let report = json!([{ "call": "approval.request" }, { "call": "messages.send", "when": "approved" }]);
    let steps = shown["parameters"].get("steps").unwrap_or(&report).as_array().unwrap();
    let timeline = shown["timeline"].as_array().unwrap();
    let mut transcript = shown["card"]["body"].as_str().map(str::lines);
    let mut approved = None;
    let mut number = 0;
    for step in steps {
        if let Some(when) = step["when"].as_str()
            && approved != Some(when == "approved")
        {
            continue;
        }
        let call = step["call"].as_str().unwrap();
        let line = transcript.as_mut().map(|lines| lines.next().expect("a line for each step"));
        if !JOURNALED.contains(&call) {
            continue;
        }
        let entry = timeline.get(number).unwrap_or_else(|| panic!("{call} is missing: {shown:#}"));
        assert_eq!((&entry["number"], &entry["call"]), (&json!(number), &json!(call)), "{shown:#}");
        if call == "approval.request" {
            approved = entry["answer"]["approved"].as_bool();
            let approvals = shown["approvals"].as_array().unwrap();
            let its = approvals.iter().find(|approval| approval["id"] == entry["answer"]["approvalId"]);
            let its = its.unwrap_or_else(|| panic!("an ask without an approval: {shown:#}"));
            assert_eq!(
                approved,
                its["decided"]["verdict"].as_str().map(|said| said == "approve"),
                "{shown:#}"
            );
            // Look-ahead read what stands behind a yes before it was said, however long that took.
            if let (Some(true), Some(before), Some(behind)) =
                (approved, number.checked_sub(1).map(|before| &timeline[before]), timeline.get(number + 1))
                && before["call"] == "messages.list"
                && before["request"] == behind["request"]
            {
                assert_eq!(before["answer"], behind["answer"], "{shown:#}");
            }
        }
        if let Some(line) = line {
            assert_heard(line, entry);
        }
        number += 1;
    }
    assert_eq!(timeline.len(), number, "calls that the agent does not make: {shown:#}");
}

/// One line of a transcript says what the entry says.
fn assert_heard(line: &str, entry: &Value) {
    let call = entry["call"].as_str().unwrap();
    let answer = &entry["answer"];
    if let Some(refused) = entry["refused"].as_str() {
        let code = refused.split(':').next().unwrap();
        assert!(line.starts_with(&format!("{call} -> {code} ")), "{line} {entry:#}");
        return;
    }
    let heard: Value = line.strip_prefix(&format!("{call} -> ok ")).expect(line).parse().expect(line);
    let recorded = match call {
        "messages.list" => {
            let brief = |mail: &Value| {
                let [id, from, subject] =
                    ["id", "from", "subject"].map(|field| mail[field].as_str().unwrap());
                json!(format!("{id} {from} {subject}"))
            };
            answer.as_array().unwrap().iter().map(brief).collect()
        }
        "messages.send" => json!({ "id": answer["id"], "timestamp": answer["timestamp"] }),
        _ => json!({
            "approved": answer["approved"],
            "approvalId": answer["approvalId"],
            "timestamp": answer["timestamp"],
            "extras": answer["extras"],
        }),
    };
    assert_eq!(heard, recorded);
}

// Scripts

fn list() -> Value {
    json!({ "call": "messages.list", "with": { "limit": 5 } })
}

fn request(title: &str) -> Value {
    let with = json!({ "action": "send_message", "title": title, "description": "Please look at it." });
    json!({ "call": "approval.request", "with": with })
}

fn send(number: u64, what: &str) -> Value {
    let with = json!({
        "to": ["team@company.com"],
        "subject": format!("Number {number}"),
        "body": format!("The {what} message of script {number}."),
    });
    json!({ "call": "messages.send", "with": with, "when": "approved" })
}

/// Nothing but the ask and the send.
fn quick_message(number: u64) -> Value {
    json!([request("Quick"), send(number, "quick")])
}

/// Several reads before and after the ask and the send.
fn one_message(number: u64) -> Value {
    let boss = json!({ "call": "messages.list", "with": { "from": "boss@company.com", "limit": 3 } });
    let (log, clock) = (json!({ "call": "log", "with": { "text": "here" } }), json!({ "call": "clock" }));
    json!([boss, list(), log, clock, request("One"), list(), boss, send(number, "only"), list(), clock])
}

/// Asks again after the first answer, whatever it was.
fn two_messages(number: u64) -> Value {
    let (first, second) = (send(number, "first"), send(number, "second"));
    json!([list(), request("First"), list(), first, list(), request("Second"), list(), second, list()])
}

/// Asks twice before it sends, so that no look-ahead finds the message and the send is put before the person itself.
fn held_message(number: u64) -> Value {
    let mut second = request("Sure");
    second["when"] = json!("approved");
    json!([list(), request("Maybe"), list(), second, send(number, "held"), list()])
}

/// Takes its time before and after it asks, and after it has sent.
fn slow(number: u64) -> Value {
    let wait = json!({ "call": "loop", "with": { "n": TURNS } });
    json!([list(), wait, request("Slow"), wait, send(number, "slow"), wait, wait, wait, list()])
}

// Races

/// A data folder on which two processes meet.
struct Race {
    cli: Cli,
    random: Random,
    agents: Agents,
}

impl Race {
    fn new() -> Race {
        let cli = Cli::new();
        let agents = Agents::install(&cli);
        Race { cli, random: Random::new(seed()), agents }
    }
}

struct Agents {
    report: String,
    script: String,
}

impl Agents {
    fn install(cli: &Cli) -> Agents {
        let report = cli.install("send-report", "messages.send");
        let script = cli.install("guest-script", "messages.read,messages.send");
        Agents { report, script }
    }

    /// An intent that waits, of the quick agent or of the slow one.
    fn ask(&self, cli: &Cli, random: &mut Random) -> Asked {
        // Each about a message of its own: what was declined is not asked about again so soon.
        let number = random.below(u64::MAX);
        let steps = if number.is_multiple_of(2) { quick_message(number) } else { slow(number) };
        let parameters = json!({ "steps": steps }).to_string();
        Asked::of(&cli.json(3, &["run", &self.script, "script", "--params", &parameters]))
    }

    fn report(&self, cli: &Cli) -> Asked {
        Asked::of(&cli.json(3, &["run", &self.report, "send_report"]))
    }
}

/// An intent that waits for a person.
struct Asked {
    intent: String,
    approval: String,
    digest: String,
}

impl Asked {
    fn of(ran: &Value) -> Asked {
        let approval = &ran["approval"];
        assert_eq!(approval["binding"], "exact", "{ran:#}");
        let (intent, digest) = (name(&ran["intent"]), name(&approval["digest"]));
        Asked { intent, approval: name(&approval["id"]), digest }
    }

    fn approve(&self, cli: &Cli, more: &[&str]) -> Ended {
        let arguments = ["--json", "approval", "approve", &self.approval, "--digest", &self.digest];
        cli.run(&[&arguments, more].concat())
    }

    fn decline(&self, cli: &Cli, more: &[&str]) -> Ended {
        cli.run(&[&["--json", "approval", "decline", &self.approval], more].concat())
    }

    fn resume(&self, cli: &Cli) -> Ended {
        cli.run(&["--json", "intent", "resume", &self.intent])
    }

    /// The intent is done, one decision is recorded, and what it says has happened.
    fn assert_decided(&self, cli: &Cli, verdict: &str) {
        let shown = cli.json(0, &["intent", "show", &self.intent]);
        assert_eq!(shown["status"], "done", "{shown:#}");
        assert_eq!(shown["approvals"].as_array().unwrap().len(), 1, "{shown:#}");
        let approval = &shown["approvals"][0];
        assert_eq!(approval["decided"]["verdict"], verdict, "{shown:#}");
        assert_whole(&shown);
        let sent = sent_of(cli, &self.intent);
        let left = usize::from(verdict == "approve");
        assert_eq!((sent.len(), calls(&shown, "messages.send")), (left, left), "{shown:#} {sent:#?}");
        assert!(sent.iter().all(|message| message["digest"] == self.digest.as_str()), "{sent:#?}");
    }
}

/// Does both at the same moment; either may be a little late, so that each is the first sometimes, and sometimes so
/// late that it comes between the other's steps.
fn at_once<A: Send, B: Send>(
    random: &mut Random,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    let barrier = Barrier::new(2);
    let micros = [2_000, 5_000, 50_000][random.below(3) as usize];
    let [late, later] = [0; 2].map(|_| Duration::from_micros(random.below(micros)));
    thread::scope(|scope| {
        let one = scope.spawn(|| {
            barrier.wait();
            thread::sleep(late);
            one()
        });
        barrier.wait();
        thread::sleep(later);
        let other = other();
        (one.join().unwrap(), other)
    })
}

// What all of them need

/// Runs a command with `--json`, and kills it when its life is over. Gives nothing where that came before its end.
pub fn run_for(cli: &Cli, arguments: &[&str], life: Option<Duration>) -> Option<Ended> {
    let mut child = cli.command(&[&["--json"], arguments].concat()).spawn().unwrap();
    if let Some(life) = life {
        thread::sleep(life);
        child.kill().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    (output.status.signal() != Some(9)).then(|| Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

/// How long a command takes that nobody disturbs.
fn usual(cli: &Cli, arguments: &[&str]) -> Duration {
    let (ended, took) = timed(|| run_for(cli, arguments, None).unwrap());
    assert!(matches!(ended.code, 0 | 3), "{ended:#?}");
    took
}

#[allow(
    clippy::disallowed_methods,
    reason = "a process is killed by the clock on the wall, not by a virtual one"
)]
pub fn timed<T>(doing: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    (doing(), began.elapsed())
}

fn assert_refused(ended: &Ended, code: &str, why: &str) {
    assert_eq!(ended.code, 6, "{ended:#?}");
    let error = &ended.json()["error"];
    assert_eq!(error["code"], code, "{ended:#?}");
    assert!(error["message"].as_str().unwrap().contains(why), "{why}: {ended:#?}");
}

fn name(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The one approval an intent waits for.
fn pending(shown: &Value) -> Value {
    let approvals = shown["approvals"].as_array().unwrap();
    let pending: Vec<_> = approvals.iter().filter(|approval| approval["state"] == "pending").collect();
    assert_eq!(pending.len(), 1, "{shown:#}");
    pending[0].clone()
}

/// How often an agent got through with a call.
fn calls(shown: &Value, call: &str) -> usize {
    let timeline = shown["timeline"].as_array().unwrap();
    timeline.iter().filter(|entry| entry["call"] == call && entry["refused"].is_null()).count()
}

fn ids(cli: &Cli) -> Vec<String> {
    let listed = cli.json(0, &["intent", "list"]);
    listed["intents"].as_array().unwrap().iter().map(|row| name(&row["id"])).collect()
}

fn sent_of(cli: &Cli, intent: &str) -> Vec<Value> {
    let sent = cli.json(0, &["mailbox", "sent"]);
    let messages = sent["messages"].as_array().unwrap().iter();
    messages.filter(|message| message["intent"] == intent).cloned().collect()
}

/// How many rounds of killing; a race is run once for every eight of them.
pub fn rounds() -> u64 {
    std::env::var("COUNTERSIGN_CRASH_ROUNDS")
        .map_or(200, |rounds| rounds.parse().expect("a number of rounds"))
}

fn races() -> u64 {
    rounds().div_ceil(8)
}

pub fn seed() -> u64 {
    let seed = match std::env::var("COUNTERSIGN_SEED") {
        Ok(seed) => seed.parse().expect("the seed is a number"),
        Err(_) => RandomState::new().build_hasher().finish(),
    };
    eprintln!("COUNTERSIGN_SEED={seed}");
    seed
}

/// Numbers drawn from a seed (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % end
    }

    /// A moment between the start of something that takes `whole` and a little after its end.
    pub fn part_of(&mut self, whole: Duration) -> Duration {
        whole * self.below(1_250) as u32 / 1_000
    }
}

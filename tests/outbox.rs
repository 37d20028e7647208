//! Mail that leaves by a real server, or by a real program, seen from the command line.

use crate::support::servers::{MailServer, PASSWORD, USER};
use crate::support::{Cli, Ended};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

/// A data folder whose mail leaves by this server, and an agent that can be told what to do.
struct Office {
    cli: Cli,
    agent: String,
    config: PathBuf,
    server: Mutex<MailServer>,
}

impl Office {
    fn open() -> Option<Office> {
        let server = MailServer::start()?;
        let cli = Cli::new();
        let agent = cli.install("guest-script", "messages.send");
        let config = cli.scratch().join("config.toml");
        let text = format!(
            "[users.local]\naddress = \"ada@example.test\"\n[users.local.send]\nby = \"smtp\"\nhost = \"localhost\"\n\
             port = {}\nusername = \"{USER}\"\npassword_file = {:?}\nca_file = {:?}\ntimeout_seconds = 5\n",
            server.port,
            server.password_file(),
            server.ca_file(),
        );
        std::fs::write(&config, text).unwrap();
        Some(Office { cli, agent, config, server: Mutex::new(server) })
    }

    fn server(&self) -> MutexGuard<'_, MailServer> {
        self.server.lock().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let config = ["--json", "--config", self.config.to_str().unwrap()];
        self.cli.run(&[&config, arguments].concat())
    }

    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let ended = self.run(arguments);
        assert_eq!(ended.code, code, "{arguments:?}: {ended:#?}");
        ended.json()
    }

    /// An approval that waits, of a message to these recipients and a hidden one.
    fn ask(&self, number: u32, to: &[&str]) -> (String, String) {
        self.ask_to(number, to, &["hidden@example.test"])
    }

    /// An approval that waits, of a message to these recipients alone.
    fn ask_to(&self, number: u32, to: &[&str], bcc: &[&str]) -> (String, String) {
        let message = json!({"to": to, "bcc": bcc, "subject": format!("Number {number}"),
                             "body": format!("Body {number}\n.\nFrom here on\n..dots")});
        let ask = json!({"action": "send_message", "title": "T", "description": "d"});
        let steps = json!({"steps": [{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}]});
        let run = self.json(3, &["run", &self.agent, "script", "--params", &steps.to_string()]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&run["approval"]["id"]), text(&run["approval"]["digest"]))
    }

    fn approve(&self, (approval, digest): &(String, String)) -> Ended {
        self.run(&["approval", "approve", approval, "--digest", digest])
    }

    /// What the agent heard of its send.
    fn heard(ended: &Ended) -> String {
        let card = ended.json()["card"]["body"].as_str().unwrap().to_owned();
        card.lines().last().unwrap().split(" -> ").nth(1).unwrap().to_owned()
    }

    fn state(&self, approval: &str) -> String {
        self.json(0, &["outbox", "show", approval])["state"].as_str().unwrap().to_owned()
    }

    /// Every message that has left maps to one decision and one delivery on record.
    fn close(self) {
        self.json(0, &["audit", "verify"]);
        let folder = self.cli.data();
        let secret = PASSWORD.as_bytes();
        for file in crate::decisions::walk(&folder) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "a password in {file:?}");
        }
    }
}

#[test]
fn a_signed_message_arrives_at_a_server_as_it_was_signed() {
    let Some(office) = Office::open() else { return };
    let asked = office.ask(1, &["bob@example.test", "carol@example.test"]);
    assert_eq!(office.server().received().len(), 0, "nothing leaves before the yes");
    let done = office.approve(&asked);
    assert_eq!(done.code, 0, "{done:#?}");
    let sent = office.json(0, &["mailbox", "sent"]);
    let file = office.cli.data().join(sent["messages"][0]["file"].as_str().unwrap());
    assert_eq!(office.server().received(), [std::fs::read(file).unwrap()]);
    let envelope = office.server().envelopes()[0].to_string();
    for recipient in ["bob", "carol", "hidden"] {
        assert!(envelope.contains(&format!("{recipient}@example.test")), "{envelope}");
    }
    assert_eq!(office.state(&asked.0), "sent");
    office.close();
}

#[test]
fn a_lost_answer_leaves_a_message_uncertain_until_a_person_says_what_became_of_it() {
    let Some(office) = Office::open() else { return };
    office.server().fault("dot close");
    let asked = office.ask(2, &["bob@example.test"]);
    let ended = office.approve(&asked);
    assert!(Office::heard(&ended).contains(r#"{"outcome":"uncertain"}"#), "{ended:#?}");
    office.server().fault("");
    // Whatever is run, nobody offers it again.
    for (code, again) in
        [(5, &["outbox", "deliver"][..]), (0, &["intent", "list"]), (0, &["outbox", "list", "--open"])]
    {
        office.json(code, again);
    }
    let kept = office.server().received().len();
    assert!(kept <= 1);
    assert_eq!(office.state(&asked.0), "uncertain");

    let resent = office.json(0, &["outbox", "resolve", &asked.0, "--resend"]);
    assert_eq!(resent["state"], "sent");
    let received = office.server().received();
    assert_eq!(received.len(), kept + 1);
    assert!(received.iter().all(|letter| *letter == received[0]), "the same bytes, the same Message-ID");
    let late = office.run(&["outbox", "resolve", &asked.0, "--not-sent"]);
    assert_eq!((late.code, &late.json()["error"]["code"]), (6, &json!("NOT_UNCERTAIN")));
    office.close();
}

#[test]
fn a_refused_recipient_keeps_the_message_from_all_and_is_named() {
    let Some(office) = Office::open() else { return };
    let asked = office.ask(3, &["bob@example.test", "never@example.test"]);
    let ended = office.approve(&asked);
    let heard = Office::heard(&ended);
    assert!(heard.contains(r#"{"outcome":"not_sent","rejected":["never@example.test"]}"#), "{heard}");
    let shown = office.json(0, &["outbox", "show", &asked.0]);
    assert_eq!(shown["state"], "not_sent");
    assert_eq!(shown["rejected"][0]["address"], "never@example.test");
    assert!(shown["rejected"][0]["why"].as_str().unwrap().contains("no such mailbox"), "{shown:#}");
    assert_eq!(office.server().received().len(), 0);
    office.close();
}

#[test]
fn what_passes_by_itself_is_tried_again_and_arrives_once() {
    let Some(office) = Office::open() else { return };
    office.server().fault("mail 451");
    let asked = office.ask(4, &["bob@example.test"]);
    let left = office.json(0, &["approval", "approve", &asked.0, "--digest", &asked.1, "--no-resume"]);
    let intent = left["intent"].as_str().unwrap().to_owned();
    // The server is well again while the command stays for another attempt, whichever that is.
    let resumed = std::thread::scope(|scope| {
        let running = scope.spawn(|| office.run(&["intent", "resume", &intent]));
        while office.run(&["outbox", "show", &asked.0]).json()["state"] != "queued" {
            std::thread::yield_now();
        }
        office.server().fault("");
        running.join().unwrap()
    });
    assert_eq!((resumed.code, &resumed.json()["status"]), (0, &json!("done")), "{resumed:#?}");
    let shown = office.json(0, &["outbox", "show", &asked.0]);
    assert_eq!(shown["state"], "sent");
    assert!(shown["attempts"].as_u64().unwrap() >= 2, "{shown:#}");
    assert_eq!(office.server().received().len(), 1);
    office.close();
}

#[test]
fn a_server_that_greylists_gets_the_message_when_it_takes_it() {
    for (number, fault) in [(5, "rcpt grey"), (6, "dot grey")] {
        let Some(office) = Office::open() else { return };
        office.server().fault(fault);
        let asked = office.ask_to(number, &["bob@example.test"], &[]);
        let done = office.approve(&asked);
        assert_eq!((done.code, &done.json()["status"]), (0, &json!("done")), "{fault}: {done:#?}");
        let shown = office.json(0, &["outbox", "show", &asked.0]);
        assert_eq!((&shown["state"], &shown["attempts"]), (&json!("sent"), &json!(2)), "{fault}");
        let received = office.server().received();
        assert!(received.iter().all(|letter| *letter == received[0]), "the same bytes each time");
        let letter = String::from_utf8(received[0].clone()).unwrap();
        assert!(letter.contains("\r\n=46rom here on\r\n"), "{letter}");
        office.close();
    }
}

#[test]
fn what_is_refused_for_now_waits_on_disk_and_is_offered_at_once_when_a_person_says_so() {
    let Some(office) = Office::open() else { return };
    office.server().fault("dot 451");
    let asked = office.ask_to(7, &["bob@example.test"], &[]);
    let waits = office.approve(&asked);
    assert_eq!((waits.code, &waits.json()["status"]), (3, &json!("sending")), "{waits:#?}");
    let shown = office.json(0, &["outbox", "show", &asked.0]);
    assert_eq!(shown["state"], "queued");
    for time in ["due", "until"] {
        assert!(shown[time].is_string(), "{shown:#}");
    }
    office.server().fault("");
    // Not due yet.
    office.json(3, &["outbox", "deliver"]);
    assert_eq!(office.state(&asked.0), "queued");
    let sent = office.json(0, &["outbox", "resolve", &asked.0, "--resend"]);
    assert_eq!(sent["state"], "sent");
    let intent = office.json(0, &["intent", "show", waits.json()["intent"].as_str().unwrap()]);
    assert_eq!((&intent["status"], &intent["failed"]), (&json!("done"), &Value::Null));
    office.close();
}

#[test]
fn an_intent_whose_message_was_not_sent_has_failed_until_it_is_offered_again_and_taken() {
    let Some(office) = Office::open() else { return };
    office.server().fault("mail 550");
    let asked = office.ask(8, &["bob@example.test"]);
    let ended = office.approve(&asked);
    assert_eq!((ended.code, &ended.json()["failed"]), (5, &json!("not_sent")), "{ended:#?}");
    let intent = ended.json()["intent"].as_str().unwrap().to_owned();
    let config = ["--config", office.config.to_str().unwrap()];
    let drawn = |arguments: &[&str]| office.cli.run(&[&config, arguments].concat()).stdout;
    for arguments in [&["intent", "list"][..], &["intent", "show", &intent]] {
        assert!(drawn(arguments).contains("failed"), "{}", drawn(arguments));
    }
    assert!(
        drawn(&["outbox", "show", &asked.0]).contains("outbox resolve"),
        "{}",
        drawn(&["outbox", "show", &asked.0])
    );
    let told = drawn(&["approval", "show", &asked.0]);
    assert!(told.contains("\nThe message that did not leave:\n"), "{told}");
    assert!(told.contains("\nOutbox   not sent, 1 attempt\n"), "{told}");
    let listed = office.json(0, &["outbox", "list", "--not-sent"]);
    assert_eq!(listed["messages"][0]["id"], json!(asked.0), "{listed:#}");
    let doctor = drawn(&["doctor"]);
    assert!(doctor.contains("warn  outbox: these messages have not left"), "{doctor}");
    let still = office.json(5, &["outbox", "resolve", &asked.0, "--resend"]);
    assert_eq!(still["state"], "not_sent");
    office.server().fault("");
    let sent = office.json(0, &["outbox", "resolve", &asked.0, "--resend"]);
    assert_eq!(sent["state"], "sent");
    assert_eq!(office.server().received().len(), 1);
    assert_eq!(office.json(0, &["intent", "show", &intent])["failed"], Value::Null);
    let late = office.run(&["outbox", "resolve", &asked.0, "--resend"]);
    assert_eq!((late.code, &late.json()["error"]["code"]), (6, &json!("NOT_UNCERTAIN")));
    office.close();
}

#[test]
fn what_was_to_leave_by_a_server_is_not_sent_where_that_is_configured_no_more() {
    let Some(office) = Office::open() else { return };
    office.server().fault("dot 451");
    let asked = office.ask_to(9, &["bob@example.test"], &[]);
    assert_eq!(office.approve(&asked).json()["status"], "sending");
    office.server().fault("");
    let offered = office.server().received().len();
    // Somebody offers it again and has forgotten the file, as after a folder was restored.
    let without = office.cli.run(&["--json", "outbox", "resolve", &asked.0, "--resend"]);
    let shown = office.json(0, &["outbox", "show", &asked.0]);
    assert_eq!(shown["state"], "queued", "{without:#?}");
    let why = shown["why"].as_str().unwrap_or_default();
    assert!(why.contains("local has no way out") && why.contains("users.local.send"), "{shown:#}");
    assert_eq!(office.server().received().len(), offered);
    assert_eq!(office.json(0, &["outbox", "resolve", &asked.0, "--resend"])["state"], "sent");
    assert_eq!(office.server().received().len(), offered + 1);
    office.close();
}

#[test]
fn mail_of_somebody_without_a_way_out_is_kept_and_not_called_sent() {
    let cli = Cli::new();
    let agent = cli.install("guest-script", "messages.send");
    let message = json!({"to": ["bob@example.test"], "subject": "Hello", "body": "World"});
    let ask = json!({"action": "send_message", "title": "T", "description": "d"});
    let steps = json!({"steps": [{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}]});
    let run = cli.json(3, &["run", &agent, "script", "--params", &steps.to_string()]);
    let [approval, digest] = ["id", "digest"].map(|name| run["approval"][name].as_str().unwrap().to_owned());
    let drawn = cli.run(&["approval", "approve", &approval, "--digest", &digest]).stdout;
    assert!(drawn.contains(&format!("\nMessage {approval} is kept here, not sent, since ")), "{drawn}");
    assert_eq!(cli.json(0, &["outbox", "show", &approval])["state"], "kept");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"][0]["kept"], true);
    // Asked again, it is not said to have left; and who has got nothing stays unknown.
    let again = cli.json(3, &["run", &agent, "script", "--params", &steps.to_string()]);
    let told = cli.run(&["approval", "show", again["approval"]["id"].as_str().unwrap()]).stdout;
    assert!(told.contains("is kept here: nobody has got it") && !told.contains("and left at"), "{told}");
    for arguments in
        [&["outbox", "list"][..], &["outbox", "show", &approval], &["approval", "show", &approval]]
    {
        let drawn = cli.run(arguments).stdout;
        assert!(drawn.contains("kept here, not sent"), "{drawn}");
        assert!(!drawn.contains("has left"), "{drawn}");
    }
}

//! A data folder of the version before goes on where it stood: what was signed leaves as it was signed.

use crate::support::{Cli, Ended, workspace};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder, a program that keeps what it is given to send, and the names of the approvals in it.
struct Older {
    cli: Cli,
    config: PathBuf,
    approvals: Value,
}

impl Older {
    fn open() -> Older {
        let fixture = workspace().join("tests/fixtures/version-3");
        let cli = Cli::new();
        std::fs::create_dir(cli.data()).unwrap();
        std::fs::set_permissions(cli.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let database = cli.data().join("countersign.db");
        let unpacked = Command::new("gzip")
            .args(["-dc", fixture.join("countersign.db.gz").to_str().unwrap()])
            .stdout(Stdio::from(std::fs::File::create(&database).unwrap()))
            .status();
        assert!(unpacked.unwrap().success());
        std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o600)).unwrap();

        let left = cli.scratch().join("left");
        std::fs::create_dir(&left).unwrap();
        let program = cli.scratch().join("sendmail");
        std::fs::write(&program, format!("#!/bin/sh\ncat > \"$(mktemp {}/XXXXXX)\"\n", left.display()))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let config = cli.scratch().join("config.toml");
        let text = format!(
            "[users.local]\naddress = \"me@company.example\"\n[users.local.send]\nby = \"command\"\ncommand = [{program:?}, \"-i\"]\n"
        );
        std::fs::write(&config, text).unwrap();
        let approvals = std::fs::read_to_string(fixture.join("approvals.json")).unwrap();
        Older { cli, config, approvals: serde_json::from_str(&approvals).unwrap() }
    }

    fn of(&self, name: &str, field: &str) -> &str {
        self.approvals[name][field].as_str().unwrap_or_else(|| panic!("{name}.{field}"))
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.cli.run(&[&["--json", "--config", self.config.to_str().unwrap()], arguments].concat())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:#?}");
        ended.json()
    }

    /// Has what is due offered, beside messages that are uncertain.
    fn deliver(&self) {
        let ended = self.run(&["outbox", "deliver"]);
        assert_eq!(ended.code, 5, "{ended:#?}");
    }

    /// SHA-256 of each letter that has left, with the line ends of mail.
    fn left(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.cli.scratch().join("left")).unwrap();
        let letters = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        let mut digests: Vec<_> = letters
            .map(|letter| {
                Sha256::digest(letter.replace('\n', "\r\n")).iter().map(|b| format!("{b:02x}")).collect()
            })
            .collect();
        digests.sort_unstable();
        digests
    }

    fn expect_left(&self, names: &[&str]) {
        let mut expected: Vec<_> = names.iter().map(|name| self.of(name, "letter").to_owned()).collect();
        expected.sort_unstable();
        assert_eq!(self.left(), expected, "{names:?}");
    }

    /// Approves what is shown, with the digest that is shown now.
    fn approve(&self, name: &str) -> Ended {
        let shown = self.json(&["approval", "show", self.of(name, "approval")]);
        let digest = shown["digest"].as_str().unwrap();
        self.run(&["approval", "approve", self.of(name, "approval"), "--digest", digest])
    }
}

#[test]
fn what_was_signed_before_the_upgrade_leaves_as_it_was_signed() {
    let older = Older::open();
    let armed = ["armed-text", "armed-undrawable", "armed-strike"];
    for name in armed {
        let done = older.json(&["intent", "resume", older.of(name, "intent")]);
        assert_eq!(done["status"], "done", "{name}: {done:#}");
    }
    older.expect_left(&armed);
    for name in ["queued-text", "queued-undrawable"] {
        older.deliver();
        assert_eq!(older.json(&["outbox", "show", older.of(name, "approval")])["state"], "sent", "{name}");
    }
    older.expect_left(&[&armed[..], &["queued-text", "queued-undrawable"]].concat());
    older.json(&["audit", "verify"]);
}

#[test]
fn what_was_uncertain_before_the_upgrade_stays_so_until_a_person_says_what_became_of_it() {
    let older = Older::open();
    let uncertain = ["uncertain-text", "uncertain-undrawable"];
    older.deliver();
    for name in uncertain {
        assert_eq!(
            older.json(&["outbox", "show", older.of(name, "approval")])["state"],
            "uncertain",
            "{name}"
        );
    }
    let resent = older.json(&["outbox", "resolve", older.of("uncertain-undrawable", "approval"), "--resend"]);
    assert_eq!(resent["state"], "sent", "{resent:#}");
    let known = older.json(&["outbox", "resolve", older.of("uncertain-text", "approval"), "--sent"]);
    assert_eq!(known["state"], "sent", "{known:#}");
    let left = older.left();
    assert!(left.contains(&older.of("uncertain-undrawable", "letter").to_owned()), "{left:?}");
    assert!(!left.contains(&older.of("uncertain-text", "letter").to_owned()), "{left:?}");
    older.json(&["audit", "verify"]);
}

#[test]
fn what_was_decided_before_the_upgrade_is_told_as_it_was() {
    let older = Older::open();
    let sent = older.json(&["mailbox", "sent"]);
    let subjects: Vec<_> =
        sent["messages"].as_array().unwrap().iter().map(|message| &message["subject"]).collect();
    assert_eq!(subjects, ["Sent text"]);
    let states = [("sent-text", "approved"), ("declined-text", "declined"), ("pending-text", "pending")];
    for (name, state) in states {
        let shown = older.json(&["approval", "show", older.of(name, "approval")]);
        assert_eq!(
            (&shown["state"], &shown["digest"]),
            (&json!(state), &json!(older.of(name, "digest"))),
            "{name}"
        );
    }
}

#[test]
fn what_waited_before_the_upgrade_and_is_drawn_alike_by_all_goes_on() {
    let older = Older::open();
    for name in ["pending-text", "pending-html"] {
        let done = older.approve(name);
        assert_eq!((done.code, &done.json()["status"]), (0, &json!("done")), "{name}: {done:#?}");
    }
    assert_eq!(older.left().len(), 2);
    older.json(&["audit", "verify"]);
}

#[test]
fn what_waited_before_the_upgrade_and_readers_may_see_otherwise_has_to_be_asked_again() {
    let older = Older::open();
    let refused = older.approve("pending-undrawable");
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (6, &json!("ASK_AGAIN")), "{refused:#?}");
    let shown = older.json(&["approval", "show", older.of("pending-undrawable", "approval")]);
    let flags = shown["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag["flag"] == "ask_again"), "{shown:#}");
    older.json(&["approval", "decline", older.of("pending-undrawable", "approval")]);
    assert_eq!(older.left(), [""; 0]);
    older.json(&["audit", "verify"]);
}

#[test]
fn what_waited_before_the_upgrade_for_an_address_that_names_a_route_leaves_for_nobody() {
    let older = Older::open();
    let ended = older.approve("pending-route");
    assert_eq!(older.left(), [""; 0], "{ended:#?}");
    assert_ne!(ended.code, 0, "{ended:#?}");
    older.json(&["audit", "verify"]);
}

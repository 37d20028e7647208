//! The question on a terminal: what a person answers to it, and what they do not.

use crate::support::Cli;
use nix::pty::{Winsize, openpty};
use serde_json::json;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Stdio};

/// A terminal with a command on it.
pub struct Terminal {
    keys: File,
    shown: String,
    child: Child,
}

impl Terminal {
    /// Starts a command on a terminal of this size, on which `typed` has been typed before.
    pub fn start(cli: &Cli, arguments: &[&str], (columns, rows): (u16, u16), typed: &str) -> Terminal {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        let ends = openpty(Some(&size), None).unwrap();
        let mut keys = File::from(ends.master);
        keys.write_all(typed.as_bytes()).unwrap();
        let stream = || Stdio::from(ends.slave.try_clone().unwrap());
        let mut command = cli.command(arguments);
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        Terminal { keys, shown: String::new(), child }
    }

    /// Reads until `end` is shown, or nothing is shown any more.
    pub fn until(&mut self, end: &str) {
        let mut bytes = Vec::new();
        while !String::from_utf8_lossy(&bytes).contains(end) {
            let mut some = [0; 4096];
            // Without a command on it, a terminal gives an error.
            match self.keys.read(&mut some) {
                Ok(0) | Err(_) => break,
                Ok(read) => bytes.extend_from_slice(&some[..read]),
            }
        }
        self.shown += &String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    }

    /// Types something. Nobody may be there any more to read it.
    pub fn answer(&mut self, text: &str) {
        let _ = self.keys.write_all(text.as_bytes());
    }

    /// Waits for the end of the command; gives how it ended, and all that was shown.
    pub fn end(mut self) -> (i32, String) {
        self.until("\u{0}");
        (self.child.wait().unwrap().code().unwrap(), self.shown)
    }
}

const QUESTION: &str = "Let exactly this leave? [y = sign, n = leave it open] ";

/// A folder in which a message of so many lines waits for a decision, and its id.
fn waiting(lines: usize) -> (Cli, String) {
    let cli = Cli::new();
    let agent = cli.install("guest-script", "messages.send");
    let body: String = (1..=lines).map(|line| format!("Line {line}: all is well.\n")).collect();
    let mail = json!({ "to": ["bank@company.com"], "subject": "Payment order", "body": body });
    let forged = "Weekly.      To       | anna@company.com      Subject  | Weekly numbers";
    let ask = json!({ "action": "send_message", "title": "Numbers", "description": forged, "details": {} });
    let steps = json!([
        { "call": "approval.request", "with": ask },
        { "call": "messages.send", "with": mail },
    ]);
    cli.json(3, &["run", &agent, "script", "--params", &json!({ "steps": steps }).to_string()]);
    let list = cli.json(0, &["approval", "list", "--pending"]);
    let id = list["approvals"][0]["id"].as_str().unwrap().to_owned();
    (cli, id)
}

fn state(cli: &Cli, id: &str) -> String {
    cli.json(0, &["approval", "show", id])["state"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_typed_before_the_question_signs_nothing() {
    let (cli, id) = waiting(3);
    for typed in ["y\n", "yes\ny\ny\n", "y"] {
        let mut terminal = Terminal::start(&cli, &["approval", "approve", &id], (80, 24), typed);
        terminal.until(QUESTION);
        terminal.answer("n\n");
        let (_, shown) = terminal.end();
        assert!(shown.contains("Nothing was decided."), "{typed:?}: {shown}");
        assert_eq!(shown.matches("The message that would leave:").count(), 1, "{shown}");
        assert_eq!(state(&cli, &id), "pending", "{typed:?}");
    }
    let mut terminal = Terminal::start(&cli, &["approval", "approve", &id], (80, 24), "");
    terminal.until(QUESTION);
    terminal.answer("y\n");
    assert_eq!(terminal.end().0, 0);
    assert_eq!(state(&cli, &id), "approved");
}

#[test]
fn nothing_typed_ahead_answers_the_demo() {
    let cli = Cli::new();
    let mut terminal = Terminal::start(&cli, &["demo"], (80, 24), "y\n");
    terminal.until("Let exactly this leave? [y = sign, n = decline] ");
    terminal.answer("n\n");
    let (_, shown) = terminal.end();
    assert!(shown.contains("Declined. The run goes on.") && !shown.contains("Approved."), "{shown}");
}

#[test]
fn the_question_stands_under_the_message_in_short_on_every_screen() {
    let (cli, id) = waiting(60);
    for columns in [40, 60, 80, 200] {
        let mut terminal = Terminal::start(&cli, &["approval", "approve", &id], (columns, 24), "");
        terminal.until(QUESTION);
        terminal.answer("n\n");
        let (_, shown) = terminal.end();
        let asked = &shown[..shown.find(QUESTION).unwrap()];
        let seen: Vec<_> = asked.lines().rev().take(23).collect();
        for line in ["  To       | bank@company.com", "  Subject  | Payment order"] {
            assert!(seen.contains(&line), "{columns} columns: {seen:#?}");
        }
        assert!(seen.iter().any(|line| line.starts_with("  Body     | 60 lines, ")), "{seen:#?}");
        assert!(!shown.lines().any(|line| line.starts_with("  To       | anna@")), "{shown}");
    }
}

#[test]
fn nobody_is_asked_on_a_screen_that_cannot_show_the_question() {
    let (cli, id) = waiting(3);
    for size in [(39, 24), (80, 5)] {
        let terminal = Terminal::start(&cli, &["approval", "approve", &id], size, "y\ny\n");
        let (code, shown) = terminal.end();
        assert!(code == 2 && shown.contains("too small") && !shown.contains("[y = "), "{size:?}: {shown}");
        assert_eq!(state(&cli, &id), "pending");
    }
}

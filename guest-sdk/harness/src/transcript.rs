//! What came of a scenario, as text a person can read and compare.
//!
//! Ids are numbered in the order they appear, times are given as seconds since the start, and digests are left out: what
//! remains changes only when the behaviour does.

use countersign::approval::outbox::State;
use countersign::approval::{Binding, BodyKind};
use countersign::host::View;
use countersign::intent::Status;
use countersign::journal::{Answer, Entry};
use countersign::refusals::{Error, Result};
use countersign::store::{Outgoing, Sent, Stored};
use serde_json::Value;
use std::fmt::Write as _;

/// How much of a request or an answer is shown.
const EXCERPT_CHARS: usize = 400;
const ID_CHARS: usize = 26;
/// How many lines of the log are shown.
const LOG_LINES: usize = 40;
/// Begins what the engine writes into the log about a crash.
const BACKTRACE: &str = "[countersign] error while executing at wasm backtrace:";

pub struct Transcript {
    out: String,
    start_ms: i64,
    names: Vec<String>,
    shown: usize,
}

impl Transcript {
    pub fn new(start_ms: i64) -> Transcript {
        Transcript { out: String::new(), start_ms, names: Vec::new(), shown: 0 }
    }

    /// A line. Most of what is in it is the agent's, and is shown as it would be to a person.
    pub fn line(&mut self, text: &str) {
        let text = countersign::printable::line(&self.name(text));
        let _ = writeln!(self.out, "{text}");
    }

    fn inner(&mut self, text: &str) {
        self.line(&format!("  {text}"));
    }

    /// How a decision or a cancellation was received.
    pub fn outcome(&mut self, outcome: Result<()>) -> anyhow::Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(Error::Refused(problem)) => {
                self.inner(&format!("refused {} {}", problem.code, problem.message));
                Ok(())
            }
            Err(Error::Fault(error)) => Err(error),
        }
    }

    /// Where the intent stands, with approvals that have not been shown yet.
    pub fn state(&mut self, view: &View) {
        let intent = &view.intent;
        self.line(intent.status.name());
        for stored in view.approvals.iter().skip(self.shown) {
            self.approval(stored);
        }
        self.shown = view.approvals.len();
        if intent.status == Status::Done {
            match &intent.card {
                Some(card) => self.inner(&format!("card {}", ordered(card))),
                None => self.inner("no card"),
            }
        }
        if let Some(reason) = &intent.reason {
            self.inner(&format!("{} {}", reason.code, reason.message));
        }
    }

    /// What a person is shown.
    pub fn approval(&mut self, stored: &Stored) {
        let approval = &stored.approval;
        let binding = match approval.binding {
            Binding::Exact => "exact",
            Binding::Declared => "declared",
            Binding::Hold => "hold",
            Binding::Question => "question",
        };
        self.inner(&format!("{} {binding}", approval.id));
        if let Some(action) = approval.leaving() {
            self.inner(&format!("  from {}", action.from));
            for (name, list) in [("to", &action.to), ("cc", &action.cc), ("bcc", &action.bcc)] {
                if !list.is_empty() {
                    self.inner(&format!("  {name} {}", list.join(", ")));
                }
            }
            self.inner(&format!("  subject {}", action.subject));
            let body = match action.body_kind {
                BodyKind::Text => "body",
                BodyKind::Html => "html",
            };
            self.inner(&format!("  {body} {}", action.body));
        }
        let words = &approval.words;
        self.inner(&format!("  says {}: {}", words.title, words.description));
    }

    pub fn calls(&mut self, entries: &[Entry]) {
        self.line("calls");
        for (number, entry) in entries.iter().enumerate() {
            // Ids are named before anything is cut, so that none is cut in two.
            let request = excerpt(&self.name(&entry.request));
            self.inner(&format!("{number} {} {request}", entry.call));
            let heard = match &entry.answer {
                Answer::Value(json) => excerpt(&self.name(json)),
                Answer::Refused(refusal) => {
                    let details = refusal.details.as_ref().map(ToString::to_string).unwrap_or_default();
                    format!("{} {} {details}", refusal.code, refusal.message)
                }
            };
            self.inner(&format!("  -> {heard}"));
        }
    }

    pub fn sent(&mut self, sent: &[Sent]) {
        self.line(&format!("sent {}", sent.len()));
        for sent in sent.iter().rev() {
            let action = &sent.action;
            let recipients: Vec<_> = action.recipients().collect();
            let (id, recipients) = (&sent.id, recipients.join(", "));
            self.inner(&format!("{id} to {recipients}: {}: {}", action.subject, action.body));
        }
    }

    /// What was signed and has not left.
    pub fn unsent(&mut self, outbox: &[Outgoing]) {
        // What has left, or is kept where there is no way out, is among what was sent.
        let is_told = |message: &&Outgoing| !matches!(message.state, State::Sent | State::Kept);
        for message in outbox.iter().rev().filter(is_told) {
            let attempts = match message.attempts {
                0 => String::new(),
                attempts => format!(" after attempt {attempts}"),
            };
            self.line(&format!("outbox {} {}{attempts}", message.approval, message.state.name()));
        }
    }

    pub fn log(&mut self, log: &str) {
        if log.is_empty() {
            return;
        }
        self.line("log");
        // Where in its code an agent crashed changes with every build of it.
        let mut lines = log.lines().take_while(|line| *line != BACKTRACE);
        for line in lines.by_ref().take(LOG_LINES) {
            self.inner(line);
        }
        match lines.count() {
            0 => {}
            more => self.inner(&format!("… {more} lines more")),
        }
    }

    pub fn text(&self) -> String {
        self.out.clone()
    }

    /// Replaces ids by their number and times by seconds since the start.
    fn name(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, prefix)) = find_id(rest) {
            out += &rest[..at];
            let end = at + prefix.len() + ID_CHARS;
            let id = &rest[at + prefix.len()..end];
            let number = match self.names.iter().position(|name| name == id) {
                Some(number) => number,
                None => {
                    self.names.push(id.to_owned());
                    self.names.len() - 1
                }
            };
            let _ = write!(out, "{prefix}{}", number + 1);
            rest = &rest[end..];
        }
        out += rest;
        self.times(&out)
    }

    fn times(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for (number, piece) in text.split('"').enumerate() {
            if number > 0 {
                out.push('"');
            }
            match countersign::clock::parse(piece) {
                Some(at) if piece.len() > 10 && at >= self.start_ms => {
                    let _ = write!(out, "+{} s", (at - self.start_ms) as f64 / 1000.0);
                }
                _ => out += piece,
            }
        }
        out
    }
}

/// The first id in a text, with its prefix.
fn find_id(text: &str) -> Option<(usize, &'static str)> {
    ["appr_", "msg_", "int_"]
        .into_iter()
        .flat_map(|prefix| text.match_indices(prefix).map(move |(at, _)| (at, prefix)))
        .filter(|(at, prefix)| {
            let id = text.as_bytes().get(at + prefix.len()..at + prefix.len() + ID_CHARS);
            id.is_some_and(|id| id.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        })
        .min()
}

/// A card with its kind and title first and everything else by name: the order is the language's, not the agent's.
fn ordered(card: &Value) -> Value {
    match card {
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, value)| (name.clone(), ordered(value))).collect();
            members.sort_by_key(|(name, _)| (name != "type", name != "title", name.clone()));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(ordered).collect(),
        other => other.clone(),
    }
}

fn excerpt(json: &str) -> String {
    match json.char_indices().nth(EXCERPT_CHARS) {
        Some((at, _)) => format!("{}…", &json[..at]),
        None => json.to_owned(),
    }
}

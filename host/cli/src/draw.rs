//! How things look to people. Every foreign string passes `printable`.

use super::output::{Approval, Ran};
use countersign::approval::body::{self, MARK_CLOSE, MARK_OPEN, Rendered};
use countersign::approval::notices::Weight;
use countersign::approval::{Action, decision::State};
use countersign::intent::Status;
use countersign::people::Role;
use countersign::printable::{DESCRIPTION_CHARS_MAX, TITLE_CHARS_MAX, clings, line, printable, short};
use serde_json::Value;
use std::fmt::Write as _;

/// The message that would leave, what the agent says of it, and what to know before deciding.
pub fn approval(approval: &Approval) -> String {
    let mut out = String::new();
    if let Some(action) = &approval.action {
        let tense = match (approval.state, approval.used) {
            (State::Pending, _) => "that would leave",
            (State::Approved, true) => "that has left",
            (State::Approved, false) => "that may leave",
            _ => "that did not leave",
        };
        let _ = writeln!(out, "The message {tense}:\n");
        out += &message(action);
        out.push('\n');
    }
    let (matter, usual): (Vec<_>, Vec<_>) =
        approval.flags.iter().partition(|notice| notice.weight == Weight::Matters);
    for notice in matter {
        out += &marked("!", &notice.text);
    }
    // What is so of most messages is told in one breath, so that nobody learns to pass over the others.
    if !usual.is_empty() {
        let texts: Vec<_> = usual.iter().map(|notice| notice.text.as_str()).collect();
        out += &marked("also:", &texts.join(" "));
    }
    if !approval.flags.is_empty() {
        out.push('\n');
    }
    let says = &approval.agent_says;
    let _ = writeln!(out, "The agent {} says, in its own words:\n", line(&approval.agent));
    out += &block(&short(&says.title, TITLE_CHARS_MAX));
    if !says.description.is_empty() {
        out += &block(&short(&says.description, DESCRIPTION_CHARS_MAX));
    }
    let _ = writeln!(out, "\nApproval {}, asked {}", line(&approval.id), line(&approval.asked));
    if approval.state == State::Pending {
        let _ = writeln!(out, "Open     until {}", line(&approval.expires));
    }
    let _ = writeln!(out, "Digest   {}", line(&approval.digest));
    match &approval.decided {
        Some(decided) => {
            let (verdict, by, at) = (line(&decided.verdict), line(&decided.by), line(&decided.at));
            let _ = writeln!(out, "Decided  {verdict} by {by} at {at}");
            if let Some(note) = &decided.note {
                let _ = writeln!(out, "Note     {}", line(note));
            }
            if !matches!(approval.state, State::Approved | State::Declined) {
                let _ = writeln!(out, "State    {} since", approval.state.name());
            }
        }
        None => {
            let _ = writeln!(out, "State    {}", approval.state.name());
        }
    }
    out
}

/// A message, drawn from its action alone: of HTML its tree, and where its links lead. What mixes directions is drawn in every order.
pub fn message(action: &Action) -> String {
    let mut out = field("From", &action.from);
    for (name, list) in [("To", &action.to), ("Cc", &action.cc), ("Bcc", &action.bcc)] {
        if !list.is_empty() {
            out += &field(name, &list.join(", "));
        }
    }
    out += &field("Subject", &body::line(&action.subject));
    out.push('\n');
    let Rendered { drawn, links, .. } = Rendered::of(action);
    out += &block(&drawn);
    if !links.is_empty() {
        out.push('\n');
    }
    for (number, link) in links.iter().enumerate() {
        out += &field(&format!("Link {MARK_OPEN}{}{MARK_CLOSE}", number + 1), &link.href);
    }
    out
}

/// How much of a message of the host, which may quote an agent, is shown.
const MESSAGE_CHARS: usize = 300;
/// Where lines of foreign text are broken, marks included: no terminal in use is narrower.
const COLUMNS: usize = 80;
/// How much of that the name of a field takes at most: a body has room for a few thousand links, `Link ⟦1234⟧`.
const NAME_COLUMNS: usize = 12;

/// Foreign text as a block whose every line is marked, so that none can pass for ours. Long lines are broken here rather than
/// by the terminal, which would start the rest of them where our own words start.
pub fn block(text: &str) -> String {
    blocked(text, COLUMNS)
}

fn blocked(text: &str, columns: usize) -> String {
    let text = printable(text).replace('\t', "    ");
    text.split('\n').map(|text| rows("|", text, columns)).collect()
}

/// Foreign text on one line behind a mark of ours, broken like a block.
fn marked(mark: &str, text: &str) -> String {
    rows(mark, &line(text), COLUMNS)
}

/// One line of text that can be printed, on as many rows as it needs. A word that does not fit begins the next one.
fn rows(mark: &str, text: &str, columns: usize) -> String {
    let mut out = format!("  {mark} ");
    let mut column = out.len();
    // Where a word begins in this row, and in which column.
    let mut word = None;
    for c in text.chars() {
        let wide = columns_of(c);
        if column + wide > columns && !clings(c) {
            let (at, begins) = word.take().unwrap_or((out.len(), column));
            out.insert_str(at, "\n  + ");
            column = 4 + column - begins;
        }
        out.push(c);
        column += wide;
        if c == ' ' {
            word = Some((out.len(), column));
        }
    }
    out + "\n"
}

/// At most how many columns of a terminal a character takes. From the Hangul letters on many take two, and terminals do not agree
/// which; a row that is too short deceives nobody.
fn columns_of(c: char) -> usize {
    if c < '\u{1100}' { 1 } else { 2 }
}

/// A field of a message: its name, and its value broken like a block.
fn field(name: &str, value: &str) -> String {
    let block = blocked(value, COLUMNS - NAME_COLUMNS);
    let mut lines = block.lines().map(|line| &line[2..]);
    let mut out = format!("  {name:<8} {}\n", lines.next().unwrap_or_default());
    for line in lines {
        let _ = writeln!(out, "  {:<8} {line}", "");
    }
    out
}

/// How a run stands, and what to do next. Commands begin with `program`.
pub fn ran(ran: &Ran, program: &str) -> String {
    let mut out = String::new();
    let intent = line(&ran.intent);
    match ran.status {
        Status::Waiting => {
            if let Some(asked) = &ran.approval {
                out += &approval(asked);
                let (id, digest) = (line(&asked.id), line(&asked.digest));
                let _ = writeln!(out, "\nIntent {intent} waits for a decision:\n");
                let _ = writeln!(out, "  {program} approval approve {id} --digest {digest}");
                let _ = writeln!(out, "  {program} approval decline {id}");
            }
        }
        Status::Sending => {
            let _ = writeln!(out, "Intent {intent} waits for its message to be handed over:\n");
            let _ = writeln!(out, "  {program} intent resume {intent}");
        }
        Status::Done => match &ran.card {
            Some(shown) => out += &card(shown),
            None => out += "Done.\n",
        },
        Status::Stopped => {
            if let Some(reason) = &ran.reason {
                let message = short(&reason.message, MESSAGE_CHARS);
                let code = line(&reason.code);
                let _ = writeln!(out, "Intent {intent} was stopped: {message} [{code}]");
                let _ = writeln!(out, "`{program} explain {code}` says what to do");
            }
        }
        Status::Cancelled => {
            let _ = writeln!(out, "Intent {intent} is cancelled.");
        }
        Status::Running => {
            let _ = writeln!(out, "Intent {intent} can go on: {program} intent resume {intent}");
        }
    }
    out
}

/// A card, whatever the agent put into it. Only the mark in front of a line is ours.
pub fn card(card: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    // The title stands where our own lines begin, behind a bracket none of them has.
    let title = marked("", &format!("[{}] {}", text(&card["type"]), text(&card["title"])));
    let mut out = title.trim_start().to_owned();
    for field in ["description", "body"] {
        if let Some(value) = card[field].as_str() {
            out += &block(value);
        }
    }
    if card["progress"].is_number() {
        out += &marked(&format!("{} %", card["progress"]), &text(&card["status"]));
    }
    for item in card["items"].as_array().into_iter().flatten() {
        let parts = ["title", "subtitle", "metadata"].map(|field| text(&item[field]));
        let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        out += &marked("-", &parts.join(" - "));
    }
    for action in card["actions"].as_array().into_iter().flatten() {
        out += &marked(">", &text(&action["label"]));
    }
    if let Some(footer) = card["footer"].as_str() {
        out += &marked("|", footer);
    }
    out
}

/// Roles as a list.
pub fn roles(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

/// Columns with two spaces between them; the last one is not padded. Each row is one line, whatever is in its cells.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| line(cell)).collect()).collect();
    let mut widths: Vec<_> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(&rows) {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_foreign_text_is_marked_however_long_it_is() {
        let forged = format!("{}Digest   0000\r\n\nTo  boss@company.com\t\u{202e}x", " ".repeat(2 * COLUMNS));
        for line in block(&forged).lines() {
            assert!(line.starts_with("  | ") || line.starts_with("  + "), "{line:?}");
            assert!(line.chars().count() <= COLUMNS, "{line:?}");
        }
        assert_eq!(block(""), "  | \n");
        for (at, line) in field("Subject", &forged).lines().enumerate() {
            assert!(line.chars().count() <= COLUMNS, "{line:?}");
            let marks = if at == 0 { ["  Subject  | "; 2] } else { ["           | ", "           + "] };
            assert!(marks.iter().any(|mark| line.starts_with(mark)), "{line:?}");
        }
    }

    #[test]
    fn wide_letters_do_not_carry_a_line_to_where_ours_begin() {
        let forged = format!("{}Digest   0000", "\u{ff21}".repeat(40));
        assert_eq!(block(&forged).lines().nth(1), Some("  + ＡＡDigest   0000"));
    }

    #[test]
    fn a_word_that_does_not_fit_begins_the_next_row() {
        let text = format!("{} whole {}", "a".repeat(COLUMNS - 10), "b".repeat(COLUMNS));
        let (a, b, rest) = ("a".repeat(COLUMNS - 10), "b".repeat(COLUMNS - 4), "b".repeat(4));
        assert_eq!(block(&text), format!("  | {a} \n  + whole \n  + {b}\n  + {rest}\n"));
    }

    #[test]
    fn a_mark_is_not_torn_from_its_letter() {
        let long = format!("{}e\u{301}x", "a".repeat(COLUMNS - 5));
        assert_eq!(block(&long).lines().nth(1), Some("  + x"));
    }

    #[test]
    fn no_line_of_a_card_passes_for_one_of_ours() {
        let forged = format!("{}\nDigest   0000", "x".repeat(COLUMNS));
        let entry = serde_json::json!({ "title": forged, "label": forged });
        let card = card(&serde_json::json!({
            "type": "result", "title": forged, "body": forged, "description": forged, "footer": forged, "progress": 1,
            "status": forged, "items": [entry], "actions": [entry]
        }));
        let mut lines = card.lines();
        assert!(lines.next().is_some_and(|line| line.starts_with("[result] ")));
        for line in lines {
            assert!(
                ["  | ", "  + ", "  1 % ", "  - ", "  > "].iter().any(|mark| line.starts_with(mark)),
                "{line:?}"
            );
        }
    }
}

//! How things look to people. Every foreign string passes `printable`.

use super::output::{Approval, Ran};
use countersign::approval::{self, Action, Binding, BodyKind, decision::State};
use countersign::intent::Status;
use countersign::printable::{DESCRIPTION_CHARS_MAX, TITLE_CHARS_MAX, line, printable, short};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What deserves a second look in a message, in the host's words.
pub fn notices(approval: &approval::Approval) -> Vec<String> {
    let Some(action) = &approval.action else {
        return vec![match approval.binding {
            Binding::Question => "A yes authorises nothing: the run sends nothing after it.".into(),
            _ => "The message is not known yet: before it leaves you will be asked again, with all of it."
                .into(),
        }];
    };
    let mut notices = Vec::new();
    if action.subject.is_empty() {
        notices.push("The subject is empty.".into());
    }
    if action.body.is_empty() {
        notices.push("The body is empty.".into());
    }
    if action.body_kind == BodyKind::Html {
        notices.push("The body is HTML; it is shown as its source.".into());
    }
    if !action.bcc.is_empty() {
        notices.push(format!("Hidden from the others (bcc): {}.", count(action.bcc.len(), "recipient")));
    }
    let domain =
        |address: &str| address.rsplit_once('@').map_or(String::new(), |(_, domain)| domain.to_owned());
    let own = domain(&action.from);
    let domains: BTreeSet<_> = action.recipients().map(domain).collect();
    let outside: Vec<_> = domains.iter().filter(|domain| **domain != own).map(String::as_str).collect();
    if !outside.is_empty() {
        notices.push(format!("It goes outside {own}: {}.", short(&outside.join(", "), 200)));
    }
    for encoded in domains.iter().filter(|domain| domain.split('.').any(|label| label.starts_with("xn--"))) {
        notices.push(format!("{} is an international name in its encoded form.", short(encoded, 100)));
    }
    let words = action.subject.split_whitespace().chain(action.body.split_whitespace());
    for word in words.filter(|word| mixes_scripts(word)).take(5) {
        notices.push(format!("Mixes letters that look alike: {}", short(word, 60)));
    }
    let links = links(&action.body);
    if !links.is_empty() {
        let shown: Vec<_> = links.iter().take(HOSTS_MAX).map(|host| short(host, 60)).collect();
        let more = if links.len() > HOSTS_MAX { " and more" } else { "" };
        notices.push(format!("It links to {}{more}.", shown.join(", ")));
    }
    let lines = action.body.lines().count();
    if lines > LINES_NOTICED || action.body.len() > BYTES_NOTICED {
        notices.push(format!(
            "The body is long: {}, {}.",
            count(lines, "line"),
            count(action.body.len(), "byte")
        ));
    }
    if approval.binding == Binding::Declared {
        notices.push("The message was declared by the agent; only exactly it can leave.".into());
    }
    let hidden = |text: &str| line(text) != *text;
    if hidden(&action.subject) || hidden(&action.body.replace(['\n', '\t'], "")) {
        notices.push("Characters that act or hide are shown as \\u{…}.".into());
    }
    notices
}

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
    for notice in &approval.notices {
        let _ = writeln!(out, "  ! {notice}");
    }
    if !approval.notices.is_empty() {
        out.push('\n');
    }
    let says = &approval.agent_says;
    let _ = writeln!(out, "The agent {} says, in its own words:\n", line(&approval.agent));
    out += &block(&short(&says.title, TITLE_CHARS_MAX));
    if !says.description.is_empty() {
        out += &block(&short(&says.description, DESCRIPTION_CHARS_MAX));
    }
    let _ = writeln!(out, "\nApproval {}, asked {}", approval.id, approval.asked);
    if approval.state == State::Pending {
        let _ = writeln!(out, "Open     until {}", approval.expires);
    }
    let _ = writeln!(out, "Digest   {}", approval.digest);
    match &approval.decided {
        Some(decided) => {
            let _ = writeln!(out, "Decided  {} by {} at {}", decided.verdict, line(&decided.by), decided.at);
            if let Some(note) = &decided.note {
                let _ = writeln!(out, "Note     {}", line(note));
            }
        }
        None => {
            let _ = writeln!(out, "State    {}", approval.state.name());
        }
    }
    out
}

/// A message, drawn from its action alone.
pub fn message(action: &Action) -> String {
    let mut out = field("From", &action.from);
    for (name, list) in [("To", &action.to), ("Cc", &action.cc), ("Bcc", &action.bcc)] {
        if !list.is_empty() {
            out += &field(name, &list.join(", "));
        }
    }
    out += &field("Subject", &action.subject);
    out.push('\n');
    out += &block(&action.body);
    out
}

/// How much of what follows a link's scheme is looked at: a host name has at most 253 characters.
const HOST_BYTES_MAX: usize = 256;
/// How many hosts are named.
const HOSTS_MAX: usize = 10;

/// The hosts a text links to by `scheme://` or `www.`, and the domains of its `mailto:`. Takes time and memory in proportion to the
/// text, which is hostile.
fn links(text: &str) -> BTreeSet<String> {
    let lower = text.to_ascii_lowercase();
    let end = |c: char| c.is_whitespace() || "/?#\"'<>)];\\".contains(c);
    let host = |at: usize| {
        // Browsers read `https:///host` as `https://host`.
        let rest = lower[at..].trim_start_matches(['/', '\\']);
        let rest = &rest[..rest.floor_char_boundary(HOST_BYTES_MAX)];
        let host = rest.split(end).next().unwrap_or_default().trim_end_matches(['.', ',']);
        host.rsplit('@').next().unwrap_or_default().to_owned()
    };
    let mut found = BTreeSet::new();
    for scheme in ["://", "mailto:"] {
        for (at, _) in lower.match_indices(scheme) {
            found.insert(host(at + scheme.len()));
            if found.len() > HOSTS_MAX + 1 {
                return found;
            }
        }
    }
    for (at, _) in lower.match_indices("www.") {
        found.insert(host(at));
        if found.len() > HOSTS_MAX + 1 {
            break;
        }
    }
    found.remove("");
    found
}

/// Whether a word mixes Latin letters with Greek or Cyrillic ones, many of which look the same.
fn mixes_scripts(word: &str) -> bool {
    let alike = |c: char| matches!(c, '\u{370}'..='\u{52f}' | '\u{1f00}'..='\u{1fff}');
    word.chars().any(|c| c.is_ascii_alphabetic()) && word.chars().any(alike)
}

/// From how long on a body is said to be long.
const LINES_NOTICED: usize = 40;
const BYTES_NOTICED: usize = 4096;
/// How much of a message of the host, which may quote an agent, is shown.
const MESSAGE_CHARS: usize = 300;
/// Where lines of foreign text are broken.
const BLOCK_CHARS: usize = 76;

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Foreign text as a block whose every line is marked, so that none can pass for ours. Long lines are broken here rather than
/// by the terminal, which would start the rest of them where our own words start.
pub fn block(text: &str) -> String {
    let text = printable(text).replace('\t', "    ");
    let mut out = String::new();
    for text in text.split('\n') {
        let chars: Vec<char> = text.chars().collect();
        let mut mark = '|';
        let mut rest = &chars[..];
        loop {
            let (head, tail) = rest.split_at(rest.len().min(BLOCK_CHARS));
            let _ = writeln!(out, "  {mark} {}", head.iter().collect::<String>());
            if tail.is_empty() {
                break;
            }
            (mark, rest) = ('+', tail);
        }
    }
    out
}

/// A field of a message: its name, and its value broken like a block.
fn field(name: &str, value: &str) -> String {
    let block = block(value);
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
    match ran.status {
        Status::Waiting => {
            if let Some(asked) = &ran.approval {
                out += &approval(asked);
                let _ = writeln!(out, "\nIntent {} waits for a decision:\n", ran.intent);
                let _ = writeln!(out, "  {program} approval approve {} --digest {}", asked.id, asked.digest);
                let _ = writeln!(out, "  {program} approval decline {}", asked.id);
            }
        }
        Status::Sending => {
            let _ = writeln!(out, "Intent {} waits for its message to be handed over:\n", ran.intent);
            let _ = writeln!(out, "  {program} intent resume {}", ran.intent);
        }
        Status::Done => match &ran.card {
            Some(shown) => out += &card(shown),
            None => out += "Done.\n",
        },
        Status::Stopped => {
            if let Some(reason) = &ran.reason {
                let message = short(&reason.message, MESSAGE_CHARS);
                let _ = writeln!(out, "Intent {} was stopped: {message} [{}]", ran.intent, reason.code);
                let _ = writeln!(out, "`{program} explain {}` says what to do", reason.code);
            }
        }
        Status::Cancelled => {
            let _ = writeln!(out, "Intent {} is cancelled.", ran.intent);
        }
        Status::Running => {
            let _ = writeln!(out, "Intent {} can go on: {program} intent resume {0}", ran.intent);
        }
    }
    out
}

/// A card, whatever the agent put into it.
pub fn card(card: &Value) -> String {
    let mut out = String::new();
    let text = |value: &Value| match value {
        Value::String(text) => line(text),
        Value::Null => String::new(),
        other => line(&other.to_string()),
    };
    let kind = text(&card["type"]);
    let _ = writeln!(out, "[{kind}] {}", text(&card["title"]));
    for field in ["description", "body"] {
        if let Some(value) = card[field].as_str() {
            out += &block(value);
        }
    }
    if card["progress"].is_number() {
        let _ = writeln!(out, "  {} % {}", card["progress"], text(&card["status"]));
    }
    for item in card["items"].as_array().into_iter().flatten() {
        let parts = ["title", "subtitle", "metadata"].map(|field| text(&item[field]));
        let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        let _ = writeln!(out, "  - {}", parts.join(" - "));
    }
    for action in card["actions"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  > {}", text(&action["label"]));
    }
    if let Some(footer) = card["footer"].as_str() {
        let _ = writeln!(out, "  {}", line(footer));
    }
    out
}

/// Columns with two spaces between them; the last one is not padded.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<_> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_letters_that_look_alike_are_pointed_out() {
        let text = "see https://Evil.example/?q=1, (www.x.org) and mailto:a@b.c; http://y.z. <a href=\"https:///w.v\">";
        let found: Vec<_> = links(text).into_iter().collect();
        assert_eq!(found, ["b.c", "evil.example", "w.v", "www.x.org", "y.z"]);
        let many = "www.".repeat(1 << 18);
        assert!(links(&many).iter().map(String::len).sum::<usize>() <= (HOSTS_MAX + 2) * HOST_BYTES_MAX);
        assert!(mixes_scripts("Gооgle.com") && !mixes_scripts("Google.com") && !mixes_scripts("Привет"));
    }

    #[test]
    fn every_line_of_foreign_text_is_marked_however_long_it_is() {
        let forged =
            format!("{}Digest   0000\r\n\nTo  boss@company.com\t\u{202e}x", " ".repeat(2 * BLOCK_CHARS));
        for line in block(&forged).lines() {
            assert!(line.starts_with("  | ") || line.starts_with("  + "), "{line:?}");
            assert!(line.chars().count() <= BLOCK_CHARS + 4, "{line:?}");
        }
        assert_eq!(block(""), "  | \n");
        assert!(field("Subject", &forged).lines().skip(1).all(|line| line.starts_with("           ")));
    }
}

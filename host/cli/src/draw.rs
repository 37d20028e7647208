//! How things look to people. Every foreign string passes `printable`.
//!
//! A line that begins in the first column is the host's, and holds nothing foreign. Foreign text stands behind a mark of the host's, and
//! is broken here, for the width of the screen, rather than by the terminal, which would start the rest of a line where our own begin.
//! In a table the first cell of a row is ours; a row that does not fit is told field by field.

use super::output::{Approval, Call, IntentShown, OutboxMessage, Ran};
use super::screen::columns_of;
use countersign::approval::body::{self, MARK_CLOSE, MARK_OPEN, Rendered};
use countersign::approval::gist;
use countersign::approval::notices::{Flag, Weight};
use countersign::approval::{Action, Binding, decision::State, outbox};
use countersign::intent::{Failed, Status, shown};
use countersign::people::Role;
use countersign::printable::{clings, line, printable, short};
use serde_json::Value;
use std::fmt::Write as _;

/// How something is drawn.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// In which column lines are broken.
    pub columns: usize,
    /// What commands begin with.
    pub program: &'a str,
    /// Whether all of what an agent says is shown, or only how it begins.
    pub words: Words,
}

/// How much of an agent's own words is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// A few lines, however much it says.
    Few,
    /// All of them, however many lines they take.
    All,
}

/// How many lines of an agent's title and of its description are shown, however wide the screen.
const TITLE_ROWS: usize = 2;
const DESCRIPTION_ROWS: usize = 3;

/// An approval, from top to bottom as it is read: what the agent says, the message that would leave, what to know before deciding,
/// and, as long as somebody can decide, the message once more in a few lines.
pub fn approval(approval: &Approval, look: Look<'_>) -> String {
    whole(approval, None, look) + &gist(approval, look.columns)
}

/// The question about an approval, and what stands right above it: the message in a few lines, to be seen with the question however
/// long the message is.
pub fn question(approval: &Approval, columns: usize) -> (String, &'static str) {
    let question = match approval.binding {
        Binding::Exact | Binding::Declared => "Let exactly this leave?",
        Binding::Hold => "Let the run go on? You are asked again before a message leaves.",
        Binding::Question => "Answer yes? Nothing leaves by it.",
    };
    (gist(approval, columns), question)
}

/// All of an approval but the few lines at its end, with what became of its message, where it has been signed.
pub fn whole(approval: &Approval, message_of: Option<&OutboxMessage>, look: Look<'_>) -> String {
    let mut out = words(approval, look);
    if let Some(action) = &approval.action {
        let tense = match (approval.state, message_of) {
            (State::Pending, _) => "that would leave",
            (State::Approved, Some(message)) => fate(message),
            (State::Approved, None) if approval.used => "that was signed",
            (State::Approved, None) => "that may leave",
            _ => "that did not leave",
        };
        let _ = writeln!(out, "\nThe message {tense}:\n");
        out += &message(action, look.columns);
    }
    out += &answered(approval, look.columns);
    out.push('\n');
    let (matter, usual): (Vec<_>, Vec<_>) =
        approval.flags.iter().partition(|notice| notice.weight == Weight::Matters);
    for notice in matter {
        out += &marked("!", &notice.text, look.columns);
    }
    // What is so of most messages is told in one breath, so that nobody learns to pass over the others.
    if !usual.is_empty() {
        let texts: Vec<_> = usual.iter().map(|notice| notice.text.as_str()).collect();
        out += &marked("also:", &texts.join(" "), look.columns);
    }
    if !approval.flags.is_empty() {
        out.push('\n');
    }
    out += &particulars(approval, look.columns);
    if let Some(message) = message_of {
        let _ = writeln!(out, "Outbox   {}", standing(message));
        if let Some(why) = &message.why {
            out.push('\n');
            out += &field("Because", &short(why, MESSAGE_CHARS), look.columns);
        }
    }
    out
}

/// What a signed message is called that stands so.
fn fate(message: &OutboxMessage) -> &'static str {
    match message.state {
        outbox::State::Kept => "that is kept here and was not sent",
        outbox::State::Sent => "that has left",
        outbox::State::Uncertain => "that may have left",
        outbox::State::NotSent | outbox::State::Cancelled => "that did not leave",
        outbox::State::Armed | outbox::State::Queued | outbox::State::Attempting => "that is on its way",
    }
}

/// How a signed message stands, on one line of ours.
pub fn standing(message: &OutboxMessage) -> String {
    let attempts = match message.attempts {
        0 => String::new(),
        1 => ", 1 attempt".into(),
        more => format!(", {more} attempts"),
    };
    let when = match (&message.sent, &message.due) {
        (Some(sent), _) if message.state == outbox::State::Kept => format!(", since {}", line(sent)),
        (Some(sent), _) => format!(" at {}", line(sent)),
        (_, Some(due)) => {
            let until = message.until.as_deref().unwrap_or_default();
            format!(", next attempt at {}, given up at {}", line(due), line(until))
        }
        _ => String::new(),
    };
    format!("{}{when}{attempts}", message.standing())
}

/// What became of the message of a run, and what to do about it.
pub fn became(message: &OutboxMessage, look: Look<'_>) -> String {
    let (program, id) = (look.program, line(&message.id));
    let next = match message.state {
        outbox::State::Sent => return format!("Message {id} is {}.\n", standing(message)),
        outbox::State::Queued => format!("`{program} outbox deliver` makes it as soon as it is due"),
        _ => format!("{program} outbox show {id}"),
    };
    format!("Message {id} is {}: {next}\n", standing(message))
}

/// What an agent says of its own accord. Its spaces and line breaks are its own layout, and with them it could draw fields and
/// buttons: of each run of them one space is left.
fn words(approval: &Approval, look: Look<'_>) -> String {
    let says = &approval.agent_says;
    let mut out = "The agent says, in its own words, which decide nothing:\n\n".to_owned();
    let rows_of = |text: &str| rows("  ~ ", "  ~ ", &line(&unspaced(text)), look.columns);
    if look.words == Words::All {
        out += &rows_of(&says.title);
        out += &says.description.split('\n').map(rows_of).collect::<String>();
        let details = serde_json::to_string_pretty(&says.details).unwrap_or_default();
        out += &details.split('\n').map(rows_of).collect::<String>();
        return out;
    }
    let mut left_out = if says.details.is_empty() {
        0
    } else {
        serde_json::to_string(&says.details).unwrap_or_default().chars().count()
    };
    for (text, rows_max) in [(&says.title, TITLE_ROWS), (&says.description, DESCRIPTION_ROWS)] {
        let drawn = rows_of(text);
        for (at, row) in drawn.lines().enumerate() {
            match at < rows_max && !(at == 0 && text.is_empty()) {
                true => out = out + row + "\n",
                false => left_out += row.chars().skip(4).count(),
            }
        }
    }
    if left_out > 0 {
        let (program, id) = (look.program, line(&approval.id));
        let _ =
            writeln!(out, "\n{left_out} characters more of it: {program} approval show {id} --agent-words");
    }
    out
}

/// `text` with one space in place of each run of spaces, tabs and line breaks of any kind, and none at its ends.
fn unspaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many lines of each message that is answered are shown.
const ANSWERED_ROWS: usize = 6;

/// What the message answers, each with how it begins. Its lines have a mark of their own, and of spaces in a field one is left, so that
/// neither draws fields.
fn answered(approval: &Approval, columns: usize) -> String {
    let Some(answered) = &approval.answered else { return String::new() };
    if answered.withheld {
        return "\nWhat it answers is withheld: only its user may read that mailbox.\n".into();
    }
    let mut out = String::new();
    for mail in &answered.messages {
        let _ = writeln!(out, "\nBefore this, its run has read:\n");
        for (name, value) in [("From", &mail.from), ("At", &mail.at), ("Subject", &mail.subject)] {
            out += &rows(&format!("  < {name:<8} "), "  <          ", &line(&unspaced(value)), columns);
        }
        let body = printable(&mail.body).replace('\t', "    ");
        let drawn: String = body.split('\n').map(|text| rows("  : ", "  : ", text, columns)).collect();
        let all = drawn.lines().count();
        for row in drawn.lines().take(ANSWERED_ROWS) {
            out = out + row + "\n";
        }
        if all > ANSWERED_ROWS || mail.goes_on {
            out += "It goes on; --json shows more of it.\n";
        }
    }
    out
}

fn particulars(approval: &Approval, columns: usize) -> String {
    let mut out = field("Agent", &approval.agent, columns);
    let _ = writeln!(out, "\nApproval {}, asked {}", line(&approval.id), line(&approval.asked));
    if approval.state == State::Pending {
        let _ = writeln!(out, "Open     until {}", line(&approval.expires));
    }
    let _ = writeln!(out, "Digest   {}", line(&approval.digest));
    match &approval.decided {
        Some(decided) => {
            let verdict = if decided.verdict == "approve" { "approved" } else { "declined" };
            let _ = writeln!(out, "Decided  {verdict} at {}\n", line(&decided.at));
            out += &field("By", &decided.who, columns);
            if !matches!(approval.state, State::Approved | State::Declined) {
                let _ = writeln!(out, "State    {} since", approval.state.name());
            }
            if let Some(note) = &decided.note {
                out.push('\n');
                out += &field("Note", note, columns);
            }
        }
        None => {
            let _ = writeln!(out, "State    {}", approval.state.name());
        }
    }
    out
}

/// The message in a few lines, while it can be decided: nothing where there is none.
fn gist(approval: &Approval, columns: usize) -> String {
    let Some(gist) = approval.gist().filter(|_| approval.state == State::Pending) else {
        return String::new();
    };
    let as_it_stands = approval.flags.iter().all(|notice| notice.flag != Flag::AskAgain);
    let mut out = format!("\nIn short, this {} leave:\n\n", if as_it_stands { "would" } else { "was to" });
    for (name, address) in &gist.recipients {
        out += &field(name, address, columns);
    }
    if let Some(others) = gist.others() {
        out += &field("and to", &others, columns);
    }
    out += &field("Subject", &gist.subject, columns);
    out += &field("Body", &gist.length(), columns);
    out.push('\n');
    out
}

/// A message, drawn from its action alone: of HTML its tree, and where its links lead. What mixes directions is drawn in every order.
pub fn message(action: &Action, columns: usize) -> String {
    let mut out = field("From", &action.from, columns);
    for (name, list) in [("To", &action.to), ("Cc", &action.cc), ("Bcc", &action.bcc)] {
        if !list.is_empty() {
            out += &field(name, &list.join(", "), columns);
        }
    }
    out += &field("Subject", &body::line(&action.subject), columns);
    out.push('\n');
    let Rendered { drawn, links, .. } = Rendered::of(action);
    out += &block(&drawn, columns);
    if !links.is_empty() {
        out.push('\n');
    }
    for (number, link) in links.iter().enumerate() {
        out += &field(&format!("Link {MARK_OPEN}{}{MARK_CLOSE}", number + 1), &link.href, columns);
    }
    out
}

/// How much of a message of the host, which may quote an agent, is shown.
const MESSAGE_CHARS: usize = 300;
/// How many columns the name of a field takes at most: a body has room for a few thousand links, `Link ⟦1234⟧`.
const NAME_COLUMNS: usize = 12;

/// Foreign text as a block whose every line is marked, so that none can pass for ours.
pub fn block(text: &str, columns: usize) -> String {
    let text = printable(text).replace('\t', "    ");
    text.split('\n').map(|text| rows("  | ", "  + ", text, columns)).collect()
}

/// Foreign text on one line behind a mark of ours, broken like a block.
fn marked(mark: &str, text: &str, columns: usize) -> String {
    rows(&format!("  {mark} "), "  + ", &line(text), columns)
}

/// One line of text that can be printed, on as many rows as it needs, the first behind `first` and the others behind `next`. A word
/// that does not fit begins the next one. What clings to a letter stays with it.
fn rows(first: &str, next: &str, text: &str, columns: usize) -> String {
    let mut out = first.to_owned();
    let mut column = first.len();
    let torn = format!("\n{next}");
    // Where a word begins in this row, and in which column.
    let mut word = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut wide = columns_of(letter);
        let begins = out.len();
        out.push(letter);
        while let Some(clinging) = letters.next_if(|c| clings(*c)) {
            wide += columns_of(clinging);
            out.push(clinging);
        }
        if column + wide > columns {
            let (at, before) = word.take().unwrap_or((begins, column));
            out.insert_str(at, &torn);
            column = next.len() + column - before;
            // Moved down, a word that began early in its row may still be too long by this letter.
            if column + wide > columns {
                out.insert_str(begins + torn.len(), &torn);
                column = next.len();
            }
        }
        column += wide;
        if letter == ' ' {
            word = Some((out.len(), column));
        }
    }
    out + "\n"
}

/// A field of a message: its name, and its value broken like a block.
fn field(name: &str, value: &str, columns: usize) -> String {
    let block = block(value, columns - NAME_COLUMNS);
    let mut lines = block.lines().map(|line| &line[2..]);
    let mut out = format!("  {name:<8} {}\n", lines.next().unwrap_or_default());
    for line in lines {
        let _ = writeln!(out, "  {:<8} {line}", "");
    }
    out
}

/// How a run stands, and what to do next.
pub fn ran(ran: &Ran, look: Look<'_>) -> String {
    let program = look.program;
    let mut out = String::new();
    let intent = line(&ran.intent);
    match ran.status {
        Status::Waiting => {
            if let Some(asked) = &ran.approval {
                out += &approval(asked, look);
                let (id, digest) = (line(&asked.id), line(&asked.digest));
                let _ = writeln!(out, "\nIntent {intent} waits for a decision:\n");
                let _ = writeln!(out, "  {program} approval approve {id} --digest {digest}");
                let _ = writeln!(out, "  {program} approval decline {id}");
            }
        }
        Status::Sending => {
            let _ = writeln!(out, "Intent {intent} waits for its message to be handed over:\n");
            let _ = writeln!(out, "  {program} outbox deliver");
        }
        Status::Blocked => {
            let _ = writeln!(
                out,
                "Intent {intent} stands in line: as many approvals of its agent wait as may. It asks when one of them is decided:\n"
            );
            let _ = writeln!(out, "  {program} approval list --pending");
        }
        Status::Done => match &ran.card {
            Some(shown) => out += &card(shown, look.columns),
            None => out += "Done.\n",
        },
        Status::Stopped => {
            if let Some(reason) = &ran.reason {
                let code = line(&reason.code);
                let _ = writeln!(out, "Intent {intent} was stopped [{code}]:\n");
                out += &marked("!", &short(&reason.message, MESSAGE_CHARS), look.columns);
                let _ = writeln!(out, "\n`{program} explain {code}` says what to do");
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
pub fn card(card: &Value, columns: usize) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    // The title stands where our own lines begin, behind a bracket none of them has.
    let title = marked("", &format!("[{}] {}", text(&card["type"]), text(&card["title"])), columns);
    let mut out = title.trim_start().to_owned();
    for field in ["description", "body"] {
        if let Some(value) = card[field].as_str() {
            out += &block(value, columns);
        }
    }
    if card["progress"].is_number() {
        out += &marked(&format!("{} %", card["progress"]), &text(&card["status"]), columns);
    }
    for item in card["items"].as_array().into_iter().flatten() {
        let parts = ["title", "subtitle", "metadata"].map(|field| text(&item[field]));
        let parts: Vec<_> = parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        out += &marked("-", &parts.join(" - "), columns);
    }
    for action in card["actions"].as_array().into_iter().flatten() {
        out += &marked(">", &text(&action["label"]), columns);
    }
    if let Some(footer) = card["footer"].as_str() {
        out += &marked("|", footer, columns);
    }
    out
}

/// Who a message goes to, for a row of a list: some of them, those that deserve a look first, and how many there are beside them.
pub fn recipients(action: &Action, is_new: &dyn Fn(&str) -> bool) -> String {
    let (named, others) = gist::recipients(action, is_new);
    let named = named.iter().map(|(field, address)| match *field {
        "To" => address.clone(),
        field => format!("{field} {address}"),
    });
    let named = named.collect::<Vec<_>>().join(", ");
    if others > 0 { format!("{named} and {others} more") } else { named }
}

/// How many there are of something.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Roles as a list.
pub fn roles(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

/// Columns with two spaces between them. Each row is one line, whatever is in its cells, where all of them fit on the screen; else as many
/// columns stand in line as fit, and what is in the others follows below its row, each cell behind its name.
pub fn table(head: &[&str], rows: &[Vec<String>], columns: usize) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| line(cell)).collect()).collect();
    let all = || rows.iter().map(Vec::as_slice);
    let widest = |at: usize, width: fn(&str) -> usize| {
        all().filter_map(|row| row.get(at)).map(|cell| width(cell)).max().unwrap_or(0).max(head[at].len())
    };
    // What is broken is measured as any terminal may draw it; what is padded as most of them do.
    let mut room = columns;
    let in_line = (0..head.len())
        .take_while(|at| {
            let taken = widest(*at, width_max) + if *at == 0 { 0 } else { 2 };
            let fits = taken <= room;
            room = room.saturating_sub(taken);
            fits
        })
        .count();
    let widths: Vec<_> = (0..in_line).map(|at| widest(at, width_usual)).collect();
    let padded = |cells: &mut dyn Iterator<Item = &str>| {
        let cell = |(cell, width): (&str, &usize)| {
            cell.to_owned() + &" ".repeat(width.saturating_sub(width_usual(cell)))
        };
        let cells: Vec<_> = cells.zip(&widths).map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut out = padded(&mut head.iter().copied());
    for row in &rows {
        if in_line > 0 {
            out += &padded(&mut row.iter().map(String::as_str));
        }
        for (name, cell) in head.iter().zip(row).skip(in_line) {
            if !cell.is_empty() {
                out += &field(name, cell, columns);
            }
        }
    }
    out
}

/// How many columns a line takes at most, on any terminal.
fn width_max(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// How many columns a line takes on most terminals: ideographs and emoji are two wide, and what clings to a letter takes none.
fn width_usual(text: &str) -> usize {
    let wide = |c| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}')
            || matches!(c, '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..)
    };
    text.chars().map(|c| if clings(c) { 0 } else { 1 + usize::from(wide(c)) }).sum()
}

/// A name of ours at the beginning of a line, and foreign text behind a mark, broken like a block.
pub fn told(name: &str, text: &str, columns: usize) -> String {
    rows(&format!("{name:<10}| "), "          + ", &line(text), columns)
}

/// How much of a request or an answer the timeline shows, of parameters, and of the note of a person.
const EXCERPT_CHARS: usize = 100;
const PARAMETERS_CHARS: usize = 500;
const NOTE_CHARS: usize = 200;

/// The command that would have admitted a call. What a server calls so and is another command is not handed on.
pub fn cure(call: &Call) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_ ".contains(c);
    call.cure()?
        .strip_prefix("countersign ")
        .filter(|it| it.strip_prefix("agent grant ").is_some_and(|what| what.chars().all(plain)))
}

/// The calls of a run, each with what was asked and what the agent heard.
pub fn timeline(calls: &[Call], look: Look<'_>) -> String {
    let mut out = String::new();
    for call in calls {
        let heard = match &call.refused {
            Some(refused) => short(refused, EXCERPT_CHARS),
            None if call.withheld => "left out: it is of a mailbox that is not yours".into(),
            None => short(&call.answer.to_string(), EXCERPT_CHARS),
        };
        let asked = short(&call.request.to_string(), EXCERPT_CHARS);
        let named = format!("  {:>3}  {}  {}", call.number, line(&call.at), line(&call.call));
        out = out + named.trim_end() + "\n";
        out += &rows("       | ", "       + ", &asked, look.columns);
        out += &rows("       -> ", "       +  ", &heard, look.columns);
        if let Some(grant) = cure(call) {
            let _ = writeln!(out, "       to grant it: {} {grant}", look.program);
        }
    }
    out
}

/// An intent: how it stands, its timeline, what a person was asked, its card, its log.
pub fn intent(it: &IntentShown, look: Look<'_>) -> String {
    let Look { columns, program, .. } = look;
    let mut out = String::new();
    let id = line(&it.id);
    let mut status = shown(it.status, it.failed).to_owned();
    if let Some(why) = it.failed {
        status += match why {
            Failed::Stopped => "",
            Failed::ErrorCard => ": the agent answered with an error",
            Failed::NotSent => ": a message of it has not been sent",
            Failed::Uncertain => ": nobody knows whether a message of it has been sent",
        };
    }
    status += &match it.status {
        Status::Running if !it.live => format!(", interrupted: {program} intent resume {id}"),
        Status::Blocked => {
            format!(": it asks when an approval of its agent is decided: {program} approval list --pending")
        }
        Status::Sending => format!(": its message is offered again: {program} outbox list --open"),
        _ => String::new(),
    };
    let _ = writeln!(out, "Intent    {id}");
    out += &told("Asked", &format!("{} of {}", it.action, it.agent), columns);
    let parameters = serde_json::to_string(&it.parameters).unwrap_or_default();
    out += &told("With", &short(&parameters, PARAMETERS_CHARS), columns);
    let _ = writeln!(out, "Status    {status}");
    let _ = writeln!(out, "Submitted {}, last change {}", line(&it.submitted), line(&it.updated));
    if let Some(retried) = &it.retry_of {
        let _ = writeln!(out, "Retry of  {}", line(retried));
    }
    if !it.timeline.is_empty() {
        out += "\nTimeline\n";
    }
    out += &timeline(&it.timeline, look);
    for approval in &it.approvals {
        let (id, asked) = (line(&approval.id), line(&approval.asked));
        let _ = write!(out, "\nApproval  {id}, asked {asked}, {}", approval.state.name());
        match &approval.decided {
            Some(decided) => {
                // What has become of it since is its state, and was another's doing.
                let said = match approval.state {
                    State::Approved | State::Declined => "",
                    _ if decided.verdict == "approve" => ", approved",
                    _ => ", declined",
                };
                let _ = writeln!(out, "{said} at {}", line(&decided.at));
                out += &told("      by", &decided.who, columns);
                if let Some(note) = &decided.note {
                    out += &told("    note", &short(note, NOTE_CHARS), columns);
                }
            }
            None => out.push('\n'),
        }
        if approval.used {
            out += "          and used\n";
        }
        if approval.state == State::Pending {
            let _ = writeln!(out, "          {program} approval show {id}");
        }
    }
    if let Some(shown) = &it.card {
        out += "\n";
        out += &card(shown, columns);
    }
    if let Some(reason) = &it.reason {
        let code = line(&reason.code);
        out.push('\n');
        out += &told("Stopped", &format!("{} [{code}]", short(&reason.message, MESSAGE_CHARS)), columns);
        if let Some(hint) = &reason.hint {
            out += &told("", hint, columns);
        }
    }
    if !it.log.is_empty() {
        out += "\nLog\n";
        out += &block(it.log.trim_end(), columns);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::screen::COLUMNS;
    use super::*;

    #[test]
    fn every_line_of_foreign_text_is_marked_however_long_it_is() {
        for columns in [40, 60, 80, 200] {
            let forged =
                format!("{}Digest   0000\r\n\nTo  boss@company.com\t\u{202e}x", " ".repeat(2 * columns));
            for line in block(&forged, columns).lines() {
                assert!(line.starts_with("  | ") || line.starts_with("  + "), "{line:?}");
                assert!(line.chars().count() <= columns, "{line:?}");
            }
            for (at, line) in field("Subject", &forged, columns).lines().enumerate() {
                assert!(line.chars().count() <= columns, "{line:?}");
                let marks = if at == 0 { ["  Subject  | "; 2] } else { ["           | ", "           + "] };
                assert!(marks.iter().any(|mark| line.starts_with(mark)), "{line:?}");
            }
        }
        assert_eq!(block("", COLUMNS), "  | \n");
    }

    #[test]
    fn wide_letters_do_not_carry_a_line_to_where_ours_begin() {
        let forged = format!("{}Digest   0000", "\u{ff21}".repeat(40));
        assert_eq!(block(&forged, 80).lines().nth(1), Some("  + ＡＡDigest   0000"));
        // Two columns wide on some terminals, and one on others.
        let forged = format!("{}Digest   0000", "я".repeat(40));
        assert_eq!(block(&forged, 80).lines().nth(1), Some("  + яяDigest   0000"));
    }

    #[test]
    fn a_word_that_does_not_fit_begins_the_next_row() {
        let text = format!("{} whole {}", "a".repeat(COLUMNS - 10), "b".repeat(COLUMNS));
        let (a, b, rest) = ("a".repeat(COLUMNS - 10), "b".repeat(COLUMNS - 4), "b".repeat(4));
        assert_eq!(block(&text, COLUMNS), format!("  | {a} \n  + whole \n  + {b}\n  + {rest}\n"));
    }

    #[test]
    fn a_word_that_is_moved_down_and_is_still_too_long_is_torn() {
        let text = format!(" {}❤\u{fe0f}", "a".repeat(COLUMNS - 6));
        assert_eq!(block(&text, COLUMNS), format!("  |  \n  + {}\n  + ❤\u{fe0f}\n", "a".repeat(COLUMNS - 6)));
    }

    #[test]
    fn a_mark_is_not_torn_from_its_letter() {
        let long = format!("{}e\u{301}x", "a".repeat(COLUMNS - 5));
        assert_eq!(block(&long, COLUMNS).lines().nth(1), Some("  + e\u{301}x"));
    }

    #[test]
    fn no_line_of_a_card_passes_for_one_of_ours() {
        let forged = format!("{}\nDigest   0000", "x".repeat(COLUMNS));
        let entry = serde_json::json!({ "title": forged, "label": forged });
        let card = card(
            &serde_json::json!({
                "type": "result", "title": forged, "body": forged, "description": forged, "footer": forged, "progress": 1,
                "status": forged, "items": [entry], "actions": [entry]
            }),
            COLUMNS,
        );
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

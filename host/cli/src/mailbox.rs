//! `countersign mailbox`: import mail, list it, list what has left.

use super::output::{self, Exit};
use super::screen::Screen;
use super::{Session, draw};
use clap::Subcommand;
use countersign::approval::names::{short_list, short_name};
use countersign::clock;
use countersign::printable::{line, short};
use countersign::refusals::{Code, Problem, Result};
use countersign::tools::messages::Query;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Mailbox {
    /// Import an mbox file, a Maildir or a folder of messages
    Import { path: PathBuf },
    /// List incoming mail, newest first
    List {
        /// Only from this address
        #[arg(long, value_name = "ADDRESS")]
        from: Option<String>,
        /// Only later than this: RFC 3339, or a date
        #[arg(long, value_name = "TIME")]
        after: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only those behind the message of this id, as the list before ends with one
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
    /// Show one incoming message
    Show { id: String },
    /// List what has left or is kept here, newest first
    Sent {
        /// How many at most
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Only those behind the message of this id, as the list before ends with one
        #[arg(long, value_name = "ID")]
        before: Option<String>,
    },
}

impl Mailbox {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Mailbox::Import { path } => {
                let host = session.host().await?;
                let bar = ProgressBar::new(0);
                let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {eta} left");
                bar.set_style(style.expect("a constant"));
                let progress = |done: usize, total: usize| {
                    bar.set_length(total as u64);
                    bar.set_position(done as u64);
                };
                let imported = host.import(session.owner(), &path, progress).await?;
                bar.finish_and_clear();
                let broken = imported.broken.into_iter();
                let imported = output::Imported {
                    read: imported.read,
                    added: imported.added,
                    known: imported.known,
                    not_incoming: imported.not_incoming,
                    broken: broken.map(|(name, reason)| output::Broken { name, reason }).collect(),
                };
                session.answer(&imported, |it| {
                    let mut out = format!(
                        "{} read: {} new, {} known already, {} broken\n",
                        draw::count(it.read as u64, "message", "messages"),
                        it.added,
                        it.known,
                        it.broken.len()
                    );
                    if it.not_incoming > 0 {
                        let _ = writeln!(
                            out,
                            "  {} left out, which did not come in: sent, drafts, junk, thrown away",
                            it.not_incoming
                        );
                    }
                    for broken in &it.broken {
                        let _ = writeln!(out, "  {}: {}", line(&broken.name), line(&broken.reason));
                    }
                    out
                })?;
            }
            Mailbox::List { from, after, limit, before } => {
                let door = session.door().await?;
                let after_ms = match after {
                    None => None,
                    Some(after) => Some(clock::parse(&after).ok_or_else(|| {
                        Problem::new(
                            Code::Usage,
                            "--after: RFC 3339 or a date such as 2024-03-15 is expected",
                        )
                    })?),
                };
                let list = door.mail(&Query { from, after_ms, before, limit }).await?;
                super::say_next(list.next.as_deref());
                session.answer(&list, |list| {
                    let row = |m: &output::Message| {
                        let unread = if m.unread { "*" } else { " " };
                        // The address first: a name is whatever its writer wants it to be.
                        let name = m.extras.names.get(&m.from).map(|name| format!(" ({})", short(name, 24)));
                        let from = format!("{}{}", short_name(&m.from, 40), name.unwrap_or_default());
                        let files = match m.extras.attachments.len() {
                            0 => String::new(),
                            count => count.to_string(),
                        };
                        vec![unread.into(), m.timestamp.clone(), from, files, short(&m.subject, 60)]
                    };
                    let rows: Vec<_> = list.messages.iter().map(row).collect();
                    draw::table(&[" ", "TIME", "FROM", "FILES", "SUBJECT"], &rows, Screen::here().columns())
                })?;
            }
            Mailbox::Show { id } => {
                session.answer(&session.door().await?.message(&id).await?, show)?;
            }
            Mailbox::Sent { limit, before } => {
                let list = session.door().await?.sent(before.as_deref(), limit).await?;
                super::say_next(list.next.as_deref());
                session.answer(&list, |list| {
                    let row = |m: &output::SentMessage| {
                        let state = if m.kept { "kept here" } else { "sent" };
                        let (time, subject) = (m.timestamp.clone(), short(&m.subject, 40));
                        vec![time, state.into(), recipients(m), subject, m.file.clone()]
                    };
                    let rows: Vec<_> = list.messages.iter().map(row).collect();
                    draw::table(&["TIME", "STATE", "TO", "SUBJECT", "FILE"], &rows, Screen::here().columns())
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

/// A message that came in, every word of it its sender's.
fn show(message: &output::Message) -> String {
    let columns = Screen::here().columns();
    let mut out = format!("Message   {}, of {}\n", line(&message.id), line(&message.timestamp));
    let extras = &message.extras;
    let list = |list: &[String]| list.join(", ");
    let files = extras.attachments.iter().map(|file| match &file.name {
        Some(name) => format!("{name} ({})", file.kind),
        None => file.kind.clone(),
    });
    let name = extras.names.get(&message.from).cloned().unwrap_or_default();
    let fields = [
        ("From", message.from.clone()),
        ("Named", name),
        ("To", list(&message.to)),
        ("Cc", list(&extras.cc)),
        ("Answers to", list(&extras.reply_to)),
        ("Subject", message.subject.clone()),
        ("Files", files.collect::<Vec<_>>().join(", ")),
    ];
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        out += &draw::told(name, value, columns);
    }
    out.push('\n');
    out += &draw::block(&message.body, columns);
    if message.truncated {
        out += "It goes on.\n";
    }
    out
}

/// Who a message went to. Those the others do not see come first.
fn recipients(message: &output::SentMessage) -> String {
    let named = |field: &'static str, list: &[String]| {
        list.iter().map(|address| format!("{field}{address}")).collect::<Vec<_>>()
    };
    let all = [named("Bcc ", &message.bcc), named("Cc ", &message.cc), named("", &message.to)].concat();
    short_list(&all.iter().map(String::as_str).collect::<Vec<_>>(), 40)
}

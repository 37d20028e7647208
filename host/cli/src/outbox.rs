//! `countersign outbox`: signed messages on their way, and those of which nobody knows whether they have left.

use super::output::{Exit, OutboxMessage};
use super::screen::Screen;
use super::{Session, draw};
use clap::{Args, Subcommand};
use countersign::approval::body::as_written;
use countersign::approval::names::short_list;
use countersign::approval::outbox::{Resolution, State};
use countersign::printable::{line, short};
use countersign::refusals::Result;
use std::fmt::Write as _;

#[derive(Subcommand)]
pub enum Outbox {
    /// List signed messages, newest first
    List {
        /// Only those that are on their way or uncertain
        #[arg(long)]
        open: bool,
    },
    /// Show a message, and what became of it; its id is that of its approval
    Show { id: String },
    /// Make the attempts that are due, and pick up the runs that waited for them
    Deliver,
    /// Say what is to become of a message that is uncertain, or offer one again that has not left
    Resolve {
        /// Id of the approval that armed it
        id: String,
        #[command(flatten)]
        how: How,
    },
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct How {
    /// It has arrived
    #[arg(long)]
    sent: bool,
    /// It has not arrived, and shall not
    #[arg(long)]
    not_sent: bool,
    /// Offer the same bytes once more, now; what is uncertain may arrive twice
    #[arg(long)]
    resend: bool,
}

impl Outbox {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let door = session.door().await?;
        match self {
            Outbox::List { open } => {
                let list = door.outbox(open).await?;
                super::say_if_cut(list.messages.len());
                session.answer(&list, |list| {
                    let rows: Vec<_> = list.messages.iter().map(row).collect();
                    draw::table(&["MESSAGE", "STATE", "SIGNED", "TO", "SUBJECT"], &rows)
                })?;
            }
            Outbox::Show { id } => {
                session.answer(&door.outgoing(&id).await?, |it| show(it, session))?;
            }
            Outbox::Deliver => {
                session.answer(&door.deliver().await?, |list| {
                    if list.messages.is_empty() {
                        return "Nothing is on its way, and nothing is uncertain.\n".into();
                    }
                    let rows: Vec<_> = list.messages.iter().map(row).collect();
                    draw::table(&["MESSAGE", "STATE", "SIGNED", "TO", "SUBJECT"], &rows)
                })?;
            }
            Outbox::Resolve { id, how } => {
                let resolution = match (how.sent, how.not_sent) {
                    (true, _) => Resolution::Sent,
                    (_, true) => Resolution::NotSent,
                    _ => Resolution::Resend,
                };
                let message = door.resolve(&id, resolution).await?;
                session.answer(&message, |it| show(it, session))?;
                if let Some(head) = &message.audit_head {
                    super::audit::say_head(head);
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn row(message: &OutboxMessage) -> Vec<String> {
    vec![
        message.id.clone(),
        state_word(message),
        message.signed.clone(),
        short_list(&message.action.to.iter().map(String::as_str).collect::<Vec<_>>(), 40),
        as_written(&short(&message.action.subject, 40)),
    ]
}

fn show(message: &OutboxMessage, session: &Session) -> String {
    let program = session.program();
    let mut out = String::new();
    let _ = writeln!(out, "Message    {}", line(&message.id));
    let _ = writeln!(out, "Intent     {}", line(&message.intent));
    let _ = writeln!(out, "Message-ID {}", line(&message.message_id));
    let _ = writeln!(out, "Signed     {}", line(&message.signed));
    let _ = writeln!(out, "State      {}", state(message));
    if message.state == State::Kept {
        let _ = writeln!(
            out,
            "Because    {} has no way out for mail: `users.NAME.send` in the configuration",
            line(&message.action.user)
        );
    }
    if let Some(why) = &message.why {
        let _ = writeln!(out, "Because    {}", short(why, 300));
    }
    for rejected in &message.rejected {
        let _ = writeln!(out, "Refused    {}: {}", line(&rejected.address), short(&rejected.why, 200));
    }
    out.push('\n');
    out += &draw::message(&message.action, Screen::here().columns());
    if message.state == State::Uncertain {
        let id = line(&message.id);
        let _ = writeln!(
            out,
            "\nIt may have left. Look for its Message-ID where it should have arrived, then one of:\n"
        );
        let _ = writeln!(out, "  {program} outbox resolve {id} --sent       it has arrived");
        let _ = writeln!(out, "  {program} outbox resolve {id} --not-sent   it has not, and shall not");
        let _ =
            writeln!(out, "  {program} outbox resolve {id} --resend     offer it again; it may arrive twice");
    }
    if let Some(expires) = &message.expires {
        let id = line(&message.id);
        let _ =
            writeln!(out, "\nIt has not left. Until {}, this offers the same bytes again:\n", line(expires));
        let _ = writeln!(out, "  {program} outbox resolve {id} --resend");
    }
    out
}

fn state(message: &OutboxMessage) -> String {
    let attempts = match message.attempts {
        0 => String::new(),
        1 => ", 1 attempt".into(),
        more => format!(", {more} attempts"),
    };
    let when = match (&message.sent, &message.due) {
        (Some(sent), _) => format!(" at {}", line(sent)),
        (_, Some(due)) => {
            let until = message.until.as_deref().unwrap_or_default();
            format!(", next attempt at {}, given up at {}", line(due), line(until))
        }
        _ => String::new(),
    };
    format!("{}{when}{attempts}", state_word(message).replace('_', " "))
}

/// The state as written in scripts, but that what is kept here is not called sent.
fn state_word(message: &OutboxMessage) -> String {
    if message.state == State::Kept { message.standing().into() } else { message.state.name().into() }
}

//! `countersign outbox`: signed messages on their way, and those of which nobody knows whether they have left.

use super::output::{Exit, OutboxMessage};
use super::screen::Screen;
use super::{Part, Session, draw};
use clap::{Args, Subcommand};
use countersign::approval::body::as_written;
use countersign::approval::outbox::{Resolution, State};
use countersign::printable::{line, short};
use countersign::refusals::Result;
use std::fmt::Write as _;

/// How much of what a mail server said is shown.
const WHY_CHARS: usize = 300;

#[derive(Subcommand)]
pub enum Outbox {
    /// List signed messages, newest first
    List {
        /// Only those that are on their way or uncertain
        #[arg(long)]
        open: bool,
        /// Only those that have not left, and can be offered again
        #[arg(long, conflicts_with_all = ["open", "before"])]
        not_sent: bool,
        #[command(flatten)]
        part: Part,
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
            Outbox::List { open, not_sent, part } => {
                let list = match not_sent {
                    true => door.not_sent(part.limit).await?,
                    false => door.outbox(open, part.page()).await?,
                };
                super::say_next(list.next.as_deref());
                session.answer(&list, |list| table(&list.messages))?;
            }
            Outbox::Show { id } => {
                session.answer(&door.outgoing(&id).await?, |it| show(it, session))?;
            }
            Outbox::Deliver => {
                let list = door.deliver().await?;
                session.answer(&list, |list| {
                    if list.messages.is_empty() {
                        return "Nothing is on its way, and nothing is uncertain.\n".into();
                    }
                    table(&list.messages)
                })?;
                return Ok(Exit::of_messages(&list.messages));
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
                // That it shall not leave is what was asked for.
                if let Resolution::Resend = resolution {
                    return Ok(Exit::of_messages(&[message]));
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn table(messages: &[OutboxMessage]) -> String {
    let rows: Vec<_> = messages.iter().map(row).collect();
    draw::table(&["MESSAGE", "STATE", "SIGNED", "TO", "SUBJECT"], &rows, Screen::here().columns())
}

fn row(message: &OutboxMessage) -> Vec<String> {
    vec![
        message.id.clone(),
        state_word(message),
        message.signed.clone(),
        draw::recipients(&message.action, &|_| false),
        as_written(&short(&message.action.subject, 40)),
    ]
}

fn show(message: &OutboxMessage, session: &Session) -> String {
    let program = session.program();
    let columns = Screen::here().columns();
    let mut out = String::new();
    let _ = writeln!(out, "Message    {}", line(&message.id));
    let _ = writeln!(out, "Intent     {}", line(&message.intent));
    let _ = writeln!(out, "Message-ID {}", line(&message.message_id));
    let _ = writeln!(out, "Signed     {}", line(&message.signed));
    let _ = writeln!(out, "State      {}", draw::standing(message));
    if message.state == State::Kept {
        let user = line(&message.action.user);
        let why = format!("{user} has no way out for mail: `users.NAME.send` in the configuration");
        out += &draw::told("Because", &why, columns);
    }
    if let Some(why) = &message.why {
        out += &draw::told("Because", &short(why, WHY_CHARS), columns);
    }
    for rejected in &message.rejected {
        let why = format!("{}: {}", line(&rejected.address), short(&rejected.why, WHY_CHARS));
        out += &draw::told("Refused", &why, columns);
    }
    out.push('\n');
    out += &draw::message(&message.action, columns);
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

/// The state as written in scripts, but that what is kept here is not called sent.
fn state_word(message: &OutboxMessage) -> String {
    if message.state == State::Kept { message.standing().into() } else { message.state.name().into() }
}

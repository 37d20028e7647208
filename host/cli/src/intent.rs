//! `countersign intent`: look at intents, pick them up, retry or cancel them.

use super::door::Door;
use super::output::{self, Exit, IntentRow, Ran};
use super::screen::Screen;
use super::{Part, Session, draw, say};
use clap::Subcommand;
use countersign::approval::outbox;
use countersign::clock::{self, Millis};
use countersign::host::principal;
use countersign::intent::{Failed, Status, shown};
use countersign::printable::line;
use countersign::refusals::Result;
use countersign::store::{Only, Page};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// How long a command waits, all in all, for further attempts to hand a message over: the second is due a second after the first, the
/// third 30 seconds after that, and the clock of a server is another.
const PATIENCE: Duration = Duration::from_secs(35);

#[derive(Subcommand)]
pub enum Intent {
    /// List intents, newest first
    List {
        /// Those that stand so: running, waiting, sending, blocked, done, stopped or cancelled; for failed, see --failed
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        /// Those of this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// Those that have failed: stopped, with an error for an answer, or with a message that has not left or may not have
        #[arg(long)]
        failed: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Show an intent: state, timeline, card, log
    Show { id: String },
    /// Pick up a run that was interrupted, or whose decision was made with --no-resume
    Resume { id: String },
    /// Submit a new intent with the same parameters
    Retry { id: String },
    /// Cancel an intent: nothing it was approved for leaves
    Cancel { id: String },
    /// Delete intents that have ended, with their journals and messages; the audit stays
    Purge {
        /// How long ago they ended: `30d`, `48h`; at least 24 hours
        #[arg(long, value_name = "AGE", value_parser = age)]
        older_than: Millis,
    },
}

fn status(text: &str) -> std::result::Result<Status, String> {
    serde_json::from_value(text.into()).map_err(|_| "no intent can stand so: see --help".into())
}

/// Days or hours, in milliseconds.
fn age(text: &str) -> std::result::Result<Millis, String> {
    const HOUR_MS: Millis = 60 * 60 * 1000;
    let hours = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => days.parse::<u16>().ok().map(|days| Millis::from(days) * 24),
        (_, Some(hours)) => hours.parse::<u16>().ok().map(Millis::from),
        _ => None,
    };
    hours
        .map(|hours| hours * HOUR_MS)
        .ok_or_else(|| "a number of days or hours is expected, as in 30d".into())
}

impl Intent {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        if let Intent::Purge { older_than } = self {
            return purge(session, older_than).await;
        }
        let door = session.door().await?;
        let ran = match self {
            Intent::List { status, agent, failed, part } => {
                let only = Only { status, agent: agent.as_deref(), failed };
                let list = door.intents(only, part.page()).await?;
                super::say_next(list.next.as_deref());
                session.answer(&list, |list| {
                    let row = |intent: &IntentRow| {
                        let status = shown(intent.status, intent.failed).to_owned();
                        vec![
                            intent.id.clone(),
                            status,
                            line(&intent.agent),
                            line(&intent.action),
                            intent.updated.clone(),
                        ]
                    };
                    let rows: Vec<_> = list.intents.iter().map(row).collect();
                    draw::table(
                        &["INTENT", "STATUS", "AGENT", "ACTION", "UPDATED"],
                        &rows,
                        Screen::here().columns(),
                    )
                })?;
                return Ok(Exit::Done);
            }
            Intent::Show { id } => {
                let program = session.program();
                session.answer(&door.intent(&id).await?, |it| draw::intent(it, session.look(&program)))?;
                return Ok(Exit::Done);
            }
            Intent::Cancel { id } => {
                session.answer(&door.cancel(&id).await?, |it| {
                    format!("Intent {} is cancelled.\n", line(&it.id))
                })?;
                return Ok(Exit::Done);
            }
            Intent::Purge { .. } => unreachable!("it is for a folder alone"),
            Intent::Resume { id } => {
                let ran = stay(&door, door.resume(&id).await?).await?;
                return finish(session, &door, &ran, Tell::Messages).await;
            }
            Intent::Retry { id } => door.retry(&id).await?,
        };
        finish(session, &door, &ran, Tell::Wrong).await
    }
}

async fn purge(session: &Session, older_than: Millis) -> Result<Exit> {
    let host = session.host().await?;
    let purged = host.purge(session.owner().tenant, older_than, &principal()).await?;
    let messages = purged.letters.len();
    let purged = output::Purged { intents: purged.intents, messages, kept: purged.kept };
    session.answer(&purged, |it| {
        let (intents, messages) = (
            draw::count(it.intents as u64, "intent is", "intents are"),
            draw::count(it.messages as u64, "message", "messages"),
        );
        let mut out = format!("{intents} gone, and {messages} with them.\n");
        if it.kept > 0 {
            let _ = writeln!(
                out,
                "{} not: messages of theirs are on their way or uncertain, see `{} outbox list --open`",
                draw::count(it.kept as u64, "is", "are"),
                session.program()
            );
        }
        out
    })?;
    Ok(Exit::Done)
}

/// Stays for the attempts of its message that come soon.
pub async fn stay(door: &Door, mut ran: Ran) -> Result<Ran> {
    let mut patience = PATIENCE;
    while ran.status == Status::Sending {
        let open = door.outbox(true, Page::default()).await?.messages.into_iter();
        let queued = open.filter(|it| it.intent == ran.intent && it.state == outbox::State::Queued);
        let due = queued.filter_map(|it| clock::parse(it.due.as_deref()?)).min();
        let Some(due_ms) = due else { break };
        let wait = door.until(due_ms);
        let Some(left) = patience.checked_sub(wait) else { break };
        patience = left;
        say(&format!(
            "The message has not been taken yet; it is offered again in {} s.",
            wait.as_secs().max(1)
        ));
        tokio::time::sleep(wait + Duration::from_millis(1)).await;
        ran = Ran { audit_head: ran.audit_head, ..door.look_again(&ran.intent).await? };
    }
    Ok(ran)
}

/// How many messages of a run are told of behind it, the latest.
const MESSAGES_TOLD: usize = 3;

/// What is told behind how a run stands.
#[derive(Clone, Copy)]
pub enum Tell<'a> {
    /// Only what went wrong.
    Wrong,
    /// What became of its messages.
    Messages,
    /// What became of the message of this approval.
    Message(&'a str),
}

/// Prints how a run stands, what became of its messages, and how to grant what it was denied.
pub async fn finish(session: &Session, door: &Door, ran: &Ran, tell: Tell<'_>) -> Result<Exit> {
    let program = session.program();
    // Whoever is to decide sees what the message answers as well.
    let asked = match &ran.approval {
        Some(asked) if asked.answered.is_none() => Some(door.approval(&asked.id).await?),
        asked => asked.clone(),
    };
    let is_open = |failed| matches!(failed, Some(Failed::NotSent | Failed::Uncertain));
    let tells = matches!(tell, Tell::Messages) && ran.status != Status::Waiting;
    let is_wrong = ran.status == Status::Sending || ran.failed.is_some_and(|it| it != Failed::Stopped);
    let intent = match tells || is_wrong {
        true => Some(door.intent(&ran.intent).await?),
        false => None,
    };
    let ids = match (tell, &intent) {
        (Tell::Message(id), _) => vec![id],
        (_, Some(intent)) if tells || is_open(ran.failed) || ran.status == Status::Sending => {
            let used = intent.approvals.iter().rev().filter(|approval| approval.used);
            used.map(|approval| approval.id.as_str()).take(MESSAGES_TOLD).collect()
        }
        _ => vec![],
    };
    let mut messages = Vec::new();
    for id in ids {
        // Where none was signed there is nothing to tell, and the run itself stands as it is printed.
        messages.extend(door.outgoing(id).await.ok());
    }
    let shown = Ran { approval: asked, ..ran.clone() };
    session.answer(&shown, |ran| {
        let look = session.look(&program);
        let became: String = messages.iter().map(|message| draw::became(message, look)).collect();
        let between = if became.is_empty() { "" } else { "\n" };
        draw::ran(ran, look) + between + &became
    })?;
    if is_open(ran.failed) {
        let what = match ran.failed {
            Some(Failed::Uncertain) => "nobody knows whether its message was sent",
            _ => "its message was not sent",
        };
        let open = |it: &&output::OutboxMessage| {
            matches!(it.state, outbox::State::NotSent | outbox::State::Uncertain)
        };
        let look = match messages.iter().find(open) {
            Some(message) => format!("show {}", line(&message.id)),
            None => "list".into(),
        };
        say(&format!("warning: intent {} has failed, {what}: {program} outbox {look}", line(&ran.intent)));
    }
    if let (Some(Failed::ErrorCard), Some(intent)) = (ran.failed, &intent) {
        let grants: BTreeSet<_> = intent.timeline.iter().filter_map(draw::cure).collect();
        for grant in grants {
            say(&format!("hint: the agent was denied a capability; to grant it: {program} {grant}"));
        }
    }
    Ok(Exit::of(ran))
}

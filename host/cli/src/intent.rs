//! `countersign intent`: look at intents, pick them up, retry or cancel them.

use super::door::Door;
use super::output::{self, Exit, IntentRow, IntentShown, Ran};
use super::screen::Screen;
use super::{Session, draw, say};
use clap::Subcommand;
use countersign::approval::decision::State;
use countersign::approval::outbox;
use countersign::clock::{self, Millis};
use countersign::host::principal;
use countersign::intent::{Failed, Status, shown};
use countersign::printable::{line, short};
use countersign::refusals::Result;
use countersign::store::Only;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

/// How much of a request or an answer a line of the timeline shows.
const EXCERPT_CHARS: usize = 100;
/// How long a command waits, all in all, for further attempts to hand a message over.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub enum Intent {
    /// List intents, newest first
    List {
        /// Those that stand so: running, waiting, sending, blocked, done, stopped or cancelled
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        /// Those of this agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// Those that have failed: stopped, with an error for an answer, or with a message that has not left or may not have
        #[arg(long)]
        failed: bool,
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
            Intent::List { status, agent, failed } => {
                let list = door.intents(Only { status, agent: agent.as_deref(), failed }).await?;
                super::say_if_cut(list.intents.len());
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
                    draw::table(&["INTENT", "STATUS", "AGENT", "ACTION", "UPDATED"], &rows)
                })?;
                return Ok(Exit::Done);
            }
            Intent::Show { id } => {
                session.answer(&door.intent(&id).await?, |it| show(it, session))?;
                return Ok(Exit::Done);
            }
            Intent::Cancel { id } => {
                session.answer(&door.cancel(&id).await?, |it| {
                    format!("Intent {} is cancelled.\n", line(&it.id))
                })?;
                return Ok(Exit::Done);
            }
            Intent::Purge { .. } => unreachable!("it is for a folder alone"),
            Intent::Resume { id } => stay(&door, door.resume(&id).await?).await?,
            Intent::Retry { id } => door.retry(&id).await?,
        };
        finish(session, &door, &ran).await
    }
}

async fn purge(session: &Session, older_than: Millis) -> Result<Exit> {
    let host = session.host().await?;
    let purged = host.purge(session.owner().tenant, older_than, &principal()).await?;
    let messages = purged.letters.len();
    let purged = output::Purged { intents: purged.intents, messages, kept: purged.kept };
    session.answer(&purged, |it| {
        let mut out = format!("{} intents are gone, and {} messages with them.\n", it.intents, it.messages);
        if it.kept > 0 {
            let _ = writeln!(
                out,
                "{} stay: messages of theirs are on their way or uncertain, see `{} outbox list --open`",
                it.kept,
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
        let open = door.outbox(true).await?.messages.into_iter();
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

/// Prints how a run stands, and tells the operator how to grant what it was denied.
pub async fn finish(session: &Session, door: &Door, ran: &Ran) -> Result<Exit> {
    let program = session.program();
    // Whoever is to decide sees what the message answers as well.
    let asked = match &ran.approval {
        Some(asked) if asked.answered.is_none() => Some(door.approval(&asked.id).await?),
        asked => asked.clone(),
    };
    let shown = Ran { approval: asked, ..ran.clone() };
    session.answer(&shown, |ran| draw::ran(ran, session.look(&program)))?;
    if matches!(ran.failed, Some(Failed::NotSent | Failed::Uncertain)) {
        let what = "a message of it has not been sent, or may not have been";
        say(&format!("warning: intent {} is done, but {what}: {program} outbox list", line(&ran.intent)));
    }
    if ran.failed == Some(Failed::ErrorCard) {
        let timeline = door.intent(&ran.intent).await?.timeline;
        let grants: BTreeSet<_> = timeline.iter().filter_map(cure).collect();
        for grant in grants {
            let grant = session.command(grant);
            say(&format!("hint: the agent was denied a capability; to grant it: {grant}"));
        }
    }
    Ok(Exit::of(ran))
}

/// The command that would have admitted a call. What a server calls so and is another command is not handed on.
fn cure(call: &output::Call) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_ ".contains(c);
    call.cure().filter(|command| {
        command.strip_prefix("countersign agent grant ").is_some_and(|what| what.chars().all(plain))
    })
}

/// The calls of a run, two lines each.
pub fn timeline(calls: &[output::Call], session: &Session) -> String {
    let mut out = String::new();
    for call in calls {
        let heard = match &call.refused {
            Some(refused) => short(refused, EXCERPT_CHARS),
            None if call.withheld => "left out: it is of a mailbox that is not yours".into(),
            None => short(&call.answer.to_string(), EXCERPT_CHARS),
        };
        let asked = short(&call.request.to_string(), EXCERPT_CHARS);
        let _ = writeln!(
            out,
            "  {:>3}  {}  {} {asked}\n       -> {heard}",
            call.number,
            line(&call.at),
            line(&call.call)
        );
        if let Some(grant) = cure(call) {
            let _ = writeln!(out, "       to grant it: {}", session.command(grant));
        }
    }
    out
}

fn show(it: &IntentShown, session: &Session) -> String {
    let program = session.program();
    let columns = Screen::here().columns();
    let mut out = String::new();
    let mut status = shown(it.status, it.failed).to_owned();
    if let Some(why) = it.failed {
        status += match why {
            Failed::Stopped => "",
            Failed::ErrorCard => ": the agent answered with an error",
            Failed::NotSent => ": a message of it has not been sent",
            Failed::Uncertain => ": nobody knows whether a message of it has been sent",
        };
    }
    if it.status == Status::Running && !it.live {
        let _ = write!(status, ", interrupted: {program} intent resume {}", line(&it.id));
    }
    let _ = writeln!(out, "Intent    {}", line(&it.id));
    let _ = writeln!(out, "Asked     {} of {}", line(&it.action), line(&it.agent));
    let parameters = serde_json::to_string(&it.parameters).unwrap_or_default();
    let _ = writeln!(out, "With      {}", short(&parameters, 500));
    let _ = writeln!(out, "Status    {status}");
    let _ = writeln!(out, "Submitted {}, last change {}", line(&it.submitted), line(&it.updated));
    if let Some(retried) = &it.retry_of {
        let _ = writeln!(out, "Retry of  {}", line(retried));
    }
    if !it.timeline.is_empty() {
        out += "\nTimeline\n";
    }
    out += &timeline(&it.timeline, session);
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
                let _ = writeln!(out, "{said} by {} at {}", line(&decided.who), line(&decided.at));
                if let Some(note) = &decided.note {
                    let _ = writeln!(out, "          note: {}", short(note, 200));
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
    if let Some(card) = &it.card {
        out += "\n";
        out += &draw::card(card, columns);
    }
    if let Some(reason) = &it.reason {
        let _ = writeln!(out, "\nStopped   {} [{}]", line(&reason.message), line(&reason.code));
        let _ = writeln!(out, "          {}", line(reason.hint.as_deref().unwrap_or_default()));
    }
    if !it.log.is_empty() {
        out += "\nLog\n";
        out += &draw::block(it.log.trim_end(), columns);
    }
    out
}

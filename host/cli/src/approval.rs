//! `countersign approval`: look at what agents ask for, and decide.

use super::output::{self, Exit};
use super::{Session, draw, say};
use clap::Subcommand;
use countersign::approval::{Verdict, decision::State};
use countersign::digest::Digest;
use countersign::host::{Host, principal};
use countersign::printable::{line, short};
use countersign::refusals::{Code, Problem, Result};
use std::io::{IsTerminal as _, Write as _};

#[derive(Subcommand)]
pub enum Approval {
    /// List approvals, newest first
    List {
        /// Only those that wait for a decision
        #[arg(long)]
        pending: bool,
    },
    /// Show the message that would leave
    Show { id: String },
    /// Let exactly this message leave
    Approve {
        id: String,
        /// Digest of what was shown; needed away from a terminal
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
        /// Leave the run where it is; `intent resume` picks it up
        #[arg(long)]
        no_resume: bool,
    },
    /// Let nothing leave
    Decline {
        id: String,
        /// A note for the record; the agent does not see it
        #[arg(long)]
        note: Option<String>,
        /// Leave the run where it is; `intent resume` picks it up
        #[arg(long)]
        no_resume: bool,
    },
}

impl Approval {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let user = session.user();
        let host = session.host().await?;
        match self {
            Approval::List { pending } => {
                let approvals = host.approvals(user, pending)?;
                let approvals = approvals.iter().map(|it| output::Approval::of(it, &|_| true)).collect();
                session.answer(&output::Approvals { approvals }, |list| {
                    let rows: Vec<_> = list.approvals.iter().map(row).collect();
                    draw::table(&["APPROVAL", "STATE", "AGENT", "TO", "SUBJECT"], &rows)
                })?;
                Ok(Exit::Done)
            }
            Approval::Show { id } => {
                let approval = output::Approval::of(&host.approval(user, &id)?, &|_| true);
                session.answer(&approval, draw::approval)?;
                Ok(Exit::Done)
            }
            Approval::Approve { id, digest, no_resume } => {
                let shown = match digest {
                    Some(digest) => Digest::parse(&digest).ok_or_else(|| {
                        Problem::new(Code::Usage, "--digest: 64 hexadecimal digits are expected")
                    })?,
                    None => match ask(session, &host, &id)? {
                        Some(shown) => shown,
                        None => {
                            say(&format!(
                                "Nothing was decided. To let nothing leave: {} approval decline {id}",
                                session.program()
                            ));
                            let view = host.show(user, &host.approval(user, &id)?.intent)?;
                            return super::intent::finish(session, &host, &view);
                        }
                    },
                };
                decide(session, &host, &id, Verdict::Approve, shown, None, no_resume).await
            }
            Approval::Decline { id, note, no_resume } => {
                // Declining is safe whatever was shown: nothing leaves.
                let shown = host.approval(user, &id)?.approval.digest;
                decide(session, &host, &id, Verdict::Decline, shown, note, no_resume).await
            }
        }
    }
}

async fn decide(
    session: &Session,
    host: &Host,
    id: &str,
    verdict: Verdict,
    shown: Digest,
    note: Option<String>,
    no_resume: bool,
) -> Result<Exit> {
    let user = session.user();
    host.decide(user, id, verdict, shown, &principal(), note).await?;
    let intent = host.approval(user, id)?.intent;
    let view = match no_resume {
        true => host.show(user, &intent)?,
        false => host.resume(user, &intent).await?,
    };
    let exit = super::intent::finish(session, host, &view)?;
    Ok(if no_resume { Exit::Done } else { exit })
}

/// Draws the action on the terminal and asks. Gives the digest of what was drawn, or nothing on no.
fn ask(session: &Session, host: &Host, id: &str) -> Result<Option<Digest>> {
    let stored = host.approval(session.user(), id)?;
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Problem::new(Code::DigestRequired, "approving away from a terminal needs --digest")
            .hint(format!("`countersign approval show {id}` shows what would leave, and its digest"))
            .into());
    }
    let shown = stored.approval.digest;
    if stored.approval.state != State::Pending {
        // Nothing to ask: the refusal says who decided.
        return Ok(Some(shown));
    }
    say(&draw::approval(&output::Approval::of(&stored, &|_| true)));
    Ok(answer("Let exactly this leave?")?.filter(|yes| *yes).map(|_| shown))
}

/// Asks a question on the terminal. Gives nothing where the answer is neither a clear yes nor a clear no.
pub fn answer(question: &str) -> Result<Option<bool>> {
    let mut answer = String::new();
    let mut terminal = std::io::stderr().lock();
    let asked = write!(terminal, "{question} [y/n] ").and_then(|()| terminal.flush());
    asked.and_then(|()| std::io::stdin().read_line(&mut answer)).map_err(anyhow::Error::from)?;
    Ok(match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    })
}

fn row(approval: &output::Approval) -> Vec<String> {
    let (to, subject) = match &approval.action {
        Some(action) => (action.to.join(", "), action.subject.clone()),
        None => ("-".into(), approval.agent_says.title.clone()),
    };
    vec![
        approval.id.clone(),
        approval.state.name().into(),
        line(&approval.agent),
        short(&to, 40),
        short(&subject, 40),
    ]
}

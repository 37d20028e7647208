//! `countersign approval`: look at what agents ask for, and decide.

use super::door::Door;
use super::draw::{Look, Words};
use super::intent::Tell;
use super::output::{self, Exit, Ran};
use super::screen::{self, Screen};
use super::{Part, Session, draw, say};
use clap::Subcommand;
use countersign::approval::body::as_written;
use countersign::approval::notices::Flag;
use countersign::approval::{Verdict, decision::State};
use countersign::digest::Digest;
use countersign::host::Edit;
use countersign::printable::{line, short};
use countersign::refusals::{Code, Problem, Result};
use countersign::store::Page;
use countersign::tools::messages::rules::BODY_BYTES_MAX;
use std::io::{IsTerminal as _, Read};
use std::path::{Path, PathBuf};

#[derive(Subcommand)]
pub enum Approval {
    /// List approvals, newest first
    List {
        /// Only those that wait for a decision
        #[arg(long)]
        pending: bool,
        #[command(flatten)]
        part: Part,
    },
    /// Show the message that would leave
    Show {
        id: String,
        /// All of what the agent says of it, not only how it begins
        #[arg(long)]
        agent_words: bool,
    },
    /// Let exactly this message leave
    Approve {
        /// Id of the approval
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
        /// Id of the approval
        id: String,
        /// A note for the record; the agent does not see it
        #[arg(long)]
        note: Option<String>,
        /// Leave the run where it is; `intent resume` picks it up
        #[arg(long)]
        no_resume: bool,
    },
    /// Change what would leave; it is shown again, and must be approved as changed
    Edit {
        /// Id of the approval
        id: String,
        /// Another subject
        #[arg(long, value_name = "S")]
        subject: Option<String>,
        /// Another body, from this file; `-` is standard input
        #[arg(long, value_name = "F")]
        body_file: Option<PathBuf>,
        /// A recipient it shall not go to; can be given more than once
        #[arg(long, value_name = "A")]
        remove_recipient: Vec<String>,
        /// Digest of what was shown: where it has changed meanwhile, nothing is edited
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
    },
    /// Take a yes back, until its run has sent the message; from then on, `intent cancel`
    Revoke { id: String },
}

impl Approval {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let door = session.door().await?;
        if let (
            Approval::Approve { no_resume: true, .. } | Approval::Decline { no_resume: true, .. },
            Door::There(_),
        ) = (&self, &door)
        {
            let what = "--no-resume is for a folder: a server picks its runs up by itself";
            return Err(Problem::new(Code::Usage, what).hint("leave out --no-resume").into());
        }
        match self {
            Approval::List { pending, part } => {
                let list = door.approvals(pending, part.page()).await?;
                super::say_next(list.next.as_deref());
                session.answer(&list, |list| {
                    let rows: Vec<_> = list.approvals.iter().map(row).collect();
                    draw::table(
                        &["APPROVAL", "STATE", "AGENT", "TO", "SUBJECT"],
                        &rows,
                        Screen::here().columns(),
                    )
                })?;
                Ok(Exit::Done)
            }
            Approval::Show { id, agent_words } => {
                let words = if agent_words { Words::All } else { Words::Few };
                let program = session.program();
                let look = Look { words, ..session.look(&program) };
                let approval = door.approval(&id).await?;
                let message = match approval.used {
                    true => Some(door.outgoing(&id).await?),
                    false => None,
                };
                session.answer(&approval, |it| match &message {
                    Some(message) => draw::whole(it, Some(message), look),
                    None => draw::approval(it, look),
                })?;
                Ok(Exit::Done)
            }
            Approval::Approve { id, digest, no_resume } => {
                let shown = match digest {
                    Some(digest) => parsed(&digest)?,
                    None => match ask(session, &door, &id).await? {
                        Some(shown) => shown,
                        None => {
                            say(&format!(
                                "Nothing was decided. To let nothing leave: {} approval decline {id}",
                                session.program()
                            ));
                            // People have just been shown what waits.
                            let intent = door.approval(&id).await?.intent;
                            let ran = Ran::shown(&door.intent(&intent).await?);
                            session.answer(&ran, |_| String::new())?;
                            return Ok(Exit::of(&ran));
                        }
                    },
                };
                decide(session, &door, &id, (Verdict::Approve, shown, None), no_resume).await
            }
            Approval::Decline { id, note, no_resume } => {
                // Declining is safe whatever was shown: nothing leaves.
                let shown = digest_of(&door.approval(&id).await?)?;
                decide(session, &door, &id, (Verdict::Decline, shown, note), no_resume).await
            }
            Approval::Edit { id, subject, body_file, remove_recipient: remove, digest } => {
                let body = body_file.map(|path| body(&path)).transpose()?;
                let shown = digest.map(|digest| parsed(&digest)).transpose()?;
                let edit = Edit { subject, body, remove };
                changed(session, &door.edit(&id, edit, shown).await?)
            }
            Approval::Revoke { id } => changed(session, &door.take_back(&id).await?),
        }
    }
}

fn parsed(digest: &str) -> Result<Digest> {
    let problem = || Problem::new(Code::Usage, "--digest: 64 hexadecimal digits are expected");
    Ok(Digest::parse(digest).ok_or_else(problem)?)
}

/// A body a person has written. It is bounded before it is read.
fn body(path: &Path) -> Result<String> {
    let cannot = |why: String| Problem::new(Code::Usage, format!("--body-file {}: {why}", path.display()));
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(path).map_err(|error| cannot(error.to_string()))?),
    };
    let mut text = String::new();
    let read = source.take(BODY_BYTES_MAX as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| cannot(error.to_string()))?;
    Ok(text)
}

/// The digest a decision about this must carry.
fn digest_of(approval: &output::Approval) -> Result<Digest> {
    let digest = Digest::parse(&approval.digest);
    let problem = || Problem::new(Code::ServerUnreachable, "the server shows an approval without a digest");
    Ok(digest.ok_or_else(problem)?)
}

/// Prints an approval as it stands after a change.
fn changed(session: &Session, changed: &output::Changed) -> Result<Exit> {
    let program = session.program();
    session.answer(changed, |changed| draw::approval(&changed.approval, session.look(&program)))?;
    super::audit::say_head(&changed.audit_head);
    Ok(Exit::Done)
}

/// Decides, with what was shown and a note, and goes on with the run.
async fn decide(
    session: &Session,
    door: &Door,
    id: &str,
    (verdict, shown, note): (Verdict, Digest, Option<String>),
    no_resume: bool,
) -> Result<Exit> {
    let mut ran = door.decide(id, verdict, shown, note, no_resume).await?;
    if !no_resume {
        ran = super::intent::stay(door, ran).await?;
    }
    let tell = if no_resume { Tell::Wrong } else { Tell::Message(id) };
    let exit = super::intent::finish(session, door, &ran, tell).await?;
    // A run that stood in line behind this one may ask now.
    if let Door::Here(_) = door {
        let asked = ran.approval.as_ref().map(|asked| asked.id.as_str());
        let pending = door.approvals(true, Page::default()).await?.approvals;
        let more = pending.iter().filter(|it| Some(it.id.as_str()) != asked).count();
        if more > 0 {
            let waits = if more == 1 { "waits" } else { "wait" };
            say(&format!("{more} more {waits}: {} approval list --pending", session.program()));
        }
    }
    if let Some(head) = &ran.audit_head {
        super::audit::say_head(head);
    }
    Ok(if no_resume { Exit::Done } else { exit })
}

/// Draws the action on the terminal and asks. Gives the digest of what was drawn, or nothing on no.
async fn ask(session: &Session, door: &Door, id: &str) -> Result<Option<Digest>> {
    let approval = door.approval(id).await?;
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(Problem::new(Code::DigestRequired, "approving away from a terminal needs --digest")
            .hint(format!("`countersign approval show {id}` shows what would leave, and its digest"))
            .into());
    }
    // What was drawn is signed, whatever digest came with it.
    let shown = match &approval.action {
        Some(action) => action.digest(),
        None => digest_of(&approval)?,
    };
    if approval.state != State::Pending {
        // Nothing to ask: the refusal says who decided.
        return Ok(Some(shown));
    }
    if let Err(refused) = door.may_sign(id) {
        let program = session.program();
        say(&draw::whole(&approval, None, session.look(&program)));
        let mut problem = Problem::from(refused);
        let decline = format!("`countersign approval decline {id}`");
        if !problem.hint.as_ref().is_some_and(|hint| hint.contains(&decline)) {
            let hint = problem.hint.map(|hint| hint + ", or ").unwrap_or_default();
            problem.hint = Some(format!("{hint}let nothing leave: {decline}"));
        }
        return Err(problem.into());
    }
    let keys = "y = sign, n = leave it open";
    Ok(question(&approval, &session.program(), keys)?.filter(|yes| *yes).map(|_| shown))
}

/// Shows an approval on the terminal, and asks a person to decide it. Nothing where they said neither yes nor no.
pub fn question(approval: &output::Approval, program: &str, keys: &str) -> Result<Option<bool>> {
    let screen = Screen::here();
    let look = Look { columns: screen.columns(), program, words: Words::Few };
    say(&draw::whole(approval, None, look));
    let (above, question) = draw::question(approval, look.columns);
    screen::ask(screen, &above, &format!("{question} [{keys}]"))
}

fn row(approval: &output::Approval) -> Vec<String> {
    let (to, subject) = match &approval.action {
        Some(action) => {
            let strangers = approval.flags.iter().filter(|notice| notice.flag == Flag::FirstTimeRecipient);
            let strangers: Vec<_> = strangers.flat_map(|notice| &notice.values).collect();
            // Of a very long address a notice has a part.
            let is_new = |address: &str| strangers.iter().any(|it| address.contains(it.as_str()));
            (draw::recipients(action, &is_new), as_written(&short(&action.subject, 40)))
        }
        None => ("-".into(), short(&approval.agent_says.title, 40)),
    };
    vec![approval.id.clone(), approval.state.name().into(), line(&approval.agent), to, subject]
}

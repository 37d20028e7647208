//! `countersign demo`: the whole way of an intent, in a throw-away data folder.

use super::build::Project;
use super::output::{Exit, Ran, SentMessage};
use super::screen::Screen;
use super::{Session, agent, approval, draw, open, print, say};
use clap::Args;
use countersign::approval::Verdict;
use countersign::config::Config;
use countersign::host::{Install, principal};
use countersign::intent::Status;
use countersign::printable::shell;
use countersign::refusals::{Code, Problem, Result};
use serde_json::Map;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Demo {
    /// Approve without asking
    #[arg(long, conflicts_with = "no")]
    yes: bool,
    /// Decline without asking
    #[arg(long)]
    no: bool,
    /// An agent of your own instead of the example
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

/// The throw-away data folder; thrown away unless something in it waits for a person.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Demo {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        if session.is_folder_given {
            let problem =
                Problem::new(Code::Usage, "`countersign demo` makes a folder of its own, and throws it away");
            return Err(problem.hint("leave out --data").into());
        }
        let path = std::env::temp_dir().join(countersign::clock::Clock::system().id("countersign-demo-"));
        let mut folder = Folder { path: path.clone(), keep: false };
        let host = open(path.clone(), Config::default())?;
        let bytes = match &self.agent {
            Some(file) => agent::read(file)?,
            None => example(&path.join("example"))?,
        };
        let shown = shell(&path.to_string_lossy());
        let program = format!("countersign --data {shown}");
        let (user, quiet) = ("local", session.global.json);
        let tell = |text: &str| {
            if !quiet {
                say(text)
            }
        };

        let sample = path.join("sample.mbox");
        std::fs::write(&sample, include_str!("sample.mbox")).map_err(anyhow::Error::from)?;
        let imported = host.import(user, &sample, |_, _| {}).await?;
        let (row, _) = host.install(user, bytes, Install::default(), &principal()).await?;
        let manifest = row.installed.manifest;
        host.grant(user, &manifest.id, &manifest.capabilities, &principal()).await?;
        let first = manifest.intents.iter().flatten().next();
        let action = first.map_or("send_report", |intent| intent.action.as_str());
        tell(&format!("A mailbox of {} messages, and the agent {}.", imported.added, manifest.id));
        tell(&format!("It is asked to `{action}`.\n"));

        let mut view = host.submit(user, &manifest.id, action, Map::new(), None).await?;
        while let Some(pending) = view.pending() {
            let shown = super::output::Approval::of(pending)
                .answering(Some(host.answered(user, &pending.approval.id)?));
            let is_asked = !(self.yes || self.no || quiet)
                && std::io::stdin().is_terminal()
                && std::io::stderr().is_terminal();
            if !is_asked {
                tell(&draw::approval(&shown, session.look(&program)));
            }
            let verdict = match (self.yes, self.no) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ if is_asked => {
                    // Whoever leaves at the question finds everything here.
                    folder.keep = true;
                    approval::question(&shown, &program, "y = sign, n = decline")?
                }
                _ => None,
            };
            let Some(yes) = verdict else { break };
            folder.keep = false;
            let (id, drawn) = (pending.approval.id.clone(), pending.approval.digest);
            let verdict = if yes { Verdict::Approve } else { Verdict::Decline };
            host.decide(user, &id, verdict, drawn, &principal(), None).await?;
            tell(if yes { "Approved. The run goes on.\n" } else { "Declined. The run goes on.\n" });
            view = host.resume(user, &view.intent.id).await?;
        }
        let ran = Ran::of(&view);
        folder.keep = ran.status == Status::Waiting;
        if let (true, Some(asked)) = (folder.keep, &ran.approval) {
            let (id, digest) = (&asked.id, &asked.digest);
            let how = format!(
                "It waits for a person, and costs only disk. Decide with one of\n\n  \
                 {program} approval approve {id} --digest {digest}\n  \
                 {program} approval decline {id}\n\nand throw it away with\n\n  rm -r {shown}\n"
            );
            // With --json the document stands alone on standard output.
            if quiet { say(&how) } else { print(&how)? }
        }
        if quiet {
            session.answer(&ran, |_| String::new())?;
        } else if ran.status != Status::Waiting {
            print(&draw::ran(&ran, session.look(&program)))?;
            for sent in host.sent(user)? {
                let message = SentMessage::of(&sent);
                print(&format!("\nThis has left, as {}:\n\n", message.message_id))?;
                let bytes = String::from_utf8_lossy(&sent.bytes).replace("\r\n", "\n");
                print(&draw::block(&bytes, Screen::here().columns()))?;
            }
        }
        Ok(Exit::of(&ran))
    }
}

/// Builds the example agent in `folder`.
fn example(folder: &Path) -> Result<Vec<u8>> {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    std::fs::create_dir_all(folder)
        .and_then(|()| write("agent.js", include_str!("../../../example-agents/send-report-js/agent.js")))
        .and_then(|()| write("agent.json", include_str!("../../../example-agents/send-report-js/agent.json")))
        .map_err(anyhow::Error::from)?;
    Ok(Project::at(folder, None)?.build()?.package.bytes)
}

//! `countersign replay`: execute a recorded run once more, and say whether it still follows its record.

use super::output::{Exit, Replayed};
use super::screen::Screen;
use super::{Session, agent, draw};
use clap::Args;
use countersign::agent::Package;
use countersign::desk::Heard;
use countersign::printable::{line, short};
use countersign::refusals::Result;
use countersign::tools::approval::REQUEST;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Args)]
pub struct Replay {
    /// Id of the intent
    intent: String,
    /// Another build to replay it on
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

impl Replay {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let owner = session.owner();
        let other = match &self.agent {
            Some(file) => Some(Package::read(agent::read(file)?)?),
            None => None,
        };
        let host = session.host().await?;
        let replay = host.replay(owner, &self.intent, other.as_ref()).await?;
        let view = host.show(owner, &self.intent)?;
        let recorded = view.intent.digest;
        let timeline: Vec<_> = super::output::timeline(
            host.journal(owner, &self.intent)?.into_iter().map(Heard::whole).collect(),
        );
        let replayed = Replayed {
            intent: self.intent,
            agent_digest: other.map_or(recorded, |package| package.digest).to_string(),
            follows: replay.differs.is_none(),
            differs: replay.differs,
            waited_at: timeline
                .iter()
                .filter(|call| call.call == REQUEST.name && call.refused.is_none())
                .map(|call| call.number)
                .collect(),
            waits_for: view.pending().map(|pending| pending.approval.id.clone()),
            timeline,
            log: replay.log,
        };
        session.answer(&replayed, |it| show(it, session))?;
        Ok(if replayed.follows { Exit::Done } else { Exit::Stopped })
    }
}

fn show(it: &Replayed, session: &Session) -> String {
    let mut out = format!("Intent    {}\nBuild     sha256:{}\n\nRecord\n", line(&it.intent), it.agent_digest);
    let program = session.program();
    out += &draw::timeline(&it.timeline, session.look(&program));
    for number in &it.waited_at {
        let _ = writeln!(out, "\nAt call {number} it waited for a person.");
    }
    if let Some(approval) = &it.waits_for {
        let _ = writeln!(
            out,
            "\nIt asked behind this, and waits: {}",
            session.command(&format!("countersign approval show {approval}"))
        );
    }
    let _ = match &it.differs {
        None => writeln!(out, "\nIt follows the record to its end."),
        Some(differs) => writeln!(out, "\nIt leaves the record: {}", short(differs, 500)),
    };
    if !it.log.is_empty() {
        out += "\nLog\n";
        out += &draw::block(it.log.trim_end(), Screen::here().columns());
    }
    out
}

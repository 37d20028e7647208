//! `countersign audit`: the record of everything that was decided and sent.

use super::output::Exit;
use super::{Session, draw, print, say};
use clap::Subcommand;
use countersign::digest::Digest;
use countersign::printable::{ascii, line};
use countersign::refusals::{Code, Problem, Result};

#[derive(Subcommand)]
pub enum Audit {
    /// Check that nothing in the record has been altered or taken away
    Verify {
        /// A head printed earlier, with a decision or by this command: the record must still hold it
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Print the record, one JSON document a line
    Export,
}

impl Audit {
    pub async fn run(self, session: &Session) -> Result<Exit> {
        let door = session.door().await?;
        match self {
            Audit::Verify { head } => {
                let head = head.map(|head| {
                    Digest::parse(&head).ok_or_else(|| {
                        Problem::new(Code::Usage, "--head: 64 hexadecimal digits are expected")
                    })
                });
                session.answer(&door.verify(head.transpose()?).await?, |it| {
                    let entries = draw::count(it.entries, "entry", "entries");
                    format!("{entries}, each as it was written.\nHead {}\n", line(&it.head))
                })?;
            }
            Audit::Export => {
                let print = |entry| {
                    let text = serde_json::to_string(&entry).map_err(anyhow::Error::from)?;
                    print(&(ascii(&text) + "\n"))
                };
                door.each_audit_entry(print).await?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Says where the record ends, for whoever keeps it: a record that is later cut short or written anew no longer holds it.
pub fn say_head(head: &str) {
    say(&format!("Audit head {}", line(head)));
}

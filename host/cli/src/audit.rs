//! `countersign audit`: the record of everything that was decided and sent.

use super::output::{self, Exit};
use super::{Session, print, say};
use clap::Subcommand;
use countersign::clock::rfc3339;
use countersign::digest::Digest;
use countersign::printable::{ascii, line};
use countersign::refusals::{Code, Problem, Result};
use serde_json::value::RawValue;

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
        let host = session.host().await?;
        match self {
            Audit::Verify { head } => {
                let head = head.map(|head| {
                    Digest::parse(&head).ok_or_else(|| {
                        Problem::new(Code::Usage, "--head: 64 hexadecimal digits are expected")
                    })
                });
                let audited = host.audit(head.transpose()?)?;
                if let Some(broken) = audited.broken {
                    let message = format!("audit entry {} {}", broken.seq, broken.what);
                    let hint = format!("everything before entry {} is as it was written", broken.seq);
                    return Err(Problem::new(Code::AuditBroken, message).hint(hint).into());
                }
                if let Some(stray) = audited.strays.first() {
                    let message = format!(
                        "{} messages have left that the record tells nothing of, or something else; the first is {}",
                        audited.strays.len(),
                        line(stray)
                    );
                    return Err(Problem::new(Code::AuditBroken, message).into());
                }
                let verified = output::Verified { entries: audited.entries, head: audited.head.to_string() };
                session.answer(&verified, |it| {
                    format!("{} entries, each as it was written.\nHead {}\n", it.entries, it.head)
                })?;
            }
            Audit::Export => host.each_audit_entry(|previous, entry| {
                // The body stays as it is hashed, byte for byte.
                let body = RawValue::from_string(entry.body).map_err(anyhow::Error::from)?;
                let exported = output::AuditEntry {
                    seq: entry.seq,
                    at: rfc3339(entry.at_ms),
                    kind: entry.kind,
                    body,
                    previous: previous.to_string(),
                    hash: entry.hash.to_string(),
                };
                let text = serde_json::to_string(&exported).map_err(anyhow::Error::from)?;
                print(&(ascii(&text) + "\n"))
            })?,
        }
        Ok(Exit::Done)
    }
}

/// Says where the record ends, for whoever keeps it: a record that is later cut short or written anew no longer holds it.
pub fn say_head(head: &Digest) {
    say(&format!("Audit head {head}"));
}

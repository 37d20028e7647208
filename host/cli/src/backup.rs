//! `countersign backup` and `restore`: everything that is kept in one file, and back.

use super::output::{self, Exit};
use super::{Session, options};
use clap::Args;
use countersign::clock::rfc3339;
use countersign::host::{principal, restore};
use countersign::printable::line;
use countersign::refusals::Result;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing is shown: most copies are done before.
const QUIET: Duration = Duration::from_secs(1);

#[derive(Args)]
pub struct Backup {
    /// The file to write, outside the data folder
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub fn run(self, session: &Session) -> Result<Exit> {
        let Backup { file, force } = self;
        // Nothing is settled before: what is copied is what is there.
        let host = session.unsettled()?;
        let progress = Progress::begin("pages");
        let copied = host.backup(&file, force, |done, of| progress.at(done, of))?;
        progress.end();
        let backed_up = output::BackedUp {
            file: file.to_string_lossy().into(),
            taken: rfc3339(copied.taken_ms),
            bytes: copied.bytes,
            tenants: copied.tenants,
            audit_entries: copied.entries,
        };
        session.answer(&backed_up, |it| {
            format!(
                "{} holds everything as it was at {}: {} bytes, {} audit entries, each as it was written.\n\
                 Whoever has it can read all of it.\n",
                line(&it.file),
                it.taken,
                it.bytes,
                it.audit_entries
            )
        })?;
        Ok(Exit::Done)
    }
}

#[derive(Args)]
pub struct Restore {
    /// A file that `countersign backup` has written
    file: PathBuf,
}

impl Restore {
    pub fn run(self, session: &Session) -> Result<Exit> {
        let data = session.data()?;
        let config = session.config(&data)?;
        let progress = Progress::begin("bytes");
        let options = options(data.clone(), config);
        let (_host, restored) = restore(options, &self.file, &principal(), |done, of| progress.at(done, of))?;
        progress.end();
        let restored = output::Restored {
            folder: data.to_string_lossy().into(),
            taken: rfc3339(restored.taken_ms),
            tenants: restored.tenants,
            uncertain: restored.uncertain,
            pending: restored.pending,
        };
        session.answer(&restored, |it| {
            let mut out = format!("{} is as it was at {}.\n", line(&it.folder), it.taken);
            if !it.uncertain.is_empty() {
                let _ = writeln!(
                    out,
                    "{} messages were about to leave then, and may have left since: nothing of them leaves by itself.\n\
                     Find out, and say so: {}",
                    it.uncertain.len(),
                    session.command("countersign outbox list --open")
                );
            }
            if it.pending > 0 {
                let _ = writeln!(
                    out,
                    "{} approvals wait for a person, and may have been decided since: each says so.",
                    it.pending
                );
            }
            out + "Who was signed in has to sign in again.\n"
        })?;
        Ok(Exit::Done)
    }
}

/// How far a copy is, for whoever waits for it longer than a second.
struct Progress {
    bar: ProgressBar,
    began: Instant,
}

impl Progress {
    fn begin(what: &str) -> Progress {
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {what}, {{eta}} left"));
        let bar = ProgressBar::hidden();
        bar.set_style(style.expect("a constant"));
        Progress { bar, began: Instant::now() }
    }

    fn at(&self, done: u64, of: u64) {
        if self.bar.is_hidden() && self.began.elapsed() > QUIET {
            self.bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
        self.bar.set_length(of);
        self.bar.set_position(done);
    }

    fn end(self) {
        self.bar.finish_and_clear();
    }
}

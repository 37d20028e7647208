//! `countersign demo`: the whole way of an intent, in a throw-away data folder.

use super::output::{Exit, Ran, SentMessage};
use super::{Session, agent, approval, draw, open, print, quoted, say};
use clap::Args;
use countersign::approval::Verdict;
use countersign::config::Config;
use countersign::host::{Install, principal};
use countersign::intent::Status;
use countersign::refusals::{Code, Problem, Result};
use serde_json::Map;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TARGET: &str = "wasm32-wasip2";
const EXAMPLE: &str = "send-report";

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
        let file = match &self.agent {
            Some(file) => file.clone(),
            None => build()?,
        };
        let bytes = agent::read(&file)?;
        let path = std::env::temp_dir().join(countersign::clock::Clock::system().id("countersign-demo-"));
        let mut folder = Folder { path: path.clone(), keep: false };
        let host = open(path.clone(), Config::default())?;
        let shown = quoted(&path.to_string_lossy());
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
            tell(&draw::approval(&super::output::Approval::of(pending)));
            let verdict = match (self.yes, self.no) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ if std::io::stdin().is_terminal() && !quiet => {
                    // Whoever leaves at the question finds everything here.
                    folder.keep = true;
                    approval::answer("Let exactly this leave?")?
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
            print(&draw::ran(&ran, &program))?;
            for sent in host.sent(user)? {
                let message = SentMessage::of(&sent);
                print(&format!("\nThis has left, as {}:\n\n", message.message_id))?;
                print(&draw::block(&String::from_utf8_lossy(&sent.bytes).replace("\r\n", "\n")))?;
            }
        }
        Ok(ran.exit())
    }
}

/// Builds the example agent with the workspace's own toolchain, in a target directory of its own.
fn build() -> Result<PathBuf> {
    let failed = |what: String| {
        Problem::new(Code::BuildFailed, format!("cannot build the example agent: {what}"))
            .hint("run it in a checkout of Countersign, or pass an agent with `demo --agent FILE`")
    };
    let workspace =
        workspace().ok_or_else(|| failed(format!("there is no example-agents/{EXAMPLE} here")))?;
    let target = workspace.join("target").join("guests");
    ensure_target(&workspace)?;
    say("Building the example agent …");
    let cargo = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "guest",
            "--target",
            TARGET,
            "--package",
            EXAMPLE,
        ])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(&workspace)
        // The flags of this build are for this machine, not for the guest.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| failed(format!("cargo: {error}")))?;
    if !cargo.success() {
        return Err(failed(format!("cargo ended with {cargo}")).into());
    }
    Ok(target.join(TARGET).join("guest").join("send_report.wasm"))
}

/// The checkout this program was built from, or the one it is run in.
fn workspace() -> Option<PathBuf> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let here = std::env::current_dir().ok();
    let candidates = here.iter().flat_map(|here| here.ancestors()).chain(built_from);
    candidates.map(Path::to_owned).find(|folder| folder.join("example-agents").join(EXAMPLE).is_dir())
}

/// Adds the rustup target where it is missing: automatic installation may be switched off.
fn ensure_target(workspace: &Path) -> Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(workspace).output();
    let installed = sysroot.is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir()
    });
    if installed {
        return Ok(());
    }
    say(&format!("Adding the target {TARGET} …"));
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Problem::new(
            Code::BuildFailed,
            format!("the Rust target {TARGET} is missing and cannot be added"),
        )
        .hint(format!("run `rustup target add {TARGET}`, or pass an agent with `demo --agent FILE`"))
        .into()),
    }
}

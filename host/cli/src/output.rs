//! What the verbs print with `--json`. The schemas in `host/cli/schemas/` are generated from these types, and from those of
//! the server that say the same.

use countersign::digest::Digest;
use countersign::intent::Status;
use countersign::refusals::Code;
use countersign_harness::{Outcome, Went};
pub use countersign_serve::view::*;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Fault = 1,
    Usage = 2,
    Waiting = 3,
    Stopped = 4,
    ErrorCard = 5,
    Refused = 6,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// How a command ends that left a run so.
    pub fn of(ran: &Ran) -> Exit {
        match ran.status {
            // Left where it is, or driven by somebody else: not done, and nobody's fault.
            Status::Waiting | Status::Sending | Status::Blocked | Status::Running => Exit::Waiting,
            Status::Stopped | Status::Cancelled => Exit::Stopped,
            Status::Done if ran.failed.is_some() => Exit::ErrorCard,
            Status::Done => Exit::Done,
        }
    }
}

impl Exit {
    /// How a command ends that had these messages offered: as its worst, one that is not sent or uncertain before one on its way.
    pub fn of_messages(messages: &[OutboxMessage]) -> Exit {
        use countersign::approval::outbox::State::{Armed, Attempting, NotSent, Queued, Uncertain};
        let is_any = |states: &[_]| messages.iter().any(|message| states.contains(&message.state));
        match (is_any(&[NotSent, Uncertain]), is_any(&[Armed, Queued, Attempting])) {
            (true, _) => Exit::ErrorCard,
            (_, true) => Exit::Waiting,
            _ => Exit::Done,
        }
    }
}

/// `replay`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// Id of the intent.
    pub intent: String,
    /// SHA-256 of the component it was replayed on.
    pub agent_digest: String,
    /// Whether it did what the record says, call by call, to the same end.
    pub follows: bool,
    /// Where and how it left the record.
    pub differs: Option<String>,
    /// The record: every answer the agent heard, in order.
    pub timeline: Vec<Call>,
    /// Numbers of the calls a person's answer was waited for.
    pub waited_at: Vec<usize>,
    /// The approval it waits for now, asked behind the last call of the record.
    pub waits_for: Option<String>,
    /// What the replay printed.
    pub log: String,
}

/// `test`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// SHA-256 of the component.
    pub agent_digest: String,
    pub passed: usize,
    pub failed: usize,
    /// Of these, what happened is what is expected from now on.
    pub written: usize,
    /// By name.
    pub scenarios: Vec<Tried>,
}

/// One scenario of `test`.
#[derive(Serialize, JsonSchema)]
pub struct Tried {
    /// Its folder below `scenarios/`.
    pub name: String,
    /// The sentence it shows to be true; empty where it cannot be read.
    pub about: String,
    pub result: TestResult,
    /// The difference from what was expected, or why it could not be told.
    pub why: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// How a scenario went.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TestResult {
    Passed,
    Failed,
    Written,
}

impl Tested {
    pub fn of(outcomes: &[Outcome], agent: Digest) -> Tested {
        let scenarios: Vec<_> = outcomes.iter().map(Tried::of).collect();
        let count = |result| scenarios.iter().filter(|tried| tried.result == result).count();
        Tested {
            agent_digest: agent.to_string(),
            passed: count(TestResult::Passed),
            failed: count(TestResult::Failed),
            written: count(TestResult::Written),
            scenarios,
        }
    }
}

impl Tried {
    fn of(outcome: &Outcome) -> Tried {
        let (result, why) = match &outcome.went {
            Went::Passed => (TestResult::Passed, None),
            Went::Failed(why) => (TestResult::Failed, Some(why.clone())),
            Went::Written => (TestResult::Written, None),
        };
        let (name, about) = (outcome.name.clone(), outcome.about.clone());
        Tried { name, about, result, why, millis: outcome.millis }
    }
}

/// `new`.
#[derive(Serialize, JsonSchema)]
pub struct Created {
    pub folder: String,
    /// Id of the agent.
    pub id: String,
    /// What was written, below the folder.
    pub files: Vec<String>,
    /// Commands to go on with.
    pub next: Vec<String>,
}

/// `build`.
#[derive(Serialize, JsonSchema)]
pub struct Built {
    pub file: String,
    /// Id of the agent.
    pub agent: String,
    pub version: String,
    pub digest: String,
    pub bytes: u64,
    /// What it could do if everything it declares were granted.
    pub could: Vec<String>,
    /// What it can never do, whatever is granted.
    pub never: Vec<String>,
    pub warnings: Vec<String>,
}

/// `agent pack`.
#[derive(Serialize, JsonSchema)]
pub struct Packed {
    pub file: String,
    pub digest: String,
    pub bytes: u64,
}

/// `mailbox import`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Messages read: those below together.
    pub read: usize,
    /// New messages.
    pub added: usize,
    /// Messages that were here already.
    pub known: usize,
    /// Messages that did not come in: sent, drafts, junk, thrown away. They are left out.
    pub not_incoming: usize,
    pub broken: Vec<Broken>,
}

/// What could not be imported.
#[derive(Serialize, JsonSchema)]
pub struct Broken {
    pub name: String,
    pub reason: String,
}

/// `backup`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackedUp {
    pub file: String,
    /// Everything is in it as it was then.
    pub taken: String,
    pub bytes: u64,
    pub tenants: Vec<String>,
    /// How many entries the audits in it have, each as it was written.
    pub audit_entries: u64,
}

/// `restore`.
#[derive(Serialize, JsonSchema)]
pub struct Restored {
    /// The data folder.
    pub folder: String,
    /// When the backup was taken.
    pub taken: String,
    pub tenants: Vec<String>,
    /// Approvals whose messages were about to leave then, and may have left since.
    pub uncertain: Vec<String>,
    /// How many approvals wait for a person, and may have been decided since.
    pub pending: u64,
}

/// `doctor`.
#[derive(Serialize, JsonSchema)]
pub struct Examined {
    pub findings: Vec<Found>,
    /// How many of them are bad.
    pub bad: usize,
    /// How many of them are worth a look.
    pub warned: usize,
}

/// One thing `doctor` has looked at.
#[derive(Serialize, JsonSchema)]
pub struct Found {
    /// What was looked at, such as `disk`.
    pub about: String,
    pub health: HealthTold,
    pub text: String,
    /// What to do; null where there is nothing to do.
    pub cure: Option<String>,
}

/// How it is.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthTold {
    Ok,
    Warn,
    Bad,
}

impl HealthTold {
    pub fn name(self) -> &'static str {
        match self {
            HealthTold::Ok => "ok",
            HealthTold::Warn => "warn",
            HealthTold::Bad => "bad",
        }
    }
}

/// `inspect`.
#[derive(Serialize, JsonSchema)]
pub struct Inspected {
    pub file: String,
    pub digest: String,
    pub bytes: u64,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    pub manifest: Option<Value>,
    /// What it could do if everything it declares were granted.
    pub could: Vec<String>,
    /// What it can never do, whatever is granted.
    pub never: Vec<String>,
    /// Why it could not be installed, or would not work as declared.
    pub problems: Vec<Failure>,
}

/// A line of `serve`: where it listens, and the link of a first sign-in.
#[derive(Serialize, JsonSchema)]
pub struct Said {
    pub said: String,
}

/// `explain`.
#[derive(Serialize, JsonSchema)]
pub struct Explained {
    pub code: String,
    /// Markdown.
    pub page: String,
}

impl Explained {
    pub fn of(code: Code) -> Explained {
        Explained { code: code.to_string(), page: code.page().into() }
    }
}

/// `wit`.
#[derive(Serialize, JsonSchema)]
pub struct Wit {
    pub wit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed schemas are those of the types. `BLESS=1 cargo test` writes them anew.
    #[test]
    fn the_committed_schemas_are_those_of_the_output() {
        let schemas = [
            ("error", schemars::schema_for!(Failed)),
            ("run", schemars::schema_for!(Ran)),
            ("approval-show", schemars::schema_for!(Approval)),
            ("approval-list", schemars::schema_for!(Approvals)),
            ("intent-show", schemars::schema_for!(IntentShown)),
            ("intent-list", schemars::schema_for!(Intents)),
            ("replay", schemars::schema_for!(Replayed)),
            ("test", schemars::schema_for!(Tested)),
            ("agent-show", schemars::schema_for!(Agent)),
            ("agent-list", schemars::schema_for!(Agents)),
            ("agent-remove", schemars::schema_for!(Removed)),
            ("new", schemars::schema_for!(Created)),
            ("build", schemars::schema_for!(Built)),
            ("agent-pack", schemars::schema_for!(Packed)),
            ("mailbox-import", schemars::schema_for!(Imported)),
            ("mailbox-list", schemars::schema_for!(Messages)),
            ("mailbox-sent", schemars::schema_for!(Sent)),
            ("outbox-show", schemars::schema_for!(OutboxMessage)),
            ("outbox-list", schemars::schema_for!(OutboxMessages)),
            ("audit-verify", schemars::schema_for!(Verified)),
            ("audit-export", schemars::schema_for!(AuditEntry)),
            ("approval-edit", schemars::schema_for!(Changed)),
            ("intent-purge", schemars::schema_for!(Purged)),
            ("backup", schemars::schema_for!(BackedUp)),
            ("restore", schemars::schema_for!(Restored)),
            ("doctor", schemars::schema_for!(Examined)),
            ("person-list", schemars::schema_for!(People)),
            ("person-roles", schemars::schema_for!(PersonShown)),
            ("person-invite", schemars::schema_for!(Invited)),
            ("token-list", schemars::schema_for!(Tokens)),
            ("token-make", schemars::schema_for!(TokenMade)),
            ("inspect", schemars::schema_for!(Inspected)),
            ("explain", schemars::schema_for!(Explained)),
            ("serve", schemars::schema_for!(Said)),
            ("mailbox-show", schemars::schema_for!(Message)),
            ("wit", schemars::schema_for!(Wit)),
        ];
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for (name, schema) in schemas {
            let path = folder.join(format!("{name}.json"));
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if std::env::var_os("BLESS").is_some() {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(committed, text, "{} is out of date; run with BLESS=1", path.display());
        }
    }
}

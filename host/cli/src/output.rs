//! What the verbs print with `--json`. The schemas in `host/cli/schemas/` are generated from these types.

use countersign::approval::html::{Link, Rendered};
use countersign::approval::notices::{Notice, notices};
use countersign::approval::outbox::{self, Rejected};
use countersign::approval::{Action, Binding, BodyKind, Verdict, Words, decision::State};
use countersign::authority::Capability;
use countersign::clock::rfc3339;
use countersign::digest::Digest;
use countersign::host::{View, letter_name};
use countersign::intent::{Intent, Status};
use countersign::refusals::Code;
use countersign::store::{self, AgentRow, Outgoing, Stored};
use countersign::tools::messages;
use countersign_harness::{Outcome, Went};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
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

/// `run`, `intent resume`, `intent retry`, `approval approve`, `approval decline`, `demo`.
#[derive(Serialize, JsonSchema)]
pub struct Ran {
    /// Id of the intent.
    pub intent: String,
    pub status: Status,
    /// The agent's answer.
    pub card: Option<Value>,
    /// What a person must decide before it goes on.
    pub approval: Option<Approval>,
    /// Why it was stopped.
    pub reason: Option<Failure>,
    /// Hash of the last entry of the audit, where something was decided.
    #[serde(rename = "auditHead")]
    pub audit_head: Option<String>,
}

impl Ran {
    pub fn of(view: &View) -> Ran {
        Ran {
            intent: view.intent.id.clone(),
            status: view.intent.status,
            card: view.intent.card.clone(),
            approval: view.pending().map(Approval::of),
            reason: reason(&view.intent),
            audit_head: None,
        }
    }

    pub fn exit(&self) -> Exit {
        match self.status {
            // Left where it is, or driven by somebody else: not done, and nobody's fault.
            Status::Waiting | Status::Sending | Status::Running => Exit::Waiting,
            Status::Stopped | Status::Cancelled => Exit::Stopped,
            Status::Done if self.card.as_ref().is_some_and(|card| card["type"] == "error") => Exit::ErrorCard,
            Status::Done => Exit::Done,
        }
    }
}

fn reason(intent: &Intent) -> Option<Failure> {
    let reason = intent.reason.as_ref()?;
    let hint = Some(format!("`countersign explain {}` says what to do", reason.code));
    Some(Failure { code: reason.code.to_string(), message: reason.message.clone(), hint })
}

/// Something that was refused or stopped.
#[derive(Serialize, JsonSchema)]
pub struct Failure {
    /// One of the codes of `explain`.
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Every verb, when it fails.
#[derive(Serialize, JsonSchema)]
pub struct Failed {
    pub error: Failure,
}

/// `approval show`, and an element of `approval list`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    pub id: String,
    /// What a decision must carry: names exactly what would leave.
    pub digest: String,
    /// Id of the intent.
    pub intent: String,
    /// Id of the agent.
    pub agent: String,
    pub state: State,
    /// Whether a person said yes and it has been used.
    pub used: bool,
    /// What the answer is about.
    pub binding: Binding,
    /// The message that would leave; null while only the question is known.
    pub action: Option<Action>,
    /// A body in HTML as its reader sees it, links numbered from 1, `[1]`; null where the body is text.
    pub body_text: Option<String>,
    /// Where the links of a body in HTML lead, in this order.
    pub body_links: Vec<Link>,
    /// The agent's words, quoted. They decide nothing.
    pub agent_says: Words,
    /// What deserves a second look.
    pub flags: Vec<Notice>,
    pub asked: String,
    pub expires: String,
    pub decided: Option<Decided>,
}

/// A decision.
#[derive(Serialize, JsonSchema)]
pub struct Decided {
    /// `approve` or `decline`.
    pub verdict: String,
    pub at: String,
    /// User of the operating system.
    pub by: String,
    pub note: Option<String>,
}

impl Approval {
    pub fn of(stored: &Stored) -> Approval {
        let approval = &stored.approval;
        let action = approval.leaving();
        let html = action.filter(|action| action.body_kind == BodyKind::Html).map(Rendered::of);
        let (body_text, body_links) = html.map(|it| (it.text, it.links)).unzip();
        // Whoever reads `approved` asks what a person said; that it was used since stands beside it.
        let used = approval.state == State::Used;
        Approval {
            id: approval.id.clone(),
            digest: approval.digest.to_string(),
            intent: stored.intent.clone(),
            agent: stored.agent.clone(),
            state: if used { State::Approved } else { approval.state },
            used,
            binding: approval.binding,
            action: action.cloned(),
            body_text,
            body_links: body_links.unwrap_or_default(),
            agent_says: approval.words.clone(),
            flags: notices(approval, &|address| stored.has_written_to(address)),
            asked: rfc3339(approval.asked_ms),
            expires: rfc3339(approval.expires_ms),
            decided: stored.decided.as_ref().map(|decided| Decided {
                verdict: match decided.verdict {
                    Verdict::Approve => "approve".into(),
                    Verdict::Decline => "decline".into(),
                },
                at: rfc3339(decided.at_ms),
                by: decided.by.clone(),
                note: decided.note.clone(),
            }),
        }
    }
}

/// `approval list`.
#[derive(Serialize, JsonSchema)]
pub struct Approvals {
    pub approvals: Vec<Approval>,
}

/// An element of `intent list`.
#[derive(Serialize, JsonSchema)]
pub struct IntentRow {
    pub id: String,
    pub agent: String,
    pub action: String,
    pub status: Status,
    pub submitted: String,
    pub updated: String,
    /// The code it was stopped with.
    pub reason: Option<String>,
}

impl IntentRow {
    pub fn of(intent: &Intent) -> IntentRow {
        IntentRow {
            id: intent.id.clone(),
            agent: intent.agent.clone(),
            action: intent.action.clone(),
            status: intent.status,
            submitted: rfc3339(intent.submitted_ms),
            updated: rfc3339(intent.updated_ms),
            reason: intent.reason.as_ref().map(|reason| reason.code.to_string()),
        }
    }
}

/// `intent list`.
#[derive(Serialize, JsonSchema)]
pub struct Intents {
    pub intents: Vec<IntentRow>,
}

/// `intent show`, `intent cancel`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IntentShown {
    pub id: String,
    pub agent: String,
    /// SHA-256 of the component the run started with.
    pub agent_digest: String,
    pub action: String,
    pub parameters: Map<String, Value>,
    pub text: Option<String>,
    pub status: Status,
    /// Whether a process drives it right now.
    pub live: bool,
    pub submitted: String,
    pub updated: String,
    pub retry_of: Option<String>,
    /// Every answer the agent heard, in order.
    pub timeline: Vec<Call>,
    pub approvals: Vec<Approval>,
    pub card: Option<Value>,
    pub reason: Option<Failure>,
    /// What the agent printed.
    pub log: String,
}

/// One answered call.
#[derive(Serialize, JsonSchema)]
pub struct Call {
    pub number: usize,
    pub at: String,
    pub call: String,
    pub request: Value,
    /// The value the agent heard; null where it heard an error.
    pub answer: Value,
    /// The error it heard, code first.
    pub refused: Option<String>,
    /// What the error said beside: the field at fault, the cure.
    pub details: Option<Value>,
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

/// An installed agent: `agent show`, `agent install`, `agent grant`, `agent revoke`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    pub id: String,
    pub name: String,
    pub version: String,
    pub description: String,
    /// SHA-256 of the component as stored.
    pub digest: String,
    pub bytes: u64,
    pub capabilities: Vec<Capability>,
    /// Of these capabilities, those the user has granted.
    pub granted: Vec<Capability>,
    pub actions: Option<Vec<String>>,
    pub installed: String,
    pub installed_by: String,
    /// The whole manifest.
    pub manifest: Value,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Agent {
    pub fn of(row: &AgentRow, warnings: Vec<String>) -> Agent {
        let installed = &row.installed;
        let manifest = &installed.manifest;
        let actions = manifest.intents.as_ref();
        Agent {
            id: manifest.id.clone(),
            name: manifest.name.clone(),
            version: manifest.version.to_string(),
            description: manifest.description.clone(),
            digest: installed.digest.to_string(),
            bytes: installed.bytes,
            capabilities: manifest.capabilities.clone(),
            granted: row.grants.iter().copied().collect(),
            actions: actions.map(|list| list.iter().map(|intent| intent.action.clone()).collect()),
            installed: rfc3339(installed.installed_ms),
            installed_by: installed.installed_by.clone(),
            manifest: serde_json::to_value(manifest).unwrap_or_default(),
            warnings,
        }
    }
}

/// `agent list`.
#[derive(Serialize, JsonSchema)]
pub struct Agents {
    pub agents: Vec<Agent>,
}

/// `agent remove`.
#[derive(Serialize, JsonSchema)]
pub struct Removed {
    pub removed: String,
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
pub struct Imported {
    /// Messages read: those below together.
    pub read: usize,
    /// New messages.
    pub added: usize,
    /// Messages that were here already, byte for byte.
    pub known: usize,
    pub broken: Vec<Broken>,
}

/// What could not be imported.
#[derive(Serialize, JsonSchema)]
pub struct Broken {
    pub name: String,
    pub reason: String,
}

/// An element of `mailbox list`.
#[derive(Serialize, JsonSchema)]
pub struct Message {
    pub id: String,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub body: String,
    pub truncated: bool,
    pub timestamp: String,
    pub unread: bool,
}

impl Message {
    pub fn of(mail: messages::Mail) -> Message {
        Message {
            id: mail.id,
            from: mail.from,
            to: mail.to,
            subject: mail.subject,
            body: mail.body,
            truncated: mail.truncated,
            timestamp: rfc3339(mail.timestamp_ms),
            unread: mail.unread,
        }
    }
}

/// `mailbox list`.
#[derive(Serialize, JsonSchema)]
pub struct Messages {
    pub messages: Vec<Message>,
}

/// An element of `mailbox sent`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentMessage {
    pub id: String,
    /// Without angle brackets.
    pub message_id: String,
    pub from: String,
    pub to: Vec<String>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub subject: String,
    pub body: String,
    pub timestamp: String,
    /// Id of the intent.
    pub intent: String,
    /// Id of the approval that let it out.
    pub approval: String,
    /// The digest that was signed.
    pub digest: String,
    /// The message as it left, in the data folder.
    pub file: String,
}

impl SentMessage {
    pub fn of(sent: &store::Sent) -> SentMessage {
        let action = sent.action.clone();
        SentMessage {
            id: sent.id.clone(),
            message_id: sent.message_id.clone(),
            digest: action.digest().to_string(),
            from: action.from,
            to: action.to,
            cc: action.cc,
            bcc: action.bcc,
            subject: action.subject,
            body: action.body,
            timestamp: rfc3339(sent.sent_ms),
            intent: action.intent,
            approval: sent.approval.clone(),
            file: format!("sent/{}", letter_name(&sent.message_id)),
        }
    }
}

/// `mailbox sent`.
#[derive(Serialize, JsonSchema)]
pub struct Sent {
    pub messages: Vec<SentMessage>,
}

/// `outbox show`, `outbox resolve`, and an element of `outbox list`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboxMessage {
    /// Id of the approval that armed it.
    pub id: String,
    /// Id of the intent.
    pub intent: String,
    pub state: outbox::State,
    /// What was signed.
    pub action: Action,
    /// Without angle brackets.
    pub message_id: String,
    pub signed: String,
    pub sent: Option<String>,
    /// How often it has been offered since a person last asked for it.
    pub attempts: u32,
    /// When the next attempt is due; null where none is.
    pub due: Option<String>,
    /// What was said about the last attempt, by the mail server or the host.
    pub why: Option<String>,
    /// The recipients the mail server refused.
    pub rejected: Vec<Rejected>,
}

impl OutboxMessage {
    pub fn of(message: &Outgoing) -> OutboxMessage {
        let (why, rejected) = match message.outcome.clone() {
            None => (None, Vec::new()),
            Some(outbox::Outcome::Sent { said }) => (Some(said), Vec::new()),
            Some(outbox::Outcome::NotSent { why, rejected, .. }) => (Some(why), rejected),
            Some(outbox::Outcome::Uncertain { why }) => (Some(why), Vec::new()),
        };
        OutboxMessage {
            id: message.approval.clone(),
            intent: message.intent.clone(),
            state: message.state,
            action: message.action.clone(),
            message_id: message.message_id.clone(),
            signed: rfc3339(message.armed_ms),
            sent: message.sent_ms.map(rfc3339),
            attempts: message.attempts,
            due: (message.state == outbox::State::Queued).then(|| rfc3339(message.due_ms)),
            why,
            rejected,
        }
    }
}

/// `outbox list`, `outbox deliver`.
#[derive(Serialize, JsonSchema)]
pub struct OutboxMessages {
    pub messages: Vec<OutboxMessage>,
}

/// `audit verify`.
#[derive(Serialize, JsonSchema)]
pub struct Verified {
    pub entries: u64,
    /// Hash of the last entry.
    pub head: String,
}

/// A line of `audit export`.
#[derive(Serialize, JsonSchema)]
pub struct AuditEntry {
    pub seq: u64,
    pub at: String,
    pub kind: String,
    #[schemars(with = "Map<String, Value>")]
    pub body: Box<RawValue>,
    /// Hash of the entry before; zeros before the first.
    pub previous: String,
    /// SHA-256 over `countersign/audit/v1`, the previous hash as bytes, and `seq`, `at`, `kind` and `body` as they stand here, each
    /// preceded by its length as four bytes, most significant first.
    pub hash: String,
}

/// `approval edit`, `approval revoke`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub approval: Approval,
    /// Hash of the last entry of the audit.
    pub audit_head: String,
}

/// `intent purge`.
#[derive(Serialize, JsonSchema)]
pub struct Purged {
    /// How many intents are gone.
    pub intents: usize,
    /// How many messages that had left went with them.
    pub messages: usize,
    /// How many stay, because a message of theirs is on its way or uncertain.
    pub kept: usize,
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
            ("inspect", schemars::schema_for!(Inspected)),
            ("explain", schemars::schema_for!(Explained)),
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

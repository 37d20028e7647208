//! What is told of things, to programs and people alike: the answers of the HTTP API, and what the command line prints with
//! `--json`. The schemas in `host/cli/schemas/` are generated from these types.

use countersign::approval::body::{Link, Rendered};
use countersign::approval::context::Received;
use countersign::approval::gist::Gist;
use countersign::approval::notices::{Notice, first_time};
use countersign::approval::outbox::Resolution;
use countersign::approval::outbox::{self, Rejected};
use countersign::approval::{Action, Binding, Verdict, Words, decision::State};
use countersign::audit;
use countersign::authority::Capability;
use countersign::clock::rfc3339;
use countersign::desk::Heard;
use countersign::digest::Digest;
use countersign::host::{self, View, letter_name};
use countersign::intent::{Failed as Failing, Intent, Status, numbers};
use countersign::journal::Answer;
use countersign::people::{Person, Role};
use countersign::printable::line;
use countersign::refusals::{Code, Error, Problem, Refusal, Result};
use countersign::store::{self, AgentRow, Audited, Outgoing, PersonRow, Stored, TokenRow};
use countersign::tools::messages;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `run`, `intent resume`, `intent retry`, `approval approve`, `approval decline`, `demo`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Ran {
    /// Id of the intent.
    pub intent: String,
    pub status: Status,
    /// In what it has failed, where it has, however it has ended.
    pub failed: Option<Failing>,
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
            failed: view.intent.failed(),
            card: view.intent.card.clone(),
            approval: view.pending().map(Approval::of),
            reason: reason(&view.intent),
            audit_head: None,
        }
    }

    /// The same of an intent that was shown.
    pub fn shown(intent: &IntentShown) -> Ran {
        Ran {
            intent: intent.id.clone(),
            status: intent.status,
            failed: intent.failed,
            card: intent.card.clone(),
            approval: intent.approvals.iter().find(|asked| asked.state == State::Pending).cloned(),
            reason: intent.reason.clone(),
            audit_head: None,
        }
    }
}

fn reason(intent: &Intent) -> Option<Failure> {
    let reason = intent.reason.as_ref()?;
    let hint = Some(format!("`countersign explain {}` says what to do", reason.code));
    Some(Failure { code: reason.code.to_string(), message: reason.message.clone(), hint })
}

/// Something that was refused or stopped.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Failure {
    /// One of the codes of `explain`.
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    /// What a person is told of an error; what has no code of its own is a fault of the host.
    pub fn of(error: Error) -> (Code, Failure) {
        let problem = Problem::from(error);
        let code = problem.code;
        let hint = problem.hint.unwrap_or_else(|| format!("`countersign explain {code}` says more"));
        (code, Failure { code: code.to_string(), message: problem.message, hint: Some(hint) })
    }
}

/// Every verb, when it fails.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Failed {
    pub error: Failure,
}

/// `approval show`, and an element of `approval list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
    /// The body as it is drawn in text, where that is not the body itself: of HTML, what it is made of in marks between `⟦` and
    /// `⟧`, such as `⟦row 1, column 2⟧` and `⟦1⟧` behind the first link; of any, each line that mixes directions in every order.
    pub body_text: Option<String>,
    /// Where the links of a body in HTML lead, in the order of their numbers.
    pub body_links: Vec<Link>,
    /// The agent's words, quoted. They decide nothing.
    pub agent_says: Words,
    /// What deserves a second look.
    pub flags: Vec<Notice>,
    pub asked: String,
    pub expires: String,
    pub decided: Option<Decided>,
    /// What of the mail its run has read it answers; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<Answered>,
}

/// What a message answers: of the mail its run has read, the latest messages from those it would go to.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Answered {
    /// Whether it is not told, because whoever asks may not read that mailbox.
    pub withheld: bool,
    /// The latest first, at most three. Foreign.
    pub messages: Vec<Read>,
}

/// A message as a run has read it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    pub id: String,
    /// The address it says it is from.
    pub from: String,
    pub at: String,
    pub subject: String,
    /// How its body begins, at most 2,000 characters.
    pub body: String,
    /// Whether the body goes on.
    pub goes_on: bool,
}

impl From<Received> for Read {
    fn from(it: Received) -> Read {
        Read { id: it.id, from: it.from, at: it.at, subject: it.subject, body: it.body, goes_on: it.goes_on }
    }
}

/// A decision.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Decided {
    /// `approve` or `decline`.
    pub verdict: String,
    pub at: String,
    /// Who, and through what, as it is recorded: a user of the operating system at a shell; `NAME/browser`; `NAME/tok_…`, a program.
    pub by: String,
    /// The same in words: `a program with anna's token "nightly" (tok_…)`. Foreign.
    #[serde(default)]
    pub who: String,
    pub note: Option<String>,
}

impl Approval {
    pub fn of(stored: &Stored) -> Approval {
        let approval = &stored.approval;
        let action = approval.leaving();
        let (drawn, body_links) = action.map(Rendered::of).map(|it| (it.drawn, it.links)).unzip();
        let body_text = drawn.filter(|drawn| action.is_some_and(|action| action.body != *drawn));
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
            flags: stored.notices(),
            asked: rfc3339(approval.asked_ms),
            expires: rfc3339(approval.expires_ms),
            decided: stored.decided.as_ref().map(|decided| Decided {
                verdict: match decided.verdict {
                    Verdict::Approve => "approve".into(),
                    Verdict::Decline => "decline".into(),
                },
                at: rfc3339(decided.at_ms),
                by: decided.by.clone(),
                who: stored.decided_by().unwrap_or_default(),
                note: decided.note.clone(),
            }),
            answered: None,
        }
    }

    /// The same, with what it answers; `None` is withheld from whoever asks.
    pub fn answering(self, received: Option<Vec<Received>>) -> Approval {
        let withheld = received.is_none();
        let messages = received.unwrap_or_default().into_iter().map(Read::from).collect();
        Approval { answered: Some(Answered { withheld, messages }), ..self }
    }

    /// The message in a few lines, if there is one.
    pub fn gist(&self) -> Option<Gist> {
        Some(Gist::of(self.action.as_ref()?, &|address| first_time(address, &self.flags).is_some()))
    }
}

/// `approval list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Approvals {
    pub approvals: Vec<Approval>,
    /// Goes on with `before`; null at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An element of `intent list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct IntentRow {
    pub id: String,
    pub agent: String,
    pub action: String,
    pub status: Status,
    /// In what it has failed, where it has, however it has ended.
    pub failed: Option<Failing>,
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
            failed: intent.failed(),
            submitted: rfc3339(intent.submitted_ms),
            updated: rfc3339(intent.updated_ms),
            reason: intent.reason.as_ref().map(|reason| reason.code.to_string()),
        }
    }
}

/// `intent list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Intents {
    pub intents: Vec<IntentRow>,
    /// Goes on with `before`; null at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `intent show`, `intent cancel`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
    /// In what it has failed, where it has, however it has ended.
    pub failed: Option<Failing>,
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

impl IntentShown {
    pub fn of(view: &View, journal: Vec<Heard>) -> IntentShown {
        let intent = &view.intent;
        let ran = Ran::of(view);
        IntentShown {
            id: intent.id.clone(),
            agent: intent.agent.clone(),
            agent_digest: intent.digest.to_string(),
            action: intent.action.clone(),
            parameters: intent.parameters.clone(),
            text: intent.text.clone(),
            status: intent.status,
            failed: intent.failed(),
            live: view.live,
            submitted: rfc3339(intent.submitted_ms),
            updated: rfc3339(intent.updated_ms),
            retry_of: intent.retry_of.clone(),
            timeline: timeline(journal),
            approvals: view.approvals.iter().map(Approval::of).collect(),
            card: ran.card,
            reason: ran.reason,
            log: intent.log.clone(),
        }
    }
}

/// The calls of a journal, in order.
pub fn timeline(journal: Vec<Heard>) -> Vec<Call> {
    journal.into_iter().enumerate().map(|(number, heard)| Call::of(number, heard)).collect()
}

/// One answered call.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Call {
    pub number: usize,
    pub at: String,
    pub call: String,
    pub request: Value,
    /// The value the agent heard; null where it heard an error, and where it is withheld.
    pub answer: Value,
    /// Whether the answer is left out: it is of a mailbox that whoever asks may not read.
    #[serde(default)]
    pub withheld: bool,
    /// The error it heard, code first.
    pub refused: Option<String>,
    /// What the error said beside: the field at fault, the cure.
    pub details: Option<Value>,
}

impl Call {
    fn of(number: usize, Heard { entry, withheld }: Heard) -> Call {
        let parse = |text: &str| serde_json::from_str(text).map(contract_names).unwrap_or(Value::Null);
        let (answer, refused, details) = match entry.answer {
            Answer::Value(json) => (parse(&json), None, None),
            Answer::Refused(Refusal { code, message, details }) => {
                (Value::Null, Some(format!("{code}: {message}")), details)
            }
        };
        Call {
            number,
            at: rfc3339(entry.at_ms),
            call: entry.call,
            request: parse(&entry.request),
            answer,
            withheld,
            refused,
            details,
        }
    }

    /// The command that would have admitted the call, where it was not admitted.
    pub fn cure(&self) -> Option<&str> {
        self.details.as_ref().and_then(|details| details["grant"].as_str())
    }
}

/// The same value with its members named as in the contract, `approvalId`; the journal keeps the names of the bindings.
fn contract_names(value: Value) -> Value {
    let camel = |name: String| {
        let mut parts = name.split('_');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |name, part| {
            let (head, tail) = part.split_at(part.len().min(1));
            name + &head.to_ascii_uppercase() + tail
        })
    };
    match value {
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (camel(name), contract_names(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(contract_names).collect(),
        other => other,
    }
}

/// An installed agent: `agent show`, `agent install`, `agent grant`, `agent revoke`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Agents {
    pub agents: Vec<Agent>,
}

/// `agent remove`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Removed {
    pub removed: String,
}

/// Something that came with a message and is not part of its text. The sender chose all of it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Attachment {
    /// Its file name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `type/subtype`
    #[serde(rename = "type")]
    pub kind: String,
    /// Its size in bytes; absent where not all of the message is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// What else is known of a message. Everything may be absent.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Extras {
    /// Without angle brackets, as are the next two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The message this one answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The first message of its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// Addresses of the Cc headers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    /// Where answers are to go, if not to the sender.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reply_to: Vec<String>,
    /// Names that stand beside addresses, by address. Whoever wrote the message chose them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    /// At most 32.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

/// An element of `mailbox list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Message {
    pub id: String,
    pub from: String,
    pub to: Vec<String>,
    pub subject: String,
    pub body: String,
    pub truncated: bool,
    pub timestamp: String,
    pub unread: bool,
    #[serde(default)]
    pub extras: Extras,
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
            extras: mail.extras.and_then(|extras| serde_json::from_str(&extras).ok()).unwrap_or_default(),
        }
    }
}

/// `mailbox list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Messages {
    pub messages: Vec<Message>,
    /// Goes on with `before`; null at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Messages {
    /// The first `limit` of what was found; with one more there is a next page.
    pub fn page(mut found: Vec<messages::Mail>, limit: u32) -> Messages {
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|mail| mail.id.clone());
        Messages { messages: found.into_iter().map(Message::of).collect(), next }
    }
}

/// An element of `mailbox sent`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
    /// Whether nobody has got it: its user has no way out for mail, and it is kept in the embedded mailbox.
    #[serde(default)]
    pub kept: bool,
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
            kept: sent.kept,
            intent: action.intent,
            approval: sent.approval.clone(),
            file: format!("sent/{}", letter_name(&sent.message_id)),
        }
    }
}

/// `mailbox sent`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Sent {
    pub messages: Vec<SentMessage>,
    /// Goes on with `before`; null at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Sent {
    /// The first `limit` of what was found; with one more there is a next page.
    pub fn page(found: &[store::Sent], limit: u32) -> Sent {
        let shown = &found[..found.len().min(limit as usize)];
        let next = shown.last().filter(|_| found.len() > shown.len()).map(|sent| sent.id.clone());
        Sent { messages: shown.iter().map(SentMessage::of).collect(), next }
    }
}

/// `outbox show`, `outbox resolve`, and an element of `outbox list`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
    /// When it is given up if it has not been taken by then; null where it is not on its way.
    pub until: Option<String>,
    /// Where it was not sent: until when it may be offered again under the signature it has; null where a person has said that it shall not.
    pub expires: Option<String>,
    /// What was said about the last attempt, by the mail server or the host.
    pub why: Option<String>,
    /// The recipients the mail server refused.
    pub rejected: Vec<Rejected>,
    /// Hash of the last entry of the audit, where somebody has just said what is to become of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit_head: Option<String>,
}

impl OutboxMessage {
    /// Where it is, as people say it.
    pub fn standing(&self) -> &'static str {
        match self.state {
            outbox::State::Armed => "signed, not sent yet",
            outbox::State::Queued => "queued",
            outbox::State::Attempting => "being handed over",
            outbox::State::Kept => "kept here, not sent",
            outbox::State::Sent => "sent",
            outbox::State::NotSent => "not sent",
            outbox::State::Uncertain => "uncertain",
            outbox::State::Cancelled => "cancelled",
        }
    }

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
            until: matches!(message.state, outbox::State::Queued | outbox::State::Attempting)
                .then(|| rfc3339(message.until_ms)),
            expires: (message.state == outbox::State::NotSent && !message.resent)
                .then(|| rfc3339(message.expires_ms)),
            why,
            rejected,
            audit_head: None,
        }
    }
}

/// `outbox list`, `outbox deliver`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct OutboxMessages {
    pub messages: Vec<OutboxMessage>,
    /// Goes on with `before`; null at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `audit verify`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Verified {
    pub entries: u64,
    /// Hash of the last entry.
    pub head: String,
}

impl Verified {
    /// # Errors
    ///
    /// `AUDIT_BROKEN`, saying where.
    pub fn of(audited: &Audited) -> Result<Verified, Problem> {
        if let Some(broken) = &audited.broken {
            let message = format!("audit entry {} {}", broken.seq, broken.what);
            let hint = format!("everything before entry {} is as it was written", broken.seq);
            return Err(Problem::new(Code::AuditBroken, message).hint(hint));
        }
        if let Some(stray) = audited.strays.first() {
            let message = format!(
                "{} messages have left that the record tells nothing of, or something else; the first is {}",
                audited.strays.len(),
                line(stray)
            );
            return Err(Problem::new(Code::AuditBroken, message));
        }
        Ok(Verified { entries: audited.entries, head: audited.head.to_string() })
    }
}

/// A line of `audit export`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct AuditEntry {
    pub seq: u64,
    pub at: String,
    pub kind: String,
    #[schemars(with = "Map<String, Value>")]
    pub body: Box<RawValue>,
    /// Hash of the entry before; zeros before the first.
    pub previous: String,
    /// SHA-256 over `countersign/audit/v2`, the previous hash as bytes, and `seq`, `at`, `kind` and `body` as they stand here, each
    /// preceded by its length as four bytes, most significant first. Entries of before version 2 begin with `countersign/audit/v1`, and
    /// the seconds of their times have no zeros at the end.
    pub hash: String,
}

impl AuditEntry {
    pub fn of(previous: Digest, entry: audit::Entry) -> Result<AuditEntry> {
        let format = entry.format(previous).unwrap_or(audit::Format::V2);
        Ok(AuditEntry {
            seq: entry.seq,
            at: format.time(entry.at_ms),
            kind: entry.kind,
            // The body stays as it is hashed, byte for byte.
            body: RawValue::from_string(entry.body).map_err(anyhow::Error::from)?,
            previous: previous.to_string(),
            hash: entry.hash.to_string(),
        })
    }
}

/// `approval edit`, `approval revoke`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub approval: Approval,
    /// Hash of the last entry of the audit.
    pub audit_head: String,
}

/// `intent purge`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Purged {
    /// How many intents are gone.
    pub intents: usize,
    /// How many messages that had left went with them.
    pub messages: usize,
    /// How many stay, because a message of theirs is on its way or uncertain.
    pub kept: usize,
}

// What the HTTP API alone says.

/// What a request is refused with: a problem document of RFC 9457, `application/problem+json`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument {
    /// The page of the code, at this server.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What happened, to what.
    pub detail: String,
    /// Names the request in the log of the server.
    pub instance: String,
    /// One of the codes of `explain`.
    pub code: String,
    /// What to do next.
    pub hint: String,
}

/// Who the token speaks for.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Me {
    pub tenant: String,
    pub name: String,
    /// What they may do by this token.
    pub roles: Vec<Role>,
    /// Id of the token.
    pub through: String,
}

impl Me {
    pub fn of(person: &Person) -> Me {
        Me {
            tenant: person.tenant.clone(),
            name: person.name.clone(),
            roles: person.roles.iter().copied().collect(),
            through: person.through.clone(),
        }
    }
}

/// Everybody who may sign in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct People {
    pub people: Vec<PersonShown>,
}

/// Somebody who may sign in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonShown {
    pub name: String,
    pub roles: Vec<Role>,
    /// Whether they have followed their link and chosen a password.
    pub joined: bool,
    /// Until when their link can be used, if they have one.
    pub invited_until: Option<String>,
    pub added: String,
    pub added_by: String,
}

impl PersonShown {
    pub fn of(row: &PersonRow) -> PersonShown {
        PersonShown {
            name: row.name.clone(),
            roles: row.roles.iter().copied().collect(),
            joined: row.has_password,
            invited_until: row.invited_until_ms.map(rfc3339),
            added: rfc3339(row.added_ms),
            added_by: row.added_by.clone(),
        }
    }
}

/// A one-time link for somebody, shown once.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Invited {
    pub name: String,
    /// Lets whoever has it choose the password.
    pub link: String,
    pub expires: String,
}

/// The tokens of whoever asks; an operator sees everybody's.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct Tokens {
    pub tokens: Vec<TokenShown>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct TokenShown {
    pub id: String,
    /// Whose it is.
    pub name: String,
    pub label: String,
    pub roles: Vec<Role>,
    pub made: String,
    pub expires: String,
    /// When it was last used, to the minute.
    pub used: Option<String>,
}

impl TokenShown {
    pub fn of(row: &TokenRow) -> TokenShown {
        TokenShown {
            id: row.id.clone(),
            name: row.name.clone(),
            label: row.label.clone(),
            roles: row.roles.iter().copied().collect(),
            made: rfc3339(row.made_ms),
            expires: rfc3339(row.expires_ms),
            used: row.used_ms.map(rfc3339),
        }
    }
}

/// A token that has just been made.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub struct TokenMade {
    pub id: String,
    pub label: String,
    pub roles: Vec<Role>,
    pub expires: String,
    /// The whole of it, shown this once.
    pub token: String,
}

impl TokenMade {
    pub fn of(made: &host::TokenMade) -> TokenMade {
        let row = &made.row;
        TokenMade {
            id: row.id.clone(),
            label: row.label.clone(),
            roles: row.roles.iter().copied().collect(),
            expires: rfc3339(row.expires_ms),
            token: made.token.text(),
        }
    }
}

/// What is asked of an agent.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIntent {
    /// Id of the agent.
    pub agent: String,
    /// One of its actions.
    pub action: String,
    /// As the manifest has them. Integers are at most 2^53.
    #[serde(default, deserialize_with = "exact")]
    pub parameters: Map<String, Value>,
    /// What the user typed.
    #[serde(default)]
    pub text: Option<String>,
}

/// Reads parameters whose integers all agents can hold, as they stand in the text.
fn exact<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Map<String, Value>, D::Error> {
    let text = Box::<RawValue>::deserialize(from)?;
    numbers::exact(text.get()).map_err(|problem| D::Error::custom(problem.message))?;
    serde_json::from_str(text.get()).map_err(D::Error::custom)
}

/// A decision about what was shown.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    pub verdict: Verdict,
    /// The digest of what was shown.
    #[schemars(with = "String")]
    pub digest: Digest,
    #[serde(default)]
    pub note: Option<String>,
}

/// What shall leave in place of what was shown.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EditApproval {
    /// The digest of what was shown.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// Another subject.
    #[serde(default)]
    pub subject: Option<String>,
    /// Another body, of the same kind.
    #[serde(default)]
    pub body: Option<String>,
    /// Recipients it shall not go to, whatever field they are in.
    #[serde(default)]
    pub remove_recipients: Vec<String>,
}

/// Capabilities to grant.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantCapabilities {
    pub capabilities: Vec<Capability>,
}

/// What is to become of a message that is uncertain.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    pub resolution: Resolution,
}

/// Somebody to be asked in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    pub name: String,
    pub roles: Vec<Role>,
}

/// What somebody is there for from now on.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRoles {
    pub roles: Vec<Role>,
}

/// A token to be made.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeToken {
    /// What it is for, 1 to 64 characters.
    pub label: String,
    /// Some of one's own roles; where none are named, all of them but `approver`: a program signs only where that is said.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
    /// For how many days it is good, 1 to 365.
    pub days: u32,
}

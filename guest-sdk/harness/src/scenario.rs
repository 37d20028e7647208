//! `scenario.json`.

use anyhow::Context as _;
use countersign::approval::outbox::{Outcome, Resolution};
use countersign::approval::policy::HOUR_MS;
use countersign::approval::{self, Verdict};
use countersign::authority::{Capability, Pattern};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What happens in a scenario.
///
/// ```
/// let scenario: countersign_harness::Scenario = serde_json::from_str(r#"{
///     "about": "A declined message does not leave.",
///     "grants": ["messages.send"],
///     "action": "send_report",
///     "steps": ["decline"]
/// }"#).unwrap();
/// assert_eq!(scenario.steps.len(), 1);
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// The sentence this scenario shows to be true.
    pub about: String,
    /// What the user has granted.
    #[serde(default)]
    pub grants: Vec<Capability>,
    /// The manifest, where the component carries none.
    #[serde(default)]
    pub manifest: Option<Value>,
    /// The account mail leaves from.
    #[serde(default = "default_address")]
    pub address: String,
    /// The mailbox.
    #[serde(default)]
    pub mail: Vec<Mail>,
    /// What is asked of the agent.
    pub action: String,
    /// With what.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// What the user typed.
    #[serde(default)]
    pub text: Option<String>,
    /// Decides all randomness.
    #[serde(default)]
    pub seed: u64,
    /// Fuel per segment.
    #[serde(default = "default_fuel")]
    pub fuel_max: u64,
    /// Crashes the first segment after so many answered calls.
    #[serde(default)]
    pub crash_after: Option<usize>,
    /// The mailbox fails so many calls, from the first segment on.
    #[serde(default)]
    pub backend_errors: usize,
    /// What the operator allows.
    #[serde(default)]
    pub policy: Policy,
    /// Mail leaves by a transport on which its attempts end so, one after another; after the last, every message is taken. Without it,
    /// mail leaves into the embedded mailbox.
    #[serde(default)]
    pub transport: Option<Vec<Attempt>>,
    /// Whether a card may have fields no card has, which are dropped; otherwise the scenario fails.
    #[serde(default)]
    pub unknown_fields: bool,
    /// What happens after the intent has been submitted.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The folder it came from.
    #[serde(skip)]
    folder: PathBuf,
}

fn default_address() -> String {
    "local@localhost".into()
}

fn default_fuel() -> u64 {
    1_000_000_000
}

fn once() -> usize {
    1
}

fn default_content_type() -> String {
    "text/plain; charset=utf-8".into()
}

/// What the operator of a scenario allows.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Whether a person may be asked about a message that is not known yet.
    pub hold: bool,
    /// Whether a body may be HTML.
    pub html: bool,
    /// Whether a line may mix directions of writing.
    pub mixed_directions: bool,
    /// Whom mail may go to; without it, anybody.
    pub recipients: Option<Vec<Pattern>>,
    /// How long an approval may stay undecided.
    pub pending_hours: i64,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { hold: true, html: true, mixed_directions: true, recipients: None, pending_hours: 72 }
    }
}

impl Policy {
    fn as_text(&self) -> String {
        let Policy { hold, html, mixed_directions, recipients, pending_hours } = self;
        let recipients =
            recipients.as_ref().map(|list| list.iter().map(Pattern::as_str).collect::<Vec<_>>().join(" "));
        let recipients = recipients.unwrap_or_else(|| "anybody".into());
        let mixed = if *mixed_directions { "" } else { ", no mixed directions" };
        format!("hold {hold}, html {html}{mixed}, to {recipients}, {pending_hours} h")
    }

    pub(crate) fn as_host(&self) -> approval::Policy {
        let Policy { hold, html, mixed_directions, recipients, pending_hours } = self.clone();
        approval::Policy {
            hold,
            html,
            mixed_directions,
            recipients,
            pending_ms: pending_hours * HOUR_MS,
            ..approval::Policy::default()
        }
    }
}

/// How an attempt to hand a message over ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Attempt {
    /// It is taken.
    Sent,
    /// It is refused, and will be.
    Refused,
    /// It is refused for now.
    Later,
    /// The answer is lost.
    Lost,
}

impl Attempt {
    pub(crate) fn outcome(self) -> Outcome {
        let refused =
            |again| Outcome::NotSent { why: "refused, as rehearsed".into(), again, rejected: vec![] };
        match self {
            Attempt::Sent => Outcome::Sent { said: "taken, as rehearsed".into() },
            Attempt::Refused => refused(false),
            Attempt::Later => refused(true),
            Attempt::Lost => Outcome::Uncertain { why: "lost, as rehearsed".into() },
        }
    }
}

/// What a person changes in a message.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Edit {
    /// Another subject.
    pub subject: Option<String>,
    /// Another body.
    pub body: Option<String>,
    /// Recipients it shall not go to.
    pub remove: Vec<String>,
}

/// A message in the mailbox of a scenario.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mail {
    /// Sender.
    pub from: String,
    /// Recipient.
    #[serde(default = "default_address")]
    pub to: String,
    /// Subject.
    #[serde(default)]
    pub subject: String,
    /// Text.
    #[serde(default)]
    pub body: String,
    /// How often the body is repeated.
    #[serde(default = "once")]
    pub times: usize,
    /// What the body is.
    #[serde(default = "default_content_type")]
    pub content_type: String,
    /// RFC 2822, `Mon, 06 Jan 2025 09:00:00 +0000`. Without one, the time of receipt is when the scenario starts.
    #[serde(default)]
    pub date: Option<String>,
    /// Whether somebody has read it.
    #[serde(default)]
    pub read: bool,
    /// Message-ID without brackets.
    #[serde(default)]
    pub message_id: Option<String>,
    /// Message-ID of the message it answers.
    #[serde(default)]
    pub in_reply_to: Option<String>,
}

/// Something that happens after the intent has been submitted.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Value")]
pub enum Step {
    /// `"approve"`, `"decline"`: the person decides on the latest approval and the run goes on. `"approve, no resume"` leaves
    /// the run where it is; `"approve stale"` decides on something that was not shown.
    Decide {
        /// Yes or no.
        verdict: Verdict,
        /// Leaves the run where it is.
        no_resume: bool,
        /// Decides on another digest than the one shown.
        stale: bool,
    },
    /// `{"edit": {"subject": "…", "body": "…", "remove": ["…"]}}`: the person changes the message of the latest approval.
    Edit(Edit),
    /// `"take back"`: the person takes the latest yes back.
    TakeBack,
    /// `{"resolve": "sent"}`, `"not_sent"` or `"resend"`: the person says what is to become of the message of the latest approval.
    Resolve(Resolution),
    /// `{"policy": {…}}`: the operator allows something else from now on.
    Policy(Policy),
    /// `{"advance": "5m"}`: time passes; `s`, `m`, `h` and `d` are known.
    Advance(i64),
    /// `"expire"`: so much time passes that every approval is over.
    Expire,
    /// `{"crashAfter": 2}`: the next segment crashes after so many answered calls.
    CrashAfter(usize),
    /// `"restart"`: the host is opened again, and the run picked up.
    Restart,
    /// `"resume"`: the run is picked up.
    Resume,
    /// `"cancel"`: the person cancels the intent.
    Cancel,
    /// `{"mail": [MAIL…]}`: mail arrives.
    Mail(Vec<Mail>),
    /// `{"grant": ["messages.send"]}`.
    Grant(Vec<Capability>),
    /// `{"revoke": ["messages.send"]}`.
    Revoke(Vec<Capability>),
    /// `{"deny": ["messages.send"]}`: the same, told as what the agent meets.
    Deny(Vec<Capability>),
    /// `"backendError"`, `{"backendError": 2}`: the mailbox fails its next call, or so many.
    BackendError(usize),
}

/// For who has written another.
const STEPS: &str = "\"approve\", \"decline\", \"take back\", \"expire\", \"restart\", \"resume\", \"cancel\", \
                     \"backendError\", {\"edit\": {…}}, {\"resolve\": \"sent\"}, {\"policy\": {…}}, {\"advance\": \"5m\"}, {\"crashAfter\": 1}, {\"backendError\": 2}, {\"mail\": […]}, {\"grant\": […]}, \
                     {\"revoke\": […]} and {\"deny\": […]}";

impl TryFrom<Value> for Step {
    type Error = String;

    fn try_from(value: Value) -> Result<Step, String> {
        let decide = |verdict, no_resume, stale| Ok(Step::Decide { verdict, no_resume, stale });
        let unknown = || format!("`{value}` is not a step; there are {STEPS}");
        if let Some(word) = value.as_str() {
            return match word {
                "approve" => decide(Verdict::Approve, false, false),
                "decline" => decide(Verdict::Decline, false, false),
                "approve, no resume" => decide(Verdict::Approve, true, false),
                "decline, no resume" => decide(Verdict::Decline, true, false),
                "approve stale" => decide(Verdict::Approve, false, true),
                "take back" => Ok(Step::TakeBack),
                "expire" => Ok(Step::Expire),
                "restart" => Ok(Step::Restart),
                "resume" => Ok(Step::Resume),
                "cancel" => Ok(Step::Cancel),
                "backendError" => Ok(Step::BackendError(1)),
                _ => Err(unknown()),
            };
        }
        let object = value.as_object().filter(|object| object.len() == 1).ok_or_else(unknown)?;
        let (name, what) = object.iter().next().ok_or_else(unknown)?;
        let count = || what.as_u64().map(|number| number as usize).ok_or_else(unknown);
        let capabilities = || serde_json::from_value(what.clone()).map_err(|error| error.to_string());
        match name.as_str() {
            "edit" => serde_json::from_value(what.clone()).map(Step::Edit).map_err(|error| error.to_string()),
            "resolve" => {
                serde_json::from_value(what.clone()).map(Step::Resolve).map_err(|error| error.to_string())
            }
            "policy" => {
                serde_json::from_value(what.clone()).map(Step::Policy).map_err(|error| error.to_string())
            }
            "advance" => what.as_str().and_then(duration).map(Step::Advance).ok_or_else(unknown),
            "crashAfter" => count().map(Step::CrashAfter),
            "backendError" => count().map(Step::BackendError),
            "mail" => serde_json::from_value(what.clone()).map(Step::Mail).map_err(|error| error.to_string()),
            "grant" => capabilities().map(Step::Grant),
            "revoke" => capabilities().map(Step::Revoke),
            "deny" => capabilities().map(Step::Deny),
            _ => Err(unknown()),
        }
    }
}

/// Reads `90s`, `5m`, `72h` or `30d`, also with a minus.
fn duration(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(unit)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |list: &[Capability]| list.iter().map(|c| c.name()).collect::<Vec<_>>().join(" ");
        match self {
            Step::Decide { verdict, no_resume, stale } => {
                let name = super::verdict_name(*verdict);
                let stale = if *stale { " what was not shown" } else { "" };
                write!(f, "{name}{stale}{}", if *no_resume { ", no resume" } else { "" })
            }
            Step::Edit(Edit { subject, body, remove }) => {
                let subject = subject.as_ref().map(|subject| format!(" subject {subject}"));
                let body = body.as_ref().map(|body| format!(" body {body}"));
                let removed: String = remove.iter().map(|address| format!(" without {address}")).collect();
                write!(f, "edit{}{}{removed}", subject.unwrap_or_default(), body.unwrap_or_default())
            }
            Step::TakeBack => f.write_str("take back"),
            Step::Resolve(resolution) => {
                let name = match resolution {
                    Resolution::Sent => "sent",
                    Resolution::NotSent => "not sent",
                    Resolution::Resend => "resend",
                };
                write!(f, "resolve {name}")
            }
            Step::Policy(policy) => write!(f, "policy {}", policy.as_text()),
            Step::Advance(by) => write!(f, "advance {} s", by / 1000),
            Step::Expire => f.write_str("expire"),
            Step::CrashAfter(calls) => write!(f, "crash after call {calls}"),
            Step::Restart => f.write_str("restart"),
            Step::Resume => f.write_str("resume"),
            Step::Cancel => f.write_str("cancel"),
            Step::Mail(mail) => write!(f, "mail arrives: {}", mail.len()),
            Step::Grant(list) => write!(f, "grant {}", names(list)),
            Step::Revoke(list) => write!(f, "revoke {}", names(list)),
            Step::Deny(list) => write!(f, "deny capability {}", names(list)),
            Step::BackendError(calls) => write!(f, "backend errors: {calls}"),
        }
    }
}

impl Scenario {
    /// Reads the scenario in `folder`.
    ///
    /// # Errors
    ///
    /// Naming line and field.
    pub fn load(folder: &Path) -> anyhow::Result<Scenario> {
        let path = folder.join("scenario.json");
        let text = crate::files::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut json = serde_json::Deserializer::from_str(&text);
        let place = || format!("in {}", path.display());
        let scenario: Scenario = serde_path_to_error::deserialize(&mut json).with_context(place)?;
        json.end().with_context(place)?;
        Ok(Scenario { folder: folder.to_owned(), ..scenario })
    }

    /// The folder the scenario came from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn parameters_text(&self) -> String {
        let text = serde_json::to_string(&self.parameters).expect("JSON serializes");
        // The steps of a scripted agent are in scenario.json already, and its calls follow below.
        if text.len() > 200 { "{…}".into() } else { text }
    }
}

/// The longest body of a mail, in bytes.
const MAIL_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Writes mail as a Maildir. Every message was received when the scenario starts.
pub(crate) fn write_mail(mail: &[Mail], folder: &Path) -> anyhow::Result<()> {
    let received = SystemTime::UNIX_EPOCH + Duration::from_millis(super::START_MS.unsigned_abs());
    let current = folder.join("cur");
    std::fs::create_dir_all(&current)?;
    for (number, mail) in mail.iter().enumerate() {
        let mut text = format!("From: {}\r\nTo: {}\r\nSubject: {}\r\n", mail.from, mail.to, mail.subject);
        let brackets = |id: &String| format!("<{id}>");
        let headers = [
            ("Date", mail.date.clone()),
            ("Message-ID", mail.message_id.as_ref().map(brackets)),
            ("In-Reply-To", mail.in_reply_to.as_ref().map(brackets)),
        ];
        for (name, value) in headers {
            if let Some(value) = value {
                text += &format!("{name}: {value}\r\n");
            }
        }
        text += &format!("MIME-Version: 1.0\r\nContent-Type: {}\r\n", mail.content_type);
        let bytes = mail.body.len().saturating_mul(mail.times);
        anyhow::ensure!(bytes <= MAIL_BYTES_MAX, "a mail of {bytes} bytes; {MAIL_BYTES_MAX} is the limit");
        text += &format!("Content-Transfer-Encoding: 8bit\r\n\r\n{}", mail.body.repeat(mail.times));
        let flags = if mail.read { "S" } else { "" };
        let mut file = std::fs::File::create(current.join(format!("{number:04}:2,{flags}")))?;
        file.write_all(text.as_bytes())?;
        file.set_modified(received)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn steps_are_words_or_one_member_objects() {
        let step = |value: Value| Step::try_from(value);
        assert_eq!(step(json!({"advance": "-72h"})), Ok(Step::Advance(-259_200_000)));
        assert_eq!(step(json!({"crashAfter": 2})), Ok(Step::CrashAfter(2)));
        assert_eq!(step(json!("backendError")), Ok(Step::BackendError(1)));
        assert_eq!(step(json!({"backendError": 2})), Ok(Step::BackendError(2)));
        assert_eq!(step(json!({"deny": ["messages.send"]})), Ok(Step::Deny(vec![Capability::MessagesSend])));
        for bad in [
            json!("sign"),
            json!({"advance": "soon"}),
            json!({"advance": ""}),
            json!({"mail": [{}]}),
            json!({"deny": ["everything"]}),
            json!({"backendError": "often"}),
            json!({}),
            json!(1),
        ] {
            assert!(step(bad.clone()).is_err(), "{bad}");
        }
    }
}

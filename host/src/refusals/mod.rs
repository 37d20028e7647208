//! Every code an agent, an operator or a person can hear, and one page for each.
//!
//! To add a code: one line below, and `pages/CODE.md`. Without the page it does not compile.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whom a code speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// A tool call said no; the agent may go on.
    Agent,
    /// The run was stopped; only its operator learns why.
    Operator,
    /// A door said no to the person using it.
    Person,
}

macro_rules! codes {
    ($($audience:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* })*) => {
        /// A closed list: nothing is refused with any other code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($($(#[$doc])* #[serde(rename = $name)] $variant,)*)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Code] = &[$($(Code::$variant,)*)*];

            /// The code as written in errors, journals and scripts.
            pub fn name(self) -> &'static str {
                match self { $($(Code::$variant => $name,)*)* }
            }

            /// The page `countersign explain` shows.
            pub fn page(self) -> &'static str {
                match self { $($(Code::$variant => include_str!(concat!("pages/", $name, ".md")),)*)* }
            }

            /// Whom the code speaks to.
            pub fn audience(self) -> Audience {
                match self { $($(Code::$variant)|* => Audience::$audience,)* }
            }
        }
    };
}

codes! {
    Agent {
        /// The user has not granted the capability.
        CapabilityDenied = "CAPABILITY_DENIED",
        /// A guarded call without an approval that covers exactly it.
        ApprovalRequired = "APPROVAL_REQUIRED",
        /// The person declined the action this call would take.
        ApprovalDenied = "APPROVAL_DENIED",
        /// One or more addresses are not addresses.
        InvalidRecipient = "INVALID_RECIPIENT",
        /// A parameter is missing or malformed; doors use it too.
        InvalidParameter = "INVALID_PARAMETER",
        /// The resource lies outside the manifest's scopes.
        ScopeViolation = "SCOPE_VIOLATION",
        /// No such message, approval or other thing.
        ResourceNotFound = "RESOURCE_NOT_FOUND",
        /// An external call failed.
        NetworkError = "NETWORK_ERROR",
        /// Too many requests.
        RateLimitExceeded = "RATE_LIMIT_EXCEEDED",
        /// Anything unexpected.
        InternalError = "INTERNAL_ERROR",
    }
    Operator {
        /// The agent computed more than a segment may.
        OutOfFuel = "OUT_OF_FUEL",
        /// The agent and its calls took longer than a segment may.
        OutOfTime = "OUT_OF_TIME",
        /// The agent wanted more memory, tables or instances than there are.
        OutOfMemory = "OUT_OF_MEMORY",
        /// The agent recursed too deep.
        StackOverflow = "STACK_OVERFLOW",
        /// The agent crashed.
        Trapped = "TRAPPED",
        /// The agent called `exit`.
        Exited = "EXITED",
        /// The agent handed the host more bytes in one call than a call may carry.
        CallTooLarge = "CALL_TOO_LARGE",
        /// The agent called more often than a run may.
        TooManyCalls = "TOO_MANY_CALLS",
        /// The record of the run is full.
        JournalFull = "JOURNAL_FULL",
        /// The agent's answer is not a card.
        InvalidCard = "INVALID_CARD",
        /// The agent contradicted its own record.
        ReplayDiverged = "REPLAY_DIVERGED",
    }
    Person {
        /// Nothing here has that id.
        UnknownId = "UNKNOWN_ID",
        /// The approval is no longer pending.
        AlreadyDecided = "ALREADY_DECIDED",
        /// The same key came with another order before.
        IdempotencyConflict = "IDEMPOTENCY_CONFLICT",
        /// The server does not know who is asking.
        Unauthenticated = "UNAUTHENTICATED",
        /// The role for it is missing.
        Forbidden = "FORBIDDEN",
        /// Whoever installed an agent does not approve it.
        SelfApproval = "SELF_APPROVAL",
        /// Where a second person signs, whoever asked does not.
        FourEyes = "FOUR_EYES",
        /// The request does not come from a page of this server.
        ForgedRequest = "FORGED_REQUEST",
        /// The link has been used, or is too old.
        LinkExpired = "LINK_EXPIRED",
        /// The request is larger than a request may be.
        RequestTooLarge = "REQUEST_TOO_LARGE",
        /// The server is going down.
        ShuttingDown = "SHUTTING_DOWN",
        /// There is no answer from the server.
        ServerUnreachable = "SERVER_UNREACHABLE",
        /// What was shown is no longer what would leave.
        StaleDigest = "STALE_DIGEST",
        /// Approving away from a terminal needs the digest that was shown.
        DigestRequired = "DIGEST_REQUIRED",
        /// The body of what would be approved is not seen in one way; asked by an earlier version.
        AskAgain = "ASK_AGAIN",
        /// The operator does not allow what would be approved.
        PolicyForbids = "POLICY_FORBIDS",
        /// The message is not uncertain, so there is nothing to find out.
        NotUncertain = "NOT_UNCERTAIN",
        /// What is to be asked again may still leave.
        StillLeaving = "STILL_LEAVING",
        /// The audit chain is not as it was written.
        AuditBroken = "AUDIT_BROKEN",
        /// The manifest does not list the action.
        UndeclaredAction = "UNDECLARED_ACTION",
        /// The intent has ended.
        AlreadyEnded = "ALREADY_ENDED",
        /// Another process is running this intent.
        Busy = "BUSY",
        /// A core module, where a component is needed.
        CoreModule = "CORE_MODULE",
        /// A precompiled file, which is never loaded.
        Precompiled = "PRECOMPILED",
        /// Not WebAssembly, or cut short, or damaged.
        MalformedComponent = "MALFORMED_COMPONENT",
        /// The file is larger than an agent may be.
        ComponentTooLarge = "COMPONENT_TOO_LARGE",
        /// The agent imports something no agent may have.
        ForeignImport = "FOREIGN_IMPORT",
        /// The component does not export what an agent must.
        MissingExport = "MISSING_EXPORT",
        /// The agent imports a tool whose capability it does not declare.
        UndeclaredImport = "UNDECLARED_IMPORT",
        /// There is no manifest.
        ManifestMissing = "MANIFEST_MISSING",
        /// The manifest breaks a rule.
        ManifestInvalid = "MANIFEST_INVALID",
        /// Two manifests that should be one.
        ManifestDiffers = "MANIFEST_DIFFERS",
        /// The agent has intents that have not ended.
        AgentInUse = "AGENT_IN_USE",
        /// The mailbox to import cannot be read.
        MailboxUnreadable = "MAILBOX_UNREADABLE",
        /// The configuration file breaks a rule.
        ConfigInvalid = "CONFIG_INVALID",
        /// The data folder or its database cannot be used as it is.
        StoreUnusable = "STORE_UNUSABLE",
        /// The file is no backup, or is damaged.
        BackupUnusable = "BACKUP_UNUSABLE",
        /// An agent could not be built, or has not been.
        BuildFailed = "BUILD_FAILED",
        /// A command was used in a way it does not understand.
        Usage = "USAGE",
        /// The host failed.
        HostFault = "HOST_FAULT",
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(name: &str) -> Result<Code, ()> {
        Code::ALL.iter().copied().find(|code| code.name() == name).ok_or(())
    }
}

/// What an agent hears when a call is refused. Holds no host detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// One of the codes for agents.
    pub code: Code,
    /// A sentence for people, beginning with the published sentence of the code.
    pub message: String,
    /// What the code's page promises: the bad addresses, the field at fault, the cure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into(), details: None }
    }

    /// Adds the details.
    pub fn with(self, details: serde_json::Value) -> Refusal {
        Refusal { details: Some(details), ..self }
    }

    /// `INVALID_PARAMETER`, naming the field and what it should have been.
    pub fn parameter(field: &str, expected: impl fmt::Display) -> Refusal {
        Refusal::new(Code::InvalidParameter, format!("Parameter `{field}` {expected}."))
            .with(serde_json::json!({ "parameter": field }))
    }
}

/// A door's no: what happened, to what, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What kind of no.
    pub code: Code,
    /// What happened, to what; without a final period.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint of its own; doors then point at the code's page.
    pub fn new(code: Code, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), hint: None }
    }

    /// Says what to do next.
    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }
}

/// Either a person is told no, or the host failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The person's business.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// Ours.
    #[error(transparent)]
    Fault(#[from] anyhow::Error),
}

/// What somebody is told of an error, whatever it travelled as; a fault without a code of its own is `HOST_FAULT`.
impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Refused(problem) => problem,
            Error::Fault(error) => match error.downcast::<Problem>() {
                Ok(problem) => problem,
                Err(error) => Problem::new(Code::HostFault, format!("{error:#}")),
            },
        }
    }
}

/// The result of what a door asks of the host.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code_and_says_what_to_do() {
        for code in Code::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}\n")), "{code}: heading");
            assert!(page.contains("## What to do\n"), "{code}: cure");
            assert_eq!(code.name().parse(), Ok(*code));
        }
    }

    #[test]
    fn every_page_belongs_to_a_code() {
        let pages = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/refusals/pages")).unwrap();
        for page in pages {
            let name = page.unwrap().file_name().into_string().unwrap();
            let code = name.strip_suffix(".md").unwrap().parse::<Code>();
            assert!(code.is_ok(), "{name} explains no code");
        }
    }
}

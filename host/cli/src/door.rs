//! Where a verb acts: on the host of a data folder, or at a server. Both give the same types, so that whoever prints them need not
//! know which it was.

use super::client::{Client, gather};
use super::output::{
    Agent, Agents, Approval, Approvals, AuditEntry, Changed, IntentRow, IntentShown, Intents, Invited,
    Message, Messages, OutboxMessage, OutboxMessages, People, PersonShown, Ran, Removed, Sent, TokenShown,
    Tokens, Verified,
};
use super::run::spinner;
use countersign::agent::Package;
use countersign::approval::outbox::{self, Resolution};
use countersign::approval::{Verdict, decision::State};
use countersign::authority::Capability;
use countersign::clock::{Clock, Millis, rfc3339};
use countersign::desk::Heard;
use countersign::digest::Digest;
use countersign::host::{Edit, Host, Install, Order, View, principal};
use countersign::intent::Status;
use countersign::people::{Owner, Role, Scope};
use countersign::printable::short;
use countersign::refusals::{Code, Problem, Result};
use countersign::store::{LIST_MAX, Only, Page};
use countersign::tools::messages::Query;
use serde_json::json;
use std::time::Duration;

/// How much of an id that names nothing is told.
const ID_CHARS: usize = 40;

/// The host a verb acts on.
pub enum Door {
    /// That of a folder.
    Here(Box<Here>),
    /// That of a server.
    There(Client),
}

/// The host of a folder, and who acts on it.
pub struct Here {
    host: Host,
    tenant: String,
    user: String,
    by: String,
    /// Where people reach its server.
    origin: String,
}

impl Here {
    pub fn new(host: Host, owner: Owner<'_>, origin: String) -> Here {
        Here { host, tenant: owner.tenant.into(), user: owner.user.into(), by: principal(), origin }
    }

    fn everybody(&self) -> Scope<'_> {
        Scope { tenant: &self.tenant, user: None }
    }

    fn owner(&self) -> Owner<'_> {
        Owner { tenant: &self.tenant, user: &self.user }
    }

    fn intent(&self, view: &View) -> Result<IntentShown> {
        let journal = self.host.journal(self.owner(), &view.intent.id)?;
        Ok(IntentShown::of(view, journal.into_iter().map(Heard::whole).collect()))
    }

    fn approval(&self, id: &str) -> Result<Approval> {
        let approval = Approval::of(&self.host.approval(self.owner(), id)?);
        Ok(approval.answering(Some(self.host.answered(self.owner(), id)?)))
    }

    fn changed(&self, id: &str, head: Digest) -> Result<Changed> {
        let approval = self.approval(id)?;
        Ok(Changed { approval, audit_head: head.to_string() })
    }
}

use Door::{Here as Folder, There as Server};

impl Door {
    // Agents

    pub async fn agents(&self) -> Result<Agents> {
        match self {
            Folder(here) => {
                let agents = here.host.agents(here.owner())?;
                Ok(Agents { agents: agents.iter().map(|row| Agent::of(row, vec![])).collect() })
            }
            Server(server) => server.get(&["agents"]).answer().await,
        }
    }

    pub async fn agent(&self, id: &str) -> Result<Agent> {
        match self {
            Folder(here) => Ok(Agent::of(&here.host.agent(here.owner(), id)?, vec![])),
            Server(server) => server.get(&["agents", id]).answer().await,
        }
    }

    pub async fn install(&self, bytes: Vec<u8>, how: Install) -> Result<Agent> {
        match self {
            Folder(here) => {
                let spinner = spinner("compiling");
                let (row, warnings) = here.host.install(here.owner(), bytes, how, &here.by).await?;
                spinner.finish_and_clear();
                Ok(Agent::of(&row, warnings))
            }
            Server(server) => {
                let bytes = packed(bytes, how.manifest.as_deref())?;
                // Who may not ask at all hears so before the upload, not in the middle of it.
                server.get(&["me"]).answer::<serde_json::Value>().await?;
                let grants: Vec<_> = how.grants.iter().map(|capability| capability.name()).collect();
                let mut upload = server.post(&["agents"]);
                if !grants.is_empty() {
                    upload = upload.query("grant", &grants.join(","));
                }
                for (name, set) in [("keepGrants", how.keep_grants), ("strictImports", how.strict_imports)] {
                    if set {
                        upload = upload.query(name, "true");
                    }
                }
                upload.component(bytes).answer().await
            }
        }
    }

    pub async fn remove(&self, id: &str) -> Result<Removed> {
        match self {
            Folder(here) => {
                here.host.remove(&here.tenant, id, &here.by).await?;
                Ok(Removed { removed: id.into() })
            }
            Server(server) => server.delete(&["agents", id]).answer().await,
        }
    }

    pub async fn grant(&self, id: &str, capabilities: &[Capability]) -> Result<Agent> {
        match self {
            Folder(here) => {
                let row = here.host.grant(here.owner(), id, capabilities, &here.by).await?;
                Ok(Agent::of(&row, vec![]))
            }
            Server(server) => {
                let body = json!({ "capabilities": capabilities });
                server.post(&["agents", id, "grants"]).body(&body).answer().await
            }
        }
    }

    pub async fn revoke(&self, id: &str, capabilities: &[Capability]) -> Result<Agent> {
        match self {
            Folder(here) => {
                let row = here.host.revoke(here.owner(), id, capabilities, &here.by).await?;
                Ok(Agent::of(&row, vec![]))
            }
            Server(server) => {
                let names: Vec<_> = capabilities.iter().map(|capability| capability.name()).collect();
                server.delete(&["agents", id, "grants"]).query("capability", &names.join(",")).answer().await
            }
        }
    }

    // Intents

    /// Submits an intent, and waits until it waits for something else or has ended.
    pub async fn submit(&self, order: Order) -> Result<Ran> {
        match self {
            Folder(here) => {
                let Order { agent, action, parameters, text, .. } = order;
                let view = here.host.submit(here.owner(), &agent, &action, parameters, text).await?;
                Ok(Ran::of(&view))
            }
            Server(server) => {
                let Order { agent, action, parameters, text, .. } = order;
                let mut body = json!({ "agent": agent, "action": action, "parameters": parameters });
                if let Some(text) = text {
                    body["text"] = text.into();
                }
                let submit = server.post(&["intents"]).body(&body).once().wait();
                server.follow(submit.answer().await?).await
            }
        }
    }

    pub async fn intents(&self, only: Only<'_>, part: Page<'_>) -> Result<Intents> {
        let (intents, next) = match self {
            Folder(here) => {
                let found = here.host.intents(here.owner(), only, and_one(part))?;
                cut(&found, part, |intent| intent.id.clone(), IntentRow::of)
            }
            Server(server) => {
                let page = || {
                    let Only { status, agent, failed } = only;
                    let asked = [("status", status.map(Status::name)), ("agent", agent)];
                    let asked = asked.into_iter().chain([("failed", failed.then_some("true"))]);
                    asked.fold(server.get(&["intents"]), |page, (name, value)| match value {
                        Some(value) => page.query(name, value),
                        None => page,
                    })
                };
                gather(page, part, |page: Intents| (page.intents, page.next)).await?
            }
        };
        Ok(Intents { intents, next })
    }

    pub async fn intent(&self, id: &str) -> Result<IntentShown> {
        match self {
            Folder(here) => here.intent(&here.host.show(here.owner(), id)?),
            Server(server) => server.get(&["intents", id]).answer().await,
        }
    }

    pub async fn resume(&self, id: &str) -> Result<Ran> {
        match self {
            Folder(here) => Ok(Ran::of(&here.host.resume(here.owner(), id).await?)),
            Server(server) => {
                server.follow(server.post(&["intents", id, "resume"]).wait().answer().await?).await
            }
        }
    }

    /// What has become of an intent whose message was to be offered again: a server does that by itself.
    pub async fn look_again(&self, id: &str) -> Result<Ran> {
        match self {
            Folder(_) => self.resume(id).await,
            Server(_) => Ok(Ran::shown(&self.intent(id).await?)),
        }
    }

    pub async fn retry(&self, id: &str) -> Result<Ran> {
        match self {
            Folder(here) => Ok(Ran::of(&here.host.retry(here.owner(), id).await?)),
            Server(server) => {
                let retry = server.post(&["intents", id, "retry"]).once().wait();
                server.follow(retry.answer().await?).await
            }
        }
    }

    pub async fn cancel(&self, id: &str) -> Result<IntentShown> {
        match self {
            Folder(here) => here.intent(&here.host.cancel(here.owner(), id).await?),
            Server(server) => server.post(&["intents", id, "cancel"]).answer().await,
        }
    }

    // Approvals

    pub async fn approvals(&self, pending: bool, part: Page<'_>) -> Result<Approvals> {
        let (approvals, next) = match self {
            Folder(here) => {
                let found = here.host.approvals(here.owner(), pending, and_one(part))?;
                cut(&found, part, |stored| stored.approval.id.clone(), Approval::of)
            }
            Server(server) => {
                let page = || {
                    let page = server.get(&["approvals"]);
                    if pending { page.query("state", State::Pending.name()) } else { page }
                };
                gather(page, part, |page: Approvals| (page.approvals, page.next)).await?
            }
        };
        Ok(Approvals { approvals, next })
    }

    pub async fn approval(&self, id: &str) -> Result<Approval> {
        match self {
            Folder(here) => here.approval(id),
            Server(server) => server.get(&["approvals", id]).answer().await,
        }
    }

    /// Asks whether a yes of whoever asks would be taken. A server says so when it is given.
    ///
    /// # Errors
    ///
    /// What it would be refused with.
    pub fn may_sign(&self, id: &str) -> Result<()> {
        match self {
            Folder(here) => here.host.may_sign(here.owner(), id, &here.by),
            Server(_) => Ok(()),
        }
    }

    /// Decides, and picks the run up unless it shall stay where it is.
    pub async fn decide(
        &self,
        id: &str,
        verdict: Verdict,
        shown: Digest,
        note: Option<String>,
        no_resume: bool,
    ) -> Result<Ran> {
        match self {
            Folder(here) => {
                let owner = here.owner();
                let head = here.host.decide(owner, id, verdict, shown, &here.by, note).await?;
                let intent = here.host.approval(owner, id)?.intent;
                let view = match no_resume {
                    true => here.host.show(owner, &intent)?,
                    false => here.host.resume(owner, &intent).await?,
                };
                Ok(Ran { audit_head: Some(head.to_string()), ..Ran::of(&view) })
            }
            Server(server) => {
                let mut body = json!({ "verdict": verdict, "digest": shown.to_string() });
                if let Some(note) = note {
                    body["note"] = note.into();
                }
                let decide = server.post(&["approvals", id, "decision"]).body(&body).wait();
                server.follow(decide.answer().await?).await
            }
        }
    }

    pub async fn edit(&self, id: &str, edit: Edit, shown: Option<Digest>) -> Result<Changed> {
        match self {
            Folder(here) => {
                let head = here.host.edit(here.owner(), id, edit, shown, &here.by).await?;
                here.changed(id, head)
            }
            Server(server) => {
                let shown = match shown {
                    Some(shown) => shown.to_string(),
                    None => self.approval(id).await?.digest,
                };
                let mut body = json!({ "digest": shown, "removeRecipients": edit.remove });
                for (name, value) in [("subject", edit.subject), ("body", edit.body)] {
                    if let Some(value) = value {
                        body[name] = value.into();
                    }
                }
                server.post(&["approvals", id, "edit"]).body(&body).answer().await
            }
        }
    }

    pub async fn take_back(&self, id: &str) -> Result<Changed> {
        match self {
            Folder(here) => {
                let head = here.host.take_back(here.owner(), id, &here.by).await?;
                here.changed(id, head)
            }
            Server(server) => server.post(&["approvals", id, "revoke"]).answer().await,
        }
    }

    // Outbox

    pub async fn outbox(&self, open: bool, part: Page<'_>) -> Result<OutboxMessages> {
        let (messages, next) = match self {
            Folder(here) => {
                let found = here.host.outbox(here.owner(), open, and_one(part))?;
                cut(&found, part, |message| message.approval.clone(), OutboxMessage::of)
            }
            Server(server) => {
                let page = || {
                    let page = server.get(&["outbox"]);
                    if open { page.query("open", "true") } else { page }
                };
                gather(page, part, |page: OutboxMessages| (page.messages, page.next)).await?
            }
        };
        Ok(OutboxMessages { messages, next })
    }

    /// The latest of those that have not left, and can be offered again under the signature they have.
    pub async fn not_sent(&self, limit: u32) -> Result<OutboxMessages> {
        let mut messages = self.outbox(false, Page::default()).await?.messages;
        // What cannot be offered again ends nowhere.
        messages.retain(|message| message.expires.is_some());
        messages.truncate(limit as usize);
        Ok(OutboxMessages { messages, next: None })
    }

    pub async fn outgoing(&self, id: &str) -> Result<OutboxMessage> {
        match self {
            Folder(here) => Ok(OutboxMessage::of(&here.host.outgoing(here.owner(), id)?)),
            Server(server) => server.get(&["outbox", id]).answer().await,
        }
    }

    /// Makes the attempts that are due. Gives what is on its way or uncertain then, and what was not sent by them.
    pub async fn deliver(&self) -> Result<OutboxMessages> {
        let before = self.outbox(true, Page::default()).await?.messages;
        match self {
            Folder(here) => {
                here.host.deliver(here.owner()).await?;
            }
            Server(server) => {
                server.post(&["outbox", "deliver"]).wait().answer::<OutboxMessages>().await?;
            }
        }
        let mut list = self.outbox(true, Page::default()).await?;
        let is_open = |id: &str| list.messages.iter().any(|message| message.id == id);
        let mut ended = Vec::new();
        for message in before.iter().filter(|message| !is_open(&message.id)) {
            ended.push(self.outgoing(&message.id).await?);
        }
        list.messages.extend(ended.into_iter().filter(|message| message.state == outbox::State::NotSent));
        Ok(list)
    }

    pub async fn resolve(&self, id: &str, resolution: Resolution) -> Result<OutboxMessage> {
        match self {
            Folder(here) => {
                let message = here.host.resolve(here.owner(), id, resolution, &here.by).await?;
                let head = here.host.audit_head(&here.tenant)?;
                Ok(OutboxMessage { audit_head: Some(head.to_string()), ..OutboxMessage::of(&message) })
            }
            Server(server) => {
                let body = json!({ "resolution": resolution });
                server.post(&["outbox", id, "resolve"]).body(&body).wait().answer().await
            }
        }
    }

    // Audit

    pub async fn verify(&self, head: Option<Digest>) -> Result<Verified> {
        match self {
            Folder(here) => Ok(Verified::of(&here.host.audit(&here.tenant, head)?)?),
            Server(server) => {
                let mut verify = server.get(&["audit", "verify"]).slow();
                if let Some(head) = head {
                    verify = verify.query("head", &head.to_string());
                }
                verify.answer().await
            }
        }
    }

    /// Hands every entry of the record to `take`, in order.
    pub async fn each_audit_entry(&self, mut take: impl FnMut(AuditEntry) -> Result<()>) -> Result<()> {
        match self {
            Folder(here) => here
                .host
                .each_audit_entry(&here.tenant, |previous, entry| take(AuditEntry::of(previous, entry)?)),
            Server(server) => server.get(&["audit"]).each_line(take).await,
        }
    }

    // Mail

    pub async fn mail(&self, query: &Query) -> Result<Messages> {
        match self {
            Folder(here) => {
                let limit = query.limit;
                let found = here.host.mail(here.owner(), &Query { limit: limit + 1, ..query.clone() })?;
                Ok(Messages::page(found, limit))
            }
            Server(server) => {
                let mut mail = server.get(&["mail"]).query("limit", &query.limit.to_string());
                if let Some(from) = &query.from {
                    mail = mail.query("from", from);
                }
                if let Some(after_ms) = query.after_ms {
                    mail = mail.query("after", &rfc3339(after_ms));
                }
                if let Some(before) = &query.before {
                    mail = mail.query("before", before);
                }
                mail.answer().await
            }
        }
    }

    /// One incoming message. What lists them is all there is to ask, so they are gone through, latest first.
    pub async fn message(&self, id: &str) -> Result<Message> {
        let mut query = Query { from: None, after_ms: None, before: None, limit: LIST_MAX };
        loop {
            let page = self.mail(&query).await?;
            if let Some(found) = page.messages.into_iter().find(|message| message.id == id) {
                return Ok(found);
            }
            // A list whose end is where it began has none.
            if page.next.is_none() || page.next == query.before {
                let message = format!("there is no message {} in the mailbox", short(id, ID_CHARS));
                return Err(Problem::new(Code::UnknownId, message)
                    .hint("`countersign mailbox list --json` has the ids")
                    .into());
            }
            query.before = page.next;
        }
    }

    pub async fn sent(&self, before: Option<&str>, limit: u32) -> Result<Sent> {
        match self {
            Folder(here) => {
                let found = here.host.sent_page(here.owner(), Page { before, limit: limit + 1 })?;
                Ok(Sent::page(&found, limit))
            }
            Server(server) => {
                let mut sent = server.get(&["sent"]).query("limit", &limit.to_string());
                if let Some(before) = before {
                    sent = sent.query("before", before);
                }
                sent.answer().await
            }
        }
    }

    // People

    pub async fn people(&self) -> Result<People> {
        match self {
            Folder(here) => {
                let people = here.host.people(&here.tenant)?;
                Ok(People { people: people.iter().map(PersonShown::of).collect() })
            }
            Server(server) => server.get(&["people"]).answer().await,
        }
    }

    /// Without roles, somebody who is there gets another link, and keeps theirs.
    pub async fn invite(&self, name: &str, roles: Vec<Role>) -> Result<Invited> {
        match self {
            Folder(here) => {
                let roles = (!roles.is_empty()).then(|| roles.into_iter().collect());
                let invited = here.host.invite(&here.tenant, name, roles, &here.by).await?;
                Ok(Invited {
                    link: format!("{}/join/{}", here.origin, invited.secret.text()),
                    expires: rfc3339(invited.expires_ms),
                    name: invited.name,
                })
            }
            Server(server) if roles.is_empty() => server.post(&["people", name, "invitation"]).answer().await,
            Server(server) => {
                let body = json!({ "name": name, "roles": roles });
                server.post(&["people"]).body(&body).answer().await
            }
        }
    }

    pub async fn set_roles(&self, name: &str, roles: Vec<Role>) -> Result<PersonShown> {
        match self {
            Folder(here) => {
                let roles = roles.into_iter().collect();
                Ok(PersonShown::of(&here.host.set_roles(&here.tenant, name, &roles, &here.by).await?))
            }
            Server(server) => server.patch(&["people", name]).body(&json!({ "roles": roles })).answer().await,
        }
    }

    pub async fn remove_person(&self, name: &str) -> Result<Removed> {
        match self {
            Folder(here) => {
                here.host.remove_person(&here.tenant, name, &here.by).await?;
                Ok(Removed { removed: name.into() })
            }
            Server(server) => server.delete(&["people", name]).answer().await,
        }
    }

    /// Those of everybody in the tenant; at a server, those whoever asks may end.
    pub async fn tokens(&self) -> Result<Tokens> {
        match self {
            Folder(here) => {
                let tokens = here.host.tokens(here.everybody())?;
                Ok(Tokens { tokens: tokens.iter().map(TokenShown::of).collect() })
            }
            Server(server) => server.get(&["tokens"]).answer().await,
        }
    }

    pub async fn revoke_token(&self, id: &str) -> Result<Removed> {
        match self {
            Folder(here) => {
                here.host.revoke_token(here.everybody(), id, &here.by).await?;
                Ok(Removed { removed: id.into() })
            }
            Server(server) => server.delete(&["tokens", id]).answer().await,
        }
    }

    // Time

    /// How long it is until then. At a server another clock says when it is; there one looks again after a second at the earliest.
    pub fn until(&self, then: Millis) -> Duration {
        let left = |now: Millis| Duration::from_millis((then - now).max(0) as u64);
        match self {
            Folder(here) => left(here.host.clock().now()),
            Server(_) => left(Clock::system().now()).max(Duration::from_secs(1)),
        }
    }
}

/// One row more, which says whether the list goes on.
fn and_one(part: Page<'_>) -> Page<'_> {
    Page { limit: part.limit.saturating_add(1), ..part }
}

/// The rows of a part of a list, as they are told, and the id it goes on behind, where it does.
fn cut<T, R>(
    found: &[T],
    part: Page<'_>,
    id: impl Fn(&T) -> String,
    told: impl Fn(&T) -> R,
) -> (Vec<R>, Option<String>) {
    let shown = &found[..found.len().min(part.limit as usize)];
    let next = shown.last().filter(|_| found.len() > shown.len()).map(id);
    (shown.iter().map(told).collect(), next)
}

/// The component as it is installed: with the manifest beside it inside. Whatever is wrong with it is said before it travels.
fn packed(bytes: Vec<u8>, manifest: Option<&str>) -> Result<Vec<u8>> {
    let package = Package::read(bytes)?;
    match manifest {
        Some(text) => package.pack(text),
        None => package.manifest(None).map(|_| package.bytes),
    }
}

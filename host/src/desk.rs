//! What a person who has shown who they are may do: each deed asks for its role, and goes through the one facade.
//!
//! The doors of a server have a desk for each request and nothing else of the host, so that no door can forget to ask. Whose
//! things are seen, and who is written down, comes from the person alone.

use crate::approval::Verdict;
use crate::approval::context::Received;
use crate::approval::outbox::Resolution;
use crate::audit;
use crate::authority::Capability;
use crate::digest::Digest;
use crate::host::{Edit, Host, Install, Invited, Order, TokenMade, View};
use crate::intent::Intent;
use crate::journal::{Answer, Entry};
use crate::people::{Actor, Deed, Owner, Person, Role, Scope, Through};
use crate::printable::short;
use crate::refusals::{Code, Problem, Result};
use crate::store::{
    Accepted, AgentRow, Audited, Only, Outgoing, Page, PersonRow, Place, Sent, Stored, TokenRow,
};
use crate::tools::messages::{Mail, Query};
use crate::tools::reads_of_somebody;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One person at one host.
#[derive(Clone)]
pub struct Desk {
    host: Arc<Host>,
    person: Person,
}

/// One answer an agent heard, as a person is told of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The call and its answer.
    pub entry: Entry,
    /// Whether the answer is left out, since it is of a mailbox they may not read.
    pub withheld: bool,
}

impl Heard {
    /// All of it.
    pub fn whole(entry: Entry) -> Heard {
        Heard { entry, withheld: false }
    }
}

impl Desk {
    /// The desk of somebody who has shown who they are.
    pub fn new(host: Arc<Host>, person: Person) -> Desk {
        Desk { host, person }
    }

    /// Who sits at it.
    pub fn person(&self) -> &Person {
        &self.person
    }

    /// Asks whether this person may.
    ///
    /// # Errors
    ///
    /// `FORBIDDEN`, naming the roles that may.
    pub fn ask(&self, deed: Deed) -> Result<()> {
        if self.person.may(deed) {
            return Ok(());
        }
        let roles: Vec<_> = deed.roles().iter().map(|role| role.name()).collect();
        let roles = roles.join(" or ");
        // A token may have fewer roles than whoever made it.
        let is_token = matches!(Actor::read(&self.person.by()).through, Through::Token(_));
        let (message, hint) = match is_token {
            true => (
                format!("this token may not do this: it has not the role {roles}"),
                "make one that has it on the page \"People\", or ask an operator for the role",
            ),
            false => (
                format!("{} may not do this: it takes the role {roles}", self.person.name),
                "ask an operator for it",
            ),
        };
        Err(Problem::new(Code::Forbidden, message).hint(hint).into())
    }

    fn owner(&self) -> Owner<'_> {
        self.person.owner()
    }

    fn own(&self) -> Scope<'_> {
        self.owner().into()
    }

    /// What this person may look at.
    fn sight(&self) -> Result<Scope<'_>> {
        self.ask(Deed::LookAtOwn)?;
        Ok(self.person.scope())
    }

    /// Whose intents this person may cancel, pick up and retry.
    fn reach(&self, others: Deed) -> Result<Scope<'_>> {
        if self.person.may(others) {
            return Ok(Scope { tenant: &self.person.tenant, user: None });
        }
        self.ask(Deed::Invoke)?;
        Ok(self.own())
    }

    // Agents

    /// All agents, each with what this person has granted it.
    pub fn agents(&self) -> Result<Vec<AgentRow>> {
        self.ask(Deed::LookAtAgents)?;
        self.host.agents(self.owner())
    }

    /// The agent `id`.
    pub fn agent(&self, id: &str) -> Result<AgentRow> {
        self.ask(Deed::LookAtAgents)?;
        self.host.agent(self.owner(), id)
    }

    /// What an agent could ever do, and never can; see [`Host::powers`].
    pub fn powers(&self, id: &str) -> Result<(Vec<String>, Vec<String>)> {
        self.ask(Deed::LookAtAgents)?;
        self.host.powers(self.owner(), id)
    }

    /// Installs an agent; see [`Host::install`]. Grants are this person's own, and take the role for granting.
    pub async fn install(&self, bytes: Vec<u8>, how: Install) -> Result<(AgentRow, Vec<String>)> {
        self.ask(Deed::ManageAgents)?;
        if !how.grants.is_empty() {
            self.ask(Deed::Grant)?;
        }
        self.host.install(self.owner(), bytes, how, &self.person.by()).await
    }

    /// Removes an agent; see [`Host::remove`].
    pub async fn remove(&self, id: &str) -> Result<()> {
        self.ask(Deed::ManageAgents)?;
        self.host.remove(&self.person.tenant, id, &self.person.by()).await
    }

    /// Grants capabilities on this person's own behalf; see [`Host::grant`].
    pub async fn grant(&self, id: &str, capabilities: &[Capability]) -> Result<AgentRow> {
        self.ask(Deed::Grant)?;
        self.host.grant(self.owner(), id, capabilities, &self.person.by()).await
    }

    /// Takes capabilities away that this person has granted, or that `user` has; see [`Host::revoke`].
    pub async fn revoke(
        &self,
        id: &str,
        capabilities: &[Capability],
        user: Option<&str>,
    ) -> Result<AgentRow> {
        let user = user.unwrap_or(&self.person.name);
        self.ask(if user == self.person.name { Deed::Grant } else { Deed::RevokeAny })?;
        let owner = Owner { tenant: &self.person.tenant, user };
        self.host.revoke(owner, id, capabilities, &self.person.by()).await
    }

    // Intents

    /// Puts an intent down on this person's own behalf; see [`Host::accept`]. Whoever serves drives its run.
    pub async fn submit(&self, order: Order, key: Option<String>) -> Result<Accepted> {
        self.ask(Deed::Invoke)?;
        self.host.accept(self.owner(), order, key, &self.person.by()).await
    }

    /// Puts the same order down again, for the agent as installed now.
    pub async fn retry(&self, id: &str, key: Option<String>) -> Result<Accepted> {
        self.ask(Deed::Invoke)?;
        let Intent { id, agent, action, parameters, text, .. } = self.host.show(self.own(), id)?.intent;
        let order = Order { agent, action, parameters, text, retry_of: Some(id) };
        self.host.accept(self.owner(), order, key, &self.person.by()).await
    }

    /// The place of an intent this person may have picked up, for whoever drives runs in the background.
    pub fn place(&self, id: &str) -> Result<Place> {
        let scope = self.reach(Deed::CancelAny)?;
        let Intent { id, tenant, user, .. } = self.host.show(scope, id)?.intent;
        Ok(Place { tenant, user, intent: id })
    }

    /// Cancels an intent; see [`Host::cancel`].
    pub async fn cancel(&self, id: &str) -> Result<View> {
        let scope = self.reach(Deed::CancelAny)?;
        Ok(self.viewed(self.host.cancel(scope, id).await?))
    }

    /// Intents this person may look at, newest first.
    pub fn intents(&self, only: Only<'_>, page: Page<'_>) -> Result<Vec<Intent>> {
        self.host.intents(self.sight()?, only, page)
    }

    /// An intent as it stands.
    pub fn show(&self, id: &str) -> Result<View> {
        Ok(self.viewed(self.host.show(self.sight()?, id)?))
    }

    /// The journal of an intent, without the mail in it where it is another's.
    pub fn journal(&self, id: &str) -> Result<Vec<Heard>> {
        let scope = self.sight()?;
        let reads = self.reads_mail_of(&self.host.show(scope, id)?.intent.user);
        let heard = |entry: Entry| {
            let is_mail = reads_of_somebody(&entry.call) && matches!(entry.answer, Answer::Value(_));
            match reads || !is_mail {
                true => Heard::whole(entry),
                false => {
                    Heard { entry: Entry { answer: Answer::Value("null".into()), ..entry }, withheld: true }
                }
            }
        };
        Ok(self.host.journal(scope, id)?.into_iter().map(heard).collect())
    }

    /// Whether this person may read the mailbox of `user`: one's own, for those who have one.
    fn reads_mail_of(&self, user: &str) -> bool {
        user == self.person.name && self.person.may(Deed::Invoke)
    }

    // Approvals

    /// Approvals this person may look at, newest first.
    pub fn approvals(&self, pending: bool, page: Page<'_>) -> Result<Vec<Stored>> {
        let found = self.host.approvals(self.sight()?, pending, page)?;
        Ok(found.into_iter().map(|stored| self.seen(stored)).collect())
    }

    /// How many approvals wait that this person may look at: as far as `most`.
    pub fn pending(&self, most: u32) -> Result<u32> {
        self.host.pending(self.sight()?, most)
    }

    /// An approval.
    pub fn approval(&self, id: &str) -> Result<Stored> {
        Ok(self.seen(self.host.approval(self.sight()?, id)?))
    }

    /// The run as this person is told of it.
    fn viewed(&self, view: View) -> View {
        View { approvals: view.approvals.into_iter().map(|stored| self.seen(stored)).collect(), ..view }
    }

    /// The approval as this person is told of it.
    fn seen(&self, stored: Stored) -> Stored {
        Stored { viewer: Some(self.person.name.clone()), ..stored }
    }

    /// What of the mail its run has read an approval answers, for whoever may read that mailbox; nothing for anybody else. See
    /// [`Host::answered`].
    pub fn answered(&self, id: &str) -> Result<Option<Vec<Received>>> {
        let Stored { user, .. } = self.approval(id)?;
        if !self.reads_mail_of(&user) {
            return Ok(None);
        }
        self.host.answered(self.own(), id).map(Some)
    }

    /// Whose approvals this person may decide: those of everybody in the tenant, and not of one who cannot decide.
    fn decides(&self) -> Result<Scope<'_>> {
        self.ask(Deed::Decide)?;
        self.sight()
    }

    /// Decides an approval; see [`Host::decide`]. The run is not picked up.
    pub async fn decide(
        &self,
        id: &str,
        verdict: Verdict,
        shown: Digest,
        note: Option<String>,
    ) -> Result<Digest> {
        if let Some(note) = &note
            && note.len() > NOTE_BYTES_MAX
        {
            let message = format!("a note has at most {NOTE_BYTES_MAX} bytes");
            return Err(Problem::new(Code::InvalidParameter, message).hint("make it shorter").into());
        }
        self.host.decide(self.decides()?, id, verdict, shown, &self.person.by(), note).await
    }

    /// The place of the intent an approval belongs to, for whoever drives its run once this person has decided.
    pub fn decided(&self, id: &str) -> Result<Place> {
        let scope = self.decides()?;
        let Stored { user, intent, .. } = self.host.approval(scope, id)?;
        Ok(Place { tenant: scope.tenant.to_owned(), user, intent })
    }

    /// Changes what would leave; see [`Host::edit`].
    pub async fn edit(&self, id: &str, edit: Edit, shown: Digest) -> Result<Digest> {
        self.host.edit(self.decides()?, id, edit, Some(shown), &self.person.by()).await
    }

    /// Takes a yes back; see [`Host::take_back`].
    pub async fn take_back(&self, id: &str) -> Result<Digest> {
        self.host.take_back(self.decides()?, id, &self.person.by()).await
    }

    // Outbox and mail

    /// Messages of the outbox this person may look at, newest first.
    pub fn outbox(&self, open: bool, page: Page<'_>) -> Result<Vec<Outgoing>> {
        self.host.outbox(self.sight()?, open, page)
    }

    /// How many messages this person may look at that somebody may have to do something about: as far as `most`.
    pub fn undelivered(&self, most: u32) -> Result<u32> {
        self.host.undelivered(self.sight()?, most)
    }

    /// One message of the outbox.
    pub fn outgoing(&self, id: &str) -> Result<Outgoing> {
        self.host.outgoing(self.sight()?, id)
    }

    /// Says what is to become of an uncertain message; see [`Host::resolve`].
    pub async fn resolve(&self, id: &str, resolution: Resolution) -> Result<Outgoing> {
        self.host.resolve(self.decides()?, id, resolution, &self.person.by()).await
    }

    /// Makes the attempts that are due of the messages this person may look at.
    pub async fn deliver(&self) -> Result<Vec<View>> {
        self.ask(Deed::Decide)?;
        self.host.deliver(self.sight()?).await
    }

    /// This person's own incoming mail.
    pub fn mail(&self, query: &Query) -> Result<Vec<Mail>> {
        self.ask(Deed::Invoke)?;
        self.host.mail(self.owner(), query)
    }

    /// The latest of what has left on this person's own behalf, newest first.
    pub fn sent(&self) -> Result<Vec<Sent>> {
        self.sent_page(Page::default())
    }

    /// A page of what has left on this person's own behalf, newest first.
    pub fn sent_page(&self, page: Page<'_>) -> Result<Vec<Sent>> {
        self.ask(Deed::Invoke)?;
        self.host.sent_page(self.owner(), page)
    }

    // Audit

    /// Follows the tenant's audit chain; see [`Host::audit`].
    pub fn audit(&self, head: Option<Digest>) -> Result<Audited> {
        self.ask(Deed::Audit)?;
        self.host.audit(&self.person.tenant, head)
    }

    /// Hands every entry of the tenant's chain to `take`.
    pub fn each_audit_entry(&self, take: impl FnMut(Digest, audit::Entry) -> Result<()>) -> Result<()> {
        self.ask(Deed::Audit)?;
        self.host.each_audit_entry(&self.person.tenant, take)
    }

    /// The last entries of the tenant's chain, newest first, each with the hash before it, and how many there are in all.
    pub fn last_audit_entries(&self, most: usize) -> Result<(Vec<(Digest, audit::Entry)>, usize)> {
        self.ask(Deed::Audit)?;
        self.host.last_audit_entries(&self.person.tenant, most)
    }

    /// The hash of the last entry of the tenant's chain. Whoever decides keeps it.
    pub fn audit_head(&self) -> Result<Digest> {
        self.host.audit_head(&self.person.tenant)
    }

    // People

    /// Everybody in the tenant.
    pub fn people(&self) -> Result<Vec<PersonRow>> {
        self.ask(Deed::ManagePeople)?;
        self.host.people(&self.person.tenant)
    }

    /// Makes a link by which somebody chooses a password; see [`Host::invite`].
    pub async fn invite(&self, name: &str, roles: Option<BTreeSet<Role>>) -> Result<Invited> {
        self.ask(Deed::ManagePeople)?;
        self.host.invite(&self.person.tenant, name, roles, &self.person.by()).await
    }

    /// Gives somebody other roles; see [`Host::set_roles`].
    pub async fn set_roles(&self, name: &str, roles: &BTreeSet<Role>) -> Result<PersonRow> {
        self.ask(Deed::ManagePeople)?;
        self.host.set_roles(&self.person.tenant, name, roles, &self.person.by()).await
    }

    /// Removes somebody; see [`Host::remove_person`].
    pub async fn remove_person(&self, name: &str) -> Result<()> {
        self.ask(Deed::ManagePeople)?;
        self.host.remove_person(&self.person.tenant, name, &self.person.by()).await
    }

    /// The tokens this person may end: their own, or an operator everybody's.
    fn tokens_of(&self) -> Scope<'_> {
        match self.person.may(Deed::ManagePeople) {
            true => Scope { tenant: &self.person.tenant, user: None },
            false => self.own(),
        }
    }

    /// The tokens this person may end.
    pub fn tokens(&self) -> Result<Vec<TokenRow>> {
        self.ask(Deed::KeepTokens)?;
        self.host.tokens(self.tokens_of())
    }

    /// Makes a token for this person; see [`Host::make_token`].
    pub async fn make_token(
        &self,
        label: &str,
        roles: Option<BTreeSet<Role>>,
        days: u32,
    ) -> Result<TokenMade> {
        self.ask(Deed::KeepTokens)?;
        self.host.make_token(&self.person, label, roles, days).await
    }

    /// Ends a token at once; see [`Host::revoke_token`].
    pub async fn revoke_token(&self, id: &str) -> Result<()> {
        self.ask(Deed::KeepTokens)?;
        self.host.revoke_token(self.tokens_of(), id, &self.person.by()).await
    }

    /// Reads roles as a person wrote them.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER`, naming the roles there are.
    pub fn roles<'r>(names: impl IntoIterator<Item = &'r str>) -> Result<BTreeSet<Role>> {
        let role = |name: &str| {
            Role::parse(name).ok_or_else(|| {
                let all: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
                Problem::new(Code::InvalidParameter, format!("`{}` is no role", short(name, 32)))
                    .hint(format!("roles are: {}", all.join(", ")))
                    .into()
            })
        };
        names.into_iter().map(role).collect()
    }
}

/// The longest note beside a decision, in bytes.
pub const NOTE_BYTES_MAX: usize = 2_000;

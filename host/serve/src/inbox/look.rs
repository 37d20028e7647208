//! Pages to look at. Nothing here changes anything.

use super::Inbox;
use super::gate::{Answer, Refused, Session, page};
use super::pages::{self, agents, approvals, audit, entrance, intents, outbox, parameters, people};
use crate::view::{Agent, Approval, AuditEntry, Failure, IntentRow, IntentShown, OutboxMessage, Verified};
use crate::work::busy;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use countersign::approval::outbox::State as Sending;
use countersign::clock::rfc3339;
use countersign::desk::Desk;
use countersign::digest::Digest;
use countersign::host::Edit;
use countersign::intent::FAILED;
use countersign::refusals::{Code, Problem, Result};
use countersign::store::{Only, Page, PersonRow, TokenRow};
use serde::Deserialize;
use std::sync::Arc;

/// How many rows a list has on a page.
pub const ROWS_MAX: u32 = 25;
/// How many uncertain messages stand first in the outbox.
const UNCERTAIN_MAX: u32 = 100;

/// What stands behind the `?` of an address. Hostile.
#[derive(Default, Deserialize)]
pub struct Asked {
    state: Option<String>,
    status: Option<String>,
    agent: Option<String>,
    action: Option<String>,
    before: Option<String>,
    open: Option<String>,
    verify: Option<String>,
    head: Option<String>,
    proof: Option<String>,
    next: Option<String>,
    left: Option<String>,
}

fn rows(before: Option<&str>) -> Page<'_> {
    Page { before: before.filter(|before| !before.is_empty()), limit: ROWS_MAX + 1 }
}

/// Cuts the row too many that says there is more; gives the id behind which that more begins.
fn cut<T>(rows: &mut Vec<T>, id: impl Fn(&T) -> String) -> Option<String> {
    if rows.len() <= ROWS_MAX as usize {
        return None;
    }
    rows.truncate(ROWS_MAX as usize);
    rows.last().map(id)
}

fn ok(session: &Session, drawn: pages::Page) -> Answer {
    Ok(page(StatusCode::OK, drawn, Some(&session.viewer)))
}

// Approvals

pub async fn approvals(session: Session, Query(asked): Query<Asked>) -> Answer {
    let pending = asked.state.as_deref() != Some("all");
    ok(&session, approvals_page(&session, pending, asked.before.as_deref(), &[], "")?)
}

/// The list, and what of several could not be declined.
pub fn approvals_page(
    session: &Session,
    pending: bool,
    before: Option<&str>,
    failed: &[(String, Failure)],
    note: &str,
) -> Result<pages::Page> {
    let mut stored = session.desk.approvals(pending, rows(before))?;
    let next = cut(&mut stored, |stored| stored.approval.id.clone());
    let list = approvals::List { rows: &stored, pending, next: next.as_deref(), failed, note };
    Ok(approvals::list(&session.viewer, &list))
}

pub async fn approval(session: Session, Path(id): Path<String>, Query(asked): Query<Asked>) -> Answer {
    // Only who has just decided here holds the proof of what the record ended with then.
    let head = asked.head.as_deref().filter(|head| {
        session.viewer.seal.fits(&decided(&id), head, asked.proof.as_deref().unwrap_or_default())
    });
    ok(&session, approval_page(&session, &id, None, Typed::default(), head)?)
}

/// What the head of the record is proven for, after a decision.
pub fn decided(id: &str) -> String {
    format!("decided {id}")
}

/// What somebody had typed into a form of an approval that was refused.
#[derive(Clone, Copy, Default)]
pub struct Typed<'a> {
    pub edit: Option<&'a Edit>,
    pub note: &'a str,
}

/// The page of an approval, and what of it could not be done.
pub fn approval_page(
    session: &Session,
    id: &str,
    failed: Option<&Refused>,
    typed: Typed<'_>,
    head: Option<&str>,
) -> Result<pages::Page> {
    let stored = session.desk.approval(id)?;
    let approval = Approval::of(&stored).answering(session.desk.answered(id)?);
    // The one behind this one, or else the first.
    let behind = session.desk.approvals(true, Page { before: Some(id), limit: 1 })?;
    let first = if behind.is_empty() {
        session.desk.approvals(true, Page { before: None, limit: 1 })?
    } else {
        behind
    };
    let next = first.first().map(|stored| stored.approval.id.as_str()).filter(|next| *next != id);
    let outgoing = match approval.used {
        // A yes to a question, and one that let a run go on to its message, have armed none.
        true => session.desk.outgoing(id).ok().map(|message| OutboxMessage::of(&message)),
        false => None,
    };
    let one = approvals::One {
        approval: &approval,
        user: &stored.user,
        outgoing: outgoing.as_ref(),
        next,
        failed: failed.map(Refused::said),
        typed: typed.edit,
        note: typed.note,
        head,
    };
    Ok(approvals::one(&session.viewer, &one))
}

// Intents

pub async fn intents(session: Session, Query(asked): Query<Asked>) -> Answer {
    let status = asked.status.as_deref();
    let failed = status == Some(FAILED);
    let status = intents::STATUSES.into_iter().find(|known| Some(known.name()) == status);
    let agent = asked.agent.as_deref().filter(|agent| !agent.is_empty());
    let mut found = session.desk.intents(Only { status, agent, failed }, rows(asked.before.as_deref()))?;
    let next = cut(&mut found, |intent| intent.id.clone());
    let shown: Vec<_> = found.iter().map(IntentRow::of).collect();
    let agents: Vec<_> = session.desk.agents()?.into_iter().map(|row| row.installed.manifest.id).collect();
    let list = intents::List { rows: &shown, status, failed, agent, agents: &agents, next: next.as_deref() };
    ok(&session, intents::list(&session.viewer, &list))
}

pub async fn intent(State(inbox): State<Arc<Inbox>>, session: Session, Path(id): Path<String>) -> Answer {
    ok(&session, intent_page(&inbox, &session, &id, None)?)
}

/// The page of an intent, and what of it could not be done.
pub fn intent_page(
    inbox: &Inbox,
    session: &Session,
    id: &str,
    failed: Option<&Refused>,
) -> Result<pages::Page> {
    let view = session.desk.show(id)?;
    let mut journal = session.desk.journal(id)?;
    let more_calls = journal.len().saturating_sub(intents::CALLS_SHOWN_MAX);
    journal.truncate(intents::CALLS_SHOWN_MAX);
    let user = view.intent.user.clone();
    let one = intents::One {
        intent: &IntentShown::of(&view, journal),
        user: &user,
        more_calls,
        key: &inbox.host.clock().id("form_"),
        failed: failed.map(Refused::said),
    };
    Ok(intents::one(&session.viewer, &one))
}

pub async fn new_intent(
    State(inbox): State<Arc<Inbox>>,
    session: Session,
    Query(asked): Query<Asked>,
) -> Answer {
    let Some(agent) = asked.agent.as_deref().filter(|agent| !agent.is_empty()) else {
        let agents = session.desk.agents()?.into_iter().map(|row| row.installed.manifest);
        let agents: Vec<_> = agents.map(|manifest| (manifest.id, manifest.name)).collect();
        return ok(&session, intents::choose_agent(&agents));
    };
    let manifest = session.desk.agent(agent)?.installed.manifest;
    let action = asked.action.as_deref().filter(|action| !action.is_empty());
    let is_listed = |listed: &[countersign::agent::IntentSpec]| {
        listed.iter().any(|it| Some(it.action.as_str()) == action)
    };
    if manifest.intents.as_deref().is_some_and(|listed| !is_listed(listed)) {
        return ok(&session, intents::choose_action(&manifest));
    }
    let new = intents::New {
        manifest: &manifest,
        action,
        typed: &parameters::Typed::new(),
        key: &inbox.host.clock().id("form_"),
        failed: None,
    };
    ok(&session, intents::new(&session.viewer, &new))
}

// Agents

pub async fn agents(session: Session) -> Answer {
    let agents: Vec<_> = session.desk.agents()?.iter().map(|row| Agent::of(row, Vec::new())).collect();
    ok(&session, agents::list(&session.viewer, &agents))
}

pub async fn agent(session: Session, Path(id): Path<String>) -> Answer {
    ok(&session, agent_page(&session, &id, None).await?)
}

/// The page of an agent, and what of it could not be done.
pub async fn agent_page(session: &Session, id: &str, failed: Option<&Refused>) -> Result<pages::Page> {
    let row = session.desk.agent(id)?;
    let (desk, name) = (session.desk.clone(), id.to_owned());
    let (could, never) = busy(move || desk.powers(&name)).await?;
    let agent = Agent::of(&row, Vec::new());
    let one = agents::One { agent: &agent, could: &could, never: &never, failed: failed.map(Refused::said) };
    Ok(agents::one(&session.viewer, &one))
}

pub async fn new_agent(session: Session) -> Answer {
    session.desk.ask(countersign::people::Deed::ManageAgents)?;
    ok(&session, agents::new(&session.viewer, None))
}

// Outbox

pub async fn outbox(session: Session, Query(asked): Query<Asked>) -> Answer {
    let open = asked.open.as_deref() == Some("true");
    let before = asked.before.as_deref();
    let mut found = session.desk.outbox(open, rows(before))?;
    let next = cut(&mut found, |message| message.approval.clone());
    // What nobody knows about stands first, however old it is.
    let mut uncertain = Vec::new();
    if before.is_none() {
        uncertain = session.desk.outbox(true, Page { before: None, limit: UNCERTAIN_MAX })?;
        uncertain.retain(|message| message.state == Sending::Uncertain);
        found.retain(|message| message.state != Sending::Uncertain);
    }
    let [uncertain, rows] =
        [uncertain, found].map(|list| list.iter().map(OutboxMessage::of).collect::<Vec<_>>());
    let list = outbox::List { uncertain: &uncertain, rows: &rows, open, next: next.as_deref() };
    ok(&session, outbox::list(&list))
}

pub async fn outgoing(session: Session, Path(id): Path<String>) -> Answer {
    ok(&session, outgoing_page(&session, &id, None)?)
}

/// The page of a message, and what of it could not be done.
pub fn outgoing_page(session: &Session, id: &str, failed: Option<&Refused>) -> Result<pages::Page> {
    let message = OutboxMessage::of(&session.desk.outgoing(id)?);
    Ok(outbox::one(&session.viewer, &message, failed.map(Refused::said)))
}

// Audit

pub async fn audit(session: Session, Query(asked): Query<Asked>) -> Answer {
    let kept = asked.head.as_deref().map(str::trim).unwrap_or_default();
    let desk = session.desk.clone();
    let (last, total) = busy(move || last_entries(&desk)).await?;
    let head = session.desk.audit_head()?;
    let verified = match asked.verify {
        Some(_) => Some(verify(&session.desk, kept).await.map_err(Refused::from)),
        None => None,
    };
    let record = audit::Record {
        head: &head.to_string(),
        entries: &last,
        total,
        verified: verified.as_ref().map(|it| it.as_ref().map_err(Refused::said)),
        asked: kept,
    };
    ok(&session, audit::record(&record))
}

/// The last entries, newest first, and how many there are in all.
fn last_entries(desk: &Desk) -> Result<(Vec<AuditEntry>, usize)> {
    let (last, total) = desk.last_audit_entries(audit::ENTRIES_SHOWN_MAX)?;
    let last = last.into_iter().map(|(previous, entry)| AuditEntry::of(previous, entry));
    Ok((last.collect::<Result<_>>()?, total))
}

async fn verify(desk: &Desk, kept: &str) -> Result<Verified> {
    let head = match kept {
        "" => None,
        kept => Some(Digest::parse(kept).ok_or_else(|| {
            Problem::new(Code::InvalidParameter, "what you kept is no hash")
                .hint("a hash has 64 hexadecimal digits")
        })?),
    };
    let desk = desk.clone();
    let audited = busy(move || desk.audit(head)).await?;
    Ok(Verified::of(&audited)?)
}

// People

pub async fn people(session: Session) -> Answer {
    ok(&session, people_page(&session, None, None, None)?)
}

/// The page of people and tokens, and what was done there or could not be.
pub fn people_page(
    session: &Session,
    secret: Option<people::Secret<'_>>,
    done: Option<&str>,
    failed: Option<&Refused>,
) -> Result<pages::Page> {
    let everybody = match people::sees_everybody(&session.viewer) {
        true => Some(session.desk.people()?.into_iter().map(person).collect::<Vec<_>>()),
        false => None,
    };
    let tokens: Vec<_> = session.desk.tokens()?.into_iter().map(token).collect();
    let page = people::People {
        people: everybody.as_deref(),
        tokens: &tokens,
        secret,
        done,
        failed: failed.map(Refused::said),
    };
    Ok(people::people(&session.viewer, &page))
}

fn person(row: PersonRow) -> people::PersonRow {
    people::PersonRow {
        name: row.name,
        roles: row.roles.into_iter().collect(),
        joined: row.has_password,
        added: rfc3339(row.added_ms),
        added_by: row.added_by,
    }
}

fn token(row: TokenRow) -> people::TokenRow {
    people::TokenRow {
        id: row.id,
        name: row.name,
        label: row.label,
        roles: row.roles.into_iter().collect(),
        expires: rfc3339(row.expires_ms),
        used: row.used_ms.map(rfc3339),
    }
}

// Getting in

pub async fn sign_in(session: Option<SignedIn>, Query(asked): Query<Asked>) -> Answer {
    if session.is_some() {
        return Ok(Redirect::to("/approvals").into_response());
    }
    let next = asked.next.as_deref().filter(|next| super::gate::is_path(next)).unwrap_or_default();
    let drawn = entrance::SignIn { next, left: asked.left.is_some(), name: "", failed: None };
    Ok(page(StatusCode::OK, entrance::sign_in(&drawn), None))
}

pub async fn join(State(inbox): State<Arc<Inbox>>, Path(secret): Path<String>) -> Answer {
    let invitation = inbox.host.invited(&secret)?;
    let path = format!("/join/{}", pages::text::part(&secret));
    Ok(page(StatusCode::OK, entrance::join(&invitation.tenant, &invitation.name, &path, None), None))
}

/// Somebody who may be signed in.
pub struct SignedIn;

impl<S: Sync> axum::extract::OptionalFromRequestParts<S> for SignedIn {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        _state: &S,
    ) -> Result<Option<SignedIn>, std::convert::Infallible> {
        Ok(parts.extensions.get::<Session>().map(|_| SignedIn))
    }
}

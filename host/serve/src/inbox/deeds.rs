//! What people do: each of these is a form that was proven to come from a page made for this session, this deed and, where it is about
//! a message, this digest. What has begun goes on when the browser hangs up.

use super::gate::{Answer, Fields, Posted, Refused, Session, page, proven, too_large};
use super::look;
use super::pages::approvals::editable;
use super::pages::people::Secret;
use super::pages::{agents, entrance, intents, outbox, parameters, text};
use super::{FIELDS_MAX, Inbox, cookie, gate};
use crate::view::Failure;
use crate::work::finish;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{Multipart, Path, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect};
use countersign::agent::Schema;
use countersign::agent::manifest::MANIFEST_BYTES_MAX;
use countersign::agent::package::COMPONENT_BYTES_MAX;
use countersign::approval::{Action, Verdict};
use countersign::authority::Capability;
use countersign::clock::rfc3339;
use countersign::desk::Desk;
use countersign::digest::Digest;
use countersign::host::{Edit, Install, Order, Signed};
use countersign::people::throttle::Tried;
use countersign::people::{Deed, Role, TENANT};
use countersign::printable::{line, short};
use countersign::refusals::{Code, Error, Problem, Result};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The longest field beside a component, in bytes.
const SMALL_FIELD_BYTES_MAX: usize = 4 * 1024;

/// Leads to another page.
fn to(path: &str) -> Answer {
    Ok(Redirect::to(path).into_response())
}

/// The page a deed was refused on, with the refusal above it.
fn again(refused: &Refused, session: &Session, drawn: super::pages::Page) -> Answer {
    Ok(page(refused.status(), drawn, Some(&session.viewer)))
}

// Approvals

pub async fn approve(State(inbox): State<Arc<Inbox>>, Path(id): Path<String>, posted: Posted) -> Answer {
    decide(inbox, id, posted, Verdict::Approve).await
}

pub async fn decline(State(inbox): State<Arc<Inbox>>, Path(id): Path<String>, posted: Posted) -> Answer {
    decide(inbox, id, posted, Verdict::Decline).await
}

async fn decide(inbox: Arc<Inbox>, id: String, posted: Posted, verdict: Verdict) -> Answer {
    let Posted { session, fields } = posted;
    let note = note(&fields);
    let shown = digest(fields.get("digest")).map_err(|error| Refused::from(error).keeping(&fields))?;
    let (desk, host, name, said) = (session.desk.clone(), inbox.clone(), id.clone(), note.clone());
    let decided = finish(async move {
        let head = desk.decide(&name, verdict, shown, said).await?;
        let place = desk.decided(&name)?;
        (host.drive)(place).await;
        Ok(head)
    })
    .await;
    match decided {
        Ok(head) => {
            let head = head.to_string();
            let proof = session.viewer.seal.proof(&look::decided(&id), &head);
            to(&format!("/approvals/{}?head={head}&proof={proof}", text::part(&id)))
        }
        Err(error) => {
            let typed = look::Typed { edit: None, note: note.as_deref().unwrap_or_default() };
            approval_again(&session, &id, error.into(), typed, &fields)
        }
    }
}

fn approval_again(
    session: &Session,
    id: &str,
    refused: Refused,
    typed: look::Typed<'_>,
    fields: &Fields,
) -> Answer {
    // What nobody may see is not found, whatever was to be done with it.
    let drawn = look::approval_page(session, id, Some(&refused), typed, None);
    again(&refused, session, drawn.map_err(|error| Refused::from(error).keeping(fields))?)
}

fn note(fields: &Fields) -> Option<String> {
    let note = fields.get("note").replace("\r\n", "\n");
    Some(note.trim().to_owned()).filter(|note| !note.is_empty())
}

fn digest(text: &str) -> Result<Digest> {
    let none = || Problem::new(Code::InvalidParameter, "the form names no digest").hint("open the page anew");
    Ok(Digest::parse(text).ok_or_else(none)?)
}

/// Declines those that were checked, each about the digest that was shown beside it. There is no such way to sign.
pub async fn decline_several(State(inbox): State<Arc<Inbox>>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let note = note(&fields);
    let mut picked = Vec::new();
    for pick in fields.all("approval") {
        let parts: Vec<_> = pick.split(' ').collect();
        let [id, digest, proof] = parts[..] else { return Err(unproven().keeping(&fields)) };
        if !session.viewer.seal.fits(&format!("/approvals/{id}/decline"), digest, proof) {
            return Err(unproven().keeping(&fields));
        }
        picked.push((id.to_owned(), self::digest(digest)?));
    }
    let (desk, host, said) = (session.desk.clone(), inbox.clone(), note.clone());
    let failed = finish(async move {
        let mut failed = Vec::new();
        for (id, shown) in picked {
            match desk.decide(&id, Verdict::Decline, shown, said.clone()).await {
                // Nobody waits for so many.
                Ok(_) => {
                    if let Ok(place) = desk.decided(&id) {
                        drop((host.drive)(place));
                    }
                }
                Err(error) => failed.push((id, error)),
            }
        }
        Ok(failed)
    })
    .await?;
    if failed.is_empty() {
        return to("/approvals");
    }
    let failed: Vec<_> = failed
        .into_iter()
        .map(|(id, error)| (id, Refused::from(error).said().1.clone()))
        .collect::<Vec<(String, Failure)>>();
    let note = note.unwrap_or_default();
    let drawn = look::approvals_page(&session, true, None, &failed, &note)?;
    Ok(page(StatusCode::CONFLICT, drawn, Some(&session.viewer)))
}

fn unproven() -> Refused {
    Problem::new(Code::ForgedRequest, "what was checked does not prove that this session was shown it").into()
}

pub async fn edit(Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let lost = |error: Error| Refused::from(error).keeping(&fields);
    let shown = digest(fields.get("digest")).map_err(lost)?;
    let stored = session.desk.approval(&id).map_err(lost)?;
    let edit = match stored.approval.leaving() {
        Some(action) => edited(action, &fields),
        None => Edit::default(),
    };
    let (desk, name, wanted) = (session.desk.clone(), id.clone(), edit.clone());
    let is_current = stored.approval.digest == shown;
    let changed = finish(async move {
        if is_current && wanted == Edit::default() {
            let problem = Problem::new(Code::InvalidParameter, "nothing was changed");
            return Err(problem.hint("change the subject or the body, or remove a recipient").into());
        }
        desk.edit(&name, wanted, shown).await
    })
    .await;
    match changed {
        Ok(_) => to(&format!("/approvals/{}", text::part(&id))),
        Err(error) => {
            let typed = look::Typed { edit: Some(&edit), note: "" };
            approval_again(&session, &id, error.into(), typed, &fields)
        }
    }
}

/// What of the message as shown was changed in the form. A field that says what it said before has not been touched.
fn edited(action: &Action, fields: &Fields) -> Edit {
    let body = fields.get("body").replace("\r\n", "\n");
    let subject = fields.get("subject");
    let recipients: Vec<_> = action.recipients().collect();
    let removed = fields.all("remove").filter_map(|number| recipients.get(number.parse::<usize>().ok()?));
    // Line breaks stay what they were.
    let ends = if action.body.contains("\r\n") { "\r\n" } else { "\n" };
    Edit {
        subject: (subject != line(&action.subject)).then(|| subject.to_owned()),
        body: (body != editable(&action.body)).then(|| body.replace('\n', ends)),
        remove: removed.map(|address| (*address).to_owned()).collect(),
    }
}

pub async fn take_back(Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let (desk, name) = (session.desk.clone(), id.clone());
    match finish(async move { desk.take_back(&name).await }).await {
        Ok(_) => to(&format!("/approvals/{}", text::part(&id))),
        Err(error) => approval_again(&session, &id, error.into(), look::Typed::default(), &fields),
    }
}

// Intents

pub async fn submit(State(inbox): State<Arc<Inbox>>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let (agent, action) = (fields.get("agent"), fields.get("action"));
    let manifest = session.desk.agent(agent).map_err(|error| Refused::from(error).keeping(&fields))?;
    let manifest = manifest.installed.manifest;
    let listed = manifest.intents.iter().flatten().find(|intent| intent.action == action);
    let schema = listed.and_then(|intent| intent.parameters.as_ref()).map(Schema::json);
    let typed: parameters::Typed = fields.0.iter().cloned().collect();
    let said = fields.get("text").replace("\r\n", "\n");
    let key = Some(fields.get("key").to_owned()).filter(|key| !key.is_empty());
    let order = parameters::read(schema, &typed).map(|parameters| Order {
        agent: agent.to_owned(),
        action: action.to_owned(),
        parameters,
        text: Some(said).filter(|said| !said.is_empty()),
        retry_of: None,
    });
    let (desk, host) = (session.desk.clone(), inbox.clone());
    let submitted = finish(async move {
        let order = order.map_err(|wrong| {
            Problem::new(Code::InvalidParameter, short(&wrong, 300))
                .hint("correct the field and submit again")
        })?;
        let accepted = desk.submit(order, key).await?;
        if !accepted.again {
            (host.drive)(desk.place(&accepted.intent)?).await;
        }
        Ok(accepted.intent)
    })
    .await;
    match submitted {
        Ok(intent) => to(&format!("/intents/{}", text::part(&intent))),
        Err(error) => {
            let refused = Refused::from(error);
            let new = intents::New {
                manifest: &manifest,
                action: Some(action),
                typed: &typed,
                // What is sent now is another order, and must not meet the key of the first.
                key: &inbox.host.clock().id("form_"),
                failed: Some(refused.said()),
            };
            again(&refused, &session, intents::new(&session.viewer, &new))
        }
    }
}

pub async fn cancel(State(inbox): State<Arc<Inbox>>, Path(id): Path<String>, posted: Posted) -> Answer {
    let session = posted.session;
    let (desk, name) = (session.desk.clone(), id.clone());
    let cancelled = finish(async move { desk.cancel(&name).await.map(drop) }).await;
    intent_again(&inbox, &session, &id, cancelled.map(|()| id.clone()))
}

pub async fn resume(State(inbox): State<Arc<Inbox>>, Path(id): Path<String>, posted: Posted) -> Answer {
    let session = posted.session;
    let resumed = session.desk.place(&id);
    if let Ok(place) = &resumed {
        (inbox.drive)(place.clone()).await;
    }
    intent_again(&inbox, &session, &id, resumed.map(|_| id.clone()))
}

pub async fn retry(State(inbox): State<Arc<Inbox>>, Path(id): Path<String>, posted: Posted) -> Answer {
    let session = posted.session;
    let (desk, host, name) = (session.desk.clone(), inbox.clone(), id.clone());
    let retried = finish(async move {
        let accepted = desk.retry(&name, None).await?;
        (host.drive)(desk.place(&accepted.intent)?).await;
        Ok(accepted.intent)
    })
    .await;
    intent_again(&inbox, &session, &id, retried)
}

fn intent_again(inbox: &Inbox, session: &Session, id: &str, done: Result<String>) -> Answer {
    match done {
        Ok(intent) => to(&format!("/intents/{}", text::part(&intent))),
        Err(error) => {
            let refused = Refused::from(error);
            again(&refused, session, look::intent_page(inbox, session, id, Some(&refused))?)
        }
    }
}

// Agents

/// A component and what stands beside it in the form. The proof comes before the file, which is read only if it fits.
pub async fn install(State(inbox): State<Arc<Inbox>>, session: Session, request: Request) -> Answer {
    let _turn = inbox.uploads.try_acquire().map_err(|_| {
        Problem::new(Code::Busy, "other components are being installed").hint("try again in a moment")
    })?;
    session.desk.ask(Deed::ManageAgents)?;
    let form = uploaded(&session, request).await?;
    let desk = session.desk.clone();
    let installed = finish(async move {
        let Upload { component, manifest, fields } = form;
        let grants = capabilities(fields.all("grant"))?;
        let how = Install {
            manifest,
            grants,
            keep_grants: fields.get("keep") == "yes",
            strict_imports: fields.get("strict") == "yes",
        };
        let (row, _) = desk.install(component, how).await?;
        Ok(row.installed.manifest.id)
    })
    .await;
    match installed {
        Ok(id) => to(&format!("/agents/{}", text::part(&id))),
        Err(error) => {
            let refused = Refused::from(error);
            again(&refused, &session, agents::new(&session.viewer, Some(refused.said())))
        }
    }
}

struct Upload {
    component: Vec<u8>,
    manifest: Option<String>,
    fields: Fields,
}

async fn uploaded(session: &Session, request: Request) -> Result<Upload, Refused> {
    use axum::extract::FromRequest as _;
    let path = request.uri().path().to_owned();
    let unreadable = |_| {
        let problem = Problem::new(Code::InvalidParameter, "a component is sent as multipart/form-data");
        Refused::from(problem).with(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    };
    let mut form = Multipart::from_request(request, &()).await.map_err(unreadable)?;
    let (mut component, mut manifest, mut fields) = (Vec::new(), None, Fields(Vec::new()));
    while let Some(mut field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "component" => {
                proven(session, &path, &fields)?;
                component = read(&mut field, COMPONENT_BYTES_MAX).await?;
            }
            "manifest" => {
                let text = String::from_utf8(read(&mut field, MANIFEST_BYTES_MAX).await?)
                    .map_err(|_| Problem::new(Code::ManifestInvalid, "the manifest is no text"))?;
                // A file that was not chosen is sent as an empty one.
                manifest = Some(text).filter(|text| !text.is_empty());
            }
            _ if fields.0.len() < FIELDS_MAX => {
                let bytes = read(&mut field, SMALL_FIELD_BYTES_MAX).await?;
                fields.0.push((name, String::from_utf8_lossy(&bytes).into_owned()));
            }
            _ => return Err(too_large()),
        }
    }
    proven(session, &path, &fields)?;
    if component.is_empty() {
        let problem = Problem::new(Code::InvalidParameter, "no component was chosen");
        return Err(problem.hint("choose a .wasm file").into());
    }
    Ok(Upload { component, manifest, fields })
}

/// Reads a field as far as it may go. The browser is not believed about its length.
async fn read(field: &mut Field<'_>, bytes_max: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > bytes_max {
            let message = format!("a field of the form is larger than {bytes_max} bytes");
            return Err(Problem::new(Code::RequestTooLarge, message).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken(error: MultipartError) -> Refused {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Problem::new(Code::InvalidParameter, "the form broke off, or cannot be read").into(),
    }
}

fn capabilities<'n>(names: impl Iterator<Item = &'n str>) -> Result<Vec<Capability>> {
    let parse = |name: &str| {
        name.parse().map_err(|wrong: String| Problem::new(Code::InvalidParameter, short(&wrong, 300)).into())
    };
    names.map(parse).collect()
}

pub async fn remove(Path(id): Path<String>, posted: Posted) -> Answer {
    let session = posted.session;
    let (desk, name) = (session.desk.clone(), id.clone());
    match finish(async move { desk.remove(&name).await }).await {
        Ok(()) => to("/agents"),
        Err(error) => agent_again(&session, &id, error.into()).await,
    }
}

pub async fn grant(Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let (desk, name) = (session.desk.clone(), id.clone());
    let granted = finish(async move {
        let capabilities = capabilities(fields.all("capability"))?;
        desk.grant(&name, &capabilities).await.map(drop)
    });
    match granted.await {
        Ok(()) => to(&format!("/agents/{}", text::part(&id))),
        Err(error) => agent_again(&session, &id, error.into()).await,
    }
}

pub async fn revoke(Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let (desk, name) = (session.desk.clone(), id.clone());
    let revoked = finish(async move {
        let capabilities = capabilities(fields.all("capability"))?;
        let user = Some(fields.get("user").trim()).filter(|user| !user.is_empty());
        desk.revoke(&name, &capabilities, user).await.map(drop)
    });
    match revoked.await {
        Ok(()) => to(&format!("/agents/{}", text::part(&id))),
        Err(error) => agent_again(&session, &id, error.into()).await,
    }
}

async fn agent_again(session: &Session, id: &str, refused: Refused) -> Answer {
    let drawn = look::agent_page(session, id, Some(&refused)).await?;
    again(&refused, session, drawn)
}

// Outbox

pub async fn resolve(Path(id): Path<String>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let (desk, name) = (session.desk.clone(), id.clone());
    let resolved = finish(async move {
        let wanted = fields.get("resolution");
        let known = outbox::RESOLUTIONS.into_iter().find(|(name, ..)| *name == wanted);
        let (_, resolution, _) =
            known.ok_or_else(|| Problem::new(Code::InvalidParameter, "nothing says what became of it"))?;
        desk.resolve(&name, resolution).await.map(drop)
    });
    match resolved.await {
        Ok(()) => to(&format!("/outbox/{}", text::part(&id))),
        Err(error) => {
            let refused = Refused::from(error);
            again(&refused, &session, look::outgoing_page(&session, &id, Some(&refused))?)
        }
    }
}

// People

fn roles(fields: &Fields) -> Result<BTreeSet<Role>> {
    Desk::roles(fields.all("role"))
}

fn people_again(session: &Session, error: Error) -> Answer {
    let refused = Refused::from(error);
    again(&refused, session, look::people_page(session, None, None, Some(&refused))?)
}

fn people_done(session: &Session, secret: Option<Secret<'_>>, done: Option<&str>) -> Answer {
    // Not on another page one is led to: it is shown this once.
    Ok(page(StatusCode::OK, look::people_page(session, secret, done, None)?, Some(&session.viewer)))
}

pub async fn invite(State(inbox): State<Arc<Inbox>>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let name = fields.get("name").trim().to_owned();
    let roles = roles(&fields).map(Some);
    invited(&inbox, &session, name, roles).await
}

pub async fn invite_again(
    State(inbox): State<Arc<Inbox>>,
    Path(name): Path<String>,
    posted: Posted,
) -> Answer {
    invited(&inbox, &posted.session, name, Ok(None)).await
}

async fn invited(
    inbox: &Inbox,
    session: &Session,
    name: String,
    roles: Result<Option<BTreeSet<Role>>>,
) -> Answer {
    let desk = session.desk.clone();
    match finish(async move { desk.invite(&name, roles?).await }).await {
        Ok(invited) => {
            let link = format!("{}/join/{}", inbox.site.origin, invited.secret.text());
            let expires = rfc3339(invited.expires_ms);
            people_done(
                session,
                Some(Secret::Link { name: &invited.name, link: &link, expires: &expires }),
                None,
            )
        }
        Err(error) => people_again(session, error),
    }
}

pub async fn set_roles(Path(name): Path<String>, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let desk = session.desk.clone();
    match finish(async move { desk.set_roles(&name, &roles(&fields)?).await.map(drop) }).await {
        Ok(()) => to("/people"),
        Err(error) => people_again(&session, error),
    }
}

pub async fn remove_person(Path(name): Path<String>, posted: Posted) -> Answer {
    let session = posted.session;
    let desk = session.desk.clone();
    match finish(async move { desk.remove_person(&name).await }).await {
        Ok(()) => to("/people"),
        Err(error) => people_again(&session, error),
    }
}

pub async fn make_token(posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let desk = session.desk.clone();
    let made = finish(async move {
        let days = fields.get("days").trim().parse().unwrap_or_default();
        desk.make_token(fields.get("label").trim(), Some(roles(&fields)?), days).await
    });
    match made.await {
        Ok(made) => people_done(&session, Some(Secret::Token(&made.token.text())), None),
        Err(error) => people_again(&session, error),
    }
}

pub async fn revoke_token(Path(id): Path<String>, posted: Posted) -> Answer {
    let session = posted.session;
    let desk = session.desk.clone();
    match finish(async move { desk.revoke_token(&id).await }).await {
        Ok(()) => to("/people"),
        Err(error) => people_again(&session, error),
    }
}

/// The new password, typed twice.
fn chosen(fields: &Fields) -> Result<String> {
    if fields.get("password") != fields.get("again") {
        let problem = Problem::new(Code::InvalidParameter, "the two passwords differ");
        return Err(problem.hint("type the new one twice").into());
    }
    Ok(fields.get("password").to_owned())
}

pub async fn change_password(State(inbox): State<Arc<Inbox>>, seen: Extensions, posted: Posted) -> Answer {
    let Posted { session, fields } = posted;
    let (host, secret) = (inbox.host.clone(), session.secret.clone());
    // Whoever sits down at a browser that was left open must not find the password out by trying.
    let password = match chosen(&fields) {
        Ok(password) => password,
        Err(error) => return people_again(&session, error),
    };
    let person = &session.viewer.person;
    let from = (inbox.client)(&seen);
    let browser = Some(Digest::of(secret.as_bytes()));
    let trying = match Try::begin(&inbox, from, browser, &person.tenant, &person.name) {
        Ok(trying) => trying,
        Err(waits) => return people_again(&session, waits.problem().into()),
    };
    let changed =
        finish(async move { host.change_password(from, &secret, fields.get("old"), &password).await }).await;
    match changed {
        Ok(signed) => {
            trying.succeeded();
            signed_in(&inbox, &signed, "/people")
        }
        // The session is good; what was typed is not.
        Err(Error::Refused(Problem { code: Code::Unauthenticated, message, hint })) => {
            people_again(&session, Problem { code: Code::InvalidParameter, message, hint }.into())
        }
        Err(error) => people_again(&session, error),
    }
}

// Getting in and out

/// Leads on with the session that has begun, in a browser that is known from now on.
fn signed_in(inbox: &Inbox, signed: &Signed, to: &str) -> Answer {
    let mut response = Redirect::to(to).into_response();
    let (headers, secure) = (response.headers_mut(), inbox.site.secure);
    headers.append(header::SET_COOKIE, cookie::SESSION.keep(signed.secret.text(), secure));
    if let Some(mark) = inbox.host.browser_mark(&signed.person.tenant, &signed.person.name)? {
        headers.append(header::SET_COOKIE, cookie::MARK.keep(&mark, secure));
    }
    Ok(response)
}

/// One try at a password, which has failed until it is said to have succeeded.
struct Try<'a> {
    inbox: &'a Inbox,
    from: IpAddr,
    browser: Option<Digest>,
    tenant: String,
    name: String,
}

/// In how many seconds the next try is possible.
#[derive(Clone, Copy)]
struct Waits(u64);

impl Waits {
    fn problem(self) -> Problem {
        let message = format!("too many tries failed; the next is possible in {} s", self.0);
        Problem::new(Code::RateLimitExceeded, message).hint("wait, and try again")
    }
}

impl Try<'_> {
    fn begin<'a>(
        inbox: &'a Inbox,
        from: Option<IpAddr>,
        browser: Option<Digest>,
        tenant: &str,
        name: &str,
    ) -> std::result::Result<Try<'a>, Waits> {
        let from = from.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        let trying = Try { inbox, from, browser, tenant: tenant.to_owned(), name: name.to_owned() };
        let mut throttle = inbox.throttle.lock().expect("no holder panics");
        throttle.begin(trying.tried(), inbox.host.clock().now()).map_err(Waits)?;
        drop(throttle);
        Ok(trying)
    }

    fn tried(&self) -> Tried<'_> {
        Tried { from: self.from, browser: self.browser, tenant: &self.tenant, name: &self.name }
    }

    fn succeeded(self) {
        self.inbox.throttle.lock().expect("no holder panics").succeeded(self.tried());
    }
}

pub async fn sign_in(
    State(inbox): State<Arc<Inbox>>,
    seen: Extensions,
    headers: HeaderMap,
    fields: Fields,
) -> Answer {
    let next = Some(fields.get("next")).filter(|next| gate::is_path(next)).unwrap_or_default();
    let typed = fields.get("name").trim();
    let (tenant, name) = in_full(typed);
    let from = (inbox.client)(&seen);
    let browser = match cookie::MARK.read(&headers, inbox.site.secure) {
        Some(mark) => inbox.host.knows_browser(tenant, name, mark)?,
        None => None,
    };
    let trying = Try::begin(&inbox, from, browser, tenant, name);
    let waits = trying.as_ref().err().copied();
    let signed = match trying {
        Err(waits) => Err(waits.problem().into()),
        Ok(trying) => match inbox.host.sign_in(from, tenant, name, fields.get("password")).await {
            Ok(signed) => {
                trying.succeeded();
                Ok(signed)
            }
            failed => failed,
        },
    };
    match signed {
        Ok(signed) => signed_in(&inbox, &signed, if next.is_empty() { "/approvals" } else { next }),
        Err(error) => {
            let refused = Refused::from(error);
            let drawn = entrance::SignIn { next, left: false, name: typed, failed: Some(refused.said()) };
            let mut response = page(refused.status(), entrance::sign_in(&drawn), None);
            if let Some(Waits(seconds)) = waits {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            Ok(response)
        }
    }
}

/// Whose name was typed: no name has a slash, and whoever belongs to another tenant than the first types it before.
fn in_full(typed: &str) -> (&str, &str) {
    typed.split_once('/').unwrap_or((TENANT, typed))
}

pub async fn sign_out(State(inbox): State<Arc<Inbox>>, seen: Extensions, posted: Posted) -> Answer {
    inbox.host.sign_out((inbox.client)(&seen), &posted.session.secret).await?;
    let mut response = Redirect::to("/sign-in?left=yes").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie::SESSION.forget(inbox.site.secure));
    Ok(response)
}

pub async fn join(
    State(inbox): State<Arc<Inbox>>,
    Path(secret): Path<String>,
    seen: Extensions,
    fields: Fields,
) -> Answer {
    let (host, link, from) = (inbox.host.clone(), secret.clone(), (inbox.client)(&seen));
    let joined = finish(async move { host.join(from, &link, &chosen(&fields)?).await }).await;
    match joined {
        Ok(signed) => signed_in(&inbox, &signed, "/approvals"),
        Err(error) => {
            let refused = Refused::from(error);
            // A link that is used up shows nothing but that.
            let Ok(invitation) = inbox.host.invited(&secret) else { return Err(refused) };
            let path = format!("/join/{}", text::part(&secret));
            let drawn = entrance::join(&invitation.tenant, &invitation.name, &path, Some(refused.said()));
            Ok(page(refused.status(), drawn, None))
        }
    }
}

//! What every request to the inbox goes through: who is asking, whether it comes from a page of this server, and what every answer
//! carries.

use super::pages::{PENDING_COUNTED_MAX, Page, Viewer, entrance, text, wrong};
use super::seal::Seal;
use super::{FIELDS_MAX, Inbox, STRANGER_BYTES_MAX, Site, cookie};
use crate::http::problems::status_of;
use crate::view::Failure;
use axum::Form;
use axum::body::{Body, to_bytes};
use axum::extract::rejection::FormRejection;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use countersign::desk::Desk;
use countersign::refusals::{Code, Error, Problem};
use std::ops::Deref;
use std::sync::Arc;

/// What a page may load and do: its own style and script, forms to this server, and nothing else. Nobody may frame it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Somebody who is signed in, for the length of one request.
#[derive(Clone)]
pub struct Session(Arc<Seat>);

impl Deref for Session {
    type Target = Seat;

    fn deref(&self) -> &Seat {
        &self.0
    }
}

/// Where they sit.
pub struct Seat {
    /// What pages know of them.
    pub viewer: Viewer,
    /// What they do things through.
    pub desk: Desk,
    /// What their browser showed.
    pub secret: String,
}

/// The fields in which somebody writes more than a word, and what they are called.
const TYPED: [(&str, &str); 4] =
    [("note", "Note"), ("subject", "Subject"), ("body", "Body"), ("text", "Text")];

/// A refusal on its way to a page: the gate draws it.
#[derive(Clone, Debug)]
pub struct Refused {
    status: StatusCode,
    code: Code,
    failure: Failure,
    /// What somebody had typed: names of fields in words, and what was in them.
    typed: Vec<(&'static str, String)>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        let (code, mut failure) = Failure::of(error);
        if code == Code::HostFault {
            // What failed inside is the operator's business, and may quote anybody.
            tracing::error!(blame = "host", "{}", failure.message);
            failure.message = "something failed inside the server".into();
            failure.hint = None;
        }
        Refused { status: status_of(code), code, failure, typed: Vec::new() }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        Error::from(problem).into()
    }
}

impl Refused {
    /// Under another status than its code has.
    pub fn with(self, status: StatusCode) -> Refused {
        Refused { status, ..self }
    }

    /// With what somebody had typed into the form that was refused, so that it comes back.
    pub fn keeping(self, fields: &Fields) -> Refused {
        let typed = TYPED.into_iter().map(|(name, label)| (label, fields.get(name).to_owned()));
        Refused { typed: typed.filter(|(_, text)| !text.is_empty()).collect(), ..self }
    }

    /// Its code and its words, for a page that shows more than them.
    pub fn said(&self) -> (Code, &Failure) {
        (self.code, &self.failure)
    }

    /// What it is in HTTP.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a function behind the gate answers.
pub type Answer = Result<Response, Refused>;

/// The gate.
pub async fn gate(State(inbox): State<Arc<Inbox>>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    let session = match enter(&inbox, &head).await {
        Ok(session) => session,
        Err(refused) => return finish(refused.into_response(), None),
    };
    if let Some(session) = &session {
        head.extensions.insert(session.clone());
    }
    let looks = Looks::of(&head);
    let response = next.run(Request::from_parts(head, body)).await;
    if response.status() == StatusCode::UNAUTHORIZED
        && session.is_none()
        && let Some(to) = looks.elsewhere()
    {
        return finish(to, None);
    }
    finish(response, session.as_ref())
}

/// Draws a refusal, and puts on what every answer carries.
fn finish(mut response: Response, session: Option<&Session>) -> Response {
    if let Some(refused) = response.extensions_mut().remove::<Refused>() {
        let kept = std::mem::take(response.headers_mut());
        let typed: Vec<_> = refused.typed.iter().map(|(label, text)| (*label, text.as_str())).collect();
        let drawn = wrong::page(refused.code, &refused.failure, &typed);
        response = page(refused.status, drawn, session.map(|it| &it.viewer));
        for name in [header::RETRY_AFTER, header::SET_COOKIE] {
            for value in kept.get_all(&name) {
                response.headers_mut().append(&name, value.clone());
            }
        }
    }
    guard(response.headers_mut());
    response
}

/// A page as an answer.
pub fn page(status: StatusCode, page: Page, viewer: Option<&Viewer>) -> Response {
    document(status, page.draw(viewer).into_string())
}

fn document(status: StatusCode, html: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

/// A page that says what is wrong, to nobody in particular.
pub fn told(problem: Problem) -> Response {
    finish(Refused::from(problem).into_response(), None)
}

/// What every answer carries.
pub fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Nothing is told to other sites. With `no-referrer` browsers would hide from this one, too, where its own forms come from.
        (header::REFERRER_POLICY, "same-origin"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Who is asking, if they may ask at all.
async fn enter(inbox: &Inbox, head: &Parts) -> Result<Option<Session>, Refused> {
    let headers = &head.headers;
    if ["iframe", "frame", "embed", "object", "fencedframe"].contains(&text_of(headers, "sec-fetch-dest")) {
        return Err(forged("no page of this server may stand inside another page"));
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        own(headers, &inbox.site)?;
        let kind = text_of(headers, "content-type")
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        if !["application/x-www-form-urlencoded", "multipart/form-data"].contains(&kind.as_str()) {
            let problem = Problem::new(Code::InvalidParameter, "what was sent is no form")
                .hint("programs use the HTTP API under /v1, with a token");
            return Err(Refused::from(problem).with(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
    }
    let Some(secret) = cookie::SESSION.read(headers, inbox.site.secure) else { return Ok(None) };
    let person = match inbox.host.session(secret).await {
        Ok(person) => person,
        Err(Error::Refused(Problem { code: Code::Unauthenticated, .. })) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    (inbox.known)(&head.extensions, &person);
    let desk = Desk::new(inbox.host.clone(), person.clone());
    // Nobody needs a role to change their password or to sign out.
    let pending = desk.pending(PENDING_COUNTED_MAX + 1).unwrap_or_default();
    let undelivered = desk.undelivered(PENDING_COUNTED_MAX + 1).unwrap_or(0);
    let viewer = Viewer { person, pending, undelivered, seal: Seal::new(secret) };
    Ok(Some(Session(Arc::new(Seat { viewer, desk, secret: secret.to_owned() }))))
}

/// Asks whether a request that changes something was made by a page of this server. Browsers say so in headers no page can write.
fn own(headers: &HeaderMap, site: &Site) -> Result<(), Refused> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let is_ours = match (origins.next(), origins.next()) {
        (Some(origin), None) => site.origins.iter().any(|own| own.as_bytes() == origin.as_bytes()),
        (None, _) => text_of(headers, "sec-fetch-site") == "same-origin",
        (Some(_), Some(_)) => false,
    };
    match is_ours {
        true => Ok(()),
        false => Err(forged("the request does not come from a page of this server")),
    }
}

fn forged(message: &str) -> Refused {
    Problem::new(Code::ForgedRequest, message).into()
}

/// A header of which there is one, as text; nothing where it is odd.
fn text_of<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What somebody who is not signed in looked for.
struct Looks {
    path: Option<String>,
    /// Whether the browser may have kept the cookie back, as the way here began on another site.
    from_elsewhere: bool,
}

impl Looks {
    fn of(head: &Parts) -> Looks {
        let headers = &head.headers;
        let is_page = head.method == Method::GET && text_of(headers, "accept") != "text/event-stream";
        let path = head.uri.path_and_query().map(|path| path.as_str().to_owned());
        let from = text_of(headers, "sec-fetch-site");
        let from_elsewhere =
            matches!(from, "cross-site" | "same-site") && headers.get(header::COOKIE).is_none();
        Looks { path: path.filter(|path| is_page && is_path(path)), from_elsewhere }
    }

    /// Where to send them instead.
    fn elsewhere(self) -> Option<Response> {
        let path = self.path?;
        if self.from_elsewhere {
            return Some(document(StatusCode::OK, entrance::stepping_stone(&path).into_string()));
        }
        let to = match path.as_str() {
            "/approvals" => "/sign-in".to_owned(),
            path => format!("/sign-in?next={}", text::part(path)),
        };
        Some(Redirect::to(&to).into_response())
    }
}

/// Whether a text is a path on this server, and not the start of another address.
pub fn is_path(text: &str) -> bool {
    text.len() <= 1_000
        && text.starts_with('/')
        && !text.starts_with("//")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Session, Refused> {
        parts.extensions.get::<Session>().cloned().ok_or_else(|| {
            let problem =
                Problem::new(Code::Unauthenticated, "nobody is signed in with this browser, or no longer");
            problem.hint("sign in").into()
        })
    }
}

/// The fields of a form, in order. Hostile.
#[derive(Debug)]
pub struct Fields(pub Vec<(String, String)>);

impl Fields {
    /// The first of a name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All of a name.
    pub fn all<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refused;

    async fn from_request(mut request: Request, state: &S) -> Result<Fields, Refused> {
        // Of whoever is not signed in little is read, on every path.
        if request.extensions().get::<Session>().is_none() {
            let (head, body) = request.into_parts();
            let bytes = to_bytes(body, STRANGER_BYTES_MAX).await.map_err(|_| too_large())?;
            request = Request::from_parts(head, Body::from(bytes));
        }
        let fields = Form::<Vec<(String, String)>>::from_request(request, state).await;
        let Form(fields) = fields.map_err(unreadable)?;
        if fields.len() > FIELDS_MAX {
            let message = format!("the form has {} fields; {FIELDS_MAX} is the limit", fields.len());
            return Err(Problem::new(Code::RequestTooLarge, message).into());
        }
        Ok(Fields(fields))
    }
}

fn unreadable(rejection: FormRejection) -> Refused {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        status => Refused::from(Problem::new(Code::InvalidParameter, "the form cannot be read")).with(status),
    }
}

/// A form beyond the limit of its path.
pub fn too_large() -> Refused {
    Problem::new(Code::RequestTooLarge, "the form is larger than a form may be")
        .hint("send less at once")
        .into()
}

/// A form of somebody who is signed in, that was proven to come from a page made for this session, this path and this digest.
pub struct Posted {
    /// Whose.
    pub session: Session,
    /// What.
    pub fields: Fields,
}

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Posted, Refused> {
        let session = request.extensions().get::<Session>().cloned();
        let path = request.uri().path().to_owned();
        // Of whoever is not signed in: it has come from a page of this server, and what was typed there comes back.
        let fields = Fields::from_request(request, state).await?;
        let Some(session) = session else {
            let problem =
                Problem::new(Code::Unauthenticated, "nobody is signed in with this browser, or no longer");
            return Err(Refused::from(problem.hint("sign in, and try again")).keeping(&fields));
        };
        proven(&session, &path, &fields).map_err(|refused| refused.keeping(&fields))?;
        Ok(Posted { session, fields })
    }
}

/// Asks for the proof that every form carries.
///
/// # Errors
///
/// `FORGED_REQUEST` where it is missing, or for another session, path or digest.
pub fn proven(session: &Session, path: &str, fields: &Fields) -> Result<(), Refused> {
    match session.viewer.seal.fits(path, fields.get("digest"), fields.get("csrf")) {
        true => Ok(()),
        false => {
            Err(forged("the form does not prove that this session was given it, for this, as it stands"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_server_is_gone_on_to() {
        for path in ["/", "/approvals", "/approvals/appr_1?x=%2F&y"] {
            assert!(is_path(path), "{path}");
        }
        let long = format!("/{}", "a".repeat(1_000));
        for path in [
            "",
            "approvals",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a b",
            "/\n",
            "/é",
            &long,
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}

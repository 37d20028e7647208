//! The doors of the inbox, over the real host with its database in memory.

use super::seal::Seal;
use super::{Inbox, Site, router};
use crate::http::tests::options;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use countersign::authority::Capability;
use countersign::desk::Desk;
use countersign::host::{Host, Install, Order};
use countersign::people::{Person, Role};
use countersign::refusals::Code;
use countersign::store::{Page, Place, Stored};
use futures_util::StreamExt as _;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

const ORIGIN: &str = "http://127.0.0.1:8765";
const PASSWORD: &str = "correct horse battery";
const AGENT: &str = "test.agent.inbox";

/// Sends what it is told to, and says so.
const SOURCE: &str = r#"
export async function handleIntent({ intent, tools }) {
  if (intent.action === "fail") throw new Error("<b>broken</b>");
  const { to, body } = intent.parameters;
  await tools.approval.request({ action: "send_message", title: "A <b>title</b>", description: "Why", details: {} });
  await tools.messages.send({ to, subject: "Hello", body });
  return { type: "result", title: "Sent", actions: [{ label: "Again", action: "send", params: { to, body } }] };
}
"#;

const MANIFEST: &str = r#"{
  "id": "test.agent.inbox", "name": "Inbox test", "version": "1.0.0", "description": "Sends.",
  "capabilities": ["messages.send"],
  "intents": [
    { "action": "send", "parameters": { "type": "object", "required": ["to", "body"], "additionalProperties": false,
      "properties": { "to": { "type": "array", "items": { "type": "string" } }, "body": { "type": "string", "maxLength": 30 } } } },
    { "action": "fail" }
  ]
}"#;

fn component() -> Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let entry = folder.path().join("agent.js");
        std::fs::write(&entry, SOURCE).unwrap();
        countersign_js::build(&entry, &["approval.request", "messages.send"]).unwrap()
    };
    BUILT.get_or_init(build).clone()
}

struct House {
    host: Arc<Host>,
    doors: Router,
    close: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// An answer that has been read.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Told {
    fn to(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |to| to.to_str().unwrap())
    }

    /// The value of the session's cookie it sets.
    fn cookie(&self) -> Option<String> {
        let cookie = self.headers.get(header::SET_COOKIE)?.to_str().unwrap();
        Some(cookie.split(['=', ';']).nth(1).unwrap().to_owned())
    }

    fn has(&self, text: &str) {
        assert!(self.body.contains(text), "{text} is not in {} {}", self.status, self.body);
    }
}

impl House {
    fn new() -> House {
        House::at(ORIGIN)
    }

    fn at(origin: &str) -> House {
        let folder = tempfile::tempdir().unwrap();
        let host = Arc::new(Host::open(options(folder.path(), true)).unwrap());
        let site = Site {
            origin: origin.into(),
            origins: vec![origin.into()],
            secure: origin.starts_with("https:"),
        };
        let own = host.clone();
        let drive = Arc::new(move |place: Place| -> futures_util::future::BoxFuture<'static, ()> {
            let host = own.clone();
            let run = tokio::spawn(async move { drop(host.resume(place.owner(), &place.intent).await) });
            Box::pin(async move { drop(run.await) })
        });
        let (close, closing) = watch::channel(false);
        let doors = router(Inbox::new(
            host.clone(),
            site,
            drive,
            |_| None,
            |_, _| {},
            closing,
            Arc::new(Semaphore::new(1)),
        ));
        House { host, doors, close, _folder: folder }
    }

    /// Makes somebody who may sign in; gives their session.
    async fn enter(&self, tenant: &str, name: &str, roles: &[Role]) -> String {
        let roles: BTreeSet<_> = roles.iter().copied().collect();
        let invited = self.host.invite(tenant, name, Some(roles), "test").await.unwrap();
        self.host.join(None, invited.secret.text(), PASSWORD).await.unwrap().secret.text().to_owned()
    }

    /// An operator, who is also everything else.
    async fn owner(&self) -> String {
        self.enter("main", "owner", &Role::ALL).await
    }

    async fn send(&self, request: Request<Body>) -> Told {
        let response = self.doors.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Told { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, path: &str, session: &str) -> Told {
        self.send(ask(path, session).body(Body::empty()).unwrap()).await
    }

    /// Sends a form as its page does.
    async fn post(&self, path: &str, session: &str, digest: &str, fields: &[(&str, &str)]) -> Told {
        let proof = Seal::new(session).proof(path, digest);
        let mut all = vec![("csrf", proof.as_str()), ("digest", digest)];
        all.retain(|(_, value)| !value.is_empty());
        all.extend_from_slice(fields);
        self.send(form(path, session).body(encoded(&all)).unwrap()).await
    }

    fn desk(&self) -> Desk {
        let roles = Role::ALL.into_iter().collect();
        let person = Person { tenant: "main".into(), name: "owner".into(), roles, through: "test".into() };
        Desk::new(self.host.clone(), person)
    }

    async fn install(&self) {
        let how = Install {
            manifest: Some(MANIFEST.into()),
            grants: vec![Capability::MessagesSend],
            ..Install::default()
        };
        self.desk().install(component(), how).await.unwrap();
    }

    /// Has a message wait for a decision.
    async fn ask(&self, body: &str) -> Stored {
        let parameters = json!({ "to": ["a@example.com", "b@example.com"], "body": body });
        let order = Order {
            agent: AGENT.into(),
            action: "send".into(),
            parameters: parameters.as_object().unwrap().clone(),
            text: None,
            retry_of: None,
        };
        let accepted = self.desk().submit(order, None).await.unwrap();
        let place = self.desk().place(&accepted.intent).unwrap();
        let view = self.host.resume(place.owner(), &place.intent).await.unwrap();
        let id = view.pending().expect("it waits").approval.id.clone();
        self.desk().approval(&id).unwrap()
    }

    fn state(&self, id: &str) -> &'static str {
        self.desk().approval(id).unwrap().approval.state.name()
    }

    fn sent(&self) -> usize {
        self.desk().sent().unwrap().len()
    }
}

fn ask(path: &str, session: &str) -> axum::http::request::Builder {
    let builder = Request::builder().uri(path);
    if session.is_empty() {
        builder
    } else {
        builder.header(header::COOKIE, format!("countersign={session}"))
    }
}

fn form(path: &str, session: &str) -> axum::http::request::Builder {
    ask(path, session)
        .method(Method::POST)
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

fn encoded(fields: &[(&str, &str)]) -> Body {
    let pairs: Vec<_> = fields
        .iter()
        .map(|(name, value)| {
            format!("{}={}", super::pages::text::part(name), super::pages::text::part(value))
        })
        .collect();
    Body::from(pairs.join("&"))
}

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_signing_in_and_back() {
    let house = House::new();
    let told = house.get("/approvals/appr_1?x=1", "").await;
    assert_eq!(
        (told.status, told.to()),
        (StatusCode::SEE_OTHER, "/sign-in?next=%2Fapprovals%2Fappr_1%3Fx%3D1")
    );
    house.owner().await;
    let fields = [("name", "owner"), ("password", PASSWORD), ("next", "/approvals/appr_1?x=1")];
    let told = house.post("/sign-in", "", "", &fields).await;
    assert_eq!((told.status, told.to()), (StatusCode::SEE_OTHER, "/approvals/appr_1?x=1"));
    let session = told.cookie().unwrap();
    assert_eq!(house.get("/approvals", &session).await.status, StatusCode::OK);
    let fields = [("name", "main/owner"), ("password", PASSWORD), ("next", "//evil.example")];
    assert_eq!(house.post("/sign-in", "", "", &fields).await.to(), "/approvals");
}

#[tokio::test]
async fn a_wrong_password_tells_nothing_and_soon_takes_time() {
    let house = House::new();
    house.owner().await;
    let said = |told: &Told| {
        told.body.split("<div class=\"alert").nth(1).unwrap().split("</div>").next().unwrap().to_owned()
    };
    let wrong = house.post("/sign-in", "", "", &[("name", "owner"), ("password", "a wrong one, long")]).await;
    let unknown =
        house.post("/sign-in", "", "", &[("name", "nobody"), ("password", "a wrong one, long")]).await;
    assert_eq!((wrong.status, unknown.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    assert_eq!(said(&wrong), said(&unknown));
    assert_eq!(wrong.cookie(), None);
    for _ in 0..4 {
        house.post("/sign-in", "", "", &[("name", "owner"), ("password", "a wrong one, long")]).await;
    }
    let told = house.post("/sign-in", "", "", &[("name", "owner"), ("password", PASSWORD)]).await;
    assert_eq!(told.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(told.headers.contains_key(header::RETRY_AFTER));
    assert_eq!(told.cookie(), None);
    // A browser they have signed in with before comes from the same place, and is none of those who tried.
    let mark = house.host.browser_mark("main", "owner").unwrap().unwrap();
    let sign_in = |mark: String, password: &'static str| {
        let request = form("/sign-in", "").header(header::COOKIE, format!("countersign-browser={mark}"));
        house.send(request.body(encoded(&[("name", "owner"), ("password", password)])).unwrap())
    };
    assert_eq!(sign_in(mark.clone(), "a wrong one, long").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(sign_in(mark.clone(), PASSWORD).await.status, StatusCode::SEE_OTHER);
    // It lets nobody in, and what is near it is nothing.
    let near = mark.replace(&mark[..1], if mark.starts_with('A') { "B" } else { "A" });
    assert_eq!(sign_in(near, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    let mut browser = ask("/approvals", "").body(Body::empty()).unwrap();
    browser.headers_mut().insert(header::COOKIE, format!("countersign-browser={mark}").parse().unwrap());
    assert_eq!(house.send(browser).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_was_typed_into_a_form_that_is_refused_comes_back() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let stored = house.ask("The numbers").await;
    let (id, digest) = (stored.approval.id.clone(), stored.approval.digest.to_string());
    let (decline, edit) = (format!("/approvals/{id}/decline"), format!("/approvals/{id}/edit"));
    let note = [("note", "Numbers are of <last> week.")];
    let changed = [("subject", "Another subject"), ("body", "Another body, long in the writing")];
    let field = |name: &str, text: &str| format!("name=\"{name}\" rows=\"2\" maxlength=\"2000\">\n{text}<");
    // Another digest: the page is shown anew, and the note stands where it was typed.
    let stale = "0".repeat(64);
    let told = house.post(&decline, &session, &stale, &note).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has(&field("note", "Numbers are of &lt;last&gt; week."));
    let told = house.post(&edit, &session, &stale, &changed).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has("value=\"Another subject\"");
    told.has("Another body, long in the writing");
    // Signed out, or in once more, meanwhile: neither shows the page, and both give it back.
    let kept = "It was not saved.";
    for (session, status) in [("", StatusCode::UNAUTHORIZED), (session.as_str(), StatusCode::FORBIDDEN)] {
        for (path, fields) in [(&decline, &note[..]), (&edit, &changed[..])] {
            let all: Vec<_> = [("csrf", "of another session"), ("digest", digest.as_str())]
                .into_iter()
                .chain(fields.iter().copied())
                .collect();
            let told = house.send(form(path, session).body(encoded(&all)).unwrap()).await;
            assert_eq!(told.status, status);
            told.has(kept);
            let text = fields.last().unwrap().1.replace('<', "&lt;").replace('>', "&gt;");
            told.has(&text);
        }
    }
    // Decided by somebody else: there is no field any more.
    assert_eq!(house.post(&decline, &session, &digest, &[]).await.status, StatusCode::SEE_OTHER);
    let told = house.post(&decline, &session, &digest, &note).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has(kept);
    told.has("Numbers are of &lt;last&gt; week.");
    let told = house.post(&edit, &session, &digest, &changed).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has("Another body, long in the writing");
}

#[tokio::test]
async fn people_of_another_tenant_sign_in_with_its_name_before_theirs() {
    let house = House::new();
    house.owner().await;
    let invited = house.host.invite("acme", "ada", Some([Role::Approver].into()), "test").await.unwrap();
    let path = format!("/join/{}", invited.secret.text());
    house.get(&path, "").await.has("acme/ada");
    let fields = [("password", PASSWORD), ("again", PASSWORD)];
    let told = house.send(form(&path, "").body(encoded(&fields)).unwrap()).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    house.get("/sign-in", "").await.has("acme/ada");
    let sign_in = |name: &'static str| {
        let fields = [("name", name), ("password", PASSWORD)];
        house.send(form("/sign-in", "").body(encoded(&fields)).unwrap())
    };
    let told = sign_in("acme/ada").await;
    assert_eq!((told.status, told.to()), (StatusCode::SEE_OTHER, "/approvals"));
    assert_eq!(house.get("/approvals", &told.cookie().unwrap()).await.status, StatusCode::OK);
    for wrong in ["ada", "main/ada", "acme/owner", "/ada", "acme/ada/x"] {
        assert_eq!(sign_in(wrong).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[tokio::test]
async fn a_link_from_another_site_takes_one_step_within_this_one() {
    let house = House::new();
    let request =
        ask("/approvals/appr_1", "").header("sec-fetch-site", "cross-site").body(Body::empty()).unwrap();
    let told = house.send(request).await;
    assert_eq!(told.status, StatusCode::OK);
    told.has("<meta http-equiv=\"refresh\" content=\"0; url=/approvals/appr_1\">");
    // The second time no cookie means that there is none.
    let request =
        ask("/approvals/appr_1", "").header("sec-fetch-site", "same-origin").body(Body::empty()).unwrap();
    assert_eq!(house.send(request).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_link_is_looked_at_without_being_used_and_works_once() {
    let house = House::at("https://inbox.example");
    let invited = house.host.invite("main", "ann", Some([Role::Approver].into()), "test").await.unwrap();
    let path = format!("/join/{}", invited.secret.text());
    for _ in 0..3 {
        house.get(&path, "").await.has("Choose password");
    }
    let join = |password: &'static str, again: &'static str| {
        let fields = [("password", password), ("again", again)];
        let mut request = form(&path, "").body(encoded(&fields)).unwrap();
        request.headers_mut().insert(header::ORIGIN, "https://inbox.example".parse().unwrap());
        house.send(request)
    };
    let told = join(PASSWORD, "another one, long").await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    told.has("the two passwords differ");
    assert_eq!(join("short", "short").await.status, StatusCode::BAD_REQUEST);
    let told = join(PASSWORD, PASSWORD).await;
    assert_eq!((told.status, told.to()), (StatusCode::SEE_OTHER, "/approvals"));
    let cookie = told.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-countersign=") && cookie.contains("; Secure"), "{cookie}");
    let told = join(PASSWORD, PASSWORD).await;
    assert_eq!(told.status, StatusCode::GONE);
    told.has("The link is used up, or too old");
    assert_eq!(house.get(&path, "").await.status, StatusCode::GONE);
}

#[tokio::test]
async fn every_answer_forbids_what_no_page_needs() {
    let house = House::new();
    let session = house.owner().await;
    for (path, session) in [
        ("/approvals", session.as_str()),
        ("/approvals", ""),
        ("/approvals/appr_none", &session),
        ("/sign-in", ""),
        ("/join/x", ""),
        ("/assets/inbox.js", ""),
        ("/agents/new", &session),
    ] {
        let told = house.get(path, session).await;
        let policy = told.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; ") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(told.headers[name], value, "{path}");
        }
        if !path.starts_with("/assets") {
            assert_eq!(told.headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
}

#[tokio::test]
async fn every_place_of_the_menu_can_be_looked_at_while_nothing_is_there() {
    let house = House::new();
    let session = house.owner().await;
    for (path, says) in [
        ("/approvals", "Nothing waits for a decision."),
        ("/approvals?state=all", "There are no approvals."),
        ("/intents", "Nothing has been asked of any agent."),
        ("/intents?status=done", "No intent is like that."),
        ("/intents/new", "No agent is installed."),
        ("/agents", "No agent is installed."),
        ("/agents/new", "Install"),
        ("/outbox", "Nothing has been signed."),
        ("/audit", "Last entries"),
        ("/audit?verify=yes&head=", "The record is as it was written."),
        ("/people", "You have no token."),
    ] {
        let told = house.get(path, &session).await;
        assert_eq!(told.status, StatusCode::OK, "{path}");
        told.has(says);
    }
    for path in
        ["/approvals/appr_x", "/intents/int_x", "/agents/a.b", "/outbox/appr_x", "/intents/new?agent=a.b"]
    {
        let told = house.get(path, &session).await;
        assert_eq!(told.status, StatusCode::NOT_FOUND, "{path}");
        told.has("Not found");
    }
    let told = house.get("/audit?verify=yes&head=zz", &session).await;
    told.has("what you kept is no hash");
}

#[tokio::test]
async fn only_the_form_that_was_shown_decides() {
    let house = House::new();
    let session = house.enter("main", "ann", &[Role::Approver]).await;
    let other = house.enter("main", "bob", &[Role::Approver]).await;
    house.install().await;
    let (one, two) = (house.ask("one").await, house.ask("two").await);
    let (id, digest) = (one.approval.id.as_str(), one.approval.digest.to_string());
    let strange = two.approval.digest.to_string();
    let path = format!("/approvals/{id}/approve");
    let proof = Seal::new(&session).proof(&path, &digest);
    let good = [("csrf", proof.as_str()), ("digest", digest.as_str())];
    let request = || form(&path, &session);
    let bare = || ask(&path, &session).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let mut attacks: Vec<(&str, StatusCode, Request<Body>)> = Vec::new();
    let forbidden = StatusCode::FORBIDDEN;
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = request().method(method).body(encoded(&good)).unwrap();
        attacks.push((method, StatusCode::METHOD_NOT_ALLOWED, request));
    }
    for origin in [
        "null",
        "",
        "https://127.0.0.1:8765",
        "http://127.0.0.1",
        "http://127.0.0.1:8765.evil.example",
        "http://evil.example",
    ] {
        let request =
            bare().method(Method::POST).header(header::ORIGIN, origin).body(encoded(&good)).unwrap();
        attacks.push(("origin", forbidden, request));
    }
    let twice = request().header(header::ORIGIN, ORIGIN).body(encoded(&good)).unwrap();
    attacks.push(("two origins", forbidden, twice));
    attacks.push(("no origin", forbidden, bare().method(Method::POST).body(encoded(&good)).unwrap()));
    for site in ["cross-site", "same-site", "none"] {
        let request =
            bare().method(Method::POST).header("sec-fetch-site", site).body(encoded(&good)).unwrap();
        attacks.push((site, forbidden, request));
    }
    for frame in ["iframe", "frame", "embed", "object"] {
        attacks.push((
            frame,
            forbidden,
            request().header("sec-fetch-dest", frame).body(encoded(&good)).unwrap(),
        ));
    }
    for kind in
        ["application/json", "text/plain", "", "application/x-www-form-urlencodedx", "multipart/form-data"]
    {
        let mut request = request().body(encoded(&good)).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        attacks.push((kind, StatusCode::UNSUPPORTED_MEDIA_TYPE, request));
    }
    let proofs = [
        Seal::new(&other).proof(&path, &digest),
        Seal::new(&session).proof(&path, &strange),
        Seal::new(&session).proof(&format!("/approvals/{id}/decline"), &digest),
        Seal::new(&session).proof(&format!("/approvals/{}/approve", two.approval.id), &digest),
        Seal::new(&session).proof(&path, ""),
        String::new(),
        "0".repeat(64),
    ];
    for proof in &proofs {
        let fields = [("csrf", proof.as_str()), ("digest", digest.as_str())];
        attacks.push(("another proof", forbidden, form(&path, &session).body(encoded(&fields)).unwrap()));
    }
    for digest in ["", "0", &strange, &digest[..32]] {
        let fields = [("csrf", proof.as_str()), ("digest", digest)];
        attacks.push(("another digest", forbidden, form(&path, &session).body(encoded(&fields)).unwrap()));
    }
    attacks.push(("another session", forbidden, form(&path, &other).body(encoded(&good)).unwrap()));
    attacks.push(("no session", StatusCode::UNAUTHORIZED, form(&path, "").body(encoded(&good)).unwrap()));
    let made_up = "A".repeat(43);
    attacks.push((
        "a made-up session",
        StatusCode::UNAUTHORIZED,
        form(&path, &made_up).body(encoded(&good)).unwrap(),
    ));
    let bearer = form(&path, "").header(header::AUTHORIZATION, format!("Bearer {session}"));
    attacks.push(("a bearer", StatusCode::UNAUTHORIZED, bearer.body(encoded(&good)).unwrap()));
    for (what, status, request) in attacks {
        let told = house.send(request).await;
        assert_eq!(told.status, status, "{what}: {}", told.body);
        assert_eq!((house.state(id), house.sent()), ("pending", 0), "{what}");
    }
    // Proven, and about what is not shown there.
    let told = house.post(&path, &session, &strange, &[]).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has("Changed, look again");
    assert_eq!(house.state(id), "pending");
    let request =
        bare().method(Method::POST).header("sec-fetch-site", "same-origin").body(encoded(&good)).unwrap();
    let told = house.send(request).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    assert_eq!((house.state(id), house.sent()), ("used", 1));
    // Where it leads says who decided, and what the record ended with.
    let told = house.get(told.to(), &session).await;
    told.has("Approved");
    told.has("The record ends with");
    let told = house.post(&path, &other, &digest, &[]).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has("Already decided");
    told.has("<bdi>ann</bdi>");
    assert_eq!(house.sent(), 1);
}

#[tokio::test]
async fn who_installed_an_agent_is_told_that_another_approver_decides() {
    let house = House::new();
    let session = house.owner().await;
    house.enter("main", "bob", &[Role::Approver]).await;
    house.install().await;
    let asked = house.ask("one").await.approval;
    let path = format!("/approvals/{}/approve", asked.id);
    let told = house.post(&path, &session, &asked.digest.to_string(), &[]).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    told.has("Somebody else has to decide this");
    assert_eq!(house.state(&asked.id), "pending");
}

#[tokio::test]
async fn looking_decides_nothing() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let waiting = house.ask("one").await;
    let id = &waiting.approval.id;
    let before = house.desk().audit_head().unwrap();
    for path in [
        format!("/approvals/{id}"),
        format!("/approvals/{id}?verdict=approve&digest={}", waiting.approval.digest),
        "/approvals".into(),
        format!("/intents/{}", waiting.intent),
        format!("/agents/{AGENT}"),
        "/people".into(),
    ] {
        assert_eq!(house.get(&path, &session).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(house.state(id), "pending");
    assert_eq!(house.desk().audit_head().unwrap(), before);
}

#[tokio::test]
async fn a_head_of_the_record_in_an_address_is_believed_only_with_its_proof() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let id = house.ask("one").await.approval.id;
    let told = house.get(&format!("/approvals/{id}?head=evil&proof={}", "0".repeat(64)), &session).await;
    assert!(!told.body.contains("The record ends with"));
}

#[tokio::test]
async fn an_edit_is_shown_again_and_signed_as_changed() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let asked = house.ask("one\ntwo").await;
    let (id, digest) = (asked.approval.id.as_str(), asked.approval.digest.to_string());
    let edit = format!("/approvals/{id}/edit");
    let untouched = [("subject", "Hello"), ("body", "one\r\ntwo")];
    let told = house.post(&edit, &session, &digest, &untouched).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    told.has("nothing was changed");
    let told = house
        .post(&edit, &session, &digest, &[("subject", "Hello"), ("body", "one\r\n2"), ("remove", "1")])
        .await;
    assert_eq!((told.status, told.to()), (StatusCode::SEE_OTHER, format!("/approvals/{id}").as_str()));
    let action = house.desk().approval(id).unwrap().approval.leaving().unwrap().clone();
    assert_eq!((action.subject.as_str(), action.body.as_str()), ("Hello", "one\n2"));
    assert_eq!(action.to, ["a@example.com"]);
    house.get(told.to(), &session).await.has("Changed by a person");
    // Whoever still looks at what it was signs nothing, and sees what it is.
    let approve = format!("/approvals/{id}/approve");
    let told = house.post(&approve, &session, &digest, &[]).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has("Changed, look again");
    told.has("one\n2</pre>");
    let told = house.post(&edit, &session, &digest, &[("subject", "Typed"), ("body", "one\ntwo")]).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has("value=\"Typed\"");
    assert_eq!((house.state(id), house.sent()), ("pending", 0));
    let told = house.post(&approve, &session, &action.digest().to_string(), &[]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    assert_eq!(house.desk().sent().unwrap()[0].action.body, "one\n2");
}

#[tokio::test]
async fn one_or_several_are_declined_with_a_note_and_there_is_no_way_to_sign_several() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let mut all = Vec::new();
    for body in ["one", "two", "three", "four"] {
        all.push(house.ask(body).await.approval);
    }
    let digest = all[0].digest.to_string();
    let told = house
        .post(&format!("/approvals/{}/decline", all[0].id), &session, &digest, &[("note", " not <now> ")])
        .await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    house.get(told.to(), &session).await.has("Note: <bdi>not &lt;now&gt;</bdi>");
    let pick = |number: usize, deed: &str| {
        let (id, digest) = (&all[number].id, all[number].digest.to_string());
        let proof = Seal::new(&session).proof(&format!("/approvals/{id}/{deed}"), &digest);
        format!("{id} {digest} {proof}")
    };
    // The proof of another deed is none for this one, and nothing is declined then.
    let picks = [pick(1, "decline"), pick(2, "approve")];
    let fields: Vec<_> = picks.iter().map(|pick| ("approval", pick.as_str())).collect();
    let told = house.post("/approvals/decline", &session, "", &fields).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    assert_eq!(house.state(&all[1].id), "pending");
    let shown = house.get("/approvals", &session).await;
    let picks = [pick(1, "decline"), pick(2, "decline")];
    for pick in &picks {
        shown.has(&format!("value=\"{pick}\""));
    }
    let fields: Vec<_> = picks.iter().map(|pick| ("approval", pick.as_str())).collect();
    let told = house.post("/approvals/decline", &session, "", &fields).await;
    assert_eq!((told.status, told.to()), (StatusCode::SEE_OTHER, "/approvals"));
    let states: Vec<_> = all.iter().map(|approval| house.state(&approval.id)).collect();
    assert_eq!(states, ["declined", "declined", "declined", "pending"]);
    // Those that were decided meanwhile are named.
    let told = house.post("/approvals/decline", &session, "", &fields).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    told.has(&format!("{} was not declined", all[1].id));
    let fields: Vec<_> = picks.iter().map(|pick| ("approval", pick.as_str())).collect();
    let told = house.post("/approvals/approve", &session, "", &fields).await;
    assert_eq!(told.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(house.sent(), 0);
}

#[tokio::test]
async fn who_lacks_a_role_is_told_and_another_tenant_has_nothing_of_this_one() {
    let house = House::new();
    house.owner().await;
    house.install().await;
    let asked = house.ask("one").await;
    let (id, digest) = (&asked.approval.id, asked.approval.digest.to_string());
    let approve = format!("/approvals/{id}/approve");
    for role in [Role::Operator, Role::Auditor] {
        let session = house.enter("main", role.name(), &[role]).await;
        assert_eq!(house.get(&format!("/approvals/{id}"), &session).await.status, StatusCode::OK);
        let told = house.post(&approve, &session, &digest, &[]).await;
        assert_eq!(told.status, StatusCode::FORBIDDEN, "{role}");
        told.has("You may not do this");
    }
    let stranger = house.enter("other", "ann", &Role::ALL).await;
    let unknown = "appr_00000000000000000000000000";
    for path in ["", "/approve"] {
        let answers = [id.as_str(), unknown].map(|id| {
            let (house, stranger, digest) = (&house, &stranger, &digest);
            async move {
                let full = format!("/approvals/{id}{path}");
                let told = if path.is_empty() {
                    house.get(&full, stranger).await
                } else {
                    house.post(&full, stranger, digest, &[]).await
                };
                (told.status, told.body.replace(id, "ID"))
            }
        });
        let [own, unknown] = answers;
        let (own, unknown) = (own.await, unknown.await);
        assert_eq!(own, unknown);
        assert_eq!(own.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(house.state(id), "pending");
}

#[tokio::test]
async fn an_intent_is_asked_by_a_form_once_and_what_was_typed_stays() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    house.get(&format!("/intents/new?agent={AGENT}"), &session).await.has("Which action?");
    let shown = house.get(&format!("/intents/new?agent={AGENT}&action=send"), &session).await;
    shown.has("name=\"p.to\"");
    let fields = |body: &'static str, key: &'static str| {
        vec![("agent", AGENT), ("action", "send"), ("p.to", "a@example.com"), ("p.body", body), ("key", key)]
    };
    let long = "much <longer> than thirty characters";
    let told = house.post("/intents", &session, "", &fields(long, "k1")).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    told.has("much &lt;longer&gt; than thirty characters");
    told.has("a@example.com");
    let first = house.post("/intents", &session, "", &fields("short", "k1")).await;
    let second = house.post("/intents", &session, "", &fields("short", "k1")).await;
    assert_eq!((first.status, first.to()), (StatusCode::SEE_OTHER, second.to()));
    house.get(first.to(), &session).await.has("Look at the approval");
    let told = house.post("/intents", &session, "", &fields("else", "k1")).await;
    assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY);
    // It is declined, and asked again.
    let id = house.desk().approvals(true, Page::default()).unwrap()[0].approval.clone();
    let told =
        house.post(&format!("/approvals/{}/approve", id.id), &session, &id.digest.to_string(), &[]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    let shown = house.get(first.to(), &session).await;
    shown.has("The agent answered");
    shown.has("<q><bdi>Again</bdi></q>");
    let card = [
        ("agent", AGENT),
        ("action", "send"),
        ("parameters", r#"{"to":["a@example.com"],"body":"x"}"#),
        ("key", "k2"),
    ];
    let told = house.post("/intents", &session, "", &card).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    let cancel = format!("{}/cancel", told.to());
    assert_eq!(house.post(&cancel, &session, "", &[]).await.status, StatusCode::SEE_OTHER);
    house.get(told.to(), &session).await.has("It was cancelled.");
    let again = house.post(&cancel, &session, "", &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    let retried = house.post(&format!("{}/retry", told.to()), &session, "", &[]).await;
    assert_eq!(retried.status, StatusCode::SEE_OTHER);
    assert_ne!(retried.to(), told.to());
}

#[tokio::test]
async fn an_agent_is_installed_granted_revoked_and_removed() {
    let house = House::new();
    let session = house.owner().await;
    let upload = |proof: String, first: bool, manifest: &'static str| {
        let part = |name: &str, file: &str, bytes: &[u8]| {
            let mut out =
                format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").into_bytes();
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
            out
        };
        let mut parts = [
            part("csrf", "", proof.as_bytes()),
            part("component", "; filename=\"a.wasm\"", &component()),
            part("manifest", "; filename=\"agent.json\"", manifest.as_bytes()),
        ];
        if !first {
            parts.swap(0, 1);
        }
        let mut body = parts.concat();
        body.extend_from_slice(b"--x--\r\n");
        let request = ask("/agents", &session)
            .method(Method::POST)
            .header(header::ORIGIN, ORIGIN)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
        house.send(request.body(Body::from(body)).unwrap())
    };
    let proof = || Seal::new(&session).proof("/agents", "");
    assert_eq!(upload("0".repeat(64), true, MANIFEST).await.status, StatusCode::FORBIDDEN);
    assert_eq!(upload(proof(), false, MANIFEST).await.status, StatusCode::FORBIDDEN);
    let told = upload(proof(), true, "{ \"id\": \"<script>\" }").await;
    assert_eq!(told.status, StatusCode::UNPROCESSABLE_ENTITY);
    told.has("MANIFEST_INVALID");
    assert!(house.desk().agents().unwrap().is_empty());
    let told = upload(proof(), true, MANIFEST).await;
    assert_eq!(
        (told.status, told.to()),
        (StatusCode::SEE_OTHER, "/agents/test.agent.inbox"),
        "{}",
        told.body
    );
    let shown = house.get(told.to(), &session).await;
    shown.has("call messages.send, once messages.send is granted, for exactly what a person has approved");
    shown.has("open a file, a socket or a URL");
    let path = "/agents/test.agent.inbox";
    let granted = || house.desk().agent(AGENT).unwrap().grants.len();
    let told = house.post(&format!("{path}/grant"), &session, "", &[("capability", "messages.send")]).await;
    assert_eq!((told.status, granted()), (StatusCode::SEE_OTHER, 1));
    let told = house.post(&format!("{path}/grant"), &session, "", &[("capability", "calendar.read")]).await;
    told.has("MANIFEST_INVALID");
    let told = house.post(&format!("{path}/revoke"), &session, "", &[("capability", "messages.send")]).await;
    assert_eq!((told.status, granted()), (StatusCode::SEE_OTHER, 0));
    let told = house.post(&format!("{path}/remove"), &session, "", &[]).await;
    assert_eq!((told.status, told.to()), (StatusCode::SEE_OTHER, "/agents"));
}

#[tokio::test]
async fn forms_and_files_beyond_their_limits_are_refused() {
    let house = House::new();
    let session = house.owner().await;
    let huge = "x".repeat(super::FORM_BYTES_MAX + 1);
    let told = house.post("/tokens", &session, "", &[("label", &huge)]).await;
    assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE);
    let long = "x".repeat(super::STRANGER_BYTES_MAX);
    for path in ["/sign-in", "/join/abc", "/tokens"] {
        let told = house.post(path, "", "", &[("name", &long)]).await;
        assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let many = vec![("role", "approver"); super::FIELDS_MAX + 1];
    let told = house.post("/tokens", &session, "", &many).await;
    assert_eq!(told.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn whoever_reads_the_counters_can_make_a_token_for_that_alone() {
    let house = House::new();
    for (name, role, offered) in [("olga", Role::Operator, true), ("paul", Role::Approver, false)] {
        let invited = house.host.invite("main", name, Some([role].into()), "test").await.unwrap();
        let signed = house.host.join(None, invited.secret.text(), PASSWORD).await.unwrap();
        let told = house.get("/people", signed.secret.text()).await;
        let tokens = told.body.split("Make a token").nth(1).unwrap().split("</form>").next().unwrap();
        assert_eq!(tokens.contains("value=\"metrics\""), offered, "{name}: {tokens}");
        assert!(!tokens.contains("value=\"metrics\" checked"), "{tokens}");
    }
}

#[tokio::test]
async fn links_and_tokens_are_shown_once_and_to_whom_they_are_due() {
    let house = House::new();
    let session = house.owner().await;
    let told = house.post("/people", &session, "", &[("name", "ann"), ("role", "approver")]).await;
    assert_eq!(told.status, StatusCode::OK);
    let link =
        told.body.split(&format!("{ORIGIN}/join/")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(house.host.invited(&link).unwrap().name, "ann");
    let told = house.get("/people", &session).await;
    assert!(!told.body.contains(&link));
    told.has("has not chosen a password yet");
    let fields = [("label", "<b>laptop"), ("days", "7"), ("role", "invoker")];
    let told = house.post("/tokens", &session, "", &fields).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
    let token = told.body.split("value=\"cs_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let person = house.host.token(&format!("cs_{token}")).await.unwrap();
    assert_eq!(person.roles, [Role::Invoker].into());
    let told = house.get("/people", &session).await;
    assert!(!told.body.contains(&token));
    told.has("&lt;b&gt;laptop");
    let ann = house.host.join(None, &link, PASSWORD).await.unwrap().secret.text().to_owned();
    let told = house.get("/people", &ann).await;
    assert!(!told.body.contains("Who may sign in") && !told.body.contains("laptop"));
    let told = house.post("/people/owner/roles", &ann, "", &[("role", "auditor")]).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
    let told = house.post("/people/ann/roles", &session, "", &[("role", "auditor")]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    assert_eq!(house.get("/audit", &ann).await.status, StatusCode::OK);
    house.post("/people/ann/remove", &session, "", &[]).await;
    assert_eq!(house.get("/audit", &ann).await.status, StatusCode::SEE_OTHER);
    let revoke = format!("/tokens/{}/revoke", person.through);
    assert_eq!(house.post(&revoke, &session, "", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(house.host.token(&format!("cs_{token}")).await.is_err());
    let told = house.post("/people/owner/remove", &session, "", &[]).await;
    assert_eq!(told.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn another_password_begins_another_session_and_signing_out_ends_it() {
    let house = House::new();
    let session = house.owner().await;
    let wrong = [
        ("old", "not the password"),
        ("password", "another long password"),
        ("again", "another long password"),
    ];
    let told = house.post("/password", &session, "", &wrong).await;
    assert_eq!(told.status, StatusCode::BAD_REQUEST);
    told.has("that is not your password");
    let right =
        [("old", PASSWORD), ("password", "another long password"), ("again", "another long password")];
    let told = house.post("/password", &session, "", &right).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
    let next = told.cookie().unwrap();
    assert_ne!(next, session);
    assert_eq!(house.get("/approvals", &session).await.status, StatusCode::SEE_OTHER);
    assert_eq!(house.get("/approvals", &next).await.status, StatusCode::OK);
    let told = house.post("/sign-out", &next, "", &[]).await;
    assert_eq!(told.to(), "/sign-in?left=yes");
    assert_eq!(told.cookie().as_deref(), Some(""));
    house.get(told.to(), "").await.has("You are signed out.");
    assert_eq!(house.get("/approvals", &next).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_password_of_an_open_browser_is_not_found_out_by_trying() {
    let house = House::new();
    let session = house.owner().await;
    let change = |old: &'static str, again: &'static str| {
        let fields = [("old", old), ("password", "another long password"), ("again", again)];
        let (house, session) = (&house, &session);
        async move { house.post("/password", session, "", &fields).await }
    };
    for _ in 0..5 {
        assert_eq!(
            change("a wrong one, long", "another long password").await.status,
            StatusCode::BAD_REQUEST
        );
        // What is wrong with the new one makes up for nothing.
        assert_eq!(change("a wrong one, long", "yet another one").await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(change(PASSWORD, "another long password").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(house.get("/approvals", &session).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_page_is_told_how_many_wait_as_soon_as_it_changes_and_until_the_end() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let request = ask("/events", &session).body(Body::empty()).unwrap();
    let response = house.doors.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut stream = response.into_body().into_data_stream();
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!(first, "event: pending\ndata: 0\n\n");
    house.ask("one").await;
    let mut heard = String::new();
    while !(heard.contains("event: pending\ndata: 1\n\n") && heard.contains("event: change\ndata: look\n\n"))
    {
        heard += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
    }
    house.close.send_replace(true);
    while stream.next().await.is_some() {}
    let told = house.get("/events", "").await;
    assert_eq!(told.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_session_has_so_many_streams_and_gets_them_back() {
    let house = House::new();
    let session = house.owner().await;
    let mut open = Vec::new();
    let stream = || house.doors.clone().oneshot(ask("/events", &session).body(Body::empty()).unwrap());
    for _ in 0..crate::streams::STREAMS_MAX {
        let response = stream().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        open.push(response);
    }
    assert_eq!(stream().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    open.pop();
    assert_eq!(stream().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_run_that_was_stopped_is_shown_with_its_reason() {
    let house = House::new();
    let session = house.owner().await;
    house.install().await;
    let told = house.post("/intents", &session, "", &[("agent", AGENT), ("action", "fail")]).await;
    assert_eq!(told.status, StatusCode::SEE_OTHER, "{}", told.body);
    let shown = house.get(told.to(), &session).await;
    assert!(!shown.body.contains("<b>broken"), "{}", shown.body);
    shown.has("&lt;b&gt;broken&lt;/b&gt;");
}

#[test]
fn every_code_a_page_can_say_has_a_headline_of_its_own_or_the_common_one() {
    let failure = crate::view::Failure { code: "X".into(), message: "m".into(), hint: None };
    for code in Code::ALL {
        let html = super::pages::wrong::page(*code, &failure, &[]).draw(None).into_string();
        assert!(html.contains(&format!("/docs/refusals/{code}")), "{code}");
    }
}

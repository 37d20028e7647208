//! The HTTP API, over the real host with its database in memory. Every answer any of these tests gets is held against the document.

use super::gate::{behind, within};
use super::problems::{Refused, status_of};
use super::table::{Needs, routes};
use super::{App, Site, document, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::desk::Desk;
use countersign::engine::limits::Limits;
use countersign::host::{self, Host, Install, Order};
use countersign::intent::Status;
use countersign::people::{Person, Role};
use countersign::refusals::{Code, Problem};
use futures_util::future::join;
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tower::ServiceExt as _;

const NAME: &str = "127.0.0.1:8340";
pub const AGENT: &str = "test.agent.api";

/// Sends what it is told to, or ends at once.
const SOURCE: &str = r#"
export async function handleIntent({ intent, tools }) {
  if (intent.action === "nothing") return { type: "result", title: "Nothing was done" };
  const { to, body } = intent.parameters;
  await tools.approval.request({ action: "send_message", title: "A title", description: "Why", details: {} });
  await tools.messages.send({ to, subject: "Hello", body });
  return { type: "result", title: "Sent" };
}
"#;

const MANIFEST: &str = r#"{
  "id": "test.agent.api", "name": "API test", "version": "1.0.0", "description": "Sends.",
  "capabilities": ["messages.send"],
  "intents": [
    { "action": "send", "parameters": { "type": "object", "required": ["to", "body"], "additionalProperties": false,
      "properties": { "to": { "type": "array", "items": { "type": "string" } }, "body": { "type": "string" } } } },
    { "action": "nothing" }
  ]
}"#;

pub fn component() -> Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let entry = folder.path().join("agent.js");
        std::fs::write(&entry, SOURCE).unwrap();
        let bare = countersign_js::build(&entry, &["approval.request", "messages.send"]).unwrap();
        countersign::agent::Package::read(bare).unwrap().pack(MANIFEST).unwrap()
    };
    BUILT.get_or_init(build).clone()
}

pub fn options(folder: &Path, in_memory: bool) -> host::Options {
    host::Options {
        data: folder.join("data"),
        config: Config::default(),
        clock: Arc::new(Clock::virtual_at(1_772_000_000_000, 1)),
        // One for all tests of this build: compiling the same agent again would prove nothing.
        cache: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-cache/countersign")),
        limits: Limits::default(),
        in_memory,
    }
}

struct House {
    app: Arc<App>,
    doors: Router,
    _folder: tempfile::TempDir,
}

/// An answer that has been read.
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.body))
    }

    #[track_caller]
    fn is(self, status: u16) -> Told {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// The code of a refusal, which is a problem document and has a status of its code.
    #[track_caller]
    fn refused(&self, status: u16, code: Code) -> &Told {
        let told = self.json();
        assert_eq!((self.status.as_u16(), &told["code"]), (status, &json!(code.name())), "{}", self.body);
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(told["status"], status);
        for member in ["type", "title", "detail", "instance", "hint"] {
            assert!(told[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {}", self.body);
        }
        self
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The path of the document a request is of.
fn template(path: &str) -> Option<&'static str> {
    static PATHS: OnceLock<Vec<&'static str>> = OnceLock::new();
    let paths = PATHS.get_or_init(|| routes().iter().map(|route| route.path).collect());
    let path: Vec<_> = path.split('?').next().unwrap().split('/').collect();
    // What is written out goes before what is in braces.
    let exact = paths.iter().find(|known| known.split('/').eq(path.iter().copied()));
    let fits = |known: &&&str| {
        let parts: Vec<_> = known.split('/').collect();
        parts.len() == path.len() && parts.iter().zip(&path).all(|(a, b)| a.starts_with('{') || a == b)
    };
    exact.or_else(|| paths.iter().find(fits)).copied()
}

/// Asks whether the document knows that such a request can be answered so.
fn is_documented(method: &Method, path: &str, status: StatusCode) -> bool {
    let document: Value = serde_json::from_str(document::document()).unwrap();
    let Some(template) = template(path) else { return status == StatusCode::NOT_FOUND };
    let operation = &document["paths"][template][method.as_str().to_ascii_lowercase()];
    match status {
        // Whatever is asked: what HTTP itself says no to.
        StatusCode::METHOD_NOT_ALLOWED => operation.is_null(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => !operation["requestBody"].is_null(),
        StatusCode::MISDIRECTED_REQUEST => true,
        status => !operation["responses"][status.as_str()].is_null(),
    }
}

impl House {
    fn new() -> House {
        House::with_requests(10_000)
    }

    fn with_requests(per_minute: u32) -> House {
        let folder = tempfile::tempdir().unwrap();
        let host = Arc::new(Host::open(options(folder.path(), true)).unwrap());
        let site = Site::new(format!("http://{NAME}"), NAME.parse().unwrap(), false);
        let app = App::new(host, site, per_minute);
        House { doors: router(app.clone()), app, _folder: folder }
    }

    /// A token of somebody with these roles.
    async fn token(&self, tenant: &str, name: &str, roles: &[Role]) -> String {
        let roles: BTreeSet<_> = roles.iter().copied().collect();
        self.app.host.invite(tenant, name, Some(roles.clone()), "test").await.unwrap();
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        let person = Person { tenant, name, roles, through: "browser".into() };
        self.app.host.make_token(&person, "test", Some(person.roles.clone()), 30).await.unwrap().token.text()
    }

    /// A token of somebody who is everything, where an agent is installed and may send.
    async fn owner(&self) -> String {
        let token = self.token("main", "owner", &Role::ALL).await;
        let how = Install { grants: vec![Capability::MessagesSend], ..Install::default() };
        self.desk("owner").install(component(), how).await.unwrap();
        token
    }

    /// What somebody can do who is everything, beside the API.
    fn desk(&self, name: &str) -> Desk {
        let roles = Role::ALL.into_iter().collect();
        let person = Person { tenant: "main".into(), name: name.into(), roles, through: "browser".into() };
        Desk::new(self.app.host.clone(), person)
    }

    async fn send(&self, request: Request<Body>) -> Told {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.doors.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        assert!(is_documented(&method, &path, head.status), "{method} {path} {}: {body}", head.status);
        assert!(!head.headers["x-request-id"].is_empty());
        Told { status: head.status, headers: head.headers, body }
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: Value) -> Told {
        let request = asking(method, path, token);
        let request = match body {
            Value::Null => request.body(Body::empty()),
            body => request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into()),
        };
        self.send(request.unwrap()).await
    }

    async fn get(&self, path: &str, token: &str) -> Told {
        self.ask("GET", path, token, Value::Null).await
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> Told {
        self.ask("POST", path, token, body).await
    }

    /// Has a message of `owner` wait for a decision: gives its intent, its approval and its digest.
    async fn waiting(&self, token: &str) -> (String, String, String) {
        let order = order("send", json!({ "to": ["a@example.com", "b@example.com"], "body": "Text" }));
        let ran = self.post("/v1/intents?wait=60", token, order).await.is(201).json();
        assert_eq!(ran["status"], "waiting", "{ran}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&ran["intent"]), text(&ran["approval"]["id"]), text(&ran["approval"]["digest"]))
    }

    /// Puts an intent down that nobody drives.
    async fn interrupted(&self) -> String {
        let order = Order {
            agent: AGENT.into(),
            action: "nothing".into(),
            parameters: Map::new(),
            text: None,
            retry_of: None,
        };
        self.desk("owner").submit(order, None).await.unwrap().intent
    }

    /// Waits until an intent stands so. How long that takes is the machine's.
    async fn until(&self, id: &str, status: Status) {
        let desk = self.desk("owner");
        let look = || desk.show(id).map(|view| (view.intent.status == status, view.intent.status));
        let found = self.app.until(Duration::from_secs(60), look).await.unwrap();
        assert_eq!(found, status);
    }
}

fn asking(method: &str, path: &str, token: &str) -> axum::http::request::Builder {
    let request = Request::builder().method(method).uri(path).header(header::HOST, NAME);
    match token {
        "" => request,
        token => request.header(header::AUTHORIZATION, format!("Bearer {token}")),
    }
}

fn order(action: &str, parameters: Value) -> Value {
    json!({ "agent": AGENT, "action": action, "parameters": parameters })
}

#[test]
fn the_committed_document_is_what_the_routes_say() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&place, document::document()).unwrap();
    }
    let committed = std::fs::read_to_string(place).unwrap();
    assert!(committed == document::document(), "run this test once with BLESS=1, and look at the difference");
}

#[test]
fn everything_the_document_names_is_in_it() {
    let document: Value = serde_json::from_str(document::document()).unwrap();
    let mut names = BTreeSet::new();
    fn walk(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                names.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| walk(value, names));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, names)),
            _ => {}
        }
    }
    walk(&document, &mut names);
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(document.pointer(name.trim_start_matches('#')).is_some(), "{name}");
    }
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|path| path.as_object().unwrap().values());
    let ids: BTreeSet<_> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), routes().len());
}

#[tokio::test]
async fn every_path_of_the_document_is_answered_and_no_status_comes_that_it_does_not_list() {
    let house = House::new();
    let token = house.token("main", "ada", &Role::ALL).await;
    for route in routes() {
        let path = route.path.replace("{id}", "x").replace("{name}", "nobody").replace("{code}", "BUSY");
        let told = house.ask(route.method.as_str(), &path, &token, Value::Null).await;
        assert!(!told.body.contains("there is nothing at"), "{} {path}", route.method);
        if route.is_guarded() {
            house
                .ask(route.method.as_str(), &path, "", Value::Null)
                .await
                .refused(401, Code::Unauthenticated);
        }
    }
    house.get("/v1/nothing", &token).await.refused(404, Code::UnknownId);
    let told = house.ask("PUT", "/v1/agents", &token, Value::Null).await;
    told.refused(405, Code::Usage);
    let allowed: BTreeSet<_> = told.header("allow").split(',').collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]));
}

#[test]
fn a_status_is_chosen_for_every_code_that_a_route_names() {
    for route in routes() {
        for code in route.refusals {
            let is_fault = status_of(*code) == StatusCode::INTERNAL_SERVER_ERROR;
            assert!(!is_fault || *code == Code::HostFault, "{} {}: {code}", route.method, route.path);
        }
    }
}

/// What a request of a route carries, where everything is as it should be but nothing is there.
fn minimal(path: &str, method: &Method) -> (String, Value) {
    let digest = "0".repeat(64);
    let body = match (method.as_str(), path) {
        ("POST", "/v1/intents") => order("nothing", json!({})),
        ("POST", "/v1/agents/{id}/grants") => json!({ "capabilities": ["messages.send"] }),
        ("POST", "/v1/approvals/{id}/decision") => json!({ "verdict": "approve", "digest": digest }),
        ("POST", "/v1/approvals/{id}/edit") => json!({ "digest": digest, "subject": "Other" }),
        ("POST", "/v1/outbox/{id}/resolve") => json!({ "resolution": "sent" }),
        ("POST", "/v1/people") => json!({ "name": "new", "roles": ["invoker"] }),
        ("PATCH", "/v1/people/{name}") => json!({ "roles": ["invoker"] }),
        ("POST", "/v1/tokens") => json!({ "label": "a", "days": 1 }),
        _ => Value::Null,
    };
    let path = path.replace("{id}", "x").replace("{name}", "nobody");
    let query =
        if path.ends_with("/grants") && method == Method::DELETE { "?capability=messages.send" } else { "" };
    (path + query, body)
}

#[tokio::test]
async fn the_picture_of_roles_and_routes_is_the_committed_one() {
    let house = House::new();
    let mut tokens = Vec::new();
    for role in Role::ALL {
        tokens.push((role, house.token("main", role.name(), &[role]).await));
    }
    let mut picture =
        String::from("Who may ask for what: o operator, a approver, i invoker, u auditor, m metrics\n\n");
    for route in routes().iter().filter(|route| route.is_guarded()) {
        let allowed: BTreeSet<Role> = match route.needs {
            Needs::Nothing => continue,
            Needs::Token => Role::ALL.into(),
            Needs::Role(deed) => deed.roles().iter().copied().collect(),
            Needs::Either(one, other) => [one.roles(), other.roles()].concat().into_iter().collect(),
        };
        let (path, body) = minimal(route.path, &route.method);
        let is_own = route.path == "/v1/agents/{id}/grants" && route.method == Method::DELETE;
        let mut row = String::new();
        for ((role, token), sign) in tokens.iter().zip("oaium".chars()) {
            let told = match (route.method.as_str(), route.path) {
                ("POST", "/v1/agents") => {
                    let request =
                        asking("POST", "/v1/agents", token).header(header::CONTENT_TYPE, "application/wasm");
                    house.send(request.body("no component".into()).unwrap()).await
                }
                (method, _) => house.ask(method, &path, token, body.clone()).await,
            };
            let may = told.status != StatusCode::FORBIDDEN;
            row.push(if may { sign } else { '-' });
            // One's own grants take one role, and those of others another.
            let should = if is_own { *role == Role::Invoker } else { allowed.contains(role) };
            assert_eq!(may, should, "{} {} as {role}: {}", route.method, route.path, told.body);
            if !may {
                told.refused(403, Code::Forbidden);
            }
        }
        writeln!(picture, "{row}  {} {}", route.method, route.path).unwrap();
        if is_own {
            let others = format!("{path}&user=somebody");
            let mut row = String::new();
            for ((_, token), sign) in tokens.iter().zip("oaium".chars()) {
                let told = house.ask("DELETE", &others, token, Value::Null).await;
                row.push(if told.status == StatusCode::FORBIDDEN { '-' } else { sign });
            }
            writeln!(picture, "{row}  {} {} of somebody else", route.method, route.path).unwrap();
        }
    }
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("roles.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&place, &picture).unwrap();
    }
    assert_eq!(std::fs::read_to_string(place).unwrap(), picture);
}

#[tokio::test]
async fn an_agent_is_installed_shown_granted_revoked_and_removed() {
    let house = House::new();
    let token = house.token("main", "owner", &Role::ALL).await;
    let install = |query: &str, bytes: Vec<u8>, kind: &str| {
        let request =
            asking("POST", &format!("/v1/agents{query}"), &token).header(header::CONTENT_TYPE, kind);
        house.send(request.body(bytes.into()).unwrap())
    };
    install("", component(), "text/html").await.refused(415, Code::InvalidParameter);
    install("?grant=mail", component(), "application/wasm").await.refused(400, Code::InvalidParameter);
    install("", b"\0asm\x01\0\0\0".to_vec(), "application/wasm").await.refused(422, Code::CoreModule);
    let told = install("?grant=messages.send", component(), "application/wasm").await.is(201);
    assert_eq!(told.header("location"), format!("/v1/agents/{AGENT}"));
    assert_eq!(told.json()["granted"], json!(["messages.send"]));
    assert_eq!(told.json()["installedBy"].as_str().unwrap().split('/').next(), Some("owner"));

    let at = format!("/v1/agents/{AGENT}");
    assert_eq!(house.get("/v1/agents", &token).await.is(200).json()["agents"][0]["id"], AGENT);
    assert_eq!(house.get(&at, &token).await.is(200).json()["name"], "API test");
    let grants = format!("{at}/grants");
    let revoke = format!("{grants}?capability=messages.send");
    let told = house.ask("DELETE", &revoke, &token, Value::Null).await.is(200);
    assert_eq!(told.json()["granted"], json!([]));
    let told = house.post(&grants, &token, json!({ "capabilities": ["messages.send"] })).await.is(200);
    assert_eq!(told.json()["granted"], json!(["messages.send"]));
    house
        .post(&grants, &token, json!({ "capabilities": ["messages.read"] }))
        .await
        .refused(422, Code::ManifestInvalid);

    let (intent, ..) = house.waiting(&token).await;
    house.ask("DELETE", &at, &token, Value::Null).await.refused(409, Code::AgentInUse);
    house.post(&format!("/v1/intents/{intent}/cancel"), &token, Value::Null).await.is(200);
    assert_eq!(
        house.ask("DELETE", &at, &token, Value::Null).await.is(200).json(),
        json!({ "removed": AGENT })
    );
    house.get(&at, &token).await.refused(404, Code::UnknownId);
}

#[tokio::test]
async fn a_message_is_asked_for_shown_signed_and_left() {
    let house = House::new();
    let token = house.owner().await;
    let (intent, approval, digest) = house.waiting(&token).await;
    let listed = house.get("/v1/approvals?state=pending", &token).await.is(200).json();
    assert_eq!((&listed["approvals"][0]["id"], &listed["next"]), (&json!(approval), &Value::Null));
    let at = format!("/v1/approvals/{approval}");
    assert_eq!(house.get(&at, &token).await.is(200).json()["action"]["subject"], "Hello");

    let decide = format!("{at}/decision?wait=60");
    let stale = json!({ "verdict": "approve", "digest": "0".repeat(64) });
    house.post(&decide, &token, stale).await.refused(409, Code::StaleDigest);
    let edit = json!({ "digest": digest, "subject": "Another", "removeRecipients": ["b@example.com"] });
    let changed = house.post(&format!("{at}/edit"), &token, edit).await.is(200).json();
    assert_eq!(changed["approval"]["action"]["to"], json!(["a@example.com"]));
    assert_eq!(changed["auditHead"].as_str().unwrap().len(), 64);
    let yes = |digest: &Value| json!({ "verdict": "approve", "digest": digest, "note": "fine" });
    house.post(&decide, &token, yes(&json!(digest))).await.refused(409, Code::StaleDigest);
    let ran = house.post(&decide, &token, yes(&changed["approval"]["digest"])).await.is(200).json();
    assert_eq!((&ran["status"], &ran["card"]["title"]), (&json!("done"), &json!("Sent")), "{ran}");
    assert_eq!(ran["auditHead"].as_str().unwrap().len(), 64);
    house.post(&decide, &token, yes(&changed["approval"]["digest"])).await.refused(409, Code::AlreadyDecided);
    house.post(&format!("{at}/revoke"), &token, Value::Null).await.refused(409, Code::AlreadyDecided);

    let sent = house.get("/v1/sent", &token).await.is(200).json();
    assert_eq!(
        (&sent["messages"][0]["subject"], sent["messages"].as_array().unwrap().len()),
        (&json!("Another"), 1)
    );
    let outbox = house.get("/v1/outbox", &token).await.is(200).json();
    assert_eq!(
        (&outbox["messages"][0]["id"], &outbox["messages"][0]["state"]),
        (&json!(approval), &json!("kept"))
    );
    assert_eq!(house.get("/v1/outbox?open=true", &token).await.is(200).json()["messages"], json!([]));
    house.get(&format!("/v1/outbox/{approval}"), &token).await.is(200);
    let resolve = format!("/v1/outbox/{approval}/resolve");
    house.post(&resolve, &token, json!({ "resolution": "resend" })).await.refused(409, Code::NotUncertain);
    assert_eq!(
        house.post("/v1/outbox/deliver", &token, Value::Null).await.is(200).json()["messages"],
        json!([])
    );

    let shown = house.get(&format!("/v1/intents/{intent}"), &token).await.is(200).json();
    assert_eq!((&shown["timeline"][1]["call"], &shown["status"]), (&json!("messages.send"), &json!("done")));
    house
        .post(&format!("/v1/intents/{intent}/cancel"), &token, Value::Null)
        .await
        .refused(409, Code::AlreadyEnded);
}

#[tokio::test]
async fn a_yes_can_be_taken_back_until_it_is_used() {
    let house = House::new();
    let token = house.owner().await;
    let (_, approval, digest) = house.waiting(&token).await;
    let desk = house.desk("owner");
    let digest = countersign::digest::Digest::parse(&digest).unwrap();
    desk.decide(&approval, countersign::approval::Verdict::Approve, digest, None).await.unwrap();
    let changed =
        house.post(&format!("/v1/approvals/{approval}/revoke"), &token, Value::Null).await.is(200).json();
    assert_eq!(changed["approval"]["state"], "revoked");
}

#[tokio::test]
async fn the_same_key_is_the_same_intent_and_another_order_under_it_is_refused() {
    let house = House::new();
    let token = house.owner().await;
    let submit = async |key: &str, body: Value, path: &str| {
        let request = asking("POST", path, &token).header("idempotency-key", key);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into());
        house.send(request.unwrap()).await
    };
    let first = submit("k1", order("nothing", json!({})), "/v1/intents?wait=60").await.is(201);
    let again = submit("k1", order("nothing", json!({})), "/v1/intents?wait=60").await.is(200);
    assert_eq!(first.json()["intent"], again.json()["intent"]);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(again.json()["status"], "done");
    let other = json!({ "to": ["a@example.com"], "body": "Text" });
    submit("k1", order("send", other), "/v1/intents").await.refused(422, Code::IdempotencyConflict);
    submit("a key", order("nothing", json!({})), "/v1/intents").await.refused(400, Code::InvalidParameter);
    let retry = format!("{}/retry?wait=60", first.header("location"));
    let one = submit("k2", Value::Null, &retry).await.is(201);
    let two = submit("k2", Value::Null, &retry).await.is(200);
    assert_eq!(one.json()["intent"], two.json()["intent"]);
    assert_ne!(one.json()["intent"], first.json()["intent"]);
    let listed = house.get("/v1/intents", &token).await.is(200).json();
    assert_eq!(listed["intents"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn lists_go_on_where_they_were_cut() {
    let house = House::new();
    let token = house.owner().await;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(house.interrupted().await);
    }
    all.reverse();
    let mut seen = Vec::new();
    let mut path = "/v1/intents?limit=1&status=running&agent=test.agent.api".to_owned();
    loop {
        let part = house.get(&path, &token).await.is(200).json();
        assert_eq!(part["intents"].as_array().unwrap().len(), 1);
        seen.push(part["intents"][0]["id"].as_str().unwrap().to_owned());
        let Some(next) = part["next"].as_str() else { break };
        path = format!("/v1/intents?limit=1&before={next}");
    }
    assert_eq!(seen, all);
    for wrong in ["limit=0", "limit=1000", "limit=x", "status=odd", "unknown=1"] {
        house.get(&format!("/v1/intents?{wrong}"), &token).await.refused(400, Code::InvalidParameter);
    }
}

#[tokio::test]
async fn what_has_failed_is_found_however_it_ended() {
    let house = House::new();
    let token = house.owner().await;
    house.post("/v1/intents?wait=60", &token, order("nothing", json!({}))).await.is(201);
    let failed =
        async || house.get("/v1/intents?failed=true", &token).await.is(200).json()["intents"].clone();
    assert_eq!(failed().await, json!([]));
    // It does not expect to be declined, and ends with the error.
    let (intent, approval, digest) = house.waiting(&token).await;
    let no = json!({ "verdict": "decline", "digest": digest });
    let ran =
        house.post(&format!("/v1/approvals/{approval}/decision?wait=60"), &token, no).await.is(200).json();
    assert_eq!((&ran["status"], &ran["failed"]), (&json!("done"), &json!("error_card")), "{ran}");
    let found = failed().await;
    assert_eq!((&found[0]["id"], found.as_array().map(Vec::len)), (&json!(intent), Some(1)), "{found}");
}

#[tokio::test]
async fn a_run_that_was_interrupted_is_picked_up_when_asked_for_and_is_waited_for() {
    let house = House::new();
    let token = house.owner().await;
    let id = house.interrupted().await;
    assert_eq!(house.get(&format!("/v1/intents/{id}"), &token).await.is(200).json()["status"], "running");
    let ran = house.post(&format!("/v1/intents/{id}/resume?wait=60"), &token, Value::Null).await.is(200);
    assert_eq!(ran.json()["status"], "done");
    house.get(&format!("/v1/intents/{id}?wait=61"), &token).await.refused(400, Code::InvalidParameter);
}

#[tokio::test]
async fn whoever_waits_for_an_intent_hears_of_it_when_it_rests() {
    let house = House::new();
    let token = house.owner().await;
    let id = house.interrupted().await;
    let path = format!("/v1/intents/{id}?wait=60");
    let (told, ran) = join(house.get(&path, &token), async {
        // Driven beside the API, as another process would.
        house.app.host().resume("owner", &id).await.unwrap()
    })
    .await;
    assert_eq!((told.is(200).json()["status"].as_str(), ran.intent.status), (Some("done"), Status::Done));
}

#[tokio::test]
async fn what_another_tenant_has_looks_like_what_nobody_has() {
    let house = House::new();
    let token = house.owner().await;
    let (intent, approval, digest) = house.waiting(&token).await;
    let stranger = house.token("other", "eve", &Role::ALL).await;
    let mine = house.app.host.make_token(house.desk("owner").person(), "x", None, 1).await.unwrap().row.id;
    let decision = json!({ "verdict": "approve", "digest": digest });
    let asks = [
        ("GET", "/v1/intents/{}", &intent, Value::Null),
        ("GET", "/v1/intents/{}/events", &intent, Value::Null),
        ("POST", "/v1/intents/{}/cancel", &intent, Value::Null),
        ("POST", "/v1/intents/{}/retry", &intent, Value::Null),
        ("POST", "/v1/intents/{}/resume", &intent, Value::Null),
        ("GET", "/v1/approvals/{}", &approval, Value::Null),
        ("POST", "/v1/approvals/{}/decision", &approval, decision),
        ("POST", "/v1/approvals/{}/edit", &approval, json!({ "digest": digest, "subject": "x" })),
        ("POST", "/v1/approvals/{}/revoke", &approval, Value::Null),
        ("GET", "/v1/outbox/{}", &approval, Value::Null),
        ("POST", "/v1/outbox/{}/resolve", &approval, json!({ "resolution": "sent" })),
        ("GET", "/v1/agents/{}", &AGENT.to_owned(), Value::Null),
        ("DELETE", "/v1/agents/{}", &AGENT.to_owned(), Value::Null),
        ("PATCH", "/v1/people/{}", &"owner".to_owned(), json!({ "roles": ["invoker"] })),
        ("DELETE", "/v1/people/{}", &"owner".to_owned(), Value::Null),
        ("POST", "/v1/people/{}/invitation", &"owner".to_owned(), Value::Null),
        ("DELETE", "/v1/tokens/{}", &mine, Value::Null),
    ];
    for (method, path, id, body) in asks {
        // As long as the other, and nobody's.
        let unknown: String = id.chars().rev().collect();
        let theirs = house.ask(method, &path.replace("{}", id), &stranger, body.clone()).await;
        let nobodys = house.ask(method, &path.replace("{}", &unknown), &stranger, body).await;
        theirs.refused(404, Code::UnknownId);
        let plain = |told: &Told, id: &str| {
            let request = told.header("x-request-id").to_owned();
            (told.status, told.body.replace(&request, "REQUEST").replace(id, "ID"))
        };
        assert_eq!(plain(&theirs, id), plain(&nobodys, &unknown), "{method} {path}");
        let names = |told: &Told| told.headers.keys().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(names(&theirs), names(&nobodys));
    }
    for list in ["/v1/intents", "/v1/approvals", "/v1/outbox", "/v1/agents", "/v1/sent", "/v1/mail"] {
        let told = house.get(list, &stranger).await.is(200);
        assert!(
            told.json().as_object().unwrap().values().all(|list| *list == json!([])),
            "{list}: {}",
            told.body
        );
    }
    assert_eq!(house.desk("owner").show(&intent).unwrap().intent.status, Status::Waiting);
}

#[tokio::test]
async fn only_a_token_that_is_good_says_who_asks() {
    let house = House::new();
    let token = house.token("main", "ada", &[Role::Invoker]).await;
    let me = house.get("/v1/me", &token).await.is(200).json();
    assert_eq!(
        (&me["name"], &me["tenant"], &me["roles"]),
        (&json!("ada"), &json!("main"), &json!(["invoker"]))
    );

    let invited = house.app.host.invite("main", "ada", None, "test").await.unwrap();
    let session =
        house.app.host.join(None, invited.secret.text(), "correct horse battery").await.unwrap().secret;
    let with = async |name: &str, value: &str| {
        house.send(asking("GET", "/v1/me", "").header(name, value).body(Body::empty()).unwrap()).await
    };
    for (name, value) in [
        ("cookie", format!("countersign={}", session.text())),
        ("authorization", format!("Bearer {}", session.text())),
        ("authorization", format!("Basic {token}")),
        ("authorization", token.clone()),
        ("authorization", format!("Bearer {}x", token)),
        ("authorization", "Bearer".into()),
    ] {
        let told = with(name, &value).await;
        told.refused(401, Code::Unauthenticated);
        assert!(told.header("www-authenticate").starts_with("Bearer"));
    }
    let twice = asking("GET", "/v1/me", &token).header(header::AUTHORIZATION, format!("Bearer {token}"));
    house.send(twice.body(Body::empty()).unwrap()).await.refused(401, Code::Unauthenticated);
    with("authorization", &format!("bearer {token}")).await.is(200);
}

#[tokio::test]
async fn people_are_asked_in_given_roles_and_removed() {
    let house = House::new();
    let token = house.token("main", "owner", &Role::ALL).await;
    let invited = house
        .post("/v1/people", &token, json!({ "name": "bob", "roles": ["approver"] }))
        .await
        .is(201)
        .json();
    let secret = invited["link"].as_str().unwrap().strip_prefix("http://127.0.0.1:8340/join/").unwrap();
    assert_eq!(house.app.host.invited(secret).unwrap().name, "bob");
    let again = house.post("/v1/people/bob/invitation", &token, Value::Null).await.is(200).json();
    assert_ne!(again["link"], invited["link"]);
    assert!(house.app.host.invited(secret).is_err());
    let people = house.get("/v1/people", &token).await.is(200).json();
    assert_eq!(
        (&people["people"][0]["name"], &people["people"][0]["joined"]),
        (&json!("bob"), &json!(false))
    );
    let shown = house
        .ask("PATCH", "/v1/people/bob", &token, json!({ "roles": ["auditor", "invoker"] }))
        .await
        .is(200);
    assert_eq!(shown.json()["roles"], json!(["invoker", "auditor"]));
    house.ask("DELETE", "/v1/people/bob", &token, Value::Null).await.is(200);
    house.ask("DELETE", "/v1/people/bob", &token, Value::Null).await.refused(404, Code::UnknownId);
    house
        .post("/v1/people", &token, json!({ "name": "b b", "roles": ["approver"] }))
        .await
        .refused(400, Code::InvalidParameter);
    house
        .post("/v1/people", &token, json!({ "name": "b", "roles": ["king"] }))
        .await
        .refused(400, Code::InvalidParameter);
}

#[tokio::test]
async fn a_token_is_shown_once_holds_what_it_was_made_for_and_ends() {
    let house = House::new();
    let token = house.token("main", "ada", &[Role::Invoker, Role::Auditor]).await;
    let made =
        house.post("/v1/tokens", &token, json!({ "label": "ci", "roles": ["auditor"], "days": 1 })).await;
    let made = made.is(201).json();
    let narrow = made["token"].as_str().unwrap();
    assert_eq!(house.get("/v1/me", narrow).await.is(200).json()["roles"], json!(["auditor"]));
    house.get("/v1/mail", narrow).await.refused(403, Code::Forbidden);
    let wide = json!({ "label": "ci", "roles": ["operator"], "days": 1 });
    house.post("/v1/tokens", &token, wide).await.refused(403, Code::Forbidden);
    let listed = house.get("/v1/tokens", &token).await.is(200);
    assert!(!listed.body.contains(narrow) && listed.body.contains("\"ci\""), "{}", listed.body);
    house
        .ask("DELETE", &format!("/v1/tokens/{}", made["id"].as_str().unwrap()), &token, Value::Null)
        .await
        .is(200);
    house.get("/v1/me", narrow).await.refused(401, Code::Unauthenticated);
}

#[tokio::test]
async fn the_audit_is_verified_and_exported_whole() {
    let house = House::new();
    let token = house.owner().await;
    let verified = house.get("/v1/audit/verify", &token).await.is(200).json();
    let told = house.get("/v1/audit", &token).await.is(200);
    assert_eq!(told.header("content-type"), "application/x-ndjson");
    let entries: Vec<Value> = told.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verified["entries"], entries.len());
    assert_eq!(verified["head"], entries.last().unwrap()["hash"]);
    for pair in entries.windows(2) {
        assert_eq!(pair[0]["hash"], pair[1]["previous"]);
    }
    let kept = format!("/v1/audit/verify?head={}", verified["head"].as_str().unwrap());
    house.get(&kept, &token).await.is(200);
    let lost = format!("/v1/audit/verify?head={}", "0".repeat(63) + "1");
    house.get(&lost, &token).await.refused(409, Code::AuditBroken);
    house.get("/v1/audit/verify?head=x", &token).await.refused(400, Code::InvalidParameter);
}

/// The events of a stream, as they come: what each is, its id, its data.
async fn heard(house: &House, path: &str, token: &str, last: Option<&str>) -> Vec<(String, String, Value)> {
    let mut request = asking("GET", path, token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let told = house.send(request.body(Body::empty()).unwrap()).await.is(200);
    assert_eq!(told.header("content-type"), "text/event-stream");
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default().to_owned()
    };
    let events = told.body.split("\n\n").filter(|event| event.contains("data: "));
    events
        .map(|event| {
            (field(event, "event"), field(event, "id"), serde_json::from_str(&field(event, "data")).unwrap())
        })
        .collect()
}

#[tokio::test]
async fn an_intent_is_followed_to_its_end_and_on_from_where_one_was() {
    let house = House::new();
    let token = house.owner().await;
    let (intent, approval, digest) = house.waiting(&token).await;
    let path = format!("/v1/intents/{intent}/events");
    let decide = async {
        let decision = json!({ "verdict": "approve", "digest": digest });
        house.post(&format!("/v1/approvals/{approval}/decision"), &token, decision).await.is(200);
    };
    let (events, ()) = join(heard(&house, &path, &token, None), decide).await;
    let calls: Vec<_> = events.iter().filter(|(kind, ..)| kind == "call").collect();
    let names: Vec<_> =
        calls.iter().map(|(_, id, call)| (id.as_str(), call["call"].as_str().unwrap())).collect();
    let calls_told: Vec<_> = names.iter().map(|(id, _)| id.split('.').next().unwrap()).collect();
    assert_eq!(calls_told, ["1", "2"]);
    assert_eq!(
        names.iter().map(|(_, name)| *name).collect::<Vec<_>>(),
        ["approval.request", "messages.send"]
    );
    let ids: BTreeSet<_> = events.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), events.len(), "no two events have one id: {events:?}");
    let (kind, id, last) = events.last().unwrap();
    assert_eq!((kind.as_str(), &last["status"]), ("status", &json!("done")));
    assert!(id.ends_with(".end"), "{id}");

    // Whoever heard the first call goes on behind it, and hears no id again but greater ones.
    let on = heard(&house, &path, &token, Some(names[0].0)).await;
    let told: Vec<_> =
        on.iter().map(|(kind, id, _)| (kind.as_str(), id.split('.').next().unwrap())).collect();
    assert_eq!(told, [("call", "2"), ("status", "2")]);
    // Whoever heard the last call, or how the run waited, has not heard the end.
    for heard_last in [names[1].0, "2.7"] {
        let on = heard(&house, &path, &token, Some(heard_last)).await;
        assert_eq!(on.iter().map(|(kind, ..)| kind.as_str()).collect::<Vec<_>>(), ["status"], "{heard_last}");
        assert!(on[0].1 != heard_last && on[0].1.ends_with(".end"), "{}", on[0].1);
    }
    // What is no id of ours begins anew.
    for odd in ["", "x", "2", "-1.0", "99999999999999999999.0"] {
        assert_eq!(heard(&house, &path, &token, Some(odd)).await.len(), 3, "{odd}");
    }
    let ended = asking("GET", &path, &token).header("last-event-id", id).body(Body::empty()).unwrap();
    house.send(ended).await.is(204);
}

#[tokio::test]
async fn somebody_has_so_many_streams_and_gets_them_back() {
    let house = House::new();
    let token = house.owner().await;
    let (intent, ..) = house.waiting(&token).await;
    let path = format!("/v1/intents/{intent}/events");
    let open = || async {
        let request = asking("GET", &path, &token).body(Body::empty()).unwrap();
        house.doors.clone().oneshot(request).await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..crate::streams::STREAMS_MAX {
        streams.push(open().await);
    }
    assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
    // A stream that is let in is not read: it would not end.
    assert_eq!(open().await.status(), StatusCode::TOO_MANY_REQUESTS);
    house.get(&path, &token).await.refused(429, Code::RateLimitExceeded);
    streams.pop();
    assert_eq!(open().await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_is_read_no_further_than_it_may_be_long_and_only_as_what_it_should_be() {
    let house = House::new();
    let token = house.owner().await;
    let long = "x".repeat(super::intents::ORDER_BYTES_MAX + 1);
    let send = async |path: &str, kind: &str, body: Body| {
        house.send(asking("POST", path, &token).header(header::CONTENT_TYPE, kind).body(body).unwrap()).await
    };
    send("/v1/intents", "application/json", long.clone().into()).await.refused(413, Code::RequestTooLarge);
    // Where nobody says how long it is, it is found out on the way.
    let parts =
        futures_util::stream::iter(long.into_bytes().chunks(1024).map(<[u8]>::to_vec).collect::<Vec<_>>());
    let stream = Body::from_stream(parts.map(Ok::<_, std::io::Error>));
    send("/v1/intents", "application/json", stream).await.refused(413, Code::RequestTooLarge);
    let body = || Body::from(order("nothing", json!({})).to_string());
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        send("/v1/intents", kind, body()).await.refused(415, Code::InvalidParameter);
    }
    send("/v1/intents", "application/json; charset=utf-8", body()).await.is(201);
    for wrong in ["", "{", "[]", "{}", r#"{"agent":"a","action":"b","user":"eve"}"#] {
        send("/v1/intents", "application/json", wrong.into()).await.refused(400, Code::InvalidParameter);
    }
    house.post("/v1/intents", &token, order("no.such", json!({}))).await.refused(400, Code::UndeclaredAction);
    house.post("/v1/intents", &token, order("send", json!({}))).await.refused(400, Code::InvalidParameter);
    house.get("/v1/mail?after=yesterday", &token).await.refused(400, Code::InvalidParameter);
    house.get("/v1/mail?limit=0", &token).await.refused(400, Code::InvalidParameter);
    for list in ["/v1/mail", "/v1/sent", "/v1/intents", "/v1/approvals", "/v1/outbox"] {
        house.get(&format!("{list}?before=nobody"), &token).await.refused(404, Code::UnknownId);
    }
    // As text: what a JSON library makes of a number is not what was sent.
    for (number, status) in
        [("9007199254740992", 201), ("9007199254740993", 400), ("-9007199254740993", 400), ("1e2", 201)]
    {
        let body =
            format!(r#"{{"agent":"{AGENT}","action":"nothing","parameters":{{"n":[{{"m":{number}}}]}}}}"#);
        let told = send("/v1/intents", "application/json", body.into()).await;
        assert_eq!(told.status.as_u16(), status, "{number}: {}", told.body);
    }
    house.get("/v1/mail?from=a@example.com&after=2026-01-01&limit=1", &token).await.is(200);
}

#[tokio::test]
async fn a_token_has_so_many_requests_a_minute_and_is_told_how_many_are_left() {
    let house = House::with_requests(3);
    let (one, other) = (
        house.token("main", "ada", &[Role::Invoker]).await,
        house.token("main", "bob", &[Role::Invoker]).await,
    );
    for left in ["2", "1", "0"] {
        let told = house.get("/v1/me", &one).await.is(200);
        assert_eq!((told.header("ratelimit-limit"), told.header("ratelimit-remaining")), ("3", left));
        assert!(told.header("ratelimit-reset").parse::<u64>().unwrap() <= 60);
    }
    let told = house.get("/v1/me", &one).await;
    told.refused(429, Code::RateLimitExceeded);
    assert_eq!((told.header("retry-after"), told.header("ratelimit-remaining")), ("20", "0"));
    house.get("/v1/me", &other).await.is(200);
    house.app.host.clock().advance(20_000);
    house.get("/v1/me", &one).await.is(200);
}

#[tokio::test]
async fn only_the_server_s_own_names_are_answered() {
    let house = House::new();
    let token = house.token("main", "ada", &[Role::Invoker]).await;
    let under = async |name: &str, path: &str| {
        let request = Request::builder().uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        house.send(request.header(header::HOST, name).body(Body::empty()).unwrap()).await
    };
    for name in [NAME, "localhost:8340", "LOCALHOST:8340"] {
        under(name, "/v1/me").await.is(200);
    }
    for name in ["evil.example", "127.0.0.1", "127.0.0.1:8341", "127.0.0.1.evil.example:8340", ""] {
        under(name, "/v1/me").await.refused(421, Code::ForgedRequest);
    }
    under("10.0.0.1", "/healthz").await.is(200);
    let none = Request::builder().uri("/docs").body(Body::empty()).unwrap();
    let told = house.doors.clone().oneshot(none).await.unwrap();
    assert_eq!(told.status(), StatusCode::BAD_REQUEST);
}

#[test]
fn a_site_has_its_own_name_and_on_the_machine_those_of_the_machine() {
    let names = |origin: &str, bound: &str| {
        let bound: SocketAddr = bound.parse().unwrap();
        Site::new(origin.into(), bound, false).names.into_iter().collect::<BTreeSet<_>>()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(names("https://a.example", "10.0.0.1:8340"), set(&["a.example", "a.example:443"]));
    assert_eq!(names("https://a.example:8443", "10.0.0.1:8340"), set(&["a.example:8443"]));
    let own = ["[::1]:8340", "localhost:8340", "127.0.0.1:8340"];
    assert_eq!(names("http://[::1]:8340", "[::1]:8340"), set(&own));
    let plain = ["127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80"];
    assert_eq!(names("http://127.0.0.1", "127.0.0.1:80"), set(&plain));
}

#[tokio::test]
async fn a_panic_and_an_answer_that_does_not_come_say_nothing_of_what_is_inside() {
    let house = House::new();
    let boom = Router::new().route("/boom", get(async || -> &'static str { panic!("a secret at 0x1234") }));
    let doors = behind(boom, house.app.clone());
    let request = asking("GET", "/boom", "").body(Body::empty()).unwrap();
    let response = doors.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let told = String::from_utf8(body.to_vec()).unwrap();
    assert!(told.contains("HOST_FAULT") && !told.contains("secret") && !told.contains("panic"), "{told}");

    let late = within(Duration::from_millis(1), std::future::pending()).await;
    let refused = late.extensions().get::<Refused>().unwrap();
    assert_eq!((refused.status.as_u16(), refused.problem.code), (503, Code::Busy));
    let in_time = within(Duration::from_secs(60), async { "ok".into_response() }).await;
    assert_eq!(in_time.status(), StatusCode::OK);
}

#[tokio::test]
async fn whoever_hangs_up_stops_no_run() {
    let house = House::new();
    let token = house.owner().await;
    let request = asking("POST", "/v1/intents?wait=60", &token)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(order("nothing", json!({})).to_string()))
        .unwrap();
    let mut asked = Box::pin(house.doors.clone().oneshot(request));
    let desk = house.desk("owner");
    // Listened to until the intent is on disk, and no longer.
    let intent = loop {
        let listed = desk.intents(Default::default(), Default::default()).unwrap();
        if let Some(intent) = listed.first() {
            break intent.id.clone();
        }
        assert!(asked.as_mut().now_or_never().is_none(), "it was answered before it was put down");
        tokio::task::yield_now().await;
    };
    drop(asked);
    house.until(&intent, Status::Done).await;
}

#[tokio::test]
async fn a_server_that_goes_down_takes_nothing_new_and_ends_its_streams() {
    let house = House::new();
    let token = house.owner().await;
    let (intent, ..) = house.waiting(&token).await;
    house.get("/readyz", "").await.is(200);
    let request = asking("GET", &format!("/v1/intents/{intent}/events"), &token).body(Body::empty()).unwrap();
    let stream = house.doors.clone().oneshot(request).await.unwrap();
    house.app.close();
    // Without the end of the stream, this would not come to one.
    to_bytes(stream.into_body(), usize::MAX).await.unwrap();
    let told = house.post("/v1/intents", &token, order("nothing", json!({}))).await;
    assert_eq!(told.refused(503, Code::ShuttingDown).header("retry-after"), "1");
    house.get("/readyz", "").await.refused(503, Code::ShuttingDown);
    house.get("/healthz", "").await.is(200);
}

#[tokio::test]
async fn what_is_measured_is_for_those_who_measure_in_the_first_tenant() {
    let house = House::new();
    let token = house.token("main", "ada", &[Role::Auditor]).await;
    house.get("/v1/intents/x", &token).await.refused(404, Code::UnknownId);
    let told = house.get("/metrics", &token).await.is(200);
    assert_eq!(told.header("content-type"), countersign::meters::CONTENT_TYPE);
    assert!(told.body.contains(r#"code="UNKNOWN_ID"} 1"#), "{}", told.body);
    let elsewhere = house.token("other", "eve", &Role::ALL).await;
    house.get("/metrics", &elsewhere).await.refused(403, Code::Forbidden);
    house.get("/metrics", "").await.refused(401, Code::Unauthenticated);
}

#[tokio::test]
async fn a_code_has_its_page_and_what_is_no_code_has_none() {
    let house = House::new();
    for code in Code::ALL {
        let told = house.get(&format!("/docs/refusals/{code}"), "").await.is(200);
        assert!(
            told.body.contains(&format!("<h1>{code}</h1>")) && told.body.contains("What to do"),
            "{code}"
        );
        assert!(told.header("content-security-policy").starts_with("default-src 'none'"));
    }
    house.get("/docs/refusals/NO_SUCH", "").await.refused(404, Code::UnknownId);
    let page = house.get("/docs", "").await.is(200).body;
    for route in routes() {
        assert!(page.contains(&format!("{} {}", route.method, route.path)), "{}", route.path);
    }
    let faults = Refused::from(Problem::new(Code::HostFault, "x"));
    assert_eq!(faults.status, StatusCode::INTERNAL_SERVER_ERROR);
}

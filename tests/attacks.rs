//! Every way but the right one to have an approval decided over HTTP: none decides anything.
//!
//! `tests/attacks.txt` is the committed table, one line per attack: the door, what came back, and what was tried. `BLESS=1` writes it
//! anew. Whatever it says, after each attack every approval is as it was, the outboxes are empty and no entry was added to an audit. In
//! the end the one right request decides, once.

#![allow(clippy::disallowed_methods, reason = "other processes are waited for by the wall clock")]

use crate::support::server::{Beside, Reply, Request, Server, Who, forms};
use crate::support::{Cli, guest, workspace};
use countersign::clock::{Clock, Millis};
use countersign::digest::Digest;
use countersign::host::Edit;
use countersign::people::{Role, Scope, TENANT};
use countersign::refusals::Code;
use countersign::store::{Only, Page};
use countersign_serve::inbox::seal::Seal;
use serde_json::json;
use std::fmt::Write as _;
use std::thread;

/// The tenant of strangers.
const ACME: &str = "acme";
/// How many attacks there must be, at least.
const ATTACKS_MIN: usize = 60;
/// How often a link is looked at by whoever looks at links before people do.
const LOOKS: usize = 1_000;
const DAY_MS: Millis = 24 * 60 * 60 * 1000;
const SITE: &str = "127.0.0.1";
/// A secret of the right form that nobody was given.
const CHOSEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// An approval somebody wants decided.
#[derive(Clone, Debug)]
struct Aim {
    id: String,
    digest: String,
}

/// Who and what there is.
struct World<'a> {
    server: &'a Server,
    beside: &'a Beside,
    /// Signs, and is the one who may.
    petra: Who,
    /// Signs, too.
    paul: Who,
    /// Has installed the agents, and signs, too.
    ada: Who,
    operator: Who,
    /// Whose intents they are.
    ivan: Who,
    auditor: Who,
    /// Another of the team, who gives intents to agents, too.
    iris: Who,
    /// Signs elsewhere.
    stranger: Who,
    /// Was an approver until just now.
    former: Who,
    /// Has left.
    gone: Who,
    /// As petra's were three days ago.
    expired: Who,
    /// A token of petra's that was taken back.
    revoked: String,
    /// A token of petra's that is good for everything but deciding.
    narrow: String,
    /// What petra's browser showed before she signed out there.
    signed_out: String,
    /// What is attacked.
    aim: Aim,
    /// Waits beside it.
    other: Aim,
    /// What is attacked, as it was before it was edited.
    before: Digest,
    /// Waits in the other tenant.
    theirs: Aim,
    /// The seal of petra's form.
    csrf: String,
    decline_csrf: String,
    other_csrf: String,
    pauls_csrf: String,
}

// ---- What is right ---------------------------------------------------------------------------------------------------------

/// The page of an approval, as this browser gets it.
fn page(server: &Server, who: &Who, id: &str) -> Reply {
    server.ask(&Request::new("GET", &format!("/approvals/{id}")).and("Cookie", &who.cookie()))
}

/// The hidden field that seals the form behind which something is decided.
fn csrf(server: &Server, who: &Who, id: &str, deed: &str) -> String {
    let page = page(server, who, id);
    assert_eq!(page.status, 200, "{}", page.text());
    let forms = forms(&page.text());
    let form = forms.iter().find(|form| form.action.ends_with(&format!("/{id}/{deed}")));
    let form = form.unwrap_or_else(|| panic!("{} cannot {deed}: {forms:#?}", who.name));
    assert_eq!(form.field("csrf").map(str::len), Some(64), "{form:?}");
    form.field("csrf").unwrap().to_owned()
}

impl World<'_> {
    fn to(&self, deed: &str) -> String {
        format!("/approvals/{}/{deed}", self.aim.id)
    }

    fn form(&self, digest: &str, csrf: &str) -> Request {
        self.bare().form(&[("digest", digest), ("csrf", csrf)])
    }

    /// All a browser adds by itself.
    fn bare(&self) -> Request {
        Request::new("POST", &self.to("approve"))
            .and("Origin", &self.server.origin())
            .and("Sec-Fetch-Site", "same-origin")
            .and("Cookie", &self.petra.cookie())
    }

    /// What petra's browser sends when she presses the button.
    fn right(&self) -> Request {
        self.form(&self.aim.digest, &self.csrf)
    }

    /// What a program with petra's token sends.
    fn call(&self) -> Request {
        self.decide(json!({ "verdict": "approve", "digest": self.aim.digest }))
    }

    fn decide(&self, body: serde_json::Value) -> Request {
        Request::new("POST", &format!("/v1/approvals/{}/decision", self.aim.id))
            .bearer(&self.petra.token)
            .json(&body)
    }

    fn from(&self, origin: &str) -> Request {
        self.right().without("Sec-Fetch-Site").with("Origin", origin)
    }

    /// From another browser, with the seal of petra's.
    fn by(&self, who: &Who) -> Request {
        self.right().with("Cookie", &who.cookie())
    }

    /// A form that is sealed as one of this browser, though no page of it has such a form: what is behind the seal must hold alone.
    fn sealed(&self, who: &Who, id: &str, digest: &str) -> Request {
        let path = format!("/approvals/{id}/approve");
        let seal = Seal::new(&who.session).proof(&path, digest);
        Request { path, ..self.form(digest, &seal) }.with("Cookie", &who.cookie())
    }

    fn ask(&self, request: &Request) -> Reply {
        self.server.ask(request)
    }

    /// Everything a decision changes.
    fn state(&self) -> String {
        let host = &self.beside.host;
        let page = Page { before: None, limit: 100 };
        let mut state = String::new();
        for tenant in [TENANT, ACME] {
            let scope = everybody(tenant);
            let approvals = host.approvals(scope, false, page).unwrap();
            let outbox = host.outbox(scope, false, page).unwrap();
            let mut recorded = Vec::new();
            let each = host.each_audit_entry(tenant, |_, entry| {
                // That somebody signed in decides nothing.
                if !entry.kind.starts_with("sign-") {
                    recorded.push(entry.hash);
                }
                Ok(())
            });
            each.unwrap();
            let intents = host.intents(scope, Only::default(), page).unwrap();
            let intents: Vec<_> = intents.iter().map(|intent| (&intent.id, intent.status)).collect();
            writeln!(state, "{recorded:?} {approvals:#?} {intents:?} {outbox:#?}").unwrap();
        }
        state
    }
}

/// What belongs to anybody of a tenant.
fn everybody(tenant: &str) -> Scope<'_> {
    Scope { tenant, user: None }
}

// ---- What is wrong ---------------------------------------------------------------------------------------------------------

struct Attack {
    door: &'static str,
    what: &'static str,
    attempt: fn(&World<'_>) -> Reply,
}

#[rustfmt::skip]
fn attacks() -> Vec<Attack> {
    let inbox = |what, attempt| Attack { door: "inbox", what, attempt };
    let api = |what, attempt| Attack { door: "api", what, attempt };
    vec![
        // Methods.
        inbox("GET", |w| w.ask(&Request { method: "GET".into(), ..w.right() })),
        inbox("GET, with the form as its query", |w| w.ask(&Request::new("GET", &format!("{}?digest={}&csrf={}", w.to("approve"), w.aim.digest, w.csrf)).and("Cookie", &w.petra.cookie()))),
        inbox("GET of the page, with the verdict in its query", |w| w.ask(&Request::new("GET", &format!("/approvals/{}?verdict=approve&digest={}&csrf={}", w.aim.id, w.aim.digest, w.csrf)).and("Cookie", &w.petra.cookie()))),
        inbox("HEAD", |w| w.ask(&Request { method: "HEAD".into(), ..w.right() })),
        inbox("PUT", |w| w.ask(&Request { method: "PUT".into(), ..w.right() })),
        inbox("PATCH", |w| w.ask(&Request { method: "PATCH".into(), ..w.right() })),
        inbox("DELETE", |w| w.ask(&Request { method: "DELETE".into(), ..w.right() })),
        inbox("OPTIONS", |w| w.ask(&Request { method: "OPTIONS".into(), ..w.right() })),
        inbox("TRACE", |w| w.ask(&Request { method: "TRACE".into(), ..w.right() })),
        inbox("post in small letters", |w| w.ask(&Request { method: "post".into(), ..w.right() })),
        inbox("GET with X-HTTP-Method-Override: POST", |w| w.ask(&Request { method: "GET".into(), ..w.right() }.and("X-HTTP-Method-Override", "POST"))),
        inbox("GET with X-HTTP-Method and X-Method-Override: POST", |w| w.ask(&Request { method: "GET".into(), ..w.right() }.and("X-HTTP-Method", "POST").and("X-Method-Override", "POST"))),
        inbox("GET with _method=POST", |w| w.ask(&Request::new("GET", &format!("{}?_method=POST&digest={}&csrf={}", w.to("approve"), w.aim.digest, w.csrf)).and("Cookie", &w.petra.cookie()))),
        // Paths.
        inbox("POST to the page of the approval", |w| w.ask(&Request { path: format!("/approvals/{}", w.aim.id), ..w.right() })),
        inbox("POST to a batch that signs", |w| w.ask(&Request { path: "/approvals/approve".into(), ..w.right() })),
        inbox("POST to the batch that declines, with another verb", |w| {
            let seal = Seal::new(&w.petra.session).proof("/approvals/decline", "");
            let one = format!("{} {} {}", w.aim.id, w.aim.digest, w.csrf);
            w.ask(&Request { path: "/approvals/decline".into(), ..w.bare() }.form(&[("approval", &one), ("verdict", "approve"), ("csrf", &seal)]))
        }),
        inbox("the path with a slash more", |w| w.ask(&Request { path: format!("{}/", w.to("approve")), ..w.right() }.without("Origin").without("Sec-Fetch-Site"))),
        inbox("the path with two slashes, and no origin", |w| w.ask(&Request { path: format!("/{}", w.to("approve")), ..w.right() }.without("Origin").without("Sec-Fetch-Site"))),
        inbox("the path with encoded slashes", |w| w.ask(&Request { path: format!("/approvals%2F{}%2Fapprove", w.aim.id), ..w.right() })),
        inbox("the path through another one", |w| w.ask(&Request { path: format!("/sign-in/..{}", w.to("approve")), ..w.right() }.without("Cookie"))),
        inbox("the id with a wildcard", |w| w.ask(&Request { path: "/approvals/%25/approve".into(), ..w.right() })),
        inbox("the id with SQL in it", |w| w.ask(&Request { path: "/approvals/'%20OR%20'1'='1/approve".into(), ..w.right() })),
        // Where it comes from.
        inbox("no origin, and nothing else that says where from", |w| w.ask(&w.right().without("Origin").without("Sec-Fetch-Site"))),
        inbox("no origin, with the right referrer", |w| w.ask(&w.right().without("Origin").without("Sec-Fetch-Site").and("Referer", &w.server.url("/approvals")))),
        inbox("origin null", |w| w.ask(&w.from("null"))),
        inbox("an empty origin", |w| w.ask(&w.from(""))),
        inbox("another site", |w| w.ask(&w.from("http://evil.example"))),
        inbox("another site that says it is the same", |w| w.ask(&w.right().with("Origin", "http://evil.example").with("Sec-Fetch-Site", "same-origin"))),
        inbox("a subdomain", |w| w.ask(&w.from(&format!("http://evil.{SITE}:{}", w.server.port)))),
        inbox("the site as a subdomain", |w| w.ask(&w.from(&format!("http://{SITE}.evil.example:{}", w.server.port)))),
        inbox("the site as a prefix", |w| w.ask(&w.from(&format!("{}.evil.example", w.server.origin())))),
        inbox("the site as a user", |w| w.ask(&w.from(&format!("{}@evil.example", w.server.origin())))),
        inbox("the site in a path", |w| w.ask(&w.from(&format!("http://evil.example/{}", w.server.origin())))),
        inbox("the site with a path", |w| w.ask(&w.from(&format!("{}/", w.server.origin())))),
        inbox("https for http", |w| w.ask(&w.from(&format!("https://{SITE}:{}", w.server.port)))),
        inbox("another port", |w| w.ask(&w.from(&format!("http://{SITE}:{}", w.server.port ^ 1)))),
        inbox("no port", |w| w.ask(&w.from(&format!("http://{SITE}")))),
        inbox("one digit of the port less", |w| w.ask(&w.from(&format!("http://{SITE}:{}", w.server.port / 10)))),
        inbox("two origins, the right one first", |w| w.ask(&w.right().and("Origin", "http://evil.example"))),
        inbox("two origins, the right one last", |w| w.ask(&w.from("http://evil.example").and("Origin", &w.server.origin()))),
        inbox("two origins in one header", |w| w.ask(&w.from(&format!("http://evil.example {}", w.server.origin())))),
        inbox("cross-site, with no origin", |w| w.ask(&w.right().without("Origin").with("Sec-Fetch-Site", "cross-site"))),
        inbox("same-site, with no origin", |w| w.ask(&w.right().without("Origin").with("Sec-Fetch-Site", "same-site"))),
        inbox("typed into the address bar, with no origin", |w| w.ask(&w.right().without("Origin").with("Sec-Fetch-Site", "none"))),
        // Frames.
        inbox("in a frame", |w| w.ask(&w.right().and("Sec-Fetch-Dest", "iframe"))),
        inbox("in an object", |w| w.ask(&w.right().and("Sec-Fetch-Dest", "object"))),
        inbox("in an embed", |w| w.ask(&w.right().and("Sec-Fetch-Dest", "embed"))),
        inbox("the page in a frame", |w| w.ask(&Request::new("GET", &format!("/approvals/{}", w.aim.id)).and("Cookie", &w.petra.cookie()).and("Sec-Fetch-Dest", "iframe"))),
        // Seals.
        inbox("no seal", |w| w.ask(&w.bare().form(&[("digest", &w.aim.digest)]))),
        inbox("an empty seal", |w| w.ask(&w.form(&w.aim.digest, ""))),
        inbox("a seal of zeros", |w| w.ask(&w.form(&w.aim.digest, &"0".repeat(w.csrf.len())))),
        inbox("the start of the seal", |w| w.ask(&w.form(&w.aim.digest, &w.csrf[..w.csrf.len() - 1]))),
        inbox("more than the seal", |w| w.ask(&w.form(&w.aim.digest, &format!("{}0", w.csrf)))),
        inbox("the seal with one digit changed", |w| w.ask(&w.form(&w.aim.digest, &changed(&w.csrf)))),
        inbox("the seal of another browser", |w| w.ask(&w.form(&w.aim.digest, &w.pauls_csrf))),
        inbox("another's browser with this seal", |w| w.ask(&w.by(&w.paul))),
        inbox("another browser of the same person with this seal", |w| { let session = w.beside.sign_in(&w.petra); w.ask(&w.right().with("Cookie", &format!("countersign={session}"))) }),
        inbox("the seal of another approval", |w| w.ask(&w.form(&w.aim.digest, &w.other_csrf))),
        inbox("the form of another approval", |w| w.ask(&w.form(&w.other.digest, &w.other_csrf))),
        inbox("the seal of declining", |w| w.ask(&w.form(&w.aim.digest, &w.decline_csrf))),
        inbox("the seal of another digest", |w| w.ask(&w.form(&w.before.to_string(), &w.csrf))),
        inbox("the seal in the query", |w| w.ask(&Request { path: format!("{}?csrf={}", w.to("approve"), w.csrf), ..w.bare() }.form(&[("digest", &w.aim.digest)]))),
        inbox("the seal in a header", |w| w.ask(&w.bare().form(&[("digest", &w.aim.digest)]).and("X-CSRF-Token", &w.csrf))),
        inbox("the seal in a cookie", |w| w.ask(&w.bare().form(&[("digest", &w.aim.digest)]).with("Cookie", &format!("{}; csrf={}", w.petra.cookie(), w.csrf)))),
        // Cookies.
        inbox("no cookie", |w| w.ask(&w.right().without("Cookie"))),
        inbox("an empty cookie", |w| w.ask(&w.right().with("Cookie", "countersign="))),
        inbox("the cookie by another name", |w| w.ask(&w.right().with("Cookie", &format!("session={}", w.petra.session)))),
        inbox("the cookie in other letters", |w| w.ask(&w.right().with("Cookie", &format!("Countersign={}", w.petra.session)))),
        inbox("the cookie of a site with TLS", |w| w.ask(&w.right().with("Cookie", &format!("__Host-countersign={}", w.petra.session)))),
        inbox("the start of the cookie", |w| w.ask(&w.right().with("Cookie", &w.petra.cookie()[..w.petra.cookie().len() - 1]))),
        inbox("a cookie the attacker chose", |w| w.ask(&w.right().with("Cookie", &format!("countersign={CHOSEN}")))),
        inbox("a cookie the attacker chose, before the right one", |w| w.ask(&w.right().with("Cookie", &format!("countersign={CHOSEN}; {}", w.petra.cookie())))),
        inbox("the cookie of a browser that has signed out", |w| w.ask(&w.right().with("Cookie", &format!("countersign={}", w.signed_out)))),
        inbox("the cookie of three days ago", |w| w.ask(&w.by(&w.expired))),
        inbox("the cookie of somebody who has left", |w| w.ask(&w.by(&w.gone))),
        inbox("a token in the cookie", |w| w.ask(&w.right().with("Cookie", &format!("countersign={}", w.petra.token)))),
        inbox("a token as the bearer", |w| w.ask(&w.right().without("Cookie").bearer(&w.petra.token))),
        inbox("the cookie as the bearer", |w| w.ask(&w.right().without("Cookie").bearer(&w.petra.session))),
        inbox("the cookie in the query", |w| w.ask(&Request { path: format!("{}?countersign={}", w.to("approve"), w.petra.session), ..w.right() }.without("Cookie"))),
        inbox("a name and a password instead", |w| w.ask(&w.right().without("Cookie").with("Authorization", "Basic cGV0cmE6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ=="))),
        // Bodies.
        inbox("the form as JSON", |w| w.ask(&w.bare().json(&json!({ "digest": w.aim.digest, "csrf": w.csrf })))),
        inbox("the form as JSON that says it is text", |w| w.ask(&w.bare().json(&json!({ "digest": w.aim.digest, "csrf": w.csrf })).with("Content-Type", "text/plain"))),
        inbox("the form that says it is text", |w| w.ask(&w.right().with("Content-Type", "text/plain"))),
        inbox("the form that says nothing", |w| w.ask(&w.right().without("Content-Type"))),
        inbox("the form in a type that only begins so", |w| w.ask(&w.right().with("Content-Type", "application/x-www-form-urlencoded-not"))),
        inbox("no body", |w| w.ask(&Request { body: Vec::new(), ..w.right() })),
        inbox("a body that is no form", |w| w.ask(&Request { body: vec![0xFF; 100], ..w.right() })),
        inbox("a body of a megabyte", |w| w.ask(&w.bare().form(&[("digest", &w.aim.digest), ("csrf", &w.csrf), ("note", &"x".repeat(1 << 20))]))),
        // Digests.
        inbox("the digest from before the edit", |w| w.ask(&w.form(&w.before.to_string(), &w.csrf))),
        inbox("the digest from before the edit, sealed", |w| w.ask(&w.sealed(&w.petra, &w.aim.id, &w.before.to_string()))),
        inbox("the digest of another approval, sealed", |w| w.ask(&w.sealed(&w.petra, &w.aim.id, &w.other.digest))),
        inbox("an empty digest, sealed", |w| w.ask(&w.sealed(&w.petra, &w.aim.id, ""))),
        inbox("the start of the digest, sealed", |w| w.ask(&w.sealed(&w.petra, &w.aim.id, &w.aim.digest[..16]))),
        inbox("no digest", |w| w.ask(&w.bare().form(&[("csrf", &w.csrf)]))),
        inbox("an empty digest", |w| w.ask(&w.form("", &w.csrf))),
        inbox("the start of the digest", |w| w.ask(&w.form(&w.aim.digest[..16], &w.csrf))),
        inbox("the digest and more", |w| w.ask(&w.form(&format!("{}00", w.aim.digest), &w.csrf))),
        inbox("the digest of another approval", |w| w.ask(&w.form(&w.other.digest, &w.csrf))),
        inbox("a digest of zeros", |w| w.ask(&w.form(&"0".repeat(w.aim.digest.len()), &w.csrf))),
        inbox("two digests", |w| w.ask(&w.bare().form(&[("digest", &w.other.digest), ("digest", &w.aim.digest), ("csrf", &w.csrf)]))),
        // People.
        inbox("the operator", |w| w.ask(&w.by(&w.operator))),
        inbox("whose intent it is", |w| w.ask(&w.by(&w.ivan))),
        inbox("the auditor", |w| w.ask(&w.by(&w.auditor))),
        inbox("somebody who was an approver until just now", |w| w.ask(&w.by(&w.former))),
        inbox("an approver of another tenant", |w| w.ask(&w.by(&w.stranger))),
        inbox("the operator, sealed", |w| w.ask(&w.sealed(&w.operator, &w.aim.id, &w.aim.digest))),
        inbox("whose intent it is, sealed", |w| w.ask(&w.sealed(&w.ivan, &w.aim.id, &w.aim.digest))),
        inbox("another invoker, sealed", |w| w.ask(&w.sealed(&w.iris, &w.aim.id, &w.aim.digest))),
        inbox("the auditor, sealed", |w| w.ask(&w.sealed(&w.auditor, &w.aim.id, &w.aim.digest))),
        inbox("somebody who was an approver until just now, sealed", |w| w.ask(&w.sealed(&w.former, &w.aim.id, &w.aim.digest))),
        inbox("an approver of another tenant, sealed", |w| w.ask(&w.sealed(&w.stranger, &w.aim.id, &w.aim.digest))),
        inbox("somebody who has left, sealed", |w| w.ask(&w.sealed(&w.gone, &w.aim.id, &w.aim.digest))),
        inbox("the cookie of three days ago, sealed", |w| w.ask(&w.sealed(&w.expired, &w.aim.id, &w.aim.digest))),
        inbox("a token in the cookie, sealed", |w| w.ask(&w.sealed(&Who { session: w.petra.token.clone(), ..w.petra.clone() }, &w.aim.id, &w.aim.digest))),
        inbox("a cookie the attacker chose, sealed", |w| w.ask(&w.sealed(&Who { session: CHOSEN.into(), ..w.petra.clone() }, &w.aim.id, &w.aim.digest))),
        inbox("who has installed the agent, where others can sign", |w| w.ask(&w.sealed(&w.ada, &w.aim.id, &w.aim.digest))),
        inbox("the operator, with the name of an approver", |w| w.ask(&w.bare().form(&[("digest", &w.aim.digest), ("csrf", &w.csrf), ("by", "petra"), ("user", "petra"), ("approver", "petra")]).with("Cookie", &w.operator.cookie()))),
        inbox("nobody, with the name of an approver in headers", |w| w.ask(&w.right().without("Cookie").and("X-Forwarded-User", "petra").and("X-Remote-User", "petra").and("Remote-User", "petra").and("From", "petra"))),
        inbox("a forwarded link, opened by another invoker", |w| page(w.server, &w.iris, &w.aim.id)),
        inbox("a forwarded link, opened by an approver of another tenant", |w| page(w.server, &w.stranger, &w.aim.id)),
        inbox("a forwarded link, opened by nobody", |w| w.ask(&Request::new("GET", &format!("/approvals/{}", w.aim.id)))),
        inbox("an approval of another tenant", |w| w.ask(&Request { path: format!("/approvals/{}/approve", w.theirs.id), ..w.form(&w.theirs.digest, &w.csrf) })),
        inbox("an approval of another tenant, sealed", |w| w.ask(&w.sealed(&w.petra, &w.theirs.id, &w.theirs.digest))),
        // Names of the site.
        inbox("the host of another site", |w| w.ask(&w.right().with("Host", "evil.example"))),
        inbox("the host of another site, and its origin", |w| w.ask(&w.from("http://evil.example").with("Host", "evil.example"))),
        inbox("a name that leads here", |w| w.ask(&w.from(&format!("http://evil.example:{}", w.server.port)).with("Host", &format!("evil.example:{}", w.server.port)))),
        inbox("another site, forwarded", |w| w.ask(&w.from("http://evil.example").and("X-Forwarded-Host", "evil.example").and("Forwarded", "host=evil.example"))),
        // The same over the API.
        api("GET", |w| w.ask(&Request { method: "GET".into(), ..w.call() })),
        api("HEAD", |w| w.ask(&Request { method: "HEAD".into(), ..w.call() })),
        api("PUT", |w| w.ask(&Request { method: "PUT".into(), ..w.call() })),
        api("PATCH", |w| w.ask(&Request { method: "PATCH".into(), ..w.call() })),
        api("DELETE", |w| w.ask(&Request { method: "DELETE".into(), ..w.call() })),
        api("OPTIONS, as a browser asks for leave", |w| w.ask(&Request::new("OPTIONS", &w.call().path).and("Origin", "http://evil.example").and("Access-Control-Request-Method", "POST").and("Access-Control-Request-Headers", "authorization"))),
        api("GET with X-HTTP-Method-Override: POST", |w| w.ask(&Request { method: "GET".into(), ..w.call() }.and("X-HTTP-Method-Override", "POST"))),
        api("POST to the approval", |w| w.ask(&Request { path: format!("/v1/approvals/{}", w.aim.id), ..w.call() })),
        api("PATCH of the approval's state", |w| w.ask(&Request { method: "PATCH".into(), path: format!("/v1/approvals/{}", w.aim.id), ..w.call() }.json(&json!({ "state": "approved" })))),
        api("no token", |w| w.ask(&w.call().without("Authorization"))),
        api("an empty token", |w| w.ask(&w.call().bearer(""))),
        api("the cookie instead", |w| w.ask(&w.call().without("Authorization").and("Cookie", &w.petra.cookie()).and("Origin", &w.server.origin()))),
        api("the cookie's secret as the token", |w| w.ask(&w.call().bearer(&w.petra.session))),
        api("the token in a cookie", |w| w.ask(&w.call().without("Authorization").and("Cookie", &format!("countersign={}; token={}", w.petra.token, w.petra.token)))),
        api("the token in the query", |w| w.ask(&Request { path: format!("{}?access_token={}", w.call().path, w.petra.token), ..w.call() }.without("Authorization"))),
        api("the token in the body", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.aim.digest, "token": w.petra.token })).without("Authorization"))),
        api("the token in another header", |w| w.ask(&w.call().without("Authorization").and("X-API-Key", &w.petra.token).and("Proxy-Authorization", &format!("Bearer {}", w.petra.token)))),
        api("the token by another scheme", |w| w.ask(&w.call().with("Authorization", &format!("Token {}", w.petra.token)))),
        api("a name and a password instead", |w| w.ask(&w.call().with("Authorization", "Basic cGV0cmE6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ=="))),
        api("two tokens", |w| w.ask(&w.call().bearer(&w.auditor.token).and("Authorization", &format!("Bearer {}", w.petra.token)))),
        api("the start of the token", |w| w.ask(&w.call().bearer(&w.petra.token[..w.petra.token.len() - 1]))),
        api("the token with its last character changed", |w| w.ask(&w.call().bearer(&changed(&w.petra.token)))),
        api("the id of one token, the secret of another", |w| w.ask(&w.call().bearer(&mixed(&w.petra.token, &w.auditor.token)))),
        api("a token that was taken back", |w| w.ask(&w.call().bearer(&w.revoked))),
        api("a token of three days ago", |w| w.ask(&w.call().bearer(&w.expired.token))),
        api("a token that is good for other things", |w| w.ask(&w.call().bearer(&w.narrow))),
        api("a token of somebody who has left", |w| w.ask(&w.call().bearer(&w.gone.token))),
        api("a token of somebody who was an approver until just now", |w| w.ask(&w.call().bearer(&w.former.token))),
        api("a token of the operator", |w| w.ask(&w.call().bearer(&w.operator.token))),
        api("a token of whose intent it is", |w| w.ask(&w.call().bearer(&w.ivan.token))),
        api("a token of the auditor", |w| w.ask(&w.call().bearer(&w.auditor.token))),
        api("a token of who has installed the agent, where others can sign", |w| w.ask(&w.call().bearer(&w.ada.token))),
        api("a token of another tenant", |w| w.ask(&w.call().bearer(&w.stranger.token))),
        api("a token of another tenant, which it names", |w| w.ask(&w.call().bearer(&w.stranger.token).and("X-Tenant", "main"))),
        api("an approval of another tenant", |w| w.ask(&Request { path: format!("/v1/approvals/{}/decision", w.theirs.id), ..w.decide(json!({ "verdict": "approve", "digest": w.theirs.digest })) })),
        api("the operator, with the name of an approver in the body", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.aim.digest, "by": "petra", "user": "petra" })).bearer(&w.operator.token))),
        api("the operator, with the name of an approver in headers", |w| w.ask(&w.call().bearer(&w.operator.token).and("X-Forwarded-User", "petra").and("X-User", "petra"))),
        api("the right token, with a field nobody knows", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.aim.digest, "by": "paul" })))),
        api("no digest", |w| w.ask(&w.decide(json!({ "verdict": "approve" })))),
        api("a digest of null", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": null })))),
        api("an empty digest", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": "" })))),
        api("the start of the digest", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.aim.digest[..16] })))),
        api("the digest and more", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": format!("{}00", w.aim.digest) })))),
        api("the digest from before the edit", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.before.to_string() })))),
        api("the digest of another approval", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.other.digest })))),
        api("a list of digests", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": [w.aim.digest] })))),
        api("no verdict", |w| w.ask(&w.decide(json!({ "digest": w.aim.digest })))),
        api("a verdict in capitals", |w| w.ask(&w.decide(json!({ "verdict": "APPROVE", "digest": w.aim.digest })))),
        api("a verdict that is true", |w| w.ask(&w.decide(json!({ "verdict": true, "digest": w.aim.digest })))),
        api("JSON that says it is text", |w| w.ask(&w.call().with("Content-Type", "text/plain"))),
        api("JSON that says nothing", |w| w.ask(&w.call().without("Content-Type"))),
        api("a form", |w| w.ask(&w.call().form(&[("verdict", "approve"), ("digest", &w.aim.digest)]))),
        api("JSON with something behind it", |w| { let mut call = w.call(); call.body.extend(b"{}"); w.ask(&call) }),
        api("no body", |w| w.ask(&Request { body: Vec::new(), ..w.call() })),
        api("a body of ten megabytes", |w| w.ask(&w.decide(json!({ "verdict": "approve", "digest": w.aim.digest, "note": "x".repeat(10 << 20) })))),
        api("the host of another site", |w| w.ask(&w.call().with("Host", "evil.example"))),
        api("a length and pieces at once", |w| w.ask(&Request { body: b"0\r\n\r\n".to_vec(), ..w.call() }.and("Transfer-Encoding", "chunked").and("Content-Length", "5"))),
    ]
}

/// Text with its last character changed.
fn changed(text: &str) -> String {
    let last = if text.ends_with('a') { "b" } else { "a" };
    format!("{}{last}", &text[..text.len() - 1])
}

/// The start of one token, and the end of another: their ids and secrets.
fn mixed(one: &str, another: &str) -> String {
    let at = |token: &str| token.len() - 44;
    format!("{}{}", &one[..at(one)], &another[at(another)..])
}

// ---- What comes of it ------------------------------------------------------------------------------------------------------

fn with_world(test: impl FnOnce(&World<'_>)) {
    let cli = Cli::new();
    let script = std::fs::read(guest("guest-script")).unwrap();
    // Three days ago, as far as anybody can tell.
    let past = Beside::open_at(&cli, Clock::virtual_at(Clock::system().now() - 3 * DAY_MS, 7));
    let expired = past.person(TENANT, "petra", &[Role::Approver, Role::Invoker]);
    drop(past);
    let beside = Beside::open(&cli);
    let petra = beside.person(TENANT, "petra", &[Role::Approver, Role::Invoker]);
    let paul = beside.person(TENANT, "paul", &[Role::Approver]);
    let ada = beside.person(TENANT, "ada", &[Role::Operator, Role::Approver]);
    let operator = beside.person(TENANT, "olga", &[Role::Operator]);
    let ivan = beside.person(TENANT, "ivan", &[Role::Invoker]);
    let iris = beside.person(TENANT, "iris", &[Role::Invoker]);
    let auditor = beside.person(TENANT, "audrey", &[Role::Auditor]);
    let former = beside.person(TENANT, "fred", &[Role::Approver, Role::Auditor]);
    let gone = beside.person(TENANT, "gus", &[Role::Approver]);
    let stranger = beside.person(ACME, "petra", &[Role::Operator, Role::Approver, Role::Invoker]);
    let agent = beside.install(&ada, script.clone(), &[&ivan]);
    beside.install(&stranger, script, &[&stranger]);
    let host = &beside.host;
    let (aim, other) = (beside.asked(&ivan, &agent, "Report 1"), beside.asked(&ivan, &agent, "Report 2"));
    let theirs = beside.asked(&stranger, &agent, "Their report");
    let before = Digest::parse(&aim.1).unwrap();
    let (revoked, narrow, signed_out) = beside.wait(async {
        let person = host.session(&petra.session).await.unwrap();
        let revoked = host.make_token(&person, "old", None, 1).await.unwrap();
        host.revoke_token(petra.owner(), &revoked.row.id, "petra/browser").await.unwrap();
        let narrow = host.make_token(&person, "narrow", Some([Role::Invoker].into()), 1).await.unwrap();
        let signed_out =
            host.sign_in(None, TENANT, "petra", crate::support::server::PASSWORD).await.unwrap().secret;
        host.sign_out(None, signed_out.text()).await.unwrap();
        host.set_roles(TENANT, "fred", &[Role::Auditor].into(), "olga/browser").await.unwrap();
        host.remove_person(TENANT, "gus", "olga/browser").await.unwrap();
        (revoked.token.text(), narrow.token.text(), signed_out.text().to_owned())
    });
    // The one that is attacked was edited: there is a digest that was right once.
    let edit = Edit { subject: Some("Report 1, final".into()), ..Edit::default() };
    beside.wait(host.edit(everybody(TENANT), &aim.0, edit, Some(before), "petra/browser")).unwrap();
    let digest = host.approval(everybody(TENANT), &aim.0).unwrap().approval.digest.to_string();
    let aim = Aim { id: aim.0, digest };
    let (other, theirs) = (Aim { id: other.0, digest: other.1 }, Aim { id: theirs.0, digest: theirs.1 });
    let server = Server::start(&cli);
    let world = World {
        csrf: csrf(&server, &petra, &aim.id, "approve"),
        decline_csrf: csrf(&server, &petra, &aim.id, "decline"),
        other_csrf: csrf(&server, &petra, &other.id, "approve"),
        pauls_csrf: csrf(&server, &paul, &aim.id, "approve"),
        server: &server,
        beside: &beside,
        petra,
        paul,
        ada,
        operator,
        ivan,
        auditor,
        iris,
        stranger,
        former,
        gone,
        expired,
        revoked,
        narrow,
        signed_out,
        aim,
        other,
        before,
        theirs,
    };
    test(&world);
}

/// What came back, in a line: the status, and the code of the refusal or where it leads.
fn answer(reply: &Reply) -> String {
    let text = reply.text();
    let code = Code::ALL.iter().map(ToString::to_string).find(|code| text.contains(code.as_str()));
    let place = reply.header("location").and_then(|place| place.split(['?', '%']).next()).map(str::to_owned);
    let told = code.or(place).unwrap_or_default();
    format!("{} {told}", reply.status).trim_end().to_owned()
}

#[test]
fn no_attack_decides_anything_and_the_right_request_decides_once() {
    with_world(|world| {
        let attacks = attacks();
        assert!(attacks.len() >= ATTACKS_MIN);
        let (mut table, mut wrong) = (String::new(), Vec::new());
        let before = world.state();
        assert!(before.ends_with(" []\n"), "the outboxes are empty: {before}");
        for Attack { door, what, attempt } in &attacks {
            let reply = attempt(world);
            writeln!(table, "{door:5}  {:22}  {what}", answer(&reply)).unwrap();
            let after = world.state();
            if after != before {
                panic!("{door}: {what}: {}: something was decided: {after}", reply.status);
            }
            let leaks = reply.header("access-control-allow-origin").is_some()
                || (what.starts_with("a forwarded link") && reply.text().contains("Report 1"));
            if leaks {
                wrong.push(format!("{door}: {what}: {reply:?}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let file = workspace().join("tests/attacks.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &table).unwrap();
        }
        assert_eq!(std::fs::read_to_string(file).unwrap_or_default(), table, "BLESS=1 writes the table anew");

        // What was tried differs from this in what it says it does.
        let seal = Seal::new(&world.petra.session).proof(&world.to("approve"), &world.aim.digest);
        assert_eq!(world.csrf, seal);

        // The button, pressed twice at once.
        let replies: Vec<_> = thread::scope(|scope| {
            let press = || scope.spawn(|| world.ask(&world.right()));
            let pressed = [press(), press()];
            pressed.into_iter().map(|press| press.join().unwrap()).collect()
        });
        // A program that asks twice.
        let call = Request {
            path: format!("/v1/approvals/{}/decision?wait=30", world.other.id),
            ..world.decide(json!({ "verdict": "approve", "digest": world.other.digest }))
        };
        let (first, second) = (world.ask(&call), world.ask(&call));
        assert_eq!((first.status, second.status), (200, 409), "{} {}", first.text(), second.text());
        assert_eq!(second.json()["code"], "ALREADY_DECIDED");

        let host = &world.beside.host;
        let done = |aim: &Aim| {
            let stored = host.approval(everybody(TENANT), &aim.id).unwrap();
            let decided = stored.decided.unwrap_or_else(|| panic!("nothing was decided: {replies:?}"));
            (decided.by.split('/').next().unwrap().to_owned(), stored.approval.digest.to_string())
        };
        assert_eq!(done(&world.aim), ("petra".into(), world.aim.digest.clone()));
        assert_eq!(done(&world.other), ("petra".into(), world.other.digest.clone()));
        until(|| host.sent(world.ivan.owner()).unwrap().len() == 2);
        let mut entries = Vec::new();
        host.each_audit_entry(TENANT, |_, entry| {
            entries.push(entry);
            Ok(())
        })
        .unwrap();
        let of = |id: &str, kind: &str| {
            entries.iter().filter(|entry| entry.kind == kind && entry.body.contains(id)).count()
        };
        for aim in [&world.aim, &world.other] {
            assert_eq!((of(&aim.id, "decide"), of(&aim.id, "deliver")), (1, 1), "{entries:#?}");
        }
    });
}

/// Waits until it is so.
fn until(so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed() < crate::support::server::PATIENCE);
        thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn who_looks_at_a_link_before_people_do_changes_nothing() {
    with_world(|world| {
        let before = world.state();
        let path = format!("/approvals/{}", world.aim.id);
        let looks = [
            Request::new("GET", &path).and("User-Agent", "link checker"),
            Request::new("HEAD", &path).and("User-Agent", "Slackbot-LinkExpanding 1.0"),
            Request::new("GET", &path)
                .and("Sec-Purpose", "prefetch;prerender")
                .and("Cookie", &world.petra.cookie()),
            Request::new("GET", &path).and("Purpose", "prefetch").and("Cookie", &world.petra.cookie()),
            Request::new("GET", &world.to("approve")).and("Cookie", &world.petra.cookie()),
        ];
        for look in looks.iter().cycle().take(LOOKS) {
            let reply = world.ask(look);
            assert!(reply.status < 500, "{}", reply.text());
        }
        assert_eq!(world.state(), before);
        // The link still works for whom it is for.
        let page = page(world.server, &world.petra, &world.aim.id);
        assert!(page.status == 200 && page.text().contains("Report 1, final"), "{}", page.text());
    });
}

#[test]
fn what_is_anothers_looks_like_what_does_not_exist() {
    with_world(|world| {
        let unknown = "appr_00000000000000000000000000".to_owned();
        let unknown = unknown[..world.theirs.id.len().min(unknown.len())].to_owned();
        let theirs = &world.theirs;
        let alike = |what: &str, request: &dyn Fn(&str) -> Request| {
            let shown = |id: &str| {
                let reply = world.ask(&request(id));
                let own = ["x-request-id", "date", "ratelimit-remaining", "ratelimit-reset"];
                let headers = reply.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
                let headers: Vec<_> =
                    headers.map(|(name, value)| format!("{name}: {}", value.replace(id, "ID"))).collect();
                let request_id = reply.header("x-request-id").unwrap_or("no id of the request").to_owned();
                (reply.status, headers, reply.text().replace(id, "ID").replace(&request_id, "REQUEST"))
            };
            let (there, nowhere) = (shown(&theirs.id), shown(&unknown));
            assert!(there.0 == 404 || there.0 == 403, "{what}: {there:?}");
            assert_eq!(there, nowhere, "{what}");
        };
        let digest = json!({ "digest": theirs.digest });
        let token = |request: Request| request.bearer(&world.petra.token);
        let browser = |request: Request| {
            request.and("Cookie", &world.petra.cookie()).and("Origin", &world.server.origin())
        };
        alike("show", &|id| token(Request::new("GET", &format!("/v1/approvals/{id}"))));
        alike("decide", &|id| {
            let body = json!({ "verdict": "approve", "digest": theirs.digest });
            token(Request::new("POST", &format!("/v1/approvals/{id}/decision"))).json(&body)
        });
        alike("edit", &|id| token(Request::new("POST", &format!("/v1/approvals/{id}/edit"))).json(&digest));
        alike("revoke", &|id| token(Request::new("POST", &format!("/v1/approvals/{id}/revoke"))));
        alike("outbox", &|id| token(Request::new("GET", &format!("/v1/outbox/{id}"))));
        alike("page", &|id| browser(Request::new("GET", &format!("/approvals/{id}"))));
        alike("outbox page", &|id| browser(Request::new("GET", &format!("/outbox/{id}"))));
        for deed in ["approve", "decline", "edit", "revoke"] {
            alike(deed, &|id| {
                let fields = [("digest", &*theirs.digest), ("csrf", &*world.csrf)];
                browser(Request::new("POST", &format!("/approvals/{id}/{deed}"))).form(&fields)
            });
        }
    });
}

#[test]
fn a_cookie_somebody_else_chose_is_not_the_one_that_is_signed_in() {
    with_world(|world| {
        let chosen = format!("countersign={CHOSEN}");
        let page = world.ask(&Request::new("GET", "/sign-in").and("Cookie", &chosen));
        let fields = forms(&page.text()).into_iter().find(|form| form.action.ends_with("/sign-in"));
        let csrf = fields.and_then(|form| form.field("csrf").map(str::to_owned));
        let mut form = vec![("name", "petra"), ("password", crate::support::server::PASSWORD)];
        form.extend(csrf.as_deref().map(|csrf| ("csrf", csrf)));
        let post = Request::new("POST", "/sign-in").and("Cookie", &chosen).form(&form);
        // Nobody is signed in by another site, either: they would work in the attacker's name.
        for origin in [None, Some("null"), Some("http://evil.example")] {
            let post = origin.map_or_else(|| post.clone(), |origin| post.clone().and("Origin", origin));
            let reply = world.ask(&post);
            assert_eq!((reply.status, reply.cookie("countersign")), (403, None), "{origin:?}");
        }
        let signed = world.ask(&post.and("Origin", &world.server.origin()));
        assert_eq!(signed.status, 303, "{}", signed.text());
        let session = signed.cookie("countersign").unwrap();
        assert_ne!(session, CHOSEN);
        let set = signed.header("set-cookie").unwrap().to_ascii_lowercase();
        for word in ["httponly", "samesite=strict", "path=/"] {
            assert!(set.contains(word), "{set}");
        }
        assert!(!set.contains("domain="), "{set}");
        let look = |cookie: &str| {
            world
                .ask(&Request::new("GET", "/approvals").and("Cookie", &format!("countersign={cookie}")))
                .status
        };
        assert_eq!((look(CHOSEN), look(&session)), (303, 200));
    });
}

#[test]
fn every_page_says_that_it_is_framed_by_nobody_and_kept_by_nobody() {
    with_world(|world| {
        for path in [
            "/approvals",
            "/intents",
            "/agents",
            "/outbox",
            "/sign-in",
            &format!("/approvals/{}", world.aim.id),
            "/nowhere",
        ] {
            let reply = world.ask(
                &Request::new("GET", path).and("Accept", "text/html").and("Cookie", &world.petra.cookie()),
            );
            let header = |name: &str| {
                reply.header(name).unwrap_or_else(|| panic!("{path} has no {name}: {reply:?}")).to_owned()
            };
            let policy = header("content-security-policy");
            for part in [
                "default-src 'none'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                "script-src 'self'",
            ] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
            // With `no-referrer` a browser says `Origin: null` of our own forms, too.
            assert_eq!(header("referrer-policy"), "same-origin", "{path}");
            assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
            assert_eq!(header("cross-origin-resource-policy"), "same-origin", "{path}");
            assert!(header("cache-control").contains("no-store"), "{path}");
        }
    });
}

//! Text that is a program wherever it is taken for markup, in every field an agent or a mail can fill, on the real pages in a real
//! browser: none of it runs, none becomes an element, and the policy of the pages is never needed to stop it.
//!
//! `tests/xss.txt` holds the text, one a line.

use crate::support::browser::Browser;
use crate::support::server::{Beside, Request, Server, Who, encoded};
use crate::support::{Cli, guest, workspace};
use countersign::agent::Package;
use countersign::approval::{BodyKind, Verdict};
use countersign::people::{Role, Scope, TENANT};
use countersign::printable::line;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// How many there must be, at least.
const PAYLOADS_MIN: usize = 200;
/// How many of them must run where nothing is escaped, and no policy stops them: otherwise this proves nothing.
const RUN_MIN: usize = 100;
/// How many share one longer field.
const TOGETHER: usize = 8;
/// How many mails one page shows.
const MAILS: usize = 16;
/// How many characters of a text must be seen on a page, as text.
const SEEN: usize = 40;

/// Put into every document before anything else: tells what ran, and what the policy stopped.
const WATCH: &str = "(() => { \
    const ran = what => { try { (top.ran ??= []).push(what) } catch {} }; \
    window.pwned = () => ran(location.href); \
    for (const name of ['alert', 'confirm', 'prompt', 'print', 'open']) window[name] = () => ran(name); \
    addEventListener('securitypolicyviolation', e => { \
        try { (top.stopped ??= []).push(e.violatedDirective + ' ' + e.blockedURI + ' ' + e.sample) } catch {} }, true); \
})()";

/// What became of a page: what ran, what was stopped, and what stands on it that no page of ours has.
const LOOK: &str = "const foreign = [...document.querySelectorAll('*')].filter(e => \
        [...e.attributes].some(a => /^on/i.test(a.name) || /^(style|srcdoc|formaction|background|ping)$/i.test(a.name) \
            || /^(href|src|action|data|xlink:href)$/i.test(a.name) && !(a.value.startsWith('/') && !/^\\/[\\/\\\\]/.test(a.value)) && !a.value.startsWith('#')) \
        || /^(iframe|frame|frameset|object|embed|base|style|svg|math|img|image|video|audio|template|portal|marquee|applet|isindex|plaintext|xmp|xss)$/i.test(e.localName) \
        || e.localName === 'script' && e.getAttribute('src') !== '/assets/inbox.js' \
        || e.localName === 'link' && !e.getAttribute('href').startsWith('/assets/') \
        || e.localName === 'meta' && e.httpEquiv !== '' \
        || e.localName.includes('<')); \
    return [window.ran ?? [], window.stopped ?? [], foreign.map(e => e.outerHTML.slice(0, 300)), document.documentElement.textContent];";

fn payloads() -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join("tests/xss.txt")).unwrap();
    let payloads: Vec<_> =
        text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(spelled_out).collect();
    assert!(payloads.len() >= PAYLOADS_MIN);
    payloads
}

/// A line of the file as what it stands for.
fn spelled_out(line: &str) -> String {
    let mut pieces = line.split("\\u{");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_once('}').unwrap();
        text.push(char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap());
        text.push_str(rest);
    }
    text.replace("\\n", "\n")
}

/// The start of `text`, at most so many bytes.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

// ---- Where it is put -----------------------------------------------------------------------------------------------------

/// A component whose manifest has this text in every field: the first alone where there is room for one line.
fn hostile_agent(number: usize, texts: &[String]) -> Vec<u8> {
    let (one, all) = (&texts[0], texts.join("\n"));
    let fields: serde_json::Map<_, _> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let kind = match number % 5 {
                0 => json!({ "type": "string", "default": text, "examples": [text], "format": text }),
                1 => json!({ "enum": [text, { "x": text }], "default": text }),
                2 => json!({ "type": "array", "items": { "type": "string" }, "default": [text] }),
                3 => json!({ "type": "object", "default": { "x": text } }),
                _ => json!({ "type": "integer", "minimum": 1, "maximum": 9, "default": 3 }),
            };
            let mut kind = kind;
            kind["title"] = text.as_str().into();
            kind["description"] = text.as_str().into();
            (text.clone(), kind)
        })
        .collect();
    let schema = json!({ "type": "object", "title": all, "description": all, "properties": fields, "required": [one] });
    let manifest = json!({
        "id": format!("test.agent.x{number}"), "name": one, "version": "1.0.0", "description": all,
        "capabilities": ["messages.read", "messages.send"],
        "intents": [{ "action": "script" }, { "action": one, "description": all, "parameters": schema }],
        "author": { "name": all, one.as_str(): all }, "homepage": all, "repository": all, "license": all, "icon": all,
        "privacy": { "dataCollection": texts, "dataRetention": all, "dataSharing": all },
    });
    let component = std::fs::read(guest("guest-script-bare")).unwrap();
    Package::read(component).unwrap().pack(&manifest.to_string()).unwrap()
}

/// A script that says this text wherever it can say anything, and is asked about on the way.
fn hostile_script(number: usize, text: &str) -> Value {
    // A subject is one line, told or sent.
    let subject = text.replace(char::is_control, " ");
    // Each to somebody else: what looks the same is not asked about again and again.
    let message = json!({ "to": [format!("team{number}@example.com")], "subject": subject, "body": text });
    let details = json!({
        "to": [text], "subject": subject, "body": text, "preview": text, text: text, "list": [text, { text: [text] }]
    });
    let ask = json!({ "action": cut(text, 64), "title": text, "description": text, "details": details });
    let mut steps = vec![
        json!({ "call": "log", "with": { "text": text } }),
        json!({ "call": "messages.send", "with": { "to": [text], "subject": text, "body": text, "bodyKind": text } }),
        json!({ "call": "approval.request", "with": ask }),
        json!({ "call": "messages.send", "with": message }),
    ];
    let action = json!({ "label": text, "action": text, "params": { text: text } });
    let item = json!({ "title": text, "subtitle": text, "metadata": text, "icon": text, "action": action });
    let card = match number % 8 {
        0 => {
            json!({ "type": "result", "title": text, "description": text, "body": text, "actions": [action] })
        }
        1 => json!({ "type": "error", "title": text, "description": text, "actions": [action] }),
        2 => json!({ "type": "summary", "title": text, "items": [item, item], "footer": text }),
        3 => json!({ "type": "list", "title": text, "items": [item, item], "footer": text }),
        4 => {
            json!({ "type": "suggestion", "title": text, "description": text, "actions": [action], "items": [item] })
        }
        5 => {
            json!({ "type": "progress", "title": text, "description": text, "progress": 40, "status": text })
        }
        6 => json!({
            "type": "approval", "title": text, "description": text, "details": { text: text }, "approveLabel": text, "denyLabel": text
        }),
        _ => {
            let fault = json!({ "code": cut(text, 40), "message": text, "details": { text: text } });
            steps.push(json!({ "call": "fail", "with": fault }));
            Value::Null
        }
    };
    json!({ "steps": steps, "card": card })
}

/// Mail that holds nothing else, in a folder.
fn hostile_mail(hour: usize, texts: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, text) in texts.iter().enumerate() {
        let header = text.replace('\n', " ");
        let name = header.replace('\\', "\\\\").replace('"', "\\\"");
        let mail = format!(
            "From: \"{name}\" <a{number}@example.com>\r\nTo: \"{name}\" <petra@localhost>\r\nSubject: {header}\r\n\
             Date: {} Nov 2026 {:02}:00:{:02} +0000\r\nMessage-ID: <{name}>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
            20 + hour / 24,
            hour % 24,
            number % 60
        );
        std::fs::write(folder.path().join(format!("{number}.eml")), mail).unwrap();
    }
    folder
}

// ---- Where it is looked at -------------------------------------------------------------------------------------------------

/// A browser that is signed in, and watched.
struct Watched<'a> {
    browser: &'a Browser,
    server: &'a Server,
    wrong: Vec<String>,
    pages: usize,
}

impl Watched<'_> {
    /// Looks at a page, and gives its text. `held` are what it must show, as text.
    fn look(&mut self, path: &str, held: &[&str]) -> String {
        self.browser.open(self.server, path);
        let seen = self.browser.run(LOOK, &[]);
        self.pages += 1;
        for (what, found) in
            ["ran", "was stopped by the policy alone", "is an element"].iter().zip(seen.as_array().unwrap())
        {
            if found.as_array().is_some_and(|found| !found.is_empty()) {
                self.wrong.push(format!("{path}: {what}: {found}"));
            }
        }
        let at = self.browser.path();
        if !path.starts_with(&at) {
            self.wrong.push(format!("{path} leads to {at}"));
        }
        let text = seen[3].as_str().unwrap().to_owned();
        for held in held {
            let held: String = held.lines().next().unwrap_or_default().chars().take(SEEN).collect();
            if !text.contains(&line(&held)) {
                self.wrong.push(format!("{path} does not show {held:?}"));
            }
        }
        text
    }

    fn judge(&self) {
        assert!(
            self.wrong.is_empty(),
            "{} of {} pages:\n{}",
            self.wrong.len(),
            self.pages,
            self.wrong.join("\n")
        );
    }
}

#[test]
fn nothing_an_agent_or_a_mail_says_runs_on_any_page() {
    let Some(browser) = Browser::start() else { return };
    let payloads = payloads();
    let cli = Cli::new();
    let beside = Beside::open(&cli);
    let petra = beside.person(TENANT, "petra", &Role::ALL);
    let host = &beside.host;
    let agents: Vec<_> = payloads
        .chunks(TOGETHER)
        .enumerate()
        .map(|(number, texts)| beside.install(&petra, hostile_agent(number, texts), &[&petra]))
        .collect();
    let mut approvals = Vec::new();
    for (number, text) in payloads.iter().enumerate() {
        let view = beside.run(&petra, &agents[number / TOGETHER], "script", &hostile_script(number, text));
        let stored = view.pending().unwrap_or_else(|| panic!("nothing is asked: {text:?} {view:#?}"));
        approvals.push((stored.approval.id.clone(), stored.approval.digest, view.intent.id.clone()));
    }
    let mut mails = Vec::new();
    for (number, texts) in payloads.chunks(MAILS).enumerate() {
        // Each lot is newer than the one before, and so the one that is listed.
        let folder = hostile_mail(number, texts);
        beside.wait(host.import(petra.owner(), folder.path(), |_, _| {})).unwrap();
        let listed =
            json!({ "steps": [{ "call": "messages.list", "with": { "limit": texts.len() }, "full": true }] });
        mails.push(beside.run(&petra, &agents[0], "script", &listed).intent.id);
    }

    let server = Server::start(&cli);
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }));
    let mut watched = Watched { browser: &browser, server: &server, wrong: Vec::new(), pages: 0 };
    // What stands in the address bar, for somebody who is not signed in, and below for somebody who is.
    let asked: Vec<_> =
        payloads.chunks(24).map(|texts| encoded(&cut(&texts.join(" "), 1200).replace('\0', ""))).collect();
    for asked in &asked {
        watched.look(&format!("/sign-in?next={asked}"), &[]);
    }
    sign_in(&browser, &server, &petra);

    // What waits, page by page.
    let mut path = "/approvals".to_owned();
    let mut listed = 0;
    loop {
        watched.look(&path, &[]);
        listed += browser
            .run("return document.querySelectorAll('a[href^=\"/approvals/appr_\"]').length", &[])
            .as_u64()
            .unwrap();
        let next = browser
            .run("return document.querySelector('a[href*=\"before=\"]')?.getAttribute('href') ?? null", &[]);
        match next.as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed, payloads.len() as u64);
    for ((approval, _, _), text) in approvals.iter().zip(&payloads) {
        // A body leaves, and is shown, without tabs.
        let body = countersign::approval::body::canonical(BodyKind::Text, text).unwrap();
        watched.look(&format!("/approvals/{approval}"), &[&body]);
    }
    // What came of it, once a person has said no, in such words.
    for ((approval, digest, intent), text) in approvals.iter().zip(&payloads) {
        let everybody = Scope { tenant: TENANT, user: None };
        let note = Some(text.clone()).filter(|text| !text.trim().is_empty());
        beside.wait(async {
            host.decide(everybody, approval, Verdict::Decline, *digest, "petra/browser", note).await.unwrap();
            host.resume(everybody, intent).await.unwrap();
        });
    }
    for ((_, _, intent), text) in approvals.iter().zip(&payloads) {
        watched.look(&format!("/intents/{intent}"), &[text]);
    }
    for (intent, texts) in mails.iter().zip(payloads.chunks(MAILS)) {
        // What the agent was answered is shown as JSON, in which these are written otherwise, the newest first, and cut.
        let plain = texts.iter().rev().find(|text| !text.contains(['"', '\\', '\n'])).unwrap();
        watched.look(&format!("/intents/{intent}"), &[plain]);
    }
    let named: Vec<_> = payloads.chunks(TOGETHER).map(|texts| texts[0].as_str()).collect();
    watched.look("/agents", &named);
    for (agent, texts) in agents.iter().zip(payloads.chunks(TOGETHER)) {
        watched.look(&format!("/agents/{agent}"), &[&texts[0]]);
        watched.look(&format!("/intents/new?agent={agent}&action={}", encoded(&texts[0])), &[&texts[0]]);
    }
    for path in ["/approvals?state=all", "/intents", "/outbox", "/audit", "/people"] {
        watched.look(path, &[]);
    }
    for all in &asked {
        for path in [
            "/intents?agent=",
            "/intents?status=",
            "/intents/new?agent=",
            "/approvals?state=",
            "/approvals?before=",
            "/audit?head=",
        ] {
            watched.look(&format!("{path}{all}"), &[]);
        }
    }
    watched.judge();
}

fn sign_in(browser: &Browser, server: &Server, who: &Who) {
    browser.open(server, "/sign-in");
    browser.fill("Name", &who.name);
    browser.fill("Password", crate::support::server::PASSWORD);
    browser.submit("Sign in");
    browser.is_at("/approvals");
}

// ---- That it would run -----------------------------------------------------------------------------------------------------

/// A site that escapes nothing: `/` frames one page for each text, with the text in an element and in attributes. With a policy, every
/// page is served with it.
fn careless(payloads: &[String], policy: Option<String>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (payloads, policy) = (Arc::new(payloads.to_vec()), Arc::new(policy));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (payloads, policy) = (Arc::clone(&payloads), Arc::clone(&policy));
            // A browser opens connections it may never use.
            thread::spawn(move || serve(stream, &payloads, policy.as_deref()));
        }
    });
    port
}

fn serve(mut stream: TcpStream, payloads: &[String], policy: Option<&str>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let asked = lines.next().unwrap_or_default();
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let number = asked.split(' ').nth(1).and_then(|path| path.strip_prefix("/page/")?.parse::<usize>().ok());
    let (body, policy) = match number.and_then(|number| payloads.get(number)) {
        Some(text) => {
            let page = format!("<p>{text}</p><p title=\"{text}\">x</p><p title='{text}'>x</p>");
            (format!("<!doctype html><meta charset=utf-8>{page}"), policy)
        }
        None if asked.starts_with("GET / ") => {
            let frames = (0..payloads.len()).map(|number| format!("<iframe src=/page/{number}></iframe>"));
            (format!("<!doctype html><title>Careless</title>{}", frames.collect::<String>()), None)
        }
        None => (String::new(), policy),
    };
    let policy = policy.map(|policy| format!("Content-Security-Policy: {policy}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n{policy}");
    let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
}

/// The pages of a careless site on which something ran, and what the policy stopped.
fn ran(browser: &Browser, port: u16) -> (Vec<String>, usize) {
    browser.goto(&format!("http://127.0.0.1:{port}/"));
    // Some wait for a frame of an animation, or for something not to be found.
    thread::sleep(std::time::Duration::from_millis(1_500));
    let seen = browser.run("return [[...new Set(window.ran ?? [])], (window.stopped ?? []).length]", &[]);
    let pages = seen[0].as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (pages, usize::try_from(seen[1].as_u64().unwrap()).unwrap())
}

#[test]
fn the_same_text_runs_where_nothing_is_escaped_and_the_policy_alone_would_stop_it() {
    let Some(browser) = Browser::start() else { return };
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH }));
    let payloads = payloads();
    let (pages, _) = ran(&browser, careless(&payloads, None));
    let pages: Vec<_> = pages.iter().filter(|page| page.contains("/page/")).collect();
    assert!(pages.len() >= RUN_MIN, "only {} run: {pages:?}", pages.len());
    // The policy of the real pages, but that these may be framed, so that they can be looked at.
    let cli = Cli::new();
    let server = Server::start(&cli);
    let reply = server.ask(&Request::new("GET", "/sign-in"));
    let policy = reply
        .header("content-security-policy")
        .unwrap()
        .replace("frame-ancestors 'none'", "frame-ancestors *");
    let (pages, stopped) = ran(&browser, careless(&payloads, Some(policy)));
    assert_eq!(pages, Vec::<String>::new());
    assert!(stopped >= RUN_MIN, "the policy stopped only {stopped}");
}

//! Whatever an agent, a mail or another person writes, the tags and attributes of every page are the same.

use super::*;
use crate::view::{
    Agent, Answered, Approval, AuditEntry, Call, Decided, Failure, IntentRow, IntentShown, OutboxMessage,
    Read, Verified,
};
use countersign::agent::Manifest;
use countersign::approval::Version;
use countersign::approval::body::direction::is_mixed;
use countersign::approval::body::{self, Link};
use countersign::approval::decision::State;
use countersign::approval::notices::{Flag, Notice, Weight};
use countersign::approval::{self, Action, Binding, BodyKind, Words, outbox as sending};
use countersign::authority::Capability;
use countersign::digest::Digest;
use countersign::host::Edit;
use countersign::intent::Status;
use countersign::printable::{hidden, line};
use countersign::refusals::Code;
use countersign::store::Stored;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const AT: &str = "2026-01-31T12:00:00.123Z";

/// Ways to run a script that browsers have had, each also behind what would close the place it stands in.
fn payloads() -> Vec<String> {
    let breakouts =
        ["", "\">", "' ", "</pre></textarea></title></option></select>", "--></script></style>]]>"];
    let vectors = [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
        "<scr<script>ipt>alert(1)</scr</script>ipt>",
        "<script\u{b}>alert(1)</script\u{0}>",
        "<img src=x onerror=alert(1)>",
        "<img src=x:x onerror\u{c}=\u{c}alert(1)//",
        "<svg onload=alert(1)>",
        "<svg><script href=data:,alert(1) />",
        "<svg><a xlink:href=javascript:alert(1)><text y=9>x</text></a>",
        "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
        "<svg><foreignObject><body onload=alert(1)>",
        "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
        "<math href=javascript:alert(1)>x</math>",
        "<iframe src=javascript:alert(1)></iframe>",
        "<iframe srcdoc='<script>alert(1)</script>'>",
        "<object data=javascript:alert(1)>",
        "<embed src=javascript:alert(1)>",
        "<body onpageshow=alert(1)>",
        "<details open ontoggle=alert(1)>",
        "<video><source onerror=alert(1)></video>",
        "<audio src=x onerror=alert(1)>",
        "<marquee onstart=alert(1)>",
        "<input autofocus onfocus=alert(1)>",
        "<select autofocus onfocus=alert(1)>",
        "<textarea autofocus onfocus=alert(1)>",
        "<button formaction=javascript:alert(1)>x</button>",
        "<form action=javascript:alert(1)><input type=submit>",
        "<a href=javascript:alert(1)>x</a>",
        "<a href=\"java\tscript:alert(1)\">x</a>",
        "<a href=&#106;avascript:alert(1)>x</a>",
        "<a href=data:text/html;base64,PHNjcmlwdD4=>x</a>",
        "<base href=//evil.example/>",
        "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
        "<link rel=stylesheet href=//evil.example/x.css>",
        "<style>*{background:url(//evil.example)}</style>",
        "<style>@import '//evil.example/x.css';</style>",
        "<div style=background:url(javascript:alert(1))>",
        "<div style=width:expression(alert(1))>",
        "onmouseover=alert(1) x=",
        "autofocus onfocus=alert(1) x=\"",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)//",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:msgbox(1)",
        "<!--<img src='--><img src=x onerror=alert(1)>'>",
        "<![CDATA[<script>alert(1)</script>]]>",
        "<?xml version=1.0?><script>alert(1)</script>",
        "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
        "<template><script>alert(1)</script></template>",
        "<xmp><script>alert(1)</script>",
        "<plaintext><script>",
        "<table background=javascript:alert(1)>",
        "<x onclick=alert(1)>x</x>",
        "<custom-element onpointerrawupdate=alert(1)>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&#60;script&#62;alert(1)",
        "\u{ff1c}script\u{ff1e}alert(1)",
        "<script>alert(1)\u{2028}</script>",
        "\u{202e}<script>alert(1)</script>",
        "+ADw-script+AD4-alert(1)",
        "{{constructor.constructor('alert(1)')()}}",
        "${alert(1)}",
        "`-alert(1)-`",
        "\\\";alert(1);//",
        "\\u003cscript\\u003ealert(1)",
        "%3Cscript%3Ealert(1)%3C/script%3E",
    ];
    breakouts.iter().flat_map(|out| vectors.iter().map(move |vector| format!("{out}{vector}"))).collect()
}

/// The tags of a document with the names of their attributes, in order. Panics where a tag is not as `maud` writes them: then it is
/// somebody else's. Gives also where its links and forms lead.
fn skeleton(html: &str) -> (Vec<String>, Vec<String>) {
    let (mut tags, mut targets) = (Vec::new(), Vec::new());
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap_or(html);
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a bare `>` in {:?}", &rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '/').unwrap();
        let mut tag = rest[..end].to_owned();
        rest = &rest[end..];
        loop {
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            rest = rest.strip_prefix(' ').unwrap_or_else(|| panic!("in <{tag}: {rest:.60}"));
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap();
            let name = &rest[..end];
            assert!(!name.starts_with("on") && name != "style", "{tag} {name}");
            rest = &rest[end..];
            if let Some(after) = rest.strip_prefix("=\"") {
                let (value, after) = after.split_once('"').unwrap();
                assert!(!value.contains(['<', '>']), "{value}");
                if matches!(name, "href" | "src" | "action" | "formaction") {
                    targets.push(value.to_owned());
                }
                rest = after;
            }
            tag += &format!(" {name}");
        }
        tags.push(tag);
    }
    (tags, targets)
}

fn viewer() -> Viewer {
    let roles = Role::ALL.into_iter().collect();
    let person = Person { tenant: "main".into(), name: "ann".into(), roles, through: "browser".into() };
    Viewer { person, pending: 3, undelivered: 2, seal: Seal::new("secret") }
}

fn action(p: &str, kind: BodyKind) -> Action {
    Action {
        version: Version::V2,
        capability: Capability::MessagesSend,
        tenant: p.into(),
        user: p.into(),
        intent: "int_1".into(),
        run: 1,
        agent: Digest::of(b"agent"),
        from: p.into(),
        to: vec![p.into(), p.into()],
        cc: vec![p.into()],
        bcc: vec![p.into()],
        subject: p.into(),
        body_kind: kind,
        body: if kind == BodyKind::Html { page_of(p) } else { p.into() },
    }
}

/// A body in HTML as it leaves, with `p` wherever words can stand, and as a link where it can be one. What no body may have is left out.
fn page_of(p: &str) -> String {
    let words: String = p.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    let text = words.replace('&', "&amp;").replace('<', "&lt;");
    let page = |href: &str| {
        let page = format!(
            "<h1>{text}</h1><p>{text}<s>{text}</s></p><ol><li>{text}</ol><table><tr><th>{text}<td>{text}</table>\
             <blockquote><pre>.{text}</pre></blockquote><a href=\"{href}\">x{text}</a>"
        );
        body::canonical(BodyKind::Html, &page)
    };
    page(p).or_else(|_| page("https://x.example/")).unwrap()
}

fn words(p: &str) -> Words {
    let details = Map::from_iter([(p.to_owned(), json!([p]))]);
    Words { action: p.into(), title: p.into(), description: p.into(), details }
}

fn shown(p: &str, state: State) -> Approval {
    let html = state == State::Declined;
    Approval {
        id: "appr_1".into(),
        digest: Digest::of(b"1").to_string(),
        intent: "int_1".into(),
        agent: p.into(),
        state,
        used: false,
        binding: Binding::Exact,
        action: Some(action(p, if html { BodyKind::Html } else { BodyKind::Text })),
        body_text: html.then(|| p.into()),
        body_links: vec![Link { text: p.into(), href: p.into(), ..Link::default() }],
        agent_says: words(p),
        flags: [Weight::Matters, Weight::Usual]
            .map(|weight| Notice { flag: Flag::PreviewGap, weight, text: p.into(), values: vec![p.into()] })
            .to_vec(),
        asked: AT.into(),
        expires: AT.into(),
        decided: (state != State::Pending).then(|| Decided {
            verdict: "decline".into(),
            at: AT.into(),
            by: format!("{p}/browser"),
            who: p.into(),
            note: Some(p.into()),
        }),
        answered: Some(Answered { withheld: false, messages: vec![read(p)] }),
    }
}

fn read(p: &str) -> Read {
    Read { id: p.into(), from: p.into(), at: AT.into(), subject: p.into(), body: p.into(), goes_on: true }
}

fn stored(p: &str) -> Stored {
    let approval = approval::Approval {
        id: "appr_1".into(),
        state: State::Pending,
        verdict: None,
        binding: Binding::Exact,
        digest: Digest::of(b"1"),
        action: Some(action(p, BodyKind::Text)),
        edited: None,
        words: words(p),
        asked_ms: 0,
        expires_ms: 1,
        outdated: false,
    };
    Stored {
        approval,
        intent: "int_1".into(),
        user: p.into(),
        agent: p.into(),
        request: None,
        decided: None,
        policy: 1,
        correspondents: BTreeSet::new(),
        familiar: Default::default(),
        viewer: None,
        submitted_by: Some(p.into()),
        edited_by: None,
        token: Some(p.into()),
        earlier: Vec::new(),
        restored_ms: None,
    }
}

fn card(p: &str, kind: &str) -> Value {
    let offer = json!({ "label": p, "action": p, "params": { p: p } });
    let item = json!({ "title": p, "subtitle": p, "metadata": p, "icon": p, "action": offer });
    json!({
        "type": kind, "title": p, "description": p, "body": p, "progress": 40, "status": p, "footer": p, "code": p,
        "approveLabel": p, "denyLabel": p, "details": { p: [p] }, "items": [item, p, { "title": { p: p }, "action": p }],
        "actions": [offer, { "label": p, "intent": p }],
    })
}

fn intent(p: &str, status: Status, card: Option<Value>) -> IntentShown {
    let call = |number: usize, refused: Option<String>| Call {
        number,
        at: AT.into(),
        call: p.into(),
        request: json!({ p: p }),
        answer: json!([p]),
        withheld: false,
        refused,
        details: Some(json!({ p: p })),
    };
    IntentShown {
        id: "int_1".into(),
        agent: p.into(),
        agent_digest: Digest::of(b"agent").to_string(),
        action: p.into(),
        parameters: Map::from_iter([(p.to_owned(), p.into())]),
        text: Some(p.into()),
        status,
        failed: None,
        live: false,
        submitted: AT.into(),
        updated: AT.into(),
        retry_of: Some("int_0".into()),
        timeline: vec![call(0, None), call(1, Some(p.into()))],
        approvals: vec![shown(p, State::Pending)],
        card,
        reason: Some(failure(p)),
        log: p.into(),
    }
}

fn failure(p: &str) -> Failure {
    Failure { code: "TRAPPED".into(), message: p.into(), hint: Some(p.into()) }
}

fn agent(p: &str) -> Agent {
    Agent {
        id: p.into(),
        name: p.into(),
        version: p.into(),
        description: p.into(),
        digest: Digest::of(b"agent").to_string(),
        bytes: 9,
        capabilities: vec![Capability::MessagesRead, Capability::MessagesSend],
        granted: vec![Capability::MessagesSend],
        actions: Some(vec![p.into()]),
        installed: AT.into(),
        installed_by: format!("{p}/browser"),
        manifest: json!({
            "description": p, "author": { p: p }, "homepage": p, "repository": p, "license": p, "icon": p,
            "privacy": { "dataCollection": [p], "dataRetention": p, "dataSharing": p },
        }),
        warnings: vec![p.into()],
    }
}

fn manifest(p: &str) -> Manifest {
    let properties = json!({
        p: { "type": "string", "description": p, "default": p, "pattern": p, "format": p },
        format!("{p}1"): { "enum": [p, 1], "default": p },
        format!("{p}2"): { "type": "array", "items": { "type": "string" }, "default": [p] },
        format!("{p}3"): { "type": "object", "default": { p: p } },
        format!("{p}4"): { "type": "string", "maxLength": 9_999, "default": p },
        format!("{p}5"): { "type": "boolean", "description": p },
        format!("{p}6"): { "type": "integer", "minimum": 1, "description": p },
    });
    let schema = json!({ "type": "object", "properties": properties });
    let intents = vec![countersign::agent::IntentSpec {
        action: p.into(),
        description: p.into(),
        parameters: Some(schema.into()),
    }];
    let bare = r#"{ "id": "a.b", "name": "n", "version": "1.0.0", "description": "d", "capabilities": [] }"#;
    let manifest = Manifest::parse(bare).unwrap();
    Manifest { id: p.into(), name: p.into(), description: p.into(), intents: Some(intents), ..manifest }
}

fn message(p: &str, kind: BodyKind) -> OutboxMessage {
    OutboxMessage {
        id: "appr_1".into(),
        intent: "int_1".into(),
        state: sending::State::Uncertain,
        action: action(p, kind),
        message_id: p.into(),
        signed: AT.into(),
        sent: Some(AT.into()),
        attempts: 2,
        due: Some(AT.into()),
        until: Some(AT.into()),
        expires: Some(AT.into()),
        why: Some(p.into()),
        rejected: vec![sending::Rejected { address: p.into(), why: p.into() }],
        audit_head: None,
    }
}

/// Every page there is, with `p` wherever somebody else's text can stand.
fn all(p: &str) -> Vec<(&'static str, String)> {
    let viewer = viewer();
    let draw = |page: Page| page.draw(Some(&viewer)).into_string();
    let failed = failure(p);
    let why = Some((Code::HostFault, &failed));
    let mut pages = Vec::new();
    let rows = [stored(p), stored(p)];
    let list = approvals::List {
        rows: &rows,
        pending: true,
        next: Some(p),
        failed: &[("appr_1".into(), failure(p))],
        note: p,
    };
    pages.push(("approvals", draw(approvals::list(&viewer, &list))));
    let typed = Edit { subject: Some(p.into()), body: Some(p.into()), remove: vec![p.into()] };
    for (name, state) in
        [("waiting", State::Pending), ("approved", State::Approved), ("declined", State::Declined)]
    {
        let approval = Approval { used: state == State::Approved, ..shown(p, state) };
        let outgoing = message(p, BodyKind::Text);
        let one = approvals::One {
            approval: &approval,
            user: p,
            outgoing: Some(&outgoing),
            next: Some("appr_2"),
            failed: why,
            typed: Some(&typed),
            note: p,
            head: Some("00"),
        };
        pages.push((name, draw(approvals::one(&viewer, &one))));
    }
    let question = Approval { action: None, binding: Binding::Question, ..shown(p, State::Pending) };
    let one = approvals::One {
        approval: &question,
        user: p,
        outgoing: None,
        next: None,
        failed: None,
        typed: None,
        note: "",
        head: None,
    };
    pages.push(("question", draw(approvals::one(&viewer, &one))));
    let row = IntentRow {
        id: "int_1".into(),
        agent: p.into(),
        action: p.into(),
        status: Status::Stopped,
        failed: None,
        submitted: AT.into(),
        updated: AT.into(),
        reason: Some(p.into()),
    };
    let agents = [p.to_owned()];
    let list = intents::List {
        rows: &[row],
        status: None,
        failed: true,
        agent: Some(p),
        agents: &agents,
        next: Some(p),
    };
    pages.push(("intents", draw(intents::list(&viewer, &list))));
    for kind in ["result", "error", "summary", "list", "suggestion", "progress", "approval", p] {
        let intent = intent(p, Status::Done, Some(card(p, kind)));
        let one = intents::One { intent: &intent, user: "ann", more_calls: 1, key: "form_1", failed: why };
        pages.push(("card", draw(intents::one(&viewer, &one))));
    }
    let running = intent(p, Status::Running, None);
    let one = intents::One { intent: &running, user: p, more_calls: 0, key: "form_1", failed: None };
    pages.push(("intent", draw(intents::one(&viewer, &one))));
    let manifest = manifest(p);
    pages.push(("agents to choose", draw(intents::choose_agent(&[(p.into(), p.into())]))));
    pages.push(("actions to choose", draw(intents::choose_action(&manifest))));
    let names = manifest
        .intents
        .iter()
        .flatten()
        .filter_map(|it| it.parameters.as_ref()?.json()["properties"].as_object());
    let fields = names.flat_map(Map::keys).map(|name| (format!("p.{name}"), p.to_owned()));
    let typed =
        fields.chain([("text".to_owned(), p.to_owned()), ("parameters".to_owned(), p.to_owned())]).collect();
    for (name, action, typed) in
        [("new intent", p, &parameters::Typed::new()), ("typed intent", p, &typed), ("other", "x", &typed)]
    {
        let new = intents::New { manifest: &manifest, action: Some(action), typed, key: p, failed: why };
        pages.push((name, draw(intents::new(&viewer, &new))));
    }
    pages.push(("agents", draw(agents::list(&viewer, &[agent(p)]))));
    let lines = [p.to_owned()];
    let one = agents::One { agent: &agent(p), could: &lines, never: &lines, failed: why };
    pages.push(("agent", draw(agents::one(&viewer, &one))));
    pages.push(("new agent", draw(agents::new(&viewer, why))));
    let messages = [message(p, BodyKind::Text)];
    let list = outbox::List { uncertain: &messages, rows: &messages, open: false, next: Some(p) };
    pages.push(("outbox", draw(outbox::list(&list))));
    for kind in [BodyKind::Text, BodyKind::Html] {
        pages.push(("message", draw(outbox::one(&viewer, &message(p, kind), why))));
    }
    let entry = AuditEntry {
        seq: 1,
        at: AT.into(),
        kind: p.into(),
        body: serde_json::value::to_raw_value(&json!({ p: p })).unwrap(),
        previous: "00".into(),
        hash: "11".into(),
    };
    let verified = Verified { entries: 1, head: "11".into() };
    for verified in [Some(Ok(&verified)), Some(Err((Code::AuditBroken, &failed))), None] {
        let record =
            audit::Record { head: "11", entries: std::slice::from_ref(&entry), total: 1, verified, asked: p };
        pages.push(("audit", draw(audit::record(&record))));
    }
    let person = people::PersonRow {
        name: p.into(),
        roles: vec![Role::Operator],
        joined: false,
        added: AT.into(),
        added_by: p.into(),
    };
    let token = |name: &str| people::TokenRow {
        id: p.into(),
        name: name.into(),
        label: p.into(),
        roles: vec![],
        expires: AT.into(),
        used: None,
    };
    for secret in
        [people::Secret::Token("cs_1"), people::Secret::Link { name: p, link: "/join/1", expires: AT }]
    {
        let page = people::People {
            people: Some(std::slice::from_ref(&person)),
            tokens: &[token("ann"), token(p)],
            secret: Some(secret),
            done: None,
            failed: why,
        };
        pages.push(("people", draw(people::people(&viewer, &page))));
    }
    let sign_in = entrance::SignIn { next: p, left: true, name: p, failed: why };
    pages.push(("sign in", entrance::sign_in(&sign_in).draw(None).into_string()));
    pages.push(("join", entrance::join(p, p, "/join/x", why).draw(None).into_string()));
    pages.push(("stepping stone", entrance::stepping_stone("/approvals").into_string()));
    pages.push((
        "wrong",
        wrong::page(Code::UnknownId, &failed, &[("Note", p)]).draw(Some(&viewer)).into_string(),
    ));
    pages
}

#[test]
fn no_tag_and_no_attribute_comes_from_anybody_else() {
    let payloads = payloads();
    assert!(payloads.len() >= 200, "{}", payloads.len());
    let plain: Vec<_> = all("word").iter().map(|(_, html)| skeleton(html).0).collect();
    let hiding: Vec<_> = all("wo\u{200b}rd").iter().map(|(_, html)| skeleton(html).0).collect();
    let turning: Vec<_> = all("\u{202e}word").iter().map(|(_, html)| skeleton(html).0).collect();
    for payload in &payloads {
        // Only that characters are hidden, or turn a line round, is told in tags of ours.
        let expected = match (is_mixed(payload), hidden(payload).next()) {
            (true, _) => &turning,
            (false, Some(_)) => &hiding,
            (false, None) => &plain,
        };
        for ((name, html), expected) in all(payload).iter().zip(expected) {
            let (tags, targets) = skeleton(html);
            match is_mixed(payload) {
                // How many orders a line has depends on it.
                true => assert!(tags.iter().all(|tag| expected.contains(tag)), "{name}: {payload}"),
                false => assert_eq!(tags, *expected, "{name}: {payload}"),
            }
            for target in targets {
                let inside = target.starts_with('#') || target.starts_with('/') && !target.starts_with("//");
                assert!(inside && !target.contains('\\'), "{name}: {target}");
            }
        }
    }
}

/// What of a document people see, or hear read out: without what only forms carry back, which has to stay as it is.
fn seen(html: &str) -> String {
    let mut out = String::new();
    for part in html.split_inclusive('>') {
        let (text, tag) = part.split_at(part.find('<').unwrap_or(part.len()));
        out += text;
        let mut rest = tag;
        let carried = tag.starts_with("<input type=\"hidden\"") || tag.starts_with("<option");
        for (name, is_carried) in [(" value=\"", carried), (" name=\"", true)] {
            if is_carried && let Some(at) = rest.find(name) {
                out += &rest[..at];
                rest = rest[at + name.len()..].split_once('"').unwrap().1;
            }
        }
        out += rest;
    }
    out
}

#[test]
fn what_acts_or_hides_is_on_no_page() {
    let hostile = "a\u{202e}b\u{200b}c\u{1b}[2Jd\u{e0041}e\u{feff}f\u{85}g";
    for (name, html) in all(hostile) {
        assert_eq!(hidden(&seen(&html)).next(), None, "{name}");
    }
}

#[test]
fn the_words_of_others_are_whole_where_they_are_not_cut() {
    let odd = "<b>&amp;\"x'";
    let escaped = "&lt;b&gt;&amp;amp;&quot;x'";
    for (name, html) in all(odd).iter().filter(|(name, _)| *name != "stepping stone" && *name != "new agent")
    {
        assert!(html.contains(escaped), "{name}");
    }
}

#[test]
fn nothing_of_others_stands_in_what_a_browser_shows_around_a_page() {
    for (name, html) in all("Signed-by-nobody") {
        let title = html.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        assert!(!title.contains("nobody"), "{name}: {title}");
    }
}

#[test]
fn the_number_that_waits_begins_the_title() {
    let html = all("word").remove(0).1;
    assert!(html.contains("<title>(3) Approvals - Countersign</title>"));
    let nothing = Viewer { pending: 0, ..viewer() };
    let html = Page::new("Approvals", None, maud::html! {}).draw(Some(&nothing)).into_string();
    assert!(html.contains("<title>Approvals - Countersign</title>"));
    assert_eq!([counted(99), counted(100)], ["99", "99+"]);
}

#[test]
fn the_words_come_before_what_is_odd_and_the_message_and_the_buttons_last_with_the_message_in_short() {
    let approval = shown("word", State::Pending);
    let one = approvals::One {
        approval: &approval,
        user: "ann",
        outgoing: None,
        next: None,
        failed: None,
        typed: None,
        note: "",
        head: None,
    };
    let html = approvals::one(&viewer(), &one).main.into_string();
    let at = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text}"));
    let order = [
        "What the agent says, in its own words",
        "What is new or odd",
        "The message that would leave",
        "What it answers",
        "Particulars",
        "Save changes",
        "Your decision",
        "<dl class=\"gist\">",
        ">Decline</button>",
        ">Sign and send</button>",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{html}");
    // Behind the buttons stands nothing foreign.
    let behind = &html[at(">Sign and send</button>")..];
    assert!(!behind.contains("word"), "{behind}");
    let in_short = &html[at("<dl class=\"gist\">")..at(">Decline</button>")];
    for part in ["<dt>To</dt>", "<dt>Subject</dt>", "<dt>Body</dt><dd>1 line, 4 bytes</dd>"] {
        assert!(in_short.contains(part), "{in_short}");
    }
    // A fact is told in words, and not by its colour.
    assert!(html.contains("<strong>Gap to the preview:</strong>"));
}

#[test]
fn the_agents_words_are_cut_and_the_message_is_not() {
    let long = "x".repeat(3_000);
    let mut approval = shown("word", State::Pending);
    approval.agent_says = Words { details: Map::new(), ..words(&long) };
    approval.action = Some(Action { body: long.clone(), ..action("word", BodyKind::Text) });
    let one = approvals::One {
        approval: &approval,
        user: "ann",
        outgoing: None,
        next: None,
        failed: None,
        typed: None,
        note: "",
        head: None,
    };
    let html = approvals::one(&viewer(), &one).main.into_string();
    assert!(html.contains("… (2880 characters more)") && html.contains("… (2500 characters more)"));
    assert!(html.contains(&format!("<pre class=\"foreign\">\n{long}</pre>")));
}

#[test]
fn what_an_agent_says_is_folded_away_and_has_no_layout_of_its_own() {
    let mut approval = shown("word", State::Pending);
    let forged = "Fine.\n\n        To    boss@company.com\t\t[ Sign and send ]";
    approval.agent_says = Words { details: Map::new(), ..words(forged) };
    let one = approvals::One {
        note: "",
        outgoing: None,
        approval: &approval,
        user: "ann",
        next: None,
        failed: None,
        typed: None,
        head: None,
    };
    let html = approvals::one(&viewer(), &one).main.into_string();
    let says = &html[html.find("<details class=\"says\" id=\"says\">").unwrap()..];
    let says = &says[..says.find("</details>").unwrap()];
    assert!(says.contains("Fine. To boss@company.com [ Sign and send ]"));
}

#[test]
fn what_is_answered_is_withheld_from_whoever_may_not_read_that_mailbox() {
    let mut approval = shown("word", State::Pending);
    approval.answered = Some(Answered { withheld: true, messages: Vec::new() });
    let one = approvals::One {
        note: "",
        outgoing: None,
        approval: &approval,
        user: "ann",
        next: None,
        failed: None,
        typed: None,
        head: None,
    };
    let html = approvals::one(&viewer(), &one).main.into_string();
    assert!(html.contains("is withheld: only <bdi>ann</bdi> may read that mailbox"), "{html}");
}

#[test]
fn links_of_a_message_are_text() {
    let html =
        all("https://evil.example/x").into_iter().filter(|(_, html)| html.contains("Where its links lead"));
    let mut seen = 0;
    for (name, html) in html {
        assert!(skeleton(&html).1.iter().all(|target| !target.contains("evil.example/")), "{name}");
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn each_form_that_changes_something_carries_a_proof_for_where_it_goes() {
    let viewer = viewer();
    for (name, html) in all("word") {
        for form in html.split("<form").skip(1).map(|form| form.split("</form>").next().unwrap()) {
            if !form.contains("method=\"post\"") || matches!(name, "sign in" | "join") {
                continue;
            }
            let value = |before: &str| form.split(before).nth(1).map(|rest| rest.split('"').next().unwrap());
            let path = value("action=\"").unwrap();
            let proof = value("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{name}: {path}"));
            let digest = value("name=\"digest\" value=\"").unwrap_or_default();
            assert!(viewer.seal.fits(path, digest, proof), "{name}: {path}");
        }
    }
}

#[test]
fn who_may_not_decide_is_given_no_way_to() {
    let mut invoker = viewer();
    invoker.person.roles = [Role::Invoker].into();
    let approval = shown("word", State::Pending);
    let one = approvals::One {
        approval: &approval,
        user: "ann",
        outgoing: None,
        next: None,
        failed: None,
        typed: None,
        note: "",
        head: None,
    };
    let html = approvals::one(&invoker, &one).main.into_string();
    assert!(!html.contains("<form") && html.contains("role approver"));
    let rows = [stored("word")];
    let list = approvals::List { rows: &rows, pending: true, next: None, failed: &[], note: "" };
    assert!(!approvals::list(&invoker, &list).main.into_string().contains("checkbox"));
}

#[test]
fn every_control_has_a_label_and_every_id_is_there_once() {
    for (name, html) in all("word") {
        let ids: Vec<_> = html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let unique: BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len(), "{name}: {ids:?}");
        for (at, _) in html.match_indices(" for=\"") {
            let id = html[at + 6..].split('"').next().unwrap();
            assert!(unique.contains(&id), "{name}: a label for {id}");
        }
        for (at, _) in
            html.match_indices(" aria-labelledby=\"").chain(html.match_indices(" aria-describedby=\""))
        {
            let id = html[at..].split('"').nth(1).unwrap();
            assert!(unique.contains(&id), "{name}: words under {id}");
        }
        for tag in ["<input", "<select", "<textarea"] {
            for (at, _) in html.match_indices(tag) {
                let control = html[at..].split('>').next().unwrap();
                if control.contains("type=\"hidden\"") {
                    continue;
                }
                let id = control.split(" id=\"").nth(1).map(|rest| rest.split('"').next().unwrap());
                // A box stands inside its label.
                let labelled = match id {
                    Some(id) => html.contains(&format!("<label for=\"{id}\"")),
                    None => {
                        html[..at].rfind("<label").is_some_and(|label| !html[label..at].contains("</label>"))
                    }
                };
                assert!(labelled, "{name}: {control}");
            }
        }
    }
}

#[test]
fn what_is_edited_is_shown_as_it_is_saved() {
    assert_eq!(approvals::editable("a\r\nb\u{200b}"), "a\nb\\u{200b}");
    assert_eq!(line("a\u{200b}"), "a\\u{200b}");
}

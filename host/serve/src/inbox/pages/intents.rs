//! What is asked of agents: the list, one intent as it runs, and the form for a new one.

use super::cards::{Card, card};
use super::wrong::alert;
use super::{Page, Place, VALUE_CHARS_MAX, Viewer, count, empty, fact, older, parameters, text};
use crate::view::{Call, Failure, IntentRow, IntentShown};
use countersign::agent::{Manifest, Schema};
use countersign::approval::decision::State;
use countersign::intent::{FAILED, Failed, Status, shown};
use countersign::people::Deed;
use countersign::printable::{line, printable};
use countersign::refusals::Code;
use maud::{Markup, html};

/// How many calls of a run a page shows; the command line shows them all.
pub const CALLS_SHOWN_MAX: usize = 200;
/// How much of what an agent printed a page shows, in characters.
const LOG_CHARS_MAX: usize = 64 * 1024;
/// How much of an action's name a list shows, in characters.
const ROW_CHARS_MAX: usize = 100;

/// Every status there is, in the order of a life.
pub const STATUSES: [Status; 7] = [
    Status::Running,
    Status::Waiting,
    Status::Sending,
    Status::Blocked,
    Status::Done,
    Status::Stopped,
    Status::Cancelled,
];

/// The list of intents.
pub struct List<'a> {
    /// Those on this page.
    pub rows: &'a [IntentRow],
    /// Only those that stand so.
    pub status: Option<Status>,
    /// Only those that have failed.
    pub failed: bool,
    /// Only those of this agent.
    pub agent: Option<&'a str>,
    /// The ids of the agents there are.
    pub agents: &'a [String],
    /// Behind which the next page begins.
    pub next: Option<&'a str>,
}

/// Draws the list.
pub fn list(viewer: &Viewer, list: &List<'_>) -> Page {
    let mut path = "/intents".to_owned();
    let status = if list.failed { Some(FAILED) } else { list.status.map(Status::name) };
    for (name, value) in [("status", status), ("agent", list.agent)] {
        if let Some(value) = value {
            path.push(if path.contains('?') { '&' } else { '?' });
            path += &format!("{name}={}", text::part(value));
        }
    }
    let main = html! {
        @if viewer.may(Deed::Invoke) { p { a.button href="/intents/new" { "New intent" } } }
        form.filter method="get" action="/intents" role="search" aria-label="Filter intents" {
            p.field {
                label for="status" { "Status" }
                select #status name="status" {
                    option value="" { "any" }
                    @for status in STATUSES {
                        option value=(status.name()) selected[list.status == Some(status)] { (status.name()) }
                    }
                    option value=(FAILED) selected[list.failed] { (FAILED) ", or stopped" }
                }
            }
            p.field {
                label for="agent" { "Agent" }
                select #agent name="agent" {
                    option value="" { "any" }
                    @for agent in list.agents {
                        option value=(agent) selected[list.agent == Some(agent.as_str())] { (line(agent)) }
                    }
                }
            }
            button type="submit" { "Filter" }
        }
        @if list.rows.is_empty() {
            @if status.is_some() || list.agent.is_some() {
                (empty("No intent is like that.", html! { p { a href="/intents" { "Show all" } } }))
            } @else {
                (empty("Nothing has been asked of any agent.", html! {}))
            }
        } @else {
            ul.rows {
                @for row in list.rows {
                    li {
                        div {
                            h2 { a href={ "/intents/" (row.id) } { (text::brief(&row.action, ROW_CHARS_MAX)) } }
                            p {
                                @let word = shown(row.status, row.failed);
                                span.badge.(word) { (word) }
                                @if let Some(reason) = &row.reason { " " code { (text::say(reason)) } }
                            }
                            p.quiet { "Agent " (text::say(&row.agent)) ". Submitted " (text::time(&row.submitted)) "." }
                        }
                    }
                }
            }
        }
        (older(&path, list.next))
    };
    Page::new("Intents", Some(Place::Intents), main)
}

/// One intent.
pub struct One<'a> {
    /// It.
    pub intent: &'a IntentShown,
    /// On whose behalf.
    pub user: &'a str,
    /// How many calls there are beyond those in its timeline.
    pub more_calls: usize,
    /// What makes the submissions of this page different from those of another.
    pub key: &'a str,
    /// Why what was asked for here did not happen.
    pub failed: Option<(Code, &'a Failure)>,
}

/// Draws it.
pub fn one(viewer: &Viewer, one: &One<'_>) -> Page {
    let intent = one.intent;
    let own = viewer.person.name == one.user;
    let pending = intent.approvals.iter().find(|approval| approval.state == State::Pending);
    let main = html! {
        @if let Some((code, failure)) = one.failed { (alert(code, failure)) }
        @let word = shown(intent.status, intent.failed);
        div.standing.(word) data-run=(intent.status.name()) {
            p {
                span.badge.(word) { (word) } " "
                (standing(intent))
            }
            @if let Some(pending) = pending {
                p { a.button href={ "/approvals/" (pending.id) } { "Look at the approval" } }
            }
            @if let Some(reason) = &intent.reason {
                p { (text::brief(&reason.message, 1_000)) " " a href={ "/docs/refusals/" (text::part(&reason.code)) } { "About " (text::say(&reason.code)) } }
            }
            @if !intent.status.is_final() { p.quiet { a href={ "/intents/" (intent.id) } { "Refresh" } } }
        }
        @if let Some(answer) = &intent.card { (card(viewer, &Card { card: answer, agent: &intent.agent, key: one.key })) }
        (deeds(viewer, intent, own))
        section aria-labelledby="asked" {
            h2 #asked { "What was asked" }
            dl {
                (fact("Action", html! { code { (text::say(&intent.action)) } }))
                (fact("Agent", html! { a href={ "/agents/" (text::part(&intent.agent)) } { (text::say(&intent.agent)) } }))
                (fact("For", text::say(one.user)))
                (fact("Intent", html! { code { (intent.id) } }))
                (fact("Build", html! { code.digest { (intent.agent_digest) } }))
                (fact("Submitted", text::time(&intent.submitted)))
                (fact("Updated", text::time(&intent.updated)))
                @if let Some(before) = &intent.retry_of {
                    (fact("Again, after", html! { a href={ "/intents/" (before) } { (before) } }))
                }
            }
            @if !intent.parameters.is_empty() {
                h3 { "Parameters" }
                (text::json(&intent.parameters.clone().into(), VALUE_CHARS_MAX))
            }
            @if let Some(typed) = &intent.text { h3 { "Text" } (text::block_of(typed, VALUE_CHARS_MAX)) }
        }
        (timeline(intent, one.more_calls))
        @if !intent.approvals.is_empty() {
            section aria-labelledby="approvals" {
                h2 #approvals { "Approvals" }
                ul.rows {
                    @for approval in &intent.approvals {
                        li { div {
                            p { a href={ "/approvals/" (approval.id) } { (approval.id) } " " span.badge.(approval.state.name()) { (approval.state.name()) } }
                            p.quiet { "Asked " (text::time(&approval.asked)) }
                        } }
                    }
                }
            }
        }
        section aria-labelledby="log" {
            h2 #log { "Log" }
            @if intent.log.is_empty() { p.quiet { "It has printed nothing." } } @else {
                details #printed { summary { "What it printed" } (text::block_of(&intent.log, LOG_CHARS_MAX)) }
            }
        }
    };
    Page { live: !intent.status.is_final(), ..Page::new("Intent", Some(Place::Intents), main) }
}

fn standing(intent: &IntentShown) -> &'static str {
    match (intent.status, intent.live) {
        (Status::Running, true) => "It is being executed. This page follows it.",
        (Status::Running, false) => "It can go on; nothing drives it right now.",
        (Status::Waiting, _) => "It waits for a person's decision.",
        (Status::Sending, _) => "Its message is being handed over.",
        (Status::Blocked, _) => {
            "It stands in line to ask: it goes on when what its agent has asked the same person before is decided."
        }
        (Status::Done, _) if intent.failed == Some(Failed::ErrorCard) => "The agent answered with an error.",
        (Status::Done, _) if intent.failed == Some(Failed::NotSent) => {
            "The agent is done, but a message of it has not been sent."
        }
        (Status::Done, _) if intent.failed.is_some() => {
            "The agent is done, but nobody knows whether a message of it has been sent."
        }
        (Status::Done, _) if intent.card.is_none() => "It is done, and answered nothing.",
        (Status::Done, _) => "It is done.",
        (Status::Stopped, _) => "It was stopped.",
        (Status::Cancelled, _) => "It was cancelled.",
    }
}

fn deeds(viewer: &Viewer, intent: &IntentShown, own: bool) -> Markup {
    let path = |deed: &str| format!("/intents/{}/{deed}", intent.id);
    let reaches = viewer.may(Deed::CancelAny) || own && viewer.may(Deed::Invoke);
    let resumes = matches!(intent.status, Status::Running | Status::Sending) && !intent.live;
    html! {
        div.deeds {
            @if reaches && resumes { (viewer.button(&path("resume"), "", "Resume")) }
            @if reaches && !intent.status.is_final() { (viewer.button(&path("cancel"), "no", "Cancel intent")) }
            @if own && viewer.may(Deed::Invoke) && intent.status.is_final() { (viewer.button(&path("retry"), "", "Try again")) }
        }
    }
}

fn timeline(intent: &IntentShown, more: usize) -> Markup {
    html! {
        section aria-labelledby="timeline" {
            h2 #timeline { "Timeline" }
            @if intent.timeline.is_empty() {
                p.quiet { @if intent.status.is_final() { "It has called nothing." } @else { "It has called nothing yet." } }
            } @else {
                ol.timeline { @for call in &intent.timeline { li { (self::call(call)) } } }
            }
            @if more > 0 { p.quiet { (count(more, "more call")) ", not shown here." } }
        }
    }
}

fn call(call: &Call) -> Markup {
    html! {
        p {
            code { (text::say(&call.call)) } " "
            @if call.refused.is_some() { span.badge.refused { "refused" } } @else { span.badge { "answered" } } " "
            span.quiet { (text::time(&call.at)) }
        }
        @if let Some(refused) = &call.refused { p { (text::brief(refused, 1_000)) } }
        details id={ "call-" (call.number) } {
            summary { "Request and answer" span.unseen { " of call " (call.number + 1) } }
            h3 { "Request" }
            (text::json(&call.request, VALUE_CHARS_MAX))
            @if call.withheld {
                p { "The answer is of a mailbox that is not yours." }
            } @else if call.refused.is_none() {
                h3 { "Answer" }
                (text::json(&call.answer, VALUE_CHARS_MAX))
            }
            @if let Some(details) = &call.details { h3 { "Details" } (text::json(details, VALUE_CHARS_MAX)) }
        }
    }
}

/// The first step towards a new intent: which agent. `agents` are ids with names.
pub fn choose_agent(agents: &[(String, String)]) -> Page {
    let main = html! {
        @if agents.is_empty() {
            (empty("No agent is installed.", html! { p { "An operator installs one, under " a href="/agents" { "Agents" } "." } }))
        } @else {
            h2 { "Which agent?" }
            ul.rows {
                @for (id, name) in agents {
                    li { div {
                        p { a href={ "/intents/new?agent=" (text::part(id)) } { (text::brief(name, ROW_CHARS_MAX)) } }
                        p.quiet { (text::say(id)) }
                    } }
                }
            }
        }
    };
    Page::new("New intent", Some(Place::Intents), main)
}

/// The second step: which of the actions the agent lists.
pub fn choose_action(manifest: &Manifest) -> Page {
    let main = html! {
        (of_agent(manifest))
        h2 { "Which action?" }
        ul.rows {
            @for intent in manifest.intents.iter().flatten() {
                li { div {
                    p { a href={ "/intents/new?agent=" (text::part(&manifest.id)) "&action=" (text::part(&intent.action)) } {
                        (text::brief(&intent.action, ROW_CHARS_MAX))
                    } }
                    @if !intent.description.is_empty() { p.quiet { (text::brief(&intent.description, 500)) } }
                } }
            }
        }
        @if manifest.intents.iter().flatten().next().is_none() { (empty("It answers no action.", html! {})) }
    };
    Page::new("New intent", Some(Place::Intents), main)
}

fn of_agent(manifest: &Manifest) -> Markup {
    html! {
        p { "Agent " strong { (text::brief(&manifest.name, ROW_CHARS_MAX)) } " " span.quiet { (text::say(&manifest.id)) } ". "
            a href="/intents/new" { "Another agent" } }
    }
}

/// The form for a new intent.
pub struct New<'a> {
    /// Of which agent.
    pub manifest: &'a Manifest,
    /// What is asked; typed where the agent lists no actions.
    pub action: Option<&'a str>,
    /// What was typed before.
    pub typed: &'a parameters::Typed,
    /// Submitting this form twice submits once.
    pub key: &'a str,
    /// Why it was not submitted.
    pub failed: Option<(Code, &'a Failure)>,
}

/// Draws it.
pub fn new(viewer: &Viewer, new: &New<'_>) -> Page {
    let New { manifest, action, typed, key, failed } = new;
    let listed = manifest.intents.iter().flatten().find(|intent| Some(intent.action.as_str()) == *action);
    let schema = listed.and_then(|intent| intent.parameters.as_ref()).map(Schema::json);
    let free = manifest.intents.is_none();
    let main = html! {
        @if let Some((code, failure)) = failed { (alert(*code, failure)) }
        (of_agent(manifest))
        @if let Some(description) = listed.map(|intent| &intent.description).filter(|said| !said.is_empty()) {
            p.quiet { "Its author says: " (text::brief(description, 500)) }
        }
        (viewer.form("/intents", "", html! {
            input type="hidden" name="agent" value=(manifest.id);
            input type="hidden" name="key" value=(key);
            @if free {
                p.field {
                    label for="action" { "Action " span.quiet { "(required)" } }
                    input #action type="text" name="action" value=(line(action.unwrap_or_default())) required autocomplete="off";
                }
            } @else {
                input type="hidden" name="action" value=(action.unwrap_or_default());
                p { "Action " code { (text::say(action.unwrap_or_default())) } ". "
                    a href={ "/intents/new?agent=" (text::part(&manifest.id)) } { "Another action" } }
            }
            (parameters::fields(schema, typed))
            p.field {
                label for="text" { "Text " span.quiet { "(optional: what you want to say beside)" } }
                textarea #text name="text" rows="2" { "\n" (printable(typed.get("text").map_or("", String::as_str))) }
            }
            button.yes type="submit" { "Submit" }
        }))
    };
    Page::new("New intent", Some(Place::Intents), main)
}

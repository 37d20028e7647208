//! What waits for a decision: the list, and the page on which a person signs.

use super::wrong::{alert, kept};
use super::{Page, Place, Viewer, body, count, empty, fact, older, text};
use crate::view::{Approval, Failure, OutboxMessage};
use countersign::approval::body::Rendered;
use countersign::approval::decision::State;
use countersign::approval::gist::{self, Gist};
use countersign::approval::notices::{Flag, Notice, Weight};
use countersign::approval::outbox::State as Sending;
use countersign::approval::{Action, Binding, BodyKind};
use countersign::clock::rfc3339;
use countersign::desk::NOTE_BYTES_MAX;
use countersign::host::Edit;
use countersign::people::Deed;
use countersign::printable::{DESCRIPTION_CHARS_MAX, TITLE_CHARS_MAX, hidden, line, printable};
use countersign::refusals::Code;
use countersign::store::Stored;
use maud::{Markup, html};

/// How much of a subject a list shows, and of a name in a summary, in characters.
const ROW_CHARS_MAX: usize = 100;

/// The list of approvals.
pub struct List<'a> {
    /// Those on this page.
    pub rows: &'a [Stored],
    /// Whether these are only those that wait.
    pub pending: bool,
    /// Behind which the next page begins.
    pub next: Option<&'a str>,
    /// What could not be declined, each with the reason, of several that were to be.
    pub failed: &'a [(String, Failure)],
    /// The note somebody had typed when it could not.
    pub note: &'a str,
}

/// Draws the list.
pub fn list(viewer: &Viewer, list: &List<'_>) -> Page {
    let (shown, all) = if list.pending { ("/approvals", false) } else { ("/approvals?state=all", true) };
    let decides = viewer.may(Deed::Decide);
    let rows = html! {
        ul.rows {
            @for stored in list.rows { li { (row(viewer, stored, decides)) } }
        }
    };
    let waits = list.rows.iter().any(|stored| stored.approval.state == State::Pending);
    let main = html! {
        @for (id, failure) in list.failed {
            div.alert role="alert" {
                h2 { (id) " was not declined" }
                p { (text::say(&failure.message)) }
            }
        }
        nav aria-label="Which approvals" {
            ul.choices {
                li { a href="/approvals" aria-current=[(!all).then_some("true")] { "Waiting" } }
                li { a href="/approvals?state=all" aria-current=[all.then_some("true")] { "All" } }
            }
        }
        @if list.rows.is_empty() {
            @if list.pending {
                (empty("Nothing waits for a decision.", html! {
                    p { "When an agent wants something to leave, it is shown here first." }
                }))
            } @else {
                (empty("There are no approvals.", html! {}))
            }
        } @else if decides && waits {
            form method="post" action="/approvals/decline" {
                (viewer.proofs("/approvals/decline", ""))
                (rows)
                fieldset.batch {
                    legend { "Decline several" }
                    p.quiet { "Each is signed on a page of its own. Those that are checked can be declined together." }
                    (note("note-of-all", list.note))
                    button type="submit" { "Decline selected" }
                }
            }
        } @else {
            (rows)
        }
        (older(shown, list.next))
    };
    Page { live: true, ..Page::new("Approvals", Some(Place::Approvals), main) }
}

fn row(viewer: &Viewer, stored: &Stored, decides: bool) -> Markup {
    let approval = &stored.approval;
    let id = &approval.id;
    let path = format!("/approvals/{id}");
    let picks = decides && approval.state == State::Pending;
    html! {
        @if picks {
            // What is declined is what was shown here: its digest goes along, and the proof for it.
            @let digest = approval.digest.to_string();
            @let proof = viewer.seal.proof(&format!("{path}/decline"), &digest);
            label.pick {
                input type="checkbox" name="approval" value={ (id) " " (digest) " " (proof) };
                span.unseen { "Select " (id) " to decline" }
            }
        }
        div {
            h2 { a href=(path) { (headline(approval.leaving())) } }
            @if let Some(action) = approval.leaving() { p { "To " (recipients(stored, action)) } }
            p.quiet {
                "Agent " (text::say(&stored.agent)) ", for " (text::say(&stored.user)) ". "
                "Asked " (text::time(&rfc3339(approval.asked_ms))) ". "
                @if approval.state == State::Pending {
                    "Open until " (text::time(&rfc3339(approval.expires_ms))) "."
                } @else {
                    span.badge.(approval.state.name()) { (state(approval.state)) }
                }
            }
        }
    }
}

fn headline(action: Option<&Action>) -> Markup {
    match action {
        Some(action) if action.subject.trim().is_empty() => html! { "A message without a subject" },
        Some(action) => html! { "Message " q { (text::subject(&action.subject, ROW_CHARS_MAX)) } },
        None => html! { "A question" },
    }
}

fn recipients(stored: &Stored, action: &Action) -> Markup {
    let (recipients, others) = gist::recipients(action, &|address| !stored.has_written_to(address));
    html! {
        @for (number, (_, address)) in recipients.iter().enumerate() {
            @if number > 0 { ", " }
            (text::say(address))
        }
        @if others > 0 { " and " (count(others, "other")) }
    }
}

/// A state as people say it.
fn state(state: State) -> &'static str {
    match state {
        State::Pending => "waiting",
        State::Approved => "approved",
        State::Used => "approved and used",
        State::Declined => "declined",
        State::Expired => "expired",
        State::Cancelled => "cancelled",
        State::Revoked => "taken back",
    }
}

/// The page of one approval.
pub struct One<'a> {
    /// It.
    pub approval: &'a Approval,
    /// On whose behalf it was asked.
    pub user: &'a str,
    /// The message it armed, if it has armed one.
    pub outgoing: Option<&'a OutboxMessage>,
    /// The next one that waits.
    pub next: Option<&'a str>,
    /// Why what was asked for here did not happen.
    pub failed: Option<(Code, &'a Failure)>,
    /// What somebody had typed when it did not.
    pub typed: Option<&'a Edit>,
    /// The note somebody had typed when it did not.
    pub note: &'a str,
    /// The head of the audit, where something has just been decided here.
    pub head: Option<&'a str>,
}

/// Draws it.
pub fn one(viewer: &Viewer, one: &One<'_>) -> Page {
    let approval = one.approval;
    let is_open = approval.state == State::Pending;
    let decides = viewer.may(Deed::Decide);
    let main = html! {
        @if let Some((code, failure)) = one.failed { (alert(code, failure)) }
        @if !(is_open && decides) { (lost(one)) }
        div #approval data-state=(approval.state.name()) data-used[approval.used] data-digest=(approval.digest) {
            (standing(one))
            (words(approval))
            (flags(approval))
            (message(approval))
            (answered(approval, one.user))
        }
        (particulars(one))
        // The last of all: whoever has come to the buttons has passed the message, and finds it once more beside them.
        @if is_open && decides {
            @if let Some(action) = &approval.action { (change(viewer, one, action)) }
            (decision(viewer, one))
        }
        @if is_open && !decides { p { "Whoever has the role approver decides it." } }
        @if approval.state == State::Approved && !approval.used && decides {
            section aria-labelledby="take-back" {
                h2 #take-back { "Take it back" }
                p { "As long as the message has not left, the yes can be taken back." }
                (viewer.button(&format!("/approvals/{}/revoke", approval.id), "", "Take back"))
            }
        }
        @if let Some(next) = one.next {
            nav aria-label="Next approval" { p { a.button href={ "/approvals/" (next) } { "Next" } } }
        } @else if !is_open {
            p { "Nothing else waits for a decision. " a href="/approvals" { "Back to the approvals" } }
        }
    };
    Page { live: true, ..Page::new("Approval", Some(Place::Approvals), main) }
}

/// How it stands, and who has decided it.
fn standing(one: &One<'_>) -> Markup {
    let approval = one.approval;
    // A yes whose message has not arrived is nothing green.
    let class = match one.outgoing.map(|message| message.state) {
        Some(sending @ (Sending::NotSent | Sending::Uncertain)) => sending.name(),
        _ => approval.state.name(),
    };
    html! {
        div.standing.(class) {
            @match (&approval.decided, approval.state) {
                (_, State::Pending) => {
                    p { strong { "Waits for a decision" } " until " (text::time(&approval.expires)) "." }
                }
                (Some(decided), now) => {
                    p {
                        strong { @if decided.verdict == "approve" { "Approved" } @else { "Declined" } }
                        " by " (text::say(&decided.who)) " at " (text::time(&decided.at)) "."
                    }
                    @if let Some(note) = &decided.note { p { "Note: " (text::say(note)) } }
                    @if let (true, Some(message)) = (approval.used, one.outgoing) {
                        (super::outbox::standing(message))
                        p { a href={ "/outbox/" (approval.id) } { "What became of the message" } }
                    } @else if approval.used {
                        p { "The yes has been used." }
                    } @else if now == State::Approved && approval.action.is_some() {
                        p { "The message leaves when its run sends exactly it." }
                    } @else if !matches!(now, State::Approved | State::Declined) {
                        p { "It is " (state(now)) " since." }
                    }
                }
                (None, now) => p { strong { "It is " (state(now)) "." } " Nobody has decided it." },
            }
            @if let Some(head) = one.head {
                p { "The record ends with " code.digest { (head) } ". Keep it if you want to prove later what was decided." }
            }
        }
    }
}

fn flags(approval: &Approval) -> Markup {
    let (matter, usual): (Vec<_>, Vec<_>) =
        approval.flags.iter().partition(|notice| notice.weight == Weight::Matters);
    let list = |notices: &[&Notice]| {
        html! {
            ul {
                @for notice in notices {
                    li { strong { (name(notice.flag)) ":" } " " (text::say(&notice.text)) }
                }
            }
        }
    };
    html! {
        @if !matter.is_empty() {
            section.odd aria-labelledby="odd" {
                h2 #odd { "What is new or odd" }
                (list(&matter))
            }
        }
        @if !usual.is_empty() {
            details.usual {
                summary { "What is so of most messages" }
                (list(&usual))
            }
        }
    }
}

/// A fact in two or three words.
fn name(flag: Flag) -> &'static str {
    match flag {
        Flag::DeclinedBefore => "Declined before",
        Flag::SentBefore => "Sent before",
        Flag::OnItsWay => "On its way already",
        Flag::Question => "Question",
        Flag::Restored => "Restored",
        Flag::AskAgain => "Has to be asked again",
        Flag::Hold => "Message not known yet",
        Flag::Declared => "Declared message",
        Flag::Edited => "Changed by a person",
        Flag::FirstTimeRecipient => "New recipient",
        Flag::ExternalRecipient => "Recipient outside",
        Flag::LookAlike => "Looks like another",
        Flag::HiddenRecipients => "Hidden recipients",
        Flag::NamesAnotherDomain => "Names another domain",
        Flag::Punycode => "Encoded domain",
        Flag::MixedScripts => "Mixed letters",
        Flag::Links => "Links",
        Flag::MisleadingLink => "Misleading link",
        Flag::EncodedFile => "File in the text",
        Flag::EmptySubject => "Empty subject",
        Flag::EmptyBody => "Empty body",
        Flag::Html => "HTML",
        Flag::LongBody => "Long body",
        Flag::BlankSpace => "Blank space",
        Flag::EscapedCharacters => "Hidden characters",
        Flag::MixedDirections => "Two directions",
        Flag::CombiningFlood => "Stacked marks",
        Flag::PreviewGap => "Gap to the preview",
        Flag::PreviewDiffers => "Another preview",
        Flag::WordsDiffer => "Another account",
    }
}

/// The message, drawn from the action alone.
fn message(approval: &Approval) -> Markup {
    let Some(action) = &approval.action else {
        return html! {
            section aria-labelledby="message" {
                h2 #message { "No message" }
                @if approval.binding == Binding::Question {
                    p { "The agent asks a question. A yes lets nothing leave." }
                } @else {
                    p { "What will leave is not known yet. A yes lets the run go on; before a message leaves you are asked again." }
                }
            }
        };
    };
    let tense = match (approval.state, approval.used) {
        (State::Pending, _) => "The message that would leave",
        (State::Approved, true) => "The message that was signed and used",
        (State::Approved, false) => "The message that may leave",
        _ => "The message that did not leave",
    };
    html! {
        section.message aria-labelledby="message" {
            h2 #message { (tense) }
            (letter(action))
        }
    }
}

/// A message, drawn from its action alone.
pub fn letter(action: &Action) -> Markup {
    let body = Rendered::of(action);
    html! {
        dl.letter {
            (fact("From", text::say(&action.from)))
            @for (name, list) in [("To", &action.to), ("Cc", &action.cc), ("Bcc", &action.bcc)] {
                @if !list.is_empty() { (fact(name, text::list(list))) }
            }
            (fact("Subject", html! {
                @if action.subject.is_empty() { em { "empty" } } @else { (body::line(&action.subject)) }
            }))
        }
        h3 { "Body" @if action.body_kind == BodyKind::Html { ", HTML" } }
        @if action.body.is_empty() { p { em { "The body is empty." } } } @else { (body::body(&body)) }
        @if !body.links.is_empty() {
            h3 { "Where its links lead" }
            ol.links { @for link in &body.links { li { (text::say(&link.href)) } } }
        }
    }
}

/// What an agent says of its own accord: folded away, and in one run of words, whose spaces and line breaks are gone, so that it
/// draws no fields and no buttons at any width.
fn words(approval: &Approval) -> Markup {
    let says = &approval.agent_says;
    let unspaced = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    html! {
        details #says.says {
            summary { "What the agent says, in its own words" }
            p.quiet { "These are words of " (text::say(&approval.agent)) ". They decide nothing." }
            blockquote {
                p { (text::brief(&unspaced(&says.title), TITLE_CHARS_MAX)) }
                @if !says.description.is_empty() {
                    p { (text::brief(&unspaced(&says.description), DESCRIPTION_CHARS_MAX)) }
                }
            }
            @if !says.details.is_empty() {
                p { "In detail:" }
                (text::json(&says.details.clone().into(), super::VALUE_CHARS_MAX))
            }
        }
    }
}

/// What the message answers, each folded away.
fn answered(approval: &Approval, user: &str) -> Markup {
    let answered = approval.answered.as_ref().filter(|_| approval.action.is_some());
    let Some(answered) = answered.filter(|it| it.withheld || !it.messages.is_empty()) else {
        return html! {};
    };
    html! {
        section aria-labelledby="answered" {
            h2 #answered { "What it answers" }
            @if answered.withheld {
                p.quiet { "Whether its run has read mail of the recipients is withheld: only " (text::say(user)) " may read that mailbox." }
            }
            @for (number, mail) in answered.messages.iter().enumerate() {
                details id={ "answered-" (number) } {
                    summary { "From " (text::brief(&mail.from, ROW_CHARS_MAX)) ", " (text::time(&mail.at)) }
                    dl { (fact("Subject", text::say(&mail.subject))) }
                    (text::block(&mail.body))
                    @if mail.goes_on { p.quiet { "It goes on." } }
                }
            }
        }
    }
}

/// What was typed into forms that are not on the page any more.
fn lost(one: &One<'_>) -> Markup {
    let subject = one.typed.and_then(|typed| typed.subject.as_deref()).unwrap_or_default();
    let body = one.typed.and_then(|typed| typed.body.as_deref()).unwrap_or_default();
    kept(&[("Note", one.note), ("Subject", subject), ("Body", body)])
}

fn note(id: &str, typed: &str) -> Markup {
    html! {
        p.field {
            label for=(id) { "Note " span.quiet { "(optional, kept in the record)" } }
            textarea id=(id) name="note" rows="2" maxlength=(NOTE_BYTES_MAX) { "\n" (printable(typed)) }
        }
    }
}

fn decision(viewer: &Viewer, one: &One<'_>) -> Markup {
    let approval = one.approval;
    let path = |deed: &str| format!("/approvals/{}/{deed}", approval.id);
    let yes = if approval.action.is_some() { "Sign and send" } else { "Answer yes" };
    html! {
        section.decision aria-labelledby="decision" {
            h2 #decision { "Your decision" }
            @if let Some(gist) = approval.gist() { (in_short(&gist)) }
            (viewer.form(&path("decline"), &approval.digest, html! {
                (note("note", one.note))
                button.no type="submit" { "Decline" }
            }))
            @if approval.flags.iter().any(|notice| notice.flag == Flag::AskAgain) {
                p { "It cannot be approved: the agent has to ask again." }
            } @else {
                (viewer.form(&path("approve"), &approval.digest, html! {
                    button.yes type="submit" { (yes) }
                }))
            }
        }
    }
}

/// The message in a few lines, beside the buttons.
fn in_short(gist: &Gist) -> Markup {
    html! {
        dl.gist {
            @for (field, address) in &gist.recipients { (fact(field, text::say(address))) }
            @if let Some(others) = gist.others() { (fact("and to", html! { (others) })) }
            (fact("Subject", html! {
                @if gist.subject.is_empty() { em { "empty" } } @else { (text::say(&gist.subject)) }
            }))
            (fact("Body", html! { (gist.length()) }))
        }
    }
}

fn change(viewer: &Viewer, one: &One<'_>, action: &Action) -> Markup {
    let approval = one.approval;
    html! {
        details open[one.typed.is_some()] {
            summary { "Edit" }
            (viewer.form(&format!("/approvals/{}/edit", approval.id), &approval.digest, edit(action, one.typed)))
        }
    }
}

/// A body as it stands in a field to be edited: what is hidden is spelled out, and is what it says once somebody saves it so.
pub fn editable(body: &str) -> String {
    printable(&body.replace("\r\n", "\n"))
}

fn edit(action: &Action, typed: Option<&Edit>) -> Markup {
    let subject = typed.and_then(|typed| typed.subject.as_deref()).unwrap_or(&action.subject);
    let body = typed.and_then(|typed| typed.body.as_deref()).unwrap_or(&action.body);
    let removed = |address: &str| typed.is_some_and(|typed| typed.remove.iter().any(|gone| gone == address));
    let hides = hidden(&action.subject).next().is_some()
        || hidden(&action.body.replace("\r\n", "\n")).next().is_some();
    html! {
        p { "The message is shown to you again as changed, before you sign it. Recipients can be removed, never added." }
        @if hides {
            p { strong { "Hidden characters are spelled out here, like " code { "\\u{200b}" } "." }
                " If you change the field they are in, they are saved as you see them." }
        }
        p.field {
            label for="subject" { "Subject" }
            input #subject type="text" name="subject" value=(line(subject)) autocomplete="off";
        }
        p.field {
            label for="body" { "Body" @if action.body_kind == BodyKind::Html { " (HTML)" } }
            textarea #body name="body" rows="12" { "\n" (editable(body)) }
        }
        fieldset {
            legend { "Remove recipients" }
            @for (number, address) in action.recipients().enumerate() {
                label.check {
                    input type="checkbox" name="remove" value=(number) checked[removed(address)];
                    span { "Remove " (text::say(address)) }
                }
            }
        }
        button type="submit" { "Save changes" }
    }
}

fn particulars(one: &One<'_>) -> Markup {
    let approval = one.approval;
    let binding = match approval.binding {
        Binding::Exact => "the message its run was seen to send",
        Binding::Declared => "the message the agent spelled out",
        Binding::Hold => "going on, before the message is known",
        Binding::Question => "a question, and nothing that leaves",
    };
    html! {
        section.particulars aria-labelledby="particulars" {
            h2 #particulars { "Particulars" }
            dl {
                (fact("Approval", html! { code { (approval.id) } }))
                (fact("Is about", html! { (binding) }))
                (fact("Digest", html! { code.digest { (approval.digest) } }))
                (fact("Intent", html! { a href={ "/intents/" (approval.intent) } { (approval.intent) } }))
                (fact("Agent", html! { a href={ "/agents/" (text::part(&approval.agent)) } { (text::say(&approval.agent)) } }))
                @if let Some(action) = &approval.action {
                    (fact("Build", html! { code.digest { (action.agent) } }))
                    (fact("Run", html! { (action.run) }))
                }
                (fact("For", text::say(one.user)))
                (fact("Asked", text::time(&approval.asked)))
                (fact("Open until", text::time(&approval.expires)))
            }
        }
    }
}

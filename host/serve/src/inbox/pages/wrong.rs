//! What went wrong, said so that somebody can go on.

use super::{Page, text};
use crate::view::Failure;
use countersign::printable::printable;
use countersign::refusals::Code;
use maud::{Markup, html};

/// How much of an error's message a page shows, in characters: it may quote an agent.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// A refusal above the page it happened on.
pub fn alert(code: Code, failure: &Failure) -> Markup {
    html! {
        div.alert role="alert" {
            h2 { (headline(code)) }
            (said(code, failure))
        }
    }
}

/// What somebody typed into a form that was refused, where the page has no such form any more: nobody writes it twice.
pub fn kept(typed: &[(&str, &str)]) -> Markup {
    let typed: Vec<_> = typed.iter().filter(|(_, text)| !text.trim().is_empty()).collect();
    html! {
        @if !typed.is_empty() {
            section aria-labelledby="kept" {
                h2 #kept { "What you typed" }
                p { "It was not saved. Copy what you still need." }
                @for (number, (label, text)) in typed.into_iter().enumerate() {
                    @let id = format!("kept-{number}");
                    p.field {
                        label for=(id) { (label) }
                        textarea id=(id) rows="6" readonly { "\n" (printable(&text.replace("\r\n", "\n"))) }
                    }
                }
            }
        }
    }
}

/// A refusal on a page of its own.
pub fn page(code: Code, failure: &Failure, typed: &[(&str, &str)]) -> Page {
    let main = html! {
        div.alert { (said(code, failure)) }
        (kept(typed))
        @if code == Code::Unauthenticated {
            p { a.button href="/sign-in" { "Sign in" } }
        } @else {
            p { a href="/approvals" { "Back to the approvals" } }
        }
    };
    Page::new(headline(code), None, main)
}

fn said(code: Code, failure: &Failure) -> Markup {
    html! {
        p { (text::brief(&failure.message, MESSAGE_CHARS_MAX)) "." }
        @match advice(code) {
            Some(advice) => p { (advice) },
            // What is to be typed at a terminal helps nobody here.
            None => @if let Some(hint) = failure.hint.as_ref().filter(|hint| !hint.contains("`countersign ")) {
                p { "What to do: " (text::brief(hint, MESSAGE_CHARS_MAX)) "." }
            },
        }
        p { a href={ "/docs/refusals/" (code) } { "About " (code) } }
    }
}

fn headline(code: Code) -> &'static str {
    match code {
        Code::StaleDigest => "Changed, look again",
        Code::AlreadyDecided => "Already decided",
        Code::UnknownId | Code::ResourceNotFound => "Not found",
        Code::Forbidden => "You may not do this",
        Code::SelfApproval | Code::FourEyes => "Somebody else has to decide this",
        Code::StillLeaving => "It may still leave",
        Code::Unauthenticated => "You are not signed in",
        Code::ForgedRequest => "This did not come from a page of this server",
        Code::LinkExpired => "The link is used up, or too old",
        Code::RequestTooLarge | Code::ComponentTooLarge => "Too large",
        Code::RateLimitExceeded => "Too many tries",
        Code::ShuttingDown => "The server is going down",
        Code::HostFault | Code::InternalError => "The server failed",
        Code::AuditBroken => "The record is not as it was written",
        _ => "This was refused",
    }
}

/// What to do next at a page, where the refusal's own hint is for another door.
fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::StaleDigest => "Nothing was decided. Read what it says now, and decide then.",
        Code::AlreadyDecided => "The first decision stands. Nothing is left to do here.",
        Code::ForgedRequest => "Nothing was changed. Open the page anew and try again.",
        Code::LinkExpired => "Ask an operator for a new link.",
        Code::UnknownId => "It may have been removed, or be somebody else's.",
        Code::Unauthenticated => "Sign in, and try again.",
        Code::HostFault | Code::InternalError => {
            "Nothing more is told here; the server's log says what happened."
        }
        Code::CapabilityDenied => "Whoever it acts for has to grant it again, or the approval is declined.",
        Code::AskAgain => "It can only be declined. Run the intent again, and the agent asks again.",
        Code::PolicyForbids => "It can only be declined, unless the operator changes the policy.",
        _ => return None,
    })
}

//! What went wrong, said so that somebody can go on.

use super::{Page, text};
use crate::view::Failure;
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

/// A refusal on a page of its own.
pub fn page(code: Code, failure: &Failure) -> Page {
    let main = html! {
        div.alert { (said(code, failure)) }
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
        Code::SelfApproval => "Somebody else has to decide this",
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
        Code::HostFault | Code::InternalError => "Nothing more is told here; the server's log says what happened.",
        Code::CapabilityDenied => "Whoever it acts for has to grant it again, or the approval is declined.",
        Code::PolicyForbids => "It can only be declined, unless the operator changes the policy.",
        _ => return None,
    })
}

/// What a code means: its page, as it stands in the product.
pub fn explained(code: Code) -> Page {
    let page = code.page();
    let body = page.split_once('\n').map_or(page, |(_, body)| body);
    Page::new(code.name(), None, html! { div.prose { (prose(body)) } })
}

/// The little of Markdown the pages of the codes are written in. They are ours; what is in them is escaped all the same.
fn prose(page: &str) -> Markup {
    let mut blocks = Vec::new();
    let mut fence: Option<String> = None;
    let mut block = String::new();
    for line in page.lines().chain([""]) {
        match &mut fence {
            Some(code) if line.starts_with("```") => {
                blocks.push(html! { pre { "\n" (code) } });
                fence = None;
            }
            Some(code) => {
                code.push_str(line);
                code.push('\n');
            }
            None if line.starts_with("```") => {
                blocks.push(paragraph(&std::mem::take(&mut block)));
                fence = Some(String::new());
            }
            None if line.trim().is_empty() => blocks.push(paragraph(&std::mem::take(&mut block))),
            None => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    html! { @for block in blocks { (block) } }
}

/// A heading, a list, or a paragraph.
fn paragraph(block: &str) -> Markup {
    if let Some(heading) = block.strip_prefix("## ") {
        return html! { h2 { (spans(heading.trim())) } };
    }
    let Some((_, numbered)) = item(block) else {
        return html! { @if !block.is_empty() { p { (spans(block.trim())) } } };
    };
    let mut items: Vec<String> = Vec::new();
    for line in block.lines() {
        match (item(line), items.last_mut()) {
            (Some((text, _)), _) => items.push(text.to_owned()),
            (None, Some(last)) => {
                last.push(' ');
                last.push_str(line.trim());
            }
            (None, None) => {}
        }
    }
    let lines = html! { @for item in &items { li { (spans(item)) } } };
    if numbered { html! { ol { (lines) } } } else { html! { ul { (lines) } } }
}

/// What an item of a list says, and whether the list is numbered.
fn item(line: &str) -> Option<(&str, bool)> {
    if let Some(text) = line.strip_prefix("- ") {
        return Some((text, false));
    }
    let (number, text) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some((text, true))
}

/// Text with `code` in it.
fn spans(text: &str) -> Markup {
    html! {
        @for (number, span) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (span) } } @else { (span) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_code_is_drawn_with_its_headings_lists_and_code() {
        let shown = prose("\nOne `a < b`\ntwo.\n\n## What to do\n\n1. First\n   more.\n2. Second\n\n- x\n\n```\n<x>\n```\n").into_string();
        assert_eq!(
            shown,
            "<p>One <code>a &lt; b</code>\ntwo.</p><h2>What to do</h2><ol><li>First more.</li><li>Second</li></ol>\
             <ul><li>x</li></ul><pre>\n&lt;x&gt;\n</pre>"
        );
    }

    #[test]
    fn no_mark_of_markdown_is_left_on_the_page_of_any_code() {
        for code in Code::ALL {
            let shown = explained(*code).main.into_string();
            for mark in ["`", "## ", "](", "**"] {
                assert!(!shown.contains(mark), "{code}: {mark}\n{shown}");
            }
            assert!(shown.contains("<h2>What to do</h2>"), "{code}");
        }
    }
}

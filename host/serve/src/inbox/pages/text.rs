//! The one way foreign text reaches a page.

use countersign::approval::body::as_written;
use countersign::printable::{line, printable, short};
use maud::{Markup, html};
use serde_json::Value;
use std::fmt::Write as _;

/// Foreign text inside a line of ours. It stands apart, so that its letters do not turn ours around.
pub fn say(text: &str) -> Markup {
    html! { bdi { (line(text)) } }
}

/// Like [`say`], cut.
pub fn brief(text: &str, chars_max: usize) -> Markup {
    html! { bdi { (short(text, chars_max)) } }
}

/// A subject in a list, cut: what mixes directions as it is written.
pub fn subject(text: &str, chars_max: usize) -> Markup {
    html! { bdi { (as_written(&short(text, chars_max))) } }
}

/// Several of them.
pub fn list<'a>(texts: impl IntoIterator<Item = &'a String>) -> Markup {
    html! { @for (number, text) in texts.into_iter().enumerate() { @if number > 0 { ", " } (say(text)) } }
}

/// Foreign text as a block of its own, with its line breaks. No word of ours stands inside.
pub fn block(text: &str) -> Markup {
    // A browser passes over the first line break, so one of ours comes first.
    html! { pre.foreign { "\n" (printable(text)) } }
}

/// Like [`block`], cut; what is left out is said below it.
pub fn block_of(text: &str, chars_max: usize) -> Markup {
    match text.char_indices().nth(chars_max) {
        None => block(text),
        Some((at, _)) => html! {
            (block(&text[..at]))
            p.quiet { (super::count(text[at..].chars().count(), "more character")) ", not shown here." }
        },
    }
}

/// A value as indented JSON, cut.
pub fn json(value: &Value, chars_max: usize) -> Markup {
    block_of(&serde_json::to_string_pretty(value).unwrap_or_default(), chars_max)
}

/// An instant, `2026-01-31T12:00:00.123Z`, as people read it.
pub fn time(rfc3339: &str) -> Markup {
    let readable = match rfc3339.split_once('T') {
        Some((day, clock)) => {
            format!("{day} {} UTC", clock.trim_end_matches('Z').split('.').next().unwrap_or(clock))
        }
        None => rfc3339.to_owned(),
    };
    html! { time datetime=(rfc3339) { (readable) } }
}

/// Text as one part of a path or a query.
pub fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_first_line_break() {
        assert_eq!(block("\na<b").into_string(), "<pre class=\"foreign\">\n\na&lt;b</pre>");
    }

    #[test]
    fn a_cut_is_said_outside_the_block() {
        let cut = block_of("äöü", 2).into_string();
        assert!(cut.starts_with("<pre class=\"foreign\">\näö</pre>"), "{cut}");
        assert!(cut.contains("1 more character,"), "{cut}");
    }

    #[test]
    fn an_instant_reads_without_a_machine() {
        let shown = time("2026-01-31T12:00:00.123Z").into_string();
        assert!(shown.contains(">2026-01-31 12:00:00 UTC<"), "{shown}");
    }

    #[test]
    fn a_part_of_a_path_is_one() {
        assert_eq!(part("a/b?c=d&é\" <"), "a%2Fb%3Fc%3Dd%26%C3%A9%22%20%3C");
    }
}

//! The same message again: which messages a person would take for the same, and when they are spared being asked about one. Pure.

use super::body::{self, Rendered};
use super::{Action, DECLINED_MS, REPEATS_MAX, REPEATS_MS, Verdict};
use crate::clock::Millis;
use crate::digest::{Digest, Encoder};
use crate::printable::is_blank;

/// Begins what names a message by what is seen of it.
const DOMAIN: &str = "countersign/drawn/v1";

/// Names a message by what a person sees of it: two messages that have this in common differ in nothing that would be noticed.
///
/// The order of recipients and the case of their letters do not count; in subject and body neither how a line ends, nor how many spaces
/// stand in a row, nor how many blank lines; nor what cannot be seen; nor how a body was written, as text or as HTML, as long
/// as it reads the same and its links lead to the same. Linear in the length of the message.
pub fn drawn(action: &Action) -> Digest {
    let mut out = Encoder::new(DOMAIN);
    out.text(&action.tenant).text(&action.user).text(action.capability.name());
    for list in [&action.to, &action.cc, &action.bcc] {
        let mut list: Vec<_> = list.iter().map(|address| address.to_lowercase()).collect();
        list.sort();
        list.dedup();
        out.list(&list);
    }
    let Rendered { text, drawn, links, tree, .. } = Rendered::of(action);
    // HTML as it is drawn: what is struck out, or stands in another cell, is another message. Text in which a mark of ours is written
    // is not drawn as one.
    let body = if tree.is_some() { drawn } else { body::marked(&text) };
    let links: Vec<_> = links.into_iter().map(|link| link.href).collect();
    out.text(&seen(&action.subject)).text(&seen(&body)).list(&links);
    Digest::of(&out.0)
}

/// A text with one space for each run of them, and one line break for each run of blank lines.
fn seen(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut is_gap = false;
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        let words = line.split_whitespace().map(|word| word.replace(is_blank, ""));
        let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            is_gap = !out.is_empty();
            continue;
        }
        if !out.is_empty() {
            out.push_str(if is_gap { "\n\n" } else { "\n" });
        }
        is_gap = false;
        out += &line;
    }
    out
}

/// An earlier ask about the same message.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// When it was asked.
    pub asked_ms: Millis,
    /// What a person said, and when, if they said anything.
    pub verdict: Option<(Verdict, Millis)>,
}

/// Why nobody is asked about the same message again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It has been asked about too often without a yes.
    TooOften {
        /// When there is room again.
        until_ms: Millis,
    },
    /// It has just been declined.
    Declined {
        /// When it was declined.
        at_ms: Millis,
        /// Until when it counts.
        until_ms: Millis,
    },
}

/// Whether people are spared an ask about a message. `earlier` are the asks about the same within [`REPEATS_MS`], newest first; no more
/// than [`REPEATS_MAX`] of them are looked at. Those before the latest yes do not count: a message that is welcome can be asked
/// about for ever.
pub fn spared(earlier: &[Asked], now: Millis) -> Option<Repeat> {
    let mut asks = 0;
    for Asked { asked_ms, verdict } in earlier.iter().take(REPEATS_MAX as usize) {
        match verdict {
            Some((Verdict::Approve, _)) => return None,
            Some((Verdict::Decline, at_ms)) if now < at_ms + DECLINED_MS => {
                return Some(Repeat::Declined { at_ms: *at_ms, until_ms: at_ms + DECLINED_MS });
            }
            _ => asks += 1,
        }
        if asks >= REPEATS_MAX {
            return Some(Repeat::TooOften { until_ms: asked_ms + REPEATS_MS });
        }
    }
    None
}

/// What became of an earlier message that is the same by [`drawn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// The approval it belongs to.
    pub approval: String,
    /// What became of it.
    pub fate: Fate,
    /// Since when it stands so.
    pub at_ms: Millis,
}

/// How an earlier message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A person said no; who, as recorded.
    Declined(String),
    /// It was signed and has not been sent by its run yet, or is being handed over.
    OnItsWay,
    /// It has left.
    Left,
    /// It was signed and lies in the embedded mailbox: nobody has got it.
    Kept,
    /// Nobody knows whether it has left.
    Uncertain,
}

#[cfg(test)]
mod tests {
    use super::super::BodyKind;
    use super::super::action::tests::{any_action, sample};
    use super::*;
    use proptest::prelude::*;

    fn body(text: &str) -> Action {
        Action { body: text.into(), ..sample() }
    }

    fn to(list: &[&str]) -> Action {
        Action { to: list.iter().map(|address| (*address).into()).collect(), ..sample() }
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        let pairs = [
            (body("one\ntwo"), body("one\r\ntwo")),
            (body("one\ntwo"), body("one\rtwo  ")),
            (body("one two"), body("  one \t two\u{a0}\n\n")),
            (body("one\n\ntwo"), body("\none\n \n\n\ntwo\n")),
            (body("pay 9,000"), body("pay\u{200b} 9,0\u{2060}00")),
            (body("one"), Action { body_kind: BodyKind::Html, ..body("<p>one</p>") }),
            (to(&["a@x.com", "b@x.com"]), to(&["B@x.com", "a@x.com"])),
            (to(&["a@x.com"]), to(&["a@x.com", "A@X.com"])),
            (sample(), Action { subject: " Q4  2024 Report ".into(), ..sample() }),
            (sample(), Action { intent: "int_2".into(), run: 7, agent: Digest([9; 32]), ..sample() }),
        ];
        for (one, other) in pairs {
            assert_eq!(drawn(&one), drawn(&other), "{one:?}\n{other:?}");
        }
    }

    #[test]
    fn what_looks_different_is_another_message() {
        let link = |href: &str| Action {
            body_kind: BodyKind::Html,
            ..body(&format!("<p><a href=\"{href}\">bank</a></p>"))
        };
        let pairs = [
            (body("one two"), body("one\ntwo")),
            (body("one\ntwo"), body("one\n\ntwo")),
            (body("9,000"), body("9,00")),
            (body("Pay"), body("pay")),
            (body("⟦-⟧ a"), Action { body_kind: BodyKind::Html, ..body("<ul><li>a</li></ul>") }),
            (to(&["a@x.com"]), Action { to: vec![], cc: vec!["a@x.com".into()], ..sample() }),
            (to(&["a@x.com"]), to(&["a@x.com", "b@x.com"])),
            (link("https://a.example/"), link("https://b.example/")),
            (sample(), Action { subject: "Q4 2025 Report".into(), ..sample() }),
            (sample(), Action { user: "other".into(), ..sample() }),
        ];
        for (one, other) in pairs {
            assert_ne!(drawn(&one), drawn(&other), "{one:?}\n{other:?}");
        }
    }

    #[test]
    fn three_asks_without_a_yes_are_enough_and_a_no_holds_for_a_day() {
        let asked = |asked_ms, verdict| Asked { asked_ms, verdict };
        let open = |asked_ms| asked(asked_ms, None);
        assert_eq!(spared(&[], 0), None);
        assert_eq!(spared(&[open(20), open(10)], 30), None);
        let until_ms = 10 + REPEATS_MS;
        assert_eq!(spared(&[open(30), open(20), open(10)], 40), Some(Repeat::TooOften { until_ms }));
        let yes = asked(20, Some((Verdict::Approve, 25)));
        assert_eq!(spared(&[open(50), open(40), yes, open(10), open(5)], 60), None);
        let no = asked(10, Some((Verdict::Decline, 15)));
        let declined = Some(Repeat::Declined { at_ms: 15, until_ms: 15 + DECLINED_MS });
        assert_eq!(spared(&[open(20), no], 15 + DECLINED_MS - 1), declined);
        assert_eq!(spared(&[open(20), no], 15 + DECLINED_MS), None);
    }

    proptest! {
        #[test]
        fn spaces_line_ends_and_the_order_of_recipients_never_count(
            mut action in any_action(), spaces in "[ \t]{1,4}", end in "\r?\n",
        ) {
            action.body_kind = BodyKind::Text;
            let mut other = action.clone();
            other.body = action.body.replace('\n', "\r\n").replace(' ', &spaces) + &spaces + &end;
            other.subject = spaces.clone() + &action.subject;
            other.to.reverse();
            prop_assert_eq!(drawn(&action), drawn(&other));
        }
    }
}

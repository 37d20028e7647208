//! Which way a line is read, by the Unicode Bidirectional Algorithm, UAX #9.
//!
//! Letters of Hebrew, Arabic and their kin run from right to left, and take the digits and signs beside them along: `1 א 2` is read
//! `1 2 א` or `2 א 1`, by where the reader's program begins. Whoever signs a line that mixes directions is told of it and
//! sees it in the order in which it is written as well as in each in which it can be read.

use std::fmt::Write as _;
use unicode_bidi::{BidiClass, BidiInfo, Level, bidi_class};

/// From where a line is read, as far as its letters do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// From the left: the letter says so.
    Left,
    /// The reader's program decides.
    #[default]
    Open,
}

/// Which way a character goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Letters from left to right, all digits and other numerals, such as `½` and `①`, and what has a text go that way.
    Left,
    /// Letters from right to left, and what has a text go that way.
    Right,
    /// As what stands around it.
    Neither,
}

fn way(c: char) -> Way {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Way::Left } else { Way::Neither };
    }
    match bidi_class(c) {
        BidiClass::R | BidiClass::AL | BidiClass::RLE | BidiClass::RLO | BidiClass::RLI | BidiClass::FSI => {
            Way::Right
        }
        BidiClass::L | BidiClass::EN | BidiClass::AN | BidiClass::LRE | BidiClass::LRO | BidiClass::LRI => {
            Way::Left
        }
        // To the algorithm they are signs, which change places as numbers would, and to a reader they are numbers.
        _ if c.is_numeric() => Way::Left,
        _ => Way::Neither,
    }
}

/// Whether a line has letters of one direction and letters or digits of the other, so that its order depends on its reader; or
/// Arabic numbers that change places among themselves, as they do with nothing but spaces and signs between them.
pub fn is_mixed(line: &str) -> bool {
    let numbers = || line.chars().any(|c| !c.is_ascii() && bidi_class(c) == BidiClass::AN);
    match has(line, Way::Right) {
        true => has(line, Way::Left),
        false => numbers() && seen(line, Level::ltr()) != line,
    }
}

/// Whether a text goes from right to left and nothing in it the other way.
pub fn is_right_to_left(text: &str) -> bool {
    has(text, Way::Right) && !has(text, Way::Left)
}

/// Whether a block of lines leaves as one that goes from right to left: it has letters, and every line in which something is seen has
/// letters from the right alone. A line of nothing but signs would be turned round by those beside it.
pub fn block_is_right_to_left<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
    let mut seen = lines.into_iter().filter(|line| !line.trim().is_empty()).peekable();
    seen.peek().is_some() && seen.all(is_right_to_left)
}

/// Whether something in a text goes from right to left.
pub fn has_right_to_left(text: &str) -> bool {
    has(text, Way::Right)
}

fn has(text: &str, wanted: Way) -> bool {
    text.chars().any(|c| way(c) == wanted)
}

/// The orders in which a reader can see a line, from the left: one where its base is fixed or does not matter, else two.
pub fn readings(line: &str, base: Base) -> Vec<String> {
    let mut found = vec![seen(line, Level::ltr())];
    if base == Base::Open {
        let other = seen(line, Level::rtl());
        if !found.contains(&other) {
            found.push(other);
        }
    }
    found
}

/// The characters of a line in the order in which they stand side by side. Takes time in proportion to it: levels are bounded.
fn seen(line: &str, base: Level) -> String {
    let mut out = String::with_capacity(line.len());
    // Each piece apart: the algorithm hands out the levels of all it was given, for every paragraph in it.
    for piece in line.split_inclusive(|c| !char::is_ascii_graphic(&c) && bidi_class(c) == BidiClass::B) {
        let info = BidiInfo::new(piece, Some(base));
        let Some(paragraph) = info.paragraphs.first() else { continue };
        let levels = info.reordered_levels(paragraph, paragraph.range.clone());
        let chars: Vec<_> =
            piece.char_indices().map(|(at, c)| (c, levels[at])).filter(|(c, _)| !steers(*c)).collect();
        let order = BidiInfo::reorder_visual(&chars.iter().map(|(_, level)| *level).collect::<Vec<_>>());
        out.extend(order.into_iter().map(|at| match chars[at] {
            (c, level) if level.is_rtl() => mirrored(c),
            (c, _) => c,
        }));
    }
    out
}

/// Whether a character shows nothing and turns others.
fn steers(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What a bracket looks like where it is read from the right. Of the others it is not told which way they open.
fn mirrored(c: char) -> char {
    const PAIRS: [(char, char); 6] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>'), ('«', '»'), ('‹', '›')];
    let pair = PAIRS.iter().find_map(|(open, close)| match c {
        c if c == *open => Some(*close),
        c if c == *close => Some(*open),
        _ => None,
    });
    pair.unwrap_or(c)
}

/// A text with all that goes from right to left, and all that is turned by it, written as numbers, `\u{5d0}`: wherever it is
/// shown, it is read as it is written.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after = false;
    for c in text.chars() {
        // A mark belongs to the letter before it; digits of Arabic are turned by what stands before them.
        let class = if c.is_ascii() { BidiClass::ON } else { bidi_class(c) };
        after =
            matches!(class, BidiClass::R | BidiClass::AL | BidiClass::AN) || after && class == BidiClass::NSM;
        if after || steers(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_letter_from_right_to_left_among_digits_is_seen_in_another_order_than_it_is_written() {
        let line = "IBAN DE89 \u{5d0} 3704 0044";
        assert!(is_mixed(line));
        assert_eq!(readings(line, Base::Left), ["IBAN DE89 0044 3704 \u{5d0}"]);
        assert_eq!(
            readings(line, Base::Open),
            ["IBAN DE89 0044 3704 \u{5d0}", "0044 3704 \u{5d0} IBAN DE89"]
        );
        assert_eq!(escaped(line), "IBAN DE89 \\u{5d0} 3704 0044");
        // An Arabic letter makes the digits behind it Arabic ones: each number keeps its own order, and they change places.
        assert_eq!(readings("1 \u{627} (2 3)", Base::Left), ["1 (3 2) \u{627}"]);
    }

    #[test]
    fn lines_of_one_direction_raise_no_alarm() {
        for line in [
            "",
            "Pay 900 (now)",
            "שלום, עולם!",
            "مرحبا بالعالم.",
            "日本語 10",
            "- (…) -",
            "हिन्दी 5",
            "é \u{301}x",
        ] {
            assert!(!is_mixed(line), "{line}");
        }
        for line in [
            "\u{661}\u{662} \u{663}\u{664}",
            "EUR \u{661} - \u{662}",
            "שלום 5",
            "مرحبا ٥",
            "a א",
            "½ א ¾ ב",
            "① א ②",
            "א Ⅳ",
            "\u{202e}abc",
            "abc\u{2067}",
            "א\u{202d}",
            "1\u{200f}2",
        ] {
            assert!(is_mixed(line), "{line:?}");
        }
        assert!(is_right_to_left("שלום, עולם!") && !is_right_to_left("...") && !is_right_to_left("א 1"));
    }

    #[test]
    fn what_steers_is_not_seen_and_what_it_turns_is() {
        assert_eq!(readings("ab\u{202e}cd\u{202c}ef", Base::Left), ["abdcef"]);
        assert_eq!(readings("\u{5d0}(\u{5d1}", Base::Left), ["\u{5d1})\u{5d0}"]);
        assert_eq!(escaped("a\u{202e}\u{5d0}\u{5b0}b\u{301}"), "a\\u{202e}\\u{5d0}\\u{5b0}b\u{301}");
    }

    proptest! {
        #[test]
        fn an_order_loses_no_character_and_escapes_are_read_one_way(line in "[ab1 .,\u{5d0}\u{627}\u{661}\u{202e}\u{2069}\u{2029}]{0,40}") {
            for reading in readings(&line, Base::Open) {
                let sorted = |text: &str| {
                    let mut chars: Vec<_> = text.chars().filter(|c| !steers(*c)).collect();
                    chars.sort_unstable();
                    chars
                };
                prop_assert_eq!(sorted(&reading), sorted(&line));
            }
            prop_assert!(!has_right_to_left(&escaped(&line)));
            if !is_mixed(&line) && !has_right_to_left(&line) && !line.contains('\u{2029}') {
                prop_assert_eq!(readings(&line, Base::Left), [line.replace(steers, "")]);
            }
        }
    }
}

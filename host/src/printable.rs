//! The one way foreign text reaches a person.

use std::fmt::Write as _;

/// How many characters of an agent's title are shown.
pub const TITLE_CHARS_MAX: usize = 120;
/// How many characters of an agent's description are shown.
pub const DESCRIPTION_CHARS_MAX: usize = 500;
/// How many combining marks may sit on one character before the rest are shown as escapes.
const COMBINING_RUN_MAX: usize = 4;

/// `text` with everything that could act on a terminal or deceive the eye shown as an escape, `\u{202e}`.
///
/// Line breaks and tabs stay: use [`line`] where they must not. The text is hostile: it comes from an agent, a mail
/// or a file.
pub fn printable(text: &str) -> String {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// Like [`printable`], on one line.
pub fn line(text: &str) -> String {
    escaped(text, |_| false)
}

/// Like [`line`], cut to `chars_max` characters of the original, saying how many were left out.
pub fn short(text: &str, chars_max: usize) -> String {
    let total = text.chars().count();
    if total <= chars_max {
        return line(text);
    }
    let head: String = text.chars().take(chars_max).collect();
    format!("{}… ({} characters more)", line(&head), total - chars_max)
}

/// JSON text with every character that acts or hides written as an escape: it reads the same to a program, and does nothing
/// to a terminal it is printed on. Such characters stand only inside strings.
pub fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut eye = Eye::default();
    for c in json.chars() {
        // Line breaks and tabs between the members are our own; inside strings JSON has no bare ones.
        if !eye.misses(c) || matches!(c, '\n' | '\t') {
            out.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// The characters of a text that [`printable`] shows as escapes, in order.
pub fn hidden(text: &str) -> impl Iterator<Item = char> {
    let mut eye = Eye::default();
    text.chars().filter(move |c| eye.misses(*c) && !matches!(c, '\n' | '\t'))
}

/// Whether a character takes room and shows nothing, or takes none: what looks like nothing at all.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_active(c)
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut eye = Eye::default();
    for c in text.chars() {
        if eye.misses(c) && !keep(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Reads a text character by character, and tells which of them nobody would see for what they are.
#[derive(Default)]
struct Eye {
    before: Option<char>,
    marks: usize,
}

impl Eye {
    fn misses(&mut self, c: char) -> bool {
        self.marks = if is_mark(c) { self.marks + 1 } else { 0 };
        let before = self.before.replace(c);
        // The one selector people type: it asks for the coloured form of the emoji before it. Anywhere else it hides.
        let colours = c == EMOJI_SELECTOR && before.is_some_and(is_emoji);
        !colours && (is_active(c) || self.marks > COMBINING_RUN_MAX)
    }
}

/// U+FE0F.
const EMOJI_SELECTOR: char = '\u{fe0f}';

/// Characters that do something or hide something instead of showing something.
fn is_active(c: char) -> bool {
    if c.is_ascii() {
        return c.is_control();
    }
    // What is unassigned, for private use, a format or a separator, by the tables of the standard library. What these tables
    // call printable and yet shows nothing, or changes what stands before it, is listed: fillers, joiners, selectors, the
    // blank of braille, and the place of an object that is not there.
    !is_graphic(c)
        || matches!(c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fffc}' | '\u{16fe4}' | '\u{1d159}'
            | '\u{e0100}'..='\u{e01ef}')
}

/// Whether the standard library prints a character rather than its number, and so in the middle of a text, where it lets
/// combining marks be.
fn is_graphic(c: char) -> bool {
    if c.escape_debug().len() == 1 {
        return true;
    }
    let mut text = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut text[1..]).len();
    std::str::from_utf8(&text[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
}

/// Whether a character is a mark, which sits on the one before it: torn from that one it would sit on another.
///
/// At the start of a text the standard library prints their numbers.
pub fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.escape_debug().len() > 1 && is_graphic(c)
}

fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2194}'..='\u{21aa}' | '\u{231a}'..='\u{23ff}' | '\u{24c2}'
        | '\u{25aa}'..='\u{27bf}' | '\u{2934}'..='\u{2935}' | '\u{2b05}'..='\u{2b55}' | '\u{3030}' | '\u{303d}'
        | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_or_hides_shows_as_an_escape() {
        assert_eq!(line("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(line("evil\u{202e}moc"), "evil\\u{202e}moc");
        assert_eq!(line("x\u{200b}y\u{e0041}z"), "x\\u{200b}y\\u{e0041}z");
        assert_eq!(line("one\r\ntwo"), "one\\u{d}\\u{a}two");
        assert_eq!(printable("one\ntwo"), "one\ntwo");
    }

    #[test]
    fn json_reads_the_same_and_acts_on_no_terminal() {
        let text = "a\u{9b}b\u{202e}c\u{e0041}d✅\u{7f}";
        let json = ascii(&serde_json::to_string(text).unwrap());
        assert!(json.chars().all(|c| c == '✅' || (c.is_ascii() && c != '\u{9b}')), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in [
            "✅ Message sent",
            "Grüße, Zoë",
            "日本語 — ok",
            "e\u{301}tude",
            "❤\u{fe0f}",
            "שָׁלוֹם, مرحبا",
            "क्षत्रिय, ไม้เอก",
            "한국어 🇩🇪 “x” … \u{fffd}",
        ] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_flood_of_combining_marks_is_cut_off() {
        let flood = format!("a{}", "\u{301}".repeat(100));
        assert_eq!(line(&flood).matches("\\u{301}").count(), 96);
        // Marks of any script, and of several.
        for marks in ["\u{e47}", "\u{5b0}", "\u{651}", "\u{489}\u{20dd}", "\u{1e000}", "\u{a8e0}\u{94d}"] {
            let flood = format!("a{}", marks.repeat(100));
            assert_eq!(line(&flood).matches("\\u{").count(), 100 * marks.chars().count() - 4, "{marks:?}");
            assert_eq!(
                ascii(&flood).matches("\\u").count(),
                flood.encode_utf16().count() - 1 - 4 * marks.chars().next().unwrap().len_utf16()
            );
        }
    }

    #[test]
    fn nothing_that_acts_or_hides_is_let_through() {
        let classes: &[(&str, &[u32])] = &[
            (
                "C0, DEL and C1",
                &[0x0, 0x7, 0x8, 0xb, 0xc, 0x1b, 0x1f, 0x7f, 0x80, 0x85, 0x90, 0x9b, 0x9d, 0x9f],
            ),
            ("bidi controls", &[0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e]),
            ("bidi isolates", &[0x2066, 0x2067, 0x2068, 0x2069, 0x206a, 0x206f]),
            ("tags", &[0xe0000, 0xe0001, 0xe0020, 0xe0041, 0xe007f, 0xe0fff]),
            (
                "no width",
                &[0xad, 0x34f, 0x180e, 0x200b, 0x200c, 0x200d, 0x2060, 0x2064, 0xfeff, 0x1d159, 0x1d173],
            ),
            ("selectors", &[0x180b, 0x180f, 0xfe00, 0xfe0e, 0xfe0f, 0xe0100, 0xe01ef]),
            ("fillers", &[0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0, 0x16fe4]),
            ("separators of lines", &[0x2028, 0x2029]),
            ("annotations and objects", &[0xfff0, 0xfff8, 0xfff9, 0xfffa, 0xfffb, 0xfffc, 0xfffe, 0xffff]),
            ("private use", &[0xe000, 0xf8ff, 0xf0000, 0xffffd, 0x100000, 0x10ffff]),
            ("no characters", &[0xfdd0, 0xfdef, 0x1fffe, 0x1ffff, 0x8ffff, 0xefffe]),
            ("not assigned", &[0x378, 0x2065, 0x40000, 0xdffff]),
            ("spaces that are none", &[0xa0, 0x1680, 0x2000, 0x2003, 0x2007, 0x200a, 0x202f, 0x205f, 0x3000]),
        ];
        for (class, members) in classes {
            for c in members.iter().map(|number| char::from_u32(*number).unwrap()) {
                let number = format!("{:x}", c as u32);
                assert_eq!(line(&format!("a{c}b")), format!("a\\u{{{number}}}b"), "{class}");
                assert_eq!(hidden(&format!("a{c}b")).collect::<Vec<_>>(), [c], "{class}");
                let json = ascii(&serde_json::to_string(&format!("a{c}b")).unwrap());
                assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{class}: {json:?}");
            }
        }
    }

    #[test]
    fn the_selector_of_an_emoji_shows_anywhere_else() {
        assert_eq!(line("❤\u{fe0f}\u{fe0f}a\u{fe0f}"), "❤\u{fe0f}\\u{fe0f}a\\u{fe0f}");
        assert_eq!(ascii("\"❤\u{fe0f}a\u{fe0f}\""), "\"❤\u{fe0f}a\\ufe0f\"");
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(short("abcdef", 3), "abc… (3 characters more)");
        assert_eq!(short("abc", 3), "abc");
    }
}

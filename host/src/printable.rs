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
    for c in json.chars() {
        if c.is_ascii() || !is_active(c) {
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

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_combining(c) { marks + 1 } else { 0 };
        if (is_active(c) && !keep(c)) || marks > COMBINING_RUN_MAX {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that do something or hide something instead of showing something.
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{110bd}' | '\u{110cd}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
        || (c.is_whitespace() && c != ' ')
}

fn is_combining(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
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
        for text in ["✅ Message sent", "Grüße, Zoë", "日本語 — ok", "e\u{301}tude", "❤\u{fe0f}"] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_flood_of_combining_marks_is_cut_off() {
        let flood = format!("a{}", "\u{301}".repeat(100));
        assert_eq!(line(&flood).matches("\\u{301}").count(), 96);
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(short("abcdef", 3), "abc… (3 characters more)");
        assert_eq!(short("abc", 3), "abc");
    }
}

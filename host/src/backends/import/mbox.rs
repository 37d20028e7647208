//! Messages of an mbox file, one at a time: the file may be far larger than memory.
//!
//! Each begins behind a line `From ...`. Writers differ in whether an empty line comes before it, whether such lines within a message
//! get a `>`, and whether a Content-Length says where a message ends. So a line parts messages only if it is what the writer of this
//! file writes, which its first line shows, with a field of a header in the line behind it. One pass.

use super::folders::Marks;
use super::kept::Kept;
use super::{Arrived, Broken, Source};
use crate::backends::reading::date;
use crate::backends::reading::header::{self, Headers};
use crate::clock::Millis;
use std::io::{BufRead, Read as _, Seek, SeekFrom};

/// The longest piece in which a line is read, in bytes: a file may be one endless line.
const PIECE_BYTES_MAX: u64 = 64 * 1024;
/// What `git format-patch` writes in place of a time.
const GIT_TIME: &str = "Mon Sep 17 00:00:00 2001";

/// The subject of a message that is none.
const INTERNAL: &str = "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA";

/// How the writer of a file parts messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `From ann@example.org Fri Mar 15 14:30:00 2024`
    Dated,
    /// `From 0123...cdef Mon Sep 17 00:00:00 2001`, by git. In other files it begins a patch within a message.
    Git,
    /// `From `, and perhaps a hyphen.
    Bare,
    /// An address and no date behind it: `From ann@example.org`.
    Undated,
    /// A date in another form: `From ann@example.org 2024-03-15 14:30:00`.
    Numbered,
    /// Something else. Only the first line of a file is read so: the writer of the file has a form of its own.
    Odd,
}

/// The line that parts messages, if this is one, whatever comes behind it.
fn separator(line: &[u8]) -> Option<(Style, Option<Millis>)> {
    let rest = line.strip_prefix(b"From ")?;
    if rest.len() > 1024 || !header::is_separator(line) {
        return None;
    }
    let rest = String::from_utf8_lossy(rest);
    let words: Vec<_> = rest.split_ascii_whitespace().collect();
    if words.len() == 6 && rest.trim_end().ends_with(GIT_TIME) && words[0].len() == 40 {
        return Some((Style::Git, None));
    }
    let is_day = |word: &&str| {
        let day = word.trim_end_matches(',').to_ascii_lowercase();
        ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].contains(&&day[..])
    };
    if let Some(day) = words.iter().position(is_day) {
        return date::parse(&words[day..].join(" ")).map(|at| (Style::Dated, Some(at)));
    }
    match words[..] {
        [] | ["-"] => Some((Style::Bare, None)),
        [_] => Some((Style::Undated, None)),
        [_, seconds]
            if (9..=11).contains(&seconds.len()) && seconds.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some((Style::Numbered, seconds.parse::<Millis>().ok().map(|seconds| seconds * 1000)))
        }
        [_, ..] => date::parse(&words[1..].join(" ")).map(|at| (Style::Numbered, Some(at))),
    }
}

/// Whether a line begins a field that nearly every message has, or that programs which keep mail in mbox files put first.
fn begins_message(line: &[u8]) -> bool {
    const NAMES: [&str; 14] = [
        "from",
        "to",
        "date",
        "subject",
        "received",
        "return-path",
        "message-id",
        "delivered-to",
        "mime-version",
        "content-type",
        "reply-to",
        "status",
        "cc",
        "sender",
    ];
    let Some((name, _)) = header::field(line) else { return false };
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|known| known.as_bytes() == name) || name.starts_with(b"x-")
}

/// Whether a file that begins so is an mbox; `second` is its second line.
pub fn is_mbox(first: &[u8], second: &[u8]) -> bool {
    first.starts_with(b"From ") && header::is_separator(first) && begins_header(second)
}

fn begins_header(line: &[u8]) -> bool {
    line.starts_with(b">From ") || header::field(line).is_some()
}

struct Line {
    bytes: Vec<u8>,
    /// Whether it begins a line, or goes on with one.
    starts: bool,
}

/// What a file holds.
pub(super) struct Mbox<R> {
    reader: R,
    name: String,
    modified_ms: Option<Millis>,
    /// What ends a line: a carriage return where there are no line feeds.
    line_end: u8,
    number: usize,
    /// How messages are parted, once the first line has been read, and when the message that is read next was delivered.
    style: Option<Style>,
    delivered_ms: Option<Millis>,
    /// Whether Content-Length has said the truth about every message so far.
    has_lengths: bool,
    /// A line that was read to see what comes.
    ahead: Option<Line>,
    at_line_start: bool,
    after_blank: bool,
    ended: bool,
}

impl<R: BufRead + Seek + Send> Mbox<R> {
    /// Reads from where `reader` stands: at the first line that parts messages.
    pub fn new(reader: R, name: String, line_end: u8, modified_ms: Option<Millis>) -> Mbox<R> {
        Mbox {
            reader,
            name,
            modified_ms,
            line_end,
            number: 0,
            style: None,
            delivered_ms: None,
            has_lengths: true,
            ahead: None,
            at_line_start: true,
            after_blank: true,
            ended: false,
        }
    }

    /// The next line, or the next piece of one.
    fn line(&mut self) -> std::io::Result<Option<Line>> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        (&mut self.reader).take(PIECE_BYTES_MAX).read_until(self.line_end, &mut bytes)?;
        let starts = std::mem::replace(&mut self.at_line_start, bytes.ends_with(&[self.line_end]));
        Ok((!bytes.is_empty()).then_some(Line { bytes, starts }))
    }

    /// Whether a line parts messages in this file. If so, the message it begins comes next.
    fn parts(&mut self, line: &Line) -> std::io::Result<bool> {
        if !line.starts || !line.bytes.starts_with(b"From ") {
            return Ok(false);
        }
        let found = separator(trimmed(&line.bytes));
        let Some(style) = self.style else {
            // Whatever the first line is, the file begins with it.
            let (style, at) = found.unwrap_or((Style::Odd, None));
            (self.style, self.delivered_ms) = (Some(style), at);
            return Ok(true);
        };
        // A line of the form the file begins with is one of its writer. Files are joined, too, and go on with another writer's.
        let (fits, may_fit) = match found {
            Some((Style::Dated, _)) => (true, true),
            Some((Style::Git, _)) => (style == Style::Git, false),
            Some((Style::Bare, _)) => (style == Style::Bare, self.after_blank),
            Some((Style::Numbered, _)) => (style == Style::Numbered, self.after_blank),
            Some((Style::Undated, _)) => {
                (style == Style::Undated && self.after_blank, self.after_blank && line.bytes.contains(&b'@'))
            }
            Some((Style::Odd, _)) | None => (false, style == Style::Odd && self.after_blank),
        };
        if !fits && !may_fit {
            return Ok(false);
        }
        let at = found.and_then(|(_, at)| at);
        let next = self.line()?;
        let begins = next.as_ref().is_some_and(|next| {
            let line = trimmed(&next.bytes);
            next.starts && if fits { begins_header(line) } else { begins_message(line) }
        });
        self.ahead = next;
        if begins {
            self.delivered_ms = at;
        }
        Ok(begins)
    }

    /// Behind the header of a message: how long its body is, if it says so, and another message or the end of the file comes there.
    fn length(&mut self, header: &[u8]) -> std::io::Result<Option<u64>> {
        let (headers, _) = Headers::of_message(header);
        let length = headers
            .first("Content-Length")
            .and_then(|value| std::str::from_utf8(&value).ok()?.parse::<u64>().ok());
        let Some(length) = length.filter(|_| self.has_lengths && self.ahead.is_none()) else {
            return Ok(None);
        };
        let here = self.reader.stream_position()?;
        self.reader.seek(SeekFrom::Start(here.saturating_add(length)))?;
        let mut behind = Vec::new();
        (&mut self.reader).take(2048).read_to_end(&mut behind)?;
        let end = self.reader.seek(SeekFrom::End(0))?;
        self.reader.seek(SeekFrom::Start(here))?;
        let behind = behind.trim_ascii_start();
        let line = &behind[..behind.iter().position(|byte| *byte == self.line_end).unwrap_or(behind.len())];
        let is_true =
            here.saturating_add(length) <= end && (behind.is_empty() || separator(trimmed(line)).is_some());
        Ok(is_true.then_some(length))
    }

    /// The rest of a message whose header has been read, up to the line that parts it from the next one.
    fn message(&mut self) -> std::io::Result<Option<Kept>> {
        let (mut kept, mut header, mut body_left) = (Kept::default(), Some(Vec::new()), 0u64);
        loop {
            let Some(line) = self.line()? else {
                self.ended = true;
                return Ok(Some(kept));
            };
            if body_left > 0 {
                body_left = body_left.saturating_sub(line.bytes.len() as u64);
            } else if self.parts(&line)? {
                return Ok(Some(kept));
            }
            let is_blank = line.starts && trimmed(&line.bytes).is_empty();
            self.after_blank = is_blank;
            // In a header such a line was quoted by nobody.
            let unquoted = line.bytes.iter().skip_while(|byte| **byte == b'>').take(5);
            let is_quoted = line.starts
                && header.is_none()
                && line.bytes.starts_with(b">")
                && unquoted.eq(b"From ".iter());
            kept.push(&line.bytes[usize::from(is_quoted)..]);
            if let Some(read) = &mut header {
                if !is_blank && read.len() < 1 << 20 {
                    read.extend(&line.bytes);
                } else {
                    let read = header.take().unwrap_or_default();
                    match self.length(&read)? {
                        Some(length) => body_left = length,
                        None => self.has_lengths = false,
                    }
                }
            }
        }
    }

    fn source(&mut self, delivered_ms: Option<Millis>, kept: Kept) -> Source {
        self.number += 1;
        let (mut bytes, is_whole) = kept.finish();
        // The empty line before the next message belongs to the file, not to the message.
        for (end, shorter) in [(&b"\r\n\r\n"[..], 2), (b"\n\n", 1), (b"\r\r", 1)] {
            if bytes.ends_with(end) {
                bytes.truncate(bytes.len() - shorter);
                break;
            }
        }
        let marks = marks(&Headers::of_message(&bytes).0);
        let arrived = Arrived { delivered_ms, modified_ms: self.modified_ms };
        Source { name: format!("{}, message {}", self.name, self.number), bytes, is_whole, marks, arrived }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What programs that keep mail in mbox files note in the messages.
fn marks(headers: &Headers<'_>) -> Marks {
    let first = |name: &str| headers.first(name).map(|value| String::from_utf8_lossy(&value).into_owned());
    let number = |name: &str| first(name).and_then(|value| u32::from_str_radix(&value, 16).ok());
    let mut marks = headers.first("X-Gmail-Labels").map_or(Marks::NONE, |labels| Marks::of_labels(&labels));
    if let Some(flags) = number("X-Mozilla-Status") {
        // Read, and thrown away.
        marks = marks.and(Marks { is_incoming: flags & 0x8 == 0, unread: Some(flags & 0x1 == 0) });
    }
    if let Some(flags) = number("X-Mozilla-Status2") {
        // Thrown away on an IMAP server.
        marks.is_incoming &= flags & 0x0020_0000 == 0;
    }
    if first("X-Mozilla-Keys")
        .is_some_and(|keys| keys.split_whitespace().any(|key| key.eq_ignore_ascii_case("junk")))
    {
        marks.is_incoming = false;
    }
    // What servers of the University of Washington keep in a file beside the messages.
    if first("Subject").is_some_and(|subject| subject == INTERNAL) {
        marks.is_incoming = false;
    }
    if let Some(flags) = first("Status") {
        marks = marks.and(Marks { is_incoming: !flags.contains('D'), unread: Some(!flags.contains('R')) });
    }
    if let Some(flags) = first("X-Status") {
        marks.is_incoming &= !flags.contains(['D', 'T']);
    }
    marks
}

impl<R: BufRead + Seek + Send> Iterator for Mbox<R> {
    type Item = Result<Source, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.style.is_none() {
            match self.line().and_then(|first| first.map(|line| self.parts(&line)).transpose()) {
                Ok(Some(true)) => {}
                Ok(_) => self.ended = true,
                Err(error) => return self.failed(&error),
            }
        }
        if self.ended {
            return None;
        }
        let delivered_ms = self.delivered_ms;
        match self.message() {
            Ok(kept) => kept.map(|kept| Ok(self.source(delivered_ms, kept))),
            Err(error) => self.failed(&error),
        }
    }
}

impl<R> Mbox<R> {
    fn failed(&mut self, error: &std::io::Error) -> Option<Result<Source, Broken>> {
        self.number += 1;
        (self.style, self.ended) = (Some(Style::Undated), true);
        Some(Err(Broken {
            name: format!("{}, message {}", self.name, self.number),
            reason: error.to_string(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(text: &str) -> Vec<String> {
        let line_end = if text.contains('\n') { b'\n' } else { b'\r' };
        let sources = Mbox::new(Cursor::new(text.as_bytes()), "m".into(), line_end, None);
        sources.map(|source| String::from_utf8(source.ok().unwrap().bytes).unwrap()).collect()
    }

    const DATED: &str = "From a@b Fri Mar 15 14:30:00 2024\n";

    #[test]
    fn messages_are_parted_by_what_the_writer_of_the_file_parts_them_by() {
        let (one, two) = ("Subject: 1\n\nbody\n", "Subject: 2\n\nbody\n");
        for line in [
            DATED,
            "From \n",
            "From -\n",
            "From - Fri Mar 15 14:30:00 2024\n",
            "From 123@xxx Fri Mar 15 14:30:00 +0000 2024\n",
            "From ann at example.org  Fri Mar 15 14:30:00 2024\n",
            "From MAILER-DAEMON Fri, 15 Mar 2024 14:30:00 +0000\n",
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n",
            "From a@b Fri Mar 15 14:30:00 2024 remote from mail.example.org\n",
            "From a@b Fri Mar 15 14:30:00 CET 2024\n",
            "From a@b Fri, 15 Mar 24 14:30:00 GMT\n",
        ] {
            assert_eq!(read(&format!("{line}{one}{line}{two}")), [one, two], "{line}");
            assert_eq!(read(&format!("{line}{one}\n{line}{two}\n")), [one, two], "{line}");
            let crlf = |text: &str| text.replace('\n', "\r\n");
            assert_eq!(read(&crlf(&format!("{line}{one}\n{line}{two}\n"))), [crlf(one), crlf(two)], "{line}");
        }
        assert_eq!(read(&format!("From a@b\n{one}\nFrom c@d\n{two}")), [one, two]);
        // What only a file that begins so has, behind an empty line; and what files that were joined have.
        for line in [
            "From a@b 2024-03-15 14:30:00\n",
            "From a@b 2024-03-15T14:30:00Z\n",
            "From a@b 15 Mar 2024 14:30:00 +0000\n",
            "From a@b Mar 15 14:30:00 2024\n",
            "From a@b ven. mars 15 14:30:00 2024\n",
            "From a@b 1710513000\n",
            "From a@b Fri Mar 32 14:30:00 2024\n",
            "From a b c\n",
        ] {
            assert_eq!(read(&format!("{line}{one}\n{line}{two}\n")), [one, two], "{line}");
            assert_eq!(read(&format!("{line}{one}\n{DATED}{two}\n")), [one, two], "{line}");
        }
        for line in ["From \n", "From -\n", "From c@d\n", "From a@b 2024-03-15 14:30:00\n"] {
            assert_eq!(read(&format!("{DATED}{one}\n{line}{two}\n")), [one, two], "{line}");
            assert_eq!(read(&format!("From \n{one}\n{line}{two}\n{DATED}{two}")), [one, two, two], "{line}");
        }
        assert_eq!(
            read(&format!("{DATED}{one}{DATED}{two}").replace('\n', "\r")),
            [one.replace('\n', "\r"), two.replace('\n', "\r")]
        );
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn a_line_within_a_message_parts_nothing() {
        for line in [
            "From here on it is fine.",
            "From Monday we work from home.",
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Bob <bob@example.org>",
            "From a@b Fri Mar 15 14:30:00 2024\nas the log says",
            "From a@b Fri Mar 45 14:30:00 2024\nFrom: Bob",
            "From \nX: y",
            "From c@d\nX: y",
            "From : c",
        ] {
            let body = format!("Subject: 1\n\nDear x,\n\n{line}\n");
            assert_eq!(read(&format!("{DATED}{body}")), std::slice::from_ref(&body), "{line}");
        }
        assert_eq!(
            read(&format!("{DATED}Subject: 1\n\n>From me\n>>From you\n> From\n")),
            ["Subject: 1\n\nFrom me\n>From you\n> From\n"]
        );
    }

    #[test]
    fn a_content_length_is_believed_where_a_message_ends_there() {
        let body = format!("Hi,\n\n{DATED}Subject: quoted\n\nbye\n");
        let first = format!("Subject: 1\nContent-Length: {}\n\n{body}", body.len());
        let second = "Subject: 2\nContent-Length: 3\n\nHo\n";
        assert_eq!(read(&format!("{DATED}{first}\n{DATED}{second}")), [first, second.to_owned()]);
        for length in [1, 7, 1_000_000] {
            let first = format!("Subject: 1\nContent-Length: {length}\n\nHi, all\n");
            assert_eq!(read(&format!("{DATED}{first}\n{DATED}{second}")), [first, second.to_owned()]);
        }
    }

    #[test]
    fn any_bytes_are_read_to_their_end_and_nothing_is_read_twice() {
        let mut random = crate::clock::Stream::new([3; 32]);
        let pieces: [&[u8]; 12] = [
            DATED.as_bytes(),
            b"From \n",
            b"From a@b\n",
            b"Content-Length: 7\n",
            b"Content-Length: 99999999999999999999\n",
            b"Subject: x\n",
            b">From me\n",
            b"\n",
            b"\r\n",
            b"\r",
            b"\0\xff",
            b"text",
        ];
        for _ in 0..2_000 {
            let mut bytes = DATED.as_bytes().to_vec();
            while !random.number().is_multiple_of(30) {
                bytes.extend(pieces[(random.number() % pieces.len() as u64) as usize]);
            }
            bytes.extend(b"\nthe end");
            let sources = Mbox::new(Cursor::new(&bytes), "m".into(), b'\n', None);
            let sources: Vec<_> = sources.map(|source| source.ok().unwrap().bytes).collect();
            assert!(sources.concat().len() < bytes.len());
            assert!(sources.last().unwrap().ends_with(b"the end"));
        }
    }

    #[test]
    fn what_programs_note_in_messages_is_read() {
        let read = |fields: &str| marks(&Headers::of_message(fields.as_bytes()).0);
        let cases = [
            ("Subject: x", true, None),
            ("Status: RO", true, Some(false)),
            ("Status: O", true, Some(true)),
            ("Status: RO\nX-Status: D", false, Some(false)),
            ("X-Status: T", false, None),
            ("X-Mozilla-Status: 0001", true, Some(false)),
            ("X-Mozilla-Status: 0000\nX-Mozilla-Status2: 00000000", true, Some(true)),
            ("X-Mozilla-Status: 0009", false, Some(false)),
            ("X-Mozilla-Status2: 00200000", false, None),
            ("X-Mozilla-Keys: $label1 junk", false, None),
            ("X-Mozilla-Keys: NonJunk", true, None),
            ("Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA", false, None),
            ("X-Gmail-Labels: Inbox,Unread", true, Some(true)),
            ("X-Gmail-Labels: Inbox,Opened\nX-Gmail-Labels: Spam", true, Some(false)),
        ];
        for (fields, is_incoming, unread) in cases {
            assert_eq!(read(fields), Marks { is_incoming, unread }, "{fields}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_on_ends_its_import() {
        struct Failing(bool);
        impl std::io::Read for Failing {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(std::io::Error::other("bad sector"));
                }
                let text = b"From a\nSubject: 1\n";
                buffer[..text.len()].copy_from_slice(text);
                Ok(text.len())
            }
        }
        impl Seek for Failing {
            fn seek(&mut self, _: SeekFrom) -> std::io::Result<u64> {
                Ok(0)
            }
        }
        let reader = std::io::BufReader::new(Failing(false));
        let sources: Vec<_> = Mbox::new(reader, "m".into(), b'\n', None).take(3).collect();
        assert!(matches!(&sources[..], [Err(Broken { reason, .. })] if reason == "bad sector"));
    }
}

//! Brings mail into the embedded mailbox: mbox files, Maildirs, folders of messages.

use crate::clock::Millis;
use crate::digest::Digest;
use crate::refusals::{Code, Problem, Result};
use crate::store::{Added, NewMail, Store};
use crate::tools::messages::Mail;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use mail_parser::{Address, HeaderValue, MessageParser};
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The largest message, in bytes.
pub const MESSAGE_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// The most an agent sees of a body, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How deep folders are followed.
const DEPTH_MAX: usize = 32;
/// How many messages share a commit at most.
const BATCH_MAX: usize = 64;
/// How many bytes of messages share a commit, give or take one message.
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// The most an agent sees of a subject, a sender or a Message-ID, in bytes: RFC 5322 allows lines of 998.
pub const FIELD_BYTES_MAX: usize = 998;
/// The most recipients an agent sees of a message.
const RECIPIENTS_MAX: usize = 100;

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// Messages read, whole and broken.
    pub read: usize,
    /// Messages that are new.
    pub added: usize,
    /// Messages that were here already, byte for byte, or came twice.
    pub known: usize,
    /// What could not be read, by name, with the reason.
    pub broken: Vec<(String, String)>,
}

/// Imports everything at `path` for one user. `progress` hears how many messages of how many files have been read.
///
/// # Errors
///
/// `MAILBOX_UNREADABLE` where `path` itself cannot be read, or holds no mail at all. A message that cannot be read is
/// reported and stops nothing.
pub async fn import(
    store: &Store,
    tenant: &str,
    user: &str,
    path: &Path,
    now: Millis,
    mut progress: impl FnMut(usize, usize),
) -> Result<Imported> {
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::MailboxUnreadable, format!("cannot read {}: {error}", path.display()))
            .hint("give an mbox file, a Maildir, or a folder of messages")
    };
    let (dir, files, unread) = find(path).map_err(unreadable)?;
    let mut imported = Imported { broken: unread, ..Imported::default() };
    let mut batch = Batch::default();
    for (number, name) in files.iter().enumerate() {
        for source in read(&dir, name) {
            imported.read += 1;
            match source.and_then(|source| understand((tenant, user), source, now)) {
                Ok(message) => batch.push(message),
                Err(Broken { name, reason }) => imported.broken.push((name, reason)),
            }
            if batch.is_full() {
                keep(store, tenant, user, &mut batch, &mut imported).await?;
            }
        }
        progress(number + 1, files.len());
    }
    keep(store, tenant, user, &mut batch, &mut imported).await?;
    if imported.added + imported.known == 0 {
        let message = match imported.broken.first() {
            Some((name, reason)) => format!("nothing in {} is mail; {name}: {reason}", path.display()),
            None => format!("there is no mail in {}", path.display()),
        };
        return Err(Problem::new(Code::MailboxUnreadable, message)
            .hint("give an mbox file, a Maildir, or a folder of messages")
            .into());
    }
    Ok(imported)
}

/// Messages that will share a commit.
#[derive(Default)]
struct Batch {
    messages: Vec<NewMail>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, message: NewMail) {
        self.bytes += message.source.len();
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= BATCH_MAX || self.bytes >= BATCH_BYTES
    }
}

async fn keep(
    store: &Store,
    tenant: &str,
    user: &str,
    batch: &mut Batch,
    imported: &mut Imported,
) -> Result<()> {
    for added in store.add_mail(tenant, user, std::mem::take(batch).messages).await? {
        match added {
            Added::New => imported.added += 1,
            Added::Known => imported.known += 1,
        }
    }
    Ok(())
}

/// What could not be looked into, by name, with the reason.
type Unread = Vec<(String, String)>;

/// The folder, the files of it that may hold mail, in a fixed order, and what could not be looked into.
fn find(path: &Path) -> std::io::Result<(Dir, Vec<PathBuf>, Unread)> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let (mut files, mut unread) = (Vec::new(), Vec::new());
        walk(&dir, Path::new(""), 0, &mut files, &mut unread)?;
        files.sort();
        return Ok((dir, files, unread));
    }
    // A pipe or a device may never come to an end.
    if !found.is_file() {
        return Err(std::io::Error::other("neither a file nor a folder"));
    }
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((Dir::open_ambient_dir(parent, ambient_authority())?, vec![name.into()], Vec::new()))
}

/// Follows no link out of the folder: `Dir` would refuse, and `file_type` does not look through links.
fn walk(
    dir: &Dir,
    at: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    unread: &mut Unread,
) -> std::io::Result<()> {
    for entry in dir.entries()? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let path = at.join(&name);
        if kind.is_dir() {
            // A Maildir's `tmp` holds what is still being delivered. Folders with a dot are folders of a Maildir++.
            if name == "tmp" {
                continue;
            }
            let walked = match depth < DEPTH_MAX {
                true => entry.open_dir().and_then(|dir| walk(&dir, &path, depth + 1, files, unread)),
                false => Err(std::io::Error::other(format!("nested deeper than {DEPTH_MAX} folders"))),
            };
            if let Err(error) = walked {
                unread.push((path.display().to_string(), error.to_string()));
            }
        } else if kind.is_file() && !name.to_string_lossy().starts_with('.') {
            files.push(path);
        }
    }
    Ok(())
}

/// One message as it lies somewhere.
struct Source {
    name: String,
    bytes: Vec<u8>,
    unread: bool,
    received_ms: Option<Millis>,
}

/// One message that cannot be read.
struct Broken {
    name: String,
    reason: String,
}

type Sources = Box<dyn Iterator<Item = Result<Source, Broken>> + Send>;

/// The messages of one file, one at a time: an mbox may be far larger than memory.
fn read(dir: &Dir, path: &Path) -> Sources {
    let name = path.display().to_string();
    let once = |result| -> Sources { Box::new(std::iter::once(result)) };
    let broken = |error: std::io::Error| Broken { name: name.clone(), reason: error.to_string() };
    let opened = dir.open(path).and_then(|file| {
        let received_ms = modified(&file);
        let mut reader = BufReader::new(file);
        let start = reader.fill_buf()?;
        let (is_empty, is_mbox) = (start.is_empty(), start.starts_with(b"From "));
        Ok((reader, is_empty, is_mbox, received_ms))
    });
    let (reader, is_mbox, received_ms) = match opened {
        // A folder of mail that holds none is often an empty file.
        Ok((_, true, ..)) => return Box::new(std::iter::empty()),
        Ok((reader, _, is_mbox, received_ms)) => (reader, is_mbox, received_ms),
        Err(error) => return once(Err(broken(error))),
    };
    if is_mbox {
        return Box::new(Mbox::new(reader, name, received_ms));
    }
    // One byte more than allowed tells a message that is too large from one that just fits.
    let mut bytes = Vec::new();
    if let Err(error) = reader.take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut bytes) {
        return once(Err(broken(error)));
    }
    if bytes.len() as u64 > MESSAGE_BYTES_MAX {
        return once(Err(Broken { name, reason: format!("larger than {MESSAGE_BYTES_MAX} bytes") }));
    }
    let flags = path.to_string_lossy().rsplit_once(":2,").map(|(_, flags)| flags.to_owned());
    let unread = !flags.is_some_and(|flags| flags.contains('S'));
    once(Ok(Source { name, bytes, unread, received_ms }))
}

/// The messages of an mbox file: each begins with a line `From ` at the start of the file or behind an empty line, and such lines
/// inside a message have a `>` before them.
struct Mbox<R> {
    reader: R,
    name: String,
    number: usize,
    /// Whether the line that begins the next message has been read.
    started: bool,
    /// Whether what is read next begins a line.
    line_start: bool,
    /// Whether the line before it was empty.
    after_blank: bool,
    ended: bool,
    received_ms: Option<Millis>,
}

impl<R> Mbox<R> {
    fn new(reader: R, name: String, received_ms: Option<Millis>) -> Mbox<R> {
        let (number, started, line_start, after_blank, ended) = (0, false, true, true, false);
        Mbox { reader, name, number, started, line_start, after_blank, ended, received_ms }
    }
}

impl<R: BufRead + Send> Iterator for Mbox<R> {
    type Item = Result<Source, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut bytes, mut size, mut failed, mut line) = (Vec::new(), 0u64, None, Vec::new());
        while !self.ended {
            line.clear();
            // A file that is one endless line is read in pieces of this size.
            match (&mut self.reader).take(64 * 1024).read_until(b'\n', &mut line) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    failed = Some(error.to_string());
                    self.ended = true;
                    break;
                }
            }
            let (starts, behind_blank) = (self.line_start, self.after_blank);
            self.line_start = line.ends_with(b"\n");
            self.after_blank = starts && matches!(&line[..], b"\n" | b"\r\n");
            if starts && behind_blank && line.starts_with(b"From ") {
                if std::mem::replace(&mut self.started, true) {
                    return Some(self.finish(bytes, size, None));
                }
                continue;
            }
            let unquoted = line.iter().skip_while(|byte| **byte == b'>').take(5);
            let quoted = starts && line.starts_with(b">") && unquoted.eq(b"From ".iter());
            size += line.len() as u64;
            if size <= MESSAGE_BYTES_MAX {
                bytes.extend(&line[usize::from(quoted)..]);
            }
        }
        std::mem::take(&mut self.started).then(|| self.finish(bytes, size, failed))
    }
}

impl<R> Mbox<R> {
    /// One message, read to its end.
    fn finish(&mut self, mut bytes: Vec<u8>, size: u64, failed: Option<String>) -> Result<Source, Broken> {
        self.number += 1;
        let name = format!("{}, message {}", self.name, self.number);
        let too_large = (size > MESSAGE_BYTES_MAX).then(|| format!("larger than {MESSAGE_BYTES_MAX} bytes"));
        if let Some(reason) = failed.or(too_large) {
            return Err(Broken { name, reason });
        }
        // The empty line before the next message belongs to the file, not to the message.
        if bytes.ends_with(b"\r\n\r\n") {
            bytes.truncate(bytes.len() - 2);
        } else if bytes.ends_with(b"\n\n") {
            bytes.pop();
        }
        let unread = !status_is_read(&bytes);
        Ok(Source { name, bytes, unread, received_ms: self.received_ms })
    }
}

fn modified(file: &File) -> Option<Millis> {
    let modified = file.metadata().ok()?.modified().ok()?.into_std();
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// The `Status:` header in which mbox readers note that a message has been read.
fn status_is_read(bytes: &[u8]) -> bool {
    let header = bytes.split(|b| *b == b'\n').take_while(|line| !line.is_empty() && *line != b"\r");
    header.filter_map(|line| line.strip_prefix(b"Status:")).any(|flags| flags.contains(&b'R'))
}

/// Reads a message. Every byte of it is a stranger's, and every field is cut: what agents list goes into their journals.
fn understand((tenant, user): (&str, &str), source: Source, now: Millis) -> Result<NewMail, Broken> {
    let Source { name, bytes, unread, received_ms } = source;
    let id = id(tenant, user, &bytes);
    // The parser is well tested, but mail is the wildest input there is: one message must not end an import.
    let parse = || parse(id, &bytes, unread, received_ms.unwrap_or(now));
    match std::panic::catch_unwind(parse) {
        Ok(Some(mail)) => Ok(NewMail { mail, source: bytes }),
        Ok(None) => Err(Broken { name, reason: "not a message: no From, Date or Subject".into() }),
        Err(_) => Err(Broken { name, reason: "the message cannot be parsed".into() }),
    }
}

fn parse(id: String, bytes: &[u8], unread: bool, received_ms: Millis) -> Option<Mail> {
    let message = MessageParser::default().parse(bytes)?;
    if message.from().is_none() && message.date().is_none() && message.subject().is_none() {
        return None;
    }
    let clip = |text: &str, bytes_max: usize| text[..text.floor_char_boundary(bytes_max)].to_owned();
    let field = |text: &str| clip(text, FIELD_BYTES_MAX);
    let first = |address: Option<&Address<'_>>| address.and_then(|list| list.first()?.address().map(field));
    let to = message.to().map(|list| list.iter().filter_map(|address| address.address().map(field)));
    let text = message.body_text(0).unwrap_or_default();
    let first_id =
        |header: &HeaderValue<'_>| header.as_text_list().and_then(|ids| ids.first().map(|id| field(id)));
    let (in_reply_to, references) = (first_id(message.in_reply_to()), first_id(message.references()));
    let message_id = message.message_id().map(field);
    let thread = references.or_else(|| in_reply_to.clone()).or_else(|| message_id.clone());
    let extras = [("messageId", message_id), ("inReplyTo", in_reply_to), ("thread", thread)];
    let extras: Map<String, Value> =
        extras.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect();
    let received = message.received().and_then(|received| received.date());
    let date = message.date().copied().or(received).map(|date| date.to_timestamp());
    let date = date.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    Some(Mail {
        id,
        from: first(message.from()).or_else(|| first(message.sender())).unwrap_or_default(),
        to: to.map(|to| to.take(RECIPIENTS_MAX).collect()).unwrap_or_default(),
        subject: field(message.subject().unwrap_or_default()),
        body: clip(&text, BODY_BYTES_MAX),
        truncated: text.len() > BODY_BYTES_MAX,
        timestamp_ms: date.map_or(received_ms, |date| date.as_millisecond()),
        unread,
        extras: (!extras.is_empty()).then(|| Value::Object(extras).to_string()),
    })
}

/// The same message has the same name in the same mailbox, whenever it is imported.
fn id(tenant: &str, user: &str, bytes: &[u8]) -> String {
    let whose = format!("{}:{tenant}{}:{user}{}", tenant.len(), user.len(), Digest::of(bytes));
    format!("msg_{}", &Digest::of(whose.as_bytes()).to_string()[..26])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: Boss <boss@x.com>\r\nTo: me@x.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
                        Date: Fri, 15 Mar 2024 14:30:00 +0000\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n\r\nHello\r\n";

    fn parsed(text: &str) -> Mail {
        parse("msg_1".into(), text.as_bytes(), true, 7).unwrap()
    }

    #[test]
    fn a_message_is_understood() {
        let mail = parsed(MAIL);
        assert_eq!((mail.from.as_str(), mail.subject.as_str()), ("boss@x.com", "Grüße"));
        assert_eq!(mail.timestamp_ms, 1_710_513_000_000);
        assert_eq!(mail.to, ["me@x.com"]);
        let extras: Value = serde_json::from_str(&mail.extras.unwrap()).unwrap();
        assert_eq!(extras, serde_json::json!({"messageId": "1@x", "inReplyTo": "0@x", "thread": "0@x"}));
    }

    #[test]
    fn a_missing_date_is_the_time_of_receipt_and_a_long_body_is_cut() {
        let long = "ä".repeat(BODY_BYTES_MAX);
        let mail = parsed(&format!("From: a@b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{long}"));
        assert_eq!(mail.timestamp_ms, 7);
        assert!(mail.truncated);
        assert_eq!(mail.body.len(), BODY_BYTES_MAX);
    }

    #[test]
    fn no_field_is_larger_than_a_line_may_be() {
        let long = "x".repeat(100_000);
        let many = vec!["a@b"; 1000].join(", ");
        let mail =
            parsed(&format!("From: a@b\r\nTo: {many}\r\nSubject: {long}\r\nReferences: <{long}>\r\n\r\nx"));
        assert_eq!((mail.subject.len(), mail.to.len()), (FIELD_BYTES_MAX, RECIPIENTS_MAX));
        assert!(mail.extras.unwrap().len() < 2 * FIELD_BYTES_MAX);
    }

    fn mbox(text: &str) -> Vec<Result<String, String>> {
        let sources = Mbox::new(text.as_bytes(), "m".into(), None);
        let text = |source: Source| String::from_utf8(source.bytes).unwrap();
        sources.map(|source| source.map(text).map_err(|broken| broken.reason)).collect()
    }

    #[test]
    fn an_mbox_is_read_message_by_message_and_a_huge_one_is_passed_over() {
        let huge = "y".repeat(MESSAGE_BYTES_MAX as usize);
        let read = mbox(&format!(
            "From a\nSubject: 1\n\n>From me\n>>From you\n\nFrom b\n{huge}\n\nFrom c\nSubject: 3\n\nend"
        ));
        assert_eq!(read.len(), 3);
        assert_eq!(read[0], Ok("Subject: 1\n\nFrom me\n>From you\n".into()));
        assert!(read[1].as_ref().is_err_and(|reason| reason.contains("larger")));
        assert_eq!(read[2], Ok("Subject: 3\n\nend".into()));
    }

    #[test]
    fn a_line_that_begins_with_from_inside_a_paragraph_splits_nothing() {
        let body = "Subject: 1\n\nDear x,\nFrom here on it is fine.\n";
        assert_eq!(mbox(&format!("From a\n{body}\nFrom b\nSubject: 2\n\n")).len(), 2);
        assert_eq!(mbox(&format!("From a\n{body}"))[0], Ok(body.into()));
        assert_eq!(mbox("From a\r\nSubject: 1\r\n\r\nx\r\n\r\n")[0], Ok("Subject: 1\r\n\r\nx\r\n".into()));
        assert_eq!(mbox(""), []);
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
        let sources: Vec<_> = Mbox::new(BufReader::new(Failing(false)), "m".into(), None).take(3).collect();
        assert!(matches!(&sources[..], [Err(Broken { reason, .. })] if reason == "bad sector"));
    }

    #[test]
    fn html_becomes_text() {
        let mail = parsed("From: a@b\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b></p>");
        assert_eq!(mail.body.trim(), "Hello you");
    }

    #[test]
    fn what_is_no_message_is_said_to_be_none() {
        for bytes in [&b""[..], b"# Read me\n\nThis is text.\n", b"\0\xff\xfe"] {
            assert!(parse("msg_1".into(), bytes, true, 0).is_none());
        }
    }

    #[tokio::test]
    async fn a_place_without_mail_is_said_to_have_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_memory().unwrap();
        let import = async || import(&store, "main", "me", folder.path(), 0, |_, _| {}).await;
        assert!(import().await.unwrap_err().to_string().contains("no mail"));
        std::fs::write(folder.path().join("notes"), "text").unwrap();
        assert!(import().await.unwrap_err().to_string().contains("notes: not a message"));
    }

    #[tokio::test]
    async fn mbox_maildir_and_folders_are_imported_once_and_a_broken_file_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let mail = |n: u32| format!("From: a@b\nSubject: {n}\n\nbody {n}\n");
        write("cur/1:2,S", &mail(1));
        write("new/2", &mail(2));
        write("tmp/3", &mail(3));
        write("same.eml", &mail(1));
        write("README", "no mail here");
        write(".Archive/cur/4", &mail(6));
        write(
            "archive.mbox",
            &format!(
                "From a@b Fri Mar 15 14:30:00 2024\n{}\nFrom a@b Fri Mar 15 14:31:00 2024\nStatus: RO\n{}\n",
                mail(4),
                mail(5)
            ),
        );
        let store = Store::in_memory().unwrap();
        let import = || import(&store, "main", "me", folder.path(), 0, |_, _| {});
        let first = import().await.unwrap();
        assert_eq!((first.added, first.known), (5, 1));
        assert_eq!(first.broken.len(), 1);
        assert_eq!(first.broken[0].0, "README");
        let second = import().await.unwrap();
        assert_eq!((second.added, second.known), (0, 6));
        let query = crate::tools::messages::Query { limit: 10, ..Default::default() };
        let mut unread: Vec<_> = store
            .mail("main", "me", None, &query)
            .unwrap()
            .into_iter()
            .map(|mail| (mail.subject, mail.unread))
            .collect();
        unread.sort();
        let expected = [("1", false), ("2", true), ("4", true), ("5", false), ("6", true)];
        assert_eq!(unread, expected.map(|(subject, unread)| (subject.to_owned(), unread)));
    }
}

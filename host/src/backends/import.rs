//! Brings mail into the embedded mailbox: mbox files, Maildirs, folders of messages.

use crate::clock::Millis;
use crate::digest::Digest;
use crate::refusals::{Code, Problem, Result};
use crate::store::{Added, NewMail, Store};
use crate::tools::messages::Mail;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use mail_parser::mailbox::mbox::MessageIterator;
use mail_parser::{Address, MessageParser};
use serde_json::{Map, Value};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The largest message, in bytes.
pub const MESSAGE_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// The most an agent sees of a body, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// How deep folders are followed.
const DEPTH_MAX: usize = 32;
/// How many messages share a commit.
const BATCH: usize = 64;

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
/// `MAILBOX_UNREADABLE` where `path` itself cannot be read. A message that cannot is reported and stops nothing.
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
    let (dir, files) = find(path).map_err(unreadable)?;
    let mut imported = Imported::default();
    let mut batch = Vec::new();
    for (number, name) in files.iter().enumerate() {
        let mut sources = Vec::new();
        if let Err(error) = read(&dir, name, |source| sources.push(source)) {
            imported.read += 1;
            imported.broken.push((name.display().to_string(), error.to_string()));
        }
        imported.read += sources.len();
        for Source { name, bytes, unread, received_ms } in sources {
            match understand((tenant, user), &bytes, unread, received_ms.unwrap_or(now)) {
                Ok(mail) => batch.push(NewMail { mail, source: bytes }),
                Err(reason) => imported.broken.push((name, reason)),
            }
            if batch.len() >= BATCH {
                keep(store, tenant, user, &mut batch, &mut imported).await?;
            }
        }
        progress(number + 1, files.len());
    }
    keep(store, tenant, user, &mut batch, &mut imported).await?;
    Ok(imported)
}

async fn keep(
    store: &Store,
    tenant: &str,
    user: &str,
    batch: &mut Vec<NewMail>,
    imported: &mut Imported,
) -> Result<()> {
    for added in store.add_mail(tenant, user, std::mem::take(batch)).await? {
        match added {
            Added::New => imported.added += 1,
            Added::Known => imported.known += 1,
        }
    }
    Ok(())
}

/// The folder, and the files of it that may hold mail, in a fixed order.
fn find(path: &Path) -> std::io::Result<(Dir, Vec<PathBuf>)> {
    if std::fs::metadata(path)?.is_dir() {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        let mut files = Vec::new();
        walk(&dir, Path::new(""), 0, &mut files)?;
        files.sort();
        return Ok((dir, files));
    }
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((Dir::open_ambient_dir(parent, ambient_authority())?, vec![name.into()]))
}

/// Follows no link out of the folder: `Dir` would refuse, and `file_type` does not look through links.
fn walk(dir: &Dir, at: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in dir.entries()? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        // A Maildir's `tmp` holds what is still being delivered; names with a dot are somebody's bookkeeping.
        if name.to_string_lossy().starts_with('.') || (kind.is_dir() && name == "tmp") {
            continue;
        }
        if kind.is_dir() {
            walk(&entry.open_dir()?, &at.join(name), depth + 1, files)?;
        } else if kind.is_file() {
            files.push(at.join(name));
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

fn read(dir: &Dir, path: &Path, mut found: impl FnMut(Source)) -> std::io::Result<()> {
    let file = dir.open(path)?;
    let received_ms = modified(&file);
    let name = path.display().to_string();
    let mut reader = BufReader::new(file);
    if reader.fill_buf()?.starts_with(b"From ") {
        for (number, message) in MessageIterator::new(reader).enumerate() {
            let name = format!("{name}, message {}", number + 1);
            let message =
                message.map_err(|_| std::io::Error::other(format!("message {}: not an mbox", number + 1)))?;
            let received_ms = i64::try_from(message.internal_date()).ok().map(|seconds| seconds * 1000);
            let bytes = message.unwrap_contents();
            let unread = !status_is_read(&bytes);
            found(Source { name, bytes, unread, received_ms });
        }
        return Ok(());
    }
    // One byte more than allowed tells a message that is too large from one that just fits.
    let mut bytes = Vec::new();
    reader.take(MESSAGE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MESSAGE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {MESSAGE_BYTES_MAX} bytes")));
    }
    let flags = path.to_string_lossy().rsplit_once(":2,").map(|(_, flags)| flags.to_owned());
    let unread = !flags.is_some_and(|flags| flags.contains('S'));
    found(Source { name, bytes, unread, received_ms });
    Ok(())
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

/// Reads a message. Every byte of it is a stranger's.
fn understand(
    (tenant, user): (&str, &str),
    bytes: &[u8],
    unread: bool,
    received_ms: Millis,
) -> Result<Mail, String> {
    // The parser is well tested, but mail is the wildest input there is: one message must not end an import.
    let parse = || -> Option<Mail> {
        let message = MessageParser::default().parse(bytes)?;
        if message.from().is_none() && message.date().is_none() && message.subject().is_none() {
            return None;
        }
        let first =
            |address: Option<&Address<'_>>| address.and_then(|a| a.first()?.address().map(str::to_owned));
        let to = message.to().map(|list| {
            list.iter().filter_map(|address| address.address().map(str::to_owned)).collect::<Vec<_>>()
        });
        let text = message.body_text(0).unwrap_or_default();
        let cut = text.floor_char_boundary(BODY_BYTES_MAX.min(text.len()));
        let in_reply_to =
            message.in_reply_to().as_text_list().and_then(|ids| ids.first().map(|id| id.to_string()));
        let references =
            message.references().as_text_list().and_then(|ids| ids.first().map(|id| id.to_string()));
        let message_id = message.message_id().map(str::to_owned);
        let thread = references.or_else(|| in_reply_to.clone()).or_else(|| message_id.clone());
        let extras = [("messageId", message_id), ("inReplyTo", in_reply_to), ("thread", thread)];
        let extras: Map<String, Value> =
            extras.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into()))).collect();
        let received = message.received().and_then(|received| received.date());
        let date = message.date().copied().or(received).map(|date| date.to_timestamp());
        let date = date.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
        Some(Mail {
            id: String::new(),
            from: first(message.from()).or_else(|| first(message.sender())).unwrap_or_default(),
            to: to.unwrap_or_default(),
            subject: message.subject().unwrap_or_default().to_owned(),
            body: text[..cut].to_owned(),
            truncated: cut < text.len(),
            timestamp_ms: date.map_or(received_ms, |date| date.as_millisecond()),
            unread,
            extras: (!extras.is_empty()).then(|| Value::Object(extras).to_string()),
        })
    };
    let mail = std::panic::catch_unwind(parse).map_err(|_| "the message cannot be parsed")?;
    let mail = mail.ok_or("not a message: no From, Date or Subject")?;
    Ok(Mail { id: name(tenant, user, bytes), ..mail })
}

/// The same message has the same name in the same mailbox, whenever it is imported.
fn name(tenant: &str, user: &str, bytes: &[u8]) -> String {
    let whose = format!("{}:{tenant}{}:{user}{}", tenant.len(), user.len(), Digest::of(bytes));
    format!("msg_{}", &Digest::of(whose.as_bytes()).to_string()[..26])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: Boss <boss@x.com>\r\nTo: me@x.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
                        Date: Fri, 15 Mar 2024 14:30:00 +0000\r\nMessage-ID: <1@x>\r\nIn-Reply-To: <0@x>\r\n\r\nHello\r\n";

    fn parsed(text: &str) -> Mail {
        understand(("main", "me"), text.as_bytes(), true, 7).unwrap()
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
    fn html_becomes_text() {
        let mail = parsed("From: a@b\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b></p>");
        assert_eq!(mail.body.trim(), "Hello you");
    }

    #[test]
    fn what_is_no_message_is_said_to_be_none() {
        for bytes in [&b""[..], b"# Read me\n\nThis is text.\n", b"\0\xff\xfe"] {
            assert!(understand(("main", "me"), bytes, true, 0).is_err());
        }
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
        assert_eq!((first.added, first.known), (4, 1));
        assert_eq!(first.broken.len(), 1);
        assert_eq!(first.broken[0].0, "README");
        let second = import().await.unwrap();
        assert_eq!((second.added, second.known), (0, 5));
        let query = crate::tools::messages::Query { limit: 10, ..Default::default() };
        let mut unread: Vec<_> = store
            .mail("main", "me", None, &query)
            .unwrap()
            .into_iter()
            .map(|mail| (mail.subject, mail.unread))
            .collect();
        unread.sort();
        let expected = [("1", false), ("2", true), ("4", true), ("5", false)];
        assert_eq!(unread, expected.map(|(subject, unread)| (subject.to_owned(), unread)));
    }
}

//! Brings mail into the embedded mailbox: mbox files, Maildirs, folders of messages.

mod folders;
mod kept;
mod mbox;

pub use kept::MESSAGE_BYTES_MAX;

use super::reading::address::Mailbox;
use super::reading::header::line;
use super::reading::{self, Letter};
use crate::clock::Millis;
use crate::digest::{Digest, Encoder};
use crate::refusals::{Code, Problem, Result};
use crate::store::{Added, NewMail, Store};
use crate::tools::messages::Mail;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, File};
use folders::Marks;
use kept::Kept;
use mbox::Mbox;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// How deep folders are followed.
const DEPTH_MAX: usize = 32;
/// How many messages share a commit at most.
const BATCH_MAX: usize = 64;
/// How many bytes of messages share a commit, give or take one message.
const BATCH_BYTES: usize = 32 * 1024 * 1024;
/// The most names of senders and recipients that are told of a message.
pub const NAMES_MAX: usize = 32;
/// How much later than its receipt a message may be dated, in milliseconds: clocks differ, and only strangers' by years.
pub const DATE_AHEAD_MS_MAX: Millis = 24 * 60 * 60 * 1000;

/// What became of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// Messages read, whole and broken.
    pub read: usize,
    /// Messages that are new.
    pub added: usize,
    /// Messages that were here already, or came twice.
    pub known: usize,
    /// Messages that did not come in: sent, drafts, junk, thrown away. They are not imported.
    pub not_incoming: usize,
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
    let is_incoming = is_incoming(path);
    let mut imported = Imported { broken: unread, ..Imported::default() };
    let mut batch = Batch::default();
    for (number, name) in files.iter().enumerate() {
        for source in read(&dir, name) {
            imported.read += 1;
            match source {
                Ok(source) if !is_incoming || !source.marks.is_incoming => imported.not_incoming += 1,
                source => match source.and_then(|source| understand((tenant, user), source, now)) {
                    Ok(message) => batch.push(message),
                    Err(Broken { name, reason }) => imported.broken.push((name, reason)),
                },
            }
            if batch.is_full() {
                keep(store, tenant, user, &mut batch, &mut imported).await?;
            }
        }
        progress(number + 1, files.len());
    }
    keep(store, tenant, user, &mut batch, &mut imported).await?;
    if imported.added + imported.known + imported.not_incoming == 0 {
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

/// Whoever imports a folder called Sent gets what they would get from the folder around it, and so does whoever imports a part of a
/// Maildir of that name.
fn is_incoming(path: &Path) -> bool {
    let name =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_part = |path: &Path| matches!(&name(path)[..], "cur" | "new");
    let folder = if path.is_dir() { Some(path) } else { path.parent().filter(|folder| is_part(folder)) };
    let around = folder.filter(|folder| is_part(folder)).and_then(Path::parent);
    [folder, around].into_iter().flatten().all(|folder| folders::holds_incoming(&name(folder)))
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
        } else if kind.is_file() {
            let name = name.to_string_lossy();
            if !name.starts_with('.') && !folders::is_bookkeeping(&name) {
                files.push(path);
            }
        }
    }
    Ok(())
}

/// When a message arrived, as far as the place it lies in knows.
#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    /// As the line before it in an mbox file says, or the name of its file in a Maildir.
    delivered_ms: Option<Millis>,
    /// When its file was last written.
    modified_ms: Option<Millis>,
}

/// One message as it lies somewhere.
struct Source {
    name: String,
    bytes: Vec<u8>,
    /// Whether `bytes` is all of it.
    is_whole: bool,
    marks: Marks,
    arrived: Arrived,
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
    let broken = |error: std::io::Error| Broken { name: name.clone(), reason: error.to_string() };
    match dir.open(path).and_then(|file| opened(file, path)) {
        Ok(sources) => sources,
        Err(error) => Box::new(std::iter::once(Err(broken(error)))),
    }
}

fn opened(file: File, path: &Path) -> std::io::Result<Sources> {
    let name = path.display().to_string();
    let modified_ms = modified(&file);
    let mut reader = BufReader::new(file.into_std());
    let start = reader.fill_buf()?;
    // A folder of mail that holds none is often an empty file.
    if start.is_empty() {
        return Ok(Box::new(std::iter::empty()));
    }
    let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let blank = mark + start[mark..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let (first, second) = line(start, blank);
    let (behind, _) = line(start, second);
    let is_mbox = mbox::is_mbox(&start[blank..first], &start[second..behind]);
    let line_end = if start.contains(&b'\n') { b'\n' } else { b'\r' };
    let part =
        |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folders = path.parent().into_iter().flat_map(Path::components);
    let mut is_incoming =
        folders.map(|part| part.as_os_str().to_string_lossy()).all(|part| folders::holds_incoming(&part));
    if is_mbox {
        // Of mbox files the name of the file is that of the folder.
        is_incoming &= folders::holds_incoming(&part(path));
        reader.seek(SeekFrom::Start(blank as u64))?;
        let sources = Mbox::new(reader, name, line_end, modified_ms);
        return Ok(Box::new(sources.map(move |source| {
            let source = source?;
            Ok(Source { marks: source.marks.and(Marks { is_incoming, unread: None }), ..source })
        })));
    }
    let (bytes, is_whole) = kept(reader)?;
    let mut marks = Marks::of_file(&part(path)).and(Marks { is_incoming, unread: None });
    if path.parent().is_some_and(|folder| part(folder) == "new") {
        marks.unread = Some(true);
    }
    let arrived = Arrived { delivered_ms: folders::delivered(&part(path)), modified_ms };
    let (bytes, flags) = emlx(bytes);
    Ok(Box::new(std::iter::once(Ok(Source { name, bytes, is_whole, marks: marks.and(flags), arrived }))))
}

fn kept(mut reader: impl Read) -> std::io::Result<(Vec<u8>, bool)> {
    let mut kept = Kept::default();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(kept.finish()),
            Ok(length) => kept.push(&piece[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// What Apple Mail keeps: a line with the length of the message, the message, and a property list with flags.
fn emlx(bytes: Vec<u8>) -> (Vec<u8>, Marks) {
    let (end, start) = line(&bytes, 0);
    let length =
        std::str::from_utf8(bytes[..end].trim_ascii()).ok().and_then(|length| length.parse::<usize>().ok());
    let length = length
        .and_then(|length| Some(start..start.checked_add(length)?))
        .filter(|place| place.end <= bytes.len());
    let Some(place) = length else { return (bytes, Marks::NONE) };
    let list = bytes[place.end..].trim_ascii();
    if !list.is_empty() && !list.starts_with(b"<?xml") && !list.starts_with(b"<plist") {
        return (bytes, Marks::NONE);
    }
    let list = String::from_utf8_lossy(list);
    let flags = list.split_once("<key>flags</key>").and_then(|(_, rest)| rest.split_once("<integer>"));
    let flags = flags.and_then(|(_, rest)| rest.split('<').next()?.trim().parse::<u64>().ok());
    // Read, thrown away, draft, junk.
    let has = |flags: u64, bit: u32| flags >> bit & 1 == 1;
    let marks = flags.map_or(Marks::NONE, |flags| Marks {
        is_incoming: !has(flags, 1) && !has(flags, 6) && !has(flags, 24),
        unread: Some(!has(flags, 0)),
    });
    (bytes[place].to_vec(), marks)
}

fn modified(file: &File) -> Option<Millis> {
    let modified = file.metadata().ok()?.modified().ok()?.into_std();
    let since = modified.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// Reads a message. Every byte of it is a stranger's, and every field is cut: what agents list goes into their journals.
fn understand(whose: (&str, &str), source: Source, now: Millis) -> Result<NewMail, Broken> {
    let Source { name, bytes, is_whole, marks, arrived } = source;
    // Mail is the wildest input there is: one message must not end an import.
    match std::panic::catch_unwind(|| reading::read(&bytes, is_whole)) {
        Ok(Some(letter)) => Ok(NewMail {
            identity: letter.identity,
            older_identity: letter.older_identity,
            is_marked: marks.unread.is_some(),
            mail: mail(id(whose, letter.identity), letter, marks.unread.unwrap_or(true), arrived, now),
            source: bytes,
        }),
        Ok(None) => Err(Broken { name, reason: no_message(&bytes).into() }),
        Err(_) => Err(Broken { name, reason: "the message cannot be read".into() }),
    }
}

/// Why bytes are no message.
fn no_message(bytes: &[u8]) -> &'static str {
    let has_zeros = bytes.iter().take(64).filter(|byte| **byte == 0).count() >= 8;
    match bytes {
        [0x1f, 0x8b, ..] => "it is compressed by gzip: unpack it, and import what comes of it",
        [b'P', b'K', 3, 4, ..] => "it is a ZIP archive: unpack it, and import what comes of it",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if has_zeros => {
            "it is text in UTF-16: save it in UTF-8, and import that"
        }
        _ => "not a message: no From, Date or Subject",
    }
}

fn mail(id: String, letter: Letter, unread: bool, arrived: Arrived, now: Millis) -> Mail {
    let (timestamp_ms, extras) = (timestamp(&letter, arrived, now), extras(&letter));
    let addresses = |list: Vec<Mailbox>| list.into_iter().map(|mailbox| mailbox.address).collect();
    Mail {
        id,
        from: letter.from.map(|from| from.address).unwrap_or_default(),
        to: addresses(letter.to),
        subject: letter.subject,
        body: letter.body,
        truncated: letter.is_cut,
        timestamp_ms,
        unread,
        extras: (!extras.is_empty()).then(|| Value::Object(extras).to_string()),
    }
}

/// When a message was written, as far as that can be: a date long after its receipt is a lie or a mistake, and then the time of
/// receipt stands for it. Nothing is later than the import, so that no sender leads a list for ever.
fn timestamp(letter: &Letter, arrived: Arrived, now: Millis) -> Millis {
    let is_past = |at: &Millis| *at <= now.saturating_add(DATE_AHEAD_MS_MAX);
    let server = letter.received_ms.filter(is_past);
    let received = server.or(arrived.delivered_ms.filter(is_past)).or(arrived.modified_ms.filter(is_past));
    let latest = server.unwrap_or(now).saturating_add(DATE_AHEAD_MS_MAX);
    letter.date_ms.filter(|date| *date <= latest).or(received).unwrap_or(now).min(now)
}

/// What is told of a message beside what every message has.
fn extras(letter: &Letter) -> Map<String, Value> {
    let ids =
        [("messageId", &letter.message_id), ("inReplyTo", &letter.in_reply_to), ("thread", &letter.thread)];
    let mut extras: Map<String, Value> =
        ids.into_iter().filter_map(|(key, id)| Some((key.to_owned(), id.clone()?.into()))).collect();
    for (key, list) in [("cc", &letter.cc), ("replyTo", &letter.reply_to)] {
        if !list.is_empty() {
            extras.insert(key.into(), list.iter().map(|mailbox| mailbox.address.clone()).collect());
        }
    }
    let everybody = letter.from.iter().chain(&letter.reply_to).chain(&letter.to).chain(&letter.cc);
    let mut names = Map::new();
    for Mailbox { address, name } in everybody {
        if let Some(name) = name.as_ref().filter(|_| names.len() < NAMES_MAX) {
            names.entry(address.clone()).or_insert_with(|| name.clone().into());
        }
    }
    if !names.is_empty() {
        extras.insert("names".into(), names.into());
    }
    let attachments = letter.attachments.iter().map(|attachment| {
        let mut told = json!({ "type": attachment.kind });
        attachment.name.iter().for_each(|name| told["name"] = name.clone().into());
        attachment.size.iter().for_each(|size| told["size"] = (*size).into());
        told
    });
    let attachments: Vec<_> = attachments.collect();
    if !attachments.is_empty() {
        extras.insert("attachments".into(), attachments.into());
    }
    extras
}

/// The same message has the same name in the same mailbox, whenever it is imported.
fn id((tenant, user): (&str, &str), identity: Digest) -> String {
    let mut whose = Encoder::new("countersign/mail/v1");
    whose.text(tenant).text(user).bytes(&identity.0);
    format!("msg_{}", &Digest::of(&whose.0).to_string()[..26])
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

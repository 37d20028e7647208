//! Reading a message as it arrived: who wrote it, when, to whom, and what. Pure.
//!
//! Every byte is a stranger's. The header block is taken apart line by line before anything in it is understood, so that no value
//! can hide another field; who a message is from is read strictly, everything else leniently. All of it is bounded, in one pass for
//! each level of nesting, and none of it is recursive beyond [`mime::PARTS_DEPTH_MAX`].

pub mod address;
mod calendar;
pub mod charset;
pub mod date;
mod flowed;
pub mod header;
pub mod html;
pub mod mime;
mod style;
mod tables;
mod transfer;
pub mod words;

use crate::address::canonical;
use crate::clock::Millis;
use crate::digest::{Digest, Encoder};
use address::Mailbox;
use header::Headers;
use mime::Attachment;

/// The most an agent sees of a body, in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// The most an agent sees of a subject, a sender or a Message-ID, in bytes: RFC 5322 allows lines of 998.
pub const FIELD_BYTES_MAX: usize = 998;
/// The most addresses an agent sees of each kind of recipient.
pub const RECIPIENTS_MAX: usize = 100;

/// What a message says of itself.
#[derive(Debug)]
pub struct Letter {
    /// The one address of the first `From`; nobody where there is none, or more than one.
    pub from: Option<Mailbox>,
    /// Of all `To`.
    pub to: Vec<Mailbox>,
    /// Of all `Cc`.
    pub cc: Vec<Mailbox>,
    /// Of all `Reply-To`.
    pub reply_to: Vec<Mailbox>,
    /// Decoded, on one line.
    pub subject: String,
    /// The first `Date`, if it is one.
    pub date_ms: Option<Millis>,
    /// The date of the topmost `Received`, which the last server wrote; those below are the sender's.
    pub received_ms: Option<Millis>,
    /// Without angle brackets.
    pub message_id: Option<String>,
    /// The first message this one answers.
    pub in_reply_to: Option<String>,
    /// The first message of its thread.
    pub thread: Option<String>,
    /// The text, at most [`BODY_BYTES_MAX`] of it.
    pub body: String,
    /// Whether there is more.
    pub is_cut: bool,
    /// What else there is.
    pub attachments: Vec<Attachment>,
    /// What makes it this message: its text and what it says of itself, however that is encoded, and nothing of what servers and mail
    /// programs add.
    pub identity: Digest,
    /// The identity that older versions gave it, in which it mattered how it is encoded.
    pub older_identity: Digest,
}

/// Reads a message. `is_whole` says whether all of it is there. `None` where it has neither sender nor date nor subject, and so is
/// none.
pub fn read(bytes: &[u8], is_whole: bool) -> Option<Letter> {
    let (headers, start) = Headers::of_message(bytes);
    if !["From", "Date", "Subject"].iter().any(|name| headers.has(name)) {
        return None;
    }
    let body = &bytes[start..];
    let decoded = |name: &str| headers.first(name).map(|value| words::decode(&value));
    let first_id = |name: &str| headers.first(name).and_then(|value| id(&value));
    let (in_reply_to, message_id) = (first_id("In-Reply-To"), first_id("Message-ID"));
    let received =
        headers.first("Received").and_then(|value| date::of_trace(&String::from_utf8_lossy(&value)));
    let contents = mime::contents(&headers, body, is_whole, BODY_BYTES_MAX);
    Some(Letter {
        from: headers.first("From").and_then(|value| address::sender(&value)),
        to: recipients(&headers, "To"),
        cc: recipients(&headers, "Cc"),
        reply_to: recipients(&headers, "Reply-To"),
        subject: cut(&decoded("Subject").unwrap_or_default(), FIELD_BYTES_MAX),
        date_ms: decoded("Date").as_deref().and_then(date::parse),
        received_ms: received,
        thread: first_id("References").or_else(|| in_reply_to.clone()).or_else(|| message_id.clone()),
        in_reply_to,
        message_id,
        body: contents.text,
        is_cut: contents.is_cut,
        attachments: contents.attachments,
        identity: identity(&headers, body),
        older_identity: older_identity(&headers, body),
    })
}

fn recipients(headers: &Headers<'_>, name: &str) -> Vec<Mailbox> {
    headers.all(name).flat_map(|value| address::list(&value)).take(RECIPIENTS_MAX).collect()
}

fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// The first identifier of a list of them, without angle brackets.
fn id(value: &[u8]) -> Option<String> {
    let value = String::from_utf8_lossy(value);
    let inner = value.split_once('<').map(|(_, rest)| rest.split('>').next().unwrap_or_default());
    let id = inner.or_else(|| value.split_ascii_whitespace().next()).unwrap_or_default().trim();
    (!id.is_empty()).then(|| cut(id, FIELD_BYTES_MAX))
}

/// Everything of a message that a person or an agent is shown, and nothing else: marks of mail programs (`Status`, `X-Mozilla-Status`)
/// and traces of servers (`Received`, `Delivered-To`) make no other message of it, nor do the ends of its lines, encodings that servers
/// change, the zone a time is written in, and the names people give to addresses. What cannot be read counts as it is.
fn identity(headers: &Headers<'_>, body: &[u8]) -> Digest {
    let mut encoder = Encoder::new("countersign/received/v2");
    for name in ["From", "To", "Cc", "Reply-To"] {
        let values: Vec<_> = headers.all(name).collect();
        let read: Vec<_> =
            values.iter().flat_map(|value| address::list(value)).map(|mailbox| mailbox.address).collect();
        encoder.number(read.len() as u32);
        for address in &read {
            encoder.text(&canonical(address));
        }
        if read.is_empty() {
            values.iter().for_each(|value| {
                encoder.bytes(value);
            });
        }
    }
    let dates: Vec<_> = headers.all("Date").map(|value| words::decode(&value)).collect();
    encoder.number(dates.len() as u32);
    for date in dates {
        let read = date::parse(&date).map(|at| at.to_string());
        encoder.text(&read.unwrap_or(date));
    }
    for name in ["Message-ID", "Subject", "In-Reply-To", "References"] {
        let values: Vec<_> = headers.all(name).map(|value| words::decode(&value)).collect();
        encoder.number(values.len() as u32);
        for value in values {
            encoder.text(&value.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    mime::fingerprint(headers, body, &mut encoder);
    Digest::of(&encoder.0)
}

fn older_identity(headers: &Headers<'_>, body: &[u8]) -> Digest {
    const NAMES: [&str; 12] = [
        "Message-ID",
        "From",
        "Date",
        "Subject",
        "To",
        "Cc",
        "Reply-To",
        "In-Reply-To",
        "References",
        "Content-Type",
        "Content-Disposition",
        "Content-Transfer-Encoding",
    ];
    let mut encoder = Encoder::new("countersign/received/v1");
    for name in NAMES {
        let values: Vec<_> = headers.all(name).collect();
        encoder.number(values.len() as u32);
        for value in values {
            encoder.bytes(&value);
        }
    }
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\r').collect();
    encoder.bytes(body.trim_ascii_end());
    Digest::of(&encoder.0)
}

#[cfg(test)]
mod broken;
#[cfg(test)]
mod hostile;

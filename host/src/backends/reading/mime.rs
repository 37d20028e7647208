//! The parts of a message (RFC 2045, 2046, 2231), and what a person would read of them.
//!
//! Nesting, parts, parameters and text are bounded, so time grows with the size of the message, and the stack with none of it. What
//! lies beyond a bound is not entered; it is listed as an attachment or left out, and the text says that it was cut.

use super::header::{self, Headers};
use super::transfer::Encoding;
use super::{calendar, charset, flowed, html, words};
use crate::digest::Encoder;
use std::borrow::Cow;

/// How deep parts and messages within messages are entered.
pub const PARTS_DEPTH_MAX: usize = 32;
/// The most parts of a message that are looked at.
pub const PARTS_MAX: usize = 1_000;
/// The most parameters of one Content-Type that are read.
pub const PARAMETERS_MAX: usize = 64;
/// The most of one part that is decoded for its text, in bytes.
pub const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most attachments that are listed.
pub const ATTACHMENTS_MAX: usize = 32;
/// The longest name of an attachment that is kept, in bytes.
pub const ATTACHMENT_NAME_BYTES_MAX: usize = 255;
/// The longest type that is kept, in bytes: RFC 6838 allows 127 on either side of the slash.
const TYPE_BYTES_MAX: usize = 255;

/// Something that comes with a message and is not part of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its file name, decoded, as the sender has it: it may hold anything.
    pub name: Option<String>,
    /// `type/subtype`, in lower case.
    pub kind: String,
    /// Its decoded size in bytes, where all of it is there.
    pub size: Option<usize>,
}

/// What a person would read of a message.
#[derive(Debug, Default)]
pub struct Contents {
    /// The text, with line feeds between lines.
    pub text: String,
    /// Whether `text` is not all there is.
    pub is_cut: bool,
    /// What else there is, in order.
    pub attachments: Vec<Attachment>,
}

/// Reads the parts of a message, and of its text at most so many bytes. `is_whole` says whether all of the message is there.
pub fn contents(headers: &Headers<'_>, body: &[u8], is_whole: bool, text_bytes_max: usize) -> Contents {
    let mut walk =
        Walk { most: text_bytes_max, is_whole, parts: 0, found: Contents::default(), fallback: None };
    let text = walk
        .part(headers, body, "text/plain", 0)
        .map(|piece| piece.text)
        .filter(|text| !text.trim().is_empty());
    let Walk { mut found, fallback, .. } = walk;
    let (mut text, is_cut) = text.map(|text| (text, false)).or(fallback).unwrap_or_default();
    found.is_cut |= is_cut || text.len() > text_bytes_max;
    text.truncate(text.floor_char_boundary(text_bytes_max));
    Contents { text, ..found }
}

/// What kind of text a part came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Html,
    /// An invitation: said beside the text, not in its place.
    Calendar,
}

struct Piece {
    kind: Kind,
    text: String,
}

struct Walk {
    most: usize,
    is_whole: bool,
    parts: usize,
    found: Contents,
    /// The text of the first attachment that is text, and whether it was cut: better than nothing, where there is nothing else.
    fallback: Option<(String, bool)>,
}

impl Walk {
    /// What is to be read of one part.
    fn part(&mut self, headers: &Headers<'_>, body: &[u8], assumed: &str, depth: usize) -> Option<Piece> {
        self.parts += 1;
        let kind = ContentType::of(headers, assumed);
        if self.parts > PARTS_MAX {
            self.found.is_cut = true;
            return None;
        }
        let is_message = matches!(&kind.name[..], "message/rfc822" | "message/global" | "message/news");
        if kind.is("multipart") || is_message {
            if depth == PARTS_DEPTH_MAX {
                self.found.is_cut = true;
                self.attach(headers, &kind, body);
                return None;
            }
            return match kind.is("multipart") {
                true => self.multipart(headers, &kind, body, depth),
                false => self.message(headers, &kind, body, depth),
            };
        }
        self.leaf(headers, &kind, body)
    }

    fn leaf(&mut self, headers: &Headers<'_>, kind: &ContentType, body: &[u8]) -> Option<Piece> {
        let disposition = Disposition::of(headers);
        let is_text = matches!(
            &kind.name[..],
            "text/plain"
                | "text/html"
                | "text/calendar"
                | "text/enriched"
                | "message/delivery-status"
                | "application/xhtml+xml"
                | "application/ics"
        );
        let is_attached = !is_text || disposition.is_attachment;
        if is_attached || disposition.name.is_some() || kind.file_name().is_some() {
            self.attach(headers, kind, body);
        }
        if is_attached && (!kind.is("text") || self.fallback.is_some()) {
            return None;
        }
        let (piece, is_cut) = self.text(headers, kind, body);
        if is_attached {
            self.fallback = Some((piece.text, is_cut)).filter(|(text, _)| !text.trim().is_empty());
            return None;
        }
        self.found.is_cut |= is_cut;
        Some(piece)
    }

    fn text(&self, headers: &Headers<'_>, kind: &ContentType, body: &[u8]) -> (Piece, bool) {
        let (bytes, whole) = encoding(headers).decode(body, PART_BYTES_MAX);
        let is_page = matches!(&kind.name[..], "text/html" | "application/xhtml+xml");
        let named = kind.encoded_parameter("charset").unwrap_or_default();
        // What is UTF-8 is hardly anything else, whatever a page says of itself.
        let is_told = !is_page
            || !charset::is_unspecific(&named)
            || !bytes.is_ascii() && std::str::from_utf8(&bytes).is_ok();
        let named = if is_told { named } else { charset::of_page(&bytes).map_or(named, String::into_bytes) };
        let text = charset::decode(&named, &bytes);
        let (kind, text, all) = match &kind.name[..] {
            "text/html" | "text/enriched" | "application/xhtml+xml" => {
                let (text, all) = html::text(&text, self.most);
                (Kind::Html, text, all)
            }
            "text/calendar" | "application/ics" => (Kind::Calendar, calendar::text(&lines(&text)), true),
            _ => {
                let is = |name: &str, value: &str| {
                    kind.parameter(name).is_some_and(|it| it.eq_ignore_ascii_case(value.as_bytes()))
                };
                let text = lines(&text);
                let text =
                    if is("format", "flowed") { flowed::unfold(&text, is("delsp", "yes")) } else { text };
                (Kind::Plain, text, true)
            }
        };
        (Piece { kind, text }, !whole || !all)
    }

    fn multipart(
        &mut self,
        headers: &Headers<'_>,
        kind: &ContentType,
        body: &[u8],
        depth: usize,
    ) -> Option<Piece> {
        // An encoding of a multipart is forbidden, and some do it all the same.
        let (body, _) = match encoding(headers) {
            Encoding::Identity => (Cow::Borrowed(body), true),
            encoding => encoding.decode(body, PART_BYTES_MAX),
        };
        let boundary = kind.encoded_parameter("boundary");
        let boundary = boundary.as_deref().map(<[u8]>::trim_ascii_end).filter(|it| !it.is_empty());
        let parts = match boundary.and_then(|boundary| split(&body, boundary)) {
            Some(parts) => parts,
            None => match guessed(&body).and_then(|boundary| split(&body, boundary)) {
                Some(parts) => parts,
                // No part of it can be told from another.
                None => return self.leaf(&Headers::default(), &ContentType::plain(), &body),
            },
        };
        let assumed = if kind.name == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let mut pieces = Vec::new();
        for part in parts {
            let (headers, start) = Headers::of_part(part);
            pieces.extend(self.part(&headers, &part[start..], assumed, depth + 1));
        }
        match &kind.name[..] {
            "multipart/alternative" => best(pieces),
            _ => joined(pieces),
        }
    }

    /// A message within a message: who wrote it, when and on what, and its text.
    fn message(
        &mut self,
        headers: &Headers<'_>,
        kind: &ContentType,
        body: &[u8],
        depth: usize,
    ) -> Option<Piece> {
        self.attach(headers, kind, body);
        let (body, _) = match encoding(headers) {
            Encoding::Identity => (Cow::Borrowed(body), true),
            encoding => encoding.decode(body, PART_BYTES_MAX),
        };
        let (inner, start) = Headers::of_message(&body);
        let mut text = String::from("Forwarded message\n");
        for name in ["From", "To", "Date", "Subject"] {
            if let Some(value) = inner.first(name) {
                let value = words::decode(&value);
                text += &format!("{name}: {}\n", &value[..value.floor_char_boundary(super::FIELD_BYTES_MAX)]);
            }
        }
        if let Some(piece) = self.part(&inner, &body[start..], "text/plain", depth + 1) {
            text += "\n";
            text += &piece.text;
        }
        Some(Piece { kind: Kind::Plain, text })
    }

    fn attach(&mut self, headers: &Headers<'_>, kind: &ContentType, body: &[u8]) {
        if self.found.attachments.len() == ATTACHMENTS_MAX {
            return;
        }
        let name = Disposition::of(headers).name.or_else(|| kind.file_name());
        let name = name.map(|name| name[..name.floor_char_boundary(ATTACHMENT_NAME_BYTES_MAX)].to_owned());
        let size = self.is_whole.then(|| encoding(headers).size(body));
        self.found.attachments.push(Attachment { name, kind: kind.name.clone(), size });
    }
}

/// Tells apart what messages hold, however it was encoded on the way: types, names of files and decoded bytes of all parts, without
/// the ends of lines and what is blank at the end.
pub(super) fn fingerprint(headers: &Headers<'_>, body: &[u8], encoder: &mut Encoder) {
    let mut parts = 0;
    contents_of(headers, body, "text/plain", 0, &mut parts, encoder);
}

fn contents_of(
    headers: &Headers<'_>,
    body: &[u8],
    assumed: &str,
    depth: usize,
    parts: &mut usize,
    encoder: &mut Encoder,
) {
    *parts += 1;
    let kind = ContentType::of(headers, assumed);
    let name = Disposition::of(headers).name.or_else(|| kind.file_name()).unwrap_or_default();
    encoder.text(&kind.name).text(&name).number(depth as u32);
    let (body, _) = encoding(headers).decode(body, body.len().saturating_add(1));
    let boundary = kind.encoded_parameter("boundary").filter(|boundary| !boundary.is_empty());
    let inner = boundary.filter(|_| kind.is("multipart") && depth < PARTS_DEPTH_MAX && *parts < PARTS_MAX);
    if let Some(inner) = inner.and_then(|boundary| split(&body, boundary.trim_ascii_end())) {
        let assumed = if kind.name == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        for part in inner {
            let (headers, start) = Headers::of_part(part);
            contents_of(&headers, &part[start..], assumed, depth + 1, parts, encoder);
        }
        return;
    }
    encoder.bytes(&kind.encoded_parameter("charset").unwrap_or_default().to_ascii_lowercase());
    let body: Vec<u8> = body.iter().copied().filter(|byte| *byte != b'\r').collect();
    encoder.bytes(body.trim_ascii_end());
}

/// The text people read of alternatives: plain text, unless it is blank; behind it what a calendar says.
fn best(pieces: Vec<Piece>) -> Option<Piece> {
    let said = |piece: &&Piece| !piece.text.trim().is_empty();
    let of = |kind: Kind| pieces.iter().filter(move |piece| piece.kind == kind).filter(said);
    let text = of(Kind::Plain).next().or_else(|| of(Kind::Html).next_back());
    let chosen = text.into_iter().chain(of(Kind::Calendar).next());
    joined(chosen.map(|piece| Piece { kind: piece.kind, text: piece.text.clone() }).collect())
}

/// Texts one below the other.
fn joined(pieces: Vec<Piece>) -> Option<Piece> {
    let mut pieces = pieces.into_iter();
    let mut whole = pieces.next()?;
    for Piece { kind, text } in pieces {
        if !whole.text.is_empty() && !whole.text.ends_with('\n') {
            whole.text.push('\n');
        }
        whole.text += &text;
        if kind == Kind::Html || whole.kind == Kind::Calendar {
            whole.kind = kind;
        }
    }
    Some(whole)
}

/// Lines end with a line feed.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn encoding(headers: &Headers<'_>) -> Encoding {
    Encoding::of(headers.first("Content-Transfer-Encoding").as_deref())
}

/// The parts between lines of a boundary, at most [`PARTS_MAX`] of them; `None` where no line is one. The last one needs no end.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Option<Vec<&'a [u8]>> {
    let delimiter = [b"--", boundary].concat();
    let (mut parts, mut start) = (Vec::new(), None);
    for at in memchr::memmem::find_iter(body, &delimiter) {
        if at > 0 && !matches!(body[at - 1], b'\r' | b'\n') || start.is_some_and(|start| at < start) {
            continue;
        }
        let (end, next) = header::line(body, at);
        let rest = body[at + delimiter.len()..end].trim_ascii_end();
        if !rest.is_empty() && rest != b"--" {
            continue;
        }
        if let Some(start) = start.replace(next) {
            parts.push(without_line_end(&body[start..at]));
        }
        if rest == b"--" || parts.len() == PARTS_MAX {
            return Some(parts);
        }
    }
    parts.push(&body[start?..]);
    Some(parts)
}

/// The line end before a boundary belongs to it.
fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

/// A boundary that nobody named: the first line of two hyphens and more, with fields of a part behind it.
fn guessed(body: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while at < body.len() {
        let (end, next) = header::line(body, at);
        let line = body[at..end].trim_ascii_end();
        if line.len() > 2 && line.starts_with(b"--") {
            let (behind, _) = header::line(body, next.min(body.len()));
            let starts = body[next.min(body.len())..behind].to_ascii_lowercase();
            return (starts.is_empty() || starts.starts_with(b"content-")).then_some(&line[2..]);
        }
        at = next;
    }
    None
}

/// A type and its parameters.
struct ContentType {
    /// `type/subtype`, in lower case.
    name: String,
    parameters: Vec<(String, Vec<u8>)>,
}

impl ContentType {
    /// The first Content-Type counts. RFC 2045, 5.2: what is none is plain text.
    fn of(headers: &Headers<'_>, assumed: &str) -> ContentType {
        let Some(value) = headers.first("Content-Type") else {
            return ContentType { name: assumed.into(), parameters: Vec::new() };
        };
        let (name, parameters) = parameters(&value);
        let name = match name.split_once('/') {
            None if name == "multipart" => "multipart/mixed".into(),
            Some((kind, subtype)) if is_token(kind) && is_token(subtype) && name.len() <= TYPE_BYTES_MAX => {
                name
            }
            _ => "text/plain".into(),
        };
        ContentType { name, parameters }
    }

    fn plain() -> ContentType {
        ContentType { name: "text/plain".into(), parameters: Vec::new() }
    }

    fn is(&self, kind: &str) -> bool {
        self.name.split('/').next() == Some(kind)
    }

    fn parameter(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| &value[..])
    }

    /// A parameter that may be written as names are: RFC 2231.
    fn encoded_parameter(&self, name: &str) -> Option<Vec<u8>> {
        self.parameter(name)
            .map(<[u8]>::to_vec)
            .or_else(|| named(&self.parameters, name).map(String::into_bytes))
    }

    fn file_name(&self) -> Option<String> {
        named(&self.parameters, "name")
    }
}

struct Disposition {
    is_attachment: bool,
    name: Option<String>,
}

impl Disposition {
    fn of(headers: &Headers<'_>) -> Disposition {
        let value = headers.first("Content-Disposition").unwrap_or_default();
        let (kind, parameters) = parameters(&value);
        Disposition { is_attachment: kind == "attachment", name: named(&parameters, "filename") }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
}

/// What stands before the parameters, in lower case, and the parameters, each name in lower case.
fn parameters(value: &[u8]) -> (String, Vec<(String, Vec<u8>)>) {
    let mut pieces = pieces(value).into_iter();
    let kind = pieces.next().unwrap_or_default();
    let kind = String::from_utf8_lossy(kind.trim_ascii()).to_ascii_lowercase();
    // `text/plain charset=utf-8`, the semicolon forgotten.
    let kind = kind.split_ascii_whitespace().next().unwrap_or_default().to_owned();
    let parameters = pieces.filter_map(|piece| {
        let equals = memchr::memchr(b'=', piece)?;
        let name = String::from_utf8_lossy(piece[..equals].trim_ascii()).to_ascii_lowercase();
        let value = piece[equals + 1..].trim_ascii();
        (!name.is_empty()).then(|| (name, unquoted(value)))
    });
    (kind, parameters.collect())
}

/// Splits at semicolons that stand in no quotes.
fn pieces(value: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut start, mut at, mut in_quotes) = (Vec::new(), 0, 0, false);
    while at < value.len() && pieces.len() <= PARAMETERS_MAX {
        match value[at] {
            b'\\' if in_quotes => at += 1,
            b'"' => in_quotes = !in_quotes,
            b';' if !in_quotes => {
                pieces.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if pieces.len() <= PARAMETERS_MAX {
        pieces.push(&value[start..]);
    }
    pieces
}

fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        // A comment may stand behind it.
        let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'(')).unwrap_or(value.len());
        return value[..end].to_vec();
    };
    let (mut text, mut bytes) = (Vec::new(), inner.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => text.extend(bytes.next()),
            byte => text.push(*byte),
        }
    }
    text
}

/// A parameter that is a name: in pieces and percent-encoded by RFC 2231, or with encoded words, which that does not allow.
fn named(parameters: &[(String, Vec<u8>)], name: &str) -> Option<String> {
    let get = |key: &str| parameters.iter().find(|(it, _)| it == key).map(|(_, value)| &value[..]);
    let (mut bytes, mut charset) = (Vec::new(), None);
    let mut take = |value: &[u8], is_encoded: bool, is_first: bool| {
        let mut value = value;
        if is_encoded && is_first {
            let mut parts = value.splitn(3, |byte| *byte == b'\'');
            if let (Some(named), Some(_), Some(rest)) = (parts.next(), parts.next(), parts.next()) {
                (charset, value) = (Some(named.to_vec()), rest);
            }
        }
        if is_encoded { percent_decoded(value, &mut bytes) } else { bytes.extend(value) }
    };
    if let Some(value) = get(&format!("{name}*")) {
        take(value, true, true);
    } else if get(&format!("{name}*0")).is_some() || get(&format!("{name}*0*")).is_some() {
        for number in 0..PARAMETERS_MAX {
            if let Some(value) = get(&format!("{name}*{number}*")) {
                take(value, true, number == 0);
            } else if let Some(value) = get(&format!("{name}*{number}")) {
                take(value, false, number == 0);
            } else {
                break;
            }
        }
    } else {
        return get(name).map(words::decode).filter(|name| !name.is_empty());
    }
    let text = charset::decode(&charset.unwrap_or_default(), &bytes);
    Some(text.replace(['\r', '\n', '\t'], " ")).filter(|name| !name.is_empty())
}

fn percent_decoded(value: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while at < value.len() {
        let digit = |at: usize| value.get(at).and_then(|byte| (*byte as char).to_digit(16));
        match (value[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
}

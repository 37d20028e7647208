//! From an action to the bytes of a mail, and back.
//!
//! Pure: the date is that of the decision, the Message-ID follows from the approval, and there is one part and hence no
//! boundary. Bcc is in the action and in the envelope, never in the bytes.

use super::{Action, BodyKind, Version, body};
use crate::clock::Millis;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Body, Mailbox, Message};
use mail_parser::{MessageParser, MimeHeaders as _};
use std::time::{Duration, UNIX_EPOCH};

/// The Message-ID of the message an approval lets out, without angle brackets. Also names its file.
pub fn message_id(approval: &str, action: &Action) -> String {
    let domain = action.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    format!("{approval}.{}@{domain}", &action.digest().to_string()[..16])
}

/// The bytes that leave, RFC 5322.
///
/// # Errors
///
/// When an address of the action is none, which its rules have excluded before.
pub fn render(action: &Action, message_id: &str, decided: Millis) -> anyhow::Result<Vec<u8>> {
    let mailbox = |address: &String| anyhow::Ok(Mailbox::new(None, address.parse()?));
    let date = UNIX_EPOCH + Duration::from_millis(decided.max(0) as u64);
    let mut builder = Message::builder()
        .from(mailbox(&action.from)?)
        .header(Subject(action.subject.clone()))
        .date(date)
        .message_id(Some(format!("<{message_id}>")));
    for address in &action.to {
        builder = builder.to(mailbox(address)?);
    }
    for address in &action.cc {
        builder = builder.cc(mailbox(address)?);
    }
    if action.to.is_empty() {
        anyhow::bail!("a message needs a recipient");
    }
    let body = &action.body;
    if action.version != Version::V1 && body::canonical(action.body_kind, body).as_ref() != Ok(body) {
        anyhow::bail!("a body is what the host made of the agent's, and this one is not");
    }
    // Lines end in CRLF on the wire. A body that has carriage returns of its own travels as base64, so that each of
    // them arrives.
    let (encoding, text) = match action.body.contains('\r') {
        true => (ContentTransferEncoding::Base64, action.body.clone()),
        false => (ContentTransferEncoding::QuotedPrintable, action.body.replace('\n', "\r\n")),
    };
    let body = Body::new_with_encoding(text.into_bytes(), encoding)
        .map_err(|_| anyhow::anyhow!("the body cannot be encoded"))?;
    let kind = match action.body_kind {
        BodyKind::Text => ContentType::TEXT_PLAIN,
        BodyKind::Html => ContentType::TEXT_HTML,
    };
    let mut message = builder.header(MIME_VERSION_1_0).header(kind).body(body)?;
    // The library writes them on one line, and lines of more than 998 bytes do not travel, RFC 5321, 4.5.3.1.6.
    for (name, list) in [("To", &action.to), ("Cc", &action.cc)] {
        if !list.is_empty() {
            let (name, text) = (HeaderName::new_from_ascii_str(name), list.join(", "));
            let folded = list.join(",\r\n ");
            message.headers_mut().insert_raw(HeaderValue::dangerous_new_pre_encoded(name, text, folded));
        }
    }
    let mut bytes = message.formatted();
    if encoding == ContentTransferEncoding::QuotedPrintable {
        bytes = without_lone_dots(bytes);
        bytes = without_from_lines(&bytes);
    }
    end_line(&mut bytes, encoding == ContentTransferEncoding::Base64);
    Ok(bytes)
}

/// A line that is a single dot ends a message for some programs; RFC 2049, 3 writes it as `=2E`.
fn without_lone_dots(bytes: Vec<u8>) -> Vec<u8> {
    let Ok(text) = String::from_utf8(bytes) else { unreachable!("a letter is ASCII") };
    // Twice, as two such lines share a line break.
    text.replace("\r\n.\r\n", "\r\n=2E\r\n").replace("\r\n.\r\n", "\r\n=2E\r\n").into_bytes()
}

/// A line that begins with `From ` begins a message in an mbox file, and programs on the way write `>From ` there, which is not what
/// was signed; RFC 2049, 3 writes its F as `=46`. No header line begins so.
fn without_from_lines(bytes: &[u8]) -> Vec<u8> {
    /// RFC 2045, 6.7: no line has more characters, the `=` of a soft line break included.
    const LINE_CHARS_MAX: usize = 76;
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(rest) = line.strip_prefix(b"From ") else {
            out.extend_from_slice(line);
            continue;
        };
        out.extend_from_slice(b"=46rom");
        let length = line.strip_suffix(b"\r\n").unwrap_or(line).len() + 2;
        if length > LINE_CHARS_MAX {
            out.extend_from_slice(b"=\r\n");
        }
        out.push(b' ');
        out.extend_from_slice(rest);
    }
    out
}

/// Ends the last line. A mail server would, and what arrives would then not be what was signed: a body that does not end
/// in a line break gets one in front of which stands a `=`, which takes it back.
fn end_line(bytes: &mut Vec<u8>, is_base64: bool) {
    if bytes.ends_with(b"\r\n") {
        return;
    }
    if !is_base64 {
        let line = bytes.len() - bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        // RFC 2045, 6.7: no line has more than 76 characters, and `=XX` is not cut.
        if line >= 76 {
            let last = if bytes[bytes.len() - 3] == b'=' { 3 } else { 1 };
            let at = bytes.len() - last;
            bytes.splice(at..at, *b"=\r\n");
        }
        bytes.push(b'=');
    }
    bytes.extend_from_slice(b"\r\n");
}

/// The Subject header, encoded here and not by the library: text that looks like an encoded word must arrive as that
/// text, or the recipient would read another subject than the one that was signed.
#[derive(Clone, Debug)]
struct Subject(String);

/// RFC 2047, 2: an encoded word has at most 75 characters, of which 45 bytes make 60 in base64.
const WORD_BYTES_MAX: usize = 45;

impl Subject {
    fn encoded(&self) -> String {
        let text = &self.0;
        let is_plain = text.len() <= 60
            && text.bytes().all(|b| (b' '..=b'~').contains(&b))
            && !text.contains("=?")
            && text.trim() == text;
        if is_plain {
            return text.clone();
        }
        let mut words = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (word, after) = rest.split_at(rest.floor_char_boundary(WORD_BYTES_MAX));
            words.push(format!("=?utf-8?b?{}?=", BASE64_STANDARD.encode(word)));
            rest = after;
        }
        words.join("\r\n ")
    }
}

impl Header for Subject {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Subject")
    }

    fn parse(text: &str) -> Result<Subject, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Subject(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::dangerous_new_pre_encoded(Subject::name(), self.0.clone(), self.encoded())
    }
}

/// Whether the bytes of this action, read back, carry exactly it.
pub fn carries(action: &Action) -> bool {
    let bytes = render(action, &message_id("appr_", action), 0);
    bytes.is_ok_and(|bytes| parse(&bytes, action).as_ref() == Some(action))
}

/// Reads rendered bytes back into the action they carry. `of` supplies what is not in the bytes: whose it is, and the
/// blind recipients of the envelope. `None` if the bytes are not a mail of this form.
pub fn parse(bytes: &[u8], of: &Action) -> Option<Action> {
    // Lenient readers guess what a broken letter says, and not every reader guesses the same: how it is written must be how
    // a letter is written here, beside what it says.
    let lines = bytes.strip_suffix(b"\r\n")?;
    let breaks = lines.windows(2).filter(|pair| pair == b"\r\n").count();
    if lines.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count() != 2 * breaks {
        return None;
    }
    let mail = MessageParser::default().parse(bytes)?;
    let is_written = |name: &'static str, text: &str| {
        mail.header_raw(name)
            .is_some_and(|raw| raw.trim_matches([' ', '\r', '\n']).eq_ignore_ascii_case(text))
    };
    let addresses = |value: &mail_parser::HeaderValue<'_>| -> Option<Vec<String>> {
        let list = value.as_address()?;
        list.iter().map(|address| Some(address.address()?.to_owned())).collect()
    };
    let header = |name: &'static str| match mail.header(name) {
        Some(value) => addresses(value),
        None => Some(Vec::new()),
    };
    let part = mail.part(0)?;
    let kind = part.content_type()?;
    let text = match &part.body {
        mail_parser::PartType::Text(text) | mail_parser::PartType::Html(text) => text.to_string(),
        _ => return None,
    };
    let body_kind = match kind.subtype()? {
        "plain" => BodyKind::Text,
        "html" => BodyKind::Html,
        _ => return None,
    };
    let exact = is_written("Content-Transfer-Encoding", "base64");
    let subject = mail.subject().unwrap_or_default().to_owned();
    let as_written = is_written("Content-Type", &format!("text/{}; charset=utf-8", kind.subtype()?))
        && (exact || is_written("Content-Transfer-Encoding", "quoted-printable"))
        && mail.header_raw("Subject")?.trim_matches([' ', '\r', '\n']) == Subject(subject.clone()).encoded();
    as_written.then_some(())?;
    Some(
        Action {
            from: header("From")?.pop()?,
            to: header("To")?,
            cc: header("Cc")?,
            subject,
            body_kind,
            body: if exact { text } else { text.replace("\r\n", "\n") },
            ..of.clone()
        }
        .canonical(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::sample;
    use super::*;
    use proptest::prelude::*;

    fn bytes(action: &Action) -> Vec<u8> {
        render(action, &message_id("appr_1", action), 1_700_000_000_000).unwrap()
    }

    #[test]
    fn a_letter_is_readable_and_leaves_bcc_out() {
        let action = Action { bcc: vec!["secret@x.com".into()], ..sample() };
        let text = String::from_utf8(bytes(&action)).unwrap();
        assert!(text.contains("To: team@company.com\r\n"), "{text}");
        assert!(text.contains("Subject: Q4 2024 Report\r\n"), "{text}");
        assert!(text.contains("Attached is the quarterly report for review."), "{text}");
        assert!(text.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn nothing_but_the_host_makes_the_body_of_a_letter() {
        for (body_kind, body) in
            [(BodyKind::Html, "<p>x</p>"), (BodyKind::Text, "a\tb"), (BodyKind::Text, "a\r\nb")]
        {
            let action = Action { body_kind, body: body.into(), ..sample() };
            assert!(render(&action, "id@example.com", 0).is_err() && !carries(&action), "{body}");
            // It leaves as it was signed, where that was before.
            assert!(carries(&Action { version: Version::V1, ..action.clone() }), "{body}");
            assert!(carries(&Action { body: body::canonical(body_kind, body).unwrap(), ..action }), "{body}");
        }
    }

    #[test]
    fn rendering_is_pure() {
        assert_eq!(bytes(&sample()), bytes(&sample()));
    }

    fn subject() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~]{0,120}",
            "\\PC{0,120}",
            "(=\\?utf-8\\?q\\?x\\?= ?){0,3}",
            " {0,3}[a-z ]{0,90} {0,3}"
        ]
    }

    fn body() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\r\n\t=.]{0,400}",
            "(\\PC|\r|\n|\t){0,200}",
            "(\\.\n|From x\n| \n|\n){0,9}",
            "((From ){1,20}[a-z ]{0,80}\n?){0,9}",
        ]
    }

    fn address() -> impl Strategy<Value = String> {
        // Every character a local part can have, and every length: a mail program must not read any of it as something else.
        "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,40}@[a-z]{1,30}\\.[a-z]{2,3}"
            .prop_map(|text| text.replace("=?", "=!"))
    }

    #[test]
    fn a_line_that_an_mbox_would_take_for_a_message_is_written_otherwise() {
        for (body, written) in [
            ("From here on", "\r\n\r\n=46rom here on=\r\n"),
            ("a\nFrom \nb\n", "a\r\nFrom=20\r\nb\r\n"),
            ("From: x\nfrom y\n>From z\nFromage\n", "From: x\r\nfrom y\r\n>From z\r\nFromage\r\n"),
            (&format!("From {}", "x".repeat(71)), &format!("=46rom=\r\n {}", "x".repeat(71))),
        ] {
            let action = Action { body: body.into(), ..sample() };
            let text = String::from_utf8(bytes(&action)).unwrap();
            assert!(text.contains(written), "{text}");
            assert_eq!(parse(text.as_bytes(), &action).unwrap().digest(), action.digest());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        #[test]
        fn parsing_the_letter_back_gives_the_same_digest(
            subject in subject(), body in body(), html in any::<bool>(), is_new in any::<bool>(),
            to in prop::collection::vec(address(), 1..12),
            cc in prop::collection::vec(address(), 0..12),
        ) {
            let body_kind = if html { BodyKind::Html } else { BodyKind::Text };
            // As it was written in the first version, and as it is today.
            let (version, body) = match body::canonical(body_kind, &body) {
                Ok(canonical) if is_new => (Version::V2, canonical),
                _ => (Version::V1, body),
            };
            let action = Action { version, subject, body, body_kind, to, cc, bcc: vec!["b@c.d".into()], ..sample() }.canonical();
            let parsed = parse(&bytes(&action), &action).unwrap();
            prop_assert_eq!(parsed.differs(&action), Vec::<&str>::new(), "{}", String::from_utf8_lossy(&bytes(&action)));
            prop_assert_eq!(parsed.digest(), action.digest());
            let bytes = bytes(&action);
            prop_assert!(bytes.ends_with(b"\r\n"));
            let body = &bytes[bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap()..];
            prop_assert!(body.split(|b| *b == b'\n').all(|line| line.len() <= 77));
            prop_assert!(!body.windows(5).any(|w| w == b"\r\n.\r\n"));
            prop_assert!(!body.windows(7).any(|w| w == b"\r\nFrom "));
            prop_assert!(bytes.split(|b| *b == b'\n').all(|line| line.len() <= 999));
        }
    }
}

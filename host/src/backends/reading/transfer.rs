//! Content-Transfer-Encoding (RFC 2045, 6), and the same two encodings inside headers. One pass over the bytes; nothing is refused.

use std::borrow::Cow;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is: 7bit, 8bit, binary, and whatever nobody knows.
    Identity,
    /// RFC 2045, 6.8.
    Base64,
    /// RFC 2045, 6.7.
    QuotedPrintable,
    /// What Unix had before: lines between `begin` and `end`.
    Uuencode,
}

impl Encoding {
    /// Reads the header.
    pub fn of(header: Option<&[u8]>) -> Encoding {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let name = header.unwrap_or_default().iter().copied().skip_while(|byte| matches!(byte, b'"' | b'\''));
        let name: Vec<u8> = name.take_while(|byte| word(byte)).collect();
        match &name.to_ascii_lowercase()[..] {
            b"base64" => Encoding::Base64,
            b"quoted-printable" => Encoding::QuotedPrintable,
            b"x-uuencode" | b"uuencode" | b"x-uue" | b"uue" => Encoding::Uuencode,
            _ => Encoding::Identity,
        }
    }

    /// Decodes at most so many bytes, and says whether that was all.
    pub fn decode(self, bytes: &[u8], most: usize) -> (Cow<'_, [u8]>, bool) {
        match self {
            Encoding::Base64 if is_base64(bytes) => {
                let decoded = base64(bytes, most);
                let whole = decoded.len() < most;
                (decoded.into(), whole)
            }
            Encoding::QuotedPrintable => {
                let decoded = quoted_printable(bytes, most);
                let whole = decoded.len() < most;
                (decoded.into(), whole)
            }
            Encoding::Uuencode if begins(bytes).is_some() => {
                let decoded = uudecoded(bytes, most);
                let whole = decoded.len() < most;
                (decoded.into(), whole)
            }
            _ => (bytes[..bytes.len().min(most)].into(), bytes.len() <= most),
        }
    }

    /// How many bytes it comes to, without decoding them.
    pub fn size(self, bytes: &[u8]) -> usize {
        match self {
            Encoding::Base64 => bytes.iter().filter(|byte| sextet(**byte).is_some()).count() * 3 / 4,
            Encoding::QuotedPrintable => {
                let (mut at, mut size) = (0, 0);
                while at < bytes.len() {
                    let (byte, next) = unquote(bytes, at);
                    size += usize::from(byte.is_some());
                    at = next;
                }
                size
            }
            Encoding::Uuencode if begins(bytes).is_some() => uudecoded(bytes, usize::MAX).len(),
            Encoding::Identity | Encoding::Uuencode => bytes.len(),
        }
    }
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

/// Whether the beginning of a body can be base64: text that only says so has punctuation.
fn is_base64(bytes: &[u8]) -> bool {
    let start = bytes.iter().take(1024).filter(|byte| !byte.is_ascii_whitespace());
    let (all, strange) = start.fold((0, 0), |(all, strange), byte| {
        (all + 1, strange + usize::from(sextet(*byte).is_none() && *byte != b'='))
    });
    strange * 8 <= all
}

/// Decodes base64, passing over whatever is no digit of it, up to the padding or to a line that begins with a hyphen or an
/// underscore: what lists put behind a message.
pub fn base64(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut decoded = Vec::with_capacity((bytes.len() / 4 * 3).min(most));
    let (mut bits, mut count, mut starts) = (0u32, 0u32, true);
    for byte in bytes {
        if decoded.len() >= most || *byte == b'=' || starts && matches!(byte, b'-' | b'_') {
            break;
        }
        starts = matches!(byte, b'\r' | b'\n');
        let Some(value) = sextet(*byte) else { continue };
        bits = bits << 6 | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count) as u8);
        }
    }
    decoded
}

/// Where the lines begin that are encoded.
fn begins(bytes: &[u8]) -> Option<usize> {
    let begin = match bytes.starts_with(b"begin ") {
        true => 0,
        false => memchr::memmem::find(bytes, b"\nbegin ")? + 1,
    };
    Some(begin + memchr::memchr(b'\n', &bytes[begin..])? + 1)
}

/// Each line begins with how many bytes it comes to.
fn uudecoded(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut decoded = Vec::new();
    for line in bytes[begins(bytes).unwrap_or(bytes.len())..].split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        let Some((length, digits)) = line.split_first().filter(|_| line != b"end" && decoded.len() < most)
        else {
            break;
        };
        let sextet = |at: usize| u32::from(digits.get(at).map_or(0, |byte| byte.wrapping_sub(b' ') & 63));
        let length = usize::from(length.wrapping_sub(b' ') & 63);
        for at in 0..length {
            let group = at / 3 * 4;
            let bits =
                sextet(group) << 18 | sextet(group + 1) << 12 | sextet(group + 2) << 6 | sextet(group + 3);
            decoded.push((bits >> (16 - at % 3 * 8)) as u8);
        }
        if length == 0 {
            break;
        }
    }
    decoded
}

/// Decodes quoted-printable. An equals sign that introduces nothing stands for itself.
pub fn quoted_printable(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len().min(most));
    let mut at = 0;
    while at < bytes.len() && decoded.len() < most {
        let (byte, next) = unquote(bytes, at);
        decoded.extend(byte);
        at = next;
    }
    decoded
}

/// The byte that stands at `at`, nothing for a soft line break, and where the next one stands.
fn unquote(bytes: &[u8], at: usize) -> (Option<u8>, usize) {
    if bytes[at] != b'=' {
        return (Some(bytes[at]), at + 1);
    }
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    if let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) {
        return (Some((high << 4 | low) as u8), at + 3);
    }
    // White space behind it was added on the way; a line has at most so much that this stays one pass.
    let blank = bytes[at + 1..].iter().take(998).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match (bytes.get(at + 1 + blank), bytes.get(at + 2 + blank)) {
        (Some(b'\r'), Some(b'\n')) => (None, at + 3 + blank),
        (Some(b'\r' | b'\n'), _) | (None, _) => (None, at + 2 + blank),
        _ => (Some(b'='), at + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_broken_on_the_way_is_decoded_all_the_same() {
        let decode = |header: &str, body: &str| {
            let decoded = Encoding::of(Some(header.as_bytes())).decode(body.as_bytes(), 1000).0.into_owned();
            String::from_utf8(decoded).unwrap()
        };
        let cases = [
            ("base64", "R3LD\r\nvMOfZQ==\r\n", "Grüße"),
            ("BASE64;", "R3LD vMOf\n ZQ==", "Grüße"),
            ("base64 (x)", "R3LDvMOfZQ", "Grüße"),
            ("base64", "R3LDvMOfZQ==\n\n-- \nfooter", "Grüße"),
            ("base64", "R3LDvMOfR3LDvMOfR3LDvMOf\n____\nlist", "GrüßGrüßGrüß"),
            ("base64", "This text, as it says, is none: see?", "This text, as it says, is none: see?"),
            ("Quoted-Printable", "Gr=C3=BC=\r\n=c3=9fe", "Grüße"),
            ("quoted-printable", "a=  \nb=\nc= d=4", "abc= d=4"),
            ("quoted-printable", "end=", "end"),
            ("8bit", "a=3Db", "a=3Db"),
            ("\"base64\"", "R3LDvMOfZQ==", "Grüße"),
            ("x-uuencode", "begin 644 a\n#86)C\n\"9&4 \n`\nend\n", "abcde"),
            ("x-uuencode", "plain", "plain"),
            ("x-unknown", "a=3Db", "a=3Db"),
            ("", "a=3Db", "a=3Db"),
        ];
        for (header, body, text) in cases {
            assert_eq!(decode(header, body), text, "{header}: {body:?}");
        }
    }

    #[test]
    fn no_more_is_decoded_than_was_asked_for() {
        for (encoding, body) in
            [(Encoding::Base64, "QUFB"), (Encoding::QuotedPrintable, "=41AA"), (Encoding::Identity, "AAA")]
        {
            let body = body.repeat(1000);
            let (decoded, whole) = encoding.decode(body.as_bytes(), 10);
            assert!(decoded.starts_with(b"AAAAAAAAAA") && decoded.len() <= 12 && !whole);
            assert!(encoding.decode(body.as_bytes(), 4000).1);
            assert_eq!(encoding.size(body.as_bytes()), 3000);
        }
    }
}

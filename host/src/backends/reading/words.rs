//! Encoded words in headers: RFC 2047, and RFC 2231, 5.

use super::{charset, transfer};

/// The longest encoded word that is looked for, in bytes. RFC 2047 allows 75, and programs write more.
pub const ENCODED_WORD_BYTES_MAX: usize = 8192;

/// The value of a header as text, on one line.
///
/// Words are decoded wherever they stand. White space between two of them belongs to neither; where both have the same charset
/// their bytes are decoded as one, since programs cut characters and shifted states apart.
pub fn decode(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len());
    let mut pending: Option<(Vec<u8>, Vec<u8>)> = None;
    let mut rest = value;
    while !rest.is_empty() {
        let at = memchr::memmem::find(rest, b"=?").unwrap_or(rest.len());
        let (before, from) = rest.split_at(at);
        let Some(word) = Word::at(from) else {
            // No word begins here: at most these two bytes are passed over.
            let (plain, behind) = rest.split_at((at + 2).min(rest.len()));
            finish(&mut pending, &mut text);
            text += &charset::guess(plain);
            rest = behind;
            continue;
        };
        if pending.is_none() || !before.iter().all(u8::is_ascii_whitespace) {
            finish(&mut pending, &mut text);
            text += &charset::guess(before);
        }
        match &mut pending {
            Some((charset, bytes)) if *charset == word.charset => bytes.extend(&word.bytes),
            _ => {
                finish(&mut pending, &mut text);
                pending = Some((word.charset, word.bytes));
            }
        }
        rest = &from[word.length..];
    }
    finish(&mut pending, &mut text);
    text.replace(['\r', '\n', '\t'], " ")
}

fn finish(pending: &mut Option<(Vec<u8>, Vec<u8>)>, text: &mut String) {
    if let Some((charset, bytes)) = pending.take() {
        *text += &charset::decode(&charset, &bytes);
    }
}

struct Word {
    charset: Vec<u8>,
    bytes: Vec<u8>,
    length: usize,
}

impl Word {
    /// The encoded word that `text` begins with.
    fn at(text: &[u8]) -> Option<Word> {
        let inner = &text.strip_prefix(b"=?")?[..text.len().min(ENCODED_WORD_BYTES_MAX) - 2];
        let charset = &inner[..memchr::memchr(b'?', inner)?];
        // RFC 2231 puts a language behind the charset.
        let named = charset.split(|byte| *byte == b'*').next().unwrap_or_default();
        if named.is_empty() || !named.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let encoded = inner.get(charset.len() + 1..)?;
        let (encoding, encoded) = encoded.split_at_checked(2).filter(|(encoding, _)| encoding[1] == b'?')?;
        let encoded = &encoded[..memchr::memmem::find(encoded, b"?=")?];
        let bytes = match encoding[0] {
            b'b' | b'B' => transfer::base64(encoded, encoded.len()),
            b'q' | b'Q' => {
                let spaced: Vec<u8> =
                    encoded.iter().map(|byte| if *byte == b'_' { b' ' } else { *byte }).collect();
                transfer::quoted_printable(&spaced, spaced.len())
            }
            _ => return None,
        };
        let length = 2 + charset.len() + 1 + 2 + encoded.len() + 2;
        Some(Word { charset: named.to_ascii_lowercase(), bytes, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_decoded_wherever_they_stand() {
        let cases = [
            ("plain", "plain"),
            ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("=?UTF-8?B?R3LDvMOfZQ==?= aus =?utf-8*de?q?K=C3=B6ln?=", "Grüße aus Köln"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=\t=?iso-8859-1?q?=FC?=", "abü"),
            ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
            ("x=?utf-8?q?a?=y", "xay"),
            ("=?utf-8?q?a_b c?=", "a b c"),
            // A character, and a shifted state, cut in two.
            ("=?utf-8?b?w7zD?= =?utf-8?b?vA==?=", "üü"),
            ("=?iso-2022-jp?b?GyRCMnE1RA==?= =?iso-2022-jp?b?JE4bKEI=?=", "会議の"),
            ("=?ISO-2022-JP?B?GyRCMnE1RCROGyhC?=\t=?ISO-2022-JP?B?GyRCJCpDTiRpJDsbKEI=?=", "会議のお知らせ"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?=?utf-8?q?a?=", "=?a"),
            ("=??q?a?=", "=??q?a?="),
            ("=?utf-8?q?a=0D=0Ab?=", "a  b"),
            ("=?", "=?"),
            ("", ""),
        ];
        for (value, text) in cases {
            assert_eq!(decode(value.as_bytes()), text, "{value}");
        }
        assert_eq!(decode(b"Gr\xfc\xdfe"), "Grüße");
    }
}

//! Bytes as text, by the name of a charset that a stranger chose. The tables are those of the WHATWG encoding standard, which
//! takes `gb2312` for GBK and `iso-8859-1` for Windows-1252, as mail programs do.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, SHIFT_JIS, WINDOWS_874, WINDOWS_1252};

/// Names that mail uses and the standard does not list.
const ALIASES: &[(&[u8], &Encoding)] = &[
    (b"cp874", WINDOWS_874),
    (b"cp932", SHIFT_JIS),
    (b"cp936", GBK),
    (b"cp949", EUC_KR),
    (b"cp950", BIG5),
    (b"cp50220", ISO_2022_JP),
    (b"cp51932", EUC_JP),
    (b"euc-cn", GBK),
    (b"eucjp-ms", EUC_JP),
    (b"iso-2022-jp-1", ISO_2022_JP),
    (b"iso-2022-jp-2", ISO_2022_JP),
    (b"iso-2022-jp-ms", ISO_2022_JP),
    (b"uhc", EUC_KR),
    (b"x-gb2312", GBK),
];

/// Names that promise nothing about bytes beyond ASCII.
const UNSPECIFIC: &[&[u8]] = &[
    b"",
    b"us-ascii",
    b"ascii",
    b"ansi_x3.4-1968",
    b"7bit",
    b"8bit",
    b"default",
    b"none",
    b"unknown",
    b"unknown-8bit",
];

/// Decodes `bytes`. What the charset does not have becomes U+FFFD; a charset nobody knows is guessed.
pub fn decode(charset: &[u8], bytes: &[u8]) -> String {
    let name = charset.trim_ascii().to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, encoding)| *encoding);
    let known = || alias.or_else(|| Encoding::for_label_no_replacement(&name));
    if UNSPECIFIC.contains(&&name[..]) {
        return guess(bytes);
    }
    if let Some(encoding) = known() {
        // Two shifts in a row are common where pieces were joined; the standard takes them for an attack on its other readers.
        let bytes = if encoding == ISO_2022_JP { &without_idle_shifts(bytes) } else { bytes };
        return encoding.decode(bytes).0.into_owned();
    }
    // Not in the standard, and in mail all the same: UTF-7, the code pages of DOS.
    match mail_parser::decoders::charsets::map::charset_decoder(&name) {
        Some(decode) if !name.starts_with(b"iso-2022") && !name.starts_with(b"hz") => decode(bytes),
        _ => guess(bytes),
    }
}

/// Leaves out shifts to ASCII that another shift follows at once.
fn without_idle_shifts(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, b"\x1b(B\x1b") {
        kept.extend(&rest[..at]);
        rest = &rest[at + 3..];
    }
    kept.extend(rest);
    kept
}

/// Decodes bytes of which nobody said what they are: UTF-8 if they are, and else Windows-1252, in which every byte is a character.
pub fn guess(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_charsets_are_those_mail_uses() {
        let cases: &[(&str, &[u8], &str)] = &[
            ("utf-8", "Grüße".as_bytes(), "Grüße"),
            ("UTF8", "Grüße".as_bytes(), "Grüße"),
            (" iso-8859-1 ", b"Gr\xfc\xdfe \x80", "Grüße €"),
            ("iso-8859-15", b"\xa4", "€"),
            ("koi8-r", b"\xd0\xd2\xc9", "при"),
            ("windows-1251", b"\xef\xf0\xe8", "при"),
            ("gb2312", b"\xd6\xec\xe9F\xbb\xf9 \x86\xb4", "朱镕基 喆"),
            ("cp932", b"\x82\xb1", "こ"),
            ("ks_c_5601-1987", b"\xbe\xc8", "안"),
            ("cp949", b"\xbe\xc8", "안"),
            ("cp874", b"\xca\xc7", "สว"),
            ("iso-2022-jp", b"\x1b$B$3\x1b(B", "こ"),
            ("iso-2022-jp", b"a\x1b$B$3\x1b(B\x1b$B$3\x1b(Ba", "aここa"),
            ("utf-7", b"Hi Mom -+Jjo--!", "Hi Mom -☺-!"),
            ("cp850", b"\x81", "ü"),
            ("us-ascii", "Grüße".as_bytes(), "Grüße"),
            ("", b"Gr\xfc\xdfe", "Grüße"),
            ("klingon", "ü".as_bytes(), "ü"),
            ("iso-2022-kr", b"plain", "plain"),
            ("utf-8", b"a\xffb", "a\u{fffd}b"),
        ];
        for (charset, bytes, text) in cases {
            assert_eq!(decode(charset.as_bytes(), bytes), *text, "{charset}");
        }
    }
}

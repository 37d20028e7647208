//! Bytes as text, by the name of a charset that a stranger chose. The tables are those of the WHATWG encoding standard, which
//! takes `gb2312` for GBK and `iso-8859-1` for Windows-1252, as mail programs do.

use super::tables::TABLES;
use super::words;
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GBK, ISO_2022_JP, ISO_8859_15, KOI8_U, MACINTOSH, SHIFT_JIS, UTF_8,
    UTF_16BE, UTF_16LE, WINDOWS_874, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253, WINDOWS_1254,
    WINDOWS_1257, X_MAC_CYRILLIC,
};

/// Names that mail uses and the standard does not list, as [`squeezed`] writes them.
#[rustfmt::skip]
const ALIASES: &[(&[&str], &Encoding)] = &[
    (&["utf8", "utf8bom", "utf8mb4", "utf8mb3", "cp65001", "unicodeutf8"], UTF_8),
    (&["big5", "big5hkscs", "cp950", "cp951", "cnbig5", "windows950", "macchinesetrad"], BIG5),
    (&["gb2312", "gb231280", "gb2312.1980", "gbk", "gbk2312", "cp936", "ms936", "windows936", "euccn", "macchinesesimp"], GBK),
    (&["eucjp", "eucjpms", "eucjpwin", "cp51932", "eucjis2004", "eucjisx0213", "ujis"], EUC_JP),
    (&["shiftjis", "sjis", "cp932", "ms932", "windows932", "macjapanese", "shiftjis2004", "shiftjisx0213"], SHIFT_JIS),
    (&["iso2022jp", "cp50220", "cp50221", "iso2022jpms", "jis"], ISO_2022_JP),
    (&["euckr", "ksc5601", "ksc56011987", "ksc56011989", "ksx1001", "cp949", "ms949", "windows949", "uhc", "cp51949", "mackorean"], EUC_KR),
    (&["cp874", "windows874", "tis620", "iso885911"], WINDOWS_874),
    (&["cp1250", "win1250", "ms1250"], WINDOWS_1250),
    (&["cp1251", "win1251", "ms1251", "ansi1251"], WINDOWS_1251),
    (&["cp1252", "win1252", "ms1252", "ansi", "latin1", "iso88591", "iso88591windows3.1latin1", "windows1252"], WINDOWS_1252),
    (&["cp1253", "win1253"], WINDOWS_1253),
    (&["cp1254", "win1254", "iso88599"], WINDOWS_1254),
    (&["cp1257", "win1257"], WINDOWS_1257),
    (&["iso885915", "latin9", "latin0"], ISO_8859_15),
    (&["koi8u", "koi8ru"], KOI8_U),
    (&["mac", "macroman", "macintosh"], MACINTOSH),
    (&["maccyrillic", "macukrainian"], X_MAC_CYRILLIC),
];

/// Names that promise nothing about bytes beyond ASCII, as [`squeezed`] writes them.
const UNSPECIFIC: &[&str] = &[
    "",
    "usascii",
    "ascii",
    "ansix3.41968",
    "7bit",
    "8bit",
    "default",
    "none",
    "unknown",
    "unknown8bit",
    "userdefined",
];

/// The letters and digits of a name: `X-EUC_JP` and `eucjp` are one.
fn squeezed(name: &str) -> String {
    let name = name.strip_prefix("x-").unwrap_or(name);
    name.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).collect()
}

/// Whether a name says nothing of bytes beyond ASCII.
pub fn is_unspecific(charset: &[u8]) -> bool {
    UNSPECIFIC.contains(&&squeezed(&written(charset))[..])
}

/// A name without what some put around it.
fn written(charset: &[u8]) -> String {
    let name = if charset.starts_with(b"=?") {
        words::decode(charset)
    } else {
        String::from_utf8_lossy(charset).into_owned()
    };
    name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ';' | '.')).to_ascii_lowercase()
}

/// Decodes `bytes`. What the charset does not have becomes U+FFFD; a charset nobody knows is guessed.
pub fn decode(charset: &[u8], bytes: &[u8]) -> String {
    let name = written(charset);
    let short = squeezed(&name);
    if UNSPECIFIC.contains(&&short[..]) {
        return guess(bytes);
    }
    if let "utf16" | "utf16le" | "utf16be" | "ucs2" | "iso10646ucs2" | "unicode" | "csunicode"
    | "unicodefffe" = &short[..]
    {
        return utf_16(bytes, short.ends_with("be") || short == "unicodefffe");
    }
    if let "utf32" | "utf32le" | "utf32be" | "ucs4" = &short[..] {
        return utf_32(bytes, short.ends_with("le"));
    }
    if short.starts_with("iso2022") && short != "iso2022jp" && short != "iso2022jpms" {
        return iso_2022(bytes);
    }
    if let "hzgb2312" | "hz" = &short[..] {
        return hz(bytes);
    }
    if let Some((_, upper)) = TABLES.iter().find(|(names, _)| names.contains(&&short[..])) {
        let upper: Vec<char> = upper.chars().collect();
        return bytes
            .iter()
            .map(|byte| if byte.is_ascii() { char::from(*byte) } else { upper[usize::from(*byte) - 128] })
            .collect();
    }
    let alias = ALIASES.iter().find(|(names, _)| names.contains(&&short[..])).map(|(_, encoding)| *encoding);
    if let Some(encoding) = alias.or_else(|| Encoding::for_label_no_replacement(name.as_bytes())) {
        // Two shifts in a row are common where pieces were joined; the standard takes them for an attack on its other readers.
        let bytes = if encoding == ISO_2022_JP { &without_idle_shifts(bytes) } else { bytes };
        return encoding.decode(bytes).0.into_owned();
    }
    // Not in the standard, and in mail all the same: UTF-7, others by their numbers.
    match mail_parser::decoders::charsets::map::charset_decoder(name.as_bytes()) {
        Some(decode) => decode(bytes),
        _ => guess(bytes),
    }
}

/// Without a mark, where the zeros stand tells which byte comes first; where there is none, and what is there is UTF-8, the name is wrong.
fn utf_16(bytes: &[u8], is_big: bool) -> String {
    let has_mark = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let zeros = |first: usize| bytes.iter().skip(first).step_by(2).filter(|byte| **byte == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    if !has_mark && first + second == 0 && std::str::from_utf8(bytes).is_ok() {
        return guess(bytes);
    }
    let is_big = if first == second { is_big } else { first > second };
    let encoding = if is_big { UTF_16BE } else { UTF_16LE };
    encoding.decode(bytes).0.into_owned()
}

fn utf_32(bytes: &[u8], is_little: bool) -> String {
    let is_little = bytes.starts_with(b"\xff\xfe\0\0") || is_little && !bytes.starts_with(b"\0\0\xfe\xff");
    if !bytes.contains(&0) {
        return guess(bytes);
    }
    let (words, _) = bytes.as_chunks::<4>();
    let number =
        |word: &[u8; 4]| if is_little { u32::from_le_bytes(*word) } else { u32::from_be_bytes(*word) };
    let chars = words.iter().map(|word| char::from_u32(number(word)).unwrap_or('\u{fffd}'));
    chars.filter(|c| *c != '\u{feff}').collect()
}

/// The sets of characters that [`iso_2022`] knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Ascii,
    Kana,
    Japanese,
    /// JIS X 0212.
    Rare,
    Chinese,
    Korean,
}

impl Set {
    fn decode(self, bytes: &[u8], out: &mut String) {
        let high = |prefix: Option<u8>| {
            let units = bytes.chunks(if prefix.is_some() { 2 } else { bytes.len().max(1) });
            units
                .flat_map(|unit| prefix.into_iter().chain(unit.iter().map(|byte| byte | 0x80)))
                .collect::<Vec<u8>>()
        };
        match self {
            Set::Ascii => *out += &WINDOWS_1252.decode_without_bom_handling(bytes).0,
            Set::Kana => *out += &SHIFT_JIS.decode_without_bom_handling(&high(None)).0,
            Set::Japanese => *out += &EUC_JP.decode_without_bom_handling(&high(None)).0,
            Set::Rare => *out += &EUC_JP.decode_without_bom_handling(&high(Some(0x8f))).0,
            Set::Chinese => *out += &GBK.decode_without_bom_handling(&high(None)).0,
            Set::Korean => *out += &EUC_KR.decode_without_bom_handling(&high(None)).0,
        }
    }
}

/// How escapes name sets. The later standards of Japan are read as the first, of which they change little.
const ESCAPES: &[(&[u8], Set)] = &[
    (b"(B", Set::Ascii),
    (b"(J", Set::Ascii),
    (b"(I", Set::Kana),
    (b"$@", Set::Japanese),
    (b"$B", Set::Japanese),
    (b"$(B", Set::Japanese),
    (b"$(O", Set::Japanese),
    (b"$(P", Set::Japanese),
    (b"$(Q", Set::Japanese),
    (b"$(D", Set::Rare),
    (b"$A", Set::Chinese),
    (b"$(A", Set::Chinese),
    (b"$(C", Set::Korean),
    (b"$)A", Set::Chinese),
    (b"$)C", Set::Korean),
];

/// ISO 2022 as mail has it: RFC 1554, RFC 1557, and what followed them. Escapes and shifts say which set the bytes behind them are of.
fn iso_2022(bytes: &[u8]) -> String {
    let (mut out, mut set, mut shifted, mut is_shifted, mut start, mut at) =
        (String::new(), Set::Ascii, Set::Korean, false, 0, 0);
    while at < bytes.len() {
        let rest = &bytes[at + 1..];
        let escape = ESCAPES.iter().find(|(name, _)| bytes[at] == 0x1b && rest.starts_with(name));
        let length = match (bytes[at], escape) {
            (_, Some((name, _))) => 1 + name.len(),
            (0x0e | 0x0f, _) => 1,
            // A line begins in ASCII.
            (b'\n', _) if set != Set::Ascii || is_shifted => 0,
            _ => {
                at += 1;
                continue;
            }
        };
        (if is_shifted { shifted } else { set }).decode(&bytes[start..at], &mut out);
        match (bytes[at], escape) {
            (_, Some((name, named))) if name.starts_with(b"$)") => shifted = *named,
            (_, Some((_, named))) => set = *named,
            (0x0e, _) => is_shifted = true,
            (0x0f, _) => is_shifted = false,
            _ => (set, is_shifted) = (Set::Ascii, false),
        }
        at += length;
        start = at;
    }
    (if is_shifted { shifted } else { set }).decode(&bytes[start..], &mut out);
    out
}

/// HZ: RFC 1843.
fn hz(bytes: &[u8]) -> String {
    let (mut out, mut set, mut start, mut at) = (String::new(), Set::Ascii, 0, 0);
    while let Some(tilde) = memchr::memchr(b'~', &bytes[at..]) {
        at += tilde;
        let behind = bytes.get(at + 1);
        if set == Set::Chinese && behind != Some(&b'}') {
            at += 1;
            continue;
        }
        set.decode(&bytes[start..at], &mut out);
        match behind {
            Some(b'{') => set = Set::Chinese,
            Some(b'}') => set = Set::Ascii,
            Some(b'\n') => {}
            _ => out.push('~'),
        }
        at = (at + 2).min(bytes.len());
        start = at;
    }
    set.decode(&bytes[start..], &mut out);
    out
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

/// Decodes bytes of which nobody said what they are: UTF-8 if they are, ISO-2022-JP where its escapes are, and else Windows-1252, in
/// which every byte is a character.
pub fn guess(bytes: &[u8]) -> String {
    let has_escape = || {
        ["\x1b$B", "\x1b$@", "\x1b$(D"]
            .iter()
            .any(|escape| memchr::memmem::find(bytes, escape.as_bytes()).is_some())
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() && text.contains('\x1b') && has_escape() => iso_2022(bytes),
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => WINDOWS_1252.decode(bytes).0.into_owned(),
    }
}

/// The most of a page in which the name of its charset is looked for, in bytes: HTML Standard, 13.2.3.2.
pub const META_BYTES_MAX: usize = 4096;

/// The charset a page of HTML names in a `<meta>`: for pages of which the message names none.
pub fn of_page(bytes: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(META_BYTES_MAX)]).to_ascii_lowercase();
    let metas = start.split("<meta").skip(1).map(|meta| meta.split('>').next().unwrap_or_default());
    let mut named = metas.filter_map(|meta| meta.split_once("charset")?.1.trim_start().strip_prefix('='));
    let named = named.next()?;
    let named = named.trim_start().trim_start_matches(['"', '\'']);
    let end =
        named.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '/')).unwrap_or(named.len());
    // A page whose `<meta>` can be read is in no UTF-16.
    Some(named[..end].to_owned()).filter(|name| !name.is_empty() && !name.starts_with("utf-16"))
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
            ("iso-2022-kr", b"\x1b$)C\x0e>H3g\x0fx\n", "안녕x\n"),
            ("hz-gb-2312", b"a~{Dc:C~}~~b", "a你好~b"),
            ("iso-2022-jp-2", b"\x1b$ADc\x1b(B\x1b$(C>H\x1b(B", "你안"),
            ("iso-2022-jp-3", b"\x1b$B$3\x1b(B", "こ"),
            ("iso-2022-jp-2004", b"\x1b$(Q$3\x1b(B", "こ"),
            ("iso-2022-jp-ext", b"\x1b(I1\x1b(B", "ｱ"),
            ("", b"\x1b$B$3\x1b(B", "こ"),
            ("euc_kr", b"\xbe\xc8", "안"),
            ("ms949", b"\xbe\xc8", "안"),
            ("EUC_JP", b"\xa4\xb3", "こ"),
            ("x-eucjp", b"\xa4\xb3", "こ"),
            ("x-mac-japanese", b"\x82\xb1", "こ"),
            ("gb2312-80", b"\xc4\xe3", "你"),
            ("big5hkscs", b"\xa7A", "你"),
            ("latin9", b"\xa4", "€"),
            ("cp-1252", b"\x80", "€"),
            ("'iso-8859-2'", b"\xa3", "Ł"),
            ("=?us-ascii?q?iso-8859-2?=", b"\xa3", "Ł"),
            ("cp437", b"\x81", "ü"),
            ("cp852", b"\x9d", "Ł"),
            ("koi8-t", b"\x8d\xd0", "ҷп"),
            ("mac-roman", b"\x9f", "ü"),
            ("mac-cyrillic", b"\xef", "п"),
            ("x-mac-ce", b"\xfc", "Ł"),
            ("utf8mb4", "ü".as_bytes(), "ü"),
            ("utf-16", b"\xff\xfea\0", "a"),
            ("utf-16", b"\0a\0b", "ab"),
            ("utf-16", b"plain text", "plain text"),
            ("unicode", "Grüße".as_bytes(), "Grüße"),
            ("x-user-defined", "Grüße".as_bytes(), "Grüße"),
            ("utf-32", b"\xff\xfe\0\0\xfc\0\0\0", "ü"),
            ("utf-32", b"\0\0\0\xfc", "ü"),
            ("utf-8", b"a\xffb", "a\u{fffd}b"),
        ];
        for (charset, bytes, text) in cases {
            assert_eq!(decode(charset.as_bytes(), bytes), *text, "{charset}");
        }
    }
}

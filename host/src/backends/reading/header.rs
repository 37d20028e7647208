//! The header block of a message or of a part: RFC 5322, 2.2 and 4.5.
//!
//! Lines end with LF, CRLF or CR. A field ends at the next line that begins with no white space, whatever its value means: a
//! value that cannot be read hides nothing behind it. One pass over the bytes.

use std::borrow::Cow;

/// The most fields of one block; those behind them are passed over.
pub const FIELDS_MAX: usize = 10_000;
/// The most bytes of one field that are read; the rest of it is passed over.
pub const FIELD_VALUE_BYTES_MAX: usize = 64 * 1024;

/// The fields of one block, in order.
#[derive(Debug, Default)]
pub struct Headers<'a> {
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Headers<'a> {
    /// Reads the block a message begins with, and says where the body begins. A byte order mark, empty lines and the lines by
    /// which mbox files part messages may stand before it.
    pub fn of_message(bytes: &'a [u8]) -> (Headers<'a>, usize) {
        let mut at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        while matches!(bytes.get(at), Some(b'\r' | b'\n')) {
            at += 1;
        }
        read(bytes, at)
    }

    /// Reads the block a part of a message begins with, and says where its body begins. A part may have no fields at all.
    pub fn of_part(bytes: &'a [u8]) -> (Headers<'a>, usize) {
        read(bytes, 0)
    }

    /// Whether there is a field of this name.
    pub fn has(&self, name: &str) -> bool {
        self.raw(name).next().is_some()
    }

    /// The value of the first field of this name, unfolded, without the white space around it.
    pub fn first(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.raw(name).next().map(unfold)
    }

    /// The values of all fields of this name, in order, unfolded.
    pub fn all(&self, name: &str) -> impl Iterator<Item = Cow<'a, [u8]>> {
        self.raw(name).map(unfold)
    }

    fn raw(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
        named.map(|(_, value)| *value)
    }
}

/// Where the line that begins at `at` ends, and where the next one begins.
pub fn line(bytes: &[u8], at: usize) -> (usize, usize) {
    match memchr::memchr2(b'\r', b'\n', &bytes[at..]) {
        None => (bytes.len(), bytes.len()),
        Some(end) => {
            let end = at + end;
            let is_crlf = bytes[end] == b'\r' && bytes.get(end + 1) == Some(&b'\n');
            (end, end + if is_crlf { 2 } else { 1 })
        }
    }
}

/// Whether a line begins a message in an mbox file, or is such a line quoted, and not the obsolete form `From : ...` of a field.
pub fn is_separator(line: &[u8]) -> bool {
    let unquoted = line.strip_prefix(b">").unwrap_or(line);
    let Some(rest) = unquoted.strip_prefix(b"From ") else { return false };
    rest.trim_ascii_start().first() != Some(&b':')
}

/// The name of the field that a line begins, and where its value begins.
pub fn field(line: &[u8]) -> Option<(&[u8], usize)> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some((name, colon + 1))
}

fn read(bytes: &[u8], mut at: usize) -> (Headers<'_>, usize) {
    let mut headers = Headers::default();
    // Where the value of the field that is being read begins.
    let mut open = None;
    while at < bytes.len() {
        let (end, next) = line(bytes, at);
        let text = &bytes[at..end];
        match text.first() {
            None => return (headers, next),
            Some(b' ' | b'\t') => {
                if let (Some(start), Some((_, value))) = (open, headers.fields.last_mut()) {
                    *value = &bytes[start..end.min(start + FIELD_VALUE_BYTES_MAX)];
                }
            }
            // Programs that keep mail in mbox files leave such lines anywhere.
            Some(_) if is_separator(text) => open = None,
            Some(_) => {
                // A line that is no field ends the block as an empty one would.
                let Some((name, value)) = field(text) else { return (headers, at) };
                let start = at + value;
                open = (headers.fields.len() < FIELDS_MAX).then_some(start);
                if open.is_some() {
                    headers.fields.push((name, &bytes[start..end.min(start + FIELD_VALUE_BYTES_MAX)]));
                }
            }
        }
        at = next;
    }
    (headers, bytes.len())
}

fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    match memchr::memchr2(b'\r', b'\n', value) {
        None => Cow::Borrowed(value),
        Some(_) => Cow::Owned(value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields as `name=value`, and the body.
    fn split(text: &str) -> (Vec<String>, &str) {
        let (headers, body) = Headers::of_message(text.as_bytes());
        let say = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields =
            headers.fields.iter().map(|(name, value)| format!("{}={}", say(name), say(&unfold(value))));
        (fields.collect(), &text[body..])
    }

    #[test]
    fn a_block_ends_at_an_empty_line_or_at_the_first_line_that_is_no_field() {
        let cases = [
            ("A: 1\nB: 2\n\nbody", &["A=1", "B=2"][..], "body"),
            ("A: 1\r\nB: 2\r\n\r\nbody", &["A=1", "B=2"], "body"),
            ("A: 1\rB: 2\r\rbody", &["A=1", "B=2"], "body"),
            ("\u{feff}A: 1\n\nbody", &["A=1"], "body"),
            ("\n\r\nA: 1\n\nbody", &["A=1"], "body"),
            ("A : 1\nB\t: 2\n\nbody", &["A=1", "B=2"], "body"),
            ("A: 1\n  2\n\t3\nB:\n 4\n\nbody", &["A=1  2\t3", "B=4"], "body"),
            ("A: 1\n \nB: 2\n\nbody", &["A=1", "B=2"], "body"),
            ("A: 1\nHello, this is it: \nx", &["A=1"], "Hello, this is it: \nx"),
            ("A: 1", &["A=1"], ""),
            ("From a@b Fri Mar 15 14:30:00 2024\n>From c\nA: 1\n\nx", &["A=1"], "x"),
            ("A: 1\n>From a@b Fri Mar 15 14:30:00 2024\nB: 2\n\nx", &["A=1", "B=2"], "x"),
            ("From : Ann\n\nx", &["From=Ann"], "x"),
            (" lost\nA: 1\n\nx", &["A=1"], "x"),
            (": no name\n", &[], ": no name\n"),
            ("", &[], ""),
        ];
        for (text, fields, body) in cases {
            assert_eq!(
                split(text),
                (fields.iter().map(|field| field.to_string()).collect(), body),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_first_field_of_a_name_counts_and_a_long_one_hides_none_behind_it() {
        let text = format!("X: {}\nFrom: a\nfrom: b\nTo: c\nTO: d\n\n", "x".repeat(1 << 20));
        let (headers, _) = Headers::of_message(text.as_bytes());
        assert_eq!(headers.first("From").as_deref(), Some(&b"a"[..]));
        assert_eq!(headers.all("to").collect::<Vec<_>>(), [&b"c"[..], b"d"]);
        assert_eq!(headers.first("x").unwrap().len(), FIELD_VALUE_BYTES_MAX - 1);
        let many = "A: 1\n".repeat(FIELDS_MAX + 5);
        assert_eq!(Headers::of_message(many.as_bytes()).0.fields.len(), FIELDS_MAX);
    }
}

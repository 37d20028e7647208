//! Lists of addresses in headers: RFC 5322, 3.4 and 4.4, and RFC 6854 on groups.
//!
//! A stranger writes them, and what an agent may read, and whom it answers, hangs on the outcome. So an entry is one address that
//! can be meant in one way, or it is none. Only what is not part of an address is read leniently: names, comments, empty entries.
//! One pass over the bytes.

use super::words;
use crate::address::{canonical, is_sender, quoted};

/// The most entries of one list that are read.
pub const ENTRIES_MAX: usize = 1_000;
/// The longest name that is kept, in bytes.
pub const NAME_BYTES_MAX: usize = 128;
/// RFC 5321, 4.5.3.1.2.
const DOMAIN_BYTES_MAX: usize = 255;

/// An address, and the name that stands with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// `local@domain`, the local part in quotes where it needs them.
    pub address: String,
    /// Decoded, on one line, without quotes; not the address again.
    pub name: Option<String>,
}

/// One entry of a list.
#[derive(Debug)]
enum Entry {
    /// Exactly one address.
    One(Mailbox),
    /// Something that could be taken for an address, or for several.
    Unclear,
    /// No address at all.
    Words,
}

/// The one address of a `From` header; `None` where there is none, where there are several, and where it is unclear which.
pub fn sender(value: &[u8]) -> Option<Mailbox> {
    let mut found: Option<Mailbox> = None;
    for entry in entries(value) {
        match (entry, &found) {
            (Entry::Words, _) => {}
            (Entry::One(mailbox), None) => found = Some(mailbox),
            (Entry::One(mailbox), Some(other))
                if canonical(&mailbox.address) == canonical(&other.address) => {}
            _ => return None,
        }
    }
    found
}

/// The addresses of a list; what is none is passed over.
pub fn list(value: &[u8]) -> Vec<Mailbox> {
    let clear = entries(value).into_iter().filter_map(|entry| match entry {
        Entry::One(mailbox) => Some(mailbox),
        Entry::Unclear | Entry::Words => None,
    });
    clear.collect()
}

/// What an entry is made of, comments left out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Atom(Vec<u8>),
    /// What stands between quotes, the backslashes before quoted characters removed.
    Quoted(Vec<u8>),
    Dot,
    At,
    Colon,
    Space,
}

#[derive(Default)]
struct Draft {
    /// What stands outside of angle brackets.
    outside: Vec<Token>,
    /// What stands within them.
    angle: Option<Vec<Token>>,
    /// Where the names begin that stand behind the brackets.
    behind: usize,
    comment: Vec<u8>,
    /// Whether `@` stands outside of angle brackets; whether one is the first within them; whether a colon is within them.
    has_at: bool,
    has_route: bool,
    has_colon: bool,
    /// Whether it has a second pair of brackets, or quotes that do not end.
    is_unclear: bool,
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    entries: Vec<Entry>,
    draft: Draft,
    in_angle: bool,
}

fn entries(value: &[u8]) -> Vec<Entry> {
    let draft = Draft::default();
    let mut reader = Reader { bytes: value, at: 0, entries: Vec::new(), draft, in_angle: false };
    while reader.at < value.len() && reader.entries.len() < ENTRIES_MAX {
        reader.step();
    }
    reader.finish();
    reader.entries
}

impl Reader<'_> {
    fn step(&mut self) {
        let byte = self.bytes[self.at];
        self.at += 1;
        match byte {
            b'(' => self.comment(),
            b'"' => self.quoted(),
            // Some write them twice: `<<ann@example.org>>`.
            b'<' if self.in_angle && self.draft.angle.as_ref().is_some_and(Vec::is_empty) => {}
            b'>' if self.draft.angle.is_some()
                && !self.in_angle
                && self.draft.behind == self.draft.outside.len() => {}
            b'<' if !self.in_angle => {
                self.draft.is_unclear |= self.draft.angle.is_some();
                (self.draft.has_route, self.draft.has_colon) = (false, false);
                self.draft.angle = Some(Vec::new());
                self.in_angle = true;
            }
            b'>' if self.in_angle => {
                self.in_angle = false;
                self.draft.behind = self.draft.outside.len();
            }
            // A route has commas: `<@a,@b:c@d>`.
            b',' | b';' if !self.in_angle || !self.draft.has_route || self.draft.has_colon => self.finish(),
            // A colon ends the name of a group.
            b':' if !self.in_angle && self.draft.angle.is_none() && !self.draft.has_at => {
                self.draft = Draft::default();
            }
            b'.' => self.push(Token::Dot),
            b'@' => self.push(Token::At),
            b':' => self.push(Token::Colon),
            byte if byte.is_ascii_whitespace() => self.push(Token::Space),
            _ => {
                let plain = |byte: &&u8| !byte.is_ascii_whitespace() && !b"(\"<>,;:.@".contains(byte);
                let length = self.bytes[self.at..].iter().take_while(plain).count();
                let atom = self.bytes[self.at - 1..self.at + length].to_vec();
                self.at += length;
                self.push(Token::Atom(atom));
            }
        }
    }

    fn push(&mut self, token: Token) {
        let draft = &mut self.draft;
        let tokens = match (&mut draft.angle, self.in_angle) {
            (Some(angle), true) => {
                draft.has_route |= token == Token::At && angle.iter().all(|token| *token == Token::Space);
                draft.has_colon |= token == Token::Colon;
                angle
            }
            _ => {
                draft.has_at |= token == Token::At;
                &mut draft.outside
            }
        };
        // Two spaces are one, and so are two pieces of an atom.
        match (tokens.last_mut(), token) {
            (Some(Token::Space), Token::Space) => {}
            (Some(Token::Atom(atom)), Token::Atom(more)) => atom.extend(more),
            (_, token) => tokens.push(token),
        }
    }

    fn comment(&mut self) {
        let (start, mut depth) = (self.at, 1);
        while depth > 0 && self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'\\' => self.at += 1,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        self.at = self.at.min(self.bytes.len());
        let end = self.at - usize::from(depth == 0);
        if self.draft.comment.is_empty() {
            self.draft.comment = self.bytes[start..end].to_vec();
        }
        self.push(Token::Space);
    }

    fn quoted(&mut self) {
        let (mut text, mut ended) = (Vec::new(), false);
        while let Some(byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => {
                    ended = true;
                    break;
                }
                b'\\' => {
                    text.extend(self.bytes.get(self.at));
                    self.at += 1;
                }
                byte => text.push(*byte),
            }
        }
        self.at = self.at.min(self.bytes.len());
        self.draft.is_unclear |= !ended;
        self.push(Token::Quoted(text));
    }

    fn finish(&mut self) {
        self.in_angle = false;
        let draft = std::mem::take(&mut self.draft);
        if !draft.outside.iter().all(|token| *token == Token::Space) || draft.angle.is_some() {
            self.entries.push(draft.read());
        }
    }
}

impl Draft {
    fn read(self) -> Entry {
        let mentions = |tokens: &[Token]| tokens.contains(&Token::At);
        if self.is_unclear {
            return Entry::Unclear;
        }
        if let Some(angle) = &self.angle {
            if mentions(&self.outside[self.behind..]) {
                return Entry::Unclear;
            }
            return self.named(address(without_scheme(without_route(angle))), &self.outside);
        }
        if !mentions(&self.outside) {
            return Entry::Words;
        }
        // The whole of it as an address, in which white space may stand around dots; or the one word of it that is one.
        if let Some(address) = address(&self.outside) {
            return self.named(Some(address), &[]);
        }
        let words: Vec<_> = self.outside.split(|token| *token == Token::Space).collect();
        let mut candidates = words.iter().filter(|word| mentions(word));
        match (candidates.next(), candidates.next()) {
            (Some(word), None) => {
                let others = words.iter().filter(|other| !mentions(other));
                let others: Vec<_> =
                    others.flat_map(|word| word.iter().cloned().chain([Token::Space])).collect();
                self.named(address(word), &others)
            }
            _ => Entry::Unclear,
        }
    }

    fn named(&self, address: Option<String>, name: &[Token]) -> Entry {
        let Some(address) = address else { return Entry::Unclear };
        let mut raw = Vec::new();
        for token in name {
            match token {
                Token::Atom(text) | Token::Quoted(text) => raw.extend(text),
                Token::Dot => raw.push(b'.'),
                Token::At => raw.push(b'@'),
                Token::Colon => raw.push(b':'),
                Token::Space => raw.push(b' '),
            }
        }
        let read = |raw: &[u8]| {
            let name = words::decode(raw.trim_ascii());
            let name = name[..name.floor_char_boundary(NAME_BYTES_MAX)].trim().to_owned();
            Some(name).filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case(&address))
        };
        let name = read(&raw).or_else(|| read(&self.comment));
        Entry::One(Mailbox { address, name })
    }
}

/// `@a,@b:` before an address: the servers it was to pass, which nobody asks any more.
fn without_route(angle: &[Token]) -> &[Token] {
    let is_route = angle.iter().find(|token| **token != Token::Space) == Some(&Token::At);
    match angle.iter().position(|token| *token == Token::Colon) {
        Some(colon) if is_route => &angle[colon + 1..],
        _ => angle,
    }
}

/// `mailto:` before an address.
fn without_scheme(angle: &[Token]) -> &[Token] {
    match angle {
        [Token::Atom(scheme), Token::Colon, rest @ ..] if scheme.eq_ignore_ascii_case(b"mailto") => rest,
        _ => angle,
    }
}

/// The address that these tokens are, all of them, as it is written; a domain beyond ASCII is told as it is in the DNS.
fn address(tokens: &[Token]) -> Option<String> {
    let trim = |token: &&Token| **token != Token::Space;
    let start = tokens.iter().position(|token| trim(&token))?;
    let end = tokens.iter().rposition(|token| trim(&token))? + 1;
    let tokens = &tokens[start..end];
    let (mut local, mut domain, mut is_behind, mut is_word) = (Vec::new(), Vec::new(), false, false);
    for token in tokens.iter().filter(trim) {
        let part = if is_behind { &mut domain } else { &mut local };
        match token {
            // Two words have a dot between them.
            Token::Atom(_) | Token::Quoted(_) if is_word => return None,
            Token::Quoted(_) | Token::At if is_behind => return None,
            Token::Atom(text) | Token::Quoted(text) => part.extend(text),
            Token::At => is_behind = true,
            Token::Dot => part.push(b'.'),
            Token::Colon | Token::Space => return None,
        }
        is_word = matches!(token, Token::Atom(_) | Token::Quoted(_));
    }
    let is_quoted = tokens.iter().any(|token| matches!(token, Token::Quoted(_)));
    let (local, domain) = (String::from_utf8(local).ok()?, String::from_utf8(domain).ok()?);
    let domain = match domain.is_ascii() || domain.len() > DOMAIN_BYTES_MAX {
        true => domain,
        false => idna::domain_to_ascii_strict(&domain).ok()?,
    };
    let plain = format!("{local}@{domain}");
    // Some providers gave out local parts with dots where no address has them: `a..b@`, `a.@`.
    let has_odd_dots = || is_sender(&format!("{}@{domain}", local.replace('.', "")));
    // A part in quotes is one that needs them.
    let address = match is_sender(&plain) {
        false if is_quoted || has_odd_dots() => format!("{}@{domain}", quoted(&local)),
        _ => plain,
    };
    is_sender(&address).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_the_one_address_that_can_be_meant() {
        let cases = [
            ("ann@example.org", "ann@example.org"),
            ("Ann <ann@example.org>", "ann@example.org"),
            ("Doe, John <john@example.org>", "john@example.org"),
            ("John Doe john@example.org", "john@example.org"),
            ("john@example.org (John Doe)", "john@example.org"),
            ("<@relay.example:john@example.org>", "john@example.org"),
            ("John <@a.example,@b.example:john@example.org>", "john@example.org"),
            ("\"john doe\"@example.org", "\"john doe\"@example.org"),
            ("\"john\"@example.org", "john@example.org"),
            ("Jo <\"jo@evil.example\"@example.org>", "\"jo@evil.example\"@example.org"),
            ("jdoe@test   . example", "jdoe@test.example"),
            ("jdoe @ test.example", "jdoe@test.example"),
            ("boss@company.example <mallory@evil.example>", "mallory@evil.example"),
            ("\"boss@company.example\" <mallory@evil.example>", "mallory@evil.example"),
            ("\"<boss@company.example>, x\" <mallory@evil.example>", "mallory@evil.example"),
            ("(boss@company.example) mallory@evil.example", "mallory@evil.example"),
            ("mallory@evil.example (a (nested) \\) <boss@company.example>)", "mallory@evil.example"),
            ("Team: ann@example.org;", "ann@example.org"),
            ("ann@example.org, ANN <ann@example.org>", "ann@example.org"),
            ("Ann <ann@example.org", "ann@example.org"),
            ("=?utf-8?q?boss=40company.example?= <mallory@evil.example>", "mallory@evil.example"),
            (", ann@example.org,,", "ann@example.org"),
            ("mailto:ann@example.org", "ann@example.org"),
            ("Ann <mailto:ann@example.org>", "ann@example.org"),
            ("Ann <<ann@example.org>>", "ann@example.org"),
            ("Ann <Ann@Example.ORG>", "Ann@Example.ORG"),
            ("Ann <ann@example.org>, Ann2 <ann@EXAMPLE.org>", "ann@example.org"),
            ("Jörg <x@bücher.example>", "x@xn--bcher-kva.example"),
            ("ann.@docomo.example", "\"ann.\"@docomo.example"),
            ("a..b@docomo.example", "\"a..b\"@docomo.example"),
        ];
        for (value, expected) in cases {
            let found = sender(value.as_bytes()).map(|mailbox| mailbox.address);
            assert_eq!(found.as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_can_be_meant_in_two_ways_is_nobody() {
        for value in [
            "",
            "John Doe",
            "undisclosed-recipients:;",
            "mallory@evil.example boss@company.example",
            "boss@company.example, mallory@evil.example",
            "Team: boss@company.example, mallory@evil.example;",
            "<boss@company.example> <mallory@evil.example>",
            "<boss@company.example> mallory@evil.example",
            "x <mallory@evil.example> boss@company.example",
            "boss@company.example@evil.example",
            "Mallory <mallory@evil.example, boss@company.example>",
            "\"Mallory <boss@company.example>",
            "<>",
            "<boss>",
            "ann@",
            "@example.org",
            "..@example.org",
            "ann@example..org",
            "ann@[127.0.0.1]",
            "änn@example.org",
            "=?utf-8?q?boss=40company.example?=",
            "=?utf-8?q?boss?=@company.example",
            "=?utf-8?q?boss@company.example?= mallory@evil.example",
            "boss@company.example\0@evil.example",
            "<boss@company.example<mallory@evil.example>>",
            "<<boss@company.example>> mallory@evil.example",
            "x@\u{200b}.example",
        ] {
            assert_eq!(sender(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_list_has_the_addresses_that_are_clear_and_their_names() {
        let value = "Mary <@machine.tld:mary@example.net>, , jdoe@test   . example; =?utf-8?q?J=C3=B6rg?= Doe <j@example.net>, \
                     \"Doe, \\\"Jim\\\"\" <jim@example.net>, x@example.net (Xaver), <y@example.net>, y z, g: h@example.net, i@example.net;";
        let found: Vec<_> = list(value.as_bytes())
            .into_iter()
            .map(|mailbox| (mailbox.address, mailbox.name.unwrap_or_default()))
            .collect();
        let expected = [
            ("mary@example.net", "Mary"),
            ("jdoe@test.example", ""),
            ("j@example.net", "Jörg Doe"),
            ("jim@example.net", "Doe, \"Jim\""),
            ("x@example.net", "Xaver"),
            ("y@example.net", ""),
            ("h@example.net", ""),
            ("i@example.net", ""),
        ];
        assert_eq!(found, expected.map(|(address, name)| (address.to_owned(), name.to_owned())));
        let long = format!("{} <a@b>", "é".repeat(1000));
        assert_eq!(list(long.as_bytes())[0].name.as_ref().unwrap().len(), NAME_BYTES_MAX);
        assert_eq!(list("a@b,".repeat(2000).as_bytes()).len(), ENTRIES_MAX);
    }
}

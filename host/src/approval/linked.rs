//! What readers make links of in plain text. Pure.
//!
//! No standard says which text of a mail becomes a link: every program finds its own. What is found here is what any of the
//! usual ones find: addresses with a scheme, `www.`, mail addresses, names under a top-level domain there is
//! (`portal.example.com/login`, and also `notes.md`), IP addresses with a path or a port, and the shares of `\\host\share`.
//! What is no link to any of them is none here: `e.g.`, `3.14`, `report.pdf`, `Node.js`.

use super::link::{Leads, host_of, leads};
use crate::address;
use crate::printable::is_blank;
use psl::Psl as _;
use std::collections::BTreeSet;
use url::Host;

/// How many places are counted in one text before counting ends.
pub const FOUND_MAX: usize = 1_000;
/// How much of a run of letters may be a host: no name has more than 253 bytes, and an international one has fewer letters.
const HOST_BYTES_MAX: usize = 512;
/// What browsers take for the dot between two labels.
const DOTS: [char; 4] = ['.', '。', '．', '｡'];

/// Where the links of a text lead.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Hosts, as [`Leads::Host`] has them, and mail addresses, canonical. No more than [`FOUND_MAX`].
    pub places: BTreeSet<String>,
    /// What a web address shows before an `@`, and the host it leads to. No more than [`FOUND_MAX`].
    pub disguised: Vec<(String, String)>,
}

impl Found {
    /// Whether there may be more than were counted.
    pub fn is_full(&self) -> bool {
        self.places.len() >= FOUND_MAX || self.disguised.len() >= FOUND_MAX
    }

    fn lead(&mut self, leads: Option<Leads>) {
        match leads {
            Some(Leads::Host(host)) => drop(self.places.insert(host)),
            Some(Leads::Mail(all)) => self.places.extend(all),
            None => {}
        }
    }
}

/// Finds the links of a text, which is hostile: in time in proportion to it, and memory to [`FOUND_MAX`].
pub fn found(text: &str) -> Found {
    let mut found = Found::default();
    // No reader goes on with a link behind these.
    for piece in text.split(|c: char| is_blank(c) || matches!(c, '<' | '>' | '"' | '“' | '”' | '«' | '»'))
    {
        if !piece.contains([':', '\\']) && !piece.contains(DOTS) {
            continue;
        }
        with_scheme(piece, &mut found);
        bare(piece, &mut found);
        if found.is_full() {
            break;
        }
    }
    found
}

/// Links that begin with a scheme. Browsers take any number of slashes, and backslashes for slashes.
fn with_scheme(piece: &str, found: &mut Found) {
    for (at, _) in piece.match_indices(':') {
        let behind = &piece[at + 1..];
        let authority = behind.trim_start_matches(SLASH);
        if is_authority_behind(&piece[..piece.len() - authority.len()]) {
            let authority = authority.split(['/', '\\', '?', '#']).next().unwrap_or_default();
            // `git@` in `ssh://git@host` is what such addresses are for; browsers have no use for one.
            let of_web = ends_with(&piece[..at], "http") || ends_with(&piece[..at], "https");
            web(authority, |user| of_web || user.contains(DOTS), found);
        } else if ends_with(&piece[..at], "mailto") {
            // The next one is looked at by itself.
            let end = behind
                .match_indices(':')
                .find(|(at, _)| ends_with(&behind[..*at], "mailto"))
                .map(|(at, _)| at);
            let one = &behind[..end.unwrap_or(behind.len())];
            found.lead(leads(&format!("mailto:{one}")));
        }
        if found.is_full() {
            return;
        }
    }
}

const SLASH: [char; 2] = ['/', '\\'];

/// Whether a text ends with a scheme and two slashes, or more.
fn is_authority_behind(text: &str) -> bool {
    let scheme = text.trim_end_matches(SLASH);
    let named =
        scheme.strip_suffix(':').is_some_and(|name| name.ends_with(|c: char| c.is_ascii_alphanumeric()));
    named && text.len() - scheme.len() >= 2
}

/// Whether a text ends with a scheme, in any case.
fn ends_with(text: &str, scheme: &str) -> bool {
    let at = text.len().checked_sub(scheme.len());
    at.and_then(|at| text.get(at..)).is_some_and(|name| name.eq_ignore_ascii_case(scheme))
}

/// A web address, of which readers that end it early see less: then it leads where its beginning does.
fn web(authority: &str, is_disguise: impl Fn(&str) -> bool, found: &mut Found) {
    let early = |c: char| ")]};,'|`".contains(c);
    if let Some((host, user)) = host_of(authority) {
        if let Some(user) = user.filter(|user| is_disguise(user)) {
            found.disguised.push((user.to_owned(), host.clone()));
        }
        // What no name can hold ends the link.
        let host =
            if host.contains(':') { host.as_str() } else { host.split(early).next().unwrap_or_default() };
        let host = host.trim_end_matches(['.', '!', '*', '_', '~']);
        if !host.is_empty() {
            found.places.insert(host.to_owned());
        }
    } else if let Some((host, _)) = authority.split(early).next().and_then(host_of) {
        found.places.insert(host.trim_end_matches('.').to_owned());
    }
}

/// Names and addresses without a scheme.
fn bare(piece: &str, found: &mut Found) {
    let mut rest = piece;
    // Between the scheme of a web address and its path.
    let mut in_address = false;
    while let Some(at) = rest.find(is_of_host) {
        let before = &piece[..piece.len() - rest.len() + at];
        in_address |= is_authority_behind(before.trim_end_matches('%'));
        let length = rest[at..].find(|c| !is_of_host(c)).unwrap_or(rest.len() - at);
        let (run, after) = rest[at..].split_at(length);
        rest = after;
        // Of the host of a web address more is known than its letters.
        if !in_address || !before.ends_with(['%', '@']) {
            run.split("..").for_each(|part| one(before, part, after, found));
        }
        if found.is_full() {
            return;
        }
        let ends = after.starts_with(['/', '?', '#', '\\']);
        if in_address && ends {
            // The path of a web address is no further link, up to where some readers would end it.
            rest = after.find(|c: char| ")]};,'|`".contains(c)).map_or("", |at| &after[at..]);
        }
        in_address &= after.starts_with([':', '@', '%']);
    }
}

/// Looks at one run of the letters of a host, with what stands around it.
fn one(before: &str, run: &str, after: &str, found: &mut Found) {
    let run = run.trim_matches(['.', '-', '_', '。', '．', '｡']);
    let run = match run.get(..2).filter(|_| before.ends_with('%')) {
        // What is left of a character that is written as a number.
        Some(number) if number.bytes().all(|b| b.is_ascii_hexdigit()) => &run[2..],
        _ => run,
    };
    let is_share = before.ends_with("\\\\") && after.starts_with('\\');
    if run.len() > HOST_BYTES_MAX || !is_share && !run.contains(DOTS) {
        return;
    }
    if before.ends_with('@') && !local(before).is_empty() {
        if let Some(host) = host(run).filter(|host| host.contains('.')) {
            found.places.insert(format!("{}@{host}", local(before)));
        }
        return;
    }
    // The local part of an address, which is looked at when its domain comes.
    if after.starts_with('@') && after[1..].starts_with(is_of_host) {
        return;
    }
    let Some(host) = host(run) else { return };
    let is_there = match host.parse::<std::net::Ipv4Addr>() {
        Ok(_) => {
            let port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
            run.matches('.').count() == 3
                && (after.starts_with('/') || after.strip_prefix(':').is_some_and(port))
        }
        Err(_) => is_name(&host),
    };
    if is_share || is_there {
        found.places.insert(host);
    }
}

/// The end of `before`, less its `@`, that readers take for a local part.
fn local(before: &str) -> &str {
    let before = &before[..before.len() - 1];
    let is_of_local = |c: char| c.is_alphanumeric() || ".+_-'%!".contains(c);
    let begin = before.char_indices().rev().take(64).take_while(|(_, c)| is_of_local(*c)).last();
    let local = begin.map_or("", |(at, _)| &before[at..]);
    local.trim_start_matches(|c: char| !c.is_alphanumeric())
}

/// The mail addresses in a text.
pub fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| is_blank(c) || "<>\"()[],;:?&=".contains(c)).filter(|word| address::is_valid(word))
}

/// A run of letters as a host, which browsers go to.
fn host(run: &str) -> Option<String> {
    match Host::parse(run).ok()? {
        Host::Domain(name) => Some(name.trim_end_matches('.').to_owned()),
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(_) => None,
    }
}

/// Whether a host in ASCII is a name people are led to without a scheme.
fn is_name(host: &str) -> bool {
    let labels = || host.split('.');
    let well = labels().count() > 1 && labels().all(|label| (1..=63).contains(&label.len()));
    well && (is_top_level(labels().next_back().unwrap_or_default()) || host.starts_with("www."))
}

/// Whether a label in ASCII is a top-level domain: one of the root zone, or one that is set aside for special use and
/// resolved in places (RFC 2606, RFC 6761, RFC 6762, RFC 7686, RFC 9476, and `internal`).
fn is_top_level(label: &str) -> bool {
    const SPECIAL: &[&str] =
        &["alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"];
    SPECIAL.contains(&label) || psl::List.suffix(label.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// Whether a character may stand in a run that is looked at as a host. Scripts that are written without spaces end it: people
/// write a name right behind their letters.
fn is_of_host(c: char) -> bool {
    let without_spaces = matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    matches!(c, '.' | '-' | '_' | '。' | '．' | '｡') || c.is_alphanumeric() && !without_spaces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        found(text).places.into_iter().collect()
    }

    #[test]
    fn links_are_found_as_readers_find_them() {
        for (text, expected) in [
            (
                "Please confirm at payroll-portal.evil.example/login before noon, or write to ceo@evil.example.",
                &["ceo@evil.example", "payroll-portal.evil.example"][..],
            ),
            (
                "https://Evil.example:8080/?q=1, (www.x.org) http://y.z. ftp:////w.v\\x https:// http://[::1]:80/",
                &["::1", "evil.example", "w.v", "www.x.org", "y.z"],
            ),
            (
                "mailto:a@b.c mailto:thief%40evil.example,b@c.org?bcc=d@e.org",
                &["a@b.c", "b@c.org", "d@e.org", "evil.example", "thief@evil.example"],
            ),
            (
                "(see bank.com), 'evil.example' [docs.evil.example] <x@evil.example>; e@f.org,g.org",
                &["bank.com", "docs.evil.example", "e@f.org", "evil.example", "g.org", "x@evil.example"],
            ),
            ("WWW.Evil.Example/x", &["www.evil.example"]),
            ("evil.example:8080 and evil.example?x evil.example#y", &["evil.example"]),
            (
                "http://0x7f.1/x and 10.0.0.1/x and 10.0.0.2:80 \\\\10.0.0.3\\share",
                &["10.0.0.1", "10.0.0.2", "10.0.0.3", "127.0.0.1"],
            ),
            ("https:\\\\evil.example\\x https:///evil.org", &["evil.example", "evil.org"]),
            ("https://%65vil.example/ https://evil。org/", &["evil.example", "evil.org"]),
            ("пример.рф bücher.de", &["xn--bcher-kva.de", "xn--e1afmkfd.xn--p1ai"]),
            ("詳細はevil.exampleへ。请访问evil.org了解", &["evil.example", "evil.org"]),
            ("https://good.com/index.html,evil.example/login", &["evil.example", "good.com"]),
            ("https://good.com/main.rs?x=y.org https://good.com:80/main.rs", &["good.com"]),
            ("https://good.com/?next=https://evil.example/", &["evil.example", "good.com"]),
            ("notes.md, setup.sh and archive.zip", &["archive.zip", "notes.md", "setup.sh"]),
            ("..evil.example.. -evil.org- a..evil.net", &["evil.example", "evil.net", "evil.org"]),
            ("first.last+tag@evil.example", &["first.last+tag@evil.example"]),
            ("https://bank.com,evil.org/", &["bank.com", "evil.org"]),
        ] {
            assert_eq!(places(text), expected, "{text}");
        }
    }

    #[test]
    fn what_nobody_makes_a_link_of_is_none() {
        for text in [
            "e.g. this, i.e. that, a.m., U.S., z.B. 3.14, v1.2.3, 1.2.3.4, 12.30, report.pdf, Node.js, main.cpp",
            "The end.Then more. \"Well...\" and so on... #1 @ada ada@ @company x@y C:\\Users\\ada a:b 10:30 note:/x",
            "Attached is the quarterly report for review.",
        ] {
            assert_eq!(places(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_user_name_before_a_host_is_a_disguise() {
        let disguised = |text: &str| found(text).disguised;
        let one = |shown: &str| vec![(shown.to_owned(), "evil.example".to_owned())];
        assert_eq!(disguised("Log in at https://bank.com;@evil.example/login today."), one("bank.com;"));
        assert_eq!(
            places("Log in at https://bank.com;@evil.example/login today."),
            ["bank.com", "evil.example"]
        );
        for shown in [
            "bank.com",
            "bank.com)",
            "bank.com]",
            "bank.com:443",
            "bank.com%2f",
            &format!("bank.com{}", "-a".repeat(2_000)),
        ] {
            assert_eq!(disguised(&format!("see https://{shown}@evil.example")), one(shown));
            assert!(
                places(&format!("see https://{shown}@evil.example")).contains(&"evil.example".to_owned()),
                "{shown}"
            );
        }
        assert_eq!(
            disguised("HTTP://paypal@evil.example ssh://git@github.com ftp://bank.com@evil.example").len(),
            2
        );
        assert_eq!(disguised("mail bob@evil.example, https://evil.example/@bank.com"), []);
    }

    #[test]
    fn hostile_text_is_read_in_proportion_to_its_length() {
        let long = |piece: &str| piece.repeat((1 << 20) / piece.len());
        for text in [
            long("://"),
            long("a://"),
            long("www."),
            long("mailto:"),
            long("a@"),
            long("@"),
            long("."),
            long("a."),
            long("a-"),
            long("x.org@"),
            long("mailto:a@b.c,"),
            long("http://a@"),
            long("ü"),
            long("ü."),
            long("a。"),
            long("\\\\a\\"),
            long("http:////"),
            format!("https://{}@x.org", long("a:")),
        ] {
            let found = found(&text);
            assert!(found.places.len() <= FOUND_MAX + 100 && found.disguised.len() <= FOUND_MAX + 100);
        }
    }
}

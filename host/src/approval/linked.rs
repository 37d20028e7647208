//! What readers make links of in plain text. Pure.
//!
//! No standard says which text of a mail becomes a link: every program finds its own. What is found here is what any of the
//! usual ones find: addresses with a scheme, `www.`, mail addresses, names under a top-level domain there is
//! (`portal.example.com/login`, and also `notes.md`), IP addresses with a path or a port, and the shares of `\\host\share`.
//! What is no link to any of them is none here: `e.g.`, `3.14`, `report.pdf`, `Node.js`.

use super::link::{LINK_BYTES_MAX, Leads, host_of, leads};
use crate::address;
use crate::printable::{hidden, is_blank, is_mark};
use percent_encoding::percent_decode_str;
use psl::Psl as _;
use std::collections::BTreeSet;
use std::ops::Range;
use url::Host;

/// How many places are counted in one text before counting ends; of harmless ones, which end nothing, as many are kept.
pub const FOUND_MAX: usize = 1_000;
/// How much of a run of letters may be a host: no name has more than 253 bytes, and an international one has fewer letters.
const HOST_BYTES_MAX: usize = 512;
/// The longest top-level domain in letters of a script without spaces, in characters.
const TOP_LEVEL_CHARS_MAX: usize = 8;
/// What browsers take for the dot between two labels.
const DOTS: [char; 4] = ['.', '。', '．', '｡'];

/// Where the links of a text lead.
pub struct Found<'a> {
    /// Hosts, as [`Leads::Host`] has them, and mail addresses, canonical. No more than twice [`FOUND_MAX`].
    pub places: BTreeSet<String>,
    /// What a web address shows before an `@`, and the host it leads to. No more than [`FOUND_MAX`].
    pub disguised: Vec<(String, String)>,
    /// Places that are not counted, so that they cannot hide the others behind their number.
    is_harmless: &'a dyn Fn(&str) -> bool,
    counted: usize,
    left_out: bool,
}

impl<'a> Found<'a> {
    /// Nothing as yet.
    pub fn new(is_harmless: &'a dyn Fn(&str) -> bool) -> Found<'a> {
        Found { places: BTreeSet::new(), disguised: Vec::new(), is_harmless, counted: 0, left_out: false }
    }

    /// Whether these are all places there are.
    pub fn is_all(&self) -> bool {
        !self.is_full() && !self.left_out
    }

    fn is_full(&self) -> bool {
        self.counted >= FOUND_MAX || self.disguised.len() >= FOUND_MAX
    }

    fn add(&mut self, place: String) {
        if self.places.contains(&place) {
            return;
        }
        if !(self.is_harmless)(&place) {
            self.counted += 1;
        } else if self.places.len() - self.counted >= FOUND_MAX {
            self.left_out = true;
            return;
        }
        self.places.insert(place);
    }

    fn lead(&mut self, leads: Option<Leads>) {
        match leads {
            Some(Leads::Host(host)) => self.add(host),
            Some(Leads::Mail(all)) => all.into_iter().for_each(|address| self.add(address)),
            None => {}
        }
    }

    /// Adds where a link of an HTML body leads, and the addresses that stand in it, to which the first one may lead on.
    pub fn link(&mut self, href: &str) {
        if self.is_full() {
            self.left_out = true;
            return;
        }
        let leads = leads(href);
        if let Some(Leads::Host(_)) = leads {
            with_scheme(href, self);
            with_scheme(&percent_decode_str(href).decode_utf8_lossy(), self);
        }
        self.lead(leads);
    }

    /// Adds the links of a text, which is hostile: in time in proportion to it, and memory to [`FOUND_MAX`].
    pub fn text(&mut self, text: &str) {
        // No reader goes on with a link behind these.
        let ends =
            |c: char| is_blank(c) && !is_unseen(c) || matches!(c, '<' | '>' | '"' | '“' | '”' | '«' | '»');
        for piece in text.split(ends) {
            if !piece.contains([':', '\\']) && !piece.contains(DOTS) {
                continue;
            }
            let piece = without_possessive(piece);
            self.piece(piece);
            // What is not seen and has no business there ends a link for some readers, and browsers do not mind it.
            if piece.contains(is_unseen) && hidden(piece).next().is_some() {
                piece.split(is_unseen).for_each(|piece| self.piece(piece));
            }
            if self.is_full() {
                break;
            }
        }
    }

    fn piece(&mut self, piece: &str) {
        with_scheme(piece, self);
        bare(piece, self);
    }
}

/// Finds the links of a text. What `is_harmless` is found and ends no counting.
pub fn found<'a>(text: &str, is_harmless: &'a dyn Fn(&str) -> bool) -> Found<'a> {
    let mut found = Found::new(is_harmless);
    found.text(text);
    found
}

/// A piece of text without the `’s` behind its last word, which no link goes on with.
fn without_possessive(piece: &str) -> &str {
    match piece.rsplit_once('’') {
        Some((owner, rest)) if !rest.trim_start_matches('s').contains(char::is_alphanumeric) => owner,
        _ => piece,
    }
}

/// Whether a character may stand in a host and is not seen: browsers leave these out of it, or keep them where a script needs them.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{2064}' | '\u{feff}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Links that begin with a scheme. Browsers take any number of slashes, and backslashes for slashes.
fn with_scheme(piece: &str, found: &mut Found<'_>) {
    for (at, _) in piece.match_indices(':') {
        let behind = &piece[at + 1..];
        let authority = behind.trim_start_matches(SLASH);
        if is_authority_behind(&piece[..piece.len() - authority.len()]) {
            let authority = authority.split(['/', '\\', '?', '#']).next().unwrap_or_default();
            // `git@` in `ssh://git@host` is what such addresses are for; browsers have no use for one.
            let of_web = ends_with(&piece[..at], "http") || ends_with(&piece[..at], "https");
            let is_disguise = |user: &str| of_web || user.contains(DOTS);
            web(authority, is_disguise, found);
            // Browsers end a host at a backslash; others take it for a part of a user name.
            let other = &behind[..behind.floor_char_boundary(LINK_BYTES_MAX)];
            let other = other.trim_start_matches(SLASH).split(['/', '?', '#']).next().unwrap_or_default();
            if other.len() > authority.len() && other[authority.len()..].contains('@') {
                web(other, is_disguise, found);
            }
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
fn web(authority: &str, is_disguise: impl Fn(&str) -> bool, found: &mut Found<'_>) {
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
            found.add(host.to_owned());
        }
    } else if let Some((host, _)) = authority.split(early).next().and_then(host_of) {
        found.add(host.trim_end_matches('.').to_owned());
    }
}

/// Names and addresses without a scheme.
fn bare(piece: &str, found: &mut Found<'_>) {
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
            let mut begin = before.len();
            for part in run.split("..") {
                parts(piece, begin..begin + part.len(), found);
                begin += part.len() + "..".len();
            }
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

/// Looks at a run of the letters of a host, which may have sentences in it in scripts that are written without spaces.
fn parts(piece: &str, at: Range<usize>, found: &mut Found<'_>) {
    let around = |at: &Range<usize>| (&piece[..at.start], &piece[at.clone()], &piece[at.end..]);
    let (before, run, after) = around(&at);
    if !run.contains(is_spaceless) {
        return one(before, run, after, found);
    }
    let mut begin = at.start;
    // A dot of these scripts ends a sentence.
    for sentence in run.split('。') {
        let mut rest = begin..begin + sentence.len();
        begin = rest.end + '。'.len_utf8();
        let (before, run, after) = around(&rest);
        if whole(before, run, after, found) {
            continue;
        }
        // People write a name right behind their letters.
        while let Some(at) = piece[rest.clone()].find(|c| !is_spaceless(c)) {
            let at = rest.start + at;
            let end = piece[at..rest.end].find(is_spaceless).map_or(rest.end, |length| at + length);
            one(&piece[..at], &piece[at..end], &piece[end..], found);
            rest.start = end;
        }
    }
}

/// A name in letters of scripts without spaces, such as `日本語.jp`, if a run is one; whether it is. Where it begins is told by what
/// stands before it, `www.` or an `@`, or by its labels, none of which is Latin letters behind others: that is a name behind a word.
fn whole(before: &str, run: &str, after: &str, found: &mut Found<'_>) -> bool {
    let run = run.trim_matches(EDGES);
    let is_share = is_share(before, after);
    if run.len() > HOST_BYTES_MAX || after.starts_with('@') && !is_share {
        return false;
    }
    if is_share {
        host(run).into_iter().for_each(|host| found.add(host));
        return true;
    }
    let local =
        Some(before).filter(|before| before.ends_with('@')).map(local).filter(|local| !local.is_empty());
    let of_web = run.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("www."));
    let Some((labels, last)) = run.rsplit_once(DOTS) else { return false };
    let is_behind_word =
        |label: &str| label.contains(is_spaceless) && label.contains(|c: char| c.is_ascii_alphabetic());
    if local.is_none() && !of_web && labels.split(DOTS).any(is_behind_word) {
        return false;
    }
    let top_level = top_level(last).unwrap_or(if of_web { last } else { "" });
    let name = &run[..run.len() - last.len() + top_level.len()];
    let Some(host) = host(name).filter(|host| is_name(host)) else { return false };
    found.add(match local {
        Some(local) => format!("{local}@{host}"),
        None => host,
    });
    true
}

/// The top-level domain a label begins with that may have a sentence behind it.
fn top_level(label: &str) -> Option<&str> {
    let is_one = |label: &&str| host(label).is_some_and(|label| is_top_level(&label));
    let plain = label.split(is_spaceless).next().unwrap_or_default();
    if !plain.is_empty() {
        return Some(plain).filter(is_one);
    }
    let ends = label.char_indices().map(|(at, c)| at + c.len_utf8()).take(TOP_LEVEL_CHARS_MAX);
    let mut ends: Vec<_> = ends.map(|end| &label[..end]).collect();
    ends.reverse();
    ends.into_iter().find(is_one)
}

/// What a name neither begins nor ends with.
const EDGES: [char; 6] = ['.', '-', '_', '。', '．', '｡'];

/// Whether what stands between these is the host of a share: `\\host\share`, and `\\host@SSL@8443\share` of WebDAV.
fn is_share(before: &str, after: &str) -> bool {
    let is_how = |how: &str| how.eq_ignore_ascii_case("ssl") || how.bytes().all(|b| b.is_ascii_digit());
    let behind_how = || {
        let how = after.strip_prefix('@').and_then(|rest| rest.split_once(SLASH));
        how.is_some_and(|(how, _)| how.split('@').all(is_how))
    };
    before.ends_with("\\\\") && (after.starts_with(SLASH) || behind_how())
}

/// Looks at one run of the letters of a host, with what stands around it.
fn one(before: &str, run: &str, after: &str, found: &mut Found<'_>) {
    let run = run.trim_matches(|c| EDGES.contains(&c) || is_unseen(c));
    let run = match run.get(..2).filter(|_| before.ends_with('%')) {
        // What is left of a character that is written as a number.
        Some(number) if number.bytes().all(|b| b.is_ascii_hexdigit()) => &run[2..],
        _ => run,
    };
    let is_share = is_share(before, after);
    if run.len() > HOST_BYTES_MAX || !is_share && !run.contains(DOTS) {
        return;
    }
    if before.ends_with('@') && !local(before).is_empty() {
        if let Some(host) = host(run).filter(|host| host.contains('.')) {
            found.add(format!("{}@{host}", local(before)));
        }
        return;
    }
    // The local part of an address, which is looked at when its domain comes.
    if !is_share && after.starts_with('@') && after[1..].starts_with(is_of_host) {
        return;
    }
    let Some(host) = host(run) else { return };
    let is_there = match host.parse::<std::net::Ipv4Addr>() {
        Ok(_) => {
            let port = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
            is_in_four(run) && (after.starts_with('/') || after.strip_prefix(':').is_some_and(port))
        }
        Err(_) => is_name(&host),
    };
    if is_share || is_there {
        found.add(host);
    }
}

/// Whether an address of a machine is written in four numbers.
fn is_in_four(run: &str) -> bool {
    run.matches('.').count() == 3
}

/// The machine a text names that is nothing else than the address of one.
pub fn machine(text: &str) -> Option<String> {
    let text = text.trim();
    let address = host(text).filter(|host| is_in_four(text) && host.parse::<std::net::Ipv4Addr>().is_ok());
    address
        .or_else(|| text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().ok().map(|it| it.to_string()))
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
pub fn is_name(host: &str) -> bool {
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

/// Whether a character may stand in a run that is looked at as a host.
pub fn is_of_host(c: char) -> bool {
    EDGES.contains(&c) || c.is_alphanumeric() || is_mark(c) || is_unseen(c)
}

/// Whether a character is of a script that is written without spaces: people write a name right behind its letters.
fn is_spaceless(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::super::names::tests::takes_at_most;
    use super::*;

    fn found(text: &str) -> Found<'static> {
        super::found(text, &|_| false)
    }

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
            (
                "Log in at www.日本語.jp/login, 日本語.jp, ceo@日本語.jp or www.ไทย.com/x",
                &[
                    "ceo@xn--wgv71a119e.jp",
                    "www.xn--o3cw4h.com",
                    "www.xn--wgv71a119e.jp",
                    "xn--wgv71a119e.jp",
                ],
            ),
            (
                "例子.中国へ www.日本語bank.co.jp boss@日本bank.jpへ",
                &["boss@xn--bank-f79hm9d.jp", "www.xn--bank-f79hm9d2w6i.co.jp", "xn--fsqu00a.xn--fiqs8s"],
            ),
            ("www.हिन्दी.com", &["www.xn--j2bd4cyah0f.com"]),
            ("http://می\u{200c}خواهم.com/ می\u{200c}خواهم.com", &["xn--mgbn2ecje63gr19l.com"]),
            ("ba\u{ad}nk.com", &["bank.com", "nk.com"]),
            ("http://bank.com\\@evil.example", &["bank.com", "evil.example"]),
            (
                "\\\\evil.example@SSL\\share \\\\evil.org@8080\\x \\\\x.org@SSL@443\\y \\\\nas\\share",
                &["evil.example", "evil.org", "nas", "x.org"],
            ),
            ("http://company.com’s https://evil.example’,", &["company.com", "evil.example"]),
            ("終わりです。info@company.com、または。Email:", &["info@company.com"]),
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
            "今日は良い天気です。Link です。我去上海。me too。3.14です、报告.pdf",
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
        let long = |piece: &str| piece.repeat((1 << 18) / piece.len());
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
            long("a:\\\\"),
            long("日本.jp"),
            long("日"),
            long("a\u{200b}"),
            long("’s"),
            format!("https://{}@x.org", long("a:")),
        ] {
            let eighth = &text[..text.floor_char_boundary(text.len() / 8)];
            takes_at_most(8 * 3, || drop(found(eighth)), || drop(found(&text)));
            let found = found(&text);
            assert!(found.places.len() <= FOUND_MAX + 100 && found.disguised.len() <= FOUND_MAX + 100);
        }
    }

    #[test]
    fn harmless_places_hide_no_other() {
        let many: String = (0..=2 * FOUND_MAX).map(|n| format!("h{n}.company.com ")).collect();
        let is_harmless = |place: &str| place.ends_with(".company.com");
        let found = super::found(&format!("{many} https://evil.example/login"), &is_harmless);
        assert!(found.places.contains("evil.example") && !found.is_all());
        assert_eq!(found.places.len(), FOUND_MAX + 1);
        let found = super::found(&format!("{many} https://evil.example/login"), &|_| false);
        assert!(!found.places.contains("evil.example") && !found.is_all());
        assert!(super::found("h1.company.com evil.example", &is_harmless).is_all());
    }

    #[test]
    fn a_link_names_what_stands_in_it() {
        for href in [
            "https://company.com/r?to=https://evil.example/",
            "https://company.com/r?to=https%3A%2F%2Fevil.example%2F",
            "https://company.com/https://evil.example/",
        ] {
            let mut found = Found::new(&|_| false);
            found.link(href);
            assert_eq!(Vec::from_iter(found.places), ["company.com", "evil.example"], "{href}");
        }
        let mut found = Found::new(&|_| false);
        found.link("https://company.com/report.zip?by=ada@company.org");
        assert_eq!(Vec::from_iter(found.places), ["company.com"]);
    }

    #[test]
    fn a_machine_is_named_by_its_address_alone() {
        for (text, named) in [(" 10.0.0.1 ", "10.0.0.1"), ("[::1]", "::1"), ("010.0.0.1", "8.0.0.1")] {
            assert_eq!(machine(text).as_deref(), Some(named), "{text}");
        }
        for text in ["", "1.2.3", "version 1.2.3.4", "3", "1.2.3.4.5", "10.0.0.256"] {
            assert_eq!(machine(text), None, "{text}");
        }
    }
}

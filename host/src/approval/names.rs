//! Names of hosts and addresses as people tell them apart: by the end of them. Pure.

use crate::printable::short;
use psl::Psl as _;
use std::collections::{BTreeMap, BTreeSet};
use unicode_security::skeleton;

/// How many domains somebody writes to are compared with.
pub const FAMILIAR_MAX: usize = 500;
/// From how many characters on a name is compared by one letter more, less or other, and found within another.
const COMPARED_CHARS_MIN: usize = 5;
/// From how many characters on a name is found at the beginning or the end of another: shorter ones are words of too many names.
const WITHIN_CHARS_MIN: usize = 6;
/// The longest label of a domain, in characters: RFC 1035, 2.3.4.
const LABEL_CHARS_MAX: usize = 63;

/// The part of a host somebody registers, by the public suffix list: `evil.example` of `bank.com.evil.example`, and
/// `ada.github.io` of itself. Where there is none, such as in an IP address, all of it. The host is canonical.
pub fn registrable(host: &str) -> &str {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host;
    }
    psl::List
        .domain(host.as_bytes())
        .and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok())
        .unwrap_or(host)
}

/// The domain of an address, and a host as it is.
pub fn domain(name: &str) -> &str {
    name.rsplit_once('@').map_or(name, |(_, domain)| domain)
}

/// A host or an address on one line, with no more than `chars_max` characters of it. What is left out is left out at the
/// beginning, or behind the beginning of a local part, so that the end stays, by which it is told where mail goes.
pub fn short_name(name: &str, chars_max: usize) -> String {
    let total = name.chars().count();
    if total <= chars_max {
        return short(name, chars_max);
    }
    let (local, host) = match name.rsplit_once('@') {
        Some((local, host)) => (Some(local), host),
        None => (None, name),
    };
    let tail = |text: &str, chars: usize| {
        text.chars().skip(text.chars().count().saturating_sub(chars)).collect::<String>()
    };
    // A local part has up to a quarter, so that who it is can be told as well.
    let begin: String = local.unwrap_or_default().chars().take(chars_max / 4).collect();
    let room = chars_max - begin.chars().count();
    let is_cut = host.chars().count() > room;
    let end = tail(host, room);
    let kept = begin.chars().count() + end.chars().count();
    let end = short(&end, chars_max);
    let left_out = format!("({} characters left out)", total - kept - usize::from(local.is_some()));
    match local {
        None => format!("…{end} {left_out}"),
        Some(local) => {
            let dots = if begin.len() < local.len() { "…" } else { "" };
            format!("{}{dots}@{}{end} {left_out}", short(&begin, chars_max), if is_cut { "…" } else { "" })
        }
    }
}

/// Hosts or addresses in a cell of a table: all of them where they take no more than `chars_max` characters, else the first one
/// and how many there are beside it.
pub fn short_list(names: &[&str], chars_max: usize) -> String {
    let all = names.join(", ");
    match names {
        [first, others @ ..] if all.chars().count() > chars_max => {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            short_name(first, chars_max) + &more
        }
        _ => short(&all, chars_max),
    }
}

/// As many characters of a host or an address as `chars_max`, the end of it: for programs, as it stands in the message.
pub fn end_of(name: &str, chars_max: usize) -> String {
    let total = name.chars().count();
    name.chars().skip(total.saturating_sub(chars_max)).collect()
}

/// What a name looks like at a glance: two names that are easily taken for one another have the same look.
///
/// It is the skeleton of Unicode's confusables (UTS 39), which makes one of `а` and `a`, and of `rn` and `m`, without case and
/// accents; and further one of what people mistake within Latin letters and digits, such as `1`, `l` and `i`, `0` and `o`,
/// `vv` and `w`.
fn look(name: &str) -> String {
    letters(name).replace("rn", "m").replace("vv", "w").replace("cl", "d")
}

/// The look of each letter of a name by itself.
fn letters(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    // Case first: capitals have looks of their own, which small letters in a name do not have.
    for c in
        skeleton(&name.to_lowercase()).flat_map(char::to_lowercase).filter(|c| !crate::printable::is_mark(*c))
    {
        out.push(match c {
            '0' => 'o',
            '1' | 'i' | 'j' | '|' | 'ı' => 'l',
            '3' => 'e',
            '4' => 'a',
            '5' => 's',
            '6' | '9' | 'q' => 'g',
            '7' => 't',
            '8' => 'b',
            '2' => 'z',
            c => c,
        });
    }
    out
}

/// A look in which `ri` is taken for `n` as well: for long names alone, as short words differ by no more.
fn blurred(look: &str) -> String {
    look.replace("rl", "n")
}

/// Domains a person knows, and what could be taken for one of them.
#[derive(Debug, Default)]
pub struct Familiar {
    domains: BTreeSet<String>,
    looks: BTreeMap<String, String>,
    /// The part of a known domain before its public suffix, where it is long enough, in each of its looks.
    names: BTreeMap<String, String>,
    /// The part of a known domain before its public suffix, and each of its looks with one letter less.
    labels: BTreeMap<String, String>,
}

impl Familiar {
    /// Knows the registrable parts of these domains, no more than [`FAMILIAR_MAX`].
    pub fn new<'a>(domains: impl IntoIterator<Item = &'a str>) -> Familiar {
        let mut known = Familiar::default();
        for domain in domains.into_iter().take(FAMILIAR_MAX) {
            let domain = registrable(&domain.to_ascii_lowercase()).to_owned();
            if !domain.contains('.') || !known.domains.insert(domain.clone()) {
                continue;
            }
            known.looks.entry(look(&domain)).or_insert_with(|| domain.clone());
            let label = label(&domain);
            let (letters, label) = (letters(label), look(label));
            if label.chars().count() >= COMPARED_CHARS_MIN {
                for name in [blurred(&label), letters, label.clone()] {
                    known.names.entry(name).or_insert_with(|| domain.clone());
                }
            }
            for near in nearly(&label) {
                known.labels.entry(near).or_insert_with(|| domain.clone());
            }
        }
        known
    }

    /// Whether a host, or the domain of an address, belongs to one of these.
    pub fn knows(&self, name: &str) -> bool {
        self.domains.contains(registrable(domain(name)))
    }

    /// The familiar domain that a host or the domain of an address, canonical, imitates: it looks the same, or has it before its
    /// registrable end; and, where it is not familiar itself, it has it before its end, differs by one letter, is the same under
    /// another suffix, or has it as a word, or at its beginning or end.
    pub fn imitated(&self, name: &str) -> Option<&str> {
        let host = domain(name);
        if self.domains.is_empty() {
            return None;
        }
        let shown = unicode(host);
        let own = registrable(&shown);
        let before = shown.strip_suffix(own).unwrap_or_default();
        // What looks the same stays odd, however often somebody has written to it: of two such domains the first is meant.
        let same = self.looks.get(&look(own)).map(String::as_str);
        let found = match self.knows(host) {
            true => self.inside(before, true).or(same),
            false => self.inside(&shown, false).or(same).or_else(|| self.alike(own)),
        };
        found.filter(|domain| *domain != registrable(host))
    }

    /// The familiar domain that a registrable one nearly looks like, or has in it.
    fn alike(&self, own: &str) -> Option<&str> {
        let label = label(own);
        let look = look(label);
        let near = nearly(&look).iter().find_map(|near| self.labels.get(near));
        let known = |name: &str| self.names.get(name);
        let found = near.or_else(|| known(&blurred(&look))).or_else(|| {
            let mut words = label.split('-').map(self::look);
            label.contains('-').then(|| words.find_map(|word| known(&word))).flatten()
        });
        let within = || {
            let words = label.split('-').chain([label]);
            words.flat_map(|word| [self::look(word), letters(word)]).find_map(|look| self.within(&look))
        };
        found.map(String::as_str).or_else(within)
    }

    /// The familiar domain whose name another one begins or ends with, as `mycompany.com` and `companylogin.com` do.
    fn within(&self, look: &str) -> Option<&str> {
        let borders: Vec<_> = look.char_indices().map(|(at, _)| at).take(LABEL_CHARS_MAX).collect();
        let long = borders.get(WITHIN_CHARS_MIN..).unwrap_or_default();
        let begins = long.iter().map(|at| &look[..*at]);
        let ends = borders.iter().rev().skip(WITHIN_CHARS_MIN - 1).map(|at| &look[*at..]);
        begins.chain(ends).find_map(|part| self.names.get(part)).map(String::as_str)
    }

    /// The familiar domain that stands in these labels, the end of them left out unless `at_end`: `company.com` in
    /// `company.com.evil.example`, `company-com.evil.example` and `company.com-secure.example`.
    fn inside(&self, labels: &str, at_end: bool) -> Option<&str> {
        let parts: Vec<_> = labels.split(['.', '-']).filter(|part| !part.is_empty()).map(look).collect();
        let parts = &parts[..parts.len().saturating_sub(usize::from(!at_end))];
        // A domain has two labels or three, such as `company.co.uk`.
        let mut windows = (2..=3).flat_map(|length| parts.windows(length));
        windows.find_map(|window| self.looks.get(&window.join("."))).map(String::as_str)
    }
}

/// The label before the public suffix.
fn label(domain: &str) -> &str {
    let suffix = psl::List.suffix(domain.as_bytes()).map_or(0, |suffix| suffix.as_bytes().len());
    domain[..domain.len() - suffix].trim_end_matches('.')
}

/// A look, and those with one letter less: two words of which one has a letter more, or another one, share one of these.
fn nearly(look: &str) -> Vec<String> {
    let chars: Vec<_> = look.chars().take(64).collect();
    let mut all = vec![look.to_owned()];
    if chars.len() >= COMPARED_CHARS_MIN {
        all.extend(
            (0..chars.len()).map(|at| [&chars[..at], &chars[at + 1..]].concat().into_iter().collect()),
        );
    }
    all
}

/// A host with its encoded labels decoded, where they can be.
pub fn unicode(host: &str) -> String {
    idna::domain_to_unicode(host).0
}

/// Whether a name in other letters than Latin reads like a Latin one: all of it looks like ASCII, and not all of it is.
pub fn reads_latin(label: &str) -> bool {
    !label.is_ascii() && !label.is_empty() && skeleton(label).all(|c| c.is_ascii())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    fn what_somebody_registers_is_told_by_the_public_suffix_list() {
        for (host, own) in [
            ("login.bank.com.evil.example", "evil.example"),
            ("a.b.co.uk", "b.co.uk"),
            ("ada.github.io", "ada.github.io"),
            ("x.ada.github.io", "ada.github.io"),
            ("localhost", "localhost"),
            ("192.0.2.1", "192.0.2.1"),
            ("::1", "::1"),
            ("com", "com"),
        ] {
            assert_eq!(registrable(host), own, "{host}");
        }
    }

    #[test]
    fn a_name_is_cut_from_its_harmless_end() {
        assert_eq!(short_name("evil.example", 20), "evil.example");
        let host = format!("login.bank.com.{}.evil.example", "a".repeat(50));
        assert_eq!(short_name(&host, 20), "…aaaaaaa.evil.example (58 characters left out)");
        assert_eq!(
            short_name(&format!("anna@{host}"), 20),
            "anna@…aaa.evil.example (62 characters left out)"
        );
        assert_eq!(
            short_name(&format!("{}@evil.example", "b".repeat(64)), 20),
            "bbbbb…@evil.example (59 characters left out)"
        );
        assert_eq!(end_of(&host, 12), "evil.example");
        for chars_max in 12..120 {
            for name in [host.clone(), format!("a.long.local.part.of.somebody@{host}")] {
                let short = short_name(&name, chars_max);
                assert!(
                    short.contains("evil.example"[12_usize.saturating_sub(chars_max * 3 / 4)..].trim()),
                    "{short}"
                );
                assert!(short.chars().count() <= chars_max + 32, "{short}");
            }
        }
    }

    #[test]
    fn a_list_that_is_too_long_says_how_many_there_are() {
        assert_eq!(short_list(&["a@b.example", "c@d.example"], 40), "a@b.example, c@d.example");
        assert_eq!(short_list(&["a@b.example", "c@d.example"], 20), "a@b.example and 1 more");
        let long = format!("anna@bank.com.{}.evil.example", "a".repeat(50));
        assert_eq!(short_list(&[&long, "c@d.example"], 20), format!("{} and 1 more", short_name(&long, 20)));
        assert_eq!(short_list(&[], 20), "");
    }

    #[test]
    fn what_could_be_taken_for_a_familiar_domain_imitates_it() {
        let known = Familiar::new([
            "company.com",
            "mail.paypal.com",
            "bank.co.uk",
            "web.de",
            "microsoft.com",
            "wells.com",
        ]);
        for (name, imitated) in [
            ("thief@cornpany.com", "company.com"),
            ("c0mpany.com", "company.com"),
            ("paypa1.com", "paypal.com"),
            ("paypai.com", "paypal.com"),
            ("www.paypaI.com".to_lowercase().as_str(), "paypal.com"),
            ("vvells.com", "wells.com"),
            ("xn--80aa0cbo65f.com", "paypal.com"),
            ("companny.com", "company.com"),
            ("compny.com", "company.com"),
            ("conpany.com", "company.com"),
            ("company.co", "company.com"),
            ("company.github.io", "company.com"),
            ("company.com.evil.example", "company.com"),
            ("x@login.company.com.evil.example", "company.com"),
            ("company-com.evil.example", "company.com"),
            ("bank.co.uk.evil.example", "bank.co.uk"),
            ("cornpany.com.evil.example", "company.com"),
            ("company-login.example", "company.com"),
            ("secure-rnicrosoft-mail.example", "microsoft.com"),
            ("rnicrosoft.com", "microsoft.com"),
            ("bank.uk.com", "bank.co.uk"),
            ("company.com-secure.example", "company.com"),
            ("cornpany-com-secure.example", "company.com"),
            ("x@company.com.evil", "company.com"),
            ("company.com.example", "company.com"),
            ("companyinc.com", "company.com"),
            ("mycompany.com", "company.com"),
            ("companylogin.com", "company.com"),
            ("companycom.com", "company.com"),
            ("secure-paypalpayments.example", "paypal.com"),
            ("compariy.com", "company.com"),
            ("bank.co.uk-login.example", "bank.co.uk"),
        ] {
            assert_eq!(known.imitated(name), Some(imitated), "{name}");
        }
        // Also of a domain that is known itself.
        let both = Familiar::new(["company.com", "evil.example"]);
        assert_eq!(both.imitated("company.com.evil.example"), Some("company.com"));
        assert_eq!(both.imitated("www.evil.example"), None);
        let both = Familiar::new(["company.com", "cornpany.com", "company.org"]);
        assert_eq!(both.imitated("www.cornpany.com"), Some("company.com"));
        assert_eq!([both.imitated("company.com"), both.imitated("company.org")], [None, None]);
        for name in [
            "company.com",
            "ada@mail.company.com",
            "paypal.com",
            "example.org",
            "company.atlassian.net",
            "wiki.example",
            "bank-holiday.example",
            "wellspring.example",
            "riverbank.example",
            "weber.de",
            "compass.com",
            "accompanying.example",
            "w.de",
            "webb.de",
            "192.0.2.1",
            "",
            "localhost",
        ] {
            assert_eq!(known.imitated(name), None, "{name}");
        }
        assert_eq!(Familiar::default().imitated("cornpany.com"), None);
    }

    #[test]
    fn a_name_in_other_letters_may_read_like_a_latin_one() {
        assert!(reads_latin("аррӏе") && reads_latin("ѕсоре"));
        for label in ["apple", "пример", "bücher", "日本", ""] {
            assert!(!reads_latin(label), "{label}");
        }
    }

    #[test]
    fn names_are_compared_in_proportion_to_their_length_and_to_no_number_of_known_ones() {
        let known = |count: usize| {
            let many: Vec<_> = (0..count).map(|n| format!("q{n}-w{n}.com")).collect();
            let known = Familiar::new(many.iter().map(String::as_str));
            assert_eq!(known.domains.len(), count.min(FAMILIAR_MAX));
            known
        };
        let (few, many) = (known(FAMILIAR_MAX / 100), known(4 * FAMILIAR_MAX));
        let compare = |known: &Familiar| {
            (0..500).for_each(|n| assert_eq!(known.imitated(&format!("x{n}x-y{n}y.example")), None));
        };
        takes_at_most(8, || compare(&few), || compare(&many));
        let name = |labels: usize| vec!["a-b"; labels].join(".");
        let (short, long) = (name(500), name(4_000));
        let compare = |name: &str| assert_eq!(many.imitated(name), None);
        takes_at_most(8 * 3, || compare(&short), || compare(&long));
    }

    /// That something takes no more than so many times as long as another, each in the fastest of several runs.
    #[allow(clippy::disallowed_methods, reason = "how long something takes is read from the wall clock")]
    pub(crate) fn takes_at_most(times: u32, one: impl Fn(), other: impl Fn()) {
        let fastest = |run: &dyn Fn()| {
            let timed = |_| {
                let begun = std::time::Instant::now();
                run();
                begun.elapsed()
            };
            (0..3).map(timed).min().unwrap()
        };
        let (one, other) = (fastest(&one), fastest(&other));
        assert!(
            other <= one * times + std::time::Duration::from_millis(1),
            "{one:?}, and the other {other:?}"
        );
    }
}

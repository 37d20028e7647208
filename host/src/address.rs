//! Which texts are addresses a message may go to. Pure.
//!
//! An address names one mailbox at the domain behind its `@`, and nothing else. Whatever some mail server reads as a way to
//! somewhere else, or as something other than a mailbox, is refused here: a scope, an operator's list and a person's eye all
//! judge an address by its domain, so that domain must be where the message goes.

use std::fmt;

/// RFC 5321, 4.5.3.1.1.
const LOCAL_BYTES_MAX: usize = 64;
/// RFC 5321, 4.5.3.1.2, less the room the protocol itself takes.
const DOMAIN_BYTES_MAX: usize = 253;
/// RFC 3696, erratum 1690.
const ADDRESS_BYTES_MAX: usize = 254;

/// Why a text is no address a message may go to. Printed, it is a sentence that ends in the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is outside the grammar of [`fault`].
    Grammar,
    /// Its local part has a character that servers read as a route, a file or a program.
    Route(char),
    /// Its local part begins with `IMCEA` and a kind: Exchange takes the address of another system out of it.
    Capsule,
    /// Its local part begins with a hyphen: programs that are handed the address read it as an option.
    Option,
    /// The last label of its domain is a number, such as in `a@192.0.2.1` and `a@0x7f000001`.
    Number,
    /// It holds the beginning of an encoded word of RFC 2047.
    EncodedWord,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Grammar => f.write_str("It is no plain address: write `name@domain`, without a display name."),
            Fault::Route(c @ ('%' | '!')) => write!(
                f,
                "Mail servers read `{c}` as a route to another domain: write the address of the one it is meant for."
            ),
            Fault::Route(c) => write!(
                f,
                "Mail servers read `{c}` as a file, a program or a way to another network: write an address without it."
            ),
            Fault::Capsule => f.write_str(
                "Mail servers take another address out of one that begins with `IMCEA` and send there: write the address of the \
                 one it is meant for.",
            ),
            Fault::Option => f.write_str(
                "Mail programs read a hyphen at the beginning as an option: write an address that does not begin with it.",
            ),
            Fault::Number => f.write_str(
                "Mail servers read a domain that ends in a number as the address of a machine: write the name of the domain.",
            ),
            Fault::EncodedWord => {
                f.write_str("Mail programs decode `=?` and show somebody else: write the address as it is.")
            }
        }
    }
}

/// Whether `text` is an address a message may go to.
pub fn is_valid(text: &str) -> bool {
    fault(text).is_none()
}

/// What keeps `text` from being an address a message may go to.
///
/// The grammar is that of the HTML standard (what browsers accept in `<input type=email>`), with dots in the local part only
/// between other characters, and less whatever a mail server may act on. Quoted local parts, comments, groups, display names,
/// address literals, source routes (`@a,@b:c@d`) and non-ASCII local parts are not addresses here: each of them has been used
/// to show one recipient and reach another. Tags (`name+tag`) and the `=` of bounce addresses and of gateways stay, as
/// honest senders have them: what of a local part a server acts on is its own affair, and some of them send to the domain in
/// it, so that [`named_domain`] tells people of it.
pub fn fault(text: &str) -> Option<Fault> {
    // Guest-controlled: the lengths come first, so that nothing below reads more than a few hundred bytes.
    if text.len() > ADDRESS_BYTES_MAX {
        return Some(Fault::Grammar);
    }
    if text.contains("=?") {
        return Some(Fault::EncodedWord);
    }
    let Some((local, domain)) = text.split_once('@') else { return Some(Fault::Grammar) };
    if !is_local(local) || !is_domain(domain) || text.parse::<lettre::Address>().is_err() {
        return Some(Fault::Grammar);
    }
    if let Some(c) = local.chars().find(|c| ACTS.contains(c)) {
        return Some(Fault::Route(c));
    }
    if is_capsule(local) {
        return Some(Fault::Capsule);
    }
    if local.starts_with('-') {
        return Some(Fault::Option);
    }
    ends_in_number(domain).then_some(Fault::Number)
}

/// What the grammar allows in a local part and servers act on: `%` (Postfix, Sendmail and Exim rewrite `a%b@c` to `a@b`), `!`
/// (the paths of UUCP), `/` (files, and the attributes of X.400), `|`, `` ` ``, `$`, `{` and `}` (programs and expansions).
const ACTS: [char; 8] = ['%', '!', '/', '|', '`', '$', '{', '}'];

/// Whether a local part is an address of another system in the capsule of Exchange, `IMCEASMTP-thief+40evil+2Eexample`: `IMCEA`, a
/// kind of system such as `X400`, and a hyphen, in any case.
fn is_capsule(local: &str) -> bool {
    const BEGIN: &str = "IMCEA";
    let kind = local
        .get(..BEGIN.len())
        .filter(|begin| begin.eq_ignore_ascii_case(BEGIN))
        .map(|_| &local[BEGIN.len()..]);
    kind.and_then(|kind| kind.split_once('-'))
        .is_some_and(|(kind, _)| kind.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// The other domain that the local part of an address names, as in `list-subscribe-ada=other.example@lists.example`,
/// `SRS0=hash=tt=other.example=ada@forwarder.example` and `ada_at_other.example@gateway.example`: some servers send there.
pub fn named_domain(address: &str, is_name: impl Fn(&str) -> bool) -> Option<&str> {
    let (local, domain) = address.rsplit_once('@')?;
    let mut pieces: Vec<_> = local.split(|c: char| "=#?*^~&".contains(c)).collect();
    // A local part of one piece is a name, whatever its dots make of it.
    if pieces.len() == 1 {
        pieces.clear();
    }
    for at in ["_at_", "-at-", ".at.", "+at+"] {
        let lower = local.to_ascii_lowercase();
        pieces.extend(lower.match_indices(at).map(|(begin, _)| &local[begin + at.len()..]));
    }
    let trimmed = pieces.into_iter().map(|piece| piece.trim_matches(['.', '-', '_', '+']));
    let mut named = trimmed.filter(|piece| piece.contains('.') && is_domain(piece) && is_name(piece));
    named.find(|piece| !piece.eq_ignore_ascii_case(domain))
}

/// Whether `text` is an address a message can have come from: the grammar of [`fault`], and quoted local parts. Nothing is sent to
/// those of them that are not [valid](is_valid), and no pattern covers them.
pub fn is_sender(text: &str) -> bool {
    match fault(text) {
        None | Some(Fault::Route(_) | Fault::Capsule | Fault::Option | Fault::Number) => return true,
        Some(_) => {}
    }
    if text.len() > ADDRESS_BYTES_MAX || text.contains("=?") {
        return false;
    }
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let Some(inner) = local.strip_prefix('"').and_then(|local| local.strip_suffix('"')) else { return false };
    let mut escaped = false;
    let fits = inner.bytes().all(|byte| {
        let plain = matches!(byte, b' '..=b'~') && (escaped || byte != b'"');
        escaped = byte == b'\\' && !escaped;
        plain
    });
    fits && !escaped && !inner.is_empty() && local.len() <= LOCAL_BYTES_MAX && is_domain(domain)
}

/// A local part in quotes: RFC 5322, 3.2.4.
pub fn quoted(local: &str) -> String {
    format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
}

fn is_local(local: &str) -> bool {
    local.len() <= LOCAL_BYTES_MAX
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
        })
}

fn is_domain(domain: &str) -> bool {
    domain.len() <= DOMAIN_BYTES_MAX
        && domain.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Whether the last label is a number in one of the writings of the URL standard's IPv4 parser: decimal, octal or hexadecimal.
fn ends_in_number(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    match last.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => last.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Whether some address a message may go to is covered by a pattern in which `*` stands for any run of characters.
///
/// A pattern that covers none would allow nothing of what its writer meant by it.
pub fn is_coverable(pattern: &str) -> bool {
    if pattern.len() > ADDRESS_BYTES_MAX || !pattern.contains(['@', '*']) {
        return false;
    }
    // Where the `@` is spelled out, stars are letters or nothing; else one of them covers it. Every `*` of a short pattern is
    // tried for that, which is a few hundred texts of a few hundred bytes.
    let filled = |text: &str, with: &str| text.replace('*', with);
    let any = |text: &str| ["a", ""].iter().any(|with| is_valid(&filled(text, with)));
    if pattern.contains('@') {
        return any(pattern);
    }
    pattern.match_indices('*').any(|(at, _)| {
        let (before, after) = (&pattern[..at], &pattern[at + 1..]);
        any(&format!("{before}a@a{after}"))
            || any(&format!("{before}@a{after}"))
            || any(&format!("{before}a@{after}"))
    })
}

/// The address with its domain in lower case. The local part belongs to the receiving server and stays as it is.
pub fn canonical(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", domain.to_ascii_lowercase()),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_addresses() {
        for good in [
            "a@b",
            "team@company.com",
            "first.last+tag@sub.example.co",
            "o'hara@example.com",
            "r&d@example.com",
            "bounce+ada=company.com@lists.example",
            "a-b_c@3com.example",
            "x@1.2.3.4.example",
            "x@0xyz",
            "imcea@company.com",
            "an-imceasmtp-x@company.com",
        ] {
            assert!(is_valid(good), "{good}");
        }
        let long_local = format!("{}@example.com", "a".repeat(64));
        assert!(is_valid(&long_local));
    }

    #[test]
    fn what_only_looks_like_an_address_is_none() {
        let long = [
            format!("{}@example.com", "a".repeat(65)),
            format!("a@{}.com", "b".repeat(64)),
            format!("a@{}", ["b"; 130].join(".")),
        ];
        let bad = [
            "",
            "a",
            "@",
            "a@",
            "@b",
            "a@@b",
            "a b@c",
            "a@b c",
            " a@b",
            "a@b ",
            ".a@b",
            "a.@b",
            "a..b@c",
            "a@.b",
            "a@b.",
            "a@b..c",
            "a@-b",
            "a@b-",
            "\"a\"@b",
            "a(x)@b",
            "Bob <bob@x.com>",
            "<bob@x.com>",
            "a@b,c@d",
            "g:a@b;",
            "a@b\r\nBcc: c@d",
            "a@[127.0.0.1]",
            "ä@b",
            "a@bä.com",
            "a@b\0",
            "a@b\u{202e}",
            "user@evil.com <boss@company.com>",
            "=?utf-8?q?boss?=@x.com",
        ];
        for bad in bad.into_iter().chain(long.iter().map(String::as_str)) {
            assert!(!is_valid(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_a_server_may_read_as_a_way_elsewhere_is_refused_with_the_reason() {
        for (bad, why) in [
            ("thief%evil.example@company.com", Fault::Route('%')),
            ("a%b%evil.example@company.com", Fault::Route('%')),
            ("thief%40evil.example@company.com", Fault::Route('%')),
            ("evil.example!thief@company.com", Fault::Route('!')),
            ("/var/mail/root@company.com", Fault::Route('/')),
            ("/G=Ada/S=Thief/O=evil/C=xx/@company.com", Fault::Route('/')),
            ("|sh@company.com", Fault::Route('|')),
            ("${run}@company.com", Fault::Route('$')),
            ("`id`@company.com", Fault::Route('`')),
            ("IMCEASMTP-thief+40evil+2Eexample@company.com", Fault::Capsule),
            ("IMCEAX400-c=xx+3Ba=+20@company.com", Fault::Capsule),
            ("imceaex-_O=EVIL_CN=thief@company.com", Fault::Capsule),
            ("IMCEA-x@company.com", Fault::Capsule),
            ("-oQ@company.com", Fault::Option),
            ("x@1.2.3.4", Fault::Number),
            ("x@2130706433", Fault::Number),
            ("x@0x7f000001", Fault::Number),
            ("x@0X7F.1", Fault::Number),
            ("x@company.0x", Fault::Number),
            ("=?utf-8?q?boss?=@x.com", Fault::EncodedWord),
            ("@company.com,@evil.example:thief@company.com", Fault::Grammar),
            ("@evil.example:thief@company.com", Fault::Grammar),
            ("thief@evil.example@company.com", Fault::Grammar),
            ("thief:evil.example@company.com", Fault::Grammar),
            ("thief\\@evil.example@company.com", Fault::Grammar),
            ("thief@company.com.", Fault::Grammar),
            ("thief@[192.0.2.1]", Fault::Grammar),
            ("thief@#3221225985", Fault::Grammar),
        ] {
            assert_eq!(fault(bad), Some(why), "{bad}");
            assert!(why.to_string().contains(": write "), "{why}");
        }
    }

    #[test]
    fn a_domain_in_a_local_part_is_found() {
        let named = |address: &'static str| named_domain(address, |name| !name.ends_with(".last"));
        for address in [
            "list-subscribe-thief=evil.example@company.com",
            "SRS0=aaaa=tt=evil.example=thief@company.com",
            "thief_at_evil.example@company.com",
            "thief-AT-evil.example@company.com",
            "thief#evil.example@company.com",
            "evil.example=thief@company.com",
        ] {
            assert_eq!(named(address), Some("evil.example"), "{address}");
        }
        for address in [
            "first.last@company.com",
            "meet.at.noon@company.com",
            "prvs=0123=first.last@company.com",
            "team=company.com@company.com",
            "evil.example@company.com",
            "a=.example@company.com",
        ] {
            assert_eq!(named(address), None, "{address}");
        }
        assert!(is_sender("IMCEAEX-_O=A_CN=ada@company.com"));
    }

    #[test]
    fn a_pattern_covers_some_address_or_is_none() {
        for good in [
            "*",
            "*@*",
            "*@company.com",
            "a*b@*.com",
            "*company.com",
            "boss@company.com",
            "a*",
            "*-@b",
            "**@b",
        ] {
            assert!(is_coverable(good), "{good}");
        }
        assert!(is_coverable(&format!("{}*@b", "a".repeat(LOCAL_BYTES_MAX))));
        for bad in [
            "",
            "company.com",
            "*%*@company.com",
            "*!*@company.com",
            "*/*",
            "-*@company.com",
            "*@1.2.3.4",
            "*@company.com.",
            "*@-*",
            "*.@b",
            "a b@*",
            "*@b@c",
            "<*@b>",
            "*@*.0x1",
            "=?*@b",
            "ä*",
        ] {
            assert!(!is_coverable(bad), "{bad}");
        }
        assert!(!is_coverable(&"*".repeat(ADDRESS_BYTES_MAX + 1)));
    }

    #[test]
    fn a_sender_may_have_quotes_and_nothing_else_that_a_recipient_may_not() {
        for good in ["a@b.example", "\"john doe\"@b.example", "\"a\\\"b\"@b.example", "\"a@b\"@c.example"] {
            assert!(is_sender(good), "{good}");
        }
        for bad in [
            "",
            "John",
            "\"\"@b",
            "\"a\"b\"@c",
            "\"a\\\"@c",
            "\"a\r\nb\"@c",
            "\"ä\"@c",
            "\"a\"@",
            "\"=?q?\"@c",
            "a b@c",
            "x@y z@w",
        ] {
            assert!(!is_sender(bad), "{bad}");
        }
        assert!(is_sender(&format!("{}@x", quoted("a\\ \"b"))));
    }

    #[test]
    fn only_the_domain_is_lowered() {
        assert_eq!(canonical("Team@Company.COM"), "Team@company.com");
    }
}

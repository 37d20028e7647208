//! Which texts are mail addresses.

/// RFC 5321, 4.5.3.1.1.
const LOCAL_BYTES_MAX: usize = 64;
/// RFC 5321, 4.5.3.1.2, less the room the protocol itself takes.
const DOMAIN_BYTES_MAX: usize = 253;
/// RFC 3696, erratum 1690.
const ADDRESS_BYTES_MAX: usize = 254;

/// Whether `text` is an address a message may go to.
///
/// The grammar is that of the HTML standard (what browsers accept in `<input type=email>`), with dots in the local
/// part only between other characters. Quoted local parts, comments, groups, display names, address literals and
/// non-ASCII local parts are not addresses here: each of them has been used to show one recipient and reach another.
pub fn is_valid(text: &str) -> bool {
    // Guest-controlled: the lengths come first, so that nothing below reads more than a few hundred bytes.
    if text.len() > ADDRESS_BYTES_MAX {
        return false;
    }
    // All of it is allowed in a local part, and yet mail programs decode it as an RFC 2047 encoded word and show, or
    // reach, somebody else.
    if text.contains("=?") {
        return false;
    }
    let Some((local, domain)) = text.split_once('@') else { return false };
    is_local(local) && is_domain(domain) && text.parse::<lettre::Address>().is_ok()
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
        for good in
            ["a@b", "team@company.com", "first.last+tag@sub.example.co", "o'hara@example.com", "x@1.2.3.4"]
        {
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
    fn only_the_domain_is_lowered() {
        assert_eq!(canonical("Team@Company.COM"), "Team@company.com");
    }
}

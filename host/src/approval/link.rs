//! Where a link leads. Pure.
//!
//! A link is judged by its parsed form and never by its letters: a web address as a browser parses it, by the URL standard of
//! the WHATWG, and a mail link by RFC 6068. [`check`] gives that form in its one canonical spelling, which is what leaves, so
//! that whoever reads the letter need not be a browser to arrive where a browser does.

use crate::address;
use crate::printable::{is_blank, short};
use crate::refusals::Refusal;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

/// The longest link, in bytes: a person is shown all of it.
pub const LINK_BYTES_MAX: usize = 2_048;
/// How much of a link a refusal quotes, in characters.
const QUOTED_CHARS: usize = 60;
/// What a mail link leaves as it is; RFC 6068, 2, lets more stand, which readers then decode differently.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What the URL standard leaves in a query or a path and RFC 3986 does not know: some readers end a link there.
const ENDING: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// As [`PLAIN`], in an address.
const PLAIN_ADDRESS: &AsciiSet = &PLAIN.remove(b'@');

/// A link that may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalLink {
    /// It in its canonical spelling: ASCII, no longer than three times [`LINK_BYTES_MAX`], without space, quotes or
    /// backslashes. `&` and `'` may stand in it.
    pub href: String,
    /// Where it leads.
    pub leads: Leads,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To a host: a name in ASCII and lower case without a dot at its end, an IPv4 address in decimal, or an IPv6 address.
    Host(String),
    /// To a mail to all of these, canonical, each once, in the order of the link; never empty. Header fields are counted in.
    Mail(Vec<String>),
}

/// What is wrong with a link, and what to write instead.
type Wrong = (String, &'static str);

/// Judges a link, entities decoded, of an HTML body. It comes from a guest: time and memory are in proportion to
/// [`LINK_BYTES_MAX`], whatever its length.
///
/// # Errors
///
/// `INVALID_PARAMETER`, quoting the link, saying what is wrong and what to write.
pub fn check(link: &str) -> Result<CanonicalLink, Refusal> {
    judged(link).map_err(|(wrong, cure)| {
        Refusal::parameter(
            "body",
            format!("has the link `{}`, which {wrong}: {cure}", short(link, QUOTED_CHARS)),
        )
    })
}

fn judged(link: &str) -> Result<CanonicalLink, Wrong> {
    if link.len() > LINK_BYTES_MAX {
        return Err((format!("is longer than {LINK_BYTES_MAX} bytes"), "shorten it"));
    }
    // Space around it is dropped by every reader; within it, some drop it and some stop there.
    let link = link.trim_matches([' ', '\t', '\n', '\r', '\x0c']);
    if let Some(c) = link.chars().find(|c| is_blank(*c)) {
        return Err((
            format!("holds U+{:04X}, which is not seen", c as u32),
            "leave it out, or write a space as `%20`",
        ));
    }
    if link.contains('\\') {
        return Err(("holds a backslash, which browsers read as `/`".into(), "write `/`"));
    }
    let (scheme, rest) = link.split_once(':').unwrap_or(("", link));
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => web(link, rest),
        "mailto" => mail(rest),
        _ => {
            Err(("cannot be followed from a mail".into(), "begin it with `https://`, `http://` or `mailto:`"))
        }
    }
}

fn web(link: &str, rest: &str) -> Result<CanonicalLink, Wrong> {
    const CURE: &str = "write it as `https://host/path`";
    // Browsers also take `https:host` and `https:///host`; others do not.
    let Some(behind) = rest.strip_prefix("//").filter(|behind| !behind.starts_with('/')) else {
        return Err(("does not name its host behind `//`".into(), CURE));
    };
    let authority = behind.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        let cure = "leave out the `@` and what stands before it";
        return Err(("has a user name before its host, which reads like another host".into(), cure));
    }
    let url = Url::parse(link).map_err(|error| (format!("no browser can follow ({error})"), CURE))?;
    let host = url.host().map(name).unwrap_or_default();
    if !is_host(&host) {
        return Err(("has a host that cannot exist".into(), CURE));
    }
    let href = utf8_percent_encode(url.as_str(), ENDING).to_string();
    Ok(CanonicalLink { href, leads: Leads::Host(host) })
}

/// A parsed host as [`Leads::Host`] has it.
fn name(host: Host<&str>) -> String {
    match host {
        Host::Domain(domain) => domain.strip_suffix('.').unwrap_or(domain).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}

/// Whether a parsed host can be looked up. The URL standard lets more stand, such as `;`, at which some readers end a link.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    host.len() <= 253 && (host.split('.').all(is_label) || host.parse::<std::net::Ipv6Addr>().is_ok())
}

/// A mail link, RFC 6068, behind its scheme.
fn mail(rest: &str) -> Result<CanonicalLink, Wrong> {
    if rest.contains('#') {
        return Err(("holds a `#`, at which some readers end it".into(), "write it as `%23`"));
    }
    let (path, fields) = rest.split_once('?').unwrap_or((rest, ""));
    let mut href = String::from("mailto:");
    let mut all = Vec::new();
    href += &addresses(path, &mut all)?;
    let mut mark = '?';
    for field in fields.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let name = decoded(name)?.to_ascii_lowercase();
        let value = match name.as_str() {
            "to" | "cc" | "bcc" => addresses(value, &mut all)?,
            "subject" | "body" => utf8_percent_encode(&words(value, name == "body")?, PLAIN).to_string(),
            _ => {
                let cure = "keep to `to`, `cc`, `bcc`, `subject` and `body`";
                return Err((format!("sets the field `{}` of the mail", short(&name, QUOTED_CHARS)), cure));
            }
        };
        href += &format!("{mark}{name}={value}");
        mark = '&';
    }
    match all.is_empty() {
        true => Err(("names nobody to write to".into(), "write it as `mailto:name@domain`")),
        false => Ok(CanonicalLink { href, leads: Leads::Mail(all) }),
    }
}

/// Reads a list of addresses and adds those that are new to `all`. Gives it in canonical spelling.
fn addresses(list: &str, all: &mut Vec<String>) -> Result<String, Wrong> {
    let mut written = Vec::new();
    for text in list.split(',').filter(|text| !text.is_empty()) {
        let text = decoded(text)?;
        if !address::is_valid(&text) {
            let what = format!("writes to `{}`, no plain address", short(&text, QUOTED_CHARS));
            return Err((what, "write `mailto:name@domain`, and several with a comma between them"));
        }
        let address = address::canonical(&text);
        written.push(utf8_percent_encode(&address, PLAIN_ADDRESS).to_string());
        if !all.contains(&address) {
            all.push(address);
        }
    }
    Ok(written.join(","))
}

/// The subject or the body a mail link proposes.
fn words(value: &str, is_body: bool) -> Result<String, Wrong> {
    let text = decoded(value)?;
    let is_break = |c| is_body && matches!(c, '\r' | '\n' | '\t');
    match text.chars().any(|c| c.is_control() && !is_break(c)) {
        true => Err(("proposes a mail with control characters".into(), "leave them out")),
        false => Ok(text),
    }
}

fn decoded(text: &str) -> Result<String, Wrong> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(Into::into).map_err(|_| ("is not UTF-8 behind its `%`".into(), "encode it as UTF-8"))
}

/// The host an authority, the part of a web address between `//` and the path, leads to, and what it shows before its `@`.
/// `None` where no browser goes anywhere. Takes time in proportion to it.
pub fn host_of(authority: &str) -> Option<(String, Option<&str>)> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    // No name is longer, and encoding one takes more than its length.
    if host.len() > LINK_BYTES_MAX {
        return None;
    }
    let url = Url::parse(&format!("https://{host}/")).ok()?;
    let host = url.host().map(name).filter(|host| !host.is_empty())?;
    Some((host, user.filter(|user| !user.is_empty())))
}

/// Where any link leads, also one that [`check`] refuses and that an older release let pass.
pub fn leads(link: &str) -> Option<Leads> {
    if let Ok(canonical) = judged(link) {
        return Some(canonical.leads);
    }
    let link = &link[..link.floor_char_boundary(4 * LINK_BYTES_MAX)];
    let rest = link.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).map(|_| &link[7..]);
    match rest {
        Some(rest) => {
            let text = percent_decode_str(rest).decode_utf8_lossy().into_owned();
            let all: Vec<_> = super::linked::addresses(&text).map(address::canonical).collect();
            (!all.is_empty()).then_some(Leads::Mail(all))
        }
        None => Some(Leads::Host(Url::parse(link).ok()?.host().map(name).filter(|host| !host.is_empty())?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(link: &str) -> (String, String) {
        match check(link) {
            Ok(CanonicalLink { href, leads: Leads::Host(host) }) => (href, host),
            other => panic!("{link}: {other:?}"),
        }
    }

    #[test]
    fn a_web_address_is_what_a_browser_goes_to() {
        for (link, href, leads) in [
            ("https://bank.com", "https://bank.com/", "bank.com"),
            ("HTTPS://Bank.COM:443/A?b#c\n", "https://bank.com/A?b#c", "bank.com"),
            ("https://bank.com:8443/", "https://bank.com:8443/", "bank.com"),
            ("https://%65vil.example/", "https://evil.example/", "evil.example"),
            ("https://evil。example/", "https://evil.example/", "evil.example"),
            ("https://ｅｖｉｌ．example/", "https://evil.example/", "evil.example"),
            ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4", "xn--bcher-kva.example"),
            ("https://evil.example./", "https://evil.example./", "evil.example"),
            ("http://2130706433/", "http://127.0.0.1/", "127.0.0.1"),
            ("http://0x7f.1/", "http://127.0.0.1/", "127.0.0.1"),
            ("http://0177.0.0.01/", "http://127.0.0.1/", "127.0.0.1"),
            ("http://[::1]:80/", "http://[::1]/", "::1"),
            ("https://evil.example/@bank.com", "https://evil.example/@bank.com", "evil.example"),
            ("https://evil.example?@bank.com", "https://evil.example/?@bank.com", "evil.example"),
            ("https://evil.example#@bank.com", "https://evil.example/#@bank.com", "evil.example"),
            (
                "https://evil.example/a/../b?x=1&y='2'\"<",
                "https://evil.example/b?x=1&y=%272%27%22%3C",
                "evil.example",
            ),
        ] {
            assert_eq!(host(link), (href.into(), leads.into()), "{link}");
            // What it became stays so.
            assert_eq!(host(href), (href.into(), leads.into()), "{link}");
        }
    }

    #[test]
    fn what_shows_another_host_or_is_read_in_two_ways_is_refused_with_the_cure() {
        for link in [
            "https://bank.com;@evil.example/",
            "https://bank.com)@evil.example/",
            "https://bank.com]@evil.example/",
            "https://bank.com@evil.example/",
            "https://@evil.example/",
            "https://bank.com:443@evil.example/",
            "https://bank.com%40evil.example/",
            "https://bank.com＠evil.example/",
            &format!("https://bank.com{}@evil.example/", "a".repeat(1_000)),
            "https://bank.com;evil.example/",
            "https://bank.com,evil.example/",
            "https://bank.com\\@evil.example/",
            "https:\\\\evil.example/",
            "https:/evil.example/",
            "https:evil.example/",
            "https:///evil.example/",
            "https://",
            "https://?x",
            "https://bank..com/",
            "https://ba\tnk.com/",
            "https://ba\nnk.com/",
            "https://bank.com/a b",
            "https://ba\u{ad}nk.com/",
            "https://bank.com/\u{202e}x",
            "https://bank.com:99999/",
            "https://xn--a/",
            "https://1.2.3.4.5/",
            "//evil.example/",
            "/relative",
            "",
            "javascript:alert(1)",
            "data:text/html,x",
            "file://evil.example/x",
            &format!("https://bank.com/{}", "a".repeat(LINK_BYTES_MAX)),
        ] {
            let refusal = check(link).unwrap_err();
            assert_eq!(refusal.details.unwrap()["parameter"], "body", "{link}");
            assert!(
                refusal.message.contains("has the link `") && refusal.message.contains(", which "),
                "{link}"
            );
        }
        assert_eq!(
            check("https://bank.com;@evil.example/").unwrap_err().message,
            "Parameter `body` has the link `https://bank.com;@evil.example/`, which has a user name before its host, which reads \
             like another host: leave out the `@` and what stands before it."
        );
    }

    #[test]
    fn a_mail_link_names_everybody_it_writes_to() {
        for (link, href, leads) in [
            ("mailto:a@X.com", "mailto:a@x.com", &["a@x.com"][..]),
            ("mailto:a@x.com,b@y.com", "mailto:a@x.com,b@y.com", &["a@x.com", "b@y.com"]),
            ("MAILTO:a@x.com?BCC=b%40y.com", "mailto:a@x.com?bcc=b@y.com", &["a@x.com", "b@y.com"]),
            (
                "mailto:?to=a@x.com&cc=b@y.com,c@z.com&bcc=a@x.com",
                "mailto:?to=a@x.com&cc=b@y.com,c@z.com&bcc=a@x.com",
                &["a@x.com", "b@y.com", "c@z.com"],
            ),
            (
                "mailto:a%2Bb@x.com?subject=H%C3%A9+llo&body=a%0D%0Ab",
                "mailto:a%2Bb@x.com?subject=H%C3%A9%2Bllo&body=a%0D%0Ab",
                &["a+b@x.com"],
            ),
        ] {
            let leads = leads.iter().map(|address| (*address).to_owned()).collect();
            let expected = CanonicalLink { href: href.into(), leads: Leads::Mail(leads) };
            assert_eq!(check(link), Ok(expected.clone()), "{link}");
            assert_eq!(check(href), Ok(expected), "{link}");
        }
        for link in [
            "mailto:",
            "mailto:?subject=x",
            "mailto:boss",
            "mailto:thief%25evil.example@company.com",
            "mailto:evil.example!thief@company.com",
            "mailto:Boss%20%3Cthief@evil.example%3E",
            "mailto:a@x.com;b@y.com",
            "mailto:a@x.com%3Bb@y.com",
            "mailto:a@x.com%0D%0ABcc:b@y.com",
            "mailto:a@x.com?subject=x%0D%0ABcc:b@y.com",
            "mailto:a@x.com?body=%00",
            "mailto:a@x.com?attach=/etc/passwd",
            "mailto:a@x.com?reply-to=b@y.com",
            "mailto:a@x.com?subject=%ff",
            "mailto:a@x.com#b",
            "mailto://a@x.com",
        ] {
            assert!(check(link).is_err(), "{link}: {:?}", check(link));
        }
    }

    #[test]
    fn a_link_an_older_release_let_pass_is_judged_as_well() {
        for (link, to) in [
            ("https://bank.com;@evil.example/", Leads::Host("evil.example".into())),
            ("https://bank.com\\@evil.example/", Leads::Host("bank.com".into())),
            (
                "mailto:thief@evil.example;boss@bank.com",
                Leads::Mail(vec!["thief@evil.example".into(), "boss@bank.com".into()]),
            ),
        ] {
            assert_eq!(leads(link), Some(to), "{link}");
        }
        assert_eq!(leads("https://"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_passes_is_canonical_and_holds_nothing_that_ends_it(
            link in "(https?://|mailto:|HTTPS:)?([a-z.@;,:/?#%&='\" \\\\\\[\\]0-9-]|%[0-9a-f]{2}|\\PC){0,40}"
        ) {
            if let Ok(canonical) = check(&link) {
                prop_assert!(canonical.href.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>`\\".contains(&b)), "{}", canonical.href);
                prop_assert_eq!(check(&canonical.href), Ok(canonical));
            }
        }

        #[test]
        fn no_link_takes_anything_down(link in "(\\PC|[:/@.%?]){0,60}") {
            let _ = (check(&link), leads(&link), host_of(&link));
        }
    }
}

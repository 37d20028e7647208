//! What one shows to be known: the secrets of links, browsers and tokens. Whoever keeps them keeps their SHA-256 only, and looks them
//! up by it: how long a look-up takes says nothing of a secret.

use super::Role;
use crate::clock::{Clock, Millis};
use crate::digest::{Digest, Encoder};
use crate::printable::line;
use crate::refusals::{Code, Problem};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::fmt;

/// How long a link to choose a password can be used: 24 hours.
pub const INVITATION_MS_MAX: Millis = 24 * 60 * 60 * 1000;
/// How long a browser stays signed in, however busy: 12 hours.
pub const SESSION_MS_MAX: Millis = 12 * 60 * 60 * 1000;
/// How long a browser stays signed in while nothing comes from it: 2 hours.
pub const IDLE_MS_MAX: Millis = 2 * 60 * 60 * 1000;
/// How many browsers of one person are signed in; the one that signed in first is signed out by one more.
pub const SESSIONS_MAX: u32 = 32;
/// How many tokens one person has.
pub const TOKENS_MAX: u32 = 100;
/// The longest a token is good for, in days.
pub const TOKEN_DAYS_MAX: u32 = 365;
/// The longest label of a token, in characters.
pub const LABEL_CHARS_MAX: usize = 64;
/// The last use of a session or token is written this long after the one written before: a minute.
pub const USED_MS: Millis = 60 * 1000;

/// A day, in milliseconds.
const DAY_MS: Millis = 24 * 60 * 60 * 1000;
/// How many characters 32 bytes make in base64url, unpadded.
const SECRET_CHARS: usize = 43;
/// How many characters 48 bytes make in base64url.
const MARK_CHARS: usize = 64;
/// Begins every token, so that one in the wrong place is recognised for what it is.
const TOKEN_PREFIX: &str = "cs_";

/// 32 bytes nobody can guess, as base64url. Neither shown by `{:?}` nor by `{}`: [`Secret::text`] says where it leaves.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A new one.
    pub fn draw(clock: &Clock) -> Secret {
        Secret(BASE64_URL_SAFE_NO_PAD.encode(clock.random::<32>()))
    }

    /// Reads what somebody shows. It is hostile: nothing but the one way to write 32 bytes is a secret.
    pub fn read(text: &str) -> Option<Secret> {
        if text.len() != SECRET_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Secret(text.to_owned()))
    }

    /// What is kept of it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    /// The secret as written, for the one it belongs to.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

/// What a browser keeps that has signed in as somebody, long after that session has ended: it lets nobody in, and only tells the browser
/// from those of strangers. It is 16 random bytes, and their HMAC-SHA-256 with the names under a key made of the hash of the password
/// that was shown: another password, and it is worth nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct BrowserMark {
    name: [u8; 16],
    proof: [u8; 32],
}

impl BrowserMark {
    /// A new one. `kept` is the hash of the password, as a PHC string with its salt, which never leaves the host.
    pub fn draw(clock: &Clock, tenant: &str, name: &str, kept: &str) -> BrowserMark {
        let random = clock.random();
        let proof = BrowserMark::over(&random, tenant, name, kept).finalize().into_bytes().into();
        BrowserMark { name: random, proof }
    }

    /// Reads what somebody shows. It is hostile.
    pub fn read(text: &str) -> Option<BrowserMark> {
        if text.len() != MARK_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (name, proof) = bytes.split_at_checked(16)?;
        Some(BrowserMark { name: name.try_into().ok()?, proof: proof.try_into().ok()? })
    }

    /// Whether it was made for this person, with the password they have. Takes as long for any wrong one.
    pub fn fits(&self, tenant: &str, name: &str, kept: &str) -> bool {
        BrowserMark::over(&self.name, tenant, name, kept).verify_slice(&self.proof).is_ok()
    }

    /// The mark as written, for the browser.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([&self.name[..], &self.proof].concat())
    }

    /// Names the browser.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.name)
    }

    fn over(random: &[u8; 16], tenant: &str, name: &str, kept: &str) -> Hmac<Sha256> {
        let mut said = Encoder::new("countersign/browser/v1");
        said.bytes(random).text(tenant).text(name);
        let mut mac = Hmac::new_from_slice(kept.as_bytes()).expect("a key of any length will do");
        mac.update(&said.0);
        mac
    }
}

/// A token for programs: an id that may be known, and a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Names it in lists and records: `tok_` and 26 characters.
    pub id: String,
    /// What makes it one.
    pub secret: Secret,
}

impl Token {
    /// A new one.
    pub fn draw(clock: &Clock) -> Token {
        Token { id: clock.id("tok_"), secret: Secret::draw(clock) }
    }

    /// Reads `cs_<id>_<secret>`. It is hostile: its length is bounded by what it is read as.
    pub fn read(text: &str) -> Option<Token> {
        let text = text.strip_prefix(TOKEN_PREFIX)?;
        // A secret may hold a `_` too, so it is told by its length.
        let (id, secret) = text.split_at_checked(text.len().checked_sub(SECRET_CHARS)?)?;
        let id = id.strip_suffix('_')?;
        let name = id.strip_prefix("tok_")?;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_id = name.len() == 26 && name.bytes().all(fits);
        is_id.then_some(Token { id: id.to_owned(), secret: Secret::read(secret)? })
    }

    /// The token as written: shown once, to the one who made it.
    pub fn text(&self) -> String {
        format!("{TOKEN_PREFIX}{}_{}", self.id, self.secret.text())
    }
}

/// A token as it is asked for, checked: its label, its roles and when it ends. `own` is what whoever asks may do.
///
/// # Errors
///
/// `INVALID_PARAMETER` for a label or a number of days that is none; `FORBIDDEN` for a role beyond `own`.
pub fn order(
    label: &str,
    roles: &BTreeSet<Role>,
    own: &BTreeSet<Role>,
    days: u32,
    now: Millis,
) -> Result<Millis, Problem> {
    let invalid = |message: String| Problem::new(Code::InvalidParameter, message);
    let count = label.chars().count();
    if label.trim().is_empty() || count > LABEL_CHARS_MAX || line(label) != label {
        return Err(invalid(format!("the label of a token has 1 to {LABEL_CHARS_MAX} printable characters"))
            .hint("say what the token is for, such as `nightly report`"));
    }
    if !(1..=TOKEN_DAYS_MAX).contains(&days) {
        return Err(invalid(format!("a token cannot be good for {days} days"))
            .hint(format!("give a number from 1 to {TOKEN_DAYS_MAX}")));
    }
    if roles.is_empty() {
        return Err(invalid("a token without a role can do nothing".into())
            .hint("give it a role of yours; `approver` has to be named, and lets the program sign"));
    }
    if let Some(role) = roles.difference(own).next() {
        let message = format!("a token of yours cannot have the role {role}, which you do not have here");
        return Err(Problem::new(Code::Forbidden, message)
            .hint("leave it out, or ask an operator for the role first"));
    }
    Ok(now.saturating_add(DAY_MS * Millis::from(days)))
}

/// Whether a session is over: it was made at `made_ms` and last used at `used_ms`, as far as that is written.
pub fn is_over(made_ms: Millis, used_ms: Millis, now: Millis) -> bool {
    now >= made_ms.saturating_add(SESSION_MS_MAX) || now >= used_ms.saturating_add(IDLE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_secret_reads_back_and_shows_itself_nowhere_else() {
        let clock = Clock::virtual_at(0, 1);
        let (one, other) = (Secret::draw(&clock), Secret::draw(&clock));
        assert_ne!(one, other);
        assert_eq!(Secret::read(one.text()), Some(one.clone()));
        assert_eq!(one.digest(), Digest::of(one.text().as_bytes()));
        assert!(!format!("{one:?}").contains(one.text()));
        let token = Token::draw(&clock);
        assert!(!format!("{token:?}").contains(token.secret.text()));
    }

    #[test]
    fn a_token_reads_back_and_nothing_near_it_does() {
        let token = Token::draw(&Clock::virtual_at(1_772_000_000_000, 2));
        let text = token.text();
        assert!(text.starts_with("cs_tok_"));
        assert_eq!(Token::read(&text), Some(token.clone()));
        let TokenParts { id, secret } = TokenParts::of(&token);
        for near in [
            String::new(),
            "cs_".into(),
            secret.clone(),
            format!("{id}_{secret}"),
            format!("cs_{id}{secret}"),
            format!("cs_{id}_{secret}="),
            format!("cs_{id}_{secret} "),
            format!("CS_{id}_{secret}"),
            format!("cs_{id}x_{secret}"),
            format!("cs_{}_{secret}", id.to_uppercase()),
            format!("cs_../{}_{secret}", &id[3..]),
            format!("cs_{id}_{}", &secret[1..]),
            format!("cs_{id}_é{}", &secret[2..]),
            format!("cs_{id}_+{}", &secret[1..]),
        ] {
            assert_eq!(Token::read(&near), None, "{near}");
        }
    }

    #[test]
    fn a_mark_is_for_one_person_with_one_password() {
        let clock = Clock::virtual_at(0, 1);
        let mark = BrowserMark::draw(&clock, "main", "ann", "$argon2id$one");
        let text = mark.text();
        let read = BrowserMark::read(&text).unwrap();
        assert!(read == mark && read.fits("main", "ann", "$argon2id$one"));
        for (tenant, name, kept) in [
            ("main", "bob", "$argon2id$one"),
            ("other", "ann", "$argon2id$one"),
            ("mai", "nann", "$argon2id$one"),
            ("main", "ann", "$argon2id$two"),
        ] {
            assert!(!read.fits(tenant, name, kept), "{tenant} {name} {kept}");
        }
        assert_ne!(BrowserMark::draw(&clock, "main", "ann", "$argon2id$one").digest(), mark.digest());
        // The name of one under the proof of another is none.
        let other = BrowserMark::draw(&clock, "main", "ann", "$argon2id$one").text();
        let mixed = BrowserMark::read(&format!("{}{}", &text[..20], &other[20..])).unwrap();
        assert!(!mixed.fits("main", "ann", "$argon2id$one"));
        for near in ["", "x", &text[1..], &format!("{text}A"), &text.replace(&text[..1], "=")] {
            assert!(
                BrowserMark::read(near).is_none_or(|mark| !mark.fits("main", "ann", "$argon2id$one")),
                "{near}"
            );
        }
    }

    struct TokenParts {
        id: String,
        secret: String,
    }

    impl TokenParts {
        fn of(token: &Token) -> TokenParts {
            TokenParts { id: token.id.clone(), secret: token.secret.text().to_owned() }
        }
    }

    #[test]
    fn a_token_is_asked_for_with_a_label_a_time_and_roles_one_has() {
        let own = BTreeSet::from([Role::Invoker, Role::Auditor]);
        let one = BTreeSet::from([Role::Invoker]);
        let refused = |label: &str, roles: &BTreeSet<Role>, days| {
            order(label, roles, &own, days, 0).map_err(|problem| problem.code)
        };
        assert_eq!(refused("nightly report", &one, 1), Ok(DAY_MS));
        assert_eq!(refused(&"é".repeat(64), &own, 365), Ok(365 * DAY_MS));
        let invalid = Err(Code::InvalidParameter);
        for label in ["", " ", &"x".repeat(65), "two\nlines", "\u{202e}back", "bell\u{7}"] {
            assert_eq!(refused(label, &one, 1), invalid, "{label:?}");
        }
        for days in [0, 366, u32::MAX] {
            assert_eq!(refused("label", &one, days), invalid, "{days}");
        }
        assert_eq!(refused("label", &BTreeSet::new(), 1), invalid);
        let more = BTreeSet::from([Role::Invoker, Role::Approver]);
        assert_eq!(refused("label", &more, 1), Err(Code::Forbidden));
    }

    #[test]
    fn a_session_is_over_after_twelve_hours_or_two_quiet_ones() {
        const HOUR_MS: Millis = 60 * 60 * 1000;
        assert!(!is_over(0, 0, 2 * HOUR_MS - 1));
        assert!(is_over(0, 0, 2 * HOUR_MS));
        assert!(!is_over(0, 11 * HOUR_MS, 12 * HOUR_MS - 1));
        assert!(is_over(0, 12 * HOUR_MS - 1, 12 * HOUR_MS));
    }

    proptest! {
        #[test]
        fn whatever_is_read_as_a_secret_or_token_is_written_just_so(text in "(cs_)?(tok_[a-z0-9]{26}_)?[A-Za-z0-9_-]{42,44}") {
            if let Some(secret) = Secret::read(&text) {
                prop_assert_eq!(secret.text(), &text);
            }
            if let Some(token) = Token::read(&text) {
                prop_assert_eq!(token.text(), text);
            }
        }

        #[test]
        fn anything_can_be_shown_as_a_token_without_harm(text in any::<String>()) {
            prop_assert_eq!(Token::read(&text), None);
            prop_assert_eq!(Secret::read(&text), None);
        }
    }
}

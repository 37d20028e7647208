//! What can be listed and what can be sent. Pure.

use super::{Query, SEND};
use crate::approval::decision::State;
use crate::approval::policy::are_addresses;
use crate::approval::words::Declared;
use crate::approval::{Action, Approval, BodyKind, Policy, Version, address, body, letter};
use crate::authority::{Authority, Capability, confine};
use crate::clock;
use crate::refusals::Refusal;
use crate::tools::Identity;
use crate::tools::bindings::messages::messages::{Filter, Outgoing};

/// How many messages are listed where the agent does not say.
pub const LIST_LIMIT_DEFAULT: u32 = 20;
/// How many messages one call can list.
pub const LIST_LIMIT_MAX: u32 = 100;
/// How many recipients one message can have.
pub const RECIPIENTS_MAX: usize = 100;
/// The longest subject, in bytes: RFC 5322 allows lines of 998.
pub const SUBJECT_BYTES_MAX: usize = 998;
/// The longest body, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads a filter.
///
/// # Errors
///
/// `INVALID_PARAMETER`, naming field and bound.
pub fn query(filter: &Filter) -> Result<Query, Refusal> {
    let limit = filter.limit.unwrap_or(LIST_LIMIT_DEFAULT as i32);
    let limit = u32::try_from(limit).ok().filter(|limit| (1..=LIST_LIMIT_MAX).contains(limit));
    let limit =
        limit.ok_or_else(|| Refusal::parameter("limit", format!("must be from 1 to {LIST_LIMIT_MAX}")))?;
    if filter.from.as_deref().is_some_and(|from| !address::is_valid(from)) {
        return Err(Refusal::parameter("from", "must be a mail address"));
    }
    let after_ms =
        match filter.after.as_deref() {
            None => None,
            Some(after) => Some(clock::parse(after).ok_or_else(|| {
                Refusal::parameter("after", "must be RFC 3339 or a date such as 2024-03-15")
            })?),
        };
    Ok(Query { from: filter.from.clone(), after_ms, before: None, limit })
}

/// Everything about a send that does not depend on what a person says. `signed` are the run's approvals: what one of them let
/// leave in an older version leaves as it was signed.
///
/// # Errors
///
/// `CAPABILITY_DENIED`, `INVALID_PARAMETER`, `INVALID_RECIPIENT` or `SCOPE_VIOLATION`, looked for in this order.
pub fn admit(
    authority: &Authority,
    identity: &Identity,
    policy: &Policy,
    message: Outgoing,
    signed: &[Approval],
) -> Result<Action, Refusal> {
    let permit = authority.admit(&SEND)?;
    let action = match as_signed(identity, &message, signed) {
        Some(action) => action,
        None => action(identity, message)?,
    };
    confine(&permit, Capability::MessagesSend, action.recipients())?;
    policy.admit(&action)?;
    Ok(action)
}

/// The message an agent spelled out in `details`, if it could be sent as it stands.
pub fn declared(
    authority: &Authority,
    identity: &Identity,
    policy: &Policy,
    declared: Declared,
) -> Option<Action> {
    let Declared { to, cc, bcc, subject, body, body_kind } = declared;
    admit(authority, identity, policy, Outgoing { to, cc, bcc, subject, body, body_kind }, &[]).ok()
}

/// What the guest handed over, as an action without canonical form. The guest chose every byte of it.
fn written(identity: &Identity, message: Outgoing) -> Result<Action, Refusal> {
    let Outgoing { to, cc, bcc, subject, body, body_kind } = message;
    let kind = self::body_kind(body_kind.as_deref(), &body)?;
    Ok(Action { to, cc, bcc, subject, body_kind: kind, body, ..identity.action() })
}

fn action(identity: &Identity, message: Outgoing) -> Result<Action, Refusal> {
    check(written(identity, message)?)
}

/// The message in the older version in which a person said yes to it and it has not been used: it was judged when it was asked.
fn as_signed(identity: &Identity, message: &Outgoing, signed: &[Approval]) -> Option<Action> {
    let of_old = |approval: &&Approval| {
        approval.state == State::Approved
            && approval.action.as_ref().is_some_and(|asked| asked.version == Version::V1)
    };
    let mut of_old = signed.iter().filter(of_old).peekable();
    of_old.peek()?;
    let action = Action { version: Version::V1, ..written(identity, message.clone()).ok()? }.canonical();
    of_old.any(|approval| approval.action.as_ref() == Some(&action)).then_some(action)
}

/// Makes the canonical action of what an agent hands over, or of what a person makes of it.
///
/// # Errors
///
/// `INVALID_PARAMETER` or `INVALID_RECIPIENT`, where it can be no message.
pub fn check(message: Action) -> Result<Action, Refusal> {
    if message.to.is_empty() {
        return Err(Refusal::parameter("to", "needs at least one address"));
    }
    if message.recipients().count() > RECIPIENTS_MAX {
        return Err(Refusal::parameter(
            "to",
            format!("and cc and bcc may have at most {RECIPIENTS_MAX} recipients"),
        ));
    }
    are_addresses(&message)?;
    if message.subject.len() > SUBJECT_BYTES_MAX {
        return Err(Refusal::parameter("subject", format!("is longer than {SUBJECT_BYTES_MAX} bytes")));
    }
    // A line break in a header field would start another header field.
    if let Some(c) = message.subject.chars().find(|c| c.is_control()) {
        let wrong = format!(
            "contains the control character U+{:04X}: write a space for it, or leave it out",
            c as u32
        );
        return Err(Refusal::parameter("subject", wrong));
    }
    if message.body.len() > BODY_BYTES_MAX {
        return Err(Refusal::parameter("body", format!("is longer than {BODY_BYTES_MAX} bytes")));
    }
    let body = body::canonical(message.body_kind, &message.body)?;
    if body.len() > BODY_BYTES_MAX {
        return Err(Refusal::parameter(
            "body",
            format!("is longer than {BODY_BYTES_MAX} bytes with spaces for its tabs"),
        ));
    }
    let message = Action { version: Version::V2, body, ..message }.canonical();
    // Nobody is asked for what could not be armed: the bytes that would leave, read back, must carry the action.
    match letter::carries(&message) {
        true => Ok(message),
        false => Err(Refusal::parameter("message", "cannot be written as a mail that reads the same")),
    }
}

fn body_kind(asked: Option<&str>, body: &str) -> Result<BodyKind, Refusal> {
    let starts_with =
        |prefix: &str| body.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    match asked {
        Some("text") => Ok(BodyKind::Text),
        Some("html") => Ok(BodyKind::Html),
        Some(_) => Err(Refusal::parameter("bodyKind", "must be `text` or `html`")),
        None if starts_with("<!doctype html") || starts_with("<html") => Ok(BodyKind::Html),
        None => Ok(BodyKind::Text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::binding::{Judgement, judge};
    use crate::approval::{Binding, Words};
    use crate::digest::Digest;
    use crate::refusals::Code;

    fn identity() -> Identity {
        Identity {
            tenant: "main".into(),
            user: "local".into(),
            intent: "int_1".into(),
            run: 1,
            agent: Digest::of(b""),
            from: "local@localhost".into(),
        }
    }

    fn message() -> Outgoing {
        Outgoing {
            to: vec!["team@company.com".into()],
            cc: vec![],
            bcc: vec![],
            subject: "Hello".into(),
            body: "Text".into(),
            body_kind: None,
        }
    }

    fn refused(message: Outgoing) -> (Code, String) {
        let refusal = action(&identity(), message).unwrap_err();
        (refusal.code, refusal.details.unwrap().to_string())
    }

    #[test]
    fn a_limit_is_from_1_to_100_and_20_by_default() {
        let with = |limit| query(&Filter { from: None, after: None, limit });
        assert_eq!(with(None).unwrap().limit, 20);
        assert_eq!(with(Some(1)).unwrap().limit, 1);
        assert_eq!(with(Some(100)).unwrap().limit, 100);
        for bad in [0, 101, -1, i32::MIN] {
            let refusal = with(Some(bad)).unwrap_err();
            assert_eq!(refusal.code, Code::InvalidParameter);
            assert_eq!(refusal.message, "Parameter `limit` must be from 1 to 100.");
        }
    }

    #[test]
    fn a_filter_takes_addresses_and_dates_only() {
        let with = |from: Option<&str>, after: Option<&str>| {
            query(&Filter { from: from.map(Into::into), after: after.map(Into::into), limit: None })
        };
        assert_eq!(with(None, Some("1970-01-02")).unwrap().after_ms, Some(86_400_000));
        assert!(with(Some("a@b"), None).is_ok());
        assert!(with(Some("boss"), None).is_err());
        assert!(with(None, Some("yesterday")).is_err());
    }

    #[test]
    fn every_bad_address_is_named_with_its_field() {
        let message =
            Outgoing { to: vec!["a".into(), "ok@x.com".into()], bcc: vec!["b@".into()], ..message() };
        let refusal = action(&identity(), message).unwrap_err();
        assert_eq!(refusal.code, Code::InvalidRecipient);
        assert_eq!(refusal.message, "One or more email addresses are invalid.");
        let named = refusal.details.unwrap()["recipients"].clone();
        let named = |at: usize| (named[at]["field"].clone(), named[at]["address"].clone());
        assert_eq!([named(0), named(1)], [("to".into(), "a".into()), ("bcc".into(), "b@".into())]);
    }

    #[test]
    fn header_fields_take_no_control_characters() {
        for subject in ["x\r\nBcc: evil@x.com", "x\0", "x\u{85}", "x\u{1b}[2J"] {
            let (code, details) = refused(Outgoing { subject: subject.into(), ..message() });
            assert_eq!((code, details.as_str()), (Code::InvalidParameter, r#"{"parameter":"subject"}"#));
        }
    }

    #[test]
    fn sizes_are_bounded_and_empty_is_allowed() {
        let long = |n| "x".repeat(n);
        let empty = Outgoing { subject: String::new(), body: String::new(), ..message() };
        assert!(action(&identity(), empty).is_ok());
        assert!(action(&identity(), Outgoing { subject: long(SUBJECT_BYTES_MAX), ..message() }).is_ok());
        assert!(
            refused(Outgoing { subject: long(SUBJECT_BYTES_MAX + 1), ..message() }).1.contains("subject")
        );
        assert!(refused(Outgoing { body: long(BODY_BYTES_MAX + 1), ..message() }).1.contains("body"));
        assert!(refused(Outgoing { to: vec![], ..message() }).1.contains("to"));
        let crowd = vec!["a@b".to_owned(); RECIPIENTS_MAX];
        assert!(action(&identity(), Outgoing { to: crowd.clone(), ..message() }).is_ok());
        assert!(
            refused(Outgoing { cc: crowd, ..message() }).0 == Code::InvalidParameter,
            "all lists count together"
        );
    }

    /// An approval of a message in the first version, in this state.
    fn old(state: State, body: &str) -> Approval {
        let message = Outgoing { body: body.into(), body_kind: Some("html".into()), ..message() };
        let action = Action { version: Version::V1, ..written(&identity(), message).unwrap() }.canonical();
        Approval {
            id: "appr_1".into(),
            state,
            verdict: None,
            binding: Binding::Exact,
            digest: action.digest(),
            action: Some(action),
            edited: None,
            words: Words::new("send_message".into(), "t".into(), "d".into(), None).unwrap(),
            asked_ms: 0,
            expires_ms: 1_000,
            outdated: false,
        }
    }

    #[test]
    fn what_was_signed_in_an_older_version_leaves_as_it_was_signed() {
        let authority = Authority::new("a".into(), [Capability::MessagesSend].into(), Default::default());
        let broken = "<table><tbody><tr><td>a<br>b</td><td>c</td></tr></tbody></table>";
        let send = |body: &str, approval: Approval| {
            let message = Outgoing { body: body.into(), body_kind: Some("html".into()), ..message() };
            let signed = [approval];
            let action = admit(&authority, &identity(), &Policy::default(), message, &signed)?;
            Ok::<_, Refusal>((judge(&signed, &action, 0), action.version))
        };
        let release = Judgement::Release { approval: "appr_1".into() };
        assert_eq!(send(broken, old(State::Approved, broken)), Ok((release.clone(), Version::V1)));
        assert_eq!(send("<p>x</p>", old(State::Approved, "<p>x</p>")), Ok((release.clone(), Version::V1)));
        // In the agent's own spelling, which is the message a person is shown.
        assert_eq!(send("<P>x", old(State::Approved, "<p>x</p>")), Ok((release, Version::V2)));
        // Without a yes, it cannot even be asked about.
        assert_eq!(send(broken, old(State::Pending, broken)).unwrap_err().code, Code::InvalidParameter);
        assert!(old(State::Pending, broken).has_to_be_asked_again());
        assert!(!old(State::Approved, broken).has_to_be_asked_again());
        assert!(!old(State::Pending, "<p>x</p>").has_to_be_asked_again());
    }

    #[test]
    fn only_what_starts_like_html_is_html() {
        let kind = |asked, body: &str| {
            let message = Outgoing { body: body.into(), body_kind: asked, ..message() };
            action(&identity(), message).map(|action| action.body_kind)
        };
        assert_eq!(kind(None, "<p>x</p>").unwrap(), BodyKind::Text);
        assert_eq!(kind(None, "<HTML><p>x</p></HTML>").unwrap(), BodyKind::Html);
        assert_eq!(kind(Some("html".into()), "<p>x</p>").unwrap(), BodyKind::Html);
        assert_eq!(kind(Some("text".into()), "<html>").unwrap(), BodyKind::Text);
        assert!(kind(Some("markdown".into()), "x").is_err());
        assert!(kind(Some("html".into()), "<p onclick=x>x</p>").is_err());
    }
}

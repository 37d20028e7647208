//! The one cookie.

use axum::http::{HeaderMap, HeaderValue, header};
use countersign::people::secret::SESSION_MS_MAX;

/// Its name over TLS: with this prefix no other site, no other path and no connection without TLS can have set it.
const SECURE: &str = "__Host-countersign";
/// Its name on the machine itself, without TLS.
const PLAIN: &str = "countersign";

/// What a browser shows. The header is hostile: a cookie that stands in it twice is none, as one of the two is somebody else's.
pub fn read(headers: &HeaderMap, secure: bool) -> Option<&str> {
    let name = if secure { SECURE } else { PLAIN };
    let mut found = None;
    for header in headers.get_all(header::COOKIE) {
        for pair in header.to_str().ok()?.split(';') {
            let Some((key, value)) = pair.trim_matches([' ', '\t']).split_once('=') else { continue };
            if key != name {
                continue;
            }
            let plain = !value.is_empty()
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if found.is_some() || !plain {
                return None;
            }
            found = Some(value);
        }
    }
    found
}

/// Has a browser keep `secret`, until the session ends at the latest.
pub fn keep(secret: &str, secure: bool) -> HeaderValue {
    set(secret, SESSION_MS_MAX / 1000, secure)
}

/// Has a browser forget it.
pub fn forget(secure: bool) -> HeaderValue {
    set("", 0, secure)
}

fn set(value: &str, seconds: i64, secure: bool) -> HeaderValue {
    let (name, tls) = if secure { (SECURE, "; Secure") } else { (PLAIN, "") };
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{tls}");
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (header::COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others_and_only_under_its_own_name() {
        assert_eq!(read(&of(&["a=b; countersign=Xy-_9; c=d"]), false), Some("Xy-_9"));
        assert_eq!(read(&of(&["a=b", "__Host-countersign=x"]), true), Some("x"));
        assert_eq!(read(&of(&["countersign=x"]), true), None);
        assert_eq!(read(&of(&["__Host-countersign=x"]), false), None);
        assert_eq!(read(&of(&["Countersign=x; xcountersign=y"]), false), None);
    }

    #[test]
    fn a_cookie_that_is_there_twice_or_is_odd_is_none() {
        for cookies in [
            &["countersign=x; countersign=y"][..],
            &["countersign=x", "countersign=x"],
            &["countersign="],
            &["countersign=\"x\""],
            &["countersign=x y"],
            &["countersign=x=y"],
            &["countersign"],
        ] {
            assert_eq!(read(&of(cookies), false), None, "{cookies:?}");
        }
    }

    #[test]
    fn over_tls_no_other_site_can_set_or_see_it() {
        let kept = keep("x", true);
        let kept = kept.to_str().unwrap();
        assert!(kept.starts_with("__Host-countersign=x; Path=/; "), "{kept}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Max-Age=43200"] {
            assert!(kept.split("; ").any(|it| it == attribute), "{kept}");
        }
        assert!(!kept.contains("Domain"));
        assert!(!keep("x", false).to_str().unwrap().contains("Secure"));
        assert!(forget(true).to_str().unwrap().contains("Max-Age=0"));
    }
}

//! The two cookies: who is signed in, and that this browser has signed in before.

use axum::http::{HeaderMap, HeaderValue, header};
use countersign::people::secret::SESSION_MS_MAX;

/// A cookie by its two names.
pub struct Cookie {
    /// Over TLS: with this prefix no other site, no other path and no connection without TLS can have set it.
    secure: &'static str,
    /// On the machine itself, without TLS.
    plain: &'static str,
    /// How long a browser keeps it, in seconds.
    seconds: i64,
}

/// What lets somebody in, until the session ends at the latest.
pub const SESSION: Cookie =
    Cookie { secure: "__Host-countersign", plain: "countersign", seconds: SESSION_MS_MAX / 1000 };

/// What lets nobody in, and tells a browser somebody has signed in with from those of strangers: for 180 days.
pub const MARK: Cookie = Cookie {
    secure: "__Host-countersign-browser",
    plain: "countersign-browser",
    seconds: 180 * 24 * 60 * 60,
};

impl Cookie {
    /// What a browser shows. The header is hostile: a cookie that stands in it twice is none, as one of the two is somebody else's.
    pub fn read<'h>(&self, headers: &'h HeaderMap, secure: bool) -> Option<&'h str> {
        let name = if secure { self.secure } else { self.plain };
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

    /// Has a browser keep `value`.
    pub fn keep(&self, value: &str, secure: bool) -> HeaderValue {
        self.set(value, self.seconds, secure)
    }

    /// Has a browser forget it.
    pub fn forget(&self, secure: bool) -> HeaderValue {
        self.set("", 0, secure)
    }

    fn set(&self, value: &str, seconds: i64, secure: bool) -> HeaderValue {
        let (name, tls) = if secure { (self.secure, "; Secure") } else { (self.plain, "") };
        let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{tls}");
        HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (header::COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others_and_only_under_its_own_name() {
        assert_eq!(SESSION.read(&of(&["a=b; countersign=Xy-_9; c=d"]), false), Some("Xy-_9"));
        assert_eq!(SESSION.read(&of(&["a=b", "__Host-countersign=x"]), true), Some("x"));
        assert_eq!(SESSION.read(&of(&["countersign=x"]), true), None);
        assert_eq!(SESSION.read(&of(&["__Host-countersign=x"]), false), None);
        assert_eq!(SESSION.read(&of(&["Countersign=x; xcountersign=y"]), false), None);
        let both = of(&["countersign-browser=m; countersign=s"]);
        assert_eq!((SESSION.read(&both, false), MARK.read(&both, false)), (Some("s"), Some("m")));
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
            assert_eq!(SESSION.read(&of(cookies), false), None, "{cookies:?}");
        }
    }

    #[test]
    fn over_tls_no_other_site_can_set_or_see_it() {
        let kept = SESSION.keep("x", true);
        let kept = kept.to_str().unwrap();
        assert!(kept.starts_with("__Host-countersign=x; Path=/; "), "{kept}");
        for attribute in ["Secure", "HttpOnly", "SameSite=Strict", "Max-Age=43200"] {
            assert!(kept.split("; ").any(|it| it == attribute), "{kept}");
        }
        assert!(!kept.contains("Domain"));
        assert!(!SESSION.keep("x", false).to_str().unwrap().contains("Secure"));
        assert!(SESSION.forget(true).to_str().unwrap().contains("Max-Age=0"));
    }
}

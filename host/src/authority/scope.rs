//! Patterns that confine a capability to part of its resources.

use super::Capability;
use crate::address;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What each capability is confined to. A capability that is absent is not confined; an empty list allows nothing.
pub type Scopes = BTreeMap<Capability, Vec<Pattern>>;

/// A resource name in which `*` stands for any run of characters. Compared without regard to ASCII case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern. Any text is one.
    pub fn new(text: impl Into<String>) -> Pattern {
        Pattern(text.into())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether mail to `address` is within the pattern: the pattern matches it, and it is an address a message may go to. Of a
    /// text a mail server reads as a route to somewhere else, nobody knows whom it covers.
    pub fn covers(&self, address: &str) -> bool {
        address::is_valid(address) && self.matches(address)
    }

    /// Whether the pattern matches all of `text`.
    ///
    /// Both are chosen by strangers (the manifest's author, the agent), so this takes time proportional to their
    /// lengths: each piece between stars is searched once, leftmost, and never again.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.to_ascii_lowercase(), text.to_ascii_lowercase());
        let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
        let Some(mut text) = text.strip_prefix(first) else { return false };
        let mut pieces: Vec<_> = rest.split('*').collect();
        let last = pieces.pop().unwrap_or_default();
        for piece in pieces {
            let Some(at) = text.find(piece) else { return false };
            text = &text[at + piece.len()..];
        }
        text.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_the_whole_text_or_nothing() {
        let cases = [
            ("team@company.com", "Team@Company.com", true),
            ("team@company.com", "xteam@company.com", false),
            ("*@company.com", "a@company.com", true),
            ("*@company.com", "a@company.com.evil.com", false),
            ("*@company.com", "a@evil.com", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn no_pattern_covers_a_route() {
        for route in [
            "thief%evil.example@company.com",
            "evil.example!thief@company.com",
            "/tmp/x@company.com",
            "-x@company.com",
        ] {
            for pattern in ["*", "*@company.com", "*company.com", route] {
                assert!(
                    Pattern::new(pattern).matches(route) && !Pattern::new(pattern).covers(route),
                    "{pattern}"
                );
            }
        }
        assert!(Pattern::new("*@company.com").covers("Thief+evil@Company.com"));
    }
}

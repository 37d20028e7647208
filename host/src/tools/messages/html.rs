//! Which HTML may leave: what a person sees of it must be all there is.

use crate::refusals::Refusal;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Structure, emphasis, links, lists and tables: no style, class, image, form or script.
const TAGS: &[&str] = &[
    "a",
    "b",
    "blockquote",
    "br",
    "code",
    "div",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "span",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];

/// The longest HTML body, in bytes.
pub const HTML_BYTES_MAX: usize = 64 * 1024;
/// How deep its elements may nest.
pub const HTML_DEPTH_MAX: usize = 100;

static SUBSET: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(TAGS.iter().copied().collect())
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(None);
    builder
});

/// How many tags are open at the deepest place, taking every tag that is not closed for an open one.
fn depth(body: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for (at, _) in body.match_indices('<') {
        let after = &body[at + 1..];
        let name = |name: &str| after.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
        if after.starts_with('/') {
            depth = depth.saturating_sub(1);
        } else if after.starts_with(|c: char| c.is_ascii_alphabetic()) && !name("br>") && !name("hr>") {
            depth += 1;
            deepest = deepest.max(depth);
        }
    }
    deepest
}

/// Accepts HTML that equals its own sanitised form, so that nothing in it is hidden from whoever renders it.
///
/// # Errors
///
/// `INVALID_PARAMETER`, naming what is allowed.
pub fn check(body: &str) -> Result<(), Refusal> {
    // Guest-controlled: what follows takes time that grows with the square of the nesting.
    if body.len() > HTML_BYTES_MAX {
        return Err(Refusal::parameter("body", format!("is HTML longer than {HTML_BYTES_MAX} bytes")));
    }
    if depth(body) > HTML_DEPTH_MAX {
        return Err(Refusal::parameter(
            "body",
            format!("is HTML nested deeper than {HTML_DEPTH_MAX} levels"),
        ));
    }
    let inner = without_frame(body);
    if SUBSET.clean(inner).to_string() == inner {
        return Ok(());
    }
    let expected = format!(
        "must be HTML made only of {} (`href` the only attribute; http, https or mailto), written as a browser \
         would write it, without comments",
        TAGS.join(", ")
    );
    Err(Refusal::parameter("body", expected))
}

/// What stands inside the customary frame, `<!doctype html><html><body>…</body></html>`, whose parts may be missing.
fn without_frame(body: &str) -> &str {
    let strip = |text, tag: &str| {
        let text: &str = text;
        let trimmed = text.trim_start();
        match trimmed.get(..tag.len()) {
            Some(head) if head.eq_ignore_ascii_case(tag) => &trimmed[tag.len()..],
            _ => text,
        }
    };
    let strip_end = |text, tag: &str| {
        let text: &str = text;
        let trimmed = text.trim_end();
        match trimmed.len().checked_sub(tag.len()).and_then(|at| trimmed.get(at..)) {
            Some(tail) if tail.eq_ignore_ascii_case(tag) => &trimmed[..trimmed.len() - tag.len()],
            _ => text,
        }
    };
    let inner = ["<!doctype html>", "<html>", "<body>"].iter().fold(body, |text, tag| strip(text, tag));
    ["</html>", "</body>"].iter().fold(inner, |text, tag| strip_end(text, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_structure_passes() {
        for body in [
            "<p>Hello <strong>team</strong></p>",
            "<!doctype html>\n<html><body><ul><li>one</li></ul></body></html>\n",
            "<a href=\"https://example.com/\">report</a>",
            "<table><tbody><tr><td>1 &lt; 2 &amp; 3</td></tr></tbody></table>",
        ] {
            assert!(check(body).is_ok(), "{body}");
        }
    }

    #[test]
    fn whatever_hides_loads_or_runs_is_refused() {
        for body in [
            "<p style=\"display:none\">x</p>",
            "<p class=\"x\">x</p>",
            "<p hidden>x</p>",
            "<!-- x --><p>x</p>",
            "<img src=\"https://evil.example/?leak\">",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"/relative\">x</a>",
            "<script>x</script>",
            "<style>p{color:#fff}</style>",
            "<form><input></form>",
            "<p>unclosed",
            "<font color=white>x</font>",
            "<svg onload=x></svg>",
            "<p>a\u{0}b</p>",
            &"<ul><li>".repeat(HTML_DEPTH_MAX),
            &"<p>x</p>".repeat(HTML_BYTES_MAX / 8 + 1),
        ] {
            assert!(check(body).is_err(), "{body}");
        }
    }
}

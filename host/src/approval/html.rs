//! Which HTML may leave: what a person sees of it must be all there is.
//!
//! A body is accepted only if it is written in a small subset in its one canonical spelling, so that it is its own sanitised form
//! and every reader builds the same tree from it: lower-case tags, all of them closed, nested as HTML nests them, nothing but text
//! in between. There is no style, class, image, form, script or comment, and `href` is the only attribute.

use crate::refusals::Refusal;

/// The longest HTML body, in bytes.
pub const HTML_BYTES_MAX: usize = 64 * 1024;
/// How deep its elements may nest.
pub const HTML_DEPTH_MAX: usize = 100;

const INLINE: &[&str] = &["a", "b", "br", "code", "em", "i", "s", "span", "strong", "u"];
const BLOCK: &[&str] =
    &["blockquote", "div", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "table", "ul"];
/// Elements that have no content and no end tag.
const VOID: &[&str] = &["br", "hr"];
/// What is space in HTML and may stand between elements.
const SPACE: [char; 4] = [' ', '\n', '\r', '\t'];
/// The characters that are written as entities, and may be.
const ENTITIES: &[&str] = &["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&nbsp;"];

/// Accepts a body in the subset. Takes time in proportion to its length: it comes from a guest.
///
/// # Errors
///
/// `INVALID_PARAMETER`, saying what is wrong, and what is allowed.
pub fn check(body: &str) -> Result<(), Refusal> {
    if body.len() > HTML_BYTES_MAX {
        return Err(Refusal::parameter("body", format!("is HTML longer than {HTML_BYTES_MAX} bytes")));
    }
    inspect(without_frame(body)).map_err(|wrong| {
        let tags = [INLINE, BLOCK, &["li", "tbody", "td", "th", "thead", "tr"]].concat().join(", ");
        let expected = format!(
            "is HTML with {wrong}. Allowed are {tags}, in lower case and closed, `href` as the only attribute (http, https or \
             mailto), and no comments"
        );
        Refusal::parameter("body", expected)
    })
}

fn inspect(html: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text(&rest[..at], open.last().copied())?;
        let before = &html[..html.len() - rest.len() + at];
        let (tag, after) = rest[at + 1..].split_once('>').ok_or("a `<` that starts no tag")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("`</{}>` where it closes nothing", shown(name)));
            }
            continue;
        }
        let name = match tag.strip_prefix("a href=\"").and_then(|link| link.strip_suffix('"')) {
            Some(link) => {
                href(link)?;
                "a"
            }
            None => tag,
        };
        let name = known(name).ok_or_else(|| format!("`<{}>`", shown(tag)))?;
        if !may_contain(&open, name) {
            let parent = open.last().copied().unwrap_or("body");
            return Err(format!("`<{name}>` inside `<{parent}>`"));
        }
        // Wherever it stands, a browser shows it above the other rows.
        if name == "thead" && !before.trim_end_matches(SPACE).ends_with("<table>") {
            return Err("`<thead>` that does not come first in its table".into());
        }
        if !VOID.contains(&name) {
            open.push(name);
        }
        if open.len() > HTML_DEPTH_MAX {
            return Err(format!("more than {HTML_DEPTH_MAX} elements in one another"));
        }
    }
    text(rest, open.last().copied())?;
    match open.last() {
        Some(name) => Err(format!("`<{name}>` that is not closed")),
        None => Ok(()),
    }
}

fn known(name: &str) -> Option<&'static str> {
    let structure = ["li", "tbody", "td", "th", "thead", "tr"];
    INLINE.iter().chain(BLOCK).chain(structure.iter()).copied().find(|known| *known == name)
}

/// The nesting every HTML parser keeps as it is written. Anything else would be rearranged, by each in its own way.
fn may_contain(open: &[&str], child: &str) -> bool {
    if child == "a" && open.contains(&"a") {
        return false;
    }
    match open.last().copied() {
        None | Some("blockquote" | "div" | "li" | "td" | "th") => {
            INLINE.contains(&child) || BLOCK.contains(&child)
        }
        Some("ul" | "ol") => child == "li",
        Some("table") => matches!(child, "thead" | "tbody"),
        Some("thead" | "tbody") => child == "tr",
        Some("tr") => matches!(child, "td" | "th"),
        // Paragraphs, headings, preformatted text, and everything inline.
        Some(_) => INLINE.contains(&child),
    }
}

fn text(text: &str, parent: Option<&str>) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        return Err(format!("the control character {}", c.escape_unicode()));
    }
    if let Some(parent @ ("ul" | "ol" | "table" | "thead" | "tbody" | "tr")) = parent
        && !text.trim_matches(SPACE).is_empty()
    {
        return Err(format!("text directly inside `<{parent}>`"));
    }
    entities(text)
}

fn entities(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        if !ENTITIES.iter().any(|entity| text[at..].starts_with(entity)) {
            return Err(format!("a `&` that is not one of {}", ENTITIES.join(" ")));
        }
    }
    Ok(())
}

fn href(link: &str) -> Result<(), String> {
    let scheme = ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme));
    let plain = link.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>`\\".contains(&b));
    // Browsers pass over further slashes and take what follows for the host.
    let hosts = ["http://", "https://"].iter().filter_map(|scheme| link.strip_prefix(scheme));
    let no_host = hosts.into_iter().any(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
    if !scheme || !plain || no_host {
        return Err(format!("the link `{}`", shown(link)));
    }
    entities(link)
}

fn shown(text: &str) -> String {
    crate::printable::short(text, 40)
}

/// What stands inside the customary frame, `<!doctype html><html><body>…</body></html>`, whose parts may be missing.
fn without_frame(body: &str) -> &str {
    let strip = |text, tag: &str| {
        let text: &str = text;
        let trimmed = text.trim_start_matches(SPACE);
        match trimmed.get(..tag.len()) {
            Some(head) if head.eq_ignore_ascii_case(tag) => &trimmed[tag.len()..],
            _ => text,
        }
    };
    let strip_end = |text, tag: &str| {
        let text: &str = text;
        let trimmed = text.trim_end_matches(SPACE);
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
            "",
            "just text, 2 > 1",
            "<p>Hello <strong>team</strong><br>Ada</p>\n<hr>",
            "<!doctype html>\n<html><body><ul>\n<li>one</li>\n</ul></body></html>\n",
            "<a href=\"https://example.com/?a=1&amp;b=2\">report</a>",
            "<table><thead><tr><th>n</th></tr></thead><tbody><tr><td>1 &lt; 2 &amp; 3</td></tr></tbody></table>",
            "<blockquote><p>a</p><div><h2>b <em>c</em></h2></div></blockquote>",
        ] {
            assert_eq!(check(body), Ok(()), "{body}");
        }
    }

    #[test]
    fn whatever_hides_loads_runs_or_is_rearranged_is_refused() {
        for body in [
            "<p style=\"display:none\">x</p>",
            "<p class=\"x\">x</p>",
            "<p hidden>x</p>",
            "<!-- x --><p>x</p>",
            "<img src=\"https://evil.example/?leak\">",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"/relative\">x</a>",
            "<a href=\"https://x\" title=\"y\">x</a>",
            "<a href='https://x'>x</a>",
            "<a href=\"https:///evil.example/\">x</a>",
            "<table><tbody><tr><td>a</td></tr></tbody><thead><tr><th>b</th></tr></thead></table>",
            "\u{b}<html>x</html>",
            "<a href=\"https://x\ny\">x</a>",
            "<script>x</script>",
            "<style>p{color:#fff}</style>",
            "<form><input></form>",
            "<p>unclosed",
            "</p>",
            "<b><i>x</b></i>",
            "<P>x</P>",
            "<p >x</p>",
            "<br/>",
            "<font color=white>x</font>",
            "<svg onload=x></svg>",
            "<p>a\u{0}b</p>",
            "<p>&eacute;</p>",
            "<p>a & b</p>",
            "a < b",
            "<p><div>x</div></p>",
            "<table>x<tbody></tbody></table>",
            "<table><tr><td>x</td></tr></table>",
            "<a href=\"https://x\"><b><a href=\"https://y\">z</a></b></a>",
            &"<div>".repeat(HTML_DEPTH_MAX + 1),
            &"<p>x</p>".repeat(HTML_BYTES_MAX / 8 + 1),
        ] {
            assert!(check(body).is_err(), "{body}");
        }
    }
}

//! Which HTML may leave: what a person sees of it must be all there is.
//!
//! A body is accepted only if it is written in a small subset in its one canonical spelling, so that it is its own sanitised form
//! and every reader builds the same tree from it: lower-case tags, all of them closed, nested as HTML nests them, nothing but text
//! in between. There is no style, class, image, form, script or comment, and `href` is the only attribute.
//!
//! What passed can be read without a browser: [`text`] gives it as plain text, and its links beside it.

use super::{Action, BodyKind, link};
use crate::refusals::Refusal;
use serde::{Deserialize, Serialize};

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
        characters(&rest[..at], open.last().copied())?;
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
    characters(rest, open.last().copied())?;
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

fn characters(text: &str, parent: Option<&str>) -> Result<(), String> {
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

fn href(written: &str) -> Result<(), String> {
    entities(written)?;
    let wrong = |refusal: Refusal| refusal.message.trim_start_matches("Parameter `body` has ").to_owned();
    link::check(&decoded(written)).map(drop).map_err(wrong)
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

/// A body as plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// What a reader sees of it, links numbered from 1 where they stand, `[1]`. It is as foreign as the body.
    pub text: String,
    /// Where its links lead, in this order.
    pub links: Vec<Link>,
}

/// A link of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Link {
    /// What it shows.
    pub text: String,
    /// Where it leads.
    pub href: String,
}

impl Rendered {
    /// The body of a message as its reader sees it. HTML outside the subset, which nobody could send, stays its source.
    pub fn of(action: &Action) -> Rendered {
        match action.body_kind {
            BodyKind::Html if check(&action.body).is_ok() => text(&action.body),
            // Mail ends its lines so, and nobody sees it.
            _ => Rendered { text: action.body.replace("\r\n", "\n"), links: Vec::new() },
        }
    }
}

/// How many quotes and lists in one another are set in: a line costs its writer a few bytes and may stand in a hundred.
const INDENTS_MAX: usize = 8;

/// Writes a body in the subset as plain text: paragraphs with a blank line between them, `- ` or a number before the items of
/// lists, ` | ` between the cells of a row, `> ` before quotes. Emphasis is left out, entities are what they stand for.
///
/// Whatever else the text may be, what is no tag of the subset stays as it is written. Takes time and memory in proportion to it.
pub fn text(html: &str) -> Rendered {
    let mut page = Page::default();
    let mut rest = without_frame(html);
    while let Some(at) = rest.find('<') {
        page.text(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.split_once('>').filter(|(tag, _)| page.tag(tag)) {
            Some((_, after)) => rest = after,
            None => page.shown('<'),
        }
    }
    page.text(rest);
    page.rendered
}

/// What a line stands in.
enum Indent {
    Quote,
    /// With the mark of the item, until its first line is written.
    Item(Option<String>),
}

/// A page while it is written.
#[derive(Default)]
struct Page {
    rendered: Rendered,
    /// The elements that are open.
    open: Vec<&'static str>,
    indents: Vec<Indent>,
    /// For each open list, the number of its next item; none in a list without numbers.
    lists: Vec<Option<usize>>,
    /// Cells of the current row so far.
    cells: usize,
    /// Line breaks the body asks for before what comes next, one by one, and those its structure asks for, at least.
    breaks: usize,
    wanted: usize,
    /// An item or a cell has begun and nothing of it is written: what stands first in it stands beside its mark.
    fresh: bool,
    /// Space before what comes next, where it is on the same line.
    space: bool,
    /// The last character was a carriage return.
    returned: bool,
    linking: bool,
}

impl Page {
    /// Takes what stands between `<` and `>`; says whether it is a tag.
    fn tag(&mut self, tag: &str) -> bool {
        if let Some(link) = tag.strip_prefix("a href=\"").and_then(|link| link.strip_suffix('"')) {
            let href = decoded(link);
            self.rendered.links.push(Link { text: String::new(), href });
            self.linking = true;
            self.open.push("a");
            return true;
        }
        match tag.strip_prefix('/') {
            Some(name) => known(name).is_some_and(|name| {
                self.end(name);
                true
            }),
            None => known(tag).is_some_and(|name| {
                self.begin(name);
                true
            }),
        }
    }

    fn begin(&mut self, name: &'static str) {
        match name {
            "br" => self.breaks += 1,
            "hr" => {
                self.at_least(2);
                "---".chars().for_each(|c| self.shown(c));
                self.at_least(2);
            }
            "li" => {
                self.at_least(1);
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{number}. ")
                    }
                    _ => "- ".into(),
                };
                self.indents.push(Indent::Item(Some(mark)));
                self.fresh = true;
            }
            "tr" => {
                self.at_least(1);
                self.cells = 0;
            }
            "td" | "th" => {
                if self.cells > 0 {
                    // Whatever the cell before ended with, the next one stands beside it.
                    self.wanted = 0;
                    self.space = false;
                    " | ".chars().for_each(|c| self.shown(c));
                }
                self.cells += 1;
                self.fresh = true;
            }
            "ul" | "ol" => {
                // A list in an item goes on where the item is.
                self.at_least(if self.lists.is_empty() { 2 } else { 1 });
                self.lists.push((name == "ol").then_some(0));
            }
            "blockquote" => {
                self.at_least(2);
                self.indents.push(Indent::Quote);
            }
            _ => self.at_least(around(name)),
        }
        if !VOID.contains(&name) {
            self.open.push(name);
        }
    }

    /// An end that closes nothing is passed over: nothing of the subset has one.
    fn end(&mut self, name: &'static str) {
        if self.open.last() != Some(&name) {
            return;
        }
        self.open.pop();
        match name {
            "a" if self.linking => {
                self.linking = false;
                let number = format!("[{}]", self.rendered.links.len());
                number.chars().for_each(|c| self.shown(c));
            }
            "li" => {
                // A browser shows the mark of an item with nothing in it.
                if matches!(self.indents.last(), Some(Indent::Item(Some(_)))) {
                    self.settle();
                }
                self.indents.pop();
                self.close(1);
            }
            "blockquote" => {
                self.indents.pop();
                self.at_least(2);
            }
            "ul" | "ol" => {
                self.lists.pop();
                self.at_least(if self.lists.is_empty() { 2 } else { 1 });
            }
            "td" | "th" => {
                // An empty cell keeps its place in its row.
                if self.fresh {
                    self.settle();
                }
                self.close(0);
            }
            "tr" => self.close(1),
            _ => self.at_least(around(name)),
        }
    }

    /// Ends an item, a cell or a row, which stand closer together than what is in them.
    fn close(&mut self, breaks: usize) {
        self.fresh = false;
        self.wanted = breaks;
    }

    fn at_least(&mut self, breaks: usize) {
        if self.fresh {
            return;
        }
        self.wanted = self.wanted.max(breaks);
        if breaks > 0 {
            self.space = false;
        }
    }

    fn text(&mut self, text: &str) {
        let kept = self.open.contains(&"pre");
        for c in decoded(text).chars() {
            let returned = std::mem::replace(&mut self.returned, c == '\r');
            match c {
                '\n' if kept && returned => {}
                '\n' | '\r' if kept => self.breaks += 1,
                c if !kept && SPACE.contains(&c) => self.space = true,
                HARD_SPACE => self.shown(' '),
                c => self.shown(c),
            }
        }
    }

    /// Begins the lines that are due.
    fn settle(&mut self) {
        let out = &mut self.rendered.text;
        let first = out.is_empty();
        let breaks = if first { self.breaks } else { self.breaks.max(self.wanted) };
        out.extend(std::iter::repeat_n('\n', breaks));
        let begins = first || breaks > 0;
        for (depth, indent) in self.indents.iter_mut().enumerate() {
            match indent {
                Indent::Quote if begins && depth < INDENTS_MAX => out.push_str("> "),
                Indent::Item(mark @ Some(_)) => out.push_str(&mark.take().unwrap_or_default()),
                Indent::Item(None) if begins && depth < INDENTS_MAX => out.push_str("  "),
                _ => {}
            }
        }
        if std::mem::take(&mut self.space) && !begins {
            out.push(' ');
            self.link_text(' ');
        }
        (self.breaks, self.wanted, self.fresh) = (0, 0, false);
    }

    /// Writes a character a reader sees.
    fn shown(&mut self, c: char) {
        self.settle();
        self.rendered.text.push(c);
        self.link_text(c);
    }

    fn link_text(&mut self, c: char) {
        if let (true, Some(link)) = (self.linking, self.rendered.links.last_mut()) {
            link.text.push(c);
        }
    }
}

/// How many line breaks stand around an element.
fn around(name: &str) -> usize {
    match name {
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "pre" | "table" => 2,
        "div" => 1,
        _ => 0,
    }
}

/// What `&nbsp;` stands for until the line is written: there it is a space like any other, which no space swallows.
const HARD_SPACE: char = '\u{a0}';

/// The text with its entities replaced by what they stand for.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = ENTITIES
            .iter()
            .zip(['&', '<', '>', '"', '\'', HARD_SPACE])
            .find(|(it, _)| rest.starts_with(**it));
        let (taken, c) = found.map_or((1, '&'), |(entity, c)| (entity.len(), c));
        out.push(c);
        rest = &rest[taken..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn reads(html: &str, expected: &str) {
        assert_eq!(check(html), Ok(()), "{html}");
        assert_eq!(text(html).text, expected, "{html}");
    }

    #[test]
    fn structure_is_written_as_plain_text() {
        reads(
            "<p>Hello\n  <strong>team</strong>,<br>Ada</p>\n<hr>\n<p>x</p>",
            "Hello team,\nAda\n\n---\n\nx",
        );
        reads("<!doctype html><html><body><div>a</div><div>b</div></body></html>", "a\nb");
        reads(
            "<ul><li>one</li><li><p>two</p><ol><li>a<br>b</li><li></li></ol></li></ul>c",
            "- one\n- two\n\n  1. a\n    b\n  2. \n\nc",
        );
        reads(
            "<table><thead><tr><th>n</th><th>of</th></tr></thead><tbody><tr><td></td><td>1 &lt; 2</td></tr></tbody></table>",
            "n | of\n | 1 < 2",
        );
        reads(
            "<table><tbody><tr><td><p>a</p><p>b</p></td><td><p>c</p></td></tr><tr><th></th></tr></tbody></table>d",
            "a\n\nb | c\n\n\nd",
        );
        reads("a<blockquote><p>b</p><blockquote>c</blockquote></blockquote>d", "a\n\n> b\n\n> > c\n\nd");
        reads("<pre>  x\r\n\ty\rz</pre>", "  x\n\ty\nz");
        reads("a&nbsp;&nbsp; b &amp;lt; &quot;&#39;", "a   b &lt; \"'");
        reads("<br><br>a<br><br><br>b", "\n\na\n\n\nb");
        reads(" <p> </p> ", "");
    }

    #[test]
    fn links_are_numbered_and_listed() {
        let html = "<a href=\"https://a.example/?x=1&amp;y=2\">the <b>report</b></a> and <a href=\"mailto:b@c.d\"></a>";
        reads(html, "the report[1] and [2]");
        let link = |text: &str, href: &str| Link { text: text.into(), href: href.into() };
        assert_eq!(
            text(html).links,
            [link("the report", "https://a.example/?x=1&y=2"), link("", "mailto:b@c.d")]
        );
    }

    #[test]
    fn what_is_not_in_the_subset_stays_as_it_is_written() {
        assert_eq!(
            text("a < b <img src=x> <<b>c</b> </p> &eacute; <").text,
            "a < b <img src=x> <c &eacute; <"
        );
    }

    #[test]
    fn deep_nesting_does_not_make_a_short_body_long() {
        let depth = HTML_DEPTH_MAX / 2;
        for (begin, end) in [("<blockquote>", "</blockquote>"), ("<ol><li>", "</li></ol>")] {
            let lines = "<br>x".repeat(10_000);
            let html = format!("{}{lines}{}", begin.repeat(depth), end.repeat(depth));
            assert_eq!(check(&html), Ok(()));
            assert!(text(&html).text.len() <= 10 * html.len());
        }
    }

    /// Bodies of the subset, each with the words a reader sees of it, in order.
    fn page() -> impl Strategy<Value = (String, String)> {
        let joined = |parts: Vec<(String, String)>| {
            parts.into_iter().fold((String::new(), String::new()), |(html, words), (more, seen)| {
                (html + &more, words + &seen)
            })
        };
        let phrase = prop_oneof![
            "[a-z \n]{0,8}".prop_map(|text| (text.clone(), text)),
            prop::sample::select(vec!["br", "hr"]).prop_map(|tag| (format!("<{tag}>"), String::new())),
            "[a-z]{1,4}"
                .prop_map(|text| (format!("<b><a href=\"https://x.example/{text}\">{text}</a></b>"), text)),
            Just(("&amp;&quot;".to_owned(), "&\"".to_owned())),
        ];
        phrase.prop_recursive(4, 40, 4, move |inner| {
            let inner = prop::collection::vec(inner, 0..4).prop_map(joined);
            (inner, 0..5usize).prop_map(|((html, words), kind)| {
                let (begin, end) = [
                    ("<div>", "</div>"),
                    ("<blockquote>", "</blockquote>"),
                    ("<ul><li>", "</li></ul>"),
                    ("<ol><li></li><li>", "</li></ol>"),
                    ("<table><tbody><tr><td></td><th>", "</th></tr></tbody></table>"),
                ][kind];
                (format!("{begin}{html}{end}"), words)
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn all_a_reader_sees_is_there_in_order_and_no_markup((html, words) in page()) {
            prop_assert_eq!(check(&html), Ok(()), "{}", html);
            let rendered = text(&html);
            prop_assert!(!rendered.text.contains(['<']), "{:?}", rendered);
            let mut rest = rendered.text.chars();
            for word in words.chars().filter(|c| !c.is_whitespace()) {
                prop_assert!(rest.any(|c| c == word), "{:?} misses {:?} of {:?}", rendered.text, word, words);
            }
            // And nothing is there that is not: marks, numbers and space aside.
            let letters = |text: &str| text.chars().filter(char::is_ascii_lowercase).collect::<String>();
            prop_assert_eq!(letters(&rendered.text), letters(&words));
        }

        #[test]
        fn any_text_can_be_read(html in "(</?(p|li|ul|ol|tr|td|table|a|pre|blockquote|x)>|<a href=\"|\">|&amp;|&|<|>|\\PC|\r|\n){0,60}") {
            prop_assert!(text(&html).text.len() <= 20 * html.len());
        }
    }
}

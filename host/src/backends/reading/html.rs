//! HTML as text: what a person would be shown, in its order, a line for each line and a tab between cells.
//!
//! `html5gum` finds tags, text and characters as browsers do. No tree is built, because building one takes time beyond all bounds for
//! some pages of a few kilobytes; of what is open only names are kept. One pass, in which nothing reaches further back than
//! [`ELEMENTS_DEPTH_MAX`] elements.

use html5gum::emitters::default::StartTag;
use html5gum::{DefaultEmitter, Token, Tokenizer};
use std::collections::HashMap;
use std::sync::LazyLock;

/// How deep elements nest at most, as in browsers. What stands deeper is cut off: it cannot be told any more what is hidden.
pub const ELEMENTS_DEPTH_MAX: usize = 512;
/// The most rules of style sheets that are looked at.
const RULES_MAX: usize = 1_000;
/// The longest address of a link that is shown, in bytes.
const LINK_BYTES_MAX: usize = 2_000;

/// What a name says of an element: one bit for each of the lists below that has it.
type Class = u32;

/// Ends without an end tag.
const VOID: Class = 1;
/// Stands on lines of its own.
const BLOCK: Class = 1 << 1;
/// Has an empty line around it.
const SPACED: Class = 1 << 2;
/// No part of it is shown.
const NEVER: Class = 1 << 3;
/// May stand in a head; anything else ends one.
const OF_HEAD: Class = 1 << 4;
/// What an end tag of something within a cell does not reach beyond.
const WALL: Class = 1 << 5;
/// Its end tag reaches beyond cells.
const ACROSS: Class = 1 << 6;
const PREFORMATTED: Class = 1 << 7;
const QUOTE: Class = 1 << 8;
const HEAD: Class = 1 << 9;
/// Ends where the next of its kind begins.
const PARAGRAPH: Class = 1 << 10;
const ITEM: Class = 1 << 11;
const TERM: Class = 1 << 12;
const OPTION: Class = 1 << 13;
const CELL: Class = 1 << 14;
const ROW: Class = 1 << 15;
const ROWS: Class = 1 << 16;
const LINK: Class = 1 << 17;
/// Within one of these, what stands around it is not ended.
const TABLE: Class = 1 << 18;
const LIST: Class = 1 << 19;
const TERMS: Class = 1 << 20;
const CHOICE: Class = 1 << 21;
const FENCE: Class = 1 << 22;
/// What follows it is shown in it.
const WHOLE: Class = 1 << 23;

#[rustfmt::skip]
const LISTS: &[(Class, &[&str])] = &[
    (VOID, &["area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param",
        "source", "track", "wbr"]),
    (BLOCK, &["address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt",
        "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "legend", "li", "main",
        "menu", "nav", "ol", "optgroup", "option", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", "xmp"]),
    (SPACED, &["blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "ul"]),
    (NEVER, &["audio", "canvas", "datalist", "head", "iframe", "noembed", "noframes", "noscript", "object", "script", "style", "template",
        "title", "video"]),
    (OF_HEAD, &["base", "basefont", "bgsound", "link", "meta", "noscript", "script", "style", "template", "title"]),
    (WALL, &["td", "th", "table", "caption"]),
    (ACROSS, &["table", "tr", "td", "th", "tbody", "thead", "tfoot", "body", "html"]),
    (PREFORMATTED, &["pre", "xmp", "textarea", "plaintext", "listing"]),
    (QUOTE, &["blockquote"]),
    (HEAD, &["head"]),
    (PARAGRAPH, &["p"]),
    (ITEM, &["li"]),
    (TERM, &["dt", "dd"]),
    (OPTION, &["option"]),
    (CELL, &["td", "th"]),
    (ROW, &["tr"]),
    (ROWS, &["tbody", "thead", "tfoot"]),
    (LINK, &["a"]),
    (TABLE, &["table"]),
    (LIST, &["ul", "ol", "menu", "dir"]),
    (TERMS, &["dl"]),
    (CHOICE, &["select", "datalist"]),
    (FENCE, &["button", "caption", "object"]),
    (WHOLE, &["body", "html"]),
];

fn class(name: &str) -> Class {
    static CLASSES: LazyLock<HashMap<&str, Class>> = LazyLock::new(|| {
        let mut classes = HashMap::new();
        for (class, names) in LISTS {
            names.iter().for_each(|name| *classes.entry(*name).or_default() |= class);
        }
        classes
    });
    CLASSES.get(name).copied().unwrap_or_default()
}

/// Text of at most so many bytes, give or take one piece of it, and whether that is all of it.
pub fn text(html: &str, most: usize) -> (String, bool) {
    let mut writer = Writer { hiding: Rules::of(html), ..Writer::default() };
    for token in tokens(html) {
        match token {
            Token::StartTag(tag) => writer.open(&tag),
            Token::EndTag(tag) => writer.close(&name(&tag.name)),
            Token::String(text) => writer.say(&String::from_utf8_lossy(&text)),
            _ => {}
        }
        if writer.out.len() > most || writer.stack.len() > ELEMENTS_DEPTH_MAX {
            return (writer.out, false);
        }
    }
    writer.end_line();
    (writer.out, true)
}

fn tokens(html: &str) -> impl Iterator<Item = Token> {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(html, emitter).map(|token| match token {
        Ok(token) => token,
        Err(never) => match never {},
    })
}

fn name(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.iter().find(|(key, _)| ***key == *name)?.1;
    Some(String::from_utf8_lossy(value).into_owned())
}

struct Element {
    name: String,
    class: Class,
    is_hidden: bool,
    /// Whether its text has no size. Unlike what is hidden, an element within it may have one again, and in mail often has.
    is_sizeless: bool,
    /// Where a link begins in the text, and where it leads.
    link: Option<(usize, String)>,
}

#[derive(Default)]
struct Writer {
    out: String,
    stack: Vec<Element>,
    hiding: Rules,
    hidden: usize,
    preformatted: usize,
    quotes: usize,
    /// How many line ends come before the next text, none, one or two.
    breaks: usize,
    /// White space, or the border of a cell, that comes before the next text on the same line.
    gap: Option<char>,
}

impl Writer {
    fn open(&mut self, tag: &StartTag<()>) {
        let name = name(&tag.name);
        let class = class(&name);
        self.imply_ends(class);
        let is_hidden = class & NEVER != 0 || self.hiding.hides(&name, tag);
        if !is_hidden && self.hidden == 0 {
            match &name[..] {
                "br" => self.break_line(),
                "img" => {
                    if let Some(alt) = attribute(tag, b"alt").filter(|alt| !alt.trim().is_empty()) {
                        self.say(&format!("[image: {alt}]"));
                    }
                }
                _ => self.part(class),
            }
        }
        if class & VOID != 0 {
            return;
        }
        self.hidden += usize::from(is_hidden);
        self.preformatted += usize::from(class & PREFORMATTED != 0);
        self.quotes += usize::from(class & QUOTE != 0);
        let target =
            attribute(tag, b"href").filter(|_| class & LINK != 0).map(|target| target.trim().to_owned());
        let target = target.filter(|target| target.len() <= LINK_BYTES_MAX && leads_somewhere(target));
        let inherited = self.stack.last().is_some_and(|element| element.is_sizeless);
        let is_sizeless = attribute(tag, b"style").and_then(|style| sizeless(&style)).unwrap_or(inherited);
        let link = target.map(|target| (self.out.len(), target));
        self.stack.push(Element { name, class, is_hidden, is_sizeless, link });
    }

    /// Ends what a start tag of this class ends without saying so.
    fn imply_ends(&mut self, class: Class) {
        if class & OF_HEAD == 0 && self.stack.last().is_some_and(|element| element.class & HEAD != 0) {
            self.pop();
        }
        let (ends, within) = match class {
            _ if class & ITEM != 0 => (ITEM, LIST | CELL | TABLE),
            _ if class & TERM != 0 => (TERM, TERMS | CELL | TABLE),
            _ if class & OPTION != 0 => (OPTION, CHOICE),
            _ if class & CELL != 0 => (CELL, ROW | TABLE),
            _ if class & ROW != 0 => (ROW, TABLE),
            _ if class & ROWS != 0 => (ROWS | ROW, TABLE),
            _ if class & LINK != 0 => (LINK, WALL),
            _ if class & BLOCK != 0 => (PARAGRAPH, FENCE | CELL | TABLE),
            _ => return,
        };
        let open = self.stack.iter().rposition(|element| element.class & (ends | within) != 0);
        if let Some(at) = open.filter(|at| self.stack[*at].class & ends != 0) {
            self.stack_down_to(at);
        }
    }

    fn close(&mut self, name: &str) {
        let class = class(name);
        let is = |element: &Element| element.class == class && element.name == name;
        // Browsers take these two for what was meant.
        if matches!(name, "br" | "p") && !self.stack.iter().any(is) {
            if self.hidden == 0 {
                self.break_line();
            }
            return;
        }
        let stop = if class & ACROSS != 0 { TABLE } else { WALL };
        let open = self.stack.iter().rposition(|element| is(element) || element.class & stop != 0);
        if let Some(at) = open.filter(|at| class & WHOLE == 0 && is(&self.stack[*at])) {
            self.stack_down_to(at);
        }
    }

    fn stack_down_to(&mut self, at: usize) {
        while self.stack.len() > at {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(Element { class, is_hidden, link, .. }) = self.stack.pop() else { return };
        if let Some((start, target)) = link.filter(|_| self.hidden == 0) {
            let said = self.out[start.min(self.out.len())..].trim();
            // An address that is its own text is not said twice.
            if said != target && format!("mailto:{said}") != target && format!("{said}/") != target {
                self.gap = self.is_within_line().then_some(' ');
                self.say(&format!("<{target}>"));
            }
        }
        self.hidden -= usize::from(is_hidden);
        if self.hidden == 0 && !is_hidden {
            self.part(class);
        }
        self.preformatted -= usize::from(class & PREFORMATTED != 0);
        self.quotes -= usize::from(class & QUOTE != 0);
    }

    /// Begins and ends cells, and the lines of blocks.
    fn part(&mut self, class: Class) {
        if class & CELL != 0 {
            self.gap = self.is_within_line().then_some('\t');
        }
        if class & BLOCK == 0 {
            return;
        }
        self.gap = None;
        if self.is_within_line() || self.breaks > 0 {
            self.breaks = self.breaks.max(if class & SPACED != 0 { 2 } else { 1 });
        }
    }

    fn is_within_line(&self) -> bool {
        self.breaks == 0 && !self.out.is_empty() && !self.out.ends_with('\n')
    }

    fn break_line(&mut self) {
        self.gap = None;
        // The second one in a row leaves an empty line, and so on.
        if self.breaks > 0 {
            self.flush();
        }
        match self.out.is_empty() || self.out.ends_with('\n') {
            true if !self.out.is_empty() => self.out.push('\n'),
            true => {}
            false => self.breaks = 1,
        }
    }

    fn flush(&mut self) {
        if self.breaks > 0 && !self.out.is_empty() {
            for _ in 0..self.breaks {
                self.out.push('\n');
            }
        }
        self.breaks = 0;
    }

    fn end_line(&mut self) {
        while self.out.ends_with([' ', '\t', '\n']) {
            self.out.pop();
        }
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn say(&mut self, text: &str) {
        // Text ends a head that nothing else has ended.
        if self.stack.last().is_some_and(|element| element.class & HEAD != 0) && !text.trim().is_empty() {
            self.pop();
        }
        if self.hidden > 0 || self.stack.last().is_some_and(|element| element.is_sizeless) {
            return;
        }
        for c in text.chars() {
            match c {
                '\n' if self.preformatted > 0 => {
                    self.flush();
                    self.out.push('\n');
                }
                ' ' | '\t' if self.preformatted > 0 => self.put(c),
                ' ' | '\t' | '\n' | '\r' | '\u{c}' => {
                    self.gap = self.gap.or(self.is_within_line().then_some(' '))
                }
                '\u{a0}' => self.put(' '),
                // Hints where a line may break, and nothing else.
                '\u{ad}' | '\0' => {}
                c => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        self.flush();
        if self.out.is_empty() || self.out.ends_with('\n') {
            self.gap = None;
            // As mail programs quote.
            for _ in 0..self.quotes.min(8) {
                self.out.push_str("> ");
            }
        }
        self.out.extend(self.gap.take());
        self.out.push(c);
    }
}

fn leads_somewhere(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    matches!(&scheme[..], "http" | "https" | "mailto" | "tel" | "ftp")
}

/// What style sheets hide, as far as a rule names one element by its name, class or id.
#[derive(Default)]
struct Rules(HashMap<String, bool>);

impl Rules {
    fn of(html: &str) -> Rules {
        let mut rules = Rules::default();
        let mut in_style = false;
        for token in tokens(html) {
            match token {
                Token::StartTag(tag) => in_style = &**tag.name == b"style",
                Token::EndTag(_) => in_style = false,
                Token::String(text) if in_style => {
                    rules.read(&without_comments(&String::from_utf8_lossy(&text)))
                }
                _ => {}
            }
        }
        rules
    }

    fn read(&mut self, sheet: &str) {
        let mut rest = sheet;
        while let Some((prelude, behind)) = rest.split_once('{') {
            let prelude = prelude.rsplit([';', '}']).next().unwrap_or_default().trim();
            // A condition such as `@media` may hold nowhere: its rules are passed over, with the braces within it.
            let end = match prelude.starts_with('@') {
                true => closing(behind),
                false => behind.find('}').unwrap_or(behind.len()),
            };
            let (body, after) = behind.split_at(end);
            if !prelude.starts_with('@') {
                for selector in prelude.split(',') {
                    self.add(selector.trim(), body);
                }
            }
            rest = after.strip_prefix('}').unwrap_or(after);
        }
    }

    fn add(&mut self, selector: &str, body: &str) {
        let is_simple =
            !selector.is_empty() && !selector.contains([' ', '>', '+', '~', ':', '[', '*', '\n', '\t']);
        if let Some(hides) = shown(body).filter(|_| is_simple && self.0.len() < RULES_MAX) {
            self.0.insert(selector.to_ascii_lowercase(), hides);
        }
    }

    fn hides(&self, name: &str, tag: &StartTag<()>) -> bool {
        if let Some(style) = attribute(tag, b"style").and_then(|style| shown(&without_comments(&style))) {
            return style;
        }
        if attribute(tag, b"hidden").is_some() || name == "dialog" && attribute(tag, b"open").is_none() {
            return true;
        }
        if self.0.is_empty() {
            return false;
        }
        let hides = |selector: &str| self.0.get(&selector.to_ascii_lowercase()).copied().unwrap_or(false);
        let classes = attribute(tag, b"class").unwrap_or_default();
        hides(name)
            || attribute(tag, b"id")
                .is_some_and(|id| hides(&format!("#{id}")) || hides(&format!("{name}#{id}")))
            || classes
                .split_ascii_whitespace()
                .any(|class| hides(&format!(".{class}")) || hides(&format!("{name}.{class}")))
    }
}

/// Where the brace closes that was opened before `text`.
fn closing(text: &str) -> usize {
    let mut depth = 1usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn without_comments(style: &str) -> String {
    let mut out = String::with_capacity(style.len());
    let mut rest = style;
    while let Some((before, behind)) = rest.split_once("/*") {
        out += before;
        rest = behind.split_once("*/").map_or("", |(_, after)| after);
    }
    out + rest
}

/// Property and value of each declaration, in lower case, without `!important`.
fn declarations(style: &str) -> impl Iterator<Item = (String, String)> {
    style.split(';').filter_map(|declaration| {
        let (property, value) = declaration.split_once(':')?;
        let value = value.split('!').next().unwrap_or_default();
        Some((property.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase()))
    })
}

fn is_zero(value: &str) -> bool {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    number.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// Whether a style hides an element (`true`), shows it, or says nothing of it.
fn shown(style: &str) -> Option<bool> {
    let mut hides = None;
    for (property, value) in declarations(style) {
        let hidden = match &property[..] {
            "display" => value == "none",
            "visibility" => matches!(&value[..], "hidden" | "collapse"),
            "mso-hide" => value == "all",
            "opacity" | "max-height" | "max-width" => is_zero(&value),
            _ => false,
        };
        if hidden {
            return Some(true);
        }
        if property == "display" {
            hides = Some(false);
        }
    }
    hides
}

/// Whether a style takes all size from text (`true`), gives it one, or says nothing of it.
fn sizeless(style: &str) -> Option<bool> {
    let (_, size) = declarations(style).filter(|(property, _)| property == "font-size").last()?;
    // A part of nothing is nothing.
    let is_relative = size.ends_with('%') || size.ends_with("em") && !size.ends_with("rem");
    if is_zero(&size) { Some(true) } else { (!is_relative).then_some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(html: &str) -> String {
        text(html, 100_000).0
    }

    #[test]
    fn lines_cells_links_and_order_are_kept() {
        let cases = [
            ("<p>Hello <b>you</b></p>", "Hello you\n"),
            (
                "<table><tr><td>Price</td><td>40</td></tr><tr><td>Total<td>80</table>x",
                "Price\t40\nTotal\t80\nx\n",
            ),
            (
                "<div>Hello</div><div>World</div><ul><li>one<li>two</ul><h1>Head</h1>text",
                "Hello\nWorld\n\none\ntwo\n\nHead\n\ntext\n",
            ),
            ("a<br>b<br><br>c<br/>", "a\nb\n\nc\n"),
            ("<p>One</p>\n<p>Two</p>", "One\n\nTwo\n"),
            ("a <a href=\"https://x.example/\">here</a>, b", "a here <https://x.example/>, b\n"),
            (
                "<a href='https://x.example/'>https://x.example</a> <a href=mailto:a@b>a@b</a> <a href='#top'>up</a>",
                "https://x.example a@b up\n",
            ),
            (
                "<a href='https://x.example/'><img src=x alt='Pay now'></a>",
                "[image: Pay now] <https://x.example/>\n",
            ),
            ("<pre>a  b\n  c</pre>d   e\n f", "a  b\n  c\n\nd e f\n"),
            ("<blockquote>You wrote<br>this</blockquote>yes", "> You wrote\n> this\n\nyes\n"),
            (
                "5 &lt; 6 &amp;&amp; 7 &gt; 2 &nbsp;caf&eacute; &#8364; &#x1F600;",
                "5 < 6 && 7 > 2  café € 😀\n",
            ),
            ("a < b and c > d", "a < b and c > d\n"),
            ("<p title=\"a > b\">Text</p>", "Text\n"),
            ("<td>a</td></div>b</td>", "a\tb\n"),
            ("", ""),
        ];
        for (html, expected) in cases {
            assert_eq!(read(html), expected, "{html}");
        }
    }

    #[test]
    fn what_a_person_would_not_see_is_not_there() {
        for hidden in [
            "<div style='display:none'>secret</div>",
            "<div style='color:red; DISPLAY : none !important'>secret <div>secret</div></div>",
            "<span style='display:/**/none'>secret</span>",
            "<p hidden>secret",
            "<p hidden>secret<p>",
            "<div style=visibility:hidden>secret</div>",
            "<div style='max-height:0px;overflow:hidden'>secret</div>",
            "<span style='font-size:0'>secret <b style='font-size:200%'>secret</b></span>",
            "<p hidden style='opacity:1'>secret</p>",
            "<table><tr><td><span style='display:none'>secret</td><td></table>",
            "<!-- secret -->",
            "<!--[if mso]><p>secret</p><![endif]-->",
            "<script>secret</script><style>.secret{}</style><title>secret</title>",
            "<head><title>secret</title><meta x></head>",
            "<style>p.x, .gone { display: none } @media print { .y { display: none } }</style><p class='a gone'>secret</p>",
            "<template>secret</template><noscript>secret</noscript><iframe>secret</iframe><dialog>secret</dialog>",
            "<a hidden href='https://secret.example/'>secret</a>",
            "<img hidden alt=secret>",
        ] {
            let text = read(&format!("<p>Before.</p>{hidden}<p>After.</p>"));
            let words: Vec<_> = text.split_whitespace().collect();
            assert_eq!(words, ["Before.", "After."], "{hidden}");
        }
    }

    #[test]
    fn what_a_person_would_see_is_there() {
        for html in [
            "<html><head><title>t</title><body><p>shown</p></body></html>",
            "<head><title>t</title><p>shown",
            "<p>a</p><!-- note ---><p>shown</p><!-- two -->",
            "<style>@media print { .y { display: none } } .z:hover{display:none}</style><p class='y z'>shown</p>",
            "<style>.y{display:none}</style><p class=y style='display:block'>shown</p>",
            "<style></style><![if !mso]>shown<![endif]>",
            "<div style='max-height:10px;line-height:0'>shown</div>",
            "<p hidden>gone</p>shown</body> more",
            "<table><td style='font-size:0px'><div style='font-size:16px'>shown</div></td></table>",
            "<head>shown",
            "<div hidden>gone</div></div></span>shown",
        ] {
            assert!(read(html).contains("shown"), "{html}: {}", read(html));
        }
    }

    #[test]
    fn depth_and_length_have_an_end() {
        let (deep, whole) = text(&format!("{}secret", "<div>".repeat(600)), 100_000);
        assert!(!whole && deep.is_empty());
        let (long, whole) = text(&"x".repeat(100), 10);
        assert!(!whole && long.starts_with("xxxxxxxxxx"));
    }
}

//! HTML as text: what a person would be shown, in its order, a line for each line and a tab between cells.
//!
//! `html5gum` finds tags, text and characters as browsers do. No tree is built, because building one takes time beyond all bounds for
//! some pages of a few kilobytes; of what is open only names are kept. One pass, in which nothing reaches further back than
//! [`ELEMENTS_DEPTH_MAX`] elements.

pub use super::style::{CLASSES_MAX, RULES_MAX, SELECTOR_BYTES_MAX, STEPS_MAX, STEPS_PER_BYTE_MAX};
use super::style::{Display, Look, Names, Sheet};
use html5gum::emitters::default::StartTag;
use html5gum::{DefaultEmitter, Token, Tokenizer};
use std::collections::HashMap;
use std::sync::LazyLock;

/// How deep elements nest at most, as in browsers. What stands deeper is cut off: it cannot be told any more what is hidden.
pub const ELEMENTS_DEPTH_MAX: usize = 512;
/// The longest address of a link that is shown, in bytes.
const LINK_BYTES_MAX: usize = 2_000;
/// The longest raised or lowered text that gets parentheses, in bytes.
const RAISED_BYTES_MAX: usize = 200;

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
/// Shows its summary and nothing else of it, until somebody opens it.
const DETAILS: Class = 1 << 24;
const SUMMARY: Class = 1 << 25;
/// Numbers its items.
const NUMBERED: Class = 1 << 26;
const STRUCK: Class = 1 << 27;
/// Stands above the line, or below it.
const RAISED: Class = 1 << 28;
/// Stands in the line, and apart from what stands beside it.
const APART: Class = 1 << 30;
/// Its rows stand below all others of the table.
const FOOT: Class = 1 << 29;

#[rustfmt::skip]
const LISTS: &[(Class, &[&str])] = &[
    (VOID, &["area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link", "meta", "param",
        "source", "track", "wbr"]),
    (BLOCK, &["address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir", "div", "dl", "dt",
        "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "legend", "li", "main",
        "menu", "nav", "ol", "optgroup", "option", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul", "xmp"]),
    (SPACED, &["blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "ul"]),
    (NEVER, &["audio", "canvas", "datalist", "head", "iframe", "noembed", "noframes", "noscript", "object", "script", "style", "template",
        "title", "video", "meter", "progress", "annotation", "annotation-xml", "defs", "desc", "metadata"]),
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
    (DETAILS, &["details"]),
    (SUMMARY, &["summary"]),
    (NUMBERED, &["ol"]),
    (STRUCK, &["s", "strike", "del"]),
    (RAISED, &["sup", "sub"]),
    (FOOT, &["tfoot"]),
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
    let mut writer = Writer { sheet: sheet(html), ..Writer::default() };
    for token in tokens(html) {
        match token {
            Token::StartTag(tag) => writer.open(&tag),
            Token::EndTag(tag) => writer.close(&name(&tag.name)),
            Token::String(text) => writer.say(&String::from_utf8_lossy(&text)),
            _ => {}
        }
        if writer.out.len() > most || writer.stack.len() > ELEMENTS_DEPTH_MAX || writer.sheet.is_spent() {
            return (writer.out, false);
        }
    }
    writer.stack_down_to(0);
    writer.end_line();
    (writer.out, true)
}

/// The style sheets of a page.
fn sheet(html: &str) -> Sheet {
    let (mut sheet, mut in_style) = (Sheet::of_page(html.len()), false);
    for token in tokens(html) {
        match token {
            Token::StartTag(tag) => in_style = &**tag.name == b"style",
            Token::EndTag(_) => in_style = false,
            Token::String(text) if in_style => sheet.read(&String::from_utf8_lossy(&text)),
            _ => {}
        }
    }
    sheet
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
    /// How it stands in the text: what its class says, unless a style says otherwise.
    layout: Class,
    names: Names,
    is_hidden: bool,
    /// Whether its text is not seen: it has no size, no colour, or is invisible. Unlike in what is hidden, text of an element within it may
    /// be seen again, and in mail often is.
    unseen: Unseen,
    is_struck: bool,
    /// What it shows nothing of but its summary.
    is_closed: bool,
    /// Where it leads.
    link: Option<String>,
    /// How much had been written when it began, and how many lines.
    start: usize,
    lines: usize,
    /// The line ends and cell borders that were to come then.
    breaks: usize,
    tabs: usize,
    /// Of a row: how many cells have begun in it. Of a list: the number of the next item.
    count: i64,
    /// Of a table: the rows that stand below all others.
    foot: String,
}

#[derive(Clone, Copy, Default)]
struct Unseen {
    is_sizeless: bool,
    is_invisible: bool,
    is_clear: bool,
}

impl Unseen {
    fn within(self, look: &Look) -> Unseen {
        Unseen {
            is_sizeless: look.is_sizeless.unwrap_or(self.is_sizeless),
            is_invisible: look.is_invisible.unwrap_or(self.is_invisible),
            is_clear: look.is_clear.unwrap_or(self.is_clear),
        }
    }

    fn is_so(self) -> bool {
        self.is_sizeless || self.is_invisible || self.is_clear
    }
}

#[derive(Default)]
struct Writer {
    out: String,
    stack: Vec<Element>,
    sheet: Sheet,
    hidden: usize,
    preformatted: usize,
    quotes: usize,
    struck: usize,
    /// Whether `out` ends within struck text, and its bracket is to come.
    in_struck: bool,
    /// How many line ends come before the next text, none, one or two.
    breaks: usize,
    /// Whether white space comes before the next text on the same line.
    gap: bool,
    /// How many borders of cells come before the next text on the same line.
    tabs: usize,
    /// Whether a cell has ended, and no other has begun.
    behind_cell: bool,
    /// How many lines have ended in `out`.
    lines: usize,
    /// Where in the stack rows, tables and cells are open.
    rows: Vec<usize>,
    cells: Vec<usize>,
    /// What comes before the next text: the number of an item, the mark of raised text.
    mark: String,
    base: Option<url::Url>,
}

impl Writer {
    fn open(&mut self, tag: &StartTag<()>) {
        let name = name(&tag.name);
        let class = class(&name);
        self.imply_ends(class);
        let names = self.sheet.names(&name, tag);
        let look = self.sheet.look(&names, tag, self.stack.iter().rev().map(|element| &element.names));
        let parent = self.stack.last();
        let unseen = parent.map_or(Unseen::default(), |parent| parent.unseen).within(&look);
        let is_closed_off = parent.is_some_and(|parent| parent.is_closed) && class & SUMMARY == 0;
        let is_hidden = class & NEVER != 0 || look.is_hidden || is_closed_off;
        let layout = layout(class, look.display);
        let is_shown = !is_hidden && self.hidden == 0;
        let (start, lines, breaks, tabs) = (self.out.len(), self.lines, self.breaks, self.tabs);
        if is_shown {
            match &name[..] {
                "br" => self.break_line(),
                "img" => {
                    if let Some(alt) =
                        attribute(tag, b"alt").filter(|alt| !alt.trim().is_empty() && !unseen.is_so())
                    {
                        self.say(&format!("[image: {alt}]"));
                    }
                }
                "base" if self.base.is_none() => {
                    let base = attribute(tag, b"href").filter(|base| base.len() <= LINK_BYTES_MAX);
                    self.base = base.and_then(|base| url::Url::parse(&base).ok());
                }
                _ => self.begin(layout),
            }
        }
        if class & VOID != 0 {
            return;
        }
        if is_shown && class & ITEM != 0 {
            self.number(tag);
        }
        if is_shown && class & RAISED != 0 && self.is_within_line() && !unseen.is_so() {
            self.mark = if name == "sup" { "^".into() } else { "_".into() };
        }
        let link = attribute(tag, b"href").filter(|_| class & LINK != 0 && is_shown && !unseen.is_so());
        let link = link.and_then(|target| self.target(&target));
        let is_struck = class & STRUCK != 0 || look.is_struck;
        self.hidden += usize::from(is_hidden);
        self.preformatted += usize::from(class & PREFORMATTED != 0);
        self.quotes += usize::from(class & QUOTE != 0);
        self.struck += usize::from(is_struck);
        let first = attribute(tag, b"start").and_then(|start| start.trim().parse().ok());
        let count = if class & NUMBERED != 0 { first.unwrap_or(1) } else { 0 };
        if layout & (ROW | TABLE) != 0 {
            self.rows.push(self.stack.len());
        }
        if layout & CELL != 0 {
            self.cells.push(self.stack.len());
        }
        self.stack.push(Element {
            name,
            class,
            layout,
            names,
            is_hidden,
            unseen,
            is_struck,
            is_closed: class & DETAILS != 0 && attribute(tag, b"open").is_none(),
            link,
            start: if class & RAISED != 0 { self.out.len() } else { start },
            lines,
            breaks,
            tabs,
            count,
            foot: String::new(),
        });
    }

    /// The address a link leads to, if it leads to one that says something.
    fn target(&self, target: &str) -> Option<String> {
        // As browsers read it: URL Standard, 4.4.
        let target: String =
            target.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).take(LINK_BYTES_MAX + 1).collect();
        let target = target.trim();
        let joined = match &self.base {
            Some(base)
                if !target.is_empty() && !target.starts_with('#') && url::Url::parse(target).is_err() =>
            {
                base.join(target).ok().map(String::from)
            }
            _ => None,
        };
        let target = joined.unwrap_or_else(|| target.to_owned());
        (target.len() <= LINK_BYTES_MAX && leads_somewhere(&target)).then_some(target)
    }

    /// Gives an item of a numbered list its number.
    fn number(&mut self, tag: &StartTag<()>) {
        let Some(list) = self.stack.iter_mut().rev().find(|element| element.class & (LIST | TABLE) != 0)
        else {
            return;
        };
        if list.class & NUMBERED == 0 {
            return;
        }
        let number =
            attribute(tag, b"value").and_then(|value| value.trim().parse().ok()).unwrap_or(list.count);
        list.count = number.saturating_add(1);
        self.mark += &format!("{number}. ");
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
            // A row ends, and then the rows it is one of.
            if class & ROWS != 0 && self.stack.last().is_some_and(|element| element.class & ROWS != 0) {
                self.pop();
            }
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
        let Some(element) = self.stack.pop() else { return };
        let class = element.class;
        // A table's own rows may have been moved below since.
        let start = element.start.min(self.out.len());
        if let Some(target) = &element.link {
            let said = self.out[start..].trim();
            // An address that is its own text is not said twice.
            if said != target
                && Some(said) != target.strip_prefix("mailto:")
                && Some(said) != target.strip_suffix('/')
            {
                self.gap = self.is_within_line();
                self.write(&format!("<{target}>"));
            }
        }
        if self.rows.last() == Some(&self.stack.len()) {
            self.rows.pop();
        }
        if self.cells.last() == Some(&self.stack.len()) {
            self.cells.pop();
        }
        self.struck -= usize::from(element.is_struck);
        if self.struck == 0 && std::mem::take(&mut self.in_struck) {
            self.out.push(']');
        }
        if class & (RAISED | ITEM) != 0 {
            self.mark.clear();
        }
        if class & RAISED != 0 && self.hidden == 0 {
            self.close_raised(start);
        }
        self.hidden -= usize::from(element.is_hidden);
        if self.hidden == 0 && !element.is_hidden {
            self.end(&element);
        }
        self.preformatted -= usize::from(class & PREFORMATTED != 0);
        self.quotes -= usize::from(class & QUOTE != 0);
    }

    /// Raised text of several words gets parentheses, so that it can be told where it ends.
    fn close_raised(&mut self, start: usize) {
        let said = &self.out[start..];
        let at = start + 1;
        if said.starts_with(['^', '_']) && said.len() <= RAISED_BYTES_MAX && said.contains([' ', '\n']) {
            self.out.insert(at, '(');
            self.out.push(')');
        }
    }

    /// Begins lines and cells.
    fn begin(&mut self, layout: Class) {
        if layout & CELL != 0 {
            self.begin_cell();
        }
        if layout & APART != 0 {
            self.gap |= self.is_within_line();
        }
        self.part(layout);
    }

    fn begin_cell(&mut self) {
        self.behind_cell = false;
        let Some(row) = self.rows.last().and_then(|row| self.stack.get_mut(*row)) else {
            self.tabs += usize::from(self.is_within_line());
            return;
        };
        row.count += 1;
        let is_first = row.count == 1;
        let says_nothing = row.start == self.out.len();
        // Behind a cell of several lines there is no line to go on with.
        if is_first {
        } else if says_nothing || self.is_within_line() {
            self.tabs += 1;
        } else {
            self.tabs = 0;
        }
    }

    /// Ends lines and cells.
    fn end(&mut self, element: &Element) {
        if element.layout & CELL != 0 {
            // What stood in it on a line of its own stands in the line of the row.
            let is_one_line = self.lines == element.lines + self.breaks_of(element);
            if self.out.len() > element.start && is_one_line {
                self.breaks = 0;
            } else if self.out.len() == element.start {
                self.breaks = element.breaks;
            }
            self.gap = false;
            self.behind_cell = true;
        }
        if element.layout & ROW != 0 {
            self.tabs = if self.out.len() == element.start { element.tabs } else { 0 };
            self.behind_cell = false;
        }
        if element.class & FOOT != 0 && self.out.len() > element.start {
            self.put_below(element);
        }
        if !element.foot.is_empty() {
            self.put_foot(&element.foot);
        }
        if element.layout & APART != 0 {
            self.gap |= self.is_within_line();
        }
        self.part(element.layout);
    }

    /// How many line ends were written for those that were to come when an element began.
    fn breaks_of(&self, element: &Element) -> usize {
        if self.out.len() > element.start && element.start > 0 { element.breaks } else { 0 }
    }

    /// Takes the rows at the foot of a table back, until it ends.
    fn put_below(&mut self, element: &Element) {
        let Some(table) = self.stack.iter_mut().rev().find(|element| element.class & TABLE != 0) else {
            return;
        };
        table.foot += &self.out[element.start..];
        table.foot.push('\n');
        self.out.truncate(element.start);
        (self.breaks, self.lines) = (element.breaks.max(1), element.lines);
        (self.tabs, self.gap) = (0, false);
    }

    fn put_foot(&mut self, foot: &str) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        self.out += foot.trim_matches('\n');
        self.lines += 1;
        self.breaks = 0;
    }

    /// Begins and ends the lines of blocks.
    fn part(&mut self, layout: Class) {
        if layout & BLOCK == 0 {
            return;
        }
        self.gap = false;
        // A block at the beginning of a cell stands in the line of the row.
        let in_cell = self.cells.last().and_then(|cell| self.stack.get(*cell));
        if in_cell.is_some_and(|cell| cell.start == self.out.len()) {
            return;
        }
        self.tabs = 0;
        if self.is_within_line() || self.breaks > 0 {
            self.breaks = self.breaks.max(if layout & SPACED != 0 { 2 } else { 1 });
        }
    }

    fn is_within_line(&self) -> bool {
        self.breaks == 0 && !self.out.is_empty() && !self.out.ends_with('\n')
    }

    fn break_line(&mut self) {
        (self.gap, self.tabs) = (false, 0);
        // The second one in a row leaves an empty line, and so on.
        if self.breaks > 0 {
            self.flush();
        }
        match self.out.is_empty() || self.out.ends_with('\n') {
            true if !self.out.is_empty() => self.end_of_line(),
            true => {}
            false => self.breaks = 1,
        }
    }

    fn end_of_line(&mut self) {
        self.out.push('\n');
        self.lines += 1;
    }

    fn flush(&mut self) {
        if self.breaks > 0 && !self.out.is_empty() {
            for _ in 0..self.breaks {
                self.end_of_line();
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
        if self.hidden > 0
            || self.stack.last().is_some_and(|element| element.unseen.is_so() || element.is_closed)
        {
            return;
        }
        self.write(text);
    }

    fn write(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' if self.preformatted > 0 => {
                    self.flush();
                    self.end_of_line();
                }
                ' ' | '\t' if self.preformatted > 0 => self.put(c),
                ' ' | '\t' | '\n' | '\r' | '\u{c}' => self.gap |= self.is_within_line(),
                '\u{a0}' => self.put(' '),
                // Hints where a line may break, and nothing else.
                '\u{ad}' | '\0' => {}
                c => self.put(c),
            }
        }
    }

    fn put(&mut self, c: char) {
        self.flush();
        if std::mem::take(&mut self.behind_cell) && self.tabs == 0 && self.is_within_line() {
            self.tabs = 1;
        }
        if self.out.is_empty() || self.out.ends_with('\n') {
            self.gap = false;
            // As mail programs quote.
            for _ in 0..self.quotes.min(8) {
                self.out.push_str("> ");
            }
        }
        for _ in 0..self.tabs {
            self.out.push('\t');
        }
        if std::mem::take(&mut self.gap) && self.tabs == 0 {
            self.out.push(' ');
        }
        self.tabs = 0;
        if self.struck > 0 && !self.in_struck {
            self.out.push_str("[struck: ");
            self.in_struck = true;
        }
        self.out += &std::mem::take(&mut self.mark);
        self.out.push(c);
    }
}

/// How an element stands in the text.
fn layout(class: Class, display: Option<Display>) -> Class {
    let plain = class & !(BLOCK | SPACED | ROW | CELL | APART);
    match display {
        None | Some(Display::None) => class,
        Some(Display::Inline) => plain,
        Some(Display::Apart) => plain | APART,
        Some(Display::Row) => plain | BLOCK | ROW,
        Some(Display::Cell) => plain | CELL,
        // Phones have the cells of some tables one below the other; of what is a block as it is, nothing changes.
        Some(Display::Block) => plain | BLOCK | class & SPACED,
    }
}

fn leads_somewhere(target: &str) -> bool {
    let scheme = target.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    matches!(&scheme[..], "http" | "https" | "mailto" | "tel" | "ftp")
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
            // Cells that are empty, and cells with blocks in them.
            (
                "<table><tr><th>Vendor<th>Pay<th>Refuse<tr><td>ACME<td><td>900<tr><td>Evil<td>9000<td></table>",
                "Vendor\tPay\tRefuse\nACME\t\t900\nEvil\t9000\n",
            ),
            ("<table><tr><td>a<td>b<tr><td><td>2<tr><td>1</table>", "a\tb\n\t2\n1\n"),
            (
                "<table><tr><td><div>Price</div></td><td><p>40</p></td></tr><tr><td><p>x<td>y</table>z",
                "Price\t40\nx\ty\nz\n",
            ),
            ("<table><tr><td>a<br>b<td>c</table>", "a\nb\tc\n"),
            ("<table><tr><td><p>a<p>b</p><td>c</table>", "a\n\nb\n\nc\n"),
            ("<table><tr><td><table><tr><td>a<td>b</table><td>c<tr><td><td>d</table>", "a\tb\tc\n\td\n"),
            // The foot of a table is below it, wherever it is written.
            (
                "<table><tfoot><tr><td>Total<td>80<tbody><tr><td>Price<td>40</table>x",
                "Price\t40\nTotal\t80\nx\n",
            ),
            ("a<table><tr><td>b<tfoot><tr><td>c</table>", "a\nb\nc\n"),
            // What a style makes of an element.
            (
                "<span style='display:block'>EUR 10</span><span style='display:block'>000</span>",
                "EUR 10\n000\n",
            ),
            (
                "<b style='display:inline-block'>EUR 10</b><b style='display:inline-block'>000</b>",
                "EUR 10 000\n",
            ),
            (
                "<style>.c{display:table-cell}</style><div><i class=c>10</i><i class=c>000</i></div>",
                "10\t000\n",
            ),
            ("<div style='display:inline'>10</div><div style='display:inline'>000</div>", "10000\n"),
            (
                "do <s>not</s> pay <span style='text-decoration: line-through'>1 <b>2</b></span>",
                "do [struck: not] pay [struck: 1 2]\n",
            ),
            ("<del></del>10<sup>50</sup> H<sub>2</sub>O 1<sup>a b</sup>2", "10^50 H_2O 1^(a b)2\n"),
            (
                "<ol start=5><li>a<li value=9>b<li><ol><li>c</ol></ol><ul><li>d</ul>",
                "5. a\n9. b\n\n10. 1. c\n\nd\n",
            ),
            // Links.
            ("<p>Please <a href='https://x.example/'>click here", "Please click here <https://x.example/>\n"),
            ("<a href='\nht\ntps://x.example/a '>here</a>", "here <https://x.example/a>\n"),
            (
                "<base href='https://x.example/b/'><a href='login'>a</a> <a href='#x'>b</a>",
                "a <https://x.example/b/login> b\n",
            ),
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
            // Selectors.
            "<style>div .x{display:none}</style><div><i><b class=x>secret</b></i></div>",
            "<style>div > p{display:none}</style><div><p>secret</p></div>",
            "<style>p[data-x='1']{display:none}</style><p data-x=1>secret</p>",
            "<style>*.x{display:none}</style><p class=x>secret</p>",
            "<style>.x.y{display:none}</style><p class='x y'>secret</p>",
            "<style>#a .b>i{display:none}</style><div id=a><p><b class=b><i>secret</i></b></p></div>",
            "<style>.b{display:none}.a{color:red}</style><p class='b a'>secret</p>",
            "<style>.b{display:none!important}</style><p class=b style='display:block'>secret</p>",
            "<style>@media only screen{.x{display:none}}</style><p class=x>secret</p>",
            "<style>@media all { .y{color:red} .x{display:none} }</style><p class=x>secret</p>",
            "<style>@supports (display:block){.x{display:none}}</style><p class=x>secret</p>",
            "<style>@charset 'utf-8';.y{display:none;}</style><p class=y>secret</p>",
            "<style>.h{font-size:0}</style><span class=h>secret</span>",
            // Styles.
            "<p style='display:n\\6fne'>secret</p>",
            "<p style='d\\69splay:none'>secret</p>",
            "<p style='background:url(a;b);display:none'>secret</p>",
            "<p style='display:none;display:nonsense'>secret</p>",
            "<p style='font:0/0 a'>secret</p>",
            "<p style='font-size:.1px'>secret</p>",
            "<div style='height:0;overflow:hidden'>secret</div>",
            "<div style='width:0;height:0;overflow:hidden'>secret</div>",
            "<div style='position:absolute;left:-9999px'>secret</div>",
            "<div style='text-indent:-9999px'>secret</div>",
            "<p style='opacity:.01'>secret</p>",
            "<p style='opacity:0%'>secret</p>",
            "<p style='position:absolute;clip:rect(0,0,0,0)'>secret</p>",
            "<p style='clip-path:inset(100%)'>secret</p>",
            "<p style='transform:scale(0)'>secret</p>",
            "<p style='filter:opacity(0)'>secret</p>",
            "<p style='content-visibility:hidden'>secret</p>",
            "<p style='color:transparent'>secret</p>",
            "<p style='color:rgba(0, 0, 0, 0)'>secret</p>",
            "<a href='https://secret.example/' style='font-size:0'>secret</a>",
            // Elements.
            "<details>secret<p>secret</p></details>",
            "<svg><title>secret</title><desc>secret</desc></svg>",
            "<progress>secret</progress>",
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
            "<style>.y{display:none}.a{display:block}</style><p class='y a'>shown</p>",
            "<style>#y{display:block}.a{display:none}</style><p id=y class='a'>shown</p>",
            "<style>div>p{display:none}</style><div><i><p>shown</p></i></div>",
            "<style>p[x]{display:none}</style><p y>shown</p>",
            "<style>.x+.x{display:none} .x:hover{display:none}</style><p class=x>shown</p>",
            "<style>@media (max-width: 600px){.x{display:none}}</style><p class=x>shown</p>",
            "<p style='display:none;display:block'>shown</p>",
            "<div style='visibility:hidden'>gone<b style='visibility:visible'>shown</b></div>",
            "<div style='position:relative;left:-5px;text-indent:-10px;opacity:.9'>shown</div>",
            "<div style='height:0'>shown</div>",
            "<div style='max-width:100%;overflow:hidden;height:100px'>shown</div>",
            "<details open>shown</details>",
            "<details><summary>shown</summary>gone</details>",
            "<a style='font-size:1.2em' href='https://x.example/'>shown</a>",
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

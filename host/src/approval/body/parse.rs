//! From the HTML an agent wrote to the tree.
//!
//! What a browser shows of it is kept, what it does not show is left out, and what would be shown and has no place in the tree is
//! refused by name, with the cure: nothing is dropped that a reader would have seen.

use super::super::link;
use super::direction;
use super::dom::{Document, Kind};
use super::tree::{Block, Body, Cell, Line, Marks, Run};
use super::{HTML_BYTES_MAX, HTML_NESTING_MAX, put};
use crate::printable::short;
use crate::refusals::Refusal;
use std::sync::Arc;

/// Elements that hold blocks and look like nothing themselves.
const CONTAINERS: &[&str] =
    &["article", "aside", "body", "div", "footer", "header", "html", "main", "nav", "p", "section"];
/// What a head may hold: none of it is part of the letter.
const HEAD: &[&str] = &["meta", "title"];
/// Attributes that neither show nor change anything where there is no style and no script, on whatever they stand.
const SILENT: &[&str] = &["class", "id", "lang", "role", "xml:lang", "xmlns"];
/// Such attributes of one element.
const SILENT_OF: &[(&str, &str)] = &[
    ("a", "href"),
    ("a", "rel"),
    ("a", "target"),
    ("blockquote", "cite"),
    ("ol", "start"),
    // Every table leaves with a border, so that cells do not run into one another.
    ("table", "border"),
    ("table", "cellpadding"),
    ("table", "cellspacing"),
    ("th", "scope"),
    ("meta", "charset"),
    ("meta", "content"),
    ("meta", "name"),
];
/// What space is in HTML.
const SPACE: [char; 5] = [' ', '\n', '\r', '\t', '\u{c}'];
/// The largest number a list may begin with.
const FIRST_MAX: u32 = 1_000_000;

/// Reads a body. Takes time in proportion to its length.
///
/// # Errors
///
/// `INVALID_PARAMETER`, saying what is in it that cannot be shown as every reader sees it, and what to write instead.
pub fn parse(html: &str) -> Result<Body, Refusal> {
    if html.len() > HTML_BYTES_MAX {
        return Err(Refusal::parameter(
            "body",
            format!("is HTML longer than {HTML_BYTES_MAX} bytes: send less, or text"),
        ));
    }
    // The parser makes one `\n` of each line end; what is left of them in a text was written as a number.
    characters(&html.replace('\r', "\n"))?;
    let document = Document::read(html).map_err(wrong)?;
    let mut reader = Reader { document: &document, links: Vec::new() };
    let mut flow = Flow::default();
    reader.children(0, &mut flow, &Look::default())?;
    let blocks = flow.ended(&mut reader.links);
    Ok(Body { blocks, links: reader.links })
}

/// Characters that no reader shows, and each treats in its own way.
fn characters(text: &str) -> Read {
    match text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(c) => Err(wrong(format!("the control character {}: leave it out", c.escape_unicode()))),
        None => Ok(()),
    }
}

/// What text takes over from the elements around it.
#[derive(Clone, Default)]
struct Look {
    marks: Marks,
    link: Option<Arc<str>>,
    kept: bool,
    nesting: usize,
}

/// Text and blocks as they come, on their way to blocks alone.
#[derive(Default)]
struct Flow {
    blocks: Vec<Block>,
    /// The paragraph that is being written.
    lines: Lines,
}

impl Flow {
    /// Ends the paragraph that is open, if there is anything in it.
    fn end(&mut self, links: &mut Vec<Arc<str>>) {
        if let Some(lines) = std::mem::take(&mut self.lines).ended(links) {
            self.blocks.push(Block::Paragraph(lines));
        }
    }

    fn block(&mut self, block: Block, links: &mut Vec<Arc<str>>) {
        self.end(links);
        self.blocks.push(block);
    }

    fn ended(mut self, links: &mut Vec<Arc<str>>) -> Vec<Block> {
        self.end(links);
        self.blocks
    }
}

/// Lines as they come. Runs carry their links until it is certain that they stay.
#[derive(Default)]
struct Lines {
    done: Vec<Vec<Piece>>,
    line: Vec<Piece>,
    /// Space that shows if something follows on this line, with the look of where it began.
    space: Option<Look>,
    column: usize,
}

struct Piece {
    text: String,
    marks: Marks,
    link: Option<Arc<str>>,
}

impl Lines {
    fn text(&mut self, text: &str, look: &Look) {
        for c in text.chars() {
            match c {
                '\n' if look.kept => self.end_line(),
                c if look.kept => self.push(c, look),
                c if SPACE.contains(&c) => self.space = self.space.take().or_else(|| Some(look.clone())),
                c => {
                    let space = self.space.take().filter(|_| !self.line.is_empty());
                    if let Some(space) = space {
                        self.push(' ', &space);
                    }
                    self.push(c, look);
                }
            }
        }
    }

    fn push(&mut self, c: char, look: &Look) {
        // The same element, not one that leads to the same place: two links side by side are two.
        let same = |one: &Option<Arc<str>>| match (one, &look.link) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !self.line.last().is_some_and(|last| last.marks == look.marks && same(&last.link)) {
            self.line.push(Piece { text: String::new(), marks: look.marks, link: look.link.clone() });
        }
        if let Some(last) = self.line.last_mut() {
            self.column = put(&mut last.text, c, self.column);
        }
    }

    fn end_line(&mut self) {
        self.done.push(std::mem::take(&mut self.line));
        (self.space, self.column) = (None, 0);
    }

    /// The lines without empty ones around them, or nothing; links get their numbers.
    fn ended(mut self, links: &mut Vec<Arc<str>>) -> Option<Vec<Line>> {
        self.end_line();
        let first = self.done.iter().position(|line| !line.is_empty())?;
        let last = self.done.iter().rposition(|line| !line.is_empty())?;
        let lines = self.done.drain(first..=last).map(|line| {
            let mut before: Option<Arc<str>> = None;
            let run = |piece: Piece| {
                let goes_on =
                    matches!((&before, &piece.link), (Some(one), Some(other)) if Arc::ptr_eq(one, other));
                if let (false, Some(href)) = (goes_on, &piece.link) {
                    links.push(href.clone());
                }
                before = piece.link;
                let link = before.is_some().then(|| links.len() - 1);
                Run { text: piece.text, marks: piece.marks, link }
            };
            line.into_iter().map(run).collect()
        });
        Some(lines.collect())
    }
}

struct Reader<'a> {
    document: &'a Document,
    links: Vec<Arc<str>>,
}

type Read<T = ()> = Result<T, Refusal>;

impl<'a> Reader<'a> {
    fn children(&mut self, at: usize, flow: &mut Flow, look: &Look) -> Read {
        let document = self.document;
        document.node(at).children.iter().try_for_each(|child| self.node(*child, flow, look))
    }

    fn node(&mut self, at: usize, flow: &mut Flow, look: &Look) -> Read {
        let document = self.document;
        match &document.node(at).kind {
            Kind::Other => Ok(()),
            Kind::Comment(text) => comment(text),
            Kind::Text(text) => {
                characters(text)?;
                flow.lines.text(text, look);
                Ok(())
            }
            Kind::Element(name, _) if !has_place(name) => Err(no_place(name)),
            Kind::Element(name, attributes) => {
                self.attributes(at, name, attributes)?;
                self.element(at, (name, attributes), flow, look)
            }
        }
    }

    fn element(
        &mut self,
        at: usize,
        (name, attributes): (&str, &Attributes),
        flow: &mut Flow,
        look: &Look,
    ) -> Read {
        if let Some(look) = inline(name, attributes, look)? {
            return self.children(at, flow, &look);
        }
        match name {
            "br" => {
                flow.lines.end_line();
                return Ok(());
            }
            "head" => return self.head(at),
            _ if look.kept => {
                return Err(wrong(format!("`<{name}>` in `<pre>`: `<pre>` holds text and line breaks")));
            }
            _ => {}
        }
        match name {
            name if CONTAINERS.contains(&name) => {
                flow.end(&mut self.links);
                self.children(at, flow, look)?;
                flow.end(&mut self.links);
            }
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                flow.end(&mut self.links);
                let level = name.as_bytes()[1] - b'0';
                if let Some(lines) = self.lines(at, name, look)? {
                    flow.blocks.push(Block::Heading(level, lines));
                }
            }
            "hr" => flow.block(Block::Rule, &mut self.links),
            "pre" => {
                flow.end(&mut self.links);
                let mut inner = Flow::default();
                self.children(at, &mut inner, &Look { kept: true, ..look.clone() })?;
                if let Some(lines) = inner.lines.ended(&mut self.links) {
                    flow.blocks.push(Block::Pre(lines));
                }
            }
            "blockquote" => {
                flow.end(&mut self.links);
                let inside = self.flow(at, &deeper(look)?)?;
                if !inside.is_empty() {
                    flow.blocks.push(Block::Quote(inside));
                }
            }
            "ul" | "ol" => {
                flow.end(&mut self.links);
                let items = self.items(at, name, &deeper(look)?)?;
                let first = if name == "ol" { Some(first(attributes)?) } else { None };
                if !items.is_empty() {
                    flow.blocks.push(Block::List { first, items });
                }
            }
            "table" => {
                flow.end(&mut self.links);
                let rows = self.rows(at, look)?;
                if !rows.is_empty() {
                    flow.blocks.push(Block::Table(rows));
                }
            }
            _ => return Err(no_place(name)),
        }
        Ok(())
    }

    fn flow(&mut self, at: usize, look: &Look) -> Read<Vec<Block>> {
        let mut flow = Flow::default();
        self.children(at, &mut flow, look)?;
        Ok(flow.ended(&mut self.links))
    }

    /// The lines of what holds nothing but text, or a single paragraph of it.
    fn lines(&mut self, at: usize, name: &str, look: &Look) -> Read<Option<Vec<Line>>> {
        let mut blocks = self.flow(at, look)?;
        match (blocks.pop(), blocks.is_empty()) {
            (None, _) => Ok(None),
            (Some(Block::Paragraph(lines)), true) => Ok(Some(lines)),
            _ => Err(wrong(format!(
                "a list, table, quote or several paragraphs in `<{name}>`: there it holds text alone"
            ))),
        }
    }

    fn head(&mut self, at: usize) -> Read {
        let document = self.document;
        for child in &document.node(at).children {
            match &document.node(*child).kind {
                Kind::Element(name, attributes) if HEAD.contains(&name.as_str()) => {
                    let refreshes = |(name, value): &(String, String)| {
                        name == "http-equiv" && !value.eq_ignore_ascii_case("content-type")
                    };
                    if attributes.iter().any(refreshes) {
                        return Err(wrong("a `<meta http-equiv>`: leave it out"));
                    }
                }
                Kind::Element(name, _) => return Err(no_place(name)),
                Kind::Comment(text) => comment(text)?,
                Kind::Text(_) | Kind::Other => {}
            }
        }
        Ok(())
    }

    fn items(&mut self, at: usize, list: &str, look: &Look) -> Read<Vec<Vec<Block>>> {
        let document = self.document;
        let mut items: Vec<Vec<Block>> = Vec::new();
        for child in &document.node(at).children {
            match &document.node(*child).kind {
                Kind::Element(name, attributes) if name == "li" => {
                    self.attributes(*child, name, attributes)?;
                    items.push(self.flow(*child, look)?);
                }
                // A list straight in a list stands below the item before it.
                Kind::Element(name, attributes) if (name == "ul" || name == "ol") && !items.is_empty() => {
                    let mut flow = Flow::default();
                    self.attributes(*child, name, attributes)?;
                    self.element(*child, (name, attributes), &mut flow, look)?;
                    let inside = flow.ended(&mut self.links);
                    items.last_mut().into_iter().for_each(|item| item.extend_from_slice(&inside));
                }
                other => between(other, list, "<li>")?,
            }
        }
        Ok(items)
    }

    /// The rows in the order in which they are shown: the first `thead` above all others, the first `tfoot` below.
    fn rows(&mut self, table: usize, look: &Look) -> Read<Vec<Vec<Cell>>> {
        let document = self.document;
        let (mut head, mut middle, mut foot) = (None, Vec::new(), None);
        for child in &document.node(table).children {
            match &document.node(*child).kind {
                Kind::Element(name, attributes) if matches!(name.as_str(), "thead" | "tbody" | "tfoot") => {
                    self.attributes(*child, name, attributes)?;
                    match name.as_str() {
                        "thead" if head.is_none() => head = Some(*child),
                        "tfoot" if foot.is_none() => foot = Some(*child),
                        _ => middle.push(*child),
                    }
                }
                other => between(other, "table", "<tr>")?,
            }
        }
        let mut rows = Vec::new();
        for group in head.into_iter().chain(middle).chain(foot) {
            for child in &document.node(group).children {
                match &document.node(*child).kind {
                    Kind::Element(name, attributes) if name == "tr" => {
                        self.attributes(*child, name, attributes)?;
                        rows.push(self.cells(*child, look)?);
                    }
                    other => between(other, "table", "<tr>")?,
                }
            }
        }
        rows.retain(|row| !row.is_empty());
        Ok(rows)
    }

    fn cells(&mut self, row: usize, look: &Look) -> Read<Vec<Cell>> {
        let document = self.document;
        let mut cells = Vec::new();
        for child in &document.node(row).children {
            match &document.node(*child).kind {
                Kind::Element(name, attributes) if name == "td" || name == "th" => {
                    self.attributes(*child, name, attributes)?;
                    cells.push(Cell { heads: name == "th", line: self.cell(*child, look)? });
                }
                other => between(other, "tr", "<td>")?,
            }
        }
        Ok(cells)
    }

    fn cell(&mut self, at: usize, look: &Look) -> Read<Line> {
        let cure =
            "a cell holds one line of text: give each line a row of its own, or write it below the table";
        if self.holds(at, &["table", "ul", "ol", "blockquote", "pre", "hr"]) {
            return Err(wrong(format!("a block in a cell of a table: {cure}")));
        }
        let mut blocks = self.flow(at, look)?;
        match (blocks.pop(), blocks.is_empty()) {
            (None, _) => Ok(Line::new()),
            (Some(Block::Paragraph(mut lines)), true) if lines.len() == 1 => Ok(lines.remove(0)),
            (Some(Block::Paragraph(_)), true) => {
                Err(wrong(format!("a line break in a cell of a table: {cure}")))
            }
            _ => Err(wrong(format!("several paragraphs in a cell of a table: {cure}"))),
        }
    }

    /// Whether any of these elements is in this one. What is in cells of cells is refused at the outermost.
    fn holds(&self, at: usize, names: &[&str]) -> bool {
        self.document.node(at).children.iter().any(|child| match &self.document.node(*child).kind {
            Kind::Element(name, _) => names.contains(&name.as_str()) || self.holds(*child, names),
            _ => false,
        })
    }

    fn attributes(&self, at: usize, element: &str, attributes: &Attributes) -> Read {
        for (name, value) in attributes {
            let name = name.as_str();
            let known = SILENT.contains(&name)
                || SILENT_OF.contains(&(element, name))
                || name.starts_with("aria-")
                || name.starts_with("data-")
                || matches!((name, value.as_str()), ("colspan" | "rowspan", "1"));
            let cure = match name {
                _ if known => continue,
                "dir" => match self.turns(at, value) {
                    false => continue,
                    true => "a text that mixes directions is shown from the left: leave it out",
                },
                "style" => {
                    "style changes what is seen and is not shown to who signs: leave it out, and use elements such as <strong>"
                }
                "hidden" => "nothing can be hidden: leave it out, with what it hides",
                "colspan" | "rowspan" => "every cell is one: write the row with a cell for each column",
                _ => "it changes what is seen or does something: leave it out",
            };
            return Err(wrong(format!("the attribute `{}` of `<{element}>`: {cure}", short(name, 40))));
        }
        Ok(())
    }

    /// Whether a direction that was asked for shows a text otherwise than it leaves.
    fn turns(&self, at: usize, dir: &str) -> bool {
        if dir.eq_ignore_ascii_case("ltr") {
            return false;
        }
        let mut words = String::new();
        self.words(at, &mut words);
        // Signs alone would change places, too.
        match dir.eq_ignore_ascii_case("auto") {
            true => direction::is_mixed(&words),
            false => !direction::is_right_to_left(&words) && !words.trim().is_empty(),
        }
    }

    fn words(&self, at: usize, out: &mut String) {
        for child in &self.document.node(at).children {
            match &self.document.node(*child).kind {
                Kind::Text(text) => out.push_str(text),
                _ => self.words(*child, out),
            }
        }
    }
}

type Attributes = Vec<(String, String)>;

/// The look of what is in an inline element; nothing for any other.
fn inline(name: &str, attributes: &Attributes, look: &Look) -> Read<Option<Look>> {
    let marks = match name {
        "b" | "strong" => Marks::STRONG,
        "i" | "em" => Marks::EMPHASIS,
        "u" | "ins" => Marks::UNDERLINE,
        "s" | "strike" | "del" => Marks::STRIKE,
        "code" | "kbd" | "samp" | "tt" => Marks::CODE,
        "span" | "wbr" => Marks::default(),
        "a" => {
            let href = attributes.iter().find(|(name, _)| name == "href");
            let link = href.map(|(_, href)| link::check(href)).transpose()?;
            return Ok(Some(Look {
                link: link.map(|link| Arc::from(link.href)).or(look.link.clone()),
                ..look.clone()
            }));
        }
        _ => return Ok(None),
    };
    Ok(Some(Look { marks: look.marks.with(marks), ..look.clone() }))
}

/// Whether there is anything in the tree for an element, or none is needed.
fn has_place(name: &str) -> bool {
    const BLOCKS: &[&str] =
        &["blockquote", "br", "h1", "h2", "h3", "h4", "h5", "h6", "head", "hr", "ol", "pre", "table", "ul"];
    BLOCKS.contains(&name)
        || CONTAINERS.contains(&name)
        || matches!(inline(name, &Vec::new(), &Look::default()), Ok(Some(_)))
}

fn deeper(look: &Look) -> Read<Look> {
    match look.nesting >= HTML_NESTING_MAX {
        true => {
            Err(wrong(format!("more than {HTML_NESTING_MAX} lists and quotes in one another: set fewer in")))
        }
        false => Ok(Look { nesting: look.nesting + 1, ..look.clone() }),
    }
}

fn first(attributes: &Attributes) -> Read<u32> {
    let Some((_, start)) = attributes.iter().find(|(name, _)| name == "start") else { return Ok(1) };
    let number = start.parse().ok().filter(|number| (1..=FIRST_MAX).contains(number));
    number.ok_or_else(|| {
        wrong(format!("a list that starts at `{}`: number it from 1 to {FIRST_MAX}", short(start, 20)))
    })
}

/// Comments are not seen, except where programs read conditions in them.
fn comment(text: &str) -> Read {
    match text.contains("[if") || text.contains("[endif") {
        true => Err(wrong("a comment with a condition, which some readers follow: leave it out")),
        false => Ok(()),
    }
}

/// What may stand between the parts of a list or a table: nothing that shows.
fn between(kind: &Kind, parent: &str, part: &str) -> Read {
    match kind {
        Kind::Text(text) if text.trim_matches(SPACE).is_empty() => Ok(()),
        Kind::Comment(text) => comment(text),
        Kind::Text(_) | Kind::Other => {
            Err(wrong(format!("text straight in `<{parent}>`: put it into a `{part}`")))
        }
        Kind::Element(name, _) if matches!(name.as_str(), "caption" | "style" | "script") => {
            Err(no_place(name))
        }
        Kind::Element(name, _) => Err(wrong(format!(
            "`<{}>` straight in `<{parent}>`: put it into a `{part}`, or leave it out",
            short(name, 40)
        ))),
    }
}

fn no_place(name: &str) -> Refusal {
    let cure = match name {
        "style" | "script" | "link" | "base" => "leave it out; style and scripts change what is seen",
        "img" | "picture" | "video" | "audio" | "iframe" | "object" | "embed" => {
            "leave it out; pictures and films are not in the letter: write what they say, or link to them"
        }
        "li" => "put it into `<ul>` or `<ol>`",
        "caption" => "write it as a paragraph above the table",
        "sup" | "sub" => "write it in the line, as in `10^2`",
        _ => {
            "use p, div, h1 to h6, ul, ol, li, blockquote, pre, hr, br, table, thead, tbody, tr, th, td, a, strong, em, u, s, \
             code, or text"
        }
    };
    wrong(format!("`<{}>`, which is not shown alike everywhere: {cure}", short(name, 40)))
}

fn wrong(what: impl std::fmt::Display) -> Refusal {
    Refusal::parameter("body", format!("is HTML with {what}"))
}

//! From the tree to text, for terminals and scripts.
//!
//! What the body is made of stands in marks of ours, `⟦1.⟧`, `⟦row 1, column 2⟧`, `⟦struck out: not⟧`, in brackets that nothing else
//! is drawn with: in the agent's text they show as numbers. So no text looks like structure, whatever it says.

use super::super::linked::is_of_host;
use super::direction::{self, Base};
use super::tree::{Block, Body, Cell, Line, Marks, Run, words};
use super::{Link, Rendered};
use std::fmt::Write as _;

/// Begins a mark of ours.
pub const MARK_OPEN: char = '⟦';
/// Ends a mark of ours.
pub const MARK_CLOSE: char = '⟧';
/// What could be taken for one of them.
const LIKE_MARKS: [char; 18] = [
    MARK_OPEN, MARK_CLOSE, '\u{301a}', '\u{301b}', // ⟦⟧ 〚〛
    '\u{2045}', '\u{2046}', '\u{27ec}', '\u{27ed}', // ⁅⁆ ⟬⟭
    '\u{298b}', '\u{298c}', '\u{298d}', '\u{298e}', '\u{298f}', '\u{2990}', // ⦋⦌ ⦍⦎ ⦏⦐
    '\u{2e55}', '\u{2e56}', // with a stroke
    '\u{3016}', '\u{3017}', // 〖〗
];
/// Stands before each order in which a reader can see a line that mixes directions.
const SEEN: &str = "⟦a reader sees⟧ ";
/// The same, where readers differ.
const SEEN_ONE: &str = "⟦some readers see⟧ ";

/// Draws a tree.
pub fn tree(tree: Body, base: Base) -> Rendered {
    let mut page = Page {
        rendered: Rendered {
            base,
            links: tree.links.iter().map(|href| Link { href: href.to_string(), ..Link::default() }).collect(),
            ..Rendered::default()
        },
        indents: Vec::new(),
        begun: false,
    };
    page.blocks(&tree.blocks);
    page.rendered.tree = Some(tree);
    page.rendered
}

/// Draws plain text, which is all there is of it.
pub fn text(text: &str, base: Base) -> Rendered {
    let mut rendered = Rendered { text: text.to_owned(), base, ..Rendered::default() };
    for (number, written) in text.split('\n').enumerate() {
        if number > 0 {
            rendered.drawn.push('\n');
        }
        if direction::is_mixed(written) {
            rendered.mixed.push(written.to_owned());
        }
        rendered.drawn.push_str(&line_of(written, base, ""));
    }
    rendered
}

/// One line of foreign text, such as a subject, as it is drawn: on one line, or with a further one for each order in which a reader
/// can see it.
pub fn line(text: &str) -> String {
    line_of(text, Base::Open, "")
}

/// One line of foreign text where there is room for one: what mixes directions is shown as it is written, with what goes from the right
/// as numbers.
pub fn as_written(text: &str) -> String {
    if direction::is_mixed(text) { marked(&direction::escaped(text)) } else { marked(text) }
}

/// The orders in which a reader can see a line that mixes directions, with what goes from the right as numbers; none for others.
pub fn line_orders(text: &str, base: Base) -> Vec<String> {
    if !direction::is_mixed(text) {
        return Vec::new();
    }
    direction::readings(text, base).iter().map(|seen| marked(&direction::escaped(seen))).collect()
}

/// Foreign text in which no mark of ours stands.
pub fn marked(text: &str) -> String {
    if !text.contains(LIKE_MARKS) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match LIKE_MARKS.contains(&c) {
            true => drop(write!(out, "\\u{{{:x}}}", c as u32)),
            false => out.push(c),
        }
    }
    out
}

fn line_of(text: &str, base: Base, indent: &str) -> String {
    match direction::is_mixed(text) {
        true => marked(&direction::escaped(text)) + &orders(text, base, indent),
        false => marked(text),
    }
}

/// The lines below one that mixes directions.
fn orders(text: &str, base: Base, indent: &str) -> String {
    let orders = line_orders(text, base);
    let before = if orders.len() == 1 { SEEN } else { SEEN_ONE };
    orders.iter().map(|seen| format!("\n{indent}{before}{seen}")).collect()
}

/// What a line stands in.
enum Indent {
    Quote,
    /// With the mark of the item, until its first line is written.
    Item(Option<String>),
}

struct Page {
    rendered: Rendered,
    indents: Vec<Indent>,
    begun: bool,
}

impl Page {
    /// Blocks with a blank line between them; what stands first in an item stands beside its mark, and a list in it close below.
    fn blocks(&mut self, blocks: &[Block]) {
        for (number, block) in blocks.iter().enumerate() {
            let close = !self.indents.is_empty() && matches!(block, Block::List { .. });
            if number > 0 && !close {
                self.blank();
            }
            self.block(block);
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(lines) | Block::Heading(_, lines) | Block::Pre(lines) => {
                lines.iter().for_each(|line| self.line("", line));
            }
            Block::Rule => self.line_of("⟦a line across⟧", "", ""),
            Block::Quote(blocks) => {
                self.indents.push(Indent::Quote);
                self.blocks(blocks);
                self.indents.pop();
            }
            Block::List { first, items } => {
                for (number, item) in (0_u32..).zip(items) {
                    let mark = first
                        .map_or("⟦-⟧ ".into(), |first| format!("⟦{}.⟧ ", first.saturating_add(number)));
                    self.indents.push(Indent::Item(Some(mark)));
                    match item.is_empty() {
                        true => self.line_of("", "", ""),
                        false => self.blocks(item),
                    }
                    self.indents.pop();
                }
            }
            Block::Table(rows) => rows.iter().zip(1..).for_each(|(cells, row)| self.row(cells, row)),
        }
    }

    fn row(&mut self, cells: &[Cell], row: usize) {
        for (cell, column) in cells.iter().zip(1..) {
            self.line(&format!("⟦row {row}, column {column}⟧ "), &cell.line);
        }
    }

    fn line(&mut self, mark: &str, line: &Line) {
        let plain = words(line).replace(HARD_SPACE, " ");
        let (mut at, mut borders) = (0, Vec::new());
        for runs in line.chunk_by(|one, other| one.link == other.link) {
            let text = words(runs).replace(HARD_SPACE, " ");
            let end = at + text.len();
            if at > 0 {
                borders.push(at);
            }
            if let Some(link) = runs.first().and_then(|run| run.link) {
                let beside = (tail_of_host(&plain[..at]).to_owned(), head_of_host(&plain[end..]).to_owned());
                self.rendered.links[link] =
                    Link { text, beside, ..std::mem::take(&mut self.rendered.links[link]) };
            }
            at = end;
        }
        let is_mixed = direction::is_mixed(&plain);
        // Our own marks have Latin letters and digits, among which a terminal would turn the others.
        let numbered = line.iter().any(|run| run.link.is_some() || run.marks.has(Marks::STRIKE));
        let turned = is_mixed || numbered && direction::has_right_to_left(&plain);
        let mut drawn = mark.to_owned() + &inside(line, turned);
        if is_mixed {
            drawn += &orders(&plain, self.rendered.base, &self.indent());
            self.rendered.mixed.push(plain.clone());
        }
        self.line_of("", &drawn, &plain);
        let begin = self.rendered.text.len() - plain.len();
        self.rendered.borders.extend(borders.into_iter().map(|at| begin + at));
    }

    /// Ends one line: a mark of ours, what is drawn of the agent's, and its words.
    fn line_of(&mut self, mark: &str, drawn: &str, plain: &str) {
        let begin = self.begin();
        self.rendered.drawn += &(begin + mark + drawn);
        if mark.is_empty() {
            if !self.rendered.text.is_empty() {
                self.rendered.text.push('\n');
            }
            self.rendered.text += plain;
        }
    }

    fn blank(&mut self) {
        self.rendered.drawn.push('\n');
        self.rendered.drawn += self.indent().trim_end();
        self.rendered.text.push('\n');
    }

    /// What a further line begins with.
    fn indent(&self) -> String {
        let mark = |indent: &Indent| match indent {
            Indent::Quote => "⟦>⟧ ",
            Indent::Item(_) => "    ",
        };
        self.indents.iter().map(mark).collect()
    }

    /// What the next line begins with: the marks of the items that begin on it stand there once.
    fn begin(&mut self) -> String {
        let mut out = String::from(if std::mem::replace(&mut self.begun, true) { "\n" } else { "" });
        for indent in &mut self.indents {
            match indent {
                Indent::Quote => out.push_str("⟦>⟧ "),
                Indent::Item(mark) => out.push_str(&mark.take().unwrap_or_else(|| "    ".into())),
            }
        }
        out
    }
}

/// How far what stands beside a link may be of one name with it, in characters: no name is longer.
const BESIDE_CHARS_MAX: usize = 253;

fn is_of_name(c: char) -> bool {
    c == '@' || is_of_host(c)
}

/// The end of a text that could begin a host or an address.
fn tail_of_host(text: &str) -> &str {
    let tail = text.char_indices().rev().take(BESIDE_CHARS_MAX).take_while(|(_, c)| is_of_name(*c)).last();
    tail.map_or("", |(at, _)| &text[at..])
}

/// The beginning of a text that could end a host or an address.
fn head_of_host(text: &str) -> &str {
    let head = text.char_indices().take(BESIDE_CHARS_MAX).take_while(|(_, c)| is_of_name(*c)).last();
    head.map_or("", |(at, c)| &text[..at + c.len_utf8()])
}

/// A space that does not break a line; it is seen as any other.
const HARD_SPACE: char = '\u{a0}';

/// The runs of a line, what is struck out in a mark, and the number of a link behind it.
fn inside(line: &[Run], turned: bool) -> String {
    let mut out = String::new();
    for (at, run) in line.iter().enumerate() {
        let strikes = |run: Option<&Run>| run.is_some_and(|run| run.marks.has(Marks::STRIKE));
        let before = at.checked_sub(1).and_then(|at| line.get(at));
        let after = line.get(at + 1);
        if strikes(Some(run)) && !strikes(before) {
            out.push_str("⟦struck out: ");
        }
        let text = run.text.replace(HARD_SPACE, " ");
        out += &marked(&if turned { direction::escaped(&text) } else { text });
        if let Some(link) = run.link.filter(|link| after.is_none_or(|after| after.link != Some(*link))) {
            let _ = write!(out, "⟦{}⟧", link + 1);
        }
        if strikes(Some(run)) && !strikes(after) {
            out.push(MARK_CLOSE);
        }
    }
    out
}

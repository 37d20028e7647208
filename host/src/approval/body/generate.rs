//! From the tree to the HTML that leaves.
//!
//! One spelling for each tree, with every element closed and nothing but what the tree says, so that every reader builds that same
//! tree from it. Direction is said: what begins with a letter from the right would turn a paragraph round at readers that
//! guess, and would not at those that do not.

use super::HTML_BYTES_MAX;
use super::direction;
use super::tree::{Block, Body, Cell, Line, Marks, Run, words};
use std::sync::Arc;

/// Writes a body, and nothing where it has more than [`HTML_BYTES_MAX`]. `parse` makes the same tree of it. One link over many lines
/// is written once for each, so that what is too long is given up where it becomes so.
pub fn generate(body: &Body) -> Option<String> {
    let mut page = Page { links: &body.links, out: String::new() };
    if body.blocks.is_empty() {
        return Some(page.out);
    }
    page.out.push_str("<div dir=\"ltr\">\n");
    page.blocks(&body.blocks);
    page.out.push_str("</div>\n");
    (page.out.len() <= HTML_BYTES_MAX).then_some(page.out)
}

struct Page<'a> {
    links: &'a [Arc<str>],
    out: String,
}

impl Page<'_> {
    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            self.block(block);
            self.out.push('\n');
        }
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(lines) => self.lines("p", lines, "<br>"),
            Block::Heading(level, lines) => self.lines(&format!("h{level}"), lines, "<br>"),
            Block::Pre(lines) => self.lines("pre", lines, "\n"),
            Block::Rule => self.out.push_str("<hr>"),
            Block::List { first, items } => self.list(*first, items),
            Block::Quote(blocks) => {
                self.out.push_str("<blockquote>\n");
                self.blocks(blocks);
                self.out.push_str("</blockquote>");
            }
            Block::Table(rows) => self.table(rows),
        }
    }

    fn begin(&mut self, name: &str, lines: &[Line]) {
        self.out.push('<');
        self.out.push_str(name);
        let lines: Vec<_> = lines.iter().map(|line| words(line)).collect();
        if direction::block_is_right_to_left(lines.iter().map(String::as_str)) {
            self.out.push_str(" dir=\"rtl\"");
        }
        self.out.push('>');
    }

    fn end(&mut self, name: &str) {
        self.out.extend(["</", name, ">"]);
    }

    fn lines(&mut self, name: &str, lines: &[Line], between: &str) {
        self.begin(name, lines);
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                self.out.push_str(between);
            }
            self.line(line);
        }
        self.end(name);
    }

    fn list(&mut self, first: Option<u32>, items: &[Vec<Block>]) {
        let name = if first.is_some() { "ol" } else { "ul" };
        self.out.extend(["<", name]);
        if let Some(first) = first.filter(|first| *first != 1) {
            self.out.push_str(&format!(" start=\"{first}\""));
        }
        self.out.push_str(">\n");
        for item in items {
            self.out.push_str("<li>");
            self.item(item);
            self.out.push_str("</li>\n");
        }
        self.end(name);
    }

    /// An item of one plain paragraph is written without one.
    fn item(&mut self, blocks: &[Block]) {
        if let [Block::Paragraph(lines)] = blocks
            && let [line] = lines.as_slice()
            && !direction::is_right_to_left(&words(line))
        {
            return self.line(line);
        }
        if !blocks.is_empty() {
            self.out.push('\n');
            self.blocks(blocks);
        }
    }

    fn table(&mut self, rows: &[Vec<Cell>]) {
        // With a border, as cells without one run into one another: `EUR 10` and `000`.
        self.out.push_str("<table border=\"1\">\n<tbody>\n");
        for row in rows {
            self.out.push_str("<tr>");
            for cell in row {
                let name = if cell.heads { "th" } else { "td" };
                self.begin(name, std::slice::from_ref(&cell.line));
                self.line(&cell.line);
                self.end(name);
            }
            self.out.push_str("</tr>\n");
        }
        self.out.push_str("</tbody>\n</table>");
    }

    fn line(&mut self, line: &[Run]) {
        let mut open: Option<usize> = None;
        for run in line {
            if self.out.len() > HTML_BYTES_MAX {
                return;
            }
            if open != run.link {
                self.close(open);
                if let Some(href) = run.link.and_then(|link| self.links.get(link)) {
                    self.out.push_str("<a href=\"");
                    self.text(href);
                    self.out.push_str("\">");
                }
                open = run.link;
            }
            let marks = Marks::ALL.iter().filter(|(mark, _)| run.marks.has(*mark)).map(|(_, name)| *name);
            let names: Vec<&str> = marks.collect();
            names.iter().for_each(|name| self.out.extend(["<", name, ">"]));
            self.text(&run.text);
            names.iter().rev().for_each(|name| self.end(name));
        }
        self.close(open);
    }

    fn close(&mut self, link: Option<usize>) {
        if link.is_some() {
            self.end("a");
        }
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\u{a0}' => self.out.push_str("&nbsp;"),
                c => self.out.push(c),
            }
        }
    }
}

//! The body of a message on a page: the elements its reader sees, each made here from the tree that leaves.
//!
//! No element, attribute or style is the agent's; its words pass `printable`. Marks of ours stand between brackets that its words
//! cannot show.

use super::text;
use countersign::approval::body::direction::{
    Base, block_is_right_to_left, escaped, has_right_to_left, is_mixed, is_right_to_left,
};
use countersign::approval::body::tree::{Block, Cell, Line, Marks, Run, words};
use countersign::approval::body::{Rendered, line_orders, marked};
use countersign::printable;
use maud::{Markup, html};

/// Draws a body: HTML as what it is made of, and text as it stands.
pub fn body(body: &Rendered) -> Markup {
    match &body.tree {
        Some(tree) => html! { div.foreign.body dir="ltr" { (blocks(&tree.blocks, body.base)) } },
        None if has_right_to_left(&body.drawn) => lines(&body.drawn),
        None => text::block(&body.drawn),
    }
}

/// Text as it stands. Each line has a direction of its own: a browser would give one without letters that of its neighbours.
fn lines(text: &str) -> Markup {
    let dir = |line: &str| if is_right_to_left(line) { "rtl" } else { "ltr" };
    html! {
        pre.foreign {
            // A browser passes over the first line break, so one of ours comes first.
            "\n"
            @for (number, line) in text.split('\n').enumerate() {
                @if number > 0 { "\n" }
                bdi dir=(dir(line)) { (printable::printable(line)) }
            }
        }
    }
}

/// One line of foreign text, such as a subject, with every order in which it can be read.
pub fn line(text: &str) -> Markup {
    html! {
        @if is_mixed(text) {
            bdi { (printable::line(&marked(&escaped(text)))) }
            (seen(text, Base::Open))
        } @else {
            (text::say(text))
        }
    }
}

/// The orders in which a line that mixes directions can be read, below it.
fn seen(text: &str, base: Base) -> Markup {
    let orders = line_orders(text, base);
    let before = if orders.len() == 1 { "A reader sees: " } else { "Some readers see: " };
    html! { @for order in &orders { span.order { (before) bdi { (printable::line(order)) } } } }
}

fn blocks(blocks: &[Block], base: Base) -> Markup {
    html! { @for block in blocks { (self::block(block, base)) } }
}

fn block(block: &Block, base: Base) -> Markup {
    html! {
        @match block {
            Block::Paragraph(lines) => { p dir=[direction(lines)] { (broken(lines)) } (orders(lines, base)) }
            Block::Heading(_, lines) => { p.heading dir=[direction(lines)] { (broken(lines)) } (orders(lines, base)) }
            Block::Pre(lines) => {
                pre dir=[direction(lines)] role="region" aria-label="Preformatted text" tabindex="0" {
                    // A browser passes over the first line break, so one of ours comes first.
                    "\n" @for (number, line) in lines.iter().enumerate() { @if number > 0 { "\n" } (runs(line)) }
                }
                (orders(lines, base))
            }
            Block::Rule => hr;,
            Block::List { first: Some(first), items } => ol start=(first) { (self::items(items, base)) },
            Block::List { first: None, items } => ul { (self::items(items, base)) },
            Block::Quote(inside) => blockquote { (blocks(inside, base)) },
            Block::Table(rows) => { table { tbody { @for row in rows { tr { @for cell in row { (self::cell(cell, base)) } } } } } }
        }
    }
}

fn items(items: &[Vec<Block>], base: Base) -> Markup {
    html! { @for item in items { li { (blocks(item, base)) } } }
}

fn cell(cell: &Cell, base: Base) -> Markup {
    let dir = direction(std::slice::from_ref(&cell.line));
    html! {
        @if cell.heads {
            th dir=[dir] { (runs(&cell.line)) (orders(std::slice::from_ref(&cell.line), base)) }
        } @else {
            td dir=[dir] { (runs(&cell.line)) (orders(std::slice::from_ref(&cell.line), base)) }
        }
    }
}

/// As it leaves.
fn direction(lines: &[Line]) -> Option<&'static str> {
    let lines: Vec<_> = lines.iter().map(|line| words(line)).collect();
    block_is_right_to_left(lines.iter().map(String::as_str)).then_some("rtl")
}

fn broken(lines: &[Line]) -> Markup {
    html! { @for (number, line) in lines.iter().enumerate() { @if number > 0 { br; } (runs(line)) } }
}

/// For each line that mixes directions: how it is written, how it is read, and its links.
fn orders(lines: &[Line], base: Base) -> Markup {
    let mixed: Vec<_> =
        lines.iter().map(|line| (line, words(line))).filter(|(_, words)| is_mixed(words)).collect();
    html! {
        @for (line, words) in &mixed {
            div.orders {
                span.order { "It is written: " bdi { (shown(&escaped(words))) } }
                (seen(words, base))
                @if line.iter().any(|run| run.link.is_some()) {
                    span.order { "Its links:" @for at in 0..line.len() { (number(line, at)) } }
                }
            }
        }
    }
}

fn runs(line: &[Run]) -> Markup {
    // A sign of ours among letters from both sides would change their order.
    let is_mixed = is_mixed(&words(line));
    html! {
        @for (at, run) in line.iter().enumerate() {
            (styled(run, 0))
            @if !is_mixed { (number(line, at)) }
        }
    }
}

/// The number of a link, behind the last run of it.
fn number(line: &[Run], at: usize) -> Markup {
    let link = line[at].link.filter(|link| line.get(at + 1).is_none_or(|after| after.link != Some(*link)));
    html! { @if let Some(link) = link { bdi.mark { "⟦" (link + 1) "⟧" } } }
}

/// A run inside its marks, from this one on.
fn styled(run: &Run, from: usize) -> Markup {
    let Some((mark, name)) = Marks::ALL.get(from) else {
        return html! { @if run.link.is_some() { span.link { (shown(&run.text)) } } @else { (shown(&run.text)) } };
    };
    if !run.marks.has(*mark) {
        return styled(run, from + 1);
    }
    let inside = styled(run, from + 1);
    html! {
        @match *name {
            "strong" => strong { (inside) },
            "em" => em { (inside) },
            "u" => u { (inside) },
            "s" => s { (inside) },
            _ => code { (inside) },
        }
    }
}

/// Words as they are shown; the space that does not break a line stays one.
fn shown(text: &str) -> String {
    text.split('\u{a0}').map(|part| printable::line(&marked(part))).collect::<Vec<_>>().join("\u{a0}")
}

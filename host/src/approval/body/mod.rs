//! The body of a message: what of it leaves, and how it is seen.
//!
//! An agent writes HTML as it likes. `parse` reads it as a browser does into a small closed `tree`, `generate` writes what leaves from
//! that tree, and every door draws that same tree: nothing else makes the body of a letter in HTML, so nothing can stand in
//! it that was not shown. What is seen in two ways, or not at all, is refused where it is read. Plain text is its own tree, but
//! for line ends and tabs, which programs show as they please: they are written out.
//!
//! Pure, and hostile all of it: time and memory are in proportion to the text, within the limits named here.

pub mod direction;
mod dom;
mod draw;
mod generate;
mod parse;
pub mod tree;

pub use draw::{MARK_CLOSE, MARK_OPEN, as_written, line, line_orders, marked};
pub use generate::generate;
pub use parse::parse;

use super::action::Version;
use super::{Action, BodyKind};
use crate::refusals::Refusal;
use direction::Base;
use serde::{Deserialize, Serialize};
use tree::Body;
use unicode_width::UnicodeWidthChar as _;

/// The longest HTML body, in bytes: as the agent writes it, and as it leaves.
pub const HTML_BYTES_MAX: usize = 64 * 1024;
/// How deep its elements may nest.
pub const HTML_DEPTH_MAX: usize = 100;
/// How many elements and texts it may have, those among them that a parser adds.
pub const HTML_NODES_MAX: usize = 20_000;
/// The longest tag, in bytes.
pub const HTML_TAG_BYTES_MAX: usize = 8 * 1024;
/// How many lists and quotes may stand in one another.
pub const HTML_NESTING_MAX: usize = 16;
/// Every how many columns a tab leads to.
pub const TAB_COLUMNS: usize = 8;

/// The body as it leaves, whichever way an agent or a person wrote it. What leaves is its own canonical form.
///
/// # Errors
///
/// `INVALID_PARAMETER`, saying what in it has no one drawing, and the cure.
pub fn canonical(kind: BodyKind, body: &str) -> Result<String, Refusal> {
    match kind {
        BodyKind::Text => Ok(plain(body)),
        BodyKind::Html => parse(body).and_then(|tree| generated(&tree)),
    }
}

fn generated(tree: &Body) -> Result<String, Refusal> {
    generate(tree).ok_or_else(|| {
        let wrong = format!(
            "is HTML longer than {HTML_BYTES_MAX} bytes once every element in it is written out: send less, or text"
        );
        Refusal::parameter("body", wrong)
    })
}

/// The words of HTML as a reader sees them, also of the beginning of a body; nothing where it has no one drawing.
pub fn words_of(html: &str) -> Option<String> {
    let tree = parse(html).ok()?;
    // What cannot leave is not drawn either: links of many lines have no bound but this.
    generated(&tree).ok()?;
    Some(draw::tree(tree, Base::Left).text)
}

/// Plain text with its lines ended by `\n` alone, and spaces for its tabs.
fn plain(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    if !text.contains('\t') {
        return text;
    }
    text.split('\n').map(untabbed).collect::<Vec<_>>().join("\n")
}

/// One line with spaces for its tabs.
fn untabbed(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut column = 0;
    for c in line.chars() {
        column = put(&mut out, c, column);
    }
    out
}

/// Writes a character that stands in this column, a tab as the spaces up to the next eighth; gives the column behind it.
fn put(out: &mut String, c: char, column: usize) -> usize {
    if c != '\t' {
        out.push(c);
        return column + c.width().unwrap_or(0);
    }
    let wide = TAB_COLUMNS - column % TAB_COLUMNS;
    out.extend(std::iter::repeat_n(' ', wide));
    column + wide
}

/// A body as people see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Its words as a reader sees them, each line and each cell of a table on a line of its own, and nothing of ours. It is as
    /// foreign as the body.
    pub text: String,
    /// It as it is drawn in text: its structure in marks of ours between [`MARK_OPEN`] and [`MARK_CLOSE`], which stand for
    /// nothing else, and each line that mixes directions in every order. The rest is as foreign as the body.
    pub drawn: String,
    /// Where its links lead, in the order of their numbers.
    pub links: Vec<Link>,
    /// Where in its text a link begins or ends within a line.
    pub borders: Vec<usize>,
    /// The lines that mix directions, as they are written.
    pub mixed: Vec<String>,
    /// What leaves, for doors that can draw it; none for text.
    pub tree: Option<Body>,
    /// From where its lines are read.
    pub base: Base,
}

/// A link of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Link {
    /// What it shows.
    pub text: String,
    /// Where it leads.
    pub href: String,
    /// What stands right before and right behind it, as far as it could be of one name with it.
    #[serde(skip)]
    pub beside: (String, String),
}

impl Rendered {
    /// Its words with a space at each border of a link: readers that make links of text do so on either side of one, and not across.
    pub fn apart(&self) -> String {
        let mut out = String::with_capacity(self.text.len() + self.borders.len());
        let mut from = 0;
        for border in &self.borders {
            out.push_str(&self.text[from..*border]);
            out.push(' ');
            from = *border;
        }
        out.push_str(&self.text[from..]);
        out
    }

    /// The body of a message as its reader sees it. HTML that has no one drawing, which nobody can send any more, is its source.
    pub fn of(action: &Action) -> Rendered {
        // Letters of the first version say nothing of direction.
        let base = match (action.body_kind, action.version) {
            (BodyKind::Html, Version::V2) => Base::Left,
            _ => Base::Open,
        };
        match action.body_kind {
            BodyKind::Html => match parse(&action.body) {
                Ok(tree) => draw::tree(tree, base),
                Err(_) => draw::text(&action.body, Base::Open),
            },
            BodyKind::Text => {
                let text = action.body.replace("\r\n", "\n");
                let text = text.split('\n').map(untabbed).collect::<Vec<_>>().join("\n");
                draw::text(&text, base)
            }
        }
    }
}

#[cfg(test)]
mod tests;

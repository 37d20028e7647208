//! What a body in HTML is, once it is read: a closed tree of what everybody sees alike.
//!
//! It is made by `parse` alone and is canonical: no block is empty, no line of a paragraph begins or ends with a space, two runs
//! side by side differ in marks or link, and a link stands on one line. So two bodies that are seen alike have one tree.

use std::sync::Arc;

/// A body in HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// What stands below one another.
    pub blocks: Vec<Block>,
    /// Where its links lead, in the order in which they stand in it; a run names its link by the place in here.
    pub links: Vec<Arc<str>>,
}

/// What begins on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Text, broken only where the agent broke it.
    Paragraph(Vec<Line>),
    /// A heading of level 1 to 6.
    Heading(u8, Vec<Line>),
    /// Text whose spaces count. Its tabs have become spaces.
    Pre(Vec<Line>),
    /// A line across.
    Rule,
    /// A list, whose items are numbered from `first` on, or have a dot.
    List {
        /// The number of the first item; none where a dot stands.
        first: Option<u32>,
        /// An item may hold nothing and still has its mark.
        items: Vec<Vec<Block>>,
    },
    /// Somebody else's words.
    Quote(Vec<Block>),
    /// Rows of cells, each of one line. The cells of the same place in their rows stand below one another.
    Table(Vec<Vec<Cell>>),
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Whether it heads a row or a column, `th`.
    pub heads: bool,
    /// What stands in it.
    pub line: Line,
}

/// One line: runs of text beside one another.
pub type Line = Vec<Run>;

/// Text of one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// It, never empty.
    pub text: String,
    /// How it looks.
    pub marks: Marks,
    /// The place of its link in [`Body::links`].
    pub link: Option<usize>,
}

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// Bold: `strong`, `b`.
    pub const STRONG: Marks = Marks(1);
    /// Italic: `em`, `i`.
    pub const EMPHASIS: Marks = Marks(2);
    /// Underlined: `u`, `ins`.
    pub const UNDERLINE: Marks = Marks(4);
    /// Struck out: what is said is that it does not hold.
    pub const STRIKE: Marks = Marks(8);
    /// In letters of one width.
    pub const CODE: Marks = Marks(16);
    /// Every mark with the element it is written as, in the order in which they are nested.
    pub const ALL: [(Marks, &'static str); 5] = [
        (Marks::STRONG, "strong"),
        (Marks::EMPHASIS, "em"),
        (Marks::UNDERLINE, "u"),
        (Marks::STRIKE, "s"),
        (Marks::CODE, "code"),
    ];

    /// These marks and those of `other`.
    pub fn with(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Whether `other` is among them.
    pub fn has(self, other: Marks) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The words of a line, whatever their look.
pub fn words(line: &[Run]) -> String {
    line.iter().map(|run| run.text.as_str()).collect()
}

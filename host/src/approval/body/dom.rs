//! What a browser makes of HTML, by `html5ever`, within bounds.
//!
//! The text is hostile. Misnested formatting makes a parser that follows the standard repeat elements, and deep nesting makes it
//! look through all that are open: so the text is handed over piece by piece, and reading ends where there are too many nodes or they
//! are too deep.

use super::{HTML_DEPTH_MAX, HTML_NODES_MAX, HTML_TAG_BYTES_MAX};
use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, ParseOpts, QualName, parse_document};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How much is handed over at once, in bytes: a tag takes three at least.
const PIECE_BYTES: usize = 512;

/// The nodes of a document; the first one is the document.
#[derive(Debug)]
pub struct Document(Vec<Node>);

/// An element, a text or a comment, and what stands in it.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// The places of what is in it.
    pub children: Vec<usize>,
    parent: Option<usize>,
    depth: usize,
}

/// What a node is.
#[derive(Debug)]
pub enum Kind {
    /// The document, and what is of no interest: its type, instructions.
    Other,
    /// An element of HTML by its name in lower case; of SVG or MathML, with that in front.
    Element(String, Vec<(String, String)>),
    /// Characters, with what entities stand for.
    Text(String),
    /// What nobody sees, except readers that look for conditions in it.
    Comment(String),
}

impl Document {
    /// Parses HTML as a browser does, within the limits of the module.
    ///
    /// # Errors
    ///
    /// That it is too large, in words.
    pub fn read(html: &str) -> Result<Document, String> {
        if tags(html).any(|tag| tag > HTML_TAG_BYTES_MAX) {
            return Err(format!("a tag of more than {HTML_TAG_BYTES_MAX} bytes"));
        }
        let mut parser = parse_document(Sink::new(), ParseOpts::default());
        let mut rest = html;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            parser.process(StrTendril::from(piece));
            parser.tokenizer.sink.sink.fits()?;
            rest = after;
        }
        let sink = parser.finish();
        sink.fits()?;
        Ok(Document(sink.nodes.into_inner()))
    }

    /// The node at a place.
    pub fn node(&self, at: usize) -> &Node {
        &self.0[at]
    }
}

/// The lengths of what can be tags: a parser looks through the attributes of a tag for each of them.
fn tags(html: &str) -> impl Iterator<Item = usize> {
    let starts = html.match_indices('<').map(|(at, _)| at);
    let mut end = 0;
    starts.map(move |at| {
        if end <= at {
            end = html[at..].find('>').map_or(html.len(), |length| at + length);
        }
        let is_tag = html[at + 1..].trim_start_matches('/').starts_with(|c: char| c.is_ascii_alphabetic());
        if is_tag { end - at } else { 0 }
    })
}

struct Sink {
    nodes: RefCell<Vec<Node>>,
    deepest: Cell<usize>,
}

/// An element as the parser knows it.
#[derive(Clone, Debug)]
struct Handle {
    at: usize,
    name: Rc<QualName>,
}

impl Sink {
    fn new() -> Sink {
        let document = Node { kind: Kind::Other, children: Vec::new(), parent: None, depth: 0 };
        Sink { nodes: RefCell::new(vec![document]), deepest: Cell::new(0) }
    }

    fn fits(&self) -> Result<(), String> {
        if self.deepest.get() > HTML_DEPTH_MAX {
            return Err(format!("more than {HTML_DEPTH_MAX} elements in one another"));
        }
        match self.nodes.borrow().len() > HTML_NODES_MAX {
            true => Err(format!("more than {HTML_NODES_MAX} elements and texts")),
            false => Ok(()),
        }
    }

    fn make(&self, kind: Kind) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { kind, children: Vec::new(), parent: None, depth: 0 });
        nodes.len() - 1
    }

    fn nameless(&self, kind: Kind) -> Handle {
        let name = QualName::new(None, html5ever::ns!(html), html5ever::LocalName::from(""));
        Handle { at: self.make(kind), name: Rc::new(name) }
    }

    /// Puts something into a node, before the child at `place`, or at its end.
    fn put(&self, parent: usize, place: Option<usize>, child: NodeOrText<Handle>) {
        let child = match child {
            NodeOrText::AppendNode(handle) => handle.at,
            NodeOrText::AppendText(text) => {
                let mut nodes = self.nodes.borrow_mut();
                let end = place.unwrap_or(nodes[parent].children.len());
                let before = end.checked_sub(1).map(|at| nodes[parent].children[at]);
                // The parser hands text over in pieces: they are one.
                if let Some(before) = before
                    && let Kind::Text(written) = &mut nodes[before].kind
                {
                    written.push_str(&text);
                    return;
                }
                drop(nodes);
                self.make(Kind::Text(text.to_string()))
            }
        };
        let from = self.place(child);
        self.detach(child);
        let place =
            place.map(|at| if from.is_some_and(|(of, was)| of == parent && was < at) { at - 1 } else { at });
        let mut nodes = self.nodes.borrow_mut();
        let depth = nodes[parent].depth + 1;
        (nodes[child].parent, nodes[child].depth) = (Some(parent), depth);
        self.deepest.set(self.deepest.get().max(depth));
        let children = &mut nodes[parent].children;
        children.insert(place.unwrap_or(children.len()).min(children.len()), child);
    }

    /// Where a node stands in its parent. What is moved is what came last.
    fn place(&self, at: usize) -> Option<(usize, usize)> {
        let nodes = self.nodes.borrow();
        let parent = nodes[at].parent?;
        Some((parent, nodes[parent].children.iter().rposition(|child| *child == at)?))
    }

    fn detach(&self, at: usize) {
        let Some((parent, place)) = self.place(at) else { return };
        let mut nodes = self.nodes.borrow_mut();
        nodes[parent].children.remove(place);
        nodes[at].parent = None;
    }
}

fn pairs(attributes: Vec<Attribute>) -> Vec<(String, String)> {
    attributes.into_iter().map(|one| (one.name.local.to_string(), one.value.to_string())).collect()
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Sink;
    type ElemName<'a> = &'a QualName;

    fn finish(self) -> Sink {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        let name = QualName::new(None, html5ever::ns!(), html5ever::LocalName::from(""));
        Handle { at: 0, name: Rc::new(name) }
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> &'a QualName {
        &target.name
    }

    fn create_element(&self, name: QualName, attributes: Vec<Attribute>, _: ElementFlags) -> Handle {
        let local = name.local.to_string();
        let shown = if name.ns == html5ever::ns!(html) { local } else { format!("svg or math: {local}") };
        Handle { at: self.make(Kind::Element(shown, pairs(attributes))), name: Rc::new(name) }
    }

    fn create_comment(&self, text: StrTendril) -> Handle {
        self.nameless(Kind::Comment(text.to_string()))
    }

    fn create_pi(&self, _: StrTendril, data: StrTendril) -> Handle {
        self.nameless(Kind::Comment(data.to_string()))
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.put(parent.at, None, child);
    }

    fn append_based_on_parent_node(&self, element: &Handle, previous: &Handle, child: NodeOrText<Handle>) {
        match self.place(element.at) {
            Some((parent, place)) => self.put(parent, Some(place), child),
            None => self.put(previous.at, None, child),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    /// What is in a template is refused with it, so it may stand in the element itself.
    fn get_template_contents(&self, target: &Handle) -> Handle {
        target.clone()
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one.at == other.at
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, child: NodeOrText<Handle>) {
        if let Some((parent, place)) = self.place(sibling.at) {
            self.put(parent, Some(place), child);
        }
    }

    fn add_attrs_if_missing(&self, target: &Handle, attributes: Vec<Attribute>) {
        if let Kind::Element(_, known) = &mut self.nodes.borrow_mut()[target.at].kind {
            for (name, value) in pairs(attributes) {
                if !known.iter().any(|(other, _)| *other == name) {
                    known.push((name, value));
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.detach(target.at);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let children = std::mem::take(&mut self.nodes.borrow_mut()[node.at].children);
        for child in children {
            self.nodes.borrow_mut()[child].parent = None;
            let handle = Handle { at: child, name: Rc::clone(&node.name) };
            self.put(new_parent.at, None, NodeOrText::AppendNode(handle));
        }
    }
}

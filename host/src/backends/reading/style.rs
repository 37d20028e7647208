//! What style sheets and styles say of an element, as far as it changes what a person would read: whether it is shown, whether it stands
//! on lines of its own, whether its text is struck out.
//!
//! Of selectors those are understood that name elements, classes, ids and attributes, and what they stand in. The work is bounded for
//! each rule, and for the page as a whole by [`Sheet::is_spent`].

use html5gum::emitters::default::StartTag;
use std::collections::HashMap;

/// The most selectors of style sheets that are looked at.
pub const RULES_MAX: usize = 1_000;
/// The longest selector that is looked at, in bytes.
pub const SELECTOR_BYTES_MAX: usize = 256;
/// The most classes of one element that are looked at.
pub const CLASSES_MAX: usize = 100;
/// How often a part of a selector is held against an element, for each byte of the page.
pub const STEPS_PER_BYTE_MAX: usize = 16;
/// How often for a page of no size.
pub const STEPS_MAX: usize = 100_000;
/// How many bytes of a value are as much work as one step.
const STEP_BYTES: usize = 32;
/// How far from the page something stands that nobody sees, in pixels.
const AWAY_PX: f64 = 900.0;

/// How an element stands in the text around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    None,
    Inline,
    /// In the line, and apart from what stands beside it.
    Apart,
    Block,
    Row,
    Cell,
}

/// What comes of all that is said of an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    pub is_hidden: bool,
    /// What was said, and nothing where nothing was.
    pub display: Option<Display>,
    /// Whether its text has no size. An element within it may have one again, and in mail often has.
    pub is_sizeless: Option<bool>,
    /// Whether it takes its place and shows nothing. An element within it may be visible again.
    pub is_invisible: Option<bool>,
    /// Whether its text has no colour. An element within it may have one again.
    pub is_clear: Option<bool>,
    pub is_struck: bool,
}

/// What is understood of styles. Each has one value; what is not understood says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    Display,
    Visibility,
    Opacity,
    MaxHeight,
    MaxWidth,
    Height,
    Width,
    Overflow,
    Size,
    Left,
    Top,
    Right,
    Margin,
    Position,
    Indent,
    Clip,
    ClipPath,
    Transform,
    Filter,
    Contents,
    Color,
    Struck,
    Office,
}

const PROPERTIES: usize = Property::Office as usize + 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    No,
    Yes,
    Display(Display),
}

/// The declarations of one style: the value of each property, and whether it is important.
#[derive(Clone, Copy, Default)]
struct Declared([Option<(bool, Value)>; PROPERTIES]);

impl Declared {
    fn read(style: &str) -> Declared {
        let mut declared = Declared::default();
        for (name, value, is_important) in declarations(style) {
            let Some((property, value)) = understood(&name, &value) else { continue };
            let place = &mut declared.0[property as usize];
            if is_important || !place.is_some_and(|(is_important, _)| is_important) {
                *place = Some((is_important, value));
            }
        }
        declared
    }

    fn says_nothing(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// What holds of one element: for each property what weighs most.
#[derive(Default)]
struct Cascade([Option<(u64, Value)>; PROPERTIES]);

impl Cascade {
    fn add(&mut self, declared: &Declared, weight: u64) {
        for (place, said) in self.0.iter_mut().zip(&declared.0) {
            let Some((is_important, value)) = *said else { continue };
            let weight = weight | u64::from(is_important) << 63;
            if place.is_none_or(|(other, _)| weight >= other) {
                *place = Some((weight, value));
            }
        }
    }

    fn is(&self, property: Property) -> Option<bool> {
        self.0[property as usize].map(|(_, value)| value == Value::Yes)
    }

    fn look(&self) -> Look {
        use Property as P;
        let is = |property| self.is(property).unwrap_or(false);
        let display = match self.0[P::Display as usize] {
            Some((_, Value::Display(display))) => Some(display),
            _ => None,
        };
        let is_away = is(P::Position) && [P::Left, P::Top, P::Right].into_iter().any(is);
        let is_flat = is(P::Overflow) && (is(P::Height) || is(P::Width));
        let is_cut = is(P::Position) && is(P::Clip);
        let others = [
            P::Opacity,
            P::MaxHeight,
            P::MaxWidth,
            P::Margin,
            P::Indent,
            P::ClipPath,
            P::Transform,
            P::Filter,
            P::Contents,
            P::Office,
        ];
        Look {
            is_hidden: display == Some(Display::None)
                || is_away
                || is_flat
                || is_cut
                || others.into_iter().any(is),
            display,
            is_sizeless: self.is(P::Size),
            is_invisible: self.is(P::Visibility),
            is_clear: self.is(P::Color),
            is_struck: is(P::Struck),
        }
    }
}

/// What a declaration means for a reader. `None` for what browsers take for no value, and for what does not matter here.
fn understood(name: &str, value: &str) -> Option<(Property, Value)> {
    use Property as P;
    let yes = |property, is: bool| Some((property, if is { Value::Yes } else { Value::No }));
    let px = || pixels(value);
    // Far to the left, or above.
    let away = |property| yes(property, px()? <= -AWAY_PX);
    match name {
        "display" => {
            let display = match value.split_ascii_whitespace().next()? {
                "none" => Display::None,
                "block" | "flex" | "grid" | "table" | "list-item" | "flow-root" | "-webkit-box"
                | "-webkit-flex" | "table-row-group" | "table-header-group" | "table-footer-group"
                | "table-caption" => Display::Block,
                "table-row" => Display::Row,
                "table-cell" => Display::Cell,
                "inline-block"
                | "inline-flex"
                | "inline-grid"
                | "inline-table"
                | "-webkit-inline-box"
                | "-webkit-inline-flex" => Display::Apart,
                "inline" | "contents" | "initial" | "unset" | "revert" | "inherit" | "ruby" | "run-in" => {
                    Display::Inline
                }
                _ => return None,
            };
            Some((P::Display, Value::Display(display)))
        }
        "visibility" => match value {
            "hidden" | "collapse" => yes(P::Visibility, true),
            "visible" | "initial" => yes(P::Visibility, false),
            _ => None,
        },
        "opacity" => yes(P::Opacity, number(value)? <= 0.02),
        "max-height" => yes(P::MaxHeight, px().is_some_and(|px| px < 1.0)),
        "max-width" => yes(P::MaxWidth, px().is_some_and(|px| px < 1.0)),
        "height" => yes(P::Height, px().is_some_and(|px| px <= 1.0)),
        "width" => yes(P::Width, px().is_some_and(|px| px <= 1.0)),
        "overflow" | "overflow-x" | "overflow-y" => {
            yes(P::Overflow, value.starts_with("hidden") || value.starts_with("clip"))
        }
        "font-size" => size(value),
        "font" => size(
            value
                .split_ascii_whitespace()
                .find(|word| word.starts_with(|c: char| c.is_ascii_digit() || c == '.'))?,
        ),
        "left" => away(P::Left),
        "top" => away(P::Top),
        "right" => away(P::Right),
        "margin-left" | "margin-top" => away(P::Margin),
        "text-indent" => away(P::Indent),
        "position" => yes(P::Position, matches!(value, "absolute" | "fixed" | "relative")),
        "clip" => yes(P::Clip, arguments(value, "rect").is_some_and(|all| all.iter().all(|px| *px <= 1.0))),
        "clip-path" | "-webkit-clip-path" => {
            let inset = arguments(value, "inset")
                .is_some_and(|all| value.contains('%') && all.first().is_some_and(|part| *part >= 50.0));
            yes(P::ClipPath, inset || arguments(value, "circle").is_some_and(|all| all.first() == Some(&0.0)))
        }
        "transform" | "-webkit-transform" | "scale" => {
            let scaled = ["scale", "scalex", "scaley", "scale3d"]
                .into_iter()
                .filter_map(|name| arguments(value, name));
            let flat = scaled.flatten().any(|part| part.abs() <= 0.01);
            yes(P::Transform, flat || name == "scale" && number(value).is_some_and(|part| part.abs() <= 0.01))
        }
        "filter" | "-webkit-filter" => {
            yes(P::Filter, arguments(value, "opacity").is_some_and(|all| all.first() == Some(&0.0)))
        }
        "content-visibility" => yes(P::Contents, value == "hidden"),
        "color" | "-webkit-text-fill-color" => match value {
            "inherit" | "currentcolor" => None,
            _ => yes(P::Color, value == "transparent" || has_no_alpha(value)),
        },
        "text-decoration" | "text-decoration-line" => yes(P::Struck, value.contains("line-through")),
        "mso-hide" => yes(P::Office, value == "all"),
        _ => None,
    }
}

/// A size relative to nothing is nothing, so it says nothing by itself.
fn size(value: &str) -> Option<(Property, Value)> {
    let value = value.split('/').next().unwrap_or_default();
    let is_relative = value.ends_with('%') || value.ends_with("em") && !value.ends_with("rem");
    let number = number(value);
    match number {
        Some(0.0) => Some((Property::Size, Value::Yes)),
        _ if is_relative => None,
        // Nobody reads letters of a pixel.
        Some(_) => Some((Property::Size, if pixels(value)? <= 1.0 { Value::Yes } else { Value::No })),
        None if matches!(value, "smaller" | "larger" | "inherit" | "unset") => None,
        None => Some((Property::Size, Value::No)),
    }
}

/// The number a value begins with; of `50%` a half.
fn number(value: &str) -> Option<f64> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    let number = digits.parse::<f64>().ok().filter(|number| number.is_finite())?;
    Some(if value.ends_with('%') { number / 100.0 } else { number })
}

/// A length in pixels, about: what matters is whether it is next to nothing, or far away. `None` for what has no number.
fn pixels(value: &str) -> Option<f64> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    let number = digits.parse::<f64>().ok()?;
    let scale = match &value[digits.len()..] {
        "em" | "rem" | "ex" | "ch" | "pc" => 16.0,
        "in" => 96.0,
        "cm" => 38.0,
        "mm" => 3.8,
        "%" | "vw" | "vh" => 10.0,
        _ => 1.0,
    };
    Some(number * scale)
}

/// The numbers within `name(...)`.
fn arguments(value: &str, name: &str) -> Option<Vec<f64>> {
    let (_, rest) = value.split_once(name)?;
    let inner = rest.strip_prefix('(')?.split(')').next()?;
    let parts = inner.split([',', ' ']).filter(|part| !part.is_empty());
    Some(
        parts
            .filter_map(|part| {
                part.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%').parse().ok()
            })
            .collect(),
    )
}

fn has_no_alpha(color: &str) -> bool {
    let inner = color.strip_prefix("rgba(").or_else(|| color.strip_prefix("hsla("));
    let last = inner
        .and_then(|inner| inner.strip_suffix(')'))
        .and_then(|inner| inner.rsplit([',', ' ', '/']).next());
    last.is_some_and(|alpha| number(alpha) == Some(0.0))
}

/// Property, value and importance of each declaration, in lower case, escapes undone. What stands in quotes and brackets parts nothing.
fn declarations(style: &str) -> Vec<(String, String, bool)> {
    let (mut found, mut start, mut depth, mut quote, mut is_escaped) = (Vec::new(), 0, 0u32, None, false);
    let mut take = |declaration: &str| {
        let Some((property, value)) = declaration.split_once(':') else { return };
        let value = unescaped(value).to_ascii_lowercase();
        let (value, mark) = value.split_once('!').unwrap_or((&value, ""));
        found.push((
            unescaped(property).trim().to_ascii_lowercase(),
            value.trim().to_owned(),
            mark.trim() == "important",
        ));
    };
    for (at, byte) in style.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            byte if quote == Some(byte) => quote = None,
            // A line end ends a string nobody closed.
            b'\n' if quote.is_some() => quote = None,
            _ if quote.is_some() => {}
            b'"' | b'\'' => quote = Some(byte),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => {
                take(&style[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    take(&style[start..]);
    found
}

/// `\6e` is `n`: CSS Syntax, 4.3.7.
fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars().peekable());
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (mut code, mut digits) = (0, 0);
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(16)).filter(|_| digits < 6) {
            (code, digits) = (code * 16 + digit, digits + 1);
            chars.next();
        }
        if digits == 0 {
            out.extend(chars.next());
        } else {
            out.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            chars.next_if(|c| c.is_ascii_whitespace());
        }
    }
    out
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

/// What selectors ask of an element.
#[derive(Debug, Default)]
pub struct Names {
    name: String,
    id: Option<String>,
    classes: Vec<String>,
    /// The attributes, if any selector asks for one.
    attributes: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Compound {
    name: Option<String>,
    ids: Vec<String>,
    classes: Vec<String>,
    attributes: Vec<(String, Test)>,
}

#[derive(Debug)]
enum Test {
    Is,
    Equals(String),
    Word(String),
    Begins(String),
    Ends(String),
    Has(String),
}

impl Compound {
    fn fits(&self, names: &Names, steps: &mut usize) -> bool {
        *steps += 1 + self.classes.len() * names.classes.len() / 8;
        self.name.as_ref().is_none_or(|name| *name == names.name)
            && self.ids.iter().all(|id| names.id.as_ref() == Some(id))
            && self.classes.iter().all(|class| names.classes.contains(class))
            && self.attributes.iter().all(|(name, test)| {
                *steps += names.attributes.len();
                let value = names.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| &value[..]);
                value.is_some_and(|value| {
                    *steps += value.len() / STEP_BYTES;
                    match test {
                        Test::Is => true,
                        Test::Equals(other) => value == other,
                        Test::Word(other) => value.split_ascii_whitespace().any(|word| word == other),
                        Test::Begins(other) => value.starts_with(&other[..]),
                        Test::Ends(other) => value.ends_with(&other[..]),
                        Test::Has(other) => value.contains(&other[..]),
                    }
                })
            })
    }

    /// In order: ids, classes and attributes, names.
    fn specificity(&self) -> u64 {
        let count = |many: usize| many.min(255) as u64;
        count(self.ids.len()) << 16
            | count(self.classes.len() + self.attributes.len()) << 8
            | u64::from(self.name.is_some())
    }
}

/// A selector: the element it is about, and what that stands in, from the inside out. `true` for its parent, `false` for any around it.
#[derive(Debug)]
struct Selector {
    last: Compound,
    around: Vec<(bool, Compound)>,
}

impl Selector {
    /// `None` for what is none, and for what is asked that is not known here: siblings, states.
    fn read(text: &str) -> Option<Selector> {
        if text.len() > SELECTOR_BYTES_MAX {
            return None;
        }
        let spaced = spaced(text)?;
        let mut compounds = Vec::new();
        let mut is_child = false;
        for word in spaced.split('\n').filter(|word| !word.is_empty()) {
            if word == ">" {
                is_child = true;
                continue;
            }
            compounds.push((std::mem::take(&mut is_child), compound(word)?));
        }
        let (mut before, last) = compounds.pop()?;
        // How each stands to the one behind it is noted with it.
        let around = compounds
            .into_iter()
            .rev()
            .map(|(is_child, compound)| (std::mem::replace(&mut before, is_child), compound));
        Some(Selector { last, around: around.collect() })
    }

    fn specificity(&self) -> u64 {
        self.last.specificity() + self.around.iter().map(|(_, compound)| compound.specificity()).sum::<u64>()
    }

    fn fits<'a>(
        &self,
        names: &Names,
        mut outside: impl Iterator<Item = &'a Names>,
        steps: &mut usize,
    ) -> bool {
        // The nearest that fits is taken: with `>` in the middle that may miss one further out, which no mail has been seen to need.
        self.last.fits(names, steps)
            && self.around.iter().all(|(is_parent, compound)| match is_parent {
                true => outside.next().is_some_and(|element| compound.fits(element, steps)),
                false => outside.any(|element| compound.fits(element, steps)),
            })
    }
}

/// A line feed between compounds, and around `>`. `None` where siblings are asked for.
fn spaced(text: &str) -> Option<String> {
    let (mut out, mut brackets, mut quote) = (String::new(), 0u32, None);
    for c in text.chars() {
        match c {
            c if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            '[' => brackets += 1,
            ']' => brackets = brackets.saturating_sub(1),
            _ if brackets > 0 => {}
            '+' | '~' | ':' | '(' => return None,
            '>' => {
                out += "\n>\n";
                continue;
            }
            c if c.is_ascii_whitespace() => {
                out.push('\n');
                continue;
            }
            _ => {}
        }
        out.push(if c == '\n' { ' ' } else { c });
    }
    Some(out)
}

fn compound(text: &str) -> Option<Compound> {
    let text = text.to_ascii_lowercase();
    let mut compound = Compound::default();
    let end = |text: &str| text.find(['.', '#', '[', '*']).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(end(&text));
    compound.name = (!name.is_empty()).then(|| unescaped(name));
    while let Some(first) = rest.chars().next() {
        let behind = &rest[1..];
        rest = match first {
            '*' => behind,
            '[' => {
                let (test, after) = behind.split_once(']')?;
                compound.attributes.push(attribute_test(test)?);
                after
            }
            _ => {
                let (named, after) = behind.split_at(end(behind));
                let list = if first == '.' { &mut compound.classes } else { &mut compound.ids };
                list.push(Some(unescaped(named)).filter(|name| !name.is_empty())?);
                after
            }
        };
    }
    Some(compound)
}

fn attribute_test(text: &str) -> Option<(String, Test)> {
    let Some((name, value)) = text.split_once('=') else { return Some((text.trim().to_owned(), Test::Is)) };
    let value = value.trim().trim_end_matches(" i").trim_matches(['"', '\'']).to_owned();
    let (name, test) = match name.chars().next_back()? {
        '~' => (&name[..name.len() - 1], Test::Word(value)),
        '^' => (&name[..name.len() - 1], Test::Begins(value)),
        '$' => (&name[..name.len() - 1], Test::Ends(value)),
        '*' => (&name[..name.len() - 1], Test::Has(value)),
        '|' => (&name[..name.len() - 1], Test::Begins(value)),
        _ => (name, Test::Equals(value)),
    };
    Some((name.trim().to_owned(), test))
}

struct Rule {
    selector: Selector,
    declared: usize,
    weight: u64,
}

/// The style sheets of a page.
#[derive(Default)]
pub struct Sheet {
    rules: Vec<Rule>,
    declared: Vec<Declared>,
    /// Rules by what their last compound asks for: an id, a class, a name; or nothing.
    by_id: HashMap<String, Vec<usize>>,
    by_class: HashMap<String, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    others: Vec<usize>,
    asks_attributes: bool,
    looked_at: usize,
    steps: usize,
    steps_max: usize,
}

impl Sheet {
    /// For a page of so many bytes.
    pub fn of_page(bytes: usize) -> Sheet {
        Sheet { steps_max: STEPS_MAX + bytes * STEPS_PER_BYTE_MAX, ..Sheet::default() }
    }

    /// Whether the page has asked for more work than it may. What is hidden in the rest of it is not known any more.
    pub fn is_spent(&self) -> bool {
        self.steps > self.steps_max
    }

    /// Reads what stands in a `<style>`.
    pub fn read(&mut self, sheet: &str) {
        let sheet = without_comments(sheet);
        let mut rest = &sheet[..];
        while let Some((prelude, behind)) = rest.split_once('{') {
            let prelude = prelude.rsplit([';', '}']).next().unwrap_or_default().trim();
            if prelude.starts_with('@') {
                // A condition such as a width may hold nowhere: its rules are passed over, with the braces within it.
                rest = if holds(prelude) { behind } else { &behind[closing(behind)..] };
                continue;
            }
            let end = behind.find('}').unwrap_or(behind.len());
            let (body, after) = behind.split_at(end);
            rest = after;
            if self.looked_at < RULES_MAX {
                self.rule(prelude, body);
            }
        }
    }

    fn rule(&mut self, prelude: &str, body: &str) {
        let declared = Declared::read(body);
        let says_nothing = declared.says_nothing();
        for selector in prelude.split(',').take(RULES_MAX - self.looked_at) {
            self.looked_at += 1;
            if says_nothing {
                continue;
            }
            let Some(selector) = Selector::read(selector.trim()) else { continue };
            let number = self.rules.len();
            self.asks_attributes |= selector
                .around
                .iter()
                .map(|(_, compound)| compound)
                .chain([&selector.last])
                .any(|compound| !compound.attributes.is_empty());
            let list = match &selector.last {
                Compound { ids, .. } if !ids.is_empty() => self.by_id.entry(ids[0].clone()).or_default(),
                Compound { classes, .. } if !classes.is_empty() => {
                    self.by_class.entry(classes[0].clone()).or_default()
                }
                Compound { name: Some(name), .. } => self.by_name.entry(name.clone()).or_default(),
                _ => &mut self.others,
            };
            list.push(number);
            let weight = (selector.specificity() + 1) << 32 | number as u64;
            self.rules.push(Rule { selector, declared: self.declared.len(), weight });
        }
        if !says_nothing {
            self.declared.push(declared);
        }
    }

    /// What selectors ask of an element.
    pub fn names(&self, name: &str, tag: &StartTag<()>) -> Names {
        if self.rules.is_empty() {
            return Names::default();
        }
        let short = |text: &str| text.len() <= SELECTOR_BYTES_MAX;
        let lower = |text: &[u8]| String::from_utf8_lossy(text).to_ascii_lowercase();
        let get =
            |wanted: &[u8]| tag.attributes.iter().find(|(key, _)| ***key == *wanted).map(|(_, value)| value);
        let classes = get(b"class").map(|value| {
            let classes =
                value.split(u8::is_ascii_whitespace).filter(|class| !class.is_empty()).take(CLASSES_MAX);
            classes.filter(|class| class.len() <= SELECTOR_BYTES_MAX).map(lower).collect()
        });
        let attributes = tag.attributes.iter().filter(|_| self.asks_attributes).take(CLASSES_MAX);
        Names {
            name: if short(name) { name.to_owned() } else { String::new() },
            id: get(b"id").filter(|id| id.len() <= SELECTOR_BYTES_MAX).map(|id| lower(id)),
            classes: classes.unwrap_or_default(),
            attributes: attributes.map(|(key, value)| (lower(key), lower(value))).collect(),
        }
    }

    /// How an element looks. `outside` is what it stands in, from the inside out.
    pub fn look<'a>(
        &mut self,
        names: &Names,
        tag: &StartTag<()>,
        outside: impl Iterator<Item = &'a Names> + Clone,
    ) -> Look {
        let get =
            |wanted: &[u8]| tag.attributes.iter().find(|(key, _)| ***key == *wanted).map(|(_, value)| value);
        let mut cascade = Cascade::default();
        if get(b"hidden").is_some() || **tag.name == *b"dialog" && get(b"open").is_none() {
            cascade.0[Property::Display as usize] = Some((0, Value::Display(Display::None)));
        }
        let classes = names.classes.iter().filter_map(|class| self.by_class.get(class));
        let lists = classes
            .chain(names.id.as_ref().and_then(|id| self.by_id.get(id)))
            .chain(self.by_name.get(&names.name))
            .chain([&self.others]);
        let mut steps = self.steps;
        for rule in lists.flatten().map(|number| &self.rules[*number]) {
            if steps > self.steps_max {
                break;
            }
            if rule.selector.fits(names, outside.clone(), &mut steps) {
                cascade.add(&self.declared[rule.declared], rule.weight);
            }
        }
        self.steps = steps;
        if let Some(style) = get(b"style") {
            cascade.add(&Declared::read(&without_comments(&String::from_utf8_lossy(style))), 1 << 62);
        }
        cascade.look()
    }
}

/// Whether the rules of such a block hold wherever mail is read: for all media, or any screen; for what browsers can do.
fn holds(prelude: &str) -> bool {
    let prelude = prelude.to_ascii_lowercase();
    let Some(media) = prelude.strip_prefix("@media") else {
        return ["@supports", "@layer"].iter().any(|rule| prelude.starts_with(rule))
            && !prelude.contains("not");
    };
    media.split(',').any(|media| matches!(media.trim().trim_start_matches("only "), "all" | "screen" | ""))
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

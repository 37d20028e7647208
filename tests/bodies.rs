//! What is signed is what is seen: bodies as agents write them, drawn for whoever signs, beside the letter that leaves in a real
//! browser.
//!
//! Bodies are made from a seed: HTML in any case, misnested, unclosed, with tables, lists, quotes, tabs, links and letters from the
//! right. The letter of each that can be asked about is written, its part is taken out of it again and drawn by Chromium in a blank page,
//! a text in a `pre`; the page of the approval is drawn beside it. Each line the browser shows must be a line of the terminal and of
//! the page: the same words in the same place, in the order in which they stand side by side, struck out where they are, in the same
//! row and column of a table, with the same mark of a list, as deep in quotes. `BODIES` says how many bodies; CI draws 2,000.

use crate::display::draw;
use crate::lies::case;
use crate::support::browser::Browser;
use crate::support::{Cli, workspace};
use countersign::approval::body::{self, Rendered};
use countersign::approval::{Action, BodyKind, Version, letter};
use countersign::authority::Capability;
use countersign::digest::Digest;
use countersign_serve::inbox::pages::approvals;
use mail_parser::{MessageParser, PartType};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many bodies are drawn where nothing else is said.
const BODIES: usize = 2_000;
/// How many of them stand on one page.
const ON_A_PAGE: usize = 100;

/// Numbers from a seed, by SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn several(&mut self, most: usize, mut make: impl FnMut(&mut Chance) -> String) -> String {
        (0..=self.below(most)).map(|_| make(self)).collect()
    }
}

// ---- How agents write ------------------------------------------------------------------------------------------------------

const WORDS: &[&str] = &[
    "pay",
    "EUR 10",
    "000",
    "not",
    "1.",
    "- ",
    "> ",
    "---",
    "[1]",
    " | ",
    "(3704 0044)",
    "IBAN DE89",
    "Total:",
    "x",
    "A&amp;B",
    "&lt;b&gt;",
    "a&nbsp;&nbsp;b",
    "&mdash;",
    "caf\u{e9}",
    "⟦1⟧",
    "row 1, column 2",
    "5 %",
    "a/b",
    "…",
    "do",
    "&copy; & &#39;q&#39;",
];
/// None of them joins letters into one sign, whose parts stand nowhere.
const FROM_THE_RIGHT: &[&str] = &[
    "\u{5d0}",
    "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
    "\u{5d0} 37 \u{5d1}",
    "\u{631}\u{62f}",
    "\u{62f} 5",
    "(\u{5d0})",
    "\u{661}\u{662}",
];

/// A word, one in twelve from the right.
fn word(chance: &mut Chance) -> String {
    match chance.below(12) {
        0 => chance.one(FROM_THE_RIGHT).to_owned(),
        _ => chance.one(WORDS).to_owned(),
    }
}

fn inline(chance: &mut Chance, depth: usize) -> String {
    let space = |chance: &mut Chance| chance.one(&[" ", " ", "", "\n  ", "\t", "  "]).to_owned();
    if depth == 0 || chance.below(3) == 0 {
        return chance.several(3, |chance| word(chance) + &space(chance));
    }
    let inside = chance.several(2, |chance| inline(chance, depth - 1));
    let element = chance.one(&[
        "b",
        "STRONG",
        "i",
        "em",
        "u",
        "s",
        "del",
        "strike",
        "code",
        "span class='x'",
        "a",
        "s",
    ]);
    if element == "a" {
        let href = chance.one(&["https://x.example/?a=1&b=2", "mailto:a@company.com", "HTTP://x.example"]);
        return format!("<a href='{href}'>{inside}</a>{}", space(chance));
    }
    let end = element.split(' ').next().unwrap();
    format!("<{element}>{inside}</{end}>{}", space(chance))
}

/// A paragraph's worth of text, broken now and then.
fn lines(chance: &mut Chance) -> String {
    chance.several(3, |chance| inline(chance, 2) + chance.one(&["", "<br>", "<BR/>", ""]))
}

fn cell(chance: &mut Chance) -> String {
    match chance.below(8) {
        0 => String::new(),
        1 => format!("<p>{}</p>", inline(chance, 1)),
        2 => format!("<div>{}</div> ", inline(chance, 1)),
        // What has no one drawing.
        3 if chance.below(12) == 0 => format!("{}<br>{}", word(chance), word(chance)),
        4 if chance.below(12) == 0 => format!("{}<table><tr></tr></table>", word(chance)),
        _ => inline(chance, 1),
    }
}

fn table(chance: &mut Chance) -> String {
    let columns = 1 + chance.below(4);
    let row = |chance: &mut Chance| {
        let (mark, end) = [("td", "</td>"), ("th", "</th>"), ("TD", ""), ("td class=n", "")][chance.below(4)];
        let cells: String = (0..columns).map(|_| format!("<{mark}>{}{end}", cell(chance))).collect();
        format!("<tr>{cells}{}", chance.one(&["</tr>", "</tr>\n", ""]))
    };
    let rows = chance.several(3, row);
    let head = if chance.below(3) == 0 { format!("<thead>{}</thead>", row(chance)) } else { String::new() };
    match chance.below(4) {
        0 => format!("<table border=1>{rows}{head}</table>"),
        1 => format!("<TABLE class=\"t\">{head}<tbody>{rows}</tbody></TABLE>"),
        2 => format!("<table><tfoot>{}</tfoot>{rows}</table>", row(chance)),
        _ => format!("<table>\n{head}{rows}</table>\n"),
    }
}

fn pre(chance: &mut Chance) -> String {
    let text = chance.several(5, |chance| {
        word(chance).replace("&nbsp;", " ")
            + chance.one(&["\t", "\t\t", "  ", "\n", "\r\n", "\n\t", " <b>9</b>"])
    });
    format!("<pre>{}{text}</pre>", chance.one(&["", "\n", "  "]))
}

fn list(chance: &mut Chance, depth: usize) -> String {
    let element = chance.one(&["ul", "ol", "OL", "ol start='7'"]);
    let items = chance.several(3, |chance| {
        let inside = match chance.below(6) {
            0 if depth > 0 => lines(chance) + &list(chance, depth - 1),
            1 if depth > 0 => block(chance, depth - 1) + &block(chance, depth - 1),
            2 => String::new(),
            3 => format!("<p>{}</p>", lines(chance)),
            _ => inline(chance, 2),
        };
        format!("<li>{inside}{}", chance.one(&["</li>", "", "</li>\n"]))
    });
    format!("<{element}>{items}</{}>", element.split(' ').next().unwrap())
}

fn block(chance: &mut Chance, depth: usize) -> String {
    match chance.below(if depth == 0 { 6 } else { 11 }) {
        0 => format!("<p class=x>{}{}", lines(chance), chance.one(&["</p>", ""])),
        1 => format!("<h{n}>{}</h{n}>", inline(chance, 1), n = 1 + chance.below(6)),
        2 => pre(chance),
        3 => chance.one(&["<hr>", "<HR/>", "<!-- note -->", "<p>&nbsp;</p>", "<p><br></p>"]).to_owned(),
        4 => lines(chance),
        5 => format!("<P>{}</P>\n", lines(chance)),
        6 => table(chance),
        7 => list(chance, depth - 1),
        8 => format!("<blockquote>{}</blockquote>", chance.several(2, |chance| block(chance, depth - 1))),
        9 => format!("<div>{}</div>", chance.several(2, |chance| block(chance, depth - 1))),
        // Formatting around blocks, and closed in another order than it was opened.
        _ => format!("<b><s>{}</b>{}</s>", block(chance, depth - 1), word(chance)),
    }
}

/// A body as an agent writes it, of which most can leave.
fn written(chance: &mut Chance) -> (BodyKind, String) {
    if chance.below(5) == 0 {
        let text = chance.several(12, |chance| {
            word(chance) + chance.one(&[" ", "\n", "\t", "\r\n", "\n\n", "  ", "\t\t", " - "])
        });
        return (BodyKind::Text, text);
    }
    let blocks = chance.several(4, |chance| block(chance, 2));
    let page = match chance.below(4) {
        0 => format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset='utf-8'><title>t</title></head><body>{blocks}</body></html>"
        ),
        1 => format!("<html><body>\n{blocks}\n</body></html>\n"),
        _ => blocks,
    };
    (BodyKind::Html, page)
}

// ---- What is seen ----------------------------------------------------------------------------------------------------------

/// A line, wherever it is seen.
#[derive(Debug, Default, PartialEq, Deserialize)]
struct Seen {
    /// In how many quotes it stands.
    quotes: usize,
    /// The mark before it: `-`, `7.`, or none.
    mark: Option<String>,
    /// In how many items of lists it stands; on the terminal, how many of these its marks and indents were read of.
    items: usize,
    /// Row and column of a table, from 1.
    cell: Option<(usize, usize)>,
    /// Its characters in the order in which they are written.
    written: String,
    /// The same from left to right.
    seen: String,
    /// Those of them that are struck out.
    struck: String,
    /// For each character the column it stands in, where all letters are of one width.
    #[serde(default)]
    columns: Option<Vec<usize>>,
}

/// Where a browser put each character, gathered to lines.
const SCRIPT: &str = r#"
const [bodies] = arguments;
document.body.replaceChildren();
const read = (root, isText) => {
  const lines = [], cells = new Map(), firsts = new Set();
  const places = table => {
    if (cells.has(table)) return cells.get(table);
    const all = [...table.querySelectorAll('td, th')].filter(c => c.closest('table') === table).map(c => [c, c.getBoundingClientRect()]);
    const rank = f => [...new Set(all.map(([, r]) => Math.round(f(r))))].sort((a, b) => a - b);
    const tops = rank(r => r.top), lefts = rank(r => r.left);
    const found = new Map(all.map(([c, r]) => [c, [tops.indexOf(Math.round(r.top)) + 1, lefts.indexOf(Math.round(r.left)) + 1]]));
    cells.set(table, found);
    return found;
  };
  const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  let line = null;
  for (let node; node = walk.nextNode();) {
    const parent = node.parentElement;
    if (parent.closest('.mark, .order, .orders')) continue;
    const block = parent.closest('p, h1, h2, h3, h4, h5, h6, pre, td, th, li, blockquote, div');
    let struck = false;
    for (let e = parent; e !== root && e; e = e.parentElement)
      struck ||= getComputedStyle(e).textDecorationLine.includes('line-through');
    let at = 0;
    for (const c of node.data) {
      range.setStart(node, at); range.setEnd(node, at += c.length);
      const rect = [...range.getClientRects()].find(r => r.width > 0);
      if (!rect || c === '\n') continue;
      const middle = (rect.top + rect.bottom) / 2;
      if (!line || line.block !== block || Math.abs(middle - line.middle) > rect.height / 2) {
        line = { block, middle, chars: [] };
        lines.push(line);
      }
      line.chars.push({ c: c === '\u00a0' ? ' ' : c, x: rect.left, w: rect.width, struck });
    }
  }
  const shown = lines.map(({ block, middle, chars }) => {
    const cell = block.closest('td, th'), item = block.closest('li');
    let mark = null;
    let items = 0;
    for (let e = block; e && e !== root; e = e.parentElement) if (e.localName === 'li') items++;
    if (items && !firsts.has(item)) {
      for (let e = item; e && e !== root; e = e.parentElement) firsts.add(e);
      mark = item.parentElement.localName === 'ol' ? item.parentElement.start + [...item.parentElement.children].indexOf(item) + '.' : '-';
    }
    let quotes = 0;
    for (let e = block; e && e !== root; e = e.parentElement) if (e.localName === 'blockquote') quotes++;
    const seen = [...chars].sort((a, b) => a.x - b.x);
    const pre = block.localName === 'pre', first = Math.min(...chars.map(c => c.x));
    return { top: middle, quotes, items, mark, cell: cell && root.contains(cell) ? places(cell.closest('table')).get(cell) : null,
      written: chars.map(c => c.c).join(''), seen: seen.map(c => c.c).join(''), struck: chars.filter(c => c.struck).map(c => c.c).join(''),
      columns: pre ? chars.map(c => Math.round((c.x - first) / chars[0].w)) : null };
  });
  // Down the page, and in a row from left to right.
  const order = shown.map((one, at) => [one, at]).sort(([a, i], [b, j]) => Math.abs(a.top - b.top) > 3 ? a.top - b.top : i - j);
  if (order.some(([, at], place) => at !== place)) throw new Error('lines stand in another order: ' + JSON.stringify(shown));
  return shown;
};
const all = bodies.map(({ letter, isText, page }) => {
  const blank = document.createElement('div'), own = document.createElement('div');
  blank.style.width = own.style.width = '100000px';
  document.body.append(blank, own);
  if (isText) { const pre = document.createElement('pre'); pre.textContent = letter; blank.append(pre); } else blank.innerHTML = letter;
  own.className = 'message';
  own.innerHTML = page;
  const result = [blank, own].map(root => { try { return read(root, isText); } catch (error) { return String(error); } });
  blank.remove(); own.remove();
  return result;
});
return all;
"#;

/// The lines of the drawing for a terminal, read by their marks.
fn drawn(rendered: &Rendered) -> Vec<Seen> {
    let mut lines: Vec<Seen> = Vec::new();
    for line in rendered.drawn.split('\n') {
        let mut seen = Seen::default();
        let mut rest = line;
        loop {
            let trimmed =
                if rendered.tree.is_some() { rest.strip_prefix("    ").unwrap_or(rest) } else { rest };
            let Some((mark, after)) = trimmed.strip_prefix('⟦').and_then(|rest| rest.split_once("⟧"))
            else {
                if trimmed.len() < rest.len() && trimmed.trim_start().starts_with('⟦') {
                    seen.items += 1;
                    rest = trimmed;
                    continue;
                }
                break;
            };
            if mark.starts_with("struck out: ") || mark.parse::<usize>().is_ok() {
                break;
            }
            seen.items += usize::from(trimmed.len() < rest.len());
            match mark {
                ">" => seen.quotes += 1,
                "a line across" => {}
                "a reader sees" | "some readers see" => {
                    // One further order of the line before.
                    let order = unescaped(after.strip_prefix(' ').unwrap());
                    lines.last_mut().unwrap().seen.push_str(&format!("\n{order}"));
                    seen.mark = Some(String::new());
                    break;
                }
                mark => match mark.strip_prefix("row ").and_then(|cell| cell.split_once(", column ")) {
                    Some((row, column)) => seen.cell = Some((row.parse().unwrap(), column.parse().unwrap())),
                    None => {
                        seen.items += 1;
                        seen.mark = Some(mark.to_owned());
                    }
                },
            }
            rest = after.strip_prefix(' ').unwrap_or(after);
        }
        if seen.mark.as_deref() == Some("") {
            continue;
        }
        words(rest, rendered.tree.is_some(), &mut seen);
        lines.push(seen);
    }
    lines
}

/// Takes the marks within a line out of it.
fn words(line: &str, marked: bool, seen: &mut Seen) {
    let mut struck = false;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("⟦struck out: ").filter(|_| marked) {
            (struck, rest) = (true, after);
            continue;
        }
        if let Some(inside) = rest.strip_prefix('⟦').filter(|_| marked) {
            rest = inside.split_once('⟧').unwrap().1;
            continue;
        }
        if let Some(after) = rest.strip_prefix('⟧').filter(|_| marked) {
            (struck, rest) = (false, after);
            continue;
        }
        let (c, length) = escape(rest).unwrap_or((c, c.len_utf8()));
        seen.written.push(c);
        if struck {
            seen.struck.push(c);
        }
        rest = &rest[length..];
    }
}

/// The character an escape at the beginning of a text stands for, and how long it is.
fn escape(text: &str) -> Option<(char, usize)> {
    let (number, _) = text.strip_prefix("\\u{")?.split_once('}')?;
    Some((char::from_u32(u32::from_str_radix(number, 16).ok()?)?, number.len() + 4))
}

fn unescaped(text: &str) -> String {
    let mut seen = Seen::default();
    words(text, false, &mut seen);
    seen.written
}

/// Brackets of a line that is read from the right look the other way.
fn flat(text: &str) -> String {
    text.chars().map(|c| if "()[]{}<>".contains(c) { '|' } else { c }).collect()
}

/// A body and what is seen of it.
struct Case {
    written: String,
    rendered: Rendered,
    is_text: bool,
}

/// Says in what a letter in a browser, its drawing for a terminal and its page differ.
fn differences(case: &Case, letter: &[Seen], page: &[Seen]) -> Option<String> {
    // A line of nothing but space takes none in a browser.
    let shows = |line: &&Seen| !line.written.trim_matches(' ').is_empty();
    let drawn = drawn(&case.rendered);
    // An item that begins with a line across, or with nothing but space, has its mark there.
    let mut above: Option<&str> = None;
    let mut terminal = Vec::new();
    for line in &drawn {
        match shows(&line) {
            true => terminal.push((line, above.take())),
            false => above = line.mark.as_deref().or(above),
        }
    }
    let letter: Vec<_> = letter.iter().filter(shows).collect();
    if terminal.len() != letter.len() {
        return Some(format!("{} lines on the terminal, {} in the letter", terminal.len(), letter.len()));
    }
    for ((shown, above), real) in terminal.iter().zip(&letter) {
        let orders: Vec<_> = shown.seen.split('\n').skip(1).map(flat).collect();
        let is_right = body::direction::is_right_to_left(&real.written);
        let same_order = match orders.is_empty() {
            true => is_right || real.seen == real.written,
            false => orders.contains(&flat(&real.seen)),
        };
        let same_mark = shown.mark == real.mark || shown.mark.is_none() && real.mark.as_deref() == *above;
        let columns = real.columns.as_ref().filter(|_| real.written.is_ascii());
        let same_columns = columns.is_none_or(|columns| columns.iter().copied().eq(0..real.written.len()));
        let indent = "    ".repeat(real.items.saturating_sub(shown.items));
        if shown.written.strip_prefix(&indent) != Some(&real.written)
            || shown.struck != real.struck
            || (shown.quotes, shown.cell) != (real.quotes, real.cell)
            || !(same_order && same_mark && same_columns)
        {
            return Some(format!("on the terminal {shown:?}\nin the letter   {real:?}"));
        }
    }
    let page: Vec<_> = page.iter().filter(shows).collect();
    if case.is_text {
        // The page shows the drawing itself.
        let lines: Vec<_> =
            case.rendered.drawn.split('\n').filter(|line| !line.trim_matches(' ').is_empty()).collect();
        let same = page.iter().map(|line| line.written.as_str()).eq(lines.iter().copied());
        let straight = page.iter().all(|line| {
            let columns = line.columns.as_ref().filter(|_| line.written.is_ascii());
            columns.is_some_and(|columns| columns.iter().copied().eq(0..line.written.len()))
                || !line.written.is_ascii()
        });
        return (!same || !straight).then(|| format!("on the page {page:?}\nin the drawing {lines:?}"));
    }
    if page.len() != letter.len() {
        return Some(format!("{} lines on the page, {} in the letter", page.len(), letter.len()));
    }
    page.iter().zip(&letter).find_map(|(shown, real)| {
        let shown = Seen {
            written: unescaped(&shown.written),
            struck: unescaped(&shown.struck),
            seen: shown.seen.clone(),
            columns: None,
            mark: shown.mark.clone(),
            ..**shown
        };
        let same_order = shown.written.contains('⟦') || shown.seen == real.seen;
        let same = (shown.quotes, &shown.mark, shown.cell, &shown.written, &shown.struck)
            == (real.quotes, &real.mark, real.cell, &real.written, &real.struck);
        (!same || !same_order).then(|| format!("on the page   {shown:?}\nin the letter {real:?}"))
    })
}

/// The one part of the letter in which an action leaves.
fn part(action: &Action) -> String {
    let bytes = letter::render(action, "id@example.com", 0).unwrap();
    match &MessageParser::default().parse(&bytes).unwrap().parts[0].body {
        PartType::Text(text) | PartType::Html(text) => text.replace("\r\n", "\n"),
        other => panic!("{other:?}"),
    }
}

fn action(body_kind: BodyKind, body: String) -> Action {
    Action {
        version: Version::V2,
        capability: Capability::MessagesSend,
        tenant: "main".into(),
        user: "local".into(),
        intent: "int_1".into(),
        run: 1,
        agent: Digest::of(b"agent"),
        from: "me@example.com".into(),
        to: vec!["team@company.com".into()],
        cc: vec![],
        bcc: vec![],
        subject: "Report".into(),
        body_kind,
        body,
    }
}

/// Bodies that can be asked about, until there are so many; and how many could not, by reason.
fn cases(number: usize, seed: u64) -> (Vec<(Case, Action)>, BTreeMap<String, usize>) {
    let mut chance = Chance(seed);
    let (mut cases, mut refused) = (Vec::new(), BTreeMap::new());
    while cases.len() < number {
        let (kind, written) = written(&mut chance);
        match body::canonical(kind, &written) {
            Ok(canonical) if canonical.is_empty() => {}
            Ok(canonical) => {
                let action = action(kind, canonical);
                let rendered = Rendered::of(&action);
                cases.push((Case { written, rendered, is_text: kind == BodyKind::Text }, action));
            }
            Err(refusal) => {
                *refused.entry(refusal.message).or_insert(0) += 1;
            }
        }
    }
    (cases, refused)
}

#[test]
fn a_reader_sees_what_the_signer_saw() {
    let Some(browser) = Browser::start() else { return };
    let number = std::env::var("BODIES").ok().and_then(|number| number.parse().ok()).unwrap_or(BODIES);
    let (cases, refused) = cases(number, 11);
    let all = refused.values().sum::<usize>() + number;
    assert!(all < 2 * number, "too few of {all} can be asked about: {refused:#?}");
    let style = std::fs::read_to_string(workspace().join("host/serve/src/inbox/style.css")).unwrap();
    browser.goto("about:blank");
    browser.run(
        "const style = document.createElement('style'); style.textContent = arguments[0]; document.head.append(style); return 0",
        &[style_of_messages(&style).into()],
    );
    let mut wrong = Vec::new();
    for group in cases.chunks(ON_A_PAGE) {
        let bodies: Vec<Value> = group
            .iter()
            .map(|(case, action)| {
                let page = approvals::letter(action).into_string();
                let page = page.split_once("Body").unwrap().1.split_once("</h3>").unwrap().1.to_owned();
                let page = page.split("<h3>Where its links lead").next().unwrap().to_owned();
                json!({ "letter": part(action), "isText": case.is_text, "page": page })
            })
            .collect();
        let seen = browser.run(SCRIPT, &[bodies.into()]);
        for ((case, action), both) in group.iter().zip(seen.as_array().unwrap()) {
            let told = match serde_json::from_value::<[Vec<Seen>; 2]>(both.clone()) {
                Ok([letter, page]) => differences(case, &letter, &page),
                Err(_) => Some(both.to_string()),
            };
            wrong.extend(
                told.map(|told| format!("{told}\nwritten {:?}\nleaves {:?}", case.written, action.body)),
            );
        }
    }
    eprintln!("{number} bodies, {} refused", all - number);
    assert!(
        wrong.is_empty(),
        "{} of {number} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(5)].join("\n\n")
    );
}

/// What becomes of an input that was once seen otherwise than it was signed: the body as it is drawn, or why it is refused.
fn told_of(name: &str) -> Result<String, String> {
    let message = case(name);
    let body = message["body"].as_str().unwrap();
    let kind = if body.starts_with("<html>") { BodyKind::Html } else { BodyKind::Text };
    let canonical = body::canonical(kind, body).map_err(|refusal| refusal.message)?;
    let subject = message["subject"].as_str().unwrap().to_owned();
    let action = Action { subject, ..action(kind, canonical) };
    let page = approvals::letter(&action).into_string();
    let terminal = draw::message(&action, 200);
    let (_, terminal) = terminal.split_once("  Subject  ").unwrap();
    Ok(format!("{terminal}{}", page.split_once("<dt>Subject</dt>").unwrap().1))
}

#[test]
fn what_was_once_seen_otherwise_than_it_was_signed_is_drawn_or_refused_with_the_cure() {
    let has = |name: &str, all: &[&str]| {
        let told = told_of(name).unwrap();
        all.iter().for_each(|part| assert!(told.contains(part), "{name}: {part} is not in {told}"));
    };
    let refused = |name: &str, cure: &str| {
        let told = told_of(name).unwrap_err();
        assert!(told.contains(cure), "{name}: {told}");
    };
    has(
        "strike-not",
        &["please do ⟦struck out: not⟧ pay the invoice", "please do <s>not</s> pay the invoice"],
    );
    refused(
        "table-swap",
        "a line break in a cell of a table: a cell holds one line of text: give each line a row of its own",
    );
    refused("cell-glue", "a block in a cell of a table: a cell holds one line of text");
    refused("nowhere", "a block in a cell of a table: a cell holds one line of text");
    has(
        "pre-tabs",
        &[
            "  | Vendor          Pay     Refuse\n  | ACME Ltd                900\n  | Evil Inc.       9,000\n",
            "\nVendor          Pay     Refuse\nACME Ltd                900\nEvil Inc.       9,000</pre>",
        ],
    );
    has(
        "rtl-alef-iban",
        &[
            "IBAN DE89 \\u{627} 3704 0044 0532 0130 00 (ACME).",
            "⟦some readers see⟧ Please pay to IBAN DE89 00 0130 0532 0044 3704 \\u{627} (ACME).",
        ],
    );
    has(
        "rtl-iban",
        &[
            "| Account 1111 \\u{5d0} 3704 0044 0532\n",
            "⟦some readers see⟧ Account 1111 0532 0044 3704 \\u{5d0}",
            "<bdi>Account 1111 \\u{5d0} 3704 0044 0532</bdi>",
            "Some readers see: <bdi>Account 1111 0532 0044 3704 \\u{5d0}</bdi>",
            "IBAN DE89 \\u{5d0} 3704 0044 0532 0130 00\n",
            "| Please use it from now on.\n",
        ],
    );
}

/// Puts a message as an earlier version asked about it in the place of the one that waits.
fn as_asked_before(cli: &Cli, id: &str, body: &str) -> String {
    let database = rusqlite::Connection::open(cli.data().join("countersign.db")).unwrap();
    let asked: Vec<u8> =
        database.query_row("SELECT action FROM approval WHERE id = ?1", [id], |row| row.get(0)).unwrap();
    let asked = Action::decode(&asked).unwrap();
    let old = Action { version: Version::V1, body_kind: BodyKind::Html, body: body.into(), ..asked };
    let changed = database.execute(
        "UPDATE approval SET action = ?2, digest = ?3 WHERE id = ?1",
        (id, old.encode(), old.digest().0.as_slice()),
    );
    assert_eq!(changed.unwrap(), 1);
    old.digest().to_string()
}

#[test]
fn what_an_earlier_version_asked_and_readers_see_in_two_ways_has_to_be_asked_again() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");
    let waits =
        || cli.json(3, &["run", &agent, "send_report"])["approval"]["id"].as_str().unwrap().to_owned();
    let id = waits();
    let two = "<table><tbody><tr><td>Pay:<br>Refuse:</td><td>900<br>100</td></tr></tbody></table>";
    let digest = as_asked_before(&cli, &id, two);
    let shown = cli.json(0, &["approval", "show", &id]);
    assert_eq!((&shown["digest"], &shown["action"]["version"]), (&json!(digest), &json!(1)));
    assert_eq!(shown["flags"][0]["flag"], "ask_again");
    let ended = cli.run(&["--json", "approval", "approve", &id, "--digest", &digest]);
    assert_eq!(ended.json()["error"]["code"], "ASK_AGAIN", "{}", ended.stdout);
    // A person may write another body, which is asked about as of today.
    let file = cli.scratch().join("body.html");
    std::fs::write(&file, "<P>Pay 900").unwrap();
    let edit = ["approval", "edit", &id, "--body-file", file.to_str().unwrap()];
    cli.json(0, &edit);
    let edited = cli.json(0, &["approval", "show", &id]);
    assert_eq!(edited["action"]["version"], 2);
    assert_eq!(edited["action"]["body"], "<div dir=\"ltr\">\n<p>Pay 900</p>\n</div>\n");

    // One that is seen in one way goes on.
    let id = waits();
    let digest = as_asked_before(&cli, &id, "<p>Pay <s>900</s></p>");
    let shown = cli.json(0, &["approval", "show", &id]);
    assert_eq!(shown["bodyText"], "Pay ⟦struck out: 900⟧");
    let ended = cli.run(&["--json", "approval", "approve", &id, "--digest", &digest]);
    assert_ne!(ended.json()["error"]["code"], "ASK_AGAIN", "{}", ended.stdout);
}

/// What of the pages' style is about messages, so that the letters beside them are drawn without any.
fn style_of_messages(style: &str) -> String {
    style
        .split('}')
        .filter(|rule| rule.contains(".foreign") || rule.contains(".body"))
        .map(|rule| format!("{rule}}}"))
        .collect()
}

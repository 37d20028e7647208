//! What deserves a second look before signing, as data: every door shows the same facts in the same words.
//!
//! Pure. All of the message is hostile, and so is the agent's account of it: whatever is looked for is found in time and memory in
//! proportion to the text, and what is listed is cut.

use super::html::{Link, Rendered};
use super::{Action, Approval, Binding, BodyKind, address};
use crate::clock::{Millis, rfc3339};
use crate::printable::{hidden, is_blank, short};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// How many values a notice lists; of the others it says how many they are.
const LISTED_MAX: usize = 10;
/// The longest value a notice lists, in characters.
const VALUE_CHARS_MAX: usize = 100;
/// From how many lines on a body is said to be long.
const LINES_NOTICED: usize = 40;
/// From how many bytes on a body is said to be long.
const BYTES_NOTICED: usize = 4096;
/// How many blank lines may stand in a row before it is said where the text goes on.
const BLANK_LINES_NOTICED: usize = 20;
/// How many characters of space fill a line.
const LINE_CHARS: usize = 76;
/// How much of what follows a link's scheme is looked at: a host name has at most 253 characters.
const HOST_BYTES_MAX: usize = 256;
/// How many different hosts or words are counted before counting ends.
const COUNTED_MAX: usize = 1000;

/// One fact about a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Notice {
    /// Which fact.
    pub flag: Flag,
    /// It in the host's words, one line. What it quotes is written so that it can be printed as it stands.
    pub text: String,
    /// What it is about, such as addresses, hosts or fields: the first ten, each cut to 100 characters. They are foreign, as they stand in the message.
    pub values: Vec<String>,
}

/// Which fact a notice states.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// It was asked before the backup was taken that the host was restored from.
    Restored,
    /// No message is known, and a yes lets none leave.
    Question,
    /// No message is known yet; it will be asked about.
    Hold,
    /// The message is the one the agent spelled out, not one it was seen to send.
    Declared,
    /// A person changed the message.
    Edited,
    /// Somebody this user has never written to.
    FirstTimeRecipient,
    /// Somebody outside the sender's domain.
    ExternalRecipient,
    /// Recipients the others do not see.
    HiddenRecipients,
    /// A domain in its encoded form, `xn--…`.
    Punycode,
    /// A word with letters of several scripts that look alike.
    MixedScripts,
    /// Hosts the message links to.
    Links,
    /// A link that names one host and leads to another.
    MisleadingLink,
    /// The subject is empty.
    EmptySubject,
    /// The body shows nothing.
    EmptyBody,
    /// The body is HTML.
    Html,
    /// The body is long.
    LongBody,
    /// Text goes on behind much blank space.
    BlankSpace,
    /// Characters that act or hide.
    EscapedCharacters,
    /// More combining marks on one character than any language has.
    CombiningFlood,
    /// The agent's preview shows the beginning only.
    PreviewGap,
    /// The agent's preview is not how the message begins.
    PreviewDiffers,
    /// The agent's account names another message.
    WordsDiffer,
}

/// What deserves a second look in what an approval lets leave. `known` says whether this user has mailed an address before.
pub fn notices(approval: &Approval, known: &dyn Fn(&str) -> bool) -> Vec<Notice> {
    let Some(action) = approval.leaving() else {
        let (flag, text) = match approval.binding {
            Binding::Question => {
                (Flag::Question, "A yes authorises nothing: the run sends nothing after it.")
            }
            _ => (
                Flag::Hold,
                "The message is not known yet: before it leaves you will be asked again, with all of it.",
            ),
        };
        return vec![Notice::plain(flag, text)];
    };
    let body = Rendered::of(action);
    let mut found = Vec::new();
    if approval.binding == Binding::Declared {
        let text = "The message was declared by the agent; only exactly it can leave.";
        found.push(Notice::plain(Flag::Declared, text));
    }
    if let (Some(asked), Some(edited)) = (&approval.action, &approval.edited) {
        edits(&mut found, asked, edited);
    }
    recipients(&mut found, action, known);
    names(&mut found, action, &body);
    letters(&mut found, action, &body);
    shape(&mut found, action, &body);
    preview(&mut found, approval, action, &body);
    found
}

impl Notice {
    /// That an approval lay in a backup, taken at `taken_ms`: what people decided since is not in there.
    pub fn restored(taken_ms: Millis) -> Notice {
        let text = format!(
            "This host was restored from a backup of {}: it may have been decided and sent since.",
            rfc3339(taken_ms)
        );
        Notice::plain(Flag::Restored, text)
    }

    fn plain(flag: Flag, text: impl Into<String>) -> Notice {
        Notice { flag, text: text.into(), values: Vec::new() }
    }

    /// A notice that lists values behind its text. `counted` says whether these are all there are.
    fn listing(flag: Flag, text: &str, values: &[&str], counted: bool) -> Notice {
        let more = values.len().saturating_sub(LISTED_MAX);
        let values = &values[..values.len() - more];
        let shown: Vec<_> = values.iter().map(|value| short(value, VALUE_CHARS_MAX)).collect();
        let more = match (more, counted) {
            (0, _) => String::new(),
            (more, true) => format!(" and {more} more"),
            (more, false) => format!(" and at least {more} more"),
        };
        let text = format!("{text}: {}{more}.", shown.join(", "));
        Notice { flag, text, values: values.iter().map(|value| cut(value)).collect() }
    }
}

fn cut(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What a person made of the agent's message.
fn edits(found: &mut Vec<Notice>, asked: &Action, edited: &Action) {
    let fields = asked.differs(edited);
    if fields.is_empty() {
        return;
    }
    found.push(Notice::listing(Flag::Edited, "A person changed the agent's message in", &fields, true));
    let (before, after) =
        (asked.recipients().collect::<BTreeSet<_>>(), edited.recipients().collect::<BTreeSet<_>>());
    for (text, of, without) in [("A person removed", &before, &after), ("A person added", &after, &before)] {
        let list: Vec<_> = of.difference(without).copied().collect();
        if !list.is_empty() {
            found.push(Notice::listing(Flag::Edited, text, &list, true));
        }
    }
}

fn recipients(found: &mut Vec<Notice>, action: &Action, known: &dyn Fn(&str) -> bool) {
    let all: BTreeSet<_> = action.recipients().collect();
    let first: Vec<_> = all.iter().copied().filter(|address| !known(address)).collect();
    if !first.is_empty() {
        found.push(Notice::listing(Flag::FirstTimeRecipient, "You have not written before to", &first, true));
    }
    let own = domain(&action.from);
    let domains: BTreeSet<_> = all.iter().map(|address| domain(address)).collect();
    let outside: Vec<_> = domains.into_iter().filter(|domain| *domain != own).collect();
    if !outside.is_empty() {
        let text = format!("It goes outside {}", short(own, VALUE_CHARS_MAX));
        found.push(Notice::listing(Flag::ExternalRecipient, &text, &outside, true));
    }
    if !action.bcc.is_empty() {
        let text = format!("Hidden from the others (bcc), {}", count(action.bcc.len(), "recipient"));
        let hidden: Vec<_> = action.bcc.iter().map(String::as_str).collect();
        found.push(Notice::listing(Flag::HiddenRecipients, &text, &hidden, true));
    }
}

/// The domain of a canonical address.
fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// Domains and hosts: which ones, and what they pretend to be.
fn names(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    let hrefs = body.links.iter().flat_map(|link| ["\n", &link.href]);
    let linked: String = [&action.subject, "\n", &body.text].into_iter().chain(hrefs).collect();
    let linked = linked.to_ascii_lowercase();
    let hosts = hosts(&linked);
    let counted = hosts.len() < COUNTED_MAX;

    let mut encoded: BTreeSet<&str> = action.recipients().map(domain).collect();
    encoded.extend(&hosts);
    encoded.retain(|name| name.split('.').any(|label| label.starts_with("xn--")));
    if !encoded.is_empty() {
        let both: Vec<_> = encoded.iter().map(|name| format!("{name} ({})", unicode(name))).collect();
        let both: Vec<_> = both.iter().map(String::as_str).collect();
        let text = "An international name in its encoded form, and what it shows as";
        found.push(Notice::listing(Flag::Punycode, text, &both, counted));
    }

    let decoded: Vec<_> = encoded.iter().map(|name| unicode(name)).collect();
    let words = action.subject.split_whitespace().chain(body.text.split_whitespace());
    let words = words.chain(decoded.iter().flat_map(|name| name.split('.')));
    let mut mixed = BTreeSet::new();
    for word in words.filter(|word| mixes_scripts(word)) {
        if mixed.insert(word) && mixed.len() >= COUNTED_MAX {
            break;
        }
    }
    if !mixed.is_empty() {
        let mixed_all = mixed.len() < COUNTED_MAX;
        let mixed: Vec<_> = mixed.into_iter().collect();
        let text = "Mixes letters of several scripts, which look alike";
        found.push(Notice::listing(Flag::MixedScripts, text, &mixed, mixed_all));
    }

    if !hosts.is_empty() {
        let hosts: Vec<_> = hosts.into_iter().collect();
        found.push(Notice::listing(Flag::Links, "It links to", &hosts, counted));
    }
    let misleading: Vec<_> = body
        .links
        .iter()
        .filter_map(|link| Some(format!("{} leads to {}", promised(link)?, link.href)))
        .collect();
    if !misleading.is_empty() {
        let list: Vec<_> = misleading.iter().map(String::as_str).collect();
        found.push(Notice::listing(
            Flag::MisleadingLink,
            "A link names another host than it leads to",
            &list,
            true,
        ));
    }
}

/// The hosts a text in lower case links to by `scheme://` or `www.`, and the domains of its `mailto:`; no more than
/// [`COUNTED_MAX`], each once. They are parts of the text: however they overlap, they take no memory of their own.
fn hosts(text: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for scheme in ["://", "mailto:", "www."] {
        for (at, _) in text.match_indices(scheme) {
            let behind = if scheme == "www." { at } else { at + scheme.len() };
            let host = host(&text[behind..]);
            if !host.is_empty() {
                found.insert(host);
            }
            if found.len() >= COUNTED_MAX {
                return found;
            }
        }
    }
    found
}

/// The host a text behind a scheme begins with.
fn host(text: &str) -> &str {
    // Browsers read `https:///host` as `https://host`, however many there are.
    let text = text.trim_start_matches(['/', '\\']);
    let text = &text[..text.floor_char_boundary(HOST_BYTES_MAX)];
    let end = |c: char| is_blank(c) || "/?#\"'<>)];\\".contains(c);
    let host = text.split(end).next().unwrap_or_default().trim_end_matches(['.', ',']);
    let host = host.rsplit('@').next().unwrap_or_default();
    // A port is not part of the name, nor is the number of a link. An address has colons of its own.
    host.strip_prefix('[').unwrap_or_else(|| host.split([':', '[']).next().unwrap_or_default())
}

/// The host the text of a link names, where the link leads to another.
fn promised(link: &Link) -> Option<String> {
    let shown = link.text.to_lowercase();
    let href = link.href.to_ascii_lowercase();
    let real = host(href.strip_prefix("mailto:").or(href.split_once("://").map(|(_, rest)| rest))?);
    let bare = |host: &str| host.trim_start_matches("www.").to_owned();
    // People write hosts with a scheme and without one.
    let words = shown.split(|c: char| is_blank(c) || "/?#\"'<>()[];,\\".contains(c));
    let named = words.map(|word| host(word.rsplit_once("://").map_or(word, |(_, rest)| rest)));
    named.filter(|word| is_host_like(word)).find(|word| bare(word) != bare(real)).map(str::to_owned)
}

/// Whether people would take a word for the name of a host: labels with dots between them, the last one of letters.
fn is_host_like(word: &str) -> bool {
    let labels = || word.split('.');
    let last = labels().next_back().unwrap_or_default();
    labels().count() > 1
        && labels().all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
        && last.chars().count() > 1
        && (last.chars().all(char::is_alphabetic) || last.starts_with("xn--"))
}

/// A host name with its encoded labels decoded, where they can be.
fn unicode(name: &str) -> String {
    let label = |label: &str| match label.strip_prefix("xn--") {
        Some(encoded) => punycode(encoded).unwrap_or_else(|| label.to_owned()),
        None => label.to_owned(),
    };
    name.split('.').map(label).collect::<Vec<_>>().join(".")
}

/// Decodes RFC 3492, with the parameters of section 5; `None` for what is none, or longer than a label.
fn punycode(encoded: &str) -> Option<String> {
    const BASE: u32 = 36;
    const T_MIN: u32 = 1;
    const T_MAX: u32 = 26;
    if encoded.len() > 63 {
        return None;
    }
    let (basic, digits) = encoded.rsplit_once('-').unwrap_or(("", encoded));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128u32, 0u32, 72u32);
    let mut digits = digits.bytes();
    while digits.len() > 0 {
        let (before, mut weight) = (i, 1u32);
        for k in (BASE..).step_by(BASE as usize) {
            let digit = match digits.next()? {
                letter @ b'a'..=b'z' => u32::from(letter - b'a'),
                digit @ b'0'..=b'9' => u32::from(digit - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let threshold = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold)?;
        }
        let length = out.len() as u32 + 1;
        let mut delta = (i - before) / if before == 0 { 700 } else { 2 };
        delta += delta / length;
        bias = 0;
        while delta > (BASE - T_MIN) * T_MAX / 2 {
            delta /= BASE - T_MIN;
            bias += BASE;
        }
        bias += (BASE - T_MIN + 1) * delta / (delta + 38);
        n = n.checked_add(i / length)?;
        i %= length;
        out.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}

/// Whether a word mixes Latin letters with those of a script many of whose letters look the same, or two such scripts.
fn mixes_scripts(word: &str) -> bool {
    let script = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => 1,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => 2,
        '\u{400}'..='\u{52f}'
        | '\u{1c80}'..='\u{1c8f}'
        | '\u{2de0}'..='\u{2dff}'
        | '\u{a640}'..='\u{a69f}' => 4,
        // Armenian, Cherokee, Coptic, Lisu; letters of mathematics and of full width, which are Latin ones in disguise.
        '\u{531}'..='\u{587}' | '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => 8,
        '\u{2c80}'..='\u{2cff}' | '\u{a4d0}'..='\u{a4ff}' => 16,
        '\u{1d400}'..='\u{1d7ff}' | '\u{ff21}'..='\u{ff5a}' => 32,
        _ => 0u32,
    };
    word.chars().fold(0, |seen, c| seen | script(c)).count_ones() > 1
}

/// Characters that are not what they look like.
fn letters(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    // Line breaks and tabs are seen in a body; a subject has neither.
    let all = || hidden(&action.subject).chain(hidden(&body.text));
    let (mut times, mut marks) = (0, 0);
    let mut which = BTreeSet::new();
    for c in all() {
        if is_blank(c) {
            times += 1;
            which.insert(c);
        } else {
            marks += 1;
        }
    }
    if times > 0 {
        let which: Vec<_> = which.into_iter().map(|c| format!("U+{:04X}", c as u32)).collect();
        let which: Vec<_> = which.iter().map(String::as_str).collect();
        let text = format!("{} that act or hide, shown as \\u{{…}}", count(times, "character"));
        found.push(Notice::listing(Flag::EscapedCharacters, &text, &which, true));
    }
    if marks > 0 {
        let text =
            format!("{} too many on one character, shown as \\u{{…}}.", count(marks, "combining mark"));
        found.push(Notice::plain(Flag::CombiningFlood, text));
    }
}

/// What the message is like as a whole.
fn shape(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    if action.subject.chars().all(is_blank) {
        found.push(Notice::plain(Flag::EmptySubject, "The subject is empty."));
    }
    if body.text.chars().all(is_blank) {
        found.push(Notice::plain(Flag::EmptyBody, "The body is empty."));
    }
    if action.body_kind == BodyKind::Html {
        found
            .push(Notice::plain(Flag::Html, "The body is HTML; it is shown as text, with its links listed."));
    }
    let lines = body.text.lines().count();
    if lines > LINES_NOTICED || action.body.len() > BYTES_NOTICED {
        let bytes = count(action.body.len(), "byte");
        found.push(Notice::plain(
            Flag::LongBody,
            format!("The body is long: {}, {bytes}.", count(lines, "line")),
        ));
    }
    let gaps = gaps(&body.text);
    if !gaps.is_empty() {
        let lines: Vec<_> = gaps.iter().map(usize::to_string).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let text = format!("Behind more than {BLANK_LINES_NOTICED} blank lines the text goes on, at line");
        found.push(Notice::listing(Flag::BlankSpace, &text, &lines, true));
    }
}

/// The lines, from 1, at which text goes on behind more blank space than anybody scrolls past. Space fills lines as well.
fn gaps(text: &str) -> Vec<usize> {
    let mut gaps = Vec::new();
    // The first line is begun as if by a break.
    let (mut line, mut breaks, mut spaces) = (1, 1, 0);
    for c in text.chars() {
        if c == '\n' {
            (line, breaks) = (line + 1, breaks + 1);
        } else if is_blank(c) {
            spaces += 1;
        } else {
            if breaks + spaces / LINE_CHARS > BLANK_LINES_NOTICED + 1 {
                gaps.push(line);
            }
            (breaks, spaces) = (0, 0);
        }
    }
    gaps
}

/// The text of a body without the numbers behind its links.
fn without_numbers(body: &Rendered) -> String {
    let (mut out, mut rest) = (String::new(), body.text.as_str());
    for number in 1..=body.links.len() {
        let Some((before, after)) = rest.split_once(&format!("[{number}]")) else { break };
        out.push_str(before);
        rest = after;
    }
    out + rest
}

/// What the agent says of the message, beside the message it would send. What a person changed is said elsewhere.
fn preview(found: &mut Vec<Notice>, approval: &Approval, leaving: &Action, body: &Rendered) {
    let details = &approval.words.details;
    let asked = approval.action.as_ref().unwrap_or(leaving);
    if let Some(preview) = details.get("preview").and_then(Value::as_str) {
        let rendered = (asked != leaving).then(|| Rendered::of(asked));
        let text = &rendered.as_ref().unwrap_or(body).text;
        let end = preview.trim_end();
        let shown = end.strip_suffix("...").or(end.strip_suffix('…')).unwrap_or(end).trim_end();
        let plain = without_numbers(rendered.as_ref().unwrap_or(body));
        // An agent knows the source of its HTML, and may quote that; it knows nothing of the numbers of links.
        match [&plain, text, &asked.body].into_iter().find(|text| text.starts_with(shown)) {
            None => {
                let text = "The agent's preview is not how the message begins.";
                found.push(Notice::plain(Flag::PreviewDiffers, text));
            }
            Some(text) => {
                let (part, whole) = (shown.chars().count(), text.trim_end().chars().count());
                if part < whole {
                    let text = format!(
                        "The agent's preview shows {part} of {whole} characters; the rest is in the message."
                    );
                    found.push(Notice::plain(Flag::PreviewGap, text));
                }
            }
        }
    }

    let list = |field: &str| match details.get(field) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(one)) => Some(vec![one.as_str()]),
        Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
        Some(_) => None,
    };
    let same = |field: &str, sent: &[String]| {
        list(field).is_some_and(|listed| {
            let mut listed: Vec<_> = listed.into_iter().map(address::canonical).collect();
            listed.sort();
            listed == sent
        })
    };
    let named = |field: &str| details.get(field).is_some_and(|value| !value.is_null());
    // Whoever names the recipients names all of them: a hidden copy left out is the oldest lie of all.
    let addressed = ["to", "cc", "bcc"].into_iter().any(named);
    let text = |field: &str| details.get(field).map(|value| value.as_str());
    let other = [
        ("to", addressed && !same("to", &asked.to)),
        ("cc", addressed && !same("cc", &asked.cc)),
        ("bcc", addressed && !same("bcc", &asked.bcc)),
        ("subject", named("subject") && text("subject") != Some(Some(&asked.subject))),
        ("body", named("body") && text("body") != Some(Some(&asked.body))),
    ];
    let fields: Vec<_> = other.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect();
    if !fields.is_empty() {
        let text = "The agent's account differs from the message in";
        found.push(Notice::listing(Flag::WordsDiffer, text, &fields, true));
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::tests::sample;
    use super::super::{Words, decision::State};
    use super::*;
    use serde_json::json;

    /// A plain message inside one's own house, of which there is nothing to say.
    fn plain() -> Action {
        Action { to: vec!["team@example.com".into()], ..sample() }
    }

    fn asked(action: Action, details: Value) -> Approval {
        let details = Some(details.to_string());
        let words = Words::new("send_message".into(), "t".into(), "d".into(), details.as_deref()).unwrap();
        Approval {
            id: "appr_1".into(),
            state: State::Pending,
            verdict: None,
            binding: Binding::Exact,
            digest: action.digest(),
            action: Some(action),
            edited: None,
            words,
            asked_ms: 0,
            expires_ms: 1_000,
            outdated: false,
        }
    }

    fn of(action: Action, details: Value) -> Vec<Notice> {
        notices(&asked(action, details), &|_| true)
    }

    /// The flags, and the text of the first notice.
    fn told(found: &[Notice]) -> (Vec<Flag>, &str) {
        (found.iter().map(|notice| notice.flag).collect(), found.first().map_or("", |notice| &notice.text))
    }

    fn body(text: &str) -> Vec<Notice> {
        of(Action { body: text.into(), ..plain() }, json!({}))
    }

    fn html(text: &str) -> Vec<Notice> {
        super::super::html::check(text).unwrap();
        let mut found = of(Action { body: text.into(), body_kind: BodyKind::Html, ..plain() }, json!({}));
        found.retain(|notice| notice.flag != Flag::Html);
        found
    }

    #[test]
    fn of_a_plain_message_there_is_nothing_to_say() {
        assert_eq!(of(plain(), json!({})), []);
        assert_eq!(body("Grüße aus Köln,\r\n\tZoë ❤\u{fe0f}\n\nПривет, שלום, 日本語"), []);
    }

    #[test]
    fn what_is_not_known_yet_is_said_to_be() {
        for (binding, flag) in [(Binding::Question, Flag::Question), (Binding::Hold, Flag::Hold)] {
            let approval = Approval { binding, action: None, ..asked(plain(), json!({})) };
            assert_eq!(told(&notices(&approval, &|_| true)).0, [flag]);
        }
        let declared = Approval { binding: Binding::Declared, ..asked(plain(), json!({})) };
        assert_eq!(told(&notices(&declared, &|_| true)).0, [Flag::Declared]);
    }

    #[test]
    fn new_foreign_and_hidden_recipients_are_named() {
        let action = Action {
            to: vec!["old@example.com".into(), "x@evil.example".into()],
            bcc: vec!["spy@example.com".into()],
            ..plain()
        };
        let found = notices(&asked(action, json!({})), &|address| address == "old@example.com");
        let texts: Vec<_> = found.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "You have not written before to: spy@example.com, x@evil.example.",
                "It goes outside example.com: evil.example.",
                "Hidden from the others (bcc), 1 recipient: spy@example.com.",
            ]
        );
        assert_eq!(found[0].values, ["spy@example.com", "x@evil.example"]);
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let to = (0..25).map(|n| format!("a{n:02}@example.com")).collect();
        let found = notices(&asked(Action { to, ..plain() }, json!({})), &|_| false);
        assert_eq!(found[0].values.len(), LISTED_MAX);
        assert!(found[0].text.ends_with("a09@example.com and 15 more."), "{found:?}");
    }

    #[test]
    fn international_names_are_shown_both_ways() {
        // The samples of RFC 3492, section 7.1, and names people use.
        for (encoded, decoded) in [
            ("mnchen-3ya", "münchen"),
            ("bcher-kva", "bücher"),
            ("80ak6aa92e", "аррӏе"),
            ("egbpdaj6bu4bxfgehfvwxn", "ليهمابتكلموشعربي؟"),
            ("ihqwcrb4cv8a8dqg056pqjye", "他们为什么不说中文"),
            ("n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa", "なぜみんな日本語を話してくれないのか"),
            ("3B-ww4c5e180e575a65lsy2b", "3年B組金八先生"),
        ] {
            assert_eq!(punycode(encoded).as_deref(), Some(decoded), "{encoded}");
        }
        for broken in ["a!", "99999999", "zzzzzzzzzzzzzzz", "ä", &"a".repeat(64)] {
            assert_eq!(punycode(broken), None, "{broken}");
        }
        let to = vec!["x@xn--pple-43d.com".into()];
        let found = of(Action { to, ..plain() }, json!({}));
        assert_eq!(told(&found).0, [Flag::ExternalRecipient, Flag::Punycode, Flag::MixedScripts]);
        let text =
            "An international name in its encoded form, and what it shows as: xn--pple-43d.com (аpple.com).";
        assert_eq!(found[1].text, text);
        assert_eq!(found[2].values, ["аpple"]);
    }

    #[test]
    fn letters_that_look_alike_are_pointed_out() {
        for mixed in ["Gооgle.com", "ρaypal", "раураl", "ΑВС", "ｅvil", "аррӏе.com"] {
            assert_eq!(told(&body(&format!("See {mixed} today"))).0, [Flag::MixedScripts], "{mixed}");
        }
        for one in ["Google.com", "Привет", "Ελλάδα", "naïve", "München", "5μ", "日本語test"]
        {
            assert_eq!(body(one), [], "{one}");
        }
    }

    #[test]
    fn hosts_a_text_links_to_are_listed() {
        let text = "see https://Evil.example:8080/?q=1, (www.x.org) and mailto:a@b.c; http://y.z. ftp:////u@w.v\\x https:// \
             http://[::1]:80/ www.q.r[1]";
        let found = body(text);
        assert_eq!(told(&found).0, [Flag::Links]);
        assert_eq!(found[0].values, ["::1", "b.c", "evil.example", "w.v", "www.q.r", "www.x.org", "y.z"]);
    }

    #[test]
    fn a_link_that_names_another_host_is_pointed_out() {
        let link = |href: &str, text: &str| html(&format!("<p><a href=\"{href}\">{text}</a></p>"));
        for (href, text) in [
            ("https://evil.example/bank.com", "https://bank.com/"),
            ("https://evil.example", "Log in at <b>bank</b>.com now"),
            ("https://bank.com@evil.example", "bank.com"),
            ("https://xn--bnk-6cd.com", "bаnk.com"),
            ("mailto:x@evil.example", "boss@bank.com"),
        ] {
            assert!(told(&link(href, text)).0.contains(&Flag::MisleadingLink), "{href} {text}");
        }
        for (href, text) in [
            ("https://www.bank.com/login", "Bank.com"),
            ("https://bank.com", "https://www.bank.com/?x"),
            ("https://bank.com", "the report. e.g. this one, 3.14"),
            ("mailto:boss@bank.com", "boss@bank.com"),
        ] {
            assert_eq!(told(&link(href, text)).0, [Flag::Links], "{href} {text}");
        }
    }

    #[test]
    fn what_is_empty_long_or_below_much_nothing_is_said() {
        let action = Action { subject: " ".into(), body: "\n\u{200b}".into(), ..plain() };
        let found = of(action, json!({}));
        assert_eq!(told(&found).0, [Flag::EscapedCharacters, Flag::EmptySubject, Flag::EmptyBody]);
        assert_eq!(told(&html("<p></p><hr>")).0, []);
        assert_eq!(told(&html("<p>&nbsp;</p>")).0, [Flag::EmptyBody]);

        assert_eq!(told(&body(&"x\n".repeat(41))).1, "The body is long: 41 lines, 82 bytes.");
        assert_eq!(body(&"x\n".repeat(40)), []);
        assert_eq!(told(&body(&"x".repeat(4097))).0, [Flag::LongBody]);

        assert_eq!(body(&format!("a{}b", "\n".repeat(21))), []);
        let found = body(&format!("a{}b{}c", "\n".repeat(22), " \n\t".repeat(30)));
        assert_eq!(told(&found).0, [Flag::LongBody, Flag::BlankSpace]);
        assert_eq!(found[1].values, ["23", "53"]);
        assert_eq!(told(&html(&format!("a{}b", "<br>".repeat(22)))).0, [Flag::BlankSpace]);
        assert_eq!(told(&body(&format!("a{}b", " ".repeat(76 * 22)))).0, [Flag::BlankSpace]);
        assert_eq!(body(&format!("a{}", "\n".repeat(30))), []);
    }

    #[test]
    fn what_acts_or_hides_is_counted_and_named() {
        let found = body("a\u{202e}b\u{200b}\u{200b}");
        assert_eq!(told(&found).1, "3 characters that act or hide, shown as \\u{…}: U+200B, U+202E.");
        let found = of(Action { subject: "x\u{e0041}".into(), ..plain() }, json!({}));
        assert_eq!(found[0].values, ["U+E0041"]);
        let found = body(&format!("a{}", "\u{301}".repeat(10)));
        assert_eq!(told(&found).0, [Flag::CombiningFlood]);
    }

    #[test]
    fn the_gap_between_preview_and_message_is_said() {
        let preview = |text: &str| of(plain(), json!({ "preview": text }));
        let gap = "The agent's preview shows 32 of 44 characters; the rest is in the message.";
        for shown in [
            "Attached is the quarterly report...",
            "Attached is the quarterly report … ",
            "Attached is the quarterly report",
        ] {
            assert_eq!(told(&preview(shown)), (vec![Flag::PreviewGap], gap), "{shown}");
        }
        assert_eq!(told(&preview("")).0, [Flag::PreviewGap]);
        assert_eq!(preview("Attached is the quarterly report for review."), []);
        for shown in ["Attached is the Quarterly", "Hello", "Attached is the quarterly report......"] {
            assert_eq!(told(&preview(shown)).0, [Flag::PreviewDiffers], "{shown}");
        }
        let linked = Action {
            body: "<a href=\"http://a.b\">Hello</a> Ada, hi".into(),
            body_kind: BodyKind::Html,
            ..plain()
        };
        let found = of(linked, json!({ "preview": "Hello Ada..." }));
        assert_eq!(
            found.last().unwrap().text,
            "The agent's preview shows 9 of 13 characters; the rest is in the message."
        );
        let page = Action { body: "<p>Hello</p><p>Ada</p>".into(), body_kind: BodyKind::Html, ..plain() };
        for shown in ["Hello...", "<p>Hello</p>..."] {
            assert!(told(&of(page.clone(), json!({ "preview": shown }))).0.contains(&Flag::PreviewGap));
        }
    }

    #[test]
    fn an_account_of_another_message_names_the_fields() {
        let action = Action { to: vec!["a@example.com".into(), "b@example.com".into()], ..plain() };
        let same = json!({
            "to": ["b@EXAMPLE.com", "a@example.com"], "cc": [], "bcc": null, "subject": action.subject, "body": action.body
        });
        assert_eq!(of(action.clone(), same), []);
        let other = json!({ "to": "a@example.com", "cc": [1], "subject": ["x"], "body": "" });
        let found = of(action.clone(), other);
        assert_eq!(found[0].values, ["to", "cc", "subject", "body"]);
        assert_eq!(told(&found).1, "The agent's account differs from the message in: to, cc, subject, body.");
        // A copy nobody mentioned.
        let copied = Action { bcc: vec!["spy@example.com".into()], ..action };
        let found = of(copied, json!({ "to": ["a@example.com", "b@example.com"] }));
        assert_eq!((found[1].flag, &found[1].values[..]), (Flag::WordsDiffer, &["bcc".to_owned()][..]));
        assert_eq!(of(plain(), json!({ "to": null, "subject": null, "amount": 3 })), []);
    }

    #[test]
    fn what_a_person_changed_is_said_and_the_message_judged_as_it_leaves() {
        let action = Action { to: vec!["a@example.com".into(), "x@evil.example".into()], ..plain() };
        let edited =
            Action { to: vec!["a@example.com".into(), "c@example.com".into()], body: "".into(), ..plain() };
        let details = json!({ "to": action.to, "body": action.body, "preview": "Attached..." });
        let approval = Approval { edited: Some(edited), ..asked(action, details) };
        let found = notices(&approval, &|_| true);
        let texts: Vec<_> = found.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "A person changed the agent's message in: to, body.",
                "A person removed: x@evil.example.",
                "A person added: c@example.com.",
                "The body is empty.",
                "The agent's preview shows 8 of 44 characters; the rest is in the message.",
            ]
        );
    }

    #[test]
    fn whatever_the_message_holds_the_notices_stay_short() {
        let long = |piece: &str| piece.repeat((1 << 17) / piece.len());
        let many = |piece: &dyn Fn(usize) -> String| (0..5_000).map(piece).collect::<String>();
        for hostile in [
            long("www."),
            long("://"),
            long("\n"),
            long("\u{202e}"),
            long("aа"),
            long("xn--"),
            format!("http:{}x.y", long("/")),
            many(&|n| format!("http://h{n}.x ")),
            many(&|n| format!("aа{n} ")),
            many(&|n| format!("http://xn--{n}-43d.x\n\n\n")),
            (0..0x3000).flat_map(|n| char::from_u32(0xe000 + n)).collect(),
            long("x\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"),
        ] {
            let subject = hostile.chars().take(900).collect();
            let found = of(Action { body: hostile, subject, ..plain() }, json!({}));
            for notice in &found {
                assert!(notice.values.len() <= LISTED_MAX && notice.text.len() < 20_000, "{notice:?}");
                assert!(notice.values.iter().all(|value| value.chars().count() <= VALUE_CHARS_MAX));
                assert_eq!(hidden(&notice.text).next(), None);
            }
        }
    }
}

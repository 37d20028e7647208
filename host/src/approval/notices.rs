//! What deserves a second look before signing, as data: every door shows the same facts in the same words.
//!
//! Pure. All of the message is hostile, and so is the agent's account of it: whatever is looked for is found in time and memory in
//! proportion to the text, and what is listed is cut.

use super::body::{self, Link, Rendered, direction};
use super::link::{Leads, leads};
use super::linked::{self, Found};
use super::names::{Familiar, domain, end_of, reads_latin, registrable, short_name, unicode};
use super::repeats::{Earlier, Fate};
use super::{Action, Approval, Binding, BodyKind, address};
use crate::clock::{Millis, rfc3339};
use crate::people::Actor;
use crate::printable::{count, hidden, is_blank, is_mark, is_stroke, line, short};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use unicode_security::skeleton;

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
/// How many different words are counted before counting ends.
const COUNTED_MAX: usize = 1000;
/// The longest name a notice puts beside another one, in characters.
const PAIRED_CHARS_MAX: usize = 40;

/// One fact about a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Notice {
    /// Which fact.
    pub flag: Flag,
    /// Whether it deserves to be read first.
    pub weight: Weight,
    /// It in the host's words, one line. What it quotes is written so that it can be printed as it stands.
    pub text: String,
    /// What it is about, such as addresses, hosts or fields: the first ten, each cut to 100 characters, names at their beginning. They are foreign, as they stand in the message.
    pub values: Vec<String>,
}

/// How much a notice asks to be read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// It is new or odd.
    Matters,
    /// It is so of most messages: doors fold it away behind those that matter.
    Usual,
}

/// Which fact a notice states.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// It was asked before the backup was taken that the host was restored from.
    Restored,
    /// It was asked by an earlier version, and its body has no one drawing: it cannot be approved.
    AskAgain,
    /// A message that looks the same was declined before.
    DeclinedBefore,
    /// A message that looks the same was signed before, and has left or may have.
    SentBefore,
    /// A message that looks the same was signed before, and is still on its way.
    OnItsWay,
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
    /// A domain that could be taken for one the user knows.
    LookAlike,
    /// Recipients the others do not see.
    HiddenRecipients,
    /// A recipient whose local part names another domain.
    NamesAnotherDomain,
    /// A domain in its encoded form, `xn--…`.
    Punycode,
    /// A word with letters of several scripts that look alike.
    MixedScripts,
    /// Hosts the message links to.
    Links,
    /// A link that names one host and leads to another.
    MisleadingLink,
    /// The body holds a file, or a message, in a form that some readers make an attachment or another text of.
    EncodedFile,
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
    /// Characters that act or hide, or strike out what they stand on.
    EscapedCharacters,
    /// Lines that are read in another order than they are written, or in several.
    MixedDirections,
    /// More combining marks on one character than any language has.
    CombiningFlood,
    /// The agent's preview shows the beginning only.
    PreviewGap,
    /// The agent's preview is not how the message begins.
    PreviewDiffers,
    /// The agent's account names another message.
    WordsDiffer,
}

/// Who looks at a message, and what is known of its user.
pub struct Eyes<'a> {
    /// Whose message it is, where somebody else looks at it.
    pub user: Option<&'a str>,
    /// Whether the user has mailed an address before.
    pub has_written_to: &'a dyn Fn(&str) -> bool,
    /// The user's own domain, those they have mailed before and those the operator lists.
    pub familiar: &'a Familiar,
}

/// What deserves a second look in what an approval lets leave: first what matters, and of that first what deceives.
pub fn notices(approval: &Approval, eyes: &Eyes<'_>) -> Vec<Notice> {
    let Some(action) = approval.leaving() else {
        let (flag, text) = match approval.binding {
            Binding::Question => {
                (Flag::Question, "A yes authorises nothing: the run sends nothing after it.")
            }
            _ => (
                Flag::Hold,
                "The message is not known yet: before it leaves it is asked about again, with all of it.",
            ),
        };
        return vec![Notice::plain(flag, text)];
    };
    let body = Rendered::of(action);
    let mut found = Vec::new();
    if approval.has_to_be_asked_again() {
        let text = "An earlier version asked this, and readers may see its body otherwise than it is shown here: it cannot be \
                    approved. Decline it, and have the agent ask again.";
        found.push(Notice::plain(Flag::AskAgain, text));
    }
    if approval.binding == Binding::Declared {
        let text = "The message was declared by the agent; only exactly it can leave.";
        found.push(Notice::plain(Flag::Declared, text).usual());
    }
    if let (Some(asked), Some(edited)) = (&approval.action, &approval.edited) {
        edits(&mut found, asked, edited);
    }
    let is_harmless = |place: &str| eyes.familiar.knows(place) && eyes.familiar.imitated(place).is_none();
    let linked = linked(action, &body, &is_harmless);
    let dangers = Dangers::of(action, &linked, eyes.familiar);
    deceptions(&mut found, &body, &linked, &dangers);
    recipients(&mut found, action, &dangers, eyes);
    names(&mut found, action, &body, &linked, &dangers);
    letters(&mut found, action, &body);
    files(&mut found, action, &body);
    directions(&mut found, action, &body);
    shape(&mut found, action, &body);
    preview(&mut found, approval, action, &body);
    found.sort_by_key(|notice| notice.weight);
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

    /// What became of a message before that looks the same.
    pub fn earlier(earlier: &Earlier) -> Notice {
        let at = rfc3339(earlier.at_ms);
        let (flag, text) = match &earlier.fate {
            Fate::Declined(by) => {
                let who = line(&Actor::read(by).told(None));
                (Flag::DeclinedBefore, format!("The same message was declined at {at}, by {who}."))
            }
            Fate::OnItsWay => (
                Flag::OnItsWay,
                format!(
                    "The same message was signed at {at} and is still on its way: signed again, it leaves twice."
                ),
            ),
            Fate::Left => (
                Flag::SentBefore,
                format!(
                    "The same message was signed before and left at {at}: signed again, it leaves twice."
                ),
            ),
            Fate::Kept => (
                Flag::SentBefore,
                format!("The same message was signed at {at} and is kept here: nobody has got it."),
            ),
            Fate::Uncertain => (
                Flag::SentBefore,
                format!("The same message was signed at {at} and may have left: nobody knows."),
            ),
        };
        Notice { values: vec![earlier.approval.clone()], ..Notice::plain(flag, text) }
    }

    fn plain(flag: Flag, text: impl Into<String>) -> Notice {
        Notice { flag, weight: Weight::Matters, text: text.into(), values: Vec::new() }
    }

    fn usual(self) -> Notice {
        Notice { weight: Weight::Usual, ..self }
    }

    /// A notice that lists hosts or addresses, of which the end is what counts.
    fn naming(flag: Flag, text: &str, names: &[&str], counted: bool) -> Notice {
        let listed = &names[..names.len().min(LISTED_MAX)];
        let short: Vec<_> = listed.iter().map(|name| short_name(name, VALUE_CHARS_MAX)).collect();
        // Those that are not listed are counted only.
        let all: Vec<_> =
            short.iter().map(String::as_str).chain(names[listed.len()..].iter().copied()).collect();
        let values = listed.iter().map(|name| end_of(name, VALUE_CHARS_MAX)).collect();
        Notice { values, ..Notice::listing(flag, text, &all, counted) }
    }

    /// A notice that lists values behind its text. `counted` says whether these are all there are.
    fn listing(flag: Flag, text: &str, values: &[&str], counted: bool) -> Notice {
        let more = values.len().saturating_sub(LISTED_MAX);
        let values = &values[..values.len() - more];
        // A name that is cut says so in words of its own.
        let shown: Vec<_> = values.iter().map(|value| short(value, 2 * VALUE_CHARS_MAX)).collect();
        let more = match (more, counted) {
            (0, _) => String::new(),
            (more, true) => format!(" and {more} more"),
            (more, false) => format!(" and at least {more} more"),
        };
        let text = format!("{text}: {}{more}.", shown.join(", "));
        Notice { values: values.iter().map(|value| cut(value)).collect(), ..Notice::plain(flag, text) }
    }
}

fn cut(value: &str) -> String {
    value.chars().take(VALUE_CHARS_MAX).collect()
}

/// At which place `notices` list an address as one that was never written to, if they do.
pub fn first_time(address: &str, notices: &[Notice]) -> Option<usize> {
    let first = notices.iter().find(|notice| notice.flag == Flag::FirstTimeRecipient)?;
    // Of a very long address a notice has the end.
    let value = end_of(address, VALUE_CHARS_MAX);
    first.values.iter().position(|named| *named == value)
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
            found.push(Notice::naming(Flag::Edited, text, &list, true));
        }
    }
}

fn recipients(found: &mut Vec<Notice>, action: &Action, dangers: &Dangers<'_>, eyes: &Eyes<'_>) {
    let own = domain(&action.from);
    let all: BTreeSet<_> = action.recipients().collect();
    let mut first: Vec<_> = all.iter().copied().filter(|address| !(eyes.has_written_to)(address)).collect();
    // The odd ones first: what a long list leaves out is what is least to be feared.
    first.sort_by_key(|address| (dangers.rank(address), domain(address) == own));
    if !first.is_empty() {
        let text = match eyes.user {
            None => "You have not written before to".into(),
            Some(user) => format!("{} has not written before to", short(user, PAIRED_CHARS_MAX)),
        };
        found.push(Notice::naming(Flag::FirstTimeRecipient, &text, &first, true));
    }
    let domains: BTreeSet<_> =
        all.iter().map(|address| domain(address)).filter(|domain| *domain != own).collect();
    let outside = dangers.first(domains);
    if !outside.is_empty() {
        let text = format!("It goes outside {}", short_name(own, VALUE_CHARS_MAX));
        let notice = Notice::naming(Flag::ExternalRecipient, &text, &outside, true);
        let all_known = outside.iter().all(|domain| dangers.is_known(domain));
        found.push(if all_known { notice.usual() } else { notice });
    }
    if !action.bcc.is_empty() {
        let text = format!("Hidden from the others (bcc), {}", count(action.bcc.len(), "recipient"));
        let hidden = dangers.first(action.bcc.iter().map(String::as_str));
        found.push(Notice::naming(Flag::HiddenRecipients, &text, &hidden, true));
    }
    let naming = all.iter().filter_map(|address| {
        let named = address::named_domain(address, linked::is_name)?;
        let is_own = registrable(&named.to_ascii_lowercase()) == registrable(domain(address));
        (!is_own).then(|| {
            format!("{} ({})", short_name(address, PAIRED_CHARS_MAX), short_name(named, PAIRED_CHARS_MAX))
        })
    });
    let naming: Vec<_> = naming.collect();
    if !naming.is_empty() {
        let naming: Vec<_> = naming.iter().map(String::as_str).collect();
        let text = "What stands before the `@` names another domain, to which some servers send";
        found.push(Notice::listing(Flag::NamesAnotherDomain, text, &naming, true));
    }
}

/// The domains a message goes to and links to, and how each of them stands to those that are known.
struct Dangers<'a>(BTreeMap<String, (bool, Option<&'a str>)>);

impl<'a> Dangers<'a> {
    fn of(action: &Action, linked: &Found<'_>, familiar: &'a Familiar) -> Dangers<'a> {
        let places = linked.places.iter().map(String::as_str);
        let all: BTreeSet<_> = action.recipients().chain(places).map(domain).collect();
        let judged = |name: &str| (name.to_owned(), (familiar.knows(name), familiar.imitated(name)));
        Dangers(all.into_iter().map(judged).collect())
    }

    fn is_known(&self, name: &str) -> bool {
        self.0.get(domain(name)).is_some_and(|(is_known, _)| *is_known)
    }

    /// How little a host or an address is to be feared: one that imitates a familiar one, one that is not familiar, one that is.
    fn rank(&self, name: &str) -> u8 {
        match self.0.get(domain(name)) {
            Some((_, Some(_))) => 0,
            Some((true, None)) => 2,
            _ => 1,
        }
    }

    /// Hosts or addresses, those first that are most to be feared.
    fn first<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_cached_key(|name| (self.rank(name), *name));
        names
    }

    /// Each domain that imitates a known one, with that one.
    fn imitations(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().filter_map(|(name, (_, imitated))| Some((name.as_str(), (*imitated)?)))
    }
}

/// Where the links of a message lead, those readers make of its text included. The links of its body come first: they are links at every
/// reader.
fn linked<'a>(action: &Action, body: &Rendered, is_harmless: &'a dyn Fn(&str) -> bool) -> Found<'a> {
    let mut found = Found::new(is_harmless);
    body.links.iter().for_each(|link| found.link(&link.href));
    found.text(&action.subject);
    found.text(&body.apart());
    found
}

/// What pretends to lead, or to go, elsewhere than it does.
fn deceptions(found: &mut Vec<Notice>, body: &Rendered, linked: &Found<'_>, dangers: &Dangers<'_>) {
    let pair = |one: &str, other: &str, how: &str| {
        format!("{} {how} {}", short_name(one, PAIRED_CHARS_MAX), short_name(other, PAIRED_CHARS_MAX))
    };
    let disguised = linked.disguised.iter().map(|(shown, host)| pair(shown, host, "leads to"));
    let misleading = body.links.iter().filter_map(|link| {
        let (shown, real) = promised(link)?;
        Some(pair(&shown, &real, "leads to"))
    });
    let list: Vec<_> = disguised.chain(misleading).collect();
    if !list.is_empty() {
        let list: Vec<_> = list.iter().map(String::as_str).collect();
        let text = "A link names another host than it leads to";
        found.push(Notice::listing(Flag::MisleadingLink, text, &list, linked.is_all()));
    }
    let alike: Vec<_> = dangers.imitations().map(|(name, known)| pair(name, known, "for")).collect();
    if !alike.is_empty() {
        let alike: Vec<_> = alike.iter().map(String::as_str).collect();
        let text = "Could be taken for a domain that is known";
        found.push(Notice::listing(Flag::LookAlike, text, &alike, linked.is_all()));
    }
}

/// Domains and hosts: which ones, and what they are written in.
fn names(
    found: &mut Vec<Notice>,
    action: &Action,
    body: &Rendered,
    linked: &Found<'_>,
    dangers: &Dangers<'_>,
) {
    let places = &linked.places;
    let mut encoded: BTreeSet<&str> = action.recipients().map(domain).collect();
    encoded.extend(places.iter().map(|place| domain(place)));
    encoded.retain(|name| name.split('.').any(|label| label.starts_with("xn--")));
    let decoded: Vec<_> = encoded.iter().map(|name| unicode(name)).collect();
    if !encoded.is_empty() {
        let short = |name: &str| short_name(name, PAIRED_CHARS_MAX);
        let both =
            encoded.iter().zip(&decoded).map(|(name, shown)| format!("{} ({})", short(name), short(shown)));
        let both: Vec<_> = both.collect();
        let both: Vec<_> = both.iter().map(String::as_str).collect();
        let text = "An international name in its encoded form, and what it shows as";
        found.push(Notice::listing(Flag::Punycode, text, &both, linked.is_all()));
    }

    let words = action.subject.split_whitespace().chain(body.text.split_whitespace());
    let words = words.filter(|word| mixes_scripts(word));
    let labels = decoded.iter().flat_map(|name| name.split('.'));
    let labels = labels.filter(|label| scripts(label).count_ones() > 1 || reads_latin(label));
    let mut mixed = BTreeSet::new();
    for word in labels.chain(words) {
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

    if !places.is_empty() {
        let places = dangers.first(places.iter().map(String::as_str));
        let all_known = places.iter().all(|place| dangers.is_known(place));
        let text = match linked.is_all() {
            true => "It links to",
            false => "It links to more places than are counted, among them",
        };
        let notice = Notice::naming(Flag::Links, text, &places, linked.is_all());
        found.push(if all_known && linked.is_all() { notice.usual() } else { notice });
    }
}

/// What the text of a link names, and where it leads instead.
fn promised(link: &Link) -> Option<(String, String)> {
    let real = match leads(&link.href)? {
        Leads::Host(host) => vec![host],
        Leads::Mail(all) => all,
    };
    let among = Places::of(&real);
    let is_real = |place: &str| among.has(place);
    let mut named = linked::found(&link.text, &is_real).places;
    named.extend(linked::machine(&link.text));
    named.extend(over_the_border(link, &is_real));
    // It names somebody it does not lead to, or leads to somebody more than it names.
    if let Some(name) = named.iter().find(|name| !is_real(name)) {
        return Some((name.clone(), real.first()?.clone()));
    }
    let among = Places::of(&named);
    let more = real.iter().find(|place| !among.has(place))?;
    Some((named.first()?.clone(), more.clone()))
}

/// The places that are read where a link begins or ends within a name: `bank<a>.com</a>` reads like `bank.com`.
fn over_the_border(link: &Link, is_real: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let (before, after) = &link.beside;
    let text = link.text.as_str();
    // A link that is a name up to its border has been forgotten a space.
    let is_name = |edge: &str| !linked::found(edge, &|_| false).places.is_empty();
    let ends = |c: char| !linked::is_of_host(c) && c != '@';
    let before = if is_name(text.split(ends).next().unwrap_or_default()) { "" } else { before };
    let after = if is_name(text.rsplit(ends).next().unwrap_or_default()) { "" } else { after };
    if before.is_empty() && after.is_empty() {
        return BTreeSet::new();
    }
    let apart = linked::found(&format!("{before} {text} {after}"), is_real).places;
    let mut whole = linked::found(&format!("{before}{text}{after}"), is_real).places;
    whole.retain(|place| !apart.contains(place));
    whole
}

/// Places that others are looked for among.
struct Places {
    /// Addresses.
    whole: BTreeSet<String>,
    /// What is registered of the hosts, and of the hosts and the addresses.
    hosts: BTreeSet<String>,
    all: BTreeSet<String>,
}

impl Places {
    fn of<'a>(places: impl IntoIterator<Item = &'a String>) -> Places {
        let (mut whole, mut hosts, mut all) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for place in places {
            let own = registrable(domain(place)).to_owned();
            match place.contains('@') {
                true => drop(whole.insert(place.to_ascii_lowercase())),
                false => drop(hosts.insert(own.clone())),
            }
            all.insert(own);
        }
        Places { whole, hosts, all }
    }

    /// Whether a place is one of these, or belongs to one, and is written so that it cannot be taken for another.
    fn has(&self, place: &str) -> bool {
        let own = registrable(domain(place));
        let is_one = match place.contains('@') {
            true => self.whole.contains(&place.to_ascii_lowercase()) || self.hosts.contains(own),
            false => self.all.contains(own),
        };
        is_one && !shows_other_letters(place)
    }
}

/// Whether a host in its encoded form shows letters that are easily taken for others.
fn shows_other_letters(name: &str) -> bool {
    let shown = unicode(domain(name));
    shown.split('.').any(|label| scripts(label).count_ones() > 1 || reads_latin(label))
}

/// Whether a word of a text mixes letters of scripts that look alike within one run of letters, or has runs of several scripts one of
/// which reads like Latin.
fn mixes_scripts(word: &str) -> bool {
    let ends = |c: char| !c.is_alphanumeric() && !is_mark(c) && !is_blank(c);
    let runs = || word.split(ends).filter(|run| !run.is_empty());
    let all = runs().fold(0, |all, run| all | scripts(run));
    if all.count_ones() < 2 {
        return false;
    }
    let reads = |run: &str| run.chars().count() >= READ_CHARS_MIN && reads_latin(run);
    runs().any(|run| scripts(run).count_ones() > 1 && !is_sign(run) || reads(run))
}

/// From how many letters on a run of other letters that reads like a Latin word is one.
const READ_CHARS_MIN: usize = 3;
/// How many Latin letters stand beside a Greek one that is a sign: `kΩ`, `ΔT`, `μSv`.
const BESIDE_SIGN_MAX: usize = 3;

/// Whether a run of letters and digits is a sign of Greek, which no Latin letter looks like, at one end of a unit or a symbol.
fn is_sign(run: &str) -> bool {
    let letters: Vec<_> = run.chars().filter(|c| c.is_alphabetic()).collect();
    let is_sign = |c: &char| {
        scripts(c.encode_utf8(&mut [0; 4])) == GREEK && skeleton(&c.to_string()).all(|c| !c.is_ascii())
    };
    let signs = letters.iter().filter(|c| is_sign(c)).count();
    let latin = letters.iter().filter(|c| c.is_ascii()).count();
    let at_end = letters.first().is_some_and(is_sign) || letters.last().is_some_and(is_sign);
    signs == 1 && at_end && latin == letters.len() - 1 && latin <= BESIDE_SIGN_MAX
}

const LATIN: u32 = 1;
const GREEK: u32 = 2;

/// The scripts many of whose letters look the same that a text has letters of: Latin, Greek, Cyrillic and their kin.
fn scripts(text: &str) -> u32 {
    let script = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => LATIN,
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => GREEK,
        '\u{400}'..='\u{52f}'
        | '\u{1c80}'..='\u{1c8f}'
        | '\u{2de0}'..='\u{2dff}'
        | '\u{a640}'..='\u{a69f}' => 4,
        // Armenian, Cherokee, Coptic, Lisu; letters of mathematics and of full width, which are Latin ones in disguise.
        '\u{531}'..='\u{587}' | '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => 8,
        '\u{2c80}'..='\u{2cff}' | '\u{a4d0}'..='\u{a4ff}' => 16,
        '\u{1d400}'..='\u{1d7ff}' | '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => 32,
        _ => 0,
    };
    text.chars().fold(0, |seen, c| seen | script(c))
}

/// Characters that are not what they look like.
fn letters(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    // Line breaks and tabs are seen in a body; a subject has neither.
    let all = || hidden(&action.subject).chain(hidden(&body.text));
    let (mut times, mut strokes, mut marks) = (0, 0, 0);
    let (mut which, mut which_strokes) = (BTreeSet::new(), BTreeSet::new());
    for c in all() {
        if is_blank(c) {
            times += 1;
            which.insert(c);
        } else if is_stroke(c) {
            strokes += 1;
            which_strokes.insert(c);
        } else {
            marks += 1;
        }
    }
    let of = [
        (times, which, count(times, "character") + " that act or hide"),
        (
            strokes,
            which_strokes,
            count(strokes, "stroke") + " through letters, which not every program draws",
        ),
    ];
    for (times, which, what) in of {
        if times > 0 {
            let which: Vec<_> = which.into_iter().map(|c| format!("U+{:04X}", c as u32)).collect();
            let which: Vec<_> = which.iter().map(String::as_str).collect();
            let text = format!("{what}, shown as \\u{{…}}");
            found.push(Notice::listing(Flag::EscapedCharacters, &text, &which, true));
        }
    }
    if marks > 0 {
        let text =
            format!("{} too many on one character, shown as \\u{{…}}.", count(marks, "combining mark"));
        found.push(Notice::plain(Flag::CombiningFlood, text));
    }
}

/// Lines whose order depends on who reads them.
fn directions(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    let subject = Some(action.subject.as_str()).filter(|subject| direction::is_mixed(subject));
    let lines: Vec<_> = subject.into_iter().chain(body.mixed.iter().map(String::as_str)).collect();
    if lines.is_empty() {
        return;
    }
    // By their letters as numbers: what is quoted here must not turn the sentence round.
    let escaped: Vec<_> =
        lines.iter().take(LISTED_MAX + 1).map(|line| direction::escaped(&cut(line))).collect();
    let listed: Vec<_> =
        escaped.iter().map(String::as_str).chain(lines.iter().skip(escaped.len()).copied()).collect();
    let text = "Letters from the right stand among others, so that a line is read in another order than it is written; every \
                order is shown below it";
    found.push(Notice::listing(Flag::MixedDirections, text, &listed, true));
}

/// What the message is like as a whole.
fn shape(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    if action.subject.chars().all(is_blank) {
        found.push(Notice::plain(Flag::EmptySubject, "The subject is empty."));
    }
    if body.drawn.chars().all(is_blank) {
        found.push(Notice::plain(Flag::EmptyBody, "The body is empty."));
    }
    if action.body_kind == BodyKind::Html {
        let text = "The body is HTML; all of it that leaves is shown, with its links listed.";
        found.push(Notice::plain(Flag::Html, text).usual());
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

/// What the text holds in another form: readers that know the old ways of sending files make an attachment of the lines, and others
/// show what they decode instead of them.
fn files(found: &mut Vec<Notice>, action: &Action, body: &Rendered) {
    let is_text = action.body_kind == BodyKind::Text;
    let lines = body.text.split(['\n', '\r']);
    let files: Vec<_> =
        lines.filter_map(|line| armour(line).or_else(|| file(line).filter(|_| is_text))).collect();
    if !files.is_empty() {
        let text = "Some readers make an attachment, or another text, of what is written into the text in another form";
        found.push(Notice::listing(Flag::EncodedFile, text, &files, true));
    }
}

/// What a line says begins in letters and digits, `PGP MESSAGE` (RFC 9580, 6.2) or `PKCS7` (RFC 7468).
fn armour(line: &str) -> Option<&str> {
    const DASHES: &str = "-----";
    let what = line.trim().strip_prefix(DASHES)?.strip_suffix(DASHES)?;
    let what = behind(what, "BEGIN ")?;
    (what.len() <= VALUE_CHARS_MAX && !what.trim().is_empty()).then_some(what)
}

/// What follows a word in any case.
fn behind<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    let begin = line.get(..word.len())?;
    begin.eq_ignore_ascii_case(word).then(|| &line[word.len()..])
}

/// The name of the file a line begins: uuencoded or in base64 (POSIX `uuencode`, with an encoded name as GNU writes it), yEnc, BinHex
/// (RFC 1741); in any case, as readers take it. Outlook took `begin` and two spaces for such a beginning, whatever followed.
fn file(line: &str) -> Option<&str> {
    if behind(line, "(This file must be converted with BinHex").is_some() {
        return Some("BinHex");
    }
    if let Some(rest) = behind(line, "=ybegin ") {
        let name = rest.to_ascii_lowercase().find("name=");
        return Some(name.map_or(rest, |at| &rest[at + "name=".len()..]));
    }
    let begins = ["begin-base64-encoded ", "begin-base64 ", "begin-encoded ", "begin "];
    let rest = begins.iter().find_map(|begin| behind(line, begin))?;
    if let Some(name) = rest.strip_prefix(' ') {
        return Some(name);
    }
    let (mode, name) = rest.split_once([' ', '\t'])?;
    let is_mode = (3..=5).contains(&mode.len()) && mode.bytes().all(|b| (b'0'..=b'7').contains(&b));
    (is_mode && !name.trim().is_empty()).then_some(name)
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

/// What the agent says of the message, beside the message it would send. What a person changed is said elsewhere.
fn preview(found: &mut Vec<Notice>, approval: &Approval, leaving: &Action, body: &Rendered) {
    let details = &approval.words.details;
    let asked = approval.action.as_ref().unwrap_or(leaving);
    if let Some(preview) = details.get("preview").and_then(Value::as_str) {
        let rendered = (asked != leaving).then(|| Rendered::of(asked));
        let text = &rendered.as_ref().unwrap_or(body).text;
        let end = preview.trim_end();
        let shown = end.strip_suffix("...").or(end.strip_suffix('…')).unwrap_or(end).trim_end();
        // An agent knows the source of its HTML, and may quote the beginning of that.
        let source = (asked.body_kind == BodyKind::Html).then(|| body::words_of(shown)).flatten();
        let begins = text.starts_with(shown) || source.as_ref().is_some_and(|words| text.starts_with(words));
        let shown = if text.starts_with(shown) { shown } else { source.as_deref().unwrap_or(shown) };
        match Some(text).filter(|_| begins) {
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
                    found.push(Notice::plain(Flag::PreviewGap, text).usual());
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
        ("body", named("body") && !text("body").flatten().is_some_and(|told| is_told(told, asked))),
    ];
    let fields: Vec<_> = other.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect();
    if !fields.is_empty() {
        let text = "The agent's account differs from the message in";
        found.push(Notice::listing(Flag::WordsDiffer, text, &fields, true));
    }
}

/// Whether a body in the agent's own spelling is that of the message.
fn is_told(told: &str, asked: &Action) -> bool {
    told == asked.body || body::canonical(asked.body_kind, told).is_ok_and(|told| told == asked.body)
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

    /// Seen by the user, who knows nobody but their own domain, and has mailed the addresses for which `known` holds.
    fn seen(approval: &Approval, known: &dyn Fn(&str) -> bool) -> Vec<Notice> {
        let familiar = Familiar::new(["example.com"]);
        notices(approval, &Eyes { user: None, has_written_to: known, familiar: &familiar })
    }

    fn of(action: Action, details: Value) -> Vec<Notice> {
        seen(&asked(action, details), &|_| true)
    }

    /// The flags, and the text of the first notice.
    fn told(found: &[Notice]) -> (Vec<Flag>, &str) {
        (found.iter().map(|notice| notice.flag).collect(), found.first().map_or("", |notice| &notice.text))
    }

    fn body(text: &str) -> Vec<Notice> {
        of(Action { body: text.into(), ..plain() }, json!({}))
    }

    fn html(text: &str) -> Vec<Notice> {
        let text = body::canonical(BodyKind::Html, text).unwrap();
        let mut found = of(Action { body: text, body_kind: BodyKind::Html, ..plain() }, json!({}));
        found.retain(|notice| notice.flag != Flag::Html);
        found
    }

    #[test]
    fn of_a_plain_message_there_is_nothing_to_say() {
        assert_eq!(of(plain(), json!({})), []);
        assert_eq!(body("Grüße aus Köln,\r\n\tZoë ❤\u{fe0f}\n\nПривет, 日本語\nשלום!"), []);
    }

    #[test]
    fn what_is_not_known_yet_is_said_to_be() {
        for (binding, flag) in [(Binding::Question, Flag::Question), (Binding::Hold, Flag::Hold)] {
            let approval = Approval { binding, action: None, ..asked(plain(), json!({})) };
            assert_eq!(told(&seen(&approval, &|_| true)).0, [flag]);
        }
        let declared = Approval { binding: Binding::Declared, ..asked(plain(), json!({})) };
        assert_eq!(told(&seen(&declared, &|_| true)).0, [Flag::Declared]);
    }

    #[test]
    fn new_foreign_and_hidden_recipients_are_named() {
        let action = Action {
            to: vec!["old@example.com".into(), "x@evil.example".into()],
            bcc: vec!["spy@example.com".into()],
            ..plain()
        };
        let found = seen(&asked(action, json!({})), &|address| address == "old@example.com");
        let texts: Vec<_> = found.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "You have not written before to: x@evil.example, spy@example.com.",
                "It goes outside example.com: evil.example.",
                "Hidden from the others (bcc), 1 recipient: spy@example.com.",
            ]
        );
        assert_eq!(found[0].values, ["x@evil.example", "spy@example.com"]);
        assert!(found.iter().all(|notice| notice.weight == Weight::Matters));
    }

    #[test]
    fn what_is_said_of_the_user_is_said_by_name_to_anybody_else() {
        let familiar = Familiar::default();
        let eyes = Eyes { user: Some("ada"), has_written_to: &|_| false, familiar: &familiar };
        let found = notices(&asked(plain(), json!({})), &eyes);
        assert_eq!(told(&found).1, "ada has not written before to: team@example.com.");
    }

    #[test]
    fn what_could_be_taken_for_a_known_domain_comes_first() {
        let familiar = Familiar::new(["company.com"]);
        let eyes = Eyes { user: None, has_written_to: &|_| false, familiar: &familiar };
        let to = ["a@company.com", "b@other.org", "boss@cornpany.com"].map(str::to_owned).to_vec();
        let body = "See https://docs.company.com, bank.org and https://company.com.evil.example/login".into();
        let found = notices(&asked(Action { to, body, ..plain() }, json!({})), &eyes);
        let texts: Vec<_> = found.iter().map(|notice| notice.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Could be taken for a domain that is known: company.com.evil.example for company.com, cornpany.com for company.com.",
                "You have not written before to: boss@cornpany.com, b@other.org, a@company.com.",
                "It goes outside example.com: cornpany.com, other.org, company.com.",
                "It links to: company.com.evil.example, bank.org, docs.company.com.",
            ]
        );
    }

    #[test]
    fn what_is_so_of_most_messages_comes_last_and_says_so() {
        let familiar = Familiar::new(["example.com", "company.com"]);
        let eyes = Eyes { user: None, has_written_to: &|_| true, familiar: &familiar };
        let page = "<p>Hello, see <a href=\"https://docs.company.com\">this</a></p>";
        let action = Action {
            to: vec!["a@company.com".into()],
            bcc: vec!["b@company.com".into()],
            body: page.into(),
            body_kind: BodyKind::Html,
            ..plain()
        };
        let found = notices(&asked(action, json!({ "preview": "Hello" })), &eyes);
        let weights: Vec<_> = found.iter().map(|notice| (notice.weight, notice.flag)).collect();
        assert_eq!(
            weights,
            [
                (Weight::Matters, Flag::HiddenRecipients),
                (Weight::Usual, Flag::ExternalRecipient),
                (Weight::Usual, Flag::Links),
                (Weight::Usual, Flag::Html),
                (Weight::Usual, Flag::PreviewGap),
            ]
        );
    }

    #[test]
    fn names_are_cut_from_their_harmless_end() {
        let host = format!("login.bank.com.{}.{}.evil.example", "a".repeat(60), "b".repeat(60));
        let link = format!("<p>Please <a href=\"https://{host}/\">log in at bank.com</a></p>");
        let action = Action {
            to: vec![format!("anna@{host}")],
            bcc: vec![format!("anna@{host}")],
            body: link,
            body_kind: BodyKind::Html,
            ..plain()
        };
        let found = seen(&asked(action, json!({})), &|_| false);
        let naming = [
            Flag::FirstTimeRecipient,
            Flag::ExternalRecipient,
            Flag::HiddenRecipients,
            Flag::Links,
            Flag::MisleadingLink,
        ];
        for flag in naming {
            let notice = found.iter().find(|notice| notice.flag == flag).unwrap();
            assert!(notice.text.contains(".evil.example"), "{notice:?}");
            assert!(
                notice
                    .values
                    .iter()
                    .any(|value| value.ends_with(".evil.example") || value.contains(" leads to …")),
                "{notice:?}"
            );
            assert!(notice.values.iter().all(|value| value.chars().count() <= VALUE_CHARS_MAX), "{notice:?}");
        }
    }

    #[test]
    fn a_file_written_into_the_text_is_pointed_out() {
        for (text, name) in [
            ("See the invoice.\n\nbegin 644 invoice.html\nJ/'-C<FEP=#YL;V-A=&EO\n`\nend\n", "invoice.html"),
            ("begin 0755 a b.exe\n", "a b.exe"),
            ("x\rbegin-base64 644 a.zip\r", "a.zip"),
            ("=ybegin line=128 size=123 name=a.exe", "a.exe"),
            ("(This file must be converted with BinHex 4.0)\n:$f", "BinHex"),
            ("begin  something", "something"),
            ("BEGIN 644 a.exe", "a.exe"),
            ("=YBEGIN line=128 NAME=a.exe", "a.exe"),
            ("begin-base64-encoded 644 YS5leGU=", "YS5leGU="),
            ("(this file must be converted with binhex 4.0)", "BinHex"),
            ("-----BEGIN PGP MESSAGE-----\n\nhQEMA0000\n=abcd\n-----END PGP MESSAGE-----\n", "PGP MESSAGE"),
            ("x\n-----BEGIN PKCS7-----", "PKCS7"),
        ] {
            let found = body(text);
            let notice = found.iter().find(|notice| notice.flag == Flag::EncodedFile).unwrap();
            assert_eq!(notice.values, [name], "{text}");
        }
        for text in [
            "begin 644",
            "We begin 644 tests",
            "begin 9am with tea",
            "begin with a",
            "beginning",
            "begin 12 x",
            "-----BEGIN -----",
            "----- BEGIN -----",
            "-----",
        ] {
            assert!(body(text).iter().all(|notice| notice.flag != Flag::EncodedFile), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let to = (0..25).map(|n| format!("a{n:02}@example.com")).collect();
        let found = seen(&asked(Action { to, ..plain() }, json!({})), &|_| false);
        assert_eq!(found[0].values.len(), LISTED_MAX);
        assert!(found[0].text.ends_with("a09@example.com and 15 more."), "{found:?}");
    }

    #[test]
    fn international_names_are_shown_both_ways() {
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
        for mixed in [
            "Gооgle.com",
            "ρaypal",
            "αpple",
            "СОСА-Cola",
            "Москва-Ciтy",
            "kaΩba",
            "раураl",
            "ΑВС",
            "ｅvil",
            "аррӏе.com",
        ] {
            let found = body(&format!("See {mixed} today"));
            assert!(told(&found).0.contains(&Flag::MixedScripts), "{mixed}: {found:?}");
        }
        for one in [
            "Google.com",
            "Привет",
            "Ελλάδα",
            "naïve",
            "München",
            "5μ",
            "日本語test",
            "［PDF］",
            "10kΩ",
            "ΔT",
            "5μSv",
            "β-blocker",
            "ЛДПР/LDPR",
            "Москва-City",
        ] {
            assert!(body(one).iter().all(|notice| notice.flag != Flag::MixedScripts), "{one}");
        }
    }

    #[test]
    fn a_thousand_harmless_hosts_hide_no_other() {
        let familiar = Familiar::new(["company.com"]);
        let eyes = Eyes { user: None, has_written_to: &|_| true, familiar: &familiar };
        let links = |count: usize, host: &str| {
            let many: String = (0..count).map(|n| format!("<a href='https://a{n}.{host}/'>x</a> ")).collect();
            let body = format!("<p>{many} <a href='https://evil.example/login'>log in</a></p>");
            let found =
                notices(&asked(Action { body, body_kind: BodyKind::Html, ..plain() }, json!({})), &eyes);
            found.into_iter().find(|notice| notice.flag == Flag::Links).unwrap()
        };
        let notice = links(1_001, "company.com");
        assert_eq!((notice.weight, notice.values[0].as_str()), (Weight::Matters, "evil.example"));
        // Where they are not harmless it is said that there are more.
        let notice = links(1_001, "evil.org");
        assert_eq!(notice.weight, Weight::Matters);
        assert!(
            notice.text.starts_with("It links to more places than are counted, among them: "),
            "{notice:?}"
        );
        // Those of a link's own domain hide no other name in it.
        let many: String = (0..1_001).map(|n| format!("a{n}.evil.example ")).collect();
        let found = html(&format!("<p><a href='https://evil.example/'>{many} bank.com</a></p>"));
        assert!(told(&found).0.contains(&Flag::MisleadingLink));
    }

    #[test]
    fn an_address_within_another_is_not_the_other() {
        let to = ["a@b.example", "nina@b.example"].map(str::to_owned).to_vec();
        let found = seen(&asked(Action { to, ..plain() }, json!({})), &|address| address == "nina@b.example");
        assert_eq!(
            [first_time("a@b.example", &found), first_time("nina@b.example", &found)],
            [Some(0), None]
        );
    }

    #[test]
    fn a_domain_in_a_local_part_is_pointed_out() {
        let to =
            ["thief_at_evil.example@company.com", "bounce=company.com@company.com", "anna.may@company.com"];
        let found = of(Action { to: to.map(str::to_owned).to_vec(), ..plain() }, json!({}));
        let notice = found.iter().find(|notice| notice.flag == Flag::NamesAnotherDomain).unwrap();
        assert_eq!(notice.values, ["thief_at_evil.example@company.com (evil.example)"]);
    }

    #[test]
    fn a_name_over_the_border_of_a_link_is_read_and_is_no_link() {
        for split in [
            "<a href='https://evil.example/'>bank</a><a href='https://evil.example/'>.com</a>",
            "bank<a href='https://evil.example/'>.com/login</a>",
            "<a href='https://evil.example/'>bank</a>.com",
            "boss@<a href='https://evil.example/'>bank</a>.com",
            "<a href='https://evil.example/'>10.0.0.1</a>",
            "<a href='https://evil.example/'>日本語.jp</a>",
        ] {
            let found = html(&format!("<p>Log in at {split}</p>"));
            assert!(told(&found).0.contains(&Flag::MisleadingLink), "{split}: {found:?}");
            let links = found.iter().find(|notice| notice.flag == Flag::Links).unwrap();
            assert!(!links.values.iter().any(|value| value.contains("bank.com")), "{split}: {links:?}");
        }
        for honest in [
            "<a href='https://company.com/'>here</a>(company.org)",
            "see<a href='https://company.com/'>company.com</a>now",
            "<a href='mailto:boss@company.com'>boss</a>@company.com",
            "<a href='https://company.com/a'>the report</a>.",
            "<a href='https://日本語.jp/'>日本語.jp</a> <a href='https://日本語.co.jp/'>日本語.co.jp</a>",
        ] {
            let found = html(&format!("<p>{honest}</p>"));
            assert!(!told(&found).0.contains(&Flag::MisleadingLink), "{honest}: {found:?}");
        }
        let inner =
            "<p><a href='https://company.com/r?to=https://evil.example/'>https://company.com/</a></p>";
        let found = html(inner);
        let links = found.iter().find(|notice| notice.flag == Flag::Links).unwrap();
        assert_eq!(links.values, ["company.com", "evil.example"]);
    }

    #[test]
    fn a_backslash_before_an_at_sign_leads_to_two_hosts() {
        let found = body("http://bank.com\\@evil.example");
        let values: Vec<_> = found.iter().map(|notice| (notice.flag, notice.values.join(" "))).collect();
        assert_eq!(
            values,
            [
                (Flag::MisleadingLink, "bank.com\\ leads to evil.example".into()),
                (Flag::Links, "bank.com evil.example".into()),
            ]
        );
        assert_eq!(told(&body("http://company.com’s")).0, [Flag::Links]);
    }

    #[test]
    fn hosts_a_text_links_to_are_listed() {
        let text = "see https://Evil.example:8080/?q=1, (www.x.org) and mailto:a@b.c; http://y.z. ftp:////u@w.v\\x https:// \
             http://[::1]:80/ www.q.r[1]";
        let found = body(text);
        assert_eq!(told(&found).0, [Flag::Links]);
        assert_eq!(found[0].values, ["::1", "a@b.c", "evil.example", "w.v", "www.q.r", "www.x.org", "y.z"]);
    }

    #[test]
    fn a_link_that_names_another_host_is_pointed_out() {
        let link = |href: &str, text: &str| html(&format!("<p><a href=\"{href}\">{text}</a></p>"));
        for (href, text) in [
            ("https://evil.example/bank.com", "https://bank.com/"),
            ("https://evil.example", "Log in at <b>bank</b>.com now"),
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
        let found = body("do n\u{336}o\u{336}t\u{336} pay");
        assert_eq!(
            told(&found).1,
            "3 strokes through letters, which not every program draws, shown as \\u{…}: U+0336."
        );
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
        let found = seen(&approval, &|_| true);
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

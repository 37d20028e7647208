//! Cards: what an agent answers. All of it is the agent's, and stands in a frame that says so.

use super::{VALUE_CHARS_MAX, Viewer, text};
use countersign::people::Deed;
use countersign::printable::short;
use maud::{Markup, html};
use serde_json::{Map, Value};

/// How much of a title, a label or another line a card shows, in characters.
const LINE_CHARS_MAX: usize = 300;
/// How many items of a card are shown.
const ITEMS_MAX: usize = 200;
/// How many actions are offered, on a card and on each of its items.
const ACTIONS_MAX: usize = 20;

/// A card with what stands around it.
pub struct Card<'a> {
    /// What the agent answered; checked when it did, and hostile.
    pub card: &'a Value,
    /// The agent's id: what its actions are submitted to.
    pub agent: &'a str,
    /// What makes the submissions of this page different from those of another: with it, pressing twice submits once.
    pub key: &'a str,
}

/// Draws a card of any type.
pub fn card(viewer: &Viewer, it: &Card<'_>) -> Markup {
    let card = it.card;
    let kind = match card["type"].as_str() {
        Some("result") => "Result",
        Some("error") => "Error",
        Some("summary") => "Summary",
        Some("list") => "List",
        Some("suggestion") => "Suggestion",
        Some("progress") => "Progress",
        Some("approval") => "Approval, for display only: it decides nothing",
        _ => "Card",
    };
    let items: Vec<_> = card["items"].as_array().into_iter().flatten().collect();
    html! {
        section.card aria-labelledby="card" {
            h2 #card { "The agent answered" }
            p.quiet { (kind) }
            p.title { (line(&card["title"])) }
            @for field in ["description", "body"] {
                @if let Some(said) = card[field].as_str().filter(|said| !said.is_empty()) {
                    (text::block_of(said, VALUE_CHARS_MAX))
                }
            }
            @if let Some(progress) = card["progress"].as_f64() {
                @let done = progress.clamp(0.0, 100.0);
                p { progress max="100" value=(done) aria-label="How far it says it is" {} " " (done) " %" }
            }
            @if !card["status"].is_null() { p { "Status: " (line(&card["status"])) } }
            @if !items.is_empty() {
                ul.items {
                    @for (number, item) in items.iter().take(ITEMS_MAX).enumerate() {
                        li { (self::item(viewer, it, item, number)) }
                    }
                }
                @if items.len() > ITEMS_MAX { p.quiet { (super::count(items.len() - ITEMS_MAX, "more item")) ", not shown here." } }
            }
            @if !card["footer"].is_null() { p.quiet { (line(&card["footer"])) } }
            @for (name, field) in [("Would say yes", "approveLabel"), ("Would say no", "denyLabel"), ("Code", "code")] {
                @if !card[field].is_null() { p.quiet { (name) ": " (line(&card[field])) } }
            }
            @if !card["details"].is_null() {
                details #card-details { summary { "Details" } (text::json(&card["details"], VALUE_CHARS_MAX)) }
            }
            (actions(viewer, it, &card["actions"], "card"))
        }
    }
}

fn item(viewer: &Viewer, it: &Card<'_>, item: &Value, number: usize) -> Markup {
    // A string is an item too.
    let title = if item.is_object() { &item["title"] } else { item };
    html! {
        // An icon is one character for the eye; it says nothing.
        @if let Some(icon) = item["icon"].as_str() { span aria-hidden="true" { (text::brief(icon, 4)) " " } }
        strong { (line(title)) }
        @for field in ["subtitle", "metadata"] {
            @if !item[field].is_null() { br; span.quiet { (line(&item[field])) } }
        }
        @if !item["action"].is_null() {
            // An action of an item may be its name alone.
            @let action = if item["action"].is_object() { item["action"].clone() } else { item.clone() };
            (actions(viewer, it, &Value::Array(vec![action]), &format!("item-{number}")))
        }
    }
}

/// The actions a card offers, each as a form that submits a new intent to the same agent.
fn actions(viewer: &Viewer, it: &Card<'_>, actions: &Value, of: &str) -> Markup {
    let offered: Vec<_> = actions.as_array().into_iter().flatten().filter_map(Offer::of).collect();
    if offered.is_empty() || !viewer.may(Deed::Invoke) {
        return html! {};
    }
    html! {
        div.offers {
            p.quiet { "The agent offers. Pressing one asks it again, with what stands beside the button." }
            @for (number, offer) in offered.iter().take(ACTIONS_MAX).enumerate() {
                (viewer.form("/intents", "", html! {
                    input type="hidden" name="agent" value=(it.agent);
                    input type="hidden" name="action" value=(offer.action);
                    input type="hidden" name="parameters" value=(serde_json::to_string(&offer.parameters).unwrap_or_default());
                    input type="hidden" name="key" value={ (it.key) "-" (of) "-" (number) };
                    button type="submit" { q { (text::brief(offer.label, 80)) } }
                    " " span.quiet {
                        "asks for " code { (text::brief(offer.action, LINE_CHARS_MAX)) }
                        @if !offer.parameters.is_empty() {
                            " with " code { (short(&serde_json::to_string(&offer.parameters).unwrap_or_default(), LINE_CHARS_MAX)) }
                        }
                    }
                }))
            }
        }
    }
}

/// An action of a card: `{label, action, params?}`, or, older, `{label, intent}`.
struct Offer<'a> {
    label: &'a str,
    action: &'a str,
    parameters: Map<String, Value>,
}

impl Offer<'_> {
    fn of(action: &Value) -> Option<Offer<'_>> {
        let name = action["action"].as_str().or_else(|| action["intent"].as_str())?;
        let label = action["label"].as_str().or_else(|| action["title"].as_str()).unwrap_or(name);
        let parameters = action["params"].as_object().or_else(|| action["parameters"].as_object());
        Some(Offer { label, action: name, parameters: parameters.cloned().unwrap_or_default() })
    }
}

/// A value of the agent's on one line.
fn line(value: &Value) -> Markup {
    match value {
        Value::String(said) => text::brief(said, LINE_CHARS_MAX),
        other => text::brief(&other.to_string(), LINE_CHARS_MAX),
    }
}

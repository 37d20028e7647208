//! What the user sees of the answer.

use crate::{Value, bindings, json};
use serde::Serialize;
use serde_json::Map;

/// What the user sees of the answer.
///
/// Begin with the kind, then add what cards of this kind show:
///
/// | kind | shows |
/// |---|---|
/// | [`result`](Card::result), [`error`](Card::error) | `description` or `body`, `action`s |
/// | [`summary`](Card::summary), [`list`](Card::list) | `item`s, `footer` |
/// | [`suggestion`](Card::suggestion) | `description`, `action`s, `item`s |
/// | [`progress`](Card::progress) | `description`, `status` |
/// | [`approval`](Card::approval) | `description`, `details`, `approve_label`, `deny_label` |
///
/// The host drops what a kind does not show, and says so in the run's log. A card is text: nothing in it is markup.
///
/// ```
/// use countersign_sdk::{Action, Card, Item};
///
/// let done = Card::result("✅ Message sent").description("Report sent to team@company.com");
/// let inbox = Card::summary("Inbox")
///     .item(Item::new("3 unread").subtitle("of 12 messages").metadata("3").icon("📬"))
///     .footer("Since Monday");
/// let ask = Card::suggestion("Weekly report")
///     .description("It is Friday.")
///     .action(Action::new("Send it", "send_report"));
/// # let _ = (done, inbox, ask);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    kind: &'static str,
    title: String,
    content: Map<String, Value>,
}

impl Card {
    /// Something was done.
    pub fn result(title: impl Into<String>) -> Card {
        Card::of("result", title)
    }

    /// Something was not done.
    pub fn error(title: impl Into<String>) -> Card {
        Card::of("error", title)
    }

    /// An overview.
    pub fn summary(title: impl Into<String>) -> Card {
        Card::of("summary", title)
    }

    /// Things of one kind.
    pub fn list(title: impl Into<String>) -> Card {
        Card::of("list", title)
    }

    /// Something the user might do.
    pub fn suggestion(title: impl Into<String>) -> Card {
        Card::of("suggestion", title)
    }

    /// Something that is under way, `percent` of it done: 0 to 100.
    pub fn progress(title: impl Into<String>, percent: u8) -> Card {
        Card::of("progress", title).with("progress", percent)
    }

    /// Something that waits for a person. It only shows: no card authorises anything, which takes
    /// [`Approval::request`](crate::Approval::request).
    pub fn approval(title: impl Into<String>) -> Card {
        Card::of("approval", title)
    }

    /// A sentence or a few.
    pub fn description(self, text: impl Into<String>) -> Card {
        self.with("description", text.into())
    }

    /// A longer text, instead of a description.
    pub fn body(self, text: impl Into<String>) -> Card {
        self.with("body", text.into())
    }

    /// Adds an item.
    pub fn item(self, item: Item) -> Card {
        self.items([item])
    }

    /// Adds items.
    pub fn items(self, items: impl IntoIterator<Item = Item>) -> Card {
        self.append("items", items)
    }

    /// Adds an action.
    pub fn action(self, action: Action) -> Card {
        self.append("actions", [action])
    }

    /// A line below the items.
    pub fn footer(self, text: impl Into<String>) -> Card {
        self.with("footer", text.into())
    }

    /// What is being done right now.
    pub fn status(self, text: impl Into<String>) -> Card {
        self.with("status", text.into())
    }

    /// A JSON object saying what waits.
    pub fn details(self, details: Value) -> Card {
        self.with("details", details)
    }

    /// What agreeing is called.
    pub fn approve_label(self, label: impl Into<String>) -> Card {
        self.with("approveLabel", label.into())
    }

    /// What declining is called.
    pub fn deny_label(self, label: impl Into<String>) -> Card {
        self.with("denyLabel", label.into())
    }

    fn of(kind: &'static str, title: impl Into<String>) -> Card {
        Card { kind, title: title.into(), content: Map::new() }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Card {
        self.content.insert(name.to_owned(), value.into());
        self
    }

    fn append<T: Serialize>(mut self, name: &str, more: impl IntoIterator<Item = T>) -> Card {
        let list = self.content.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.extend(more.into_iter().map(|one| json!(one)));
        }
        self
    }
}

impl From<Card> for bindings::Card {
    fn from(card: Card) -> bindings::Card {
        let content = (!card.content.is_empty()).then(|| Value::Object(card.content).to_string());
        bindings::Card { kind: card.kind.to_owned(), title: card.title, content }
    }
}

/// One line of a card.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
}

impl Item {
    /// An item with nothing but its title.
    pub fn new(title: impl Into<String>) -> Item {
        Item { title: title.into(), subtitle: None, metadata: None, icon: None, action: None }
    }

    /// A smaller line below the title.
    pub fn subtitle(self, text: impl Into<String>) -> Item {
        Item { subtitle: Some(text.into()), ..self }
    }

    /// A word or two at the side: a number, a time.
    pub fn metadata(self, text: impl Into<String>) -> Item {
        Item { metadata: Some(text.into()), ..self }
    }

    /// One pictographic character.
    pub fn icon(self, icon: impl Into<String>) -> Item {
        Item { icon: Some(icon.into()), ..self }
    }

    /// What pressing the item asks for.
    pub fn action(self, action: Action) -> Item {
        Item { action: Some(action), ..self }
    }
}

/// Something to press, which submits a new intent to the same agent.
///
/// ```
/// use countersign_sdk::{Action, json};
///
/// let more = Action::new("Show more", "digest").params(json!({ "limit": 100 }));
/// # let _ = more;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Action {
    label: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Value>,
}

impl Action {
    /// A label, and the action it asks for, without parameters.
    pub fn new(label: impl Into<String>, action: impl Into<String>) -> Action {
        Action { label: label.into(), action: action.into(), params: None }
    }

    /// Sets the parameters of the new intent, a JSON object.
    pub fn params(self, params: Value) -> Action {
        Action { params: Some(params), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(card: Card) -> (String, String, Value) {
        let card = bindings::Card::from(card);
        let content = card.content.map_or(Value::Null, |content| serde_json::from_str(&content).unwrap());
        (card.kind, card.title, content)
    }

    #[test]
    fn every_field_has_its_name_in_the_contract() {
        let action = Action::new("Go", "go").params(json!({ "n": 1 }));
        let item = Item::new("a").subtitle("b").metadata("c").icon("d").action(Action::new("Open", "open"));
        let card = Card::list("t").item(item).items([Item::new("e")]).footer("f");
        assert_eq!(
            content(card),
            (
                "list".into(),
                "t".into(),
                json!({
                    "items": [
                        { "title": "a", "subtitle": "b", "metadata": "c", "icon": "d",
                          "action": { "label": "Open", "action": "open" } },
                        { "title": "e" },
                    ],
                    "footer": "f",
                })
            )
        );
        assert_eq!(
            content(Card::error("t").description("d").action(action)).2,
            json!({ "description": "d", "actions": [{ "label": "Go", "action": "go", "params": { "n": 1 } }] })
        );
        assert_eq!(
            content(Card::progress("t", 40).status("s")),
            ("progress".into(), "t".into(), json!({ "progress": 40, "status": "s" }))
        );
        assert_eq!(
            content(Card::approval("t").details(json!({ "a": 1 })).approve_label("Yes").deny_label("No")).2,
            json!({ "details": { "a": 1 }, "approveLabel": "Yes", "denyLabel": "No" })
        );
    }

    #[test]
    fn every_kind_has_its_name_in_the_contract() {
        let kinds = [
            Card::result("t"),
            Card::error("t"),
            Card::summary("t"),
            Card::list("t"),
            Card::suggestion("t"),
            Card::progress("t", 0),
            Card::approval("t"),
        ]
        .map(|card| card.kind);
        assert_eq!(kinds, ["result", "error", "summary", "list", "suggestion", "progress", "approval"]);
        assert_eq!(
            content(Card::result("t").body("b")),
            ("result".into(), "t".into(), json!({ "body": "b" }))
        );
        assert_eq!(bindings::Card::from(Card::summary("t")).content, None);
    }
}

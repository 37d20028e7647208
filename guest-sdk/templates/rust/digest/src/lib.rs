//! Lists what is unread. It reads, and sends nothing.

use countersign_sdk::{Card, Context, Error, Filter, Intent, Item, Message, Tools};

countersign_sdk::agent!(handle_intent, manifest = "../agent.json");

fn handle_intent(intent: Intent, _context: Context, tools: Tools) -> Result<Card, Error> {
    match intent.action.as_str() {
        "digest" => {
            let mut filter = Filter::default().limit(100);
            filter.after = intent.parameter("after")?;
            // An error that is handed on becomes an error card of its code and message.
            Ok(digest(&tools.messages.list(filter)?))
        }
        _ => Err(intent.unknown_action()),
    }
}

fn digest(messages: &[Message]) -> Card {
    let unread: Vec<_> = messages.iter().filter(|message| message.unread).collect();
    let title = match unread.len() {
        0 => "Nothing is unread".to_owned(),
        some => format!("{some} unread"),
    };
    Card::summary(title)
        .items(unread.into_iter().map(item))
        .footer(format!("Messages looked at: {}", messages.len()))
}

fn item(message: &Message) -> Item {
    let subject = match message.subject.as_str() {
        "" => "(no subject)",
        subject => subject,
    };
    let item = Item::new(subject).subtitle(&message.from);
    item.metadata(&message.timestamp)
}

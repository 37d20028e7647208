//! Summarises the inbox: what is unread, who writes most, what waits for an answer.

use countersign_sdk::{Card, Context, Error, Filter, Intent, Item, Message, Tools};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

const SENDERS_MAX: usize = 5;
const WAITING_MAX: usize = 10;

countersign_sdk::agent!(handle_intent, manifest = "../agent.json");

fn handle_intent(intent: Intent, _context: Context, tools: Tools) -> Result<Card, Error> {
    match intent.action.as_str() {
        "digest" => {
            let filter = Filter {
                from: intent.parameter("from")?,
                after: intent.parameter("after")?,
                limit: intent.parameter::<Option<i32>>("limit")?.or(Some(100)),
            };
            Ok(digest(&tools.messages.list(filter)?))
        }
        _ => Err(intent.unknown_action()),
    }
}

fn digest(messages: &[Message]) -> Card {
    let unread = messages.iter().filter(|message| message.unread).count();
    let summary = Item::new(format!("{unread} unread"))
        .subtitle(format!("of {}", counted(messages.len())))
        .metadata(unread.to_string())
        .icon("📬");
    Card::summary("Inbox digest").item(summary).items(top_senders(messages)).items(waiting(messages))
}

fn top_senders(messages: &[Message]) -> impl Iterator<Item = Item> {
    let mut counts = BTreeMap::new();
    for message in messages {
        *counts.entry(message.from.to_lowercase()).or_insert(0) += 1;
    }
    // The map is in order of addresses and the sort is stable, so equal counts stay in that order.
    let mut senders: Vec<_> = counts.into_iter().collect();
    senders.sort_by_key(|(_, count)| Reverse(*count));
    senders.into_iter().take(SENDERS_MAX).map(|(address, count)| {
        Item::new(address).subtitle(counted(count)).metadata(count.to_string()).icon("👤")
    })
}

fn waiting(messages: &[Message]) -> impl Iterator<Item = Item> {
    let answered: BTreeSet<_> = messages.iter().filter_map(Message::in_reply_to).collect();
    let waits = move |message: &&Message| {
        !message.subject.is_empty() && message.message_id().is_none_or(|id| !answered.contains(id))
    };
    messages.iter().filter(waits).take(WAITING_MAX).map(|message| {
        Item::new(&message.subject).subtitle(&message.from).metadata(&message.timestamp).icon("⏳")
    })
}

fn counted(messages: usize) -> String {
    if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") }
}

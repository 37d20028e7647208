//! Sorts recent mail into groups, and offers to answer what asks something.

use countersign_sdk::{
    Action, Card, Context, Error, Filter, Intent, Item, Message, Outgoing, Request, Tools, json,
};

countersign_sdk::agent!(handle_intent, manifest = "../agent.json");

/// In the order they are shown.
const GROUPS: [&str; 3] = ["needs an answer", "other", "newsletter"];
const USUAL_WORDS: &str = "Thank you for your message. I will come back to you soon.";
/// What stands before the @ of addresses nobody reads.
const UNATTENDED: [&str; 4] = ["news", "newsletter", "no-reply", "noreply"];

fn handle_intent(intent: Intent, _context: Context, tools: Tools) -> Result<Card, Error> {
    match intent.action.as_str() {
        "triage" => Ok(triage(&tools.messages.list(Filter::default().limit(50))?)),
        "reply" => reply(&intent, tools),
        _ => Err(intent.unknown_action()),
    }
}

fn triage(messages: &[Message]) -> Card {
    let mut card = Card::list("Recent mail");
    let mut counts = Vec::new();
    for group in GROUPS {
        let members = messages.iter().filter(|message| group_of(message) == group);
        counts.push(format!("{group}: {}", members.clone().count()));
        card = card.items(members.map(item));
    }
    card.footer(counts.join(", "))
}

fn group_of(message: &Message) -> &'static str {
    let from = message.from.to_lowercase();
    let mailbox = from.split('@').next().unwrap_or_default();
    let body = &message.body;
    if UNATTENDED.contains(&mailbox) || body.to_lowercase().contains("unsubscribe") {
        return "newsletter";
    }
    match message.subject.contains('?') || body.contains('?') {
        true => "needs an answer",
        false => "other",
    }
}

fn item(message: &Message) -> Item {
    let (from, subject) = (&message.from, &message.subject);
    let group = group_of(message);
    let title = match subject.as_str() {
        "" => "(no subject)",
        subject => subject,
    };
    let item = Item::new(title).subtitle(from).metadata(group);
    if group != "needs an answer" {
        return item;
    }
    // Pressing the item submits the intent `reply` with these parameters.
    let params = json!({ "from": from, "subject": subject });
    item.action(Action::new("Reply", "reply").params(params))
}

fn reply(intent: &Intent, tools: Tools) -> Result<Card, Error> {
    let from: String = intent.parameter("from")?;
    let subject: String = intent.parameter("subject")?;
    let text: Option<String> = intent.parameter("text")?;
    let filter = Filter::default().from(&from).limit(100);
    let mut messages = tools.messages.list(filter)?.into_iter();
    let Some(message) = messages.find(|message| message.subject == subject) else {
        let why = format!("{from} wrote no such message.");
        return Ok(Card::error("Nothing to answer").description(why));
    };
    let request = Request::new("send_message", format!("Answer {}", message.from));
    let request = request.description(format!("A reply to \"{subject}\"."));
    if !tools.approval.request(request)?.approved {
        return Ok(Card::result("Reply not sent"));
    }
    // Exactly this message is what the person was shown: the host looked ahead to it.
    let body = text.unwrap_or(USUAL_WORDS.to_owned());
    let subject = format!("Re: {subject}");
    let reply = Outgoing::to(&message.from).subject(subject).body(body);
    tools.messages.send(reply)?;
    Ok(Card::result("Reply sent").description(format!("It went to {}.", message.from)))
}

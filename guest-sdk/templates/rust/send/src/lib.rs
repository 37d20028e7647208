//! Asks a person to approve a short note, and sends it.

use countersign_sdk::{Card, Context, Error, Intent, Outgoing, Request, Tools};

countersign_sdk::agent!(handle_intent, manifest = "../agent.json");

fn handle_intent(intent: Intent, _context: Context, tools: Tools) -> Result<Card, Error> {
    match intent.action.as_str() {
        "send" => {
            let (to, text) = (intent.parameter("to")?, intent.parameter("text")?);
            // A refused call is an error: its code is for programs, its message for people.
            let refused = |error: Error| Card::error("Note not sent").description(error.message);
            Ok(send(to, text, tools).unwrap_or_else(refused))
        }
        _ => Err(intent.unknown_action()),
    }
}

fn send(to: String, text: String, tools: Tools) -> Result<Card, Error> {
    // The host looks ahead to the call of `send` below: that message is what the person is shown and
    // approves, and no other leaves. Where it is certain to be refused, nobody is asked, and this fails.
    let request = Request::new("send_message", format!("Send a note to {to}"));
    let request = request.description("You asked for it to be sent.");
    let answer = tools.approval.request(request)?;
    if !answer.approved {
        let why = match answer.extras["reason"].as_str() {
            Some("expired") => "Nobody decided in time.",
            _ => "You declined.",
        };
        return Ok(Card::result("Note not sent").description(why));
    }
    let note = Outgoing::to(&to).subject("A note").body(text);
    tools.messages.send(note)?;
    Ok(Card::result("Note sent").description(format!("It went to {to}.")))
}

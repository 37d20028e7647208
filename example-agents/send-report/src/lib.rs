//! The example of the published contract: asks for approval, then sends a report.

use countersign_sdk::{Card, Context, Error, Intent, Outgoing, Request, Tools, json};

countersign_sdk::agent!(handle_intent, manifest = "../agent.json");

fn handle_intent(intent: Intent, _context: Context, tools: Tools) -> Result<Card, Error> {
    match intent.action.as_str() {
        "send_report" => send_report(tools),
        _ => Err(intent.unknown_action()),
    }
}

fn send_report(tools: Tools) -> Result<Card, Error> {
    // The whole message is not in the details, nor need it be: the host looks ahead to the call of `send` below, and
    // that is what the person is shown and approves.
    let answer = tools.approval.request(
        Request::new("send_message", "Send Q4 Report")
            .description("Send quarterly report to team@company.com")
            .details(json!({
                "to": ["team@company.com"],
                "subject": "Q4 2024 Report",
                "preview": "Attached is the quarterly report...",
            })),
    )?;
    if !answer.approved {
        return Ok(Card::error("Message not sent").description("You declined to send the message."));
    }

    let report = Outgoing::to("team@company.com")
        .subject("Q4 2024 Report")
        .body("Attached is the quarterly report for review.");
    Ok(match tools.messages.send(report) {
        Ok(_) => Card::result("✅ Message sent").description("Report sent to team@company.com"),
        Err(error) => Card::error("Failed to send message").description(error.message),
    })
}

//! The command line as scripts use it.

use crate::support::Cli;

#[test]
fn an_agent_asks_a_person_signs_and_exactly_that_leaves() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");

    let waiting = cli.json(3, &["run", &agent, "send_report"]);
    assert_eq!(waiting["status"], "waiting");
    let approval = &waiting["approval"];
    assert_eq!(approval["binding"], "exact");
    assert_eq!(approval["action"]["body"], "Attached is the quarterly report for review.");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"], serde_json::json!([]));

    let (id, digest) = (approval["id"].as_str().unwrap(), approval["digest"].as_str().unwrap());
    let done = cli.json(0, &["approval", "approve", id, "--digest", digest]);
    assert_eq!(done["status"], "done");
    assert_eq!(done["card"]["title"], "✅ Message sent");

    let sent = cli.json(0, &["mailbox", "sent"]);
    let messages = sent["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["digest"], digest);
    let letter = std::fs::read_to_string(cli.data().join(messages[0]["file"].as_str().unwrap())).unwrap();
    assert!(letter.contains("Attached is the quarterly report for review."), "{letter}");
}

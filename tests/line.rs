//! Runs that stand in line to ask a person: on disk, in order, whatever dies.

use crate::support::server::{Beside, PATIENCE, Server};
use crate::support::{Cli, Ended, guest};
use countersign::people::Role;
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;
use tokio::time::Instant;

/// A folder whose people are asked one thing at a time.
fn narrow() -> Cli {
    let cli = Cli::new();
    std::fs::create_dir(cli.data()).unwrap();
    std::fs::set_permissions(cli.data(), Permissions::from_mode(0o700)).unwrap();
    std::fs::write(cli.data().join("config.toml"), "[approval]\npending_per_agent = 1\n").unwrap();
    cli
}

fn order(subject: &str) -> String {
    let message = json!({ "to": ["team@company.com"], "subject": subject, "body": "Hello." });
    let ask = json!({ "action": "send_message", "title": subject });
    json!([{ "call": "approval.request", "with": ask }, { "call": "messages.send", "with": message }])
        .to_string()
}

fn run<'a>(agent: &'a str, parameter: &'a str) -> [&'a str; 6] {
    ["--json", "run", agent, "script", "--params", parameter]
}

fn standing(cli: &Cli, intent: &Value) -> String {
    let shown = cli.json(0, &["intent", "show", intent.as_str().unwrap()]);
    shown["status"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_in_line_survives_the_death_of_whoever_drove_it_and_asks_in_its_turn() {
    for moment in ["asking", "asked"] {
        let cli = narrow();
        let agent = cli.install("guest-script", "messages.send");
        let steps = |subject: &str| format!("{{\"steps\":{}}}", order(subject));
        let first = cli.run(&run(&agent, &steps("First")));
        assert_eq!(first.code, 3, "{first:#?}");

        // Whoever puts it down dies over it: it is in line, or can be picked up and gets in line.
        let died = cli.command(&run(&agent, &steps("Second"))).env("COUNTERSIGN_DIE_AT", moment).output();
        let died = died.unwrap().status;
        assert!(died.signal().is_some(), "{moment}: {died:?}");
        let second = cli.json(0, &["intent", "list"])["intents"][0]["id"].clone();
        cli.run(&["intent", "resume", second.as_str().unwrap()]);
        assert_eq!(standing(&cli, &second), "blocked", "{moment}");

        let third = cli.run(&run(&agent, &steps("Third")));
        assert_eq!((third.code, third.json()["status"].as_str()), (3, Some("blocked")), "{third:#?}");

        // A decision is the next one's turn, also where whoever took it dies before it could be driven.
        let approval = first.json()["approval"]["id"].as_str().unwrap().to_owned();
        let digest = first.json()["approval"]["digest"].as_str().unwrap().to_owned();
        cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
        let died = cli.command(&["intent", "list"]).env("COUNTERSIGN_DIE_AT", "expired").output().unwrap();
        assert!(died.status.signal().is_some(), "{moment}: {died:?}");
        let Ended { code, .. } = cli.run(&["intent", "resume", second.as_str().unwrap()]);
        assert_eq!((code, standing(&cli, &second).as_str()), (3, "waiting"), "{moment}");
        assert_eq!(standing(&cli, &third.json()["intent"]), "blocked", "{moment}");

        // Whoever gives up leaves the line.
        cli.json(0, &["intent", "cancel", second.as_str().unwrap()]);
        assert_eq!(standing(&cli, &third.json()["intent"]), "waiting", "{moment}");
        cli.json(0, &["audit", "verify"]);
    }
}

#[test]
fn a_server_lets_those_in_line_ask_by_itself_and_each_person_has_a_line_of_their_own() {
    let cli = narrow();
    let server = Server::start(&cli);
    let beside = Beside::open(&cli);
    let ada = beside.person("main", "ada", &Role::ALL);
    let ben = beside.person("main", "ben", &Role::ALL);
    let agent = beside.install(&ben, std::fs::read(guest("guest-script")).unwrap(), &[&ada, &ben]);
    let submit = |token: &str, subject: &str| {
        let parameters = json!({ "steps": serde_json::from_str::<Value>(&order(subject)).unwrap() });
        let body = json!({ "agent": agent, "action": "script", "parameters": parameters });
        server.api(201, token, "POST", "/v1/intents", Some(&body))["intent"].as_str().unwrap().to_owned()
    };
    let until = |token: &str, intent: &str, status: &str| {
        let since = Instant::now();
        loop {
            let shown = server.api(200, token, "GET", &format!("/v1/intents/{intent}"), None);
            if shown["status"] == status {
                return shown;
            }
            assert!(since.elapsed() < PATIENCE, "{status}: {shown:#}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let first = submit(&ada.token, "First");
    let shown = until(&ada.token, &first, "waiting");
    let second = submit(&ada.token, "Second");
    until(&ada.token, &second, "blocked");
    let other = submit(&ben.token, "Of another person");
    until(&ben.token, &other, "waiting");
    let list = server.api(200, &ada.token, "GET", "/v1/intents?status=blocked", None);
    assert_eq!(list["intents"].as_array().map(Vec::len), Some(1), "{list:#}");

    let (id, digest) = (&shown["approvals"][0]["id"], &shown["approvals"][0]["digest"]);
    let path = format!("/v1/approvals/{}/decision", id.as_str().unwrap());
    let body = json!({ "verdict": "decline", "digest": digest });
    server.api(200, &ada.token, "POST", &path, Some(&body));
    until(&ada.token, &second, "waiting");
}

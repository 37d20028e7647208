//! Who may do what, as one picture: every set of grants, every answer of the person, every way an agent may behave.
//!
//! `tests/authority-matrix.txt` is the committed picture; `BLESS=1` draws it anew.

use crate::support::{guest, workspace};
use countersign::approval::Verdict;
use countersign::authority::Capability;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options};
use countersign::intent::Status;
use countersign::tools::ROOMS;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

const GRANTS: &[(&str, &[Capability])] = &[
    ("none", &[]),
    ("read", &[Capability::MessagesRead]),
    ("send", &[Capability::MessagesSend]),
    ("read+send", &[Capability::MessagesRead, Capability::MessagesSend]),
];

const ANSWERS: &[(&str, Option<Verdict>)] =
    &[("-", None), ("no", Some(Verdict::Decline)), ("yes", Some(Verdict::Approve))];

/// A way to behave, and whether a message may leave when everything is granted and approved.
fn behaviours(row: usize) -> Vec<(&'static str, bool, Value)> {
    // Each row is about a message of its own: what was declined is not asked about again so soon.
    let message = |body: &str| message(row, body);
    let send = |body: &str| json!({"call": "messages.send", "with": message(body)});
    let ask = || json!({"call": "approval.request", "with": {"action": "send_message", "title": "T", "description": "d"}});
    let declare = || {
        let with =
            json!({"action": "send_message", "title": "T", "description": "d", "details": message("one")});
        json!({"call": "approval.request", "with": with})
    };
    let bad = json!({"call": "messages.send", "with": {"to": ["nobody"], "subject": "s", "body": "one"}});
    vec![
        ("lists", false, json!([{"call": "messages.list"}])),
        ("sends unasked", false, json!([send("one")])),
        ("asks, sends", true, json!([ask(), send("one")])),
        (
            "asks, sends if yes",
            true,
            json!([ask(), {"call": "messages.send", "with": message("one"), "when": "approved"}]),
        ),
        ("asks, lists, sends", true, json!([ask(), {"call": "messages.list"}, send("one")])),
        ("asks, sends twice", true, json!([ask(), send("one"), send("one")])),
        ("declares, asks, sends another", true, json!([declare(), declare(), send("two")])),
        ("asks twice, sends", true, json!([ask(), ask(), send("one")])),
        ("asks, sends nowhere", false, json!([ask(), bad])),
        (
            "asks, looks it up",
            false,
            json!([ask(), {"call": "approval.result", "with": {"approvalId": "$last"}}]),
        ),
    ]
}

fn message(row: usize, body: &str) -> Value {
    json!({"to": ["team@company.com"], "subject": format!("Number {row}"), "body": body})
}

/// What the agent heard, call by call, in one word each.
fn heard(card: &Value) -> String {
    let lines = card["body"].as_str().unwrap_or_default().lines();
    let word = |line: &str| {
        let (call, rest) = line.split_once(" -> ").unwrap_or((line, ""));
        let call = call.rsplit('.').next().unwrap_or(call);
        format!("{call}:{}", rest.split(' ').next().unwrap_or_default())
    };
    lines.map(word).collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_matrix_is_the_committed_picture() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::open(Options {
        data: folder.path().join("data"),
        config: Config::default(),
        clock: Arc::new(Clock::virtual_at(0, 0)),
        cache: None,
        limits: Limits::default(),
        in_memory: true,
    })
    .unwrap();
    let component = std::fs::read(guest("guest-script")).unwrap();
    let (agent, _) = host.install("local", component, Install::default(), "test").await.unwrap();
    let id = agent.installed.manifest.id;
    let all: Vec<_> = agent.installed.manifest.capabilities.clone();

    let mut picture =
        format!("{:<10} {:<6} {:<30} {:<9} {:>4}  heard\n", "granted", "answer", "the agent", "ends", "sent");
    for (grant_name, granted) in GRANTS {
        host.revoke("local", &id, &all, "operator").await.unwrap();
        host.grant("local", &id, granted, "test").await.unwrap();
        for (answer_name, answer) in ANSWERS {
            for (behaviour, may_leave, steps) in behaviours(picture.lines().count()) {
                let before = host.sent("local").unwrap().len();
                let parameters = Map::from_iter([("steps".to_owned(), steps)]);
                let mut view = host.submit("local", &id, "script", parameters, None).await.unwrap();
                while let (Some(verdict), Some(pending)) = (answer, view.pending()) {
                    let (approval, shown) = (pending.approval.id.clone(), pending.approval.digest);
                    host.decide("local", &approval, *verdict, shown, "test", None).await.unwrap();
                    view = host.resume("local", &view.intent.id).await.unwrap();
                }
                let sent = host.sent("local").unwrap().len() - before;
                let ends = view.intent.status.name();
                let heard = view.intent.card.as_ref().map(heard).unwrap_or_default();
                let row =
                    format!("{grant_name:<10} {answer_name:<6} {behaviour:<30} {ends:<9} {sent:>4}  {heard}");
                let _ = writeln!(picture, "{}", row.trim_end());

                let allowed = may_leave && granted.contains(&Capability::MessagesSend);
                let approved = *answer == Some(Verdict::Approve);
                assert_eq!(sent, usize::from(allowed && approved), "{row}");
                if view.intent.status == Status::Waiting {
                    host.cancel("local", &view.intent.id).await.unwrap();
                }
            }
        }
    }
    let path = workspace().join("tests/authority-matrix.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &picture).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), picture, "BLESS=1 draws the picture anew");
}

#[test]
fn the_matrix_covers_every_call_and_every_capability_of_every_room() {
    let used: BTreeSet<_> = behaviours(0)
        .iter()
        .flat_map(|(_, _, steps)| steps.as_array().unwrap().clone())
        .map(|step| step["call"].as_str().unwrap().to_owned())
        .collect();
    for call in ROOMS.iter().flat_map(|room| room.calls) {
        assert!(used.contains(call.name), "no behaviour calls {}", call.name);
        if let Some(capability) = call.capability {
            let granted = |wanted: bool| GRANTS.iter().any(|(_, set)| set.contains(&capability) == wanted);
            assert!(granted(true) && granted(false), "{capability} is not granted and withheld");
        }
    }
}

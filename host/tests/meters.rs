//! What the host counts, read as whoever watches it reads it.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../tests/support/guests.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod support;

use countersign::approval::Verdict;
use countersign::approval::outbox::Outcome;
use countersign::authority::Capability;
use countersign::backends::rehearsal::Rehearsed;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options, View};
use countersign::intent::Status;
use countersign::refusals::Code;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

const AGENT: &str = "com.example.metered";

fn open(data: &Path) -> Host {
    let host = Options {
        data: data.join("data"),
        config: Config::default(),
        clock: Arc::new(Clock::virtual_at(1_000_000, 0)),
        cache: None,
        limits: Limits::default(),
        in_memory: true,
    };
    Host::open(host).unwrap()
}

/// Installs the agent that does as its parameters say. It may send, and not read.
async fn install(host: &Host) {
    let bytes = std::fs::read(support::guest("guest-script-bare")).unwrap();
    let manifest = json!({"id": AGENT, "name": "Metered", "version": "1.0.0", "description": "d",
        "capabilities": ["messages.read", "messages.send"]});
    let grants = vec![Capability::MessagesSend];
    let how = Install { manifest: Some(manifest.to_string()), grants, ..Install::default() };
    host.install("local", bytes, how, "test").await.unwrap();
}

async fn run(host: &Host, steps: Value) -> View {
    let parameters = Map::from_iter([("steps".to_owned(), steps)]);
    host.submit("local", AGENT, "script", parameters, None).await.unwrap()
}

/// Asks about a message, and sends it.
fn report(subject: &str) -> Value {
    let ask = json!({"action": "send_message", "title": "T", "description": "d"});
    let message = json!({"to": ["team@example.com"], "subject": subject, "body": "b"});
    json!([{"call": "approval.request", "with": ask}, {"call": "messages.send", "with": message}])
}

async fn decide(host: &Host, view: &View, verdict: Verdict) {
    let pending = &view.pending().unwrap().approval;
    host.decide("local", &pending.id, verdict, pending.digest, "test", None).await.unwrap();
}

/// The number behind a name and its labels.
fn number(host: &Host, name: &str) -> f64 {
    let text = host.metrics().unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{name} is not in\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn a_report_that_is_signed_is_counted_from_its_start_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let host = open(folder.path());
    install(&host).await;
    let view = run(&host, report("one")).await;
    host.clock().advance(5_000);
    for (name, expected) in [
        ("countersign_intents{status=\"waiting\"}", 1.0),
        ("countersign_intents{status=\"running\"}", 0.0),
        ("countersign_approvals_pending", 1.0),
        ("countersign_approvals_pending_oldest_age_seconds", 5.0),
        ("countersign_run_seconds_count{to=\"waiting\"}", 1.0),
        // The run, and the look ahead.
        ("countersign_segment_fuel_count", 2.0),
        ("countersign_segment_memory_bytes_count", 2.0),
        ("countersign_decisions_total{verdict=\"approve\"}", 0.0),
        ("countersign_resume_seconds_count", 0.0),
    ] {
        assert_eq!(number(&host, name), expected, "{name}");
    }
    decide(&host, &view, Verdict::Approve).await;
    assert_eq!(number(&host, "countersign_intents{status=\"running\"}"), 1.0);
    host.clock().advance(2_000);
    host.resume("local", &view.intent.id).await.unwrap();
    for (name, expected) in [
        ("countersign_intents{status=\"waiting\"}", 0.0),
        ("countersign_intents{status=\"running\"}", 0.0),
        ("countersign_approvals_pending", 0.0),
        ("countersign_approvals_pending_oldest_age_seconds", 0.0),
        ("countersign_decisions_total{verdict=\"approve\"}", 1.0),
        ("countersign_decisions_total{verdict=\"decline\"}", 0.0),
        ("countersign_sends_total{outcome=\"kept\"}", 1.0),
        ("countersign_runs_ended_total{status=\"done\",code=\"\"}", 1.0),
        ("countersign_run_seconds_count{to=\"ended\"}", 1.0),
        ("countersign_resume_seconds_count", 1.0),
        ("countersign_resume_seconds_sum", 2.0),
        ("countersign_segment_fuel_count", 3.0),
        // The ask, what was sent, and the end.
        ("countersign_commit_seconds_count", 3.0),
    ] {
        assert_eq!(number(&host, name), expected, "{name}");
    }
    assert!(number(&host, "countersign_segment_fuel_sum") > 3_000.0);
    assert!(number(&host, "countersign_segment_memory_bytes_sum") >= 3.0 * 65_536.0);
    assert_eq!(number(&host, "countersign_database_commits_total"), host.commits() as f64);
    // Executing it once more for the record is nothing that happens.
    host.replay("local", &view.intent.id, None).await.unwrap();
    assert_eq!(number(&host, "countersign_segment_fuel_count"), 3.0);
}

#[tokio::test]
async fn a_no_is_counted_by_its_code_whoever_hears_it() {
    let folder = tempfile::tempdir().unwrap();
    let host = open(folder.path());
    install(&host).await;
    run(&host, json!([{"call": "messages.list"}])).await;
    let denied = "countersign_refusals_total{to=\"agent\",code=\"CAPABILITY_DENIED\"}";
    assert_eq!(number(&host, denied), 1.0);
    host.refused(Code::UnknownId);
    assert_eq!(number(&host, "countersign_refusals_total{to=\"person\",code=\"UNKNOWN_ID\"}"), 1.0);
    let view = run(&host, report("declined")).await;
    decide(&host, &view, Verdict::Decline).await;
    host.resume("local", &view.intent.id).await.unwrap();
    assert_eq!(number(&host, "countersign_decisions_total{verdict=\"decline\"}"), 1.0);
    let view = run(&host, report("cancelled")).await;
    host.cancel("local", &view.intent.id).await.unwrap();
    assert_eq!(number(&host, "countersign_runs_ended_total{status=\"cancelled\",code=\"\"}"), 1.0);
    assert!(host.cancel("local", &view.intent.id).await.is_err());
    assert_eq!(number(&host, "countersign_runs_ended_total{status=\"cancelled\",code=\"\"}"), 1.0);
    // What was refused in its first segment is repeated in the second, and not heard anew.
    assert_eq!(number(&host, denied), 1.0);
}

#[tokio::test]
async fn messages_on_their_way_are_counted_by_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = open(folder.path());
    let not_yet = Outcome::NotSent { why: "later".into(), again: true, rejected: vec![] };
    let lost = Outcome::Uncertain { why: "the line was cut".into() };
    host.rehearse_transport(Arc::new(Rehearsed::new([not_yet, lost])));
    install(&host).await;
    let view = run(&host, report("late")).await;
    decide(&host, &view, Verdict::Approve).await;
    let view = host.resume("local", &view.intent.id).await.unwrap();
    assert_eq!(view.intent.status, Status::Sending);
    for (name, expected) in [
        ("countersign_intents{status=\"sending\"}", 1.0),
        ("countersign_intents{status=\"running\"}", 0.0),
        ("countersign_outbox_messages{state=\"queued\"}", 1.0),
        ("countersign_sends_total{outcome=\"not_sent\"}", 1.0),
        ("countersign_run_seconds_count{to=\"sending\"}", 1.0),
        ("countersign_resume_seconds_count", 0.0),
    ] {
        assert_eq!(number(&host, name), expected, "{name}");
    }
    host.clock().advance(10_000);
    host.deliver("local").await.unwrap();
    for (name, expected) in [
        ("countersign_intents{status=\"sending\"}", 0.0),
        ("countersign_outbox_messages{state=\"queued\"}", 0.0),
        ("countersign_outbox_messages{state=\"uncertain\"}", 1.0),
        ("countersign_sends_total{outcome=\"uncertain\"}", 1.0),
        ("countersign_sends_total{outcome=\"sent\"}", 0.0),
        ("countersign_resume_seconds_sum", 10.0),
    ] {
        assert_eq!(number(&host, name), expected, "{name}");
    }
}

#[tokio::test]
async fn the_names_are_those_that_dashboards_know_and_nothing_in_them_is_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let host = open(folder.path());
    let types = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ").map(str::to_owned)).collect()
    };
    let lines = |text: &str| text.lines().count();
    let before = host.metrics().unwrap();
    assert_eq!(
        types(&before),
        [
            "countersign_build_info gauge",
            "countersign_decisions_total counter",
            "countersign_sends_total counter",
            "countersign_refusals_total counter",
            "countersign_runs_ended_total counter",
            "countersign_database_commits_total counter",
            "countersign_run_seconds histogram",
            "countersign_resume_seconds histogram",
            "countersign_commit_seconds histogram",
            "countersign_segment_fuel histogram",
            "countersign_segment_memory_bytes histogram",
            "countersign_intents gauge",
            "countersign_approvals_pending gauge",
            "countersign_approvals_pending_oldest_age_seconds gauge",
            "countersign_outbox_messages gauge",
            "countersign_run_turns gauge",
        ]
    );
    assert!(
        before.ends_with('\n')
            && !before.contains("# EOF")
            && before.contains("# TYPE countersign_sends_total counter\n")
    );
    install(&host).await;
    let view = run(&host, report("foreign")).await;
    decide(&host, &view, Verdict::Approve).await;
    host.resume("local", &view.intent.id).await.unwrap();
    let after = host.metrics().unwrap();
    assert_eq!(lines(&after), lines(&before), "everything is there from the start, and stays so");
    for foreign in [AGENT, "\"local\"", "\"main\"", "example.com", "int_", "appr_"] {
        assert!(!after.contains(foreign), "{foreign} in\n{after}");
    }
}

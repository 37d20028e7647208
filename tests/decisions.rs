//! Decisions that hold, seen from the command line: edits, yeses taken back, the audit, and what is forgotten.

use crate::support::{Cli, Ended, guest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const AGENT: &str = "com.example.agent.send-report";

fn waiting(cli: &Cli) -> (String, String, String) {
    let run = cli.json(3, &["run", AGENT, "send_report"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&run["intent"]), text(&run["approval"]["id"]), text(&run["approval"]["digest"]))
}

fn installed() -> Cli {
    let cli = Cli::new();
    cli.install("send-report", "messages.send");
    cli
}

fn code(ended: &Ended) -> (i32, String) {
    (ended.code, ended.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn an_edited_message_is_shown_again_and_leaves_as_signed() {
    let cli = installed();
    let (_, approval, digest) = waiting(&cli);
    let body = cli.scratch().join("body.txt");
    std::fs::write(&body, "Shorter.\n").unwrap();
    let edit = ["approval", "edit", &approval, "--subject", "Q4", "--body-file", body.to_str().unwrap()];
    let edited = cli.json(0, &edit);
    assert_eq!(edited["approval"]["action"]["subject"], "Q4");
    assert_eq!(edited["approval"]["action"]["body"], "Shorter.\n");
    let flags = edited["approval"]["flags"].as_array().unwrap();
    assert!(flags.iter().any(|flag| flag["flag"] == "edited"), "{flags:?}");

    // Who has seen the message before the edit cannot sign it, nor edit it from there.
    let stale = cli.run(&["--json", "approval", "approve", &approval, "--digest", &digest]);
    assert_eq!(code(&stale), (6, "STALE_DIGEST".into()));
    let stale = cli.run(&["--json", "approval", "edit", &approval, "--subject", "x", "--digest", &digest]);
    assert_eq!(code(&stale), (6, "STALE_DIGEST".into()));

    let shown = edited["approval"]["digest"].as_str().unwrap();
    let done = cli.json(0, &["approval", "approve", &approval, "--digest", shown]);
    assert_eq!(done["status"], "done");
    let sent = cli.json(0, &["mailbox", "sent"]);
    assert_eq!(sent["messages"][0]["subject"], "Q4");
    let file = cli.data().join(sent["messages"][0]["file"].as_str().unwrap());
    let letter = std::fs::read_to_string(file).unwrap();
    assert!(
        letter.contains("Subject: Q4\r\n") && letter.contains("Shorter.") && !letter.contains("quarterly")
    );
}

#[test]
fn a_link_to_a_known_domain_stays_usual_once_it_is_decided() {
    let cli = installed();
    // The operator lists it, and so it is known.
    let list = "[approval]\nrecipients = [\"*@company.com\"]\n";
    std::fs::write(cli.data().join("config.toml"), list).unwrap();
    let (_, approval, _) = waiting(&cli);
    let body = cli.scratch().join("body.txt");
    std::fs::write(&body, "See https://docs.company.com/report.\n").unwrap();
    let edited = cli.json(0, &["approval", "edit", &approval, "--body-file", body.to_str().unwrap()]);
    let weight = |approval: &Value| {
        let flags = approval["flags"].as_array().unwrap();
        flags.iter().find(|flag| flag["flag"] == "links").unwrap()["weight"].clone()
    };
    assert_eq!(weight(&edited["approval"]), "usual");
    let digest = edited["approval"]["digest"].as_str().unwrap();
    cli.json(0, &["approval", "approve", &approval, "--digest", digest]);
    assert_eq!(weight(&cli.json(0, &["approval", "show", &approval])), "usual");
}

#[test]
fn an_edit_never_reaches_a_new_recipient() {
    let cli = installed();
    let (_, approval, _) = waiting(&cli);
    let stranger = cli.run(&["--json", "approval", "edit", &approval, "--remove-recipient", "x@y.z"]);
    assert_eq!(code(&stranger), (2, "USAGE".into()));
    let last = ["--json", "approval", "edit", &approval, "--remove-recipient", "team@company.com"];
    assert_eq!(code(&cli.run(&last)), (6, "INVALID_PARAMETER".into()));
    let nothing = cli.run(&["--json", "approval", "edit", &approval]);
    assert_eq!(code(&nothing), (2, "USAGE".into()));
    assert!(cli.run(&["approval", "edit", "--help"]).stdout.contains("--remove-recipient"));
    assert!(!cli.run(&["approval", "edit", "--help"]).stdout.contains("--to "));
}

#[test]
fn a_yes_is_taken_back_until_it_is_used() {
    let cli = installed();
    let (intent, approval, digest) = waiting(&cli);
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest, "--no-resume"]);
    let taken = cli.json(0, &["approval", "revoke", &approval]);
    assert_eq!(taken["approval"]["state"], "revoked");
    let done = cli.json(5, &["intent", "resume", &intent]);
    assert!(done["card"]["description"].as_str().unwrap().contains("withdrawn"), "{done:#}");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"], json!([]));

    let (_, approval, digest) = waiting(&cli);
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    let late = cli.run(&["--json", "approval", "revoke", &approval]);
    assert_eq!(code(&late), (6, "ALREADY_DECIDED".into()));
    assert!(late.stdout.contains("too late"), "{late:#?}");
}

#[test]
fn every_decision_prints_the_head_of_the_audit_and_the_audit_holds_it() {
    let cli = installed();
    let (_, approval, digest) = waiting(&cli);
    let done = cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    let head = done["auditHead"].as_str().unwrap();
    let verified = cli.json(0, &["audit", "verify", "--head", head]);
    // The decision, its use and the delivery stand behind the head that was printed with the decision.
    assert_ne!(verified["head"], head);
    let unknown = cli.run(&["--json", "audit", "verify", "--head", &"0f".repeat(32)]);
    assert_eq!(code(&unknown), (6, "AUDIT_BROKEN".into()));
    let plain = cli.run(&["approval", "list"]);
    assert_eq!(plain.code, 0);
    let (_, approval, digest) = waiting(&cli);
    let drawn = cli.run(&["approval", "approve", &approval, "--digest", &digest]);
    assert!(drawn.stderr.contains("Audit head "), "{drawn:#?}");
}

#[test]
fn an_export_can_be_checked_by_anybody() {
    let cli = installed();
    let (_, approval, digest) = waiting(&cli);
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    cli.json(0, &["agent", "revoke", AGENT, "messages.send"]);
    let export = cli.run(&["audit", "export"]).stdout;
    let mut previous = vec![0; 32];
    let mut kinds = Vec::new();
    for line in export.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        // As the documents describe it, with nothing of ours.
        let mut hashed = Vec::new();
        let body = serde_json::to_string(&entry["body"]).unwrap();
        let fields = [
            "countersign/audit/v2".to_owned(),
            String::new(),
            entry["seq"].to_string(),
            text("at"),
            text("kind"),
            body,
        ];
        for (place, field) in fields.iter().enumerate() {
            let bytes = if place == 1 { &previous[..] } else { field.as_bytes() };
            hashed.extend((bytes.len() as u32).to_be_bytes());
            hashed.extend(bytes);
        }
        let hash = Sha256::digest(&hashed);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!((text("previous"), text("hash")), (hex(&previous), hex(&hash)), "{line}");
        previous = hash.to_vec();
        kinds.push(text("kind"));
    }
    assert_eq!(kinds, ["policy", "install", "grant", "decide", "use", "deliver", "deny"]);
    assert!(!export.contains("quarterly") && !export.contains("team@company.com"), "no message is in it");
    let verified = cli.json(0, &["audit", "verify"]);
    assert_eq!(verified["head"], previous.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
}

#[test]
fn what_ended_less_than_a_day_ago_is_not_forgotten() {
    let cli = installed();
    let early = cli.run(&["--json", "intent", "purge", "--older-than", "23h"]);
    assert_eq!(code(&early), (2, "USAGE".into()));
    let (_, approval, digest) = waiting(&cli);
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    let purged = cli.json(0, &["intent", "purge", "--older-than", "24h"]);
    assert_eq!(purged, json!({ "intents": 0, "messages": 0, "kept": 0 }));
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 1);
}

/// On the library, whose clock can be moved.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_gone_from_the_disk_and_the_audit_stays() {
    use countersign::approval::Verdict;
    use countersign::approval::outbox::Resolution;
    use countersign::host::{Host, Install, Options};
    use std::sync::Arc;

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let clock = Arc::new(countersign::clock::Clock::virtual_at(1_700_000_000_000, 0));
    let mut host = Host::open(Options {
        data: data.clone(),
        config: countersign::config::Config::default(),
        clock: clock.clone(),
        cache: None,
        limits: countersign::engine::limits::Limits::default(),
        in_memory: false,
    })
    .unwrap();
    let grants = vec!["messages.send".parse().unwrap()];
    let component = std::fs::read(guest("guest-script")).unwrap();
    let install = Install { grants, ..Install::default() };
    let agent = host.install("local", component, install, "me").await.unwrap().0.installed.manifest.id;
    let said = |what: &str| {
        let ask =
            json!({"call": "approval.request", "with": {"action": "a", "title": what, "description": "d"}});
        let message = json!({"to": ["team@company.com"], "subject": what, "body": format!("{what} {}", "x".repeat(5000))});
        let log = json!({"call": "log", "with": {"text": what}});
        json!([log, ask, {"call": "messages.send", "with": message}]).as_array().unwrap().clone()
    };
    let run = async |host: &Host, what: &str| {
        let parameters = serde_json::from_value(json!({ "steps": said(what) })).unwrap();
        let view = host.submit("local", &agent, "script", parameters, None).await.unwrap();
        let pending = view.pending().unwrap();
        let (id, shown) = (pending.approval.id.clone(), pending.approval.digest);
        host.decide("local", &id, Verdict::Approve, shown, "me", None).await.unwrap();
        host.resume("local", &view.intent.id).await.unwrap();
        id
    };
    run(&host, "Confidential-and-old").await;
    // What somebody was killed over while they wrote it.
    std::fs::write(data.join("sent/cut-off.eml.tmp"), "Confidential-and-old").unwrap();
    let lost = countersign::approval::outbox::Outcome::Uncertain { why: "lost".into() };
    host.rehearse_transport(Arc::new(countersign::backends::rehearsal::Rehearsed::new([lost])));
    let uncertain = run(&host, "Uncertain-and-old").await;
    clock.advance(40 * 24 * 3_600_000);
    run(&host, "Recent").await;

    let on_disk = |what: &str| -> usize {
        let mut found = 0;
        for entry in walk(&data) {
            let bytes = std::fs::read(entry).unwrap();
            found += usize::from(bytes.windows(what.len()).any(|window| window == what.as_bytes()));
        }
        found
    };
    assert!(on_disk("Confidential-and-old") > 0, "the test looks where bodies are");
    let purged = host.purge("main", 30 * 24 * 3_600_000, "me").await.unwrap();
    assert_eq!((purged.intents, purged.letters.len(), purged.kept), (1, 1, 1));
    assert_eq!(on_disk("Confidential-and-old"), 0);
    assert!(on_disk("Uncertain-and-old") > 0 && on_disk("Recent") > 0);
    let audited = host.audit("main", None).unwrap();
    assert_eq!((audited.broken, audited.strays), (None, vec![]));
    assert_eq!(host.sent("local").unwrap().len(), 1);

    // Once it is settled it can be forgotten, too.
    host.resolve("local", &uncertain, Resolution::NotSent, "me").await.unwrap();
    assert_eq!(host.purge("main", 30 * 24 * 3_600_000, "me").await.unwrap().intents, 1);
    assert_eq!(on_disk("Uncertain-and-old"), 0);
    assert_eq!(host.audit("main", None).unwrap().broken, None);
}

/// On the library, where answers can be lost.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_a_message_offered_again_for_an_agent_that_is_gone() {
    use countersign::approval::Verdict;
    use countersign::approval::outbox::{Outcome, Resolution, State};
    use countersign::host::{Host, Install, Options};
    use countersign::refusals::{Code, Error};
    use std::sync::Arc;

    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(countersign::clock::Clock::virtual_at(1_700_000_000_000, 0));
    let mut host = Host::open(Options {
        data: folder.path().join("data"),
        config: countersign::config::Config::default(),
        clock: clock.clone(),
        cache: None,
        limits: countersign::engine::limits::Limits::default(),
        in_memory: true,
    })
    .unwrap();
    let lost = Outcome::Uncertain { why: "lost".into() };
    let later = Outcome::NotSent { why: "later".into(), again: true, rejected: vec![] };
    let outcomes = [lost.clone(), lost, later];
    host.rehearse_transport(Arc::new(countersign::backends::rehearsal::Rehearsed::new(outcomes)));
    let grants = vec!["messages.send".parse().unwrap()];
    let component = std::fs::read(guest("send-report")).unwrap();
    let install = Install { grants, ..Install::default() };
    host.install("local", component, install, "me").await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let view = host.submit("local", AGENT, "send_report", Default::default(), None).await.unwrap();
        let pending = view.pending().unwrap();
        let (id, shown) = (pending.approval.id.clone(), pending.approval.digest);
        host.decide("local", &id, Verdict::Approve, shown, "me", None).await.unwrap();
        host.resume("local", &view.intent.id).await.unwrap();
        ids.push(id);
    }
    let state = |host: &Host, id: &str| host.outgoing("local", id).unwrap().state;
    assert_eq!((state(&host, &ids[0]), state(&host, &ids[1])), (State::Uncertain, State::Uncertain));

    // One waits for its next attempt when the agent is removed, and the other is asked for afterwards.
    host.resolve("local", &ids[0], Resolution::Resend, "me").await.unwrap();
    assert_eq!(state(&host, &ids[0]), State::Queued);
    host.remove("main", AGENT, "me").await.unwrap();
    clock.advance(3_600_000);
    host.deliver("local").await.unwrap();
    assert_eq!(state(&host, &ids[0]), State::Uncertain);
    let refused = host.resolve("local", &ids[1], Resolution::Resend, "me").await.unwrap_err();
    let Error::Refused(problem) = refused else { panic!("{refused}") };
    assert_eq!(problem.code, Code::CapabilityDenied);
    assert_eq!(host.sent("local").unwrap().len(), 0);
}

pub fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

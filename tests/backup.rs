//! A backup holds everything as it was at one moment, and what is put back lets nothing leave twice without a person.

use crate::support::{Cli, Ended};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A new ask: intent, approval, digest.
fn ask(cli: &Cli, agent: &str) -> (String, String, String) {
    let run = cli.json(3, &["run", agent, "send_report"]);
    (text(&run["intent"]), text(&run["approval"]["id"]), text(&run["approval"]["digest"]))
}

/// Runs on another data folder.
fn on(cli: &Cli, data: &Path, arguments: &[&str]) -> Ended {
    cli.run(&[&["--json", "--data", data.to_str().unwrap()], arguments].concat())
}

fn told(cli: &Cli, data: &Path, arguments: &[&str]) -> Value {
    let ended = on(cli, data, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {ended:#?}");
    ended.json()
}

fn flags(approval: &Value) -> Vec<String> {
    approval["flags"].as_array().unwrap().iter().map(|flag| text(&flag["flag"])).collect()
}

#[test]
fn what_was_about_to_leave_is_uncertain_once_restored_and_leaves_only_by_a_person() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");
    let (_, sent, digest) = ask(&cli, &agent);
    cli.json(0, &["approval", "approve", &sent, "--digest", &digest]);
    let (intent, armed, digest) = ask(&cli, &agent);
    cli.json(0, &["approval", "approve", &armed, "--digest", &digest, "--no-resume"]);
    let (_, pending, digest) = ask(&cli, &agent);

    let file = cli.scratch().join("all.backup");
    let file = file.to_str().unwrap();
    let backed_up = cli.json(0, &["backup", file]);
    assert_eq!(backed_up["tenants"], json!(["main"]));
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);

    // Life goes on: what was armed leaves, what was pending is signed and leaves.
    cli.json(0, &["intent", "resume", &intent]);
    cli.json(0, &["approval", "approve", &pending, "--digest", &digest]);
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 3);
    assert!(!flags(&cli.json(0, &["approval", "show", &pending])).contains(&"restored".to_owned()));

    let data = cli.scratch().join("restored");
    let restored = told(&cli, &data, &["restore", file]);
    assert_eq!(restored["uncertain"], json!([armed]));
    assert_eq!((&restored["pending"], &restored["taken"]), (&json!(1), &backed_up["taken"]));

    // What had left is there as files before anything else is done.
    let letters = std::fs::read_dir(data.join("sent")).unwrap().count();
    assert_eq!(letters, 1);
    let open = told(&cli, &data, &["outbox", "list", "--open"]);
    assert_eq!(open["messages"][0]["state"], "uncertain");
    let why = format!("restored from a backup of {}: it may have been sent since", text(&backed_up["taken"]));
    assert_eq!(open["messages"][0]["why"], why);
    assert_eq!(told(&cli, &data, &["approval", "show", &armed])["state"], "cancelled");
    let again = told(&cli, &data, &["approval", "show", &pending]);
    assert_eq!((&again["state"], flags(&again)[0].as_str()), (&json!("pending"), "restored"));
    assert!(text(&again["flags"][0]["text"]).contains(&text(&backed_up["taken"])));

    // The run goes on, and sends nothing.
    assert_eq!(on(&cli, &data, &["intent", "resume", &intent]).code, 5);
    assert_eq!(told(&cli, &data, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 1);
    told(&cli, &data, &["outbox", "resolve", &armed, "--sent"]);
    assert_eq!(told(&cli, &data, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 2);
    told(&cli, &data, &["audit", "verify"]);
    let export = cli.run(&["--data", data.to_str().unwrap(), "audit", "export"]).stdout;
    let entries: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let restore = entries.iter().find(|entry| entry["kind"] == "restore").unwrap();
    assert_eq!((&restore["body"]["uncertain"], &restore["body"]["taken"]), (&json!(1), &backed_up["taken"]));
}

#[test]
fn a_backup_replaces_no_file_unless_told_and_does_not_lie_in_what_it_saves() {
    let cli = Cli::new();
    cli.json(0, &["agent", "list"]);
    let file = cli.scratch().join("kept");
    std::fs::write(&file, "something else").unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(cli.json(2, &["backup", path])["error"]["code"], "USAGE");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "something else");
    cli.json(0, &["backup", "--force", path]);
    let inside = cli.data().join("countersign.db");
    let before = std::fs::read(&inside).unwrap();
    cli.json(2, &["backup", "--force", inside.to_str().unwrap()]);
    assert_eq!(std::fs::read(&inside).unwrap(), before);
    let parts = || {
        std::fs::read_dir(cli.scratch())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().contains(".part-"))
            .count()
    };
    assert_eq!(parts(), 0, "nothing unfinished is left");
    told(&cli, &cli.scratch().join("restored"), &["restore", path]);
}

#[test]
fn only_a_whole_backup_is_restored_and_only_into_an_empty_folder() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");
    ask(&cli, &agent);
    let file = cli.scratch().join("good");
    cli.json(0, &["backup", file.to_str().unwrap()]);
    let good = std::fs::read(&file).unwrap();

    let code = |ended: &Ended| text(&ended.json()["error"]["code"]);
    let into_this = on(&cli, &cli.data(), &["restore", file.to_str().unwrap()]);
    assert_eq!(code(&into_this), "STORE_UNUSABLE", "{into_this:#?}");

    let bad = cli.scratch().join("bad");
    let data = cli.scratch().join("new");
    let mut zeroed = good.clone();
    let middle = zeroed.len() / 2;
    zeroed[middle..middle + 8192].fill(0);
    let altered: Vec<u8> = {
        // One digit of the audit, in place: pages stay whole, the chain does not.
        let mut bytes = good.clone();
        let at = bytes.windows(10).rposition(|it| it == b"\"tenant\":\"").unwrap();
        bytes[at + 10] ^= 1;
        bytes
    };
    for (what, bytes, expected) in [
        ("nothing", &[][..], "BACKUP_UNUSABLE"),
        ("a text", b"To whom it may concern", "BACKUP_UNUSABLE"),
        ("cut short", &good[..good.len() / 2], "BACKUP_UNUSABLE"),
        ("full of holes", &zeroed, "BACKUP_UNUSABLE"),
        ("altered", &altered, "AUDIT_BROKEN"),
    ] {
        std::fs::write(&bad, bytes).unwrap();
        let refused = on(&cli, &data, &["restore", bad.to_str().unwrap()]);
        assert_eq!((refused.code, code(&refused).as_str()), (6, expected), "{what}: {refused:#?}");
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "{what}: nothing is left");
    }
    let missing = on(&cli, &data, &["restore", cli.scratch().join("missing").to_str().unwrap()]);
    assert_eq!(code(&missing), "BACKUP_UNUSABLE");

    // A database in use, copied by hand without its log.
    std::fs::write(&bad, &good).unwrap();
    std::fs::write(cli.scratch().join("bad-wal"), "x").unwrap();
    let torn = on(&cli, &data, &["restore", bad.to_str().unwrap()]);
    assert_eq!(code(&torn), "BACKUP_UNUSABLE", "{torn:#?}");

    // A configuration may lie there already.
    std::fs::write(data.join("config.toml"), "[approval]\nhtml = false\n").unwrap();
    told(&cli, &data, &["restore", file.to_str().unwrap()]);
    assert_eq!(
        told(&cli, &data, &["approval", "list", "--pending"])["approvals"].as_array().unwrap().len(),
        1
    );
}

//! The command line as scripts use it.

use crate::question::Terminal;
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

use crate::support::server::{Beside, Server};
use crate::support::{Ended, guest, workspace};
use countersign::people::{Role, TENANT};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A waiting approval: intent, approval, digest.
fn waiting(cli: &Cli) -> (String, String, String) {
    let agent = cli.install("send-report", "messages.send");
    let run = cli.json(3, &["run", &agent, "send_report"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&run["intent"]), text(&run["approval"]["id"]), text(&run["approval"]["digest"]))
}

fn code(ended: &Ended) -> String {
    ended.json()["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn exit_codes_say_how_it_ended() {
    let cli = Cli::new();
    let (intent, approval, _) = waiting(&cli);
    assert_eq!(cli.json(3, &["intent", "resume", &intent])["status"], "waiting");
    // Declined: the agent answers with an error card.
    let done = cli.json(5, &["approval", "decline", &approval, "--note", "not today"]);
    assert_eq!(done["card"]["type"], "error");
    assert_eq!(cli.json(5, &["intent", "resume", &intent])["status"], "done");
    let shown = cli.json(0, &["approval", "show", &approval]);
    assert_eq!((&shown["state"], &shown["decided"]["note"]), (&json!("declined"), &json!("not today")));

    let misbehaving = cli.install("guest-misbehaving", "");
    let stopped = cli.json(4, &["run", &misbehaving, "trap"]);
    assert_eq!(stopped["status"], "stopped");
    assert_eq!(stopped["reason"]["code"], "TRAPPED");

    assert_eq!(cli.run(&["run"]).code, 2);
    assert_eq!(cli.run(&["--json", "run"]).json()["error"]["code"], "USAGE");
    assert_eq!(cli.run(&["run", "com.example.nobody", "x"]).code, 6);
}

#[test]
fn deciding_twice_is_refused_naming_the_first_decision() {
    let cli = Cli::new();
    let (intent, approval, digest) = waiting(&cli);
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    for again in
        [&["approval", "approve", &approval, "--digest", &digest][..], &["approval", "decline", &approval]]
    {
        let ended = cli.run(&[&["--json"], again].concat());
        assert_eq!((ended.code, code(&ended).as_str()), (6, "ALREADY_DECIDED"));
        let message = ended.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("was approved by"), "{message}");
        assert!(ended.json()["error"]["hint"].as_str().unwrap().contains(&intent));
    }
}

#[test]
fn approving_away_from_a_terminal_needs_the_digest_that_was_shown() {
    let cli = Cli::new();
    let (_, approval, digest) = waiting(&cli);
    let without = cli.run(&["--json", "approval", "approve", &approval]);
    assert_eq!((without.code, code(&without).as_str()), (6, "DIGEST_REQUIRED"));
    let stale = cli.run(&["--json", "approval", "approve", &approval, "--digest", &"0".repeat(64)]);
    assert_eq!((stale.code, code(&stale).as_str()), (6, "STALE_DIGEST"));
    let nonsense = cli.run(&["--json", "approval", "approve", &approval, "--digest", "yes"]);
    assert_eq!((nonsense.code, code(&nonsense).as_str()), (2, "USAGE"));
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
}

#[test]
fn a_decision_can_be_made_now_and_the_run_picked_up_later() {
    let cli = Cli::new();
    let (intent, approval, digest) = waiting(&cli);
    let decided = cli.json(0, &["approval", "approve", &approval, "--digest", &digest, "--no-resume"]);
    assert_eq!(decided["status"], "running");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"], json!([]));
    assert_eq!(cli.json(0, &["intent", "resume", &intent])["status"], "done");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn a_cancelled_intent_asks_nobody_and_sends_nothing() {
    let cli = Cli::new();
    let (intent, approval, digest) = waiting(&cli);
    assert_eq!(cli.json(0, &["intent", "cancel", &intent])["status"], "cancelled");
    assert_eq!(cli.json(0, &["approval", "list", "--pending"])["approvals"], json!([]));
    let late = cli.run(&["--json", "approval", "approve", &approval, "--digest", &digest]);
    assert_eq!((late.code, code(&late).as_str()), (6, "ALREADY_DECIDED"));
    let again = cli.run(&["--json", "intent", "cancel", &intent]);
    assert_eq!((again.code, code(&again).as_str()), (6, "ALREADY_ENDED"));
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"], json!([]));
}

#[test]
fn a_retry_is_a_new_intent_with_the_same_parameters() {
    let cli = Cli::new();
    let agent = cli.install("inbox-digest", "");
    let first = cli.json(5, &["run", &agent, "digest", "--param", "limit=7", "--text", "what is new?"]);
    assert_eq!(first["card"]["code"], "CAPABILITY_DENIED");
    cli.json(0, &["agent", "grant", &agent, "messages.read"]);
    let id = first["intent"].as_str().unwrap();
    let second = cli.json(0, &["intent", "retry", id]);
    assert_ne!(second["intent"], first["intent"]);
    let shown = cli.json(0, &["intent", "show", second["intent"].as_str().unwrap()]);
    assert_eq!(shown["parameters"], json!({"limit": 7}));
    assert_eq!(shown["text"], "what is new?");
    assert_eq!(shown["retryOf"], id);
}

#[test]
fn what_the_manifest_does_not_allow_is_refused_before_the_agent_runs() {
    let cli = Cli::new();
    let agent = cli.install("inbox-digest", "messages.read");
    for (arguments, expected) in [
        (&["run", &agent, "delete_everything"][..], "UNDECLARED_ACTION"),
        (&["run", &agent, "digest", "--param", "limit=101"], "INVALID_PARAMETER"),
        (&["run", &agent, "digest", "--params", "{\"other\":1}"], "INVALID_PARAMETER"),
    ] {
        let ended = cli.run(&[&["--json"], arguments].concat());
        assert_eq!((ended.code, code(&ended).as_str()), (6, expected), "{arguments:?}");
    }
    for arguments in [["--param", "limit=many"], ["--param", "limit"], ["--params", "[]"]] {
        let ended = cli.run(&[&["--json", "run", &agent, "digest"], &arguments[..]].concat());
        assert_eq!((ended.code, code(&ended).as_str()), (2, "USAGE"), "{arguments:?}");
    }
    assert_eq!(cli.json(0, &["intent", "list"])["intents"], json!([]));
}

#[test]
fn another_users_ids_look_like_ids_that_do_not_exist() {
    let cli = Cli::new();
    let (intent, approval, digest) = waiting(&cli);
    for arguments in [
        &["intent", "show", &intent][..],
        &["intent", "resume", &intent],
        &["intent", "cancel", &intent],
        &["intent", "retry", &intent],
        &["approval", "show", &approval],
        &["approval", "approve", &approval, "--digest", &digest],
        &["approval", "decline", &approval],
    ] {
        let theirs = cli.run(&[&["--json", "--user", "eve"], arguments].concat());
        assert_eq!((theirs.code, code(&theirs).as_str()), (6, "UNKNOWN_ID"), "{arguments:?}");
        let mut nobody = arguments.to_vec();
        let unknown = format!("{}{}", &arguments[2][..5], "0".repeat(25));
        nobody[2] = &unknown;
        let nobody = cli.run(&[&["--json", "--user", "eve"], &nobody[..]].concat());
        let text = |ended: &Ended, id: &str| ended.stdout.replace(id, "ID");
        assert_eq!(text(&theirs, arguments[2]), text(&nobody, &unknown), "{arguments:?}");
    }
    assert_eq!(cli.json(0, &["--user", "eve", "intent", "list"])["intents"], json!([]));
    assert_eq!(cli.json(0, &["--user", "eve", "approval", "list"])["approvals"], json!([]));
}

#[test]
fn mail_leaves_from_the_address_the_operator_configured() {
    let cli = Cli::new();
    let config = cli.scratch().join("config.toml");
    std::fs::write(&config, "[users.ada]\naddress = \"ada@example.com\"\n").unwrap();
    let global = ["--config", config.to_str().unwrap(), "--user", "ada"];
    let file = guest("send-report");
    let install = ["agent", "install", file.to_str().unwrap(), "--grant", "messages.send"];
    let agent = cli.json(0, &[&global[..], &install].concat())["id"].as_str().unwrap().to_owned();
    let run = cli.json(3, &[&global[..], &["run", &agent, "send_report"]].concat());
    assert_eq!(run["approval"]["action"]["from"], "ada@example.com");

    std::fs::write(&config, "[users.ada]\nadress = \"ada@example.com\"\n").unwrap();
    let wrong = cli.run(&[&["--json"], &global[..], &["agent", "list"]].concat());
    assert_eq!((wrong.code, code(&wrong).as_str()), (6, "CONFIG_INVALID"));
    assert!(wrong.stdout.contains("line 2"), "{}", wrong.stdout);
}

#[test]
fn a_denial_shows_the_operator_the_exact_grant_command() {
    let cli = Cli::new();
    let agent = cli.install("inbox-digest", "");
    let denied = cli.json(5, &["run", &agent, "digest"]);
    let shown = cli.run(&["intent", "show", denied["intent"].as_str().unwrap()]);
    let command = format!("countersign agent grant {agent} messages.read");
    assert!(shown.stdout.contains(&command), "{}", shown.stdout);
}

#[test]
fn talk_goes_to_standard_error_and_data_to_standard_output() {
    let cli = Cli::new();
    let failed = cli.run(&["intent", "show", "int_nobody"]);
    assert_eq!(failed.stdout, "");
    assert!(
        failed.stderr.starts_with("error: there is no intent int_nobody [UNKNOWN_ID]\n\nhint: "),
        "{}",
        failed.stderr
    );
    let wit = cli.run(&["wit"]);
    assert!(wit.stdout.contains("world agent {") && wit.stderr.is_empty());
    let page = cli.run(&["explain", "approval_required"]);
    assert!(page.stdout.starts_with("# APPROVAL_REQUIRED\n"), "{}", page.stdout);
}

#[test]
fn the_data_folder_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let cli = Cli::new();
    let (_, approval, digest) = waiting(&cli);
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    let mut seen = 0;
    let mut folders = vec![cli.data()];
    while let Some(folder) = folders.pop() {
        assert_eq!(
            std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
            0o700,
            "{}",
            folder.display()
        );
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            seen += 1;
            if path.is_dir() {
                folders.push(path);
            } else {
                let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", path.display());
            }
        }
    }
    assert!(seen >= 4);
    std::fs::set_permissions(cli.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let open = cli.run(&["--json", "agent", "list"]);
    assert_eq!((open.code, code(&open).as_str()), (6, "STORE_UNUSABLE"));
}

#[test]
fn every_verb_prints_what_its_schema_promises() {
    let cli = Cli::new();
    let mut checked = BTreeSet::new();
    let mut check = |name: &str, value: Value| {
        let path = workspace().join("host/cli/schemas").join(format!("{name}.json"));
        let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{value:#}");
        checked.insert(path.file_name().unwrap().to_owned());
    };
    let file = guest("send-report");
    let file = file.to_str().unwrap();
    let mail = cli.scratch().join("mail.eml");
    std::fs::write(&mail, "From: a@b\nSubject: s\n\nx\n").unwrap();
    check("mailbox-import", cli.json(0, &["mailbox", "import", mail.to_str().unwrap()]));
    check("mailbox-list", cli.json(0, &["mailbox", "list"]));
    check("agent-show", cli.json(0, &["agent", "install", file, "--grant", "messages.send"]));
    let agent = "com.example.agent.send-report";
    check("agent-show", cli.json(0, &["agent", "show", agent]));
    check("agent-list", cli.json(0, &["agent", "list"]));
    let run = cli.json(3, &["run", agent, "send_report"]);
    check("run", run.clone());
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    let (intent, approval) = (id(&run["intent"]), id(&run["approval"]["id"]));
    check("approval-show", cli.json(0, &["approval", "show", &approval]));
    check("approval-list", cli.json(0, &["approval", "list"]));
    let digest = id(&run["approval"]["digest"]);
    check("run", cli.json(0, &["approval", "approve", &approval, "--digest", &digest]));
    check("intent-show", cli.json(0, &["intent", "show", &intent]));
    check("intent-list", cli.json(0, &["intent", "list"]));
    check("replay", cli.json(0, &["replay", &intent]));
    let listed = cli.json(0, &["mailbox", "list"]);
    check("mailbox-show", cli.json(0, &["mailbox", "show", &id(&listed["messages"][0]["id"])]));
    let mut serve = cli.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
    let mut server = serve.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut said)
        .unwrap();
    server.kill().and_then(|()| server.wait()).unwrap();
    check("serve", serde_json::from_str(&said).unwrap());
    check("mailbox-sent", cli.json(0, &["mailbox", "sent"]));
    check("outbox-list", cli.json(0, &["outbox", "list"]));
    check("outbox-list", cli.json(0, &["outbox", "deliver"]));
    check("outbox-show", cli.json(0, &["outbox", "show", &approval]));
    let run = cli.json(3, &["run", agent, "send_report"]);
    let edited = id(&run["approval"]["id"]);
    check("approval-edit", cli.json(0, &["approval", "edit", &edited, "--subject", "Another"]));
    check("audit-verify", cli.json(0, &["audit", "verify"]));
    for line in cli.run(&["audit", "export"]).stdout.lines() {
        check("audit-export", serde_json::from_str(line).unwrap());
    }
    let file_of_all = cli.scratch().join("all.backup");
    let file_of_all = file_of_all.to_str().unwrap();
    check("backup", cli.json(0, &["backup", file_of_all]));
    let elsewhere = cli.scratch().join("restored");
    check("restore", cli.json(0, &["--data", elsewhere.to_str().unwrap(), "restore", file_of_all]));
    check("doctor", cli.json(0, &["doctor"]));
    check("intent-purge", cli.json(0, &["intent", "purge", "--older-than", "24h"]));
    cli.json(0, &["intent", "cancel", &id(&run["intent"])]);
    check("person-invite", cli.json(0, &["person", "invite", "ada", "--role", "operator"]));
    check(
        "person-roles",
        cli.json(0, &["person", "roles", "ada", "--role", "operator", "--role", "auditor"]),
    );
    check("person-list", cli.json(0, &["person", "list"]));
    let cid = Beside::open(&cli).person(TENANT, "cid", &[Role::Operator]);
    check("token-list", cli.json(0, &["token", "list"]));
    let server = Server::start(&cli);
    let make = ["--json", "--server", &server.origin(), "token", "make", "--label", "x"];
    let made = cli.command(&make).env("COUNTERSIGN_TOKEN", &cid.token).output();
    check("token-make", serde_json::from_slice(&made.unwrap().stdout).unwrap());
    check("inspect", cli.json(0, &["inspect", file]));
    check("explain", cli.json(0, &["explain", "TRAPPED"]));
    check("wit", cli.json(0, &["wit"]));
    let project = cli.scratch().join("project");
    std::fs::create_dir_all(project.join("scenarios/asks")).unwrap();
    let scenario = r#"{"about": "It asks.", "action": "send_report"}"#;
    std::fs::write(project.join("scenarios/asks/scenario.json"), scenario).unwrap();
    check("test", cli.json(4, &["test", project.to_str().unwrap(), "--agent", file]));
    let new = cli.command(&["--json", "new", "made", "--lang", "js"]).current_dir(cli.scratch()).output();
    check("new", serde_json::from_slice(&new.unwrap().stdout).unwrap());
    check("build", cli.json(0, &["build", cli.scratch().join("made").to_str().unwrap()]));
    check("agent-remove", cli.json(0, &["agent", "remove", agent]));
    check("error", cli.run(&["--json", "agent", "show", agent]).json());
    let packed = cli.scratch().join("packed.wasm");
    let manifest = workspace().join("example-agents/send-report/agent.json");
    let pack =
        ["agent", "pack", file, "--manifest", manifest.to_str().unwrap(), "-o", packed.to_str().unwrap()];
    check("agent-pack", cli.json(0, &pack));
    let all: BTreeSet<_> = std::fs::read_dir(workspace().join("host/cli/schemas"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_str().unwrap().ends_with(".json"))
        .collect();
    assert_eq!(checked, all, "every schema is of some verb");
}

#[test]
fn the_demo_shows_the_whole_way() {
    let cli = Cli::new();
    let agent = guest("send-report");
    let agent = agent.to_str().unwrap();
    let yes = cli.run(&["demo", "--yes"]);
    assert_eq!(yes.code, 0, "{yes:#?}");
    assert!(yes.stdout.contains("✅ Message sent") && yes.stdout.contains("This has left"), "{}", yes.stdout);
    assert!(yes.stderr.contains("Attached is the quarterly report for review."), "{}", yes.stderr);
    let no = cli.run(&["demo", "--no", "--agent", agent]);
    assert_eq!(no.code, 5, "{no:#?}");
    assert!(no.stdout.contains("Message not sent") && !no.stdout.contains("This has left"));

    // Without a terminal and without a flag it is left pending, and the way to decide is printed.
    let pending = cli.run(&["demo", "--agent", agent]);
    assert_eq!(pending.code, 3, "{pending:#?}");
    let line = pending.stdout.lines().find(|line| line.contains("approval approve")).unwrap();
    let arguments: Vec<_> = line.split_whitespace().skip(1).collect();
    let approved = cli.run(&arguments);
    assert_eq!(approved.code, 0, "{approved:#?}");
    std::fs::remove_dir_all(arguments[1]).unwrap();
}

/// Runs a command at a terminal, and types this at the question it asks, if it asks one.
fn at_a_terminal(cli: &Cli, arguments: &[&str], typed: &str) -> Ended {
    let mut terminal = Terminal::start(cli, arguments, (80, 24), "");
    // The demo declines where an approval is left open.
    let keys = if arguments[0] == "demo" { "n = decline] " } else { "n = leave it open] " };
    terminal.until(keys);
    terminal.answer(typed);
    let (code, stdout) = terminal.end();
    Ended { code, stdout, stderr: String::new() }
}

#[test]
fn at_a_terminal_the_message_is_drawn_and_only_a_clear_yes_lets_it_leave() {
    let cli = Cli::new();
    let (_, approval, _) = waiting(&cli);
    for typed in ["n\n", "\n", "maybe\n"] {
        let undecided = at_a_terminal(&cli, &["approval", "approve", &approval], typed);
        assert_eq!(undecided.code, 3, "{undecided:#?}");
        assert!(undecided.stdout.contains("Attached is the quarterly report for review."), "{undecided:#?}");
        assert!(undecided.stdout.contains("Nothing was decided"), "{undecided:#?}");
    }
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"], json!([]));
    let approved = at_a_terminal(&cli, &["approval", "approve", &approval], "y\n");
    assert_eq!(approved.code, 0, "{approved:#?}");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 1);
    // There is nothing to ask about any more.
    let again = at_a_terminal(&cli, &["approval", "approve", &approval], "y\n");
    assert!(again.code == 6 && !again.stdout.contains("Let exactly this leave?"), "{again:#?}");
}

#[test]
fn at_a_terminal_the_demo_asks() {
    let cli = Cli::new();
    let agent = guest("send-report");
    let arguments = ["demo", "--agent", agent.to_str().unwrap()];
    let yes = at_a_terminal(&cli, &arguments, "y\n");
    assert!(yes.code == 0 && yes.stdout.contains("This has left"), "{yes:#?}");
    let no = at_a_terminal(&cli, &arguments, "n\n");
    assert!(no.code == 5 && no.stdout.contains("Message not sent"), "{no:#?}");
    let neither = at_a_terminal(&cli, &arguments, "\n");
    assert!(neither.code == 3 && neither.stdout.contains("Decide with one of"), "{neither:#?}");
    let folder = neither.stdout.lines().find_map(|line| line.trim().strip_prefix("rm -r ")).unwrap();
    std::fs::remove_dir_all(folder.trim()).unwrap();
}

#[test]
fn what_is_printed_to_be_run_can_be_run_as_it_stands() {
    let cli = Cli::new();
    let data = cli.data();
    let global = ["--data", data.to_str().unwrap(), "--user", "bob"];
    // Without the environment variable the folder must be in what is printed.
    let run = |arguments: &[&str]| {
        let mut command = cli.command(&[&global[..], arguments].concat());
        let output = command.env_remove("COUNTERSIGN_DATA").output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let printed = |text: &str, what: &str| -> Vec<String> {
        let line =
            text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what} in {text}"));
        line[line.find("countersign ").unwrap()..].split_whitespace().skip(1).map(str::to_owned).collect()
    };
    let follow = |line: Vec<String>| {
        let arguments: Vec<&str> = line.iter().map(String::as_str).collect();
        let output = cli.command(&arguments).env_remove("COUNTERSIGN_DATA").output().unwrap();
        assert!(output.status.success(), "{line:?}: {output:?}");
    };
    let file = guest("send-report");
    let (installed, _) = run(&["agent", "install", file.to_str().unwrap()]);
    let (_, denied) = run(&["run", "com.example.agent.send-report", "send_report"]);
    follow(printed(&denied, "to grant it"));
    follow(printed(&installed, "agent grant"));
    let (waiting, _) = run(&["run", "com.example.agent.send-report", "send_report"]);
    follow(printed(&waiting, "approval approve"));
}

#[test]
fn a_recorded_run_is_replayed_and_another_build_is_told_apart() {
    let cli = Cli::new();
    let (intent, approval, digest) = waiting(&cli);
    let same = cli.json(0, &["replay", &intent]);
    assert_eq!((&same["follows"], &same["waitedAt"]), (&json!(true), &json!([])));
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest]);
    let same = cli.json(0, &["replay", &intent]);
    assert_eq!((&same["follows"], &same["waitedAt"]), (&json!(true), &json!([0])));
    assert_eq!(same["timeline"].as_array().unwrap().len(), 2);
    // Nothing is done again.
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"].as_array().unwrap().len(), 1);

    let other = guest("inbox-digest");
    let other = cli.json(4, &["replay", &intent, "--agent", other.to_str().unwrap()]);
    assert_eq!(other["follows"], false);
    assert_ne!(other["agentDigest"], same["agentDigest"]);
    assert!(
        other["differs"].as_str().unwrap().contains("call 0: the journal has approval.request"),
        "{other:#}"
    );

    // The build is kept while the agent is; a file of it does as well.
    cli.json(0, &["agent", "remove", "com.example.agent.send-report"]);
    let gone = cli.run(&["--json", "replay", &intent]);
    assert_eq!((gone.code, code(&gone).as_str()), (6, "UNKNOWN_ID"));
    let file = guest("send-report");
    assert_eq!(cli.json(0, &["replay", &intent, "--agent", file.to_str().unwrap()])["follows"], true);
}

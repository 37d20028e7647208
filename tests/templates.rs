//! `countersign new`: what it writes builds, passes its scenarios, and does what its README says.

use crate::support::{Cli, Ended, workspace};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MAIL: &str = "\
From ann@example.com Fri Jan  3 09:00:00 2025
From: ann@example.com
Subject: Lunch?
Date: Fri, 03 Jan 2025 09:00:00 +0000

Today at noon.

From news@example.com Sat Jan  4 09:00:00 2025
From: news@example.com
Subject: What is new?
Date: Sat, 04 Jan 2025 09:00:00 +0000

Nothing.
";

/// A project that has just been made, in a folder that was empty.
struct Project {
    cli: Cli,
    folder: PathBuf,
    /// What `new` said of it.
    made: Value,
}

impl Project {
    fn new(language: &str, template: &str) -> Project {
        let cli = Cli::new();
        let name = format!("{language}-{template}");
        let made = new(&cli, &["--json", &name, "--lang", language, "--template", template]);
        assert_eq!(made.code, 0, "{made:#?}");
        let (folder, made) = (cli.scratch().join(name), made.json());
        if language == "rust" {
            // The same versions as everywhere else, so that nothing new is fetched.
            std::fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        }
        let mail = cli.scratch().join("mail.mbox");
        std::fs::write(&mail, MAIL).unwrap();
        cli.json(0, &["mailbox", "import", mail.to_str().unwrap()]);
        Project { cli, folder, made }
    }

    /// Does what `new` said to do next, as a person would in a shell, and gives what the last command answers.
    fn follow(&self, exit: i32) -> Value {
        let next: Vec<_> =
            self.made["next"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
        let name = self.folder.file_name().unwrap().to_str().unwrap();
        let beginning = [&format!("cd {name}"), "countersign test", "countersign build"];
        assert_eq!(next[..3], beginning, "{next:?}");
        assert!(next[3].starts_with("countersign agent install build/agent.wasm --grant "), "{next:?}");
        assert_eq!(next.len(), 5, "{next:?}");
        let tested = self.shell(0, next[1]);
        assert!(tested["passed"].as_u64() > Some(1), "{tested}");
        assert_eq!((&tested["failed"], &tested["written"]), (&json!(0), &json!(0)), "{tested}");
        let built = self.shell(0, next[2]);
        assert_eq!(built["warnings"], json!([]), "{built}");
        let installed = self.shell(0, next[3]);
        assert_eq!(installed["id"], self.made["id"], "{installed}");
        assert_eq!(installed["granted"], installed["capabilities"], "{installed}");
        self.shell(exit, next[4])
    }

    fn shell(&self, exit: i32, command: &str) -> Value {
        let binary = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap().to_owned();
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = [binary].into_iter().chain(std::env::split_paths(&others));
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{command} --json")]).current_dir(&self.folder);
        shell.env("PATH", std::env::join_paths(path).unwrap());
        shell.env("COUNTERSIGN_DATA", self.cli.data()).env_remove("COUNTERSIGN_LOG");
        shell.env("XDG_CACHE_HOME", workspace().join("target/test-cache"));
        // What the projects depend on is compiled once.
        shell.env("CARGO_TARGET_DIR", workspace().join("target/kit"));
        let ended = shell.stdin(Stdio::null()).output().unwrap();
        let (out, told) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert_eq!(ended.status.code(), Some(exit), "{command}: {out}{told}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{command}: {error}: {out}{told}"))
    }

    /// Approves what waits, and gives the card.
    fn approve(&self, waiting: &Value) -> Value {
        let text = |name: &str| waiting["approval"][name].as_str().unwrap();
        let approve = ["approval", "approve", text("id"), "--digest", text("digest")];
        self.cli.json(0, &approve)["card"].clone()
    }

    /// Recipients, subjects and bodies of what has left.
    fn sent(&self) -> Vec<Value> {
        let sent = self.cli.json(0, &["mailbox", "sent"]);
        let message = |it: &Value| json!([it["to"], it["subject"], it["body"]]);
        sent["messages"].as_array().unwrap().iter().map(message).collect()
    }
}

fn new(cli: &Cli, arguments: &[&str]) -> Ended {
    let ended = cli.command(&["new"]).args(arguments).current_dir(cli.scratch()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: ended.status.code().unwrap_or(-1), stdout: text(ended.stdout), stderr: text(ended.stderr) }
}

/// What lies in the folder commands are run in, the data folder apart.
fn names(cli: &Cli) -> Vec<OsString> {
    let names = std::fs::read_dir(cli.scratch()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.filter(|name| name != "data").collect();
    names.sort();
    names
}

fn a_note_is_sent_once_it_is_approved(language: &str) {
    let project = Project::new(language, "send");
    let waiting = project.follow(3);
    let note = json!([["ann@example.com"], "A note", "The keys are at the desk."]);
    let shown = &waiting["approval"]["action"];
    assert_eq!(json!([shown["to"], shown["subject"], shown["body"]]), note);
    assert_eq!(project.sent(), Vec::<Value>::new());
    let card = project.approve(&waiting);
    assert_eq!(
        card,
        json!({ "type": "result", "title": "Note sent", "description": "It went to ann@example.com." })
    );
    assert_eq!(project.sent(), [note]);
}

fn unread_mail_is_listed(language: &str) {
    let project = Project::new(language, "digest");
    let done = project.follow(0);
    let item = |subject, from, time| json!({ "title": subject, "subtitle": from, "metadata": time });
    let items = [
        item("What is new?", "news@example.com", "2025-01-04T09:00:00.000Z"),
        item("Lunch?", "ann@example.com", "2025-01-03T09:00:00.000Z"),
    ];
    let footer = "Messages looked at: 2";
    let card = json!({ "type": "summary", "title": "2 unread", "items": items, "footer": footer });
    assert_eq!(done["card"], card);
}

fn what_asks_something_is_answered(language: &str) {
    let project = Project::new(language, "triage");
    let done = project.follow(0);
    let card = &done["card"];
    assert_eq!((&card["type"], &card["title"]), (&json!("list"), &json!("Recent mail")));
    assert_eq!(card["footer"], "needs an answer: 1, other: 0, newsletter: 1");
    assert_eq!(card["items"][1]["title"], "What is new?");
    assert_eq!(card["items"][1]["action"], Value::Null);
    // What pressing the action of the first item does.
    let (action, params) = (&card["items"][0]["action"]["action"], &card["items"][0]["action"]["params"]);
    let (id, params) = (project.made["id"].as_str().unwrap(), params.to_string());
    let waiting = project.cli.json(3, &["run", id, action.as_str().unwrap(), "--params", &params]);
    assert_eq!(project.sent(), Vec::<Value>::new());
    assert_eq!(project.approve(&waiting)["title"], "Reply sent");
    let body = "Thank you for your message. I will come back to you soon.";
    assert_eq!(project.sent(), [json!([["ann@example.com"], "Re: Lunch?", body])]);
}

#[test]
fn a_rust_project_of_every_template_does_what_it_says() {
    a_note_is_sent_once_it_is_approved("rust");
    unread_mail_is_listed("rust");
    what_asks_something_is_answered("rust");
}

#[test]
fn a_javascript_project_of_every_template_does_what_it_says() {
    a_note_is_sent_once_it_is_approved("js");
    unread_mail_is_listed("js");
    what_asks_something_is_answered("js");
}

#[test]
fn a_typescript_project_of_every_template_does_what_it_says() {
    a_note_is_sent_once_it_is_approved("ts");
    unread_mail_is_listed("ts");
    what_asks_something_is_answered("ts");
}

#[test]
fn the_compiler_of_typescript_finds_nothing_wrong_in_the_templates_and_something_in_a_broken_one() {
    let check = |folder: &Path, config: &str| {
        Command::new("tsc").args(["--noEmit", "-p", config]).current_dir(folder).output()
    };
    if Command::new("tsc").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no tsc on the path");
        return;
    }
    for (language, config) in [("js", "jsconfig.json"), ("ts", "tsconfig.json")] {
        for template in ["send", "digest", "triage"] {
            let project = Project::new(language, template);
            let said = check(&project.folder, config).unwrap();
            assert!(said.status.success(), "{language} {template}: {said:#?}");
            let agent = project.folder.join(format!("agent.{language}"));
            let text = std::fs::read_to_string(&agent).unwrap();
            std::fs::write(&agent, text.replace("tools.messages", "tools.mesages")).unwrap();
            let said = check(&project.folder, config).unwrap();
            let errors = String::from_utf8_lossy(&said.stdout);
            assert!(
                !said.status.success() && errors.contains("'mesages'"),
                "{language} {template}: {errors}"
            );
        }
    }
}

#[test]
fn the_default_is_to_send_and_an_id_may_be_chosen() {
    let cli = Cli::new();
    let made = new(&cli, &["hello", "--lang", "ts", "--id", "org.ann.hello"]);
    assert_eq!(made.code, 0, "{made:#?}");
    assert_eq!(
        made.stdout,
        "hello/, the project of org.ann.hello\n  .gitignore\n  README.md\n  agent.json\n  agent.ts\n  scenarios/\n  \
         tsconfig.json\n  types/\n\nNext\n  cd hello\n  countersign test\n  countersign build\n  \
         countersign agent install build/agent.wasm --grant messages.send\n  \
         countersign run org.ann.hello send --param to=ann@example.com --param text='The keys are at the desk.'\n"
    );
    let manifest = std::fs::read_to_string(cli.scratch().join("hello/agent.json")).unwrap();
    assert!(manifest.contains("\"id\": \"org.ann.hello\"") && manifest.contains("\"name\": \"hello\""));
    assert_eq!(names(&cli), ["hello"]);
}

#[test]
fn what_cannot_be_made_is_refused_and_nothing_is_written() {
    let cli = Cli::new();
    let refused = |arguments: &[&str], what: &str| {
        let ended = new(&cli, arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{arguments:?}: {ended:#?}");
        assert!(ended.stderr.contains(what), "{arguments:?}: {ended:#?}");
    };
    let long = "a".repeat(65);
    for name in
        ["", ".", "..", "Hello", "1st", "a_b", "a b", "../a", "a/b", "/tmp/a", "ä", "a\u{1b}[31m", &long]
    {
        refused(&[name, "--lang", "js"], "cannot be the name of a project");
    }
    refused(&["countersign-sdk", "--lang", "rust"], "is the name of the SDK");
    for id in ["hello", "com.Example", "com.x\",\"y", "com..x"] {
        refused(&["hello", "--lang", "js", "--id", id], "cannot be the id of an agent");
    }
    refused(&["hello"], "--lang");
    refused(&["hello", "--lang", "cobol"], "rust, js, ts");
    refused(&["hello", "--lang", "js", "--template", "delete"], "send, digest, triage");
    assert_eq!(names(&cli), Vec::<OsString>::new());
}

#[test]
fn a_project_takes_the_place_of_an_empty_folder_and_of_nothing_else() {
    let cli = Cli::new();
    let at = |name: &str| cli.scratch().join(name);
    std::fs::create_dir(at("full")).unwrap();
    std::fs::write(at("full/mine.txt"), "mine").unwrap();
    std::fs::write(at("file"), "mine").unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    std::os::unix::fs::symlink(at("empty"), at("link")).unwrap();
    for name in ["full", "file", "link"] {
        let ended = new(&cli, &[name, "--lang", "js"]);
        assert!(ended.code == 2 && ended.stderr.contains("is there already"), "{ended:#?}");
    }
    assert_eq!(std::fs::read_dir(at("full")).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "mine");
    assert_eq!(new(&cli, &["empty", "--lang", "js"]).code, 0);
    assert!(at("empty/agent.js").is_file());
    assert_eq!(names(&cli), ["empty", "file", "full", "link"]);
}

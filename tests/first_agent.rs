//! "Your first agent" of each SDK's README, followed to the letter.

use crate::support::{Cli, workspace};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// The code blocks of the README of an SDK, as far as "Your first agent" goes, with their languages.
fn blocks(sdk: &Path) -> Vec<(String, String)> {
    let page = std::fs::read_to_string(sdk.join("README.md")).unwrap();
    let page = page.split("## Your first agent").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    for (number, part) in page.split("```").enumerate() {
        if number % 2 == 1 {
            let (language, code) = part.split_once('\n').unwrap();
            blocks.push((language.to_owned(), code.to_owned()));
        }
    }
    blocks
}

#[test]
fn the_first_agent_of_the_rust_sdk_is_built_installed_and_asked() {
    let sdk = workspace().join("guest-sdk/rust");
    let blocks = blocks(&sdk);
    let block = |language: &str| &blocks.iter().find(|(found, _)| found == language).unwrap().1;
    let cli = Cli::new();
    let folder = cli.scratch().join("first-agent");
    std::fs::create_dir_all(folder.join("src")).unwrap();
    let manifest = block("toml").replace("PATH/TO/guest-sdk/rust", sdk.to_str().unwrap());
    // An empty table keeps cargo from looking for a workspace above the folder.
    std::fs::write(folder.join("Cargo.toml"), format!("{manifest}\n[workspace]\n")).unwrap();
    std::fs::write(folder.join("agent.json"), block("jsonc")).unwrap();
    std::fs::write(folder.join("src/lib.rs"), block("rust,ignore")).unwrap();
    // The same versions as everywhere else, so that nothing new is fetched.
    std::fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();

    let commands = &blocks.iter().rev().find(|(found, _)| found == "sh").unwrap().1;
    let mut commands = commands.lines();
    let build: Vec<_> = commands.next().unwrap().split_whitespace().collect();
    assert_eq!(build, ["cargo", "build", "--release", "--target", "wasm32-wasip2"]);
    let built = Command::new(build[0])
        .args(&build[1..])
        .args(["--quiet", "--target-dir"])
        .arg(workspace().join("target/guests"))
        .current_dir(&folder)
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(built.success());

    the_boss_writes(&cli);
    let relative = "target/wasm32-wasip2/release/";
    let installed = commands.next().unwrap().replace(
        relative,
        &format!("{}/", workspace().join("target/guests/wasm32-wasip2/release").display()),
    );
    let installed: Vec<_> = installed.split_whitespace().skip(1).collect();
    assert!(Path::new(installed[2]).is_file(), "{installed:?}");
    cli.json(0, &installed);
    let run: Vec<_> = commands.next().unwrap().split_whitespace().skip(1).collect();
    the_boss_is_answered(&cli, &cli.json(3, &run));
}

#[test]
fn the_first_agent_of_the_javascript_sdk_is_built_tested_installed_and_asked() {
    let blocks = blocks(&workspace().join("guest-sdk/js"));
    let block = |language: &str| &blocks.iter().find(|(found, _)| found == language).unwrap().1;
    let cli = Cli::new();
    let made = Command::new("sh").args(["-ec", block("sh")]).current_dir(cli.scratch()).status().unwrap();
    assert!(made.success());
    let folder = cli.scratch().join("first-agent");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::write(folder.join("agent.json"), block("jsonc")).unwrap();
    std::fs::write(folder.join("agent.js"), block("js")).unwrap();
    let scenario = folder.join("scenarios/declined");
    std::fs::create_dir_all(&scenario).unwrap();
    std::fs::write(scenario.join("scenario.json"), block("json")).unwrap();

    the_boss_writes(&cli);
    let commands = &blocks.iter().rev().find(|(found, _)| found == "sh").unwrap().1;
    let mut documents = Vec::new();
    for command in commands.lines() {
        let (program, arguments) = command.split_once(' ').unwrap();
        assert_eq!(program, "countersign", "{command}");
        let arguments: Vec<_> = ["--json"].into_iter().chain(arguments.split_whitespace()).collect();
        let ended = cli.command(&arguments).current_dir(&folder).output().unwrap();
        let expected = if arguments[1] == "run" { 3 } else { 0 };
        assert_eq!(ended.status.code(), Some(expected), "{command}: {ended:#?}");
        documents.push(serde_json::from_slice::<Value>(&ended.stdout).unwrap());
    }
    let [built, tested, installed, waiting] = &documents[..] else { panic!("{documents:#?}") };
    assert_eq!(built["warnings"], json!([]));
    assert_eq!((&tested["written"], &tested["failed"]), (&json!(1), &json!(0)));
    let happened = std::fs::read_to_string(scenario.join("expected.txt")).unwrap();
    assert!(happened.contains("\"title\":\"Not sent\"") && happened.contains("\nsent 0\n"), "{happened}");
    assert_eq!(installed["granted"], json!(["messages.read", "messages.send"]));
    the_boss_is_answered(&cli, waiting);
}

fn the_boss_writes(cli: &Cli) {
    let mail = cli.scratch().join("mail.eml");
    std::fs::write(&mail, "From: boss@company.com\nTo: local@localhost\nSubject: Well?\n\nAre you there?\n")
        .unwrap();
    cli.json(0, &["mailbox", "import", mail.to_str().unwrap()]);
}

/// Approves what waits.
fn the_boss_is_answered(cli: &Cli, waiting: &Value) {
    assert_eq!(waiting["approval"]["action"]["to"], json!(["boss@company.com"]));
    let text = |name: &str| waiting["approval"][name].as_str().unwrap();
    let done = cli.json(0, &["approval", "approve", text("id"), "--digest", text("digest")]);
    assert_eq!(done["card"]["title"], "Sent");
}

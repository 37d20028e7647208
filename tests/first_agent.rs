//! "Your first agent" of the SDK's README, followed to the letter.

use crate::support::{Cli, workspace};
use std::path::Path;
use std::process::{Command, Stdio};

/// The code blocks of a page, with their languages.
fn blocks(page: &str) -> Vec<(String, String)> {
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
    let page = std::fs::read_to_string(sdk.join("README.md")).unwrap();
    let page = page.split("## Your first agent").nth(1).unwrap().split("\n## ").next().unwrap();
    let blocks = blocks(page);
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

    let mail = cli.scratch().join("mail.eml");
    std::fs::write(&mail, "From: boss@company.com\nTo: local@localhost\nSubject: Well?\n\nAre you there?\n")
        .unwrap();
    cli.json(0, &["mailbox", "import", mail.to_str().unwrap()]);
    let relative = "target/wasm32-wasip2/release/";
    let installed = commands.next().unwrap().replace(
        relative,
        &format!("{}/", workspace().join("target/guests/wasm32-wasip2/release").display()),
    );
    let installed: Vec<_> = installed.split_whitespace().skip(1).collect();
    assert!(Path::new(installed[2]).is_file(), "{installed:?}");
    cli.json(0, &installed);
    let run: Vec<_> = commands.next().unwrap().split_whitespace().skip(1).collect();
    let waiting = cli.json(3, &run);
    assert_eq!(waiting["approval"]["action"]["to"], serde_json::json!(["boss@company.com"]));
    let text = |name: &str| waiting["approval"][name].as_str().unwrap().to_owned();
    let done = cli.json(0, &["approval", "approve", &text("id"), "--digest", &text("digest")]);
    assert_eq!(done["card"]["title"], "Sent");
}

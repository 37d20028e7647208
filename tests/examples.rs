//! The example agents in JavaScript and TypeScript: short, built by `countersign build`, held to their scenarios.

use crate::support::{Cli, workspace};
use countersign::agent::Manifest;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// How many lines of code an example may have.
const LINES_MAX: usize = 60;

/// An example that is not Rust's.
struct Example {
    name: String,
    folder: PathBuf,
    entry: PathBuf,
}

fn examples() -> Vec<Example> {
    let folders = std::fs::read_dir(workspace().join("example-agents")).unwrap();
    let mut examples: Vec<_> = folders
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let (name, folder) = (entry.file_name().into_string().unwrap(), entry.path());
            let entries = ["agent.js", "agent.ts"].map(|name| folder.join(name));
            let entry = entries.into_iter().find(|entry| entry.is_file())?;
            Some(Example { name, folder, entry })
        })
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_example_builds_without_a_warning_and_does_what_its_scenarios_say() {
    let cli = Cli::new();
    let mut tested = Vec::new();
    for Example { name, folder, .. } in examples() {
        let (folder, component) = (folder.to_str().unwrap(), cli.scratch().join(format!("{name}.wasm")));
        let component = component.to_str().unwrap();
        let built = cli.json(0, &["build", folder, "--output", component]);
        // Notes are made for a tool that is not there yet.
        let expected = match name.as_str() {
            "notes" => ["read", "write"]
                .map(|verb| format!("it declares storage.{verb}, for which there is no tool yet"))
                .to_vec(),
            _ => vec![],
        };
        assert_eq!(built["warnings"], json!(expected), "{name}");
        if !Path::new(folder).join("scenarios").exists() {
            // The same agent is there in Rust, and its scenarios are run for both.
            let scenarios =
                name.strip_suffix("-js").map(|name| workspace().join("tests/scenarios").join(name));
            assert!(scenarios.is_some_and(|scenarios| scenarios.is_dir()), "{name} has no scenarios");
            continue;
        }
        let done = cli.json(0, &["test", folder, "--agent", component]);
        assert!(done["passed"].as_u64() >= Some(3), "{name}: {done}");
        assert_eq!((&done["failed"], &done["written"]), (&json!(0), &json!(0)), "{name}");
        tested.push(name);
    }
    assert_eq!(tested, ["approval-desk", "contact-picker", "notes"]);
}

#[test]
fn the_code_of_an_example_fits_on_a_page() {
    for Example { name, entry, .. } in examples() {
        let text = read(&entry);
        let comment = |line: &str| ["//", "/*", "*"].iter().any(|start| line.starts_with(start));
        let code = text.lines().map(str::trim).filter(|line| !line.is_empty() && !comment(line)).count();
        assert!(code <= LINES_MAX, "{name} has {code} lines of code");
    }
}

/// Every action a card offers, with its parameters.
fn offered<'a>(card: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    if let (Some(action), Some(params)) = (card["action"].as_str(), card.get("params")) {
        found.push((action, params));
    }
    match card {
        Value::Array(values) => values.iter().for_each(|value| offered(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| offered(value, found)),
        _ => {}
    }
}

#[test]
fn what_a_card_of_an_example_offers_is_an_intent_its_agent_answers() {
    let mut pressed = 0;
    for Example { name, folder, .. } in examples() {
        let manifest = Manifest::parse(&read(&folder.join("agent.json"))).unwrap();
        for case in countersign_harness::cases(&folder.join("scenarios")).unwrap_or_default() {
            let expected = read(&case.folder.join("expected.txt"));
            for card in expected.lines().filter_map(|line| line.strip_prefix("  card ")) {
                let (card, mut found) = (serde_json::from_str(card).unwrap(), Vec::new());
                offered(&card, &mut found);
                for (action, params) in found {
                    let admitted = manifest.admit(action, params.as_object().unwrap());
                    assert!(admitted.is_ok(), "{name}, {}: {admitted:?}", case.name);
                    pressed += 1;
                }
            }
        }
    }
    assert!(pressed > 1, "only {pressed} actions were offered");
}

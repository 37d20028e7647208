//! The contract, sentence by sentence: each folder below `scenarios/` is one, run against a real guest.

use crate::support::{guest, workspace};
use countersign::refusals::{Audience, Code};
use countersign::tools::ROOMS;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The guest a group of scenarios runs against: the scripted agent, where the group is not named after another. Scenarios
/// that bring their own manifest run against the scripted agent without one.
fn agent(group: &str) -> PathBuf {
    match group {
        "send-report" | "inbox-digest" => guest(group),
        "frozen" => guest("guest-frozen"),
        "manifest" | "scopes" => guest("guest-script-bare"),
        _ => guest("guest-script"),
    }
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn cases() -> Vec<(String, PathBuf)> {
    let groups = folders(&workspace().join("tests/scenarios"));
    groups.iter().flat_map(|group| folders(group).into_iter().map(|case| (name(group), case))).collect()
}

#[test]
fn every_scenario_goes_as_expected() {
    let queue = Mutex::new(cases());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((group, case)) = queue.lock().unwrap().pop() else { return };
                    if let Err(error) = countersign_harness::check(&case, &agent(&group)) {
                        failures.lock().unwrap().push(format!("{error:#}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} scenarios failed\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_room_every_call_and_every_code_an_agent_can_hear_has_a_scenario() {
    let mut all = String::new();
    for (_, case) in cases() {
        all += &std::fs::read_to_string(case.join("expected.txt")).unwrap();
    }
    for call in ROOMS.iter().flat_map(|room| room.calls) {
        assert!(all.contains(&format!(" {} ", call.name)), "no scenario calls {}", call.name);
    }
    for code in Code::ALL.iter().filter(|code| code.audience() == Audience::Agent) {
        // No guest can bring this one about: it is what a guest hears when the host has a fault.
        if *code != Code::InternalError {
            assert!(all.contains(code.name()), "no scenario shows {code}");
        }
    }
}

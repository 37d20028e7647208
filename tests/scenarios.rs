//! The contract, sentence by sentence: each folder below `scenarios/` is one, run against a real guest.

use crate::support::{guest, workspace};
use countersign::refusals::{Audience, Code};
use countersign::tools::ROOMS;
use countersign_harness::{Case, Went, suite};
use std::collections::BTreeMap;
use std::path::PathBuf;

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

fn cases() -> Vec<Case> {
    countersign_harness::cases(&workspace().join("tests/scenarios")).unwrap()
}

#[test]
fn every_scenario_goes_as_expected() {
    let mut of_agents: BTreeMap<PathBuf, Vec<Case>> = BTreeMap::new();
    for case in cases() {
        let (group, _) = case.name.split_once('/').unwrap();
        of_agents.entry(agent(group)).or_default().push(case);
    }
    let bless = std::env::var_os("BLESS").is_some();
    let mut failures = Vec::new();
    for (agent, cases) in of_agents {
        for outcome in suite(&cases, &std::fs::read(agent).unwrap(), bless, |_| {}) {
            if let Went::Failed(why) = outcome.went {
                failures.push(format!("{}: {why}", outcome.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} scenarios failed\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_room_every_call_and_every_code_an_agent_can_hear_has_a_scenario() {
    let mut all = String::new();
    for case in cases() {
        all += &std::fs::read_to_string(case.folder.join("expected.txt")).unwrap();
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

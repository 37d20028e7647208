//! `countersign test`: what authors run their scenarios with.

use crate::support::{Cli, Ended, guest, workspace};
use std::path::{Path, PathBuf};

/// A project with an agent, and no scenario yet.
struct Project {
    cli: Cli,
    folder: PathBuf,
}

const DECLINED: &str = r#"{
  "about": "A declined message does not leave.",
  "grants": ["messages.send"],
  "action": "send_report",
  "steps": ["decline"]
}"#;

impl Project {
    fn new() -> Project {
        let cli = Cli::new();
        let folder = cli.scratch().join("project");
        std::fs::create_dir_all(&folder).unwrap();
        for file in ["agent.js", "agent.json"] {
            let from = workspace().join("example-agents/send-report-js").join(file);
            std::fs::copy(from, folder.join(file)).unwrap();
        }
        Project { cli, folder }
    }

    fn scenario(&self, name: &str, text: &str) -> PathBuf {
        let folder = self.folder.join("scenarios").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("scenario.json"), text).unwrap();
        folder
    }

    fn test(&self, arguments: &[&str]) -> Ended {
        self.cli.run(&[&["test", self.folder.to_str().unwrap()], arguments].concat())
    }

    /// Expects a refusal of the whole command, and gives what it said.
    fn refused(&self, exit: i32, code: &str, arguments: &[&str]) -> String {
        let ended = self.test(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (exit, ""), "{ended:#?}");
        assert!(ended.stderr.contains(&format!("[{code}]")), "{ended:#?}");
        ended.stderr
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The names of the elements of an XML document, each checked to be closed in its turn.
fn elements(xml: &str) -> Vec<String> {
    let (mut seen, mut open) = (Vec::new(), Vec::new());
    let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
    for piece in body.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap();
        assert!(!text.contains('>'), "{text}");
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
            continue;
        }
        seen.push(name.clone());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    seen
}

#[test]
fn scenarios_are_written_once_and_then_pass_until_the_agent_does_otherwise() {
    let project = Project::new();
    let declined = project.scenario("declined", DECLINED);
    project.scenario("replies/approved", &DECLINED.replace("decline\"", "approve\""));

    let unwritten = project.test(&[]);
    assert_eq!(unwritten.code, 4, "{unwritten:#?}");
    assert!(unwritten.stdout.contains("FAILED declined\nFAILED replies/approved\n"), "{}", unwritten.stdout);
    assert!(unwritten.stdout.contains("`countersign test --bless`"), "{}", unwritten.stdout);
    assert!(!declined.join("expected.txt").exists());

    let written = project.test(&["--bless"]);
    assert_eq!(written.code, 0, "{written:#?}");
    assert_eq!(
        written.stdout,
        "written declined\nwritten replies/approved\n\n0 passed, 0 failed, 2 written\n"
    );
    let expected = read(&declined.join("expected.txt"));
    assert!(
        expected.contains("\ndecline\ndone\n") && expected.ends_with("sent 0\nreplay same\n"),
        "{expected}"
    );

    let passed = project.test(&[]);
    assert_eq!((passed.code, passed.stderr.as_str()), (0, ""), "{passed:#?}");
    assert_eq!(passed.stdout, "ok declined\nok replies/approved\n\n2 passed, 0 failed, 0 written\n");

    // As if the agent had come to send what it did not.
    std::fs::write(declined.join("expected.txt"), expected.replace("sent 0", "sent 1 \u{1b}[31m")).unwrap();
    let report = project.cli.scratch().join("report.xml");
    let failed = project.test(&["--junit", report.to_str().unwrap()]);
    assert_eq!(failed.code, 4, "{failed:#?}");
    assert!(failed.stdout.starts_with("FAILED declined\nok replies/approved\n"), "{}", failed.stdout);
    assert!(failed.stdout.contains("\n-sent 1 \\u{1b}[31m\n+sent 0\n"), "{}", failed.stdout);
    assert!(failed.stdout.contains("A declined message does not leave."), "{}", failed.stdout);
    assert!(failed.stdout.ends_with("\n1 passed, 1 failed, 0 written\n"), "{}", failed.stdout);
    let report = read(&report);
    assert_eq!(elements(&report), ["testsuites", "testsuite", "testcase", "failure", "testcase"]);
    assert!(report.contains(r#"tests="2" failures="1""#) && report.contains("\n+sent 0\n"), "{report}");
    assert!(report.contains(r#"classname="replies" name="approved""#), "{report}");
    assert!(!report.contains('\u{1b}'), "{report}");
    let left: Vec<_> =
        std::fs::read_dir(project.cli.scratch()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name == "project" || name == "report.xml"), "{left:?}");

    // Only what does not hold is written anew.
    let again = project.test(&["--bless"]);
    assert_eq!(again.stdout, "written declined\nok replies/approved\n\n1 passed, 0 failed, 1 written\n");
    assert_eq!(read(&declined.join("expected.txt")), expected);
}

#[test]
fn one_document_tells_how_each_scenario_went() {
    let project = Project::new();
    project.scenario("b", DECLINED);
    project.scenario(
        "a",
        "{\n  \"about\": \"x\",\n  \"action\": \"send_report\",\n  \"steps\": [\"decline\", \"sign\"]\n}",
    );
    let document = project.test(&["--json", "--bless"]).json();
    let field = |number: usize, name: &str| document["scenarios"][number][name].as_str().unwrap_or_default();
    assert_eq!((field(0, "name"), field(0, "result")), ("a", "failed"));
    assert_eq!((field(1, "name"), field(1, "result")), ("b", "written"));
    assert_eq!(field(1, "about"), "A declined message does not leave.");
    // What is wrong in a scenario is named with its place.
    let why = field(0, "why");
    assert!(
        why.contains("steps[1]") && why.contains("line 4") && why.contains("`\"sign\"` is not a step"),
        "{why}"
    );
    assert_eq!(document["failed"], 1);
}

#[test]
fn a_project_that_cannot_be_tested_is_told_what_it_lacks() {
    let project = Project::new();
    let said = project.refused(2, "USAGE", &[]);
    assert!(said.contains("there are no scenarios in") && said.contains("scenarios/CASE/"), "{said}");

    project.scenario("declined", DECLINED);
    let said = project.refused(2, "USAGE", &["--only", "approved"]);
    assert!(said.contains("there are declined"), "{said}");
    project.refused(2, "USAGE", &["--agent", "no-such-file"]);
    project.refused(2, "USAGE", &["--junit", "no/such/folder/report.xml"]);

    std::fs::write(project.folder.join("agent.js"), "export function").unwrap();
    let said = project.refused(6, "BUILD_FAILED", &[]);
    assert!(said.contains("agent.js:1:"), "{said}");
    std::fs::remove_file(project.folder.join("agent.js")).unwrap();
    let said = project.refused(2, "USAGE", &[]);
    assert!(said.contains("countersign new"), "{said}");
    let elsewhere = guest("send-report");
    let named = project.test(&["--agent", elsewhere.to_str().unwrap(), "--only", "clin", "--bless"]);
    assert_eq!((named.code, named.stdout.lines().next()), (0, Some("written declined")), "{named:#?}");
}

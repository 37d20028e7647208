//! A machine whose clock was wrong for a while, by the real program and `faketime`.

use crate::support::{Cli, Ended};
use std::process::Command;

/// The command as of `when`, or nothing where there is no `faketime`.
fn at(cli: &Cli, when: &str, arguments: &[&str]) -> Option<Ended> {
    if Command::new("faketime").arg("--version").output().is_err() {
        eprintln!("SKIPPED: faketime is not installed");
        return None;
    }
    let own = cli.command(arguments);
    let mut command = Command::new("faketime");
    command.arg("-m").args(["-f", when]).arg(own.get_program()).args(own.get_args());
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env_remove("COUNTERSIGN_LOG");
    own.get_envs().for_each(|(name, value)| match value {
        Some(value) => drop(command.env(name, value)),
        None => drop(command.env_remove(name)),
    });
    let ended = command.output().unwrap();
    Some(Ended {
        code: ended.status.code().unwrap_or(-1),
        stdout: String::from_utf8(ended.stdout).unwrap(),
        stderr: String::from_utf8(ended.stderr).unwrap(),
    })
}

#[test]
fn a_wrong_clock_for_one_command_dates_no_mail_for_ever_and_nothing_lives_longer() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");
    let ask = ["--json", "run", &agent, "send_report"];
    let Some(early) = at(&cli, "-2h", &ask) else { return };
    assert_eq!(early.code, 3, "{early:#?}");
    let asked = early.json();
    // Five years too late, for one command: what was asked before is over by then.
    let late = at(&cli, "+5y", &["--json", "approval", "list"]).unwrap();
    assert_eq!(late.json()["approvals"][0]["state"], "expired", "{late:#?}");
    // The doctor, who changes nothing, says what to do; whatever comes next does it, once.
    let clock = || {
        let doctor = cli.run(&["--json", "doctor"]).json();
        doctor["findings"].as_array().unwrap().iter().find(|it| it["about"] == "clock").unwrap().clone()
    };
    assert!(clock()["cure"].as_str().unwrap().contains("countersign intent list"), "{}", clock());
    let told = cli.run(&["approval", "list"]);
    assert!(told.stderr.contains("time is set back"), "{told:#?}");
    let again = cli.run(&["approval", "list"]);
    assert!(!again.stderr.contains("set back"), "{again:#?}");
    assert_eq!(clock()["health"], "ok", "{}", clock());

    // What is asked and sent now is of now.
    let now = cli.json(3, &["run", &agent, "send_report"]);
    let (id, digest) = (now["approval"]["id"].as_str().unwrap(), now["approval"]["digest"].as_str().unwrap());
    cli.json(0, &["approval", "approve", id, "--digest", digest]);
    let sent = cli.json(0, &["mailbox", "sent"]);
    let year = |text: &str| text.get(..4).map(str::to_owned);
    let today = year(&countersign::clock::rfc3339(countersign::clock::Clock::system().now()));
    assert_eq!(year(sent["messages"][0]["timestamp"].as_str().unwrap_or_default()), today, "{sent:#}");
    // The signature of before has ended and stays so.
    let (id, digest) = (&asked["approval"]["id"], &asked["approval"]["digest"]);
    let old = cli.run(&["approval", "approve", id.as_str().unwrap(), "--digest", digest.as_str().unwrap()]);
    assert_ne!(old.code, 0, "{old:#?}");
    cli.json(0, &["audit", "verify"]);
}

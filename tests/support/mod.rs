//! What the tests share: guests, built once, and the real binary on a data folder of its own.

pub mod browser;
mod guests;
pub mod server;
pub mod servers;

pub use guests::{guest, scripted, workspace};

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The real binary on a data folder of its own.
pub struct Cli {
    folder: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The one JSON document on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

impl Cli {
    pub fn new() -> Cli {
        Cli { folder: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A place for files that is not the data folder.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The command, not yet started. Standard input is closed, so nothing waits for a person at a terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).env("COUNTERSIGN_DATA", self.data()).env_remove("COUNTERSIGN_LOG");
        // One cache for all tests of this build: compiling the same guests again would prove nothing.
        command.env("XDG_CACHE_HOME", workspace().join("target/test-cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        Ended {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Runs with `--json` and expects this exit code.
    pub fn json(&self, code: i32, arguments: &[&str]) -> Value {
        let ended = self.run(&[&["--json"], arguments].concat());
        assert_eq!(ended.code, code, "{arguments:?}: {ended:#?}");
        ended.json()
    }

    /// Installs a guest with grants, and gives its id.
    pub fn install(&self, package: &str, grants: &str) -> String {
        let file = guest(package);
        let file = file.to_str().unwrap();
        let grants: &[&str] = if grants.is_empty() { &[] } else { &["--grant", grants] };
        let installed = self.json(0, &[&["agent", "install", file], grants].concat());
        installed["id"].as_str().unwrap().to_owned()
    }
}

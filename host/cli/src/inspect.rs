//! `countersign inspect`: what a component is, could ever do and never can, without installing it.

use super::output::{Exit, Failure, Inspected};
use super::{Session, agent};
use clap::Args;
use countersign::agent::Package;
use countersign::engine::{Engine, limits::Limits};
use countersign::host::{powers, undeclared};
use countersign::printable::{line, printable, short};
use countersign::refusals::{Code, Error, Problem, Result};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Args)]
pub struct Inspect {
    /// The component, a .wasm file
    file: PathBuf,
}

impl Inspect {
    pub fn run(self, session: &Session) -> Result<Exit> {
        let package = Package::read(agent::read(&self.file)?)?;
        let mut problems = Vec::new();
        let mut note = |error: Error| {
            let problem = match error {
                Error::Refused(problem) => problem,
                Error::Fault(error) => Problem::new(Code::HostFault, format!("{error:#}")),
            };
            problems.push(Failure {
                code: problem.code.to_string(),
                message: problem.message,
                hint: problem.hint,
            });
        };
        let manifest = package.manifest(None).map_err(&mut note).ok();
        if let Err(error) = Engine::new(None, Limits::default())?.check(&package) {
            note(error);
        }
        for (call, capability) in
            manifest.iter().flat_map(|manifest| undeclared(&package, &manifest.capabilities))
        {
            let message = format!("it imports {call} but does not declare {capability}");
            note(Problem::new(Code::UndeclaredImport, message).into());
        }
        let (could, never) = powers(&package, manifest.as_ref());
        let inspected = Inspected {
            file: self.file.display().to_string(),
            digest: package.digest.to_string(),
            bytes: package.bytes.len() as u64,
            could,
            never,
            imports: package.imports,
            exports: package.exports,
            manifest: manifest.map(|manifest| serde_json::to_value(manifest).unwrap_or_default()),
            problems,
        };
        session.answer(&inspected, draw)?;
        Ok(Exit::Done)
    }
}

fn draw(it: &Inspected) -> String {
    let mut out = format!(
        "File      {}\nDigest    sha256:{}\nSize      {} bytes\n",
        printable(&it.file),
        it.digest,
        it.bytes
    );
    if let Some(manifest) = &it.manifest {
        let text = |field: &str| line(manifest[field].as_str().unwrap_or_default());
        let _ = writeln!(out, "Agent     {} {} ({})", text("id"), text("version"), text("name"));
        out += &about(manifest);
    }
    let mut list = |head: &str, lines: &[String]| {
        let _ = writeln!(out, "\n{head}");
        for text in lines {
            let _ = writeln!(out, "  - {}", line(text));
        }
    };
    list("It could", &it.could);
    list("It can never", &it.never);
    list("It imports", &it.imports);
    let hint = |problem: &Failure| problem.hint.as_ref().map(|hint| format!(" - {hint}")).unwrap_or_default();
    let problems: Vec<_> =
        it.problems.iter().map(|p| format!("{} [{}]{}", p.message, p.code, hint(p))).collect();
    if !problems.is_empty() {
        list("Problems", &problems);
    }
    out
}

/// What an author says of an agent beside its name: whatever of it is there.
pub fn about(manifest: &Value) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &Value| {
        let text = match value {
            Value::Null => return,
            Value::String(text) => short(text, 300),
            Value::Array(items) if items.is_empty() => return,
            other => short(&other.to_string(), 300),
        };
        let _ = writeln!(out, "{name:<9} {text}");
    };
    for (name, member) in [
        ("About", "description"),
        ("Author", "author"),
        ("Homepage", "homepage"),
        ("Source", "repository"),
        ("Licence", "license"),
    ] {
        field(name, &manifest[member]);
    }
    for (name, member) in
        [("Collects", "dataCollection"), ("Retains", "dataRetention"), ("Shares", "dataSharing")]
    {
        field(name, &manifest["privacy"][member]);
    }
    let actions: Vec<_> = manifest["intents"].as_array().into_iter().flatten().collect();
    let actions: Vec<_> = actions.iter().filter_map(|intent| intent["action"].as_str()).collect();
    if !actions.is_empty() {
        field("Answers", &actions.join(", ").into());
    }
    out
}

//! `countersign build`: from a project to a component that can be installed.

use super::output::{Built, Exit};
use super::run::spinner;
use super::{Session, agent, cache, say};
use clap::Args;
use countersign::agent::{Manifest, Package};
use countersign::authority::{Call, Capability};
use countersign::config::Config;
use countersign::engine::{Engine, limits::Limits};
use countersign::host::{powers, undeclared};
use countersign::printable::{line, printable};
use countersign::refusals::{Code, Problem, Result};
use countersign::tools::ROOMS;
use countersign_harness::files;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target of Rust agents.
const TARGET: &str = "wasm32-wasip2";
/// Names an agent in JavaScript or TypeScript may have, below the project's folder or its `src`.
const ENTRIES: &[&str] = &["agent.ts", "agent.mts", "agent.js", "agent.mjs"];
/// Where the component goes, below the project's folder.
const OUT: &str = "build/agent.wasm";

#[derive(Args)]
pub struct Build {
    /// Folder of the project, with `agent.json`; or a JavaScript or TypeScript file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The manifest, instead of the `agent.json` beside it
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Where to write the component, instead of `build/agent.wasm` of the project
    #[arg(short, long, alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Build {
    pub fn run(self, session: &Session) -> Result<Exit> {
        let project = Project::at(&self.path, self.manifest)?;
        let out = match self.output {
            Some(file) => file,
            None => project.output()?,
        };
        let built = project.build()?;
        write(&out, &built.package.bytes)?;
        let (could, never) = powers(&built.package, Some(&built.manifest));
        let built = Built {
            file: out.display().to_string(),
            agent: built.manifest.id.clone(),
            version: built.manifest.version.to_string(),
            digest: built.package.digest.to_string(),
            bytes: built.package.bytes.len() as u64,
            could,
            never,
            warnings: built.warnings,
        };
        session.answer(&built, show)?;
        Ok(Exit::Done)
    }
}

/// What there is to build.
pub struct Project {
    folder: PathBuf,
    manifest: PathBuf,
    source: Source,
}

enum Source {
    Rust,
    Script(PathBuf),
}

/// A component, checked as at installation.
pub struct Checked {
    pub package: Package,
    pub manifest: Manifest,
    pub warnings: Vec<String>,
}

impl Project {
    /// Looks at what lies at `path`.
    pub fn at(path: &Path, manifest: Option<PathBuf>) -> Result<Project> {
        let (folder, source) = if path.is_dir() {
            let scripts = ["", "src"]
                .into_iter()
                .flat_map(|below| ENTRIES.iter().map(move |name| path.join(below).join(name)));
            let script = scripts.into_iter().find(|entry| entry.is_file());
            let source = match (script, path.join("Cargo.toml").is_file()) {
                (Some(entry), _) => Source::Script(entry),
                (None, true) => Source::Rust,
                (None, false) => {
                    let what = format!("there is no agent in {}", path.display());
                    return Err(Problem::new(Code::Usage, what)
                        .hint("an agent is agent.ts, agent.js or Cargo.toml; `countersign new` makes one")
                        .into());
                }
            };
            (path.to_owned(), source)
        } else if path.is_file() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            (folder.unwrap_or(Path::new(".")).to_owned(), Source::Script(path.to_owned()))
        } else {
            let what = format!("{} is not there", path.display());
            return Err(Problem::new(Code::Usage, what).hint("pass the folder of a project").into());
        };
        let manifest = manifest.unwrap_or_else(|| folder.join("agent.json"));
        if !manifest.is_file() {
            let what = format!("there is no manifest {}", manifest.display());
            return Err(Problem::new(Code::ManifestMissing, what)
                .hint("write agent.json beside the agent, or pass --manifest FILE")
                .into());
        }
        Ok(Project { folder, manifest, source })
    }

    /// Where the component goes. The project may be somebody else's, so no link leads out of it.
    fn output(&self) -> Result<PathBuf> {
        let file = self.folder.join(OUT);
        let folder = file.parent().unwrap_or(&self.folder);
        if folder.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            let what = format!("{} is not a folder of its own", folder.display());
            return Err(Problem::new(Code::Usage, what)
                .hint("remove it, or say where the component goes with --output FILE")
                .into());
        }
        Ok(file)
    }

    /// Builds the component, embeds the manifest and checks both as they will be when it is installed.
    pub fn build(&self) -> Result<Checked> {
        let text = agent::read_text(&self.manifest)?;
        let manifest = Manifest::parse(&text)?;
        let component = match &self.source {
            Source::Rust => rust(&self.folder)?,
            Source::Script(entry) => script(entry, &manifest)?,
        };
        let package = Package::read(Package::read(component)?.pack(&text)?)?;
        let spinner = spinner("compiling");
        let checked = Engine::new(cache(&Config::default()), Limits::default())?.check(&package);
        spinner.finish_and_clear();
        checked?;
        if let Some((call, capability)) = undeclared(&package, &manifest.capabilities).first() {
            let message = format!("it imports {call} but does not declare {capability}");
            return Err(Problem::new(Code::UndeclaredImport, message)
                .hint("declare the capability in agent.json, or leave the call out")
                .into());
        }
        let warnings =
            manifest.capabilities.iter().filter_map(|capability| idle(&package, *capability)).collect();
        Ok(Checked { package, manifest, warnings })
    }
}

/// Why declaring a capability gives this agent nothing, if it does not.
fn idle(package: &Package, capability: Capability) -> Option<String> {
    let calls = ROOMS.iter().flat_map(|room| room.calls.iter().map(move |call| (room, call)));
    let needing: Vec<_> = calls.filter(|(_, call)| call.capability == Some(capability)).collect();
    if needing.is_empty() {
        return Some(format!("it declares {capability}, for which there is no tool yet"));
    }
    let called = needing.iter().any(|(room, call)| package.calls(room.import, &call.function()));
    let names: Vec<_> = needing.iter().map(|(_, call)| call.name).collect();
    (!called).then(|| format!("it declares {capability} but never calls {}", names.join(", ")))
}

/// Builds a Rust agent with the author's own toolchain.
fn rust(folder: &Path) -> Result<Vec<u8>> {
    let failed = |what: String| {
        Problem::new(Code::BuildFailed, format!("cannot build {}: {what}", folder.display()))
            .hint(format!("Rust agents need cargo and `rustup target add {TARGET}`"))
    };
    let cargo = Command::new("cargo")
        .args(["build", "--release", "--target", TARGET, "--message-format", "json-render-diagnostics"])
        .current_dir(folder)
        // The flags of whoever calls are for this machine, not for the guest.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("cargo: {error}")))?;
    if !cargo.status.success() {
        return Err(failed(format!("cargo ended with {}", cargo.status)).into());
    }
    // What it depends on may be components too; the project's own is the one of its own manifest.
    let own = folder.join("Cargo.toml").canonicalize().unwrap_or_default();
    let mut files = cargo.stdout.split(|byte| *byte == b'\n').filter_map(|line| {
        let message: Value = serde_json::from_slice(line).ok()?;
        message["manifest_path"].as_str().filter(|manifest| Path::new(manifest) == own)?;
        let files = message["filenames"].as_array()?;
        files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
    });
    match files.next_back() {
        Some(file) => agent::read(&file),
        None => Err(failed("cargo made no component".into())
            .hint("Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`")
            .into()),
    }
}

/// Builds an agent in JavaScript or TypeScript, with nothing but this program.
fn script(entry: &Path, manifest: &Manifest) -> Result<Vec<u8>> {
    let spinner = spinner("building");
    let allowed =
        |call: &&Call| call.capability.is_none_or(|capability| manifest.capabilities.contains(&capability));
    let calls: Vec<_> =
        ROOMS.iter().flat_map(|room| room.calls).filter(allowed).map(|call| call.name).collect();
    let built = countersign_js::build(entry, &calls);
    spinner.finish_and_clear();
    built.map_err(|problem| {
        // What is wrong is shown with its lines of source, which an error of one line cannot.
        say(&printable(problem.message.trim_end()));
        let first = problem.message.lines().next().unwrap_or_default();
        Problem::new(Code::BuildFailed, format!("cannot build {}: {first}", entry.display())).into()
    })
}

/// Writes the component, and the folder it goes to.
fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).and_then(|()| files::write(file, bytes)).map_err(|error| {
        Problem::new(Code::Usage, format!("cannot write {}: {error}", file.display())).into()
    })
}

fn show(it: &Built) -> String {
    for warning in &it.warnings {
        say(&format!("warning: {}", line(warning)));
    }
    let mut out = format!(
        "Agent     {} {}\nFile      {}\nDigest    sha256:{}\nSize      {} bytes\n",
        line(&it.agent),
        line(&it.version),
        printable(&it.file),
        it.digest,
        it.bytes
    );
    for (head, lines) in [("It could", &it.could), ("It can never", &it.never)] {
        let _ = writeln!(out, "\n{head}");
        for text in lines {
            let _ = writeln!(out, "  - {}", line(text));
        }
    }
    out
}

//! `countersign new`: write a project whose agent builds and whose scenarios pass.

use super::Session;
use super::output::{Created, Exit};
use clap::{Args, ValueEnum};
use countersign::agent::Manifest;
use countersign::clock::Clock;
use countersign::printable::printable;
use countersign::refusals::{Code, Problem, Result};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct New {
    /// Name of the project, and of the folder that is made for it
    name: String,
    /// Language of the agent
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// What the agent does
    #[arg(long, default_value = "send")]
    template: Template,
    /// Id of the agent, instead of com.example.agent.NAME
    #[arg(long)]
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Rust; takes cargo to build
    Rust,
    /// JavaScript; takes nothing else to build
    Js,
    /// TypeScript; takes nothing else to build
    Ts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Asks for approval of a short note, and sends it
    Send,
    /// Lists unread mail, and sends nothing
    Digest,
    /// Sorts recent mail into groups, and answers one message once that is approved
    Triage,
}

/// Where a file of a project goes, and its text.
type File = (&'static str, &'static str);

/// Files of a folder of the checkout, which go to the same places of a project, or of a folder in it.
macro_rules! files {
    ($from:literal, $($path:literal)+) => { files!($from => "", $($path)+) };
    ($from:literal => $to:literal, $($path:literal)+) => {
        &[$((concat!($to, $path), include_str!(concat!("../../../", $from, "/", $path))),)+]
    };
}

const NAME_CHARS_MAX: usize = 64;
const README: &str = "README.md";
const SDK_MANIFEST: &str = "countersign-sdk/Cargo.toml";
const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const GITIGNORE: File = (".gitignore", include_str!("../../../guest-sdk/templates/shared/gitignore"));
const TYPES: File = ("types/countersign-sdk.d.ts", include_str!("../../../guest-sdk/js/index.d.ts"));
/// So that `cargo fmt` leaves the SDK as it is.
const SDK_STYLE: File = ("countersign-sdk/.rustfmt.toml", include_str!("../../../.rustfmt.toml"));
const SDK: &[File] = files!("guest-sdk/rust" => "countersign-sdk/",
    "Cargo.toml"
    "src/agent.rs" "src/approval.rs" "src/arena.rs" "src/card.rs" "src/error.rs" "src/intent.rs" "src/lib.rs"
    "src/manifest.rs" "src/messages.rs"
    "wit/agent.wit" "wit/deps/approval/approval.wit" "wit/deps/interpreter/interpreter.wit"
    "wit/deps/messages/messages.wit" "wit/deps/types/types.wit");

impl Template {
    /// What is the same in every language. The README is its first half.
    fn shared(self) -> &'static [File] {
        match self {
            Template::Send => files!("guest-sdk/templates/shared/send",
                "agent.json" "README.md"
                "scenarios/approved/scenario.json" "scenarios/approved/expected.txt"
                "scenarios/declined/scenario.json" "scenarios/declined/expected.txt"
                "scenarios/expired/scenario.json" "scenarios/expired/expected.txt"
                "scenarios/refused/scenario.json" "scenarios/refused/expected.txt"),
            Template::Digest => files!("guest-sdk/templates/shared/digest",
                "agent.json" "README.md"
                "scenarios/not-granted/scenario.json" "scenarios/not-granted/expected.txt"
                "scenarios/nothing-unread/scenario.json" "scenarios/nothing-unread/expected.txt"
                "scenarios/unread/scenario.json" "scenarios/unread/expected.txt"),
            Template::Triage => files!("guest-sdk/templates/shared/triage",
                "agent.json" "README.md"
                "scenarios/groups/scenario.json" "scenarios/groups/expected.txt"
                "scenarios/reply-approved/scenario.json" "scenarios/reply-approved/expected.txt"
                "scenarios/reply-declined/scenario.json" "scenarios/reply-declined/expected.txt"
                "scenarios/reply-to-nothing/scenario.json" "scenarios/reply-to-nothing/expected.txt"),
        }
    }

    /// The agent.
    fn source(self, language: Language) -> &'static [File] {
        match (language, self) {
            (Language::Rust, Template::Send) => files!("guest-sdk/templates/rust/send", "src/lib.rs"),
            (Language::Rust, Template::Digest) => files!("guest-sdk/templates/rust/digest", "src/lib.rs"),
            (Language::Rust, Template::Triage) => files!("guest-sdk/templates/rust/triage", "src/lib.rs"),
            (Language::Js, Template::Send) => files!("guest-sdk/templates/js/send", "agent.js"),
            (Language::Js, Template::Digest) => files!("guest-sdk/templates/js/digest", "agent.js"),
            (Language::Js, Template::Triage) => files!("guest-sdk/templates/js/triage", "agent.js"),
            (Language::Ts, Template::Send) => files!("guest-sdk/templates/ts/send", "agent.ts"),
            (Language::Ts, Template::Digest) => files!("guest-sdk/templates/ts/digest", "agent.ts"),
            (Language::Ts, Template::Triage) => files!("guest-sdk/templates/ts/triage", "agent.ts"),
        }
    }
}

impl Language {
    /// What a project in this language has besides. The README is its second half.
    fn project(self) -> &'static [File] {
        match self {
            Language::Rust => files!("guest-sdk/templates/rust", "Cargo.toml" "README.md"),
            Language::Js => files!("guest-sdk/templates/js", "jsconfig.json" "README.md"),
            Language::Ts => files!("guest-sdk/templates/ts", "tsconfig.json" "README.md"),
        }
    }

    /// What of the SDK lies in a project, as it is.
    fn sdk(self) -> Vec<File> {
        match self {
            Language::Rust => [SDK, &[SDK_STYLE]].concat(),
            Language::Js | Language::Ts => vec![TYPES],
        }
    }
}

impl New {
    pub fn run(self, session: &Session) -> Result<Exit> {
        self.check_name()?;
        let id = self.id()?;
        let files = self.files(&id);
        write(Path::new(&self.name), &files)?;
        let readme = files.iter().find(|(path, _)| path == README).map_or("", |(_, text)| text.as_str());
        let created = Created {
            next: [format!("cd {}", self.name)].into_iter().chain(commands(readme)).collect(),
            folder: self.name,
            id,
            files: files.into_iter().map(|(path, _)| path).collect(),
        };
        session.answer(&created, show)?;
        Ok(Exit::Done)
    }

    fn check_name(&self) -> Result<()> {
        let usage = |message: String| Problem::new(Code::Usage, message);
        let name = self.name.as_str();
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !name.chars().all(known) || name.len() > NAME_CHARS_MAX {
            let hint = format!(
                "a name is lower-case letters, digits and hyphens, begins with a letter, and has at most {NAME_CHARS_MAX}"
            );
            return Err(usage(format!("`{name}` cannot be the name of a project")).hint(hint).into());
        }
        // The project is a package beside the SDK's.
        if self.lang == Language::Rust && name == "countersign-sdk" {
            return Err(usage(format!("`{name}` is the name of the SDK")).hint("choose another name").into());
        }
        Ok(())
    }

    fn id(&self) -> Result<String> {
        let Some(id) = &self.id else { return Ok(format!("com.example.agent.{}", self.name)) };
        let manifest = json!({
            "id": id, "name": "A", "version": "0.1.0", "description": "", "capabilities": [],
        });
        match Manifest::parse(&manifest.to_string()) {
            Ok(_) => Ok(id.clone()),
            Err(_) => Err(Problem::new(Code::Usage, format!("`{id}` cannot be the id of an agent"))
                .hint("an id is a reverse-domain name in lower case such as com.yourcompany.agent.name")
                .into()),
        }
    }

    /// All files of the project, by their paths.
    fn files(&self, id: &str) -> Vec<(String, String)> {
        let fill = |text: &str| {
            text.replace("{{name}}", &self.name)
                .replace("{{id}}", id)
                .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        };
        let mut files: Vec<(String, String)> = Vec::new();
        let (shared, source) = (self.template.shared(), self.template.source(self.lang));
        for (path, text) in shared.iter().chain(source).chain(self.lang.project()).chain(&[GITIGNORE]) {
            match files.iter_mut().find(|(known, _)| known == path) {
                Some((_, half)) => *half += &fill(text),
                None => files.push(((*path).to_owned(), fill(text))),
            }
        }
        files.extend(self.lang.sdk().into_iter().map(|(path, text)| {
            let text = if path == SDK_MANIFEST { alone(text) } else { text.to_owned() };
            (path.to_owned(), text)
        }));
        files.sort();
        files
    }
}

/// The manifest of a package of this workspace, with what it inherits written out.
fn alone(manifest: &str) -> String {
    let package = WORKSPACE.split("[workspace.package]\n").nth(1).unwrap_or_default();
    let inherited = |line: &str| {
        let key = line.strip_suffix(".workspace = true")?;
        let lines = package.lines().take_while(|line| !line.starts_with('['));
        lines.into_iter().find(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = ")))
    };
    manifest.lines().map(|line| format!("{}\n", inherited(line).unwrap_or(line))).collect()
}

/// The commands of a README: its first block for a shell.
fn commands(readme: &str) -> impl Iterator<Item = String> {
    let block = readme.split("```sh\n").nth(1).unwrap_or_default().split("```").next();
    block.unwrap_or_default().lines().map(str::to_owned)
}

/// The folder a project is written in, before it gets its name; thrown away if it never does.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes a project: all of it, or nothing.
fn write(folder: &Path, files: &[(String, String)]) -> Result<()> {
    let usage = |message: String| Problem::new(Code::Usage, message);
    let empty = || std::fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_none());
    if std::fs::symlink_metadata(folder).is_ok_and(|there| !there.is_dir() || !empty()) {
        let message = format!("{} is there already", folder.display());
        return Err(usage(message).hint("choose another name, or remove it").into());
    }
    let staging = Staging(folder.with_file_name(Clock::system().id(".countersign-new-")));
    let written = || {
        std::fs::create_dir(&staging.0)?;
        for (path, text) in files {
            let path = staging.0.join(path);
            std::fs::create_dir_all(path.parent().unwrap_or(&staging.0))?;
            std::fs::write(path, text)?;
        }
        // Takes the place of an empty folder, and of nothing else.
        std::fs::rename(&staging.0, folder)
    };
    written().map_err(|error: std::io::Error| {
        usage(format!("cannot write {}: {error}", folder.display()))
            .hint("check the folder you are in")
            .into()
    })
}

fn show(it: &Created) -> String {
    // Folders are named, and not what is in them.
    let top = |path: &String| match path.split_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => path.clone(),
    };
    let mut out = format!("{}/, the project of {}\n", printable(&it.folder), printable(&it.id));
    for name in it.files.iter().map(top).collect::<BTreeSet<_>>() {
        let _ = writeln!(out, "  {name}");
    }
    out += "\nNext\n";
    for command in &it.next {
        let _ = writeln!(out, "  {command}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every project there can be.
    fn projects() -> Vec<Vec<(String, String)>> {
        let mut projects = Vec::new();
        for lang in Language::value_variants() {
            for template in Template::value_variants() {
                let new = New { name: "hello".into(), lang: *lang, template: *template, id: None };
                projects.push(new.files("com.example.agent.hello"));
            }
        }
        projects
    }

    /// The paths of all files below a folder of the checkout.
    fn below(folder: &str) -> BTreeSet<String> {
        fn collect(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => collect(&path, root, found),
                    false => drop(found.insert(path.strip_prefix(root).unwrap().display().to_string())),
                }
            }
        }
        let (mut found, root) = (BTreeSet::new(), checkout(folder));
        collect(&root, &root, &mut found);
        found
    }

    fn checkout(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
    }

    #[test]
    fn every_file_of_the_templates_is_in_a_project() {
        let projects = projects().concat();
        for path in below("guest-sdk/templates").iter().filter(|path| *path != README) {
            let text = std::fs::read_to_string(checkout("guest-sdk/templates").join(path)).unwrap();
            let text = text
                .replace("{{name}}", "hello")
                .replace("{{id}}", "com.example.agent.hello")
                .replace("{{version}}", env!("CARGO_PKG_VERSION"));
            assert!(projects.iter().any(|(_, written)| written.contains(&text)), "{path}");
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, text) in projects().concat() {
            // Types in the comments of JavaScript begin with two brackets too, and then a space.
            let open =
                text.split("{{").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
            assert!(path.starts_with("countersign-sdk/") || !open, "{path}");
        }
    }

    #[test]
    fn the_sdk_of_a_rust_project_is_all_of_the_sdk() {
        let given: BTreeSet<_> =
            SDK.iter().map(|(path, _)| path.strip_prefix("countersign-sdk/").unwrap().to_owned()).collect();
        let mut there = below("guest-sdk/rust");
        there.retain(|path| !path.ends_with(README));
        assert_eq!(given, there);
    }

    #[test]
    fn the_manifest_of_the_sdk_stands_alone() {
        let sdk = SDK.iter().find(|(path, _)| *path == SDK_MANIFEST).unwrap().1;
        let manifest = alone(sdk);
        assert!(sdk.contains("version.workspace = true\n") && !manifest.contains("workspace"), "{manifest}");
        assert!(
            manifest.contains(concat!("\nversion = \"", env!("CARGO_PKG_VERSION"), "\"\n")),
            "{manifest}"
        );
    }

    #[test]
    fn a_project_that_cannot_be_written_leaves_nothing_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("hello");
        // The second file needs a folder where the first one is.
        let file = |path: &str| (path.to_owned(), String::new());
        assert!(write(&folder, &[file("a"), file("a/b")]).is_err());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
        write(&folder, &[file("a"), file("b/c")]).unwrap();
        assert!(folder.join("b/c").is_file());
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}

//! Programs that people read their mail with, or that those are made of, read what leaves as it was signed.

use crate::support::workspace;
use countersign::approval::names::unicode;
use countersign::approval::{Action, BodyKind};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

/// A letter that has left, and what was signed.
pub struct Letter {
    pub bytes: Vec<u8>,
    pub signed: Action,
}

/// What a reader made of one.
#[derive(Debug, Deserialize)]
struct Read {
    file: String,
    subject: Option<String>,
    to: Vec<String>,
    cc: Vec<String>,
    kind: String,
    body: Option<String>,
}

/// How a reader is asked, and what it is known to make of a body or a subject that no two readers show differently.
struct Reader {
    name: &'static str,
    command: Vec<String>,
    /// Text as this reader hands it out.
    folds: fn(&str) -> String,
}

/// The readers that are here; of the others it says that they are skipped.
fn readers() -> Vec<Reader> {
    let script = |name: &str| workspace().join("tests/readers").join(name).display().to_string();
    let modules = workspace().join("target/readers/node_modules");
    let mut readers = Vec::new();
    match Command::new("python3").args(["-c", "import email.policy"]).output() {
        Ok(done) if done.status.success() => readers.push(Reader {
            name: "Python's email",
            command: vec!["python3".into(), script("read.py")],
            folds: lines,
        }),
        _ => eprintln!("SKIPPED: Python's email: needs python3"),
    }
    for (name, folds) in [("mailparser", without_end as fn(&str) -> String), ("postal-mime", without_end)] {
        if modules.join(name).is_dir() {
            let command = ["node".into(), script("read.mjs"), name.into(), modules.display().to_string()];
            readers.push(Reader { name, command: command.to_vec(), folds });
        } else {
            eprintln!("SKIPPED: {name}: .ci/run installs it");
        }
    }
    readers
}

/// Line breaks are line breaks, however a library writes them.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Addresses with international domains as they show: some libraries hand them out so, and some in their encoded form.
fn shown(addresses: &[String]) -> Vec<String> {
    let split = |address: &String| {
        address.rsplit_once('@').map(|(local, domain)| format!("{local}@{}", unicode(domain)))
    };
    addresses.iter().map(|address| split(address).unwrap_or_else(|| address.clone())).collect()
}

/// As [`lines`]; the libraries end a body with a line break of their own, or without the last one.
fn without_end(text: &str) -> String {
    lines(text).trim_end_matches('\n').to_owned()
}

/// Has every reader read every letter, in one process each, and compares subject, recipients and body, links with it, with what
/// was signed. Gives how many were read.
pub fn read_as_signed(letters: &[Letter]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    for (number, letter) in letters.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number}.eml")), &letter.bytes).unwrap();
    }
    let mut count = 0;
    let readers = readers();
    let may_skip = std::env::var_os("COUNTERSIGN_TEST_ALL").is_none();
    assert!(may_skip || !readers.is_empty(), "COUNTERSIGN_TEST_ALL is set, and no reader is here");
    for Reader { name, command, folds } in readers {
        let done = Command::new(&command[0]).args(&command[1..]).arg(folder.path()).output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        let answer = String::from_utf8(done.stdout).unwrap();
        let read: Vec<Read> = answer.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read.len(), letters.len(), "{name} read every letter");
        for found in read {
            let number: usize =
                PathBuf::from(&found.file).file_stem().unwrap().to_str().unwrap().parse().unwrap();
            let Letter { signed, bytes } = &letters[number];
            let kind = if signed.body_kind == BodyKind::Html { "html" } else { "text" };
            let letter = || String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]).into_owned();
            assert_eq!(found.subject.as_deref().unwrap_or_default(), signed.subject, "{name}: {}", letter());
            assert_eq!(shown(&found.to), shown(&signed.to), "{name}: {}", letter());
            assert_eq!(shown(&found.cc), shown(&signed.cc), "{name}: {}", letter());
            assert_eq!(found.kind, kind, "{name}: {}", letter());
            let body = folds(found.body.as_deref().unwrap_or_default());
            assert!(body == folds(&signed.body), "{name}: {body:?}\n{:?}\n{}", folds(&signed.body), letter());
            count += 1;
        }
    }
    count
}

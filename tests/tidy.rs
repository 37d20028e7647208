//! Rules about the code itself that the compiler does not know.

use crate::support::workspace;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a module: what stands before its tests, without comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// Module, and what it may not name.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("tools", &["crate::store", "crate::backends", "crate::engine", "crate::host", "rusqlite"]),
    (
        "journal",
        &[
            "crate::store",
            "crate::backends",
            "crate::engine",
            "crate::tools",
            "crate::host",
            "wasmtime",
            "rusqlite",
        ],
    ),
    (
        "approval",
        &[
            "crate::store",
            "crate::backends",
            "crate::engine",
            "crate::tools",
            "crate::host",
            "crate::journal",
            "wasmtime",
            "rusqlite",
        ],
    ),
    (
        "authority",
        &[
            "crate::store",
            "crate::engine",
            "crate::tools",
            "crate::journal",
            "crate::approval",
            "wasmtime",
            "rusqlite",
        ],
    ),
    ("intent", &["crate::store", "crate::engine", "crate::tools", "crate::journal", "wasmtime", "rusqlite"]),
    ("agent", &["crate::store", "crate::engine", "crate::tools", "crate::journal", "rusqlite"]),
    ("engine", &["crate::store", "crate::backends", "crate::host", "crate::config", "rusqlite"]),
    ("backends", &["crate::engine", "crate::host", "wasmtime", "rusqlite"]),
    ("store", &["crate::engine", "crate::backends", "crate::host", "wasmtime"]),
    ("refusals", &["crate::"]),
    ("cli", &["wasmtime", "rusqlite", "crate::"]),
];

#[test]
fn modules_depend_in_one_direction() {
    let mut broken = Vec::new();
    for (module, forbidden) in FORBIDDEN {
        let folder = workspace().join("host/src").join(module);
        assert!(folder.is_dir(), "the table names {module}, which is not there");
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for file in files {
            let code = code(&file);
            for name in *forbidden {
                if code.contains(name) {
                    broken.push(format!("{} names {name}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_the_clock_reads_time_and_randomness() {
    let mut files = Vec::new();
    sources(&workspace().join("host/src"), &mut files);
    for file in files.iter().filter(|file| !file.ends_with("clock.rs")) {
        let code = code(file);
        for name in ["SystemTime::now", "Timestamp::now", "getrandom", "Zoned::now"] {
            assert!(!code.contains(name), "{} reads {name}", file.display());
        }
    }
}

#[test]
fn a_permit_is_made_in_one_place() {
    let mut files = Vec::new();
    sources(&workspace().join("host/src"), &mut files);
    let makers: Vec<_> = files
        .iter()
        .filter(|file| code(file).contains("Permit { scope"))
        .map(|file| file.display().to_string())
        .collect();
    assert_eq!(makers.len(), 1, "{makers:?}");
    assert!(makers[0].ends_with("authority/mod.rs"));
}

#[test]
fn unsafe_code_stands_in_one_place() {
    let mut files = Vec::new();
    sources(&workspace().join("host/src"), &mut files);
    let places: Vec<_> = files
        .iter()
        .filter(|file| code(file).contains("unsafe {"))
        .map(|file| file.strip_prefix(workspace()).unwrap().display().to_string())
        .collect();
    assert_eq!(places, ["host/src/engine/compile.rs"]);
}

#[test]
fn the_frozen_contract_is_still_part_of_the_contract() {
    // The guest under `tests/guests/frozen` is built from a copy of the contract as first published. Whatever stands there
    // must still stand in `wit/`, line for line: additions are welcome, changes are not.
    let frozen = workspace().join("tests/guests/frozen/wit");
    for file in
        ["agent.wit", "deps/types/types.wit", "deps/messages/messages.wit", "deps/approval/approval.wit"]
    {
        let old = std::fs::read_to_string(frozen.join(file)).unwrap();
        let new = std::fs::read_to_string(workspace().join("wit").join(file)).unwrap();
        let declarations = |text: &str| -> Vec<String> {
            text.lines()
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with("///"))
                .map(str::to_owned)
                .collect()
        };
        let new = declarations(&new);
        for line in declarations(&old) {
            assert!(new.contains(&line), "{file} no longer has: {line}");
        }
    }
}

#[test]
fn wasmtime_is_at_least_the_release_with_the_limits_we_rely_on() {
    let lock = std::fs::read_to_string(workspace().join("Cargo.lock")).unwrap();
    for package in ["wasmtime", "wasmtime-wasi"] {
        let versions: Vec<_> = lock
            .split("[[package]]")
            .filter(|entry| entry.contains(&format!("name = \"{package}\"\n")))
            .map(|entry| entry.split("version = \"").nth(1).unwrap().split('"').next().unwrap().to_owned())
            .collect();
        assert_eq!(versions.len(), 1, "one engine per process: {package} {versions:?}");
        let version = semver::Version::parse(&versions[0]).unwrap();
        assert_eq!(version.major, 48, "{package}");
        assert!(version >= semver::Version::new(48, 0, 8), "{package} {version}");
    }
}

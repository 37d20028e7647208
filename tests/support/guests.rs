//! The checkout, and guests, built once.

use countersign::agent::{Manifest, Package};
use countersign::tools::ROOMS;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// The checkout.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap()
}

/// The component of a guest: of a package, `send-report` or `guest-script`, or of its counterpart in JavaScript, of the
/// same name with `-js` behind it.
pub fn guest(name: &str) -> PathBuf {
    if name.ends_with("-js") { javascript(name) } else { rust(name) }
}

/// All packages are built at the first call.
fn rust(package: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let target = workspace().join("target/guests");
        let packages = [
            "send-report",
            "inbox-digest",
            "guest-script",
            "guest-script-bare",
            "guest-misbehaving",
            "guest-frozen",
        ];
        let built = Command::new("cargo")
            .args(["build", "--quiet", "--locked", "--profile", "guest", "--target", "wasm32-wasip2"])
            .args(packages.iter().flat_map(|package| ["--package", package]))
            .arg("--target-dir")
            .arg(&target)
            .current_dir(workspace())
            .env_remove("RUSTFLAGS")
            .stdin(Stdio::null())
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the guests do not build: is the target wasm32-wasip2 installed?");
        target.join("wasm32-wasip2/guest")
    });
    let file = folder.join(format!("{}.wasm", package.replace('-', "_")));
    assert!(file.is_file(), "{} was not built", file.display());
    file
}

fn javascript(name: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap();
    let built = built.get_or_insert_default();
    if let Some(file) = built.get(name) {
        return file.clone();
    }
    let (folder, bare) = match name {
        "guest-script-js" => ("tests/guests/script-js".to_owned(), false),
        "guest-script-bare-js" => ("tests/guests/script-js".to_owned(), true),
        _ => (format!("example-agents/{name}"), false),
    };
    let folder = workspace().join(folder);
    let manifest = std::fs::read_to_string(folder.join("agent.json")).unwrap();
    let component = scripted(&folder.join("agent.js"), (!bare).then_some(&*manifest));
    let target = workspace().join("target/guests/js");
    std::fs::create_dir_all(&target).unwrap();
    // Other test programs may read the file while this one writes it.
    let (file, fresh) =
        (target.join(format!("{name}.wasm")), target.join(format!("{name}.{}", std::process::id())));
    std::fs::write(&fresh, component).unwrap();
    std::fs::rename(fresh, &file).unwrap();
    built.insert(name.to_owned(), file.clone());
    file
}

/// The component of an agent in JavaScript, with the calls its manifest declares; all of them where it has none.
pub fn scripted(entry: &Path, manifest: Option<&str>) -> Vec<u8> {
    let declared = manifest.map(|text| Manifest::parse(text).unwrap().capabilities);
    let calls: Vec<_> = ROOMS
        .iter()
        .flat_map(|room| room.calls)
        .filter(|call| match (&declared, call.capability) {
            (Some(declared), Some(capability)) => declared.contains(&capability),
            _ => true,
        })
        .map(|call| call.name)
        .collect();
    let component = countersign_js::build(entry, &calls).unwrap_or_else(|problem| panic!("{problem:?}"));
    match manifest {
        Some(manifest) => Package::read(component).unwrap().pack(manifest).unwrap(),
        None => component,
    }
}

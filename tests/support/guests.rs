//! The checkout, and guests, built once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The checkout.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap()
}

/// The component of a guest package, `send-report` or `guest-script`. All of them are built at the first call.
pub fn guest(package: &str) -> PathBuf {
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

//! The committed engine is what its source gives. `BLESS=1` writes it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why it is skipped"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wasmtime::{Engine, Instance, Linker, Module, Store};
use wasmtime_wizer::{InstanceState, SnapshotVal, ValType, Wizer};

const TARGET: &str = "wasm32-unknown-unknown";
/// What QuickJS is compiled with. Another compiler gives another engine, which does the same.
const CLANG: &str = "14.0.6";

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(3).unwrap()
}

/// The engine, built from source. Where it lies and who builds it leaves no trace in it.
fn build() -> Vec<u8> {
    let target = workspace().join("target/guests");
    let home = std::env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from);
    let flags = [
        format!("--remap-path-prefix={}=/cargo", home.display()),
        format!("--remap-path-prefix={}=/countersign", workspace().display()),
    ];
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--profile", "guest", "--target", TARGET])
        .args(["--package", "countersign-js-runtime", "--target-dir"])
        .arg(&target)
        .current_dir(workspace())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CC_wasm32_unknown_unknown", "clang")
        .env("AR_wasm32_unknown_unknown", "llvm-ar")
        .stdin(Stdio::null())
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the engine does not build: is the target {TARGET} installed?");
    std::fs::read(target.join(TARGET).join("guest/countersign_js_runtime.wasm")).unwrap()
}

fn home() -> PathBuf {
    PathBuf::from(std::env::var_os("HOME").expect("there is a home folder"))
}

/// Starts the engine, and gives it as it is then.
fn started(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func("initialize");
    let (context, instrumented) = wizer.instrument(wasm)?;
    let engine = Engine::default();
    let module = Module::new(&engine, &instrumented)?;
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&module)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    instance.get_typed_func::<(), ()>(&mut store, "initialize")?.call(&mut store, ())?;
    let mut state = Started { store, instance };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(wizer.snapshot(&context, &mut state))?)
}

struct Started {
    store: Store<()>,
    instance: Instance,
}

impl InstanceState for Started {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let global = self.instance.get_global(&mut self.store, name).unwrap();
        match global.get(&mut self.store) {
            wasmtime::Val::I32(value) => SnapshotVal::I32(value),
            other => panic!("the engine has a global of {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        let memory = self.instance.get_memory(&mut self.store, name).unwrap();
        contents(memory.data(&self.store));
    }
}

#[test]
fn the_committed_engine_is_what_its_source_gives() {
    let version = Command::new("clang").arg("--version").output();
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    if !version.contains(&format!("version {CLANG}")) {
        eprintln!("SKIPPED: the engine is compiled with clang {CLANG}, which is not here");
        return;
    }
    let engine = started(&build()).unwrap();
    let path = workspace().join("guest-sdk/js/runtime.wasm");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &engine).unwrap();
        return;
    }
    assert!(engine == countersign_js::RUNTIME, "guest-sdk/js/runtime.wasm is stale; BLESS=1 writes it");
}

//! From a component to something that can be instantiated in microseconds.

use super::{Engine, Run};
use crate::agent::Parts;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::refusals::{Code, Problem, Result};
use crate::tools::AgentPre;
use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use wasmtime::component::Component;

/// How many compiled components are kept in memory.
const COMPILED_MAX: usize = 256;

/// How many bytes of programs are kept with them.
const PROGRAM_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A component, compiled and linked, and the program it carries.
pub struct Compiled {
    pub(super) pre: AgentPre<Run>,
    pub(super) program: Arc<[u8]>,
}

/// What has been compiled in this process.
#[derive(Default)]
pub struct Memory {
    /// By digest of the component.
    components: HashMap<Digest, Arc<Compiled>>,
    /// By digest of what was compiled: agents on the same interpreter share it, and its memory image.
    code: HashMap<Digest, AgentPre<Run>>,
}

impl Engine {
    /// The compiled form of the component `digest`: from memory, from the cache, or by compiling what `bytes` gives.
    ///
    /// # Errors
    ///
    /// `MALFORMED_COMPONENT` where the bytes do not compile, `FOREIGN_IMPORT` and `MISSING_EXPORT` where they do not fit the world.
    pub fn load(&self, digest: Digest, bytes: impl FnOnce() -> Result<Vec<u8>>) -> Result<Arc<Compiled>> {
        if let Some(compiled) = self.compiled.lock().expect("no holder panics").components.get(&digest) {
            return Ok(compiled.clone());
        }
        let Parts { code, program } = Parts::of(&bytes()?);
        let key = Digest::of(&code);
        let known = self.compiled.lock().expect("no holder panics").code.get(&key).cloned();
        let pre = match known {
            Some(pre) => pre,
            None => self.link(key, &code)?,
        };
        let compiled = Arc::new(Compiled { pre: pre.clone(), program: program.into() });
        let mut memory = self.compiled.lock().expect("no holder panics");
        let programs: usize = memory.components.values().map(|compiled| compiled.program.len()).sum();
        if memory.components.len() >= COMPILED_MAX || programs > PROGRAM_BYTES_MAX {
            *memory = Memory::default();
        }
        memory.components.insert(digest, compiled.clone());
        memory.code.insert(key, pre);
        Ok(compiled)
    }

    /// Compiles `code`, whose digest is `key`, or takes what an earlier process compiled, and links it.
    fn link(&self, key: Digest, code: &[u8]) -> Result<AgentPre<Run>> {
        let cached = self.cache.as_ref().and_then(|cache| cache.get(&self.wasmtime, key));
        let component = match cached {
            Some(component) => component,
            None => {
                let component = compile(&self.wasmtime, code)?;
                if let Some(cache) = &self.cache {
                    cache.put(key, &component);
                }
                component
            }
        };
        let hint = "`countersign wit` prints the tools and the world an agent must implement";
        let pre = self.linker.instantiate_pre(&component).map_err(|error| {
            let what = crate::printable::short(&format!("{error:#}"), 500);
            Problem::new(Code::ForeignImport, format!("the component imports what no tool offers: {what}"))
                .hint(hint)
        })?;
        AgentPre::new(pre).map_err(|error| {
            let what = crate::printable::short(&format!("{error:#}"), 500);
            Problem::new(Code::MissingExport, format!("the component does not fit the world: {what}"))
                .hint(hint)
                .into()
        })
    }
}

/// Compiles in this process. The one place to put a bounded worker process: it takes bytes and gives a component.
fn compile(engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Component> {
    Component::from_binary(engine, bytes).map_err(|error| {
        Problem::new(Code::MalformedComponent, format!("the component does not compile: {error:#}")).into()
    })
}

/// Machine code this host compiled before.
///
/// Loading machine code runs whatever it contains, so the folder must belong to us and to nobody else; what is found
/// there otherwise is left alone and the cache stays unused.
pub struct Cache {
    dir: PathBuf,
    /// Stands for the version of wasmtime and every setting of the engine.
    settings: u64,
    clock: Clock,
}

impl Cache {
    /// Opens or makes the folder.
    pub fn open(dir: PathBuf, engine: &wasmtime::Engine) -> Option<Cache> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        let trusted = made.and_then(|()| fs::symlink_metadata(&dir)).is_ok_and(|found| {
            found.is_dir() && found.uid() == nix::unistd::geteuid().as_raw() && found.mode() & 0o077 == 0
        });
        if !trusted {
            tracing::warn!(
                blame = "operator",
                "not caching compilations: {} must be a folder of mode 0700 of this user",
                dir.display()
            );
            return None;
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Some(Cache { dir, settings: hasher.finish(), clock: Clock::system() })
    }

    pub fn into_dir(self) -> PathBuf {
        self.dir
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(format!("{digest}-{:016x}.cwasm", self.settings))
    }

    fn get(&self, engine: &wasmtime::Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let found = fs::symlink_metadata(&path).ok()?;
        if !found.is_file() || found.uid() != nix::unistd::geteuid().as_raw() {
            return None;
        }
        #[allow(
            unsafe_code,
            reason = "the file lies in a folder only we can write, under a name only we give"
        )]
        // SAFETY: written by `put` from this engine's own output, synced, renamed into place whole, never written again.
        let component = unsafe { Component::deserialize_file(engine, &path) };
        component.inspect_err(|error| tracing::warn!("compiling again: {error:#}")).ok()
    }

    /// Keeps a compilation. Failing to is no error: it is compiled again next time.
    fn put(&self, digest: Digest, component: &Component) {
        let path = self.path(digest);
        // A name of its own, so that nobody writes into a file that somebody else has mapped; on disk before it gets its real
        // name, so that no crash leaves half of it there.
        let temporary = path.with_extension(format!("{}.tmp", self.clock.id("")));
        let write = || {
            let machine_code = component.serialize()?;
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&machine_code)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            anyhow::Ok(())
        };
        if let Err(error) = write() {
            tracing::warn!(blame = "host", "not caching a compilation: {error:#}");
            let _ = fs::remove_file(&temporary);
        }
    }
}

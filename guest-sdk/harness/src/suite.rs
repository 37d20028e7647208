//! Many scenarios, side by side.

use crate::{Scenario, compare};
use anyhow::Context as _;
use countersign::agent::Package;
use countersign::engine::{Engine, limits::Limits};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tokio::time::Instant;

/// However many cores there are: each worker has an engine of its own.
const WORKERS_MAX: usize = 8;

/// A folder with a scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    /// The folder as seen from where scenarios lie: `declined`, or `replies/declined` in a group.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
}

/// How a scenario went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Went {
    /// As expected.
    Passed,
    /// Otherwise: the difference, or why it could not be told.
    Failed(String),
    /// What happened is what is expected from now on.
    Written,
}

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Name of the case.
    pub name: String,
    /// The sentence it shows to be true; empty where `scenario.json` cannot be read.
    pub about: String,
    /// How it went.
    pub went: Went,
    /// How long it took, in milliseconds.
    pub millis: u64,
}

/// The cases in `root`, by name. A folder with `scenario.json` or `expected.txt` is a case; any other is a group, and its
/// folders are looked at in the same way, but no deeper.
///
/// # Errors
///
/// When a folder cannot be read.
pub fn cases(root: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (name, folder) in folders(root)? {
        if is_case(&folder) {
            cases.push(Case { name, folder });
            continue;
        }
        for (inner, folder) in folders(&folder)?.into_iter().filter(|(_, folder)| is_case(folder)) {
            cases.push(Case { name: format!("{name}/{inner}"), folder });
        }
    }
    cases.sort();
    Ok(cases)
}

fn is_case(folder: &Path) -> bool {
    folder.join("scenario.json").exists() || folder.join("expected.txt").exists()
}

fn folders(path: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let unreadable = || format!("cannot read {}", path.display());
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(path).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        if entry.path().is_dir() {
            folders.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    Ok(folders)
}

/// Runs cases against a component, one worker for each core, and gives what came of each, by name. With `bless`, what happens
/// is written as what is expected. `on_done` hears of each case as it ends, from the worker.
///
/// A case that cannot be run, or brings the host down, has failed; the others go on.
pub fn suite(
    cases: &[Case],
    component: &[u8],
    bless: bool,
    on_done: impl Fn(&Outcome) + Sync,
) -> Vec<Outcome> {
    warm(component);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(cases.iter());
    let done = Mutex::new(Vec::with_capacity(cases.len()));
    std::thread::scope(|scope| {
        for _ in 0..cores.min(WORKERS_MAX).min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().expect("no holder panics").next() else { return };
                    let outcome = outcome(case, component, bless);
                    on_done(&outcome);
                    done.lock().expect("no holder panics").push(outcome);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no holder panics");
    done.sort_by(|a, b| a.name.cmp(&b.name));
    done
}

/// Compiles the component into the cache that all workers share, so that not each of them does. What is wrong with it, each
/// case will say.
fn warm(component: &[u8]) {
    let engine = Engine::new(Some(super::cache()), Limits::default());
    if let (Ok(engine), Ok(package)) = (engine, Package::read(component.to_vec())) {
        let _ = engine.check(&package);
    }
}

fn outcome(case: &Case, component: &[u8], bless: bool) -> Outcome {
    let began = Instant::now();
    let mut about = String::new();
    let went = guarded(|| {
        let scenario = Scenario::load(&case.folder)?;
        about.clone_from(&scenario.about);
        compare(&scenario, component, bless)
    });
    let millis = began.elapsed().as_millis() as u64;
    Outcome { name: case.name.clone(), about, went, millis }
}

/// Makes a failure of every way in which a case does not come to an end.
fn guarded(case: impl FnOnce() -> anyhow::Result<Went>) -> Went {
    match catch_unwind(AssertUnwindSafe(case)) {
        Ok(Ok(went)) => went,
        Ok(Err(error)) => Went::Failed(format!("{error:#}")),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied());
            Went::Failed(format!("the host panicked: {}", what.unwrap_or("it does not say why")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_lie_beside_groups_and_in_them_and_are_sorted_by_name() {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "b/scenario.json",
            "a/two/scenario.json",
            "a/one/expected.txt",
            "a/data/mail.eml",
            "a/deep/er/scenario.json",
            "empty/x",
        ] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names: Vec<_> = cases(root.path()).unwrap().into_iter().map(|case| case.name).collect();
        assert_eq!(names, ["a/one", "a/two", "b"]);
    }

    #[test]
    fn a_case_that_cannot_be_run_fails_alone_and_results_come_by_name() {
        let root = tempfile::tempdir().unwrap();
        let case = |name: &str, text: &str| {
            let folder = root.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("scenario.json"), text).unwrap();
            Case { name: name.into(), folder }
        };
        let step = "{\n  \"about\": \"x\",\n  \"action\": \"go\",\n  \"steps\": [\"sign\"]\n}";
        let cases = [case("b", step), case("a", r#"{"about": "It is a sentence.", "action": "go"}"#)];
        let heard = Mutex::new(Vec::new());
        let done = suite(&cases, b"no component", false, |outcome| {
            heard.lock().unwrap().push(outcome.name.clone());
        });
        assert_eq!(heard.into_inner().unwrap().len(), 2);
        let [a, b] = &done[..] else { panic!("{done:?}") };
        assert_eq!((a.name.as_str(), a.about.as_str()), ("a", "It is a sentence."));
        assert!(matches!(&a.went, Went::Failed(why) if !why.is_empty()), "{a:?}");
        let Went::Failed(why) = &b.went else { panic!("{b:?}") };
        assert!(why.contains("steps[0]: `\"sign\"` is not a step; there are \"approve\""), "{why}");
        assert!(why.contains("} at line 4"), "{why}");
    }

    #[test]
    fn a_panic_is_a_failure_of_its_case() {
        assert_eq!(guarded(|| panic!("no {}", 1)), Went::Failed("the host panicked: no 1".into()));
        assert_eq!(guarded(|| anyhow::bail!("no")), Went::Failed("no".into()));
        assert_eq!(guarded(|| Ok(Went::Passed)), Went::Passed);
    }
}

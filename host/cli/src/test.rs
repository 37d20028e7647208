//! `countersign test`: run the scenarios of a project against its agent.

use super::build::Project;
use super::output::{Exit, TestResult, Tested};
use super::{Session, agent, junit};
use clap::Args;
use countersign::agent::Package;
use countersign::printable::{line, printable};
use countersign::refusals::{Code, Problem, Result};
use countersign_harness::{Case, cases, suite};
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Write as _;
use std::path::PathBuf;

#[derive(Args)]
pub struct Test {
    /// Folder of the project, with `agent.json` and `scenarios/`
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Write what happens as what is expected, to be read and committed
    #[arg(long)]
    bless: bool,
    /// Only scenarios with this in their name
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// The component, instead of the project's own
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Also write a report that build servers read
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Test {
    pub fn run(self, session: &Session) -> Result<Exit> {
        let cases = self.cases()?;
        let package = match &self.agent {
            Some(file) => Package::read(agent::read(file)?)?,
            None => Project::at(&self.dir, None)?.build()?.package,
        };
        let bar = ProgressBar::new(cases.len() as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} scenarios, {elapsed}");
        bar.set_style(style.expect("a constant"));
        let outcomes = suite(&cases, &package.bytes, self.bless, |_| bar.inc(1));
        bar.finish_and_clear();
        if let Some(file) = &self.junit {
            junit::write(file, &outcomes).map_err(|error| {
                Problem::new(Code::Usage, format!("cannot write {}: {error}", file.display()))
            })?;
        }
        let tested = Tested::of(&outcomes, package.digest);
        session.answer(&tested, show)?;
        Ok(if tested.failed == 0 { Exit::Done } else { Exit::Stopped })
    }

    /// The scenarios that are meant.
    fn cases(&self) -> Result<Vec<Case>> {
        let folder = self.dir.join("scenarios");
        let all = if folder.exists() { cases(&folder) } else { Ok(Vec::new()) };
        let all = all.map_err(|error| Problem::new(Code::Usage, format!("{error:#}")))?;
        if all.is_empty() {
            let message = format!("there are no scenarios in {}", folder.display());
            return Err(Problem::new(Code::Usage, message)
                .hint("a scenario is a folder with `scenario.json`: scenarios/CASE/ or scenarios/GROUP/CASE/")
                .into());
        }
        let Some(text) = &self.only else { return Ok(all) };
        let (meant, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|case| case.name.contains(text.as_str()));
        if meant.is_empty() {
            let names: Vec<_> = others.iter().take(20).map(|case| case.name.as_str()).collect();
            return Err(Problem::new(Code::Usage, format!("no scenario has `{text}` in its name"))
                .hint(format!("there are {}", names.join(", ")))
                .into());
        }
        Ok(meant)
    }
}

fn show(it: &Tested) -> String {
    let mut out = String::new();
    for tried in &it.scenarios {
        let word = match tried.result {
            TestResult::Passed => "ok",
            TestResult::Failed => "FAILED",
            TestResult::Written => "written",
        };
        let _ = writeln!(out, "{word} {}", line(&tried.name));
    }
    for tried in &it.scenarios {
        let Some(why) = &tried.why else { continue };
        let _ = writeln!(out, "\n{}: {}", line(&tried.name), line(&tried.about));
        let _ = writeln!(out, "{}", printable(why.trim_end()));
    }
    let _ = writeln!(out, "\n{} passed, {} failed, {} written", it.passed, it.failed, it.written);
    out
}

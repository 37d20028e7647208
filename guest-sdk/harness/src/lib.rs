//! Runs scenarios against agents, on the real host.
//!
//! A scenario is a folder with `scenario.json`, which says what happens, and `expected.txt`, which says what comes of it:
//! every answer the agent heard, what people were asked, what left, the card, the log. The host is the one operators run,
//! over a database in memory, with a clock that stands still and randomness that repeats. When a scenario has come to its
//! end, its run is replayed from its record, and must not diverge.
//!
//! `countersign test` runs the scenarios of a project; it is a door to [`suite`]. From a test of one's own, [`check`] runs one;
//! with the environment variable `BLESS` set, `expected.txt` is written instead of compared.
//!
//! ```no_run
//! countersign_harness::check("scenarios/declined".as_ref(), "build/agent.wasm".as_ref()).unwrap();
//! ```

pub mod files;
mod scenario;
mod suite;
mod transcript;

pub use scenario::{Attempt, Edit, Mail, Policy, Scenario, Step};
pub use suite::{Case, Outcome, Went, cases, suite};

use anyhow::{Context as _, bail};
use countersign::approval::Verdict;
use countersign::backends::rehearsal::Rehearsed;
use countersign::clock::Clock;
use countersign::config::{Config, User};
use countersign::engine::limits::Limits;
use countersign::host::{self, Host, Install, Options, View};
use countersign::intent::Status;
use countersign::refusals::Error;
use scenario::write_mail;
use std::path::Path;
use std::sync::Arc;
use transcript::Transcript;

/// Where the clock of a scenario stands: 2025-01-06T12:00:00Z.
pub const START_MS: i64 = 1_736_164_800_000;
/// Who signs in a scenario.
const PERSON: &str = "person";

/// Runs the scenario in `folder` against the component in `agent`, and compares what comes of it with `expected.txt`.
///
/// # Errors
///
/// The difference, line by line; or what is wrong with the scenario.
pub fn check(folder: &Path, agent: &Path) -> anyhow::Result<()> {
    let component = std::fs::read(agent).with_context(|| format!("cannot read {}", agent.display()))?;
    let scenario = Scenario::load(folder)?;
    let bless = std::env::var_os("BLESS").is_some();
    match compare(&scenario, &component, bless).with_context(|| folder.display().to_string())? {
        Went::Failed(why) => bail!("{}: {why}", folder.display()),
        Went::Passed | Went::Written => Ok(()),
    }
}

/// Runs a scenario, and compares what comes of it with `expected.txt` of its folder; or writes that, where it differs.
fn compare(scenario: &Scenario, component: &[u8], bless: bool) -> anyhow::Result<Went> {
    let happened = run(scenario, component.to_vec())?;
    let path = scenario.folder().join("expected.txt");
    let expected = match files::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        found => Some(found.with_context(|| format!("cannot read {}", path.display()))?),
    };
    Ok(match expected {
        Some(expected) if expected == happened => Went::Passed,
        _ if bless => {
            files::write(&path, happened.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            Went::Written
        }
        Some(expected) => {
            let diff = similar::TextDiff::from_lines(&expected, &happened);
            let diff = diff.unified_diff().context_radius(3).header("expected", "happened").to_string();
            Went::Failed(format!("not what was expected\n{diff}"))
        }
        None => {
            Went::Failed("there is no expected.txt; `countersign test --bless`, or BLESS=1, writes it".into())
        }
    })
}

/// Runs a scenario against a component, and gives the transcript of what came of it.
///
/// # Errors
///
/// When the agent does not install, or the host fails, or the replay diverges.
pub fn run(scenario: &Scenario, component: Vec<u8>) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(play(scenario, component))
}

/// The compiled agents of all scenarios are kept here: most scenarios run the same few.
fn cache() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("countersign-harness-{}", host::principal()))
}

async fn play(scenario: &Scenario, component: Vec<u8>) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(Clock::virtual_at(START_MS, scenario.seed));
    let address = scenario.address.clone();
    let config = Config {
        users: [("local".to_owned(), User { address, way: Default::default() })].into(),
        policy: scenario.policy.as_host(),
        ..Config::default()
    };
    let options = Options {
        data: folder.path().join("data"),
        config,
        clock: clock.clone(),
        cache: Some(cache()),
        limits: Limits { fuel_max: scenario.fuel_max, ..Limits::default() },
        in_memory: true,
    };
    let mut host = Host::open(options)?;
    if let Some(attempts) = &scenario.transport {
        let outcomes = attempts.iter().map(|attempt| attempt.outcome());
        host.rehearse_transport(Arc::new(Rehearsed::new(outcomes)));
    }
    let mail = folder.path().join("mail");
    if !scenario.mail.is_empty() {
        write_mail(&scenario.mail, &mail)?;
        host.import("local", &mail, |_, _| {}).await?;
    }
    let manifest = scenario.manifest.as_ref().map(ToString::to_string);
    let install = Install { manifest, grants: scenario.grants.clone(), ..Install::default() };
    // What installing warns of is about the build, and `countersign build` refuses it.
    let (agent, _) = host.install("local", component, install, PERSON).await?;
    let agent = agent.installed.manifest.id;

    let mut transcript = Transcript::new(START_MS);
    if let Some(calls) = scenario.crash_after {
        transcript.line(&format!("crash after call {calls}"));
        host.rehearse_crash(calls);
    }
    if scenario.backend_errors > 0 {
        transcript.line(&Step::BackendError(scenario.backend_errors).to_string());
        host.rehearse_backend_errors(scenario.backend_errors);
    }
    transcript.line(&format!("intent {} {}", scenario.action, scenario.parameters_text()));
    let submitted = host
        .submit("local", &agent, &scenario.action, scenario.parameters.clone(), scenario.text.clone())
        .await;
    let mut view = match submitted {
        Ok(view) => view,
        Err(Error::Refused(problem)) => {
            transcript.line(&format!("refused {} {}", problem.code, problem.message));
            problem.hint.iter().for_each(|hint| transcript.line(&format!("  {hint}")));
            if !scenario.steps.is_empty() {
                bail!("the intent was refused, so none of its steps took place\n{}", transcript.text());
            }
            return Ok(transcript.text());
        }
        Err(Error::Fault(error)) => return Err(error),
    };
    transcript.state(&view);
    // A run that crashed is left running.
    let crashed = |view: &View| usize::from(view.intent.status == Status::Running);
    let mut crashes = crashed(&view);
    for step in &scenario.steps {
        transcript.line(&step.to_string());
        let id = view.intent.id.clone();
        match step {
            Step::Decide { verdict, no_resume, stale } => {
                let pending = view.approvals.last().context("there is nothing to decide")?;
                let mut shown = pending.approval.digest;
                shown.0[0] ^= u8::from(*stale);
                let decided = host.decide("local", &pending.approval.id, *verdict, shown, PERSON, None).await;
                transcript.outcome(decided.map(|_| ()))?;
                if *no_resume {
                    view = host.show("local", &id)?;
                    continue;
                }
            }
            Step::Edit(Edit { subject, body, remove }) => {
                let pending = view.approvals.last().context("there is nothing to edit")?;
                let edit =
                    host::Edit { subject: subject.clone(), body: body.clone(), remove: remove.clone() };
                let edited = host.edit("local", &pending.approval.id, edit, None, PERSON).await;
                transcript.outcome(edited.map(drop))?;
                view = host.show("local", &id)?;
                view.approvals.last().iter().for_each(|edited| transcript.approval(edited));
                continue;
            }
            Step::TakeBack => {
                let latest = view.approvals.last().context("there is nothing to take back")?;
                let taken = host.take_back("local", &latest.approval.id, PERSON).await;
                transcript.outcome(taken.map(drop))?;
            }
            Step::Resolve(resolution) => {
                let latest = view.approvals.last().context("there is nothing to resolve")?;
                let resolved = host.resolve("local", &latest.approval.id, *resolution, PERSON).await;
                transcript.outcome(resolved.map(drop))?;
            }
            Step::Policy(policy) => {
                host.rehearse_policy(policy.as_host())?;
                continue;
            }
            Step::Advance(by) => {
                clock.advance(*by);
                host.settle().await?;
            }
            Step::Expire => {
                clock.advance(countersign::approval::PENDING_MS);
                host.settle().await?;
            }
            Step::CrashAfter(calls) => {
                host.rehearse_crash(*calls);
                continue;
            }
            Step::Restart => host = host.reopen()?,
            Step::Resume => {}
            Step::Cancel => transcript.outcome(host.cancel("local", &id).await.map(drop))?,
            Step::Mail(mail) => {
                let arrived = tempfile::tempdir()?;
                write_mail(mail, arrived.path())?;
                host.import("local", arrived.path(), |_, _| {}).await?;
                continue;
            }
            Step::Grant(capabilities) => {
                host.grant("local", &agent, capabilities, PERSON).await?;
                continue;
            }
            Step::BackendError(calls) => {
                host.rehearse_backend_errors(*calls);
                continue;
            }
            Step::Revoke(capabilities) | Step::Deny(capabilities) => {
                host.revoke("local", &agent, capabilities, PERSON).await?;
                continue;
            }
        }
        view = host.resume("local", &id).await?;
        transcript.state(&view);
        crashes += crashed(&view);
    }
    // A fault that never struck has shown nothing.
    let armed = scenario.steps.iter().filter(|step| matches!(step, Step::CrashAfter(_))).count();
    match (armed + usize::from(scenario.crash_after.is_some())).saturating_sub(crashes) {
        0 => {}
        never => transcript.line(&format!("crashes that never came: {never}")),
    }
    match host.rehearsed_backend_errors_left() {
        0 => {}
        never => transcript.line(&format!("backend errors that never came: {never}")),
    }
    finish(&host, &view, scenario.unknown_fields, &mut transcript).await?;
    Ok(transcript.text())
}

/// Adds the record of the run to the transcript, and replays it.
async fn finish(
    host: &Host,
    view: &View,
    unknown_fields: bool,
    transcript: &mut Transcript,
) -> anyhow::Result<()> {
    let id = &view.intent.id;
    transcript.calls(&host.journal("local", id)?);
    transcript.sent(&host.sent("local")?);
    transcript.unsent(&host.outbox("local", false, countersign::store::Page::default())?);
    let audited = host.audit("main", None)?;
    if let Some(broken) = audited.broken {
        bail!("audit entry {} {}\n{}", broken.seq, broken.what, transcript.text());
    }
    if !audited.strays.is_empty() {
        bail!("left with no approval on record: {:?}\n{}", audited.strays, transcript.text());
    }
    transcript.log(&view.intent.log);
    // The host drops them and goes on; an author wants to know.
    let dropped =
        view.intent.log.lines().find(|line| line.starts_with("[countersign] dropped the unknown field"));
    if let Some(dropped) = dropped.filter(|_| !unknown_fields) {
        bail!("{dropped}; set \"unknownFields\": true where that is meant\n{}", transcript.text());
    }
    if let Some(difference) = host.replay("local", id, None).await?.differs {
        bail!("the replay diverged: {difference}\n{}", transcript.text());
    }
    transcript.line("replay same");
    Ok(())
}

/// The verdict a scenario writes as `approve` or `decline`.
fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approve",
        Verdict::Decline => "decline",
    }
}

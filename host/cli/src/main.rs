//! The command line `countersign`: one file per verb. Data goes to standard output, talk to standard error.

#![forbid(unsafe_code)]

mod agent;
mod approval;
mod audit;
mod build;
mod demo;
mod draw;
mod explain;
mod inspect;
mod intent;
mod junit;
mod mailbox;
mod new;
mod outbox;
mod output;
mod replay;
mod run;
mod test;

use clap::{Args, Parser, Subcommand};
use countersign::clock::Clock;
use countersign::config::{Config, check_user};
use countersign::engine::limits::Limits;
use countersign::host::{Host, LIST_MAX, Options};
use countersign::printable::{ascii, line, printable};
use countersign::refusals::{Code, Error, Problem, Result};
use etcetera::BaseStrategy as _;
use output::Exit;
use serde::Serialize;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs untrusted agents; nothing leaves until a person has signed exactly the bytes that will leave.
#[derive(Parser)]
#[command(
    name = "countersign",
    version,
    about,
    propagate_version = true,
    arg_required_else_help = true,
    subcommand_required = true
)]
#[command(
    after_help = "Exit codes: 0 done, 5 done with an error card, 3 waiting for a person, 4 stopped or a test \
                        failed, 6 refused, \
                        2 usage, 1 host fault.\nFirst time here? `countersign demo`"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const GLOBAL: &str = "Options of every command";

#[derive(Args)]
struct Global {
    /// Folder for everything Countersign keeps
    #[arg(long, global = true, env = "COUNTERSIGN_DATA", value_name = "DIR", help_heading = GLOBAL)]
    data: Option<PathBuf>,
    /// Configuration file; by default `config.toml` of the data folder, if it is there
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// The user to act for
    #[arg(long, global = true, default_value = "local", value_name = "NAME", help_heading = GLOBAL)]
    user: String,
    /// Print one JSON document
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Show the whole way of an intent, in a throw-away data folder
    Demo(demo::Demo),
    /// Write a project with an agent that builds, and scenarios that pass
    New(new::New),
    /// Install agents and grant them capabilities
    #[command(subcommand)]
    Agent(agent::Agent),
    /// Look at signed messages on their way, and say what became of those that are uncertain
    #[command(subcommand)]
    Outbox(outbox::Outbox),
    /// Check and export the record of everything that was decided and sent
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Give an intent to an agent
    Run(run::Run),
    /// Look at what agents ask for, and decide
    #[command(subcommand)]
    Approval(approval::Approval),
    /// Look at intents, pick them up, retry or cancel them
    #[command(subcommand)]
    Intent(intent::Intent),
    /// Execute a recorded run once more, and say whether it still follows its record
    Replay(replay::Replay),
    /// Run the scenarios of a project against its agent
    Test(test::Test),
    /// Build the agent of a project, and say what it could ever do
    Build(build::Build),
    /// Import mail, list it, list what has left
    #[command(subcommand)]
    Mailbox(mailbox::Mailbox),
    /// Show what a component is, could ever do and never can, without installing it
    Inspect(inspect::Inspect),
    /// Explain an error code
    Explain(explain::Explain),
    /// Print the contract between agents and the host
    Wit,
}

/// What every verb gets.
struct Session {
    global: Global,
}

impl Session {
    /// Opens the host, settles what is due, and gives it.
    async fn host(&self) -> Result<Host> {
        check_user(&self.global.user).map_err(|problem| Problem { code: Code::Usage, ..problem })?;
        let data = match &self.global.data {
            Some(data) => data.clone(),
            None => platform()?.data_dir().join("countersign"),
        };
        let config = match &self.global.config {
            Some(path) => Config::load(path)?,
            None => match data.join("config.toml") {
                path if path.exists() => Config::load(&path)?,
                _ => Config::default(),
            },
        };
        let host = open(data, config)?;
        host.settle().await?;
        Ok(host)
    }

    fn user(&self) -> &str {
        &self.global.user
    }

    /// What a command line printed for people begins with: the program, and the options this one was given, so that what is
    /// printed can be run as it stands.
    fn program(&self) -> String {
        let mut program = "countersign".to_owned();
        let mut option = |name: &str, value: &str| program += &format!(" {name} {}", quoted(value));
        if let Some(data) = &self.global.data
            && std::env::var_os("COUNTERSIGN_DATA").is_none_or(|set| set != data.as_os_str())
        {
            option("--data", &data.to_string_lossy());
        }
        if let Some(config) = &self.global.config {
            option("--config", &config.to_string_lossy());
        }
        if self.global.user != "local" {
            option("--user", &self.global.user);
        }
        program
    }

    /// A text of ours with the commands in it, `countersign …`, written so that they can be run as they stand.
    fn runnable(&self, text: &str) -> String {
        text.replace("`countersign ", &format!("`{} ", self.program()))
    }

    /// A command of ours, written so that it can be run as it stands.
    fn command(&self, command: &str) -> String {
        let arguments = command.strip_prefix("countersign").unwrap_or(command);
        format!("{}{arguments}", self.program())
    }

    /// Prints the answer of a verb: as JSON, or drawn for people.
    fn answer<T: Serialize>(&self, value: &T, draw: impl FnOnce(&T) -> String) -> Result<()> {
        let text = match self.global.json {
            true => ascii(&serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?) + "\n",
            false => draw(value),
        };
        print(&text)
    }
}

/// A value as a shell takes it for one word.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    match !value.is_empty() && value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', "'\\''")),
    }
}

fn platform() -> Result<impl etcetera::BaseStrategy> {
    etcetera::choose_base_strategy().map_err(|error| {
        Problem::new(Code::StoreUnusable, format!("there is no home folder: {error}"))
            .hint("set --data DIR, or the environment variable HOME")
            .into()
    })
}

fn open(data: PathBuf, config: Config) -> Result<Host> {
    let cache = cache(&config);
    let (clock, limits) = (Arc::new(Clock::system()), Limits::default());
    Host::open(Options { data, config, clock, cache, limits, in_memory: false })
}

/// Where compiled components are kept.
fn cache(config: &Config) -> Option<PathBuf> {
    let platform = || Some(platform().ok()?.cache_dir().join("countersign"));
    config.cache.clone().or_else(platform)
}

/// Writes to standard output. A reader that has gone away, as `head` does, is no error.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).into())
        }
        _ => Ok(()),
    }
}

/// Says so where a list ends because it is as long as a list may be.
fn say_if_cut(rows: usize) {
    if rows >= LIST_MAX as usize {
        say(&format!("Only the latest {LIST_MAX} are listed."));
    }
}

/// Says something to the person, on standard error. The text may hold foreign strings.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // Whatever a scenario rehearses would be warned of, and is in its transcript.
    let told = if matches!(cli.verb, Verb::Test(_)) { "error" } else { "warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_env("COUNTERSIGN_LOG");
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| told.into()))
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let session = Session { global: cli.global };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(verb(&session, cli.verb)),
        Err(error) => Err(anyhow::Error::from(error).into()),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => fail(session.global.json, error, |hint| session.runnable(hint)),
    }
}

async fn verb(session: &Session, verb: Verb) -> Result<Exit> {
    match verb {
        Verb::Demo(demo) => demo.run(session).await,
        Verb::New(new) => new.run(session),
        Verb::Agent(agent) => agent.run(session).await,
        Verb::Run(run) => run.run(session).await,
        Verb::Approval(approval) => approval.run(session).await,
        Verb::Outbox(outbox) => outbox.run(session).await,
        Verb::Audit(audit) => audit.run(session).await,
        Verb::Intent(intent) => intent.run(session).await,
        Verb::Replay(replay) => replay.run(session).await,
        Verb::Test(test) => test.run(session),
        Verb::Build(build) => build.run(session),
        Verb::Mailbox(mailbox) => mailbox.run(session).await,
        Verb::Inspect(inspect) => inspect.run(session),
        Verb::Explain(explain) => explain.run(session),
        Verb::Wit => wit(session),
    }
}

/// The contract: its files one after another, each behind a line with its name, the world last.
fn wit(session: &Session) -> Result<Exit> {
    let wit = output::Wit {
        wit: concat!(
            "// wit/deps/types/types.wit\n",
            include_str!("../../../wit/deps/types/types.wit"),
            "\n// wit/deps/messages/messages.wit\n",
            include_str!("../../../wit/deps/messages/messages.wit"),
            "\n// wit/deps/approval/approval.wit\n",
            include_str!("../../../wit/deps/approval/approval.wit"),
            "\n// wit/deps/interpreter/interpreter.wit\n",
            include_str!("../../../wit/deps/interpreter/interpreter.wit"),
            "\n// wit/agent.wit\n",
            include_str!("../../../wit/agent.wit"),
        )
        .into(),
    };
    session.answer(&wit, |wit| wit.wit.clone())?;
    Ok(Exit::Done)
}

/// A command line that is none, or a call for help.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !std::env::args().any(|argument| argument == "--json") {
        let _ = error.print();
        return ExitCode::from(if error.use_stderr() { Exit::Usage as u8 } else { 0 });
    }
    // The first paragraph says what is wrong, names included; the usage follows behind it.
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let message = paragraph.split_whitespace().collect::<Vec<_>>().join(" ").replacen("error: ", "", 1);
    let problem = Problem::new(Code::Usage, message).hint("add --help to the command to see how it is used");
    fail(true, problem.into(), str::to_owned)
}

fn fail(json: bool, error: Error, runnable: impl Fn(&str) -> String) -> ExitCode {
    let (code, told) = output::Failure::of(error);
    let hint = runnable(told.hint.as_deref().unwrap_or_default());
    if json {
        let failed = output::Failed { error: output::Failure { hint: Some(hint), ..told } };
        let _ = print(&(ascii(&serde_json::to_string(&failed).unwrap_or_default()) + "\n"));
    } else {
        // Messages may quote what a stranger wrote: each stays on its line.
        say(&format!("error: {} [{code}]\n\nhint: {}", line(&told.message), line(&hint)));
    }
    let exit = match code {
        Code::Usage => Exit::Usage,
        Code::HostFault => Exit::Fault,
        _ => Exit::Refused,
    };
    exit.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}

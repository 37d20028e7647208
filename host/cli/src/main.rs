//! The command line `countersign`: one file per verb. Data goes to standard output, talk to standard error.

#![forbid(unsafe_code)]

mod agent;
mod approval;
mod audit;
mod backup;
mod build;
mod client;
mod demo;
mod doctor;
mod door;
mod draw;
mod explain;
mod inspect;
mod intent;
mod junit;
mod mailbox;
mod new;
mod outbox;
mod output;
mod person;
mod replay;
mod run;
mod screen;
mod serve;
mod test;
mod token;

use clap::parser::ValueSource;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use client::Client;
use countersign::clock::Clock;
use countersign::config::{Config, Log, check_user};
use countersign::engine::limits::Limits;
use countersign::host::{Host, LIST_MAX, Options};
use countersign::people::{Owner, TENANT};
use countersign::printable::{ascii, line, printable, shell};
use countersign::refusals::{Code, Error, Problem, Result};
use countersign::store::Page;
use door::{Door, Here};
use draw::{Look, Words};
use etcetera::BaseStrategy as _;
use output::Exit;
use screen::Screen;
use serde::Serialize;
use std::io::Write as _;
use std::path::{Path, PathBuf};
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
    after_help = "Exit codes: 0 done, 5 done with an error card or an undelivered message, 3 not at its end, 4 stopped or a test \
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
/// The variables that name a folder, a server, and who asks there.
const DATA: &str = "COUNTERSIGN_DATA";
const SERVER: &str = "COUNTERSIGN_SERVER";
const TOKEN: &str = "COUNTERSIGN_TOKEN";

#[derive(Args)]
struct Global {
    /// Folder for everything Countersign keeps
    #[arg(long, global = true, env = DATA, value_name = "DIR", help_heading = GLOBAL)]
    data: Option<PathBuf>,
    /// Configuration file; by default `config.toml` of the data folder, if it is there
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// The user to act for; `local` unless you say
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    user: Option<String>,
    /// The tenant the user belongs to; `main` unless you say
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    tenant: Option<String>,
    /// Act at this server instead of on a folder; the token is taken from COUNTERSIGN_TOKEN
    #[arg(long, global = true, env = SERVER, value_name = "URL", help_heading = GLOBAL)]
    server: Option<String>,
    /// Take the token from this file
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    token_file: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Write the log as lines of text, or as one JSON document a line
    #[arg(long, global = true, value_name = "FORMAT", help_heading = GLOBAL)]
    log_format: Option<LogFormat>,
}

/// How the log is written.
#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
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
    /// Say who may sign in at the server of this folder, and what for
    #[command(subcommand)]
    Person(person::Person),
    /// Make, list and end what programs show instead of a password
    #[command(subcommand)]
    Token(token::Token),
    /// Show what a component is, could ever do and never can, without installing it
    Inspect(inspect::Inspect),
    /// Look at configuration, database, disk, clock, limits and ways of mail, and say what to do
    Doctor,
    /// Write everything that is kept into one file, while the host works
    Backup(backup::Backup),
    /// Put a backup back, into a new data folder
    Restore(backup::Restore),
    /// Explain an error code
    Explain(explain::Explain),
    /// Serve the HTTP API and the inbox where people sign, for this data folder
    Serve(serve::Serve),
    /// Print the contract between agents and the host
    Wit,
}

/// What a verb acts on.
#[derive(Clone, Copy, PartialEq)]
enum Acts {
    /// A host, in a folder or at a server.
    Host,
    /// The data folder itself.
    Folder,
    /// Files of this machine: no host has a part in it.
    Files,
    /// Nothing that could be elsewhere.
    Nothing,
}

impl Verb {
    /// Its name, where it has to be told, and what it acts on.
    fn acts(&self) -> (&'static str, Acts) {
        match self {
            Verb::Demo(_) => ("demo", Acts::Files),
            Verb::New(_) => ("new", Acts::Files),
            Verb::Test(_) => ("test", Acts::Files),
            Verb::Build(_) => ("build", Acts::Files),
            Verb::Inspect(_) => ("inspect", Acts::Files),
            Verb::Replay(_) => ("replay", Acts::Folder),
            Verb::Doctor => ("doctor", Acts::Folder),
            Verb::Backup(_) => ("backup", Acts::Folder),
            Verb::Restore(_) => ("restore", Acts::Folder),
            Verb::Serve(_) => ("serve", Acts::Folder),
            Verb::Mailbox(mailbox::Mailbox::Import { .. }) => ("mailbox import", Acts::Folder),
            Verb::Intent(intent::Intent::Purge { .. }) => ("intent purge", Acts::Folder),
            Verb::Agent(agent::Agent::Pack { .. }) => ("agent pack", Acts::Nothing),
            Verb::Explain(_) => ("explain", Acts::Nothing),
            Verb::Wit => ("wit", Acts::Nothing),
            Verb::Agent(_) => ("agent", Acts::Host),
            Verb::Outbox(_) => ("outbox", Acts::Host),
            Verb::Audit(_) => ("audit", Acts::Host),
            Verb::Run(_) => ("run", Acts::Host),
            Verb::Approval(_) => ("approval", Acts::Host),
            Verb::Intent(_) => ("intent", Acts::Host),
            Verb::Mailbox(_) => ("mailbox", Acts::Host),
            Verb::Person(_) => ("person", Acts::Host),
            Verb::Token(_) => ("token", Acts::Host),
        }
    }
}

/// What every verb gets.
struct Session {
    global: Global,
    /// Whether --data was given, and not only its variable.
    is_folder_given: bool,
    /// Whether --server was given, and not only its variable.
    is_server_given: bool,
}

impl Session {
    /// The server to act at, if it is one. A folder that is named in a command goes before a server that is set for all of them.
    fn server(&self) -> Option<&str> {
        let server = self.global.server.as_deref()?;
        (self.is_server_given || !self.is_folder_given).then_some(server)
    }

    /// Refuses options that exclude each other, and a server where the verb cannot act at one.
    fn check(&self, verb: &Verb) -> Result<(), Problem> {
        let usage = |message: String, hint: &str| Err(Problem::new(Code::Usage, message).hint(hint));
        let (name, acts) = verb.acts();
        match acts {
            Acts::Nothing => return Ok(()),
            Acts::Files if self.is_server_given => {
                let message =
                    format!("`countersign {name}` works on this machine, and --server is for a host");
                return usage(message, "leave out --server");
            }
            Acts::Files => return Ok(()),
            Acts::Folder if self.server().is_some() => {
                let hint = match self.is_server_given {
                    true => "run it on the machine of the server, with --data instead of --server",
                    false => "name the folder with --data; COUNTERSIGN_SERVER is set, and names a server",
                };
                return usage(
                    format!("`countersign {name}` works on the data folder itself, not at a server"),
                    hint,
                );
            }
            Acts::Folder | Acts::Host => {}
        }
        let global = &self.global;
        if self.server().is_none() {
            return match global.token_file {
                Some(_) => usage(
                    "--token-file is for a server, and none is named".into(),
                    "name one with --server URL",
                ),
                None => Ok(()),
            };
        }
        if self.is_folder_given {
            return usage("--data and --server exclude each other".into(), "leave one of them out");
        }
        let of_folders = [
            ("--user", global.user.is_some()),
            ("--tenant", global.tenant.is_some()),
            ("--config", global.config.is_some()),
        ];
        match of_folders.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => usage(
                format!("{option} is for a folder: at a server the token says who you are"),
                &format!("leave out {option}, or name a folder with --data"),
            ),
            None => Ok(()),
        }
    }

    /// The host to act on: at the server, or in the folder.
    async fn door(&self) -> Result<Door> {
        match self.server() {
            Some(server) => Ok(Door::There(Client::new(server, self.global.token_file.as_deref())?)),
            None => {
                let serve = self.config(&self.data()?)?.serve;
                let host = self.host().await?;
                let origin = serve.origin(serve.listen);
                Ok(Door::Here(Box::new(Here::new(host, self.owner(), origin))))
            }
        }
    }

    /// Opens the host of the folder, settles what is due, and gives it.
    async fn host(&self) -> Result<Host> {
        let Owner { tenant, user } = self.owner();
        for name in [tenant, user] {
            check_user(name).map_err(|problem| Problem { code: Code::Usage, ..problem })?;
        }
        let host = self.unsettled()?;
        host.settle().await?;
        Ok(host)
    }

    /// Opens the host of the folder, and leaves everything as it is.
    fn unsettled(&self) -> Result<Host> {
        let data = self.data()?;
        let config = self.config(&data)?;
        open(data, config)
    }

    /// The data folder, which need not be there.
    fn data(&self) -> Result<PathBuf> {
        match &self.global.data {
            Some(data) => Ok(data.clone()),
            None => Ok(platform()?.data_dir().join("countersign")),
        }
    }

    /// How the log is written: as the command line says, or for a server as the operator has set. What cannot be read is told
    /// by the verb itself.
    fn log_format(&self, verb: &Verb) -> LogFormat {
        let configured = || match verb {
            Verb::Serve(_) => Some(self.config(&self.data().ok()?).ok()?.serve.log),
            _ => None,
        };
        match (self.global.log_format, configured()) {
            (Some(format), _) => format,
            (None, Some(Log::Json)) => LogFormat::Json,
            (None, _) => LogFormat::Text,
        }
    }

    /// The configuration file: the one that is named, or the one of the folder, if it is there.
    fn config_file(&self, data: &Path) -> Option<PathBuf> {
        config_file(self.global.config.as_deref(), data)
    }

    /// What the operator set for this data folder.
    fn config(&self, data: &Path) -> Result<Config> {
        configured(self.global.config.as_deref(), data)
    }

    /// Whose: who a command on a folder acts for.
    fn owner(&self) -> Owner<'_> {
        Owner {
            tenant: self.global.tenant.as_deref().unwrap_or(TENANT),
            user: self.global.user.as_deref().unwrap_or("local"),
        }
    }

    /// What a command line printed for people begins with: the program, and the options this one was given, so that what is
    /// printed can be run as it stands.
    fn program(&self) -> String {
        self.program_for("")
    }

    /// The same for a command that has options of its own: those it has are not given twice.
    fn program_for(&self, arguments: &str) -> String {
        let mut program = "countersign".to_owned();
        let own: Vec<_> = arguments.split_whitespace().filter(|word| word.starts_with("--")).collect();
        let mut option = |name: &str, value: &str| {
            if !own.contains(&name) {
                program += &format!(" {name} {}", shell(value));
            }
        };
        let global = &self.global;
        if let Some(server) = self.server() {
            if self.is_server_given {
                option("--server", server);
            }
            if let Some(file) = &global.token_file {
                option("--token-file", &file.to_string_lossy());
            }
            return program;
        }
        if let Some(data) = &global.data
            && self.is_folder_given
        {
            option("--data", &data.to_string_lossy());
        }
        if let Some(config) = &global.config {
            option("--config", &config.to_string_lossy());
        }
        let Owner { tenant, user } = self.owner();
        for (name, value, by_default) in [("--tenant", tenant, TENANT), ("--user", user, "local")] {
            if value != by_default {
                option(name, value);
            }
        }
        program
    }

    /// How things are drawn on the terminal of this command, whose commands begin with `program`.
    fn look<'a>(&self, program: &'a str) -> Look<'a> {
        Look { columns: Screen::here().columns(), program, words: Words::Few }
    }

    /// A text of ours with the commands in it, `countersign …`, written so that they can be run as they stand.
    fn runnable(&self, text: &str) -> String {
        let mut parts = text.split("`countersign ");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let command = part.split('`').next().unwrap_or_default();
            out += &format!("`{} {part}", self.program_for(command));
        }
        out
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
            // What is foreign in it has been made printable where it was drawn, each on its line; this is for what was missed.
            false => printable(&draw(value)),
        };
        print(&text)
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
    Host::open(options(data, config))
}

fn options(data: PathBuf, config: Config) -> Options {
    let cache = cache(&config);
    let (clock, limits) = (Arc::new(Clock::system()), Limits::default());
    Options { data, config, clock, cache, limits, in_memory: false }
}

/// The configuration file: the one that is named, or the one of the folder, if it is there.
fn config_file(named: Option<&Path>, data: &Path) -> Option<PathBuf> {
    let of_folder = || Some(data.join("config.toml")).filter(|path| path.exists());
    named.map(Path::to_owned).or_else(of_folder)
}

/// What it says; everything by default where there is none.
fn configured(named: Option<&Path>, data: &Path) -> Result<Config> {
    config_file(named, data).map_or_else(|| Ok(Config::default()), |path| Config::load(&path))
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

/// Which part of a list is asked for.
#[derive(Args)]
struct Part {
    /// How many at most
    #[arg(long, default_value_t = LIST_MAX, value_parser = clap::value_parser!(u32).range(1..=i64::from(LIST_MAX)))]
    limit: u32,
    /// Only those behind the one of this id, as the list before ends with one
    #[arg(long, value_name = "ID")]
    before: Option<String>,
}

impl Part {
    fn page(&self) -> Page<'_> {
        Page { before: self.before.as_deref(), limit: self.limit }
    }
}

/// Says how a list goes on.
fn say_next(next: Option<&str>) {
    if let Some(next) = next {
        say(&format!("There are more: --before {}", line(next)));
    }
}

/// Says something to the person, on standard error. The text may hold foreign strings.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
}

fn main() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let given = (is_given("data"), is_given("server"));
        Cli::from_arg_matches(&matches).map(|cli| (cli, given))
    });
    let (cli, (is_folder_given, is_server_given)) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    // Whatever a scenario rehearses would be warned of, and is in its transcript.
    let told = match cli.verb {
        Verb::Test(_) => "error",
        // A line for each request.
        Verb::Serve(_) => "warn,countersign_serve=info",
        _ => "warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("COUNTERSIGN_LOG");
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| told.into()))
        .with_writer(std::io::stderr);
    let session = Session { global: cli.global, is_folder_given, is_server_given };
    match session.log_format(&cli.verb) {
        LogFormat::Text => log.without_time().init(),
        // Whoever collects it has no other time to go by.
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    // What belongs to one user, and is not there for the others.
    let owned = matches!(
        cli.verb,
        Verb::Approval(_) | Verb::Intent(_) | Verb::Outbox(_) | Verb::Mailbox(_) | Verb::Replay(_)
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(verb(&session, cli.verb)),
        Err(error) => Err(anyhow::Error::from(error).into()),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => fail(&session, owned, error),
    }
}

async fn verb(session: &Session, verb: Verb) -> Result<Exit> {
    session.check(&verb)?;
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
        Verb::Person(person) => person.run(session).await,
        Verb::Token(token) => token.run(session).await,
        Verb::Inspect(inspect) => inspect.run(session),
        Verb::Doctor => doctor::run(session),
        Verb::Backup(backup) => backup.run(session),
        Verb::Restore(restore) => restore.run(session),
        Verb::Explain(explain) => explain.run(session),
        Verb::Serve(serve) => serve.run(session).await,
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
    failed(true, problem.into(), str::to_owned)
}

fn fail(session: &Session, is_owned: bool, error: Error) -> ExitCode {
    let problem = Problem::from(error);
    let is_elsewhere = problem.code == Code::UnknownId && is_owned && session.server().is_none();
    failed(session.global.json, problem.into(), |hint| {
        let hint = session.runnable(hint);
        if is_elsewhere { hint + "; another user's: --user NAME" } else { hint }
    })
}

fn failed(json: bool, error: Error, runnable: impl Fn(&str) -> String) -> ExitCode {
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
        Cli::command().debug_assert();
    }

    /// The files below a folder whose names end so.
    fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => found.extend(files(&entry, end)),
                false if entry.to_string_lossy().ends_with(end) => found.push(entry),
                false => {}
            }
        }
        found
    }

    /// Commands in hints and on the pages of codes are there to be run: each is one. What somebody has to put in is a word in
    /// capitals, or is filled in by the program.
    #[test]
    fn every_command_that_is_named_anywhere_parses() {
        let host = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut sources = files(host, ".md");
        for end in ["src", "cli/src", "serve/src"] {
            sources.extend(files(&host.join(end), ".rs"));
            sources.extend(files(&host.join(end), ".md"));
        }
        let mut seen = 0;
        for file in sources {
            let text = std::fs::read_to_string(&file).unwrap();
            // Neither what tests say of themselves, nor this.
            let text = text.split("#[cfg(test)]").next().unwrap();
            for command in
                text.split("`countersign ").skip(1).filter_map(|rest| Some(rest.split_once('`')?.0))
            {
                if !command.contains(|c: char| "\n…|".contains(c)) && !command.starts_with('{') {
                    parses(command, &file);
                    seen += 1;
                }
            }
        }
        assert!(seen > 50, "{seen}");
    }

    fn parses(command: &str, file: &Path) {
        let mut filled = command.replace("...", "x").replace("\\\"", "\"");
        while let Some((before, rest)) = filled.split_once('{') {
            let (_, after) = rest.split_once('}').expect("what is filled in has an end");
            let what = if rest.starts_with("capability}") { "messages.send" } else { "x" };
            filled = format!("{before}{what}{after}");
        }
        let words = filled.split_whitespace().map(|word| match word.trim_matches(['"', '\'', '[', ']']) {
            "DAYS" => "30d",
            "ROLE" => "approver",
            "CAPABILITY" | "CAP" => "messages.send",
            "HASH" | "DIGEST" => "0000000000000000000000000000000000000000000000000000000000000000",
            word => word,
        });
        let parsed = Cli::try_parse_from(std::iter::once("countersign").chain(words));
        if let Err(error) = parsed {
            let is_help = matches!(
                error.kind(),
                clap::error::ErrorKind::DisplayHelp
                    | clap::error::ErrorKind::DisplayVersion
                    | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    | clap::error::ErrorKind::MissingRequiredArgument
                    | clap::error::ErrorKind::MissingSubcommand
            );
            // The name of a command, or of an option, alone is no command to be run, and is fit to speak of it.
            assert!(
                is_help || error.to_string().contains("a value is required"),
                "{}: `countersign {command}`: {error}",
                file.display()
            );
        }
    }

    fn session(arguments: &[&str]) -> Session {
        let cli =
            Cli::try_parse_from(std::iter::once("countersign").chain(arguments.iter().copied())).unwrap();
        Session { global: cli.global, is_folder_given: true, is_server_given: false }
    }

    #[test]
    fn a_command_in_a_hint_has_the_options_of_this_one_and_none_twice() {
        let session =
            session(&["--data", "/a b", "--config", "/c'd", "--tenant", "acme", "--user", "ada", "doctor"]);
        let options = "countersign --data '/a b' --config '/c'\\''d' --tenant acme --user ada";
        assert_eq!(
            session.runnable("run `countersign outbox list`, or `df`"),
            format!("run `{options} outbox list`, or `df`")
        );
        let restored = session.runnable("`countersign --data /new restore FILE`");
        assert_eq!(
            restored,
            "`countersign --config '/c'\\''d' --tenant acme --user ada --data /new restore FILE`"
        );
    }
}

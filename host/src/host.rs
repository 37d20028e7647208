//! The facade: everything a door may ask for. The only file that names concrete back ends.

mod locks;

use crate::agent::Package;
use crate::approval::{Action, Verdict, decision::State};
use crate::authority::{Authority, Capability};
use crate::backends::import::{Imported, import};
use crate::backends::local::Local;
use crate::backends::rehearsal::Rehearsal;
use crate::clock::Clock;
use crate::config::Config;
use crate::digest::Digest;
use crate::engine::limits::Limits;
use crate::engine::{Compiled, Driven, End, Engine, Pickup, Ports};
use crate::intent::{Intent, PARAMETERS_BYTES_MAX, Status, TEXT_BYTES_MAX};
use crate::journal::{Entry, Stop};
use crate::refusals::{Code, Problem, Result};
use crate::store::{AgentRow, Decision, Letters, NewIntent, Sent, Store, Stored};
use crate::tools::ROOMS;
use crate::tools::approval::REQUEST;
use crate::tools::messages::{Mail, Query, SEND};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
use locks::Locks;
use serde_json::{Map, Value};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The tenant of a host that has one.
pub const TENANT: &str = "main";
/// How many rows a list shows.
pub const LIST_MAX: u32 = 1000;
/// How many of the latest sent messages are looked at for a missing file whenever a door opens.
const LETTERS_CHECKED: u32 = 100;

/// How to open a host.
pub struct Options {
    /// The data folder; made if it is missing.
    pub data: PathBuf,
    /// What the operator set.
    pub config: Config,
    /// Time.
    pub clock: Arc<Clock>,
    /// Where compiled agents are cached.
    pub cache: Option<PathBuf>,
    /// Fuel and wall time.
    pub limits: Limits,
    /// Keeps the database in memory, for tests.
    pub in_memory: bool,
}

/// One data folder, opened.
pub struct Host {
    config: Config,
    store: Arc<Store>,
    engine: Engine,
    ports: Ports,
    locks: Locks,
    sent: Dir,
    wall_max: Duration,
    /// Calls after which the next run crashes, as a rehearsal; `usize::MAX` for never.
    crash_after: AtomicUsize,
    /// Where mail is, once more: as what can be told to fail.
    mailbox: Arc<Rehearsal<Local>>,
}

/// What to do with an agent about to be installed.
#[derive(Debug, Default)]
pub struct Install {
    /// The manifest beside the component.
    pub manifest: Option<String>,
    /// Capabilities granted at once.
    pub grants: Vec<Capability>,
    /// Grants what an earlier digest had been granted.
    pub keep_grants: bool,
    /// Refuses an agent that imports a tool without declaring any capability of it.
    pub strict_imports: bool,
}

/// What came of an intent, for the doors.
#[derive(Debug)]
pub struct View {
    /// The intent.
    pub intent: Intent,
    /// What people were asked in it, in order.
    pub approvals: Vec<Stored>,
    /// Whether a process drives it right now.
    pub live: bool,
}

impl View {
    /// The approval the intent waits for.
    pub fn pending(&self) -> Option<&Stored> {
        self.approvals.iter().find(|stored| stored.approval.state == State::Pending)
    }
}

/// What a replay came to.
#[derive(Debug)]
pub struct Replay {
    /// How it ended.
    pub end: End,
    /// What it printed.
    pub log: String,
    /// In what it differs from the record, if it does.
    pub differs: Option<String>,
}

/// In what a replay differs from the run, if it does.
fn differs(view: &View, end: &End, log: &str) -> Option<String> {
    let intent = &view.intent;
    let ended = match end {
        End::Card(card) => format!("it answered {card}"),
        End::Nothing => "it ended without a card".into(),
        End::Broken(code, message) => format!("it was stopped: {code}, {message}"),
        End::Stop(stop) => stop.to_string(),
    };
    let stopped = intent.reason.as_ref().map(|reason| reason.code);
    let same = match (intent.status, end) {
        (Status::Done, End::Card(card)) => intent.card.as_ref() == Some(card),
        (Status::Done, End::Nothing) => intent.card.is_none(),
        (Status::Waiting, End::Stop(Stop::Beyond { call, request })) => {
            view.pending().is_some_and(|pending| match &pending.request {
                Some(asked) => call == REQUEST.name && request == asked,
                None => {
                    call == SEND.name && pending.approval.action.as_ref().is_some_and(|a| sends(request, a))
                }
            })
        }
        // It was interrupted, or cancelled, wherever it was.
        (Status::Cancelled | Status::Running, End::Stop(Stop::Beyond { .. })) => true,
        (Status::Cancelled | Status::Running, End::Card(_) | End::Nothing | End::Broken(..)) => true,
        (Status::Stopped, end) => stopped.is_some_and(|code| match (code, end) {
            (Code::ReplayDiverged, End::Stop(stop)) => matches!(stop, Stop::Diverged { .. }),
            (Code::TooManyCalls | Code::JournalFull, End::Stop(stop)) => matches!(stop, Stop::Beyond { .. }),
            // How far a run gets in a time is the machine's.
            (Code::OutOfTime, end) => !matches!(end, End::Stop(Stop::Diverged { .. })),
            (code, End::Broken(met, _)) => code == *met,
            _ => false,
        }),
        _ => false,
    };
    let comparable =
        matches!(intent.status, Status::Done | Status::Stopped) && stopped != Some(Code::OutOfTime);
    let printed = comparable && intent.log != log;
    match (same, printed) {
        (false, _) => Some(ended),
        (true, true) => Some("it printed something else".into()),
        (true, false) => None,
    }
}

/// Whether the recorded arguments of a send are those of this action.
fn sends(request: &str, action: &Action) -> bool {
    let Ok(request) = serde_json::from_str::<Value>(request) else { return false };
    let list =
        |name: &str| -> Vec<String> { serde_json::from_value(request[name].clone()).unwrap_or_default() };
    let (to, cc, bcc) = (list("to"), list("cc"), list("bcc"));
    let same = Action { to, cc, bcc, ..action.clone() }.canonical() == *action;
    same && request["subject"] == action.subject && request["body"] == action.body
}

impl Host {
    /// Opens a data folder.
    ///
    /// # Errors
    ///
    /// `STORE_UNUSABLE` where the folder or its database cannot be trusted.
    pub fn open(options: Options) -> Result<Host> {
        let Options { data, config, clock, cache, limits, in_memory } = options;
        let dir = private_folder(&data)?;
        let store = Arc::new(match in_memory {
            true => Store::in_memory()?,
            false => Store::open(&data.join("countersign.db"))?,
        });
        clock.raise(store.latest()?);
        let engine = Engine::new(cache, limits)?;
        let mailbox = Arc::new(Rehearsal::before(Local(store.clone())));
        let ports = Ports { clock, ledger: store.clone(), mailbox: mailbox.clone(), crash_after: None };
        let unusable =
            |error: std::io::Error| Problem::new(Code::StoreUnusable, format!("the data folder: {error}"));
        match dir.create_dir_with("sent", DirBuilder::new().mode(0o700)) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(unusable(error).into());
            }
            _ => {}
        }
        let sent = dir.open_dir("sent").map_err(unusable)?;
        let locks = Locks::open(dir).map_err(unusable)?;
        Ok(Host {
            config,
            store,
            engine,
            ports,
            locks,
            sent,
            wall_max: limits.wall_max,
            crash_after: no_crash(),
            mailbox,
        })
    }

    /// Time, as this host sees it.
    pub fn clock(&self) -> &Clock {
        &self.ports.clock
    }

    /// What every door does first: expires what is over, picks those runs up, and writes files that are missing.
    pub async fn settle(&self) -> Result<()> {
        for (_, user, id) in self.store.expire(self.clock().now()).await? {
            // The expiry stands whatever becomes of the run; `intent resume` picks it up again.
            if let Err(error) = self.resume(&user, &id).await {
                tracing::warn!(blame = "host", "{id} has expired and cannot be picked up: {error}");
            }
        }
        self.write_letters(Letters::Latest(LETTERS_CHECKED))
    }

    // Agents

    /// Installs an agent. Gives what is installed, and warnings for the operator.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the file or its manifest, each under its own code.
    pub async fn install(
        &self,
        user: &str,
        bytes: Vec<u8>,
        how: Install,
        by: &str,
    ) -> Result<(AgentRow, Vec<String>)> {
        let package = Package::read(bytes)?;
        let manifest = package.manifest(how.manifest.as_deref())?;
        // The digest names what was granted and what runs are pinned to, so it must cover the manifest too.
        let package = match (&package.embedded, &how.manifest) {
            (None, Some(text)) => Package::read(package.pack(text)?)?,
            _ => package,
        };
        self.engine.check(&package)?;
        let mut warnings = Vec::new();
        for (call, capability) in undeclared(&package, &manifest.capabilities) {
            let message = format!("the agent imports {call} but does not declare {capability}");
            if how.strict_imports {
                let hint = "declare the capability in agent.json, or install without --strict-imports";
                return Err(Problem::new(Code::UndeclaredImport, message).hint(hint).into());
            }
            warnings.push(format!("{message}; it will hear CAPABILITY_DENIED"));
        }
        for capability in &how.grants {
            declared(&manifest, *capability)?;
        }
        let (digest, id) = (package.digest, manifest.id.clone());
        let now = self.clock().now();
        self.store.install(TENANT, package, &manifest, how.keep_grants, now, by).await?;
        self.store.grant((TENANT, user, &id), digest, &how.grants, now, by).await?;
        Ok((self.agent(user, &id)?, warnings))
    }

    /// The agent `id`.
    pub fn agent(&self, user: &str, id: &str) -> Result<AgentRow> {
        self.store.agent(TENANT, user, id)
    }

    /// All agents.
    pub fn agents(&self, user: &str) -> Result<Vec<AgentRow>> {
        self.store.agents(TENANT, user)
    }

    /// Grants capabilities the agent declares.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `MANIFEST_INVALID` for a capability it does not declare.
    pub async fn grant(
        &self,
        user: &str,
        id: &str,
        capabilities: &[Capability],
        by: &str,
    ) -> Result<AgentRow> {
        let agent = self.agent(user, id)?;
        for capability in capabilities {
            declared(&agent.installed.manifest, *capability)?;
        }
        let now = self.clock().now();
        self.store.grant((TENANT, user, id), agent.installed.digest, capabilities, now, by).await?;
        self.agent(user, id)
    }

    /// Takes capabilities away; messages signed under them and not yet sent are cancelled.
    pub async fn revoke(&self, user: &str, id: &str, capabilities: &[Capability]) -> Result<AgentRow> {
        self.agent(user, id)?;
        self.store.revoke((TENANT, user, id), capabilities, self.clock().now()).await?;
        self.agent(user, id)
    }

    /// Removes an agent.
    pub async fn remove(&self, id: &str) -> Result<()> {
        self.store.remove(TENANT, id).await
    }

    // Intents

    /// Submits an intent and drives its run until it waits or ends.
    ///
    /// # Errors
    ///
    /// What the manifest does not allow is refused before any guest code runs.
    pub async fn submit(
        &self,
        user: &str,
        agent: &str,
        action: &str,
        parameters: Map<String, Value>,
        text: Option<String>,
    ) -> Result<View> {
        let agent = self.agent(user, agent)?;
        self.submit_to(user, &agent, action, parameters, text, None).await
    }

    async fn submit_to(
        &self,
        user: &str,
        agent: &AgentRow,
        action: &str,
        parameters: Map<String, Value>,
        text: Option<String>,
        retry_of: Option<String>,
    ) -> Result<View> {
        let manifest = &agent.installed.manifest;
        let size = serde_json::to_string(&parameters).map_or(usize::MAX, |text| text.len());
        if size > PARAMETERS_BYTES_MAX {
            let message = format!("the parameters have {size} bytes; {PARAMETERS_BYTES_MAX} is the limit");
            return Err(Problem::new(Code::InvalidParameter, message).into());
        }
        if text.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            let message = format!("the text is longer than {TEXT_BYTES_MAX} bytes");
            return Err(Problem::new(Code::InvalidParameter, message).into());
        }
        manifest.admit(action, &parameters)?;
        let clock = self.clock();
        let new = NewIntent {
            id: clock.id("int_"),
            tenant: TENANT.into(),
            user: user.into(),
            agent: manifest.id.clone(),
            digest: agent.installed.digest,
            action: action.into(),
            parameters,
            text,
            seed: clock.random(),
            submitted_ms: clock.now(),
            retry_of,
        };
        let id = new.id.clone();
        self.store.submit(new).await?;
        self.resume(user, &id).await
    }

    /// Drives a run until it waits or ends; waits for another process that drives it. An intent that waits for a person or
    /// has ended is left as it is.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `BUSY` where the other process does not come to an end.
    pub async fn resume(&self, user: &str, id: &str) -> Result<View> {
        let (seq, _) = self.store.intent(TENANT, user, id)?;
        let _lock = self.lock(seq, id).await?;
        let (_, intent) = self.store.intent(TENANT, user, id)?;
        if intent.status != Status::Running {
            return self.show(user, id);
        }
        let compiled = self.load(intent.digest)?;
        let pickup = self.pickup(user, seq, intent)?;
        let crash_after = match self.crash_after.swap(usize::MAX, Ordering::Relaxed) {
            usize::MAX => None,
            calls => Some(calls),
        };
        let driven =
            self.engine.drive(&compiled, pickup, &Ports { crash_after, ..self.ports.clone() }).await?;
        if driven == Driven::Lost {
            tracing::info!(blame = "person", "{id} was cancelled while it ran");
        }
        self.write_letters(Letters::OfIntent(seq))?;
        self.show(user, id)
    }

    fn load(&self, digest: Digest) -> Result<Arc<Compiled>> {
        self.engine.load(digest, || self.store.component(digest))
    }

    fn pickup(&self, user: &str, seq: i64, intent: Intent) -> Result<Pickup> {
        let (agent, digest) = (intent.agent.clone(), intent.digest);
        let (grants, scopes) = self.store.authority(TENANT, user, &agent, digest)?;
        let approvals = self.store.approvals_of(seq)?.into_iter().map(|stored| stored.approval);
        Ok(Pickup {
            entries: self.store.journal(seq)?,
            approvals: approvals.collect(),
            authority: Authority::new(agent, grants, scopes),
            from: self.config.address(user),
            intent,
        })
    }

    /// Executes a recorded run once more, from its record and nothing else: no back end is reached, nothing is judged and nothing
    /// is written. With `other`, on another build.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also where the build the run started with is no longer kept; whatever is wrong with `other`.
    pub async fn replay(&self, user: &str, id: &str, other: Option<&Package>) -> Result<Replay> {
        let view = self.show(user, id)?;
        let digest = match other {
            Some(package) => {
                self.engine.check(package)?;
                package.digest
            }
            None => view.intent.digest,
        };
        if other.is_none() && !self.store.keeps(digest)? {
            return Err(Problem::new(
                Code::UnknownId,
                format!("the build {id} ran on is no longer kept: {digest}"),
            )
            .hint(format!("`countersign replay {id} --agent FILE` runs it on a file of yours"))
            .into());
        }
        let compiled = self.load(digest)?;
        let (seq, intent) = self.store.intent(TENANT, user, id)?;
        let pickup = Pickup {
            entries: self.store.journal(seq)?,
            approvals: Vec::new(),
            authority: Authority::default(),
            from: self.config.address(user),
            intent,
        };
        let (end, log) = self.engine.replay(&compiled, pickup, &self.ports).await?;
        Ok(Replay { differs: differs(&view, &end, &log), end, log })
    }

    /// Rehearses a crash: the next run that is driven dies after so many answered calls, with nothing committed since.
    /// For tests of agents.
    pub fn rehearse_crash(&self, after_calls: usize) {
        self.crash_after.store(after_calls, Ordering::Relaxed);
    }

    /// Rehearses an outage: the mailbox fails so many of the next calls to it, those of look-ahead included. For tests of
    /// agents.
    pub fn rehearse_backend_errors(&self, calls: usize) {
        self.mailbox.fail(calls);
    }

    /// How many of the calls that were to fail have not been made.
    pub fn rehearsed_backend_errors_left(&self) -> usize {
        self.mailbox.left()
    }

    /// The same data folder opened again, as after a restart. Also keeps a database that lies in memory.
    pub fn reopen(self) -> Result<Host> {
        let Host { config, store, engine, ports, locks, sent, wall_max, mailbox, .. } = self;
        let engine = engine.restart()?;
        let crash_after = no_crash();
        Ok(Host { config, store, engine, ports, locks, sent, wall_max, crash_after, mailbox })
    }

    async fn lock(&self, seq: i64, id: &str) -> Result<locks::Lock> {
        let patience = tokio::time::Instant::now() + self.wall_max + Duration::from_secs(5);
        loop {
            if let Some(lock) = self.locks.try_lock(seq).map_err(anyhow::Error::from)? {
                return Ok(lock);
            }
            if tokio::time::Instant::now() > patience {
                return Err(Problem::new(Code::Busy, format!("another process is running {id}"))
                    .hint("try again when it has come to an end")
                    .into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An intent as it stands.
    pub fn show(&self, user: &str, id: &str) -> Result<View> {
        let (seq, intent) = self.store.intent(TENANT, user, id)?;
        let live =
            intent.status == Status::Running && self.locks.try_lock(seq).is_ok_and(|lock| lock.is_none());
        Ok(View { approvals: self.store.approvals_of(seq)?, intent, live })
    }

    /// The journal of an intent.
    pub fn journal(&self, user: &str, id: &str) -> Result<Vec<Entry>> {
        let (seq, _) = self.store.intent(TENANT, user, id)?;
        self.store.journal(seq)
    }

    /// The latest intents, newest first.
    pub fn intents(&self, user: &str) -> Result<Vec<Intent>> {
        Ok(self.store.intents(TENANT, user, LIST_MAX)?.into_iter().map(|(_, intent)| intent).collect())
    }

    /// Submits a new intent of the same parameters, to the agent as installed now.
    pub async fn retry(&self, user: &str, id: &str) -> Result<View> {
        let (_, intent) = self.store.intent(TENANT, user, id)?;
        let agent = self.agent(user, &intent.agent)?;
        let Intent { id, action, parameters, text, .. } = intent;
        self.submit_to(user, &agent, &action, parameters, text, Some(id)).await
    }

    /// Cancels an intent, even while it runs.
    pub async fn cancel(&self, user: &str, id: &str) -> Result<View> {
        self.store.cancel(TENANT, user, id, self.clock().now()).await?;
        self.show(user, id)
    }

    // Approvals

    /// The approval `id`.
    pub fn approval(&self, user: &str, id: &str) -> Result<Stored> {
        self.store.approval(TENANT, user, id)
    }

    /// The latest approvals, newest first.
    pub fn approvals(&self, user: &str, pending: bool) -> Result<Vec<Stored>> {
        self.store.approvals(TENANT, user, pending, LIST_MAX)
    }

    /// Decides an approval: the one way a decision is made, whatever the door.
    ///
    /// `shown` is the digest of what the person was shown; `by` comes from the door's own knowledge of who that is.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED`, naming the first decision; `STALE_DIGEST`; `CAPABILITY_DENIED` where a yes would let
    /// nothing leave, because the capability has been revoked since.
    pub async fn decide(
        &self,
        user: &str,
        id: &str,
        verdict: Verdict,
        shown: Digest,
        by: &str,
        note: Option<String>,
    ) -> Result<()> {
        let stored = self.approval(user, id)?;
        if let (Verdict::Approve, State::Pending, Some(action)) =
            (verdict, stored.approval.state, &stored.approval.action)
        {
            // Judged again when it leaves; asked here so that nobody signs in vain.
            let (granted, _) = self.store.authority(TENANT, user, &stored.agent, action.agent)?;
            if !granted.contains(&action.capability) {
                let what = format!(
                    "agent {} may no longer use {}: nothing would leave",
                    stored.agent, action.capability
                );
                let hint = format!(
                    "`countersign agent grant {} {}`, or `countersign approval decline {id}`",
                    stored.agent, action.capability
                );
                return Err(Problem::new(Code::CapabilityDenied, what).hint(hint).into());
            }
        }
        let decision = Decision { verdict, at_ms: self.clock().now(), by: by.into(), note };
        self.store.decide((TENANT, user, id), decision, shown).await
    }

    // Mail

    /// Imports mail from an mbox file, a Maildir or a folder.
    pub async fn import(
        &self,
        user: &str,
        path: &Path,
        progress: impl FnMut(usize, usize),
    ) -> Result<Imported> {
        import(&self.store, TENANT, user, path, self.clock().now(), progress).await
    }

    /// Incoming mail, newest first, as its owner sees it.
    pub fn mail(&self, user: &str, query: &Query) -> Result<Vec<Mail>> {
        self.store.mail(TENANT, user, None, query)
    }

    /// What has left, newest first, each with its file.
    pub fn sent(&self, user: &str) -> Result<Vec<Sent>> {
        self.write_letters(Letters::Latest(u32::MAX))?;
        self.store.sent(TENANT, user, LIST_MAX)
    }

    /// Writes the `.eml` of sent messages that have none: the database knows what has left, the files only show it.
    fn write_letters(&self, which: Letters) -> Result<()> {
        for (message_id, length) in self.store.letters(TENANT, which)? {
            let name = letter_name(&message_id);
            // A file of another length was being written when somebody was killed, or lost power.
            if self.sent.metadata(&name).is_ok_and(|found| found.len() == length) {
                continue;
            }
            let bytes = self.store.letter(&message_id)?;
            let temporary = format!("{name}.tmp");
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let written = self
                .sent
                .open_with(&temporary, &options)
                .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
                .and_then(|()| self.sent.rename(&temporary, &self.sent, &name));
            // Another process may be writing the same file, and have been faster.
            let written = written.or_else(|error| if self.sent.exists(&name) { Ok(()) } else { Err(error) });
            if let Err(error) = written {
                tracing::warn!(blame = "operator", "cannot write sent/{name}: {error}");
            }
        }
        Ok(())
    }
}

fn no_crash() -> AtomicUsize {
    AtomicUsize::new(usize::MAX)
}

/// The file of a message that has left, in `sent/` of the data folder.
pub fn letter_name(message_id: &str) -> String {
    format!("{message_id}.eml")
}

/// The guarded and reading calls a component imports without declaring the capability they need.
pub fn undeclared(package: &Package, capabilities: &[Capability]) -> Vec<(&'static str, Capability)> {
    let calls = ROOMS.iter().flat_map(|room| room.calls.iter().map(move |call| (room, call)));
    calls
        .filter(|(room, call)| package.calls(room.import, &call.function()))
        .filter_map(|(_, call)| Some((call.name, call.capability?)))
        .filter(|(_, capability)| !capabilities.contains(capability))
        .collect()
}

fn declared(manifest: &crate::agent::Manifest, capability: Capability) -> Result<(), Problem> {
    if manifest.capabilities.contains(&capability) {
        return Ok(());
    }
    let names: Vec<_> = manifest.capabilities.iter().map(|capability| capability.name()).collect();
    let message = format!("agent {} does not declare {capability}, so it cannot be granted", manifest.id);
    Err(Problem::new(Code::ManifestInvalid, message).hint(format!("it declares: {}", names.join(", "))))
}

/// Makes or opens a folder that only its owner can look into.
fn private_folder(path: &Path) -> Result<Dir> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    let unusable = |what: String| Problem::new(Code::StoreUnusable, format!("{}: {what}", path.display()));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    let found = made.and_then(|()| std::fs::metadata(path)).map_err(|error| {
        unusable(format!("cannot make or open the data folder: {error}"))
            .hint("name a folder of your own with --data, or in COUNTERSIGN_DATA")
    })?;
    if found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o077 != 0 {
        return Err(unusable("the data folder must belong to you and be closed to others".into())
            .hint(format!("run `chmod 700 {}`", path.display()))
            .into());
    }
    let dir = Dir::open_ambient_dir(path, ambient_authority());
    Ok(dir.map_err(|error| unusable(error.to_string()))?)
}

/// The user of the operating system: who decides, as far as the command line knows.
pub fn principal() -> String {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

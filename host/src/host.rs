//! The facade: everything a door may ask for. The only file that names concrete back ends.

mod backup;
mod doctor;
mod locks;
mod people;
mod powers;

use crate::agent::Package;
use crate::approval::address;
use crate::approval::context::{self, Received};
use crate::approval::four_eyes;
use crate::approval::outbox::{self, Resolution};
use crate::approval::{Action, Approval, Policy, Verdict, Version, decision::State};
use crate::audit;
use crate::authority::{Authority, Capability};
use crate::backends::command::Command;
use crate::backends::import::{Imported, import};
use crate::backends::local::{Local, Nowhere};
use crate::backends::rehearsal::Rehearsal;
use crate::backends::smtp::Smtp;
use crate::clock::{Clock, Millis, rfc3339};
use crate::config::{Config, Way};
use crate::digest::{Digest, Encoder};
use crate::engine::limits::Limits;
use crate::engine::{Compiled, Driven, End, Engine, Pickup, Ports};
use crate::intent::{Intent, PARAMETERS_BYTES_MAX, Status, TEXT_BYTES_MAX, numbers};
use crate::journal::{Entry, Stop};
use crate::meters::{Counted, Meters, Reading};
use crate::moment::{Moment, reach};
use crate::notify::{Notice, notify};
pub use crate::people::TENANT;
use crate::people::{Actor, Owner, Scope};
use crate::printable::{line, shell, short};
use crate::refusals::{Code, Problem, Result};
use crate::schedule::{Gate, Turn};
pub use crate::store::LIST_MAX;
use crate::store::{
    Accepted, AgentRow, Audited, Decision, InTransit, Letters, NewIntent, Only, Outgoing, Page, Place,
    Purged, Sent, Store, Stored,
};
use crate::tools::ROOMS;
use crate::tools::approval::REQUEST;
use crate::tools::messages::{LIST, Mail, Parcel, Query, SEND, Transport, rules};
pub use backup::restore;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, OpenOptions, OpenOptionsExt as _};
pub use doctor::{Finding, Health, examine};
use locks::Locks;
pub use people::{FAILURES_PER_MINUTE_MAX, HASHES_MAX, HASHES_WAITING_MAX, Invited, Signed, TokenMade};
pub use powers::powers;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::sync::watch;

/// How often writing down what came of a message is tried.
const OUTCOME_TRIES: u32 = 5;
/// How many of the latest sent messages are looked at for a missing file whenever a door opens.
const LETTERS_CHECKED: u32 = 100;

/// The youngest that can be purged: 24 hours, for as long as a declined message is remembered.
pub const PURGE_AGE_MS_MIN: Millis = 24 * 60 * 60 * 1000;

/// The longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

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
    live: RwLock<Arc<Live>>,
    store: Arc<Store>,
    engine: Engine,
    ports: Ports,
    locks: Locks,
    sent: Dir,
    wall_max: Duration,
    /// Whose turn it is to be driven.
    gate: Gate,
    /// Stands in for every way out, as a rehearsal.
    transport: Option<Arc<dyn Transport>>,
    /// Calls after which the next run crashes, as a rehearsal; `usize::MAX` for never.
    crash_after: AtomicUsize,
    /// Where mail is, once more: as what can be told to fail.
    mailbox: Arc<Rehearsal<Local>>,
    /// When it was last looked whether commits reach the disk, and whether that one did.
    probed: tokio::sync::Mutex<Option<(Millis, bool)>>,
    /// Sign-ins that failed, as far as they are recorded.
    failures: Mutex<people::Failures>,
}

/// What the operator set, as it is in force.
struct Live {
    config: Config,
    /// What may leave at all, and its number in the store.
    policy: (i64, Arc<Policy>),
}

impl Live {
    fn new(store: &Store, config: Config, now: Millis) -> Result<RwLock<Arc<Live>>> {
        let policy = (store.enforce(TENANT, &config.policy, now)?, Arc::new(config.policy.clone()));
        Ok(RwLock::new(Arc::new(Live { config, policy })))
    }
}

/// How often a commit is made to see whether commits reach the disk.
const PROBE_MS: Millis = 1_000;
/// How long that commit may take.
const PROBE_WAIT: Duration = Duration::from_secs(5);

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

/// What is asked of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Id of the agent.
    pub agent: String,
    /// What is asked of it.
    pub action: String,
    /// With what.
    pub parameters: Map<String, Value>,
    /// What the user typed.
    pub text: Option<String>,
    /// The intent this one is asked again for.
    pub retry_of: Option<String>,
}

/// What a person wants changed in the message they were shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Another subject.
    pub subject: Option<String>,
    /// Another body, of the same kind.
    pub body: Option<String>,
    /// Recipients it shall not go to, whatever field they are in.
    pub remove: Vec<String>,
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
        (Status::Sending, End::Stop(Stop::Beyond { call, .. })) => call == SEND.name,
        (Status::Waiting, End::Stop(Stop::Beyond { call, request })) => {
            view.pending().is_some_and(|pending| match &pending.request {
                Some(asked) => call == REQUEST.name && request == asked,
                None => {
                    call == SEND.name && pending.approval.action.as_ref().is_some_and(|a| sends(request, a))
                }
            })
        }
        // It was interrupted, or cancelled, wherever it was.
        (Status::Cancelled | Status::Running | Status::Blocked, End::Stop(Stop::Beyond { .. })) => true,
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
    let (Some(subject), Some(body)) = (request["subject"].as_str(), request["body"].as_str()) else {
        return false;
    };
    let (subject, body) = (subject.to_owned(), body.to_owned());
    // In the agent's own spelling, which an action of the first version kept.
    Action { version: Version::V1, to, cc, bcc, subject, body, ..action.clone() }.canonical().is_same(action)
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
            false => Store::open(&data.join(backup::DATABASE))?,
        });
        clock.raise(store.latest()?);
        if let Some((from, to)) = clock.ahead() {
            say_set_back(from, to);
            store.set_back_at_once(from, to)?;
            clock.set_back(to);
        }
        let gate = Gate::new(config.serve.runs.into());
        let live = Live::new(&store, config, clock.now())?;
        let engine = Engine::new(cache, limits)?;
        let mailbox = Arc::new(Rehearsal::before(Local(store.clone())));
        let meters = Arc::new(Meters::default());
        let ledger = Arc::new(Counted { ledger: store.clone(), meters: meters.clone() });
        let ports = Ports { clock, ledger, mailbox: mailbox.clone(), meters, crash_after: None };
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
            live,
            store,
            engine,
            ports,
            locks,
            sent,
            wall_max: limits.wall_max,
            gate,
            transport: None,
            crash_after: no_crash(),
            mailbox,
            probed: tokio::sync::Mutex::default(),
            failures: Mutex::default(),
        })
    }

    /// What is in force now. A run goes on under what was in force when it was picked up; what leaves is judged again.
    fn live(&self) -> Arc<Live> {
        self.live.read().expect("no holder panics").clone()
    }

    /// Puts another configuration in force, from now on. Where compiled agents are cached stays as it was.
    ///
    /// # Errors
    ///
    /// Faults of the store; what was in force stays in force then.
    pub fn reload(&self, config: Config) -> Result<()> {
        let new = Live::new(&self.store, config, self.clock().now())?;
        *self.live.write().expect("no holder panics") = new.into_inner().expect("nobody has it yet");
        Ok(())
    }

    /// Begins no run any more, and picks none up: `SHUTTING_DOWN`. What is on disk goes on with the next start.
    pub fn close(&self) {
        self.gate.close();
    }

    /// Waits until no run is being driven. Only behind [`Host::close`] it stays so.
    pub async fn idle(&self) {
        self.gate.idle().await;
    }

    /// Whether commits reach the disk. One a second at most is made to find out, however often anybody asks; in between, the last
    /// commit tells, whoever made it.
    ///
    /// # Errors
    ///
    /// A fault where the last commit failed, or takes longer than [`PROBE_WAIT`].
    pub async fn ready(&self) -> Result<()> {
        let mut probed = self.probed.lock().await;
        let now = self.clock().now();
        let recent = probed.filter(|(at, _)| (0..PROBE_MS).contains(&(now - at)));
        let reaches = match recent {
            Some((_, reaches)) => reaches,
            None => {
                let commit = tokio::time::timeout(PROBE_WAIT, self.store.probe(now)).await;
                let failed = match commit {
                    Ok(committed) => committed.err().map(|error| error.to_string()),
                    Err(_) => Some(format!("a commit takes longer than {} s", PROBE_WAIT.as_secs())),
                };
                if let Some(why) = &failed {
                    tracing::error!(blame = "operator", "not ready: {why}");
                }
                *probed = Some((now, failed.is_none()));
                failed.is_none()
            }
        };
        match reaches && self.store.is_well() {
            true => Ok(()),
            false => Err(anyhow::anyhow!("commits do not reach the disk").into()),
        }
    }

    /// Counts what this process has committed, and can be waited for: where it stands still, nothing has changed by this host.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    /// Runs that nobody drives: their process has died, or they were put down when it ended.
    pub fn interrupted(&self) -> Result<Vec<Place>> {
        let mut interrupted = Vec::new();
        for (seq, place) in self.store.running()? {
            if self.locks.try_lock(seq).map_err(anyhow::Error::from)?.is_some() {
                interrupted.push(place);
            }
        }
        Ok(interrupted)
    }

    /// Expires what is over, and says which intents can be picked up by [`Host::resume`]: those an expiry has woken, and those with a
    /// message that is due, or whose process died while it handed one over.
    pub async fn due(&self) -> Result<Vec<Place>> {
        let mut due = self.follow_clock().await?;
        let now = self.clock().now();
        due.extend(self.store.expire(now).await?);
        due.extend(self.store.admit(self.live().config.pending_per_agent, now).await?);
        for message in self.store.in_transit(None)? {
            let is_due = match message.state {
                outbox::State::Attempting => {
                    self.locks.try_lock(message.seq).map_err(anyhow::Error::from)?.is_some()
                }
                _ => message.due_ms <= now,
            };
            if is_due && !due.contains(&message.place) {
                due.push(message.place);
            }
        }
        Ok(due)
    }

    /// Sets the host's time back where it is far ahead of the machine's. Gives the intents that can be picked up.
    async fn follow_clock(&self) -> Result<Vec<Place>> {
        // The store's time is looked at as well: what was on its way when time was set back may have brought the later one back.
        let Some((from, to)) = self.clock().ahead_of(self.store.latest()?) else { return Ok(Vec::new()) };
        say_set_back(from, to);
        let woken = self.store.set_back(from, to).await?;
        self.clock().set_back(to);
        Ok(woken)
    }

    /// Time, as this host sees it.
    pub fn clock(&self) -> &Clock {
        &self.ports.clock
    }

    /// How many transactions have been committed since this was opened: each is one sync to the disk.
    pub fn commits(&self) -> u64 {
        self.store.commits()
    }

    /// What this host has done since it was opened and what has not ended, as text; see
    /// [`CONTENT_TYPE`](crate::meters::CONTENT_TYPE).
    pub fn metrics(&self) -> Result<String> {
        let (counts, syncs, now) = (self.store.counts()?, self.commits(), self.clock().now());
        let (running, waiting) = (self.gate.running(), self.gate.depth());
        let text = self.ports.meters.text(&Reading { counts, syncs, running, waiting, now });
        Ok(text.map_err(anyhow::Error::from)?)
    }

    /// A door counts each no that somebody hears from it.
    pub fn refused(&self, code: Code) {
        self.ports.meters.refused(code);
    }

    /// What every door does first: expires what is over, picks those runs up, finds out which messages were being handed over by a
    /// process that has died, and writes files that are missing.
    pub async fn settle(&self) -> Result<()> {
        reach(Moment::Expiring);
        let mut expired = self.follow_clock().await?;
        expired.extend(self.store.expire(self.clock().now()).await?);
        let pending_max = self.live().config.pending_per_agent;
        expired.extend(self.store.admit(pending_max, self.clock().now()).await?);
        reach(Moment::Expired);
        for place in expired {
            // The expiry stands whatever becomes of the run; `intent resume` picks it up again.
            let id = &place.intent;
            if let Err(error) = self.resume(place.owner(), id).await {
                tracing::warn!(blame = "host", "{id} has expired and cannot be picked up: {error}");
            }
        }
        for message in self.store.in_transit(None)? {
            // Whoever hands it over holds the lock of its run, until it has done so or has died.
            let is_lost = message.state == outbox::State::Attempting
                && self.locks.try_lock(message.seq).map_err(anyhow::Error::from)?.is_some();
            if is_lost && let Err(error) = self.resume(message.place.owner(), &message.place.intent).await {
                tracing::warn!(blame = "host", "{} cannot be picked up: {error}", message.place.intent);
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
        owner: impl Into<Owner<'_>>,
        bytes: Vec<u8>,
        how: Install,
        by: &str,
    ) -> Result<(AgentRow, Vec<String>)> {
        let owner = owner.into();
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
        self.store.install(owner.tenant, package, &manifest, how.keep_grants, now, by).await?;
        self.store.grant((owner.tenant, owner.user, &id), digest, &how.grants, now, by).await?;
        Ok((self.agent(owner, &id)?, warnings))
    }

    /// The agent `id`.
    pub fn agent<'a>(&self, owner: impl Into<Owner<'a>>, id: &str) -> Result<AgentRow> {
        let Owner { tenant, user } = owner.into();
        self.store.agent(tenant, user, id)
    }

    /// All agents.
    pub fn agents<'a>(&self, owner: impl Into<Owner<'a>>) -> Result<Vec<AgentRow>> {
        let Owner { tenant, user } = owner.into();
        self.store.agents(tenant, user)
    }

    /// Grants capabilities the agent declares.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `MANIFEST_INVALID` for a capability it does not declare.
    pub async fn grant(
        &self,
        owner: impl Into<Owner<'_>>,
        id: &str,
        capabilities: &[Capability],
        by: &str,
    ) -> Result<AgentRow> {
        let owner = owner.into();
        let agent = self.agent(owner, id)?;
        for capability in capabilities {
            declared(&agent.installed.manifest, *capability)?;
        }
        let now = self.clock().now();
        self.store
            .grant((owner.tenant, owner.user, id), agent.installed.digest, capabilities, now, by)
            .await?;
        self.agent(owner, id)
    }

    /// Takes capabilities away; messages signed under them and not yet sent are cancelled.
    pub async fn revoke(
        &self,
        owner: impl Into<Owner<'_>>,
        id: &str,
        capabilities: &[Capability],
        by: &str,
    ) -> Result<AgentRow> {
        let owner = owner.into();
        self.agent(owner, id)?;
        let now = self.clock().now();
        for woken in self.store.revoke((owner.tenant, owner.user, id), capabilities, now, by).await? {
            // The capability is gone whatever becomes of the run; `intent resume` picks it up again.
            if let Err(error) = self.resume(owner, &woken).await {
                tracing::warn!(blame = "host", "{woken} cannot be picked up: {error}");
            }
        }
        self.agent(owner, id)
    }

    /// Removes an agent.
    pub async fn remove(&self, tenant: &str, id: &str, by: &str) -> Result<()> {
        self.store.remove(tenant, id, self.clock().now(), by).await
    }

    // Intents

    /// Submits an intent and drives its run until it waits or ends.
    ///
    /// # Errors
    ///
    /// What the manifest does not allow is refused before any guest code runs.
    pub async fn submit(
        &self,
        owner: impl Into<Owner<'_>>,
        agent: &str,
        action: &str,
        parameters: Map<String, Value>,
        text: Option<String>,
    ) -> Result<View> {
        let owner = owner.into();
        let order = Order { agent: agent.into(), action: action.into(), parameters, text, retry_of: None };
        let accepted = self.accept(owner, order, None, &principal()).await?;
        self.resume(owner, &accepted.intent).await
    }

    /// Puts an intent down, without driving its run: [`Host::resume`] does. With a `key`, the same order under the same key is
    /// the same intent, for [`IDEMPOTENCY_MS`]. `by` is who asks, from the door's own knowledge.
    ///
    /// # Errors
    ///
    /// What the manifest does not allow is refused before any guest code runs. `IDEMPOTENCY_CONFLICT` where the key came with
    /// another order before; `INVALID_PARAMETER` for a key that is none; `STILL_LEAVING` where it is asked again and the first may still
    /// leave.
    pub async fn accept(
        &self,
        owner: impl Into<Owner<'_>>,
        order: Order,
        key: Option<String>,
        by: &str,
    ) -> Result<Accepted> {
        let owner = owner.into();
        let Order { agent, action, parameters, text, retry_of } = order;
        let agent = self.agent(owner, &agent)?;
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
        numbers::check(&parameters)?;
        match manifest.is_brief(&action, &parameters) {
            true => manifest.admit(&action, &parameters)?,
            false => {
                let (manifest, action, parameters) = (manifest.clone(), action.clone(), parameters.clone());
                let admitted = tokio::task::spawn_blocking(move || manifest.admit(&action, &parameters));
                admitted.await.map_err(anyhow::Error::from)??;
            }
        }
        let key = key
            .map(|key| idempotency(key, &manifest.id, &action, &parameters, text.as_deref()))
            .transpose()?;
        let clock = self.clock();
        let new = NewIntent {
            id: clock.id("int_"),
            tenant: owner.tenant.into(),
            user: owner.user.into(),
            agent: manifest.id.clone(),
            digest: agent.installed.digest,
            action,
            parameters,
            text,
            seed: clock.random(),
            submitted_ms: clock.now(),
            retry_of,
            by: by.into(),
            key,
        };
        reach(Moment::Submitting);
        let accepted = self.store.submit(new).await?;
        reach(Moment::Submitted);
        Ok(accepted)
    }

    /// Hands over what is due of an intent and drives its run until it waits or ends; waits for another process that drives it.
    /// An intent that waits for a person or has ended is left as it is.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `BUSY` where the other process does not come to an end.
    pub async fn resume(&self, scope: impl Into<Scope<'_>>, id: &str) -> Result<View> {
        let scope = scope.into();
        let (seq, intent) = self.store.intent(scope, id)?;
        let (_lock, mut turn) = self.take(seq, &intent).await?;
        reach(Moment::Locked);
        loop {
            self.hand_over(seq).await?;
            let (_, intent) = self.store.intent(scope, id)?;
            if intent.status != Status::Running {
                break;
            }
            let (tenant, user) = (intent.tenant.clone(), intent.user.clone());
            let owner = Owner { tenant: &tenant, user: &user };
            let turn = match turn.take() {
                Some(turn) => turn,
                None => self.gate.turn(owner.tenant, &intent.agent).await?,
            };
            let driven = self.drive(seq, intent).await?;
            // Talking to a mail server is nobody's turn.
            drop(turn);
            match driven {
                Driven::Sending { approval } => {
                    let parcel = self.store.parcel(&approval)?;
                    self.talk(&approval, owner, parcel).await?;
                }
                Driven::Waiting => {
                    self.tell_of_ask(owner, id).await?;
                    break;
                }
                Driven::Ended | Driven::Blocked => break,
                Driven::Lost => tracing::info!(blame = "person", "{id} was cancelled while it ran"),
                Driven::Crashed => break,
            }
        }
        self.write_letters(Letters::OfIntent(seq))?;
        self.show(scope, id)
    }

    /// Tells people that an intent waits for them. The ask is on disk, whether anybody hears of it or not.
    async fn tell_of_ask(&self, owner: Owner<'_>, id: &str) -> Result<()> {
        let view = self.show(owner, id)?;
        let Some(Stored { approval, agent, .. }) = view.pending() else { return Ok(()) };
        let (event, expires_ms) = ("approval.pending", Some(approval.expires_ms));
        self.tell(&Notice { event, approval: &approval.id, intent: id, agent, expires_ms }).await;
        Ok(())
    }

    /// Tells people that a message has not left, or that nobody knows whether it has.
    async fn tell_of_message(&self, owner: Owner<'_>, approval: &str, event: &'static str) -> Result<()> {
        let Stored { intent, agent, .. } = self.approval(owner, approval)?;
        self.tell(&Notice { event, approval, intent: &intent, agent: &agent, expires_ms: None }).await;
        Ok(())
    }

    async fn tell(&self, notice: &Notice<'_>) {
        reach(Moment::Notifying);
        notify(&self.live().config.notify, notice).await;
        reach(Moment::Notified);
    }

    async fn drive(&self, seq: i64, intent: Intent) -> Result<Driven> {
        let since = tokio::time::Instant::now();
        let compiled = self.load(intent.digest)?;
        let (tenant, id) = (intent.tenant.clone(), intent.id.clone());
        let (pickup, decided_ms) = self.pickup(seq, intent)?;
        let crash_after = match self.crash_after.swap(usize::MAX, Ordering::Relaxed) {
            usize::MAX => None,
            calls => Some(calls),
        };
        let ports = Ports { crash_after, ..self.ports.clone() };
        reach(Moment::Driving);
        let driven = self.engine.drive(&compiled, pickup, &ports).await?;
        let ago = decided_ms.map(|decided_ms| self.clock().now() - decided_ms);
        ports.meters.drove(since, &driven, ago);
        if driven == Driven::Ended {
            ports.meters.ended(&self.store.intent(Scope { tenant: &tenant, user: None }, &id)?.1);
        }
        Ok(driven)
    }

    /// Hands over what is due of one intent, whose lock the caller holds.
    async fn hand_over(&self, seq: i64) -> Result<()> {
        for message in self.store.in_transit(Some(seq))? {
            let InTransit { approval, .. } = &message;
            if message.state == outbox::State::Attempting {
                self.lost(&message).await?;
                continue;
            }
            reach(Moment::Attempting);
            let policy = (*self.live().policy.1).clone();
            let Some(parcel) = self.store.attempt(approval, policy, self.clock().now()).await? else {
                continue;
            };
            reach(Moment::Attempted);
            self.talk(approval, message.place.owner(), parcel).await?;
        }
        Ok(())
    }

    /// Hands a message over, in an attempt that has begun, and records what came of it.
    async fn talk(&self, approval: &str, owner: Owner<'_>, parcel: Parcel) -> Result<()> {
        let outcome = self.transport(owner).deliver(&parcel).await;
        reach(Moment::Answered);
        match &outcome {
            outbox::Outcome::Sent { .. } => {}
            outbox::Outcome::NotSent { why, .. } => {
                tracing::warn!(blame = "operator", "the message of {approval} was not sent: {}", line(why));
            }
            outbox::Outcome::Uncertain { why } => {
                tracing::warn!(
                    blame = "operator",
                    "the message of {approval} may have been sent: {}",
                    line(why)
                );
            }
        }
        let mut tries = OUTCOME_TRIES;
        let state = loop {
            // What is known now is lost with this process: another one holds the database, or the disk is full, for a moment only.
            match self.store.attempted(approval, outcome.clone(), self.clock().now()).await {
                Err(error) if tries > 1 => {
                    tracing::warn!(
                        blame = "host",
                        "what became of {approval} cannot be written yet: {error}"
                    );
                    tries -= 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                ended => break ended?,
            }
        };
        reach(Moment::Delivered);
        self.ports.meters.attempted(state);
        match state {
            outbox::State::Uncertain => self.tell_of_message(owner, approval, "outbox.uncertain").await,
            outbox::State::NotSent => self.tell_of_message(owner, approval, "outbox.not_sent").await,
            _ => Ok(()),
        }
    }

    /// Records that a message was being handed over by a process that has died. The caller holds the lock of its run.
    async fn lost(&self, message: &InTransit) -> Result<()> {
        reach(Moment::Losing);
        let state = self.store.lost(&message.approval, self.clock().now()).await?;
        reach(Moment::Lost);
        self.ports.meters.attempted(state);
        tracing::warn!(
            blame = "host",
            "the message of {} may have been sent: the process that handed it over has died",
            message.approval
        );
        self.tell_of_message(message.place.owner(), &message.approval, "outbox.uncertain").await
    }

    /// The way out of a user's mail.
    fn transport(&self, owner: Owner<'_>) -> Arc<dyn Transport> {
        if let Some(rehearsed) = &self.transport {
            return rehearsed.clone();
        }
        match self.live().config.way(owner) {
            Way::Embedded => Arc::new(Nowhere { user: owner.user.into() }),
            Way::Smtp(submission) => Arc::new(Smtp::new(submission.clone())),
            Way::Command(program) => Arc::new(Command::new(program.clone())),
        }
    }

    fn load(&self, digest: Digest) -> Result<Arc<Compiled>> {
        self.engine.load(digest, || self.store.component(digest))
    }

    /// A run as the store has it, and when its latest approval was decided.
    fn pickup(&self, seq: i64, intent: Intent) -> Result<(Pickup, Option<Millis>)> {
        let (agent, digest) = (intent.agent.clone(), intent.digest);
        let owner = Owner { tenant: &intent.tenant, user: &intent.user };
        let live = self.live();
        let (grants, scopes) = self.store.authority(owner.tenant, owner.user, &agent, digest)?;
        let approvals = self.store.approvals_of(seq)?;
        let decided_ms = approvals.last().and_then(|latest| Some(latest.decided.as_ref()?.at_ms));
        let pickup = Pickup {
            entries: self.store.journal(seq)?,
            approvals: self.judged_now(&live, approvals)?,
            policy: live.policy.clone(),
            leaves_at_once: self.transport.is_none() && *live.config.way(owner) == Way::Embedded,
            retry_ms: live.config.way(owner).retry_ms(),
            pending_max: live.config.pending_per_agent,
            authority: Authority::new(agent, grants, scopes),
            from: live.config.address(owner),
            intent,
        };
        Ok((pickup, decided_ms))
    }

    /// Approvals, each with whether the operator has become stricter since it was answered.
    fn judged_now(&self, live: &Live, stored: Vec<Stored>) -> Result<Vec<Approval>> {
        let mut before = BTreeMap::from([(live.policy.0, false)]);
        let mut approvals = Vec::with_capacity(stored.len());
        for Stored { mut approval, policy, .. } in stored {
            approval.outdated = match before.entry(policy) {
                btree_map::Entry::Occupied(known) => *known.get(),
                btree_map::Entry::Vacant(new) => {
                    *new.insert(live.policy.1.is_stricter_than(&self.store.policy(policy)?))
                }
            };
            approvals.push(approval);
        }
        Ok(approvals)
    }

    /// Executes a recorded run once more, from its record and nothing else: no back end is reached, nothing is judged and nothing
    /// is written. With `other`, on another build.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also where the build the run started with is no longer kept; whatever is wrong with `other`.
    pub async fn replay(
        &self,
        scope: impl Into<Scope<'_>>,
        id: &str,
        other: Option<&Package>,
    ) -> Result<Replay> {
        let scope = scope.into();
        let view = self.show(scope, id)?;
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
        let (seq, intent) = self.store.intent(scope, id)?;
        let live = self.live();
        let pickup = Pickup {
            entries: self.store.journal(seq)?,
            approvals: Vec::new(),
            authority: Authority::default(),
            policy: live.policy.clone(),
            leaves_at_once: true,
            retry_ms: 0,
            pending_max: 0,
            from: live.config.address(Owner { tenant: &intent.tenant, user: &intent.user }),
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

    /// Rehearses a way out: every message of every user leaves by it. For tests.
    pub fn rehearse_transport(&mut self, transport: Arc<dyn Transport>) {
        self.transport = Some(transport);
    }

    /// Rehearses another policy, in force from now on. For tests.
    pub fn rehearse_policy(&mut self, policy: Policy) -> Result<()> {
        let config = Config { policy, ..self.live().config.clone() };
        self.reload(config)
    }

    /// The same data folder opened again, as after a restart. Also keeps a database that lies in memory.
    pub fn reopen(self) -> Result<Host> {
        let Host { engine, .. } = self;
        Ok(Host { engine: engine.restart()?, crash_after: no_crash(), ..self })
    }

    /// Takes a run for this process, and a turn if it is to be driven at once: the turn before the lock, which is an open file, so that
    /// those in the queue have none. While somebody else has the run the turn is given back: asking for one run many times must not
    /// keep all others from running.
    async fn take(&self, seq: i64, intent: &Intent) -> Result<(locks::Lock, Option<Turn>)> {
        let patience = tokio::time::Instant::now() + self.wall_max + Duration::from_secs(5);
        loop {
            let turn = match intent.status {
                Status::Running => Some(self.gate.turn(&intent.tenant, &intent.agent).await?),
                _ => None,
            };
            if let Some(lock) = self.locks.try_lock(seq).map_err(anyhow::Error::from)? {
                return Ok((lock, turn));
            }
            drop(turn);
            if tokio::time::Instant::now() > patience {
                return Err(Problem::new(Code::Busy, format!("another process is running {}", intent.id))
                    .hint("try again when it has come to an end")
                    .into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An intent as it stands.
    pub fn show<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<View> {
        let (seq, intent) = self.store.intent(scope, id)?;
        let live =
            intent.status == Status::Running && self.locks.try_lock(seq).is_ok_and(|lock| lock.is_none());
        Ok(View { approvals: self.store.approvals_of(seq)?, intent, live })
    }

    /// The journal of an intent.
    pub fn journal<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<Vec<Entry>> {
        let (seq, _) = self.store.intent(scope, id)?;
        self.store.journal(seq)
    }

    /// Intents, newest first.
    pub fn intents<'a>(
        &self,
        scope: impl Into<Scope<'a>>,
        only: Only<'_>,
        page: Page<'_>,
    ) -> Result<Vec<Intent>> {
        self.store.intents(scope.into(), only, page)
    }

    /// Submits a new intent of the same parameters, to the agent as installed now.
    ///
    /// # Errors
    ///
    /// `STILL_LEAVING` where a message of the first has been signed and may still leave.
    pub async fn retry(&self, owner: impl Into<Owner<'_>>, id: &str) -> Result<View> {
        let owner = owner.into();
        let (_, intent) = self.store.intent(owner, id)?;
        let Intent { id, agent, action, parameters, text, .. } = intent;
        let order = Order { agent, action, parameters, text, retry_of: Some(id) };
        let accepted = self.accept(owner, order, None, &principal()).await?;
        self.resume(owner, &accepted.intent).await
    }

    /// Cancels an intent, even while it runs.
    pub async fn cancel(&self, scope: impl Into<Scope<'_>>, id: &str) -> Result<View> {
        let scope = scope.into();
        self.store.cancel(scope, id, self.clock().now()).await?;
        self.ports.meters.cancelled();
        self.show(scope, id)
    }

    // Approvals

    /// The approval `id`.
    pub fn approval<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<Stored> {
        self.store.approval(scope, id)
    }

    /// What of the mail its run has read an approval answers: the latest messages from those it would go to.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`.
    pub fn answered<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<Vec<Received>> {
        let scope = scope.into();
        let Stored { approval, intent, .. } = self.approval(scope, id)?;
        let Some(action) = approval.leaving() else { return Ok(Vec::new()) };
        let (seq, _) = self.store.intent(scope, &intent)?;
        Ok(context::answered(action, self.store.answers(seq, id, LIST.name, context::READ_BYTES_MAX)?))
    }

    /// Approvals, newest first.
    pub fn approvals<'a>(
        &self,
        scope: impl Into<Scope<'a>>,
        pending: bool,
        page: Page<'_>,
    ) -> Result<Vec<Stored>> {
        self.store.approvals(scope.into(), pending, page)
    }

    /// How many approvals wait, counted as far as `most`.
    pub fn pending<'a>(&self, scope: impl Into<Scope<'a>>, most: u32) -> Result<u32> {
        self.store.pending(scope.into(), most)
    }

    /// Decides an approval: the one way a decision is made, whatever the door. Gives the head of the audit chain.
    ///
    /// `shown` is the digest of what the person was shown; `by` comes from the door's own knowledge of who that is.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED`, naming the first decision; `STALE_DIGEST`; `CAPABILITY_DENIED` and `POLICY_FORBIDS` where a
    /// yes would let nothing leave, because what allowed it is gone; `FOUR_EYES` and `SELF_APPROVAL` where it is somebody else's to give.
    pub async fn decide(
        &self,
        scope: impl Into<Scope<'_>>,
        id: &str,
        verdict: Verdict,
        shown: Digest,
        by: &str,
        note: Option<String>,
    ) -> Result<Digest> {
        let scope = scope.into();
        let stored = self.approval(scope, id)?;
        // One configuration for all of it: what is recorded is what was judged under.
        let live = self.live();
        let is_open =
            stored.approval.state == State::Pending && self.clock().now() < stored.approval.expires_ms;
        if verdict == Verdict::Approve && is_open {
            // Judged again when it leaves; asked here so that nobody signs in vain.
            self.may_leave(&live, &stored)?;
            self.may_approve(&live, scope.tenant, &stored, by)?;
        }
        let decision = Decision { verdict, at_ms: self.clock().now(), by: by.into(), note };
        reach(Moment::Deciding);
        let head = self.store.decide((scope, id), decision, shown, live.policy.0).await?;
        reach(Moment::Decided);
        self.ports.meters.decided(verdict);
        Ok(head)
    }

    /// Whoever brings an agent in does not sign what it asks, where somebody else can; and where the operator wants a second person,
    /// whoever asked does not, whether somebody else can or not.
    fn may_approve(&self, live: &Live, tenant: &str, stored: &Stored, by: &str) -> Result<()> {
        let Stored { agent, user, .. } = stored;
        let person = Actor::read(by).person;
        let account = live.config.address(Owner { tenant, user });
        if live.policy.1.four_eyes.holds(tenant, agent, &account)
            && four_eyes::asked(by, user, stored.submitted_by.as_deref(), stored.edited_by.as_deref())
        {
            let others = self.store.other_approvers(tenant, &person)?;
            let own = stored.edited_by.as_deref().is_some_and(|by| Actor::read(by).person == person);
            let did = if own { "wrote" } else { "asked for" };
            let message = format!(
                "{person} {did} what {} is about, and a second person signs here",
                stored.approval.id
            );
            let hint = match others.is_empty() {
                false => format!("let another approver decide: {}", others.join(", ")),
                true => "nobody else can decide here: invite another approver, `countersign person invite NAME --role approver`, or let \
                         the operator set `approval.four_eyes`"
                    .into(),
            };
            return Err(Problem::new(Code::FourEyes, message).hint(hint).into());
        }
        // An agent that has been removed since can send nothing.
        let Some(installer) = self.store.installer(tenant, agent)? else { return Ok(()) };
        if Actor::read(&installer).person != person || !self.has_other_approver(tenant, &person)? {
            return Ok(());
        }
        let message = format!("{person} installed agent {agent}, and somebody else can decide");
        let others = self.store.other_approvers(tenant, &person)?;
        let hint = format!("let another approver decide: {}", others.join(", "));
        Err(Problem::new(Code::SelfApproval, message).hint(hint).into())
    }

    fn may_leave(&self, live: &Live, Stored { approval, agent, user, .. }: &Stored) -> Result<()> {
        let id = &approval.id;
        if let Some(action) = approval.leaving()
            && !self.store.is_granted(agent, action)?
        {
            let capability = action.capability;
            let what = format!("agent {agent} may no longer use {capability}: nothing would leave");
            let hint = format!(
                "{user} must grant it again, `countersign agent grant {agent} {capability}`, or let nothing leave: \
                 `countersign approval decline {id}`"
            );
            return Err(Problem::new(Code::CapabilityDenied, what).hint(hint).into());
        }
        if approval.has_to_be_asked_again() {
            let what = format!(
                "{id} was asked by an earlier version, and readers may see its body otherwise than it is shown: it cannot be approved"
            );
            let hint = format!(
                "`countersign approval decline {id}`, and run the intent again: the agent asks again"
            );
            return Err(Problem::new(Code::AskAgain, what).hint(hint).into());
        }
        let policy = &live.policy.1;
        let admitted = approval.leaving().map_or(Ok(()), |action| policy.admit(action));
        let forbidden = match admitted.and_then(|()| policy.admit_binding(approval.binding)) {
            Err(refusal) => refusal.message,
            Ok(())
                if approval.state == State::Pending
                    && self.clock().now() >= approval.asked_ms + policy.pending_ms =>
            {
                "The operator allows no decision as long after the ask.".into()
            }
            Ok(()) => return Ok(()),
        };
        Err(Problem::new(Code::PolicyForbids, format!("{id} cannot be approved any more. {forbidden}"))
            .hint(format!("`countersign approval decline {id}`, or let the operator change the policy"))
            .into())
    }

    /// Changes the message a person was shown. It is shown again, under another digest, and leaves as changed if it is approved
    /// then; the agent must still send what it would have sent. Gives the head of the audit chain.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED`; `STALE_DIGEST`; `USAGE` where nothing is changed or a recipient to remove is none;
    /// `INVALID_PARAMETER` for what can be no message; `POLICY_FORBIDS`.
    pub async fn edit(
        &self,
        scope: impl Into<Scope<'_>>,
        id: &str,
        edit: Edit,
        shown: Option<Digest>,
        by: &str,
    ) -> Result<Digest> {
        let scope = scope.into();
        let Stored { approval, .. } = self.approval(scope, id)?;
        let own = approval.action.clone();
        let edited = match (&own, approval.leaving()) {
            (Some(own), Some(leaving)) => edited(own, leaving, edit)?,
            // About no message: the machine says so.
            _ => None,
        };
        let leaving = edited.as_ref().or(own.as_ref());
        let live = self.live();
        if let Some(Err(refusal)) = leaving.map(|action| live.policy.1.admit(action)) {
            return Err(Problem::new(Code::PolicyForbids, refusal.message).into());
        }
        let digest = leaving.map_or(approval.digest, Action::digest);
        let shown = shown.unwrap_or(approval.digest);
        let now = self.clock().now();
        self.store.edit((scope, id), (edited, digest), shown, by, now).await
    }

    /// Takes a yes back that has not been used. Gives the head of the audit chain.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_DECIDED` where there is no yes, or it has been used.
    pub async fn take_back(&self, scope: impl Into<Scope<'_>>, id: &str, by: &str) -> Result<Digest> {
        self.store.revoke_approval((scope.into(), id), by, self.clock().now()).await
    }

    // Outbox

    /// Messages of the outbox, newest first; with `open`, those that are on their way or uncertain.
    pub fn outbox<'a>(
        &self,
        scope: impl Into<Scope<'a>>,
        open: bool,
        page: Page<'_>,
    ) -> Result<Vec<Outgoing>> {
        self.store.outbox(scope.into(), open, page)
    }

    /// How many messages a person may have to do something about, counted as far as `most`: those of which nobody knows whether they
    /// have left, and those that have not left and may still be offered again.
    pub fn undelivered<'a>(&self, scope: impl Into<Scope<'a>>, most: u32) -> Result<u32> {
        self.store.undelivered(scope.into(), most, self.clock().now())
    }

    /// The message the approval `id` armed.
    pub fn outgoing<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<Outgoing> {
        self.store.outgoing(scope, id)
    }

    /// Makes the attempts of messages that are due, and picks up the runs that waited for them. Gives the intents.
    pub async fn deliver(&self, scope: impl Into<Scope<'_>>) -> Result<Vec<View>> {
        let scope = scope.into();
        let waiting = self.store.in_transit(None)?;
        let intents: BTreeSet<_> = waiting
            .into_iter()
            .filter(|message| message.place.owner().is_in(scope))
            .map(|message| message.place.intent)
            .collect();
        let mut views = Vec::with_capacity(intents.len());
        let mut failed = Ok(());
        for intent in intents {
            // One that cannot be handed over keeps nobody else's from leaving.
            match self.resume(scope, &intent).await {
                Ok(view) => views.push(view),
                Err(error) => {
                    tracing::warn!(blame = "host", "{intent} cannot be picked up: {error}");
                    failed = Err(error);
                }
            }
        }
        failed.map(|()| views)
    }

    /// Says what is to become of a message that is uncertain, where offering it again is a decision of its own: it may arrive twice. What
    /// has certainly not left can be offered again as well, and what waits for its next attempt at once, while what was signed has not
    /// ended.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `NOT_UNCERTAIN`; `CAPABILITY_DENIED` and `POLICY_FORBIDS` where it may not be offered again.
    pub async fn resolve(
        &self,
        scope: impl Into<Scope<'_>>,
        id: &str,
        resolution: Resolution,
        by: &str,
    ) -> Result<Outgoing> {
        let scope = scope.into();
        let stored = self.approval(scope, id)?;
        let live = self.live();
        if resolution == Resolution::Resend {
            self.may_leave(&live, &stored)?;
        }
        let owner = Owner { tenant: scope.tenant, user: &stored.user };
        let retry_ms = live.config.way(owner).retry_ms();
        self.store.resolve((scope, id), resolution, retry_ms, by, self.clock().now()).await?;
        let outgoing = self.outgoing(scope, id)?;
        if resolution == Resolution::Resend {
            self.resume(scope, &outgoing.intent).await?;
        }
        self.write_letters(Letters::Latest(LETTERS_CHECKED))?;
        self.outgoing(scope, id)
    }

    // Audit

    /// Follows the audit chain of a tenant from its start; `head` is a hash that somebody kept.
    pub fn audit(&self, tenant: &str, head: Option<Digest>) -> Result<Audited> {
        self.store.audit(tenant, head)
    }

    /// The hash of the chain's last entry.
    pub fn audit_head(&self, tenant: &str) -> Result<Digest> {
        self.store.audit_head(tenant)
    }

    /// Hands every entry of the chain to `take`, in order, with the hash before it.
    pub fn each_audit_entry(
        &self,
        tenant: &str,
        take: impl FnMut(Digest, audit::Entry) -> Result<()>,
    ) -> Result<()> {
        self.store.each_audit_entry(tenant, take)
    }

    /// The last entries of the chain, newest first, each with the hash before it, and how many there are in all.
    pub fn last_audit_entries(
        &self,
        tenant: &str,
        most: usize,
    ) -> Result<(Vec<(Digest, audit::Entry)>, usize)> {
        self.store.last_audit_entries(tenant, most)
    }

    /// Deletes what ended longer than `age_ms` ago: journals, approvals and messages, with their files.
    ///
    /// # Errors
    ///
    /// `USAGE` for less than [`PURGE_AGE_MS_MIN`].
    pub async fn purge(&self, tenant: &str, age_ms: Millis, by: &str) -> Result<Purged> {
        if age_ms < PURGE_AGE_MS_MIN {
            let message = "what ended less than 24 hours ago cannot be purged";
            return Err(Problem::new(Code::Usage, message).hint("`--older-than 24h` or more").into());
        }
        let now = self.clock().now();
        let purged = self.store.purge(tenant, now - age_ms, by, now).await?;
        self.sweep_letters().map_err(anyhow::Error::from)?;
        if !self.store.empty_log()? {
            let still =
                "other processes read the data folder: purged bytes are still in the log of its database";
            tracing::warn!(blame = "operator", "{still}; purge once more when they have ended");
        }
        Ok(purged)
    }

    /// Removes every file of `sent/` whose message is not among those that have left any more, whoever was killed over it.
    fn sweep_letters(&self) -> std::io::Result<()> {
        let kept = self.store.letters(Letters::Latest(u32::MAX)).map_err(std::io::Error::other)?;
        let kept: BTreeSet<_> = kept.iter().map(|(message_id, _)| letter_name(message_id)).collect();
        for file in self.sent.entries()? {
            let name = file?.file_name();
            if name.to_str().is_none_or(|name| !kept.contains(name)) {
                self.sent.remove_file(&name)?;
            }
        }
        Ok(())
    }

    // Mail

    /// Imports mail from an mbox file, a Maildir or a folder.
    pub async fn import(
        &self,
        owner: impl Into<Owner<'_>>,
        path: &Path,
        progress: impl FnMut(usize, usize),
    ) -> Result<Imported> {
        let Owner { tenant, user } = owner.into();
        import(&self.store, tenant, user, path, self.clock().now(), progress).await
    }

    /// Incoming mail, newest first, as its owner sees it.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID` for a `before` that names none of it.
    pub fn mail<'a>(&self, owner: impl Into<Owner<'a>>, query: &Query) -> Result<Vec<Mail>> {
        let Owner { tenant, user } = owner.into();
        self.store.mail(tenant, user, None, query)
    }

    /// The latest of what has left, newest first, each with its file.
    pub fn sent<'a>(&self, owner: impl Into<Owner<'a>>) -> Result<Vec<Sent>> {
        self.sent_page(owner, Page::default())
    }

    /// A page of what has left, newest first, each with its file.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID` where the page is to begin behind a message that is not among them.
    pub fn sent_page<'a>(&self, owner: impl Into<Owner<'a>>, page: Page<'_>) -> Result<Vec<Sent>> {
        let Owner { tenant, user } = owner.into();
        self.write_letters(Letters::Latest(u32::MAX))?;
        self.store.sent(tenant, user, page.before, page.limit)
    }

    /// Writes the `.eml` of sent messages that have none: the database knows what has left, the files only show it. They are not
    /// synced: one that a loss of power takes is written again.
    fn write_letters(&self, which: Letters) -> Result<()> {
        for (message_id, length) in self.store.letters(which)? {
            let name = letter_name(&message_id);
            // A file of another length was being written when somebody was killed, or lost power.
            if self.sent.metadata(&name).is_ok_and(|found| found.len() == length) {
                continue;
            }
            let bytes = self.store.letter(&message_id)?;
            reach(Moment::LetterWriting);
            let temporary = format!("{name}.tmp");
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let written = self
                .sent
                .open_with(&temporary, &options)
                .and_then(|mut file| file.write_all(&bytes))
                .inspect(|()| reach(Moment::LetterWritten))
                .and_then(|()| self.sent.rename(&temporary, &self.sent, &name))
                .inspect(|()| reach(Moment::LetterNamed));
            // Another process may be writing the same file, and have been faster.
            let written = written.or_else(|error| if self.sent.exists(&name) { Ok(()) } else { Err(error) });
            if let Err(error) = written {
                tracing::warn!(blame = "operator", "cannot write sent/{name}: {error}");
            }
        }
        Ok(())
    }
}

fn say_set_back(from: Millis, to: Millis) {
    tracing::warn!(
        blame = "operator",
        "the host has seen {}, and the machine's clock says {}: time is set back to it, and what is over by the later time has ended",
        rfc3339(from),
        rfc3339(to)
    );
}

/// A key of the door's user, with what it came with.
fn idempotency(
    key: String,
    agent: &str,
    action: &str,
    parameters: &Map<String, Value>,
    text: Option<&str>,
) -> Result<(String, Digest), Problem> {
    if key.is_empty()
        || key.len() > IDEMPOTENCY_KEY_BYTES_MAX
        || !key.bytes().all(|byte| byte.is_ascii_graphic())
    {
        let message = format!(
            "an idempotency key has 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters, without spaces"
        );
        return Err(Problem::new(Code::InvalidParameter, message).hint("use a UUID"));
    }
    let mut request = Encoder::new("countersign/idempotency/v1");
    let parameters = numbers::canonical(parameters);
    request.text(agent).text(action).text(&parameters).text(text.unwrap_or_default());
    request.text(if text.is_some() { "text" } else { "" });
    Ok((key, Digest::of(&request.0)))
}

/// The message as a person wants it, or nothing where that is the agent's `own` again. `leaving` is what they were shown.
fn edited(own: &Action, leaving: &Action, edit: Edit) -> Result<Option<Action>> {
    let usage = |message: String| Problem::new(Code::Usage, message);
    let Edit { subject, body, remove } = edit;
    if subject.is_none() && body.is_none() && remove.is_empty() {
        return Err(usage("nothing is to be changed".into())
            .hint("give --subject, --body-file or --remove-recipient")
            .into());
    }
    let remove: BTreeSet<_> = remove.iter().map(|address| address::canonical(address)).collect();
    if let Some(stranger) = remove.iter().find(|address| !leaving.recipients().any(|to| to == *address)) {
        let message = format!("it does not go to `{}`", short(stranger, 100));
        return Err(usage(message).hint("recipients can be removed, never added").into());
    }
    let mut edited = leaving.clone();
    for list in [&mut edited.to, &mut edited.cc, &mut edited.bcc] {
        list.retain(|address| !remove.contains(address));
    }
    edited.subject = subject.unwrap_or(edited.subject);
    edited.body = body.unwrap_or(edited.body);
    let edited = rules::check(edited).map_err(|refusal| Problem::new(refusal.code, refusal.message))?;
    Ok(Some(edited).filter(|edited| !edited.is_same(own)))
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
            .hint(format!("run `chmod 700 {}`", shell(&path.to_string_lossy())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_somebody_else_drives_keeps_no_other_from_its_turn() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.serve.runs = 1;
        let host = Host::open(Options {
            data: folder.path().join("data"),
            config,
            clock: Arc::new(Clock::system()),
            cache: None,
            limits: Limits::default(),
            in_memory: true,
        });
        let host = Arc::new(host.unwrap());
        let row = "INSERT INTO intent (seq, id, tenant, user, agent, digest, action, parameters, run, seed, submitted_ms, \
                   host_version, status, generation, fuel, log, updated_ms) VALUES (1, 'int_1', 'main', 'local', 'a', zeroblob(32), \
                   'act', '{}', 1, zeroblob(32), 0, '0', 'running', 0, 0, '', 0)";
        host.store.write(|db| Ok(db.execute_batch(row)?)).await.unwrap();
        let elsewhere = host.locks.try_lock(1).unwrap().unwrap();
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let host = host.clone();
                tokio::spawn(async move { host.resume("local", "int_1").await })
            })
            .collect();
        // They have asked, and wait for the run.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let turn = tokio::time::timeout(Duration::from_secs(20), host.gate.turn("acme", "b")).await;
        drop(turn.expect("it is somebody's turn who can use it").unwrap());
        asked.iter().for_each(tokio::task::JoinHandle::abort);
        drop(elsewhere);
    }
}

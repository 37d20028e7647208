//! The HTTP API: what its routes are, who may ask, and what is answered.

mod agents;
mod approvals;
mod asked;
mod audit;
mod document;
mod events;
mod gate;
mod intents;
mod outbox;
mod people;
pub mod problems;
mod table;
#[cfg(test)]
pub mod tests;

use crate::inbox::{self, Inbox};
use crate::runs::Runs;
use crate::streams::Streams;
use crate::work;
use axum::Router;
use axum::http::Extensions;
use countersign::host::Host;
use countersign::people::Person;
use countersign::people::throttle::{Budget, Left};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

pub use gate::Client;

/// The longest a request can wait for a run, in seconds.
pub const WAIT_SECONDS_MAX: u32 = 60;
/// How long a page waits for a run, so that it can show how it went.
const INBOX_WAIT: Duration = Duration::from_secs(2);
/// How many components are taken in at a time: each is held in memory as a whole.
const UPLOADS_MAX: usize = 4;
/// How many exports of the audit are written at a time: each holds the database open for reading.
const EXPORTS_MAX: usize = 4;

/// What the server is called, by those who may call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// As browsers write it: scheme, name and port, without a slash at the end.
    pub origin: String,
    /// The names a request may be for, with their ports, in lower case.
    pub names: Vec<String>,
    /// Whether something in front of the server says who is asking.
    pub behind_proxy: bool,
}

impl Site {
    /// A server that people reach as `origin` and that listens on `bound`. On the machine itself it answers to the names the machine
    /// has for itself, too; a name that some other site has made lead here is none of them.
    pub fn new(origin: String, bound: SocketAddr, behind_proxy: bool) -> Site {
        let name = origin.split_once("://").map_or(origin.as_str(), |(_, name)| name);
        let port = if origin.starts_with("https:") { 443 } else { 80 };
        let mut names = vec![name.to_ascii_lowercase()];
        if !has_port(name) {
            names.push(format!("{}:{port}", name.to_ascii_lowercase()));
        }
        if bound.ip().is_loopback() {
            let at = bound.port();
            names.extend([bound.to_string(), format!("localhost:{at}"), format!("127.0.0.1:{at}")]);
            if at == port {
                names.extend(["localhost".into(), "127.0.0.1".into()]);
            }
        }
        Site { origin, names, behind_proxy }
    }

    /// The link by which somebody who was asked in chooses a password.
    pub fn link(&self, secret: &str) -> String {
        format!("{}/join/{secret}", self.origin)
    }

    /// Whether browsers reach it by TLS.
    pub fn is_secure(&self) -> bool {
        self.origin.starts_with("https:")
    }
}

/// Whether the name of a host ends in a port. An address of IPv6 stands in brackets.
fn has_port(name: &str) -> bool {
    name.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What all requests share.
pub struct App {
    /// The host, which requests reach by a desk alone.
    host: Arc<Host>,
    site: Site,
    runs: Runs,
    budget: Mutex<Budget<String>>,
    streams: Arc<Streams>,
    uploads: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    closing: watch::Sender<bool>,
}

impl App {
    /// A server of this host, called so. Each token and each session has so many requests a minute.
    pub fn new(host: Arc<Host>, site: Site, requests_per_minute: u32) -> Arc<App> {
        Arc::new(App {
            runs: Runs::new(host.clone()),
            host,
            site,
            budget: Mutex::new(Budget::new(requests_per_minute)),
            streams: Arc::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS_MAX)),
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            closing: watch::channel(false).0,
        })
    }

    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// What the server is called.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The runs it drives.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Takes one request from what a token or a session has.
    pub fn take(&self, key: String) -> Left {
        self.budget.lock().expect("no holder panics").take(key, self.host.clock().now())
    }

    /// Takes nothing new from now on: requests hear `SHUTTING_DOWN`, and what waits or streams comes to an end.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Becomes true when the server goes down.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Waits until `ready` says so, at most so long; looks when something changes, and now and then, because other processes write
    /// too. Ends early when the server does.
    async fn until<T>(
        &self,
        wait: Duration,
        mut look: impl FnMut() -> countersign::refusals::Result<(bool, T)>,
    ) -> countersign::refusals::Result<T> {
        /// How often it is looked where this host changes nothing.
        const PAUSE: Duration = Duration::from_secs(1);
        /// How long it is not looked behind a look.
        const REST: Duration = Duration::from_millis(10);
        let deadline = tokio::time::Instant::now() + wait;
        let (mut changes, closing) = (self.host.changes(), self.closing());
        loop {
            changes.mark_unchanged();
            let (is_ready, found) = look()?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if is_ready || left.is_zero() || *closing.borrow() {
                return Ok(found);
            }
            let _ = tokio::time::timeout(left.min(PAUSE), changes.changed()).await;
            // Where much is committed, not each of it is looked for.
            tokio::time::sleep(left.min(REST)).await;
        }
    }
}

/// Everything the server answers.
pub fn router(app: Arc<App>) -> Router {
    let all = table::router(&app).merge(inbox::router(inbox(&app)));
    gate::behind(all, app)
}

/// The inbox of this server.
fn inbox(app: &Arc<App>) -> Arc<Inbox> {
    let scheme = if app.site.is_secure() { "https" } else { "http" };
    let site = inbox::Site {
        origin: app.site.origin.clone(),
        origins: app.site.names.iter().map(|name| format!("{scheme}://{name}")).collect(),
        secure: app.site.is_secure(),
    };
    let runs = app.runs.clone();
    let drive: inbox::Drive = Arc::new(move |place| {
        let run = runs.drive(place);
        // A page that shows how it went is worth a moment.
        Box::pin(async move { drop(run.within(INBOX_WAIT).await) })
    });
    let client = |seen: &Extensions| seen.get::<Client>().map(|Client(address)| *address);
    let known = |seen: &Extensions, person: &Person| {
        if let Some(trace) = seen.get::<Arc<gate::Trace>>() {
            // Set once: whoever asks stays the same.
            let _ = trace.who.set(person.by());
        }
    };
    Inbox::new(app.host.clone(), site, drive, client, known, app.closing(), app.uploads.clone())
}

/// Does a deed to its end, whoever hangs up meanwhile.
async fn finish<T: Send + 'static>(
    deed: impl Future<Output = countersign::refusals::Result<T>> + Send + 'static,
) -> Result<T, problems::Refused> {
    Ok(work::finish(deed).await?)
}

/// Does something that keeps a thread busy where that is nobody else's loss.
async fn busy<T: Send + 'static>(
    read: impl FnOnce() -> countersign::refusals::Result<T> + Send + 'static,
) -> Result<T, problems::Refused> {
    Ok(work::busy(read).await?)
}

//! The server: from a data folder to an address that answers, and down again.

use crate::connections::{Door, Prompt};
use crate::http::{App, Site, router};
use anyhow::Context as _;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use countersign::config::{Certificate, Config};
use countersign::host::{self, Host};
use countersign::refusals::{Code, Problem, Result};
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How long the head of a request may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);
/// The longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How many requests a connection of HTTP/2 may have open at a time. A browser has one stream of events, and pages that are loading.
const REQUESTS_PER_CONNECTION_MAX: u32 = 64;
/// How often a connection of HTTP/2 is asked whether somebody is still there, and how long they have to answer.
const PING: Duration = Duration::from_secs(20);
/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(1);
/// How many ticks apart it is looked for runs nobody drives.
const TICKS_BETWEEN_PICKUPS: u32 = 30;
/// The name of whoever signs in first, and is everything there is to be.
const FIRST: &str = "owner";

/// How to serve.
pub struct Options {
    /// The data folder, and what the operator set: `config.serve` says how to serve.
    pub host: host::Options,
    /// Reads the configuration again.
    pub reload: Box<dyn Fn() -> Result<Config> + Send + Sync>,
    /// Says something to whoever started the server.
    pub say: Box<dyn Fn(&str) + Send + Sync>,
}

/// Serves until a signal says to end: SIGTERM or SIGINT. SIGHUP has the configuration and the certificate read again.
///
/// # Errors
///
/// `CONFIG_INVALID` where it cannot listen as it is told to; whatever keeps the data folder from being opened.
pub async fn serve(options: Options) -> Result<()> {
    let (mut term, mut int) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let server = Server::bind(options)?;
    server.announce().await?;
    server
        .run(async move {
            let (term, int) = (std::pin::pin!(term.recv()), std::pin::pin!(int.recv()));
            futures_util::future::select(term, int).await;
        })
        .await
}

fn on(kind: SignalKind) -> Result<Signal> {
    Ok(signal(kind).context("no signals can be heard")?)
}

/// A server that has its address.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    bound: SocketAddr,
    tls: Option<(RustlsConfig, Certificate)>,
    grace: Duration,
    reload: Box<dyn Fn() -> Result<Config> + Send + Sync>,
    say: Box<dyn Fn(&str) + Send + Sync>,
}

impl Server {
    /// Opens the data folder and takes the address. Nothing is answered yet.
    ///
    /// # Errors
    ///
    /// As [`serve`].
    pub fn bind(options: Options) -> Result<Server> {
        let Options { host, reload, say } = options;
        let serve = host.config.serve.clone();
        serve.check().map_err(|(key, what, instead)| {
            Problem::new(Code::ConfigInvalid, format!("serve.{key} {what}")).hint(instead)
        })?;
        let cannot = |error: std::io::Error| {
            Problem::new(Code::ConfigInvalid, format!("cannot listen on {}: {error}", serve.listen))
                .hint("name another address with --listen, or as `serve.listen`")
        };
        let listener = TcpListener::bind(serve.listen).map_err(cannot)?;
        let bound = listener.local_addr().map_err(cannot)?;
        let tls = match serve.tls.clone() {
            Some(certificate) => Some((RustlsConfig::from_config(shown(&certificate)?), certificate)),
            None => None,
        };
        let site = Site::new(serve.origin(bound), bound, serve.behind_proxy);
        let app = App::new(Arc::new(Host::open(host)?), site, serve.requests_per_minute.into());
        Ok(Server { app, listener, bound, tls, grace: serve.grace, reload, say })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.bound
    }

    /// What its requests share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Says where it is, and how the first person gets in as long as nobody can.
    pub async fn announce(&self) -> Result<()> {
        (self.say)(&format!("Listening on {}", self.app.site().origin));
        if let Some(secret) = self.app.host().first_link(FIRST).await? {
            (self.say)(&format!("First sign-in: {}", self.app.site().link(secret.text())));
        }
        Ok(())
    }

    /// Answers until `stop`, and then until what has begun is answered and driven, but no longer than the operator says.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<()> {
        let Server { app, listener, tls, grace, reload, .. } = self;
        let handle = Handle::new();
        let tended = tokio::spawn(tend(app.clone()));
        let reloaded = tokio::spawn(reloads(app.clone(), tls.clone(), reload, on(SignalKind::hangup())?));
        let tls = tls.map(|(config, _)| config);
        let served = tokio::spawn(answer(app.clone(), listener, tls, handle.clone()));
        let mut served = std::pin::pin!(served);
        futures_util::future::select(served.as_mut(), std::pin::pin!(stop)).await;
        app.close();
        app.host().close();
        handle.graceful_shutdown(Some(grace));
        let left = app.runs().end(grace).await;
        if left > 0 {
            tracing::warn!(blame = "operator", "{left} runs are put down; they go on at the next start");
        }
        let ended = served.await.map_err(anyhow::Error::from)?;
        tended.abort();
        reloaded.abort();
        Ok(ended.context("the server has ended")?)
    }
}

/// Nobody may take forever to ask, ask for too much at once, or be gone without being noticed, whichever version they speak.
fn bounded<A>(
    server: axum_server::Server<SocketAddr, A>,
    handle: Handle<SocketAddr>,
) -> axum_server::Server<SocketAddr, A> {
    let mut server = server.handle(handle);
    server.http_builder().http1().header_read_timeout(HEAD).max_buf_size(HEAD_BYTES_MAX);
    server
        .http_builder()
        .http2()
        .max_concurrent_streams(REQUESTS_PER_CONNECTION_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    server
}

async fn answer(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let answers = router(app).into_make_service_with_connect_info::<SocketAddr>();
    let server = axum_server::from_tcp(listener)?;
    match tls {
        Some(config) => {
            let acceptor =
                Prompt { inner: RustlsAcceptor::new(config).acceptor(Door::default()), within: HEAD };
            bounded(server.acceptor(acceptor), handle).serve(answers).await
        }
        // Browsers speak HTTP/2 by TLS alone.
        None => bounded(server.acceptor(Door::default()).http1_only(), handle).serve(answers).await,
    }
}

/// What a client is shown of us. TLS has its own cryptography: a default for the whole process is not ours to set.
fn shown(certificate: &Certificate) -> Result<Arc<rustls::ServerConfig>> {
    let (chain, secret) = certificate.read()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret));
    let mut config = config.map_err(|error| {
        let path = certificate.cert.display();
        Problem::new(Code::ConfigInvalid, format!("{path}: certificate and key cannot be used: {error}"))
            .hint("set `serve.tls_key` to the key of the certificate in `serve.tls_cert`")
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Expires what is over, has messages offered that are due, and has runs driven that nobody drives.
async fn tend(app: Arc<App>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let closing = app.closing();
    for number in 0_u32.. {
        ticks.tick().await;
        if *closing.borrow() {
            return;
        }
        let due = match number % TICKS_BETWEEN_PICKUPS {
            0 => app.host().interrupted(),
            _ => app.host().due().await,
        };
        match due {
            Ok(places) => app.runs().pick_up(places),
            Err(error) => tracing::warn!(blame = "host", "what is due cannot be told: {error}"),
        }
    }
}

/// Reads the configuration and the certificate again when told to. What cannot be read changes nothing.
async fn reloads(
    app: Arc<App>,
    tls: Option<(RustlsConfig, Certificate)>,
    reload: Box<dyn Fn() -> Result<Config> + Send + Sync>,
    mut hangup: Signal,
) {
    while hangup.recv().await.is_some() {
        let reloaded = reload().and_then(|config| app.host().reload(config)).and_then(|()| {
            if let Some((shows, certificate)) = &tls {
                shows.reload_from_config(shown(certificate)?);
            }
            Ok(())
        });
        match reloaded {
            Ok(()) => tracing::info!("the configuration has been read again; [serve] takes a new start"),
            Err(error) => tracing::error!(
                blame = "operator",
                "the configuration cannot be read again, and stays as it was: {error}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problems::Refused;
    use crate::http::tests::{AGENT, component, options};
    use countersign::clock::Clock;
    use countersign::desk::Desk;
    use countersign::host::{Install, Order};
    use countersign::intent::Status;
    use countersign::people::{Person, Role};
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::sync::Mutex;
    use tokio::sync::oneshot;

    fn at(listen: &str, folder: &std::path::Path) -> (Options, Arc<Mutex<Vec<String>>>) {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = said.clone();
        let mut config = Config::default();
        config.serve.listen = listen.parse().unwrap();
        let options = Options {
            host: host::Options { config, clock: Arc::new(Clock::system()), ..options(folder, true) },
            reload: Box::new(|| Ok(Config::default())),
            say: Box::new(move |text| kept.lock().unwrap().push(text.to_owned())),
        };
        (options, said)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_says_where_it_is_picks_up_what_was_interrupted_and_goes_down() {
        let folder = tempfile::tempdir().unwrap();
        let (options, said) = at("127.0.0.1:0", folder.path());
        let server = Server::bind(options).unwrap();
        let to = server.address();
        server.announce().await.unwrap();
        let link = {
            let said = said.lock().unwrap();
            assert_eq!(said[0], format!("Listening on http://{to}"));
            said[1].strip_prefix(&format!("First sign-in: http://{to}/join/")).unwrap().to_owned()
        };
        let app = server.app().clone();
        assert_eq!(app.host().invited(&link).unwrap().name, FIRST);

        let roles = Role::ALL.into_iter().collect();
        let person = Person { tenant: "main".into(), name: "ada".into(), roles, through: "browser".into() };
        let desk = Desk::new(app.host().clone(), person);
        desk.install(component(), Install::default()).await.unwrap();
        let (agent, action) = (AGENT.into(), "nothing".into());
        let order = Order { agent, action, parameters: Default::default(), text: None, retry_of: None };
        let intent = desk.submit(order, None).await.unwrap().intent;

        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(server.run(async move { drop(stopped.await) }));
        let mut changes = app.host().changes();
        for _ in 0..60 {
            if desk.show(&intent).unwrap().intent.status == Status::Done {
                break;
            }
            let _ = tokio::time::timeout(Duration::from_secs(1), changes.changed()).await;
        }
        assert_eq!(desk.show(&intent).unwrap().intent.status, Status::Done);
        let answer = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(to).unwrap();
            write!(stream, "GET /healthz HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
        stop.send(()).unwrap();
        run.await.unwrap().unwrap();
        assert!(TcpStream::connect(to).is_err());
    }

    #[tokio::test]
    async fn what_others_could_reach_in_the_clear_is_not_served() {
        let folder = tempfile::tempdir().unwrap();
        let (options, _) = at("0.0.0.0:0", folder.path());
        let refused = Server::bind(options).err().map(|error| Refused::from(error).problem.code);
        assert_eq!(refused, Some(Code::ConfigInvalid));
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let (options, _) = at(&taken.local_addr().unwrap().to_string(), folder.path());
        assert!(Server::bind(options).is_err());
    }
}

//! Hands a signed message to a submission server, RFC 6409.
//!
//! The dialogue is spoken command by command, so that it is known how far it came. Up to the answer to DATA nothing of the message
//! has left: whatever goes wrong there, nobody gets it. From then on the message may have been taken, and only a clear
//! answer says more than that.
//!
//! Everything a server sends is hostile: how much of it is read is bounded, its words are cut, and none is believed that
//! comes before its question.

use crate::approval::address;
use crate::approval::outbox::{Outcome, Rejected};
use crate::config::{Login, Password, Submission, Tls};
use crate::moment::{Moment, reach};
use crate::tools::messages::{Delivering, Parcel, Transport};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::address::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Auth, Data, Ehlo, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::{Code, Response, Severity};
use std::error::Error as _;
use std::fmt::Display;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// The most characters of a server's or a program's words that are kept.
pub(super) const WORDS_CHARS_MAX: usize = 300;
/// The most bytes a server may send in one dialogue, its certificates included.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// The most addresses of a server that are tried.
const ADDRESSES_MAX: usize = 8;
/// RFC 5321, 4.5.3.1.6, without the line's end.
const LINE_BYTES_MAX: usize = 998;
/// The largest password or file of certificates, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// How long a server may take to say goodbye. Nothing depends on what it says.
const QUIT_MAX: Duration = Duration::from_secs(2);

/// A submission server as a way out for mail.
#[derive(Clone, Debug)]
pub struct Smtp {
    server: Submission,
}

impl Smtp {
    /// Mail leaves through this server. Nothing is connected to, and no password read, before there is something to send.
    pub fn new(server: Submission) -> Smtp {
        Smtp { server }
    }
}

impl Transport for Smtp {
    fn deliver<'a>(&'a self, parcel: &'a Parcel) -> Delivering<'a> {
        Box::pin(async move {
            match self.up_to_data(parcel).await {
                Ok(dialogue) => dialogue.hand_over(parcel).await,
                Err(Stop { why, again, rejected }) => Outcome::NotSent { why, again, rejected },
            }
        })
    }
}

/// Why nothing was sent to anybody.
struct Stop {
    why: String,
    again: bool,
    rejected: Vec<Rejected>,
}

impl Stop {
    /// Nothing will change by itself.
    fn never(why: impl Into<String>) -> Stop {
        Stop { why: why.into(), again: false, rejected: Vec::new() }
    }
}

/// Why a command did not get the answer it needs.
enum Trouble {
    /// The server said no.
    Refused { code: Code, words: String },
    /// Anything else. `passes` is whether another attempt may do better.
    Broken { why: String, passes: bool },
}

impl Trouble {
    fn at(self, step: &str) -> Stop {
        let (why, again) = match self {
            Trouble::Refused { code, words } => {
                (format!("the server said {}", words_of(code, &words)), is_for_now(code))
            }
            Trouble::Broken { why, passes } => (cut(&why), passes),
        };
        Stop { why: format!("{step}: {why}"), again, rejected: Vec::new() }
    }

    fn silence(after: Duration) -> Trouble {
        Trouble::Broken { why: format!("no answer within {} ms", after.as_millis()), passes: true }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        if let Some(code) = error.status() {
            let words = error.source().map(ToString::to_string).unwrap_or_default();
            return Trouble::Refused { code, words };
        }
        let fault = tls_fault(&error);
        let passes = fault.as_ref().map_or(!error.is_client() && !error.is_tls(), |(_, passes)| *passes);
        // What did not parse is quoted in it.
        let why = fault.map_or_else(|| error.to_string(), |(why, _)| why);
        Trouble::Broken { why, passes }
    }
}

/// What was wrong with TLS, if anything was, and whether that may pass. A certificate does not get better by itself.
fn tls_fault(error: &Error) -> Option<(String, bool)> {
    let mut source = error.source();
    while let Some(inner) = source {
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(fault) = wrapped.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            let passes = matches!(fault, rustls::Error::AlertReceived(_));
            return Some((format!("TLS: {fault}"), passes));
        }
        source = inner.source();
    }
    None
}

fn cut(text: &str) -> String {
    text.chars().take(WORDS_CHARS_MAX).collect()
}

fn words_of(code: Code, words: &str) -> String {
    cut(format!("{code} {words}").trim_end())
}

/// 4xx says no for now, 5xx for good.
fn is_for_now(code: Code) -> bool {
    code.severity == Severity::TransientNegativeCompletion
}

impl Smtp {
    /// Speaks with the server until it waits for the message.
    async fn up_to_data(&self, parcel: &Parcel) -> Result<Dialogue, Stop> {
        let sender = check(parcel).map_err(Stop::never)?;
        let Submission { host, tls, login, .. } = &self.server;
        if *tls == Tls::None && !matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1") {
            return Err(Stop::never(format!(
                "mail leaves this machine only over TLS, and {host} is another one"
            )));
        }
        let credentials = match login {
            Some(_) if *tls == Tls::None => {
                return Err(Stop::never("a password is sent only over TLS"));
            }
            Some(Login { username, password }) => {
                Some((username, read_password(password).map_err(Stop::never)?))
            }
            None => None,
        };
        let mut dialogue = self.connect().await?;
        if let Some((username, password)) = credentials {
            dialogue.log_in(username, password).await?;
        }
        dialogue.ask(Mail::new(Some(sender), vec![])).await.map_err(|trouble| trouble.at("MAIL FROM"))?;
        dialogue.recipients(&parcel.recipients).await?;
        let answer = dialogue.tell(Data).await;
        let answer = answer.and_then(|answer| agrees(answer, Severity::PositiveIntermediate));
        answer.map_err(|trouble| trouble.at("DATA"))?;
        // An answer that is already there would be taken for that to the message.
        match dialogue.unasked().await {
            Some(trouble) => Err(trouble.at("DATA")),
            None => Ok(dialogue),
        }
    }

    /// Connects, protects the connection, and greets.
    async fn connect(&self) -> Result<Dialogue, Stop> {
        let Submission { host, tls, .. } = &self.server;
        let limit = self.server.timeout;
        let parameters = match tls {
            Tls::None => None,
            Tls::Tls | Tls::Starttls => Some(self.tls_parameters().map_err(Stop::never)?),
        };
        let wire = self.dial().await?;
        let from_first = parameters.clone().filter(|_| *tls == Tls::Tls);
        let opened = timeout(limit, open(wire, from_first)).await;
        let opened = opened.map_err(|_| Trouble::silence(limit)).and_then(|opened| Ok(opened?));
        let connection = opened.map_err(|trouble| trouble.at("connecting"))?;
        let mut dialogue = Dialogue { connection, limit, info: ServerInfo::default(), secrets: Vec::new() };

        let greeting = timeout(limit, dialogue.connection.read_response()).await;
        let greeting = dialogue.heard(greeting);
        let greeting = greeting.and_then(|greeting| agrees(greeting, Severity::PositiveCompletion));
        greeting.map_err(|trouble| trouble.at("the greeting"))?;
        let answer = dialogue.ask(Ehlo::new(hello())).await.map_err(|trouble| trouble.at("EHLO"))?;
        dialogue.info =
            ServerInfo::from_response(&answer).map_err(|error| Trouble::from(error).at("EHLO"))?;
        let Some(parameters) = parameters.filter(|_| *tls == Tls::Starttls) else { return Ok(dialogue) };

        if !dialogue.info.supports_feature(Extension::StartTls) {
            return Err(Stop::never(format!("{host} does not offer STARTTLS")));
        }
        if let Some(trouble) = dialogue.unasked().await {
            return Err(trouble.at("STARTTLS"));
        }
        // Says EHLO once more, and forgets what was offered in plain text. After an error the connection is unusable.
        let started = timeout(limit, dialogue.connection.starttls(parameters, &hello())).await;
        let started = started.map_err(|_| Trouble::silence(limit)).and_then(|started| Ok(started?));
        started.map_err(|trouble| trouble.at("STARTTLS"))?;
        dialogue.info = dialogue.connection.server_info().clone();
        Ok(dialogue)
    }

    fn tls_parameters(&self) -> Result<TlsParameters, String> {
        let mut builder = TlsParameters::builder(self.server.host.clone());
        if let Some(path) = &self.server.ca_file {
            let unreadable =
                |why: &dyn Display| format!("cannot read the certificates in {}: {why}", path.display());
            let mut pem = Vec::new();
            let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
            file.take(FILE_BYTES_MAX).read_to_end(&mut pem).map_err(|error| unreadable(&error))?;
            if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
                return Err(unreadable(&"there is none"));
            }
            let certificates = Certificate::from_pem(&pem).map_err(|error| unreadable(&error))?;
            builder = builder.add_root_certificate(certificates);
        }
        builder.build_rustls().map_err(|error| cut(&format!("TLS cannot be set up: {error}")))
    }

    /// A connection to the first address of the server that answers, all of them within one step's time.
    async fn dial(&self) -> Result<Wire, Stop> {
        let Submission { host, port, tls, timeout: limit, .. } = &self.server;
        let cannot = |why: &dyn Display| Stop {
            why: format!("cannot connect to {host} port {port}: {why}"),
            again: true,
            rejected: Vec::new(),
        };
        let found = timeout(*limit, tokio::net::lookup_host((host.as_str(), *port))).await;
        let found = found.map_err(|_| cannot(&"its name is not resolved in time"))?;
        let found: Vec<_> = found.map_err(|error| cannot(&error))?.take(ADDRESSES_MAX).collect();
        let mut last = cannot(&"its name has no address");
        for at in &found {
            if *tls == Tls::None && !at.ip().is_loopback() {
                return Err(Stop::never(format!(
                    "{host} is not this machine, and mail leaves it only over TLS"
                )));
            }
            match timeout(*limit / found.len() as u32, TcpStream::connect(at)).await {
                Ok(Ok(tcp)) => return Ok(Wire { tcp, left: READ_BYTES_MAX }),
                Ok(Err(error)) => last = cannot(&error),
                Err(_) => last = cannot(&"no answer in time"),
            }
        }
        Err(last)
    }
}

/// The host's name is nobody's business: an address literal, as RFC 5321, 4.1.4 has it for clients without a name.
fn hello() -> ClientId {
    ClientId::Ipv4(Ipv4Addr::LOCALHOST)
}

/// An answer that is a yes, but of the wrong kind, is none: "go on" is no "done".
fn agrees(answer: Response, wanted: Severity) -> Result<Response, Trouble> {
    if answer.code().severity == wanted {
        return Ok(answer);
    }
    let why = format!("the server answered {}, which is no answer to that", answer.code());
    Err(Trouble::Broken { why, passes: false })
}

/// A connection that has been greeted.
struct Dialogue {
    connection: AsyncSmtpConnection,
    limit: Duration,
    info: ServerInfo,
    /// What must not stand in any text that leaves this file.
    secrets: Vec<String>,
}

impl Dialogue {
    /// One command, and an answer that agrees.
    async fn ask(&mut self, command: impl Display) -> Result<Response, Trouble> {
        agrees(self.tell(command).await?, Severity::PositiveCompletion)
    }

    /// One command, and what the server says to it, unless that is no.
    async fn tell(&mut self, command: impl Display) -> Result<Response, Trouble> {
        if let Some(trouble) = self.unasked().await {
            return Err(trouble);
        }
        let answer = timeout(self.limit, self.connection.command(command)).await;
        self.heard(answer)
    }

    fn heard(&self, answer: Result<Result<Response, Error>, Elapsed>) -> Result<Response, Trouble> {
        let trouble = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Trouble::from(error),
            Err(_) => Trouble::silence(self.limit),
        };
        Err(match trouble {
            Trouble::Refused { code, words } => Trouble::Refused { code, words: self.hide(words) },
            Trouble::Broken { why, passes } => Trouble::Broken { why: self.hide(why), passes },
        })
    }

    /// What the server says although it was not asked. If that were left lying there, it would be taken for the answer
    /// to the next command, and every answer after it for that to another question.
    async fn unasked(&mut self) -> Option<Trouble> {
        // Looks at what has arrived, and waits for nothing.
        let heard = timeout(Duration::ZERO, self.connection.read_response()).await.ok()?;
        Some(match heard {
            Ok(_) => Trouble::Broken { why: "the server answered before it was asked".into(), passes: false },
            no => self.heard(Ok(no)).err()?,
        })
    }

    /// `text`, unless a password can be read in it: servers have been seen to repeat what they were told.
    fn hide(&self, text: String) -> String {
        let dense: String = text.split_whitespace().collect();
        match self.secrets.iter().any(|secret| dense.contains(secret.as_str())) {
            true => "(words that repeat the password)".to_owned(),
            false => text,
        }
    }

    /// Logs in, over TLS only.
    async fn log_in(&mut self, username: &str, password: String) -> Result<(), Stop> {
        if !self.connection.is_encrypted() {
            return Err(Stop::never("a password is sent only over TLS"));
        }
        let offered = self.info.get_auth_mechanism(&[Mechanism::Plain, Mechanism::Login]);
        let Some(mechanism) = offered else {
            return Err(Stop::never("the server offers no way to log in that is known here: PLAIN or LOGIN"));
        };
        let encoded =
            [BASE64_STANDARD.encode(&password), BASE64_STANDARD.encode(format!("\0{username}\0{password}"))];
        let dense: String = password.split_whitespace().collect();
        self.secrets = encoded.into_iter().chain([dense]).filter(|secret| !secret.is_empty()).collect();
        let credentials = Credentials::new(username.to_owned(), password);
        let strange =
            |_| Stop::never("logging in: the server asks for something else than name and password");

        let mut command = Auth::new(mechanism, credentials.clone(), None).map_err(strange)?;
        // LOGIN asks twice, PLAIN never.
        for _ in 0..3 {
            let answer = self.tell(command).await.map_err(refused_login)?;
            if !answer.has_code(334) {
                return agrees(answer, Severity::PositiveCompletion).map(drop).map_err(refused_login);
            }
            command = Auth::new_from_response(mechanism, credentials.clone(), &answer).map_err(strange)?;
        }
        Err(Stop::never("logging in: the server asks for ever more"))
    }

    /// Names everybody. If one is refused, nothing is sent to anybody: what was signed was signed for all of them.
    async fn recipients(&mut self, recipients: &[String]) -> Result<(), Stop> {
        let mut rejected = Vec::new();
        let mut again = true;
        for address in recipients {
            let Ok(parsed) = address.parse() else {
                return Err(Stop::never(format!("`{address}` is no address")));
            };
            match self.ask(Rcpt::new(parsed, vec![])).await {
                Ok(_) => {}
                Err(Trouble::Refused { code, words }) => {
                    again &= is_for_now(code);
                    rejected.push(Rejected { address: address.clone(), why: words_of(code, &words) });
                }
                Err(trouble) => {
                    let stop = trouble.at("RCPT TO");
                    return Err(Stop { again: again && stop.again, rejected, ..stop });
                }
            }
        }
        if rejected.is_empty() {
            return Ok(());
        }
        self.quit().await;
        let why = format!("the server refused {} of {} recipients", rejected.len(), recipients.len());
        Err(Stop { why, again, rejected })
    }

    /// Sends the message. From here on it may have been taken, whatever happens.
    async fn hand_over(mut self, parcel: &Parcel) -> Outcome {
        // The library writes the CRLF of the last line together with the dot. Where the bytes have none, it is added: SMTP
        // knows no message that does not end in one, RFC 5321, 4.1.1.4.
        let bytes = parcel.bytes.strip_suffix(b"\r\n").unwrap_or(&parcel.bytes);
        // As near as one gets: the library sends text and dot, and reads the answer, in one call.
        reach(Moment::AlmostHandedOver);
        let answer = timeout(self.limit, self.connection.message(bytes)).await;
        reach(Moment::HandedOver);
        let answer = self.heard(answer).and_then(|answer| agrees(answer, Severity::PositiveCompletion));
        match answer {
            Ok(answer) => {
                let words = answer.message().collect::<Vec<_>>().join(" ");
                let said = words_of(answer.code(), &self.hide(words));
                self.quit().await;
                Outcome::Sent { said }
            }
            // RFC 5321, 4.2.5: who refuses has taken no responsibility, for now with 4xx as much as for good with 5xx. For several
            // recipients that is not so clear: servers have been seen to deliver to some and then to refuse.
            Err(trouble @ Trouble::Refused { .. }) if parcel.recipients.len() == 1 => {
                let Stop { why, again, rejected } = trouble.at("the message");
                Outcome::NotSent { why, again, rejected }
            }
            Err(trouble @ Trouble::Refused { .. }) => {
                let step =
                    "the message was refused, and may have been delivered to some of its recipients before";
                Outcome::Uncertain { why: trouble.at(step).why }
            }
            Err(trouble @ Trouble::Broken { .. }) => {
                let step = "the message was handed over, and whether it was taken is not known";
                Outcome::Uncertain { why: trouble.at(step).why }
            }
        }
    }

    /// Says goodbye, which is a courtesy.
    async fn quit(&mut self) {
        let _ = timeout(self.limit.min(QUIT_MAX), self.connection.quit()).await;
    }
}

/// A refused login, without the server's words: there they are most likely to repeat what they were told.
fn refused_login(trouble: Trouble) -> Stop {
    match trouble {
        Trouble::Refused { code, .. } => {
            let why = format!("the server refused name or password: {code}");
            Stop { again: is_for_now(code), ..Stop::never(why) }
        }
        Trouble::Broken { passes: true, .. } => {
            Stop { again: true, ..Stop::never("logging in: there was no answer, or none that can be read") }
        }
        Trouble::Broken { .. } => Stop::never("logging in: the server does not keep to the protocol"),
    }
}

/// The sender, if this can go through a mail server unchanged.
///
/// Letters can: they are 7-bit lines that end in CRLF. A lone CR or LF is how one message has been made to look like two
/// to the next server, so that whoever made these bytes, they are looked at once more.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn check(parcel: &Parcel) -> Result<Address, String> {
    let Parcel { from, recipients, bytes } = parcel;
    if recipients.is_empty() {
        return Err("the message has no recipient".into());
    }
    // They become part of commands and of arguments: no space, no line break, no angle bracket gets past this.
    if let Some(bad) = [from].into_iter().chain(recipients).find(|address| !address::is_valid(address)) {
        return Err(format!("`{bad}` is no address"));
    }
    let unchanged = "the message has bytes that do not travel unchanged";
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()).ok_or(unchanged)?;
    for line in text.split("\r\n") {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("the message has lines of more than {LINE_BYTES_MAX} bytes"));
        }
        if line.contains(['\r', '\n', '\0']) {
            return Err(unchanged.into());
        }
    }
    from.parse().map_err(|_| format!("`{from}` is no address"))
}

/// The password, read now. Nothing of it is in any error.
pub(crate) fn read_password(password: &Password) -> Result<String, String> {
    let text = match password {
        Password::Env(name) => match std::env::var(name) {
            Ok(text) => text,
            Err(std::env::VarError::NotPresent) => {
                return Err(format!(
                    "the environment variable {name} is not set: it should hold the password"
                ));
            }
            Err(_) => return Err(format!("the environment variable {name} is not UTF-8")),
        },
        Password::File(path) => read_password_file(path)?,
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    // PLAIN separates its parts by NUL.
    match text.is_empty() || text.contains('\0') {
        true => Err("the password is empty, or has a NUL in it".into()),
        false => Ok(text.to_owned()),
    }
}

fn read_password_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("cannot read the password in {shown}: no such file"),
        kind => format!("cannot read the password in {shown}: {kind}"),
    };
    // Not blocking: what stands there may be a pipe nobody writes to.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{shown} is no file"));
    }
    if metadata.uid() != nix::unistd::geteuid().as_raw() {
        return Err(format!("{shown} belongs to another user: chown it, it holds a password"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!("others may read {shown}: chmod 600 it, it holds a password"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// A connection of lettre's over `wire`, not yet greeted.
///
/// The library makes one only together with a greeting and an EHLO, both in plain text; for TLS from the first byte it has
/// another way, which reads lines of any length into memory. So it is given an answer to start with, and the true stream
/// behind it.
#[allow(
    deprecated,
    reason = "the stream's type is deprecated without a replacement, and the only way to TLS"
)]
async fn open(wire: Wire, parameters: Option<TlsParameters>) -> Result<AsyncSmtpConnection, Error> {
    use lettre::transport::smtp::client::AsyncNetworkStream;
    let mut stream = AsyncNetworkStream::use_existing_tokio1(Box::new(wire));
    if let Some(parameters) = parameters {
        stream.upgrade_tls(parameters).await?;
    }
    let mut connection =
        AsyncSmtpConnection::connect_with_transport(Box::new(Prompt(PROMPT)), &hello()).await?;
    connection.set_stream(stream);
    Ok(connection)
}

/// A greeting, and the answer to EHLO. Whether STARTTLS is truly offered is asked of the server.
const PROMPT: &[u8] = b"220 -\r\n250--\r\n250 STARTTLS\r\n";

/// A stream that says what it has to say and hears nothing.
#[derive(Debug)]
struct Prompt(&'static [u8]);

/// The connection to a server.
///
/// It hands on one line at a time, so that nothing is ever read ahead: what somebody on the way has appended to the answer
/// to STARTTLS is then met by TLS, which ends it, and not believed as the server's first words within TLS.
#[derive(Debug)]
struct Wire {
    tcp: TcpStream,
    /// How many bytes more are read.
    left: usize,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("the server says too much")));
        }
        let mut room = [0; 1024];
        let room_max = room.len().min(buf.remaining()).min(self.left);
        let mut ahead = ReadBuf::new(&mut room[..room_max]);
        ready!(self.tcp.poll_peek(cx, &mut ahead))?;
        let ahead = ahead.filled();
        let line = ahead.iter().position(|b| *b == b'\n').map_or(ahead.len(), |at| at + 1);
        let mut part = ReadBuf::new(&mut room[..line]);
        if line > 0 {
            ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut part))?;
        }
        self.left -= part.filled().len();
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

impl AsyncRead for Prompt {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Prompt {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncTokioStream for Prompt {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::NotConnected.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::action::tests::sample;
    use crate::approval::letter;
    use proptest::prelude::*;

    fn parcel(bytes: Vec<u8>) -> Parcel {
        Parcel { from: "me@example.com".into(), recipients: vec!["you@example.com".into()], bytes }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn every_letter_travels_unchanged(
            subject in "\\PC{0,300}", body in "(\\PC|[.\r\n\t =]){0,1500}", name in "[a-z]{1,60}",
            recipients in 1..12,
        ) {
            let body = crate::approval::body::canonical(sample().body_kind, &body).unwrap();
            let mut action = crate::approval::Action { subject, body, ..sample() };
            action.to = (0..recipients).map(|n| format!("{name}{n}@example.com")).collect();
            let bytes = letter::render(&action, "id@example.com", 0).unwrap();
            prop_assert_eq!(check(&parcel(bytes)).err(), None);
        }
    }

    #[test]
    fn what_a_server_could_read_as_two_messages_is_not_sent() {
        for bytes in ["a\n.\nb\r\n", "a\r.\r\nb\r\n", "a\r\n.\nb", "\r", "\n", "a\r\r\nb", "\0", "ä\r\n"] {
            assert!(check(&parcel(bytes.into())).is_err(), "{bytes:?}");
        }
        assert!(check(&parcel(vec![b'x'; 999])).is_err());
        check(&parcel(b".\r\n..\r\n\r\n".to_vec())).unwrap();
    }

    #[test]
    fn what_is_no_address_becomes_no_command() {
        for bad in ["a@b\r\nRCPT TO:<c@d>", "a@b> SIZE=1", "", "<>", "\u{e4}@b.c"] {
            let recipient = Parcel { recipients: vec!["a@b.c".into(), bad.into()], ..parcel(vec![]) };
            assert!(check(&recipient).is_err(), "{bad:?}");
            assert!(check(&Parcel { from: bad.into(), ..parcel(vec![]) }).is_err(), "{bad:?}");
        }
        assert!(check(&Parcel { recipients: vec![], ..parcel(vec![]) }).is_err());
    }
}

//! A host behind HTTP. What a server says is hostile until it has been read: answers are bounded, and are of the type that was asked
//! for, or a refusal with one of our codes, or no answer at all.

use super::output::{IntentShown, Ran, TokenMade};
use super::{TOKEN, say};
use countersign::clock::Clock;
use countersign::intent::Status;
use countersign::people::Role;
use countersign::printable::{line, shell, short};
use countersign::refusals::{Code, Problem, Result};
use countersign::store::LIST_MAX;
use countersign::store::Page;
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::error::Error as _;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The longest answer, in bytes. The longest there can be are intents with a full journal.
const ANSWER_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The longest refusal, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;
/// The longest line of a record, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 512;
/// How many rows of a list are asked for at once: a row may hold a whole message.
const PAGE_ROWS: usize = 100;

/// How long until there is a connection.
const CONNECTING: Duration = Duration::from_secs(10);
/// How long until there is an answer, or the next part of one.
const ANSWERING: Duration = Duration::from_secs(30);
/// How long an upload may take, or what the server has to read a whole record for.
const WORKING: Duration = Duration::from_secs(600);
/// How long the server is asked to wait for a run before it answers.
const WAIT: Duration = Duration::from_secs(30);
/// How long a run is followed before it is left where it is.
const FOLLOWING: Duration = Duration::from_secs(600);
/// The pause before a server is asked the same again.
const PAUSE: Duration = Duration::from_millis(200);

/// How much of an upload goes into one write.
const UPLOAD_BYTES: usize = 64 * 1024;

/// A server, and who asks there.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: HeaderValue,
}

impl Client {
    /// The server at `url`; the token is in `file`, or else in the variable [`TOKEN`].
    ///
    /// # Errors
    ///
    /// `USAGE` for what is no address a token may be sent to, and where there is no token.
    pub fn new(url: &str, file: Option<&Path>) -> Result<Client> {
        let base = address(url)?;
        let token = token(file)?;
        let provider = rustls::crypto::ring::default_provider();
        let http = reqwest::Client::builder()
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECTING)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            // A token goes to the server that was named and nowhere else.
            .no_proxy();
        let http = match base.scheme() {
            "https" => {
                // Where it was installed before, it was the same.
                let _ = provider.install_default();
                http.https_only(true)
            }
            _ => {
                // A machine without certificates can still talk to itself.
                let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
                    .with_safe_default_protocol_versions()
                    .map_err(anyhow::Error::from)?
                    .with_root_certificates(rustls::RootCertStore::empty());
                http.tls_backend_preconfigured(tls.with_no_client_auth())
            }
        };
        let http = http.build().map_err(|error| {
            let message = format!("no connection can be made safe: {}", cause(&error));
            Problem::new(Code::ServerUnreachable, message).hint("install the certificates of the system")
        })?;
        Ok(Client { http, base, token })
    }

    pub fn get(&self, path: &[&str]) -> Ask<'_> {
        Ask::new(self, Method::GET, path)
    }

    pub fn post(&self, path: &[&str]) -> Ask<'_> {
        Ask::new(self, Method::POST, path)
    }

    pub fn delete(&self, path: &[&str]) -> Ask<'_> {
        Ask::new(self, Method::DELETE, path)
    }

    pub fn patch(&self, path: &[&str]) -> Ask<'_> {
        Ask::new(self, Method::PATCH, path)
    }

    /// Makes a token for whoever asks; without roles, for all of theirs but the one that signs.
    pub async fn make_token(&self, label: &str, days: u32, roles: Vec<Role>) -> Result<TokenMade> {
        let mut body = json!({ "label": label, "days": days });
        if !roles.is_empty() {
            body["roles"] = json!(roles);
        }
        self.post(&["tokens"]).body(&body).answer().await
    }

    /// Waits until a run waits for something or has ended; not for ever.
    pub async fn follow(&self, mut ran: Ran) -> Result<Ran> {
        let patience = Instant::now() + FOLLOWING;
        while ran.status == Status::Running && Instant::now() < patience {
            // A server that does not wait is not asked without a pause.
            sleep(PAUSE).await;
            let shown = self.get(&["intents", &ran.intent]).wait().answer::<IntentShown>().await;
            let shown = shown.inspect_err(|_| {
                say(&format!(
                    "Intent {} goes on at the server, whatever has become of the answer.",
                    line(&ran.intent)
                ));
            })?;
            ran = Ran { audit_head: ran.audit_head, ..Ran::shown(&shown) };
        }
        Ok(ran)
    }

    fn unreachable(&self, what: &str) -> Problem {
        let origin = self.base.origin().ascii_serialization();
        Problem::new(Code::ServerUnreachable, format!("{origin}: {what}"))
            .hint("check the address, and that the server is up; `countersign explain SERVER_UNREACHABLE` says more")
    }
}

/// Gathers a part of a list page by page, and what it goes on behind.
pub async fn gather<'a, P: DeserializeOwned, R>(
    page: impl Fn() -> Ask<'a>,
    part: Page<'_>,
    split: impl Fn(P) -> (Vec<R>, Option<String>),
) -> Result<(Vec<R>, Option<String>)> {
    let most = part.limit.min(LIST_MAX) as usize;
    let mut rows = Vec::new();
    let mut before = part.before.map(str::to_owned);
    loop {
        let mut ask = page().query("limit", &PAGE_ROWS.min(most - rows.len()).to_string());
        if let Some(before) = &before {
            ask = ask.query("before", before);
        }
        let client = ask.client;
        let (more, next) = split(ask.answer().await?);
        if more.is_empty() && next.is_some() {
            return Err(client.unreachable("it answered with a list that does not end").into());
        }
        rows.extend(more);
        if next.is_none() || rows.len() >= most {
            rows.truncate(most);
            return Ok((rows, next));
        }
        before = next;
    }
}

/// What is asked of a server.
pub struct Ask<'a> {
    client: &'a Client,
    method: Method,
    url: Result<Url, Problem>,
    body: Body,
    key: Option<String>,
    patience: Duration,
}

enum Body {
    None,
    Json(Vec<u8>),
    Component(Vec<u8>),
}

/// Why there is no answer.
enum Lost {
    /// None has come, or not all of it: whether the request arrived is not known.
    OnTheWay(Problem),
    /// The server refuses, or says what no server of ours says.
    Answered(Problem),
}

impl From<Lost> for Problem {
    fn from(lost: Lost) -> Problem {
        match lost {
            Lost::OnTheWay(problem) | Lost::Answered(problem) => problem,
        }
    }
}

impl<'a> Ask<'a> {
    /// The segments of `path` may be what somebody typed.
    fn new(client: &'a Client, method: Method, path: &[&str]) -> Ask<'a> {
        let mut url = client.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        // In an address these mean another place, or none.
        let url = match path.iter().find(|segment| ["", ".", ".."].contains(*segment)) {
            Some(id) => Err(Problem::new(Code::UnknownId, format!("nothing has the id `{id}`"))),
            None => Ok(url),
        };
        Ask { client, method, url, body: Body::None, key: None, patience: ANSWERING }
    }

    pub fn query(mut self, name: &str, value: &str) -> Ask<'a> {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(name, value);
        }
        self
    }

    pub fn body(self, body: &Value) -> Ask<'a> {
        Ask { body: Body::Json(body.to_string().into_bytes()), ..self }
    }

    /// Uploads a component, and shows how far it is.
    pub fn component(self, bytes: Vec<u8>) -> Ask<'a> {
        Ask { body: Body::Component(bytes), patience: WORKING, ..self }
    }

    /// Carries a key: asked twice, it is done once.
    pub fn once(self) -> Ask<'a> {
        Ask { key: Some(Clock::system().id("key_")), ..self }
    }

    /// Has the server wait for the run before it answers.
    pub fn wait(self) -> Ask<'a> {
        Ask { patience: ANSWERING + WAIT, ..self.query("wait", &WAIT.as_secs().to_string()) }
    }

    /// Gives the server time to read a whole record.
    pub fn slow(self) -> Ask<'a> {
        Ask { patience: WORKING, ..self }
    }

    /// Asks, and reads the answer. What changes nothing or carries a key is asked once more where the answer is lost.
    ///
    /// # Errors
    ///
    /// What the server refuses, under its code; `SERVER_UNREACHABLE` for everything else.
    pub async fn answer<T: DeserializeOwned>(mut self) -> Result<T> {
        let bytes = match self.exchange().await {
            Err(Lost::OnTheWay(_)) if self.key.is_some() || self.method == Method::GET => {
                sleep(PAUSE).await;
                self.exchange().await
            }
            first => first,
        };
        let bytes = bytes.map_err(Problem::from)?;
        let garbled = |error| {
            self.client
                .unreachable(&format!("its answer cannot be read: {}", short(&format!("{error}"), 200)))
        };
        Ok(serde_json::from_slice(&bytes).map_err(|error: serde_json::Error| garbled(error))?)
    }

    /// Asks for a record, and hands over each of its lines.
    pub async fn each_line<T: DeserializeOwned>(
        mut self,
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let client = self.client;
        let broken = |what: &str| client.unreachable(&format!("its record {what}"));
        let response = timeout(ANSWERING, self.send()).await;
        let mut response =
            response.map_err(|_| client.unreachable("no answer came in time"))?.map_err(Problem::from)?;
        accept(client, &response, "application/x-ndjson").map_err(Problem::from)?;
        let mut rest = Vec::new();
        loop {
            let chunk =
                timeout(ANSWERING, response.chunk()).await.map_err(|_| broken("stopped in the middle"))?;
            let Some(chunk) = chunk.map_err(|error| broken(&format!("broke off: {}", cause(&error))))? else {
                break;
            };
            rest.extend_from_slice(&chunk);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            for text in rest[..whole].split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
                take(serde_json::from_slice(text).map_err(|_| broken("has a line that cannot be read"))?)?;
            }
            rest.drain(..whole);
            if rest.len() > LINE_BYTES_MAX {
                return Err(broken(&format!("has a line of more than {LINE_BYTES_MAX} bytes")).into());
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(broken("ends in the middle of a line").into()) }
    }

    /// Asks once.
    async fn exchange(&mut self) -> Result<Vec<u8>, Lost> {
        let client = self.client;
        let patience = self.patience;
        let exchange = async {
            let response = self.send().await?;
            accept(client, &response, "application/json")?;
            read(client, response, ANSWER_BYTES_MAX).await
        };
        timeout(patience, exchange).await.unwrap_or_else(|_| {
            let what = format!("no answer came in {} s", patience.as_secs());
            Err(Lost::OnTheWay(client.unreachable(&what)))
        })
    }

    /// Sends it, and gives an answer that is none of refusal.
    async fn send(&mut self) -> Result<Response, Lost> {
        let client = self.client;
        let url = self.url.clone().map_err(Lost::Answered)?;
        let mut request = client
            .http
            .request(self.method.clone(), url)
            .header(AUTHORIZATION, client.token.clone())
            .header(ACCEPT, "application/json, application/x-ndjson, application/problem+json");
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        let request = match &mut self.body {
            Body::None => request,
            Body::Json(json) => request.header(CONTENT_TYPE, "application/json").body(json.clone()),
            Body::Component(bytes) => request
                .header(CONTENT_TYPE, "application/wasm")
                .header(CONTENT_LENGTH, bytes.len())
                .body(upload(std::mem::take(bytes))),
        };
        let response = request.send().await;
        let response = response
            .map_err(|error| Lost::OnTheWay(client.unreachable(&format!("no answer: {}", cause(&error)))))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(client, response).await)
    }
}

/// Refuses an answer of another type.
fn accept(client: &Client, response: &Response, wanted: &str) -> Result<(), Lost> {
    let found = media_type(response);
    match found == wanted {
        true => Ok(()),
        false => {
            let what = format!("it answered with {}, which is not what it was asked for", short(&found, 60));
            Err(Lost::Answered(client.unreachable(&what)))
        }
    }
}

/// What an answer says it is, without parameters.
fn media_type(response: &Response) -> String {
    let value =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("nothing");
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads a body, no further than it may be long.
async fn read(client: &Client, mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Lost> {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > bytes_max => {
                let what = format!("its answer is longer than {bytes_max} bytes");
                return Err(Lost::Answered(client.unreachable(&what)));
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Ok(bytes),
            Err(error) => {
                let what = format!("its answer broke off: {}", cause(&error));
                return Err(Lost::OnTheWay(client.unreachable(&what)));
            }
        }
    }
}

/// A refusal as our server writes it, RFC 9457.
#[derive(Deserialize)]
struct Refusal {
    code: String,
    detail: String,
    hint: Option<String>,
}

/// What a status that is no success means: the same refusal as on a folder, or somebody else's words.
async fn refusal(client: &Client, response: Response) -> Lost {
    let status = response.status();
    let problem = media_type(&response) == "application/problem+json";
    let location =
        response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(|to| short(to, 200));
    if status.is_redirection() {
        let to = location.unwrap_or_else(|| "nowhere".into());
        return Lost::Answered(
            client.unreachable(&format!("it sends one on to {to}, where a token does not follow")),
        );
    }
    if problem {
        let bytes = match read(client, response, REFUSAL_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(lost) => return lost,
        };
        if let Ok(Refusal { code, detail, hint }) = serde_json::from_slice(&bytes)
            && let Ok(code) = code.parse::<Code>()
        {
            return Lost::Answered(Problem { code, message: detail, hint });
        }
    }
    Lost::Answered(client.unreachable(&format!("it answered {}, which says nothing to us", told(status))))
}

fn told(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{} {reason}", status.as_u16()).trim_end().to_owned()
}

/// What happened, without what stands around it. A library may quote what a server has sent.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "nobody answered in time".into();
    }
    let mut inner = error.source();
    let mut text = "the request failed".to_owned();
    while let Some(error) = inner {
        text = error.to_string();
        inner = error.source();
    }
    short(&text, 200)
}

/// The bytes of a component, a piece at a time, with a bar that follows them.
fn upload(bytes: Vec<u8>) -> reqwest::Body {
    let bar = ProgressBar::new(bytes.len() as u64);
    let moving = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {eta} left");
    bar.set_style(moving.expect("a constant"));
    let pieces = (0..bytes.len().div_ceil(UPLOAD_BYTES)).map(move |number| {
        let begin = number * UPLOAD_BYTES;
        let end = bytes.len().min(begin + UPLOAD_BYTES);
        bar.inc((end - begin) as u64);
        Ok::<_, std::convert::Infallible>(bytes[begin..end].to_vec())
    });
    reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))
}

/// An address of a server: its origin and nothing behind it. A token travels readable to nobody.
fn address(url: &str) -> Result<Url, Problem> {
    let wrong =
        |what: &str, hint: &str| Err(Problem::new(Code::Usage, format!("--server: {what}")).hint(hint));
    let example = "it looks like https://countersign.example.com";
    let Ok(base) = Url::parse(url) else { return wrong("this is no URL", example) };
    match base.scheme() {
        "https" => {}
        "http" if base.host_str().is_some_and(is_loopback) => {}
        "http" => {
            let what = "http is for this machine alone: everybody on the way could read the token";
            return wrong(what, "use https");
        }
        _ => return wrong("this is no URL of a server", example),
    }
    let is_origin = base.path() == "/" && base.query().is_none() && base.fragment().is_none();
    match is_origin && base.username().is_empty() && base.password().is_none() {
        true => Ok(base),
        false => wrong("an address has no path and no name in it", example),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The token, ready to be sent. It is quoted nowhere.
fn token(file: Option<&Path>) -> Result<HeaderValue, Problem> {
    let usage = |message: String, hint: &str| Problem::new(Code::Usage, message).hint(hint);
    let (place, text) = match file {
        Some(path) => (path.display().to_string(), token_in(path)?),
        None => match std::env::var(TOKEN) {
            Ok(text) if !text.is_empty() => (TOKEN.to_owned(), text),
            _ => {
                let message = format!("a server wants to know who asks, and {TOKEN} holds no token");
                return Err(usage(
                    message,
                    "set it, or name a file with --token-file; the server's page \"People\" makes one",
                ));
            }
        },
    };
    let token = text.trim_end_matches(['\r', '\n']);
    let is_token =
        (1..=TOKEN_BYTES_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| is_token);
    let mut value = value.ok_or_else(|| {
        usage(format!("what is in {place} is no token"), "a token is one line that begins with `cs_`")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The content of a file with a token in it, which nobody else may read.
fn token_in(path: &Path) -> Result<String, Problem> {
    use std::os::unix::fs::MetadataExt as _;
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::Usage, format!("--token-file {shown}: {error}")).hint("check the path")
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        let message = format!("--token-file {shown}: others may read it, and it holds a token");
        return Err(Problem::new(Code::Usage, message)
            .hint(format!("run `chmod 600 {}`", shell(&path.to_string_lossy()))));
    }
    let mut text = String::new();
    // One byte more than a token with a line break may have.
    file.take(TOKEN_BYTES_MAX as u64 + 3).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

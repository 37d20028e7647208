//! The real server, on a data folder of its own, and a client that says exactly what a test wants said.

#![allow(clippy::disallowed_methods, reason = "other processes are waited for by the wall clock")]

use crate::support::{Cli, workspace};
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options, View};
use countersign::people::{Owner, Role};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// `countersign serve` in a process of its own, which ends with this. Its data folder outlives it.
pub struct Server {
    child: Child,
    pub port: u16,
    /// What the first person signs in with, while nobody can.
    pub first: Option<String>,
    /// What it wrote since.
    lines: Mutex<mpsc::Receiver<String>>,
}

impl Server {
    /// Starts it, and comes back when it listens.
    pub fn start(cli: &Cli) -> Server {
        Server::listening(cli, "127.0.0.1:0")
    }

    /// The same at this address: after a restart people come back to the same place.
    pub fn listening(cli: &Cli, address: &str) -> Server {
        Server::of(&cli.command(&["serve", "--listen", address]), None)
    }

    /// The server this command starts. Where it is called otherwise than it listens, this is the port it listens on.
    pub fn of(command: &Command, port: Option<u16>) -> Server {
        let mut command = bound_to_us(command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = Mutex::new(lines(child.stderr.take().unwrap()));
        let mut server = Server { child, port: 0, first: None, lines };
        let mut said = Vec::new();
        while let Some(line) = server.line(PATIENCE) {
            let Some(origin) = line.strip_prefix("Listening on ") else {
                server.note(&line);
                said.push(line);
                continue;
            };
            let of_origin = || origin.trim().rsplit(':').next()?.parse().ok();
            server.port = port.or_else(of_origin).unwrap_or_else(|| panic!("no port: {origin}"));
            // The link, if there is one, is said with it; a server that answers has said all it has to say.
            if origin.starts_with("http://") {
                server.hear(&mut said);
            }
            return server;
        }
        panic!("the server does not listen: {said:#?} {:?}", server.child.try_wait());
    }

    /// Waits until it has written a line with this in it, and gives that.
    pub fn says(&self, text: &str) -> String {
        let began = Instant::now();
        let mut said = Vec::new();
        while began.elapsed() < PATIENCE {
            match self.line(Duration::from_millis(100)) {
                Some(line) if line.contains(text) => return line,
                Some(line) => said.push(line),
                None => {}
            }
        }
        panic!("the server did not say {text:?}: {said:#?}");
    }

    /// Sends it a signal, by name.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn hear(&mut self, said: &mut Vec<String>) {
        let began = Instant::now();
        while self.get("/readyz").status != 200 {
            assert!(began.elapsed() < PATIENCE, "the server is not ready: {said:#?}");
            thread::sleep(Duration::from_millis(20));
        }
        while let Some(line) = self.line(Duration::from_millis(20)) {
            self.note(&line);
            said.push(line);
        }
    }

    fn note(&mut self, line: &str) {
        if let Some((_, secret)) =
            line.strip_prefix("First sign-in: ").and_then(|url| url.trim().split_once("/join/"))
        {
            self.first = Some(secret.to_owned());
        }
    }

    /// Where it is, as a browser names it.
    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    fn line(&self, within: Duration) -> Option<String> {
        self.lines.lock().unwrap().recv_timeout(within).ok()
    }

    /// Asks it to end, and gives what came of it.
    pub fn stop(mut self) -> ExitStatus {
        self.ask_to_end();
        self.child.wait().unwrap()
    }

    fn ask_to_end(&self) {
        let kill = format!("kill {}", self.child.id());
        let _ = Command::new("sh").args(["-c", &kill]).status();
    }

    /// SIGKILL: nothing of it is asked.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn send(&self, request: &Request) -> io::Result<Reply> {
        request.send(self.port)
    }

    pub fn ask(&self, request: &Request) -> Reply {
        self.send(request).unwrap_or_else(|error| panic!("{error}: {request:?}"))
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask(&Request::new("GET", path))
    }

    /// The API, with this token: the answer must have this status.
    pub fn api(&self, status: u16, token: &str, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut request = Request::new(method, path).bearer(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = self.ask(&request);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        if reply.body.is_empty() { Value::Null } else { reply.json() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same program, which dies with the thread that starts it: nothing is left behind by a test that is killed.
pub fn bound_to_us(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    bound
}

/// The lines of a pipe, read to its end, so that whoever writes is never held up.
fn lines(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(io::Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

/// One request, as it goes out: no header is added but `Host`, `Connection` and the length, and those only where they are not given.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Request {
        Request { method: method.into(), path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// With one header more.
    pub fn and(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With this header as the only one of its name.
    pub fn with(self, name: &str, value: &str) -> Request {
        self.without(name).and(name, value)
    }

    pub fn without(mut self, name: &str) -> Request {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    pub fn bearer(self, token: &str) -> Request {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    pub fn json(mut self, body: &Value) -> Request {
        self.body = body.to_string().into_bytes();
        self.with("Content-Type", "application/json")
    }

    /// The fields of a form, as a browser writes them.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Request {
        let fields = fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        self.body = fields.collect::<Vec<_>>().join("&").into_bytes();
        self.with("Content-Type", "application/x-www-form-urlencoded")
    }

    pub fn send(&self, port: u16) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        // A server may refuse before it has read everything, and then say so: what it said counts.
        let wrote = stream.write_all(&self.bytes(port));
        let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let read = stream.read(&mut piece);
            let length = *read.as_ref().unwrap_or(&0);
            bytes.extend(&piece[..length]);
            // Not every server closes the connection when it is asked to.
            if let Some(reply) = Reply::parse(&bytes, self.method == "HEAD", length == 0) {
                return Ok(reply);
            }
            if length == 0 {
                return Err(wrote.and(read.map(drop)).err().unwrap_or(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn bytes(&self, port: u16) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let mut line = |name: &str, value: &str| head.push_str(&format!("{name}: {value}\r\n"));
        let has = |name: &str| self.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if !has("host") {
            line("Host", &format!("127.0.0.1:{port}"));
        }
        line("Connection", "close");
        for (name, value) in &self.headers {
            line(name, value);
        }
        if !has("content-length")
            && !has("transfer-encoding")
            && (!self.body.is_empty() || self.method == "POST")
        {
            line("Content-Length", &self.body.len().to_string());
        }
        let mut bytes = format!("{head}\r\n").into_bytes();
        bytes.extend(&self.body);
        bytes
    }
}

/// Percent-encoded, all but letters and digits.
pub fn encoded(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    bytes.collect()
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The reply these bytes are, once all of it is there; `over` where nothing follows them.
    fn parse(bytes: &[u8], is_head: bool, over: bool) -> Option<Reply> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, body) = (std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 4..]);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length = reply.header("content-length").map(|length| length.parse::<usize>());
        reply.body = match length {
            _ if is_head || status == 204 || status == 304 => Vec::new(),
            _ if reply.header("transfer-encoding").is_some() => unchunked(body)?,
            Some(length) => body.get(..length.ok()?)?.to_vec(),
            None if over => body.to_vec(),
            None => return None,
        };
        Some(reply)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The value of a cookie it sets.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.iter().filter(|(header, _)| header == "set-cookie");
        let mut pairs = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
        pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
    }
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let length =
            usize::from_str_radix(std::str::from_utf8(&rest[..end]).ok()?.split(';').next()?, 16).ok()?;
        rest = &rest[end + 2..];
        if length == 0 {
            return Some(body);
        }
        body.extend(rest.get(..length)?);
        rest = rest.get(length + 2..)?;
    }
}

/// The forms of a page, by where they go: their hidden fields, and the rest.
pub fn forms(page: &str) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find("<form") {
        let end = rest[at..].find("</form>").map_or(rest.len(), |end| at + end);
        let form = &rest[at..end];
        let action = attribute(&form[..form.find('>').unwrap_or(form.len())], "action").unwrap_or_default();
        let mut fields = Vec::new();
        for piece in
            form.split('<').filter(|piece| piece.starts_with("input ") || piece.starts_with("button "))
        {
            let tag = &piece[..piece.find('>').unwrap_or(piece.len())];
            if let Some(name) = attribute(tag, "name") {
                fields.push((name, attribute(tag, "value").unwrap_or_default()));
            }
        }
        forms.push(Form { action, fields });
        rest = &rest[end..];
    }
    forms
}

/// A form as it stands on a page.
#[derive(Clone, Debug)]
pub struct Form {
    pub action: String,
    pub fields: Vec<(String, String)>,
}

impl Form {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The value of an attribute in a tag the server wrote, which quotes all of them.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(value.to_owned(), |value, (entity, is)| value.replace(entity, is)))
}

// ---- People ---------------------------------------------------------------------------------------------------------------

/// The password of everybody here.
pub const PASSWORD: &str = "correct horse battery staple";

/// A host on the data folder of a server, opened beside it: what is there before anybody asks, and what has come of it.
pub struct Beside {
    pub host: Host,
    runtime: Runtime,
}

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct Who {
    pub tenant: String,
    pub name: String,
    /// What their browser shows.
    pub session: String,
    /// What their programs show.
    pub token: String,
}

impl Who {
    pub fn owner(&self) -> Owner<'_> {
        Owner { tenant: &self.tenant, user: &self.name }
    }

    pub fn cookie(&self) -> String {
        format!("countersign={}", self.session)
    }
}

impl Beside {
    pub fn open(cli: &Cli) -> Beside {
        Beside::open_at(cli, Clock::system())
    }

    /// As of this time, which is no later than that of whoever opens it next.
    pub fn open_at(cli: &Cli, clock: Clock) -> Beside {
        let data = cli.data();
        let file = data.join("config.toml");
        let config = if file.exists() { Config::load(&file).unwrap() } else { Config::default() };
        let host = Host::open(Options {
            data,
            config,
            clock: Arc::new(clock),
            cache: Some(workspace().join("target/test-cache/countersign")),
            limits: Limits::default(),
            in_memory: false,
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Beside { host: host.unwrap(), runtime }
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Somebody with these roles, signed in and with a token for all of them.
    pub fn person(&self, tenant: &str, name: &str, roles: &[Role]) -> Who {
        let roles: BTreeSet<_> = roles.iter().copied().collect();
        self.wait(async {
            let invited = self.host.invite(tenant, name, Some(roles), "test").await.unwrap();
            let signed = self.host.join(None, invited.secret.text(), PASSWORD).await.unwrap();
            let roles = Some(signed.person.roles.clone());
            let made = self.host.make_token(&signed.person, "test", roles, 1).await.unwrap();
            Who {
                tenant: tenant.into(),
                name: name.into(),
                session: signed.secret.text().to_owned(),
                token: made.token.text(),
            }
        })
    }

    /// Another browser of theirs.
    pub fn sign_in(&self, who: &Who) -> String {
        let signed = self.wait(self.host.sign_in(None, &who.tenant, &who.name, PASSWORD)).unwrap();
        signed.secret.text().to_owned()
    }

    /// Installs an agent for a tenant; `for_whom` may use all it declares.
    pub fn install(&self, by: &Who, component: Vec<u8>, for_whom: &[&Who]) -> String {
        self.wait(async {
            let (row, _) = self
                .host
                .install(by.owner(), component, Install::default(), &format!("{}/browser", by.name))
                .await
                .unwrap();
            let manifest = row.installed.manifest;
            for who in for_whom {
                self.host.grant(who.owner(), &manifest.id, &manifest.capabilities, &who.name).await.unwrap();
            }
            manifest.id
        })
    }

    /// Runs an intent until it waits or ends.
    pub fn run(&self, who: &Who, agent: &str, action: &str, parameters: &Value) -> View {
        let parameters = parameters.as_object().unwrap().clone();
        self.wait(self.host.submit(who.owner(), agent, action, parameters, None)).unwrap()
    }

    /// A message of this subject, asked about and not yet decided: the id of the approval and its digest.
    pub fn asked(&self, who: &Who, agent: &str, subject: &str) -> (String, String) {
        let view = self.run(who, agent, "script", &letter(subject));
        let stored = view.pending().unwrap_or_else(|| panic!("nothing is asked: {view:#?}"));
        (stored.approval.id.clone(), stored.approval.digest.to_string())
    }
}

/// The parameters of the scripted agent that asks for one message and sends it.
pub fn letter(subject: &str) -> Value {
    let message =
        json!({ "to": ["team@example.com"], "subject": subject, "body": "The numbers are in.\n\nYours\n" });
    let ask = json!({
        "action": "send_message", "title": "Send the report", "description": "To the team, as every week.", "details": message
    });
    json!({ "steps": [{ "call": "approval.request", "with": ask }, { "call": "messages.send", "with": message }] })
}

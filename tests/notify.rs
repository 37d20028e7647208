//! Telling people that something waits: what is said, to whom, and that nothing but a warning comes of it when nobody listens.

use countersign::config::Notify;
use countersign::notify::{Notice, notify};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::{self, pki_types};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

const NOTICE: Notice = Notice {
    event: "approval.pending",
    approval: "appr_1",
    intent: "int_1",
    agent: "com.example.agent.hello",
    expires_ms: Some(86_400_000),
};

/// Longer than anything here takes. A test that waits this long fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn expected() -> Value {
    json!({
        "event": "approval.pending",
        "approval": "appr_1",
        "intent": "int_1",
        "agent": "com.example.agent.hello",
        "expires": "1970-01-02T00:00:00.000Z",
        "link": "https://inbox.example.com/approvals/appr_1",
    })
}

fn config() -> Notify {
    Notify {
        command: None,
        webhook: None,
        link: Some("https://inbox.example.com/approvals/{approval}".to_owned()),
        timeout: PATIENCE,
    }
}

fn by_webhook(url: impl Into<String>) -> Notify {
    Notify { webhook: Some(url.into()), ..config() }
}

fn by_command(words: &[&str]) -> Notify {
    Notify { command: Some(words.iter().map(|word| (*word).to_owned()).collect()), ..config() }
}

/// What is written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Notifies, and gives the warnings. That it comes back at all is part of every test.
async fn tell(config: &Notify, notice: &Notice<'_>) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).with_ansi(false);
    let guard = subscriber.with_writer(move || writer.clone()).finish().set_default();
    tokio::time::timeout(PATIENCE * 2, notify(config, notice)).await.expect("it keeps its own time");
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Notifies, and gives the one warning there must be.
async fn warning(config: &Notify) -> String {
    let warnings = tell(config, &NOTICE).await;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let warning = warnings.into_iter().next().unwrap();
    assert!(warning.contains("blame=\"operator\""), "{warning}");
    assert!(warning.contains("approval.pending of appr_1"), "{warning}");
    warning
}

/// What a server does once it has read a request.
#[derive(Clone)]
enum Then {
    Answer(String),
    /// Answers with this head, and a body that never ends.
    Flood(&'static str),
    Close,
    Hang,
}

/// A server on this machine, which keeps the requests it gets.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(then: Then) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, requests) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<String>>>::default());
        let kept = requests.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (kept, then) = (kept.clone(), then.clone());
                tokio::spawn(async move {
                    let request = request(&mut stream).await;
                    kept.lock().unwrap().push(request);
                    match then {
                        Then::Answer(answer) => {
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                        Then::Flood(head) => {
                            let _ = stream.write_all(head.as_bytes()).await;
                            while stream.write_all(&[b'a'; 8192]).await.is_ok() {}
                        }
                        Then::Close => {}
                        Then::Hang => std::future::pending().await,
                    }
                });
            }
        });
        Server { port, requests }
    }

    async fn answering(status: &str) -> Server {
        Server::start(Then::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))).await
    }

    fn url(&self, rest: &str) -> String {
        format!("http://127.0.0.1:{}{rest}", self.port)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Reads one request: its head, and as much as that says will follow.
async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return text;
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return text;
        }
    }
}

#[tokio::test]
async fn a_webhook_gets_exactly_this() {
    for status in ["200 OK", "202 Accepted", "204 No Content"] {
        let server = Server::answering(status).await;
        assert_eq!(tell(&by_webhook(server.url("/hook?room=7")), &NOTICE).await, [""; 0], "{status}");
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "told once");
        let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("POST /hook?room=7 HTTP/1.1"));
        let mut headers: Vec<_> = lines.map(|line| line.split(": ").next().unwrap()).collect();
        headers.sort_unstable();
        assert_eq!(headers, ["accept", "content-length", "content-type", "host"]);
        assert!(head.contains("content-type: application/json"));
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected());
    }
}

#[tokio::test]
async fn what_does_not_expire_and_has_no_link_says_neither() {
    let server = Server::answering("200 OK").await;
    let config = Notify { link: None, ..by_webhook(server.url("/")) };
    let notice = Notice { event: "outbox.uncertain", expires_ms: None, ..NOTICE };
    assert_eq!(tell(&config, &notice).await, [""; 0]);
    let body: Value = serde_json::from_str(server.requests()[0].split_once("\r\n\r\n").unwrap().1).unwrap();
    let agent = "com.example.agent.hello";
    assert_eq!(
        body,
        json!({ "event": "outbox.uncertain", "approval": "appr_1", "intent": "int_1", "agent": agent })
    );
}

#[tokio::test]
async fn nobody_is_told_where_nothing_is_set() {
    assert_eq!(tell(&config(), &NOTICE).await, [""; 0]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::answering("200 OK").await;
    for status in ["301", "302", "303", "307", "308"] {
        let location = target.url("/elsewhere");
        let answer = format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::start(Then::Answer(answer)).await;
        let warning = warning(&by_webhook(server.url("/"))).await;
        assert!(warning.contains(&format!("127.0.0.1 answered {status}")), "{warning}");
        assert_eq!(server.requests().len(), 1);
    }
    assert_eq!(target.requests(), [""; 0]);
}

#[tokio::test]
async fn whatever_a_server_does_is_one_warning_without_its_words_or_our_secrets() {
    let refusal = "HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nits words";
    let cases = [
        (Then::Answer(refusal.to_owned()), "answered 500"),
        (Then::Answer("HTTP/1.1 404 its words\r\nContent-Length: 0\r\n\r\n".to_owned()), "answered 404"),
        (Then::Answer("\u{1b}[31mits words\r\n\r\n".to_owned()), "127.0.0.1"),
        (Then::Flood("HTTP/1.1 200 OK\r\nits words: "), "127.0.0.1"),
        (Then::Close, "127.0.0.1"),
    ];
    for (then, expected) in cases {
        let server = Server::start(then).await;
        let url = format!("http://ada:hunter2@127.0.0.1:{}/hunter2?token=hunter2#hunter2", server.port);
        let warning = warning(&by_webhook(url)).await;
        assert!(warning.contains(expected), "{warning}");
        for secret in ["hunter2", "its words", "\u{1b}", "ada"] {
            assert!(!warning.contains(secret), "{secret}: {warning}");
        }
    }
}

#[tokio::test]
async fn the_body_of_an_answer_is_never_read() {
    let server = Server::start(Then::Flood("HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n")).await;
    assert_eq!(tell(&by_webhook(server.url("/")), &NOTICE).await, [""; 0]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_at_the_timeout() {
    let server = Server::start(Then::Hang).await;
    let config = Notify { timeout: Duration::from_millis(50), ..by_webhook(server.url("/")) };
    assert!(warning(&config).await.contains("it took longer than 50ms"));
}

#[tokio::test]
async fn nobody_listening_is_a_warning() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert!(warning(&by_webhook(format!("http://127.0.0.1:{port}/"))).await.contains("127.0.0.1"));
}

#[tokio::test]
async fn nothing_goes_unprotected_to_another_machine() {
    // An address for documentation, which nobody has: that nothing is sent there shows in the words of the warning.
    let warning = warning(&by_webhook("http://192.0.2.1/")).await;
    assert!(warning.contains("http is for this machine alone"), "{warning}");
}

#[tokio::test]
async fn a_certificate_the_system_does_not_trust_is_a_warning_and_nothing_is_said() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = pki_types::PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tls.with_no_client_auth().with_single_cert(vec![issued.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        match acceptor.accept(stream).await {
            Ok(mut stream) => request(&mut stream).await,
            Err(_) => "no handshake".to_owned(),
        }
    });
    let warning = warning(&by_webhook(format!("https://localhost:{port}/"))).await;
    assert!(warning.contains("localhost") && warning.contains("certificate"), "{warning}");
    assert_eq!(server.await.unwrap(), "no handshake");
}

/// Writes its arguments, one a line, and its input into the folder that is its first argument.
const RECORD: &str = r#"cd "$0" && printf '%s\n' "$@" > arguments && cat > input"#;

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[tokio::test]
async fn a_program_gets_ids_in_its_arguments_and_the_rest_on_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let command = [
        "/bin/sh",
        "-c",
        RECORD,
        place,
        "{approval} waits",
        "--about={agent}",
        "{intent}{intent}",
        "$(touch pwned); `touch pwned`",
        "{digest} {approval {}",
        "",
    ];
    assert_eq!(tell(&by_command(&command), &NOTICE).await, [""; 0]);
    assert_eq!(
        read(folder.path(), "arguments"),
        "appr_1 waits\n--about=com.example.agent.hello\nint_1int_1\n$(touch pwned); `touch pwned`\n{digest} {approval {}\n\n"
    );
    assert_eq!(serde_json::from_str::<Value>(&read(folder.path(), "input")).unwrap(), expected());
    assert!(!folder.path().join("pwned").exists());
}

#[tokio::test]
async fn what_is_filled_in_is_not_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let command =
        by_command(&["/bin/sh", "-c", RECORD, folder.path().to_str().unwrap(), "{approval}{intent}"]);
    let notice = Notice { approval: "{intent}{agent}", intent: "{agent}", ..NOTICE };
    assert_eq!(tell(&command, &notice).await, [""; 0]);
    assert_eq!(read(folder.path(), "arguments"), "{intent}{agent}{agent}\n");
}

#[tokio::test]
async fn an_agents_id_never_becomes_an_option() {
    let folder = tempfile::tempdir().unwrap();
    let command = by_command(&["/bin/sh", "-c", RECORD, folder.path().to_str().unwrap(), "{agent}"]);
    let warnings = tell(&command, &Notice { agent: "--config.example", ..NOTICE }).await;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains("the agent's id would be read as an option"), "{warnings:?}");
    assert!(!folder.path().join("arguments").exists());
}

#[tokio::test]
async fn a_notification_holds_nothing_of_the_message() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering("200 OK").await;
    let command = by_command(&["/bin/sh", "-c", RECORD, folder.path().to_str().unwrap()]);
    let config = Notify { webhook: Some(server.url("/")), ..command };
    assert_eq!(tell(&config, &NOTICE).await, [""; 0]);
    let posted = server.requests()[0].split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(posted, read(folder.path(), "input"), "both are told the same");
    let posted: Value = serde_json::from_str(&posted).unwrap();
    let keys: Vec<_> = posted.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["event", "approval", "intent", "agent", "expires", "link"]);
}

#[tokio::test]
async fn a_program_that_fails_is_missing_or_does_not_listen_is_told_apart() {
    assert!(warning(&by_command(&["/nowhere/at/all"])).await.contains("cannot start /nowhere/at/all"));
    assert!(warning(&by_command(&["/bin/sh", "-c", "exit 7"])).await.contains("exit status: 7"));
    let loud = warning(&by_command(&["/bin/sh", "-c", "echo its words; echo its words >&2; exit 7"])).await;
    assert!(!loud.contains("its words"), "{loud}");
    // More than a pipe holds, to a program that reads nothing of it.
    let link = format!("https://inbox.example.com/{{approval}}?{}", "a".repeat(1_000_000));
    let deaf = Notify { link: Some(link), ..by_command(&["/bin/sh", "-c", "exit 0"]) };
    assert_eq!(tell(&deaf, &NOTICE).await, [""; 0]);
}

/// Whether a process runs that has this among its arguments.
fn runs(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_it = |line: Vec<u8>| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes());
    processes.flat_map(|process| std::fs::read(process.path().join("cmdline"))).any(is_it)
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed() {
    // `sleep` adds up its arguments: the second makes this one known among all others.
    let mark = format!("0.{}", std::process::id());
    let command = by_command(&["/bin/sleep", "86400", &mark]);
    let config = Notify { timeout: Duration::from_millis(50), ..command };
    assert!(warning(&config).await.contains("it took longer than 50ms"));
    let gone = async {
        while runs(&mark) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it was killed");
}

#[tokio::test]
async fn program_and_webhook_are_told_at_once() {
    // Each waits for the other: one after the other would end at the timeout.
    let folder = tempfile::tempdir().unwrap();
    let (asked, ran) = (folder.path().join("asked"), folder.path().join("ran"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        request(&mut stream).await;
        std::fs::write(asked, "").unwrap();
        while !ran.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    });
    let script = r#"cd "$0"; until [ -e asked ]; do sleep 0.01; done; touch ran"#;
    let command = by_command(&["/bin/sh", "-c", script, folder.path().to_str().unwrap()]);
    let config = Notify { webhook: Some(format!("http://127.0.0.1:{port}/")), ..command };
    assert_eq!(tell(&config, &NOTICE).await, [""; 0]);
}

#[tokio::test]
async fn a_program_does_not_see_our_own_variables_and_no_variable_reroutes_a_webhook() {
    // The environment belongs to a whole process, so this test is one of its own.
    let name = "notify::a_program_does_not_see_our_own_variables_and_no_variable_reroutes_a_webhook";
    if std::env::var_os("COUNTERSIGN_TEST_SECRET").is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name]).env("COUNTERSIGN_TEST_SECRET", "hunter2").env("ORDINARY", "ordinary");
        // Nobody listens there.
        for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            again.env(variable, "http://127.0.0.1:1");
        }
        let ended = again.env_remove("no_proxy").env_remove("NO_PROXY").output().unwrap();
        let output = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && output.contains("1 passed"), "{output}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::answering("200 OK").await;
    let command = by_command(&["/bin/sh", "-c", r#"env > "$0/env""#, folder.path().to_str().unwrap()]);
    let config = Notify { webhook: Some(server.url("/")), ..command };
    assert_eq!(tell(&config, &NOTICE).await, [""; 0]);
    let environment = read(folder.path(), "env");
    assert!(environment.lines().any(|line| line == "ORDINARY=ordinary"), "{environment}");
    assert!(!environment.contains("COUNTERSIGN_"), "{environment}");
    assert_eq!(server.requests().len(), 1);
}

//! The command line at a server: what is no answer, what is asked twice, where a token goes, and that everything a server says is
//! foreign.

use crate::support::server::{Beside, Server, Who};
use crate::support::{Cli, Ended, guest};
use countersign::host::principal;
use countersign::people::{Role, TENANT};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What stands for a token. No fake looks at it.
const TOKEN: &str = "cs_tok_of-a-test";

/// What a fake does once it has read a request.
#[derive(Clone)]
enum Then {
    /// Writes this and closes.
    Says(Vec<u8>),
    /// Writes this head, and a body that never ends.
    Floods(&'static str),
    HangsUp,
}

/// A success with this document.
fn says(document: &Value) -> Then {
    answer("200 OK", "application/json", &document.to_string())
}

/// A refusal as our server writes it.
fn refuses(status: &str, code: &str) -> Then {
    let document = json!({
        "type": format!("/docs/refusals/{code}"), "title": "no", "status": 400, "detail": "it was refused",
        "instance": "urn:countersign:req_1", "code": code, "hint": "`countersign agent list` shows others"
    });
    answer(status, "application/problem+json", &document.to_string())
}

fn answer(status: &str, kind: &str, body: &str) -> Then {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    Then::Says(format!("{head}Connection: close\r\n\r\n{body}").into_bytes())
}

/// A server that follows a script, and keeps the requests it gets. The last step of the script is repeated.
struct Fake {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(script: impl Into<Vec<Then>>) -> Fake {
        let (script, listener) = (script.into(), TcpListener::bind("127.0.0.1:0").unwrap());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let kept = requests.clone();
        // It ends with the test program.
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let request = request(&stream);
                kept.lock().unwrap().push(request);
                // Whoever has heard enough hangs up.
                let _ = match &script[number.min(script.len() - 1)] {
                    Then::Says(bytes) => stream.write_all(bytes),
                    Then::Floods(head) => flood(&mut stream, head),
                    Then::HangsUp => Ok(()),
                };
            }
        });
        Fake { url, requests }
    }

    /// The requests so far that begin like this.
    fn asked(&self, begin: &str) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.starts_with(begin)).cloned().collect()
    }
}

fn flood(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    write!(stream, "{head}\r\n\r\n")?;
    let line = [b'x'; 65536];
    loop {
        stream.write_all(&line)?;
    }
}

/// Reads one request, head and body.
fn request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() == 0 {
            return request;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request + &String::from_utf8_lossy(&body)
}

fn header(request: &str, name: &str) -> Option<String> {
    let lines =
        request.lines().map_while(|line| line.split_once(": ").or((!line.is_empty()).then_some(("", ""))));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
}

/// A command line at a server.
fn at(cli: &Cli, server: &str, arguments: &[&str]) -> Ended {
    let mut command = cli.command(&[&["--server", server], arguments].concat());
    ended(command.env("COUNTERSIGN_TOKEN", TOKEN))
}

fn ended(command: &mut std::process::Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Exit code, code and message of a command line that failed.
fn failure(ended: &Ended) -> (i32, String, String) {
    let error = &ended.json()["error"];
    (ended.code, error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
}

fn done() -> Value {
    json!({ "intent": "int_1", "status": "done", "failed": null, "card": null, "approval": null, "reason": null, "auditHead": null })
}

fn agent() -> Value {
    json!({
        "id": "com.example.agent.a", "name": "A", "version": "1.0.0", "description": "d", "digest": "00", "bytes": 1,
        "capabilities": ["messages.send"], "granted": [], "actions": ["go"], "installed": "1970-01-01T00:00:00Z",
        "installedBy": "ada", "manifest": { "intents": [] }, "warnings": []
    })
}

#[test]
fn what_is_no_answer_of_a_server_of_ours_is_told_as_none() {
    let elsewhere = Fake::start([says(&json!({ "agents": [] }))]);
    let moved =
        format!("HTTP/1.1 302 Found\r\nLocation: {}/v1/agents\r\nContent-Length: 0\r\n\r\n", elsewhere.url);
    let short = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{\"agents\":";
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json";
    let problem = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json";
    let deep = format!("{{\"agents\":{}", "[".repeat(100_000));
    let table = [
        (Then::HangsUp, "no answer"),
        (Then::Says(b"220 mail.example.com ESMTP\r\n".to_vec()), "no answer"),
        (answer("200 OK", "text/html", "<h1>Sign in</h1>"), "text/html"),
        (Then::Says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec()), "nothing"),
        (answer("200 OK", "application/problem+json", "{}"), "application/problem+json"),
        (says(&json!({ "intents": [] })), "cannot be read"),
        (says(&json!({ "agents": [{ "id": 1 }] })), "cannot be read"),
        (answer("200 OK", "application/json", ""), "cannot be read"),
        (answer("200 OK", "application/json", &deep), "cannot be read"),
        (Then::Says(short.into()), "broke off"),
        (Then::Floods(json), "longer than 134217728 bytes"),
        (Then::Floods(problem), "longer than 65536 bytes"),
        (Then::Says(moved.into_bytes()), "where a token does not follow"),
        (answer("502 Bad Gateway", "text/plain", "upstream"), "502 Bad Gateway"),
        (answer("401 Unauthorized", "text/plain", ""), "401 Unauthorized"),
        (refuses("403 Forbidden", "NO_CODE_OF_OURS"), "403 Forbidden"),
        (answer("403 Forbidden", "application/problem+json", "{}"), "403 Forbidden"),
    ];
    let cli = Cli::new();
    for (then, word) in table {
        let fake = Fake::start([then]);
        let ended = at(&cli, &fake.url, &["--json", "agent", "list"]);
        let (exit, code, message) = failure(&ended);
        assert_eq!((exit, code.as_str()), (6, "SERVER_UNREACHABLE"), "{word}: {message}");
        assert!(message.contains(word) && message.contains(&fake.url), "{word}: {message}");
        let drawn = at(&cli, &fake.url, &["agent", "list"]);
        assert_eq!((drawn.code, drawn.stdout.as_str()), (6, ""), "{word}");
        assert!(drawn.stderr.contains("[SERVER_UNREACHABLE]"), "{word}: {drawn:?}");
    }
    assert!(elsewhere.asked("").is_empty(), "a redirect was followed");
    // Nobody there at all. The port was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = at(&cli, &format!("http://127.0.0.1:{port}"), &["--json", "agent", "list"]);
    assert_eq!(failure(&nobody).1, "SERVER_UNREACHABLE");
}

#[test]
fn a_record_that_breaks_off_is_not_taken_for_a_whole_one() {
    let entry = json!({ "seq": 1, "at": "1970-01-01T00:00:00Z", "kind": "policy", "body": {}, "previous": "0", "hash": "1" });
    let table = [
        (format!("{entry}\n{}", &entry.to_string()[..40]), "ends in the middle of a line"),
        (format!("{entry}\n{{}}\n"), "has a line that cannot be read"),
        (format!("{entry}\n{}", "x".repeat(2_000_000)), "has a line of more than 1048576 bytes"),
    ];
    let cli = Cli::new();
    for (record, word) in table {
        let fake = Fake::start([answer("200 OK", "application/x-ndjson", &record)]);
        let ended = at(&cli, &fake.url, &["audit", "export"]);
        assert_eq!(ended.code, 6, "{word}");
        assert!(
            ended.stderr.contains(word) && ended.stderr.contains("[SERVER_UNREACHABLE]"),
            "{word}: {ended:?}"
        );
        assert_eq!(ended.stdout.lines().count(), 1, "what was whole is printed");
    }
    let fake = Fake::start([answer("200 OK", "application/x-ndjson", &format!("{entry}\n"))]);
    assert_eq!(at(&cli, &fake.url, &["audit", "export"]).code, 0);
}

#[test]
fn a_refusal_at_a_server_is_the_refusal_it_is_on_a_folder() {
    let cli = Cli::new();
    for (code, exit) in [("FORBIDDEN", 6), ("UNKNOWN_ID", 6), ("USAGE", 2), ("HOST_FAULT", 1)] {
        let fake = Fake::start([refuses("403 Forbidden", code)]);
        let ended = at(&cli, &fake.url, &["--json", "agent", "show", "x"]);
        assert_eq!(failure(&ended), (exit, code.to_owned(), "it was refused".to_owned()));
        // What the server would do next can be run as it stands: at the server.
        let hint = format!("`countersign --server {} agent list` shows others", fake.url);
        assert_eq!(ended.json()["error"]["hint"], hint);
    }
}

#[test]
fn a_submission_whose_answer_is_lost_is_asked_once_more_under_its_key() {
    let cli = Cli::new();
    let fake = Fake::start([says(&agent()), Then::HangsUp, says(&done())]);
    let ended = at(&cli, &fake.url, &["--json", "run", "com.example.agent.a", "go"]);
    assert_eq!((ended.code, &ended.json()), (0, &done()));
    let fake_again = Fake::start([says(&agent()), Then::HangsUp]);
    let ended = at(&cli, &fake_again.url, &["--json", "run", "com.example.agent.a", "go"]);
    assert_eq!(failure(&ended).1, "SERVER_UNREACHABLE");
    let keys = [fake, fake_again].map(|fake| {
        let posts = fake.asked("POST /v1/intents?wait=");
        let keys: Vec<_> = posts.iter().map(|post| header(post, "idempotency-key").unwrap()).collect();
        assert_eq!(keys.len(), 2, "{posts:?}");
        assert_eq!(keys[0], keys[1]);
        keys[0].clone()
    });
    assert_ne!(keys[0], keys[1], "another order, another key");
}

#[test]
fn what_may_have_been_done_without_a_key_is_not_asked_again() {
    let cli = Cli::new();
    let digest = "0".repeat(64);
    let table: &[(&[&str], &str)] = &[
        (&["approval", "approve", "appr_1", "--digest", &digest], "POST /v1/approvals/appr_1/decision"),
        (
            &["approval", "edit", "appr_1", "--subject", "s", "--digest", &digest],
            "POST /v1/approvals/appr_1/edit",
        ),
        (&["approval", "revoke", "appr_1"], "POST /v1/approvals/appr_1/revoke"),
        (&["intent", "cancel", "int_1"], "POST /v1/intents/int_1/cancel"),
        (&["outbox", "resolve", "appr_1", "--resend"], "POST /v1/outbox/appr_1/resolve"),
        (&["agent", "remove", "a"], "DELETE /v1/agents/a"),
        (&["agent", "revoke", "a", "messages.send"], "DELETE /v1/agents/a/grants?capability=messages.send"),
    ];
    for (arguments, begin) in table {
        let fake = Fake::start([Then::HangsUp]);
        let ended = at(&cli, &fake.url, arguments);
        assert_eq!(ended.code, 6, "{ended:?}");
        assert_eq!((fake.asked(begin).len(), fake.asked("").len()), (1, 1), "{begin}: {:?}", fake.asked(""));
    }
}

#[test]
fn a_run_is_followed_until_it_waits_or_has_ended() {
    let mut running = done();
    running["status"] = "running".into();
    let shown = |status: &str| {
        says(&json!({
            "id": "int_1", "agent": "a", "agentDigest": "0", "action": "go", "parameters": {}, "text": null,
            "status": status, "live": true, "submitted": "t", "updated": "t", "retryOf": null, "timeline": [],
            "approvals": [], "card": null, "reason": null, "log": ""
        }))
    };
    let script = [says(&agent()), says(&running), shown("running"), shown("running"), shown("done")];
    let (cli, fake) = (Cli::new(), Fake::start(script));
    let ended = at(&cli, &fake.url, &["--json", "run", "com.example.agent.a", "go"]);
    assert_eq!((ended.code, &ended.json()), (0, &done()));
    assert_eq!(fake.asked("GET /v1/intents/int_1?wait=").len(), 3);
}

#[test]
fn a_long_list_is_gathered_page_by_page_and_ends() {
    let row = |number: usize| {
        json!({
            "id": format!("int_{number}"), "agent": "a", "action": "go", "status": "done", "submitted": "t",
            "updated": "t", "reason": null
        })
    };
    let page = |rows: std::ops::Range<usize>, next: Option<&str>| {
        says(&json!({ "intents": rows.map(row).collect::<Vec<_>>(), "next": next }))
    };
    let cli = Cli::new();
    let fake = Fake::start([page(0..100, Some("int_99")), page(100..130, None)]);
    let list = at(&cli, &fake.url, &["--json", "intent", "list"]).json();
    assert_eq!((list["intents"].as_array().unwrap().len(), &list["next"]), (130, &Value::Null));
    assert_eq!(fake.asked("GET /v1/intents?limit=100&before=int_99 ").len(), 1, "{:?}", fake.asked(""));

    let endless = Fake::start([page(0..100, Some("int_99"))]);
    let ended = at(&cli, &endless.url, &["--json", "intent", "list"]);
    assert_eq!(ended.json()["intents"].as_array().unwrap().len(), 1000);
    assert!(ended.stderr.contains("There are more: --before int_99"), "{ended:?}");
    assert_eq!(endless.asked("").len(), 10);

    let part = Fake::start([page(0..2, Some("int_1"))]);
    let list = at(&cli, &part.url, &["--json", "intent", "list", "--limit", "2", "--before", "int_9"]).json();
    assert_eq!((list["intents"].as_array().unwrap().len(), &list["next"]), (2, &json!("int_1")));
    assert_eq!(part.asked("GET /v1/intents?limit=2&before=int_9 ").len(), 1, "{:?}", part.asked(""));

    let empty = Fake::start([page(0..0, Some("int_0"))]);
    assert!(failure(&at(&cli, &empty.url, &["--json", "intent", "list"])).2.contains("does not end"));
}

#[test]
fn a_token_goes_to_the_server_that_was_named_and_readable_to_nobody() {
    let cli = Cli::new();
    let table = [
        ("http://countersign.example.com", "http is for this machine alone"),
        ("http://192.0.2.1:8340", "http is for this machine alone"),
        ("http://localhost.example.com", "http is for this machine alone"),
        ("http://127.0.0.1.example.com", "http is for this machine alone"),
        ("ftp://127.0.0.1", "no URL of a server"),
        ("countersign.example.com", "no URL"),
        ("", "no URL"),
        ("https://ada:secret@example.com", "has no path and no name"),
        ("https://example.com/inbox", "has no path and no name"),
        ("https://example.com/?x", "has no path and no name"),
    ];
    for (url, word) in table {
        let (exit, code, message) = failure(&at(&cli, url, &["--json", "agent", "list"]));
        assert_eq!((exit, code.as_str()), (2, "USAGE"), "{url}");
        assert!(message.contains(word) && !message.contains("secret"), "{url}: {message}");
    }
    // Whatever the environment says of proxies: they are not asked.
    let (proxy, fake) = (Fake::start([Then::HangsUp]), Fake::start([says(&json!({ "agents": [] }))]));
    let mut command = cli.command(&["--json", "--server", &fake.url, "agent", "list"]);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(variable, &proxy.url);
    }
    assert_eq!(ended(command.env("COUNTERSIGN_TOKEN", TOKEN)).code, 0);
    assert!(proxy.asked("").is_empty());
    let asked = fake.asked("GET /v1/agents ");
    assert_eq!(header(&asked[0], "authorization"), Some(format!("Bearer {TOKEN}")));
}

#[test]
fn a_token_is_taken_from_its_place_and_told_nowhere() {
    let cli = Cli::new();
    let fake = Fake::start([says(&json!({ "agents": [] }))]);
    let list = |file: Option<&str>, variable: Option<&str>| {
        let mut command = cli.command(&["--json", "--server", &fake.url, "agent", "list"]);
        command
            .env_remove("COUNTERSIGN_TOKEN")
            .args(file.map(|file| ["--token-file", file]).into_iter().flatten());
        let ended = ended(command.envs(variable.map(|token| ("COUNTERSIGN_TOKEN", token))));
        assert!(!ended.stdout.contains("cs_") || ended.stdout.contains("`cs_`"), "{ended:?}");
        assert!(!ended.stderr.contains("cs_"), "{ended:?}");
        ended
    };
    let file = |name: &str, text: &str, mode: u32| {
        let path: PathBuf = cli.scratch().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, open) = (file("good", "cs_in_file\n", 0o600), file("open", "cs_in_file\n", 0o644));
    let (two, long) = (file("two", "cs_a\ncs_b\n", 0o600), file("long", &"x".repeat(600), 0o600));
    assert_eq!(list(Some(&good), Some("cs_in_variable")).code, 0);
    assert_eq!(list(None, Some("cs_in_variable")).code, 0);
    let tokens: Vec<_> = fake.asked("").iter().map(|asked| header(asked, "authorization").unwrap()).collect();
    assert_eq!(tokens, ["Bearer cs_in_file", "Bearer cs_in_variable"]);
    let table = [
        (list(Some(&open), None), "others may read it"),
        (list(Some(&two), None), "is no token"),
        (list(Some(&long), None), "is no token"),
        (list(Some("/nowhere"), None), "--token-file /nowhere"),
        (list(None, None), "holds no token"),
        (list(None, Some("")), "holds no token"),
        (list(None, Some("cs_a cs_b")), "is no token"),
        (list(None, Some("cs_a\r\nX-Header: 1")), "is no token"),
    ];
    for (ended, word) in table {
        let (exit, code, message) = failure(&ended);
        assert_eq!((exit, code.as_str()), (2, "USAGE"), "{word}");
        assert!(message.contains(word), "{word}: {message}");
    }
    assert_eq!(fake.asked("").len(), 2, "nothing was asked without a token");
}

#[test]
fn what_is_for_a_folder_is_refused_at_a_server_and_says_what_to_do() {
    let cli = Cli::new();
    let fake = Fake::start([Then::HangsUp]);
    let table: &[(&[&str], &str)] = &[
        (&["demo", "--no"], "leave out --server"),
        (&["new", "x", "--lang", "js"], "leave out --server"),
        (&["test"], "leave out --server"),
        (&["build"], "leave out --server"),
        (&["inspect", "x.wasm"], "leave out --server"),
        (&["replay", "int_1"], "with --data instead of --server"),
        (&["mailbox", "import", "x"], "with --data instead of --server"),
        (&["intent", "purge", "--older-than", "30d"], "with --data instead of --server"),
        (&["agent", "list", "--user", "ada"], "leave out --user"),
        (&["agent", "list", "--user", "local"], "leave out --user"),
        (&["agent", "list", "--tenant", "main"], "leave out --tenant"),
        (&["agent", "list", "--config", "c.toml"], "leave out --config"),
        (&["agent", "list", "--data", "d"], "leave one of them out"),
        (&["approval", "decline", "appr_1", "--no-resume"], "leave out --no-resume"),
    ];
    for (arguments, word) in table {
        let ended = at(&cli, &fake.url, &[&["--json"], *arguments].concat());
        let (exit, code, message) = failure(&ended);
        assert_eq!((exit, code.as_str()), (2, "USAGE"), "{arguments:?}: {message}");
        let hint = ended.json()["error"]["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains(word), "{arguments:?}: {hint}");
    }
    assert!(fake.asked("").is_empty(), "{:?}", fake.asked(""));
    assert_eq!(cli.run(&["agent", "list", "--token-file", "x"]).code, 2, "a token is for a server");
    // What needs no host at all may stand behind a server: hints are printed so.
    assert_eq!(at(&cli, &fake.url, &["explain", "USAGE"]).code, 0);
}

#[test]
fn a_folder_that_is_named_goes_before_a_server_that_is_set() {
    let cli = Cli::new();
    let fake = Fake::start([says(&json!({ "agents": [] }))]);
    let run = |arguments: &[&str]| {
        let mut command = cli.command(arguments);
        ended(command.env("COUNTERSIGN_SERVER", &fake.url).env("COUNTERSIGN_TOKEN", TOKEN))
    };
    let data = cli.data();
    let data = data.to_str().unwrap();
    assert_eq!(run(&["agent", "list", "--data", data]).code, 0);
    assert_eq!(run(&["inspect", guest("send-report").to_str().unwrap()]).code, 0);
    assert!(fake.asked("").is_empty());
    assert_eq!(run(&["agent", "list"]).code, 0);
    assert_eq!(fake.asked("").len(), 1);
    let refused = run(&["--json", "replay", "int_1"]);
    assert!(
        refused.json()["error"]["hint"].as_str().unwrap().contains("COUNTERSIGN_SERVER is set"),
        "{refused:?}"
    );
    assert_eq!(failure(&run(&["--json", "replay", "int_1", "--data", data])).1, "UNKNOWN_ID");
}

/// A document with every string in it replaced by one that forges a line and acts on the terminal, but for what is one of a few words.
fn hostile(document: &Value) -> Value {
    let words = [
        "state",
        "failed",
        "status",
        "binding",
        "bodyKind",
        "kind",
        "capability",
        "capabilities",
        "granted",
        "flag",
        "weight",
        "next",
    ];
    match document {
        Value::Object(fields) => {
            // What leaves names its agent by digest.
            let is_action = fields.contains_key("bodyKind");
            let field = |(name, value): (&String, &Value)| {
                let is_typed = words.contains(&name.as_str()) || is_action && name == "agent";
                let value = if is_typed { value.clone() } else { hostile(value) };
                (name.clone(), value)
            };
            fields.iter().map(field).collect()
        }
        Value::Array(items) => items.iter().map(hostile).collect(),
        // What names bytes is either 64 hexadecimal digits or no answer at all.
        Value::String(text) if text.len() == 64 => document.clone(),
        Value::String(_) => "x\u{1b}[2J\r\nDigest   0000\n\u{202e}`countersign rm`\u{9b}1mé".into(),
        other => other.clone(),
    }
}

#[test]
fn what_a_server_says_is_drawn_like_any_foreign_text() {
    let cli = Cli::new();
    // Documents as they are, from a folder: an approval that waits, one that was used, a message that has left.
    let id = cli.install("send-report", "messages.send");
    let signed = cli.json(3, &["run", &id, "send_report"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (approval, digest) = (text(&signed["approval"]["id"]), text(&signed["approval"]["digest"]));
    cli.json(0, &["approval", "approve", &approval, "--digest", &digest, "--no-resume"]);
    let signed_outbox = cli.json(0, &["outbox", "show", &approval]);
    cli.json(0, &["intent", "resume", &text(&signed["intent"])]);
    let waiting = cli.json(3, &["run", &id, "send_report"]);
    let denied = cli.install("inbox-digest", "");
    let ran = cli.json(5, &["run", &denied, "digest"]);
    let document = |arguments: &[&str]| cli.json(0, arguments);
    let table: Vec<(Vec<&str>, Vec<Value>)> = vec![
        (vec!["agent", "list"], vec![document(&["agent", "list"])]),
        (vec!["agent", "show", "a"], vec![document(&["agent", "show", &id])]),
        (vec!["agent", "grant", "a", "messages.send"], vec![document(&["agent", "show", &id])]),
        (vec!["agent", "remove", "a"], vec![json!({ "removed": "a" })]),
        (vec!["run", "a", "go"], vec![document(&["agent", "show", &id]), waiting.clone()]),
        (
            vec!["intent", "resume", "i"],
            vec![ran.clone(), document(&["intent", "show", &text(&ran["intent"])])],
        ),
        (vec!["intent", "list"], vec![document(&["intent", "list"])]),
        (vec!["intent", "show", "i"], vec![document(&["intent", "show", &text(&signed["intent"])])]),
        (vec!["intent", "show", "i"], vec![document(&["intent", "show", &text(&waiting["intent"])])]),
        (vec!["intent", "cancel", "i"], vec![document(&["intent", "show", &text(&ran["intent"])])]),
        (vec!["approval", "list"], vec![document(&["approval", "list"])]),
        (
            vec!["approval", "show", "i"],
            vec![document(&["approval", "show", &approval]), document(&["outbox", "show", &approval])],
        ),
        (vec!["approval", "revoke", "i"], vec![json!({ "approval": waiting["approval"], "auditHead": "0" })]),
        (vec!["outbox", "list"], vec![document(&["outbox", "list"])]),
        (vec!["outbox", "show", "i"], vec![signed_outbox]),
        (vec!["audit", "verify"], vec![document(&["audit", "verify"])]),
        (vec!["mailbox", "sent"], vec![document(&["mailbox", "sent"])]),
    ];
    for (arguments, documents) in table {
        // As they are, they are drawn as on the folder; nothing of the kind is an answer that cannot be read.
        for twist in [Value::clone, hostile] {
            let script: Vec<_> = documents.iter().map(|document| says(&twist(document))).collect();
            let ended = at(&cli, &Fake::start(script).url, &arguments);
            assert!(!ended.stderr.contains("SERVER_UNREACHABLE"), "{arguments:?}: {ended:?}");
            for line in ended.stdout.lines().chain(ended.stderr.lines()) {
                assert!(!line.starts_with("Digest   0000"), "{arguments:?} forges a line: {ended:#?}");
                let acts = |c: char| c.is_control() || c == '\u{202e}';
                assert!(!line.contains(acts), "{arguments:?} acts: {line:?}");
            }
        }
    }
}

/// One host, looked at through one of its doors.
struct Side {
    cli: Cli,
    ada: Who,
    server: Option<Server>,
    /// What each id, digest and name was, in the order they came: the same of two hosts get the same number.
    seen: HashMap<String, usize>,
    /// What was done, and what came of it.
    transcript: Vec<String>,
}

impl Side {
    /// A host of somebody who may do everything.
    fn new(with_server: bool) -> Side {
        let cli = Cli::new();
        let beside = Beside::open(&cli);
        let ada = beside.person(TENANT, "ada", &Role::ALL);
        drop(beside);
        let server = with_server.then(|| Server::start(&cli));
        Side { cli, ada, server, seen: HashMap::new(), transcript: Vec::new() }
    }

    fn installed_by_another(&self, file: &str) {
        let olga = Who { name: "olga".into(), ..self.ada.clone() };
        Beside::open(&self.cli).install(&olga, std::fs::read(file).unwrap(), &[]);
    }

    /// As on the folder.
    fn here(&self, arguments: &[&str]) -> Ended {
        self.cli.run(&[&["--user", "ada"], arguments].concat())
    }

    /// As at the server.
    fn there(&self, server: &Server, arguments: &[&str]) -> Ended {
        let mut command = self.cli.command(&[&["--server", &server.origin()], arguments].concat());
        ended(command.env("COUNTERSIGN_TOKEN", &self.ada.token))
    }

    /// Runs a command line, and writes down what came of it, without what differs from host to host and from door to door.
    fn run(&mut self, arguments: &[&str]) -> Ended {
        let ended = match &self.server {
            None => self.here(arguments),
            Some(server) => self.there(server, arguments),
        };
        let Ended { code, stdout, stderr } = &ended;
        let words: Vec<_> = arguments.iter().filter(|word| !word.contains('/')).copied().collect();
        let told = format!("$ {}\n{stdout}-- {stderr}-- {code}\n", words.join(" "));
        let told = self.normal(&self.same_door(&told));
        self.transcript.push(told);
        ended
    }

    fn json(&mut self, arguments: &[&str]) -> Value {
        self.run(&[&["--json"], arguments].concat()).json()
    }

    /// With the options that name the door left out, and what is broken into rows in one.
    fn same_door(&self, text: &str) -> String {
        let text = text.replace(" --user ada", "").replace("; another user's: --user NAME", "");
        let rows = ["\n           + ", "\n       +  ", "\n          + ", "\n       + "];
        let text = rows.iter().fold(text, |text, row| text.replace(row, ""));
        match &self.server {
            Some(server) => text.replace(&format!(" --server {}", server.origin()), ""),
            None => text,
        }
    }

    /// With everything that is drawn at random, or is a time or a name of the door, said by when it came first.
    fn normal(&mut self, text: &str) -> String {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_-/:.".contains(c);
        // At a server it was a program that decided.
        let mut person = text.to_owned();
        while let Some((before, program)) = person.split_once("a program with ada's token ") {
            let (_, after) = program.split_once(')').unwrap();
            person = format!("{before}ada/token{after}");
        }
        let (mut out, mut rest) = (String::new(), person.as_str());
        while let Some(begin) = rest.find(is_of_word) {
            out += &rest[..begin];
            rest = &rest[begin..];
            let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            out += &self.word(&rest[..end]);
            rest = &rest[end..];
        }
        out += rest;
        let line = |line: &str| {
            // Columns are as wide as what stands in them; an excerpt is cut where its time, longer or shorter, lets it.
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            match line.rsplit_once("TIME") {
                Some((begin, end)) if end.contains('…') => format!("{begin}TIME…\n"),
                _ => line + "\n",
            }
        };
        out.lines().map(line).collect()
    }

    fn word(&mut self, word: &str) -> String {
        let core = word.trim_end_matches(['.', ':']);
        let is_hex = core.len() == 64 && core.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_id =
            ["int_", "appr_", "tok_", "msg_"].iter().any(|kind| core.starts_with(kind)) && core.len() > 25;
        let is_time = core.len() > 10 && core.starts_with("20") && core.as_bytes()[10] == b'T';
        // Letters have names of their own.
        let is_letter = core.len() > 25 && (core.starts_with("sent/") || word.contains("_0"));
        let is_secret = core.contains("/join/");
        if is_time || is_secret {
            return if is_time { "TIME" } else { "LINK" }.into();
        }
        if core == principal() || core.starts_with("ada/") {
            return "WHO".into();
        }
        if !(is_hex || is_id || is_letter) {
            return word.to_owned();
        }
        let next = self.seen.len();
        let number = self.seen.entry(core.to_owned()).or_insert(next);
        word.replace(core, &format!("#{number}"))
    }
}

/// Everything that looks and changes nothing.
fn looks(intent: &str, approval: &str, agent: &str) -> Vec<Vec<String>> {
    let lines = [
        "agent list",
        &format!("agent show {agent}"),
        "intent list",
        &format!("intent show {intent}"),
        "approval list",
        "approval list --pending",
        &format!("approval show {approval}"),
        "outbox list",
        "outbox list --open",
        "outbox list --not-sent",
        "intent list --limit 1",
        "approval list --limit 1",
        "outbox list --limit 1",
        "outbox list --limit 1 --before appr_nope",
        &format!("outbox show {approval}"),
        "mailbox list",
        "mailbox list --from bob@example.com --after 2024-01-01 --limit 3",
        "mailbox list --after yesterday",
        "mailbox list --limit 1 --before msg_nope",
        "mailbox sent",
        "mailbox sent --limit 1 --before msg_nope",
        "audit verify",
        "audit verify --head 00",
        &format!("audit verify --head {}", "0".repeat(64)),
        "audit export",
        "person list",
        "agent show com.example.nobody",
        "intent show int_nothing",
        "approval show appr_nothing",
        "outbox show appr_nothing",
    ];
    lines.iter().map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

#[test]
fn a_server_answers_as_its_folder_does() {
    let tell = |side: &mut Side| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (file, other, bare) = (guest("send-report"), guest("inbox-digest"), guest("guest-script-bare"));
        let (file, other, bare) = (file.to_str().unwrap(), other.to_str().unwrap(), bare.to_str().unwrap());
        let broken = side.cli.scratch().join("broken.wasm");
        std::fs::write(&broken, b"\0asm\x0d\0\x01\0broken").unwrap();
        side.run(&["agent", "install", broken.to_str().unwrap()]);
        side.run(&["agent", "install", bare]);
        let manifest = side.cli.scratch().join("agent.json");
        std::fs::write(&manifest, "{}").unwrap();
        side.run(&["agent", "install", bare, "--manifest", manifest.to_str().unwrap()]);
        side.run(&["agent", "install", file, "--grant", "messages.list"]);
        let agent = text(&side.json(&["agent", "install", file])["id"]);
        side.run(&["agent", "install", other, "--strict-imports"]);
        let digest = text(&side.json(&["agent", "install", other])["id"]);
        side.run(&["run", &agent, "no_such_action"]);
        side.run(&["run", &agent, "send_report", "--param", "to=x@example.com"]);
        side.run(&["run", &agent, "send_report", "--params", "[]"]);
        side.run(&["run", "com.example.nobody", "go"]);
        // Denied: an error card, and how to grant what was missing.
        side.run(&["run", &agent, "send_report"]);
        side.run(&["run", &digest, "digest"]);
        // Who installed an agent does not approve it where another can: from here on it is somebody else's.
        side.installed_by_another(file);
        side.run(&["agent", "grant", &agent, "messages.send"]);
        side.run(&["agent", "grant", &agent, "messages.list"]);

        let ran = side.json(&["run", &agent, "send_report"]);
        let [intent, approval] = [&ran["intent"], &ran["approval"]["id"]].map(text);
        side.run(&["intent", "resume", &intent]);
        side.run(&["agent", "remove", &agent]);
        side.run(&["approval", "approve", &approval]);
        side.run(&["approval", "approve", &approval, "--digest", "yes"]);
        side.run(&["approval", "approve", &approval, "--digest", &"0".repeat(64)]);
        side.run(&["approval", "edit", &approval]);
        side.run(&["approval", "edit", &approval, "--remove-recipient", "nobody@example.com"]);
        let edited = side.json(&["approval", "edit", &approval, "--subject", "Another"]);
        let shown = text(&edited["approval"]["digest"]);
        side.run(&[
            "approval",
            "edit",
            &approval,
            "--subject",
            "Third",
            "--digest",
            &text(&ran["approval"]["digest"]),
        ]);
        side.run(&["approval", "approve", &approval, "--digest", &shown]);
        side.run(&["approval", "approve", &approval, "--digest", &shown]);
        side.run(&["approval", "revoke", &approval]);
        side.run(&["outbox", "resolve", &approval, "--sent"]);
        side.run(&["outbox", "deliver"]);

        let again = side.json(&["intent", "retry", &intent]);
        side.run(&["approval", "decline", &text(&again["approval"]["id"]), "--note", "not\ttoday"]);
        let third = side.json(&["run", &digest, "digest", "--text", "please"]);
        side.run(&["intent", "cancel", &text(&third["intent"])]);
        side.run(&["agent", "revoke", &agent, "messages.send"]);
        side.run(&["agent", "remove", &digest]);
        side.run(&["person", "invite", "bob"]);
        side.run(&["person", "invite", "Bob!", "--role", "approver"]);
        side.run(&["--json", "person", "invite", "bob", "--role", "approver", "--role", "auditor"]);
        side.run(&["person", "roles", "bob", "--role", "invoker"]);
        side.run(&["person", "roles", "ada", "--role", "invoker"]);
        side.run(&["person", "remove", "bob"]);
        side.run(&["person", "remove", "bob"]);
        side.run(&["token", "revoke", "tok_nothing"]);
        for look in looks(&intent, &approval, &agent) {
            let look: Vec<_> = look.iter().map(String::as_str).collect();
            side.run(&look);
            side.run(&[&["--json"], &*look].concat());
        }
        (intent, approval, agent)
    };
    let (mut folder, mut served) = (Side::new(false), Side::new(true));
    tell(&mut folder);
    let (intent, approval, agent) = tell(&mut served);
    let pairs = folder.transcript.iter().zip(&served.transcript);
    let differ: Vec<_> = pairs.filter(|(here, there)| here != there).collect();
    let differ: String =
        differ.iter().map(|(here, there)| format!("{here}--- at the server\n{there}\n")).collect();
    assert!(differ.is_empty(), "the folder says the one, the server the other:\n{differ}");
    assert_eq!(folder.transcript.len(), served.transcript.len());
    // Of one host the two say the same to the byte.
    let server = served.server.as_ref().unwrap();
    for id in ["..", ".", "a/../b", "%2e%2e", "?x"] {
        let arguments = ["--json", "intent", "show", id];
        let (here, there) = (failure(&served.here(&arguments)), failure(&served.there(server, &arguments)));
        assert_eq!((here.0, here.1), (there.0, there.1), "{id}: {}", there.2);
    }
    // When a token was last used is written as it is used.
    let tokens = vec!["token".to_owned(), "list".to_owned()];
    for look in looks(&intent, &approval, &agent).into_iter().chain([tokens]) {
        for json in [&["--json"][..], &[]] {
            let look: Vec<_> = json.iter().copied().chain(look.iter().map(String::as_str)).collect();
            let there = served.there(server, &look);
            let here = served.here(&look);
            assert_eq!(here.code, there.code, "{look:?}");
            assert_eq!(served.same_door(&here.stdout), served.same_door(&there.stdout), "{look:?}");
            assert_eq!(served.same_door(&here.stderr), served.same_door(&there.stderr), "{look:?}");
        }
    }
}

#[test]
fn who_may_not_hears_so_from_the_server() {
    let cli = Cli::new();
    let auditor = Beside::open(&cli).person(TENANT, "cid", &[Role::Auditor]);
    let server = Server::start(&cli);
    let file = guest("send-report");
    let run = |token: &str, arguments: &[&str]| {
        let mut command = cli.command(&[&["--json", "--server", &server.origin()], arguments].concat());
        failure(&ended(command.env("COUNTERSIGN_TOKEN", token)))
    };
    let install = ["agent", "install", file.to_str().unwrap()];
    for (token, code) in [(auditor.token.as_str(), "FORBIDDEN"), (TOKEN, "UNAUTHENTICATED")] {
        for arguments in [&install[..], &["run", "com.example.a", "go"], &["person", "list"]] {
            let (exit, heard, message) = run(token, arguments);
            let unknown = arguments[0] == "run" && code == "FORBIDDEN";
            assert_eq!((exit, heard.as_str()), (6, if unknown { "UNKNOWN_ID" } else { code }), "{message}");
        }
    }
}

#[test]
fn a_token_is_made_at_a_server_shown_once_and_ended() {
    let cli = Cli::new();
    let ada = Beside::open(&cli).person(TENANT, "ada", &Role::ALL);
    let server = Server::start(&cli);
    let run = |token: &str, arguments: &[&str]| {
        let mut command = cli.command(&[&["--json", "--server", &server.origin()], arguments].concat());
        ended(command.env("COUNTERSIGN_TOKEN", token))
    };
    let made =
        run(&ada.token, &["token", "make", "--label", "nightly", "--days", "7", "--role", "auditor"]).json();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(made["roles"], json!(["auditor"]));
    assert_eq!(run(token, &["audit", "verify"]).code, 0);
    assert_eq!(failure(&run(token, &["person", "list"])).1, "FORBIDDEN");
    let listed = cli.run(&["--json", "token", "list"]);
    assert!(listed.stdout.contains(id) && !listed.stdout.contains(token), "{listed:?}");
    cli.json(0, &["token", "revoke", id]);
    assert_eq!(failure(&run(token, &["audit", "verify"])).1, "UNAUTHENTICATED");
    let here = cli.run(&["--json", "token", "make", "--label", "x"]);
    assert_eq!((here.code, failure(&here).1.as_str()), (2, "USAGE"));
}

#[test]
fn a_tenant_sees_nothing_of_another() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");
    let intent = cli.json(3, &["run", &agent, "send_report"])["intent"].as_str().unwrap().to_owned();
    for arguments in
        [vec!["agent", "list"], vec!["intent", "list"], vec!["approval", "list"], vec!["outbox", "list"]]
    {
        let theirs = cli.json(0, &[&["--tenant", "acme"], &*arguments].concat());
        let rows = theirs.as_object().unwrap().values().next().unwrap();
        assert_eq!(rows, &json!([]), "{arguments:?}");
    }
    let foreign = cli.run(&["--json", "--tenant", "acme", "intent", "show", &intent]);
    let unknown = cli.run(&["--json", "intent", "show", &intent.replace("int_", "int_x")]);
    let hidden = failure(&foreign).2.replace(&intent, "ID");
    assert_eq!(hidden, failure(&unknown).2.replace(&intent.replace("int_", "int_x"), "ID"));
    assert_eq!(cli.json(0, &["--tenant", "acme", "audit", "verify"])["entries"], 0);
    let nonsense = cli.run(&["--json", "--tenant", "../main", "agent", "list"]);
    assert_eq!((nonsense.code, failure(&nonsense).1.as_str()), (2, "USAGE"));
}

//! What an operator relies on of a server, over the wire and with the programs they would use: TLS and HTTP/2, the certificate read
//! again, who is asking behind a proxy, whether commits reach the disk, what may read the counters, and the description of the API.
//!
//! A test whose program is not there says that it is skipped, and passes.

use crate::support::server::{Beside, PASSWORD, Reply, Request, Server};
use crate::support::{Cli, workspace};
use countersign::people::{Role, TENANT};
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn program(name: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).stdout(Stdio::null()).status();
    let is_there = found.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("SKIPPED: needs {name}");
    }
    is_there
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

// ---- TLS ----------------------------------------------------------------------------------------------------------------

/// A folder whose server speaks TLS with a certificate of its own.
struct Safe {
    cli: Cli,
    cert: PathBuf,
    key: PathBuf,
}

impl Safe {
    fn new() -> Safe {
        let cli = Cli::new();
        let (cert, key) = (cli.scratch().join("cert.pem"), cli.scratch().join("it's key.pem"));
        let safe = Safe { cli, cert, key };
        safe.certify();
        std::fs::create_dir(safe.cli.data()).unwrap();
        mode(&safe.cli.data(), 0o700);
        let (cert, key) = (&safe.cert, &safe.key);
        let text = format!("[serve]\nlisten = \"127.0.0.1:0\"\ntls_cert = {cert:?}\ntls_key = {key:?}\n");
        std::fs::write(safe.cli.data().join("config.toml"), text).unwrap();
        safe
    }

    /// Writes another certificate and its key in place of what is there.
    fn certify(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&self.cert, parameters.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&self.key, key.serialize_pem()).unwrap();
        mode(&self.key, 0o600);
    }

    fn serve(&self) -> Server {
        Server::of(&self.cli.command(&["serve"]), None)
    }

    /// What curl is told at this path, trusting this certificate: the version of HTTP, the status, the body.
    fn curl(
        &self,
        server: &Server,
        trusted: &Path,
        more: &[&str],
        path: &str,
    ) -> Option<(String, String, String)> {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "30",
                "--write-out",
                "\n%{http_version} %{http_code}",
                "--cacert",
            ])
            .arg(trusted)
            .args(more)
            .arg(format!("https://127.0.0.1:{}{path}", server.port))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, told) = text.rsplit_once('\n')?;
        let (version, status) = told.split_once(' ')?;
        output.status.success().then(|| (version.to_owned(), status.to_owned(), body.to_owned()))
    }
}

#[test]
fn by_tls_http2_is_spoken_with_who_can_and_http11_with_who_cannot() {
    if !program("curl") {
        return;
    }
    let safe = Safe::new();
    let server = safe.serve();
    let ask = |more: &[&str], path: &str| safe.curl(&server, &safe.cert, more, path).unwrap();
    for (asked, spoken) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let (version, status, body) = ask(&[asked], "/readyz");
        assert_eq!((version.as_str(), status.as_str(), body.as_str()), (spoken, "200", "ready\n"));
        let (_, status, body) = ask(&[asked], "/sign-in");
        assert!(status == "200" && body.contains("Password"), "{status} {body}");
        // A name somebody else has made lead here, in the one version the authority and in the other a header.
        let (_, status, body) = ask(&[asked, "--header", "Host: evil.example"], "/sign-in");
        assert!(status == "421" && !body.contains("Password"), "{status} {body}");
    }
    // Many requests share a connection, and a form arrives as it was sent.
    let many: Vec<_> = (0..40).map(|_| format!("https://127.0.0.1:{}/sign-in", server.port)).collect();
    let output = Command::new("curl")
        .args([
            "--silent",
            "--parallel",
            "--http2",
            "--write-out",
            "%{http_version} %{http_code} %{num_connects}\n",
        ])
        .args(["--max-time", "60", "--cacert"])
        .arg(&safe.cert)
        .args(many.iter().flat_map(|url| ["--output", "/dev/null", url]))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told.lines().filter(|line| line.starts_with("2 200")).count(), 40, "{told}");
    // A connection that says nothing ends, and the server with it.
    assert!(server.stop().success());
}

#[test]
fn a_key_that_others_can_read_is_refused_with_what_to_do() {
    let safe = Safe::new();
    for (open, what) in [(0o640, "the group"), (0o604, "everybody"), (0o620, "the group may write")] {
        mode(&safe.key, open);
        let ended = safe.cli.run(&["--json", "serve"]);
        assert_eq!(ended.code, 6, "{what}: {ended:#?}");
        let error = &ended.json()["error"];
        assert_eq!(error["code"], "CONFIG_INVALID", "{what}");
        let hint = error["hint"].as_str().unwrap();
        // The hint can be run as it stands, whatever the file is called.
        let command = hint.split('`').nth(1).unwrap();
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
        assert_eq!(std::fs::metadata(&safe.key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let server = safe.serve();
    assert!(server.stop().success());
}

#[test]
fn a_certificate_is_read_again_at_sighup_and_one_that_cannot_be_changes_nothing() {
    if !program("curl") {
        return;
    }
    let safe = Safe::new();
    let server = safe.serve();
    let is_shown = |trusted: &Path| safe.curl(&server, trusted, &[], "/healthz").is_some();
    let before = safe.cli.scratch().join("before.pem");
    std::fs::copy(&safe.cert, &before).unwrap();
    assert!(is_shown(&before));
    safe.certify();
    assert!(is_shown(&before), "not before it is told to");
    server.signal("HUP");
    server.says("the configuration has been read again");
    assert!(is_shown(&safe.cert) && !is_shown(&before));
    // A key that is open, or belongs to another certificate, is not put in force.
    let now = safe.cli.scratch().join("now.pem");
    std::fs::copy(&safe.cert, &now).unwrap();
    safe.certify();
    mode(&safe.key, 0o644);
    server.signal("HUP");
    assert!(server.says("cannot be read again").contains("others can read the key"));
    assert!(is_shown(&now));
    std::fs::copy(&now, &safe.cert).unwrap();
    mode(&safe.key, 0o600);
    server.signal("HUP");
    server.says("cannot be read again");
    assert!(is_shown(&now));
}

// ---- Who is asking ------------------------------------------------------------------------------------------------------

const NAME: &str = "countersign.example";

/// A server behind a proxy that is called [`NAME`].
fn behind_proxy(cli: &Cli) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text =
        format!("[serve]\nlisten = \"127.0.0.1:{port}\"\nbehind_proxy = true\nurl = \"https://{NAME}\"\n");
    std::fs::write(cli.data().join("config.toml"), text).unwrap();
    Server::of(&cli.command(&["serve"]), Some(port))
}

fn sign_in(server: &Server, from: &str, password: &str, cookie: Option<&str>) -> Reply {
    let request = Request::new("POST", "/sign-in")
        .with("Host", NAME)
        .with("Origin", &format!("https://{NAME}"))
        // What came with the request is in front, and is not believed.
        .with("X-Forwarded-For", &format!("198.51.100.77, {from}"))
        .form(&[("name", "owner"), ("password", password)]);
    let request = match cookie {
        Some(cookie) => request.with("Cookie", cookie),
        None => request,
    };
    server.ask(&request)
}

/// Five tries cost nothing. Each wait is twice the one before, so that soon one is longer than a try takes, however long that is.
fn until_one_waits(mut attempt: impl FnMut() -> u16) {
    for number in 0..20 {
        match (attempt(), number) {
            (429, 5..) => return,
            (status, _) => assert_eq!(status, 401, "try {number}"),
        }
    }
    panic!("nobody is made to wait");
}

#[test]
fn strangers_cannot_lock_somebody_out_and_are_bounded_and_all_of_it_is_recorded_with_where_it_came_from() {
    let cli = Cli::new();
    let beside = Beside::open(&cli);
    let owner = beside.person(TENANT, "owner", &Role::ALL);
    let server = behind_proxy(&cli);
    // The owner has a browser they know.
    let signed = sign_in(&server, "192.0.2.10", PASSWORD, None);
    assert_eq!(signed.status, 303, "{}", signed.text());
    let mark = signed.cookie("__Host-countersign-browser").unwrap();
    let session = signed.cookie("__Host-countersign").unwrap();
    let line = server.says("route=\"/sign-in\"");
    assert!(line.contains("from=192.0.2.10") && line.contains("status=303"), "{line}");
    // From one address there are five tries, and then one waits.
    let stranger = |from: &str| sign_in(&server, from, "a wrong one, long", None).status;
    until_one_waits(|| stranger("203.0.113.9"));
    // Many addresses have some, and none of it keeps the owner waiting: not with their browser from anywhere, not where they have
    // been, and not somewhere new.
    for number in 0..40 {
        assert_eq!(stranger(&format!("203.0.113.{}", 100 + number)), 401);
    }
    let known = format!("__Host-countersign-browser={mark}");
    assert_eq!(sign_in(&server, "203.0.113.9", PASSWORD, Some(&known)).status, 303);
    assert_eq!(sign_in(&server, "192.0.2.10", PASSWORD, None).status, 303);
    assert_eq!(sign_in(&server, "198.51.100.5", PASSWORD, None).status, 303);
    // Signing out is recorded, too.
    let cookie = format!("__Host-countersign={session}");
    let page = Request::new("GET", "/approvals").with("Host", NAME).with("Cookie", &cookie);
    let page = server.ask(&page).text();
    let form =
        crate::support::server::forms(&page).into_iter().find(|form| form.action == "/sign-out").unwrap();
    let left = Request::new("POST", "/sign-out")
        .with("Host", NAME)
        .with("Origin", &format!("https://{NAME}"))
        .with("X-Forwarded-For", "192.0.2.10")
        .with("Cookie", &cookie)
        .form(&[("csrf", form.field("csrf").unwrap())]);
    assert_eq!(server.ask(&left).status, 303);

    let audit = Request::new("GET", "/v1/audit").with("Host", NAME).bearer(&owner.token);
    let audit = server.ask(&audit).text();
    let entries: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| -> Vec<&Value> {
        entries.iter().filter(|entry| entry["kind"] == kind).map(|entry| &entry["body"]).collect()
    };
    let from: Vec<_> = of("sign-in").iter().map(|body| body["from"].as_str().unwrap().to_owned()).collect();
    assert_eq!(from, ["192.0.2.10", "203.0.113.9", "192.0.2.10", "198.51.100.5"]);
    // So many a minute: strangers do not fill the record.
    let failed = of("sign-in-failed");
    assert!((5..=10).contains(&failed.len()), "{failed:#?}");
    assert_eq!((&failed[0]["person"], &failed[0]["from"]), (&json!("owner"), &json!("203.0.113.9")));
    assert_eq!(of("sign-out")[0]["from"], "192.0.2.10");
    assert!(!audit.contains("a wrong one"));
}

#[test]
fn who_is_asking_is_not_taken_from_a_header_where_nothing_is_in_front() {
    let cli = Cli::new();
    let beside = Beside::open(&cli);
    beside.person(TENANT, "owner", &Role::ALL);
    let server = Server::start(&cli);
    let mut number = 0;
    until_one_waits(|| {
        number += 1;
        let request = Request::new("POST", "/sign-in")
            .with("Origin", &server.origin())
            .with("X-Forwarded-For", &format!("203.0.113.{number}"))
            .form(&[("name", "owner"), ("password", "a wrong one, long")]);
        server.ask(&request).status
    });
    assert!(server.says("route=\"/sign-in\"").contains("from=127.0.0.1"));
}

// ---- Whether it is well -------------------------------------------------------------------------------------------------

#[test]
fn a_server_whose_commits_fail_is_not_ready_and_is_again_when_they_do_not() {
    if !program("fiu-run") {
        return;
    }
    let cli = Cli::new();
    drop(Beside::open(&cli));
    let control = cli.scratch().join("control");
    let control = control.to_str().unwrap();
    let serve = || {
        let plain = cli.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut command = Command::new("fiu-run");
        command.args(["-x", "-f", control]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Server::of(&command, None)
    };
    let server = serve();
    let disk = |server: &Server, command: &str| {
        let pid = server.pid().to_string();
        let done = Command::new("fiu-ctrl").args(["-f", control, "-c", command, &pid]).status();
        assert!(done.unwrap().success(), "{command}");
    };
    #[allow(clippy::disallowed_methods, reason = "another process is waited for by the wall clock")]
    let becomes = |server: &Server, status: u16| {
        let began = std::time::Instant::now();
        loop {
            let told = server.get("/readyz");
            if told.status == status {
                return told;
            }
            assert!(began.elapsed().as_secs() < 60, "it stays {}: {}", told.status, told.text());
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    };
    // However often it is asked, nobody is told that something has changed.
    becomes(&server, 200);
    // A full disk: ENOSPC.
    disk(&server, "enable name=posix/io/rw/pwrite,failinfo=28");
    let told = becomes(&server, 503);
    assert_eq!(told.json()["code"], "BUSY", "{}", told.text());
    assert_eq!(server.get("/healthz").status, 200, "it runs all the same");
    disk(&server, "disable name=posix/io/rw/pwrite");
    becomes(&server, 200);
    // A disk that fails: EIO. What is on it is known only to a new start.
    disk(&server, "enable name=posix/io/sync/fsync,failinfo=5");
    becomes(&server, 503);
    disk(&server, "disable name=posix/io/sync/fsync");
    for _ in 0..3 {
        assert_eq!(server.get("/readyz").status, 503);
    }
    server.kill();
    let server = serve();
    becomes(&server, 200);
}

// ---- What watches over it -----------------------------------------------------------------------------------------------

#[test]
fn a_token_for_the_counters_reads_them_and_nothing_else_and_promtool_accepts_them() {
    let cli = Cli::new();
    let beside = Beside::open(&cli);
    let olga = beside.person(TENANT, "olga", &[Role::Operator]);
    let ivan = beside.person(TENANT, "ivan", &[Role::Invoker]);
    let server = Server::start(&cli);
    let made = cli
        .command(&[
            "--json",
            "--server",
            &server.origin(),
            "token",
            "make",
            "--label",
            "prometheus",
            "--role",
            "metrics",
        ])
        .env_remove("COUNTERSIGN_DATA")
        .env("COUNTERSIGN_TOKEN", &olga.token)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["roles"], json!(["metrics"]));
    let token = made["token"].as_str().unwrap();
    // Who may not read them gives no such token.
    let wanted = json!({ "label": "x", "roles": ["metrics"], "days": 1 });
    let refused = server.api(403, &ivan.token, "POST", "/v1/tokens", Some(&wanted));
    assert_eq!(refused["code"], "FORBIDDEN");

    let metrics = server.ask(&Request::new("GET", "/metrics").bearer(token));
    assert_eq!(metrics.status, 200, "{}", metrics.text());
    // Everything else there is with a token.
    let document: Value = server.get("/openapi.json").json();
    let mut asked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"].is_null() || path == "/metrics" {
                continue;
            }
            let path = path.replace("{id}", "x").replace("{name}", "x").replace("{code}", "x");
            let mut request = Request::new(&method.to_uppercase(), &path).bearer(token);
            if method != "get" {
                request = request.json(&json!({}));
            }
            let told = server.ask(&request);
            assert!(
                matches!(told.status, 400 | 403 | 415),
                "{method} {path}: {} {}",
                told.status,
                told.text()
            );
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
    for path in
        ["/v1/me", "/v1/tokens", "/v1/agents", "/v1/intents", "/v1/approvals", "/v1/audit", "/v1/people"]
    {
        assert_eq!(server.api(403, token, "GET", path, None)["code"], "FORBIDDEN", "{path}");
    }

    if !program("promtool") {
        return;
    }
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(&metrics.body).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let complaints =
        String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
    assert!(said.status.success() && complaints.trim().is_empty(), "{complaints}");
}

// ---- The description of the API -----------------------------------------------------------------------------------------

/// A program of the Python tools that `.ci/run` installs.
fn tool(name: &str) -> Option<PathBuf> {
    let tool = workspace().join("target/openapi/venv/bin").join(name);
    if tool.exists() {
        return Some(tool);
    }
    eprintln!("SKIPPED: needs {name} in target/openapi/venv, where .ci/run installs it");
    None
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_description_of_the_api_is_openapi() {
    let Some(validator) = tool("openapi-spec-validator") else { return };
    succeeds(Command::new(validator).arg(workspace().join("host/serve/openapi.json")));
}

/// A team with an agent at a server: its token may do everything.
fn team(cli: &Cli) -> (Server, String) {
    let beside = Beside::open(cli);
    let ada = beside.person(TENANT, "ada", &Role::ALL);
    let olga = beside.person(TENANT, "olga", &[Role::Operator]);
    let file = crate::support::guest("guest-script");
    beside.install(&olga, std::fs::read(file).unwrap(), &[&ada]);
    drop(beside);
    std::fs::write(cli.data().join("config.toml"), "[serve]\nrequests_per_minute = 60000\n").unwrap();
    (Server::start(cli), ada.token)
}

#[test]
fn a_client_written_from_the_description_works() {
    let (Some(writer), Some(python)) = (tool("openapi-python-client"), tool("python")) else { return };
    let cli = Cli::new();
    let (server, token) = team(&cli);
    let package = cli.scratch().join("client");
    succeeds(
        Command::new(writer)
            .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
            .arg(workspace().join("host/serve/openapi.json"))
            .arg("--output-path")
            .arg(package.join("countersign_client"))
            .arg("--config")
            .arg(workspace().join("tests/openapi/client.yaml")),
    );
    succeeds(
        Command::new(python)
            .arg(workspace().join("tests/openapi/client.py"))
            .env("PYTHONPATH", package)
            .env("COUNTERSIGN_SERVER", server.origin())
            .env("COUNTERSIGN_TOKEN", token),
    );
}

/// Requests of all kinds, drawn from the description: every answer is one it has. `COUNTERSIGN_TEST_EXAMPLES` says how many are tried
/// of each operation, `COUNTERSIGN_TEST_SEED` which.
#[test]
fn nothing_is_answered_that_the_description_does_not_have() {
    let Some(schemathesis) = tool("schemathesis") else { return };
    let cli = Cli::new();
    let (server, token) = team(&cli);
    let set = |name: &str, or: &str| std::env::var(name).unwrap_or_else(|_| or.to_owned());
    succeeds(
        Command::new(schemathesis)
            .args([
                "--config-file",
                workspace().join("tests/openapi/schemathesis.toml").to_str().unwrap(),
                "run",
            ])
            .arg(server.url("/openapi.json"))
            .args(["--url", &server.origin(), "--header", &format!("Authorization: Bearer {token}")])
            .args(["--max-examples", &set("COUNTERSIGN_TEST_EXAMPLES", "8")])
            .args(["--seed", &set("COUNTERSIGN_TEST_SEED", "1")])
            .env("SCHEMATHESIS_HOOKS", "hooks")
            .env("PYTHONPATH", workspace().join("tests/openapi"))
            .current_dir(cli.scratch()),
    );
}

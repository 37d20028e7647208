//! What may be installed, under which terms, and how a file that may not is refused.

use crate::hostile::{Core, HARMLESS};
use crate::support::{Cli, Ended, guest, workspace};
use countersign::agent::package::COMPONENT_BYTES_MAX;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::engine::limits::Limits;
use countersign::host::{Host, Install, Options};
use countersign::refusals::Error;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const SCRIPT: &str = "test.agent.script";

/// A component that fits the world, answers every intent with `none` and carries no manifest; with `more` fields.
fn plain(more: &str) -> Vec<u8> {
    Core { more, ..HARMLESS }.component()
}

fn manifest(version: &str) -> String {
    json!({
        "id": "test.agent.plain", "name": "Plain", "version": version, "description": "Does nothing.",
        "capabilities": []
    })
    .to_string()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// The guest with a piece of its manifest replaced: the same agent, another build.
fn rebuilt(package: &str, piece: &str, by: &str) -> Vec<u8> {
    let mut bytes = std::fs::read(guest(package)).unwrap();
    let by = format!("{by:<width$}", width = piece.len());
    let places = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(piece.as_bytes())).collect::<Vec<_>>();
    assert!(!places.is_empty(), "{package} says nothing of {piece}");
    for at in places {
        bytes[at..at + piece.len()].copy_from_slice(by.as_bytes());
    }
    bytes
}

fn build(version: &str) -> Vec<u8> {
    rebuilt("guest-script", r#""version": "1.0.0""#, &format!(r#""version": "{version}""#))
}

/// A file beside the data folder; gives its path.
fn file(cli: &Cli, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = cli.scratch().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn sha256(path: impl AsRef<Path>) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Expects a refusal, and gives its code and message.
fn refused(cli: &Cli, arguments: &[&str]) -> (String, String) {
    let error = cli.json(6, arguments)["error"].take();
    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
    assert!(!text("hint").is_empty(), "{arguments:?}: {error}");
    (text("code"), text("message"))
}

#[test]
fn each_file_that_is_no_agent_is_refused_under_its_own_code() {
    let cli = Cli::new();
    cli.install("guest-frozen", "");
    let cached = std::fs::read_dir(workspace().join("target/test-cache/countersign")).unwrap();
    let precompiled =
        cached.map(|file| file.unwrap().path()).find(|file| file.extension() == Some("cwasm".as_ref()));
    let manifest_section = format!(r#"(@custom "countersign:manifest" {:?})"#, manifest("1.0.0"));
    let rows = [
        ("nothing", vec![], "MALFORMED_COMPONENT"),
        ("text", b"export function handleIntent() {}".to_vec(), "MALFORMED_COMPONENT"),
        ("zeroes", vec![0; 4096], "MALFORMED_COMPONENT"),
        ("too much", vec![0; COMPONENT_BYTES_MAX + 1], "COMPONENT_TOO_LARGE"),
        ("a core module", wat("(module)"), "CORE_MODULE"),
        ("machine code", std::fs::read(precompiled.unwrap()).unwrap(), "PRECOMPILED"),
        ("no export", wat("(component)"), "MISSING_EXPORT"),
        (
            "an export that is no function",
            wat(r#"(component (instance $i) (export "handle-intent" (instance $i)))"#),
            "MISSING_EXPORT",
        ),
        (
            "a function of another kind",
            wat(r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
                              (func (export "handle-intent") (canon lift (core func $i "f"))))"#),
            "MISSING_EXPORT",
        ),
        ("two manifests", plain(&manifest_section.repeat(2)), "MANIFEST_INVALID"),
    ];
    let beside = file(&cli, "agent.json", manifest("1.0.0"));
    for (what, bytes, code) in rows {
        let component = file(&cli, "it.wasm", bytes);
        let refused = refused(&cli, &["agent", "install", &component, "--manifest", &beside]);
        assert_eq!(refused.0, code, "{what}: {}", refused.1);
    }
    assert_eq!(refused(&cli, &["agent", "install", &file(&cli, "it.wasm", plain(""))]).0, "MANIFEST_MISSING");
    let missing = cli.json(2, &["agent", "install", "/nowhere/it.wasm"]);
    assert_eq!(missing["error"]["code"], "USAGE");
    let agents = cli.json(0, &["agent", "list"])["agents"].take();
    assert_eq!(agents.as_array().unwrap().len(), 1, "{agents}");
}

#[test]
fn what_no_agent_may_have_is_listed() {
    let cli = Cli::new();
    let beside = file(&cli, "agent.json", manifest("1.0.0"));
    let install = |imports: &[&str]| {
        let imports: String = imports.iter().map(|name| format!("(import {name:?} (instance))")).collect();
        let component = file(&cli, "it.wasm", wat(&format!("(component {imports})")));
        refused(&cli, &["agent", "install", &component, "--manifest", &beside])
    };
    let foreign = [
        "wasi:filesystem/types@0.2.0",
        "wasi:filesystem/preopens@0.2.3",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "wasi:cli/run@0.2.0",
        "other:thing/it",
        "other:thing/it@1.0.0",
        "countersign:messages/admin@0.1.0",
        "thing",
    ];
    for name in foreign {
        let (code, message) = install(&[name]);
        assert_eq!(code, "FOREIGN_IMPORT", "{name}");
        assert!(message.ends_with(&format!(": {name}")), "{message}");
    }
    let (_, message) =
        install(&["wasi:clocks/wall-clock@0.2.0", foreign[0], "wasi:io/poll@0.2.0", foreign[5]]);
    assert!(message.ends_with(&format!(": {}, {}", foreign[0], foreign[5])), "{message}");

    let many: Vec<String> = (0..10_000).map(|number| format!("other:thing/number-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (code, message) = install(&many);
    assert_eq!(code, "FOREIGN_IMPORT");
    assert!(message.len() < 16 * 1024, "the list has {} bytes", message.len());
}

#[test]
fn a_tool_of_another_version_or_with_another_function_is_refused_by_name() {
    let cli = Cli::new();
    let beside = file(&cli, "agent.json", manifest("1.0.0"));
    let rows = [
        (
            r#"(import "countersign:approval/approval@9.0.0" (instance (export "request" (func))))"#,
            "approval@9.0.0",
        ),
        (r#"(import "countersign:messages/messages@0.1.0" (instance (export "delete" (func))))"#, "delete"),
        (r#"(import "countersign:messages/messages@0.1.0" (instance (export "send" (func))))"#, "send"),
    ];
    for (import, name) in rows {
        let component = file(&cli, "it.wasm", plain(import));
        let (_, message) = refused(&cli, &["agent", "install", &component, "--manifest", &beside]);
        assert!(message.contains(name), "{message}");
    }
}

/// A host that compiles everything anew.
fn host(data: &Path) -> Host {
    Host::open(Options {
        data: data.join("data"),
        config: Config::default(),
        clock: Arc::new(Clock::virtual_at(1_772_000_000_000, 1)),
        cache: None,
        limits: Limits { fuel_max: 2_000_000, wall_max: Duration::from_secs(60) },
        in_memory: true,
    })
    .unwrap()
}

/// Installs bytes a stranger sent; gives the id, or `None` where they are refused.
async fn install(host: &Host, bytes: Vec<u8>) -> Option<String> {
    match host.install("local", bytes, Install::default(), "a test").await {
        Ok((agent, _)) => Some(agent.installed.manifest.id),
        Err(Error::Refused(_)) => None,
        Err(Error::Fault(fault)) => panic!("the host failed: {fault:#}"),
    }
}

#[tokio::test]
async fn an_agent_cut_short_anywhere_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let host = host(data.path());
    let whole = std::fs::read(guest("guest-frozen")).unwrap();
    let lengths = (0..64).chain((64..whole.len()).step_by(whole.len() / 300)).chain([whole.len() - 1]);
    for length in lengths {
        assert_eq!(install(&host, whole[..length].to_vec()).await, None, "cut at {length}");
    }
    assert!(install(&host, whole).await.is_some());
}

/// Whatever bit is flipped, the file is refused or is an agent, which then runs to a verdict like any other.
#[tokio::test]
async fn a_flipped_bit_makes_no_more_than_another_agent() {
    const FLIPS: usize = 200;
    let data = tempfile::tempdir().unwrap();
    let host = host(data.path());
    let whole = std::fs::read(guest("guest-frozen")).unwrap();
    let mut installed = 0;
    for number in 0..FLIPS {
        let mut bytes = whole.clone();
        bytes[number * whole.len() / FLIPS] ^= 1 << (number % 8);
        let Some(id) = install(&host, bytes).await else { continue };
        host.submit("local", &id, "any", Map::new(), None).await.unwrap();
        installed += 1;
    }
    assert!((1..FLIPS).contains(&installed), "{installed} of {FLIPS} were installed");
}

#[test]
fn a_damaged_file_ends_the_command_with_done_or_refused() {
    let cli = Cli::new();
    let whole = std::fs::read(guest("guest-frozen")).unwrap();
    for part in 0..10 {
        let mut bytes = whole.clone();
        bytes[part * whole.len() / 10 + 9] ^= 0x10;
        let component = file(&cli, "it.wasm", bytes);
        let Ended { code, stderr, .. } = cli.run(&["agent", "install", &component]);
        assert!(code == 0 || code == 6 && stderr.starts_with("error: "), "{part}: {code} {stderr}");
    }
}

#[test]
fn the_digest_is_that_of_the_file() {
    let cli = Cli::new();
    for package in ["guest-frozen", "send-report"] {
        let component = guest(package);
        let shown = cli.json(0, &["agent", "install", component.to_str().unwrap()]);
        assert_eq!(shown["digest"], sha256(&component));
        assert_eq!(shown["bytes"], component.metadata().unwrap().len());
        assert_eq!(cli.json(0, &["inspect", component.to_str().unwrap()])["digest"], sha256(&component));
    }
}

#[test]
fn a_manifest_beside_the_component_must_say_the_same() {
    let cli = Cli::new();
    let component = guest("guest-script");
    let component = component.to_str().unwrap();
    let source = std::fs::read_to_string(workspace().join("tests/guests/script/agent.json")).unwrap();
    let same = file(&cli, "same.json", format!("// The same in other lines.\n{source}"));
    assert_eq!(cli.json(0, &["agent", "install", component, "--manifest", &same])["id"], SCRIPT);
    for (piece, by) in [("1.0.0", "1.0.1"), (r#""messages.read", "#, ""), ("Script", "script")] {
        let differs = file(&cli, "differs.json", source.replace(piece, by));
        let (code, _) = refused(&cli, &["agent", "install", component, "--manifest", &differs]);
        assert_eq!(code, "MANIFEST_DIFFERS", "{piece}");
    }
}

#[test]
fn a_packed_component_carries_its_manifest() {
    let cli = Cli::new();
    let (plain, beside) = (file(&cli, "plain.wasm", plain("")), file(&cli, "agent.json", manifest("1.0.0")));
    let pack = |component: &str, manifest: &str, output: &str| {
        let output = cli.scratch().join(output);
        let output = output.to_str().unwrap();
        let packed = cli.json(0, &["agent", "pack", component, "--manifest", manifest, "--output", output]);
        assert_eq!(packed["file"], output);
        assert_eq!(packed["digest"], sha256(output));
        output.to_owned()
    };
    let packed = pack(&plain, &beside, "packed.wasm");
    let installed = cli.json(0, &["agent", "install", &packed]);
    assert_eq!(
        (&installed["id"], &installed["digest"]),
        (&json!("test.agent.plain"), &json!(sha256(&packed)))
    );
    assert_eq!(cli.json(0, &["run", "test.agent.plain", "any"])["status"], "done");

    let beside_it = cli.json(0, &["agent", "install", &plain, "--manifest", &beside]);
    assert_eq!(beside_it["digest"], sha256(&packed), "a digest covers the manifest, wherever it came from");

    assert_eq!(sha256(pack(&packed, &beside, "again.wasm")), sha256(&packed));
    let newer = file(&cli, "newer.json", manifest("2.0.0"));
    let again = cli.scratch().join("newer.wasm");
    let pack = ["agent", "pack", &packed, "--manifest", &newer, "--output", again.to_str().unwrap()];
    assert_eq!(refused(&cli, &pack).0, "MANIFEST_DIFFERS");
    assert!(!again.exists());
}

#[test]
fn an_error_in_a_manifest_names_line_and_field() {
    let cli = Cli::new();
    let plain = file(&cli, "plain.wasm", plain(""));
    let good = r#"{
  "id": "test.agent.plain",
  "name": "Plain",
  "version": "1.0.0",
  "description": "Does nothing.",
  "capabilities": ["messages.send"]
}"#;
    let rows = [
        ("test.agent.plain", "Plain Agent", "line 2: field `id`"),
        ("\"Plain\"", "\"\"", "line 3: field `name`"),
        ("1.0.0", "one", "line 4: field `version`"),
        ("\"Does nothing.\"", "7", "line 5: field `description`"),
        ("messages.send", "mail", "line 6: field `capabilities[0]`"),
        ("]\n", "],\n  \"scope\": {}\n", "line 7: field `scope`"),
        ("]\n", "],\n  \"scopes\": {\"messages.read\": [\"*@x.com\"]}\n", "line 7: field `scopes`"),
        ("]\n", "],\n  \"intents\": [{\"action\": \"\"}]\n", "line 7: field `intents[0].action`"),
        ("\"Plain\",", "\"Plain\"", "line 4"),
        ("]\n}", "]\n", "line 7"),
    ];
    for (piece, by, place) in rows {
        let beside = file(&cli, "agent.json", good.replacen(piece, by, 1));
        let ended = cli.run(&["agent", "install", &plain, "--manifest", &beside]);
        assert_eq!(ended.code, 6, "{ended:?}");
        assert!(
            ended.stderr.starts_with(&format!("error: the manifest, {place}")),
            "{place}: {}",
            ended.stderr
        );
        assert!(ended.stderr.contains("[MANIFEST_INVALID]"), "{}", ended.stderr);
    }
    let not_text = file(&cli, "agent.json", b"\xff\xfe");
    assert_eq!(refused(&cli, &["agent", "install", &plain, "--manifest", &not_text]).0, "MANIFEST_INVALID");
}

const DECLARED: &str = r#""capabilities": ["messages.read", "messages.send"]"#;

#[test]
fn a_tool_imported_but_not_declared_is_warned_of_and_denied() {
    let cli = Cli::new();
    let undeclared = file(&cli, "it.wasm", rebuilt("guest-script", DECLARED, r#""capabilities": []"#));
    let (code, message) = refused(&cli, &["agent", "install", &undeclared, "--strict-imports"]);
    assert_eq!(code, "UNDECLARED_IMPORT");
    assert!(message.contains("imports messages.list but does not declare messages.read"), "{message}");
    assert_eq!(cli.json(0, &["agent", "list"]), json!({ "agents": [] }));

    let ended = cli.run(&["agent", "install", &undeclared]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended
            .stderr
            .starts_with("warning: the agent imports messages.list but does not declare messages.read"),
        "{ended:?}"
    );
    let warnings = cli.json(0, &["agent", "install", &undeclared])["warnings"].take();
    assert_eq!(warnings.as_array().unwrap().len(), 2, "{warnings}");

    let steps = json!({ "steps": [
        { "call": "messages.list" }, { "call": "messages.send", "with": { "to": ["team@example.com"] } }
    ] });
    let ran = cli.json(0, &["run", SCRIPT, "script", "--params", &steps.to_string()]);
    let heard: Vec<_> = ran["card"]["body"].as_str().unwrap().lines().collect();
    assert!(heard[0].starts_with("messages.list -> CAPABILITY_DENIED"), "{heard:?}");
    assert!(heard[1].starts_with("messages.send -> CAPABILITY_DENIED"), "{heard:?}");
}

#[test]
fn what_an_agent_does_not_declare_it_cannot_be_granted() {
    let cli = Cli::new();
    let digest = guest("inbox-digest");
    let digest = digest.to_str().unwrap();
    let (code, message) =
        refused(&cli, &["agent", "install", digest, "--grant", "messages.read,messages.send"]);
    assert_eq!(code, "MANIFEST_INVALID");
    assert!(message.contains("messages.send"), "{message}");
    assert_eq!(cli.json(0, &["agent", "list"]), json!({ "agents": [] }));

    let id = cli.install("inbox-digest", "messages.read");
    assert_eq!(refused(&cli, &["agent", "grant", &id, "messages.send"]).0, "MANIFEST_INVALID");
    assert_eq!(cli.json(0, &["agent", "show", &id])["granted"], json!(["messages.read"]));
}

#[test]
fn grants_belong_to_the_very_bytes_they_were_given_to() {
    let cli = Cli::new();
    let both = json!(["messages.read", "messages.send"]);
    cli.install("guest-script", "messages.read,messages.send");
    let newer = file(&cli, "newer.wasm", build("1.0.1"));
    let installed = cli.json(0, &["agent", "install", &newer]);
    assert_eq!((&installed["version"], &installed["granted"]), (&json!("1.0.1"), &json!([])));

    let old = guest("guest-script");
    assert_eq!(cli.json(0, &["agent", "install", old.to_str().unwrap()])["granted"], both);
    let newest = file(&cli, "newest.wasm", build("1.0.2"));
    assert_eq!(cli.json(0, &["agent", "install", &newest, "--keep-grants"])["granted"], both);

    let less =
        file(&cli, "less.wasm", rebuilt("guest-script", DECLARED, r#""capabilities": ["messages.read"]"#));
    let kept = cli.json(0, &["agent", "install", &less, "--keep-grants"]);
    assert_eq!(kept["granted"], json!(["messages.read"]), "no more than it declares");
}

fn send_a_mail() -> String {
    let mail = json!({ "to": ["team@example.com"], "subject": "s", "body": "b" });
    json!({ "steps": [
        { "call": "approval.request", "with": { "action": "send_message", "title": "t", "details": mail } },
        { "call": "messages.send", "with": mail },
    ] })
    .to_string()
}

fn approve(cli: &Cli, waiting: &Value) -> Value {
    let text = |field: &str| waiting["approval"][field].as_str().unwrap();
    cli.json(0, &["approval", "approve", text("id"), "--digest", text("digest")])
}

#[test]
fn a_waiting_run_stays_with_the_bytes_it_started_with() {
    let cli = Cli::new();
    cli.install("guest-script", "messages.send");
    let waiting = cli.json(3, &["run", SCRIPT, "script", "--params", &send_a_mail()]);
    let newer = file(&cli, "newer.wasm", build("1.0.1"));
    cli.json(0, &["agent", "install", &newer]);

    let done = approve(&cli, &waiting);
    assert!(done["card"]["body"].as_str().unwrap().contains("messages.send -> ok"), "{done}");
    let shown = cli.json(0, &["intent", "show", waiting["intent"].as_str().unwrap()]);
    assert_eq!(shown["agentDigest"], sha256(guest("guest-script")));

    let anew = cli.json(0, &["run", SCRIPT, "script", "--params", &send_a_mail()]);
    assert!(anew["card"]["body"].as_str().unwrap().contains("CAPABILITY_DENIED"), "{anew}");
    let shown = cli.json(0, &["intent", "show", anew["intent"].as_str().unwrap()]);
    assert_eq!(shown["agentDigest"], sha256(&newer));
}

#[test]
fn an_agent_in_use_is_not_removed() {
    let cli = Cli::new();
    cli.install("guest-script", "messages.send");
    let waiting = cli.json(3, &["run", SCRIPT, "script", "--params", &send_a_mail()]);
    assert_eq!(refused(&cli, &["agent", "remove", SCRIPT]).0, "AGENT_IN_USE");
    cli.json(0, &["intent", "cancel", waiting["intent"].as_str().unwrap()]);
    assert_eq!(cli.json(0, &["agent", "remove", SCRIPT]), json!({ "removed": SCRIPT }));
    assert_eq!(refused(&cli, &["agent", "show", SCRIPT]).0, "UNKNOWN_ID");
    assert_eq!(refused(&cli, &["agent", "remove", SCRIPT]).0, "UNKNOWN_ID");

    let installed = cli.json(0, &["agent", "install", guest("guest-script").to_str().unwrap()]);
    assert_eq!(installed["granted"], json!([]), "its grants went with it");
}

#[test]
fn an_agent_built_against_the_contract_as_first_published_runs_to_its_end() {
    let cli = Cli::new();
    let frozen = cli.install("guest-frozen", "messages.read,messages.send");
    let waiting = cli.json(3, &["run", &frozen, "any"]);
    assert_eq!(waiting["approval"]["binding"], "exact");
    let done = approve(&cli, &waiting);
    assert_eq!(done["card"]["title"], "Listed 0, looked up true, sent");
    assert_eq!(cli.json(0, &["mailbox", "sent"])["messages"][0]["body"], "As ever.");
}

#[test]
fn a_debug_build_is_an_agent_too() {
    let target = workspace().join("target/guests");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--target", "wasm32-wasip2", "--package", "guest-script"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(workspace())
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(built.success());
    let component: PathBuf = target.join("wasm32-wasip2/debug/guest_script.wasm");
    let cli = Cli::new();
    cli.json(0, &["agent", "install", component.to_str().unwrap(), "--grant", "messages.read"]);
    let steps = json!({ "steps": [{ "call": "messages.list" }] });
    let done = cli.json(0, &["run", SCRIPT, "script", "--params", &steps.to_string()]);
    assert_eq!(done["card"]["body"], "messages.list -> ok []");
}

#[test]
fn inspecting_says_what_an_agent_could_do_and_never_can() {
    let cli = Cli::new();
    let list = "call messages.list, once messages.read is granted";
    let send = "call messages.send, once messages.send is granted, for exactly what a person has approved";
    let asks = ["call approval.request", "call approval.result"];
    let sandbox = [
        "open a file, a socket or a URL, start a process, or read the environment",
        "see the real time or real randomness, or outlive its run",
    ];
    let everything = [&[list, send][..], &asks].concat();
    let never = |call: &str| format!("call {call}: it does not import it");
    let rows = [
        ("guest-script", everything.clone(), vec![]),
        ("guest-misbehaving", vec![list, send, asks[0]], vec![]),
        ("guest-frozen", everything, vec![]),
        ("send-report", vec![send, asks[0]], vec![never("messages.list")]),
        ("inbox-digest", vec![list], vec![never("messages.send")]),
    ];
    for (package, could, never) in rows {
        let shown = cli.json(0, &["inspect", guest(package).to_str().unwrap()]);
        let never: Vec<&str> = never.iter().map(String::as_str).chain(sandbox).collect();
        assert_eq!(shown["could"], json!(could), "{package}");
        assert_eq!(shown["never"], json!(never), "{package}");
        assert_eq!(shown["problems"], json!([]), "{package}");
        assert_eq!(shown["exports"], json!(["handle-intent"]), "{package}");
        let id = shown["manifest"]["id"].as_str().unwrap();
        assert!(id.ends_with(package.trim_start_matches("guest-")), "{id}");
    }
    let foreign =
        file(&cli, "foreign.wasm", wat(r#"(component (import "wasi:http/types@0.2.0" (instance)))"#));
    let problems = cli.json(0, &["inspect", &foreign])["problems"].take();
    let codes: Vec<_> = problems.as_array().unwrap().iter().map(|problem| problem["code"].clone()).collect();
    assert_eq!(codes, ["MANIFEST_MISSING", "FOREIGN_IMPORT"]);
}

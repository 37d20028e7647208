//! What is wrong is found where it lies, said in words, and nothing is made or changed by looking.

use crate::support::{Cli, Ended};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;

/// The findings about one thing: how each is, and what is said of it.
fn about(examined: &Value, what: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = examined["findings"].as_array().unwrap().iter();
    findings.filter(|it| it["about"] == what).map(|it| (text(&it["health"]), text(&it["text"]))).collect()
}

/// What is said of the bad findings about one thing.
fn bad(examined: &Value, what: &str) -> String {
    let bad = about(examined, what).into_iter().filter(|(health, _)| health == "bad");
    bad.map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// A folder that has been used.
fn used() -> Cli {
    let cli = Cli::new();
    cli.json(0, &["agent", "list"]);
    cli
}

fn configure(cli: &Cli, text: &str) {
    std::fs::write(cli.data().join("config.toml"), text).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_looked_for_and_not_made() {
    let cli = Cli::new();
    let examined = cli.json(0, &["doctor"]);
    assert_eq!(about(&examined, "data folder")[0].0, "warn");
    assert!(!cli.data().exists());
}

#[test]
fn what_is_as_it_should_be_is_said_to_be_so() {
    let cli = used();
    let examined = cli.json(0, &["doctor"]);
    assert_eq!(examined["bad"], 0, "{examined:#}");
    for what in ["configuration", "data folder", "database", "disk", "clock", "limits", "mail", "processes"] {
        assert!(!about(&examined, what).is_empty(), "{what}: {examined:#}");
    }
    let drawn = cli.run(&["doctor"]).stdout;
    assert!(drawn.contains("ok    database: write-ahead log, synced with every commit"), "{drawn}");
    assert!(drawn.lines().all(|line| ["ok  ", "warn", "bad ", "    "].contains(&&line[..4])), "{drawn}");
}

#[test]
fn a_damaged_database_is_found_and_left_as_it_is() {
    let cli = used();
    let path = cli.data().join("countersign.db");
    std::fs::write(&path, "no database").unwrap();
    let examined = cli.json(4, &["doctor"]);
    assert!(bad(&examined, "database").contains("cannot be read"), "{examined:#}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no database");
}

#[test]
fn a_configuration_that_would_be_refused_is_told_by_line_and_key() {
    let cli = used();
    configure(&cli, "\n[serve]\nruns = 0\n");
    let examined = cli.json(4, &["doctor"]);
    assert!(bad(&examined, "configuration").contains("line 3: serve.runs"), "{examined:#}");
}

#[test]
fn what_others_could_read_or_write_is_told() {
    let cli = used();
    std::fs::set_permissions(cli.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    configure(&cli, "");
    let config = cli.data().join("config.toml");
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    let examined = cli.json(4, &["doctor"]);
    assert!(bad(&examined, "data folder").contains("others can look into"), "{examined:#}");
    assert!(bad(&examined, "configuration").contains("others may write"), "{examined:#}");
}

#[test]
fn a_way_of_mail_that_would_fail_is_told_before_anything_is_sent() {
    let cli = used();
    configure(
        &cli,
        "[users.ada]\naddress = \"a@b\"\nsend = { by = \"smtp\", host = \"localhost\", username = \"a\", \
         password_env = \"COUNTERSIGN_TEST_UNSET\" }\n\
         [users.bob]\naddress = \"b@b\"\nsend = { by = \"command\", command = [\"/no/such/program\"] }\n\
         [users.cid]\naddress = \"c@b\"\nsend = { by = \"command\", command = [\"/bin/true\"] }\n",
    );
    let examined = cli.json(4, &["doctor"]);
    let told = bad(&examined, "mail");
    assert!(told.contains("ada: the environment variable COUNTERSIGN_TEST_UNSET is not set"), "{told}");
    assert!(told.contains("bob: /no/such/program"), "{told}");
    assert!(!told.contains("cid"), "{told}");
}

#[test]
fn a_certificate_is_held_against_its_key_and_the_time() {
    let cli = used();
    let place = |name: &str| cli.scratch().join(name);
    let made = |name: &str, year: i32| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(year, 1, 2);
        let certificate = parameters.self_signed(&key).unwrap();
        std::fs::write(place(&format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(place(&format!("{name}.key")), key.serialize_pem()).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(place(&format!("{name}.key")), private).unwrap();
    };
    // Before 2050 the time is written in another form than after.
    made("old", 2021);
    made("new", 2049);
    made("far", 2060);
    let examine = |code: i32, cert: &str, key: &str| {
        let (cert, key) = (place(cert), place(key));
        configure(&cli, &format!("[serve]\ntls_cert = {cert:?}\ntls_key = {key:?}\n"));
        about(&cli.json(code, &["doctor"]), "serve")
    };
    assert!(examine(0, "new.crt", "new.key")[0].1.contains("ends at 2049-01-02T00:00:00"));
    assert!(examine(0, "far.crt", "far.key")[0].1.contains("ends at 2060-01-02T00:00:00"));
    assert!(examine(4, "old.crt", "old.key")[0].1.contains("ended at 2021-01-02T00:00:00"));
    assert!(examine(4, "new.crt", "far.key")[0].1.contains("cannot be used"));
    assert!(examine(4, "none.crt", "far.key")[0].1.contains("cannot read"));
    assert!(examine(4, "new.key", "new.key")[0].1.contains("has no certificate in it"));
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place("new.key"), open).unwrap();
    assert!(examine(4, "new.crt", "new.key")[0].1.contains("others can read the key"));
}

#[test]
fn limits_that_are_too_tight_are_told() {
    let cli = used();
    let program = env!("CARGO_BIN_EXE_countersign");
    let limited = |limit: &str| {
        let line = format!("ulimit {limit} && exec {program} --json doctor");
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .env("COUNTERSIGN_DATA", cli.data())
            .output()
            .unwrap();
        let ended = Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        (ended.code, about(&ended.json(), "limits"))
    };
    let has = |(_, told): &(i32, Vec<(String, String)>), health: &str, text: &str| {
        told.iter().any(|it| it.0 == health && it.1.contains(text))
    };
    let files = limited("-S -n 100");
    assert!(has(&files, "warn", "at most 100 files"), "{files:?}");
    let size = limited("-S -f 2000");
    assert!(size.0 == 4 && has(&size, "bad", "a file can have"), "{size:?}");
    let space = limited("-S -v 4000000");
    assert!(has(&space, "warn", "agents start slower"), "{space:?}");
}

#[test]
fn a_log_in_json_is_one_document_a_line_and_says_whose_business_each_is() {
    let cli = Cli::new();
    let agent = cli.install("send-report", "messages.send");
    configure(&cli, "[notify]\ncommand = [\"/bin/false\"]\n");
    let ended = cli.run(&["--log-format", "json", "--json", "run", &agent, "send_report"]);
    assert_eq!(ended.code, 3, "{ended:#?}");
    let lines: Vec<Value> = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = lines.iter().find(|line| line["level"] == "WARN").unwrap_or_else(|| panic!("{ended:#?}"));
    assert_eq!(told["blame"], "operator");
    assert!(told["timestamp"].is_string() && told["message"].is_string(), "{told}");
}

/// The commands a text names, as they stand between backquotes.
fn commands(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn what_is_to_be_done_can_be_pasted_whatever_the_folder_is_called() {
    let cli = Cli::new();
    let data = cli.scratch().join("it's my data");
    let config = cli.scratch().join("a config $HOME.toml");
    std::fs::write(&config, "[users.ada]\naddress = \"ada@example.com\"\n").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o666)).unwrap();
    let given = [
        "--data",
        data.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--tenant",
        "acme",
        "--user",
        "ada",
    ];
    let run = |arguments: &[&str]| cli.run(&[&given[..], arguments].concat());
    assert_eq!(run(&["agent", "list"]).code, 0);
    let backup = cli.scratch().join("a backup");
    assert_eq!(run(&["backup", backup.to_str().unwrap()]).code, 0);
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(data.join("countersign.db"), "no database").unwrap();

    let cures = || -> Vec<String> {
        let examined = run(&["--json", "doctor"]).json();
        let findings = examined["findings"].as_array().unwrap();
        findings.iter().filter_map(|it| it["cure"].as_str()).flat_map(commands).collect()
    };
    let shell = |command: &str| {
        let program = env!("CARGO_BIN_EXE_countersign");
        // What stands for what only a person knows is a word in capitals.
        let file = format!("'{}'", backup.display());
        let command =
            command.replacen("countersign ", &format!("{program} "), 1).replace(" FILE", &format!(" {file}"));
        let done = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
        (command, done)
    };
    let named = cures();
    assert!(named.iter().any(|command| command.starts_with("chmod -R go-rwx ")), "{named:#?}");
    assert!(named.iter().any(|command| command.starts_with("chmod go-w ")), "{named:#?}");
    assert!(
        named.iter().any(|command| command.starts_with("countersign ") && command.contains(" restore ")),
        "{named:#?}"
    );
    for command in named.iter().filter(|command| !command.starts_with("ulimit")) {
        let (command, done) = shell(command);
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }
    let left = cures();
    assert!(left.iter().all(|command| !command.starts_with("chmod")), "{left:#?}");
    // The backup is where it said.
    let restored = format!("{}.restored", data.display());
    assert_eq!(cli.run(&["--data", &restored, "agent", "list"]).code, 0);
}

#[test]
fn on_a_full_disk_room_is_the_first_thing_that_is_asked_for() {
    let cli = Cli::new();
    let disk = cli.scratch().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");
    // A disk of its own, in a namespace of its own, full to the last byte once the folder is there.
    let script = format!(
        "mount -t tmpfs -o size=4m tmpfs {disk} && echo mounted >&2 && {program} --data {disk}/data agent list >/dev/null \
         && (cat /dev/zero > {disk}/zeros 2>/dev/null; exec {program} --json --data {disk}/data doctor)",
        disk = disk.display()
    );
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .env("XDG_CACHE_HOME", crate::support::workspace().join("target/test-cache"))
        .output();
    let Some(output) = output.ok().filter(|it| String::from_utf8_lossy(&it.stderr).contains("mounted"))
    else {
        eprintln!("SKIPPED: needs unshare, and may not mount a disk");
        return;
    };
    let examined: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let cures: Vec<_> =
        examined["findings"].as_array().unwrap().iter().filter_map(|it| it["cure"].as_str()).collect();
    assert!(cures[0].starts_with("make room"), "{examined:#}");
    // Nothing is advised that would need the disk.
    let needs = ["restore", "chmod", "backup"];
    assert!(cures.iter().all(|cure| needs.iter().all(|need| !cure.contains(need))), "{cures:#?}");
    assert_eq!(output.status.code(), Some(4));
}

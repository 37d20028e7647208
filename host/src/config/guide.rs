//! The rows of the operator's guide: one for every key, with the bounds and defaults that are in force.

use super::file::KEYS;
use super::*;
use crate::approval::policy::HOUR_MS;

/// What stands in a row: the key, and the cells behind it.
type Row = (&'static str, Vec<String>);

fn row<const N: usize>(key: &'static str, cells: [&str; N]) -> Row {
    (key, cells.map(str::to_owned).to_vec())
}

/// Every row, in the order of [`KEYS`].
fn rows() -> Vec<Row> {
    let approval = |text: &str| {
        let (free, strict) = policies(text);
        assert!(!free.is_stricter_than(&strict));
        (free, strict)
    };
    let (free, strict) = approval("");
    let hours = |ms: i64| ms / HOUR_MS;
    let serve = Serve::default();
    let (send, notify) = (SEND_SECONDS, Config::default().notify.timeout.as_secs());
    let either = |is_on: bool| if is_on { "`true`" } else { "`false`" };
    let only = |allowed: bool| if allowed { "`true`" } else { "`false`, and cannot be `true`" };
    vec![
        row("cache", ["the folder compiled agents are cached in", "the platform's, `~/.cache/countersign`"]),
        row("approval.policy", ["`\"default\"` or `\"strict\"`", "", ""]),
        row(
            "approval.recipients",
            [
                &format!(
                    "whom mail may go to: at most {} patterns of at most {RECIPIENT_PATTERN_BYTES_MAX} bytes, in which `*` \
                     stands for anything. An empty list allows nobody",
                    thousands(RECIPIENT_PATTERNS_MAX as u64)
                ),
                "anybody",
                "must be written",
            ],
        ),
        row("approval.html", ["whether a body may be HTML", only(free.html), only(strict.html)]),
        row(
            "approval.mixed_directions",
            [
                "whether a subject or a line of a body may mix letters from the right, as of Hebrew and Arabic, with other letters \
                 or digits: its order depends on who reads it",
                only(free.mixed_directions),
                only(strict.mixed_directions),
            ],
        ),
        row(
            "approval.hold",
            [
                "whether a person may be asked before the message is known. Such a yes lets the run go on, and the message is \
                 asked about again",
                only(free.hold),
                only(strict.hold),
            ],
        ),
        row(
            "approval.pending_hours",
            [
                "how long an approval may stay undecided, and then unused",
                &format!("{}, from 1 to {}", hours(free.pending_ms), hours(PENDING_MS_MAX)),
                &format!("{}, from 1 to {}", hours(strict.pending_ms), hours(STRICT_PENDING_MS_MAX)),
            ],
        ),
        row(
            "approval.pending_per_agent",
            [
                "how many approvals of one agent for the same user may wait; a run that would ask beyond stands in line, and goes on in its turn",
                &format!("{PENDING_PER_AGENT}, from 1 to {}", thousands(PENDING_PER_AGENT_MAX.into())),
                &PENDING_PER_AGENT.to_string(),
            ],
        ),
        row(
            "approval.four_eyes",
            [
                "whether a second person signs: whoever gave the intent to the agent, and whoever the message leaves for, does not",
                either(free.four_eyes.everybody),
                either(strict.four_eyes.everybody),
            ],
        ),
        row(
            "approval.four_eyes_for",
            [
                &format!(
                    "the same for some: `\"tenant:NAME\"`, `\"agent:ID\"`, `\"account:ADDRESS\"`, at most {}",
                    thousands(FOUR_EYES_FOR_MAX as u64)
                ),
                "nobody",
                "nobody",
            ],
        ),
        row("users.NAME.address", ["the account their mail leaves from", "must be written"]),
        row(
            "users.NAME.send.by",
            [
                "`\"embedded\"`: mail stays in the embedded mailbox; `\"smtp\"`; `\"command\"`",
                "`\"embedded\"`",
            ],
        ),
        row(
            "users.NAME.send.host",
            ["its name, which its certificate must show, or its IP address", "must be written"],
        ),
        row(
            "users.NAME.send.port",
            [
                "its port, from 1 to 65535",
                &format!(
                    "{} with `\"tls\"`, {} with `\"starttls\"`, {} with `\"none\"`",
                    port(Tls::Tls),
                    port(Tls::Starttls),
                    port(Tls::None)
                ),
            ],
        ),
        row(
            "users.NAME.send.tls",
            [
                "`\"starttls\"`, and a server that does not offer it is refused; `\"tls\"`: from the first byte; `\"none\"`: \
                 only to `localhost`, `127.0.0.1` or `::1`, and without a login",
                "`\"starttls\"`",
            ],
        ),
        row("users.NAME.send.username", ["who we are to it", "no login"]),
        row("users.NAME.send.password_env", ["the environment variable that holds the password", ""]),
        row("users.NAME.send.password_file", ["the file that holds the password", ""]),
        row(
            "users.NAME.send.ca_file",
            ["certificates to trust beside the system's, PEM", "the system's alone"],
        ),
        row(
            "users.NAME.send.command",
            [
                "a program by its absolute path, and its arguments, in which `{from}` stands for the sender. `--` and the \
                 recipients follow; the message is its standard input",
                "must be written",
            ],
        ),
        row(
            "users.NAME.send.timeout_seconds",
            [
                &format!(
                    "how long each step may take, from 1 to {SEND_SECONDS_MAX}; of a command, how long it may take altogether"
                ),
                &send.to_string(),
            ],
        ),
        row(
            "users.NAME.send.retry_hours",
            [
                "for how many hours a message is offered that is not taken for now, by a server or by a command",
                &format!("{}, from 1 to {}", hours(RETRY_MS), hours(RETRY_MS_MAX)),
            ],
        ),
        row("tenants.NAME.users", ["users of another tenant, each as `[users.NAME]` says", "none"]),
        row(
            "notify.command",
            [
                "a program by its absolute path, and its arguments, in which `{approval}`, `{intent}` and `{agent}` are filled in",
                "none",
            ],
        ),
        row(
            "notify.webhook",
            ["a URL that gets a POST: https, or http to `localhost`, `127.0.0.1` or `[::1]`", "none"],
        ),
        row("notify.link", ["where a person can look at an approval: a URL with `{approval}` in it", "none"]),
        row(
            "notify.timeout_seconds",
            [&format!("how long either may take, from 1 to {NOTIFY_SECONDS_MAX}"), &notify.to_string()],
        ),
        row(
            "serve.listen",
            [
                "the address and port to listen on. One that is not of this machine alone needs `tls_cert` and `tls_key`, or \
                 `behind_proxy = true`",
                &format!("`\"{}\"`", serve.listen),
            ],
        ),
        row(
            "serve.url",
            [
                "what people type, a scheme, a name and a port: https, or http to `localhost`, `127.0.0.1` or `[::1]`. Must be \
                 written with `behind_proxy = true`, and where `listen` is every address there is",
                &format!("from `listen`: `\"{}\"`", serve.origin(serve.listen)),
            ],
        ),
        row("serve.tls_cert", ["the certificate to show, and those that vouch for it, PEM", "no TLS"]),
        row("serve.tls_key", ["its private key, PEM; a file that others can read is refused", "no TLS"]),
        row(
            "serve.behind_proxy",
            [
                "whether a proxy in front speaks TLS, and says who is asking",
                &format!("`{}`", serve.behind_proxy),
            ],
        ),
        row(
            "serve.runs",
            [
                &format!("how many runs execute at a time, from 1 to {}", thousands(RUNS_MAX.into())),
                &serve.runs.to_string(),
            ],
        ),
        row(
            "serve.requests_per_minute",
            [
                &format!(
                    "how many requests a minute each session or each token has, from 1 to {}",
                    thousands(REQUESTS_PER_MINUTE_MAX.into())
                ),
                &serve.requests_per_minute.to_string(),
            ],
        ),
        row(
            "serve.log",
            [
                "how the log is written: `\"text\"`, or `\"json\"`, one document a line",
                &format!("`\"{}\"`", Log::CHOICES.iter().find(|(_, log)| *log == serve.log).unwrap().0),
            ],
        ),
        row(
            "serve.grace_seconds",
            [
                &format!("how long to wait for what is on its way at the end, from 0 to {GRACE_SECONDS_MAX}"),
                &serve.grace.as_secs().to_string(),
            ],
        ),
    ]
}

/// What is in force where nothing is said, and where nothing but `strict` is.
fn policies(more: &str) -> (Policy, Policy) {
    let read = |policy: &str| Config::parse(&format!("[approval]\n{policy}{more}")).unwrap().policy;
    (read(""), read("policy = \"strict\"\nrecipients = []\n"))
}

fn port(tls: Tls) -> u16 {
    let names = [(Tls::Tls, "tls"), (Tls::Starttls, "starttls"), (Tls::None, "none")];
    let name = names.iter().find(|(known, _)| *known == tls).unwrap().1;
    let send = format!("{{ by = \"smtp\", host = \"localhost\", tls = \"{name}\" }}");
    let config = Config::parse(&format!("users.a = {{ address = \"a@b\", send = {send} }}")).unwrap();
    match config.way("a") {
        Way::Smtp(submission) => submission.port,
        other => panic!("{other:?}"),
    }
}

/// A number as people read it: 1,000.
fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

#[test]
fn the_operators_guide_has_a_row_for_every_key_and_no_other_and_it_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("OPERATING.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let rows = rows();
    assert_eq!(rows.iter().map(|(key, _)| *key).collect::<Vec<_>>(), KEYS);
    let key = |line: &str| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned());
    let mut stand: Vec<_> = guide.lines().filter_map(key).collect();
    // Which table a key stands in is the guide's; that it stands in one, and once, is not.
    stand.sort_unstable();
    let mut keys = KEYS.to_vec();
    keys.sort_unstable();
    assert_eq!(
        stand, keys,
        "the left are the rows of OPERATING.md: write the line `| `KEY` |` where a key belongs"
    );
    let written = |line: &str| {
        let Some(key) = key(line) else { return line.to_owned() };
        let (_, cells) = rows.iter().find(|(known, _)| *known == key).unwrap();
        cells.iter().fold(format!("| `{key}` |"), |row, cell| match cell.is_empty() {
            true => row + " |",
            false => format!("{row} {cell} |"),
        })
    };
    let generated = guide.lines().map(|line| written(line) + "\n").collect::<String>();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &generated).unwrap();
        return;
    }
    for (line, expected) in guide.lines().zip(generated.lines()) {
        assert_eq!(line, expected, "run the test with BLESS=1 to write OPERATING.md");
    }
}

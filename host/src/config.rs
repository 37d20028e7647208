//! What an operator may set, in one TOML file.

mod file;
#[cfg(test)]
mod guide;
mod serve;

pub use file::KEYS;
pub(crate) use serve::certificates;
pub use serve::{Certificate, GRACE_SECONDS_MAX, Log, REQUESTS_PER_MINUTE_MAX, RUNS_MAX, Serve};

use crate::approval::address;
use crate::approval::four_eyes::{FourEyes, Whom};
use crate::approval::outbox::{RETRY_MS, RETRY_MS_MAX};
use crate::approval::policy::{HOUR_MS, PENDING_MS, PENDING_MS_MAX, Policy, STRICT_PENDING_MS_MAX};
use crate::approval::{PENDING_PER_AGENT, PENDING_PER_AGENT_MAX};
use crate::authority::Pattern;
use crate::clock::Millis;
use crate::people::{Owner, TENANT};
use crate::printable::short;
use crate::refusals::{Code, Problem, Result};
use file::{Entry, Table};
use reqwest::Url;
use rustls::pki_types::ServerName;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest configuration file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// How many patterns may say whom mail may go to.
pub const RECIPIENT_PATTERNS_MAX: usize = 1_000;
/// The longest of them, in bytes: no address is longer, RFC 3696, erratum 1690.
pub const RECIPIENT_PATTERN_BYTES_MAX: usize = 254;
/// How many tenants, agents and accounts may be named for which a second person signs.
pub const FOUR_EYES_FOR_MAX: usize = 1_000;
/// The longest a step of sending may take.
pub const SEND_SECONDS_MAX: u16 = 300;
/// The longest a notification may take.
pub const NOTIFY_SECONDS_MAX: u16 = 60;

/// How long a step of sending may take, where the operator does not say.
const SEND_SECONDS: u16 = 30;
/// How long a notification may take, where the operator does not say.
const NOTIFY_SECONDS: u16 = 10;

/// What an operator may set. Everything has a default; unknown keys are errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The people this host works for, by name.
    pub users: BTreeMap<String, User>,
    /// Those of other tenants, by tenant.
    pub tenants: BTreeMap<String, BTreeMap<String, User>>,
    /// Where compiled agents are cached; by default the platform's cache folder.
    pub cache: Option<PathBuf>,
    /// What may leave at all.
    pub policy: Policy,
    /// How many approvals of one agent may wait for the same person; further runs stand in line.
    pub pending_per_agent: u32,
    /// How people hear that something waits for them.
    pub notify: Notify,
    /// How a server serves.
    pub serve: Serve,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            users: BTreeMap::new(),
            tenants: BTreeMap::new(),
            cache: None,
            policy: Policy::default(),
            pending_per_agent: PENDING_PER_AGENT,
            notify: Notify::default(),
            serve: Serve::default(),
        }
    }
}

/// How people hear that something waits for them. They are told an id and, where there is one, a link: never what is in a message,
/// and nothing that would decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Notify {
    /// A program and its arguments, in which `{approval}`, `{intent}` and `{agent}` are filled in; it gets the same as JSON on its standard input.
    pub command: Option<Vec<String>>,
    /// A URL that gets the same JSON by POST: https, or http to this machine itself.
    pub webhook: Option<String>,
    /// Where a person can look at an approval: a URL with `{approval}` in it.
    pub link: Option<String>,
    /// How long either may take.
    pub timeout: Duration,
}

impl Default for Notify {
    fn default() -> Notify {
        Notify { command: None, webhook: None, link: None, timeout: seconds(NOTIFY_SECONDS) }
    }
}

/// One person.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The account their mail leaves from.
    pub address: String,
    /// How it leaves.
    pub way: Way,
}

/// How the mail of a user leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Way {
    /// It stays in the embedded mailbox.
    #[default]
    Embedded,
    /// A submission server takes it, RFC 6409.
    Smtp(Submission),
    /// A program takes it, as `sendmail` does.
    Command(Program),
}

impl Way {
    /// For how long a message is offered that is not taken for now.
    pub fn retry_ms(&self) -> Millis {
        match self {
            Way::Embedded => RETRY_MS,
            Way::Smtp(submission) => submission.retry_ms,
            Way::Command(program) => program.retry_ms,
        }
    }
}

/// A submission server.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// Its name, which its certificate must show.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Who we are to it.
    pub login: Option<Login>,
    /// Certificates to trust beside the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// How long each step may take.
    pub timeout: Duration,
    /// For how long a message is offered that it does not take for now.
    pub retry_ms: Millis,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte.
    Tls,
    /// From the STARTTLS command on; a server that does not offer it is refused.
    Starttls,
    /// Not at all: only to this machine itself.
    None,
}

/// A name, and where its password is.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// The name.
    pub username: String,
    /// Where the password is. It is read when it is needed and kept nowhere.
    pub password: Password,
}

/// Where a password is.
#[derive(Clone, Debug, PartialEq)]
pub enum Password {
    /// In an environment variable of this name.
    Env(String),
    /// In a file only its owner can read.
    File(PathBuf),
}

/// A program that takes mail on its standard input and recipients as arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// The program and its arguments; `{from}` stands for the sender. `--` and the recipients follow.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
    /// For how long a message is offered that it could not be given for now.
    pub retry_ms: Millis,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming key and line, or that the file is larger than [`CONFIG_BYTES_MAX`] or is not UTF-8.
    pub fn load(path: &Path) -> Result<Config> {
        let unreadable = |error: std::io::Error| {
            Problem::new(Code::ConfigInvalid, format!("cannot read {}: {error}", path.display()))
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mut text = String::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
        if text.len() as u64 > CONFIG_BYTES_MAX {
            let message = format!("{} is larger than {CONFIG_BYTES_MAX} bytes", path.display());
            return Err(Problem::new(Code::ConfigInvalid, message).hint("make it shorter").into());
        }
        Ok(Config::parse(&text).map_err(|problem| Problem {
            message: format!("{}: {}", path.display(), problem.message),
            ..problem
        })?)
    }

    fn parse(text: &str) -> Result<Config, Problem> {
        let mut file = file::read(text)?;
        let cache = file.take("cache").map(|entry| entry.path()).transpose()?;
        let (policy, pending_per_agent) = file
            .table("approval")?
            .map(approval)
            .transpose()?
            .unwrap_or((Policy::default(), PENDING_PER_AGENT));
        let notify = file.table("notify")?.map(notify).transpose()?.unwrap_or_default();
        let serve = file.table("serve")?.map(serve::serve).transpose()?.unwrap_or_default();
        let local = file.table("users")?.map(users).transpose()?.unwrap_or_default();
        let mut tenants = BTreeMap::new();
        for (name, mut table) in file.table("tenants")?.map(Table::named).transpose()?.unwrap_or_default() {
            check_name(&table, &name)?;
            if name == TENANT {
                let instead = "write its users as `[users.NAME]`";
                return Err(table.wrong("the first tenant is not listed here", instead));
            }
            tenants.insert(name, table.table("users")?.map(users).transpose()?.unwrap_or_default());
        }
        Ok(Config { users: local, tenants, cache, policy, pending_per_agent, notify, serve })
    }

    fn user(&self, Owner { tenant, user }: Owner<'_>) -> Option<&User> {
        match tenant {
            TENANT => self.users.get(user),
            _ => self.tenants.get(tenant)?.get(user),
        }
    }

    /// The account mail of a user leaves from.
    pub fn address<'a>(&self, owner: impl Into<Owner<'a>>) -> String {
        let owner = owner.into();
        self.user(owner).map_or_else(|| format!("{}@localhost", owner.user), |user| user.address.clone())
    }

    /// How the mail of a user leaves.
    pub fn way<'a>(&self, owner: impl Into<Owner<'a>>) -> &Way {
        self.user(owner.into()).map_or(&Way::Embedded, |user| &user.way)
    }
}

/// Whether `name` can be a user's name.
///
/// # Errors
///
/// `CONFIG_INVALID`, saying what a name may be made of.
pub fn check_user(name: &str) -> Result<(), Problem> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if name.is_empty() || name.len() > 32 || !name.bytes().all(fits) {
        let message = format!("`{}` is no user name", short(name, 32));
        return Err(Problem::new(Code::ConfigInvalid, message)
            .hint("a name has 1 to 32 lower-case letters, digits, `-` and `_`"));
    }
    Ok(())
}

fn check_name(table: &Table, name: &str) -> Result<(), Problem> {
    check_user(name).map_err(|problem| table.wrong(&problem.message, problem.hint.unwrap_or_default()))
}

fn users(table: Table) -> Result<BTreeMap<String, User>, Problem> {
    let mut users = BTreeMap::new();
    for (name, table) in table.named()? {
        check_name(&table, &name)?;
        users.insert(name, user(table)?);
    }
    Ok(users)
}

fn seconds(number: u16) -> Duration {
    Duration::from_secs(number.into())
}

fn approval(mut table: Table) -> Result<(Policy, u32), Problem> {
    let pending = table.take("pending_per_agent").map(|entry| entry.number(1..=PENDING_PER_AGENT_MAX));
    let pending = pending.transpose()?.map_or(PENDING_PER_AGENT, u32::from);
    Ok((policy(table)?, pending))
}

fn policy(mut table: Table) -> Result<Policy, Problem> {
    let choices = [("default", false), ("strict", true)];
    let is_strict = table.take("policy").map(|entry| entry.choice(&choices)).transpose()?.unwrap_or(false);
    let recipients = table.take("recipients").map(|entry| recipients(&entry)).transpose()?;
    if is_strict && recipients.is_none() {
        let why = "`policy = \"strict\"` sends to listed recipients only";
        return Err(table.missing("recipients", why, "list them: `recipients = [\"*@example.com\"]`"));
    }
    let mut flag = |key: &str| -> Result<bool, Problem> {
        let Some(entry) = table.take(key) else { return Ok(!is_strict) };
        let value = entry.flag()?;
        if value && is_strict {
            let what = "cannot be true with `policy = \"strict\"`";
            return Err(entry.wrong(what, "leave it out, or write `policy = \"default\"`"));
        }
        Ok(value)
    };
    let (html, hold, mixed_directions) = (flag("html")?, flag("hold")?, flag("mixed_directions")?);
    let (default, max) = match is_strict {
        true => (STRICT_PENDING_MS_MAX, STRICT_PENDING_MS_MAX),
        false => (PENDING_MS, PENDING_MS_MAX),
    };
    let hours_max = u16::try_from(max / HOUR_MS).unwrap_or(u16::MAX);
    let hours = table.take("pending_hours").map(|entry| entry.number(1..=hours_max)).transpose()?;
    let pending_ms = hours.map_or(default, |hours| i64::from(hours) * HOUR_MS);
    let everybody = table.take("four_eyes").map(|entry| entry.flag()).transpose()?.unwrap_or(is_strict);
    let of = table.take("four_eyes_for").map(|entry| whom(&entry)).transpose()?.unwrap_or_default();
    let four_eyes = FourEyes { everybody, of };
    Ok(Policy { hold, html, mixed_directions, recipients, pending_ms, four_eyes })
}

fn whom(list: &Entry) -> Result<Vec<Whom>, Problem> {
    let entries = list.list()?;
    if entries.len() > FOUR_EYES_FOR_MAX {
        let what = format!("has more than {FOUR_EYES_FOR_MAX} entries");
        return Err(list.wrong(what, "write `four_eyes = true`, which holds for everybody"));
    }
    let read = |entry: &Entry| {
        Whom::read(&entry.text()?).ok_or_else(|| {
            let instead = "write `tenant:NAME`, `agent:ID` or `account:ADDRESS`";
            entry.wrong("says neither a tenant nor an agent nor an account", instead)
        })
    };
    entries.iter().map(read).collect()
}

fn recipients(list: &Entry) -> Result<Vec<Pattern>, Problem> {
    let entries = list.list()?;
    if entries.len() > RECIPIENT_PATTERNS_MAX {
        let what = format!("has more than {RECIPIENT_PATTERNS_MAX} patterns");
        return Err(list.wrong(what, "cover several addresses by one: `*@example.com`"));
    }
    let pattern = |entry: &Entry| {
        let text = entry.text()?;
        if text.len() > RECIPIENT_PATTERN_BYTES_MAX {
            let what = format!("is longer than {RECIPIENT_PATTERN_BYTES_MAX} bytes");
            return Err(entry.wrong(what, "no address is that long: shorten it"));
        }
        // A pattern no address can match would forbid without a word what it was meant to allow.
        if !address::is_coverable(&text) {
            return Err(entry.wrong(
                format!("no address that mail can be sent to is like `{}`", short(&text, 60)),
                "write an address, or a pattern such as `*@example.com`",
            ));
        }
        Ok(Pattern::new(text))
    };
    entries.iter().map(pattern).collect()
}

fn user(mut table: Table) -> Result<User, Problem> {
    let Some(entry) = table.take("address") else {
        let why = "mail of this user leaves from it";
        return Err(table.missing("address", why, "add `address = \"ada@example.com\"`"));
    };
    let address = entry.text()?;
    if !address::is_valid(&address) {
        let what = format!("`{}` is no address", short(&address, 254));
        return Err(entry.wrong(what, "write it as `ada@example.com`, without a name"));
    }
    let way = table.table("send")?.map(way).transpose()?.unwrap_or_default();
    Ok(User { address, way })
}

fn way(mut table: Table) -> Result<Way, Problem> {
    let choices = [("embedded", By::Embedded), ("smtp", By::Smtp), ("command", By::Command)];
    let by = table.take("by").map(|entry| entry.choice(&choices)).transpose()?.unwrap_or(By::Embedded);
    let way = match by {
        By::Embedded => Way::Embedded,
        By::Smtp => Way::Smtp(submission(&mut table)?),
        By::Command => Way::Command(program(&mut table)?),
    };
    // A server's name beside `by = "command"` is a misunderstanding about where mail goes.
    let why = match by {
        By::Embedded => "means nothing with `by = \"embedded\"`, which is the default",
        By::Smtp => "means nothing with `by = \"smtp\"`",
        By::Command => "means nothing with `by = \"command\"`",
    };
    table.nothing_else(why, "remove it, or write the `by` it belongs to")?;
    Ok(way)
}

#[derive(Clone, Copy)]
enum By {
    Embedded,
    Smtp,
    Command,
}

fn submission(table: &mut Table) -> Result<Submission, Problem> {
    let Some(at) = table.take("host") else {
        let why = "`by = \"smtp\"` needs a server";
        return Err(table.missing("host", why, "add `host = \"smtp.example.com\"`"));
    };
    let host = at.text()?;
    if ServerName::try_from(host.as_str()).is_err() {
        let what = format!("`{}` is no name of a server", short(&host, 60));
        return Err(at.wrong(what, "write a host name or an IP address, and the port under `port`"));
    }
    let choices = [("starttls", Tls::Starttls), ("tls", Tls::Tls), ("none", Tls::None)];
    let entry = table.take("tls");
    let tls = entry.as_ref().map(|entry| entry.choice(&choices)).transpose()?.unwrap_or(Tls::Starttls);
    if let (Some(entry), Tls::None, false) = (&entry, tls, is_loopback(&host)) {
        let what = format!("`none` would send mail readable to everybody between here and `{host}`");
        return Err(entry.wrong(
            what,
            "write \"starttls\" or \"tls\"; \"none\" is for `localhost`, `127.0.0.1` and `::1`",
        ));
    }
    let port = match (table.take("port"), tls) {
        (Some(entry), _) => entry.number(1..=u16::MAX)?,
        (None, Tls::Tls) => 465,
        (None, Tls::Starttls) => 587,
        (None, Tls::None) => 25,
    };
    let login = login(table, tls)?;
    let ca_file = table.take("ca_file").map(|entry| entry.path()).transpose()?;
    Ok(Submission {
        host,
        port,
        tls,
        login,
        ca_file,
        timeout: timeout(table, SEND_SECONDS, SEND_SECONDS_MAX)?,
        retry_ms: retry(table)?,
    })
}

fn login(table: &mut Table, tls: Tls) -> Result<Option<Login>, Problem> {
    let username = table.take("username");
    let (env, file) = (table.take("password_env"), table.take("password_file"));
    let Some(username) = username else {
        let Some(password) = env.or(file) else { return Ok(None) };
        return Err(password.wrong("is for nobody: there is no `username`", "add `username`, or remove this"));
    };
    let name = username.text()?;
    if tls == Tls::None {
        let what = "a password may not go over a connection with `tls = \"none\"`";
        return Err(username.wrong(what, "remove it, or write \"starttls\" or \"tls\" there"));
    }
    let password = match (env, file) {
        (Some(entry), None) => {
            let variable = entry.text()?;
            if variable.contains('=') {
                return Err(
                    entry.wrong("no variable has `=` in its name", "write the name alone, not the password")
                );
            }
            Password::Env(variable)
        }
        (None, Some(entry)) => Password::File(entry.path()?),
        (Some(_), Some(file)) => {
            return Err(file.wrong("there is `password_env` too", "remove one of the two"));
        }
        (None, None) => {
            let what = "there is no password to this name";
            return Err(username.wrong(what, "say where it is: `password_env` or `password_file`"));
        }
    };
    Ok(Some(Login { username: name, password }))
}

fn program(table: &mut Table) -> Result<Program, Problem> {
    let Some(entry) = table.take("command") else {
        let why = "`by = \"command\"` needs a program";
        let instead = "add `command = [\"/usr/sbin/sendmail\", \"-i\", \"-f\", \"{from}\"]`";
        return Err(table.missing("command", why, instead));
    };
    let command = entry.command()?;
    let timeout = timeout(table, SEND_SECONDS, SEND_SECONDS_MAX)?;
    Ok(Program { command, timeout, retry_ms: retry(table)? })
}

fn retry(table: &mut Table) -> Result<Millis, Problem> {
    let hours_max = u16::try_from(RETRY_MS_MAX / HOUR_MS).unwrap_or(u16::MAX);
    let hours = table.take("retry_hours").map(|entry| entry.number(1..=hours_max)).transpose()?;
    Ok(hours.map_or(RETRY_MS, |hours| Millis::from(hours) * HOUR_MS))
}

fn timeout(table: &mut Table, default: u16, max: u16) -> Result<Duration, Problem> {
    let number = table.take("timeout_seconds").map(|entry| entry.number(1..=max)).transpose()?;
    Ok(seconds(number.unwrap_or(default)))
}

fn notify(mut table: Table) -> Result<Notify, Problem> {
    let command = table.take("command").map(|entry| entry.command()).transpose()?;
    let webhook = table.take("webhook").map(|entry| webhook(&entry)).transpose()?;
    let link = table.take("link").map(|entry| link(&entry)).transpose()?;
    Ok(Notify { command, webhook, link, timeout: timeout(&mut table, NOTIFY_SECONDS, NOTIFY_SECONDS_MAX)? })
}

/// The URL is not quoted in errors: whoever knows it may post to it.
fn webhook(entry: &Entry) -> Result<String, Problem> {
    let text = entry.text()?;
    let is_safe = |url: &Url| match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    };
    match Url::parse(&text).as_ref().map(is_safe) {
        Ok(true) => Ok(text),
        Ok(false) => Err(entry.wrong(
            "must be https",
            "begin it with `https://`; `http://` is for `localhost`, `127.0.0.1` and `[::1]`",
        )),
        Err(error) => {
            Err(entry.wrong(format!("is no URL: {error}"), "write it as `https://hooks.example.com/x`"))
        }
    }
}

fn link(entry: &Entry) -> Result<String, Problem> {
    let text = entry.text()?;
    let instead = "write it as `https://inbox.example.com/approvals/{approval}`";
    let filled = text.replace("{approval}", "appr_0");
    if filled == text || filled.contains(['{', '}']) {
        return Err(entry.wrong("must have `{approval}` in it, and no other braces", instead));
    }
    match Url::parse(&filled) {
        Ok(url) if matches!(url.scheme(), "https" | "http") => Ok(text),
        _ => Err(entry.wrong("is no URL a browser opens", instead)),
    }
}

/// Whether a host, as written in a URL or alone, is this machine itself.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_an_entry_has_an_address_at_localhost() {
        let config = Config::parse("[users.ada]\naddress = \"ada@example.com\"\n").unwrap();
        assert_eq!(config.address("ada"), "ada@example.com");
        assert_eq!(config.address("local"), "local@localhost");
    }

    /// A file in which every key stands.
    const FULL: &str = r#"
cache = "/var/cache/countersign"

[approval]
policy = "strict"
recipients = ["*@example.com", "boss@example.org"]
html = false
mixed_directions = false
hold = false
pending_hours = 12
pending_per_agent = 5
four_eyes = false
four_eyes_for = ["tenant:acme", "agent:com.example.pay", "account:Ada@example.com"]

[users.ada]
address = "ada@example.com"
[users.ada.send]
by = "smtp"
host = "smtp.example.com"
port = 2525
tls = "tls"
username = "ada"
password_env = "ADA_SMTP_PASSWORD"
ca_file = "/etc/ssl/private-ca.pem"
timeout_seconds = 60
retry_hours = 96

[users.bob]
address = "bob@example.com"
send = { by = "smtp", host = "::1", tls = "none" }

[users.cid]
address = "cid@example.com"
send = { by = "smtp", host = "smtp.example.com", username = "cid", password_file = "/run/secrets/cid" }

[users.dee]
address = "dee@example.com"
[users.dee.send]
by = "command"
command = ["/usr/sbin/sendmail", "-i", "-f", "{from}"]
timeout_seconds = 5

[users.eve]
address = "eve@example.com"
send.by = "embedded"

[tenants.acme]
users = { ada = { address = "ada@acme.example" } }

[notify]
command = ["/usr/bin/notify-send", "Countersign", "{approval} waits"]
webhook = "https://hooks.example.com/x"
link = "https://inbox.example.com/approvals/{approval}"
timeout_seconds = 3

[serve]
listen = "[::]:443"
url = "https://Countersign.example.com:443/"
tls_cert = "/etc/countersign/cert.pem"
tls_key = "/etc/countersign/key.pem"
behind_proxy = true
runs = 32
requests_per_minute = 60
log = "json"
grace_seconds = 0
"#;

    #[test]
    fn every_key_is_read() {
        let config = Config::parse(FULL).unwrap();
        assert_eq!(config.pending_per_agent, 5);
        assert_eq!(Config::default().pending_per_agent, PENDING_PER_AGENT);
        assert_eq!(config.cache, Some(PathBuf::from("/var/cache/countersign")));
        assert_eq!(
            config.policy,
            Policy {
                hold: false,
                html: false,
                mixed_directions: false,
                recipients: Some(vec![Pattern::new("*@example.com"), Pattern::new("boss@example.org")]),
                pending_ms: 12 * HOUR_MS,
                four_eyes: FourEyes {
                    everybody: false,
                    of: vec![
                        Whom::Tenant("acme".into()),
                        Whom::Agent("com.example.pay".into()),
                        Whom::Account("ada@example.com".into()),
                    ],
                },
            }
        );
        let submission = |user: &str| match config.way(user) {
            Way::Smtp(submission) => submission.clone(),
            other => panic!("{user}: {other:?}"),
        };
        let ada = Submission {
            host: "smtp.example.com".to_owned(),
            port: 2525,
            tls: Tls::Tls,
            login: Some(Login {
                username: "ada".to_owned(),
                password: Password::Env("ADA_SMTP_PASSWORD".to_owned()),
            }),
            ca_file: Some(PathBuf::from("/etc/ssl/private-ca.pem")),
            timeout: seconds(60),
            retry_ms: 96 * HOUR_MS,
        };
        assert_eq!(submission("ada"), ada);
        let bob = submission("bob");
        assert_eq!((bob.tls, bob.port, bob.login, bob.ca_file), (Tls::None, 25, None, None));
        let cid = submission("cid");
        assert_eq!((cid.tls, cid.port, cid.timeout), (Tls::Starttls, 587, seconds(SEND_SECONDS)));
        assert_eq!(cid.retry_ms, RETRY_MS);
        assert_eq!(cid.login.unwrap().password, Password::File(PathBuf::from("/run/secrets/cid")));
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let dee = Program {
            command: words(&["/usr/sbin/sendmail", "-i", "-f", "{from}"]),
            timeout: seconds(5),
            retry_ms: RETRY_MS,
        };
        assert_eq!(config.way("dee"), &Way::Command(dee));
        assert_eq!(config.way("eve"), &Way::Embedded);
        assert_eq!(config.address(Owner { tenant: "acme", user: "ada" }), "ada@acme.example");
        assert_eq!(config.way(Owner { tenant: "acme", user: "dee" }), &Way::Embedded);
        assert_eq!(config.address(Owner { tenant: "acme", user: "dee" }), "dee@localhost");
        assert_eq!(config.way("nobody"), &Way::Embedded);
        let notify = Notify {
            command: Some(words(&["/usr/bin/notify-send", "Countersign", "{approval} waits"])),
            webhook: Some("https://hooks.example.com/x".to_owned()),
            link: Some("https://inbox.example.com/approvals/{approval}".to_owned()),
            timeout: seconds(3),
        };
        assert_eq!(config.notify, notify);
        let serve = Serve {
            listen: "[::]:443".parse().unwrap(),
            url: Some("https://countersign.example.com".to_owned()),
            tls: Some(Certificate {
                cert: PathBuf::from("/etc/countersign/cert.pem"),
                key: PathBuf::from("/etc/countersign/key.pem"),
            }),
            behind_proxy: true,
            runs: 32,
            requests_per_minute: 60,
            log: Log::Json,
            grace: seconds(0),
        };
        assert_eq!(config.serve, serve);
    }

    #[test]
    fn no_key_can_be_known_and_not_stand_in_the_full_file() {
        for key in KEYS {
            let last = key.rsplit('.').next().unwrap();
            let stands = FULL.lines().any(|line| {
                line.split_once(" = ").is_some_and(|(before, _)| before == last)
                    || line.contains(&format!(" {last} = "))
            });
            assert!(stands, "{key}");
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!(config.notify.timeout, Duration::from_secs(10));
        assert_eq!(config.policy, Policy::default());
        assert_eq!(Config::parse("[approval]\n[notify]\n[users]\n[serve]\n").unwrap(), config);
    }

    #[test]
    fn strict_as_parsed_is_stricter_than_default_and_bounded_where_nothing_is_said() {
        let strict = Config::parse("[approval]\npolicy = \"strict\"\nrecipients = [\"*\"]\n").unwrap().policy;
        assert!(!strict.html && !strict.hold && !strict.mixed_directions);
        assert_eq!(strict.pending_ms, STRICT_PENDING_MS_MAX);
        assert!(strict.is_stricter_than(&Policy::default()));
        assert!(!Policy::default().is_stricter_than(&strict));
    }

    #[test]
    fn the_port_follows_from_the_protection() {
        for (tls, port) in [("tls", 465), ("starttls", 587), ("none", 25)] {
            let text = format!(
                "users.a = {{ address = \"a@b\", send = {{ by = \"smtp\", host = \"localhost\", tls = \"{tls}\" }} }}"
            );
            let config = Config::parse(&text).unwrap();
            assert!(matches!(config.way("a"), Way::Smtp(submission) if submission.port == port), "{tls}");
        }
    }

    #[test]
    fn every_bad_value_is_refused_at_its_line_and_key_with_what_to_write_instead() {
        let ada = "[users.ada]\naddress = \"ada@example.com\"\n[users.ada.send]\n";
        let smtp = "by = \"smtp\"\nhost = \"smtp.example.com\"\n";
        let send = |lines: &str| format!("{ada}{lines}");
        let over_smtp = |lines: &str| format!("{ada}{smtp}{lines}");
        let many = vec!["\"*@x.com\""; RECIPIENT_PATTERNS_MAX + 1].join(",");
        let long = "a".repeat(RECIPIENT_PATTERN_BYTES_MAX);
        let strict = "[approval]\npolicy = \"strict\"\nrecipients = []\n";
        let proxied = |lines: &str| format!("[serve]\nbehind_proxy = true\n{lines}");
        let served_over_tls = |lines: &str| format!("[serve]\ntls_cert = \"/c\"\ntls_key = \"/k\"\n{lines}");
        let cases: &[(&str, usize, &str)] = &[
            // Keys that are not there.
            ("[user.ada]\n", 1, "user"),
            ("\ncash = 1\n", 2, "cash"),
            ("\"approval.policy\" = \"strict\"\n", 1, "approval.policy"),
            ("\"users.NAME\" = 1\n", 1, "users.NAME"),
            ("\"\" = 1\n", 1, ""),
            ("[users.ada]\naddress = \"a@b\"\n\"send.by\" = \"smtp\"\n", 3, "users.ada.send.by"),
            ("[approval]\nrecipient = []\n", 2, "approval.recipient"),
            ("[users.ada]\nadress = \"ada@example.com\"\n", 2, "users.ada.adress"),
            ("[users.ada]\npassword = \"x\"\n", 2, "users.ada.password"),
            (&over_smtp("password = \"hunter2\"\n"), 6, "users.ada.send.password"),
            (&send("\"b\\u001by\" = 1\n"), 4, "users.ada.send.b\\u{1b}y"),
            ("[notify]\nurl = \"https://x.com\"\n", 2, "notify.url"),
            // Values of another type.
            ("cache = 1\n", 1, "cache"),
            ("approval = \"strict\"\n", 1, "approval"),
            ("users = 1\n", 1, "users"),
            ("[users]\nada = \"ada@example.com\"\n", 2, "users.ada"),
            ("[[users]]\n", 1, "users"),
            ("[users.ada]\naddress = 1\n", 2, "users.ada.address"),
            ("[users.ada]\naddress = \"a@b\"\nsend = \"smtp\"\n", 3, "users.ada.send"),
            ("[approval]\nhtml = \"no\"\n", 2, "approval.html"),
            ("[approval]\nhold = 0\n", 2, "approval.hold"),
            ("[approval]\npending_hours = \"72\"\n", 2, "approval.pending_hours"),
            ("[approval]\npending_hours = 1.5\n", 2, "approval.pending_hours"),
            ("[approval]\nrecipients = \"*@x.com\"\n", 2, "approval.recipients"),
            ("[notify]\ncommand = \"/bin/true\"\n", 2, "notify.command"),
            ("[notify]\nwebhook = []\n", 2, "notify.webhook"),
            // Values out of bounds.
            ("cache = \"here\"\n", 1, "cache"),
            ("cache = \"\"\n", 1, "cache"),
            ("cache = \"/a\\u0000b\"\n", 1, "cache"),
            ("[approval]\npolicy = \"lax\"\n", 2, "approval.policy"),
            ("[approval]\npending_hours = 0\n", 2, "approval.pending_hours"),
            ("[approval]\npending_hours = -1\n", 2, "approval.pending_hours"),
            ("[approval]\npending_hours = 721\n", 2, "approval.pending_hours"),
            ("[approval]\npending_hours = 99999999999999999999\n", 2, "approval.pending_hours"),
            (&format!("[approval]\nrecipients = [{many}]\n"), 2, "approval.recipients"),
            (
                &format!("[approval]\nrecipients = [\n\"*@x.com\",\n\"{long}@\"]\n"),
                4,
                "approval.recipients[1]",
            ),
            ("[approval]\nrecipients = [\"\"]\n", 2, "approval.recipients[0]"),
            ("[approval]\nrecipients = [1]\n", 2, "approval.recipients[0]"),
            ("[approval]\nrecipients = [\"example.com\"]\n", 2, "approval.recipients[0]"),
            ("[approval]\nrecipients = [\"Ada <ada@x.com>\"]\n", 2, "approval.recipients[0]"),
            ("[approval]\nrecipients = [\"a@b@c\"]\n", 2, "approval.recipients[0]"),
            ("[approval]\nrecipients = [\"*\",\n\"*%*@company.com\"]\n", 3, "approval.recipients[1]"),
            ("[approval]\nrecipients = [\"*!*@company.com\"]\n", 2, "approval.recipients[0]"),
            ("[approval]\nrecipients = [\"*@192.0.2.1\"]\n", 2, "approval.recipients[0]"),
            ("[users.ada]\naddress = \"ada%evil.example@company.com\"\n", 2, "users.ada.address"),
            ("[approval]\nrecipients = [\"*@bä.com\"]\n", 2, "approval.recipients[0]"),
            // What strict does not allow.
            ("[approval]\npolicy = \"strict\"\n", 1, "approval.recipients"),
            (&format!("{strict}html = true\n"), 4, "approval.html"),
            (&format!("{strict}hold = true\n"), 4, "approval.hold"),
            (&format!("{strict}mixed_directions = true\n"), 4, "approval.mixed_directions"),
            (&format!("{strict}pending_hours = 25\n"), 4, "approval.pending_hours"),
            // People.
            ("[users.Ada]\naddress = \"a@b\"\n", 1, "users.Ada"),
            ("[users.\"a\\u202eb\"]\naddress = \"a@b\"\n", 1, "users.a\\u{202e}b"),
            ("\n[users.ada]\n", 2, "users.ada.address"),
            ("\n[users.ada]\naddress = \"ada\"\n", 3, "users.ada.address"),
            ("[tenants.Acme]\n", 1, "tenants.Acme"),
            ("[tenants.main.users.ada]\naddress = \"a@b\"\n", 1, "tenants.main"),
            ("[tenants.acme.users.ada]\naddress = \"ada\"\n", 2, "tenants.acme.users.ada.address"),
            ("[tenants.acme.user.ada]\naddress = \"a@b\"\n", 1, "tenants.acme.user"),
            // Ways.
            (&send("by = \"pigeon\"\n"), 4, "users.ada.send.by"),
            (&send("host = \"smtp.example.com\"\n"), 4, "users.ada.send.host"),
            (&send("by = \"embedded\"\ntimeout_seconds = 5\n"), 5, "users.ada.send.timeout_seconds"),
            (&send("by = \"embedded\"\nretry_hours = 5\n"), 5, "users.ada.send.retry_hours"),
            (&send("by = \"smtp\"\n"), 3, "users.ada.send.host"),
            (&send("by = \"smtp\"\nhost = \"smtp.example.com:587\"\n"), 5, "users.ada.send.host"),
            (&send("by = \"smtp\"\nhost = \"a b\"\n"), 5, "users.ada.send.host"),
            (&over_smtp("port = 0\n"), 6, "users.ada.send.port"),
            (&over_smtp("port = 65536\n"), 6, "users.ada.send.port"),
            (&over_smtp("tls = \"ssl\"\n"), 6, "users.ada.send.tls"),
            (&over_smtp("tls = true\n"), 6, "users.ada.send.tls"),
            (&over_smtp("tls = \"none\"\n"), 6, "users.ada.send.tls"),
            (
                &send(
                    "by = \"smtp\"\nhost = \"localhost\"\ntls = \"none\"\nusername = \"a\"\npassword_env = \"A\"\n",
                ),
                7,
                "users.ada.send.username",
            ),
            (&over_smtp("username = \"ada\"\n"), 6, "users.ada.send.username"),
            (&over_smtp("username = \"a\\u0000b\"\npassword_env = \"A\"\n"), 6, "users.ada.send.username"),
            (&over_smtp("password_env = \"A\"\n"), 6, "users.ada.send.password_env"),
            (&over_smtp("password_file = \"/a\"\n"), 6, "users.ada.send.password_file"),
            (&over_smtp("username = \"a\"\npassword_env = \"A=b\"\n"), 7, "users.ada.send.password_env"),
            (&over_smtp("username = \"a\"\npassword_file = \"a\"\n"), 7, "users.ada.send.password_file"),
            (
                &over_smtp("username = \"a\"\npassword_file = \"/a\"\npassword_env = \"A\"\n"),
                7,
                "users.ada.send.password_file",
            ),
            (&over_smtp("ca_file = \"ca.pem\"\n"), 6, "users.ada.send.ca_file"),
            (&over_smtp("timeout_seconds = 0\n"), 6, "users.ada.send.timeout_seconds"),
            (&over_smtp("timeout_seconds = 301\n"), 6, "users.ada.send.timeout_seconds"),
            (&over_smtp("retry_hours = 0\n"), 6, "users.ada.send.retry_hours"),
            (&over_smtp("retry_hours = 121\n"), 6, "users.ada.send.retry_hours"),
            (&over_smtp("command = [\"/bin/true\"]\n"), 6, "users.ada.send.command"),
            (&send("by = \"command\"\n"), 3, "users.ada.send.command"),
            (&send("by = \"command\"\ncommand = []\n"), 5, "users.ada.send.command"),
            (&send("by = \"command\"\ncommand = [\"sendmail\"]\n"), 5, "users.ada.send.command[0]"),
            (&send("by = \"command\"\ncommand = [\"/bin/x\",\n1]\n"), 6, "users.ada.send.command[1]"),
            (
                &send("by = \"command\"\ncommand = [\"/bin/x\", \"\\u0000\"]\n"),
                5,
                "users.ada.send.command[1]",
            ),
            (&send("by = \"command\"\nhost = \"x.com\"\ncommand = [\"/bin/x\"]\n"), 5, "users.ada.send.host"),
            (
                &send("by = \"command\"\ncommand = [\"/bin/x\"]\ntimeout_seconds = 301\n"),
                6,
                "users.ada.send.timeout_seconds",
            ),
            // Notifications.
            ("[notify]\ncommand = [\"notify-send\"]\n", 2, "notify.command[0]"),
            ("[notify]\nwebhook = \"hooks.example.com/x\"\n", 2, "notify.webhook"),
            ("[notify]\nwebhook = \"http://hooks.example.com/x\"\n", 2, "notify.webhook"),
            ("[notify]\nwebhook = \"http://127.0.0.1.example.com/x\"\n", 2, "notify.webhook"),
            ("[notify]\nwebhook = \"file:///etc/passwd\"\n", 2, "notify.webhook"),
            ("[notify]\nlink = \"https://inbox.example.com/\"\n", 2, "notify.link"),
            ("[notify]\nlink = \"https://inbox.example.com/{approval}/{digest}\"\n", 2, "notify.link"),
            ("[notify]\nlink = \"javascript:alert('{approval}')\"\n", 2, "notify.link"),
            ("[notify]\ntimeout_seconds = 0\n", 2, "notify.timeout_seconds"),
            ("[notify]\ntimeout_seconds = 61\n", 2, "notify.timeout_seconds"),
            // The server.
            ("serve = true\n", 1, "serve"),
            ("[serve]\nport = 80\n", 2, "serve.port"),
            ("[serve]\nlisten = 8340\n", 2, "serve.listen"),
            ("[serve]\nlisten = \"localhost:8340\"\n", 2, "serve.listen"),
            ("[serve]\nlisten = \"127.0.0.1\"\n", 2, "serve.listen"),
            ("[serve]\nruns = 2\nlisten = \"0.0.0.0:8340\"\n", 3, "serve.listen"),
            ("[serve]\nurl = \"countersign.example.com\"\n", 2, "serve.url"),
            ("[serve]\nurl = \"http://countersign.example.com\"\n", 2, "serve.url"),
            ("[serve]\nurl = \"https://countersign.example.com\"\n", 2, "serve.url"),
            (&proxied("url = \"https://a.example/inbox\"\n"), 3, "serve.url"),
            (&proxied("url = \"https://a.example/?\"\n"), 3, "serve.url"),
            (&proxied("url = \"https://a.example/#x\"\n"), 3, "serve.url"),
            (&proxied("url = \"https://ada:hunter2@a.example\"\n"), 3, "serve.url"),
            (&proxied("url = \"javascript:alert(1)\"\n"), 3, "serve.url"),
            (&proxied(""), 1, "serve.url"),
            (&served_over_tls("listen = \"[::]:443\"\n"), 1, "serve.url"),
            (&served_over_tls("url = \"http://localhost\"\n"), 4, "serve.url"),
            ("[serve]\ntls_cert = \"/c\"\n", 2, "serve.tls_cert"),
            ("[serve]\ntls_key = \"/k\"\n", 2, "serve.tls_key"),
            ("[serve]\ntls_key = \"/k\"\ntls_cert = \"c\"\n", 3, "serve.tls_cert"),
            ("[serve]\ntls_cert = \"/c\"\ntls_key = \"k\"\n", 3, "serve.tls_key"),
            ("[serve]\nbehind_proxy = \"yes\"\n", 2, "serve.behind_proxy"),
            ("[serve]\nruns = 0\n", 2, "serve.runs"),
            ("[serve]\nruns = 65\n", 2, "serve.runs"),
            ("[serve]\nrequests_per_minute = 0\n", 2, "serve.requests_per_minute"),
            ("[serve]\nrequests_per_minute = 60001\n", 2, "serve.requests_per_minute"),
            ("[serve]\nlog = \"xml\"\n", 2, "serve.log"),
            ("[serve]\ngrace_seconds = -1\n", 2, "serve.grace_seconds"),
            ("[serve]\ngrace_seconds = 301\n", 2, "serve.grace_seconds"),
        ];
        for (text, line, key) in cases {
            let problem = Config::parse(text).expect_err(text);
            let expected = format!("line {line}: {key}: ");
            assert!(problem.message.starts_with(&expected), "{text}\n{problem:?}\nis not {expected}");
            assert!(problem.hint.is_some_and(|hint| !hint.is_empty()), "{text}");
            assert_eq!(problem.code, Code::ConfigInvalid);
        }
    }

    #[test]
    fn a_password_in_the_file_is_refused_without_being_repeated() {
        let text =
            "[users.ada]\naddress = \"a@b\"\n[users.ada.send]\nby = \"smtp\"\npassword = \"hunter2\"\n";
        let problem = Config::parse(text).unwrap_err();
        assert!(!format!("{problem:?}").contains("hunter2"));
        assert!(problem.hint.unwrap().contains("`password_env` or `password_file`"));
        let webhook =
            Config::parse("[notify]\nwebhook = \"http://user:hunter2@x.com/hunter2\"\n").unwrap_err();
        assert!(!format!("{webhook:?}").contains("hunter2"));
        let url = Config::parse("[serve]\nurl = \"https://user:hunter2@x.com\"\n").unwrap_err();
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_toml_is_told_by_its_line() {
        for (text, line) in [
            ("\n\ncache =\n", 3),
            ("cache = \"/a\"\ncache = \"/b\"\n", 2),
            ("a = \"", 1),
            ("= 1", 1),
            (&"[".repeat(100_000), 1),
            (&format!("cache = {}", "[".repeat(100_000)), 1),
        ] {
            let problem = Config::parse(text).unwrap_err();
            let expected = format!("line {line}: this is not TOML: ");
            assert!(problem.message.starts_with(&expected), "{problem:?}");
        }
    }

    #[test]
    fn http_is_for_this_machine_alone() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.8.8.8", "[::1]:8080"] {
            let config = Config::parse(&format!("[notify]\nwebhook = \"http://{host}/x\"\n"));
            assert!(config.is_ok(), "{host}: {config:?}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_or_no_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let load = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            Config::load(&path).map_err(|error| error.to_string())
        };
        let fits = vec![b'\n'; CONFIG_BYTES_MAX as usize];
        assert_eq!(load(&fits), Ok(Config::default()));
        assert!(load(&[&fits[..], b"\n"].concat()).unwrap_err().contains("larger than 1048576 bytes"));
        assert!(load(b"\xff").unwrap_err().contains("cannot read"));
        assert!(load(b"cash = 1\n").unwrap_err().contains("config.toml: line 1: cash: "));
    }
}

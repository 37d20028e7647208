//! What an operator would look at when something is wrong, looked at in one go. Nothing is made, sent or changed, but a small file
//! that is written to see how long that takes, and removed.

use super::backup::DATABASE;
use crate::backends::smtp::read_password;
use crate::clock::{AHEAD_MS_MAX, BUILT_MS, Clock, Millis, parse, rfc3339};
use crate::config::{Config, Password, User, Way, certificates};
use crate::engine::Engine;
use crate::engine::limits::{Limits, MEMORY_BYTES_MAX, SEGMENTS_MAX};
use crate::people::{Owner, TENANT};
use crate::printable::{line, shell, short};
use crate::refusals::Problem;
use crate::store::{self, Examined};
use nix::unistd::{AccessFlags, eaccess, geteuid};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Less room than this on the disk is worth a word, and less than the second is bad, in bytes.
const ROOM: (u64, u64) = (1 << 30, 64 << 20);
/// A synced write that takes longer is worth a word: every decision is at least one.
const SYNC_MAX: Duration = Duration::from_millis(100);
/// How far the clock may be behind what the store has seen before it is worth a word.
const BEHIND_MS_MAX: Millis = 5_000;
/// Fewer open files than this may run out.
const FILES: u64 = 1024;
/// How long before its end a certificate is worth a word: 14 days.
const RENEW_MS: Millis = 14 * 24 * 60 * 60 * 1000;
/// How many names a finding lists.
const LISTED_MAX: usize = 10;
/// File systems on which the locks and the log of SQLite cannot be relied on, as `statfs` numbers them.
const NETWORKS: [(i64, &str); 3] = [(0x6969, "NFS"), (0xff53_4d42, "CIFS"), (0xfe53_4d42, "SMB")];

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// Something does not work, or will not.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub about: &'static str,
    /// How it is.
    pub health: Health,
    /// The same in words, on one line.
    pub text: String,
    /// What to do, where there is something to do.
    pub cure: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, about: &'static str, text: impl Into<String>) {
        self.0.push(Finding { about, health: Health::Ok, text: text.into(), cure: None });
    }

    fn warn(&mut self, about: &'static str, text: impl Into<String>, cure: impl Into<String>) {
        self.0.push(Finding { about, health: Health::Warn, text: text.into(), cure: Some(cure.into()) });
    }

    fn bad(&mut self, about: &'static str, text: impl Into<String>, cure: impl Into<String>) {
        self.0.push(Finding { about, health: Health::Bad, text: text.into(), cure: Some(cure.into()) });
    }
}

/// Looks at a data folder, which need not be there, at the configuration `file`, if there is one, with what reading it came to,
/// and at the machine. It blocks for as long as SQLite takes to read the database once.
pub fn examine(
    data: &Path,
    file: Option<&Path>,
    config: &Result<Config, Problem>,
    clock: &Clock,
) -> Vec<Finding> {
    let data = &std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let mut found = Findings::default();
    // First: on a full disk much else looks broken, and room is all it needs.
    let is_full = disk(&mut found, data);
    configuration(&mut found, file, config);
    let is_there = folder(&mut found, data);
    let examined = if is_there { database(&mut found, data, is_full) } else { None };
    if let (Ok(config), Some(examined)) = (config, &examined) {
        names(&mut found, config, examined);
        kept(&mut found, config, examined);
        signers(&mut found, config, examined);
    }
    if let Some(examined) = &examined {
        messages(&mut found, examined);
    }
    time(&mut found, clock, examined.as_ref().and_then(|examined| examined.latest_ms));
    limits(&mut found, data);
    if let Ok(config) = config {
        ways(&mut found, config);
        certificate(&mut found, config, clock);
    }
    if is_there {
        company(&mut found, data);
    }
    found.0
}

fn configuration(found: &mut Findings, file: Option<&Path>, config: &Result<Config, Problem>) {
    let about = "configuration";
    match (file, config) {
        (None, Ok(_)) => found.ok(about, "there is no file: everything is as it is by default"),
        (Some(file), Ok(_)) => found.ok(about, format!("every key of {} is valid", shown(file))),
        (_, Err(problem)) => {
            found.bad(about, line(&problem.message), problem.hint.clone().unwrap_or_default());
        }
    }
    if let Some(file) = file
        && std::fs::metadata(file).is_ok_and(|it| it.mode() & 0o022 != 0)
    {
        let text = format!("others may write {}, and choose where mail leaves", shown(file));
        found.bad(about, text, format!("run `chmod go-w {}`", word(file)));
    }
}

/// Who owns the folder and its files, and who may look into them. Says whether there is a folder.
fn folder(found: &mut Findings, data: &Path) -> bool {
    let about = "data folder";
    let Ok(metadata) = std::fs::metadata(data) else {
        let text = format!("there is none at {}", shown(data));
        found.warn(about, text, "the first command makes one; if there should be one, check --data");
        return false;
    };
    if !metadata.is_dir() {
        found.bad(about, format!("{} is no folder", shown(data)), "name a folder with --data");
        return false;
    }
    let mut open = Vec::new();
    let mut foreign = Vec::new();
    let names = ["", DATABASE, "countersign.db-wal", "countersign.db-shm", "runs.lock", "sent"];
    for path in names.map(|name| if name.is_empty() { data.to_owned() } else { data.join(name) }) {
        let Ok(metadata) = path.symlink_metadata() else { continue };
        if metadata.mode() & 0o077 != 0 {
            open.push(shown(&path));
        }
        if metadata.uid() != geteuid().as_raw() {
            foreign.push(shown(&path));
        }
    }
    match foreign.is_empty() {
        true => found.ok(about, format!("{} and what is in it is yours", shown(data))),
        false => {
            let text = format!("somebody else's: {}", foreign.join(", "));
            found.bad(about, text, "run the host as the user who owns the folder, or give it to this one");
        }
    }
    match open.is_empty() {
        true => found.ok(about, "nobody else can look into it"),
        false => {
            let text = format!("others can look into {}", open.join(", "));
            found.bad(about, text, format!("run `chmod -R go-rwx {}`", word(data)));
        }
    }
    true
}

fn database(found: &mut Findings, data: &Path, is_full: bool) -> Option<Examined> {
    let (about, path) = ("database", &data.join(DATABASE));
    if path.symlink_metadata().is_err() {
        found.warn(
            about,
            "there is none yet",
            "the first command makes one; if there should be one, restore it",
        );
        return None;
    }
    let beside = word(Path::new(&format!("{}.restored", data.display())));
    let restore = match is_full {
        true => "make room first, and look again: on a full disk a database that is whole cannot be read"
            .to_owned(),
        false => format!(
            "stop the host, and put a backup back, FILE, into a new folder: `countersign --data {beside} restore FILE`"
        ),
    };
    let examined = match store::examine(path) {
        Ok(examined) => examined,
        Err(error) => {
            found.bad(about, format!("cannot be read: {}", line(&error.to_string())), restore);
            return None;
        }
    };
    match examined.version {
        (version, known) if version > known => {
            let text = format!("has version {version}, and this Countersign knows {known}");
            found.bad(about, text, "use the Countersign that wrote it, or a newer one");
        }
        (version, known) if version < known => {
            let text = format!("has version {version}; the next command brings it to {known}");
            found.warn(about, text, "copy the data folder before that, if you may want to go back");
        }
        (version, _) => found.ok(about, format!("version {version}")),
    }
    match &examined.settings {
        None => found.ok(about, "write-ahead log, synced with every commit (WAL, FULL)"),
        Some((what, cure)) => found.bad(about, what, cure),
    }
    match examined.complaints.is_empty() {
        true => found.ok(about, "whole (quick_check)"),
        false => found.bad(about, format!("damaged: {}", examined.complaints.join("; ")), restore),
    }
    Some(examined)
}

/// Names in the configuration that nothing belongs to are typing errors more often than not.
fn names(found: &mut Findings, config: &Config, examined: &Examined) {
    let known = &examined.people;
    let local = config.users.keys().map(|user| (TENANT, user));
    let others =
        config.tenants.iter().flat_map(|(tenant, users)| users.keys().map(|user| (tenant.as_str(), user)));
    let strangers: Vec<_> = local
        .chain(others)
        .filter(|(tenant, user)| !known.contains(&((*tenant).to_owned(), (*user).clone())))
        .map(|(tenant, user)| if tenant == TENANT { user.clone() } else { format!("{tenant}/{user}") })
        .collect();
    if !known.is_empty() && !strangers.is_empty() {
        let text = format!("nothing belongs to these users of the configuration yet: {}", listed(&strangers));
        found.warn("users", text, "see whether their names are as you meant them");
    }
    let served: BTreeSet<_> = known.iter().map(|(tenant, _)| tenant.clone()).collect();
    let missing: Vec<_> = served
        .into_iter()
        .filter(|tenant| tenant != TENANT && !config.tenants.contains_key(tenant))
        .collect();
    if !missing.is_empty() {
        let text = format!("tenants the configuration does not name: {}", listed(&missing));
        found.warn(
            "users",
            text,
            "their mail stays in the embedded mailbox: add `[tenants.NAME.users.USER]`",
        );
    }
}

/// People who sign in and whose mail goes nowhere when it is signed.
fn kept(found: &mut Findings, config: &Config, examined: &Examined) {
    let kept: Vec<_> = examined
        .members
        .iter()
        .filter(|(tenant, user)| *config.way(Owner { tenant, user }) == Way::Embedded)
        .map(|(tenant, user)| if tenant == TENANT { user.clone() } else { format!("{tenant}/{user}") })
        .collect();
    if !kept.is_empty() {
        let text =
            format!("what is signed to leave for these people is kept here, not sent: {}", listed(&kept));
        found.warn("mail", text, "say how their mail leaves: `[users.NAME.send]` in the configuration");
    }
}

/// Who signs: programs, and where a second person has to and there is none.
fn signers(found: &mut Findings, config: &Config, examined: &Examined) {
    let tokens: Vec<_> = examined
        .signing
        .iter()
        .map(|(name, label)| format!("\"{}\" of {}", line(label), line(name)))
        .collect();
    if !tokens.is_empty() {
        let text = format!("programs can sign with these tokens: {}", listed(&tokens));
        let cure = "if a program needs to ask only, revoke its token and make one without the role approver";
        found.warn("tokens", text, cure);
    }
    let mut tenants: BTreeSet<_> = examined.people.iter().map(|(tenant, _)| tenant.as_str()).collect();
    tenants.insert(TENANT);
    for tenant in tenants.into_iter().filter(|tenant| config.policy.four_eyes.may_hold(tenant)) {
        let text = match examined.approvers.get(tenant).map_or(&[][..], Vec::as_slice) {
            [] => format!(
                "a second person signs, and in tenant {tenant} nobody can sign in who may: at a shell, whoever asks signs nothing"
            ),
            [alone] => {
                let alone = line(alone);
                format!(
                    "a second person signs, and in tenant {tenant} only {alone} can: nobody signs what {alone} asks for"
                )
            }
            _ => continue,
        };
        let of = if tenant == TENANT { String::new() } else { format!(" --tenant {tenant}") };
        let cure = format!(
            "invite another approver, `countersign{of} person invite NAME --role approver`; where one person works alone, write \
             `approval.four_eyes = false`"
        );
        found.warn("four eyes", text, cure);
    }
}

/// Messages somebody has to do something about.
fn messages(found: &mut Findings, examined: &Examined) {
    let told = |list: &[(String, String, i64)]| {
        let told = list.iter().map(|(tenant, user, count)| match tenant == TENANT {
            true => format!("{count} of {user}"),
            false => format!("{count} of {tenant}/{user}"),
        });
        listed(&told.collect::<Vec<_>>())
    };
    if !examined.uncertain.is_empty() {
        let text = format!("nobody knows whether these messages have left: {}", told(&examined.uncertain));
        let cure = "as each of them, find out and say so: `countersign outbox list --open`";
        found.warn("outbox", text, cure);
    }
    if !examined.not_sent.is_empty() {
        let text =
            format!("these messages have not left, and will not by themselves: {}", told(&examined.not_sent));
        let cure = "as each of them, see why, and offer them again: `countersign outbox list --not-sent`";
        found.warn("outbox", text, cure);
    }
}

/// Says whether it is full.
fn disk(found: &mut Findings, data: &Path) -> bool {
    let about = "disk";
    let room = "make room: nothing can be decided on a full disk";
    // Where the folder will be made, the disk is that of the next folder above.
    let Some(place) = data.ancestors().find(|place| place.is_dir()) else { return false };
    let mut is_full = false;
    match nix::sys::statvfs::statvfs(place) {
        Err(error) => {
            found.warn(about, format!("how much room there is cannot be told: {error}"), "run `df`")
        }
        Ok(space) => {
            let free = space.blocks_available() * space.fragment_size();
            let text = format!("{} free", size(free));
            is_full = free < ROOM.1;
            match free {
                free if free < ROOM.1 => found.bad(about, text, room),
                free if free < ROOM.0 => found.warn(about, text, "make room soon"),
                _ => found.ok(about, text),
            }
        }
    }
    if let Ok(kind) = nix::sys::statfs::statfs(place)
        && let Some((_, name)) = NETWORKS.iter().find(|(number, _)| *number == kind.filesystem_type().0)
    {
        let text = format!("the data folder is on {name}, which cannot be relied on to lock and to sync");
        found.bad(about, text, "move the data folder to a local disk");
    }
    if !data.is_dir() {
        return is_full;
    }
    match synced_write(data) {
        Ok(took) if took > SYNC_MAX => {
            let text = format!("a synced write takes {} ms", took.as_millis());
            found.warn(about, text, "every decision takes at least that long: use a faster disk");
        }
        Ok(took) => found.ok(about, format!("a synced write takes {:.1} ms", took.as_secs_f64() * 1e3)),
        Err(error) => {
            // What a user may fill can be less than what is free.
            let no_room = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
            is_full |= no_room;
            let cure = match no_room {
                true => room,
                false => "give the folder to this user, and see that the disk is not read-only",
            };
            found.bad(about, format!("nothing can be written in {}: {error}", shown(data)), cure);
        }
    }
    is_full
}

/// How long it takes until some bytes are on disk.
fn synced_write(data: &Path) -> std::io::Result<Duration> {
    let path = data.join(format!(".doctor-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let began = tokio::time::Instant::now();
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    let took = began.elapsed();
    let removed = std::fs::remove_file(&path);
    written.and(removed).map(|()| took)
}

fn time(found: &mut Findings, clock: &Clock, latest_ms: Option<Millis>) {
    let about = "clock";
    let now = clock.now();
    let behind = latest_ms.unwrap_or(0) - now;
    let cure = "set the clock of the machine, and have it kept by NTP";
    if now < BUILT_MS {
        return found.bad(about, format!("it says {}, which is past", rfc3339(now)), cure);
    }
    if behind > BEHIND_MS_MAX {
        let text = format!(
            "it says {}, {} seconds before the latest time the host has seen",
            rfc3339(now),
            behind / 1000
        );
        let then = match behind > AHEAD_MS_MAX {
            true => {
                "if it is right now, run any command, such as `countersign intent list`: it sets the host's time back to it, and what \
                     is over by the later time ends"
            }
            false => "until it has caught up, time goes on from the latest seen",
        };
        return found.warn(about, text, format!("{cure}; {then}"));
    }
    found.ok(about, format!("it says {}", rfc3339(now)));
}

/// What the system lets this process have.
fn limits(found: &mut Findings, data: &Path) {
    let about = "limits";
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = |name: &str| -> Option<u64> {
        let soft = limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
        soft.parse().ok()
    };
    let space =
        limit("Max address space").map_or("no limit is set".to_owned(), |it| format!("of {}", size(it)));
    let before = address_space();
    match Engine::new(None, Limits::default()) {
        Err(error) => {
            let text = format!("agents cannot be run on this machine: {}", line(&format!("{error:#}")));
            found.bad(about, text, "see that the processor and the kernel are ones Countersign is built for");
        }
        // Kept until the space it took has been read.
        Ok(_engine) => match address_space().saturating_sub(before) {
            reserved if reserved < (SEGMENTS_MAX * MEMORY_BYTES_MAX) as u64 => {
                let text =
                    format!("there is no address space for a pool of memory ({space}): agents start slower");
                found.warn(
                    about,
                    text,
                    "raise it: `ulimit -v unlimited`, or `LimitAS=infinity` with systemd",
                );
            }
            reserved => {
                found.ok(
                    about,
                    format!("the pool of memory reserves {} of address space; {space}", size(reserved)),
                );
            }
        },
    }
    match limit("Max open files") {
        Some(files) if files < FILES => {
            let text = format!("at most {files} files and connections can be open at a time");
            found.warn(
                about,
                text,
                format!("raise it: `ulimit -n {}`, or `LimitNOFILE=` with systemd", 64 * FILES),
            );
        }
        Some(files) => found.ok(about, format!("{files} files and connections can be open at a time")),
        None => found.ok(about, "no limit is set for open files"),
    }
    let stored = std::fs::metadata(data.join(DATABASE)).map_or(0, |it| it.len());
    match limit("Max file size") {
        Some(bytes) => {
            let text = format!("a file can have {}, and the database has {}", size(bytes), size(stored));
            let cure = "take the limit away: `ulimit -f unlimited`, or `LimitFSIZE=infinity` with systemd";
            match bytes < stored.saturating_add(ROOM.1) {
                true => found.bad(about, text, cure),
                false => found.warn(about, text, cure),
            }
        }
        None => found.ok(about, "no limit is set for the size of a file"),
    }
}

/// How much address space this process has, in bytes.
fn address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmSize:")?.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0_u64) * 1024
}

/// Whether what mail would leave by is there. Nothing is sent, and nobody is connected to.
fn ways(found: &mut Findings, config: &Config) {
    let others = config
        .tenants
        .iter()
        .flat_map(|(tenant, users)| users.iter().map(move |(name, user)| (format!("{tenant}/{name}"), user)));
    let users: Vec<_> = config.users.iter().map(|(name, user)| (name.clone(), user)).chain(others).collect();
    for (name, user) in &users {
        match way(user) {
            Ok(None) => {}
            Ok(Some(text)) => found.ok("mail", format!("{name}: {text}")),
            Err((text, cure)) => found.bad("mail", format!("{name}: {text}"), cure),
        }
    }
    if users.iter().all(|(_, user)| user.way == Way::Embedded) {
        found.ok("mail", "no user has a way out: it is kept in the embedded mailbox, not sent");
    }
    if let Some(program) = config.notify.command.as_ref().and_then(|words| words.first()) {
        match executable(program) {
            Ok(()) => found.ok("notify", format!("{} can be started", line(program))),
            Err(text) => found.bad("notify", text, "set `notify.command` to a program that is there"),
        }
    }
}

/// What is good about a way out, or wrong with it; nothing where mail stays here.
fn way(user: &User) -> Result<Option<String>, (String, String)> {
    match &user.way {
        Way::Embedded => Ok(None),
        Way::Command(program) => {
            let path = &program.command[0];
            executable(path)
                .map_err(|text| (text, "set `send.command` to a program that is there".to_owned()))?;
            Ok(Some(format!("{} can be started", line(path))))
        }
        Way::Smtp(submission) => {
            if let Some(path) = &submission.ca_file {
                let cure = "set `send.ca_file` to a file of PEM certificates this user can read";
                certificates(path).map_err(|text| (text, cure.to_owned()))?;
            }
            if let Some(login) = &submission.login {
                read_password(&login.password).map_err(|text| {
                    let cure = match &login.password {
                        Password::Env(name) => format!("set {name} where the host is started"),
                        Password::File(_) => {
                            "write the password to a file only this user can read".to_owned()
                        }
                    };
                    (line(&text), cure)
                })?;
            }
            let with = if submission.login.is_some() { ", and the password can be read" } else { "" };
            Ok(Some(format!("leaves by {} port {}{with}", line(&submission.host), submission.port)))
        }
    }
}

fn executable(path: &str) -> Result<(), String> {
    let is_file = std::fs::metadata(path).map_err(|error| format!("{}: {error}", line(path)))?.is_file();
    match is_file && eaccess(path, AccessFlags::X_OK).is_ok() {
        true => Ok(()),
        false => Err(format!("{} is no program this user can start", line(path))),
    }
}

/// What the server shows of itself.
fn certificate(found: &mut Findings, config: &Config, clock: &Clock) {
    let about = "serve";
    let Some(certificate) = &config.serve.tls else { return };
    let (chain, private) = match certificate.read() {
        Ok(read) => read,
        Err(problem) => return found.bad(about, problem.message, problem.hint.unwrap_or_default()),
    };
    let cure = "set `serve.tls_key` to the PEM key of that certificate, readable by this user alone";
    let ends_ms = chain.first().and_then(|first| ends(first));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let made = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|it| it.with_no_client_auth().with_single_cert(chain, private));
    if let Err(error) = made {
        return found.bad(
            about,
            format!("certificate and key cannot be used: {}", line(&error.to_string())),
            cure,
        );
    }
    let renew = "have it renewed";
    match ends_ms {
        Some(ends_ms) if ends_ms <= clock.now() => {
            found.bad(about, format!("the certificate ended at {}", rfc3339(ends_ms)), renew);
        }
        Some(ends_ms) if ends_ms - clock.now() < RENEW_MS => {
            found.warn(about, format!("the certificate ends at {}", rfc3339(ends_ms)), renew);
        }
        Some(ends_ms) => {
            found.ok(about, format!("the certificate fits its key, and ends at {}", rfc3339(ends_ms)))
        }
        None => found.ok(about, "the certificate fits its key"),
    }
}

/// When a certificate ends, RFC 5280, 4.1: the second time of the fifth element, or the fourth where no version is written.
/// Nothing where that cannot be read.
fn ends(certificate: &[u8]) -> Option<Millis> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut rest, _) = element(certificate)?;
    let (tag, _, behind) = element(rest)?;
    if tag == 0xa0 {
        rest = behind;
    }
    // Serial number, signature, issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, behind) = element(validity)?;
    let (tag, digits, _) = element(behind)?;
    let digits = std::str::from_utf8(digits).ok().filter(|text| text.is_ascii())?;
    let full = match (tag, digits.len()) {
        // UTCTime: years from 1950 to 2049.
        (0x17, 13) => format!("{}{digits}", if digits < "50" { "20" } else { "19" }),
        (0x18, 15) => digits.to_owned(),
        _ => return None,
    };
    let at = |from: usize| full.get(from..from + 2);
    parse(&format!("{}-{}-{}T{}:{}:{}Z", full.get(..4)?, at(4)?, at(6)?, at(8)?, at(10)?, at(12)?))
}

/// The first element of DER: its tag, what is in it, and what stands behind it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=127 => (usize::from(first), rest),
        // Four bytes of length are more than any file that is read here has.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, behind) = rest.split_at_checked(length)?;
    Some((tag, inside, behind))
}

/// Which other processes of this user have the database open. It may well be shared: this is for whoever wonders.
fn company(found: &mut Findings, data: &Path) {
    let about = "processes";
    let (Ok(own), Ok(processes)) = (std::fs::metadata(data.join(DATABASE)), std::fs::read_dir("/proc"))
    else {
        return;
    };
    let has_it_open = |process: &PathBuf| {
        let open = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        open.filter_map(|file| std::fs::metadata(file.path()).ok())
            .any(|file| (file.dev(), file.ino()) == (own.dev(), own.ino()))
    };
    let me = std::process::id().to_string();
    let others: Vec<_> = processes
        .flatten()
        .map(|process| process.path())
        .filter(|process| {
            process.file_name().is_some_and(|id| id.as_encoded_bytes().iter().all(u8::is_ascii_digit))
        })
        .filter(|process| process.file_name().is_some_and(|id| *id != *me))
        .filter(has_it_open)
        .map(|process| {
            let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
            let id = process.file_name().map(|id| id.display().to_string()).unwrap_or_default();
            format!("{} ({id})", short(name.trim_end(), 32))
        })
        .collect();
    match others.is_empty() {
        true => found.ok(about, "no other process has the data folder open"),
        false => found.ok(about, format!("the data folder is also open in {}", listed(&others))),
    }
}

fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(LISTED_MAX)].join(", ");
    match names.len().saturating_sub(LISTED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn shown(path: &Path) -> String {
    line(&path.to_string_lossy())
}

/// A path as a shell takes it for one word.
fn word(path: &Path) -> String {
    shell(&path.to_string_lossy())
}

/// So many bytes as people read it.
fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (bytes.max(1).ilog2() / 10) as usize;
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{:.1} {}", bytes as f64 / (1_u64 << (10 * unit)) as f64, units[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_that_claims_more_than_there_is_is_none() {
        assert_eq!(element(&[4, 2, 1, 2, 3]), Some((4, &[1, 2][..], &[3][..])));
        assert_eq!(element(&[4, 0x81, 1, 9]), Some((4, &[9][..], &[][..])));
        for cut in
            [&[][..], &[4], &[4, 1], &[4, 0x84, 255, 255, 255, 255], &[4, 0x80], &[4, 0x85, 0, 0, 0, 0, 0]]
        {
            assert_eq!(element(cut), None, "{cut:?}");
        }
    }

    #[test]
    fn a_size_is_told_in_the_unit_people_would_use() {
        for (bytes, told) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (3 << 40, "3.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), told);
        }
    }

    #[test]
    fn a_clock_behind_what_the_host_has_seen_is_told_and_one_that_was_never_set_is_bad() {
        let said = |now: Millis, latest_ms: Option<Millis>| {
            let mut found = Findings::default();
            time(&mut found, &Clock::virtual_at(now, 0), latest_ms);
            found.0[0].health
        };
        assert_eq!(said(BUILT_MS, None), Health::Ok);
        assert_eq!(said(BUILT_MS, Some(BUILT_MS + BEHIND_MS_MAX)), Health::Ok);
        assert_eq!(said(BUILT_MS, Some(BUILT_MS + BEHIND_MS_MAX + 1)), Health::Warn);
        assert_eq!(said(BUILT_MS - 1, None), Health::Bad);
    }
}

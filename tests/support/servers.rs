//! Real mail servers from Debian, for tests. Where one is missing, a test says that it is skipped, and passes.

use crate::support::workspace;
use countersign::config::{Login, Password, Submission, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Who may send through a [`MailServer`].
pub const USER: &str = "ada";
/// With which password.
pub const PASSWORD: &str = "correct horse battery";

/// A submission server in a process of its own, which ends with this. It wants STARTTLS and a login unless told otherwise.
pub struct MailServer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
    tls: Tls,
    pub port: u16,
}

/// What the certificate of a server is like.
#[derive(Clone, Copy, PartialEq)]
pub enum Shows {
    Localhost,
    AnotherName,
    AnExpiredOne,
}

impl MailServer {
    /// With STARTTLS and a login. `None`, saying so, where the server is not installed.
    pub fn start() -> Option<MailServer> {
        MailServer::with(Tls::Starttls, Shows::Localhost, &["--user", USER, "--password", PASSWORD])
    }

    pub fn with(tls: Tls, shows: Shows, arguments: &[&str]) -> Option<MailServer> {
        // Debian's packages are for Debian's Python.
        let python = "/usr/bin/python3";
        let probe = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !probe.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: needs a mail server: python3-aiosmtpd");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        certificates(folder.path(), shows);
        std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        private(&folder.path().join("password"), 0o600);
        let mut command = Command::new(python);
        command
            .args(["-B", "-W", "ignore"])
            .arg(workspace().join("tests/servers/smtp.py"))
            .arg("--store")
            .arg(&store);
        command.args(["--tls", ["tls", "starttls", "none"][tls as usize]]).args(arguments);
        if tls != Tls::None {
            command.arg("--cert").arg(folder.path().join("cert.pem"));
            command.arg("--key").arg(folder.path().join("key.pem"));
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        stdout.read_line(&mut port).unwrap();
        Some(MailServer { child, stdin, stdout, folder, tls, port: port.trim().parse().unwrap() })
    }

    /// What the connections to come meet: a step and what happens there, or nothing. `smtp.py` has the words.
    pub fn fault(&mut self, fault: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "fault {fault}").unwrap();
        let mut ok = String::new();
        self.stdout.read_line(&mut ok).unwrap();
        assert_eq!(ok, "ok\n");
    }

    /// The certificate that vouches for it.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A file with the password.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// How to reach it, with its login if it is protected.
    pub fn submission(&self) -> Submission {
        let login = Login { username: USER.into(), password: Password::File(self.password_file()) };
        Submission {
            host: "localhost".into(),
            port: self.port,
            tls: self.tls,
            login: Some(login).filter(|_| self.tls != Tls::None),
            ca_file: Some(self.ca_file()),
            timeout: Duration::from_secs(20),
            retry_ms: countersign::approval::outbox::RETRY_MS,
        }
    }

    /// The messages it has taken, as they came, oldest first.
    pub fn received(&self) -> Vec<Vec<u8>> {
        self.kept("eml").collect()
    }

    /// The envelope of each: `from`, `to`, and whether there was a `login`.
    pub fn envelopes(&self) -> Vec<serde_json::Value> {
        self.kept("json").map(|bytes| serde_json::from_slice(&bytes).unwrap()).collect()
    }

    fn kept(&self, kind: &str) -> impl Iterator<Item = Vec<u8>> {
        let store = self.folder.path().join("store");
        (1..).map_while(move |n| std::fs::read(store.join(format!("{n}.{kind}"))).ok())
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn private(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Writes `ca.pem`, and `cert.pem` and `key.pem` of a server it vouches for.
fn certificates(folder: &Path, shows: Shows) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let ca = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let name = if shows == Shows::AnotherName { "elsewhere.test" } else { "localhost" };
    let mut server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if shows == Shows::AnExpiredOne {
        server.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap();
    for (name, text) in
        [("ca.pem", ca.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
    {
        std::fs::write(folder.join(name), text).unwrap();
    }
}

/// A Dovecot that takes mail by LMTP and keeps it as a Maildir, in processes of its own which end with this.
pub struct Dovecot {
    child: Child,
    folder: tempfile::TempDir,
    pub lmtp: u16,
}

impl Dovecot {
    /// `None`, saying so, where it is not installed.
    pub fn start() -> Option<Dovecot> {
        let program = Path::new("/usr/sbin/dovecot");
        if !program.exists() || !Path::new("/usr/lib/dovecot/lmtp").exists() {
            eprintln!("SKIPPED: needs dovecot-imapd and dovecot-lmtpd");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        private(home, 0o755);
        // It refuses to work as root, and as nobody it needs a folder of nobody's.
        let is_root = own_uid() == 0;
        let (uid, gid, user, group) = match is_root {
            true => (65534, 65534, "nobody".to_owned(), "nogroup".to_owned()),
            false => (own_uid(), number("-g"), word("-un"), word("-gn")),
        };
        // Asked for and given back: Dovecot cannot say which port it was given.
        let lmtp = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let template = std::fs::read_to_string(workspace().join("tests/servers/dovecot.conf")).unwrap();
        let conf = template
            .replace("@DIR@", home.to_str().unwrap())
            .replace("@UID@", &uid.to_string())
            .replace("@GID@", &gid.to_string())
            .replace("@USER@", &user)
            .replace("@GROUP@", &group)
            .replace("@LMTP@", &lmtp.to_string());
        std::fs::write(home.join("dovecot.conf"), conf).unwrap();
        for name in ["run", "state", "mail", "home"] {
            std::fs::create_dir(home.join(name)).unwrap();
            std::os::unix::fs::chown(home.join(name), Some(uid), Some(gid)).unwrap();
        }
        std::os::unix::fs::chown(home, Some(uid), Some(gid)).unwrap();
        let mut command = match is_root {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        let child = command.arg("-F").arg("-c").arg(home.join("dovecot.conf")).spawn().unwrap();
        let dovecot = Dovecot { child, folder, lmtp };
        for _ in 0..600 {
            if std::net::TcpStream::connect(("127.0.0.1", lmtp)).is_ok() {
                return Some(dovecot);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(dovecot.folder.path().join("dovecot.log"));
        panic!("Dovecot does not answer: {log:?}");
    }

    /// The messages of a mailbox, as they lie on disk.
    pub fn mailbox(&self, name: &str) -> Vec<Vec<u8>> {
        let folder = self.folder.path().join("mail").join(name).join("new");
        let files = std::fs::read_dir(folder).into_iter().flatten();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // SIGTERM to its first process, which ends the others.
        let _ = Command::new("sh").args(["-c", &format!("kill {}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}

fn own_uid() -> u32 {
    number("-u")
}

fn number(flag: &str) -> u32 {
    word(flag).parse().unwrap()
}

fn word(flag: &str) -> String {
    let output = Command::new("id").arg(flag).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

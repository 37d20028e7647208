//! How a server serves: where it listens, what it is called, and what it bears.

use super::file::{Entry, Table};
use super::{is_loopback, seconds};
use crate::printable::{line, shell, short};
use crate::refusals::{Code, Problem};
use reqwest::Url;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many runs a server can be told to execute at a time.
pub const RUNS_MAX: u16 = 64;
/// How many requests a minute each session or token can be allowed.
pub const REQUESTS_PER_MINUTE_MAX: u16 = 60_000;
/// The longest a server can be told to wait for what is on its way when it ends.
pub const GRACE_SECONDS_MAX: u16 = 300;

/// The largest certificate or key that is read, in bytes.
const PEM_BYTES_MAX: u64 = 1024 * 1024;
/// The port, where the operator does not say.
const PORT: u16 = 8340;
/// How many runs at a time, where the operator does not say.
const RUNS: u16 = 64;
/// How many requests a minute, where the operator does not say.
const REQUESTS_PER_MINUTE: u16 = 600;
/// How long to wait at the end, where the operator does not say.
const GRACE_SECONDS: u16 = 10;

/// How a server serves.
#[derive(Clone, Debug, PartialEq)]
pub struct Serve {
    /// The address and port it listens on. Port 0 stands for any that is free.
    pub listen: SocketAddr,
    /// What people type: an origin, as browsers write it. [`Serve::origin`] says what it is where nothing is set.
    pub url: Option<String>,
    /// What it shows of itself, where it speaks TLS.
    pub tls: Option<Certificate>,
    /// Whether something in front of it speaks TLS, and says who is asking.
    pub behind_proxy: bool,
    /// How many runs execute at a time, from 1 to [`RUNS_MAX`].
    pub runs: u16,
    /// How many requests a minute each session or each token has, from 1 to [`REQUESTS_PER_MINUTE_MAX`].
    pub requests_per_minute: u16,
    /// How it writes its log.
    pub log: Log,
    /// How long it waits for what is on its way when it ends, at most [`GRACE_SECONDS_MAX`] seconds.
    pub grace: Duration,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and those that vouch for it, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// Reads both files. The key must be this user's alone to read, as everything secret must: whoever else has it can be us.
    ///
    /// # Errors
    ///
    /// `CONFIG_INVALID`, naming the file, and what to do.
    pub fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Problem> {
        let wrong = |text: String, cure: &str| Problem::new(Code::ConfigInvalid, text).hint(cure);
        let chain = certificates(&self.cert)
            .map_err(|text| wrong(text, "set `serve.tls_cert` to a file of PEM certificates"))?;
        let cure = "set `serve.tls_key` to the PEM key of that certificate, readable by this user alone";
        let shown = line(&self.key.to_string_lossy());
        let (bytes, mode) = read(&self.key).map_err(|text| wrong(text, cure))?;
        if mode & 0o077 != 0 {
            let cure = format!("run `chmod 600 {}`", shell(&self.key.to_string_lossy()));
            return Err(wrong(format!("others can read the key {shown}"), &cure));
        }
        let key = PrivateKeyDer::from_pem_slice(&bytes)
            .map_err(|_| wrong(format!("{shown} has no private key in it"), cure))?;
        Ok((chain, key))
    }
}

/// The certificates in a PEM file.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let (bytes, _) = read(path)?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(format!("{} has no certificate in it", line(&path.to_string_lossy()))),
    }
}

/// What is in a file of certificates or a key, and who may read it: of one and the same file.
fn read(path: &Path) -> Result<(Vec<u8>, u32), String> {
    let unreadable =
        |error: std::io::Error| format!("cannot read {}: {}", line(&path.to_string_lossy()), error.kind());
    // Not blocking: what stands there may be a pipe nobody writes to.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    let mut bytes = Vec::new();
    file.take(PEM_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok((bytes, mode))
}

/// How a log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Lines for people.
    Text,
    /// One JSON document a line.
    Json,
}

impl Log {
    /// Every way there is, as written.
    pub const CHOICES: [(&str, Log); 2] = [("text", Log::Text), ("json", Log::Json)];
}

impl Default for Serve {
    fn default() -> Serve {
        Serve {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
            url: None,
            tls: None,
            behind_proxy: false,
            runs: RUNS,
            requests_per_minute: REQUESTS_PER_MINUTE,
            log: Log::Text,
            grace: seconds(GRACE_SECONDS),
        }
    }
}

impl Serve {
    /// What people type to reach it when it listens on `bound`: an origin, without a slash at its end.
    pub fn origin(&self, bound: SocketAddr) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let written = format!("{scheme}://{bound}");
        let derived =
            || Url::parse(&written).map_or(written.clone(), |url| url.origin().ascii_serialization());
        self.url.clone().unwrap_or_else(derived)
    }

    /// Whether these fit together, whoever has set them. Gives the key that does not, what is wrong with it, and what to write.
    ///
    /// # Errors
    ///
    /// An address that others can reach without TLS; a URL that nobody would answer, or none where it cannot be derived.
    pub fn check(&self) -> Result<(), (&'static str, String, String)> {
        let wrong = |key, what: &str, instead: &str| Err((key, what.to_owned(), instead.to_owned()));
        if !self.listen.ip().is_loopback() && self.tls.is_none() && !self.behind_proxy {
            let what =
                format!("`{}` can be reached by others, who would send passwords in the clear", self.listen);
            let instead = "set `tls_cert` and `tls_key`, or `behind_proxy = true` where a proxy speaks TLS";
            return Err(("listen", what, instead.to_owned()));
        }
        let Some(url) = &self.url else {
            let instead = "write what people type: `url = \"https://countersign.example.com\"`";
            return match (self.behind_proxy, self.listen.ip().is_unspecified()) {
                (true, _) => wrong("url", "is missing: only you know what the proxy is called", instead),
                (_, true) => wrong("url", "is missing: `listen` names no address people could type", instead),
                _ => Ok(()),
            };
        };
        match (url.starts_with("https:"), self.tls.is_some(), self.behind_proxy) {
            (false, true, _) => {
                wrong("url", "must be https where `tls_cert` is set", "begin it with `https://`")
            }
            (true, false, false) => wrong(
                "url",
                "is https, and nothing would speak TLS",
                "set `tls_cert` and `tls_key`, or `behind_proxy = true` where a proxy speaks TLS",
            ),
            _ => Ok(()),
        }
    }
}

pub(super) fn serve(mut table: Table) -> Result<Serve, Problem> {
    let default = Serve::default();
    let mut listen = table.take("listen");
    let mut url = table.take("url");
    let (cert, key) = (table.take("tls_cert"), table.take("tls_key"));
    let tls = match (cert, key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some(Certificate { cert: cert.path()?, key: key.path()? }),
        (Some(only), None) => {
            return Err(only.wrong("is nothing without its key", "add `tls_key`, or remove this"));
        }
        (None, Some(only)) => {
            return Err(only.wrong("is nothing without its certificate", "add `tls_cert`, or remove this"));
        }
    };
    let mut number = |key: &str, bounds| table.take(key).map(|entry| entry.number(bounds)).transpose();
    let runs = number("runs", 1..=RUNS_MAX)?;
    let requests = number("requests_per_minute", 1..=REQUESTS_PER_MINUTE_MAX)?;
    let grace = number("grace_seconds", 0..=GRACE_SECONDS_MAX)?;
    let serve = Serve {
        listen: listen.as_ref().map(address).transpose()?.unwrap_or(default.listen),
        url: url.as_ref().map(origin).transpose()?,
        tls,
        behind_proxy: table.take("behind_proxy").map(|entry| entry.flag()).transpose()?.unwrap_or_default(),
        runs: runs.unwrap_or(default.runs),
        requests_per_minute: requests.unwrap_or(default.requests_per_minute),
        log: table.take("log").map(|entry| entry.choice(&Log::CHOICES)).transpose()?.unwrap_or(default.log),
        grace: grace.map_or(default.grace, seconds),
    };
    serve.check().map_err(|(key, what, instead)| {
        let entry = if key == "listen" { listen.take() } else { url.take() };
        match entry {
            Some(entry) => entry.wrong(what, instead),
            None => table.without(key, &what, instead),
        }
    })?;
    Ok(serve)
}

/// No names: what a name stands for is for others to say, and may change.
fn address(entry: &Entry) -> Result<SocketAddr, Problem> {
    let text = entry.text()?;
    text.parse().map_err(|_| {
        let what = format!("`{}` is no address with a port", short(&text, 60));
        entry.wrong(what, "write it as `127.0.0.1:8340` or `[::1]:8340`")
    })
}

/// An origin as browsers write it: requests are compared with it letter by letter.
fn origin(entry: &Entry) -> Result<String, Problem> {
    let text = entry.text()?;
    let instead = "write it as `https://countersign.example.com`";
    let Ok(url) = Url::parse(&text) else {
        return Err(entry.wrong(format!("`{}` is no URL", short(&text, 60)), instead));
    };
    match url.scheme() {
        "https" => {}
        "http" if url.host_str().is_some_and(is_loopback) => {}
        _ => {
            let instead = "begin it with `https://`; `http://` is for `localhost`, `127.0.0.1` and `[::1]`";
            return Err(entry.wrong("must be https", instead));
        }
    }
    let is_origin = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    match is_origin {
        true => Ok(url.origin().ascii_serialization()),
        // It is not quoted: there may be a password in it.
        false => Err(entry.wrong("must be a scheme, a name and a port, and nothing else", instead)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_follows_from_the_address_where_it_is_not_set() {
        let at = |address: &str| address.parse::<SocketAddr>().unwrap();
        let plain = Serve::default();
        assert_eq!(plain.origin(plain.listen), "http://127.0.0.1:8340");
        assert_eq!(plain.origin(at("[::1]:80")), "http://[::1]");
        let tls = Some(Certificate { cert: "/c".into(), key: "/k".into() });
        let safe = Serve { tls, ..Serve::default() };
        assert_eq!(safe.origin(at("192.0.2.1:443")), "https://192.0.2.1");
        let named = Serve { url: Some("https://a.example".into()), ..safe };
        assert_eq!(named.origin(at("192.0.2.1:443")), "https://a.example");
    }

    #[test]
    fn what_listens_to_others_is_refused_without_tls_whoever_sets_it() {
        let key = |serve: &Serve| serve.check().err().map(|(key, ..)| key);
        let mut serve = Serve { listen: "0.0.0.0:0".parse().unwrap(), ..Serve::default() };
        assert_eq!(key(&serve), Some("listen"));
        serve.behind_proxy = true;
        assert_eq!(key(&serve), Some("url"));
        serve.url = Some("https://a.example".into());
        assert_eq!(key(&serve), None);
        // What IPv6 calls an address of this machine in the old form is not worth a guess.
        let mapped = Serve { listen: "[::ffff:127.0.0.1]:1".parse().unwrap(), ..Serve::default() };
        assert_eq!(key(&mapped), Some("listen"));
    }
}

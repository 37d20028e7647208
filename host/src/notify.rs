//! Telling people that something waits for them.
//!
//! A notification says where to look. It holds nothing of the message, and nothing that would decide: whoever reads it
//! along the way learns an id, and can do nothing with it.

use crate::clock::{Millis, rfc3339};
use crate::config::{Notify, is_loopback};
use crate::printable::short;
use anyhow::{Context as _, bail, ensure};
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;
use rustls_platform_verifier::Verifier;
use serde::Serialize;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What somebody is told.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// What happened: `approval.pending`, `outbox.uncertain` or `outbox.not_sent`.
    pub event: &'static str,
    /// The approval it is about.
    pub approval: &'a str,
    /// The intent that waits for it.
    pub intent: &'a str,
    /// The agent that runs for it.
    pub agent: &'a str,
    /// When there is nothing left to decide, if it ends by itself.
    pub expires_ms: Option<Millis>,
}

/// The same as JSON.
#[derive(Serialize)]
struct Body<'a> {
    event: &'a str,
    approval: &'a str,
    intent: &'a str,
    agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Tells people, in every way the operator has set, all at once.
///
/// Never fails and never takes longer than the operator's timeout: what waits is kept, whether anybody hears of it or not. A way that
/// does not work is a warning to the operator, and is not tried again.
pub async fn notify(config: &Notify, notice: &Notice<'_>) {
    let body = Body {
        event: notice.event,
        approval: notice.approval,
        intent: notice.intent,
        agent: notice.agent,
        expires: notice.expires_ms.map(rfc3339),
        link: config.link.as_ref().map(|link| link.replace("{approval}", notice.approval)),
    };
    let json = match serde_json::to_vec(&body) {
        Ok(json) => json,
        Err(error) => {
            return tracing::warn!(blame = "host", "nobody is told of {}: {error}", notice.approval);
        }
    };
    let command = async {
        let Some(command) = &config.command else { return };
        report("the program", notice, within(config, run(command, notice, &json)).await);
    };
    let webhook = async {
        let Some(url) = &config.webhook else { return };
        report("the webhook", notice, within(config, post(url, json.clone())).await);
    };
    tokio::join!(command, webhook);
}

/// Drops what takes too long, and with it the program or the connection.
async fn within(config: &Notify, way: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::time::timeout(config.timeout, way)
        .await
        .unwrap_or_else(|_| bail!("it took longer than {:?}", config.timeout))
}

/// The error is foreign in part: a library may quote what a server has sent.
fn report(way: &str, notice: &Notice<'_>, done: anyhow::Result<()>) {
    if let Err(error) = done {
        let (event, approval) = (notice.event, notice.approval);
        let error = short(&format!("{error:#}"), 300);
        tracing::warn!(
            blame = "operator",
            "{way} did not take the notification {event} of {approval}: {error}"
        );
    }
}

/// Runs the operator's program. No shell reads the arguments. What the program writes is not kept: it is not ours to judge.
async fn run(command: &[String], notice: &Notice<'_>, json: &[u8]) -> anyhow::Result<()> {
    let (program, arguments) = command.split_first().context("there is no program")?;
    let arguments =
        arguments.iter().map(|argument| filled(argument, notice)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut child = Command::new(program);
    child
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"COUNTERSIGN_") {
            child.env_remove(name);
        }
    }
    let mut child = child.spawn().with_context(|| format!("cannot start {program}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A program that does not read what it is told has its arguments.
        let _ = input.write_all(json).await;
    }
    let status = child.wait().await?;
    ensure!(status.success(), "{program} ended with {status}");
    Ok(())
}

/// An argument with its placeholders filled in, once: what is filled in is not looked at again.
///
/// Ids are ours. An agent's id is its author's choice and may begin with `-`; where that would turn an argument into an option, the
/// program is not run.
fn filled(argument: &str, notice: &Notice<'_>) -> anyhow::Result<String> {
    let places = [("{approval}", notice.approval), ("{intent}", notice.intent), ("{agent}", notice.agent)];
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match places.iter().find(|(place, _)| rest.starts_with(place)) {
            Some((place, value)) => {
                out.push_str(value);
                rest = &rest[place.len()..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    ensure!(!out.starts_with('-') || argument.starts_with('-'), "the agent's id would be read as an option");
    Ok(out)
}

/// Posts to the operator's webhook. Redirects are not followed, and no proxy is taken from the environment: a notification goes where the
/// configuration says or nowhere. The answer's body is never read.
async fn post(url: &str, json: Vec<u8>) -> anyhow::Result<()> {
    // The library's errors may quote the URL, and whoever knows a webhook's path may post to it: the host is enough.
    let url = Url::parse(url).context("its URL cannot be read")?;
    let host = url.host_str().unwrap_or_default().to_owned();
    ensure!(url.scheme() == "https" || is_loopback(&host), "http is for this machine alone");
    let client = client(&url)?;
    let answer = client.post(url).header(CONTENT_TYPE, "application/json").body(json).send().await;
    let status = answer.map_err(reqwest::Error::without_url).with_context(|| host.clone())?.status();
    ensure!(status.is_success(), "{host} answered {}", status.as_u16());
    Ok(())
}

/// A client that trusts what the system trusts. It brings its own cryptography: a default for the whole process would be ours to
/// impose on no program that uses this library.
fn client(url: &Url) -> anyhow::Result<reqwest::Client> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let tls = match url.scheme() {
        "https" => {
            let system = Verifier::new(provider).context("no certificates of the system")?;
            tls.dangerous().with_custom_certificate_verifier(Arc::new(system))
        }
        // A machine without certificates can still tell itself.
        _ => tls.with_root_certificates(rustls::RootCertStore::empty()),
    };
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .build()?)
}

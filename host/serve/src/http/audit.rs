//! `/v1/audit`.

use super::asked::{Asked, At};
use super::problems::Refused;
use super::{App, busy};
use crate::view::{AuditEntry, Verified};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use countersign::digest::Digest;
use countersign::people::Deed;
use countersign::refusals::{Code, Problem};
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many bytes of entries are sent at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a client may leave a part of the export untaken: the database stays open for reading that long.
const STALLED: Duration = Duration::from_secs(30);

/// What the audit is held against.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kept {
    /// A hash that somebody kept: the audit must hold it.
    #[schemars(with = "Option<String>")]
    head: Option<Digest>,
}

pub async fn verify(At(desk): At, Asked(Kept { head }): Asked<Kept>) -> Result<Json<Verified>, Refused> {
    busy(move || Ok(Json(Verified::of(&desk.audit(head)?)?))).await
}

pub async fn export(State(app): State<Arc<App>>, At(desk): At) -> Result<impl IntoResponse, Refused> {
    desk.ask(Deed::Audit)?;
    let Ok(place) = app.exports.clone().try_acquire_owned() else {
        let problem = Problem::new(Code::Busy, "others are exporting the audit");
        return Err(problem.hint("try again when they have it").into());
    };
    let (give, taken) = mpsc::channel::<Result<Bytes, anyhow::Error>>(1);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let send = |part| runtime.block_on(async { tokio::time::timeout(STALLED, give.send(part)).await });
        let mut part = Vec::new();
        let flush = |part: &mut Vec<u8>| match send(Ok(std::mem::take(part).into())) {
            Ok(Ok(())) => Ok(()),
            _ => Err(anyhow::anyhow!("the client takes no more of the audit")),
        };
        let written = desk.each_audit_entry(|previous, entry| {
            let entry = AuditEntry::of(previous, entry)?;
            serde_json::to_writer(&mut part, &entry).map_err(anyhow::Error::from)?;
            part.push(b'\n');
            if part.len() >= CHUNK_BYTES { Ok(flush(&mut part)?) } else { Ok(()) }
        });
        let written = written.and_then(|()| Ok(flush(&mut part)?));
        if let Err(error) = written {
            tracing::warn!(blame = "host", "an export of the audit broke off: {error}");
            // The client sees that it did: what it has is not the whole.
            let _ = send(Err(anyhow::anyhow!("the export broke off")));
        }
    });
    let parts = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(parts)))
}

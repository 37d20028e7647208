//! Intents: submitting, looking up, picking up, cancelling.

use super::{Store, entries, json, named, touch};
use crate::clock::Millis;
use crate::digest::Digest;
use crate::intent::{Event, Intent, Status, next};
use crate::journal::Entry;
use crate::refusals::{Code, Problem, Result};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::{Map, Value};

/// An intent about to be submitted.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the fields of an intent")]
pub struct NewIntent {
    pub id: String,
    pub tenant: String,
    pub user: String,
    pub agent: String,
    pub digest: Digest,
    pub action: String,
    pub parameters: Map<String, Value>,
    pub text: Option<String>,
    pub seed: [u8; 32],
    pub submitted_ms: Millis,
    pub retry_of: Option<String>,
}

impl Store {
    /// Commits an intent, before the first instruction of its run. Gives the number its run is locked under.
    pub async fn submit(&self, new: NewIntent) -> Result<i64> {
        self.write(move |db| {
            touch(db, new.submitted_ms)?;
            // Another process may have installed another build, or removed the agent, since it was looked up.
            let sql = "SELECT 1 FROM agent WHERE tenant = ?1 AND id = ?2 AND digest = ?3";
            if !db.prepare_cached(sql)?.exists(params![new.tenant, new.agent, new.digest.0])? {
                let message = format!("agent {} has been replaced or removed meanwhile", new.agent);
                return Err(Problem::new(Code::UnknownId, message).hint("try again").into());
            }
            let parameters = serde_json::to_string(&new.parameters).expect("JSON serializes");
            db.prepare_cached(
                "INSERT INTO intent (id, tenant, user, agent, digest, action, parameters, text, run, seed, \
                 submitted_ms, host_version, status, generation, fuel, log, retry_of, updated_ms) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, 'running', 0, 0, '', ?12, ?10)",
            )?
            .execute(params![
                new.id,
                new.tenant,
                new.user,
                new.agent,
                new.digest.0,
                new.action,
                parameters,
                new.text,
                new.seed,
                new.submitted_ms,
                env!("CARGO_PKG_VERSION"),
                new.retry_of,
            ])?;
            Ok(db.last_insert_rowid())
        })
        .await
    }

    /// The intent `id` of this user, and the number its run is locked under.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for the intent of another user: ids of others look like ids that do not exist.
    pub fn intent(&self, tenant: &str, user: &str, id: &str) -> Result<(i64, Intent)> {
        self.read(|db| {
            let sql = format!("{SELECT} WHERE id = ?1 AND tenant = ?2 AND user = ?3");
            let found = db.prepare_cached(&sql)?.query_row([id, tenant, user], intent).optional()?;
            Ok(found.ok_or_else(|| unknown(id))?)
        })
    }

    /// The latest `limit` intents of a user, newest first.
    pub fn intents(&self, tenant: &str, user: &str, limit: u32) -> Result<Vec<(i64, Intent)>> {
        self.read(|db| {
            let sql = format!("{SELECT} WHERE tenant = ?1 AND user = ?2 ORDER BY seq DESC LIMIT ?3");
            let mut statement = db.prepare_cached(&sql)?;
            Ok(statement.query_map(params![tenant, user, limit], intent)?.collect::<Result<_, _>>()?)
        })
    }

    /// The journal of an intent.
    pub fn journal(&self, seq: i64) -> Result<Vec<Entry>> {
        self.read(|db| Ok(entries::load(db, seq)?))
    }

    /// Cancels an intent: nothing it was approved for leaves any more, and nobody is asked for it any more.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_ENDED`.
    pub async fn cancel(&self, tenant: &str, user: &str, id: &str, now: Millis) -> Result<()> {
        let (seq, _) = self.intent(tenant, user, id)?;
        let id = id.to_owned();
        self.write(move |db| {
            touch(db, now)?;
            let status = status(db, seq)?;
            let Some(cancelled) = next(status, Event::Cancel) else {
                let message = format!("intent {id} has ended: it is {}", status.name());
                return Err(Problem::new(Code::AlreadyEnded, message)
                    .hint(format!("`countersign intent retry {id}` submits it again"))
                    .into());
            };
            set_status(db, seq, cancelled, now)?;
            super::decisions::cancel_open_of_intent(db, seq, now)?;
            super::outbox::cancel_of_intent(db, seq, now)?;
            Ok(())
        })
        .await
    }
}

/// Where the intent `seq` is.
pub(super) fn status(db: &Connection, seq: i64) -> rusqlite::Result<Status> {
    named(db.prepare_cached("SELECT status FROM intent WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?)
}

/// Moves an intent on. Its generation moves with it: whoever held the older one has lost the run.
pub(super) fn set_status(db: &Connection, seq: i64, status: Status, now: Millis) -> rusqlite::Result<()> {
    let sql = "UPDATE intent SET status = ?2, generation = generation + 1, updated_ms = ?3 WHERE seq = ?1";
    db.prepare_cached(sql)?.execute(params![seq, status.name(), now])?;
    Ok(())
}

const SELECT: &str = "SELECT seq, id, tenant, user, agent, digest, action, parameters, text, run, seed, submitted_ms, \
                      status, generation, fuel, card, reason, log, retry_of, updated_ms FROM intent";

fn intent(row: &Row<'_>) -> rusqlite::Result<(i64, Intent)> {
    let parsed = |column| row.get::<_, Option<String>>(column)?.map(|text| json(&text)).transpose();
    let intent = Intent {
        id: row.get(1)?,
        tenant: row.get(2)?,
        user: row.get(3)?,
        agent: row.get(4)?,
        digest: Digest(row.get(5)?),
        action: row.get(6)?,
        parameters: json(&row.get::<_, String>(7)?)?,
        text: row.get(8)?,
        run: row.get(9)?,
        seed: row.get(10)?,
        submitted_ms: row.get(11)?,
        status: named(row.get(12)?)?,
        generation: row.get::<_, i64>(13)? as u64,
        fuel: row.get::<_, i64>(14)? as u64,
        card: parsed(15)?,
        reason: row.get::<_, Option<String>>(16)?.map(|text| json(&text)).transpose()?,
        log: row.get(17)?,
        retry_of: row.get(18)?,
        updated_ms: row.get(19)?,
    };
    Ok((row.get(0)?, intent))
}

fn unknown(id: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is no intent {id}"))
        .hint("`countersign intent list` shows them all")
}

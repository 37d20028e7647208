//! Intents: submitting, looking up, picking up, cancelling.

use super::{Page, Store, entries, json, named, outbox, touch};
use crate::clock::Millis;
use crate::digest::Digest;
use crate::intent::{Event, Intent, Status, next};
use crate::journal::Entry;
use crate::people::{Owner, Scope};
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
    /// Who asks, and through what, as recorded.
    pub by: String,
    /// The key it was submitted under, and the digest of what was asked.
    pub key: Option<(String, Digest)>,
}

/// An intent that has been put down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id.
    pub intent: String,
    /// Whether it was put down before, under the same key.
    pub again: bool,
}

/// How long a key stands for the intent it was submitted with: 24 hours.
pub const IDEMPOTENCY_MS: Millis = 24 * 60 * 60 * 1000;

/// Where an intent is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose host.
    pub tenant: String,
    /// On whose behalf.
    pub user: String,
    /// Its id.
    pub intent: String,
}

impl Place {
    /// Whose it is.
    pub fn owner(&self) -> Owner<'_> {
        Owner { tenant: &self.tenant, user: &self.user }
    }
}

/// Which intents of a list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Only<'a> {
    /// Those that stand so.
    pub status: Option<Status>,
    /// Those of this agent.
    pub agent: Option<&'a str>,
    /// Those that have failed: [`Intent::failed`] says in what.
    pub failed: bool,
}

/// What [`Intent::failed`] finds in a row.
const FAILED: &str = "(status = 'stopped' OR status = 'done' AND (card ->> 'type' = 'error' OR EXISTS \
                      (SELECT 1 FROM outbox WHERE outbox.intent = intent.seq AND state IN ('not_sent', 'uncertain'))))";

impl Store {
    /// Commits an intent, before the first instruction of its run.
    ///
    /// # Errors
    ///
    /// `IDEMPOTENCY_CONFLICT`; `STILL_LEAVING` where it is asked again and the first may still leave; `UNKNOWN_ID` where the agent has
    /// just been replaced or removed.
    pub async fn submit(&self, new: NewIntent) -> Result<Accepted> {
        self.write(move |db| {
            touch(db, new.submitted_ms)?;
            if let Some(intent) = submitted_before(db, &new)? {
                return Ok(Accepted { intent, again: true });
            }
            if let Some(first) = &new.retry_of {
                outbox::left_all(db, &new.tenant, first)?;
            }
            // Another process may have installed another build, or removed the agent, since it was looked up.
            let sql = "SELECT 1 FROM agent WHERE tenant = ?1 AND id = ?2 AND digest = ?3";
            if !db.prepare_cached(sql)?.exists(params![new.tenant, new.agent, new.digest.0])? {
                let message = format!("agent {} has been replaced or removed meanwhile", new.agent);
                return Err(Problem::new(Code::UnknownId, message).hint("try again").into());
            }
            let parameters = serde_json::to_string(&new.parameters).expect("JSON serializes");
            db.prepare_cached(
                "INSERT INTO intent (id, tenant, user, agent, digest, action, parameters, text, run, seed, \
                 submitted_ms, host_version, status, generation, fuel, log, retry_of, updated_ms, full_now, submitted_by) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10, ?11, 'running', 0, 0, '', ?12, ?10, 1, ?13)",
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
                new.by,
            ])?;
            Ok(Accepted { intent: new.id, again: false })
        })
        .await
    }

    /// The intent `id`, and the number its run is locked under.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for an intent outside the scope: ids of others look like ids that do not exist.
    pub fn intent<'a>(&self, scope: impl Into<Scope<'a>>, id: &str) -> Result<(i64, Intent)> {
        let Scope { tenant, user } = scope.into();
        self.read(|db| {
            let sql = format!("{SELECT} WHERE id = ?1 AND tenant = ?2 AND (?3 IS NULL OR user = ?3)");
            let found = db.prepare_cached(&sql)?.query_row(params![id, tenant, user], intent).optional()?;
            Ok(found.ok_or_else(|| unknown(id))?)
        })
    }

    /// Intents, newest first.
    pub fn intents(&self, scope: Scope<'_>, only: Only<'_>, page: Page<'_>) -> Result<Vec<Intent>> {
        let status = only.status.map(Status::name);
        let mut sql = format!("{SELECT} WHERE tenant = ?1");
        // Conditions that are not there keep no index from being used.
        for (is_there, condition) in [
            (scope.user.is_some(), "user = ?2"),
            (status.is_some(), "status = ?3"),
            (only.agent.is_some(), "agent = ?4"),
            (only.failed, FAILED),
            (page.before.is_some(), "seq < (SELECT seq FROM intent WHERE id = ?5 AND tenant = ?1)"),
        ] {
            if is_there {
                sql += &format!(" AND {condition}");
            }
        }
        sql += " ORDER BY seq DESC LIMIT ?6";
        let values = params![scope.tenant, scope.user, status, only.agent, page.before, page.limit];
        self.read(|db| {
            super::behind(db, ("intent", "id"), scope, page.before)?;
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map(values, |row| Ok(intent(row)?.1))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Runs that are neither waiting nor at their end, whoever's they are: the number each is locked under, and its intent.
    pub fn running(&self) -> Result<Vec<(i64, Place)>> {
        self.read(|db| {
            // The first condition is that of the index, word for word, or it would not be used.
            let sql = "SELECT seq, tenant, user, id FROM intent \
                       WHERE status IN ('running', 'waiting', 'sending', 'blocked') AND status = 'running' ORDER BY seq";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok((row.get(0)?, Place { tenant: row.get(1)?, user: row.get(2)?, intent: row.get(3)? }))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The journal of an intent.
    pub fn journal(&self, seq: i64) -> Result<Vec<Entry>> {
        self.read(|db| Ok(entries::load(db, seq)?))
    }

    /// What the run of an intent has heard from `call` up to an ask of its, as JSON, the latest first, as far as
    /// `bytes_max` bytes.
    pub fn answers(&self, seq: i64, approval: &str, call: &str, bytes_max: usize) -> Result<Vec<String>> {
        self.read(|db| Ok(entries::answers(db, (seq, approval), call, bytes_max)?))
    }

    /// Cancels an intent: nothing it was approved for leaves any more, and nobody is asked for it any more.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `ALREADY_ENDED`.
    pub async fn cancel(&self, scope: Scope<'_>, id: &str, now: Millis) -> Result<()> {
        let (seq, _) = self.intent(scope, id)?;
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
            super::line::leave(db, seq)?;
            super::decisions::cancel_open_of_intent(db, seq, now)?;
            outbox::cancel_of_intent(db, seq, now)?;
            Ok(())
        })
        .await
    }
}

/// The intent that came under the same key before. The key of a new one is kept.
fn submitted_before(db: &Connection, new: &NewIntent) -> Result<Option<String>> {
    let Some((key, request)) = &new.key else { return Ok(None) };
    let oldest = new.submitted_ms - IDEMPOTENCY_MS;
    db.prepare_cached("DELETE FROM idempotency WHERE at_ms < ?1")?.execute([oldest])?;
    let sql = "SELECT request, intent FROM idempotency WHERE tenant = ?1 AND user = ?2 AND key = ?3";
    let before = db
        .prepare_cached(sql)?
        .query_row([&new.tenant, &new.user, key], |row| Ok((Digest(row.get(0)?), row.get(1)?)))
        .optional()?;
    match before {
        Some((same, intent)) if same == *request => Ok(Some(intent)),
        Some((_, intent)) => {
            let message = format!("this idempotency key came with another order before, for {intent}");
            Err(Problem::new(Code::IdempotencyConflict, message).hint("use a key once for each order").into())
        }
        None => {
            let sql = "INSERT INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let row = params![new.tenant, new.user, key, request.0, new.id, new.submitted_ms];
            db.prepare_cached(sql)?.execute(row)?;
            Ok(None)
        }
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
                      status, generation, fuel, card, reason, log, retry_of, updated_ms, \
                      full_now, (SELECT min(state) FROM outbox WHERE outbox.intent = intent.seq AND state IN ('not_sent', 'uncertain')) \
                      FROM intent";

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
        trimmed_now: row.get::<_, Option<bool>>(20)?.is_none(),
        undelivered: row.get::<_, Option<String>>(21)?.map(named).transpose()?,
        updated_ms: row.get(19)?,
    };
    Ok((row.get(0)?, intent))
}

fn unknown(id: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is no intent {id}"))
        .hint("`countersign intent list` shows them all")
}

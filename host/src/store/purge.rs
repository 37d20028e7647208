//! Forgetting what has ended: rows go, bodies with them; the audit chain stays.

use super::{Store, audit};
use crate::audit::{Fact, Whose};
use crate::clock::{Millis, rfc3339};
use crate::refusals::Result;
use rusqlite::{Connection, params};

/// What was purged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// How many intents.
    pub intents: usize,
    /// The Message-IDs of what had left for them: their files go too.
    pub letters: Vec<String>,
    /// How many intents were old enough and stay, because a message of theirs is on its way or uncertain.
    pub kept: usize,
}

/// Old enough and at its end.
const ENDED: &str = "tenant = ?1 AND status IN ('done', 'stopped', 'cancelled') AND updated_ms < ?2";
/// With a message somebody has still to hear of.
const UNSETTLED: &str =
    "seq IN (SELECT intent FROM outbox WHERE state IN ('queued', 'attempting', 'uncertain'))";

impl Store {
    /// Deletes every intent that ended before `before`, with its journal, its approvals and its messages. Intents with a message
    /// that is on its way or uncertain stay. What is deleted is overwritten: every connection is set so.
    pub async fn purge(&self, tenant: &str, before: Millis, by: &str, now: Millis) -> Result<Purged> {
        let (tenant, by) = (tenant.to_owned(), by.to_owned());
        self.write(move |db| Ok(purge(db, &tenant, before, &by, now)?)).await
    }

    /// Writes the log of the database back and empties it: it still holds the pages as they were. Says whether it could.
    pub fn empty_log(&self) -> Result<bool> {
        self.read(|db| {
            Ok(db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| Ok(row.get::<_, i64>(0)? == 0))?)
        })
    }
}

fn purge(db: &Connection, tenant: &str, before: Millis, by: &str, now: Millis) -> rusqlite::Result<Purged> {
    let kept = format!("SELECT count(*) FROM intent WHERE {ENDED} AND {UNSETTLED}");
    let kept: i64 = db.query_row(&kept, params![tenant, before], |row| row.get(0))?;
    db.execute_batch("CREATE TEMP TABLE IF NOT EXISTS purged (seq INTEGER PRIMARY KEY); DELETE FROM purged")?;
    let select = format!("INSERT INTO purged SELECT seq FROM intent WHERE {ENDED} AND NOT {UNSETTLED}");
    let intents = db.execute(&select, params![tenant, before])?;
    let letters = db
        .prepare("SELECT message_id FROM outbox JOIN purged ON seq = intent WHERE state IN ('sent', 'kept')")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let of_purged = "IN (SELECT seq FROM purged)";
    for delete in [
        format!("DELETE FROM entry WHERE intent {of_purged}"),
        format!("DELETE FROM suffix WHERE approval IN (SELECT id FROM approval WHERE intent {of_purged})"),
        format!("DELETE FROM outbox WHERE intent {of_purged}"),
        format!("DELETE FROM approval WHERE intent {of_purged}"),
        format!("DELETE FROM intent WHERE seq {of_purged}"),
        // What nothing points to any more, a declined branch's reads too.
        "DELETE FROM large WHERE digest NOT IN (\
         SELECT request FROM entry WHERE typeof(request) = 'blob' UNION ALL \
         SELECT answer FROM entry WHERE typeof(answer) = 'blob' UNION ALL \
         SELECT request FROM suffix WHERE typeof(request) = 'blob' UNION ALL \
         SELECT answer FROM suffix WHERE typeof(answer) = 'blob')"
            .into(),
        "DELETE FROM purged".into(),
    ] {
        db.execute(&delete, [])?;
    }
    let whose = Whose { tenant, user: None };
    audit::append(db, now, whose, &Fact::Purge { before: rfc3339(before), intents, by })?;
    Ok(Purged { intents, letters, kept: kept as usize })
}

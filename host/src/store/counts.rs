//! How much there is that has not ended.

use super::Store;
use crate::clock::Millis;
use crate::refusals::Result;
use rusqlite::Connection;

/// What has not ended, of all tenants, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Intents that run, or can be picked up.
    pub running: u32,
    /// Intents that wait for a person. Each has one approval that is pending.
    pub waiting: u32,
    /// Intents that wait for a message to be handed over.
    pub sending: u32,
    /// Intents that stand in line to ask a person.
    pub blocked: u32,
    /// When the oldest approval that is pending was asked for.
    pub oldest_ms: Option<Millis>,
    /// Messages that wait for their turn.
    pub queued: u32,
    /// Messages that are being handed over.
    pub attempting: u32,
    /// Messages of which nobody knows whether they have left.
    pub uncertain: u32,
}

/// What waits for people is counted in indexes that hold nothing else. An intent that waits is not looked at, since its status lies
/// behind its parameters.
const PENDING: &str = "SELECT count(*), min(seq) FROM approval WHERE state = 'pending'";
const OPEN: &str = "SELECT count(*) FROM intent WHERE status IN ('running', 'waiting', 'sending', 'blocked')";
/// With those that are awake and have not asked yet: their status lies behind their parameters.
const IN_LINE: &str = "SELECT count(*) FROM intent WHERE line IS NOT NULL";
/// The condition of the index, word for word, or it would not be used.
const OUTBOX: &str =
    "SELECT state, count(*) FROM outbox WHERE state IN ('queued', 'attempting', 'uncertain') GROUP BY state";
const SENDING: &str = "SELECT count(*) FROM intent WHERE status = 'sending' AND seq IN \
    (SELECT intent FROM outbox WHERE state IN ('queued', 'attempting', 'uncertain') AND state <> 'uncertain')";

impl Store {
    /// Counts what has not ended. Reads the indexes of what is open, and never what has ended.
    pub fn counts(&self) -> Result<Counts> {
        self.read(|db| {
            // One state of the database for all that is read.
            let db = db.unchecked_transaction()?;
            let (waiting, oldest) =
                one(&db, PENDING, |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
            let (open, sending): (u32, u32) =
                (one(&db, OPEN, |row| row.get(0))?, one(&db, SENDING, |row| row.get(0))?);
            let oldest_ms = match oldest {
                Some(seq) => {
                    let sql = "SELECT asked_ms FROM approval WHERE seq = ?1";
                    Some(db.prepare_cached(sql)?.query_row([seq], |row| row.get(0))?)
                }
                None => None,
            };
            let blocked: u32 = one(&db, IN_LINE, |row| row.get(0))?;
            let running = open.saturating_sub(waiting + sending + blocked);
            let mut counts = Counts { running, waiting, sending, blocked, oldest_ms, ..Counts::default() };
            let mut statement = db.prepare_cached(OUTBOX)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let place = match row.get_ref(0)?.as_str().unwrap_or_default() {
                    "queued" => &mut counts.queued,
                    "attempting" => &mut counts.attempting,
                    _ => &mut counts.uncertain,
                };
                *place = row.get(1)?;
            }
            Ok(counts)
        })
    }
}

fn one<T>(
    db: &Connection,
    sql: &str,
    read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    db.prepare_cached(sql)?.query_row([], read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting_reads_indexes_of_what_is_open_and_no_table() {
        let store = Store::in_memory().unwrap();
        for sql in [PENDING, OPEN, IN_LINE, OUTBOX, SENDING] {
            let plan = store.read(|db| {
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let lines = statement.query_map([], |row| row.get::<_, String>(3))?;
                Ok(lines.collect::<Result<Vec<_>, _>>()?)
            });
            let open = ["approval_pending", "intent_open", "intent_line", "outbox_open"];
            for line in
                plan.unwrap().iter().filter(|line| line.starts_with("SCAN") || line.starts_with("SEARCH"))
            {
                let is_open = open.iter().any(|index| line.contains(&format!("INDEX {index}")));
                assert!(is_open || line.contains("INTEGER PRIMARY KEY"), "{sql}: {line}");
            }
        }
    }
}

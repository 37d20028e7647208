//! The audit chain's rows. Each is written in the transaction of what it tells.

use super::{Store, json};
use crate::audit::{Broken, Check, Entry, Fact, START, Whose};
use crate::clock::Millis;
use crate::digest::Digest;
use crate::people::TENANT;
use crate::refusals::Result;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;
use std::collections::HashMap;

/// What an audit came to.
#[derive(Clone, Debug)]
pub struct Audited {
    /// How many entries are whole, from the first on.
    pub entries: u64,
    /// The hash of the last of them.
    pub head: Digest,
    /// The first entry that is not.
    pub broken: Option<Broken>,
    /// Messages that have left with no decision, or other bytes than the chain tells of: their approvals.
    pub strays: Vec<String>,
}

impl Store {
    /// Follows the chain of a tenant from its start, and compares it with what has left.
    pub fn audit(&self, tenant: &str, wanted: Option<Digest>) -> Result<Audited> {
        self.read(|db| follow(db, tenant, wanted))
    }

    /// Hands every entry of a tenant to `take`, in order, with the hash before it.
    pub fn each_audit_entry(
        &self,
        tenant: &str,
        mut take: impl FnMut(Digest, Entry) -> Result<()>,
    ) -> Result<()> {
        self.read(|db| {
            let mut previous = START;
            each(db, tenant, |entry| {
                let hash = entry.hash;
                let taken = take(previous, entry);
                previous = hash;
                Ok(taken)
            })?
        })
    }

    /// The last entries, newest first, each with the hash before it, and how many there are in all.
    pub fn last_audit_entries(&self, tenant: &str, most: usize) -> Result<(Vec<(Digest, Entry)>, usize)> {
        self.read(|db| {
            let sql =
                "SELECT seq, at_ms, kind, body, hash FROM audit WHERE tenant = ?1 ORDER BY seq DESC LIMIT ?2";
            let mut statement = db.prepare_cached(sql)?;
            // One more, for the hash before the oldest of them.
            let rows = statement.query_map(params![tenant, most as i64 + 1], entry)?;
            let found = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let total = found.first().map_or(0, |last| last.seq as usize);
            let before = found.iter().skip(1).map(|entry| entry.hash).chain([START]).collect::<Vec<_>>();
            Ok((before.into_iter().zip(found).take(most).collect(), total))
        })
    }

    /// The hash of the last entry.
    pub fn audit_head(&self, tenant: &str) -> Result<Digest> {
        self.read(|db| Ok(head(db, tenant)?.1))
    }
}

/// Follows the chain of a tenant in whatever database this is.
pub(super) fn follow(db: &Connection, tenant: &str, wanted: Option<Digest>) -> Result<Audited> {
    // One state of the database for all that is read.
    let db = db.unchecked_transaction()?;
    let (mut check, mut told) = (Check::new(wanted), Told::default());
    let followed = each(&db, tenant, |entry| match check.entry(&entry) {
        Ok(()) => told.note(&entry).map(Ok),
        broken => Ok(broken),
    });
    let followed = match followed {
        // A row that cannot even be read is not as it was written.
        Err(
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..),
        ) => Err(Broken { seq: check.entries + 1, what: "cannot be read" }),
        // A policy is in force from the first opening on, and its entry begins the first tenant's chain.
        Ok(Ok(())) if check.entries == 0 && tenant == TENANT && has_begun(&db)? => {
            Err(Broken { seq: 1, what: "is missing" })
        }
        read => read?,
    };
    let broken = followed.err().or_else(|| check.end().err());
    Ok(Audited { entries: check.entries, head: check.head, broken, strays: told.strays(&db, tenant)? })
}

/// Whether a chain was begun here.
fn has_begun(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare("SELECT 1 FROM meta WHERE key = 'policy'")?.exists([])
}

/// Hands entries to `take` until it fails.
fn each<E>(
    db: &Connection,
    tenant: &str,
    mut take: impl FnMut(Entry) -> rusqlite::Result<std::result::Result<(), E>>,
) -> rusqlite::Result<std::result::Result<(), E>> {
    let mut statement =
        db.prepare("SELECT seq, at_ms, kind, body, hash FROM audit WHERE tenant = ?1 ORDER BY seq")?;
    let mut rows = statement.query([tenant])?;
    while let Some(row) = rows.next()? {
        if let Err(stopped) = take(entry(row)?)? {
            return Ok(Err(stopped));
        }
    }
    Ok(Ok(()))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: row.get::<_, i64>(0)? as u64,
        at_ms: row.get(1)?,
        kind: row.get(2)?,
        body: row.get(3)?,
        hash: Digest(row.get(4)?),
    })
}

/// What the chain tells of messages, by approval: the digest of what a person said yes to, and of the bytes handed over.
#[derive(Default)]
struct Told {
    signed: HashMap<String, String>,
    handed_over: HashMap<String, String>,
    since_ms: Option<Millis>,
}

impl Told {
    fn note(&mut self, entry: &Entry) -> rusqlite::Result<()> {
        self.since_ms.get_or_insert(entry.at_ms);
        let body: Value = json(&entry.body)?;
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        match (entry.kind.as_str(), text("approval")) {
            ("decide", Some(approval)) if body["verdict"] == "approve" => {
                self.signed.extend(text("digest").map(|digest| (approval, digest)));
            }
            ("deliver", Some(approval)) => {
                self.handed_over.extend(text("bytes").map(|bytes| (approval, bytes)));
            }
            _ => {}
        }
        Ok(())
    }

    /// What has left although nobody said yes to exactly it, or as other bytes than were handed over. What had left before there
    /// was a chain is passed over.
    fn strays(&self, db: &Connection, tenant: &str) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT approval, action, bytes FROM outbox WHERE tenant = ?1 AND state IN ('sent', 'kept') AND armed_ms >= ?2";
        let mut statement = db.prepare(sql)?;
        let mut rows = statement.query(params![tenant, self.since_ms.unwrap_or(Millis::MAX)])?;
        let mut strays = Vec::new();
        while let Some(row) = rows.next()? {
            let approval: String = row.get(0)?;
            let names = |told: &HashMap<String, String>, column| -> rusqlite::Result<bool> {
                let bytes: Vec<u8> = row.get(column)?;
                Ok(told.get(&approval) == Some(&Digest::of(&bytes).to_string()))
            };
            if !names(&self.signed, 1)? || !names(&self.handed_over, 2)? {
                strays.push(approval);
            }
        }
        Ok(strays)
    }
}

/// The number and the hash of the last entry of a tenant.
pub(super) fn head(db: &Connection, tenant: &str) -> rusqlite::Result<(i64, Digest)> {
    let mut statement =
        db.prepare_cached("SELECT seq, hash FROM audit WHERE tenant = ?1 ORDER BY seq DESC LIMIT 1")?;
    let head = statement.query_row([tenant], |row| Ok((row.get(0)?, Digest(row.get(1)?)))).optional()?;
    Ok(head.unwrap_or((0, START)))
}

/// Appends an entry, in the transaction of what it tells.
pub(super) fn append(
    db: &Connection,
    at_ms: Millis,
    whose: Whose<'_>,
    fact: &Fact<'_>,
) -> rusqlite::Result<()> {
    let (seq, previous) = head(db, whose.tenant)?;
    let Entry { seq, at_ms, kind, body, hash } = Entry::after(previous, seq as u64 + 1, at_ms, whose, fact);
    db.prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        whose.tenant,
        seq as i64,
        at_ms,
        kind,
        body,
        hash.0
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::Verdict;

    /// A chain of so many entries, on a database that can be tampered with.
    async fn chain(length: usize) -> Store {
        let store = Store::in_memory().unwrap();
        let write = move |db: &Connection| {
            for number in 0..length {
                let whose = Whose { tenant: "main", user: Some("local") };
                let approval = format!("appr_{number}");
                let (verdict, digest) = (Verdict::Approve, Digest::of(approval.as_bytes()));
                let fact = Fact::Decide { approval: &approval, verdict, digest, by: "me" };
                append(db, number as i64, whose, &fact)?;
            }
            Ok(())
        };
        store.write(write).await.unwrap();
        store
    }

    #[tokio::test]
    async fn the_last_entries_are_those_of_the_whole_chain() {
        for length in [0, 1, 2, 3, 7] {
            let store = chain(length).await;
            let mut all = Vec::new();
            store
                .each_audit_entry("main", |before, entry| {
                    all.insert(0, (before, entry));
                    Ok(())
                })
                .unwrap();
            let total = all.len();
            all.truncate(3);
            assert_eq!(store.last_audit_entries("main", 3).unwrap(), (all, total));
        }
    }

    async fn tamper(store: &Store, sql: &'static str) -> Option<u64> {
        store.write(move |db| Ok(db.execute(sql, [])?)).await.unwrap();
        store.audit("main", None).unwrap().broken.map(|broken| broken.seq)
    }

    #[tokio::test]
    async fn every_way_to_tamper_with_a_row_is_found_at_that_row() {
        assert_eq!(chain(10_000).await.audit("main", None).unwrap().entries, 10_000);
        for (sql, found) in [
            ("UPDATE audit SET body = replace(body, 'appr_4', 'appr_5') WHERE seq = 5", 5),
            ("UPDATE audit SET body = body || ' ' WHERE seq = 5", 5),
            ("UPDATE audit SET kind = 'edit' WHERE seq = 5", 5),
            ("UPDATE audit SET at_ms = 0 WHERE seq = 5", 5),
            ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", 5),
            ("UPDATE audit SET body = cast(x'7bff7d' AS TEXT) WHERE seq = 5", 5),
            ("UPDATE audit SET hash = x'00' WHERE seq = 5", 5),
            ("UPDATE audit SET kind = x'00' WHERE seq = 5", 5),
            ("DELETE FROM audit WHERE seq = 5", 5),
            ("DELETE FROM audit WHERE seq <= 5", 1),
            ("UPDATE audit SET seq = -seq WHERE seq IN (5)", 1),
        ] {
            assert_eq!(tamper(&chain(20).await, sql).await, Some(found), "{sql}");
        }
    }

    #[tokio::test]
    async fn an_end_that_was_cut_off_is_found_by_whoever_kept_the_head() {
        let store = chain(20).await;
        let head = store.audit_head("main").unwrap();
        assert_eq!(tamper(&store, "DELETE FROM audit WHERE seq = 20").await, None);
        assert_eq!(store.audit("main", Some(head)).unwrap().broken.unwrap().seq, 20);
    }
}

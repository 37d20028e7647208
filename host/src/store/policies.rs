//! What operators allow and have allowed: approvals say under which policy they were asked and decided.

use super::{Store, audit, json};
use crate::approval::Policy;
use crate::audit::{Fact, Whose};
use crate::clock::Millis;
use crate::digest::Digest;
use crate::refusals::Result;
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior};

impl Store {
    /// The number of `policy`, which is in force from now on. A change is told to the audit.
    pub fn enforce(&self, tenant: &str, policy: &Policy, now: Millis) -> Result<i64> {
        let text = serde_json::to_string(policy).expect("JSON serializes");
        let sql =
            "SELECT id FROM policy WHERE text = ?1 AND id = (SELECT value FROM meta WHERE key = 'policy')";
        self.read(|db| {
            if let Some(id) = db.query_row(sql, [&text], |row| row.get(0)).optional()? {
                return Ok(id);
            }
            // Nothing runs yet that the writing thread would have to share a commit with.
            let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
            transaction.execute("INSERT OR IGNORE INTO policy (text) VALUES (?1)", [&text])?;
            let id =
                transaction.query_row("SELECT id FROM policy WHERE text = ?1", [&text], |row| row.get(0))?;
            let set = "INSERT INTO meta VALUES ('policy', ?1) ON CONFLICT DO UPDATE SET value = ?1";
            transaction.execute(set, [id])?;
            let changed = Fact::Policy { digest: Digest::of(text.as_bytes()) };
            audit::append(&transaction, now, Whose { tenant, user: None }, &changed)?;
            transaction.commit()?;
            Ok(id)
        })
    }

    /// The policy of this number.
    pub fn policy(&self, id: i64) -> Result<Policy> {
        self.read(|db| {
            let sql = "SELECT text FROM policy WHERE id = ?1";
            Ok(db.prepare_cached(sql)?.query_row([id], |row| json(&row.get::<_, String>(0)?))?)
        })
    }
}

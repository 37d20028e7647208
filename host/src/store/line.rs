//! The line of runs that would ask a person who is asked enough already.
//!
//! As many approvals of an agent may wait for the same person as the operator says. A run that would ask beyond stands in line, and keeps
//! its place until it has asked or ended: whoever comes later, or comes back later, does not overtake it.

use super::{Place, Store, intents, named, touch};
use crate::clock::Millis;
use crate::intent::{Event, Status, next};
use crate::refusals::Result;
use rusqlite::{Connection, params};

/// Gives a run its place in the line, if it has none.
pub(super) fn line_up(db: &Connection, of: Of<'_>, seq: i64) -> rusqlite::Result<()> {
    let (tenant, user, agent) = of;
    let sql = "UPDATE intent SET line = (SELECT coalesce(max(line), 0) + 1 FROM intent INDEXED BY intent_line \
               WHERE tenant = ?2 AND user = ?3 AND agent = ?4 AND line IS NOT NULL) WHERE seq = ?1 AND line IS NULL";
    db.prepare_cached(sql)?.execute(params![seq, tenant, user, agent]).map(drop)
}

/// Takes a run out of the line.
pub(super) fn leave(db: &Connection, seq: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE intent SET line = NULL WHERE seq = ?1 AND line IS NOT NULL";
    db.prepare_cached(sql)?.execute([seq]).map(drop)
}

/// Of which tenant, user and agent.
pub(super) type Of<'a> = (&'a str, &'a str, &'a str);

/// Whether a run that stands at `line`, or at its end, has to wait for others: for approvals that are pending, and for runs before it.
pub(super) fn is_full(db: &Connection, of: Of<'_>, line: Option<i64>, most: u32) -> rusqlite::Result<bool> {
    let (tenant, user, agent) = of;
    let pending = pending(db, of, most)?;
    let sql = "SELECT count(*) FROM (SELECT 1 FROM intent INDEXED BY intent_line WHERE tenant = ?1 AND user = ?2 AND agent = ?3 \
               AND line IS NOT NULL AND line < ?4 LIMIT ?5)";
    let before: u32 = db
        .prepare_cached(sql)?
        .query_row(params![tenant, user, agent, line.unwrap_or(i64::MAX), most], |row| row.get(0))?;
    Ok(pending + before >= most)
}

/// How many approvals of an agent wait for a person, counted as far as `most`.
fn pending(db: &Connection, (tenant, user, agent): Of<'_>, most: u32) -> rusqlite::Result<u32> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM approval WHERE tenant = ?1 AND user = ?2 AND agent = ?3 \
               AND state = 'pending' LIMIT ?4)";
    db.prepare_cached(sql)?.query_row(params![tenant, user, agent, most], |row| row.get(0))
}

impl Store {
    /// Lets runs go on that stand in line, as many as may ask now, those that have waited longest first. Gives them.
    pub async fn admit(&self, most: u32, now: Millis) -> Result<Vec<Place>> {
        // Nobody waits for a write where nobody can go on.
        if self.read(|db| Ok(admitted(db, most)?))?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(move |db| {
            touch(db, now)?;
            let admitted = admitted(db, most)?;
            for (seq, _) in &admitted {
                let woken = next(Status::Blocked, Event::Wake).expect("a run that is put down can wake");
                intents::set_status(db, *seq, woken, now)?;
            }
            Ok(admitted.into_iter().map(|(_, place)| place).collect())
        })
        .await
    }
}

/// Whose lines there are, and who stands first in one, by an index that holds nothing else.
const LINES: &str =
    "SELECT DISTINCT tenant, user, agent FROM intent INDEXED BY intent_line WHERE line IS NOT NULL";
const FIRST: &str = "SELECT seq, id, status FROM intent INDEXED BY intent_line WHERE tenant = ?1 AND user = ?2 AND agent = ?3 \
                     AND line IS NOT NULL ORDER BY line LIMIT ?4";

/// The runs that are put down and could ask now.
fn admitted(db: &Connection, most: u32) -> rusqlite::Result<Vec<(i64, Place)>> {
    let mut found = Vec::new();
    let mut lines = db.prepare_cached(LINES)?;
    let mut lines = lines.query([])?;
    while let Some(of) = lines.next()? {
        let (tenant, user, agent): (String, String, String) = (of.get(0)?, of.get(1)?, of.get(2)?);
        let free = most.saturating_sub(pending(db, (&tenant, &user, &agent), most)?);
        let mut first = db.prepare_cached(FIRST)?;
        let mut first = first.query(params![tenant, user, agent, free])?;
        while let Some(row) = first.next()? {
            // One that is awake already is about to use its place.
            if named::<Status>(row.get(2)?)? == Status::Blocked {
                let place = Place { tenant: tenant.clone(), user: user.clone(), intent: row.get(1)? };
                found.push((row.get(0)?, place));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_in_line_are_found_by_an_index_of_them_alone() {
        let store = Store::in_memory().unwrap();
        for sql in [LINES, FIRST] {
            let plan = store.read(|db| {
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let mut rows = statement.raw_query();
                let mut plan = Vec::new();
                while let Some(row) = rows.next()? {
                    plan.push(row.get::<_, String>(3)?);
                }
                Ok(plan)
            });
            let plan = plan.unwrap();
            assert!(plan.iter().all(|line| line.contains("INDEX intent_line")), "{sql}: {plan:?}");
        }
    }
}

//! Journal entries in rows.

use super::json;
use crate::digest::Digest;
use crate::journal::{Answer, Entry};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, params};

/// Text longer than this is stored once per content, by its digest.
const INLINE_BYTES_MAX: usize = 4096;

/// Text in a column: itself, or the digest of what stands in `large`.
enum Text<'a> {
    Inline(&'a str),
    Large(Digest),
}

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Text::Inline(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Text::Large(digest) => ToSqlOutput::Borrowed(ValueRef::Blob(&digest.0)),
        })
    }
}

fn put<'a>(db: &Connection, text: &'a str) -> rusqlite::Result<Text<'a>> {
    if text.len() <= INLINE_BYTES_MAX {
        return Ok(Text::Inline(text));
    }
    let digest = Digest::of(text.as_bytes());
    db.prepare_cached("INSERT OR IGNORE INTO large VALUES (?1, ?2)")?.execute(params![digest.0, text])?;
    Ok(Text::Large(digest))
}

fn get(db: &Connection, row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    match row.get_ref(column)? {
        ValueRef::Blob(digest) => db
            .prepare_cached("SELECT text FROM large WHERE digest = ?1")?
            .query_row([digest], |row| row.get(0)),
        _ => row.get(column),
    }
}

/// Which of the two tables of entries.
#[derive(Clone, Copy)]
pub enum Table {
    Entry,
    Suffix,
}

/// Writes `entries` from number `first` on. A number that is taken fails the transaction.
pub fn insert(
    db: &Connection,
    table: Table,
    owner: &dyn ToSql,
    first: usize,
    entries: &[Entry],
) -> rusqlite::Result<()> {
    let sql = match table {
        Table::Entry => "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        Table::Suffix => "INSERT INTO suffix VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    };
    let mut statement = db.prepare_cached(sql)?;
    for (number, entry) in (first as i64..).zip(entries) {
        let (refused, answer) = match &entry.answer {
            Answer::Value(json) => (false, json.clone()),
            Answer::Refused(refusal) => (true, serde_json::to_string(refusal).expect("JSON serializes")),
        };
        let (request, answer) = (put(db, &entry.request)?, put(db, &answer)?);
        statement.execute(params![owner, number, entry.call, request, refused, answer, entry.at_ms])?;
    }
    Ok(())
}

/// The journal of the intent `seq`.
pub fn load(db: &Connection, seq: i64) -> rusqlite::Result<Vec<Entry>> {
    let sql = "SELECT call, request, refused, answer, at_ms FROM entry WHERE intent = ?1 ORDER BY number";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map([seq], |row| {
        let answer = get(db, row, 3)?;
        let answer = match row.get(2)? {
            true => Answer::Refused(json(&answer)?),
            false => Answer::Value(answer),
        };
        Ok(Entry { call: row.get(0)?, request: get(db, row, 1)?, answer, at_ms: row.get(4)? })
    })?;
    rows.collect()
}

/// What a run has heard from `call` up to an ask and on the branch behind it, the latest first, as far as `bytes_max` bytes of answers.
pub fn answers(
    db: &Connection,
    (seq, approval): (i64, &str),
    call: &str,
    bytes_max: usize,
) -> rusqlite::Result<Vec<String>> {
    // What the branch has read is the later.
    let sql = "SELECT answer FROM suffix \
               WHERE approval = ?1 AND call = ?2 AND NOT refused ORDER BY number DESC";
    let before = "SELECT answer FROM entry \
                  WHERE intent = ?3 AND call = ?2 AND NOT refused \
                  AND number < (SELECT number FROM approval WHERE id = ?1) ORDER BY number DESC";
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (sql, values) in [(sql, params![approval, call]), (before, params![approval, call, seq])] {
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        while let Some(row) = rows.next()? {
            let answer = get(db, row, 0)?;
            bytes += answer.len();
            if bytes > bytes_max {
                return Ok(found);
            }
            found.push(answer);
        }
    }
    Ok(found)
}

/// How many entries the journal of the intent `seq` has.
pub fn count(db: &Connection, seq: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT coalesce(max(number) + 1, 0) FROM entry WHERE intent = ?1";
    db.prepare_cached(sql)?.query_row([seq], |row| row.get(0))
}

/// Makes the suffix of an approval the journal of its run, from number `first` on.
pub fn keep_suffix(db: &Connection, approval: &str, seq: i64, first: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO entry SELECT ?1, ?2 + number, call, request, refused, answer, at_ms \
               FROM suffix WHERE approval = ?3";
    db.prepare_cached(sql)?.execute(params![seq, first, approval])?;
    drop_suffix(db, approval)
}

/// Deletes the suffix of an approval.
pub fn drop_suffix(db: &Connection, approval: &str) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM suffix WHERE approval = ?1")?.execute([approval])?;
    Ok(())
}

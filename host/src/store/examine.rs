//! A look at a database as it lies there, which makes nothing and changes nothing.

use super::{SCHEMA_VERSION, backup, check};
use crate::clock::Millis;
use crate::people::Role;
use crate::printable::line;
use crate::refusals::Result;
use rusqlite::{Connection, OpenFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How long to wait for somebody who holds the database alone.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// The version of its tables, and the one this build writes.
    pub version: (i64, i64),
    /// Whether the settings are those that lose nothing: what is wrong, and what to do.
    pub settings: Option<(String, String)>,
    /// What SQLite says against it.
    pub complaints: Vec<String>,
    /// The latest instant in it.
    pub latest_ms: Option<Millis>,
    /// Everybody anything in it belongs to: tenant and user.
    pub people: BTreeSet<(String, String)>,
    /// Those of them who sign in at a server.
    pub members: BTreeSet<(String, String)>,
    /// Who can approve, by tenant: has the role, and a password to sign in with.
    pub approvers: BTreeMap<String, Vec<String>>,
    /// Tokens with which a program signs: whose, and what each is called. Those that have ended are among them.
    pub signing: Vec<(String, String)>,
    /// How many messages of whom are uncertain: tenant, user and number.
    pub uncertain: Vec<(String, String, i64)>,
    /// The same of those that have not left, and of which nobody has said that they shall not.
    pub not_sent: Vec<(String, String, i64)>,
}

/// Looks at the database at `path`, which is there.
///
/// # Errors
///
/// Whatever keeps it from being read: it is damaged, somebody else's, or held by somebody.
pub fn examine(path: &Path) -> Result<Examined> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(PATIENCE)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    let found: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let mode: String = db.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let synchronous: i64 = db.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    let settings = check(rusqlite::version_number(), Some(&mode), synchronous).err();
    let mut examined = Examined {
        version: (found, SCHEMA_VERSION),
        settings: settings.map(|problem| (problem.message, problem.hint.unwrap_or_default())),
        complaints: backup::complaints(&db, "quick_check")?,
        ..Examined::default()
    };
    // Tables of another version are not ours to read.
    if found == SCHEMA_VERSION && examined.complaints.is_empty() {
        let latest = "SELECT value FROM meta WHERE key = 'latest_ms'";
        examined.latest_ms = Some(db.query_row(latest, [], |row| row.get(0))?);
        let people = "SELECT tenant, user FROM mail UNION SELECT tenant, user FROM intent \
                      UNION SELECT tenant, user FROM capability_grant UNION SELECT tenant, name FROM person";
        examined.people = named(&db, people)?;
        examined.members = named(&db, "SELECT tenant, name FROM person")?;
        signers(&db, &mut examined)?;
        examined.uncertain = messages(&db, "state = 'uncertain'")?;
        examined.not_sent = messages(&db, "state = 'not_sent' AND NOT resent")?;
    }
    Ok(examined)
}

/// Tenants and users, as they can be printed.
fn named(db: &Connection, sql: &str) -> Result<BTreeSet<(String, String)>> {
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let printable = |(tenant, user): (String, String)| (line(&tenant).to_string(), line(&user).to_string());
    Ok(rows.map(|row| row.map(printable)).collect::<rusqlite::Result<_>>()?)
}

/// How many messages of whom stand so.
fn messages(db: &Connection, so: &str) -> Result<Vec<(String, String, i64)>> {
    let sql = format!("SELECT tenant, user, count(*) FROM outbox WHERE {so} GROUP BY 1, 2 ORDER BY 1, 2");
    let mut statement = db.prepare(&sql)?;
    let row = |row: &rusqlite::Row<'_>| {
        let (tenant, user): (String, String) = (row.get(0)?, row.get(1)?);
        Ok((line(&tenant), line(&user), row.get(2)?))
    };
    Ok(statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?)
}

/// Who signs, and what.
fn signers(db: &Connection, examined: &mut Examined) -> Result<()> {
    let is_approver = "EXISTS (SELECT 1 FROM json_each(roles) WHERE value = ?1)";
    let role = Role::Approver.name();
    let two = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let sql =
        format!("SELECT tenant, name FROM person WHERE {is_approver} AND password IS NOT NULL ORDER BY 1, 2");
    for row in db.prepare(&sql)?.query_map([role], two)? {
        let (tenant, name) = row?;
        examined.approvers.entry(tenant).or_default().push(name);
    }
    let sql = format!("SELECT name, label FROM token WHERE {is_approver} ORDER BY 1, 2");
    examined.signing = db.prepare(&sql)?.query_map([role], two)?.collect::<rusqlite::Result<_>>()?;
    Ok(())
}

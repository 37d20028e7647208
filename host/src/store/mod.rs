//! What is kept: one SQLite database per data folder.
//!
//! One thread writes. It takes whatever has been asked for meanwhile into one transaction, a savepoint each, so that
//! concurrent runs share the cost of a commit and one that fails does not undo the others. Nobody hears that a write
//! succeeded before the commit has reached the disk. Reads have connections of their own and wait for nobody.

mod agents;
mod audit;
mod backup;
mod commits;
mod counts;
mod decisions;
mod entries;
mod examine;
mod intents;
mod line;
mod mail;
mod outbox;
mod people;
mod policies;
mod purge;
mod time;
mod writer;

pub use agents::AgentRow;
pub use audit::Audited;
pub use backup::{Copied, Restored, restore};
pub use counts::Counts;
pub use decisions::{Decision, Stored};
pub use examine::{Examined, examine};
pub use intents::{Accepted, IDEMPOTENCY_MS, NewIntent, Only, Place};
pub use mail::{Added, Letters, NewMail, Sent};
pub use outbox::{InTransit, Outgoing};
pub use people::{Invitation, PEOPLE_MAX, PersonRow, TokenRow};
pub use purge::Purged;

use crate::approval::{Action, repeats};
use crate::people::Scope;
use crate::printable::{shell, short};
use crate::refusals::{Code, Error, Problem, Result};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::watch;
use writer::Writer;

/// The version of the tables. A database of a newer version is refused.
const SCHEMA_VERSION: i64 = 5;
/// The oldest SQLite without the bug that could corrupt a database in WAL mode when two connections checkpoint.
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// How long a write waits for another process.
const BUSY: Duration = Duration::from_secs(30);
/// How long a connection waits before it comes again.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// How many idle connections for reading are kept.
const READERS_MAX: usize = 8;

/// The database of one data folder.
pub struct Store {
    place: At,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
    manifests: agents::Manifests,
}

#[derive(Clone, Debug)]
enum At {
    File(PathBuf),
    /// Shared by the connections of this process under this name, and gone with the last of them.
    Memory(String),
}

impl Store {
    /// Opens or makes the database at `path`, whose folder exists.
    ///
    /// # Errors
    ///
    /// `STORE_UNUSABLE` where SQLite is too old, the settings do not hold, or the database is of a newer version.
    pub fn open(path: &Path) -> Result<Store> {
        Store::at(At::File(path.to_owned()))
    }

    /// A database in memory, for tests. It is the same store in everything but durability.
    pub fn in_memory() -> Result<Store> {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Store::at(At::Memory(format!("file:/countersign-{count}?vfs=memdb")))
    }

    fn at(place: At) -> Result<Store> {
        let mut connection = connect(&place)?;
        migrate(&mut connection)?;
        Ok(Store {
            place,
            writer: Writer::start(connection).map_err(anyhow::Error::from)?,
            readers: Mutex::default(),
            manifests: agents::Manifests::default(),
        })
    }

    /// Reads, from whatever has been committed.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().expect("no holder panics").pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.place)?,
        };
        let found = read(&connection);
        let mut readers = self.readers.lock().expect("no holder panics");
        if readers.len() < READERS_MAX {
            readers.push(connection);
        }
        found
    }

    /// Writes, all or nothing. What it returns is on disk.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.write(write).await
    }

    /// How many transactions have been committed since this was opened.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Whether the last commit of this process reached the disk, or there was none yet.
    pub(crate) fn is_well(&self) -> bool {
        self.writer.is_well()
    }

    /// Commits that this instant has been, which nobody is told of, to see whether anything can be committed.
    pub(crate) async fn probe(&self, now: i64) -> Result<()> {
        self.writer.probe(move |db| Ok(touch(db, now)?)).await
    }

    /// Counts the transactions this process commits, and can be waited for.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.writer.changes()
    }

    /// The latest instant the store has seen.
    pub fn latest(&self) -> Result<i64> {
        self.read(|db| {
            Ok(db.query_row("SELECT value FROM meta WHERE key = 'latest_ms'", [], |row| row.get(0))?)
        })
    }
}

/// Which part of a list, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Rows behind the one of this id.
    pub before: Option<&'a str>,
    /// At most so many.
    pub limit: u32,
}

/// How many rows a list shows at most.
pub const LIST_MAX: u32 = 1000;

impl Default for Page<'_> {
    fn default() -> Self {
        Page { before: None, limit: LIST_MAX }
    }
}

/// Asks whether a list can go on behind what `before` names: something of that list's kind, which the reader may see.
///
/// # Errors
///
/// `UNKNOWN_ID`: what was purged meanwhile, or is somebody else's, is told as what never was. An empty list would say that all was read.
fn behind(db: &Connection, (table, id): (&str, &str), scope: Scope<'_>, before: Option<&str>) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    let sql = format!("SELECT 1 FROM {table} WHERE {id} = ?1 AND tenant = ?2 AND (?3 IS NULL OR user = ?3)");
    if db.prepare_cached(&sql)?.exists(rusqlite::params![before, scope.tenant, scope.user])? {
        return Ok(());
    }
    let message = format!("nothing has the id {}, behind which the list was to go on", short(before, 40));
    Err(Problem::new(Code::UnknownId, message)
        .hint("begin the list anew: what it named may have been purged")
        .into())
}

/// Remembers that this instant has been, so that the host's time does not run below it after a restart.
fn touch(db: &Connection, now: i64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'latest_ms' AND value < ?1")?.execute([now])?;
    Ok(())
}

fn connect(place: &At) -> Result<Connection> {
    // Turning a new database to WAL, and recovering one whose writer was killed, needs it alone for a moment; SQLite then says
    // `busy` at once instead of waiting. Whoever is faster does the work, and the others come again.
    // Each time takes two pauses: the one SQLite waits, and ours.
    for _ in 0..BUSY.as_millis() / (2 * BUSY_PAUSE.as_millis()) {
        match settings(place) {
            Err(Error::Fault(error)) if is_busy(&error) => std::thread::sleep(BUSY_PAUSE),
            Err(Error::Fault(error)) => {
                return Err(unusable(&error).map_or(Error::Fault(error), Error::Refused));
            }
            ended => return ended,
        }
    }
    settings(place)
}

/// What SQLite says of a file that is not a database, or no longer one.
fn unusable(error: &anyhow::Error) -> Option<Problem> {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code)?;
    let damaged = matches!(code, rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt);
    damaged.then(|| {
        Problem::new(Code::StoreUnusable, format!("the database of the data folder is damaged: {error}"))
            .hint("restore it from a backup, or use another folder with --data")
    })
}

fn is_busy(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
}

/// Opens a connection with the settings every connection has, and refuses anything less.
fn settings(place: &At) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let db = match place {
        At::File(path) => {
            private(path)?;
            Connection::open_with_flags(path, flags & !OpenFlags::SQLITE_OPEN_URI)?
        }
        At::Memory(name) => Connection::open_with_flags(name, flags)?,
    };
    db.busy_timeout(BUSY_PAUSE)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "trusted_schema", false)?;
    // What is deleted or moved is overwritten, so that what is purged later leaves no copy behind.
    db.pragma_update(None, "secure_delete", true)?;
    let mode: String = db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    let synchronous: i64 = db.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    let on_disk = matches!(place, At::File(_));
    check(rusqlite::version_number(), on_disk.then_some(&mode), synchronous)?;
    db.busy_timeout(BUSY)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Makes the file before SQLite does, readable by its owner only; the files beside it get the same mode.
fn private(path: &Path) -> Result<()> {
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let found = options.open(path).and_then(|file| file.metadata()).map_err(|error| {
        Problem::new(Code::StoreUnusable, format!("cannot open {}: {error}", path.display()))
            .hint("check that the data folder exists and belongs to you")
    })?;
    if found.mode() & 0o077 != 0 {
        let message = format!("{} can be read by other users", path.display());
        return Err(Problem::new(Code::StoreUnusable, message)
            .hint(format!("run `chmod 600 {}`", shell(&path.to_string_lossy())))
            .into());
    }
    Ok(())
}

/// What a store must promise before it is used.
fn check(version: i32, journal_mode: Option<&String>, synchronous: i64) -> Result<(), Problem> {
    let unusable = |message: String| Problem::new(Code::StoreUnusable, message);
    if version < SQLITE_VERSION_MIN {
        return Err(unusable(format!(
            "SQLite {version} may corrupt its log; {SQLITE_VERSION_MIN} is needed"
        ))
        .hint("build with the bundled SQLite"));
    }
    if let Some(mode) = journal_mode.filter(|mode| *mode != "wal") {
        return Err(unusable(format!("the database's journal mode is {mode}, not wal"))
            .hint("put the data folder on a local disk"));
    }
    if synchronous < 2 {
        return Err(unusable(format!("the database syncs at level {synchronous}; FULL is needed"))
            .hint("do not change `synchronous` in a build of your own"));
    }
    Ok(())
}

fn migrate(db: &mut Connection) -> Result<()> {
    let version = |db: &Connection| db.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if version(db)? < SCHEMA_VERSION {
        let transaction = db.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Another process may have been faster.
        match version(&transaction)? {
            0 => {
                transaction.execute_batch(include_str!("schema.sql"))?;
                transaction.execute("INSERT INTO meta VALUES ('latest_ms', 0), ('sent', 0)", [])?;
            }
            older => {
                let steps = [
                    include_str!("from-1-to-2.sql"),
                    include_str!("from-2-to-3.sql"),
                    include_str!("from-3-to-4.sql"),
                    include_str!("from-4-to-5.sql"),
                ];
                for step in steps.iter().skip(older as usize - 1) {
                    transaction.execute_batch(step)?;
                }
                outbox::remember_domains(&transaction)?;
                if older < 4 {
                    draw_all(&transaction)?;
                }
            }
        }
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
    }
    let found = version(db)?;
    if found != SCHEMA_VERSION {
        let message = format!("the database has version {found}; this Countersign knows {SCHEMA_VERSION}");
        return Err(Problem::new(Code::StoreUnusable, message)
            .hint("use the Countersign that wrote it, or a newer one")
            .into());
    }
    Ok(())
}

/// Names every message that was asked about or signed before by what is seen of it.
fn draw_all(db: &Connection) -> Result<()> {
    for (table, key) in [("approval", "id"), ("outbox", "approval")] {
        let ids = db
            .prepare(&format!("SELECT {key} FROM {table} WHERE action IS NOT NULL"))?
            .query_map([], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        // One at a time: each message may have a megabyte.
        let mut look = db.prepare(&format!("SELECT action FROM {table} WHERE {key} = ?1"))?;
        let mut write = db.prepare(&format!("UPDATE {table} SET drawn_digest = ?2 WHERE {key} = ?1"))?;
        for id in ids {
            let encoded: Vec<u8> = look.query_row([&id], |row| row.get(0))?;
            let drawn = Action::decode(&encoded).map(|action| repeats::drawn(&action).0);
            write.execute(rusqlite::params![id, drawn])?;
        }
    }
    Ok(())
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        Error::Fault(error.into())
    }
}

/// Reads a value that the store itself wrote: anything else is damage, and said so.
fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        0,
        rusqlite::types::Type::Null,
        format!("the database is damaged: {what}").into(),
    )
}

/// Names of enum variants as they are written in columns.
fn named<T: serde::de::DeserializeOwned>(name: String) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| damaged(&error.to_string()))
}

fn json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| damaged(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_bundled_sqlite_is_new_enough_and_syncs_fully() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("countersign.db");
        let store = Store::open(&path).unwrap();
        store
            .read(|db| {
                assert_eq!(db.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))?, "wal");
                assert_eq!(db.query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?, 2);
                Ok(())
            })
            .unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn anything_less_is_refused() {
        let wal = "wal".to_owned();
        assert!(check(SQLITE_VERSION_MIN, Some(&wal), 2).is_ok());
        assert!(check(3_051_002, Some(&wal), 2).is_err());
        assert!(check(SQLITE_VERSION_MIN, Some(&"delete".to_owned()), 2).is_err());
        assert!(check(SQLITE_VERSION_MIN, Some(&wal), 1).is_err());
    }

    #[test]
    fn a_database_of_a_newer_version_or_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("countersign.db");
        drop(Store::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(Store::open(&path).err().unwrap().to_string().contains("version 99"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Store::open(&path).err().unwrap().to_string().contains("other users"));
    }

    #[tokio::test]
    async fn one_failed_write_does_not_undo_the_others_of_its_batch() {
        let store = Store::in_memory().unwrap();
        let set = |value: i64, fail: bool| {
            store.write(move |db| {
                db.execute("INSERT INTO meta VALUES (?1, 1)", [value])?;
                match fail {
                    true => Err(anyhow::anyhow!("on purpose").into()),
                    false => Ok(()),
                }
            })
        };
        let (a, b, c) = tokio::join!(set(1, false), set(2, true), set(3, false));
        assert!(a.is_ok() && b.is_err() && c.is_ok());
        let count = store.read(|db| {
            Ok(db.query_row("SELECT count(*) FROM meta WHERE value = 1", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(count.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_full_disk_is_said_to_be_full_and_the_store_goes_on_when_there_is_room() {
        let store = Store::in_memory().unwrap();
        let limit = |pages: i64| {
            store.write(move |db| {
                Ok(db
                    .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))?)
            })
        };
        let put = |key: i64, bytes: usize| {
            store.write(move |db| {
                let body = "x".repeat(bytes);
                Ok(db.execute(
                    "INSERT INTO large VALUES (?1, ?2)",
                    rusqlite::params![vec![key as u8; 32], body],
                )?)
            })
        };
        put(1, 10).await.unwrap();
        let pages = limit(1).await.unwrap();
        let (small, big) = tokio::join!(put(2, 10), put(3, 1_000_000));
        assert!(big.unwrap_err().to_string().contains("full"));
        drop(small);
        limit(pages + 10_000).await.unwrap();
        put(3, 1_000_000).await.unwrap();
    }

    #[test]
    fn a_database_of_an_older_version_becomes_what_a_new_one_is() {
        let made = |version: i64, sql: &str| {
            let mut db = Connection::open_in_memory().unwrap();
            if !sql.is_empty() {
                db.execute_batch(sql).unwrap();
                db.execute("INSERT INTO meta VALUES ('latest_ms', 7), ('sent', 1)", []).unwrap();
                db.pragma_update(None, "user_version", version).unwrap();
            }
            migrate(&mut db).unwrap();
            db
        };
        let columns = |db: &Connection| -> Vec<String> {
            let sql = "SELECT t.name || '.' || c.name || ' ' || c.type FROM sqlite_schema t, pragma_table_info(t.name) c \
                       WHERE t.type = 'table' ORDER BY 1";
            db.prepare(sql)
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap()
        };
        let indexes = |db: &Connection| -> Vec<String> {
            let sql = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1";
            db.prepare(sql)
                .unwrap()
                .query_map([], |row| row.get(0))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap()
        };
        let (old, new) = (made(1, include_str!("version-1.sql")), made(0, ""));
        let second = made(2, include_str!("version-2.sql"));
        let third = made(3, include_str!("version-3.sql"));
        let fourth = made(4, include_str!("version-4.sql"));
        for older in [&old, &second, &third, &fourth] {
            assert_eq!(columns(older), columns(&new));
            assert_eq!(indexes(older), indexes(&new));
        }
        let policy: String = old.query_row("SELECT text FROM policy", [], |row| row.get(0)).unwrap();
        let policy: crate::approval::Policy = serde_json::from_str(&policy).unwrap();
        assert_eq!(policy, crate::approval::Policy::default());
    }

    #[test]
    fn whom_a_user_wrote_to_before_domains_were_remembered_is_known_afterwards() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(include_str!("version-3.sql")).unwrap();
        db.execute("INSERT INTO meta VALUES ('latest_ms', 7), ('sent', 1)", []).unwrap();
        db.pragma_update(None, "user_version", 3).unwrap();
        let action = crate::approval::action::tests::sample();
        for (approval, state, to) in [("a", "sent", "x@mail.company.com"), ("b", "queued", "x@other.org")] {
            let action = Action { to: vec![to.into()], ..action.clone() }.encode();
            let sql = "INSERT INTO outbox (approval, intent, tenant, user, state, message_id, action, bytes, armed_ms, attempts, \
                       due_ms) VALUES (?1, 1, 'main', 'local', ?2, ?1, ?3, x'', 1, 1, 1)";
            db.execute(sql, rusqlite::params![approval, state, action]).unwrap();
        }
        migrate(&mut db).unwrap();
        assert_eq!(outbox::familiar(&db, &action).unwrap(), ["company.com"]);
    }
}

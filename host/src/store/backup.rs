//! A copy of the database that is whole, taken while others write; and what becomes of one that is put back.
//!
//! What was about to leave when the copy was taken may have left since: nothing of it leaves again without a person.

use super::{At, SCHEMA_VERSION, Store, audit, connect, decisions, migrate, outbox, touch};
use crate::approval::decision::{Event, Refused, State};
use crate::approval::outbox::{Outcome, RESTORED};
use crate::audit::{Fact, Whose};
use crate::clock::{Millis, rfc3339};
use crate::people::TENANT;
use crate::printable::line;
use crate::refusals::{Code, Error, Problem, Result};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use std::path::Path;

/// How many pages are copied between two looks at how far it is: 4 MiB.
const STEP_PAGES: i32 = 1024;
/// The key of `meta` under which a copy says when it was taken.
const TAKEN: &str = "backup_ms";
/// The key of `meta` under which a store says from when it was restored.
const RESTORED_MS: &str = "restored_ms";
/// How many complaints of SQLite are listed.
const COMPLAINTS_MAX: usize = 3;

/// What a copy holds, as it was found when it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// When it was taken.
    pub taken_ms: Millis,
    /// The tenants in it.
    pub tenants: Vec<String>,
    /// How many entries their audits have, together.
    pub entries: u64,
    /// Its size, in bytes.
    pub bytes: u64,
}

/// What was done to a copy that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was taken.
    pub taken_ms: Millis,
    /// The tenants in it.
    pub tenants: Vec<String>,
    /// The approvals of messages that may have been sent since: they are uncertain now.
    pub uncertain: Vec<String>,
    /// How many approvals wait for a person, who may have decided them before.
    pub pending: u64,
}

impl Store {
    /// Copies the database into the empty file `to`, as it stands at one moment, whoever writes meanwhile, and checks the copy.
    /// `progress` is told how many pages have been copied, and of how many.
    ///
    /// # Errors
    ///
    /// `BACKUP_UNUSABLE` where the copy is not whole; `AUDIT_BROKEN` where an audit in it is not as it was written.
    pub fn backup(&self, to: &Path, now: Millis, mut progress: impl FnMut(u64, u64)) -> Result<Copied> {
        let from = connect(&self.place)?;
        // What is read from here on is one state: without it, every write of others would begin the copy anew.
        let _one_state = from.unchecked_transaction()?;
        from.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))?;
        let mut copy = open(to)?;
        {
            let backup = Backup::new(&from, &mut copy)?;
            while backup.step(STEP_PAGES)? != StepResult::Done {
                let at = backup.progress();
                progress((at.pagecount - at.remaining).max(0) as u64, at.pagecount.max(0) as u64);
            }
        }
        // One file, with no log beside it.
        copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        copy.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![TAKEN, now])?;
        whole(&copy)?;
        let tenants = tenants(&copy)?;
        let mut entries = 0;
        for tenant in &tenants {
            entries += audit_of(&copy, tenant)?;
        }
        copy.close().map_err(|(_, error)| error)?;
        let bytes = std::fs::metadata(to).map_err(anyhow::Error::from)?.len();
        Ok(Copied { taken_ms: now, tenants, entries, bytes })
    }

    /// Whether a file would lie in the folder of the database.
    pub(crate) fn is_beside(&self, path: &Path) -> bool {
        let At::File(own) = &self.place else { return false };
        let folder = |path: &Path| {
            let folder = path.parent()?;
            let here = Path::new(".");
            std::fs::canonicalize(if folder.as_os_str().is_empty() { here } else { folder }).ok()
        };
        folder(own) == folder(path)
    }
}

/// When the backup was taken this was restored from, if it was.
pub(super) fn restored(db: &Connection) -> rusqlite::Result<Option<Millis>> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    db.prepare_cached(sql)?.query_row([RESTORED_MS], |row| row.get(0)).optional()
}

/// Makes of the copy at `path`, which is nobody's yet, a database to go on from.
///
/// The file is hostile until it has been checked: it has no triggers and no views, its pages hang together, and every audit in
/// it is as it was written.
///
/// # Errors
///
/// `BACKUP_UNUSABLE` where it is no backup, or damaged; `STORE_UNUSABLE` where it is of a newer version; `AUDIT_BROKEN`.
pub fn restore(path: &Path, by: &str, now: Millis) -> Result<Restored> {
    let mut db = open(path).map_err(no_backup)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    let foreign = "SELECT 1 FROM sqlite_schema WHERE type NOT IN ('table', 'index')";
    if db.prepare(foreign).and_then(|mut found| found.exists([])).map_err(|error| no_backup(error.into()))? {
        return Err(unusable("has triggers or views in it, which Countersign never writes").into());
    }
    whole(&db)?;
    let version: i64 = db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        return Err(unusable("is no backup of Countersign").into());
    }
    if version <= SCHEMA_VERSION && db.prepare("SELECT 1 FROM audit, outbox, approval, meta").is_err() {
        return Err(unusable("is no backup of Countersign").into());
    }
    db.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    db.pragma_update(None, "secure_delete", true)?;
    migrate(&mut db)?;
    let tenants = tenants(&db)?;
    for tenant in &tenants {
        audit_of(&db, tenant)?;
    }
    let transaction = db.transaction()?;
    let restored = put_back(&transaction, tenants, by, now)?;
    transaction.commit()?;
    db.close().map_err(|(_, error)| error)?;
    Ok(restored)
}

fn put_back(db: &Connection, tenants: Vec<String>, by: &str, now: Millis) -> Result<Restored> {
    let meta = "SELECT max(value) FROM meta WHERE key = ?1 OR (key = 'latest_ms' AND ?2)";
    let taken: Option<Millis> = db.query_row(meta, params![TAKEN, false], |row| row.get(0))?;
    // A copy that was made by hand does not say: it is as old as the last thing in it.
    let taken_ms = match taken {
        Some(taken_ms) => taken_ms,
        None => db.query_row(meta, params![TAKEN, true], |row| row.get(0))?,
    };
    touch(db, now)?;
    db.execute("DELETE FROM meta WHERE key = ?1", [TAKEN])?;
    db.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![RESTORED_MS, taken_ms])?;
    // Whoever has been thrown out since must not come back by what they held then.
    db.execute_batch("DELETE FROM session; DELETE FROM invitation")?;

    let why = format!("{RESTORED} {}: it may have been sent since", rfc3339(taken_ms));
    let outcome = serde_json::to_string(&Outcome::Uncertain { why }).expect("JSON serializes");
    let open = "SELECT approval FROM outbox WHERE state IN ('armed', 'queued', 'attempting')";
    let uncertain = ids(db, open)?;
    for approval in &uncertain {
        outbox::restored(db, approval, &outcome, now)?;
    }
    // A yes that has not been used would arm nothing any more, and must not look as if it did.
    for approval in ids(db, "SELECT id FROM approval WHERE state = 'approved'")? {
        match decisions::transition(db, &approval, Event::Cancel, now, &decisions::Says::Nothing) {
            // A hold or a question: no message leaves by it.
            Ok(()) | Err(decisions::Failed::Refused(Refused::NotPossible)) => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    for tenant in &tenants {
        let of = "SELECT count(*) FROM outbox WHERE tenant = ?1 AND state = 'uncertain'";
        let messages: i64 = db.query_row(of, [tenant], |row| row.get(0))?;
        let whose = Whose { tenant, user: None };
        let fact = Fact::Restore { taken: rfc3339(taken_ms), uncertain: messages as usize, by };
        audit::append(db, now, whose, &fact)?;
    }
    let pending: i64 =
        db.query_row("SELECT count(*) FROM approval WHERE state = ?1", [State::Pending.name()], |row| {
            row.get(0)
        })?;
    Ok(Restored { taken_ms, tenants, uncertain, pending: pending as u64 })
}

fn ids(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Every tenant of whom anything is told.
fn tenants(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut tenants = ids(db, "SELECT DISTINCT tenant FROM audit UNION SELECT DISTINCT tenant FROM intent")?;
    if !tenants.iter().any(|tenant| tenant == TENANT) {
        tenants.push(TENANT.to_owned());
    }
    Ok(tenants)
}

/// Opens a file that is there, and nobody else's.
fn open(path: &Path) -> Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "trusted_schema", false)?;
    Ok(db)
}

fn whole(db: &Connection) -> Result<()> {
    let complaints = complaints(db, "integrity_check").map_err(|error| no_backup(error.into()))?;
    match complaints.first() {
        None => Ok(()),
        Some(first) => Err(unusable(&format!("is damaged: {first}")).into()),
    }
}

/// What SQLite has to say against a database, at most a few lines of it; nothing where it is whole.
pub(super) fn complaints(db: &Connection, check: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!("PRAGMA {check}({COMPLAINTS_MAX})");
    let said: Vec<String> = db.prepare(&sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(said.into_iter().filter(|said| said != "ok").map(|said| line(&said).to_string()).collect())
}

fn audit_of(db: &Connection, tenant: &str) -> Result<u64> {
    let audited = audit::follow(db, tenant, None)?;
    let broken = match (&audited.broken, audited.strays.first()) {
        (None, None) => return Ok(audited.entries),
        (Some(broken), _) => format!("audit entry {} {}", broken.seq, broken.what),
        (None, Some(stray)) => format!("{} has left, and the record tells nothing of it", line(stray)),
    };
    let message = format!("the copy is not taken for good: in tenant {} {broken}", line(tenant));
    Err(Problem::new(Code::AuditBroken, message).into())
}

fn unusable(what: &str) -> Problem {
    Problem::new(Code::BackupUnusable, format!("the file {what}"))
        .hint("`countersign backup FILE` writes one that can be restored")
}

/// What SQLite says of a file that is none of its own.
fn no_backup(error: Error) -> Error {
    match error {
        Error::Fault(error) if super::unusable(&error).is_some() => {
            unusable(&format!("is no backup of Countersign, or damaged: {error}")).into()
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::Status;
    use crate::journal::Answer;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn a_copy_is_of_one_moment_whoever_writes_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("countersign.db")).unwrap();
        // More than is copied in one step, so that there is a meanwhile.
        let write = |key: i64, bytes: usize| {
            let body = "x".repeat(bytes);
            block_on(store.write(move |db| {
                db.execute("INSERT INTO large VALUES (?1, ?2)", params![vec![key as u8; 32], body])?;
                Ok(db.execute("UPDATE meta SET value = ?1 WHERE key = 'latest_ms'", [key])?)
            }))
            .unwrap();
        };
        write(1, 6 << 20);
        let (mut steps, copy) = (0, folder.path().join("copy"));
        std::fs::File::create_new(&copy).unwrap();
        store
            .backup(&copy, 7, |done, of| {
                assert!(done < of);
                steps += 1;
                write(1 + steps, 1000);
            })
            .unwrap();
        assert!(steps > 0, "nothing was written meanwhile");
        let copy = Connection::open(&copy).unwrap();
        let rows: i64 = copy.query_row("SELECT count(*) FROM large", [], |row| row.get(0)).unwrap();
        let latest: i64 =
            copy.query_row("SELECT value FROM meta WHERE key = 'latest_ms'", [], |row| row.get(0)).unwrap();
        assert_eq!((rows, latest), (1, 1));
    }

    /// A store with a message in this state, whose run waits for it.
    fn sending(path: &Path, state: &str) {
        let store = Store::open(path).unwrap();
        let rows = format!(
            "INSERT INTO intent (seq, id, tenant, user, agent, digest, action, parameters, run, seed, submitted_ms, \
             host_version, status, generation, fuel, log, updated_ms) \
             VALUES (1, 'int_1', 'main', 'local', 'mailer', zeroblob(32), 'a', '{{}}', 1, zeroblob(32), 0, '0', 'sending', 1, 0, '', 0); \
             INSERT INTO outbox (approval, intent, tenant, user, state, message_id, action, bytes, armed_ms, attempts, \
             due_ms, number, request, answer) \
             VALUES ('appr_1', 1, 'main', 'local', '{state}', 'm', x'00', x'00', 0, 1, 0, 0, '{{}}', '{{}}'); \
             INSERT INTO approval (id, intent, tenant, user, agent, number, state, binding, digest, words, asked_ms, expires_ms, \
             policy) VALUES ('appr_1', 1, 'main', 'local', 'mailer', 0, 'used', 'exact', zeroblob(32), '{{}}', 0, 9, 1); \
             INSERT INTO session VALUES (zeroblob(32), 'main', 'ada', 0, 0, 9); \
             INSERT INTO invitation VALUES (zeroblob(32), 'main', 'ada', 0, 9)"
        );
        store.read(|db| Ok(db.execute_batch(&rows)?)).unwrap();
    }

    #[test]
    fn a_run_that_waited_for_its_message_hears_that_nobody_knows_and_nobody_is_signed_in() {
        for state in ["queued", "attempting"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("countersign.db");
            sending(&path, state);
            let restored = restore(&path, "me", 5).unwrap();
            assert_eq!(restored.uncertain, ["appr_1"]);
            let store = Store::open(&path).unwrap();
            let (seq, intent) = store.intent("local", "int_1").unwrap();
            assert_eq!(intent.status, Status::Running);
            let heard = store.journal(seq).unwrap().pop().unwrap().answer;
            let Answer::Refused(refusal) = heard else { panic!("{heard:?}") };
            assert_eq!(refusal.details.unwrap()["outcome"], "uncertain");
            let left = "SELECT (SELECT count(*) FROM session) + (SELECT count(*) FROM invitation)";
            assert_eq!(store.read(|db| Ok(db.query_row(left, [], |row| row.get::<_, i64>(0))?)).unwrap(), 0);
        }
    }

    #[test]
    fn what_could_act_when_it_is_read_is_refused() {
        for sql in [
            "CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM audit; END",
            "CREATE VIEW v AS SELECT 1",
            "PRAGMA user_version = 0",
            "DROP TABLE audit",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("countersign.db");
            drop(Store::open(&path).unwrap());
            Connection::open(&path).unwrap().execute_batch(sql).unwrap();
            let refused = restore(&path, "me", 5).unwrap_err();
            assert!(
                matches!(refused, Error::Refused(problem) if problem.code == Code::BackupUnusable),
                "{sql}"
            );
        }
    }
}

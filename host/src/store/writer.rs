//! The one thread that writes.

use crate::moment::{Moment, reach};
use crate::refusals::{Error, Result};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::{oneshot, watch};

/// How many writes share a commit at most.
const BATCH_MAX: usize = 64;

/// The way to the writing thread. The thread ends, and closes its connection, when this is dropped.
pub struct Writer {
    commits: watch::Receiver<u64>,
    is_well: Arc<AtomicBool>,
    queue: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A write on its way, whatever it returns.
trait Work: Send {
    /// Whether there is something in it that others look for.
    fn is_news(&self) -> bool;
    /// Writes inside its savepoint. Gives what went wrong.
    fn run(&mut self, db: &Connection) -> Option<&Error>;
    /// Tells whoever waits. `failed` is why the commit failed, if it did.
    fn finish(self: Box<Self>, failed: Option<&str>);
}

struct Write<T, F> {
    is_news: bool,
    write: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T> + Send> Work for Write<T, F> {
    fn is_news(&self) -> bool {
        self.is_news
    }

    fn run(&mut self, db: &Connection) -> Option<&Error> {
        let write = self.write.take().expect("a write runs once");
        self.result.insert(write(db)).as_ref().err()
    }

    fn finish(self: Box<Self>, failed: Option<&str>) {
        let result = match failed {
            // Whether a failed commit has reached the disk shows when the database is opened again.
            Some(why) => Err(Error::Fault(anyhow::anyhow!("{why}"))),
            None => self.result.expect("a write runs before it finishes"),
        };
        // Whoever asked may have gone; the write stands all the same.
        let _ = self.reply.send(result);
    }
}

impl Writer {
    pub fn start(db: Connection) -> std::io::Result<Writer> {
        let (queue, works) = mpsc::channel();
        let (count, commits) = watch::channel(0);
        let is_well = Arc::new(AtomicBool::new(true));
        let well = is_well.clone();
        let thread = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || work(&db, &works, &count, &well))?;
        Ok(Writer { commits, is_well, queue: Some(queue), thread: Some(thread) })
    }

    /// How many transactions have been committed, but those of [`Writer::probe`] alone. Each is one sync of the log; writing the log
    /// back to the database is another now and then.
    pub fn commits(&self) -> u64 {
        *self.commits.borrow()
    }

    /// Counts the same, and can be waited for.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    /// Whether the last commit reached the disk, or there was none yet.
    pub fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.put(true, write).await
    }

    /// Writes what nobody looks for, to see whether it can be written.
    pub async fn probe(&self, write: impl FnOnce(&Connection) -> Result<()> + Send + 'static) -> Result<()> {
        self.put(false, write).await
    }

    async fn put<T: Send + 'static>(
        &self,
        is_news: bool,
        write: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let work = Write { is_news, write: Some(write), result: None, reply };
        let stopped = || {
            anyhow::anyhow!(
                "the store has stopped after a failed commit; restart to go on from what is on disk"
            )
        };
        let queue = self.queue.as_ref().expect("present until dropped");
        queue.send(Box::new(work)).map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(
    db: &Connection,
    works: &mpsc::Receiver<Box<dyn Work>>,
    commits: &watch::Sender<u64>,
    is_well: &AtomicBool,
) {
    while let Ok(first) = works.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(works.try_iter().take(BATCH_MAX - 1)).collect();
        // Another process may hold the database for longer than we wait. Nothing is wrong with it then.
        if let Err(error) = db.execute_batch("BEGIN IMMEDIATE") {
            let why = format!("nothing was written: {error}");
            batch.into_iter().for_each(|work| work.finish(Some(&why)));
            continue;
        }
        reach(Moment::BatchBegun);
        let mut batch = batch;
        let ended = (|| {
            for work in &mut batch {
                db.prepare_cached("SAVEPOINT work")?.execute([])?;
                if let Some(error) = work.run(db) {
                    // On a full disk, and after some other errors, SQLite has undone all of it.
                    if db.is_autocommit() {
                        return Err(Undone { why: format!("{error:#}"), is_full: is_full(error) });
                    }
                    db.prepare_cached("ROLLBACK TO work")?.execute([])?;
                }
                db.prepare_cached("RELEASE work")?.execute([])?;
            }
            reach(Moment::BatchWritten);
            Ok(db.execute_batch("COMMIT")?)
        })();
        let Err(Undone { why, is_full }) = ended else {
            reach(Moment::BatchCommitted);
            is_well.store(true, Ordering::Relaxed);
            if batch.iter().any(|work| work.is_news()) {
                commits.send_modify(|count| *count += 1);
            }
            batch.into_iter().for_each(|work| work.finish(None));
            continue;
        };
        is_well.store(false, Ordering::Relaxed);
        let why = match is_full {
            true => format!("nothing was written, the disk of the data folder is full: {why}"),
            false => format!("the commit failed: {why}"),
        };
        batch.into_iter().for_each(|work| work.finish(Some(&why)));
        let _ = db.execute_batch("ROLLBACK");
        if !is_full {
            // After a failed sync the kernel may have dropped what it could not write while calling it clean. What is
            // true is on disk; only a fresh start reads it from there.
            return tracing::error!(blame = "host", "the store stops: {why}");
        }
    }
}

/// Why a batch was not committed.
struct Undone {
    why: String,
    /// There was no room, and nothing else is wrong: there may be room again.
    is_full: bool,
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Undone {
        let is_full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        Undone { why: error.to_string(), is_full }
    }
}

fn is_full(error: &Error) -> bool {
    let Error::Fault(error) = error else { return false };
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    code == Some(rusqlite::ErrorCode::DiskFull)
}

//! The one thread that writes.

use crate::moment::{Moment, reach};
use crate::refusals::{Error, Result};
use rusqlite::Connection;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use tokio::sync::oneshot;

/// How many writes share a commit at most.
const BATCH_MAX: usize = 64;

/// The way to the writing thread. The thread ends, and closes its connection, when this is dropped.
pub struct Writer {
    commits: Arc<AtomicU64>,
    queue: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// A write on its way, whatever it returns.
trait Work: Send {
    /// Writes inside its savepoint; says whether the savepoint holds.
    fn run(&mut self, db: &Connection) -> bool;
    /// Tells whoever waits. `failed` is why the commit failed, if it did.
    fn finish(self: Box<Self>, failed: Option<&str>);
}

struct Write<T, F> {
    write: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T> + Send> Work for Write<T, F> {
    fn run(&mut self, db: &Connection) -> bool {
        let write = self.write.take().expect("a write runs once");
        let result = write(db);
        let holds = result.is_ok();
        self.result = Some(result);
        holds
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
        let commits = Arc::new(AtomicU64::new(0));
        let count = commits.clone();
        let thread =
            std::thread::Builder::new().name("store".into()).spawn(move || work(&db, &works, &count))?;
        Ok(Writer { commits, queue: Some(queue), thread: Some(thread) })
    }

    /// How many transactions have been committed. Each is one sync of the log; writing the log back to the database is another now
    /// and then.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let work = Write { write: Some(write), result: None, reply };
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

fn work(db: &Connection, works: &mpsc::Receiver<Box<dyn Work>>, commits: &AtomicU64) {
    while let Ok(first) = works.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(works.try_iter().take(BATCH_MAX - 1)).collect();
        // Another process may hold the database for longer than we wait. Nothing is wrong with it then.
        if let Err(error) = db.execute_batch("BEGIN IMMEDIATE") {
            let why = format!("nothing was written: {error}");
            batch.into_iter().for_each(|work| work.finish(Some(&why)));
            continue;
        }
        reach(Moment::BatchBegun);
        let mut ran = Vec::with_capacity(batch.len());
        let committed = (|| {
            for mut work in batch {
                db.prepare_cached("SAVEPOINT work")?.execute([])?;
                if !work.run(db) {
                    db.prepare_cached("ROLLBACK TO work")?.execute([])?;
                }
                db.prepare_cached("RELEASE work")?.execute([])?;
                ran.push(work);
            }
            reach(Moment::BatchWritten);
            db.execute_batch("COMMIT")
        })();
        reach(Moment::BatchCommitted);
        commits.fetch_add(1, Ordering::Relaxed);
        let failed = committed.err().map(|error| format!("the commit failed: {error}"));
        ran.into_iter().for_each(|work| work.finish(failed.as_deref()));
        if let Some(why) = failed {
            // After a failed sync the kernel may have dropped what it could not write while calling it clean. What is
            // true is on disk; only a fresh start reads it from there.
            tracing::error!(blame = "host", "the store stops: {why}");
            let _ = db.execute_batch("ROLLBACK");
            return;
        }
    }
}

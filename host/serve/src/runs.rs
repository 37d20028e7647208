//! Runs this server drives. They belong to no request: a client that hangs up stops nothing.

use countersign::host::{Host, View};
use countersign::refusals::{Code, Error, Problem, Result};
use countersign::store::Place;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

/// The most runs that are driven or wait for their turn. Whoever gives more work hears `BUSY`.
pub const RUNS_WAITING_MAX: usize = 10_000;

/// The runs that are being driven.
#[derive(Clone)]
pub struct Runs {
    host: Arc<Host>,
    driven: Arc<Mutex<Driven>>,
    /// How many there are, for whoever waits until there are none.
    count: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct Driven {
    /// The number of the next.
    next: u64,
    tasks: HashMap<u64, (String, AbortHandle)>,
}

/// One run, driven in the background.
pub struct Run(oneshot::Receiver<Result<View>>);

impl Run {
    /// Waits for it, at most so long. Nothing where it goes on, or was put down because the server ends.
    pub async fn within(self, wait: Duration) -> Option<Result<View>> {
        tokio::time::timeout(wait, self.0).await.ok()?.ok()
    }
}

/// Takes a run off the list when its task ends, however it ends.
struct Entry {
    runs: Runs,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let left = {
            let mut driven = self.runs.lock();
            driven.tasks.remove(&self.number);
            driven.tasks.len()
        };
        self.runs.count.send_replace(left);
    }
}

impl Runs {
    /// None yet.
    pub fn new(host: Arc<Host>) -> Runs {
        Runs { host, driven: Arc::default(), count: Arc::new(watch::channel(0).0) }
    }

    fn lock(&self) -> MutexGuard<'_, Driven> {
        self.driven.lock().expect("no holder panics")
    }

    /// Asks whether there is room for one more. What is on disk already is driven in any case.
    ///
    /// # Errors
    ///
    /// `BUSY` beyond [`RUNS_WAITING_MAX`].
    pub fn admit(&self) -> Result<()> {
        match self.lock().tasks.len() < RUNS_WAITING_MAX {
            true => Ok(()),
            false => Err(Problem::new(Code::Busy, format!("{RUNS_WAITING_MAX} runs wait for their turn"))
                .hint("try again when some of them have ended")
                .into()),
        }
    }

    /// Drives the run of an intent, on behalf of its owner.
    pub fn drive(&self, place: Place) -> Run {
        let host = self.host.clone();
        let intent = place.intent.clone();
        self.start(&intent, async move { host.resume(place.owner(), &place.intent).await })
    }

    /// Drives the runs among these that this server does not drive already.
    pub fn pick_up(&self, places: Vec<Place>) {
        let driven: HashSet<_> = self.lock().tasks.values().map(|(intent, _)| intent.clone()).collect();
        for place in places.into_iter().filter(|place| !driven.contains(&place.intent)) {
            self.drive(place);
        }
    }

    fn start(&self, intent: &str, run: impl Future<Output = Result<View>> + Send + 'static) -> Run {
        let (tell, told) = oneshot::channel();
        let id = intent.to_owned();
        let mut driven = self.lock();
        let number = driven.next;
        driven.next += 1;
        let entry = Entry { runs: self.clone(), number };
        let task = tokio::spawn(async move {
            let _entry = entry;
            let ended = run.await;
            // It is on disk, and is picked up again.
            if let Err(error) = &ended
                && !matches!(error, Error::Refused(Problem { code: Code::ShuttingDown, .. }))
            {
                tracing::warn!(blame = "host", "{id} cannot be driven: {error}");
            }
            // Nobody may be waiting.
            let _ = tell.send(ended);
        });
        driven.tasks.insert(number, (intent.to_owned(), task.abort_handle()));
        self.count.send_replace(driven.tasks.len());
        Run(told)
    }

    /// Waits until none is driven, at most so long, and drops those that are left: they are on disk, and go on at the next start.
    /// Gives how many these are.
    pub async fn end(&self, grace: Duration) -> usize {
        let mut count = self.count.subscribe();
        let _ = tokio::time::timeout(grace, count.wait_for(|count| *count == 0)).await;
        let driven = self.lock();
        driven.tasks.values().for_each(|(_, task)| task.abort());
        driven.tasks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::options;

    fn runs() -> (Runs, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        (Runs::new(Arc::new(Host::open(options(folder.path(), true)).unwrap())), folder)
    }

    #[tokio::test]
    async fn what_is_driven_is_waited_for_at_the_end_and_then_dropped() {
        let (runs, _folder) = runs();
        let (hold, held) = oneshot::channel::<()>();
        let (inside, mut dropped) = oneshot::channel::<()>();
        let quick = runs.start("int_1", async { Err(Problem::new(Code::Busy, "a").into()) });
        assert!(matches!(quick.within(Duration::from_secs(60)).await, Some(Err(Error::Refused(_)))));
        let slow = runs.start("int_2", async move {
            let _inside = inside;
            let _ = held.await;
            Err(Problem::new(Code::Busy, "b").into())
        });
        assert_eq!(runs.end(Duration::ZERO).await, 1);
        assert!(slow.within(Duration::from_secs(60)).await.is_none());
        assert!(dropped.try_recv().is_err());
        drop(hold);
        assert_eq!(runs.end(Duration::from_secs(60)).await, 0);
    }

    #[tokio::test]
    async fn what_is_driven_is_not_picked_up_once_more() {
        let (runs, _folder) = runs();
        let place = |intent: &str| Place { tenant: "main".into(), user: "ada".into(), intent: intent.into() };
        let (_hold, held) = oneshot::channel::<()>();
        runs.start("int_1", async move {
            let _ = held.await;
            Err(Problem::new(Code::Busy, "b").into())
        });
        runs.pick_up(vec![place("int_1"), place("int_2")]);
        let driven: Vec<_> = runs.lock().tasks.values().map(|(intent, _)| intent.clone()).collect();
        assert_eq!(driven.iter().collect::<HashSet<_>>().len(), driven.len(), "{driven:?}");
        assert_eq!(driven.len(), 2);
    }
}

//! What a page is told while it is open: how many approvals wait, and that something has changed.

use super::Inbox;
use super::gate::{Answer, Session};
use super::pages::{PENDING_COUNTED_MAX, counted};
use crate::streams::Stream;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::response::sse::{Event, Sse};
use countersign::desk::Desk;
use countersign::digest::Digest;
use futures_util::stream;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long is waited between two events of a stream, at least.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked without a change: other processes write, too.
const POLL: Duration = Duration::from_secs(5);
/// How often something is told where there is nothing to tell: pages that hear nothing look for themselves.
const ALIVE: Duration = Duration::from_secs(15);

struct Told {
    inbox: Arc<Inbox>,
    secret: String,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    /// What was told last.
    pending: Option<u32>,
    /// The number of changes that were told of.
    seen: u64,
    /// When anything was told last.
    at: Instant,
    _stream: Stream,
}

/// The stream of one browser, which its pages share. It begins with the number of waiting approvals.
pub async fn events(State(inbox): State<Arc<Inbox>>, session: Session) -> Answer {
    // By the digest: the secret itself is kept by nobody.
    let stream = inbox.streams.open(Digest::of(session.secret.as_bytes()).to_string())?;
    let (changes, closing) = (inbox.host.changes(), inbox.closing.clone());
    let seen = *changes.borrow();
    let told = Told {
        inbox,
        secret: session.secret.clone(),
        changes,
        closing,
        pending: None,
        seen,
        at: Instant::now(),
        _stream: stream,
    };
    let events = stream::unfold(told, |told| async { told.next().await });
    Ok(Sse::new(events).into_response())
}

impl Told {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Told)> {
        let event = self.wait().await?;
        self.at = Instant::now();
        Some((Ok(event), self))
    }

    /// What is told next. Events have no ids: none is told again, as each says how it stands.
    async fn wait(&mut self) -> Option<Event> {
        loop {
            if *self.closing.borrow() {
                return None;
            }
            // Who has been signed out, or removed, is told nothing more.
            let person = self.inbox.host.session(&self.secret).await.ok()?;
            let pending = Desk::new(self.inbox.host.clone(), person).pending(PENDING_COUNTED_MAX + 1).ok()?;
            if self.pending != Some(pending) {
                self.pending = Some(pending);
                return Some(Event::default().event("pending").data(counted(pending)));
            }
            let now = *self.changes.borrow_and_update();
            if now != self.seen {
                self.seen = now;
                tokio::time::sleep(PAUSE).await;
                // An event without data is none.
                return Some(Event::default().event("change").data("look"));
            }
            if self.at.elapsed() >= ALIVE {
                return Some(Event::default().event("alive").data("yes"));
            }
            tokio::select! {
                changed = self.changes.changed() => { changed.ok()?; tokio::time::sleep(PAUSE).await; }
                _ = self.closing.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}

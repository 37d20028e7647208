//! Intents as they run, told by server-sent events.

use super::App;
use super::asked::{At, Named};
use super::problems::Refused;
use crate::streams::Stream;
use crate::view::{Call, Ran, timeline};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use countersign::desk::Desk;
use countersign::intent::Status;
use countersign::people::Person;
use countersign::refusals::Result;
use futures_util::stream;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How long a stream lasts: whoever reads on connects again, and shows again who they are.
const LIFE: Duration = Duration::from_secs(10 * 60);
/// How often it is looked where this host changes nothing: other processes write, too.
const PAUSE: Duration = Duration::from_secs(2);
/// How long it is not looked again, however much changes.
const REST: Duration = Duration::from_millis(200);
/// How often something is sent so that nobody on the way takes the silence for an end.
const ALIVE: Duration = Duration::from_secs(15);

/// A stream of one intent.
struct Follow {
    desk: Desk,
    id: String,
    /// How many calls of the journal have been told.
    told: usize,
    /// What was last told of how it stands.
    stands: Option<(Status, Option<String>)>,
    ready: VecDeque<Event>,
    changes: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    until: Instant,
    is_over: bool,
    _stream: Stream,
}

impl Follow {
    /// Looks what is new.
    fn look(&mut self) -> Result<()> {
        // The status first: the journal of what has ended does not grow, so what is told behind the end is nothing.
        let view = self.desk.show(&self.id)?;
        let calls = timeline(self.desk.journal(&self.id)?);
        // A journal is never shorter than it was, but whoever connects again may say anything.
        for call in calls.iter().skip(self.told.min(calls.len())) {
            self.ready.push_back(told_call(call)?);
        }
        self.told = calls.len();
        let stands = (view.intent.status, view.pending().map(|pending| pending.approval.id.clone()));
        self.is_over = view.intent.status.is_final();
        if self.stands.as_ref() != Some(&stands) {
            self.stands = Some(stands);
            let event = Event::default().event("status").id(self.told.to_string());
            self.ready.push_back(event.json_data(Ran::of(&view)).map_err(anyhow::Error::from)?);
        }
        Ok(())
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Follow)> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some((Ok(event), self));
            }
            if self.is_over || *self.closing.borrow() || Instant::now() >= self.until {
                return None;
            }
            let _ = timeout(PAUSE, self.changes.changed()).await;
            sleep(REST).await;
            self.changes.mark_unchanged();
            if let Err(error) = self.look() {
                tracing::warn!(blame = "host", "{} can be followed no further: {error}", self.id);
                return None;
            }
        }
    }
}

fn told_call(call: &Call) -> Result<Event> {
    let event = Event::default().event("call").id((call.number + 1).to_string());
    Ok(event.json_data(call).map_err(anyhow::Error::from)?)
}

pub async fn follow(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let last = headers.get("last-event-id").and_then(|last| last.to_str().ok()?.parse().ok());
    let Person { tenant, name, .. } = desk.person();
    // Neither name has a slash.
    let stream = app.streams.open(format!("{tenant}/{name}"))?;
    let mut follow = Follow {
        desk,
        id,
        told: last.unwrap_or_default(),
        stands: None,
        ready: VecDeque::new(),
        changes: app.host.changes(),
        closing: app.closing(),
        until: Instant::now() + LIFE,
        is_over: false,
        _stream: stream,
    };
    follow.look()?;
    if last.is_some() && follow.is_over && last == Some(follow.told) {
        // A browser connects again until it hears this.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = stream::unfold(follow, Follow::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}

//! `/v1/intents`. Submitting puts an intent down, and nothing takes it away again: its run is driven beside the request.

use super::asked::{Asked, At, Named, Part, Sent, Waiting};
use super::problems::Refused;
use super::{App, finish};
use crate::view::{IntentRow, IntentShown, Intents, NewIntent, Ran};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use countersign::desk::Desk;
use countersign::host::{Order, View};
use countersign::intent::Status;
use countersign::refusals::{Code, Problem, Result};
use countersign::store::{Accepted, Only, Place};
use schemars::JsonSchema;
use serde::Deserialize;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The longest order, in bytes: parameters and text as long as they can be, each character written as an escape.
pub const ORDER_BYTES_MAX: usize = 1024 * 1024;

/// Which intents.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Those that stand so.
    status: Option<Status>,
    /// Those of this agent.
    agent: Option<String>,
    /// Those that have failed: their `failed` says in what.
    failed: bool,
    /// Those behind the one of this id: `next` of the part before.
    before: Option<String>,
    /// At most so many, 1 to 999; 100 where it is left out.
    #[schemars(range(min = 1, max = 999))]
    limit: Option<u32>,
}

pub async fn list(At(desk): At, Asked(filter): Asked<Filter>) -> Result<Json<Intents>, Refused> {
    let Filter { status, agent, failed, before, limit } = filter;
    let part = Part::new(before, limit)?;
    let rows = desk.intents(Only { status, agent: agent.as_deref(), failed }, part.page())?;
    let (rows, next) = part.cut(rows, |intent| &intent.id);
    Ok(Json(Intents { intents: rows.iter().map(IntentRow::of).collect(), next }))
}

/// What is answered to whoever put an intent down: that it is there, and how far it has come.
type Put = (StatusCode, [(HeaderName, String); 1], Json<Ran>);

pub async fn submit(
    State(app): State<Arc<App>>,
    At(desk): At,
    Asked(waiting): Asked<Waiting>,
    headers: HeaderMap,
    Sent(new): Sent<NewIntent, ORDER_BYTES_MAX>,
) -> Result<Put, Refused> {
    let NewIntent { agent, action, parameters, text } = new;
    let order = Order { agent, action, parameters, text, retry_of: None };
    let (key, patience) = (key(&headers)?, waiting.patience()?);
    let own = desk.clone();
    put(app, desk, patience, async move { own.submit(order, key).await }).await
}

pub async fn retry(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(id): Named,
    Asked(waiting): Asked<Waiting>,
    headers: HeaderMap,
) -> Result<Put, Refused> {
    let (key, patience) = (key(&headers)?, waiting.patience()?);
    let own = desk.clone();
    put(app, desk, patience, async move { own.retry(&id, key).await }).await
}

async fn put(
    app: Arc<App>,
    desk: Desk,
    patience: Duration,
    accept: impl Future<Output = Result<Accepted>> + Send + 'static,
) -> Result<Put, Refused> {
    app.runs.admit()?;
    let (runs, person) = (app.runs.clone(), desk.person().clone());
    // An intent that is on disk has its run driven, whether somebody still listens or not.
    let (accepted, run) = finish(async move {
        let accepted = accept.await?;
        let (tenant, user) = (person.tenant, person.name);
        let run =
            (!accepted.again).then(|| runs.drive(Place { tenant, user, intent: accepted.intent.clone() }));
        Ok((accepted, run))
    })
    .await?;
    let Accepted { intent, again } = accepted;
    let view = match run {
        // How it ended is in the intent; a run that cannot be driven now is picked up again.
        Some(run) => {
            drop(run.within(patience).await);
            desk.show(&intent)?
        }
        None if again => settled(&app, &desk, &intent, patience).await?,
        None => desk.show(&intent)?,
    };
    let status = if again { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, [(header::LOCATION, format!("/v1/intents/{intent}"))], Json(Ran::of(&view))))
}

/// The key of a request, which makes it the same request when it comes again.
fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let (key, second) = (keys.next(), keys.next());
    let Some(key) = key else { return Ok(None) };
    match (key.to_str(), second) {
        (Ok(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let problem = Problem::new(Code::InvalidParameter, "one Idempotency-Key of ASCII is expected");
            Err(problem.hint("use a UUID").into())
        }
    }
}

/// An intent, once it waits for a person or has ended, or at the end of patience.
pub async fn settled(app: &App, desk: &Desk, id: &str, patience: Duration) -> Result<View> {
    app.until(patience, || {
        let view = desk.show(id)?;
        Ok((!matches!(view.intent.status, Status::Running | Status::Sending), view))
    })
    .await
}

pub async fn show(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(id): Named,
    Asked(waiting): Asked<Waiting>,
) -> Result<Json<IntentShown>, Refused> {
    let view = settled(&app, &desk, &id, waiting.patience()?).await?;
    Ok(Json(IntentShown::of(&view, desk.journal(&id)?)))
}

pub async fn cancel(At(desk): At, Named(id): Named) -> Result<Json<IntentShown>, Refused> {
    finish(async move {
        let view = desk.cancel(&id).await?;
        Ok(Json(IntentShown::of(&view, desk.journal(&id)?)))
    })
    .await
}

pub async fn resume(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(id): Named,
    Asked(waiting): Asked<Waiting>,
) -> Result<Json<Ran>, Refused> {
    let patience = waiting.patience()?;
    let place = desk.place(&id)?;
    let run = app.runs.drive(place);
    if let Some(ended) = run.within(patience).await {
        drop(ended?);
    }
    Ok(Json(Ran::of(&desk.show(&id)?)))
}

//! `/v1/outbox`, `/v1/mail` and `/v1/sent`.

use super::asked::{Asked, At, Named, Part, Sent, parameter};
use super::finish;
use super::problems::Refused;
use crate::view;
use crate::view::{Messages, OutboxMessage, OutboxMessages, Resolve};
use axum::Json;
use countersign::clock;
use countersign::store::{LIST_MAX, Page};
use countersign::tools::messages::Query;
use schemars::JsonSchema;
use serde::Deserialize;

/// How many messages are listed where nobody says.
const MESSAGES: u32 = 20;
/// How many of those that have left are listed where nobody says.
const LETTERS: u32 = 100;

/// Which messages.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only those that are on their way or uncertain.
    open: bool,
    /// Those behind the one of this id: `next` of the part before.
    before: Option<String>,
    /// At most so many, 1 to 999; 100 where it is left out.
    #[schemars(range(min = 1, max = 999))]
    limit: Option<u32>,
}

pub async fn list(At(desk): At, Asked(filter): Asked<Filter>) -> Result<Json<OutboxMessages>, Refused> {
    let part = Part::new(filter.before, filter.limit)?;
    let rows = desk.outbox(filter.open, part.page())?;
    let (rows, next) = part.cut(rows, |message| &message.approval);
    Ok(Json(OutboxMessages { messages: rows.iter().map(OutboxMessage::of).collect(), next }))
}

pub async fn show(At(desk): At, Named(id): Named) -> Result<Json<OutboxMessage>, Refused> {
    Ok(Json(OutboxMessage::of(&desk.outgoing(&id)?)))
}

pub async fn resolve(
    At(desk): At,
    Named(id): Named,
    Sent(Resolve { resolution }): Sent<Resolve>,
) -> Result<Json<OutboxMessage>, Refused> {
    finish(async move {
        let message = OutboxMessage::of(&desk.resolve(&id, resolution).await?);
        let head = desk.audit_head()?.to_string();
        Ok(Json(OutboxMessage { audit_head: Some(head), ..message }))
    })
    .await
}

pub async fn deliver(At(desk): At) -> Result<Json<OutboxMessages>, Refused> {
    finish(async move {
        desk.deliver().await?;
        let messages = desk.outbox(true, Page::default())?.iter().map(OutboxMessage::of).collect();
        Ok(Json(OutboxMessages { messages, next: None }))
    })
    .await
}

/// Which mail.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mailbox {
    /// Only from this address, compared without regard to case.
    from: Option<String>,
    /// Only later than this: RFC 3339, or a date.
    after: Option<String>,
    /// Those behind the one of this id: `next` of the part before.
    before: Option<String>,
    /// At most so many, 1 to 1000; 20 where it is left out.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

/// Which of what has left.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Letters {
    /// Those behind the one of this id: `next` of the part before.
    before: Option<String>,
    /// At most so many, 1 to 1000; 100 where it is left out.
    limit: Option<u32>,
}

pub async fn mail(At(desk): At, Asked(filter): Asked<Mailbox>) -> Result<Json<Messages>, Refused> {
    let Mailbox { from, after, before, limit } = filter;
    let after_ms = match after {
        None => None,
        Some(after) => Some(clock::parse(&after).ok_or_else(|| parameter("after is RFC 3339 or a date"))?),
    };
    let limit = bounded(limit.unwrap_or(MESSAGES))?;
    let messages = desk.mail(&Query { from, after_ms, before, limit: limit + 1 })?;
    Ok(Json(Messages::page(messages, limit)))
}

fn bounded(limit: u32) -> Result<u32, Refused> {
    match (1..=LIST_MAX).contains(&limit) {
        true => Ok(limit),
        false => Err(parameter(&format!("limit is 1 to {LIST_MAX}")).into()),
    }
}

pub async fn sent(At(desk): At, Asked(filter): Asked<Letters>) -> Result<Json<view::Sent>, Refused> {
    let limit = bounded(filter.limit.unwrap_or(LETTERS))?;
    let rows = desk.sent_page(Page { before: filter.before.as_deref(), limit: limit + 1 })?;
    Ok(Json(view::Sent::page(&rows, limit)))
}

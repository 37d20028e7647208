//! `/v1/approvals`. A decision carries the digest of what was shown, and is made by whoever the token speaks for.

use super::asked::{Asked, At, Named, Part, Sent, Waiting};
use super::problems::Refused;
use super::{App, finish};
use crate::view::{Approval, Approvals, Changed, Decide, EditApproval, Ran};
use axum::Json;
use axum::extract::State;
use countersign::desk::Desk;
use countersign::digest::Digest;
use countersign::host::Edit;
use countersign::refusals::Result as Done;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The longest edit, in bytes: a body as long as it can be, each character written as an escape.
pub const EDIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Which approvals.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only those that wait for a decision.
    state: Option<Waits>,
    /// Those behind the one of this id: `next` of the part before.
    before: Option<String>,
    /// At most so many, 1 to 999; 100 where it is left out.
    #[schemars(range(min = 1, max = 999))]
    limit: Option<u32>,
}

/// The one state approvals can be asked for by.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Waits {
    Pending,
}

pub async fn list(At(desk): At, Asked(filter): Asked<Filter>) -> Result<Json<Approvals>, Refused> {
    let part = Part::new(filter.before, filter.limit)?;
    let rows = desk.approvals(filter.state.is_some(), part.page())?;
    let (rows, next) = part.cut(rows, |stored| &stored.approval.id);
    Ok(Json(Approvals { approvals: rows.iter().map(Approval::of).collect(), next }))
}

pub async fn show(At(desk): At, Named(id): Named) -> Result<Json<Approval>, Refused> {
    Ok(Json(Approval::of(&desk.approval(&id)?).answering(desk.answered(&id)?)))
}

pub async fn decide(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(id): Named,
    Asked(waiting): Asked<Waiting>,
    Sent(Decide { verdict, digest, note }): Sent<Decide>,
) -> Result<Json<Ran>, Refused> {
    let patience = waiting.patience()?;
    let (own, runs) = (desk.clone(), app.runs.clone());
    // What is decided has its run driven, whether somebody still listens or not.
    let (head, intent, run) = finish(async move {
        let head = own.decide(&id, verdict, digest, note).await?;
        let place = own.decided(&id)?;
        let (intent, run) = (place.intent.clone(), runs.drive(place));
        Ok((head, intent, run))
    })
    .await?;
    // The decision stands, whatever becomes of the run. What is told of it is told to this person.
    drop(run.within(patience).await);
    let view = desk.show(&intent)?;
    Ok(Json(Ran { audit_head: Some(head.to_string()), ..Ran::of(&view) }))
}

pub async fn edit(
    At(desk): At,
    Named(id): Named,
    Sent(EditApproval { digest, subject, body, remove_recipients }): Sent<EditApproval, EDIT_BYTES_MAX>,
) -> Result<Json<Changed>, Refused> {
    let edit = Edit { subject, body, remove: remove_recipients };
    finish(async move {
        let head = desk.edit(&id, edit, digest).await?;
        changed(&desk, &id, head)
    })
    .await
}

pub async fn revoke(At(desk): At, Named(id): Named) -> Result<Json<Changed>, Refused> {
    finish(async move {
        let head = desk.take_back(&id).await?;
        changed(&desk, &id, head)
    })
    .await
}

fn changed(desk: &Desk, id: &str, head: Digest) -> Done<Json<Changed>> {
    let approval = Approval::of(&desk.approval(id)?).answering(desk.answered(id)?);
    Ok(Json(Changed { approval, audit_head: head.to_string() }))
}

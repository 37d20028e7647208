//! `/v1/agents`.

use super::asked::{Asked, At, Named, Sent, is_of, listed, read};
use super::problems::Refused;
use super::{App, busy, finish};
use crate::view::{Agent, Agents, GrantCapabilities, Removed};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, StatusCode, header};
use countersign::agent::package::COMPONENT_BYTES_MAX;
use countersign::authority::Capability;
use countersign::host::Install;
use countersign::people::Deed;
use countersign::refusals::{Code, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// How an agent is installed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct How {
    /// Capabilities to grant at once on one's own behalf, with commas between them.
    #[serde(deserialize_with = "listed")]
    #[schemars(with = "String")]
    grant: Vec<Capability>,
    /// Grant what the version before had been granted.
    keep_grants: bool,
    /// Refuse an agent that imports a tool whose capability it does not declare.
    strict_imports: bool,
}

pub async fn install(
    State(app): State<Arc<App>>,
    At(desk): At,
    Asked(how): Asked<How>,
    request: Request,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<Agent>), Refused> {
    is_of(request.headers(), "application/wasm")?;
    // Before anything is taken in.
    desk.ask(Deed::ManageAgents)?;
    let Ok(_place) = app.uploads.try_acquire() else {
        let problem = Problem::new(Code::Busy, "other agents are being installed");
        return Err(problem.hint("try again when they are").into());
    };
    let bytes = read(request, COMPONENT_BYTES_MAX).await?;
    let How { grant, keep_grants, strict_imports } = how;
    let how = Install { manifest: None, grants: grant, keep_grants, strict_imports };
    // It is compiled on the way, which keeps a core busy for seconds.
    let runtime = tokio::runtime::Handle::current();
    let (row, warnings) = busy(move || runtime.block_on(desk.install(bytes, how))).await?;
    let agent = Agent::of(&row, warnings);
    let location = format!("/v1/agents/{}", agent.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(agent)))
}

pub async fn list(At(desk): At) -> Result<Json<Agents>, Refused> {
    let agents = desk.agents()?.iter().map(|row| Agent::of(row, Vec::new())).collect();
    Ok(Json(Agents { agents }))
}

pub async fn show(At(desk): At, Named(id): Named) -> Result<Json<Agent>, Refused> {
    Ok(Json(Agent::of(&desk.agent(&id)?, Vec::new())))
}

pub async fn remove(At(desk): At, Named(id): Named) -> Result<Json<Removed>, Refused> {
    finish(async move {
        desk.remove(&id).await?;
        Ok(Json(Removed { removed: id }))
    })
    .await
}

pub async fn grant(
    At(desk): At,
    Named(id): Named,
    Sent(GrantCapabilities { capabilities }): Sent<GrantCapabilities>,
) -> Result<Json<Agent>, Refused> {
    finish(async move { Ok(Json(Agent::of(&desk.grant(&id, &capabilities).await?, Vec::new()))) }).await
}

/// Which grants are taken away.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Capabilities, with commas between them.
    #[serde(deserialize_with = "listed")]
    #[schemars(with = "String")]
    capability: Vec<Capability>,
    /// Who granted them; oneself where it is left out.
    #[serde(default)]
    user: Option<String>,
}

pub async fn revoke(
    At(desk): At,
    Named(id): Named,
    Asked(Which { capability, user }): Asked<Which>,
) -> Result<Json<Agent>, Refused> {
    finish(async move {
        let row = desk.revoke(&id, &capability, user.as_deref()).await?;
        Ok(Json(Agent::of(&row, Vec::new())))
    })
    .await
}

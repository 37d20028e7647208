//! Who asks: tokens, and `/v1/me`, `/v1/people`, `/v1/tokens`.

use super::asked::{At, Named, Sent};
use super::gate::Trace;
use super::problems::Refused;
use super::{App, finish};
use crate::view::{
    Invite, Invited, MakeToken, Me, People, PersonShown, Removed, SetRoles, TokenMade, TokenShown, Tokens,
};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use countersign::clock::rfc3339;
use countersign::desk::Desk;
use countersign::people::Deed;
use countersign::refusals::{Code, Problem};
use std::sync::Arc;

/// Lets nobody by who shows no token. Cookies count for nothing here: a page of another site can send those.
pub async fn authenticate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let token = bearer(request.headers()).map(str::to_owned);
    let trace = request.extensions().get::<Arc<Trace>>().cloned();
    match admit(&app, token.as_deref(), trace.as_deref()).await {
        Ok(desk) => {
            request.extensions_mut().insert(desk);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

async fn admit(app: &App, token: Option<&str>, trace: Option<&Trace>) -> Result<Desk, Refused> {
    let token = token.ok_or_else(|| {
        Problem::new(Code::Unauthenticated, "there is no token in the request")
            .hint("send the header Authorization: Bearer TOKEN; tokens are made where you sign in")
    })?;
    let person = app.host.token(token).await?;
    let left = app.take(person.through.clone());
    if let Some(trace) = trace {
        // Each is set once: here.
        let _ = trace.who.set(person.by());
        let _ = trace.left.set(left);
    }
    match left.retry_after {
        None => Ok(Desk::new(app.host.clone(), person)),
        Some(seconds) => {
            let message = format!("there are {} requests a minute for a token", left.limit);
            let problem = Problem::new(Code::RateLimitExceeded, message)
                .hint(format!("try again in {seconds} s; the operator sets `serve.requests_per_minute`"));
            Err(Refused { retry_after: Some(seconds), ..problem.into() })
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (one, None) = (given.next()?, given.next()) else { return None };
    let (scheme, token) = one.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub async fn me(At(desk): At) -> Result<Json<Me>, Refused> {
    desk.ask(Deed::KeepTokens)?;
    Ok(Json(Me::of(desk.person())))
}

pub async fn list(At(desk): At) -> Result<Json<People>, Refused> {
    Ok(Json(People { people: desk.people()?.iter().map(PersonShown::of).collect() }))
}

pub async fn invite(
    State(app): State<Arc<App>>,
    At(desk): At,
    Sent(Invite { name, roles }): Sent<Invite>,
) -> Result<(StatusCode, Json<Invited>), Refused> {
    let roles = Some(roles.into_iter().collect());
    let invited = finish(async move { desk.invite(&name, roles).await }).await?;
    Ok((StatusCode::CREATED, Json(shown(&app, &invited))))
}

pub async fn invite_again(
    State(app): State<Arc<App>>,
    At(desk): At,
    Named(name): Named,
) -> Result<Json<Invited>, Refused> {
    let invited = finish(async move { desk.invite(&name, None).await }).await?;
    Ok(Json(shown(&app, &invited)))
}

fn shown(app: &App, invited: &countersign::host::Invited) -> Invited {
    Invited {
        name: invited.name.clone(),
        link: app.site.link(invited.secret.text()),
        expires: rfc3339(invited.expires_ms),
    }
}

pub async fn set_roles(
    At(desk): At,
    Named(name): Named,
    Sent(SetRoles { roles }): Sent<SetRoles>,
) -> Result<Json<PersonShown>, Refused> {
    let roles = roles.into_iter().collect();
    finish(async move { Ok(Json(PersonShown::of(&desk.set_roles(&name, &roles).await?))) }).await
}

pub async fn remove(At(desk): At, Named(name): Named) -> Result<Json<Removed>, Refused> {
    finish(async move {
        desk.remove_person(&name).await?;
        Ok(Json(Removed { removed: name }))
    })
    .await
}

pub async fn tokens(At(desk): At) -> Result<Json<Tokens>, Refused> {
    Ok(Json(Tokens { tokens: desk.tokens()?.iter().map(TokenShown::of).collect() }))
}

pub async fn make_token(
    At(desk): At,
    Sent(MakeToken { label, roles, days }): Sent<MakeToken>,
) -> Result<(StatusCode, Json<TokenMade>), Refused> {
    let roles = roles.map(|roles| roles.into_iter().collect());
    let made = finish(async move { desk.make_token(&label, roles, days).await }).await?;
    Ok((StatusCode::CREATED, Json(TokenMade::of(&made))))
}

pub async fn revoke_token(At(desk): At, Named(id): Named) -> Result<Json<Removed>, Refused> {
    finish(async move {
        desk.revoke_token(&id).await?;
        Ok(Json(Removed { removed: id }))
    })
    .await
}

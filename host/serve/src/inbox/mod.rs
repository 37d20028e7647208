//! The web inbox: where people sign.
//!
//! Everything goes through the gate: it says who is asking, refuses what does not come from a page of this server, and puts the same
//! headers on every answer. Behind it each deed has a function of a few lines, which goes through the desk, and each page is a pure
//! function. Looking changes nothing.

pub mod cookie;
pub mod deeds;
pub mod events;
pub mod gate;
pub mod look;
pub mod pages;
pub mod seal;

#[cfg(test)]
mod tests;

use crate::streams::Streams;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Extensions, HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use countersign::agent::package::COMPONENT_BYTES_MAX;
use countersign::host::Host;
use countersign::people::Person;
use countersign::people::throttle::Throttle;
use countersign::store::Place;
use futures_util::future::BoxFuture;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::{Semaphore, watch};

/// The largest form, in bytes: a message of the largest body, spelled for its way, and what stands beside it.
pub const FORM_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest form of somebody who is not signed in, in bytes: a name and two passwords, or what was typed when a session had ended.
pub const STRANGER_BYTES_MAX: usize = 64 * 1024;
/// The largest form that brings a component, in bytes.
pub const UPLOAD_BYTES_MAX: usize = COMPONENT_BYTES_MAX + 256 * 1024;
/// How many fields a form has at most.
pub const FIELDS_MAX: usize = 1_000;

/// What the server is called, as browsers write it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Scheme, name and port people reach it under, without a slash at the end. Links begin with it.
    pub origin: String,
    /// Every origin a page of this server may have: the one above, and the names a machine has for itself.
    pub origins: Vec<String>,
    /// Whether browsers reach it over TLS.
    pub secure: bool,
}

/// Has the run of an intent driven, whether anybody waits or not. What it gives back ends when the run rests, or after a moment.
pub type Drive = Arc<dyn Fn(Place) -> BoxFuture<'static, ()> + Send + Sync>;

/// What all requests of the inbox share.
pub struct Inbox {
    /// The host. Pages reach it through desks alone.
    pub host: Arc<Host>,
    /// What the server is called.
    pub site: Site,
    /// Drives runs.
    pub drive: Drive,
    /// Where a request came from, as whoever accepted it has noted there.
    pub client: fn(&Extensions) -> Option<IpAddr>,
    /// Notes who asked, for the log.
    pub known: fn(&Extensions, &Person),
    /// Whether the server is going down: then nothing is told any more.
    pub closing: watch::Receiver<bool>,
    /// Tries to sign in.
    pub throttle: Mutex<Throttle>,
    /// Components that are being uploaded, here and by the API: each is held in memory.
    pub uploads: Arc<Semaphore>,
    /// The streams of events each session has open.
    pub streams: Arc<Streams>,
}

impl Inbox {
    /// An inbox of this host.
    pub fn new(
        host: Arc<Host>,
        site: Site,
        drive: Drive,
        client: fn(&Extensions) -> Option<IpAddr>,
        known: fn(&Extensions, &Person),
        closing: watch::Receiver<bool>,
        uploads: Arc<Semaphore>,
    ) -> Arc<Inbox> {
        let (throttle, streams) = (Mutex::default(), Arc::default());
        Arc::new(Inbox { host, site, drive, client, known, closing, throttle, uploads, streams })
    }
}

/// Its paths. It has no fallback: what it does not know is somebody else's.
pub fn router<S: Clone + Send + Sync + 'static>(inbox: Arc<Inbox>) -> Router<S> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/approvals") }))
        .route("/sign-in", get(look::sign_in).post(deeds::sign_in))
        .route("/sign-out", post(deeds::sign_out))
        .route("/join/{secret}", get(look::join).post(deeds::join))
        .route("/approvals", get(look::approvals))
        .route("/approvals/decline", post(deeds::decline_several))
        .route("/approvals/{id}", get(look::approval))
        .route("/approvals/{id}/approve", post(deeds::approve))
        .route("/approvals/{id}/decline", post(deeds::decline))
        .route("/approvals/{id}/edit", post(deeds::edit))
        .route("/approvals/{id}/revoke", post(deeds::take_back))
        .route("/intents", get(look::intents).post(deeds::submit))
        .route("/intents/new", get(look::new_intent))
        .route("/intents/{id}", get(look::intent))
        .route("/intents/{id}/cancel", post(deeds::cancel))
        .route("/intents/{id}/retry", post(deeds::retry))
        .route("/intents/{id}/resume", post(deeds::resume))
        .route(
            "/agents",
            get(look::agents).merge(post(deeds::install).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX))),
        )
        .route("/agents/new", get(look::new_agent))
        .route("/agents/{id}", get(look::agent))
        .route("/agents/{id}/remove", post(deeds::remove))
        .route("/agents/{id}/grant", post(deeds::grant))
        .route("/agents/{id}/revoke", post(deeds::revoke))
        .route("/outbox", get(look::outbox))
        .route("/outbox/{id}", get(look::outgoing))
        .route("/outbox/{id}/resolve", post(deeds::resolve))
        .route("/audit", get(look::audit))
        .route("/people", get(look::people).post(deeds::invite))
        .route("/people/{name}/roles", post(deeds::set_roles))
        .route("/people/{name}/remove", post(deeds::remove_person))
        .route("/people/{name}/invite", post(deeds::invite_again))
        .route("/tokens", post(deeds::make_token))
        .route("/tokens/{id}/revoke", post(deeds::revoke_token))
        .route("/password", post(deeds::change_password))
        .route("/events", get(events::events))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn_with_state(inbox.clone(), gate::gate))
        // They are the same for everybody, so nobody is asked who they are.
        .route(
            "/assets/style.css",
            get(|| async { asset("text/css; charset=utf-8", include_str!("style.css")) }),
        )
        .route(
            "/assets/inbox.js",
            get(|| async { asset("text/javascript; charset=utf-8", include_str!("inbox.js")) }),
        )
        .route("/assets/icon.svg", get(|| async { asset("image/svg+xml", include_str!("icon.svg")) }))
        .with_state(inbox)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    gate::guard(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // A new build of the server is seen soon.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    response
}

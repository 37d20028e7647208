//! The one table of routes, from which the router and the document that describes it are both built.

use super::asked::{BODY_BYTES_MAX, Waiting};
use super::{App, agents, approvals, audit, document, events, intents, outbox, people};
use crate::view;
use axum::Router;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodFilter, MethodRouter, on};
use countersign::agent::package::COMPONENT_BYTES_MAX;
use countersign::people::Deed;
use countersign::refusals::Code;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

/// How long most requests may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much longer a request may take than it asks to wait.
const BESIDE_WAITING: Duration = Duration::from_secs(15);
/// How long a component may take to arrive and to be compiled.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(600);
/// How long what may hand over mail may take: each server may take minutes.
const MAIL_PATIENCE: Duration = Duration::from_secs(600);

/// Writes down the schema of a type.
pub type Write = fn(&mut SchemaGenerator) -> Schema;

/// What stands in a body.
#[derive(Clone, Copy)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Write),
    /// Something else, of this type.
    Other(&'static str),
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Anybody.
    Nothing,
    /// Whoever has a token.
    Token,
    /// A role that lets one do this.
    Role(Deed),
    /// A role that lets one do either.
    Either(Deed, Deed),
}

/// One thing that can be asked for.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    /// In a few words, for people.
    pub about: &'static str,
    pub needs: Needs,
    pub query: Option<Write>,
    /// What is sent along, and the most bytes of it.
    pub body: Option<(Content, usize)>,
    pub answers: Vec<(u16, Content)>,
    /// What it can be refused with, beside what any request can be.
    pub refusals: &'static [Code],
    /// Whether a request may carry an idempotency key.
    pub is_keyed: bool,
    patience: Duration,
    handler: MethodRouter<Arc<App>>,
}

impl Route {
    fn new<H, T>(method: Method, path: &'static str, about: &'static str, handler: H) -> Route
    where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("a method of HTTP");
        Route {
            handler: on(filter, handler),
            method,
            path,
            about,
            needs: if path.starts_with("/v1/") { Needs::Token } else { Needs::Nothing },
            query: None,
            body: None,
            answers: Vec::new(),
            refusals: &[],
            is_keyed: false,
            patience: PATIENCE,
        }
    }

    fn needs(self, deed: Deed) -> Route {
        Route { needs: Needs::Role(deed), ..self }
    }

    fn either(self, one: Deed, other: Deed) -> Route {
        Route { needs: Needs::Either(one, other), ..self }
    }

    fn query<Q: JsonSchema>(self) -> Route {
        Route { query: Some(SchemaGenerator::root_schema_for::<Q>), ..self }
    }

    fn waits(self) -> Route {
        let patience = Duration::from_secs(super::WAIT_SECONDS_MAX.into()) + BESIDE_WAITING;
        Route { patience, ..self.query::<Waiting>() }
    }

    fn body<T: JsonSchema>(self, most: usize) -> Route {
        Route { body: Some((Content::Json(SchemaGenerator::subschema_for::<T>), most)), ..self }
    }

    fn gives<T: JsonSchema>(self, status: u16) -> Route {
        self.answers(status, Content::Json(SchemaGenerator::subschema_for::<T>))
    }

    fn answers(mut self, status: u16, content: Content) -> Route {
        self.answers.push((status, content));
        self
    }

    fn refuses(self, refusals: &'static [Code]) -> Route {
        Route { refusals, ..self }
    }

    /// Whether it is for those who show a token.
    pub fn is_guarded(&self) -> bool {
        self.needs != Needs::Nothing
    }
}

/// What any request with a token can be refused with.
pub const ALWAYS: &[Code] = &[
    Code::Unauthenticated,
    Code::ForgedRequest,
    Code::InvalidParameter,
    Code::RateLimitExceeded,
    Code::Busy,
    Code::ShuttingDown,
    Code::HostFault,
];

/// Everything that can be asked for by programs, in the order the document has it.
pub fn routes() -> Vec<Route> {
    use Deed::{
        Audit, CancelAny, Decide, Grant, Invoke, KeepTokens, LookAtAgents, LookAtOwn, ManageAgents,
        ManagePeople, Measure, RevokeAny,
    };
    let get = Method::GET;
    let post = Method::POST;
    let patch = Method::PATCH;
    let delete = Method::DELETE;
    let on = |method: &Method| method.clone();
    vec![
        Route::new(on(&post), "/v1/agents", "Install an agent, or a new version of it", agents::install)
            .needs(ManageAgents)
            .query::<agents::How>()
            .sends("application/wasm", COMPONENT_BYTES_MAX)
            .gives::<view::Agent>(201)
            .refuses(&[
                Code::RequestTooLarge,
                Code::ComponentTooLarge,
                Code::CoreModule,
                Code::Precompiled,
                Code::MalformedComponent,
                Code::ForeignImport,
                Code::MissingExport,
                Code::UndeclaredImport,
                Code::ManifestMissing,
                Code::ManifestInvalid,
                Code::ManifestDiffers,
            ])
            .takes(UPLOAD_PATIENCE),
        Route::new(on(&get), "/v1/agents", "List installed agents", agents::list)
            .needs(LookAtAgents)
            .gives::<view::Agents>(200),
        Route::new(on(&get), "/v1/agents/{id}", "Show an agent: manifest, digest, grants", agents::show)
            .needs(LookAtAgents)
            .gives::<view::Agent>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(on(&delete), "/v1/agents/{id}", "Remove an agent and its grants", agents::remove)
            .needs(ManageAgents)
            .gives::<view::Removed>(200)
            .refuses(&[Code::UnknownId, Code::AgentInUse]),
        Route::new(on(&get), "/v1/agents/{id}/grants", "Show an agent with what it is granted", agents::show)
            .needs(LookAtAgents)
            .gives::<view::Agent>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(
            on(&post),
            "/v1/agents/{id}/grants",
            "Grant capabilities, on one's own behalf",
            agents::grant,
        )
        .needs(Grant)
        .body::<view::GrantCapabilities>(BODY_BYTES_MAX)
        .gives::<view::Agent>(200)
        .refuses(&[Code::UnknownId, Code::ManifestInvalid, Code::RequestTooLarge]),
        Route::new(on(&delete), "/v1/agents/{id}/grants", "Take capabilities away", agents::revoke)
            .either(Grant, RevokeAny)
            .query::<agents::Which>()
            .gives::<view::Agent>(200)
            .refuses(&[Code::UnknownId])
            .takes(MAIL_PATIENCE),
        Route::new(on(&post), "/v1/intents", "Give an intent to an agent", intents::submit)
            .needs(Invoke)
            .waits()
            .body::<view::NewIntent>(intents::ORDER_BYTES_MAX)
            .keyed()
            .gives::<view::Ran>(201)
            .gives::<view::Ran>(200)
            .refuses(&[
                Code::UnknownId,
                Code::UndeclaredAction,
                Code::IdempotencyConflict,
                Code::RequestTooLarge,
            ]),
        Route::new(on(&get), "/v1/intents", "List intents, newest first", intents::list)
            .needs(LookAtOwn)
            .query::<intents::Filter>()
            .gives::<view::Intents>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/intents/{id}", "Show an intent: state, timeline, card, log", intents::show)
            .needs(LookAtOwn)
            .waits()
            .gives::<view::IntentShown>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(
            on(&post),
            "/v1/intents/{id}/cancel",
            "Cancel an intent: nothing of it leaves",
            intents::cancel,
        )
        .either(Invoke, CancelAny)
        .gives::<view::IntentShown>(200)
        .refuses(&[Code::UnknownId, Code::AlreadyEnded]),
        Route::new(
            on(&post),
            "/v1/intents/{id}/retry",
            "Submit the same once more, as a new intent",
            intents::retry,
        )
        .needs(Invoke)
        .waits()
        .keyed()
        .gives::<view::Ran>(201)
        .gives::<view::Ran>(200)
        .refuses(&[
            Code::UnknownId,
            Code::UndeclaredAction,
            Code::IdempotencyConflict,
            Code::StillLeaving,
        ]),
        Route::new(
            on(&post),
            "/v1/intents/{id}/resume",
            "Pick up a run that was interrupted",
            intents::resume,
        )
        .either(Invoke, CancelAny)
        .waits()
        .gives::<view::Ran>(200)
        .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/intents/{id}/events", "Follow an intent as it runs", events::follow)
            .needs(LookAtOwn)
            .answers(200, Content::Other("text/event-stream"))
            .answers(204, Content::Empty)
            .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/approvals", "List approvals, newest first", approvals::list)
            .needs(LookAtOwn)
            .query::<approvals::Filter>()
            .gives::<view::Approvals>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/approvals/{id}", "Show what would leave, and its digest", approvals::show)
            .needs(LookAtOwn)
            .gives::<view::Approval>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(
            on(&post),
            "/v1/approvals/{id}/decision",
            "Approve or decline what was shown",
            approvals::decide,
        )
        .needs(Decide)
        .waits()
        .body::<view::Decide>(BODY_BYTES_MAX)
        .gives::<view::Ran>(200)
        .refuses(&[
            Code::UnknownId,
            Code::AlreadyDecided,
            Code::StaleDigest,
            Code::SelfApproval,
            Code::FourEyes,
            Code::CapabilityDenied,
            Code::PolicyForbids,
            Code::AskAgain,
            Code::RequestTooLarge,
        ]),
        Route::new(
            on(&post),
            "/v1/approvals/{id}/edit",
            "Change what would leave, before it is signed",
            approvals::edit,
        )
        .needs(Decide)
        .body::<view::EditApproval>(approvals::EDIT_BYTES_MAX)
        .gives::<view::Changed>(200)
        .refuses(&[
            Code::UnknownId,
            Code::AlreadyDecided,
            Code::StaleDigest,
            Code::Usage,
            Code::InvalidRecipient,
            Code::PolicyForbids,
            Code::RequestTooLarge,
        ]),
        Route::new(
            on(&post),
            "/v1/approvals/{id}/revoke",
            "Take a yes back that has not been used",
            approvals::revoke,
        )
        .needs(Decide)
        .gives::<view::Changed>(200)
        .refuses(&[Code::UnknownId, Code::AlreadyDecided]),
        Route::new(on(&get), "/v1/outbox", "List signed messages, newest first", outbox::list)
            .needs(LookAtOwn)
            .query::<outbox::Filter>()
            .gives::<view::OutboxMessages>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/outbox/{id}", "Show a signed message", outbox::show)
            .needs(LookAtOwn)
            .gives::<view::OutboxMessage>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(
            on(&post),
            "/v1/outbox/{id}/resolve",
            "Say what became of an uncertain message",
            outbox::resolve,
        )
        .needs(Decide)
        .body::<view::Resolve>(BODY_BYTES_MAX)
        .gives::<view::OutboxMessage>(200)
        .refuses(&[
            Code::UnknownId,
            Code::NotUncertain,
            Code::CapabilityDenied,
            Code::PolicyForbids,
            Code::RequestTooLarge,
        ])
        .takes(MAIL_PATIENCE),
        Route::new(on(&post), "/v1/outbox/deliver", "Make the attempts that are due", outbox::deliver)
            .needs(Decide)
            .gives::<view::OutboxMessages>(200)
            .takes(MAIL_PATIENCE),
        Route::new(
            on(&get),
            "/v1/audit/verify",
            "Follow the audit from its first entry to its last",
            audit::verify,
        )
        .needs(Audit)
        .query::<audit::Kept>()
        .gives::<view::Verified>(200)
        .refuses(&[Code::AuditBroken])
        .takes(UPLOAD_PATIENCE),
        Route::new(on(&get), "/v1/audit", "Export the audit, one entry a line", audit::export)
            .needs(Audit)
            .answers(200, Content::Other("application/x-ndjson")),
        Route::new(on(&get), "/v1/mail", "List one's own incoming mail, newest first", outbox::mail)
            .needs(Invoke)
            .query::<outbox::Mailbox>()
            .gives::<view::Messages>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(
            on(&get),
            "/v1/sent",
            "List what has left on one's own behalf, newest first",
            outbox::sent,
        )
        .needs(Invoke)
        .query::<outbox::Letters>()
        .gives::<view::Sent>(200)
        .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/me", "Who the token speaks for", people::me)
            .needs(KeepTokens)
            .gives::<view::Me>(200),
        Route::new(on(&get), "/v1/people", "List everybody who may sign in", people::list)
            .needs(ManagePeople)
            .gives::<view::People>(200),
        Route::new(on(&post), "/v1/people", "Ask somebody in, by a one-time link", people::invite)
            .needs(ManagePeople)
            .body::<view::Invite>(BODY_BYTES_MAX)
            .gives::<view::Invited>(201)
            .refuses(&[Code::RequestTooLarge]),
        Route::new(on(&patch), "/v1/people/{name}", "Give somebody other roles", people::set_roles)
            .needs(ManagePeople)
            .body::<view::SetRoles>(BODY_BYTES_MAX)
            .gives::<view::PersonShown>(200)
            .refuses(&[Code::UnknownId, Code::RequestTooLarge]),
        Route::new(
            on(&delete),
            "/v1/people/{name}",
            "Remove somebody; what was theirs stays",
            people::remove,
        )
        .needs(ManagePeople)
        .gives::<view::Removed>(200)
        .refuses(&[Code::UnknownId]),
        Route::new(
            on(&post),
            "/v1/people/{name}/invitation",
            "Make somebody a new link",
            people::invite_again,
        )
        .needs(ManagePeople)
        .gives::<view::Invited>(200)
        .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/v1/tokens", "List one's own tokens", people::tokens)
            .needs(KeepTokens)
            .gives::<view::Tokens>(200),
        Route::new(on(&post), "/v1/tokens", "Make a token, shown this once", people::make_token)
            .needs(KeepTokens)
            .body::<view::MakeToken>(BODY_BYTES_MAX)
            .gives::<view::TokenMade>(201)
            .refuses(&[Code::Forbidden, Code::RequestTooLarge]),
        Route::new(on(&delete), "/v1/tokens/{id}", "Revoke one of one's own tokens", people::revoke_token)
            .needs(KeepTokens)
            .gives::<view::Removed>(200)
            .refuses(&[Code::UnknownId]),
        Route::new(on(&get), "/healthz", "Whether the server runs", document::healthy)
            .answers(200, Content::Other("text/plain")),
        Route::new(on(&get), "/readyz", "Whether the server takes requests", document::ready)
            .answers(200, Content::Other("text/plain"))
            .refuses(&[Code::ShuttingDown, Code::Busy, Code::HostFault]),
        Route::new(
            on(&get),
            "/metrics",
            "What the host has done since it began, and what has not ended",
            document::metrics,
        )
        .needs(Measure)
        .answers(200, Content::Other(countersign::meters::CONTENT_TYPE)),
        Route::new(on(&get), "/openapi.json", "This document", document::openapi)
            .answers(200, Content::Other("application/json")),
        Route::new(on(&get), "/docs", "This document, for people", document::page)
            .answers(200, Content::Other("text/html")),
        Route::new(on(&get), "/docs/refusals/{code}", "What a code means, and what to do", document::refusal)
            .answers(200, Content::Other("text/html"))
            .refuses(&[Code::UnknownId]),
    ]
}

impl Route {
    fn sends(self, kind: &'static str, most: usize) -> Route {
        Route { body: Some((Content::Other(kind), most)), ..self }
    }

    fn keyed(self) -> Route {
        Route { is_keyed: true, ..self }
    }

    fn takes(self, patience: Duration) -> Route {
        Route { patience, ..self }
    }
}

/// The router of the table: what is guarded is reached with a token alone.
pub fn router(app: &Arc<App>) -> Router<Arc<App>> {
    let (mut guarded, mut open) = (Router::new(), Router::new());
    for route in routes() {
        let place = if route.is_guarded() { &mut guarded } else { &mut open };
        *place = std::mem::take(place).route(route.path, route.handler);
    }
    guarded.route_layer(from_fn_with_state(app.clone(), people::authenticate)).merge(open)
}

/// How long a request may take before it is answered that it took too long.
pub fn patience(method: &Method, path: &str) -> Duration {
    static KNOWN: OnceLock<Vec<(Method, &'static str, Duration)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        routes().into_iter().map(|route| (route.method, route.path, route.patience)).collect()
    });
    if *method == Method::POST && path == "/agents" {
        // The form of the inbox that does the same.
        return UPLOAD_PATIENCE;
    }
    let found = known.iter().find(|(of, at, _)| of == method && *at == path);
    found.map_or(PATIENCE, |(.., patience)| *patience)
}

//! What every request goes through, whatever it asks: it gets an id, its name for us is checked, it is timed and bounded, and a line
//! about it is written.

use super::problems::Refused;
use super::{App, table};
use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use countersign::people::throttle::Left;
use countersign::printable::short;
use countersign::refusals::{Code, Problem};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The longest name of a host that is looked at, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client(pub IpAddr);

/// What becomes known of a request on its way.
#[derive(Default)]
pub struct Trace {
    /// Who asks, as records have it.
    pub who: OnceLock<String>,
    /// How many requests they have left.
    pub left: OnceLock<Left>,
}

/// Puts everything behind the gate.
pub fn behind(router: Router<Arc<App>>, app: Arc<App>) -> Router {
    router
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), gate))
        .with_state(app)
}

async fn no_such_path(headers: HeaderMap, uri: Uri) -> Response {
    let message = format!("there is nothing at {}", short(uri.path(), 100));
    let problem = Problem::new(Code::UnknownId, message);
    // A person reads a page, and a program a document.
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") && !uri.path().starts_with("/v1/") {
        return crate::inbox::gate::told(problem.hint("the menu leads to what there is"));
    }
    Refused::of_http(StatusCode::NOT_FOUND, problem.hint("/docs lists what there is")).into_response()
}

async fn no_such_method(method: Method, uri: Uri) -> Refused {
    let message = format!("{} cannot be done to {}", short(method.as_str(), 20), short(uri.path(), 100));
    let problem = Problem::new(Code::Usage, message).hint("the header Allow lists what can");
    Refused::of_http(StatusCode::METHOD_NOT_ALLOWED, problem)
}

async fn gate(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    // An id of our own: one that comes with the request could be anybody's, or a thousand lines long.
    let id = app.host.clock().id("req_");
    let trace = Arc::new(Trace::default());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let client = client(&app, &request);
    request.extensions_mut().insert(trace.clone());
    request.extensions_mut().insert(client);
    let mut response = match admit(&app, route.as_deref(), &request) {
        Ok(()) => {
            let patience = table::patience(&method, route.as_deref().unwrap_or_default());
            within(patience, caught(next.run(request))).await
        }
        Err(refused) => refused.into_response(),
    };
    if let Some(refused) = response.extensions_mut().remove::<Refused>() {
        app.host.refused(refused.problem.code);
        if refused.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(
                blame = "host",
                request = id,
                "{} [{}]",
                refused.problem.message,
                refused.problem.code
            );
        }
        let kept = std::mem::take(response.headers_mut());
        response = refused.answer(&id);
        if let Some(allow) = kept.get(header::ALLOW) {
            response.headers_mut().insert(header::ALLOW, allow.clone());
        }
    }
    let headers = response.headers_mut();
    headers.insert("x-request-id", ascii(&id));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What is answered is somebody's: nothing on the way may keep it, unless the answer itself says so.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(left) = trace.left.get() {
        headers.insert("ratelimit-limit", HeaderValue::from(left.limit));
        headers.insert("ratelimit-remaining", HeaderValue::from(left.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(left.reset));
    }
    // The route and not the path: an id is nobody's secret, but a link to join is.
    tracing::info!(
        method = %short(method.as_str(), 20),
        route = route.as_deref().unwrap_or("-"),
        status = response.status().as_u16(),
        ms = began.elapsed().as_millis() as u64,
        request = id,
        who = trace.who.get().map_or("-", String::as_str),
        from = %client.0.to_canonical(),
        "answered"
    );
    response
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

/// What can be said about a request before anybody knows what it is about.
fn admit(app: &App, route: Option<&str>, request: &Request) -> Result<(), Refused> {
    // Whoever watches over the server may call it by its address, and learns nothing of it.
    if matches!(route, Some("/healthz" | "/readyz")) {
        return Ok(());
    }
    named(&app.site.names, &app.site.origin, request.version(), request.headers(), request.uri())?;
    if *app.closing.borrow() {
        let problem = Problem::new(Code::ShuttingDown, "the server is going down")
            .hint("try again when it is up; what was accepted goes on then");
        return Err(problem.into());
    }
    Ok(())
}

/// Asks whether the request is for a name of ours. A page of another site whose name has been made to lead here sends that name,
/// and would be believed to be ours by the browser. In HTTP/2 the name is the authority of the address, and `Host` need not be there
/// (RFC 9113, 8.3.1); wherever both are, both must be ours.
fn named(
    names: &[String],
    origin: &str,
    version: Version,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<(), Refused> {
    let authority = uri.authority().map(Authority::as_str);
    let mut hosts = headers.get_all(header::HOST).iter();
    let given = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) if version == Version::HTTP_2 => authority,
        _ => None,
    };
    let Some(host) = given.filter(|host| host.len() <= NAME_BYTES_MAX) else {
        let problem = Problem::new(Code::InvalidParameter, "one header Host is expected");
        return Err(problem.hint(format!("this is {origin}")).into());
    };
    let is_ours = |name: &str| names.contains(&name.to_ascii_lowercase());
    if is_ours(host) && authority.is_none_or(is_ours) {
        return Ok(());
    }
    let problem = Problem::new(Code::ForgedRequest, format!("this is not {}", short(host, 100)))
        .hint(format!("this is {origin}; the operator sets it as `serve.url`"));
    Err(Refused::of_http(StatusCode::MISDIRECTED_REQUEST, problem))
}

/// Who is at the other end. Behind a proxy, that is whom the proxy says it has heard from: the last it has added, and nothing that
/// came with the request.
fn client(app: &App, request: &Request) -> Client {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let forwarded = request.headers().get_all("x-forwarded-for").iter().next_back();
    let forwarded = forwarded.filter(|_| app.site.behind_proxy).and_then(|list| list.to_str().ok());
    let forwarded = forwarded.and_then(|list| list.rsplit(',').next()?.trim().parse().ok());
    Client(forwarded.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}

/// An answer, or that there was none in time.
pub async fn within(patience: Duration, answer: impl Future<Output = Response>) -> Response {
    timeout(patience, answer).await.unwrap_or_else(|_| {
        let message = format!("there was no answer within {} s", patience.as_secs());
        let hint = "it may still be done: look before you ask for it again";
        Refused::from(Problem::new(Code::Busy, message).hint(hint)).into_response()
    })
}

/// An answer, or that the host failed where there is a panic.
async fn caught(answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    let caught = std::future::poll_fn(|context| {
        // Nothing of the request is looked at again behind a panic.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
            Err(_) => Poll::Ready(None),
        }
    });
    caught
        .await
        .unwrap_or_else(|| Refused::from(Problem::new(Code::HostFault, "a request panicked")).into_response())
}

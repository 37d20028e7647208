//! What a request says, read: who asks, of what, with what. All of it is a stranger's until it has been read here.

use super::problems::Refused;
use axum::RequestPartsExt as _;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use countersign::desk::Desk;
use countersign::printable::short;
use countersign::refusals::{Code, Problem};
use countersign::store::{LIST_MAX, Page};
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;
use std::str::FromStr;

/// How many rows a page of a list has where nobody says.
const PAGE: u32 = 100;

/// The most bytes of a request that says little.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The desk of whoever asks.
pub struct At(pub Desk);

impl<S: Sync> FromRequestParts<S> for At {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<At, Refused> {
        // Only `authenticate` puts one there.
        let desk = parts.extensions.get::<Desk>().cloned();
        desk.map(At).ok_or_else(|| Problem::new(Code::Unauthenticated, "nobody is asking").into())
    }
}

/// What the path names.
pub struct Named(pub String);

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Named, Refused> {
        let path = parts.extract::<Path<String>>().await;
        path.map(|Path(id)| Named(id)).map_err(|error| parameter(&error.body_text()).into())
    }
}

/// What stands behind the question mark.
pub struct Asked<Q>(pub Q);

impl<S: Sync, Q: DeserializeOwned> FromRequestParts<S> for Asked<Q> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Asked<Q>, Refused> {
        let query = Query::<Q>::try_from_uri(&parts.uri);
        query.map(|Query(query)| Asked(query)).map_err(|error| parameter(&error.body_text()).into())
    }
}

pub fn parameter(why: &str) -> Problem {
    Problem::new(Code::InvalidParameter, short(why, 200)).hint("/docs shows what can be asked, and how")
}

/// A request body of JSON, at most `MOST` bytes of it.
pub struct Sent<T, const MOST: usize = BODY_BYTES_MAX>(pub T);

impl<S: Sync, T: DeserializeOwned, const MOST: usize> FromRequest<S> for Sent<T, MOST> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Sent<T, MOST>, Refused> {
        is_of(request.headers(), "application/json")?;
        let bytes = read(request, MOST).await?;
        let read = serde_json::from_slice(&bytes);
        read.map(Sent).map_err(|error| parameter(&format!("the body is not as expected: {error}")).into())
    }
}

/// Asks whether a body is of this type. Without its own type, a form of another site could be sent here without a question.
///
/// # Errors
///
/// `INVALID_PARAMETER`, 415.
pub fn is_of(headers: &HeaderMap, expected: &str) -> Result<(), Refused> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let problem = Problem::new(Code::InvalidParameter, format!("a body of {expected} is expected"))
        .hint(format!("send it with the header Content-Type: {expected}"));
    Err(Refused::of_http(StatusCode::UNSUPPORTED_MEDIA_TYPE, problem))
}

/// Reads a body, no further than it may be long.
///
/// # Errors
///
/// `REQUEST_TOO_LARGE`; `INVALID_PARAMETER` where it breaks off.
pub async fn read(request: Request<Body>, most: usize) -> Result<Vec<u8>, Refused> {
    let too_large = || {
        let message = format!("the body has more than {most} bytes");
        Refused::from(Problem::new(Code::RequestTooLarge, message).hint("send less, or in parts"))
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length = length.and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|length| length > most) {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(BODY_BYTES_MAX));
    let mut stream = request.into_body().into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(Code::InvalidParameter, "the body breaks off"))?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Which part of a list.
#[derive(Debug)]
pub struct Part {
    /// Rows behind the one of this id.
    before: Option<String>,
    limit: u32,
}

impl Part {
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for a limit that is none.
    pub fn new(before: Option<String>, limit: Option<u32>) -> Result<Part, Refused> {
        let limit = limit.unwrap_or(PAGE);
        match (1..LIST_MAX).contains(&limit) {
            true => Ok(Part { before, limit }),
            false => Err(parameter(&format!("limit is 1 to {}", LIST_MAX - 1)).into()),
        }
    }

    /// One row more than asked for, by which it is known whether there are more.
    pub fn page(&self) -> Page<'_> {
        Page { before: self.before.as_deref(), limit: self.limit + 1 }
    }

    /// The rows asked for, and the id of the last, where more are behind it.
    pub fn cut<T>(&self, mut rows: Vec<T>, id: impl Fn(&T) -> &str) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit as usize;
        rows.truncate(self.limit as usize);
        let next = rows.last().filter(|_| more).map(|row| id(row).to_owned());
        (rows, next)
    }
}

/// Names with commas between them.
///
/// # Errors
///
/// For one that is none.
pub fn listed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(from: D) -> Result<Vec<T>, D::Error> {
    let text = String::deserialize(from)?;
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| name.parse().map_err(serde::de::Error::custom)).collect()
}

/// How long to wait, in seconds.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Waiting {
    /// How long to wait for the run to come to an end or to a person, 0 to 60 seconds.
    #[schemars(range(min = 0, max = 60))]
    pub wait: u32,
}

impl Waiting {
    /// # Errors
    ///
    /// `INVALID_PARAMETER` beyond [`WAIT_SECONDS_MAX`](super::WAIT_SECONDS_MAX).
    pub fn patience(&self) -> Result<std::time::Duration, Refused> {
        match self.wait <= super::WAIT_SECONDS_MAX {
            true => Ok(std::time::Duration::from_secs(self.wait.into())),
            false => Err(parameter(&format!("wait is 0 to {} seconds", super::WAIT_SECONDS_MAX)).into()),
        }
    }
}

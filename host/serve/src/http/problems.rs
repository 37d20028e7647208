//! What a client is told where it is told no: problem documents as RFC 9457 has them, with our codes.

use crate::view::ProblemDocument;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign::refusals::{Code, Error, Problem};

/// How long a client shall wait before it comes again, where no better time is known, in seconds.
const RETRY_SECONDS: u64 = 1;

/// A no on its way to the client. The gate, which knows the request's id, writes it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// As HTTP says it.
    pub status: StatusCode,
    /// As we say it.
    pub problem: Problem,
    /// In how many seconds the same request may be answered otherwise.
    pub retry_after: Option<u64>,
}

impl Refused {
    /// A no of HTTP itself, whose status says more than our code does: no such path, no such method, another type of body.
    pub fn of_http(status: StatusCode, problem: Problem) -> Refused {
        Refused { status, ..Refused::from(problem) }
    }

    /// The document, for a request of this id.
    pub fn document(&self, request: &str) -> ProblemDocument {
        let code = self.problem.code;
        let told = match self.status {
            // What went wrong inside is for the log alone: it may name paths, and what others do.
            StatusCode::INTERNAL_SERVER_ERROR => {
                Problem::new(code, "the host failed, and has written down why")
                    .hint(format!("ask whoever runs it to look for {request} in its log"))
            }
            _ => self.problem.clone(),
        };
        ProblemDocument {
            kind: format!("/docs/refusals/{code}"),
            title: title(code),
            status: self.status.as_u16(),
            detail: told.message,
            instance: format!("urn:countersign:{request}"),
            code: code.to_string(),
            hint: told.hint.unwrap_or_else(|| format!("`countersign explain {code}` says more")),
        }
    }

    /// The answer, for a request of this id.
    pub fn answer(&self, request: &str) -> Response {
        let mut response = (self.status, Json(self.document(request))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"countersign\""));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Refused {
        let status = status_of(problem.code);
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_SECONDS);
        Refused { status, problem, retry_after }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Problem::from(error).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a code is in HTTP. A new code has to choose.
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::InvalidParameter
        | Code::InvalidRecipient
        | Code::Usage
        | Code::UndeclaredAction
        | Code::DigestRequired => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden
        | Code::SelfApproval
        | Code::FourEyes
        | Code::CapabilityDenied
        | Code::PolicyForbids
        | Code::AskAgain
        | Code::ScopeViolation
        | Code::ForgedRequest => StatusCode::FORBIDDEN,
        Code::UnknownId | Code::ResourceNotFound => StatusCode::NOT_FOUND,
        Code::AlreadyDecided
        | Code::StaleDigest
        | Code::AlreadyEnded
        | Code::NotUncertain
        | Code::StillLeaving
        | Code::AgentInUse
        | Code::AuditBroken => StatusCode::CONFLICT,
        Code::LinkExpired => StatusCode::GONE,
        Code::RequestTooLarge | Code::ComponentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::IdempotencyConflict
        | Code::CoreModule
        | Code::Precompiled
        | Code::MalformedComponent
        | Code::ForeignImport
        | Code::MissingExport
        | Code::UndeclaredImport
        | Code::ManifestMissing
        | Code::ManifestInvalid
        | Code::ManifestDiffers => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        Code::Busy | Code::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        // Faults; and what agents, operators and people at a terminal hear, which no request is answered with.
        Code::ApprovalRequired
        | Code::BackupUnusable
        | Code::ApprovalDenied
        | Code::NetworkError
        | Code::InternalError
        | Code::OutOfFuel
        | Code::OutOfTime
        | Code::OutOfMemory
        | Code::StackOverflow
        | Code::Trapped
        | Code::Exited
        | Code::CallTooLarge
        | Code::TooManyCalls
        | Code::JournalFull
        | Code::InvalidCard
        | Code::ReplayDiverged
        | Code::ServerUnreachable
        | Code::MailboxUnreadable
        | Code::ConfigInvalid
        | Code::StoreUnusable
        | Code::BuildFailed
        | Code::HostFault => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a code means whatever it was said of: the first sentence of its page.
pub fn title(code: Code) -> String {
    let text = code.page().split("\n\n").nth(1).unwrap_or_default().replace('\n', " ");
    let end = text.find(". ").or_else(|| text.rfind('.')).unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn every_code_has_a_title_of_one_sentence() {
        for code in Code::ALL {
            let title = title(*code);
            assert!(title.len() > 10 && !title.contains('\n') && !title.ends_with('.'), "{code}: {title}");
        }
    }

    #[test]
    fn a_fault_tells_the_client_where_to_ask_and_nothing_of_itself() {
        let faults = [
            Refused::from(Error::from(anyhow!("/home/ada/data is full"))),
            Refused::from(
                Problem::new(Code::StoreUnusable, "/home/ada/data is open to others").hint("chmod"),
            ),
        ];
        for refused in faults {
            let told = serde_json::to_string(&refused.document("req_1")).unwrap();
            assert!(told.contains("req_1") && !told.contains("/home") && !told.contains("chmod"), "{told}");
        }
    }

    #[test]
    fn a_problem_that_travelled_as_a_fault_is_still_the_problem() {
        let problem = Problem::new(Code::UnknownId, "nothing has the id x");
        let refused = Refused::from(Error::from(anyhow::Error::from(problem.clone())));
        assert_eq!((refused.status, refused.problem), (StatusCode::NOT_FOUND, problem));
    }
}

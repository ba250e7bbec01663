//! Errors as RFC 9457 problem documents with a stable `code`.

use axum::Json;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::switch::Refusal;

/// What went wrong, for programs (`code`) and people (`detail`).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Words for the status.
    pub title: String,
    /// Stable word for programs.
    pub code: String,
    /// What was wrong and what to do.
    pub detail: String,
    /// All problems of a configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Fault>,
}

/// One problem of a configuration: where, what was found, what was expected, what to do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Fault {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// File, relative to the configuration directory.
    pub file: String,
    /// Line, from 1; 0: the file as a whole.
    pub line: u32,
    /// Column, from 1; 0: the file as a whole.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What was found or expected there; may be empty.
    pub label: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// For a terminal: the same with the line underlined, as `strowger check` prints it.
    pub shown: String,
}

impl Fault {
    pub(super) fn of(problem: &crate::config::Problem) -> Fault {
        Fault {
            severity: match problem.is_error() {
                true => "error",
                false => "warning",
            },
            file: problem.file.to_string(),
            line: problem.line,
            column: problem.column,
            message: problem.message.clone(),
            label: problem.label.clone(),
            help: problem.help.clone(),
            shown: problem.render(false),
        }
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Problem {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            code: code.to_owned(),
            detail: detail.into(),
            problems: Vec::new(),
        }
    }

    pub(super) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// The switch answered something else than was asked: a fault of ours.
    pub(super) fn unexpected() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the switch gave an answer of another kind; please report this",
        )
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status =
            StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Problem::new(status, refusal.code, refusal.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (
            status,
            [(header::CONTENT_TYPE, "application/problem+json")],
            Json(self),
        )
            .into_response()
            .with_problem_type()
    }
}

trait WithProblemType {
    fn with_problem_type(self) -> Self;
}

impl WithProblemType for Response {
    fn with_problem_type(mut self) -> Self {
        self.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/problem+json"),
        );
        self
    }
}

/// A path that nothing serves.
pub(super) async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_route",
        format!(
            "nothing is served at {}; /api/v1/openapi.json lists what is",
            uri.path()
        ),
    )
}

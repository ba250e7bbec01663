//! `Idempotency-Key`: the same change asked for twice is done once, and both get the same answer.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::Mutex;

use super::problem::Problem;

/// Answers kept; the oldest goes first.
const KEPT_MAX: usize = 1024;
/// Longest key.
const KEY_MAX: usize = 128;

struct Answered {
    key: String,
    status: StatusCode,
    kind: Option<header::HeaderValue>,
    body: Bytes,
}

/// Answers to changes that carried a key.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<VecDeque<Answered>>>);

/// Runs a change with a key at most once. Two with the same key at the same time wait for one another.
pub(super) async fn once(State(kept): State<Kept>, request: Request, next: Next) -> Response {
    let change = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::DELETE
    );
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok());
    let Some(key) = key.filter(|_| change) else {
        return next.run(request).await;
    };
    if key.is_empty() || key.len() > KEY_MAX {
        return Problem::bad_request(
            "bad_idempotency_key",
            format!("an Idempotency-Key has 1 to {KEY_MAX} characters"),
        )
        .into_response();
    }
    let key = format!("{} {} {key}", request.method(), request.uri().path());
    let mut list = kept.0.lock().await;
    if let Some(answered) = list.iter().find(|answered| answered.key == key) {
        let mut response = (answered.status, answered.body.clone()).into_response();
        if let Some(kind) = &answered.kind {
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, kind.clone());
        }
        return response;
    }
    let (parts, body) = next.run(request).await.into_parts();
    let Ok(body) = to_bytes(body, 1 << 20).await else {
        return Problem::unexpected().into_response();
    };
    if !parts.status.is_server_error() {
        list.push_back(Answered {
            key,
            status: parts.status,
            kind: parts.headers.get(header::CONTENT_TYPE).cloned(),
            body: body.clone(),
        });
        if list.len() > KEPT_MAX {
            list.pop_front();
        }
    }
    Response::from_parts(parts, Body::from(body))
}

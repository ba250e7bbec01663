//! `/healthz`, `/readyz` and `/metrics`: for machines that watch, without a token.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::io::handle::Handle;

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

/// The process answers, and so does its switch.
async fn healthz(State(handle): State<Handle>) -> Response {
    match handle.status().await {
        Some(_) => (StatusCode::OK, "ok\n").into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the switch does not answer\n",
        )
            .into_response(),
    }
}

/// New calls are taken.
async fn readyz(State(handle): State<Handle>) -> Response {
    match handle.status().await {
        Some(status) if status.state == "ready" => (StatusCode::OK, "ready\n").into_response(),
        Some(status) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", status.state),
        )
            .into_response(),
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the switch does not answer\n",
        )
            .into_response(),
    }
}

/// Prometheus text.
async fn metrics(State(handle): State<Handle>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        handle.metrics().await,
    )
        .into_response()
}

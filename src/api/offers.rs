//! Agent offers: what an agent, or a program for it, does with one that rings.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::calls::{body, ulid};
use super::problem::Problem;
use crate::io::handle::Handle;
use crate::switch::Command;

/// A decline.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclineOrder {
    /// Why; a queue may demand it, and say which reasons it takes.
    #[schema(value_type = Option<String>, example = "break")]
    reason: Option<Arc<str>>,
}

/// Declines an agent offer: the devices stop ringing and the work item goes on from its place. Declining twice is declining once.
#[utoipa::path(post, path = "/offers/{id}/decline", params(("id" = String, Path)), request_body = DeclineOrder,
    responses((status = 204), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn decline(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    order: Result<Json<DeclineOrder>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let DeclineOrder { reason } = body(order)?;
    let offer = ulid(&id)?;
    handle.call(Command::Decline { offer, reason }).await?;
    Ok(StatusCode::NO_CONTENT)
}

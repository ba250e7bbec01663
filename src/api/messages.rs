//! Waiting messages: a voicemail system says how many there are, the lamps of the telephones follow.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::io::handle::Handle;
use crate::switch::Command;

/// What waits in a voicemail box.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    /// Messages not heard yet.
    new: u32,
    /// Messages heard and kept.
    old: u32,
}

/// Sets what waits for an extension; its devices are told (RFC 3842).
#[utoipa::path(put, path = "/extensions/{extension}/messages", params(("extension" = String, Path)), request_body = Waiting,
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn set(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
    order: Result<Json<Waiting>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    let Waiting { new, old } = super::calls::body(order)?;
    let extension: Arc<str> = Arc::from(extension);
    let command = Command::SetMessages {
        extension,
        new,
        old,
    };
    handle.call(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

//! Callbacks: promised, with their places, and taken back.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::calls::{body, ulid};
use super::page::{Page, Paging};
use super::problem::Problem;
use crate::acd::WorkItemView;
use crate::io::handle::Handle;
use crate::switch::{Answer, Command};

/// All callbacks that are not over, each with its place; those that wait for another try have none.
#[utoipa::path(get, path = "/callbacks", params(Paging), responses((status = 200, body = Page<WorkItemView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<WorkItemView>>, Problem> {
    match handle.call(Command::Callbacks).await? {
        Answer::Work(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// Who wants to be called back, and by whom.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CallbackOrder {
    /// The queue whose agents call back.
    #[schema(value_type = String, example = "support")]
    queue: Arc<str>,
    /// Whom to call.
    #[schema(value_type = String, example = "+442071838750")]
    number: Arc<str>,
    /// The customer's name.
    #[schema(value_type = Option<String>, example = "Ada Byron")]
    name: Option<Arc<str>>,
    /// The agent who is to call; anybody of the queue if there is none.
    #[schema(value_type = Option<String>, example = "1003")]
    agent: Option<Arc<str>>,
}

/// Asks for a callback. A number has one in a queue: when it has it already, the answer is 200 with the first one and its place.
#[utoipa::path(post, path = "/callbacks", request_body = CallbackOrder,
    responses((status = 201, body = WorkItemView), (status = 200, body = WorkItemView), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn request(
    State(handle): State<Handle>,
    order: Result<Json<CallbackOrder>, JsonRejection>,
) -> Result<(StatusCode, Json<WorkItemView>), Problem> {
    let CallbackOrder {
        queue,
        number,
        name,
        agent,
    } = body(order)?;
    let command = Command::RequestCallback {
        queue,
        number,
        name,
        agent,
    };
    match handle.call(command).await? {
        Answer::Callback(made) => {
            let status = match made.promised {
                true => StatusCode::CREATED,
                false => StatusCode::OK,
            };
            Ok((status, Json(made.item)))
        }
        _ => Err(Problem::unexpected()),
    }
}

/// Takes a callback back, also while an agent is rung for it.
#[utoipa::path(delete, path = "/callbacks/{id}", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    handle
        .call(Command::CancelCallback { id: ulid(&id)? })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

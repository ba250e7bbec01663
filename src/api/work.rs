//! Work items: where they are, how they came there, and why.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::calls::{body, ulid};
use super::page::{Page, Paging};
use super::problem::Problem;
use crate::acd::{Decision, Priority, WorkItemView};
use crate::base::Duration;
use crate::io::handle::Handle;
use crate::switch::{Answer, Command, WorkDetail};

/// All open work items.
#[utoipa::path(get, path = "/work", params(Paging), responses((status = 200, body = Page<WorkItemView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<WorkItemView>>, Problem> {
    match handle.call(Command::Work).await? {
        Answer::Work(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

async fn detail(handle: &Handle, id: &str) -> Result<WorkDetail, Problem> {
    match handle.call(Command::WorkItem { id: ulid(id)? }).await? {
        Answer::WorkItem(item) => Ok(*item),
        _ => Err(Problem::unexpected()),
    }
}

/// One work item with its journey and the last decisions about it; also for a while after it has ended. The id may be that of its call.
#[utoipa::path(get, path = "/work/{id}", params(("id" = String, Path)),
    responses((status = 200, body = WorkDetail), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Json<WorkDetail>, Problem> {
    detail(&handle, &id).await.map(Json)
}

/// Where a waiting work item is to go.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum To {
    /// Before everybody who waits in its queue.
    Front,
    /// Into this strict class, 0 to 9.
    Class(u8),
    /// Ahead by so many seconds in all.
    CreditSeconds(u32),
}

/// Another place for a waiting work item.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriorityOrder {
    /// `"front"`, `{ "class": 4 }` or `{ "credit-seconds": 60 }`.
    to: To,
    /// Who asks for it: the event says so. Default: `api`.
    #[schema(value_type = Option<String>)]
    by: Option<Arc<str>>,
}

/// Gives a waiting work item another place; the event `rekeyed` says by whom and by how much.
#[utoipa::path(put, path = "/work/{id}/priority", params(("id" = String, Path)), request_body = PriorityOrder,
    responses((status = 200, body = WorkDetail), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn priority(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    order: Result<Json<PriorityOrder>, JsonRejection>,
) -> Result<Json<WorkDetail>, Problem> {
    let order = body(order)?;
    let command = Command::Prioritise {
        id: ulid(&id)?,
        to: match order.to {
            To::Front => Priority::Front,
            To::Class(class) => Priority::Class(class.min(9)),
            To::CreditSeconds(secs) => Priority::Credit(Duration::from_secs(secs.into())),
        },
        by: order.by.unwrap_or_else(|| "api".into()),
    };
    match handle.call(command).await? {
        Answer::WorkItem(item) => Ok(Json(*item)),
        _ => Err(Problem::unexpected()),
    }
}

/// What came of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DispositionOrder {
    /// One of the codes of its queue; any, if the queue has none.
    #[schema(value_type = String, example = "solved")]
    code: Arc<str>,
}

/// Says what came of a work item that an agent talks about or wraps up.
#[utoipa::path(put, path = "/work/{id}/disposition", params(("id" = String, Path)), request_body = DispositionOrder,
    responses((status = 200, body = WorkDetail), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn disposition(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    order: Result<Json<DispositionOrder>, JsonRejection>,
) -> Result<Json<WorkDetail>, Problem> {
    let code = body(order)?.code;
    match handle
        .call(Command::Dispose {
            id: ulid(&id)?,
            code,
        })
        .await?
    {
        Answer::WorkItem(item) => Ok(Json(*item)),
        _ => Err(Problem::unexpected()),
    }
}

/// Why the item is where it is.
#[utoipa::path(get, path = "/work/{id}/why", params(("id" = String, Path)),
    responses((status = 200, body = Vec<Decision>), (status = 404, body = Problem)))]
pub(super) async fn why(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Json<Vec<Decision>>, Problem> {
    Ok(Json(detail(&handle, &id).await?.why))
}

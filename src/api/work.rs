//! Work items: where they are, how they came there, and why.

use axum::Json;
use axum::extract::{Path, Query, State};

use super::calls::ulid;
use super::page::{Page, Paging};
use super::problem::Problem;
use crate::acd::{Decision, WorkItemView};
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

/// One work item with its journey and the last decisions about it; also for a while after it has ended.
#[utoipa::path(get, path = "/work/{id}", params(("id" = String, Path)),
    responses((status = 200, body = WorkDetail), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Json<WorkDetail>, Problem> {
    detail(&handle, &id).await.map(Json)
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

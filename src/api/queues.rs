//! Queues with their figures and who waits in them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};

use super::page::{Page, Paging};
use super::problem::Problem;
use crate::acd::QueueView;
use crate::io::handle::Handle;
use crate::switch::{Answer, Command, QueueDetail};

/// All queues.
#[utoipa::path(get, path = "/queues", params(Paging), responses((status = 200, body = Page<QueueView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<QueueView>>, Problem> {
    match handle.call(Command::Queues).await? {
        Answer::Queues(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// One queue and its waiting items in the order in which they will be served.
#[utoipa::path(get, path = "/queues/{name}", params(("name" = String, Path)),
    responses((status = 200, body = QueueDetail), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(handle): State<Handle>,
    Path(name): Path<String>,
) -> Result<Json<QueueDetail>, Problem> {
    let name = Arc::from(name);
    match handle.call(Command::Queue { name }).await? {
        Answer::Queue(queue) => Ok(Json(*queue)),
        _ => Err(Problem::unexpected()),
    }
}

//! Bans: who is shut out, and the operator's own.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::calls::body;
use super::page::{Page, Paging};
use super::problem::Problem;
use crate::base::Network;
use crate::io::handle::Handle;
use crate::switch::{Answer, BanView, Command};

/// How long a ban lasts when nothing is said: a day.
const SECONDS: u64 = 86_400;

/// Sources that are banned now. Nothing that comes from them is answered.
#[utoipa::path(get, path = "/bans", params(Paging), responses((status = 200, body = Page<BanView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<BanView>>, Problem> {
    match handle.call(Command::Bans).await? {
        Answer::Bans(bans) => Ok(Json(paging.of(bans)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// A source to be banned.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBan {
    /// Its address, of which the whole /64 is banned with IPv6, or a range.
    #[schema(example = "192.0.2.0/24")]
    source: String,
    /// For how long; a day when it is absent. At most ten years.
    seconds: Option<u64>,
    /// Also when that bans loopback or an address of this server.
    #[serde(default)]
    force: bool,
}

fn network(text: &str) -> Result<Network, Problem> {
    text.parse()
        .map_err(|why: String| Problem::bad_request("bad_source", why))
}

/// Bans a source or a range until the time is over, the ban is lifted or the server restarts. Loopback and the server's own addresses
/// are refused (409 `own_address`) unless it is forced.
#[utoipa::path(post, path = "/bans", request_body = NewBan,
    responses((status = 201, body = BanView), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn begin(
    State(handle): State<Handle>,
    order: Result<Json<NewBan>, JsonRejection>,
) -> Result<(StatusCode, Json<BanView>), Problem> {
    let order = body(order)?;
    let command = Command::Ban {
        source: network(&order.source)?,
        seconds: order.seconds.unwrap_or(SECONDS),
        force: order.force,
    };
    match handle.call(command).await? {
        Answer::Bans(bans) => match bans.into_iter().next() {
            Some(ban) => Ok((StatusCode::CREATED, Json(ban))),
            None => Err(Problem::unexpected()),
        },
        _ => Err(Problem::unexpected()),
    }
}

/// Ends a ban.
#[utoipa::path(delete, path = "/bans/{source}", params(("source" = String, Path)),
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn end(
    State(handle): State<Handle>,
    Path(source): Path<String>,
) -> Result<StatusCode, Problem> {
    let source = network(&source)?;
    handle.call(Command::LiftBan { source }).await?;
    Ok(StatusCode::NO_CONTENT)
}

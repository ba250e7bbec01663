//! The server itself: status, registrations, trunks, reload, drain.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{Page, Paging};
use super::problem::{Fault, Problem};
use crate::io::handle::Handle;
use crate::switch::{Answer, Command, RegistrationView, StatusView, TrunkView};

/// The server as a whole.
#[utoipa::path(get, path = "/status", responses((status = 200, body = StatusView), (status = 401, body = Problem)))]
pub(super) async fn status(State(handle): State<Handle>) -> Result<Json<StatusView>, Problem> {
    match handle.call(Command::Status).await? {
        Answer::Status(status) => Ok(Json(*status)),
        _ => Err(Problem::unexpected()),
    }
}

/// All registered devices.
#[utoipa::path(get, path = "/registrations", params(Paging), responses((status = 200, body = Page<RegistrationView>)))]
pub(super) async fn registrations(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<RegistrationView>>, Problem> {
    match handle.call(Command::Registrations).await? {
        Answer::Registrations(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// Which devices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Devices {
    /// `user@domain`, or the extension alone.
    #[param(value_type = String, example = "1001")]
    aor: Arc<str>,
    /// The contact of one device, as in the list; all devices without it.
    #[param(value_type = Option<String>)]
    contact: Option<Arc<str>>,
}

/// Removes a device, or all devices, of an address of record, and gives those that are gone. The device is not told; who watches the
/// registration is (`deactivated`), so that a good device registers anew.
#[utoipa::path(delete, path = "/registrations", params(Devices),
    responses((status = 200, body = Page<RegistrationView>), (status = 404, body = Problem)))]
pub(super) async fn drop_devices(
    State(handle): State<Handle>,
    Query(which): Query<Devices>,
) -> Result<Json<Page<RegistrationView>>, Problem> {
    let command = Command::DropDevice {
        aor: which.aor,
        contact: which.contact,
    };
    match handle.call(command).await? {
        Answer::Registrations(items) => Ok(Json(Page { items, next: None })),
        _ => Err(Problem::unexpected()),
    }
}

/// Registers a trunk now, whatever it waits for. What comes of it is in `GET /trunks` and the events.
#[utoipa::path(post, path = "/trunks/{name}/register", params(("name" = String, Path)),
    responses((status = 202, body = TrunkView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn register_trunk(
    State(handle): State<Handle>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<TrunkView>), Problem> {
    let name = Arc::from(name);
    match handle.call(Command::RegisterTrunk { name }).await? {
        Answer::Trunks(trunks) => match trunks.into_iter().next() {
            Some(trunk) => Ok((StatusCode::ACCEPTED, Json(trunk))),
            None => Err(Problem::unexpected()),
        },
        _ => Err(Problem::unexpected()),
    }
}

/// All trunks with their health and channels in use.
#[utoipa::path(get, path = "/trunks", params(Paging), responses((status = 200, body = Page<TrunkView>)))]
pub(super) async fn trunks(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<TrunkView>>, Problem> {
    match handle.call(Command::Trunks).await? {
        Answer::Trunks(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// What a reload changed.
#[derive(Serialize, ToSchema)]
pub(super) struct ReloadAnswer {
    /// What differs from before, object by object, and whether it takes a restart.
    changes: Vec<String>,
    /// Listening addresses that were opened.
    opened: Vec<String>,
    /// Listening addresses that were closed.
    closed: Vec<String>,
    /// What is legal but surely wrong.
    warnings: Vec<Fault>,
}

/// Reads the files again and applies the difference; a wrong file changes nothing.
#[utoipa::path(post, path = "/reload", responses((status = 200, body = ReloadAnswer), (status = 422, body = Problem)))]
pub(super) async fn reload(State(handle): State<Handle>) -> Result<Json<ReloadAnswer>, Problem> {
    match handle.reload().await {
        Ok(reloaded) => Ok(Json(ReloadAnswer {
            changes: reloaded.changes.iter().map(ToString::to_string).collect(),
            opened: reloaded.opened,
            closed: reloaded.closed,
            warnings: reloaded.warnings.iter().map(Fault::of).collect(),
        })),
        Err(problems) => Err(Problem {
            problems: problems.iter().map(Fault::of).collect(),
            ..Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "bad_configuration",
                "the configuration has errors; nothing was changed",
            )
        }),
    }
}

/// No new calls from now on; running calls finish.
#[utoipa::path(post, path = "/drain", responses((status = 200, body = StatusView)))]
pub(super) async fn drain(State(handle): State<Handle>) -> Result<Json<StatusView>, Problem> {
    match handle.call(Command::Drain).await? {
        Answer::Status(status) => Ok(Json(*status)),
        _ => Err(Problem::unexpected()),
    }
}

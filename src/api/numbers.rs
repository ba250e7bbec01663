//! Lists of numbers, and what the gates would say of one.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::calls::body;
use super::page::{Page, Paging};
use super::problem::Problem;
use crate::base::WallTime;
use crate::event::GateRecord;
use crate::io::handle::Handle;
use crate::io::numbers::{self, ImportFailure};
use crate::outbound::{EntryView, ListKind, ListView};
use crate::switch::{Answer, Command, NumbersAnswer, NumbersOrder};

async fn one_list(handle: &Handle, order: NumbersOrder) -> Result<Json<ListView>, Problem> {
    match handle.call(Command::Numbers(order)).await? {
        Answer::Numbers(NumbersAnswer::List(list)) => Ok(Json(*list)),
        _ => Err(Problem::unexpected()),
    }
}

/// All lists of numbers: do-not-call, black and white, the company's and people's own.
#[utoipa::path(get, path = "/numbers-lists", params(Paging), responses((status = 200, body = Page<ListView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<ListView>>, Problem> {
    match handle.call(Command::Numbers(NumbersOrder::Lists)).await? {
        Answer::Numbers(NumbersAnswer::Lists(lists)) => Ok(Json(paging.of(lists)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// One list.
#[utoipa::path(get, path = "/numbers-lists/{name}", params(("name" = String, Path)),
    responses((status = 200, body = ListView), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(handle): State<Handle>,
    Path(name): Path<Arc<str>>,
) -> Result<Json<ListView>, Problem> {
    one_list(&handle, NumbersOrder::List { name }).await
}

/// What a list is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListOrder {
    /// What being on it means.
    kind: ListKind,
    /// The extension whose own it is, of a black or white list; the company's without.
    #[schema(value_type = Option<String>, example = "1001")]
    owner: Option<Arc<str>>,
}

/// Makes a list. One that is there as it is wanted stays as it is.
#[utoipa::path(put, path = "/numbers-lists/{name}", params(("name" = String, Path)), request_body = ListOrder,
    responses((status = 200, body = ListView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn make(
    State(handle): State<Handle>,
    Path(name): Path<Arc<str>>,
    order: Result<Json<ListOrder>, JsonRejection>,
) -> Result<Json<ListView>, Problem> {
    let ListOrder { kind, owner } = body(order)?;
    one_list(&handle, NumbersOrder::Make { name, kind, owner }).await
}

/// Takes a list away with all that is on it; one that the files define is removed there.
#[utoipa::path(delete, path = "/numbers-lists/{name}", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn remove(
    State(handle): State<Handle>,
    Path(name): Path<Arc<str>>,
) -> Result<StatusCode, Problem> {
    let order = NumbersOrder::Remove { name };
    handle.call(Command::Numbers(order)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was put on a list one by one; not what stands in files and imports.
#[utoipa::path(get, path = "/numbers-lists/{name}/numbers", params(("name" = String, Path), Paging),
    responses((status = 200, body = Page<EntryView>), (status = 404, body = Problem)))]
pub(super) async fn entries(
    State(handle): State<Handle>,
    Path(name): Path<Arc<str>>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<EntryView>>, Problem> {
    let order = NumbersOrder::Entries { name };
    match handle.call(Command::Numbers(order)).await? {
        Answer::Numbers(NumbersAnswer::Entries(entries)) => Ok(Json(paging.of(entries)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// Why a number is put on a list, and for how long.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EntryOrder {
    /// It ends then.
    #[schema(value_type = Option<String>, example = "2027-01-01T00:00:00Z")]
    until: Option<WallTime>,
    /// Why.
    #[schema(value_type = Option<String>, example = "asked us to stop")]
    note: Option<Arc<str>>,
    /// Who does it.
    #[schema(value_type = Option<String>, example = "1001")]
    by: Option<Arc<str>>,
}

/// Puts a number on a list: `+442071838750`, or `+44900*` for all that begin so. What was said of it before is replaced.
#[utoipa::path(put, path = "/numbers-lists/{name}/numbers/{number}",
    params(("name" = String, Path), ("number" = String, Path)), request_body = EntryOrder,
    responses((status = 200, body = ListView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn add(
    State(handle): State<Handle>,
    Path((name, number)): Path<(Arc<str>, Arc<str>)>,
    order: Result<Json<EntryOrder>, JsonRejection>,
) -> Result<Json<ListView>, Problem> {
    let EntryOrder { until, note, by } = body(order)?;
    let order = NumbersOrder::Add {
        name,
        number,
        until,
        note,
        by,
    };
    one_list(&handle, order).await
}

/// Takes a number from a list.
#[utoipa::path(delete, path = "/numbers-lists/{name}/numbers/{number}",
    params(("name" = String, Path), ("number" = String, Path)),
    responses((status = 200, body = ListView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn take(
    State(handle): State<Handle>,
    Path((name, number)): Path<(Arc<str>, Arc<str>)>,
) -> Result<Json<ListView>, Problem> {
    one_list(&handle, NumbersOrder::Take { name, number }).await
}

/// Puts the numbers of a text in the place of those that were imported before: one a line, or in the first column of a CSV. Nothing changes when
/// a line is wrong. Millions are fine.
#[utoipa::path(post, path = "/numbers-lists/{name}/import", params(("name" = String, Path)),
    request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = ListView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn import(
    State(handle): State<Handle>,
    Path(name): Path<Arc<str>>,
    text: Bytes,
) -> Result<Json<ListView>, Problem> {
    let wrong =
        |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_numbers", detail);
    let imported = numbers::import(&handle, name, text.into()).await;
    imported.map(Json).map_err(|failure| match failure {
        ImportFailure::Line(line) => wrong(format!("{line}; nothing was imported")),
        ImportFailure::NotText => wrong("this is not text in UTF-8".to_owned()),
        ImportFailure::Disk(error) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "disk",
            format!("the numbers cannot be kept: {error}"),
        ),
        ImportFailure::Refused(refusal) => refusal.into(),
    })
}

/// Of which number to ask.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Whom to call.
    #[param(value_type = String, example = "+442071838750")]
    number: Arc<str>,
    /// The extension that would call.
    #[param(value_type = Option<String>, example = "1001")]
    from: Option<Arc<str>>,
}

/// What the gates would say now if a program ordered the call, as far as that is known before it is made: no trunk is asked for a channel, and
/// the presented number and a PIN are looked at when the call leaves. Nothing is dialled or counted.
#[utoipa::path(get, path = "/gates", params(Asked), responses((status = 200, body = GateRecord), (status = 404, body = Problem)))]
pub(super) async fn gates(
    State(handle): State<Handle>,
    Query(Asked { number, from }): Query<Asked>,
) -> Result<Json<GateRecord>, Problem> {
    let order = NumbersOrder::Ask { number, from };
    match handle.call(Command::Numbers(order)).await? {
        Answer::Numbers(NumbersAnswer::Gates(record)) => Ok(Json(*record)),
        _ => Err(Problem::unexpected()),
    }
}

//! Calls: those that are up, those that were, and orders to them.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::page::{Page, Paging};
use super::problem::Problem;
use crate::base::{Ulid, WallTime};
use crate::event::CallRecord;
use crate::io::handle::Handle;
use crate::io::trace::ladder::Ladder;
use crate::switch::{Answer, CallView, Command};

pub(super) fn ulid(text: &str) -> Result<Ulid, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request(
            "bad_id",
            format!("`{text}` is no id: 26 characters as in 01J9Z3…"),
        )
    })
}

/// What an order carries.
pub(super) fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    body.map(|Json(body)| body)
        .map_err(|rejection| Problem::new(rejection.status(), "bad_body", rejection.body_text()))
}

/// All live calls.
#[utoipa::path(get, path = "/calls", params(Paging), responses((status = 200, body = Page<CallView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<CallView>>, Problem> {
    match handle.call(Command::Calls).await? {
        Answer::Calls(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

/// A call to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Originate {
    /// The extension that calls: its devices ring first.
    #[schema(value_type = String, example = "1001")]
    from: Arc<str>,
    /// What it would have dialled.
    #[schema(value_type = String, example = "1002")]
    to: Arc<str>,
}

/// Rings the caller's devices; when one answers, calls the other end.
#[utoipa::path(post, path = "/calls", request_body = Originate,
    responses((status = 201, body = CallView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn originate(
    State(handle): State<Handle>,
    order: Result<Json<Originate>, JsonRejection>,
) -> Result<(StatusCode, Json<CallView>), Problem> {
    let order = body(order)?;
    let command = Command::Originate {
        from: order.from,
        to: order.to,
    };
    match handle.call(command).await? {
        Answer::Call(call) => Ok((StatusCode::CREATED, Json(*call))),
        _ => Err(Problem::unexpected()),
    }
}

/// One live call.
#[utoipa::path(get, path = "/calls/{id}", params(("id" = String, Path)),
    responses((status = 200, body = CallView), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Json<CallView>, Problem> {
    match handle.call(Command::Call { id: ulid(&id)? }).await? {
        Answer::Call(call) => Ok(Json(*call)),
        _ => Err(Problem::unexpected()),
    }
}

/// Ends a call.
#[utoipa::path(post, path = "/calls/{id}/hangup", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn hangup(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    handle.call(Command::Hangup { id: ulid(&id)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A transfer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Transfer {
    /// The extension that transfers: it must be in the call.
    #[schema(value_type = String, example = "1001")]
    by: Arc<str>,
    /// What it would have dialled.
    #[schema(value_type = String, example = "1003")]
    to: Arc<str>,
}

/// Transfers the other party of a call, as the phone of an extension in it would.
#[utoipa::path(post, path = "/calls/{id}/transfer", params(("id" = String, Path)), request_body = Transfer,
    responses((status = 202, body = CallView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn transfer(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    order: Result<Json<Transfer>, JsonRejection>,
) -> Result<(StatusCode, Json<CallView>), Problem> {
    let order = body(order)?;
    let command = Command::Transfer {
        id: ulid(&id)?,
        by: order.by,
        to: order.to,
    };
    match handle.call(command).await? {
        Answer::Call(call) => Ok((StatusCode::ACCEPTED, Json(*call))),
        _ => Err(Problem::unexpected()),
    }
}

/// Who holds, or takes back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Holder {
    /// The extension that does so: it must be in the call.
    #[schema(value_type = String, example = "1001")]
    by: Arc<str>,
}

async fn hold_or_resume(
    handle: &Handle,
    id: &str,
    order: Result<Json<Holder>, JsonRejection>,
    hold: bool,
) -> Result<Json<CallView>, Problem> {
    let by = body(order)?.by;
    let command = Command::Hold {
        id: ulid(id)?,
        by,
        hold,
    };
    match handle.call(command).await? {
        Answer::Call(call) => Ok(Json(*call)),
        _ => Err(Problem::unexpected()),
    }
}

/// Puts the other party of a call on hold: it hears music, and the extension is not heard. Its phone is not asked and shows nothing.
#[utoipa::path(post, path = "/calls/{id}/hold", params(("id" = String, Path)), request_body = Holder,
    responses((status = 200, body = CallView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn hold(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    order: Result<Json<Holder>, JsonRejection>,
) -> Result<Json<CallView>, Problem> {
    hold_or_resume(&handle, &id, order, true).await
}

/// Takes a party back that was put on hold by an order. A hold of the phone itself is the phone's to end.
#[utoipa::path(post, path = "/calls/{id}/resume", params(("id" = String, Path)), request_body = Holder,
    responses((status = 200, body = CallView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn resume(
    State(handle): State<Handle>,
    Path(id): Path<String>,
    order: Result<Json<Holder>, JsonRejection>,
) -> Result<Json<CallView>, Problem> {
    hold_or_resume(&handle, &id, order, false).await
}

/// The ladder of a call: messages, audio and what the server did, also after the call's end as long as it is in memory.
#[utoipa::path(get, path = "/calls/{id}/ladder", params(("id" = String, Path)),
    responses((status = 200, body = Ladder), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn ladder(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Json<Ladder>, Problem> {
    Ok(Json(handle.ladder(ulid(&id)?).await?))
}

/// The messages of a call as a capture file for tcpdump and the like.
#[utoipa::path(get, path = "/calls/{id}/pcap", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.tcpdump.pcap"), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn pcap(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let file = handle.pcap(ulid(&id)?).await?;
    let kind = [(header::CONTENT_TYPE, "application/vnd.tcpdump.pcap")];
    Ok((kind, file))
}

fn parsed(json: &str) -> Result<CallRecord, Problem> {
    serde_json::from_str(json).map_err(|_| Problem::unexpected())
}

/// Which records.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Since {
    /// Of calls that began at this time or later (RFC 3339); all without it.
    #[param(value_type = Option<String>, example = "2026-11-20T10:00:00Z")]
    since: Option<String>,
}

/// Records of calls that are over, newest first. They are kept for ever; a call of which a restart ended the memory is closed in them
/// at the last sign of life, marked `recovered`.
#[utoipa::path(get, path = "/records", params(Paging, Since),
    responses((status = 200, body = Page<CallRecord>), (status = 400, body = Problem)))]
pub(super) async fn records(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
    Query(since): Query<Since>,
) -> Result<Json<Page<CallRecord>>, Problem> {
    let limit = paging.limit();
    let since = match &since.since {
        None => None,
        Some(text) => {
            let at: jiff::Timestamp = text.parse().map_err(|_| {
                let detail = format!("`{text}` is no time: write it as 2026-11-20T10:00:00Z");
                Problem::bad_request("bad_since", detail)
            })?;
            Some(WallTime::from_timestamp(at))
        }
    };
    let rows = handle
        .call_records(paging.cursor.clone(), since, limit)
        .await?;
    let next = (rows.len() == limit)
        .then(|| rows.last().map(|(id, _)| id.clone()))
        .flatten();
    let items = rows
        .iter()
        .map(|(_, json)| parsed(json))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Json(Page { items, next }))
}

/// The record of one call that is over.
#[utoipa::path(get, path = "/records/{id}", params(("id" = String, Path)),
    responses((status = 200, body = CallRecord), (status = 404, body = Problem)))]
pub(super) async fn record(
    State(handle): State<Handle>,
    Path(id): Path<String>,
) -> Result<Json<CallRecord>, Problem> {
    let id = ulid(&id)?.to_string();
    match handle.call_record(id.clone()).await? {
        Some(json) => Ok(Json(parsed(&json)?)),
        None => Err(crate::switch::Refusal::not_found("record of a call", &id).into()),
    }
}

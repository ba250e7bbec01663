//! Agents: what they do, and what they or a supervisor order.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::calls::body;
use super::page::{Page, Paging};
use super::problem::Problem;
use crate::acd::{AgentView, Decision};
use crate::io::handle::Handle;
use crate::switch::{Answer, Command, RegistrationView};

/// All agents.
#[utoipa::path(get, path = "/agents", params(Paging), responses((status = 200, body = Page<AgentView>)))]
pub(super) async fn list(
    State(handle): State<Handle>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<AgentView>>, Problem> {
    match handle.call(Command::Agents).await? {
        Answer::Agents(list) => Ok(Json(paging.of(list)?)),
        _ => Err(Problem::unexpected()),
    }
}

async fn agent(handle: &Handle, command: Command) -> Result<Json<AgentView>, Problem> {
    match handle.call(command).await? {
        Answer::Agent(agent) => Ok(Json(*agent)),
        _ => Err(Problem::unexpected()),
    }
}

/// One agent.
#[utoipa::path(get, path = "/agents/{extension}", params(("extension" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
) -> Result<Json<AgentView>, Problem> {
    let extension = Arc::from(extension);
    agent(&handle, Command::Agent { extension }).await
}

/// `in` or `out`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Session {
    /// Log in; the agent is not ready yet.
    In,
    /// Log out, when the work in hand is done.
    Out,
}

/// A log-in or log-out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionOrder {
    /// `in` or `out`.
    #[serde(alias = "state")]
    session: Session,
}

/// Logs an agent in or out. After log-in the agent is not ready.
#[utoipa::path(put, path = "/agents/{extension}/session", params(("extension" = String, Path)), request_body = SessionOrder,
    responses((status = 200, body = AgentView), (status = 404, body = Problem)))]
pub(super) async fn session(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
    order: Result<Json<SessionOrder>, JsonRejection>,
) -> Result<Json<AgentView>, Problem> {
    let order = body(order)?;
    let command = Command::AgentSession {
        extension: Arc::from(extension),
        logged_in: order.session == Session::In,
    };
    agent(&handle, command).await
}

/// `ready` or `not-ready`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Readiness {
    /// Takes work.
    Ready,
    /// Takes none.
    #[serde(alias = "not_ready")]
    NotReady,
}

/// What the agent wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusOrder {
    /// `ready` or `not-ready`.
    #[serde(alias = "state")]
    status: Readiness,
    /// Why not ready.
    #[schema(value_type = Option<String>, example = "break")]
    reason: Option<Arc<str>>,
}

/// Sets an agent ready or not ready. While work is held it is kept as `next` and can be taken back.
#[utoipa::path(put, path = "/agents/{extension}/status", params(("extension" = String, Path)), request_body = StatusOrder,
    responses((status = 200, body = AgentView), (status = 409, body = Problem)))]
pub(super) async fn status(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
    order: Result<Json<StatusOrder>, JsonRejection>,
) -> Result<Json<AgentView>, Problem> {
    let order = body(order)?;
    let command = Command::AgentStatus {
        extension: Arc::from(extension),
        ready: order.status == Readiness::Ready,
        reason: order.reason,
    };
    agent(&handle, command).await
}

/// Ends the agent's wrap-up now.
#[utoipa::path(put, path = "/agents/{extension}/wrap", params(("extension" = String, Path)),
    responses((status = 200, body = AgentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn end_wrap(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
) -> Result<Json<AgentView>, Problem> {
    let extension = Arc::from(extension);
    agent(&handle, Command::EndWrap { extension }).await
}

/// More time for after-call work.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct WrapExtension {
    /// By how much, in seconds.
    #[schema(example = 60)]
    extend_seconds: u64,
}

/// Extends the agent's wrap-up, at most to the queue's hard limit.
#[utoipa::path(post, path = "/agents/{extension}/wrap", params(("extension" = String, Path)), request_body = WrapExtension,
    responses((status = 200, body = AgentView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn extend_wrap(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
    order: Result<Json<WrapExtension>, JsonRejection>,
) -> Result<Json<AgentView>, Problem> {
    let seconds = body(order)?.extend_seconds;
    let extension = Arc::from(extension);
    agent(&handle, Command::ExtendWrap { extension, seconds }).await
}

/// Why the agent is or is not offered work: the last decisions.
#[utoipa::path(get, path = "/agents/{extension}/why", params(("extension" = String, Path)),
    responses((status = 200, body = Vec<Decision>), (status = 404, body = Problem)))]
pub(super) async fn why(
    State(handle): State<Handle>,
    Path(extension): Path<String>,
) -> Result<Json<Vec<Decision>>, Problem> {
    let extension = Arc::from(extension);
    match handle.call(Command::WhyAgent { extension }).await? {
        Answer::Decisions(list) => Ok(Json(list)),
        _ => Err(Problem::unexpected()),
    }
}

/// On, or off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Toggle {
    /// On, or off.
    on: bool,
}

async fn devices_after(
    handle: &Handle,
    command: Command,
) -> Result<Json<Page<RegistrationView>>, Problem> {
    match handle.call(command).await? {
        Answer::Registrations(items) => Ok(Json(Page { items, next: None })),
        _ => Err(Problem::unexpected()),
    }
}

/// Switches do-not-disturb on or off, for any extension: nothing rings, callers hear busy, and queues offer nothing. Gives its registered devices.
#[utoipa::path(put, path = "/agents/{extension}/do-not-disturb", params(("extension" = String, Path)), request_body = Toggle,
    responses((status = 200, body = Page<RegistrationView>), (status = 404, body = Problem)))]
pub(super) async fn do_not_disturb(
    State(handle): State<Handle>,
    Path(extension): Path<Arc<str>>,
    order: Result<Json<Toggle>, JsonRejection>,
) -> Result<Json<Page<RegistrationView>>, Problem> {
    let Toggle { on } = body(order)?;
    devices_after(&handle, Command::SetDoNotDisturb { extension, on }).await
}

/// Which device rings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RingToggle {
    /// Its contact, as in the list of registrations; all registered devices without it.
    #[schema(value_type = Option<String>, example = "sip:1001@192.0.2.7:5060")]
    contact: Option<Arc<str>>,
    /// It rings, or it does not.
    ring: bool,
}

/// Lets a registered device ring or not, for any extension. The device is remembered by its instance, or else by its contact. Gives the registered
/// devices.
#[utoipa::path(put, path = "/agents/{extension}/devices", params(("extension" = String, Path)), request_body = RingToggle,
    responses((status = 200, body = Page<RegistrationView>), (status = 404, body = Problem)))]
pub(super) async fn ring(
    State(handle): State<Handle>,
    Path(extension): Path<Arc<str>>,
    order: Result<Json<RingToggle>, JsonRejection>,
) -> Result<Json<Page<RegistrationView>>, Problem> {
    let RingToggle { contact, ring } = body(order)?;
    let command = Command::SetRing {
        extension,
        contact,
        on: ring,
    };
    devices_after(&handle, command).await
}

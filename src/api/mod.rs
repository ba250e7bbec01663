//! Rank 10: the HTTP API, its OpenAPI document, the event stream, health and metrics.
//!
//! Goes in: requests with the admin token. Comes out: JSON made from the switch's own views; errors are RFC 9457 problem documents
//! with a stable `code`. It keeps no state of calls or agents: every answer is asked of the switch when it is needed.

mod agents;
mod bans;
mod callbacks;
mod calls;
mod events;
mod gate;
mod health;
mod idempotency;
mod messages;
mod numbers;
mod offers;
mod operate;
mod page;
mod problem;
mod queues;
mod sip;
mod work;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::gate::BearerToken;
use crate::io::handle::Handle;

/// Largest request body: orders are small.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest text of numbers: a register of ten million takes 130 MB.
const IMPORT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Longest time for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The same for an import.
const IMPORT_MAX: Duration = Duration::from_secs(120);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Strowger",
        description = "Calls, queues and agents of a Strowger server. Authorization: Bearer TOKEN; the first start writes an admin token to DATA-DIR/admin.token."
    ),
    modifiers(&BearerToken)
)]
struct Document;

fn resources() -> OpenApiRouter<Handle> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(operate::status))
        .routes(routes!(operate::registrations, operate::drop_devices))
        .routes(routes!(operate::trunks))
        .routes(routes!(operate::register_trunk))
        .routes(routes!(operate::reload))
        .routes(routes!(operate::drain))
        .routes(routes!(calls::list, calls::originate))
        .routes(routes!(calls::one))
        .routes(routes!(calls::hangup))
        .routes(routes!(calls::transfer))
        .routes(routes!(calls::hold))
        .routes(routes!(calls::resume))
        .routes(routes!(calls::ladder))
        .routes(routes!(calls::pcap))
        .routes(routes!(bans::list, bans::begin))
        .routes(routes!(bans::end))
        .routes(routes!(calls::records))
        .routes(routes!(calls::record))
        .routes(routes!(queues::list))
        .routes(routes!(queues::one))
        .routes(routes!(agents::list))
        .routes(routes!(agents::one))
        .routes(routes!(agents::session))
        .routes(routes!(agents::status))
        .routes(routes!(agents::end_wrap, agents::extend_wrap))
        .routes(routes!(agents::why))
        .routes(routes!(agents::do_not_disturb))
        .routes(routes!(agents::ring))
        .routes(routes!(messages::set))
        .routes(routes!(work::list))
        .routes(routes!(work::one))
        .routes(routes!(work::why))
        .routes(routes!(work::priority))
        .routes(routes!(work::disposition))
        .routes(routes!(offers::decline))
        .routes(routes!(callbacks::list, callbacks::request))
        .routes(routes!(callbacks::cancel))
        .routes(routes!(numbers::list))
        .routes(routes!(numbers::one, numbers::make, numbers::remove))
        .routes(routes!(numbers::entries))
        .routes(routes!(numbers::add, numbers::take))
        .routes(routes!(numbers::gates))
        .routes(routes!(events::stream))
}

/// What takes a large body, and time.
fn imports() -> OpenApiRouter<Handle> {
    OpenApiRouter::new().routes(routes!(numbers::import))
}

/// The OpenAPI document as JSON.
pub fn openapi() -> String {
    resources()
        .merge(imports())
        .into_openapi()
        .to_pretty_json()
        .unwrap_or_default()
}

/// All routes.
fn router(handle: Handle) -> Router {
    let (resources, _) = resources().split_for_parts();
    let (imports, _) = imports().split_for_parts();
    let document = openapi();
    let imports = imports
        .layer(axum::middleware::from_fn_with_state(
            handle.clone(),
            gate::admit,
        ))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(IMPORT_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            IMPORT_MAX,
        ));
    let api = resources
        .route(
            "/openapi.json",
            get(|| async { ([("content-type", "application/json")], document) }),
        )
        .fallback(problem::no_such_route)
        .layer(axum::middleware::from_fn_with_state(
            idempotency::Kept::default(),
            idempotency::once,
        ))
        .layer(axum::middleware::from_fn_with_state(
            handle.clone(),
            gate::admit,
        ));
    Router::new()
        .nest("/api/v1", api)
        .merge(health::routes())
        .fallback(sip::or_nothing)
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(TimeoutLayer::with_status_code(
            axum::http::StatusCode::SERVICE_UNAVAILABLE,
            ANSWER_MAX,
        ))
        .nest("/api/v1", imports)
        .layer(SetResponseHeaderLayer::if_not_present(
            axum::http::header::X_CONTENT_TYPE_OPTIONS,
            axum::http::HeaderValue::from_static("nosniff"),
        ))
        .with_state(handle)
}

/// Binds and serves until the process ends; gives the address.
pub fn start(handle: Handle) -> Pin<Box<dyn Future<Output = io::Result<SocketAddr>> + Send>> {
    Box::pin(async move {
        let listener = tokio::net::TcpListener::bind(handle.settings().http.listen).await?;
        let address = listener.local_addr()?;
        let app = router(handle);
        #[allow(clippy::disallowed_methods)] // the shell's own task
        tokio::spawn(async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "the API has ended");
            }
        });
        Ok(address)
    })
}

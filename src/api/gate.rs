//! The token at the door: nothing under `/api/v1` is served without it.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use utoipa::Modify;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};

use super::problem::Problem;
use crate::io::handle::Handle;

/// Adds the bearer token to the OpenAPI document.
pub(super) struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        openapi
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("token", SecurityScheme::Http(scheme));
        openapi.security = Some(vec![SecurityRequirement::new(
            "token",
            Vec::<String>::new(),
        )]);
    }
}

/// Lets a request through that carries the admin token. Browsers cannot set headers on a WebSocket, so there the token may stand in
/// the query as `access_token` (RFC 6750 §2.3).
pub(super) async fn admit(State(handle): State<Handle>, request: Request, next: Next) -> Response {
    let header = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::trim);
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let query = request.uri().query().filter(|_| upgrade).and_then(|query| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix("access_token="))
    });
    let admin = handle.admin_token();
    let granted = header
        .or(query)
        .is_some_and(|token| bool::from(token.as_bytes().ct_eq(admin.as_bytes())));
    if granted {
        return next.run(request).await;
    }
    let mut response = Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send Authorization: Bearer TOKEN; the admin token is in the data directory, file admin.token",
    )
    .into_response();
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        header::HeaderValue::from_static("Bearer"),
    );
    response
}

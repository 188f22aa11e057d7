//! What operators read: JSON, or one sentence that says why not.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

pub type Answer = Response;

pub fn json(status: StatusCode, value: &Value) -> Answer {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, format!("{value}\n")).into_response()
}

/// Plain text, whatever names it quotes.
pub fn refuse(status: StatusCode, why: impl Into<String>) -> Answer {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{}\n", why.into())).into_response()
}

//! The event stream: everything as it happens, without gaps, resumable with `?after=SEQ`; a WebSocket, or `text/event-stream`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::broadcast;
use utoipa::IntoParams;

use super::problem::Problem;
use crate::io::handle::Handle;
use crate::switch::Event;

/// Events read from the database at once while catching up.
const CATCH_UP: usize = 500;

/// Where to begin and what to leave out.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The last `seq` that the reader has; the stream goes on behind it. Without it, it begins now.
    after: Option<u64>,
    /// Kinds of fact, separated by commas: `call`, `registration`, `trunk`, `acd`, `server`. All by default.
    kinds: Option<String>,
    /// Only for browsers' WebSockets: the token.
    #[allow(dead_code)] // read by the gate
    access_token: Option<String>,
}

/// Opens the stream.
#[utoipa::path(get, path = "/events", params(Wanted), responses((status = 101, description = "WebSocket of JSON events"), (status = 200, description = "text/event-stream")))]
pub(super) async fn stream(
    State(handle): State<Handle>,
    Query(wanted): Query<Wanted>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let reader = match Reader::open(handle, wanted).await {
        Ok(reader) => reader,
        Err(problem) => return problem.into_response(),
    };
    match upgrade {
        Ok(upgrade) => upgrade.on_upgrade(|socket| serve(socket, reader)),
        Err(_) => Sse::new(lines(reader))
            .keep_alive(KeepAlive::default())
            .into_response(),
    }
}

/// Reads events in order, first from the database, then as they come; a gap is filled from the database.
struct Reader {
    handle: Handle,
    live: broadcast::Receiver<Arc<Event>>,
    next: u64,
    ready: VecDeque<(u64, String)>,
    /// The database may have more than it gave last time.
    more: bool,
    kinds: Vec<String>,
}

impl Reader {
    async fn open(handle: Handle, wanted: Wanted) -> Result<Reader, Problem> {
        // subscribe first: what happens meanwhile is seen twice and dropped once, never missed
        let live = handle.subscribe();
        let after = match wanted.after {
            Some(after) => after,
            None => handle.status().await.map_or(0, |status| status.seq),
        };
        Ok(Reader {
            handle,
            live,
            next: after + 1,
            ready: VecDeque::new(),
            more: false,
            kinds: wanted
                .kinds
                .map(|kinds| {
                    kinds
                        .split(',')
                        .map(|kind| kind.trim().to_owned())
                        .collect()
                })
                .unwrap_or_default(),
        })
    }

    async fn catch_up(&mut self) -> Result<(), Problem> {
        let rows = self
            .handle
            .events_after(self.next - 1, CATCH_UP)
            .await
            .map_err(Problem::from)?;
        self.more = rows.len() >= CATCH_UP;
        self.ready.extend(rows);
        Ok(())
    }

    fn wants(&self, json: &str) -> bool {
        if self.kinds.is_empty() {
            return true;
        }
        serde_json::from_str::<serde_json::Value>(json)
            .ok()
            .and_then(|event| {
                let fact = event.get("fact")?.as_object()?.keys().next()?.clone();
                Some(self.kinds.contains(&fact))
            })
            .unwrap_or(false)
    }

    /// The next event that is wanted; `None` when the server ends.
    async fn next(&mut self) -> Option<(u64, String)> {
        loop {
            if let Some((seq, json)) = self.ready.pop_front() {
                if seq < self.next {
                    continue;
                }
                self.next = seq + 1;
                if self.wants(&json) {
                    return Some((seq, json));
                }
                continue;
            }
            if self.more {
                // Who was away for long must not wait for something new to happen.
                self.catch_up().await.ok()?;
                continue;
            }
            match self.live.recv().await {
                Ok(event) if event.seq < self.next => {}
                Ok(event) if event.seq == self.next => {
                    if let Ok(json) = serde_json::to_string(&*event) {
                        self.ready.push_back((event.seq, json));
                    }
                }
                Ok(event) => {
                    // behind: the database has what is missing
                    let wanted = event.seq;
                    while self.next + (self.ready.len() as u64) <= wanted {
                        let before = self.ready.len();
                        self.catch_up().await.ok()?;
                        if self.ready.len() == before {
                            break;
                        }
                        if self.ready.len() >= CATCH_UP {
                            break;
                        }
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up().await.ok()?,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

async fn serve(mut socket: WebSocket, mut reader: Reader) {
    if reader.catch_up().await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            event = reader.next() => {
                let Some((_, json)) = event else { return };
                if socket.send(Message::Text(json.into())).await.is_err() {
                    return;
                }
            }
            incoming = socket.recv() => match incoming {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    }
}

fn lines(
    reader: Reader,
) -> impl futures_util::Stream<Item = Result<axum::response::sse::Event, Infallible>> {
    use axum::response::sse::Event as Line;
    futures_util::stream::unfold((reader, false), |(mut reader, caught_up)| async move {
        if !caught_up {
            reader.catch_up().await.ok()?;
        }
        let (seq, json) = reader.next().await?;
        let line = Line::default().id(seq.to_string()).data(json);
        Some((Ok(line), (reader, true)))
    })
}

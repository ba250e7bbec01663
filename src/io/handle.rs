//! The running server as the API sees it: commands and their answers, events, records, metrics, reload, drain.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{broadcast, oneshot};

use super::expiry;
use super::inbox::Inbox;
use super::media::PromptStore;
use super::metrics::{self, Metrics};
use super::queue_figures;
use super::reload::{self, Reloaded};
use super::tcp::Streams;
use super::trace::ladder::Ladder;
use super::trace::{self, Trace};
use super::traffic::Traffic;
use super::trunk_figures;
use super::web_socket::{Frames, WebPeer};
use crate::base::{Ulid, WallTime};
use crate::config::{Problem, Settings};
use crate::event::CallRecord;
use crate::store::Sqlite;
use crate::store::journal::JournalCounters;
use crate::switch::{Answer, Command, Event, Input, Refusal, Reply, StatusView};

/// How long a command may wait for its answer. The switch answers within a millisecond; this is for one that has died.
const PATIENCE: Duration = Duration::from_secs(5);

/// Commands that wait for their answers.
#[derive(Default)]
pub struct Replies {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
    next: AtomicU64,
}

impl Replies {
    fn expect(&self) -> (u64, oneshot::Receiver<Reply>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, waits) = oneshot::channel();
        self.waiting.lock().insert(id, answer);
        (id, waits)
    }

    fn forget(&self, id: u64) {
        self.waiting.lock().remove(&id);
    }

    /// Hands `reply` to whoever waits for the answer to command `id`.
    pub fn deliver(&self, id: u64, reply: Reply) {
        if let Some(answer) = self.waiting.lock().remove(&id) {
            // Who asked may have gone.
            let _ = answer.send(reply);
        }
    }
}

/// What a [`Handle`] leads to.
pub(super) struct Parts {
    pub(super) inbox: Inbox,
    pub(super) replies: Arc<Replies>,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) sqlite: Arc<Sqlite>,
    pub(super) journal: Arc<JournalCounters>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) trace: Option<Arc<Trace>>,
    pub(super) settings: Mutex<Arc<Settings>>,
    pub(super) streams: Streams,
    pub(super) prompts: Arc<PromptStore>,
    pub(super) admin_token: Arc<str>,
    /// One reload at a time.
    pub(super) reloading: tokio::sync::Mutex<()>,
}

/// The running server. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct Handle {
    pub(super) parts: Arc<Parts>,
}

impl Handle {
    /// Asks or orders the switch. Answers 503 when it does not answer within 5 s.
    pub async fn call(&self, command: Command) -> Reply {
        let silent = || {
            Err(Refusal::unavailable(
                "no_answer",
                "the switch does not answer; see the log",
            ))
        };
        let (id, waits) = self.parts.replies.expect();
        if !self.parts.inbox.input(Input::Command { id, command }) {
            self.parts.replies.forget(id);
            return silent();
        }
        match tokio::time::timeout(PATIENCE, waits).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => {
                self.parts.replies.forget(id);
                silent()
            }
        }
    }

    /// The status; `None` when the switch does not answer.
    pub async fn status(&self) -> Option<StatusView> {
        match self.call(Command::Status).await {
            Ok(Answer::Status(status)) => Some(*status),
            _ => None,
        }
    }

    /// Events from now on. One that lags by more than 4,096 events is told so, and reads on with [`Handle::events_after`].
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.parts.events.subscribe()
    }

    /// Kept events after `seq`, oldest first, at most `limit`, as number and JSON. Waits until what was published is in the tables,
    /// so that a subscription made before this call leaves no gap.
    pub async fn events_after(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<Vec<(u64, String)>, Refusal> {
        self.ask(move |sqlite| {
            sqlite.wait_written(PATIENCE);
            sqlite.events_after(seq, limit)
        })
        .await
    }

    /// Number of the oldest and of the newest event kept.
    pub async fn event_range(&self) -> Result<Option<(u64, u64)>, Refusal> {
        self.ask(|sqlite| sqlite.event_range()).await
    }

    /// Records of calls that are over, newest first, older than the record `before`, of calls that began at `since` or later, at most
    /// `limit`, as id and JSON.
    pub async fn call_records(
        &self,
        before: Option<String>,
        since: Option<WallTime>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, Refusal> {
        // ids sort by the time of birth
        let since = since.map(|at| {
            let millis = u64::try_from(at.as_millis()).unwrap_or(0);
            Ulid::from_parts(millis, 0).to_string()
        });
        self.ask(move |sqlite| {
            sqlite.wait_written(PATIENCE);
            sqlite.calls_before(before.as_deref(), since.as_deref(), limit)
        })
        .await
    }

    /// One call record as JSON.
    pub async fn call_record(&self, id: String) -> Result<Option<String>, Refusal> {
        self.ask(move |sqlite| {
            sqlite.wait_written(PATIENCE);
            sqlite.call(&id)
        })
        .await
    }

    /// Puts a question to the database on a thread that may block.
    async fn ask<T: Send + 'static, E: std::fmt::Display + Send + 'static>(
        &self,
        question: impl FnOnce(&Sqlite) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Refusal> {
        let sqlite = self.parts.sqlite.clone();
        let refuse = |why: String| {
            tracing::error!(%why, "the database does not answer");
            Refusal::unavailable("database", "the database does not answer; see the log")
        };
        match tokio::task::spawn_blocking(move || question(&sqlite)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(refuse(error.to_string())),
            Err(error) => Err(refuse(error.to_string())),
        }
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let status = self.status().await;
        let queues = match self.call(Command::Queues).await {
            Ok(Answer::Queues(queues)) => queues,
            _ => Vec::new(),
        };
        let trunks = match self.call(Command::Trunks).await {
            Ok(Answer::Trunks(trunks)) => trunks,
            _ => Vec::new(),
        };
        let parts = &self.parts;
        let names: Vec<Arc<str>> = self
            .settings()
            .profiles
            .iter()
            .map(|profile| profile.name.clone())
            .collect();
        let waiting = parts.inbox.waiting();
        metrics::text(
            &parts.metrics,
            &parts.journal,
            &parts.sqlite.counters(),
            waiting,
            status.as_ref(),
            |page| {
                parts.traffic.show(page, &names);
                queue_figures::show(page, &queues);
                trunk_figures::show(page, &trunks);
                expiry::show(page, &self.settings());
            },
        )
    }

    /// The record of a call so far, or of one that is over.
    async fn record(&self, id: Ulid) -> Result<CallRecord, Refusal> {
        if let Ok(Answer::Record(record)) = self.call(Command::Record { id }).await {
            return Ok(*record);
        }
        let text = id.to_string();
        let wanted = text.clone();
        let json = self
            .ask(move |sqlite| {
                sqlite.wait_written(PATIENCE);
                sqlite.call(&wanted)
            })
            .await?;
        json.and_then(|json| serde_json::from_str(&json).ok())
            .ok_or_else(|| Refusal::not_found("call", &text))
    }

    /// Looks into the ring of recent messages, on a thread that may take its time.
    async fn traced<T: Send + 'static>(
        &self,
        id: Ulid,
        look: fn(&Trace, &CallRecord) -> T,
    ) -> Result<T, Refusal> {
        let Some(trace) = self.parts.trace.clone() else {
            let what = "no messages are kept: `ladder-memory` of [log] is 0";
            return Err(Refusal::conflict("no_ladders", what));
        };
        let record = self.record(id).await?;
        tokio::task::spawn_blocking(move || look(&trace, &record))
            .await
            .map_err(|_| Refusal::unavailable("ladder", "the ladder cannot be drawn; see the log"))
    }

    /// The ladder of a call, also after its end, as long as it is in memory.
    pub async fn ladder(&self, id: Ulid) -> Result<Ladder, Refusal> {
        self.traced(id, trace::ladder::draw).await
    }

    /// The messages of a call as a capture file.
    pub async fn pcap(&self, id: Ulid) -> Result<Vec<u8>, Refusal> {
        self.traced(id, trace::pcap::file).await
    }

    /// Reads the configuration again and applies what changed. On any error nothing is changed, and all problems are given.
    pub async fn reload(&self) -> Result<Reloaded, Vec<Problem>> {
        let _one_at_a_time = self.parts.reloading.lock().await;
        reload::reload(&self.parts).await
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.parts.settings.lock().clone()
    }

    /// Serves SIP on a WebSocket whose handshake the API's listener has done. False when the peer's source, or the server, has as
    /// many connections as it may.
    pub fn adopt_web_socket(&self, peer: WebPeer, frames: Frames) -> bool {
        self.parts.streams.adopt(peer, frames)
    }

    /// The token of the administrator, as in `DATA-DIR/admin.token`.
    pub fn admin_token(&self) -> Arc<str> {
        self.parts.admin_token.clone()
    }
}

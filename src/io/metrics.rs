//! Counters of the shell, and the text of `/metrics` with those of the switch and the store.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::store::journal::JournalCounters;
use crate::store::sqlite::SqliteCounters;
use crate::switch::{GuardView, StatusView};

/// What the shell counts. All rise only, unless they say otherwise.
#[derive(Default, Debug)]
pub struct Metrics {
    /// SIP datagrams received.
    pub datagrams_in: AtomicU64,
    /// SIP datagrams sent.
    pub datagrams_out: AtomicU64,
    /// SIP datagrams that the kernel dropped because the receive buffer was full.
    pub datagrams_dropped: AtomicU64,
    /// Datagrams that only keep a NAT binding open.
    pub keep_alives: AtomicU64,
    /// Sends that the kernel refused.
    pub sends_refused: AtomicU64,
    /// Answers held back because the journal could not be written.
    pub sends_held: AtomicU64,
    /// Turns of the shard: a batch of inputs and what followed.
    pub batches: AtomicU64,
    /// Inputs given to the core.
    pub inputs: AtomicU64,
    /// Time spent with batches, in nanoseconds.
    pub busy_nanos: AtomicU64,
    /// Panics of the core.
    pub panics: AtomicU64,
    /// Records that were thrown away because the journal refused for too long.
    pub records_lost: AtomicU64,
    /// Stream connections open now.
    pub connections: AtomicU64,
    /// Stream connections accepted or opened.
    pub connections_total: AtomicU64,
    /// Connections refused by a cap.
    pub connections_refused: AtomicU64,
    /// Connections cut: no complete request in time.
    pub cut_slow: AtomicU64,
    /// Connections cut: idle.
    pub cut_idle: AtomicU64,
    /// Connections cut: the peer does not read.
    pub cut_unread: AtomicU64,
    /// Connections cut: what came was no SIP.
    pub cut_malformed: AtomicU64,
    /// TLS handshakes that succeeded, in both directions.
    pub handshakes: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: AtomicU64,
    /// Messages received on streams.
    pub stream_messages_in: AtomicU64,
    /// Messages sent on streams.
    pub stream_messages_out: AtomicU64,
    /// Copies of messages sent to the capture server.
    pub hep_sent: AtomicU64,
    /// Copies of messages that could not be sent to it.
    pub hep_dropped: AtomicU64,
    /// Names looked up.
    pub lookups: AtomicU64,
    /// Look-ups that found nothing or took too long.
    pub lookups_failed: AtomicU64,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The text of `/metrics` (OpenMetrics). `status` is absent when the switch did not answer in time; `others` add their own.
pub fn text(
    metrics: &Metrics,
    journal: &JournalCounters,
    sqlite: &SqliteCounters,
    inbox_waiting: usize,
    status: Option<&StatusView>,
    others: impl FnOnce(&mut Registry),
) -> String {
    let mut page = Page(Registry::with_prefix("strowger"));
    page.shell(metrics, inbox_waiting);
    page.store(journal, sqlite);
    page.gauge("up", "The switch answers", u64::from(status.is_some()));
    if let Some(status) = status {
        page.switch(status);
    }
    others(&mut page.0);
    let mut out = String::new();
    match encode(&mut out, &page.0) {
        Ok(()) => out,
        Err(_) => unreachable!("writing to a String does not fail"),
    }
}

struct Page(Registry);

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Page {
    fn add(
        &mut self,
        name: &str,
        help: &str,
        metric: impl EncodeMetric + Send + Sync + std::fmt::Debug + 'static,
    ) {
        self.0.register(name, help, metric);
    }

    fn counter(&mut self, name: &str, help: &str, counter: &AtomicU64) {
        self.add(name, help, ConstCounter::new(read(counter)));
    }

    fn seconds(&mut self, name: &str, help: &str, nanos: &AtomicU64) {
        let seconds = read(nanos) as f64 / 1e9;
        self.0
            .register_with_unit(name, help, Unit::Seconds, ConstCounter::new(seconds));
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.add(name, help, ConstGauge::new(value));
    }

    fn shell(&mut self, m: &Metrics, inbox_waiting: usize) {
        self.counter(
            "sip_datagrams_in",
            "SIP datagrams received",
            &m.datagrams_in,
        );
        self.counter("sip_datagrams_out", "SIP datagrams sent", &m.datagrams_out);
        self.counter(
            "sip_datagrams_dropped",
            "SIP datagrams that the kernel dropped",
            &m.datagrams_dropped,
        );
        self.counter(
            "sip_keep_alives",
            "Datagrams that only keep a NAT binding open",
            &m.keep_alives,
        );
        self.counter(
            "sip_sends_refused",
            "Sends that the kernel refused",
            &m.sends_refused,
        );
        self.counter(
            "sip_sends_held",
            "Answers held back because the journal could not be written",
            &m.sends_held,
        );
        self.counter(
            "sip_stream_messages_in",
            "SIP messages received on streams",
            &m.stream_messages_in,
        );
        self.counter(
            "sip_stream_messages_out",
            "SIP messages sent on streams",
            &m.stream_messages_out,
        );
        self.gauge(
            "sip_connections",
            "Stream connections open now",
            read(&m.connections),
        );
        self.counter(
            "sip_connections_opened",
            "Stream connections accepted or opened",
            &m.connections_total,
        );
        self.counter(
            "sip_connections_refused",
            "Stream connections refused by a cap",
            &m.connections_refused,
        );
        self.counter(
            "sip_connections_cut_slow",
            "Cut: no complete request in time",
            &m.cut_slow,
        );
        self.counter("sip_connections_cut_idle", "Cut: idle", &m.cut_idle);
        self.counter(
            "sip_connections_cut_unread",
            "Cut: the peer does not read",
            &m.cut_unread,
        );
        self.counter(
            "sip_connections_cut_malformed",
            "Cut: what came was no SIP",
            &m.cut_malformed,
        );
        self.counter(
            "tls_handshakes",
            "TLS handshakes that succeeded",
            &m.handshakes,
        );
        self.counter(
            "tls_handshakes_failed",
            "TLS handshakes that failed or took too long",
            &m.handshakes_failed,
        );
        self.counter("shard_batches", "Batches of inputs", &m.batches);
        self.counter("shard_inputs", "Inputs given to the switch", &m.inputs);
        self.seconds("shard_busy", "Time spent with batches", &m.busy_nanos);
        self.gauge(
            "shard_inbox",
            "Inputs waiting from other threads",
            inbox_waiting as u64,
        );
        self.counter(
            "panics",
            "Panics of the switch; each costs one input",
            &m.panics,
        );
        self.counter(
            "hep_sent",
            "Copies of messages sent to the capture server",
            &m.hep_sent,
        );
        self.counter(
            "hep_dropped",
            "Copies of messages that could not be sent to the capture server",
            &m.hep_dropped,
        );
        self.counter("dns_lookups", "Names looked up", &m.lookups);
        self.counter(
            "dns_lookups_failed",
            "Look-ups that found nothing or took too long",
            &m.lookups_failed,
        );
    }

    fn store(&mut self, journal: &JournalCounters, sqlite: &SqliteCounters) {
        let bytes = ConstCounter::new(read(&journal.bytes));
        self.0.register_with_unit(
            "journal_written",
            "Appended to the journal",
            Unit::Bytes,
            bytes,
        );
        self.counter(
            "journal_records",
            "Records appended to the journal",
            &journal.records,
        );
        self.counter(
            "journal_writes",
            "Writes of the journal, one for a batch of records",
            &journal.batches,
        );
        self.seconds(
            "journal_write",
            "Time spent writing the journal",
            &journal.append_nanos,
        );
        self.counter(
            "journal_failures",
            "Writes of the journal that failed",
            &journal.failures,
        );
        self.counter(
            "journal_compactions",
            "Compactions of the journal",
            &journal.compactions,
        );
        self.gauge(
            "database_backlog",
            "Rows waiting for the database",
            read(&sqlite.backlog),
        );
        self.counter(
            "database_rows",
            "Rows written to the database",
            &sqlite.written,
        );
        self.counter(
            "database_retries",
            "Transactions of the database tried again",
            &sqlite.retries,
        );
        self.counter(
            "database_refused",
            "Rows that the database refused",
            &sqlite.refused,
        );
    }

    fn switch(&mut self, status: &StatusView) {
        self.gauge("calls", "Live calls", status.calls as u64);
        self.gauge("legs", "Live legs", status.legs as u64);
        self.gauge(
            "registrations",
            "Devices registered now",
            status.registrations as u64,
        );
        self.gauge(
            "registrations_unreachable",
            "Registered devices that do not answer",
            status.registrations_unreachable as u64,
        );
        self.gauge(
            "transactions",
            "Live SIP transactions",
            status.transactions as u64,
        );
        self.gauge("rtp_ports", "RTP ports in use", status.ports as u64);
        self.gauge(
            "rtp_ports_resting",
            "RTP ports that rest after a call",
            status.ports_resting as u64,
        );
        self.gauge("rtp_ports_all", "RTP ports", status.ports_all as u64);
        self.add(
            "rtp_ports_missing",
            "Calls refused because no RTP port was free",
            ConstCounter::new(status.ports_missing),
        );
        self.guard(&status.guard);
        self.gauge("timers", "Armed timers", status.timers as u64);
        self.gauge(
            "waiting",
            "Work items waiting in queues",
            status.waiting as u64,
        );
        self.add(
            "calls_started",
            "Calls since the start",
            ConstCounter::new(status.calls_total),
        );
        self.add(
            "events",
            "Number of the newest event",
            ConstCounter::new(status.seq),
        );
        self.gauge(
            "store_ok",
            "The journal can be written",
            u64::from(status.store_ok),
        );
        self.gauge(
            "ready",
            "The switch takes calls",
            u64::from(status.state == "ready"),
        );
    }
}

impl Page {
    fn guard(&mut self, guard: &GuardView) {
        let family: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        for (reason, count) in [
            ("over-rate", guard.over_rate),
            ("banned", guard.banned),
            ("over-total", guard.over_total),
            ("scanner", guard.scanner),
            ("malformed", guard.malformed),
            ("amplification", guard.unanswered),
        ] {
            family.get_or_create(&[("reason", reason)]).inc_by(count);
        }
        self.add(
            "guard_dropped",
            "Messages that the guard dropped, by reason",
            family,
        );
        self.add(
            "guard_bans",
            "Bans begun",
            ConstCounter::new(guard.bans_begun),
        );
        self.gauge(
            "guard_banned_sources",
            "Sources banned now",
            guard.bans as u64,
        );
        let family: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        for (reason, count) in [
            ("overload", guard.overload_refused),
            ("account-rate", guard.over_account),
        ] {
            family.get_or_create(&[("reason", reason)]).inc_by(count);
        }
        self.add(
            "guard_refused",
            "Requests refused with 503, by reason",
            family,
        );
        self.gauge(
            "overload",
            "0: none, 1: registrations and the like are refused, 2: new calls as well",
            u64::from(guard.overload),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_complete_and_ends_as_openmetrics_demands() {
        let metrics = Metrics::default();
        metrics.datagrams_in.store(42, Ordering::Relaxed);
        metrics.busy_nanos.store(1_500_000_000, Ordering::Relaxed);
        let page = text(
            &metrics,
            &JournalCounters::default(),
            &SqliteCounters::default(),
            3,
            None,
            |_| {},
        );
        for line in [
            "strowger_sip_datagrams_in_total 42",
            "strowger_shard_busy_seconds_total 1.5",
            "strowger_shard_inbox 3",
            "strowger_journal_written_bytes_total 0",
            "strowger_up 0",
        ] {
            assert!(
                page.lines().any(|l| l == line),
                "{line} is missing in\n{page}"
            );
        }
        assert!(page.ends_with("# EOF\n"));
    }
}

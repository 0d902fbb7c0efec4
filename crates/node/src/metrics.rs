//! What an operator sees at `/metrics`: core's counters and gauges, and this crate's own.

use std::collections::BTreeMap;
use std::fmt;

use byline_core::node::{Counters, Gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::keeping::Written;

/// What went through the sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) frames_out: u64,
    pub(crate) writes: u64,
    pub(crate) upgrades_refused: u64,
    /// Connections ended, by close code.
    pub(crate) closed: BTreeMap<u16, u64>,
    /// Bytes that wait for all connections together.
    pub(crate) queued: usize,
    /// Bytes of messages that have come in part, of all connections together.
    pub(crate) unfinished: usize,
}

/// Everything at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    pub(crate) traffic: Traffic,
    pub(crate) written: Written,
    /// What it promises cannot be stored.
    pub(crate) failing: bool,
}

impl Snapshot {
    /// The OpenMetrics text.
    pub(crate) fn into_text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("byline");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in self.gauge_rows() {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        for (name, help, value) in self.counter_rows() {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        for (name, help, values) in self.rows_by_code() {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (code, value) in values {
                let label = [("code", code.to_string())];
                ConstCounter::new(*value).encode(family.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}

/// A name, its help, and its value.
type Row<T> = (&'static str, &'static str, T);

impl Snapshot {
    const fn gauge_rows(&self) -> [Row<usize>; 13] {
        let held = &self.gauges;
        [
            ("connections", "Connections", held.connections),
            (
                "sessions",
                "Sessions, those in their grace time included",
                held.sessions,
            ),
            (
                "objects",
                "Objects that are claimed or waited for",
                held.objects,
            ),
            (
                "routes",
                "Routes of readers that are connected, parked ones too",
                held.routes,
            ),
            (
                "parked_routes",
                "Routes of readers that do not keep up: woken when they do",
                held.parked,
            ),
            (
                "unanswered_requests",
                "Requests without a final answer",
                held.unanswered,
            ),
            (
                "queued_bytes",
                "Bytes that wait to be written, of all connections together",
                self.traffic.queued,
            ),
            (
                "unfinished_bytes",
                "Bytes of messages that have come in part, of all connections together",
                self.traffic.unfinished,
            ),
            (
                "held_bytes",
                "Bytes that wait to be given out until what was decided before is stored",
                held.held_bytes,
            ),
            (
                "kept_objects",
                "Objects of which is kept what they hold",
                held.kept_objects,
            ),
            (
                "kept_children",
                "Children that are kept",
                held.kept_children,
            ),
            (
                "kept_bytes",
                "Bytes that are kept of what objects hold, children included",
                held.kept_bytes,
            ),
            (
                "store_failing",
                "1 while a batch cannot be stored; GET /readyz says why",
                self.failing as usize,
            ),
        ]
    }

    const fn counter_rows(&self) -> [Row<u64>; 17] {
        let (core, traffic) = (&self.counters, &self.traffic);
        let written = &self.written;
        [
            ("messages_received", "Messages received", core.frames),
            ("commits", "Commits forwarded", core.commits),
            (
                "deliveries",
                "Commits and heads sent to a reader, one for each",
                core.deliveries,
            ),
            (
                "sessions_opened",
                "Sessions opened or continued",
                core.opened,
            ),
            (
                "answers_dropped",
                "Answers that nobody waited for",
                core.answers_dropped,
            ),
            ("parkings", "Routes parked", core.parkings),
            ("wakes", "Parked routes woken", core.wakes),
            (
                "kept_answers",
                "Readers answered from what is kept, and not by a Reporter",
                core.kept_answers,
            ),
            (
                "received_bytes",
                "Bytes read from WebSockets",
                traffic.bytes_in,
            ),
            (
                "sent_bytes",
                "Bytes written to WebSockets",
                traffic.bytes_out,
            ),
            (
                "sent_frames",
                "Frames written to WebSockets; per write, when divided by byline_writes_total",
                traffic.frames_out,
            ),
            ("writes", "Writes to WebSockets", traffic.writes),
            (
                "upgrades_refused",
                "Requests to /ws that did not become a WebSocket",
                traffic.upgrades_refused,
            ),
            ("stored_batches", "Batches stored", written.batches),
            (
                "stored_rows",
                "Rows put or removed by batches",
                written.rows,
            ),
            (
                "stored_bytes",
                "Bytes of rows that batches put",
                written.bytes,
            ),
            (
                "store_failures",
                "Times that a batch could not be stored",
                written.failures,
            ),
        ]
    }

    const fn rows_by_code(&self) -> [Row<&BTreeMap<u16, u64>>; 2] {
        [
            (
                "refusals",
                "Messages answered with a refusal, by its code",
                &self.counters.refused,
            ),
            (
                "connections_closed",
                "Connections ended, by close code: 1005 has none, 1006 ended without a close frame",
                &self.traffic.closed,
            ),
        ]
    }
}

//! Sees everything that comes and goes at the shard, and passes it on: to the counters, to the ring of ladders, to HEP.
//!
//! The shard calls it once for each input and each effect; what nobody wants costs a comparison.

use std::sync::Arc;

use bytes::Bytes;

use super::hep::Hep;
use super::trace::{Heading, Trace};
use super::traffic::Traffic;
use crate::base::Now;
use crate::media::MediaCommand;
use crate::switch::{Event, Input, Record};
use crate::transport::Flow;

/// Who wants to know. Without anybody it does nothing.
#[derive(Clone, Default)]
pub struct Witness {
    /// Counters by profile and trunk.
    pub traffic: Option<Arc<Traffic>>,
    /// The ring of recent messages.
    pub trace: Option<Arc<Trace>>,
    /// The way to a capture server.
    pub hep: Option<Hep>,
}

impl Witness {
    /// An input has been handled. What the guard turned away was never heard.
    pub fn came(&self, now: Now, input: &Input, turned_away: bool) {
        match input {
            Input::Received { flow, bytes } if !turned_away => {
                self.message(now, Heading::In, *flow, bytes);
            }
            Input::Media(event) => {
                if let Some(trace) = &self.trace {
                    trace.report(now, event);
                }
            }
            _ => {}
        }
    }

    /// A message leaves.
    pub fn sent(&self, now: Now, flow: Flow, bytes: &Bytes) {
        self.message(now, Heading::Out, flow, bytes);
    }

    /// A media worker gets an order.
    pub fn ordered(&self, now: Now, command: &MediaCommand) {
        if let Some(trace) = &self.trace {
            trace.order(now, command);
        }
    }

    /// A fact is published.
    pub fn published(&self, event: &Arc<Event>) {
        if let Some(trace) = &self.trace {
            trace.fact(event);
        }
        if let Some(traffic) = &self.traffic {
            traffic.fact(&event.fact);
        }
    }

    /// A record is kept.
    pub fn kept(&self, record: &Record) {
        if let (Some(traffic), Record::CallClosed(call)) = (&self.traffic, record) {
            traffic.call(call);
        }
    }

    fn message(&self, now: Now, way: Heading, flow: Flow, bytes: &Bytes) {
        if let Some(traffic) = &self.traffic {
            traffic.message(way, flow.profile, bytes);
        }
        if let Some(trace) = &self.trace {
            trace.message(now, way, flow, bytes);
        }
        if let Some(hep) = &self.hep {
            hep.message(now, way, flow, bytes);
        }
    }
}

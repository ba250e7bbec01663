//! The reference's callbacks: who gets one, at which place, and when it is tried again.

use super::{Item, Promise, ReferenceAcd, Work, nanos, nanos_of};
use crate::acd::{CallbackFailure, CallbackRequest, CallbackScope, OfferId, WorkItemId};
use crate::base::{Duration, Instant};

impl Item {
    pub(super) fn parked(&self) -> bool {
        self.promise.as_ref().is_some_and(|p| p.due.is_some())
    }
}

impl ReferenceAcd {
    pub(super) fn request(&mut self, now: Instant, request: &CallbackRequest) {
        let Some(of) = self.queue(&request.queue).cloned() else {
            return;
        };
        let Some(settings) = of.callback.clone() else {
            return;
        };
        let open: Vec<(&Item, &Promise)> = self
            .items
            .iter()
            .filter_map(|item| Some((item, item.promise.as_ref()?)))
            .collect();
        let same_scope =
            |item: &Item| settings.scope == CallbackScope::Tenant || item.queue == of.name;
        let has_one = open
            .iter()
            .any(|(item, p)| p.number == request.number && same_scope(item));
        let (have, cap) = match &request.agent {
            None => {
                let of_queue = open.iter().filter(|(item, _)| item.queue == of.name);
                (of_queue.count(), settings.cap)
            }
            Some(agent) => {
                let Some(i) = self.index(agent) else { return };
                if !of.agents.iter().any(|a| a.agent == *agent) {
                    return;
                }
                let calls = self.settings.agents[i].max_concurrent_calls;
                let bound = open.iter().filter(|(_, p)| p.agent.as_ref() == Some(agent));
                let cap = settings.cap.map_or(calls, |cap| cap.min(calls));
                (bound.count(), Some(cap))
            }
        };
        if has_one || cap.is_some_and(|cap| have >= cap as usize) {
            return;
        }
        self.number += 1;
        let head_start = nanos_of((request.credit + of.credit) * of.weight);
        let mut item = Item {
            id: request.callback,
            queue: of.name.clone(),
            class: request.class,
            virtual_start: nanos(now) - head_start,
            number: self.number,
            entered: now,
            skills: request.skills.clone(),
            caller: request.caller.extension.clone(),
            prefer: request.prefer.clone(),
            promise: Some(Promise {
                number: request.number.clone(),
                agent: request.agent.clone(),
                expires: now + settings.ttl,
                attempts: 0,
                postponed: false,
                due: None,
            }),
            aged_from: nanos(now),
            promoted: 0,
            refused_by: Vec::new(),
        };
        let asks = self.items.iter().find(|i| Some(i.id) == request.of);
        if let Some(asks) = asks {
            item.class = asks.class;
            item.virtual_start = asks.virtual_start;
            item.number = asks.number;
            item.entered = asks.entered;
            item.skills = asks.skills.clone();
            item.prefer = asks.prefer.clone();
            item.aged_from = asks.aged_from;
            // Stretches that are over by the clock of this queue; only those to come promote.
            let waited = now.since(asks.entered).as_nanos();
            item.promoted = of
                .class_promote_after
                .map_or(0, |every| waited / every.as_nanos());
            let asks = asks.id;
            self.withdraw(now, asks);
        }
        self.items.push(item);
    }

    /// A promise is taken back.
    pub(super) fn take_back(&mut self, now: Instant, id: WorkItemId) {
        let open = |item: &Item| item.id == id && item.promise.is_some();
        if self.items.iter().any(open) {
            self.withdraw(now, id);
        }
    }

    /// The work item that an agent took and has not been connected with.
    fn taken_by(&self, i: usize) -> Option<usize> {
        let Work::Rung {
            item: id,
            answered: true,
            ..
        } = self.agents[i].work
        else {
            return None;
        };
        self.items.iter().position(|item| item.id == id)
    }

    /// The customer may not be called yet: no try, and the place stays.
    pub(super) fn not_yet(&mut self, now: Instant, offer: OfferId, until: Option<Instant>) {
        let Some(i) = self.by_offer(offer) else {
            return;
        };
        let at = self.taken_by(i);
        let until = until.map_or(now + Duration::from_secs(60), |until| {
            until.max(now + Duration::from_secs(1))
        });
        if let Some(promise) = at.and_then(|at| self.items[at].promise.as_mut()) {
            (promise.due, promise.postponed) = (Some(until), true);
            self.drop_offer(now, i);
        }
    }

    /// The customer could not be had: the agent is free without a mark.
    pub(super) fn not_reached(&mut self, now: Instant, offer: OfferId, why: CallbackFailure) {
        let Some(i) = self.by_offer(offer) else {
            return;
        };
        let Some(at) = self.taken_by(i) else {
            return;
        };
        let of = self.queue(&self.items[at].queue);
        let retries = of.and_then(|of| of.callback.clone()).map(|c| c.retries);
        let Some(promise) = &mut self.items[at].promise else {
            return;
        };
        promise.attempts += 1;
        let again = retries.and_then(|retries| retries.get(promise.attempts - 1).copied());
        match again {
            Some(again) if why != CallbackFailure::NotAllowed => promise.due = Some(now + again),
            _ => {
                self.items.remove(at);
            }
        }
        self.drop_offer(now, i);
    }

    /// Tries that are due stand in line again; what has expired goes, unless somebody is being had for it.
    pub(super) fn keep_promises(&mut self, now: Instant) {
        for item in &mut self.items {
            if let Some(promise) = &mut item.promise
                && let Some(due) = promise.due.filter(|due| *due <= now)
            {
                promise.due = None;
                let postponed = std::mem::take(&mut promise.postponed);
                if promise.attempts > 1 && !postponed {
                    item.virtual_start = nanos(due);
                    item.aged_from = nanos(due);
                }
            }
        }
        let agents = &self.agents;
        self.items.retain(|item| {
            let rung = agents
                .iter()
                .any(|a| matches!(&a.work, Work::Rung { item: of, .. } if *of == item.id));
            let expired = item.promise.as_ref().is_some_and(|p| p.expires <= now);
            rung || !expired
        });
    }

    /// The caller takes the place of the callback, if it is the better one.
    pub(super) fn take_place(&mut self, now: Instant, id: WorkItemId, callback: WorkItemId) {
        let waits = self.items.iter().any(|i| i.id == id && i.promise.is_none());
        let Some(first) = self
            .items
            .iter()
            .find(|i| i.id == callback && i.promise.is_some() && waits)
        else {
            return;
        };
        let (key, aged_from) = (
            (first.class, first.virtual_start, first.number),
            first.aged_from,
        );
        self.withdraw(now, callback);
        if let Some(item) = self.items.iter_mut().find(|i| i.id == id)
            && key < (item.class, item.virtual_start, item.number)
        {
            (item.class, item.virtual_start, item.number) = key;
            item.aged_from = aged_from;
        }
    }
}

//! The queues' promises, seen from the published facts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Evidence, Known, Verdict, acd_fact};
use crate::base::{Duration, Instant};
use crate::sim::trace::Happening;

/// Deadlines are written to the journal in microseconds.
const ROUNDING: Duration = Duration::from_millis(1);

fn text<'a>(fact: &'a Value, key: &str) -> &'a str {
    fact.get(key).and_then(Value::as_str).unwrap_or("")
}

/// Who waits where, and how many entered each queue and left it.
#[derive(Clone, Default)]
struct Sums {
    waiting: BTreeMap<(String, String), Instant>,
    totals: BTreeMap<String, (u64, u64)>,
    /// Callbacks that are not over: they are counted apart.
    callbacks: BTreeSet<String>,
    /// Callbacks that are over, until their conversation is told.
    called_back: BTreeSet<String>,
}

impl Sums {
    fn take(&mut self, at: Instant, fact: &Value) -> Result<(), String> {
        let (item, queue) = (text(fact, "item"), text(fact, "queue"));
        let key = (queue.to_string(), item.to_string());
        match text(fact, "type") {
            "queued" => {
                self.totals.entry(queue.to_string()).or_default().0 += 1;
                if self.waiting.insert(key, at).is_some() {
                    return Err(format!(
                        "{item} entered {queue} while it already waited there"
                    ));
                }
            }
            "callback-promised" => {
                let callback = text(fact, "callback").to_string();
                if !self.callbacks.insert(callback.clone()) {
                    return Err(format!("{callback} was promised twice"));
                }
            }
            "callback-ended" => {
                let callback = text(fact, "callback");
                if !self.callbacks.remove(callback) {
                    return Err(format!("{callback} ended and was not promised"));
                }
                self.called_back.insert(callback.to_string());
            }
            "connected" if self.called_back.remove(item) => {}
            kind @ ("connected" | "abandoned" | "left" | "withdrawn") => {
                self.totals.entry(queue.to_string()).or_default().1 += 1;
                if self.waiting.remove(&key).is_none() {
                    return Err(format!(
                        "{item} was {kind} in {queue}, where it did not wait"
                    ));
                }
            }
            _ => {}
        }
        for (queue, (entered, ended)) in &self.totals {
            let inside = self.waiting.keys().filter(|(q, _)| q == queue).count() as u64;
            if *entered != ended + inside {
                return Err(format!(
                    "{queue}: {entered} entered, {ended} ended, {inside} wait"
                ));
            }
        }
        Ok(())
    }
}

/// offered = answered + abandoned + flowed out + timed out + withdrawn + waiting, per queue, and nobody waits at the end.
pub(super) fn sums_hold(evidence: &Evidence<'_>) -> Verdict {
    let mut sums = Known::<Sums>::default();
    for (at, happening) in evidence.trace.entries() {
        sums.pass(happening);
        if let Some(fact) = acd_fact(happening) {
            let taken = sums.now.take(*at, fact);
            taken.map_err(|sentence| (Some(*at), sentence))?;
        }
    }
    match sums.now.waiting.into_iter().next() {
        Some(((queue, item), since)) => {
            Err((Some(since), format!("{item} waits in {queue} for ever")))
        }
        None => Ok(()),
    }
}

/// No agent is offered two work items at a time, none during wrap-up or while talking or logged out; one winner for each item.
pub(super) fn offers_are_legal(evidence: &Evidence<'_>) -> Verdict {
    let mut alerting: BTreeMap<String, String> = BTreeMap::new();
    let mut talking: BTreeSet<String> = BTreeSet::new();
    let mut wrap = Known::<BTreeMap<String, (Instant, Duration)>>::default();
    let mut item_offers: BTreeMap<String, usize> = BTreeMap::new();
    let mut winners: BTreeMap<String, String> = BTreeMap::new();
    for (at, happening) in evidence.trace.entries() {
        wrap.pass(happening);
        if matches!(happening, Happening::Crash(_)) {
            // Offers and talks die with the process; wrap-ups do not.
            alerting.clear();
            talking.clear();
            item_offers.clear();
            winners.clear();
            continue;
        }
        let Some(fact) = acd_fact(happening) else {
            continue;
        };
        let agent = text(fact, "agent").to_string();
        let (item, queue) = (text(fact, "item").to_string(), text(fact, "queue"));
        let fault = |sentence: String| Err((Some(*at), sentence));
        match text(fact, "type") {
            "agent-offered" => {
                let offer = text(fact, "offer").to_string();
                if let Some(other) = alerting.insert(agent.clone(), offer.clone()) {
                    return fault(format!(
                        "{agent} was offered {offer} while offer {other} was open"
                    ));
                }
                if talking.contains(&agent) {
                    return fault(format!("{agent} was offered {item} while with a customer"));
                }
                if let Some((since, length)) = wrap.now.get(&agent) {
                    let past = at.since(*since);
                    if past + ROUNDING < *length {
                        return fault(format!(
                            "{agent} was offered {item} {} ms into a wrap-up of {} ms",
                            past.as_millis(),
                            length.as_millis()
                        ));
                    }
                }
                *item_offers.entry(item).or_default() += 1;
            }
            "agent-offer-ended" => {
                if alerting.get(&agent).map(String::as_str) == Some(text(fact, "offer")) {
                    alerting.remove(&agent);
                }
                talking.remove(&agent);
                if let Some(count) = item_offers.get_mut(&item) {
                    *count = count.saturating_sub(1);
                }
            }
            "agent-answered" => {
                alerting.remove(&agent);
                talking.insert(agent.clone());
            }
            "connected" => {
                if let Some(first) = winners.insert(item.clone(), agent.clone()) {
                    return fault(format!("{item} was connected to {first} and to {agent}"));
                }
            }
            "queued" => {
                winners.remove(&item);
            }
            // Who has logged out has no wrap-up any more, even after the next log-in.
            "agent-state" if text(fact, "state") == "logged-out" => {
                wrap.now.remove(&agent);
            }
            "segment-ended" => {
                talking.remove(&agent);
                if let Some(length) = evidence.rules.wrap_up.get(queue) {
                    wrap.now.insert(agent, (*at, *length));
                }
            }
            "wrap-ended" => {
                let how = text(fact, "how");
                if let Some((since, length)) = wrap.now.remove(&agent)
                    && how == "timer"
                {
                    let past = at.since(since);
                    let late = past.saturating_sub(length);
                    if past + ROUNDING < length
                        || (late > Duration::from_millis(250) && !evidence.trace.has_crash())
                    {
                        return fault(format!(
                            "{agent}'s wrap-up of {} ms ended after {} ms",
                            length.as_millis(),
                            past.as_millis()
                        ));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[derive(Clone)]
struct Place {
    queue: String,
    order: usize,
    open_offers: usize,
    connecting: bool,
    call: String,
}

/// Who waits when a call goes to a queue: who began it, or who is left of a call of which the other was the transferor.
#[derive(Default)]
struct Seats {
    calls: BTreeMap<String, Seat>,
}

/// The numbers of who would wait and of whom that party talks with; `None` where the facts do not tell.
struct Seat {
    waits: Option<String>,
    other: Option<String>,
}

impl Seats {
    fn hear(&mut self, happening: &Happening) {
        let Happening::Event(event) = happening else {
            return;
        };
        let (fact, acd) = (&event["fact"]["call"], &event["fact"]["acd"]);
        let number = |party: &str| Some(text(&fact[party], "number").to_string());
        if fact["type"] == "started" {
            let seat = Seat {
                waits: number("from"),
                other: None,
            };
            self.calls.insert(text(fact, "call").to_string(), seat);
        }
        if acd["type"] == "connected"
            && let Some(seat) = self.calls.get_mut(text(acd, "call"))
        {
            seat.other = Some(text(acd, "agent").to_string());
        }
        let Some(seat) = self.calls.get_mut(text(fact, "call")) else {
            return;
        };
        if fact["type"] == "answered" && fact["role"] == "callee" {
            seat.other = number("party");
        }
        if fact["type"] == "transferred" && fact["how"] == "attended" {
            // somebody of another call takes the place of either
            (seat.waits, seat.other) = (None, None);
        } else if fact["type"] == "transferred" {
            let other = seat.other.take();
            if seat.waits == number("by") {
                seat.waits = other;
            }
        }
    }

    fn who(&self, call: &str) -> Option<&str> {
        self.calls.get(call)?.waits.as_deref()
    }
}

/// An AgentOffer goes to the work item that has waited longest in its queue, except where that one was just refused by the same
/// agent, or is that agent's own call, or may be. All work items of the simulated house have the same class, credit and skills.
pub(super) fn first_come_first_served(evidence: &Evidence<'_>) -> Verdict {
    const REFUSED_LATELY: Duration = Duration::from_secs(45);
    let mut known = Known::<BTreeMap<String, Place>>::default();
    let mut refused: BTreeMap<(String, String), Instant> = BTreeMap::new();
    // they stand at the place of whoever asked, which these facts do not tell
    let mut callbacks: BTreeSet<String> = BTreeSet::new();
    let mut seats = Seats::default();
    for (order, (at, happening)) in evidence.trace.entries().iter().enumerate() {
        known.pass(happening);
        seats.hear(happening);
        let Some(fact) = acd_fact(happening) else {
            continue;
        };
        let (at, places) = (*at, &mut known.now);
        let (item, agent) = (text(fact, "item").to_string(), text(fact, "agent"));
        match text(fact, "type") {
            "queued" => {
                let place = Place {
                    queue: text(fact, "queue").to_string(),
                    order,
                    open_offers: 0,
                    connecting: false,
                    call: text(fact, "call").to_string(),
                };
                places.insert(item, place);
            }
            "callback-promised" => {
                callbacks.insert(text(fact, "callback").to_string());
            }
            "agent-offered" if callbacks.contains(&item) => {}
            "agent-offered" => {
                let Some(own) = places.get(&item) else {
                    return Err((Some(at), format!("{item} was offered and does not wait")));
                };
                if seats.who(&own.call) == Some(agent) {
                    return Err((Some(at), format!("{agent} was offered the own call {item}")));
                }
                let passed_over = places.iter().find(|(other, place)| {
                    place.queue == own.queue
                        && place.order < own.order
                        && place.open_offers == 0
                        && !place.connecting
                        && seats.who(&place.call).is_some_and(|who| who != agent)
                        && refused
                            .get(&((*other).clone(), agent.to_string()))
                            .is_none_or(|when| at.since(*when) > REFUSED_LATELY)
                });
                if let Some((other, _)) = passed_over {
                    let sentence = format!("{agent} was offered {item}, but {other} came before");
                    return Err((Some(at), sentence));
                }
                if let Some(place) = places.get_mut(&item) {
                    place.open_offers += 1;
                }
            }
            "agent-offer-ended" => {
                if let Some(place) = places.get_mut(&item) {
                    place.open_offers = place.open_offers.saturating_sub(1);
                    place.connecting = false;
                }
                refused.insert((item, agent.to_string()), at);
            }
            "agent-answered" => {
                if let Some(place) = places.get_mut(&item) {
                    place.open_offers = place.open_offers.saturating_sub(1);
                    place.connecting = true;
                }
            }
            "connected" | "abandoned" | "left" | "withdrawn" => {
                places.remove(&item);
            }
            _ => {}
        }
    }
    Ok(())
}

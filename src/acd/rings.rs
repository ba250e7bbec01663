//! Who may have a work item, and who comes first: holds that end by themselves, preferred agents, and rings that widen with the wait.

use super::agent::{Agent, AgentKey, Assignment};
use super::command::WorkItemId;
use super::core::{Acd, Cx};
use super::event::AcdEvent;
use super::explain::Why;
use super::item::{Item, ItemTimer, Needs, needs_in_ring};
use super::matching::lacking;
use super::queue::Queue;
use super::strategy::{self, Place, Strategy};
use crate::base::{Duration, Entropy, Instant};

/// The only staffed agent is not offered a work item again for no longer than this, so that nobody is orphaned.
const NO_REOFFER_ALONE: Duration = Duration::from_secs(10);

/// What comes before an agent's place when its rank depends on the work item: not preferred, ring, level, the strategy's key.
type Rank = (bool, u8, u8, i64);

impl Acd {
    /// What keeps this free agent from this work item, skills apart: named holds that end by themselves.
    pub(super) fn held(
        &self,
        now: Instant,
        item: &Item,
        (key, agent): (AgentKey, &Agent),
        of: &Assignment,
        queue: &Queue,
    ) -> Option<Why> {
        match agent.ring_in(of) {
            Some(ring) if ring <= item.ring => {}
            Some(ring) => return Some(Why::OuterRing(ring)),
            None => return Some(Why::AssignmentOff),
        }
        if item.caller.extension.as_ref() == Some(agent.extension()) {
            return Some(Why::OwnCall);
        }
        if queue.shut && item.callback.is_some() {
            return Some(Why::QueueClosed);
        }
        if let Some(bound) = item.callback.as_ref().and_then(|c| c.agent.as_ref())
            && bound != agent.extension()
        {
            return Some(Why::BoundTo(bound.clone()));
        }
        for (other, since) in &item.no_reoffer {
            if *other == key {
                let alone = queue.staffed_total() == 1;
                let hold = queue.settings.no_reoffer;
                let hold = if alone {
                    hold.min(NO_REOFFER_ALONE)
                } else {
                    hold
                };
                let until = *since + hold;
                if now < until {
                    return Some(Why::NoReoffer(until.since(now)));
                }
            }
        }
        if is_preferred(item, agent) {
            // Who is asked for by name is not kept away by a level.
            return None;
        }
        if let Some(left) = self.kept_for(now, item) {
            return Some(Why::KeptFor(left));
        }
        let waited = item.waited(now);
        let skips = queue.settings.skip_delay_when_unstaffed;
        if waited < of.delay && (queue.lower_level_staffed(of.level) || !skips) {
            return Some(Why::LevelDelay {
                level: of.level,
                delay: of.delay,
                waited,
            });
        }
        None
    }

    /// For how long the work item is still kept for those whom it prefers: while one of them is staffed in its queue.
    fn kept_for(&self, now: Instant, item: &Item) -> Option<Duration> {
        let prefer = item.prefer.as_ref()?;
        let left = prefer.hold.checked_sub(item.waited(now))?;
        let staffed = self
            .preferred(item)
            .any(|(_, agent)| agent.standings.get(&item.queue).is_some_and(|s| s.staffed));
        (staffed && !left.is_zero()).then_some(left)
    }

    fn preferred<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = (AgentKey, &'a Agent)> {
        let names = item.prefer.iter().flat_map(|prefer| &prefer.agents);
        names.filter_map(|name| {
            let key = *self.agent_names.get(name)?;
            Some((key, self.agents.get(key)?))
        })
    }

    /// The free agents who could have the work item if nothing spoke against it, by ring and level: those of the rings that it has
    /// reached, or those alone for whom it is kept.
    pub(super) fn reachable<'a>(
        &'a self,
        now: Instant,
        item: &'a Item,
        queue: &'a Queue,
    ) -> Box<dyn Iterator<Item = &'a Place> + 'a> {
        if self.kept_for(now, item).is_some() {
            let places = self.preferred(item).filter_map(|(_, agent)| {
                let standing = agent.standings.get(&item.queue)?;
                standing.place.as_ref()
            });
            let mut places: Vec<&Place> = places.collect();
            places.sort_unstable();
            return Box::new(places.into_iter());
        }
        let ring = item.ring;
        Box::new(
            queue
                .free
                .iter()
                .take_while(move |place| place.ring <= ring),
        )
    }

    /// The free agents of the queue in the order for this work item, where the set that is kept cannot say it.
    pub(super) fn ranked<'a>(
        &self,
        now: Instant,
        item: &Item,
        queue: &'a Queue,
        seed: Option<u64>,
    ) -> Vec<(Rank, &'a Place)> {
        let mut entropy = Entropy::from_number(seed.unwrap_or(0));
        let rings: Vec<Needs> = (0..=item.ring)
            .map(|ring| needs_in_ring(&item.skills, rings_up_to(queue, ring)))
            .collect();
        let last = queue.last_offered.as_ref();
        let mut places: Vec<_> = queue
            .free
            .iter()
            .take_while(|place| place.ring <= item.ring)
            .filter_map(|place| {
                let agent = self.agents.get(place.agent?)?;
                let key = match queue.settings.strategy {
                    Strategy::Random => strategy::random::key(&mut entropy),
                    Strategy::LeastOccupied => agent.occupancy(now),
                    Strategy::MostProficient => {
                        strategy::most_proficient::key(&agent.skills, &item.skills)
                    }
                    Strategy::RoundRobin => {
                        i64::from(last.is_some_and(|last| place.extension <= *last))
                    }
                    Strategy::LongestIdle
                    | Strategy::Fixed
                    | Strategy::FewestCalls
                    | Strategy::RingAll => place.key,
                };
                let skilled = rings
                    .iter()
                    .position(|needs| lacking(agent, needs).is_none());
                let skilled = u8::try_from(skilled.unwrap_or(usize::MAX)).unwrap_or(u8::MAX);
                let ring = place.ring.max(skilled);
                Some(((!is_preferred(item, agent), ring, place.level, key), place))
            })
            .collect();
        // Ties fall to rank, idle time, AgentOffers and extension: the order of `Place` after its own key, which is the same then.
        places.sort_unstable();
        places
    }

    /// Lets the work item reach the rings whose wait is over: what it asks for only widens.
    pub(super) fn widen(&mut self, cx: &mut Cx, id: WorkItemId) {
        let open = |item: &&mut Box<Item>| item.queued && !item.parked;
        let Some(item) = self.items.get_mut(&id).filter(open) else {
            return;
        };
        let Some(queue) = self.queues.get_mut(item.queue) else {
            return;
        };
        let waited = item.waited(cx.now.mono);
        let due = queue
            .settings
            .expand
            .iter()
            .take_while(|e| e.after <= waited);
        let ring = u8::try_from(due.count()).unwrap_or(u8::MAX).max(item.ring);
        let needs = needs_in_ring(&item.skills, rings_up_to(queue, ring));
        if ring == item.ring && needs == item.needs {
            return;
        }
        let was_open = queue.leave(item);
        let wider = ring > item.ring;
        (item.ring, item.needs) = (ring, needs);
        queue.join(item);
        if was_open {
            queue.open(item);
        }
        if wider {
            item.note(cx.now.wall, "expanded", None, format!("ring {ring}"));
            cx.event(AcdEvent::Expanded {
                item: id,
                queue: queue.name().clone(),
                ring,
            });
        }
    }

    /// Wakes the work item when the next hold ends or the next ring is due.
    pub(super) fn arm_wake(&mut self, now: Instant, id: WorkItemId) {
        let Some(item) = self.items.get(&id) else {
            return;
        };
        let Some(queue) = self.queues.get(item.queue) else {
            return;
        };
        let waited = item.waited(now);
        let delay = queue.delays.iter().copied().find(|delay| *delay > waited);
        let ring = queue.settings.expand.get(usize::from(item.ring));
        let hold = item.prefer.as_ref().map(|prefer| prefer.hold);
        let waits = [
            delay,
            ring.map(|ring| ring.after),
            hold.filter(|hold| *hold > waited),
        ];
        let by_wait = waits
            .into_iter()
            .flatten()
            .map(|wait| item.entered.mono + wait);
        let by_refusal = item
            .no_reoffer
            .iter()
            .flat_map(|(_, since)| {
                let hold = queue.settings.no_reoffer;
                [*since + hold.min(NO_REOFFER_ALONE), *since + hold]
            })
            .filter(|at| *at > now);
        let due = item.callback.as_ref().and_then(|callback| callback.due);
        let next = match due {
            Some((due, _)) if item.parked => Some(due),
            _ => by_wait.chain(by_refusal).min(),
        };
        self.set_item_timer(id, ItemTimer::Wake, next);
    }

    /// Place in the queue, 1 is next: those before it who need any of the same agents.
    pub(super) fn place_of(&self, item: &Item, queue: &Queue) -> u32 {
        let before: usize = queue
            .by_needs
            .iter()
            .filter(|(needs, _)| self.have_in_common(queue, &item.needs, needs))
            .map(|(_, line)| line.before(&item.order))
            .sum();
        u32::try_from(before).unwrap_or(u32::MAX - 1) + 1
    }

    /// True when some agent of the queue can serve both sets of needs. Asked of the agents once, then remembered until they change.
    fn have_in_common(&self, queue: &Queue, one: &Needs, other: &Needs) -> bool {
        if one == other {
            return true;
        }
        let pair = if one < other {
            (one.clone(), other.clone())
        } else {
            (other.clone(), one.clone())
        };
        if let Some(known) = queue.in_common.borrow().get(&pair) {
            return *known;
        }
        let mut agents = queue
            .assigned
            .iter()
            .filter_map(|key| self.agents.get(*key));
        let common =
            agents.any(|agent| lacking(agent, one).is_none() && lacking(agent, other).is_none());
        queue.in_common.borrow_mut().insert(pair, common);
        common
    }
}

fn is_preferred(item: &Item, agent: &Agent) -> bool {
    item.prefer
        .as_ref()
        .is_some_and(|prefer| prefer.agents.contains(agent.extension()))
}

fn rings_up_to(queue: &Queue, ring: u8) -> &[super::settings::Expansion] {
    let expand = &queue.settings.expand;
    expand.get(..usize::from(ring)).unwrap_or(expand)
}

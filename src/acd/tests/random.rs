//! Random sequences of commands with faults, against the invariants I1 to I14, I17 and I20 of acd.toml §21.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{Just, ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use super::watcher::Watcher;
use super::*;

const AGENTS: [&str; 5] = ["1", "2", "3", "4", "5"];
const QUEUES: [&str; 3] = ["a", "b", "c"];
/// Callbacks that queue a takes at once.
const CAP: u32 = 3;

/// One thing that happens; numbers pick from what there is.
#[derive(Clone, Debug)]
enum Op {
    Enter {
        queue: usize,
        credit: u64,
        class: u8,
        skilled: bool,
        prefer: Option<usize>,
    },
    Withdraw(usize, u8),
    Login(usize),
    Logout(usize),
    Ready(usize),
    NotReady(usize),
    EndWrap(usize),
    Toggle(usize, Option<usize>, bool),
    Devices(usize, u32),
    Hours(usize, bool),
    Live(usize, u32),
    Alerting(usize),
    Answered(usize),
    Bridged(usize),
    Ended(usize, u8),
    /// Of any AgentOffer that ever was: late, twice, out of order.
    Stale(usize, u8),
    SegmentEnded(usize),
    Wait(u64),
    /// Another place for somebody who waits.
    Rekey(usize, u8, u64),
    Decline(usize, u8),
    Dispose(usize, bool),
    ExtendWrap(usize, u64),
    /// A callback, in the place of a waiting work item or without one.
    Promise {
        of: usize,
        queue: usize,
        number: u8,
        agent: Option<usize>,
    },
    CallbackFailed(usize, bool),
    CallbackPostponed(usize, Option<u16>),
    CancelCallback(usize),
    TakePlace(usize, usize),
    Reload,
    Change(usize, u8),
    WallStep(i64),
    Kill,
}

fn op() -> impl proptest::strategy::Strategy<Value = Op> {
    prop_oneof![
        6 => (0..3usize, 0..60u64, 4..6u8, any::<bool>(), proptest::option::weighted(0.2, 0..5usize)).prop_map(|(queue, credit, class, skilled, prefer)| Op::Enter { queue, credit, class, skilled, prefer }),
        2 => (0..20usize, 0..3u8).prop_map(|(n, c)| Op::Withdraw(n, c)),
        2 => (0..5usize).prop_map(Op::Login),
        1 => (0..5usize).prop_map(Op::Logout),
        4 => (0..5usize).prop_map(Op::Ready),
        1 => (0..5usize).prop_map(Op::NotReady),
        1 => (0..5usize).prop_map(Op::EndWrap),
        1 => (0..5usize, proptest::option::of(0..3usize), any::<bool>()).prop_map(|(a, q, on)| Op::Toggle(a, q, on)),
        3 => (0..5usize, 0..3u32).prop_map(|(a, n)| Op::Devices(a, n)),
        1 => (0..3usize, proptest::bool::weighted(0.7)).prop_map(|(q, open)| Op::Hours(q, open)),
        1 => (0..5usize, 0..3u32).prop_map(|(a, n)| Op::Live(a, n)),
        4 => (0..5usize).prop_map(Op::Alerting),
        5 => (0..5usize).prop_map(Op::Answered),
        5 => (0..5usize).prop_map(Op::Bridged),
        3 => (0..5usize, 0..9u8).prop_map(|(a, o)| Op::Ended(a, o)),
        2 => (0..50usize, 0..4u8).prop_map(|(n, o)| Op::Stale(n, o)),
        3 => (0..5usize).prop_map(Op::SegmentEnded),
        5 => prop_oneof![0..3_000u64, 0..60_000u64].prop_map(Op::Wait),
        1 => (0..20usize, 0..3u8, 0..60u64).prop_map(|(n, to, by)| Op::Rekey(n, to, by)),
        1 => (0..5usize, 0..3u8).prop_map(|(a, reason)| Op::Decline(a, reason)),
        2 => (0..5usize, any::<bool>()).prop_map(|(a, known)| Op::Dispose(a, known)),
        1 => (0..5usize, 0..30u64).prop_map(|(a, by)| Op::ExtendWrap(a, by)),
        3 => (0..20usize, 0..3usize, 0..6u8, proptest::option::weighted(0.3, 0..5usize)).prop_map(|(of, queue, number, agent)| Op::Promise { of, queue, number, agent }),
        2 => (0..5usize, any::<bool>()).prop_map(|(a, allowed)| Op::CallbackFailed(a, allowed)),
        2 => (0..5usize, any::<Option<u16>>()).prop_map(|(a, until)| Op::CallbackPostponed(a, until)),
        1 => (0..20usize).prop_map(Op::CancelCallback),
        1 => (0..20usize, 0..20usize).prop_map(|(n, c)| Op::TakePlace(n, c)),
        1 => Just(Op::Reload),
        1 => (0..3usize, 0..6u8).prop_map(|(q, what)| Op::Change(q, what)),
        1 => (-7_200_000..7_200_000i64).prop_map(Op::WallStep),
        1 => Just(Op::Kill),
    ]
}

fn settings() -> AcdSettings {
    let mut floor = Floor::new(vec![
        QueueSettings {
            max_wait: Some(secs(120)),
            overflow: vec![OverflowRule {
                when: OverflowWhen::NobodyLoggedIn(secs(60)),
            }],
            max_waiting: Some(6),
            class_promote_after: Some(secs(50)),
            expand: vec![
                Expansion {
                    after: secs(15),
                    min_delta: 2,
                    add_agents: vec!["4".into()],
                    ..Expansion::default()
                },
                Expansion {
                    after: secs(40),
                    drop: vec!["german".into()],
                    add_queues: vec!["c".into()],
                    ..Expansion::default()
                },
            ],
            callback: Some(CallbackSettings {
                cap: Some(CAP),
                ttl: secs(400),
                retries: vec![secs(5), secs(30)],
                ..CallbackSettings::default()
            }),
            decline: Declining {
                reason_required: true,
                reasons: vec!["break".into()],
                action: RonaAction::NotReady,
            },
            ..queue("a", &["1", "2", "3"])
        },
        QueueSettings {
            strategy: super::Strategy::RingAll,
            ring_all_max: 2,
            callback: Some(CallbackSettings::default()),
            at_closing: AtClosing::SendOn,
            disposition_required: true,
            dispositions: vec!["sold".into()],
            wrap_hard_max: secs(40),
            rona: Rona {
                after: 1,
                action: RonaAction::Cooldown(secs(15)),
            },
            ..queue("b", &["2", "3", "4", "5"])
        },
        QueueSettings {
            strategy: super::Strategy::RoundRobin,
            announce: Some(Announce {
                every: secs(20),
                position: true,
                wait: true,
            }),
            wrap_up: secs(4),
            weight: 2,
            age_scope: AgeScope::Queue,
            ..queue("c", &["1", "4", "5"])
        },
    ]);
    floor.settings.queues[0].agents[2].level = 2;
    floor.settings.queues[0].agents[2].delay = secs(10);
    floor.settings.agents[3].skills = vec![("german".into(), 7)];
    floor.settings.agents[0].skills = vec![("german".into(), 7)];
    floor.settings.agents[1].call_waiting = true;
    floor.settings.clone()
}

fn outcome(n: u8) -> OfferOutcome {
    match n {
        0 => OfferOutcome::NoAnswer,
        1 => OfferOutcome::Declined,
        2 => OfferOutcome::Busy,
        3 => OfferOutcome::Unreachable,
        4 => OfferOutcome::NoMedia,
        5 => OfferOutcome::CallerGone,
        6 => OfferOutcome::Failed(302),
        7 => OfferOutcome::Failed(480),
        _ => OfferOutcome::Failed(500),
    }
}

fn keys(floor: &Floor) -> BTreeMap<WorkItemId, (u8, u64, WallTime)> {
    let waiting = QUEUES.iter().flat_map(|q| floor.acd.waiting(floor.now, q));
    waiting
        .map(|i| (i.id, (i.class, i.credit_ms, i.arrival)))
        .collect()
}

fn line_orders(floor: &Floor) -> [Vec<WorkItemId>; 3] {
    QUEUES.map(|q| {
        let waiting = floor.acd.waiting(floor.now, q).into_iter();
        waiting.map(|i| i.id).collect()
    })
}

fn number(n: u8) -> Arc<str> {
    format!("+442071830{n:03}").into()
}

fn any_item(floor: &Floor, n: usize) -> Option<WorkItemId> {
    let items = floor.acd.items(floor.now);
    Some(items.get(n % items.len().max(1))?.id)
}

/// I8: one open callback for a number in a queue, and no more than the cap.
fn check_callbacks(floor: &Floor) {
    let items = floor.acd.items(floor.now);
    let open = |item: &&WorkItemView| {
        let served = matches!(item.state, ItemState::Connected);
        item.callback.is_some() && !served
    };
    let mut seen = BTreeSet::new();
    for item in items.iter().filter(open) {
        assert!(
            seen.insert((item.queue.clone(), item.callback.clone())),
            "I8: two callbacks for {:?}",
            item.callback
        );
    }
    for queue in QUEUES {
        let view = floor.acd.queue(floor.now, queue).expect("configured");
        let counters = &view.metrics.counters.callbacks;
        assert!(
            counters.identity_holds(view.callbacks.into()),
            "I8: {counters:?}"
        );
    }
}

fn apply(floor: &mut Floor, watcher: &mut Watcher, op: &Op) {
    let name = |n: &usize| -> Arc<str> { AGENTS[*n].into() };
    let (before, lines) = (keys(floor), line_orders(floor));
    let effects = match op {
        Op::Enter {
            queue,
            credit,
            class,
            skilled,
            prefer: by,
        } => {
            watcher.entered += 1;
            let skills: &[(&str, u8)] = if *skilled { &[("german", 8)] } else { &[] };
            let mut command = floor.entry(
                watcher.entered,
                QUEUES[*queue],
                secs(*credit),
                *class,
                skills,
            );
            if let AcdCommand::Enter { prefer, caller, .. } = &mut command {
                *prefer = by.map(|agent| Preference {
                    agents: vec![AGENTS[agent].into()],
                    hold: secs(20),
                });
                caller.number = number(watcher.entered as u8 % 6);
            }
            floor.send(command)
        }
        Op::Rekey(n, to, by) => {
            let Some(of) = any_item(floor, *n) else {
                return;
            };
            let to = match to {
                0 => Priority::Front,
                1 => Priority::Class((*by % 10) as u8),
                _ => Priority::Credit(secs(*by)),
            };
            let by = "1000".into();
            floor.send(AcdCommand::Rekey { item: of, to, by })
        }
        Op::Decline(a, reason) => {
            let Some((offer, _)) = watcher.ringing.get(AGENTS[*a]).copied() else {
                return;
            };
            let reason =
                [None, Some("break".into()), Some("mood".into())][*reason as usize].clone();
            floor.send(AcdCommand::Decline { offer, reason })
        }
        Op::Dispose(a, known) => {
            let Some(item) = floor.agent(AGENTS[*a]).item else {
                return;
            };
            let code = if *known { "sold" } else { "mood" };
            floor.send(AcdCommand::Dispose {
                item,
                code: code.into(),
            })
        }
        Op::ExtendWrap(a, by) => floor.send(AcdCommand::ExtendWrap {
            agent: name(a),
            by: secs(*by),
        }),
        Op::Promise {
            of,
            queue,
            number: to,
            agent,
        } => {
            watcher.entered += 1;
            let of = any_item(floor, *of).filter(|of| !watcher.callbacks.contains(of));
            floor.send(AcdCommand::RequestCallback(Box::new(CallbackRequest {
                callback: item(watcher.entered),
                of,
                queue: QUEUES[*queue].into(),
                agent: agent.map(|agent| AGENTS[agent].into()),
                number: number(*to),
                credit: Duration::ZERO,
                class: 5,
                skills: Vec::new(),
                prefer: None,
                caller: CallerInfo::default(),
                call: Ulid(0),
            })))
        }
        Op::CallbackFailed(a, allowed) => {
            let Some((offer, _)) = watcher.ringing.get(AGENTS[*a]).copied() else {
                return;
            };
            let failure = if *allowed {
                CallbackFailure::Busy
            } else {
                CallbackFailure::NotAllowed
            };
            floor.send(AcdCommand::CallbackFailed { offer, failure })
        }
        Op::CallbackPostponed(a, until) => {
            let Some((offer, _)) = watcher.ringing.get(AGENTS[*a]).copied() else {
                return;
            };
            let until = until.map(|until| floor.now.wall + secs(u64::from(until)));
            floor.send(AcdCommand::CallbackPostponed { offer, until })
        }
        Op::CancelCallback(n) => {
            let Some(callback) = any_item(floor, *n) else {
                return;
            };
            floor.send(AcdCommand::CancelCallback { callback })
        }
        Op::TakePlace(n, c) => {
            let (Some(item), Some(callback)) = (any_item(floor, *n), any_item(floor, *c)) else {
                return;
            };
            floor.send(AcdCommand::TakePlace { item, callback })
        }
        Op::Withdraw(n, cause) => {
            let items = floor.acd.items(floor.now);
            let Some(of) = items.get(n % items.len().max(1)) else {
                return;
            };
            let cause = match cause {
                0 => Withdrawal::CallerHungUp,
                1 => Withdrawal::Api,
                _ => Withdrawal::DialplanLeft("menu".into()),
            };
            floor.send(AcdCommand::Withdraw { item: of.id, cause })
        }
        Op::Login(a) => floor.send(AcdCommand::Login { agent: name(a) }),
        Op::Logout(a) => floor.send(AcdCommand::Logout { agent: name(a) }),
        Op::Ready(a) => floor.ready(AGENTS[*a]),
        Op::NotReady(a) => floor.not_ready(AGENTS[*a], "break"),
        Op::EndWrap(a) => floor.send(AcdCommand::EndWrap {
            agent: name(a),
            by: WrapEndedBy::Agent,
        }),
        Op::Toggle(a, q, on) => floor.send(AcdCommand::QueueLogin {
            agent: name(a),
            queue: q.map(|q| QUEUES[q].into()),
            on: *on,
        }),
        Op::Devices(a, n) => floor.devices(AGENTS[*a], *n),
        Op::Hours(q, open) => floor.send(AcdCommand::QueueHours {
            queue: QUEUES[*q].into(),
            open: *open,
        }),
        Op::Live(a, n) => floor.send(AcdCommand::Live {
            agent: name(a),
            calls: *n,
        }),
        Op::Alerting(a) | Op::Answered(a) | Op::Bridged(a) | Op::Ended(a, _) => {
            let Some((offer, _)) = watcher.ringing.get(AGENTS[*a]).copied() else {
                return;
            };
            match op {
                Op::Alerting(_) => floor.send(AcdCommand::Alerting { offer }),
                Op::Answered(_) => floor.answered(offer),
                // A switch bridges only what was accepted.
                Op::Bridged(_) if watcher.won.values().any(|of| *of == offer) => {
                    floor.bridged(offer)
                }
                Op::Bridged(_) => return,
                Op::Ended(_, n) => floor.ended(offer, outcome(*n)),
                _ => unreachable!("matched above"),
            }
        }
        Op::Stale(n, what) => {
            let Some(offer) = watcher
                .all_offers
                .get(n % watcher.all_offers.len().max(1))
                .copied()
            else {
                return;
            };
            if watcher.ringing.values().any(|(of, _)| *of == offer) {
                return;
            }
            let out = match what {
                0 => floor.answered(offer),
                1 => floor.bridged(offer),
                2 => floor.send(AcdCommand::Alerting { offer }),
                _ => floor.ended(offer, OfferOutcome::NoAnswer),
            };
            let harmless = out
                .iter()
                .all(|e| matches!(e, AcdEffect::CancelOffer { offer: of, .. } if *of == offer));
            assert!(harmless, "I14: {offer} is over, yet {out:?}");
            out
        }
        Op::SegmentEnded(a) => {
            let view = floor.agent(AGENTS[*a]);
            let Some(of) = view.item.filter(|_| view.offer.is_none()) else {
                return;
            };
            floor.send(AcdCommand::SegmentEnded {
                item: of,
                agent: name(a),
                by: EndedBy::Agent,
            })
        }
        Op::Wait(ms) => floor.wait(Duration::from_millis(*ms)),
        Op::Reload => {
            let out = floor.configure(floor.settings.clone());
            assert_eq!(out, [], "I12");
            out
        }
        Op::Change(q, what) => {
            let mut settings = floor.settings.clone();
            let queue = &mut settings.queues[*q];
            match what {
                0 => queue.wrap_up += secs(1),
                1 => queue.ring_timeout += secs(1),
                2 => queue.strategy = super::Strategy::LongestIdle,
                3 => queue.strategy = super::Strategy::Random,
                4 => queue.agents[0].rank += 1,
                _ => queue.agents.rotate_left(1),
            }
            let state = |f: &Floor| AGENTS.map(|a| (f.agent(a).logged_in, f.agent(a).wrap_until));
            let (agents, counters) = (
                state(floor),
                QUEUES.map(|q| floor.metrics(q).counters.answered),
            );
            let out = floor.configure(settings);
            assert_eq!(
                state(floor),
                agents,
                "a reload logs nobody out and ends no wrap-up"
            );
            assert_eq!(QUEUES.map(|q| floor.metrics(q).counters.answered), counters);
            out
        }
        Op::WallStep(ms) => {
            floor.now.wall = WallTime::from_millis(floor.now.wall.as_millis() + ms);
            return;
        }
        Op::Kill => {
            // I11: what is in the journal is the state.
            let of_journal = super::restore::folded(&floor.journal);
            for (key, record) in super::restore::folded(&floor.acd.snapshot()) {
                match of_journal.get(&key) {
                    Some(kept) => assert_eq!(*kept, record, "I11"),
                    None => assert!(
                        !matches!(record, AcdRecord::Item(_) | AcdRecord::Assignment { .. }),
                        "I11: {key} was not journalled"
                    ),
                }
            }
            return;
        }
    };
    watcher.watch(&effects);
    check_callbacks(floor);
    // I20: who is rung was chosen by a decision that is kept.
    for effect in &effects {
        if let AcdEffect::Offer { item, agent, .. } = effect {
            let why = floor.acd.why_item(*item);
            assert!(
                why.iter().any(|decision| decision.chosen.contains(agent)),
                "I20: nothing says why {agent} is rung for {item}"
            );
        }
    }
    // I6: no key changes while its work item waits, but by an event that says so.
    let after = keys(floor);
    for (id, key) in &before {
        if let Some(now) = after.get(id)
            && !watcher.rekeyed.contains(id)
        {
            assert_eq!(key, now, "I6");
        }
    }
    let still = |order: &[WorkItemId], other: &[WorkItemId]| -> Vec<WorkItemId> {
        let both = order
            .iter()
            .filter(|id| other.contains(id) && !watcher.rekeyed.contains(id));
        both.copied().collect()
    };
    for (was, is) in lines.iter().zip(line_orders(floor)) {
        assert_eq!(
            still(was, &is),
            still(&is, was),
            "I6: the order of two who wait changed"
        );
    }
    // I1 by sight: an AgentOffer that rings is known to be ringing, by both.
    for agent in AGENTS {
        let view = floor.agent(agent);
        assert_eq!(
            view.offer,
            watcher.ringing.get(agent).map(|(of, _)| *of),
            "I3/I4: {agent}"
        );
    }
}

/// Everybody hangs up, everything finishes: then nobody holds anything and no timer is left.
fn wind_down(floor: &mut Floor, watcher: &mut Watcher) {
    for view in floor.acd.items(floor.now) {
        let out = floor.withdraw_id(view.id);
        watcher.watch(&out);
    }
    for agent in AGENTS {
        let view = floor.agent(agent);
        if let Some(of) = view.item.filter(|_| view.state == AgentDisplay::Talking) {
            let out = floor.send(AcdCommand::SegmentEnded {
                item: of,
                agent: agent.into(),
                by: EndedBy::System,
            });
            watcher.watch(&out);
        }
    }
    for view in floor.acd.items(floor.now) {
        let out = floor.send(AcdCommand::CancelCallback { callback: view.id });
        watcher.watch(&out);
    }
    let out = floor.wait(secs(3600));
    watcher.watch(&out);
    assert!(
        watcher.ringing.is_empty() && watcher.won.is_empty(),
        "I4, I13"
    );
    for agent in AGENTS {
        assert_eq!(
            floor.agent(agent).item,
            None,
            "I4: {agent} is idle after all calls"
        );
    }
    for queue in QUEUES {
        let m = floor.metrics(queue);
        assert!(m.identity_holds && m.waiting == 0, "I9: {queue}");
    }
    assert_eq!(floor.acd.timers(), 0, "an idle ACD has no timer");
}

impl Floor {
    fn withdraw_id(&mut self, id: WorkItemId) -> Vec<AcdEffect> {
        self.send(AcdCommand::Withdraw {
            item: id,
            cause: Withdrawal::CallerHungUp,
        })
    }
}

fn run(ops: &[Op]) {
    let mut floor = Floor::bare();
    floor.configure(settings());
    floor.take();
    let mut watcher = Watcher::default();
    for agent in AGENTS {
        let out = floor.staff(agent);
        watcher.watch(&out);
    }
    for op in ops {
        apply(&mut floor, &mut watcher, op);
    }
    wind_down(&mut floor, &mut watcher);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_commands_breaks_an_invariant(ops in proptest::collection::vec(op(), 1..150)) {
        run(&ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[ignore = "takes minutes: make acd"]
    fn ten_thousand_sequences_of_commands_break_no_invariant(ops in proptest::collection::vec(op(), 1..150)) {
        run(&ops);
    }
}

/// I10 with virtual time only: the states of each agent add up to the time since log-in.
#[test]
fn state_times_have_no_gap_and_no_overlap_in_a_random_day() {
    let mut floor = Floor::bare();
    floor.configure(settings());
    let start = floor.now.mono;
    for agent in AGENTS {
        floor.staff(agent);
    }
    let mut draw = Entropy::from_number(10);
    let mut watcher = Watcher::default();
    for n in 1..2000u64 {
        let op = match draw.below(8) {
            0 | 1 => Op::Enter {
                queue: draw.below(3) as usize,
                credit: 0,
                class: 5,
                skilled: false,
                prefer: None,
            },
            2 => Op::Answered(draw.below(5) as usize),
            3 => Op::Bridged(draw.below(5) as usize),
            4 => Op::SegmentEnded(draw.below(5) as usize),
            5 => Op::Ready(draw.below(5) as usize),
            6 => Op::Ended(draw.below(5) as usize, (n % 9) as u8),
            _ => Op::Wait(draw.below(30_000)),
        };
        apply(&mut floor, &mut watcher, &op);
    }
    let passed = (floor.now.mono - start).as_millis() as u64;
    for agent in AGENTS {
        let c = floor.agent(agent).counters;
        let sum =
            c.ready_ms + c.not_ready_ms + c.alerting_ms + c.talk_ms + c.wrap_ms + c.unreachable_ms;
        assert_eq!(sum, passed, "{agent}: {c:?}");
    }
}

#[test]
#[should_panic(expected = "I7: 1 is rung in wrap-up")]
fn a_rule_broken_on_purpose_is_seen() {
    let mut floor = Floor::staffed(queue("a", &["1"]));
    floor.acd.break_rule(BrokenRule::OfferDuringWrap);
    let mut watcher = Watcher::default();
    watcher.watch(&floor.enter(1, "a"));
    let offer = floor.rings("1", 1);
    watcher.watch(&floor.answered(offer));
    watcher.watch(&floor.bridged(offer));
    watcher.watch(&floor.hang_up(1, "1"));
    watcher.watch(&floor.enter(2, "a"));
}

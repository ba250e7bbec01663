//! Lists over restarts and reloads, and what no order of changes may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::base::{Entropy, Ulid};

#[test]
fn lists_survive_as_the_journal_and_as_a_snapshot_of_it() {
    let mut outbound = with(rules());
    let mut journal = Vec::new();
    let (kind, name): (_, Arc<str>) = (ListKind::DoNotCall, "own".into());
    let made = outbound.lists.make(name.clone(), kind, None);
    journal.extend(made.expect("made"));
    assert_eq!(outbound.lists.make(name.clone(), kind, None), Ok(None));
    let another = outbound.lists.make(name.clone(), ListKind::White, None);
    assert_eq!(another, Err(ListRefusal::Another(kind)));
    for number in [LONDON, "+49900*", "+4930123456"] {
        journal.extend(outbound.lists.add(&name, number, entry(at("12:00"))));
    }
    journal.extend(outbound.lists.take(&name, "+4930123456", at("12:00")));
    let bad = outbound.lists.add(&name, "0207", entry(at("12:00")));
    assert_eq!(bad, Err(ListRefusal::NotANumber));
    let gone = outbound.lists.take(&name, "+4930123456", at("12:00"));
    assert_eq!(gone, Err(ListRefusal::NotListed));
    for records in [journal, outbound.snapshot(at("12:00"))] {
        let mut restored = with(rules());
        records.iter().for_each(|record| restored.restore(record));
        let gate = Gate::DoNotCall;
        denied(&restored, at("12:00"), &question(LONDON), gate, "`own`");
        denied(
            &restored,
            at("12:00"),
            &question("+4990012345"),
            gate,
            "+49900*",
        );
        allowed(&restored, at("12:00"), &question("+4930123456"));
        let views = restored.lists.views(at("12:00"));
        assert_eq!(views, outbound.lists.views(at("12:00")));
        assert!(restored.lists.remove(&name).is_ok());
        allowed(&restored, at("12:00"), &question(LONDON));
    }
}

#[test]
fn entries_of_people_stay_when_the_files_say_something_else() {
    let national = || vec![list("national", ListKind::DoNotCall, &["+4930123456"])];
    let mut outbound = with(Rules {
        lists: national(),
        ..rules()
    });
    let name: Arc<str> = "national".into();
    assert!(
        outbound
            .lists
            .add(&name, LONDON, entry(at("12:00")))
            .is_ok()
    );
    let by_file = outbound.lists.take(&name, "+4930123456", at("12:00"));
    assert!(matches!(by_file, Err(ListRefusal::NotByItself(_))));
    assert!(matches!(
        outbound.lists.remove(&name),
        Err(ListRefusal::FromFiles(_))
    ));
    outbound.configure(Arc::new(rules()));
    denied(
        &outbound,
        at("12:00"),
        &question(LONDON),
        Gate::DoNotCall,
        "national",
    );
    allowed(&outbound, at("12:00"), &question("+4930123456"));
    outbound.configure(Arc::new(Rules {
        lists: national(),
        ..rules()
    }));
    denied(
        &outbound,
        at("12:00"),
        &question("+4930123456"),
        Gate::DoNotCall,
        "national",
    );
}

/// Whatever lists, rules and changes there are, in whatever order: who is on a do-not-call or black list, and is no emergency, does not get
/// through, whatever else allows it; and whoever gets through was asked at every gate.
#[test]
fn no_order_of_changes_lets_a_denied_number_through() {
    let mut draws = Entropy::from_number(7);
    let numbers = [LONDON, "+4930123456", "+12125550123", "+33140000000"];
    let kinds = [ListKind::DoNotCall, ListKind::Black, ListKind::White];
    let owners = [None, Some(Arc::<str>::from("1001"))];
    let ada: Arc<str> = "1001".into();
    let (mut through, mut stopped) = (0, 0);
    for _ in 0..200 {
        let mut outbound = with(rules());
        // (list, number) that is on a list that denies
        let mut denying: BTreeSet<(usize, usize)> = BTreeSet::new();
        let mut now = at("12:00");
        for _ in 0..60 {
            let pick = |draws: &mut Entropy, n: usize| (draws.u64() % n as u64) as usize;
            now = now + Duration::from_secs(draws.u64() % 600);
            let which = pick(&mut draws, 6);
            let (kind, owner) = (kinds[which % 3], owners[which / 3].clone());
            let owner = if kind == ListKind::DoNotCall {
                None
            } else {
                owner
            };
            let name: Arc<str> = format!("list-{which}").into();
            let one = pick(&mut draws, numbers.len());
            match pick(&mut draws, 5) {
                0 | 1 => {
                    assert!(outbound.lists.make(name.clone(), kind, owner).is_ok());
                    let added = outbound.lists.add(&name, numbers[one], entry(now));
                    assert!(added.is_ok());
                    if kind != ListKind::White {
                        denying.insert((which, one));
                    }
                }
                2 => {
                    if outbound.lists.take(&name, numbers[one], now).is_ok() {
                        denying.remove(&(which, one));
                    }
                }
                3 => {
                    let records = outbound.snapshot(now);
                    outbound = with(rules());
                    records.iter().for_each(|record| outbound.restore(record));
                }
                _ => {
                    if outbound.lists.remove(&name).is_ok() {
                        denying.retain(|(list, _)| *list != which);
                    }
                }
            }
            for (at, number) in numbers.iter().enumerate() {
                let mut ask = question(number);
                ask.by = Some(&ada);
                let record = outbound.ask(now, &ask);
                let must_not = denying.iter().any(|(_, number)| *number == at);
                if must_not {
                    assert_eq!(record.verdict, Said::Deny, "{number}: {record:?}");
                    stopped += 1;
                }
                if record.verdict == Said::Allow {
                    let asked: Vec<Gate> = record.answers.iter().map(|a| a.gate).collect();
                    assert_eq!(asked, Gate::ALL, "no gate is skipped");
                    through += 1;
                }
            }
        }
    }
    assert!(through > 1000 && stopped > 1000, "{through} {stopped}");
}

#[test]
fn what_was_asked_of_a_work_item_is_kept_and_the_oldest_is_forgotten() {
    let mut outbound = with(rules());
    let mut ask = question(LONDON);
    ask.work = Some(Ulid::default());
    let record = outbound.ask(at("12:00"), &ask);
    outbound.keep(record.clone());
    assert_eq!(outbound.of_work(Ulid::default()), vec![record]);
    ask.work = None;
    for _ in 0..1000 {
        let record = outbound.ask(at("12:00"), &ask);
        outbound.keep(record);
    }
    assert!(outbound.of_work(Ulid::default()).is_empty());
}

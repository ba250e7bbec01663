//! Prints a machine's whole state × event table, for the snapshots.

use std::fmt::Debug;

/// One block per state, one line per event: the actions, and the state that follows when it is another.
pub(super) fn text<S: Copy + PartialEq + Debug, E: Copy + Debug, A: Debug + 'static>(
    states: &[S],
    events: &[E],
    step: impl Fn(S, E) -> (&'static [A], S),
) -> String {
    let mut text = String::new();
    for &state in states {
        text.push_str(&format!("{state:?}\n"));
        for &event in events {
            let (actions, next) = step(state, event);
            let mut parts: Vec<String> =
                actions.iter().map(|action| format!("{action:?}")).collect();
            if next != state {
                parts.push(format!("-> {next:?}"));
            }
            let cell = if parts.is_empty() {
                "-".to_string()
            } else {
                parts.join(" ")
            };
            text.push_str(&format!("    {:<16}{cell}\n", format!("{event:?}")));
        }
    }
    text
}

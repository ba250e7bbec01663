//! The simulator's command: `sim run --seed 42`, `sim swarm --seeds 200`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::{Parser, Subcommand};
use strowger::base::Instant;
use strowger::sim::ladder::{Ladder, SERVER};
use strowger::sim::plan::Plan;
use strowger::sim::run::{self, Outcome, Summary};
use strowger::sim::switch_node;
use strowger::sim::trace::Happening;

/// Runs the shipped core in a virtual world, from seeds.
#[derive(Parser)]
#[command(name = "sim", after_help = "Example: sim run --seed 42 --trace")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs one seed and prints its hash and what came up.
    Run {
        /// The seed.
        #[arg(long)]
        seed: u64,
        /// Prints every message as a ladder.
        #[arg(long)]
        trace: bool,
        /// Prints published facts and reports of the media plane as well.
        #[arg(long)]
        facts: bool,
        /// Shows only these peers, as `1001,carrier`.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// Prints every message as one line with its way as the server sees it, and all else that happened, to be searched.
        #[arg(long)]
        lines: bool,
        /// Prints in full the messages that contain this text, a Call-ID for example.
        #[arg(long)]
        grep: Option<String>,
        /// Breaks a rule of the core on purpose, which the checkers must find: `offer-during-wrap`.
        #[arg(long = "break")]
        breaking: Option<String>,
    },
    /// Runs many seeds on all cores and stops at the first that fails.
    Swarm {
        /// How many.
        #[arg(long, default_value_t = 200)]
        seeds: u64,
        /// The first.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Threads; 0: as many as there are cores.
        #[arg(long, default_value_t = 0)]
        threads: usize,
        /// Goes on after a failing seed and lists all.
        #[arg(long)]
        keep_going: bool,
        /// Breaks a rule of the core on purpose.
        #[arg(long = "break")]
        breaking: Option<String>,
    },
}

/// In so many seeds every fault and every situation must come up.
const ALL_IN: u64 = 2_000;

fn one(seed: u64, breaking: Option<&str>) -> Outcome {
    let plan = Plan::draw(seed);
    let maker = switch_node::maker(&plan);
    run::run(plan, maker, breaking)
}

fn print_trace(outcome: &Outcome, facts: bool, only: &[String]) {
    let names = outcome.world.names();
    let mut columns: Vec<&str> = names.iter().map(String::as_str).collect();
    columns.retain(|name| only.is_empty() || only.iter().any(|o| o == name));
    columns.insert(1.min(columns.len()), SERVER);
    let ladder = Ladder {
        from: Instant::ZERO,
        until: outcome.world.now().mono,
        columns: &columns,
        names: &names,
        media: facts,
        facts,
    };
    print!("{}", ladder.draw(outcome.world.trace()));
}

fn print_summary(summary: &Summary, all: bool) {
    let parts: Vec<String> = summary
        .counts()
        .filter(|(_, count)| all || *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if all {
        for part in parts {
            println!("  {part}");
        }
    } else {
        println!("  {}", parts.join(", "));
    }
}

/// Whole messages, each with its time and its direction as the server sees it.
fn print_messages(outcome: &Outcome, text: &str) {
    for (at, happening) in outcome.world.trace().entries() {
        let (arrow, path, bytes) = match happening {
            Happening::NodeReceived { path, bytes, .. } => ("<-", path, bytes),
            Happening::NodeSent { path, bytes, .. } => ("->", path, bytes),
            _ => continue,
        };
        let message = String::from_utf8_lossy(bytes);
        if message.contains(text) {
            println!(
                "{} ms {arrow} {} {:?}",
                at.as_nanos() / 1_000_000,
                path.remote,
                path.connection
            );
            println!("{message}");
        }
    }
}

/// One line for each happening: the time, the peer, the way, the first line and what tells its transaction and dialog.
fn print_lines(outcome: &Outcome, only: &[String]) {
    let names = outcome.world.names();
    let name = |actor: &usize| names.get(*actor).map_or("nobody", String::as_str);
    let shown = |name: &str| only.is_empty() || only.iter().any(|o| o == name);
    for (at, happening) in outcome.world.trace().entries() {
        let ms = at.as_nanos() / 1_000_000;
        let (arrow, peer, way, bytes) = match happening {
            Happening::PeerSent {
                actor, to, bytes, ..
            } => (">>  ", name(actor), format!("to {to}"), bytes),
            Happening::NodeReceived { actor, path, bytes } => {
                let way = format!("{} #{:?}", path.remote, path.connection);
                ("  >S", name(actor), way, bytes)
            }
            Happening::NodeSent { actor, path, bytes } => {
                let way = format!("{} #{:?}", path.remote, path.connection);
                let peer = actor.as_ref().map_or("nobody", name);
                ("  <S", peer, way, bytes)
            }
            Happening::PeerReceived { actor, from, bytes } => {
                ("<<  ", name(actor), format!("from {from}"), bytes)
            }
            other => {
                println!("{ms:>7} {other:?}");
                continue;
            }
        };
        if shown(peer) {
            println!("{ms:>7} {arrow} {peer} ({way}) {}", gist(bytes));
        }
    }
}

/// The first line of a message and the headers by which it is found.
fn gist(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let wanted = ["CSeq", "Call-ID", "Via", "From", "To"];
    let mut gist = text.lines().next().unwrap_or("").to_string();
    for name in wanted {
        let line = text.lines().find(|line| line.starts_with(name));
        for part in line.into_iter().flat_map(|l| l.split(';')) {
            let told = match name {
                "Via" => part.starts_with("branch="),
                "From" | "To" => part.starts_with("tag="),
                _ => true,
            };
            if told {
                gist.push_str(&format!(" | {name} {}", part.trim_start_matches(name)));
            }
        }
    }
    gist
}

struct Show {
    trace: bool,
    lines: bool,
    facts: bool,
    only: Vec<String>,
    grep: Option<String>,
}

fn run_one(seed: u64, show: &Show, breaking: Option<&str>) -> ExitCode {
    let outcome = one(seed, breaking);
    if show.trace || show.facts {
        print_trace(&outcome, show.facts, &show.only);
    }
    if show.lines {
        print_lines(&outcome, &show.only);
    }
    if let Some(text) = &show.grep {
        print_messages(&outcome, text);
    }
    println!("seed {seed}: {:016x}", outcome.hash);
    println!("  {}", outcome.plan.describe());
    print_summary(&outcome.summary, false);
    match outcome.broken {
        None => ExitCode::SUCCESS,
        Some(broken) => {
            println!("  BROKEN {broken}");
            ExitCode::FAILURE
        }
    }
}

fn swarm(
    seeds: u64,
    from: u64,
    threads: usize,
    keep_going: bool,
    breaking: Option<&str>,
) -> ExitCode {
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(2, usize::from),
        n => n,
    };
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let total = Mutex::new((Summary::default(), 0_u64));
    let failures = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(|_| {})); // a panic is a verdict here, printed with its seed
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        break;
                    }
                    let outcome = one(seed, breaking);
                    let mut total = total.lock().expect("no thread panics with the lock");
                    total.0.add(&outcome.summary);
                    total.1 += 1;
                    if let Some(broken) = outcome.broken {
                        println!("seed {seed} BROKEN {broken}");
                        println!("  {}", outcome.plan.describe());
                        failures
                            .lock()
                            .expect("no thread panics with the lock")
                            .push(seed);
                        if !keep_going {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let (summary, ran) = total.into_inner().expect("all threads have ended");
    let failures = failures.into_inner().expect("all threads have ended");
    println!("{ran} seeds, {} failed", failures.len());
    print_summary(&summary, true);
    let missing = summary.missing();
    // so many seeds must reach everything, or the net has a hole
    let holes = ran >= ALL_IN && !missing.is_empty();
    if !missing.is_empty() {
        println!("never reached: {}", missing.join(", "));
    }
    if failures.is_empty() && !holes {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Run {
            seed,
            trace,
            facts,
            only,
            lines,
            grep,
            breaking,
        } => {
            let show = Show {
                trace,
                lines,
                facts,
                only,
                grep,
            };
            run_one(seed, &show, breaking.as_deref())
        }
        What::Swarm {
            seeds,
            from,
            threads,
            keep_going,
            breaking,
        } => swarm(seeds, from, threads, keep_going, breaking.as_deref()),
    }
}

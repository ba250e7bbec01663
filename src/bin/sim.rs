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

fn print_summary(mut summary: Summary) {
    let parts: Vec<String> = summary
        .fields_mut()
        .into_iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    println!("  {}", parts.join(", "));
}

fn run_one(
    seed: u64,
    trace: bool,
    facts: bool,
    only: &[String],
    breaking: Option<&str>,
) -> ExitCode {
    let outcome = one(seed, breaking);
    if trace || facts {
        print_trace(&outcome, facts, only);
    }
    println!("seed {seed}: {:016x}", outcome.hash);
    println!("  {}", outcome.plan.describe());
    print_summary(outcome.summary);
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
    print_summary(summary);
    if failures.is_empty() {
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
            breaking,
        } => run_one(seed, trace, facts, &only, breaking.as_deref()),
        What::Swarm {
            seeds,
            from,
            threads,
            keep_going,
            breaking,
        } => swarm(seeds, from, threads, keep_going, breaking.as_deref()),
    }
}

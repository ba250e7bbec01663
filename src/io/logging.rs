//! Log lines: text for people or JSON for programs, on standard error; the level can change while the server runs.

use std::io::IsTerminal;
use std::sync::OnceLock;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::{LogFormat, LogSettings};

static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

fn filter(settings: &LogSettings) -> EnvFilter {
    // Libraries speak up only when something is wrong.
    EnvFilter::new(format!("warn,strowger={}", settings.level))
}

/// Starts logging, and makes panics log lines. Later calls only change the level.
pub fn start(settings: &LogSettings) {
    let (level, handle) = reload::Layer::new(filter(settings));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    let started = match settings.format {
        LogFormat::Text => {
            let colour = std::io::stderr().is_terminal();
            registry.with(lines.with_ansi(colour)).try_init()
        }
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
    match started {
        Ok(()) => {
            let _ = LEVEL.set(handle);
            std::panic::set_hook(Box::new(log_panic));
        }
        Err(_) => set_level(settings),
    }
}

/// Changes the level of a running log.
pub fn set_level(settings: &LogSettings) {
    if let Some(handle) = LEVEL.get() {
        let _ = handle.reload(filter(settings));
    }
}

fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let payload = panic.payload();
    let what = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let trace = std::backtrace::Backtrace::force_capture();
    tracing::error!(what, place, %trace, "panic");
}

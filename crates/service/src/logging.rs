//! The log: lines on standard error, for journald or a terminal. Not the trail (what happened to a
//! letter) and not the ledger. The level can be raised while running, for a time.

use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;

use net::Clock;
use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{LogFormat, LogLevel};

/// Changes the level of the running process.
static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts the log of this process; a second call does nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    let (filter, handle) = reload::Layer::new(filter(level.as_str()));
    let layer: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => Box::new(text()),
        LogFormat::Json => Box::new(
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_timer(Rfc3339)
                .with_writer(std::io::stderr),
        ),
    };
    let started = tracing_subscriber::registry().with(filter).with(layer).try_init();
    if started.is_ok() {
        // Only the first call gets here.
        let _ = LEVEL.set(handle);
    }
}

fn text<S>() -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .with_timer(Rfc3339)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
}

/// Changes the level, e.g. `debug` or `info,mta=trace` (tracing-subscriber's directives).
///
/// # Errors
/// A sentence, when that is no level.
pub fn set_level(directives: &str) -> Result<(), String> {
    let allowed = "allowed: error, warn, info, debug, trace, or AREA=LEVEL, separated by commas";
    let parsed = EnvFilter::try_new(directives)
        .map_err(|error| format!("\"{directives}\" is no log level ({error}); {allowed}"))?;
    let handle = LEVEL.get().ok_or("the log was not started")?;
    handle.reload(parsed).map_err(|error| error.to_string())
}

/// Libraries talk too much below warnings; what they say is wanted only when asked for.
fn filter(level: &str) -> EnvFilter {
    let directives = format!(
        "{level},rustls=warn,hickory_proto=warn,hickory_resolver=warn,hickory_net=warn,sled=warn"
    );
    EnvFilter::new(directives)
}

/// Sends panics to the log before the usual end of their task.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let said = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("a panic without words");
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed").to_owned();
        let trace = std::backtrace::Backtrace::capture();
        tracing::error!(place, thread, backtrace = %trace, "this is a fault of Posthaste: {said}");
    }));
}

/// RFC 3339 in UTC with milliseconds.
struct Rfc3339;

impl FormatTime for Rfc3339 {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        w.write_str(&Clock::real().now().to_rfc3339())
    }
}

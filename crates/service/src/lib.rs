//! What makes a program a good daemon: configuration and reload, logs, the journey trail, the
//! ledger, metrics, control socket and shutdown. It knows no protocol of mail and no store; the
//! agents and the `posthaste` executable call it.

pub mod chance;
pub mod config;
pub mod control;
pub mod daemon;
mod disk_trouble;
pub mod exit;
pub mod ledger;
pub mod limits;
pub mod logging;
pub mod login;
pub mod metrics;
pub mod paths;
pub mod trail;

pub use chance::Chance;
pub use config::{AgentName, Config, ConfigHandle};
pub use control::Control;
pub use daemon::{Boot, Context, Start};
pub use disk_trouble::Heeded;
pub use exit::{Exit, Fatal};
pub use login::{Door, Logins, Unavailable};
pub use metrics::{Counter, Metrics};
pub use paths::Paths;
pub use trail::{Event, Kind, Outcome, Trail};

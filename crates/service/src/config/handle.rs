//! The configuration of a running agent: always whole, replaced as a whole, and only by a good one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use toml::Value;

use super::{Config, Faults, load};

/// Gives the current configuration, and tells of new ones. Clones see the same.
#[derive(Debug, Clone)]
pub struct ConfigHandle {
    path: Arc<PathBuf>,
    overrides: Arc<Vec<String>>,
    current: Arc<watch::Sender<Arc<Config>>>,
}

/// What a reload would change.
#[derive(Debug, Clone)]
pub struct Reload {
    /// The new configuration.
    pub config: Arc<Config>,
    /// Dotted keys whose values differ.
    pub changed: Vec<String>,
    /// Those of them that count only after a restart.
    pub needs_restart: Vec<String>,
}

/// Sections that are read once, at the start.
const AT_START: [&str; 4] = ["listen.", "storage.", "agents.", "server."];

impl ConfigHandle {
    /// Reads the configuration for the first time.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, Faults> {
        let config = load(path, overrides)?;
        Ok(ConfigHandle {
            path: Arc::new(path.to_owned()),
            overrides: Arc::new(overrides.to_vec()),
            current: Arc::new(watch::channel(Arc::new(config)).0),
        })
    }

    /// The configuration as it is now. Take it once per session or letter, so that one of them
    /// never sees two.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.current.borrow())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells of each new configuration.
    pub fn watch(&self) -> watch::Receiver<Arc<Config>> {
        self.current.subscribe()
    }

    /// Reads the file again, without putting it to use.
    ///
    /// # Errors
    /// Everything that is wrong with it; the old configuration stays.
    pub fn read_again(&self) -> Result<Reload, Faults> {
        let config = Arc::new(load(&self.path, &self.overrides)?);
        let changed = differences(&self.current(), &config);
        let at_start = |key: &&String| AT_START.iter().any(|section| key.starts_with(section));
        let needs_restart = changed.iter().filter(at_start).cloned().collect();
        Ok(Reload { config, changed, needs_restart })
    }

    /// Puts a configuration to use.
    pub fn replace(&self, config: Arc<Config>) {
        self.current.send_replace(config);
    }
}

/// Dotted keys whose values differ.
fn differences(old: &Config, new: &Config) -> Vec<String> {
    let table = |config: &Config| Value::try_from(config).ok();
    let mut changed = Vec::new();
    compare("", table(old).as_ref(), table(new).as_ref(), &mut changed);
    changed
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changed: &mut Vec<String>) {
    match (old, new) {
        (Some(Value::Table(old)), Some(Value::Table(new))) => {
            let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&inner, old.get(key), new.get(key), changed);
            }
        }
        _ if old != new => changed.push(path.to_owned()),
        _ => {}
    }
}

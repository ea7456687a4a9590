//! Counters and gauges by name, cheap enough to touch for every letter. What shows them (status,
//! later Prometheus) reads them from here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The numbers of one process. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    numbers: Arc<Mutex<BTreeMap<String, Counter>>>,
}

/// One number. Keep it; looking it up by name takes a lock.
#[derive(Debug, Clone, Default)]
pub struct Counter {
    value: Arc<AtomicI64>,
}

impl Metrics {
    /// The number called `name` (lower case words with underscores, e.g. `letters_accepted`), made
    /// when it is first asked for.
    pub fn counter(&self, name: &str) -> Counter {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = numbers.get(name) {
            return counter.clone();
        }
        numbers.entry(name.to_owned()).or_default().clone()
    }

    /// All numbers as they are now.
    pub fn snapshot(&self) -> BTreeMap<String, i64> {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().map(|(name, counter)| (name.clone(), counter.get())).collect()
    }
}

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more; negative for gauges that fall.
    pub fn add(&self, by: i64) {
        self.value.fetch_add(by, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// As it is now.
    pub fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }
}

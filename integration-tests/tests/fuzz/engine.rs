//! The loop: pick an input, change it, run the target, keep the input if the target behaved as it
//! never did before. A panic, an input that takes too long, or memory that grows without end is a
//! finding: the input is made smaller, written to a file and printed. Targets tell how they behaved
//! by features ([`Seen`]): without instrumented code, what came out stands for what was run.

use std::cell::Cell;
use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug, Write as _};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use integration_tests::clients::full;

use crate::mutate::{Mutator, Random};

/// What is fuzzed.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Panics when a promise is broken.
    pub(crate) run: fn(&[u8], &mut Seen),
    /// Pieces that inputs of this kind are made of.
    pub(crate) words: &'static [&'static [u8]],
}

/// How a target behaved on one input.
#[derive(Default)]
pub(crate) struct Seen(Vec<u64>);

/// One input may take this long: the slowest take milliseconds, and machines of tests are loaded.
const PATIENCE: Duration = Duration::from_secs(20);
/// All targets of this process together may hold this much, in KiB.
const MEMORY: u64 = 2 * 1024 * 1024;
/// Inputs kept beside the seeds.
const KEPT: usize = 2_000;
/// Time spent on making a finding smaller.
const SHRINKING: Duration = Duration::from_secs(10);
/// The seed of the short form: it always tries the same inputs, as far as it gets.
const SEED: u64 = 0x0070_6f73_7468_6173;

impl Seen {
    /// Something that came out.
    pub(crate) fn note(&mut self, what: impl Hash) {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.0.push(hasher.finish());
    }

    /// The shape of a value: its text without digits, and with words for runs of other letters
    /// that stand between quotes.
    pub(crate) fn shape(&mut self, value: &impl Debug) {
        let mut shape = Shape::default();
        let _ = write!(shape, "{value:?}");
        self.0.push(shape.hasher.finish());
    }
}

/// Hashes a text as it is written, leaving out what differs from input to input.
#[derive(Default)]
struct Shape {
    hasher: DefaultHasher,
    quoted: bool,
    written: usize,
}

impl fmt::Write for Shape {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.quoted ^= byte == b'"';
            if !self.quoted && !byte.is_ascii_digit() && self.written < 400 {
                self.hasher.write_u8(byte);
                self.written += 1;
            }
        }
        Ok(())
    }
}

/// Fuzzes one target for its time, or runs the one input that the environment names.
pub(crate) fn fuzz(target: &Target) {
    quiet_panics();
    if let Some(path) = std::env::var_os("POSTHASTE_FUZZ_INPUT") {
        let input = std::fs::read(&path).expect("POSTHASTE_FUZZ_INPUT is a file");
        return (target.run)(&input, &mut Seen::default());
    }
    let watch = Watch::start(target.name);
    let seeds = seeds(target.name);
    let mut corpus = seeds.clone();
    let mut known = HashSet::new();
    let mut mutator = Mutator { random: Random(seed()), words: target.words };
    for input in seeds {
        // Every seed as it is: those that were findings must stay mended.
        try_input(target, &watch, &input, &mut known);
    }
    let end = Instant::now() + time();
    let mut runs = 0_u64;
    while Instant::now() < end {
        let input = mutator.next(&corpus);
        runs += 1;
        if try_input(target, &watch, &input, &mut known) {
            if corpus.len() >= KEPT {
                let at = mutator.random.below(corpus.len());
                corpus.swap_remove(at);
            }
            corpus.push(input);
        }
    }
    watch.over.store(true, Ordering::Relaxed);
    eprintln!("{}: {runs} inputs, {} kept, {} features", target.name, corpus.len(), known.len());
    assert!(runs > 0, "{}: no input was tried", target.name);
}

/// Runs one input; whether it showed something new. A panic is reported and ends the test.
fn try_input(target: &Target, watch: &Watch, input: &[u8], known: &mut HashSet<u64>) -> bool {
    watch.begin(input);
    match run(target, input) {
        Ok(seen) => {
            watch.end();
            seen.0.into_iter().fold(false, |new, feature| known.insert(feature) | new)
        }
        Err(why) => {
            watch.over.store(true, Ordering::Relaxed);
            let small = shrink(target, input.to_vec());
            let path = report(target.name, &small, &why);
            panic!("{}: {why}\n  input kept in {}", target.name, path.display());
        }
    }
}

fn run(target: &Target, input: &[u8]) -> Result<Seen, String> {
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut seen = Seen::default();
        (target.run)(input, &mut seen);
        seen
    }));
    QUIET.set(false);
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
            .unwrap_or_else(|| "a panic without words".into())
    })
}

/// Takes pieces out as long as it still fails.
fn shrink(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let mut size = input.len() / 2;
    let end = Instant::now() + SHRINKING;
    while size > 0 {
        let mut at = 0;
        while at < input.len() && Instant::now() < end {
            let mut less = input.clone();
            less.drain(at..(at + size).min(less.len()));
            if run(target, &less).is_err() {
                input = less;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    input
}

/// Writes a finding down where it outlives the test, and prints how to run it again.
fn report(name: &str, input: &[u8], why: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let path = folder.join(format!("{name}-{:016x}", hasher.finish()));
    std::fs::write(&path, input).expect("the target folder is writable");
    eprintln!(
        "FINDING in {name}: {why}\n  seed line: {}\n  again: POSTHASTE_FUZZ_INPUT={} cargo test \
         -p integration-tests --test fuzz {name}",
        input.escape_ascii(),
        path.display()
    );
    path
}

/// The kept inputs of a target.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/fuzz/{name}.seeds", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let seeds: Vec<_> = lines.map(|line| unescape(line.as_bytes())).collect();
    assert!(!seeds.is_empty(), "{path} has no seeds");
    seeds
}

/// The octets of a line as `escape_ascii` writes it.
fn unescape(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line.iter().copied();
    while let Some(byte) = rest.next() {
        let escaped = if byte == b'\\' { rest.next() } else { None };
        out.push(match escaped {
            None => byte,
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'x') => {
                let mut digit =
                    || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
                u8::try_from(digit() * 16 + digit()).unwrap_or(0)
            }
            Some(other) => other,
        });
    }
    out
}

/// How long each target is fuzzed.
fn time() -> Duration {
    let given = std::env::var("POSTHASTE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(if full() { 60 } else { 2 }))
}

/// Where the random numbers begin: the long form goes elsewhere each time.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if full() { SEED ^ u64::try_from(now.as_nanos() & 0xffff_ffff).unwrap_or(0) } else { SEED }
}

thread_local! {
    /// Panics of this thread are caught and told by us.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
}

/// The input that runs, and since when.
type AtHand = Option<(Instant, Vec<u8>)>;

/// Looks from another thread whether an input takes too long or too much memory. There is no way
/// back from either: the input is written down, and the process ends.
struct Watch {
    at_hand: Arc<Mutex<AtHand>>,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn start(name: &'static str) -> Self {
        let watch = Watch { at_hand: Arc::default(), over: Arc::default() };
        let (at_hand, over) = (watch.at_hand.clone(), watch.over.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                // A look now and then, not a wait for something: there is nothing to wait for.
                std::thread::park_timeout(Duration::from_millis(100));
                let held = at_hand.lock().unwrap_or_else(PoisonError::into_inner);
                let Some((since, input)) = held.as_ref() else { continue };
                let why = if since.elapsed() > PATIENCE {
                    format!("it takes longer than {PATIENCE:?}")
                } else if memory() > MEMORY {
                    format!("the process holds more than {MEMORY} KiB")
                } else {
                    continue;
                };
                report(name, input, &why);
                std::process::abort();
            }
        });
        watch
    }

    fn begin(&self, input: &[u8]) {
        let mut held = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some((Instant::now(), input.to_vec()));
    }

    fn end(&self) {
        *self.at_hand.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// What this process holds, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

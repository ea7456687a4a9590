//! The balance that the supervisor writes after each start and each day, one line each time, in
//! `state/balances/DATE.json`. So a loss has a date, and is in the log the same day.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use net::Clock;
use serde_json::json;
use service::ledger::Balance;
use service::{ConfigHandle, Paths, paths};

/// After the start, so that mail comes first.
const AFTER_START: Duration = Duration::from_secs(15);
/// Then.
const EACH: Duration = Duration::from_secs(86_400);

/// Takes and writes balances for ever.
pub(crate) async fn keep(config: ConfigHandle) {
    let clock = Clock::real();
    let mut wait = AFTER_START;
    loop {
        clock.sleep(wait).await;
        wait = EACH;
        let now = config.current();
        match super::take(&now).await {
            Ok(balance) => tell(&Paths::new(&now.storage.data_dir), &balance, &clock),
            Err(fatal) => tracing::warn!("no balance was taken: {fatal}"),
        }
    }
}

fn tell(paths: &Paths, balance: &Balance, clock: &Clock) {
    for violation in &balance.violations {
        tracing::error!(
            journey = %violation.journey,
            rcpt = violation.recipient,
            "ledger: {}",
            violation.wrong
        );
    }
    tracing::info!(came = balance.came(), went = balance.went(), "ledger");
    if let Err(error) = write(paths, balance, clock) {
        tracing::warn!(%error, "the balance cannot be written");
    }
}

fn write(paths: &Paths, balance: &Balance, clock: &Clock) -> io::Result<()> {
    let folder = paths.balances();
    paths::make_private(&folder)?;
    let now = clock.now();
    let line = json!({
        "time": now.to_rfc3339(),
        "came": balance.came(),
        "went": balance.went(),
        "holds": balance.holds(),
        "balance": balance,
    });
    let path = folder.join(format!("{}.json", now.to_date()));
    let mut file = File::options().append(true).create(true).open(path)?;
    writeln!(file, "{line}")
}

//! `posthaste trace`: the journey of a letter, by id, Message-ID or address, as a ladder for people
//! or as JSON Lines; and as it happens with `--follow`.

mod ladder;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use service::trail::{Follower, Query, Recorded};
use service::{Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;

/// Shows the journey of a letter.
#[derive(Args, Debug)]
#[command(after_help = "Exit 1 when no letter is found.\n\n\
                        Example:\n  posthaste trace bob@example.net --follow\n  \
                        posthaste trace 06bk2q4hvs7d0g3x --json")]
pub(crate) struct TraceArgs {
    /// The id from the 250 reply or the queue, a Message-ID, or an address
    #[arg(value_name = "ID|MESSAGE-ID|ADDRESS")]
    what: String,
    #[command(flatten)]
    file: ConfigArgs,
    /// Go on showing events as they happen, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// One JSON object per event
    #[arg(long)]
    json: bool,
}

/// How often the trail is looked at before a letter is unknown, once every
/// [`service::limits::TRAIL_POLL`].
const TRIES: u32 = 3;

/// The command.
pub(crate) fn run(args: &TraceArgs) -> ExitCode {
    exit::of("trace", trace(args))
}

fn trace(args: &TraceArgs) -> Result<Exit, Fatal> {
    let config = args.file.load()?.current();
    let folder = Paths::new(&config.storage.data_dir).trail();
    let mut follower = Follower::new(&folder, Query::of(&args.what));
    let mut events = batch(&mut follower, &folder)?;
    // Agents write a moment after the fact, and a script asks right after its 250.
    for _ in 0..TRIES {
        if !events.is_empty() {
            break;
        }
        std::thread::sleep(service::limits::TRAIL_POLL);
        events = batch(&mut follower, &folder)?;
    }
    if events.is_empty() && !args.follow {
        let days = config.trail.keep.as_secs() / 86_400;
        output::complain(&format!(
            "posthaste trace: no letter here has the id, Message-ID or address \"{}\"; journeys \
             are kept for {days} days",
            output::safe(&args.what)
        ));
        return Ok(Exit::No);
    }
    show(args, &events, &mut ladder::Ladder::new());
    if args.follow {
        let mut ladder = ladder::Ladder::continuing(&events);
        ask::runtime()?.block_on(follow(args, &mut follower, &folder, &mut ladder))?;
    }
    Ok(Exit::Done)
}

/// Shows what is added, until interrupted.
async fn follow(
    args: &TraceArgs,
    follower: &mut Follower,
    folder: &Path,
    ladder: &mut ladder::Ladder,
) -> Result<(), Fatal> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            _ = &mut interrupted => return Ok(()),
            () = tokio::time::sleep(service::limits::TRAIL_POLL) => {}
        }
        let events = batch(follower, folder)?;
        if args.json {
            events.iter().for_each(output::json);
            continue;
        }
        for journey in ladder::journeys(&events) {
            if ladder.is_new(&journey) {
                output::line("");
                output::line(&ladder::headline(&journey));
            }
        }
        for line in ladder.lines(&events) {
            output::line(&line);
        }
    }
}

fn batch(follower: &mut Follower, folder: &Path) -> Result<Vec<Recorded>, Fatal> {
    let cannot = |error| Fatal::io(&format!("cannot read {}", folder.display()), &error);
    follower.next_batch().map_err(cannot)
}

fn show(args: &TraceArgs, events: &[Recorded], ladder: &mut ladder::Ladder) {
    if args.json {
        events.iter().for_each(output::json);
        return;
    }
    for journey in ladder::journeys(events) {
        output::line(&ladder::headline(&journey));
        for line in ladder.lines(&journey) {
            output::line(&line);
        }
        output::line("");
    }
}

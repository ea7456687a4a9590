//! `posthaste demo`: the whole way of a letter on one machine. Two domains with all their agents as
//! processes, their own DNS and certificate authority, on loopback addresses, without root or
//! network; the journey is printed as it happens, and what was promised is checked.
//!
//! Not a test framework and not a shortcut: the systems are made by `init` and run by `up` like
//! any other, letters go through them as anybody's would. Called by the command line.

mod authority;
mod letter;
mod names;
mod post;
mod scenarios;
mod story;
mod system;
mod world;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use service::{Exit, Fatal};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit;
use scenarios::Scenario;
use story::Story;
use world::World;

/// Shows the whole way of a letter on this machine.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Scenarios:\n  \
    ok      from alice@red.test to bob@blue.test, with an attachment\n  \
    bounce  to somebody who does not exist: alice reads the bounce\n  \
    down    blue's MTA is killed: the letter waits, and arrives when it is back\n  \
    full    bob's mailbox is full: what alice is told, and how it ends\n  \
    relay   end to end, then by store and forward through a smarthost\n\n\
    Example:\n  posthaste demo --once --scenario bounce")]
pub(crate) struct DemoArgs {
    /// End when the scenario has ended: 0 only if all of it held, and nothing is left behind
    #[arg(long)]
    once: bool,
    /// Print JSON Lines instead of a ladder
    #[arg(long)]
    json: bool,
    /// Make the world in this folder, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Added to the standard ports
    #[arg(long, value_name = "N", default_value_t = world::PORT_OFFSET)]
    port_offset: u16,
    /// What is to happen
    #[arg(long, value_enum, default_value_t = Scenario::Ok)]
    scenario: Scenario,
}

/// The command.
pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    exit::of("demo", play(args))
}

fn play(args: &DemoArgs) -> Result<Exit, Fatal> {
    if args.port_offset > u16::MAX - 993 || args.port_offset < 1024 {
        let what = "--port-offset takes 1024 to 64542: the demo asks for no privileges";
        return Err(Fatal::new(exit::USAGE, what));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::io("no runtime", &error))?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
        let mut story = Story::new(args.json);
        // Whatever is dropped here takes its processes and its folder with it.
        let world = tokio::select! {
            world = act(args, &mut story) => world?,
            _ = interrupt.recv() => return Err(interrupted()),
            _ = terminate.recv() => return Err(interrupted()),
        };
        if args.once {
            world.stop().await?;
            return story.ends(args.scenario);
        }
        let exit = story.ends(args.scenario)?;
        story.invites(&world);
        tokio::select! {
            () = story.watch_forever(&world) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        world.stop().await?;
        Ok(exit)
    })
}

/// Makes the world and lets the scenario happen in it.
async fn act(args: &DemoArgs, story: &mut Story) -> Result<World, Fatal> {
    let layout = args.scenario.layout(args.keep.clone(), args.port_offset);
    let mut world = World::start(&layout).await?;
    story.opens(&world);
    if let Err(fatal) = args.scenario.play(&mut world, story).await {
        story.watch(&world);
        story.fails(&world);
        return Err(fatal);
    }
    Ok(world)
}

fn interrupted() -> Fatal {
    fault("interrupted; nothing is left behind")
}

fn no_signals(error: io::Error) -> Fatal {
    Fatal::io("signals cannot be heard", &error)
}

/// Something in the demo is not as it should be.
fn fault(what: impl Into<String>) -> Fatal {
    Fatal::no(what)
}

/// The system said no about something.
fn fault_at(what: &dyn fmt::Display, error: &io::Error) -> Fatal {
    Fatal::io(&what.to_string(), error)
}

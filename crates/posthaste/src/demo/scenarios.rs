//! What can happen to a letter in the demo. Each scenario says what was promised, and looks
//! whether it holds; none knows how a world is made. Called by `demo`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use mua::retrieve::read::Letter;
use service::Fatal;

use super::letter::{hops, is_same};
use super::post::{self, Sent};
use super::story::{LOOK, Story};
use super::system::{Agents, System};
use super::world::{Layout, Smarthost, World};
use super::{fault, letter};

/// Whatever is awaited comes within this time, or is said not to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// What bob's mailbox holds in `full`: less than the horn.
const SMALL: &str = "4kB";
/// What it holds when he has made room.
const AMPLE: &str = "1GB";

/// The scenarios.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Scenario {
    /// A letter arrives.
    Ok,
    /// A letter cannot be delivered, ever.
    Bounce,
    /// The receiver knows nobody yet, and asks to come again.
    Greylist,
    /// The receiving MTA is away for a while.
    Down,
    /// The mailbox is full.
    Full,
    /// Through a smarthost.
    Relay,
}

impl Scenario {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Scenario::Ok => "ok",
            Scenario::Bounce => "bounce",
            Scenario::Greylist => "greylist",
            Scenario::Down => "down",
            Scenario::Full => "full",
            Scenario::Relay => "relay",
        }
    }

    /// The world that it needs.
    pub(super) fn layout(self, keep: Option<PathBuf>, port_offset: u16) -> Layout {
        let smarthost =
            if self == Scenario::Relay { Smarthost::Present } else { Smarthost::Absent };
        let blue = if self == Scenario::Down { Agents::ExceptMta } else { Agents::All };
        Layout { smarthost, blue, keep, port_offset }
    }

    /// Lets it happen.
    ///
    /// # Errors
    /// What made it impossible to go on. A promise that was not kept is told to the story.
    pub(super) async fn play(self, world: &mut World, story: &mut Story) -> Result<(), Fatal> {
        match self {
            Scenario::Ok => arrives(world, story).await,
            Scenario::Bounce => bounces(world, story).await,
            Scenario::Greylist => is_greylisted(world, story).await,
            Scenario::Down => waits(world, story).await,
            Scenario::Full => is_full(world, story).await,
            Scenario::Relay => is_relayed(world, story).await,
        }?;
        balance(world, story).await
    }
}

/// A letter with an attachment from alice to bob, through all agents of both domains.
async fn arrives(world: &mut World, story: &mut Story) -> Result<(), Fatal> {
    let sent = write(world, story, "bob@blue.test", "The mail is here").await?;
    let stored = await_letter(world, story, Who::Bob, 1).await?;
    compare(story, &stored, &sent);
    let hops = hops(&stored.raw);
    let came = hops.last().is_some_and(|host| host.contains("blue.test"));
    story.check(&format!("it came by {}", hops.join(", ")), came);
    Ok(())
}

/// Nobody at blue.test has that name: alice reads why.
async fn bounces(world: &mut World, story: &mut Story) -> Result<(), Fatal> {
    let sent = write(world, story, "nobody@blue.test", "Is anybody there?").await?;
    let bounce = await_letter(world, story, Who::Alice, 1).await?;
    let text = String::from_utf8_lossy(&bounce.raw);
    story.say("alice reads:");
    for line in post::first_lines(&bounce) {
        story.say(&format!("  {line}"));
    }
    story.check("the bounce has the null reverse-path", text.starts_with("Return-Path: <>\r\n"));
    story.check("it is a report for programs too", text.contains("message/delivery-status"));
    story.check("it names the recipient", text.contains("nobody@blue.test"));
    story.check("it says 5.1.1: there is no such mailbox", text.contains("5.1.1"));
    let subject = format!("Subject: {}", sent.subject);
    story.check("it shows which letter it was", text.contains(&subject));
    Ok(())
}

/// Blue asks whom it does not know to come again, and lets in who does.
async fn is_greylisted(world: &mut World, story: &mut Story) -> Result<(), Fatal> {
    world.greylist_at_blue()?;
    story.say("blue asks senders it does not know to come again, from now on");
    let sent = write(world, story, "bob@blue.test", "Do you know me?").await?;
    await_reason(world, story, &sent, "greylisted").await?;
    story.check("blue says 451 4.7.1, and the letter waits at red: greylisted", true);
    let stored = await_letter(world, story, Who::Bob, 1).await?;
    compare(story, &stored, &sent);
    let again = write(world, story, "bob@blue.test", "Now you do").await?;
    let stored = await_letter(world, story, Who::Bob, 2).await?;
    compare(story, &stored, &again);
    let (_, journey) = world.red.verb(&["trace", &again.journey])?;
    story.check("the second letter was not asked to come again", !journey.contains("deferred"));
    Ok(())
}

/// Waits until a letter waits in red's queue for a reason that has this word in it.
async fn await_reason(
    world: &World,
    story: &mut Story,
    sent: &Sent,
    word: &str,
) -> Result<(), Fatal> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        story.watch(world);
        let (_, queue) = world.red.verb(&["queue", "list", "--json"])?;
        if queue.contains(&sent.journey) && queue.to_lowercase().contains(word) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(fault(format!("the letter does not wait in red's queue: {queue}")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Blue's MTA is killed, the letter waits at red, and arrives when it is back.
async fn waits(world: &mut World, story: &mut Story) -> Result<(), Fatal> {
    let id = world.blue.kill_mta()?;
    story.say(&format!("blue's MTA, process {id}, was killed"));
    let sent = write(world, story, "bob@blue.test", "Take your time").await?;
    await_reason(world, story, &sent, "refused").await?;
    story.check("the letter waits in red's queue, and says why", true);
    let early = post::inbox(&world.blue, &world.roots()).await?;
    story.check("bob has nothing yet", early.is_empty());
    world.blue.start_mta()?;
    story.say("blue's MTA is started again");
    let stored = await_letter(world, story, Who::Bob, 1).await?;
    compare(story, &stored, &sent);
    Ok(())
}

/// Bob's mailbox has no room. Whoever is told so keeps the letter; nobody loses it.
async fn is_full(world: &mut World, story: &mut Story) -> Result<(), Fatal> {
    allow(&world.blue, SMALL)?;
    story.say(&format!("bob's mailbox holds {SMALL} from now on"));
    let sent = write(world, story, "bob@blue.test", "A long letter").await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        story.watch(world);
        let (_, queue) = world.red.verb(&["queue", "list", "--json"])?;
        if queue.contains(&sent.journey) && queue.contains("4.2.2") {
            story.check("blue says 452 4.2.2, and the letter waits at red", true);
            break;
        }
        if let Some(bounce) = post::inbox(&world.red, &world.roots()).await?.first() {
            let text = String::from_utf8_lossy(&bounce.raw);
            story.check("blue says 552 5.2.2, and alice reads the bounce", text.contains("5.2.2"));
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(fault(format!("the letter neither waits nor bounces: {queue}")));
        }
        tokio::time::sleep(LOOK).await;
    }
    let early = post::inbox(&world.blue, &world.roots()).await?;
    story.check("bob has nothing yet", early.is_empty());
    allow(&world.blue, AMPLE)?;
    story.say("bob has made room");
    let (status, said) = world.red.verb(&["queue", "retry", &sent.journey])?;
    story.check("alice's side tries again at once", status.success());
    if !status.success() {
        story.say(&said);
    }
    let stored = await_letter(world, story, Who::Bob, 1).await?;
    compare(story, &stored, &sent);
    Ok(())
}

/// End to end first; then, with one line of configuration and a reload, by store and forward.
async fn is_relayed(world: &mut World, story: &mut Story) -> Result<(), Fatal> {
    story.say("end to end: red asks for blue's MX and connects to it");
    let direct = write(world, story, "bob@blue.test", "End to end").await?;
    let stored = await_letter(world, story, Who::Bob, 1).await?;
    compare(story, &stored, &direct);
    let short = hops(&stored.raw);
    world.use_smarthost()?;
    story.say("store and forward: red hands its mail to relay.test");
    let relayed = write(world, story, "bob@blue.test", "Store and forward").await?;
    let stored = await_letter(world, story, Who::Bob, 2).await?;
    compare(story, &stored, &relayed);
    let long = hops(&stored.raw);
    story.say(&format!("direct:  {}", short.join(" → ")));
    story.say(&format!("relayed: {}", long.join(" → ")));
    let passed = |hops: &[String]| hops.iter().any(|host| host.ends_with("relay.test"));
    story.check("the first letter did not pass the smarthost", !passed(&short));
    story.check("the second one did", passed(&long));
    Ok(())
}

/// Whose mailbox is meant.
#[derive(Clone, Copy)]
enum Who {
    Alice,
    Bob,
}

impl Who {
    fn home(self, world: &World) -> &System {
        match self {
            Who::Alice => &world.red,
            Who::Bob => &world.blue,
        }
    }
}

/// alice writes and sends.
async fn write(world: &World, story: &mut Story, to: &str, subject: &str) -> Result<Sent, Fatal> {
    let horn = letter::horn();
    story.say(&format!("alice writes to {to}, with {} bytes of post horn", horn.len()));
    let sent = post::send(&world.red, &world.roots(), to, subject).await?;
    story.watch(world);
    story.say(&format!("the MSA said: {}", sent.reply));
    Ok(sent)
}

/// Waits for the letter with that number in a mailbox, and fetches it.
async fn await_letter(
    world: &World,
    story: &mut Story,
    who: Who,
    number: usize,
) -> Result<Letter, Fatal> {
    let deadline = Instant::now() + PATIENCE;
    let home = who.home(world);
    loop {
        story.watch(world);
        let mut letters = post::inbox(home, &world.roots()).await?;
        if letters.len() >= number {
            // The trail is written in batches: what led here is told before what follows.
            tokio::time::sleep(LOOK).await;
            story.watch(world);
            let address = &home.person.address;
            story.say(&format!("{address} fetched {} letters over IMAP", letters.len()));
            return Ok(letters.swap_remove(number - 1));
        }
        if Instant::now() > deadline {
            return Err(fault(format!("no letter for {} in {PATIENCE:?}", home.person.address)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Byte for byte, and the horn within.
fn compare(story: &mut Story, stored: &Letter, sent: &Sent) {
    let added = stored.raw.len().saturating_sub(sent.letter.len());
    story.check(
        &format!("{} bytes arrived as they were sent, below {added} of trace", sent.letter.len()),
        is_same(&stored.raw, &sent.letter),
    );
    let horn = post::attachment(stored, letter::HORN);
    story.check("the post horn sounds the same", horn.is_some_and(|it| it == letter::horn()));
}

/// Sets bob's quota.
fn allow(blue: &System, quota: &str) -> Result<(), Fatal> {
    let (status, said) = blue.verb(&["account", "quota", &blue.person.address, quota])?;
    if status.success() { Ok(()) } else { Err(fault(format!("account quota: {said}"))) }
}

/// Every letter ends exactly once for each recipient, on all sides.
async fn balance(world: &World, story: &mut Story) -> Result<(), Fatal> {
    let deadline = Instant::now() + PATIENCE;
    for system in world.systems() {
        let (status, said) = loop {
            let (status, said) = system.verb(&["ledger", "--json"])?;
            let settled = status.success() && nothing_queued(&said);
            if settled || Instant::now() > deadline {
                break (status, said);
            }
            tokio::time::sleep(LOOK).await;
        };
        story.watch(world);
        let balanced = status.success() && nothing_queued(&said);
        let promise = format!("the ledger of {} balances, nothing queued", system.domain);
        story.check(&promise, balanced);
        if !balanced {
            story.say(&said);
        }
    }
    Ok(())
}

/// The ledger's own count.
fn nothing_queued(ledger: &str) -> bool {
    let last = ledger.lines().last().unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(last).is_ok_and(|ledger| ledger["queued"] == 0)
}

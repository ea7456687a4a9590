//! What people do to their mailboxes, at random, several things at once; and the handing over of a
//! letter, which is a thing done to mailboxes too.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use disk::Body;
use mailbox::{
    Delivery, Error, FlagChange, Flags, How, MailboxName, NewLetter, Quota, Recipient, UidSet,
};
use protocol::journey::JourneyId;

use crate::model::{Deed, Done};
use crate::world::{Content, Outcome, PEOPLE, Stop, World, account_id, mailbox_name, wrong};

/// The answers to one request, one for each of its deeds.
type Answers = Vec<Result<Done, Error>>;
type Asked = Pin<Box<dyn Future<Output = Answers>>>;

const NAMES: [&str; 6] = ["INBOX", "Sent", "Trash", "Work", "Play/v1.0", "Lists"];

/// Put in front of each letter by the delivery agent.
const TRACE: &[u8] = b"Return-Path: <alice@red.test>\r\n";

impl World {
    /// A few things done at once.
    pub(crate) fn clients(&mut self) -> Outcome<()> {
        let mut requests = Vec::new();
        for _ in 0..=self.random.below(3) {
            let which = self.random.below(PEOPLE.len() as u64) as usize;
            let deed = self.some_deed();
            let alone = matches!(deed, Deed::Create(_) | Deed::Rename(..) | Deed::Delete(_));
            if alone && !requests.is_empty() {
                break;
            }
            requests.push(vec![(which, deed)]);
            if alone {
                break;
            }
        }
        self.ask(requests)?;
        self.compare(Content::Left)
    }

    fn some_deed(&mut self) -> Deed {
        let random = &mut self.random;
        let name = |random: &mut crate::random::Random| (*random.pick(&NAMES)).to_owned();
        let range = (1 + random.below(9) as u32, 1 + random.below(9) as u32);
        match random.below(20) {
            0..=4 => {
                let text = vec![b'a' + random.below(26) as u8; random.below(3000) as usize];
                Deed::Append(name(random), random.below(32) as u8, text.into())
            }
            5..=9 => {
                let how = *random.pick(&[How::Replace, How::Add, How::Remove]);
                Deed::Flags(name(random), range, how, random.below(32) as u8)
            }
            10 | 11 => Deed::Expunge(name(random)),
            12 | 13 => Deed::Copy(name(random), range, name(random)),
            14 | 15 => Deed::Move(name(random), range, name(random)),
            16 | 17 => Deed::Create(NAMES[3 + random.below(3) as usize].to_owned()),
            18 => {
                let (from, to) = (3 + random.below(3) as usize, 3 + random.below(3) as usize);
                Deed::Rename(NAMES[from].to_owned(), NAMES[to].to_owned())
            }
            _ => Deed::Delete(NAMES[3 + random.below(3) as usize].to_owned()),
        }
    }

    /// Hands a letter over, as the MTA does: one answer for each of `to`.
    pub(crate) fn deliver(
        &mut self,
        journey: JourneyId,
        body: &[u8],
        to: &[usize],
    ) -> Outcome<Answers> {
        let content: Arc<[u8]> = [TRACE, body].concat().into();
        let deeds = to.iter().map(|which| (*which, Deed::Deliver(journey, content.clone())));
        let mut answers = self.ask(vec![deeds.collect()])?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// Asks all at once, waits for all answers and takes them into the model. A request whose
    /// mailbox is not there is left out.
    fn ask(&mut self, requests: Vec<Vec<(usize, Deed)>>) -> Outcome<Vec<Answers>> {
        let mut asked: Vec<Asked> = Vec::new();
        let mut deeds = Vec::new();
        for request in requests {
            if let Some(one) = self.request(&request)? {
                asked.push(one);
                deeds.push(request);
            }
        }
        let answers = self.drive(all(asked))?;
        self.tell(|| format!("{deeds:?} -> {answers:?}"));
        let down = answers.iter().flatten().any(Result::is_err) && self.mail_is_down();
        for (deeds, answers) in deeds.iter().zip(&answers) {
            for ((which, deed), answer) in deeds.iter().zip(answers) {
                match answer {
                    Ok(done) => self.answered(*which, deed, done)?,
                    Err(_) if down => self.unsure.push((*which, deed.clone())),
                    Err(error) => self.refused(*which, deed, error)?,
                }
            }
        }
        if down { Err(Stop::Down) } else { Ok(answers) }
    }

    fn answered(&mut self, which: usize, deed: &Deed, done: &Done) -> Outcome<()> {
        let into = match deed {
            Deed::Deliver(..) => "INBOX",
            Deed::Append(to, ..) | Deed::Copy(_, _, to) | Deed::Move(_, _, to) => to,
            _ => "",
        };
        let id = self.ids.get(&(which, into.to_owned())).copied().unwrap_or(0);
        if let (Done::Uids(uids), Some(history)) = (done, self.histories.get_mut(&(which, id))) {
            for uid in uids {
                if *uid <= history.highest_uid {
                    return wrong(format!("{deed:?}: UID {uid} is given again: {history:?}"));
                }
                history.highest_uid = *uid;
            }
        }
        match self.accounts[which].apply(deed, Some(done)) {
            Ok(()) => Ok(()),
            Err(why) => wrong(format!("{deed:?} was answered yes: {why}")),
        }
    }

    /// A refusal has left nothing behind: the next look will tell.
    fn refused(&mut self, which: usize, deed: &Deed, error: &Error) -> Outcome<()> {
        let possible = self.accounts[which].clone().apply(deed, None).is_ok();
        if possible && !self.trouble && !is_noop(deed) {
            return wrong(format!("{deed:?} was refused without a reason: {error:?}"));
        }
        Ok(())
    }

    /// Every client sees what the model says.
    pub(crate) fn compare(&mut self, read: Content) -> Outcome<()> {
        for (which, person) in PEOPLE.iter().enumerate() {
            let seen = self.look(which, read)?;
            self.remember(which, &seen)?;
            if let Err(why) = self.accounts[which].matches(&seen) {
                return wrong(format!("{person}: {why}"));
            }
        }
        Ok(())
    }

    fn request(&mut self, deeds: &[(usize, Deed)]) -> Outcome<Option<Asked>> {
        let mailboxes = self.mailboxes()?;
        let Some((which, deed)) = deeds.first().cloned() else { return Ok(None) };
        let account = account_id(which);
        if let Deed::Deliver(journey, content) = deed {
            let whom = deeds.iter().map(|(which, _)| recipient(*which)).collect();
            let body = Body::from(content[TRACE.len()..].to_vec());
            let delivery = Delivery { journey, body, recipients: whom };
            return Ok(Some(Box::pin(async move {
                let delivered = mailboxes.deliver(delivery).await.into_iter();
                let done = |one: mailbox::Delivered| match one.repeated {
                    true => Done::Repeated(one.uid.get()),
                    false => Done::Uids(vec![one.uid.get()]),
                };
                delivered.map(|one| one.map(done)).collect()
            })));
        }
        let one = |asked: Asked| Ok(Some(asked));
        let name = |text: &String| mailbox_name(text);
        match deed {
            Deed::Create(at) => one(Box::pin(async move {
                let made = mailboxes.create(&account, name(&at), None).await;
                vec![made.map(|_| Done::Yes)]
            })),
            Deed::Rename(from, to) => one(Box::pin(async move {
                let done = mailboxes.rename(&account, name(&from), name(&to)).await;
                vec![done.map(|()| Done::Yes)]
            })),
            Deed::Delete(at) => one(Box::pin(async move {
                vec![mailboxes.delete(&account, name(&at)).await.map(|()| Done::Yes)]
            })),
            other => self.on_letters(which, other),
        }
    }

    /// Requests that want a mailbox open.
    fn on_letters(&mut self, which: usize, deed: Deed) -> Outcome<Option<Asked>> {
        let mailboxes = self.mailboxes()?;
        let (Deed::Append(at, ..)
        | Deed::Flags(at, ..)
        | Deed::Expunge(at)
        | Deed::Copy(at, ..)
        | Deed::Move(at, ..)) = &deed
        else {
            return Ok(None);
        };
        let Some(mailbox) = self.open(which, at)? else { return Ok(None) };
        let mut to = mailbox.id();
        if let Deed::Copy(_, _, other) | Deed::Move(_, _, other) = &deed {
            let Some(other) = self.open(which, other)? else { return Ok(None) };
            to = other.id();
        }
        let placed =
            |placed: mailbox::Placed| Done::Uids(placed.uids.iter().map(|uid| uid.get()).collect());
        Ok(Some(Box::pin(async move {
            let answer = match deed {
                Deed::Append(_, flags, text) => {
                    let mut letter = NewLetter::from(Body::from(text.to_vec()));
                    letter.flags = bits(flags);
                    mailboxes.append(&mailbox, vec![letter], Quota::default()).await.map(placed)
                }
                Deed::Flags(_, range, how, flags) => {
                    let change = FlagChange {
                        uids: set(range),
                        how,
                        flags: bits(flags),
                        keywords: Vec::new(),
                        unchanged_since: None,
                    };
                    mailboxes.change_flags(&mailbox, change).await.map(|_| Done::Yes)
                }
                Deed::Copy(_, range, _) => {
                    let copied = mailboxes.copy(&mailbox, set(range), to, Quota::default());
                    copied.await.map(placed)
                }
                Deed::Move(_, range, _) => {
                    mailboxes.move_letters(&mailbox, set(range), to).await.map(placed)
                }
                _ => mailboxes.expunge(&mailbox, UidSet::all()).await.map(|_| Done::Yes),
            };
            vec![answer]
        })))
    }
}

/// A rename to its own name says so in its own way.
fn is_noop(deed: &Deed) -> bool {
    matches!(deed, Deed::Rename(from, to) if from == to)
}

fn recipient(which: usize) -> Recipient {
    Recipient {
        account: account_id(which),
        mailbox: MailboxName::inbox(),
        address: format!("{}@red.test", PEOPLE[which]),
        trace: TRACE.to_vec().into(),
        quota: Quota::default(),
        marks: mailbox::Marks::default(),
    }
}

fn set((from, to): (u32, u32)) -> UidSet {
    UidSet::parse(&format!("{from}:{to}")).expect("a set")
}

fn bits(flags: u8) -> Flags {
    Flags::from_bits(flags).expect("below 32")
}

/// Waits for all; each is asked in its turn.
async fn all(mut asked: Vec<Asked>) -> Vec<Answers> {
    let mut answers: Vec<Option<Answers>> = asked.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (one, answer) in asked.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let Poll::Ready(done) = one.as_mut().poll(context)
            {
                *answer = Some(done);
            }
        }
        if answers.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}

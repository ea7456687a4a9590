//! The run: a program and a letter become actions. One walk over the statements; there is no loop
//! but over the parts of a letter, no recursion but into scripts that may not include themselves,
//! and everything is counted against [`limits::WORK`](crate::limits).
//!
//! `ask` answers tests, `act` carries commands out, `mail` is the letter as the script sees it.

mod act;
mod address;
mod answer;
mod ask;
mod date;
mod edit;
mod mail;
mod mailto;
mod match_values;
mod parts;
mod variables;

use std::sync::Arc;

pub(crate) use address::single as single_address;
pub(crate) use date::{PARTS as DATE_PARTS, zone};
pub(crate) use edit::{text_entity, to_crlf};
pub(crate) use mailto::parse as mailto;

use crate::fault::{Fault, Position};
use crate::limits::{EXPLAINED, WORK, WORK_STEP};
use crate::outcome::{Act, Action, Explain, Facts, Outcome, Step, World};
use crate::program::{Do, Program, Statement};
use mail::Mail;
use variables::Scope;

pub(crate) type Ran<T> = Result<T, Fault>;

/// Runs a program over a letter.
pub fn run(
    program: &Program,
    letter: &[u8],
    (facts, world): (&Facts, &dyn World),
    explain: Explain,
) -> Outcome {
    let mut run = Run {
        facts,
        world,
        mail: Mail::new(letter),
        changed: false,
        work: WORK,
        actions: Vec::new(),
        keeps: true,
        flags: Vec::new(),
        scope: Scope::default(),
        including: Vec::new(),
        included: Vec::new(),
        includes: 0,
        part: None,
        parts_seen: 0,
        replaced: Vec::new(),
        added: 0,
        remember: Vec::new(),
        trusted: Vec::new(),
        explain,
        explanation: Vec::new(),
    };
    let fault = run.script(&program.body).err();
    run.finish(fault)
}

/// Where a block leaves off.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Flow {
    On,
    Stop,
    Return,
    Break(Option<String>),
}

/// One run.
struct Run<'a> {
    facts: &'a Facts,
    world: &'a dyn World,
    mail: Mail<'a>,
    /// The letter is not as it came.
    changed: bool,
    work: u64,
    actions: Vec<Action>,
    /// The implicit keep stands (RFC 5228 §2.10.2).
    keeps: bool,
    /// RFC 5232 §2: the internal variable.
    flags: Vec<String>,
    scope: Scope,
    /// Included scripts at work, outermost first.
    including: Vec<String>,
    /// Scripts included so far, for `:once`.
    included: Vec<String>,
    includes: usize,
    /// The part that a loop is at.
    part: Option<usize>,
    parts_seen: usize,
    /// Parts to be replaced when the outermost loop is over.
    replaced: Vec<(usize, Vec<u8>)>,
    /// Octets of header fields added.
    added: usize,
    remember: Vec<(String, u64)>,
    /// Identifiers that `duplicate` has answered for in this run.
    trusted: Vec<(String, bool)>,
    explain: Explain,
    explanation: Vec<Step>,
}

impl Run<'_> {
    fn script(&mut self, body: &Arc<[Statement]>) -> Ran<Flow> {
        self.block(body)
    }

    fn block(&mut self, statements: &[Statement]) -> Ran<Flow> {
        for statement in statements {
            self.spend(statement.at, WORK_STEP)?;
            let flow = self.statement(statement)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn statement(&mut self, statement: &Statement) -> Ran<Flow> {
        let at = statement.at;
        match &statement.what {
            Do::If { branches, otherwise } => {
                for (test, body) in branches {
                    if self.test(test)? {
                        return self.block(body);
                    }
                }
                self.block(otherwise)
            }
            Do::Stop => {
                self.note(at, || "stop: the script ends here".to_owned());
                Ok(Flow::Stop)
            }
            Do::Return => {
                self.note(at, || "return".to_owned());
                Ok(Flow::Return)
            }
            Do::Break(name) => Ok(Flow::Break(name.clone())),
            Do::ForEveryPart { name, body } => self.for_every_part(at, name.as_deref(), body),
            Do::Include { personal, once, optional, name } => {
                let name = self.expand(name)?;
                self.include(at, (*personal, name), *once, *optional)
            }
            Do::Error(message) => {
                let message = self.expand(message)?;
                Err(Fault::new(at, format!("the script says: {message}")))
            }
            Do::Invalid(what) => Err(Fault::new(at, what.clone())),
            other => self.act(at, other).map(|()| Flow::On),
        }
    }

    /// Takes from what the run may cost.
    fn spend(&mut self, at: Position, octets: u64) -> Ran<()> {
        self.work = self.work.checked_sub(octets).ok_or_else(|| {
            Fault::new(at, "the script takes too much work for this letter; simplify it")
        })?;
        Ok(())
    }

    fn spend_text(&mut self, at: Position, octets: usize) -> Ran<()> {
        self.spend(at, u64::try_from(octets).unwrap_or(u64::MAX))
    }

    /// A step of the explanation.
    fn note(&mut self, at: Position, what: impl FnOnce() -> String) {
        if self.explain == Explain::Yes && self.explanation.len() < EXPLAINED {
            let script = self.including.last().cloned();
            self.explanation.push(Step { at, script, what: what() });
        }
    }

    fn finish(mut self, fault: Option<Fault>) -> Outcome {
        if let Some(fault) = fault {
            // RFC 5228 §2.10.6: an error at run time ends the script, and the letter is kept.
            let keep = Act::Keep { flags: Vec::new() };
            self.note(fault.at, || format!("error: {}; the letter is kept", fault.what));
            return Outcome {
                actions: vec![Action { at: None, what: keep, letter: None }],
                fault: Some(fault),
                remember: Vec::new(),
                explanation: self.explanation,
            };
        }
        if self.keeps {
            let flags = self.flags.clone();
            let letter = self.letter();
            self.actions.push(Action { at: None, what: Act::Keep { flags }, letter });
        } else if self.actions.is_empty() {
            // Everything was said to be done by nothing.
            self.actions.push(Action { at: None, what: Act::Discard, letter: None });
        }
        Outcome {
            actions: self.actions,
            fault: None,
            remember: self.remember,
            explanation: self.explanation,
        }
    }

    /// The letter, if the script has changed it.
    fn letter(&self) -> Option<Vec<u8>> {
        self.changed.then(|| self.mail.bytes().to_vec())
    }
}

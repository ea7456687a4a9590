//! The checker: a tree becomes a program, or a list of faults with their places. Everything that
//! can be known before a letter comes is decided here: which commands and tests exist, what they
//! take, what must be required first.
//!
//! `commands` and `questions` know the single commands and tests, `arguments` how they are read,
//! `text` how strings are. Called by [`crate::compile`].

mod actions;
mod arguments;
mod commands;
mod extension;
mod matching;
mod questions;
mod text;

use std::collections::HashSet;

pub use extension::EXTENSIONS;
pub(crate) use questions::is_header_name;

use crate::fault::{Fault, Position};
use crate::program::{Do, Program, Statement, Test};
use crate::syntax::{self, Command, Script, Value};

pub(crate) type Checked<T> = Result<T, Fault>;

/// Understands a script.
///
/// # Errors
/// All faults found, in the order of the script; at least one.
pub fn compile(script: &Script) -> Result<Program, Vec<Fault>> {
    let mut checker = Checker::default();
    let body = checker.script(&script.commands);
    if checker.faults.is_empty() {
        return Ok(Program { body: body.into(), requires: checker.requires });
    }
    checker.faults.sort_by_key(|fault| fault.at);
    Err(checker.faults)
}

/// What is known while a script is read.
#[derive(Debug, Default)]
struct Checker {
    enabled: HashSet<&'static str>,
    requires: Vec<String>,
    faults: Vec<Fault>,
    /// Loops around the command at hand, with their names (RFC 5703 §3).
    loops: Vec<Option<String>>,
    /// A command other than `require` was seen.
    begun: bool,
}

impl Checker {
    /// Whether an extension may be used here.
    fn has(&self, extension: &str) -> bool {
        // RFC 5463 §4: with ihave, what is not required may be used where the test was true; only
        // the run knows where that is.
        self.enabled.contains(extension)
            || (self.enabled.contains("ihave") && EXTENSIONS.contains(&extension))
    }

    /// A fault unless the extension is required.
    fn need(&self, extension: &str, at: Position, what: &str) -> Checked<()> {
        if self.has(extension) {
            return Ok(());
        }
        let what = format!("{what} needs `require \"{extension}\";` at the top of the script");
        Err(Fault::new(at, what))
    }

    fn script(&mut self, commands: &[Command]) -> Vec<Statement> {
        let body = self.block(commands);
        // The place of a fault is that of the command it is in; duplicates add nothing.
        self.faults.dedup();
        body
    }

    /// The commands of a block; `if` with what belongs to it is one statement.
    fn block(&mut self, commands: &[Command]) -> Vec<Statement> {
        let mut statements: Vec<Statement> = Vec::with_capacity(commands.len());
        let mut rest = commands.iter().peekable();
        while let Some(command) = rest.next() {
            let name = command.name.to_ascii_lowercase();
            if name == "require" {
                if let Err(fault) = self.require(command) {
                    self.faults.push(fault);
                }
                continue;
            }
            self.begun = true;
            if name == "if" {
                let mut chain = vec![command];
                while let Some(next) = rest.next_if(|next| {
                    ["elsif", "else"].iter().any(|word| next.name.eq_ignore_ascii_case(word))
                }) {
                    chain.push(next);
                }
                statements.push(self.branches(&chain));
                continue;
            }
            match self.command(command, &name) {
                Ok(what) => statements.push(Statement { at: command.at, what }),
                Err(fault) => self.wrong(fault, &mut statements),
            }
        }
        statements
    }

    /// With ihave a faulty command is a fault only if it is reached (RFC 5463 §4).
    fn wrong(&mut self, fault: Fault, statements: &mut Vec<Statement>) {
        if self.enabled.contains("ihave") {
            statements.push(Statement { at: fault.at, what: Do::Invalid(fault.what) });
        } else {
            self.faults.push(fault);
        }
    }

    /// RFC 5228 §3.2.
    fn require(&mut self, command: &Command) -> Checked<()> {
        if self.begun {
            let what = "require stands before all other commands";
            return Err(Fault::new(command.at, what));
        }
        let [argument] = command.arguments.as_slice() else {
            return Err(Fault::new(command.at, "require takes one string or one list"));
        };
        let Value::Strings(names) = &argument.value else {
            return Err(Fault::new(argument.at, "require takes strings"));
        };
        plain(command)?;
        for name in names {
            // RFC 5228 §3.2: capability names are compared as they are.
            match EXTENSIONS.iter().find(|known| **known == name.text) {
                Some(known) => {
                    self.enabled.insert(known);
                    self.requires.push(name.text.clone());
                    extension::implied(known).iter().for_each(|more| {
                        self.enabled.insert(more);
                    });
                }
                None => {
                    let what = format!("this server does not have the extension {:?}", name.text);
                    self.faults.push(Fault::new(name.at, what));
                }
            }
        }
        Ok(())
    }

    /// RFC 5228 §3.1.
    fn branches(&mut self, chain: &[&Command]) -> Statement {
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        let at = chain.first().map(|command| command.at).unwrap_or_default();
        let mut closed = false;
        for command in chain {
            let is_else = command.name.eq_ignore_ascii_case("else");
            if closed {
                let what = format!("{} after else belongs to no if", command.name);
                self.faults.push(Fault::new(command.at, what));
            }
            if let Some(argument) = command.arguments.first() {
                let what = format!("{} takes no argument besides its test", command.name);
                self.faults.push(Fault::new(argument.at, what));
            }
            let Some(block) = &command.block else {
                let what = format!("{} is followed by a block in braces", command.name);
                self.faults.push(Fault::new(command.at, what));
                continue;
            };
            let test = match (is_else, &command.tests) {
                (true, syntax::Tests::None) => None,
                (false, syntax::Tests::One(test)) => match self.test(test) {
                    Ok(test) => Some(test),
                    Err(fault) => {
                        self.faults.push(fault);
                        self.block(block);
                        continue;
                    }
                },
                (true, _) => {
                    self.faults.push(Fault::new(command.at, "else takes no test"));
                    None
                }
                (false, _) => {
                    let what = format!(
                        "{} takes one test; several go into anyof (...) or allof (...)",
                        command.name
                    );
                    self.faults.push(Fault::new(command.at, what));
                    continue;
                }
            };
            let body = self.block(block);
            match test {
                Some(test) => branches.push((test, body)),
                None => (otherwise, closed) = (body, true),
            }
        }
        Statement { at, what: Do::If { branches, otherwise } }
    }

    /// A test; its faults are those of the command it stands in.
    fn test(&mut self, test: &syntax::Test) -> Checked<Test> {
        let name = test.name.to_ascii_lowercase();
        match self.question(test, &name) {
            Ok(what) => Ok(Test { at: test.at, name, what }),
            Err(fault) if self.enabled.contains("ihave") => {
                let what = crate::program::Ask::Invalid(fault.what);
                Ok(Test { at: fault.at, name, what })
            }
            Err(fault) => Err(fault),
        }
    }
}

/// A command that takes neither tests nor a block.
fn plain(command: &Command) -> Checked<()> {
    if let Some(test) = command.tests.as_slice().first() {
        let what = format!("{} takes no test; is a semicolon missing?", command.name);
        return Err(Fault::new(test.at, what));
    }
    if command.block.is_some() {
        return Err(Fault::new(command.at, format!("{} takes no block", command.name)));
    }
    Ok(())
}

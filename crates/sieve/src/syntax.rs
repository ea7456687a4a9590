//! The tree of a script as RFC 5228 §8.2 writes it: commands, tests, arguments, without any idea
//! of what they mean. Made by [`crate::parse`], printed by [`crate::print`], understood by the
//! checker.

use crate::fault::Position;

/// A script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Its commands in order.
    pub commands: Vec<Command>,
}

/// `identifier arguments [tests] (";" / block)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Where its name begins.
    pub at: Position,
    /// As written; case does not matter.
    pub name: String,
    /// Before the tests.
    pub arguments: Vec<Argument>,
    /// What stands after the arguments.
    pub tests: Tests,
    /// `{ ... }`; `None`: it ends with `;`.
    pub block: Option<Vec<Command>>,
}

/// `identifier arguments [tests]` in the place of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    /// Where its name begins.
    pub at: Position,
    /// As written; case does not matter.
    pub name: String,
    /// Before the tests.
    pub arguments: Vec<Argument>,
    /// What stands after the arguments.
    pub tests: Tests,
}

/// Tests that a command or a test takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tests {
    /// None.
    #[default]
    None,
    /// One, without parentheses.
    One(Box<Test>),
    /// A list in parentheses; at least one.
    List(Vec<Test>),
}

impl Tests {
    /// The tests, however written.
    pub fn as_slice(&self) -> &[Test] {
        match self {
            Tests::None => &[],
            Tests::One(test) => std::slice::from_ref(test),
            Tests::List(tests) => tests,
        }
    }
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Where it begins.
    pub at: Position,
    /// What it is.
    pub value: Value,
}

/// What an argument is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `:tag`, without the colon, as written.
    Tag(String),
    /// A number with its quantifier applied.
    Number(u64),
    /// A string, or a list of one, which means the same (RFC 5228 §2.4.2.1); several; or none.
    Strings(Vec<Text>),
}

/// A string with its quotes and escapes removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where it begins.
    pub at: Position,
    /// The string. Line ends in it are CRLF.
    pub text: String,
}

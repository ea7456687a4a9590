//! Tokens to a tree (RFC 5228 §8.2): the grammar that all commands and tests share. Whether a
//! command exists and takes such arguments is the checker's question.

use crate::fault::{Fault, Position};
use crate::lexer::{Lexer, Token};
use crate::limits::{NESTING, SCRIPT_BYTES, SCRIPT_NODES};
use crate::syntax::{Argument, Command, Script, Test, Tests, Text, Value};

type Result<T> = std::result::Result<T, Fault>;

/// Reads a script.
///
/// # Errors
/// The first fault, with its place.
pub fn parse(script: &[u8]) -> Result<Script> {
    let start = Position { line: 1, column: 1 };
    if script.len() > SCRIPT_BYTES {
        let what = format!("the script is longer than {SCRIPT_BYTES} octets");
        return Err(Fault::new(start, what));
    }
    let text = std::str::from_utf8(script).map_err(|error| {
        let before = script.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
        let column = before.rsplit(|octet| *octet == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(column).chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let at = Position { line: number(line), column: number(column) };
        // RFC 5228 §2.1: scripts are UTF-8.
        Fault::new(at, "this is not UTF-8; save the script as UTF-8")
    })?;
    // An editor's byte order mark is no part of the script.
    let mut parser = Parser::new(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let commands = parser.commands(0)?;
    match parser.token {
        Token::End => Ok(Script { commands }),
        ref other => Err(parser.expected("a command", other)),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    at: Position,
    token: Token,
    nodes: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self> {
        let mut lexer = Lexer::new(text);
        let (at, token) = lexer.next()?;
        Ok(Parser { lexer, at, token, nodes: 0 })
    }

    /// Takes the token and reads the next one.
    fn take(&mut self) -> Result<Token> {
        let (at, next) = self.lexer.next()?;
        self.at = at;
        self.nodes += 1;
        if self.nodes > SCRIPT_NODES {
            return Err(Fault::new(at, "the script is too long: it has too many words"));
        }
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is(&self, mark: char) -> bool {
        self.token == Token::Mark(mark)
    }

    fn expected(&self, what: &str, found: &Token) -> Fault {
        Fault::new(self.at, format!("{what} is expected here, not {}", found.shown()))
    }

    fn mark(&mut self, mark: char) -> Result<()> {
        if !self.is(mark) {
            return Err(self.expected(&format!("\"{mark}\""), &self.token));
        }
        self.take().map(drop)
    }

    fn deeper(&self, depth: usize) -> Result<usize> {
        if depth >= NESTING {
            return Err(Fault::new(self.at, format!("more than {NESTING} levels of nesting")));
        }
        Ok(depth + 1)
    }

    fn commands(&mut self, depth: usize) -> Result<Vec<Command>> {
        let mut commands = Vec::new();
        while let Token::Identifier(_) = self.token {
            commands.push(self.command(depth)?);
        }
        Ok(commands)
    }

    fn command(&mut self, depth: usize) -> Result<Command> {
        let at = self.at;
        let Token::Identifier(name) = self.take()? else {
            return Err(Fault::new(at, "a command is expected here"));
        };
        let (arguments, tests) = self.arguments(depth)?;
        let block = if self.is('{') {
            let depth = self.deeper(depth)?;
            self.take()?;
            let commands = self.commands(depth)?;
            if !self.is('}') {
                return Err(self.expected("a command or \"}\"", &self.token));
            }
            self.take()?;
            Some(commands)
        } else if self.is(';') {
            self.take()?;
            None
        } else {
            let what = format!("\";\" or a block after \"{name}\"");
            return Err(self.expected(&what, &self.token));
        };
        Ok(Command { at, name, arguments, tests, block })
    }

    fn test(&mut self, depth: usize) -> Result<Test> {
        let at = self.at;
        if !matches!(self.token, Token::Identifier(_)) {
            return Err(self.expected("a test", &self.token));
        }
        let Token::Identifier(name) = self.take()? else {
            return Err(Fault::new(at, "a test is expected here"));
        };
        let depth = self.deeper(depth)?;
        let (arguments, tests) = self.arguments(depth)?;
        Ok(Test { at, name, arguments, tests })
    }

    /// `arguments = *argument [test / test-list]`
    fn arguments(&mut self, depth: usize) -> Result<(Vec<Argument>, Tests)> {
        let mut arguments = Vec::new();
        loop {
            let at = self.at;
            let value = match &self.token {
                Token::Tag(_) | Token::Number(_) | Token::Text(_) => self.single()?,
                Token::Mark('[') => Value::Strings(self.list()?),
                Token::Mark('(') => return Ok((arguments, self.tests(depth)?)),
                Token::Identifier(_) => {
                    let test = self.test(depth)?;
                    return Ok((arguments, Tests::One(Box::new(test))));
                }
                _ => return Ok((arguments, Tests::None)),
            };
            arguments.push(Argument { at, value });
        }
    }

    fn single(&mut self) -> Result<Value> {
        let at = self.at;
        match self.take()? {
            Token::Tag(name) => Ok(Value::Tag(name)),
            Token::Number(number) => Ok(Value::Number(number)),
            Token::Text(text) => Ok(Value::Strings(vec![Text { at, text }])),
            other => Err(self.expected("an argument", &other)),
        }
    }

    fn list(&mut self) -> Result<Vec<Text>> {
        self.mark('[')?;
        let mut texts = Vec::new();
        // The grammar has no empty list; Pigeonhole and others write one, and it means itself.
        if self.is(']') {
            self.take()?;
            return Ok(texts);
        }
        loop {
            let at = self.at;
            match &self.token {
                Token::Text(_) => {
                    if let Token::Text(text) = self.take()? {
                        texts.push(Text { at, text });
                    }
                }
                other => return Err(self.expected("a string", other)),
            }
            if self.is(']') {
                self.take()?;
                return Ok(texts);
            }
            self.mark(',')?;
        }
    }

    fn tests(&mut self, depth: usize) -> Result<Tests> {
        let depth = self.deeper(depth)?;
        self.mark('(')?;
        let mut tests = Vec::new();
        loop {
            tests.push(self.test(depth)?);
            if self.is(')') {
                self.take()?;
                return Ok(Tests::List(tests));
            }
            self.mark(',')?;
        }
    }
}

//! A tree back to text: four spaces a level, a string list on one line, lines ended by LF. Parsing
//! what was printed gives the same tree; comments are not in the tree.

use std::fmt::Write as _;

use crate::syntax::{Argument, Command, Script, Test, Tests, Text, Value};

/// The script as text.
pub fn print(script: &Script) -> String {
    let mut out = String::new();
    commands(&mut out, &script.commands, 0);
    out
}

fn commands(out: &mut String, all: &[Command], level: usize) {
    for command in all {
        indent(out, level);
        // An `else` without its brace on the same line is as right, and looks like two things.
        out.push_str(&command.name);
        rest(out, &command.arguments, &command.tests);
        match &command.block {
            None => out.push_str(";\n"),
            Some(block) => {
                out.push_str(" {\n");
                commands(out, block, level + 1);
                indent(out, level);
                out.push_str("}\n");
            }
        }
    }
}

fn indent(out: &mut String, level: usize) {
    for _ in 0..level {
        out.push_str("    ");
    }
}

fn rest(out: &mut String, arguments: &[Argument], tests: &Tests) {
    for argument in arguments {
        out.push(' ');
        value(out, &argument.value);
    }
    match tests {
        Tests::None => {}
        Tests::One(one) => {
            out.push(' ');
            test(out, one);
        }
        Tests::List(all) => {
            out.push_str(" (");
            for (index, one) in all.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                test(out, one);
            }
            out.push(')');
        }
    }
}

fn test(out: &mut String, one: &Test) {
    out.push_str(&one.name);
    rest(out, &one.arguments, &one.tests);
}

fn value(out: &mut String, value: &Value) {
    match value {
        Value::Tag(name) => {
            out.push(':');
            out.push_str(name);
        }
        Value::Number(number) => {
            // Writing to a string does not fail.
            let _ = write!(out, "{number}");
        }
        Value::Strings(texts) => match texts.as_slice() {
            [one] => text(out, one),
            many => {
                out.push('[');
                for (index, one) in many.iter().enumerate() {
                    if index > 0 {
                        out.push_str(", ");
                    }
                    text(out, one);
                }
                out.push(']');
            }
        },
    }
}

fn text(out: &mut String, text: &Text) {
    out.push('"');
    let mut before = '\0';
    for character in text.text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            // A line feed alone would come back as CRLF; escaped it stays itself.
            '\n' if before != '\r' => out.push_str("\\\n"),
            other => out.push(other),
        }
        before = character;
    }
    out.push('"');
}

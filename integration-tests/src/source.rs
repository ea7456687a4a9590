//! The source tree as the style tests read it: files, code without comments and strings, and
//! where test code begins.
//!
//! Not a Rust parser: it knows comments, strings and the indentation that rustfmt gives, which is
//! enough for rules about names and lengths. Called by `tests/tidy.rs`, `layers.rs`, `rfc.rs`.

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").into()
}

/// One Rust file of ours.
pub struct Source {
    /// Path below the workspace, with `/`.
    pub path: String,
    /// The text as it is.
    pub text: String,
    /// The text with comments and the contents of strings blanked; same lines, same columns.
    pub code: String,
}

impl Source {
    /// The crate's folder name, such as `net`; `integration-tests` for the tests of the whole.
    pub fn crate_name(&self) -> &str {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next().unwrap_or_default(),
            Some(first) => first,
            None => "",
        }
    }

    /// Whether the whole file is test code.
    pub fn is_test_file(&self) -> bool {
        self.path.starts_with("integration-tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }

    /// The number (from 1) of the first line of test code, if there is any.
    pub fn tests_from(&self) -> Option<usize> {
        if self.is_test_file() {
            return Some(1);
        }
        let mut lines = self.code.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            // Only a module of tests ends the file; an attribute on one item does not.
            let opens = lines.peek().is_some_and(|(_, next)| {
                let next = next.trim_start();
                next.starts_with("mod ") || next.starts_with("#[allow") || next.starts_with("#[exp")
            });
            if line == "#[cfg(test)]" && opens && !follows_semicolon(&self.code, number) {
                return Some(number + 1);
            }
        }
        None
    }
}

/// `#[cfg(test)] mod tests;` declares a file; what follows it is not test code.
fn follows_semicolon(code: &str, attribute: usize) -> bool {
    code.lines()
        .skip(attribute + 1)
        .find(|line| line.trim_start().starts_with("mod "))
        .is_some_and(|line| line.trim_end().ends_with(';'))
}

/// Every `.rs` file under `crates` and `integration-tests`, by path.
pub fn sources() -> Vec<Source> {
    let root = workspace();
    let mut paths = Vec::new();
    for folder in ["crates", "integration-tests"] {
        walk(&root.join(folder), &mut paths);
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a source file is UTF-8");
            let code = blank(&text);
            let path = path.strip_prefix(&root).expect("below the root").display().to_string();
            Source { path, text, code }
        })
        .collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Replaces comments and the contents of strings by spaces.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        let end = match (c, next) {
            ('/', Some('/')) => line_end(&chars, at),
            ('/', Some('*')) => block_end(&chars, at),
            ('"', _) => quoted_end(&chars, at),
            ('r', Some('"' | '#')) if !word_before(&chars, at) => raw_end(&chars, at),
            ('b', Some('r')) if !word_before(&chars, at) => raw_end(&chars, at + 1),
            ('\'', Some(_)) => char_end(&chars, at),
            _ => at,
        };
        if end == at {
            out.push(c);
            at += 1;
        } else {
            for &c in &chars[at..end.min(chars.len())] {
                out.push(if c == '\n' { '\n' } else { ' ' });
            }
            at = end;
        }
    }
    out
}

fn word_before(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|&c| c == '\n').map_or(chars.len(), |n| at + n)
}

fn block_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                i += 1;
                continue;
            }
        }
        i += 2;
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() {
        match chars[i] {
            '\\' => i += 2,
            '"' => return i + 1,
            _ => i += 1,
        }
    }
    chars.len()
}

fn raw_end(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at; // r#keyword, or an identifier
    }
    let mut i = open + 1;
    while i < chars.len() {
        let closes = chars[i] == '"'
            && chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes;
        if closes {
            return i + 1 + hashes;
        }
        i += 1;
    }
    chars.len()
}

/// A character literal ends at its quote; a lifetime is left as it is.
fn char_end(chars: &[char], at: usize) -> usize {
    if chars[at + 1] == '\\' {
        let close = chars[at + 3..].iter().position(|&c| c == '\'');
        return close.map_or(at, |n| at + 3 + n + 1);
    }
    if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at }
}

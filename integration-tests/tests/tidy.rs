//! Style by the numbers: what `docs/style.md` says and a program can see.
//!
//! Every rule names the file, the line and what to do instead.

use integration_tests::source::{Source, blank, sources};

/// Lines of a file, tests included.
const FILE_LINES: usize = 800;
/// Lines of a function, from its name to its closing brace.
const FUNCTION_LINES: usize = 70;
/// A test reads as one story: a little more room.
const TEST_FUNCTION_LINES: usize = 100;
/// Columns of a line.
const COLUMNS: usize = 100;

/// Where a rule holds.
#[derive(Clone, Copy)]
enum Scope {
    /// Production code outside these crates.
    Outside(&'static [&'static str]),
    /// Production code of these crates.
    Within(&'static [&'static str]),
    /// Test code, this file excepted.
    Tests(&'static str),
}

/// What must not be written, where, and what to write instead.
const BANNED: &[(&str, Scope, &str)] = &[
    ("tokio::net", Scope::Outside(&["net"]), "the listeners and streams of `net`"),
    ("TcpStream", Scope::Outside(&["net"]), "`net::Stream`"),
    ("TcpListener", Scope::Outside(&["net"]), "the listeners of `net`"),
    ("UdpSocket", Scope::Outside(&["net"]), "the sockets of `net`"),
    ("UnixStream", Scope::Outside(&["net"]), "`net::Stream`"),
    ("UnixListener", Scope::Outside(&["net"]), "the listeners of `net`"),
    ("Instant::now", Scope::Within(PURE), "a `Tick` that the driver passes in"),
    ("SystemTime::now", Scope::Within(PURE), "a `Timestamp` that the caller passes in"),
    ("std::fs", Scope::Within(PURE), "bytes that the caller passes in"),
    ("tokio", Scope::Within(PURE), "nothing: this crate knows no runtime"),
    ("sync_all", Scope::Outside(&["disk"]), "what `disk` offers: it alone calls fsync"),
    ("fdatasync", Scope::Outside(&["disk"]), "what `disk` offers: it alone calls fsync"),
    ("syncfs", Scope::Outside(&["disk"]), "what `disk` offers: it alone calls fsync"),
    ("static mut", Scope::Outside(&[]), "a value passed in"),
    (".unwrap()", Scope::Outside(&[]), "`?`, or `expect` with the invariant"),
    ("mem::forget", Scope::Outside(&[]), "an owner that drops it"),
    ("Box<dyn Error", Scope::Outside(&[]), "an error type of the crate"),
    ("thread::sleep", Scope::Tests("integration-tests/src/wait.rs"), "`wait::until(condition)`"),
    ("time::sleep", Scope::Tests("integration-tests/src/wait.rs"), "`wait::until(condition)`"),
];

/// Crates without sockets, files, clocks or runtime.
const PURE: &[&str] = &["protocol", "message", "sieve"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] =
    &["common", "util", "utils", "core", "shared", "helper", "helpers", "misc"];

/// The one file that may hold unsafe code.
const UNSAFE_FILE: &str = "crates/disk/src/sys.rs";

#[test]
fn files_are_short_and_say_what_they_are() {
    check(|source, faults| {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            faults.push((1, format!("{lines} lines, at most {FILE_LINES}: split it by topic")));
        }
        if !source.text.starts_with("//!") {
            faults.push((1, "open with //!: what it is, what it is not, who calls it".into()));
        }
        for name in source.path.split(['/', '.']) {
            if EMPTY_NAMES.contains(&name) {
                faults.push((1, format!("`{name}` says nothing: name what is in it")));
            }
        }
    });
}

#[test]
fn functions_are_short() {
    check(|source, faults| {
        let lines: Vec<&str> = source.code.lines().collect();
        let tests_from = source.tests_from().unwrap_or(usize::MAX);
        for (index, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let limit = if index + 1 >= tests_from { TEST_FUNCTION_LINES } else { FUNCTION_LINES };
            let length = function_length(&lines[index..]);
            if length > limit {
                let fault = format!("`{name}` has {length} lines, at most {limit}");
                faults.push((index + 1, fault));
            }
        }
    });
}

#[test]
fn lines_fit() {
    check(|source, faults| {
        let tests_from = source.tests_from().unwrap_or(usize::MAX);
        for (index, (line, code)) in source.text.lines().zip(source.code.lines()).enumerate() {
            // An address on the web cannot be broken, nor what a test expects word for word.
            let words = index + 1 >= tests_from && code.split_whitespace().count() < 8;
            if line.chars().count() > COLUMNS && !line.contains("://") && !words {
                faults.push((index + 1, format!("longer than {COLUMNS} columns")));
            }
        }
    });
}

#[test]
fn banned_names_are_absent() {
    check(|source, faults| {
        let tests_from = source.tests_from().unwrap_or(usize::MAX);
        for (index, line) in source.code.lines().enumerate() {
            let in_tests = index + 1 >= tests_from;
            for (name, scope, instead) in BANNED {
                if line.contains(name) && applies(*scope, source, in_tests) {
                    faults.push((index + 1, format!("`{name}`: use {instead}")));
                }
            }
        }
    });
}

#[test]
fn unsafe_code_has_one_place() {
    check(|source, faults| {
        for (index, line) in source.code.lines().enumerate() {
            let allowed = line.contains("unsafe_code") && line.contains("allow");
            if allowed && source.path != UNSAFE_FILE {
                faults.push((index + 1, format!("unsafe code belongs in {UNSAFE_FILE}")));
            }
        }
    });
}

fn applies(scope: Scope, source: &Source, in_tests: bool) -> bool {
    match scope {
        Scope::Outside(crates) => !in_tests && !crates.contains(&source.crate_name()),
        Scope::Within(crates) => !in_tests && crates.contains(&source.crate_name()),
        Scope::Tests(except) => in_tests && source.path != except,
    }
}

/// Runs a rule over every file and fails with all it found.
fn check(rule: impl Fn(&Source, &mut Vec<(usize, String)>)) {
    let mut report = String::new();
    for source in sources() {
        let mut faults = Vec::new();
        rule(&source, &mut faults);
        for (line, fault) in faults {
            report.push_str(&format!("{}:{line}: {fault}\n", source.path));
        }
    }
    assert!(report.is_empty(), "style (docs/style.md):\n{report}");
}

/// The name of the function that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().peekable();
    loop {
        let word = words.next()?;
        match word {
            "fn" => return words.next().map(|name| name.split(['(', '<']).next().unwrap_or(name)),
            "pub" | "const" | "async" | "unsafe" | "extern" => {}
            _ if word.starts_with("pub(") || word == "super)" || word == "in" => {}
            _ => return None,
        }
    }
}

/// Lines from the first to the brace that closes it, by the indentation that rustfmt gives.
fn function_length(lines: &[&str]) -> usize {
    let first = lines[0];
    let indent = &first[..first.len() - first.trim_start().len()];
    let close = format!("{indent}}}");
    let semicolon = format!("{indent};");
    for (index, line) in lines.iter().enumerate() {
        let ends_here = index == 0 && (line.ends_with('}') || line.ends_with(';'));
        if ends_here || line.starts_with(&close) || line.starts_with(&semicolon) {
            return index + 1;
        }
        // The declaration of a trait's method without a body, over several lines.
        if index > 0 && line.ends_with(';') && line.starts_with(&format!("{indent})")) {
            return index + 1;
        }
    }
    lines.len()
}

#[test]
fn the_rules_see_code_and_not_prose() {
    let text = "let a = \"tokio::net\"; // tokio::net\nlet b = '\"'; let c = r#\"x\"y\"#; d::e()\n";
    let code = blank(text);
    assert!(!code.contains("tokio"), "{code}");
    assert!(code.contains("d::e()"), "{code}");
    assert_eq!(code.lines().count(), text.lines().count());
    assert_eq!(blank("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
    assert_eq!(function_name("    pub(crate) async fn next(&mut self) -> u8 {"), Some("next"));
    assert_eq!(function_length(&["  fn a() {", "    b", "  }", "  fn c() {"]), 3);
}

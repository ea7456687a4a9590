//! Standard output and standard error: lines for people, JSON Lines for programs. A reader that
//! went away (`| head`) is no error. Text from elsewhere is made safe for terminals here.

use std::io::{self, Write};

use serde::Serialize;

/// A line on standard output.
pub(crate) fn line(text: &str) {
    write(&mut io::stdout().lock(), text);
}

/// An object as one line of JSON on standard output.
pub(crate) fn json<T: Serialize>(value: &T) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(error) => complain(&format!("cannot be shown as JSON: {error}")),
    }
}

/// A line on standard error.
pub(crate) fn complain(text: &str) {
    write(&mut io::stderr().lock(), text);
}

fn write(out: &mut impl Write, text: &str) {
    // Nobody reads: nobody to tell.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Text of unknown origin without control characters: no terminal escapes from foreign mail.
pub(crate) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Columns padded to the widest cell, two spaces apart; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let show = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(show).collect()
}

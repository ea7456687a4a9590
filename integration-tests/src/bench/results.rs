//! What was measured, kept in a file: each workload of each run beside the peer it ran beside.
//! A row measured again replaces the one before, so that the page can be made from many sittings,
//! while the two sides of a row are always of one.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

/// Every row, in the order in which they were first measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// The rows.
    pub rows: Vec<Row>,
}

/// One workload on one or two servers.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The workload as the runner takes it, `@` and the peer's name.
    pub id: String,
    /// Machine, date and load.
    pub machine: String,
    /// Ours first.
    pub sides: Vec<Side>,
}

/// The medians of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    /// Its name and version.
    pub server: String,
    /// Figures by name; the unit is in the name.
    pub values: BTreeMap<String, f64>,
}

impl Side {
    /// Each figure's own median over several runs.
    pub fn median(server: &str, runs: &[BTreeMap<String, f64>]) -> Side {
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value) in runs.iter().flatten() {
            all.entry(name.clone()).or_default().push(*value);
        }
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            // Of two, their mean: neither is the better median.
            let half = values.len() / 2;
            match values.len() % 2 {
                0 => f64::midpoint(values[half - 1], values[half]),
                _ => values[half],
            }
        };
        let values = all.into_iter().map(|(name, values)| (name, middle(values))).collect();
        Side { server: server.to_owned(), values }
    }
}

impl Row {
    /// The workload.
    pub fn workload(&self) -> &str {
        self.id.split('@').next().unwrap_or_default()
    }

    /// The peer; empty where ours ran alone.
    pub fn peer(&self) -> &str {
        self.id.split_once('@').map_or("", |(_, peer)| peer)
    }

    /// Our figure.
    pub fn ours(&self, name: &str) -> Option<f64> {
        self.sides.first()?.values.get(name).copied()
    }

    /// The peer's.
    pub fn theirs(&self, name: &str) -> Option<f64> {
        self.sides.get(1)?.values.get(name).copied()
    }

    fn to_json(&self) -> Value {
        let sides: Vec<Value> = self
            .sides
            .iter()
            .map(|side| json!({ "server": side.server, "values": side.values }))
            .collect();
        json!({ "id": self.id, "machine": self.machine, "sides": sides })
    }

    fn from_json(value: &Value) -> Option<Row> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let side = |side: &Value| {
            let values = side["values"].as_object()?.iter();
            let values = values.map(|(name, value)| Some((name.clone(), value.as_f64()?)));
            Some(Side { server: text(&side["server"])?, values: values.collect::<Option<_>>()? })
        };
        Some(Row {
            id: text(&value["id"])?,
            machine: text(&value["machine"])?,
            sides: value["sides"].as_array()?.iter().map(side).collect::<Option<_>>()?,
        })
    }
}

impl Results {
    /// Reads a file; one that is not there holds nothing.
    ///
    /// # Errors
    ///
    /// A file that is none of ours.
    pub fn read(path: &Path) -> Result<Results, String> {
        let Ok(text) = std::fs::read_to_string(path) else { return Ok(Results::default()) };
        let bad = || format!("{}: not a file of results", path.display());
        let value: Value = serde_json::from_str(&text).map_err(|_| bad())?;
        let rows = value.as_array().ok_or_else(bad)?.iter().map(Row::from_json);
        Ok(Results { rows: rows.collect::<Option<_>>().ok_or_else(bad)? })
    }

    /// Writes all rows.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let rows: Vec<String> =
            self.rows.iter().map(|row| format!("  {}", row.to_json())).collect();
        let text = format!("[\n{}\n]\n", rows.join(",\n"));
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Takes a row, in the place of the one before it.
    pub fn put(&mut self, row: Row) {
        match self.rows.iter_mut().find(|known| known.id == row.id) {
            Some(known) => *known = row,
            None => self.rows.push(row),
        }
    }

    /// A workload beside a peer.
    pub fn find(&self, workload: &str, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.workload() == workload && row.peer() == peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, rate: f64) -> Row {
        let run = BTreeMap::from([("rate".to_owned(), rate)]);
        let side = Side::median("Ours 1", &[run.clone(), run]);
        Row { id: id.into(), machine: "a machine".into(), sides: vec![side] }
    }

    #[test]
    fn a_row_measured_again_replaces_the_one_before_and_the_file_leads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let mut results = Results::read(&path).unwrap();
        results.put(row("inbound:4:10@Postfix", 1.0));
        results.put(row("relay:4:10@Postfix", 2.0));
        results.put(row("inbound:4:10@Postfix", 3.0));
        results.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        assert_eq!(read, results);
        assert_eq!(read.rows.len(), 2);
        assert_eq!(read.find("inbound:4:10", "Postfix").unwrap().ours("rate"), Some(3.0));
        std::fs::write(&path, "{}").unwrap();
        assert!(Results::read(&path).is_err());
    }

    #[test]
    fn the_median_of_each_figure_is_its_own() {
        let run = |a: f64, b: f64| BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let side = Side::median("x", &[run(1.0, 9.0), run(3.0, 7.0), run(2.0, 8.0)]);
        assert_eq!(side.values["a"], 2.0);
        assert_eq!(side.values["b"], 8.0);
    }
}

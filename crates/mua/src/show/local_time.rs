//! Times as the reader's clock on the wall shows them, and the offset for the Date of a letter.
//! Reads the zone file of the system (TZif, RFC 9636) that TZ or /etc/localtime names; UTC where
//! there is none. Rules for years beyond the file's table are not computed: the last offset holds.

use std::fs;
use std::path::Path;

use message::date::DateTime;
use protocol::time::Timestamp;

/// Octets of a zone file; the largest of the system's are below 4,000.
const MAX_ZONE_FILE: usize = 256 * 1024;

/// Changes of the offset from UTC over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Offset before the first change, in seconds east.
    first: i32,
    /// From this second on, that offset; ascending.
    changes: Vec<(i64, i32)>,
}

impl Zone {
    /// No offset, ever.
    pub fn utc() -> Self {
        Zone::default()
    }

    /// The zone of this machine and user.
    pub fn local() -> Self {
        let file = match std::env::var("TZ") {
            Ok(name) if name.is_empty() => return Zone::utc(),
            Ok(name) => {
                let name = name.strip_prefix(':').unwrap_or(&name).to_owned();
                // A name of the database, not a path of somebody's.
                if name.starts_with('/') || name.split('/').any(|part| part == "..") {
                    return Zone::utc();
                }
                Path::new("/usr/share/zoneinfo").join(name)
            }
            Err(_) => Path::new("/etc/localtime").to_owned(),
        };
        fs::read(file)
            .ok()
            .filter(|f| f.len() <= MAX_ZONE_FILE)
            .and_then(|f| parse(&f))
            .unwrap_or_default()
    }

    /// Seconds east of UTC at a moment.
    pub fn offset(&self, moment: Timestamp) -> i32 {
        let seconds = moment.as_seconds();
        let after = self.changes.partition_point(|(from, _)| *from <= seconds);
        after
            .checked_sub(1)
            .and_then(|index| self.changes.get(index))
            .map_or(self.first, |(_, offset)| *offset)
    }

    /// The moment with its offset, for a Date field.
    pub fn date(&self, moment: Timestamp) -> DateTime {
        let minutes = i16::try_from(self.offset(moment) / 60).unwrap_or(0);
        DateTime { moment, offset_minutes: minutes }
    }

    /// `26-11-22 22:06`: fourteen columns.
    pub fn short(&self, moment: Option<Timestamp>) -> String {
        let Some(moment) = moment else { return "?".to_owned() };
        let local = moment.as_seconds().saturating_add(i64::from(self.offset(moment)));
        let at = Timestamp::from_seconds(local).civil();
        let year = at.year.rem_euclid(100);
        format!("{year:02}-{:02}-{:02} {:02}:{:02}", at.month, at.day, at.hour, at.minute)
    }

    /// `2026-11-22 22:06:36 +0100`.
    pub fn long(&self, moment: Timestamp) -> String {
        let offset = self.offset(moment);
        let local = moment.as_seconds().saturating_add(i64::from(offset));
        let at = Timestamp::from_seconds(local).civil();
        let sign = if offset < 0 { '-' } else { '+' };
        let minutes = offset.unsigned_abs() / 60;
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            at.year,
            at.month,
            at.day,
            at.hour,
            at.minute,
            at.second,
            minutes / 60,
            minutes % 60
        )
    }
}

/// RFC 9636 §3: the second block, with 64-bit times, where there is one.
fn parse(file: &[u8]) -> Option<Zone> {
    let (first, version) = Header::read(file)?;
    if version == 0 {
        return first.block(file.get(44..)?, 4);
    }
    let second = file.get(44 + first.size(4)..)?;
    let (header, _) = Header::read(second)?;
    header.block(second.get(44..)?, 8)
}

/// The counts of a TZif header.
struct Header {
    isut: usize,
    isstd: usize,
    leap: usize,
    times: usize,
    types: usize,
    names: usize,
}

impl Header {
    fn read(file: &[u8]) -> Option<(Header, u8)> {
        let head = file.get(..44)?;
        if head.get(..4)? != b"TZif" {
            return None;
        }
        let count = |index: usize| {
            let octets: [u8; 4] = head.get(20 + 4 * index..24 + 4 * index)?.try_into().ok()?;
            usize::try_from(u32::from_be_bytes(octets)).ok().filter(|n| *n <= MAX_ZONE_FILE)
        };
        let header = Header {
            isut: count(0)?,
            isstd: count(1)?,
            leap: count(2)?,
            times: count(3)?,
            types: count(4)?,
            names: count(5)?,
        };
        Some((header, *head.get(4)?))
    }

    /// Octets of the data block with times of so many octets.
    fn size(&self, time: usize) -> usize {
        self.times * (time + 1)
            + self.types * 6
            + self.names
            + self.leap * (time + 4)
            + self.isstd
            + self.isut
    }

    fn block(&self, data: &[u8], time: usize) -> Option<Zone> {
        let (times, rest) = data.split_at_checked(self.times * time)?;
        let (indices, rest) = rest.split_at_checked(self.times)?;
        let types = rest.get(..self.types * 6)?;
        let offset = |index: usize| {
            let octets: [u8; 4] = types.get(index * 6..index * 6 + 4)?.try_into().ok()?;
            Some(i32::from_be_bytes(octets)).filter(|offset| offset.unsigned_abs() < 26 * 3_600)
        };
        let mut changes = Vec::with_capacity(self.times);
        for (octets, index) in times.chunks(time).zip(indices) {
            let from = match octets {
                [a, b, c, d] => i64::from(i32::from_be_bytes([*a, *b, *c, *d])),
                octets => i64::from_be_bytes(octets.try_into().ok()?),
            };
            changes.push((from, offset(usize::from(*index))?));
        }
        Some(Zone { first: offset(0)?, changes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version 1 file with one change.
    fn sample() -> Vec<u8> {
        let mut file = b"TZif\0".to_vec();
        file.extend([0; 15]);
        for count in [0_u32, 0, 0, 1, 2, 4] {
            file.extend(count.to_be_bytes());
        }
        file.extend(1_000_i32.to_be_bytes());
        file.push(1);
        file.extend(3_600_i32.to_be_bytes());
        file.extend([0, 0]);
        file.extend((-5_400_i32).to_be_bytes());
        file.extend([1, 0]);
        file.extend(b"ABC\0");
        file
    }

    #[test]
    fn offsets_change_when_the_file_says_so() {
        let zone = parse(&sample()).unwrap();
        assert_eq!(zone.offset(Timestamp::from_seconds(999)), 3_600);
        assert_eq!(zone.offset(Timestamp::from_seconds(1_000)), -5_400);
        assert_eq!(zone.long(Timestamp::from_seconds(1_000)), "1969-12-31 22:46:40 -0130");
        assert_eq!(zone.short(Some(Timestamp::from_seconds(0))), "70-01-01 01:00");
        assert_eq!(zone.date(Timestamp::from_seconds(1_000)).offset_minutes, -90);
    }

    #[test]
    fn broken_files_are_none() {
        let file = sample();
        for length in 0..file.len() - 4 {
            assert_eq!(parse(&file[..length]), None, "{length}");
        }
        assert_eq!(parse(b"no zone file at all, but long enough to be looked at ........"), None);
    }

    #[test]
    fn reads_the_systems_files() {
        let Ok(file) = fs::read("/usr/share/zoneinfo/Europe/Berlin") else { return };
        let zone = parse(&file).unwrap();
        assert_eq!(zone.offset(Timestamp::from_seconds(1_600_000_000)), 7_200);
    }
}

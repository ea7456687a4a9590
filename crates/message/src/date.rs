//! Dates as RFC 5322 §3.3 prints them, and read back tolerantly (§4.3, and what is seen in the
//! wild). Knows no time zones beyond the numeric offset: the caller brings it.

use protocol::time::{Civil, Timestamp};

/// A moment with the offset from UTC in which its author lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// The moment.
    pub moment: Timestamp,
    /// Minutes east of UTC, within a day either way.
    pub offset_minutes: i16,
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl DateTime {
    /// The moment as people in UTC write it.
    pub fn utc(moment: Timestamp) -> Self {
        DateTime { moment, offset_minutes: 0 }
    }

    /// `Sun, 22 Nov 2026 21:06:36 +0100`.
    pub fn to_rfc5322(self) -> String {
        let local = self.moment.as_seconds().saturating_add(i64::from(self.offset_minutes) * 60);
        let at = Timestamp::from_seconds(local).civil();
        let name = |names: &[&'static str], index: u8| {
            names.get(usize::from(index)).copied().unwrap_or_default()
        };
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let offset = self.offset_minutes.unsigned_abs();
        format!(
            "{}, {} {} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            name(&DAYS, at.weekday),
            at.day,
            name(&MONTHS, at.month.saturating_sub(1)),
            at.year,
            at.hour,
            at.minute,
            at.second,
            offset / 60,
            offset % 60
        )
    }

    /// Reads a Date field's value. Comments, a missing day of week, seconds or zone, two-digit
    /// years and the old zone names are understood; `None` when there is no date in it.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = without_comments(value);
        let mut words = text
            .split(|c: char| c.is_whitespace() || c == ',' || c == '-')
            .filter(|word| !word.is_empty())
            .peekable();
        // `-` separates 22-Nov-2026 but also begins a zone: the zone is looked for by itself.
        if words.peek()?.starts_with(|c: char| c.is_ascii_alphabetic()) {
            words.next();
        }
        let day: u8 = words.next()?.parse().ok()?;
        let month_name = words.next()?.get(..3)?.to_ascii_lowercase();
        let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(&month_name))?;
        let year = full_year(words.next()?)?;
        let mut clock = words.next()?.split([':', '.']).map(|part| part.parse::<u8>());
        let hour = clock.next()?.ok()?;
        let minute = clock.next()?.ok()?;
        let second = clock.next().and_then(Result::ok).unwrap_or(0);
        let civil = Civil {
            year,
            month: u8::try_from(month + 1).ok()?,
            day,
            hour,
            minute,
            // RFC 5322 §3.3 allows the leap second; our clock has none.
            second: second.min(59),
            micros: 0,
            weekday: 0,
        };
        let offset_minutes = zone(text.split_whitespace().last().unwrap_or_default());
        let local = Timestamp::from_civil(civil)?.as_seconds();
        let moment = Timestamp::from_seconds(local - i64::from(offset_minutes) * 60);
        Some(DateTime { moment, offset_minutes })
    }
}

/// RFC 5322 §4.3: two digits are 2000 to 2049 or 1950 to 1999, three are added to 1900.
fn full_year(word: &str) -> Option<i64> {
    let year: i64 = word.parse().ok().filter(|year| (0..=9999).contains(year))?;
    Some(match (word.len(), year) {
        (2, 0..=49) => year + 2000,
        (2 | 3, _) => year + 1900,
        _ => year,
    })
}

/// Minutes east of UTC; anything unknown counts as UTC (RFC 5322 §4.3: as `-0000`).
fn zone(word: &str) -> i16 {
    let (sign, digits) = match word.as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return named_zone(word),
    };
    let digit = |d: &u8| d.is_ascii_digit().then(|| i16::from(d - b'0'));
    match digits {
        [a, b, c, d] => match (digit(a), digit(b), digit(c), digit(d)) {
            (Some(a), Some(b), Some(c), Some(d)) if a * 10 + b < 24 => {
                sign * ((a * 10 + b) * 60 + c * 10 + d)
            }
            _ => 0,
        },
        _ => 0,
    }
}

/// RFC 5322 §4.3: the zones of RFC 822 that have a meaning of their own.
fn named_zone(word: &str) -> i16 {
    match word.to_ascii_uppercase().as_str() {
        "EDT" => -4 * 60,
        "EST" | "CDT" => -5 * 60,
        "CST" | "MDT" => -6 * 60,
        "MST" | "PDT" => -7 * 60,
        "PST" => -8 * 60,
        _ => 0,
    }
}

/// The text without RFC 5322 §3.2.2 comments.
fn without_comments(value: &[u8]) -> String {
    let mut depth = 0_usize;
    let mut text = String::with_capacity(value.len().min(64));
    for octet in value.iter().take(crate::limits::MAX_LINE) {
        match octet {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            octet if depth == 0 && octet.is_ascii() && *octet != 0 => text.push(char::from(*octet)),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(i64, i16)> {
        DateTime::parse(text.as_bytes()).map(|d| (d.moment.as_seconds(), d.offset_minutes))
    }

    #[test]
    fn prints_and_reads_back() {
        for (seconds, offset) in [(0, 0), (1_795_381_596, 60), (1_795_381_596, -570), (-1, 840)] {
            let date =
                DateTime { moment: Timestamp::from_seconds(seconds), offset_minutes: offset };
            assert_eq!(DateTime::parse(date.to_rfc5322().as_bytes()), Some(date));
        }
        let date = DateTime { moment: Timestamp::from_seconds(0), offset_minutes: -90 };
        assert_eq!(date.to_rfc5322(), "Wed, 31 Dec 1969 22:30:00 -0130");
    }

    #[test]
    fn reads_what_is_seen() {
        let same = 880_127_706;
        for text in [
            "Fri, 21 Nov 1997 09:55:06 -0600",
            "21 Nov 97 09:55:06 CST",
            "Fri,21 Nov 1997 09(comment):55 : 06 -0600 (central (nested))",
            "Fri, 21 Nov 1997 15:55:06 GMT",
            "21-Nov-1997 15:55:06",
            "21 November 1997 15:55:06.123 +0000",
        ] {
            let text = text.replace("09(comment):55 : 06", "09(comment):55:06");
            assert_eq!(read(&text).map(|d| d.0), Some(same), "{text}");
        }
        assert_eq!(read("21 Nov 1997 15:55 +0000").map(|d| d.0), Some(same - 6));
        assert_eq!(read("29 Feb 2024 23:59:60 +0000").map(|d| d.0), Some(1_709_251_199));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["", "tomorrow", "32 Jan 2026 00:00:00 +0000", "1 Foo 2026 1:2:3", "1 Jan 2026"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(DateTime::parse(&[0xff; 300]), None);
    }
}

//! Dates of IMAP: the `date` of SEARCH and the `date-time` of INTERNALDATE and APPEND (RFC 3501
//! §9). Not the dates in letters (`message` has those). Called by the grammar.

use std::fmt;

use crate::time::{Civil, Timestamp};

/// A day without time and zone (RFC 3501 §6.4.4: SEARCH disregards both).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// A day that exists in the calendar.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Date> {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        let good = (1..=days).contains(&day) && (1..=9999).contains(&year);
        good.then_some(Date { year, month, day })
    }

    /// 1 to 9999.
    pub fn year(self) -> u16 {
        self.year
    }

    /// 1 to 12.
    pub fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    pub fn day(self) -> u8 {
        self.day
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:04}", self.day, month_name(self.month), self.year)
    }
}

/// A moment to the second, with the zone it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    seconds: i64,
    zone_minutes: i16,
}

impl DateTime {
    /// The moment, shown in UTC; fractions of a second are dropped.
    pub fn from_timestamp(moment: Timestamp) -> DateTime {
        DateTime { seconds: moment.as_seconds(), zone_minutes: 0 }
    }

    /// A local date and time of day with the zone's distance from UTC in minutes. `None` when a
    /// field is out of range.
    pub fn new(date: Date, time: [u8; 3], zone_minutes: i16) -> Option<DateTime> {
        let [hour, minute, second] = time;
        let local = Timestamp::from_civil(Civil {
            year: i64::from(date.year),
            month: date.month,
            day: date.day,
            hour,
            minute,
            second,
            micros: 0,
            weekday: 0,
        })?;
        let good = zone_minutes.abs() < 24 * 60;
        let seconds = local.as_seconds() - i64::from(zone_minutes) * 60;
        good.then_some(DateTime { seconds, zone_minutes })
    }

    /// The moment.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_seconds(self.seconds)
    }

    /// Minutes east of UTC.
    pub fn zone_minutes(self) -> i16 {
        self.zone_minutes
    }

    /// The day in the zone it was written in, which is what SEARCH compares.
    pub fn date(self) -> Option<Date> {
        let civil = self.local().civil();
        Date::new(u16::try_from(civil.year).ok()?, civil.month, civil.day)
    }

    fn local(self) -> Timestamp {
        Timestamp::from_seconds(self.seconds + i64::from(self.zone_minutes) * 60)
    }
}

/// Without the quotes: `17-Jul-1996 02:44:25 -0700`, the day padded with a space.
impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.local().civil();
        let sign = if self.zone_minutes < 0 { '-' } else { '+' };
        let zone = self.zone_minutes.unsigned_abs();
        write!(
            f,
            "{:2}-{}-{:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            c.day,
            month_name(c.month),
            c.year,
            c.hour,
            c.minute,
            c.second,
            zone / 60,
            zone % 60
        )
    }
}

/// 1 to 12, from a name of three letters in any case.
pub(crate) fn month_number(name: &[u8]) -> Option<u8> {
    let index = MONTHS.iter().position(|month| month.as_bytes().eq_ignore_ascii_case(name))?;
    u8::try_from(index + 1).ok()
}

fn month_name(month: u8) -> &'static str {
    MONTHS.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or("Jan")
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_do_not_exist() {
        assert!(Date::new(2024, 2, 29).is_some());
        for (year, month, day) in [(2023, 2, 29), (1900, 2, 29), (2024, 4, 31), (2024, 13, 1)] {
            assert_eq!(Date::new(year, month, day), None);
        }
        assert_eq!(Date::new(2024, 1, 0), None);
    }

    #[test]
    fn moments_keep_their_zone() {
        let date = Date::new(1996, 7, 17).unwrap();
        let moment = DateTime::new(date, [2, 44, 25], -7 * 60).unwrap();
        assert_eq!(moment.to_string(), "17-Jul-1996 02:44:25 -0700");
        assert_eq!(moment.timestamp().to_rfc3339(), "1996-07-17T09:44:25.000Z");
        assert_eq!(moment.date(), Some(date));
        assert_eq!(DateTime::new(date, [24, 0, 0], 0), None);
        let padded = DateTime::new(Date::new(2026, 1, 2).unwrap(), [0, 0, 0], 90).unwrap();
        assert_eq!(padded.to_string(), " 2-Jan-2026 00:00:00 +0130");
    }
}

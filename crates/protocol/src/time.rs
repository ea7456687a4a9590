//! Wall-clock time as a value. Not a clock: whoever needs the time is given it (`net::Clock`
//! reads the real one). Dates of letters are made from it by the `message` crate.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment of wall-clock time: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A moment taken apart in the Gregorian calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Civil {
    /// Year, e.g. 2026.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999 999.
    pub micros: u32,
    /// 0 is Sunday.
    pub weekday: u8,
}

impl Timestamp {
    /// The given number of microseconds after 1970.
    pub const fn from_micros(micros: i64) -> Self {
        Timestamp(micros)
    }

    /// The given number of seconds after 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Timestamp(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since 1970.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The moment `wait` later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }

    /// The moment `wait` earlier.
    #[must_use]
    pub fn before(self, wait: Duration) -> Self {
        let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(micros))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        let micros = self.0.saturating_sub(earlier.0).max(0);
        Duration::from_micros(micros.unsigned_abs())
    }

    /// The date and time of day in UTC.
    pub fn civil(self) -> Civil {
        const DAY: i64 = 86_400_000_000;
        let days = self.0.div_euclid(DAY);
        let rest = self.0.rem_euclid(DAY);
        // Days since 0000-03-01, so that the leap day is the last of its year; then eras of
        // 400 years, which all have the same length.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let seconds = rest / 1_000_000;
        Civil {
            year,
            month: small(month),
            day: small(day),
            hour: small(seconds / 3600),
            minute: small(seconds / 60 % 60),
            second: small(seconds % 60),
            micros: u32::try_from(rest % 1_000_000).unwrap_or(0),
            weekday: small((days + 4).rem_euclid(7)),
        }
    }

    /// The moment of a date and time in UTC; `weekday` is not looked at. `None` when a field is out
    /// of its range.
    pub fn from_civil(civil: Civil) -> Option<Self> {
        let Civil { year, month, day, hour, minute, second, micros, .. } = civil;
        // A leap second (60) is taken as the first second of the next minute.
        let in_range = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60
            && micros < 1_000_000
            && (-200_000..=200_000).contains(&year);
        if !in_range {
            return None;
        }
        let shifted_year = year - i64::from(month <= 2);
        let era = shifted_year.div_euclid(400);
        let year_of_era = shifted_year.rem_euclid(400);
        let month_index = (i64::from(month) + 9) % 12;
        let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds =
            days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(Timestamp(seconds * 1_000_000 + i64::from(micros)))
    }

    /// RFC 3339 with milliseconds, in UTC: `2026-11-22T21:06:36.123Z`.
    pub fn to_rfc3339(self) -> String {
        let c = self.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            c.micros / 1000
        )
    }

    /// Reads what RFC 3339 §5.6 calls a date-time: `2026-11-22T21:06:36Z`, with or without a
    /// fraction of a second, with `Z` or an offset.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once(['T', 't', ' '])?;
        let mut date = date.splitn(3, '-').map(str::parse::<u32>);
        let mut number = || date.next()?.ok();
        let (year, month, day) = (number()?, number()?, number()?);
        let at = rest.find(['Z', 'z', '+', '-'])?;
        let (clock, zone) = rest.split_at_checked(at)?;
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut clock = whole.splitn(3, ':').map(str::parse::<u8>);
        let mut number = || clock.next()?.ok();
        let (hour, minute, second) = (number()?, number()?, number()?);
        let digits = fraction.get(..fraction.len().min(6))?;
        if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let micros = format!("{digits:0<6}").parse().ok()?;
        let local = Timestamp::from_civil(Civil {
            year: i64::from(year),
            month: u8::try_from(month).ok()?,
            day: u8::try_from(day).ok()?,
            hour,
            minute,
            second,
            micros,
            weekday: 0,
        })?;
        if zone.eq_ignore_ascii_case("z") {
            return Some(local);
        }
        let (sign, offset) = zone.split_at_checked(1)?;
        let (hours, minutes) = offset.split_once(':')?;
        let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = (i64::from(hours) * 60 + i64::from(minutes)) * 60;
        let seconds = if sign == "-" { -seconds } else { seconds };
        Some(Timestamp(local.0.checked_sub(seconds.checked_mul(1_000_000)?)?))
    }

    /// The date in UTC: `2026-11-22`.
    pub fn to_date(self) -> String {
        let c = self.civil();
        format!("{:04}-{:02}-{:02}", c.year, c.month, c.day)
    }

    /// RFC 5322 §3.3 date-time in UTC: `Sun, 22 Nov 2026 21:06:36 +0000`.
    pub fn to_rfc5322(self) -> String {
        let c = self.civil();
        format!(
            "{}, {} {} {:04} {:02}:{:02}:{:02} +0000",
            WEEKDAYS.get(usize::from(c.weekday)).copied().unwrap_or("Sun"),
            c.day,
            MONTHS.get(usize::from(c.month).saturating_sub(1)).copied().unwrap_or("Jan"),
            c.year,
            c.hour,
            c.minute,
            c.second
        )
    }
}

/// A calendar field, which is below 256 by construction.
fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(0)
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_dates() {
        let moment = Timestamp::from_micros(1_795_381_596_123_456);
        assert_eq!(moment.to_rfc3339(), "2026-11-22T21:06:36.123Z");
        assert_eq!(moment.to_rfc5322(), "Sun, 22 Nov 2026 21:06:36 +0000");
        assert_eq!(Timestamp::from_seconds(951_782_400).to_date(), "2000-02-29");
        assert_eq!(Timestamp::from_micros(-1).to_rfc3339(), "1969-12-31T23:59:59.999Z");
    }

    proptest! {
        #[test]
        fn civil_and_back(micros in -60_000_000_000_000_000i64..200_000_000_000_000_000) {
            let moment = Timestamp::from_micros(micros);
            prop_assert_eq!(Timestamp::from_civil(moment.civil()), Some(moment));
        }
    }
}

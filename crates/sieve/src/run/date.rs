//! Parts of dates (RFC 5260 §4.2).

use message::date::DateTime;
use protocol::time::{Civil, Timestamp};

/// What `date` and `currentdate` may be asked for.
pub(crate) const PARTS: [&str; 13] = [
    "year", "month", "day", "date", "julian", "hour", "minute", "second", "time", "iso8601",
    "std11", "zone", "weekday",
];

/// Minutes east of UTC from `+0100` (RFC 5260 §4.1).
pub(crate) fn zone(text: &str) -> Option<i16> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: i16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The date in a field: the whole value, or what follows the last semicolon (Received).
pub(super) fn of_field(value: &[u8]) -> Option<DateTime> {
    let unfolded = message::header::unfold(value);
    let date = unfolded.rsplit(|octet| *octet == b';').next()?;
    DateTime::parse(date)
}

/// A part of a date at its own offset; `None`: there is no such part.
pub(super) fn part(date: DateTime, name: &str) -> Option<String> {
    let local = date.moment.as_seconds().saturating_add(i64::from(date.offset_minutes) * 60);
    let at = Timestamp::from_seconds(local).civil();
    let Civil { year, month, day, hour, minute, second, weekday, .. } = at;
    let sign = if date.offset_minutes < 0 { '-' } else { '+' };
    let (hours, minutes) =
        (date.offset_minutes.unsigned_abs() / 60, date.offset_minutes.unsigned_abs() % 60);
    Some(match name.to_ascii_lowercase().as_str() {
        "year" => format!("{year:04}"),
        "month" => format!("{month:02}"),
        "day" => format!("{day:02}"),
        "date" => format!("{year:04}-{month:02}-{day:02}"),
        // RFC 5260 §4.2: the Modified Julian Day of the date at that place.
        "julian" => (local.div_euclid(86_400) + 40_587).to_string(),
        "hour" => format!("{hour:02}"),
        "minute" => format!("{minute:02}"),
        "second" => format!("{second:02}"),
        "time" => format!("{hour:02}:{minute:02}:{second:02}"),
        "iso8601" => format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}\
             {sign}{hours:02}:{minutes:02}"
        ),
        "std11" => date.to_rfc5322(),
        "zone" => format!("{sign}{hours:02}{minutes:02}"),
        "weekday" => weekday.to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_date() {
        let date = of_field(b" from x by y; Sun, 22 Nov 2026 21:06:36 +0100").unwrap();
        let is = |name: &str, value: &str| assert_eq!(part(date, name).unwrap(), value, "{name}");
        is("year", "2026");
        is("month", "11");
        is("date", "2026-11-22");
        is("julian", "61366");
        is("time", "21:06:36");
        is("iso8601", "2026-11-22T21:06:36+01:00");
        is("std11", "Sun, 22 Nov 2026 21:06:36 +0100");
        is("zone", "+0100");
        is("weekday", "0");
        assert_eq!(zone("-0330"), Some(-210));
        assert_eq!(zone("0100"), None);
        assert_eq!(zone("+2500"), None);
    }
}

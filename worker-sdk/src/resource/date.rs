//! Dates in headers (RFC 9110 5.6.7): one form is written, three are read.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Seconds of the last moment of the year 9999, the last that has four digits.
const LAST: u64 = 253_402_300_799;

/// A moment, in whole seconds, as headers have it.
///
/// ```
/// use sluice_worker::resource::HttpDate;
///
/// let date: HttpDate = "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap();
/// assert_eq!(date, HttpDate::from_unix(784_111_777));
/// assert_eq!("Sunday, 06-Nov-94 08:49:37 GMT".parse(), Ok(date));
/// assert_eq!("Sun Nov  6 08:49:37 1994".parse(), Ok(date));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate(u64);

/// A text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no date of HTTP")]
pub struct NotADate;

impl HttpDate {
    /// Seconds since 1970; what lies after the year 9999 becomes its last second.
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        Self(seconds.min(LAST))
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn unix(self) -> u64 {
        self.0
    }

    /// Reads a date of any of the three forms; `now` tells the century of a year of two digits:
    /// one that seems more than 50 years ahead is past.
    fn parse(text: &str, now: Self) -> Option<Self> {
        let parts: Vec<_> = text.split(' ').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [day, date, time, "GMT"] if is_day(day, true) => {
                let mut date = date.split('-');
                let (day, month, year) = (date.next()?, date.next()?, date.next()?);
                if date.next().is_some() {
                    return None;
                }
                let year = full_year(digits(year, 2)?, civil(now.0 / 86_400).0);
                at(year, month, digits(day, 2)?, time)
            }
            [name, day, month, year, time, "GMT"] if is_day(name, false) => {
                at(digits(year, 4)?, month, digits(day, 2)?, time)
            }
            [name, month, day, time, year] if DAYS.contains(&name) => {
                let day = digits(day, 2).or_else(|| digits(day, 1))?;
                at(digits(year, 4)?, month, day, time)
            }
            _ => None,
        }
    }
}

impl std::str::FromStr for HttpDate {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Self, NotADate> {
        Self::parse(text.trim(), SystemTime::now().into()).ok_or(NotADate)
    }
}

impl From<SystemTime> for HttpDate {
    /// Truncates to seconds; what lies before 1970 becomes 1970.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH);
        Self::from_unix(since.as_ref().map_or(0, Duration::as_secs))
    }
}

impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        let (year, month, day) = civil(days);
        let name = DAYS[(days % 7) as usize];
        let month = MONTHS[(month - 1) as usize];
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            f,
            "{name}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
        )
    }
}

/// Whether this is the name of a day and a comma.
fn is_day(text: &str, long: bool) -> bool {
    const REST: [&str; 7] = ["rsday", "day", "urday", "day", "day", "sday", "nesday"];
    let Some(name) = text.strip_suffix(',') else {
        return false;
    };
    DAYS.iter().zip(REST).any(|(short, rest)| {
        let rest = if long { rest } else { "" };
        name.strip_prefix(short) == Some(rest)
    })
}

/// A number of exactly so many digits.
fn digits(text: &str, count: usize) -> Option<u64> {
    let good = text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

fn full_year(two: u64, now: u64) -> u64 {
    let year = now - now % 100 + two;
    if year > now + 50 { year - 100 } else { year }
}

fn at(year: u64, month: &str, day: u64, time: &str) -> Option<HttpDate> {
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let mut time = time.split(':').map(|part| digits(part, 2));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // A leap second counts as the next one.
    if time.next().is_some() || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let days = days_since_1970(year, month, day);
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(HttpDate::from_unix(
        days * 86_400 + hour * 3600 + minute * 60 + second,
    ))
}

/// Days from 1970 to a date of the Gregorian calendar; years begin in March, so that the leap day
/// is the last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day;
    (365 * year + year / 4 - year / 100 + year / 400 + day_of_year).saturating_sub(719_469)
}

/// The year, month and day that so many days after 1970 are.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Option<String> {
        let now = HttpDate::from_unix(1_800_000_000);
        HttpDate::parse(text, now).map(|date| date.to_string())
    }

    #[test]
    fn the_century_of_two_digits_is_at_most_50_years_ahead() {
        // 1 800 000 000 is in 2027.
        for (year, full) in [("94", 1994), ("27", 2027), ("77", 2077), ("78", 1978)] {
            let read = parse(&format!("Sunday, 06-Nov-{year} 08:49:37 GMT"));
            assert!(
                read.is_some_and(|text| text.contains(&format!(" {full} "))),
                "{year}"
            );
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "not a date",
            "Sun, 31 Feb 2021 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:00 GMT",
            "Sunday, 06-Nov-94-x 08:49:37 GMT",
            "Sun Nov 06 08:49:37 99999",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, ä6 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in 0..=LAST) {
            let date = HttpDate::from_unix(seconds);
            prop_assert_eq!(date.to_string().parse(), Ok(date));
        }

        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}

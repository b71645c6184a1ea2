//! `{"$datetime_utc": …}` and `{"$naive_datetime": …}`: moments, equal however they are written.

use serde_json::Value;

/// Whether `got` is what `expected` says; where that is a moment, whether it is the same one.
pub(super) fn matches(expected: &Value, got: &Value) -> bool {
    if let Some(text) = expected.get("$datetime_utc").and_then(Value::as_str) {
        let (expected, got) = (instant(text), got.as_str().and_then(instant));
        return expected.is_some() && expected == got;
    }
    if let Some(text) = expected.get("$naive_datetime").and_then(Value::as_str) {
        let (expected, got) = (naive(text), got.as_str().and_then(naive));
        return expected.is_some() && expected == got;
    }
    match (expected, got) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| matches(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| matches(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

/// Nanoseconds since 1970 of a date and time with offset.
fn instant(text: &str) -> Option<i128> {
    let (local, offset) = split(text)?;
    let minutes = match offset {
        "Z" | "z" => 0,
        other => {
            let sign = if other.starts_with('-') { -1 } else { 1 };
            let digits: String = other.chars().filter(char::is_ascii_digit).collect();
            let hours: i128 = digits.get(..2)?.parse().ok()?;
            let minutes: i128 = digits.get(2..4).map_or(Some(0), |m| m.parse().ok())?;
            sign * (hours * 60 + minutes)
        }
    };
    Some(local - minutes * 60_000_000_000)
}

/// Nanoseconds since 1970 of a date and time without offset.
fn naive(text: &str) -> Option<i128> {
    split(text)
        .filter(|(_, offset)| offset.is_empty())
        .map(|(local, _)| local)
}

/// The date and time as if in UTC, and the offset that follows.
fn split(text: &str) -> Option<(i128, &str)> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i128>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let mut rest = text.get(19..)?;
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = &fraction[..fraction.len() - rest.len()];
        nanos = format!("{digits:0<9}").get(..9)?.parse().ok()?;
    }
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some((seconds * 1_000_000_000 + nanos, rest))
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days(year: i128, month: i128, day: i128) -> i128 {
    // Years that begin in March have their leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_same_moment_may_be_written_in_many_ways() {
        let utc = json!([{"$datetime_utc": "2024-03-01T00:30:00Z"}]);
        for same in [
            "2024-03-01T00:30:00Z",
            "2024-02-29 23:30:00-01:00",
            "2024-03-01T07:30:00.000+0700",
        ] {
            assert!(matches(&utc, &json!([same])), "{same}");
        }
        assert!(!matches(&utc, &json!(["2024-03-01T00:30:00.001Z"])));
        assert!(!matches(&utc, &json!(["2024-03-01T00:30:00"])));
        let naive = json!({"$naive_datetime": "2024-03-01T00:30:00"});
        assert!(matches(&naive, &json!("2024-03-01 00:30:00.0")));
        assert!(!matches(&naive, &json!("2024-03-01 00:30:00Z")));
        assert_eq!(
            instant("1970-01-02T00:00:00+00:00"),
            Some(86_400_000_000_000)
        );
    }
}

//! Strings of a fixed form: UUIDs, dates and times.

/// Whether `text` is a UUID: canonical, 32 hex digits, or `urn:uuid:`; versions 1 to 8, nil or
/// max (RFC 9562). The variant bits are not looked at.
pub(super) fn is_uuid(text: &str) -> bool {
    let text = text
        .strip_prefix("urn:uuid:")
        .map_or(text.as_bytes(), str::as_bytes);
    let mut digits = [0_u8; 32];
    match text.len() {
        32 => digits.copy_from_slice(text),
        36 if [8, 13, 18, 23].iter().all(|i| text[*i] == b'-') => {
            let (mut from, mut to) = (0, 0);
            for group in [8, 4, 4, 4, 12] {
                digits[to..to + group].copy_from_slice(&text[from..from + group]);
                from += group + 1;
                to += group;
            }
        }
        _ => return false,
    }
    let all = |digit: u8| digits.iter().all(|d| d.eq_ignore_ascii_case(&digit));
    digits.iter().all(u8::is_ascii_hexdigit)
        && (matches!(digits[12], b'1'..=b'8') || all(b'0') || all(b'f'))
}

/// Whether `text` is a date and time with offset: `2024-01-15T10:30:00+07:00`, `…Z`.
pub(super) fn is_datetime(text: &str) -> bool {
    date_and_time(text).is_some_and(is_offset)
}

/// Whether `text` is a date and time without offset: `2024-01-15T10:30:00.5`.
pub(super) fn is_naive_datetime(text: &str) -> bool {
    date_and_time(text) == Some("")
}

/// Reads `YYYY-MM-DDThh:mm:ss[.f…]`, a space or `t` also in place of `T`; returns what follows.
fn date_and_time(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let punctuation = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 19
        || punctuation.iter().any(|(i, b)| bytes[*i] != *b)
        || !matches!(bytes[10], b'T' | b't' | b' ')
    {
        return None;
    }
    let (year, month, day) = (
        number(bytes, 0, 4)?,
        number(bytes, 5, 2)?,
        number(bytes, 8, 2)?,
    );
    let (hour, minute, second) = (
        number(bytes, 11, 2)?,
        number(bytes, 14, 2)?,
        number(bytes, 17, 2)?,
    );
    let on_the_calendar = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
    if !on_the_calendar || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // The first 19 bytes are ASCII, as all of them were looked at.
    let rest = &text[19..];
    let Some(fraction) = rest.strip_prefix('.') else {
        return Some(rest);
    };
    let after = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    (after.len() < fraction.len()).then_some(after)
}

/// `Z`, `±hh`, `±hhmm`, `±hh:mm`.
fn is_offset(text: &str) -> bool {
    if matches!(text, "Z" | "z") {
        return true;
    }
    let Some(offset) = text.strip_prefix(['+', '-']) else {
        return false;
    };
    let bytes = offset.as_bytes();
    let minutes = match bytes.len() {
        2 => Some(0),
        4 => number(bytes, 2, 2),
        5 if bytes[2] == b':' => number(bytes, 3, 2),
        _ => None,
    };
    number(bytes, 0, 2).is_some_and(|h| h <= 23) && minutes.is_some_and(|m| m <= 59)
}

fn number(bytes: &[u8], from: usize, len: usize) -> Option<u32> {
    bytes
        .get(from..from + len)?
        .iter()
        .try_fold(0, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + u32::from(digit - b'0'))
        })
}

fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uuids() {
        for good in [
            "550e8400-e29b-41d4-a716-446655440000",
            "550E8400-E29B-71D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
            "urn:uuid:550e8400-e29b-81d4-a716-446655440000",
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(is_uuid(good), "{good}");
        }
        for bad in [
            "",
            "550e8400-e29b-91d4-a716-446655440000",
            "550e8400-e29b-01d4-a716-446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "550e8400-e29b-41d4-a716-44665544000g",
            "550e8400-e29b-41d4-a716446655440000-",
            "550e8400-e29b-41d4-a716-4466554400000",
            "VQ6EAOKbQdSnFkRmVUQAAA",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }

    #[test]
    fn dates_and_times() {
        for good in ["", ".5", ".123456789"] {
            let text = format!("2024-02-29 23:59:59{good}");
            assert!(is_naive_datetime(&text), "{text}");
            assert!(!is_datetime(&text), "{text}");
            for offset in ["Z", "z", "+00:00", "-07:30", "+0730", "+07"] {
                let text = format!("{text}{offset}");
                assert!(is_datetime(&text), "{text}");
                assert!(!is_naive_datetime(&text), "{text}");
            }
        }
        for bad in [
            "2024-01-15T10:30Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-32T00:00:00Z",
            "2024-01-15T24:00:00Z",
            "2024-01-15T10:60:00Z",
            "2024-01-15T10:30:60Z",
            "2024-01-15T10:30:00.Z",
            "2024-01-15T10:30:00+24:00",
            "2024-01-15T10:30:00+07:60",
            "2024-01-15T10:30:00+7:00",
            "2024-01-15T10:30:00 UTC",
            "24-01-15T10:30:00Z",
            "2024-01-15",
        ] {
            assert!(!is_datetime(bad), "{bad}");
        }
        assert!(!is_naive_datetime("2024-01-15T10:30:00."));
    }

    proptest! {
        #[test]
        fn strangers_texts_never_panic(text in "\\PC{0,40}", date in "[0-9TZ:. é+-]{19,40}") {
            for text in [text, date] {
                let _ = (is_uuid(&text), is_datetime(&text), is_naive_datetime(&text));
            }
        }
    }
}

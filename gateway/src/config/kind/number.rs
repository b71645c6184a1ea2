//! Numbers: counts, sizes in bytes, times in milliseconds; and switches.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Kind, Raw, quoted};

/// Integers that options are kept in.
pub(crate) trait Whole: Copy + std::fmt::Debug {
    fn from_u64(number: u64) -> Option<Self>;
    fn to_u64(self) -> u64;
}

impl Whole for usize {
    fn from_u64(number: u64) -> Option<Self> {
        Self::try_from(number).ok()
    }
    fn to_u64(self) -> u64 {
        self as u64
    }
}

impl Whole for u64 {
    fn from_u64(number: u64) -> Option<Self> {
        Some(number)
    }
    fn to_u64(self) -> u64 {
        self
    }
}

fn within(number: Option<i128>, range: &RangeInclusive<u64>) -> Option<u64> {
    u64::try_from(number?).ok().filter(|n| range.contains(n))
}

/// A number of things.
pub(crate) struct Count<T> {
    range: RangeInclusive<u64>,
    kept_in: PhantomData<T>,
}

impl<T> Count<T> {
    pub(crate) fn within(range: RangeInclusive<u64>) -> Self {
        Self {
            range,
            kept_in: PhantomData,
        }
    }
}

impl<T: Whole> Kind for Count<T> {
    type Value = T;

    fn describe(&self) -> String {
        format!("an integer, {} to {}", self.range.start(), self.range.end())
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<T, Vec<String>> {
        within(raw.integer(), &self.range)
            .and_then(T::from_u64)
            .ok_or_else(|| self.unexpected(raw))
    }

    fn show(&self, value: &T) -> Option<String> {
        Some(value.to_u64().to_string())
    }
}

/// A size in bytes: an integer, or text with a unit.
pub(crate) struct Bytes<T>(Count<T>);

impl<T> Bytes<T> {
    pub(crate) fn within(range: RangeInclusive<u64>) -> Self {
        Self(Count::within(range))
    }
}

/// Units of sizes, greatest first.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("KB", 1000),
    ("B", 1),
];

fn parse_size(text: &str) -> Option<i128> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim();
    let (_, factor) = UNITS.iter().find(|(u, _)| u.eq_ignore_ascii_case(unit))?;
    number.parse::<i128>().ok()?.checked_mul((*factor).into())
}

fn show_size(bytes: u64) -> String {
    let whole = |(_, factor): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    match UNITS.iter().find(whole) {
        Some((unit, factor)) if *factor > 1 => format!("{}{unit}", bytes / factor),
        _ => bytes.to_string(),
    }
}

impl<T: Whole> Kind for Bytes<T> {
    type Value = T;

    fn describe(&self) -> String {
        format!(
            "a size in bytes, {} to {}: an integer, or text such as \"1MiB\" (units B, KB, KiB, \
             MB, MiB, GB, GiB)",
            show_size(*self.0.range.start()),
            show_size(*self.0.range.end()),
        )
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<T, Vec<String>> {
        let size = raw.integer().or_else(|| parse_size(raw.text()?));
        within(size, &self.0.range)
            .and_then(T::from_u64)
            .ok_or_else(|| self.unexpected(raw))
    }

    fn show(&self, value: &T) -> Option<String> {
        let text = show_size(value.to_u64());
        Some(match text.parse::<u64>() {
            Ok(_) => text,
            Err(_) => quoted(&text),
        })
    }
}

/// A time in milliseconds.
pub(crate) struct Millis(Count<u64>);

impl Millis {
    pub(crate) fn within(range: RangeInclusive<u64>) -> Self {
        Self(Count::within(range))
    }
}

impl Kind for Millis {
    type Value = Duration;
    const SUFFIX: &'static str = "_ms";

    fn describe(&self) -> String {
        let range = &self.0.range;
        format!("milliseconds, {} to {}", range.start(), range.end())
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<Duration, Vec<String>> {
        within(raw.integer(), &self.0.range)
            .map(Duration::from_millis)
            .ok_or_else(|| self.unexpected(raw))
    }

    fn show(&self, value: &Duration) -> Option<String> {
        Some(value.as_millis().to_string())
    }
}

/// On or off.
pub(crate) struct Flag;

impl Kind for Flag {
    type Value = bool;

    fn describe(&self) -> String {
        "true or false".to_owned()
    }

    fn parse(&self, raw: &Raw<'_>) -> Result<bool, Vec<String>> {
        raw.boolean().ok_or_else(|| self.unexpected(raw))
    }

    fn show(&self, value: &bool) -> Option<String> {
        Some(value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_unit() {
        let kind = Bytes::<u64>::within(1..=1 << 30);
        for (text, size) in [
            ("1", Some(1)),
            ("1000000", Some(1_000_000)),
            ("1MB", Some(1_000_000)),
            ("1MiB", Some(1 << 20)),
            ("64 kib", Some(65_536)),
            ("2B", Some(2)),
            ("1GiB", Some(1 << 30)),
            ("2GiB", None),
            ("0", None),
            ("-1", None),
            ("1.5MiB", None),
            ("MiB", None),
            ("1 furlong", None),
            ("999999999999999999999999999999999999999999GiB", None),
        ] {
            assert_eq!(kind.parse(&Raw::Text(text)).ok(), size, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_greatest_whole_unit() {
        let kind = Bytes::<usize>::within(0..=u64::MAX);
        for (size, text) in [
            (0, "0"),
            (7, "7"),
            (1 << 20, "\"1MiB\""),
            (1_000_000, "\"1MB\""),
            (1500, "1500"),
            (65_536, "\"64KiB\""),
        ] {
            let shown = kind.show(&size).unwrap();
            // 1500 is 1500 B: a unit that says nothing is left off.
            assert_eq!(shown, text);
            assert_eq!(kind.parse(&Raw::Text(text.trim_matches('"'))), Ok(size));
        }
    }
}

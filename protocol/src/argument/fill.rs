//! Defaults of what is absent are spliced in: the rest of the bytes stays as it came.

use serde_json::Value;

use super::ArgTypes;
use super::walk::Top;
use crate::payload::{Encoding, Payload};

/// Adds the default of each declared arg that is absent. `args` was checked: it is one object.
pub(super) fn fill(types: &ArgTypes, top: &Top, args: Payload) -> Payload {
    if top.entries == types.0.len() {
        // All are declared, none is there twice: none is absent.
        return args;
    }
    let absent: Vec<(&str, &Value)> = types
        .0
        .iter()
        .enumerate()
        .filter(|(index, _)| !top.seen.has(*index))
        .filter_map(|(_, (name, spec))| Some((name.as_str(), spec.stand_in()?)))
        .collect();
    if absent.is_empty() {
        return args;
    }
    match args.encoding {
        Encoding::Json => Payload::json(into_json(&args.bytes, top.entries, &absent)),
        Encoding::MessagePack => Payload::message_pack(into_message_pack(&args.bytes, &absent)),
        Encoding::Http => args,
    }
}

fn into_json(bytes: &[u8], entries: usize, absent: &[(&str, &Value)]) -> Vec<u8> {
    // Only white space can follow the closing brace.
    let end = memchr::memrchr(b'}', bytes).unwrap_or(bytes.len());
    let mut out = Vec::with_capacity(bytes.len() + 32 * absent.len());
    out.extend_from_slice(&bytes[..end]);
    for (position, (name, value)) in (entries..).zip(absent) {
        if position > 0 {
            out.push(b',');
        }
        print(&mut out, *name);
        out.push(b':');
        print(&mut out, *value);
    }
    out.push(b'}');
    out
}

#[expect(clippy::expect_used, reason = "text and JSON values, into memory")]
fn print<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("text and JSON values serialize");
}

#[expect(clippy::expect_used, reason = "text and JSON values, into memory")]
fn into_message_pack(bytes: &[u8], absent: &[(&str, &Value)]) -> Vec<u8> {
    let (count, body) = split_header(bytes);
    let mut out = Vec::with_capacity(bytes.len() + 4 + 32 * absent.len());
    write_header(&mut out, count + absent.len());
    out.extend_from_slice(body);
    for (name, value) in absent {
        rmp_serde::encode::write_named(&mut out, name).expect("text serializes");
        rmp_serde::encode::write_named(&mut out, value).expect("a JSON value serializes");
    }
    out
}

/// The count of entries of a map, and what follows its header.
fn split_header(bytes: &[u8]) -> (usize, &[u8]) {
    match bytes {
        [marker @ 0x80..=0x8f, body @ ..] => (usize::from(marker & 0x0f), body),
        [0xde, a, b, body @ ..] => (usize::from(u16::from_be_bytes([*a, *b])), body),
        [0xdf, a, b, c, d, body @ ..] => {
            let count = u32::from_be_bytes([*a, *b, *c, *d]);
            (usize::try_from(count).unwrap_or(usize::MAX), body)
        }
        // No map: it would not have passed the check.
        _ => (0, &[]),
    }
}

fn write_header(out: &mut Vec<u8>, count: usize) {
    if let Some(small) = u8::try_from(count).ok().filter(|n| *n < 16) {
        out.push(0x80 | small);
    } else if let Ok(middle) = u16::try_from(count) {
        out.push(0xde);
        out.extend_from_slice(&middle.to_be_bytes());
    } else {
        out.push(0xdf);
        out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_headers_of_all_sizes() {
        for count in [0, 1, 15, 16, 300, 65_535, 65_536, 1_000_000] {
            let mut header = Vec::new();
            write_header(&mut header, count);
            header.push(7);
            assert_eq!(split_header(&header), (count, &[7][..]));
        }
    }
}

//! Bytes in, packed bytes out.

use std::fmt;
use std::io::{self, Write};

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::Coding;

/// Low levels: a request waits for it, and the next level costs more time than it saves bytes.
const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: i32 = 4;
const GZIP_LEVEL: u32 = 5;
/// Bodies in pieces may be many and long: 2^17 bytes are looked back at, by little memory.
const WINDOW_BITS: u32 = 17;
/// The most that are looked back at.
const MAX_WINDOW_BITS: u32 = 20;
/// Brotli's own buffer between its input and our vector.
const BUFFER: usize = 4 << 10;

/// Packs one body.
pub(in crate::edge::http) struct Packer(Kind);

enum Kind {
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Packer {
    /// For a body that comes in pieces.
    pub(super) fn in_pieces(coding: Coding) -> io::Result<Self> {
        Self::new(coding, None)
    }

    fn new(coding: Coding, size: Option<usize>) -> io::Result<Self> {
        let bits = size.map_or(WINDOW_BITS, |size| {
            (size.max(1).ilog2() + 1).clamp(14, MAX_WINDOW_BITS)
        });
        let room = Vec::with_capacity(size.unwrap_or(0) / 4);
        Ok(Self(match coding {
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(room, ZSTD_LEVEL)?;
                match size {
                    Some(size) => encoder.set_pledged_src_size(Some(size as u64))?,
                    None => encoder.window_log(bits)?,
                }
                Kind::Zstd(encoder)
            }
            Coding::Brotli => {
                let params = BrotliEncoderParams {
                    quality: BROTLI_LEVEL,
                    lgwin: i32::try_from(bits).unwrap_or(16),
                    size_hint: size.unwrap_or(0),
                    ..BrotliEncoderParams::default()
                };
                Kind::Brotli(Box::new(CompressorWriter::with_params(
                    room, BUFFER, &params,
                )))
            }
            Coding::Gzip => Kind::Gzip(Box::new(GzEncoder::new(room, Level::new(GZIP_LEVEL)))),
        }))
    }

    /// Takes bytes in; what comes of them may be told later.
    pub(in crate::edge::http) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Kind::Zstd(encoder) => encoder.write_all(bytes),
            Kind::Brotli(encoder) => encoder.write_all(bytes),
            Kind::Gzip(encoder) => encoder.write_all(bytes),
        }
    }

    /// Makes [`take`](Self::take) tell all that was put in.
    pub(in crate::edge::http) fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Zstd(encoder) => encoder.flush(),
            Kind::Brotli(encoder) => encoder.flush(),
            Kind::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What has come out since the last time.
    pub(in crate::edge::http) fn take(&mut self) -> Bytes {
        let out = match &mut self.0 {
            Kind::Zstd(encoder) => encoder.get_mut(),
            Kind::Brotli(encoder) => encoder.get_mut(),
            Kind::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }

    /// The rest, with the end that tells a body from one that was cut.
    pub(in crate::edge::http) fn end(self) -> io::Result<Bytes> {
        let out = match self.0 {
            Kind::Zstd(encoder) => encoder.finish()?,
            Kind::Brotli(encoder) => encoder.into_inner(),
            Kind::Gzip(encoder) => encoder.finish()?,
        };
        Ok(out.into())
    }
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Zstd(_) => "Packer(zstd)",
            Kind::Brotli(_) => "Packer(br)",
            Kind::Gzip(_) => "Packer(gzip)",
        })
    }
}

/// A body that is there, packed.
pub(super) fn whole(coding: Coding, bytes: &[u8]) -> io::Result<Bytes> {
    let mut packer = Packer::new(coding, Some(bytes.len()))?;
    packer.put(bytes)?;
    packer.end()
}

#[cfg(test)]
pub(in crate::edge::http) mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    /// What a client makes of it.
    pub(in crate::edge::http) fn unpacked(coding: &str, packed: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            "zstd" => return zstd::stream::decode_all(packed).unwrap(),
            "br" => brotli::Decompressor::new(packed, 4096).read_to_end(&mut out),
            "gzip" => flate2::read::GzDecoder::new(packed).read_to_end(&mut out),
            other => panic!("no such coding: {other}"),
        }
        .unwrap();
        out
    }

    proptest! {
        #[test]
        fn there_and_back(
            pieces in proptest::collection::vec(proptest::collection::vec(0_u8..4, 0..3000), 0..6),
            coding in 0_usize..3,
        ) {
            let coding = Coding::ALL[coding];
            let all = pieces.concat();
            let packed = whole(coding, &all).unwrap();
            prop_assert_eq!(unpacked(coding.name(), &packed), all.clone());

            let mut packer = Packer::in_pieces(coding).unwrap();
            let mut out = Vec::new();
            for piece in &pieces {
                packer.put(piece).unwrap();
                packer.flush().unwrap();
                out.extend_from_slice(&packer.take());
            }
            out.extend_from_slice(&packer.end().unwrap());
            prop_assert_eq!(unpacked(coding.name(), &out), all);
        }
    }
}

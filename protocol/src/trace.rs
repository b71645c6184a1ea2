//! W3C Trace Context: which trace a call belongs to.

use std::fmt;

/// Most bytes of a `tracestate` that are passed on.
const MAX_STATE: usize = 512;
const SAMPLED: u8 = 1;

/// A `traceparent`: a trace, one span in it, and whether the trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Never 0.
    pub trace_id: u128,
    /// Never 0.
    pub span_id: u64,
    /// The flags; of those unknown ones are dropped.
    pub flags: u8,
}

/// A `traceparent` with the `tracestate` that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The parent.
    pub parent: TraceParent,
    /// What other tracing systems added, passed on as it came.
    pub state: Option<String>,
}

impl TraceParent {
    /// Reads a `traceparent`. One that is malformed is none (Trace Context §3.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(5, '-');
        let version = hex(parts.next(), 2)?;
        let trace_id = hex(parts.next(), 32)?;
        let span_id = u64::try_from(hex(parts.next(), 16)?).ok()?;
        let flags = u8::try_from(hex(parts.next(), 2)?).ok()?;
        // Later versions may go on after a dash.
        let is_whole = version > 0 || parts.next().is_none();
        let is_valid = version != 0xff && trace_id != 0 && span_id != 0;
        (is_whole && is_valid).then_some(Self {
            trace_id,
            span_id,
            flags: flags & SAMPLED,
        })
    }

    /// Whether whoever made it records its trace.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same, recorded or not.
    #[must_use]
    pub fn sampled(self, sampled: bool) -> Self {
        let flags = if sampled { SAMPLED } else { 0 };
        Self { flags, ..self }
    }
}

/// Exactly so many lower-case hexadecimal digits.
fn hex(text: Option<&str>, digits: usize) -> Option<u128> {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let text = text.filter(|t| t.len() == digits && t.bytes().all(is_digit))?;
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            span_id,
            flags,
        } = self;
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    }
}

impl TraceContext {
    /// Reads what came with a call; a `tracestate` that is none, or too long, is left out.
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let is_plain = |s: &&str| {
            !s.is_empty() && s.len() <= MAX_STATE && s.bytes().all(|b| (0x20..0x7f).contains(&b))
        };
        Some(Self {
            parent: TraceParent::parse(parent)?,
            state: state.filter(is_plain).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn parents_round_trip() {
        let parent = TraceParent::parse(TRACE).unwrap();
        assert!(parent.is_sampled());
        assert_eq!(parent.to_string(), TRACE);
        assert_eq!(
            parent.sampled(false).to_string(),
            TRACE.replace("-01", "-00")
        );
    }

    #[test]
    fn only_what_the_standard_allows_is_a_parent() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        for (text, valid) in [
            (TRACE.to_owned(), true),
            (TRACE.replacen("00", "cc", 1), true),
            (
                format!("{}-what-comes", TRACE.replacen("00", "cc", 1)),
                true,
            ),
            (format!("{TRACE}-more"), false),
            (TRACE.replacen("00", "ff", 1), false),
            (TRACE.to_uppercase(), false),
            (zero_trace.to_owned(), false),
            (zero_span.to_owned(), false),
            (TRACE[1..].to_owned(), false),
            (String::new(), false),
            ("00-ab-cd-01".to_owned(), false),
            (format!("{TRACE} "), false),
        ] {
            assert_eq!(TraceParent::parse(&text).is_some(), valid, "{text:?}");
        }
    }

    #[test]
    fn a_state_that_is_none_is_left_out() {
        let state = |text: &str| TraceContext::parse(TRACE, Some(text)).unwrap().state;
        assert_eq!(state("a=1,b=2").as_deref(), Some("a=1,b=2"));
        for bad in ["", "a\r\nb", "é", &"x".repeat(513)] {
            assert_eq!(state(bad), None, "{bad:?}");
        }
    }
}

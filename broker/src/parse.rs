//! Bytes to operations. Pure and bounded: it borrows from the caller's buffer, allocates nothing,
//! and never looks at a byte of an unfinished line or payload twice.

use crate::refusal::Refusal;

#[cfg(test)]
mod tests;

/// One operation of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    /// `CONNECT {json}`; the JSON is not looked at yet.
    Connect(&'a [u8]),
    Ping,
    Pong,
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    Subscribe {
        subject: &'a [u8],
        queue: Option<&'a [u8]>,
        sid: &'a [u8],
    },
    /// `max` 0: at once.
    Unsubscribe {
        sid: &'a [u8],
        max: u64,
    },
}

/// A message as its publisher sent it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// How many bytes of `body` are headers; `None` for a `PUB`.
    pub(crate) header_len: Option<usize>,
    /// Headers and payload, in one piece.
    pub(crate) body: &'a [u8],
}

/// Cuts operations off the front of a growing buffer.
#[derive(Debug)]
pub(crate) struct Parser {
    max_control_line: usize,
    max_payload: usize,
    /// How far the unfinished line at the front was searched for its end.
    searched: usize,
    /// How many bytes the message at the front has in all, once its line is known.
    needed: usize,
}

impl Parser {
    pub(crate) fn new(max_control_line: usize, max_payload: usize) -> Self {
        Self {
            max_control_line,
            max_payload,
            searched: 0,
            needed: 0,
        }
    }

    /// The length that the buffer must reach before the next call can succeed, as far as known.
    pub(crate) fn needed(&self) -> usize {
        self.needed
    }

    /// The next operation and its length. `None`: the buffer ends within an operation; call again
    /// with the same bytes and more. After `Ok(Some)` the caller drops that many bytes first.
    pub(crate) fn next<'a>(
        &mut self,
        buffer: &'a [u8],
    ) -> Result<Option<(Op<'a>, usize)>, Refusal> {
        if buffer.len() < self.needed {
            return Ok(None);
        }
        let Some(line_len) = self.line_len(buffer)? else {
            return Ok(None);
        };
        let (verb, args) = split_verb(&buffer[..line_len]);
        let op = match Verb::of(verb).ok_or_else(|| Refusal::for_unknown(buffer))? {
            Verb::Pub => return self.message(buffer, line_len, args, false),
            Verb::Hpub => return self.message(buffer, line_len, args, true),
            Verb::Ping => Op::Ping,
            Verb::Pong => Op::Pong,
            Verb::Connect => Op::Connect(args.trim_ascii()),
            Verb::Sub => subscribe(args)?,
            Verb::Unsub => unsubscribe(args)?,
        };
        self.searched = 0;
        Ok(Some((op, line_len)))
    }

    /// The length of the line at the front, its newline included.
    fn line_len(&mut self, buffer: &[u8]) -> Result<Option<usize>, Refusal> {
        // Two more for the line's own end.
        let limit = buffer.len().min(self.max_control_line + 2);
        if let Some(newline) = memchr::memchr(b'\n', &buffer[self.searched..limit]) {
            let line_len = self.searched + newline + 1;
            // Where a payload is awaited the line is looked at again: find its end at once then.
            self.searched = line_len - 1;
            return Ok(Some(line_len));
        }
        // A stranger may never send a newline, so do not wait for one to refuse it.
        if !Verb::may_begin(buffer) {
            return Err(Refusal::for_unknown(buffer));
        }
        if buffer.len() >= self.max_control_line + 2 {
            return Err(Refusal::ControlLine);
        }
        self.searched = limit;
        Ok(None)
    }

    /// A `PUB` or `HPUB` whose line is complete; its payload may not be.
    fn message<'a>(
        &mut self,
        buffer: &'a [u8],
        line_len: usize,
        args: &'a [u8],
        has_headers: bool,
    ) -> Result<Option<(Op<'a>, usize)>, Refusal> {
        let (mut publish, body_len) = publish_args(args, has_headers)?;
        if body_len > self.max_payload {
            return Err(Refusal::MaxPayload);
        }
        if publish
            .header_len
            .is_some_and(|header_len| header_len > body_len)
        {
            return Err(Refusal::Malformed);
        }
        let body_end = line_len + body_len;
        let total = body_end + 2;
        if buffer.len() < total {
            self.needed = total;
            return Ok(None);
        }
        if &buffer[body_end..total] != b"\r\n" {
            return Err(Refusal::Malformed);
        }
        publish.body = &buffer[line_len..body_end];
        (self.searched, self.needed) = (0, 0);
        Ok(Some((Op::Publish(publish), total)))
    }
}

/// What clients may send.
#[derive(Clone, Copy)]
enum Verb {
    Pub,
    Hpub,
    Ping,
    Pong,
    Connect,
    Sub,
    Unsub,
}

impl Verb {
    const ALL: [(&'static [u8], Self); 7] = [
        (b"PUB", Self::Pub),
        (b"HPUB", Self::Hpub),
        (b"PING", Self::Ping),
        (b"PONG", Self::Pong),
        (b"CONNECT", Self::Connect),
        (b"SUB", Self::Sub),
        (b"UNSUB", Self::Unsub),
    ];

    fn of(name: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(verb, _)| verb.eq_ignore_ascii_case(name))
            .map(|&(_, verb)| verb)
    }

    /// Whether an unfinished line can still become an operation.
    fn may_begin(line: &[u8]) -> bool {
        let (name, _) = split_verb(line);
        Self::ALL.iter().any(|(verb, _)| {
            verb.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
                && (name.len() == line.len() || name.len() == verb.len())
        })
    }
}

/// NATS takes a carriage return as white space too, so it never gets into a subject.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line
        .iter()
        .position(|&byte| is_space(byte))
        .unwrap_or(line.len());
    line.split_at(end)
}

/// Splits arguments at white space: at least one, at most `N`.
fn split_args<const N: usize>(args: &[u8]) -> Result<([&[u8]; N], usize), Refusal> {
    let mut found = [&args[..0]; N];
    let mut count = 0;
    for arg in args
        .split(|&byte| is_space(byte))
        .filter(|arg| !arg.is_empty())
    {
        *found.get_mut(count).ok_or(Refusal::Malformed)? = arg;
        count += 1;
    }
    Ok((found, count))
}

/// At most nine digits, as in NATS, so nothing can overflow.
fn number(digits: &[u8]) -> Result<usize, Refusal> {
    if digits.is_empty() || digits.len() > 9 {
        return Err(Refusal::Malformed);
    }
    digits.iter().try_fold(0, |value, digit| match digit {
        b'0'..=b'9' => Ok(value * 10 + usize::from(digit - b'0')),
        _ => Err(Refusal::Malformed),
    })
}

/// As in NATS, a number too long to be one is none, and the subscription ends at once. Clients use
/// it to go on reading what was sent before (`Subscriber::unsubscribe_after(u64::MAX)`).
fn max_messages(digits: &[u8]) -> Result<u64, Refusal> {
    if digits.len() > 9 && digits.iter().all(u8::is_ascii_digit) {
        return Ok(0);
    }
    Ok(number(digits)? as u64)
}

/// `subject [reply] [header_len] total_len`, and the total.
fn publish_args(args: &[u8], has_headers: bool) -> Result<(Publish<'_>, usize), Refusal> {
    let (args, count) = split_args::<4>(args)?;
    let sizes = if has_headers { 2 } else { 1 };
    let reply = match count.checked_sub(sizes) {
        Some(1) => None,
        Some(2) => Some(args[1]),
        _ => return Err(Refusal::Malformed),
    };
    let header_len = if has_headers {
        Some(number(args[count - 2])?)
    } else {
        None
    };
    let body_len = number(args[count - 1])?;
    Ok((
        Publish {
            subject: args[0],
            reply,
            header_len,
            body: b"",
        },
        body_len,
    ))
}

/// `subject [queue] sid`
fn subscribe(args: &[u8]) -> Result<Op<'_>, Refusal> {
    match split_args::<3>(args)? {
        ([subject, sid, _], 2) => Ok(Op::Subscribe {
            subject,
            queue: None,
            sid,
        }),
        ([subject, queue, sid], 3) => Ok(Op::Subscribe {
            subject,
            queue: Some(queue),
            sid,
        }),
        _ => Err(Refusal::Malformed),
    }
}

/// `sid [max]`
fn unsubscribe(args: &[u8]) -> Result<Op<'_>, Refusal> {
    match split_args::<2>(args)? {
        ([sid, _], 1) => Ok(Op::Unsubscribe { sid, max: 0 }),
        ([sid, max], 2) => Ok(Op::Unsubscribe {
            sid,
            max: max_messages(max)?,
        }),
        _ => Err(Refusal::Malformed),
    }
}

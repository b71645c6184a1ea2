use std::pin::Pin;

use futures_util::TryStreamExt;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, Lines};
use tokio_util::io::StreamReader;

use super::{Envelope, transport};
use crate::{Error, LIMIT, Result};

/// How a streaming call was answered.
pub enum Opened {
    /// As a stream.
    Stream(Stream),
    /// Refused with a plain status, before the first item.
    Refused(u16, Envelope),
}

impl Opened {
    pub(super) async fn from_response(path: &str, response: reqwest::Response) -> Result<Self> {
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type");
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let sse = content_type.starts_with("text/event-stream");
        if sse || content_type.starts_with("application/x-ndjson") {
            return Ok(Self::Stream(Stream::new(response, sse)));
        }
        let body = response
            .bytes()
            .await
            .map_err(|error| transport(path, &error))?;
        let envelope = Envelope::parse(&body)
            .map_err(|error| Error::because(format!("{path} answered {status}"), error))?;
        Ok(Self::Refused(status, envelope))
    }

    /// The stream; an error if the call was refused.
    pub fn stream(self) -> Result<Stream> {
        match self {
            Self::Stream(stream) => Ok(stream),
            Self::Refused(status, envelope) => {
                Err(Error::new(format!("no stream but {status} {envelope:?}")))
            }
        }
    }
}

/// One server-sent event, or one line of NDJSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Event name (`ack`, `item`, `end`, `error`); `line` for NDJSON.
    pub kind: String,
    /// Sequence number, as sent.
    pub id: Option<String>,
    /// What it carries.
    pub data: Value,
}

impl Event {
    /// The envelope that it carries.
    pub fn envelope(&self) -> Result<Envelope> {
        Envelope::parse(self.data.to_string().as_bytes())
    }
}

/// A streamed answer. Dropping it closes the connection: the client is gone.
pub struct Stream {
    lines: Lines<Pin<Box<dyn AsyncBufRead + Send>>>,
    sse: bool,
    /// Comment lines seen: an SSE edge keeps idle connections alive with them.
    pub comments: usize,
}

impl Stream {
    fn new(response: reqwest::Response, sse: bool) -> Self {
        let bytes = response.bytes_stream().map_err(std::io::Error::other);
        let reader: Pin<Box<dyn AsyncBufRead + Send>> = Box::pin(StreamReader::new(bytes));
        Self {
            lines: reader.lines(),
            sse,
            comments: 0,
        }
    }

    /// The next event; `None` once the answer has ended as HTTP says it should, an error if it was
    /// cut.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let event = async {
            if self.sse {
                self.next_sse().await
            } else {
                self.next_line().await
            }
        };
        match tokio::time::timeout(LIMIT, event).await {
            Ok(event) => event,
            Err(_) => Err(Error::new(format!("no event within {LIMIT:?}"))),
        }
    }

    /// All events up to the end.
    pub async fn collect(mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await? {
            events.push(event);
        }
        Ok(events)
    }

    async fn next_line(&mut self) -> Result<Option<Event>> {
        while let Some(line) = self.read().await? {
            if !line.is_empty() {
                let kind = "line".to_owned();
                return Ok(Some(Event {
                    kind,
                    id: None,
                    data: parse(&line)?,
                }));
            }
        }
        Ok(None)
    }

    async fn next_sse(&mut self) -> Result<Option<Event>> {
        let (mut kind, mut id, mut data) = ("message".to_owned(), None, String::new());
        while let Some(line) = self.read().await? {
            if line.is_empty() && !data.is_empty() {
                return Ok(Some(Event {
                    kind,
                    id,
                    data: parse(data.trim_end())?,
                }));
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => kind = value.to_owned(),
                "id" => id = Some(value.to_owned()),
                "data" => data.extend([value, "\n"]),
                // Either the blank line of an event without data, or a comment.
                "" => self.comments += usize::from(!line.is_empty()),
                _ => {}
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        Err(Error::new(format!(
            "cut in the middle of event {kind:?}: {data:?}"
        )))
    }

    async fn read(&mut self) -> Result<Option<String>> {
        self.lines
            .next_line()
            .await
            .map_err(|error| Error::because("stream", error))
    }
}

fn parse(data: &str) -> Result<Value> {
    serde_json::from_str(data).map_err(|error| Error::because(format!("event {data:?}"), error))
}

//! Places in a value: JSON Pointers (RFC 6901), with `*` for every element of a list.

use std::fmt;

/// The most segments of a pointer.
pub const MAX_SEGMENTS: usize = 32;
/// The longest pointer, in bytes.
const MAX_BYTES: usize = 1024;

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Into an object, or by its number into a list.
    Key(String),
    /// `*`: into every element of a list.
    Every,
}

/// Where an operation works. The empty pointer is the whole value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pointer(pub(super) Vec<Segment>);

impl Pointer {
    /// Reads `/data/*/owner`; `~1` is `/`, `~0` is `~`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let all = Self::parse_plain(text)?;
        let every = |segment| match segment {
            Segment::Key(key) if key == "*" => Segment::Every,
            other => other,
        };
        Ok(Self(all.0.into_iter().map(every).collect()))
    }

    /// The same for places that are one: `*` is a key like any other.
    pub(super) fn parse_plain(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(format!("a JSON Pointer begins with \"/\", as in {:?}", {
                format!("/{}", text.chars().take(40).collect::<String>())
            }));
        };
        if text.len() > MAX_BYTES {
            return Err(format!("must be at most {MAX_BYTES} bytes"));
        }
        let segments: Result<Vec<Segment>, String> = rest.split('/').map(segment).collect();
        let segments = segments?;
        if segments.len() > MAX_SEGMENTS {
            return Err(format!("must have at most {MAX_SEGMENTS} segments"));
        }
        Ok(Self(segments))
    }

    /// The pointer to one key of the whole value.
    pub(super) fn key(key: &str) -> Self {
        Self(vec![Segment::Key(key.to_owned())])
    }

    /// Whether this is the whole value.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// How long the keys on the way are.
    pub(super) fn bytes(&self) -> usize {
        let of = |segment: &Segment| match segment {
            Segment::Key(key) => key.len() + 4,
            Segment::Every => 0,
        };
        self.0.iter().map(of).sum()
    }

    /// This place, and below it that one.
    pub(super) fn join(&self, below: &Self) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    /// What is left of `place` below this pointer, and where exactly this pointer matched it;
    /// `None`: `place` lies elsewhere.
    pub(super) fn strip<'p>(&self, place: &'p [Segment]) -> Option<(&'p [Segment], &'p [Segment])> {
        if place.len() < self.0.len() {
            return None;
        }
        let (here, below) = place.split_at(self.0.len());
        let fits = |(mine, theirs): (&Segment, &Segment)| match (mine, theirs) {
            (Segment::Every, Segment::Every) => true,
            (Segment::Every, Segment::Key(key)) => is_index(key),
            (mine, theirs) => mine == theirs,
        };
        self.0.iter().zip(here).all(fits).then_some((here, below))
    }
}

fn segment(text: &str) -> Result<Segment, String> {
    let bad = text
        .split('~')
        .skip(1)
        .any(|after| !after.starts_with(['0', '1']));
    if bad {
        return Err("\"~\" stands only in \"~0\" (for \"~\") and \"~1\" (for \"/\")".to_owned());
    }
    Ok(Segment::Key(text.replace("~1", "/").replace("~0", "~")))
}

fn is_index(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_digit())
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|segment| match segment {
            Segment::Every => f.write_str("/*"),
            Segment::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_printed_as_they_were_read() {
        for text in ["", "/", "/a", "/a/*/b", "/a~1b/m~0n", "/a//b", "/~01"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        let deep = "/a".repeat(MAX_SEGMENTS + 1);
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for text in ["a", "/a~", "/a~2", "*", deep.as_str(), long.as_str()] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stars_match_numbers() {
        let list = Pointer::parse("/data/*").unwrap();
        let place = Pointer::parse_plain("/data/12/name").unwrap();
        let (here, below) = list.strip(&place.0).unwrap();
        assert_eq!(Pointer(here.to_vec()).to_string(), "/data/12");
        assert_eq!(Pointer(below.to_vec()).to_string(), "/name");
        let other = Pointer::parse_plain("/data/name").unwrap();
        assert_eq!(list.strip(&other.0), None);
    }
}

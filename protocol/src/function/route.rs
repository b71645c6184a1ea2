//! HTTP routes that functions and resources declare: `GET /users/{id}`, `/books/{id}`.

use std::fmt;

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// The longest route, in bytes.
const MAX_BYTES: usize = 512;

/// The method of a route that takes all of them: that of a resource, which itself says what it
/// allows.
const ANY: &str = "*";

/// A route: a method, and a path of texts and parameters.
///
/// Without a method it takes all methods; such a route belongs to a resource. The last part may
/// take the rest of the path: `/files/{*path}`.
///
/// ```
/// use sluice_protocol::function::{Route, Segment};
/// let route = Route::parse("GET /users/{id}").unwrap();
/// let segments: Vec<_> = route.segments().collect();
/// assert_eq!(segments, [Segment::Text("users"), Segment::Param("id")]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// In upper case; `*`: any.
    pub method: &'a str,
    /// From the first slash.
    pub path: &'a str,
}

/// One part of a path between slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Exactly this text.
    Text(&'a str),
    /// Any text that is not empty, passed as the arg of that name.
    Param(&'a str),
    /// All that is left of the path, slashes within it included, passed as the arg of that name.
    Rest(&'a str),
}

impl<'a> Route<'a> {
    /// Reads a route.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("must be at most {MAX_BYTES} bytes"));
        }
        let (method, path) = match text.split_once(' ') {
            Some(parts) => parts,
            None if text.starts_with('/') => (ANY, text),
            None => {
                return Err(
                    "must be a method, a space and a path, such as \"GET /users/{id}\"".to_owned(),
                );
            }
        };
        if method != ANY && !METHODS.contains(&method) || method == ANY && text.starts_with(ANY) {
            return Err(format!("the method must be one of {}", METHODS.join(", ")));
        }
        let inner = path
            .strip_prefix('/')
            .ok_or("the path must begin with a slash")?;
        let mut params = Vec::new();
        if !inner.is_empty() {
            let mut parts = inner.split('/').peekable();
            while let Some(part) = parts.next() {
                let name = match segment(part)? {
                    Segment::Text(_) => continue,
                    Segment::Param(name) => name,
                    Segment::Rest(name) if parts.peek().is_none() => name,
                    Segment::Rest(_) => {
                        return Err(format!(
                            "{part:?} takes the rest of the path: it must be last"
                        ));
                    }
                };
                if params.contains(&name) {
                    return Err(format!("parameter {name:?} stands twice"));
                }
                params.push(name);
            }
        }
        Ok(Self { method, path })
    }

    /// The parts of the path.
    pub fn segments(self) -> impl Iterator<Item = Segment<'a>> {
        // Checked when it was parsed; a path that was not is all text.
        let parts = self.path.split('/').skip(1).filter(|p| !p.is_empty());
        parts.map(|part| segment(part).unwrap_or(Segment::Text(part)))
    }

    /// The names of its parameters.
    pub fn params(self) -> impl Iterator<Item = &'a str> {
        self.segments().filter_map(|s| match s {
            Segment::Param(name) | Segment::Rest(name) => Some(name),
            Segment::Text(_) => None,
        })
    }

    /// Whether it takes every method.
    #[must_use]
    pub fn takes_any_method(self) -> bool {
        self.method == ANY
    }

    /// Whether a request can match both, each as well as the other: the same path but for the
    /// names of its parameters, and a method in common.
    #[must_use]
    pub fn meets(self, other: Route<'_>) -> bool {
        let methods =
            self.takes_any_method() || other.takes_any_method() || self.method == other.method;
        methods && self.path_shape() == other.path_shape()
    }

    /// The path without the names of parameters.
    #[must_use]
    pub fn path_shape(self) -> String {
        let shape = self.shape();
        let (_, path) = shape.split_once(' ').unwrap_or_default();
        path.to_owned()
    }

    /// The route without the names of parameters: equal for routes that match the same requests.
    #[must_use]
    pub fn shape(self) -> String {
        let mut out = format!("{} ", self.method);
        for segment in self.segments() {
            out.push('/');
            out.push_str(match segment {
                Segment::Text(text) => text,
                Segment::Param(_) => "{}",
                Segment::Rest(_) => "{*}",
            });
        }
        out
    }
}

impl fmt::Display for Route<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.takes_any_method() {
            return f.write_str(self.path);
        }
        write!(f, "{} {}", self.method, self.path)
    }
}

fn segment(part: &str) -> Result<Segment<'_>, String> {
    if let Some(name) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        let (name, rest) = match name.strip_prefix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if name.is_empty() || !name.bytes().all(fine) {
            return Err(format!(
                "parameter {name:?} must be a name of letters, digits, '_' and '-'"
            ));
        }
        return Ok(if rest {
            Segment::Rest(name)
        } else {
            Segment::Param(name)
        });
    }
    // pchar of RFC 3986 §3.3, without percent-encoding: a route matches the decoded text.
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    if part.is_empty() {
        return Err("a part of the path is empty".to_owned());
    }
    if matches!(part, "." | "..") || !part.bytes().all(fine) {
        return Err(format!("{part:?} cannot be a part of a path"));
    }
    Ok(Segment::Text(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_checked() {
        for good in [
            "GET /",
            "GET /users",
            "DELETE /users/{id}/posts/{post-id}",
            "POST /a:run",
            "/books/{id}",
            "/files/{*path}",
            "GET /{*all}",
        ] {
            assert_eq!(Route::parse(good).unwrap().to_string(), good);
        }
        for (bad, why) in [
            ("", "must be a method"),
            ("users", "must be a method"),
            ("* /users", "must be one of GET"),
            ("/a/{*rest}/b", "must be last"),
            ("/a/{*}", "must be a name"),
            ("/a/{b}/{*b}", "stands twice"),
            ("get /users", "must be one of GET"),
            ("GET users", "begin with a slash"),
            ("GET /users/", "is empty"),
            ("GET //users", "is empty"),
            ("GET /users/{}", "must be a name"),
            ("GET /users/{id", "cannot be a part"),
            ("GET /users/{a.b}", "must be a name"),
            ("GET /a/../b", "cannot be a part"),
            ("GET /a b", "cannot be a part"),
            ("GET /a?b", "cannot be a part"),
            ("GET /ü", "cannot be a part"),
            ("GET /{a}/{a}", "stands twice"),
        ] {
            let error = Route::parse(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
        assert!(Route::parse(&format!("GET /{}", "a".repeat(512))).is_err());
    }

    #[test]
    fn shapes_ignore_the_names_of_parameters() {
        let shape = |text| Route::parse(text).unwrap().shape();
        assert_eq!(shape("GET /users/{id}"), "GET /users/{}");
        assert_eq!(shape("GET /users/{id}"), shape("GET /users/{name}"));
        assert_ne!(shape("GET /users/{id}"), shape("PUT /users/{id}"));
        let meet = |a, b| Route::parse(a).unwrap().meets(Route::parse(b).unwrap());
        assert!(meet("/users/{id}", "GET /users/{name}"));
        assert!(meet("GET /f/{*a}", "GET /f/{*b}"));
        assert!(!meet("GET /f/{*a}", "GET /f/{a}"));
        assert!(!meet("GET /users/{id}", "PUT /users/{id}"));
    }
}

//! Where a value stands: a chain on the stack, printed only for a fault.

/// Longer keys of strangers are cut in paths.
const MAX_KEY_CHARS: usize = 64;

/// A place in a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    /// The whole value.
    Root,
    /// The value of a key.
    Key(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// The place as JSON Pointer (RFC 6901).
    pub(super) fn pointer(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Root => {}
            Self::Key(parent, key) => {
                parent.write(out);
                out.push('/');
                for c in shorten(key).chars() {
                    match c {
                        '~' => out.push_str("~0"),
                        '/' => out.push_str("~1"),
                        c => out.push(c),
                    }
                }
            }
            Self::Item(parent, index) => {
                parent.write(out);
                out.push('/');
                out.push_str(itoa::Buffer::new().format(*index));
            }
        }
    }
}

/// A stranger's text, cut to a length that fits a message.
pub(super) fn shorten(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(MAX_KEY_CHARS) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_escape_their_keys() {
        let list = Path::Key(&Path::Root, "a/b~c");
        let item = Path::Item(&list, 7);
        assert_eq!(Path::Key(&item, "").pointer(), "/a~1b~0c/7/");
        assert_eq!(Path::Root.pointer(), "");
        assert_eq!(shorten(&"é".repeat(100)).chars().count(), 65);
    }
}

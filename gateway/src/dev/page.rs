//! The page at `/`: plain files, held in the binary, and what they ask for.

use std::sync::Arc;

use bytes::Bytes;

use crate::admin::listing::Listing;
use crate::registry::Registry;

/// A file of the page: path, media type, content.
type File = (&'static str, &'static str, &'static str);

const FILES: [File; 4] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/dev/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/dev/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/dev/socket.js",
        "text/javascript; charset=utf-8",
        include_str!("page/socket.js"),
    ),
];

/// What the page shows, as the admin port has it at `/v1/services`.
const FUNCTIONS: &str = "/dev/functions";

/// The page, over what is registered.
#[derive(Debug)]
pub struct Page {
    registry: Arc<Registry>,
}

impl Page {
    /// A page that lists what `registry` knows.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Media type and content of what is at `path`.
    pub async fn get(&self, path: &str) -> Option<(&'static str, Bytes)> {
        if path == FUNCTIONS {
            let listing = Listing::from(self.registry.services().await.ok()?);
            return Some((
                "application/json",
                serde_json::to_vec(&listing).ok()?.into(),
            ));
        }
        let (_, media_type, content) = FILES.iter().find(|(name, ..)| *name == path)?;
        Some((media_type, Bytes::from_static(content.as_bytes())))
    }
}

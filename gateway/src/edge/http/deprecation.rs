//! That a version is on its way out: `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and where to
//! read of it.

use http::header::{HeaderName, LINK};
use http::{HeaderMap, Response};

use crate::overrides::Notice;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Tells it with an answer.
pub(super) fn tell<B>(mut response: Response<B>, notice: &Notice) -> Response<B> {
    write(response.headers_mut(), notice);
    response
}

fn write(headers: &mut HeaderMap, notice: &Notice) {
    headers.insert(DEPRECATION, notice.deprecation.clone());
    if let Some(sunset) = &notice.sunset {
        headers.insert(SUNSET, sunset.clone());
    }
    if let Some(link) = &notice.link {
        // Others may have said where to read of other things.
        headers.append(LINK, link.clone());
    }
}

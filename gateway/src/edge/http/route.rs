//! From a path to what answers there.

use std::borrow::Cow;

use sluice_protocol::{CallError, ErrorCode, FunctionName, ServiceName};

use super::query::percent_decode;

/// The service whose names are ids of async calls, to all methods but POST.
const RESULTS: &str = "calls";

/// What answers at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/api`: the request is whole in the body.
    Whole,
    /// `/api/{service}/{request_type}`, or a result at `/api/calls/{id}`.
    Function(Name<'a>),
    /// `/health/live`
    Live,
    /// `/health/ready`
    Ready,
}

/// The name of a function as the path has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) service: &'a str,
    pub(super) request_type: &'a str,
}

impl<'a> Route<'a> {
    pub(super) fn of(path: &'a str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/api/") {
            let (service, request_type) = rest.split_once('/')?;
            let whole = !service.is_empty() && !request_type.is_empty();
            let name = Name {
                service,
                request_type,
            };
            return (whole && !request_type.contains('/')).then_some(Self::Function(name));
        }
        match path {
            "/api" => Some(Self::Whole),
            "/health/live" => Some(Self::Live),
            "/health/ready" => Some(Self::Ready),
            _ => None,
        }
    }

    /// For `Allow`.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Self::Whole => "POST, OPTIONS",
            Self::Function(name) if name.as_result().is_some() => {
                "GET, HEAD, POST, DELETE, OPTIONS"
            }
            Self::Function(_) => "GET, HEAD, POST, OPTIONS",
            Self::Live | Self::Ready => "GET, HEAD, OPTIONS",
        }
    }
}

impl<'a> Name<'a> {
    /// The id of an async call, if that is what this path names.
    pub(super) fn as_result(self) -> Option<&'a str> {
        (self.service == RESULTS).then_some(self.request_type)
    }

    /// The name that the path's segments encode.
    ///
    /// # Errors
    /// `invalid_request` when they are not percent-encoded names.
    pub(super) fn decode(self) -> Result<(ServiceName, FunctionName), CallError> {
        let invalid = |text: String| CallError::new(ErrorCode::InvalidRequest, text);
        let decode = |segment: &'a str| -> Result<Cow<'a, str>, CallError> {
            percent_decode(segment)
                .ok_or_else(|| invalid("the path is not percent-encoded UTF-8".to_owned()))
        };
        let service = ServiceName::new(&decode(self.service)?);
        let request_type = FunctionName::new(&decode(self.request_type)?);
        Ok((
            service.map_err(|e| invalid(e.to_string()))?,
            request_type.map_err(|e| invalid(e.to_string()))?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn function<'a>(service: &'a str, request_type: &'a str) -> Option<Route<'a>> {
        Some(Route::Function(Name {
            service,
            request_type,
        }))
    }

    #[test]
    fn paths() {
        assert_eq!(Route::of("/api"), Some(Route::Whole));
        assert_eq!(Route::of("/api/s/f"), function("s", "f"));
        assert_eq!(Route::of("/api/s%2Ft/f.g"), function("s%2Ft", "f.g"));
        assert_eq!(Route::of("/health/live"), Some(Route::Live));
        for nothing in [
            "",
            "/",
            "*",
            "/api/",
            "/api//",
            "/api/s",
            "/api/s/",
            "/api//f",
            "/api/s/f/",
            "/api/s/f/g",
            "/API/s/f",
            "//api/s/f",
            "/health",
            "/health/ready/",
        ] {
            assert_eq!(Route::of(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn names_are_decoded() {
        let name = |service, request_type| Name {
            service,
            request_type,
        };
        let (service, request_type) = name("a%2Fb", "%C3%A9+").decode().unwrap();
        assert_eq!((service.as_str(), request_type.as_str()), ("a/b", "é+"));
        let long = "x".repeat(129);
        for bad in ["%", "%f", "%zz", "%ff", "%00", "a%0A", &long] {
            let error = name("s", bad).decode().unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidRequest, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn strangers_paths_never_panic(path in "/?(api)?/.{0,40}|.{0,40}") {
            if let Some(Route::Function(name)) = Route::of(&path) {
                let _ = name.decode();
            }
        }
    }
}

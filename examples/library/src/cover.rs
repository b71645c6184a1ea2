//! `/covers/{*path}`: pictures, in pipeline style: what runs, in the order in which it runs.

use sluice_worker::resource::{
    BuildError, ETag, Filter, Negotiate, Pipeline, Reply, Resource, TraceTo, Visit, with,
};

/// The resource.
///
/// # Errors
/// When it is put together wrongly.
pub fn resource(trace: bool) -> Result<Resource, BuildError> {
    let start = Pipeline::new()
        .filter(Filter::UriTooLong, with(|visit| visit.path().len() > 200))
        .filter(Filter::Exists, with(|visit| title(visit).is_some()))
        .negotiate(Negotiate::new().media_types(["image/svg+xml"]))
        .etag(with(|visit| title(visit).map(ETag::strong)))
        .entity(with(|visit| {
            Reply::text(draw(&title(visit).unwrap_or_default()))
        }))
        .get();
    Resource::pipeline(start)
        .trace(if trace {
            TraceTo::Header
        } else {
            TraceTo::Nothing
        })
        .build()
}

/// `/covers/english/emma.svg` is the cover of Emma.
fn title(visit: &Visit) -> Option<String> {
    let name = visit.text_param("path").rsplit('/').next()?;
    let stem = name.strip_suffix(".svg")?;
    let plain = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_lowercase());
    plain.then(|| stem.to_owned())
}

fn draw(title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"120\" height=\"180\">\
         <rect width=\"120\" height=\"180\" fill=\"#c8e6c9\"/>\
         <text x=\"60\" y=\"90\" text-anchor=\"middle\">{title}</text></svg>\n"
    )
}

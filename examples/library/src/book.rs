//! `/books/{id}`: one book, in graph style. Each line below says one thing that is the library's
//! own; the rest is the graph's.

use sluice_worker::resource::http::header;
use sluice_worker::resource::{
    BuildError, Decision, ETag, Handler, Reply, Resource, TraceTo, Visit, with,
};

use crate::store::{Book, Store, Stored};

/// The resource.
///
/// # Errors
/// When it is put together wrongly.
pub fn resource(store: &Store, trace: bool) -> Result<Resource, BuildError> {
    let of = |store: &Store| store.clone();
    let (find, put, remove, taken) = (of(store), of(store), of(store), of(store));
    Resource::graph()
        .media_types(["application/json", "text/plain"])
        .decide(Decision::KnownContentType, with(is_json))
        .decide(Decision::Processable, with(is_a_book))
        .decide(Decision::Exists, with(move |visit| load(visit, &find)))
        .decide(
            Decision::Conflict,
            with(move |visit| is_taken(visit, &taken)),
        )
        // A change leaves the new state in the visit, so its tag is the new one.
        .etag(with(|visit| visit.get::<Stored>().map(|s| tag(&s))))
        .decide(
            Decision::New,
            with(|visit| visit.get::<Stored>().is_none_or(|s| s.revision == 1)),
        )
        .get(with(show))
        .put(with(move |visit| change(visit, &put)))
        .delete(with(move |visit| remove.remove(number(visit))))
        .location(with(|visit| Some(visit.path().to_owned())))
        .handle(
            Handler::NotFound,
            with(|visit| Reply::text(format!("no book at {}", visit.path()))),
        )
        .handle(
            Handler::UnprocessableEntity,
            "a book is {\"title\": text, \"author\": text, \"year\": number}",
        )
        .handle(Handler::Conflict, "another book has this title and author")
        .trace(if trace {
            TraceTo::Header
        } else {
            TraceTo::Nothing
        })
        .build()
}

fn number(visit: &Visit) -> u64 {
    visit.text_param("id").parse().unwrap_or_default()
}

fn tag(stored: &Stored) -> ETag {
    ETag::strong(stored.revision.to_string())
}

/// Only what has a body says what it is.
pub(crate) fn is_json(visit: &Visit) -> bool {
    let content_type = visit.headers().get(header::CONTENT_TYPE);
    let essence = content_type
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next());
    visit.body().is_empty() || essence.is_some_and(|t| t.trim() == "application/json")
}

pub(crate) fn is_a_book(visit: &Visit) -> bool {
    if !matches!(visit.method().as_str(), "PUT" | "POST") {
        return true;
    }
    match visit.json_body::<Book>() {
        Ok(book) => {
            visit.put(book);
            true
        }
        Err(_) => false,
    }
}

fn load(visit: &Visit, store: &Store) -> bool {
    let found = store.get(number(visit));
    let exists = found.is_some();
    if let Some(stored) = found {
        visit.put(stored);
    }
    exists
}

fn is_taken(visit: &Visit, store: &Store) -> bool {
    let same = visit.get::<Book>().and_then(|book| store.find(&book));
    same.is_some_and(|id| id != number(visit))
}

fn change(visit: &Visit, store: &Store) {
    if let Some(book) = visit.get::<Book>() {
        store.put(number(visit), (*book).clone());
    }
    load(visit, store);
    // The library stores exactly what it was sent.
    visit.send_validators();
}

fn show(visit: &Visit) -> Result<Reply, sluice_worker::Error> {
    let stored = visit.get::<Stored>();
    let book = stored.as_ref().map(|s| &s.book);
    match (visit.media_type().as_deref(), book) {
        (Some("text/plain"), Some(book)) => {
            let Book {
                title,
                author,
                year,
            } = book;
            Ok(Reply::text(format!("{title}, {author} ({year})\n")))
        }
        (_, book) => Reply::json(&book),
    }
}

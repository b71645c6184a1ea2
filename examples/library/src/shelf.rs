//! `/books`: the whole shelf. GET sends book by book as they are read, or to who asks for JSON one
//! list; POST adds one.

use futures_util::stream;
use serde_json::{Value, json};
use sluice_worker::Error;
use sluice_worker::resource::{
    BuildError, Decision, Handler, Outcome, Reply, Resource, TraceTo, Visit, with,
};

use crate::book::{is_a_book, is_json};
use crate::store::{Book, Store};

/// The resource.
///
/// # Errors
/// When it is put together wrongly.
pub fn resource(store: &Store, trace: bool) -> Result<Resource, BuildError> {
    let (all, taken, add) = (store.clone(), store.clone(), store.clone());
    let is_taken = move |visit: &Visit| {
        let book = visit.get::<Book>();
        book.and_then(|book| taken.find(&book)).is_some()
    };
    Resource::graph()
        .media_types(["application/x-ndjson", "application/json"])
        .decide(Decision::KnownContentType, with(is_json))
        .decide(Decision::Processable, with(is_a_book))
        .decide(Decision::Conflict, with(is_taken))
        .get(with(move |visit| books(visit, &all)))
        .post(with(move |visit| put_on_shelf(visit, &add)))
        .handle(Handler::Conflict, "another book has this title and author")
        .handle(
            Handler::UnprocessableEntity,
            "a book is {\"title\": text, \"author\": text, \"year\": number}",
        )
        .trace(if trace {
            TraceTo::Header
        } else {
            TraceTo::Nothing
        })
        .build()
}

/// A line for each book, made when the client has room for it; or all of them.
fn books(visit: &Visit, store: &Store) -> Result<Reply, Error> {
    let books = store.all().into_iter().map(|(id, stored)| {
        json!({ "id": id, "title": stored.book.title, "author": stored.book.author })
    });
    match visit.media_type().as_deref() {
        Some("application/json") => Reply::json(&books.collect::<Vec<Value>>()),
        _ => Ok(Reply::stream(stream::iter(
            books.map(|book| Ok(format!("{book}\n"))),
        ))),
    }
}

fn put_on_shelf(visit: &Visit, store: &Store) -> Outcome {
    if let Some(book) = visit.get::<Book>() {
        let id = store.add((*book).clone());
        visit.set_location(format!("/books/{id}"));
    }
    Outcome::Done
}

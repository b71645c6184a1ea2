//! `browse`: the shelf as a stream, book by book, over sockets and HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sluice_worker::{Error, Function, StreamSender};

use crate::store::{Book, Store};

/// Which books.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Which {
    /// Only those of this author.
    pub author: Option<String>,
}

/// A book on its way.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    /// Its number.
    pub book: u64,
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    pub author: String,
}

/// The function.
pub fn function(store: &Store) -> Function {
    let store = store.clone();
    let browse = move |which: Which, out: StreamSender<Found>| {
        let books = store.all();
        async move {
            let wanted = |book: &Book| which.author.as_ref().is_none_or(|a| *a == book.author);
            for (book, stored) in books.into_iter().filter(|(_, s)| wanted(&s.book)) {
                let Book { title, author, .. } = stored.book;
                // Waits while the client has no room.
                out.send(Found {
                    book,
                    title,
                    author,
                })
                .await?;
            }
            Ok::<_, Error>(())
        }
    };
    Function::stream("browse", browse)
        .description("all books, one by one")
        .idempotent()
}

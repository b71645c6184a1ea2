//! The books and who has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Book {
    /// What it is called.
    pub title: String,
    /// Who wrote it.
    pub author: String,
    /// When it was published.
    pub year: u16,
}

/// A book on the shelf, and how often it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The book.
    pub book: Book,
    /// From 1.
    pub revision: u64,
    /// Who has it.
    pub reader: Option<String>,
}

/// All books. Clones share them.
#[derive(Clone, Debug)]
pub struct Store(Arc<Mutex<BTreeMap<u64, Stored>>>);

/// Why a book was not lent or given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotLent {
    /// There is no such book.
    Unknown,
    /// This reader has it.
    Lent(String),
    /// Nobody has it.
    Here,
}

impl Default for Store {
    /// Three books.
    fn default() -> Self {
        let book = |title: &str, author: &str, year| Book {
            title: title.to_owned(),
            author: author.to_owned(),
            year,
        };
        let store = Self(Arc::default());
        for book in [
            book("Emma", "Jane Austen", 1815),
            book("Middlemarch", "George Eliot", 1871),
            book("Dracula", "Bram Stoker", 1897),
        ] {
            store.add(book);
        }
        store
    }
}

impl Store {
    /// A book by its number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<Stored> {
        self.0.lock().get(&id).cloned()
    }

    /// All books, by number.
    #[must_use]
    pub fn all(&self) -> Vec<(u64, Stored)> {
        self.0
            .lock()
            .iter()
            .map(|(id, s)| (*id, s.clone()))
            .collect()
    }

    /// The number of a book of this title and author.
    #[must_use]
    pub fn find(&self, book: &Book) -> Option<u64> {
        let books = self.0.lock();
        let same = |s: &Stored| s.book.title == book.title && s.book.author == book.author;
        books.iter().find(|(_, s)| same(s)).map(|(id, _)| *id)
    }

    /// Puts a new book on the shelf; its number.
    pub fn add(&self, book: Book) -> u64 {
        let mut books = self.0.lock();
        let id = books.last_key_value().map_or(1, |(id, _)| id + 1);
        let stored = Stored {
            book,
            revision: 1,
            reader: None,
        };
        books.insert(id, stored);
        id
    }

    /// Changes a book, or puts one there.
    pub fn put(&self, id: u64, book: Book) {
        let mut books = self.0.lock();
        let new = Stored {
            book: book.clone(),
            revision: 0,
            reader: None,
        };
        let stored = books.entry(id).or_insert(new);
        stored.book = book;
        stored.revision += 1;
    }

    /// Takes a book off the shelf.
    pub fn remove(&self, id: u64) {
        self.0.lock().remove(&id);
    }

    /// Lends a book.
    ///
    /// # Errors
    /// When there is none, or somebody has it.
    pub fn lend(&self, id: u64, reader: &str) -> Result<Book, NotLent> {
        let mut books = self.0.lock();
        let stored = books.get_mut(&id).ok_or(NotLent::Unknown)?;
        if let Some(other) = stored.reader.as_ref().filter(|other| *other != reader) {
            return Err(NotLent::Lent(other.clone()));
        }
        stored.reader = Some(reader.to_owned());
        Ok(stored.book.clone())
    }

    /// Takes a book back.
    ///
    /// # Errors
    /// When there is none, or nobody has it.
    pub fn take_back(&self, id: u64) -> Result<(), NotLent> {
        let mut books = self.0.lock();
        let stored = books.get_mut(&id).ok_or(NotLent::Unknown)?;
        stored.reader.take().map(drop).ok_or(NotLent::Here)
    }
}

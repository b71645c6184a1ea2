//! Where an answer of the application comes from: a constant, a function, an async function.

use std::fmt;

use futures_util::future::{BoxFuture, FutureExt};

use super::{
    Action, Decision, ETag, Handler, HttpDate, Languages, Node, Outcome, Reply, ResourceResponse,
    Verdict, Visit,
};
use crate::Error;

/// Where a `T` comes from.
///
/// What takes one takes all that is [`IntoSource`]: a constant as it is, a function as
/// [`with(f)`](with), an async function as [`with_async(f)`](with_async).
pub enum Source<T> {
    /// Always this.
    Constant(T),
    /// What this function says.
    Function(Function<T>),
    /// What this async function says.
    Async(AsyncFunction<T>),
}

type Function<T> = Box<dyn Fn(&Visit) -> Result<T, Error> + Send + Sync>;
type AsyncFunction<T> = Box<dyn Fn(Visit) -> BoxFuture<'static, Result<T, Error>> + Send + Sync>;

impl<T: Clone> Source<T> {
    pub(crate) async fn get(&self, visit: &Visit) -> Result<T, Error> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Function(function) => function(visit),
            Self::Async(function) => function(visit.clone()).await,
        }
    }

    pub(crate) fn constant(&self) -> Option<&T> {
        match self {
            Self::Constant(value) => Some(value),
            _ => None,
        }
    }
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant(_) => "Constant",
            Self::Function(_) => "Function",
            Self::Async(_) => "Async",
        })
    }
}

/// A function of the visit, made by [`with`].
#[derive(Clone, Copy, Debug)]
pub struct With<F>(F);

/// An async function of the visit, made by [`with_async`].
#[derive(Clone, Copy, Debug)]
pub struct WithAsync<F>(F);

/// Uses a function: `with(|visit| visit.get::<Note>().is_some())`.
///
/// It returns what a constant would be, or a `Result` with that. An error leads to
/// [`Handler::Exception`].
pub fn with<F, R>(function: F) -> With<F>
where
    F: Fn(&Visit) -> R,
{
    With(function)
}

/// Uses an async function: `with_async(load)` with `async fn load(visit: Visit) -> …`.
///
/// It returns what a constant would be, or a `Result` with that. An error leads to
/// [`Handler::Exception`].
pub fn with_async<F, Fut>(function: F) -> WithAsync<F>
where
    F: Fn(Visit) -> Fut,
    Fut: Future,
{
    WithAsync(function)
}

/// What can stand where a `T` is asked of the application: a constant, [`with`], [`with_async`].
pub trait IntoSource<T> {
    /// The source.
    fn into_source(self) -> Source<T>;
}

impl<T> IntoSource<T> for Source<T> {
    fn into_source(self) -> Source<T> {
        self
    }
}

impl<T, F, R> IntoSource<T> for With<F>
where
    F: Fn(&Visit) -> R + Send + Sync + 'static,
    R: Give<T>,
{
    fn into_source(self) -> Source<T> {
        Source::Function(Box::new(move |visit| (self.0)(visit).give()))
    }
}

impl<T: 'static, F, Fut> IntoSource<T> for WithAsync<F>
where
    F: Fn(Visit) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Give<T>> + Send + 'static,
{
    fn into_source(self) -> Source<T> {
        Source::Async(Box::new(move |visit| {
            (self.0)(visit).map(Give::give).boxed()
        }))
    }
}

/// What a function may return where a `T` is asked: a `T`, what means one, or a `Result`.
pub trait Give<T> {
    /// The `T`.
    ///
    /// # Errors
    ///
    /// The function failed.
    fn give(self) -> Result<T, Error>;
}

impl<T, R: Give<T>, E: Into<Error>> Give<T> for Result<R, E> {
    fn give(self) -> Result<T, Error> {
        self.map_err(Into::into)?.give()
    }
}

/// Both a constant and what a function returns: `from => to`, by an expression.
macro_rules! gives {
    ($( $from:ty => $to:ty, |$value:ident| $made:expr; )*) => {
        $(
            impl Give<$to> for $from {
                fn give(self) -> Result<$to, Error> {
                    let $value = self;
                    Ok($made)
                }
            }

            impl IntoSource<$to> for $from {
                fn into_source(self) -> Source<$to> {
                    let $value = self;
                    Source::Constant($made)
                }
            }
        )*
    };
}

gives! {
    bool => bool, |b| b;
    Verdict => Verdict, |verdict| verdict;
    bool => Verdict, |yes| if yes { Verdict::Yes } else { Verdict::No };
    Node => Verdict, |node| Verdict::Go(node);
    Decision => Verdict, |decision| Verdict::Go(decision.into());
    Action => Verdict, |action| Verdict::Go(action.into());
    Handler => Verdict, |handler| Verdict::Go(handler.into());
    ResourceResponse => Verdict, |response| Verdict::Respond(response);

    Outcome => Outcome, |outcome| outcome;
    () => Outcome, |_done| Outcome::Done;
    Node => Outcome, |node| Outcome::Go(node);
    Decision => Outcome, |decision| Outcome::Go(decision.into());
    Action => Outcome, |action| Outcome::Go(action.into());
    Handler => Outcome, |handler| Outcome::Go(handler.into());
    ResourceResponse => Outcome, |response| Outcome::Respond(response);

    Reply => Reply, |reply| reply;
    () => Reply, |_nothing| Reply::new();
    &'static str => Reply, |text| Reply::text(text);
    String => Reply, |text| Reply::text(text);
    bytes::Bytes => Reply, |bytes| Reply::bytes(bytes);
    Vec<u8> => Reply, |bytes| Reply::bytes(bytes);
    serde_json::Value => Reply, |value| Reply::value(&value);
    ResourceResponse => Reply, |response| Reply::from(response);

    ETag => Option<ETag>, |tag| Some(tag);
    Option<ETag> => Option<ETag>, |tag| tag;
    HttpDate => Option<HttpDate>, |date| Some(date);
    Option<HttpDate> => Option<HttpDate>, |date| date;
    std::time::SystemTime => Option<HttpDate>, |time| Some(time.into());
    &'static str => Option<String>, |text| Some(text.to_owned());
    String => Option<String>, |text| Some(text);
    Option<String> => Option<String>, |text| text;

    Vec<String> => Vec<String>, |all| all;
    &[&str] => Vec<String>, |all| all.iter().map(|&s| s.to_owned()).collect();
    Vec<Languages> => Vec<Languages>, |all| all;
    &[&str] => Vec<Languages>, |all| all.iter().map(|&s| s.into()).collect();
}

impl<const N: usize> Give<Vec<String>> for [&str; N] {
    fn give(self) -> Result<Vec<String>, Error> {
        Ok(self.map(str::to_owned).to_vec())
    }
}

impl<const N: usize> IntoSource<Vec<String>> for [&str; N] {
    fn into_source(self) -> Source<Vec<String>> {
        Source::Constant(self.map(str::to_owned).to_vec())
    }
}

impl<const N: usize, L: Into<Languages>> Give<Vec<Languages>> for [L; N] {
    fn give(self) -> Result<Vec<Languages>, Error> {
        Ok(self.map(Into::into).to_vec())
    }
}

impl<const N: usize, L: Into<Languages>> IntoSource<Vec<Languages>> for [L; N] {
    fn into_source(self) -> Source<Vec<Languages>> {
        Source::Constant(self.map(Into::into).to_vec())
    }
}

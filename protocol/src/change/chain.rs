//! The changes between a client's version and the one that is served, for one function.

use super::deeper;
use super::node::Node;
use super::operation::Operation;
use super::pointer::{Pointer, Segment};
use super::room::Room;
use super::{RequestChange, TranslateError, Versions};
use crate::argument::ArgTypes;
use crate::payload::Payload;
use crate::version::ApiVersion;

/// The way of one function from an older version to a newer one.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    from: ApiVersion,
    steps: Vec<Step>,
    arg_types: Option<ArgTypes>,
}

/// One change on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The version that it leads away from.
    pub version: ApiVersion,
    /// The change's name.
    pub name: String,
    /// Whether the worker has code for it.
    pub code: bool,
    request: RequestChange,
    response: Vec<Operation>,
}

/// A request of a route, in its parts. Each is one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The body.
    pub body: Payload,
    /// The query.
    pub query: Payload,
    /// The parameters of the path.
    pub path: Payload,
}

impl Chain {
    pub(super) fn between(
        versions: &Versions,
        from: &str,
        to: Option<&str>,
        function: &str,
    ) -> Option<Self> {
        let all = &versions.0;
        let start = all.iter().position(|v| v.version.as_str() == from)?;
        let end = match to {
            Some(to) => start + all[start..].iter().position(|v| v.version.as_str() == to)?,
            None => all.len(),
        };
        let concerned = all[start..end].iter().flat_map(|version| {
            let concerned = version
                .changes
                .iter()
                .filter(|change| change.functions.includes(function));
            concerned.map(|change| Step {
                version: version.version.clone(),
                name: change.name.clone(),
                code: change.code,
                request: change.request.clone(),
                response: change.response.clone(),
            })
        });
        let arg_types = all[start].arg_types.iter();
        Some(Self {
            from: all[start].version.clone(),
            steps: concerned.collect(),
            arg_types: arg_types
                .filter(|(name, _)| name.as_str() == function)
                .map(|(_, types)| types.clone())
                .next(),
        })
    }

    /// The client's version.
    #[must_use]
    pub fn from(&self) -> &ApiVersion {
        &self.from
    }

    /// The changes, in the order in which requests pass them.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The args as the client's version has them, where the service declares them.
    #[must_use]
    pub fn arg_types(&self) -> Option<&ArgTypes> {
        self.arg_types.as_ref()
    }

    /// The args as the client's version has them: as declared, else as today's function has them,
    /// by the names that they had. Types of args that changes gave another shape are not known.
    #[must_use]
    pub fn client_types(&self, today: Option<&ArgTypes>) -> Option<ArgTypes> {
        if self.arg_types.is_some() || self.is_identity() {
            return self.arg_types.clone().or_else(|| today.cloned());
        }
        if self.has_code() {
            return None;
        }
        let before = today?.0.iter();
        let before =
            before.filter_map(|(name, spec)| Some((self.name_before(name)?, spec.clone())));
        Some(ArgTypes(before.collect()))
    }

    /// What the client's version calls the arg that today is called `name`; `None` where it has no
    /// such arg, but makes that of another or keeps it inside one.
    #[must_use]
    pub fn name_before(&self, name: &str) -> Option<String> {
        let before = self.place_before(&Pointer::key(name).to_string());
        match Pointer::parse_plain(&before).ok()?.0.as_slice() {
            [Segment::Key(name)] => Some(name.clone()),
            _ => None,
        }
    }

    /// Whether nothing changes on the way.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it can only be passed in the worker.
    #[must_use]
    pub fn has_code(&self) -> bool {
        self.steps.iter().any(|step| step.code)
    }

    /// Args of the client's version, as today's shape has them.
    ///
    /// # Errors
    /// When they are no value, have a key twice where changes look, or would take more than changes
    /// may.
    pub fn request(&self, args: &Payload) -> Result<Payload, TranslateError> {
        let lists = self.steps.iter().flat_map(|step| step.request.lists());
        apply(lists, args)
    }

    /// The same for a request whose parts are kept apart.
    ///
    /// # Errors
    /// As for [`Self::request`].
    pub fn request_parts(&self, parts: &Parts) -> Result<Parts, TranslateError> {
        let lists = |of: fn(&RequestChange) -> &Vec<Operation>| {
            self.steps.iter().map(move |step| of(&step.request))
        };
        Ok(Parts {
            body: apply(lists(|r| &r.body), &parts.body)?,
            query: apply(lists(|r| &r.query), &parts.query)?,
            path: apply(lists(|r| &r.path), &parts.path)?,
        })
    }

    /// A result or a stream item of today's shape, as the client's version has it.
    ///
    /// # Errors
    /// When it is no value, has a key twice where changes look, or would take more than changes may.
    pub fn response(&self, result: &Payload) -> Result<Payload, TranslateError> {
        apply(self.steps.iter().rev().map(|step| &step.response), result)
    }

    /// Whether the queries of routes may change on their way up.
    #[must_use]
    pub fn changes_query(&self) -> bool {
        self.steps.iter().any(|step| !step.request.query.is_empty())
    }

    /// Whether responses may change on their way down.
    #[must_use]
    pub fn changes_responses(&self) -> bool {
        self.steps.iter().any(|step| !step.response.is_empty())
    }

    /// Where in the client's args stood what stands at `place` of today's: a JSON Pointer for a
    /// JSON Pointer. What no change moved is where it was.
    #[must_use]
    pub fn place_before(&self, place: &str) -> String {
        let Ok(mut segments) = Pointer::parse_plain(place).map(|p| p.0) else {
            return place.to_owned();
        };
        for step in self.steps.iter().rev() {
            segments = step.origin(segments);
        }
        Pointer(segments).to_string()
    }
}

impl RequestChange {
    /// The parts in the order in which they act on args that are one object: of a name in several
    /// parts the path's value wins over the body's, and that over the query's.
    fn lists(&self) -> [&Vec<Operation>; 3] {
        [&self.query, &self.body, &self.path]
    }
}

impl Step {
    /// Where before this change stood what stands at `place` after it.
    #[must_use]
    pub fn place_before(&self, place: &str) -> String {
        match Pointer::parse_plain(place) {
            Ok(pointer) => Pointer(self.origin(pointer.0)).to_string(),
            Err(_) => place.to_owned(),
        }
    }

    fn origin(&self, mut place: Vec<Segment>) -> Vec<Segment> {
        let [query, body, path] = self.request.lists();
        for operation in [path, body, query].into_iter().flat_map(|l| l.iter().rev()) {
            if let Some(before) = operation.origin(&place) {
                place = before;
            }
        }
        place
    }

    /// What it does to args, where no code does it.
    ///
    /// # Errors
    /// As for [`Chain::request`].
    pub fn request(&self, args: &Payload) -> Result<Payload, TranslateError> {
        apply(self.request.lists().into_iter(), args)
    }

    /// What it does to a result, where no code does it.
    ///
    /// # Errors
    /// As for [`Chain::response`].
    pub fn response(&self, result: &Payload) -> Result<Payload, TranslateError> {
        apply(std::iter::once(&self.response), result)
    }
}

/// Shares the bytes where there is nothing to do.
fn apply<'o>(
    lists: impl Iterator<Item = &'o Vec<Operation>>,
    payload: &Payload,
) -> Result<Payload, TranslateError> {
    let mut operations = lists.flatten().peekable();
    if operations.peek().is_none() {
        return Ok(payload.clone());
    }
    let mut value = Node::of(payload)?;
    let mut room = Room::default();
    for operation in operations {
        operation.apply(&mut value, &mut room)?;
    }
    let translated = value.into_payload(payload.encoding)?;
    if room.deepened() && deeper::too_deep(&translated) {
        let why = "changes nest it deeper than values may be";
        return Err(TranslateError::TooLarge(why));
    }
    Ok(translated)
}

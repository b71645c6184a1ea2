//! From a method and a path to the function or resource that declared the route.
//!
//! A tree of path segments: built with each snapshot, read without locks. At each place a text wins
//! over a parameter, and a parameter over the rest of the path; where the better one leads nowhere
//! the other is tried (`/a/{x}/c` is found beside `/a/b/d`). A tree has each node once, so a search
//! visits no more nodes than there are. Routers of other crates do not let a parameter and a
//! wildcard stand at the same place, which workers that know nothing of each other will ask for.

mod lookup;
mod path;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use sluice_protocol::change::Chain;
use sluice_protocol::function::{Route, Segment};
use sluice_protocol::{ApiVersion, FunctionName, FunctionSpec, ServiceName};

pub use self::lookup::{Lookup, Target};
pub use self::path::{Malformed, segments};
use super::snapshot::{Functions, Names, Variant};

/// All routes of a snapshot.
#[derive(Debug, Default)]
pub struct Routes {
    root: Node,
    is_empty: bool,
}

#[derive(Debug, Default)]
struct Node {
    texts: HashMap<Box<str>, Node>,
    param: Option<Box<Node>>,
    rest: Option<Box<Place>>,
    here: Option<Box<Place>>,
}

/// What stands at one path. Either `any`, or `methods`.
#[derive(Debug, Default)]
pub struct Place {
    /// A resource, which takes every method.
    any: Option<Owner>,
    /// Functions, by method.
    methods: BTreeMap<String, Owner>,
}

/// Whose route it is.
#[derive(Debug)]
pub struct Owner {
    /// Of which service.
    pub service: ServiceName,
    /// Which function or resource.
    pub request_type: FunctionName,
    /// The versions that have the route, oldest first.
    pub versions: Vec<Form>,
}

/// One version's form of a route.
#[derive(Debug)]
pub struct Form {
    /// The version.
    pub version: Option<ApiVersion>,
    /// What it calls the parameters, in the order of the path.
    pub params: Vec<String>,
}

/// What a path leads to.
#[derive(Debug)]
pub struct Match<'r, 'p> {
    /// What stands there.
    pub place: &'r Place,
    /// The values of its parameters, in the order of the path.
    pub values: Vec<std::borrow::Cow<'p, str>>,
    /// Whether the rest of a path that it takes has no encoded slash.
    pub is_plain: bool,
}

/// A version of a function, as it is served: by its own code, or translated.
#[derive(Clone, Copy)]
struct Served<'a> {
    version: Option<&'a ApiVersion>,
    spec: &'a FunctionSpec,
    chain: Option<&'a Chain>,
}

impl<'a> Served<'a> {
    fn of(version: Option<&'a ApiVersion>, variant: &'a Variant) -> Self {
        Self {
            version,
            spec: &variant.spec,
            chain: variant.translation.as_ref().map(|t| &t.chain),
        }
    }

    /// What this version's clients call a parameter of the path.
    fn param(&self, name: &str) -> String {
        let before = self.chain.and_then(|chain| chain.name_before(name));
        before.unwrap_or_else(|| name.to_owned())
    }
}

impl Routes {
    /// The routes of all functions. Of two owners of one route the first by name has it: only a
    /// service that moves a route from one function to another has two, while it deploys.
    #[must_use]
    pub fn of(services: &Names<ServiceName, Functions>) -> Self {
        let functions = services.values().flat_map(Functions::values);
        let functions = functions.flat_map(|all| &all.versions);
        let mut all: Vec<Served<'_>> = functions
            .flat_map(|function| {
                let of = |variant| Served::of(function.version.as_ref(), variant);
                function.variants.iter().map(of)
            })
            .filter(|served| !served.spec.routes.is_empty())
            .collect();
        all.sort_by_cached_key(|served| {
            let spec = served.spec;
            let version = served.version.cloned();
            (spec.service.clone(), spec.request_type.clone(), version)
        });
        let mut routes = Self {
            is_empty: all.is_empty(),
            root: Node::default(),
        };
        for served in all {
            for text in &served.spec.routes {
                // Checked when its config was taken.
                if let Ok(route) = Route::parse(text) {
                    routes.root.add(route, served);
                }
            }
        }
        routes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// What stands at a path of these decoded segments.
    #[must_use]
    pub fn find<'p>(&self, segments: &[std::borrow::Cow<'p, str>]) -> Option<Match<'_, 'p>> {
        let mut values = Vec::new();
        let (place, rest) = self.root.find(segments, &mut values)?;
        let is_plain = path::may_be_joined(&segments[segments.len() - rest..]);
        Some(Match {
            place,
            values,
            is_plain,
        })
    }
}

impl Node {
    fn add(&mut self, route: Route<'_>, served: Served<'_>) {
        let mut node = self;
        for segment in route.segments() {
            node = match segment {
                Segment::Text(text) => node.texts.entry(text.into()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
                Segment::Rest(_) => {
                    node.rest.get_or_insert_default().add(route, served);
                    return;
                }
            };
        }
        node.here.get_or_insert_default().add(route, served);
    }

    /// The place, and how many segments at the end are its rest of the path.
    fn find<'p>(
        &self,
        segments: &[std::borrow::Cow<'p, str>],
        values: &mut Vec<std::borrow::Cow<'p, str>>,
    ) -> Option<(&Place, usize)> {
        let Some((first, left)) = segments.split_first() else {
            return self.here.as_deref().map(|place| (place, 0));
        };
        if let Some(found) = self.texts.get(&**first).and_then(|n| n.find(left, values)) {
            return Some(found);
        }
        if let Some(node) = self.param.as_deref().filter(|_| !first.is_empty()) {
            let before = values.len();
            values.push(first.clone());
            if let Some(found) = node.find(left, values) {
                return Some(found);
            }
            values.truncate(before);
        }
        let rest = self.rest.as_deref()?;
        values.push(segments.join("/").into());
        Some((rest, segments.len()))
    }
}

impl Place {
    fn add(&mut self, route: Route<'_>, served: Served<'_>) {
        let owner = if route.takes_any_method() {
            &mut self.any
        } else {
            // Entry and option alike: one owner for each method.
            let place = self.methods.entry(route.method.to_owned());
            let owner = place.or_insert_with(|| Owner::of(served.spec));
            owner.add(route, served);
            return;
        };
        owner
            .get_or_insert_with(|| Owner::of(served.spec))
            .add(route, served);
    }

    /// The resource that stands there, if it is one.
    #[must_use]
    pub fn resource(&self) -> Option<&Owner> {
        self.any.as_ref()
    }

    /// The function of this method. HEAD is answered by that of GET where it has none of its own.
    #[must_use]
    pub fn function(&self, method: &str) -> Option<&Owner> {
        let get = || self.methods.get("GET").filter(|_| method == "HEAD");
        self.methods.get(method).or_else(get)
    }

    /// For `Allow`: the methods of its functions.
    #[must_use]
    pub fn allow(&self) -> String {
        let mut methods: Vec<&str> = self.methods.keys().map(String::as_str).collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        methods.join(", ")
    }
}

impl Owner {
    fn of(spec: &FunctionSpec) -> Self {
        Self {
            service: spec.service.clone(),
            request_type: spec.request_type.clone(),
            versions: Vec::new(),
        }
    }

    fn add(&mut self, route: Route<'_>, served: Served<'_>) {
        let spec = served.spec;
        let own = self.service == spec.service && self.request_type == spec.request_type;
        let known = self.form(served.version.map(ApiVersion::as_str)).is_some();
        // Two configs of one version may name a parameter in two ways only while a deploy lasts.
        if own && !known {
            self.versions.push(Form {
                version: served.version.cloned(),
                params: route.params().map(|name| served.param(name)).collect(),
            });
        }
    }

    /// The form of this version.
    #[must_use]
    pub fn form(&self, version: Option<&str>) -> Option<&Form> {
        let same = |f: &&Form| f.version.as_ref().map(ApiVersion::as_str) == version;
        self.versions.iter().find(same)
    }
}

/// The first route of `spec` that `other` has as well, and which of its.
#[must_use]
pub fn conflict<'a>(spec: &'a FunctionSpec, other: &'a FunctionSpec) -> Option<(usize, &'a str)> {
    let parsed = |spec: &'a FunctionSpec| {
        let routes = spec.routes.iter().enumerate();
        routes.filter_map(|(i, text)| Some((i, text.as_str(), Route::parse(text).ok()?)))
    };
    parsed(spec).find_map(|(index, _, own)| {
        let (_, text, _) = parsed(other).find(|(_, _, route)| route.meets(own))?;
        Some((index, text))
    })
}

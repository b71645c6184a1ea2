//! `pipeline`: resources in pipeline style, and the order in which they call functions.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use sluice_worker::resource::http::Method;
use sluice_worker::resource::{
    Filter, Languages, Negotiate, Outcome, Pipeline, Reply, Resource, SendEntity, Source, Visit,
    with,
};

use super::graph::{by_media_type, date, etag};
use super::response::{compare, request, response};
use super::{strings, wrong};

pub(super) async fn run(input: &Value, expect: &Value) -> Result<(), Value> {
    let functions = Functions {
        results: Arc::new(input["impl"].clone()),
        calls: Arc::default(),
    };
    let resource = resource(&input["pipeline"], &functions)?;
    let (response, trace) = resource.trace(request(&input["request"])?).await;
    compare(expect, &response, &trace)?;
    let calls = functions.calls();
    match &expect["calls"] {
        Value::Null => Ok(()),
        expected if *expected == json!(calls) => Ok(()),
        _ => Err(json!({ "calls": calls, "trace": trace.to_header() })),
    }
}

/// The functions of the application: what each answers, and who was called.
#[derive(Clone)]
struct Functions {
    results: Arc<Value>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Functions {
    fn calls(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.clone()
    }

    /// A function of this name: notes its call, and answers what `answer` makes of its result.
    fn function<T, F>(
        &self,
        name: &str,
        answer: F,
    ) -> impl Fn(&Visit) -> Result<T, sluice_worker::Error> + use<T, F>
    where
        F: Fn(&Value, &Visit) -> Result<T, Value>,
    {
        let (functions, name) = (self.clone(), name.to_owned());
        move |visit| {
            let mut calls = functions
                .calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            calls.push(name.clone());
            drop(calls);
            answer(&functions.results[&name], visit)
                .map_err(|error| sluice_worker::Error::new("vector", error.to_string()))
        }
    }

    fn action(
        &self,
        name: &str,
    ) -> impl Fn(&Visit) -> Result<Outcome, sluice_worker::Error> + use<> {
        self.function(name, |result, visit| {
            if let Some(method) = result["set_method"].as_str() {
                visit.set_method(Method::from_bytes(method.as_bytes()).map_err(wrong)?);
            }
            Ok(match &result["halt"] {
                Value::Null => Outcome::Done,
                halt => Outcome::Respond(response(halt)?),
            })
        })
    }
}

fn resource(of: &Value, functions: &Functions) -> Result<Resource, Value> {
    let mut builder = Resource::pipeline(pipeline(&of["start"], functions)?);
    for (name, declared) in of.as_object().into_iter().flatten() {
        if name != "start" {
            builder = builder.branch(name, pipeline(declared, functions)?);
        }
    }
    builder.build().map_err(wrong)
}

fn pipeline(of: &Value, functions: &Functions) -> Result<Pipeline, Value> {
    let mut pipeline = Pipeline::new();
    for declared in of.as_array().into_iter().flatten() {
        let (kind, value) = declared
            .as_object()
            .and_then(|declared| declared.iter().next())
            .ok_or_else(|| wrong("an empty declaration"))?;
        let named = value.as_str().unwrap_or_default();
        let function = declared["fn"].as_str().unwrap_or(named);
        pipeline = match kind.as_str() {
            "plug" => pipeline.plug(named, with(functions.action(function))),
            "negotiate" => pipeline.negotiate(negotiate(value)?),
            "filter" => {
                let filter = Filter::from_name(named).ok_or_else(|| wrong(named))?;
                let answer = |result: &Value, _: &Visit| Ok(result.as_bool().unwrap_or(true));
                pipeline.filter(filter, with(functions.function(function, answer)))
            }
            "property" => property(pipeline, named, function, functions)?,
            "method" => method(
                pipeline,
                named,
                function,
                &declared["send_entity"],
                functions,
            )?,
            "decant" if named == "media_type" => pipeline.decant(with(Visit::media_type)),
            unknown => return Err(wrong(format!("an unknown declaration: {unknown}"))),
        };
    }
    Ok(pipeline)
}

fn negotiate(of: &Value) -> Result<Negotiate, Value> {
    let mut negotiate = Negotiate::new();
    for (dimension, declared) in of.as_object().into_iter().flatten() {
        let declared = strings(declared);
        negotiate = match dimension.as_str() {
            "media_type" => negotiate.media_types(declared),
            "charset" => negotiate.charsets(declared),
            "encoding" => negotiate.encodings(declared),
            "language" => {
                let languages: Vec<Languages> = declared.into_iter().map(Into::into).collect();
                negotiate.languages(Source::Constant(languages))
            }
            unknown => return Err(wrong(format!("an unknown dimension: {unknown}"))),
        };
    }
    Ok(negotiate)
}

fn property(
    pipeline: Pipeline,
    name: &str,
    function: &str,
    functions: &Functions,
) -> Result<Pipeline, Value> {
    Ok(match name {
        "etag" => {
            let answer = |result: &Value, _: &Visit| Ok(Some(etag(result)));
            pipeline.etag(with(functions.function(function, answer)))
        }
        "last_modified" => {
            let answer = |result: &Value, _: &Visit| date(result).map(Some);
            pipeline.last_modified(with(functions.function(function, answer)))
        }
        "entity" => {
            let answer = |result: &Value, visit: &Visit| {
                Ok(match result["by_media_type"].as_object() {
                    Some(texts) => by_media_type(texts, visit),
                    None => Reply::text(result.as_str().unwrap_or_default()),
                })
            };
            pipeline.entity(with(functions.function(function, answer)))
        }
        unknown => return Err(wrong(format!("an unknown property: {unknown}"))),
    })
}

fn method(
    pipeline: Pipeline,
    name: &str,
    function: &str,
    send: &Value,
    functions: &Functions,
) -> Result<Pipeline, Value> {
    let send = match send {
        Value::Null | Value::Bool(true) => SendEntity::Yes,
        Value::Bool(false) => SendEntity::No,
        name => {
            let answer = |result: &Value, _: &Visit| Ok(result.as_bool().unwrap_or(false));
            let name = name.as_str().unwrap_or_default();
            SendEntity::when(with(functions.function(name, answer)))
        }
    };
    let action = with(functions.action(function));
    Ok(match name {
        "get" => pipeline.get(),
        "post" => pipeline.post(action, send),
        "put" => pipeline.put(action, send),
        "patch" => pipeline.patch(action, send),
        "delete" => pipeline.delete(action),
        unknown => return Err(wrong(format!("an unknown method: {unknown}"))),
    })
}

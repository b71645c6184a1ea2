//! `decisions`, `conditional`, `options_allow`: resources in graph style.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value};
use sluice_worker::resource::http::Method;
use sluice_worker::resource::{
    Action, Decision, ETag, GraphBuilder, Handler, HttpDate, Languages, Node, Outcome, Reply,
    Resource, Source, Verdict, Visit, with,
};

use super::response::{compare, reply, request, response};
use super::{strings, wrong};

pub(super) async fn run(input: &Value, expect: &Value) -> Result<(), Value> {
    let resource = resource(&input["resource"])?;
    let request = request(&input["request"])?;
    let (response, trace) = resource.trace(request).await;
    compare(expect, &response, &trace)
}

fn resource(of: &Value) -> Result<Resource, Value> {
    let mut builder = Resource::graph();
    for (name, value) in of.as_object().into_iter().flatten() {
        builder = match name.as_str() {
            "actions" => actions(builder, value, &of["action_results"])?,
            // Read with the actions.
            "action_results" => builder,
            "decisions" => decisions(builder, value)?,
            "handlers" => handlers(builder, value)?,
            "entry_point" => builder.entry(node(value)?),
            "available_media_types" => builder.media_types(strings(value)),
            "available_charsets" => builder.charsets(strings(value)),
            "available_encodings" => builder.encodings(strings(value)),
            "available_languages" => {
                let languages = value.as_array().into_iter().flatten();
                let languages: Vec<Languages> = languages.map(|l| strings(l).into()).collect();
                builder.languages(Source::Constant(languages))
            }
            "etag" => builder.etag(etag(value)),
            "last_modified" => builder.last_modified(date(value)?),
            "last_modified_unix_ms" => {
                let since = Duration::from_millis(value.as_u64().unwrap_or_default());
                builder.last_modified(UNIX_EPOCH + since)
            }
            "location" => builder.location(value.as_str().map(str::to_owned)),
            "allowed_methods" => builder.allowed_methods(methods(value)?),
            "known_methods" => builder.known_methods(methods(value)?),
            "patch_content_types" => builder.patch_types(strings(value)),
            unknown => return Err(wrong(format!("an unknown property: {unknown}"))),
        };
    }
    builder.build().map_err(wrong)
}

/// A tag, or `{"weak": tag}`.
pub(super) fn etag(of: &Value) -> ETag {
    match of["weak"].as_str() {
        Some(weak) => ETag::weak(weak),
        None => ETag::strong(of.as_str().unwrap_or_default()),
    }
}

pub(super) fn date(of: &Value) -> Result<HttpDate, Value> {
    of.as_str().unwrap_or_default().parse().map_err(wrong)
}

fn methods(of: &Value) -> Result<Vec<Method>, Value> {
    let methods = strings(of);
    let methods = methods
        .iter()
        .map(|name| Method::from_bytes(name.as_bytes()));
    methods.collect::<Result<_, _>>().map_err(wrong)
}

fn node(of: &Value) -> Result<Node, Value> {
    let name = of.as_str().unwrap_or_default();
    Node::from_name(name).ok_or_else(|| wrong(format!("an unknown node: {of}")))
}

fn actions(
    mut builder: GraphBuilder,
    names: &Value,
    results: &Value,
) -> Result<GraphBuilder, Value> {
    for name in strings(names) {
        let action = Action::ALL.iter().find(|action| action.name() == name);
        let action = *action.ok_or_else(|| wrong(format!("an unknown action: {name}")))?;
        let outcome = match &results[&name] {
            Value::Null => Outcome::Done,
            target => Outcome::Go(node(target)?),
        };
        builder = builder.action(action, outcome);
    }
    Ok(builder)
}

/// Constants are constants; an early return is a function, so that both kinds are walked.
fn decisions(mut builder: GraphBuilder, of: &Value) -> Result<GraphBuilder, Value> {
    for (name, answer) in of.as_object().into_iter().flatten() {
        let decision = Decision::all().find(|decision| decision.name() == name);
        let decision = decision.ok_or_else(|| wrong(format!("an unknown decision: {name}")))?;
        builder = match answer {
            Value::Bool(answer) => builder.decide(decision, *answer),
            Value::String(_) => builder.decide(decision, node(answer)?),
            other => {
                let response = response(&other["return"])?;
                let respond = move |_: &Visit| Verdict::Respond(response.clone());
                builder.decide(decision, with(respond))
            }
        };
    }
    Ok(builder)
}

fn handlers(mut builder: GraphBuilder, of: &Value) -> Result<GraphBuilder, Value> {
    for (name, answer) in of.as_object().into_iter().flatten() {
        let handler = Handler::ALL.iter().find(|handler| handler.name() == name);
        let handler = *handler.ok_or_else(|| wrong(format!("an unknown handler: {name}")))?;
        builder = match answer["by_media_type"].as_object() {
            Some(by_type) => {
                let by_type = by_type.clone();
                builder.handle(handler, with(move |visit| by_media_type(&by_type, visit)))
            }
            None => builder.handle(handler, reply(answer)?),
        };
    }
    Ok(builder)
}

/// The text for the negotiated media type.
pub(super) fn by_media_type(texts: &Map<String, Value>, visit: &Visit) -> Reply {
    let text = texts.get(&visit.media_type().unwrap_or_default());
    Reply::text(text.and_then(Value::as_str).unwrap_or_default())
}

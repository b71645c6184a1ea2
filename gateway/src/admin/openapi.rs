//! The admin API as OpenAPI 3.1, made from the table of its routes.

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::routes::{self, Route};
use super::steer;

/// A field of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    schema: Schema,
    required: bool,
}

/// What a field may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schema {
    types: &'static [&'static str],
    what: &'static str,
}

pub(super) const TEXT: Schema = of(&["string"], "");
pub(super) const TEXT_OR_NULL: Schema = of(&["string", "null"], "");
pub(super) const BOOLEAN: Schema = of(&["boolean"], "");
pub(super) const NUMBER: Schema = of(&["integer"], "");
pub(super) const SECONDS: Schema = of(&["integer"], "Seconds since 1970.");
pub(super) const MILLISECONDS: Schema = of(&["integer"], "Milliseconds.");
pub(super) const OBJECT: Schema = of(&["object"], "");
pub(super) const TEXTS: Schema = of(&["array"], "A list of strings.");
pub(super) const ANY: Schema = of(&[], "");

const fn of(types: &'static [&'static str], what: &'static str) -> Schema {
    Schema { types, what }
}

impl Field {
    pub(super) const fn required(name: &'static str, schema: Schema) -> Self {
        Self {
            name,
            schema,
            required: true,
        }
    }

    pub(super) const fn optional(name: &'static str, schema: Schema) -> Self {
        Self {
            name,
            schema,
            required: false,
        }
    }
}

impl Schema {
    fn to_json(self) -> Value {
        let mut schema = Map::new();
        match self.types {
            [] => {}
            [one] => _ = schema.insert("type".to_owned(), json!(one)),
            many => _ = schema.insert("type".to_owned(), json!(many)),
        }
        if !self.what.is_empty() {
            schema.insert("description".to_owned(), json!(self.what));
        }
        schema.into()
    }
}

/// `GET /v1/openapi.json`
pub(super) async fn serve() -> Response {
    let mut all = routes::all();
    all.push(routes::metrics());
    steer::told(&document(&all))
}

/// The whole document.
pub(super) fn document(all: &[Route]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in all {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    for path in ["/health/live", "/health/ready"] {
        paths.insert(path.to_owned(), health());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "For operators. Each operation names the action that a token must allow in x-sluice-action.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "operator": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Error": error_schema() },
            "responses": {
                "Error": {
                    "description": "Why it was not done.",
                    "content": { "application/json": {
                        "schema": { "$ref": "#/components/schemas/Error" },
                    } },
                },
            },
        },
        "security": [{ "operator": [] }],
    })
}

fn operation(route: &Route) -> Value {
    let media = match route.path {
        "/metrics" => "text/plain",
        "/v1/trace" => "application/x-ndjson",
        _ => "application/json",
    };
    let mut responses = json!({
        "200": { "description": "Done.", "content": { (media): { "schema": {} } } },
    });
    let of_all = ["400", "401", "403", "404", "405", "503"];
    for status in of_all.iter().chain(route.fails) {
        responses[*status] = json!({ "$ref": "#/components/responses/Error" });
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.action.area.as_str()],
        "x-sluice-action": route.action.to_string(),
        "parameters": parameters(route),
        "responses": responses,
    });
    if !route.body.is_empty() {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": body(route.body) } },
        });
    }
    operation
}

/// `put_v1_functions_service_function_disabled`
fn operation_id(route: &Route) -> String {
    let path = route.path.replace(['{', '}'], "").replace(['/', '.'], "_");
    format!("{}{path}", route.method.as_str().to_ascii_lowercase())
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split(['{', '}']).skip(1).step_by(2);
    let in_path = in_path.map(|name| parameter("path", name, true));
    let in_query = route.query.iter().map(|name| {
        let bare = name.trim_end_matches('!');
        parameter("query", bare, bare != *name)
    });
    in_path.chain(in_query).collect()
}

fn parameter(place: &str, name: &str, required: bool) -> Value {
    let schema = match name {
        "limit" | "offset" | "after" | "id" | "seconds" => {
            json!({ "type": "integer", "minimum": 0 })
        }
        "live" | "drained" | "allowed" | "here" => json!({ "type": "boolean" }),
        "form" => json!({ "enum": ["map", "config"] }),
        "state" => json!({ "enum": ["enabled", "disabled", "deleted"] }),
        "value" => json!({ "type": "array", "items": { "type": "string" } }),
        _ => json!({ "type": "string" }),
    };
    json!({ "name": name, "in": place, "required": required, "schema": schema })
}

fn body(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|f| (f.name.to_owned(), f.schema.to_json()))
        .collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(|f| f.required)
        .map(|f| f.name)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error_code", "error"],
        "properties": {
            "error_code": { "type": "string" },
            "error": { "type": "string" },
        },
    })
}

fn health() -> Value {
    let answer = json!({ "description": "It is." });
    json!({ "get": {
        "summary": "For load balancers; needs no token.",
        "security": [],
        "responses": { "200": answer, "503": { "description": "It is not." } },
    } })
}

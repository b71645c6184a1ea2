//! `conneg_*`: one header against what is declared.

use serde_json::{Value, json};
use sluice_worker::resource::Languages;
use sluice_worker::resource::negotiate::{charset, encoding, language, media_type};

use super::{strings, wrong};

pub(super) fn run(file: &str, input: &Value, expect: &Value) -> Result<(), Value> {
    let dimension = file.trim_start_matches("conneg_");
    let header = match dimension {
        "media" => &input["accept"],
        dimension => &input[format!("accept_{dimension}")],
    };
    let header = (!header.is_null()).then(|| strings(header).join(", "));
    let header = header.as_deref();
    let available = strings(&input["available"]);
    let selected = match dimension {
        "media" => json!(media_type(header, &available).map_err(wrong)?),
        "charset" => json!(charset(header, &available)),
        "encoding" => json!(encoding(header, &available)),
        _ => selected_language(header, &input["available"]),
    };
    if selected == expect["selected"] {
        Ok(())
    } else {
        Err(json!({ "selected": selected }))
    }
}

/// Several tags come back as a list, one as a string.
fn selected_language(header: Option<&str>, available: &Value) -> Value {
    let declared = available.as_array().into_iter().flatten();
    let declared: Vec<Languages> = declared.map(|tags| strings(tags).into()).collect();
    match language(header, &declared).map(Languages::tags) {
        Some([tag]) => json!(tag),
        tags => json!(tags),
    }
}

//! Checked args in the order in which a positional handler takes them.

use serde_json::{Map, Value};

use super::{ArgTypes, CheckedArgs};
use crate::function::ArgOrders;
use crate::payload::{Encoding, TranscodeError};

/// The args one by one, as `arg_orders` says: one value for each declared arg, null for what is
/// absent; with `"map"` one object of all of them. Nothing declared: nothing, whatever was sent.
///
/// ```
/// use serde_json::json;
/// use sluice_protocol::Payload;
/// use sluice_protocol::argument::{ArgTypes, check, positional};
///
/// let types = ArgTypes::from_json(&json!({"a": "num", "b": {"type": "num", "allow_nil": true}}));
/// let types = types.unwrap();
/// let args = check(Some(&types), Payload::json(r#"{"a": 1}"#)).unwrap();
/// assert_eq!(positional(Some(&types), None, &args).unwrap(), [json!(1), json!(null)]);
/// ```
///
/// # Errors
/// When the args are MessagePack that has no JSON form.
pub fn positional(
    types: Option<&ArgTypes>,
    orders: Option<&ArgOrders>,
    args: &CheckedArgs,
) -> Result<Vec<Value>, TranscodeError> {
    let Some(types) = types.filter(|types| !types.0.is_empty()) else {
        return Ok(Vec::new());
    };
    let json = args.payload().transcode(Encoding::Json)?;
    // They were checked: this is one object.
    let mut sent: Map<String, Value> = serde_json::from_slice(&json.bytes).unwrap_or_default();
    let mut take = |name: &str| sent.swap_remove(name).unwrap_or_default();
    Ok(match orders {
        Some(ArgOrders::Map) => {
            let object = types.names().map(|name| (name.to_owned(), take(name)));
            vec![Value::Object(object.collect())]
        }
        Some(ArgOrders::List(names)) => names.iter().map(|name| take(name)).collect(),
        None => types.names().map(take).collect(),
    })
}

//! Validates JSON against a JSON Schema that uses a few keywords. A keyword that is not among
//! them is an error, so that none is passed over.

use serde_json::Value;

/// Says where and why `value` does not fit the schema `root`.
pub fn validate(root: &Value, value: &Value) -> Result<(), String> {
    fits(root, root, value, "")
}

fn fits(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let keywords = schema.as_object().expect("a schema is an object");
    for (keyword, argument) in keywords {
        let fits = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => Ok(()),
            "$ref" => {
                let path = argument.as_str().and_then(|path| path.strip_prefix('#'));
                let target = root.pointer(path.expect("references stay in the schema"));
                fits(root, target.expect("what is referred to exists"), value, at)
            }
            "type" => is_of_type(argument, value),
            "enum" => check(argument.as_array().is_some_and(|all| all.contains(value))),
            "const" => check(argument == value),
            "minimum" => check(value.as_f64() >= argument.as_f64() || value.is_null()),
            "pattern" => matches_moment(argument, value),
            "required" => names(argument)
                .find(|name| value.get(name).is_none())
                .map_or(Ok(()), |name| Err(format!("{name} is missing"))),
            "properties" => properties(root, argument, value, at),
            "oneOf" => {
                let schemas = argument.as_array().expect("it is a list").iter();
                let fitting = schemas.filter(|schema| fits(root, schema, value, at).is_ok());
                check(fitting.count() == 1)
            }
            other => panic!("the keyword {other} is not known here"),
        };
        fits.map_err(|reason| format!("{at}: {keyword} {argument}: {reason} in {value}"))?;
    }
    Ok(())
}

fn properties(root: &Value, schemas: &Value, value: &Value, at: &str) -> Result<(), String> {
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    // Stricter than the keyword: what is written has to be described.
    object.iter().try_for_each(|(name, value)| {
        let schema = schemas
            .get(name)
            .ok_or(format!("{name} is not described"))?;
        fits(root, schema, value, &format!("{at}/{name}"))
    })
}

fn is_of_type(types: &Value, value: &Value) -> Result<(), String> {
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    check(names(types).any(|name| name == actual))
}

fn names(argument: &Value) -> impl Iterator<Item = &str> {
    let list = argument.as_array().map(Vec::as_slice);
    let list = list.unwrap_or(std::slice::from_ref(argument));
    list.iter().filter_map(Value::as_str)
}

/// The only pattern in use.
fn matches_moment(pattern: &Value, value: &Value) -> Result<(), String> {
    let expected = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}(Z|[+-][0-9]{2}:[0-9]{2})$";
    assert_eq!(pattern, expected);
    let Some(text) = value.as_str() else {
        return Ok(());
    };
    let shape: String = text
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    let (moment, offset) = shape.split_at_checked(29).ok_or("too short")?;
    let is_offset = ["Z", "+00:00", "-00:00"].contains(&offset);
    check(moment == "0000-00-00T00:00:00.000000000" && is_offset)
}

fn check(holds: bool) -> Result<(), String> {
    holds.then_some(()).ok_or("does not hold".to_owned())
}

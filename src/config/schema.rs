//! JSON Schema (2020-12) of each kind of file, for editors; made from the same tables as the check.

use serde_json::{Map, Value, json};

use super::keys::dialplan::STEPS;
use super::keys::{FILES, Key, Keys, Kind};

/// Names that [`schema`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.name)
}

/// The schema of a kind of file: `strowger`, `sip-profile`, `dialplan`, `directory`, `queue`.
pub fn schema(name: &str) -> Option<Value> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let mut schema = table(file.keys);
    let object = schema.as_object_mut()?;
    object.insert(
        "$schema".to_owned(),
        json!("https://json-schema.org/draft/2020-12/schema"),
    );
    object.insert(
        "title".to_owned(),
        json!(format!("Strowger: {}", file.path)),
    );
    if matches!(name, "dialplan" | "queue") {
        object.insert("$defs".to_owned(), json!({ "steps": steps() }));
    }
    Some(schema)
}

fn table(keys: &Keys) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in keys.keys {
        if matches!(key.kind, Kind::NotYet) {
            continue;
        }
        properties.insert(key.name.to_owned(), described(key));
        if key.required {
            required.push(key.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties });
    let object = schema.as_object_mut().expect("made as an object");
    match &keys.others {
        Some((_, kind)) => object.insert("additionalProperties".to_owned(), value(*kind)),
        None => object.insert("additionalProperties".to_owned(), json!(false)),
    };
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    schema
}

fn described(key: &Key) -> Value {
    let mut schema = value(key.kind);
    if let Some(object) = schema.as_object_mut() {
        let description = if key.default.is_empty() {
            key.doc.to_owned()
        } else {
            format!("{} Default: {}", key.doc, key.default)
        };
        object.insert("description".to_owned(), json!(description));
    }
    schema
}

fn value(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Form(form) => json!({ "type": "string", "examples": [form.example] }),
        Kind::Duration(..) => json!({
            "type": "string",
            "pattern": "^([0-9]+(ms|s|m|h|d))+$",
            "examples": ["20s"],
        }),
        Kind::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Number(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::OneOf(words) => json!({ "enum": words }),
        Kind::Secret => json!({
            "oneOf": [
                { "type": "string", "minLength": 1 },
                { "type": "object", "properties": { "env": { "type": "string" } }, "required": ["env"], "additionalProperties": false },
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
            ]
        }),
        Kind::List(inner) => json!({ "type": "array", "items": value(*inner) }),
        Kind::OneOrMore(inner) => json!({
            "anyOf": [value(*inner), { "type": "array", "items": value(*inner), "minItems": 1 }]
        }),
        Kind::Either(kinds) => {
            json!({ "anyOf": kinds.iter().map(|kind| value(*kind)).collect::<Vec<_>>() })
        }
        Kind::Table(keys) => table(keys),
        Kind::Tables(keys) => json!({ "type": "array", "items": table(keys) }),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": value(*inner) }),
        Kind::Steps => json!({ "$ref": "#/$defs/steps" }),
        Kind::NotYet => json!(false),
    }
}

fn steps() -> Value {
    let kinds: Vec<Value> = STEPS
        .iter()
        .filter(|step| !matches!(step.argument, Kind::NotYet))
        .map(|step| {
            let mut properties = Map::new();
            properties.insert(step.verb.to_owned(), value(step.argument));
            for key in step.options {
                properties.insert(key.name.to_owned(), described(key));
            }
            json!({
                "type": "object",
                "description": step.doc,
                "properties": properties,
                "required": [step.verb],
                "additionalProperties": false,
            })
        })
        .collect();
    json!({ "type": "array", "items": { "oneOf": kinds } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_file_has_a_schema_that_names_its_keys() {
        for name in names() {
            let schema = schema(name).expect(name);
            let properties = schema["properties"].as_object().expect("an object");
            assert!(!properties.is_empty(), "{name}");
            assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        }
        let dialplan = schema("dialplan").expect("known");
        let steps = dialplan["$defs"]["steps"]["items"]["oneOf"]
            .as_array()
            .expect("steps");
        assert!(
            steps
                .iter()
                .any(|step| step["required"] == json!(["queue"]))
        );
        assert!(
            !steps
                .iter()
                .any(|step| step["required"] == json!(["voicemail"]))
        );
        assert_eq!(schema("nonsense"), None);
    }
}

//! The API as its document describes it, in one line for each call and each kind of object: a change of the contract is a visible diff.

use serde_json::Value;

/// `AgentView`, `[AgentView]`, `string`, `integer?`: what a schema stands for.
fn name_of(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_string();
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(list) = schema[key].as_array() {
            let (null, others): (Vec<_>, Vec<_>) =
                list.iter().partition(|one| one["type"] == "null");
            let names: Vec<String> = others.into_iter().map(name_of).collect();
            let joint = if key == "allOf" { " & " } else { " | " };
            return names.join(joint) + if null.is_empty() { "" } else { "?" };
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return values.join("|");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let optional = if kinds.contains(&"null") { "?" } else { "" };
    match kinds.iter().find(|kind| **kind != "null") {
        Some(&"array") => format!("[{}]{optional}", name_of(&schema["items"])),
        Some(&"object") if schema["properties"].is_object() => {
            format!("{{ {} }}{optional}", fields(schema))
        }
        Some(kind) => format!("{kind}{optional}"),
        None => "any".to_string(),
    }
}

fn fields(schema: &Value) -> String {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut fields: Vec<String> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let mark = if required.contains(&name.as_str()) {
                ""
            } else {
                "?"
            };
            format!("{name}{mark}: {}", name_of(schema))
        })
        .collect();
    fields.sort();
    fields.join(", ")
}

fn body_of(part: &Value) -> String {
    part["content"]
        .as_object()
        .and_then(|content| content.values().next())
        .map(|content| name_of(&content["schema"]))
        .unwrap_or_default()
}

#[test]
fn the_api_is_what_it_was() {
    let document: Value = serde_json::from_str(&strowger::api::openapi()).expect("JSON");
    let mut lines = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, call) in methods.as_object().expect("methods") {
            let parameters: Vec<String> = call["parameters"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|one| one["in"] != "path")
                .map(|one| {
                    format!(
                        "{}={}",
                        one["name"].as_str().unwrap_or("?"),
                        name_of(&one["schema"])
                    )
                })
                .collect();
            let query = if parameters.is_empty() {
                String::new()
            } else {
                format!(" ?{}", parameters.join("&"))
            };
            let body = match body_of(&call["requestBody"]) {
                empty if empty.is_empty() => String::new(),
                body => format!(" <- {body}"),
            };
            let answers: Vec<String> = call["responses"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(status, answer)| format!("{status} {}", body_of(answer)).trim().to_string())
                .collect();
            lines.push(format!(
                "{} {path}{query}{body} -> {}",
                method.to_uppercase(),
                answers.join(", ")
            ));
        }
    }
    lines.sort();
    lines.push(String::new());
    let mut kinds: Vec<String> = document["components"]["schemas"]
        .as_object()
        .expect("schemas")
        .iter()
        // A page of a list is `items` and `next`, whatever is listed.
        .filter(|(name, _)| !name.starts_with("Page_"))
        .map(|(name, schema)| format!("{name} = {}", name_of(schema).replace(", ", "\n  ")))
        .collect();
    kinds.sort();
    lines.extend(kinds);
    insta::assert_snapshot!(lines.join("\n"));
}

//! `strowger schema`: the JSON Schema of a kind of file.

use std::process::ExitCode;

use super::{FAULT, WRONG, complain, say};
use crate::config;

/// Prints the schema.
pub fn schema(name: &str) -> ExitCode {
    let Some(schema) = config::schema(name) else {
        let names: Vec<&str> = config::schema_names().collect();
        complain(&format!(
            "there is no schema `{name}`; there is: {}",
            names.join(", ")
        ));
        return ExitCode::from(WRONG);
    };
    match serde_json::to_string_pretty(&schema) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(FAULT)
        }
    }
}
